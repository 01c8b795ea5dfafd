//! The layout of text on a terminal: its width in columns, its line breaks, and its cuts.
//!
//! Text here is clean already (see `output.rs`), so the only control sequences in it are our own
//! styles, which take no room. A wide character takes two columns.

use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// The narrowest supported terminal; on a narrower one lines run over.
const NARROWEST: usize = 24;
/// A blank between words that stay on one line if a line can hold them. A control character, so no
/// clean text has it.
const GLUE: char = '\u{1}';
/// Columns that every indent leaves for text.
const ROOM: usize = 16;
/// A word that is too long for a line is broken after one of these, if one is near.
const SEAMS: [char; 8] = ['/', ':', '-', '_', '|', '.', ',', '@'];

/// Returns the columns of lines: as many as `COLUMNS` asks for, or those of the terminal that reads
/// standard output. `None` if neither is known; text is not broken then.
pub fn columns(terminal: bool) -> Option<usize> {
    let asked = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok());
    let asked = asked.filter(|columns| *columns > 0);
    let there = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let columns = match terminal {
        true => asked.or_else(there).filter(|columns| *columns > 0).or(Some(80)),
        false => asked,
    };
    columns.map(|columns| columns.max(NARROWEST))
}

/// Iterates over a text and separates the sequences of styles from the visible characters.
struct StyledChars<'a> {
    rest: &'a str,
}

enum StyledChar<'a> {
    Style(&'a str),
    Seen(char),
}

impl<'a> Iterator for StyledChars<'a> {
    type Item = StyledChar<'a>;

    fn next(&mut self) -> Option<StyledChar<'a>> {
        let first = self.rest.chars().next()?;
        let end = match first {
            '\u{1b}' => self.rest.find('m').map_or(self.rest.len(), |at| at + 1),
            c => c.len_utf8(),
        };
        let (letter, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(if first == '\u{1b}' { StyledChar::Style(letter) } else { StyledChar::Seen(first) })
    }
}

fn letters(text: &str) -> StyledChars<'_> {
    StyledChars { rest: text }
}

fn columns_of(c: char) -> usize {
    if c == GLUE { 1 } else { c.width().unwrap_or(0) }
}

/// Returns the columns that `text` takes.
pub fn width(text: &str) -> usize {
    let seen = |letter| match letter {
        StyledChar::Seen(c) => columns_of(c),
        StyledChar::Style(_) => 0,
    };
    letters(text).map(seen).sum()
}

/// Adds blanks behind `text`, or before it, up to `columns`.
pub fn padded(text: &str, columns: usize, right: bool) -> String {
    let blanks = " ".repeat(columns.saturating_sub(width(text)));
    if right { blanks + text } else { text.to_owned() + &blanks }
}

/// Cuts plain `text` to at most `max` columns. Prose loses its end. A key loses its middle, since
/// both ends of a key tell it from others.
pub fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    let room = max.saturating_sub(1);
    // A text with a blank is taken for prose, a text without one for a key.
    let behind = if text.contains(' ') { 0 } else { room / 2 };
    let mut taken = 0;
    let fits = |c: &char, limit: usize, taken: &mut usize| {
        *taken += columns_of(*c);
        *taken <= limit
    };
    let start: String = text.chars().take_while(|c| fits(c, room - behind, &mut taken)).collect();
    taken = 0;
    let end: Vec<char> = text.chars().rev().take_while(|c| fits(c, behind, &mut taken)).collect();
    Cow::Owned(start.chars().chain(['…']).chain(end.into_iter().rev()).collect())
}

/// Lines that are filled word by word.
struct LineFiller<'a> {
    out: String,
    /// Columns taken in the last line.
    taken: usize,
    /// True if the last line holds nothing but its indent, or the start of the text.
    fresh: bool,
    /// The styles in force, which must not colour the indent.
    style: String,
    indent: &'a str,
    max: usize,
}

impl<'a> LineFiller<'a> {
    fn new_line(&mut self) {
        if !self.style.is_empty() {
            self.out.push_str("\u{1b}[0m");
        }
        self.out.push('\n');
        self.out.push_str(self.indent);
        self.out.push_str(&self.style);
        self.taken = width(self.indent);
        self.fresh = true;
    }

    /// Adds a word, with the blanks before it where they stay.
    fn word(&mut self, blanks: usize, word: &'a str) {
        let (wide, indent) = (width(word), width(self.indent));
        // On a line that holds only the indent, a new line would have no more room.
        let helps = !self.fresh || self.taken > indent && wide + indent <= self.max;
        if helps && self.taken + blanks + wide > self.max {
            self.new_line();
        } else {
            self.out.push_str(&" ".repeat(blanks));
            self.taken += blanks;
        }
        if self.taken + wide <= self.max {
            self.out.push_str(word);
            self.taken += wide;
            self.note_styles(word);
        } else {
            self.long_word(word);
        }
        self.fresh &= word.is_empty();
    }

    fn note_styles(&mut self, word: &'a str) {
        for letter in letters(word) {
            if let StyledChar::Style(style) = letter {
                match style {
                    "\u{1b}[0m" => self.style.clear(),
                    style => self.style.push_str(style),
                }
            }
        }
    }

    /// Breaks a word that no line can hold, at a seam where there is one in the last third.
    fn long_word(&mut self, word: &'a str) {
        let mut rest = word;
        if self.taken + 1 >= self.max {
            self.new_line();
        }
        while !rest.is_empty() {
            let room = self.max.saturating_sub(self.taken);
            let (mut end, mut seam, mut used) = (rest.len(), None, 0);
            let mut at = 0;
            for letter in letters(rest) {
                match letter {
                    StyledChar::Style(style) => at += style.len(),
                    StyledChar::Seen(c) => {
                        used += columns_of(c);
                        // At least one character goes into each line, so that the loop ends even
                        // without room.
                        if used > room && at > 0 {
                            end = seam.unwrap_or(at);
                            break;
                        }
                        at += c.len_utf8();
                        // An earlier seam would leave too much of the line empty.
                        if SEAMS.contains(&c) && used * 3 > room * 2 {
                            seam = Some(at);
                        }
                    }
                }
            }
            let (part, left) = rest.split_at(end);
            self.out.push_str(part);
            self.taken += width(part);
            self.note_styles(part);
            rest = left;
            if !rest.is_empty() {
                self.new_line();
            }
        }
    }
}

/// Marks `text` as one item of a list, so that its words stay on one line if a line can hold them.
/// Only for texts that are laid out afterwards.
pub fn unbreakable(text: &str) -> String {
    text.replace(' ', GLUE.encode_utf8(&mut [0; 4]))
}

/// Joins `start` and `text` on one line.
pub fn joined(start: &str, text: &str) -> String {
    format!("{start}{}", text.replace(GLUE, " "))
}

/// Joins `start` and `text` and breaks them at blanks, so that no line is wider than `max`. Each
/// line after the first begins with `indent`. Only a word that is longer than a whole line is
/// broken.
pub fn wrapped(start: &str, text: &str, indent: &str, max: usize) -> String {
    // A deep indent must not squeeze the text into a column of single letters.
    let indent = leading(indent, max.saturating_sub(ROOM));
    let mut filling = LineFiller {
        out: start.to_owned(),
        taken: width(start),
        fresh: true,
        style: String::new(),
        indent,
        max,
    };
    let mut rest = text;
    while !rest.is_empty() {
        let word_at = rest.find(|c| c != ' ').unwrap_or(rest.len());
        let (blanks, from_word) = rest.split_at(word_at);
        let (word, left) = from_word.split_at(from_word.find(' ').unwrap_or(from_word.len()));
        if word.is_empty() {
            break;
        }
        // An item that no line can hold is broken at its own blanks after all.
        if !word.contains(GLUE) || width(word) + width(indent) <= max {
            filling.word(blanks.len(), word);
        } else {
            for (at, part) in word.split(GLUE).enumerate() {
                filling.word(if at == 0 { blanks.len() } else { 1 }, part);
            }
        }
        rest = left;
    }
    filling.out.replace(GLUE, " ")
}

/// Returns the first `max` columns of an indent.
fn leading(indent: &str, max: usize) -> &str {
    let mut taken = 0;
    for (at, c) in indent.char_indices() {
        taken += columns_of(c);
        if taken > max {
            return &indent[..at];
        }
    }
    indent
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wide_characters_take_two_columns_and_styles_none() {
        assert_eq!(width("abc"), 3);
        assert_eq!(width("漢字"), 4);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(width("\u{1b}[1mabc\u{1b}[0m"), 3);
        assert_eq!(padded("漢字", 6, false), "漢字  ");
        assert_eq!(padded("漢字", 6, true), "  漢字");
    }

    #[test]
    fn a_key_loses_its_middle_and_prose_its_end() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("arn:aws:iam::123456789012:role/billing", 15), "arn:aws…billing");
        assert_eq!(cut("Alice Smith of the board", 12), "Alice Smith…");
        assert_eq!(cut("漢字漢字漢字", 6), "漢…字");
        assert_eq!(cut("abc", 1), "…");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(
            wrapped("* ", "one two three four five six", "  ", 24),
            "* one two three four\n  five six"
        );
        assert_eq!(wrapped("", "fits", "  ", 24), "fits");
        assert_eq!(
            wrapped("", "\u{1b}[1mAlice Smith of the old board\u{1b}[0m (key)", "| ", 24),
            "\u{1b}[1mAlice Smith of the old\u{1b}[0m\n| \u{1b}[1mboard\u{1b}[0m (key)"
        );
    }

    #[test]
    fn items_stay_together_where_a_line_can_hold_them() {
        let items = ["Alice Smith (1)", "Bob Jones (2)", "Somebody with a name of some length (3)"];
        let text = items.map(unbreakable).join(", ");
        assert_eq!(
            wrapped("", &text, "  ", 24),
            "Alice Smith (1),\n  Bob Jones (2),\n  Somebody with a name\n  of some length (3)"
        );
        assert_eq!(joined("- ", &text), format!("- {}", items.join(", ")));
    }

    #[test]
    fn a_word_longer_than_a_line_breaks_at_a_seam() {
        assert_eq!(
            wrapped("", "x arn:aws:iam::1/role/long-one", " ", 19),
            "x\n arn:aws:iam::1/\n role/long-one"
        );
    }

    fn words() -> impl Strategy<Value = String> {
        prop::collection::vec("[a-z漢é:/ -]{1,40}", 0..12).prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_and_nothing_is_lost(
            text in words(),
            styled in any::<bool>(),
            item in any::<bool>(),
            indent in 0usize..60,
            max in NARROWEST..140,
        ) {
            let indent = "│".repeat(indent);
            let shown = if styled { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.clone() };
            let shown = if item { unbreakable(&shown) } else { shown };
            let lines = wrapped("├─ ", &shown, &indent, max);
            for line in lines.split('\n') {
                prop_assert!(width(line) <= max, "{} > {max}: {line}", width(line));
            }
            let seen = |text: &str| -> String {
                letters(text)
                    .filter_map(|l| match l { StyledChar::Seen(c) => Some(c), StyledChar::Style(_) => None })
                    .filter(|c| !matches!(c, ' ' | '\n' | '│' | '├' | '─'))
                    .collect()
            };
            prop_assert_eq!(seen(&lines), seen(&text));
        }

        #[test]
        fn what_is_cut_fits(text in words(), max in 1usize..60) {
            prop_assert!(width(&cut(&text, max)) <= max);
        }

        #[test]
        fn words_that_fit_are_never_broken(
            words in prop::collection::vec("[a-z]{1,16}", 1..30),
            max in 24usize..60,
        ) {
            let lines = wrapped("", &words.join(" "), "  ", max);
            let again: Vec<&str> = lines.split_whitespace().collect();
            prop_assert_eq!(again, words);
        }
    }
}
