//! Conditions and values: resolves the names in them and the functions that they call.

use super::super::lex;
use super::super::meant::*;
use super::super::syntax::{self as written, Cond, Expr, ExprKind, Named, Right, Span};
use super::super::version::Version;
use super::{Checker, Checks, FILLED_MAX, Name, Place, Sees, check, filled_bytes, selectors};
use crate::graph::{Value, same_verb};
use crate::lang::{Fault, closest};
use std::sync::Arc;

const SCALARS: [(&str, Function); 9] = [
    ("abs", Function::Abs),
    ("sqrt", Function::Sqrt),
    ("ceil", Function::Ceil),
    ("floor", Function::Floor),
    ("round", Function::Round),
    ("coalesce", Function::Coalesce),
    ("concat", Function::Concat),
    ("merge", Function::Merge),
    ("depth", Function::Depth),
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
pub(super) fn number(value: Value<'static>, written: &str) -> Term {
    match Version::parse(written) {
        Some(_) if value.spelling().is_some_and(|own| own != written) => {
            Term::Written(value, Value::Text(written.to_owned().into()))
        }
        _ => Term::Value(value),
    }
}

impl Checker<'_> {
    pub(super) fn test(&mut self, cond: &Cond, sees: Sees<'_>) -> Checks<Test> {
        let all = |checker: &mut Self, conds: &[Cond]| {
            conds.iter().map(|c| checker.test(c, sees)).collect::<Checks<Vec<_>>>()
        };
        Ok(match cond {
            Cond::Or(conds) => Test::Or(all(self, conds)?),
            Cond::And(conds) => Test::And(all(self, conds)?),
            Cond::Not(cond) => Test::Not(Box::new(self.test(cond, sees)?)),
            Cond::Compare(compare) => {
                let left = self.compared(&compare.left, sees)?;
                let right = self.values(&compare.right, sees)?;
                // A note repeats the comparison on one line, however the query is laid out.
                let words = self.source.text[compare.span.clone()].split_whitespace();
                let said = words.collect::<Vec<_>>().join(" ").into();
                Test::Compare { left, op: compare.op, negated: compare.negated, right, said }
            }
        })
    }

    /// One side of a comparison.
    pub(super) fn compared(&mut self, expr: &Expr, sees: Sees<'_>) -> Checks<Term> {
        let (subject, clause) = match sees {
            Sees::Subject => (true, "WITH"),
            Sees::Path => (false, "WHERE"),
            Sees::Columns { names, keys } => return self.having_term(expr, names, keys),
        };
        self.term(expr, &mut Place { subject, table: None, clause })
    }

    pub(super) fn values(&mut self, right: &Right, sees: Sees<'_>) -> Checks<Values> {
        let all = |checker: &mut Self, rights: &[Right]| {
            rights.iter().map(|r| checker.values(r, sees)).collect::<Checks<Vec<_>>>()
        };
        Ok(match right {
            Right::Or(rights) => Values::Or(all(self, rights)?),
            Right::And(rights) => Values::And(all(self, rights)?),
            Right::Pattern(pattern, _) => Values::Pattern(pattern.clone()),
            Right::Value(expr) => {
                match self.compared(expr, sees)? {
                    // A parameter may be a list: then any of its values may match.
                    Term::Value(Value::List(items)) => Values::Or(self.items(expr, items)),
                    term => Values::Term(term),
                }
            }
            Right::Query(query) if matches!(sees, Sees::Columns { .. }) => {
                let message = "a query cannot stand in HAVING";
                return Err(Box::new(self.fault("Q0208", message, &query.span)));
            }
            Right::Query(query) => {
                let checked = check(query, self.source, self.options, self.seen)?;
                match &checked.output {
                    Output::Table(table) if table.names.len() == 1 => {
                        Values::Query(Arc::new(checked))
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
    fn items(&self, expr: &Expr, items: Vec<Value<'static>>) -> Vec<Values> {
        let ExprKind::Text(text) = &expr.kind else { return Vec::new() };
        let written = self.written(&text.text);
        let each = items.into_iter().enumerate();
        each.map(|(at, item)| {
            let term = match written.get(at) {
                Some(written) => number(item, written),
                None => Term::Value(item),
            };
            Values::Term(term)
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
    pub(super) fn filled(&self, text: &written::Text) -> Checks<String> {
        match self.text(text)? {
            Term::Value(Value::Text(text)) => Ok(text.into_owned()),
            Term::Value(other) => Ok(other.to_string()),
            Term::Written(_, Value::Text(written)) => Ok(written.into_owned()),
            _ => Ok(String::new()),
        }
    }

    pub(super) fn text(&self, text: &written::Text) -> Checks<Term> {
        if text.hole {
            return Ok(match self.parameter(&text.text, &text.span)? {
                Some(value) => match self.written(&text.text) {
                    [written] => number(value, written),
                    _ => Term::Value(value),
                },
                None => Term::Undefined,
            });
        }
        let (mut filled, mut rest) = (String::new(), text.text.as_str());
        while let Some(at) = rest.find("{{").into_iter().chain(rest.find("${")).min() {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            match lex::word_at(rest, 0) {
                (lex::Word::Hole(name), span) => {
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
        Ok(Term::Value(Value::Text(filled.into())))
    }

    /// The value of a placeholder; `None` where values are not needed yet.
    pub(super) fn parameter(&self, name: &str, at: &Span) -> Checks<Option<Value<'static>>> {
        let Some(parameters) = &self.options.parameters else { return Ok(None) };
        // `{{@name}}` asks for the same value as `{{name}}`.
        let plain = name.strip_prefix('@').unwrap_or(name);
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

    pub(super) fn term(&mut self, expr: &Expr, place: &mut Place<'_>) -> Checks<Term> {
        Ok(match &expr.kind {
            ExprKind::Number(value) => number(value.clone(), &self.source.text[expr.span.clone()]),
            ExprKind::Bool(value) => Term::Value(Value::Bool(*value)),
            ExprKind::Time(time) => Term::Time(*time),
            ExprKind::Undefined => Term::Undefined,
            ExprKind::Text(text) => self.text(text)?,
            ExprKind::Path(parts) => self.path(parts, &expr.span, place)?,
            ExprKind::All(alias) => Term::All(self.find(alias, &expr.span, place.clause)?),
            ExprKind::Minus(inner) => Term::Minus(Box::new(self.term(inner, place)?)),
            ExprKind::Binary(left, math, right) => {
                let left = self.term(left, place)?;
                Term::Binary(Box::new(left), *math, Box::new(self.term(right, place)?))
            }
            ExprKind::Rows => {
                return Err(Box::new(self.fault("Q0205", "`*` can only be counted", &expr.span)));
            }
            ExprKind::Call { name, arguments } => self.call(name, arguments, &expr.span, place)?,
        })
    }

    pub(super) fn path(&self, parts: &[String], at: &Span, place: &Place<'_>) -> Checks<Term> {
        let mut filled = Vec::with_capacity(parts.len());
        for part in parts {
            let text = written::Text { text: part.clone(), hole: false, span: at.clone() };
            filled.push(self.filled(&text)?);
        }
        let parts = filled.as_slice();
        if place.subject {
            return Ok(Term::Property(Of::Subject, parts.join(".")));
        }
        // In WHERE a single word that names nothing is most likely a property without its selector.
        let known = |name: &Name| {
            name.text == parts[0]
                || matches!(name.of, Of::Relationship(_)) && same_verb(&name.text, &parts[0])
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
            1 => Term::Whole(of),
            _ => Term::Property(of, parts[1..].join(".")),
        })
    }

    pub(super) fn call(
        &mut self,
        name: &Named,
        arguments: &[Expr],
        at: &Span,
        place: &mut Place<'_>,
    ) -> Checks<Term> {
        let aggregate = AGGREGATES.iter().find(|(known, _)| *known == name.text);
        if let Some((_, kind)) = aggregate {
            let [argument] = arguments else {
                let message = format!("`{}` takes one argument", name.text);
                return Err(Box::new(self.fault("Q0205", message, at)));
            };
            let (kind, argument) = match argument.kind {
                ExprKind::Rows => (AggregateKind::Rows, Term::Undefined),
                _ => {
                    // Without a table, an aggregate inside an aggregate is a fault.
                    let mut inside = Place { subject: false, table: None, clause: "RETURN" };
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
            table.aggregates.push(Aggregate { kind, argument, over });
            return Ok(Term::Aggregate(table.aggregates.len() - 1));
        }
        if name.text == "unwind" {
            let [argument] = arguments else {
                return Err(Box::new(self.fault("Q0205", "`unwind` takes one argument", at)));
            };
            let mut inside = Place { subject: false, table: None, clause: "RETURN" };
            let term = self.term(argument, &mut inside)?;
            let Some(table) = &mut place.table else {
                return Err(Box::new(self.fault("Q0205", "`unwind` cannot stand here", at)));
            };
            table.unwinds.push(term);
            return Ok(Term::Unwind(table.unwinds.len() - 1));
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
        let several = matches!(function, Function::Coalesce | Function::Concat | Function::Merge);
        if arguments.is_empty() || (arguments.len() > 1 && !several) {
            let message = format!(
                "`{}` takes {} argument",
                name.text,
                if several { "at least one" } else { "one" }
            );
            return Err(Box::new(self.fault("Q0205", message, at)));
        }
        let terms: Vec<Term> =
            arguments.iter().map(|a| self.term(a, place)).collect::<Checks<_>>()?;
        if *function == Function::Depth && !matches!(terms[0], Term::Whole(Of::Relationship(_))) {
            let fault = self.fault("Q0205", "`depth` takes the alias of a step", at);
            return Err(Box::new(fault.help("as in `THAT HAS{1,4} AS r Group RETURN DEPTH(r)`")));
        }
        Ok(Term::Call(*function, terms))
    }

    /// The entity or relationship that a selector of an expression stands for.
    pub(super) fn find(&self, text: &str, at: &Span, clause: &str) -> Checks<Of> {
        let explicit: Vec<&Name> =
            self.names.iter().filter(|n| n.explicit && n.text == text).collect();
        let fits = |name: &&Name| match name.of {
            Of::Relationship(_) => same_verb(&name.text, text),
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

    pub(super) fn unknown(&self, text: &str, at: &Span, clause: &str) -> Box<Fault> {
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
