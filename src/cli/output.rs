//! Printing: the output of answers, its styles, and the words that all answers share.
//!
//! Data in text for people never steers the terminal: every text goes through [`clean`]. Output for
//! programs (JSON, NDJSON, CSV) is exact. Tables are made in `listing.rs`.

use super::failure::CommandError;
use super::layout;
pub use super::listing::RowListing;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tombolo::answers::{AnswerAsOf, AnswerDocument, CountFormat};
pub use tombolo::answers::{clean, rfc3339_text};
use tombolo::db::StateRecord;

/// The style of things added, made or right.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// The style of things changed, waiting or worth a look.
pub const NOTICE: Style = AnsiColor::Yellow.on_default();
/// The style of things removed, refused or wrong.
pub const BAD: Style = AnsiColor::Red.on_default();
/// The style of keys and ids beside names.
pub const KEY: Style = Style::new().dimmed();

/// The output of answers, with the styles that it allows.
pub struct AnswerWriter<'a> {
    writer: Box<dyn Write + 'a>,
    /// True if a terminal reads it.
    pub terminal: bool,
    /// The columns that lines may take; `None` if unknown.
    pub width: Option<usize>,
    /// True if colours are wanted.
    pub color: bool,
    /// True if texts of CSV are guarded, so that no spreadsheet takes them for formulas.
    pub spreadsheet_safe: bool,
    /// True if everything but the answer is left out.
    pub quiet: bool,
    /// True if whole ids and exact times are shown.
    pub verbose: bool,
    /// The state of the past that answers are of.
    pub as_of: Option<StateRecord>,
}

impl<'a> AnswerWriter<'a> {
    /// Makes an output that writes to `writer` without styles.
    pub fn plain(writer: impl Write + 'a) -> AnswerWriter<'a> {
        AnswerWriter {
            writer: Box::new(writer),
            terminal: false,
            width: None,
            color: false,
            spreadsheet_safe: false,
            quiet: false,
            verbose: false,
            as_of: None,
        }
    }

    /// Writes `value` as one JSON document: indented for a person, compact for a program.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        match self.terminal {
            true => serde_json::to_writer_pretty(&mut self.writer, value)?,
            false => serde_json::to_writer(&mut self.writer, value)?,
        }
        Ok(writeln!(self.writer)?)
    }

    /// Writes an answer as one JSON document.
    pub fn document(&mut self, answer: &impl AnswerDocument) -> Result<(), CommandError> {
        let as_of = self.as_of.take();
        let written = self.json(&AnswerAsOf { as_of: as_of.as_ref(), answer });
        self.as_of = as_of;
        // The serializer carries only its own error, so the true one is asked of the answer.
        answer.fault().map_or(written, |fault| Err(fault.into()))
    }

    /// Writes `value` as one line of NDJSON.
    pub fn ndjson(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        serde_json::to_writer(&mut self.writer, value)?;
        Ok(writeln!(self.writer)?)
    }

    /// Returns `text` in bold if colours are wanted.
    pub fn bold(&self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// Returns `text` in `style` if colours are wanted.
    pub fn paint(&self, style: Style, text: &str) -> String {
        match self.color && !style.is_plain() {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// Returns the sign of a change or a state in its colour: `+` added, `~` changed, `-` removed,
    /// `!` refused, held or wrong, `=` as it was. The sign alone tells it, so nothing depends on
    /// the colour.
    pub fn sign(&self, sign: char) -> String {
        let style = match sign {
            '+' => GOOD,
            '~' => NOTICE,
            '-' | '!' => BAD,
            _ => return sign.to_string(),
        };
        self.paint(style, sign.encode_utf8(&mut [0; 4]))
    }

    /// Returns `text` with its first character, a [sign](AnswerWriter::sign), in the colour of that sign.
    pub fn signed(&self, text: &str) -> String {
        let mut rest = text.chars();
        match rest.next() {
            Some(sign) => self.sign(sign) + rest.as_str(),
            None => String::new(),
        }
    }

    /// Returns an id for people: its last characters, or all of it with `--verbose`. A job id
    /// begins with a time, which ids of one day share.
    pub fn id(&self, id: impl Display) -> String {
        let id = id.to_string();
        match self.verbose {
            true => id,
            false => short_id(&id).to_owned(),
        }
    }

    /// Writes a line: `start`, then `text`. A line wider than the terminal is broken at blanks; its
    /// further parts begin with `indent`.
    pub fn line(&mut self, start: &str, text: &str, indent: &str) -> io::Result<()> {
        match self.width {
            Some(width) => writeln!(self, "{}", layout::wrapped(start, text, indent, width)),
            // Even an unbroken line may hold marks between words, which must become blanks.
            None => writeln!(self, "{}", layout::joined(start, text)),
        }
    }

    /// Writes the command to type next. It is advice for people, so `--quiet` leaves it out.
    pub fn next(&mut self, text: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let next = self.paint(AnsiColor::Cyan.on_default(), "next:");
        writeln!(self.writer, "{next} {text}")
    }
}

impl Write for AnswerWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Works like [`clean`] on our own text that may quote data, and keeps the ends of lines.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// Returns the last characters of an id, by which people may name it.
pub fn short_id(id: &str) -> &str {
    id.len().checked_sub(tombolo::graph::SHORT_ID).and_then(|at| id.get(at..)).unwrap_or(id)
}

/// True if people read the counts, so that thousands are set apart.
static GROUPING: AtomicBool = AtomicBool::new(false);

/// Sets once, at the start, whether people read the counts. A program cannot read a number with
/// blanks in it.
pub fn group_digits(on: bool) {
    GROUPING.store(on, Ordering::Relaxed);
}

/// The form of counts in words.
pub fn count_format() -> CountFormat {
    match GROUPING.load(Ordering::Relaxed) {
        true => CountFormat::Grouped,
        false => CountFormat::Plain,
    }
}

/// Writes a count, on a terminal with its thousands apart: `1 012`. Never used for data, whose
/// digits stay as they were uploaded.
pub fn thousands(n: u64) -> String {
    count_format().number(n)
}

/// Writes a count with its noun: `1 entity`, `2 entities`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    count_format().counted(n, one, many)
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

/// Writes a duration: `4 ms`, `1.2 s`.
pub fn duration_text(time: Duration) -> String {
    match time.as_millis() {
        0 => "under 1 ms".into(),
        ms @ 1..1000 => format!("{ms} ms"),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

/// Returns the time now, in milliseconds since the epoch.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Writes a time, given in epoch milliseconds: how long ago it was, or exactly with `--verbose`.
pub fn when(out: &AnswerWriter<'_>, time: i64) -> String {
    match out.verbose {
        true => rfc3339_text(time),
        false => ago(now().saturating_sub(time)),
    }
}

fn ago(milliseconds: i64) -> String {
    // The clock of the machine that wrote a time may be ahead of ours.
    let seconds = milliseconds.max(0) / 1000;
    match seconds {
        0..10 => "just now".into(),
        10..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_our_own_text_stay_apart() {
        assert_eq!(clean_lines("error\nat \u{7}"), "error\nat \\u{7}");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(thousands(1_012), "1012", "a program reads it until told otherwise");
        assert_eq!(counted(1, "entity", "entities"), "1 entity");
        assert_eq!(bytes(4 << 20), "4.0 MiB");
    }

    #[test]
    fn ids_are_short_unless_asked_for() {
        let mut out = AnswerWriter::plain(Vec::new());
        let id = "0198f2aa-0000-7000-8000-00001a2b3c4d";
        assert_eq!(out.id(id), "1a2b3c4d");
        out.verbose = true;
        assert_eq!(out.id(id), id);
        assert_eq!(short_id("abc"), "abc");
    }

    #[test]
    fn a_sign_says_what_its_colour_says() {
        let mut out = AnswerWriter::plain(Vec::new());
        assert_eq!(out.signed("+ made"), "+ made");
        out.color = true;
        assert_eq!(out.signed("+ made"), "\u{1b}[32m+\u{1b}[0m made");
        assert_eq!(out.signed("= same"), "= same");
    }

    #[test]
    fn times_are_relative() {
        assert_eq!(ago(-5), "just now");
        assert_eq!(ago(3 * 3_600_000), "3 h ago");
        assert_eq!(ago(9 * 86_400_000), "9 d ago");
        assert_eq!(duration_text(Duration::from_millis(1234)), "1.2 s");
    }
}
