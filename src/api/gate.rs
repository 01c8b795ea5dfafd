//! Requests that wait for each other, without holding a thread.
//!
//! Threads that may block are few. A request that waits long waits here, as a task: a finalize for
//! the one before it, an upload for the finalize of its own job. Each kind of work has threads of
//! its own, so that neither slow questions nor a queue of finalizes can take those of the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit};
use tokio::sync::{RwLock, Semaphore};
use tombolo::sync::JobReport;
use uuid::Uuid;

/// Threads that may answer questions at once.
const READS: usize = 32;
/// Threads that may take uploads at once.
const UPLOADS: usize = 16;
/// Threads that may change the graph: one commits while another one reads for its own commit.
const COMMITS: usize = 2;
/// All threads that may block, with some to spare.
pub const THREADS: usize = READS + UPLOADS + COMMITS + 14;

/// Bytes that a question is counted with from its start, for what its snapshot keeps at hand.
pub const QUESTION_BYTES: u64 = 8 << 20;

/// Somebody waits for an answer as long as this lives. A caller that hangs up drops it, which stops
/// the question.
#[derive(Default)]
pub struct CancelGuard(Arc<AtomicBool>);

impl CancelGuard {
    /// A flag that is set when nobody waits any more.
    pub fn over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The kind of work that a thread is needed for.
#[derive(Clone, Copy, Debug)]
pub enum WorkKind {
    /// A question.
    Read,
    /// A change of an open job and of nothing else.
    Upload,
    /// A change of the graph.
    Commit,
}

/// The threads of each kind of work.
pub struct WorkerPermits {
    reads: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    commits: Arc<Semaphore>,
}

impl WorkerPermits {
    /// All of them free.
    pub fn new() -> WorkerPermits {
        let of = |count| Arc::new(Semaphore::new(count));
        WorkerPermits { reads: of(READS), uploads: of(UPLOADS), commits: of(COMMITS) }
    }

    /// Waits for a thread, first come, first served.
    pub async fn permit(&self, work: WorkKind) -> OwnedSemaphorePermit {
        let threads = match work {
            WorkKind::Read => &self.reads,
            WorkKind::Upload => &self.uploads,
            WorkKind::Commit => &self.commits,
        };
        let permit = Arc::clone(threads).acquire_owned().await;
        permit.expect("BUG: nobody closes the semaphores")
    }
}

/// Gates that are kept before those that nobody uses are let go.
const KEPT: usize = 1_024;

/// Jobs that are called right now: uploads share a job, a finalize has it alone.
#[derive(Default)]
pub struct JobGates {
    jobs: Mutex<HashMap<Uuid, Arc<RwLock<()>>>>,
    /// Jobs that are finalized at this moment, as they were when that began.
    finalizing: Mutex<HashMap<Uuid, JobReport>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl JobGates {
    fn of(&self, id: Uuid) -> Arc<RwLock<()>> {
        let mut jobs = lock(&self.jobs);
        if jobs.len() > KEPT {
            // A gate that only this table owns is used and waited for by nobody.
            jobs.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        Arc::clone(jobs.entry(id).or_default())
    }

    /// Waits while the job is finalized.
    pub async fn shared(&self, id: Uuid) -> OwnedRwLockReadGuard<()> {
        self.of(id).read_owned().await
    }

    /// Waits for all others who call the job.
    pub async fn alone(&self, id: Uuid) -> OwnedRwLockWriteGuard<()> {
        self.of(id).write_owned().await
    }

    /// Says of a job that it is being finalized, as long as the result lives.
    pub fn finalizing(&self, report: &JobReport) -> FinalizingGuard<'_> {
        lock(&self.finalizing).insert(report.id, report.clone());
        FinalizingGuard { gates: self, id: report.id }
    }

    /// The job, if it is finalized at this moment.
    pub fn finalized_now(&self, id: Uuid) -> Option<JobReport> {
        lock(&self.finalizing).get(&id).cloned()
    }
}

/// A job that is being finalized.
pub struct FinalizingGuard<'g> {
    gates: &'g JobGates,
    id: Uuid,
}

impl Drop for FinalizingGuard<'_> {
    fn drop(&mut self) {
        lock(&self.gates.finalizing).remove(&self.id);
    }
}
