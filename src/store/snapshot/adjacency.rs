//! Edges around entities: one by one, by neighbourhood, or all in one pass.

use super::caches::{NeighborhoodCache, NeighborhoodEdges, SPAN};
use super::{ReadTable, Snapshot};
use crate::graph::{AdjacencyRead, EdgeDirection, IncidentEdge, ObjectKind};
use crate::store::StoreError;
use crate::store::edges;
use crate::store::history::EdgeOverlay;
use crate::store::labels::LabelTable;
use crate::store::rows::EdgeCounts;
use crate::store::segment::{AdjacencyEntry, StoredEdge};
use std::ops::Range;
use std::rc::Rc;

/// Entities of a neighbourhood that are read one by one before all of it is read. A walk that
/// starts in a large graph comes to most neighbourhoods once.
const NEAR_ASKED_MAX: u32 = 8;

/// Entries of a delta for each read around an entity, from which on the delta is read whole. By
/// then the single reads took about as long as the whole does.
const DELTA_ASKED: u32 = 256;

impl Snapshot {
    pub(super) fn for_each_edge_near(
        &self,
        entity: u32,
        direction: EdgeDirection,
        visit: impl FnMut(IncidentEdge),
    ) -> Result<(), StoreError> {
        let (chunk, at) = (entity / SPAN, (direction as u8, entity / SPAN));
        let known = {
            let mut near = self.near.borrow_mut();
            match near.known.get(&at) {
                Some(known) => Some(Rc::clone(known)),
                None => {
                    let asked = near.asked.entry(at).or_default();
                    *asked += 1;
                    // `visit` may ask for edges itself, so the borrow ends before it is called.
                    if *asked <= NEAR_ASKED_MAX {
                        drop(near);
                        self.read_edges(direction, entity)?.into_iter().for_each(visit);
                        return Ok(());
                    }
                    None
                }
            }
        };
        let known = match known {
            Some(known) => known,
            None => {
                let read = Rc::new(self.read_neighbourhood(direction, chunk)?);
                let NeighborhoodCache { asked, known } = &mut *self.near.borrow_mut();
                known.make_room(&at, read.bytes(), |gone, _| {
                    asked.remove(&gone);
                });
                known.insert(at, Rc::clone(&read), read.bytes());
                read
            }
        };
        known.edges(entity).iter().copied().for_each(visit);
        Ok(())
    }

    /// Reads the edges of one entity and no others.
    pub(super) fn read_edges(
        &self,
        direction: EdgeDirection,
        entity: u32,
    ) -> Result<Vec<IncidentEdge>, StoreError> {
        let edges = self.read_range(direction, entity..entity + 1)?;
        Ok(edges.into_iter().map(|(_, edge)| to_graph_edge(&self.labels, edge)).collect())
    }

    /// The edges of neighbouring entities, in order.
    pub(super) fn read_range(
        &self,
        direction: EdgeDirection,
        range: Range<u32>,
    ) -> Result<Vec<AdjacencyEntry>, StoreError> {
        let now = self.read_stored_range(direction, range.clone())?;
        match &self.past {
            Some(past) => past.edges_near(direction, range, now),
            None => Ok(now),
        }
    }

    /// The same of the newest state.
    fn read_stored_range(
        &self,
        direction: EdgeDirection,
        range: Range<u32>,
    ) -> Result<Vec<AdjacencyEntry>, StoreError> {
        let counts = self.meta.edges[direction as usize];
        let base = edges::base_near(&self.adjacency, direction, counts, range.clone())?;
        if counts.delta == 0 {
            return Ok(base);
        }
        let delta = &self.deltas[direction as usize];
        // Single reads of the delta are counted; once they cost as much as all of it, it is read
        // whole.
        delta.asked.set(delta.asked.get().saturating_add(1));
        let read;
        let changes = match delta.whole.get() {
            Some(whole) => whole,
            None if counts.delta / DELTA_ASKED < delta.asked.get() => {
                let whole = edges::delta(&self.adjacency, direction, counts)?;
                delta.whole.get_or_init(|| whole)
            }
            None => {
                read = edges::delta_near(&self.adjacency, direction, range.clone())?;
                &read
            }
        };
        edges::overlaid(direction, base, edges::changes_in_range(changes, range))
    }

    pub(super) fn read_neighbourhood(
        &self,
        direction: EdgeDirection,
        chunk: u32,
    ) -> Result<NeighborhoodEdges, StoreError> {
        let first = chunk * SPAN;
        let standing = self.read_range(direction, first..first + SPAN)?;
        let mut ends = Vec::with_capacity(SPAN as usize);
        let mut end = 0;
        for entity in first..first + SPAN {
            end += standing[end..].iter().take_while(|(at, _)| *at == entity).count();
            ends.push(end as u32);
        }
        let edges =
            standing.into_iter().map(|(_, edge)| to_graph_edge(&self.labels, edge)).collect();
        Ok(NeighborhoodEdges { ends, edges })
    }

    /// All live edges in one direction, entity by entity in ascending order.
    ///
    /// Unlike [`AdjacencyRead::for_each_edge`] it keeps nothing in memory.
    pub fn for_each_edge_of_all(
        &self,
        direction: EdgeDirection,
        visit: impl FnMut(u32, IncidentEdge),
    ) -> Result<(), StoreError> {
        self.adjacency_source(direction)?.read(visit)
    }

    /// All that a pass over the edges of a direction reads, which another thread may do.
    fn adjacency_source(
        &self,
        direction: EdgeDirection,
    ) -> Result<AdjacencySource<'_>, StoreError> {
        let past = match &self.past {
            Some(past) => Some((past.all_edge_changes(direction)?, past.relationship_bound())),
            None => None,
        };
        Ok(AdjacencySource {
            table: &self.adjacency,
            direction,
            counts: self.meta.edges[direction as usize],
            entities: self.entities_stored,
            labels: &self.labels,
            past,
        })
    }

    /// Proves that there is no delta if the counters say so: readers of edges trust the counters.
    pub(in crate::store) fn verify_delta(
        &self,
        direction: EdgeDirection,
    ) -> Result<(), StoreError> {
        match self.meta.edges[direction as usize] {
            counts @ EdgeCounts { delta: 0, .. } => {
                edges::delta(&self.adjacency, direction, counts).map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// A stored edge as a walk sees it. An unknown label gives no verb, and `verify` reports it.
#[inline]
fn to_graph_edge(labels: &LabelTable, edge: StoredEdge) -> IncidentEdge {
    let StoredEdge { other, label, relationship } = edge;
    IncidentEdge {
        other,
        verb: labels.get(label).map_or(0, |label| label.verb),
        relationship,
        label,
    }
}

/// The edges of one direction, to be read by one pass over the table.
struct AdjacencySource<'s> {
    table: &'s ReadTable,
    direction: EdgeDirection,
    counts: EdgeCounts,
    /// One more than the greatest number of an entity in the table.
    entities: u32,
    labels: &'s LabelTable,
    /// Of a state of the past: the edges that came or went since, and the bound of relationships.
    past: Option<(Vec<(AdjacencyEntry, bool)>, u32)>,
}

impl AdjacencySource<'_> {
    fn read(&self, mut visit: impl FnMut(u32, IncidentEdge)) -> Result<(), StoreError> {
        let mut named = |entity, edge| visit(entity, to_graph_edge(self.labels, edge));
        let AdjacencySource { table, direction, counts, entities, .. } = *self;
        let Some((changes, bound)) = &self.past else {
            return edges::all(table, direction, counts, entities, named);
        };
        let mut overlay = EdgeOverlay::new(changes, *bound);
        edges::all(table, direction, counts, entities, |entity, edge| {
            overlay.emit((entity, edge), &mut |(entity, edge)| named(entity, edge));
        })?;
        overlay.finish(&mut |(entity, edge)| named(entity, edge));
        Ok(())
    }
}

/// Below this many entities a second thread takes longer to start than to read.
const THREADS_FROM: u32 = 20_000;

impl AdjacencyRead for Snapshot {
    type Error = StoreError;

    fn entity_bound(&self) -> u32 {
        self.meta.bound(ObjectKind::Entity)
    }

    fn for_each_edge(
        &self,
        entity: u32,
        direction: EdgeDirection,
        visit: impl FnMut(IncidentEdge),
    ) -> Result<(), StoreError> {
        self.for_each_edge_near(entity, direction, visit)
    }

    fn relationships_expected(&self) -> usize {
        self.meta.bound(ObjectKind::Relationship) as usize
    }

    fn for_each_edge_both_ways(
        &self,
        out: impl FnMut(u32, IncidentEdge) + Send,
        into: impl FnMut(u32, IncidentEdge) + Send,
    ) -> Result<(), StoreError> {
        let [with, against] = [EdgeDirection::Out, EdgeDirection::In];
        let (with, against) = (self.adjacency_source(with)?, self.adjacency_source(against)?);
        if self.meta.bound(ObjectKind::Entity) < THREADS_FROM {
            with.read(out)?;
            return against.read(into);
        }
        // The directions lie in separate spaces of the table, so they can be read side by side.
        std::thread::scope(|threads| {
            let other = threads.spawn(|| against.read(into));
            let with = with.read(out);
            let against = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (with, against) {
                // It is the other one that found the fault.
                (Err(StoreError::GivenUp), Err(fault)) => Err(fault),
                (with, against) => with.and(against),
            }
        })
    }
}
