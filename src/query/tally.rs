//! Counting entities by their names alone: scope, type and class.
//!
//! `FIND * AS e RETURN e._type, count(e)` reads no entity: the database stores the counts by type. For
//! other questions (type and class together, or a condition) entities are counted as they are passed
//! by, without making rows of them.

use super::cell::KEPT;
use super::matching;
use super::plan::{AccessPath, QueryPlan};
use super::read::{EvalContext, QueryReader, SelectorVerdict};
use super::resolved::{
    AggregateKind, EntityTest, PropertyOwner, ResolvedQuery, ScalarExpr, SelectorKind, TableOutput,
};
use super::{CellValue, QueryProfile, QuestionError};
use crate::graph::{CLASS_SEPARATOR, EntityFacts, GraphRead, Value};
use rustc_hash::FxHashMap;
use std::ops::ControlFlow;

/// The content of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CountColumn {
    Scope,
    Type,
    Class,
    /// A term made of counts.
    Count,
}

/// Counts by group: the numbers of scope, type and class set; 0 for a name that is not shown.
#[derive(Default)]
struct GroupCounts {
    numbers: FxHashMap<[u32; 3], usize>,
    groups: Vec<([u32; 3], u64)>,
}

impl GroupCounts {
    fn add(&mut self, group: [u32; 3], count: u64) {
        let next = self.groups.len();
        let at = *self.numbers.entry(group).or_insert(next);
        if at == next {
            self.groups.push((group, 0));
        }
        self.groups[at].1 += count;
    }
}

/// The rows of a query that only counts entities by their names. `None` if it asks for more.
pub(super) fn rows<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    table: &TableOutput,
    plan: &QueryPlan,
    profile: &mut QueryProfile,
) -> Result<Option<Vec<Vec<CellValue>>>, QuestionError<G::Error>> {
    let Some(shown) = shown(query, table, plan) else { return Ok(None) };
    let shows = |what| shown.contains(&what);
    let of_facts = |facts: &EntityFacts| {
        let one = |what, number| if shows(what) { number } else { 0 };
        [
            one(CountColumn::Scope, facts.scope),
            one(CountColumn::Type, facts.type_name),
            one(CountColumn::Class, facts.classes),
        ]
    };
    let mut tally = GroupCounts::default();
    if shown.iter().all(|what| *what == CountColumn::Count) {
        // Without a key there is one group, even of nothing.
        tally.add([0; 3], 0);
    }
    if let (Some(by), AccessPath::Scan) = (by_counts(&plan.start, &shown), &plan.access) {
        profile.access = "stored counts".to_owned();
        profile.candidates = 0;
        count_stored(reader, &plan.start, by, |facts, count| {
            plan.met[0].set(plan.met[0].get() + count);
            tally.add(of_facts(&facts), count);
        })?;
    } else {
        let mut known: FxHashMap<EntityFacts, (SelectorVerdict, [u32; 3])> = FxHashMap::default();
        matching::each(reader, &plan.access, |number, facts| {
            // Many entities share their names, so the selector is asked once for all of these.
            let (selected, group) = *known
                .entry(facts)
                .or_insert_with(|| (reader.selected(&facts, &plan.start), of_facts(&facts)));
            if selected == SelectorVerdict::No || !facts.live {
                return Ok(ControlFlow::Continue(()));
            }
            profile.candidates += 1;
            reader.work(1)?;
            if reader.fits(number, &plan.start, selected)? {
                plan.met[0].set(plan.met[0].get() + 1);
                tally.add(group, 1);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    profile.matches = plan.met[0].get();
    let mut rows = Vec::with_capacity(tally.groups.len());
    for (group, count) in tally.groups {
        reader.room(rows.len())?;
        reader.hold(KEPT + table.columns.len() * size_of::<CellValue>())?;
        let count = CellValue::Value(Value::Int(count as i64));
        // All aggregates count the same entities, so they share one number.
        let aggregates = vec![count; table.aggregates.len()];
        let mut cells = Vec::with_capacity(table.columns.len());
        for (term, what) in table.columns.iter().zip(&shown) {
            let text = |number| Value::Text(reader.graph.name(number).to_owned().into());
            cells.push(match what {
                CountColumn::Scope => CellValue::Value(text(group[0])),
                CountColumn::Type => CellValue::Value(text(group[1])),
                CountColumn::Class => {
                    let classes = reader.graph.name(group[2]).split(CLASS_SEPARATOR);
                    let classes = classes.filter(|class| !class.is_empty());
                    let texts = classes.map(|class| Value::Text(class.to_owned().into()));
                    CellValue::Value(Value::List(texts.collect()))
                }
                CountColumn::Count => reader.term(
                    term,
                    &EvalContext { aggregates: &aggregates, ..EvalContext::default() },
                )?,
            });
        }
        rows.push(cells);
    }
    Ok(Some(rows))
}

/// The content of each column; `None` if a column shows more than names and counts.
fn shown(query: &ResolvedQuery, table: &TableOutput, plan: &QueryPlan) -> Option<Vec<CountColumn>> {
    let one_entity = query.ops.is_empty()
        && plan.filter.is_none()
        && !query.deleted
        && query.shortest.is_none()
        && table.unwinds.is_empty();
    let counts = table.aggregates.iter().all(|aggregate| match aggregate.kind {
        AggregateKind::Rows => true,
        AggregateKind::Count => {
            matches!(aggregate.argument, ScalarExpr::Whole(PropertyOwner::Entity(0)))
        }
        _ => false,
    });
    if !one_entity || !counts || table.aggregates.is_empty() {
        return None;
    }
    let column = |term: &ScalarExpr| match term {
        ScalarExpr::Property(PropertyOwner::Entity(0), name) => match name.as_str() {
            "_scope" => Some(CountColumn::Scope),
            "_type" => Some(CountColumn::Type),
            "_class" => Some(CountColumn::Class),
            _ => None,
        },
        term => of_counts(term).then_some(CountColumn::Count),
    };
    table.columns.iter().map(column).collect()
}

/// True if a term is made of aggregates and constants, with at least one aggregate.
fn of_counts(term: &ScalarExpr) -> bool {
    fn asks_more(term: &ScalarExpr) -> bool {
        match term {
            ScalarExpr::Property(..)
            | ScalarExpr::Whole(_)
            | ScalarExpr::All(_)
            | ScalarExpr::Unwind(_) => true,
            ScalarExpr::Call(_, terms) => terms.iter().any(asks_more),
            ScalarExpr::Minus(term) => asks_more(term),
            ScalarExpr::Binary(left, _, right) => asks_more(left) || asks_more(right),
            _ => false,
        }
    }
    super::run::aggregated(term) && !asks_more(term)
}

/// The name by which the stored counts tell entities apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CountGrouping {
    Nothing,
    Type,
    Class,
}

/// The stored counts that answer exactly; `None` if none do.
fn by_counts(test: &EntityTest, shown: &[CountColumn]) -> Option<CountGrouping> {
    if test.with.is_some() {
        return None;
    }
    let mut types = shown.contains(&CountColumn::Type);
    let mut classes = shown.contains(&CountColumn::Class);
    for kind in &test.any {
        match kind {
            SelectorKind::Any => {}
            SelectorKind::Type(_) => types = true,
            SelectorKind::Class(_) => classes = true,
            _ => return None,
        }
    }
    match (types, classes) {
        (false, false) => Some(CountGrouping::Nothing),
        (true, false) => Some(CountGrouping::Type),
        (false, true) => Some(CountGrouping::Class),
        // Counts are stored by type and by class set, not by both together.
        (true, true) => None,
    }
}

/// Calls `visit` with the names that the counts tell apart, and the number of entities that have them.
fn count_stored<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    test: &EntityTest,
    by: CountGrouping,
    mut visit: impl FnMut(EntityFacts, u64),
) -> Result<(), QuestionError<G::Error>> {
    let unknown = EntityFacts { scope: 0, type_name: 0, classes: 0, live: true };
    for counts in reader.graph.counts()? {
        let scope = EntityFacts { scope: counts.scope, ..unknown };
        let all: Vec<(EntityFacts, u64)> = match by {
            CountGrouping::Nothing => vec![(scope, counts.entities)],
            CountGrouping::Type => {
                let each = counts.types.into_iter();
                each.map(|(type_name, n)| (EntityFacts { type_name, ..scope }, n)).collect()
            }
            CountGrouping::Class => {
                let each = counts.classes.into_iter();
                each.map(|(classes, n)| (EntityFacts { classes, ..scope }, n)).collect()
            }
        };
        for (facts, count) in all {
            if count > 0 && reader.selected(&facts, test) == SelectorVerdict::Yes {
                visit(facts, count);
            }
        }
    }
    Ok(())
}
