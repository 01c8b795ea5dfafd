//! J1QL: the query language, from text to rows.
//!
//! A text becomes a query as written (`lex`, `parse`, `syntax`), then a resolved query (`resolve`).
//! `logical_plan` makes operations on rows of it, `physical_plan` chooses how they are done in the graph
//! at hand, and `execute` runs them as a tree of `operators`. `answer` gives an answer as JSON; tables
//! for people are printed elsewhere.
//!
//! `docs/decisions.md` lists the points that the language leaves open, and their reading here.

mod access_path;
mod answer;
mod cell;
mod count_plan;
mod evaluate;
mod execute;
mod flatten;
mod lex;
mod logical_plan;
mod mismatch;
mod notes;
mod number;
mod operators;
mod parameter;
mod parse;
mod pattern;
mod physical_plan;
mod plan_words;
mod print;
mod push_down;
mod read;
mod resolve;
mod resolved;
mod row_batch;
mod selection;
mod spelling;
mod statistics;
mod syntax;
mod verb_directions;
mod verdicts;

pub use crate::limits::{CostMeter, LimitError, QuestionError, QuestionLimits};
pub use answer::{AnswerJson, cell_json};
pub use cell::CellValue;
pub use notes::AnswerNote;
pub use parameter::QueryParameter;

use crate::graph::{GraphRead, Value};
use crate::lang::{Diagnostic, PastPoint, SourceText, closest, date, version};
use crate::rules::RuleTable;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Options for reading a query.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// The time of `date.now`, in epoch milliseconds.
    pub now: i64,
    /// True to refuse extensions, which J1QL does not have.
    pub strict: bool,
    /// Values of placeholders; `None` accepts a query whose placeholders have none, for a check.
    pub parameters: Option<BTreeMap<String, Value<'static>>>,
    /// The numbers among these values as they are written, by name: for a list each item, else the only
    /// value. A number that is not given here counts as written the way it is printed.
    pub written: BTreeMap<String, Vec<String>>,
    /// Smart classes by name, each a selector with a condition: `(Host|Device) WITH active = true`.
    pub smart_classes: BTreeMap<String, String>,
    /// Sets of verbs by name, as they stand in a list: `OWNS >> | USES << | !MONITORS | * >>`.
    pub smart_verbs: BTreeMap<String, String>,
    /// The rules behind `#Impact`, `#Owning` and `#Containing`, unless a set of verbs has that name.
    pub rules: RuleTable,
    /// True to find deleted entities as well. Steps still follow live relationships only, so a query can
    /// only begin at a deleted entity, not reach one.
    pub include_deleted: bool,
    /// The time at which reading the query gives up.
    pub until: Option<Instant>,
    /// True if `AT` may ask of the past. Whoever allows it has to ask the state that
    /// [`Query::past_point`] names.
    pub past: bool,
}

/// A query that was read and checked.
#[derive(Clone, Debug)]
pub struct Query {
    checked: resolved::ResolvedQuery,
    /// Warnings: parts of the query that are allowed but odd.
    pub lints: Vec<Diagnostic>,
    /// The names of its placeholders, under which values are given.
    pub parameters: BTreeSet<String>,
    /// Approximate bytes that the values of its placeholders take in it.
    filled: u64,
}

/// A row of an answer: names and values. A whole entity is its `_key`.
pub type QueryRow = Vec<(String, Value<'static>)>;

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryAnswer {
    /// Entities by number, each once.
    List(Vec<u32>),
    /// Rows of cells.
    Table {
        /// The names of the columns, each once.
        columns: Vec<String>,
        /// As many cells a row as there are columns.
        rows: Vec<Vec<CellValue>>,
    },
    /// Everything on the matched paths, by ascending number.
    Tree {
        /// The entities that fit the start of the pattern: where a reader begins.
        starts: Vec<u32>,
        /// Entities.
        entities: Vec<u32>,
        /// Relationships.
        relationships: Vec<u32>,
    },
}

/// One entity of a pattern, in the order of matching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedEntity {
    /// Its selector.
    pub selector: String,
    /// The way in which it is found, or the verbs that lead to it from the entity before.
    pub way: String,
    /// The number of entities that are expected, over all matches.
    pub expected: u64,
    /// The number of times that one was met; 0 before the query has run.
    pub met: u64,
}

/// The profile of a query: its plan, and counts of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryProfile {
    /// The entities of the plain steps that the pattern begins with, in the order of matching.
    pub entities: Vec<PlannedEntity>,
    /// The way in to the entities that matching began at.
    pub access: String,
    /// True if it began at the start of the pattern.
    pub forward: bool,
    /// The number of entities that it began at.
    pub candidates: u64,
    /// Tests of an entity against a selector.
    pub tested: u64,
    /// Edges walked, and entities begun at.
    pub edges: u64,
    /// Matches of the pattern that WHERE let through.
    pub matches: u64,
    /// Notes on values of other kinds than the query asks for, which were left out.
    pub unlike: Vec<AnswerNote>,
}

impl Query {
    /// Reads and checks a query.
    ///
    /// # Errors
    ///
    /// The first fault, which points into `source`.
    pub fn parse(
        source: &Arc<SourceText>,
        options: &QueryOptions,
    ) -> Result<Query, Box<Diagnostic>> {
        let patterns = pattern::RegexCache::new(options.until);
        let written = parse::parse(source, options.now, options.strict, &patterns)?;
        let mut seen = resolve::ResolveFindings::default();
        let checked = resolve::check(&written, source, options, &mut seen)?;
        let parameters = seen.parameters.into_inner();
        Ok(Query { checked, lints: seen.lints, parameters, filled: seen.filled.get() })
    }

    /// Reads a query without resolving its names, to learn if the grammar allows it.
    ///
    /// # Errors
    ///
    /// The first fault, which points into `source`.
    pub fn grammar(
        source: &Arc<SourceText>,
        options: &QueryOptions,
    ) -> Result<(), Box<Diagnostic>> {
        let patterns = pattern::RegexCache::new(options.until);
        parse::parse(source, options.now, options.strict, &patterns).map(|_| ())
    }

    /// The query as this project writes it. Comments are lost.
    ///
    /// # Errors
    ///
    /// The first fault, which points into `source`.
    pub fn formatted(
        source: &Arc<SourceText>,
        options: &QueryOptions,
    ) -> Result<String, Box<Diagnostic>> {
        let patterns = pattern::RegexCache::new(options.until);
        let written = parse::parse(source, options.now, options.strict, &patterns)?;
        Ok(print::print(&written, &source.text))
    }

    /// The first of these parameters that no placeholder asks for, and the placeholder with the most
    /// similar name.
    pub fn unasked<'p>(
        &'p self,
        given: impl IntoIterator<Item = &'p String>,
    ) -> Option<(&'p str, Option<&'p str>)> {
        let name = given.into_iter().find(|name| !self.parameters.contains(*name))?;
        Some((name, closest(name, self.parameters.iter().map(String::as_str))))
    }

    /// The names of the columns of a query that returns some.
    pub fn columns(&self) -> Option<&[String]> {
        match &self.checked.output {
            resolved::QueryOutput::Table(table) => Some(&table.names),
            _ => None,
        }
    }

    /// The point in the past whose state the query asks (`AT`).
    pub fn past_point(&self) -> Option<&PastPoint> {
        self.checked.at.as_ref()
    }

    /// True if it answers with a tree, which has no rows.
    pub fn is_tree(&self) -> bool {
        matches!(self.checked.output, resolved::QueryOutput::Tree)
    }

    /// Answers the query.
    ///
    /// # Errors
    ///
    /// [`QuestionError`] says which limit it met, or how reading failed.
    pub fn run<G: GraphRead>(
        &self,
        graph: &G,
        limits: QuestionLimits,
    ) -> Result<(QueryAnswer, QueryProfile), QuestionError<G::Error>> {
        self.run_metered(graph, &CostMeter::new(limits))
    }

    /// Answers the query. The memory of the answer stays in the account of `meter`.
    ///
    /// # Errors
    ///
    /// As for [`Query::run`].
    pub fn run_metered<G: GraphRead>(
        &self,
        graph: &G,
        meter: &CostMeter,
    ) -> Result<(QueryAnswer, QueryProfile), QuestionError<G::Error>> {
        meter.hold(self.filled).map_err(QuestionError::Limit)?;
        execute::run(&reader(graph, meter), &self.checked)
    }

    /// Notes on an answer of this query: the reason why it is empty, and parts of the query that do not
    /// mean what they seem to. Looks at the graph again, in bounded time, and only if the answer is empty
    /// or suspicious. It holds no more memory than `limits` allow.
    ///
    /// # Errors
    ///
    /// The error of reading the graph, or the cancellation of the query. Other limits are no errors.
    pub fn notes<G: GraphRead>(
        &self,
        graph: &G,
        answer: &QueryAnswer,
        profile: &QueryProfile,
        limits: &QuestionLimits,
    ) -> Result<Vec<AnswerNote>, QuestionError<G::Error>> {
        notes::notes(graph, &self.checked, answer, profile, limits)
    }

    /// The plan of the query with its estimates, without running it.
    ///
    /// # Errors
    ///
    /// As for [`Query::run`].
    pub fn plan<G: GraphRead>(&self, graph: &G) -> Result<QueryProfile, QuestionError<G::Error>> {
        let meter = CostMeter::new(QuestionLimits::default());
        execute::planned(&reader(graph, &meter), &self.checked)
    }

    /// Answers the query with rows: the columns of a table, or all properties of the entities of a
    /// list or tree.
    ///
    /// # Errors
    ///
    /// As for [`Query::run`].
    pub fn rows<G: GraphRead>(
        &self,
        graph: &G,
        limits: QuestionLimits,
    ) -> Result<Vec<QueryRow>, QuestionError<G::Error>> {
        let meter = CostMeter::new(limits);
        let (answer, _) = self.run_metered(graph, &meter)?;
        self.rows_of(graph, &meter, &answer)
    }

    /// The rows of an answer of this query, as [`Query::rows`] gives them.
    ///
    /// # Errors
    ///
    /// As for [`Query::run`].
    pub fn rows_of<G: GraphRead>(
        &self,
        graph: &G,
        meter: &CostMeter,
        answer: &QueryAnswer,
    ) -> Result<Vec<QueryRow>, QuestionError<G::Error>> {
        let reader = reader(graph, meter);
        let (columns, rows) = match answer {
            QueryAnswer::Table { columns, rows } => (columns, rows),
            QueryAnswer::List(entities) | QueryAnswer::Tree { entities, .. } => {
                return entities.iter().map(|&number| reader.counted_members(number)).collect();
            }
        };
        let row = |cells: &Vec<CellValue>| {
            let named = columns.iter().zip(cells);
            named.map(|(name, cell)| Ok((name.clone(), reader.flat(cell.clone())?))).collect()
        };
        rows.iter().map(row).collect()
    }
}

/// The reader of a graph for one query and those inside it.
fn reader<'g, G: GraphRead>(graph: &'g G, meter: &'g CostMeter) -> read::QueryReader<'g, G> {
    read::QueryReader::new(graph, meter, execute::inner_rows)
}
