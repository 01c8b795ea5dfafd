//! Shortest chains between two entities, as a typed answer.

use super::chain::{ChainStep, EntityNames};
use super::{QuestionContext, QuestionGraph, question_options};
use crate::error::Error;
use crate::graph::{AdjacencyRead, EntityHead, NameLookup, ObjectKind};
use crate::limits::QuestionLimits;
use crate::rules::RuleTable;
use crate::store::Snapshot;
use crate::view::{MeteredGraph, WalkDirection, denies, paths};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The question for the shortest chains from one entity to another.
///
/// Verbs that deny a way, such as `DENIES`, are no way.
///
/// ```
/// # use tombolo::{Database, DraftEntity, DraftRelationship};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("graph.redb");
/// # let database = Database::options().create(true).open(&path)?;
/// # database
/// #     .job("aws")
/// #     .entities([
/// #         DraftEntity::new("app", "app", "Application"),
/// #         DraftEntity::new("role", "role", "AccessRole"),
/// #         DraftEntity::new("bucket", "bucket", "DataStore"),
/// #     ])?
/// #     .relationships([
/// #         DraftRelationship::new("app", "ASSUMES", "role"),
/// #         DraftRelationship::new("role", "ALLOWS", "bucket"),
/// #     ])?
/// #     .finalize()?;
/// let answer = database.path("app", "bucket").run()?;
/// assert_eq!(answer.total, 1);
/// assert_eq!(answer.chains[0][1].to_string(), "role -ALLOWS-> bucket");
/// assert!(database.path("bucket", "app").run()?.chains.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PathQuestion<'d> {
    context: QuestionContext<'d>,
    ends: [String; 2],
    direction: WalkDirection,
    listed: usize,
    length: Option<u32>,
}

/// The shortest chains between two entities.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PathList {
    /// The entity at which they begin.
    pub from: Arc<EntityHead>,
    /// The entity at which they end.
    pub to: Arc<EntityHead>,
    /// The number of shortest chains; 0 if there is none.
    pub total: u64,
    /// The first of them, as many as were asked for.
    pub chains: Vec<Vec<ChainStep>>,
}

impl<'d> PathQuestion<'d> {
    pub(super) fn new(context: QuestionContext<'d>, from: String, to: String) -> PathQuestion<'d> {
        let direction = WalkDirection::Out;
        PathQuestion { context, ends: [from, to], direction, listed: 100, length: None }
    }

    question_options!();

    /// Goes this way along relationships; by default with the arrows.
    pub fn direction(mut self, direction: WalkDirection) -> Self {
        self.direction = direction;
        self
    }

    /// Lists at most so many chains; by default 100.
    pub fn most(mut self, chains: usize) -> Self {
        self.listed = chains;
        self
    }

    /// Takes chains of at most so many steps.
    pub fn depth(mut self, steps: u32) -> Self {
        self.length = Some(steps);
        self
    }

    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A name that fits no entity or several, a limit, an error of reading.
    pub fn run(self) -> Result<PathList, Error> {
        let snapshot = self.context.snapshot()?;
        let snapshot: &Snapshot = &snapshot;
        let find = |name: &String| self.context.database.find_entity(snapshot, name);
        let (from, to) = (find(&self.ends[0])?, find(&self.ends[1])?);
        let verbs = passable_verbs(snapshot)?;
        let meter = self.context.meter();
        // The search keeps a distance of 4 bytes for each entity.
        meter.hold(u64::from(snapshot.entity_bound()) * 4)?;
        let graph = MeteredGraph::new(snapshot, &meter);
        let way = self.direction;
        let found = paths(&graph, from, to, way, verbs.as_deref(), self.listed, self.length)?;
        let mut names = EntityNames::new(snapshot);
        let (total, chains) = found.map_or((0, Vec::new()), |found| (found.total, found.paths));
        let chains: Vec<Vec<ChainStep>> =
            chains.iter().map(|chain| names.chain(chain)).collect::<Result<_, Error>>()?;
        Ok(PathList { from: names.entity(from)?, to: names.entity(to)?, total, chains })
    }
}

/// The verbs that a path may take; `None` if those are all.
fn passable_verbs(snapshot: &Snapshot) -> Result<Option<Vec<u32>>, Error> {
    let mut verbs = BTreeSet::new();
    for (_, row) in snapshot.scope_rows()? {
        verbs.extend(row.count(ObjectKind::Relationship).classes.keys().copied());
    }
    let all = verbs.len();
    verbs.retain(|&verb| !denies(snapshot.name(verb)));
    Ok((verbs.len() < all).then(|| verbs.into_iter().collect()))
}
