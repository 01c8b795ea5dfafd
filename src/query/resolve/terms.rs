//! Conditions and values: resolves the names in them and the functions that they call.

use super::super::lex;
use super::super::resolved::*;
use super::super::syntax::{
    self as written, ComparisonOperand, ConditionExpr, SpannedName, TextSpan, ValueExpr,
    ValueExprKind,
};
use super::super::version::ParsedVersion;
use super::{
    ConditionClause, ExpressionContext, FILLED_MAX, QueryResolver, ResolveResult, SelectorName,
    check, filled_bytes, selectors,
};
use crate::graph::{Value, same_verb};
use crate::lang::{Diagnostic, closest};
use std::sync::Arc;

const SCALARS: [(&str, ScalarFunction); 9] = [
    ("abs", ScalarFunction::Abs),
    ("sqrt", ScalarFunction::Sqrt),
    ("ceil", ScalarFunction::Ceil),
    ("floor", ScalarFunction::Floor),
    ("round", ScalarFunction::Round),
    ("coalesce", ScalarFunction::Coalesce),
    ("concat", ScalarFunction::Concat),
    ("merge", ScalarFunction::Merge),
    ("depth", ScalarFunction::Depth),
];

const AGGREGATES: [(&str, AggregateKind); 5] = [
    ("count", AggregateKind::Count),
    ("sum", AggregateKind::Sum),
    ("avg", AggregateKind::Average),
    ("min", AggregateKind::Least),
    ("max", AggregateKind::Greatest),
];

/// The term of a number with the text `written`. The text is kept if it looks like a version that the
/// program would print in another way.
pub(super) fn number(value: Value<'static>, written: &str) -> ScalarExpr {
    match ParsedVersion::parse(written) {
        Some(_) if value.spelling().is_some_and(|own| own != written) => {
            ScalarExpr::Written(value, Value::Text(written.to_owned().into()))
        }
        _ => ScalarExpr::Value(value),
    }
}

impl QueryResolver<'_> {
    pub(super) fn test(
        &mut self,
        cond: &ConditionExpr,
        sees: ConditionClause<'_>,
    ) -> ResolveResult<Predicate> {
        let all = |checker: &mut Self, conds: &[ConditionExpr]| {
            conds.iter().map(|c| checker.test(c, sees)).collect::<ResolveResult<Vec<_>>>()
        };
        Ok(match cond {
            ConditionExpr::Or(conds) => Predicate::Or(all(self, conds)?),
            ConditionExpr::And(conds) => Predicate::And(all(self, conds)?),
            ConditionExpr::Not(cond) => Predicate::Not(Box::new(self.test(cond, sees)?)),
            ConditionExpr::Compare(compare) => {
                let left = self.compared(&compare.left, sees)?;
                let right = self.values(&compare.right, sees)?;
                // A note repeats the comparison on one line, however the query is laid out.
                let words = self.source.text[compare.span.clone()].split_whitespace();
                let said = words.collect::<Vec<_>>().join(" ").into();
                Predicate::Compare { left, op: compare.op, negated: compare.negated, right, said }
            }
        })
    }

    /// One side of a comparison.
    pub(super) fn compared(
        &mut self,
        expr: &ValueExpr,
        sees: ConditionClause<'_>,
    ) -> ResolveResult<ScalarExpr> {
        let (subject, clause) = match sees {
            ConditionClause::Subject => (true, "WITH"),
            ConditionClause::Path => (false, "WHERE"),
            ConditionClause::Columns { names, keys } => return self.having_term(expr, names, keys),
        };
        self.term(expr, &mut ExpressionContext { subject, table: None, clause })
    }

    pub(super) fn values(
        &mut self,
        right: &ComparisonOperand,
        sees: ConditionClause<'_>,
    ) -> ResolveResult<PredicateOperand> {
        let all = |checker: &mut Self, rights: &[ComparisonOperand]| {
            rights.iter().map(|r| checker.values(r, sees)).collect::<ResolveResult<Vec<_>>>()
        };
        Ok(match right {
            ComparisonOperand::Or(rights) => PredicateOperand::Or(all(self, rights)?),
            ComparisonOperand::And(rights) => PredicateOperand::And(all(self, rights)?),
            ComparisonOperand::Pattern(pattern, _) => PredicateOperand::Pattern(pattern.clone()),
            ComparisonOperand::Value(expr) => {
                match self.compared(expr, sees)? {
                    // A parameter may be a list: then any of its values may match.
                    ScalarExpr::Value(Value::List(items)) => {
                        PredicateOperand::Or(self.items(expr, items))
                    }
                    term => PredicateOperand::Term(term),
                }
            }
            ComparisonOperand::Query(query) if matches!(sees, ConditionClause::Columns { .. }) => {
                let message = "a query cannot stand in HAVING";
                return Err(Box::new(self.fault("Q0208", message, &query.span)));
            }
            ComparisonOperand::Query(query) => {
                let checked = check(query, self.source, self.options, self.seen)?;
                match &checked.output {
                    QueryOutput::Table(table) if table.names.len() == 1 => {
                        PredicateOperand::Query(Arc::new(checked))
                    }
                    _ => {
                        let fault =
                            self.fault("Q0208", "a query as a value needs one column", &query.span);
                        return Err(Box::new(fault.help("end it with `RETURN alias.property`")));
                    }
                }
            }
        })
    }

    /// The values of a parameter that is a list.
    fn items(&self, expr: &ValueExpr, items: Vec<Value<'static>>) -> Vec<PredicateOperand> {
        let ValueExprKind::Text(text) = &expr.kind else { return Vec::new() };
        let written = self.written(&text.text);
        let each = items.into_iter().enumerate();
        each.map(|(at, item)| {
            let term = match written.get(at) {
                Some(written) => number(item, written),
                None => ScalarExpr::Value(item),
            };
            PredicateOperand::Term(term)
        })
        .collect()
    }

    /// The numbers of a parameter as they are written.
    fn written(&self, name: &str) -> &[String] {
        let all = &self.options.written;
        let known = all.get(name).or_else(|| all.get(name.strip_prefix('@')?));
        known.map_or(&[], Vec::as_slice)
    }

    /// A text with its placeholders filled in.
    pub(super) fn filled(&self, text: &written::TextLiteral) -> ResolveResult<String> {
        match self.text(text)? {
            ScalarExpr::Value(Value::Text(text)) => Ok(text.into_owned()),
            ScalarExpr::Value(other) => Ok(other.to_string()),
            ScalarExpr::Written(_, Value::Text(written)) => Ok(written.into_owned()),
            _ => Ok(String::new()),
        }
    }

    pub(super) fn text(&self, text: &written::TextLiteral) -> ResolveResult<ScalarExpr> {
        if text.hole {
            return Ok(match self.parameter(&text.text, &text.span)? {
                Some(value) => match self.written(&text.text) {
                    [written] => number(value, written),
                    _ => ScalarExpr::Value(value),
                },
                None => ScalarExpr::Undefined,
            });
        }
        let (mut filled, mut rest) = (String::new(), text.text.as_str());
        while let Some(at) = rest.find("{{").into_iter().chain(rest.find("${")).min() {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            match lex::word_at(rest, 0) {
                (lex::QueryToken::Hole(name), span) => {
                    match self.parameter(&name, &text.span)? {
                        Some(Value::Text(value)) => filled.push_str(&value),
                        Some(_) if self.written(&name).len() == 1 => {
                            filled.push_str(&self.written(&name)[0]);
                        }
                        Some(other) => filled.push_str(&other.to_string()),
                        None => {}
                    }
                    rest = &rest[span.end..];
                }
                _ => {
                    // Brackets that open no placeholder are plain text.
                    filled.push_str(&rest[..2]);
                    rest = &rest[2..];
                }
            }
        }
        filled.push_str(rest);
        Ok(ScalarExpr::Value(Value::Text(filled.into())))
    }

    /// The value of a placeholder; `None` where values are not needed yet.
    pub(super) fn parameter(
        &self,
        name: &str,
        at: &TextSpan,
    ) -> ResolveResult<Option<Value<'static>>> {
        // `{{@name}}` asks for the same value as `{{name}}`.
        let plain = name.strip_prefix('@').unwrap_or(name);
        let Some(parameters) = &self.options.parameters else {
            self.seen.parameters.borrow_mut().insert(plain.to_owned());
            return Ok(None);
        };
        let name = if parameters.contains_key(name) { name } else { plain };
        self.seen.parameters.borrow_mut().insert(name.to_owned());
        match parameters.get(name) {
            Some(value) => {
                // A value is copied for each time it is asked, so a short query could fill the memory.
                let filled = self.seen.filled.get() + filled_bytes(value);
                self.seen.filled.set(filled);
                if filled > FILLED_MAX {
                    let most = FILLED_MAX >> 20;
                    let message = format!("the values of placeholders take more than {most} MiB");
                    let fault = self.fault("Q0214", message, at);
                    let help = "ask for a long value once, or give fewer values";
                    return Err(Box::new(fault.help(help)));
                }
                Ok(Some(value.clone()))
            }
            None => {
                let fault = self.fault("Q0207", format!("parameter `{name}` has no value"), at);
                Err(Box::new(fault.help(format!("give one with --param '{name}=VALUE'"))))
            }
        }
    }

    pub(super) fn term(
        &mut self,
        expr: &ValueExpr,
        place: &mut ExpressionContext<'_>,
    ) -> ResolveResult<ScalarExpr> {
        Ok(match &expr.kind {
            ValueExprKind::Number(value) => {
                number(value.clone(), &self.source.text[expr.span.clone()])
            }
            ValueExprKind::Bool(value) => ScalarExpr::Value(Value::Bool(*value)),
            ValueExprKind::Time(time) => ScalarExpr::Time(*time),
            ValueExprKind::Undefined => ScalarExpr::Undefined,
            ValueExprKind::Text(text) => self.text(text)?,
            ValueExprKind::Path(parts) => self.path(parts, &expr.span, place)?,
            ValueExprKind::All(alias) => {
                ScalarExpr::All(self.find(alias, &expr.span, place.clause)?)
            }
            ValueExprKind::Minus(inner) => ScalarExpr::Minus(Box::new(self.term(inner, place)?)),
            ValueExprKind::Binary(left, math, right) => {
                let left = self.term(left, place)?;
                ScalarExpr::Binary(Box::new(left), *math, Box::new(self.term(right, place)?))
            }
            ValueExprKind::Rows => {
                return Err(Box::new(self.fault("Q0205", "`*` can only be counted", &expr.span)));
            }
            ValueExprKind::Call { name, arguments } => {
                self.call(name, arguments, &expr.span, place)?
            }
        })
    }

    pub(super) fn path(
        &self,
        parts: &[String],
        at: &TextSpan,
        place: &ExpressionContext<'_>,
    ) -> ResolveResult<ScalarExpr> {
        let mut filled = Vec::with_capacity(parts.len());
        for part in parts {
            let text = written::TextLiteral { text: part.clone(), hole: false, span: at.clone() };
            filled.push(self.filled(&text)?);
        }
        let parts = filled.as_slice();
        if place.subject {
            return Ok(ScalarExpr::Property(PropertyOwner::Subject, parts.join(".")));
        }
        // In WHERE a single word that names nothing is most likely a property without its selector.
        let known = |name: &SelectorName| {
            name.text == parts[0]
                || matches!(name.of, PropertyOwner::Relationship(_))
                    && same_verb(&name.text, &parts[0])
        };
        if place.clause == "WHERE" && parts.len() == 1 && !self.names.iter().any(known) {
            let fault = self.fault("Q0203", format!("`{}` names no selector", parts[0]), at);
            let example = self.names.first().map_or("User", |name| &name.text);
            return Err(Box::new(fault.help(format!(
                "WHERE compares whole paths: write `{example}.{}`, or use WITH behind the entity",
                parts[0]
            ))));
        }
        let of = self.find(&parts[0], at, place.clause)?;
        Ok(match parts.len() {
            1 => ScalarExpr::Whole(of),
            _ => ScalarExpr::Property(of, parts[1..].join(".")),
        })
    }

    pub(super) fn call(
        &mut self,
        name: &SpannedName,
        arguments: &[ValueExpr],
        at: &TextSpan,
        place: &mut ExpressionContext<'_>,
    ) -> ResolveResult<ScalarExpr> {
        let aggregate = AGGREGATES.iter().find(|(known, _)| *known == name.text);
        if let Some((_, kind)) = aggregate {
            let [argument] = arguments else {
                let message = format!("`{}` takes one argument", name.text);
                return Err(Box::new(self.fault("Q0205", message, at)));
            };
            let (kind, argument) = match argument.kind {
                ValueExprKind::Rows => (AggregateKind::Rows, ScalarExpr::Undefined),
                _ => {
                    // Without a table, an aggregate inside an aggregate is a fault.
                    let mut inside =
                        ExpressionContext { subject: false, table: None, clause: "RETURN" };
                    (*kind, self.term(argument, &mut inside)?)
                }
            };
            let Some(table) = &mut place.table else {
                let message = format!("`{}` cannot stand here", name.text);
                let fault = self.fault("Q0205", message, at);
                return Err(Box::new(
                    fault.help("aggregates stand in RETURN, alone or in arithmetic"),
                ));
            };
            let mut over = Vec::new();
            selectors(&argument, &mut over);
            table.aggregates.push(AggregateCall { kind, argument, over });
            return Ok(ScalarExpr::Aggregate(table.aggregates.len() - 1));
        }
        if name.text == "unwind" {
            let [argument] = arguments else {
                return Err(Box::new(self.fault("Q0205", "`unwind` takes one argument", at)));
            };
            let mut inside = ExpressionContext { subject: false, table: None, clause: "RETURN" };
            let term = self.term(argument, &mut inside)?;
            let Some(table) = &mut place.table else {
                return Err(Box::new(self.fault("Q0205", "`unwind` cannot stand here", at)));
            };
            table.unwinds.push(term);
            return Ok(ScalarExpr::Unwind(table.unwinds.len() - 1));
        }
        let Some((_, function)) = SCALARS.iter().find(|(known, _)| *known == name.text) else {
            let names = || {
                SCALARS.iter().map(|s| s.0).chain(AGGREGATES.iter().map(|a| a.0)).chain(["unwind"])
            };
            let fault =
                self.fault("Q0204", format!("unknown function `{}`", name.text), &name.span);
            let help = match closest(&name.text, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("functions are {}", names().collect::<Vec<_>>().join(", ")),
            };
            return Err(Box::new(fault.help(help)));
        };
        let several = matches!(
            function,
            ScalarFunction::Coalesce | ScalarFunction::Concat | ScalarFunction::Merge
        );
        if arguments.is_empty() || (arguments.len() > 1 && !several) {
            let message = format!(
                "`{}` takes {} argument",
                name.text,
                if several { "at least one" } else { "one" }
            );
            return Err(Box::new(self.fault("Q0205", message, at)));
        }
        let terms: Vec<ScalarExpr> =
            arguments.iter().map(|a| self.term(a, place)).collect::<ResolveResult<_>>()?;
        if *function == ScalarFunction::Depth
            && !matches!(terms[0], ScalarExpr::Whole(PropertyOwner::Relationship(_)))
        {
            let fault = self.fault("Q0205", "`depth` takes the alias of a step", at);
            return Err(Box::new(fault.help("as in `THAT HAS{1,4} AS r Group RETURN DEPTH(r)`")));
        }
        Ok(ScalarExpr::Call(*function, terms))
    }

    /// The entity or relationship that a selector of an expression stands for.
    pub(super) fn find(
        &self,
        text: &str,
        at: &TextSpan,
        clause: &str,
    ) -> ResolveResult<PropertyOwner> {
        let explicit: Vec<&SelectorName> =
            self.names.iter().filter(|n| n.explicit && n.text == text).collect();
        let fits = |name: &&SelectorName| match name.of {
            PropertyOwner::Relationship(_) => same_verb(&name.text, text),
            _ => name.text == text,
        };
        // An alias hides the classes and verbs that selectors are called by default.
        let found = match explicit.is_empty() {
            false => explicit,
            true => self.names.iter().filter(|n| !n.explicit).filter(fits).collect(),
        };
        match found.as_slice() {
            [name] => Ok(name.of),
            [] => Err(self.unknown(text, at, clause)),
            [first, second, ..] => {
                let fault = self.fault("Q0202", format!("ambiguous selector `{text}`"), at);
                let fault = fault
                    .context(first.span.clone(), "could be this")
                    .context(second.span.clone(), "or this");
                Err(Box::new(fault.help("give the one that is meant a name with `AS`")))
            }
        }
    }

    pub(super) fn unknown(&self, text: &str, at: &TextSpan, clause: &str) -> Box<Diagnostic> {
        let mut valid: Vec<&str> = self.names.iter().map(|n| n.text.as_str()).collect();
        valid.dedup();
        let quoted: Vec<String> = valid.iter().map(|name| format!("\"{name}\"")).collect();
        let words = match clause {
            "WHERE" => "predicate filter selector",
            _ => "return selector",
        };
        let note = format!(
            "Invalid {words} provided: \"{text}\", valid {words}s are: {}",
            quoted.join(", ")
        );
        let fault = self.fault("Q0201", format!("unknown selector `{text}`"), at);
        let fault = match closest(text, valid.iter().copied()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None if text.contains('@') => fault.help("a text stands in quotes"),
            None if valid.is_empty() => fault.help("name an entity with `AS` to ask for it"),
            None => fault.help(format!("selectors are {}", valid.join(", "))),
        };
        Box::new(fault.note(note))
    }
}
