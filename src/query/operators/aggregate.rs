//! Aggregate: one row for each group of rows that are equal in the columns without aggregates.

use super::distinct::is_new;
use super::term_cells::TermCells;
use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::{GraphRead, PropertyCell, Value};
use crate::query::QuestionError;
use crate::query::cell::{CellValue, KEPT};
use crate::query::number::{NumericValue, RunningSum};
use crate::query::read::{EvalContext, QueryReader};
use crate::query::resolved::{
    AggregateCall, AggregateKind, PropertyOwner, ScalarExpr, TableOutput,
};
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
        // Each row of a pattern of one entity binds another entity, unless a list makes rows of it.
        let RowShape { entities, relationships } = self.slots;
        groups.each_once = entities + relationships == 1 && self.table.unwinds.is_empty();
        let mut batch = RowBatch::new(self.slots);
        let keys: Vec<&ScalarExpr> = self.plain.iter().map(|&at| &self.table.columns[at]).collect();
        let arguments: Vec<&ScalarExpr> =
            self.table.aggregates.iter().map(|call| &call.argument).collect();
        let [mut keys, mut arguments] = [keys, arguments].map(TermCells::new);
        while self.input.next_batch(RowDemand::All, &mut batch)? {
            keys.read(self.reader, &batch)?;
            arguments.read(self.reader, &batch)?;
            groups.add_batch(self.reader, self.table, &batch, (&keys, &arguments))?;
            self.reader.room(groups.groups.len())?;
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
    /// Groups by what is known of their key without making its values.
    by_cells: FxHashMap<Box<[u64]>, usize>,
    words: Vec<u64>,
    /// The same for a key of one property: groups by code, of the dictionary that was met last.
    last_dictionary: (u64, Vec<Option<usize>>),
    /// The groups of the rows of a batch.
    of_row: Vec<usize>,
    /// True if no two rows bind the same.
    each_once: bool,
}

/// Keys of groups that are known by their cells.
const CELL_KEYS_MAX: usize = 1 << 16;

/// One aggregate of one group.
#[derive(Default)]
struct AggregateState {
    /// Values counted so far: an entity by number, anything else by its text.
    entities: FxHashSet<u32>,
    texts: FxHashSet<String>,
    /// Entities of which none is met twice.
    once: usize,
    rows: u64,
    sum: RunningSum,
    extreme: Option<CellValue>,
    /// The least or greatest as a number and its decimals, if it is one.
    extreme_number: Option<(i64, u8)>,
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

    /// Adds the rows of a batch: first each row finds its group, then each aggregate passes over the rows.
    fn add_batch<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        table: &TableOutput,
        batch: &RowBatch,
        (keys, arguments): (&TermCells<'_>, &TermCells<'_>),
    ) -> Result<(), QuestionError<G::Error>> {
        reader.spend(10 * batch.len())?;
        let mut of_row = std::mem::take(&mut self.of_row);
        of_row.clear();
        for row in 0..batch.len() {
            of_row.push(match self.known(keys, row) {
                Some(known) => known,
                None => self.learn(reader, table, (batch, row), keys)?,
            });
        }
        for (at, call) in table.aggregates.iter().enumerate() {
            if self.each_once && counts_entities(call) {
                of_row.iter().for_each(|&group| self.groups[group].1[at].once += 1);
                continue;
            }
            for (row, &group) in of_row.iter().enumerate() {
                let state = &mut self.groups[group].1[at];
                state.rows += 1;
                if call.kind == AggregateKind::Rows
                    || state.add_number(call, arguments.cell(at, row))
                {
                    continue;
                }
                let (bindings, turns) = (Some(batch.row(row)), batch.cells(row));
                let sight = EvalContext { row: bindings, turns, ..EvalContext::default() };
                let cell = arguments.value(reader, at, row, &sight)?;
                state.add(reader, call, cell, &sight, self.each_once)?;
                state.note_number(arguments.cell(at, row));
            }
        }
        self.of_row = of_row;
        Ok(())
    }

    /// The group of a row, if what is known of its key was met before.
    #[inline]
    fn known(&mut self, keys: &TermCells<'_>, row: usize) -> Option<usize> {
        if let Some(PropertyCell::Coded { dictionary, code }) = keys.only_cell(row) {
            let (last, groups) = &self.last_dictionary;
            let found = groups.get(code as usize).copied().filter(|_| *last == dictionary);
            if let Some(group) = found.flatten() {
                return Some(group);
            }
        }
        let told = keys.words(row, &mut self.words);
        told.then(|| self.by_cells.get(self.words.as_slice()).copied()).flatten()
    }

    /// The group of a row whose key has to be read.
    fn learn<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        table: &TableOutput,
        (batch, row): (&RowBatch, usize),
        keys: &TermCells<'_>,
    ) -> Result<usize, QuestionError<G::Error>> {
        let (bindings, turns) = (Some(batch.row(row)), batch.cells(row));
        let sight = EvalContext { row: bindings, turns, ..EvalContext::default() };
        let number = self.number(reader, table, &sight)?;
        if keys.words(row, &mut self.words) {
            if self.by_cells.len() == CELL_KEYS_MAX {
                self.by_cells.clear();
            }
            self.by_cells.insert(self.words.as_slice().into(), number);
        }
        if let Some(PropertyCell::Coded { dictionary, code }) = keys.only_cell(row) {
            let (last, groups) = &mut self.last_dictionary;
            if *last != dictionary {
                *last = dictionary;
                groups.clear();
            }
            if groups.len() <= code as usize {
                groups.resize(code as usize + 1, None);
            }
            groups[code as usize] = Some(number);
        }
        Ok(number)
    }

    /// The number of the group that a row belongs to.
    fn number<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        table: &TableOutput,
        sight: &EvalContext<'_>,
    ) -> Result<usize, QuestionError<G::Error>> {
        reader.spend(100)?;
        let kept = reader.meter.held();
        let mut key = Vec::with_capacity(self.plain.len());
        self.text.clear();
        for &at in self.plain {
            let cell = reader.keep(reader.term(&table.columns[at], sight)?)?;
            cell.identity(&mut self.text);
            key.push(cell);
        }
        Ok(match self.numbers.get(self.text.as_str()) {
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
        })
    }
}

/// True if a call counts the entities of the only slot of a pattern.
fn counts_entities(call: &AggregateCall) -> bool {
    let whole = matches!(call.argument, ScalarExpr::Whole(PropertyOwner::Entity(0)));
    call.kind == AggregateKind::Count && whole
}

fn states(table: &TableOutput) -> Vec<AggregateState> {
    table.aggregates.iter().map(|_| AggregateState::default()).collect()
}

impl AggregateState {
    /// Adds a number without making a value of it, where that changes nothing else; false if the value
    /// is needed.
    #[inline]
    fn add_number(&mut self, call: &AggregateCall, cell: PropertyCell) -> bool {
        let PropertyCell::Number { scaled, decimals, .. } = cell else { return false };
        match (call.kind, self.extreme_number) {
            (AggregateKind::Least, Some((best, of))) => decimals == of && scaled >= best,
            (AggregateKind::Greatest, Some((best, of))) => decimals == of && scaled <= best,
            _ => false,
        }
    }

    fn add<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        aggregate: &AggregateCall,
        cell: CellValue,
        sight: &EvalContext<'_>,
        each_once: bool,
    ) -> Result<(), QuestionError<G::Error>> {
        if cell.is_undefined() {
            return Ok(());
        }
        reader.spend(10)?;
        match (aggregate.kind, &cell) {
            (AggregateKind::Count, CellValue::Entity(_)) if each_once => self.once += 1,
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
                    && (each_once || self.first(reader, aggregate, sight)?)
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
                    self.extreme_number = None;
                    let before = self.extreme.replace(cell);
                    reader.meter.release(before.map_or(0, |before| before.bytes() as u64));
                }
            }
            (AggregateKind::Rows, _) => {}
        }
        Ok(())
    }

    /// Notes the number of the cell that was added last, if it became the least or greatest value.
    fn note_number(&mut self, cell: PropertyCell) {
        if self.extreme_number.is_none()
            && let PropertyCell::Number { scaled, decimals, .. } = cell
            && cell.number().map(CellValue::Value) == self.extreme
        {
            self.extreme_number = Some((scaled, decimals));
        }
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
                let known = self.once + self.entities.len() + self.texts.len();
                CellValue::Value(Value::Int(known as i64))
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
