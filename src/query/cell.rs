//! Values of a query and how they compare.
//!
//! An absent value is `undefined`, and so is JSON null. A comparison of a list holds if it holds for
//! any of its items. A negated comparison is always the opposite, so `!=` holds for `undefined`.
//!
//! | | |
//! | --- | --- |
//! | two numbers | exactly, however they are held |
//! | a number and a text | equal if the text is how the number is written; `<` and `>` as two texts if both look like versions, else as numbers |
//! | two texts | equal if they are the same; `<` and `>` as versions if both look like one, else by code points |
//! | a date and a text or number | as times: ISO 8601, epoch seconds or milliseconds |
//! | booleans | equal to booleans alone, but for tags |
//! | `_class` | equal in any spelling |
//!
//! `ORDER BY`, `min` and `max` know one order of all values: numbers, then texts, of these versions
//! first, then booleans, then everything else.
//!
//! Source: the truth table and sections 3.4 and 3.5 of the public J1QL documentation.

use super::syntax::ComparisonOp;
use crate::graph::{Value, fold_name, fold_verb, same_name, same_verb};
use crate::lang::date;
use crate::lang::version::{ParsedVersion, VersionedName};
use crate::lang::{ValueCollation, compares, item_compares};
use rustc_hash::FxBuildHasher;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::BuildHasher;

pub(super) use crate::lang::{compare_numbers, items, spelled_number};

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum CellValue {
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

impl CellValue {
    /// The value, if there is one.
    pub(super) fn value(&self) -> Option<&Value<'static>> {
        match self {
            CellValue::Value(Value::Null) | CellValue::Undefined => None,
            CellValue::Value(value) => Some(value),
            _ => None,
        }
    }

    /// True if it is absent.
    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, CellValue::Undefined | CellValue::Value(Value::Null))
    }

    /// Approximate size in bytes of a cell that is kept.
    pub fn bytes(&self) -> usize {
        size_of::<CellValue>()
            + match self {
                CellValue::Value(value) => value_bytes(value),
                CellValue::Object(members) => {
                    let each =
                        |(name, value): &(String, Value<'_>)| name.len() + value_bytes(value) + 24;
                    members.iter().map(each).sum()
                }
                CellValue::Undefined | CellValue::Entity(_) | CellValue::Relationship(_) => 0,
            }
    }

    /// A text that is equal for equal cells and only for those.
    pub(super) fn identity(&self, into: &mut String) {
        use std::fmt::Write;
        // Writing to a string cannot fail.
        let _ = match self {
            CellValue::Undefined => write!(into, "u;"),
            CellValue::Value(value) => {
                write_identity(value, into);
                Ok(())
            }
            CellValue::Entity(number) => write!(into, "e{number};"),
            CellValue::Relationship(number) => write!(into, "r{number};"),
            CellValue::Object(members) => members
                .iter()
                .try_for_each(|(name, value)| write!(into, "{name:?}{value};"))
                .and_then(|()| write!(into, "o;")),
        };
    }

    /// The order of `ORDER BY`, `min` and `max`: numbers, then texts, then booleans, then everything
    /// else. Callers do not compare undefined cells: these stand last either way.
    pub(super) fn order(&self, other: &CellValue) -> Ordering {
        let rank = |cell: &CellValue| match cell.value() {
            Some(Value::Int(_) | Value::UInt(_) | Value::Float(_)) => 0,
            Some(Value::Text(_)) => 1,
            Some(Value::Bool(_)) => 2,
            _ => 3,
        };
        match (self.value(), other.value()) {
            (Some(Value::Text(a)), Some(Value::Text(b))) => order_texts(a, b),
            (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
            (Some(a), Some(b)) if rank(self) == 0 && rank(other) == 0 => {
                compare_numbers(a, b).unwrap_or(Ordering::Equal)
            }
            // Lists and whole objects have no order of their own; their identities give a total one.
            _ => rank(self).cmp(&rank(other)).then_with(|| {
                let (mut a, mut b) = (String::new(), String::new());
                self.identity(&mut a);
                other.identity(&mut b);
                a.cmp(&b)
            }),
        }
    }
}

/// Bytes of an allocation beside its content: its overhead, its length and its place in a table.
pub(super) const KEPT: usize = 48;

/// Approximate size of a value in bytes.
pub(super) fn value_bytes(value: &Value<'_>) -> usize {
    size_of::<Value<'_>>()
        + match value {
            Value::Text(text) => text.len() + 16,
            Value::List(items) => items.iter().map(value_bytes).sum(),
            _ => 0,
        }
}

/// A hash that is equal for equal values.
pub(super) fn identity_hash(value: &Value<'_>) -> u64 {
    let mut text = String::new();
    write_identity(value, &mut text);
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

/// Appends the identity of a value: a text with its length, so that none reads as two others.
fn write_identity(value: &Value<'_>, into: &mut String) {
    use std::fmt::Write;
    let _ = match value {
        Value::Null => write!(into, "u;"),
        Value::Float(_) => write!(into, "v{};", value.spelling().unwrap_or_default()),
        Value::Text(text) => {
            let _ = write!(into, "t{}:", text.len());
            into.push_str(text);
            Ok(())
        }
        Value::List(items) => {
            into.push('[');
            items.iter().for_each(|item| write_identity(item, into));
            into.push(']');
            Ok(())
        }
        plain => write!(into, "v{plain};"),
    };
}

/// The order of two texts: as versions if both look like one, else by code points.
fn compare_texts(a: &str, b: &str) -> Ordering {
    VersionedName::of(a).compare(&VersionedName::of(b)).unwrap_or_else(|| a.cmp(b))
}

/// The same for sorting, where the order of any three texts has to agree.
fn order_texts(a: &str, b: &str) -> Ordering {
    VersionedName::of(a).order(&VersionedName::of(b))
}

/// The order of a text to a number with the text `written`: as versions if both look like one, else as
/// numbers.
fn compare_written(text: &str, number: &Value<'_>, written: &str) -> Option<Ordering> {
    match (ParsedVersion::parse(text), ParsedVersion::parse(written)) {
        (Some(a), Some(b)) => Some(a.order(&b)),
        _ => compare_numbers(&spelled_number(text)?, number),
    }
}

/// The order of two values; `None` if they cannot be compared.
fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(compare_texts(a, b)),
        (Value::Text(a), b) => compare_written(a, b, &b.spelling()?),
        (a, Value::Text(b)) => compare_written(b, a, &a.spelling()?).map(Ordering::reverse),
        (a, b) => compare_numbers(a, b),
    }
}

/// The kind of equality that the property on the left side asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum EqualityMode {
    Plain,
    /// Tags are kept as texts, so there `true` equals `'true'`.
    Tag,
    /// A class may be spelled in any way, and so may a verb.
    Class,
    Verb,
}

impl ValueCollation for EqualityMode {
    fn equal(&self, left: &Value<'_>, right: &Value<'_>) -> bool {
        equal(left, right, *self)
    }

    fn order(&self, left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
        compare(left, right)
    }
}

/// True if `left op right` holds for any pair of items.
pub(super) fn holds(
    left: &Value<'static>,
    op: ComparisonOp,
    right: &Value<'static>,
    manner: EqualityMode,
) -> bool {
    compares(left, op, right, &manner)
}

/// True if `left op number` holds for any item of `left`. The query has the number `written` in another
/// way than the program prints it; texts are compared with the text `written`.
pub(super) fn holds_written(
    left: &Value<'static>,
    op: ComparisonOp,
    number: &Value<'static>,
    written: &str,
) -> bool {
    items(left).iter().any(|left| match (left, op) {
        (Value::Text(text), ComparisonOp::Equal) => text == written,
        (Value::Text(text), op) => {
            compare_written(text, number, written).is_some_and(|order| op.keeps(order))
        }
        (left, op) => item_compares(left, op, number, &EqualityMode::Plain),
    })
}

/// True if `left op time` holds for any item of `left`; `time` is in epoch milliseconds.
pub(super) fn holds_time(left: &Value<'static>, op: ComparisonOp, time: i64) -> bool {
    items(left)
        .iter()
        .any(|left| date::epoch_of_value(left).is_some_and(|left| op.keeps(left.cmp(&time))))
}

fn equal(left: &Value<'_>, right: &Value<'_>, manner: EqualityMode) -> bool {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => match manner {
            EqualityMode::Class => same_name(a, b),
            EqualityMode::Verb => same_verb(a, b),
            EqualityMode::Plain | EqualityMode::Tag => a == b,
        },
        (Value::Bool(a), Value::Bool(b)) => a == b,
        // Before numbers: a text never equals a boolean, but for tags.
        (Value::Bool(flag), Value::Text(text)) | (Value::Text(text), Value::Bool(flag)) => {
            manner == EqualityMode::Tag && text.parse() == Ok(*flag)
        }
        (Value::Text(text), number) | (number, Value::Text(text)) => {
            let spelled = spelled_number(text);
            spelled.is_some_and(|own| compare_numbers(&own, number) == Some(Ordering::Equal))
        }
        _ => compare_numbers(left, right) == Some(Ordering::Equal),
    }
}

/// A key by which equal items are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum EqualityKey<'v> {
    Bool(bool),
    /// A text, or a number as it is spelled: a number equals the text that is its spelling.
    Text(Cow<'v, str>),
    /// What all spellings of a class or verb have in common.
    Folded(String),
}

impl EqualityKey<'_> {
    /// The bytes of its text.
    pub(super) fn bytes(&self) -> usize {
        match self {
            EqualityKey::Bool(_) => 0,
            EqualityKey::Text(text) => text.len(),
            EqualityKey::Folded(text) => text.len(),
        }
    }

    /// A hash, where a hint is enough.
    pub(super) fn hint(&self) -> u64 {
        FxBuildHasher.hash_one(self)
    }

    pub(super) fn into_owned(self) -> EqualityKey<'static> {
        match self {
            EqualityKey::Bool(flag) => EqualityKey::Bool(flag),
            EqualityKey::Text(text) => EqualityKey::Text(text.into_owned().into()),
            EqualityKey::Folded(text) => EqualityKey::Folded(text),
        }
    }
}

/// Calls `visit` with the keys of a value, or of the items of a list. Items that are equal in this
/// manner have a key in common, others have none.
pub(super) fn equality_keys<'v>(
    value: &'v Value<'_>,
    manner: EqualityMode,
    visit: &mut impl FnMut(EqualityKey<'v>),
) {
    match value {
        Value::Null => {}
        Value::List(items) => items.iter().for_each(|item| equality_keys(item, manner, visit)),
        Value::Bool(flag) => {
            visit(EqualityKey::Bool(*flag));
            if manner == EqualityMode::Tag {
                visit(EqualityKey::Text(if *flag { "true" } else { "false" }.into()));
            }
        }
        Value::Text(text) => {
            visit(EqualityKey::Text(text.as_ref().into()));
            match manner {
                EqualityMode::Plain => {}
                EqualityMode::Tag => {
                    text.parse().into_iter().map(EqualityKey::Bool).for_each(visit)
                }
                EqualityMode::Class => visit(EqualityKey::Folded(fold_name(text))),
                EqualityMode::Verb => visit(EqualityKey::Folded(fold_verb(text))),
            }
        }
        number => visit(EqualityKey::Text(number.spelling().unwrap_or_default().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: EqualityMode = EqualityMode::Plain;

    fn text(text: &'static str) -> Value<'static> {
        Value::Text(text.into())
    }

    #[test]
    fn any_item_of_a_list_will_do() {
        let fruit = Value::List(vec![text("apple"), text("pear")]);
        assert!(holds(&fruit, ComparisonOp::Equal, &text("pear"), PLAIN));
        assert!(holds(&fruit, ComparisonOp::Begins, &text("app"), PLAIN));
        assert!(!holds(&Value::List(Vec::new()), ComparisonOp::Equal, &text("pear"), PLAIN));
    }

    #[test]
    fn a_number_equals_the_text_that_is_its_own_spelling() {
        let equal = |a: &Value<'static>, b: &Value<'static>| {
            let held = holds(a, ComparisonOp::Equal, b, PLAIN);
            assert_eq!(held, holds(b, ComparisonOp::Equal, a, PLAIN), "{a} and {b}");
            held
        };
        assert!(equal(&text("1"), &Value::Int(1)));
        assert!(equal(&text("1"), &Value::Float(1.0)));
        assert!(equal(&text("1.5"), &Value::Float(1.5)));
        assert!(equal(&text("18446744073709551615"), &Value::UInt(u64::MAX)));
        for other in ["1.0", "01", "+1", "1e0", " 1", "-0", ""] {
            assert!(!equal(&text(other), &Value::Int(1)) && !equal(&text(other), &Value::Int(0)));
        }
        assert!(!equal(&text("1.10"), &Value::Float(1.1)));
        assert!(equal(&Value::Float(1.0), &Value::Int(1)));
    }

    #[test]
    fn booleans_are_no_texts_but_for_tags() {
        assert!(!holds(&text("true"), ComparisonOp::Equal, &Value::Bool(true), PLAIN));
        assert!(holds(&text("true"), ComparisonOp::Equal, &Value::Bool(true), EqualityMode::Tag));
        assert!(holds(&Value::Bool(false), ComparisonOp::Equal, &text("false"), EqualityMode::Tag));
        assert!(!holds(&text("yes"), ComparisonOp::Equal, &Value::Bool(true), EqualityMode::Tag));
    }

    #[test]
    fn integers_and_floats_compare_exactly() {
        let float = Value::Float(9_007_199_254_740_992.0);
        assert!(!holds(&float, ComparisonOp::Equal, &Value::Int(9_007_199_254_740_993), PLAIN));
        assert!(holds(&float, ComparisonOp::Equal, &Value::Int(9_007_199_254_740_992), PLAIN));
        assert!(holds(&float, ComparisonOp::Less, &Value::Int(9_007_199_254_740_993), PLAIN));
        assert!(holds(&Value::Int(i64::MAX), ComparisonOp::Less, &Value::Float(9.3e18), PLAIN));
        assert!(holds(&Value::UInt(u64::MAX), ComparisonOp::Less, &Value::Float(1e300), PLAIN));
        assert!(holds(&Value::Int(i64::MIN), ComparisonOp::Greater, &Value::Float(-1e300), PLAIN));
        assert!(holds(&Value::Int(-1), ComparisonOp::Greater, &Value::Float(-1.5), PLAIN));
        assert!(holds(&Value::Int(1), ComparisonOp::Less, &Value::Float(1.5), PLAIN));
    }

    #[test]
    fn texts_compare_as_versions_or_by_code_points() {
        assert!(holds(&text("2.9.1"), ComparisonOp::Less, &text("2.17.0"), PLAIN));
        assert!(holds(&text("1.0-rc1"), ComparisonOp::Less, &text("1.0"), PLAIN));
        assert!(holds(&text("b"), ComparisonOp::Greater, &text("a"), PLAIN));
        assert!(holds(&text("2020-02-03"), ComparisonOp::Less, &text("2020-10-01"), PLAIN));
        assert!(holds(&text("443"), ComparisonOp::Less, &Value::Int(1024), PLAIN));
        assert!(holds(&text("1.10"), ComparisonOp::Less, &Value::Int(1024), PLAIN));
        assert!(!holds(&text("latest"), ComparisonOp::Less, &Value::Int(1024), PLAIN));
        assert!(holds(&text("-3"), ComparisonOp::Less, &Value::Int(-1), PLAIN));
        assert!(!holds(&Value::Bool(true), ComparisonOp::Less, &text("x"), PLAIN));
    }

    #[test]
    fn equal_numbers_have_one_identity() {
        let identity = |value| {
            let mut text = String::new();
            CellValue::Value(value).identity(&mut text);
            text
        };
        assert_eq!(identity(Value::Int(7)), identity(Value::Float(7.0)));
        assert_eq!(identity(Value::Int(1 << 60)), identity(Value::Float((1u64 << 60) as f64)));
        assert_ne!(identity(Value::Int(7)), identity(text("7")));
    }

    fn value() -> impl Strategy<Value = Value<'static>> {
        let near = prop::sample::select(vec![0i64, 1, 9, 10, 1 << 53, (1 << 53) + 1, i64::MAX]);
        let texts =
            vec!["", "1", "9", "10", "1.5", "1.10", "1.0", "v1", "5x/", "x", "true", "1.0-rc1"];
        prop_oneof![
            near.clone().prop_map(Value::Int),
            near.prop_map(|i| Value::Float(i as f64)),
            prop::sample::select(vec![0.5, 1.5, -1.5, 1e30]).prop_map(Value::Float),
            prop::sample::select(texts).prop_map(text),
            any::<bool>().prop_map(Value::Bool),
        ]
    }

    fn word() -> impl Strategy<Value = Value<'static>> {
        let words = vec![
            "User",
            "USER",
            "us_er",
            "users",
            "_",
            "-",
            "",
            "5",
            "-5",
            "true",
            "Runs on::Runs",
            "RUNS_ON",
            "Runs on",
            "::",
        ];
        prop_oneof![prop::sample::select(words).prop_map(text), value()]
    }

    proptest! {
        #[test]
        fn items_are_equal_in_any_manner_if_they_have_a_key_in_common(a in word(), b in word()) {
            use EqualityMode::{Class, Plain, Tag, Verb};
            for manner in [Plain, Tag, Class, Verb] {
                let mut keys = Vec::new();
                equality_keys(&a, manner, &mut |key| keys.push(key));
                let mut common = false;
                equality_keys(&b, manner, &mut |key| common |= keys.contains(&key));
                prop_assert_eq!(common, equal(&a, &b, manner), "{} and {} as {:?}", a, b, manner);
            }
        }

        #[test]
        fn sorting_is_a_total_order_and_equality_is_one(a in value(), b in value(), c in value()) {
            let order = |a: &Value<'static>, b: &Value<'static>| {
                CellValue::Value(a.clone()).order(&CellValue::Value(b.clone()))
            };
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            if order(&a, &b).is_le() && order(&b, &c).is_le() {
                prop_assert!(order(&a, &c).is_le(), "{} {} {}", a, b, c);
            }
            let equal = |a: &Value<'static>, b: &Value<'static>| holds(a, ComparisonOp::Equal, b, PLAIN);
            prop_assert!(equal(&a, &a));
            if equal(&a, &b) && equal(&b, &c) {
                prop_assert!(equal(&a, &c), "{} {} {}", a, b, c);
            }
            // What is equal is found by its hash and by its key.
            let mut hashes = [Vec::new(), Vec::new()];
            let mut keys = [Vec::new(), Vec::new()];
            for (at, value) in [&a, &b].into_iter().enumerate() {
                value.equality_hashes(&mut |hash| hashes[at].push(hash));
                equality_keys(value, PLAIN, &mut |key| keys[at].push(key));
            }
            prop_assert_eq!(keys[0] == keys[1], equal(&a, &b), "{} {}", a, b);
            if equal(&a, &b) {
                prop_assert_eq!(&hashes[0], &hashes[1]);
            }
        }
    }
}
