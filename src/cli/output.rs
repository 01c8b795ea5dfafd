//! Printing: text for people, JSON, NDJSON and CSV for programs; the same facts in each.
//!
//! Text for people never lets data steer the terminal: every cell goes through [`clean`]. Tables
//! are plain and the same on every machine; only on a terminal are wide cells cut.

use super::args::RowFormat;
use super::failure::Failure;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

/// Where answers go, and how they may look.
pub struct Out<'a> {
    writer: Box<dyn Write + 'a>,
    /// Whether a terminal reads it.
    pub terminal: bool,
    /// Whether colours are wanted.
    pub color: bool,
    /// Whether to leave out everything but the answer.
    pub quiet: bool,
    /// Whether to show ids and exact times.
    pub verbose: bool,
}

impl<'a> Out<'a> {
    /// Writes to `writer`, plainly.
    pub fn plain(writer: impl Write + 'a) -> Out<'a> {
        Out {
            writer: Box::new(writer),
            terminal: false,
            color: false,
            quiet: false,
            verbose: false,
        }
    }

    /// Writes `value` as one JSON document: indented for a person, compact for a program.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        match self.terminal {
            true => serde_json::to_writer_pretty(&mut self.writer, value)?,
            false => serde_json::to_writer(&mut self.writer, value)?,
        }
        Ok(writeln!(self.writer)?)
    }

    /// Writes `value` as one line of NDJSON.
    pub fn ndjson(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.writer, value)?;
        Ok(writeln!(self.writer)?)
    }

    /// `text` in bold where colours are wanted.
    pub fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// `text` in `style` where colours are wanted.
    pub fn paint(&self, style: Style, text: &str) -> String {
        match self.color {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// What to type next: words for people, so not with `--quiet`.
    pub fn next(&mut self, text: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let next = self.paint(AnsiColor::Cyan.on_default(), "next:");
        writeln!(self.writer, "{next} {text}")
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Whether a terminal would obey `c`, or show the text around it in another order or not at all.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// `text` with control characters and those that turn the direction of writing escaped, so that
/// data can neither steer a terminal nor look like other data.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match steers(c) {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Like [`clean`] for text of our own that may quote data: line ends stay.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// `n` with its thousands apart: `1 012`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 entity`, `2 entities`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

/// Bytes for people: `4.0 MiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} bytes");
    }
    let mut amount = n as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// How long something took: `4 ms`, `1.2 s`.
pub fn took(time: Duration) -> String {
    match time.as_millis() {
        0 => "under 1 ms".into(),
        ms @ 1..1000 => format!("{ms} ms"),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

/// Milliseconds since the epoch, now.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A time in epoch milliseconds: how long ago, or exactly with `--verbose`.
pub fn when(out: &Out<'_>, time: i64) -> String {
    match out.verbose {
        true => exactly(time),
        false => ago(now().saturating_sub(time)),
    }
}

/// A time in epoch milliseconds as RFC 3339, UTC.
pub fn exactly(time: i64) -> String {
    match jiff::Timestamp::from_millisecond(time) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{time} ms"),
    }
}

fn ago(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    match seconds {
        0..10 => "just now".into(),
        10..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Cells longer than this are cut, on a terminal.
const CELL_MAX: usize = 60;

/// `text` as it goes into a cell.
fn cell(text: &str, cut: bool) -> String {
    let text = clean(text);
    if !cut || text.chars().count() <= CELL_MAX {
        return text.into_owned();
    }
    text.chars().take(CELL_MAX - 1).chain(['…']).collect()
}

/// Rows of one shape. The same rows become a table, JSON, NDJSON or CSV.
pub struct Listing {
    /// Name in JSON and CSV, title in the table.
    columns: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    rows: Vec<Vec<Value>>,
}

struct Row<'a>(&'a Listing, &'a [Value]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.1.len()))?;
        for ((name, _), value) in self.0.columns.iter().zip(self.1) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Listing {
    /// No rows yet.
    pub fn new(columns: &'static [(&'static str, &'static str)]) -> Listing {
        let columns = columns.iter().map(|(name, title)| ((*name).into(), (*title).into()));
        Listing { columns: columns.collect(), rows: Vec::new() }
    }

    /// No rows yet of columns whose names are only known now.
    pub fn named(columns: &[String]) -> Listing {
        let columns = columns.iter().map(|name| (name.clone().into(), name.clone().into()));
        Listing { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row with a value for each column.
    pub fn row(&mut self, values: impl Into<Vec<Value>>) {
        let values = values.into();
        debug_assert_eq!(values.len(), self.columns.len());
        self.rows.push(values);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as JSON objects, to stand inside a larger document.
    pub fn objects(&self) -> impl Serialize + '_ {
        self.rows.iter().map(|row| Row(self, row)).collect::<Vec<_>>()
    }

    /// Writes the rows in `format`.
    pub fn print(&self, out: &mut Out<'_>, format: RowFormat) -> Result<(), Failure> {
        match format {
            RowFormat::Table => self.table(out),
            RowFormat::Json => out.json(&self.objects()),
            RowFormat::Ndjson => self.rows.iter().try_for_each(|row| out.ndjson(&Row(self, row))),
            RowFormat::Csv => {
                let head = self.columns.iter().map(|(name, _)| name.to_string());
                let rows = self.rows.iter().map(|row| row.iter().map(csv_value).collect());
                csv_rows(out, std::iter::once(head.collect()).chain(rows))
            }
        }
    }

    /// Columns of numbers stand right, all others left; two blanks between them.
    fn table(&self, out: &mut Out<'_>) -> Result<(), Failure> {
        let cut = out.terminal;
        let text = |value: &Value| cell(&table_value(value), cut);
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(text).collect()).collect();
        let columns: Vec<(usize, bool)> = (0..self.columns.len())
            .map(|i| {
                let cells = rows.iter().map(|row| row[i].chars().count());
                let title = self.columns[i].1.chars().count();
                let numbers = self.rows.iter().all(|row| row[i].is_number() || row[i].is_null());
                (cells.fold(title, usize::max), numbers && !self.rows.is_empty())
            })
            .collect();
        let titles: Vec<String> =
            self.columns.iter().map(|(_, title)| clean(title).into_owned()).collect();
        writeln!(out, "{}", out.bold(&line(&titles, &columns)))?;
        for row in &rows {
            writeln!(out, "{}", line(row, &columns))?;
        }
        Ok(())
    }
}

/// One line of a table; no blanks at its end.
fn line(cells: &[String], columns: &[(usize, bool)]) -> String {
    let mut text = String::new();
    for (cell, &(width, right)) in cells.iter().zip(columns) {
        match right {
            true => text.push_str(&format!("{cell:>width$}  ")),
            false => text.push_str(&format!("{cell:<width$}  ")),
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn table_value(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(table_value).collect::<Vec<_>>().join(", "),
        Value::Number(n) => n.as_u64().map_or_else(|| n.to_string(), thousands),
        other => other.to_string(),
    }
}

fn csv_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(csv_value).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// `text` as a cell of CSV that no spreadsheet takes for a formula.
fn harmless(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// Writes rows of CSV, the first of them the names.
pub fn csv_rows(
    out: &mut Out<'_>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(out);
    for row in rows {
        writer.write_record(row.iter().map(|cell| harmless(cell).into_owned()))?;
    }
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed(listing: &Listing, format: RowFormat) -> String {
        let mut bytes = Vec::new();
        listing.print(&mut Out::plain(&mut bytes), format).expect("memory takes every byte");
        String::from_utf8(bytes).expect("text")
    }

    fn sample() -> Listing {
        let mut listing = Listing::new(&[("key", "KEY"), ("n", "COUNT")]);
        listing.row([json!("a"), json!(1012)]);
        listing.row([json!("=SUM(A1)\u{1b}[2J"), json!(null)]);
        listing
    }

    #[test]
    fn data_cannot_steer_the_terminal() {
        assert_eq!(clean("plain äöü 漢字"), "plain äöü 漢字");
        assert_eq!(clean("\u{1b}[2Jx"), "\\u{1b}[2Jx");
        assert_eq!(clean("a\nb\tc\rd"), "a\\nb\\tc\\rd");
        assert_eq!(clean("\u{9b}31m"), "\\u{9b}31m", "C1 control");
        assert_eq!(clean("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c", "bidi");
        assert_eq!(clean("a\u{200b}b\u{feff}"), "a\\u{200b}b\\u{feff}", "nothing to see");
        assert_eq!(clean_lines("error\nat \u{7}"), "error\nat \\u{7}");
    }

    #[test]
    fn tables_put_numbers_right_and_names_left() {
        assert_eq!(
            printed(&sample(), RowFormat::Table),
            "KEY                COUNT\n\
             a                  1 012\n\
             =SUM(A1)\\u{1b}[2J      -\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_titles() {
        let listing = Listing::new(&[("key", "KEY"), ("n", "COUNT")]);
        assert_eq!(printed(&listing, RowFormat::Table), "KEY  COUNT\n");
    }

    #[test]
    fn json_keeps_the_order_of_columns() {
        assert_eq!(
            printed(&sample(), RowFormat::Ndjson),
            "{\"key\":\"a\",\"n\":1012}\n{\"key\":\"=SUM(A1)\\u001b[2J\",\"n\":null}\n"
        );
        assert!(printed(&sample(), RowFormat::Json).starts_with("[{\"key\":\"a\","));
    }

    #[test]
    fn no_cell_of_csv_is_a_formula() {
        for text in ["=1", "+1", "-1", "@x", "\tx", "\rx"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        assert_eq!(harmless("a=1"), "a=1");
        assert!(printed(&sample(), RowFormat::Csv).contains("\n'=SUM(A1)"));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_012), "1 012");
        assert_eq!(thousands(25_000_000), "25 000 000");
        assert_eq!(counted(1, "entity", "entities"), "1 entity");
        assert_eq!(bytes(4 << 20), "4.0 MiB");
    }

    #[test]
    fn times_are_relative() {
        assert_eq!(ago(-5), "just now");
        assert_eq!(ago(3 * 3_600_000), "3 h ago");
        assert_eq!(ago(9 * 86_400_000), "9 d ago");
        assert_eq!(exactly(0), "1970-01-01T00:00:00Z");
        assert_eq!(took(Duration::from_millis(1234)), "1.2 s");
    }

    #[test]
    fn wide_cells_are_cut_on_a_terminal_only() {
        let long = "x".repeat(200);
        assert_eq!(cell(&long, false).len(), 200);
        assert_eq!(cell(&long, true).chars().count(), CELL_MAX);
    }
}
