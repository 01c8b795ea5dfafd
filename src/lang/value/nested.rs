//! Nested data: documents of JSON, YAML, TOML, XML and the like as one tree, which knows its lines.
//!
//! Numbers stay exact: a number that 64 bits cannot hold stays the text that was written. It is
//! never rounded.

use super::plain_json::read_plain_json;
use crate::graph::Value;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use toml::de::DeValue;

/// Nested data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NestedValue {
    Null,
    Bool(bool),
    Number(Value<'static>),
    Text(String),
    List(NestedList),
    Object(NestedObject),
}

/// A list, and where it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct NestedList {
    pub items: Vec<NestedValue>,
    /// The line that each item begins on, in the order of the items; empty if they are not known.
    pub lines: Vec<u32>,
}

/// An object, and where it stands. Members keep their order; each name stands once.
#[derive(Clone, Debug, Default)]
pub(crate) struct NestedObject {
    pub members: Vec<(String, NestedValue)>,
    /// The line that it begins on, counted from 1; 0 if it is not known.
    pub line: u32,
}

/// Lists are equal if their items are: the place of a list is no part of its value.
impl PartialEq for NestedList {
    fn eq(&self, other: &NestedList) -> bool {
        self.items == other.items
    }
}

/// Objects are equal if their members are: the place of an object is no part of its value.
impl PartialEq for NestedObject {
    fn eq(&self, other: &NestedObject) -> bool {
        self.members == other.members
    }
}

impl From<Vec<NestedValue>> for NestedList {
    fn from(items: Vec<NestedValue>) -> NestedList {
        NestedList { items, lines: Vec::new() }
    }
}

impl From<Vec<(String, NestedValue)>> for NestedObject {
    fn from(members: Vec<(String, NestedValue)>) -> NestedObject {
        NestedObject { members, line: 0 }
    }
}

impl NestedObject {
    /// The value of a member.
    pub(crate) fn get(&self, name: &str) -> Option<&NestedValue> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// The deepest nesting of JSON; each level is one more call on the stack.
pub(super) const DEPTH_MAX: usize = 100;

/// Finds the line of a byte of a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineIndex {
    /// The byte at which each line but the first begins.
    starts: Vec<usize>,
    /// The number of the first line.
    first: u32,
}

impl LineIndex {
    /// Indexes a text whose first line has this number.
    pub(crate) fn of(text: &str, first: u32) -> LineIndex {
        let starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1).collect();
        LineIndex { starts, first }
    }

    /// The line of a byte.
    pub(crate) fn line(&self, at: usize) -> u32 {
        self.first + self.starts.partition_point(|&start| start <= at) as u32
    }
}

/// A JSON text that is being read.
struct JsonText<'t> {
    text: &'t str,
    lines: &'t LineIndex,
}

impl JsonText<'_> {
    /// The line of a part of the text.
    fn line(&self, part: &str) -> u32 {
        // The part borrows from the text, so the distance of the pointers is its offset.
        self.lines.line((part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize))
    }

    fn value(&self, text: &str, depth: usize) -> Result<NestedValue, serde_json::Error> {
        if depth > DEPTH_MAX {
            return Err(serde_json::Error::custom(format!("data nests deeper than {DEPTH_MAX}")));
        }
        // The text is a valid JSON value, so its first byte tells the kind.
        match text.as_bytes().first() {
            Some(b'{') => {
                let members = json_members(text)?.into_iter();
                let members =
                    members.map(|(name, value)| Ok((name, self.value(value.get(), depth + 1)?)));
                let line = self.line(text);
                Ok(NestedValue::Object(NestedObject {
                    members: members.collect::<Result<_, serde_json::Error>>()?,
                    line,
                }))
            }
            Some(b'[') => {
                let raw = json_items(text)?;
                let lines = raw.iter().map(|item| self.line(item.get())).collect();
                let items = raw.into_iter().map(|item| self.value(item.get(), depth + 1));
                let items = items.collect::<Result<_, _>>()?;
                Ok(NestedValue::List(NestedList { items, lines }))
            }
            Some(b'"') => Ok(NestedValue::Text(serde_json::from_str(text)?)),
            Some(b't') => Ok(NestedValue::Bool(true)),
            Some(b'f') => Ok(NestedValue::Bool(false)),
            Some(b'n') => Ok(NestedValue::Null),
            // serde_json would round a large number to a double.
            _ => Ok(match Value::number(text) {
                Some(number) => NestedValue::Number(number),
                None => NestedValue::Text(text.to_owned()),
            }),
        }
    }
}

impl NestedValue {
    /// Reads the JSON value of `text`, whose lines are `lines`.
    ///
    /// # Errors
    ///
    /// The words of the parser, with a place that may count from a value inside.
    pub(crate) fn from_json(
        text: &str,
        lines: &LineIndex,
    ) -> Result<NestedValue, serde_json::Error> {
        if let Some(value) = read_plain_json(text, lines.first) {
            return Ok(value);
        }
        let raw: &RawValue = serde_json::from_str(text)?;
        JsonText { text, lines }.value(raw.get(), 0)
    }

    /// Reads a JSON value that is a part of `text`, whose lines are `lines`.
    ///
    /// # Errors
    ///
    /// The words of the parser, with a place that may count from a value inside.
    pub(crate) fn from_json_part(
        text: &str,
        part: &RawValue,
        lines: &LineIndex,
    ) -> Result<NestedValue, serde_json::Error> {
        let json = JsonText { text, lines };
        let quick = read_plain_json(part.get(), json.line(part.get()));
        quick.map_or_else(|| json.value(part.get(), 0), Ok)
    }

    /// Reads a JSON text that has no place.
    pub(crate) fn parse_json(text: &str) -> Result<NestedValue, serde_json::Error> {
        NestedValue::from_json(text, &LineIndex::default())
    }

    /// Takes over a TOML value; dates become their text.
    pub(crate) fn from_toml(value: &DeValue<'_>) -> Option<NestedValue> {
        Some(match value {
            DeValue::String(text) => NestedValue::Text(text.to_string()),
            DeValue::Integer(_) | DeValue::Float(_) => NestedValue::Number(toml_number(value)?),
            DeValue::Boolean(b) => NestedValue::Bool(*b),
            DeValue::Datetime(date) => NestedValue::Text(date.to_string()),
            DeValue::Array(items) => {
                let items = items.iter().map(|i| NestedValue::from_toml(i.get_ref()));
                NestedValue::List(items.collect::<Option<Vec<_>>>()?.into())
            }
            DeValue::Table(table) => {
                let members = table.iter().map(|(k, v)| {
                    Some((k.get_ref().to_string(), NestedValue::from_toml(v.get_ref())?))
                });
                NestedValue::Object(members.collect::<Option<Vec<_>>>()?.into())
            }
        })
    }

    /// A value of the graph as data.
    pub(crate) fn from_value(value: Value<'static>) -> NestedValue {
        match value {
            Value::Null => NestedValue::Null,
            Value::Bool(b) => NestedValue::Bool(b),
            Value::Text(text) => NestedValue::Text(text.into_owned()),
            Value::List(items) => {
                let items: Vec<_> = items.into_iter().map(NestedValue::from_value).collect();
                NestedValue::List(items.into())
            }
            number => NestedValue::Number(number),
        }
    }

    /// The same as a value of the graph; `None` for objects and lists of lists.
    pub(crate) fn into_value(self) -> Option<Value<'static>> {
        Some(match self {
            NestedValue::Null => Value::Null,
            NestedValue::Bool(b) => Value::Bool(b),
            NestedValue::Number(number) => number,
            NestedValue::Text(text) => Value::Text(text.into()),
            NestedValue::List(list) => {
                // A list in the graph holds scalars only.
                let plain = |item: NestedValue| match item {
                    NestedValue::List(_) => None,
                    item => item.into_value(),
                };
                Value::List(list.items.into_iter().map(plain).collect::<Option<_>>()?)
            }
            NestedValue::Object(_) => return None,
        })
    }

    /// The same as JSON. A number stays as exact as it is.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            NestedValue::Null => Json::Null,
            NestedValue::Bool(b) => Json::Bool(*b),
            NestedValue::Number(number) => serde_json::json!(number),
            NestedValue::Text(text) => Json::String(text.clone()),
            NestedValue::List(list) => list.items.iter().map(NestedValue::to_json).collect(),
            NestedValue::Object(object) => {
                object.members.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
            }
        }
    }

    /// The member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&NestedValue> {
        match self {
            NestedValue::Object(object) => object.get(name),
            _ => None,
        }
    }
}

/// The number of a TOML integer or float, if 64 bits hold it exactly.
pub(crate) fn toml_number(value: &DeValue<'_>) -> Option<Value<'static>> {
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
fn json_members(text: &str) -> Result<Vec<(String, &RawValue)>, serde_json::Error> {
    serde_json::from_str(text).map(|JsonMembers(members)| members)
}

/// The items of the JSON list `text`.
fn json_items(text: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_str(text).map(|JsonItems(items)| items)
}

/// Members of an object that are compared with each other without a set.
const FEW_MEMBERS: usize = 24;

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
                    // A map type would keep one of two equal names without a word. A set of names
                    // costs more than it saves while there are few.
                    if members.len() == FEW_MEMBERS {
                        names.extend(members.iter().map(|(known, _)| known.clone()));
                    }
                    let twice = match members.len() < FEW_MEMBERS {
                        true => members.iter().any(|(known, _)| *known == name),
                        false => !names.insert(name.clone()),
                    };
                    if twice {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The value by the parser that tells faults.
    fn slow(text: &str, lines: &LineIndex) -> Result<NestedValue, serde_json::Error> {
        let raw: &RawValue = serde_json::from_str(text)?;
        JsonText { text, lines }.value(raw.get(), 0)
    }

    #[test]
    fn the_quick_way_and_the_telling_one_read_the_same() {
        let many: String = (0..40).map(|i| format!("\"k{i}\": {i}, ")).collect();
        let texts = [
            "{}",
            "[]",
            " [ ] ",
            "{ }\n",
            "null",
            "-0",
            "0",
            "-12.50e+3",
            "1e400",
            "18446744073709551616",
            "123456789012345678",
            "0.1",
            "{\"a\":\n[1,\n{\"b\":\n\"x\\n\\u00e9\\ud83d\\ude00\"}],\r\n\"c\":null}",
            "\"\\\"\"",
            "[true,false , \"\"]",
            "{\"a\":{\"a\":[[],{}]}}",
            // Each of these is a fault.
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "tru",
            "\"a",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\t\"",
            "[1 2]",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "{a:1}",
            "1 2",
            "{\"a\":1,\"a\":2}",
            "\"\\",
            "nul",
            "-",
        ];
        let long = [format!("{{{many}\"z\": 1}}"), format!("{{{many}\"k1\": 1}}")];
        let deep = [99, 100, 101, 102].map(|depth| "[".repeat(depth) + &"]".repeat(depth));
        let all = texts.iter().map(|text| text.to_string()).chain(long).chain(deep);
        for text in all {
            for lines in [LineIndex::of(&text, 1), LineIndex::of(&text, 7), LineIndex::default()] {
                let telling = slow(&text, &lines).ok();
                let quick = read_plain_json(&text, lines.first);
                // Places are no part of a value, so the words of both are compared too.
                assert_eq!(format!("{quick:?}"), format!("{telling:?}"), "{text}");
            }
        }
    }
}
