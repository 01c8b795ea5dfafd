//! Recording: each commit puts down what stood where it changes something.

use super::SPAN;
use super::keys::{HistoryKey, HistorySpace, group_of};
pub use super::record::RecordedHead;
use super::record::{HEADS_MAX, RevisionRow, encode_heads, encode_optional};
use crate::graph::{EdgeDirection, ObjectKind};
use crate::store::StoreError;
use crate::store::codec::{proven, seal};
use crate::store::edges::DeltaEntry;
use crate::store::rows::DatabaseMeta;
use crate::store::segment::put_segment;
use crate::store::tables::StoredBytes;
use redb::{ReadableTable, Table};
use std::cell::Cell;

/// Edges in one row, at most.
const EDGES_MAX: usize = 512;

/// Puts down what one commit changes.
pub struct HistoryRecorder {
    /// The counters before the commit.
    before: DatabaseMeta,
    /// Rows that were put, which tells those of one place apart.
    parts: Cell<u32>,
    /// False for care of the file, which changes where things lie and not what they are.
    on: bool,
}

impl HistoryRecorder {
    /// The recorder of a commit that begins with these counters.
    pub fn new(before: DatabaseMeta) -> HistoryRecorder {
        HistoryRecorder { before, parts: Cell::new(0), on: true }
    }

    /// Stops recording: what follows moves things and changes nothing.
    pub fn stop(&mut self) {
        self.on = false;
    }

    /// True if changes are recorded.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// True if objects of this number are new in this commit.
    pub fn is_new(&self, kind: ObjectKind, number: u32) -> bool {
        number >= self.before.bound(kind)
    }

    /// Puts a row.
    pub fn put(
        &self,
        table: &mut Table<'_, StoredBytes, StoredBytes>,
        space: HistorySpace,
        group: u32,
        payload: Vec<u8>,
    ) -> Result<(), StoreError> {
        let part = self.parts.replace(self.parts.get() + 1);
        let revision = self.before.revision + 1;
        let key = HistoryKey { space, group, revision, part }.bytes();
        table.insert(&key[..], &seal("history", &key, payload)[..])?;
        Ok(())
    }

    /// Puts the row of a scope as it was.
    pub fn put_scope(
        &self,
        table: &mut Table<'_, StoredBytes, StoredBytes>,
        scope: u32,
        before: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        self.put(table, HistorySpace::Scopes, scope, encode_optional(before))
    }

    /// Puts the pins of an entity as they were.
    pub fn put_pin(
        &self,
        table: &mut Table<'_, StoredBytes, StoredBytes>,
        scope: u32,
        hash: u64,
        before: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let mut payload = hash.to_le_bytes().to_vec();
        payload.extend(encode_optional(before));
        self.put(table, HistorySpace::Pins, scope, payload)
    }

    /// Puts the row of the revision that the commit makes.
    pub fn put_revision(
        &self,
        table: &mut Table<'_, StoredBytes, StoredBytes>,
        now: i64,
    ) -> Result<(), StoreError> {
        let [from, to] = [
            HistoryKey::first(HistorySpace::Revisions, 0, 0).bytes(),
            HistoryKey::last(HistorySpace::Revisions, 0).bytes(),
        ];
        let newest = match table.range::<&[u8]>(&from[..]..=&to[..])?.next_back().transpose()? {
            None => i64::MIN,
            Some((key, row)) => {
                let payload = proven("history", key.value(), row.value())?;
                let row = RevisionRow::decode(payload).ok_or_else(|| {
                    StoreError::corrupt("history", key.value(), "contents make no sense")
                })?;
                row.time
            }
        };
        let DatabaseMeta { next_number, next_job, revision, .. } = self.before;
        // A clock that was set back must not make two states of one time.
        let row = RevisionRow { time: now.max(newest), next_number, next_job };
        let key = HistoryKey::first(HistorySpace::Revisions, 0, revision + 1).bytes();
        table.insert(&key[..], &seal("history", &key, row.encode())[..])?;
        Ok(())
    }
}

/// Key and value of the row of the revision that a file begins to remember with.
pub fn first_revision(meta: &DatabaseMeta, now: i64) -> ([u8; 17], Vec<u8>) {
    let DatabaseMeta { next_number, next_job, revision, .. } = *meta;
    let row = RevisionRow { time: now, next_number, next_job };
    (HistoryKey::first(HistorySpace::Revisions, 0, revision).bytes(), row.encode())
}

/// The rows for heads of one kind, by ascending number: group and value of each.
pub fn encode_heads_by_group(records: &[RecordedHead]) -> Vec<(u32, Vec<u8>)> {
    let groups = records.chunk_by(|a, b| group_of(a.number) == group_of(b.number));
    let rows = groups.flat_map(|group| group.chunks(HEADS_MAX));
    rows.map(|row| (group_of(row[0].number), encode_heads(row))).collect()
}

/// Puts down edits of edges in one direction, piece by piece.
pub struct EdgeRecorder<'r, 't> {
    /// The recorder of the commit.
    pub recorder: &'r HistoryRecorder,
    /// The table `history`.
    pub table: Table<'t, StoredBytes, StoredBytes>,
    /// The direction of the edges.
    pub direction: EdgeDirection,
}

impl EdgeRecorder<'_, '_> {
    /// Puts down a sorted piece of edits.
    pub fn record(&mut self, piece: &[DeltaEntry]) -> Result<(), StoreError> {
        if !self.recorder.is_on() {
            return Ok(());
        }
        let space = HistorySpace::edges(self.direction);
        let mut waiting: Vec<DeltaEntry> = Vec::new();
        // An edge that is removed and added again was there, and is there.
        for same in piece.chunk_by(|a, b| a.0 == b.0) {
            let &[(edge, came)] = same else { continue };
            let relationship = edge.1.relationship;
            if self.recorder.is_new(ObjectKind::Relationship, relationship) {
                continue;
            }
            let group = |entry: &DeltaEntry| entry.0.0 / SPAN;
            if waiting.len() == EDGES_MAX
                || waiting.last().is_some_and(|last| group(last) != edge.0 / SPAN)
            {
                self.put(space, &mut waiting)?;
            }
            waiting.push((edge, came));
        }
        self.put(space, &mut waiting)
    }

    fn put(&mut self, space: HistorySpace, edits: &mut Vec<DeltaEntry>) -> Result<(), StoreError> {
        let Some(((entity, _), _)) = edits.first() else { return Ok(()) };
        let group = entity / SPAN;
        let mut payload = Vec::with_capacity(edits.len() * 8);
        put_segment(edits, &mut payload);
        edits.clear();
        self.recorder.put(&mut self.table, space, group, payload)
    }
}
