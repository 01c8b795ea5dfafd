//! Comparing values: one table of operators, any-of for lists, and numbers that compare exactly however
//! they are held.
//!
//! Languages differ in what they call equal and in the order of values of different kinds; each says so
//! with a [`ValueCollation`].

use crate::graph::Value;
use std::cmp::Ordering;

/// The operator of a comparison, without negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComparisonOp {
    Equal,
    Contains,
    Begins,
    Ends,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl ComparisonOp {
    /// True if it asks which of two values is the greater one.
    pub fn orders(self) -> bool {
        matches!(
            self,
            ComparisonOp::Less
                | ComparisonOp::LessOrEqual
                | ComparisonOp::Greater
                | ComparisonOp::GreaterOrEqual
        )
    }

    /// The same with its sides changed over.
    pub fn turned(self) -> ComparisonOp {
        match self {
            ComparisonOp::Less => ComparisonOp::Greater,
            ComparisonOp::LessOrEqual => ComparisonOp::GreaterOrEqual,
            ComparisonOp::Greater => ComparisonOp::Less,
            ComparisonOp::GreaterOrEqual => ComparisonOp::LessOrEqual,
            same => same,
        }
    }

    /// The operators as every language writes them.
    const WRITTEN: [(&'static str, ComparisonOp); 8] = [
        ("=", ComparisonOp::Equal),
        ("~=", ComparisonOp::Contains),
        ("^=", ComparisonOp::Begins),
        ("$=", ComparisonOp::Ends),
        ("<", ComparisonOp::Less),
        ("<=", ComparisonOp::LessOrEqual),
        (">", ComparisonOp::Greater),
        (">=", ComparisonOp::GreaterOrEqual),
    ];

    /// The operator that a symbol stands for.
    pub fn written(symbol: &str) -> Option<ComparisonOp> {
        ComparisonOp::WRITTEN.iter().find(|(known, _)| *known == symbol).map(|(_, op)| *op)
    }

    /// True if an order is one that it asks for; operators of texts ask for none.
    pub fn keeps(self, order: Ordering) -> bool {
        match self {
            ComparisonOp::Equal => order.is_eq(),
            ComparisonOp::Less => order.is_lt(),
            ComparisonOp::LessOrEqual => order.is_le(),
            ComparisonOp::Greater => order.is_gt(),
            ComparisonOp::GreaterOrEqual => order.is_ge(),
            ComparisonOp::Contains | ComparisonOp::Begins | ComparisonOp::Ends => false,
        }
    }
}

/// The equality and the order of the values of one language.
pub(crate) trait ValueCollation {
    /// True if two single values are equal.
    fn equal(&self, left: &Value<'_>, right: &Value<'_>) -> bool;

    /// The order of two single values; `None` if they cannot be compared.
    fn order(&self, left: &Value<'_>, right: &Value<'_>) -> Option<Ordering>;
}

/// Nothing is guessed: a number equals the text that is its own spelling (1001 and `1001`, not
/// `01001`), other values of different kinds are neither equal nor in any order, and texts are in
/// the order of their bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpellingCollation;

impl ValueCollation for SpellingCollation {
    fn equal(&self, left: &Value<'_>, right: &Value<'_>) -> bool {
        match (left.as_str(), right.as_str()) {
            (Some(left), Some(right)) => left == right,
            (Some(text), None) | (None, Some(text)) => {
                let number = if left.as_str().is_some() { right } else { left };
                spelled_number(text).is_some_and(|spelled| {
                    compare_numbers(&spelled, number) == Some(Ordering::Equal)
                })
            }
            (None, None) => compare_numbers(left, right) == Some(Ordering::Equal) || left == right,
        }
    }

    fn order(&self, left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
        match left.as_str().zip(right.as_str()) {
            Some((left, right)) => Some(left.cmp(right)),
            None => compare_numbers(left, right),
        }
    }
}

/// True if `left op right` holds for any pair of items.
pub(crate) fn compares(
    left: &Value<'_>,
    op: ComparisonOp,
    right: &Value<'_>,
    by: &impl ValueCollation,
) -> bool {
    items(left)
        .iter()
        .any(|left| items(right).iter().any(|right| item_compares(left, op, right, by)))
}

/// True if `left op right` holds for two single values.
pub(crate) fn item_compares(
    left: &Value<'_>,
    op: ComparisonOp,
    right: &Value<'_>,
    by: &impl ValueCollation,
) -> bool {
    let texts = || left.as_str().zip(right.as_str());
    match op {
        ComparisonOp::Equal => by.equal(left, right),
        ComparisonOp::Contains => texts().is_some_and(|(left, right)| left.contains(right)),
        ComparisonOp::Begins => texts().is_some_and(|(left, right)| left.starts_with(right)),
        ComparisonOp::Ends => texts().is_some_and(|(left, right)| left.ends_with(right)),
        op => by.order(left, right).is_some_and(|order| op.keeps(order)),
    }
}

/// The items of a list, or the value alone.
pub(crate) fn items<'v, 'r>(value: &'v Value<'r>) -> &'v [Value<'r>] {
    match value {
        Value::List(items) => items,
        single => std::slice::from_ref(single),
    }
}

/// A number as the nearest float.
fn float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(i) => Some(*i as f64),
        Value::UInt(u) => Some(*u as f64),
        Value::Float(f) => Some(*f),
        _ => None,
    }
}

fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(i) => Some((*i).into()),
        Value::UInt(u) => Some((*u).into()),
        _ => None,
    }
}

/// The order of two numbers, exactly: no integer is rounded to be compared.
pub(crate) fn compare_numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => compare_mixed(a, float(b)?),
        (None, Some(b)) => compare_mixed(b, float(a)?).map(Ordering::reverse),
        (None, None) => float(a)?.partial_cmp(&float(b)?),
    }
}

/// An integer of 65 bits at most and a float.
fn compare_mixed(int: i128, other: f64) -> Option<Ordering> {
    // A float beyond 128 bits is cut to their border, which is beyond any integer here too.
    let whole = other.trunc() as i128;
    let behind = || 0.0.partial_cmp(&other.fract());
    match int.cmp(&whole) {
        Ordering::Equal => behind(),
        order => (!other.is_nan()).then_some(order),
    }
}

/// The number whose canonical spelling is this text; `None` if there is none.
pub(crate) fn spelled_number(text: &str) -> Option<Value<'static>> {
    // Most texts are no numbers, which the first character shows without parsing.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') || text.len() > 40 {
        return None;
    }
    let number = Value::number(text)?;
    (number.spelling().as_deref() == Some(text)).then_some(number)
}
