//! Functions of lists and objects. A single value counts as a list of one.

use super::eval::text_of;
use super::expr_value::ExprValue;
use crate::graph::Value;
use crate::lang::{NestedList, NestedObject, NestedValue, SpellingCollation, ValueCollation};
use std::borrow::Cow;

/// Calls `choose` for the data of a value, and keeps what it borrows where it can.
fn choose<'r>(
    value: ExprValue<'r>,
    choose: impl for<'d> Fn(&'d NestedValue) -> Option<&'d NestedValue>,
) -> Option<ExprValue<'r>> {
    match value {
        ExprValue::Nested(Cow::Borrowed(data)) => ExprValue::of(choose(data)?),
        other => ExprValue::owning(choose(&other.into_data())?.clone()),
    }
}

/// The element of a list by its position, or the member of an object by its name.
pub(super) fn at<'r>(value: ExprValue<'r>, key: &Value<'_>) -> Option<ExprValue<'r>> {
    let name = text_of(key);
    choose(value, |data| match data {
        NestedValue::Object(object) => object.get(&name),
        NestedValue::List(list) => list.items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Member `take` of the first element whose member `field` has this value.
pub(super) fn pick<'r>(
    value: ExprValue<'r>,
    field: &str,
    wanted: &Value<'_>,
    take: &str,
) -> Option<ExprValue<'r>> {
    let fits = |element: &&NestedValue| {
        let found = element.member(field).and_then(ExprValue::of);
        let found = found.and_then(ExprValue::into_value);
        found.is_some_and(|found| SpellingCollation.equal(&found, wanted))
    };
    choose(value, |data| elements(data).find(fits)?.member(take))
}

/// The elements of a list but its nulls, or the value alone.
fn elements(data: &NestedValue) -> impl DoubleEndedIterator<Item = &NestedValue> {
    let items = match data {
        NestedValue::List(list) => list.items.as_slice(),
        single => std::slice::from_ref(single),
    };
    items.iter().filter(|item| **item != NestedValue::Null)
}

/// The first element.
pub(super) fn first(value: ExprValue<'_>) -> Option<ExprValue<'_>> {
    choose(value, |data| elements(data).next())
}

/// The last element.
pub(super) fn last(value: ExprValue<'_>) -> Option<ExprValue<'_>> {
    choose(value, |data| elements(data).next_back())
}

/// The number of elements of a list or of members of an object.
pub(super) fn count(value: &ExprValue<'_>) -> i64 {
    match value {
        ExprValue::Plain(Value::List(items)) => items.len() as i64,
        ExprValue::Plain(_) => 1,
        ExprValue::Nested(data) => match data.as_ref() {
            NestedValue::Object(object) => object.members.len() as i64,
            data => elements(data).count() as i64,
        },
    }
}

/// The names of the members of an object.
pub(super) fn keys(value: ExprValue<'_>) -> Option<ExprValue<'_>> {
    let keys: Vec<Value<'static>> = match value.into_data() {
        NestedValue::Object(object) => {
            object.members.into_iter().map(|(name, _)| Value::Text(name.into())).collect()
        }
        _ => return None,
    };
    super::eval::defined(Value::List(keys)).map(ExprValue::Plain)
}

/// The values of the members of an object, or the elements of a list.
pub(super) fn values(value: ExprValue<'_>) -> Option<ExprValue<'_>> {
    let items = match value.into_data() {
        NestedValue::Object(object) => object.members.into_iter().map(|(_, value)| value).collect(),
        NestedValue::List(list) => list.items,
        single => vec![single],
    };
    ExprValue::owning(NestedValue::List(items.into()))
}

/// Tags as an object with a member `tag.NAME` for each: from `[{Key, Value}]`, from a map of labels,
/// or from a list of `name:value` texts.
pub(super) fn tags(value: ExprValue<'_>) -> Option<ExprValue<'_>> {
    let mut found: Vec<(String, NestedValue)> = Vec::new();
    let mut put = |name: &str, value: NestedValue| {
        let name = format!("tag.{name}");
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, value));
        }
    };
    let first_of = |element: &NestedObject, names: &[&str]| {
        names.iter().find_map(|name| element.get(name)).cloned()
    };
    match value.into_data() {
        NestedValue::List(NestedList { items, .. }) => {
            for item in items {
                match item {
                    NestedValue::Object(pair) => {
                        let name = first_of(&pair, &["Key", "key", "TagKey", "name", "Name"]);
                        let value = first_of(&pair, &["Value", "value", "TagValue"]);
                        if let Some(NestedValue::Text(name)) = name {
                            put(&name, value.unwrap_or(NestedValue::Bool(true)));
                        }
                    }
                    NestedValue::Text(text) => match text.split_once([':', '=']) {
                        Some((name, value)) => put(name, NestedValue::Text(value.to_owned())),
                        None => put(&text, NestedValue::Bool(true)),
                    },
                    _ => {}
                }
            }
        }
        NestedValue::Object(object) => {
            let pair = ("Key", "Value");
            match (object.get(pair.0), object.get(pair.1), object.members.len()) {
                // One tag in a format that writes a list of one as its element.
                (Some(NestedValue::Text(name)), Some(value), 2) => put(name, value.clone()),
                _ => object.members.into_iter().for_each(|(name, value)| put(&name, value)),
            }
        }
        _ => {}
    }
    ExprValue::owning(NestedValue::Object(found.into()))
}

/// The data that a text of JSON holds; data that is no text is taken as it is.
pub(super) fn parse_json(value: ExprValue<'_>) -> Option<ExprValue<'_>> {
    let parse = |text: &str| NestedValue::parse_json(text).ok();
    match value {
        ExprValue::Plain(Value::Text(text)) => ExprValue::owning(parse(&text)?),
        ExprValue::Plain(Value::List(items)) => {
            let items = items.iter().filter_map(|item| parse(item.as_str()?));
            ExprValue::owning(NestedValue::List(items.collect::<Vec<_>>().into()))
        }
        nested => Some(nested),
    }
}
