//! The values of expressions and templates, in any language that has them.
//!
//! `None` is undefined: a value that is missing, null or empty in the data. It equals nothing, not
//! even itself; only `x = undefined` and `x != undefined`, written literally, ask for it (`''` is
//! the same question there). Elsewhere a literal `''` is a text. `a != b` is `not a = b`, so it
//! holds when a side is undefined. A number equals the text that is its own spelling: 1001 and
//! `1001`, not `01001`. Other values of different kinds are not equal. A list on either side of a
//! comparison means "any of". What a path leads to is asked of a [`ValueSource`].

use super::call::call;
use super::canonical_forms::{address, network};
use super::expr_value::ExprValue;
use super::function::ExprFunction;
use super::template::{ExprTemplate, TemplatePart};
use super::tree::{AccessStep, ExprNode, ExprNodeKind, PathDialect, TermOperator};
use crate::graph::Value;
use crate::lang::{ComparisonOp, NestedValue, SpellingCollation, compare_numbers, compares, items};
use std::cmp::Ordering;

/// The data that expressions can ask for in their place.
pub(crate) trait ValueSource<'r, R: PathDialect> {
    /// The value that a path leads to; `None` is undefined.
    fn path(&self, root: R, steps: &'r [AccessStep<R>]) -> Option<ExprValue<'r>>;

    /// True if a condition holds for an element of a list, which is `it`.
    fn keeps(&self, condition: &ExprNode<R>, element: &NestedValue) -> bool;

    /// The value that a lookup table has for a key.
    fn lookup(&self, table: &str, key: &str) -> Option<Value<'r>>;

    /// Texts that are filler in this organisation.
    fn junk(&self) -> &'r [String];
}

/// True if the condition yields `true`. Any other value counts as false.
pub(crate) fn holds<'r, R: PathDialect, S: ValueSource<'r, R>>(
    expr: &'r ExprNode<R>,
    env: &S,
) -> bool {
    eval(expr, env) == Some(Value::Bool(true))
}

/// The value of an expression as a property can hold it; nested data is undefined.
pub(crate) fn eval<'r, R: PathDialect, S: ValueSource<'r, R>>(
    expr: &'r ExprNode<R>,
    env: &S,
) -> Option<Value<'r>> {
    eval_nested(expr, env)?.into_value()
}

/// The value of an expression, nested data included.
pub(crate) fn eval_nested<'r, R: PathDialect, S: ValueSource<'r, R>>(
    expr: &'r ExprNode<R>,
    env: &S,
) -> Option<ExprValue<'r>> {
    let condition = |holds: bool| Some(ExprValue::Plain(Value::Bool(holds)));
    match &expr.kind {
        ExprNodeKind::Path(root, steps) => env.path(*root, steps),
        ExprNodeKind::Steps(inner, steps) => eval_nested(inner, env)?
            .follow(steps, &|condition, element| env.keeps(condition, element)),
        ExprNodeKind::Call(function, arguments, pattern) => {
            call(*function, arguments, pattern.as_ref(), env)
        }
        // A text written in the file is a text, even an empty one.
        ExprNodeKind::Literal(value) => Some(ExprValue::Plain(value.clone())),
        ExprNodeKind::Undefined | ExprNodeKind::Faulty => None,
        ExprNodeKind::List(items) => {
            list(items.iter().filter_map(|i| eval(i, env))).map(ExprValue::Plain)
        }
        ExprNodeKind::Not(inner) => condition(!holds(inner, env)),
        ExprNodeKind::And(parts) => condition(parts.iter().all(|p| holds(p, env))),
        ExprNodeKind::Or(parts) => condition(parts.iter().any(|p| holds(p, env))),
        ExprNodeKind::Compare(left, operator, right) => {
            condition(compare(left, *operator, right, env))
        }
    }
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
            eval_nested(side, env).is_none()
        }
        (Some(side), TermOperator::NotEqual) if !side.is_undefined_literal() => {
            eval_nested(side, env).is_some()
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
    let equal = || compares(left, ComparisonOp::Equal, right, &SpellingCollation);
    match operator {
        TermOperator::In if networks => {
            items(left).iter().any(|a| items(right).iter().any(|b| inside(a, b)))
        }
        TermOperator::In => equal(),
        // The negation of `=` over all pairs: with lists, no pair may be equal.
        TermOperator::NotEqual => !equal(),
        TermOperator::Compare(op) => compares(left, op, right, &SpellingCollation),
        TermOperator::Like => like(left, right),
    }
}

/// True if any text on the left fits any pattern on the right.
fn like(left: &Value<'_>, right: &Value<'_>) -> bool {
    let fits =
        |text: &str| items(right).iter().any(|pattern| fits_wildcards(&text_of(pattern), text));
    items(left).iter().any(|item| fits(&text_of(item)))
}

/// True if a text fits a pattern in which `*` is any text and `?` any character, as in policies of
/// AWS IAM. Takes at most time for each pair of characters.
pub(crate) fn fits_wildcards(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // After a star: the place behind it, and the text that it may still take.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((behind, taken)) = star else { return false };
                star = Some((behind, taken + 1));
                (p, t) = (behind, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
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
#[derive(Clone, Debug)]
pub(crate) enum PreferenceRank {
    Undefined,
    Bool(bool),
    Number(Value<'static>),
    Text(String),
}

impl PartialEq for PreferenceRank {
    fn eq(&self, other: &PreferenceRank) -> bool {
        self.cmp(other).is_eq()
    }
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
            (PreferenceRank::Number(a), PreferenceRank::Number(b)) => {
                compare_numbers(a, b).unwrap_or(Ordering::Equal)
            }
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
        number => PreferenceRank::Number(number.clone().into_owned()),
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
    render_nested(template, env)?.into_value().ok_or_else(|| template.first_placeholder())
}

/// Bytes that most texts of templates fit.
const RENDERED: usize = 48;

/// The same with nested data: one placeholder alone may lead to an object or a list of them.
pub(crate) fn render_nested<'r, R: PathDialect, S: ValueSource<'r, R>>(
    template: &'r ExprTemplate<R>,
    env: &S,
) -> Result<ExprValue<'r>, &'r str> {
    if let [TemplatePart::Expr(expr, text)] = template.parts.as_slice() {
        return eval_nested(expr, env).ok_or(text);
    }
    let mut out = String::with_capacity(RENDERED);
    for part in &template.parts {
        match part {
            TemplatePart::Text(text) => out.push_str(text),
            TemplatePart::Expr(expr, text) => match eval_nested(expr, env) {
                Some(ExprValue::Plain(Value::Text(value))) => out.push_str(&value),
                // A list or an object has no single text that could stand inside another text.
                None
                | Some(ExprValue::Nested(_) | ExprValue::Plain(Value::List(_) | Value::Null)) => {
                    return Err(text);
                }
                Some(ExprValue::Plain(other)) => out.push_str(&other.to_string()),
            },
        }
    }
    Ok(ExprValue::Plain(Value::Text(out.into())))
}

#[cfg(test)]
mod tests {
    use super::fits_wildcards;

    #[test]
    fn wildcards_take_any_text_and_any_character() {
        for (pattern, text) in [
            ("*", ""),
            ("a*", "a"),
            ("arn:aws:s3:::b*/x?", "arn:aws:s3:::bucket/y/x1"),
            ("*a*b", "aab"),
            ("é?", "éa"),
        ] {
            assert!(fits_wildcards(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("?", ""), ("a*b", "abc"), ("A", "a"), ("a?", "a")] {
            assert!(!fits_wildcards(pattern, text), "{pattern} {text}");
        }
        // A naive matcher would take exponential time here.
        assert!(!fits_wildcards(&"*a".repeat(200), &"a".repeat(199)));
    }
}
