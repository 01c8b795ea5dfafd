//! Collects the objects of one scope and writes them as NDJSON.

use std::collections::BTreeMap;

use serde_json::Value;

use super::DemoFile;

/// Flat properties by name, in the order in which the table of a scope lists them.
pub(super) type PropertyList<'a> = Vec<(&'a str, Value)>;

/// The growing upload of one scope.
pub(super) struct ScopeFile {
    name: &'static str,
    scope: &'static str,
    entities: Vec<String>,
    relationships: Vec<String>,
}

impl ScopeFile {
    /// An empty upload into `scope`.
    pub(super) fn new(name: &'static str, scope: &'static str) -> ScopeFile {
        ScopeFile { name, scope, entities: Vec::new(), relationships: Vec::new() }
    }

    /// Adds the entity `key`, with one or more classes.
    pub(super) fn entity(
        &mut self,
        key: &str,
        kind: &str,
        classes: &[&str],
        display_name: &str,
        mut properties: PropertyList,
    ) {
        properties.extend([
            ("_key", key.into()),
            ("_type", kind.into()),
            ("_class", classes.into()),
            ("_scope", self.scope.into()),
            ("displayName", display_name.into()),
        ]);
        self.entities.push(json_line(properties));
    }

    /// Adds the relationship `from` -`verb`-> `to` under its usual key.
    pub(super) fn relate(
        &mut self,
        from: &str,
        verb: &str,
        to: &str,
        kind: &str,
        mut properties: PropertyList,
    ) {
        properties.extend([
            ("_key", format!("{from}|{}|{to}", verb.to_lowercase()).into()),
            ("_type", kind.into()),
            ("_class", verb.into()),
            ("_scope", self.scope.into()),
            ("_fromEntityKey", from.into()),
            ("_toEntityKey", to.into()),
        ]);
        self.relationships.push(json_line(properties));
    }

    /// The finished upload, entities before relationships.
    pub(super) fn finish(self) -> DemoFile {
        let text = self.entities.into_iter().chain(self.relationships).collect();
        DemoFile { name: self.name, scope: self.scope, text }
    }
}

/// One object with sorted names and a line end.
pub(super) fn json_line(properties: PropertyList) -> String {
    // A map of our own: the order inside serde_json's depends on a feature that any crate of a
    // build may switch on.
    let sorted: BTreeMap<&str, Value> = properties.into_iter().collect();
    let mut line = serde_json::to_string(&sorted).expect("BUG: text keys always serialize");
    line.push('\n');
    line
}
