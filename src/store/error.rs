//! What can go wrong below the graph: the disk, the file, another process.

use std::fmt;
use std::path::PathBuf;

/// An error of the store. After any of them the graph is as it was before the call.
#[derive(Debug)]
pub enum StoreError {
    /// No file at this path.
    Missing(PathBuf),
    /// The path is a folder.
    IsDirectory(PathBuf),
    /// The file exists but is not a Tombolo database.
    NotADatabase(PathBuf, String),
    /// Another process has the database open for writing.
    InUse(PathBuf),
    /// The same after it was waited for: the file, and who has it.
    InUseBy(PathBuf, String),
    /// A file or folder beside the database that somebody else owns or may write to, and why it is
    /// not believed.
    NotOurs(PathBuf, String),
    /// A file beside the database that does not hold what it must: which, and what is wrong.
    DamagedFile(PathBuf, String),
    /// The file was written by another version of the program.
    OtherFormat {
        /// The format that the file has.
        found: u8,
        /// The format that this program knows.
        known: u8,
    },
    /// The disk returned something that cannot be true.
    Corrupt {
        /// The table of the damaged value.
        table: &'static str,
        /// Its key in hexadecimal.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The graph changed between planning and applying, twice in a row or under a saved plan.
    Changed,
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
}

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
            StoreError::Corrupt { table, key, detail } => {
                write!(f, "the database is damaged: table `{table}`, key {key}: {detail}")
            }
            StoreError::Changed => f.write_str("the graph changed while the job was planned"),
            StoreError::Io(e) => write!(f, "{e}"),
            StoreError::Engine(e) => f.write_str(e),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<std::io::Error> for StoreError {
    fn from(e: std::io::Error) -> StoreError {
        StoreError::Io(e)
    }
}

/// The engine has one error type an operation; all of them convert to its general one.
impl From<redb::Error> for StoreError {
    fn from(e: redb::Error) -> StoreError {
        match e {
            redb::Error::Io(e) => StoreError::Io(e),
            redb::Error::Corrupted(detail) => {
                StoreError::Corrupt { table: "(engine)", key: String::new(), detail }
            }
            redb::Error::TableDoesNotExist(table) => StoreError::Corrupt {
                table: "(engine)",
                key: String::new(),
                detail: format!("table `{table}` is missing"),
            },
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
