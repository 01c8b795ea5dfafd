//! Unfinished files: a new file is completed under a temporary name, so that no crash leaves half
//! of it under its final name.
//!
//! A killed process leaves its unfinished file behind. The name tells that the file is one of ours,
//! and a free lock tells that no living process works on it; both are checked before a file is
//! removed.

use super::{private_files, sync_folder};
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// The mark between the final name and random digits.
const MARK: &str = ".partial-";

/// A new, unfinished file. It is removed with this value unless it is placed.
pub struct PartialFile {
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
}

/// The folder of a file, also for a path without a folder.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

impl PartialFile {
    /// Makes an empty file in the folder of `target`, for its owner only.
    pub fn beside(target: &Path) -> io::Result<PartialFile> {
        loop {
            let mut name = target.file_name().unwrap_or_default().to_owned();
            name.push(format!("{MARK}{:016x}", uuid::Uuid::new_v4().as_u64_pair().0));
            let path = folder_of(target).join(name);
            let file = private_files::create_new(&path)?;
            if let Some(partial) = PartialFile::locked(path, file)? {
                return Ok(partial);
            }
        }
    }

    /// Takes the lock of a new file. `None` if another process has swept it in between: without a
    /// lock it looks like a file that a killed process left behind.
    fn locked(path: PathBuf, file: File) -> io::Result<Option<PartialFile>> {
        let partial = match file.try_lock() {
            // Where locks are unknown, nothing is swept.
            Err(TryLockError::Error(_)) => return Ok(Some(PartialFile { path, file })),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Ok(()) => PartialFile { path, file },
        };
        Ok(partial.path.try_exists()?.then_some(partial))
    }

    /// The file as storage of the engine. It takes no locks, since nobody else knows the file.
    pub fn storage(&self) -> Result<impl StorageBackend, redb::DatabaseError> {
        let file = self.file.try_clone().map_err(redb::StorageError::Io)?;
        Ok(UnlockedBackend(FileBackend::new(file)?))
    }

    /// Bytes in the file.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Its path while it is unfinished.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the complete file to the disk and puts it in the place of the file at `target`.
    pub fn replace(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, target)?;
        drop(self);
        sync_folder(folder_of(target)).map_err(io::Error::other)
    }

    /// Syncs the complete file to the disk and gives it its final name.
    ///
    /// # Errors
    ///
    /// An error of kind `AlreadyExists` if anything has that name.
    pub fn place(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        // `hard_link` refuses to replace a file that appeared meanwhile; `rename` would not.
        std::fs::hard_link(&self.path, target)?;
        drop(self);
        sync_folder(folder_of(target)).map_err(io::Error::other)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the files that killed processes left behind in the folder of `target`; returns how many.
pub fn sweep(target: &Path) -> io::Result<u64> {
    let mut swept = 0;
    for entry in std::fs::read_dir(folder_of(target))? {
        let entry = entry?;
        let named = entry.file_name().to_str().is_some_and(is_ours);
        if !named || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        // The lock is held until the file is gone, so that nobody takes the file for theirs
        // meanwhile.
        let Some(_locked) = lock_if_abandoned(&entry.path()) else { continue };
        match std::fs::remove_file(entry.path()) {
            Ok(()) => swept += 1,
            // Somebody else sweeps as well.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(swept)
}

fn is_ours(name: &str) -> bool {
    name.rsplit_once(MARK).is_some_and(|(_, digits)| {
        digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Opens and locks a file that a killed process left behind. `None` if a process holds its lock, or
/// the file is neither empty nor the beginning of a database.
fn lock_if_abandoned(path: &Path) -> Option<File> {
    let mut file = File::open(path).ok()?;
    let mut start = Vec::new();
    file.by_ref().take(9).read_to_end(&mut start).ok()?;
    let ours =
        super::page_verification::MAGIC.starts_with(&start) || start.iter().all(|&byte| byte == 0);
    (ours && file.try_lock().is_ok()).then_some(file)
}

/// A file whose locks the engine does not take.
#[derive(Debug)]
struct UnlockedBackend(FileBackend);

type BackendResult<T> = Result<T, redb::BackendError>;

impl StorageBackend for UnlockedBackend {
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

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> BackendResult<bool> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> BackendResult<bool> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> BackendResult<()> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> BackendResult<()> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> BackendResult<()> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> BackendResult<bool> {
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
        let held = PartialFile::beside(&target).unwrap();
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
    fn a_file_that_was_swept_before_its_lock_was_taken_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("graph.redb");
        let path = folder.path().join("graph.redb.partial-0123456789abcdef");
        let file = private_files::create_new(&path).unwrap();
        assert_eq!(sweep(&target).unwrap(), 1);
        assert!(PartialFile::locked(path.clone(), file).unwrap().is_none());
        // A sweeper that has it open and locked is about to take it away.
        let file = private_files::create_new(&path).unwrap();
        let sweeper = lock_if_abandoned(&path).unwrap();
        assert!(PartialFile::locked(path.clone(), file).unwrap().is_none());
        drop(sweeper);
        std::fs::remove_file(&path).unwrap();
        // Many who make and sweep at once.
        std::thread::scope(|scope| {
            for maker in 0..4 {
                let copy = folder.path().join(format!("copy-{maker}"));
                scope.spawn(move || {
                    for _ in 0..200 {
                        PartialFile::beside(&copy).unwrap().place(&copy).unwrap();
                        std::fs::remove_file(&copy).unwrap();
                    }
                });
                scope.spawn(|| {
                    for _ in 0..400 {
                        sweep(&target).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn what_has_the_name_already_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("graph.redb");
        std::fs::write(&target, "mine").unwrap();
        let error = PartialFile::beside(&target).unwrap().place(&target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
