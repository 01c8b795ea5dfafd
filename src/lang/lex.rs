//! Words of the expression language, with the bytes they stand on.
//!
//! Lexing never fails: a character that begins no word becomes [`ExpressionToken::Stray`]. The parser makes the
//! fault, since it knows which word it expected.

use std::ops::Range;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExpressionToken {
    /// A name or keyword.
    Name(String),
    /// A string, without its quotes.
    Text(String),
    /// A string whose closing quote is missing.
    OpenText,
    /// A number, as written.
    Number(String),
    /// An operator or bracket.
    Symbol(&'static str),
    /// A character that begins no word.
    Stray(char),
    /// The end of the text.
    End,
}

/// Longer symbols stand before their prefixes.
const SYMBOLS: [&str; 18] = [
    "!=", "^=", "$=", "~=", ">=", "<=", "=", ">", "<", "(", ")", "[", "]", ",", ".", "{", "}", "-",
];

/// Reads the word at or after byte `from` of `text`.
pub(crate) fn word_at(text: &str, from: usize) -> (ExpressionToken, Range<usize>) {
    let rest = &text[from..];
    let start = from + (rest.len() - rest.trim_start().len());
    let rest = &text[start..];
    let Some(first) = rest.chars().next() else {
        return (ExpressionToken::End, start..start);
    };
    if first.is_alphabetic() || first == '_' {
        let len = length_while(rest, |c| c.is_alphanumeric() || c == '_');
        return (ExpressionToken::Name(rest[..len].to_owned()), start..start + len);
    }
    if first == '\'' {
        return quoted(rest, start);
    }
    // Expressions have no subtraction, so a minus before a digit is a sign.
    let digits_after_minus = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if first.is_ascii_digit() || (first == '-' && digits_after_minus) {
        let len = number_length(rest);
        return (ExpressionToken::Number(rest[..len].to_owned()), start..start + len);
    }
    match SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
        Some(symbol) => (ExpressionToken::Symbol(symbol), start..start + symbol.len()),
        None => (ExpressionToken::Stray(first), start..start + first.len_utf8()),
    }
}

fn length_while(text: &str, keep: impl Fn(char) -> bool) -> usize {
    text.find(|c| !keep(c)).unwrap_or(text.len())
}

/// A string in single quotes; there are no escapes, `''` inside stands for one quote.
fn quoted(rest: &str, start: usize) -> (ExpressionToken, Range<usize>) {
    let mut value = String::new();
    let mut at = 1;
    while let Some(len) = rest[at..].find('\'') {
        value.push_str(&rest[at..at + len]);
        at += len + 1;
        // `''` alone is the empty string, not an open one.
        if at == 2 || !rest[at..].starts_with('\'') {
            return (ExpressionToken::Text(value), start..start + at);
        }
        value.push('\'');
        at += 1;
    }
    (ExpressionToken::OpenText, start..start + rest.len())
}

/// Length of `-1.5e+3` and the like; a `.` that no digit follows belongs to what comes next.
fn number_length(rest: &str) -> usize {
    let digits = |from: usize| length_while(&rest[from..], |c| c.is_ascii_digit());
    let mut len = usize::from(rest.starts_with('-'));
    len += digits(len);
    if rest[len..].starts_with('.') && digits(len + 1) > 0 {
        len += 1 + digits(len + 1);
    }
    if rest[len..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[len + 1..].starts_with(['+', '-']));
        if digits(len + 1 + sign) > 0 {
            len += 1 + sign + digits(len + 1 + sign);
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<ExpressionToken> {
        let mut at = 0;
        let mut words = Vec::new();
        loop {
            match word_at(text, at) {
                (ExpressionToken::End, _) => return words,
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
                ExpressionToken::Name("row".into()),
                ExpressionToken::Symbol("."),
                ExpressionToken::Name("n".into()),
                ExpressionToken::Symbol(">="),
                ExpressionToken::Number("-1.5".into()),
                ExpressionToken::Name("and".into()),
                ExpressionToken::Name("x".into()),
                ExpressionToken::Symbol("~="),
                ExpressionToken::Text("it's".into()),
            ]
        );
    }

    #[test]
    fn characters_of_any_width_are_words_of_their_own() {
        assert_eq!(words("؋1"), [ExpressionToken::Stray('؋'), ExpressionToken::Number("1".into())]);
        assert_eq!(words("é €"), [ExpressionToken::Name("é".into()), ExpressionToken::Stray('€')]);
    }

    #[test]
    fn empty_and_open_strings_differ() {
        assert_eq!(words("''"), [ExpressionToken::Text(String::new())]);
        assert_eq!(words("'abc"), [ExpressionToken::OpenText]);
        assert_eq!(
            words("é\" '"),
            [
                ExpressionToken::Name("é".into()),
                ExpressionToken::Stray('"'),
                ExpressionToken::OpenText
            ]
        );
    }
}
