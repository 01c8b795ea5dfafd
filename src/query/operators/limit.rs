//! Limit: a page of the rows. It asks for no row behind the page.

use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::row_batch::RowBatch;

/// Some rows are passed over, then so many are kept.
pub(in crate::query) struct Limit<'a, G: GraphRead> {
    pub input: InputOperator<'a, G>,
    /// Rows that are still to be passed over.
    pub skip: u64,
    /// Rows that are still to be kept; `None` for all.
    pub count: Option<u64>,
}

impl<G: GraphRead> RowOperator<G> for Limit<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        while rows.is_empty() && self.count != Some(0) {
            if !self.input.next_batch(self.demand(demand), rows)? {
                return Ok(false);
            }
            let passed = self.skip.min(rows.len() as u64);
            self.skip -= passed;
            rows.keep_range(passed as usize, self.count);
            self.count = self.count.map(|count| count - rows.len() as u64);
        }
        Ok(!rows.is_empty())
    }
}

impl<G: GraphRead> Limit<'_, G> {
    /// The demand on the input, for rows that are passed over and rows that are kept.
    fn demand(&self, demand: RowDemand) -> RowDemand {
        let page = match (self.count, demand) {
            (None, RowDemand::All) => return RowDemand::All,
            (Some(count), RowDemand::All) => count,
            (count, RowDemand::AtMost(rows)) => count.unwrap_or(u64::MAX).min(rows as u64),
        };
        RowDemand::AtMost(usize::try_from(self.skip.saturating_add(page)).unwrap_or(usize::MAX))
    }
}
