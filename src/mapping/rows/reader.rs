//! Reading documents of rows from their source, with the faults of the data.

use super::cells::CellReader;
use super::files::{digest, open, read_document};
use super::format::RowEncoding;
use super::json::{JsonListError, JsonListReader, plain_words};
use super::ldif::BlockReader;
use super::raw_document::{INLINE_WEIGHT, RawContent, RawDocument, line_text};
use super::sheet::{SheetRow, read_sheet};
use super::tree::{DocumentError, read_toml, read_yaml};
use super::xml::read_xml;
use super::{ColumnPositions, RowContent, RowDocument, RowFile, RowFileSet, RowSource};
use crate::lang::{Diagnostic, LineIndex, NestedValue};
use crate::mapping::format::format_age;
use serde_json::value::RawValue;
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
    /// True if any expression asks for what is around a row, so that lists are read whole.
    pub around: bool,
}

/// A fault in a file of rows.
pub(super) struct RowFileError {
    pub code: &'static str,
    pub words: String,
    pub line: u32,
    pub column: Option<usize>,
    pub help: Option<String>,
    /// True if the rest of the file cannot be read.
    pub ends_file: bool,
}

impl RowFileError {
    /// A fault of the parser. It ends the file, and its message gets the name of the file.
    pub(super) fn parser(
        words: impl Into<String>,
        line: u32,
        column: Option<usize>,
    ) -> RowFileError {
        let words = words.into();
        RowFileError { code: "M0403", words, line, column, help: None, ends_file: true }
    }

    pub(super) fn fault(self, file: &RowFile) -> Diagnostic {
        let words = match self.code {
            "M0403" => format!("{}: {}", file.name, self.words),
            _ => self.words,
        };
        let encoding = words.ends_with("not UTF-8").then_some(
            "if the file has another encoding, say it beside it, e.g. encoding = \"windows-1252\"",
        );
        let fault = file.fault(self.code, words, self.line, self.column);
        match self.help.as_deref().or(encoding) {
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

impl From<JsonListError> for RowFileError {
    fn from(trouble: JsonListError) -> RowFileError {
        RowFileError::parser(trouble.words, trouble.line, None)
    }
}

/// Reads the documents of a source one after the other, file after file.
pub(in crate::mapping) struct RowReader<'s> {
    source: &'s RowSource,
    options: ReadOptions,
    /// The number of files opened so far; of inline rows, the number of rows read.
    opened: usize,
    open: OpenRowFile,
    columns: Arc<ColumnPositions>,
    digests: Vec<(String, String)>,
    passed_over: PassedOver,
}

/// Lines that did not fit the pattern of a file of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::mapping) struct PassedOver {
    pub lines: u64,
    /// The first of them, as `file:line`.
    pub first: String,
}

/// The file that is being read.
enum OpenRowFile {
    None,
    Cells(Box<CellReader>),
    Lines {
        lines: BufReader<Box<dyn Read>>,
        line: u32,
        json: bool,
    },
    List(JsonListReader<BufReader<Box<dyn Read>>>),
    Blocks {
        lines: BufReader<Box<dyn Read>>,
        line: u32,
        block: BlockReader,
    },
    /// Documents, and the bytes that one of them has on average.
    Documents(std::vec::IntoIter<(NestedValue, u32)>, usize),
    Sheet {
        rows: std::vec::IntoIter<SheetRow>,
        width: usize,
    },
}

/// Bytes that most lines fit.
const LINE: usize = 256;

/// The largest size in bytes of a line.
const LINE_MAX: u64 = 64 << 20;

/// The names of the columns, in the order of the file; `None` if rows may have any.
pub(in crate::mapping) fn columns_of(rows: &RowSource) -> Option<Vec<String>> {
    let rows = match rows {
        RowSource::Files(rows) => rows,
        RowSource::Query(query) => return query.columns().map(<[String]>::to_vec),
        RowSource::Inline { .. } | RowSource::Entities { .. } => return None,
    };
    // Rows inside of a cell have columns of their own.
    if rows.files.is_empty() || !rows.items.is_empty() {
        return None;
    }
    let mut all: Vec<String> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for file in &rows.files {
        let names = match file.format.format {
            RowEncoding::Cells(_) | RowEncoding::Lines if rows.columns.is_some() => {
                rows.columns.clone()?
            }
            RowEncoding::Cells(_) => CellReader::open(file, rows).ok()?.names().to_vec(),
            RowEncoding::Lines => pattern_columns(rows),
            RowEncoding::Sheet => read_sheet(file, rows.sheet.as_deref())
                .ok()?
                .into_iter()
                .nth(rows.skip as usize)
                .map(|(_, cells)| cells)?,
            _ => return None,
        };
        // A column may be in any of several files; in the rows of a file without it, it is undefined.
        for name in names {
            if known.insert(name.clone()) {
                all.push(name);
            }
        }
    }
    Some(all)
}

/// The names of the groups of a pattern, in their order.
fn pattern_columns(rows: &RowFileSet) -> Vec<String> {
    let names = rows.pattern.iter().flat_map(|pattern| pattern.capture_names().flatten());
    names.map(str::to_owned).collect()
}

impl<'s> RowReader<'s> {
    pub(in crate::mapping) fn open(source: &'s RowSource, options: &ReadOptions) -> RowReader<'s> {
        RowReader {
            source,
            options: *options,
            opened: 0,
            open: OpenRowFile::None,
            columns: Arc::default(),
            digests: Vec::new(),
            passed_over: PassedOver::default(),
        }
    }

    /// The columns of the file that the last document came from.
    pub(in crate::mapping) fn columns(&self) -> &ColumnPositions {
        &self.columns
    }

    /// The same for whoever goes on with the document elsewhere.
    pub(in crate::mapping) fn shared_columns(&self) -> Arc<ColumnPositions> {
        Arc::clone(&self.columns)
    }

    /// The lines that did not fit the pattern so far.
    pub(in crate::mapping) fn passed_over(&self) -> &PassedOver {
        &self.passed_over
    }

    /// The files that were read so far, each with the digest of its bytes.
    pub(in crate::mapping) fn digests(self) -> Vec<(String, String)> {
        self.digests
    }

    /// The next document, or a fault of the data; after a fault the rest may still be read.
    pub(in crate::mapping) fn next(&mut self) -> Option<Result<RowDocument, Diagnostic>> {
        loop {
            match self.next_raw()? {
                Err(fault) => return Some(Err(fault)),
                Ok(raw) => match raw.read(self.source) {
                    None => {}
                    Some(Ok(document)) => return Some(Ok(document)),
                    Some(Err(fault)) => return Some(Err(fault.diagnostic(self.source))),
                },
            }
        }
    }

    /// The next document as it was written, or a fault of the data.
    pub(in crate::mapping) fn next_raw(&mut self) -> Option<Result<RawDocument, Diagnostic>> {
        let rows = match self.source {
            RowSource::Files(rows) => rows,
            RowSource::Inline { rows, .. } => {
                let (line, data) = rows.get(self.opened)?;
                self.opened += 1;
                let content = RawContent::Read(RowContent::Data(data.clone()));
                let (position, file, weight) = (None, 0, INLINE_WEIGHT);
                return Some(Ok(RawDocument { content, position, file, line: *line, weight }));
            }
            // Rows of the graph are fetched before any are read.
            RowSource::Entities { .. } | RowSource::Query(_) => return None,
        };
        loop {
            let next = match self.open {
                OpenRowFile::None => {
                    let file = rows.files.get(self.opened)?;
                    self.opened += 1;
                    self.open_file(file, rows).map(|()| None)
                }
                _ => self.next_document(rows).inspect(|row| {
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
        self.columns = Arc::default();
        self.open = match file.format.format {
            RowEncoding::Cells(_) => {
                let cells = CellReader::open(file, rows)?;
                self.take_columns(cells.names(), rows.columns.is_some(), cells.header_line())?;
                OpenRowFile::Cells(Box::new(cells))
            }
            RowEncoding::Sheet => {
                let all = read_sheet(file, rows.sheet.as_deref())
                    .map_err(|words| RowFileError::parser(words, 1, None))?;
                let mut all =
                    all.into_iter().skip(rows.skip as usize).collect::<Vec<_>>().into_iter();
                let names = match &rows.columns {
                    Some(names) => names.clone(),
                    None => all.next().map_or_else(Vec::new, |(_, cells)| cells),
                };
                self.take_columns(&names, rows.columns.is_some(), 1)?;
                OpenRowFile::Sheet { rows: all, width: names.len() }
            }
            encoding @ (RowEncoding::JsonLines | RowEncoding::Lines | RowEncoding::Ldif) => {
                let json = encoding == RowEncoding::JsonLines;
                if encoding == RowEncoding::Lines {
                    self.take_columns(&pattern_columns(rows), true, 1)?;
                }
                let mut lines = BufReader::new(open(file)?);
                let mut skipped = Vec::new();
                for _ in 0..rows.skip {
                    lines.by_ref().take(LINE_MAX).read_until(b'\n', &mut skipped)?;
                    skipped.clear();
                }
                let line = rows.skip as u32;
                match encoding {
                    RowEncoding::Ldif => {
                        OpenRowFile::Blocks { lines, line, block: BlockReader::default() }
                    }
                    _ => OpenRowFile::Lines { lines, line, json },
                }
            }
            RowEncoding::Json => self.open_json(file)?,
            encoding => {
                let text = read_document(file)?;
                let all = match encoding {
                    RowEncoding::Yaml => read_yaml(&text)?,
                    RowEncoding::Toml => vec![read_toml(&text)?],
                    _ => vec![read_xml(&text)?],
                };
                documents(all, text.len())
            }
        };
        Ok(())
    }

    fn take_columns(
        &mut self,
        names: &[String],
        given: bool,
        line: u32,
    ) -> Result<(), RowFileError> {
        let columns = Arc::make_mut(&mut self.columns);
        for (name, i) in names.iter().zip(0..) {
            if columns.insert(name.clone(), i).is_some() && !name.is_empty() {
                let by = if given { "`columns`" } else { "the header" };
                let words = format!("the column `{name}` stands twice in {by}");
                return Err(RowFileError::parser(words, line, None));
            }
        }
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

    /// Opens a file of JSON: a list is read element by element, unless its rows ask for all of it.
    fn open_json(&self, file: &RowFile) -> Result<OpenRowFile, RowFileError> {
        if !self.options.around {
            let mut input = BufReader::with_capacity(1 << 16, open(file)?);
            let chunk = input.fill_buf()?;
            if chunk.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
                return Ok(OpenRowFile::List(JsonListReader::new(input)));
            }
        }
        let text = read_document(file)?;
        let lines = LineIndex::of(&text, 1);
        let mut found = Vec::new();
        // Documents may follow each other without anything between them.
        for document in serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>() {
            let raw = document.map_err(|e| {
                RowFileError::parser(plain_words(&e), e.line() as u32, Some(e.column()))
            })?;
            let at = raw.get().as_ptr() as usize - text.as_ptr() as usize;
            let line = lines.line(at);
            let data = NestedValue::from_json_part(&text, raw, &lines)
                .map_err(|e| RowFileError::parser(plain_words(&e), line, None))?;
            found.push((data, line));
        }
        if found.is_empty() {
            return Err(RowFileError::parser("the file is empty", 1, None));
        }
        let weight = text.len() / found.len();
        Ok(OpenRowFile::Documents(found.into_iter(), weight))
    }

    /// The next document of the open file; `None` at its end.
    fn next_document(&mut self, rows: &RowFileSet) -> Result<Option<RawDocument>, RowFileError> {
        let file = self.opened - 1;
        let document = |content, line, weight| {
            let position = None;
            RawDocument { content, position, file, line, weight }
        };
        let cells = |record: csv::StringRecord, line| {
            let weight = record.as_slice().len();
            document(RawContent::Read(RowContent::Cells(record)), line, weight)
        };
        match &mut self.open {
            OpenRowFile::None => Ok(None),
            OpenRowFile::Cells(reader) => {
                let next = reader.next()?;
                Ok(next.map(|(record, line)| cells(record, line)))
            }
            OpenRowFile::Sheet { rows, width } => Ok(rows.next().map(|(line, mut row)| {
                row.resize((*width).max(row.len()), String::new());
                cells(row.into(), line)
            })),
            OpenRowFile::Documents(documents, weight) => {
                let weight = *weight;
                let next = documents.next();
                Ok(next.map(|(data, line)| {
                    document(RawContent::Read(RowContent::Data(data)), line, weight)
                }))
            }
            OpenRowFile::List(list) => Ok(list.next()?.map(|element| {
                let weight = element.bytes.len();
                let content = RawContent::Element(element.bytes);
                let document = document(content, element.line, weight);
                RawDocument { position: element.position, ..document }
            })),
            OpenRowFile::Blocks { lines, line, block } => {
                Ok(next_block(lines, line, block)?.map(|(data, line, weight)| {
                    document(RawContent::Read(RowContent::Data(data)), line, weight)
                }))
            }
            OpenRowFile::Lines { lines, line, json: true } => {
                Ok(next_line(lines, line)?.map(|bytes| {
                    let weight = bytes.len();
                    document(RawContent::Line(bytes), *line, weight)
                }))
            }
            OpenRowFile::Lines { lines, line, .. } => {
                while let Some(bytes) = next_line(lines, line)? {
                    let Some(text) = line_text(&bytes, *line, rows)? else { continue };
                    if let Some(record) = rows.pattern.as_ref().and_then(|p| taken_apart(p, text)) {
                        return Ok(Some(cells(record, *line)));
                    }
                    self.passed_over.lines += 1;
                    if self.passed_over.first.is_empty() {
                        self.passed_over.first = format!("{}:{line}", rows.files[file].name);
                    }
                }
                Ok(None)
            }
        }
    }
}

/// The next line and its number; `None` at the end of the file.
fn next_line(
    lines: &mut BufReader<Box<dyn Read>>,
    line: &mut u32,
) -> Result<Option<Vec<u8>>, RowFileError> {
    let mut bytes = Vec::with_capacity(LINE);
    // A file without a line end must not be read into memory as a whole.
    if lines.by_ref().take(LINE_MAX + 1).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    *line += 1;
    match bytes.len() as u64 > LINE_MAX {
        true => Err(RowFileError::parser("the line is longer than 64 MiB", *line, None)),
        false => Ok(Some(bytes)),
    }
}

/// The next block of lines, the line that it begins on, and about the number of its bytes.
fn next_block(
    lines: &mut BufReader<Box<dyn Read>>,
    line: &mut u32,
    block: &mut BlockReader,
) -> Result<Option<(NestedValue, u32, usize)>, RowFileError> {
    let broken = |(words, line): (String, u32)| RowFileError {
        ends_file: false,
        ..RowFileError::parser(words, line, None)
    };
    let mut weight = 0;
    loop {
        let next = next_line(lines, line)?;
        let ended = next.is_none();
        let done = match next {
            None => block.end(),
            Some(bytes) => {
                weight += bytes.len();
                let text = std::str::from_utf8(&bytes).map_err(|error| {
                    let at = error.valid_up_to();
                    broken((format!("byte {at} of the line is not UTF-8"), *line))
                })?;
                block.line(text.trim_end_matches(['\n', '\r']), *line)
            }
        };
        match done.map_err(broken)? {
            Some(data) => {
                let line = if let NestedValue::Object(object) = &data { object.line } else { 0 };
                return Ok(Some((data, line, weight)));
            }
            None if ended => return Ok(None),
            None => {}
        }
    }
}

fn documents(all: Vec<NestedValue>, bytes: usize) -> OpenRowFile {
    let weight = bytes / all.len().max(1);
    let numbered = all.into_iter().zip(1..).map(|(data, number)| {
        let line = match &data {
            NestedValue::Object(object) if object.line > 0 => object.line,
            _ => number,
        };
        (data, line)
    });
    // A document without a value, such as the one behind a last `---`, has no rows.
    OpenRowFile::Documents(
        numbered.filter(|(data, _)| *data != NestedValue::Null).collect::<Vec<_>>().into_iter(),
        weight,
    )
}

/// The named groups of a pattern in a line, as cells.
fn taken_apart(pattern: &regex::Regex, text: &str) -> Option<csv::StringRecord> {
    let groups = pattern.captures(text)?;
    let named = pattern.capture_names().flatten();
    Some(named.map(|name| groups.name(name).map_or("", |found| found.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{FrameContent, ItemContext, RowFrame, each_row};
    use super::*;
    use crate::mapping::expression::{MappingExpr, PathRoot};
    use std::io::Write;
    use std::path::Path;

    const AROUND: ReadOptions =
        ReadOptions { max_age: None, now: SystemTime::UNIX_EPOCH, around: true };

    fn source(folder: &Path, files: &[(&str, &[u8])], items: Option<&str>) -> RowSource {
        let file = |(name, bytes): &(&str, &[u8])| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            RowFile::new(path, (*name).to_owned(), None).unwrap()
        };
        let items = items.map(|text| crate::lang::parse_items(text, PathRoot::Row).0);
        RowSource::Files(RowFileSet {
            files: files.iter().map(file).collect(),
            items: items.into_iter().collect(),
            ..RowFileSet::default()
        })
    }

    /// Paths without conditions and calls.
    struct PlainPaths;

    impl ItemContext for PlainPaths {
        fn keeps(&self, _: &MappingExpr, _: &RowFrame<'_>, _: &NestedValue) -> bool {
            false
        }

        fn call(&self, _: &MappingExpr, _: &RowFrame<'_>) -> Option<NestedValue> {
            None
        }
    }

    /// `file:line value of x`, or the fault.
    fn read(files: &[(&str, &[u8])], items: Option<&str>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path(), files, items);
        let mut reader = RowReader::open(&source, &AROUND);
        let mut told = Vec::new();
        while let Some(document) = reader.next() {
            match document {
                Ok(document) => {
                    let frame = document.frame(reader.columns());
                    each_row(&frame, source.items(), &PlainPaths, &mut |row| {
                        let x = match row.content {
                            FrameContent::Cells(cells, columns) => cells[columns["x"]].to_owned(),
                            FrameContent::Data(data) => match data.member("x") {
                                Some(NestedValue::Text(text)) => text.clone(),
                                other => format!("{other:?}"),
                            },
                        };
                        told.push(format!("{}:{} {x}", document.file, row.line));
                    });
                }
                Err(fault) => {
                    let (line, column) = fault.place();
                    told.push(format!("{} {line}:{column} {}", fault.code, fault.message));
                }
            }
        }
        told
    }

    #[test]
    fn files_of_all_formats_are_read_one_after_the_other() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a\tx\n1\tg\n").unwrap();
        let zstd = zstd::encode_all(&b"[{\"x\":\n\"z\"},\n{\"x\":\"y\"}]"[..], 1).unwrap();
        let files: [(&str, &[u8]); 6] = [
            ("a.csv", b"\xEF\xBB\xBFx,y\n\"a\nb\",1\nc,2\n"),
            ("b.tsv.gz", &gzip.finish().unwrap()),
            ("c.json.zst", &zstd),
            ("d.ndjson", b"{\"x\":\"n\"}\r\n\n{\"x\":\"m\"}"),
            ("e.yaml", b"- x: p\n- x: q\n"),
            ("f.ldif", b"x: s\n t\n\nx:: dQ==\n"),
        ];
        let expected = [
            "0:2 a\nb", "0:4 c", "1:2 g", "2:1 z", "2:3 y", "3:1 n", "3:3 m", "4:1 p", "4:2 q",
            "5:1 st", "5:4 u",
        ];
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
            ("d.json", b"{\"x\": \"one document\"}"),
            ("e.ndjson", b"{\n{\"x\":\"8\"}\n"),
            ("f.csv", b"x,x\n1,2\n"),
        ];
        let expected = [
            "M0402 2:1 row has 3 fields, the header has 2",
            "0:3 4",
            "M0403 2:1 b.csv: cell 1 of the row is not UTF-8",
            "1:3 6",
            "M0403 2:1 c.json: expected value",
            "3:1 one document",
            "M0403 1:1 e.ndjson: EOF while parsing an object",
            "4:2 8",
            "M0403 1:1 f.csv: the column `x` stands twice in the header",
        ];
        assert_eq!(read(&files, None), expected);
    }

    #[test]
    fn an_open_quote_ends_the_file_with_a_fault() {
        let files: [(&str, &[u8]); 2] =
            [("a.csv", b"x,y\r\n1,2\r\n3,\"4\r\n5,6\r\n"), ("b.csv", b"x\n7\n")];
        let expected =
            ["0:2 1", "M0403 3:1 a.csv: a quote opened on line 3 is never closed", "1:2 7"];
        assert_eq!(read(&files, None), expected);
    }

    #[test]
    fn lines_are_those_of_the_file_whatever_ends_them() {
        let files: [(&str, &[u8]); 4] = [
            ("a.csv", b"x,y\r\n1,2\r\n\r\n\"a\r\nb\",4\r\n5,6"),
            ("b.csv", b"x;y\n1;2\n"),
            ("c.csv", b"sep=;\nx;y\n1,5;2\n"),
            ("d.json", b"{\"x\":\"1\"}\n{\"x\":\n\"2\"}"),
        ];
        let expected = ["0:2 1", "0:4 a\r\nb", "0:6 5", "1:2 1", "2:3 1,5", "3:1 1", "3:2 2"];
        assert_eq!(read(&files, None), expected);
    }

    #[test]
    fn paths_open_what_they_say() {
        let json = br#"{"jobs":{"a":{"x":"1","steps":[{"x":"2"},{"x":"3"}]},"b":{"x":"4","steps":{"x":"5"}}}}"#;
        let files: [(&str, &[u8]); 1] = [("a.json", json)];
        assert_eq!(read(&files, Some("jobs.*")), ["0:1 1", "0:1 4"]);
        assert_eq!(read(&files, Some("jobs.*.steps[*]")), ["0:1 2", "0:1 3", "0:1 5"]);
        assert_eq!(read(&files, Some("..steps[*]")), ["0:1 2", "0:1 3", "0:1 5"]);
        assert_eq!(read(&files, Some("jobs.c")), [""; 0]);
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
