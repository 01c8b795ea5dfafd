//! The examples of a source: one row each, and what it must make.

use super::model::{SourceExample, SourceFile};
use super::record::EndKeys;
use super::relationships::KnownRelationship;
use super::resolved::{DraftNames, ResolvedSource};
use super::run::SourceRun;
use crate::graph::Value;
use crate::lang::Diagnostic;
use crate::mapping::rows::{FileFacts, FrameContent, RowFrame};

/// Names and values that an object must have.
type Expected = [(String, Value<'static>)];

impl SourceFile {
    /// Runs the examples. Returns a fault for each that fails.
    pub fn check_examples(&self) -> Vec<Diagnostic> {
        self.examples.iter().filter_map(|example| self.check_example(example)).collect()
    }

    fn check_example(&self, example: &SourceExample) -> Option<Diagnostic> {
        let called = match &example.name {
            Some(name) => format!("example {} (\"{name}\")", example.number),
            None => format!("example {}", example.number),
        };
        let fault = |words: String| {
            Diagnostic::error("M0308", &self.source, format!("{called}: {words}"))
                .at(example.span.clone(), "")
        };
        let facts = FileFacts {
            shown: example.stem.clone(),
            path: example.stem.clone(),
            stem: example.stem.clone(),
        };
        let mut run = SourceRun::new(self);
        let frame = RowFrame::document(FrameContent::Data(&example.row), example.number as u32);
        run.one_row(example.rows, &frame, &facts);
        let made = match run.finish() {
            Ok(made) => made,
            Err(faults) => {
                let words = faults.first().map_or_else(String::new, |fault| fault.message.clone());
                return Some(fault(words));
            }
        };
        let reasons: Vec<String> = made
            .unmatched
            .iter()
            .take(5)
            .map(|item| format!("{}: {}", item.bucket.name(), item.reason))
            .collect();
        let wrong = verdict(example, &made)?;
        Some(reasons.into_iter().fold(fault(wrong), Diagnostic::note))
    }
}

/// What is wrong with what an example made.
fn verdict(example: &SourceExample, made: &ResolvedSource) -> Option<String> {
    let counts = [
        (example.entity_count, made.entity_count(), "entities"),
        (example.relationship_count, made.relationship_count(), "edges"),
    ];
    for (expected, got, what) in counts {
        if let Some(expected) = expected.filter(|expected| *expected != got as u64) {
            return Some(format!("expected {expected} {what}, got {got}"));
        }
    }
    let entities = example.entities.iter().find_map(|expected| wrong_entity(expected, made));
    entities
        .or_else(|| example.relationships.iter().find_map(|expected| wrong_edge(expected, made)))
}

fn wrong_entity(expected: &Expected, made: &ResolvedSource) -> Option<String> {
    let key = expected.iter().find(|(name, _)| name == "_key")?.1.as_str()?.to_owned();
    let Some(at) = made.entity_keyed(&key) else {
        let keys: Vec<String> = (0..made.entity_count().min(5))
            .filter_map(|i| Some(made.entities.record(i as u32).ok()?.key.into_owned()))
            .collect();
        return Some(format!("expected the entity `{key}`; made are: {}", keys.join(", ")));
    };
    let mut record = match made.entities.record(at) {
        Ok(record) => record,
        Err(error) => return Some(error.to_string()),
    };
    let names = DraftNames::of(&made.names);
    names.sort(&mut record.properties);
    let draft = names.entity(&record);
    expected.iter().find_map(|(name, value)| {
        let got = match name.as_str() {
            "_key" => return None,
            "_type" => draft.type_name.as_deref().map(|t| Value::Text(t.to_owned().into())),
            "_class" => match draft.classes.as_slice() {
                [one] => Some(Value::Text(one.to_string().into())),
                many => Some(Value::List(
                    many.iter().map(|c| Value::Text(c.to_string().into())).collect(),
                )),
            },
            name => draft
                .properties
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone().into_owned()),
        };
        differs(&format!("`{name}` of `{key}`"), value, got)
    })
}

fn wrong_edge(expected: &Expected, made: &ResolvedSource) -> Option<String> {
    let text = |name: &str| {
        let found = expected.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.as_str()).unwrap_or_default().to_owned()
    };
    let (class, from, to) = (text("class"), text("from"), text("to"));
    let names = DraftNames::of(&made.names);
    let ends = made.ends(&from, &to);
    let between = ends.map(|(from, to)| made.relationships.between(from, to)).transpose();
    let between = match between {
        Ok(edges) => edges.unwrap_or_default(),
        Err(error) => return Some(error.to_string()),
    };
    let key_of = |keys: &'_ EndKeys<'_>, entity: u32| {
        keys.iter().position(|key| made.entity_keyed(key) == Some(entity))
    };
    let wanted = |edge: &&KnownRelationship<'_>| {
        class.is_empty() || names.type_name(edge.record.class) == class
    };
    let Some(edge) = between.iter().find(wanted) else {
        let mut keys: Vec<String> = Vec::new();
        let all = made.relationships.len().min(5);
        let listed = made.relationships.records(0..all, &mut |edge| {
            keys.push(names.relationship(&edge, key_of).key.into_owned());
            Ok::<(), std::io::Error>(())
        });
        let words = format!("expected an edge {class} from `{from}` to `{to}`");
        return Some(match (listed, keys.is_empty()) {
            (Err(error), _) => error.to_string(),
            (_, true) => format!("{words}; no edge is made"),
            (_, false) => format!("{words}; made are: {}", keys.join(", ")),
        });
    };
    let draft = names.relationship(edge, key_of);
    expected.iter().filter(|(name, _)| !matches!(name.as_str(), "class" | "from" | "to")).find_map(
        |(name, value)| {
            let found = draft.properties.iter().find(|(n, _)| n == name);
            let got = match name.as_str() {
                "_key" => Some(Value::Text(draft.key.to_string().into())),
                "_type" => Some(Value::Text(draft.type_name.to_string().into())),
                _ => found.map(|(_, v)| v.clone().into_owned()),
            };
            differs(&format!("`{name}` of the edge `{}`", draft.key), value, got)
        },
    )
}

fn differs(what: &str, expected: &Value<'_>, got: Option<Value<'static>>) -> Option<String> {
    if got.as_ref() == Some(expected) {
        return None;
    }
    let got = got.map_or("nothing".to_owned(), |value| value.to_string());
    Some(format!("expected {what} to be {expected}, got {got}"))
}
