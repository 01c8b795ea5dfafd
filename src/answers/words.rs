//! Words that answers share with their faces: counts, and texts made safe to show.

use std::borrow::Cow;
use std::io;

/// The form of counts in notes. A program could not read a number with blanks in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountFormat {
    /// `1012`
    #[default]
    Plain,
    /// `1 012`
    Grouped,
}

impl CountFormat {
    /// Writes a count.
    pub fn number(self, n: u64) -> String {
        match self {
            CountFormat::Plain => n.to_string(),
            CountFormat::Grouped => grouped(n),
        }
    }

    /// Writes a count with its noun: `1 entity`, `2 entities`.
    pub fn counted(self, n: u64, one: &str, many: &str) -> String {
        format!("{} {}", self.number(n), if n == 1 { one } else { many })
    }
}

fn grouped(n: u64) -> String {
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

/// True if a terminal obeys `c`, or shows the text around it in another order or not at all.
fn is_terminal_control(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Escapes control characters and characters that turn the direction of writing, so that data can
/// neither steer a terminal nor look like other data.
pub fn clean(text: &str) -> Cow<'_, str> {
    // Nearly all texts are clean, so nothing is copied for them.
    if !text.chars().any(is_terminal_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match is_terminal_control(c) {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Returns `text` as one word of a shell.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@,+=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", clean(text).replace('\'', "'\\''")),
    }
}

/// Verbs that a note names before it counts the rest.
const VERBS: usize = 8;

/// Joins the first of some verbs, each in words of its own, and adds the number of the others.
pub(super) fn some_verbs(mut verbs: impl ExactSizeIterator<Item = String>) -> String {
    let more = verbs.len().saturating_sub(VERBS);
    let mut words: Vec<String> = verbs.by_ref().take(VERBS).collect();
    if more > 0 {
        words.push(format!("{more} more verbs"));
    }
    words.join(", ")
}

/// The words of an I/O error, without the number that the standard library appends.
pub fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    // The words stand inside a message of ours, so they begin with a small letter.
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |c| c.to_lowercase().chain(letters).collect())
}

/// Writes a time, given in epoch milliseconds, as RFC 3339 in UTC.
pub fn rfc3339_text(time: i64) -> String {
    match jiff::Timestamp::from_millisecond(time) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{time} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_stays_one_word() {
        assert_eq!(shell_word("okta.json"), "okta.json");
        assert_eq!(shell_word("a b; rm -rf"), "'a b; rm -rf'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
    }

    #[test]
    fn data_cannot_steer_the_terminal() {
        assert_eq!(clean("plain äöü 漢字"), "plain äöü 漢字");
        assert_eq!(clean("\u{1b}[2Jx"), "\\u{1b}[2Jx");
        assert_eq!(clean("a\nb\tc\rd"), "a\\nb\\tc\\rd");
        assert_eq!(clean("\u{9b}31m"), "\\u{9b}31m", "C1 control");
        assert_eq!(clean("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c", "bidi");
        assert_eq!(clean("a\u{200b}b\u{feff}"), "a\\u{200b}b\\u{feff}", "nothing to see");
    }

    #[test]
    fn numbers_are_readable() {
        let grouped = |n| CountFormat::Grouped.number(n);
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_012), "1 012");
        assert_eq!(grouped(25_000_000), "25 000 000");
        assert_eq!(CountFormat::Plain.counted(1, "entity", "entities"), "1 entity");
        assert_eq!(CountFormat::Plain.counted(1_012, "entity", "entities"), "1012 entities");
    }

    #[test]
    fn io_errors_are_told_in_words() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(rfc3339_text(0), "1970-01-01T00:00:00Z");
    }
}
