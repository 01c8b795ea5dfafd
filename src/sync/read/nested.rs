//! Nested members of uploads. A property is flat, so an object in its place is a fault, unless the
//! caller says what becomes of it.

use super::parse::ObjectMembersReader;
use super::values::items;
use crate::graph::Value;
use std::borrow::Cow;

/// What becomes of a member that is an object, or a list with lists or objects and values in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NestedValues {
    /// It is a fault.
    #[default]
    Refuse,
    /// Its members become properties, with dots between the names. Lists go to the raw data.
    Flatten,
    /// It goes to the raw data as it is.
    Raw,
}

/// Members whose values are nested by nature.
const NESTED_BY_NATURE: [&str; 4] = ["_rawData", "_mapping", "_class", "_pins"];

/// The text of an object without nested members. What is no object, or has none, is given back.
pub fn without_nested(text: &str, how: NestedValues) -> Cow<'_, str> {
    if how == NestedValues::Refuse {
        return Cow::Borrowed(text);
    }
    let Some(members) = ObjectMembersReader::read(text) else { return Cow::Borrowed(text) };
    let nested = |(name, raw): &(Cow<'_, str>, &str)| {
        !NESTED_BY_NATURE.contains(&name.as_ref()) && is_nested(raw)
    };
    if !members.iter().any(nested) {
        return Cow::Borrowed(text);
    }
    let mut object = FlatObject::default();
    let mut raw_data = None;
    for member in &members {
        let (name, raw) = (member.0.as_ref(), member.1);
        if name == "_rawData" {
            raw_data = Some(raw);
        } else if nested(member) {
            object.put_nested(name, raw, how);
        } else {
            object.put(name, raw);
        }
    }
    Cow::Owned(object.finish(raw_data))
}

/// True if a value can be no property.
fn is_nested(raw: &str) -> bool {
    match raw.as_bytes().first() {
        Some(b'{') => true,
        Some(b'[') => {
            let Ok(items) = items(raw) else { return false };
            let objects = items.iter().filter(|item| item.starts_with('{')).count();
            // A list of nothing but objects is kept as the list of their texts.
            items.iter().any(|item| item.starts_with('[')) || objects > 0 && objects < items.len()
        }
        _ => false,
    }
}

/// An object while it is written anew.
#[derive(Default)]
struct FlatObject {
    members: String,
    raw: Vec<(String, String)>,
}

impl FlatObject {
    fn put(&mut self, name: &str, raw: &str) {
        self.members.push(if self.members.is_empty() { '{' } else { ',' });
        self.members.push_str(&format!("{}:{raw}", Value::Text(name.into())));
    }

    fn put_nested(&mut self, name: &str, raw: &str, how: NestedValues) {
        let members = match how {
            NestedValues::Flatten if raw.starts_with('{') => ObjectMembersReader::read(raw),
            _ => None,
        };
        let Some(members) = members else {
            self.raw.push((name.to_owned(), raw.to_owned()));
            return;
        };
        for (inner, raw) in members {
            let name = format!("{name}.{inner}");
            match is_nested(raw) {
                true => self.put_nested(&name, raw, how),
                false => self.put(&name, raw),
            }
        }
    }

    /// The text of the object; `raw_data` is that of the upload.
    fn finish(mut self, raw_data: Option<&str>) -> String {
        let mut all = raw_data.map(str::trim).filter(|raw| *raw != "null").unwrap_or("").to_owned();
        // Raw data is a list of named texts or a map by name.
        let list = all.starts_with('[');
        for (name, raw) in std::mem::take(&mut self.raw) {
            let name = Value::Text(name.into());
            let entry = match list {
                true => format!("{{\"name\":{name},\"rawData\":{raw}}}"),
                false => format!("{name}:{raw}"),
            };
            all.pop();
            let first = all.is_empty() || all.trim_end().ends_with(['{', '[']);
            match first {
                true if all.is_empty() => all.push('{'),
                true => {}
                false => all.push(','),
            }
            all.push_str(&entry);
            all.push(if list { ']' } else { '}' });
        }
        if !all.is_empty() {
            self.put("_rawData", &all);
        }
        self.members.push_str(if self.members.is_empty() { "{}" } else { "}" });
        self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_members_become_properties_with_dots() {
        let flat = |text| without_nested(text, NestedValues::Flatten).into_owned();
        assert_eq!(
            flat(r#"{"a":{"b":1,"c":{"d":[1,2],"e":{}}},"f":"x"}"#),
            r#"{"a.b":1,"a.c.d":[1,2],"f":"x"}"#
        );
        assert_eq!(
            flat(r#"{"a":[[1]],"b":{"c":[{"d":1},2]}}"#),
            r#"{"_rawData":{"a":[[1]],"b.c":[{"d":1},2]}}"#
        );
        for same in [r#"{"a":[{"b":1}],"_rawData":{"x":{}}}"#, "[1]", "{", r#"{"a":1}"#] {
            assert!(matches!(without_nested(same, NestedValues::Flatten), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn or_are_kept_in_the_raw_data() {
        let raw = |text| without_nested(text, NestedValues::Raw).into_owned();
        assert_eq!(raw(r#"{"a":{"b":1},"c":2}"#), r#"{"c":2,"_rawData":{"a":{"b":1}}}"#);
        assert_eq!(
            raw(r#"{"a":{"b":1},"_rawData":{"x":{"y":1}}}"#),
            r#"{"_rawData":{"x":{"y":1},"a":{"b":1}}}"#
        );
        assert_eq!(
            raw(r#"{"a":{"b":1},"_rawData":[{"name":"x","rawData":{}}]}"#),
            r#"{"_rawData":[{"name":"x","rawData":{}},{"name":"a","rawData":{"b":1}}]}"#
        );
        assert_eq!(raw(r#"{"a":{},"_rawData":{}}"#), r#"{"_rawData":{"a":{}}}"#);
    }
}
