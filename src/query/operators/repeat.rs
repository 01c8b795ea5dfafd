//! Repeat: the steps of a group, taken as often as the query says.

use super::pattern::chain;
use super::{
    MatchContext, OperatorResult, PatternInput, PatternOperator, RowCursor, RowDemand, RowOperator,
};
use crate::graph::GraphRead;
use crate::query::physical_plan::RepeatPlan;
use crate::query::row_batch::RowBatch;

/// A group of steps. Each row is given on behind its rounds, then taken into one round more.
pub(super) struct Repeat<'a, G: GraphRead> {
    context: &'a MatchContext<'a, G>,
    plan: &'a RepeatPlan<'a>,
    input: RowCursor<PatternInput<'a, G>>,
    /// The chains of the rounds, each from a row of the one before it. They are kept for other rows.
    rounds: Vec<RowCursor<PatternInput<'a, G>>>,
    /// The number of rounds that rows are taken from now.
    open: usize,
    /// The row that came last, if it goes into one more round.
    arrived: RowBatch,
}

impl<'a, G: GraphRead> Repeat<'a, G> {
    pub(super) fn new(
        context: &'a MatchContext<'a, G>,
        input: PatternInput<'a, G>,
        plan: &'a RepeatPlan<'a>,
    ) -> Repeat<'a, G> {
        Repeat {
            context,
            plan,
            input: RowCursor::new(input, context.slots),
            rounds: Vec::new(),
            open: 0,
            arrived: RowBatch::new(context.slots),
        }
    }

    /// Opens a round for the row that came last.
    fn open_round(&mut self) -> OperatorResult<(), G> {
        if self.arrived.is_empty() {
            return Ok(());
        }
        let depth = self.context.deeper(self.arrived.depth(0))?;
        if self.open == self.rounds.len() {
            let steps = chain(self.context, &self.plan.steps, false);
            self.rounds.push(RowCursor::new(steps, self.context.slots));
        }
        self.rounds[self.open].restart(&self.arrived, 0, depth);
        self.arrived.clear();
        self.open += 1;
        Ok(())
    }

    /// Goes on to the next row that has taken `self.open` rounds, or fewer if there are no more of these.
    fn next_row(&mut self, demand: RowDemand) -> OperatorResult<bool, G> {
        while let Some(innermost) = self.open.checked_sub(1) {
            // Rounds go deep, so none of them holds more than the row that the next one goes on from.
            if self.rounds[innermost].advance::<G>(RowDemand::AtMost(1))? {
                return Ok(true);
            }
            self.open = innermost;
        }
        self.input.advance::<G>(demand.of_one_row())
    }
}

impl<G: GraphRead> RowOperator<G> for Repeat<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        while rows.len() < demand.rows() {
            self.open_round()?;
            if !self.next_row(demand)? {
                break;
            }
            let from = match self.open.checked_sub(1) {
                Some(innermost) => &self.rounds[innermost],
                None => &self.input,
            };
            let (from, row, done) = (&from.rows, from.row(), self.open as u32);
            let (at, depth) = (from.at(row), from.depth(row));
            if done < self.plan.most {
                self.arrived.push_moved(from, row, at, depth);
            }
            if done >= self.plan.least {
                rows.push_moved(from, row, at, self.context.deeper(depth)?);
                rows.bind_entity(self.plan.frontier, at);
            }
        }
        Ok(!rows.is_empty())
    }
}

impl<G: GraphRead> PatternOperator<G> for Repeat<'_, G> {
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32) {
        self.open = 0;
        self.arrived.clear();
        self.input.restart(seed, row, depth);
    }
}
