//! The grammar, by recursive descent: text in, [`Query`] out, or one fault that says what was
//! expected where.
//!
//! Keywords are words only where the grammar waits for them, so that `LIMITS` is a verb and `value`
//! an alias. Nesting and length are bounded: no text can exhaust the stack.

use super::date;
use super::lex::{self, Word};
use super::syntax::*;
use crate::graph::Value;
use crate::lang::{Fault, Source, closest};
use std::sync::Arc;

/// Longest query, in bytes.
const LENGTH_MAX: usize = 1 << 16;
/// Deepest nesting of brackets.
const DEPTH_MAX: u32 = 50;
/// Most steps of a query, and most operators in one sum: each is a call deeper on the stack.
const CHAIN_MAX: usize = 200;
/// Largest upper bound of a quantifier.
const REPEAT_MAX: u32 = 100;

/// Words that begin the next part of a query and so can be neither alias nor selector.
const CLAUSES: [&str; 10] =
    ["FIND", "THAT", "WITH", "WHERE", "RETURN", "HAVING", "ORDER", "SKIP", "LIMIT", "AS"];

type Parsed<T> = Result<T, Box<Fault>>;

/// Reads a query. `now` is what `date.now` means, in epoch milliseconds; `strict` refuses what
/// J1QL does not have.
pub(super) fn parse(source: &Arc<Source>, now: i64, strict: bool) -> Parsed<Query> {
    let mut parser = Parser { source, text: &source.text, at: 0, last: 0, depth: 0, now, strict };
    if source.text.len() > LENGTH_MAX {
        let message = format!("query of {} bytes is too long", source.text.len());
        let fault = Fault::error("Q0107", source, message);
        return Err(Box::new(fault.help(format!("at most {LENGTH_MAX} bytes are read"))));
    }
    let query = parser.query()?;
    parser.eat_symbol(";");
    match parser.peek() {
        Word::End => Ok(query),
        _ => {
            Err(parser
                .unexpected("`THAT`, `(THAT`, `WHERE`, `RETURN`, `ORDER BY`, `LIMIT` or the end"))
        }
    }
}

struct Parser<'a> {
    source: &'a Arc<Source>,
    text: &'a str,
    /// Where the next word is looked for.
    at: usize,
    /// Where the last word ended.
    last: usize,
    depth: u32,
    now: i64,
    strict: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Word {
        lex::word_at(self.text, self.at).0
    }

    fn here(&self) -> Span {
        lex::word_at(self.text, self.at).1
    }

    /// The word after the next one.
    fn second(&self) -> Word {
        lex::word_at(self.text, self.here().end).0
    }

    fn next(&mut self) -> (Word, Span) {
        let (word, span) = lex::word_at(self.text, self.at);
        self.at = span.end;
        self.last = span.end;
        (word, span)
    }

    fn since(&self, start: usize) -> Span {
        start..self.last.max(start)
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Word::Symbol(s) if s == symbol)
    }

    fn eat_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.next();
        }
        found
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Word::Name(name) if name.eq_ignore_ascii_case(keyword))
    }

    fn eat_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        if found {
            self.next();
        }
        found
    }

    fn expect_symbol(&mut self, symbol: &str) -> Parsed<()> {
        match self.eat_symbol(symbol) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{symbol}`"))),
        }
    }

    fn fault(&self, code: &'static str, message: impl Into<String>, at: Span) -> Fault {
        Fault::error(code, self.source, message).at(at, "")
    }

    /// The fault of a word that cannot stand here, with what is known about such mistakes.
    fn unexpected(&self, expected: &str) -> Box<Fault> {
        let (word, span) = lex::word_at(self.text, self.at);
        let quoted = &self.text[span.clone()];
        let (line, column) = self.source.place(span.start);
        let one_line = format!("Unexpected token \"{quoted}\" at line {line} column {column}");
        let fault = match word {
            Word::End => {
                let message = format!("the query ends, expected {expected}");
                return Box::new(self.fault("Q0101", message, span));
            }
            Word::OpenText => {
                let fault = self.fault("Q0102", "string is not closed", span);
                return Box::new(fault.help("end it with the quote it began with"));
            }
            Word::Stray('\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}') => {
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
            Word::Symbol("=>") => self
                .fault("Q0101", "unknown operator `=>`".to_string(), span.clone())
                .patch("write `>=`", span, ">="),
            Word::Symbol("==") => self
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

    /// Adds what is known about a word that people write in such a place.
    fn advise(&self, fault: Fault, word: &Word, at: Span) -> Fault {
        let Word::Name(name) = word else {
            return match word {
                Word::Symbol("=" | "!=" | ">" | "<" | "~=") => {
                    fault.help("a condition stands behind WITH, as in `User WITH active = true`")
                }
                Word::Symbol("&") => fault.help("write AND"),
                _ => fault,
            };
        };
        match closest(name, CLAUSES) {
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

    /// Refuses what J1QL does not have where only J1QL is wanted.
    fn extension(&self, what: &str, at: Span) -> Parsed<()> {
        match self.strict {
            true => Err(Box::new(
                self.fault("Q0110", format!("{what} is not J1QL"), at)
                    .help("leave out --strict to use it here; other engines cannot read it"),
            )),
            false => Ok(()),
        }
    }

    /// Refuses a chain that is too long.
    fn room(&self, count: usize, what: &str) -> Parsed<()> {
        match count > CHAIN_MAX {
            true => {
                let message = format!("more than {CHAIN_MAX} {what} in a row");
                Err(Box::new(self.fault("Q0107", message, self.here())))
            }
            false => Ok(()),
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} brackets are open");
            return Err(Box::new(self.fault("Q0107", message, self.here())));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn query(&mut self) -> Parsed<Query> {
        let start = self.here().start;
        if !self.eat_keyword("FIND") && !matches!(self.peek(), Word::Text(_)) {
            return Err(self.unexpected("`FIND`"));
        }
        let unique = self.modifier("UNIQUE");
        let at = self.here();
        let shortest = match self.modifier("SHORTEST") {
            true => {
                let all = self.modifier("ALL");
                let span = self.since(at.start);
                self.extension("`SHORTEST`", span.clone())?;
                Some(Shortest { all, span })
            }
            false => None,
        };
        let mut query = Query {
            unique,
            shortest,
            start: self.entity()?,
            elements: self.elements()?,
            filter: None,
            returns: Returns::List,
            having: None,
            order: Vec::new(),
            skip: None,
            limit: None,
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
                Word::Name(name) => !self.continues(&name),
                Word::Text(_) | Word::Hole(_) | Word::Symbol("*" | "(" | "#") => true,
                _ => false,
            };
        if found {
            self.next();
        }
        found
    }

    /// One of the clauses after the pattern; false if none stands here.
    fn clause(&mut self, query: &mut Query) -> Parsed<bool> {
        let at = self.here();
        let twice = |parser: &Self, there: bool, what: &str| match there {
            true => Err(Box::new(parser.fault("Q0101", format!("second `{what}`"), at.clone()))),
            false => Ok(()),
        };
        if self.eat_keyword("WHERE") {
            twice(self, query.filter.is_some(), "WHERE")?;
            query.filter = Some(self.cond()?);
        } else if self.eat_keyword("RETURN") {
            twice(self, !matches!(query.returns, Returns::List), "RETURN")?;
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
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn whole_number(&mut self) -> Parsed<u64> {
        match self.peek() {
            Word::Number(digits) if digits.parse::<u64>().is_ok() => {
                self.next();
                Ok(digits.parse().unwrap_or(u64::MAX))
            }
            _ => Err(self.unexpected("a whole number")),
        }
    }

    fn entity(&mut self) -> Parsed<EntityPattern> {
        let alternatives = match self.eat_symbol("(") {
            true => {
                let mut all = vec![self.alternative()?];
                while self.eat_symbol("|") || self.eat_keyword("OR") {
                    all.push(self.alternative()?);
                }
                self.expect_symbol(")")?;
                all
            }
            false => vec![self.alternative()?],
        };
        let scope = self.in_scope()?;
        let with = match self.eat_keyword("WITH") {
            true => Some(self.cond()?),
            false => None,
        };
        let alias = self.alias()?;
        if let Some(alias) = &alias
            && with.is_none()
            && self.is_keyword("WITH")
        {
            let at = self.here();
            let (line, column) = self.source.place(at.start);
            let fault = self
                .fault("Q0105", "`AS` stands before `WITH`", at.clone())
                .context(alias.span.clone(), "move this behind the condition")
                .note(format!("Unexpected token \"WITH\" at line {line} column {column}"))
                .help(format!("write `WITH ... AS {}`", alias.text));
            return Err(Box::new(fault));
        }
        Ok(EntityPattern { alternatives, scope, with, alias })
    }

    fn in_scope(&mut self) -> Parsed<Option<Text>> {
        let scoped = self.is_keyword("IN")
            && matches!(self.second(), Word::Name(name) if name.eq_ignore_ascii_case("SCOPE"));
        if !scoped {
            return Ok(None);
        }
        let start = self.here();
        self.next();
        self.next();
        self.extension("`IN SCOPE`", self.since(start.start))?;
        self.text_value("the name of a scope in quotes").map(Some)
    }

    fn text_value(&mut self, expected: &str) -> Parsed<Text> {
        match self.peek() {
            Word::Text(_) | Word::Hole(_) => {
                let (word, span) = self.next();
                match word {
                    Word::Hole(text) => Ok(Text { text, hole: true, span }),
                    Word::Text(text) => Ok(Text { text, hole: false, span }),
                    _ => Err(self.unexpected(expected)),
                }
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn alternative(&mut self) -> Parsed<Alternative> {
        match self.peek() {
            Word::Symbol("*") => {
                self.next();
                Ok(Alternative::Any)
            }
            Word::Text(_) | Word::Hole(_) => self.text_value("a selector").map(Alternative::Text),
            Word::Symbol("#") => {
                self.next();
                let smart = self.name("the name of a smart class")?;
                let of = matches!(self.peek(), Word::Name(name) if !self.continues(&name));
                match of {
                    true => Ok(Alternative::SmartOf(smart, self.name("a class or type")?)),
                    false => Ok(Alternative::Smart(smart)),
                }
            }
            _ => self.name("a class, a type, `*`, a text in quotes or `(`").map(Alternative::Name),
        }
    }

    /// Whether a name begins the next part of the query.
    fn continues(&self, name: &str) -> bool {
        let mut words = CLAUSES.iter().chain(&["OR", "IN"]);
        words.any(|word| word.eq_ignore_ascii_case(name))
    }

    fn name(&mut self, expected: &str) -> Parsed<Named> {
        match self.peek() {
            Word::Name(name) if !CLAUSES.iter().any(|word| word.eq_ignore_ascii_case(&name)) => {
                let (_, span) = self.next();
                Ok(Named { text: name, span })
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn alias(&mut self) -> Parsed<Option<Named>> {
        match self.eat_keyword("AS") {
            true => self.name("an alias").map(Some),
            false => Ok(None),
        }
    }

    /// Steps and groups, as many as stand here.
    fn elements(&mut self) -> Parsed<Vec<Element>> {
        let mut elements = Vec::new();
        loop {
            self.room(elements.len(), "steps")?;
            if self.is_keyword("THAT") {
                elements.push(self.step()?);
            } else if self.is_symbol("(") && self.group_follows() {
                elements.push(self.group()?);
            } else {
                return Ok(elements);
            }
        }
    }

    /// Whether the bracket here opens a group: `THAT` follows it, or another such bracket.
    fn group_follows(&self) -> bool {
        let mut at = self.at;
        loop {
            let (word, span) = lex::word_at(self.text, at);
            match word {
                Word::Symbol("(") => at = span.end,
                Word::Name(name) => return name.eq_ignore_ascii_case("THAT"),
                _ => return false,
            }
        }
    }

    fn group(&mut self) -> Parsed<Element> {
        let elements = self.nested(|parser| {
            parser.expect_symbol("(")?;
            let elements = parser.elements()?;
            if elements.is_empty() {
                return Err(parser.unexpected("`THAT`"));
            }
            match parser.eat_symbol(")") {
                true => Ok(elements),
                false => Err(parser.unexpected("`THAT` or `)`")),
            }
        })?;
        let (least, most) = match self.eat_symbol("?") {
            true => (0, 1),
            false => match self.quantifier()? {
                Some(bounds) => bounds,
                None => return Err(self.unexpected("`?` or `{1,3}` after a group in brackets")),
            },
        };
        let alias = self.alias()?;
        Ok(Element::Group { elements, least, most, alias })
    }

    /// `{2}`, `{1,4}`, `{,4}`.
    fn quantifier(&mut self) -> Parsed<Option<(u32, u32)>> {
        if !self.is_symbol("{") {
            return Ok(None);
        }
        let start = self.here().start;
        self.next();
        let bound = |parser: &mut Self| match parser.peek() {
            Word::Number(digits) => {
                let at = parser.here();
                let number = digits.parse::<u32>().ok().filter(|n| *n <= REPEAT_MAX);
                parser.next();
                number.map(Some).ok_or_else(|| {
                    let message = format!("`{digits}` is no bound from 0 to {REPEAT_MAX}");
                    Box::new(parser.fault("Q0108", message, at))
                })
            }
            _ => Ok(None),
        };
        let least = bound(self)?;
        let most = match self.eat_symbol(",") {
            true => bound(self)?,
            false => least,
        };
        let Some(most) = most else {
            return Err(self.unexpected("the upper bound, as in `{1,4}`"));
        };
        self.expect_symbol("}")?;
        let span = self.since(start);
        self.extension("a quantifier", span.clone())?;
        let least = least.unwrap_or(1);
        if least > most || most == 0 {
            let message = format!("`{}` asks for nothing", &self.text[span.clone()]);
            return Err(Box::new(self.fault("Q0108", message, span)));
        }
        Ok(Some((least, most)))
    }

    fn step(&mut self) -> Parsed<Element> {
        let start = self.here().start;
        self.next();
        if self.is_symbol("!") && self.negated_chain_follows() {
            self.next();
            let at = self.here();
            self.extension("a negated chain in brackets", at)?;
            return self.nested(|parser| {
                parser.expect_symbol("(")?;
                let elements = parser.elements()?;
                parser.expect_symbol(")")?;
                Ok(Element::Not(elements))
            });
        }
        let negated = self.eat_symbol("!");
        let nearest = self.nearest()?;
        if self.is_symbol(">>") || self.is_symbol("<<") {
            let at = self.here();
            let fault = self.fault("Q0106", "the arrow stands before the verb", at);
            return Err(Box::new(fault.help("write it after the verb: `THAT HAS >> Device`")));
        }
        let verbs = self.verbs()?;
        if self.is_symbol("?") {
            let fault = self.fault("Q0101", "a verb cannot be optional by itself", self.here());
            return Err(Box::new(
                fault.help("put the whole step in brackets: `(THAT IS Person)?`"),
            ));
        }
        self.eat_keyword("TO");
        let repeat = self.quantifier()?;
        let via = match self.is_keyword("VIA")
            && !matches!(self.second(), Word::Name(n) if self.continues(&n))
        {
            true if repeat.is_some() => {
                self.next();
                Some(Box::new(self.entity()?))
            }
            _ => None,
        };
        let arrow = match self.peek() {
            Word::Symbol(">>") => Arrow::Out,
            Word::Symbol("<<") => Arrow::In,
            _ => Arrow::Both,
        };
        if arrow != Arrow::Both {
            self.next();
        }
        let scope = self.in_scope()?;
        let alias = self.alias()?;
        let target = self.entity()?;
        if nearest && repeat.is_none() {
            let span = self.since(start);
            let fault = self.fault("Q0101", "`NEAREST` needs to know how far to look", span);
            return Err(Box::new(
                fault.help("give the verbs a quantifier: `THAT NEAREST OWNS{1,5} << Person`"),
            ));
        }
        // A relationship may be called MATCHES too: it is the join only if `ON` follows.
        let joins = matches!(verbs.as_slice(), [verb] if verb.text.eq_ignore_ascii_case("MATCHES"));
        if joins && self.is_keyword("ON") {
            let span = self.since(start);
            self.extension("`MATCHES ... ON`", span.clone())?;
            if repeat.is_some() || arrow != Arrow::Both || scope.is_some() || alias.is_some() {
                let fault = self.fault("Q0101", "`MATCHES ... ON` follows no relationship", span);
                return Err(Box::new(
                    fault.help("leave out quantifier, arrow, scope and the alias of the step"),
                ));
            }
            self.next();
            let on = self.cond()?;
            return Ok(Element::Matches { negated, target, on, span });
        }
        let step = Step { negated, nearest, verbs, repeat, via, arrow, scope, alias, target };
        Ok(Element::Step(Box::new(step)))
    }

    /// Whether `!` here is followed by a chain in brackets, not by a list of verbs.
    fn negated_chain_follows(&self) -> bool {
        let (_, bang) = lex::word_at(self.text, self.at);
        let (word, bracket) = lex::word_at(self.text, bang.end);
        let (inside, _) = lex::word_at(self.text, bracket.end);
        word == Word::Symbol("(")
            && matches!(inside, Word::Name(name) if name.eq_ignore_ascii_case("THAT"))
    }

    /// `NEAREST` before the verbs; a verb may have that name too.
    fn nearest(&mut self) -> Parsed<bool> {
        let follows = match self.second() {
            Word::Symbol("(") => true,
            Word::Name(_) => {
                let after = lex::word_at(self.text, self.here().end).1.end;
                matches!(lex::word_at(self.text, after).0, Word::Symbol("{"))
            }
            _ => false,
        };
        if !self.is_keyword("NEAREST") || !follows {
            return Ok(false);
        }
        let at = self.here();
        self.extension("`NEAREST`", at)?;
        self.next();
        Ok(true)
    }

    fn verbs(&mut self) -> Parsed<Vec<Named>> {
        if self.eat_symbol("(") {
            let mut verbs = vec![self.name("a verb")?];
            while self.eat_symbol("|") || self.eat_keyword("OR") {
                verbs.push(self.name("a verb")?);
            }
            self.expect_symbol(")")?;
            return Ok(verbs);
        }
        let verb = self.name("a verb such as `HAS`, or `RELATES TO`")?;
        match verb.text.eq_ignore_ascii_case("RELATES") {
            true => Ok(Vec::new()),
            false => Ok(vec![verb]),
        }
    }

    fn cond(&mut self) -> Parsed<Cond> {
        self.nested(|parser| {
            let mut any = vec![parser.conj()?];
            while parser.eat_keyword("OR") {
                any.push(parser.conj()?);
            }
            Ok(one_or(any, Cond::Or))
        })
    }

    fn conj(&mut self) -> Parsed<Cond> {
        let mut all = vec![self.prim()?];
        while self.eat_keyword("AND") {
            all.push(self.prim()?);
        }
        Ok(one_or(all, Cond::And))
    }

    fn prim(&mut self) -> Parsed<Cond> {
        let negated = self.eat_symbol("!")
            || self.is_keyword("NOT") && {
                self.next();
                true
            };
        if negated || self.is_symbol("(") {
            self.expect_symbol("(")?;
            let inner = self.cond()?;
            if !self.eat_symbol(")") {
                return Err(self.unexpected("`AND`, `OR` or `)`"));
            }
            return Ok(match negated {
                true => Cond::Not(Box::new(inner)),
                false => inner,
            });
        }
        self.compare().map(|compare| Cond::Compare(Box::new(compare)))
    }

    fn compare(&mut self) -> Parsed<Compare> {
        let left = match self.peek() {
            Word::Name(name) if !self.continues(&name) => self.operand()?,
            Word::Symbol("[") => self.operand()?,
            _ => return Err(self.unexpected("a property name")),
        };
        let (op, negated) = match self.peek() {
            Word::Symbol("=") => (Op::Equal, false),
            Word::Symbol("!=") => (Op::Equal, true),
            Word::Symbol("~=") => (Op::Contains, false),
            Word::Symbol("!~=") => (Op::Contains, true),
            Word::Symbol("^=") => (Op::Begins, false),
            Word::Symbol("!^=") => (Op::Begins, true),
            Word::Symbol("$=") => (Op::Ends, false),
            Word::Symbol("!$=") => (Op::Ends, true),
            Word::Symbol("<") => (Op::Less, false),
            Word::Symbol("<=") => (Op::LessOrEqual, false),
            Word::Symbol(">") => (Op::Greater, false),
            Word::Symbol(">=") => (Op::GreaterOrEqual, false),
            Word::Name(word) if word.eq_ignore_ascii_case("IN") => {
                self.next();
                let right = self.one_of()?;
                return Ok(Compare { left, op: Op::Equal, negated: false, right });
            }
            Word::Name(word) if word.eq_ignore_ascii_case("LIKE") => {
                let fault = self.fault("Q0101", "there is no `LIKE`", self.here());
                return Err(Box::new(fault.help(
                    "`~=` contains, `^=` begins with, `$=` ends with, `= /pattern/` matches",
                )));
            }
            _ => return Err(self.unexpected("`=`, `!=`, `~=`, `^=`, `$=`, `<`, `<=`, `>` or `>=`")),
        };
        self.next();
        let right = self.right(op == Op::Equal)?;
        Ok(Compare { left, op, negated, right })
    }

    /// The list of `IN ('a', 'b')`.
    fn one_of(&mut self) -> Parsed<Right> {
        self.expect_symbol("(")?;
        let mut values = vec![self.right_atom()?];
        while self.eat_symbol(",") {
            values.push(self.right_atom()?);
        }
        self.expect_symbol(")")?;
        Ok(Right::Or(values))
    }

    fn right(&mut self, may_ask: bool) -> Parsed<Right> {
        if !self.is_symbol("(") {
            return self.right_atom();
        }
        self.nested(|parser| {
            parser.next();
            let right = match parser.is_keyword("FIND") {
                true if may_ask => Right::Query(Box::new(parser.query()?)),
                true => {
                    let fault =
                        parser.fault("Q0208", "a query can only follow `=` or `!=`", parser.here());
                    return Err(Box::new(fault));
                }
                false => parser.list()?,
            };
            match parser.eat_symbol(")") {
                true => Ok(right),
                false => Err(parser.unexpected("`AND`, `OR` or `)`")),
            }
        })
    }

    fn list(&mut self) -> Parsed<Right> {
        let mut any = vec![self.list_and()?];
        while self.eat_keyword("OR") || self.eat_symbol(",") || self.eat_symbol("|") {
            any.push(self.list_and()?);
        }
        Ok(one_or(any, Right::Or))
    }

    fn list_and(&mut self) -> Parsed<Right> {
        let mut all = vec![self.right(false)?];
        while self.eat_keyword("AND") {
            all.push(self.right(false)?);
        }
        Ok(one_or(all, Right::And))
    }

    fn right_atom(&mut self) -> Parsed<Right> {
        if self.is_symbol("/") {
            return self.pattern();
        }
        match self.peek() {
            Word::Name(name) if self.continues(&name) => return Err(self.unexpected("a value")),
            Word::Name(_) | Word::Text(_) | Word::Number(_) | Word::Hole(_) => {}
            Word::Symbol("-" | "[") => {}
            _ => return Err(self.unexpected("a value")),
        }
        self.operand().map(Right::Value)
    }

    fn pattern(&mut self) -> Parsed<Right> {
        let start = self.here().start;
        let Some((pattern, flags, len)) = lex::regex(&self.text[start..]) else {
            let fault =
                self.fault("Q0103", "regular expression is not closed", start..self.text.len());
            return Err(Box::new(fault.help("end it with `/`; inside it write `\\/`")));
        };
        let span = start..start + len;
        if let Some(bad) = flags.chars().find(|c| *c != 'i') {
            let at = span.end - flags.len()..span.end;
            let fault = self.fault("Q0109", format!("unknown flag `{bad}`"), at);
            return Err(Box::new(fault.help("`i` ignores case; there are no others")));
        }
        let regex = regex::RegexBuilder::new(pattern)
            .case_insensitive(!flags.is_empty())
            .size_limit(1 << 22)
            .build()
            .map_err(|e| {
                let why = e.to_string();
                let why = why.lines().last().unwrap_or_default();
                let why = why.strip_prefix("error: ").unwrap_or(why).to_owned();
                let fault = self.fault("Q0109", format!("regular expression: {why}"), span.clone());
                Box::new(fault.note("matching takes linear time, so look-around and back-references are not allowed"))
            })?;
        self.at = span.end;
        self.last = span.end;
        Ok(Right::Pattern(regex))
    }

    /// A value of a comparison: no arithmetic but that of dates.
    fn operand(&mut self) -> Parsed<Expr> {
        let start = self.here().start;
        let minus = self.eat_symbol("-");
        let mut expr = self.atom()?;
        if minus {
            expr = self.negative(expr, start)?;
        }
        Ok(expr)
    }

    fn negative(&mut self, expr: Expr, start: usize) -> Parsed<Expr> {
        let span = self.since(start);
        match &expr.kind {
            ExprKind::Number(_) => {
                let digits = format!("-{}", &self.text[expr.span.clone()]);
                let number = self.number(&digits, span.clone())?;
                Ok(Expr { kind: ExprKind::Number(number), span })
            }
            _ => Ok(Expr { kind: ExprKind::Minus(Box::new(expr)), span }),
        }
    }

    fn number(&self, digits: &str, at: Span) -> Parsed<Value<'static>> {
        Value::number(digits).ok_or_else(|| {
            let message = format!("number `{digits}` cannot be held exactly in 64 bits");
            Box::new(self.fault("Q0108", message, at))
        })
    }

    /// A literal, a date with its offset, or a path.
    fn atom(&mut self) -> Parsed<Expr> {
        let start = self.here().start;
        let kind = match self.peek() {
            Word::Number(digits) => {
                let (_, at) = self.next();
                ExprKind::Number(self.number(&digits, at)?)
            }
            Word::Text(_) | Word::Hole(_) => ExprKind::Text(self.text_value("a value")?),
            Word::Name(name) if name.eq_ignore_ascii_case("date") && self.date_follows() => {
                ExprKind::Time(self.date()?)
            }
            Word::Name(name) if name.eq_ignore_ascii_case("true") => {
                self.next();
                ExprKind::Bool(true)
            }
            Word::Name(name) if name.eq_ignore_ascii_case("false") => {
                self.next();
                ExprKind::Bool(false)
            }
            Word::Name(name)
                if ["undefined", "null"].iter().any(|word| word.eq_ignore_ascii_case(&name)) =>
            {
                self.next();
                ExprKind::Undefined
            }
            Word::Name(_) | Word::Symbol("[") => return self.path(),
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Expr { kind, span: self.since(start) })
    }

    /// Whether `date` here is `date.now` or `date(...)` and not a property.
    fn date_follows(&self) -> bool {
        let (word, span) = lex::word_at(self.text, self.here().end);
        match word {
            Word::Symbol("(") => true,
            Word::Symbol(".") => matches!(
                lex::word_at(self.text, span.end).0,
                Word::Name(name) if name.eq_ignore_ascii_case("now")
            ),
            _ => false,
        }
    }

    fn date(&mut self) -> Parsed<i64> {
        self.next();
        let time = match self.eat_symbol("(") {
            true => {
                let start = self.here().start;
                let len = self.text[start..].find(')').unwrap_or(self.text.len() - start);
                let written = self.text[start..start + len].trim();
                let at = start..start + written.len();
                self.at = start + len;
                self.last = self.at;
                self.expect_symbol(")")?;
                date::parse(written.trim_matches(['\'', '"'])).ok_or_else(|| {
                    let fault = self.fault("Q0108", format!("`{written}` is no date"), at);
                    Box::new(
                        fault.help("write ISO 8601, from `2024` to `2024-05-01T12:00:00.000Z`"),
                    )
                })?
            }
            false => {
                self.next();
                self.next();
                self.now
            }
        };
        let sign = match self.peek() {
            Word::Symbol("+") => 1,
            Word::Symbol("-") => -1,
            _ => return Ok(time),
        };
        // `date.now - a.createdOn` is arithmetic of RETURN, not an offset.
        let Word::Number(digits) = self.second() else { return Ok(time) };
        let number_end = lex::word_at(self.text, self.here().end).1.end;
        let (Word::Name(unit), unit_at) = lex::word_at(self.text, number_end) else {
            return Ok(time);
        };
        let start = self.here().start;
        self.at = unit_at.end;
        self.last = unit_at.end;
        let Some(unit) = date::unit(&unit) else {
            let fault = self.fault("Q0108", format!("unknown unit of time `{unit}`"), unit_at);
            return Err(Box::new(fault.help(format!("units are {}", date::UNITS))));
        };
        date::shift(time, sign, &digits, unit).ok_or_else(|| {
            let at = start..unit_at.end;
            Box::new(self.fault(
                "Q0108",
                format!("`{}` leads to no date", &self.text[at.clone()]),
                at,
            ))
        })
    }

    /// `a.b.[c-d]`; brackets hold a name as it is.
    fn path(&mut self) -> Parsed<Expr> {
        let start = self.here().start;
        let mut parts = vec![self.part()?];
        while self.eat_symbol(".") {
            if self.eat_symbol("*") {
                let [alias] = parts.as_slice() else { return Err(self.unexpected("a property")) };
                let kind = ExprKind::All(alias.clone());
                return Ok(Expr { kind, span: self.since(start) });
            }
            parts.push(self.part()?);
        }
        Ok(Expr { kind: ExprKind::Path(parts), span: self.since(start) })
    }

    fn part(&mut self) -> Parsed<String> {
        match self.peek() {
            Word::Name(name) => {
                self.next();
                Ok(name)
            }
            Word::Number(digits) => {
                self.next();
                Ok(digits)
            }
            // Filled in where names are resolved: no property is called like this.
            Word::Hole(name) => {
                self.next();
                Ok(format!("{{{{{name}}}}}"))
            }
            Word::Symbol("[") => {
                let (_, open) = self.next();
                let inside = &self.text[open.end..];
                let Some(len) = inside.find(']') else {
                    return Err(Box::new(self.fault("Q0102", "`[` is not closed", open)));
                };
                self.at = open.end + len + 1;
                self.last = self.at;
                Ok(inside[..len].trim().to_owned())
            }
            _ => Err(self.unexpected("a property name")),
        }
    }

    fn returns(&mut self) -> Parsed<Returns> {
        let alone = match self.second() {
            Word::End | Word::Symbol(")" | ";") => true,
            Word::Name(name) => CLAUSES.iter().any(|word| word.eq_ignore_ascii_case(&name)),
            _ => false,
        };
        if self.is_keyword("TREE") && alone {
            self.next();
            return Ok(Returns::Tree);
        }
        let mut columns = vec![self.column()?];
        while self.eat_symbol(",") {
            columns.push(self.column()?);
        }
        Ok(Returns::Columns(columns))
    }

    fn column(&mut self) -> Parsed<Column> {
        let expr = self.expr()?;
        if !self.eat_keyword("AS") {
            return Ok(Column { expr, name: None });
        }
        let name = match self.peek() {
            Word::Text(text) => Named { text, span: self.next().1 },
            // `AS value`, `AS count`: whatever a column is called, nothing else can stand here.
            Word::Name(text) => Named { text, span: self.next().1 },
            _ => return Err(self.unexpected("the name of the column")),
        };
        Ok(Column { expr, name: Some(name) })
    }

    fn sorts(&mut self) -> Parsed<Vec<Sort>> {
        let mut sorts = Vec::new();
        loop {
            let expr = self.expr()?;
            let descending = self.eat_keyword("DESC");
            if !descending {
                self.eat_keyword("ASC");
            }
            sorts.push(Sort { expr, descending });
            if !self.eat_symbol(",") {
                return Ok(sorts);
            }
        }
    }

    fn expr(&mut self) -> Parsed<Expr> {
        self.nested(Self::sum)
    }

    fn sum(&mut self) -> Parsed<Expr> {
        let mut left = self.product()?;
        for count in 0.. {
            self.room(count, "terms")?;
            let math = match self.peek() {
                Word::Symbol("+") => Math::Add,
                Word::Symbol("-") => Math::Subtract,
                _ => return Ok(left),
            };
            self.next();
            left = binary(left, math, self.product()?);
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed<Expr> {
        let mut left = self.power()?;
        for count in 0.. {
            self.room(count, "factors")?;
            let math = match self.peek() {
                Word::Symbol("*") => Math::Multiply,
                Word::Symbol("/") => Math::Divide,
                _ => return Ok(left),
            };
            self.next();
            left = binary(left, math, self.power()?);
        }
        Ok(left)
    }

    fn power(&mut self) -> Parsed<Expr> {
        let base = self.unary()?;
        match self.eat_symbol("^") {
            true => {
                let exponent = self.nested(Self::power)?;
                Ok(binary(base, Math::Power, exponent))
            }
            false => Ok(base),
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.here().start;
        if self.eat_symbol("-") {
            let expr = self.nested(Self::unary)?;
            return self.negative(expr, start);
        }
        if self.eat_symbol("(") {
            let expr = self.expr()?;
            self.expect_symbol(")")?;
            return Ok(expr);
        }
        let called = matches!(self.second(), Word::Symbol("("));
        match self.peek() {
            Word::Name(name) if called && !(name.eq_ignore_ascii_case("date")) => self.call(),
            Word::Name(name) if self.continues(&name) => Err(self.unexpected("a value")),
            Word::Name(_) | Word::Text(_) | Word::Number(_) | Word::Hole(_) | Word::Symbol("[") => {
                self.atom()
            }
            _ => Err(self.unexpected("a selector, a property or a function")),
        }
    }

    fn call(&mut self) -> Parsed<Expr> {
        let (word, span) = self.next();
        let Word::Name(text) = word else { return Err(self.unexpected("a function")) };
        let name = Named { text: text.to_lowercase(), span: span.clone() };
        self.expect_symbol("(")?;
        // COUNT counts what is distinct anyway.
        if name.text == "count" && self.is_keyword("DISTINCT") {
            self.next();
        }
        let mut arguments = Vec::new();
        if name.text == "count" && self.is_symbol("*") {
            let (_, span) = self.next();
            arguments.push(Expr { kind: ExprKind::Rows, span });
        } else if !self.is_symbol(")") {
            arguments.push(self.expr()?);
            while self.eat_symbol(",") {
                arguments.push(self.expr()?);
            }
        }
        match self.eat_symbol(")") {
            true => {
                let span = self.since(span.start);
                Ok(Expr { kind: ExprKind::Call { name, arguments }, span })
            }
            false => Err(self.unexpected("`,` or `)`")),
        }
    }
}

fn binary(left: Expr, math: Math, right: Expr) -> Expr {
    let span = left.span.start..right.span.end;
    Expr { kind: ExprKind::Binary(Box::new(left), math, Box::new(right)), span }
}

/// The only one of `all`, or all of them together.
fn one_or<T>(mut all: Vec<T>, join: impl FnOnce(Vec<T>) -> T) -> T {
    match all.len() {
        1 => all.remove(0),
        _ => join(all),
    }
}
