//! A checked mapping: what the file means, with names resolved and expressions parsed.
//!
//! Made by [`super::check`], used by [`super::resolve`]. Nothing here can be wrong any more except
//! what only the rows or the graph can tell.

use super::data::Data;
use super::eval::Tables;
use super::expr::Expr;
use super::rows::RowSource;
use super::template::Template;
use crate::graph::Value;
use crate::lang::Source;
use crate::query::Query;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    /// What it is for.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Labels to select by.
    pub labels: Vec<(String, String)>,
    /// Whether it is applied.
    pub enabled: bool,
    /// The verb, in upper case.
    pub class: String,
    /// Where edges start.
    pub from: End,
    /// Where edges end.
    pub to: End,
    /// When to stop.
    pub guard: Guard,
    /// Promises about the graph as planned.
    pub promises: Vec<Promise>,
    /// How many expressions it has.
    pub expressions: usize,
    /// Whether both ends of an edge may lie in one scope.
    pub same_scope: bool,
    pub(super) pairs: Pairs,
    pub(super) edge: EdgeRules,
    pub(super) tables: Tables,
    pub(super) junk: Vec<String>,
    pub(super) examples: Vec<Example>,
    pub(super) source: Arc<Source>,
    pub(super) scope_span: Range<usize>,
}

/// Where the pairs come from.
#[derive(Clone, Debug)]
pub(super) enum Pairs {
    Rows { rows: RowSource, filter: Option<Expr>, span: Range<usize>, max_age: Option<Duration> },
    Join(Vec<Alternative>),
}

/// Which entities are meant, before any condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Any of these scopes; aliases are resolved.
    pub scopes: Vec<String>,
    /// Any of these types; empty for all.
    pub types: Vec<String>,
    /// Any of these classes; empty for all.
    pub classes: Vec<String>,
}

/// One end of the edge.
#[derive(Clone, Debug)]
pub struct End {
    /// Which entities it may be.
    pub select: Selection,
    pub(super) filter: Option<Expr>,
    pub(super) find: Find,
    pub(super) missing: Missing,
    pub(super) ambiguous: Ambiguous,
    pub(super) prefer: Option<Expr>,
    /// Where the table stands in the file.
    pub(super) span: Range<usize>,
    pub(super) type_span: Range<usize>,
    pub(super) scope_span: Range<usize>,
}

/// How the entity of an end is found.
#[derive(Clone, Debug)]
pub(super) enum Find {
    Key(Template, Range<usize>),
    Id(Template, Range<usize>),
    Match(Vec<Alternative>),
    /// By the `join` of the mapping.
    Joined,
}

/// One of several conditions that are tried in order.
#[derive(Clone, Debug)]
pub(super) struct Alternative {
    pub name: Option<String>,
    pub when: Expr,
    /// The condition as written.
    pub text: String,
    pub properties: Vec<(String, Property)>,
    pub span: Range<usize>,
}

/// What to do with a row whose end does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Missing {
    #[default]
    Skip,
    Error,
}

/// What to do when several entities are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ambiguous {
    #[default]
    Error,
    Skip,
    All,
}

/// A property of the edge.
#[derive(Clone, Debug)]
pub(super) enum Property {
    Template(Template),
    Literal(Value<'static>),
}

/// What the edge is.
#[derive(Clone, Debug, Default)]
pub(super) struct EdgeRules {
    pub type_name: Option<Template>,
    pub key: Option<Template>,
    pub properties: Vec<(String, Property)>,
    /// `one-to-…`: an entity of `to` has one edge at most.
    pub one_from: bool,
    /// `…-to-one`: an entity of `from` has one edge at most.
    pub one_to: bool,
    pub cardinality: String,
    pub skip_conflicts: bool,
    pub prefer: Option<Expr>,
    pub span: Range<usize>,
}

/// When to stop. `None` means no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// Fewer rows, or candidates of a join, are refused.
    pub min_rows: u64,
    /// Fewer edges afterwards are refused.
    pub min_edges: u64,
    /// Deleting more of the live edges is refused, in percent, once there are 20.
    pub max_delete_percent: f64,
    /// Deleting more edges is refused.
    pub max_delete: Option<u64>,
    /// Creating more edges is refused.
    pub max_create: Option<u64>,
    /// More edges are refused before they are made: rows and entities multiply.
    pub max_edges: u64,
    /// More rows without an end are refused, in percent of the rows that `where` kept.
    pub max_missing_percent: Option<f64>,
    /// Scopes and how old their last synchronisation may be, with the scope as written.
    pub fresh: Vec<Fresh>,
    /// Stands in for `max_age` of the rows.
    pub max_age: Option<Duration>,
}

/// How old the last synchronisation of a scope may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// The scope; aliases are resolved.
    pub scope: String,
    /// The scope as written, e.g. `@okta`.
    pub written: String,
    /// The largest age.
    pub age: Duration,
    /// The age as written, e.g. `24h`.
    pub age_written: String,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard {
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
pub(super) struct Example {
    pub number: usize,
    pub name: Option<String>,
    pub row: Option<Data>,
    pub from: Option<Vec<(String, Value<'static>)>>,
    pub to: Option<Vec<(String, Value<'static>)>>,
    pub links: bool,
    pub key: Option<String>,
    pub properties: Vec<(String, Value<'static>)>,
    pub span: Range<usize>,
}

/// A promise about the graph as planned.
#[derive(Clone, Debug)]
pub struct Promise {
    /// What is promised, for people.
    pub name: String,
    /// Whether breaking it stops the job.
    pub strict: bool,
    /// What is asked.
    pub ask: Ask,
    pub(super) span: Range<usize>,
}

/// What a promise asks of the graph.
#[derive(Clone, Debug)]
pub enum Ask {
    /// An edge between these keys is planned, or must not be.
    Edge {
        /// `_key` of its start.
        from: String,
        /// `_key` of its end.
        to: String,
        /// Whether it must be there.
        there: bool,
    },
    /// Entities of an end have an edge.
    Covers(Covers),
    /// A query has so many rows. Only who has the whole graph as planned can tell, by
    /// [`Mapping::asked`].
    Query {
        /// The query.
        query: Box<Query>,
        /// Least and most rows, where there is a bound.
        rows: (Option<u64>, Option<u64>),
        /// The number of rows, as written.
        expect: String,
    },
}

/// See [`Ask::Covers`].
#[derive(Clone, Debug)]
pub struct Covers {
    pub(super) from: bool,
    pub(super) filter: Option<Expr>,
    pub(super) at_least: AtLeast,
}

/// A number or a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AtLeast {
    Count(u64),
    Percent(f64),
}

impl Mapping {
    /// Where the rows are asked for.
    pub(super) fn rows_span(&self) -> Range<usize> {
        match &self.pairs {
            Pairs::Rows { span, .. } => span.clone(),
            Pairs::Join(_) => 0..0,
        }
    }

    /// Whether the pairs come from the graph alone.
    pub fn is_join(&self) -> bool {
        matches!(self.pairs, Pairs::Join(_))
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

    /// How many examples it has.
    pub fn example_count(&self) -> usize {
        self.examples.len()
    }
}
