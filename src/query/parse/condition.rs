//! Conditions: what stands behind WITH, WHERE, HAVING and ON.

use super::super::lex::{self, QueryToken};
use super::super::pattern::{RegexError, STATES_MAX};
use super::super::syntax::*;
use super::{QueryParseResult, QueryParser, one_or};
use crate::lang::Diagnostic;

/// The operators of J1QL, as advice names them.
const OPERATORS: &str = "`=`, `!=`, `~=`, `^=`, `$=`, `<`, `<=`, `>` or `>=`";

/// The operator that a symbol stands for, and true if it is negated: `!~=`.
fn written(symbol: &str) -> Option<(ComparisonOp, bool)> {
    let plain = symbol.strip_prefix('!');
    Some((ComparisonOp::written(plain.unwrap_or(symbol))?, plain.is_some()))
}

impl QueryParser<'_> {
    pub(super) fn cond(&mut self) -> QueryParseResult<ConditionExpr> {
        self.nested(|parser| {
            let mut any = vec![parser.conj()?];
            while parser.eat_keyword("OR") {
                any.push(parser.conj()?);
            }
            Ok(one_or(any, ConditionExpr::Or))
        })
    }

    pub(super) fn conj(&mut self) -> QueryParseResult<ConditionExpr> {
        let mut all = vec![self.prim()?];
        while self.eat_keyword("AND") {
            all.push(self.prim()?);
        }
        Ok(one_or(all, ConditionExpr::And))
    }

    pub(super) fn prim(&mut self) -> QueryParseResult<ConditionExpr> {
        let negated = self.eat_symbol("!")
            || self.is_keyword("NOT") && {
                self.next();
                true
            };
        if negated && !self.is_symbol("(") {
            // `NOT a = 1` is the opposite of one comparison.
            let compare = ConditionExpr::Compare(Box::new(self.compare()?));
            return Ok(ConditionExpr::Not(Box::new(compare)));
        }
        if self.is_symbol("(") {
            self.expect_symbol("(")?;
            let inner = self.cond()?;
            if !self.eat_symbol(")") {
                return Err(self.unexpected("`AND`, `OR` or `)`"));
            }
            return Ok(match negated {
                true => ConditionExpr::Not(Box::new(inner)),
                false => inner,
            });
        }
        self.compare().map(|compare| ConditionExpr::Compare(Box::new(compare)))
    }

    pub(super) fn compare(&mut self) -> QueryParseResult<ComparisonExpr> {
        let called = matches!(self.second(), QueryToken::Symbol("("));
        let left = match self.peek() {
            // HAVING may ask what RETURN computes.
            QueryToken::Name(name) if called && !name.eq_ignore_ascii_case("date") => {
                self.call()?
            }
            QueryToken::Name(name) if !self.continues(&name) || self.compared() => {
                self.operand()?
            }
            QueryToken::Symbol("[") => self.operand()?,
            QueryToken::Text(_) => {
                let fault = *self.unexpected("a property name");
                return Err(Box::new(
                    fault
                        .help("several values of one property stand in brackets: `= ('a' OR 'b')`"),
                ));
            }
            _ => return Err(self.unexpected("a property name")),
        };
        let (op, negated) = match self.peek() {
            // `<>` is no symbol of the language; it is named here since SQL has it.
            QueryToken::Symbol("<") if matches!(self.second(), QueryToken::Symbol(">")) => {
                let start = self.here().start;
                let end = lex::word_at(self.text, self.here().end).1.end;
                let fault = self.fault("Q0101", "unknown operator `<>`", start..end);
                return Err(Box::new(fault.patch("write `!=`", start..end, "!=")));
            }
            QueryToken::Symbol(symbol) => match written(symbol) {
                Some(operator) => operator,
                None => return Err(self.unexpected(OPERATORS)),
            },
            QueryToken::Name(word) if word.eq_ignore_ascii_case("IN") => {
                self.next();
                let right = self.one_of()?;
                let span = self.since(left.span.start);
                return Ok(ComparisonExpr {
                    left,
                    op: ComparisonOp::Equal,
                    negated: false,
                    right,
                    span,
                });
            }
            QueryToken::Name(word)
                if word.eq_ignore_ascii_case("NOT")
                    && matches!(self.second(), QueryToken::Name(w) if w.eq_ignore_ascii_case("IN")) =>
            {
                self.next();
                self.next();
                let right = self.one_of()?;
                let span = self.since(left.span.start);
                return Ok(ComparisonExpr {
                    left,
                    op: ComparisonOp::Equal,
                    negated: true,
                    right,
                    span,
                });
            }
            QueryToken::Name(word) if word.eq_ignore_ascii_case("LIKE") => {
                let fault = self.fault("Q0101", "there is no `LIKE`", self.here());
                return Err(Box::new(fault.help(
                    "`~=` contains, `^=` begins with, `$=` ends with, `= /pattern/` matches",
                )));
            }
            _ => return Err(self.unexpected(OPERATORS)),
        };
        self.next();
        let right = self.right(op == ComparisonOp::Equal)?;
        let span = self.since(left.span.start);
        Ok(ComparisonExpr { left, op, negated, right, span })
    }

    /// True if a keyword is a property after all, since an operator follows it: `limit > 5`.
    pub(super) fn compared(&self) -> bool {
        matches!(self.second(), QueryToken::Symbol(symbol) if written(symbol).is_some())
    }

    /// The list of `IN ('a', 'b')`, in round or square brackets.
    pub(super) fn one_of(&mut self) -> QueryParseResult<ComparisonOperand> {
        if self.eat_symbol("[") {
            let mut values = vec![self.right_atom()?];
            while self.eat_symbol(",") {
                values.push(self.right_atom()?);
            }
            self.expect_symbol("]")?;
            return Ok(ComparisonOperand::Or(values));
        }
        self.expect_symbol("(")?;
        let mut values = vec![self.right_atom()?];
        while self.eat_symbol(",") {
            values.push(self.right_atom()?);
        }
        self.expect_symbol(")")?;
        Ok(ComparisonOperand::Or(values))
    }

    pub(super) fn right(&mut self, may_ask: bool) -> QueryParseResult<ComparisonOperand> {
        if !self.is_symbol("(") {
            return self.right_atom();
        }
        self.nested(|parser| {
            parser.next();
            let right = match parser.is_keyword("FIND") {
                true if may_ask => ComparisonOperand::Query(Box::new(parser.query()?)),
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

    pub(super) fn list(&mut self) -> QueryParseResult<ComparisonOperand> {
        let mut any = vec![self.list_and()?];
        while self.eat_keyword("OR") || self.eat_symbol(",") || self.eat_symbol("|") {
            any.push(self.list_and()?);
        }
        Ok(one_or(any, ComparisonOperand::Or))
    }

    pub(super) fn list_and(&mut self) -> QueryParseResult<ComparisonOperand> {
        // Only the whole right side may be a query, not an item of a list.
        let mut all = vec![self.right(false)?];
        while self.eat_keyword("AND") {
            all.push(self.right(false)?);
        }
        Ok(one_or(all, ComparisonOperand::And))
    }

    pub(super) fn right_atom(&mut self) -> QueryParseResult<ComparisonOperand> {
        if self.is_symbol("/") {
            return self.pattern();
        }
        match self.peek() {
            QueryToken::Name(name) if self.continues(&name) => {
                return Err(self.unexpected("a value"));
            }
            QueryToken::Name(_)
            | QueryToken::Text(_)
            | QueryToken::Number(_)
            | QueryToken::Hole(_) => {}
            QueryToken::Symbol("-" | "[") => {}
            _ => return Err(self.unexpected("a value")),
        }
        self.operand().map(ComparisonOperand::Value)
    }

    pub(super) fn pattern(&mut self) -> QueryParseResult<ComparisonOperand> {
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
        let compiled = self.patterns.compiled(pattern, !flags.is_empty());
        let pattern = compiled.map_err(|refusal| self.refused(refusal, &span))?;
        // A regular expression is no word of the lexer, so the place is moved by hand.
        self.at = span.end;
        self.last = span.end;
        Ok(ComparisonOperand::Pattern(pattern, span))
    }

    /// The fault of a pattern that is not compiled.
    fn refused(&self, refusal: RegexError, span: &TextSpan) -> Box<Diagnostic> {
        let fault = |code, words: String| self.fault(code, words, span.clone());
        Box::new(match refusal {
            RegexError::Faulty(why) => fault("Q0109", format!("regular expression: {why}")).note(
                "matching takes linear time, so look-around and back-references are not allowed",
            ),
            RegexError::TooLarge(states) => fault(
                "Q0111",
                format!(
                    "the regular expressions up to here have about {states} states, \
                     and a query may have {STATES_MAX}"
                ),
            )
            .help("repeat less: `\\w{60}` is sixty times as large as `\\w`, `\\w+` is not"),
            RegexError::TooLate => {
                fault("Q0111", "the time of the query ended before its patterns were read".into())
                    .help("use fewer or shorter patterns")
            }
        })
    }
}
