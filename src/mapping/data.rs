//! Rows as they are read: cells of a table, or nested data of JSON and TOML.
//!
//! Numbers stay exact: a number that 64 bits cannot hold is a fault. It is never rounded.

use crate::graph::Value;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use toml::de::DeValue;

/// Nested data. Members of an object keep their order; each name stands once.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NestedValue {
    Null,
    Bool(bool),
    Number(Value<'static>),
    Text(String),
    List(Vec<NestedValue>),
    Object(Vec<(String, NestedValue)>),
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowContent {
    /// Cells in the order of the columns.
    Cells(csv::StringRecord),
    Data(NestedValue),
}

/// The deepest nesting of JSON; each level is one more call on the stack.
const DEPTH_MAX: usize = 100;

impl NestedValue {
    /// Reads the JSON value of `text`.
    pub(super) fn from_json(text: &RawValue) -> Result<NestedValue, serde_json::Error> {
        NestedValue::nested(text.get(), 0)
    }

    fn nested(text: &str, depth: usize) -> Result<NestedValue, serde_json::Error> {
        if depth > DEPTH_MAX {
            return Err(serde_json::Error::custom(format!("data nests deeper than {DEPTH_MAX}")));
        }
        // The text is a valid JSON value, so its first byte tells the kind.
        match text.as_bytes().first() {
            Some(b'{') => {
                let nested =
                    |(k, v): (String, &RawValue)| Ok((k, NestedValue::nested(v.get(), depth + 1)?));
                Ok(NestedValue::Object(
                    json_members(text)?.into_iter().map(nested).collect::<Result<_, _>>()?,
                ))
            }
            Some(b'[') => {
                let nested =
                    json_items(text)?.into_iter().map(|i| NestedValue::nested(i.get(), depth + 1));
                Ok(NestedValue::List(nested.collect::<Result<_, _>>()?))
            }
            Some(b'"') => Ok(NestedValue::Text(serde_json::from_str(text)?)),
            Some(b't') => Ok(NestedValue::Bool(true)),
            Some(b'f') => Ok(NestedValue::Bool(false)),
            Some(b'n') => Ok(NestedValue::Null),
            // serde_json would round a large number to a double.
            _ => Value::number(text).map(NestedValue::Number).ok_or_else(|| {
                serde_json::Error::custom(format!("64 bits cannot hold the number {text} exactly"))
            }),
        }
    }

    /// Takes over a TOML value; dates become their text.
    pub(super) fn from_toml(value: &DeValue<'_>) -> Option<NestedValue> {
        Some(match value {
            DeValue::String(text) => NestedValue::Text(text.to_string()),
            DeValue::Integer(_) | DeValue::Float(_) => NestedValue::Number(toml_number(value)?),
            DeValue::Boolean(b) => NestedValue::Bool(*b),
            DeValue::Datetime(date) => NestedValue::Text(date.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().map(|i| NestedValue::from_toml(i.get_ref()));
                NestedValue::List(items.collect::<Option<_>>()?)
            }
            DeValue::Table(table) => {
                let members = table.iter().map(|(k, v)| {
                    Some((k.get_ref().to_string(), NestedValue::from_toml(v.get_ref())?))
                });
                NestedValue::Object(members.collect::<Option<_>>()?)
            }
        })
    }

    /// A value of the graph as data.
    pub(super) fn from_value(value: Value<'static>) -> NestedValue {
        match value {
            Value::Null => NestedValue::Null,
            Value::Bool(b) => NestedValue::Bool(b),
            Value::Text(text) => NestedValue::Text(text.into_owned()),
            Value::List(items) => {
                NestedValue::List(items.into_iter().map(NestedValue::from_value).collect())
            }
            number => NestedValue::Number(number),
        }
    }

    /// The same as a value of the graph; `None` for objects and lists of lists.
    pub(super) fn into_value(self) -> Option<Value<'static>> {
        Some(match self {
            NestedValue::Null => Value::Null,
            NestedValue::Bool(b) => Value::Bool(b),
            NestedValue::Number(number) => number,
            NestedValue::Text(text) => Value::Text(text.into()),
            NestedValue::List(items) => {
                // A list in the graph holds scalars only.
                let plain = |item: NestedValue| match item {
                    NestedValue::List(_) => None,
                    item => item.into_value(),
                };
                Value::List(items.into_iter().map(plain).collect::<Option<_>>()?)
            }
            NestedValue::Object(_) => return None,
        })
    }

    /// The member of an object.
    pub(super) fn member(&self, name: &str) -> Option<&NestedValue> {
        match self {
            NestedValue::Object(members) => members.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }
}

/// The number of a TOML integer or float, if 64 bits hold it exactly.
pub(super) fn toml_number(value: &DeValue<'_>) -> Option<Value<'static>> {
    match value {
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix());
            number.ok().map(Value::Int)
        }
        DeValue::Float(float) => {
            let text = float.as_str();
            // TOML allows a plus sign, the JSON numbers of `Value::number` have none.
            Value::number(text.strip_prefix('+').unwrap_or(text))
        }
        _ => None,
    }
}

/// The members of the JSON object `text`. A name that occurs twice is an error.
pub(super) fn json_members(text: &str) -> Result<Vec<(String, &RawValue)>, serde_json::Error> {
    serde_json::from_str(text).map(|JsonMembers(members)| members)
}

/// The items of the JSON list `text`.
pub(super) fn json_items(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_str(text).map(|JsonItems(items)| items)
}

struct JsonMembers<'a>(Vec<(String, &'a RawValue)>);

struct JsonItems<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for JsonMembers<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawJsonVisitor;
        impl<'de> Visitor<'de> for RawJsonVisitor {
            type Value = JsonMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::new();
                let mut names = std::collections::HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    // A map type would keep one of two equal names without a word.
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!(
                            "`{name}` stands twice in one object"
                        )));
                    }
                    members.push((name, value));
                }
                Ok(JsonMembers(members))
            }
        }
        deserializer.deserialize_map(RawJsonVisitor)
    }
}

impl<'de> Deserialize<'de> for JsonItems<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawJsonVisitor;
        impl<'de> Visitor<'de> for RawJsonVisitor {
            type Value = JsonItems<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<&RawValue>()? {
                    items.push(item);
                }
                Ok(JsonItems(items))
            }
        }
        deserializer.deserialize_seq(RawJsonVisitor)
    }
}
