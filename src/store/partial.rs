//! Files under way: complete under a name of their own first, so that no crash leaves half of one
//! under the name that was meant.
//!
//! A process that is killed leaves its file behind. The name says whose kind it is, and a lock that
//! goes with the process that nobody works on it any more; both are asked before one is swept away.

use super::sync_folder;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// What stands between the name that was meant and digits.
const MARK: &str = ".partial-";

/// A new file that is not what it is to be yet. It goes with this value unless it is placed.
pub struct Partial {
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

impl Partial {
    /// Makes an empty file in the folder of `target`, for its owner only.
    pub fn beside(target: &Path) -> io::Result<Partial> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!("{MARK}{:016x}", uuid::Uuid::new_v4().as_u64_pair().0));
        let path = folder_of(target).join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        match file.try_lock() {
            // Where locks are unknown, nothing is swept.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Partial { path, file }),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    /// The file as storage of the engine, which takes no locks: nobody else knows it.
    pub fn storage(&self) -> Result<impl StorageBackend, redb::DatabaseError> {
        let file = self.file.try_clone().map_err(redb::StorageError::Io)?;
        Ok(Unlocked(FileBackend::new(file)?))
    }

    /// Bytes in the file.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Gives the file, which is whole and durable now, its name.
    ///
    /// # Errors
    ///
    /// Of kind `AlreadyExists` if anything has that name.
    pub fn place(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        // `hard_link` refuses to replace a file that appeared meanwhile; `rename` would not.
        std::fs::hard_link(&self.path, target)?;
        drop(self);
        sync_folder(folder_of(target)).map_err(io::Error::other)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes away what killed processes left behind in the folder of `target`; gives how many files.
pub fn sweep(target: &Path) -> io::Result<u64> {
    let mut swept = 0;
    for entry in std::fs::read_dir(folder_of(target))? {
        let entry = entry?;
        let named = entry.file_name().to_str().is_some_and(is_ours);
        if named && entry.file_type()?.is_file() && abandoned(&entry.path()) {
            std::fs::remove_file(entry.path())?;
            swept += 1;
        }
    }
    Ok(swept)
}

fn is_ours(name: &str) -> bool {
    name.rsplit_once(MARK).is_some_and(|(_, digits)| {
        digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Whether nobody holds the file, and it is the beginning of a database, or empty.
fn abandoned(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut start = Vec::new();
    let read = file.by_ref().take(9).read_to_end(&mut start).is_ok();
    let ours = super::pages::MAGIC.starts_with(&start) || start.iter().all(|&byte| byte == 0);
    read && ours && file.try_lock().is_ok()
}

/// A file without locks of the engine.
#[derive(Debug)]
struct Unlocked(FileBackend);

type Locked<T> = Result<T, redb::BackendError>;

impl StorageBackend for Unlocked {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Locked<bool> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Locked<bool> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Locked<()> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Locked<()> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Locked<()> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Locked<bool> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_leftovers_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let target = path("graph.redb");
        let held = Partial::beside(&target).unwrap();
        let digits = "0123456789abcdef";
        let ours = [
            (format!("graph.redb.partial-{digits}"), &b"redb\x1A\x0A\xA9\x0D\x0A and more"[..]),
            (format!("other.partial-{digits}"), b""),
            (format!("third.partial-{digits}"), b"re"),
        ];
        let foreign = [
            ("graph.redb.partial-1".to_owned(), &b""[..]),
            (format!("notes.partial-{digits}"), b"somebody's notes"),
            (format!("graph.redb{digits}"), b""),
            (".tmpAbCdEf".to_owned(), b""),
        ];
        for (name, contents) in ours.iter().chain(&foreign) {
            std::fs::write(path(name), contents).unwrap();
        }
        assert_eq!(sweep(&target).unwrap(), ours.len() as u64);
        assert!(ours.iter().all(|(name, _)| !path(name).exists()));
        assert!(foreign.iter().all(|(name, _)| path(name).exists()));
        held.place(&target).unwrap();
        assert!(target.exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), foreign.len() + 1);
    }

    #[test]
    fn what_has_the_name_already_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("graph.redb");
        std::fs::write(&target, "mine").unwrap();
        let error = Partial::beside(&target).unwrap().place(&target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
