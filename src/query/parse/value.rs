//! Values: literals, dates with their offsets, and paths.

use super::super::date;
use super::super::lex::{self, QueryToken};
use super::super::syntax::*;
use super::{QueryParseResult, QueryParser};
use crate::graph::Value;

impl QueryParser<'_> {
    /// A value of a comparison: no arithmetic but that of dates.
    pub(super) fn operand(&mut self) -> QueryParseResult<ValueExpr> {
        let start = self.here().start;
        let minus = self.eat_symbol("-");
        let mut expr = self.atom()?;
        if minus {
            expr = self.negative(expr, start)?;
        }
        Ok(expr)
    }

    pub(super) fn negative(
        &mut self,
        expr: ValueExpr,
        start: usize,
    ) -> QueryParseResult<ValueExpr> {
        let span = self.since(start);
        match &expr.kind {
            ValueExprKind::Number(_) => {
                // Read again with its sign: the least integer has no positive counterpart in 64 bits.
                let digits = format!("-{}", &self.text[expr.span.clone()]);
                let number = self.number(&digits, span.clone())?;
                Ok(ValueExpr { kind: ValueExprKind::Number(number), span })
            }
            _ => Ok(ValueExpr { kind: ValueExprKind::Minus(Box::new(expr)), span }),
        }
    }

    pub(super) fn number(&self, digits: &str, at: TextSpan) -> QueryParseResult<Value<'static>> {
        Value::number(digits).ok_or_else(|| {
            let message = format!("number `{digits}` cannot be held exactly in 64 bits");
            Box::new(self.fault("Q0108", message, at))
        })
    }

    /// A literal, a date with its offset, or a path.
    pub(super) fn atom(&mut self) -> QueryParseResult<ValueExpr> {
        let start = self.here().start;
        let kind = match self.peek() {
            QueryToken::Number(digits) => {
                let (_, at) = self.next();
                ValueExprKind::Number(self.number(&digits, at)?)
            }
            QueryToken::Text(_) | QueryToken::Hole(_) => {
                ValueExprKind::Text(self.text_value("a value")?)
            }
            QueryToken::Name(name) if name.eq_ignore_ascii_case("date") && self.date_follows() => {
                ValueExprKind::Time(self.date()?)
            }
            QueryToken::Name(name) if name.eq_ignore_ascii_case("true") => {
                self.next();
                ValueExprKind::Bool(true)
            }
            QueryToken::Name(name) if name.eq_ignore_ascii_case("false") => {
                self.next();
                ValueExprKind::Bool(false)
            }
            QueryToken::Name(name)
                if ["undefined", "null"].iter().any(|word| word.eq_ignore_ascii_case(&name)) =>
            {
                self.next();
                ValueExprKind::Undefined
            }
            QueryToken::Name(_) | QueryToken::Symbol("[") => return self.path(),
            _ => return Err(self.unexpected("a value")),
        };
        Ok(ValueExpr { kind, span: self.since(start) })
    }

    /// True if `date` here is `date.now` or `date(...)` and not a property.
    pub(super) fn date_follows(&self) -> bool {
        let (word, span) = lex::word_at(self.text, self.here().end);
        match word {
            QueryToken::Symbol("(") => true,
            QueryToken::Symbol(".") => matches!(
                lex::word_at(self.text, span.end).0,
                QueryToken::Name(name) if name.eq_ignore_ascii_case("now")
            ),
            _ => false,
        }
    }

    pub(super) fn date(&mut self) -> QueryParseResult<i64> {
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
                // `date.now()` is the same.
                if self.is_symbol("(") && matches!(self.second(), QueryToken::Symbol(")")) {
                    self.next();
                    self.next();
                }
                self.now
            }
        };
        let sign = match self.peek() {
            QueryToken::Symbol("+") => 1,
            QueryToken::Symbol("-") => -1,
            _ => return Ok(time),
        };
        // `date.now - a.createdOn` is arithmetic of RETURN, not an offset.
        let QueryToken::Number(digits) = self.second() else { return Ok(time) };
        let number_end = lex::word_at(self.text, self.here().end).1.end;
        let (QueryToken::Name(unit), unit_at) = lex::word_at(self.text, number_end) else {
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
    pub(super) fn path(&mut self) -> QueryParseResult<ValueExpr> {
        let start = self.here().start;
        let mut parts = vec![self.part()?];
        while self.eat_symbol(".") {
            if self.eat_symbol("*") {
                let [alias] = parts.as_slice() else { return Err(self.unexpected("a property")) };
                let kind = ValueExprKind::All(alias.clone());
                return Ok(ValueExpr { kind, span: self.since(start) });
            }
            parts.push(self.part()?);
        }
        Ok(ValueExpr { kind: ValueExprKind::Path(parts), span: self.since(start) })
    }

    pub(super) fn part(&mut self) -> QueryParseResult<String> {
        match self.peek() {
            QueryToken::Name(name) => {
                self.next();
                Ok(name)
            }
            QueryToken::Number(digits) => {
                self.next();
                Ok(digits)
            }
            // Values are filled in when names are resolved; until then the braces mark the part.
            QueryToken::Hole(name) => {
                self.next();
                Ok(format!("{{{{{name}}}}}"))
            }
            QueryToken::Symbol("[") => {
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
}
