//! Private files beside the database, for parts of the program that keep something of their own: read
//! whole, replaced whole, and as secret as the database.

use super::{Database, Error, io};
use crate::store::{StoreError, private_files};
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

/// Bytes of the largest such file.
const SIDE_FILE_MAX: u64 = 64 << 20;

impl Database {
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(ending);
        name.into()
    }

    /// Returns the bytes of a file beside the database; `None` if there is none.
    ///
    /// # Errors
    ///
    /// A file that somebody else put there, that is too large, or that cannot be read.
    #[doc(hidden)]
    pub fn read_beside(&self, ending: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.beside(ending);
        private_files::check_owner(&path, &self.path)?;
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(SIDE_FILE_MAX + 1).read_to_end(&mut bytes).map_err(io)?,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(e)),
        };
        match bytes.len() as u64 > SIDE_FILE_MAX {
            true => Err(StoreError::DamagedFile(path, "it is too large".to_owned()).into()),
            false => Ok(Some(bytes)),
        }
    }

    /// Replaces a file beside the database; after a crash it is the old one or the new one.
    ///
    /// # Errors
    ///
    /// The error of writing.
    #[doc(hidden)]
    pub fn write_beside(&self, ending: &str, bytes: &[u8]) -> Result<(), Error> {
        let (path, new) = (self.beside(ending), self.beside(&format!("{ending}.new")));
        private_files::check_owner(&path, &self.path)?;
        // A crash may have left one, and it must not be one that somebody else can write.
        let _ = std::fs::remove_file(&new);
        let written = private_files::create_new(&new).and_then(|mut out| {
            out.write_all(bytes)?;
            out.sync_data()?;
            std::fs::rename(&new, &path)
        });
        written.map_err(|e| {
            let _ = std::fs::remove_file(&new);
            io(e)
        })
    }

    /// Locks a file beside the database, so that one process at a time does something; `None` if
    /// another one does. The lock ends with the value.
    ///
    /// # Errors
    ///
    /// The error of making the file.
    #[doc(hidden)]
    pub fn lock_beside(&self, ending: &str) -> Result<Option<File>, Error> {
        let path = self.beside(ending);
        private_files::check_owner(&path, &self.path)?;
        let file = private_files::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(io(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beside_the_database_is_replaced_whole_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::create(&folder.path().join("t.redb")).expect("made");
        assert_eq!(database.read_beside(".watch").expect("read"), None);
        database.write_beside(".watch", b"one").expect("written");
        database.write_beside(".watch", b"two").expect("written");
        assert_eq!(database.read_beside(".watch").expect("read").as_deref(), Some(&b"two"[..]));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = folder.path().join("t.redb.watch");
            let mode = std::fs::metadata(path).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let held = database.lock_beside(".lock").expect("made");
        assert!(held.is_some());
        assert!(database.lock_beside(".lock").expect("made").is_none());
        drop(held);
        assert!(database.lock_beside(".lock").expect("made").is_some());
    }
}
