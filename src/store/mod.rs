//! The database file. The only place that names redb.
//!
//! This module holds the tables and their encodings, snapshots for reading, the one write
//! transaction, the staging of uploads, and the check of it all. It decides nothing about the
//! contents of the graph: `sync` decides, and the store keeps.

mod access;
mod body;
mod bulk_insert;
mod cache;
mod check;
mod codec;
mod column;
mod cross_scope_search;
mod edges;
mod error;
mod expected_pages;
#[doc(hidden)]
pub mod fuzzing;
mod heads;
mod history;
mod identity;
mod index;
pub mod job_lock;
pub mod job_stage;
mod labels;
mod lock_wait;
mod names;
mod page_verification;
mod panic_guard;
mod partial_file;
mod pipeline;
pub mod private_files;
mod recovery_bypass;
mod rows;
mod segment;
mod shared_snapshot;
mod snapshot;
mod spill;
pub mod staging;
mod sweep;
mod tables;
mod tiles;
mod upgrade;
mod write_behind;
mod write_eliding;
mod writer;

pub use body::{BodyPacker, PackedBlock, read as read_body, write as write_body};
pub use codec::{ByteCursor, FORMAT, put_bytes, put_value, put_varint, skip_value, take_value};
pub use error::StoreError;
pub use heads::{CHUNK as HEAD_CHUNK, NO_BODY, ObjectHead};
pub use history::{ForgottenHistory, ObjectVersion, RevisionRecord, TouchedNumbers};
pub use identity::IdentityEntry;
pub use labels::{LabelTable, RelationshipLabel};
pub use lock_wait::{WAIT, WaitPolicy};
pub use names::{NAMES_MAX, NEW_NAMES_MAX, NameBook, SCOPE_WORDS_MAX, WORDS_MAX, WordDictionary};
pub use panic_guard::{engine_panicked, guarded};
pub use partial_file::{folder_of, sweep};
pub use pipeline::{
    NextGroup, SharedBatches, WorkerPanic, parallel_step_len, pipeline, prefetch, prefetch_all,
    step_ranges,
};
pub use rows::{
    DatabaseMeta, EdgeCounts, JobRow, ObjectCounts, ScopeOwner, ScopeRow, split_classes,
};
pub use segment::{AdjacencyEntry, StoredEdge};
pub use shared_snapshot::SharedSnapshot;
pub use snapshot::{ObjectFacts, Snapshot};
pub use spill::{SharedBuckets, SpillBuckets, SpillRecord};
pub use sweep::{NamesInUse, SweepCounts};
pub use write_behind::WriteBehind;
pub use writer::{EdgeEdit, GraphWriter, StoredHeads};

use page_verification::VerifyingBackend;
use partial_file::PartialFile;
use recovery_bypass::RecoveryBypassBackend;
use redb::backends::FileBackend;
use redb::{Builder, ConcurrencyMode, Database, ReadOnlyDatabase, ReadableDatabase};
use std::path::Path;
use std::sync::Arc;
use write_eliding::WriteElidingBackend;

/// Bytes of memory that the engine may use for pages of a file that is only read.
const CACHE_BYTES: usize = 64 << 20;

/// The same for a file that is written. It bounds the memory of a write transaction, which reads
/// most pages once.
const CACHE_BYTES_WRITING: usize = 32 << 20;

/// The same for one short question. It reads most pages once, so it needs little more memory than
/// one page after the other takes.
const CACHE_BYTES_BRIEF: usize = 128 << 10;

/// An open database file.
pub enum DatabaseFile {
    /// Reads beside a writer in another process.
    Reader(ReadOnlyDatabase),
    /// Reads and writes; excludes other writers.
    Writer(Database),
}

/// Passes the locks of storage on to the storage below.
macro_rules! locks_of {
    ($inner:tt: $($method:ident -> $locked:ty),*) => {
        $(fn $method(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<$locked, redb::BackendError> {
            self.$inner.$method(start, end)
        })*
    };
    ($inner:tt) => {
        crate::store::locks_of!($inner:
            try_lock_range -> bool,
            try_lock_shared_range -> bool,
            lock_range -> (),
            lock_shared_range -> (),
            unlock_range -> (),
            query_lock_range -> bool);
    };
}
use locks_of;

fn builder() -> Builder {
    with_cache(CACHE_BYTES_WRITING)
}

fn with_cache(bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(bytes).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// Refuses a path that cannot be a database before the engine sees it: the engine would silently
/// make a new database of an empty file.
fn check_path(path: &Path) -> Result<(), StoreError> {
    let metadata = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => StoreError::Missing(path.to_owned()),
        _ => StoreError::Io(e),
    })?;
    if metadata.is_dir() {
        return Err(StoreError::IsDirectory(path.to_owned()));
    }
    if metadata.len() == 0 {
        return Err(StoreError::NotADatabase(path.to_owned(), "the file is empty".into()));
    }
    Ok(())
}

fn opening(path: &Path, e: redb::DatabaseError) -> StoreError {
    match e {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
        redb::DatabaseError::RepairAborted => StoreError::engine_damaged(
            "a writer was killed, and the file does not tell which commit is whole",
        ),
        redb::DatabaseError::UpgradeRequired(version) => StoreError::NotADatabase(
            path.to_owned(),
            format!("it has version {version} of the engine's format"),
        ),
        // A file that is too short, or has foreign bytes, is no database; a page that fails its
        // checksum is damage.
        redb::DatabaseError::Storage(redb::StorageError::Io(e))
            if matches!(
                e.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ) && !StoreError::is_damaged_page(&e) =>
        {
            StoreError::NotADatabase(path.to_owned(), e.to_string())
        }
        other => other.into(),
    }
}

fn open_file(path: &Path) -> Result<FileBackend, redb::DatabaseError> {
    FileBackend::new(std::fs::File::open(path).map_err(redb::StorageError::Io)?)
}

impl DatabaseFile {
    /// Opens an existing file for reading. A file that a killed writer left behind is read as it
    /// is, and the next writer repairs it: nothing is ever written here.
    pub fn open_reader(path: &Path) -> Result<DatabaseFile, StoreError> {
        DatabaseFile::open_as_it_is(path, CACHE_BYTES)
    }

    /// [`DatabaseFile::open_reader`] to ask one short question.
    pub fn open_briefly(path: &Path) -> Result<DatabaseFile, StoreError> {
        DatabaseFile::open_as_it_is(path, CACHE_BYTES_BRIEF)
    }

    /// [`DatabaseFile::open_reader`] for a long time, beside writers that come and go. A file that a
    /// killed writer left behind is repaired first, which waits for the disk some times.
    /// Unrepaired, each look at a commit that is not known to be durable would wait once.
    pub fn open_kept(path: &Path) -> Result<DatabaseFile, StoreError> {
        check_path(path)?;
        guarded(|| match DatabaseFile::open_whole(path, CACHE_BYTES) {
            Err(redb::DatabaseError::RepairAborted) => {
                // Opening for writing repairs the file.
                drop(DatabaseFile::open_writer(path)?);
                DatabaseFile::open_whole(path, CACHE_BYTES).map_err(|e| opening(path, e))
            }
            other => other.map_err(|e| opening(path, e)),
        })
    }

    fn open_as_it_is(path: &Path, cache: usize) -> Result<DatabaseFile, StoreError> {
        check_path(path)?;
        guarded(|| match DatabaseFile::open_whole(path, cache) {
            Err(redb::DatabaseError::RepairAborted) => {
                DatabaseFile::open_unrepaired(path, cache, RecoveryBypassBackend::new)
            }
            other => other.map_err(|e| opening(path, e)),
        })
    }

    /// Opens a file that no killed writer left behind.
    fn open_whole(path: &Path, cache: usize) -> Result<DatabaseFile, redb::DatabaseError> {
        let storage = VerifyingBackend::new(open_file(path)?);
        with_cache(cache).open_read_only_with_backend(storage).map(DatabaseFile::Reader)
    }

    /// Opens a file that a killed writer left behind. `read` makes the layer between the file and
    /// the engine.
    fn open_unrepaired(
        path: &Path,
        cache: usize,
        read: impl FnOnce(
            VerifyingBackend<FileBackend>,
        ) -> RecoveryBypassBackend<VerifyingBackend<FileBackend>>,
    ) -> Result<DatabaseFile, StoreError> {
        open_file(path)
            .map(|file| read(VerifyingBackend::new(file)))
            .and_then(|storage| with_cache(cache).open_read_only_with_backend(storage))
            .map(DatabaseFile::Reader)
            .map_err(|e| opening(path, e))
    }

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    ///
    /// Returns an error before a byte is written if the file is no database, has another format or
    /// cannot be read.
    pub fn open_writer(path: &Path) -> Result<DatabaseFile, StoreError> {
        check_path(path)?;
        guarded(|| {
            let known = match DatabaseFile::open_whole(path, CACHE_BYTES_BRIEF) {
                Err(redb::DatabaseError::RepairAborted) => {
                    // The engine will find out which commit is whole. Either commit shows that the
                    // file is ours and can be read.
                    DatabaseFile::open_unrepaired(
                        path,
                        CACHE_BYTES_BRIEF,
                        RecoveryBypassBackend::without_durability_check,
                    )?
                }
                other => other.map_err(|e| opening(path, e))?,
            };
            // The format is checked on a read-only handle: opening for writing changes the file.
            known.check().map_err(|e| e.at(path))?;
            drop(known);
            let file = std::fs::File::options().read(true).write(true).open(path)?;
            FileBackend::new(file)
                .and_then(|file| {
                    builder()
                        .create_with_backend(VerifyingBackend::new(WriteElidingBackend::new(file)))
                })
                .map(DatabaseFile::Writer)
                .map_err(|e| opening(path, e))
        })
    }

    /// Checks that this is a database that we can read.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherFormat`] for another version, or the error of reading the counters.
    pub fn check(&self) -> Result<(), StoreError> {
        guarded(|| Snapshot::meta_of(&self.begin_read()?).map(drop))
    }

    fn begin_read(&self) -> Result<redb::ReadTransaction, StoreError> {
        Ok(match self {
            DatabaseFile::Reader(database) => database.begin_read()?,
            DatabaseFile::Writer(database) => database.begin_read()?,
        })
    }

    /// Makes a new database file. It is completed under a temporary name first, so that no crash
    /// can leave half of one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] of kind `AlreadyExists` if there is anything at `path`.
    pub fn create(path: &Path, digest_seed: u64) -> Result<(), StoreError> {
        if path.exists() {
            let e = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "file already exists");
            return Err(StoreError::Io(e));
        }
        let partial = PartialFile::beside(path)?;
        let storage = partial.storage().map_err(|e| opening(path, e))?;
        let mut database = builder().create_with_backend(storage).map_err(|e| opening(path, e))?;
        initialise(&database, digest_seed)?;
        // Pages behind the reserved room move into the gaps before it.
        database.compact()?;
        drop(database);
        Ok(partial.place(path)?)
    }

    /// Writes the state of a snapshot to a new file: a database like any other, without the unused
    /// and dead parts of the old one. The seal of each value is checked on the way. Returns the
    /// size in bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] of kind `AlreadyExists` if there is anything at `path`; after any error
    /// nothing is left there.
    pub fn copy(snapshot: &Snapshot, path: &Path) -> Result<u64, StoreError> {
        // Leftovers of killed processes can be as large as this copy, and take its room on the
        // disk.
        partial_file::sweep(path)?;
        let partial = PartialFile::beside(path)?;
        let storage = partial.storage().map_err(|e| opening(path, e))?;
        let mut database = builder().create_with_backend(storage).map_err(|e| opening(path, e))?;
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(true);
        snapshot.copy_to(&transaction)?;
        transaction.commit()?;
        database.compact()?;
        drop(database);
        let size = partial.len()?;
        partial.place(path)?;
        Ok(size)
    }

    /// Opens a database on storage of another kind, and makes one if the storage is empty. The
    /// locks of the storage have to work. The engine gets so little memory that it writes pages
    /// before a transaction ends. For tests in which the disk fails.
    pub fn with_backend(
        backend: impl redb::StorageBackend,
        digest_seed: u64,
    ) -> Result<DatabaseFile, StoreError> {
        let storage = VerifyingBackend::new(WriteElidingBackend::new(backend));
        let database = guarded(|| Ok(with_cache(CACHE_BYTES_BRIEF).create_with_backend(storage)?))?;
        let fresh = {
            let transaction = database.begin_read()?;
            transaction.list_tables()?.next().is_none()
        };
        if fresh {
            initialise(&database, digest_seed)?;
        }
        Ok(DatabaseFile::Writer(database))
    }

    /// The state as of now.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        guarded(|| Snapshot::new(Arc::new(self.begin_read()?)))
    }

    /// Starts the write transaction, waiting for another one in this process to end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] if the graph is no longer at `revision`.
    pub fn begin_write(&self, revision: u64) -> Result<GraphWriter, StoreError> {
        let DatabaseFile::Writer(database) = self else {
            return Err(StoreError::Engine("the database is open for reading only".into()));
        };
        let mut transaction = guarded(|| Ok(database.begin_write()?))?;
        // Quick repair commits in two phases: so a file that a killed writer left can be read
        // unrepaired.
        transaction.set_quick_repair(true);
        // The writer excludes all others, so a snapshot taken now is the state it starts from.
        let snapshot = self.snapshot()?;
        if snapshot.meta().revision != revision {
            return Err(StoreError::Changed);
        }
        let (words, labels) = (snapshot.words().clone(), snapshot.labels().clone());
        let names = snapshot.name_book()?;
        Ok(GraphWriter::new(transaction, snapshot.meta(), names, words, labels))
    }

    /// Gives unused space back to the file system; returns true if there may be more. `None` while
    /// any process reads an older state: then nothing can be moved.
    pub fn shrink(&mut self) -> Result<Option<bool>, StoreError> {
        match self {
            DatabaseFile::Writer(database) => guarded(|| match database.compact() {
                Err(redb::CompactionError::TransactionInProgress) => Ok(None),
                more => Ok(Some(more?)),
            }),
            DatabaseFile::Reader(_) => Ok(Some(false)),
        }
    }
}

fn initialise(database: &Database, digest_seed: u64) -> Result<(), StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    for table in tables::ALL {
        transaction.open_table(table)?;
    }
    transaction.open_table(tables::META)?.insert(tables::ROOM_KEY, &[0; tables::ROOM][..])?;
    let meta = DatabaseMeta {
        revision: 0,
        digest_seed,
        next_number: [0, 0],
        next_job: 0,
        next_name: 1,
        names: 0,
        words: 0,
        labels: 0,
        edges: Default::default(),
    };
    let names = NameBook::new(None, meta.next_name, meta.names);
    GraphWriter::new(transaction, meta, names, WordDictionary::default(), LabelTable::default())
        .commit()
}

/// The damaged pages of a file, in words, and the number of pages in its newest state. For a file
/// that nobody writes meanwhile.
pub fn damaged_pages(path: &Path) -> Result<(Vec<String>, u64), StoreError> {
    let file = open_file(path).map_err(|e| opening(path, e))?;
    let size = redb::StorageBackend::len(&file)?;
    let read = |offset, out: &mut [u8]| redb::StorageBackend::read(&file, offset, out);
    let mut found = Vec::new();
    let pages = page_verification::walk(size, read, |page| found.push(page.to_string()))?;
    Ok((found, pages))
}

/// Makes a rename or a new name in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_ends_at_a_power_of_two_of_pages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.redb");
        DatabaseFile::create(&path, 1).unwrap();
        let len = std::fs::metadata(&path).unwrap().len();
        // One page is the header of the engine.
        assert!((len / 4096 - 1).is_power_of_two(), "{len} bytes");
    }
}
