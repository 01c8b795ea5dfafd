//! The files of rows: patterns such as `deploy/**/*.yaml`, and the bytes of a file unpacked.

use super::format::{Compression, RowEncoding};
use super::{RowFile, archive};
use globset::GlobBuilder;
use std::fs::File;
use std::io::{self, BufReader, Read};
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
    let mut start = folder.join(fixed);
    // The folder of work has an empty path, which nothing can walk.
    if start.as_os_str().is_empty() {
        start = PathBuf::from(".");
    }
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

/// The bytes of a file of rows, unpacked as they are read and in UTF-8. A byte order mark is passed
/// over, and UTF-16 that has one is decoded. Without a mark, the encoding is the one that the file set
/// gives or an XML declaration names, else UTF-8.
pub(in crate::mapping) fn open(file: &RowFile) -> io::Result<Box<dyn Read>> {
    let bytes: Box<dyn Read> = match &file.member {
        Some(member) => Box::new(io::Cursor::new(archive::read_member(&file.path, member)?)),
        None => Box::new(BufReader::new(File::open(&file.path)?)),
    };
    let mut unpacked: Box<dyn Read> = unpack(bytes, file.format.compression)?;
    let xml = file.encoding.is_none() && file.format.format == RowEncoding::Xml;
    let mut encoding = file.encoding;
    if xml || encoding.is_some() {
        let mut start = Vec::new();
        let looked_at = if xml { XML_DECLARATION_MAX } else { MARK_MAX };
        unpacked.by_ref().take(looked_at).read_to_end(&mut start)?;
        encoding = match encoding_rs::Encoding::for_bom(&start) {
            // A mark is surer than what people say.
            Some(_) => None,
            None => encoding.or_else(|| declared_encoding(&start)),
        };
        unpacked = Box::new(io::Cursor::new(start).chain(unpacked));
    }
    let decoded = encoding_rs_io::DecodeReaderBytesBuilder::new()
        // Bytes that are no UTF-8 are passed through, so that the reader can say where they are.
        .encoding(encoding.filter(|encoding| *encoding != encoding_rs::UTF_8))
        .bom_override(true)
        .utf8_passthru(true)
        .strip_bom(true)
        .build(unpacked);
    Ok(Box::new(decoded))
}

/// The bytes of the longest byte order mark.
const MARK_MAX: u64 = 3;

/// The bytes in which an XML declaration must end.
const XML_DECLARATION_MAX: u64 = 512;

/// The encoding that the declaration at the beginning of an XML document names.
fn declared_encoding(start: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let start = String::from_utf8_lossy(start);
    let (declaration, _) = start.strip_prefix("<?xml")?.split_once("?>")?;
    let named = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = named.chars().next().filter(|sign| matches!(sign, '"' | '\''))?;
    let label = named[1..].split(quote).next()?;
    // What says of itself that it is UTF-16 and can be read as ASCII here is not.
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes())?;
    encoding.is_ascii_compatible().then_some(encoding)
}

/// Bytes, unpacked as they are read.
pub(super) fn unpack<'r>(
    bytes: impl Read + 'r,
    compression: Compression,
) -> io::Result<Box<dyn Read + 'r>> {
    let bytes = BufReader::new(bytes);
    Ok(match compression {
        Compression::None => Box::new(bytes),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(bytes)?),
    })
}

/// The largest size in bytes of a document that is read as a whole.
pub(in crate::mapping) const DOCUMENT_MAX: u64 = 1 << 30;

/// Reads a document as a whole.
pub(in crate::mapping) fn read_document(file: &RowFile) -> io::Result<String> {
    let bytes = read_whole(open(file)?)?;
    String::from_utf8(bytes).map_err(|e| {
        let good =
            String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()]).into_owned();
        let line = good.matches('\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}

/// Reads bytes to their end, and no more of them than a document may have.
pub(super) fn read_whole(bytes: impl Read) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    // A small packed file may unpack without end. One byte more tells a document that is too large.
    bytes.take(DOCUMENT_MAX + 1).read_to_end(&mut whole)?;
    match whole.len() as u64 > DOCUMENT_MAX {
        true => Err(io::Error::other("the document is larger than 1 GiB")),
        false => Ok(whole),
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
        // The folder of work, as a mapping file without a folder before its name gives it.
        let here = glob(Path::new(""), "Cargo.*").unwrap();
        assert!(here.contains(&("Cargo.toml".into(), "Cargo.toml".to_owned())), "{here:?}");
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
        let file = RowFile::new(path.clone(), "x.gz".to_owned(), Some("csv")).unwrap();
        assert_eq!(read_document(&file).unwrap(), "a,b\n1,2\n");
        std::fs::write(&path, &bytes[..bytes.len() - 6]).unwrap();
        assert!(read_document(&file).is_err());
    }

    #[test]
    fn other_encodings_are_decoded_where_the_file_or_its_declaration_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let read = |bytes: &[u8], format: &str, encoding| {
            std::fs::write(&path, bytes).unwrap();
            let file = RowFile::new(path.clone(), "x".to_owned(), Some(format)).unwrap();
            read_document(&RowFile { encoding, ..file }).map_err(|e| e.to_string())
        };
        let windows = Some(encoding_rs::WINDOWS_1252);
        assert_eq!(read(b"a,\xe9,\x80", "csv", windows).unwrap(), "a,é,€");
        assert_eq!(read(b"\xEF\xBB\xBFa,\xc3\xa9", "csv", windows).unwrap(), "a,é");
        let wide: Vec<u8> = "a,é".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&wide, "csv", Some(encoding_rs::UTF_16LE)).unwrap(), "a,é");
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
        assert!(read(latin, "xml", None).unwrap().ends_with("<a>é</a>"));
        assert!(read(b"<?xml version='1.0'?><a>\xe9</a>", "xml", None).is_err());
        assert!(read(b"<?xml encoding='utf-8'?><a>\xe9</a>", "xml", None).is_err());
    }

    #[test]
    fn marks_are_passed_over_and_utf_16_is_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let file = RowFile::new(path.clone(), "x.csv".to_owned(), None).unwrap();
        let wide: Vec<u8> = "\u{FEFF}a,é\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [wide, "\u{FEFF}a,é\n".into(), "a,é\n".into()] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_document(&file).unwrap(), "a,é\n");
        }
        std::fs::write(&path, b"a\n\xff\n").unwrap();
        assert_eq!(read_document(&file).unwrap_err().to_string(), "line 2 is not UTF-8");
    }
}
