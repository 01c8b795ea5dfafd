//! Applying: a plan becomes heads, identities, edges and blocks in one write transaction.
//!
//! This module decides nothing. It takes changes in the order of the stage, so that each batch is
//! read once, and puts their parts into buckets for the other orders: new relationships by the
//! entity where they begin (this gives them their numbers and keeps adjacency columns narrow),
//! identities by hash, edges by entity. Memory holds a few batches, or buckets, of each at a time.

use super::SyncError;
use super::ahead::{ahead, all_ahead, several};
use super::batch::Record;
use super::change::{Action, Change, Place, Plan};
use super::compare::{HELD, Parts};
use super::job::Uploads;
use crate::graph::{Direction, IdHash, Kind, Value};
use crate::store::staging::Stage;
use crate::store::{
    Batches, Block, BodyPacker, Buckets, Cursor, HEAD_CHUNK, Head, Identity, JobRow, Label, Labels,
    NO_BODY, NameBook, Next, Packed, ScopeRow, SharedBuckets, StoreError, StoredEdge, StoredHeads,
    Writer, pipeline, put_bytes, put_varint, take_value,
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
    plan: &mut Plan,
    uploads: &Uploads,
    writer: &mut Writer,
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
        owners.push(Owner::new(scope, sequence));
    }
    let mut deletions: BTreeMap<(u32, Kind), Vec<u32>> = BTreeMap::new();
    let mut deletes: [Vec<(u32, Vec<Change>)>; 2] = Default::default();
    for (job, at) in plan.jobs.iter_mut().zip(0..) {
        for (all, mine) in deletes.iter_mut().zip(&mut job.deletes) {
            all.push((at, std::mem::take(mine)));
        }
    }
    let culprit = foreign_culprit(&deletes[Kind::Entity as usize]);
    for (scope, changes) in std::mem::take(&mut plan.foreign) {
        deletes[Kind::Relationship as usize].push((owners.len() as u32, changes));
        owners.push(Owner::new(scope, owners[culprit].sequence));
    }
    let mut storing = Storing::new(plan, uploads, writer, owners, now);
    // Entities first: relationships are put in the order of the numbers of their ends.
    for (kind, deletes) in [Kind::Entity, Kind::Relationship].into_iter().zip(deletes) {
        storing.begin(kind, plan)?;
        for (owner, changes) in deletes {
            let sequence = storing.owners[owner as usize].sequence;
            let gone = deletions.entry((sequence, kind)).or_default();
            gone.extend(changes.iter().map(|change| change.number));
            storing.delete(kind, owner, changes)?;
        }
        let fresh = storing.changes(kind, plan)?;
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
fn foreign_culprit(deletes: &[(u32, Vec<Change>)]) -> usize {
    deletes.iter().position(|(_, changes)| !changes.is_empty()).unwrap_or(0)
}

/// The owner of changes: a job of the plan, or a foreign scope whose relationships go with entities
/// of the plan.
struct Owner {
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

impl Owner {
    fn new(scope: u32, sequence: u32) -> Owner {
        let next_block = AtomicU32::new(0);
        Owner { scope, sequence, first: 0, fresh: (0, 0), next_block }
    }
}

/// The fields of a new head that come from the contents: names, and the place of the body.
#[derive(Clone, Copy, Debug)]
struct Facts {
    type_name: u32,
    class: u32,
    block: u32,
    slot: u32,
}

/// A change with everything that its head needs.
#[derive(Clone, Debug)]
struct Settled {
    /// Position of the owner.
    owner: u32,
    number: u32,
    id: IdHash,
    digest: u64,
    ends: (u32, u32),
    action: Action,
    /// The new contents; `None` for a deletion.
    facts: Option<Facts>,
    /// Empty if it is not stored.
    key: Box<str>,
    display: Option<Box<str>>,
}

impl Settled {
    fn new(change: &Change) -> Settled {
        let Change { job: owner, number, id, digest, ends, action, .. } = *change;
        let (facts, key, display) = (None, Box::default(), None);
        Settled { owner, number, id, digest, ends, action, facts, key, display }
    }

    /// The label of a relationship that has contents.
    fn label(&self, owner: &Owner) -> Option<Label> {
        let Facts { type_name, class: verb, .. } = self.facts?;
        let derived_key = self.key.is_empty();
        Some(Label { scope: owner.scope, type_name, verb, derived_key })
    }
}

/// Packs new relationships that have no number yet. No other changes are packed.
impl Packed for Settled {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        let Facts { type_name, class, block, slot } =
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

    fn take(c: &mut Cursor<'_>) -> Option<Self> {
        let (id, digest, owner) = (IdHash(c.u64()?), c.u64()?, c.varint32()?);
        let ends = (c.varint32()?, c.varint32()?);
        let (type_name, class) = (c.varint32()?, c.varint32()?);
        let (block, slot) = (c.varint32()?.wrapping_sub(1), c.varint32()?);
        let key = c.text()?.into();
        let display = match c.u8()? {
            0 => None,
            _ => Some(c.text()?.into()),
        };
        let facts = Some(Facts { type_name, class, block, slot });
        let action = Action::Create;
        Some(Settled { owner, number: 0, id, digest, ends, action, facts, key, display })
    }
}

/// An identity with its owner, to be brought into the order of hashes.
struct Identified {
    owner: u32,
    identity: Identity,
}

impl Packed for Identified {
    fn put(&self, out: &mut Vec<u8>) {
        let Identity { id, digest, number, live } = self.identity;
        out.extend_from_slice(&id.0.to_le_bytes());
        out.extend_from_slice(&digest.to_le_bytes());
        put_varint(out, u64::from(number) * 2 + u64::from(live));
        put_varint(out, self.owner.into());
    }

    fn take(c: &mut Cursor<'_>) -> Option<Self> {
        let (id, digest, packed) = (IdHash(c.u64()?), c.u64()?, c.varint()?);
        let (number, live) = ((packed / 2) as u32, packed % 2 == 1);
        Some(Identified { owner: c.varint32()?, identity: Identity { id, digest, number, live } })
    }
}

/// An edge as seen from one of its ends, and whether it is added or removed, as one number. From
/// the highest bits to the lowest: entity, other, label, relationship, addition. This is the order
/// of edges in a segment, removals before additions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turned(u128);

impl Turned {
    fn new(entity: u32, edge: StoredEdge, add: bool) -> Turned {
        let StoredEdge { other, label, relationship } = edge;
        // Both share 32 bits, so the number of a relationship must fit 31.
        let last = u128::from(relationship) << 1 | u128::from(add);
        let first = u128::from(entity) << 96 | u128::from(other) << 64;
        Turned(first | u128::from(label) << 32 | last)
    }

    fn edit(self) -> ((u32, StoredEdge), bool) {
        let [entity, other, label] = [96, 64, 32].map(|shift| (self.0 >> shift) as u32);
        let last = self.0 as u32;
        ((entity, StoredEdge { other, label, relationship: last >> 1 }), last & 1 == 1)
    }
}

impl Packed for Turned {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn take(c: &mut Cursor<'_>) -> Option<Self> {
        Some(Turned(c.array().map(u128::from_le_bytes)?))
    }
}

/// Makes the heads of a kind.
struct Heads<'l> {
    kind: Kind,
    owners: &'l [Owner],
    now: i64,
    /// Labels of all relationships, before the change and after it.
    labels: &'l Labels,
    parts: Parts,
    entities: u32,
    /// Buckets for the identity and the edges of each change.
    identities: &'l SharedBuckets<Identified>,
    edges: &'l [SharedBuckets<Turned>; 2],
}

/// Changes of counts, in the order of the changes. An owner may be there more than once.
type ShiftsByOwner = Vec<(u32, Shifts)>;

impl Heads<'_> {
    /// Makes the heads of changes in the order of numbers.
    fn make(
        &self,
        changes: &[Settled],
        stored: &StoredHeads<'_>,
        shifts: &mut ShiftsByOwner,
    ) -> Result<Vec<Option<Head>>, StoreError> {
        let [out, into] = self.edges;
        // Threads fill buckets of their own; those for edges are taken only if edges can come.
        self.identities.fill(|identities| {
            if self.kind == Kind::Entity {
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
        changes: &[Settled],
        stored: &StoredHeads<'_>,
        shifts: &mut ShiftsByOwner,
        identities: &mut Buckets<Identified>,
        mut edges: Option<[&mut Buckets<Turned>; 2]>,
    ) -> Result<Vec<Option<Head>>, StoreError> {
        let mut heads = Vec::with_capacity(changes.len());
        for change in changes {
            let before = match change.action {
                Action::Create => None,
                Action::Revive | Action::Update | Action::Delete => {
                    Some(stored.get(change.number).ok_or_else(|| {
                        let number = change.number.to_be_bytes();
                        StoreError::corrupt("heads", &number, "an object of the plan is missing")
                    })?)
                }
            };
            let head = self.head(change, before.as_ref());
            if shifts.last().is_none_or(|(last, _)| *last != change.owner) {
                shifts.push((change.owner, Shifts::default()));
            }
            let (_, of_owner) = shifts.last_mut().expect("BUG: one was just pushed");
            of_owner.count(change, before.as_ref(), &head);
            if let Some(edges) = &mut edges {
                self.edge_edits(change, before.as_ref(), &head, edges)?;
            }
            let Settled { owner, id, digest, number, .. } = *change;
            let identity = Identity { id, digest, number, live: head.end == 0 };
            identities.push(self.parts.part(id), &Identified { owner, identity })?;
            heads.push(Some(head));
        }
        Ok(heads)
    }

    /// The head after a change.
    fn head(&self, change: &Settled, before: Option<&Head>) -> Head {
        let Owner { scope, sequence, .. } = self.owners[change.owner as usize];
        let now = self.now;
        match (change.facts, before) {
            (Some(facts), before) => Head {
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
                    Some(before) if change.key.is_empty() && self.kind == Kind::Entity => {
                        before.key.clone()
                    }
                    _ => change.key.clone(),
                },
                display: change.display.clone(),
            },
            (None, before) => {
                let before = before.expect("BUG: what has no contents was stored before");
                Head { end: now, job: sequence, ..before.clone() }
            }
        }
    }

    /// Puts down the edges that a changed relationship loses and gains, as seen from both ends.
    fn edge_edits(
        &self,
        change: &Settled,
        before: Option<&Head>,
        after: &Head,
        [out, into]: &mut [&mut Buckets<Turned>; 2],
    ) -> Result<(), StoreError> {
        let edge = |head: &Head| match self.labels.number(Label::of(head)) {
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
            out.push(at(from), &Turned::new(from, turned(to), add))?;
            into.push(at(to), &Turned::new(to, turned(from), add))?;
        }
        Ok(())
    }
}

/// Stores a plan: it gathers the parts of the changes and hands them to the writer in order.
struct Storing<'s> {
    stage: &'s Stage,
    folder: &'s Path,
    writer: &'s mut Writer,
    owners: Arc<[Owner]>,
    /// By owner: changes in the counts of its scope; `None` if nothing of this kind was stored.
    shifts: Vec<Option<Shifts>>,
    now: i64,
    /// By hash.
    parts: Parts,
    identities: SharedBuckets<Identified>,
    /// Changes whose heads are to be stored next.
    pending: Vec<Settled>,
    /// Edges by entity, in either direction.
    edges: [SharedBuckets<Turned>; 2],
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

impl<'s> Storing<'s> {
    fn new(
        plan: &Plan,
        uploads: &'s Uploads,
        writer: &'s mut Writer,
        owners: Vec<Owner>,
        now: i64,
    ) -> Storing<'s> {
        let folder = uploads.folder();
        let records = |of: &Buckets<Change>| of.records() as u64;
        let parts = Parts::of(plan.changes.iter().map(records).sum());
        let ranges = Parts::of(records(&plan.changes[Kind::Relationship as usize])).count();
        let edges = || Buckets::new(folder, ranges, HELD).shared();
        Storing {
            stage: uploads.stage(),
            folder,
            writer,
            shifts: std::iter::repeat_with(|| None).take(owners.len()).collect(),
            owners: owners.into(),
            now,
            parts,
            identities: Buckets::new(folder, parts.count(), HELD).shared(),
            pending: Vec::new(),
            edges: [edges(), edges()],
            entities: 0,
        }
    }

    /// Begins a kind and takes the numbers for its new objects.
    fn begin(&mut self, kind: Kind, plan: &Plan) -> Result<(), SyncError> {
        let mut buckets = 0;
        let owners = Arc::get_mut(&mut self.owners).expect("BUG: nobody packs between kinds");
        for (owner, job) in owners.iter_mut().zip(&plan.jobs) {
            let created = job.created[kind as usize];
            // The plan counts on this: jobs in order, each with consecutive numbers.
            owner.first = self.writer.take_numbers(kind, created as usize)?;
            *owner.next_block.get_mut() = self.writer.scope(owner.scope)?.next_block[kind as usize];
            if kind == Kind::Relationship {
                let ranges = if created == 0 { 0 } else { Parts::of(created.into()).count() };
                owner.fresh = (buckets, ranges);
                buckets += ranges;
            }
        }
        if kind == Kind::Relationship {
            self.entities = self.writer.meta.bound(Kind::Entity);
        }
        Ok(())
    }

    /// Deletes objects of an owner.
    fn delete(&mut self, kind: Kind, owner: u32, changes: Vec<Change>) -> Result<(), SyncError> {
        for change in changes {
            self.pending.push(Settled::new(&Change { job: owner, ..change }));
            if self.pending.len() == PENDING {
                self.store_pending(kind)?;
            }
        }
        Ok(())
    }

    /// Stores the pending changes.
    fn store_pending(&mut self, kind: Kind) -> Result<(), SyncError> {
        let mut pending = std::mem::take(&mut self.pending);
        // Heads lie in chunks by number, and the writer takes them ascending.
        pending.par_sort_unstable_by_key(|change| change.number);
        if kind == Kind::Relationship {
            // Edges are made from heads and need the numbers of their labels.
            let owners = Arc::clone(&self.owners);
            let label = |change: &Settled| change.label(&owners[change.owner as usize]);
            self.label_new(pending.iter().filter_map(label));
        }
        self.store(kind, std::iter::once(Ok(&pending[..])))?;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    /// Stores the changes of a kind except deletions, batch by batch. Keeps new relationships back
    /// until they can be numbered and returns them, by owner and by the entity where they begin.
    fn changes(&mut self, kind: Kind, plan: &mut Plan) -> Result<Buckets<Settled>, SyncError> {
        let mut changes =
            std::mem::replace(&mut plan.changes[kind as usize], Buckets::new(self.folder, 0, 0));
        let windows = changes.count();
        // New names are met while packing, and nothing else asks for them meanwhile.
        let mut names = std::mem::take(&mut self.writer.names);
        let scopes: Vec<&str> = plan.jobs.iter().map(|job| job.spec.scope.as_str()).collect();
        let owners = Arc::clone(&self.owners);
        let ranges = owners.iter().map(|owner| owner.fresh.0 + owner.fresh.1).max();
        let fresh = Buckets::new(self.folder, ranges.unwrap_or(0), HELD).shared();
        let packing = Packing {
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
            let frames = packing.frames(&changes, &mut names, &scopes)?;
            Ok::<_, SyncError>(Window { changes, frames })
        };
        let done = all_ahead(0..windows, window, |windows| {
            let mut windows = Batches::new(windows);
            let gather = |_: &mut Self| {
                let Some((window, from)) = windows.rest(|window: &Window| window.changes.len())?
                else {
                    return Ok(Next::End);
                };
                let to = window.part(from);
                windows.take_to(to);
                Ok(Next::Group((window, from..to)))
            };
            let pack = |(window, part): (Arc<Window>, Range<usize>)| {
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
    fn put_filled(&mut self, kind: Kind, filled: Filled) -> Result<(), SyncError> {
        self.put_blocks(kind, filled.blocks)?;
        self.label_new(filled.labels);
        self.pending.extend(filled.others);
        if self.pending.len() >= PENDING { self.store_pending(kind) } else { Ok(()) }
    }

    fn put_blocks(&mut self, kind: Kind, blocks: Vec<(u32, Block)>) -> Result<(), StoreError> {
        blocks.into_iter().try_for_each(|(owner, block)| {
            let scope = self.owners[owner as usize].scope;
            self.writer.put_bodies(kind, scope, [block])
        })
    }

    /// Numbers new relationships in the order of their ends, and stores them.
    fn number(&mut self, mut fresh: Buckets<Settled>) -> Result<(), SyncError> {
        // Owners have consecutive numbers, in the order of their buckets.
        let mut next = self.owners.first().map_or(0, |owner| owner.first);
        let all = fresh.count();
        let steps = pieces(&fresh, FRESH_AT_ONCE);
        // Relationships that do not fill their chunk of heads yet.
        let mut rest: Vec<Settled> = Vec::new();
        let number = |range: Range<usize>| {
            let last = range.end == all;
            let mut buckets = Vec::with_capacity(range.len());
            for bucket in fresh.take_all(range)? {
                let first = next;
                next += bucket.len() as u32;
                buckets.push((bucket, first));
            }
            let buckets: Vec<Vec<Settled>> =
                buckets.into_par_iter().map(|(bucket, first)| numbered(bucket, first)).collect();
            let mut batches = Vec::with_capacity(2 * buckets.len() + 1);
            for mut changes in buckets {
                let Some(first) = changes.first().map(|change| change.number) else { continue };
                // Batches are cut where a chunk of heads ends, so that no chunk is written twice.
                let missing = (first.next_multiple_of(HEAD_CHUNK) - first) as usize;
                let from = missing.min(changes.len());
                rest.extend_from_slice(&changes[..from]);
                if from == missing {
                    batches.push(Fresh { changes: std::mem::take(&mut rest), from: 0 });
                    let whole = (changes.len() - from) / HEAD_CHUNK as usize * HEAD_CHUNK as usize;
                    rest = changes.split_off(from + whole);
                    batches.push(Fresh { changes, from });
                }
            }
            if last {
                batches.push(Fresh { changes: std::mem::take(&mut rest), from: 0 });
            }
            Ok(batches)
        };
        all_ahead(steps, number, |steps| {
            let batches = steps.flat_map(|batches| match batches {
                Ok(batches) => batches.into_iter().map(Ok).collect(),
                Err(e) => vec![Err(e)],
            });
            self.store(Kind::Relationship, batches)
        })?;
        Ok(())
    }

    /// Stores heads, and puts down identities, edges and counts. Heads ascend by number in each
    /// batch.
    fn store<B: Borrow<[Settled]> + Send + Sync>(
        &mut self,
        kind: Kind,
        batches: impl Iterator<Item = Result<B, StoreError>>,
    ) -> Result<(), StoreError> {
        let (parts, entities) = (self.parts, self.entities);
        let (owners, labels) = (&*self.owners, &self.writer.labels);
        let (identities, edges) = (&self.identities, &self.edges);
        let now = self.now;
        let heads = Heads { kind, owners, now, labels, parts, entities, identities, edges };
        let number = |change: &Settled| change.number;
        let make = |changes: &[Settled], stored: &StoredHeads<'_>, shifts: &mut ShiftsByOwner| {
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
    fn label_new(&mut self, met: impl IntoIterator<Item = Label>) {
        let labels = &mut self.writer.labels;
        let mut new: Vec<Label> =
            met.into_iter().filter(|label| labels.number(*label).is_none()).collect();
        new.sort_unstable();
        new.into_iter().for_each(|label| {
            labels.intern(label);
        });
    }

    /// Ends a kind: identities and counts.
    fn finish(&mut self, kind: Kind) -> Result<(), SyncError> {
        let empty = Buckets::new(self.folder, self.parts.count(), HELD).shared();
        let mut identities = std::mem::replace(&mut self.identities, empty).whole()?;
        let Storing { owners, writer, .. } = self;
        let steps = pieces(&identities, PIECE);
        // Buckets are parts of the hash space in order, so the edits of an owner ascend across
        // them.
        let sort = |range: Range<usize>| {
            let mut parts = identities.take_all(range)?;
            parts.par_iter_mut().for_each(|part| {
                part.sort_unstable_by_key(|one| {
                    u128::from(one.owner) << 64 | u128::from(one.identity.id.0)
                });
            });
            let mut by_owner: BTreeMap<u32, Vec<(IdHash, Option<Identity>)>> = BTreeMap::new();
            for part in parts {
                for part in part.chunk_by(|a, b| a.owner == b.owner) {
                    let edits = by_owner.entry(part[0].owner).or_default();
                    edits.extend(part.iter().map(|one| (one.identity.id, Some(one.identity))));
                }
            }
            Ok(by_owner)
        };
        ahead(steps, sort, |by_owner| {
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
        let Storing { writer, edges, .. } = self;
        for (direction, edges) in [Direction::Out, Direction::In].into_iter().zip(edges) {
            let mut edges = edges.whole()?;
            let total = edges.records();
            if total == 0 {
                continue;
            }
            let steps = pieces(&edges, PIECE);
            // Buckets are ranges of entities in order, so sorting each of them sorts all.
            let sort = |range: Range<usize>| {
                let mut piece = edges.take_all(range)?;
                piece.par_iter_mut().for_each(|bucket| bucket.sort_unstable());
                Ok(piece.into_iter().flatten().map(Turned::edit).collect())
            };
            all_ahead(steps, sort, |pieces| writer.edit_adjacency_of(direction, total, pieces))?;
        }
        Ok(())
    }
}

/// Ranges that cover all buckets; a step holds about `records` records.
fn pieces<T: Packed>(
    buckets: &Buckets<T>,
    records: usize,
) -> impl ExactSizeIterator<Item = Range<usize>> + Send + use<T> {
    let count = buckets.count();
    let at_once = (records * count).checked_div(buckets.records()).unwrap_or(count);
    several(count, at_once.clamp(1, count.max(1)))
}

/// New relationships in the order of their numbers. Those before `from` are taken already.
struct Fresh {
    changes: Vec<Settled>,
    from: usize,
}

impl Borrow<[Settled]> for Fresh {
    fn borrow(&self) -> &[Settled] {
        &self.changes[self.from..]
    }
}

/// New relationships in the order of their ends, with numbers from `first` on.
fn numbered(fresh: Vec<Settled>, first: u32) -> Vec<Settled> {
    // Sorting the small keys moves less memory than sorting the changes.
    let ends = |(from, to)| u64::from(from) << 32 | u64::from(to);
    let order = fresh.iter().map(|change| (ends(change.ends), change.id.0)).zip(0..);
    let mut order: Vec<((u64, u64), u32)> = order.collect();
    order.sort_unstable();
    let mut fresh: Vec<Option<Settled>> = fresh.into_iter().map(Some).collect();
    let number = |((_, at), number): ((_, u32), u32)| {
        let change = fresh[at as usize].take().expect("BUG: each stands once in the order");
        Settled { number, ..change }
    };
    order.into_iter().zip(first..).map(number).collect()
}

/// The position of the range that holds an entity, of `ranges` equal ranges of all entities.
fn range_of(entity: u32, ranges: usize, entities: u32) -> usize {
    (u64::from(entity) * ranges as u64 / u64::from(entities.max(1))) as usize
}

/// The numbers that the names of a batch have in the database.
struct Names {
    numbers: Vec<u32>,
    /// Position of `displayName` among them.
    display: Option<u32>,
}

/// Packs the contents of changes into blocks.
struct Packing<'p> {
    kind: Kind,
    /// Batches as uploaded, and merged ones.
    stages: [&'p Stage; 2],
    owners: &'p [Owner],
    entities: u32,
    /// New relationships.
    fresh: &'p SharedBuckets<Settled>,
    /// Packers that no thread uses at the moment.
    packers: Mutex<Vec<BodyPacker>>,
}

/// By whether a batch is a merged one, and its number.
type Frames = FxHashMap<(bool, u32), Names>;

/// Changes in the order of the batches where their contents are.
struct Window {
    changes: Vec<Change>,
    frames: Frames,
}

impl Window {
    /// The end of a part that begins at `from`. A part ends where a batch does, so that the batch
    /// is read once; only a very large batch is cut.
    fn part(&self, from: usize) -> usize {
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
fn by_batch(changes: &[Change]) -> impl Iterator<Item = &[Change]> {
    changes.chunk_by(|a, b| a.place.batch() == b.place.batch())
}

/// The results of packing some changes.
#[derive(Default)]
struct Filled {
    /// Blocks by owner.
    blocks: Vec<(u32, Block)>,
    /// Labels of new relationships.
    labels: FxHashSet<Label>,
    others: Vec<Settled>,
}

impl Packing<'_> {
    /// The names of all batches that hold contents of `changes`, which lie batch by batch.
    fn frames(
        &self,
        changes: &[Change],
        names: &mut NameBook,
        scopes: &[&str],
    ) -> Result<Frames, StoreError> {
        let mut frames = Frames::default();
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
            frames.insert((merged, frame), Names { numbers, display: display.map(|at| at as u32) });
        }
        Ok(frames)
    }

    /// Closes the packers and returns the blocks that they had begun.
    fn close(&self) -> Vec<(u32, Block)> {
        let mut packers = self.packers.lock().unwrap_or_else(PoisonError::into_inner);
        packers.par_iter_mut().flat_map_iter(BodyPacker::close).collect()
    }

    /// Packs the contents of changes, which lie batch by batch.
    fn pack(&self, changes: &[Change], frames: &Frames) -> Result<Filled, SyncError> {
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
        fresh: &mut Buckets<Settled>,
        changes: &[Change],
        frames: &Frames,
    ) -> Result<Filled, SyncError> {
        let mut packed = Filled::default();
        let (mut properties, mut body) = (Vec::new(), Vec::new());
        // A label that was met last for its type need not go to the set again.
        let mut met = [None; TYPES];
        for alike in by_batch(changes) {
            let (merged, frame) = alike[0].place.batch();
            let records = self.stages[usize::from(merged)].records(frame)?;
            let Names { numbers, display } = &frames[&(merged, frame)];
            for change in alike {
                let Place { offset, len, .. } = change.place;
                let record = Record::read(self.kind, &records, (offset, len))
                    .ok_or_else(SyncError::damaged_stage)?;
                properties.clear();
                let (mut count, mut shown) = (0, None);
                let raw = record
                    .for_each_property(|name, value| {
                        // A `displayName` that is text lives in the head, where lists of entities
                        // find it.
                        if Some(name) == *display
                            && let Some(Value::Text(text)) = take_value(&mut Cursor(value))
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
                let mut settled = Settled {
                    facts: Some(Facts { type_name, class, block, slot }),
                    key: record.key.into(),
                    display: shown,
                    ..Settled::new(change)
                };
                match (change.action, self.kind) {
                    (Action::Create, Kind::Relationship) => {
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
                    (Action::Create, Kind::Entity) => settled.number += owner.first,
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
struct Shifts {
    live: FxHashMap<(u32, u32), i64>,
    deleted: i64,
    dead: u64,
}

impl Shifts {
    fn count(&mut self, change: &Settled, before: Option<&Head>, after: &Head) {
        if let Some(before) = before {
            if before.end == 0 {
                *self.live.entry((before.type_name, before.class)).or_default() -= 1;
            } else {
                self.deleted -= 1;
            }
            // A tombstone keeps its body; new contents leave the old body dead in its block.
            self.dead += u64::from(before.block != NO_BODY && change.action != Action::Delete);
        }
        if after.end == 0 {
            *self.live.entry((after.type_name, after.class)).or_default() += 1;
        } else {
            self.deleted += 1;
        }
    }

    fn add(&mut self, other: &Shifts) {
        for (&of, by) in &other.live {
            *self.live.entry(of).or_default() += by;
        }
        self.deleted += other.deleted;
        self.dead += other.dead;
    }

    fn apply(self, row: &mut ScopeRow, kind: Kind) {
        let counts = &mut row.counts[kind as usize];
        for ((type_name, class), by) in self.live.into_iter().filter(|(_, by)| *by != 0) {
            counts.shift(type_name, class, by);
        }
        counts.deleted = counts.deleted.saturating_add_signed(self.deleted);
        row.dead[kind as usize] += self.dead;
    }
}
