//! Distinct: rows that differ in the columns that are shown.

use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::cell::{CellValue, KEPT};
use crate::query::read::QueryReader;
use crate::query::row_batch::RowBatch;
use rustc_hash::FxHashSet;

/// Rows without those that are equal to one before.
pub(in crate::query) struct Distinct<'a, G: GraphRead> {
    pub reader: &'a QueryReader<'a, G>,
    pub input: InputOperator<'a, G>,
    /// The number of columns that are shown.
    pub columns: usize,
    /// True if the rows are groups, whose cells were not counted one row at a time.
    pub grouped: bool,
    pub seen: FxHashSet<String>,
}

impl<G: GraphRead> RowOperator<G> for Distinct<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        while self.input.next_batch(demand, rows)? {
            rows.retain(|rows, row| -> OperatorResult<bool, G> {
                let cells = rows.cells(row);
                let new = is_new(self.reader, &mut self.seen, &cells[..self.columns])?;
                if !new && !self.grouped {
                    self.reader.meter.release(row_bytes(cells) as u64);
                }
                Ok(new)
            })?;
            if !rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The bytes of cells that are kept as a row.
pub(super) fn row_bytes(cells: &[CellValue]) -> usize {
    KEPT + cells.iter().map(CellValue::bytes).sum::<usize>()
}

fn identity(cells: &[CellValue]) -> String {
    let mut text = String::new();
    cells.iter().for_each(|cell| cell.identity(&mut text));
    text
}

/// True if no row before had these cells.
pub(super) fn is_new<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    seen: &mut FxHashSet<String>,
    cells: &[CellValue],
) -> OperatorResult<bool, G> {
    let identity = identity(cells);
    if seen.contains(&identity) {
        return Ok(false);
    }
    reader.hold(KEPT + identity.len())?;
    seen.insert(identity);
    Ok(true)
}
