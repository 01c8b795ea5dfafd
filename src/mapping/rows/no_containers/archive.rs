//! Archives, in a build that reads none.

use std::io;
use std::path::Path;

fn absent() -> io::Error {
    io::Error::other("this build reads no archives: it lacks the feature `containers`")
}

/// The names of the files of an archive, which this build cannot tell.
pub(in crate::mapping) fn members(_: &Path) -> io::Result<Vec<String>> {
    Err(absent())
}

/// The bytes of one file of an archive, which this build cannot read.
pub(super) fn read_member(_: &Path, _: &str) -> io::Result<Vec<u8>> {
    Err(absent())
}
