//! Adjacency segments: the live edges of [`SPAN`] neighbouring entities that one scope owns.
//!
//! ```text
//!   edges u32 | column of SPAN end offsets | columns of the edges: other, verb, relationship
//! ```
//!
//! The edges of one entity lie side by side in ascending (other, verb, relationship). A finalize
//! rewrites only the segments of its own scope; a reader merges the segments of all scopes, which
//! lie side by side in the file. The row of scope 0 lists the scopes that have a segment, so that
//! a lost row is noticed.

use super::codec::Cursor;
use super::column::{Column, put_column};
use crate::graph::Edge;

/// Entities in one segment.
pub const SPAN: u32 = 256;

/// Writes the edges of a segment: pairs of (entity number modulo [`SPAN`], edge), sorted.
pub fn encode(edges: &[(u32, Edge)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + edges.len() * 9);
    out.extend_from_slice(&(edges.len() as u32).to_le_bytes());
    let mut at = 0;
    let ends: Vec<u64> = (0..SPAN)
        .map(|row| {
            at += edges[at..].iter().take_while(|(r, _)| *r == row).count();
            at as u64
        })
        .collect();
    put_column(&mut out, &ends);
    let getters: [fn(&Edge) -> u32; 3] = [|e| e.other, |e| e.verb, |e| e.relationship];
    for get in getters {
        put_column(&mut out, &edges.iter().map(|(_, e)| u64::from(get(e))).collect::<Vec<_>>());
    }
    out
}

/// A segment as it lies in the file.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    len: usize,
    ends: Column<'a>,
    columns: [Column<'a>; 3],
}

impl<'a> Segment<'a> {
    /// Finds the columns of a segment. `None` if it is damaged.
    pub fn parse(payload: &'a [u8]) -> Option<Segment<'a>> {
        let mut cursor = Cursor(payload);
        let len = cursor.u32()? as usize;
        let ends = Column::take(&mut cursor, SPAN as usize)?;
        let mut columns = [Column::Constant(0); 3];
        for column in &mut columns {
            *column = Column::take(&mut cursor, len)?;
        }
        let ordered = (1..SPAN as usize).all(|row| ends.get(row - 1) <= ends.get(row));
        let whole = ordered && ends.get(SPAN as usize - 1) == len as u64 && cursor.0.is_empty();
        whole.then_some(Segment { len, ends, columns })
    }

    /// Number of edges.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The edges of the entity at `row` (its number modulo [`SPAN`]).
    #[inline]
    pub fn edges(self, row: u32) -> impl Iterator<Item = Edge> + 'a {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.ends.get(row - 1) as usize };
        (start..self.ends.get(row) as usize).map(move |at| Edge {
            other: self.columns[0].get32(at),
            verb: self.columns[1].get32(at),
            relationship: self.columns[2].get32(at),
        })
    }

    /// All edges with their rows, for a segment that is about to be rewritten.
    pub fn to_edges(self) -> Vec<(u32, Edge)> {
        let unpack = |column: &Column<'_>, rows| {
            let mut values = Vec::with_capacity(rows);
            column.unpack(rows, &mut values);
            values
        };
        let ends = unpack(&self.ends, SPAN as usize);
        let [others, verbs, relationships] = self.columns.map(|c| unpack(&c, self.len));
        let mut edges = Vec::with_capacity(self.len);
        for (row, end) in (0..).zip(ends) {
            while edges.len() < (end as usize).min(self.len) {
                let at = edges.len();
                let [other, verb, relationship] =
                    [others[at], verbs[at], relationships[at]].map(|value| value as u32);
                edges.push((row, Edge { other, verb, relationship }));
            }
        }
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn segments_come_back_as_they_were(
            edges in prop::collection::btree_set((0..SPAN, any::<u32>(), 0..4u32, 0..9u32), 0..200)
        ) {
            let edges: Vec<(u32, Edge)> = edges
                .into_iter()
                .map(|(row, other, verb, relationship)| (row, Edge { other, verb, relationship }))
                .collect();
            let bytes = encode(&edges);
            prop_assert_eq!(Segment::parse(&bytes).expect("whole").to_edges(), edges);
        }

        #[test]
        fn rubbish_is_no_segment_and_no_panic(bytes: Vec<u8>) {
            let _ = Segment::parse(&bytes).map(|s| s.to_edges());
        }
    }
}
