//! Planning: from staged uploads and a snapshot to a change set that only has to be stored.
//!
//! A plan holds the changes of one or several jobs that are finalized together: entities of all
//! jobs first, then the relationships, whose ends may be entities that the same plan creates.
//! Planning reads a snapshot and writes nothing. It gives out numbers as the writer will give them.
//! This is sound because a plan is applied at its own revision or not at all.
//!
//! Planning goes through each kind twice. First `compare` goes through the hashes and finds the
//! objects that are the same, changed or gone. Then this module decides on the rest in the order of
//! the stage, so that each batch is read once: plainly new objects on all cores, all others one by
//! one.

use super::batch::StagedRecord;
use super::change::{
    ChangeAction, ContentLocation, JobPlan, ObjectChange, PlanFingerprint, SyncPlan,
};
use super::compare::{BitSet, ComparisonResult, HELD, HashPartitions, MatchKind, StoredMatch};
use super::contents::{ContentReader, MergedBatchWriter, MergedContents};
use super::ends::{CreatedEntity, MissingEndReport, ResolvedEnd};
use super::guard::{self, DeleteLimits, DeletionCounts};
use super::job::{JobInput, JobSpec, StagedUploads};
use super::known::KnownObjects;
use super::mode::SyncMode;
use super::prefetch::prefetch;
use super::report::{
    HELD_WITH, HoldReport, JobReport, JobStatus, JobTally, SKIPPED_LISTED, SkippedObject,
};
use super::{InputNames, SyncError};
use crate::graph::{AdjacencyRead, EdgeDirection, IdHash, NameLookup, ObjectId, ObjectKind};
use crate::store::staging::{StagedObject, StagedRelationship, UploadStage};
use crate::store::{Snapshot, SpillBuckets, SpillRecord, StoreError};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Makes the plan of all that was uploaded, against a snapshot. Repetitions are folded away.
///
/// # Errors
///
/// [`SyncError::Faults`] for duplicate keys and for objects that a mode refuses once the graph is
/// known; store errors.
pub fn plan(
    snapshot: &Snapshot,
    uploads: &StagedUploads,
    inputs: &InputNames,
    guarded: bool,
) -> Result<SyncPlan, SyncError> {
    let mut planner = SyncPlanner::new(snapshot, uploads, inputs)?;
    let named = planner.named_deletions(ObjectKind::Entity)?;
    let mut compared = planner.compare::<StagedObject>(&named)?;
    let parts = HashPartitions::of(
        planner.windows.iter().map(|windows| u64::from(windows.total)).sum::<u64>(),
    );
    let (entities, born) = planner.entities(&mut compared, parts)?;
    planner.finish_kind(ObjectKind::Entity, &compared, named)?;
    // Relationships are compared after this: one that loses an end counts as changed.
    planner.find_cascade()?;
    let named = planner.named_deletions(ObjectKind::Relationship)?;
    let mut compared = planner.compare::<StagedRelationship>(&named)?;
    let relationships = planner.relationships(&mut compared, parts, born)?;
    planner.finish_kind(ObjectKind::Relationship, &compared, named)?;
    planner.add_other_scopes()?;
    let foreign = planner.foreign()?;
    let SyncPlanner { jobs, merges, mut fingerprint, .. } = planner;
    let mut planned = Vec::with_capacity(jobs.len());
    for job in jobs {
        let PlanningJob { input, mut report, created, deletes, pins, .. } = job;
        // In the order of the input: of equal names the shorter place is the smaller line.
        report.skipped.sort_by_key(|s| s.place.as_ref().map(|p| (p.len(), p.clone())));
        planned.push(JobPlan { spec: input.spec.clone(), created, deletes, pins, report });
    }
    // Deletions of jobs are in the fingerprint already; those in foreign scopes are still missing.
    for (scope, changes) in &foreign {
        let seed = PlanFingerprint::seed(snapshot.name(*scope), ObjectKind::Relationship);
        changes.iter().for_each(|change| fingerprint.add(seed, change));
    }
    // Every job gets the hash of the whole plan, since the jobs of a plan run together or not at
    // all.
    let hash = fingerprint.text();
    for job in &mut planned {
        job.report.plan_hash.clone_from(&hash);
        if guarded {
            guard(snapshot, job)?;
        }
    }
    hold_together(&mut planned);
    let mapped: Vec<(Uuid, JobTally)> = planned
        .iter()
        .filter_map(|job| Some((job.spec.mapped_for?, job.report.relationships)))
        .collect();
    for (id, tally) in mapped {
        if let Some(job) = planned.iter_mut().find(|job| job.spec.id == id) {
            job.report.mapped_relationships = Some(tally);
        }
    }
    Ok(SyncPlan {
        revision: snapshot.meta().revision,
        jobs: planned,
        changes: [entities, relationships],
        merged: merges.finish()?,
        foreign,
        hash,
    })
}

/// Jobs of one plan run together or not at all.
fn hold_together(jobs: &mut [JobPlan]) {
    let Some(held) = jobs.iter().find(|job| job.report.held.is_some()) else { return };
    let reason = format!("{HELD_WITH} scope `{}`, uploaded with it", held.spec.scope);
    for job in jobs {
        job.report.status = JobStatus::Held;
        job.report.held.get_or_insert_with(|| HoldReport {
            reasons: vec![reason.clone()],
            ..HoldReport::default()
        });
    }
}

/// Staged objects of either kind.
pub(super) trait UploadedObject: AsRef<StagedObject> + Copy + Send + Sync {
    const KIND: ObjectKind;

    /// Hashes of the ids of the ends of a relationship.
    fn ends(&self) -> Vec<IdHash>;

    /// All of a batch.
    fn of_frame(stage: &UploadStage, frame: u32) -> Result<Vec<Self>, StoreError>;

    /// One of a batch.
    fn at(stage: &UploadStage, frame: u32, i: u32) -> Result<Self, StoreError>;
}

impl UploadedObject for StagedObject {
    const KIND: ObjectKind = ObjectKind::Entity;

    fn ends(&self) -> Vec<IdHash> {
        Vec::new()
    }

    fn of_frame(stage: &UploadStage, frame: u32) -> Result<Vec<Self>, StoreError> {
        stage.entities(frame)
    }

    fn at(stage: &UploadStage, frame: u32, i: u32) -> Result<Self, StoreError> {
        stage.entity(frame, i)
    }
}

impl UploadedObject for StagedRelationship {
    const KIND: ObjectKind = ObjectKind::Relationship;

    fn ends(&self) -> Vec<IdHash> {
        vec![self.from.id, self.to.id]
    }

    fn of_frame(stage: &UploadStage, frame: u32) -> Result<Vec<Self>, StoreError> {
        stage.relationships(frame)
    }

    fn at(stage: &UploadStage, frame: u32, i: u32) -> Result<Self, StoreError> {
        stage.relationship(frame, i)
    }
}

/// Objects of a window, about: what is decided and stored in one go.
const WINDOW: u32 = if cfg!(test) { 16 } else { 64 << 10 };

/// The staged objects of one kind, in runs of batches.
pub(super) struct StageWindows {
    /// Batches of each window.
    frames: Vec<Range<u32>>,
    /// Position of the first object of each window.
    firsts: Vec<u32>,
    /// Position of the first object of each batch.
    starts: Vec<u32>,
    /// The number of objects.
    pub(super) total: u32,
}

impl StageWindows {
    fn of_stage(stage: &UploadStage, kind: ObjectKind) -> Result<StageWindows, SyncError> {
        let (mut frames, mut firsts): (Vec<Range<u32>>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut starts = Vec::with_capacity(stage.frames() as usize);
        let mut total: u32 = 0;
        for frame in 0..stage.frames() {
            match frames.last_mut().zip(firsts.last()) {
                Some((frames, first)) if total - first < WINDOW => frames.end = frame + 1,
                _ => {
                    frames.push(frame..frame + 1);
                    firsts.push(total);
                }
            }
            starts.push(total);
            // Ends are kept as a position and one bit in 32 bits, so a position has 31.
            total = total
                .checked_add(stage.count(kind, frame))
                .filter(|total| *total < 1 << 31)
                .ok_or_else(|| SyncError::State("an upload takes at most 2^31 objects".into()))?;
        }
        Ok(StageWindows { frames, firsts, starts, total })
    }

    /// Empty buckets, one for each window.
    pub(super) fn buckets<T: SpillRecord>(&self, folder: &Path) -> SpillBuckets<T> {
        SpillBuckets::new(folder, self.frames.len(), HELD)
    }

    /// The positions of the objects of a window.
    fn objects(&self, window: usize) -> Range<u32> {
        self.firsts[window]..self.firsts.get(window + 1).copied().unwrap_or(self.total)
    }

    /// The position of the first object of a batch.
    pub(super) fn first_of(&self, frame: u32) -> u32 {
        self.starts[frame as usize]
    }

    /// The window of a position.
    pub(super) fn of(&self, ordinal: u32) -> usize {
        self.firsts.partition_point(|first| *first <= ordinal) - 1
    }

    /// The batch of a position, and the position in it.
    pub(super) fn place(&self, ordinal: u32) -> (u32, u32) {
        let frame = self.starts.partition_point(|start| *start <= ordinal) - 1;
        (frame as u32, ordinal - self.starts[frame])
    }
}

/// A job while it is planned.
pub(super) struct PlanningJob<'p> {
    pub(super) input: &'p JobInput,
    /// Name number of its scope, if the graph knows it.
    pub(super) scope: Option<u32>,
    /// True if equal uploads may still give other contents, because of pins or merging.
    pub(super) careful: bool,
    pub(super) report: JobReport,
    /// Objects made so far, of either kind.
    pub(super) created: [u32; 2],
    deletes: [Vec<ObjectChange>; 2],
    pins: Vec<(IdHash, Option<Vec<u8>>)>,
    /// See [`PlanFingerprint::seed`], of either kind.
    seeds: [u64; 2],
}

pub(super) struct SyncPlanner<'p> {
    pub(super) snapshot: &'p Snapshot,
    pub(super) inputs: &'p InputNames,
    pub(super) folder: PathBuf,
    stage: &'p UploadStage,
    pub(super) jobs: Vec<PlanningJob<'p>>,
    /// By batch and name in it: the position of the job that writes the scope of that name.
    pub(super) jobs_of: Arc<[Box<[u32]>]>,
    /// Of either kind.
    pub(super) windows: Arc<[StageWindows; 2]>,
    /// Entities that this plan deletes.
    pub(super) deleted: FxHashSet<u32>,
    /// Relationships that touch those.
    pub(super) cascade: FxHashSet<u32>,
    pub(super) has_pins: bool,
    /// Numbers of tombstones, by the hash of their id, for ends that are given by their id alone.
    pub(super) buried: RefCell<FxHashMap<IdHash, u32>>,
    /// Ends that are missing where they were looked for.
    pub(super) missed: Vec<MissingEndReport>,
    /// Faults of the upload that were found so far.
    pub(super) faults: Vec<super::InputDiagnostic>,
    merges: MergedBatchWriter,
    fingerprint: PlanFingerprint,
}

/// All hashes.
const ALL: RangeInclusive<IdHash> = IdHash(0)..=IdHash(u64::MAX);

/// Stands in for the position of a job if a name is not the scope of any job.
const NO_JOB: u32 = u32::MAX;

/// A batch after sorting it out: changes that need no look into the graph, and the rest.
struct FastPathRow<T> {
    /// New ones.
    changes: Vec<ObjectChange>,
    fingerprint: PlanFingerprint,
    /// Objects that need a look into the graph, each with its stored match and the ends that were
    /// found.
    rest: Vec<(T, Option<StoredMatch>, EndNumbers)>,
    /// By position of the job and type.
    tallies: FxHashMap<(u32, u32), JobTally>,
    /// By position of the job: how many it has made before this batch.
    firsts: FxHashMap<u32, u32>,
}

/// The ends of a relationship that were found.
type EndNumbers = [Option<u32>; 2];

/// The outcome of looking at one object.
enum ObjectOutcome {
    Changed(ObjectChange),
    Unchanged,
    Skipped,
    /// Skipped, so the stored one is deleted.
    Withdrawn(ObjectChange),
}

impl<'p> SyncPlanner<'p> {
    fn new(
        snapshot: &'p Snapshot,
        uploads: &'p StagedUploads,
        inputs: &'p InputNames,
    ) -> Result<SyncPlanner<'p>, SyncError> {
        let has_pins = snapshot.has_pins()?;
        let job = |input: &'p JobInput| {
            let spec = &input.spec;
            let seed = |kind| PlanFingerprint::seed(&spec.scope, kind);
            PlanningJob {
                input,
                scope: snapshot.name_number(&spec.scope),
                careful: has_pins || !spec.mode.deletes(),
                report: spec.report(JobStatus::Finished),
                created: [0, 0],
                deletes: [Vec::new(), Vec::new()],
                pins: Vec::new(),
                seeds: [seed(ObjectKind::Entity), seed(ObjectKind::Relationship)],
            }
        };
        let jobs: Vec<PlanningJob<'p>> = uploads.jobs().iter().map(job).collect();
        let scopes = jobs.iter().map(|job| job.input.spec.scope.as_str()).zip(0..);
        let scopes: FxHashMap<&str, u32> = scopes.collect();
        let stage = uploads.stage();
        let jobs_of = |frame| {
            let names = stage.names(frame).iter();
            names.map(|name| scopes.get(name.as_str()).copied().unwrap_or(NO_JOB)).collect()
        };
        let folder = uploads.folder().to_owned();
        let windows = [ObjectKind::Entity, ObjectKind::Relationship];
        let [entities, relationships] = windows.map(|kind| StageWindows::of_stage(stage, kind));
        Ok(SyncPlanner {
            snapshot,
            inputs,
            stage,
            jobs,
            jobs_of: (0..stage.frames()).map(jobs_of).collect(),
            windows: Arc::new([entities?, relationships?]),
            deleted: FxHashSet::default(),
            cascade: FxHashSet::default(),
            has_pins,
            buried: RefCell::default(),
            missed: Vec::new(),
            faults: Vec::new(),
            merges: MergedBatchWriter::new(&folder),
            fingerprint: PlanFingerprint::default(),
            folder,
        })
    }

    pub(super) fn stage(&self) -> &'p UploadStage {
        self.stage
    }

    pub(super) fn contents(&self) -> ContentReader<'p> {
        ContentReader { snapshot: self.snapshot, stage: self.stage }
    }

    /// Name numbers of the names of a batch.
    pub(super) fn name_numbers(&self, frame: u32) -> Box<[Option<u32>]> {
        let names = self.stage.names(frame).iter();
        names.map(|name| self.snapshot.name_number(name)).collect()
    }

    /// Fails if anything is wrong with the upload.
    pub(super) fn refuse(&mut self) -> Result<(), SyncError> {
        match std::mem::take(&mut self.faults) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(SyncError::faults(self.inputs, faults)),
        }
    }

    /// Puts a deletion down.
    pub(super) fn delete(&mut self, kind: ObjectKind, change: ObjectChange) {
        if kind == ObjectKind::Entity {
            self.deleted.insert(change.number);
        }
        let job = &mut self.jobs[change.job as usize];
        self.fingerprint.add(job.seeds[kind as usize], &change);
        job.deletes[kind as usize].push(change);
    }

    /// The objects that jobs name for deletion, as (position of the job, hash), with the
    /// relationships that go with them. An object that the job uploads as well stays.
    fn named_deletions(&self, kind: ObjectKind) -> Result<FxHashSet<(u32, IdHash)>, SyncError> {
        let mut named = FxHashSet::default();
        for (job, at) in self.jobs.iter().zip(0..) {
            let JobInput { spec, deletes, .. } = job.input;
            let Some(scope) = job.scope else { continue };
            if !spec.mode.compares(kind) {
                continue;
            }
            let ids = deletes.iter().filter(|(of, _)| *of == kind);
            named.extend(ids.map(|(_, id)| (at, self.snapshot.hashed(*id))));
            let cascades = spec.mode.takes_relationships() || !deletes.is_empty();
            // Modes that delete go through the whole scope and find these by themselves.
            if kind == ObjectKind::Relationship && !spec.mode.deletes() && cascades {
                named.extend(self.cascade_of(scope)?.into_iter().map(|id| (at, id)));
            }
        }
        Ok(named)
    }

    /// The relationships of a scope that go with entities that this plan deletes.
    fn cascade_of(&self, scope: u32) -> Result<Vec<IdHash>, StoreError> {
        let mut ids = Vec::new();
        for &number in &self.cascade {
            let Some(head) = self.snapshot.head(ObjectKind::Relationship, number)? else {
                continue;
            };
            if head.scope == scope {
                let key = self.snapshot.relationship_key(&head)?;
                let id = ObjectId::new(ObjectKind::Relationship, self.snapshot.name(scope), &key);
                ids.push(self.snapshot.hashed(id));
            }
        }
        Ok(ids)
    }

    /// Adds the deletions by name, and counts deleted and unchanged objects.
    fn finish_kind(
        &mut self,
        kind: ObjectKind,
        compared: &ComparisonResult,
        mut named: FxHashSet<(u32, IdHash)>,
    ) -> Result<(), SyncError> {
        // An object that is uploaded as well stays.
        named.retain(|named| !compared.kept.contains(named));
        for (job, at) in self.jobs.iter().zip(0..) {
            job.deletes[kind as usize].iter().for_each(|change| {
                named.remove(&(at, change.id));
            });
        }
        for (job, id) in named {
            let Some(scope) = self.jobs[job as usize].scope else { continue };
            if let Some(found) = self.snapshot.find_hash(kind, scope, id)?
                && found.live
            {
                // Otherwise it would be deleted a second time, as a relationship of a foreign
                // scope.
                if kind == ObjectKind::Relationship {
                    self.cascade.remove(&found.number);
                }
                self.delete(kind, ObjectChange::delete(job, found.number, id, found.digest));
            }
        }
        for job in 0..self.jobs.len() {
            if let Some(known) = &self.jobs[job].input.known
                && self.jobs[job].input.spec.mode.compares(kind)
            {
                self.count_seen(kind, job, known)?;
            }
            let PlanningJob { report, deletes, .. } = &mut self.jobs[job];
            let deletes = &mut deletes[kind as usize];
            report.of(kind).deleted = deletes.len() as u64;
            // By number first, which is the order of heads in the file; the plan keeps them by
            // hash.
            deletes.sort_unstable_by_key(|change| change.number);
            for change in &*deletes {
                if let Some(facts) = self.snapshot.facts(kind, change.number)? {
                    report.of_type(self.snapshot.name(facts.type_name)).deleted += 1;
                }
            }
            deletes.sort_unstable_by_key(|change| change.id);
        }
        Ok(())
    }

    /// Counts objects that were uploaded unchanged: all live ones less those that no line named.
    fn count_seen(
        &mut self,
        kind: ObjectKind,
        job: usize,
        known: &KnownObjects,
    ) -> Result<(), StoreError> {
        let row = self.snapshot.scope_row_of(&self.jobs[job].input.spec.scope)?;
        // Types are counted downwards from the stored counts, so only objects that are not there
        // cost a read.
        let mut types = row.count(kind).types.clone();
        let mut total = 0;
        for (identity, seen) in known.identities(kind, ALL).filter(|(identity, _)| identity.live) {
            if seen {
                total += 1;
            } else if let Some(facts) = self.snapshot.facts(kind, identity.number)?
                && let Some(count) = types.get_mut(&facts.type_name)
            {
                *count = count.saturating_sub(1);
            }
        }
        let report = &mut self.jobs[job].report;
        for (number, count) in types.into_iter().filter(|(_, count)| *count > 0) {
            let tally = report.of_type(self.snapshot.name(number));
            tally.uploaded += count;
            tally.unchanged += count;
        }
        let tally = report.of(kind);
        tally.uploaded += total;
        tally.unchanged += total;
        Ok(())
    }

    /// Decides on the entities. Returns their changes by window, and those that come to life by
    /// part.
    fn entities(
        &mut self,
        compared: &mut ComparisonResult,
        parts: HashPartitions,
    ) -> Result<(SpillBuckets<ObjectChange>, SpillBuckets<CreatedEntity>), SyncError> {
        let mut born = SpillBuckets::new(&self.folder, parts.count(), HELD);
        let one =
            |planner: &mut Self, at, staged: &StagedObject, met, _| planner.entity(at, staged, met);
        let changes = self.decide::<StagedObject>(compared, None, Some((parts, &mut born)), one)?;
        Ok((changes, born))
    }

    /// Decides on the relationships. Returns their changes by window.
    fn relationships(
        &mut self,
        compared: &mut ComparisonResult,
        parts: HashPartitions,
        born: SpillBuckets<CreatedEntity>,
    ) -> Result<SpillBuckets<ObjectChange>, SyncError> {
        let found = match self.windows[ObjectKind::Relationship as usize].total {
            0 => None,
            _ => Some(self.find_ends(compared, parts, born)?),
        };
        self.decide(compared, found, None, Self::relationship)
    }

    /// Decides on the objects of a kind, window by window. `one` looks at objects that are not
    /// plainly new; objects that come to life are put down in `born`.
    fn decide<T: UploadedObject>(
        &mut self,
        compared: &mut ComparisonResult,
        mut found: Option<SpillBuckets<ResolvedEnd>>,
        mut born: Option<(HashPartitions, &mut SpillBuckets<CreatedEntity>)>,
        one: impl Fn(
            &mut Self,
            u32,
            &T,
            Option<StoredMatch>,
            EndNumbers,
        ) -> Result<ObjectOutcome, SyncError>,
    ) -> Result<SpillBuckets<ObjectChange>, SyncError> {
        let kind = T::KIND;
        let (jobs_of, all) = (Arc::clone(&self.jobs_of), Arc::clone(&self.windows));
        let windows = &all[kind as usize];
        let mut changes = windows.buckets(&self.folder);
        let side = FastPathContext {
            stage: self.stage,
            jobs_of: &jobs_of,
            windows,
            same: &compared.same,
            folded: &compared.folded,
            // Pins and merging concern entities only.
            careful: self
                .jobs
                .iter()
                .map(|job| job.careful && kind == ObjectKind::Entity)
                .collect(),
            seeds: self.jobs.iter().map(|job| job.seeds[kind as usize]).collect(),
        };
        let met = &mut compared.met;
        let sort_out = |window: usize| {
            let mut met = met.take(window)?;
            met.sort_unstable_by_key(|met| met.ordinal);
            let range = windows.objects(window);
            let mut ends = Vec::new();
            if let Some(found) = &mut found {
                ends.resize(range.len(), EndNumbers::default());
                for ResolvedEnd { at, number } in found.take(window)? {
                    ends[(at / 2 - range.start) as usize][at as usize % 2] = Some(number);
                }
            }
            let frames = windows.frames[window].clone().into_par_iter();
            let plain =
                frames.map(|frame| side.classify_batch::<T>(frame, &met, &ends, range.start));
            Ok((window, plain.collect::<Vec<_>>()))
        };
        // There are many types, and each is in many batches, so reports are updated once at the
        // end.
        let mut created: FxHashMap<(u32, &str), JobTally> = FxHashMap::default();
        let stage = self.stage;
        prefetch(0..windows.frames.len(), sort_out, |(window, sorted)| {
            let frames = windows.frames[window].clone();
            let mut plain = Vec::with_capacity(sorted.len());
            for (sorted, frame) in sorted.into_iter().zip(frames) {
                let mut sorted: FastPathRow<T> = sorted?;
                self.fingerprint.join(sorted.fingerprint);
                for ((job, type_name), tally) in std::mem::take(&mut sorted.tallies) {
                    let of = &mut self.jobs[job as usize];
                    of.report.of(kind).created += tally.created;
                    // New objects are numbered in the order of the stage, which keeps neighbours
                    // in the file together.
                    sorted.firsts.entry(job).or_insert(of.created[kind as usize]);
                    of.created[kind as usize] += tally.created as u32;
                    let name = stage.names(frame)[type_name as usize].as_str();
                    created.entry((job, name)).or_default().add(&tally);
                }
                plain.push(sorted);
            }
            // Each batch fills buckets of its own; they are added in the order of the stage.
            let packed: Vec<Result<_, StoreError>> = plain
                .par_iter_mut()
                .map(|plain| {
                    let mut packed = (
                        changes.new_worker_buckets(),
                        born.as_ref().map(|(parts, born)| (*parts, born.new_worker_buckets())),
                    );
                    for change in &mut plain.changes {
                        if kind == ObjectKind::Entity {
                            let next = plain.firsts.get_mut(&change.job);
                            let next = next.expect("BUG: it was counted");
                            change.number = *next;
                            *next += 1;
                        }
                        if let Some((parts, born)) = &mut packed.1 {
                            born.push(parts.part(change.id), &CreatedEntity::of(change))?;
                        }
                        packed.0.push(window, change)?;
                    }
                    Ok(packed)
                })
                .collect();
            for packed in packed {
                let packed = packed?;
                changes.absorb(packed.0)?;
                if let (Some((_, born)), Some((_, new))) = (&mut born, packed.1) {
                    born.absorb(new)?;
                }
            }
            for (staged, met, ends) in plain.into_iter().flat_map(|plain| plain.rest) {
                let object = staged.as_ref();
                let job = self.jobs_of[object.frame as usize][object.scope as usize];
                let outcome = one(self, job, &staged, met, ends)?;
                let Some(change) = self.record_outcome(kind, job, object, outcome) else {
                    continue;
                };
                if let Some((parts, born)) = &mut born
                    && change.action != ChangeAction::Update
                {
                    born.push(parts.part(change.id), &CreatedEntity::of(&change))?;
                }
                changes.push(window, &change)?;
            }
            Ok(())
        })?;
        for ((job, name), tally) in created {
            self.tally_of(job, name).add(&tally);
        }
        self.refuse()?;
        Ok(changes)
    }

    /// Counts the outcome for an object that was looked at. Returns the change unless it is a
    /// deletion; a new entity gets its number here.
    fn record_outcome(
        &mut self,
        kind: ObjectKind,
        job: u32,
        object: &StagedObject,
        outcome: ObjectOutcome,
    ) -> Option<ObjectChange> {
        let count: fn(&mut JobTally) = match &outcome {
            ObjectOutcome::Changed(ObjectChange { action: ChangeAction::Update, .. }) => {
                |tally| tally.updated += 1
            }
            ObjectOutcome::Changed(_) => |tally| tally.created += 1,
            ObjectOutcome::Unchanged => |tally| tally.unchanged += 1,
            ObjectOutcome::Skipped | ObjectOutcome::Withdrawn(_) => |tally| tally.skipped += 1,
        };
        count(self.jobs[job as usize].report.of(kind));
        count(self.tally(job, object.frame, object.type_name));
        let mut change = match outcome {
            ObjectOutcome::Changed(change) => change,
            ObjectOutcome::Withdrawn(change) => {
                self.delete(kind, change);
                return None;
            }
            ObjectOutcome::Unchanged | ObjectOutcome::Skipped => return None,
        };
        let of = &mut self.jobs[job as usize];
        if change.action == ChangeAction::Create {
            let created = &mut of.created[kind as usize];
            if kind == ObjectKind::Entity {
                // A relationship gets its number when it is stored, in the order of ends.
                change.number = *created;
            }
            *created += 1;
        }
        self.fingerprint.add(of.seeds[kind as usize], &change);
        Some(change)
    }

    /// The counts of a type in the report of a job.
    fn tally(&mut self, job: u32, frame: u32, type_name: u32) -> &mut JobTally {
        let stage = self.stage;
        self.tally_of(job, &stage.names(frame)[type_name as usize])
    }

    /// The same by the name of the type.
    fn tally_of(&mut self, job: u32, name: &str) -> &mut JobTally {
        let job = &mut self.jobs[job as usize];
        // A patch may leave the type out; it is then counted without one.
        match name.is_empty() {
            true => job.report.of_type(&format!("({})", job.input.spec.mode)),
            false => job.report.of_type(name),
        }
    }

    /// Makes sure that the object found by its hash has the key that was uploaded.
    fn check_key(
        &self,
        kind: ObjectKind,
        staged: &StagedObject,
        met: Option<StoredMatch>,
    ) -> Result<(), SyncError> {
        let Some(StoredMatch { how: MatchKind::Revive | MatchKind::Change, number, .. }) = met
        else {
            return Ok(());
        };
        let key = self
            .contents()
            .with_record(kind, staged, |record, names| record.full_key(kind, names))?;
        let head = self.contents().stored_head(kind, number)?;
        let stored = self.snapshot.key_of(kind, &head)?;
        // A patch may name an entity by its id alone.
        if !key.is_empty() && key != stored {
            let fault = self.collision(kind, staged, &stored)?;
            return Err(SyncError::faults(self.inputs, vec![fault]));
        }
        Ok(())
    }

    /// The fault for two keys of one scope with the same hash: the store cannot tell them apart.
    pub(super) fn collision(
        &self,
        kind: ObjectKind,
        staged: &StagedObject,
        other: &str,
    ) -> Result<super::InputDiagnostic, SyncError> {
        let mut fault = self.fault(kind, staged)?;
        fault.message = format!(
            "this `_key` has the same 64-bit hash as `{other}` in this database, which happens to \
             one upload in billions; rename one of them, or load the data into a new database, \
             whose hashes are others"
        );
        Ok(fault)
    }

    /// Decides on an entity that exists already or whose contents are merged.
    fn entity(
        &mut self,
        at: u32,
        staged: &StagedObject,
        met: Option<StoredMatch>,
    ) -> Result<ObjectOutcome, SyncError> {
        self.check_key(ObjectKind::Entity, staged, met)?;
        let known = met.map(|met| met.identity(staged.id));
        let live = known.filter(|known| known.live).map(|known| known.number);
        let JobSpec { mode, scope, .. } = &self.jobs[at as usize].input.spec;
        let contents = self.contents();
        let merged = match mode {
            SyncMode::Diff | SyncMode::CrossScope => match self.pins(at, staged.id)? {
                Some(pin) => {
                    Some(contents.uploaded(ObjectKind::Entity, staged)?.with_pins(Some(&pin))?)
                }
                None => None,
            },
            SyncMode::Patch | SyncMode::CreateOrUpdate => {
                match self.patched(at, staged, known.is_some(), live)? {
                    Ok(content) => Some(content),
                    Err(reason) => {
                        self.skip(at, ObjectKind::Entity, staged, reason)?;
                        return Ok(ObjectOutcome::Skipped);
                    }
                }
            }
            SyncMode::Override => match live {
                Some(number) => {
                    let pin = contents.pin_record(staged)?;
                    if self.pins(at, staged.id)? != pin {
                        self.jobs[at as usize].pins.push((staged.id, pin.clone()));
                    }
                    Some(contents.stored(ObjectKind::Entity, number)?.with_pins(pin.as_deref())?)
                }
                None => {
                    let mut fault = self.fault(ObjectKind::Entity, staged)?;
                    fault.message = format!(
                        "OVERRIDE pins properties of existing entities, and scope `{scope}` has \
                         no live entity with this key"
                    );
                    // The plan fails, whatever is counted.
                    self.faults.push(fault);
                    return Ok(ObjectOutcome::Skipped);
                }
            },
        };
        let merged = merged.map(|merged| (contents.digest(&merged, &[]), merged));
        let digest = merged.as_ref().map_or(staged.spelling, |(digest, _)| *digest);
        let action = match known {
            None => ChangeAction::Create,
            Some(known) if !known.live => ChangeAction::Revive,
            Some(known) => {
                let uploaded = || match &merged {
                    Some((digest, _)) => Ok(*digest),
                    None => contents.uploaded_digest(ObjectKind::Entity, staged, &[]),
                };
                // The stored digest may be that of a text, so other digests may still mean equal
                // contents.
                if known.digest == digest
                    || contents.stored_digest(ObjectKind::Entity, known.number)? == uploaded()?
                {
                    return Ok(ObjectOutcome::Unchanged);
                }
                ChangeAction::Update
            }
        };
        let place = match merged {
            Some((_, merged)) => self.merges.add(&merged)?,
            None => ContentLocation::of(staged),
        };
        let number = known.map_or(0, |known| known.number);
        let (job, id, ends) = (at, staged.id, (0, 0));
        Ok(ObjectOutcome::Changed(ObjectChange { job, number, id, digest, ends, action, place }))
    }

    /// The pins of an entity.
    fn pins(&self, job: u32, id: IdHash) -> Result<Option<Vec<u8>>, StoreError> {
        match self.jobs[job as usize].scope.filter(|_| self.has_pins) {
            Some(scope) => self.snapshot.pins(scope, id),
            None => Ok(None),
        }
    }

    /// The stored contents with the patch laid over them. The inner error is the reason to skip it.
    fn patched(
        &self,
        at: u32,
        staged: &StagedObject,
        known: bool,
        live: Option<u32>,
    ) -> Result<Result<MergedContents, String>, SyncError> {
        let patch = self.contents().uploaded(ObjectKind::Entity, staged)?;
        let pin = self.pins(at, staged.id)?;
        let Some(number) = live else {
            if patch.key.is_empty() {
                return Ok(Err("no live entity of this scope has this `_id`".into()));
            }
            if patch.type_name.is_empty() || patch.class.is_empty() {
                let state = if known { "is deleted" } else { "does not exist" };
                return Ok(Err(format!(
                    "the entity {state}, and to create it `_type` and `_class` are needed"
                )));
            }
            return Ok(Ok(patch.with_pins(pin.as_deref())?));
        };
        let mut content = self.contents().stored(ObjectKind::Entity, number)?;
        if !patch.type_name.is_empty() {
            content.type_name = patch.type_name;
        }
        if !patch.class.is_empty() {
            content.class = patch.class;
        }
        if patch.raw_data.is_some() {
            content.raw_data = patch.raw_data;
        }
        content.overlay(patch.properties);
        Ok(Ok(content.with_pins(pin.as_deref())?))
    }

    /// Decides on a relationship that exists already or whose ends were not both found.
    fn relationship(
        &mut self,
        at: u32,
        staged: &StagedRelationship,
        met: Option<StoredMatch>,
        found: EndNumbers,
    ) -> Result<ObjectOutcome, SyncError> {
        let kind = ObjectKind::Relationship;
        let object = &staged.object;
        self.check_key(kind, object, met)?;
        let known = met.map(|met| met.identity(object.id));
        // Equal contents do not settle it if an end is deleted: then it must go, or find a new end.
        if let Some(StoredMatch { how: MatchKind::Change, number, .. }) = met
            && !self.cascade.contains(&number)
            && self.contents().stored_digest(kind, number)?
                == self.contents().uploaded_digest(kind, object, &staged.ends())?
        {
            return Ok(ObjectOutcome::Unchanged);
        }
        if let Some(known) = known {
            // This job decides on it; what stays in the cascade is deleted as foreign.
            self.cascade.remove(&known.number);
        }
        let resolve = |name, end, found: Option<u32>| match found {
            Some(number) => Ok(Ok(number)),
            None => self.resolve(name, staged, end),
        };
        let from = resolve("from", staged.from, found[0])?;
        let to = resolve("to", staged.to, found[1])?;
        let ends = match (from, to) {
            (Ok(from), Ok(to)) => (from, to),
            (from, to) => {
                let missing: Vec<_> = [from.err(), to.err()].into_iter().flatten().collect();
                // Finding out why costs more than all else, and only the first are listed.
                let reason = match self.jobs[at as usize].report.skipped.len() {
                    ..SKIPPED_LISTED => self.missing_reason(at, staged, &missing)?,
                    _ => String::new(),
                };
                self.skip(at, kind, object, reason)?;
                // A live relationship has live ends, so without them the stored one is deleted.
                return Ok(match known.filter(|known| known.live) {
                    Some(known) => ObjectOutcome::Withdrawn(ObjectChange::delete(
                        at,
                        known.number,
                        known.id,
                        known.digest,
                    )),
                    None => ObjectOutcome::Skipped,
                });
            }
        };
        let (number, action) = match known {
            None => (0, ChangeAction::Create),
            Some(known) if known.live => (known.number, ChangeAction::Update),
            Some(known) => (known.number, ChangeAction::Revive),
        };
        let (id, digest, place) = (object.id, object.spelling, ContentLocation::of(object));
        Ok(ObjectOutcome::Changed(ObjectChange {
            job: at,
            number,
            id,
            digest,
            ends,
            action,
            place,
        }))
    }

    pub(super) fn is_partial(
        &self,
        spec: &JobSpec,
        kind: ObjectKind,
        number: u32,
    ) -> Result<bool, StoreError> {
        if spec.partial_types.is_empty() {
            return Ok(false);
        }
        let facts = self.snapshot.facts(kind, number)?;
        Ok(facts.is_some_and(|f| {
            let name = self.snapshot.name(f.type_name);
            spec.partial_types.iter().any(|t| t == name)
        }))
    }

    /// Finds the live relationships that touch a deleted entity, whoever owns them.
    fn find_cascade(&mut self) -> Result<(), StoreError> {
        let mut numbers: Vec<u32> = self.deleted.iter().copied().collect();
        // Ascending numbers read adjacency in the order of the file.
        numbers.sort_unstable();
        for number in numbers {
            for direction in [EdgeDirection::Out, EdgeDirection::In] {
                self.snapshot.for_each_edge(number, direction, |edge| {
                    self.cascade.insert(edge.relationship);
                })?;
            }
        }
        Ok(())
    }

    /// Lists an object that is left out.
    fn skip(
        &mut self,
        at: u32,
        kind: ObjectKind,
        staged: &StagedObject,
        reason: String,
    ) -> Result<(), SyncError> {
        let contents = self.contents();
        let job = &mut self.jobs[at as usize];
        job.report.skipped_total += 1;
        if job.report.skipped.len() < SKIPPED_LISTED {
            let (key, place) = contents.with_record(kind, staged, |record, names| {
                (record.full_key(kind, names), self.inputs.place(record.place))
            })?;
            job.report.skipped.push(SkippedObject { key, place, reason });
        }
        Ok(())
    }

    /// A fault of a staged object, still without its message.
    pub(super) fn fault(
        &self,
        kind: ObjectKind,
        staged: &StagedObject,
    ) -> Result<super::InputDiagnostic, SyncError> {
        let record = self.stage.record(staged)?;
        let record = StagedRecord::read(kind, &record, (0, staged.len));
        let record = record.ok_or_else(SyncError::damaged_stage)?;
        Ok(super::InputDiagnostic {
            place: record.place,
            column: 0,
            path: String::new(),
            key: Some(record.full_key(kind, self.stage.names(staged.frame))),
            message: String::new(),
        })
    }

    /// The deletions left in the cascade after all jobs took theirs: relationships of other scopes,
    /// by name number of the scope.
    fn foreign(&mut self) -> Result<BTreeMap<u32, Vec<ObjectChange>>, SyncError> {
        let mut foreign: BTreeMap<u32, Vec<ObjectChange>> = BTreeMap::new();
        let mut left: Vec<u32> = self.cascade.iter().copied().collect();
        left.sort_unstable();
        let mut culprits: FxHashMap<u32, u32> = FxHashMap::default();
        for change in
            self.jobs.iter().rev().flat_map(|job| &job.deletes[ObjectKind::Entity as usize])
        {
            culprits.insert(change.number, change.job);
        }
        for number in left {
            let Some(head) = self.snapshot.head(ObjectKind::Relationship, number)? else {
                continue;
            };
            let scope = self.snapshot.name(head.scope);
            let key = self.snapshot.relationship_key(&head)?;
            let id = self.snapshot.hashed(ObjectId::new(ObjectKind::Relationship, scope, &key));
            let found = self.snapshot.find_hash(ObjectKind::Relationship, head.scope, id)?;
            let found = found.ok_or_else(|| {
                let key = id.0.to_be_bytes();
                StoreError::corrupt("identity", &key, "a relationship has no identity")
            })?;
            // Two jobs may each delete an end; the report of the first one counts it.
            let ends = [head.from, head.to].into_iter();
            let culprit = ends.filter_map(|end| culprits.get(&end)).min().copied();
            let change = ObjectChange::delete(culprit.unwrap_or(0), number, id, found.digest);
            foreign.entry(head.scope).or_default().push(change);
            if let Some(culprit) = culprit {
                let counts = &mut self.jobs[culprit as usize].report.foreign_deletions;
                *counts.entry(scope.to_owned()).or_default() += 1;
            }
        }
        for changes in foreign.values_mut() {
            changes.sort_unstable_by_key(|change| change.id);
        }
        Ok(foreign)
    }
}

/// The data for sorting out a batch without a look into the graph.
struct FastPathContext<'s> {
    stage: &'s UploadStage,
    jobs_of: &'s [Box<[u32]>],
    windows: &'s StageWindows,
    same: &'s BitSet,
    folded: &'s BitSet,
    /// By job: true if all its objects need a look into the graph.
    careful: Vec<bool>,
    /// By job.
    seeds: Vec<u64>,
}

impl FastPathContext<'_> {
    /// Splits a batch into objects that are plainly new or the same, and the rest. `met` ascends by
    /// position, and `ends` are those of relationships from position `first` on.
    fn classify_batch<T: UploadedObject>(
        &self,
        frame: u32,
        met: &[StoredMatch],
        ends: &[EndNumbers],
        first: u32,
    ) -> Result<FastPathRow<T>, StoreError> {
        let objects = T::of_frame(self.stage, frame)?;
        let mut plain = FastPathRow {
            changes: Vec::with_capacity(objects.len()),
            fingerprint: PlanFingerprint::default(),
            rest: Vec::new(),
            tallies: FxHashMap::default(),
            firsts: FxHashMap::default(),
        };
        let start = self.windows.starts[frame as usize];
        let at = met.partition_point(|met| met.ordinal < start);
        let mut met = met[at..].iter().copied().peekable();
        // Neighbours are mostly of one type, so their tally goes into the map once the type
        // changes.
        let (mut of, mut tally) = ((0, 0), JobTally::default());
        for (staged, ordinal) in objects.into_iter().zip(start..) {
            let object = staged.as_ref();
            let job = self.jobs_of[frame as usize][object.scope as usize];
            if self.folded.get(ordinal) {
                continue;
            }
            if of != (job, object.type_name) {
                if tally != JobTally::default() {
                    plain.tallies.entry(of).or_default().add(&tally);
                }
                (of, tally) = ((job, object.type_name), JobTally::default());
            }
            tally.uploaded += 1;
            if self.same.get(ordinal) {
                tally.unchanged += 1;
                continue;
            }
            let met = met.next_if(|met| met.ordinal == ordinal);
            let found = ends.get((ordinal - first) as usize).copied().unwrap_or_default();
            let ends = match (T::KIND, found) {
                (ObjectKind::Entity, _) => Some((0, 0)),
                (ObjectKind::Relationship, [Some(from), Some(to)]) => Some((from, to)),
                (ObjectKind::Relationship, _) => None,
            };
            match ends.filter(|_| met.is_none() && !self.careful[job as usize]) {
                Some(ends) => {
                    tally.created += 1;
                    let (id, digest, place) =
                        (object.id, object.spelling, ContentLocation::of(object));
                    let action = ChangeAction::Create;
                    let change = ObjectChange { job, number: 0, id, digest, ends, action, place };
                    plain.fingerprint.add(self.seeds[job as usize], &change);
                    plain.changes.push(change);
                }
                None => plain.rest.push((staged, met, found)),
            }
        }
        if tally != JobTally::default() {
            plain.tallies.entry(of).or_default().add(&tally);
        }
        Ok(plain)
    }
}

/// Asks the guard about the deletions of a job.
fn guard(snapshot: &Snapshot, job: &mut JobPlan) -> Result<(), SyncError> {
    if !job.spec.mode.deletes() {
        return Ok(());
    }
    let row = snapshot.scope_row_of(&job.spec.scope)?;
    // The limits of a mapping stand in for those of the scope. A job that breaks one is refused,
    // not held.
    if let Some(limits) = &job.spec.edge_limits {
        let (live, r) = (row.count(ObjectKind::Relationship).live, job.report.relationships);
        job.report.refusals = guard::mapping_guard_errors(live, r.created, r.deleted, limits);
        if !job.report.refusals.is_empty() {
            job.report.status = JobStatus::Refused;
        }
        return Ok(());
    }
    let limits = DeleteLimits {
        min_deletes: row.min_deletes.unwrap_or(guard::MIN_DELETES),
        max_delete_percent: row.max_delete_percent.unwrap_or(guard::MAX_DELETE_PERCENT),
        allow_deletes: job.spec.allow_deletes,
    };
    let mut kinds = Vec::new();
    let mut total = 0;
    for (kind, changes) in
        [ObjectKind::Entity, ObjectKind::Relationship].into_iter().zip(&job.deletes)
    {
        let counts = row.count(kind);
        let deleted = changes.len() as u64;
        let mut deletions = DeletionCounts { live: counts.live, deleted, types: BTreeMap::new() };
        for change in changes {
            if let Some(facts) = snapshot.facts(kind, change.number)? {
                let before = counts.types.get(&facts.type_name).copied().unwrap_or(0);
                let name = snapshot.name(facts.type_name).to_owned();
                let entry = deletions.types.entry(name).or_insert((before, before));
                entry.1 = entry.1.saturating_sub(1);
            }
        }
        for (name, (_, after)) in &mut deletions.types {
            // A type whose objects only get other keys does not vanish.
            *after += job.report.types.get(name).map_or(0, |tally| tally.created);
        }
        total += deletions.deleted;
        kinds.push((kind, deletions));
    }
    let uploaded = job.report.entities.uploaded + job.report.relationships.uploaded;
    let reasons = guard::guard_reasons(&job.spec.scope, uploaded, &kinds, limits);
    if !reasons.is_empty() {
        job.report.status = JobStatus::Held;
        job.report.held = Some(HoldReport {
            reasons,
            deletes: first_deletes(snapshot, job)?,
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
fn first_deletes(snapshot: &Snapshot, job: &JobPlan) -> Result<Vec<String>, StoreError> {
    let mut keys = Vec::new();
    for (kind, changes) in
        [ObjectKind::Entity, ObjectKind::Relationship].into_iter().zip(&job.deletes)
    {
        for change in &changes[..changes.len().min(50 - keys.len())] {
            if let Some(head) = snapshot.head(kind, change.number)? {
                keys.push(snapshot.key_of(kind, &head)?);
            }
        }
    }
    keys.sort();
    Ok(keys)
}
