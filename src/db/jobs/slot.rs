//! The slots of jobs in this process: each holds the stage of a job while it is open, and the
//! threads that call the job take turns on it.
//!
//! A slot is there as long as a call uses it or it holds a stage. So calls that name jobs which are
//! not there leave nothing behind.

use super::super::Database;
use super::{OpenJobs, lock};
use crate::store::job_stage::JobStage;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use uuid::Uuid;

/// The slot of a job, in use by one call.
pub(super) struct JobSlot<'d> {
    open: &'d OpenJobs,
    id: Uuid,
    /// Empty only while it is dropped.
    slot: Option<Arc<Mutex<Option<JobStage>>>>,
}

impl Database {
    /// The slot of a job.
    pub(super) fn slot(&self, id: Uuid) -> JobSlot<'_> {
        let slot = Arc::clone(lock(&self.open).entry(id).or_default());
        JobSlot { open: &self.open, id, slot: Some(slot) }
    }
}

impl JobSlot<'_> {
    /// Waits for the other calls of the job.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<JobStage>> {
        lock(self.slot.as_ref().expect("BUG: it is not dropped yet"))
    }
}

impl Drop for JobSlot<'_> {
    fn drop(&mut self) {
        let mut open = lock(self.open);
        // Given back under the lock of the table, so that of two calls that end at once the later
        // one counts right.
        let Some(slot) = self.slot.take() else { return };
        let empty = match slot.try_lock() {
            Ok(stage) => stage.is_none(),
            Err(TryLockError::Poisoned(stage)) => stage.into_inner().is_none(),
            Err(TryLockError::WouldBlock) => false,
        };
        // One is that of the table, the other is ours.
        if empty && Arc::strong_count(&slot) == 2 {
            open.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{FinalizeRequest, JobRequest};
    use crate::sync::{InputFormat, InputSource, SyncMode};

    #[test]
    fn only_jobs_that_are_open_keep_a_slot() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&folder.path().join("graph.redb")).unwrap();
        let slots = || lock(&database.open).len();
        let upload = |id| {
            let reader = Box::new(&b"{\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"C\"}"[..]);
            database.upload(id, InputSource::new("upload", InputFormat::Ndjson, reader))
        };
        for _ in 0..3 {
            let unknown = Uuid::new_v4();
            assert!(database.open_job(unknown).is_err());
            assert!(upload(unknown).is_err());
            assert!(database.upload_deletes(unknown, &[]).is_err());
            assert!(database.finalize(unknown, &FinalizeRequest::default()).is_err());
            assert!(database.approve(&unknown.to_string()).is_err());
            assert!(database.abort(&unknown.to_string()).is_err());
        }
        assert_eq!(slots(), 0);
        let request = JobRequest {
            id: None,
            source: "api".into(),
            mode: SyncMode::Diff,
            scope: "s".into(),
            ignore_duplicates: false,
            any_scope: false,
        };
        let id = database.create_job(&request).unwrap();
        upload(id).unwrap();
        assert_eq!(slots(), 1);
        database.finalize(id, &FinalizeRequest::default()).unwrap();
        assert_eq!(slots(), 0);
        database.finalize(id, &FinalizeRequest::default()).unwrap();
        assert!(upload(id).is_err());
        assert!(database.approve(&id.to_string()).is_err());
        assert_eq!(slots(), 0);
    }
}
