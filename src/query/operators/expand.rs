//! Expand: each row goes on along one relationship, to each entity that fits.

use super::edges::EdgeReader;
use super::{
    MatchContext, OperatorResult, PatternInput, PatternOperator, RowCursor, RowDemand, RowOperator,
    hold,
};
use crate::graph::{GraphRead, IncidentEdge};
use crate::limits::MemoryReservation;
use crate::query::physical_plan::ExpandPlan;
use crate::query::row_batch::{BoundRelationships, RowBatch};
use crate::query::selection::EntityFilter;

/// A step along one relationship.
pub(super) struct Expand<'a, G: GraphRead> {
    context: &'a MatchContext<'a, G>,
    plan: &'a ExpandPlan,
    input: RowCursor<PatternInput<'a, G>>,
    reader: EdgeReader<'a, G>,
    target: EntityFilter<'a>,
    /// The edges of the row at hand, and the one to go on with.
    edges: Vec<IncidentEdge>,
    next: usize,
    /// They are in memory as long as the row goes on from there.
    _part: MemoryReservation<'a>,
}

impl<'a, G: GraphRead> Expand<'a, G> {
    pub(super) fn new(
        context: &'a MatchContext<'a, G>,
        input: PatternInput<'a, G>,
        plan: &'a ExpandPlan,
    ) -> Expand<'a, G> {
        Expand {
            context,
            plan,
            input: RowCursor::new(input, context.slots),
            reader: EdgeReader::new(context, &plan.directions, plan.step.scope.as_deref()),
            target: EntityFilter::new(&plan.step.target),
            edges: Vec::new(),
            next: 0,
            _part: context.reader.meter.part(),
        }
    }

    /// Reads the edges of the next row; false if there is none.
    fn next_row(&mut self, demand: RowDemand) -> OperatorResult<bool, G> {
        self.edges.clear();
        self.next = 0;
        if !self.input.advance::<G>(demand.of_one_row())? {
            return Ok(false);
        }
        self.reader.read(self.input.rows.at(self.input.row()), &mut self.edges)?;
        let mut part = self.context.reader.meter.part();
        hold(&mut part, size_of_val(self.edges.as_slice()))?;
        self._part = part;
        Ok(true)
    }

    /// Adds the row that an edge leads to, if it fits.
    fn bind(&mut self, edge: IncidentEdge, rows: &mut RowBatch) -> OperatorResult<(), G> {
        let (from, row) = (&self.input.rows, self.input.row());
        // The path is in memory: asking it first saves reading the entity.
        if from.path(row).contains(&edge.other)
            || !self.target.fits(self.context.reader, edge.other)?
        {
            return Ok(());
        }
        let step = &self.plan.step;
        let depth = self.context.deeper(from.depth(row));
        rows.push_step(from, row, from.depth(row) + 1, (step.to, edge.other));
        rows.bind_hops(step.relationship, BoundRelationships::One(edge.relationship));
        if self.context.holds(&self.plan.checks, rows)? {
            self.context.count_binding(step.to);
            depth?;
        } else {
            rows.pop();
        }
        Ok(())
    }
}

impl<G: GraphRead> RowOperator<G> for Expand<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        let most = demand.rows();
        loop {
            while let Some(&edge) = self.edges.get(self.next) {
                if rows.len() >= most {
                    return Ok(true);
                }
                self.next += 1;
                self.bind(edge, rows)?;
            }
            if rows.len() >= most || !self.next_row(demand)? {
                return Ok(!rows.is_empty());
            }
        }
    }
}

impl<G: GraphRead> PatternOperator<G> for Expand<'_, G> {
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32) {
        self.edges.clear();
        self.next = 0;
        self.input.restart(seed, row, depth);
    }
}
