//! A checked source file: what the file says, with expressions parsed. After the check, only the rows
//! can bring up faults.

use crate::graph::Value;
use crate::lang::{Diagnostic, NestedValue, SourceText};
use crate::mapping::expression::{MappingExpr, Template};
use crate::mapping::model::{
    AmbiguityPolicy, FreshnessLimit, LookupTables, MatchAlternative, PropertyAssignment,
};
use crate::mapping::rows::RowSource;
use crate::query::Query;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A checked source file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The file, as given.
    pub file: PathBuf,
    /// XXH3-128 of the text of the file, in hex.
    pub digest: String,
    /// The scope of the job.
    pub scope: String,
    /// A name for people.
    pub name: Option<String>,
    /// The purpose of the source.
    pub description: Option<String>,
    /// The person or team that answers for it.
    pub owner: Option<String>,
    /// Labels to select by.
    pub labels: Vec<(String, String)>,
    /// True if it is applied.
    pub enabled: bool,
    /// The limits at which a run stops.
    pub guard: SourceGuard,
    /// Promises about what the rows make.
    pub promises: Vec<SourceTest>,
    /// The number of its expressions.
    pub expressions: usize,
    pub(super) rows: Vec<RowSet>,
    pub(super) classes: Vec<(String, Vec<String>)>,
    pub(super) lets: Vec<(String, Template)>,
    pub(super) tables: LookupTables,
    pub(super) junk: Vec<String>,
    pub(super) entities: Vec<EntityRule>,
    pub(super) relationships: Vec<RelationshipRule>,
    pub(super) examples: Vec<SourceExample>,
    pub(super) source: Arc<SourceText>,
    pub(super) scope_span: Range<usize>,
    /// The number of rules that have a number.
    pub(super) rule_count: usize,
    /// True if any expression asks for the document around a row.
    pub(super) around: bool,
    /// True if it ships with the program.
    pub(super) is_built_in: bool,
}

/// A row set: rows that are read as one.
#[derive(Clone, Debug)]
pub(super) struct RowSet {
    pub rows: RowSource,
    pub filter: Option<MappingExpr>,
    pub max_age: Option<Duration>,
    pub span: Range<usize>,
}

/// How items become entities.
#[derive(Clone, Debug)]
pub(super) struct EntityRule {
    /// The row sets, by position.
    pub rows: Vec<usize>,
    pub items: Vec<MappingExpr>,
    pub filter: Option<MappingExpr>,
    pub content: EntityContent,
    /// True if the whole row is kept as raw data.
    pub raw: bool,
    /// Its edges; the end that they leave out is the entity.
    pub relationships: Vec<RelationshipRule>,
    pub span: Range<usize>,
}

/// What an entity is made of.
#[derive(Clone, Debug)]
pub(super) struct EntityContent {
    /// Tells it apart from all other contents and edges of the file.
    pub number: u32,
    pub type_name: Template,
    /// Templates of its classes; without any, those of its type.
    pub classes: Vec<Template>,
    pub key: Template,
    pub name: Option<Template>,
    pub properties: Vec<PropertyRule>,
    pub except: Vec<String>,
    pub merge: MergeRules,
}

/// How properties are made.
#[derive(Clone, Debug)]
pub(super) enum PropertyRule {
    /// All of a map.
    Spread(MappingExpr),
    /// A name or a path of the row.
    Path(String, MappingExpr),
    /// A template or a literal.
    Assign(String, PropertyAssignment),
}

/// How items become edges.
#[derive(Clone, Debug)]
pub(super) struct RelationshipRule {
    /// Tells it apart from all other edges and contents of the file.
    pub number: u32,
    pub rows: Vec<usize>,
    pub items: Vec<MappingExpr>,
    pub filter: Option<MappingExpr>,
    pub class: Template,
    pub type_name: Option<Template>,
    pub key: Option<Template>,
    pub from: EndRule,
    pub to: EndRule,
    pub properties: Vec<PropertyRule>,
    pub except: Vec<String>,
    pub merge: MergeRules,
    /// True if it can be worked out only once all entities are known.
    pub late: bool,
    /// True if its templates name the keys of its ends.
    pub names_ends: bool,
    pub span: Range<usize>,
}

/// How an end is found.
#[derive(Clone, Debug)]
pub(super) enum EndRule {
    /// It is the entity that the rule belongs to.
    Own,
    /// The entity with the first of these keys that exists.
    Keys(Vec<Template>),
    Match {
        types: Vec<String>,
        alternatives: Vec<MatchAlternative>,
        ambiguous: AmbiguityPolicy,
    },
    /// The entity is made if no row makes it.
    Create(Box<EntityContent>),
}

/// What becomes of a property of which several items say different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MergePolicy {
    First,
    Last,
    /// The list of all that is said.
    Union,
}

/// The policies of a rule: for some properties, and for all others.
#[derive(Clone, Debug, Default)]
pub(super) struct MergeRules {
    pub named: Vec<(String, MergePolicy)>,
    pub others: Option<MergePolicy>,
}

impl MergeRules {
    /// The policy for a property; without one, items must agree.
    pub(super) fn of(&self, property: &str) -> Option<MergePolicy> {
        let named = self.named.iter().find(|(name, _)| name == property);
        named.map(|(_, policy)| *policy).or(self.others)
    }
}

/// The limits at which a run stops. `None` means no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceGuard {
    /// Fewer rows are refused.
    pub min_rows: u64,
    /// Fewer entities are refused.
    pub min_entities: u64,
    /// Deleting a larger share of the live objects is refused, in percent.
    pub max_delete_percent: Option<f64>,
    /// Deleting more objects is refused.
    pub max_delete: Option<u64>,
    /// Creating more objects is refused.
    pub max_create: Option<u64>,
    /// More dangling references are refused, in percent of all references.
    pub max_missing_percent: Option<f64>,
    /// More objects are refused before they are made.
    pub max_objects: u64,
    /// The scopes whose last synchronisation must not be too old.
    pub fresh: Vec<FreshnessLimit>,
    /// Stands in for `max_age` of all rows.
    pub max_age: Option<Duration>,
}

impl Default for SourceGuard {
    fn default() -> SourceGuard {
        SourceGuard {
            min_rows: 1,
            min_entities: 0,
            max_delete_percent: None,
            max_delete: None,
            max_create: None,
            max_missing_percent: None,
            max_objects: 20_000_000,
            fresh: Vec::new(),
            max_age: None,
        }
    }
}

/// A unit test without a database.
#[derive(Clone, Debug)]
pub(super) struct SourceExample {
    pub number: usize,
    pub name: Option<String>,
    /// The row set, by position.
    pub rows: usize,
    pub stem: String,
    pub row: NestedValue,
    /// What entities must have, `_key` among it.
    pub entities: Vec<Vec<(String, Value<'static>)>>,
    /// What edges must have: `class`, `from`, `to` and properties.
    pub relationships: Vec<Vec<(String, Value<'static>)>>,
    pub entity_count: Option<u64>,
    pub relationship_count: Option<u64>,
    pub span: Range<usize>,
}

/// A promise about what the rows make.
#[derive(Clone, Debug)]
pub struct SourceTest {
    /// The promise in words, for people.
    pub name: String,
    /// True if breaking it stops the job.
    pub strict: bool,
    /// The question.
    pub ask: SourceTestQuestion,
    pub(super) span: Range<usize>,
}

/// The question that a promise of a source asks.
#[derive(Clone, Debug)]
pub enum SourceTestQuestion {
    /// An entity with this key is made, or must not be.
    Entity {
        /// `_key`.
        key: String,
        /// True if it must be made.
        there: bool,
    },
    /// An edge between these keys is made, or must not be.
    Edge {
        /// `_key` of its start.
        from: String,
        /// `_key` of its end.
        to: String,
        /// True if it must be made.
        there: bool,
    },
    /// So many entities of a type are made.
    Type {
        /// `_type`.
        type_name: String,
        /// Least and most, where there is a bound.
        count: (Option<u64>, Option<u64>),
        /// The number, as written.
        expect: String,
    },
    /// A query has the expected number of rows on the graph as planned.
    Query {
        /// The query.
        query: Box<Query>,
        /// Least and most rows, where there is a bound.
        rows: (Option<u64>, Option<u64>),
        /// The number of rows, as written.
        expect: String,
    },
}

impl SourceFile {
    /// The number of its examples.
    pub fn example_count(&self) -> usize {
        self.examples.len()
    }

    /// A fault of the scope that the file names.
    pub fn scope_fault(&self, words: String) -> Diagnostic {
        Diagnostic::error("M0311", &self.source, words).at(self.scope_span.clone(), "")
    }

    /// The names of the files of rows, as people see them.
    pub fn row_files(&self) -> Vec<String> {
        let files = self.rows.iter().flat_map(|set| set.rows.files());
        files.map(|file| file.shown).collect()
    }

    /// The files of its rows.
    pub fn input_paths(&self) -> Vec<PathBuf> {
        self.rows.iter().flat_map(|set| set.rows.paths()).collect()
    }

    /// Calls `visit` for every rule of an edge.
    pub(super) fn relationship_rules(&self) -> impl Iterator<Item = &RelationshipRule> {
        let inner = self.entities.iter().flat_map(|entity| &entity.relationships);
        inner.chain(&self.relationships)
    }
}
