//! Checks of drafts that a program made: what the JSON reader holds of uploads holds of them too.
//!
//! Checks against the mode of the job come later, in `stage`, for drafts from any source.

use super::read::{CLASSES_MAX, InputDiagnostic, OBJECT_MAX, PROPERTIES_MAX, STRING_MAX};
use crate::graph::{DraftEnd, DraftEntity, DraftRelationship, NameKind, Value, check_name};
use serde::de::IgnoredAny;
use std::borrow::Cow;

type DraftProperties<'d, 'a> = &'d [(Cow<'a, str>, Value<'a>)];

/// Checks the names and values of an entity.
///
/// # Errors
///
/// The fault with the key of the entity.
pub fn check_entity(draft: &DraftEntity<'_>) -> Result<(), InputDiagnostic> {
    let check = || {
        named("_key", NameKind::Key, draft.key.as_deref())?;
        named("_scope", NameKind::Scope, draft.scope.as_deref())?;
        named("_type", NameKind::Type, draft.type_name.as_deref())?;
        if draft.classes.len() > CLASSES_MAX {
            let count = draft.classes.len();
            return Err(at(
                "._class",
                format!("{count} classes, at most {CLASSES_MAX} are allowed"),
            ));
        }
        for class in &draft.classes {
            named("_class", NameKind::Class, Some(class))?;
        }
        contents(&draft.properties, draft.raw_data.as_deref())
    };
    check().map_err(|fault| fault.of(draft.key.as_deref()))
}

/// Checks the names and values of a relationship.
///
/// # Errors
///
/// The fault with the key of the relationship.
pub fn check_relationship(draft: &DraftRelationship<'_>) -> Result<(), InputDiagnostic> {
    let check = || {
        named("_key", NameKind::Key, Some(&draft.key))?;
        named("_scope", NameKind::Scope, draft.scope.as_deref())?;
        named("_type", NameKind::Type, Some(&draft.type_name))?;
        named("_class", NameKind::Class, Some(&draft.class))?;
        end(["_fromEntityKey", "_fromEntityScope"], &draft.from)?;
        end(["_toEntityKey", "_toEntityScope"], &draft.to)?;
        contents(&draft.properties, draft.raw_data.as_deref())
    };
    check().map_err(|fault| fault.of(Some(&draft.key)))
}

/// A fault at a member of an object, before its key is known.
struct MemberFault {
    path: String,
    message: String,
}

impl MemberFault {
    fn of(self, key: Option<&str>) -> InputDiagnostic {
        let MemberFault { path, message } = self;
        InputDiagnostic { path, message, key: key.map(str::to_owned), ..InputDiagnostic::default() }
    }
}

fn at(path: impl Into<String>, message: impl Into<String>) -> MemberFault {
    MemberFault { path: path.into(), message: message.into() }
}

fn named(member: &str, kind: NameKind, text: Option<&str>) -> Result<(), MemberFault> {
    match text.map(|text| check_name(kind, text)) {
        Some(Err(e)) => Err(at(format!(".{member}"), e.to_string())),
        _ => Ok(()),
    }
}

fn end([key, scope]: [&str; 2], end: &DraftEnd<'_>) -> Result<(), MemberFault> {
    named(key, NameKind::Key, end.key.as_deref())?;
    named(scope, NameKind::Scope, end.scope.as_deref())
}

fn contents(
    properties: DraftProperties<'_, '_>,
    raw_data: Option<&str>,
) -> Result<(), MemberFault> {
    if properties.len() > PROPERTIES_MAX {
        let count = properties.len();
        let message =
            format!("object has {count} properties, at most {PROPERTIES_MAX} are allowed");
        return Err(at("", message));
    }
    // Stored objects are compared property by property, which needs one order.
    if let Some(pair) = properties.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        let message = "properties go in ascending order of their names, each name once";
        return Err(at(format!(".{}", pair[1].0), message));
    }
    let mut bytes = raw_data.map_or(0, str::len);
    for (name, value) in properties {
        check_name(NameKind::Property, name).map_err(|e| at(format!(".{name}"), e.to_string()))?;
        bytes += name.len() + scalar_or_list(name, value)?;
    }
    if bytes > OBJECT_MAX {
        return Err(at("", format!("object has {bytes} bytes, at most {OBJECT_MAX} are allowed")));
    }
    match raw_data {
        Some(text) => raw(text),
        None => Ok(()),
    }
}

/// Checks a value and returns about the bytes that it takes.
fn scalar_or_list(name: &str, value: &Value<'_>) -> Result<usize, MemberFault> {
    let path = || format!(".{name}");
    match value {
        Value::Text(text) if text.len() > STRING_MAX => {
            let len = text.len();
            Err(at(path(), format!("string has {len} bytes, at most {STRING_MAX} are allowed")))
        }
        Value::Text(text) => Ok(text.len()),
        Value::Float(number) if !number.is_finite() => {
            Err(at(path(), format!("{number} is no number that can be stored")))
        }
        Value::List(items) => {
            let flat =
                |item: &Value<'_>| !matches!(item, Value::List(_)) && item.same_family(&items[0]);
            if !items.iter().all(flat) {
                return Err(at(path(), "it is a list of values of different kinds"));
            }
            items.iter().map(|item| scalar_or_list(name, item)).sum()
        }
        _ => Ok(8),
    }
}

fn raw(text: &str) -> Result<(), MemberFault> {
    if !matches!(text.as_bytes().first(), Some(b'[' | b'{' | b'n')) {
        return Err(at("._rawData", "expected a list or an object"));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(e) => Err(at("._rawData", super::read::json_words(&e))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(draft: &DraftEntity<'_>) -> String {
        check_entity(draft).map_or_else(
            |e| format!("{} {} {}", e.key.unwrap_or_default(), e.path, e.message),
            |()| String::new(),
        )
    }

    #[test]
    fn a_draft_of_a_program_is_held_to_the_rules_of_uploads() {
        let user = |key: &'static str| DraftEntity::new(key, "user", "User");
        assert_eq!(fault(&user("a").property("age", 41).property("tags", vec!["x", "y"])), "");
        assert_eq!(fault(&user("")), " ._key `_key` is empty");
        assert!(fault(&user("a").property("_mine", 1)).starts_with("a ._mine property `_mine`"));
        assert!(fault(&user("a").property("rate", f64::NAN)).starts_with("a .rate NaN"));
        let mixed = Value::List(vec![Value::Int(1), "x".into()]);
        assert!(fault(&user("a").property("list", mixed)).contains("different kinds"));
        let long = "x".repeat(STRING_MAX + 1);
        assert!(fault(&user("a").property("text", long)).contains("at most"));
        let unsorted = DraftEntity {
            properties: vec![("b".into(), Value::Null), ("a".into(), Value::Null)],
            ..user("a")
        };
        assert!(fault(&unsorted).starts_with("a .a properties go in ascending order"));
        let raw = DraftEntity { raw_data: Some("{".into()), ..user("a") };
        assert!(fault(&raw).starts_with("a ._rawData"));
    }
}
