//! Measures labels without a font, and makes them fit.
//!
//! A picture is drawn where no browser is, so the width of a text is a sum over Helvetica's table, with
//! room for the fonts that are wider. A label stays whole, is broken in two lines at a separator, or is
//! shortened in its middle: both ends of a name tell it apart, its middle seldom does.

use crate::answers::clean;
use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// Advance widths of the characters from blank to `~`, in thousandths of the size.
#[rustfmt::skip]
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// The width of a character that the table does not have.
const OTHER: u64 = 610;
/// That of one that takes two columns of a terminal.
const WIDE: u64 = 1000;

/// A size of text and its weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextStyle {
    size: u64,
    /// Thousandths of Helvetica's widths.
    stretch: u64,
}

/// The name of a card.
pub(super) const NAME: TextStyle = TextStyle { size: 13, stretch: 1145 };
/// The line below it.
pub(super) const SUB: TextStyle = TextStyle { size: 12, stretch: 1080 };
/// The title of a picture.
pub(super) const TITLE: TextStyle = TextStyle { size: 16, stretch: 1145 };

/// Pixels that a letter of a verb takes, whose font has letters of one width.
pub(super) const VERB_LETTER: f64 = 6.4;

fn units(c: char) -> u64 {
    let plain = (c as usize).checked_sub(' ' as usize).and_then(|at| HELVETICA.get(at));
    match (plain, c.width()) {
        (Some(width), _) => u64::from(*width),
        (None, Some(0)) => 0,
        (None, Some(2)) => WIDE,
        (None, _) => OTHER,
    }
}

/// The shape of a text: where each of its characters begins.
struct MeasuredText<'a> {
    text: &'a str,
    /// Bytes before each character, and before the end.
    bytes: Vec<usize>,
    /// Thousandths of the size before each character, and before the end.
    sums: Vec<u64>,
    style: TextStyle,
}

impl<'a> MeasuredText<'a> {
    fn new(text: &'a str, style: TextStyle) -> MeasuredText<'a> {
        let (mut bytes, mut sums, mut sum) = (Vec::new(), Vec::new(), 0);
        for (at, c) in text.char_indices() {
            bytes.push(at);
            sums.push(sum);
            sum += units(c);
        }
        bytes.push(text.len());
        sums.push(sum);
        MeasuredText { text, bytes, sums, style }
    }

    fn len(&self) -> usize {
        self.bytes.len() - 1
    }

    fn pixels(&self, units: u64) -> u64 {
        (units * self.style.size * self.style.stretch).div_ceil(1_000_000)
    }

    /// The width of some of its characters, in whole pixels.
    fn width(&self, from: usize, to: usize) -> u64 {
        self.pixels(self.sums[to] - self.sums[from])
    }

    fn part(&self, from: usize, to: usize) -> &'a str {
        &self.text[self.bytes[from]..self.bytes[to]]
    }

    /// The beginning up to `to` without blanks at its end, as a number of characters.
    fn trimmed(&self, to: usize) -> usize {
        self.part(0, to).trim_end().chars().count()
    }

    /// The longest `begin…end` of what follows `from`, both halves as long, that is no wider than `room`.
    fn folded(&self, from: usize, room: u64) -> Cow<'a, str> {
        let (len, whole) = (self.len() - from, self.width(from, self.len()));
        if whole <= room {
            return Cow::Borrowed(self.part(from, self.len()));
        }
        let halves = |kept: usize| (from + kept.div_ceil(2), self.len() - kept / 2);
        let fits = |kept: usize| {
            let (begin, end) = halves(kept);
            let units = self.sums[begin] - self.sums[from] + self.sums[self.len()] - self.sums[end];
            self.pixels(units + WIDE) <= room
        };
        // A longer piece is never narrower, so the first that is too wide ends the search.
        let kept = (2..len).take_while(|kept| fits(*kept)).last().unwrap_or(0);
        let (begin, end) = halves(kept);
        Cow::Owned(format!("{}…{}", self.part(from, begin), self.part(end, self.len())))
    }
}

/// The width of a text in whole pixels, rounded up.
pub(super) fn width(text: &str, style: TextStyle) -> u64 {
    let text = MeasuredText::new(text, style);
    text.width(0, text.len())
}

/// Shortens a text in its middle until it is no wider than `room`.
pub(super) fn fold(text: &str, room: u64, style: TextStyle) -> String {
    MeasuredText::new(text, style).folded(0, room).into_owned()
}

/// True if a name may be broken behind `c`.
fn separates(c: char) -> bool {
    matches!(c, '-' | '_' | '/' | ':' | '.' | ' ' | '@')
}

/// The lines of a label: whole; else two lines at a separator, as even as they get; else the second
/// line is shortened in its middle.
pub(super) fn lines(name: &str, room: u64) -> Vec<String> {
    let text = MeasuredText::new(name, NAME);
    let all = text.len();
    if text.width(0, all) <= room {
        return vec![name.to_owned()];
    }
    let characters: Vec<char> = name.chars().collect();
    let cuts = (1..all).filter(|&at| separates(characters[at - 1]) && !separates(characters[at]));
    let cuts: Vec<usize> = cuts.take_while(|&at| text.width(0, text.trimmed(at)) <= room).collect();
    let whole = cuts.iter().copied().filter(|&at| text.width(at, all) <= room);
    let uneven = |at: &usize| (text.width(0, *at).abs_diff(text.width(*at, all)), *at);
    if let Some(at) = whole.min_by_key(uneven) {
        return vec![text.part(0, text.trimmed(at)).to_owned(), text.part(at, all).to_owned()];
    }
    // A first line of a few letters would waste the room of the name.
    let first = match cuts.last() {
        Some(&at) if at >= 8 => at,
        _ => (1..all).take_while(|&at| text.width(0, at) <= room).last().unwrap_or(1),
    };
    vec![text.part(0, text.trimmed(first)).to_owned(), text.folded(first, room).into_owned()]
}

/// Breaks a sentence at its blanks, so that no line is wider than `room`.
pub(super) fn wrap(sentence: &str, room: u64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), SUB) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(fold(word, room, SUB)),
        }
    }
    lines
}

/// As many names as fit, then an ellipsis; a name alone is shortened in its middle.
pub(super) fn list<'a>(names: impl ExactSizeIterator<Item = Cow<'a, str>>, room: u64) -> String {
    let count = names.len();
    let mut text = String::new();
    for (at, name) in names.enumerate() {
        let longer = if text.is_empty() { name.to_string() } else { format!("{text}, {name}") };
        let ending = if at + 1 < count { ", …" } else { "" };
        if width(&format!("{longer}{ending}"), SUB) > room {
            return match text.is_empty() {
                true => format!("{} …", fold(&name, room.saturating_sub(16), SUB)),
                false => text + ", …",
            };
        }
        text = longer;
    }
    text
}

/// Two letters for a type: those of its words, without the first, which names the vendor.
pub fn letters(type_name: &str) -> String {
    let words: Vec<&str> =
        type_name.split(['_', '-', ':', '.']).filter(|w| !w.is_empty()).collect();
    let own = if words.len() > 1 { &words[1..] } else { &words[..] };
    let text: String = match own {
        [] => "?".to_owned(),
        [word] => word.chars().take(2).collect(),
        [first, second, ..] => [first, second].iter().filter_map(|w| w.chars().next()).collect(),
    };
    clean(&text.to_uppercase()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_fits_stays_whole() {
        assert_eq!(lines("billing-writer", 208), ["billing-writer"]);
        assert_eq!(lines("", 208), [""]);
    }

    #[test]
    fn a_longer_name_is_broken_where_its_words_end() {
        assert_eq!(
            lines("design-tokens-to-css-variables-transformer", 208),
            ["design-tokens-to-css-", "variables-transformer"]
        );
        assert_eq!(
            lines("the quick brown fox jumps over a dog", 160),
            ["the quick brown fox", "jumps over a dog"]
        );
    }

    #[test]
    fn a_name_that_two_lines_cannot_hold_keeps_both_ends() {
        let name = format!("arn:aws:iam::111122223333:role/{}/the-end-of-it", "x".repeat(300));
        let lines = lines(&name, 208);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("arn:aws:iam") && lines[1].ends_with("end-of-it"),
            "{lines:?}"
        );
        assert!(lines.iter().all(|line| width(line, NAME) <= 208), "{lines:?}");
        assert!(lines.concat().chars().count() >= 20, "{lines:?}");
    }

    #[test]
    fn a_name_without_separators_fits_too() {
        for name in ["W".repeat(200), "日本".repeat(100), "i".repeat(1024), "\u{301}".repeat(500)]
        {
            let lines = lines(&name, 208);
            assert!(lines.iter().all(|line| width(line, NAME) <= 208), "{lines:?}");
        }
    }

    #[test]
    fn a_list_ends_where_its_room_does() {
        let names =
            |all: &[&'static str]| all.iter().map(|n| Cow::Borrowed(*n)).collect::<Vec<_>>();
        assert_eq!(list(names(&["a", "b"]).into_iter(), 100), "a, b");
        assert_eq!(list(names(&["alpha", "beta", "gamma"]).into_iter(), 70), "alpha, …");
        let long = list(names(&["an-extremely-long-name-of-a-bucket", "b"]).into_iter(), 100);
        assert!(long.contains('…') && width(&long, SUB) <= 116, "{long}");
    }

    #[test]
    fn letters_leave_the_vendor_out() {
        assert_eq!(letters("aws_s3_bucket"), "SB");
        assert_eq!(letters("okta_user"), "US");
        assert_eq!(letters("host"), "HO");
        assert_eq!(letters("_"), "?");
        assert_eq!(letters(""), "?");
    }
}
