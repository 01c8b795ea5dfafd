//! The pattern of a query: entities, and the steps, groups and joins that follow them.

use super::super::lex::{self, QueryToken};
use super::super::syntax::*;
use super::{QueryParseResult, QueryParser};

/// Largest upper bound of a quantifier.
const REPEAT_MAX: u32 = 100;

impl QueryParser<'_> {
    pub(super) fn entity(&mut self) -> QueryParseResult<EntityPattern> {
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
        // `AS u WITH ...` reads on as a clause that does not exist, so it gets a fault of its own.
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

    pub(super) fn in_scope(&mut self) -> QueryParseResult<Option<TextLiteral>> {
        let scoped = self.is_keyword("IN")
            && matches!(self.second(), QueryToken::Name(name) if name.eq_ignore_ascii_case("SCOPE"));
        if !scoped {
            return Ok(None);
        }
        let start = self.here();
        self.next();
        self.next();
        self.extension("`IN SCOPE`", self.since(start.start))?;
        self.text_value("the name of a scope in quotes").map(Some)
    }

    pub(super) fn text_value(&mut self, expected: &str) -> QueryParseResult<TextLiteral> {
        match self.peek() {
            QueryToken::Text(_) | QueryToken::Hole(_) => {
                let (word, span) = self.next();
                match word {
                    QueryToken::Hole(text) => Ok(TextLiteral { text, hole: true, span }),
                    QueryToken::Text(text) => Ok(TextLiteral { text, hole: false, span }),
                    _ => Err(self.unexpected(expected)),
                }
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn alternative(&mut self) -> QueryParseResult<SelectorAlternative> {
        match self.peek() {
            QueryToken::Symbol("*") => {
                self.next();
                Ok(SelectorAlternative::Any)
            }
            QueryToken::Text(_) | QueryToken::Hole(_) => {
                self.text_value("a selector").map(SelectorAlternative::Text)
            }
            QueryToken::Symbol("#") => {
                self.next();
                let smart = self.name("the name of a smart class")?;
                let of = matches!(self.peek(), QueryToken::Name(name) if !self.continues(&name));
                match of {
                    true => Ok(SelectorAlternative::SmartOf(smart, self.name("a class or type")?)),
                    false => Ok(SelectorAlternative::Smart(smart)),
                }
            }
            _ => self
                .graph_name("a class, a type, `*`, a text in quotes or `(`")
                .map(SelectorAlternative::Name),
        }
    }

    pub(super) fn alias(&mut self) -> QueryParseResult<Option<SpannedName>> {
        match self.eat_keyword("AS") {
            true => self.name("an alias").map(Some),
            false => Ok(None),
        }
    }

    /// All steps and groups that stand here.
    pub(super) fn elements(&mut self) -> QueryParseResult<Vec<PatternElement>> {
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

    /// True if the bracket here opens a group: `THAT` follows it, or another such bracket.
    pub(super) fn group_follows(&self) -> bool {
        let mut at = self.at;
        loop {
            let (word, span) = lex::word_at(self.text, at);
            match word {
                QueryToken::Symbol("(") => at = span.end,
                QueryToken::Name(name) => return name.eq_ignore_ascii_case("THAT"),
                _ => return false,
            }
        }
    }

    pub(super) fn group(&mut self) -> QueryParseResult<PatternElement> {
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
        Ok(PatternElement::Group { elements, least, most, alias })
    }

    /// `{2}`, `{1,4}`, `{,4}`.
    pub(super) fn quantifier(&mut self) -> QueryParseResult<Option<(u32, u32)>> {
        if !self.is_symbol("{") {
            return Ok(None);
        }
        let start = self.here().start;
        self.next();
        let bound = |parser: &mut Self| match parser.peek() {
            QueryToken::Number(digits) => {
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
        // `{,4}` is `{1,4}`: a step that may be left out has to say `{0,4}`.
        let least = least.unwrap_or(1);
        if least > most || most == 0 {
            let message = format!("`{}` asks for nothing", &self.text[span.clone()]);
            return Err(Box::new(self.fault("Q0108", message, span)));
        }
        Ok(Some((least, most)))
    }

    pub(super) fn step(&mut self) -> QueryParseResult<PatternElement> {
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
                Ok(PatternElement::Not(elements))
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
        let by = self.by(repeat.is_some())?;
        // A class may be called VIA too: it is the keyword only behind a quantifier.
        let via = match self.is_keyword("VIA")
            && !matches!(self.second(), QueryToken::Name(n) if self.continues(&n))
        {
            true if repeat.is_some() => {
                self.next();
                Some(Box::new(self.entity()?))
            }
            _ => None,
        };
        let arrow = match self.peek() {
            QueryToken::Symbol(">>") => StepDirection::Out,
            QueryToken::Symbol("<<") => StepDirection::In,
            _ => StepDirection::Both,
        };
        if arrow != StepDirection::Both {
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
        let joins = matches!(
            verbs.as_slice(),
            [VerbPattern::Named(verb, None)] if verb.text.eq_ignore_ascii_case("MATCHES")
        );
        if joins && self.is_keyword("ON") {
            let span = self.since(start);
            self.extension("`MATCHES ... ON`", span.clone())?;
            if repeat.is_some()
                || arrow != StepDirection::Both
                || scope.is_some()
                || alias.is_some()
            {
                let fault = self.fault("Q0101", "`MATCHES ... ON` follows no relationship", span);
                return Err(Box::new(
                    fault.help("leave out quantifier, arrow, scope and the alias of the step"),
                ));
            }
            self.next();
            let on = self.cond()?;
            return Ok(PatternElement::Matches { negated, target, on, span });
        }
        let step = RelationshipPattern {
            negated,
            nearest,
            verbs,
            repeat,
            by,
            via,
            arrow,
            scope,
            alias,
            target,
        };
        Ok(PatternElement::Step(Box::new(step)))
    }

    /// True if a chain in brackets follows the `!` here, and not a list of verbs.
    pub(super) fn negated_chain_follows(&self) -> bool {
        let (_, bang) = lex::word_at(self.text, self.at);
        let (word, bracket) = lex::word_at(self.text, bang.end);
        let (inside, _) = lex::word_at(self.text, bracket.end);
        word == QueryToken::Symbol("(")
            && matches!(inside, QueryToken::Name(name) if name.eq_ignore_ascii_case("THAT"))
    }

    /// `NEAREST` before the verbs; a verb may have that name too.
    pub(super) fn nearest(&mut self) -> QueryParseResult<bool> {
        let follows = match self.second() {
            QueryToken::Symbol("(") => true,
            QueryToken::Name(_) => {
                let after = lex::word_at(self.text, self.here().end).1.end;
                matches!(lex::word_at(self.text, after).0, QueryToken::Symbol("{"))
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

    pub(super) fn verbs(&mut self) -> QueryParseResult<Vec<VerbPattern>> {
        if self.eat_symbol("(") {
            let verbs = self.verb_list()?;
            self.expect_symbol(")")?;
            return Ok(verbs);
        }
        if self.is_symbol("#") {
            return Ok(vec![self.verb()?]);
        }
        let verb = self.graph_name("a verb such as `HAS`, or `RELATES TO`")?;
        match verb.text.eq_ignore_ascii_case("RELATES") {
            true => Ok(Vec::new()),
            false => Ok(vec![VerbPattern::Named(verb, None)]),
        }
    }

    /// `HAS | USES << | !MONITORS | * >>`.
    pub(super) fn verb_list(&mut self) -> QueryParseResult<Vec<VerbPattern>> {
        let mut verbs = vec![self.verb()?];
        while self.eat_symbol("|") || self.eat_keyword("OR") || self.eat_symbol(",") {
            verbs.push(self.verb()?);
        }
        Ok(verbs)
    }

    /// One of the verbs in a list.
    pub(super) fn verb(&mut self) -> QueryParseResult<VerbPattern> {
        let start = self.here().start;
        let arrow = |parser: &mut Self| -> QueryParseResult<Option<StepDirection>> {
            let arrow = match parser.peek() {
                QueryToken::Symbol(">>") => StepDirection::Out,
                QueryToken::Symbol("<<") => StepDirection::In,
                _ => return Ok(None),
            };
            let at = parser.here();
            parser.next();
            parser.extension("an arrow inside a list of verbs", at)?;
            Ok(Some(arrow))
        };
        if self.eat_symbol("#") {
            let name = self.name("the name of a set of verbs")?;
            self.extension("a set of verbs", self.since(start))?;
            return Ok(VerbPattern::Smart(name));
        }
        if self.eat_symbol("!") {
            let verb = self.graph_name("a verb")?;
            self.extension("`!` inside a list of verbs", self.since(start))?;
            return Ok(VerbPattern::Never(verb));
        }
        if self.eat_symbol("*") {
            let span = self.since(start);
            self.extension("`*` as a verb", span)?;
            return Ok(VerbPattern::Others(arrow(self)?));
        }
        let verb = self.graph_name("a verb")?;
        if verb.text.eq_ignore_ascii_case("RELATES") && self.eat_keyword("TO") {
            return Ok(VerbPattern::Others(arrow(self)?));
        }
        // `TO` behind a verb means nothing.
        self.eat_keyword("TO");
        Ok(VerbPattern::Named(verb, arrow(self)?))
    }

    /// `BY OWNS` after a quantifier: the last relationship.
    pub(super) fn by(&mut self, repeated: bool) -> QueryParseResult<Vec<VerbPattern>> {
        let follows = match self.second() {
            QueryToken::Symbol("(" | "#") => true,
            QueryToken::Name(name) => !self.continues(&name),
            _ => false,
        };
        if !repeated || !self.is_keyword("BY") || !follows {
            return Ok(Vec::new());
        }
        let at = self.here();
        self.extension("`BY`", at)?;
        self.next();
        self.verbs()
    }
}
