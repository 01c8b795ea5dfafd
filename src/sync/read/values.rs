//! Values of members: texts, lists and scalars, still as written, into exact values.

use crate::graph::Value;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Longest string value, in bytes.
pub const STRING_MAX: usize = 256 << 10;

/// What is said of nested values, behind what they are.
const NESTED: &str = ": properties are flat; --flatten makes properties with dots of it, --raw \
                      keeps it in the raw data";

/// A string that is borrowed where it has no escapes.
pub(super) struct TextVisitor;

impl<'a> DeserializeSeed<'a> for TextVisitor {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Cow<'a, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for TextVisitor {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

pub(super) struct ItemsVisitor;

impl<'a> Visitor<'a> for ItemsVisitor {
    type Value = Vec<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<&'a RawValue>()? {
            items.push(item.get());
        }
        Ok(items)
    }
}

/// Path and words of a fault, before its place is known.
pub(super) type PathDiagnostic = (String, String);

pub(super) fn wrong(path: impl Into<String>, message: impl Into<String>) -> PathDiagnostic {
    (path.into(), message.into())
}

/// The words of a JSON error without its position, which is given apart.
pub fn json_words(e: &serde_json::Error) -> String {
    let words = e.to_string();
    match words.rfind(" at line ") {
        Some(at) => words[..at].to_owned(),
        None => words,
    }
}

pub(super) fn member_path(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { format!(".{name}") } else { format!("[{name:?}]") }
}

pub(super) fn text_of(raw: &str) -> Result<Cow<'_, str>, String> {
    match raw.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        // A text without escapes is borrowed as it is.
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => {
            Ok(Cow::Borrowed(inner))
        }
        Some(_) => serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|e| json_words(&e)),
        None => Err(format!("expected a string, found {}", describe(raw))),
    }
}

pub(super) fn describe(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

pub(super) fn items(raw: &str) -> Result<Vec<&str>, String> {
    serde_json::Deserializer::from_str(raw)
        .deserialize_seq(ItemsVisitor)
        .map_err(|e| json_words(&e))
}

pub(super) fn value<'a>(raw: &'a str) -> Result<Value<'a>, PathDiagnostic> {
    if !raw.starts_with('[') {
        return scalar(raw);
    }
    let items = items(raw).map_err(|e| wrong("", e))?;
    if !items.is_empty() && items.iter().all(|item| item.starts_with('{')) {
        return texts_of_objects(&items);
    }
    let mut list = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let item = scalar(item).map_err(|(path, words)| wrong(format!("[{i}]{path}"), words))?;
        if let Some(first) = list.first().filter(|first: &&Value<'_>| !item.same_family(first)) {
            let message = format!(
                "a list holds values of one kind; this is a {} among {}s",
                item.family(),
                first.family()
            );
            return Err(wrong(format!("[{i}]"), message));
        }
        list.push(item);
    }
    Ok(Value::List(list))
}

/// A list of nothing but objects, as public data sets have them: kept as the list of their JSON
/// texts, so that nothing is lost and the property stays flat.
pub(super) fn texts_of_objects<'a>(items: &[&'a str]) -> Result<Value<'a>, PathDiagnostic> {
    let text = |(i, item): (usize, &&'a str)| match item.len() {
        0..=STRING_MAX => Ok(Value::Text(Cow::Borrowed(*item))),
        len => Err(wrong(format!("[{i}]"), format!("object has {len} bytes of JSON"))),
    };
    items.iter().enumerate().map(text).collect::<Result<_, _>>().map(Value::List)
}

pub(super) fn scalar<'a>(raw: &'a str) -> Result<Value<'a>, PathDiagnostic> {
    match raw.as_bytes().first() {
        Some(b'"') => {
            let text = text_of(raw).map_err(|e| wrong("", e))?;
            if text.len() > STRING_MAX {
                let len = text.len();
                let message = format!("string has {len} bytes, at most {STRING_MAX} are allowed");
                return Err(wrong("", message));
            }
            Ok(Value::Text(text))
        }
        Some(b't') => Ok(Value::Bool(true)),
        Some(b'f') => Ok(Value::Bool(false)),
        Some(b'n') => Ok(Value::Null),
        Some(b'{') => Err(wrong("", format!("an object cannot be a value{NESTED}"))),
        Some(b'[') => Err(wrong("", format!("a list cannot hold a list{NESTED}"))),
        _ => Value::number(raw).ok_or_else(|| {
            wrong("", format!("the number {raw} cannot be held exactly in 64 bits"))
        }),
    }
}
