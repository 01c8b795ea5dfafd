//! The facade: every use case is one method of [`Database`].
//!
//! A database is a path. Files are opened for the length of a call, for reading wherever that is
//! enough, so that a job that changes nothing leaves the file untouched and questions work beside
//! a writer in another process.

mod find;
mod jobs;
mod maintain;
mod mapper;
mod mapping_graph;
mod mapping_jobs;
mod planned;
mod saved_plan;

pub use crate::error::Error;
pub use find::{Keys, NAMING};
pub use jobs::{Edit, FinalizeRequest, JobRequest, SyncRequest, scope_of};
pub use maintain::{GcReport, UndoReport};
pub use mapper::{MappedRelationship, check_mapped, mapped_scope};
pub use mapping_jobs::{EdgeAction, EdgeChange, EdgeDetails, MappedScope, MappingJob, MappingPlan};
pub use planned::Planned;
pub use saved_plan::{PlannedJob, SavedPlan};

use crate::store::{Snapshot, Store, StoreError, WriteBehind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// A database file and the folder of its open jobs beside it.
pub struct Database {
    path: PathBuf,
    /// Writers of this process take turns; other processes are refused by the file's lock.
    turn: Mutex<()>,
    /// The open jobs that this process has seen; each takes one call at a time.
    open: jobs::OpenJobs,
    /// A store that is kept open for reading between calls, where there are many of them.
    reader: Option<Arc<Reader>>,
    /// A store on other storage than a file, in tests that make the disk fail.
    injected: Option<Store>,
    /// Where the reports of finished jobs stand.
    stored: Mutex<jobs::StoredJobs>,
}

impl Database {
    /// Makes a new, empty database.
    ///
    /// # Errors
    ///
    /// A usage error if anything is at `path`.
    pub fn create(path: &Path) -> Result<Database, Error> {
        if path.exists() {
            let what = format!("`{}` exists already", path.display());
            return Err(Error::usage(what, "nothing was changed; name another file with --db"));
        }
        Store::create(path, Uuid::new_v4().as_u64_pair().0)?;
        Ok(Database::at(path))
    }

    /// Opens an existing database.
    pub fn open(path: &Path) -> Result<Database, Error> {
        drop(Store::open_reader(path)?);
        Ok(Database::at(path))
    }

    /// Opens an existing database to ask it one short question: the state as of now, from the one
    /// time that the file is opened, with a small cache.
    pub fn open_briefly(path: &Path) -> Result<(Database, Snapshot), Error> {
        let snapshot = Store::open_briefly(path)?.snapshot()?;
        Ok((Database::at(path), snapshot))
    }

    /// Opens a database, making it first if there is no file.
    pub fn open_or_create(path: &Path) -> Result<Database, Error> {
        if path.exists() { Database::open(path) } else { Database::create(path) }
    }

    /// A database on an open store; its jobs lie in `<path>.jobs`.
    pub fn with_store(store: Store, path: &Path) -> Database {
        Database { injected: Some(store), ..Database::at(path) }
    }

    fn at(path: &Path) -> Database {
        Database {
            path: path.to_owned(),
            turn: Mutex::new(()),
            open: Default::default(),
            stored: Default::default(),
            reader: None,
            injected: None,
        }
    }

    /// The same database, whose file stays open for reading between calls.
    pub fn kept_open(self) -> Database {
        Database { reader: Some(Arc::default()), ..self }
    }

    /// Another handle on the same file; it shares what is kept open.
    pub fn again(&self) -> Database {
        Database { reader: self.reader.clone(), ..Database::at(&self.path) }
    }

    /// Takes a new file away again if nothing was ever committed to it: after a dry run, or after
    /// an upload that was refused, there is nothing to keep.
    pub fn discard_unused(self) -> Result<(), Error> {
        if self.injected.is_none()
            && self.snapshot()?.meta().revision <= 1
            && self.jobs()?.is_empty()
        {
            std::fs::remove_file(&self.path).map_err(io)?;
            // Left behind where a job file was written and removed; an empty folder says nothing.
            let _ = std::fs::remove_dir(self.jobs_folder());
        }
        Ok(())
    }

    /// The state as of now, for any number of questions.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        match &self.injected {
            Some(store) => Ok(store.snapshot()?),
            None => {
                let snapshot = match &self.reader {
                    Some(reader) => reader.snapshot(&self.path)?,
                    None => Store::open_reader(&self.path)?.snapshot()?,
                };
                Ok(snapshot.with_indexes(self.index_folder()))
            }
        }
    }

    /// Where derived indexes lie: only ever a shorter way to what the file says.
    fn index_folder(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".index");
        name.into()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a write at `revision`; nothing of it is visible unless `write` and the commit succeed.
    fn write<T>(
        &self,
        revision: u64,
        write: impl FnOnce(&mut crate::store::Writer, &Snapshot) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let run = |store: &Store| -> Result<(T, Vec<Uuid>), Error> {
            let mut writer = store.begin_write(revision)?;
            let snapshot = store.snapshot()?;
            let value = write(&mut writer, &snapshot)?;
            let folded = self.fold_reports(&mut writer)?;
            writer.commit()?;
            Ok((value, folded))
        };
        let (value, folded) = match &self.injected {
            Some(store) => run(store),
            None => {
                let store = Store::open_writer(&self.path)?;
                let _behind = WriteBehind::start(&self.path);
                run(&store)
            }
        }?;
        for job in folded {
            self.forget_job(job);
        }
        Ok(value)
    }

    /// Waits for this process's other writers.
    fn turn(&self) -> std::sync::MutexGuard<'_, ()> {
        // A panic in another writer left the file as it was, so its turn is simply over.
        self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Which file a path names: another one may take its place while ours is open.
type FileIdentity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<FileIdentity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Without an identity nothing can be kept open.
#[cfg(not(unix))]
fn identity(_: &Path) -> std::io::Result<FileIdentity> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// A store that is kept open for reading. It follows the commits of writers in any process; after
/// an error, or when another file has taken its place, it is opened anew.
#[derive(Default)]
struct Reader(Mutex<Option<(FileIdentity, Arc<Store>)>>);

impl Reader {
    fn snapshot(&self, path: &Path) -> Result<Snapshot, StoreError> {
        let Ok(identity) = identity(path) else { return Store::open_reader(path)?.snapshot() };
        let store = {
            let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match &*kept {
                Some((known, store)) if *known == identity => Arc::clone(store),
                _ => {
                    let store = Arc::new(Store::open_kept(path)?);
                    *kept = Some((identity, Arc::clone(&store)));
                    store
                }
            }
        };
        store.snapshot().or_else(|_| {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
            Store::open_reader(path)?.snapshot()
        })
    }
}

/// Now, in epoch milliseconds.
fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn io(e: std::io::Error) -> Error {
    Error::Store(StoreError::Io(e))
}
