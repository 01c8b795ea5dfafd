//! The whole graph in arrays: what a question that visits much of it runs on.
//!
//! A view is two halves, one per direction, each in compressed rows: the edges of entity `e` stand
//! at `offsets[e]..offsets[e + 1]`, in three parallel arrays.
//!
//!   others         u32   number of the entity at the other end
//!   verbs          u16   position in `verbs` of the view, which holds name numbers
//!   relationships  u32   number of the relationship
//!
//! That is 20 bytes a relationship and 8 an entity, both halves together. A walk reads others
//! in order, verbs if not all of them pass, and relationships when its answer is read.
//!
//! A view is immutable and owns its arrays: it shows the state it was built from for as long as it
//! lives, and threads may share it.

use crate::graph::{Adjacency, Direction, Edge};
use rustc_hash::FxHashMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::Range;

/// The graph as compact adjacency, readable in both directions.
#[derive(Clone, Debug)]
pub struct GraphView {
    out: Half,
    into: Half,
    /// Name numbers of the verbs, by the dense numbers that the halves hold.
    verbs: Vec<u32>,
}

/// The edges of every entity in one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Half {
    offsets: Vec<u32>,
    pub(super) others: Vec<u32>,
    pub(super) verbs: Vec<u16>,
    pub(super) relationships: Vec<u32>,
}

impl Half {
    /// Where the edges of `entity` stand; empty for a number beyond the bound.
    #[inline]
    pub(super) fn range(&self, entity: u32) -> Range<usize> {
        let (start, end) = self.bounds(entity);
        start as usize..end as usize
    }

    /// [`Half::range`] in the 32 bits that it is held in.
    #[inline]
    pub(super) fn bounds(&self, entity: u32) -> (u32, u32) {
        match self.offsets.get(entity as usize..).and_then(|rest| rest.first_chunk::<2>()) {
            Some(&[start, end]) => (start, end),
            None => (0, 0),
        }
    }

    /// Reads one edge, for no other use than to have it near when a walk comes there soon: the
    /// memory of a large view is far away.
    #[inline]
    pub(super) fn touch(&self, at: u32) -> u32 {
        self.others.get(at as usize).copied().unwrap_or(0)
    }

    /// Sorts `edges` by the end that `ends` puts first, keeping the order of equal ones.
    fn sort(bound: u32, edges: &[Compact], ends: impl Fn(&Compact) -> (u32, u32)) -> Half {
        let mut offsets = vec![0u32; bound as usize + 1];
        for edge in edges {
            offsets[ends(edge).0 as usize + 1] += 1;
        }
        let mut total = 0;
        for offset in &mut offsets {
            total += *offset;
            *offset = total;
        }
        let mut next = offsets.clone();
        let mut half = Half {
            offsets,
            others: vec![0; edges.len()],
            verbs: vec![0; edges.len()],
            relationships: vec![0; edges.len()],
        };
        for edge in edges {
            let (at, other) = ends(edge);
            let slot = &mut next[at as usize];
            half.others[*slot as usize] = other;
            half.verbs[*slot as usize] = edge.verb;
            half.relationships[*slot as usize] = edge.relationship;
            *slot += 1;
        }
        half
    }
}

/// A relationship while a view is built.
struct Compact {
    from: u32,
    to: u32,
    relationship: u32,
    verb: u16,
}

/// Gives out dense verb numbers in the order in which verbs are first met.
#[derive(Default)]
struct VerbNumbers {
    /// The dense number of verbs with small name numbers, or [`VerbNumbers::NONE`].
    near: Vec<u32>,
    /// Those of all others.
    far: FxHashMap<u32, u16>,
    names: Vec<u32>,
}

impl VerbNumbers {
    const NONE: u32 = u32::MAX;
    /// Name numbers from here on are far.
    const FAR: u32 = 1 << 16;

    /// The dense number of `verb`, or `None` when 65,536 others came before it.
    #[inline]
    fn number(&mut self, verb: u32) -> Option<u16> {
        match self.near.get(verb as usize) {
            Some(&dense) if dense != Self::NONE => Some(dense as u16),
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
struct Reading {
    half: Half,
    numbers: VerbNumbers,
    bound: u32,
    fault: Option<BuildError<Infallible>>,
}

impl Reading {
    fn new(bound: u32, expected: usize) -> Reading {
        let half = Half {
            offsets: Vec::with_capacity(bound as usize + 1),
            others: Vec::with_capacity(expected),
            verbs: Vec::with_capacity(expected),
            relationships: Vec::with_capacity(expected),
        };
        Reading { half, numbers: VerbNumbers::default(), bound, fault: None }
    }

    /// Takes the next edge of `entity`, which does not descend.
    #[inline]
    fn push(&mut self, entity: u32, edge: Edge) {
        if edge.other >= self.bound {
            let (relationship, entity) = (edge.relationship, edge.other);
            self.fault = Some(BuildError::BeyondBound { relationship, entity, bound: self.bound });
            return;
        }
        let Some(verb) = self.numbers.number(edge.verb) else {
            self.fault = Some(BuildError::TooManyVerbs);
            return;
        };
        self.begin(entity);
        self.half.others.push(edge.other);
        self.half.verbs.push(verb);
        self.half.relationships.push(edge.relationship);
    }

    /// Notes where the edges of all entities up to `entity` begin.
    #[inline]
    fn begin(&mut self, entity: u32) {
        while self.half.offsets.len() <= entity as usize {
            self.half.offsets.push(self.half.others.len() as u32);
        }
    }

    fn finish(mut self) -> Result<(Half, VerbNumbers), BuildError<Infallible>> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.half.others.len() > RELATIONSHIPS_MAX {
            return Err(BuildError::TooManyRelationships);
        }
        self.begin(self.bound);
        Ok((self.half, self.numbers))
    }
}

/// The most relationships of a view: a walk marks the direction in the top bit of a position.
const RELATIONSHIPS_MAX: usize = (1 << 31) - 1;

/// Why a view could not be built. `E` is what reading the graph can fail with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError<E> {
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
    /// More than 2,147,483,647 relationships: a view counts them in 31 bits.
    TooManyRelationships,
}

impl<E> BuildError<E> {
    /// What is wrong with a graph that can be read.
    fn of_graph(error: BuildError<Infallible>) -> BuildError<E> {
        match error {
            BuildError::Read(never) => match never {},
            BuildError::BeyondBound { relationship, entity, bound } => {
                BuildError::BeyondBound { relationship, entity, bound }
            }
            BuildError::TooManyVerbs => BuildError::TooManyVerbs,
            BuildError::TooManyRelationships => BuildError::TooManyRelationships,
        }
    }
}

impl<E: fmt::Display> fmt::Display for BuildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Read(error) => error.fmt(f),
            BuildError::BeyondBound { relationship, entity, bound } => write!(
                f,
                "relationship number {relationship} names entity number {entity}, \
                 but the graph has numbers below {bound} only"
            ),
            BuildError::TooManyVerbs => f.write_str("graph has more than 65536 verbs"),
            BuildError::TooManyRelationships => {
                f.write_str("graph has more than 2147483647 relationships")
            }
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for BuildError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Read(error) => Some(error),
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
    /// Everything [`BuildError`] names but [`BuildError::Read`].
    pub fn from_edges(
        entity_bound: u32,
        edges: impl IntoIterator<Item = (u32, u32, u32, u32)>,
    ) -> Result<GraphView, BuildError<Infallible>> {
        let mut numbers = VerbNumbers::default();
        let mut rows = Vec::new();
        for (from, to, verb, relationship) in edges {
            let entity = from.max(to);
            if entity >= entity_bound {
                let bound = entity_bound;
                return Err(BuildError::BeyondBound { relationship, entity, bound });
            }
            let verb = numbers.number(verb).ok_or(BuildError::TooManyVerbs)?;
            rows.push(Compact { from, to, relationship, verb });
        }
        if rows.len() > RELATIONSHIPS_MAX {
            return Err(BuildError::TooManyRelationships);
        }
        Ok(GraphView {
            out: Half::sort(entity_bound, &rows, |edge| (edge.from, edge.to)),
            into: Half::sort(entity_bound, &rows, |edge| (edge.to, edge.from)),
            verbs: numbers.names,
        })
    }

    /// Builds a view of all that `graph` shows, reading it once in each direction, in ascending
    /// order: the order in which a file is read fastest. A graph that can do so reads both
    /// directions at the same time.
    ///
    /// # Errors
    ///
    /// Everything [`BuildError`] names.
    pub fn build<A: Adjacency>(graph: &A) -> Result<GraphView, BuildError<A::Error>> {
        let (bound, expected) = (graph.entity_bound(), graph.relationships_expected());
        let mut out = Reading::new(bound, expected);
        let mut into = Reading::new(bound, expected);
        graph
            .for_each_edge_both_ways(
                |entity, edge| out.push(entity, edge),
                |entity, edge| into.push(entity, edge),
            )
            .map_err(BuildError::Read)?;
        let whole = |reading: Reading| reading.finish().map_err(BuildError::of_graph);
        let (out, mut numbers) = whole(out)?;
        let (mut into, theirs) = whole(into)?;
        // Each half has met the verbs in its own order.
        let dense: Option<Vec<u16>> =
            theirs.names.iter().map(|&verb| numbers.number(verb)).collect();
        let dense = dense.ok_or(BuildError::TooManyVerbs)?;
        if !dense.iter().copied().eq(0..dense.len() as u16) {
            into.verbs.iter_mut().for_each(|verb| *verb = dense[*verb as usize]);
        }
        Ok(GraphView { out, into, verbs: numbers.names })
    }

    /// One more than the largest entity number. Numbers without an entity have no edges.
    pub fn entity_bound(&self) -> u32 {
        (self.out.offsets.len() - 1) as u32
    }

    /// How many relationships the view holds.
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
        direction: Direction,
    ) -> impl ExactSizeIterator<Item = Edge> + '_ {
        let half = self.half(direction);
        half.range(entity).map(move |at| self.edge_at(half, at))
    }

    pub(super) fn half(&self, direction: Direction) -> &Half {
        match direction {
            Direction::Out => &self.out,
            Direction::In => &self.into,
        }
    }

    #[inline]
    pub(super) fn edge_at(&self, half: &Half, at: usize) -> Edge {
        Edge {
            other: half.others[at],
            verb: self.verbs[half.verbs[at] as usize],
            relationship: half.relationships[at],
            label: Edge::UNLABELLED,
        }
    }
}

impl Adjacency for GraphView {
    type Error = Infallible;

    fn entity_bound(&self) -> u32 {
        self.entity_bound()
    }

    #[inline]
    fn for_each_edge(
        &self,
        entity: u32,
        direction: Direction,
        mut visit: impl FnMut(Edge),
    ) -> Result<(), Infallible> {
        let half = self.half(direction);
        let range = half.range(entity);
        let ends = half.others[range.clone()].iter().zip(&half.verbs[range.clone()]);
        for ((&other, &verb), &relationship) in ends.zip(&half.relationships[range]) {
            let (verb, label) = (self.verbs[verb as usize], Edge::UNLABELLED);
            visit(Edge { other, verb, relationship, label });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use proptest::prelude::*;

    fn listed(view: &GraphView, direction: Direction) -> Vec<(u32, Edge)> {
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
        assert_eq!(view.edges_of(7, Direction::Out).len(), 0);
    }

    #[test]
    fn verbs_keep_their_name_numbers() {
        let view = testing::view(3, &[(0, 1, 900), (1, 2, 7), (0, 2, 900)]);
        assert_eq!(view.verbs(), [900, 7]);
        let verbs: Vec<_> = view.edges_of(2, Direction::In).map(|edge| edge.verb).collect();
        assert_eq!(verbs, [7, 900]);
    }

    #[test]
    fn an_end_beyond_the_bound_is_refused() {
        let error = GraphView::from_edges(2, [(0, 2, 0, 5)]).unwrap_err();
        assert_eq!(error, BuildError::BeyondBound { relationship: 5, entity: 2, bound: 2 });
        assert_eq!(
            error.to_string(),
            "relationship number 5 names entity number 2, but the graph has numbers below 2 only"
        );
    }

    #[test]
    fn the_verb_that_16_bits_cannot_number_is_refused() {
        let edges = |count: u32| (0..count).map(|verb| (0, 0, verb, verb));
        assert!(GraphView::from_edges(1, edges(65_536)).is_ok());
        assert_eq!(GraphView::from_edges(1, edges(65_537)).unwrap_err(), BuildError::TooManyVerbs);
    }

    proptest! {
        #[test]
        fn both_halves_hold_the_same_relationships(edges in testing::edges()) {
            let view = testing::view(12, &edges);
            let mut expected = testing::rows(&edges);
            expected.sort_unstable();
            let mut out: Vec<_> = listed(&view, Direction::Out).into_iter()
                .map(|(at, edge)| (at, edge.other, edge.verb, edge.relationship)).collect();
            out.sort_unstable();
            prop_assert_eq!(&out, &expected);
            let mut into: Vec<_> = listed(&view, Direction::In).into_iter()
                .map(|(at, edge)| (edge.other, at, edge.verb, edge.relationship)).collect();
            into.sort_unstable();
            prop_assert_eq!(&into, &expected);
        }

        #[test]
        fn a_view_of_a_view_is_the_same(edges in testing::edges()) {
            let view = testing::view(12, &edges);
            let again = GraphView::build(&view).expect("a view can be read");
            for direction in [Direction::Out, Direction::In] {
                prop_assert_eq!(listed(&view, direction), listed(&again, direction));
            }
        }
    }
}
