//! Rows of cells: CSV and TSV as programs and spreadsheets write them.
//!
//! The parser of CSV is a library. This module adds what it leaves open: lines before the header, the
//! delimiter where the file shows it, the line that a row begins on, and a quote that is never closed.

use super::files::open;
use super::format::RowEncoding;
use super::open_quotes::{InputFacts, QuoteWatch};
use super::reader::RowFileError;
use super::{RowFile, RowFileSet};
use std::io::{BufRead, BufReader, Read};
use std::rc::Rc;

/// Reads rows of cells.
pub(super) struct CellReader {
    cells: csv::Reader<QuoteWatch<Box<dyn Read>>>,
    facts: Rc<InputFacts>,
    names: Vec<String>,
    /// True if `columns` gave the names, and false if the header did.
    given: bool,
    width: Option<usize>,
    /// Lines before those that the parser sees.
    before: u32,
}

/// The most bytes that are looked at to find the delimiter.
const PEEK: usize = 1 << 16;

impl CellReader {
    /// Opens a file and reads its header.
    pub(super) fn open(file: &RowFile, rows: &RowFileSet) -> Result<CellReader, RowFileError> {
        let RowEncoding::Cells(usual) = file.format.format else {
            return Err(RowFileError::parser("not a file of cells", 1, None));
        };
        let mut input = BufReader::with_capacity(PEEK, open(file)?);
        let mut before = 0;
        let mut skipped = Vec::new();
        for _ in 0..rows.skip {
            input.by_ref().take(PEEK as u64 * 64).read_until(b'\n', &mut skipped)?;
            skipped.clear();
            before += 1;
        }
        let mut delimiter = rows.delimiter.unwrap_or(usual);
        let mut first = Vec::new();
        input.by_ref().take(PEEK as u64).read_until(b'\n', &mut first)?;
        let line = String::from_utf8_lossy(&first).into_owned();
        // Excel writes such a line, and reads the file by it.
        if let Some(sign) = line.strip_prefix("sep=").and_then(|sign| sign.bytes().next()) {
            first.clear();
            before += 1;
            delimiter = rows.delimiter.unwrap_or(sign);
        } else if rows.delimiter.is_none() && usual == b',' {
            delimiter = shown_delimiter(line.trim_end());
        }
        let input: Box<dyn Read> = Box::new(std::io::Cursor::new(first).chain(input));
        let (watch, facts) = QuoteWatch::new(input, delimiter, before + 1);
        let mut cells = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(rows.columns.is_none())
            .comment(rows.comment)
            // A row of the wrong width is a fault with its own line, so the parser lets it pass.
            .flexible(true)
            .from_reader(watch);
        let names: Vec<String> = match &rows.columns {
            Some(names) => names.clone(),
            None => {
                let header = cells.headers().map_err(|e| csv_error(&e, before))?;
                header.iter().map(|name| name.trim().to_owned()).collect()
            }
        };
        let width = (!names.is_empty()).then_some(names.len());
        let given = rows.columns.is_some();
        Ok(CellReader { cells, facts, names, given, width, before })
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The line of the header.
    pub(super) fn header_line(&self) -> u32 {
        self.before + 1
    }

    /// The next row and the line that it begins on; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(csv::StringRecord, u32)>, RowFileError> {
        let mut record = csv::StringRecord::new();
        let more = self.cells.read_record(&mut record).map_err(|e| csv_error(&e, self.before))?;
        if let Some(line) = self.facts.open_quote().filter(|_| self.facts.ended()) {
            let words = format!("a quote opened on line {line} is never closed");
            return Err(RowFileError {
                help: Some("close the quote, or write two quotes for one inside of a cell".into()),
                ..RowFileError::parser(words, line, None)
            });
        }
        if !more {
            return Ok(None);
        }
        let line = self.line_of(&record);
        let expected = *self.width.get_or_insert(record.len());
        if record.len() != expected {
            let (by, has) = match self.given {
                true => ("`columns`", "names"),
                false => ("the header", "has"),
            };
            let words = format!("row has {} fields, {by} {has} {expected}", record.len());
            return Err(RowFileError {
                code: "M0402",
                words,
                line,
                column: Some(1),
                help: None,
                ends_file: false,
            });
        }
        Ok(Some((record, line)))
    }

    /// The line that a row begins on. The parser tells the line behind a row; its own line of the
    /// beginning is wrong behind blank lines.
    fn line_of(&self, record: &csv::StringRecord) -> u32 {
        let position = self.cells.position();
        let inside: usize = record.iter().map(|cell| cell.matches('\n').count()).sum();
        // The last row of a file may have no line end.
        let ended = self.facts.ended()
            && position.byte() >= self.facts.bytes()
            && !self.facts.ends_with_line();
        self.before + position.line() as u32 - inside as u32 - u32::from(!ended)
    }
}

/// The delimiter that a first line shows: a comma, unless it has none and has another.
fn shown_delimiter(line: &str) -> u8 {
    let mut quoted = false;
    let mut count = [0usize; 4];
    const SIGNS: [char; 4] = [',', ';', '\t', '|'];
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            c if !quoted => {
                if let Some(at) = SIGNS.iter().position(|sign| *sign == c) {
                    count[at] += 1;
                }
            }
            _ => {}
        }
    }
    let best = (1..SIGNS.len()).max_by_key(|&at| (count[at], SIGNS.len() - at));
    match best {
        Some(at) if count[0] == 0 && count[at] > 0 => SIGNS[at] as u8,
        _ => b',',
    }
}

/// The fault of a row that the parser cannot read.
pub(super) fn csv_error(error: &csv::Error, before: u32) -> RowFileError {
    let line = before + error.position().map_or(1, |p| p.line() as u32);
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
