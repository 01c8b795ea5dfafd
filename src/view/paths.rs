//! Shortest chains between two entities, and cycles.
//!
//! Paths are found in two passes. A breadth-first walk back from the goal writes the distance of each
//! entity to it. The second pass reads only entities that lie on shortest paths. There can be
//! exponentially many such paths, so they are counted without being listed, and the list is capped.

use super::{EvidenceStep, GraphView, WalkDirection, passes};
use crate::graph::{AdjacencyRead, EdgeDirection, same_verb};
use petgraph::algo::kosaraju_scc;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// The shortest paths between two entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortestPathSet {
    /// Steps of each path.
    pub length: u32,
    /// Number of shortest paths, distinct by the relationships they take; `u64::MAX` stands for more.
    pub total: u64,
    /// The first of them, as many as asked for, ordered by the numbers of the entities they visit.
    /// Of parallel relationships the one with the arrow comes first, then the lower number.
    pub paths: Vec<Vec<EvidenceStep>>,
}

/// The shortest paths from `from` to `to`, going the given `way` over `verbs` (name numbers; all
/// when `None`); `None` if there is none of at most `max_len` steps.
///
/// At most `max_paths` are listed. From an entity to itself there is one path, of no steps. A number
/// beyond the bound of the graph has no paths.
///
/// # Errors
///
/// The error of reading `graph`.
pub fn paths<A: AdjacencyRead>(
    graph: &A,
    from: u32,
    to: u32,
    way: WalkDirection,
    verbs: Option<&[u32]>,
    max_paths: usize,
    max_len: Option<u32>,
) -> Result<Option<ShortestPathSet>, A::Error> {
    let search = PathSearch { graph, way, verbs };
    // Distances are an array by entity number, so both ends must lie below its length.
    if from.max(to) >= graph.entity_bound() {
        return Ok(None);
    }
    let Some(distances) = search.distances(from, to, max_len.unwrap_or(u32::MAX))? else {
        return Ok(None);
    };
    let steps = search.steps_on_paths(from, &distances)?;
    Ok(Some(ShortestPathSet {
        length: distances.of(from).expect("BUG: the walk back reached `from`"),
        total: count(&steps, from, to),
        paths: list(&steps, from, to, max_paths),
    }))
}

/// The graph and the choices of one search, which do not change while it runs.
struct PathSearch<'a, A> {
    graph: &'a A,
    way: WalkDirection,
    verbs: Option<&'a [u32]>,
}

/// Distances to the goal plus one, by entity number; 0 where the walk has not been. The memory is
/// fresh and zeroed by the system, so pages of entities that are not met cost nothing.
struct GoalDistances(Vec<u32>);

impl GoalDistances {
    fn of(&self, entity: u32) -> Option<u32> {
        self.0[entity as usize].checked_sub(1)
    }
}

/// For each entity on a shortest path, the steps that lead on, in ascending order of the next
/// entities; and the entities in order of falling distance to the goal.
struct ShortestPathDag {
    onward: FxHashMap<u32, Vec<EvidenceStep>>,
    order: Vec<u32>,
}

impl<A: AdjacencyRead> PathSearch<'_, A> {
    /// Walks back from `to` until `from` is met; `None` if it is not met within `max_len` steps.
    fn distances(
        &self,
        from: u32,
        to: u32,
        max_len: u32,
    ) -> Result<Option<GoalDistances>, A::Error> {
        let mut known = vec![0u32; self.graph.entity_bound() as usize];
        known[to as usize] = 1;
        let mut layer = vec![to];
        let mut distance = 0;
        // The layer that meets `from` is the last: all entities of shortest paths lie in it or nearer.
        while known[from as usize] == 0 {
            if layer.is_empty() || distance >= max_len {
                return Ok(None);
            }
            distance += 1;
            let mut next = Vec::new();
            for &entity in &layer {
                for &direction in self.way.reversed().directions() {
                    self.graph.for_each_edge(entity, direction, |edge| {
                        let slot = &mut known[edge.other as usize];
                        if *slot == 0 && passes(self.verbs, edge.verb) {
                            *slot = distance + 1;
                            next.push(edge.other);
                        }
                    })?;
                }
            }
            layer = next;
        }
        Ok(Some(GoalDistances(known)))
    }

    /// The steps of all shortest paths, found from `from` onwards.
    fn steps_on_paths(
        &self,
        from: u32,
        distances: &GoalDistances,
    ) -> Result<ShortestPathDag, A::Error> {
        let mut steps = ShortestPathDag { onward: FxHashMap::default(), order: vec![from] };
        steps.onward.insert(from, Vec::new());
        let mut next = 0;
        while let Some(&entity) = steps.order.get(next) {
            next += 1;
            let onward = self.steps_nearer(entity, distances)?;
            for step in &onward {
                if let Entry::Vacant(slot) = steps.onward.entry(step.to) {
                    slot.insert(Vec::new());
                    steps.order.push(step.to);
                }
            }
            steps.onward.insert(entity, onward);
        }
        Ok(steps)
    }

    /// The steps from `entity` that bring it nearer to the goal.
    fn steps_nearer(
        &self,
        entity: u32,
        distances: &GoalDistances,
    ) -> Result<Vec<EvidenceStep>, A::Error> {
        // The goal has distance 0, so nothing is nearer and its paths end there.
        let Some(nearer) = distances.of(entity).and_then(|at| at.checked_sub(1)) else {
            return Ok(Vec::new());
        };
        let mut steps = Vec::new();
        for &direction in self.way.directions() {
            self.graph.for_each_edge(entity, direction, |edge| {
                if distances.of(edge.other) == Some(nearer) && passes(self.verbs, edge.verb) {
                    steps.push(EvidenceStep::leaving(entity, edge, direction));
                }
            })?;
        }
        // The answer lists paths by the numbers of their entities, whatever the order of the graph.
        steps.sort_unstable_by_key(|step| (step.to, step.direction, step.relationship));
        Ok(steps)
    }
}

/// Counts the paths that the steps make. Each entity has as many as lead to it; they are summed in the
/// order of distance.
fn count(steps: &ShortestPathDag, from: u32, to: u32) -> u64 {
    let mut arriving: FxHashMap<u32, u64> = FxHashMap::from_iter([(from, 1)]);
    // All steps that lead to an entity come from a layer before, so its sum is complete when it is read.
    for &entity in &steps.order {
        let here = arriving.get(&entity).copied().unwrap_or(0);
        for step in &steps.onward[&entity] {
            let there = arriving.entry(step.to).or_insert(0);
            *there = there.saturating_add(here);
        }
    }
    arriving.get(&to).copied().unwrap_or(0)
}

/// The first `max` paths, depth first. Every step leads to the goal, so no search is in vain. The
/// stack is a vector, so a long path cannot overflow the stack of the thread.
fn list(steps: &ShortestPathDag, from: u32, to: u32, max: usize) -> Vec<Vec<EvidenceStep>> {
    let mut paths = Vec::new();
    let mut path: Vec<EvidenceStep> = Vec::new();
    let mut choices = vec![steps.onward[&from].iter()];
    if from == to && max > 0 {
        paths.push(Vec::new());
    }
    while paths.len() < max {
        let Some(choice) = choices.last_mut() else { break };
        match choice.next() {
            Some(&step) => {
                path.push(step);
                if step.to == to {
                    paths.push(path.clone());
                }
                // At the goal there are no choices, so the next turn takes the step back.
                choices.push(steps.onward[&step.to].iter());
            }
            None => {
                choices.pop();
                path.pop();
            }
        }
    }
    paths
}

/// The groups of entities that reach each other along the arrows of `verbs` (name numbers; all when
/// `None`). A group has more than one entity, or one with a relationship to itself.
///
/// Largest first, then by lowest entity; each group in ascending order. O(entities +
/// relationships), and not recursive, unlike petgraph's Tarjan.
pub fn cycles(view: &GraphView, verbs: Option<&[u32]>) -> Vec<Vec<u32>> {
    let points_at_itself = |entity: u32| {
        view.edges_of(entity, EdgeDirection::Out)
            .any(|edge| edge.other == entity && passes(verbs, edge.verb))
    };
    let mut groups = kosaraju_scc(&view.filtered(verbs, WalkDirection::Out));
    // Every entity is a strong component, but one that stands alone is no cycle.
    groups.retain(|group| group.len() > 1 || points_at_itself(group[0]));
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups.sort_unstable_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
    groups
}

/// Number of edges after which the search is content with the cycle that it has.
const PATIENCE: usize = 5_000_000;

/// A shortest chain that leads from an entity of `group` back to itself; empty if there is none. It
/// goes along the arrows of `verbs` and through the group alone. The group is one that [`cycles`] found.
///
/// In a very large group the search ends early, with the shortest chain that it has met.
pub fn shortest_cycle(view: &GraphView, group: &[u32], verbs: Option<&[u32]>) -> Vec<EvidenceStep> {
    let places: FxHashMap<u32, usize> =
        group.iter().enumerate().map(|(at, entity)| (*entity, at)).collect();
    let mut walk = CycleSearch { view, verbs, places, came: vec![None; group.len()], looked: 0 };
    let mut best: Vec<EvidenceStep> = Vec::new();
    for &start in group {
        if let Some(found) = walk.shortest_loop_from(start, best.len()) {
            best = found;
        }
        // Two steps are the least where no entity has a relationship to itself.
        let short_enough = best.len() == 1 || best.len() == 2 && walk.no_loops();
        if short_enough || !best.is_empty() && walk.looked > PATIENCE {
            break;
        }
    }
    best
}

/// Walks through one group of a graph.
struct CycleSearch<'a> {
    view: &'a GraphView,
    verbs: Option<&'a [u32]>,
    /// The members, with their positions in `came`.
    places: FxHashMap<u32, usize>,
    /// The start of the last walk that met each member, and the step by which it came.
    came: Vec<Option<(u32, EvidenceStep)>>,
    looked: usize,
}

impl CycleSearch<'_> {
    fn no_loops(&self) -> bool {
        !self.places.keys().any(|&entity| {
            let mut edges = self.view.edges_of(entity, EdgeDirection::Out);
            edges.any(|edge| edge.other == entity && passes(self.verbs, edge.verb))
        })
    }

    /// The chain from `start` back to it, if it has fewer steps than `bound`; 0 is no bound.
    fn shortest_loop_from(&mut self, start: u32, bound: usize) -> Option<Vec<EvidenceStep>> {
        let mut layer = vec![start];
        let mut steps = 1;
        while !layer.is_empty() && (bound == 0 || steps < bound) {
            let mut next = Vec::new();
            for &entity in &layer {
                for edge in self.view.edges_of(entity, EdgeDirection::Out) {
                    self.looked += 1;
                    if !passes(self.verbs, edge.verb) {
                        continue;
                    }
                    let step = EvidenceStep::leaving(entity, edge, EdgeDirection::Out);
                    if edge.other == start {
                        return Some(self.chain(start, step));
                    }
                    let Some(&place) = self.places.get(&edge.other) else { continue };
                    // Marks carry their start, so that `came` need not be wiped between walks.
                    if self.came[place].is_none_or(|(from, _)| from != start) {
                        self.came[place] = Some((start, step));
                        next.push(edge.other);
                    }
                }
            }
            layer = next;
            steps += 1;
        }
        None
    }

    /// The steps from `start` that end with `last`.
    fn chain(&self, start: u32, last: EvidenceStep) -> Vec<EvidenceStep> {
        let mut steps = vec![last];
        let mut at = last.from;
        while at != start {
            let (_, step) = self.came[self.places[&at]].expect("BUG: the walk came this way");
            steps.push(step);
            at = step.from;
        }
        steps.reverse();
        steps
    }
}

/// Verbs that forbid something. Case and separators make no difference.
const DENIALS: [&str; 26] = [
    "BLOCKS",
    "BLOCKED",
    "BLOCKED_BY",
    "DENIES",
    "DENY",
    "DENIED",
    "DENIED_BY",
    "FORBIDS",
    "FORBIDDEN_BY",
    "PROHIBITS",
    "PROHIBITED_BY",
    "REJECTS",
    "REJECTED",
    "REJECTED_BY",
    "RESTRICTS",
    "RESTRICTED_BY",
    "LIMITS",
    "LIMITED_BY",
    "EXCLUDES",
    "EXCLUDED_BY",
    "EXCLUDED_FROM",
    "REVOKES",
    "REVOKED",
    "REVOKED_BY",
    "PREVENTS",
    "PREVENTED_BY",
];

/// True if relationships with this verb say that there is no way. No path may take them.
pub fn denies(verb: &str) -> bool {
    DENIALS.iter().any(|denial| same_verb(denial, verb))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use proptest::prelude::*;

    fn ask(
        view: &GraphView,
        from: u32,
        to: u32,
        way: WalkDirection,
        max: usize,
    ) -> Option<ShortestPathSet> {
        paths(view, from, to, way, None, max, None).unwrap_or_else(|never| match never {})
    }

    #[test]
    fn each_of_parallel_relationships_is_a_path() {
        let view = testing::view(3, &[(1, 2, 5), (0, 1, 5), (0, 1, 6), (0, 1, 5)]);
        let answer = ask(&view, 0, 2, WalkDirection::Out, 9).expect("a path");
        assert_eq!((answer.length, answer.total), (2, 3));
        let taken = |path: &Vec<EvidenceStep>| path.iter().map(|step| step.relationship).collect();
        let taken: Vec<Vec<u32>> = answer.paths.iter().map(taken).collect();
        assert_eq!(taken, [[1, 0], [2, 0], [3, 0]]);
    }

    #[test]
    fn verbs_that_deny_are_known_in_every_spelling() {
        for verb in ["DENIES", "denies", "Denied by", "DENIED_BY", "BLOCKS", "Rejects"] {
            assert!(denies(verb), "{verb}");
        }
        for verb in ["ALLOWS", "HAS", "DENIES_NOTHING", "BLOCKCHAIN", ""] {
            assert!(!denies(verb), "{verb}");
        }
    }

    #[test]
    fn a_cycle_is_told_by_its_shortest_chain() {
        // 0 -> 1 -> 2 -> 3 -> 0 and a way back from 2 to 1 by another verb.
        let view =
            testing::view(5, &[(0, 1, 0), (1, 2, 0), (2, 3, 0), (3, 0, 0), (2, 1, 7), (4, 4, 0)]);
        let taken = |group: &[u32], verbs| -> Vec<u32> {
            shortest_cycle(&view, group, verbs).iter().map(|step| step.relationship).collect()
        };
        assert_eq!(taken(&[0, 1, 2, 3], None), [1, 4]);
        assert_eq!(taken(&[0, 1, 2, 3], Some(&[0])), [0, 1, 2, 3]);
        assert_eq!(taken(&[4], None), [5]);
        assert_eq!(taken(&[0, 1], None), Vec::<u32>::new(), "no cycle, no chain");
    }

    #[test]
    fn the_way_decides_which_arrows_count() {
        let view = testing::view(3, &[(1, 0, 0), (1, 2, 0)]);
        assert_eq!(ask(&view, 0, 2, WalkDirection::Out, 9), None);
        assert_eq!(ask(&view, 0, 1, WalkDirection::In, 9).map(|paths| paths.length), Some(1));
        let both = ask(&view, 0, 2, WalkDirection::Both, 9).expect("a path either way");
        let directions: Vec<_> = both.paths[0].iter().map(|step| step.direction).collect();
        assert_eq!(directions, [EdgeDirection::In, EdgeDirection::Out]);
    }

    #[test]
    fn an_entity_is_at_itself() {
        let view = testing::view(1, &[(0, 0, 0)]);
        let paths = vec![Vec::new()];
        assert_eq!(
            ask(&view, 0, 0, WalkDirection::Out, 9),
            Some(ShortestPathSet { length: 0, total: 1, paths })
        );
        assert_eq!(ask(&view, 0, 1, WalkDirection::Out, 9), None, "1 is beyond the bound");
    }

    #[test]
    fn a_path_may_be_too_long() {
        let view = testing::view(3, &[(0, 1, 0), (1, 2, 0)]);
        for (max_len, there) in [(1, false), (2, true)] {
            let answer = paths(&view, 0, 2, WalkDirection::Out, None, 1, Some(max_len));
            assert_eq!(answer.is_ok_and(|answer| answer.is_some()), there);
        }
    }

    #[test]
    fn too_many_paths_are_counted_but_not_listed() {
        // 70 diamonds in a row: 2 to the 70th paths.
        let edges: Vec<_> = (0..70u32)
            .map(|i| i * 3)
            .flat_map(|a| [(a, a + 1, 0), (a, a + 2, 0), (a + 1, a + 3, 0), (a + 2, a + 3, 0)])
            .collect();
        let view = testing::view(211, &edges);
        let answer = ask(&view, 0, 210, WalkDirection::Out, 3).expect("paths");
        assert_eq!((answer.length, answer.total, answer.paths.len()), (140, u64::MAX, 3));
        let short = ask(&view, 0, 30, WalkDirection::Out, 0).expect("paths");
        assert_eq!((short.total, short.paths.len()), (1024, 0));
    }

    #[test]
    fn cycles_come_largest_first() {
        let view = testing::view(
            8,
            &[
                (5, 6, 0),
                (6, 5, 0),
                (0, 1, 0),
                (1, 2, 0),
                (2, 0, 0),
                (3, 3, 0),
                (4, 5, 0),
                (6, 7, 1),
            ],
        );
        assert_eq!(cycles(&view, None), [vec![0, 1, 2], vec![5, 6], vec![3]]);
        assert_eq!(cycles(&view, Some(&[1])), Vec::<Vec<u32>>::new());
    }

    #[test]
    fn a_cycle_of_a_million_entities_does_not_overflow_the_stack() {
        let count = 1_000_000;
        let edges = (0..count).map(|from| (from, (from + 1) % count, 0, from));
        let view = GraphView::from_edges(count, edges).expect("ends below the bound");
        assert_eq!(cycles(&view, None).iter().map(Vec::len).collect::<Vec<_>>(), [1_000_000]);
    }

    /// One way on: the next entity, whether against the arrow, the relationship.
    type Hop = (u32, bool, u32);

    /// Every path of the least length, by trying all of them.
    fn naive(neighbours: &[Vec<Hop>], from: u32, to: u32, max_len: u32) -> Vec<Vec<Hop>> {
        let end = |path: &[Hop]| path.last().map_or(from, |hop| hop.0);
        let mut layer: Vec<Vec<Hop>> = vec![Vec::new()];
        for _ in 0..=max_len.min(neighbours.len() as u32) {
            let found: Vec<_> = layer.iter().filter(|path| end(path) == to).cloned().collect();
            if !found.is_empty() {
                return found;
            }
            let longer = layer.iter().flat_map(|path| {
                let visited = |hop: &&Hop| hop.0 != from && path.iter().all(|p| p.0 != hop.0);
                let fresh = neighbours[end(path) as usize].iter().filter(visited);
                fresh.map(|&hop| [path.as_slice(), &[hop]].concat())
            });
            layer = longer.collect();
        }
        Vec::new()
    }

    proptest! {
        #[test]
        fn all_shortest_paths_are_found_in_order(
            edges in prop::collection::vec((0u32..12, 0u32..12, 0u32..4), 0..28),
            to in 0u32..12,
            way in prop::sample::select(vec![WalkDirection::Out, WalkDirection::In, WalkDirection::Both]),
            verbs in prop::option::of(prop::collection::vec(0u32..4, 1..4)),
            max_len in prop::option::of(0u32..6),
            max in 0usize..6,
        ) {
            let view = testing::view(12, &edges);
            let mut neighbours = vec![Vec::new(); 12];
            for (number, &(a, b, verb)) in (0u32..).zip(&edges) {
                if !passes(verbs.as_deref(), verb) { continue; }
                if way != WalkDirection::In { neighbours[a as usize].push((b, false, number)); }
                if way != WalkDirection::Out { neighbours[b as usize].push((a, true, number)); }
            }
            neighbours.iter_mut().for_each(|list| list.sort_unstable());
            let expected = naive(&neighbours, 0, to, max_len.unwrap_or(u32::MAX));

            let answer = paths(&view, 0, to, way, verbs.as_deref(), max, max_len)
                .unwrap_or_else(|never| match never {});
            prop_assert_eq!(answer.as_ref().map_or(0, |a| a.total), expected.len() as u64);
            let listed = answer.map_or(Vec::new(), |answer| answer.paths);
            let hop = |step: &EvidenceStep| (step.to, step.direction == EdgeDirection::In, step.relationship);
            let hops = |path: &Vec<EvidenceStep>| path.iter().map(hop).collect::<Vec<_>>();
            let taken: Vec<_> = listed.iter().map(hops).collect();
            prop_assert_eq!(&taken[..], &expected[..max.min(expected.len())]);
            for step in listed.iter().flatten() {
                let (a, b, verb) = edges[step.relationship as usize];
                let ends = if step.direction == EdgeDirection::Out { (a, b) } else { (b, a) };
                prop_assert_eq!((step.from, step.to, step.verb), (ends.0, ends.1, verb));
            }
        }
    }
}
