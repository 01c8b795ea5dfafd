//! The JSON Schema of mapping files, for completion and hover text in editors.
//!
//! It is made from the same list of keys as the check ([`super::format`]). It calls itself draft 7
//! but uses only words of draft 4, because the common TOML editor plug-ins read no more: one-value
//! `enum` instead of `const`, no conditions. It helps with typing; `check` decides.

use super::{ALTERNATIVE, FormatKey, FormatKind, TOP};
use serde_json::{Map, Value, json};

/// The JSON Schema of format 1, ready to print.
pub fn schema() -> String {
    print(table(TOP, ""), "Tombolo mapping file, format 1")
}

/// The JSON Schema of source files of format 1, ready to print.
pub fn source_schema() -> String {
    print(table(super::SOURCE_TOP, ""), "Tombolo source file, format 1")
}

fn print(mut schema: Value, title: &str) -> String {
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(title);
    let mut text = serde_json::to_string_pretty(&schema).expect("BUG: a schema is plain JSON");
    text.push('\n');
    text
}

fn table(keys: &[FormatKey], name: &str) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let mut value = kind(key.kind, key.name);
        value["description"] = json!(key.about);
        properties.insert(key.name.into(), value);
    }
    let required: Vec<&str> = keys.iter().filter(|k| k.example.is_some()).map(|k| k.name).collect();
    let mut schema = json!({
        "type": "object", "additionalProperties": false, "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let one_of: &[&str] = match name {
        "rows" => &["file", "files", "inline", "query", "entities"],
        _ => &[],
    };
    if !one_of.is_empty() {
        schema["oneOf"] = one_of.iter().map(|key| json!({ "required": [key] })).collect();
    }
    schema
}

fn kind(kind_of: FormatKind, name: &str) -> Value {
    let text = json!({ "type": "string" });
    match kind_of {
        FormatKind::Text if name == "source" => json!({ "enum": ["api"] }),
        FormatKind::Text if name == "scope" => {
            json!({ "type": "string", "minLength": 1, "maxLength": 256 })
        }
        FormatKind::Text if name == "delimiter" => {
            json!({ "type": "string", "minLength": 1, "maxLength": 1 })
        }
        FormatKind::Text => text,
        FormatKind::Texts => json!({ "anyOf": [
            text, { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] }),
        FormatKind::Bool => json!({ "type": "boolean" }),
        FormatKind::Whole if name == "format" => json!({ "type": "integer", "enum": [1] }),
        FormatKind::Whole => json!({ "type": "integer", "minimum": 0 }),
        FormatKind::Percent => json!({ "type": "number", "minimum": 0, "maximum": 100 }),
        FormatKind::Amount => json!({ "type": ["string", "integer"] }),
        FormatKind::Choice(choices) => json!({ "enum": choices }),
        FormatKind::Table(keys) => table(keys, name),
        FormatKind::Tables(keys) => json!({ "type": "array", "items": table(keys, "") }),
        FormatKind::NamedTables(keys) => {
            json!({ "type": "object", "additionalProperties": table(keys, "") })
        }
        FormatKind::NamedTexts => json!({ "type": "object", "additionalProperties": text }),
        FormatKind::Properties => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        FormatKind::TableOrNamed(keys) => json!({ "anyOf": [
            table(keys, name), { "type": "object", "additionalProperties": table(keys, name) },
        ] }),
        FormatKind::TableOrTables(keys) => json!({ "anyOf": [
            table(keys, ""), { "type": "array", "items": table(keys, "") },
        ] }),
        FormatKind::FreeOrTables => json!({ "type": ["object", "array"] }),
        FormatKind::NamedTextLists => {
            json!({ "type": "object", "additionalProperties": kind(FormatKind::Texts, "") })
        }
        FormatKind::SourceProperties => json!({ "type": ["string", "array", "object"] }),
        FormatKind::Merge => json!({ "anyOf": [
            { "enum": super::MERGES },
            { "type": "object", "additionalProperties": { "enum": super::MERGES } },
        ] }),
        FormatKind::End(keys) => json!({ "anyOf": [kind(FormatKind::Texts, ""), table(keys, "")] }),
        FormatKind::Free => json!({ "type": "object" }),
        FormatKind::FreeTables => json!({ "type": "array", "items": { "type": "object" } }),
        FormatKind::Any => json!({}),
        FormatKind::Conditions => json!({ "anyOf": [
            text,
            {
                "type": "array",
                "minItems": 1,
                "items": { "anyOf": [text, table(ALTERNATIVE, "")] },
            },
        ] }),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_in_the_docs_is_the_one_that_is_printed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mapping.schema.json");
        let stored = std::fs::read_to_string(path).unwrap();
        assert_eq!(stored, super::schema(), "run `tombolo schema > docs/mapping.schema.json`");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/source.schema.json");
        let stored = std::fs::read_to_string(path).unwrap();
        let how = "run `tombolo schema --source > docs/source.schema.json`";
        assert_eq!(stored, super::source_schema(), "{how}");
    }
}
