//! Tables of cells: records separated by line ends, cells by a delimiter, quotes around what holds
//! either.
//!
//! The reader is strict about quotes, because a quote that is not closed swallows rows: what is
//! missing then would be deleted. It knows the line in which each row begins, whatever ends the
//! lines: `\n`, `\r\n` or `\r`. Cells are given as they are written, without the quotes around them.
//!
//! Source: RFC 4180.

use std::io::{self, Read};

/// Bytes that are read at once.
const READ: usize = 256 << 10;

/// The words of a fault of a table, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFault {
    /// The line, counted from 1.
    pub line: u64,
    /// The message, lower case, without a full stop.
    pub message: String,
}

/// The end of reading a table.
#[derive(Debug)]
pub enum TableError {
    /// The input cannot be read.
    Io(io::Error),
    /// Quotes make no sense, so that nobody knows where the following rows begin.
    Fault(TableFault),
}

impl From<io::Error> for TableError {
    fn from(e: io::Error) -> TableError {
        TableError::Io(e)
    }
}

/// The cells of a row.
#[derive(Clone, Debug, Default)]
pub struct TableRow {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Cells that hold line ends, each with the line in which it is closed.
    tall: Vec<(usize, u64)>,
    line: u64,
}

impl TableRow {
    /// The line in which it begins.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Number of its cells.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if it has no cells.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Its cells; the error is the position of the first one that is not UTF-8.
    pub fn cells(&self) -> Result<impl Iterator<Item = &str>, usize> {
        let text = std::str::from_utf8(&self.text)
            .map_err(|e| self.ends.partition_point(|end| *end <= e.valid_up_to()))?;
        let mut start = 0;
        Ok(self.ends.iter().map(move |end| &text[std::mem::replace(&mut start, *end)..*end]))
    }

    /// Cells that hold line ends: position, and the line in which each is closed.
    pub fn tall(&self) -> &[(usize, u64)] {
        &self.tall
    }

    fn clear(&mut self, line: u64) {
        self.text.clear();
        self.ends.clear();
        self.tall.clear();
        self.line = line;
    }
}

/// Reads a table row by row.
pub struct TableReader<R> {
    input: R,
    delimiter: u8,
    buffer: Vec<u8>,
    at: usize,
    line: u64,
    done: bool,
}

impl<R: Read> TableReader<R> {
    /// Nothing is read yet.
    pub fn new(input: R, delimiter: u8) -> TableReader<R> {
        TableReader { input, delimiter, buffer: Vec::new(), at: 0, line: 1, done: false }
    }

    /// Sets the delimiter of what follows.
    pub fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = delimiter;
    }

    /// The bytes that come next, up to some hundred thousands, and whether they are all.
    pub fn peek(&mut self) -> io::Result<(&[u8], bool)> {
        while !self.done && self.buffer.len() - self.at < READ {
            self.fill()?;
        }
        Ok((&self.buffer[self.at..], self.done))
    }

    /// Passes over the first `len` bytes that come next, which are one line.
    pub fn skip_line(&mut self, len: usize) {
        self.at += len;
        self.line += 1;
    }

    /// Reads the next row, passing over empty lines. False at the end.
    pub fn read(&mut self, row: &mut TableRow) -> Result<bool, TableError> {
        loop {
            match self.next()? {
                None => return Ok(false),
                Some(b'\n' | b'\r') => self.end_line()?,
                Some(_) => break,
            }
        }
        row.clear(self.line);
        loop {
            let more = match self.next()? {
                Some(b'"') => self.quoted(row)?,
                _ => self.plain(row)?,
            };
            if !more {
                return Ok(true);
            }
        }
    }

    /// A cell without quotes. True if another one follows in the row.
    fn plain(&mut self, row: &mut TableRow) -> Result<bool, TableError> {
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(len) = memchr::memchr3(self.delimiter, b'\n', b'\r', rest) {
                row.text.extend_from_slice(&rest[..len]);
                self.at += len;
                return self.end_cell(row);
            }
            row.text.extend_from_slice(rest);
            self.at = self.buffer.len();
            if self.next()?.is_none() {
                return self.end_cell(row);
            }
        }
    }

    /// A cell in quotes; the first one comes next.
    fn quoted(&mut self, row: &mut TableRow) -> Result<bool, TableError> {
        let (opened, start) = (self.line, row.text.len());
        self.at += 1;
        loop {
            let rest = &self.buffer[self.at..];
            match memchr::memchr(b'"', rest) {
                Some(len) => {
                    row.text.extend_from_slice(&rest[..len]);
                    self.at += len + 1;
                    if self.next()? != Some(b'"') {
                        break;
                    }
                    row.text.push(b'"');
                    self.at += 1;
                }
                None => {
                    row.text.extend_from_slice(rest);
                    self.at = self.buffer.len();
                    if self.next()?.is_none() {
                        return Err(fault(
                            opened,
                            format!("the quote opened on line {opened} is never closed"),
                        ));
                    }
                }
            }
        }
        self.line += line_ends(&row.text[start..]);
        if self.line > opened {
            row.tall.push((row.ends.len(), self.line));
        }
        match self.next()? {
            None | Some(b'\n' | b'\r') => {}
            Some(byte) if byte == self.delimiter => {}
            Some(_) => {
                let closed = match self.line {
                    line if line == opened => String::new(),
                    line => format!(" on line {line}"),
                };
                return Err(fault(
                    opened,
                    format!(
                        "the quote opened on line {opened} is closed{closed} and text follows it; \
                         inside a quoted cell a quote is written twice"
                    ),
                ));
            }
        }
        self.end_cell(row)
    }

    /// Ends a cell at what comes next. True if another one follows in the row.
    fn end_cell(&mut self, row: &mut TableRow) -> Result<bool, TableError> {
        row.ends.push(row.text.len());
        match self.next()? {
            None => Ok(false),
            Some(b'\n' | b'\r') => self.end_line().map(|()| false),
            Some(_) => {
                self.at += 1;
                Ok(true)
            }
        }
    }

    /// Passes over the end of a line.
    fn end_line(&mut self) -> Result<(), TableError> {
        let first = self.buffer[self.at];
        self.at += 1;
        if first == b'\r' && self.next()? == Some(b'\n') {
            self.at += 1;
        }
        self.line += 1;
        Ok(())
    }

    /// The byte that comes next; `None` at the end.
    fn next(&mut self) -> io::Result<Option<u8>> {
        while self.at == self.buffer.len() && !self.done {
            self.fill()?;
        }
        Ok(self.buffer.get(self.at).copied())
    }

    /// Reads more behind what was not taken yet.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let read = (&mut self.input).take(READ as u64).read_to_end(&mut self.buffer)?;
        self.done = read == 0;
        Ok(())
    }
}

fn fault(line: u64, message: String) -> TableError {
    TableError::Fault(TableFault { line, message })
}

/// Number of line ends in a text.
fn line_ends(text: &[u8]) -> u64 {
    let alone = |at: usize| text.get(at + 1) != Some(&b'\n');
    let returns = memchr::memchr_iter(b'\r', text).filter(|at| alone(*at)).count();
    (memchr::memchr_iter(b'\n', text).count() + returns) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<String> {
        let mut reader = TableReader::new(text.as_bytes(), b',');
        let (mut row, mut rows) = (TableRow::default(), Vec::new());
        loop {
            match reader.read(&mut row) {
                Ok(false) => return rows,
                Ok(true) => {
                    let cells: Vec<&str> = row.cells().expect("UTF-8").collect();
                    rows.push(format!("{} {}", row.line(), cells.join("|")));
                }
                Err(TableError::Fault(fault)) => {
                    rows.push(format!("{}: {}", fault.line, fault.message));
                    return rows;
                }
                Err(TableError::Io(e)) => panic!("{e}"),
            }
        }
    }

    #[test]
    fn cells_are_kept_to_the_letter() {
        assert_eq!(rows("a,b\n 1.10 ,\"x, \"\"y\"\"\"\n"), ["1 a|b", "2  1.10 |x, \"y\""]);
        assert_eq!(rows("a,,\n,"), ["1 a||", "2 |"]);
        assert_eq!(rows("15\" screen,b"), ["1 15\" screen|b"]);
        assert_eq!(rows("\"\",\"a\r\nb\""), ["1 |a\r\nb"]);
        assert_eq!(rows(""), Vec::<String>::new());
    }

    #[test]
    fn a_row_knows_its_line_whatever_ends_the_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a", "", "\"b", "b\"", "c", "\"d\"x"].join(end);
            let tall = format!("3 b{end}b");
            assert_eq!(rows(&text)[..3], ["1 a", &tall, "5 c"]);
            assert!(rows(&text)[3].starts_with("6: the quote opened on line 6 is closed and text"));
        }
    }

    #[test]
    fn a_quote_that_swallows_rows_is_a_fault_where_it_was_opened() {
        assert_eq!(rows("a\n\"b\nc\n"), ["1 a", "2: the quote opened on line 2 is never closed"]);
        assert_eq!(rows("a,\""), ["1: the quote opened on line 1 is never closed"]);
        let closed = rows("a\n\"b\nc \"x\"\n");
        assert!(closed[1].starts_with("2: the quote opened on line 2 is closed on line 3 and"));
    }

    #[test]
    fn a_cell_longer_than_a_reading_is_whole() {
        let long = "x".repeat(3 * READ);
        assert_eq!(
            rows(&format!("{long},\"{long}\"\nb,c")),
            [format!("1 {long}|{long}"), "2 b|c".into()]
        );
    }
}
