//! Execution of a plan: its operators are put on top of each other, rows are drawn from the last one,
//! and the answer is made of them.

use super::cell::CellValue;
use super::flatten::flattened;
use super::logical_plan::{AnswerShape, LogicalPlan, RowOperation};
use super::operators::{
    Aggregate, CountByName, Counted, Distinct, DistinctEntities, Filter, InputOperator, Limit,
    MatchContext, OperatorResult, Project, RowDemand, SettleOptional, Shortest, Sort, TopRows,
    Unwind, pattern, reads_late,
};
use super::physical_plan::{MatchOperation, PhysicalPlan};
use super::read::QueryReader;
use super::resolved::{QueryOutput, ResolvedQuery, TableOutput};
use super::row_batch::{BoundRelationships, NONE, RowBatch, RowShape, RowView};
use super::{PlannedEntity, QueryAnswer, QueryProfile};
use crate::graph::GraphRead;
use rustc_hash::FxHashSet;
use std::cell::Cell as Counter;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Bytes of a number in an ordered set.
const TREE_MEMBER: usize = 16;
/// Rows of a list bind the entity that is listed.
const LISTED: RowShape = RowShape { entities: 1, relationships: 0 };

/// Runs a query.
pub(super) fn run<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
) -> OperatorResult<(QueryAnswer, QueryProfile), G> {
    let plan = PhysicalPlan::choose(reader, LogicalPlan::of(query))?;
    let mut profile = QueryProfile::default();
    let answer = match plan.keeps_nothing {
        true => nothing(&plan.shape),
        false => answer(reader, &plan, &mut profile)?,
    };
    profile.tested = reader.tested.get();
    profile.edges = reader.meter.steps();
    profile.unlike = reader.unlike.notes();
    Ok((answer, profile))
}

/// The rows of a query that stands inside another one; none unless it has columns.
pub(super) fn inner_rows<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
) -> OperatorResult<Vec<Vec<CellValue>>, G> {
    let QueryOutput::Table(table) = &query.output else { return Ok(Vec::new()) };
    let plan = PhysicalPlan::choose(reader, LogicalPlan::of(query))?;
    match plan.keeps_nothing {
        true => Ok(Vec::new()),
        false => rows(reader, &plan, table, &mut QueryProfile::default()),
    }
}

/// The plan of a query as a profile, without running it.
pub(super) fn planned<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
) -> OperatorResult<QueryProfile, G> {
    let plan = PhysicalPlan::choose(reader, LogicalPlan::of(query))?;
    let mut profile = QueryProfile::default();
    describe(&plan, |_| 0, &mut profile);
    Ok(profile)
}

/// Calls `visit` with the matches of the pattern of a query, until it breaks off.
pub(super) fn for_each_match<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    mut visit: impl FnMut(RowView<'_>) -> OperatorResult<ControlFlow<()>, G>,
) -> OperatorResult<(), G> {
    let plan = PhysicalPlan::choose(reader, LogicalPlan::of_matches(query))?;
    let context = MatchContext::new(reader, &plan.pattern);
    let mut matches = pattern(&context, &plan.pattern);
    let mut batch = RowBatch::new(plan.pattern.slots);
    while matches.next_batch(RowDemand::AtMost(1), &mut batch)? {
        for row in 0..batch.len() {
            if visit(batch.row(row))?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn describe(plan: &PhysicalPlan<'_>, met: impl Fn(usize) -> u64, profile: &mut QueryProfile) {
    let entity = |place: &super::physical_plan::PlannedPosition| PlannedEntity {
        selector: place.selector.clone(),
        way: place.way.clone(),
        expected: place.estimate.ceil() as u64,
        met: met(place.slot),
    };
    profile.entities = plan.places.iter().map(entity).collect();
    profile.forward = plan.pattern.forward();
    if let Some(first) = profile.entities.first() {
        profile.access.clone_from(&first.way);
    }
}

/// The answer of no rows.
fn nothing(shape: &AnswerShape<'_>) -> QueryAnswer {
    match shape {
        AnswerShape::List => QueryAnswer::List(Vec::new()),
        AnswerShape::Tree => QueryAnswer::Tree {
            starts: Vec::new(),
            entities: Vec::new(),
            relationships: Vec::new(),
        },
        AnswerShape::Table(table) => {
            QueryAnswer::Table { columns: table.names.clone(), rows: Vec::new() }
        }
    }
}

fn answer<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    plan: &PhysicalPlan<'_>,
    profile: &mut QueryProfile,
) -> OperatorResult<QueryAnswer, G> {
    Ok(match plan.shape {
        AnswerShape::List => {
            let mut listed = Vec::new();
            draw(reader, plan, profile, LISTED, |batch| {
                listed.extend(batch.first_entities());
                Ok(())
            })?;
            QueryAnswer::List(listed)
        }
        AnswerShape::Tree => tree(reader, plan, profile)?,
        AnswerShape::Table(table) => {
            let rows = rows(reader, plan, table, profile)?;
            let (columns, rows) = flattened(table, rows, |cells| reader.room(cells))?;
            QueryAnswer::Table { columns, rows }
        }
    })
}

/// The rows of a table, without the columns that are only there to sort by.
fn rows<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    plan: &PhysicalPlan<'_>,
    table: &TableOutput,
    profile: &mut QueryProfile,
) -> OperatorResult<Vec<Vec<CellValue>>, G> {
    let mut rows = Vec::new();
    draw(reader, plan, profile, RowShape::default(), |batch| {
        rows.extend(batch.take_cells().map(|mut cells| {
            cells.truncate(table.names.len());
            cells
        }));
        reader.room(rows.len())
    })?;
    Ok(rows)
}

fn tree<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    plan: &PhysicalPlan<'_>,
    profile: &mut QueryProfile,
) -> OperatorResult<QueryAnswer, G> {
    let (mut entities, mut relationships) = (BTreeSet::new(), BTreeSet::new());
    let mut starts = BTreeSet::new();
    draw(reader, plan, profile, plan.pattern.slots, |batch| {
        for row in (0..batch.len()).map(|row| batch.row(row)) {
            let before = starts.len() + entities.len() + relationships.len();
            starts.insert(row.entities[0]);
            entities.extend(row.entities.iter().filter(|&&number| number != NONE));
            relationships.extend(row.hops.iter().flat_map(BoundRelationships::numbers));
            let now = starts.len() + entities.len() + relationships.len();
            reader.hold((now - before) * TREE_MEMBER)?;
            reader.room(entities.len() + relationships.len())?;
        }
        Ok(())
    })?;
    // The chains of quantified steps go through entities that have no slot.
    for &number in &relationships {
        reader.work(1)?;
        if let Some(link) = reader.relationship(number)? {
            entities.extend([link.from.number, link.to.number]);
        }
    }
    Ok(QueryAnswer::Tree {
        starts: starts.into_iter().collect(),
        entities: entities.into_iter().collect(),
        relationships: relationships.into_iter().collect(),
    })
}

/// Calls `take` with each batch of rows that the plan gives, and fills the profile.
fn draw<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    plan: &PhysicalPlan<'_>,
    profile: &mut QueryProfile,
    shape: RowShape,
    mut take: impl FnMut(&mut RowBatch) -> OperatorResult<(), G>,
) -> OperatorResult<(), G> {
    let context = MatchContext::new(reader, &plan.pattern);
    let matches = Counter::new(0);
    let mut root = operators(&context, plan, &matches);
    let mut batch = RowBatch::new(shape);
    while root.next_batch(RowDemand::All, &mut batch)? {
        take(&mut batch)?;
    }
    let met = |slot: usize| context.met[slot].get();
    describe(plan, met, profile);
    profile.candidates = context.candidates.get();
    profile.matches = matches.get();
    if let Some(counted) = &plan.counted {
        profile.matches = met(plan.pattern.scan.slot);
        if counted.stored.is_some() {
            profile.access = "stored counts".to_owned();
        }
    }
    Ok(())
}

/// The operators of a plan, the last one on top.
fn operators<'a, G: GraphRead>(
    context: &'a MatchContext<'a, G>,
    plan: &'a PhysicalPlan<'a>,
    matched: &'a Counter<u64>,
) -> InputOperator<'a, G> {
    let reader = context.reader;
    let slots = plan.pattern.slots;
    let source: InputOperator<'a, G> = match &plan.counted {
        Some(counted) => Box::new(CountByName::new(context, &plan.pattern.scan, counted)),
        None => {
            let matches = pattern(context, &plan.pattern);
            let input = plan.matches.iter().fold(matches, |input, operation| match operation {
                MatchOperation::Filter(condition) => Box::new(Filter { reader, input, condition }),
                MatchOperation::Rows(operation) => {
                    row_operator(reader, input, operation, slots, plan)
                }
            });
            Box::new(Counted { input, count: matched })
        }
    };
    let mut operations = plan.output.iter().peekable();
    let mut input = source;
    while let Some(operation) = operations.next() {
        let top = match (operation, operations.peek()) {
            (
                RowOperation::Project(columns),
                Some(RowOperation::Sort { keys, by_number: false }),
            ) if reads_late(columns, plan.sorted_rows) => Some((*columns, keys)),
            _ => None,
        };
        input = match top {
            Some((columns, keys)) => {
                operations.next();
                Box::new(TopRows::new(reader, input, slots, columns, (keys, plan.sorted_rows)))
            }
            None => row_operator(reader, input, operation, slots, plan),
        };
    }
    input
}

fn row_operator<'a, G: GraphRead>(
    reader: &'a QueryReader<'a, G>,
    input: InputOperator<'a, G>,
    operation: &'a RowOperation<'a>,
    slots: RowShape,
    plan: &'a PhysicalPlan<'a>,
) -> InputOperator<'a, G> {
    match operation {
        RowOperation::SettleOptional { unnamed, .. } => {
            Box::new(SettleOptional::new(reader, input, slots, unnamed))
        }
        RowOperation::Shortest(paths) => Box::new(Shortest::new(reader, input, slots, *paths)),
        RowOperation::DistinctEntities { slots: shown, keys } => {
            Box::new(DistinctEntities::new(reader, input, slots, shown, keys))
        }
        RowOperation::Unwind(lists) => Box::new(Unwind::new(reader, input, slots, lists)),
        RowOperation::Project(columns) => Box::new(Project::new(reader, input, slots, columns)),
        RowOperation::Aggregate(table) => Box::new(Aggregate::new(reader, input, slots, table)),
        RowOperation::Distinct { columns, grouped } => {
            let seen = FxHashSet::default();
            Box::new(Distinct { reader, input, columns: *columns, grouped: *grouped, seen })
        }
        RowOperation::Having(condition) => Box::new(Filter { reader, input, condition }),
        RowOperation::Sort { keys, by_number } => {
            let shape = if *by_number { LISTED } else { RowShape::default() };
            Box::new(Sort::new(reader, input, shape, (keys, *by_number), plan.sorted_rows))
        }
        RowOperation::Limit { skip, count } => {
            Box::new(Limit { input, skip: *skip, count: *count })
        }
    }
}
