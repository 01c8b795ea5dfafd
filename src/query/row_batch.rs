//! Rows of bindings, many at a time: the one thing that goes from operator to operator.
//!
//! A row is one match of a part of the pattern. It binds entities and relationships to slots, stands at
//! one entity, and knows the entities of its path. Above the pattern a row holds cells: the items of
//! unwound lists, then the columns of the answer. Operators define what happens to rows; nothing here
//! reads a graph.

use super::cell::{self, CellValue};
use super::resolved::RowSlot;
use std::rc::Rc;

/// No entity.
pub(super) const NONE: u32 = u32::MAX;

/// The relationships in one slot of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum BoundRelationships {
    #[default]
    None,
    One(u32),
    /// In order, from the left entity; may be empty.
    Many(Rc<[u32]>),
}

impl BoundRelationships {
    pub(super) fn numbers(&self) -> &[u32] {
        match self {
            BoundRelationships::None => &[],
            BoundRelationships::One(number) => std::slice::from_ref(number),
            BoundRelationships::Many(numbers) => numbers,
        }
    }
}

/// The bindings of one row of a batch.
#[derive(Clone, Copy)]
pub(super) struct RowView<'b> {
    pub entities: &'b [u32],
    pub hops: &'b [BoundRelationships],
}

impl RowView<'_> {
    /// The same bindings, kept beyond the batch.
    pub(super) fn to_owned(self) -> BindingRow {
        BindingRow { entities: self.entities.to_vec(), hops: self.hops.to_vec() }
    }
}

/// The bindings of one row that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BindingRow {
    pub entities: Vec<u32>,
    pub hops: Vec<BoundRelationships>,
}

impl BindingRow {
    pub(super) fn view(&self) -> RowView<'_> {
        RowView { entities: &self.entities, hops: &self.hops }
    }

    /// Approximate size in bytes of a row that is kept.
    pub(super) fn bytes(&self) -> usize {
        let hops =
            self.hops.iter().map(|hops| size_of::<BoundRelationships>() + 4 * hops.numbers().len());
        size_of::<BindingRow>() + 4 * self.entities.len() + hops.sum::<usize>() + cell::KEPT
    }
}

/// The number of slots that a row has for entities and for relationships.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowShape {
    pub entities: usize,
    pub relationships: usize,
}

/// The place of a row in its pattern.
#[derive(Clone, Copy, Default)]
struct RowPlace {
    /// The entity from which the next step goes on.
    at: u32,
    /// The number of steps so far.
    depth: u32,
    /// The end of its path among the paths of the batch.
    path_end: usize,
}

/// Some rows, in order. All bindings of one kind lie in one array, row after row.
#[derive(Default)]
pub(super) struct RowBatch {
    shape: RowShape,
    entities: Vec<u32>,
    hops: Vec<BoundRelationships>,
    places: Vec<RowPlace>,
    paths: Vec<u32>,
    /// Cells of each row; no entry for rows without any.
    cells: Vec<Vec<CellValue>>,
}

impl RowBatch {
    pub(super) fn new(shape: RowShape) -> RowBatch {
        RowBatch { shape, ..RowBatch::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Forgets all rows and keeps the memory for the next ones.
    pub(super) fn clear(&mut self) {
        self.entities.clear();
        self.hops.clear();
        self.places.clear();
        self.paths.clear();
        self.cells.clear();
    }

    /// The bindings of a row.
    pub(super) fn row(&self, row: usize) -> RowView<'_> {
        let RowShape { entities, relationships } = self.shape;
        RowView {
            entities: &self.entities[row * entities..(row + 1) * entities],
            hops: &self.hops[row * relationships..(row + 1) * relationships],
        }
    }

    /// The cells of a row.
    pub(super) fn cells(&self, row: usize) -> &[CellValue] {
        self.cells.get(row).map_or(&[], Vec::as_slice)
    }

    /// Takes the cells of all rows.
    pub(super) fn take_cells(&mut self) -> impl Iterator<Item = Vec<CellValue>> + '_ {
        self.cells.drain(..)
    }

    /// The entity at which a row stands.
    pub(super) fn at(&self, row: usize) -> u32 {
        self.places[row].at
    }

    /// The number of steps that led to a row.
    pub(super) fn depth(&self, row: usize) -> u32 {
        self.places[row].depth
    }

    /// The entities that the path of a row has met, none of them twice.
    pub(super) fn path(&self, row: usize) -> &[u32] {
        let start = row.checked_sub(1).map_or(0, |before| self.places[before].path_end);
        &self.paths[start..self.places[row].path_end]
    }

    /// Adds a row that binds one entity and stands there.
    pub(super) fn push_start(&mut self, slot: RowSlot, entity: u32) {
        let first = self.entities.len();
        self.entities.resize(first + self.shape.entities, NONE);
        self.entities[first + slot] = entity;
        let hops = self.hops.len() + self.shape.relationships;
        self.hops.resize(hops, BoundRelationships::None);
        self.paths.push(entity);
        self.places.push(RowPlace { at: entity, depth: 1, path_end: self.paths.len() });
    }

    /// Adds a copy of a row of another batch, which stands at `at` after `depth` steps.
    pub(super) fn push_moved(&mut self, from: &RowBatch, row: usize, at: u32, depth: u32) {
        self.push_bindings(from.row(row));
        self.paths.extend_from_slice(from.path(row));
        self.places.push(RowPlace { at, depth, path_end: self.paths.len() });
    }

    /// Adds a copy of a row whose path begins anew where it stands.
    pub(super) fn push_seed(&mut self, from: &RowBatch, row: usize, depth: u32) {
        self.push_bindings(from.row(row));
        let at = from.at(row);
        self.paths.push(at);
        self.places.push(RowPlace { at, depth, path_end: self.paths.len() });
    }

    /// Adds a copy of a row that goes on to another entity.
    pub(super) fn push_step(
        &mut self,
        from: &RowBatch,
        row: usize,
        depth: u32,
        (slot, entity): (RowSlot, u32),
    ) {
        let first = self.entities.len();
        self.push_bindings(from.row(row));
        self.entities[first + slot] = entity;
        self.paths.extend_from_slice(from.path(row));
        self.paths.push(entity);
        self.places.push(RowPlace { at: entity, depth, path_end: self.paths.len() });
    }

    fn push_bindings(&mut self, row: RowView<'_>) {
        self.entities.extend_from_slice(row.entities);
        self.hops.extend_from_slice(row.hops);
    }

    /// Binds an entity in the last row.
    pub(super) fn bind_entity(&mut self, slot: RowSlot, entity: u32) {
        let first = self.entities.len() - self.shape.entities;
        self.entities[first + slot] = entity;
    }

    /// Binds relationships in the last row.
    pub(super) fn bind_hops(&mut self, slot: RowSlot, hops: BoundRelationships) {
        let first = self.hops.len() - self.shape.relationships;
        self.hops[first + slot] = hops;
    }

    /// Drops the last row.
    pub(super) fn pop(&mut self) {
        let last = self.len().saturating_sub(1);
        self.truncate(last);
    }

    fn truncate(&mut self, rows: usize) {
        self.places.truncate(rows);
        self.entities.truncate(rows * self.shape.entities);
        self.hops.truncate(rows * self.shape.relationships);
        self.paths.truncate(self.places.last().map_or(0, |place| place.path_end));
        self.cells.truncate(rows);
    }

    /// Moves all rows one step on, to where `at` says.
    pub(super) fn advance<E>(
        &mut self,
        mut at: impl FnMut(RowView<'_>, u32) -> u32,
        mut deeper: impl FnMut(u32) -> Result<u32, E>,
    ) -> Result<(), E> {
        for row in 0..self.len() {
            let RowPlace { at: before, depth, .. } = self.places[row];
            let (at, depth) = (at(self.row(row), before), deeper(depth)?);
            self.places[row] = RowPlace { at, depth, ..self.places[row] };
        }
        Ok(())
    }

    /// Adds bindings that were kept, as a row without a place in the pattern.
    pub(super) fn push_kept(&mut self, row: &BindingRow) {
        self.push_bindings(row.view());
        self.places.push(RowPlace { path_end: self.paths.len(), ..RowPlace::default() });
    }

    /// Adds a row of cells, with its entity where the shape has a slot for one.
    pub(super) fn push_cells(&mut self, entity: u32, cells: Vec<CellValue>) {
        let entities = self.entities.len() + self.shape.entities;
        self.entities.resize(entities, entity);
        let hops = self.hops.len() + self.shape.relationships;
        self.hops.resize(hops, BoundRelationships::None);
        self.places.push(RowPlace { path_end: self.paths.len(), ..RowPlace::default() });
        self.cells.push(cells);
    }

    /// Adds a copy of the bindings of a row, with these cells.
    pub(super) fn push_with_cells(&mut self, from: &RowBatch, row: usize, cells: Vec<CellValue>) {
        self.push_moved(from, row, from.at(row), from.depth(row));
        self.cells.push(cells);
    }

    /// Keeps the rows for which `keep` holds, in their order.
    pub(super) fn retain<E>(
        &mut self,
        mut keep: impl FnMut(&RowBatch, usize) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut kept = 0;
        for row in 0..self.len() {
            if !keep(self, row)? {
                continue;
            }
            if kept < row {
                self.move_down(row, kept);
            }
            kept += 1;
        }
        self.truncate(kept);
        Ok(())
    }

    /// Drops the first rows, and all behind the `count` that follow.
    pub(super) fn keep_range(&mut self, first: usize, count: Option<u64>) {
        let left = (self.len() - first) as u64;
        let kept = count.map_or(left, |count| count.min(left)) as usize;
        if first > 0 {
            (first..first + kept).for_each(|row| self.move_down(row, row - first));
        }
        self.truncate(kept);
    }

    /// The entity in the first slot of each row; none where rows have no slots.
    pub(super) fn first_entities(&self) -> Vec<u32> {
        let first = |row| self.row(row).entities.first().copied().unwrap_or(NONE);
        (0..self.len()).map(first).collect()
    }

    /// Puts a row in the place of one before it, which is lost.
    fn move_down(&mut self, row: usize, to: usize) {
        let RowShape { entities, relationships } = self.shape;
        self.entities.copy_within(row * entities..(row + 1) * entities, to * entities);
        for slot in 0..relationships {
            self.hops.swap(row * relationships + slot, to * relationships + slot);
        }
        let start = self.places[row - 1].path_end;
        let length = self.places[row].path_end - start;
        let first = to.checked_sub(1).map_or(0, |before| self.places[before].path_end);
        self.paths.copy_within(start..start + length, first);
        self.places[to] = RowPlace { path_end: first + length, ..self.places[row] };
        if row < self.cells.len() {
            self.cells.swap(row, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn rows_that_are_kept_keep_their_bindings_and_paths() {
        let shape = RowShape { entities: 2, relationships: 1 };
        let (mut starts, mut rows) = (RowBatch::new(shape), RowBatch::new(shape));
        (0..4).for_each(|entity| starts.push_start(0, entity));
        for row in 0..4 {
            rows.push_step(&starts, row, 2, (1, 10 + row as u32));
            rows.bind_hops(0, BoundRelationships::Many(Rc::from([row as u32])));
        }
        let Ok(()) = rows.retain(|_, row| Ok::<_, Infallible>(row % 2 == 1));
        assert_eq!(rows.len(), 2);
        for (row, of) in [(0, 1), (1, 3)] {
            assert_eq!(rows.row(row).entities, [of, 10 + of]);
            assert_eq!(rows.row(row).hops[0].numbers(), [of]);
            assert_eq!((rows.path(row), rows.at(row)), (&[of, 10 + of][..], 10 + of));
        }
        rows.pop();
        assert_eq!((rows.len(), rows.path(0)), (1, &[1, 11][..]));
    }
}
