//! The limits of a server: the command line reads them, the server keeps them.

use std::time::Duration;

/// Limits on the resources that strangers may use up.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at once; more wait.
    pub connections: usize,
    /// Jobs that are open or held.
    pub open_jobs: u64,
    /// Bytes that those hold on disk.
    pub staged_bytes: u64,
    /// Time of one question.
    pub query_time: Duration,
    /// Rows of one answer.
    pub answer_rows: usize,
    /// Bytes of one answer, on disk.
    pub answer_bytes: u64,
    /// Bytes of memory that questions may hold together, and bodies as many again.
    pub memory: u64,
}
