//! The JSON Schema of `tombolo.toml`, for editors: made of the same lists of keys that it is read by.

use super::read::{IMPACT, INVERSE, OWNERSHIP};
use super::written::{FlowDirection, OwnershipKind, RelationshipEnd};
use serde_json::{Map, Value, json};

/// The schema, as indented JSON.
pub fn schema() -> String {
    let names = || json!({ "$ref": "#/$defs/names" });
    let key = |key: &str| -> Value {
        let flows: Vec<&str> = FlowDirection::ALL.map(FlowDirection::word).to_vec();
        match key {
            "verb" | "from" | "to" | "same" | "inverse" | "classes" => names(),
            "compromise" => {
                let words: Vec<&str> = flows.into_iter().chain(["membership"]).collect();
                json!({ "enum": words })
            }
            "failure" => json!({ "enum": flows }),
            "group" => {
                json!({ "enum": [RelationshipEnd::From.word(), RelationshipEnd::To.word()] })
            }
            "up" | "down" => json!({ "type": "boolean" }),
            "kind" => json!({ "enum": OwnershipKind::ALL.map(OwnershipKind::word) }),
            _ => json!({ "type": "string" }),
        }
    };
    let table = |keys: &[&str], about: &[&str], needed: &[&str]| -> Value {
        let members: Map<String, Value> =
            keys.iter().chain(about).map(|name| ((*name).to_owned(), key(name))).collect();
        let all = json!({ "type": "object", "properties": members, "required": needed,
                          "additionalProperties": false });
        json!({ "type": "array", "items": all })
    };
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tombolo.toml",
        "description": "What a project says: rules of impact and ownership (docs/impact-rules.md), \
                        aliases of scopes and filler (docs/mapping-files.md), how long the past is kept (docs/history.md)",
        "type": "object",
        "properties": {
            "impact": table(&IMPACT, &super::read::ABOUT, &["verb"]),
            "ownership": table(&OWNERSHIP, &super::read::ABOUT, &["kind", "verb"]),
            "inverse": table(&INVERSE, &[], &["verb"]),
            "not_followed": table(&["verb", "reason"], &[], &["verb"]),
            "classes": { "type": "object", "additionalProperties": names() },
            "owners": { "type": "object", "properties": { "classes": names() },
                        "required": ["classes"], "additionalProperties": false },
            "scopes": texts,
            "filler": { "type": "object" },
            "serial": { "type": "object" },
            "history": { "type": "object", "properties": { "keep": {
                "type": "string", "pattern": "^(forever|none|[0-9]+ ?[a-z]+)$",
                "description": "how long `gc` keeps states of the past, 90d unless told",
            } }, "additionalProperties": false },
        },
        "additionalProperties": false,
        "$defs": { "names": { "anyOf": [
            { "type": "string", "minLength": 1, "maxLength": 256 },
            { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1, "maxLength": 256 } },
        ] } },
    });
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
