//! Counted: rows as they come, counted for the profile of the query.

use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::row_batch::RowBatch;
use std::cell::Cell as Counter;

/// Rows that are counted as they pass.
pub(in crate::query) struct Counted<'a, G: GraphRead> {
    pub input: InputOperator<'a, G>,
    pub count: &'a Counter<u64>,
}

impl<G: GraphRead> RowOperator<G> for Counted<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        let more = self.input.next_batch(demand, rows)?;
        self.count.set(self.count.get() + rows.len() as u64);
        Ok(more)
    }
}
