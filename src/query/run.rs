//! From matches to an answer: settles optional groups, tests WHERE, then makes a list, a tree or a
//! table with its groups, order and limits.

use super::cell::{CellValue, KEPT};
use super::flatten::flattened;
use super::matching::{self, MatchFlow};
use super::number::{NumericValue, RunningSum};
use super::plan::{self, PlannedPosition, QueryPlan};
use super::read::{BindingRow, BoundRelationships, EvalContext, NONE, QueryReader};
use super::resolved::{
    AggregateCall, AggregateKind, PatternStep, PropertyOwner, QueryOutput, ResolvedQuery,
    ScalarExpr, ShortestPaths, TableOutput,
};
use super::tally;
use super::{PlannedEntity, QueryAnswer, QueryProfile, QuestionError};
use crate::graph::{GraphRead, Value};
use crate::limits::MemoryReservation;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Bytes of a number in an ordered set, and of one in a set of numbers.
const TREE_MEMBER: usize = 16;
const COUNTED: usize = 8;
/// Rows that take more bytes are cut to the page even if they are few.
const SORTED_BYTES: u64 = 1 << 20;

/// Runs a query.
pub(super) fn run<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
) -> Result<(QueryAnswer, QueryProfile), QuestionError<G::Error>> {
    let mut profile = QueryProfile::default();
    let answer = match &query.output {
        QueryOutput::List { order } => QueryAnswer::List(list(reader, query, order, &mut profile)?),
        QueryOutput::Tree => tree(reader, query, &mut profile)?,
        QueryOutput::Table(table) => {
            let rows = rows_of(reader, query, table, &mut profile)?;
            let (columns, rows) = flattened(table, rows, |cells| reader.room(cells))?;
            QueryAnswer::Table { columns, rows }
        }
    };
    profile.tested = reader.tested.get();
    profile.edges = reader.meter.steps();
    profile.unlike = reader.unlike.notes();
    Ok((answer, profile))
}

/// The rows of a query that has columns.
pub(super) fn table_rows<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
) -> Result<Vec<Vec<CellValue>>, QuestionError<G::Error>> {
    match &query.output {
        QueryOutput::Table(table) => rows_of(reader, query, table, &mut QueryProfile::default()),
        _ => Ok(Vec::new()),
    }
}

/// The plan of a query as a profile, without running it.
pub(super) fn planned<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
) -> Result<QueryProfile, QuestionError<G::Error>> {
    let mut profile = QueryProfile::default();
    describe(&plan::plan(reader, query)?, &mut profile);
    Ok(profile)
}

fn describe(plan: &QueryPlan, profile: &mut QueryProfile) {
    let entity = |place: &PlannedPosition| PlannedEntity {
        selector: place.selector.clone(),
        way: place.way.clone(),
        expected: place.estimate.ceil() as u64,
        met: plan.met[place.slot].get(),
    };
    profile.entities = plan.places.iter().map(entity).collect();
    profile.forward = plan.forward();
    if let Some(first) = profile.entities.first() {
        profile.access.clone_from(&first.way);
    }
}

/// Calls `sink` with every match that WHERE lets through. With `settle`, a row lacks an optional group
/// only if the group is not there. Questions about whole rows need that; collecting the entities of
/// all rows does not.
fn matches<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    plan: &QueryPlan,
    once: bool,
    settle: bool,
    profile: &mut QueryProfile,
    mut sink: impl FnMut(&BindingRow) -> Result<MatchFlow, QuestionError<G::Error>>,
) -> Result<(), QuestionError<G::Error>> {
    let mut found = 0;
    let mut pass = |row: &BindingRow| -> Result<MatchFlow, QuestionError<G::Error>> {
        let sight = EvalContext { row: Some(row), ..EvalContext::default() };
        if let Some(filter) = &plan.filter
            && !reader.test(filter, &sight)?
        {
            return Ok(MatchFlow::Continue(()));
        }
        found += 1;
        sink(row)
    };
    let optional = optional(&query.ops);
    // Both compare rows with each other, so all rows have to be there first.
    if settle && optional || query.shortest.is_some() {
        let mut rows = Vec::new();
        let (mut part, mut held) = (reader.meter.part(), 0);
        profile.candidates = matching::rows(reader, query, plan, false, |row| {
            reader.room(rows.len())?;
            let bytes = row.bytes();
            held += bytes;
            part.hold(bytes as u64).map_err(QuestionError::Limit)?;
            rows.push(row.clone());
            Ok(MatchFlow::Continue(()))
        })?;
        if optional {
            // Each row is looked for among parts of the others.
            let mut compared = reader.meter.part();
            compared.hold(held as u64).map_err(QuestionError::Limit)?;
            rows = drop_covered_rows(rows, &query.unnamed);
        }
        if let Some(kept) = &query.shortest {
            rows = shortest(reader, query, rows, kept)?;
        }
        for row in rows {
            if pass(&row)?.is_break() {
                break;
            }
        }
    } else {
        // A match that WHERE refuses says nothing about the next one.
        let once = once && plan.forward() && plan.filter.is_none();
        profile.candidates = matching::rows(reader, query, plan, once, pass)?;
    }
    profile.matches = found;
    describe(plan, profile);
    Ok(())
}

/// The rows of the fewest relationships between their ends, of those that WHERE lets through. Pairs of
/// ends stand in the order in which they were met.
fn shortest<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    rows: Vec<BindingRow>,
    kept: &ShortestPaths,
) -> Result<Vec<BindingRow>, QuestionError<G::Error>> {
    let way = |row: &BindingRow| {
        let way: Vec<u32> =
            row.hops.iter().flat_map(BoundRelationships::numbers).copied().collect();
        (way.len(), way)
    };
    let mut numbers = FxHashMap::default();
    let mut best: Vec<Vec<BindingRow>> = Vec::new();
    for row in rows {
        if let Some(filter) = &query.filter
            && !reader.test(filter, &EvalContext { row: Some(&row), ..EvalContext::default() })?
        {
            continue;
        }
        let at = *numbers.entry((row.entities[0], row.entities[kept.end])).or_insert(best.len());
        if at == best.len() {
            best.push(vec![row]);
            continue;
        }
        let (new, known) = (way(&row), way(&best[at][0]));
        // Without ALL, the least path by its numbers is kept, so that the answer stays the same.
        if kept.all && new.0 == known.0 {
            best[at].push(row);
        } else if new < known && (new.0 < known.0 || !kept.all) {
            best[at] = vec![row];
        }
    }
    Ok(best.into_iter().flatten().collect())
}

fn optional(steps: &[PatternStep]) -> bool {
    steps.iter().any(|step| match step {
        PatternStep::Group { steps, least, .. } => *least == 0 || optional(steps),
        _ => false,
    })
}

/// Drops each row that another row covers: the other has all its bindings, and more. Such a row lacks
/// an optional group although the group is there.
fn drop_covered_rows(rows: Vec<BindingRow>, unnamed: &[usize]) -> Vec<BindingRow> {
    type Mask = (Vec<bool>, Vec<bool>);
    let mask = |row: &BindingRow| -> Mask {
        // Unnamed frontiers tell no rows apart, so masks leave them out.
        let entity = |(slot, &number): (usize, &u32)| number != NONE && !unnamed.contains(&slot);
        (
            row.entities.iter().enumerate().map(entity).collect(),
            row.hops.iter().map(|hops| *hops != BoundRelationships::None).collect(),
        )
    };
    let project = |row: &BindingRow, mask: &Mask| -> BindingRow {
        let entity = |(&number, &bound): (&u32, &bool)| if bound { number } else { NONE };
        let hops = |(hops, &bound): (&BoundRelationships, &bool)| {
            if bound { hops.clone() } else { BoundRelationships::None }
        };
        BindingRow {
            entities: row.entities.iter().zip(&mask.0).map(entity).collect(),
            hops: row.hops.iter().zip(&mask.1).map(hops).collect(),
        }
    };
    let within = |small: &Mask, large: &Mask| {
        let below = |a: &[bool], b: &[bool]| a.iter().zip(b).all(|(a, b)| !a || *b);
        small != large && below(&small.0, &large.0) && below(&small.1, &large.1)
    };
    let mut by_mask: FxHashMap<Mask, Vec<usize>> = FxHashMap::default();
    for (at, row) in rows.iter().enumerate() {
        by_mask.entry(mask(row)).or_default().push(at);
    }
    let mut dropped = vec![false; rows.len()];
    for (small, members) in &by_mask {
        // Only rows that bind all of these slots, and more, can cover a row.
        let larger = by_mask.iter().filter(|(large, _)| within(small, large));
        let covered: FxHashSet<BindingRow> = larger
            .flat_map(|(_, members)| members.iter().map(|&at| project(&rows[at], small)))
            .collect();
        for &at in members {
            dropped[at] = covered.contains(&project(&rows[at], small));
        }
    }
    let mut dropped = dropped.into_iter();
    rows.into_iter().filter(|_| !dropped.next().unwrap_or(false)).collect()
}

/// Keeps the page that SKIP and LIMIT ask for.
fn page<T>(mut all: Vec<T>, query: &ResolvedQuery) -> Vec<T> {
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX).min(all.len());
    all.drain(..skip);
    if let Some(limit) = query.limit {
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    all
}

/// The end of the page that SKIP and LIMIT ask for: so many rows are enough.
fn page_end(query: &ResolvedQuery) -> usize {
    let sum = query.limit.map(|limit| limit.saturating_add(query.skip));
    sum.map_or(usize::MAX, |sum| usize::try_from(sum).unwrap_or(usize::MAX))
}

fn continue_until(have: usize, enough: usize) -> MatchFlow {
    if have >= enough { MatchFlow::Break(()) } else { MatchFlow::Continue(()) }
}

/// Undefined cells stand last, whichever way the others are sorted.
fn compare(a: &CellValue, b: &CellValue, descending: bool) -> Ordering {
    match (a.is_undefined(), b.is_undefined()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => b.order(a),
        (false, false) => a.order(b),
    }
}

fn list<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    order: &[(ScalarExpr, bool)],
    profile: &mut QueryProfile,
) -> Result<Vec<u32>, QuestionError<G::Error>> {
    let (mut seen, mut found) = (FxHashSet::default(), Vec::new());
    let enough = if order.is_empty() { page_end(query) } else { usize::MAX };
    if enough == 0 {
        return Ok(Vec::new());
    }
    // One match shows that an entity is there; frontiers of groups need all of its matches.
    let once = query.reached.is_empty();
    let plan = plan::plan(reader, query)?;
    matches(reader, query, &plan, once, plan.filter.is_some(), profile, |row| {
        let sight = EvalContext { row: Some(row), ..EvalContext::default() };
        for slot in std::iter::once(&0).chain(&query.reached) {
            let number = row.entities[*slot];
            if number != NONE && found.len() < enough && seen.insert(number) {
                reader.hold(KEPT)?;
                let keys = order.iter().map(|(term, _)| reader.keep(reader.term(term, &sight)?));
                found.push((number, keys.collect::<Result<Vec<_>, _>>()?));
                reader.room(found.len())?;
            }
        }
        Ok(continue_until(found.len(), enough))
    })?;
    match order.is_empty() {
        true => found.sort_by_key(|(number, _)| *number),
        false => found.sort_by(|a, b| {
            let each = order.iter().zip(a.1.iter().zip(&b.1));
            each.map(|((_, descending), (a, b))| compare(a, b, *descending))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
                // By number last, so that pages do not depend on the order of matching.
                .then(a.0.cmp(&b.0))
        }),
    }
    Ok(page(found.into_iter().map(|(number, _)| number).collect(), query))
}

fn tree<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    profile: &mut QueryProfile,
) -> Result<QueryAnswer, QuestionError<G::Error>> {
    let (mut entities, mut relationships) = (BTreeSet::new(), BTreeSet::new());
    let mut starts = BTreeSet::new();
    let (mut rows, enough) = (0, page_end(query));
    if enough > 0 {
        let plan = plan::plan(reader, query)?;
        matches(reader, query, &plan, false, plan.filter.is_some(), profile, |row| {
            rows += 1;
            if rows as u64 > query.skip {
                let before = starts.len() + entities.len() + relationships.len();
                starts.insert(row.entities[0]);
                entities.extend(row.entities.iter().filter(|&&number| number != NONE));
                relationships.extend(row.hops.iter().flat_map(BoundRelationships::numbers));
                let now = starts.len() + entities.len() + relationships.len();
                reader.hold((now - before) * TREE_MEMBER)?;
                reader.room(entities.len() + relationships.len())?;
            }
            Ok(continue_until(rows, enough))
        })?;
    }
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

fn rows_of<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    table: &TableOutput,
    profile: &mut QueryProfile,
) -> Result<Vec<Vec<CellValue>>, QuestionError<G::Error>> {
    let sorted = table.order.is_empty() && table.having.is_none();
    // Without order and groups, the rows that are found first are the page.
    let enough = if sorted && table.aggregates.is_empty() { page_end(query) } else { usize::MAX };
    let (mut rows, mut seen) = (Vec::new(), FxHashSet::default());
    let shown = table.names.len();
    let plan = plan::plan(reader, query)?;
    if let Some(counted) = tally::rows(reader, query, table, &plan, profile)? {
        // Counting may have named its own way in, which `describe` overwrites.
        let way = std::mem::take(&mut profile.access);
        describe(&plan, profile);
        if !way.is_empty() {
            profile.access = way;
        }
        rows = counted;
    } else if enough > 0 {
        let mut groups = GroupTable::new(table);
        // Of rows that are sorted only so many can be shown as a page holds.
        let best = match table.having {
            None if table.aggregates.is_empty() && !table.order.is_empty() => page_end(query),
            _ => usize::MAX,
        };
        let mut sorted_at = reader.meter.held();
        matches(reader, query, &plan, false, true, profile, |row| {
            let mut turns = UnwindCursor::of(reader, table, row)?;
            while turns.next() {
                let sight =
                    EvalContext { row: Some(row), turns: &turns.cells, ..EvalContext::default() };
                if !table.aggregates.is_empty() {
                    groups.add(reader, table, &sight)?;
                    reader.room(groups.groups.len())?;
                    continue;
                }
                reader.spend(100)?;
                let kept = reader.meter.held();
                reader.hold(KEPT)?;
                let cells =
                    table.columns.iter().map(|term| reader.keep(reader.term(term, &sight)?));
                let cells = cells.collect::<Result<Vec<_>, _>>()?;
                if !query.unique || is_new(reader, &mut seen, &cells[..shown])? {
                    rows.push(cells);
                    reader.room(rows.len())?;
                } else {
                    drop(cells);
                    reader.meter.release(reader.meter.held() - kept);
                }
            }
            let grown = reader.meter.held().saturating_sub(sorted_at);
            // Cut only once the rows have doubled, so that sorting costs little for each row.
            if rows.len() / 2 > best && (rows.len() > 1_024 || grown > SORTED_BYTES) {
                sort(&mut rows, table);
                let left_out: usize = rows.drain(best..).map(|cells| row_bytes(&cells)).sum();
                reader.meter.release(left_out as u64);
                sorted_at = reader.meter.held();
            }
            Ok(continue_until(rows.len(), enough))
        })?;
        if !table.aggregates.is_empty() {
            rows = groups.rows(reader, table)?;
        }
    } else if !table.aggregates.is_empty() {
        rows = GroupTable::new(table).rows(reader, table)?;
    }
    if !table.aggregates.is_empty() && query.unique {
        let mut distinct = Vec::with_capacity(rows.len());
        for cells in rows {
            if is_new(reader, &mut seen, &cells[..shown])? {
                distinct.push(cells);
            }
        }
        rows = distinct;
    }
    if let Some(having) = &table.having {
        let mut kept = Vec::new();
        for cells in rows {
            if reader.test(having, &EvalContext { columns: &cells, ..EvalContext::default() })? {
                kept.push(cells);
            }
        }
        rows = kept;
    }
    sort(&mut rows, table);
    let mut rows = page(rows, query);
    rows.iter_mut().for_each(|cells| cells.truncate(shown));
    Ok(rows)
}

/// Sorts rows as asked; those that are equal in that stay as they were.
fn sort(rows: &mut [Vec<CellValue>], table: &TableOutput) {
    rows.sort_by(|a, b| {
        let mut each =
            table.order.iter().map(|&(at, descending)| compare(&a[at], &b[at], descending));
        each.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
}

fn identity(cells: &[CellValue]) -> String {
    let mut text = String::new();
    cells.iter().for_each(|cell| cell.identity(&mut text));
    text
}

/// True if no row before had these cells.
fn is_new<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    seen: &mut FxHashSet<String>,
    cells: &[CellValue],
) -> Result<bool, QuestionError<G::Error>> {
    let identity = identity(cells);
    if seen.contains(&identity) {
        return Ok(false);
    }
    reader.hold(KEPT + identity.len())?;
    seen.insert(identity);
    Ok(true)
}

fn row_bytes(cells: &[CellValue]) -> usize {
    KEPT + cells.iter().map(CellValue::bytes).sum::<usize>()
}

/// The combinations of the items of a row's unwound lists, one after the other, since there may be
/// more of them than memory holds.
struct UnwindCursor<'m> {
    lists: Vec<Vec<CellValue>>,
    /// The position of the next item in each list; `None` after the last combination.
    at: Option<Vec<usize>>,
    /// The items at hand.
    cells: Vec<CellValue>,
    _part: MemoryReservation<'m>,
}

impl<'m> UnwindCursor<'m> {
    fn of<G: GraphRead>(
        reader: &QueryReader<'m, G>,
        table: &TableOutput,
        row: &BindingRow,
    ) -> Result<UnwindCursor<'m>, QuestionError<G::Error>> {
        let sight = EvalContext { row: Some(row), ..EvalContext::default() };
        let (mut part, mut product) = (reader.meter.part(), 1usize);
        let mut lists: Vec<Vec<CellValue>> = Vec::with_capacity(table.unwinds.len());
        for term in &table.unwinds {
            let items = match reader.term(term, &sight)? {
                CellValue::Value(Value::List(items)) if !items.is_empty() => {
                    items.into_iter().map(CellValue::Value).collect()
                }
                // An empty list keeps its row, without a value in that column.
                CellValue::Value(Value::List(_)) => vec![CellValue::Undefined],
                cell => vec![cell],
            };
            part.hold(row_bytes(&items) as u64).map_err(QuestionError::Limit)?;
            product = product.saturating_mul(items.len());
            reader.room(product)?;
            lists.push(items);
        }
        let at = Some(vec![0; lists.len()]);
        Ok(UnwindCursor { lists, at, cells: Vec::new(), _part: part })
    }

    /// Goes on to the next combination; the last list turns fastest.
    fn next(&mut self) -> bool {
        let Some(at) = &mut self.at else { return false };
        self.cells.clear();
        self.cells.extend(self.lists.iter().zip(&*at).map(|(list, &at)| list[at].clone()));
        for (list, at) in self.lists.iter().zip(&mut *at).rev() {
            *at += 1;
            if *at < list.len() {
                return true;
            }
            *at = 0;
        }
        self.at = None;
        true
    }
}

/// Rows that are equal in the columns without aggregates, in the order they were first met.
#[derive(Default)]
struct GroupTable {
    /// Columns that hold no aggregate: together they are the key.
    plain: Vec<usize>,
    numbers: FxHashMap<String, usize>,
    groups: Vec<(Vec<CellValue>, Vec<AggregateState>)>,
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

impl GroupTable {
    fn new(table: &TableOutput) -> GroupTable {
        let plain = (0..table.columns.len()).filter(|&at| !aggregated(&table.columns[at]));
        let mut groups = GroupTable { plain: plain.collect(), ..GroupTable::default() };
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
        for &at in &self.plain {
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

    fn rows<G: GraphRead>(
        self,
        reader: &QueryReader<'_, G>,
        table: &TableOutput,
    ) -> Result<Vec<Vec<CellValue>>, QuestionError<G::Error>> {
        let mut rows = Vec::with_capacity(self.groups.len());
        for (key, states) in self.groups {
            let aggregates: Vec<CellValue> =
                table.aggregates.iter().zip(states).map(|(a, state)| state.cell(a.kind)).collect();
            let mut plain = key.into_iter();
            let mut cells = Vec::with_capacity(table.columns.len());
            for (at, term) in table.columns.iter().enumerate() {
                let sight = EvalContext { aggregates: &aggregates, ..EvalContext::default() };
                cells.push(match self.plain.contains(&at) {
                    true => plain.next().unwrap_or(CellValue::Undefined),
                    false => reader.keep(reader.term(term, &sight)?)?,
                });
            }
            rows.push(cells);
        }
        Ok(rows)
    }
}

fn states(table: &TableOutput) -> Vec<AggregateState> {
    table.aggregates.iter().map(|_| AggregateState::default()).collect()
}

/// True if an aggregate stands in a term.
pub(super) fn aggregated(term: &ScalarExpr) -> bool {
    match term {
        ScalarExpr::Aggregate(_) => true,
        ScalarExpr::Call(_, terms) => terms.iter().any(aggregated),
        ScalarExpr::Minus(term) => aggregated(term),
        ScalarExpr::Binary(left, _, right) => aggregated(left) || aggregated(right),
        _ => false,
    }
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
