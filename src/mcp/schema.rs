//! Pieces of the schemas of results: what answers have in common.

use serde_json::{Map, Value as Json, json};

/// A text.
pub fn text(about: &str) -> Json {
    json!({ "type": "string", "description": about })
}

/// A whole number.
pub fn count(about: &str) -> Json {
    json!({ "type": "integer", "minimum": 0, "description": about })
}

/// A list.
pub fn list(about: &str, items: Json) -> Json {
    json!({ "type": "array", "description": about, "items": items })
}

/// A number for each name.
pub fn counts(about: &str) -> Json {
    json!({ "type": "object", "description": about, "additionalProperties": { "type": "integer" } })
}

/// An object with these members, of which some may be missing.
pub fn object(about: &str, required: &[(&str, Json)], optional: &[(&str, Json)]) -> Json {
    let members = required.iter().chain(optional);
    let members: Map<String, Json> =
        members.map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let mut schema = json!({ "type": "object", "properties": members, "required": names });
    if !about.is_empty() {
        schema["description"] = json!(about);
    }
    schema
}

/// The notes of an answer.
pub fn notes() -> Json {
    list("Facts that the answer does not show by itself.", text("A sentence."))
}

/// What was left out of an answer.
fn cut() -> Json {
    let part = object(
        "",
        &[
            ("at", text("The place, as a JSON pointer.")),
            ("what", json!({ "type": "string", "enum": ["items", "members", "characters"] })),
            ("shown", count("How many are here.")),
            ("of", count("How many there are.")),
        ],
        &[],
    );
    object(
        "Present if the answer was too long: what was left out.",
        &[("advice", text("How to see the rest.")), ("parts", list("Each cut.", part))],
        &[("more", count("Cuts that are not listed."))],
    )
}

/// The schema of a whole result: an object with these members, and what was cut.
pub fn result(required: &[(&str, Json)], optional: &[(&str, Json)]) -> Json {
    let cut = [("cut", cut())];
    let mut schema = object("", required, &[optional, &cut].concat());
    // What several members share is said once, since assistants read all of it.
    let mut shared = Map::new();
    let all =
        [("entity", head_schema()), ("relationship", relationship_schema()), ("step", step())];
    for (name, definition) in all.into_iter().rev() {
        let used = |text: &Json| text.to_string().contains(&format!("#/$defs/{name}\""));
        if used(&schema) || shared.values().any(used) {
            shared.insert(name.to_owned(), definition);
        }
    }
    if !shared.is_empty() {
        schema["$defs"] = Json::Object(shared);
    }
    schema
}

fn shared(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// An entity without its properties. Its texts come from outside.
pub fn entity() -> Json {
    shared("entity")
}

/// The same with more members.
pub fn head(more: &[(&str, Json)]) -> Json {
    let mut schema = object("", more, &[]);
    schema["allOf"] = json!([shared("entity")]);
    schema
}

fn head_schema() -> Json {
    let plain = json!({ "type": "string" });
    object(
        "An entity: its UUID, its key in the scope that owns it, its type and classes.",
        &[
            ("_id", plain.clone()),
            ("_key", plain.clone()),
            ("_scope", plain.clone()),
            ("_type", plain.clone()),
            ("_class", json!({ "type": "array", "items": plain })),
            ("displayName", json!({ "type": ["string", "null"] })),
        ],
        &[],
    )
}

/// A relationship without its properties.
pub fn relationship() -> Json {
    shared("relationship")
}

fn relationship_schema() -> Json {
    let names = ["_id", "_key", "_type", "_class", "_scope"];
    let members = names.map(|name| (name, json!({ "type": "string" })));
    object("A relationship; `_class` is its verb.", &members, &[])
}

/// One step of a chain: a relationship, the way along it, and the entity that it leads to.
fn step() -> Json {
    object(
        "",
        &[
            ("relationship", relationship()),
            ("direction", way()),
            ("from", text("`_id` of the entity before it.")),
            ("entity", entity()),
        ],
        &[],
    )
}

/// Relationships, each beginning where the one before it ends.
pub fn chain() -> Json {
    list("Relationships, each beginning where the one before it ends.", shared("step"))
}

/// The way along a relationship.
pub fn way() -> Json {
    let about = "out goes with the arrow, in goes against it.";
    json!({ "type": "string", "enum": ["out", "in"], "description": about })
}
