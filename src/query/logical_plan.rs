//! The logical plan of a query: the operations on rows that make its answer, in their order.
//!
//! It says what is scanned, expanded, filtered, joined, aggregated, sorted and limited. Access paths,
//! directions and the place to begin at are no part of it: `physical_plan` chooses them.

use super::resolved::{
    EntityTest, PatternStep, Predicate, QueryOutput, ResolvedQuery, RowSlot, ScalarExpr,
    ShortestPaths, TableOutput,
};
use super::row_batch::RowShape;
use crate::rules::RuleTable;

/// The operations of a query.
pub(super) struct LogicalPlan<'q> {
    pub pattern: LogicalPattern<'q>,
    /// WHERE.
    pub filter: Option<&'q Predicate>,
    /// Operations on the matches of the pattern, before WHERE and after it.
    pub before_filter: Vec<RowOperation<'q>>,
    pub after_filter: Vec<RowOperation<'q>>,
    /// Operations on the matches that are left, up to the rows of the answer.
    pub output: Vec<RowOperation<'q>>,
    pub shape: AnswerShape<'q>,
}

/// A pattern: a scan, then steps (expand, join, anti-join, repeat) from what it finds.
pub(super) struct LogicalPattern<'q> {
    /// The test of the entity in slot 0.
    pub start: &'q EntityTest,
    pub steps: &'q [PatternStep],
    pub slots: RowShape,
    /// True if deleted entities are found as well.
    pub deleted: bool,
    /// True if only shortest paths are kept.
    pub shortest: bool,
    /// True if the answer lists entities: one match of each may be enough.
    pub list: bool,
    /// True if one match of each entity of the start is enough.
    pub once: bool,
    pub rules: &'q RuleTable,
}

/// One operation on rows.
pub(super) enum RowOperation<'q> {
    /// Drops rows that lack an optional group although it is there. Rows that differ in the `unnamed`
    /// slots alone count as equal.
    SettleOptional { unnamed: &'q [RowSlot], only_for_filter: bool },
    /// Keeps the rows of the fewest relationships between two ends.
    Shortest(ShortestPaths),
    /// The entities of some slots, each once, with the values of these terms.
    DistinctEntities { slots: Vec<RowSlot>, keys: &'q [(ScalarExpr, bool)] },
    /// A row for each combination of the items of some lists.
    Unwind(&'q [ScalarExpr]),
    /// The columns of each row.
    Project(&'q [ScalarExpr]),
    /// A row for each group of rows.
    Aggregate(&'q TableOutput),
    /// Rows that differ in the first columns.
    Distinct { columns: usize, grouped: bool },
    /// Rows whose columns meet a condition.
    Having(&'q Predicate),
    /// By columns, each with true for descending; `by_number` orders entities that are equal in these.
    Sort { keys: Vec<(usize, bool)>, by_number: bool },
    /// Passes over some rows, then keeps so many.
    Limit { skip: u64, count: Option<u64> },
}

/// The shape of the answer that is made of the last rows.
#[derive(Clone, Copy)]
pub(super) enum AnswerShape<'q> {
    List,
    Tree,
    Table(&'q TableOutput),
}

impl<'q> LogicalPlan<'q> {
    /// The plan of a whole query.
    pub(super) fn of(query: &'q ResolvedQuery) -> LogicalPlan<'q> {
        let filter = query.filter.as_ref();
        let (shape, output) = match &query.output {
            QueryOutput::List { order } => (AnswerShape::List, list_operations(query, order)),
            QueryOutput::Tree => (AnswerShape::Tree, vec![page(query)]),
            QueryOutput::Table(table) => {
                (AnswerShape::Table(table), table_operations(query, table))
            }
        };
        // A row that lacks an optional group shows in a table, and WHERE may ask for it. Collecting
        // the entities of all rows does not need to know.
        let whole = matches!(shape, AnswerShape::Table(_)) || query.shortest.is_some();
        let settle =
            RowOperation::SettleOptional { unnamed: &query.unnamed, only_for_filter: !whole };
        let before_filter = has_optional(&query.ops).then_some(settle).into_iter().collect();
        let after_filter = query.shortest.map(RowOperation::Shortest).into_iter().collect();
        LogicalPlan {
            pattern: LogicalPattern::of(query),
            filter,
            before_filter,
            after_filter,
            output,
            shape,
        }
    }

    /// The plan that finds the matches of the pattern of a query, without what follows.
    pub(super) fn of_matches(query: &'q ResolvedQuery) -> LogicalPlan<'q> {
        LogicalPlan {
            pattern: LogicalPattern { once: false, ..LogicalPattern::of(query) },
            filter: query.filter.as_ref(),
            before_filter: Vec::new(),
            after_filter: Vec::new(),
            output: Vec::new(),
            shape: AnswerShape::Tree,
        }
    }

    /// True if a limit of nothing makes the answer empty, whatever there is.
    pub(super) fn keeps_nothing(&self) -> bool {
        let mut first = self.output.iter().take_while(|operation| {
            // What makes rows of other rows gives some even of none.
            !matches!(operation, RowOperation::Aggregate(_) | RowOperation::Having(_))
                && !matches!(operation, RowOperation::Sort { keys, .. } if !keys.is_empty())
        });
        first.any(|operation| matches!(operation, RowOperation::Limit { skip: 0, count: Some(0) }))
    }
}

impl<'q> LogicalPattern<'q> {
    fn of(query: &'q ResolvedQuery) -> LogicalPattern<'q> {
        let list = matches!(query.output, QueryOutput::List { .. });
        LogicalPattern {
            start: &query.start,
            steps: &query.ops,
            slots: RowShape {
                entities: query.entity_slots,
                relationships: query.relationship_slots,
            },
            deleted: query.deleted,
            shortest: query.shortest.is_some(),
            list,
            // Frontiers of groups need all matches of an entity.
            once: list && query.reached.is_empty() && query.shortest.is_none(),
            rules: &query.rules,
        }
    }
}

/// The page that SKIP and LIMIT ask for.
fn page(query: &ResolvedQuery) -> RowOperation<'static> {
    RowOperation::Limit { skip: query.skip, count: query.limit }
}

/// The operations of a list. Without an order it shows the entities that are found first, by number.
fn list_operations<'q>(
    query: &'q ResolvedQuery,
    order: &'q [(ScalarExpr, bool)],
) -> Vec<RowOperation<'q>> {
    let slots = std::iter::once(0).chain(query.reached.iter().copied()).collect();
    let mut operations = vec![RowOperation::DistinctEntities { slots, keys: order }];
    let keys = order.iter().enumerate().map(|(at, (_, descending))| (at, *descending)).collect();
    if order.is_empty()
        && let Some(limit) = query.limit
    {
        let count = Some(limit.saturating_add(query.skip));
        operations.push(RowOperation::Limit { skip: 0, count });
    }
    operations.push(RowOperation::Sort { keys, by_number: true });
    operations.push(page(query));
    operations
}

fn table_operations<'q>(query: &'q ResolvedQuery, table: &'q TableOutput) -> Vec<RowOperation<'q>> {
    let mut operations = Vec::new();
    if !table.unwinds.is_empty() {
        operations.push(RowOperation::Unwind(&table.unwinds));
    }
    let grouped = !table.aggregates.is_empty();
    operations.push(match grouped {
        true => RowOperation::Aggregate(table),
        false => RowOperation::Project(&table.columns),
    });
    if query.unique {
        operations.push(RowOperation::Distinct { columns: table.names.len(), grouped });
    }
    operations.extend(table.having.as_ref().map(RowOperation::Having));
    if !table.order.is_empty() {
        operations.push(RowOperation::Sort { keys: table.order.clone(), by_number: false });
    }
    operations.push(page(query));
    operations
}

/// True if rows may lack a group.
fn has_optional(steps: &[PatternStep]) -> bool {
    steps.iter().any(|step| match step {
        PatternStep::Group { steps, least, .. } => *least == 0 || has_optional(steps),
        _ => false,
    })
}
