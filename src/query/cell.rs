//! Values of a query and how they compare.
//!
//! A value that is not there is `undefined`, and so is JSON null. A comparison of a list holds if it
//! holds for any of its items; a negated one is always the opposite, so `!=` holds for `undefined`.
//!
//! Source: the truth table and sections 3.4 and 3.5 of the public J1QL documentation.

use super::syntax::Op;
use crate::graph::Value;
use regex::Regex;
use std::cmp::Ordering;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Absent.
    Undefined,
    /// A value of a property, or computed.
    Value(Value<'static>),
    /// A whole entity, by number.
    Entity(u32),
    /// A whole relationship, by number.
    Relationship(u32),
    /// All properties of an object (`a.*`), by name.
    Object(Vec<(String, Value<'static>)>),
}

impl Cell {
    /// The value, if there is one.
    pub(super) fn value(&self) -> Option<&Value<'static>> {
        match self {
            Cell::Value(Value::Null) | Cell::Undefined => None,
            Cell::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is absent.
    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Cell::Undefined | Cell::Value(Value::Null))
    }

    /// The value as a number.
    pub(super) fn number(&self) -> Option<f64> {
        self.value().and_then(number)
    }

    /// A text that is equal for equal cells and only for those.
    pub(super) fn identity(&self, into: &mut String) {
        use std::fmt::Write;
        // Writing to a string cannot fail.
        let _ = match self {
            Cell::Undefined => write!(into, "u;"),
            Cell::Value(value) => {
                put(value, into);
                Ok(())
            }
            Cell::Entity(number) => write!(into, "e{number};"),
            Cell::Relationship(number) => write!(into, "r{number};"),
            Cell::Object(members) => members
                .iter()
                .try_for_each(|(name, value)| write!(into, "{name:?}{value};"))
                .and_then(|()| write!(into, "o;")),
        };
    }

    /// The order of `ORDER BY`: numbers, then texts, then booleans, then everything else.
    /// What is undefined is not compared: it stands last either way.
    pub(super) fn order(&self, other: &Cell) -> Ordering {
        let rank = |cell: &Cell| match cell.value() {
            Some(Value::Int(_) | Value::UInt(_) | Value::Float(_)) => 0,
            Some(Value::Text(_)) => 1,
            Some(Value::Bool(_)) => 2,
            _ => 3,
        };
        match (self.value(), other.value()) {
            (Some(Value::Text(a)), Some(Value::Text(b))) => a.cmp(b),
            (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
            (Some(a), Some(b)) if rank(self) == 0 && rank(other) == 0 => {
                compare_numbers(a, b).unwrap_or(Ordering::Equal)
            }
            _ => rank(self).cmp(&rank(other)).then_with(|| {
                let (mut a, mut b) = (String::new(), String::new());
                self.identity(&mut a);
                other.identity(&mut b);
                a.cmp(&b)
            }),
        }
    }
}

/// Appends the identity of a value: a text with its length, so that none reads as two others.
fn put(value: &Value<'_>, into: &mut String) {
    use std::fmt::Write;
    let _ = match value {
        Value::Null => write!(into, "u;"),
        Value::Float(f) if f.fract() == 0.0 && f.abs() < 1e15 => write!(into, "v{};", *f as i64),
        Value::Text(text) => {
            let _ = write!(into, "t{}:", text.len());
            into.push_str(text);
            Ok(())
        }
        Value::List(items) => {
            into.push('[');
            items.iter().for_each(|item| put(item, into));
            into.push(']');
            Ok(())
        }
        plain => write!(into, "v{plain};"),
    };
}

fn number(value: &Value<'_>) -> Option<f64> {
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

fn compare_numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => number(a)?.partial_cmp(&number(b)?),
    }
}

/// The items of a list, or the value alone.
fn items<'v>(value: &'v Value<'static>) -> &'v [Value<'static>] {
    match value {
        Value::List(items) => items,
        value => std::slice::from_ref(value),
    }
}

/// Whether `left op right` holds for any pair of items. `tag` says that the left side is a tag:
/// tags are kept as texts, so there `true` equals `'true'`.
pub(super) fn holds(left: &Value<'static>, op: Op, right: &Value<'static>, tag: bool) -> bool {
    items(left).iter().any(|left| items(right).iter().any(|right| one(left, op, right, tag)))
}

fn one(left: &Value<'_>, op: Op, right: &Value<'_>, tag: bool) -> bool {
    let texts = || left.as_str().zip(right.as_str());
    match op {
        Op::Equal => equal(left, right) || tag && equal_tags(left, right),
        Op::Contains => texts().is_some_and(|(left, right)| left.contains(right)),
        Op::Begins => texts().is_some_and(|(left, right)| left.starts_with(right)),
        Op::Ends => texts().is_some_and(|(left, right)| left.ends_with(right)),
        Op::Less => compare_numbers(left, right) == Some(Ordering::Less),
        Op::Greater => compare_numbers(left, right) == Some(Ordering::Greater),
        Op::LessOrEqual => compare_numbers(left, right).is_some_and(Ordering::is_le),
        Op::GreaterOrEqual => compare_numbers(left, right).is_some_and(Ordering::is_ge),
    }
}

fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => compare_numbers(left, right) == Some(Ordering::Equal),
    }
}

fn equal_tags(left: &Value<'_>, right: &Value<'_>) -> bool {
    let said = |value: &Value<'_>| match value {
        Value::Bool(b) => Some(*b),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    said(left).is_some() && said(left) == said(right)
}

/// Whether any item of `left` has a match.
pub(super) fn matches(left: &Value<'static>, pattern: &Regex) -> bool {
    items(left).iter().any(|item| item.as_str().is_some_and(|text| pattern.is_match(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Value<'static> {
        Value::Text(text.into())
    }

    #[test]
    fn any_item_of_a_list_will_do() {
        let fruit = Value::List(vec![text("apple"), text("pear")]);
        assert!(holds(&fruit, Op::Equal, &text("pear"), false));
        assert!(holds(&fruit, Op::Begins, &text("app"), false));
        assert!(!holds(&Value::List(Vec::new()), Op::Equal, &text("pear"), false));
    }

    #[test]
    fn types_are_not_converted_but_for_tags() {
        assert!(!holds(&text("1"), Op::Equal, &Value::Int(1), false));
        assert!(holds(&Value::Float(1.0), Op::Equal, &Value::Int(1), false));
        assert!(!holds(&text("true"), Op::Equal, &Value::Bool(true), false));
        assert!(holds(&text("true"), Op::Equal, &Value::Bool(true), true));
        assert!(!holds(&text("yes"), Op::Equal, &Value::Bool(true), true));
        assert!(!holds(&text("b"), Op::Greater, &text("a"), false));
    }

    #[test]
    fn equal_numbers_have_one_identity() {
        let identity = |value| {
            let mut text = String::new();
            Cell::Value(value).identity(&mut text);
            text
        };
        assert_eq!(identity(Value::Int(7)), identity(Value::Float(7.0)));
        assert_ne!(identity(Value::Int(7)), identity(text("7")));
    }
}
