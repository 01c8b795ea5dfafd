//! Sync jobs, in five stages that each have a folder:
//!
//! | stage | takes | gives |
//! | --- | --- | --- |
//! | `read/` | the bytes of an input | `ReadRow`: one object as written, with its place |
//! | `stage/` | rows, or drafts of a mapping | [`StagedUploads`]: checked objects in batches |
//! | `compare/` | uploads beside a snapshot | `ComparedUploads`: the same, changed, new, gone |
//! | `plan/` | compared uploads | [`SyncPlan`]: every change, and who is held |
//! | `apply/` | a plan | heads, identities, edges and blocks, in one transaction |
//!
//! A stage names those before it and none behind it. Beside them are the words that all stages use:
//! modes, jobs, reports, the guard. The store does not know of jobs, and nothing here names the
//! engine.

mod apply;
mod compare;
mod draft_check;
mod faults;
mod guard;
mod job;
mod mode;
mod owner;
mod plan;
mod read;
mod report;
mod stage;
#[cfg(test)]
mod tests;

pub use apply::{apply, job_row};
pub use draft_check::{check_entity, check_relationship};
pub use faults::{FaultCollector, InputFault, InputFaultKind, InputFaults};
pub use guard::{GuardError, MAX_DELETE_PERCENT, MIN_DELETES, MIN_EDGES, RelationshipLimits};
pub use job::JobSpec;
pub use mode::SyncMode;
pub use owner::{MAPPED_PREFIX, check_owner};
pub use plan::{
    ChangeAction, ChangeDetails, JobPlan, ObjectChange, PropertyChange, SyncPlan, describe, plan,
};
pub use read::{
    DraftObject, InputDiagnostic, InputFormat, InputOptions, InputSource, NestedValues, ReadRow,
    TableError, TableFault, TableReader, TableRow,
};
pub use report::{
    HoldReport, JobReport, JobStatus, JobTally, MappingInfo, SKIPPED_LISTED, SkippedObject,
};
pub use stage::{
    BatchBuilder, BatchRules, JobInput, KnownObjects, StagedRecord, StagedUploads, content_digest,
    read_inputs, read_rows,
};

use crate::graph::InputLocation;
use crate::store::{ScopeOwner, StoreError, WorkerPanic};
use std::fmt;

/// The names of the inputs of a job in messages.
#[derive(Clone, Debug, Default)]
pub struct InputNames(pub Vec<String>);

impl InputNames {
    /// `file:line`, or the name alone where the line is unknown.
    pub fn place(&self, place: InputLocation) -> Option<String> {
        let name = self.0.get(place.input as usize)?;
        Some(match place.line {
            0 => name.clone(),
            line => format!("{name}:{line}"),
        })
    }
}

/// An error of a sync job. Nothing has changed in the graph.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncError {
    /// Objects that cannot be taken, each with its place, path and key.
    Faults(InputFaults),
    /// The job is not in a state for this.
    State(String),
    /// The scope belongs to another kind of program.
    OtherOwner {
        /// The scope.
        scope: String,
        /// What it belongs to.
        owner: ScopeOwner,
        /// The mode of the job that would write it.
        mode: SyncMode,
    },
    /// Only the mapper writes this scope.
    ReservedScope(String),
    /// An input could not be read.
    Read(String, std::io::Error),
    /// The store failed.
    Store(StoreError),
    /// A thread of ours died.
    Worker,
    /// Open and held jobs would hold more bytes than they may.
    TooMuchStaged {
        /// Bytes that they hold.
        staged: u64,
        /// Bytes of the upload.
        more: u64,
        /// Bytes that they may hold.
        max: u64,
    },
    /// Lines were passed over as unchanged, and now each has to be looked at; see [`KnownObjects`].
    Reread,
}

impl SyncError {
    /// The error of an upload with these faults.
    pub fn faults(
        inputs: &InputNames,
        faults: impl IntoIterator<Item = InputDiagnostic>,
    ) -> SyncError {
        SyncError::Faults(faults.into_iter().collect::<FaultCollector>().named(inputs))
    }

    fn damaged_stage() -> SyncError {
        SyncError::Store(StoreError::Engine("a staged batch is damaged".into()))
    }

    fn read(name: &str, e: std::io::Error) -> SyncError {
        SyncError::Read(name.to_owned(), e)
    }
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyncError::Faults(faults) => faults.fmt(f),
            SyncError::State(words) => f.write_str(words),
            SyncError::OtherOwner { scope, owner, mode } => {
                let owner = match owner {
                    ScopeOwner::Collector => "a collector",
                    ScopeOwner::Bridge => "a bridge",
                };
                write!(
                    f,
                    "scope `{scope}` belongs to {owner}, so a {mode} job cannot write it: each \
                     would delete what the other brings"
                )
            }
            SyncError::ReservedScope(scope) => write!(
                f,
                "scope `{scope}` is reserved: names with `{MAPPED_PREFIX}` hold what `_mapping` makes"
            ),
            SyncError::Read(name, e) => write!(f, "cannot read `{name}`: {e}"),
            SyncError::Store(e) => e.fmt(f),
            SyncError::Worker => f.write_str("a reading thread ended unexpectedly"),
            SyncError::TooMuchStaged { staged, more, max } => write!(
                f,
                "open jobs hold {staged} of {max} bytes, and the upload has {more}; \
                 finalize or abort some"
            ),
            SyncError::Reread => f.write_str("the upload has to be read again in full"),
        }
    }
}

impl std::error::Error for SyncError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SyncError::Store(e) => e.source(),
            SyncError::Read(_, e) => Some(e),
            _ => None,
        }
    }
}

impl From<StoreError> for SyncError {
    fn from(e: StoreError) -> SyncError {
        SyncError::Store(e)
    }
}

impl From<WorkerPanic> for SyncError {
    fn from(_: WorkerPanic) -> SyncError {
        SyncError::Worker
    }
}
