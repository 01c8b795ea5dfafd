//! The end of every job: it is planned, then applied, held, or told to have changed nothing.

use super::super::attempt::TRIES;
use super::super::job_files::{CompleteStage, JobFile, JobFileKind};
use super::super::{Database, Error, RightSet, now};
use crate::store::job_lock::StageEnd;
use crate::store::job_stage::{JobStage, UploadParts};
use crate::store::{DatabaseFile, StoreError};
use crate::sync::{
    ChangeDetails, InputFaults, InputNames, JobReport, StagedUploads, SyncError, SyncPlan, apply,
    describe, plan,
};
use uuid::Uuid;

/// Jobs that are to be planned and applied together.
pub(crate) struct JobGroup<'r> {
    pub(crate) uploads: &'r StagedUploads,
    pub(crate) inputs: &'r InputNames,
    pub(crate) dry_run: bool,
    pub(crate) same_scope_reject: bool,
    /// The end of the stage that the uploads are in already.
    pub(crate) stage: Option<StageEnd>,
    /// The rights of the caller; `None` allows everything.
    pub(crate) rights: Option<&'r RightSet>,
    /// True if an object that has to be skipped is an error.
    pub(crate) whole: bool,
    /// The revision whose objects were looked up to make the uploads, where some were.
    pub(crate) made_at: Option<u64>,
    /// Who is told each change of a dry run.
    pub(crate) details: Option<&'r ChangeVisitor<'r>>,
}

/// Takes the changes of a plan, one after the other.
pub type ChangeVisitor<'v> = dyn Fn(ChangeDetails) -> Result<(), Error> + 'v;

impl<'r> JobGroup<'r> {
    pub(crate) fn new(
        uploads: &'r StagedUploads,
        inputs: &'r InputNames,
        dry_run: bool,
    ) -> JobGroup<'r> {
        JobGroup {
            uploads,
            inputs,
            dry_run,
            same_scope_reject: false,
            stage: None,
            rights: None,
            whole: false,
            made_at: None,
            details: None,
        }
    }
}

impl Database {
    /// Plans, and applies if nothing speaks against it.
    ///
    /// # Errors
    ///
    /// [`Error::Moved`] if the uploads were made for another revision.
    pub(crate) fn run(&self, run: &JobGroup<'_>) -> Result<Vec<JobReport>, Error> {
        let _turn = self.lock_writers();
        // Another process may commit between plan and write; then the plan is made again, at last
        // while all others are kept out.
        for _ in 1..TRIES {
            match self.run_once(None, run) {
                Err(Error::Store(StoreError::Changed)) => {}
                done => return done,
            }
        }
        let store = if run.dry_run { None } else { self.writer()? };
        self.run_once(store, run)
    }

    /// One attempt of a caller that has the turn to write. `store` is open for writing if all
    /// others are kept out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] if another process committed between plan and write.
    pub(crate) fn run_once(
        &self,
        store: Option<DatabaseFile>,
        run: &JobGroup<'_>,
    ) -> Result<Vec<JobReport>, Error> {
        let uploads = run.uploads;
        let snapshot = self.snapshot_of(store.as_ref())?;
        let revision = snapshot.meta().revision;
        if let Some(made_at) = run.made_at.filter(|made_at| *made_at != revision) {
            return Err(Error::Moved(revision, made_at));
        }
        let mut plan = plan(&snapshot, uploads, run.inputs, true)?;
        if let Some(rights) = run.rights {
            rights.allow_mapped(&snapshot, &plan)?;
        }
        if let (true, Some(details)) = (run.dry_run, run.details) {
            describe(&snapshot, uploads, &plan, &mut |change| details(change))?;
        }
        drop(snapshot);
        if run.whole {
            require_whole(&plan, run.rights)?;
        }
        if run.dry_run {
            return Ok(reports(&plan, |report| report.dry_run = true));
        }
        if plan.is_refused() {
            return Ok(reports(&plan, |_| {}));
        }
        if plan.is_held() {
            if uploads.jobs().iter().any(|job| job.known.is_some()) {
                // A held job keeps its uploads whole, and known lines were passed over.
                return Err(SyncError::Reread.into());
            }
            return self.hold(plan, run);
        }
        if plan.is_empty() {
            drop(store);
            return self.finish_unchanged(&plan);
        }
        let reports = self.commit_in(store, &mut plan, uploads)?;
        // The reports are in the database now, so the files beside it can go.
        for job in &plan.jobs {
            self.forget_job(job.spec.id);
        }
        Ok(reports)
    }

    /// Writes a plan, in a store that is open for writing if there is one.
    pub(crate) fn commit_in(
        &self,
        store: Option<DatabaseFile>,
        plan: &mut SyncPlan,
        uploads: &StagedUploads,
    ) -> Result<Vec<JobReport>, Error> {
        let now = now();
        self.write_in(store, Some(plan.revision), |writer, _| {
            apply(plan, uploads, writer, now)?;
            uploads.stage().free();
            Ok(())
        })?;
        Ok(reports(plan, |report| report.end_timestamp = Some(now)))
    }

    /// A job that changes nothing leaves the database file alone; its report waits beside it.
    pub(crate) fn finish_unchanged(&self, plan: &SyncPlan) -> Result<Vec<JobReport>, Error> {
        let now = now();
        let reports = reports(plan, |report| report.end_timestamp = Some(now));
        self.make_folder()?;
        for (job, report) in plan.jobs.iter().zip(&reports) {
            let id = job.spec.id;
            // The lock of an open job is held already; with that of a new one nobody takes what is
            // half made for the rest of a crash.
            let open = self.job_path(id, JobFileKind::Stage).exists();
            let _lock = if open { None } else { Some(self.lock_job(id)?) };
            self.put_job_file(&JobFile::new(vec![job.spec.clone()], vec![report.clone()]))?;
            self.forget_uploads(id);
        }
        self.fold_many()?;
        Ok(reports)
    }

    /// Keeps a job that the guard refused, with all that was uploaded to it.
    pub(crate) fn hold(&self, plan: SyncPlan, run: &JobGroup<'_>) -> Result<Vec<JobReport>, Error> {
        let uploads = run.uploads;
        self.make_folder()?;
        let id = plan.jobs[0].spec.id;
        let reports = reports(&plan, |_| {});
        let mut file =
            JobFile::new(plan.jobs.into_iter().map(|job| job.spec).collect(), reports.clone());
        file.inputs.clone_from(&run.inputs.0);
        file.same_scope_reject = run.same_scope_reject;
        match run.stage {
            // The stage of a single job holds all of it already, so it stays as it is.
            Some(end) if uploads.jobs().len() == 1 => {
                file.kept = Some(CompleteStage::new(false, end));
                self.put_job_file(&file)?;
            }
            stage => {
                // The lock of an open job is held already; nobody else knows a new one.
                let _lock = if stage.is_none() { Some(self.lock_job(id)?) } else { None };
                // Beside the uploads also what their mapped relationships became, which is what
                // is approved.
                file.kept = Some(CompleteStage::new(true, self.keep_held(id, uploads)?));
                self.put_job_file(&file)?;
                // After the job file, which until then named this stage as the one that counts.
                let _ = std::fs::remove_file(self.job_path(id, JobFileKind::Stage));
            }
        }
        Ok(reports)
    }

    /// Writes all that a held job would write; returns the end of that stage.
    pub(super) fn keep_held(&self, id: Uuid, uploads: &StagedUploads) -> Result<StageEnd, Error> {
        let path = self.job_path(id, JobFileKind::Held);
        let _ = std::fs::remove_file(&path);
        let written = (|| {
            let mut held = JobStage::create(&path, id)?;
            for frame in 0..uploads.stage().frames() {
                let batches = &[uploads.stage().batch(frame)?];
                held.write(&UploadParts { batches, ..UploadParts::default() })?;
            }
            let deletes: Vec<_> =
                uploads.jobs().iter().flat_map(|job| job.deletes.iter().copied()).collect();
            if !deletes.is_empty() {
                held.write(&UploadParts { deletes: &deletes, ..UploadParts::default() })?;
            }
            held.sync()?;
            Ok(held.end())
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        written
    }
}

pub(crate) fn reports(plan: &SyncPlan, mut change: impl FnMut(&mut JobReport)) -> Vec<JobReport> {
    let mut reports: Vec<JobReport> = plan.jobs.iter().map(|job| job.report.clone()).collect();
    reports.iter_mut().for_each(&mut change);
    reports
}

/// Refuses a plan that skips an object.
fn require_whole(plan: &SyncPlan, rights: Option<&RightSet>) -> Result<(), Error> {
    let Some(skipped) = plan.jobs.iter().find_map(|job| job.report.skipped.first()) else {
        return Ok(());
    };
    let skipped = skipped.clone().told_to(rights.is_none_or(RightSet::read));
    let words = format!("_key `{}`: {}", skipped.key, skipped.reason);
    Err(SyncError::Faults(InputFaults::single(words)).into())
}
