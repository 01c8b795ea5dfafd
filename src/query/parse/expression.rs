//! The expressions of RETURN and ORDER BY: columns, functions and arithmetic.

use super::super::lex::QueryToken;
use super::super::syntax::*;
use super::{CLAUSES, QueryParseResult, QueryParser};

impl QueryParser<'_> {
    pub(super) fn returns(&mut self) -> QueryParseResult<ReturnClause> {
        // `TREE` may also be an alias, so it is the keyword only if it stands alone.
        let alone = match self.second() {
            QueryToken::End | QueryToken::Symbol(")" | ";") => true,
            QueryToken::Name(name) => CLAUSES.iter().any(|word| word.eq_ignore_ascii_case(&name)),
            _ => false,
        };
        if self.is_keyword("TREE") && alone {
            self.next();
            return Ok(ReturnClause::Tree);
        }
        let mut columns = vec![self.column()?];
        while self.eat_symbol(",") {
            columns.push(self.column()?);
        }
        Ok(ReturnClause::Columns(columns))
    }

    pub(super) fn column(&mut self) -> QueryParseResult<ReturnColumn> {
        let expr = self.expr()?;
        if !self.eat_keyword("AS") {
            return Ok(ReturnColumn { expr, name: None });
        }
        let name = match self.peek() {
            QueryToken::Text(text) => SpannedName { text, span: self.next().1 },
            // `AS value`, `AS count`: whatever a column is called, nothing else can stand here.
            QueryToken::Name(text) => SpannedName { text, span: self.next().1 },
            _ => return Err(self.unexpected("the name of the column")),
        };
        Ok(ReturnColumn { expr, name: Some(name) })
    }

    pub(super) fn sorts(&mut self) -> QueryParseResult<Vec<SortKey>> {
        let mut sorts = Vec::new();
        loop {
            let expr = self.expr()?;
            let descending = self.eat_keyword("DESC");
            if !descending {
                self.eat_keyword("ASC");
            }
            sorts.push(SortKey { expr, descending });
            if !self.eat_symbol(",") {
                return Ok(sorts);
            }
        }
    }

    pub(super) fn expr(&mut self) -> QueryParseResult<ValueExpr> {
        self.nested(Self::sum)
    }

    pub(super) fn sum(&mut self) -> QueryParseResult<ValueExpr> {
        let mut left = self.product()?;
        for count in 0.. {
            self.room(count, "terms")?;
            let math = match self.peek() {
                QueryToken::Symbol("+") => ArithmeticOp::Add,
                QueryToken::Symbol("-") => ArithmeticOp::Subtract,
                _ => return Ok(left),
            };
            self.next();
            left = binary(left, math, self.product()?);
        }
        Ok(left)
    }

    pub(super) fn product(&mut self) -> QueryParseResult<ValueExpr> {
        let mut left = self.power()?;
        for count in 0.. {
            self.room(count, "factors")?;
            let math = match self.peek() {
                QueryToken::Symbol("*") => ArithmeticOp::Multiply,
                QueryToken::Symbol("/") => ArithmeticOp::Divide,
                _ => return Ok(left),
            };
            self.next();
            left = binary(left, math, self.power()?);
        }
        Ok(left)
    }

    pub(super) fn power(&mut self) -> QueryParseResult<ValueExpr> {
        let base = self.unary()?;
        match self.eat_symbol("^") {
            true => {
                // Powers group from the right, and each is a call deeper, so nesting bounds them.
                let exponent = self.nested(Self::power)?;
                Ok(binary(base, ArithmeticOp::Power, exponent))
            }
            false => Ok(base),
        }
    }

    pub(super) fn unary(&mut self) -> QueryParseResult<ValueExpr> {
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
        let called = matches!(self.second(), QueryToken::Symbol("("));
        match self.peek() {
            QueryToken::Name(name) if called && !(name.eq_ignore_ascii_case("date")) => self.call(),
            QueryToken::Name(name) if self.continues(&name) => Err(self.unexpected("a value")),
            QueryToken::Name(_)
            | QueryToken::Text(_)
            | QueryToken::Number(_)
            | QueryToken::Hole(_)
            | QueryToken::Symbol("[") => self.atom(),
            _ => Err(self.unexpected("a selector, a property or a function")),
        }
    }

    pub(super) fn call(&mut self) -> QueryParseResult<ValueExpr> {
        let (word, span) = self.next();
        let QueryToken::Name(text) = word else { return Err(self.unexpected("a function")) };
        let name = SpannedName { text: text.to_lowercase(), span: span.clone() };
        self.expect_symbol("(")?;
        // COUNT counts what is distinct anyway.
        if name.text == "count" && self.is_keyword("DISTINCT") {
            self.next();
        }
        let mut arguments = Vec::new();
        if name.text == "count" && self.is_symbol("*") {
            let (_, span) = self.next();
            arguments.push(ValueExpr { kind: ValueExprKind::Rows, span });
        } else if !self.is_symbol(")") {
            arguments.push(self.expr()?);
            while self.eat_symbol(",") {
                arguments.push(self.expr()?);
            }
        }
        match self.eat_symbol(")") {
            true => {
                let span = self.since(span.start);
                Ok(ValueExpr { kind: ValueExprKind::Call { name, arguments }, span })
            }
            false => Err(self.unexpected("`,` or `)`")),
        }
    }
}

fn binary(left: ValueExpr, math: ArithmeticOp, right: ValueExpr) -> ValueExpr {
    let span = left.span.start..right.span.end;
    ValueExpr { kind: ValueExprKind::Binary(Box::new(left), math, Box::new(right)), span }
}
