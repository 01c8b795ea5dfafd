//! Move: rows go on from an entity that they have bound before.

use super::{MatchContext, OperatorResult, PatternInput, PatternOperator, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::resolved::RowSlot;
use crate::query::row_batch::RowBatch;

/// A move to the entity in a slot.
pub(super) struct MoveTo<'a, G: GraphRead> {
    pub context: &'a MatchContext<'a, G>,
    pub input: PatternInput<'a, G>,
    pub slot: RowSlot,
}

impl<G: GraphRead> RowOperator<G> for MoveTo<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        let more = self.input.next_batch(demand, rows)?;
        rows.advance(|row, _| row.entities[self.slot], |depth| self.context.deeper(depth))?;
        Ok(more)
    }
}

impl<G: GraphRead> PatternOperator<G> for MoveTo<'_, G> {
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32) {
        self.input.restart(seed, row, depth);
    }
}
