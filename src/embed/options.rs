//! Opening a database, with options.

use crate::db::Database;
use crate::error::Error;
use crate::store::WaitPolicy;
use std::path::Path;
use std::time::Duration;

/// The options with which a database is opened, as `std::fs::OpenOptions` has them for files.
///
/// ```
/// use std::time::Duration;
/// use tombolo::Database;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("graph.redb");
/// let database = Database::options().create(true).wait(Duration::from_secs(5)).open(&path)?;
/// # drop(database);
/// let reader = Database::options().read_only(true).open(&path)?;
/// assert!(reader.job("okta").finalize().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DatabaseOptions {
    create: bool,
    create_new: bool,
    read_only: bool,
    close_between: bool,
    wait: WaitPolicy,
}

impl DatabaseOptions {
    /// Makes an empty database if there is no file; by default that is an error.
    pub fn create(self, create: bool) -> DatabaseOptions {
        DatabaseOptions { create, ..self }
    }

    /// Makes an empty database, and fails if anything is at the path.
    pub fn create_new(self, create_new: bool) -> DatabaseOptions {
        DatabaseOptions { create_new, ..self }
    }

    /// Refuses every write. Nothing is written beside the file either.
    pub fn read_only(self, read_only: bool) -> DatabaseOptions {
        DatabaseOptions { read_only, ..self }
    }

    /// Keeps the file open for reading between calls, with its caches, or not. By default it is kept
    /// open. Other processes may write meanwhile: each question sees their last commit.
    pub fn keep_open(self, keep_open: bool) -> DatabaseOptions {
        DatabaseOptions { close_between: !keep_open, ..self }
    }

    /// Waits so long for other processes that write; by default a minute.
    pub fn wait(self, limit: Duration) -> DatabaseOptions {
        DatabaseOptions { wait: WaitPolicy::new(limit, |_| {}), ..self }
    }

    /// Waits so long for other processes that write, and tells of a wait longer than a second.
    pub fn wait_and_tell(
        self,
        limit: Duration,
        tell: impl Fn(&str) + Send + Sync + 'static,
    ) -> DatabaseOptions {
        DatabaseOptions { wait: WaitPolicy::new(limit, tell), ..self }
    }

    /// Opens the database. Nothing is written to a file that this version does not read.
    ///
    /// # Errors
    ///
    /// A missing file without [`create`](Self::create), a file that is no database, or one of a newer
    /// version; options that contradict each other.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Database, Error> {
        let path = path.as_ref();
        if self.read_only && (self.create || self.create_new) {
            let what = "a database that is open for reading only cannot be made";
            return Err(Error::usage(what, "leave out one of `read_only` and `create`"));
        }
        let database = match (self.create_new, self.create) {
            (true, _) => Database::create(path)?,
            (false, true) => Database::open_or_create(path)?,
            (false, false) => Database::open(path)?,
        };
        let database = database.waiting(self.wait);
        let database = if self.close_between { database } else { database.kept_open() };
        Ok(if self.read_only { database.without_writes() } else { database })
    }
}
