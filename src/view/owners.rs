//! Ownership: the nearest owners of an entity, each with the chain of evidence that names it.
//!
//! The walk goes against the arrows, layer by layer, over owning verbs and through containing ones,
//! and stops after the first layer in which somebody owns. It reads only what it meets and keeps it
//! in small maps: most answers are two or three steps away.

use super::by_verb::ByVerb;
use super::{Step, Way, passes};
use crate::graph::{Adjacency, Direction, Edge};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map::Entry;

/// What a verb means for ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Its from end, if it can be an owner, owns the to end. If not, the walk goes on from there.
    Owning,
    /// Who owns its from end owns the to end.
    Through,
    Nothing,
}

/// Which verbs own and which lead on, by the name numbers of one graph, and how far to look.
#[derive(Clone, Debug)]
pub struct OwnerRules {
    roles: ByVerb<Role>,
    depth: Option<u32>,
}

impl OwnerRules {
    /// A verb on both lists is owning. `depth` bounds the distance of an owner.
    pub fn new(owning: &[u32], through: &[u32], depth: Option<u32>) -> OwnerRules {
        let mut roles = ByVerb::new(Role::Nothing);
        through.iter().for_each(|&verb| roles.set(verb, Role::Through));
        owning.iter().for_each(|&verb| roles.set(verb, Role::Owning));
        OwnerRules { roles, depth }
    }

    /// The same rules looking no further than `depth` steps.
    pub fn within(self, depth: Option<u32>) -> OwnerRules {
        OwnerRules { depth, ..self }
    }
}

/// The nearest owners of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    /// Steps from each of them to the entity; at least 1.
    pub distance: u32,
    /// All owners at this distance, by ascending number.
    pub owners: Vec<Owner>,
}

/// One owner, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Number of the owner.
    pub entity: u32,
    /// A shortest chain of evidence, from the owner to the entity, along the arrows.
    pub chain: Vec<Step>,
}

/// From each entity met, the step it was met by. One map of a breadth-first walk.
type Trail = FxHashMap<u32, Step>;

/// The owners of `start` that are nearest, or `None` if nobody owns it.
///
/// An owner is an entity that `is_owner` accepts and from which an owning relationship leads to
/// `start`, or to something from which owning and containing relationships lead to it. What
/// `is_owner` refuses may itself be owned, so the walk goes on through it. `start` never owns
/// itself. `is_owner` is asked at most once for an entity, and only for sources of owning
/// relationships.
///
/// # Errors
///
/// What reading `graph` or `is_owner` fails with.
pub fn owners<A: Adjacency>(
    graph: &A,
    start: u32,
    rules: &OwnerRules,
    mut is_owner: impl FnMut(u32) -> Result<bool, A::Error>,
) -> Result<Option<Owners>, A::Error> {
    let mut trail = Trail::default();
    let mut asked: FxHashMap<u32, bool> = FxHashMap::default();
    let mut layer = vec![start];
    let mut distance = 0;
    while !layer.is_empty() && rules.depth.is_none_or(|depth| distance < depth) {
        distance += 1;
        let mut owners = Vec::new();
        let mut listed = FxHashSet::default();
        let mut next = Vec::new();
        for &entity in &layer {
            for (edge, role) in relevant_edges(graph, entity, rules)? {
                if edge.other == start {
                    continue;
                }
                let step = arriving(entity, edge);
                if role == Role::Owning && ask_once(&mut asked, edge.other, &mut is_owner)? {
                    if listed.insert(edge.other) {
                        owners.push(Owner { entity: edge.other, chain: along(&trail, step) });
                    }
                } else if let Entry::Vacant(slot) = trail.entry(edge.other) {
                    slot.insert(step);
                    next.push(edge.other);
                }
            }
        }
        if !owners.is_empty() {
            owners.sort_unstable_by_key(|owner| owner.entity);
            return Ok(Some(Owners { distance, owners }));
        }
        layer = next;
    }
    Ok(None)
}

/// The relationships into `entity` that say something about its owners.
fn relevant_edges<A: Adjacency>(
    graph: &A,
    entity: u32,
    rules: &OwnerRules,
) -> Result<Vec<(Edge, Role)>, A::Error> {
    let mut edges = Vec::new();
    graph.for_each_edge(entity, Direction::In, |edge| match rules.roles.of(edge.verb) {
        Role::Nothing => {}
        role => edges.push((edge, role)),
    })?;
    Ok(edges)
}

fn ask_once<E>(
    asked: &mut FxHashMap<u32, bool>,
    entity: u32,
    ask: &mut impl FnMut(u32) -> Result<bool, E>,
) -> Result<bool, E> {
    if let Some(&answer) = asked.get(&entity) {
        return Ok(answer);
    }
    let answer = ask(entity)?;
    asked.insert(entity, answer);
    Ok(answer)
}

/// The step along the arrow of `edge`, which was found looking against it from `entity`.
fn arriving(entity: u32, edge: Edge) -> Step {
    Step {
        from: edge.other,
        to: entity,
        relationship: edge.relationship,
        verb: edge.verb,
        label: edge.label,
        direction: Direction::Out,
    }
}

/// `first`, then the steps by which the walk had come to where it leads, back to its start.
fn along(trail: &Trail, first: Step) -> Vec<Step> {
    std::iter::successors(Some(first), |step| trail.get(&step.to).copied()).collect()
}

/// The nearest entities that a question accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Steps from the start to each of them; at least 1.
    pub distance: u32,
    /// All of them at this distance, by ascending number.
    pub found: Vec<Found>,
}

/// One entity that was looked for, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Number of the entity.
    pub entity: u32,
    /// A shortest chain from the start to it.
    pub chain: Vec<Step>,
}

/// The entities nearest to `start` that `accept` takes, going the given `way` over `verbs` (name
/// numbers; all when `None`), at most `max_depth` steps; `None` if there are none.
///
/// `start` itself is not asked for. Every other entity is asked for at most once, nearer ones first.
///
/// # Errors
///
/// What reading `graph` or `accept` fails with.
pub fn nearest<A: Adjacency>(
    graph: &A,
    start: u32,
    way: Way,
    verbs: Option<&[u32]>,
    mut accept: impl FnMut(u32) -> Result<bool, A::Error>,
    max_depth: Option<u32>,
) -> Result<Option<Nearest>, A::Error> {
    let mut trail = Trail::default();
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
                        slot.insert(Step::leaving(entity, edge, direction));
                        next.push(edge.other);
                    }
                })?;
            }
        }
        let mut found = Vec::new();
        for &entity in &next {
            if accept(entity)? {
                found.push(Found { entity, chain: back_to_start(&trail, entity) });
            }
        }
        if !found.is_empty() {
            found.sort_unstable_by_key(|found| found.entity);
            return Ok(Some(Nearest { distance, found }));
        }
        layer = next;
    }
    Ok(None)
}

/// The chain from the start of the walk to `entity`.
fn back_to_start(trail: &Trail, entity: u32) -> Vec<Step> {
    let last = trail.get(&entity).copied();
    let mut chain: Vec<_> =
        std::iter::successors(last, |step| trail.get(&step.from).copied()).collect();
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::super::{GraphView, Ownership};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const OWNS: u32 = 0;
    const HAS: u32 = 1;
    const USES: u32 = 2;

    fn rules() -> OwnerRules {
        OwnerRules::new(&[OWNS], &[HAS], None)
    }

    /// The owners of `start` where entities from 5 on can own: `distance: owner by steps, ...`.
    fn check(edges: &[(u32, u32, u32)], start: u32, expected: &str) {
        let view = testing::view(10, edges);
        let answer = owners(&view, start, &rules(), |entity| Ok(entity >= 5));
        let answer = answer.unwrap_or_else(|never| match never {});
        let text = answer.map_or("nobody".to_owned(), |answer| {
            let owner = |owner: &Owner| {
                let steps = owner.chain.iter().map(|step| format!(">{}", step.to));
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
    fn nothing_owns_itself() {
        check(&[(5, 5, OWNS), (5, 1, OWNS), (1, 5, HAS)], 5, "nobody");
    }

    #[test]
    fn depth_bounds_the_distance_of_owners() {
        let view = testing::view(3, &[(1, 0, HAS), (2, 1, OWNS)]);
        for (depth, owned) in [(Some(1), false), (Some(2), true), (None, true)] {
            let answer = owners(&view, 0, &rules().within(depth), |entity| Ok(entity == 2));
            assert_eq!(answer.is_ok_and(|answer| answer.is_some()), owned, "{depth:?}");
        }
    }

    #[test]
    fn built_in_lists_find_the_team_of_a_deployed_bucket() {
        let names = testing::Dictionary(vec!["OWNS", "DEPLOYS"]);
        let view = testing::view(3, &[(2, 1, 0), (1, 0, 1)]);
        let rules = Ownership::default().resolve(&names);
        let answer = owners(&view, 0, &rules, |entity| Ok(entity == 2));
        assert_eq!(answer.map(|answer| answer.map(|answer| answer.distance)), Ok(Some(2)));
    }

    #[test]
    fn nearest_goes_either_way_but_not_home() {
        let view = testing::view(4, &[(1, 0, 0), (1, 2, 0), (3, 2, 0)]);
        let find = |way, depth| {
            let answer = nearest(&view, 0, way, None, |e| Ok(e == 0 || e == 3), depth);
            answer.unwrap_or_else(|never| match never {})
        };
        let answer = find(Way::Both, None).expect("3 is there");
        let chain: Vec<_> = answer.found[0].chain.iter().map(|s| (s.from, s.to)).collect();
        assert_eq!((answer.distance, chain), (3, vec![(0, 1), (1, 2), (2, 3)]));
        assert_eq!(find(Way::Both, Some(2)), None);
        assert_eq!(find(Way::In, None), None);
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

    fn is_chain(view: &GraphView, chain: &[Step], from: u32, to: u32) -> bool {
        let known = |step: &Step| {
            view.edges_of(step.from, Direction::Out)
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
            let answer = owners(&view, 0, &rules(), |entity| Ok(can_own[entity as usize]));
            let answer = answer.unwrap_or_else(|never| match never {});

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
