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
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(Value<'static>),
    Text(String),
    List(Vec<Data>),
    Object(Vec<(String, Data)>),
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Row {
    /// Cells in the order of the columns.
    Cells(csv::StringRecord),
    Data(Data),
}

/// The deepest nesting of JSON; each level is one more call on the stack.
const DEPTH_MAX: usize = 100;

impl Data {
    /// Reads the JSON value of `text`.
    pub(super) fn from_json(text: &RawValue) -> Result<Data, serde_json::Error> {
        Data::nested(text.get(), 0)
    }

    fn nested(text: &str, depth: usize) -> Result<Data, serde_json::Error> {
        if depth > DEPTH_MAX {
            return Err(serde_json::Error::custom(format!("data nests deeper than {DEPTH_MAX}")));
        }
        // The text is a valid JSON value, so its first byte tells the kind.
        match text.as_bytes().first() {
            Some(b'{') => {
                let nested =
                    |(k, v): (String, &RawValue)| Ok((k, Data::nested(v.get(), depth + 1)?));
                Ok(Data::Object(
                    json_members(text)?.into_iter().map(nested).collect::<Result<_, _>>()?,
                ))
            }
            Some(b'[') => {
                let nested =
                    json_items(text)?.into_iter().map(|i| Data::nested(i.get(), depth + 1));
                Ok(Data::List(nested.collect::<Result<_, _>>()?))
            }
            Some(b'"') => Ok(Data::Text(serde_json::from_str(text)?)),
            Some(b't') => Ok(Data::Bool(true)),
            Some(b'f') => Ok(Data::Bool(false)),
            Some(b'n') => Ok(Data::Null),
            // serde_json would round a large number to a double.
            _ => Value::number(text).map(Data::Number).ok_or_else(|| {
                serde_json::Error::custom(format!("64 bits cannot hold the number {text} exactly"))
            }),
        }
    }

    /// Takes over a TOML value; dates become their text.
    pub(super) fn from_toml(value: &DeValue<'_>) -> Option<Data> {
        Some(match value {
            DeValue::String(text) => Data::Text(text.to_string()),
            DeValue::Integer(_) | DeValue::Float(_) => Data::Number(toml_number(value)?),
            DeValue::Boolean(b) => Data::Bool(*b),
            DeValue::Datetime(date) => Data::Text(date.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().map(|i| Data::from_toml(i.get_ref()));
                Data::List(items.collect::<Option<_>>()?)
            }
            DeValue::Table(table) => {
                let members = table
                    .iter()
                    .map(|(k, v)| Some((k.get_ref().to_string(), Data::from_toml(v.get_ref())?)));
                Data::Object(members.collect::<Option<_>>()?)
            }
        })
    }

    /// A value of the graph as data.
    pub(super) fn from_value(value: Value<'static>) -> Data {
        match value {
            Value::Null => Data::Null,
            Value::Bool(b) => Data::Bool(b),
            Value::Text(text) => Data::Text(text.into_owned()),
            Value::List(items) => Data::List(items.into_iter().map(Data::from_value).collect()),
            number => Data::Number(number),
        }
    }

    /// The same as a value of the graph; `None` for objects and lists of lists.
    pub(super) fn into_value(self) -> Option<Value<'static>> {
        Some(match self {
            Data::Null => Value::Null,
            Data::Bool(b) => Value::Bool(b),
            Data::Number(number) => number,
            Data::Text(text) => Value::Text(text.into()),
            Data::List(items) => {
                // A list in the graph holds scalars only.
                let plain = |item: Data| match item {
                    Data::List(_) => None,
                    item => item.into_value(),
                };
                Value::List(items.into_iter().map(plain).collect::<Option<_>>()?)
            }
            Data::Object(_) => return None,
        })
    }

    /// The member of an object.
    pub(super) fn member(&self, name: &str) -> Option<&Data> {
        match self {
            Data::Object(members) => members.iter().find(|(n, _)| n == name).map(|(_, v)| v),
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
    serde_json::from_str(text).map(|Members(members)| members)
}

/// The items of the JSON list `text`.
pub(super) fn json_items(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_str(text).map(|Items(items)| items)
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

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
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<&RawValue>()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Visit)
    }
}
