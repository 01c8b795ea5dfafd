//! Value join: each row goes on to the entities whose values meet a condition, found by the hash of one
//! of them.

use super::scan::CandidateCursor;
use super::{
    MatchContext, OperatorResult, PatternInput, PatternOperator, RowCursor, RowDemand, RowOperator,
};
use crate::graph::{GraphRead, Value};
use crate::query::cell::{KEPT, equality_keys};
use crate::query::physical_plan::ValueJoinPlan;
use crate::query::read::EvalContext;
use crate::query::resolved::{PropertyOwner, ScalarExpr, ValueJoin};
use crate::query::row_batch::RowBatch;
use crate::query::selection::{EntityFilter, SelectorVerdict};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// The entities that a join may lead to, by the hashes of the values of its property.
pub(super) type JoinIndex = FxHashMap<u64, Vec<u32>>;

/// A join on values.
pub(super) struct ValueJoinOperator<'a, G: GraphRead> {
    context: &'a MatchContext<'a, G>,
    plan: &'a ValueJoinPlan<'a>,
    input: RowCursor<PatternInput<'a, G>>,
    /// The entities that the row at hand may go on to.
    others: std::vec::IntoIter<u32>,
}

impl<'a, G: GraphRead> ValueJoinOperator<'a, G> {
    pub(super) fn new(
        context: &'a MatchContext<'a, G>,
        input: PatternInput<'a, G>,
        plan: &'a ValueJoinPlan<'a>,
    ) -> ValueJoinOperator<'a, G> {
        let input = RowCursor::new(input, context.slots);
        ValueJoinOperator { context, plan, input, others: Vec::new().into_iter() }
    }

    /// The index of the join, made when the first row asks for it.
    fn index(&self) -> OperatorResult<Rc<JoinIndex>, G> {
        let address = std::ptr::from_ref(self.plan.join);
        if let Some(known) = self.context.joins.borrow().get(&address) {
            return Ok(Rc::clone(known));
        }
        let index = Rc::new(build_index(self.context, self.plan)?);
        self.context.joins.borrow_mut().insert(address, Rc::clone(&index));
        Ok(index)
    }

    /// Looks up where the next row may go on to; false if there is no row.
    fn next_row(&mut self, demand: RowDemand) -> OperatorResult<bool, G> {
        if !self.input.advance::<G>(demand.of_one_row())? {
            return Ok(false);
        }
        let index = self.index()?;
        let row = self.input.rows.row(self.input.row());
        let sight = EvalContext { row: Some(row), ..EvalContext::default() };
        let value = self.context.reader.term(&self.plan.join.value, &sight)?;
        let mut others: Vec<u32> = Vec::new();
        let mut add = |hash| others.extend(index.get(&hash).into_iter().flatten());
        value.value().into_iter().for_each(|value| join_hashes(self.plan.join, value, &mut add));
        if let ScalarExpr::Written(_, text) = &self.plan.join.value {
            // A number equals a text that is written as it is, `2.10`, beside its value.
            join_hashes(self.plan.join, text, &mut add);
        }
        // Several hashes of the value may list one entity.
        others.sort_unstable();
        others.dedup();
        self.others = others.into_iter();
        Ok(true)
    }

    /// Adds the row that goes on to an entity, if the condition holds.
    fn bind(&mut self, other: u32, rows: &mut RowBatch) -> OperatorResult<(), G> {
        let (from, row) = (&self.input.rows, self.input.row());
        self.context.reader.work(1)?;
        if from.path(row).contains(&other) {
            return Ok(());
        }
        let join = self.plan.join;
        let depth = self.context.deeper(from.depth(row));
        rows.push_step(from, row, from.depth(row) + 1, (join.to, other));
        // A common hash is a hint only: the whole condition decides.
        if self.context.holds(std::slice::from_ref(&join.on), rows)? {
            depth?;
        } else {
            rows.pop();
        }
        Ok(())
    }
}

/// Visits hashes of a value, of which two values that the condition calls equal have one in common.
fn join_hashes(join: &ValueJoin, value: &Value<'_>, add: &mut impl FnMut(u64)) {
    equality_keys(value, join.manner, &mut |key| add(key.hint()));
}

fn build_index<G: GraphRead>(
    context: &MatchContext<'_, G>,
    plan: &ValueJoinPlan<'_>,
) -> OperatorResult<JoinIndex, G> {
    let (reader, join) = (context.reader, plan.join);
    let mut index = JoinIndex::default();
    let mut filter = EntityFilter::new(&join.target);
    let mut candidates = CandidateCursor::new(&plan.access);
    while let Some((number, facts)) = candidates.next(reader, |facts| filter.may(reader, facts))? {
        let selected = filter.selected(reader, facts);
        if selected == SelectorVerdict::No || !facts.live {
            continue;
        }
        reader.work(1)?;
        if !reader.fits(number, &join.target, selected)? {
            continue;
        }
        let sight = EvalContext { subject: Some(number), ..EvalContext::default() };
        let value = reader.property(PropertyOwner::Subject, &join.property, &sight)?;
        let before = index.len();
        let mut listed = 0;
        let mut add = |hash| {
            let found = index.entry(hash).or_default();
            // Items of one list may share a hash; the entity is listed once.
            if found.last() != Some(&number) {
                found.push(number);
                listed += 1;
            }
        };
        value.value().into_iter().for_each(|value| join_hashes(join, value, &mut add));
        reader.hold(KEPT * (index.len() - before) + 8 * listed)?;
        reader.room(index.len())?;
    }
    Ok(index)
}

impl<G: GraphRead> RowOperator<G> for ValueJoinOperator<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        while rows.len() < demand.rows() {
            if let Some(other) = self.others.next() {
                self.bind(other, rows)?;
            } else if !self.next_row(demand)? {
                break;
            }
        }
        Ok(!rows.is_empty())
    }
}

impl<G: GraphRead> PatternOperator<G> for ValueJoinOperator<'_, G> {
    fn restart(&mut self, seed: &RowBatch, row: usize, depth: u32) {
        self.others = Vec::new().into_iter();
        self.input.restart(seed, row, depth);
    }
}
