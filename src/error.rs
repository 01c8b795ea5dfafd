//! The error of the facade: what went wrong, of which kind that is, and what to do.

use crate::lang::Diagnostic;
use crate::limits::{LimitError, QuestionError};
use crate::store::{ScopeOwner, StoreError};
use crate::sync::SyncError;
use std::fmt;

/// The kind of an error. All kinds are known to every face, so that no table forgets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A name that nothing has.
    NotFound,
    /// A mistake in the question.
    Invalid,
    /// The caller has no right to it.
    Forbidden,
    /// A change that was refused for safety.
    Refused,
    /// A question that costs more than it may.
    LimitExceeded,
    /// Something that another process holds at this moment.
    Unavailable,
    /// A database that cannot be believed.
    Damaged,
    /// An error that no caller made: a disk, a network mount.
    Failed,
}

impl ErrorKind {
    /// The code of an error of this kind that has no code of its own. It never changes.
    pub const fn code(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "NOT_FOUND",
            ErrorKind::Invalid => "BAD_REQUEST",
            ErrorKind::Forbidden => "FORBIDDEN",
            ErrorKind::Refused => "REFUSED",
            ErrorKind::LimitExceeded => "QUERY_TOO_COSTLY",
            ErrorKind::Unavailable => "DATABASE_IN_USE",
            ErrorKind::Damaged => "DATABASE_DAMAGED",
            ErrorKind::Failed => "FAILED",
        }
    }
}

/// Any error of a use case. The graph is as it was before the call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file, the disk, another process.
    Store(StoreError),
    /// A job, its uploads.
    Sync(SyncError),
    /// The caller's mistake: what, and what to do instead.
    Usage(String, Option<String>),
    /// No live entity has this name: the message, and what to do instead.
    UnknownEntity(String, Option<String>),
    /// There is no job with this id.
    UnknownJob(String),
    /// A point in the past that the file has no state of: the message, and what to do instead.
    NoSuchState(String, String),
    /// The caller has no right to it.
    Forbidden(String),
    /// The database is no longer the one that a plan was made for: its revision, and the plan's.
    Moved(u64, u64),
    /// A query that cannot be read: what is wrong, and where.
    Query(Box<Diagnostic>),
    /// A mapping file that cannot run, or that its rows, guards or tests do not allow to run.
    Mapping(Vec<Diagnostic>),
    /// A question that met one of its limits.
    Stopped(LimitError),
}

impl Error {
    /// A mistake of the caller with advice.
    pub fn usage(what: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Usage(what.into(), Some(hint.into()))
    }

    fn store(&self) -> Option<&StoreError> {
        match self {
            Error::Store(e) | Error::Sync(SyncError::Store(e)) => Some(e),
            _ => None,
        }
    }

    /// The advice to the caller, if there is any.
    pub fn hint(&self) -> Option<String> {
        let text = match (self, self.store()) {
            (Error::Usage(_, hint) | Error::UnknownEntity(_, hint), _) => return hint.clone(),
            (Error::Query(fault), _) => return fault.helps.first().cloned(),
            (Error::Stopped(limit), _) => limit.hint(),
            (Error::Sync(SyncError::OtherOwner { owner: ScopeOwner::Collector, .. }), _) => {
                "give the bridge a scope of its own"
            }
            (Error::Sync(SyncError::OtherOwner { .. }), _) => {
                "upload into a scope of its own; `tombolo scopes delete --edges-of SCOPE` empties one"
            }
            (Error::Sync(SyncError::ReservedScope(_)), _) => "choose another name",
            (Error::UnknownJob(_), _) => "`tombolo job list` shows all",
            (Error::NoSuchState(_, hint), _) => hint,
            (_, Some(StoreError::NoSuchState(_))) => {
                "`gc` let go of it; ask for a later time, revision or job"
            }
            (Error::Moved(..), _) => "run `tombolo plan` again",
            (_, Some(StoreError::Missing(_))) => {
                "make one with `tombolo init`, or load data with `tombolo sync`, \
                 or name another with --db"
            }
            (
                _,
                Some(
                    StoreError::IsDirectory(_)
                    | StoreError::NotADatabase(..)
                    | StoreError::OtherProgram,
                ),
            ) => "name the database file with --db; nothing was changed",
            (_, Some(StoreError::InUse(_) | StoreError::InUseBy(..))) => {
                "wait for the other command to end, then try again; --wait 5m waits longer"
            }
            (_, Some(StoreError::NotOurs(..))) => {
                "look at what is in it; delete it, or make it yours: chown, chmod go-w"
            }
            (_, Some(StoreError::DamagedFile(..))) => {
                "nothing was changed; `tombolo job abort ID` gives the job up, \
                 `tombolo job clear` deletes what is no job; then upload again"
            }
            (_, Some(StoreError::OtherFormat { .. })) => {
                "`tombolo upgrade` brings a file of the format before to this one; for others use the \
                 version of tombolo that wrote it, or load it anew"
            }
            (_, Some(StoreError::Corrupt { .. })) => {
                "run `tombolo verify` to see the extent; restore a copy of the file, \
                 or load the sources again"
            }
            (_, Some(StoreError::NamesFull { .. })) => {
                "put what differs from object to object into values, not into names; \
                 `tombolo gc` takes away names that nothing has any more"
            }
            (_, Some(StoreError::Changed)) => "try again",
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match (self, self.store()) {
            (_, Some(StoreError::InUse(_) | StoreError::InUseBy(..))) => ErrorKind::Unavailable,
            (_, Some(StoreError::NotOurs(..))) | (Error::Moved(..), _) => ErrorKind::Refused,
            (
                _,
                Some(
                    StoreError::Corrupt { .. }
                    | StoreError::OtherFormat { .. }
                    | StoreError::DamagedFile(..),
                ),
            ) => ErrorKind::Damaged,
            (_, Some(StoreError::Missing(_)))
            | (Error::UnknownEntity(..) | Error::UnknownJob(_), _) => ErrorKind::NotFound,
            (
                _,
                Some(
                    StoreError::IsDirectory(_)
                    | StoreError::NotADatabase(..)
                    | StoreError::OtherProgram
                    | StoreError::NoSuchState(_)
                    | StoreError::NamesFull { .. },
                ),
            ) => ErrorKind::Invalid,
            (_, Some(_)) | (Error::Sync(SyncError::Worker), _) => ErrorKind::Failed,
            // Invalid data is a mistake in the input; other errors of reading are not.
            (Error::Sync(SyncError::Read(_, e)), _)
                if e.kind() != std::io::ErrorKind::InvalidData =>
            {
                ErrorKind::Failed
            }
            (Error::Forbidden(_), _) => ErrorKind::Forbidden,
            _ => ErrorKind::Invalid,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Store(e) => e.fmt(f),
            Error::Sync(e) => e.fmt(f),
            Error::Usage(what, _) | Error::UnknownEntity(what, _) | Error::Forbidden(what) => {
                f.write_str(what)
            }
            Error::UnknownJob(id) => write!(f, "no job `{id}`"),
            Error::NoSuchState(what, _) => f.write_str(what),
            Error::Query(fault) => place_and_words(f, fault),
            Error::Mapping(faults) => faults.iter().enumerate().try_for_each(|(at, fault)| {
                if at > 0 {
                    f.write_str("\n")?;
                }
                place_and_words(f, fault)
            }),
            Error::Stopped(limit) => write!(f, "the question was stopped: {limit}"),
            Error::Moved(now, then) => write!(
                f,
                "refused: the database changed since this plan (revision {now}, plan made at {then})"
            ),
        }
    }
}

/// `file:line:column: message`.
fn place_and_words(f: &mut fmt::Formatter<'_>, fault: &Diagnostic) -> fmt::Result {
    let (line, column) = fault.place();
    write!(f, "{}:{line}:{column}: {}", fault.source.file, fault.message)
}

impl std::error::Error for Error {
    /// The error of the system behind an error of the file or of an input.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Store(e) => e.source(),
            Error::Sync(e) => e.source(),
            Error::Stopped(limit) => Some(limit),
            _ => None,
        }
    }
}

impl From<QuestionError<StoreError>> for Error {
    fn from(stop: QuestionError<StoreError>) -> Error {
        match stop {
            QuestionError::Read(e) => Error::Store(e),
            QuestionError::Limit(limit) => Error::Stopped(limit),
        }
    }
}

impl From<LimitError> for Error {
    fn from(limit: LimitError) -> Error {
        Error::Stopped(limit)
    }
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Error {
        Error::Store(e)
    }
}

impl From<SyncError> for Error {
    fn from(e: SyncError) -> Error {
        Error::Sync(e)
    }
}
