//! The output of a query: the columns of a table, their names and their order.

use super::super::lex;
use super::super::resolved::*;
use super::super::syntax::{self as written, ReturnClause, TextSpan, ValueExpr, ValueExprKind};
use super::{ConditionClause, ExpressionContext, QueryResolver, ResolveResult};
use crate::graph::Value;
use crate::lang::Diagnostic;

impl QueryResolver<'_> {
    pub(super) fn output(&mut self, query: &written::ParsedQuery) -> ResolveResult<QueryOutput> {
        let ReturnClause::Columns(columns) = &query.returns else {
            return self.output_without_columns(query);
        };
        let mut table = TableOutput {
            names: Vec::new(),
            columns: Vec::new(),
            aggregates: Vec::new(),
            unwinds: Vec::new(),
            having: None,
            order: Vec::new(),
        };
        let mut keys = Vec::new();
        for column in columns {
            let key = self.key(&column.expr.span);
            let mut name =
                column.name.as_ref().map_or_else(|| key.clone(), |name| name.text.clone());
            if let Some(first) = table.names.iter().position(|known| *known == name) {
                let at = column.name.as_ref().map_or(&column.expr.span, |name| &name.span);
                if keys[first] == key {
                    let message = format!("column `{name}` is returned twice, and shown once");
                    let lint = Diagnostic::warning("QW04", self.source, message).at(at.clone(), "");
                    self.seen.lints.push(lint);
                    continue;
                }
                let free = |number: &usize| !table.names.contains(&numbered(&name, *number));
                // Rows are objects by column name in JSON, so no two columns may share a name.
                let number = (2..).find(free).unwrap_or(2);
                let message =
                    format!("second column `{name}`, shown as `{}`", numbered(&name, number));
                let lint = Diagnostic::warning("QW04", self.source, message).at(at.clone(), "");
                self.seen.lints.push(lint.help("`AS` gives it a name of its own"));
                name = numbered(&name, number);
            }
            let mut place =
                ExpressionContext { subject: false, table: Some(&mut table), clause: "RETURN" };
            let term = self.term(&column.expr, &mut place)?;
            table.columns.push(term);
            table.names.push(name);
            keys.push(key);
        }
        if let Some(cond) = &query.having {
            // Added first: the condition below only finds columns that are there.
            self.having_columns(cond, &mut table, &mut keys)?;
            let sees = ConditionClause::Columns { names: &table.names, keys: &keys };
            table.having = Some(self.test(cond, sees)?);
        }
        for sort in &query.order {
            let at = self.sort_column(&sort.expr, &mut table, &keys)?;
            table.order.push((at, sort.descending));
        }
        Ok(QueryOutput::Table(Box::new(table)))
    }

    /// A list or a tree.
    fn output_without_columns(
        &mut self,
        query: &written::ParsedQuery,
    ) -> ResolveResult<QueryOutput> {
        if let Some(sort) = query.order.first()
            && let ReturnClause::Tree = query.returns
        {
            return Err(Box::new(self.fault("Q0206", "a tree has no order", &sort.expr.span)));
        }
        if query.having.is_some() {
            return Err(Box::new(self.fault(
                "Q0206",
                "`HAVING` needs `RETURN` columns",
                &query.span,
            )));
        }
        if let ReturnClause::Tree = query.returns {
            return Ok(QueryOutput::Tree);
        }
        let mut order = Vec::new();
        for sort in &query.order {
            let mut place = ExpressionContext { subject: false, table: None, clause: "ORDER BY" };
            order.push((self.term(&sort.expr, &mut place)?, sort.descending));
        }
        Ok(QueryOutput::List { order })
    }

    /// The default name of a column: the text of its expression with uniform spaces.
    pub(super) fn key(&self, span: &TextSpan) -> String {
        let (mut key, mut at) = (String::new(), span.start);
        while at < span.end {
            let (word, range) = lex::word_at(&self.source.text, at);
            if range.is_empty() {
                break;
            }
            let written = &self.source.text[range.clone()];
            // Functions are called in any case, so `COUNT(u)` and `count(u)` are one column.
            let called = matches!(
                lex::word_at(&self.source.text, range.end).0,
                lex::QueryToken::Symbol("(")
            );
            match word {
                lex::QueryToken::Name(name) if called => key.push_str(&name.to_lowercase()),
                lex::QueryToken::Symbol(s @ ("+" | "-" | "/" | "^")) => {
                    key.push_str(&format!(" {s} "))
                }
                lex::QueryToken::Symbol("*") if !key.ends_with(['.', '(']) => key.push_str(" * "),
                lex::QueryToken::Symbol(",") => key.push_str(", "),
                _ => key.push_str(written),
            }
            at = range.end;
        }
        key
    }

    pub(super) fn column(
        &self,
        span: &TextSpan,
        names: &[String],
        keys: &[String],
    ) -> Option<usize> {
        let key = self.key(span);
        names.iter().position(|name| *name == key).or_else(|| keys.iter().position(|k| *k == key))
    }

    /// Adds the columns that HAVING asks and RETURN does not have. They are not shown.
    fn having_columns(
        &mut self,
        cond: &written::ConditionExpr,
        table: &mut TableOutput,
        keys: &mut Vec<String>,
    ) -> ResolveResult<()> {
        match cond {
            written::ConditionExpr::Or(all) | written::ConditionExpr::And(all) => {
                all.iter().try_for_each(|cond| self.having_columns(cond, table, keys))
            }
            written::ConditionExpr::Not(cond) => self.having_columns(cond, table, keys),
            written::ConditionExpr::Compare(compare) => {
                let ValueExpr { kind, span } = &compare.left;
                let computed = match kind {
                    ValueExprKind::Path(parts) => parts.len() > 1,
                    ValueExprKind::Call { .. }
                    | ValueExprKind::Binary(..)
                    | ValueExprKind::Minus(_) => true,
                    _ => false,
                };
                if computed && self.column(span, &table.names, keys).is_none() {
                    self.sort_column(&compare.left, table, keys)?;
                    keys.push(self.key(span));
                }
                Ok(())
            }
        }
    }

    pub(super) fn having_term(
        &self,
        expr: &ValueExpr,
        names: &[String],
        keys: &[String],
    ) -> ResolveResult<ScalarExpr> {
        Ok(match &expr.kind {
            ValueExprKind::Number(value) => {
                super::terms::number(value.clone(), &self.source.text[expr.span.clone()])
            }
            ValueExprKind::Bool(value) => ScalarExpr::Value(Value::Bool(*value)),
            ValueExprKind::Time(time) => ScalarExpr::Time(*time),
            ValueExprKind::Undefined => ScalarExpr::Undefined,
            ValueExprKind::Text(text) => self.text(text)?,
            _ => match self.column(&expr.span, names, keys) {
                Some(at) => ScalarExpr::Column(at),
                None => {
                    let message = format!("`{}` is no column", self.key(&expr.span));
                    let fault = self.fault("Q0206", message, &expr.span);
                    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
                    return Err(Box::new(fault.help(format!("columns are {}", quoted.join(", ")))));
                }
            },
        })
    }

    /// The column to sort by, which may have to be added.
    pub(super) fn sort_column(
        &mut self,
        expr: &ValueExpr,
        table: &mut TableOutput,
        keys: &[String],
    ) -> ResolveResult<usize> {
        if let Some(at) = self.column(&expr.span, &table.names, keys) {
            return Ok(at);
        }
        let grouped = !table.aggregates.is_empty();
        let before = table.aggregates.len();
        let mut place =
            ExpressionContext { subject: false, table: Some(&mut *table), clause: "ORDER BY" };
        let term = self.term(expr, &mut place)?;
        // A column without an aggregate would become part of the key, and split the groups.
        if grouped && table.aggregates.len() == before {
            let message =
                format!("rows are grouped, so `{}` must be a column", self.key(&expr.span));
            let fault = self.fault("Q0206", message, &expr.span);
            return Err(Box::new(fault.help("add it to RETURN, or sort by one of its columns")));
        }
        table.columns.push(term);
        Ok(table.columns.len() - 1)
    }
}

/// The name of the second, third ... column that is called `name`.
fn numbered(name: &str, number: usize) -> String {
    format!("{name} ({number})")
}
