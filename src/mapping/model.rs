//! A checked mapping: what the file means, with names resolved and expressions parsed.
//!
//! [`super::validate`] makes it, [`super::resolve`] uses it. After the check, only the rows or the graph
//! can bring up faults.

use crate::graph::Value;
use crate::lang::{Diagnostic, NestedValue, SourceText};
use crate::mapping::entity_selection::EntitySelection;
use crate::mapping::expression::{MappingExpr, Template};
use crate::mapping::rows::RowSource;
use crate::query::Query;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One lookup table: keys as text, and their values.
pub(super) type LookupTable = HashMap<String, Value<'static>>;

/// The lookup tables of a mapping by name.
pub(super) type LookupTables = HashMap<String, LookupTable>;

/// A checked mapping file.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The file, as given.
    pub file: PathBuf,
    /// XXH3-128 of the text of the file, in hex.
    pub digest: String,
    /// The scope of the job.
    pub scope: String,
    /// A name for people.
    pub name: Option<String>,
    /// The purpose of the mapping.
    pub description: Option<String>,
    /// The person or team that answers for it.
    pub owner: Option<String>,
    /// Labels to select by.
    pub labels: Vec<(String, String)>,
    /// True if it is applied.
    pub enabled: bool,
    /// The verb, in upper case.
    pub class: String,
    /// The end where edges start.
    pub from: EndDefinition,
    /// The end that edges lead to.
    pub to: EndDefinition,
    /// The limits at which a run stops.
    pub guard: MappingGuard,
    /// Promises about the graph as planned.
    pub promises: Vec<MappingTest>,
    /// The number of its expressions.
    pub expressions: usize,
    /// True if both ends of an edge may lie in one scope.
    pub same_scope: bool,
    pub(super) pairs: PairSource,
    pub(super) edge: RelationshipRules,
    pub(super) tables: LookupTables,
    pub(super) junk: Vec<String>,
    pub(super) examples: Vec<MappingExample>,
    pub(super) source: Arc<SourceText>,
    pub(super) scope_span: Range<usize>,
}

/// The source of the pairs.
#[allow(clippy::large_enum_variant)] // there is one of it in a mapping
#[derive(Clone, Debug)]
pub(super) enum PairSource {
    Rows {
        rows: RowSource,
        filter: Option<MappingExpr>,
        span: Range<usize>,
        max_age: Option<Duration>,
    },
    Join(Vec<MatchAlternative>),
}

/// One end of the edge.
#[derive(Clone, Debug)]
pub struct EndDefinition {
    /// The entities that it may be.
    pub select: EntitySelection,
    pub(super) filter: Option<MappingExpr>,
    pub(super) find: MatchStrategy,
    pub(super) missing: MissingPolicy,
    pub(super) ambiguous: AmbiguityPolicy,
    pub(super) prefer: Option<MappingExpr>,
    /// The place of the table in the file.
    pub(super) span: Range<usize>,
    pub(super) type_span: Range<usize>,
    pub(super) scope_span: Range<usize>,
}

/// The way in which the entity of an end is found.
#[derive(Clone, Debug)]
pub(super) enum MatchStrategy {
    Key(Template, Range<usize>),
    Id(Template, Range<usize>),
    Match(Vec<MatchAlternative>),
    /// By the `join` of the mapping.
    Joined,
}

/// One of several conditions that are tried in order.
#[derive(Clone, Debug)]
pub(super) struct MatchAlternative {
    pub name: Option<String>,
    pub when: MappingExpr,
    /// The condition as written.
    pub text: String,
    pub properties: Vec<(String, PropertyAssignment)>,
    pub span: Range<usize>,
}

/// The treatment of a row whose end does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MissingPolicy {
    #[default]
    Skip,
    Error,
}

/// The treatment of a row for which an end finds several entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AmbiguityPolicy {
    #[default]
    Error,
    Skip,
    All,
}

/// A property of the edge.
#[derive(Clone, Debug)]
pub(super) enum PropertyAssignment {
    Template(Template),
    Literal(Value<'static>),
}

/// The type, key, properties and cardinality of the edge.
#[derive(Clone, Debug, Default)]
pub(super) struct RelationshipRules {
    pub type_name: Option<Template>,
    pub key: Option<Template>,
    pub properties: Vec<(String, PropertyAssignment)>,
    /// `one-to-…`: an entity of `to` has one edge at most.
    pub one_from: bool,
    /// `…-to-one`: an entity of `from` has one edge at most.
    pub one_to: bool,
    pub cardinality: String,
    pub skip_conflicts: bool,
    pub prefer: Option<MappingExpr>,
    pub span: Range<usize>,
}

/// The limits at which a run stops. `None` means no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingGuard {
    /// Fewer rows, or candidates of a join, are refused.
    pub min_rows: u64,
    /// Fewer edges afterwards are refused.
    pub min_edges: u64,
    /// Deleting a larger share of the live edges is refused, in percent, once there are 20 of them.
    pub max_delete_percent: f64,
    /// Deleting more edges is refused.
    pub max_delete: Option<u64>,
    /// Creating more edges is refused.
    pub max_create: Option<u64>,
    /// More edges are refused before they are made: rows and entities multiply.
    pub max_edges: u64,
    /// More rows without an end are refused, in percent of the rows that `where` kept.
    pub max_missing_percent: Option<f64>,
    /// The scopes whose last synchronisation must not be too old, each with its limit.
    pub fresh: Vec<FreshnessLimit>,
    /// Stands in for `max_age` of the rows.
    pub max_age: Option<Duration>,
}

/// A limit on the age of the last synchronisation of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshnessLimit {
    /// The scope; aliases are resolved.
    pub scope: String,
    /// The scope as written, e.g. `@okta`.
    pub written: String,
    /// The largest age.
    pub age: Duration,
    /// The age as written, e.g. `24h`.
    pub age_written: String,
}

impl Default for MappingGuard {
    fn default() -> MappingGuard {
        MappingGuard {
            min_rows: 1,
            min_edges: 0,
            max_delete_percent: 25.0,
            max_delete: None,
            max_create: None,
            max_edges: 2_000_000,
            max_missing_percent: None,
            fresh: Vec::new(),
            max_age: None,
        }
    }
}

/// A unit test without a database.
#[derive(Clone, Debug)]
pub(super) struct MappingExample {
    pub number: usize,
    pub name: Option<String>,
    pub row: Option<NestedValue>,
    pub from: Option<Vec<(String, Value<'static>)>>,
    pub to: Option<Vec<(String, Value<'static>)>>,
    pub links: bool,
    pub key: Option<String>,
    pub properties: Vec<(String, Value<'static>)>,
    pub span: Range<usize>,
}

/// A promise about the graph as planned.
#[derive(Clone, Debug)]
pub struct MappingTest {
    /// The promise in words, for people.
    pub name: String,
    /// True if breaking it stops the job.
    pub strict: bool,
    /// The question.
    pub ask: TestExpectation,
    pub(super) span: Range<usize>,
}

/// The question that a promise asks of the graph.
#[derive(Clone, Debug)]
pub enum TestExpectation {
    /// An edge between these keys is planned, or must not be.
    Edge {
        /// `_key` of its start.
        from: String,
        /// `_key` of its end.
        to: String,
        /// True if the edge must be planned, false if it must not.
        there: bool,
    },
    /// Entities of an end have an edge.
    Covers(CoverageExpectation),
    /// A query has the expected number of rows. It needs the whole graph as planned, and
    /// [`super::query_test_outcome`] judges its answer.
    Query {
        /// The query.
        query: Box<Query>,
        /// Least and most rows, where there is a bound.
        rows: (Option<u64>, Option<u64>),
        /// The number of rows, as written.
        expect: String,
    },
}

/// The outcome of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestOutcome {
    /// It holds.
    Yes,
    /// It holds, with a remark.
    But(String),
    /// It does not hold: the reason, and all offenders.
    No(String, Vec<TestOffender>),
}

/// Who breaks a promise: an entity, or a row of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOffender {
    /// `_scope` of the entity; `None` if a row does not tell.
    pub scope: Option<String>,
    /// `_key` of the entity, or a value of the row.
    pub key: String,
}

impl TestOffender {
    /// Its name among all scopes.
    pub fn full_name(&self) -> String {
        match &self.scope {
            Some(scope) => format!("{scope}::{}", self.key),
            None => self.key.clone(),
        }
    }
}

/// See [`TestExpectation::Covers`].
#[derive(Clone, Debug)]
pub struct CoverageExpectation {
    pub(super) from: bool,
    pub(super) filter: Option<MappingExpr>,
    pub(super) at_least: CoverageThreshold,
}

/// A number or a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CoverageThreshold {
    Count(u64),
    Percent(f64),
}

impl Mapping {
    /// The place of the rows in the file; empty for a join.
    pub(super) fn rows_span(&self) -> Range<usize> {
        match &self.pairs {
            PairSource::Rows { span, .. } => span.clone(),
            PairSource::Join(_) => 0..0,
        }
    }

    /// A fault of the scope that the file names.
    pub fn scope_fault(&self, words: String) -> Diagnostic {
        Diagnostic::error("M0311", &self.source, words).at(self.scope_span.clone(), "")
    }

    /// True if the pairs come from a `join`, so from the graph alone.
    pub fn is_join(&self) -> bool {
        matches!(self.pairs, PairSource::Join(_))
    }

    /// The files of its rows.
    pub fn input_paths(&self) -> Vec<PathBuf> {
        match &self.pairs {
            PairSource::Rows { rows, .. } => rows.paths(),
            PairSource::Join(_) => Vec::new(),
        }
    }

    /// The scopes on whose objects its relationships depend; `None` if these may be all.
    pub fn scopes_read(&self) -> Option<BTreeSet<String>> {
        let mut selections = vec![&self.from.select, &self.to.select];
        if let PairSource::Rows { rows, .. } = &self.pairs {
            match rows {
                RowSource::Query(_) => return None,
                RowSource::Entities { select, .. } => selections.push(select),
                RowSource::Inline { .. } | RowSource::Files(_) => {}
            }
        }
        let mut scopes = BTreeSet::new();
        for select in selections {
            if select.scopes.is_empty() {
                return None;
            }
            scopes.extend(select.scopes.iter().cloned());
        }
        Some(scopes)
    }

    /// The scopes whose entities it links, each once.
    pub fn scopes_of_ends(&self) -> Vec<&str> {
        let mut scopes: Vec<&str> = self
            .from
            .select
            .scopes
            .iter()
            .chain(&self.to.select.scopes)
            .map(String::as_str)
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// The number of its examples.
    pub fn example_count(&self) -> usize {
        self.examples.len()
    }
}
