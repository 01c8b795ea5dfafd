//! Sort: rows by their columns. Where only a page is shown, no more than that is kept.

use super::distinct::row_bytes;
use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::cell::CellValue;
use crate::query::read::QueryReader;
use crate::query::row_batch::{RowBatch, RowShape};
use std::cmp::Ordering;

/// Rows that take more bytes are cut to the page even if they are few.
const SORTED_BYTES: u64 = 1 << 20;
/// Fewer rows are not cut unless they take many bytes.
const SORTED_ROWS: usize = 1_024;

/// A row that is sorted: its entity, if it has one, and its cells.
type SortedRow = (u32, Vec<CellValue>);

/// Rows in order.
pub(in crate::query) struct Sort<'a, G: GraphRead> {
    reader: &'a QueryReader<'a, G>,
    input: InputOperator<'a, G>,
    shape: RowShape,
    /// Columns, each with true for descending.
    keys: &'a [(usize, bool)],
    by_number: bool,
    /// The number of rows that are asked for.
    best: usize,
    sorted: Option<std::vec::IntoIter<SortedRow>>,
}

impl<'a, G: GraphRead> Sort<'a, G> {
    pub(in crate::query) fn new(
        reader: &'a QueryReader<'a, G>,
        input: InputOperator<'a, G>,
        shape: RowShape,
        (keys, by_number): (&'a [(usize, bool)], bool),
        best: usize,
    ) -> Sort<'a, G> {
        Sort { reader, input, shape, keys, by_number, best, sorted: None }
    }

    fn sorted(&mut self) -> OperatorResult<Vec<SortedRow>, G> {
        let reader = self.reader;
        let (mut batch, mut rows) = (RowBatch::new(self.shape), Vec::new());
        let mut sorted_at = reader.meter.held();
        while self.input.next_batch(RowDemand::All, &mut batch)? {
            let entities = batch.first_entities();
            rows.extend(entities.into_iter().zip(batch.take_cells()));
            let grown = reader.meter.held().saturating_sub(sorted_at);
            // Cut only once the rows have doubled, so that sorting costs little for each row.
            if rows.len() / 2 > self.best && (rows.len() > SORTED_ROWS || grown > SORTED_BYTES) {
                self.sort(&mut rows);
                let left_out: usize =
                    rows.drain(self.best..).map(|(_, cells)| row_bytes(&cells)).sum();
                reader.meter.release(left_out as u64);
                sorted_at = reader.meter.held();
            }
            reader.room(rows.len())?;
        }
        self.sort(&mut rows);
        Ok(rows)
    }

    /// Sorts rows as asked; those that are equal in that stay as they were, or stand by number.
    fn sort(&self, rows: &mut [SortedRow]) {
        if self.keys.is_empty() {
            return rows.sort_by_key(|(number, _)| *number);
        }
        rows.sort_by(|(one, a), (other, b)| {
            let mut each =
                self.keys.iter().map(|&(at, descending)| compare_cells(&a[at], &b[at], descending));
            let order = each.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
            // By number last, so that pages of a list do not depend on the order of matching.
            if self.by_number { order.then(one.cmp(other)) } else { order }
        });
    }
}

impl<G: GraphRead> RowOperator<G> for Sort<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        if self.sorted.is_none() {
            self.sorted = Some(self.sorted()?.into_iter());
        }
        for (entity, cells) in self.sorted.iter_mut().flatten().take(demand.rows()) {
            rows.push_cells(entity, cells);
        }
        Ok(!rows.is_empty())
    }
}

/// Undefined cells stand last, whichever way the others are sorted.
pub(super) fn compare_cells(a: &CellValue, b: &CellValue, descending: bool) -> Ordering {
    match (a.is_undefined(), b.is_undefined()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => b.order(a),
        (false, false) => a.order(b),
    }
}
