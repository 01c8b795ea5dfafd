//! The plain walk: everything that can be reached from some entities along verbs that were chosen.
//!
//! It is a breadth-first walk. Each verb has a flow: it is taken with the arrow, against it, both ways
//! or not at all. The classes of the ends make no difference, unlike in [`impact`](super::impact()).
//! Each entity is reported once, at its least distance, with the last step of one shortest chain;
//! [`chain_to`] puts the whole chain together.

use super::graph_view::AdjacencyArrays;
use super::scratch_bits::ScratchBits;
use super::verb_table::VerbTable;
use super::{EvidenceStep, FlowDirection, GraphView, WalkDirection};
use crate::graph::{AdjacencyRead, EdgeDirection, IncidentEdge};

/// An entity that is reached, with the last step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityVisit {
    /// Number of the entity.
    pub entity: u32,
    /// Number of steps from the nearest root; at least 1.
    pub distance: u32,
    /// The entity of the step before: a root, or one that stands earlier in the answer.
    pub from: u32,
    /// The relationship taken from there.
    pub relationship: u32,
    /// Name number of its verb.
    pub verb: u32,
    /// Number of its label, where the graph has labels: see [`IncidentEdge::label`].
    pub label: u32,
    /// [`EdgeDirection::Out`] if the relationship points from `from` to `entity`.
    pub direction: EdgeDirection,
}

impl EntityVisit {
    /// The last step of the chain that reaches this entity.
    pub fn step(&self) -> EvidenceStep {
        EvidenceStep {
            from: self.from,
            to: self.entity,
            relationship: self.relationship,
            verb: self.verb,
            label: self.label,
            direction: self.direction,
        }
    }
}

const OUT: u8 = 1;
const IN: u8 = 2;

const fn bit(direction: EdgeDirection) -> u8 {
    match direction {
        EdgeDirection::Out => OUT,
        EdgeDirection::In => IN,
    }
}

/// The flow of each verb of one graph, by name number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerbFlows(VerbTable<FlowDirection>);

impl VerbFlows {
    /// Flows in which every verb has `flow`.
    pub fn uniform(flow: FlowDirection) -> VerbFlows {
        VerbFlows(VerbTable::new(flow))
    }

    /// The same flows with another one for `verb`.
    #[must_use]
    pub fn with(mut self, verb: u32, flow: FlowDirection) -> VerbFlows {
        self.0.set(verb, flow);
        self
    }
}

/// The relationships that a walk takes, and its greatest distance.
#[derive(Clone, Debug)]
pub struct BlastRules {
    /// For each verb, the directions (`OUT`, `IN`) in which impact passes.
    passes: VerbTable<u8>,
    depth: Option<u32>,
}

impl BlastRules {
    /// Rules by which impact passes along `flows`. If `way` is given, every verb passes that way instead.
    /// If `verbs` (name numbers) are given, no other verb passes. `depth` bounds the distance.
    pub fn new(
        flows: &VerbFlows,
        way: Option<WalkDirection>,
        verbs: Option<&[u32]>,
        depth: Option<u32>,
    ) -> BlastRules {
        // Asked once for each verb here, so that a walk reads one byte for an edge.
        let all = flows.0.map(|flow| match (way, flow) {
            (Some(WalkDirection::Out), _) | (None, FlowDirection::Forward) => OUT,
            (Some(WalkDirection::In), _) | (None, FlowDirection::Reverse) => IN,
            (Some(WalkDirection::Both), _) | (None, FlowDirection::Both) => OUT | IN,
            (None, FlowDirection::None) => 0,
        });
        let passes = match verbs {
            None => all,
            Some(verbs) => {
                let mut some = VerbTable::new(0);
                verbs.iter().for_each(|&verb| some.set(verb, all.of(verb)));
                some
            }
        };
        BlastRules { passes, depth }
    }

    /// True if an edge with `verb`, found looking in `direction`, passes impact on.
    pub fn pass(&self, verb: u32, direction: EdgeDirection) -> bool {
        self.passes.of(verb) & bit(direction) != 0
    }
}

/// The memory of a walk, to be used again for the next one: the marks of entities that it has met,
/// and for a walk on a [`GraphView`] the queue.
///
/// It takes one bit for each entity, and eight bytes for each that is reached.
#[derive(Debug, Default)]
pub struct BlastScratch {
    marks: ScratchBits<64>,
    /// The entities that the last walk on a view has met, in order; see [`PackedVisit`].
    queue: Vec<PackedVisit>,
    /// Number of entries of `queue` within each distance, from 1 on.
    levels: Vec<u32>,
}

impl BlastScratch {
    /// A scratch for graphs of any size; it takes memory when first used.
    pub fn new() -> BlastScratch {
        BlastScratch::default()
    }

    /// Makes room for all entities, and for one more entry: [`AdjacencyArrays::meet`] writes behind the last one
    /// without keeping it.
    fn prepare_queue(&mut self, bound: u32) {
        let needed = bound as usize + 1;
        if self.queue.len() < needed {
            self.queue = vec![0; needed];
        }
        self.levels.clear();
    }
}

/// An entity that a walk on a view has met, in the low 32 bits. The high 32 bits hold the position of
/// the edge that led there, among the edges of its direction; [`AGAINST`] is set if it was met against
/// the arrow. It is an integer, because zeroed memory for integers costs nothing until it is used.
type PackedVisit = u64;

/// Marks a position among the edges that are looked at against the arrow.
const AGAINST: u32 = 1 << 31;

const fn direction_mark(direction: EdgeDirection) -> u32 {
    match direction {
        EdgeDirection::Out => 0,
        EdgeDirection::In => AGAINST,
    }
}

/// Marks an entity; true if it was new. Numbers beyond the bound are never new.
#[inline]
fn mark(words: &mut [u64], entity: u32) -> bool {
    let mask = 1 << (entity % 64);
    match words.get_mut(entity as usize / 64) {
        Some(word) if *word & mask == 0 => {
            *word |= mask;
            true
        }
        _ => false,
    }
}

/// A walk under way: the marks of entities that it has met, and those reached, which are its queue as
/// well.
struct PlainWalk<'a> {
    words: &'a mut [u64],
    reached: Vec<EntityVisit>,
}

impl PlainWalk<'_> {
    #[inline]
    fn visit_ends(
        &mut self,
        from: u32,
        distance: u32,
        edge: IncidentEdge,
        direction: EdgeDirection,
    ) {
        let IncidentEdge { other: entity, relationship, verb, label } = edge;
        if mark(self.words, entity) {
            let how = EntityVisit { entity, distance, from, relationship, verb, label, direction };
            self.reached.push(how);
        }
    }
}

/// The breadth-first walk. It calls `expand` with each entity to leave, and with the distance of the
/// entities that it meets from there.
#[inline]
fn walk<E>(
    bound: u32,
    roots: &[u32],
    depth: Option<u32>,
    scratch: &mut BlastScratch,
    mut expand: impl FnMut(&mut PlainWalk<'_>, u32, u32) -> Result<(), E>,
) -> Result<Vec<EntityVisit>, E> {
    scratch.marks.begin(bound);
    let mut walk = PlainWalk { words: &mut scratch.marks.words, reached: Vec::new() };
    // All roots are marked before the first is left, so no root is reached from another.
    for &root in roots {
        mark(walk.words, root);
    }
    let limit = depth.unwrap_or(u32::MAX);
    // An error does not return at once: the marks are wiped first, so that the scratch can be used again.
    let mut outcome = Ok(());
    if limit > 0 {
        outcome = roots.iter().try_for_each(|&root| expand(&mut walk, root, 1));
    }
    let mut next = 0;
    while let (Ok(()), Some(&EntityVisit { entity, distance, .. })) =
        (&outcome, walk.reached.get(next))
    {
        if distance >= limit {
            break;
        }
        outcome = expand(&mut walk, entity, distance + 1);
        next += 1;
    }
    let reached = walk.reached;
    scratch.marks.end(roots, reached.iter().map(|r| r.entity));
    outcome.map(|()| reached)
}

/// Returns everything that impact reaches from `roots`, without the roots, nearest first.
///
/// Distances are exact. Entities at one distance stand in the order in which the walk met them. The
/// order of roots and edges decides it, so the same snapshot gives the same answer. Each step
/// looks with the arrows first, and in a direction only if some verb passes it.
///
/// O(reached entities and their edges). On a [`GraphView`],
/// [`GraphView::blast_radius`] gives the same answer sooner.
///
/// # Errors
///
/// The error of reading `graph`; `scratch` stays fit for use.
pub fn blast_radius<A: AdjacencyRead>(
    graph: &A,
    roots: &[u32],
    rules: &BlastRules,
    scratch: &mut BlastScratch,
) -> Result<Vec<EntityVisit>, A::Error> {
    let looks = [EdgeDirection::Out, EdgeDirection::In]
        .map(|direction| (direction, rules.passes.any(|passes| passes & bit(direction) != 0)));
    walk(graph.entity_bound(), roots, rules.depth, scratch, |walk, from, distance| {
        for (direction, looks) in looks {
            if looks {
                graph.for_each_edge(from, direction, |edge| {
                    if rules.pass(edge.verb, direction) {
                        walk.visit_ends(from, distance, edge, direction);
                    }
                })?;
            }
        }
        Ok(())
    })
}

/// The verbs of one view that a direction lets through: none, some or all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DirectionGate {
    Closed,
    Some,
    Open,
}

/// Number of entities that a walk on a view leaves together, so that as many reads of main memory
/// overlap, instead of waiting for each other.
const BLOCK: usize = 32;

impl GraphView {
    /// [`blast_radius`] on the arrays of this view: the same answer in the same order.
    pub fn blast_radius(
        &self,
        roots: &[u32],
        rules: &BlastRules,
        scratch: &mut BlastScratch,
    ) -> Vec<EntityVisit> {
        self.reach(roots, rules, scratch).iter().collect()
    }

    /// [`GraphView::blast_radius`], left in `scratch`. Relationships and verbs are looked up only when
    /// they are asked for, so counting the entities reached never reads them.
    pub fn reach<'a>(
        &'a self,
        roots: &'a [u32],
        rules: &BlastRules,
        scratch: &'a mut BlastScratch,
    ) -> ReachSet<'a> {
        let passes: Vec<u8> =
            self.edge_sorts().iter().map(|sort| rules.passes.of(sort.verb)).collect();
        // A closed direction is not looked in, and through an open one the walk need not read the sorts.
        let gate = |bit: u8| match passes.iter().filter(|passes| *passes & bit != 0).count() {
            0 => DirectionGate::Closed,
            open if open == passes.len() => DirectionGate::Open,
            _ => DirectionGate::Some,
        };
        let gates = [(EdgeDirection::Out, gate(OUT)), (EdgeDirection::In, gate(IN))];
        let open = gates.iter().filter(|(_, gate)| *gate != DirectionGate::Closed);
        let looks: Vec<(EdgeDirection, DirectionGate)> = open.copied().collect();
        scratch.marks.begin(self.entity_bound());
        scratch.prepare_queue(self.entity_bound());
        for &root in roots {
            mark(&mut scratch.marks.words, root);
        }
        let (words, queue) = (&mut scratch.marks.words[..], &mut scratch.queue[..]);
        let limit = rules.depth.unwrap_or(u32::MAX);
        let (mut len, mut next, mut depth) = (0, 0, 0);
        // The ranges of the edges of the entities of a block, by direction.
        let mut ranges = [[(0, 0); BLOCK]; 2];
        let mut leave = |block: &[u32], queue: &mut [PackedVisit], mut len: usize| {
            let mut touched = 0;
            for (&(direction, _), ranges) in looks.iter().zip(&mut ranges) {
                let half = self.half(direction);
                for (&from, range) in block.iter().zip(ranges.iter_mut()) {
                    *range = half.bounds(from);
                }
                for &(start, _) in &ranges[..block.len()] {
                    touched ^= half.prefetch_edge(start);
                }
            }
            // Without a use of the result, the compiler would drop the reads.
            std::hint::black_box(touched);
            for i in 0..block.len() {
                for (&(direction, gate), ranges) in looks.iter().zip(&ranges) {
                    let half = self.half(direction);
                    let side = (direction_mark(direction), bit(direction));
                    // Where every verb passes, `meet` does not read the sorts at all.
                    let passes = (gate == DirectionGate::Some).then_some(&passes[..]);
                    len = half.visit_ends(ranges[i], side, passes, words, queue, len);
                }
            }
            len
        };
        if limit > 0 {
            for roots in roots.chunks(BLOCK) {
                len = leave(roots, queue, len);
            }
        }
        while next < len {
            depth += 1;
            let end = len;
            scratch.levels.push(end as u32);
            if depth >= limit {
                break;
            }
            while next < end {
                let mut block = [0; BLOCK];
                let count = BLOCK.min(end - next);
                for (from, met) in block.iter_mut().zip(&queue[next..next + count]) {
                    *from = *met as u32;
                }
                len = leave(&block[..count], queue, len);
                next += count;
            }
        }
        scratch.marks.end(roots, queue[..len].iter().map(|&met| met as u32));
        ReachSet { view: self, roots, met: &scratch.queue[..len], levels: &scratch.levels }
    }
}

impl AdjacencyArrays {
    /// Meets the other ends of the edges in a range, for the verbs that `passes` lets through, and
    /// returns the new length of the queue.
    ///
    /// No branch predictor knows if an entity is new, so there is no branch: each entity is written to
    /// the end of the queue, which then grows by one or not.
    #[inline]
    fn visit_ends(
        &self,
        (start, end): (u32, u32),
        (side, bit): (u32, u8),
        passes: Option<&[u8]>,
        words: &mut [u64],
        queue: &mut [PackedVisit],
        mut len: usize,
    ) -> usize {
        let mut meet = |other: u32, at: u32, pass: bool| {
            // Every number is below the bound, as was seen when the view was built.
            let word = &mut words[other as usize / 64];
            let mask = u64::from(pass) << (other % 64);
            let fresh = !*word & mask != 0;
            *word |= mask;
            queue[len] = u64::from(at | side) << 32 | u64::from(other);
            len += usize::from(fresh);
        };
        let range = start as usize..end as usize;
        let others = self.others[range.clone()].iter().zip(start..);
        match passes {
            None => others.for_each(|(&other, at)| meet(other, at, true)),
            Some(passes) => others
                .zip(&self.sorts[range])
                .for_each(|((&o, at), &verb)| meet(o, at, passes[verb as usize] & bit != 0)),
        }
        len
    }
}

/// The entities that a walk on a view has reached, nearest first, in the order of the walk.
#[derive(Clone, Copy, Debug)]
pub struct ReachSet<'a> {
    view: &'a GraphView,
    roots: &'a [u32],
    met: &'a [PackedVisit],
    levels: &'a [u32],
}

impl<'a> ReachSet<'a> {
    /// Number of entities that are reached.
    pub fn len(&self) -> usize {
        self.met.len()
    }

    /// True if no entity is reached.
    pub fn is_empty(&self) -> bool {
        self.met.is_empty()
    }

    /// The numbers of the entities.
    pub fn entities(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.met.iter().map(|&met| met as u32)
    }

    /// Number of entities at each distance, from 1 on; none of the counts is 0.
    pub fn by_distance(&self) -> impl Iterator<Item = (u32, usize)> + 'a {
        let starts = std::iter::once(0).chain(self.levels.iter().copied());
        let counts = starts.zip(self.levels).map(|(start, end)| (end - start) as usize);
        (1..).zip(counts)
    }

    /// Each entity with the last step of its chain.
    pub fn iter(&self) -> impl Iterator<Item = EntityVisit> + 'a {
        let ReachSet { view, roots, met, levels } = *self;
        let distances = (1..).zip(levels).scan(0, |start, (distance, &end)| {
            Some(std::iter::repeat_n(distance, (end - std::mem::replace(start, end)) as usize))
        });
        // The walk leaves entities in the order in which it met them, so those that steps come from
        // stand in the same order as the entities that they lead to.
        let mut left = roots.iter().copied().chain(self.entities()).peekable();
        met.iter().zip(distances.flatten()).filter_map(move |(&met, distance)| {
            let (entity, at) = (met as u32, (met >> 32) as u32);
            let direction = if at & AGAINST == 0 { EdgeDirection::Out } else { EdgeDirection::In };
            let (half, at) = (view.half(direction), (at & !AGAINST) as usize);
            while left.next_if(|&from| !half.range(from).contains(&at)).is_some() {}
            let from = *left.peek()?;
            let IncidentEdge { relationship, verb, label, .. } = view.edge_at(half, at);
            Some(EntityVisit { entity, distance, from, relationship, verb, label, direction })
        })
    }
}

/// The shortest chain from a root to `entity` in the answer of a blast radius; `None` if `entity` is
/// not in the answer.
///
/// O(answer): one pass backwards, since every step stands after the one before it.
pub fn chain_to(reached: &[EntityVisit], entity: u32) -> Option<Vec<EvidenceStep>> {
    let mut chain = Vec::new();
    let mut wanted = entity;
    for last in reached.iter().rev() {
        if last.entity == wanted {
            wanted = last.from;
            chain.push(last.step());
        }
    }
    chain.reverse();
    (!chain.is_empty()).then_some(chain)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Runs both the general walk and the one on arrays, which must agree.
    fn ask(view: &GraphView, roots: &[u32], rules: &BlastRules) -> Vec<EntityVisit> {
        let mut scratch = BlastScratch::new();
        let general =
            blast_radius(view, roots, rules, &mut scratch).unwrap_or_else(|never| match never {});
        assert_eq!(view.blast_radius(roots, rules, &mut scratch), general);
        let reach = view.reach(roots, rules, &mut scratch);
        assert!(reach.entities().eq(general.iter().map(|r| r.entity)));
        for (distance, count) in reach.by_distance() {
            assert_eq!(general.iter().filter(|r| r.distance == distance).count(), count);
        }
        assert_eq!(reach.by_distance().map(|(_, count)| count).sum::<usize>(), reach.len());
        assert!(scratch.marks.words.iter().all(|word| *word == 0), "the scratch is left clear");
        general
    }

    fn distances(reached: &[EntityVisit]) -> Vec<(u32, u32)> {
        reached.iter().map(|r| (r.entity, r.distance)).collect()
    }

    /// Verbs of the tests: 0 forward, 1 reverse, 2 both, 3 none.
    fn flows() -> VerbFlows {
        let flows = VerbFlows::uniform(FlowDirection::Forward).with(1, FlowDirection::Reverse);
        flows.with(2, FlowDirection::Both).with(3, FlowDirection::None)
    }

    fn auto(depth: Option<u32>) -> BlastRules {
        BlastRules::new(&flows(), None, None, depth)
    }

    #[test]
    fn each_verb_is_taken_its_own_way() {
        let view = testing::view(3, &[(0, 1, 1), (1, 2, 1)]);
        assert_eq!(distances(&ask(&view, &[2], &auto(None))), [(1, 1), (0, 2)]);
        assert_eq!(distances(&ask(&view, &[0], &auto(None))), []);
    }

    #[test]
    fn depth_bounds_the_distance() {
        let view = testing::view(4, &[(0, 1, 0), (1, 2, 0), (2, 3, 0)]);
        for (depth, count) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3)] {
            assert_eq!(ask(&view, &[0], &auto(Some(depth))).len(), count, "depth {depth}");
        }
    }

    #[test]
    fn a_given_way_overrides_the_flow_of_verbs() {
        let view = testing::view(3, &[(0, 1, 3), (2, 0, 3)]);
        assert_eq!(ask(&view, &[0], &auto(None)), []);
        for (way, expected) in [
            (WalkDirection::Out, vec![(1, 1)]),
            (WalkDirection::In, vec![(2, 1)]),
            (WalkDirection::Both, vec![(1, 1), (2, 1)]),
        ] {
            let rules = BlastRules::new(&flows(), Some(way), None, None);
            assert_eq!(distances(&ask(&view, &[0], &rules)), expected);
        }
    }

    #[test]
    fn only_given_verbs_pass() {
        let view = testing::view(4, &[(0, 1, 0), (2, 0, 1), (0, 3, 2)]);
        let rules = BlastRules::new(&flows(), None, Some(&[1, 3]), None);
        assert_eq!(distances(&ask(&view, &[0], &rules)), [(2, 1)]);
        let rules = BlastRules::new(&flows(), None, Some(&[]), None);
        assert_eq!(ask(&view, &[0], &rules), []);
    }

    #[test]
    fn roots_are_never_reached() {
        let view = testing::view(3, &[(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 2, 0)]);
        assert_eq!(distances(&ask(&view, &[0, 1, 0], &auto(None))), [(2, 1)]);
    }

    #[test]
    fn a_root_beyond_the_bound_reaches_nothing() {
        let view = testing::view(1, &[]);
        assert_eq!(ask(&view, &[7_000], &auto(None)), []);
    }

    #[test]
    fn the_chain_leads_from_the_root_to_the_entity() {
        let view = testing::view(4, &[(0, 1, 0), (2, 1, 1), (2, 3, 0)]);
        let reached = ask(&view, &[0], &auto(None));
        let chain = chain_to(&reached, 3).expect("3 is reached");
        let steps: Vec<_> = chain.iter().map(|s| (s.from, s.to, s.direction)).collect();
        let (out, back) = (EdgeDirection::Out, EdgeDirection::In);
        assert_eq!(steps, [(0, 1, out), (1, 2, back), (2, 3, out)]);
        assert_eq!(chain_to(&reached, 0), None);
    }

    /// A graph whose third reading fails.
    struct Failing<'a>(&'a GraphView, std::cell::Cell<u32>);

    impl AdjacencyRead for Failing<'_> {
        type Error = &'static str;
        fn entity_bound(&self) -> u32 {
            self.0.entity_bound()
        }
        fn for_each_edge(
            &self,
            entity: u32,
            direction: EdgeDirection,
            visit: impl FnMut(IncidentEdge),
        ) -> Result<(), &'static str> {
            self.1.set(self.1.get() + 1);
            if self.1.get() == 3 {
                return Err("disk on fire");
            }
            self.0.for_each_edge(entity, direction, visit).map_err(|never| match never {})
        }
    }

    #[test]
    fn a_failed_walk_leaves_the_scratch_fit_for_use() {
        let view = testing::view(3, &[(0, 1, 0), (1, 2, 0)]);
        let mut scratch = BlastScratch::new();
        let failing = Failing(&view, Default::default());
        assert_eq!(blast_radius(&failing, &[0], &auto(None), &mut scratch), Err("disk on fire"));
        assert_eq!(view.blast_radius(&[0], &auto(None), &mut scratch).len(), 2);
    }

    /// Distances by relaxing every relationship until nothing changes.
    fn naive(
        edges: &[(u32, u32, u32)],
        roots: &[u32],
        pass: impl Fn(u32, EdgeDirection) -> bool,
        depth: u32,
    ) -> BTreeMap<u32, u32> {
        let mut best: BTreeMap<u32, u32> = roots.iter().map(|&root| (root, 0)).collect();
        loop {
            let before = best.clone();
            for &(from, to, verb) in edges {
                for (a, b, direction) in
                    [(from, to, EdgeDirection::Out), (to, from, EdgeDirection::In)]
                {
                    let Some(&at) = best.get(&a) else { continue };
                    if pass(verb, direction) && at < depth {
                        let old = best.entry(b).or_insert(u32::MAX);
                        *old = (*old).min(at + 1);
                    }
                }
            }
            if best == before {
                best.retain(|_, distance| *distance > 0);
                return best;
            }
        }
    }

    proptest! {
        #[test]
        fn distances_are_shortest_and_chains_hold(
            edges in testing::edges(),
            roots in prop::collection::vec(0u32..12, 0..3),
            way in prop::sample::select(vec![None, Some(WalkDirection::Out), Some(WalkDirection::In), Some(WalkDirection::Both)]),
            verbs in prop::option::of(prop::collection::vec(0u32..5, 0..4)),
            depth in prop::option::of(0u32..5),
        ) {
            let view = testing::view(12, &edges);
            let rules = BlastRules::new(&flows(), way, verbs.as_deref(), depth);
            let reached = ask(&view, &roots, &rules);
            let pass = |verb: u32, direction: EdgeDirection| {
                let along = match way {
                    Some(way) => way.directions(),
                    None => [WalkDirection::Out.directions(), WalkDirection::In.directions(), WalkDirection::Both.directions(),
                        &[]][verb as usize],
                };
                along.contains(&direction) && super::super::passes(verbs.as_deref(), verb)
            };
            let expected = naive(&edges, &roots, pass, depth.unwrap_or(u32::MAX));
            prop_assert_eq!(reached.iter().map(|r| (r.entity, r.distance)).collect::<BTreeMap<_, _>>(), expected);
            prop_assert!(reached.is_sorted_by_key(|r| r.distance));
            for r in &reached {
                let chain = chain_to(&reached, r.entity).expect("reached");
                prop_assert_eq!(chain.len() as u32, r.distance);
                prop_assert!(roots.contains(&chain[0].from));
                prop_assert!(chain.windows(2).all(|pair| pair[0].to == pair[1].from));
                for step in chain {
                    let (from, to, verb) = edges[step.relationship as usize];
                    let ends = if step.direction == EdgeDirection::Out { (from, to) } else { (to, from) };
                    prop_assert_eq!((step.from, step.to, step.verb), (ends.0, ends.1, verb));
                    prop_assert!(pass(verb, step.direction));
                }
            }
        }
    }
}
