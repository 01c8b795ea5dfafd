//! Ownership: the nearest owners of an entity, each with the chain of evidence that names it.
//!
//! The walk goes from an entity to its holders, layer by layer, over owning and containing
//! relationships, in any spelling of their verbs. It stops after the first layer in which an owner is
//! found. It reads only what it meets and keeps that in small maps, because most answers are two or three
//! steps away.

use super::{EvidenceStep, WalkDirection, chain_back, passes};
use crate::graph::{AdjacencyRead, EdgeDirection, EntityFacts, IncidentEdge, NameLookup};
use crate::rules::{
    BoundRules, CompromiseFlow, EntityKind, GroupMembership, OwnershipKind, PartialEvaluation,
    RelationshipEnd, is_inverse,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::collections::hash_map::Entry;

/// Looks for owners in one graph.
pub struct OwnerSearch<'a, A, N, F, O> {
    /// The relationships.
    pub graph: &'a A,
    /// The names of verbs and classes.
    pub names: &'a N,
    /// The rules.
    pub bound: &'a mut BoundRules,
    /// Only relationships with these verbs count. If no rule knows one of them, its from end owns its
    /// to end, or the other way round if the verb ends in `BY`.
    pub verbs: Option<&'a [u32]>,
    /// The most steps that the walk takes.
    pub depth: Option<u32>,
    /// Reads the type and classes of an entity; `None` if it is not there.
    pub facts: F,
    /// True if an entity with these names can be an owner.
    pub is_owner: O,
}

/// The nearest owners of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearestOwners {
    /// Steps from each of them to the entity; at least 1.
    pub distance: u32,
    /// All owners at this distance, by ascending number.
    pub owners: Vec<OwnerWithChain>,
}

/// One owner, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerWithChain {
    /// Number of the owner.
    pub entity: u32,
    /// A shortest chain of evidence, from the owner to the entity, along the arrows.
    pub chain: Vec<EvidenceStep>,
}

/// The step by which a breadth-first walk met each entity, by number of the entity.
type PredecessorSteps = FxHashMap<u32, EvidenceStep>;

impl<A, N, F, O> OwnerSearch<'_, A, N, F, O>
where
    A: AdjacencyRead,
    N: NameLookup,
    F: FnMut(u32) -> Result<Option<EntityFacts>, A::Error>,
    O: FnMut(&mut BoundRules, &EntityFacts) -> bool,
{
    /// The owners of `start` that are nearest, or `None` if nobody owns it.
    ///
    /// An owner is an entity that `is_owner` accepts. An owning relationship leads from it to `start`,
    /// or to an entity from which owning, containing and identifying relationships lead to `start`. An
    /// entity that `is_owner` refuses may itself be owned, so the walk goes on through it. `start`
    /// never owns itself.
    ///
    /// # Errors
    ///
    /// The error of reading the graph or the names of an entity.
    pub fn nearest(&mut self, start: u32) -> Result<Option<NearestOwners>, A::Error> {
        let mut trail = PredecessorSteps::default();
        let mut layer = vec![start];
        let mut distance = 0;
        while !layer.is_empty() && self.depth.is_none_or(|depth| distance < depth) {
            distance += 1;
            let mut owners = Vec::new();
            let mut listed = FxHashSet::default();
            let mut next = Vec::new();
            for &entity in &layer {
                for (step, owning) in self.holders(entity)? {
                    if step.from == start {
                        continue;
                    }
                    if owning == OwnershipKind::Owns && self.owns(step.from)? {
                        // Owners stand apart from `trail`: an entity met by containing may own
                        // further up.
                        if listed.insert(step.from) {
                            owners.push(OwnerWithChain {
                                entity: step.from,
                                chain: chain_along(&trail, step),
                            });
                        }
                    } else if let Entry::Vacant(slot) = trail.entry(step.from) {
                        slot.insert(step);
                        next.push(step.from);
                    }
                }
            }
            if !owners.is_empty() {
                owners.sort_unstable_by_key(|owner| owner.entity);
                return Ok(Some(NearestOwners { distance, owners }));
            }
            layer = next;
        }
        Ok(None)
    }

    /// The people of a team and of the teams in it, nearest first, each with the chain from the person
    /// to the team.
    ///
    /// # Errors
    ///
    /// As [`OwnerSearch::nearest`].
    pub fn people(&mut self, team: u32) -> Result<Vec<OwnerWithChain>, A::Error> {
        let mut trail = PredecessorSteps::default();
        let mut people = Vec::new();
        let mut left = VecDeque::from([team]);
        while let Some(group) = left.pop_front() {
            let Some(here) = self.kind(group)? else { continue };
            for (edge, direction) in self.edges(group)? {
                let step = arriving(group, edge, direction);
                if step.from == team || trail.contains_key(&step.from) {
                    continue;
                }
                let Some(there) = self.kind(step.from)? else { continue };
                let (from, to) = match direction {
                    EdgeDirection::Out => (here, there),
                    EdgeDirection::In => (there, here),
                };
                let owning = self.bound.owning(self.names, edge.verb, from, to);
                let group_side = if direction == EdgeDirection::Out {
                    RelationshipEnd::From
                } else {
                    RelationshipEnd::To
                };
                // A person counts where a rule says so; else a group inside may have people of its own.
                if let Some((OwnershipKind::Member, turned)) = owning
                    && turned == (group_side == RelationshipEnd::To)
                {
                    trail.insert(step.from, step);
                    people.push(OwnerWithChain {
                        entity: step.from,
                        chain: chain_along(&trail, step),
                    });
                    continue;
                }
                let meaning = self.bound.meaning(self.names, edge.verb, from, to);
                if let Some(CompromiseFlow::Membership(GroupMembership {
                    group, down: true, ..
                })) = meaning.map(|meaning| meaning.compromise)
                    && group == group_side
                    && self.owns(step.from)?
                {
                    trail.insert(step.from, step);
                    left.push_back(step.from);
                }
            }
        }
        Ok(people)
    }

    fn kind(&mut self, entity: u32) -> Result<Option<EntityKind>, A::Error> {
        let facts = (self.facts)(entity)?;
        Ok(facts.map(|facts| self.bound.kind(self.names, &facts)))
    }

    fn owns(&mut self, entity: u32) -> Result<bool, A::Error> {
        let facts = (self.facts)(entity)?;
        Ok(facts.is_some_and(|facts| (self.is_owner)(self.bound, &facts)))
    }

    /// The edges of an entity with the verbs that are asked for.
    fn edges(&self, entity: u32) -> Result<Vec<(IncidentEdge, EdgeDirection)>, A::Error> {
        let mut edges = Vec::new();
        for direction in [EdgeDirection::In, EdgeDirection::Out] {
            self.graph.for_each_edge(entity, direction, |edge| {
                if passes(self.verbs, edge.verb) {
                    edges.push((edge, direction));
                }
            })?;
        }
        Ok(edges)
    }

    /// The relationships by which something holds `entity`, as steps from the holder.
    fn holders(&mut self, entity: u32) -> Result<Vec<(EvidenceStep, OwnershipKind)>, A::Error> {
        let mut holders = Vec::new();
        // Names are read only if there is an edge at all, and then once.
        let mut here = None;
        for (edge, direction) in self.edges(entity)? {
            let kind = match here {
                Some(kind) => kind,
                None => {
                    let Some(kind) = self.kind(entity)? else { break };
                    *here.insert(kind)
                }
            };
            let found = match self.bound.owning_near_end(self.names, edge.verb, direction, kind) {
                PartialEvaluation::Known(found) => found,
                PartialEvaluation::Asks(_) => {
                    let Some(there) = self.kind(edge.other)? else { continue };
                    let (from, to) = match direction {
                        EdgeDirection::Out => (kind, there),
                        EdgeDirection::In => (there, kind),
                    };
                    self.bound.owning(self.names, edge.verb, from, to)
                }
            };
            // A verb that somebody asked for by name owns, even if no rule knows it.
            let unknown = || {
                self.verbs.map(|_| (OwnershipKind::Owns, is_inverse(self.names.name(edge.verb))))
            };
            let found = found.or_else(unknown);
            let Some((owning, turned)) = found else { continue };
            let holds = match owning {
                OwnershipKind::Identity => true,
                // The holder is the from end, or the to end of a turned verb. Only an edge
                // whose other end is the holder counts.
                OwnershipKind::Owns | OwnershipKind::Through => {
                    turned == (direction == EdgeDirection::Out)
                }
                OwnershipKind::Member | OwnershipKind::None => false,
            };
            if holds {
                holders.push((arriving(entity, edge, direction), owning));
            }
        }
        Ok(holders)
    }
}

/// The step to `entity` along `edge`, which was found looking in `direction` from it.
fn arriving(entity: u32, edge: IncidentEdge, direction: EdgeDirection) -> EvidenceStep {
    EvidenceStep {
        from: edge.other,
        to: entity,
        relationship: edge.relationship,
        verb: edge.verb,
        label: edge.label,
        direction: if direction == EdgeDirection::In {
            EdgeDirection::Out
        } else {
            EdgeDirection::In
        },
    }
}

/// The chain that begins with `first` and leads back to the start of the walk.
fn chain_along(trail: &PredecessorSteps, first: EvidenceStep) -> Vec<EvidenceStep> {
    std::iter::successors(Some(first), |step| trail.get(&step.to).copied()).collect()
}

/// The nearest entities that a question accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearestEntities {
    /// Steps from the start to each of them; at least 1.
    pub distance: u32,
    /// All of them at this distance, by ascending number.
    pub found: Vec<NearestEntity>,
}

/// One entity that was looked for, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearestEntity {
    /// Number of the entity.
    pub entity: u32,
    /// A shortest chain from the start to it.
    pub chain: Vec<EvidenceStep>,
}

/// The entities nearest to `start` that `accept` takes; `None` if there are none. The walk goes the
/// given `way` over `verbs` (name numbers; all when `None`), at most `max_depth` steps.
///
/// `accept` is not called for `start`. It is called for every other entity at most once, nearer ones
/// first.
///
/// # Errors
///
/// The error of reading `graph`, or of `accept`.
pub fn nearest<A: AdjacencyRead>(
    graph: &A,
    start: u32,
    way: WalkDirection,
    verbs: Option<&[u32]>,
    mut accept: impl FnMut(u32) -> Result<bool, A::Error>,
    max_depth: Option<u32>,
) -> Result<Option<NearestEntities>, A::Error> {
    let mut trail = PredecessorSteps::default();
    let mut layer = vec![start];
    let mut distance = 0;
    while !layer.is_empty() && max_depth.is_none_or(|depth| distance < depth) {
        distance += 1;
        let mut next = Vec::new();
        for &entity in &layer {
            for &direction in way.directions() {
                graph.for_each_edge(entity, direction, |edge| {
                    if edge.other == start || !passes(verbs, edge.verb) {
                        return;
                    }
                    if let Entry::Vacant(slot) = trail.entry(edge.other) {
                        slot.insert(EvidenceStep::leaving(entity, edge, direction));
                        next.push(edge.other);
                    }
                })?;
            }
        }
        let mut found = Vec::new();
        // Not while edges are read: `accept` may read the graph, and may fail.
        for &entity in &next {
            if accept(entity)? {
                found.push(NearestEntity { entity, chain: back_to_start(&trail, entity) });
            }
        }
        if !found.is_empty() {
            found.sort_unstable_by_key(|found| found.entity);
            return Ok(Some(NearestEntities { distance, found }));
        }
        layer = next;
    }
    Ok(None)
}

/// The chain from the start of the walk to `entity`.
fn back_to_start(trail: &PredecessorSteps, entity: u32) -> Vec<EvidenceStep> {
    let last = trail.get(&entity).copied();
    chain_back(std::iter::successors(last, |step| trail.get(&step.from).copied()))
}

#[cfg(test)]
mod tests {
    use super::super::GraphView;
    use super::super::testing::{self, Dictionary, facts};
    use super::*;
    use crate::rules::{ImpactFilter, RuleTable};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    const OWNS: u32 = 0;
    const HAS: u32 = 1;
    const USES: u32 = 2;
    const OWNED_BY: u32 = 4;
    const PART_OF: u32 = 5;
    const IS: u32 = 6;
    const FROBS: u32 = 7;
    const CLASSES: u32 = 8;

    fn dictionary() -> Dictionary {
        let verbs = ["OWNS", "HAS", "USES", "DENIES", "owned_by", "partOf", "Is", "FROBS"];
        Dictionary([&verbs[..], &["Thing", "Person", "Team"]].concat())
    }

    /// The owners of `start` in a graph in which `class` tells the class of each entity.
    fn find(
        view: &GraphView,
        start: u32,
        class: impl Fn(u32) -> u32,
        (verbs, depth): (Option<&[u32]>, Option<u32>),
    ) -> Option<NearestOwners> {
        let names = dictionary();
        let mut bound = BoundRules::new(&RuleTable::default(), ImpactFilter::ANY);
        let mut search = OwnerSearch {
            graph: view,
            names: &names,
            bound: &mut bound,
            verbs,
            depth,
            facts: |entity| Ok::<_, Infallible>(Some(facts(CLASSES + class(entity)))),
            is_owner: |bound: &mut BoundRules, facts: &EntityFacts| {
                let kind = bound.kind(&names, facts);
                bound.can_own(kind)
            },
        };
        search.nearest(start).unwrap_or_else(|never| match never {})
    }

    /// The owners of `start` where entities from 5 on can own: `distance: owner by steps, ...`.
    fn check(edges: &[(u32, u32, u32)], start: u32, expected: &str) {
        let view = testing::view(10, edges);
        let answer = find(&view, start, |entity| u32::from(entity >= 5), (None, None));
        let text = answer.map_or("nobody".to_owned(), |answer| {
            let owner = |owner: &OwnerWithChain| {
                let steps = owner.chain.iter().map(|step| {
                    let arrow = if step.direction == EdgeDirection::Out { '>' } else { '<' };
                    format!("{arrow}{}", step.to)
                });
                format!(" {}{}", owner.entity, steps.collect::<String>())
            };
            let owners = answer.owners.iter().map(owner).collect::<String>();
            format!("{}:{owners}", answer.distance)
        });
        assert_eq!(text, expected);
    }

    #[test]
    fn a_direct_owner_is_nearest() {
        check(&[(7, 0, OWNS), (6, 1, OWNS), (1, 0, HAS)], 0, "1: 7>0");
    }

    #[test]
    fn all_owners_that_tie_are_listed_once_each() {
        check(&[(7, 0, OWNS), (6, 0, OWNS), (7, 0, OWNS)], 0, "1: 6>0 7>0");
    }

    #[test]
    fn who_owns_the_whole_owns_the_part() {
        check(&[(2, 1, HAS), (1, 0, HAS), (5, 2, OWNS)], 0, "3: 5>2>1>0");
    }

    #[test]
    fn containing_alone_does_not_own() {
        check(&[(5, 0, HAS)], 0, "nobody");
    }

    #[test]
    fn a_group_met_by_containing_can_still_own_further_up() {
        check(&[(5, 0, HAS), (1, 0, HAS), (5, 1, OWNS)], 0, "2: 5>1>0");
    }

    #[test]
    fn what_cannot_own_leads_on_to_its_own_owner() {
        check(&[(1, 0, OWNS), (6, 1, OWNS)], 0, "2: 6>1>0");
    }

    #[test]
    fn other_verbs_and_arrows_away_say_nothing() {
        check(&[(5, 0, USES), (0, 6, OWNS)], 0, "nobody");
    }

    #[test]
    fn both_spellings_of_owning_and_containing_count() {
        check(&[(0, 5, OWNED_BY)], 0, "1: 5<0");
        check(&[(0, 1, PART_OF), (1, 6, OWNED_BY), (5, 0, OWNED_BY)], 0, "2: 6<1<0");
        check(&[(0, 1, IS), (5, 1, OWNS)], 0, "2: 5>1<0");
        check(&[(1, 0, IS), (5, 1, OWNS)], 0, "2: 5>1>0");
    }

    #[test]
    fn nothing_owns_itself() {
        check(&[(5, 5, OWNS), (5, 1, OWNS), (1, 5, HAS)], 5, "nobody");
    }

    #[test]
    fn a_verb_that_is_asked_for_and_unknown_owns() {
        let view = testing::view(6, &[(5, 0, FROBS), (4, 0, OWNS)]);
        let class = |entity| u32::from(entity >= 4);
        assert_eq!(find(&view, 0, class, (None, None)).expect("owned").owners[0].entity, 4);
        let found = find(&view, 0, class, (Some(&[FROBS]), None)).expect("owned");
        assert_eq!(found.owners[0].entity, 5);
        assert_eq!(find(&view, 0, class, (Some(&[USES]), None)), None);
    }

    #[test]
    fn depth_bounds_the_distance_of_owners() {
        let view = testing::view(3, &[(1, 0, HAS), (2, 1, OWNS)]);
        for (depth, owned) in [(Some(1), false), (Some(2), true), (None, true)] {
            let answer = find(&view, 0, |entity| u32::from(entity == 2), (None, depth));
            assert_eq!(answer.is_some(), owned, "{depth:?}");
        }
    }

    #[test]
    fn the_people_of_a_team_are_those_of_its_teams_as_well() {
        // 0 team, 1 a team in it, 2 and 3 people, 4 a thing.
        let view = testing::view(5, &[(0, 1, HAS), (1, 2, HAS), (0, 3, HAS), (0, 4, HAS)]);
        let names = dictionary();
        let mut bound = BoundRules::new(&RuleTable::default(), ImpactFilter::ANY);
        let class = [2, 2, 1, 1, 0];
        let mut search = OwnerSearch {
            graph: &view,
            names: &names,
            bound: &mut bound,
            verbs: None,
            depth: None,
            facts: |entity: u32| Ok::<_, Infallible>(Some(facts(CLASSES + class[entity as usize]))),
            is_owner: |bound: &mut BoundRules, facts: &EntityFacts| {
                let kind = bound.kind(&names, facts);
                bound.can_own(kind)
            },
        };
        let people = search.people(0).unwrap_or_else(|never| match never {});
        let chains: Vec<_> = people
            .iter()
            .map(|person| (person.entity, person.chain.iter().map(|s| s.to).collect::<Vec<_>>()))
            .collect();
        assert_eq!(chains, [(3, vec![0]), (2, vec![1, 0])]);
    }

    #[test]
    fn nearest_goes_either_way_but_not_home() {
        let view = testing::view(4, &[(1, 0, 0), (1, 2, 0), (3, 2, 0)]);
        let find = |way, depth| {
            let answer = nearest(&view, 0, way, None, |e| Ok(e == 0 || e == 3), depth);
            answer.unwrap_or_else(|never| match never {})
        };
        let answer = find(WalkDirection::Both, None).expect("3 is there");
        let chain: Vec<_> = answer.found[0].chain.iter().map(|s| (s.from, s.to)).collect();
        assert_eq!((answer.distance, chain), (3, vec![(0, 1), (1, 2), (2, 3)]));
        assert_eq!(find(WalkDirection::Both, Some(2)), None);
        assert_eq!(find(WalkDirection::In, None), None);
    }

    /// Distances from `start` against the arrows over the given verbs, by relaxation.
    fn naive_distances(edges: &[(u32, u32, u32)], start: u32) -> BTreeMap<u32, u32> {
        let mut best = BTreeMap::from([(start, 0)]);
        for _ in 0..edges.len() {
            for &(from, to, _) in edges.iter().filter(|edge| edge.2 != USES && edge.2 != 3) {
                if let Some(&at) = best.get(&to) {
                    let old = best.entry(from).or_insert(u32::MAX);
                    *old = (*old).min(at + 1);
                }
            }
        }
        best
    }

    fn is_chain(view: &GraphView, chain: &[EvidenceStep], from: u32, to: u32) -> bool {
        let known = |step: &EvidenceStep| {
            view.edges_of(step.from, EdgeDirection::Out)
                .any(|edge| (edge.other, edge.relationship) == (step.to, step.relationship))
        };
        chain.first().is_some_and(|step| step.from == from)
            && chain.last().is_some_and(|step| step.to == to)
            && chain.windows(2).all(|pair| pair[0].to == pair[1].from)
            && chain.iter().all(known)
    }

    proptest! {
        #[test]
        fn the_nearest_owners_are_found_each_with_a_shortest_chain(
            edges in testing::edges(),
            can_own in prop::collection::vec(any::<bool>(), 12),
        ) {
            let view = testing::view(12, &edges);
            let class = |entity| if can_own[entity as usize] { 2 } else { 0 };
            let answer = find(&view, 0, class, (None, None));

            let near = naive_distances(&edges, 0);
            let mut owning: Vec<(u32, u32)> = edges.iter()
                .filter(|&&(from, _, verb)| verb == OWNS && from != 0 && can_own[from as usize])
                .filter_map(|(from, to, _)| near.get(to).map(|at| (at + 1, *from)))
                .collect();
            owning.sort_unstable();
            owning.dedup();
            let least = owning.first().map(|first| first.0);
            let expected: Vec<u32> = owning.iter()
                .filter(|row| Some(row.0) == least).map(|row| row.1).collect();

            prop_assert_eq!(answer.as_ref().map(|answer| answer.distance), least);
            let found = answer.as_ref().map_or(Vec::new(), |answer| answer.owners.clone());
            prop_assert_eq!(found.iter().map(|o| o.entity).collect::<Vec<_>>(), expected);
            for owner in found {
                prop_assert_eq!(Some(owner.chain.len() as u32), least);
                prop_assert!(is_chain(&view, &owner.chain, owner.entity, 0));
                prop_assert_eq!(owner.chain[0].verb, OWNS);
                prop_assert!(owner.chain.iter().all(|step| step.verb <= HAS));
            }
        }
    }
}
