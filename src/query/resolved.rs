//! A resolved query: names are slots of a row, placeholders are filled in, and it can be run.
//!
//! `resolve` makes it from a query as written (`syntax`); `logical_plan` makes operations of it.

use super::cell::EqualityMode;
use super::pattern::CompiledRegex;
use super::syntax::{ArithmeticOp, ComparisonOp, StepDirection};
use crate::graph::Value;
use crate::lang::PastPoint;
use crate::rules::RuleTable;
use std::sync::Arc;

/// Position of an entity in a row.
pub(super) type RowSlot = usize;

/// A query that can be run.
#[derive(Clone, Debug)]
pub(super) struct ResolvedQuery {
    pub unique: bool,
    pub shortest: Option<ShortestPaths>,
    /// True if deleted entities are found as well.
    pub deleted: bool,
    /// The test of the entity in slot 0.
    pub start: EntityTest,
    pub ops: Vec<PatternStep>,
    pub filter: Option<Predicate>,
    pub output: QueryOutput,
    pub skip: u64,
    pub limit: Option<u64>,
    /// The point in the past whose state is asked.
    pub at: Option<PastPoint>,
    /// Numbers of slots for entities and for relationships.
    pub entity_slots: usize,
    pub relationship_slots: usize,
    /// Frontiers of groups that have no name: rows that differ in these alone count as equal.
    pub unnamed: Vec<RowSlot>,
    /// The rules behind `#Impact`, `#Owning` and `#Containing`.
    pub rules: RuleTable,
    /// Frontiers of the groups, for lists of a query that has nothing but optional groups.
    pub reached: Vec<RowSlot>,
}

/// The choice of paths between two ends: those of the fewest relationships are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShortestPaths {
    /// Every such path, not one.
    pub all: bool,
    /// The slot of the last entity.
    pub end: RowSlot,
}

/// The test of one entity of a pattern.
#[derive(Clone, Debug)]
pub(super) struct EntityTest {
    /// One of these.
    pub any: Vec<SelectorKind>,
    pub scope: Option<String>,
    pub with: Option<Predicate>,
}

/// One way for an entity to fit a selector.
#[derive(Clone, Debug)]
pub(super) enum SelectorKind {
    Any,
    Class(String),
    Type(String),
    /// Each word, in lower case, is part of some property.
    Words(Vec<String>),
    /// All of these.
    All(Vec<EntityTest>),
}

/// One step of a pattern: any part that can follow an entity.
#[derive(Clone, Debug)]
pub(super) enum PatternStep {
    Hop(Box<ExpandStep>),
    Group { steps: Vec<PatternStep>, least: u32, most: u32, frontier: RowSlot },
    Not(Vec<PatternStep>),
    Join(Box<ValueJoin>),
}

/// An entity found by its values, not by a relationship.
#[derive(Clone, Debug)]
pub(super) struct ValueJoin {
    pub target: EntityTest,
    pub to: RowSlot,
    /// The property of the target that must equal `value`, which is known before the target.
    pub property: String,
    pub value: ScalarExpr,
    /// The kind of equality that the condition asks for.
    pub manner: EqualityMode,
    /// The whole condition.
    pub on: Predicate,
}

/// A relationship, or several in a row, and the entity it leads to.
#[derive(Clone, Debug)]
pub(super) struct ExpandStep {
    /// `None` means any.
    pub verbs: Option<Vec<ResolvedVerb>>,
    /// Verbs of the last relationship of several; `None` means that `verbs` hold for it too.
    pub by: Option<Vec<ResolvedVerb>>,
    pub arrow: StepDirection,
    pub scope: Option<String>,
    pub relationship: RowSlot,
    pub target: EntityTest,
    pub to: RowSlot,
    /// Least and most relationships; `None` for a plain step.
    pub repeat: Option<(u32, u32)>,
    pub via: Option<EntityTest>,
    pub nearest: bool,
    /// Every shortest chain of a quantified step, not one.
    pub every: bool,
}

/// A set of relationships that the rules of impact and ownership define, by verb and both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RuleSet {
    /// Relationships that pass impact on; the state in which an entity is reached decides.
    Impact,
    /// From owners to what they own.
    Owning,
    /// From wholes to parts, and between records of one thing.
    Containing,
}

impl RuleSet {
    /// All of them, with the names that queries use.
    pub const NAMED: [(&'static str, RuleSet); 3] = [
        ("Containing", RuleSet::Containing),
        ("Impact", RuleSet::Impact),
        ("Owning", RuleSet::Owning),
    ];
}

impl ExpandStep {
    /// True if it goes by the rules of impact, which hold in one direction only.
    pub(super) fn spreads(&self) -> bool {
        let verbs = self.verbs.iter().chain(&self.by).flatten();
        verbs.into_iter().any(|verb| verb.set == Some(RuleSet::Impact))
    }
}

/// A verb that a step may follow, or not.
#[derive(Clone, Debug)]
pub(super) struct ResolvedVerb {
    /// A set of the rules in place of one verb.
    pub set: Option<RuleSet>,
    /// As it is written; empty for all verbs that are not named.
    pub name: String,
    /// The direction, if not that of the step.
    pub arrow: Option<StepDirection>,
    /// True if it is not followed at all.
    pub never: bool,
}

impl ResolvedVerb {
    /// True if the query looks for this verb by its name, without direction or exclusion.
    pub(super) fn asked(&self) -> bool {
        !self.name.is_empty() && self.set.is_none() && self.arrow.is_none() && !self.never
    }
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Predicate {
    Or(Vec<Predicate>),
    And(Vec<Predicate>),
    Not(Box<Predicate>),
    Compare {
        left: ScalarExpr,
        op: ComparisonOp,
        negated: bool,
        right: PredicateOperand,
        /// The comparison as it is written, for notes.
        said: Arc<str>,
    },
}

/// The right side of a comparison.
#[derive(Clone, Debug)]
pub(super) enum PredicateOperand {
    Or(Vec<PredicateOperand>),
    And(Vec<PredicateOperand>),
    Term(ScalarExpr),
    Pattern(CompiledRegex),
    /// The values of the only column of a query. Shared, so that its address names its answer.
    Query(Arc<ResolvedQuery>),
}

/// The owner of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PropertyOwner {
    /// The entity under test by WITH.
    Subject,
    Entity(RowSlot),
    Relationship(RowSlot),
}

/// A value, computed from a row.
#[derive(Clone, Debug)]
pub(super) enum ScalarExpr {
    Undefined,
    Value(Value<'static>),
    /// A number and its text as written, where that text looks like a version and the program would
    /// print the number in another way: `2.10`. Texts are compared with the text.
    Written(Value<'static>, Value<'static>),
    /// A date, in epoch milliseconds.
    Time(i64),
    Property(PropertyOwner, String),
    Whole(PropertyOwner),
    All(PropertyOwner),
    Call(ScalarFunction, Vec<ScalarExpr>),
    /// Number of an unwound list, whose items give one row each.
    Unwind(usize),
    Aggregate(usize),
    Column(usize),
    Minus(Box<ScalarExpr>),
    Binary(Box<ScalarExpr>, ArithmeticOp, Box<ScalarExpr>),
}

impl ScalarExpr {
    /// True if an aggregate stands in it.
    pub(super) fn aggregates(&self) -> bool {
        match self {
            ScalarExpr::Aggregate(_) => true,
            ScalarExpr::Call(_, terms) => terms.iter().any(ScalarExpr::aggregates),
            ScalarExpr::Minus(term) => term.aggregates(),
            ScalarExpr::Binary(left, _, right) => left.aggregates() || right.aggregates(),
            _ => false,
        }
    }
}

/// Functions of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarFunction {
    Abs,
    Sqrt,
    Ceil,
    Floor,
    Round,
    Coalesce,
    Concat,
    Merge,
    Depth,
}

/// Functions of many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregateKind {
    Count,
    Rows,
    Sum,
    Average,
    Least,
    Greatest,
}

/// One call of an aggregate function.
#[derive(Clone, Debug)]
pub(super) struct AggregateCall {
    pub kind: AggregateKind,
    pub argument: ScalarExpr,
    /// The selectors in the argument: each combination counts once.
    pub over: Vec<PropertyOwner>,
}

/// The shape of the answer.
#[derive(Clone, Debug)]
pub(super) enum QueryOutput {
    List { order: Vec<(ScalarExpr, bool)> },
    Tree,
    Table(Box<TableOutput>),
}

/// A table: columns, of which the last ones may only be there to sort by.
#[derive(Clone, Debug)]
pub(super) struct TableOutput {
    pub names: Vec<String>,
    pub columns: Vec<ScalarExpr>,
    pub aggregates: Vec<AggregateCall>,
    pub unwinds: Vec<ScalarExpr>,
    pub having: Option<Predicate>,
    /// Number of a column, and true for descending.
    pub order: Vec<(usize, bool)>,
}
