//! Jobs: `sync` in one go, jobs that stay open between calls, held plans.
//!
//! Open and held jobs, and the reports of jobs that changed nothing, are files in the folder
//! `<database>.jobs` (`job_files`): a job then costs the database file nothing until it changes the
//! graph. The next commit takes finished reports into the database.
//!
//! A caller that changes the state of a job holds the lock of that job, in any process, and reads
//! the state under it. A caller is told only what was committed.
//!
//! One file a use case: `sync`, `upload`, `finalize`, `edit`, `decide` (approve and abort) and `list`.
//! All of them end in `run`, which plans and applies.

mod decide;
mod edit;
mod finalize;
mod list;
mod run;
mod slot;
mod sync;
mod upload;

pub use edit::EditRequest;
pub use finalize::FinalizeRequest;
pub use sync::SyncRequest;
pub use upload::{JobRequest, UploadExtras};

pub use run::ChangeVisitor;
pub(crate) use run::JobGroup;
pub(super) use run::reports;

use super::job_files::JobFile;
use super::{Database, Error};
use crate::store::folder_of;
use crate::store::job_stage::JobStage;
use crate::sync::{JobInput, JobSpec, JobStatus, MAPPED_PREFIX, SyncError, SyncMode};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Open jobs by id, as this process knows them. Its threads take turns here; other processes by the
/// lock of the job.
pub(super) type OpenJobs = Mutex<HashMap<Uuid, Arc<Mutex<Option<JobStage>>>>>;

/// The places of the reports of finished jobs in the database, as far as it was read.
#[derive(Default)]
pub(super) struct StoredJobs {
    /// The database that was read, by its secret.
    of: u64,
    /// The first sequence number that was not read.
    next: u32,
    sequences: HashMap<Uuid, u32>,
}

pub(crate) fn check_source(source: &str, mode: SyncMode) -> Result<(), Error> {
    if mode == SyncMode::CrossScope && source != "api" {
        return Err(Error::usage(
            format!("`source` must be api for a CROSS_SCOPE job, not `{source}`"),
            "leave --source out, or set it to api",
        ));
    }
    Ok(())
}

/// Checks the name of a scope that somebody chose for a job or a mapping.
pub(crate) fn check_scope(scope: &str) -> Result<(), Error> {
    if scope.starts_with(MAPPED_PREFIX) {
        return Err(SyncError::ReservedScope(scope.to_owned()).into());
    }
    crate::graph::check_name(crate::graph::NameKind::Scope, scope)
        .map_err(|e| Error::Usage(e.to_string(), None))
}

impl Database {
    pub(crate) fn folder_of_file(&self) -> PathBuf {
        folder_of(&self.path).to_owned()
    }
}

/// Refuses a job that an earlier version kept: nothing proves that its files hold all that was
/// acknowledged.
fn require_current_format(file: &JobFile) -> Result<(), Error> {
    match file.earlier {
        false => Ok(()),
        true => Err(Error::usage(
            format!("job {} was begun with an earlier version of tombolo", file.id()),
            format!("abort it with `tombolo job abort {}` and upload again", file.id()),
        )),
    }
}

/// The specifications of the jobs.
fn specs(jobs: &[JobInput]) -> Vec<&JobSpec> {
    jobs.iter().map(|job| &job.spec).collect()
}

/// Locks a mutex. A panic elsewhere left the files as they were, so the guarded value is still
/// good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn was_aborted(id: Uuid) -> Error {
    SyncError::State(format!("job {id} was aborted")).into()
}

fn unknown_job(id: &str) -> Error {
    Error::UnknownJob(id.to_owned())
}

fn not_held(id: Uuid, status: JobStatus) -> Error {
    let state = match status {
        JobStatus::Finished => "is finished",
        JobStatus::Aborted => "was aborted",
        JobStatus::Held => "is held",
        JobStatus::AwaitingUploads => "is open for uploads",
        JobStatus::Refused => "was refused",
    };
    Error::usage(format!("job {id} {state}"), format!("see `tombolo job show {id}`"))
}
