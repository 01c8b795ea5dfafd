//! Files inside of archives: which there are, and the bytes of one. What an archive says about sizes
//! is not believed: bytes are counted as they are unpacked.

use super::files::{read_whole, unpack};
use super::format::{ArchiveKind, archive_kind};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

/// The most files that an archive may hold.
const MEMBERS_MAX: usize = 100_000;

/// The names of the files of an archive, in their order of bytes.
pub(in crate::mapping) fn members(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    match archive_kind(path) {
        Some(ArchiveKind::Zip) => {
            let archive = open_zip(path)?;
            for name in archive.file_names() {
                let name = name.map_err(io::Error::other)?;
                if !name.ends_with('/') {
                    names.push(name.into_owned());
                }
            }
        }
        Some(ArchiveKind::Tar(compression)) => {
            let mut archive = tar::Archive::new(unpack(File::open(path)?, compression)?);
            for entry in archive.entries()? {
                let entry = entry?;
                if entry.header().entry_type().is_file() {
                    names.push(entry.path()?.to_string_lossy().into_owned());
                }
                if names.len() > MEMBERS_MAX {
                    break;
                }
            }
        }
        None => return Err(io::Error::other("this is no archive")),
    }
    if names.len() > MEMBERS_MAX {
        return Err(io::Error::other(format!("the archive has more than {MEMBERS_MAX} files")));
    }
    // Files of the system that packed it are no exports.
    names.retain(|name| {
        let hidden = |part: &str| part.starts_with('.') && part.len() > 1;
        !name.starts_with("__MACOSX/") && !name.split('/').any(hidden)
    });
    names.sort();
    names.dedup();
    Ok(names)
}

/// The bytes of one file of an archive.
pub(super) fn read_member(path: &Path, member: &str) -> io::Result<Vec<u8>> {
    let missing = || io::Error::other(format!("the archive has no file `{member}`"));
    match archive_kind(path) {
        Some(ArchiveKind::Zip) => {
            let mut archive = open_zip(path)?;
            let entry = archive.by_name(member).map_err(io::Error::other)?;
            read_whole(entry)
        }
        Some(ArchiveKind::Tar(compression)) => {
            let mut archive = tar::Archive::new(unpack(File::open(path)?, compression)?);
            for entry in archive.entries()? {
                let entry = entry?;
                if entry.header().entry_type().is_file()
                    && entry.path()?.to_string_lossy() == member
                {
                    return read_whole(entry);
                }
            }
            Err(missing())
        }
        None => Err(missing()),
    }
}

fn open_zip(path: &Path) -> io::Result<zip::ZipArchive<BufReader<File>>> {
    zip::ZipArchive::new(BufReader::new(File::open(path)?)).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn files_of_a_zip_are_listed_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        for (name, text) in [("b/2.json", "[2]"), ("__MACOSX/._2.json", "x"), ("a.json", "[1]")] {
            zip.start_file(name, options).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        assert_eq!(members(&path).unwrap(), ["a.json", "b/2.json"]);
        assert_eq!(read_member(&path, "b/2.json").unwrap(), b"[2]");
        assert!(read_member(&path, "c").is_err());
        std::fs::write(&path, b"PK no zip").unwrap();
        assert!(members(&path).is_err());
    }

    #[test]
    fn files_of_a_packed_tar_are_listed_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar.gz");
        let packer = flate2::write::GzEncoder::new(
            File::create(&path).unwrap(),
            flate2::Compression::fast(),
        );
        let mut tar = tar::Builder::new(packer);
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_cksum();
        tar.append_data(&mut header, "d/a.json", &b"[1]"[..]).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        assert_eq!(members(&path).unwrap(), ["d/a.json"]);
        assert_eq!(read_member(&path, "d/a.json").unwrap(), b"[1]");
    }
}
