//! Anti-join: the rows from which a chain that must not be there does not begin.

use super::pattern::chain;
use super::{MatchContext, OperatorResult, PatternInput, PatternOperator, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::physical_plan::PhysicalStep;
use crate::query::row_batch::RowBatch;

/// A negated chain. It is looked for anew from each row, whatever path led there.
pub(super) struct AntiJoin<'a, G: GraphRead> {
    context: &'a MatchContext<'a, G>,
    input: PatternInput<'a, G>,
    chain: PatternInput<'a, G>,
    found: RowBatch,
}

impl<'a, G: GraphRead> AntiJoin<'a, G> {
    pub(super) fn new(
        context: &'a MatchContext<'a, G>,
        input: PatternInput<'a, G>,
        steps: &'a [PhysicalStep<'a>],
    ) -> AntiJoin<'a, G> {
        // The path to a row must not exclude entities of the chain: the answer is one for all paths.
        let chain = chain(context, steps, true);
        AntiJoin { context, input, chain, found: RowBatch::new(context.slots) }
    }
}

impl<G: GraphRead> RowOperator<G> for AntiJoin<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        let (context, chain, found) = (self.context, &mut self.chain, &mut self.found);
        while self.input.next_batch(demand, rows)? {
            rows.retain(|rows, row| -> OperatorResult<bool, G> {
                chain.restart(rows, row, context.deeper(rows.depth(row))?);
                Ok(!chain.next_batch(RowDemand::AtMost(1), found)?)
            })?;
            rows.advance(|_, at| at, |depth| context.deeper(depth))?;
            if !rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl<G: GraphRead> PatternOperator<G> for AntiJoin<'_, G> {
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32) {
        self.input.restart(seed, row, depth);
    }
}
