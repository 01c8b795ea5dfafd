//! Count by name: entities counted by their names alone, from the stored counts or as they are passed by.

use super::scan::CandidateCursor;
use super::{MatchContext, OperatorResult, RowDemand, RowOperator};
use crate::graph::{CLASS_SEPARATOR, EntityFacts, GraphRead, Value};
use crate::query::cell::{CellValue, KEPT};
use crate::query::count_plan::{CountColumn, CountGrouping, CountPlan};
use crate::query::physical_plan::ScanPlan;
use crate::query::read::EvalContext;
use crate::query::row_batch::{NONE, RowBatch};
use crate::query::selection::{EntityFilter, SelectorVerdict};
use rustc_hash::FxHashMap;

/// The numbers of scope, type and class set; 0 for a name that is not shown.
type NameGroup = [u32; 3];

/// Counts by group.
#[derive(Default)]
struct GroupCounts {
    numbers: FxHashMap<NameGroup, usize>,
    groups: Vec<(NameGroup, u64)>,
}

impl GroupCounts {
    fn add(&mut self, group: NameGroup, count: u64) {
        let next = self.groups.len();
        let at = *self.numbers.entry(group).or_insert(next);
        if at == next {
            self.groups.push((group, 0));
        }
        self.groups[at].1 += count;
    }
}

/// A row for each group of names.
pub(in crate::query) struct CountByName<'a, G: GraphRead> {
    context: &'a MatchContext<'a, G>,
    scan: &'a ScanPlan,
    plan: &'a CountPlan<'a>,
    /// True for each of scope, type and class set that is shown.
    shows: [bool; 3],
    groups: Option<std::vec::IntoIter<(NameGroup, u64)>>,
    given: usize,
}

impl<'a, G: GraphRead> CountByName<'a, G> {
    pub(in crate::query) fn new(
        context: &'a MatchContext<'a, G>,
        scan: &'a ScanPlan,
        plan: &'a CountPlan<'a>,
    ) -> CountByName<'a, G> {
        let names = [CountColumn::Scope, CountColumn::Type, CountColumn::Class];
        let shows = names.map(|name| plan.shown.contains(&name));
        CountByName { context, scan, plan, shows, groups: None, given: 0 }
    }

    fn group_of(&self, facts: &EntityFacts) -> NameGroup {
        let names = [facts.scope, facts.type_name, facts.classes];
        let mut shown = self.shows.iter();
        names.map(|number| if shown.next() == Some(&true) { number } else { 0 })
    }

    fn count_met(&self, count: u64) {
        let met = &self.context.met[self.scan.slot];
        met.set(met.get() + count);
    }

    fn count(&self) -> OperatorResult<GroupCounts, G> {
        let mut counts = GroupCounts::default();
        if self.plan.shown.iter().all(|what| *what == CountColumn::Count) {
            // Without a key there is one group, even of nothing.
            counts.add([0; 3], 0);
        }
        match self.plan.stored {
            Some(grouping) => self.count_stored(grouping, &mut counts)?,
            None => self.count_passing(&mut counts)?,
        }
        Ok(counts)
    }

    /// Counts entities one by one, without making rows of them.
    fn count_passing(&self, counts: &mut GroupCounts) -> OperatorResult<(), G> {
        let reader = self.context.reader;
        let mut filter = EntityFilter::new(&self.scan.test);
        let mut cursor = CandidateCursor::new(&self.scan.access);
        let (met, mut fitting) = (&self.context.candidates, Vec::new());
        while cursor.fitting(reader, &mut filter, false, met, &mut fitting)? {
            self.count_met(fitting.len() as u64);
            if !self.shows.contains(&true) {
                counts.add([0; 3], fitting.len() as u64);
                continue;
            }
            for &number in &fitting {
                if let Some(facts) = reader.graph.entity_facts(number)? {
                    counts.add(self.group_of(&facts), 1);
                }
            }
        }
        Ok(())
    }

    /// Counts by the names that the stored counts tell apart.
    fn count_stored(
        &self,
        grouping: CountGrouping,
        counts: &mut GroupCounts,
    ) -> OperatorResult<(), G> {
        let reader = self.context.reader;
        let unknown = EntityFacts { scope: 0, type_name: 0, classes: 0, live: true };
        for stored in reader.graph.counts()? {
            let scope = EntityFacts { scope: stored.scope, ..unknown };
            let all: Vec<(EntityFacts, u64)> = match grouping {
                CountGrouping::Nothing => vec![(scope, stored.entities)],
                CountGrouping::Type => {
                    let each = stored.types.into_iter();
                    each.map(|(type_name, n)| (EntityFacts { type_name, ..scope }, n)).collect()
                }
                CountGrouping::Class => {
                    let each = stored.classes.into_iter();
                    each.map(|(classes, n)| (EntityFacts { classes, ..scope }, n)).collect()
                }
            };
            for (facts, count) in all {
                let selected = || reader.selected(&facts, &self.scan.test);
                if count > 0 && selected() == SelectorVerdict::Yes {
                    self.count_met(count);
                    counts.add(self.group_of(&facts), count);
                }
            }
        }
        Ok(())
    }

    /// The columns of a group.
    fn cells(&self, group: NameGroup, count: u64) -> OperatorResult<Vec<CellValue>, G> {
        let (reader, table) = (self.context.reader, self.plan.table);
        reader.hold(KEPT + table.columns.len() * size_of::<CellValue>())?;
        // All aggregates count the same entities, so they share one number.
        let count = CellValue::Value(Value::Int(count as i64));
        let aggregates = vec![count; table.aggregates.len()];
        let sight = EvalContext { aggregates: &aggregates, ..EvalContext::default() };
        let text = |number| Value::Text(reader.graph.name(number).to_owned().into());
        let mut cells = Vec::with_capacity(table.columns.len());
        for (term, what) in table.columns.iter().zip(&self.plan.shown) {
            cells.push(match what {
                CountColumn::Scope => CellValue::Value(text(group[0])),
                CountColumn::Type => CellValue::Value(text(group[1])),
                CountColumn::Class => {
                    let classes = reader.graph.name(group[2]).split(CLASS_SEPARATOR);
                    let classes = classes.filter(|class| !class.is_empty());
                    let texts = classes.map(|class| Value::Text(class.to_owned().into()));
                    CellValue::Value(Value::List(texts.collect()))
                }
                CountColumn::Count => reader.term(term, &sight)?,
            });
        }
        Ok(cells)
    }
}

impl<G: GraphRead> RowOperator<G> for CountByName<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        if self.groups.is_none() {
            self.groups = Some(self.count()?.groups.into_iter());
        }
        while rows.len() < demand.rows() {
            let Some((group, count)) = self.groups.iter_mut().flatten().next() else { break };
            self.context.reader.room(self.given)?;
            self.given += 1;
            rows.push_cells(NONE, self.cells(group, count)?);
        }
        Ok(!rows.is_empty())
    }
}
