//! Words of J1QL, with the bytes they stand on.
//!
//! Lexing never fails: a character that begins no word becomes [`QueryToken::Stray`]. The parser makes the
//! fault, since it knows which word it expected. A `/` divides unless the parser asks for a value
//! there; then it opens a regular expression.

use std::ops::Range;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum QueryToken {
    /// A name or keyword.
    Name(String),
    /// A string, without its quotes and escapes.
    Text(String),
    /// A string whose closing quote is missing.
    OpenText,
    /// Digits with an optional fraction and power of ten, as written.
    Number(String),
    /// A placeholder: `{{name}}`, `${name}`, `${ param.name }`, `$name` or `{name}`.
    Hole(String),
    /// An operator or bracket.
    Symbol(&'static str),
    /// A character that begins no word.
    Stray(char),
    /// The end of the text.
    End,
}

/// Longer symbols stand before their prefixes.
const SYMBOLS: [&str; 35] = [
    "!~=", "!^=", "!$=", "!=", "~=", "^=", "$=", ">=", "<=", "=>", "==", ">>", "<<", "=", "<", ">",
    "(", ")", "[", "]", "{", "}", ",", ".", "*", "#", "|", "!", "?", "+", "-", "/", "^", "&", ";",
];

/// Reads the word at or after byte `from` of `text`.
pub(super) fn word_at(text: &str, from: usize) -> (QueryToken, Range<usize>) {
    let start = skip_space(text, from);
    let rest = &text[start..];
    let Some(first) = rest.chars().next() else { return (QueryToken::End, start..start) };
    let up_to = |len: usize| start..start + len;
    if first.is_alphabetic() || first == '_' || first == '@' {
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | ':');
        let len = rest.find(|c| !part(c)).unwrap_or(rest.len());
        return (QueryToken::Name(rest[..len].to_owned()), up_to(len));
    }
    if first.is_ascii_digit() {
        let len = number_length(rest);
        return (QueryToken::Number(rest[..len].to_owned()), up_to(len));
    }
    if first == '\'' || first == '"' {
        return match quoted(rest, first) {
            Some((value, len)) => (QueryToken::Text(value), up_to(len)),
            None => (QueryToken::OpenText, start..text.len()),
        };
    }
    if let Some((name, len)) = hole(rest) {
        return (QueryToken::Hole(name), up_to(len));
    }
    match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        Some(symbol) => (QueryToken::Symbol(symbol), up_to(symbol.len())),
        None => (QueryToken::Stray(first), up_to(first.len_utf8())),
    }
}

/// The first byte at or after `from` that is neither space nor comment. A comment that is never
/// closed is no comment: the parser reports its `/`.
fn skip_space(text: &str, from: usize) -> usize {
    let mut at = from;
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start_matches(space).len();
        let Some(comment) = text[at..].strip_prefix("/*") else { return at };
        let Some(len) = comment.find("*/") else { return at };
        at += len + 4;
    }
}

/// True if a character only separates words; pasted text may hold marks that nobody sees.
fn space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}')
}

/// Length of a number; a `.` that no digit follows belongs to what comes next, and so does an `e`.
fn number_length(rest: &str) -> usize {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut len = digits(rest);
    if let Some(fraction) = rest[len..].strip_prefix('.').map(digits).filter(|n| *n > 0) {
        len += 1 + fraction;
    }
    let Some(power) = rest[len..].strip_prefix(['e', 'E']) else { return len };
    let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
    let end = digits(unsigned);
    // `2e5x` is a number and a word, so the `e` is no power there.
    let word = unsigned[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    match end > 0 && !word {
        true => rest.len() - unsigned.len() + end,
        false => len,
    }
}

/// The value and length of the string that `rest` begins with. A backslash escapes quotes and
/// itself; before anything else it stands for itself.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, at + 1)),
            '\\' => match chars.next_if(|(_, next)| matches!(next, '\'' | '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    None
}

/// The name and length of the placeholder that `rest` begins with. `{1,3}` is none.
fn hole(rest: &str) -> Option<(String, usize)> {
    if let Some(name) = rest.strip_prefix('$').filter(|name| !name.starts_with('{')) {
        let len = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        return (len > 0).then(|| (name[..len].to_owned(), 1 + len));
    }
    let (open, close) = [("{{", "}}"), ("${", "}"), ("{", "}")]
        .into_iter()
        .find(|(open, _)| rest.starts_with(open))?;
    let inside = &rest[open.len()..];
    let len = inside.find(close)?;
    let name = inside[..len].trim();
    // A quantifier such as `{1,3}` stands in the same brackets as a placeholder.
    let fits = name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '@'))
        && !name.contains(['{', '}', '\n', '(', '=']);
    let name = name.strip_prefix("param.").unwrap_or(name);
    fits.then(|| (name.to_owned(), open.len() + len + close.len()))
}

/// The pattern, flags and length of the regular expression that `rest` begins with.
pub(super) fn regex(rest: &str) -> Option<(&str, &str, usize)> {
    let inside = rest.strip_prefix('/')?;
    let mut escaped = false;
    let mut class = false;
    let end = inside.char_indices().find_map(|(at, c)| {
        let ends = c == '/' && !escaped && !class;
        // A `/` in a class such as `[/]` does not end the pattern, as in JavaScript.
        class = (class || c == '[' && !escaped) && (c != ']' || escaped);
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })?;
    let after = &inside[end + 1..];
    let flags = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
    Some((&inside[..end], &after[..flags], end + 2 + flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let (mut at, mut words) = (0, Vec::new());
        loop {
            let (word, range) = word_at(text, at);
            if word == QueryToken::End {
                return words.join(" ");
            }
            words.push(text[range.clone()].to_owned());
            at = range.end;
        }
    }

    #[test]
    fn dates_and_operators_need_no_space() {
        assert_eq!(words("date.now-24hours"), "date . now - 24 hours");
        assert_eq!(words("a!~='x'>>b<=1.5days"), "a !~= 'x' >> b <= 1.5 days");
        assert_eq!(words("a /* no > word */ . b"), "a . b");
        assert_eq!(words("a>1e3 b<-2.5E-7,1e 2e5x"), "a > 1e3 b < - 2.5E-7 , 1 e 2 e5x");
    }

    #[test]
    fn strings_escape_quotes_and_keep_other_backslashes() {
        let text = |source| word_at(source, 0).0;
        assert_eq!(text(r#"'it\'s'"#), QueryToken::Text("it's".into()));
        assert_eq!(text(r#""a\d\\""#), QueryToken::Text(r"a\d\".into()));
        assert_eq!(text("'open"), QueryToken::OpenText);
    }

    #[test]
    fn placeholders_have_many_spellings_and_a_quantifier_is_none() {
        let hole = |source| word_at(source, 0).0;
        assert_eq!(hole("{{a b}}"), QueryToken::Hole("a b".into()));
        assert_eq!(hole("${x}"), QueryToken::Hole("x".into()));
        assert_eq!(hole("{{@domain.com}}"), QueryToken::Hole("@domain.com".into()));
        assert_eq!(hole("${ param.x }"), QueryToken::Hole("x".into()));
        assert_eq!(hole("$x_1)"), QueryToken::Hole("x_1".into()));
        assert_eq!(hole("{1,3}"), QueryToken::Symbol("{"));
        assert_eq!(hole("{,3}"), QueryToken::Symbol("{"));
    }

    #[test]
    fn a_slash_in_a_class_or_behind_a_backslash_does_not_end_a_regex() {
        assert_eq!(regex(r"/a[/]\/b/i AND"), Some((r"a[/]\/b", "i", 10)));
        assert_eq!(regex("/open"), None);
    }
}
