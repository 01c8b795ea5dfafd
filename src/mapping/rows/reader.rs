//! Reading rows from their source, with the faults of the data.

use super::files::{digest, read_document, unpack};
use super::format::RowEncoding;
use super::items::{DocumentTree, ItemPath, ItemPathError, MissingList, SelectedItem};
use super::json::{JsonDocument, plain_words};
use super::tree::{DocumentError, read_toml, read_yaml};
use super::{ColumnPositions, LocatedRow, RowFile, RowFileSet, RowSource};
use crate::lang::Diagnostic;
use crate::mapping::data::RowContent;
use crate::mapping::format::format_age;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The options of reading rows.
#[derive(Clone, Copy, Debug)]
pub(in crate::mapping) struct ReadOptions {
    /// Files may not be older.
    pub max_age: Option<Duration>,
    /// The time that ages are counted from.
    pub now: SystemTime,
    /// True if any expression asks for `doc` or `parent`.
    pub around: bool,
}

/// A fault in a file of rows.
struct RowFileError {
    code: &'static str,
    words: String,
    line: u32,
    column: Option<usize>,
    help: Option<String>,
    /// True if the rest of the file cannot be read.
    ends_file: bool,
}

impl RowFileError {
    /// A fault of the parser. It ends the file, and its message gets the name of the file.
    fn parser(words: impl Into<String>, line: u32, column: Option<usize>) -> RowFileError {
        let words = words.into();
        RowFileError { code: "M0403", words, line, column, help: None, ends_file: true }
    }

    fn fault(self, file: &RowFile) -> Diagnostic {
        let words = match self.code {
            "M0403" => format!("{}: {}", file.name, self.words),
            _ => self.words,
        };
        let fault = file.fault(self.code, words, self.line, self.column);
        match self.help {
            Some(help) => fault.help(help),
            None => fault,
        }
    }
}

impl From<std::io::Error> for RowFileError {
    fn from(error: std::io::Error) -> RowFileError {
        RowFileError::parser(error.to_string(), 1, None)
    }
}

impl From<DocumentError> for RowFileError {
    fn from(trouble: DocumentError) -> RowFileError {
        RowFileError::parser(trouble.words, trouble.line, Some(trouble.column))
    }
}

/// Reads the rows of a source one after the other, file after file.
pub(in crate::mapping) struct RowReader<'s> {
    source: &'s RowSource,
    options: ReadOptions,
    /// The number of files opened so far; of inline rows, the number of rows read.
    opened: usize,
    open: OpenRowFile,
    /// Rows of a document that are read already.
    pending: std::vec::IntoIter<LocatedRow>,
    columns: ColumnPositions,
    digests: Vec<(String, String)>,
}

type CellReader = csv::Reader<Box<dyn Read>>;

/// The file that is being read.
enum OpenRowFile {
    None,
    Cells { cells: CellReader, width: Option<usize>, by: &'static str },
    Lines { lines: std::io::Split<BufReader<Box<dyn Read>>>, line: u32 },
    List,
}

/// The names of the columns, in the order of the file; `None` if rows may have any.
pub(in crate::mapping) fn columns_of(rows: &RowSource) -> Option<Vec<String>> {
    let rows = match rows {
        RowSource::Files(rows) => rows,
        RowSource::Query(query) => return query.columns().map(<[String]>::to_vec),
        RowSource::Inline { .. } | RowSource::Entities { .. } => return None,
    };
    if rows.files.is_empty()
        || !rows.files.iter().all(|file| matches!(file.format.format, RowEncoding::Cells(_)))
    {
        return None;
    }
    if let Some(columns) = &rows.columns {
        return Some(columns.clone());
    }
    // A column may be in any of several files; in the rows of a file without it, it is undefined.
    let mut all: Vec<String> = Vec::new();
    for file in &rows.files {
        let mut cells = cells(file, rows).ok()?;
        for name in cells.headers().ok()? {
            if !all.iter().any(|known| known == name) {
                all.push(name.to_owned());
            }
        }
    }
    Some(all)
}

fn cells(file: &RowFile, rows: &RowFileSet) -> std::io::Result<CellReader> {
    let RowEncoding::Cells(usual) = file.format.format else {
        return Err(std::io::Error::other("not a file of cells"));
    };
    let mut unpacked = BufReader::new(unpack(&file.path, file.format.compression)?);
    // Spreadsheets write a byte order mark, which would become part of the first name.
    if unpacked.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        unpacked.consume(3);
    }
    Ok(csv::ReaderBuilder::new()
        .delimiter(rows.delimiter.unwrap_or(usual))
        .has_headers(rows.columns.is_none())
        // A row of the wrong width is a fault with its own line, so the parser must let it pass.
        .flexible(true)
        .from_reader(Box::new(unpacked)))
}

impl<'s> RowReader<'s> {
    pub(in crate::mapping) fn open(source: &'s RowSource, options: &ReadOptions) -> RowReader<'s> {
        RowReader {
            source,
            options: *options,
            opened: 0,
            open: OpenRowFile::None,
            pending: Vec::new().into_iter(),
            columns: ColumnPositions::default(),
            digests: Vec::new(),
        }
    }

    /// The columns of the file that the last row came from.
    pub(in crate::mapping) fn columns(&self) -> &ColumnPositions {
        &self.columns
    }

    /// The files that were read so far, each with the digest of its bytes.
    pub(in crate::mapping) fn digests(self) -> Vec<(String, String)> {
        self.digests
    }

    /// The next row, or a fault of the data; after a fault the rest may still be read.
    pub(in crate::mapping) fn next(&mut self) -> Option<Result<LocatedRow, Diagnostic>> {
        let rows = match self.source {
            RowSource::Files(rows) => rows,
            RowSource::Inline { rows, .. } => {
                let (line, data) = rows.get(self.opened)?;
                self.opened += 1;
                return Some(Ok(LocatedRow::plain(RowContent::Data(data.clone()), 0, *line)));
            }
            // Rows of the graph are fetched before any are read.
            RowSource::Entities { .. } | RowSource::Query(_) => return None,
        };
        loop {
            if let Some(row) = self.pending.next() {
                return Some(Ok(row));
            }
            let next = match self.open {
                OpenRowFile::None => {
                    let file = rows.files.get(self.opened)?;
                    self.opened += 1;
                    self.open_file(file, rows).map(|()| None)
                }
                _ => self.next_row(rows).inspect(|row| {
                    if row.is_none() {
                        self.open = OpenRowFile::None;
                    }
                }),
            };
            match next {
                Ok(None) => {}
                Ok(Some(row)) => return Some(Ok(row)),
                Err(broken) => {
                    if broken.ends_file {
                        self.open = OpenRowFile::None;
                    }
                    return Some(Err(broken.fault(&rows.files[self.opened - 1])));
                }
            }
        }
    }

    fn open_file(&mut self, file: &RowFile, rows: &RowFileSet) -> Result<(), RowFileError> {
        self.check_age(file)?;
        // The digest is of the packed bytes, as the file lies on the disk.
        self.digests.push((file.shown(), digest(&file.path)?));
        self.open = match file.format.format {
            RowEncoding::Cells(_) => {
                let mut cells = cells(file, rows)?;
                let (names, by) = match &rows.columns {
                    Some(names) => (names.clone(), "`columns`"),
                    None => {
                        let header = cells.headers().map_err(|e| csv_error(&e))?;
                        (header.iter().map(str::to_owned).collect(), "the header")
                    }
                };
                self.columns = ColumnPositions::default();
                for (name, i) in names.iter().zip(0..) {
                    if self.columns.insert(name.clone(), i).is_some() && !name.is_empty() {
                        let words = format!("the column `{name}` stands twice in {by}");
                        return Err(RowFileError::parser(words, 1, None));
                    }
                }
                OpenRowFile::Cells { cells, width: (!names.is_empty()).then_some(names.len()), by }
            }
            RowEncoding::Lines => {
                let bytes = BufReader::new(unpack(&file.path, file.format.compression)?);
                OpenRowFile::Lines { lines: bytes.split(b'\n'), line: 0 }
            }
            format => {
                let text = read_document(&file.path, file.format.compression)?;
                self.take_documents(file, rows, format, &text)?;
                OpenRowFile::List
            }
        };
        Ok(())
    }

    fn check_age(&self, file: &RowFile) -> Result<(), RowFileError> {
        let Some(limit) = self.options.max_age else { return Ok(()) };
        let changed = std::fs::metadata(&file.path)?.modified()?;
        let age = self.options.now.duration_since(changed).unwrap_or_default();
        if age <= limit {
            return Ok(());
        }
        let (name, old, limit) = (&file.name, format_age(age), format_age(limit));
        Err(RowFileError {
            code: "M0405",
            words: format!("{name} is {old} old; `max_age` is {limit}"),
            line: 1,
            column: None,
            help: Some(
                "refresh the export, or run with --override max_age=4d --reason \"...\"".to_owned(),
            ),
            ends_file: true,
        })
    }

    /// Takes the items of the documents of a text.
    fn take_documents(
        &mut self,
        file: &RowFile,
        rows: &RowFileSet,
        format: RowEncoding,
        text: &str,
    ) -> Result<(), RowFileError> {
        match format {
            RowEncoding::Yaml => {
                let mut all = Vec::new();
                for document in &read_yaml(text)? {
                    all.extend(self.items(document, file, rows)?);
                }
                self.pending = all.into_iter();
            }
            RowEncoding::Toml => {
                let document = read_toml(text)?;
                self.pending = self.items(&document, file, rows)?.into_iter();
            }
            _ => {
                let mark = text.strip_prefix('\u{FEFF}').unwrap_or(text);
                let document = JsonDocument::parse(mark).map_err(|e| {
                    RowFileError::parser(plain_words(&e), e.line() as u32, Some(e.column()))
                })?;
                self.pending = self.items(document.root(), file, rows)?.into_iter();
            }
        }
        Ok(())
    }

    /// The rows of one document.
    fn items<T: DocumentTree>(
        &self,
        document: T,
        file: &RowFile,
        rows: &RowFileSet,
    ) -> Result<Vec<LocatedRow>, RowFileError> {
        let top = ItemPath::top();
        let items = rows.items.as_ref().unwrap_or(&top);
        let found = items.select(document, self.options.around).map_err(|stray| match stray {
            ItemPathError::Broken(line, words) => RowFileError::parser(words, line, None),
            ItemPathError::NoList(none) => no_list(none, file, rows.items.is_some()),
        })?;
        // A copy of the document costs memory, so it is made only if an expression names it.
        let doc = match self.options.around {
            true => Some(Arc::new(
                document
                    .data()
                    .map_err(|words| RowFileError::parser(words, document.line(), None))?,
            )),
            false => None,
        };
        let row = |item: SelectedItem| LocatedRow {
            row: RowContent::Data(item.row),
            parent: item.parent,
            doc: doc.clone(),
            file: self.opened - 1,
            line: item.line,
        };
        Ok(found.into_iter().map(row).collect())
    }

    /// The next row of cells, or of a line; `None` at the end of the file.
    fn next_row(&mut self, rows: &RowFileSet) -> Result<Option<LocatedRow>, RowFileError> {
        let at = self.opened - 1;
        match &mut self.open {
            OpenRowFile::None | OpenRowFile::List => Ok(None),
            OpenRowFile::Cells { cells, width, by } => {
                let mut record = csv::StringRecord::new();
                if !cells.read_record(&mut record).map_err(|e| csv_error(&e))? {
                    return Ok(None);
                }
                let line = record.position().map_or(0, |p| p.line() as u32);
                let expected = *width.get_or_insert(record.len());
                if record.len() != expected {
                    let names = if *by == "the header" { "has" } else { "names" };
                    let words = format!("row has {} fields, {by} {names} {expected}", record.len());
                    let (code, help) = ("M0402", None);
                    let column = Some(1);
                    return Err(RowFileError { code, words, line, column, help, ends_file: false });
                }
                Ok(Some(LocatedRow::plain(RowContent::Cells(record), at, line)))
            }
            OpenRowFile::Lines { .. } => {
                while let Some((text, line)) = self.next_line()? {
                    if let Some(row) = self.line(&text, line, rows)? {
                        return Ok(Some(row));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The next line that is not blank, and its number; `None` at the end of the file.
    fn next_line(&mut self) -> Result<Option<(String, u32)>, RowFileError> {
        let OpenRowFile::Lines { lines, line } = &mut self.open else { return Ok(None) };
        for bytes in lines {
            *line += 1;
            let bytes = bytes.map_err(|e| RowFileError::parser(e.to_string(), *line, None))?;
            let text = match std::str::from_utf8(&bytes) {
                Ok(text) => text.strip_prefix('\u{FEFF}').unwrap_or(text).trim(),
                Err(error) => {
                    let words = format!("byte {} of the line is not UTF-8", error.valid_up_to());
                    let broken = RowFileError::parser(words, *line, None);
                    return Err(RowFileError { ends_file: false, ..broken });
                }
            };
            if !text.is_empty() {
                return Ok(Some((text.to_owned(), *line)));
            }
        }
        Ok(None)
    }

    /// The first row of a line of JSON; the others are pending. `None` if the line has no items.
    fn line(
        &mut self,
        text: &str,
        line: u32,
        rows: &RowFileSet,
    ) -> Result<Option<LocatedRow>, RowFileError> {
        // Each line is a document of its own, so a fault ends the line and not the file.
        let here = |broken: RowFileError| RowFileError { line, ends_file: false, ..broken };
        let document = JsonDocument::parse(text)
            .map_err(|e| here(RowFileError::parser(plain_words(&e), line, Some(e.column()))))?;
        let root = document.root();
        let RowSource::Files(RowFileSet { files, .. }) = self.source else { return Ok(None) };
        if rows.items.is_none() {
            let data =
                root.data().map_err(|words| here(RowFileError::parser(words, line, None)))?;
            let row = LocatedRow::plain(RowContent::Data(data), self.opened - 1, line);
            let doc = match (&row.row, self.options.around) {
                (RowContent::Data(data), true) => Some(Arc::new(data.clone())),
                _ => None,
            };
            return Ok(Some(LocatedRow { doc, ..row }));
        }
        let items = self.items(root, &files[self.opened - 1], rows).map_err(here)?;
        let items: Vec<LocatedRow> =
            items.into_iter().map(|row| LocatedRow { line, ..row }).collect();
        self.pending = items.into_iter();
        Ok(self.pending.next())
    }
}

fn csv_error(error: &csv::Error) -> RowFileError {
    let line = error.position().map_or(1, |p| p.line() as u32);
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            let words = format!("cell {} of the row is not UTF-8", err.field() + 1);
            // The parser has taken the whole row, so the next one can still be read.
            RowFileError { ends_file: false, ..RowFileError::parser(words, line, None) }
        }
        csv::ErrorKind::Io(error) => RowFileError::parser(error.to_string(), line, None),
        _ => RowFileError::parser(error.to_string(), line, None),
    }
}

fn no_list(none: MissingList, file: &RowFile, asked: bool) -> RowFileError {
    let words = match asked {
        true => format!("`items` found no list at `{}` in {}", none.path, file.name),
        false => format!("{} is no list of rows", file.name),
    };
    let keys = match none.keys.as_slice() {
        [] => None,
        keys => Some(format!("keys there: {}", keys.join(", "))),
    };
    let say = "say with `items` where the rows are, e.g. `items = \"resources[*]\"`";
    let help = match (asked, keys) {
        (true, keys) => keys,
        (false, None) => Some(say.to_owned()),
        (false, Some(keys)) => Some(format!("{say}; {keys}")),
    };
    let (code, column) = ("M0404", None);
    RowFileError { code, words, line: none.line, column, help, ends_file: true }
}

impl LocatedRow {
    fn plain(row: RowContent, file: usize, line: u32) -> LocatedRow {
        LocatedRow { row, parent: None, doc: None, file, line }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{file_format, parse_items};
    use super::*;
    use crate::mapping::data::NestedValue;
    use std::io::Write;
    use std::path::Path;

    const AROUND: ReadOptions =
        ReadOptions { max_age: None, now: SystemTime::UNIX_EPOCH, around: true };

    fn source(folder: &Path, files: &[(&str, &[u8])], items: Option<&str>) -> RowSource {
        let file = |(name, bytes): &(&str, &[u8])| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            RowFile { format: file_format(&path, None).unwrap(), name: (*name).to_owned(), path }
        };
        RowSource::Files(RowFileSet {
            files: files.iter().map(file).collect(),
            items: items.map(|i| parse_items(i).unwrap()),
            columns: None,
            delimiter: None,
        })
    }

    /// `file:line value of x`, or the fault.
    fn read(files: &[(&str, &[u8])], items: Option<&str>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path(), files, items);
        let mut reader = RowReader::open(&source, &AROUND);
        let mut told = Vec::new();
        while let Some(row) = reader.next() {
            told.push(match row {
                Ok(row) => {
                    let x = match &row.row {
                        RowContent::Cells(cells) => cells[reader.columns()["x"]].to_owned(),
                        RowContent::Data(data) => match data.member("x") {
                            Some(NestedValue::Text(text)) => text.clone(),
                            other => format!("{other:?}"),
                        },
                    };
                    format!("{}:{} {x}", row.file, row.line)
                }
                Err(fault) => {
                    let (line, column) = fault.place();
                    format!("{} {line}:{column} {}", fault.code, fault.message)
                }
            });
        }
        told
    }

    #[test]
    fn files_of_all_formats_are_read_one_after_the_other() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a\tx\n1\tg\n").unwrap();
        let zstd = zstd::encode_all(&b"[{\"x\":\n\"z\"},\n{\"x\":\"y\"}]"[..], 1).unwrap();
        let files: [(&str, &[u8]); 5] = [
            ("a.csv", b"\xEF\xBB\xBFx,y\n\"a\nb\",1\nc,2\n"),
            ("b.tsv.gz", &gzip.finish().unwrap()),
            ("c.json.zst", &zstd),
            ("d.ndjson", b"{\"x\":\"n\"}\r\n\n{\"x\":\"m\"}"),
            ("e.yaml", b"- x: p\n- x: q\n"),
        ];
        let expected =
            ["0:2 a\nb", "0:4 c", "1:2 g", "2:1 z", "2:3 y", "3:1 n", "3:3 m", "4:1 p", "4:2 q"];
        assert_eq!(read(&files, None), expected);
    }

    #[test]
    fn items_are_found_in_each_document() {
        let files: [(&str, &[u8]); 3] = [
            ("a.yaml", b"r:\n- x: a\n---\nr: []\n"),
            ("b.ndjson", b"{\"r\":[]}\n{\"r\":[{\"x\":\"b\"},{\"x\":\"c\"}]}\n"),
            ("c.toml", b"[[r]]\nx = 'd'\n"),
        ];
        assert_eq!(read(&files, Some("r[*]")), ["0:2 a", "1:2 b", "1:2 c", "2:1 d"]);
    }

    #[test]
    fn any_number_of_lines_without_items_may_follow_each_other() {
        let mut lines = "{\"r\":[]}\n".repeat(200_000);
        lines.push_str("{\"r\":[{\"x\":\"last\"}]}\n");
        let files: [(&str, &[u8]); 1] = [("a.ndjson", lines.as_bytes())];
        assert_eq!(read(&files, Some("r[*]")), ["0:200001 last"]);
    }

    #[test]
    fn faults_say_where_and_the_rest_is_read() {
        let files: [(&str, &[u8]); 6] = [
            ("a.csv", b"x,y\n1,2,3\n4,5\n"),
            ("b.csv", b"x,y\n\xFF,2\n6,7\n"),
            ("c.json", b"[{\"x\":1},\n}"),
            ("d.json", b"{\"rows\": []}"),
            ("e.ndjson", b"{\n{\"x\":\"8\"}\n"),
            ("f.csv", b"x,x\n1,2\n"),
        ];
        let expected = [
            "M0402 2:1 row has 3 fields, the header has 2",
            "0:3 4",
            "M0403 2:1 b.csv: cell 1 of the row is not UTF-8",
            "1:3 6",
            "M0403 2:1 c.json: expected value",
            "M0404 1:1 d.json is no list of rows",
            "M0403 1:1 e.ndjson: EOF while parsing an object",
            "4:2 8",
            "M0403 1:1 f.csv: the column `x` stands twice in the header",
        ];
        assert_eq!(read(&files, None), expected);
    }

    #[test]
    fn old_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path(), &[("a.csv", b"x\n1\n")], None);
        let now = SystemTime::now() + Duration::from_secs(3 * 86_400);
        let options = |hours: u64| ReadOptions {
            max_age: Some(Duration::from_secs(hours * 3600)),
            now,
            around: false,
        };
        let fault = RowReader::open(&source, &options(36)).next().unwrap().unwrap_err();
        assert_eq!(
            (fault.code, fault.message.as_str()),
            ("M0405", "a.csv is 3 days old; `max_age` is 36 hours")
        );
        assert!(RowReader::open(&source, &options(100)).next().unwrap().is_ok());
    }

    #[test]
    fn columns_can_be_named_and_delimited() {
        let folder = tempfile::tempdir().unwrap();
        let RowSource::Files(rows) = source(folder.path(), &[("a.csv", b"1;2\n3;4;5\n")], None)
        else {
            panic!("files")
        };
        let columns = Some(vec!["x".to_owned(), "y".to_owned()]);
        let source = RowSource::Files(RowFileSet { columns, delimiter: Some(b';'), ..rows });
        let mut reader = RowReader::open(&source, &AROUND);
        assert_eq!(reader.next().unwrap().unwrap().line, 1);
        assert_eq!(reader.columns()["y"], 1);
        let fault = reader.next().unwrap().unwrap_err();
        assert_eq!(fault.message, "row has 3 fields, `columns` names 2");
    }
}
