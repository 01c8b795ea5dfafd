//! Project: the columns of each row.

use super::{BATCH_BYTES, InputOperator, OperatorResult, RowCursor, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::cell::KEPT;
use crate::query::read::{EvalContext, QueryReader};
use crate::query::resolved::ScalarExpr;
use crate::query::row_batch::{NONE, RowBatch, RowShape};

/// The values of some terms for each row, in place of its bindings.
pub(in crate::query) struct Project<'a, G: GraphRead> {
    reader: &'a QueryReader<'a, G>,
    input: RowCursor<InputOperator<'a, G>>,
    columns: &'a [ScalarExpr],
}

impl<'a, G: GraphRead> Project<'a, G> {
    pub(in crate::query) fn new(
        reader: &'a QueryReader<'a, G>,
        input: InputOperator<'a, G>,
        slots: RowShape,
        columns: &'a [ScalarExpr],
    ) -> Project<'a, G> {
        Project { reader, input: RowCursor::new(input, slots), columns }
    }
}

impl<G: GraphRead> RowOperator<G> for Project<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        let reader = self.reader;
        let before = reader.meter.held();
        while rows.len() < demand.rows()
            && reader.meter.held().saturating_sub(before) < BATCH_BYTES as u64
        {
            if !self.input.advance::<G>(demand.after(rows.len()))? {
                break;
            }
            let (from, row) = (&self.input.rows, self.input.row());
            let (bindings, turns) = (Some(from.row(row)), from.cells(row));
            let sight = EvalContext { row: bindings, turns, ..EvalContext::default() };
            reader.spend(100)?;
            reader.hold(KEPT)?;
            let cells = self.columns.iter().map(|term| reader.keep(reader.term(term, &sight)?));
            rows.push_cells(NONE, cells.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(!rows.is_empty())
    }
}
