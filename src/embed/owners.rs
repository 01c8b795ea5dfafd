//! The owners of an entity, as a typed answer.

use super::chain::{ChainStep, EntityNames};
use super::{QuestionContext, QuestionGraph, question_options};
use crate::error::Error;
use crate::graph::{EntityFacts, EntityHead, GraphRead};
use crate::limits::QuestionLimits;
use crate::rules::{BoundRules, ImpactFilter, RuleTable};
use crate::store::Snapshot;
use crate::view::{MeteredGraph, OwnerSearch};
use std::sync::Arc;

/// The question who owns an entity.
///
/// ```
/// # use tombolo::{Database, DraftEntity, DraftRelationship};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("graph.redb");
/// # let database = Database::options().create(true).open(&path)?;
/// # database
/// #     .job("okta")
/// #     .entities([
/// #         DraftEntity::new("alice", "okta_user", "User"),
/// #         DraftEntity::new("laptop-001", "laptop", "Device"),
/// #     ])?
/// #     .relationships([DraftRelationship::new("alice", "OWNS", "laptop-001")])?
/// #     .finalize()?;
/// let answer = database.owners("laptop-001").run()?;
/// assert_eq!(answer.owners[0].entity.key, "alice");
/// assert_eq!(answer.owners[0].chain[0].to_string(), "alice -OWNS-> laptop-001");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OwnersQuestion<'d> {
    context: QuestionContext<'d>,
    entity: String,
    depth: Option<u32>,
}

/// The nearest owners of an entity.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnerList {
    /// The entity that was asked about.
    pub entity: Arc<EntityHead>,
    /// Steps between it and its nearest owners; `None` if nobody owns it.
    pub distance: Option<u32>,
    /// All owners at that distance.
    pub owners: Vec<EntityOwner>,
}

/// An owner, with the evidence.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EntityOwner {
    /// The owner.
    pub entity: Arc<EntityHead>,
    /// The chain from it to the owned entity.
    pub chain: Vec<ChainStep>,
}

impl<'d> OwnersQuestion<'d> {
    pub(super) fn new(context: QuestionContext<'d>, entity: String) -> OwnersQuestion<'d> {
        OwnersQuestion { context, entity, depth: None }
    }

    question_options!();

    /// Goes at most so many steps.
    pub fn depth(mut self, depth: u32) -> Self {
        self.depth = Some(depth);
        self
    }

    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A name that fits no entity or several, a limit, an error of reading.
    pub fn run(self) -> Result<OwnerList, Error> {
        let snapshot = self.context.snapshot()?;
        let snapshot: &Snapshot = &snapshot;
        let entity = self.context.database.find_entity(snapshot, &self.entity)?;
        let meter = self.context.meter();
        let graph = MeteredGraph::new(snapshot, &meter);
        let mut bound = BoundRules::new(&self.context.rules, ImpactFilter::ANY);
        let mut search = OwnerSearch {
            graph: &graph,
            names: snapshot,
            bound: &mut bound,
            verbs: None,
            depth: self.depth,
            facts: |entity| graph.entity_facts(entity),
            is_owner: |bound: &mut BoundRules, facts: &EntityFacts| {
                let kind = bound.kind(snapshot, facts);
                bound.can_own(kind)
            },
        };
        let found = search.nearest(entity)?;
        let distance = found.as_ref().map(|found| found.distance);
        let mut names = EntityNames::new(snapshot);
        let mut owners = Vec::new();
        for owner in found.into_iter().flat_map(|found| found.owners) {
            let chain = names.chain(&owner.chain)?;
            owners.push(EntityOwner { entity: names.entity(owner.entity)?, chain });
        }
        Ok(OwnerList { entity: names.entity(entity)?, distance, owners })
    }
}
