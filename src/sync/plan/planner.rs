//! The planner: what a plan has decided so far.
//!
//! Entities, relationships, ends and deletions are decided in the files beside this one; here is
//! what they all put down.

use super::change::{ObjectChange, PlanFingerprint};
use super::merged::MergedBatchWriter;
use super::missing_ends::MissingEndReport;
use crate::graph::{IdHash, NameLookup, ObjectKind};
use crate::store::StoreError;
use crate::store::staging::StagedObject;
use crate::sync::SyncError;
use crate::sync::compare::{ComparedUploads, UploadContext, UploadJob};
use crate::sync::read::InputDiagnostic;
use crate::sync::report::{JobReport, JobStatus, JobTally, SKIPPED_LISTED, SkippedObject};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;

/// A job while it is planned.
pub(super) struct PlanningJob {
    pub(super) report: JobReport,
    /// Objects made so far, of either kind.
    pub(super) created: [u32; 2],
    pub(super) deletes: [Vec<ObjectChange>; 2],
    pub(super) pins: Vec<(IdHash, Option<Vec<u8>>)>,
    /// See [`PlanFingerprint::seed`], of either kind.
    pub(super) seeds: [u64; 2],
}

/// Decides on compared uploads, one kind after the other.
pub(super) struct SyncPlanner<'p> {
    pub(super) context: &'p UploadContext<'p>,
    /// As in the context.
    pub(super) jobs: Vec<PlanningJob>,
    /// Entities that this plan deletes.
    pub(super) deleted: FxHashSet<u32>,
    /// Relationships that touch those.
    pub(super) cascade: FxHashSet<u32>,
    /// Numbers of tombstones, by the hash of their id, for ends that are given by their id alone.
    pub(super) buried: RefCell<FxHashMap<IdHash, u32>>,
    /// Ends that are missing where they were looked for.
    pub(super) missed: Vec<MissingEndReport>,
    /// Faults of the upload that were found so far.
    pub(super) faults: Vec<InputDiagnostic>,
    pub(super) merges: MergedBatchWriter,
    pub(super) fingerprint: PlanFingerprint,
}

impl<'p> SyncPlanner<'p> {
    /// Nothing is decided yet.
    pub(super) fn new(context: &'p UploadContext<'p>) -> SyncPlanner<'p> {
        let job = |job: &UploadJob<'_>| {
            let spec = &job.input.spec;
            let seed = |kind| PlanFingerprint::seed(&spec.scope, kind);
            PlanningJob {
                report: spec.report(JobStatus::Finished),
                created: [0, 0],
                deletes: [Vec::new(), Vec::new()],
                pins: Vec::new(),
                seeds: [seed(ObjectKind::Entity), seed(ObjectKind::Relationship)],
            }
        };
        SyncPlanner {
            context,
            jobs: context.jobs.iter().map(job).collect(),
            deleted: FxHashSet::default(),
            cascade: FxHashSet::default(),
            buried: RefCell::default(),
            missed: Vec::new(),
            faults: Vec::new(),
            merges: MergedBatchWriter::new(context.folder),
            fingerprint: PlanFingerprint::default(),
        }
    }

    /// Counts what was compared. Stored objects that were not uploaded are put down for deletion.
    pub(super) fn take_compared(
        &mut self,
        kind: ObjectKind,
        compared: &mut ComparedUploads,
    ) -> Result<(), StoreError> {
        for (at, identity) in std::mem::take(&mut compared.absent) {
            // A partial type keeps its relationships only as long as their ends stay.
            let gone = kind == ObjectKind::Relationship && self.cascade.remove(&identity.number);
            if gone || !self.is_partial(at, kind, identity.number)? {
                self.delete(
                    kind,
                    ObjectChange::delete(at, identity.number, identity.id, identity.digest),
                );
            }
        }
        for (job, [uploaded, same]) in self.jobs.iter_mut().zip(&compared.counts) {
            let tally = job.report.of(kind);
            tally.uploaded += uploaded;
            tally.unchanged += same;
        }
        Ok(())
    }

    /// Fails if anything is wrong with the upload.
    pub(super) fn refuse(&mut self) -> Result<(), SyncError> {
        match std::mem::take(&mut self.faults) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(SyncError::faults(self.context.inputs, faults)),
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

    /// The counts of a type in the report of a job.
    pub(super) fn tally(&mut self, job: u32, frame: u32, type_name: u32) -> &mut JobTally {
        let stage = self.context.stage;
        self.tally_of(job, &stage.names(frame)[type_name as usize])
    }

    /// The same by the name of the type.
    pub(super) fn tally_of(&mut self, job: u32, name: &str) -> &mut JobTally {
        let mode = self.context.jobs[job as usize].input.spec.mode;
        let report = &mut self.jobs[job as usize].report;
        // A patch may leave the type out; it is then counted without one.
        match name.is_empty() {
            true => report.of_type(&format!("({mode})")),
            false => report.of_type(name),
        }
    }

    /// Lists an object that is left out.
    pub(super) fn skip(
        &mut self,
        at: u32,
        kind: ObjectKind,
        staged: &StagedObject,
        reason: String,
    ) -> Result<(), SyncError> {
        let contents = self.context.contents();
        let job = &mut self.jobs[at as usize];
        job.report.skipped_total += 1;
        if job.report.skipped.len() < SKIPPED_LISTED {
            let (key, place) = contents.with_record(kind, staged, |record, names| {
                (record.full_key(kind, names), self.context.inputs.place(record.place))
            })?;
            job.report.skipped.push(SkippedObject { key, place, reason });
        }
        Ok(())
    }

    /// True if the job deletes nothing of the type of an object.
    pub(super) fn is_partial(
        &self,
        job: u32,
        kind: ObjectKind,
        number: u32,
    ) -> Result<bool, StoreError> {
        let spec = &self.context.jobs[job as usize].input.spec;
        if spec.partial_types.is_empty() {
            return Ok(false);
        }
        let facts = self.context.snapshot.facts(kind, number)?;
        Ok(facts.is_some_and(|f| {
            let name = self.context.snapshot.name(f.type_name);
            spec.partial_types.iter().any(|t| t == name)
        }))
    }
}
