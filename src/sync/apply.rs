//! Applying: a plan becomes heads, identities, edges and blocks in one write transaction.
//!
//! This module decides nothing. It takes changes in the order of the stage, so that each batch is
//! read once, and puts their parts into buckets for the other orders: new relationships by the
//! entity where they begin (this gives them their numbers and keeps adjacency columns narrow),
//! identities by hash, edges by entity. Memory holds a few batches, or buckets, of each at a time.

use super::SyncError;
use super::batch::StagedRecord;
use super::change::{ChangeAction, ContentLocation, ObjectChange, SyncPlan};
use super::compare::{HELD, HashPartitions};
use super::job::StagedUploads;
use super::prefetch::{prefetch, prefetch_all, step_ranges};
use crate::graph::{EdgeDirection, IdHash, ObjectKind, Value};
use crate::store::staging::UploadStage;
use crate::store::{
    BodyPacker, ByteCursor, GraphWriter, HEAD_CHUNK, IdentityEntry, JobRow, LabelTable, NO_BODY,
    NameBook, NextGroup, ObjectHead, PackedBlock, RelationshipLabel, ScopeRow, SharedBatches,
    SharedBuckets, SpillBuckets, SpillRecord, StoreError, StoredEdge, StoredHeads, pipeline,
    put_bytes, put_varint, take_value,
};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Stores a plan: graph, reports and counts change together at the commit of `writer`. This takes
/// the changes out of the plan.
///
/// `writer` starts from the state that the plan was made for; `now` is epoch milliseconds.
pub fn apply(
    plan: &mut SyncPlan,
    uploads: &StagedUploads,
    writer: &mut GraphWriter,
    now: i64,
) -> Result<(), SyncError> {
    let mut owners = Vec::with_capacity(plan.jobs.len() + plan.foreign.len());
    for (job, at) in plan.jobs.iter().zip(0..) {
        let sequence = writer.meta.next_job;
        writer.meta.next_job += 1;
        let mut report = job.report.clone();
        report.end_timestamp = Some(now);
        writer.put_job(sequence, &job_row(&report))?;
        let name = &job.spec.scope;
        let scope = writer.names.intern(name, at).map_err(|e| e.of_scope(name))?;
        writer.scope(scope)?.last_job = Some(sequence);
        owners.push(ChangeOwner::new(scope, sequence));
    }
    let mut deletions: BTreeMap<(u32, ObjectKind), Vec<u32>> = BTreeMap::new();
    let mut deletes: [Vec<(u32, Vec<ObjectChange>)>; 2] = Default::default();
    for (job, at) in plan.jobs.iter_mut().zip(0..) {
        for (all, mine) in deletes.iter_mut().zip(&mut job.deletes) {
            all.push((at, std::mem::take(mine)));
        }
    }
    let culprit = foreign_deletion_job(&deletes[ObjectKind::Entity as usize]);
    for (scope, changes) in std::mem::take(&mut plan.foreign) {
        deletes[ObjectKind::Relationship as usize].push((owners.len() as u32, changes));
        owners.push(ChangeOwner::new(scope, owners[culprit].sequence));
    }
    let mut storing = PlanApplier::new(plan, uploads, writer, owners, now);
    // Entities first: relationships are put in the order of the numbers of their ends.
    for (kind, deletes) in [ObjectKind::Entity, ObjectKind::Relationship].into_iter().zip(deletes) {
        storing.begin(kind, plan)?;
        for (owner, changes) in deletes {
            let sequence = storing.owners[owner as usize].sequence;
            let gone = deletions.entry((sequence, kind)).or_default();
            gone.extend(changes.iter().map(|change| change.number));
            storing.delete(kind, owner, changes)?;
        }
        let fresh = storing.store_changes(kind, plan)?;
        storing.number(fresh)?;
        storing.finish(kind)?;
    }
    storing.adjacency()?;
    for ((sequence, kind), mut numbers) in deletions {
        numbers.sort_unstable();
        writer.put_deletions(sequence, kind, &numbers)?;
    }
    for (job, at) in plan.jobs.iter().zip(0..) {
        let scope = writer.names.intern(&job.spec.scope, at)?;
        for (id, pin) in &job.pins {
            writer.put_pins(scope, *id, pin.clone())?;
        }
    }
    Ok(())
}

/// The row under which a report is stored.
pub fn job_row(report: &super::JobReport) -> JobRow {
    JobRow {
        id: report.id,
        source: report.source.clone(),
        report: serde_json::to_vec(report).expect("BUG: a report is plain JSON"),
    }
}

/// The job that is recorded for foreign deletions: the first that deletes entities.
fn foreign_deletion_job(deletes: &[(u32, Vec<ObjectChange>)]) -> usize {
    deletes.iter().position(|(_, changes)| !changes.is_empty()).unwrap_or(0)
}

/// The owner of changes: a job of the plan, or a foreign scope whose relationships go with entities
/// of the plan.
struct ChangeOwner {
    scope: u32,
    /// Sequence number of the job.
    sequence: u32,
    /// Number of the first new object of the kind that is stored.
    first: u32,
    /// First bucket of its new relationships, and how many there are.
    fresh: (usize, usize),
    /// Number of the next block of the kind that is stored.
    next_block: AtomicU32,
}

impl ChangeOwner {
    fn new(scope: u32, sequence: u32) -> ChangeOwner {
        let next_block = AtomicU32::new(0);
        ChangeOwner { scope, sequence, first: 0, fresh: (0, 0), next_block }
    }
}

/// The fields of a new head that come from the contents: names, and the place of the body.
#[derive(Clone, Copy, Debug)]
struct HeadFields {
    type_name: u32,
    class: u32,
    block: u32,
    slot: u32,
}

/// A change with everything that its head needs.
#[derive(Clone, Debug)]
struct ResolvedChange {
    /// Position of the owner.
    owner: u32,
    number: u32,
    id: IdHash,
    digest: u64,
    ends: (u32, u32),
    action: ChangeAction,
    /// The new contents; `None` for a deletion.
    facts: Option<HeadFields>,
    /// Empty if it is not stored.
    key: Box<str>,
    display: Option<Box<str>>,
}

impl ResolvedChange {
    fn new(change: &ObjectChange) -> ResolvedChange {
        let ObjectChange { job: owner, number, id, digest, ends, action, .. } = *change;
        let (facts, key, display) = (None, Box::default(), None);
        ResolvedChange { owner, number, id, digest, ends, action, facts, key, display }
    }

    /// The label of a relationship that has contents.
    fn label(&self, owner: &ChangeOwner) -> Option<RelationshipLabel> {
        let HeadFields { type_name, class: verb, .. } = self.facts?;
        let derived_key = self.key.is_empty();
        Some(RelationshipLabel { scope: owner.scope, type_name, verb, derived_key })
    }
}

/// Packs new relationships that have no number yet. No other changes are packed.
impl SpillRecord for ResolvedChange {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        let HeadFields { type_name, class, block, slot } =
            self.facts.expect("BUG: what is new has contents");
        // Plus one, so that `NO_BODY` takes one byte and not five.
        let block = block.wrapping_add(1);
        for n in [self.owner, self.ends.0, self.ends.1, type_name, class, block, slot] {
            put_varint(out, n.into());
        }
        put_bytes(out, self.key.as_bytes());
        match &self.display {
            None => out.push(0),
            Some(text) => {
                out.push(1);
                put_bytes(out, text.as_bytes());
            }
        }
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        let (id, digest, owner) = (IdHash(c.u64()?), c.u64()?, c.varint32()?);
        let ends = (c.varint32()?, c.varint32()?);
        let (type_name, class) = (c.varint32()?, c.varint32()?);
        let (block, slot) = (c.varint32()?.wrapping_sub(1), c.varint32()?);
        let key = c.text()?.into();
        let display = match c.u8()? {
            0 => None,
            _ => Some(c.text()?.into()),
        };
        let facts = Some(HeadFields { type_name, class, block, slot });
        let action = ChangeAction::Create;
        Some(ResolvedChange { owner, number: 0, id, digest, ends, action, facts, key, display })
    }
}

/// An identity with its owner, to be brought into the order of hashes.
struct IdentityEdit {
    owner: u32,
    identity: IdentityEntry,
}

impl SpillRecord for IdentityEdit {
    fn put(&self, out: &mut Vec<u8>) {
        let IdentityEntry { id, digest, number, live } = self.identity;
        out.extend_from_slice(&id.0.to_le_bytes());
        out.extend_from_slice(&digest.to_le_bytes());
        put_varint(out, u64::from(number) * 2 + u64::from(live));
        put_varint(out, self.owner.into());
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        let (id, digest, packed) = (IdHash(c.u64()?), c.u64()?, c.varint()?);
        let (number, live) = ((packed / 2) as u32, packed % 2 == 1);
        Some(IdentityEdit {
            owner: c.varint32()?,
            identity: IdentityEntry { id, digest, number, live },
        })
    }
}

/// An edge as seen from one of its ends, and whether it is added or removed, as one number. From
/// the highest bits to the lowest: entity, other, label, relationship, addition. This is the order
/// of edges in a segment, removals before additions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AdjacencyEdit(u128);

impl AdjacencyEdit {
    fn new(entity: u32, edge: StoredEdge, add: bool) -> AdjacencyEdit {
        let StoredEdge { other, label, relationship } = edge;
        // Both share 32 bits, so the number of a relationship must fit 31.
        let last = u128::from(relationship) << 1 | u128::from(add);
        let first = u128::from(entity) << 96 | u128::from(other) << 64;
        AdjacencyEdit(first | u128::from(label) << 32 | last)
    }

    fn into_edit(self) -> ((u32, StoredEdge), bool) {
        let [entity, other, label] = [96, 64, 32].map(|shift| (self.0 >> shift) as u32);
        let last = self.0 as u32;
        ((entity, StoredEdge { other, label, relationship: last >> 1 }), last & 1 == 1)
    }
}

impl SpillRecord for AdjacencyEdit {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        Some(AdjacencyEdit(c.array().map(u128::from_le_bytes)?))
    }
}

/// Makes the heads of a kind.
struct HeadBuilder<'l> {
    kind: ObjectKind,
    owners: &'l [ChangeOwner],
    now: i64,
    /// Labels of all relationships, before the change and after it.
    labels: &'l LabelTable,
    parts: HashPartitions,
    entities: u32,
    /// Buckets for the identity and the edges of each change.
    identities: &'l SharedBuckets<IdentityEdit>,
    edges: &'l [SharedBuckets<AdjacencyEdit>; 2],
}

/// Changes of counts, in the order of the changes. An owner may be there more than once.
type OwnerCountDeltas = Vec<(u32, CountDeltas)>;

impl HeadBuilder<'_> {
    /// Makes the heads of changes in the order of numbers.
    fn make(
        &self,
        changes: &[ResolvedChange],
        stored: &StoredHeads<'_>,
        shifts: &mut OwnerCountDeltas,
    ) -> Result<Vec<Option<ObjectHead>>, StoreError> {
        let [out, into] = self.edges;
        // Threads fill buckets of their own; those for edges are taken only if edges can come.
        self.identities.fill(|identities| {
            if self.kind == ObjectKind::Entity {
                return self.make_into(changes, stored, shifts, identities, None);
            }
            out.fill(|out| {
                into.fill(|into| {
                    self.make_into(changes, stored, shifts, identities, Some([out, into]))
                })
            })
        })
    }

    fn make_into(
        &self,
        changes: &[ResolvedChange],
        stored: &StoredHeads<'_>,
        shifts: &mut OwnerCountDeltas,
        identities: &mut SpillBuckets<IdentityEdit>,
        mut edges: Option<[&mut SpillBuckets<AdjacencyEdit>; 2]>,
    ) -> Result<Vec<Option<ObjectHead>>, StoreError> {
        let mut heads = Vec::with_capacity(changes.len());
        for change in changes {
            let before = match change.action {
                ChangeAction::Create => None,
                ChangeAction::Revive | ChangeAction::Update | ChangeAction::Delete => {
                    Some(stored.get(change.number).ok_or_else(|| {
                        let number = change.number.to_be_bytes();
                        StoreError::corrupt("heads", &number, "an object of the plan is missing")
                    })?)
                }
            };
            let head = self.head(change, before.as_ref());
            if shifts.last().is_none_or(|(last, _)| *last != change.owner) {
                shifts.push((change.owner, CountDeltas::default()));
            }
            let (_, of_owner) = shifts.last_mut().expect("BUG: one was just pushed");
            of_owner.count(change, before.as_ref(), &head);
            if let Some(edges) = &mut edges {
                self.edge_edits(change, before.as_ref(), &head, edges)?;
            }
            let ResolvedChange { owner, id, digest, number, .. } = *change;
            let identity = IdentityEntry { id, digest, number, live: head.end == 0 };
            identities.push(self.parts.part(id), &IdentityEdit { owner, identity })?;
            heads.push(Some(head));
        }
        Ok(heads)
    }

    /// The head after a change.
    fn head(&self, change: &ResolvedChange, before: Option<&ObjectHead>) -> ObjectHead {
        let ChangeOwner { scope, sequence, .. } = self.owners[change.owner as usize];
        let now = self.now;
        match (change.facts, before) {
            (Some(facts), before) => ObjectHead {
                scope,
                type_name: facts.type_name,
                class: facts.class,
                from: change.ends.0,
                to: change.ends.1,
                created: before.map_or(now, |b| b.created),
                begin: now,
                end: 0,
                version: before.map_or(1, |b| b.version.saturating_add(1)),
                job: sequence,
                block: facts.block,
                slot: facts.slot,
                // A patch may name an entity by its id.
                key: match before {
                    Some(before) if change.key.is_empty() && self.kind == ObjectKind::Entity => {
                        before.key.clone()
                    }
                    _ => change.key.clone(),
                },
                display: change.display.clone(),
            },
            (None, before) => {
                let before = before.expect("BUG: what has no contents was stored before");
                ObjectHead { end: now, job: sequence, ..before.clone() }
            }
        }
    }

    /// Puts down the edges that a changed relationship loses and gains, as seen from both ends.
    fn edge_edits(
        &self,
        change: &ResolvedChange,
        before: Option<&ObjectHead>,
        after: &ObjectHead,
        [out, into]: &mut [&mut SpillBuckets<AdjacencyEdit>; 2],
    ) -> Result<(), StoreError> {
        let edge = |head: &ObjectHead| match self.labels.number(RelationshipLabel::of(head)) {
            Some(label) => Ok((head.from, head.to, label)),
            None => Err(StoreError::corrupt("labels", &[], "the label of an edge is missing")),
        };
        // Only live relationships have edges, so a tombstone counts as no edge.
        let before = before.filter(|b| b.end == 0).map(edge).transpose()?;
        let after = (after.end == 0).then(|| edge(after)).transpose()?;
        if before == after {
            return Ok(());
        }
        let ranges = out.count();
        let at = |entity| range_of(entity, ranges, self.entities);
        for (edge, add) in [(before, false), (after, true)] {
            let Some((from, to, label)) = edge else { continue };
            let turned = |other| StoredEdge { other, label, relationship: change.number };
            out.push(at(from), &AdjacencyEdit::new(from, turned(to), add))?;
            into.push(at(to), &AdjacencyEdit::new(to, turned(from), add))?;
        }
        Ok(())
    }
}

/// Stores a plan: it gathers the parts of the changes and hands them to the writer in order.
struct PlanApplier<'s> {
    stage: &'s UploadStage,
    folder: &'s Path,
    writer: &'s mut GraphWriter,
    owners: Arc<[ChangeOwner]>,
    /// By owner: changes in the counts of its scope; `None` if nothing of this kind was stored.
    shifts: Vec<Option<CountDeltas>>,
    now: i64,
    /// By hash.
    parts: HashPartitions,
    identities: SharedBuckets<IdentityEdit>,
    /// Changes whose heads are to be stored next.
    pending: Vec<ResolvedChange>,
    /// Edges by entity, in either direction.
    edges: [SharedBuckets<AdjacencyEdit>; 2],
    /// One more than the greatest number of an entity.
    entities: u32,
}

/// Records that are stored as one piece, about.
const PIECE: usize = 128 << 10;
/// New relationships that are numbered in one go, about.
const FRESH_AT_ONCE: usize = if cfg!(test) { 8 } else { 64 << 10 };
/// Changes whose heads are stored in one go, about.
const PENDING: usize = if cfg!(test) { 8 } else { 48 << 10 };
/// Changes whose contents are packed in one go, to twice as many.
const BATCH: usize = if cfg!(test) { 4 } else { 24 << 10 };
/// Types whose labels are kept near while packing.
const TYPES: usize = 128;
/// Owners whose blocks stay open from batch to batch, so that fewer of them are short.
const OPEN: usize = 32;

impl<'s> PlanApplier<'s> {
    fn new(
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
    fn begin(&mut self, kind: ObjectKind, plan: &SyncPlan) -> Result<(), SyncError> {
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
    fn delete(
        &mut self,
        kind: ObjectKind,
        owner: u32,
        changes: Vec<ObjectChange>,
    ) -> Result<(), SyncError> {
        for change in changes {
            self.pending.push(ResolvedChange::new(&ObjectChange { job: owner, ..change }));
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
            let label = |change: &ResolvedChange| change.label(&owners[change.owner as usize]);
            self.label_new(pending.iter().filter_map(label));
        }
        self.store(kind, std::iter::once(Ok(&pending[..])))?;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    /// Stores the changes of a kind except deletions, batch by batch. Keeps new relationships back
    /// until they can be numbered and returns them, by owner and by the entity where they begin.
    fn store_changes(
        &mut self,
        kind: ObjectKind,
        plan: &mut SyncPlan,
    ) -> Result<SpillBuckets<ResolvedChange>, SyncError> {
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
    fn number(&mut self, mut fresh: SpillBuckets<ResolvedChange>) -> Result<(), SyncError> {
        // Owners have consecutive numbers, in the order of their buckets.
        let mut next = self.owners.first().map_or(0, |owner| owner.first);
        let all = fresh.count();
        let steps = bucket_steps(&fresh, FRESH_AT_ONCE);
        // Relationships that do not fill their chunk of heads yet.
        let mut rest: Vec<ResolvedChange> = Vec::new();
        let number = |range: Range<usize>| {
            let last = range.end == all;
            let mut buckets = Vec::with_capacity(range.len());
            for bucket in fresh.take_all(range)? {
                let first = next;
                next += bucket.len() as u32;
                buckets.push((bucket, first));
            }
            let buckets: Vec<Vec<ResolvedChange>> =
                buckets.into_par_iter().map(|(bucket, first)| numbered(bucket, first)).collect();
            let mut batches = Vec::with_capacity(2 * buckets.len() + 1);
            for mut changes in buckets {
                let Some(first) = changes.first().map(|change| change.number) else { continue };
                // Batches are cut where a chunk of heads ends, so that no chunk is written twice.
                let missing = (first.next_multiple_of(HEAD_CHUNK) - first) as usize;
                let from = missing.min(changes.len());
                rest.extend_from_slice(&changes[..from]);
                if from == missing {
                    batches.push(NumberedRelationships {
                        changes: std::mem::take(&mut rest),
                        from: 0,
                    });
                    let whole = (changes.len() - from) / HEAD_CHUNK as usize * HEAD_CHUNK as usize;
                    rest = changes.split_off(from + whole);
                    batches.push(NumberedRelationships { changes, from });
                }
            }
            if last {
                batches.push(NumberedRelationships { changes: std::mem::take(&mut rest), from: 0 });
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
    fn store<B: Borrow<[ResolvedChange]> + Send + Sync>(
        &mut self,
        kind: ObjectKind,
        batches: impl Iterator<Item = Result<B, StoreError>>,
    ) -> Result<(), StoreError> {
        let (parts, entities) = (self.parts, self.entities);
        let (owners, labels) = (&*self.owners, &self.writer.labels);
        let (identities, edges) = (&self.identities, &self.edges);
        let now = self.now;
        let heads = HeadBuilder { kind, owners, now, labels, parts, entities, identities, edges };
        let number = |change: &ResolvedChange| change.number;
        let make =
            |changes: &[ResolvedChange],
             stored: &StoredHeads<'_>,
             shifts: &mut OwnerCountDeltas| { heads.make(changes, stored, shifts) };
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
    fn finish(&mut self, kind: ObjectKind) -> Result<(), SyncError> {
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
            Ok(by_owner)
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
            // A new generation voids all that `sync/known.rs` read of the scope.
            row.generation += 1;
            shifts.apply(row, kind);
            let next = owner.next_block.load(Ordering::Relaxed);
            row.next_block[kind as usize] = row.next_block[kind as usize].max(next);
        }
        Ok(())
    }

    /// Stores the edges.
    fn adjacency(self) -> Result<(), StoreError> {
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

/// Ranges that cover all buckets; a step holds about `records` records.
fn bucket_steps<T: SpillRecord>(
    buckets: &SpillBuckets<T>,
    records: usize,
) -> impl ExactSizeIterator<Item = Range<usize>> + Send + use<T> {
    let count = buckets.count();
    let at_once = (records * count).checked_div(buckets.records()).unwrap_or(count);
    step_ranges(count, at_once.clamp(1, count.max(1)))
}

/// New relationships in the order of their numbers. Those before `from` are taken already.
struct NumberedRelationships {
    changes: Vec<ResolvedChange>,
    from: usize,
}

impl Borrow<[ResolvedChange]> for NumberedRelationships {
    fn borrow(&self) -> &[ResolvedChange] {
        &self.changes[self.from..]
    }
}

/// New relationships in the order of their ends, with numbers from `first` on.
fn numbered(fresh: Vec<ResolvedChange>, first: u32) -> Vec<ResolvedChange> {
    // Sorting the small keys moves less memory than sorting the changes.
    let ends = |(from, to)| u64::from(from) << 32 | u64::from(to);
    let order = fresh.iter().map(|change| (ends(change.ends), change.id.0)).zip(0..);
    let mut order: Vec<((u64, u64), u32)> = order.collect();
    order.sort_unstable();
    let mut fresh: Vec<Option<ResolvedChange>> = fresh.into_iter().map(Some).collect();
    let number = |((_, at), number): ((_, u32), u32)| {
        let change = fresh[at as usize].take().expect("BUG: each stands once in the order");
        ResolvedChange { number, ..change }
    };
    order.into_iter().zip(first..).map(number).collect()
}

/// The position of the range that holds an entity, of `ranges` equal ranges of all entities.
fn range_of(entity: u32, ranges: usize, entities: u32) -> usize {
    (u64::from(entity) * ranges as u64 / u64::from(entities.max(1))) as usize
}

/// The numbers that the names of a batch have in the database.
struct BatchNames {
    numbers: Vec<u32>,
    /// Position of `displayName` among them.
    display: Option<u32>,
}

/// Packs the contents of changes into blocks.
struct ContentPacker<'p> {
    kind: ObjectKind,
    /// Batches as uploaded, and merged ones.
    stages: [&'p UploadStage; 2],
    owners: &'p [ChangeOwner],
    entities: u32,
    /// New relationships.
    fresh: &'p SharedBuckets<ResolvedChange>,
    /// Packers that no thread uses at the moment.
    packers: Mutex<Vec<BodyPacker>>,
}

/// By whether a batch is a merged one, and its number.
type BatchNameMap = FxHashMap<(bool, u32), BatchNames>;

/// Changes in the order of the batches where their contents are.
struct ChangeWindow {
    changes: Vec<ObjectChange>,
    frames: BatchNameMap,
}

impl ChangeWindow {
    /// The end of a part that begins at `from`. A part ends where a batch does, so that the batch
    /// is read once; only a very large batch is cut.
    fn part_end(&self, from: usize) -> usize {
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
struct PackedChanges {
    /// Blocks by owner.
    blocks: Vec<(u32, PackedBlock)>,
    /// Labels of new relationships.
    labels: FxHashSet<RelationshipLabel>,
    others: Vec<ResolvedChange>,
}

impl ContentPacker<'_> {
    /// The names of all batches that hold contents of `changes`, which lie batch by batch.
    fn intern_batch_names(
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
    fn close(&self) -> Vec<(u32, PackedBlock)> {
        let mut packers = self.packers.lock().unwrap_or_else(PoisonError::into_inner);
        packers.par_iter_mut().flat_map_iter(BodyPacker::close).collect()
    }

    /// Packs the contents of changes, which lie batch by batch.
    fn pack(
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
        fresh: &mut SpillBuckets<ResolvedChange>,
        changes: &[ObjectChange],
        frames: &BatchNameMap,
    ) -> Result<PackedChanges, SyncError> {
        let mut packed = PackedChanges::default();
        let (mut properties, mut body) = (Vec::new(), Vec::new());
        // A label that was met last for its type need not go to the set again.
        let mut met = [None; TYPES];
        for alike in by_batch(changes) {
            let (merged, frame) = alike[0].place.batch();
            let records = self.stages[usize::from(merged)].records(frame)?;
            let BatchNames { numbers, display } = &frames[&(merged, frame)];
            for change in alike {
                let ContentLocation { offset, len, .. } = change.place;
                let record = StagedRecord::read(self.kind, &records, (offset, len))
                    .ok_or_else(SyncError::damaged_stage)?;
                properties.clear();
                let (mut count, mut shown) = (0, None);
                let raw = record
                    .for_each_property(|name, value| {
                        // A `displayName` that is text lives in the head, where lists of entities
                        // find it.
                        if Some(name) == *display
                            && let Some(Value::Text(text)) = take_value(&mut ByteCursor(value))
                        {
                            shown = Some(Box::from(text.as_ref()));
                            return;
                        }
                        count += 1;
                        put_varint(&mut properties, numbers[name as usize].into());
                        properties.extend_from_slice(value);
                    })
                    .ok_or_else(SyncError::damaged_stage)?;
                let (mut block, mut slot) = (NO_BODY, 0);
                let owner = &self.owners[change.job as usize];
                if count > 0 || !raw.is_empty() {
                    body.clear();
                    put_varint(&mut body, count);
                    body.extend_from_slice(&properties);
                    body.extend_from_slice(raw.as_bytes());
                    let (place, full) = packer.push(change.job, &body, &owner.next_block);
                    (block, slot) = place;
                    packed.blocks.extend(full.map(|full| (change.job, full)));
                }
                let type_name = numbers[record.type_name as usize];
                let class = numbers[record.class as usize];
                let mut settled = ResolvedChange {
                    facts: Some(HeadFields { type_name, class, block, slot }),
                    key: record.key.into(),
                    display: shown,
                    ..ResolvedChange::new(change)
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

/// Changes in the counts of a scope, gathered by type and class, which are few while objects are
/// many.
#[derive(Default)]
struct CountDeltas {
    live: FxHashMap<(u32, u32), i64>,
    deleted: i64,
    dead: u64,
}

impl CountDeltas {
    fn count(&mut self, change: &ResolvedChange, before: Option<&ObjectHead>, after: &ObjectHead) {
        if let Some(before) = before {
            if before.end == 0 {
                *self.live.entry((before.type_name, before.class)).or_default() -= 1;
            } else {
                self.deleted -= 1;
            }
            // A tombstone keeps its body; new contents leave the old body dead in its block.
            self.dead +=
                u64::from(before.block != NO_BODY && change.action != ChangeAction::Delete);
        }
        if after.end == 0 {
            *self.live.entry((after.type_name, after.class)).or_default() += 1;
        } else {
            self.deleted += 1;
        }
    }

    fn add(&mut self, other: &CountDeltas) {
        for (&of, by) in &other.live {
            *self.live.entry(of).or_default() += by;
        }
        self.deleted += other.deleted;
        self.dead += other.dead;
    }

    fn apply(self, row: &mut ScopeRow, kind: ObjectKind) {
        let counts = &mut row.counts[kind as usize];
        for ((type_name, class), by) in self.live.into_iter().filter(|(_, by)| *by != 0) {
            counts.shift(type_name, class, by);
        }
        counts.deleted = counts.deleted.saturating_add_signed(self.deleted);
        row.dead[kind as usize] += self.dead;
    }
}
