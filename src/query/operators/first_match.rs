//! First match: one match of a chain for each row is enough.

use super::pattern::chain;
use super::{MatchContext, OperatorResult, PatternInput, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::physical_plan::PhysicalStep;
use crate::query::row_batch::RowBatch;

/// A chain of which the first match from each row is taken.
pub(super) struct FirstMatch<'a, G: GraphRead> {
    input: PatternInput<'a, G>,
    starts: RowBatch,
    chain: PatternInput<'a, G>,
    found: RowBatch,
}

impl<'a, G: GraphRead> FirstMatch<'a, G> {
    pub(super) fn new(
        context: &'a MatchContext<'a, G>,
        input: PatternInput<'a, G>,
        steps: &'a [PhysicalStep<'a>],
    ) -> FirstMatch<'a, G> {
        let (starts, found) = (RowBatch::new(context.slots), RowBatch::new(context.slots));
        FirstMatch { input, starts, chain: chain(context, steps, false), found }
    }
}

impl<G: GraphRead> RowOperator<G> for FirstMatch<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        while rows.is_empty() {
            if !self.input.next_batch(demand, &mut self.starts)? {
                return Ok(false);
            }
            let starts = &self.starts;
            for row in 0..starts.len() {
                self.chain.restart(starts, row, starts.depth(row));
                if self.chain.next_batch(RowDemand::AtMost(1), &mut self.found)? {
                    let found = &self.found;
                    rows.push_moved(found, 0, found.at(0), found.depth(0));
                }
            }
        }
        Ok(true)
    }
}
