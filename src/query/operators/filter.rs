//! Filter: the rows that meet a condition, on whole matches (WHERE) or on columns (HAVING).

use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::read::{EvalContext, QueryReader};
use crate::query::resolved::Predicate;
use crate::query::row_batch::RowBatch;

/// Rows without those that a condition refuses.
pub(in crate::query) struct Filter<'a, G: GraphRead> {
    pub reader: &'a QueryReader<'a, G>,
    pub input: InputOperator<'a, G>,
    pub condition: &'a Predicate,
}

impl<G: GraphRead> RowOperator<G> for Filter<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        while self.input.next_batch(demand, rows)? {
            rows.retain(|rows, row| {
                let (row, columns) = (Some(rows.row(row)), rows.cells(row));
                let sight = EvalContext { row, columns, ..EvalContext::default() };
                self.reader.test(self.condition, &sight)
            })?;
            if !rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
