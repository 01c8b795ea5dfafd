//! The files of rows: patterns such as `deploy/**/*.yaml`, and the bytes of a file unpacked.

use super::format::Compression;
use globset::GlobBuilder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

/// The files that a pattern matches, in byte order of path, each as a path and as its name seen
/// from `folder`.
///
/// A pattern may begin with folders, `..` among them. Links to files count, links to folders are
/// not followed. The caller refuses files outside the project.
///
/// # Errors
///
/// Words about a pattern or a folder that cannot be read. A folder that cannot be read must not
/// count as empty.
pub(in crate::mapping) fn glob(
    folder: &Path,
    pattern: &str,
) -> Result<Vec<(PathBuf, String)>, String> {
    let built = GlobBuilder::new(pattern).literal_separator(true).build();
    let matcher = built.map_err(|e| e.kind().to_string())?.compile_matcher();
    // Only the folder before the first sign of a pattern is walked, and it may lie above `folder`.
    let fixed = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    let fixed = pattern[..fixed].rfind('/').map_or("", |i| &pattern[..i]);
    let start = folder.join(fixed);
    let mut found = Vec::new();
    if !start.is_dir() {
        return Ok(found);
    }
    for entry in walkdir::WalkDir::new(&start) {
        let path = entry.map_err(|e| e.to_string())?.into_path();
        let inner = path.strip_prefix(&start).unwrap_or(&path);
        let name = Path::new(fixed).join(inner);
        if matcher.is_match(&name) && path.is_file() {
            found.push((normalize_path(&path), name.to_string_lossy().into_owned()));
        }
    }
    found
        .sort_by(|a, b| a.0.as_os_str().as_encoded_bytes().cmp(b.0.as_os_str().as_encoded_bytes()));
    Ok(found)
}

/// The digest of the bytes of a file, XXH3-128 in hex.
pub(in crate::mapping) fn digest(path: &Path) -> std::io::Result<String> {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    let mut file = File::open(path)?;
    let mut bytes = vec![0; 1 << 16];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(format!("{:032x}", hash.digest128())),
            read => hash.update(&bytes[..read]),
        }
    }
}

/// The bytes of a file, unpacked as they are read.
pub(in crate::mapping) fn unpack(
    path: &Path,
    compression: Compression,
) -> std::io::Result<Box<dyn Read>> {
    let file = BufReader::new(File::open(path)?);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
    })
}

/// The largest size in bytes of a document that is read as a whole.
pub(in crate::mapping) const DOCUMENT_MAX: u64 = 1 << 30;

/// Reads a document as a whole.
pub(in crate::mapping) fn read_document(
    path: &Path,
    compression: Compression,
) -> std::io::Result<String> {
    let mut text = String::new();
    // A small packed file may unpack without end. One byte more tells a document that is too large.
    unpack(path, compression)?.take(DOCUMENT_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > DOCUMENT_MAX {
        true => Err(std::io::Error::other("the document is larger than 1 GiB")),
        false => Ok(text),
    }
}

/// `path` without `.` and with each `..` resolved by the text alone; links are not followed.
pub(in crate::mapping) fn normalize_path(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(tidy.components().next_back(), Some(Component::Normal(_))) =>
            {
                tidy.pop();
            }
            // A `..` with no folder before it stays, so that the path means the same.
            other => tidy.push(other),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn files_come_in_byte_order_and_named_from_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a/z.csv", "a/b/c.csv", "a.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            glob(folder.path(), pattern).unwrap().into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(names("**/*.csv"), ["a/b/c.csv", "a/z.csv", "b.csv"]);
        assert_eq!(names("a/*"), ["a/z.csv"]);
        assert_eq!(names("./{a,b}.*"), ["./a.txt", "./b.csv"]);
        assert_eq!(names("nowhere/**"), [""; 0]);
        assert!(glob(folder.path(), "a[").is_err());
        let above = glob(&folder.path().join("a/b"), "../*.csv").unwrap();
        assert_eq!(above, [(folder.path().join("a/z.csv"), "../z.csv".to_owned())]);
    }

    #[test]
    fn a_truncated_stream_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gz");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"a,b\n1,2\n").unwrap();
        let bytes = packer.finish().unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_document(&path, Compression::Gzip).unwrap(), "a,b\n1,2\n");
        std::fs::write(&path, &bytes[..bytes.len() - 6]).unwrap();
        assert!(read_document(&path, Compression::Gzip).is_err());
    }
}
