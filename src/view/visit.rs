//! petgraph's visit traits on views, so that its algorithms run on them.
//!
//! Nodes are entity numbers, edges are relationship numbers, and the weight of an edge is our
//! [`IncidentEdge`], so a cost function can look at the verb. Numbers without a live entity are nodes
//! without edges. `node_count` counts them, because petgraph wants compact node numbers.
//!
//! `petgraph::algo::tarjan_scc` recurses once per entity of a path and overflows the stack on long
//! ones; `kosaraju_scc` does not (see [`cycles`](super::cycles)).

use super::{GraphView, WalkDirection};
use crate::graph::{EdgeDirection, IncidentEdge};
use petgraph::visit::{
    Data, EdgeCount, EdgeRef, GraphBase, GraphProp, IntoEdgeReferences, IntoEdges,
    IntoEdgesDirected, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers,
    IntoNodeReferences, NodeCompactIndexable, NodeCount, NodeIndexable, VisitMap, Visitable,
};
use std::ops::Range;

/// A part of a view: relationships with some verbs only, walked one way.
///
/// With [`WalkDirection::In`] every arrow is turned around. With [`WalkDirection::Both`] each relationship can be walked
/// either way, so a relationship of an entity with itself is met twice.
#[derive(Clone, Debug)]
pub struct FilteredView<'a> {
    view: &'a GraphView,
    /// By number of the sort, true if its edges are seen; `None` if all are.
    seen: Option<Vec<bool>>,
    way: WalkDirection,
}

impl GraphView {
    /// The part of the view that has only relationships with `verbs` (name numbers; all when `None`),
    /// walked in the given way.
    pub fn filtered(&self, verbs: Option<&[u32]>, way: WalkDirection) -> FilteredView<'_> {
        let sorts = self.edge_sorts().iter();
        let seen = verbs.map(|verbs| sorts.map(|sort| verbs.contains(&sort.verb)).collect());
        FilteredView { view: self, seen, way }
    }

    fn lens(&self) -> ViewLens<'_> {
        ViewLens { view: self, seen: None, way: WalkDirection::Out }
    }
}

impl FilteredView<'_> {
    fn lens(&self) -> ViewLens<'_> {
        ViewLens { view: self.view, seen: self.seen.as_deref(), way: self.way }
    }
}

/// The common form of a whole and a filtered view, cheap to copy.
#[derive(Clone, Copy)]
struct ViewLens<'a> {
    view: &'a GraphView,
    seen: Option<&'a [bool]>,
    way: WalkDirection,
}

impl<'a> ViewLens<'a> {
    /// The edges of `entity` that lead away, or with `back` those that lead to it.
    fn edges(self, entity: u32, back: bool) -> EdgeIter<'a> {
        let way = if back { self.way.reversed() } else { self.way };
        let (now, later) = match way {
            WalkDirection::Out => (EdgeDirection::Out, None),
            WalkDirection::In => (EdgeDirection::In, None),
            WalkDirection::Both => (EdgeDirection::Out, Some(EdgeDirection::In)),
        };
        let range = self.view.half(now).range(entity);
        EdgeIter { lens: self, entity, now, later, range, back }
    }

    /// Every edge once.
    fn all(self) -> impl Iterator<Item = ViewEdge> + 'a {
        // Both ways would show each edge twice, once from either end.
        let once = ViewLens {
            way: if self.way == WalkDirection::In { WalkDirection::In } else { WalkDirection::Out },
            ..self
        };
        (0..self.view.entity_bound()).flat_map(move |entity| once.edges(entity, false))
    }
}

/// One edge as petgraph sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewEdge {
    source: u32,
    target: u32,
    edge: IncidentEdge,
}

impl EdgeRef for ViewEdge {
    type NodeId = u32;
    type EdgeId = u32;
    type Weight = IncidentEdge;

    fn source(&self) -> u32 {
        self.source
    }
    fn target(&self) -> u32 {
        self.target
    }
    fn weight(&self) -> &IncidentEdge {
        &self.edge
    }
    fn id(&self) -> u32 {
        self.edge.relationship
    }
}

/// Iterator over the edges of one entity.
#[derive(Clone)]
pub struct EdgeIter<'a> {
    lens: ViewLens<'a>,
    entity: u32,
    now: EdgeDirection,
    later: Option<EdgeDirection>,
    range: Range<usize>,
    back: bool,
}

impl Iterator for EdgeIter<'_> {
    type Item = ViewEdge;

    fn next(&mut self) -> Option<ViewEdge> {
        loop {
            let half = self.lens.view.half(self.now);
            for at in self.range.by_ref() {
                if self.lens.seen.is_none_or(|seen| seen[half.sorts[at] as usize]) {
                    let edge = self.lens.view.edge_at(half, at);
                    let (source, target) = match self.back {
                        false => (self.entity, edge.other),
                        true => (edge.other, self.entity),
                    };
                    return Some(ViewEdge { source, target, edge });
                }
            }
            // With `Way::Both`, the edges against the arrows follow those with them.
            self.now = self.later.take()?;
            self.range = self.lens.view.half(self.now).range(self.entity);
        }
    }
}

/// Iterator over the entities next to an entity, once for each edge.
#[derive(Clone)]
pub struct NeighborIter<'a>(EdgeIter<'a>);

impl Iterator for NeighborIter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.next().map(|edge| edge.edge.other)
    }
}

/// The set of entity numbers that an algorithm has visited, one bit each.
#[derive(Clone, Debug, Default)]
pub struct VisitedSet(Vec<u64>);

impl VisitedSet {
    fn locate(entity: u32) -> (usize, u64) {
        (entity as usize / 64, 1 << (entity % 64))
    }
}

impl VisitMap<u32> for VisitedSet {
    fn visit(&mut self, entity: u32) -> bool {
        let (word, bit) = Self::locate(entity);
        let fresh = self.0[word] & bit == 0;
        self.0[word] |= bit;
        fresh
    }
    fn is_visited(&self, entity: &u32) -> bool {
        let (word, bit) = Self::locate(*entity);
        self.0[word] & bit != 0
    }
    fn unvisit(&mut self, entity: u32) -> bool {
        let (word, bit) = Self::locate(entity);
        let was = self.0[word] & bit != 0;
        self.0[word] &= !bit;
        was
    }
}

/// Implements the visit traits for a type with a `lens` method. petgraph wants most of them on a
/// reference, and Rust does not allow a blanket implementation over a trait of ours.
macro_rules! visit_traits {
    ($graph:ty) => {
        impl GraphBase for $graph {
            type NodeId = u32;
            type EdgeId = u32;
        }
        impl Data for $graph {
            type NodeWeight = ();
            type EdgeWeight = IncidentEdge;
        }
        impl GraphProp for $graph {
            type EdgeType = petgraph::Directed;
        }
        impl NodeCount for $graph {
            fn node_count(&self) -> usize {
                self.lens().view.entity_bound() as usize
            }
        }
        impl NodeIndexable for $graph {
            fn node_bound(&self) -> usize {
                self.lens().view.entity_bound() as usize
            }
            fn to_index(&self, entity: u32) -> usize {
                entity as usize
            }
            fn from_index(&self, index: usize) -> u32 {
                index as u32
            }
        }
        impl NodeCompactIndexable for $graph {}
        impl EdgeCount for $graph {
            fn edge_count(&self) -> usize {
                match self.lens() {
                    // A filter has to look at every edge; the whole view knows its number.
                    ViewLens { view, seen: None, .. } => view.relationship_count(),
                    lens => lens.all().count(),
                }
            }
        }
        impl Visitable for $graph {
            type Map = VisitedSet;
            fn visit_map(&self) -> VisitedSet {
                VisitedSet(vec![0; self.node_bound().div_ceil(64)])
            }
            fn reset_map(&self, map: &mut VisitedSet) {
                map.0.clear();
                map.0.resize(self.node_bound().div_ceil(64), 0);
            }
        }
        impl<'g> IntoNodeIdentifiers for &'g $graph {
            type NodeIdentifiers = Range<u32>;
            fn node_identifiers(self) -> Range<u32> {
                0..self.lens().view.entity_bound()
            }
        }
        impl<'g> IntoNodeReferences for &'g $graph {
            type NodeRef = (u32, ());
            type NodeReferences = std::iter::Map<Range<u32>, fn(u32) -> (u32, ())>;
            fn node_references(self) -> Self::NodeReferences {
                self.node_identifiers().map(|entity| (entity, ()))
            }
        }
        impl<'g> IntoNeighbors for &'g $graph {
            type Neighbors = NeighborIter<'g>;
            fn neighbors(self, entity: u32) -> NeighborIter<'g> {
                NeighborIter(self.lens().edges(entity, false))
            }
        }
        impl<'g> IntoNeighborsDirected for &'g $graph {
            type NeighborsDirected = NeighborIter<'g>;
            fn neighbors_directed(self, entity: u32, d: petgraph::Direction) -> NeighborIter<'g> {
                NeighborIter(self.lens().edges(entity, d == petgraph::Incoming))
            }
        }
        impl<'g> IntoEdgeReferences for &'g $graph {
            type EdgeRef = ViewEdge;
            // petgraph wants a type with a name, and that of the chained iterators has none.
            type EdgeReferences = Box<dyn Iterator<Item = ViewEdge> + 'g>;
            fn edge_references(self) -> Self::EdgeReferences {
                Box::new(self.lens().all())
            }
        }
        impl<'g> IntoEdges for &'g $graph {
            type Edges = EdgeIter<'g>;
            fn edges(self, entity: u32) -> EdgeIter<'g> {
                self.lens().edges(entity, false)
            }
        }
        impl<'g> IntoEdgesDirected for &'g $graph {
            type EdgesDirected = EdgeIter<'g>;
            fn edges_directed(self, entity: u32, d: petgraph::Direction) -> EdgeIter<'g> {
                self.lens().edges(entity, d == petgraph::Incoming)
            }
        }
    };
}

visit_traits!(GraphView);
visit_traits!(FilteredView<'_>);

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use petgraph::algo::{dijkstra, dominators, kosaraju_scc, page_rank, tarjan_scc};

    /// 0 -> 1 -> 2 -> 0, 2 -> 3 -> 4 by verb 0; 4 -> 0 by verb 1.
    fn sample() -> GraphView {
        testing::view(5, &[(0, 1, 0), (1, 2, 0), (2, 0, 0), (2, 3, 0), (3, 4, 0), (4, 0, 1)])
    }

    fn sorted(mut components: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
        components.iter_mut().for_each(|component| component.sort_unstable());
        components.sort_unstable();
        components
    }

    #[test]
    fn strong_components_of_petgraph_run_on_views() {
        let view = sample();
        assert_eq!(sorted(tarjan_scc(&view)), [[0, 1, 2, 3, 4]]);
        let expected = [vec![0, 1, 2], vec![3], vec![4]];
        for way in [WalkDirection::Out, WalkDirection::In] {
            let filtered = view.filtered(Some(&[0]), way);
            assert_eq!(sorted(tarjan_scc(&filtered)), expected);
            assert_eq!(sorted(kosaraju_scc(&filtered)), expected);
        }
    }

    #[test]
    fn dijkstra_of_petgraph_can_price_verbs() {
        let view = testing::view(3, &[(0, 1, 7), (0, 2, 8), (2, 1, 8)]);
        let cost = |edge: ViewEdge| if edge.weight().verb == 7 { 10 } else { 1 };
        assert_eq!(dijkstra(&view, 0, None, cost)[&1], 2);
        let back = view.filtered(None, WalkDirection::In);
        assert_eq!(dijkstra(&back, 1, None, cost)[&0], 2);
        let either = view.filtered(Some(&[8]), WalkDirection::Both);
        assert_eq!(dijkstra(&either, 1, Some(0), cost)[&0], 2);
    }

    #[test]
    fn dominators_of_petgraph_find_choke_points() {
        let view = testing::view(4, &[(0, 1, 0), (0, 2, 0), (1, 3, 0), (2, 3, 0)]);
        assert_eq!(dominators::simple_fast(&view, 0).immediate_dominator(3), Some(0));
        let narrow = view.filtered(Some(&[0]), WalkDirection::Out);
        assert_eq!(dominators::simple_fast(&narrow, 0).immediate_dominator(1), Some(0));
    }

    #[test]
    fn page_rank_of_petgraph_sums_to_one() {
        let ranks = page_rank(&sample(), 0.85_f64, 10);
        assert!((ranks.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{ranks:?}");
    }

    #[test]
    fn a_filter_counts_what_it_lets_through() {
        let view = sample();
        assert_eq!(view.edge_count(), 6);
        assert_eq!(view.filtered(Some(&[1]), WalkDirection::Both).edge_count(), 1);
        assert_eq!(view.filtered(Some(&[99]), WalkDirection::Out).edge_count(), 0);
        let edge = view.filtered(Some(&[1]), WalkDirection::In).edge_references().next();
        let edge = edge.expect("one edge");
        assert_eq!((edge.source(), edge.target(), edge.id()), (0, 4, 5));
    }

    #[test]
    fn incoming_edges_keep_their_source_and_target() {
        let view = sample();
        let ends: Vec<_> = view
            .edges_directed(0, petgraph::Incoming)
            .map(|edge| (edge.source(), edge.target()))
            .collect();
        assert_eq!(ends, [(2, 0), (4, 0)]);
    }
}
