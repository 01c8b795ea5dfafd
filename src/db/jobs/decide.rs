//! Held jobs: `approve` applies exactly the plan that was held, `abort` gives a job up.

use super::super::job_files::JobFile;
use super::super::{Database, Error, RightSet, now};
use super::{ChangeVisitor, not_held, specs};
use crate::store::StoreError;
use crate::sync::{InputNames, JobReport, JobStatus, describe, plan};
use uuid::Uuid;

impl Database {
    /// Applies exactly the plan of a held job, and of those held with it.
    ///
    /// # Errors
    ///
    /// A usage error if the graph moved on, so that the plan would now be another one.
    pub fn approve(&self, id: &str) -> Result<Vec<JobReport>, Error> {
        self.approve_as(id, &RightSet::everything())
    }

    /// The same for a caller with these rights, which have to cover all jobs that are held together.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] as well; then the job is still held.
    #[doc(hidden)]
    pub fn approve_as(&self, id: &str, rights: &RightSet) -> Result<Vec<JobReport>, Error> {
        self.check_writable()?;
        let id = self.resolve_job(id)?;
        // Jobs that are held together lie in one file, under the lock of the first of them.
        let first = self.job_file(id)?.id();
        let slot = self.slot(first);
        let mut slot = slot.lock();
        // A caller that aborts it meanwhile waits, and is told how it ended.
        let job = self.lock_job(first)?;
        let file = self.open_or_held_file(id, first)?;
        if file.status() != JobStatus::Held {
            return Err(not_held(id, file.status()));
        }
        let read = self.restage(&file, &job, &self.snapshot()?)?;
        rights.allow_approval(&specs(read.uploads.jobs()))?;
        let inputs = InputNames(file.inputs.clone());
        let _turn = self.lock_writers();
        // Planned under the lock of the writer, so that nobody writes between the plan and its commit.
        let store = self.writer()?;
        let snapshot = self.snapshot_of(store.as_ref())?;
        let mut plan = plan(&snapshot, &read.uploads, &inputs, false)?;
        drop(snapshot);
        if plan.hash != file.reports[0].plan_hash {
            return Err(Error::usage(
                format!("the graph moved on since job {id} was held, so its plan is another now"),
                format!("abort it with `tombolo job abort {id}` and sync again"),
            ));
        }
        job.set_finalizing()?;
        let reports = self.commit_in(store, &mut plan, &read.uploads)?;
        self.forget_job(first);
        *slot = None;
        Ok(reports)
    }

    /// Plans a held job again and says each change that an approval would make now.
    ///
    /// # Errors
    ///
    /// A usage error if the job is not held.
    #[doc(hidden)]
    pub fn held_changes(&self, id: &str, visit: &ChangeVisitor<'_>) -> Result<(), Error> {
        let id = self.resolve_job(id)?;
        let first = self.job_file(id)?.id();
        let slot = self.slot(first);
        let _slot = slot.lock();
        let job = self.lock_job(first)?;
        let file = self.open_or_held_file(id, first)?;
        if file.status() != JobStatus::Held {
            return Err(not_held(id, file.status()));
        }
        let snapshot = self.snapshot()?;
        let read = self.restage(&file, &job, &snapshot)?;
        let inputs = InputNames(file.inputs.clone());
        let plan = plan(&snapshot, &read.uploads, &inputs, false)?;
        describe(&snapshot, &read.uploads, &plan, &mut |change| visit(change))
    }

    /// The file of a job that is open or held, read under its lock.
    pub(super) fn open_or_held_file(&self, id: Uuid, first: Uuid) -> Result<JobFile, Error> {
        if self.stored_report(first)?.is_some() {
            // A crash came between the commit and the end of its files.
            self.forget_job(first);
            return Err(not_held(id, JobStatus::Finished));
        }
        self.job_file(first)
    }

    /// Gives up an open or held job, and those held with it.
    pub fn abort(&self, id: &str) -> Result<JobReport, Error> {
        self.abort_as(id, false, &RightSet::everything())
    }

    /// The same for a caller with these rights, which have to cover all jobs that are held
    /// together. `invalid_configuration` records that the collector of the job is set up wrongly.
    #[doc(hidden)]
    pub fn abort_as(
        &self,
        id: &str,
        invalid_configuration: bool,
        rights: &RightSet,
    ) -> Result<JobReport, Error> {
        self.check_writable()?;
        let id = self.resolve_job(id)?;
        let first = self.job_file(id)?.id();
        let slot = self.slot(first);
        let mut slot = slot.lock();
        let _lock = self.lock_job(first)?;
        let mut file = self.open_or_held_file(id, first)?;
        if !matches!(file.status(), JobStatus::Held | JobStatus::AwaitingUploads) {
            return Err(not_held(id, file.status()));
        }
        rights.allow_jobs(&file.specs.iter().collect::<Vec<_>>())?;
        for report in &mut file.reports {
            report.status = JobStatus::Aborted;
            report.invalid_configuration = invalid_configuration;
            report.give_up();
            report.end_timestamp = Some(now());
        }
        file.kept = None;
        *slot = None;
        // The new state goes first: a crash then leaves files that `gc` removes, and no open job
        // without uploads.
        match self.put_job_file(&file) {
            // On a full disk what the job held makes room for the word that it is gone.
            Err(Error::Store(StoreError::Io(e))) if e.kind() == std::io::ErrorKind::StorageFull => {
                self.forget_uploads(first);
                self.put_job_file(&file)?;
            }
            result => result?,
        }
        self.forget_uploads(first);
        let report = file.reports.into_iter().find(|report| report.id == id);
        Ok(report.expect("BUG: a job file holds the job it was found by"))
    }
}
