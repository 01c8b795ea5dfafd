//! The database as a Rust program uses it: how it is opened, typed writes, typed questions.
//!
//! Everything here is a builder over [`Database`]: a method of the database begins it, further methods
//! set options, and the last one does the work. Answers are structs of named things, never numbers of
//! one file. Nothing here knows of flags, requests or output.

mod blast;
mod chain;
mod job;
mod mapping;
mod options;
mod owners;
mod path;
mod query;

pub use blast::{BlastRadius, BlastRadiusQuestion, ReachedEntity};
pub use chain::ChainStep;
pub use job::{JobOptions, JobWriter};
pub use mapping::{MappingFile, MappingFilePlan};
pub use options::DatabaseOptions;
pub use owners::{EntityOwner, OwnerList, OwnersQuestion};
pub use path::{PathList, PathQuestion};
pub use query::{AnswerRow, QueryQuestion, QueryRows};

use crate::db::Database;
use crate::error::Error;
use crate::limits::{CostMeter, QuestionLimits};
use crate::rules::RuleTable;
use crate::store::{SharedSnapshot, Snapshot};
use std::borrow::Cow;

/// The parts that all questions have: a graph, rules, limits.
struct QuestionContext<'d> {
    database: &'d Database,
    graph: Option<QuestionGraph<'d>>,
    rules: RuleTable,
    limits: QuestionLimits,
}

impl<'d> QuestionContext<'d> {
    fn new(database: &'d Database) -> QuestionContext<'d> {
        let (rules, limits) = (RuleTable::default(), QuestionLimits::default());
        QuestionContext { database, graph: None, rules, limits }
    }

    /// The graph that was given, or the state as of now.
    fn snapshot(&self) -> Result<SnapshotRef<'d>, Error> {
        Ok(match self.graph {
            Some(QuestionGraph(GraphChoice::One(snapshot))) => SnapshotRef::Given(snapshot),
            Some(QuestionGraph(GraphChoice::Shared(shared))) => {
                SnapshotRef::Taken(Box::new(shared.reader()?))
            }
            None => SnapshotRef::Taken(Box::new(self.database.snapshot()?)),
        })
    }

    fn meter(&self) -> CostMeter {
        CostMeter::new(self.limits.clone())
    }
}

/// The graph that a question is asked of, made from a [`Snapshot`] or a [`SharedSnapshot`].
#[derive(Clone, Copy)]
pub struct QuestionGraph<'d>(GraphChoice<'d>);

#[derive(Clone, Copy)]
enum GraphChoice<'d> {
    One(&'d Snapshot),
    Shared(&'d SharedSnapshot),
}

impl<'d> From<&'d Snapshot> for QuestionGraph<'d> {
    fn from(snapshot: &'d Snapshot) -> QuestionGraph<'d> {
        QuestionGraph(GraphChoice::One(snapshot))
    }
}

impl<'d> From<&'d SharedSnapshot> for QuestionGraph<'d> {
    fn from(snapshot: &'d SharedSnapshot) -> QuestionGraph<'d> {
        QuestionGraph(GraphChoice::Shared(snapshot))
    }
}

/// A snapshot of the caller, or one that was taken for a question.
enum SnapshotRef<'d> {
    Given(&'d Snapshot),
    Taken(Box<Snapshot>),
}

impl std::ops::Deref for SnapshotRef<'_> {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        match self {
            SnapshotRef::Given(snapshot) => snapshot,
            SnapshotRef::Taken(snapshot) => snapshot,
        }
    }
}

/// The three methods that every question has.
macro_rules! question_options {
    () => {
        /// Asks this snapshot instead of the state as of now. A [`Snapshot`](crate::Snapshot) remembers
        /// for one thread what it read; a [`SharedSnapshot`](crate::SharedSnapshot) is for many threads.
        pub fn on(mut self, graph: impl Into<QuestionGraph<'d>>) -> Self {
            self.context.graph = Some(graph.into());
            self
        }

        /// Asks by these rules instead of the built-in ones.
        pub fn rules(mut self, rules: RuleTable) -> Self {
            self.context.rules = rules;
            self
        }

        /// Stops the question at these limits.
        pub fn limits(mut self, limits: QuestionLimits) -> Self {
            self.context.limits = limits;
            self
        }
    };
}
use question_options;

impl Database {
    /// Begins to open a database: see [`DatabaseOptions`].
    pub fn options() -> DatabaseOptions {
        DatabaseOptions::default()
    }

    /// Begins a job that writes one scope: see [`JobOptions`].
    pub fn job(&self, scope: impl Into<String>) -> JobOptions<'_> {
        JobOptions::new(self, scope.into())
    }

    /// Asks what the compromise or failure of an entity reaches: see [`BlastRadiusQuestion`].
    ///
    /// An entity is named as `SCOPE::KEY`, by its key, its `_id`, or what people call it.
    pub fn blast_radius(&self, entity: impl Into<String>) -> BlastRadiusQuestion<'_> {
        BlastRadiusQuestion::new(QuestionContext::new(self), entity.into())
    }

    /// Asks who owns an entity: see [`OwnersQuestion`].
    pub fn owners(&self, entity: impl Into<String>) -> OwnersQuestion<'_> {
        OwnersQuestion::new(QuestionContext::new(self), entity.into())
    }

    /// Asks for the shortest chains from one entity to another: see [`PathQuestion`].
    pub fn path(&self, from: impl Into<String>, to: impl Into<String>) -> PathQuestion<'_> {
        PathQuestion::new(QuestionContext::new(self), from.into(), to.into())
    }

    /// Asks a query in J1QL: see [`QueryQuestion`].
    pub fn query<'d>(&'d self, text: impl Into<Cow<'d, str>>) -> QueryQuestion<'d> {
        QueryQuestion::new(QuestionContext::new(self), text.into())
    }
}
