//! Adjacency segments: the live edges of all scopes in one direction. They are sorted by the entity
//! that they leave (or enter), then by other end, label and relationship.
//!
//! Segments are tiles (see `tiles.rs`) of the space `direction u8`, bounded by where an edge stands:
//! `entity u32 | other u32 | label u32 | relationship u32`, big-endian.
//!
//! ```text
//!   contents  edges u32 | columns: entity, other, label, relationship
//! ```
//!
//! The edges of an entity lie side by side, mostly in one segment; those of a hub fill many. Recent
//! edits lie beside them, see `edges.rs`.

use super::codec::ByteCursor;
use super::column::{EncodedColumn, put_column};
use super::tiles::{ENTRIES_MAX, TileEntry};
use std::ops::Range;

/// An edge as it is stored, seen from one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredEdge {
    /// Number of the entity at the other end.
    pub other: u32,
    /// Number of the label, see `labels.rs`.
    pub label: u32,
    /// Number of the relationship.
    pub relationship: u32,
}

/// An edge with its place: the number of an entity, and the edge as seen from there.
pub type AdjacencyEntry = (u32, StoredEdge);

/// The lowest and the highest place that an edge of an entity can have.
pub fn bounds(entity: u32) -> [[u8; 16]; 2] {
    let [mut first, mut last] = [[0; 16], [0xFF; 16]];
    first[..4].copy_from_slice(&entity.to_be_bytes());
    last[..4].copy_from_slice(&entity.to_be_bytes());
    [first, last]
}

#[inline]
fn numbers((entity, edge): &AdjacencyEntry) -> [u32; 4] {
    [*entity, edge.other, edge.label, edge.relationship]
}

impl TileEntry<16> for AdjacencyEntry {
    const TABLE: &'static str = "adjacency";
    const FIXED: usize = 0;

    #[inline]
    fn at(&self) -> [u8; 16] {
        let mut at = [0; 16];
        for (bytes, number) in at.as_chunks_mut::<4>().0.iter_mut().zip(numbers(self)) {
            *bytes = number.to_be_bytes();
        }
        at
    }

    #[inline]
    fn columns(&self) -> [u64; 4] {
        numbers(self).map(u64::from)
    }

    fn last(contents: &[u8]) -> Option<[u8; 16]> {
        Some(EdgeSegment::parse(contents)?.last()?.at())
    }

    fn encode(edges: &[AdjacencyEntry], out: &mut Vec<u8>) {
        put_segment(edges, out);
    }
}

/// Writes the contents of a segment.
pub fn put_segment<T: TileEntry<16>>(entries: &[T], out: &mut Vec<u8>) {
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    let mut values = Vec::with_capacity(entries.len());
    let columns: [fn(&T) -> u64; 4] =
        [|e| e.columns()[0], |e| e.columns()[1], |e| e.columns()[2], |e| e.columns()[3]];
    for column in columns {
        values.clear();
        values.extend(entries.iter().map(column));
        put_column(out, &values);
    }
}

/// A segment as it lies in the file.
#[derive(Clone, Copy)]
pub struct EdgeSegment<'a> {
    len: usize,
    columns: [EncodedColumn<'a>; 4],
}

impl<'a> EdgeSegment<'a> {
    /// Finds the columns of a segment. `None` if it is damaged.
    pub fn parse(contents: &'a [u8]) -> Option<EdgeSegment<'a>> {
        let mut cursor = ByteCursor(contents);
        let len = cursor.u32()? as usize;
        // A constant column takes the same few bytes for any number of rows, so a damaged length
        // could claim any number.
        if len > ENTRIES_MAX {
            return None;
        }
        let mut columns = [EncodedColumn::Constant(0); 4];
        for column in &mut columns {
            *column = EncodedColumn::take(&mut cursor, len)?;
        }
        cursor.0.is_empty().then_some(EdgeSegment { len, columns })
    }

    /// The number of edges.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The last edge, if there is any.
    pub fn last(&self) -> Option<AdjacencyEntry> {
        let at = self.len.checked_sub(1)?;
        let [entity, other, label, relationship] = self.columns.map(|c| c.get32(at));
        Some((entity, StoredEdge { other, label, relationship }))
    }

    /// The edges of the entities in `range`, in order.
    pub fn of(self, range: Range<u32>) -> impl Iterator<Item = AdjacencyEntry> + 'a {
        let edge = move |at| {
            let [entity, other, label, relationship] = self.columns.map(|c| c.get32(at));
            (entity, StoredEdge { other, label, relationship })
        };
        (self.columns[0].first_from(self.len, range.start.into())..self.len)
            .map(edge)
            .take_while(move |(entity, _)| range.contains(entity))
    }

    /// Calls `visit` for every edge in order. The memory of `columns` is used again. `None` if the
    /// edges are not in order, so the segment is damaged.
    pub fn for_each(
        &self,
        columns: &mut [Vec<u32>; 4],
        mut visit: impl FnMut(u32, StoredEdge),
    ) -> Option<()> {
        for (column, values) in self.columns.iter().zip(&mut *columns) {
            column.unpack32(self.len, values);
        }
        let [entities, others, labels, relationships] = columns;
        // Only the order of entities is checked: readers depend on it, and `verify` checks the
        // rest.
        if !entities.is_sorted() {
            return None;
        }
        let edges = others.iter().zip(labels.iter()).zip(relationships.iter());
        for (&entity, ((&other, &label), &relationship)) in entities.iter().zip(edges) {
            visit(entity, StoredEdge { other, label, relationship });
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn segments_come_back_as_they_were(
            edges in prop::collection::btree_set((0..90u32, any::<u32>(), 0..4u32, 0..9u32), 0..200)
        ) {
            let edges: Vec<AdjacencyEntry> = edges
                .into_iter()
                .map(|(at, other, label, relationship)| (at, StoredEdge { other, label, relationship }))
                .collect();
            let mut bytes = Vec::new();
            AdjacencyEntry::encode(&edges, &mut bytes);
            let segment = EdgeSegment::parse(&bytes).expect("whole");
            let mut all = Vec::new();
            segment.for_each(&mut Default::default(), |at, edge| all.push((at, edge)));
            prop_assert_eq!(&all, &edges);
            for entity in 0..91 {
                let one: Vec<AdjacencyEntry> = segment.of(entity..entity + 1).collect();
                let known: Vec<AdjacencyEntry> =
                    edges.iter().copied().filter(|(at, _)| *at == entity).collect();
                prop_assert_eq!(one, known);
            }
            prop_assert_eq!(segment.of(20..60).count(), all.iter().filter(|(at, _)| (20..60).contains(at)).count());
        }

        #[test]
        fn rubbish_is_no_segment_and_no_panic(bytes: Vec<u8>) {
            if let Some(segment) = EdgeSegment::parse(&bytes) {
                let _ = segment.of(3..9).take(1000).last();
                let _ = segment.for_each(&mut Default::default(), |_, _| {});
            }
        }
    }
}
