//! A snapshot that threads share: the state of one commit, without the caches that a single thread
//! fills while it reads.

use super::{DatabaseFile, Snapshot, StoreError, guarded};
use redb::ReadTransaction;
use std::path::PathBuf;
use std::sync::Arc;

/// One consistent state of the database, for any number of threads. It stays as it is while others
/// write, and is cheap to clone.
///
/// Each thread reads it through a [`Snapshot`] of its own, whose caches need no locks.
#[derive(Clone)]
pub struct SharedSnapshot {
    transaction: Arc<ReadTransaction>,
    indexes: Option<PathBuf>,
    /// The revision of a state of the past.
    at: Option<u64>,
}

impl SharedSnapshot {
    /// Lets lookups by property keep indexes in `folder`: see [`Snapshot::with_indexes`].
    pub(crate) fn with_indexes(self, folder: PathBuf) -> SharedSnapshot {
        SharedSnapshot { indexes: Some(folder), ..self }
    }

    /// The state at an earlier revision.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchState`] if the file does not reach back to it.
    pub(crate) fn at_revision(self, revision: u64) -> Result<SharedSnapshot, StoreError> {
        let past = SharedSnapshot { at: Some(revision), ..self };
        past.reader()?;
        Ok(past)
    }

    /// Returns the same state for one thread, which keeps what it reads in memory.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn reader(&self) -> Result<Snapshot, StoreError> {
        let snapshot = guarded(|| Snapshot::new(Arc::clone(&self.transaction)))?;
        let snapshot = match self.at {
            Some(revision) => return snapshot.at_revision(revision),
            None => snapshot,
        };
        Ok(match &self.indexes {
            Some(folder) => snapshot.with_indexes(folder.clone()),
            None => snapshot,
        })
    }
}

impl DatabaseFile {
    /// The state as of now, for threads to share.
    pub fn shared_snapshot(&self) -> Result<SharedSnapshot, StoreError> {
        let transaction = guarded(|| {
            let transaction = self.begin_read()?;
            // Read once here, so that a file that cannot be read is no surprise to each thread.
            Snapshot::meta_of(&transaction)?;
            Ok(transaction)
        })?;
        Ok(SharedSnapshot { transaction: Arc::new(transaction), indexes: None, at: None })
    }
}
