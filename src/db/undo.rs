//! Undo: everything that one job did is taken back, as far as nothing later touched it.
//!
//! The history says what each object was before the job. Where it does not reach back so far, what
//! the job deleted still can be brought back: tombstones keep their contents.

use super::past::revision_of_job;
use super::{Database, Error, now};
use crate::graph::{
    AdjacencyRead, EdgeDirection, GraphRead, IdHash, NameLookup, ObjectId, ObjectKind,
};
use crate::store::{
    EdgeEdit, GraphWriter, IdentityEntry, ObjectHead, RelationshipLabel, Snapshot, StoreError,
    TouchedNumbers,
};
use crate::sync::{JobReport, JobStatus, JobTally, job_row};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What an undo may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UndoOptions {
    /// Also take back what was touched since.
    pub force: bool,
    /// Tell what would be done, and do nothing.
    pub dry_run: bool,
}

/// The report of an `undo`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UndoReport {
    /// The job under which the undo is recorded; of a dry run, what it would be.
    pub job: JobReport,
    /// Entities that live again.
    pub restored_entities: u64,
    /// Relationships that live again.
    pub restored_relationships: u64,
    /// Entities and relationships that have their contents of before.
    pub reverted: u64,
    /// Entities and relationships that the job had made, and that are deleted now.
    pub removed: u64,
    /// One sentence for each object that stays as it is, with the reason.
    pub left: Vec<String>,
}

/// An object that gets another head.
struct HeadChange {
    number: u32,
    now: ObjectHead,
    then: ObjectHead,
}

impl HeadChange {
    fn lived(&self) -> bool {
        self.now.end == 0
    }

    fn lives(&self) -> bool {
        self.then.end == 0
    }
}

impl Database {
    /// Takes back what one job did, as far as it is still as the job left it.
    ///
    /// # Errors
    ///
    /// A usage error if there is nothing to take back.
    pub fn undo(&self, id: &str, options: UndoOptions) -> Result<UndoReport, Error> {
        let id = self.resolve_job(id)?;
        let nothing = || {
            Error::usage(
                format!("job {id} changed nothing, so there is nothing to undo"),
                "`tombolo job list` shows what each job did",
            )
        };
        let (undone, old) = self.stored_job(id)?.ok_or_else(nothing)?;
        if !super::past::changed_anything(&old) {
            return Err(nothing());
        }
        let _turn = self.lock_writers();
        if options.dry_run {
            let snapshot = self.snapshot()?;
            let mut undo = UndoPlan::new(&snapshot, undone, &old, options, now())?;
            undo.decide()?;
            return Ok(undo.report(Uuid::now_v7(), &old, true));
        }
        self.write(|writer, snapshot| {
            let mut undo = UndoPlan::new(snapshot, undone, &old, options, now())?;
            undo.decide()?;
            let report = undo.report(Uuid::now_v7(), &old, false);
            undo.apply(writer)?;
            writer.put_job(undo.sequence, &job_row(&report.job))?;
            Ok(report)
        })
    }
}

/// What a job changed, and what becomes of it.
struct UndoPlan<'s> {
    snapshot: &'s Snapshot,
    /// The states before the job and right after it; `None` if the history does not reach back.
    states: Option<(Snapshot, Snapshot, u64)>,
    undone: u32,
    sequence: u32,
    now: i64,
    options: UndoOptions,
    changes: [Vec<HeadChange>; 2],
    /// Pins that go back: scope, entity and record.
    pins: Vec<(u32, IdHash, Option<Vec<u8>>)>,
    left: Vec<String>,
}

const KINDS: [ObjectKind; 2] = [ObjectKind::Entity, ObjectKind::Relationship];

impl<'s> UndoPlan<'s> {
    fn new(
        snapshot: &'s Snapshot,
        undone: u32,
        old: &JobReport,
        options: UndoOptions,
        now: i64,
    ) -> Result<UndoPlan<'s>, Error> {
        let made = revision_of_job(snapshot, undone)?;
        let reaches = |revision: &u64| *revision > snapshot.oldest_revision().unwrap_or(u64::MAX);
        let states = match made.filter(reaches) {
            None => None,
            Some(revision) => {
                let state = |revision| snapshot.newest()?.at_revision(revision);
                Some((state(revision - 1)?, state(revision)?, revision))
            }
        };
        let mut left = Vec::new();
        if states.is_none() {
            let foreign: u64 = old.foreign_deletions.values().sum();
            let deleted = old.entities.deleted + old.relationships.deleted + foreign;
            let others = old.entities.created
                + old.entities.updated
                + old.relationships.created
                + old.relationships.updated;
            if deleted == 0 {
                return Err(Error::usage(
                    format!("the history does not reach back to job {}", old.id),
                    "`gc` let go of it; upload what the scope held before",
                ));
            }
            if others > 0 {
                left.push(format!(
                    "{} that the job made or changed: the history does not reach back so far",
                    if others == 1 { "1 object".to_owned() } else { format!("{others} objects") }
                ));
            }
        }
        let sequence = snapshot.meta().next_job;
        let (changes, pins) = Default::default();
        Ok(UndoPlan { snapshot, states, undone, sequence, now, options, changes, pins, left })
    }

    /// Decides what becomes of each object that the job changed.
    fn decide(&mut self) -> Result<(), Error> {
        for kind in KINDS {
            let numbers = match &self.states {
                Some((_, _, revision)) => self.snapshot.touched(kind, *revision..=*revision)?,
                None => TouchedNumbers(self.snapshot.deletions(self.undone, kind)?),
            };
            for number in numbers.0 {
                self.decide_one(kind, number)?;
            }
        }
        if self.states.is_none() && self.changes.iter().all(Vec::is_empty) {
            self.left.push("what the job deleted was purged since".into());
        }
        self.keep_used_entities()?;
        self.keep_loose_relationships()?;
        Ok(())
    }

    fn decide_one(&mut self, kind: ObjectKind, number: u32) -> Result<(), Error> {
        let now = self.snapshot.head(kind, number)?;
        let (before, after) = match &self.states {
            Some((before, after, _)) => (before.head(kind, number)?, after.head(kind, number)?),
            // Without a history the tombstone is what the job left, and holds what was before.
            None => (now.clone().map(|head| ObjectHead { end: 0, ..head }), now.clone()),
        };
        // A commit may hold several jobs; each head names the one that wrote it.
        let Some(after) = after.filter(|after| after.job == self.undone) else { return Ok(()) };
        let Some(now) = now else {
            self.left.push(format!("{} {number} was purged since", noun(kind)));
            return Ok(());
        };
        if now != after && !self.options.force {
            let key = self.snapshot.key_of(kind, &now)?;
            self.left.push(format!("{} `{key}` was touched since", noun(kind)));
            return Ok(());
        }
        let before = before.filter(|before| before.end == 0);
        let then = match before {
            Some(before) => ObjectHead {
                begin: self.now,
                version: now.version.saturating_add(1),
                job: self.sequence,
                ..before
            },
            None if now.end == 0 => ObjectHead { end: self.now, job: self.sequence, ..now.clone() },
            None => return Ok(()),
        };
        if kind == ObjectKind::Entity
            && let Some((before, _, _)) = &self.states
        {
            let id = identity_of(self.snapshot, kind, &now)?.id;
            let (was, is) = (before.pins(now.scope, id)?, self.snapshot.pins(now.scope, id)?);
            if was != is {
                self.pins.push((now.scope, id, was));
            }
        }
        self.changes[kind as usize].push(HeadChange { number, now, then });
        Ok(())
    }

    /// Entities that the job made stay where other jobs have tied relationships to them, unless
    /// those may be taken along.
    fn keep_used_entities(&mut self) -> Result<(), Error> {
        let [entities, relationships] = &mut self.changes;
        let goes = |change: &HeadChange| change.lived() && !change.lives();
        let mut going: FxHashSet<u32> =
            relationships.iter().filter(|c| goes(c)).map(|c| c.number).collect();
        let mut also = Vec::new();
        let (snapshot, force) = (self.snapshot, self.options.force);
        let mut kept = FxHashSet::default();
        for change in entities.iter().filter(|change| goes(change)) {
            let mut tied = Vec::new();
            for direction in [EdgeDirection::Out, EdgeDirection::In] {
                snapshot.for_each_edge(change.number, direction, |edge| {
                    tied.extend((!going.contains(&edge.relationship)).then_some(edge.relationship));
                })?;
            }
            if tied.is_empty() {
                continue;
            }
            if force {
                going.extend(tied.iter().copied());
                also.extend(tied);
            } else {
                kept.insert(change.number);
                self.left.push(format!(
                    "entity `{}` stays: {} of later jobs {} at it",
                    change.now.key,
                    if tied.len() == 1 {
                        "a relationship".to_owned()
                    } else {
                        format!("{} relationships", tied.len())
                    },
                    if tied.len() == 1 { "ends" } else { "end" },
                ));
            }
        }
        entities.retain(|change| !kept.contains(&change.number));
        also.sort_unstable();
        also.dedup();
        for number in also {
            let Some(now) = snapshot.head(ObjectKind::Relationship, number)? else { continue };
            let then = ObjectHead { end: self.now, job: self.sequence, ..now.clone() };
            relationships.retain(|change| change.number != number);
            relationships.push(HeadChange { number, now, then });
        }
        relationships.sort_unstable_by_key(|change| change.number);
        Ok(())
    }

    /// A relationship comes back only between live ends.
    fn keep_loose_relationships(&mut self) -> Result<(), Error> {
        let [entities, relationships] = &mut self.changes;
        let lives: FxHashMap<u32, bool> =
            entities.iter().map(|change| (change.number, change.lives())).collect();
        let mut loose = FxHashSet::default();
        for change in relationships.iter().filter(|change| change.lives()) {
            for end in [change.then.from, change.then.to] {
                let live = match lives.get(&end) {
                    Some(live) => *live,
                    None => self.snapshot.entity_facts(end)?.is_some_and(|facts| facts.live),
                };
                if !live && loose.insert(change.number) {
                    let key = self.snapshot.relationship_key(&change.now)?;
                    let state = if change.lived() { "as it is" } else { "deleted" };
                    self.left
                        .push(format!("relationship `{key}` stays {state}: an end is not live"));
                }
            }
        }
        relationships.retain(|change| !loose.contains(&change.number));
        Ok(())
    }

    fn count(&self, kind: ObjectKind, is: impl Fn(&HeadChange) -> bool) -> u64 {
        self.changes[kind as usize].iter().filter(|change| is(change)).count() as u64
    }

    fn report(&self, id: Uuid, old: &JobReport, dry_run: bool) -> UndoReport {
        let tally = |kind| JobTally {
            created: self.count(kind, |c| !c.lived() && c.lives()),
            updated: self.count(kind, |c| c.lived() && c.lives()),
            deleted: self.count(kind, |c| c.lived() && !c.lives()),
            ..JobTally::default()
        };
        let [entities, relationships] = KINDS.map(tally);
        let job = JobReport {
            id,
            status: JobStatus::Finished,
            dry_run,
            start_timestamp: self.now,
            end_timestamp: Some(self.now),
            entities,
            relationships,
            types: BTreeMap::new(),
            skipped: Vec::new(),
            skipped_total: 0,
            skipped_left_out: 0,
            foreign_deletions: BTreeMap::new(),
            held: None,
            plan_hash: String::new(),
            ..old.clone()
        };
        UndoReport {
            job,
            restored_entities: entities.created,
            restored_relationships: relationships.created,
            reverted: entities.updated + relationships.updated,
            removed: entities.deleted + relationships.deleted,
            left: self.left.clone(),
        }
    }

    fn apply(&self, writer: &mut GraphWriter) -> Result<(), Error> {
        writer.meta.next_job += 1;
        for kind in KINDS {
            self.apply_kind(writer, kind)?;
            // The list is used up: a second undo of the same job must find nothing.
            writer.put_deletions(self.undone, kind, &[])?;
            let gone = self.changes[kind as usize].iter().filter(|c| c.lived() && !c.lives());
            let gone: Vec<u32> = gone.map(|change| change.number).collect();
            writer.put_deletions(self.sequence, kind, &gone)?;
        }
        for (scope, id, record) in &self.pins {
            writer.put_pins(*scope, *id, record.clone())?;
        }
        Ok(())
    }

    fn apply_kind(&self, writer: &mut GraphWriter, kind: ObjectKind) -> Result<(), Error> {
        let changes = &self.changes[kind as usize];
        let mut identities: BTreeMap<u32, Vec<(IdHash, Option<IdentityEntry>)>> = BTreeMap::new();
        let mut edges = Vec::new();
        for change in changes {
            let HeadChange { number, now, then } = change;
            let identity = identity_of(self.snapshot, kind, now)?;
            let same = (now.block, now.slot) == (then.block, then.slot);
            let digest = if same { identity.digest } else { self.other_digest(&identity) };
            let entry = IdentityEntry { live: change.lives(), digest, ..identity };
            identities.entry(now.scope).or_default().push((identity.id, Some(entry)));
            let row = writer.scope(now.scope)?;
            let counts = &mut row.counts[kind as usize];
            for (head, by) in [(now, -1), (then, 1)] {
                match head.end {
                    0 => counts.shift(head.type_name, head.class, by),
                    _ => counts.deleted = counts.deleted.saturating_add_signed(by),
                }
            }
            if kind == ObjectKind::Relationship {
                edges.extend(edge_edits(writer, *number, now, then));
            }
        }
        let heads: Vec<(u32, Option<ObjectHead>)> =
            changes.iter().map(|change| (change.number, Some(change.then.clone()))).collect();
        writer.edit_heads(kind, &heads)?;
        for (scope, mut edits) in identities {
            edits.sort_unstable_by_key(|(id, _)| *id);
            writer.edit_identity(kind, scope, &edits)?;
            let row = writer.scope(scope)?;
            row.generation += 1;
            row.last_job = Some(self.sequence);
        }
        Ok(writer.edit_adjacency(&edges)?)
    }

    /// A digest that no upload has: the text that the contents of before were read from is not
    /// known, so the next upload compares the contents.
    fn other_digest(&self, identity: &IdentityEntry) -> u64 {
        let mut bytes = identity.digest.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        xxh3_64_with_seed(&bytes, self.snapshot.meta().digest_seed)
    }
}

/// The edge that goes and the one that comes.
fn edge_edits(
    writer: &mut GraphWriter,
    relationship: u32,
    now: &ObjectHead,
    then: &ObjectHead,
) -> Vec<EdgeEdit> {
    let mut edit = |head: &ObjectHead, add| {
        let label = writer.labels.intern(RelationshipLabel::of(head));
        (head.end == 0).then_some(EdgeEdit {
            from: head.from,
            to: head.to,
            label,
            relationship,
            add,
        })
    };
    let (goes, comes) = (edit(now, false), edit(then, true));
    match (&goes, &comes) {
        (Some(a), Some(b)) if (a.from, a.to, a.label) == (b.from, b.to, b.label) => Vec::new(),
        _ => goes.into_iter().chain(comes).collect(),
    }
}

/// The identity of a stored object.
pub(super) fn identity_of(
    snapshot: &Snapshot,
    kind: ObjectKind,
    head: &ObjectHead,
) -> Result<IdentityEntry, StoreError> {
    let key = snapshot.key_of(kind, head)?;
    let id = ObjectId::new(kind, snapshot.name(head.scope), &key);
    snapshot
        .find_hash(kind, head.scope, snapshot.hashed(id))?
        .ok_or_else(|| StoreError::corrupt("identity", &id.0, "an object has no identity"))
}

fn noun(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Entity => "entity",
        ObjectKind::Relationship => "relationship",
    }
}
