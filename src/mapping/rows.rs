//! Where rows come from: files of cells, JSON, or tables in the mapping itself.

use super::data::{Columns, Data, Row};
use crate::lang::{Fault, Source};
use serde_json::value::RawValue;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// How a file of rows is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Cells(u8),
    Json,
    Lines,
}

/// The format with this name or extension.
pub(super) fn data_format(name: &str) -> Option<Format> {
    match name {
        "csv" => Some(Format::Cells(b',')),
        "tsv" => Some(Format::Cells(b'\t')),
        "json" => Some(Format::Json),
        "ndjson" | "jsonl" => Some(Format::Lines),
        _ => None,
    }
}

/// The rows of a mapping.
#[derive(Clone, Debug)]
pub(super) enum RowSource {
    Inline { rows: Vec<(u32, Data)>, shown: String },
    File { path: PathBuf, written: String, format: Format },
}

impl RowSource {
    /// Whether the columns are known beforehand.
    pub(super) fn has_header(&self) -> bool {
        matches!(self, RowSource::File { format: Format::Cells(_), .. })
    }

    /// The file of the rows, for people.
    pub(super) fn shown(&self) -> String {
        match self {
            RowSource::Inline { shown, .. } => shown.clone(),
            RowSource::File { path, .. } => path.display().to_string(),
        }
    }

    /// The file as the mapping writes it.
    pub(super) fn written(&self) -> &str {
        match self {
            RowSource::Inline { shown, .. } => shown,
            RowSource::File { written, .. } => written,
        }
    }

    /// A fault in a line of the data; line 0 when unknown.
    pub(super) fn fault(&self, code: &'static str, message: String, line: u32) -> Fault {
        let file = std::fs::File::open(self.shown()).ok();
        let lines = file.map(|f| BufReader::new(f).lines());
        let number = (line.max(1) - 1) as usize;
        let text = lines.and_then(|mut l| l.nth(number)?.ok()).unwrap_or_default();
        let end = text.len();
        Fault::error(code, &Source::line(self.shown(), text, number + 1), message).at(0..end, "")
    }
}

type Cells = csv::Reader<Box<dyn Read>>;

fn cells(path: &PathBuf, delimiter: u8) -> std::io::Result<Cells> {
    let mut file = BufReader::new(std::fs::File::open(path)?);
    // Spreadsheets write a byte order mark, which would become part of the first column's name.
    if file.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        file.consume(3);
    }
    Ok(csv::ReaderBuilder::new().delimiter(delimiter).from_reader(Box::new(file)))
}

/// The columns of a file of cells; `None` if it has no readable header.
pub(super) fn columns_of(rows: &RowSource) -> Option<Columns> {
    let RowSource::File { path, format: Format::Cells(delimiter), .. } = rows else { return None };
    let mut reader = cells(path, *delimiter).ok()?;
    let header = reader.headers().ok()?;
    Some(header.iter().enumerate().map(|(i, name)| (name.to_owned(), i)).collect())
}

/// Reads rows one after the other.
pub(super) enum Reader {
    Cells(Cells),
    Lines(std::io::Lines<BufReader<std::fs::File>>, u32),
    List(std::vec::IntoIter<(u32, Data)>),
    Failed(Option<Fault>),
}

impl Reader {
    pub(super) fn open(rows: &RowSource) -> Reader {
        let opened = match rows {
            RowSource::Inline { rows, .. } => Ok(Reader::List(rows.clone().into_iter())),
            RowSource::File { path, format: Format::Cells(d), .. } => {
                cells(path, *d).map(Reader::Cells)
            }
            RowSource::File { path, format: Format::Lines, .. } => {
                std::fs::File::open(path).map(|f| Reader::Lines(BufReader::new(f).lines(), 0))
            }
            RowSource::File { path, format: Format::Json, .. } => {
                std::fs::read_to_string(path).map(|text| json_list(rows, &text))
            }
        };
        opened.unwrap_or_else(|e| Reader::Failed(Some(broken(rows, &e.to_string(), 0))))
    }

    pub(super) fn next(&mut self, rows: &RowSource) -> Option<Result<(u32, Row), Fault>> {
        match self {
            Reader::Cells(reader) => next_cells(reader, rows),
            Reader::Lines(lines, at) => loop {
                *at += 1;
                let line = match lines.next()? {
                    Ok(line) if line.trim().is_empty() => continue,
                    Ok(line) => line,
                    Err(e) => return Some(Err(broken(rows, &e.to_string(), *at))),
                };
                let data = serde_json::from_str(&line).and_then(Data::from_json);
                let row = data.map(|d| (*at, Row::Data(d)));
                return Some(row.map_err(|e| broken(rows, &e.to_string(), *at)));
            },
            Reader::List(items) => items.next().map(|(line, data)| Ok((line, Row::Data(data)))),
            Reader::Failed(fault) => fault.take().map(Err),
        }
    }
}

fn broken(rows: &RowSource, words: &str, line: u32) -> Fault {
    rows.fault("M0403", format!("{}: {words}", rows.written()), line)
}

fn next_cells(reader: &mut Cells, rows: &RowSource) -> Option<Result<(u32, Row), Fault>> {
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(false) => None,
        Ok(true) => {
            let line = record.position().map_or(0, |p| p.line() as u32);
            Some(Ok((line, Row::Cells(record))))
        }
        Err(error) => {
            let line = error.position().map_or(0, |p| p.line() as u32);
            Some(Err(match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    let words = format!("row has {len} fields, the header has {expected_len}");
                    rows.fault("M0402", words, line)
                }
                _ => broken(rows, &error.to_string(), line),
            }))
        }
    }
}

/// The rows of a JSON document, which is a list; lines are those the rows begin on.
fn json_list(rows: &RowSource, text: &str) -> Reader {
    let fail =
        |e: serde_json::Error| Reader::Failed(Some(broken(rows, &e.to_string(), e.line() as u32)));
    let items: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(items) => items,
        Err(error) => return fail(error),
    };
    let (mut line, mut at) = (1u32, 0);
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        let start = item.get().as_ptr() as usize - text.as_ptr() as usize;
        line += text.as_bytes()[at..start].iter().filter(|&&b| b == b'\n').count() as u32;
        at = start;
        match Data::from_json(item) {
            Ok(data) => list.push((line, data)),
            Err(error) => return fail(error),
        }
    }
    Reader::List(list.into_iter())
}
