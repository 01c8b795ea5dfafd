//! The values of expressions and templates, in any language that has them.
//!
//! `None` is undefined: a missing or empty value. It equals nothing, not even itself; only
//! `x = undefined` and `x != undefined`, written literally, ask for it (`''`, the empty value, is
//! the same literal). `a != b` is `not a = b`, so it holds when a side is undefined. Comparing
//! values of different kinds is false: the text `5` is not the number 5. A list on either side of
//! a comparison means "any of". An object is no value and counts as undefined.
//! What a path leads to is asked of a [`ValueSource`].

use super::canonical_forms::{address, network};
use super::function::{ExprFunction, call};
use super::template::{ExprTemplate, TemplatePart};
use super::tree::{AccessStep, ExprNode, ExprNodeKind, PathDialect, TermOperator};
use crate::graph::Value;
use crate::lang::{ComparisonOp, StrictCollation, compares, float, items};
use std::cmp::Ordering;

/// The data that expressions can ask for in their place.
pub(crate) trait ValueSource<'r, R> {
    /// The value that a path leads to; `None` is undefined.
    fn path(&self, root: R, steps: &'r [AccessStep]) -> Option<Value<'r>>;

    /// The value that a lookup table has for a key.
    fn lookup(&self, table: &str, key: &str) -> Option<Value<'r>>;

    /// Serial numbers that are filler in this organisation.
    fn junk(&self) -> &'r [String];
}

/// True if the condition yields `true`. Any other value counts as false.
pub(crate) fn holds<'r, R: PathDialect, S: ValueSource<'r, R>>(
    expr: &'r ExprNode<R>,
    env: &S,
) -> bool {
    eval(expr, env) == Some(Value::Bool(true))
}

/// The value of an expression.
pub(crate) fn eval<'r, R: PathDialect, S: ValueSource<'r, R>>(
    expr: &'r ExprNode<R>,
    env: &S,
) -> Option<Value<'r>> {
    match &expr.kind {
        ExprNodeKind::Path(root, steps) => env.path(*root, steps),
        ExprNodeKind::Call(ExprFunction::Lookup, arguments, _) => lookup(arguments, env),
        ExprNodeKind::Call(function, arguments, pattern) => {
            let arguments: Vec<Option<Value<'r>>> =
                arguments.iter().map(|argument| self::argument(argument, env)).collect();
            let pattern = pattern.as_ref().map(|pattern| &*pattern.0);
            defined(call(*function, arguments, pattern, env.junk())?)
        }
        ExprNodeKind::Literal(value) => defined(value.clone()),
        ExprNodeKind::Undefined | ExprNodeKind::Faulty => None,
        ExprNodeKind::List(items) => list(items.iter().filter_map(|i| eval(i, env))),
        ExprNodeKind::Not(inner) => Some(Value::Bool(!holds(inner, env))),
        ExprNodeKind::And(parts) => Some(Value::Bool(parts.iter().all(|p| holds(p, env)))),
        ExprNodeKind::Or(parts) => Some(Value::Bool(parts.iter().any(|p| holds(p, env)))),
        ExprNodeKind::Compare(left, operator, right) => {
            Some(Value::Bool(compare(left, *operator, right, env)))
        }
    }
}

/// The value of an argument of a function. An empty text, written literally, stays a text here and
/// is not undefined: `replace` puts it in the place of a match.
fn argument<'r, R: PathDialect, S: ValueSource<'r, R>>(
    expr: &'r ExprNode<R>,
    env: &S,
) -> Option<Value<'r>> {
    match &expr.kind {
        ExprNodeKind::Literal(value @ Value::Text(_)) => Some(value.borrowed()),
        _ => eval(expr, env),
    }
}

fn lookup<'r, R: PathDialect, S: ValueSource<'r, R>>(
    arguments: &'r [ExprNode<R>],
    env: &S,
) -> Option<Value<'r>> {
    let ExprNodeKind::Literal(Value::Text(table)) = &arguments[0].kind else { return None };
    let key = eval(&arguments[1], env);
    let found = key.and_then(|key| env.lookup(table, &text_of(&key)));
    found.or_else(|| eval(arguments.get(2)?, env))
}

/// A value as the text that stands for it in keys.
pub(crate) fn text_of(value: &Value<'_>) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A list without nesting; without items it is undefined.
pub(crate) fn list<'r>(items: impl Iterator<Item = Value<'r>>) -> Option<Value<'r>> {
    let mut flat = Vec::new();
    for item in items {
        match item {
            Value::List(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    defined(Value::List(flat))
}

/// Empty values are undefined.
pub(crate) fn defined(value: Value<'_>) -> Option<Value<'_>> {
    match &value {
        Value::Null => None,
        Value::Text(text) if text.is_empty() => None,
        Value::List(items) if items.is_empty() => None,
        _ => Some(value),
    }
}

fn compare<'r, R: PathDialect, S: ValueSource<'r, R>>(
    left: &'r ExprNode<R>,
    operator: TermOperator,
    right: &'r ExprNode<R>,
    env: &S,
) -> bool {
    // A literal `undefined` asks about the other side; between two of them there is nothing to ask.
    let asked = match (left.is_undefined_literal(), right.is_undefined_literal()) {
        (_, true) => Some(left),
        (true, false) => Some(right),
        (false, false) => None,
    };
    match (asked, operator) {
        (Some(side), TermOperator::Compare(ComparisonOp::Equal))
            if !side.is_undefined_literal() =>
        {
            eval(side, env).is_none()
        }
        (Some(side), TermOperator::NotEqual) if !side.is_undefined_literal() => {
            eval(side, env).is_some()
        }
        (_, operator) => {
            let (Some(left_value), Some(right_value)) = (eval(left, env), eval(right, env)) else {
                return operator == TermOperator::NotEqual;
            };
            meets(&left_value, operator, &right_value, right.is_call_of(ExprFunction::Cidr))
        }
    }
}

/// True if `left operator right` holds for any pair of items; `networks` says that those on the right
/// are networks.
fn meets(left: &Value<'_>, operator: TermOperator, right: &Value<'_>, networks: bool) -> bool {
    let equal = || compares(left, ComparisonOp::Equal, right, &StrictCollation);
    match operator {
        TermOperator::In if networks => {
            items(left).iter().any(|a| items(right).iter().any(|b| inside(a, b)))
        }
        TermOperator::In => equal(),
        // The negation of `=` over all pairs: with lists, no pair may be equal.
        TermOperator::NotEqual => !equal(),
        TermOperator::Compare(op) => compares(left, op, right, &StrictCollation),
    }
}

/// True if the address or network `a` lies in the network `b`.
fn inside(a: &Value<'_>, b: &Value<'_>) -> bool {
    let Some((v6, first, len)) = b.as_str().and_then(network) else { return false };
    let own = a.as_str().and_then(|a| {
        let single = address(a).map(|(v6, bits)| (v6, bits, if v6 { 128 } else { 32 }));
        single.or_else(|| network(a))
    });
    own.is_some_and(|(own_v6, bits, own_len)| {
        let host = if v6 { 128 } else { 32 } - u32::from(len);
        // A shift by all 128 bits would overflow.
        let masked = if host >= 128 { 0 } else { bits >> host << host };
        own_v6 == v6 && own_len >= len && masked == first
    })
}

/// Calls `visit` for a value, or for each item of a list.
pub(crate) fn each_item(value: &Value<'_>, mut visit: impl FnMut(&Value<'_>)) {
    items(value).iter().for_each(&mut visit);
}

/// A value of `prefer`, in an order that all values share: undefined, booleans, numbers, texts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PreferenceRank {
    Undefined,
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Eq for PreferenceRank {}

impl PartialOrd for PreferenceRank {
    fn partial_cmp(&self, other: &PreferenceRank) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PreferenceRank {
    fn cmp(&self, other: &PreferenceRank) -> Ordering {
        let kind = |rank: &PreferenceRank| match rank {
            PreferenceRank::Undefined => 0,
            PreferenceRank::Bool(_) => 1,
            PreferenceRank::Number(_) => 2,
            PreferenceRank::Text(_) => 3,
        };
        match (self, other) {
            (PreferenceRank::Bool(a), PreferenceRank::Bool(b)) => a.cmp(b),
            (PreferenceRank::Number(a), PreferenceRank::Number(b)) => a.total_cmp(b),
            (PreferenceRank::Text(a), PreferenceRank::Text(b)) => a.cmp(b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }
}

/// The rank of an expression; the greatest item of a list counts.
pub(crate) fn rank<'r, R: PathDialect, S: ValueSource<'r, R>>(
    expr: &'r ExprNode<R>,
    env: &S,
) -> PreferenceRank {
    let one = |value: &Value<'_>| match value {
        Value::Null | Value::List(_) => PreferenceRank::Undefined,
        Value::Bool(b) => PreferenceRank::Bool(*b),
        Value::Text(text) => PreferenceRank::Text(text.to_string()),
        number => PreferenceRank::Number(float(number).unwrap_or(0.0)),
    };
    let value = eval(expr, env);
    value.as_ref().and_then(|v| items(v).iter().map(one).max()).unwrap_or(PreferenceRank::Undefined)
}

/// The value of a template, or the text of the placeholder that is undefined. One placeholder
/// alone keeps the kind of its value.
pub(crate) fn render<'r, R: PathDialect, S: ValueSource<'r, R>>(
    template: &'r ExprTemplate<R>,
    env: &S,
) -> Result<Value<'r>, &'r str> {
    if let [TemplatePart::Expr(expr, text)] = template.parts.as_slice() {
        return eval(expr, env).ok_or(text);
    }
    let mut out = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(text) => out.push_str(text),
            TemplatePart::Expr(expr, text) => match eval(expr, env) {
                Some(Value::Text(value)) => out.push_str(&value),
                // A list has no single text that could stand inside another text.
                None | Some(Value::List(_) | Value::Null) => return Err(text),
                Some(other) => out.push_str(&other.to_string()),
            },
        }
    }
    Ok(Value::Text(out.into()))
}
