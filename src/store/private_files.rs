//! Files and folders that only their owner may use, from the moment they are made. The files beside
//! a database are as secret as the database, and the umask of the caller does not protect them.

use super::StoreError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Options to open files; a file that they make can be read and written by its owner only.
pub fn options() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a new file, for reading and writing. Fails if there is one.
pub fn create_new(path: &Path) -> io::Result<File> {
    options().read(true).write(true).create_new(true).open(path)
}

/// Makes a folder. A folder that is there is left as it is.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// Checks that a file or folder beside a database was put there by the owner of the database. In a
/// folder that others may write to, somebody else may have been there first. A missing file is
/// fine.
///
/// # Errors
///
/// [`StoreError::NotOurs`] if others own it or may write to it.
#[cfg(unix)]
pub fn check_owner(path: &Path, database: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;
    let refused = |why: &str| Err(StoreError::NotOurs(path.to_owned(), why.to_owned()));
    // The link shows who made it; its target shows who may write there.
    let (Ok(entry), Ok(target)) = (path.symlink_metadata(), path.metadata()) else {
        return Ok(());
    };
    let Ok(owner) = database.metadata().map(|metadata| metadata.uid()) else { return Ok(()) };
    if let Some(other) = [entry.uid(), target.uid()].iter().find(|uid| ![0, owner].contains(uid)) {
        return refused(&format!("it belongs to user {other}, the database to user {owner}"));
    }
    if target.mode() & 0o022 != 0 {
        return refused("others than its owner may write to it");
    }
    Ok(())
}

/// Does nothing: on this system files have no owners to compare.
#[cfg(not(unix))]
pub fn check_owner(_: &Path, _: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (database, jobs) = (folder.path().join("t.redb"), folder.path().join("t.redb.jobs"));
        create_new(&database).unwrap();
        check_owner(&jobs, &database).unwrap();
        make_folder(&jobs).unwrap();
        make_folder(&jobs).unwrap();
        check_owner(&jobs, &database).unwrap();
        for (mode, fine) in [(0o755, true), (0o775, false), (0o702, false), (0o700, true)] {
            std::fs::set_permissions(&jobs, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(check_owner(&jobs, &database).is_ok(), fine, "{mode:o}");
        }
    }
}
