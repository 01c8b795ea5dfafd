//! Packing: the contents of changes, batch by batch, into blocks of bodies.

use super::change::{AppliedChange, ChangeOwner, HeadFields};
use super::heads::range_of;
use crate::graph::{ObjectKind, Value};
use crate::store::staging::UploadStage;
use crate::store::{
    BodyPacker, ByteCursor, NO_BODY, NameBook, PackedBlock, RelationshipLabel, SharedBuckets,
    SpillBuckets, StoreError, put_varint, take_value,
};
use crate::sync::SyncError;
use crate::sync::plan::{ChangeAction, ContentLocation, ObjectChange};
use crate::sync::stage::StagedRecord;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Mutex, PoisonError};

/// Changes whose contents are packed in one go, to twice as many.
const BATCH: usize = if cfg!(test) { 4 } else { 24 << 10 };

/// Types whose labels are kept near while packing.
const TYPES: usize = 128;

/// Owners whose blocks stay open from batch to batch, so that fewer of them are short.
const OPEN: usize = 32;

/// The numbers that the names of a batch have in the database.
pub(super) struct BatchNames {
    numbers: Vec<u32>,
    /// Position of `displayName` among them.
    display: Option<u32>,
}

/// Packs the contents of changes into blocks.
pub(super) struct ContentPacker<'p> {
    pub(super) kind: ObjectKind,
    /// Batches as uploaded, and merged ones.
    pub(super) stages: [&'p UploadStage; 2],
    pub(super) owners: &'p [ChangeOwner],
    pub(super) entities: u32,
    /// New relationships.
    pub(super) fresh: &'p SharedBuckets<AppliedChange>,
    /// Packers that no thread uses at the moment.
    pub(super) packers: Mutex<Vec<BodyPacker>>,
}

/// By whether a batch is a merged one, and its number.
pub(super) type BatchNameMap = FxHashMap<(bool, u32), BatchNames>;

/// Changes in the order of the batches where their contents are.
pub(super) struct ChangeWindow {
    pub(super) changes: Vec<ObjectChange>,
    pub(super) frames: BatchNameMap,
}

impl ChangeWindow {
    /// The end of a part that begins at `from`. A part ends where a batch does, so that the batch
    /// is read once; only a very large batch is cut.
    pub(super) fn part_end(&self, from: usize) -> usize {
        let mut to = from;
        for alike in by_batch(&self.changes[from..]) {
            to += alike.len();
            if to - from >= BATCH {
                break;
            }
        }
        if to - from > 2 * BATCH { from + BATCH } else { to }
    }
}

/// Changes that lie batch by batch, cut where a batch ends.
fn by_batch(changes: &[ObjectChange]) -> impl Iterator<Item = &[ObjectChange]> {
    changes.chunk_by(|a, b| a.place.batch() == b.place.batch())
}

/// The results of packing some changes.
#[derive(Default)]
pub(super) struct PackedChanges {
    /// Blocks by owner.
    pub(super) blocks: Vec<(u32, PackedBlock)>,
    /// Labels of new relationships.
    pub(super) labels: FxHashSet<RelationshipLabel>,
    pub(super) others: Vec<AppliedChange>,
}

impl ContentPacker<'_> {
    /// The names of all batches that hold contents of `changes`, which lie batch by batch.
    pub(super) fn intern_batch_names(
        &self,
        changes: &[ObjectChange],
        names: &mut NameBook,
        scopes: &[&str],
    ) -> Result<BatchNameMap, StoreError> {
        let mut frames = BatchNameMap::default();
        for alike in by_batch(changes) {
            let (merged, frame) = alike[0].place.batch();
            let of_frame = self.stages[usize::from(merged)].names(frame);
            let display = of_frame.iter().position(|name| name == "displayName");
            // Most batches are of one job; what they name is charged to the first in them.
            let job = alike[0].job;
            let scope = scopes.get(job as usize).copied().unwrap_or_default();
            let numbers: Result<_, StoreError> =
                of_frame.iter().map(|name| names.intern(name, job)).collect();
            let numbers = numbers.map_err(|e| e.of_scope(scope))?;
            frames.insert(
                (merged, frame),
                BatchNames { numbers, display: display.map(|at| at as u32) },
            );
        }
        Ok(frames)
    }

    /// Closes the packers and returns the blocks that they had begun.
    pub(super) fn close(&self) -> Vec<(u32, PackedBlock)> {
        let mut packers = self.packers.lock().unwrap_or_else(PoisonError::into_inner);
        packers.par_iter_mut().flat_map_iter(BodyPacker::close).collect()
    }

    /// Packs the contents of changes, which lie batch by batch.
    pub(super) fn pack(
        &self,
        changes: &[ObjectChange],
        frames: &BatchNameMap,
    ) -> Result<PackedChanges, SyncError> {
        let packers = || self.packers.lock().unwrap_or_else(PoisonError::into_inner);
        // There are never more packers than threads that pack.
        let mut packer = packers().pop().unwrap_or_default();
        let mut packed =
            self.fresh.fill(|fresh| self.pack_with(&mut packer, fresh, changes, frames))?;
        if self.owners.len() > OPEN {
            packed.blocks.extend(packer.close());
        }
        packers().push(packer);
        Ok(packed)
    }

    fn pack_with(
        &self,
        packer: &mut BodyPacker,
        fresh: &mut SpillBuckets<AppliedChange>,
        changes: &[ObjectChange],
        frames: &BatchNameMap,
    ) -> Result<PackedChanges, SyncError> {
        let mut packed = PackedChanges::default();
        let mut body = BodyWriter::default();
        // A label that was met last for its type need not go to the set again.
        let mut met = [None; TYPES];
        for alike in by_batch(changes) {
            let (merged, frame) = alike[0].place.batch();
            let records = self.stages[usize::from(merged)].records(frame)?;
            let names = &frames[&(merged, frame)];
            for change in alike {
                let ContentLocation { offset, len, .. } = change.place;
                let record = StagedRecord::read(self.kind, &records, (offset, len))
                    .ok_or_else(SyncError::damaged_stage)?;
                let owner = &self.owners[change.job as usize];
                let display = body.write(&record, names).ok_or_else(SyncError::damaged_stage)?;
                let (mut block, mut slot) = (NO_BODY, 0);
                if !body.bytes.is_empty() {
                    let (place, full) = packer.push(change.job, &body.bytes, &owner.next_block);
                    (block, slot) = place;
                    packed.blocks.extend(full.map(|full| (change.job, full)));
                }
                let type_name = names.numbers[record.type_name as usize];
                let class = names.numbers[record.class as usize];
                let mut settled = AppliedChange {
                    facts: Some(HeadFields { type_name, class, block, slot }),
                    key: record.key.into(),
                    display,
                    ..AppliedChange::new(change)
                };
                match (change.action, self.kind) {
                    (ChangeAction::Create, ObjectKind::Relationship) => {
                        let (first, ranges) = owner.fresh;
                        let at = first + range_of(change.ends.0, ranges, self.entities);
                        fresh.push(at, &settled)?;
                        let label = settled.label(owner);
                        let met = &mut met[type_name as usize % TYPES];
                        if *met != label {
                            *met = label;
                            packed.labels.extend(label);
                        }
                        continue;
                    }
                    // The plan counts new entities from the first of their job.
                    (ChangeAction::Create, ObjectKind::Entity) => settled.number += owner.first,
                    _ => {}
                }
                packed.others.push(settled);
            }
        }
        Ok(packed)
    }
}

/// Writes bodies into the same memory, one after the other.
#[derive(Default)]
struct BodyWriter {
    properties: Vec<u8>,
    /// The body written last; empty if there is nothing to store.
    bytes: Vec<u8>,
}

impl BodyWriter {
    /// Writes the body of a record and returns its `displayName`. `None` if the record is damaged.
    #[inline]
    fn write(&mut self, record: &StagedRecord<'_>, names: &BatchNames) -> Option<Option<Box<str>>> {
        let BodyWriter { properties, bytes } = self;
        properties.clear();
        let (mut count, mut shown) = (0, None);
        let raw = record.for_each_property(|name, value| {
            // A `displayName` that is text lives in the head, where lists of entities find it.
            if Some(name) == names.display
                && let Some(Value::Text(text)) = take_value(&mut ByteCursor(value))
            {
                shown = Some(Box::from(text.as_ref()));
                return;
            }
            count += 1;
            put_varint(properties, names.numbers[name as usize].into());
            properties.extend_from_slice(value);
        })?;
        bytes.clear();
        if count > 0 || !raw.is_empty() {
            put_varint(bytes, count);
            bytes.extend_from_slice(properties);
            bytes.extend_from_slice(raw.as_bytes());
        }
        Some(shown)
    }
}
