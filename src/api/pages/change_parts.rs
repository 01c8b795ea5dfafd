//! What pages that tell of changes share: what happened to an object, and the properties that differ.

use super::address::PageAddress;
use super::parts;
use maud::{Markup, html};
use tombolo::answers::clean;
use tombolo::graph::{ObjectId, ObjectKind, Value};
use tombolo::sync::PropertyChange;

/// Properties of one object that a row shows.
const PROPERTIES: usize = 20;
/// Characters of one value that a row shows.
const VALUE_MAX: usize = 200;

/// A word for what happened, in the colour of what it means.
pub fn event_tag(word: &str) -> Markup {
    let kind = match word {
        "created" | "returned" => "ok",
        "updated" => "warn",
        "deleted" => "fail",
        _ => "",
    };
    html! { span class={ "tag " (kind) } { (word) } }
}

/// Properties that differ, each with both values.
pub fn properties(changes: &[PropertyChange]) -> Markup {
    html! {
        @if !changes.is_empty() {
            ul class="diffs" {
                @for change in changes.iter().take(PROPERTIES) { li {
                    span class="mono" { (clean(&change.name)) } " "
                    del { (value(change.before.as_ref())) }
                    span class="ar" aria-hidden="true" { " → " } span class="sr" { " becomes " }
                    ins { (value(change.after.as_ref())) }
                } }
                @if changes.len() > PROPERTIES {
                    li class="sub" { (changes.len() - PROPERTIES) " more properties are not shown" }
                }
            }
        }
    }
}

fn value(value: Option<&Value<'_>>) -> Markup {
    let Some(value) = value else { return html! { span class="dim" { "(none)" } } };
    let text = match value {
        Value::Text(text) => clean(text).into_owned(),
        Value::List(_) => clean(&value.to_string()).into_owned(),
        other => return parts::value(other),
    };
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => html! { (text[..end]) "…" },
        None => html! { (text) },
    }
}

/// The page of the history of a relationship. Its `_id` is asked for, since an entity may have the same key.
pub fn relationship_history(scope: &str, key: &str) -> String {
    let id = ObjectId::new(ObjectKind::Relationship, scope, key).to_string();
    PageAddress::new("/history").with("object", &id).text()
}

/// The page of the history of an entity.
pub fn entity_history(scope: &str, key: &str) -> String {
    PageAddress::about("history", scope, key).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_told_with_both_values_and_never_as_markup() {
        let change = |before, after| PropertyChange { name: "a<b".into(), before, after };
        let told = properties(&[change(None, Some(Value::from("<i>".to_owned())))]).into_string();
        assert!(told.contains("a&lt;b") && told.contains("(none)"), "{told}");
        assert!(told.contains("<ins>&lt;i&gt;</ins>"), "{told}");
        let long = Value::from("x".repeat(VALUE_MAX + 1));
        let told = properties(&[change(Some(long), None)]).into_string();
        assert!(told.contains(&format!("<del>{}…</del>", "x".repeat(VALUE_MAX))), "{told}");
        let many = vec![change(None, None); PROPERTIES + 2];
        assert!(properties(&many).into_string().contains("2 more properties are not shown"));
    }
}
