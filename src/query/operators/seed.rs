//! Seed: the one row that a chain begins with.

use super::{OperatorResult, PatternOperator, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::row_batch::{RowBatch, RowShape};

/// The row that was given last, once.
pub(super) struct Seed {
    row: RowBatch,
    /// True if the path of the row before the chain excludes nothing from the chain.
    apart: bool,
}

impl Seed {
    pub(super) fn new(shape: RowShape, apart: bool) -> Seed {
        Seed { row: RowBatch::new(shape), apart }
    }
}

impl<G: GraphRead> RowOperator<G> for Seed {
    fn next_batch(&mut self, _: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        std::mem::swap(&mut self.row, rows);
        Ok(!rows.is_empty())
    }
}

impl<G: GraphRead> PatternOperator<G> for Seed {
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32) {
        self.row.clear();
        match self.apart {
            true => self.row.push_seed(seed, row, depth),
            false => self.row.push_moved(seed, row, seed.at(row), depth),
        }
    }
}
