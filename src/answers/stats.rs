//! Counts of the graph by scope, type and class.

use super::scopes::scope_rows;
use super::{AnswerDocument, AnswerError};
use crate::db::Database;
use crate::graph::{CLASS_SEPARATOR, NameLookup, ObjectKind, fold_name, fold_verb};
use crate::store::{ScopeRow, Snapshot};
use serde::{Serialize, Serializer};
use serde_json::json;
use std::collections::BTreeMap;

/// The counts.
pub struct StatsAnswer {
    /// The file.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// The number of its last commit.
    pub revision: u64,
    /// Jobs so far.
    pub jobs: u32,
    /// The number of scopes.
    pub scopes: usize,
    /// Live entities.
    pub entities: u64,
    /// Live relationships.
    pub relationships: u64,
    /// Tombstones.
    pub deleted: u64,
    /// Live objects by scope, kind and type.
    pub types: Vec<TypeCount>,
    /// Live objects by class; an entity of two classes counts in both.
    pub classes: Vec<ClassCount>,
    /// Verbs and classes that live objects spell in several ways.
    pub spellings: Vec<SpellingGroup>,
}

/// The live objects of one type in one scope.
#[derive(Serialize)]
pub struct TypeCount {
    /// The scope.
    pub scope: String,
    /// `entities` or `relationships`.
    pub kind: &'static str,
    /// The type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Their number.
    pub live: u64,
}

/// The live objects of one class or verb.
#[derive(Serialize)]
pub struct ClassCount {
    /// `entities` or `relationships`.
    pub kind: &'static str,
    /// The class or verb.
    pub class: String,
    /// Their number.
    pub live: u64,
}

/// The spellings of one class or verb.
#[derive(Serialize)]
pub struct SpellingGroup {
    /// `class` or `verb`.
    pub kind: &'static str,
    /// Each with its number of objects.
    pub spellings: String,
}

impl StatsAnswer {
    /// Counts what is in the graph.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn read(database: &Database, snapshot: &Snapshot) -> Result<StatsAnswer, AnswerError> {
        let rows = scope_rows(snapshot)?;
        let total = |kind: ObjectKind| rows.iter().map(|(_, row)| row.count(kind).live).sum();
        let path = database.file_path();
        let (revision, jobs) = (snapshot.meta().revision, snapshot.meta().next_job);
        Ok(StatsAnswer {
            file: path.display().to_string(),
            bytes: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            revision,
            jobs,
            scopes: rows.len(),
            entities: total(ObjectKind::Entity),
            relationships: total(ObjectKind::Relationship),
            deleted: rows.iter().flat_map(|(_, row)| &row.counts).map(|c| c.deleted).sum(),
            types: types(snapshot, &rows),
            classes: classes(snapshot, &rows),
            spellings: spellings(snapshot, &rows),
        })
    }
}

impl Serialize for StatsAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "file": self.file,
            "bytes": self.bytes,
            "revision": self.revision,
            "jobs": self.jobs,
            "scopes": self.scopes,
            "entities": self.entities,
            "relationships": self.relationships,
            "deleted": self.deleted,
            "types": self.types,
            "classes": self.classes,
            "spellings": self.spellings,
        })
        .serialize(serializer)
    }
}

impl AnswerDocument for StatsAnswer {}

/// Counts live objects by scope, kind and type.
fn types(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> Vec<TypeCount> {
    let mut all = Vec::new();
    for (scope, row) in rows {
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            let types: BTreeMap<&str, u64> =
                row.count(kind).types.iter().map(|(&t, &n)| (snapshot.name(t), n)).collect();
            all.extend(types.into_iter().map(|(name, live)| TypeCount {
                scope: scope.clone(),
                kind: kind.plural(),
                type_name: name.to_owned(),
                live,
            }));
        }
    }
    all
}

/// Lists the verbs and classes that live objects spell in several ways.
fn spellings(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> Vec<SpellingGroup> {
    let mut all = Vec::new();
    for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
        let fold = if kind == ObjectKind::Entity { fold_name } else { fold_verb };
        let mut known: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
        for (&set, &n) in rows.iter().flat_map(|(_, row)| &row.count(kind).classes) {
            let set = snapshot.name(set).split(CLASS_SEPARATOR).filter(|class| !class.is_empty());
            for name in set {
                *known.entry(fold(name)).or_default().entry(name).or_default() += n;
            }
        }
        for spellings in known.into_values().filter(|spellings| spellings.len() > 1) {
            let noun = if kind == ObjectKind::Entity { "class" } else { "verb" };
            let each = spellings.iter().map(|(name, n)| format!("{name} ({n})"));
            let spellings = each.collect::<Vec<_>>().join(", ");
            all.push(SpellingGroup { kind: noun, spellings });
        }
    }
    all
}

/// Counts live objects by class; an entity of two classes counts in both.
fn classes(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> Vec<ClassCount> {
    let mut all = Vec::new();
    for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (&set, &n) in rows.iter().flat_map(|(_, row)| &row.count(kind).classes) {
            let set = snapshot.name(set).split(CLASS_SEPARATOR).filter(|class| !class.is_empty());
            set.for_each(|class| *counts.entry(class).or_default() += n);
        }
        let count = |(class, live): (&str, u64)| {
            let class = class.to_owned();
            ClassCount { kind: kind.plural(), class, live }
        };
        all.extend(counts.into_iter().map(count));
    }
    all
}
