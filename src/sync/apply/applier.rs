//! The applier: it gathers the parts of the changes and hands them to the writer in order.

use super::change::{AdjacencyEdit, AppliedChange, ChangeOwner, IdentityEdit};
use super::counts::CountDeltas;
use super::fresh::{ChunkCutter, bucket_steps, take_numbered};
use super::heads::{HeadBuilder, OwnerCountDeltas};
use super::pack::{ChangeWindow, ContentPacker, PackedChanges};
use crate::graph::{EdgeDirection, IdHash, ObjectKind};
use crate::store::staging::UploadStage;
use crate::store::{
    GraphWriter, IdentityEntry, NextGroup, PackedBlock, RelationshipLabel, SharedBatches,
    SharedBuckets, SpillBuckets, StoreError, StoredHeads, pipeline, prefetch, prefetch_all,
};
use crate::sync::SyncError;
use crate::sync::compare::{HELD, HashPartitions};
use crate::sync::plan::{ObjectChange, SyncPlan};
use crate::sync::stage::StagedUploads;
use rayon::prelude::*;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// Stores a plan: it gathers the parts of the changes and hands them to the writer in order.
pub(super) struct PlanApplier<'s> {
    pub(super) stage: &'s UploadStage,
    pub(super) folder: &'s Path,
    pub(super) writer: &'s mut GraphWriter,
    pub(super) owners: Arc<[ChangeOwner]>,
    /// By owner: changes in the counts of its scope; `None` if nothing of this kind was stored.
    pub(super) shifts: Vec<Option<CountDeltas>>,
    pub(super) now: i64,
    /// By hash.
    pub(super) parts: HashPartitions,
    pub(super) identities: SharedBuckets<IdentityEdit>,
    /// Changes whose heads are to be stored next.
    pub(super) pending: Vec<AppliedChange>,
    /// Edges by entity, in either direction.
    pub(super) edges: [SharedBuckets<AdjacencyEdit>; 2],
    /// One more than the greatest number of an entity.
    pub(super) entities: u32,
}

/// Records that are stored as one piece, about.
const PIECE: usize = 128 << 10;

/// New relationships that are numbered in one go, about.
const FRESH_AT_ONCE: usize = if cfg!(test) { 8 } else { 64 << 10 };

/// Changes whose heads are stored in one go, about.
const PENDING: usize = if cfg!(test) { 8 } else { 48 << 10 };

impl<'s> PlanApplier<'s> {
    pub(super) fn new(
        plan: &SyncPlan,
        uploads: &'s StagedUploads,
        writer: &'s mut GraphWriter,
        owners: Vec<ChangeOwner>,
        now: i64,
    ) -> PlanApplier<'s> {
        let folder = uploads.folder();
        let records = |of: &SpillBuckets<ObjectChange>| of.records() as u64;
        let parts = HashPartitions::of(plan.changes.iter().map(records).sum());
        let ranges =
            HashPartitions::of(records(&plan.changes[ObjectKind::Relationship as usize])).count();
        let edges = || SpillBuckets::new(folder, ranges, HELD).shared();
        PlanApplier {
            stage: uploads.stage(),
            folder,
            writer,
            shifts: std::iter::repeat_with(|| None).take(owners.len()).collect(),
            owners: owners.into(),
            now,
            parts,
            identities: SpillBuckets::new(folder, parts.count(), HELD).shared(),
            pending: Vec::new(),
            edges: [edges(), edges()],
            entities: 0,
        }
    }

    /// Begins a kind and takes the numbers for its new objects.
    pub(super) fn begin(&mut self, kind: ObjectKind, plan: &SyncPlan) -> Result<(), SyncError> {
        let mut buckets = 0;
        let owners = Arc::get_mut(&mut self.owners).expect("BUG: nobody packs between kinds");
        for (owner, job) in owners.iter_mut().zip(&plan.jobs) {
            let created = job.created[kind as usize];
            // The plan counts on this: jobs in order, each with consecutive numbers.
            owner.first = self.writer.take_numbers(kind, created as usize)?;
            *owner.next_block.get_mut() = self.writer.scope(owner.scope)?.next_block[kind as usize];
            if kind == ObjectKind::Relationship {
                let ranges =
                    if created == 0 { 0 } else { HashPartitions::of(created.into()).count() };
                owner.fresh = (buckets, ranges);
                buckets += ranges;
            }
        }
        if kind == ObjectKind::Relationship {
            self.entities = self.writer.meta.bound(ObjectKind::Entity);
        }
        Ok(())
    }

    /// Deletes objects of an owner.
    pub(super) fn delete(
        &mut self,
        kind: ObjectKind,
        owner: u32,
        changes: Vec<ObjectChange>,
    ) -> Result<(), SyncError> {
        for change in changes {
            self.pending.push(AppliedChange::new(&ObjectChange { job: owner, ..change }));
            if self.pending.len() == PENDING {
                self.store_pending(kind)?;
            }
        }
        Ok(())
    }

    /// Stores the pending changes.
    fn store_pending(&mut self, kind: ObjectKind) -> Result<(), SyncError> {
        let mut pending = std::mem::take(&mut self.pending);
        // Heads lie in chunks by number, and the writer takes them ascending.
        pending.par_sort_unstable_by_key(|change| change.number);
        if kind == ObjectKind::Relationship {
            // Edges are made from heads and need the numbers of their labels.
            let owners = Arc::clone(&self.owners);
            let label = |change: &AppliedChange| change.label(&owners[change.owner as usize]);
            self.label_new(pending.iter().filter_map(label));
        }
        self.store(kind, std::iter::once(Ok(&pending[..])))?;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    /// Stores the changes of a kind except deletions, batch by batch. Keeps new relationships back
    /// until they can be numbered and returns them, by owner and by the entity where they begin.
    pub(super) fn store_changes(
        &mut self,
        kind: ObjectKind,
        plan: &mut SyncPlan,
    ) -> Result<SpillBuckets<AppliedChange>, SyncError> {
        let mut changes = std::mem::replace(
            &mut plan.changes[kind as usize],
            SpillBuckets::new(self.folder, 0, 0),
        );
        let windows = changes.count();
        // New names are met while packing, and nothing else asks for them meanwhile.
        let mut names = std::mem::take(&mut self.writer.names);
        let scopes: Vec<&str> = plan.jobs.iter().map(|job| job.spec.scope.as_str()).collect();
        let owners = Arc::clone(&self.owners);
        let ranges = owners.iter().map(|owner| owner.fresh.0 + owner.fresh.1).max();
        let fresh = SpillBuckets::new(self.folder, ranges.unwrap_or(0), HELD).shared();
        let packing = ContentPacker {
            kind,
            stages: [self.stage, &plan.merged],
            owners: &owners,
            entities: self.entities,
            fresh: &fresh,
            packers: Mutex::default(),
        };
        let window = |window: usize| {
            let mut changes = changes.take(window)?;
            changes.sort_unstable_by_key(|change| change.place.order());
            let frames = packing.intern_batch_names(&changes, &mut names, &scopes)?;
            Ok::<_, SyncError>(ChangeWindow { changes, frames })
        };
        let done = prefetch_all(0..windows, window, |windows| {
            let mut windows = SharedBatches::new(windows);
            let gather = |_: &mut Self| {
                let Some((window, from)) =
                    windows.rest(|window: &ChangeWindow| window.changes.len())?
                else {
                    return Ok(NextGroup::End);
                };
                let to = window.part_end(from);
                windows.take_to(to);
                Ok(NextGroup::Group((window, from..to)))
            };
            let pack = |(window, part): (Arc<ChangeWindow>, Range<usize>)| {
                packing.pack(&window.changes[part], &window.frames)
            };
            pipeline(self, 2, gather, pack, |storing, filled| storing.put_filled(kind, filled))
        });
        let closed = done.map(|()| packing.close());
        drop(packing);
        // The names go back even if packing failed.
        self.writer.names = names;
        self.put_blocks(kind, closed?)?;
        self.store_pending(kind)?;
        Ok(fresh.whole()?)
    }

    /// Puts down the results of packing some changes.
    fn put_filled(&mut self, kind: ObjectKind, filled: PackedChanges) -> Result<(), SyncError> {
        self.put_blocks(kind, filled.blocks)?;
        self.label_new(filled.labels);
        self.pending.extend(filled.others);
        if self.pending.len() >= PENDING { self.store_pending(kind) } else { Ok(()) }
    }

    fn put_blocks(
        &mut self,
        kind: ObjectKind,
        blocks: Vec<(u32, PackedBlock)>,
    ) -> Result<(), StoreError> {
        blocks.into_iter().try_for_each(|(owner, block)| {
            let scope = self.owners[owner as usize].scope;
            self.writer.put_bodies(kind, scope, [block])
        })
    }

    /// Numbers new relationships in the order of their ends, and stores them.
    pub(super) fn number(
        &mut self,
        mut fresh: SpillBuckets<AppliedChange>,
    ) -> Result<(), SyncError> {
        // Owners have consecutive numbers, in the order of their buckets.
        let mut next = self.owners.first().map_or(0, |owner| owner.first);
        let all = fresh.count();
        let steps = bucket_steps(&fresh, FRESH_AT_ONCE);
        let mut cutter = ChunkCutter::default();
        let number = |range: Range<usize>| {
            let last = range.end == all;
            let mut batches = Vec::with_capacity(2 * range.len() + 1);
            for changes in take_numbered(&mut fresh, range, &mut next)? {
                cutter.cut(changes, &mut batches);
            }
            if last {
                batches.push(cutter.last());
            }
            Ok(batches)
        };
        prefetch_all(steps, number, |steps| {
            let batches = steps.flat_map(|batches| match batches {
                Ok(batches) => batches.into_iter().map(Ok).collect(),
                Err(e) => vec![Err(e)],
            });
            self.store(ObjectKind::Relationship, batches)
        })?;
        Ok(())
    }

    /// Stores heads, and puts down identities, edges and counts. Heads ascend by number in each
    /// batch.
    fn store<B: Borrow<[AppliedChange]> + Send + Sync>(
        &mut self,
        kind: ObjectKind,
        batches: impl Iterator<Item = Result<B, StoreError>>,
    ) -> Result<(), StoreError> {
        let (parts, entities) = (self.parts, self.entities);
        let (owners, labels) = (&*self.owners, &self.writer.labels);
        let (identities, edges) = (&self.identities, &self.edges);
        let now = self.now;
        let heads = HeadBuilder { kind, owners, now, labels, parts, entities, identities, edges };
        let number = |change: &AppliedChange| change.number;
        let make =
            |changes: &[AppliedChange], stored: &StoredHeads<'_>, shifts: &mut OwnerCountDeltas| {
                heads.make(changes, stored, shifts)
            };
        let all = &mut self.shifts;
        self.writer.rewrite_heads(kind, batches, number, Vec::new, make, |shifts| {
            for (owner, more) in shifts {
                all[owner as usize].get_or_insert_default().add(&more);
            }
            Ok(())
        })
    }

    /// Gives numbers to new labels of relationships, in an order that is the same each time the
    /// plan is applied.
    fn label_new(&mut self, met: impl IntoIterator<Item = RelationshipLabel>) {
        let labels = &mut self.writer.labels;
        let mut new: Vec<RelationshipLabel> =
            met.into_iter().filter(|label| labels.number(*label).is_none()).collect();
        new.sort_unstable();
        new.into_iter().for_each(|label| {
            labels.intern(label);
        });
    }

    /// Ends a kind: identities and counts.
    pub(super) fn finish(&mut self, kind: ObjectKind) -> Result<(), SyncError> {
        let empty = SpillBuckets::new(self.folder, self.parts.count(), HELD).shared();
        let mut identities = std::mem::replace(&mut self.identities, empty).whole()?;
        let PlanApplier { owners, writer, .. } = self;
        let steps = bucket_steps(&identities, PIECE);
        // Buckets are parts of the hash space in order, so the edits of an owner ascend across
        // them.
        let sort = |range: Range<usize>| {
            let mut parts = identities.take_all(range)?;
            parts.par_iter_mut().for_each(|part| {
                part.sort_unstable_by_key(|one| {
                    u128::from(one.owner) << 64 | u128::from(one.identity.id.0)
                });
            });
            let mut by_owner: BTreeMap<u32, Vec<(IdHash, Option<IdentityEntry>)>> = BTreeMap::new();
            for part in parts {
                for part in part.chunk_by(|a, b| a.owner == b.owner) {
                    let edits = by_owner.entry(part[0].owner).or_default();
                    edits.extend(part.iter().map(|one| (one.identity.id, Some(one.identity))));
                }
            }
            Ok::<_, SyncError>(by_owner)
        };
        prefetch(steps, sort, |by_owner| {
            for (owner, edits) in by_owner {
                writer.edit_identity(kind, owners[owner as usize].scope, &edits)?;
            }
            Ok(())
        })?;
        for (owner, shifts) in owners.iter().zip(&mut self.shifts) {
            let Some(shifts) = shifts.take() else { continue };
            let row = writer.scope(owner.scope)?;
            // A new generation voids all that `stage/known.rs` read of the scope.
            row.generation += 1;
            shifts.apply(row, kind);
            let next = owner.next_block.load(Ordering::Relaxed);
            row.next_block[kind as usize] = row.next_block[kind as usize].max(next);
        }
        Ok(())
    }

    /// Stores the edges.
    pub(super) fn adjacency(self) -> Result<(), StoreError> {
        let PlanApplier { writer, edges, .. } = self;
        for (direction, edges) in [EdgeDirection::Out, EdgeDirection::In].into_iter().zip(edges) {
            let mut edges = edges.whole()?;
            let total = edges.records();
            if total == 0 {
                continue;
            }
            let steps = bucket_steps(&edges, PIECE);
            // Buckets are ranges of entities in order, so sorting each of them sorts all.
            let sort = |range: Range<usize>| {
                let mut piece = edges.take_all(range)?;
                piece.par_iter_mut().for_each(|bucket| bucket.sort_unstable());
                Ok(piece.into_iter().flatten().map(AdjacencyEdit::into_edit).collect())
            };
            prefetch_all(steps, sort, |pieces| writer.edit_adjacency_of(direction, total, pieces))?;
        }
        Ok(())
    }
}
