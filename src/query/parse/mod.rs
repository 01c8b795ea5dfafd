//! The grammar, by recursive descent: text in, [`ParsedQuery`] out, or one fault that says what was
//! expected where.
//!
//! A keyword is one only where the grammar expects it, so that `LIMITS` can be a verb and `value` an
//! alias. Nesting and length are bounded: no text can exhaust the stack.

mod condition;
mod expression;
mod foreign;
mod pattern;
mod value;

use super::lex::{self, QueryToken};
use super::pattern::RegexCache;
use super::syntax::*;
use crate::lang::{Diagnostic, SourceText, closest};
use std::sync::Arc;

/// Longest query, in bytes.
const LENGTH_MAX: usize = 1 << 16;
/// Deepest nesting of brackets.
const DEPTH_MAX: u32 = 50;
/// Most steps of a query, and most operators in one sum: each is a call deeper on the stack.
const CHAIN_MAX: usize = 200;

/// Words that begin the next part of a query and so can be neither alias nor selector.
pub(super) const CLAUSES: [&str; 10] =
    ["FIND", "THAT", "WITH", "WHERE", "RETURN", "HAVING", "ORDER", "SKIP", "LIMIT", "AS"];

type QueryParseResult<T> = Result<T, Box<Diagnostic>>;

/// Reads a query. `now` is the time of `date.now`, in epoch milliseconds; `strict` refuses extensions
/// of J1QL; `patterns` are the regular expressions of the whole query.
pub(super) fn parse(
    source: &Arc<SourceText>,
    now: i64,
    strict: bool,
    patterns: &RegexCache,
) -> QueryParseResult<ParsedQuery> {
    let text = &source.text;
    let mut parser = QueryParser { source, text, at: 0, last: 0, depth: 0, now, strict, patterns };
    if source.text.len() > LENGTH_MAX {
        let message = format!("query of {} bytes is too long", source.text.len());
        let fault = Diagnostic::error("Q0107", source, message);
        return Err(Box::new(fault.help(format!("at most {LENGTH_MAX} bytes are read"))));
    }
    let query = parser.query()?;
    // Other languages end a query with `;`, so it may stand here.
    while parser.eat_symbol(";") {}
    match parser.peek() {
        QueryToken::End => Ok(query),
        _ => {
            Err(parser
                .unexpected("`THAT`, `(THAT`, `WHERE`, `RETURN`, `ORDER BY`, `LIMIT` or the end"))
        }
    }
}

/// Reads a list of verbs alone, as the definition of a set has it.
pub(super) fn verbs(source: &Arc<SourceText>) -> QueryParseResult<Vec<VerbPattern>> {
    let text = &source.text;
    let patterns = &RegexCache::new(None);
    // A list of verbs holds no dates, and the project may use extensions.
    let (now, strict) = (0, false);
    let mut parser = QueryParser { source, text, at: 0, last: 0, depth: 0, now, strict, patterns };
    let verbs = parser.verb_list()?;
    match parser.peek() {
        QueryToken::End => Ok(verbs),
        _ => Err(parser.unexpected("`|` or the end")),
    }
}

struct QueryParser<'a> {
    source: &'a Arc<SourceText>,
    text: &'a str,
    /// The byte at which the next word is looked for.
    at: usize,
    /// The byte at which the last word ended.
    last: usize,
    depth: u32,
    now: i64,
    strict: bool,
    patterns: &'a RegexCache,
}

impl QueryParser<'_> {
    fn peek(&self) -> QueryToken {
        // Words are read again each time: the meaning of a `/` depends on what the grammar expects.
        lex::word_at(self.text, self.at).0
    }

    fn here(&self) -> TextSpan {
        lex::word_at(self.text, self.at).1
    }

    /// The word after the next one.
    fn second(&self) -> QueryToken {
        lex::word_at(self.text, self.here().end).0
    }

    fn next(&mut self) -> (QueryToken, TextSpan) {
        let (word, span) = lex::word_at(self.text, self.at);
        self.at = span.end;
        self.last = span.end;
        (word, span)
    }

    fn since(&self, start: usize) -> TextSpan {
        start..self.last.max(start)
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), QueryToken::Symbol(s) if s == symbol)
    }

    fn eat_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.next();
        }
        found
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), QueryToken::Name(name) if name.eq_ignore_ascii_case(keyword))
    }

    fn eat_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        if found {
            self.next();
        }
        found
    }

    fn expect_symbol(&mut self, symbol: &str) -> QueryParseResult<()> {
        match self.eat_symbol(symbol) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{symbol}`"))),
        }
    }

    fn fault(&self, code: &'static str, message: impl Into<String>, at: TextSpan) -> Diagnostic {
        Diagnostic::error(code, self.source, message).at(at, "")
    }

    /// The fault of a word that cannot stand here, with advice on known mistakes.
    fn unexpected(&self, expected: &str) -> Box<Diagnostic> {
        let (word, span) = lex::word_at(self.text, self.at);
        let quoted = &self.text[span.clone()];
        let (line, column) = self.source.place(span.start);
        let one_line = format!("Unexpected token \"{quoted}\" at line {line} column {column}");
        let fault = match word {
            QueryToken::End => {
                let message = format!("the query ends, expected {expected}");
                return Box::new(self.fault("Q0101", message, span));
            }
            QueryToken::OpenText => {
                let fault = self.fault("Q0102", "string is not closed", span);
                return Box::new(fault.help("end it with the quote it began with"));
            }
            QueryToken::Stray('\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}') => {
                let curly = |c: char| ('\u{2018}'..='\u{201f}').contains(&c);
                let inside = &self.text[span.end..];
                // The whole string is mended at once, if it ends on this line.
                let close = inside.char_indices().find(|(_, c)| curly(*c) || *c == '\n');
                let (range, mended) = match close {
                    Some((len, c)) if curly(c) => {
                        let end = span.end + len + c.len_utf8();
                        (span.start..end, format!("'{}'", &inside[..len]))
                    }
                    _ => (span.clone(), "'".to_owned()),
                };
                self.fault("Q0104", format!("`{quoted}` is no quote here"), span)
                    .note("editors and chats turn straight quotes into curly ones")
                    .patch("use straight quotes", range, mended)
            }
            QueryToken::Symbol("=>") => self
                .fault("Q0101", "unknown operator `=>`".to_string(), span.clone())
                .patch("write `>=`", span, ">="),
            QueryToken::Symbol("==") => self
                .fault("Q0101", "unknown operator `==`".to_string(), span.clone())
                .patch("one `=` compares", span, "="),
            _ => {
                let message = format!("unexpected `{quoted}`, expected {expected}");
                let fault = self.fault("Q0101", message, span.clone());
                self.advise(fault, &word, span)
            }
        };
        Box::new(fault.note(one_line))
    }

    /// Adds advice for a word that people often write in such a place.
    fn advise(&self, fault: Diagnostic, word: &QueryToken, at: TextSpan) -> Diagnostic {
        let QueryToken::Name(name) = word else {
            return match word {
                QueryToken::Symbol("=" | "!=" | ">" | "<" | "~=") => {
                    fault.help("a condition stands behind WITH, as in `User WITH active = true`")
                }
                QueryToken::Symbol("&") => fault.help("write AND"),
                QueryToken::Symbol("|") => {
                    fault.help("alternatives stand in brackets: `(User|Person)`, `(HAS|OWNS)`")
                }
                QueryToken::Symbol("/") => fault.help("comments are written `/* ... */`"),
                QueryToken::Stray('`') => fault.help("names stand bare, texts in straight quotes"),
                QueryToken::Stray('\\') => fault.help("quotes are escaped inside of a text only"),
                _ => fault,
            };
        };
        let elsewhere = match name.to_ascii_uppercase().as_str() {
            "UNION" => "ask two queries; alternatives of one stand in `(A|B)`",
            "GROUP" => "columns of RETURN without an aggregate are the group",
            "CONTAINS" => "`~=` contains",
            "STARTS" | "STARTSWITH" => "`^=` begins with",
            "ENDS" | "ENDSWITH" => "`$=` ends with",
            "IS" => "`= undefined` is absent, `!= undefined` is there",
            _ => "",
        };
        if !elsewhere.is_empty() {
            return fault.help(elsewhere);
        }
        match closest(name, CLAUSES) {
            // A keyword in the wrong place is not misspelled.
            Some(near) if near.eq_ignore_ascii_case(name) => {}
            Some(near) => return fault.patch(format!("did you mean `{near}`?"), at, near),
            // A verb where the next step should begin.
            None if name.chars().all(|c| c.is_uppercase() || c == '_') && name.len() > 3 => {
                let step = format!("THAT {name}");
                return fault.patch("a step begins with THAT", at, step);
            }
            None => {}
        }
        match name.to_ascii_uppercase().as_str() {
            "WITH" => fault.help("join conditions with AND or OR; WITH stands once, before AS"),
            "AND" | "OR" => {
                fault.help("the condition of WITH ends at AS: write `WITH a = 1 AND b = 2 AS name`")
            }
            _ => fault,
        }
    }

    /// Refuses an extension of J1QL if the query must be strict.
    fn extension(&self, what: &str, at: TextSpan) -> QueryParseResult<()> {
        match self.strict {
            true => Err(Box::new(
                self.fault("Q0110", format!("{what} is not J1QL"), at)
                    .help("leave out --strict to use it here; other engines cannot read it"),
            )),
            false => Ok(()),
        }
    }

    /// Refuses a chain that is too long.
    fn room(&self, count: usize, what: &str) -> QueryParseResult<()> {
        match count > CHAIN_MAX {
            true => {
                let message = format!("more than {CHAIN_MAX} {what} in a row");
                Err(Box::new(self.fault("Q0107", message, self.here())))
            }
            false => Ok(()),
        }
    }

    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> QueryParseResult<T>,
    ) -> QueryParseResult<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} brackets are open");
            return Err(Box::new(self.fault("Q0107", message, self.here())));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn query(&mut self) -> QueryParseResult<ParsedQuery> {
        let start = self.here().start;
        if !self.eat_keyword("FIND") && !matches!(self.peek(), QueryToken::Text(_)) {
            return Err(match foreign::advice(self.text) {
                // Another language fills the whole text; a query in brackets begins elsewhere.
                Some((language, advice)) if start == lex::word_at(self.text, 0).1.start => {
                    let message = format!("this is {language}, expected `FIND`");
                    Box::new(self.fault("Q0101", message, self.here()).help(advice))
                }
                _ => self.unexpected("`FIND`"),
            });
        }
        let unique = self.modifier("UNIQUE");
        let at = self.here();
        let shortest = match self.modifier("SHORTEST") {
            true => {
                let all = self.modifier("ALL");
                let span = self.since(at.start);
                self.extension("`SHORTEST`", span.clone())?;
                Some(ShortestClause { all, span })
            }
            false => None,
        };
        let mut query = ParsedQuery {
            unique,
            shortest,
            start: self.entity()?,
            elements: self.elements()?,
            filter: None,
            returns: ReturnClause::List,
            having: None,
            order: Vec::new(),
            skip: None,
            limit: None,
            at: None,
            span: start..start,
        };
        while self.clause(&mut query)? {}
        query.span = self.since(start);
        Ok(query)
    }

    /// Eats a word before the selector. A class may have that name too: it is the modifier only if
    /// a selector follows.
    fn modifier(&mut self, word: &str) -> bool {
        let found = self.is_keyword(word)
            && match self.second() {
                QueryToken::Name(name) => !self.continues(&name),
                QueryToken::Text(_) | QueryToken::Hole(_) | QueryToken::Symbol("*" | "(" | "#") => {
                    true
                }
                _ => false,
            };
        if found {
            self.next();
        }
        found
    }

    /// One of the clauses after the pattern; false if none stands here.
    fn clause(&mut self, query: &mut ParsedQuery) -> QueryParseResult<bool> {
        let at = self.here();
        let twice = |parser: &Self, there: bool, what: &str| match there {
            true => Err(Box::new(parser.fault("Q0101", format!("second `{what}`"), at.clone()))),
            false => Ok(()),
        };
        if self.eat_keyword("WHERE") {
            twice(self, query.filter.is_some(), "WHERE")?;
            query.filter = Some(self.cond()?);
        } else if self.eat_keyword("RETURN") {
            twice(self, !matches!(query.returns, ReturnClause::List), "RETURN")?;
            query.returns = self.returns()?;
        } else if self.eat_keyword("HAVING") {
            twice(self, query.having.is_some(), "HAVING")?;
            query.having = Some(self.cond()?);
        } else if self.eat_keyword("ORDER") {
            if !self.eat_keyword("BY") {
                return Err(self.unexpected("`BY`"));
            }
            twice(self, !query.order.is_empty(), "ORDER BY")?;
            query.order = self.sorts()?;
        } else if self.eat_keyword("SKIP") {
            query.skip = Some(self.whole_number()?);
        } else if self.eat_keyword("LIMIT") {
            query.limit = Some(self.whole_number()?);
        } else if self.is_keyword("AT") {
            self.next();
            twice(self, query.at.is_some(), "AT")?;
            query.at = Some(self.text_value("a point in the past in quotes: '2026-11-24', '3d'")?);
            self.extension("`AT`", self.since(at.start))?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn whole_number(&mut self) -> QueryParseResult<u64> {
        match self.peek() {
            QueryToken::Number(digits) if digits.parse::<u64>().is_ok() => {
                self.next();
                Ok(digits.parse().unwrap_or(u64::MAX))
            }
            _ => Err(self.unexpected("a whole number")),
        }
    }

    /// True if a name begins the next part of the query.
    fn continues(&self, name: &str) -> bool {
        let mut words = CLAUSES.iter().chain(&["OR", "IN"]);
        words.any(|word| word.eq_ignore_ascii_case(name))
    }

    /// The name of a verb, class or type; in square brackets it may have any characters.
    fn graph_name(&mut self, expected: &str) -> QueryParseResult<SpannedName> {
        if !self.is_symbol("[") {
            return self.name(expected);
        }
        let start = self.here().start;
        let text = self.part()?;
        let span = self.since(start);
        if text.is_empty() {
            return Err(Box::new(self.fault("Q0101", "there is no name in the brackets", span)));
        }
        self.extension("a name in square brackets", span.clone())?;
        Ok(SpannedName { text, span })
    }

    fn name(&mut self, expected: &str) -> QueryParseResult<SpannedName> {
        match self.peek() {
            QueryToken::Name(name)
                if !CLAUSES.iter().any(|word| word.eq_ignore_ascii_case(&name)) =>
            {
                let (_, span) = self.next();
                Ok(SpannedName { text: name, span })
            }
            _ => Err(self.unexpected(expected)),
        }
    }
}

/// The only one of `all`, or all of them together.
fn one_or<T>(mut all: Vec<T>, join: impl FnOnce(Vec<T>) -> T) -> T {
    match all.len() {
        1 => all.remove(0),
        _ => join(all),
    }
}
