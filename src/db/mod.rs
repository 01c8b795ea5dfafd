//! The facade: every use case is one method of [`Database`].
//!
//! A database is a path. Files are opened for the length of a call, for reading wherever that is
//! enough, so that a job that changes nothing leaves the file untouched and questions work beside
//! a writer in another process.

mod access;
mod attempt;
mod changes;
mod find;
mod job_files;
mod job_times;
mod jobs;
mod maintain;
mod mapper;
mod mapping_graph;
mod mapping_jobs;
mod mapping_tests;
mod past;
mod planned_graph;
mod retention;
mod rights;
mod saved_plan;
mod side_files;
mod source_jobs;
mod undo;

pub use crate::error::Error;
pub use access::{AccessControl, AccessToken};
pub use attempt::ApplyAttempt;
pub use changes::StatePair;
pub(crate) use changes::differences;
pub use find::{EntityKeyIndex, NAMING};
pub use job_files::StrayJobFile;
pub use job_times::ScopeTimes;
pub use jobs::{
    ChangeVisitor, EditRequest, FinalizeRequest, JobRequest, SyncRequest, UploadExtras,
};
pub(crate) use jobs::{JobGroup, check_scope, check_source};
pub use maintain::{GcOptions, GcReport};
pub use mapper::{MAPPED_MAX, MappedRelationship, check_mapped, mapper_scope_name};
pub use mapping_jobs::{
    GuardOverrides, MappingFileScope, MappingJob, MappingPlan, RelationshipAction,
    RelationshipChange, RelationshipDetails,
};
pub use past::StateRecord;
pub use planned_graph::PlannedGraph;
pub use rights::{AccessRight, RightSet, ScopePattern};
pub use saved_plan::{PlannedJob, SavedPlan};
pub use source_jobs::{ScratchDatabase, SourceJob, StagedSource};
pub use undo::{UndoOptions, UndoReport};

use crate::store::{
    DatabaseFile, SharedSnapshot, Snapshot, StoreError, WaitPolicy, WriteBehind, private_files,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A database file and the folder of its open jobs beside it.
pub struct Database {
    path: PathBuf,
    /// Writers of this process take turns; other processes are waited for, as they hold the locks of
    /// the file or of a job.
    turn: Mutex<()>,
    waiting: WaitPolicy,
    /// The open jobs that this process has seen; each takes one call at a time.
    open: jobs::OpenJobs,
    /// A store that is kept open for reading between calls, where there are many of them.
    reader: Option<Arc<PersistentReader>>,
    /// A store on other storage than a file, in tests that make the disk fail.
    injected: Option<DatabaseFile>,
    /// The places of the reports of finished jobs in the file.
    stored: Mutex<jobs::StoredJobs>,
    /// Relationships that the mappings of one job may make.
    mapped_max: u64,
    /// True if every write is refused.
    read_only: bool,
    /// The state of the past that questions are asked of; `None` is the newest.
    past: Option<StateRecord>,
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
        DatabaseFile::create(path, Uuid::new_v4().as_u64_pair().0)?;
        Ok(Database::at(path))
    }

    /// Opens an existing database. Nothing is written before the file is known to be one that this
    /// version reads, and questions never write.
    pub fn open(path: &Path) -> Result<Database, Error> {
        DatabaseFile::open_briefly(path)?.check().map_err(|e| e.at(path))?;
        Ok(Database::at(path))
    }

    /// Opens an existing database to ask it one short question: the state as of now, from the one
    /// time that the file is opened, with a small cache.
    #[doc(hidden)]
    pub fn open_briefly(path: &Path) -> Result<(Database, Snapshot), Error> {
        let snapshot = DatabaseFile::open_briefly(path)?.snapshot().map_err(|e| e.at(path))?;
        Ok((Database::at(path), snapshot))
    }

    /// Opens a database, making it first if there is no file.
    pub fn open_or_create(path: &Path) -> Result<Database, Error> {
        if path.exists() { Database::open(path) } else { Database::create(path) }
    }

    /// A database on an open store; its jobs lie in `<path>.jobs`.
    #[doc(hidden)]
    pub fn with_store(store: DatabaseFile, path: &Path) -> Database {
        Database { injected: Some(store), ..Database::at(path) }
    }

    fn at(path: &Path) -> Database {
        Database {
            path: path.to_owned(),
            turn: Mutex::new(()),
            waiting: WaitPolicy::default(),
            open: Default::default(),
            stored: Default::default(),
            reader: None,
            injected: None,
            mapped_max: MAPPED_MAX,
            read_only: false,
            past: None,
        }
    }

    /// The same database with a limit on the relationships that the mappings of one job may make.
    #[doc(hidden)]
    pub fn with_mapped_max(self, mapped_max: u64) -> Database {
        Database { mapped_max, ..self }
    }

    /// The same database, whose file stays open for reading between calls.
    #[doc(hidden)]
    pub fn kept_open(self) -> Database {
        Database { reader: Some(Arc::default()), ..self }
    }

    /// The same database, which refuses every write.
    pub(crate) fn without_writes(self) -> Database {
        Database { read_only: true, ..self }
    }

    /// Refuses a write to a database that is open for reading only.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        match self.read_only {
            false => Ok(()),
            true => {
                let what = format!("`{}` is open for reading only", self.path.display());
                Err(Error::usage(what, "open it without `read_only`"))
            }
        }
    }

    /// Another handle on the same file; it shares what is kept open.
    pub fn another_handle(&self) -> Database {
        let (reader, mapped_max) = (self.reader.clone(), self.mapped_max);
        let (waiting, read_only) = (self.waiting.clone(), self.read_only);
        Database { reader, mapped_max, waiting, read_only, ..Database::at(&self.path) }
    }

    /// The same database with another time that its calls wait for other processes, by default a
    /// minute.
    #[doc(hidden)]
    pub fn waiting(self, waiting: WaitPolicy) -> Database {
        Database { waiting, ..self }
    }

    /// Takes a new file away again if nothing was ever committed to it: after a dry run, or after
    /// an upload that was refused, there is nothing to keep.
    #[doc(hidden)]
    pub fn discard_unused(self) -> Result<(), Error> {
        if self.injected.is_none()
            && self.snapshot()?.meta().revision <= 1
            && self.jobs()?.is_empty()
            && self.access_row()?.is_none()
        {
            std::fs::remove_file(&self.path).map_err(io)?;
            // Left behind where a job file was written and removed; an empty folder says nothing.
            let _ = std::fs::remove_dir(self.jobs_folder());
        }
        Ok(())
    }

    /// The state as of now, for any number of questions of one thread.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let snapshot = self.present_snapshot()?;
        if let Some(state) = &self.past {
            return Ok(snapshot.at_revision(state.revision)?);
        }
        Ok(match self.allowed_indexes() {
            Some(folder) => snapshot.with_indexes(folder),
            None => snapshot,
        })
    }

    /// The newest state, whichever this handle is for.
    fn present_snapshot(&self) -> Result<Snapshot, Error> {
        self.read_file(DatabaseFile::snapshot)
    }

    /// The state as of now, for any number of threads.
    pub fn shared_snapshot(&self) -> Result<SharedSnapshot, Error> {
        let snapshot = self.read_file(DatabaseFile::shared_snapshot)?;
        if let Some(state) = &self.past {
            return Ok(snapshot.at_revision(state.revision)?);
        }
        Ok(match self.allowed_indexes() {
            Some(folder) => snapshot.with_indexes(folder),
            None => snapshot,
        })
    }

    /// Asks the store that is open for reading, or one that is opened for it.
    fn read_file<T>(
        &self,
        ask: impl Fn(&DatabaseFile) -> Result<T, StoreError>,
    ) -> Result<T, Error> {
        match &self.injected {
            Some(store) => Ok(ask(store)?),
            // Only where a writer was killed another one may be about to repair the file.
            None => Ok(self.waiting.while_in_use(&self.path, || match &self.reader {
                Some(reader) => reader.snapshot(&self.path, &ask).map_err(StoreError::of_open_file),
                None => ask(&DatabaseFile::open_reader(&self.path)?),
            })?),
        }
    }

    /// The folder for derived indexes. They only make answers faster, so a folder that somebody else
    /// owns is left alone; and whoever asks for no writes gets none beside the file either.
    fn allowed_indexes(&self) -> Option<PathBuf> {
        let folder = self.index_folder();
        let ours = || private_files::check_owner(&folder, &self.path).is_ok();
        (self.injected.is_none() && !self.read_only && ours()).then_some(folder)
    }

    /// Opens the file for writing, waiting for other processes; `None` where the store is open
    /// anyway. All others are kept out until it is dropped.
    fn writer(&self) -> Result<Option<DatabaseFile>, Error> {
        self.check_writable()?;
        if self.injected.is_some() {
            return Ok(None);
        }
        let open = || DatabaseFile::open_writer(&self.path);
        Ok(Some(self.waiting.while_in_use(&self.path, open)?))
    }

    /// Checks that the file can be read now. A store that is kept open for questions stays as idle
    /// as it was.
    #[doc(hidden)]
    pub fn look(&self) -> Result<(), Error> {
        match (&self.injected, &self.reader) {
            (None, Some(reader)) => Ok(reader.look(&self.path)?),
            _ => self.snapshot().map(drop),
        }
    }

    /// Closes the store that is kept open for questions, with all its caches, if no question came
    /// for so long; returns true if it did. The next question opens it again.
    #[doc(hidden)]
    pub fn rest(&self, idle: Duration) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.rest(idle))
    }

    /// The state as of now, seen from a store that is open for writing if there is one.
    fn snapshot_of(&self, store: Option<&DatabaseFile>) -> Result<Snapshot, Error> {
        match store {
            Some(store) => Ok(store.snapshot()?),
            None => self.snapshot(),
        }
    }

    /// The folder of derived indexes, which only shorten the way to answers that the file gives.
    fn index_folder(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".index");
        name.into()
    }

    /// The path of the file.
    pub fn file_path(&self) -> &Path {
        &self.path
    }

    /// Runs a write; nothing of it is visible unless `write` and the commit succeed.
    fn write<T>(
        &self,
        write: impl FnOnce(&mut crate::store::GraphWriter, &Snapshot) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write_in(None, None, write)
    }

    /// The same at `revision`, and in a store that is open for writing, where there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] if the graph is no longer at `revision`.
    fn write_in<T>(
        &self,
        store: Option<DatabaseFile>,
        revision: Option<u64>,
        write: impl FnOnce(&mut crate::store::GraphWriter, &Snapshot) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let run = |store: &DatabaseFile| -> Result<(T, Vec<Uuid>), Error> {
            let revision = match revision {
                Some(revision) => revision,
                None => store.snapshot()?.meta().revision,
            };
            let mut writer = store.begin_write(revision)?;
            // Taken inside the transaction, so that no other commit lies between it and the write.
            let snapshot = store.snapshot()?;
            let value = write(&mut writer, &snapshot)?;
            // Waiting reports go along with every commit, so that they need none of their own.
            let folded = self.fold_reports(&mut writer, &snapshot)?;
            writer.commit()?;
            Ok((value, folded))
        };
        let store = match store {
            Some(store) => Some(store),
            None => self.writer()?,
        };
        let (value, folded) = match (&self.injected, store) {
            (Some(store), _) => run(store),
            (None, Some(store)) => {
                let _behind = WriteBehind::start(&self.path);
                run(&store)
            }
            (None, None) => unreachable!("BUG: a file is opened for writing"),
        }?;
        // Only after the commit: until then these files are all that is known of the jobs.
        for job in folded {
            self.forget_job(job);
        }
        Ok(value)
    }

    /// Waits for this process's other writers.
    fn lock_writers(&self) -> std::sync::MutexGuard<'_, ()> {
        // A panic in another writer left the file as it was, so its turn is simply over.
        self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The identity of the file at a path: another one may take its place while ours is open.
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

/// A store that is kept open for reading. It follows the commits of writers in any process. It is opened
/// anew when another file has its name, and after any error: also when the file itself was overwritten,
/// by a state that does not follow from the one before. A question reads exactly one commit (see
/// `store/page_verification.rs`), whatever happens to the file meanwhile, or it fails.
#[derive(Default)]
struct PersistentReader {
    kept: Mutex<Option<(FileIdentity, Arc<DatabaseFile>)>>,
    /// The time of the last question; `None` while the store rests.
    asked: Mutex<Option<Instant>>,
}

impl PersistentReader {
    fn snapshot<T>(
        &self,
        path: &Path,
        ask: impl Fn(&DatabaseFile) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        *lock(&self.asked) = Some(Instant::now());
        self.ask(path, ask)
    }

    /// Asks the store that is kept, or one that is opened for it.
    fn ask<T>(
        &self,
        path: &Path,
        ask: impl Fn(&DatabaseFile) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Taken before the opening: a file that is replaced in between is only opened once more.
        let Ok(identity) = identity(path) else { return ask(&DatabaseFile::open_reader(path)?) };
        let store = {
            let mut kept = lock(&self.kept);
            match &*kept {
                Some((known, store)) if *known == identity => Arc::clone(store),
                _ => {
                    let store = Arc::new(DatabaseFile::open_kept(path)?);
                    *kept = Some((identity, Arc::clone(&store)));
                    store
                }
            }
        };
        // Any error may mean that the file was replaced or overwritten, so it is opened anew once.
        ask(&store).or_else(|_| {
            *lock(&self.kept) = None;
            ask(&DatabaseFile::open_reader(path)?)
        })
    }

    fn look(&self, path: &Path) -> Result<(), StoreError> {
        self.revision(path).map(drop)
    }

    fn revision(&self, path: &Path) -> Result<u64, StoreError> {
        // A store that is kept is used, but none is opened to be kept: this is no question.
        let identity = identity(path).ok();
        let store = match &*lock(&self.kept) {
            Some((known, store)) if Some(*known) == identity => Some(Arc::clone(store)),
            _ => None,
        };
        match store.map(|store| store.snapshot()) {
            Some(Ok(snapshot)) => Ok(snapshot.meta().revision),
            _ => Ok(DatabaseFile::open_reader(path)?.snapshot()?.meta().revision),
        }
    }

    fn rest(&self, idle: Duration) -> bool {
        let asked = *lock(&self.asked);
        let rested = asked.is_some_and(|asked| asked.elapsed() >= idle);
        if rested {
            *lock(&self.asked) = None;
            *lock(&self.kept) = None;
        }
        rested
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Now, in epoch milliseconds.
fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn io(e: std::io::Error) -> Error {
    Error::Store(StoreError::Io(e))
}
