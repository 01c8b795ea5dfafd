//! The blast radius and the owners of some entities in two graphs: the one that is and the one that a
//! plan would make, which nobody can ask before the edges are there, or two states of one file.

use super::entity_filter::EntityFilter;
use super::heads;
use super::mapping_run::{MappingOutcome, MappingState};
use super::{AnswerError, QuestionContext};
use crate::db::{Database, PlannedGraph, StatePair};
use crate::graph::{EntityFacts, EntityHead, GraphRead};
use crate::rules::{BoundRules, ImpactFilter, ImpactState, RuleTable};
use crate::store::{Snapshot, StoreError};
use crate::view::{self, OwnerSearch};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The entities that a question about the impact of a plan is about.
#[derive(Clone, Debug, Default)]
pub struct ImpactTargets {
    /// Entities by name.
    pub entities: Vec<String>,
    /// All entities of these classes.
    pub classes: Vec<String>,
}

/// The changes for one entity.
pub struct EntityImpactChange {
    /// The entity.
    pub entity: EntityHead,
    /// The number of entities that it reaches, before and after.
    pub reached: (usize, usize),
    /// The entities that it reaches only afterwards.
    pub gained: Vec<EntityHead>,
    /// The entities that it reaches only before.
    pub lost: Vec<EntityHead>,
    /// The entities that it reaches in another state.
    pub turned: Vec<StateTransition>,
    /// Its owners, before and after.
    pub owners: (Vec<EntityHead>, Vec<EntityHead>),
}

/// An entity that is reached before and after, in another state.
pub struct StateTransition {
    /// The entity.
    pub entity: EntityHead,
    /// Its state before.
    pub before: ImpactState,
    /// Its state afterwards.
    pub now: ImpactState,
}

/// The changes for all entities that the question is about.
pub struct ImpactComparison {
    /// The number of entities asked about.
    pub asked: usize,
    /// Entities that any of them reaches, before and after.
    pub reached: (usize, usize),
    /// Entities that are reached only afterwards.
    pub gained: usize,
    /// Entities that were reached only before.
    pub lost: usize,
    /// The entities for which something changes, by scope and key.
    pub changes: Vec<EntityImpactChange>,
}

/// Compares the graph as it is with the graph as planned: `after` with the changes of the mappings over
/// it. `after` comes from the graph as it is, so entities of both have one number.
pub(super) fn compare_impact(
    context: &QuestionContext<'_>,
    after: &Snapshot,
    outcomes: &[MappingOutcome],
    asked: &ImpactTargets,
    rules: &RuleTable,
) -> Result<ImpactComparison, AnswerError> {
    let QuestionContext { database, snapshot, .. } = *context;
    let mut roots = Vec::new();
    for name in &asked.entities {
        roots.push(database.find_entity(snapshot, name)?);
    }
    let classes = EntityFilter::read(snapshot, &[], &asked.classes, &[])?;
    if !classes.is_open() {
        roots.extend(classes.all(snapshot)?);
    }
    roots.sort_unstable();
    roots.dedup();
    let mut planned = PlannedGraph::new(after);
    for outcome in outcomes {
        if let (MappingState::Ready, Some(plan)) = (&outcome.state, &outcome.plan) {
            planned.add(plan, &outcome.resolved.drafts)?;
        }
    }
    // Mappings make relationships alone, so the snapshot after the sources names every entity.
    compare_graphs(&roots, [after, after], (snapshot, &planned), rules)
}

/// Compares two states of one file. Entities of both have one number.
pub(super) fn compare_states(
    database: &Database,
    pair: &StatePair,
    asked: &ImpactTargets,
    rules: &RuleTable,
) -> Result<ImpactComparison, AnswerError> {
    let mut roots = Vec::new();
    for name in &asked.entities {
        // An entity may be there in one of the states only.
        roots.push(
            database
                .find_entity(&pair.after, name)
                .or_else(|_| database.find_entity(&pair.before, name))?,
        );
    }
    if !asked.classes.is_empty() {
        let all =
            |state: &Snapshot| EntityFilter::read(state, &[], &asked.classes, &[])?.all(state);
        match (all(&pair.before), all(&pair.after)) {
            (Err(_), Err(error)) => return Err(error),
            (before, after) => roots.extend(before.into_iter().chain(after).flatten()),
        }
    }
    roots.sort_unstable();
    roots.dedup();
    let (before, after) = (&pair.before, &pair.after);
    compare_graphs(&roots, [before, after], (before, after), rules)
}

/// Compares the impact of some entities in two graphs. `names` has the snapshot that names what is
/// reached before, and the one that names what is reached afterwards.
fn compare_graphs<A, B>(
    roots: &[u32],
    names: [&Snapshot; 2],
    (before, after): (&A, &B),
    rules: &RuleTable,
) -> Result<ImpactComparison, AnswerError>
where
    A: GraphRead<Error = StoreError>,
    B: GraphRead<Error = StoreError>,
{
    // A graph may have names of its own, so the rules are bound to each graph apart.
    let (mut before, mut after) =
        (ImpactEvaluator::new(before, rules), ImpactEvaluator::new(after, rules));
    // Totals come from one walk with all roots; sums over single roots would count shared entities
    // twice.
    let (all_before, all_after) = (before.reach(roots)?, after.reach(roots)?);
    let mut changes = Vec::new();
    for &root in roots {
        changes.extend(change_of(names, root, &mut before, &mut after)?);
    }
    changes.sort_by(|a, b| (&a.entity.scope, &a.entity.key).cmp(&(&b.entity.scope, &b.entity.key)));
    Ok(ImpactComparison {
        asked: roots.len(),
        reached: (all_before.len(), all_after.len()),
        gained: all_after.keys().filter(|entity| !all_before.contains_key(entity)).count(),
        lost: all_before.keys().filter(|entity| !all_after.contains_key(entity)).count(),
        changes,
    })
}

/// The changes for one entity, if there are any.
fn change_of<A, B>(
    [then, now]: [&Snapshot; 2],
    root: u32,
    before: &mut ImpactEvaluator<'_, A>,
    after: &mut ImpactEvaluator<'_, B>,
) -> Result<Option<EntityImpactChange>, AnswerError>
where
    A: GraphRead<Error = StoreError>,
    B: GraphRead<Error = StoreError>,
{
    let (was, is) = (before.reach(&[root])?, after.reach(&[root])?);
    let (owned, owns) = (before.owners(root)?, after.owners(root)?);
    if was == is && owned == owns {
        return Ok(None);
    }
    let heads = |state: &Snapshot, numbers: Vec<u32>| heads::entities(state, &numbers);
    let beyond = |state: &Snapshot, a: &ReachedStates, b: &ReachedStates| {
        heads(state, a.keys().filter(|entity| !b.contains_key(entity)).copied().collect())
    };
    let is_there = |state: &Snapshot| Ok::<_, StoreError>(state.entity_facts(root)?.is_some());
    let named = if is_there(now)? { now } else { then };
    let shown = now;
    let turned = is.iter().filter_map(|(&entity, &now)| {
        let before = *was.get(&entity)?;
        (before != now).then_some((entity, before, now))
    });
    let turned = turned.map(|(entity, before, now)| {
        Ok(StateTransition { entity: heads::entity(shown, entity)?, before, now })
    });
    let turned = turned.collect::<Result<Vec<StateTransition>, AnswerError>>()?;
    Ok(Some(EntityImpactChange {
        entity: heads::entity(named, root)?,
        reached: (was.len(), is.len()),
        gained: beyond(shown, &is, &was)?,
        lost: beyond(then, &was, &is)?,
        turned,
        owners: (heads(then, owned)?, heads(shown, owns)?),
    }))
}

/// The reached entities by number, each with its state.
type ReachedStates = BTreeMap<u32, ImpactState>;

/// A graph, and the rules in the numbers of that graph.
struct ImpactEvaluator<'g, G> {
    graph: &'g G,
    bound: BoundRules,
}

impl<'g, G: GraphRead<Error = StoreError>> ImpactEvaluator<'g, G> {
    fn new(graph: &'g G, rules: &RuleTable) -> ImpactEvaluator<'g, G> {
        ImpactEvaluator { graph, bound: BoundRules::new(rules, ImpactFilter::ANY) }
    }

    fn reach(&mut self, roots: &[u32]) -> Result<ReachedStates, AnswerError> {
        let found = view::impact(self.graph, roots, &mut self.bound, None)?;
        Ok(found.reached().map(|visit| (visit.entity, visit.state)).collect())
    }

    /// The nearest owners, ascending.
    fn owners(&mut self, entity: u32) -> Result<Vec<u32>, AnswerError> {
        let graph = self.graph;
        let mut search = OwnerSearch {
            graph,
            names: graph,
            bound: &mut self.bound,
            verbs: None,
            depth: None,
            facts: |entity| graph.entity_facts(entity),
            is_owner: |bound: &mut BoundRules, facts: &EntityFacts| {
                let kind = bound.kind(graph, facts);
                bound.can_own(kind)
            },
        };
        let owners = search.nearest(entity)?.map_or_else(Vec::new, |found| found.owners);
        Ok(owners.into_iter().map(|owner| owner.entity).collect())
    }
}

impl ImpactComparison {
    /// Counts the entities that lose their owners, those that gain a first owner, and those whose
    /// owners change.
    pub fn owner_changes(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for change in &self.changes {
            let (before, after) = &change.owners;
            match (before.is_empty(), after.is_empty()) {
                (false, true) => counts[0] += 1,
                (true, false) => counts[1] += 1,
                _ => counts[2] += usize::from(before != after),
            }
        }
        counts
    }

    /// The comparison as JSON.
    pub fn json(&self) -> Value {
        let [lose, gain, change] = self.owner_changes();
        json!({
            "entities": self.asked,
            "reached": { "before": self.reached.0, "after": self.reached.1,
                         "gained": self.gained, "lost": self.lost },
            "owners": { "lose": lose, "gain": gain, "change": change },
            "changes": self.changes.iter().map(EntityImpactChange::json).collect::<Vec<_>>(),
        })
    }
}

impl StateTransition {
    fn json(&self) -> Value {
        json!({ "entity": self.entity,
                "before": self.before.word(), "after": self.now.word() })
    }
}

impl EntityImpactChange {
    fn json(&self) -> Value {
        json!({
            "entity": self.entity,
            "reached": { "before": self.reached.0, "after": self.reached.1 },
            "gained": self.gained, "lost": self.lost,
            "changed": self.turned.iter().map(StateTransition::json).collect::<Vec<_>>(),
            "owners": { "before": self.owners.0, "after": self.owners.1 },
        })
    }
}
