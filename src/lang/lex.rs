//! One lexer for all languages: words, with the bytes they stand on. What differs between languages is a
//! table, the [`LexDialect`].
//!
//! Lexing never fails: a character that begins no word becomes [`LexToken::Stray`]. The parser makes the
//! fault, since it knows which word it expected.

use std::ops::Range;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LexToken {
    /// A name or keyword.
    Name(String),
    /// A string, without its quotes and escapes.
    Text(String),
    /// A string whose closing quote is missing.
    OpenText,
    /// A number, as written.
    Number(String),
    /// A placeholder, in languages that have them.
    Hole(String),
    /// An operator or bracket.
    Symbol(&'static str),
    /// A character that begins no word.
    Stray(char),
    /// The end of the text.
    End,
}

/// The way to write a quote inside of quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuoteEscape {
    /// Twice: `''` stands for one quote, and there are no other escapes.
    Doubled,
    /// Behind a backslash, which also escapes itself; before anything else it stands for itself.
    Backslash,
}

/// The words of one language, where they differ from those of others.
pub(crate) struct LexDialect {
    /// Operators and brackets; longer ones stand before their prefixes.
    pub symbols: &'static [&'static str],
    /// Characters that begin a string, each ended by itself.
    pub quotes: &'static [char],
    pub escape: QuoteEscape,
    /// Characters beside letters that a name may begin with.
    pub name_start: &'static [char],
    /// Characters beside letters and digits that a name may go on with.
    pub name_part: &'static [char],
    /// Characters beside white space that only separate words.
    pub blanks: &'static [char],
    /// True if `/* ... */` separates words.
    pub comments: bool,
    /// True if a minus before a digit is a sign: a language without subtraction.
    pub signed: bool,
    /// True if a power of ten ends before a letter: `2e5x` is then `2` and a word.
    pub power_ends: bool,
    /// The name and length of the placeholder that a text begins with.
    pub hole: fn(&str) -> Option<(String, usize)>,
}

/// Expressions of mapping files.
const EXPRESSION: LexDialect = LexDialect {
    symbols: &[
        "!=", "^=", "$=", "~=", ">=", "<=", "=", ">", "<", "(", ")", "[", "]", ",", ".", "{", "}",
        "-",
    ],
    quotes: &['\''],
    escape: QuoteEscape::Doubled,
    name_start: &['_'],
    name_part: &['_'],
    blanks: &[],
    comments: false,
    signed: true,
    power_ends: false,
    hole: |_| None,
};

/// Reads the word of an expression at or after byte `from` of `text`.
pub(crate) fn word_at(text: &str, from: usize) -> (LexToken, Range<usize>) {
    token_at(text, from, &EXPRESSION)
}

/// Reads the word at or after byte `from` of `text`.
pub(crate) fn token_at(text: &str, from: usize, dialect: &LexDialect) -> (LexToken, Range<usize>) {
    let start = skip_blanks(text, from, dialect);
    let rest = &text[start..];
    let Some(first) = rest.chars().next() else { return (LexToken::End, start..start) };
    let up_to = |len: usize| start..start + len;
    if first.is_alphabetic() || dialect.name_start.contains(&first) {
        let part = |c: char| c.is_alphanumeric() || dialect.name_part.contains(&c);
        let len = rest.find(|c| !part(c)).unwrap_or(rest.len());
        return (LexToken::Name(rest[..len].to_owned()), up_to(len));
    }
    let unsigned = rest.strip_prefix('-').filter(|_| dialect.signed).unwrap_or(rest);
    if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        let len = rest.len() - unsigned.len() + number_length(unsigned, dialect.power_ends);
        return (LexToken::Number(rest[..len].to_owned()), up_to(len));
    }
    if dialect.quotes.contains(&first) {
        return match quoted(rest, first, dialect.escape) {
            Some((value, len)) => (LexToken::Text(value), up_to(len)),
            None => (LexToken::OpenText, start..text.len()),
        };
    }
    if let Some((name, len)) = (dialect.hole)(rest) {
        return (LexToken::Hole(name), up_to(len));
    }
    match dialect.symbols.iter().find(|symbol| rest.starts_with(**symbol)) {
        Some(symbol) => (LexToken::Symbol(symbol), up_to(symbol.len())),
        None => (LexToken::Stray(first), up_to(first.len_utf8())),
    }
}

/// The first byte at or after `from` that is neither blank nor comment. A comment that is never
/// closed is no comment: the parser reports its `/`.
fn skip_blanks(text: &str, from: usize, dialect: &LexDialect) -> usize {
    let blank = |c: char| c.is_whitespace() || dialect.blanks.contains(&c);
    let mut at = from;
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start_matches(blank).len();
        let comment = text[at..].strip_prefix("/*").filter(|_| dialect.comments);
        let Some(len) = comment.and_then(|comment| comment.find("*/")) else { return at };
        at += len + 4;
    }
}

/// Length of a number; a `.` that no digit follows belongs to what comes next, and so does an `e`.
fn number_length(rest: &str, power_ends: bool) -> usize {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut len = digits(rest);
    if let Some(fraction) = rest[len..].strip_prefix('.').map(digits).filter(|n| *n > 0) {
        len += 1 + fraction;
    }
    let Some(power) = rest[len..].strip_prefix(['e', 'E']) else { return len };
    let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
    let end = digits(unsigned);
    let word = unsigned[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    match end > 0 && !(power_ends && word) {
        true => rest.len() - unsigned.len() + end,
        false => len,
    }
}

/// The value and length of the string that `rest` begins with; `None` if it is not closed.
fn quoted(rest: &str, quote: char, escape: QuoteEscape) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match (c, escape) {
            (c, QuoteEscape::Doubled) if c == quote => {
                // `''` alone is the empty string, whatever follows.
                match chars.next_if(|(_, next)| at > 1 && *next == quote) {
                    Some(_) => value.push(quote),
                    None => return Some((value, at + 1)),
                }
            }
            (c, QuoteEscape::Backslash) if c == quote => return Some((value, at + 1)),
            ('\\', QuoteEscape::Backslash) => {
                let escaped = chars.next_if(|(_, next)| matches!(next, '\'' | '"' | '\\'));
                value.push(escaped.map_or('\\', |(_, escaped)| escaped));
            }
            (c, _) => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<LexToken> {
        let mut at = 0;
        let mut words = Vec::new();
        loop {
            match word_at(text, at) {
                (LexToken::End, _) => return words,
                (word, range) => {
                    at = range.end;
                    words.push(word);
                }
            }
        }
    }

    #[test]
    fn a_condition_falls_into_words() {
        assert_eq!(
            words("row.n >= -1.5 and x ~= 'it''s'"),
            [
                LexToken::Name("row".into()),
                LexToken::Symbol("."),
                LexToken::Name("n".into()),
                LexToken::Symbol(">="),
                LexToken::Number("-1.5".into()),
                LexToken::Name("and".into()),
                LexToken::Name("x".into()),
                LexToken::Symbol("~="),
                LexToken::Text("it's".into()),
            ]
        );
    }

    #[test]
    fn characters_of_any_width_are_words_of_their_own() {
        assert_eq!(words("؋1"), [LexToken::Stray('؋'), LexToken::Number("1".into())]);
        assert_eq!(words("é €"), [LexToken::Name("é".into()), LexToken::Stray('€')]);
    }

    #[test]
    fn empty_and_open_strings_differ() {
        assert_eq!(words("''"), [LexToken::Text(String::new())]);
        assert_eq!(words("'abc"), [LexToken::OpenText]);
        assert_eq!(
            words("é\" '"),
            [LexToken::Name("é".into()), LexToken::Stray('"'), LexToken::OpenText]
        );
    }
}
