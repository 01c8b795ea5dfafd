//! Tiles: sorted entries, cut into rows of a table that follow each other without a gap.
//!
//! ```text
//!   key      space | lower bound of the entries, N bytes
//!   payload  upper bound, N bytes (all 0xFF: none) | contents
//! ```
//!
//! A *space* is a set of entries that is sorted by itself: the objects of one kind in one scope, or
//! the edges in one direction. The first tile of a space begins at all zeros, and the upper bound
//! of each tile is the key of the next. So a search that lands in the wrong row, or passes a lost
//! one, is noticed. An edit rewrites only the tiles that it falls into. The contents are defined in
//! `identity`, `segment` and `edges`.

use super::StoreError;
use super::bulk_insert::{BulkInserter, SealedRow};
use super::codec::{proven, seal, unseal};
use super::column::width_of;
use super::pipeline::{NextGroup, pipeline};
use super::tables::StoredBytes;
use rayon::prelude::*;
use redb::{ReadOnlyTable, ReadableTable, Table, TableHandle};
use std::collections::VecDeque;

/// Bytes of contents in a tile at most: one page of the engine, 4 KiB, less its header, key and
/// seal. A question reads few tiles and little of each, so tiles are small.
const CONTENTS_MAX: usize = 4_000;

/// Entries that such contents can hold: each takes at least one bit in each of four columns.
pub const ENTRIES_MAX: usize = CONTENTS_MAX * 2;

/// The upper bound that stands for "no bound". No entry has it.
const fn unbounded<const N: usize>() -> [u8; N] {
    [0xFF; N]
}

/// A table whose rows are tiles.
pub trait TileTable: ReadableTable<StoredBytes, StoredBytes> {
    /// True if the rows lie in proven pages, so that their seals need no check.
    const PROVEN: bool;
}

impl TileTable for ReadOnlyTable<StoredBytes, StoredBytes> {
    const PROVEN: bool = true;
}

impl TileTable for Table<'_, StoredBytes, StoredBytes> {
    const PROVEN: bool = false;
}

/// One tile as it lies in the file.
pub struct StoredTile<'a, const N: usize> {
    /// Key of the row.
    pub key: &'a [u8],
    /// The bound below which all entries lie; `None` if there is none.
    pub upper: Option<&'a [u8; N]>,
    /// The entries.
    pub contents: &'a [u8],
}

impl<'a, const N: usize> StoredTile<'a, N> {
    fn open<T: TileTable>(
        name: &'static str,
        key: &'a [u8],
        sealed: &'a [u8],
    ) -> Result<Self, StoreError> {
        let open = if T::PROVEN { proven } else { unseal };
        let payload = open(name, key, sealed)?;
        match payload.split_first_chunk() {
            Some((upper, contents)) if key.len() >= N => {
                let upper = (*upper != unbounded()).then_some(upper);
                Ok(StoredTile { key, upper, contents })
            }
            _ => Err(StoreError::corrupt(name, key, "contents make no sense")),
        }
    }

    fn lower(&self) -> [u8; N] {
        *self.key.last_chunk().expect("BUG: `open` looked at the length")
    }

    /// True if an entry at `at` belongs here; `at` is not below the lower bound.
    pub fn reaches(&self, at: &[u8; N]) -> bool {
        self.upper.is_none_or(|upper| at < upper)
    }
}

fn key<const N: usize>(space: &[u8], bound: &[u8; N]) -> Vec<u8> {
    [space, bound].concat()
}

/// Calls `visit` for the tiles that hold the entries from `from` to `to`, both included, the last
/// tile first. `visit` returns `None` if the contents are damaged.
pub fn for_each_between<const N: usize, T: TileTable>(
    table: &T,
    name: &'static str,
    space: &[u8],
    [from, to]: [&[u8; N]; 2],
    mut visit: impl FnMut(&StoredTile<'_, N>) -> Option<()>,
) -> Result<(), StoreError> {
    let (first, last) = (key(space, &[0; N]), key(space, to));
    let mut next: Option<[u8; N]> = None;
    let mut range = table.range::<&[u8]>(&first[..]..=&last[..])?;
    // The tile that holds `to` may begin far below it, so the search goes backwards from `to`.
    while let Some(row) = range.next_back() {
        let (key, guard) = row?;
        let tile = StoredTile::open::<T>(name, key.value(), guard.value())?;
        let whole = match &next {
            None => tile.reaches(to),
            Some(next) => tile.upper == Some(next),
        };
        if !whole {
            return Err(StoreError::corrupt(name, tile.key, "the next row is missing"));
        }
        visit(&tile)
            .ok_or_else(|| StoreError::corrupt(name, tile.key, "contents make no sense"))?;
        let lower = tile.lower();
        if lower <= *from {
            return Ok(());
        }
        next = Some(lower);
    }
    let last = key(space, &unbounded::<N>());
    match table.range::<&[u8]>(&first[..]..=&last[..])?.next() {
        None => Ok(()),
        Some(_) => Err(StoreError::corrupt(name, &first, "the first row is missing")),
    }
}

/// Calls `visit` for every tile of a space in order. `visit` returns `None` if the contents are
/// damaged.
pub fn all<const N: usize, T: TileTable>(
    table: &T,
    name: &'static str,
    space: &[u8],
    mut visit: impl FnMut(&StoredTile<'_, N>) -> Option<()>,
) -> Result<(), StoreError> {
    let (first, last) = (key(space, &[0; N]), key(space, &unbounded::<N>()));
    // Each upper bound names the next row, so a lost row shows at once.
    let mut expected = Some([0; N]);
    let mut any = false;
    for row in table.range::<&[u8]>(&first[..]..=&last[..])? {
        let (key, guard) = row?;
        let tile = StoredTile::open::<T>(name, key.value(), guard.value())?;
        if expected != Some(tile.lower()) {
            return Err(StoreError::corrupt(name, tile.key, "the row before is missing"));
        }
        visit(&tile)
            .ok_or_else(|| StoreError::corrupt(name, tile.key, "contents make no sense"))?;
        expected = tile.upper.copied();
        any = true;
    }
    if any && expected.is_some() {
        return Err(StoreError::corrupt(name, &last, "the last row is missing"));
    }
    Ok(())
}

/// True if a space has no tile.
pub fn is_empty<const N: usize>(
    table: &impl ReadableTable<StoredBytes, StoredBytes>,
    space: &[u8],
) -> Result<bool, StoreError> {
    let (first, last) = (key(space, &[0; N]), key(space, &unbounded::<N>()));
    Ok(table.range::<&[u8]>(&first[..]..=&last[..])?.next().is_none())
}

/// Removes all tiles of a space.
pub fn clear<const N: usize>(
    table: &mut Table<'_, StoredBytes, StoredBytes>,
    space: &[u8],
) -> Result<(), StoreError> {
    let (first, last) = (key(space, &[0; N]), key(space, &unbounded::<N>()));
    table.retain_in::<&[u8], _>(&first[..]..=&last[..], |_, _| false)?;
    Ok(())
}

/// A tile that is about to be rewritten, with its edits.
struct EditedTile<'e, const N: usize, E> {
    lower: [u8; N],
    upper: Option<[u8; N]>,
    contents: Option<Vec<u8>>,
    edits: &'e [E],
}

/// Merges `edits`, which ascend by `at`, into the tiles of a space.
///
/// `merge` gets the contents of a tile, if there are any, and its edits. It returns all entries of
/// the tile afterwards, or a description of the damage.
pub fn edit<const N: usize, E: Sync, T: TileEntry<N>>(
    table: &mut Table<'_, StoredBytes, StoredBytes>,
    space: &[u8],
    edits: &[E],
    at: impl Fn(&E) -> [u8; N] + Sync,
    merge: impl Fn(Option<&[u8]>, &[E]) -> Result<Vec<T>, &'static str> + Sync,
) -> Result<(), StoreError> {
    debug_assert_eq!(table.name(), T::TABLE);
    let name = T::TABLE;
    let mut rest = edits;
    let mut waiting = VecDeque::new();
    let gather = |runs: &mut BulkInserter<'_, '_>| {
        let (mut group, mut edits) = (Vec::new(), 0);
        while group.len() < TILES_AT_ONCE && edits < EDITS_AT_ONCE {
            if let (true, Some(first)) = (waiting.is_empty(), rest.first()) {
                let wanted = at(first);
                let mut tile =
                    EditedTile { lower: [0; N], upper: None, contents: None, edits: rest };
                for_each_between(runs.table, name, space, [&wanted, &wanted], |found| {
                    tile.lower = found.lower();
                    tile.upper = found.upper.copied();
                    tile.contents = Some(found.contents.to_vec());
                    Some(())
                })?;
                let here = match &tile.upper {
                    None => rest.len(),
                    Some(upper) => rest.partition_point(|edit| at(edit) < *upper),
                };
                (tile.edits, rest) = rest.split_at(here);
                // The tile is read before its rows are put: no later edit falls into it, as edits
                // ascend.
                waiting.extend(split::<N, E, T>(tile, &at));
            }
            let Some(tile) = waiting.pop_front() else { break };
            edits += tile.edits.len();
            group.push(tile);
        }
        Ok(if group.is_empty() { NextGroup::End } else { NextGroup::Group(group) })
    };
    let make = |group: Vec<EditedTile<'_, N, E>>| {
        let mut made = Vec::with_capacity(group.len());
        for EditedTile { lower, upper, contents, edits } in group {
            let merged = merge(contents.as_deref(), edits)
                .map_err(|detail| StoreError::corrupt(name, &key(space, &lower), detail))?;
            made.extend(rows(space, lower, upper, &merged, contents.is_none()));
        }
        Ok(made)
    };
    let mut runs = BulkInserter::new(table);
    pipeline(&mut runs, 14, gather, make, |runs, rows: Vec<SealedRow>| {
        rows.into_iter().try_for_each(|row| runs.put(row))
    })?;
    runs.end()
}

/// Tiles that one thread rewrites in one go, at most.
const TILES_AT_ONCE: usize = 16;
/// Edits in them, about.
const EDITS_AT_ONCE: usize = SPLIT;
/// Rows that one thread makes.
const MANY: usize = if cfg!(test) { 3 } else { 64 };
/// Edits of one tile that one thread merges.
const SPLIT: usize = if cfg!(test) { 128 } else { 8 << 10 };

/// Returns a tile as it is, or cuts it into several that follow each other. It is cut if many edits
/// lie behind all of its entries, as in a first load.
fn split<'e, const N: usize, E, T: TileEntry<N>>(
    tile: EditedTile<'e, N, E>,
    at: &impl Fn(&E) -> [u8; N],
) -> Vec<EditedTile<'e, N, E>> {
    if tile.edits.len() <= SPLIT {
        return vec![tile];
    }
    let EditedTile { lower, upper, contents, edits: mut rest } = tile;
    let last = contents.as_deref().and_then(T::last);
    let mut tiles = vec![EditedTile { lower, upper, contents, edits: rest }];
    while let Some(next) = rest.get(SPLIT).map(at)
        && last.is_none_or(|last| last < next)
    {
        // Edits at one place stay in one tile.
        let (here, behind) = rest.split_at(rest.partition_point(|edit| at(edit) < next));
        if here.is_empty() {
            break;
        }
        let before = tiles.last_mut().expect("BUG: it began with one");
        (before.upper, before.edits) = (Some(next), here);
        tiles.push(EditedTile { lower: next, upper, contents: None, edits: behind });
        rest = behind;
    }
    tiles
}

/// An entry of a tile.
pub trait TileEntry<const N: usize>: Send + Sync {
    /// The table that holds such tiles.
    const TABLE: &'static str;
    /// Bytes of an entry beside its columns.
    const FIXED: usize;

    /// Its place, by which entries are sorted.
    fn at(&self) -> [u8; N];

    /// Its value in each column; unused columns have zeros.
    fn columns(&self) -> [u64; 4];

    /// The place of the last entry of such contents; `None` if there is none, or the contents are
    /// damaged.
    fn last(contents: &[u8]) -> Option<[u8; N]>;

    /// Writes the contents of a tile.
    fn encode(entries: &[Self], out: &mut Vec<u8>)
    where
        Self: Sized;
}

/// The sealed rows of the entries of one tile; several if the entries do not fit one. `new` is true
/// if the tile has no row yet.
fn rows<const N: usize, T: TileEntry<N>>(
    space: &[u8],
    lower: [u8; N],
    upper: Option<[u8; N]>,
    entries: &[T],
    new: bool,
) -> Vec<SealedRow> {
    let mut starts = split_rows(entries);
    if let [_, second] = &mut starts[..] {
        // A tile that has outgrown its row will grow again, so both halves get room.
        *second = entries.len() / 2;
    }
    let row = |i: usize| {
        let start = starts[i];
        let (end, upper) = match starts.get(i + 1) {
            Some(&end) => (end, entries[end].at()),
            None => (entries.len(), upper.unwrap_or(unbounded())),
        };
        let lower = if i == 0 { lower } else { entries[start].at() };
        let key = key(space, &lower);
        let mut payload = Vec::with_capacity(CONTENTS_MAX + 64);
        payload.extend_from_slice(&upper);
        T::encode(&entries[start..end], &mut payload);
        let sealed = seal(T::TABLE, &key, payload);
        SealedRow { key, sealed, new: new || i > 0 }
    };
    if starts.len() <= MANY {
        return (0..starts.len()).map(row).collect();
    }
    (0..starts.len()).into_par_iter().map(row).collect()
}

/// The index of the first entry of each row, if every row takes as many entries as fit a page; at
/// least one row.
fn split_rows<const N: usize, T: TileEntry<N>>(entries: &[T]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut row = TileSizer::new(T::FIXED);
    for (i, entry) in entries.iter().enumerate() {
        row.add(entry.columns());
        if row.size() > CONTENTS_MAX && row.entries > 1 {
            starts.push(i);
            row = TileSizer::new(T::FIXED);
            row.add(entry.columns());
        }
    }
    starts
}

/// The size of the contents of a row, an upper limit, while entries are added.
struct TileSizer {
    fixed: usize,
    entries: usize,
    /// The least and the greatest value of each column.
    ranges: [(u64, u64); 4],
    widths: [usize; 4],
    /// Bits of an entry in all columns.
    bits: usize,
}

impl TileSizer {
    fn new(fixed: usize) -> TileSizer {
        TileSizer { fixed, entries: 0, ranges: [(u64::MAX, 0); 4], widths: [1; 4], bits: 4 }
    }

    #[inline]
    fn add(&mut self, values: [u64; 4]) {
        self.entries += 1;
        let columns = self.ranges.iter_mut().zip(&mut self.widths).zip(values);
        for (((low, high), width), value) in columns {
            (*low, *high) = ((*low).min(value), (*high).max(value));
            let range = *high - *low;
            // Rarely: most values lie where others do.
            if *width < 64 && range >> *width > 0 {
                self.bits -= *width;
                *width = width_of(range);
                self.bits += *width;
            }
        }
    }

    #[inline]
    fn size(&self) -> usize {
        /// Bytes for the length, the form and base of each column, and the unused bits of its last
        /// byte.
        const AROUND: usize = 5 + 4 * 13;
        AROUND + self.entries * self.fixed + (self.entries * self.bits).div_ceil(8)
    }
}
