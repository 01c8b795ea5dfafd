//! Errors of everything below the graph: the disk, the file, another process.

use super::page_verification::DamagedPageError;
use super::pipeline::WorkerPanic;
use std::fmt;
use std::path::{Path, PathBuf};

/// An error of the store. After any of them the graph is as it was before the call.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// No file at this path.
    Missing(PathBuf),
    /// The path is a folder.
    IsDirectory(PathBuf),
    /// The file exists but is not a Tombolo database.
    NotADatabase(PathBuf, String),
    /// The file holds tables of another program.
    OtherProgram,
    /// Another process has the database open for writing.
    InUse(PathBuf),
    /// The same after waiting: the file, and the process that has it.
    InUseBy(PathBuf, String),
    /// A file or folder beside the database that somebody else owns or may write to, and the reason
    /// why it is not trusted.
    NotOurs(PathBuf, String),
    /// A file beside the database with wrong contents: its path, and what is wrong.
    DamagedFile(PathBuf, String),
    /// The file was written by another version of the program.
    OtherFormat {
        /// The format that the file has.
        found: u8,
        /// The format that this program knows.
        known: u8,
    },
    /// The file does not reach back to the state of this revision.
    NoSuchState(u64),
    /// The disk returned contents that cannot be right.
    Corrupt {
        /// The table of the damaged value.
        table: &'static str,
        /// Its key in hexadecimal.
        key: String,
        /// Description of the damage.
        detail: String,
    },
    /// An error was found in the file before, and the file is not read any further.
    GivenUp,
    /// The graph changed between planning and applying, twice in a row or under a saved plan.
    Changed,
    /// More names than the limit allows.
    NamesFull {
        /// The scope of the job that brings them, where it is known.
        scope: Option<String>,
        /// The kind of names that there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The operating system refused to read or write.
    Io(std::io::Error),
    /// Anything else that the engine reports.
    Engine(String),
}

impl StoreError {
    /// A damaged value at `key` of `table`.
    pub fn corrupt(table: &'static str, key: &[u8], detail: &str) -> StoreError {
        let key = key.iter().map(|b| format!("{b:02x}")).collect();
        StoreError::Corrupt { table, key, detail: detail.to_owned() }
    }

    /// An error for too many names of some kind.
    pub(super) fn names_full(what: &'static str, limit: usize) -> StoreError {
        StoreError::NamesFull { scope: None, what, limit }
    }

    /// Adds the scope of the job that brings the names.
    pub fn of_scope(self, name: &str) -> StoreError {
        match self {
            StoreError::NamesFull { scope: None, what, limit } => {
                StoreError::NamesFull { scope: Some(name.to_owned()), what, limit }
            }
            other => other,
        }
    }

    /// Converts the error for a file that was a database when it was opened. It is not the caller's
    /// mistake that it is none any more, and the path of the file is not for the caller.
    pub fn of_open_file(self) -> StoreError {
        match self {
            // The file may come back, so nothing says that it is damaged.
            StoreError::Missing(_) => StoreError::Engine("the file was taken away".into()),
            StoreError::IsDirectory(_)
            | StoreError::NotADatabase(..)
            | StoreError::OtherProgram
            | StoreError::OtherFormat { .. } => {
                StoreError::engine_damaged("the file was replaced by something else")
            }
            other => other,
        }
    }

    /// Adds the path of the file to an error that lacks it.
    pub fn at(self, path: &Path) -> StoreError {
        match self {
            StoreError::OtherProgram => {
                StoreError::NotADatabase(path.to_owned(), "it belongs to another program".into())
            }
            other => other,
        }
    }

    /// An error for damage below tables and keys.
    pub(super) fn engine_damaged(detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { table: ENGINE, key: String::new(), detail: detail.into() }
    }

    /// True if an I/O error was caused by a damaged page.
    pub(super) fn is_damaged_page(e: &std::io::Error) -> bool {
        e.get_ref().is_some_and(|e| e.is::<DamagedPageError>())
    }
}

/// The name in place of a table if the damage lies below tables.
const ENGINE: &str = "(engine)";

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Missing(path) => write!(f, "no database at `{}`", path.display()),
            StoreError::IsDirectory(path) => {
                write!(f, "`{}` is a folder, not a database file", path.display())
            }
            StoreError::NotADatabase(path, why) => {
                write!(f, "`{}` is not a Tombolo database: {why}", path.display())
            }
            StoreError::OtherProgram => {
                f.write_str("the file is not a Tombolo database: it belongs to another program")
            }
            StoreError::GivenUp => f.write_str("the file was given up after an earlier fault"),
            StoreError::InUse(path) => {
                write!(f, "`{}` is in use by another process", path.display())
            }
            StoreError::InUseBy(path, by) => {
                write!(f, "`{}` is in use by {by}", path.display())
            }
            StoreError::NotOurs(path, why) => {
                write!(f, "`{}` is not used: {why}", path.display())
            }
            StoreError::DamagedFile(path, what) => {
                write!(f, "`{}` is damaged: {what}", path.display())
            }
            StoreError::OtherFormat { found, known } => {
                write!(f, "the database has format {found}, this program reads format {known}")
            }
            StoreError::Corrupt { table: ENGINE, detail, .. } => {
                write!(f, "the database is damaged: {detail}")
            }
            StoreError::Corrupt { table, key, detail } if key.is_empty() => {
                write!(f, "the database is damaged: table `{table}`: {detail}")
            }
            StoreError::Corrupt { table, key, detail } => {
                write!(f, "the database is damaged: table `{table}`, key {key}: {detail}")
            }
            StoreError::NamesFull { scope, what, limit } => {
                if let Some(scope) = scope {
                    write!(f, "scope `{scope}`: ")?;
                }
                write!(f, "more than {limit} {what}")
            }
            StoreError::NoSuchState(revision) => {
                write!(f, "the file does not reach back to revision {revision}")
            }
            StoreError::Changed => f.write_str("the graph changed while the job was planned"),
            StoreError::Io(e) => write!(f, "{e}"),
            StoreError::Engine(e) => f.write_str(e),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io(e) => Some(e),
            _ => None,
        }
    }
}

impl From<WorkerPanic> for StoreError {
    fn from(_: WorkerPanic) -> StoreError {
        StoreError::Engine("a working thread ended unexpectedly".into())
    }
}

impl From<std::io::Error> for StoreError {
    fn from(e: std::io::Error) -> StoreError {
        StoreError::Io(e)
    }
}

/// The engine has one error type for each operation; all of them convert to its general one.
impl From<redb::Error> for StoreError {
    fn from(e: redb::Error) -> StoreError {
        match e {
            redb::Error::Io(e) if StoreError::is_damaged_page(&e) => {
                StoreError::engine_damaged(e.to_string())
            }
            redb::Error::Io(e) => StoreError::Io(e),
            redb::Error::PreviousIo => StoreError::GivenUp,
            redb::Error::TableDoesNotExist(table) => {
                StoreError::engine_damaged(format!("table `{table}` is missing"))
            }
            redb::Error::Corrupted(detail) => StoreError::engine_damaged(detail),
            redb::Error::LockPoisoned(_) => super::panic_guard::panicked(),
            other => StoreError::Engine(other.to_string()),
        }
    }
}

macro_rules! through_engine_error {
    ($($source:ty),*) => {$(
        impl From<$source> for StoreError {
            fn from(e: $source) -> StoreError {
                redb::Error::from(e).into()
            }
        }
    )*};
}
through_engine_error!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::CompactionError,
    redb::CursorError
);
