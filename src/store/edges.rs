//! The edges of one direction: a base and a small delta, edited and read as one.
//!
//! A re-upload changes a few edges everywhere, and to store each where it belongs would rewrite
//! nearly every segment. So few edits go to a *delta*: it holds the edges that were added since the
//! base was written, and those of the base that were removed. A delta that outgrows its share is
//! merged into the base and begins anew.
//!
//! Both are segments (see `segment.rs`) in a space of their own:
//!
//! ```text
//!   base   direction u8         columns entity, other, label, relationship
//!   delta  direction u8 | 0x80  the same, but relationship * 2, plus 1 for an edge that went
//! ```
//!
//! An edge stands in the delta once at most. An added edge is not in the base, and a removed one
//! is. A delta that breaks this is damage, and so is a number of entries that differs from the
//! counters. The counters also say where there is no delta, which then costs nothing.

use super::StoreError;
use super::rows::EdgeCounts;
use super::segment::{self, AdjacencyEntry, EdgeSegment, StoredEdge, put_segment};
use super::tables::{StoredBytes, base_space, delta_space};
use super::tiles::{self, StoredTile, TileEntry, TileTable};
use crate::graph::EdgeDirection;
use redb::Table;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

/// An entry of the delta, or an edit: an edge, and true if it is added, false if it is removed.
pub type DeltaEntry = (AdjacencyEntry, bool);

/// Edges that the base has at least for each entry of its delta.
///
/// An example: a million edges, of which each upload changes 4,000. Straight into the base, that is
/// 14 MB of segments each time. A delta of 31,000 entries takes 0.4 MB in both directions, and
/// merging it is 21 MB once in eight uploads. A larger delta would save a part of the latter. But a
/// question about one entity reads the delta page by page beside the base, and a pass over all
/// edges reads it first.
const SHARE: usize = 32;

const NAME: &str = <AdjacencyEntry as TileEntry<16>>::TABLE;

const TO_ADD: &str = "an edge to add is there already";
const TO_REMOVE: &str = "an edge to remove is missing";
const NO_SENSE: &str = "contents make no sense";

impl TileEntry<16> for DeltaEntry {
    const TABLE: &'static str = NAME;
    const FIXED: usize = 0;

    #[inline]
    fn at(&self) -> [u8; 16] {
        self.0.at()
    }

    #[inline]
    fn columns(&self) -> [u64; 4] {
        let [entity, other, label, relationship] = self.0.columns();
        [entity, other, label, relationship * 2 + u64::from(!self.1)]
    }

    fn last(contents: &[u8]) -> Option<[u8; 16]> {
        Some(change(EdgeSegment::parse(contents)?.last()?).at())
    }

    fn encode(changes: &[DeltaEntry], out: &mut Vec<u8>) {
        put_segment(changes, out);
    }
}

/// Decodes an entry of a delta from its columns.
fn change((entity, edge): AdjacencyEntry) -> DeltaEntry {
    let came = edge.relationship.is_multiple_of(2);
    ((entity, StoredEdge { relationship: edge.relationship / 2, ..edge }), came)
}

/// Appends all entries of a tile of a delta. `None` if it is damaged.
fn append(contents: &[u8], changes: &mut Vec<DeltaEntry>) -> Option<()> {
    let columns = &mut Default::default();
    EdgeSegment::parse(contents)?.for_each(columns, |at, edge| changes.push(change((at, edge))))
}

/// The entries of a segment of changes, as `put_segment` writes them. `None` if it is damaged.
pub fn read_changes(contents: &[u8]) -> Option<Vec<DeltaEntry>> {
    let mut changes = Vec::new();
    append(contents, &mut changes)?;
    Some(changes)
}

/// Fails if a space has no row, although its counter says that it has `entries`.
fn expect_rows(empty: bool, space: &[u8], entries: u32) -> Result<(), StoreError> {
    match empty && entries > 0 {
        true => Err(StoreError::corrupt(NAME, space, "all rows are missing")),
        false => Ok(()),
    }
}

/// Fails if the number of entries `read` from a space differs from its counter.
fn expect_count(read: usize, space: &[u8], entries: u32) -> Result<(), StoreError> {
    match read == entries as usize {
        true => Ok(()),
        false => Err(StoreError::corrupt(NAME, space, "the number of its entries is wrong")),
    }
}

/// The edges of neighbouring entities in the base, in order.
pub fn base_near(
    table: &impl TileTable,
    direction: EdgeDirection,
    counts: EdgeCounts,
    range: Range<u32>,
) -> Result<Vec<AdjacencyEntry>, StoreError> {
    let space = base_space(direction);
    let (edges, empty) = read_range(table, &space, range)?;
    expect_rows(empty, &space, counts.base)?;
    Ok(edges)
}

/// The entries of the delta for neighbouring entities, in order. Only for a delta that has entries.
pub fn delta_near(
    table: &impl TileTable,
    direction: EdgeDirection,
    range: Range<u32>,
) -> Result<Vec<DeltaEntry>, StoreError> {
    let space = delta_space(direction);
    let (entries, empty) = read_range(table, &space, range)?;
    expect_rows(empty, &space, 1)?;
    Ok(entries.into_iter().map(change).collect())
}

/// The entries of a space for neighbouring entities, in order, and true if the space has no row at
/// all.
fn read_range(
    table: &impl TileTable,
    space: &[u8],
    range: Range<u32>,
) -> Result<(Vec<AdjacencyEntry>, bool), StoreError> {
    let [[from, _], [_, to]] = [range.start, range.end - 1].map(segment::bounds);
    let mut entries = Vec::new();
    let mut rows = 0;
    tiles::for_each_between(table, NAME, space, [&from, &to], |tile| {
        entries.extend(EdgeSegment::parse(tile.contents)?.of(range.clone()));
        rows += 1;
        Some(())
    })?;
    if rows > 1 {
        // They came from the last to the first.
        entries.sort_unstable();
    }
    Ok((entries, rows == 0))
}

/// The whole delta, in order.
pub fn delta(
    table: &impl TileTable,
    direction: EdgeDirection,
    counts: EdgeCounts,
) -> Result<Vec<DeltaEntry>, StoreError> {
    let space = delta_space(direction);
    let mut changes = Vec::new();
    tiles::all(table, NAME, &space, |tile: &StoredTile<'_, 16>| {
        append(tile.contents, &mut changes)
    })?;
    expect_count(changes.len(), &space, counts.delta)?;
    Ok(changes)
}

/// The part of `changes`, which are in order, that belongs to the entities in `range`.
pub fn changes_in_range(changes: &[DeltaEntry], range: Range<u32>) -> &[DeltaEntry] {
    let from = |entity| changes.partition_point(|((at, _), _)| *at < entity);
    changes.get(from(range.start)..from(range.end)).unwrap_or_default()
}

/// The edges of a range of entities: those of the base, with the changes of the delta.
pub fn overlaid(
    direction: EdgeDirection,
    base: Vec<AdjacencyEntry>,
    changes: &[DeltaEntry],
) -> Result<Vec<AdjacencyEntry>, StoreError> {
    if changes.is_empty() {
        return Ok(base);
    }
    let mut edges = Vec::with_capacity(base.len() + changes.len());
    let mut visit = |entity, edge| edges.push((entity, edge));
    let mut overlay = DeltaOverlay::new(changes);
    base.into_iter().for_each(|(entity, edge)| overlay.emit_base_edge(entity, edge, &mut visit));
    overlay.finish(&mut visit).map_err(|detail| no_fit(direction, detail))?;
    Ok(edges)
}

fn no_fit(direction: EdgeDirection, detail: &str) -> StoreError {
    StoreError::corrupt(NAME, &delta_space(direction), detail)
}

/// Calls `visit` for all edges in order, by one pass over the base; all entities are below `bound`.
pub fn all(
    table: &impl TileTable,
    direction: EdgeDirection,
    counts: EdgeCounts,
    bound: u32,
    mut visit: impl FnMut(u32, StoredEdge),
) -> Result<(), StoreError> {
    // A counter of 0 spares the search for a delta that is not there.
    let changes = match counts.delta {
        0 => Vec::new(),
        _ => delta(table, direction, counts)?,
    };
    if changes.last().is_some_and(|((entity, _), _)| *entity >= bound) {
        return Err(no_fit(direction, NO_SENSE));
    }
    let mut overlay = DeltaOverlay::new(&changes);
    let space = base_space(direction);
    let mut columns = Default::default();
    let mut edges = 0;
    tiles::all(table, NAME, &space, |tile: &StoredTile<'_, 16>| {
        let segment = EdgeSegment::parse(tile.contents)?;
        edges += segment.len();
        if segment.last().is_some_and(|(entity, _)| entity >= bound) {
            return None;
        }
        segment
            .for_each(&mut columns, |entity, edge| overlay.emit_base_edge(entity, edge, &mut visit))
    })?;
    expect_count(edges, &space, counts.base)?;
    overlay.finish(&mut visit).map_err(|detail| no_fit(direction, detail))
}

/// Changes that are applied to the edges of a base while these are read in order.
struct DeltaOverlay<'c> {
    /// The changes that are still to be applied.
    changes: &'c [DeltaEntry],
    /// The entity of the first of them; `u32::MAX` if there is none.
    entity: u32,
    fault: Option<&'static str>,
}

impl<'c> DeltaOverlay<'c> {
    fn new(changes: &'c [DeltaEntry]) -> DeltaOverlay<'c> {
        let ordered = changes.is_sorted_by(|a, b| a.0 < b.0);
        let mut overlay =
            DeltaOverlay { changes, entity: 0, fault: (!ordered).then_some(NO_SENSE) };
        overlay.step(0);
        overlay
    }

    fn step(&mut self, by: usize) {
        self.changes = &self.changes[by..];
        self.entity = self.changes.first().map_or(u32::MAX, |((entity, _), _)| *entity);
    }

    /// Takes the next edge of the base. Calls `visit` for the added edges before it, then for the
    /// edge itself, unless it is removed.
    #[inline]
    fn emit_base_edge(
        &mut self,
        entity: u32,
        edge: StoredEdge,
        visit: &mut impl FnMut(u32, StoredEdge),
    ) {
        // One comparison settles nearly every edge: few have a change.
        if entity < self.entity || !self.apply_changes_up_to((entity, edge), visit) {
            visit(entity, edge);
        }
    }

    /// Takes the changes up to an edge of the base; true if the edge is removed.
    fn apply_changes_up_to(
        &mut self,
        at: AdjacencyEntry,
        visit: &mut impl FnMut(u32, StoredEdge),
    ) -> bool {
        while let Some(&(next, came)) = self.changes.first()
            && next <= at
        {
            self.step(1);
            match (next == at, came) {
                (true, false) => return true,
                (true, true) => self.fault = Some(TO_ADD),
                (false, true) => visit(next.0, next.1),
                (false, false) => self.fault = Some(TO_REMOVE),
            }
        }
        false
    }

    /// Takes the changes behind the last edge of the base. Fails if the base and the changes did
    /// not fit each other.
    fn finish(mut self, visit: &mut impl FnMut(u32, StoredEdge)) -> Result<(), &'static str> {
        for &((entity, edge), came) in self.changes {
            match came {
                true => visit(entity, edge),
                false => self.fault = Some(TO_REMOVE),
            }
        }
        self.fault.map_or(Ok(()), Err)
    }
}

/// Adds and removes edges: `total` of them, in sorted pieces that follow each other.
pub fn edit(
    table: &mut Table<'_, StoredBytes, StoredBytes>,
    direction: EdgeDirection,
    counts: &mut EdgeCounts,
    total: usize,
    pieces: impl Iterator<Item = Result<Vec<DeltaEntry>, StoreError>>,
) -> Result<(), StoreError> {
    // A row that is made now would hide that all rows of a space were lost.
    let (base, delta) = (base_space(direction), delta_space(direction));
    expect_rows(tiles::is_empty::<16>(table, &base)?, &base, counts.base)?;
    expect_rows(tiles::is_empty::<16>(table, &delta)?, &delta, counts.delta)?;
    if counts.delta as usize + total > counts.base as usize / SHARE {
        return merge(table, direction, counts, pieces);
    }
    keep(table, direction, counts, pieces)?;
    if cfg!(debug_assertions) {
        // An edit of the delta does not look into the base, so a wrong edit shows only here.
        all(table, direction, *counts, u32::MAX, |_, _| {})?;
    }
    Ok(())
}

/// Puts edits into the delta.
fn keep(
    table: &mut Table<'_, StoredBytes, StoredBytes>,
    direction: EdgeDirection,
    counts: &mut EdgeCounts,
    pieces: impl Iterator<Item = Result<Vec<DeltaEntry>, StoreError>>,
) -> Result<(), StoreError> {
    let space = delta_space(direction);
    for piece in pieces {
        let piece = piece?;
        debug_assert!(piece.is_sorted());
        let grown = AtomicI64::new(0);
        tiles::edit(table, &space, &piece, TileEntry::at, |contents, edits| {
            let mut stored = Vec::new();
            contents.map_or(Some(()), |all| append(all, &mut stored)).ok_or(NO_SENSE)?;
            // Tiles are merged on several threads, so the growth is added up atomically.
            let changes = compose(&stored, edits)?;
            grown.fetch_add(changes.len() as i64 - stored.len() as i64, Ordering::Relaxed);
            Ok(changes)
        })?;
        counts.delta = shifted(counts.delta, grown.into_inner(), &space)?;
    }
    if counts.delta == 0 {
        // Proves that nothing is left before it goes.
        delta(table, direction, *counts)?;
        tiles::clear::<16>(table, &space)?;
    }
    Ok(())
}

/// Merges edits and the whole delta into the base; the delta is empty then.
pub fn merge(
    table: &mut Table<'_, StoredBytes, StoredBytes>,
    direction: EdgeDirection,
    counts: &mut EdgeCounts,
    pieces: impl Iterator<Item = Result<Vec<DeltaEntry>, StoreError>>,
) -> Result<(), StoreError> {
    let changes = delta(table, direction, *counts)?;
    if counts.delta > 0 {
        counts.delta = 0;
        tiles::clear::<16>(table, &delta_space(direction))?;
    }
    let space = base_space(direction);
    let mut rest = &changes[..];
    // Delta entries behind the last piece are merged with an empty piece.
    for piece in pieces.map(Some).chain([None]) {
        let piece = piece.transpose()?;
        debug_assert!(piece.is_none() || piece.as_ref().is_some_and(|piece| piece.is_sorted()));
        let (here, edits) = match &piece {
            None => (rest.len(), &[][..]),
            Some(piece) => {
                let last = piece.last().map(|(at, _)| *at);
                (rest.partition_point(|(at, _)| Some(*at) <= last), &piece[..])
            }
        };
        let (before, after) = rest.split_at(here);
        rest = after;
        let all = compose(before, edits).map_err(|detail| no_fit(direction, detail))?;
        tiles::edit(table, &space, &all, TileEntry::at, apply)?;
        // Added minus removed: twice the added ones minus all of them.
        let came = all.iter().filter(|(_, came)| *came).count() as i64;
        counts.base = shifted(counts.base, came * 2 - all.len() as i64, &space)?;
    }
    Ok(())
}

fn shifted(count: u32, by: i64, space: &[u8]) -> Result<u32, StoreError> {
    u32::try_from(i64::from(count) + by)
        .map_err(|_| StoreError::corrupt(NAME, space, "the number of its entries is wrong"))
}

/// The changes of a delta after edits, which ascend by (edge, add). An edge that is added and then
/// removed leaves no entry, and neither does one that is removed and then added again.
fn compose(stored: &[DeltaEntry], edits: &[DeltaEntry]) -> Result<Vec<DeltaEntry>, &'static str> {
    let mut changes: Vec<DeltaEntry> = Vec::with_capacity(stored.len() + edits.len());
    let mut stored = stored.iter().copied().peekable();
    for &(at, add) in edits {
        while let Some(kept) = stored.next_if(|kept| kept.0 <= at) {
            changes.push(kept);
        }
        match changes.last() {
            Some(&(last, came)) if last == at => {
                if came == add {
                    return Err(if add { TO_ADD } else { TO_REMOVE });
                }
                changes.pop();
            }
            _ => changes.push((at, add)),
        }
    }
    changes.extend(stored);
    Ok(changes)
}

/// The edges of a segment of the base after changes.
fn apply(
    contents: Option<&[u8]>,
    changes: &[DeltaEntry],
) -> Result<Vec<AdjacencyEntry>, &'static str> {
    let mut edges = Vec::with_capacity(changes.len() + 1024);
    let mut visit = |entity, edge| edges.push((entity, edge));
    let mut overlay = DeltaOverlay::new(changes);
    if let Some(contents) = contents {
        let pass = |entity, edge| overlay.emit_base_edge(entity, edge, &mut visit);
        EdgeSegment::parse(contents)
            .and_then(|segment| segment.for_each(&mut Default::default(), pass))
            .ok_or(NO_SENSE)?;
    }
    overlay.finish(&mut visit)?;
    Ok(edges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Edges that collide often.
    fn standings() -> impl Strategy<Value = BTreeSet<AdjacencyEntry>> {
        let standing = (0..4u32, 0..3u32, 0..2u32, 0..4u32);
        let made = standing.prop_map(|(at, other, label, relationship)| {
            (at, StoredEdge { other, label, relationship })
        });
        prop::collection::btree_set(made, 0..60)
    }

    /// The changes from one set of edges to the other.
    fn between(from: &BTreeSet<AdjacencyEntry>, to: &BTreeSet<AdjacencyEntry>) -> Vec<DeltaEntry> {
        from.symmetric_difference(to).map(|at| (*at, to.contains(at))).collect()
    }

    fn laid_over(
        base: &BTreeSet<AdjacencyEntry>,
        changes: &[DeltaEntry],
    ) -> Option<Vec<AdjacencyEntry>> {
        overlaid(EdgeDirection::Out, base.iter().copied().collect(), changes).ok()
    }

    proptest! {
        #[test]
        fn a_base_with_its_changes_is_what_was_meant(
            base in standings(),
            then in standings(),
            now in standings(),
        ) {
            let (first, second) = (between(&base, &then), between(&then, &now));
            let now: Vec<AdjacencyEntry> = now.into_iter().collect();
            prop_assert_eq!(laid_over(&base, &first).unwrap(), then.into_iter().collect::<Vec<_>>());
            let both = compose(&first, &second).unwrap();
            prop_assert_eq!(&both, &between(&base, &now.iter().copied().collect()));
            prop_assert_eq!(&laid_over(&base, &both).unwrap(), &now);
            let (mut contents, all): (_, Vec<AdjacencyEntry>) = (Vec::new(), base.into_iter().collect());
            AdjacencyEntry::encode(&all, &mut contents);
            prop_assert_eq!(&apply(Some(&contents), &both).unwrap(), &now);
        }

        #[test]
        fn changes_that_do_not_fit_the_base_are_damage(
            base in standings(),
            now in standings(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut changes = between(&base, &now);
            prop_assume!(!changes.is_empty());
            let at = at.index(changes.len());
            changes[at].1 ^= true;
            prop_assert_eq!(laid_over(&base, &changes), None);
            changes[at].1 ^= true;
            changes.insert(at, changes[at]);
            prop_assert_eq!(laid_over(&base, &changes), None);
        }

        #[test]
        fn changes_come_back_as_they_were(edges in standings(), seed: u64) {
            let came = |i| seed >> (i % 64) & 1 == 0;
            let changes: Vec<DeltaEntry> =
                edges.iter().enumerate().map(|(i, at)| (*at, came(i))).collect();
            let (mut contents, mut back) = (Vec::new(), Vec::new());
            DeltaEntry::encode(&changes, &mut contents);
            append(&contents, &mut back).unwrap();
            prop_assert_eq!(&back, &changes);
            prop_assert_eq!(changes_in_range(&changes, 1..3), &back[..]
                .iter().copied().filter(|(at, _)| (1..3).contains(&at.0)).collect::<Vec<_>>()[..]);
        }
    }

    #[test]
    fn an_edge_that_goes_and_comes_again_is_no_change() {
        let at = (3, StoredEdge { other: 1, label: 1, relationship: 9 });
        assert_eq!(compose(&[], &[(at, false), (at, true)]), Ok(vec![]));
        assert_eq!(compose(&[(at, true)], &[(at, false), (at, true)]), Ok(vec![(at, true)]));
        assert_eq!(compose(&[(at, false)], &[(at, false), (at, true)]), Err(TO_REMOVE));
        assert_eq!(compose(&[(at, true)], &[(at, true)]), Err(TO_ADD));
    }
}
