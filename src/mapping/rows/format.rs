//! The format and the compression of a file of rows, by its name.

use std::path::Path;

/// The way in which rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) enum RowEncoding {
    /// Cells between this delimiter.
    Cells(u8),
    Json,
    /// A JSON document on each line.
    JsonLines,
    Yaml,
    Toml,
    Xml,
    /// A sheet of a workbook.
    Sheet,
    /// Blocks of `name: value` lines.
    Ldif,
    /// Lines that a regular expression takes apart.
    Lines,
}

/// The compression of the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The format and the compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) struct FileFormat {
    pub format: RowEncoding,
    pub compression: Compression,
}

/// The format of a file, by its extensions; `given` decides instead of the inner one.
///
/// # Errors
///
/// Words about a name that says no format.
pub(in crate::mapping) fn file_format(
    path: &Path,
    given: Option<&str>,
) -> Result<FileFormat, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let (inner, compression) = unpacked(&name);
    let extension = inner.rsplit_once('.').map_or("", |(_, e)| e);
    let format = match given.unwrap_or(extension) {
        "csv" => RowEncoding::Cells(b','),
        "tsv" => RowEncoding::Cells(b'\t'),
        "json" | "har" | "sarif" | "tfstate" | "geojson" | "webmanifest" => RowEncoding::Json,
        "ndjson" | "jsonl" => RowEncoding::JsonLines,
        "yaml" | "yml" => RowEncoding::Yaml,
        "toml" => RowEncoding::Toml,
        "xml" => RowEncoding::Xml,
        "xlsx" | "xlsm" => RowEncoding::Sheet,
        "ldif" => RowEncoding::Ldif,
        "lines" if given.is_some() => RowEncoding::Lines,
        _ => return Err(format!("the name `{name}` does not say how its rows are written")),
    };
    Ok(FileFormat { format, compression })
}

/// The name of a file without folder, packing and format, e.g. `inventory` of `inventory.csv.gz`.
pub(in crate::mapping) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (inner, _) = unpacked(&name);
    inner.rsplit_once('.').map_or(inner, |(stem, _)| stem).to_owned()
}

/// The kind of an archive, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) enum ArchiveKind {
    Zip,
    /// A tar file, packed or not.
    Tar(Compression),
}

/// The kind of archive that a file is, if it is one.
pub(in crate::mapping) fn archive_kind(path: &Path) -> Option<ArchiveKind> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if name.ends_with(".zip") {
        return Some(ArchiveKind::Zip);
    }
    if let Some(inner) = name.strip_suffix(".tgz") {
        return (!inner.is_empty()).then_some(ArchiveKind::Tar(Compression::Gzip));
    }
    let (inner, compression) = unpacked(&name);
    inner.ends_with(".tar").then_some(ArchiveKind::Tar(compression))
}

fn unpacked(name: &str) -> (&str, Compression) {
    if let Some(inner) = name.strip_suffix(".gz") {
        return (inner, Compression::Gzip);
    }
    match name.strip_suffix(".zst") {
        Some(inner) => (inner, Compression::Zstd),
        None => (name, Compression::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_say_format_and_compression() {
        let format = |name: &str, given| {
            file_format(Path::new(name), given).map(|f| (f.format, f.compression))
        };
        assert_eq!(
            format("a/data.CSV.gz", None),
            Ok((RowEncoding::Cells(b','), Compression::Gzip))
        );
        assert_eq!(format("x.json.zst", None), Ok((RowEncoding::Json, Compression::Zstd)));
        assert_eq!(
            format("x.txt.gz", Some("tsv")),
            Ok((RowEncoding::Cells(b'\t'), Compression::Gzip))
        );
        assert_eq!(format("x.yml", None), Ok((RowEncoding::Yaml, Compression::None)));
        assert!(format("x.pdf", None).is_err() && format("csv", None).is_err());
    }
}
