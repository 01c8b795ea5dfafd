//! The operators that run a plan: each takes batches of rows from the one below it and gives batches to
//! the one above.
//!
//! Rows keep their order, and an operator does no more than the rows that it is asked for need: so a
//! limit stops all that is below it. Operators of a pattern can begin anew with another row, since a
//! group, a negated step and a list ask a chain once for each row. Plans are made elsewhere; nothing
//! here chooses.

mod aggregate;
mod anti_join;
mod chains;
mod count_by_name;
mod counted;
mod distinct;
mod distinct_entities;
mod edges;
mod expand;
mod expand_by_rules;
mod expand_chains;
mod expand_variable_length;
mod filter;
mod first_match;
mod limit;
mod move_to;
mod optional;
mod pattern;
mod project;
mod repeat;
mod rule_kinds;
mod scan;
mod seed;
mod shortest;
mod sort;
mod term_cells;
mod top_rows;
mod unwind;
mod value_join;

pub(super) use aggregate::Aggregate;
pub(super) use count_by_name::CountByName;
pub(super) use counted::Counted;
pub(super) use distinct::Distinct;
pub(super) use distinct_entities::DistinctEntities;
pub(super) use filter::Filter;
pub(super) use limit::Limit;
pub(super) use optional::SettleOptional;
pub(super) use pattern::pattern;
pub(super) use project::Project;
pub(super) use scan::CandidateCursor;
pub(super) use shortest::Shortest;
pub(super) use sort::Sort;
pub(super) use top_rows::{TopRows, reads_late};
pub(super) use unwind::Unwind;

use super::physical_plan::PatternPlan;
use super::read::{EvalContext, QueryReader};
use super::resolved::{Predicate, RowSlot, ValueJoin};
use super::row_batch::{RowBatch, RowShape};
use super::{LimitError, QuestionError};
use crate::graph::{AdjacencyRead, GraphRead};
use crate::limits::MemoryReservation;
use rule_kinds::RuleKinds;
use rustc_hash::FxHashMap;
use std::cell::{Cell as Counter, RefCell};
use std::rc::Rc;
use value_join::JoinIndex;

/// Most rows of a batch: enough that calls between operators cost little, few enough to stay in the
/// caches of the processor.
const BATCH_ROWS: usize = 128;
/// Bytes of cells after which a batch ends, so that few long texts are in memory at once.
const BATCH_BYTES: usize = 64 << 10;
/// Longest path.
const DEPTH_MAX: u32 = 1000;

/// The outcome of one step of an operator.
pub(super) type OperatorResult<T, G> = Result<T, QuestionError<<G as AdjacencyRead>::Error>>;

/// An operator below another one.
pub(super) type InputOperator<'a, G> = Box<dyn RowOperator<G> + 'a>;
/// An operator of a pattern below another one.
pub(super) type PatternInput<'a, G> = Box<dyn PatternOperator<G> + 'a>;

/// The number of rows that an operator is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowDemand {
    /// All rows are needed, so work may be done ahead.
    All,
    /// So many rows are needed for certain, and perhaps no more.
    AtMost(usize),
}

impl RowDemand {
    /// The number of rows that the next batch may have.
    fn rows(self) -> usize {
        match self {
            RowDemand::All => BATCH_ROWS,
            RowDemand::AtMost(rows) => rows.min(BATCH_ROWS),
        }
    }

    /// The demand that is left when so many rows are there.
    fn after(self, have: usize) -> RowDemand {
        match self {
            RowDemand::All => RowDemand::All,
            RowDemand::AtMost(rows) => RowDemand::AtMost(rows - have),
        }
    }

    /// The demand on the input of an operator that may make several rows of one.
    fn of_one_row(self) -> RowDemand {
        match self {
            RowDemand::All => RowDemand::All,
            RowDemand::AtMost(_) => RowDemand::AtMost(1),
        }
    }
}

/// An operator of a plan.
pub(super) trait RowOperator<G: GraphRead> {
    /// Fills `rows` with the next rows, at most as many as `demand` says. False if there are no more;
    /// then `rows` is empty.
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G>;
}

/// An operator that matches a part of a pattern.
pub(super) trait PatternOperator<G: GraphRead>: RowOperator<G> {
    /// Begins anew: the next rows go on from this row of `seed`, `depth` steps deep.
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32);
}

/// What the operators of one pattern share.
pub(super) struct MatchContext<'a, G: GraphRead> {
    pub reader: &'a QueryReader<'a, G>,
    pub slots: RowShape,
    /// Counts by slot: the times that it was filled.
    pub met: Vec<Counter<u64>>,
    /// The number of entities that matching began at.
    pub candidates: Counter<u64>,
    rules: RefCell<RuleKinds>,
    /// By join: the entities that it may lead to.
    joins: RefCell<FxHashMap<*const ValueJoin, Rc<JoinIndex>>>,
}

impl<'a, G: GraphRead> MatchContext<'a, G> {
    pub(super) fn new(
        reader: &'a QueryReader<'a, G>,
        plan: &'a PatternPlan<'a>,
    ) -> MatchContext<'a, G> {
        MatchContext {
            reader,
            slots: plan.slots,
            met: vec![Counter::new(0); plan.slots.entities],
            candidates: Counter::new(0),
            rules: RefCell::new(RuleKinds::new(plan.rules)),
            joins: RefCell::default(),
        }
    }

    fn count_binding(&self, slot: RowSlot) {
        self.met[slot].set(self.met[slot].get() + 1);
    }

    /// One step deeper than `depth`.
    fn deeper(&self, depth: u32) -> OperatorResult<u32, G> {
        match depth < DEPTH_MAX {
            true => Ok(depth + 1),
            false => Err(QuestionError::Limit(LimitError::Depth(DEPTH_MAX))),
        }
    }

    /// True if the last row of a batch meets all of these conditions.
    fn holds(&self, checks: &[Predicate], rows: &RowBatch) -> OperatorResult<bool, G> {
        for check in checks {
            let sight = EvalContext { row: Some(rows.row(rows.len() - 1)), ..Default::default() };
            if !self.reader.test(check, &sight)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Counts bytes that a part of a query is about to keep.
fn hold<E>(part: &mut MemoryReservation<'_>, bytes: usize) -> Result<(), QuestionError<E>> {
    part.hold(bytes as u64).map_err(QuestionError::Limit)
}

/// An input that is gone through row by row, as its batches come.
struct RowCursor<I> {
    input: I,
    rows: RowBatch,
    /// The row after the one at hand.
    next: usize,
}

impl<I> RowCursor<I> {
    fn new(input: I, shape: RowShape) -> RowCursor<I> {
        RowCursor { input, rows: RowBatch::new(shape), next: 0 }
    }

    /// The row at hand.
    fn row(&self) -> usize {
        self.next - 1
    }

    /// Goes on to the next row; false if there is none.
    fn advance<G: GraphRead>(&mut self, demand: RowDemand) -> OperatorResult<bool, G>
    where
        I: RowOperator<G>,
    {
        if self.next >= self.rows.len() {
            self.next = 0;
            if !self.input.next_batch(demand, &mut self.rows)? {
                return Ok(false);
            }
        }
        self.next += 1;
        Ok(true)
    }
}

impl<G: GraphRead, O: RowOperator<G> + ?Sized> RowOperator<G> for Box<O> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        (**self).next_batch(demand, rows)
    }
}

impl<G: GraphRead> RowCursor<PatternInput<'_, G>> {
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32) {
        self.rows.clear();
        self.next = 0;
        self.input.restart(seed, row, depth);
    }
}
