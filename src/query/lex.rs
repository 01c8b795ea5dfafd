//! Words of J1QL: the table of its lexer, placeholders and regular expressions.
//!
//! A `/` divides unless the parser asks for a value there; then it opens a regular expression.

use crate::lang::{LexDialect, LexToken, QuoteEscape, token_at};
use std::ops::Range;

/// One word. A [`LexToken::Hole`] is a placeholder: `{{name}}`, `${name}`, `${ param.name }`, `$name` or
/// `{name}`.
pub(super) type QueryToken = LexToken;

const J1QL: LexDialect = LexDialect {
    symbols: &[
        "!~=", "!^=", "!$=", "!=", "~=", "^=", "$=", ">=", "<=", "=>", "==", ">>", "<<", "=", "<",
        ">", "(", ")", "[", "]", "{", "}", ",", ".", "*", "#", "|", "!", "?", "+", "-", "/", "^",
        "&", ";",
    ],
    quotes: &['\'', '"'],
    escape: QuoteEscape::Backslash,
    name_start: &['_', '@'],
    name_part: &['_', '@', ':'],
    // Pasted text may hold marks that nobody sees.
    blanks: &['\u{feff}', '\u{200b}'],
    comments: true,
    signed: false,
    power_ends: true,
    hole,
};

/// Reads the word at or after byte `from` of `text`.
pub(super) fn word_at(text: &str, from: usize) -> (QueryToken, Range<usize>) {
    token_at(text, from, &J1QL)
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
