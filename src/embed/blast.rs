//! The blast radius of an entity, as a typed answer.

use super::chain::{ChainStep, EntityNames};
use super::{QuestionContext, QuestionGraph, question_options};
use crate::error::Error;
use crate::graph::NameLookup;
use crate::graph::{EntityHead, same_name};
use crate::limits::QuestionLimits;
use crate::rules::{BoundRules, ImpactFilter, ImpactState, RuleTable};
use crate::view::{MeteredGraph, StateVisit, impact};
use std::sync::Arc;

/// The question what the compromise or failure of entities reaches.
///
/// ```
/// # use tombolo::{Database, DraftEntity, DraftRelationship};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("graph.redb");
/// # let database = Database::options().create(true).open(&path)?;
/// # database
/// #     .job("okta")
/// #     .entities([
/// #         DraftEntity::new("sre", "okta_group", "UserGroup"),
/// #         DraftEntity::new("alice", "okta_user", "User"),
/// #         DraftEntity::new("laptop-001", "laptop", "Device"),
/// #     ])?
/// #     .relationships([
/// #         DraftRelationship::new("sre", "HAS", "alice"),
/// #         DraftRelationship::new("alice", "OWNS", "laptop-001"),
/// #     ])?
/// #     .finalize()?;
/// let blast = database.blast_radius("okta::sre").depth(4).class("Device").run()?;
/// for reached in blast.reached() {
///     let chain: Vec<String> = blast.chain(reached).iter().map(ToString::to_string).collect();
///     assert_eq!(chain, ["sre -HAS-> alice", "alice -OWNS-> laptop-001"]);
/// }
/// assert_eq!(blast.reached().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BlastRadiusQuestion<'d> {
    context: QuestionContext<'d>,
    roots: Vec<String>,
    depth: Option<u32>,
    filter: ImpactFilter,
    classes: Vec<String>,
}

/// Everything that the compromise or failure of some entities reaches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BlastRadius {
    /// The entities that were asked about.
    pub roots: Vec<Arc<EntityHead>>,
    /// Verbs that no rule lets pass anything, with the number of relationships that were not followed.
    pub not_followed: Vec<(String, u64)>,
    /// All visits of the walk; chains lead through them.
    visits: Vec<ReachedEntity>,
}

/// An entity that is reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReachedEntity {
    /// The entity.
    pub entity: Arc<EntityHead>,
    /// The strongest state in which it is reached.
    pub state: ImpactState,
    /// Steps from the nearest root.
    pub distance: u32,
    /// The last step to it.
    pub via: ChainStep,
    before: Option<usize>,
    reported: bool,
}

impl<'d> BlastRadiusQuestion<'d> {
    pub(super) fn new(context: QuestionContext<'d>, root: String) -> BlastRadiusQuestion<'d> {
        let filter = ImpactFilter::ANY;
        BlastRadiusQuestion { context, roots: vec![root], depth: None, filter, classes: Vec::new() }
    }

    question_options!();

    /// Asks about one entity more, as if all were hit at once.
    pub fn and(mut self, entity: impl Into<String>) -> Self {
        self.roots.push(entity.into());
        self
    }

    /// Goes at most so many steps.
    pub fn depth(mut self, depth: u32) -> Self {
        self.depth = Some(depth);
        self
    }

    /// Asks for compromise alone: an attacker takes the entity.
    pub fn compromise(mut self) -> Self {
        self.filter = ImpactFilter { compromise: true, failure: false };
        self
    }

    /// Asks for failure alone: the entity stops working.
    pub fn failure(mut self) -> Self {
        self.filter = ImpactFilter { compromise: false, failure: true };
        self
    }

    /// Reports entities of this class alone; the walk still goes through all others.
    pub fn class(mut self, class: impl Into<String>) -> Self {
        self.classes.push(class.into());
        self
    }

    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A name that fits no entity or several, a limit, an error of reading.
    pub fn run(self) -> Result<BlastRadius, Error> {
        let snapshot = self.context.snapshot()?;
        let mut roots = Vec::new();
        for name in &self.roots {
            let root = self.context.database.find_entity(&snapshot, name)?;
            // Two names may stand for one entity.
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let meter = self.context.meter();
        let graph = MeteredGraph::new(&*snapshot, &meter);
        let mut bound = BoundRules::new(&self.context.rules, self.filter);
        let found = impact(&graph, &roots, &mut bound, self.depth)?;
        let mut names = EntityNames::new(&snapshot);
        names.read(roots.iter().copied().chain(found.visits.iter().map(|visit| visit.entity)))?;
        let reached = |visit: &StateVisit| -> Result<ReachedEntity, Error> {
            let entity = names.entity(visit.entity)?;
            let asked = |class: &String| entity.classes.iter().any(|own| same_name(own, class));
            let fits = self.classes.is_empty() || self.classes.iter().any(asked);
            Ok(ReachedEntity {
                reported: visit.strongest && fits,
                state: visit.state,
                distance: visit.distance,
                via: names.step(&visit.step())?,
                before: Some(visit.before)
                    .filter(|&before| before != StateVisit::ROOT)
                    .map(|before| before as usize),
                entity,
            })
        };
        let visits = found.visits.iter().map(reached).collect::<Result<_, Error>>()?;
        let roots = roots.iter().map(|&root| names.entity(root)).collect::<Result<_, Error>>()?;
        let not_followed = found.not_followed.iter();
        let not_followed =
            not_followed.map(|&(verb, count)| (snapshot.name(verb).to_owned(), count)).collect();
        Ok(BlastRadius { roots, not_followed, visits })
    }
}

impl BlastRadius {
    /// The entities that are reached, each once in its strongest state, nearest first.
    pub fn reached(&self) -> impl Iterator<Item = &ReachedEntity> {
        self.visits.iter().filter(|visit| visit.reported)
    }

    /// The chain from a root to an entity of this answer.
    pub fn chain<'b>(&'b self, reached: &'b ReachedEntity) -> Vec<&'b ChainStep> {
        let before = |visit: &&'b ReachedEntity| self.visits.get(visit.before?);
        let mut chain: Vec<&ChainStep> =
            std::iter::successors(Some(reached), before).map(|visit| &visit.via).collect();
        chain.reverse();
        chain
    }
}
