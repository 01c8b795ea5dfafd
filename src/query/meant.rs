//! A resolved query: names are slots of a row, placeholders are filled in, and it can be run.
//!
//! `check` makes it from a query as written (`syntax`); `plan` and `matching` run it.

use super::pattern::Pattern;
use super::syntax::{Arrow, Math, Op};
use crate::graph::Value;
use crate::rules::Rules;
use std::sync::Arc;

/// Position of an entity in a row.
pub(super) type Slot = usize;

/// A query that can be run.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub unique: bool,
    pub shortest: Option<Shortest>,
    /// True if deleted entities are found as well.
    pub deleted: bool,
    /// The test of the entity in slot 0.
    pub start: EntityTest,
    pub ops: Vec<Step>,
    pub filter: Option<Test>,
    pub output: Output,
    pub skip: u64,
    pub limit: Option<u64>,
    /// Numbers of slots for entities and for relationships.
    pub entity_slots: usize,
    pub relationship_slots: usize,
    /// Frontiers of groups that have no name: rows that differ in these alone count as equal.
    pub unnamed: Vec<Slot>,
    /// The rules behind `#Impact`, `#Owning` and `#Containing`.
    pub rules: Rules,
    /// Frontiers of the groups, for lists of a query that has nothing but optional groups.
    pub reached: Vec<Slot>,
}

/// The choice of paths between two ends: those of the fewest relationships are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortest {
    /// Every such path, not one.
    pub all: bool,
    /// The slot of the last entity.
    pub end: Slot,
}

/// The test of one entity of a pattern.
#[derive(Clone, Debug)]
pub(super) struct EntityTest {
    /// One of these.
    pub any: Vec<Kind>,
    pub scope: Option<String>,
    pub with: Option<Test>,
}

/// One way for an entity to fit a selector.
#[derive(Clone, Debug)]
pub(super) enum Kind {
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
pub(super) enum Step {
    Hop(Box<Hop>),
    /// Goes on from the entity in this slot; the steps before led another way.
    From(Slot),
    Group {
        steps: Vec<Step>,
        least: u32,
        most: u32,
        frontier: Slot,
    },
    Not(Vec<Step>),
    Join(Box<Join>),
}

/// An entity found by its values, not by a relationship.
#[derive(Clone, Debug)]
pub(super) struct Join {
    pub target: EntityTest,
    pub to: Slot,
    /// The property of the target that must equal `value`, which is known before the target.
    pub property: String,
    pub value: Term,
    /// The whole condition.
    pub on: Test,
}

/// A relationship, or several in a row, and the entity it leads to.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    /// `None` means any.
    pub verbs: Option<Vec<Verb>>,
    /// Verbs of the last relationship of several; `None` means that `verbs` hold for it too.
    pub by: Option<Vec<Verb>>,
    pub arrow: Arrow,
    pub scope: Option<String>,
    pub relationship: Slot,
    pub target: EntityTest,
    pub to: Slot,
    /// Least and most relationships; `None` for a plain step.
    pub repeat: Option<(u32, u32)>,
    pub via: Option<EntityTest>,
    pub nearest: bool,
    /// Every shortest chain of a quantified step, not one.
    pub every: bool,
    /// Matched from its target to its left entity.
    pub backward: bool,
    /// Parts of WHERE that can be tested once the step is made.
    pub checks: Vec<Test>,
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

impl Hop {
    /// True if it goes by the rules of impact, which hold in one direction only.
    pub(super) fn spreads(&self) -> bool {
        let verbs = self.verbs.iter().chain(&self.by).flatten();
        verbs.into_iter().any(|verb| verb.set == Some(RuleSet::Impact))
    }
}

/// A verb that a step may follow, or not.
#[derive(Clone, Debug)]
pub(super) struct Verb {
    /// A set of the rules in place of one verb.
    pub set: Option<RuleSet>,
    /// As it is written; empty for all verbs that are not named.
    pub name: String,
    /// The direction, if not that of the step.
    pub arrow: Option<Arrow>,
    /// True if it is not followed at all.
    pub never: bool,
}

impl Verb {
    /// True if the query looks for this verb by its name, without direction or exclusion.
    pub(super) fn asked(&self) -> bool {
        !self.name.is_empty() && self.set.is_none() && self.arrow.is_none() && !self.never
    }
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Or(Vec<Test>),
    And(Vec<Test>),
    Not(Box<Test>),
    Compare {
        left: Term,
        op: Op,
        negated: bool,
        right: Values,
        /// The comparison as it is written, for notes.
        said: Arc<str>,
    },
}

/// The right side of a comparison.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Or(Vec<Values>),
    And(Vec<Values>),
    Term(Term),
    Pattern(Pattern),
    /// The values of the only column of a query. Shared, so that its address names its answer.
    Query(Arc<Checked>),
}

/// The owner of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// The entity under test by WITH.
    Subject,
    Entity(Slot),
    Relationship(Slot),
}

/// A value, computed from a row.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Undefined,
    Value(Value<'static>),
    /// A number and its text as written, where that text looks like a version and the program would
    /// print the number in another way: `2.10`. Texts are compared with the text.
    Written(Value<'static>, Value<'static>),
    /// A date, in epoch milliseconds.
    Time(i64),
    Property(Of, String),
    Whole(Of),
    All(Of),
    Call(Function, Vec<Term>),
    /// Number of an unwound list, whose items give one row each.
    Unwind(usize),
    Aggregate(usize),
    Column(usize),
    Minus(Box<Term>),
    Binary(Box<Term>, Math, Box<Term>),
}

/// Functions of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
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
pub(super) struct Aggregate {
    pub kind: AggregateKind,
    pub argument: Term,
    /// The selectors in the argument: each combination counts once.
    pub over: Vec<Of>,
}

/// The shape of the answer.
#[derive(Clone, Debug)]
pub(super) enum Output {
    List { order: Vec<(Term, bool)> },
    Tree,
    Table(Box<Table>),
}

/// A table: columns, of which the last ones may only be there to sort by.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub names: Vec<String>,
    pub columns: Vec<Term>,
    pub aggregates: Vec<Aggregate>,
    pub unwinds: Vec<Term>,
    pub having: Option<Test>,
    /// Number of a column, and true for descending.
    pub order: Vec<(usize, bool)>,
}
