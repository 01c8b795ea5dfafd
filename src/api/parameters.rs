//! Parameters of requests as values of questions: lists, ways, kinds of trouble, placeholders.
//!
//! Messages name parameters as the command line names its flags, since clients know them so.

use super::api_error::ApiError;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tombolo::graph::Value;
use tombolo::query::QueryParameter;
use tombolo::rules::ImpactFilter;
use tombolo::view::WalkDirection;

/// The names in a list with commas between them; none if it is not given.
pub fn list(text: Option<String>) -> Vec<String> {
    text.map_or_else(Vec::new, |text| text.split(',').map(str::to_owned).collect())
}

/// The error of a value that is none of those allowed.
fn wrong_value(name: &str, allowed: &str, given: &str) -> ApiError {
    if given.is_empty() {
        let message =
            format!("a value is required for '--{name} <{allowed}>' but none was supplied");
        return ApiError::bad(message);
    }
    // A value may hold anything, and a message is one line.
    let message = format!("invalid value '{given}' for '--{name} <{allowed}>'");
    ApiError::bad(message.lines().next().unwrap_or_default())
}

/// The way of a blast; `auto` is none.
pub fn blast_direction(text: Option<&str>) -> Result<Option<WalkDirection>, ApiError> {
    match text {
        None | Some("auto") => Ok(None),
        Some(text) => match direction(text) {
            Some(direction) => Ok(Some(direction)),
            None => Err(wrong_value("direction", "auto|out|in|both", text)),
        },
    }
}

/// The way of a path; `out` unless told.
pub fn path_direction(text: Option<&str>) -> Result<WalkDirection, ApiError> {
    let Some(text) = text else { return Ok(WalkDirection::Out) };
    direction(text).ok_or_else(|| wrong_value("direction", "out|in|both", text))
}

fn direction(text: &str) -> Option<WalkDirection> {
    match text {
        "out" => Some(WalkDirection::Out),
        "in" => Some(WalkDirection::In),
        "both" => Some(WalkDirection::Both),
        _ => None,
    }
}

/// The kinds of trouble to follow; both if none is given.
pub fn trouble(text: Option<&str>) -> Result<Option<ImpactFilter>, ApiError> {
    match text {
        None => Ok(None),
        Some("compromise") => Ok(Some(ImpactFilter { compromise: true, failure: false })),
        Some("failure") => Ok(Some(ImpactFilter { compromise: false, failure: true })),
        Some(other) => Err(wrong_value("for", "compromise|failure", other)),
    }
}

/// The texts of numbers in the `params` of a body, as they are written there.
pub type NumberSpellings = BTreeMap<String, Vec<String>>;

/// Reads the texts of numbers out of a body that was read before.
pub fn number_spellings(body: &[u8]) -> NumberSpellings {
    #[derive(serde::Deserialize)]
    struct SpelledBody<'b> {
        #[serde(borrow, default)]
        params: BTreeMap<String, &'b RawValue>,
    }
    let Ok(body) = serde_json::from_slice::<SpelledBody<'_>>(body) else {
        return NumberSpellings::new();
    };
    let given = body.params.into_iter();
    given.map(|(name, raw)| (name, QueryParameter::read(raw.get()).written)).collect()
}

/// The values of placeholders in a JSON object, by name.
///
/// # Errors
///
/// A value that no placeholder takes.
pub fn placeholders(
    values: Option<&Json>,
    mut spelled: NumberSpellings,
) -> Result<BTreeMap<String, QueryParameter>, ApiError> {
    let mut parameters = BTreeMap::new();
    for (name, value) in values.and_then(Json::as_object).into_iter().flatten() {
        let value = placeholder(value).ok_or_else(|| {
            ApiError::bad(format!(
                "the variable `{name}` is neither a text, number, boolean nor list"
            ))
        })?;
        let written = spelled.remove(name).unwrap_or_default();
        parameters.insert(name.clone(), QueryParameter { value, written });
    }
    Ok(parameters)
}

fn placeholder(json: &Json) -> Option<Value<'static>> {
    Some(match json {
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => Value::number(&n.to_string())?,
        Json::String(text) => Value::Text(text.clone().into()),
        Json::Array(items) => Value::List(items.iter().map(placeholder).collect::<Option<_>>()?),
        Json::Null | Json::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_keeps_the_spelling_of_its_body() {
        let body =
            br#" {"query": "q", "params": {"v": 2.10, "l": [2.10, "a"], "t": "2.10", "e": 1}}"#;
        let spelled = number_spellings(body);
        let whole: Json = serde_json::from_slice(body).unwrap();
        let read = placeholders(Some(&whole["params"]), spelled).ok().unwrap();
        let told = |name: &str| format!("{} {:?}", read[name].value, read[name].written);
        assert_eq!(told("v"), "2.1 [\"2.10\"]");
        assert_eq!(told("l"), "[2.1,\"a\"] [\"2.10\", \"\\\"a\\\"\"]");
        assert_eq!(told("t"), "\"2.10\" []");
        assert_eq!(told("e"), "1 [\"1\"]");
        for body in [&b"{\"params\": [1]}"[..], b"{\"params\": null}", b"{}", b""] {
            assert!(number_spellings(body).is_empty());
        }
    }

    #[test]
    fn a_placeholder_takes_no_objects() {
        for value in [json!({ "a": { "b": 1 } }), json!({ "a": null }), json!({ "a": [[null]] })] {
            assert!(placeholders(Some(&value), NumberSpellings::new()).is_err(), "{value}");
        }
        assert!(
            placeholders(Some(&json!([1])), NumberSpellings::new()).is_ok_and(|p| p.is_empty())
        );
    }

    #[test]
    fn lists_split_at_every_comma() {
        assert!(list(None).is_empty());
        assert_eq!(list(Some("a,b,".into())), ["a", "b", ""]);
        assert_eq!(list(Some(String::new())), [""]);
    }
}
