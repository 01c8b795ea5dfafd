//! Attempts at planning a job and applying exactly the plan: made again while others commit in
//! between, the last time with all others kept out.
//!
//! Lock order: the turn of this process's writers, then the lock of the file. Whoever took them the
//! other way round would wait for a thread that waits for the file.

use super::jobs::{JobGroup, reports};
use super::{Database, Error, MappingJob};
use crate::graph::DraftRelationship;
use crate::store::{DatabaseFile, Snapshot, StoreError};
use crate::sync::{InputNames, JobReport, StagedUploads, plan};
use std::sync::MutexGuard;

/// Attempts at planning and writing; the last one keeps all others from committing in between.
pub(super) const TRIES: usize = 3;

/// A job with its objects staged.
pub(crate) struct StagedJob {
    pub(crate) uploads: StagedUploads,
    pub(crate) inputs: InputNames,
}

/// The right to write, kept from all other threads and processes.
struct ExclusiveTurn<'d> {
    /// Dropped before the turn, as it was taken after it. `None` where the store is open anyway.
    store: Option<DatabaseFile>,
    turn: MutexGuard<'d, ()>,
}

/// An attempt at planning a job and applying the plan.
pub struct ApplyAttempt<'d> {
    database: &'d Database,
    /// Taken before the plan in the last attempt only.
    alone: Option<ExclusiveTurn<'d>>,
}

impl Database {
    /// Makes a plan and applies it, again if others commit in between; the last time all others
    /// wait. `attempt` plans on [`ApplyAttempt::snapshot`] and uses the attempt up by applying the
    /// plan.
    ///
    /// # Errors
    ///
    /// Those of `attempt`. [`Error::Moved`] only if the plan is another one at each look.
    #[doc(hidden)]
    pub fn plan_until_applied<T>(
        &self,
        mut attempt: impl FnMut(ApplyAttempt<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        for _ in 1..TRIES {
            match attempt(ApplyAttempt::first(self)) {
                Err(Error::Moved(..)) => {}
                done => return done,
            }
        }
        let turn = self.lock_writers();
        let alone = Some(ExclusiveTurn { store: self.writer()?, turn });
        attempt(ApplyAttempt { database: self, alone })
    }
}

impl<'d> ApplyAttempt<'d> {
    /// An attempt beside others that may commit.
    pub(super) fn first(database: &'d Database) -> ApplyAttempt<'d> {
        ApplyAttempt { database, alone: None }
    }

    /// The state as of now, to plan on. In the last attempt it stays so.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        self.database.snapshot_of(self.alone.as_ref().and_then(|alone| alone.store.as_ref()))
    }

    /// [`Database::apply_mapping`] in this attempt.
    ///
    /// # Errors
    ///
    /// [`Error::Moved`] if the database is at another revision, or gives other changes.
    pub fn apply_mapping(
        self,
        job: &MappingJob,
        drafts: &[DraftRelationship<'_>],
        revision: u64,
        hash: Option<&str>,
    ) -> Result<JobReport, Error> {
        let database = self.database;
        let stage = |snapshot: &Snapshot| database.stage_mapping(snapshot, job, drafts);
        Ok(self.apply(revision, hash, stage)?.remove(0))
    }

    /// Runs jobs whose uploads were made in this attempt.
    ///
    /// # Errors
    ///
    /// [`Error::Moved`] if they were made for another revision.
    pub(super) fn run(self, group: &JobGroup<'_>) -> Result<Vec<JobReport>, Error> {
        match self.alone {
            None => self.database.run(group),
            Some(ExclusiveTurn { store, turn: _turn }) => self.database.run_once(store, group),
        }
    }

    /// Applies what `stage` stages at exactly `revision`. `hash` asks for exactly the changes of a
    /// plan made before. Reports may come back REFUSED or HELD; then nothing has changed.
    ///
    /// # Errors
    ///
    /// [`Error::Moved`] if the database is at another revision, or gives other changes.
    pub(crate) fn apply(
        self,
        revision: u64,
        hash: Option<&str>,
        stage: impl FnOnce(&Snapshot) -> Result<StagedJob, Error>,
    ) -> Result<Vec<JobReport>, Error> {
        let database = self.database;
        let ExclusiveTurn { store, turn: _turn } = self
            .alone
            .unwrap_or_else(|| ExclusiveTurn { store: None, turn: database.lock_writers() });
        // Under the turn, so that no thread of this process commits between this look and the
        // write.
        let snapshot = database.snapshot_of(store.as_ref())?;
        if snapshot.meta().revision != revision {
            return Err(Error::Moved(snapshot.meta().revision, revision));
        }
        let staged = stage(&snapshot)?;
        let mut plan = plan(&snapshot, &staged.uploads, &staged.inputs, true)?;
        drop(snapshot);
        if hash.is_some_and(|hash| hash != plan.hash) {
            return Err(Error::Moved(plan.revision, revision));
        }
        if plan.is_refused() {
            return Ok(reports(&plan, |_| {}));
        }
        if plan.is_held() {
            return database.hold(plan, &JobGroup::new(&staged.uploads, &staged.inputs, false));
        }
        if plan.is_empty() {
            // Taking many waiting reports into the file opens it for writing, which this would
            // prevent.
            drop(store);
            return database.finish_unchanged(&plan);
        }
        match database.commit_in(store, &mut plan, &staged.uploads) {
            Err(Error::Store(StoreError::Changed)) => {
                Err(Error::Moved(database.snapshot()?.meta().revision, revision))
            }
            done => done,
        }
    }
}
