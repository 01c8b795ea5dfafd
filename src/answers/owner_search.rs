//! The search for owners on a snapshot, by numbers.
//!
//! A question about few entities walks the snapshot itself and reads only the relationships it
//! steps on. A question about many entities first builds the view, which reads all edges once, in
//! order.

use super::AnswerError;
use super::verb_filter::VerbFilter;
use super::walk_step::{WalkStep, steps};
use super::whole_view::whole_view;
use crate::graph::{AdjacencyRead, EdgeDirection, EntityFacts, GraphRead, NameLookup};
use crate::limits::CostMeter;
use crate::rules::{BoundRules, ImpactFilter, OwnershipKind, RuleTable};
use crate::store::{Snapshot, StoreError};
use crate::view::{MeteredGraph, OwnerSearch};
use rustc_hash::FxHashSet;

/// The owners of one entity: each by number, with the steps from it to the entity.
pub struct OwnedEntity {
    /// Number of the owned.
    pub entity: u32,
    /// Relationships between it and its nearest owners.
    pub distance: Option<u32>,
    /// The owners that tie at that distance.
    pub owners: Vec<FoundOwner>,
}

/// An owner.
pub struct FoundOwner {
    /// Its number.
    pub entity: u32,
    /// From it to the owned.
    pub chain: Vec<WalkStep>,
    /// The people of a team, if they are asked for: each with the steps to the team.
    pub people: Vec<(u32, Vec<WalkStep>)>,
}

/// For more entities than this, it is cheaper to read all edges at once.
const QUESTIONS: usize = 64;

/// The entities that count as owners.
pub enum OwnerCriteria {
    /// Entities that the rules name.
    ByRules,
    /// Entities with one of these class sets.
    Sets(FxHashSet<u32>),
    /// Any entity that an owning relationship comes from.
    Anything,
}

impl OwnerCriteria {
    fn accepts(&self, snapshot: &Snapshot, bound: &mut BoundRules, facts: &EntityFacts) -> bool {
        match self {
            OwnerCriteria::Sets(sets) => sets.contains(&facts.classes),
            OwnerCriteria::Anything => true,
            OwnerCriteria::ByRules => {
                let kind = bound.kind(snapshot, facts);
                bound.can_own(kind)
            }
        }
    }
}

/// The options of a search for owners.
pub struct OwnerSearchOptions<'r> {
    /// The rules.
    pub rules: &'r RuleTable,
    /// The entities that count as owners.
    pub accepted: OwnerCriteria,
    /// The only verbs that say anything.
    pub verbs: VerbFilter,
    /// At most so many relationships.
    pub depth: Option<u32>,
    /// True if the people of teams are asked for.
    pub people: bool,
}

/// The nearest owners of each entity.
pub(super) fn owners(
    snapshot: &Snapshot,
    meter: &CostMeter,
    entities: &[u32],
    asked: &OwnerSearchOptions<'_>,
) -> Result<Vec<OwnedEntity>, AnswerError> {
    let mut bound = BoundRules::new(asked.rules, ImpactFilter::ANY);
    let is_owner = |bound: &mut BoundRules, facts: &EntityFacts| {
        asked.accepted.accepts(snapshot, bound, facts)
    };
    let (verbs, depth) = (asked.verbs.0.as_deref(), asked.depth);
    // A search on the snapshot reads single entries; a search on the view costs one pass over the
    // file.
    if entities.len() <= QUESTIONS {
        let mut answers = Vec::with_capacity(entities.len());
        for &entity in entities {
            let graph = MeteredGraph::new(snapshot, meter);
            let mut search = OwnerSearch {
                graph: &graph,
                names: snapshot,
                bound: &mut bound,
                verbs,
                depth,
                facts: |entity| graph.entity_facts(entity),
                is_owner,
            };
            answers.push(owners_of_entity(&mut search, entity, asked.people)?);
        }
        return Ok(answers);
    }
    let view = whole_view(snapshot, meter)?;
    let mut answers = Vec::with_capacity(entities.len());
    for &entity in entities {
        meter.look()?;
        let graph = MeteredGraph::new(&view, meter);
        let mut fault: Option<StoreError> = None;
        let mut search = OwnerSearch {
            graph: &graph,
            names: snapshot,
            bound: &mut bound,
            verbs,
            depth,
            // The view itself cannot fail, so an error of the snapshot beside it is kept and
            // returned below.
            facts: |entity| {
                Ok(snapshot.entity_facts(entity).unwrap_or_else(|e| {
                    fault.get_or_insert(e);
                    None
                }))
            },
            is_owner,
        };
        let answer = owners_of_entity(&mut search, entity, asked.people)?;
        if let Some(e) = fault {
            return Err(e.into());
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// True if any live relationship makes an owner.
pub(super) fn has_ownership(snapshot: &Snapshot, rules: &RuleTable) -> Result<bool, AnswerError> {
    let counts = snapshot.counts()?;
    let verbs: FxHashSet<u32> = counts
        .iter()
        .flat_map(|scope| scope.verbs.keys().copied())
        .filter(|&verb| rules.owning(snapshot.name(verb)))
        .collect();
    if verbs.is_empty() {
        return Ok(false);
    }
    // Some rules ask for certain ends, so a verb alone does not settle it.
    let mut bound = BoundRules::new(rules, ImpactFilter::ANY);
    let (mut found, mut fault) = (false, None);
    let walked = snapshot.for_each_edge_of_all(EdgeDirection::Out, |from, edge| {
        // The scan cannot be stopped from here; the rest of it is skipped cheaply.
        if found || fault.is_some() || !verbs.contains(&edge.verb) {
            return;
        }
        let ends = [from, edge.other].map(|end| snapshot.entity_facts(end));
        match ends {
            [Ok(Some(from)), Ok(Some(to))] => {
                let (from, to) = (bound.kind(snapshot, &from), bound.kind(snapshot, &to));
                let owning = bound.owning(snapshot, edge.verb, from, to);
                found = owning.is_some_and(|(owning, _)| owning == OwnershipKind::Owns);
            }
            [Err(e), _] | [_, Err(e)] => fault = Some(e),
            _ => {}
        }
    });
    // After a fault the engine only says that it gave up, so the first one counts.
    match fault {
        Some(e) => Err(e.into()),
        None => Ok(walked.map(|()| found)?),
    }
}

/// The nearest owners of one entity, with the people of teams if they are asked for.
fn owners_of_entity<A, N, F, O>(
    search: &mut OwnerSearch<'_, A, N, F, O>,
    entity: u32,
    people: bool,
) -> Result<OwnedEntity, A::Error>
where
    A: AdjacencyRead,
    N: NameLookup,
    F: FnMut(u32) -> Result<Option<EntityFacts>, A::Error>,
    O: FnMut(&mut BoundRules, &EntityFacts) -> bool,
{
    let found = search.nearest(entity)?;
    let distance = found.as_ref().map(|found| found.distance);
    let mut owners = Vec::new();
    for owner in found.into_iter().flat_map(|found| found.owners) {
        let members = if people { search.people(owner.entity)? } else { Vec::new() };
        owners.push(FoundOwner {
            entity: owner.entity,
            chain: steps(&owner.chain),
            people: members.iter().map(|p| (p.entity, steps(&p.chain))).collect(),
        });
    }
    Ok(OwnedEntity { entity, distance, owners })
}
