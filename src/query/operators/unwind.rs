//! Unwind: a row for each combination of the items of some lists.

use super::distinct::row_bytes;
use super::{BATCH_BYTES, InputOperator, OperatorResult, RowCursor, RowDemand, RowOperator};
use crate::graph::{GraphRead, Value};
use crate::limits::MemoryReservation;
use crate::query::QuestionError;
use crate::query::cell::CellValue;
use crate::query::read::{EvalContext, QueryReader};
use crate::query::resolved::ScalarExpr;
use crate::query::row_batch::{RowBatch, RowShape, RowView};

/// Rows, once for each combination of items.
pub(in crate::query) struct Unwind<'a, G: GraphRead> {
    reader: &'a QueryReader<'a, G>,
    input: RowCursor<InputOperator<'a, G>>,
    lists: &'a [ScalarExpr],
    /// The combinations of the row at hand that are left.
    turns: Option<UnwindCursor<'a>>,
}

impl<'a, G: GraphRead> Unwind<'a, G> {
    pub(in crate::query) fn new(
        reader: &'a QueryReader<'a, G>,
        input: InputOperator<'a, G>,
        slots: RowShape,
        lists: &'a [ScalarExpr],
    ) -> Unwind<'a, G> {
        Unwind { reader, input: RowCursor::new(input, slots), lists, turns: None }
    }
}

impl<G: GraphRead> RowOperator<G> for Unwind<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        let mut bytes = 0;
        while rows.len() < demand.rows() && bytes < BATCH_BYTES {
            if let Some(turns) = self.turns.as_mut().filter(|turns| turns.at.is_some()) {
                turns.next();
                let cells = turns.cells.clone();
                bytes += row_bytes(&cells);
                rows.push_with_cells(&self.input.rows, self.input.row(), cells);
            } else if self.input.advance::<G>(demand.of_one_row())? {
                let row = self.input.rows.row(self.input.row());
                self.turns = Some(UnwindCursor::of(self.reader, self.lists, row)?);
            } else {
                self.turns = None;
                break;
            }
        }
        Ok(!rows.is_empty())
    }
}

/// The combinations of the items of a row's unwound lists, one after the other, since there may be
/// more of them than memory holds.
struct UnwindCursor<'m> {
    lists: Vec<Vec<CellValue>>,
    /// The position of the next item in each list; `None` after the last combination.
    at: Option<Vec<usize>>,
    /// The items at hand.
    cells: Vec<CellValue>,
    _part: MemoryReservation<'m>,
}

impl<'m> UnwindCursor<'m> {
    fn of<G: GraphRead>(
        reader: &QueryReader<'m, G>,
        terms: &[ScalarExpr],
        row: RowView<'_>,
    ) -> Result<UnwindCursor<'m>, QuestionError<G::Error>> {
        let sight = EvalContext { row: Some(row), ..EvalContext::default() };
        let (mut part, mut product) = (reader.meter.part(), 1usize);
        let mut lists: Vec<Vec<CellValue>> = Vec::with_capacity(terms.len());
        for term in terms {
            let items = match reader.term(term, &sight)? {
                CellValue::Value(Value::List(items)) if !items.is_empty() => {
                    items.into_iter().map(CellValue::Value).collect()
                }
                // An empty list keeps its row, without a value in that column.
                CellValue::Value(Value::List(_)) => vec![CellValue::Undefined],
                cell => vec![cell],
            };
            part.hold(row_bytes(&items) as u64).map_err(QuestionError::Limit)?;
            product = product.saturating_mul(items.len());
            reader.room(product)?;
            lists.push(items);
        }
        let at = Some(vec![0; lists.len()]);
        Ok(UnwindCursor { lists, at, cells: Vec::new(), _part: part })
    }

    /// Goes on to the next combination; the last list turns fastest.
    fn next(&mut self) -> bool {
        let Some(at) = &mut self.at else { return false };
        self.cells.clear();
        self.cells.extend(self.lists.iter().zip(&*at).map(|(list, &at)| list[at].clone()));
        for (list, at) in self.lists.iter().zip(&mut *at).rev() {
            *at += 1;
            if *at < list.len() {
                return true;
            }
            *at = 0;
        }
        self.at = None;
        true
    }
}
