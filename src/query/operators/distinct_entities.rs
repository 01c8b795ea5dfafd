//! Distinct entities: what a list shows, each entity once, with the values that it is sorted by.

use super::{InputOperator, OperatorResult, RowCursor, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::cell::KEPT;
use crate::query::read::{EvalContext, QueryReader};
use crate::query::resolved::{RowSlot, ScalarExpr};
use crate::query::row_batch::{NONE, RowBatch, RowShape};
use rustc_hash::FxHashSet;

/// The entities in some slots of each row.
pub(in crate::query) struct DistinctEntities<'a, G: GraphRead> {
    reader: &'a QueryReader<'a, G>,
    input: RowCursor<InputOperator<'a, G>>,
    slots: &'a [RowSlot],
    /// Slots of the row at hand that are done.
    done: usize,
    keys: &'a [(ScalarExpr, bool)],
    seen: FxHashSet<u32>,
}

impl<'a, G: GraphRead> DistinctEntities<'a, G> {
    pub(in crate::query) fn new(
        reader: &'a QueryReader<'a, G>,
        input: InputOperator<'a, G>,
        shape: RowShape,
        slots: &'a [RowSlot],
        keys: &'a [(ScalarExpr, bool)],
    ) -> DistinctEntities<'a, G> {
        let (input, done) = (RowCursor::new(input, shape), slots.len());
        DistinctEntities { reader, input, slots, done, keys, seen: FxHashSet::default() }
    }

    /// The demand on the input: a row with one slot gives one entity at most.
    fn of_input(&self, demand: RowDemand) -> RowDemand {
        if self.slots.len() > 1 { demand.of_one_row() } else { demand }
    }
}

impl<G: GraphRead> RowOperator<G> for DistinctEntities<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        let reader = self.reader;
        while rows.len() < demand.rows() {
            let Some(&slot) = self.slots.get(self.done) else {
                if !self.input.advance::<G>(self.of_input(demand.after(rows.len())))? {
                    break;
                }
                self.done = 0;
                continue;
            };
            self.done += 1;
            let row = self.input.rows.row(self.input.row());
            let number = row.entities[slot];
            if number == NONE || !self.seen.insert(number) {
                continue;
            }
            reader.hold(KEPT)?;
            let sight = EvalContext { row: Some(row), ..EvalContext::default() };
            let keys = self.keys.iter().map(|(term, _)| reader.keep(reader.term(term, &sight)?));
            rows.push_cells(number, keys.collect::<Result<Vec<_>, _>>()?);
            reader.room(self.seen.len())?;
        }
        Ok(!rows.is_empty())
    }
}
