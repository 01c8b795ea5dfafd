//! Planning: from staged uploads and a snapshot to a change set that only has to be stored.
//!
//! A plan holds the changes of one or several jobs that are finalized together: entities of all
//! jobs first, then the relationships, whose ends may be entities that the same plan creates. It
//! reads a snapshot and writes nothing; numbers are given out as the writer will give them, which
//! is sound because a plan is applied at its own revision or not at all.

use super::batch::{Record, content_digest};
use super::created::Created;
use super::guard::{self, Deletions, EdgeLimits, Limits};
use super::known::Known;
use super::mode::Mode;
use super::reconcile::{Decision, reconcile};
use super::report::{Held, JobReport, MappingInfo, SKIPPED_LISTED, Skipped, Status, Tally};
use super::{Inputs, SyncError};
use crate::graph::{Adjacency, Direction, GraphRead, IdHash, Kind, Names, ORIGIN, ObjectId};
use crate::store::staging::{Stage, Staged, StagedEnd, StagedRelationship};
use crate::store::{Cursor, Head, Identity, ScopeRow, Snapshot, StoreError, put_value, read_body};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// What a job is, before anything is uploaded to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// Id of the job.
    pub id: Uuid,
    /// `source`, e.g. `api`.
    pub source: String,
    /// `syncMode`.
    pub mode: Mode,
    /// The scope that the job writes.
    pub scope: String,
    /// When the job began, epoch milliseconds.
    pub started: i64,
    /// With a repeated key the latest object wins, instead of an error.
    #[serde(default)]
    pub ignore_duplicates: bool,
    /// The batches of the stage are pieces of one upload, not uploads of their own, so that a
    /// repeated object is never the retry of a batch.
    #[serde(default)]
    pub one_upload: bool,
    /// Nothing of these types is deleted (`partialDatasets`).
    #[serde(default)]
    pub partial_types: Vec<String>,
    /// See [`Limits::allow_deletes`].
    #[serde(default)]
    pub allow_deletes: Option<u64>,
    /// The limits of a mapping, in place of those of the scope.
    #[serde(default)]
    pub edge_limits: Option<EdgeLimits>,
    /// The mapping file that made the job.
    #[serde(default)]
    pub mapping: Option<MappingInfo>,
    /// The job whose mapped relationships this one writes, in the same plan.
    #[serde(default)]
    pub mapped_for: Option<Uuid>,
    /// Each row names its scope; `scope` is that of none.
    #[serde(default)]
    pub any_scope: bool,
}

impl JobSpec {
    /// A new job that is like most: nothing is restricted, nothing allowed beyond the rule.
    pub fn new(source: &str, mode: Mode, scope: &str, started: i64) -> JobSpec {
        JobSpec {
            id: Uuid::now_v7(),
            source: source.to_owned(),
            mode,
            scope: scope.to_owned(),
            started,
            ignore_duplicates: false,
            one_upload: false,
            partial_types: Vec::new(),
            allow_deletes: None,
            edge_limits: None,
            mapping: None,
            mapped_for: None,
            any_scope: false,
        }
    }

    /// The report of a job to which nothing has happened yet.
    pub fn report(&self, status: Status) -> JobReport {
        JobReport {
            id: self.id,
            source: self.source.clone(),
            sync_mode: self.mode,
            scope: self.scope.clone(),
            status,
            dry_run: false,
            start_timestamp: self.started,
            end_timestamp: None,
            entities: Tally::default(),
            relationships: Tally::default(),
            types: BTreeMap::new(),
            skipped: Vec::new(),
            skipped_total: 0,
            foreign_deletions: BTreeMap::new(),
            held: None,
            refusals: Vec::new(),
            mapping: self.mapping.clone(),
            mapped_relationships: None,
            any_scope: self.any_scope,
            invalid_configuration: false,
            plan_hash: String::new(),
        }
    }
}

/// A job with what was uploaded to it.
#[derive(Clone, Debug)]
pub struct JobInput {
    /// The job.
    pub spec: JobSpec,
    /// Its entities, in any order.
    pub entities: Vec<Staged>,
    /// Its relationships, in any order.
    pub relationships: Vec<StagedRelationship>,
    /// What it names for deletion.
    pub deletes: Vec<(Kind, ObjectId)>,
    /// What the scope held already, with what of it was uploaded unchanged.
    pub known: Option<Arc<Known>>,
    /// Entities and relationships that came again and were folded away when this was planned.
    pub folded: [u64; 2],
}

impl JobInput {
    /// A job to which nothing was uploaded.
    pub fn new(spec: JobSpec) -> JobInput {
        JobInput {
            spec,
            entities: Vec::new(),
            relationships: Vec::new(),
            deletes: Vec::new(),
            known: None,
            folded: [0, 0],
        }
    }
}

/// Contents put together from stored and uploaded ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// `_key`.
    pub key: String,
    /// `_type`.
    pub type_name: String,
    /// Class set.
    pub class: String,
    /// Properties by ascending name, values encoded.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Raw data.
    pub raw_data: Option<String>,
}

/// Where the new contents of an object are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// In the stage, as uploaded.
    Staged {
        /// Batch.
        frame: u32,
        /// Start of the record.
        offset: u32,
        /// Length of the record.
        len: u32,
    },
    /// Here.
    Merged(Box<Merged>),
}

impl Content {
    fn staged(staged: &Staged) -> Content {
        Content::Staged { frame: staged.frame, offset: staged.offset, len: staged.len }
    }
}

/// What happens to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new object.
    Create(Content),
    /// A tombstone comes back.
    Revive(Content),
    /// Live, with other contents.
    Update(Content),
    /// Becomes a tombstone.
    Delete,
}

/// One change of the change set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Dense number, the coming one for a new object.
    pub number: u32,
    /// Hash of the `_id`.
    pub id: IdHash,
    /// Digest of the contents after the change.
    pub digest: u64,
    /// Numbers of the ends of a relationship after the change; 0 for an entity.
    pub ends: (u32, u32),
    /// What happens.
    pub action: Action,
}

/// The part of a plan that belongs to one job.
#[derive(Debug)]
pub struct JobPlan {
    /// The job.
    pub spec: JobSpec,
    /// Changes of entities, ascending by hash.
    pub entities: Vec<Change>,
    /// Changes of relationships, ascending by hash.
    pub relationships: Vec<Change>,
    /// Pins to store or remove, by entity.
    pub pins: Vec<(IdHash, Option<Vec<u8>>)>,
    /// The report as it will be stored.
    pub report: JobReport,
}

/// A change set of jobs that are finalized together.
#[derive(Debug)]
pub struct Plan {
    /// The revision of the graph that it was made for.
    pub revision: u64,
    /// The jobs.
    pub jobs: Vec<JobPlan>,
    /// Relationships of scopes without a job in this plan that go with their entities, by name
    /// number of the scope; the first job of the plan is said to have deleted them.
    pub foreign: BTreeMap<u32, Vec<Change>>,
    /// Fingerprint of all changes.
    pub hash: String,
}

impl Plan {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.foreign.is_empty()
            && self.jobs.iter().all(|job| {
                job.entities.is_empty() && job.relationships.is_empty() && job.pins.is_empty()
            })
    }

    /// Whether the delete guard objects.
    pub fn is_held(&self) -> bool {
        self.jobs.iter().any(|job| job.report.held.is_some())
    }

    /// Whether a guard of a mapping objects.
    pub fn is_refused(&self) -> bool {
        self.jobs.iter().any(|job| !job.report.refusals.is_empty())
    }
}

/// Makes the plan of `jobs` against a snapshot. What was uploaded is sorted on the way, and
/// repetitions are folded away.
///
/// # Errors
///
/// [`SyncError::Faults`] for duplicate keys and for what a mode refuses once the graph is known;
/// store errors.
pub fn plan(
    snapshot: &Snapshot,
    stage: &Stage,
    inputs: &Inputs,
    jobs: &mut [JobInput],
    guarded: bool,
) -> Result<Plan, SyncError> {
    let mut planner = Planner {
        snapshot,
        stage,
        inputs,
        next: [snapshot.meta().bound(Kind::Entity), snapshot.meta().bound(Kind::Relationship)],
        created: Created::default(),
        deleted: FxHashSet::default(),
        cascade: FxHashSet::default(),
        frame_names: vec![None; stage.frames() as usize],
        has_pins: snapshot.has_pins()?,
    };
    let mut planned = Vec::with_capacity(jobs.len());
    for job in jobs.iter_mut() {
        let mut report = job.spec.report(Status::Finished);
        let mut pins = Vec::new();
        let entities = planner.entities(job, &mut report, &mut pins)?;
        let plan =
            JobPlan { spec: job.spec.clone(), entities, relationships: Vec::new(), pins, report };
        planned.push(plan);
    }
    planner.find_cascade(planned.iter())?;
    for (plan, job) in planned.iter_mut().zip(jobs.iter_mut()) {
        if plan.spec.mode.takes_relationships() || !job.deletes.is_empty() {
            plan.relationships = planner.relationships(job, &mut plan.report)?;
        }
    }
    let mut jobs = planned;
    for job in &mut jobs {
        // In the order of the input: of equal names the shorter place is the smaller line.
        job.report.skipped.sort_by_key(|s| s.place.as_ref().map(|p| (p.len(), p.clone())));
    }
    let foreign = planner.foreign(&mut jobs)?;
    let hash = fingerprint(&jobs, &foreign);
    for job in &mut jobs {
        job.report.plan_hash.clone_from(&hash);
        if guarded {
            planner.guard(job)?;
        }
    }
    hold_together(&mut jobs);
    let mapped: Vec<(Uuid, Tally)> = jobs
        .iter()
        .filter_map(|job| Some((job.spec.mapped_for?, job.report.relationships)))
        .collect();
    for (id, tally) in mapped {
        if let Some(job) = jobs.iter_mut().find(|job| job.spec.id == id) {
            job.report.mapped_relationships = Some(tally);
        }
    }
    Ok(Plan { revision: snapshot.meta().revision, jobs, foreign, hash })
}

/// Jobs of one plan run together or not at all.
fn hold_together(jobs: &mut [JobPlan]) {
    let Some(held) = jobs.iter().find(|job| job.report.held.is_some()) else { return };
    let reason = format!("held together with scope `{}`, uploaded with it", held.spec.scope);
    for job in jobs {
        job.report.status = Status::Held;
        job.report
            .held
            .get_or_insert_with(|| Held { reasons: vec![reason.clone()], ..Held::default() });
    }
}

fn fingerprint(jobs: &[JobPlan], foreign: &BTreeMap<u32, Vec<Change>>) -> String {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let mut bytes = Vec::new();
    let mut add = |scope: &str, kind: Kind, changes: &[Change]| {
        hasher.update(scope.as_bytes());
        hasher.update(&[0, kind as u8]);
        // In pieces: the hasher is slow with a few bytes at a time.
        for changes in changes.chunks(1024) {
            bytes.clear();
            for change in changes {
                let tag = match change.action {
                    Action::Create(_) => 1,
                    Action::Revive(_) => 2,
                    Action::Update(_) => 3,
                    Action::Delete => 4,
                };
                bytes.push(tag);
                bytes.extend_from_slice(&change.id.0.to_le_bytes());
                bytes.extend_from_slice(&change.digest.to_le_bytes());
            }
            hasher.update(&bytes);
        }
    };
    for job in jobs {
        add(&job.spec.scope, Kind::Entity, &job.entities);
        add(&job.spec.scope, Kind::Relationship, &job.relationships);
    }
    for (scope, changes) in foreign {
        add(&scope.to_string(), Kind::Relationship, changes);
    }
    format!("{:032x}", hasher.digest128())
}

/// Why an end cannot be had.
struct MissingEnd {
    name: &'static str,
    end: StagedEnd,
    tombstone: Option<u32>,
}

struct Planner<'p> {
    snapshot: &'p Snapshot,
    stage: &'p Stage,
    inputs: &'p Inputs,
    next: [u32; 2],
    /// Entities that this plan brings to life.
    created: Created,
    /// Entities that this plan deletes.
    deleted: FxHashSet<u32>,
    /// Relationships that touch those.
    cascade: FxHashSet<u32>,
    /// Name numbers of the names of a batch, by batch, where they were asked for.
    frame_names: Vec<Option<Box<[Option<u32>]>>>,
    has_pins: bool,
}

impl Planner<'_> {
    fn scope_number(&self, scope: &str) -> Option<u32> {
        self.snapshot.name_number(scope)
    }

    fn scope_row(&self, scope: &str) -> Result<ScopeRow, StoreError> {
        match self.scope_number(scope) {
            Some(number) => Ok(self.snapshot.scope_row(number)?.unwrap_or_default()),
            None => Ok(ScopeRow::default()),
        }
    }

    /// The stored side of the reconcile pass: all of the scope where what is absent will be
    /// deleted, else only what is staged.
    fn stored<T: AsRef<Staged>>(
        &self,
        kind: Kind,
        job: &JobInput,
        staged: &[T],
    ) -> Result<Vec<Identity>, SyncError> {
        let spec = &job.spec;
        if let Some(known) = &job.known {
            return self.not_seen(kind, spec, known, staged);
        }
        let mut stored = Vec::new();
        let Some(scope) = self.scope_number(&spec.scope) else { return Ok(stored) };
        if spec.mode.deletes() {
            self.snapshot.for_each_identity(kind, scope, |identity| stored.push(identity))?;
            return Ok(stored);
        }
        for staged in staged {
            stored.extend(self.snapshot.find_hash(kind, scope, staged.as_ref().id)?);
        }
        Ok(stored)
    }

    /// The stored side without what was uploaded unchanged.
    fn not_seen<T: AsRef<Staged>>(
        &self,
        kind: Kind,
        spec: &JobSpec,
        known: &Known,
        staged: &[T],
    ) -> Result<Vec<Identity>, SyncError> {
        if !known.holds(self.scope_row(&spec.scope)?.generation) || self.has_pins {
            return Err(SyncError::Reread);
        }
        let mut rest = Vec::new();
        let mut staged = staged.iter().map(AsRef::as_ref).peekable();
        for (identity, seen) in known.identities(kind) {
            while staged.next_if(|staged| staged.id < identity.id).is_some() {}
            // Twice in the upload in two spellings, or about to lose an end.
            let other = staged.peek().is_some_and(|staged| staged.id == identity.id)
                || kind == Kind::Relationship && self.cascade.contains(&identity.number);
            match seen {
                true if other => return Err(SyncError::Reread),
                true => {}
                false => rest.push(identity),
            }
        }
        Ok(rest)
    }

    /// Counts what was uploaded unchanged: all that is live, less what was not named.
    fn count_seen(
        &self,
        kind: Kind,
        spec: &JobSpec,
        known: &Known,
        report: &mut JobReport,
    ) -> Result<(), StoreError> {
        let row = self.scope_row(&spec.scope)?;
        let mut types = row.count(kind).types.clone();
        let mut total = 0;
        for (identity, seen) in known.identities(kind).filter(|(identity, _)| identity.live) {
            if seen {
                total += 1;
            } else if let Some(facts) = self.snapshot.facts(kind, identity.number)?
                && let Some(count) = types.get_mut(&facts.type_name)
            {
                *count = count.saturating_sub(1);
            }
        }
        for (number, count) in types.into_iter().filter(|(_, count)| *count > 0) {
            let tally = report.types.entry(self.snapshot.name(number).to_owned()).or_default();
            tally.uploaded += count;
            tally.unchanged += count;
        }
        let tally = report.of(kind);
        tally.uploaded += total;
        tally.unchanged += total;
        Ok(())
    }

    fn entities(
        &mut self,
        job: &mut JobInput,
        report: &mut JobReport,
        pins: &mut Vec<(IdHash, Option<Vec<u8>>)>,
    ) -> Result<Vec<Change>, SyncError> {
        if !job.spec.mode.takes_entities() {
            report.entities.uploaded = job.entities.len() as u64;
            return Ok(Vec::new());
        }
        job.folded[0] += fold_duplicates(self, &job.spec, &mut job.entities)?;
        let job = &*job;
        let (spec, staged) = (&job.spec, &job.entities);
        report.entities.uploaded = staged.len() as u64 + job.folded[0];
        let stored = self.stored(Kind::Entity, job, staged)?;
        let mut decisions = Vec::new();
        let mut same = 0;
        let careful = self.has_pins || !spec.mode.deletes();
        reconcile(stored.into_iter(), staged.iter(), |decision| match decision {
            // Nothing to do, unless pins or a merge decide what the contents are.
            Decision::Same(..) if !careful => same += 1,
            decision => decisions.push(decision),
        });
        report.entities.unchanged = same;
        if let Some(known) = &job.known {
            self.count_seen(Kind::Entity, spec, known, report)?;
        }
        if careful {
            sort_as_staged(&mut decisions, staged);
        }
        self.check_keys(&mut decisions, staged)?;
        let mut changes = Vec::with_capacity(decisions.len());
        let mut faults = Vec::new();
        for decision in decisions {
            self.entity(spec, staged, decision, report, pins, &mut changes, &mut faults)?;
        }
        changes.par_sort_unstable_by_key(|change| change.id);
        if !faults.is_empty() {
            return Err(SyncError::faults(self.inputs, faults));
        }
        self.named_deletes(job, Kind::Entity, staged, &mut changes)?;
        self.number_creates(Kind::Entity, &mut changes);
        let deleted = changes.iter().filter(|change| change.action == Action::Delete);
        self.deleted.extend(deleted.map(|change| change.number));
        let born =
            |change: &&Change| matches!(change.action, Action::Create(_) | Action::Revive(_));
        let born = changes.iter().filter(born).map(|change| (change.id, change.number));
        if !self.created.extend(born) {
            return Err(SyncError::State(format!(
                "a new entity of scope `{}` has the same 64-bit hash as one of another scope in this \
                 database, which happens to one upload in billions; load the data into a new \
                 database, whose hashes are others",
                spec.scope
            )));
        }
        self.tally(spec, Kind::Entity, staged, &changes, report)?;
        Ok(changes)
    }

    /// Makes sure that what was found by its hash has the key that was uploaded, and sorts decisions
    /// as they were staged if the contents of any have to be compared.
    fn check_keys<T: Uploaded>(
        &self,
        decisions: &mut [Decision],
        staged: &[T],
    ) -> Result<(), SyncError> {
        let found = |decision: &Decision| match *decision {
            Decision::Revive(i, known) | Decision::Change(i, known) => Some((i, known)),
            _ => None,
        };
        if !decisions.iter().any(|decision| found(decision).is_some()) {
            return Ok(());
        }
        sort_as_staged(decisions, staged);
        for (i, known) in decisions.iter().filter_map(found) {
            let staged = staged[i].as_ref();
            let key = self.uploaded_key(T::KIND, staged)?;
            let head = self.stored_head(T::KIND, known.number)?;
            let stored = self.snapshot.key_of(T::KIND, &head)?;
            // A patch may name an entity by its id alone.
            if !key.is_empty() && key != stored {
                let fault = self.collision(T::KIND, staged, &stored)?;
                return Err(SyncError::faults(self.inputs, vec![fault]));
            }
        }
        Ok(())
    }

    /// Two keys of one scope have the same hash, so the second cannot be told from the first.
    fn collision(
        &self,
        kind: Kind,
        staged: &Staged,
        other: &str,
    ) -> Result<super::Fault, SyncError> {
        let mut fault = self.fault(kind, staged)?;
        fault.message = format!(
            "this `_key` has the same 64-bit hash as `{other}` in this database, which happens to \
             one upload in billions; rename one of them, or load the data into a new database, \
             whose hashes are others"
        );
        Ok(fault)
    }

    fn stored_head(&self, kind: Kind, number: u32) -> Result<Head, StoreError> {
        self.snapshot.head(kind, number)?.ok_or_else(|| {
            StoreError::corrupt("heads", &number.to_be_bytes(), "an object is missing")
        })
    }

    /// The key of an uploaded object; empty for a patch that names it by id.
    fn uploaded_key(&self, kind: Kind, staged: &Staged) -> Result<String, SyncError> {
        let records = self.stage.records(staged.frame)?;
        let record = Record::read(kind, &records, (staged.offset, staged.len))
            .ok_or(SyncError::damaged_stage())?;
        Ok(record.full_key(kind, self.stage.names(staged.frame)))
    }

    /// Adds the deletions that the upload asks for by name; what it uploads as well, stays.
    fn named_deletes<T: AsRef<Staged>>(
        &mut self,
        job: &JobInput,
        kind: Kind,
        staged: &[T],
        changes: &mut Vec<Change>,
    ) -> Result<(), SyncError> {
        let Some(scope) = self.scope_number(&job.spec.scope) else { return Ok(()) };
        let mut ids: Vec<ObjectId> =
            job.deletes.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id).collect();
        if kind == Kind::Relationship && !job.spec.mode.deletes() {
            ids.extend(self.cascade_of(scope)?);
        }
        ids.sort_unstable();
        ids.dedup();
        let known: FxHashSet<IdHash> = match ids.is_empty() {
            true => return Ok(()),
            false => changes.iter().map(|change| change.id).collect(),
        };
        for id in ids {
            let hash = self.snapshot.hashed(id);
            let uploaded = staged.binary_search_by_key(&hash, |staged| staged.as_ref().id).is_ok();
            if uploaded || known.contains(&hash) {
                continue;
            }
            if let Some(found) = self.snapshot.find(kind, scope, id)?
                && found.live
            {
                self.cascade.remove(&found.number);
                changes.push(change(found.number, hash, found.digest, Action::Delete));
            }
        }
        changes.sort_unstable_by_key(|change| change.id);
        Ok(())
    }

    /// The relationships of a scope that go with entities that this plan deletes.
    fn cascade_of(&self, scope: u32) -> Result<Vec<ObjectId>, StoreError> {
        let mut ids = Vec::new();
        for &number in &self.cascade {
            let Some(head) = self.snapshot.head(Kind::Relationship, number)? else { continue };
            if head.scope == scope {
                let key = self.snapshot.relationship_key(&head)?;
                ids.push(ObjectId::new(Kind::Relationship, self.snapshot.name(scope), &key));
            }
        }
        Ok(ids)
    }

    #[allow(clippy::too_many_arguments)]
    fn entity(
        &mut self,
        spec: &JobSpec,
        staged: &[Staged],
        decision: Decision,
        report: &mut JobReport,
        pins: &mut Vec<(IdHash, Option<Vec<u8>>)>,
        changes: &mut Vec<Change>,
        faults: &mut Vec<super::Fault>,
    ) -> Result<(), SyncError> {
        let (i, known) = match decision {
            Decision::Create(i) => (i, None),
            Decision::Revive(i, known) | Decision::Change(i, known) | Decision::Same(i, known) => {
                (i, Some(known))
            }
            Decision::Absent(known) => {
                if spec.mode.deletes() && !self.is_partial(spec, Kind::Entity, known.number)? {
                    changes.push(change(known.number, known.id, known.digest, Action::Delete));
                }
                return Ok(());
            }
        };
        let staged = &staged[i];
        let live = known.filter(|known| known.live);
        let content = match spec.mode {
            Mode::Diff | Mode::CrossScope => self.pinned(spec, staged)?,
            Mode::Patch | Mode::CreateOrUpdate => match self.patched(spec, staged, known, live)? {
                Ok(content) => content,
                Err(reason) => {
                    self.skip(report, Kind::Entity, staged, reason)?;
                    report.entities.skipped += 1;
                    return Ok(());
                }
            },
            Mode::Override => match live {
                Some(known) => {
                    let pin = self.pin_record(staged)?;
                    if self.pins(spec, staged.id)? != pin {
                        pins.push((staged.id, pin.clone()));
                    }
                    self.with_pins(
                        self.stored_content(Kind::Entity, known.number)?,
                        pin.as_deref(),
                    )?
                }
                None => {
                    let mut fault = self.fault(Kind::Entity, staged)?;
                    let scope = &spec.scope;
                    fault.message = format!(
                        "OVERRIDE pins properties of existing entities, and scope `{scope}` has \
                         no live entity with this key"
                    );
                    faults.push(fault);
                    return Ok(());
                }
            },
        };
        let (spelling, digest, content) = match content {
            Some(merged) => {
                let digest = self.digest_of(&merged, &[]);
                (digest, Some(digest), Content::Merged(Box::new(merged)))
            }
            None => (staged.spelling, None, Content::staged(staged)),
        };
        let action = match known {
            None => Action::Create(content),
            Some(known) if !known.live => Action::Revive(content),
            Some(known)
                if known.digest != spelling
                    && self.stored_digest(Kind::Entity, known.number)?
                        != digest.map_or_else(|| self.uploaded_digest(staged), Ok)? =>
            {
                Action::Update(content)
            }
            Some(_) => {
                report.entities.unchanged += 1;
                return Ok(());
            }
        };
        changes.push(change(known.map_or(0, |k| k.number), staged.id, spelling, action));
        Ok(())
    }

    /// The uploaded contents with the pins of the entity over them; `None` if it has none.
    fn pinned(&self, spec: &JobSpec, staged: &Staged) -> Result<Option<Merged>, SyncError> {
        if !self.has_pins {
            return Ok(None);
        }
        match self.pins(spec, staged.id)? {
            Some(pin) => self.with_pins(self.staged_content(Kind::Entity, staged)?, Some(&pin)),
            None => Ok(None),
        }
    }

    fn pins(&self, spec: &JobSpec, id: IdHash) -> Result<Option<Vec<u8>>, StoreError> {
        match self.scope_number(&spec.scope) {
            Some(scope) => self.snapshot.pins(scope, id),
            None => Ok(None),
        }
    }

    fn with_pins(
        &self,
        mut content: Merged,
        pin: Option<&[u8]>,
    ) -> Result<Option<Merged>, SyncError> {
        if let Some(pin) = pin {
            let mut c = Cursor(pin);
            let read = (|| {
                let mut pinned = Vec::new();
                for _ in 0..c.varint()? {
                    let name = c.text()?.to_owned();
                    pinned.push((name, c.bytes()?.to_vec()));
                }
                Some(pinned)
            })();
            let pinned =
                read.ok_or_else(|| StoreError::corrupt("pins", &[], "contents make no sense"))?;
            overlay(&mut content.properties, pinned);
        }
        Ok(Some(content))
    }

    /// What an OVERRIDE upload pins, as a record of the table; `None` for no properties, which
    /// takes the pins away.
    fn pin_record(&self, staged: &Staged) -> Result<Option<Vec<u8>>, SyncError> {
        let content = self.staged_content(Kind::Entity, staged)?;
        if content.properties.is_empty() {
            return Ok(None);
        }
        let mut out = Vec::new();
        crate::store::put_varint(&mut out, content.properties.len() as u64);
        for (name, value) in &content.properties {
            crate::store::put_bytes(&mut out, name.as_bytes());
            crate::store::put_bytes(&mut out, value);
        }
        Ok(Some(out))
    }

    /// Stored contents with the patch over them, or why there can be none.
    fn patched(
        &self,
        spec: &JobSpec,
        staged: &Staged,
        known: Option<Identity>,
        live: Option<Identity>,
    ) -> Result<Result<Option<Merged>, String>, SyncError> {
        let patch = self.staged_content(Kind::Entity, staged)?;
        let Some(known_live) = live else {
            if patch.key.is_empty() {
                return Ok(Err("no live entity of this scope has this `_id`".into()));
            }
            if patch.type_name.is_empty() || patch.class.is_empty() {
                let state = if known.is_some() { "is deleted" } else { "does not exist" };
                return Ok(Err(format!(
                    "the entity {state}, and to create it `_type` and `_class` are needed"
                )));
            }
            let pin = self.pins(spec, staged.id)?;
            return Ok(Ok(self.with_pins(patch, pin.as_deref())?));
        };
        let mut content = self.stored_content(Kind::Entity, known_live.number)?;
        if !patch.type_name.is_empty() {
            content.type_name = patch.type_name;
        }
        if !patch.class.is_empty() {
            content.class = patch.class;
        }
        if patch.raw_data.is_some() {
            content.raw_data = patch.raw_data;
        }
        overlay(&mut content.properties, patch.properties);
        let pin = self.pins(spec, staged.id)?;
        Ok(Ok(self.with_pins(content, pin.as_deref())?))
    }

    fn staged_content(&self, kind: Kind, staged: &Staged) -> Result<Merged, SyncError> {
        let records = self.stage.records(staged.frame)?;
        let names = self.stage.names(staged.frame);
        let content =
            Record::read(kind, &records, (staged.offset, staged.len)).and_then(|record| {
                let (properties, raw) = record.properties()?;
                Some(Merged {
                    key: record.key.to_owned(),
                    type_name: names[record.type_name as usize].clone(),
                    class: names[record.class as usize].clone(),
                    properties: properties
                        .into_iter()
                        .map(|(name, value)| (names[name as usize].clone(), value.to_vec()))
                        .collect(),
                    raw_data: raw.map(str::to_owned),
                })
            });
        content.ok_or(SyncError::damaged_stage())
    }

    fn stored_content(&self, kind: Kind, number: u32) -> Result<Merged, SyncError> {
        let head = self.stored_head(kind, number)?;
        let record = self.snapshot.body_record(kind, &head)?;
        let (properties, raw) = read_body(&record)
            .ok_or_else(|| StoreError::corrupt("bodies", &[], "record makes no sense"))?;
        let dictionary = self.snapshot.dictionary();
        let encode = |value: &crate::graph::Value<'_>| {
            let mut out = Vec::new();
            put_value(&mut out, value);
            out
        };
        let mut all: Vec<(String, Vec<u8>)> = properties
            .iter()
            .map(|(name, value)| (dictionary.text(*name).to_owned(), encode(value)))
            .collect();
        if let Some(display) = &head.display {
            let value = crate::graph::Value::Text(display.as_ref().into());
            all.push(("displayName".into(), encode(&value)));
        }
        all.sort();
        Ok(Merged {
            key: head.key.to_string(),
            type_name: dictionary.text(head.type_name).to_owned(),
            class: dictionary.text(head.class).to_owned(),
            properties: all,
            raw_data: raw.map(str::to_owned),
        })
    }

    fn digest_of(&self, content: &Merged, ends: &[IdHash]) -> u64 {
        let seed = self.snapshot.meta().digest_seed;
        let raw = content.raw_data.as_deref();
        let properties = content.properties.iter();
        let properties = properties
            .filter(|(name, _)| name != ORIGIN)
            .map(|(name, value)| (name.as_str(), value.as_slice()));
        content_digest(seed, &content.type_name, &content.class, ends, properties, raw)
    }

    /// The digest of the content of an uploaded object.
    fn uploaded_digest<T: Uploaded>(&self, uploaded: &T) -> Result<u64, SyncError> {
        let content = self.staged_content(T::KIND, uploaded.as_ref())?;
        Ok(self.digest_of(&content, &uploaded.ends()))
    }

    /// The digest of the content of a stored object, for one that is written in another way.
    fn stored_digest(&self, kind: Kind, number: u32) -> Result<u64, SyncError> {
        let content = self.stored_content(kind, number)?;
        let mut ends = Vec::new();
        if kind == Kind::Relationship
            && let Some(facts) = self.snapshot.facts(kind, number)?
        {
            for end in [facts.ends.0, facts.ends.1] {
                let entity = self.snapshot.entity_head(end)?.ok_or_else(|| {
                    StoreError::corrupt("heads", &end.to_be_bytes(), "an end is missing")
                })?;
                ends.push(self.snapshot.hashed(entity.id));
            }
        }
        Ok(self.digest_of(&content, &ends))
    }

    fn is_partial(&self, spec: &JobSpec, kind: Kind, number: u32) -> Result<bool, StoreError> {
        if spec.partial_types.is_empty() {
            return Ok(false);
        }
        let facts = self.snapshot.facts(kind, number)?;
        Ok(facts.is_some_and(|f| {
            let name = self.snapshot.name(f.type_name);
            spec.partial_types.iter().any(|t| t == name)
        }))
    }

    /// Gives new objects their numbers: entities as they were uploaded, which keeps neighbours in
    /// the file together; relationships by their ends, which keeps adjacency columns narrow.
    fn number_creates(&mut self, kind: Kind, changes: &mut [Change]) {
        // Changes ascend by id, so their index breaks ties as their id would.
        let mut order: Vec<((u32, u32), u32)> = changes
            .iter()
            .zip(0..)
            .filter_map(|(change, i)| match (&change.action, kind) {
                (Action::Create(_), Kind::Relationship) => Some((change.ends, i)),
                (Action::Create(Content::Staged { frame, offset, .. }), Kind::Entity) => {
                    Some(((*frame, *offset), i))
                }
                (Action::Create(_), Kind::Entity) => Some(((u32::MAX, i), i)),
                _ => None,
            })
            .collect();
        order.par_sort_unstable();
        for (_, i) in order {
            changes[i as usize].number = self.next[kind as usize];
            self.next[kind as usize] += 1;
        }
    }

    /// Finds the live relationships that touch a deleted entity, whoever owns them.
    fn find_cascade<'j>(
        &mut self,
        plans: impl Iterator<Item = &'j JobPlan>,
    ) -> Result<(), StoreError> {
        for plan in plans {
            let mut numbers: Vec<u32> = plan
                .entities
                .iter()
                .filter(|change| change.action == Action::Delete)
                .map(|change| change.number)
                .collect();
            numbers.sort_unstable();
            for number in numbers {
                for direction in [Direction::Out, Direction::In] {
                    self.snapshot.for_each_edge(number, direction, |edge| {
                        self.cascade.insert(edge.relationship);
                    })?;
                }
            }
        }
        Ok(())
    }

    fn relationships(
        &mut self,
        job: &mut JobInput,
        report: &mut JobReport,
    ) -> Result<Vec<Change>, SyncError> {
        job.folded[1] += fold_duplicates(self, &job.spec, &mut job.relationships)?;
        let job = &*job;
        let (spec, staged) = (&job.spec, &job.relationships);
        report.relationships.uploaded = staged.len() as u64 + job.folded[1];
        let stored = self.stored(Kind::Relationship, job, staged)?;
        let mut decisions = Vec::new();
        let mut same = 0;
        let cascade = &self.cascade;
        reconcile(
            stored.into_iter(),
            staged.iter().map(AsRef::as_ref),
            |decision| match decision {
                // A live relationship has live ends, unless this very plan deletes one.
                Decision::Same(_, known) if !cascade.contains(&known.number) => same += 1,
                decision => decisions.push(decision),
            },
        );
        self.check_keys(&mut decisions, staged)?;
        let mut kept = 0;
        for at in 0..decisions.len() {
            if let Decision::Change(i, known) = decisions[at]
                && !self.cascade.contains(&known.number)
                && self.stored_digest(Kind::Relationship, known.number)?
                    == self.uploaded_digest(&staged[i])?
            {
                same += 1;
                continue;
            }
            decisions[kept] = decisions[at];
            kept += 1;
        }
        decisions.truncate(kept);
        report.relationships.unchanged = same;
        if let Some(known) = &job.known {
            self.count_seen(Kind::Relationship, spec, known, report)?;
        }
        let found = self.find_ends(staged, &decisions)?;
        let mut changes = Vec::with_capacity(decisions.len());
        for (decision, found) in decisions.into_iter().zip(found) {
            let (i, known) = match decision {
                Decision::Create(i) => (i, None),
                Decision::Revive(i, known)
                | Decision::Change(i, known)
                | Decision::Same(i, known) => (i, Some(known)),
                Decision::Absent(known) => {
                    let number = known.number;
                    let gone = self.cascade.remove(&number);
                    if gone || !self.is_partial(spec, Kind::Relationship, number)? {
                        changes.push(change(number, known.id, known.digest, Action::Delete));
                    }
                    continue;
                }
            };
            let staged = &staged[i];
            let mut resolve = |name, end, found: Option<u32>| match found {
                Some(number) => Ok(Ok(number)),
                None => self.resolve(name, staged, end),
            };
            let ends = match (
                resolve("from", staged.from, found[0])?,
                resolve("to", staged.to, found[1])?,
            ) {
                (Ok(from), Ok(to)) => (from, to),
                (from, to) => {
                    let missing: Vec<_> = [from.err(), to.err()].into_iter().flatten().collect();
                    // Finding out why costs more than all else, and only the first are listed.
                    let reason = match report.skipped.len() {
                        ..SKIPPED_LISTED => self.missing_reason(staged, &missing)?,
                        _ => String::new(),
                    };
                    self.skip(report, Kind::Relationship, &staged.object, reason)?;
                    report.relationships.skipped += 1;
                    if let Some(known) = known.filter(|known| known.live) {
                        self.cascade.remove(&known.number);
                        let (number, id) = (known.number, known.id);
                        changes.push(change(number, id, known.digest, Action::Delete));
                    }
                    continue;
                }
            };
            let content = Content::staged(&staged.object);
            let (number, action) = match known {
                None => (0, Action::Create(content)),
                Some(known) if known.live => (known.number, Action::Update(content)),
                Some(known) => (known.number, Action::Revive(content)),
            };
            if let Some(known) = known {
                self.cascade.remove(&known.number);
            }
            let (id, digest) = (staged.object.id, staged.object.spelling);
            changes.push(Change { number, id, digest, ends, action });
        }
        self.named_deletes(job, Kind::Relationship, staged, &mut changes)?;
        changes.par_sort_unstable_by_key(|change| change.id);
        self.number_creates(Kind::Relationship, &mut changes);
        self.tally(spec, Kind::Relationship, staged, &changes, report)?;
        Ok(changes)
    }

    fn end_scope(&mut self, frame: u32, scope: u32) -> Option<u32> {
        let (snapshot, stage) = (self.snapshot, self.stage);
        let numbers = self.frame_names[frame as usize].get_or_insert_with(|| {
            stage.names(frame).iter().map(|name| snapshot.name_number(name)).collect()
        });
        numbers[scope as usize]
    }

    /// The numbers of the ends that are live, for each decision; none where an end has to be looked
    /// at more closely.
    fn find_ends(
        &mut self,
        staged: &[StagedRelationship],
        decisions: &[Decision],
    ) -> Result<Vec<[Option<u32>; 2]>, StoreError> {
        let of = |decision: &Decision| match decision {
            Decision::Create(i)
            | Decision::Revive(i, _)
            | Decision::Change(i, _)
            | Decision::Same(i, _) => Some(&staged[*i]),
            Decision::Absent(_) => None,
        };
        let created = &self.created;
        let mut found = vec![[None, None]; decisions.len()];
        if !created.is_empty() {
            // All of a few are on their way from memory before the first is looked at.
            let find = |(decisions, found): (&[Decision], &mut [[Option<u32>; 2]])| {
                let touch =
                    |s: &StagedRelationship| created.touch(s.from.id) ^ created.touch(s.to.id);
                std::hint::black_box(decisions.iter().filter_map(of).fold(0, |x, s| x ^ touch(s)));
                for (decision, found) in decisions.iter().zip(found) {
                    if let Some(staged) = of(decision) {
                        *found = [staged.from, staged.to].map(|end| created.get(end.id));
                    }
                }
            };
            decisions.par_chunks(16).zip(found.par_chunks_mut(16)).for_each(find);
        }
        // What is not new is looked up scope by scope in the order of the file.
        let mut wanted: FxHashMap<u32, Vec<(IdHash, u32)>> = FxHashMap::default();
        for ((decision, found), i) in decisions.iter().zip(&found).zip(0..) {
            let Some(staged) = of(decision) else { continue };
            for ((end, found), side) in [staged.from, staged.to].iter().zip(found).zip(0..) {
                if found.is_none()
                    && end.scope != 0
                    && let Some(scope) = self.end_scope(staged.object.frame, end.scope)
                {
                    wanted.entry(scope).or_default().push((end.id, i * 2 + side));
                }
            }
        }
        for (scope, mut wanted) in wanted {
            wanted.par_sort_unstable();
            let mut at = wanted.iter().map(|(_, at)| *at as usize);
            let ids = wanted.iter().map(|(id, _)| *id);
            let deleted = &self.deleted;
            self.snapshot.find_many(Kind::Entity, scope, ids, |identity| {
                let live = identity.filter(|i| i.live && !deleted.contains(&i.number));
                if let (Some(at), Some(live)) = (at.next(), live) {
                    found[at / 2][at % 2] = Some(live.number);
                }
            })?;
        }
        Ok(found)
    }

    fn resolve(
        &mut self,
        name: &'static str,
        staged: &StagedRelationship,
        end: StagedEnd,
    ) -> Result<Result<u32, MissingEnd>, StoreError> {
        if let Some(number) = self.created.get(end.id) {
            return Ok(Ok(number));
        }
        let found = if end.scope == 0 {
            let mut found = None;
            for scope in self.snapshot.scope_numbers()? {
                found = found.or(self.snapshot.find_hash(Kind::Entity, scope, end.id)?);
            }
            found
        } else {
            match self.end_scope(staged.object.frame, end.scope) {
                Some(scope) => self.snapshot.find_hash(Kind::Entity, scope, end.id)?,
                None => None,
            }
        };
        Ok(match found {
            Some(found) if found.live && !self.deleted.contains(&found.number) => Ok(found.number),
            Some(found) => Err(MissingEnd { name, end, tombstone: Some(found.number) }),
            None => Err(MissingEnd { name, end, tombstone: None }),
        })
    }

    /// Says for each missing end whether it was never seen, is deleted, or lives elsewhere.
    fn missing_reason(
        &self,
        staged: &StagedRelationship,
        missing: &[MissingEnd],
    ) -> Result<String, SyncError> {
        let frame = staged.object.frame;
        let records = self.stage.records(frame)?;
        let record =
            Record::read(Kind::Relationship, &records, (staged.object.offset, staged.object.len))
                .ok_or(SyncError::damaged_stage())?;
        let mut reasons = Vec::new();
        for missing in missing {
            let key = record.ends[usize::from(missing.name == "to")];
            let scope = &self.stage.names(frame)[missing.end.scope as usize];
            let id = key.strip_prefix('\0');
            let what = match (id, scope.as_str()) {
                (Some(id), "") => format!("entity with id {id}"),
                (Some(id), scope) => format!("entity with id {id} in scope `{scope}`"),
                (None, scope) => format!("entity `{key}` in scope `{scope}`"),
            };
            let state = self.missing_state(missing)?;
            let elsewhere = if id.is_some() { Vec::new() } else { self.elsewhere(key, scope)? };
            let also = match elsewhere.as_slice() {
                [] => String::new(),
                scopes => format!("; the same key lives in scope {}", scopes.join(", ")),
            };
            reasons.push(format!("`{}` {what} {state}{also}", missing.name));
        }
        Ok(reasons.join(" and "))
    }

    fn missing_state(&self, missing: &MissingEnd) -> Result<String, StoreError> {
        let Some(number) = missing.tombstone else { return Ok("was never seen".into()) };
        if self.deleted.contains(&number) {
            return Ok("is soft-deleted by this job".into());
        }
        let entity = self.snapshot.entity(number)?;
        let Some(metadata) = entity.map(|entity| entity.metadata) else {
            return Ok("was never seen".into());
        };
        let when = jiff::Timestamp::from_millisecond(metadata.end_on.unwrap_or_default())
            .map_or_else(|_| "an unknown time".into(), |t| format!("{t:.0}"));
        Ok(format!("was soft-deleted at {when} by job {}", metadata.job_id))
    }

    fn elsewhere(&self, key: &str, not: &str) -> Result<Vec<String>, StoreError> {
        let mut scopes = Vec::new();
        for number in self.snapshot.scope_numbers()? {
            let scope = self.snapshot.name(number);
            if scope != not
                && let Some(i) = self.snapshot.find(
                    Kind::Entity,
                    number,
                    ObjectId::new(Kind::Entity, scope, key),
                )?
                && i.live
            {
                scopes.push(format!("`{scope}`"));
            }
        }
        Ok(scopes)
    }

    fn skip(
        &self,
        report: &mut JobReport,
        kind: Kind,
        staged: &Staged,
        reason: String,
    ) -> Result<(), SyncError> {
        report.skipped_total += 1;
        let type_name = {
            let records = self.stage.records(staged.frame)?;
            let names = self.stage.names(staged.frame);
            let record = Record::read(kind, &records, (staged.offset, staged.len))
                .ok_or(SyncError::damaged_stage())?;
            if report.skipped.len() < SKIPPED_LISTED {
                let key = record.full_key(kind, names);
                let place = self.inputs.place(record.place);
                report.skipped.push(Skipped { key, place, reason });
            }
            names[record.type_name as usize].clone()
        };
        report.types.entry(type_name).or_default().skipped += 1;
        Ok(())
    }

    fn fault(&self, kind: Kind, staged: &Staged) -> Result<super::Fault, SyncError> {
        let records = self.stage.records(staged.frame)?;
        let record = Record::read(kind, &records, (staged.offset, staged.len))
            .ok_or(SyncError::damaged_stage())?;
        Ok(super::Fault {
            place: record.place,
            column: 0,
            path: String::new(),
            key: Some(self.uploaded_key(kind, staged)?),
            message: String::new(),
        })
    }

    /// Counts created, updated and deleted objects, in all and by type.
    fn tally<T: AsRef<Staged>>(
        &self,
        spec: &JobSpec,
        kind: Kind,
        staged: &[T],
        changes: &[Change],
        report: &mut JobReport,
    ) -> Result<(), SyncError> {
        let mut total = Tally::default();
        let mut deleted: Vec<u32> = Vec::new();
        // By batch and name in it, one batch after the other.
        let names = (0..self.stage.frames()).map(|frame| self.stage.names(frame));
        let mut end = 0;
        let starts: Vec<usize> = names
            .clone()
            .map(|names| {
                end += names.len();
                end - names.len()
            })
            .collect();
        let mut by_name = vec![Tally::default(); end];
        let mut ahead = changes.iter().peekable();
        // Both sides ascend by id.
        for staged in staged.iter().map(AsRef::as_ref) {
            while let Some(change) = ahead.next_if(|change| change.id < staged.id) {
                deleted.push(change.number);
            }
            let at = starts[staged.frame as usize] + staged.type_name as usize;
            let tally = &mut by_name[at];
            tally.uploaded += 1;
            match ahead.next_if(|change| change.id == staged.id).map(|c| (&c.action, c.number)) {
                None => tally.unchanged += 1,
                Some((Action::Update(_), _)) => tally.updated += 1,
                Some((Action::Create(_) | Action::Revive(_), _)) => tally.created += 1,
                // Left out although uploaded: it is taken off again below, where skips are.
                Some((Action::Delete, number)) => {
                    tally.unchanged += 1;
                    deleted.push(number);
                }
            }
        }
        deleted.extend(ahead.map(|change| change.number));
        total.deleted = deleted.len() as u64;
        let mut types: FxHashMap<String, Tally> = FxHashMap::default();
        let tallies = names.flatten().zip(by_name).filter(|(_, tally)| tally.uploaded > 0);
        for (name, tally) in tallies {
            total.created += tally.created;
            total.updated += tally.updated;
            let sum = types.entry(name.clone()).or_default();
            sum.uploaded += tally.uploaded;
            sum.created += tally.created;
            sum.updated += tally.updated;
            sum.unchanged += tally.unchanged;
        }
        deleted.sort_unstable();
        for number in deleted {
            if let Some(facts) = self.snapshot.facts(kind, number)? {
                let name = self.snapshot.name(facts.type_name).to_owned();
                types.entry(name).or_default().deleted += 1;
            }
        }
        for (name, tally) in types {
            // A patch may leave the type out; it is then counted without one.
            let name = if name.is_empty() { format!("({})", spec.mode) } else { name };
            let sum = report.types.entry(name).or_default();
            sum.uploaded += tally.uploaded;
            sum.created += tally.created;
            sum.updated += tally.updated;
            sum.deleted += tally.deleted;
            // What was skipped was counted by its type where it happened.
            sum.unchanged += tally.unchanged.saturating_sub(sum.skipped);
        }
        let sum = match kind {
            Kind::Entity => &mut report.entities,
            Kind::Relationship => &mut report.relationships,
        };
        sum.created = total.created;
        sum.updated = total.updated;
        sum.deleted = total.deleted;
        Ok(())
    }

    /// What is left of the cascade after all jobs took theirs: relationships of other scopes.
    fn foreign(&mut self, jobs: &mut [JobPlan]) -> Result<BTreeMap<u32, Vec<Change>>, SyncError> {
        let mut foreign: BTreeMap<u32, Vec<Change>> = BTreeMap::new();
        let mut left: Vec<u32> = self.cascade.iter().copied().collect();
        left.sort_unstable();
        for number in left {
            let Some(head) = self.snapshot.head(Kind::Relationship, number)? else { continue };
            let scope = self.snapshot.name(head.scope);
            let key = self.snapshot.relationship_key(&head)?;
            let id = self.snapshot.hashed(ObjectId::new(Kind::Relationship, scope, &key));
            let digest = self
                .snapshot
                .find_hash(Kind::Relationship, head.scope, id)?
                .ok_or_else(|| {
                    let key = id.0.to_be_bytes();
                    StoreError::corrupt("identity", &key, "a relationship has no identity")
                })?
                .digest;
            foreign.entry(head.scope).or_default().push(change(number, id, digest, Action::Delete));
            let culprit = jobs
                .iter_mut()
                .find(|job| {
                    job.entities.iter().any(|c| {
                        c.action == Action::Delete && (c.number == head.from || c.number == head.to)
                    })
                })
                .map(|job| &mut job.report.foreign_deletions);
            if let Some(counts) = culprit {
                *counts.entry(scope.to_owned()).or_default() += 1;
            }
        }
        for changes in foreign.values_mut() {
            changes.sort_unstable_by_key(|change| change.id);
        }
        Ok(foreign)
    }

    fn guard(&self, job: &mut JobPlan) -> Result<(), SyncError> {
        if !job.spec.mode.deletes() {
            return Ok(());
        }
        let row = self.scope_row(&job.spec.scope)?;
        if let Some(limits) = &job.spec.edge_limits {
            let (live, r) = (row.count(Kind::Relationship).live, job.report.relationships);
            job.report.refusals = guard::refusals(live, r.created, r.deleted, limits);
            if !job.report.refusals.is_empty() {
                job.report.status = Status::Refused;
            }
            return Ok(());
        }
        let limits = Limits {
            min_deletes: row.min_deletes.unwrap_or(guard::MIN_DELETES),
            max_delete_percent: row.max_delete_percent.unwrap_or(guard::MAX_DELETE_PERCENT),
            allow_deletes: job.spec.allow_deletes,
        };
        let mut kinds = Vec::new();
        let mut total = 0;
        for (kind, changes) in
            [(Kind::Entity, &job.entities), (Kind::Relationship, &job.relationships)]
        {
            let counts = row.count(kind);
            let mut deletions = Deletions { live: counts.live, ..Deletions::default() };
            for change in changes {
                match change.action {
                    Action::Delete => {
                        deletions.deleted += 1;
                        if let Some(facts) = self.snapshot.facts(kind, change.number)? {
                            let before = counts.types.get(&facts.type_name).copied().unwrap_or(0);
                            let name = self.snapshot.name(facts.type_name).to_owned();
                            let entry = deletions.types.entry(name).or_insert((before, before));
                            entry.1 = entry.1.saturating_sub(1);
                        }
                    }
                    _ => continue,
                }
            }
            for (name, (_, after)) in &mut deletions.types {
                *after += job.report.types.get(name).map_or(0, |tally| tally.created);
            }
            total += deletions.deleted;
            kinds.push((kind, deletions));
        }
        let uploaded = job.report.entities.uploaded + job.report.relationships.uploaded;
        let reasons = guard::objections(&job.spec.scope, uploaded, &kinds, limits);
        if !reasons.is_empty() {
            job.report.status = Status::Held;
            job.report.held = Some(Held {
                reasons,
                deletes: self.first_deletes(job)?,
                override_hint: format!(
                    "if this is meant: tombolo job approve {id}, or sync again with \
                     --allow-deletes {total}; if not: tombolo job abort {id}",
                    id = job.spec.id
                ),
            });
        }
        Ok(())
    }

    /// The first 50 keys that would go.
    fn first_deletes(&self, job: &JobPlan) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        for (kind, changes) in
            [(Kind::Entity, &job.entities), (Kind::Relationship, &job.relationships)]
        {
            let deletes = changes.iter().filter(|c| c.action == Action::Delete);
            for change in deletes.take(50 - keys.len()) {
                if let Some(head) = self.snapshot.head(kind, change.number)? {
                    keys.push(self.snapshot.key_of(kind, &head)?);
                }
            }
        }
        keys.sort();
        Ok(keys)
    }
}

fn change(number: u32, id: IdHash, digest: u64, action: Action) -> Change {
    Change { number, id, digest, ends: (0, 0), action }
}

/// Lays `over` onto `under`; both ascend by name, and so does the result.
fn overlay(under: &mut Vec<(String, Vec<u8>)>, over: Vec<(String, Vec<u8>)>) {
    for (name, value) in over {
        match under.binary_search_by(|(n, _)| n.as_str().cmp(&name)) {
            Ok(i) => under[i].1 = value,
            Err(i) => under.insert(i, (name, value)),
        }
    }
}

/// Staged objects of either kind.
trait Uploaded: AsRef<Staged> + Copy + Send + Sync {
    const KIND: Kind;

    /// Hashes of the ids of the ends of a relationship.
    fn ends(&self) -> Vec<IdHash>;
}

impl Uploaded for Staged {
    const KIND: Kind = Kind::Entity;

    fn ends(&self) -> Vec<IdHash> {
        Vec::new()
    }
}

impl Uploaded for StagedRelationship {
    const KIND: Kind = Kind::Relationship;

    fn ends(&self) -> Vec<IdHash> {
        vec![self.from.id, self.to.id]
    }
}

/// Sorts decisions in the order in which their objects were staged, what was not staged first: so
/// each batch, and mostly each block of the file, is read once.
fn sort_as_staged<T: Uploaded>(decisions: &mut [Decision], staged: &[T]) {
    decisions.par_sort_unstable_by_key(|decision| match decision {
        Decision::Absent(known) => (None, known.number),
        Decision::Create(i)
        | Decision::Revive(i, _)
        | Decision::Change(i, _)
        | Decision::Same(i, _) => {
            let staged = staged[*i].as_ref();
            (Some(staged.frame), staged.offset)
        }
    });
}

/// Sorts staged objects by id and leaves each id once; returns how many others there were.
///
/// The repetition of a whole batch is a retry and folds away; any other repeated key is an error
/// naming both places, unless the job takes the latest.
fn fold_duplicates<T: Uploaded>(
    planner: &Planner<'_>,
    spec: &JobSpec,
    staged: &mut Vec<T>,
) -> Result<u64, SyncError> {
    staged.par_sort_unstable_by_key(|s| {
        let s = s.as_ref();
        (s.id, s.frame, s.offset)
    });
    let same = |pair: &[T]| pair[0].as_ref().id == pair[1].as_ref().id;
    let mut faults = Vec::new();
    let mut repeated = 0;
    for pair in staged.windows(2).filter(|pair| same(pair)) {
        repeated += 1;
        let (first, second) = (pair[0].as_ref(), pair[1].as_ref());
        if first.spelling != second.spelling {
            let [one, other] =
                [planner.uploaded_key(T::KIND, first)?, planner.uploaded_key(T::KIND, second)?];
            if one != other && !one.is_empty() && !other.is_empty() {
                faults.push(planner.collision(T::KIND, second, &one)?);
                continue;
            }
        }
        if spec.ignore_duplicates {
            continue;
        }
        if !spec.one_upload
            && first.frame != second.frame
            && (first.spelling == second.spelling
                || planner.uploaded_digest(&pair[0])? == planner.uploaded_digest(&pair[1])?)
        {
            continue;
        }
        let earlier = planner.fault(T::KIND, first)?;
        let mut fault = planner.fault(T::KIND, second)?;
        let place =
            planner.inputs.place(earlier.place).unwrap_or_else(|| "an earlier batch".into());
        fault.message = format!(
            "this `_key` stands twice in the upload, first at {place}; leave one out, or let the \
             latest win with --ignore-duplicates"
        );
        faults.push(fault);
    }
    if !faults.is_empty() {
        return Err(SyncError::faults(planner.inputs, faults));
    }
    if repeated > 0 {
        // The latest wins: of equal ids the last one stays.
        staged.reverse();
        staged.dedup_by_key(|s| s.as_ref().id);
        staged.reverse();
    }
    Ok(repeated)
}
