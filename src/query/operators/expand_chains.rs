//! Expand along several relationships: the part that all walks share. A walk finds the targets of one
//! row and the chains to each; here rows are made of them.

use super::chains::Chain;
use super::{
    MatchContext, OperatorResult, PatternInput, PatternOperator, RowCursor, RowDemand, RowOperator,
};
use crate::graph::GraphRead;
use crate::query::physical_plan::ExpandPlan;
use crate::query::row_batch::{BoundRelationships, RowBatch};
use crate::query::selection::EntityFilter;
use std::rc::Rc;

/// An entity that a walk came to, with the chains that lead to it.
pub(super) type ChainTarget = (u32, Vec<Chain>);

/// A walk from one entity.
pub(super) trait ChainWalk<'a, G: GraphRead>: Sized {
    /// A walk that begins at `at`.
    fn begin(step: &ChainStep<'a, G>, at: u32) -> Self;

    /// The next entity that fits and stands on no `path`.
    fn next_target(
        &mut self,
        step: &mut ChainStep<'a, G>,
        path: &[u32],
    ) -> OperatorResult<Option<ChainTarget>, G>;
}

/// The step that a walk is made for.
pub(super) struct ChainStep<'a, G: GraphRead> {
    pub context: &'a MatchContext<'a, G>,
    pub plan: &'a ExpandPlan,
    pub target: EntityFilter<'a>,
    via: Option<EntityFilter<'a>>,
    /// Least and most relationships.
    pub least: u32,
    pub most: u32,
}

impl<'a, G: GraphRead> ChainStep<'a, G> {
    fn new(context: &'a MatchContext<'a, G>, plan: &'a ExpandPlan) -> ChainStep<'a, G> {
        let (least, most) = plan.step.repeat.unwrap_or((1, 1));
        ChainStep {
            context,
            plan,
            target: EntityFilter::new(&plan.step.target),
            via: plan.step.via.as_ref().map(EntityFilter::new),
            least,
            most,
        }
    }

    /// True if a walk that began at `start` may go on from an entity.
    pub(super) fn passes(&mut self, start: u32, from: u32) -> OperatorResult<bool, G> {
        match &mut self.via {
            Some(via) if from != start => via.fits(self.context.reader, from),
            _ => Ok(true),
        }
    }

    /// True if an entity is a target for a row with this path.
    pub(super) fn takes(&mut self, entity: u32, path: &[u32]) -> OperatorResult<bool, G> {
        // The path is in memory: asking it first saves reading the entity.
        Ok(!path.contains(&entity) && self.target.fits(self.context.reader, entity)?)
    }
}

/// A step along several relationships.
pub(super) struct ExpandChains<'a, G: GraphRead, W> {
    input: RowCursor<PatternInput<'a, G>>,
    step: ChainStep<'a, G>,
    /// The walk from the row at hand.
    walk: Option<W>,
    /// The target at hand, and the chains to it that are left.
    target: u32,
    chains: std::vec::IntoIter<Chain>,
}

impl<'a, G: GraphRead, W: ChainWalk<'a, G>> ExpandChains<'a, G, W> {
    pub(super) fn new(
        context: &'a MatchContext<'a, G>,
        input: PatternInput<'a, G>,
        plan: &'a ExpandPlan,
    ) -> ExpandChains<'a, G, W> {
        ExpandChains {
            input: RowCursor::new(input, context.slots),
            step: ChainStep::new(context, plan),
            walk: None,
            target: 0,
            chains: Vec::new().into_iter(),
        }
    }

    /// Begins at the next row; false if there is none.
    fn next_row(&mut self, demand: RowDemand) -> OperatorResult<bool, G> {
        if !self.input.advance::<G>(demand.of_one_row())? {
            return Ok(false);
        }
        let at = self.input.rows.at(self.input.row());
        let here = self.step.least == 0 && self.step.target.fits(self.step.context.reader, at)?;
        if here {
            self.target = at;
            self.chains = vec![Chain::new()].into_iter();
        }
        // Nothing is nearer than the entity itself.
        let done = here && self.step.plan.step.nearest;
        self.walk = (!done).then(|| W::begin(&self.step, at));
        Ok(true)
    }

    /// Goes on to the next target of the row at hand; false if there is none.
    fn next_target(&mut self) -> OperatorResult<bool, G> {
        let Some(walk) = &mut self.walk else { return Ok(false) };
        let path = self.input.rows.path(self.input.row());
        let Some((target, chains)) = walk.next_target(&mut self.step, path)? else {
            // What it remembers is given back at once.
            self.walk = None;
            return Ok(false);
        };
        self.target = target;
        self.chains = chains.into_iter();
        Ok(true)
    }

    /// Adds the row that a chain leads to.
    fn bind(&mut self, mut chain: Chain, rows: &mut RowBatch) -> OperatorResult<(), G> {
        let (from, row) = (&self.input.rows, self.input.row());
        let ChainStep { context, plan, .. } = &self.step;
        if !plan.backward {
            chain.reverse();
        }
        let depth = context.deeper(from.depth(row));
        rows.push_step(from, row, from.depth(row) + 1, (plan.step.to, self.target));
        let chain = BoundRelationships::Many(Rc::from(chain));
        rows.bind_hops(plan.step.relationship, chain);
        if context.holds(&plan.checks, rows)? {
            context.count_binding(plan.step.to);
            depth?;
        } else {
            rows.pop();
        }
        Ok(())
    }
}

impl<'a, G: GraphRead, W: ChainWalk<'a, G>> RowOperator<G> for ExpandChains<'a, G, W> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        while rows.len() < demand.rows() {
            if let Some(chain) = self.chains.next() {
                self.bind(chain, rows)?;
            } else if !self.next_target()? && !self.next_row(demand)? {
                break;
            }
        }
        Ok(!rows.is_empty())
    }
}

impl<'a, G: GraphRead, W: ChainWalk<'a, G>> PatternOperator<G> for ExpandChains<'a, G, W> {
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32) {
        self.walk = None;
        self.chains = Vec::new().into_iter();
        self.input.restart(seed, row, depth);
    }
}
