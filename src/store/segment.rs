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
use std::ops::Range;

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
        let segment = Segment::open(payload)?;
        let ends = &segment.ends;
        let ordered = (1..SPAN as usize).all(|row| ends.get(row - 1) <= ends.get(row));
        (ordered && ends.get(SPAN as usize - 1) == segment.len as u64).then_some(segment)
    }

    /// [`Segment::parse`] without a look at all rows: what is wrong with one shows when it is asked
    /// for by [`Segment::row`].
    pub fn open(payload: &'a [u8]) -> Option<Segment<'a>> {
        let mut cursor = Cursor(payload);
        let len = cursor.u32()? as usize;
        let ends = Column::take(&mut cursor, SPAN as usize)?;
        let mut columns = [Column::Constant(0); 3];
        for column in &mut columns {
            *column = Column::take(&mut cursor, len)?;
        }
        cursor.0.is_empty().then_some(Segment { len, ends, columns })
    }

    /// Where the edges of the entity at `row` (its number modulo [`SPAN`]) stand.
    #[inline]
    fn range(&self, row: u32) -> Range<u64> {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.ends.get(row - 1) };
        start..self.ends.get(row)
    }

    /// The edges of the entity at `row`. `None` if the row is damaged.
    pub fn row(self, row: u32) -> Option<impl Iterator<Item = Edge> + 'a> {
        let Range { start, end } = self.range(row);
        (start <= end && end <= self.len as u64).then(|| self.edges(row))
    }

    /// The edges of the entity at `row` of a segment that was found whole.
    #[inline]
    pub fn edges(self, row: u32) -> impl Iterator<Item = Edge> + 'a {
        let Range { start, end } = self.range(row);
        (start as usize..end as usize).map(move |at| Edge {
            other: self.columns[0].get32(at),
            verb: self.columns[1].get32(at),
            relationship: self.columns[2].get32(at),
        })
    }

    /// Unpacks all edges; room that `into` has is used again. `None` if the segment is damaged.
    pub fn unpack(&self, into: &mut Unpacked) -> Option<()> {
        self.ends.unpack32(SPAN as usize, &mut into.ends);
        let whole = into.ends.is_sorted() && into.ends.last().copied() == Some(self.len as u32);
        whole.then(|| {
            for (column, values) in self.columns.iter().zip(&mut into.columns) {
                column.unpack32(self.len, values);
            }
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

/// All edges of a segment in memory.
#[derive(Default)]
pub struct Unpacked {
    ends: Vec<u32>,
    columns: [Vec<u32>; 3],
}

impl Unpacked {
    /// The edges of the entity at `row`.
    #[inline]
    pub fn edges(&self, row: u32) -> impl ExactSizeIterator<Item = Edge> + '_ {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        let range = start..self.ends[row] as usize;
        let [others, verbs, relationships] = &self.columns;
        let edges = others[range.clone()].iter().zip(&verbs[range.clone()]);
        edges.zip(&relationships[range]).map(|((&other, &verb), &relationship)| Edge {
            other,
            verb,
            relationship,
        })
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
            let segment = Segment::parse(&bytes).expect("whole");
            let mut unpacked = Unpacked::default();
            segment.unpack(&mut unpacked).expect("whole");
            for row in 0..SPAN {
                let one: Vec<Edge> = segment.row(row).expect("whole").collect();
                prop_assert_eq!(&one, &unpacked.edges(row).collect::<Vec<_>>());
                prop_assert_eq!(one, segment.edges(row).collect::<Vec<_>>());
            }
            prop_assert_eq!(segment.to_edges(), edges);
        }

        #[test]
        fn rubbish_is_no_segment_and_no_panic(bytes: Vec<u8>) {
            let _ = Segment::parse(&bytes).map(|s| s.to_edges());
            if let Some(segment) = Segment::open(&bytes) {
                let _ = segment.unpack(&mut Unpacked::default());
                let _ = (0..SPAN).filter_map(|row| segment.row(row)?.take(1000).last()).count();
            }
        }
    }
}
