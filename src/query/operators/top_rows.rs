//! Top rows: the first rows in an order, of which no more is read than the order asks for until they are
//! known.

use super::sort::compare_cells;
use super::term_cells::TermCells;
use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::{GraphRead, PropertyCell};
use crate::query::cell::{CellValue, KEPT};
use crate::query::read::{EvalContext, QueryReader};
use crate::query::resolved::{ScalarExpr, ScalarFunction};
use crate::query::row_batch::{BindingRow, NONE, RowBatch, RowShape};
use std::cmp::Ordering;

/// Most rows that are kept in this way; more are sorted as a whole.
const ROWS_MAX: usize = 10_000;

/// The columns of the first rows in an order.
pub(in crate::query) struct TopRows<'a, G: GraphRead> {
    reader: &'a QueryReader<'a, G>,
    input: InputOperator<'a, G>,
    slots: RowShape,
    columns: &'a [ScalarExpr],
    /// Columns, each with true for descending.
    keys: &'a [(usize, bool)],
    /// The number of rows that are asked for.
    best: usize,
    sorted: Option<std::vec::IntoIter<TopRow>>,
}

/// A row that may be among the first.
struct TopRow {
    keys: Vec<CellValue>,
    /// The first key and its decimals, if it is a number.
    number: Option<(i64, u8)>,
    bindings: BindingRow,
    turns: Vec<CellValue>,
}

impl TopRow {
    fn bytes(&self) -> usize {
        let cells = self.keys.iter().chain(&self.turns).map(CellValue::bytes);
        KEPT + self.bindings.bytes() + cells.sum::<usize>()
    }
}

/// True if the rows of these columns can be put in order before all of their columns are read: reading
/// the others then finds nothing to note, and there are not too many rows.
pub(in crate::query) fn reads_late(columns: &[ScalarExpr], best: usize) -> bool {
    best <= ROWS_MAX && columns.iter().all(is_plain)
}

fn is_plain(term: &ScalarExpr) -> bool {
    match term {
        ScalarExpr::Undefined
        | ScalarExpr::Value(_)
        | ScalarExpr::Written(..)
        | ScalarExpr::Time(_)
        | ScalarExpr::Property(..)
        | ScalarExpr::Whole(_)
        | ScalarExpr::Unwind(_) => true,
        ScalarExpr::Call(ScalarFunction::Depth | ScalarFunction::Coalesce, terms) => {
            terms.iter().all(is_plain)
        }
        _ => false,
    }
}

impl<'a, G: GraphRead> TopRows<'a, G> {
    pub(in crate::query) fn new(
        reader: &'a QueryReader<'a, G>,
        input: InputOperator<'a, G>,
        slots: RowShape,
        columns: &'a [ScalarExpr],
        (keys, best): (&'a [(usize, bool)], usize),
    ) -> TopRows<'a, G> {
        TopRows { reader, input, slots, columns, keys, best, sorted: None }
    }

    fn sorted(&mut self) -> OperatorResult<Vec<TopRow>, G> {
        let (reader, terms) = (self.reader, self.keys.iter().map(|&(at, _)| &self.columns[at]));
        let mut cells = TermCells::new(terms.collect());
        let (mut batch, mut rows) = (RowBatch::new(self.slots), Vec::<TopRow>::new());
        // Rows that do not come before the last of the best ones cannot be among them.
        let mut last: Option<usize> = None;
        let mut bar: Option<(i64, u8)> = None;
        while self.input.next_batch(RowDemand::All, &mut batch)? {
            cells.read(reader, &batch)?;
            for row in 0..batch.len() {
                if bar.is_some_and(|bar| self.is_behind(cells.cell(0, row), bar)) {
                    continue;
                }
                let (bindings, turns) = (Some(batch.row(row)), batch.cells(row));
                let sight = EvalContext { row: bindings, turns, ..EvalContext::default() };
                reader.spend(20)?;
                let key = |at: usize| cells.value(reader, at, row, &sight);
                let keys = (0..self.keys.len()).map(key).collect::<Result<Vec<_>, _>>()?;
                if last.is_some_and(|last| self.order(&keys, &rows[last].keys).is_ge()) {
                    continue;
                }
                let bindings = batch.row(row).to_owned();
                let number = match cells.cell(0, row) {
                    PropertyCell::Number { scaled, decimals, .. } => Some((scaled, decimals)),
                    _ => None,
                };
                let kept = TopRow { keys, number, bindings, turns: turns.to_vec() };
                reader.hold(kept.bytes())?;
                rows.push(kept);
                // Cut only once there are twice as many, so that sorting costs little for each row.
                if rows.len() >= 2 * self.best.max(512) {
                    self.cut(&mut rows);
                    last = rows.len().checked_sub(1);
                    bar = rows.last().and_then(|row| row.number);
                }
            }
        }
        self.cut(&mut rows);
        Ok(rows)
    }

    /// True if a first key alone puts a row behind the row with another one, which came before it.
    #[inline]
    fn is_behind(&self, cell: PropertyCell, (bar, of): (i64, u8)) -> bool {
        let PropertyCell::Number { scaled, decimals, .. } = cell else { return false };
        let order = if self.keys[0].1 { bar.cmp(&scaled) } else { scaled.cmp(&bar) };
        decimals == of && (order.is_gt() || order.is_eq() && self.keys.len() == 1)
    }

    fn order(&self, a: &[CellValue], b: &[CellValue]) -> Ordering {
        let mut each = self.keys.iter().zip(a.iter().zip(b));
        let orders = each.find_map(|(&(_, descending), (a, b))| {
            Some(compare_cells(a, b, descending)).filter(|order| order.is_ne())
        });
        orders.unwrap_or(Ordering::Equal)
    }

    /// Sorts rows and keeps the best. Those that are equal in the order stay as they were.
    fn cut(&self, rows: &mut Vec<TopRow>) {
        rows.sort_by(|a, b| self.order(&a.keys, &b.keys));
        let left_out = rows.drain(self.best.min(rows.len())..).map(|row| row.bytes());
        self.reader.meter.release(left_out.sum::<usize>() as u64);
    }
}

impl<G: GraphRead> RowOperator<G> for TopRows<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        if self.sorted.is_none() {
            self.sorted = Some(self.sorted()?.into_iter());
        }
        let reader = self.reader;
        for TopRow { bindings, turns, .. } in self.sorted.iter_mut().flatten().take(demand.rows()) {
            let (row, turns) = (Some(bindings.view()), turns.as_slice());
            let sight = EvalContext { row, turns, ..EvalContext::default() };
            reader.spend(100)?;
            reader.hold(KEPT)?;
            let cells = self.columns.iter().map(|term| reader.keep(reader.term(term, &sight)?));
            rows.push_cells(NONE, cells.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(!rows.is_empty())
    }
}
