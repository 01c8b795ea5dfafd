//! Files and folders for their owner alone, from birth: what lies beside a database is as secret as
//! the database, and the umask of whoever runs a command is no protection of it.

use super::StoreError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Options that open, and that make files which only their owner may read and write.
pub fn options() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a file that is not there yet, for reading and writing.
pub fn create_new(path: &Path) -> io::Result<File> {
    options().read(true).write(true).create_new(true).open(path)
}

/// Makes a folder; one that is there is left as it is.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// Makes sure that what lies beside a database was put there by its owner: in a folder that others
/// may write, somebody else may have been there first. What is not there is fine.
///
/// # Errors
///
/// [`StoreError::NotOurs`] if others own it or may write to it.
#[cfg(unix)]
pub fn check_owner(path: &Path, database: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;
    let refused = |why: &str| Err(StoreError::NotOurs(path.to_owned(), why.to_owned()));
    // A link tells who made it, what it leads to tells who may write there.
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

/// Where files have no owners there is nothing to compare.
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
