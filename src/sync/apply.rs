//! Applying: a plan becomes heads, identities, edges and blocks in one write transaction.
//!
//! Nothing is decided here. Changes are taken in the order of the stage, so that each batch is read
//! once, and put down in buckets in whatever other order is needed: new relationships by the entity
//! where they begin, which gives them their numbers and keeps adjacency columns narrow, identities
//! by hash, edges by entity. Memory holds one window, or one bucket, of each at a time.

use super::SyncError;
use super::ahead::{ahead, all_ahead, several};
use super::batch::Record;
use super::change::{Action, Change, Place, Plan};
use super::compare::{HELD, Parts};
use super::job::Uploads;
use crate::graph::{Direction, IdHash, Kind, Value};
use crate::store::staging::Stage;
use crate::store::{
    Block, BodyPacker, Buckets, Cursor, Dictionary, EdgeEdit, Head, Identity, JobRow, Label,
    Labels, NO_BODY, Packed, ScopeRow, StoreError, StoredEdge, StoredHeads, Writer, put_bytes,
    put_varint, take_value,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Stores a plan: graph, reports and counts change together at the commit of `writer`. The changes
/// are taken out of the plan.
///
/// `writer` starts from the state that the plan was made for; `now` is epoch milliseconds.
pub fn apply(
    plan: &mut Plan,
    uploads: &Uploads,
    writer: &mut Writer,
    now: i64,
) -> Result<(), SyncError> {
    let mut owners = Vec::with_capacity(plan.jobs.len() + plan.foreign.len());
    for job in &plan.jobs {
        let sequence = writer.meta.next_job;
        writer.meta.next_job += 1;
        let mut report = job.report.clone();
        report.end_timestamp = Some(now);
        writer.put_job(sequence, &job_row(&report))?;
        let scope = writer.names.intern(&job.spec.scope);
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
    for (kind, deletes) in [Kind::Entity, Kind::Relationship].into_iter().zip(deletes) {
        storing.begin(kind, plan)?;
        for (owner, changes) in deletes {
            let sequence = storing.owners[owner as usize].sequence;
            let gone = deletions.entry((sequence, kind)).or_default();
            gone.extend(changes.iter().map(|change| change.number));
            storing.delete(kind, owner, changes)?;
        }
        storing.changes(kind, plan)?;
        storing.number_fresh()?;
        storing.finish(kind)?;
    }
    storing.adjacency()?;
    for ((sequence, kind), mut numbers) in deletions {
        numbers.sort_unstable();
        writer.put_deletions(sequence, kind, &numbers)?;
    }
    for job in &plan.jobs {
        let scope = writer.names.intern(&job.spec.scope);
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

/// The job to which foreign deletions are written down: the first that deletes entities.
fn foreign_culprit(deletes: &[(u32, Vec<Change>)]) -> usize {
    deletes.iter().position(|(_, changes)| !changes.is_empty()).unwrap_or(0)
}

/// Who changes objects: a job of the plan, or the scope of others whose relationships go with its
/// entities.
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

/// Where the head of an object is to point, and what it says.
#[derive(Clone, Copy, Debug)]
struct Facts {
    type_name: u32,
    class: u32,
    block: u32,
    slot: u32,
}

/// A change with all that its head takes.
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
    /// Empty where it is not to be stored.
    key: Box<str>,
    display: Option<Box<str>>,
}

impl Settled {
    fn new(change: &Change) -> Settled {
        let Change { job: owner, number, id, digest, ends, action, .. } = *change;
        let (facts, key, display) = (None, Box::default(), None);
        Settled { owner, number, id, digest, ends, action, facts, key, display }
    }
}

/// As it is packed, this is a new relationship that has no number yet.
impl Packed for Settled {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        let Facts { type_name, class, block, slot } =
            self.facts.expect("BUG: what is new has contents");
        // One more, so that no block takes one byte and not five.
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

/// An identity on its way into the order of hashes.
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

/// An edge as seen from one of its ends, and whether it is added, as one number: entity, other,
/// label, relationship and addition from the highest bits to the lowest, which is the order of edges
/// in a segment, removals before additions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turned(u128);

impl Turned {
    fn new(entity: u32, edge: StoredEdge, add: bool) -> Turned {
        let StoredEdge { other, label, relationship } = edge;
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

/// What is equal in all heads of an owner.
struct Heads<'l> {
    kind: Kind,
    scope: u32,
    sequence: u32,
    now: i64,
    /// Those of all relationships, before the change and after it.
    labels: &'l Labels,
}

/// What the changes of one chunk of heads became, beside the heads.
#[derive(Default)]
struct Made {
    edges: Vec<EdgeEdit>,
    shifts: Shifts,
}

impl Heads<'_> {
    /// Makes the heads of changes in the order of numbers.
    fn make(
        &self,
        changes: &[Settled],
        stored: &StoredHeads<'_>,
    ) -> Result<(Vec<Option<Head>>, Made), StoreError> {
        let mut heads = Vec::with_capacity(changes.len());
        let mut made = Made::default();
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
            made.shifts.count(change, before.as_ref(), &head);
            if self.kind == Kind::Relationship {
                self.edge_edits(change, before.as_ref(), &head, &mut made.edges)?;
            }
            heads.push(Some(head));
        }
        Ok((heads, made))
    }

    /// The head after a change.
    fn head(&self, change: &Settled, before: Option<&Head>) -> Head {
        let (sequence, now) = (self.sequence, self.now);
        match (change.facts, before) {
            (Some(facts), before) => Head {
                scope: self.scope,
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

    /// The edges that a change of a relationship takes away and adds.
    fn edge_edits(
        &self,
        change: &Settled,
        before: Option<&Head>,
        after: &Head,
        edits: &mut Vec<EdgeEdit>,
    ) -> Result<(), StoreError> {
        let edit = |head: &Head, add| {
            let (from, to, relationship) = (head.from, head.to, change.number);
            match self.labels.number(Label::of(head)) {
                Some(label) => Ok(EdgeEdit { from, to, label, relationship, add }),
                None => Err(StoreError::corrupt("labels", &[], "the label of an edge is missing")),
            }
        };
        let before = before.filter(|b| b.end == 0).map(|b| edit(b, false)).transpose()?;
        let after = (after.end == 0).then(|| edit(after, true)).transpose()?;
        if let (Some(b), Some(a)) = (&before, &after)
            && (b.from, b.to, b.label) == (a.from, a.to, a.label)
        {
            return Ok(());
        }
        edits.extend(before);
        edits.extend(after);
        Ok(())
    }
}

/// A plan on its way into the file.
struct Storing<'s> {
    stage: &'s Stage,
    folder: &'s Path,
    writer: &'s mut Writer,
    owners: Arc<[Owner]>,
    /// By owner: what changes in the counts of its scope; `None` if nothing of this kind was
    /// stored.
    shifts: Vec<Option<Shifts>>,
    now: i64,
    /// By hash.
    parts: Parts,
    identities: Buckets<Identified>,
    /// Changes whose heads are to be stored next.
    pending: Vec<Settled>,
    /// New relationships by owner and the entity where they begin.
    fresh: Buckets<Settled>,
    /// Edges by entity, in either direction.
    edges: [Buckets<Turned>; 2],
    /// One more than the greatest number of an entity.
    entities: u32,
}

/// Records that are stored as one piece, about.
const PIECE: usize = 128 << 10;
/// Buckets of new relationships that are stored in one go.
const FRESH_AT_ONCE: usize = 4;
/// Changes whose heads are stored in one go, about.
const PENDING: usize = if cfg!(test) { 8 } else { 48 << 10 };
/// Owners whose blocks stay open from window to window, so that fewer of them are short.
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
        let edges = || Buckets::new(folder, ranges, HELD);
        Storing {
            stage: uploads.stage(),
            folder,
            writer,
            shifts: std::iter::repeat_with(|| None).take(owners.len()).collect(),
            owners: owners.into(),
            now,
            parts,
            identities: Buckets::new(folder, parts.count(), HELD),
            pending: Vec::new(),
            fresh: Buckets::new(folder, 0, HELD),
            edges: [edges(), edges()],
            entities: 0,
        }
    }

    /// Begins with a kind: its new objects get their numbers.
    fn begin(&mut self, kind: Kind, plan: &Plan) -> Result<(), SyncError> {
        let mut buckets = 0;
        let owners = Arc::get_mut(&mut self.owners).expect("BUG: nobody packs between kinds");
        for (owner, job) in owners.iter_mut().zip(&plan.jobs) {
            let created = job.created[kind as usize];
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
            self.fresh = Buckets::new(self.folder, buckets, HELD);
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

    /// Stores what has gathered, each chunk of heads once.
    fn store_pending(&mut self, kind: Kind) -> Result<(), SyncError> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.par_sort_unstable_by_key(|change| {
            u64::from(change.owner) << 32 | u64::from(change.number)
        });
        self.store(kind, &pending)?;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    /// Stores the changes of a kind but for deletions, window by window; new relationships are kept
    /// back until they can be numbered.
    fn changes(&mut self, kind: Kind, plan: &mut Plan) -> Result<(), SyncError> {
        let mut changes =
            std::mem::replace(&mut plan.changes[kind as usize], Buckets::new(self.folder, 0, 0));
        let windows = changes.count();
        let mut lanes: Vec<BodyPacker> = std::iter::repeat_with(BodyPacker::default)
            .take(rayon::current_num_threads())
            .collect();
        // New names are met while packing, and nothing else asks for them meanwhile.
        let mut names = std::mem::take(&mut self.writer.names);
        let owners = Arc::clone(&self.owners);
        let packing = Packing {
            kind,
            stages: [self.stage, &plan.merged],
            owners: &owners,
            entities: self.entities,
            empty: self.fresh.apart(),
        };
        let pack = |window: usize| {
            let changes = changes.take(window)?;
            let frames = packing.frames(&changes, &mut names);
            let of_lane = changes.len().div_ceil(lanes.len()).max(1);
            let packed: Vec<Result<Filled, SyncError>> = lanes
                .par_iter_mut()
                .zip(changes.par_chunks(of_lane))
                .map(|(lane, changes)| packing.pack(lane, changes, &frames))
                .collect();
            let mut packed = packed.into_iter().collect::<Result<Vec<Filled>, SyncError>>()?;
            if owners.len() > OPEN || window + 1 == windows {
                let closed = lanes.par_iter_mut().flat_map_iter(BodyPacker::close).collect();
                packed.push(Filled { blocks: closed, ..Filled::new(&packing.empty) });
            }
            Ok(packed)
        };
        let done = ahead(0..windows, pack, |packed| {
            for packed in packed {
                for (owner, block) in packed.blocks {
                    let scope = self.owners[owner as usize].scope;
                    self.writer.put_bodies(kind, scope, [block])?;
                }
                self.fresh.absorb(packed.fresh)?;
                self.pending.extend(packed.others);
            }
            if self.pending.len() >= PENDING { self.store_pending(kind) } else { Ok(()) }
        });
        drop(packing);
        self.writer.names = names;
        done?;
        self.store_pending(kind)
    }

    /// Numbers new relationships in the order of their ends, and stores them.
    fn number_fresh(&mut self) -> Result<(), SyncError> {
        let mut fresh = std::mem::replace(&mut self.fresh, Buckets::new(self.folder, 0, 0));
        let owners = Arc::clone(&self.owners);
        let mut steps = Vec::new();
        for owner in owners.iter() {
            let (first, ranges) = owner.fresh;
            for start in (first..first + ranges).step_by(FRESH_AT_ONCE) {
                let next = (start == first).then_some(owner.first);
                steps.push((start..(start + FRESH_AT_ONCE).min(first + ranges), next));
            }
        }
        let mut next = 0;
        let number = |(range, first): (Range<usize>, Option<u32>)| {
            next = first.unwrap_or(next);
            let mut sorted = fresh.take_all(range)?;
            sorted.par_iter_mut().for_each(|fresh| {
                // Less is moved where only what decides is sorted.
                let ends = |(from, to)| u64::from(from) << 32 | u64::from(to);
                let order = fresh.iter().map(|change| (ends(change.ends), change.id.0)).zip(0..);
                let mut order: Vec<((u64, u64), u32)> = order.collect();
                order.sort_unstable();
                let mut from: Vec<Option<Settled>> = fresh.drain(..).map(Some).collect();
                let order = order.into_iter().map(|(_, at)| at as usize);
                fresh.extend(order.filter_map(|at| from[at].take()));
            });
            let mut all = Vec::with_capacity(sorted.iter().map(Vec::len).sum());
            for mut change in sorted.into_iter().flatten() {
                change.number = next;
                next += 1;
                all.push(change);
            }
            Ok(all)
        };
        ahead(steps.into_iter(), number, |fresh| self.store(Kind::Relationship, &fresh))
    }

    /// Stores heads, which ascend by owner and number, and puts down what else becomes of them.
    fn store(&mut self, kind: Kind, changes: &[Settled]) -> Result<(), SyncError> {
        for changes in changes.chunk_by(|a, b| a.owner == b.owner) {
            let Owner { scope, sequence, .. } = self.owners[changes[0].owner as usize];
            if kind == Kind::Relationship {
                self.label_new(scope, changes);
            }
            let (parts, identities) = (self.parts, &self.identities);
            let identify = |changes: &[Settled]| {
                let mut apart = identities.apart();
                for change in changes {
                    let live = change.action != Action::Delete;
                    let Settled { owner, id, digest, number, .. } = *change;
                    let identity = Identity { id, digest, number, live };
                    apart.push(parts.part(id), &Identified { owner, identity })?;
                }
                Ok(apart)
            };
            let writer = &*self.writer;
            let heads = Heads { kind, scope, sequence, now: self.now, labels: &writer.labels };
            let make = |_, part: &[Settled], stored: &StoredHeads<'_>| heads.make(part, stored);
            let mut identified: Vec<Result<Buckets<Identified>, StoreError>> = Vec::new();
            let made = rayon::in_place_scope(|spare| {
                // The engine takes heads from one thread.
                spare.spawn(|_| {
                    identified = changes.par_chunks(AT_ONCE).map(identify).collect();
                });
                writer.rewrite_heads(kind, changes, |change| change.number, make)
            })?;
            let shifts = self.shifts[changes[0].owner as usize].get_or_insert_default();
            made.iter().for_each(|made| shifts.add(&made.shifts));
            self.put_edges(&made)?;
            identified.into_iter().try_for_each(|apart| self.identities.absorb(apart?))?;
        }
        Ok(())
    }

    /// Gives labels to relationships of a scope whose likes there were none of, in an order that the
    /// same plan has each time.
    fn label_new(&mut self, scope: u32, changes: &[Settled]) {
        let labels = &self.writer.labels;
        let new = |change: &Settled| {
            let Facts { type_name, class: verb, .. } = change.facts?;
            let label = Label { scope, type_name, verb, derived_key: change.key.is_empty() };
            labels.number(label).is_none().then_some(label)
        };
        let mut new: Vec<Label> = changes.par_iter().filter_map(new).collect();
        new.sort_unstable();
        new.into_iter().for_each(|label| {
            self.writer.labels.intern(label);
        });
    }

    /// Puts edges down, as seen from both of their ends.
    fn put_edges(&mut self, made: &[Made]) -> Result<(), StoreError> {
        let (entities, [out, into]) = (self.entities, &self.edges);
        let ranges = out.count();
        let turned: Vec<Result<[Buckets<Turned>; 2], StoreError>> = made
            .par_chunks(16)
            .map(|made| {
                let [mut out, mut into] = [out.apart(), into.apart()];
                for edit in made.iter().flat_map(|made| &made.edges) {
                    let EdgeEdit { from, to, label, relationship, add } = *edit;
                    let at = |entity| range_of(entity, ranges, entities);
                    let turned = |other| StoredEdge { other, label, relationship };
                    out.push(at(from), &Turned::new(from, turned(to), add))?;
                    into.push(at(to), &Turned::new(to, turned(from), add))?;
                }
                Ok([out, into])
            })
            .collect();
        let mut apart = [Vec::new(), Vec::new()];
        for turned in turned {
            apart.iter_mut().zip(turned?).for_each(|(apart, turned)| apart.push(turned));
        }
        self.edges.par_iter_mut().zip(apart).try_for_each(|(all, apart)| {
            apart.into_iter().try_for_each(|turned| all.absorb(turned))
        })
    }

    /// Ends a kind: identities and counts.
    fn finish(&mut self, kind: Kind) -> Result<(), SyncError> {
        let Storing { identities, owners, writer, .. } = self;
        let steps = pieces(identities);
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
        for (direction, mut edges) in [Direction::Out, Direction::In].into_iter().zip(edges) {
            let total = edges.records();
            if total == 0 {
                continue;
            }
            let steps = pieces(&edges);
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

/// All buckets, as many in a step as make a piece.
fn pieces<T: Packed>(
    buckets: &Buckets<T>,
) -> impl ExactSizeIterator<Item = Range<usize>> + Send + use<T> {
    let count = buckets.count();
    let at_once = (PIECE * count).checked_div(buckets.records()).unwrap_or(count);
    several(count, at_once.clamp(1, count))
}

/// Changes that are put down by one thread at a time.
const AT_ONCE: usize = 8 << 10;

/// Which of `ranges` equal ranges of entities an entity lies in.
fn range_of(entity: u32, ranges: usize, entities: u32) -> usize {
    (u64::from(entity) * ranges as u64 / u64::from(entities.max(1))) as usize
}

/// What the names of a batch are in the database.
struct Names {
    numbers: Vec<u32>,
    /// Which of them is `displayName`.
    display: Option<u32>,
}

/// What packing the contents of changes takes.
struct Packing<'p> {
    kind: Kind,
    /// Batches as uploaded, and merged ones.
    stages: [&'p Stage; 2],
    owners: &'p [Owner],
    entities: u32,
    empty: Buckets<Settled>,
}

/// By whether a batch is a merged one, and its number.
type Frames = FxHashMap<(bool, u32), Names>;

/// What some changes of a window became.
struct Filled {
    /// Blocks by owner.
    blocks: Vec<(u32, Block)>,
    fresh: Buckets<Settled>,
    others: Vec<Settled>,
}

impl Filled {
    fn new(empty: &Buckets<Settled>) -> Filled {
        Filled { blocks: Vec::new(), fresh: empty.apart(), others: Vec::new() }
    }
}

impl Packing<'_> {
    /// The batches that changes have their contents in.
    fn frames(&self, changes: &[Change], names: &mut Dictionary) -> Frames {
        let mut frames = Frames::default();
        for change in changes {
            let Place { merged, frame, .. } = change.place;
            frames.entry((merged, frame)).or_insert_with(|| {
                let of_frame = self.stages[usize::from(merged)].names(frame);
                let display = of_frame.iter().position(|name| name == "displayName");
                Names {
                    numbers: of_frame.iter().map(|name| names.intern(name)).collect(),
                    display: display.map(|at| at as u32),
                }
            });
        }
        frames
    }

    /// Packs the contents of changes into the blocks of a lane.
    fn pack(
        &self,
        lane: &mut BodyPacker,
        changes: &[Change],
        frames: &Frames,
    ) -> Result<Filled, SyncError> {
        let mut packed = Filled::new(&self.empty);
        let mut order: Vec<&Change> = changes.iter().collect();
        order.sort_unstable_by_key(|change| change.place.order());
        let (mut properties, mut body) = (Vec::new(), Vec::new());
        for alike in order
            .chunk_by(|a, b| (a.place.merged, a.place.frame) == (b.place.merged, b.place.frame))
        {
            let Place { merged, frame, .. } = alike[0].place;
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
                    let (place, full) = lane.push(change.job, &body, &owner.next_block);
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
                        packed.fresh.push(at, &settled)?;
                        continue;
                    }
                    (Action::Create, Kind::Entity) => settled.number += owner.first,
                    _ => {}
                }
                packed.others.push(settled);
            }
        }
        Ok(packed)
    }
}

/// What changes in the counts of a scope, gathered by type and class: there are few of them and
/// many objects.
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
