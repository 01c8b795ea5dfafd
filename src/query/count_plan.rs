//! The plan of a query that counts entities by their names alone: scope, type and class.
//!
//! `FIND * AS e RETURN e._type, count(e)` reads no entity: the database stores the counts by type. For
//! other questions (type and class together, or a condition) entities are counted as they are passed
//! by, without making rows of them.

use super::access_path::AccessPath;
use super::logical_plan::{LogicalPattern, RowOperation};
use super::physical_plan::PatternPlan;
use super::resolved::{
    AggregateKind, EntityTest, PropertyOwner, ScalarExpr, SelectorKind, TableOutput,
};

/// A way to count without rows.
pub(super) struct CountPlan<'q> {
    pub table: &'q TableOutput,
    /// The content of each column.
    pub shown: Vec<CountColumn>,
    /// The stored counts that answer exactly; `None` if entities are counted one by one.
    pub stored: Option<CountGrouping>,
}

/// The content of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CountColumn {
    Scope,
    Type,
    Class,
    /// A term made of counts.
    Count,
}

impl<'q> CountPlan<'q> {
    /// The way to count that gives the matches of a pattern in groups. `None` if the groups ask for more
    /// than names and counts.
    pub(super) fn of(
        pattern: &LogicalPattern<'_>,
        plan: &PatternPlan<'_>,
        filtered: bool,
        output: &[RowOperation<'q>],
    ) -> Option<CountPlan<'q>> {
        let Some(RowOperation::Aggregate(table)) = output.first() else { return None };
        let one_entity = pattern.steps.is_empty() && !pattern.deleted && !pattern.shortest;
        if !one_entity || filtered || !counts_entities(table) {
            return None;
        }
        let shown: Vec<CountColumn> = table.columns.iter().map(column).collect::<Option<_>>()?;
        let stored = match plan.scan.access {
            AccessPath::Scan => by_counts(&plan.scan.test, &shown),
            _ => None,
        };
        Some(CountPlan { table, shown, stored })
    }
}

/// True if all aggregates count the entities of the start.
fn counts_entities(table: &TableOutput) -> bool {
    table.aggregates.iter().all(|aggregate| match aggregate.kind {
        AggregateKind::Rows => true,
        AggregateKind::Count => {
            matches!(aggregate.argument, ScalarExpr::Whole(PropertyOwner::Entity(0)))
        }
        _ => false,
    })
}

/// The content of a column; `None` if it shows more than names and counts.
fn column(term: &ScalarExpr) -> Option<CountColumn> {
    match term {
        ScalarExpr::Property(PropertyOwner::Entity(0), name) => match name.as_str() {
            "_scope" => Some(CountColumn::Scope),
            "_type" => Some(CountColumn::Type),
            "_class" => Some(CountColumn::Class),
            _ => None,
        },
        term => of_counts(term).then_some(CountColumn::Count),
    }
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
    term.aggregates() && !asks_more(term)
}

/// The name by which the stored counts tell entities apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CountGrouping {
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
