//! The whole graph in arrays, for questions that visit much of it.
//!
//! A view is two halves, one per direction, each in compressed rows: the edges of entity `e` stand
//! at `offsets[e]..offsets[e + 1]`, in three parallel arrays.
//!
//!   others         u32   number of the entity at the other end
//!   sorts          u16   position in `edge_sorts` of the view, which tells the verb and, if they are
//!                        known, the types and classes of the ends
//!   relationships  u32   number of the relationship
//!
//! Both halves together take 20 bytes a relationship and 8 bytes an entity. A walk reads `others` in
//! order. It reads `sorts` if not all verbs pass, and `relationships` when its answer is read.
//!
//! A view is immutable and owns its arrays: it shows the state it was built from for as long as it
//! lives, and threads may share it.

use crate::graph::{AdjacencyRead, EdgeDirection, EntityFacts, GraphRead, IncidentEdge};
use rustc_hash::FxHashMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::{ControlFlow, Range};

/// The graph as compact adjacency, readable in both directions.
#[derive(Clone, Debug)]
pub struct GraphView {
    out: AdjacencyArrays,
    into: AdjacencyArrays,
    /// The sorts of edges; the halves hold positions in this list.
    edge_sorts: Vec<EdgeSignature>,
    /// Name numbers of the verbs, each once.
    verbs: Vec<u32>,
    /// Each combination of type and classes of entities, once; empty if these are not known.
    entity_sorts: Vec<EntityFacts>,
}

/// The verb and the two ends that edges of one sort have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EdgeSignature {
    /// Name number of the verb.
    pub(super) verb: u32,
    /// Position of the from end in `entity_sorts`; 0 if its type and classes are not known.
    pub(super) from: u32,
    /// The same of the to end.
    pub(super) to: u32,
}

/// The edges of every entity in one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct AdjacencyArrays {
    offsets: Vec<u32>,
    pub(super) others: Vec<u32>,
    pub(super) sorts: Vec<u16>,
    pub(super) relationships: Vec<u32>,
}

impl AdjacencyArrays {
    /// The positions of the edges of `entity`; empty for a number beyond the bound.
    #[inline]
    pub(super) fn range(&self, entity: u32) -> Range<usize> {
        let (start, end) = self.bounds(entity);
        start as usize..end as usize
    }

    /// [`AdjacencyArrays::range`] in the 32 bits that it is held in.
    #[inline]
    pub(super) fn bounds(&self, entity: u32) -> (u32, u32) {
        match self.offsets.get(entity as usize..).and_then(|rest| rest.first_chunk::<2>()) {
            Some(&[start, end]) => (start, end),
            None => (0, 0),
        }
    }

    /// Reads one edge only to bring it into the cache of the processor, for a walk that comes there
    /// soon: a large view does not fit into it.
    #[inline]
    pub(super) fn prefetch_edge(&self, at: u32) -> u32 {
        self.others.get(at as usize).copied().unwrap_or(0)
    }

    /// Sorts `edges` by the end that `ends` puts first, keeping the order of equal ones.
    fn sort(
        bound: u32,
        edges: &[CompactEdge],
        ends: impl Fn(&CompactEdge) -> (u32, u32),
    ) -> AdjacencyArrays {
        let mut offsets = vec![0u32; bound as usize + 1];
        for edge in edges {
            offsets[ends(edge).0 as usize + 1] += 1;
        }
        let mut total = 0;
        for offset in &mut offsets {
            total += *offset;
            *offset = total;
        }
        // `next` moves on as edges are placed, while `offsets` must stay. Edges are placed in the order of
        // `edges`, which keeps equal ones in order.
        let mut next = offsets.clone();
        let mut half = AdjacencyArrays {
            offsets,
            others: vec![0; edges.len()],
            sorts: vec![0; edges.len()],
            relationships: vec![0; edges.len()],
        };
        for edge in edges {
            let (at, other) = ends(edge);
            let slot = &mut next[at as usize];
            half.others[*slot as usize] = other;
            half.sorts[*slot as usize] = edge.sort;
            half.relationships[*slot as usize] = edge.relationship;
            *slot += 1;
        }
        half
    }
}

/// A relationship while a view is built.
struct CompactEdge {
    from: u32,
    to: u32,
    relationship: u32,
    sort: u16,
}

/// Gives out dense verb numbers in the order in which verbs are first met.
#[derive(Default)]
struct VerbNumbers {
    /// The dense number of verbs with small name numbers, or [`VerbNumbers::NONE`].
    near: Vec<u32>,
    /// The dense numbers of all other verbs.
    far: FxHashMap<u32, u16>,
    names: Vec<u32>,
}

impl VerbNumbers {
    const NONE: u32 = u32::MAX;
    /// Name numbers from here on are far. This bounds `near` to 256 KiB, whatever the dictionary holds.
    const FAR: u32 = 1 << 16;

    /// The dense number of `verb`, or `None` when 65,536 others came before it.
    #[inline]
    fn number(&mut self, verb: u32) -> Option<u16> {
        match self.near.get(verb as usize) {
            Some(&dense) if dense != Self::NONE => Some(dense as u16),
            // Only the first edge of a verb, or a verb far up in the dictionary, takes the slow way.
            _ => self.look_up(verb),
        }
    }

    #[cold]
    fn look_up(&mut self, verb: u32) -> Option<u16> {
        if let Some(&dense) = self.far.get(&verb) {
            return Some(dense);
        }
        let dense = u16::try_from(self.names.len()).ok()?;
        self.names.push(verb);
        if verb >= Self::FAR {
            self.far.insert(verb, dense);
        } else {
            let needed = verb as usize + 1;
            self.near.resize(self.near.len().max(needed), Self::NONE);
            self.near[verb as usize] = dense.into();
        }
        Some(dense)
    }
}

/// One half of a view while it is read, entity by entity.
struct AdjacencyArraysBuilder {
    half: AdjacencyArrays,
    numbers: VerbNumbers,
    bound: u32,
    fault: Option<ViewBuildError<Infallible>>,
}

impl AdjacencyArraysBuilder {
    fn new(bound: u32, expected: usize) -> AdjacencyArraysBuilder {
        let half = AdjacencyArrays {
            offsets: Vec::with_capacity(bound as usize + 1),
            others: Vec::with_capacity(expected),
            sorts: Vec::with_capacity(expected),
            relationships: Vec::with_capacity(expected),
        };
        AdjacencyArraysBuilder { half, numbers: VerbNumbers::default(), bound, fault: None }
    }

    /// Takes the next edge of `entity`. The entities must come in ascending order.
    #[inline]
    fn push(&mut self, entity: u32, edge: IncidentEdge) {
        // The graph calls this for each edge and takes no answer, so an error waits for `finish`.
        if edge.other >= self.bound {
            let (relationship, entity) = (edge.relationship, edge.other);
            self.fault =
                Some(ViewBuildError::BeyondBound { relationship, entity, bound: self.bound });
            return;
        }
        let Some(verb) = self.numbers.number(edge.verb) else {
            self.fault = Some(ViewBuildError::TooManyVerbs);
            return;
        };
        self.begin(entity);
        self.half.others.push(edge.other);
        self.half.sorts.push(verb);
        self.half.relationships.push(edge.relationship);
    }

    /// Notes where the edges of all entities up to `entity` begin.
    #[inline]
    fn begin(&mut self, entity: u32) {
        while self.half.offsets.len() <= entity as usize {
            self.half.offsets.push(self.half.others.len() as u32);
        }
    }

    fn finish(mut self) -> Result<(AdjacencyArrays, VerbNumbers), ViewBuildError<Infallible>> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.half.others.len() > RELATIONSHIPS_MAX {
            return Err(ViewBuildError::TooManyRelationships);
        }
        // Entities after the last edge need offsets too, and one more entry ends the last range.
        self.begin(self.bound);
        Ok((self.half, self.numbers))
    }
}

/// The most relationships of a view: a walk marks the direction in the top bit of a position.
const RELATIONSHIPS_MAX: usize = (1 << 31) - 1;

/// The reason why a view could not be built. `E` is the error of reading the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewBuildError<E> {
    /// The graph could not be read.
    Read(E),
    /// A relationship names an entity that is not below the bound the graph gave.
    BeyondBound {
        /// Number of the relationship.
        relationship: u32,
        /// The entity it names.
        entity: u32,
        /// One more than the largest entity number.
        bound: u32,
    },
    /// More than 65,536 verbs: a view numbers them in 16 bits.
    TooManyVerbs,
    /// More than 65,536 combinations of a verb and the classes and types of both ends: a view that
    /// knows them numbers them in 16 bits.
    TooManySorts,
    /// More than 2,147,483,647 relationships: a view counts them in 31 bits.
    TooManyRelationships,
}

impl<E> ViewBuildError<E> {
    /// The error of a graph that can be read, for any error of reading.
    fn of_graph(error: ViewBuildError<Infallible>) -> ViewBuildError<E> {
        match error {
            ViewBuildError::Read(never) => match never {},
            ViewBuildError::BeyondBound { relationship, entity, bound } => {
                ViewBuildError::BeyondBound { relationship, entity, bound }
            }
            ViewBuildError::TooManyVerbs => ViewBuildError::TooManyVerbs,
            ViewBuildError::TooManySorts => ViewBuildError::TooManySorts,
            ViewBuildError::TooManyRelationships => ViewBuildError::TooManyRelationships,
        }
    }
}

impl<E: fmt::Display> fmt::Display for ViewBuildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewBuildError::Read(error) => error.fmt(f),
            ViewBuildError::BeyondBound { relationship, entity, bound } => write!(
                f,
                "relationship number {relationship} names entity number {entity}, \
                 but the graph has numbers below {bound} only"
            ),
            ViewBuildError::TooManyVerbs => f.write_str("graph has more than 65536 verbs"),
            ViewBuildError::TooManySorts => {
                f.write_str("graph has more than 65536 combinations of verbs and classes of ends")
            }
            ViewBuildError::TooManyRelationships => {
                f.write_str("graph has more than 2147483647 relationships")
            }
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ViewBuildError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ViewBuildError::Read(error) => Some(error),
            _ => None,
        }
    }
}

impl GraphView {
    /// Builds a view of relationships `(from, to, verb, relationship)` between entities below
    /// `entity_bound`, in any order. Edges of one entity keep the order in which they came.
    ///
    /// O(entities + relationships), by counting.
    ///
    /// # Errors
    ///
    /// Everything [`ViewBuildError`] names but [`ViewBuildError::Read`].
    pub fn from_edges(
        entity_bound: u32,
        edges: impl IntoIterator<Item = (u32, u32, u32, u32)>,
    ) -> Result<GraphView, ViewBuildError<Infallible>> {
        let mut numbers = VerbNumbers::default();
        let mut rows = Vec::new();
        for (from, to, verb, relationship) in edges {
            let entity = from.max(to);
            if entity >= entity_bound {
                let bound = entity_bound;
                return Err(ViewBuildError::BeyondBound { relationship, entity, bound });
            }
            let verb = numbers.number(verb).ok_or(ViewBuildError::TooManyVerbs)?;
            rows.push(CompactEdge { from, to, relationship, sort: verb });
        }
        if rows.len() > RELATIONSHIPS_MAX {
            return Err(ViewBuildError::TooManyRelationships);
        }
        Ok(GraphView::by_verb(
            AdjacencyArrays::sort(entity_bound, &rows, |edge| (edge.from, edge.to)),
            AdjacencyArrays::sort(entity_bound, &rows, |edge| (edge.to, edge.from)),
            numbers.names,
        ))
    }

    /// Builds a view of all that `graph` shows. It reads the graph once in each direction, in
    /// ascending order, because a file is read fastest in that order. A graph that can do so reads
    /// both directions at the same time.
    ///
    /// # Errors
    ///
    /// Everything [`ViewBuildError`] names.
    pub fn build<A: AdjacencyRead>(graph: &A) -> Result<GraphView, ViewBuildError<A::Error>> {
        let (bound, expected) = (graph.entity_bound(), graph.relationships_expected());
        let mut out = AdjacencyArraysBuilder::new(bound, expected);
        let mut into = AdjacencyArraysBuilder::new(bound, expected);
        graph
            .for_each_edge_both_ways(
                |entity, edge| out.push(entity, edge),
                |entity, edge| into.push(entity, edge),
            )
            .map_err(ViewBuildError::Read)?;
        let whole =
            |reading: AdjacencyArraysBuilder| reading.finish().map_err(ViewBuildError::of_graph);
        let (out, mut numbers) = whole(out)?;
        let (mut into, theirs) = whole(into)?;
        // Each half has met the verbs in its own order.
        let dense: Option<Vec<u16>> =
            theirs.names.iter().map(|&verb| numbers.number(verb)).collect();
        let dense = dense.ok_or(ViewBuildError::TooManyVerbs)?;
        // Where both halves met the verbs in the same order, their numbers agree already.
        if !dense.iter().copied().eq(0..dense.len() as u16) {
            into.sorts.iter_mut().for_each(|verb| *verb = dense[*verb as usize]);
        }
        Ok(GraphView::by_verb(out, into, numbers.names))
    }

    /// A view in which the sort of an edge is its verb alone.
    fn by_verb(out: AdjacencyArrays, into: AdjacencyArrays, verbs: Vec<u32>) -> GraphView {
        let edge_sorts = verbs.iter().map(|&verb| EdgeSignature { verb, from: 0, to: 0 }).collect();
        GraphView { out, into, edge_sorts, verbs, entity_sorts: Vec::new() }
    }

    /// [`GraphView::build`], with the types and classes of the ends of relationships, which
    /// [`GraphView::under`] needs. O(entities + relationships) more.
    ///
    /// # Errors
    ///
    /// Everything [`ViewBuildError`] names.
    pub fn of<G: GraphRead>(graph: &G) -> Result<GraphView, ViewBuildError<G::Error>> {
        let mut view = GraphView::build(graph)?;
        let mut numbers: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        let nameless = EntityFacts { scope: 0, type_name: 0, classes: 0, live: false };
        // Number 0 is for entities of which nothing is known; none of them has edges.
        view.entity_sorts.push(nameless);
        let mut sort_of = vec![0u32; view.entity_bound() as usize];
        let sorts = &mut view.entity_sorts;
        graph
            .scan(|entity, facts| -> Result<ControlFlow<()>, G::Error> {
                let next = sorts.len() as u32;
                let sort = *numbers.entry((facts.type_name, facts.classes)).or_insert(next);
                if sort == next {
                    sorts.push(facts);
                }
                // An entity beyond the bound has no edges in the view, so nobody asks for its sort.
                if let Some(slot) = sort_of.get_mut(entity as usize) {
                    *slot = sort;
                }
                Ok(ControlFlow::Continue(()))
            })
            .map_err(ViewBuildError::Read)?;
        match view.number_edge_signatures(&sort_of) {
            true => Ok(view),
            false => Err(ViewBuildError::TooManySorts),
        }
    }

    /// Gives edges sorts by verb and by the sorts of both ends; false if there are too many sorts.
    fn number_edge_signatures(&mut self, sort_of: &[u32]) -> bool {
        let by_verb = std::mem::take(&mut self.edge_sorts);
        // One map for both halves, so that a relationship has the same sort seen from either end.
        let mut numbers: FxHashMap<EdgeSignature, u16> = FxHashMap::default();
        for (half, turned) in [(&mut self.out, false), (&mut self.into, true)] {
            for (entity, &here) in sort_of.iter().enumerate() {
                let range = half.range(entity as u32);
                let edges = half.others[range.clone()].iter().zip(&mut half.sorts[range]);
                for (&other, slot) in edges {
                    // In the half against the arrows, `entity` is the to end.
                    let there = sort_of[other as usize];
                    let (from, to) = if turned { (there, here) } else { (here, there) };
                    let sort = EdgeSignature { from, to, ..by_verb[usize::from(*slot)] };
                    *slot = match numbers.get(&sort) {
                        Some(&number) => number,
                        None => {
                            let Ok(next) = u16::try_from(self.edge_sorts.len()) else {
                                return false;
                            };
                            self.edge_sorts.push(sort);
                            numbers.insert(sort, next);
                            next
                        }
                    };
                }
            }
        }
        true
    }

    pub(super) fn edge_sorts(&self) -> &[EdgeSignature] {
        &self.edge_sorts
    }

    pub(super) fn entity_sorts(&self) -> &[EntityFacts] {
        &self.entity_sorts
    }

    /// One more than the largest entity number. Numbers without an entity have no edges.
    pub fn entity_bound(&self) -> u32 {
        (self.out.offsets.len() - 1) as u32
    }

    /// Number of relationships in the view.
    pub fn relationship_count(&self) -> usize {
        self.out.others.len()
    }

    /// Name numbers of the verbs in use, each once, in the order in which they were met.
    pub fn verbs(&self) -> &[u32] {
        &self.verbs
    }

    /// The edges of `entity` in `direction`; none for a number beyond the bound.
    pub fn edges_of(
        &self,
        entity: u32,
        direction: EdgeDirection,
    ) -> impl ExactSizeIterator<Item = IncidentEdge> + '_ {
        let half = self.half(direction);
        half.range(entity).map(move |at| self.edge_at(half, at))
    }

    pub(super) fn half(&self, direction: EdgeDirection) -> &AdjacencyArrays {
        match direction {
            EdgeDirection::Out => &self.out,
            EdgeDirection::In => &self.into,
        }
    }

    #[inline]
    pub(super) fn edge_at(&self, half: &AdjacencyArrays, at: usize) -> IncidentEdge {
        IncidentEdge {
            other: half.others[at],
            verb: self.edge_sorts[half.sorts[at] as usize].verb,
            relationship: half.relationships[at],
            label: IncidentEdge::UNLABELLED,
        }
    }
}

impl AdjacencyRead for GraphView {
    type Error = Infallible;

    fn entity_bound(&self) -> u32 {
        self.entity_bound()
    }

    #[inline]
    fn for_each_edge(
        &self,
        entity: u32,
        direction: EdgeDirection,
        mut visit: impl FnMut(IncidentEdge),
    ) -> Result<(), Infallible> {
        let half = self.half(direction);
        let range = half.range(entity);
        // Slices are checked against their bounds once, where positions would be checked for each edge.
        let ends = half.others[range.clone()].iter().zip(&half.sorts[range.clone()]);
        for ((&other, &sort), &relationship) in ends.zip(&half.relationships[range]) {
            let (verb, label) = (self.edge_sorts[sort as usize].verb, IncidentEdge::UNLABELLED);
            visit(IncidentEdge { other, verb, relationship, label });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use proptest::prelude::*;

    fn listed(view: &GraphView, direction: EdgeDirection) -> Vec<(u32, IncidentEdge)> {
        let mut all = Vec::new();
        for entity in 0..view.entity_bound() {
            view.for_each_edge(entity, direction, |edge| all.push((entity, edge)))
                .unwrap_or_else(|never| match never {});
        }
        all
    }

    #[test]
    fn an_empty_view_has_no_edges() {
        let view = testing::view(0, &[]);
        assert_eq!((view.entity_bound(), view.relationship_count()), (0, 0));
        assert_eq!(view.edges_of(7, EdgeDirection::Out).len(), 0);
    }

    #[test]
    fn verbs_keep_their_name_numbers() {
        let view = testing::view(3, &[(0, 1, 900), (1, 2, 7), (0, 2, 900)]);
        assert_eq!(view.verbs(), [900, 7]);
        let verbs: Vec<_> = view.edges_of(2, EdgeDirection::In).map(|edge| edge.verb).collect();
        assert_eq!(verbs, [7, 900]);
    }

    #[test]
    fn an_end_beyond_the_bound_is_refused() {
        let error = GraphView::from_edges(2, [(0, 2, 0, 5)]).unwrap_err();
        assert_eq!(error, ViewBuildError::BeyondBound { relationship: 5, entity: 2, bound: 2 });
        assert_eq!(
            error.to_string(),
            "relationship number 5 names entity number 2, but the graph has numbers below 2 only"
        );
    }

    #[test]
    fn the_verb_that_16_bits_cannot_number_is_refused() {
        let edges = |count: u32| (0..count).map(|verb| (0, 0, verb, verb));
        assert!(GraphView::from_edges(1, edges(65_536)).is_ok());
        assert_eq!(
            GraphView::from_edges(1, edges(65_537)).unwrap_err(),
            ViewBuildError::TooManyVerbs
        );
    }

    proptest! {
        #[test]
        fn both_halves_hold_the_same_relationships(edges in testing::edges()) {
            let view = testing::view(12, &edges);
            let mut expected = testing::rows(&edges);
            expected.sort_unstable();
            let mut out: Vec<_> = listed(&view, EdgeDirection::Out).into_iter()
                .map(|(at, edge)| (at, edge.other, edge.verb, edge.relationship)).collect();
            out.sort_unstable();
            prop_assert_eq!(&out, &expected);
            let mut into: Vec<_> = listed(&view, EdgeDirection::In).into_iter()
                .map(|(at, edge)| (edge.other, at, edge.verb, edge.relationship)).collect();
            into.sort_unstable();
            prop_assert_eq!(&into, &expected);
        }

        #[test]
        fn a_view_of_a_view_is_the_same(edges in testing::edges()) {
            let view = testing::view(12, &edges);
            let again = GraphView::build(&view).expect("a view can be read");
            for direction in [EdgeDirection::Out, EdgeDirection::In] {
                prop_assert_eq!(listed(&view, direction), listed(&again, direction));
            }
        }
    }
}
