//! The expressions of RETURN and ORDER BY: columns, functions and arithmetic.

use super::super::lex::Word;
use super::super::syntax::*;
use super::{CLAUSES, Parsed, Parser};

impl Parser<'_> {
    pub(super) fn returns(&mut self) -> Parsed<Returns> {
        // `TREE` may also be an alias, so it is the keyword only if it stands alone.
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

    pub(super) fn column(&mut self) -> Parsed<Column> {
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

    pub(super) fn sorts(&mut self) -> Parsed<Vec<Sort>> {
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

    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.nested(Self::sum)
    }

    pub(super) fn sum(&mut self) -> Parsed<Expr> {
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

    pub(super) fn product(&mut self) -> Parsed<Expr> {
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

    pub(super) fn power(&mut self) -> Parsed<Expr> {
        let base = self.unary()?;
        match self.eat_symbol("^") {
            true => {
                // Powers group from the right, and each is a call deeper, so nesting bounds them.
                let exponent = self.nested(Self::power)?;
                Ok(binary(base, Math::Power, exponent))
            }
            false => Ok(base),
        }
    }

    pub(super) fn unary(&mut self) -> Parsed<Expr> {
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

    pub(super) fn call(&mut self) -> Parsed<Expr> {
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
