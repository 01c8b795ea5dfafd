//! Aggregate: one row for each group of rows that are equal in the columns without aggregates.

use super::distinct::is_new;
use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::{GraphRead, Value};
use crate::query::QuestionError;
use crate::query::cell::{CellValue, KEPT};
use crate::query::number::{NumericValue, RunningSum};
use crate::query::read::{EvalContext, QueryReader};
use crate::query::resolved::{AggregateCall, AggregateKind, PropertyOwner, TableOutput};
use crate::query::row_batch::{NONE, RowBatch, RowShape};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Ordering;

/// Bytes of a number in a set of numbers.
const COUNTED: usize = 8;

/// Groups of rows, in the order they were first met.
pub(in crate::query) struct Aggregate<'a, G: GraphRead> {
    reader: &'a QueryReader<'a, G>,
    input: InputOperator<'a, G>,
    slots: RowShape,
    table: &'a TableOutput,
    /// Columns that hold no aggregate: together they are the key.
    plain: Vec<usize>,
    groups: Option<std::vec::IntoIter<RowGroup>>,
}

/// The key of a group, and its aggregates.
type RowGroup = (Vec<CellValue>, Vec<AggregateState>);

impl<'a, G: GraphRead> Aggregate<'a, G> {
    pub(in crate::query) fn new(
        reader: &'a QueryReader<'a, G>,
        input: InputOperator<'a, G>,
        slots: RowShape,
        table: &'a TableOutput,
    ) -> Aggregate<'a, G> {
        let plain = (0..table.columns.len()).filter(|&at| !table.columns[at].aggregates());
        Aggregate { reader, input, slots, table, plain: plain.collect(), groups: None }
    }

    fn groups(&mut self) -> OperatorResult<Vec<RowGroup>, G> {
        let mut groups = GroupTable::new(self.table, &self.plain);
        let mut batch = RowBatch::new(self.slots);
        while self.input.next_batch(RowDemand::All, &mut batch)? {
            for row in 0..batch.len() {
                let (bindings, turns) = (Some(batch.row(row)), batch.cells(row));
                let sight = EvalContext { row: bindings, turns, ..EvalContext::default() };
                groups.add(self.reader, self.table, &sight)?;
                self.reader.room(groups.groups.len())?;
            }
        }
        Ok(groups.groups)
    }

    /// The columns of a group.
    fn cells(&self, (key, states): RowGroup) -> OperatorResult<Vec<CellValue>, G> {
        let calls = self.table.aggregates.iter().zip(states);
        let aggregates: Vec<CellValue> = calls.map(|(call, state)| state.cell(call.kind)).collect();
        let sight = EvalContext { aggregates: &aggregates, ..EvalContext::default() };
        let mut plain = key.into_iter();
        let mut cells = Vec::with_capacity(self.table.columns.len());
        for (at, term) in self.table.columns.iter().enumerate() {
            cells.push(match self.plain.contains(&at) {
                true => plain.next().unwrap_or(CellValue::Undefined),
                false => self.reader.keep(self.reader.term(term, &sight)?)?,
            });
        }
        Ok(cells)
    }
}

impl<G: GraphRead> RowOperator<G> for Aggregate<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        if self.groups.is_none() {
            self.groups = Some(self.groups()?.into_iter());
        }
        while rows.len() < demand.rows() {
            let Some(group) = self.groups.iter_mut().flatten().next() else { break };
            rows.push_cells(NONE, self.cells(group)?);
        }
        Ok(!rows.is_empty())
    }
}

/// Rows that are equal in the columns without aggregates, in the order they were first met.
#[derive(Default)]
struct GroupTable<'p> {
    /// The columns of the key.
    plain: &'p [usize],
    numbers: FxHashMap<String, usize>,
    groups: Vec<RowGroup>,
    /// The identity of the key at hand.
    text: String,
}

/// One aggregate of one group.
#[derive(Default)]
struct AggregateState {
    /// Values counted so far: an entity by number, anything else by its text.
    entities: FxHashSet<u32>,
    texts: FxHashSet<String>,
    rows: u64,
    sum: RunningSum,
    extreme: Option<CellValue>,
}

impl<'p> GroupTable<'p> {
    fn new(table: &TableOutput, plain: &'p [usize]) -> GroupTable<'p> {
        let mut groups = GroupTable { plain, ..GroupTable::default() };
        // Without a key there is one group, even of nothing.
        if groups.plain.is_empty() && !table.aggregates.is_empty() {
            groups.numbers.insert(String::new(), 0);
            groups.groups.push((Vec::new(), states(table)));
        }
        groups
    }

    fn add<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        table: &TableOutput,
        sight: &EvalContext<'_>,
    ) -> Result<(), QuestionError<G::Error>> {
        reader.spend(100)?;
        let kept = reader.meter.held();
        let mut key = Vec::with_capacity(self.plain.len());
        self.text.clear();
        for &at in self.plain {
            let cell = reader.keep(reader.term(&table.columns[at], sight)?)?;
            cell.identity(&mut self.text);
            key.push(cell);
        }
        let number = match self.numbers.get(self.text.as_str()) {
            Some(known) => {
                // The group is known: the cells that were read for its key are dropped.
                reader.meter.release(reader.meter.held() - kept);
                *known
            }
            None => {
                let aggregates = table.aggregates.len() * size_of::<AggregateState>();
                reader.hold(2 * KEPT + self.text.len() + aggregates)?;
                self.groups.push((key, states(table)));
                self.numbers.insert(self.text.clone(), self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        for (aggregate, state) in table.aggregates.iter().zip(&mut self.groups[number].1) {
            state.add(reader, aggregate, sight)?;
        }
        Ok(())
    }
}

fn states(table: &TableOutput) -> Vec<AggregateState> {
    table.aggregates.iter().map(|_| AggregateState::default()).collect()
}

impl AggregateState {
    fn add<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        aggregate: &AggregateCall,
        sight: &EvalContext<'_>,
    ) -> Result<(), QuestionError<G::Error>> {
        self.rows += 1;
        if aggregate.kind == AggregateKind::Rows {
            return Ok(());
        }
        let cell = reader.term(&aggregate.argument, sight)?;
        if cell.is_undefined() {
            return Ok(());
        }
        reader.spend(100)?;
        match (aggregate.kind, &cell) {
            (AggregateKind::Count, CellValue::Entity(number)) => {
                if self.entities.insert(*number) {
                    reader.hold(COUNTED)?;
                }
            }
            (AggregateKind::Count, _) => {
                is_new(reader, &mut self.texts, std::slice::from_ref(&cell))?;
            }
            (AggregateKind::Sum | AggregateKind::Average, _) => {
                let what = if aggregate.kind == AggregateKind::Sum { "sum" } else { "avg" };
                reader.unlike.computed(&aggregate.argument, &cell, what);
                if let Some(number) = NumericValue::of(&cell)
                    && self.first(reader, aggregate, sight)?
                {
                    self.sum.add(number);
                }
            }
            (AggregateKind::Least | AggregateKind::Greatest, _) => {
                let wanted = match aggregate.kind {
                    AggregateKind::Least => Ordering::Less,
                    _ => Ordering::Greater,
                };
                if let Some(best) = &self.extreme {
                    let what = if wanted == Ordering::Less { "min" } else { "max" };
                    reader.unlike.mixed(&aggregate.argument, best, &cell, what);
                }
                let better = |best: &CellValue| cell.order(best) == wanted;
                if self.extreme.as_ref().is_none_or(better) {
                    reader.hold(cell.bytes())?;
                    let before = self.extreme.replace(cell);
                    reader.meter.release(before.map_or(0, |before| before.bytes() as u64));
                }
            }
            (AggregateKind::Rows, _) => {}
        }
        Ok(())
    }

    /// True if the selectors of the argument are bound like this for the first time. Rows that differ
    /// elsewhere add nothing.
    fn first<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        aggregate: &AggregateCall,
        sight: &EvalContext<'_>,
    ) -> Result<bool, QuestionError<G::Error>> {
        let Some(row) = sight.row else { return Ok(true) };
        let bound = |of: &PropertyOwner| match of {
            PropertyOwner::Entity(slot) => format!("{};", row.entities[*slot]),
            PropertyOwner::Relationship(slot) => format!("{:?};", row.hops[*slot]),
            PropertyOwner::Subject => String::new(),
        };
        let text: String = aggregate.over.iter().map(bound).collect();
        if self.texts.contains(&text) {
            return Ok(false);
        }
        reader.hold(KEPT + text.len())?;
        self.texts.insert(text);
        Ok(true)
    }

    fn cell(self, kind: AggregateKind) -> CellValue {
        match kind {
            AggregateKind::Count => {
                CellValue::Value(Value::Int((self.entities.len() + self.texts.len()) as i64))
            }
            AggregateKind::Rows => CellValue::Value(Value::Int(self.rows as i64)),
            AggregateKind::Sum => self.sum.total(),
            AggregateKind::Average => self.sum.average(),
            AggregateKind::Least | AggregateKind::Greatest => {
                self.extreme.unwrap_or(CellValue::Undefined)
            }
        }
    }
}
