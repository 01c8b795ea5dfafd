//! A query as written: names are still names, and nothing is checked beyond the grammar.
//!
//! Every part keeps the bytes that it stands on, so that later faults can point at it.

use super::pattern::CompiledRegex;
use crate::graph::Value;
use std::ops::Range;

pub(super) use crate::lang::ComparisonOp;

/// Bytes of the query text.
pub(super) type TextSpan = Range<usize>;

/// A whole query.
#[derive(Clone, Debug)]
pub(super) struct ParsedQuery {
    pub unique: bool,
    pub shortest: Option<ShortestClause>,
    pub start: EntityPattern,
    pub elements: Vec<PatternElement>,
    pub filter: Option<ConditionExpr>,
    pub returns: ReturnClause,
    pub having: Option<ConditionExpr>,
    pub order: Vec<SortKey>,
    pub skip: Option<u64>,
    pub limit: Option<u64>,
    /// `AT '2026-11-24'`: the state that is asked.
    pub at: Option<TextLiteral>,
    /// From the first word to the last.
    pub span: TextSpan,
}

/// `FIND SHORTEST`: one path of the fewest relationships for each pair of ends.
#[derive(Clone, Debug)]
pub(super) struct ShortestClause {
    /// `SHORTEST ALL`: every such path.
    pub all: bool,
    pub span: TextSpan,
}

/// A name with its place.
#[derive(Clone, Debug)]
pub(super) struct SpannedName {
    pub text: String,
    pub span: TextSpan,
}

/// `(User|Person) IN SCOPE 'okta' WITH active = true AS u`.
#[derive(Clone, Debug)]
pub(super) struct EntityPattern {
    /// Any of these.
    pub alternatives: Vec<SelectorAlternative>,
    pub scope: Option<TextLiteral>,
    pub with: Option<ConditionExpr>,
    pub alias: Option<SpannedName>,
}

/// One alternative of a selector.
#[derive(Clone, Debug)]
pub(super) enum SelectorAlternative {
    /// `*`
    Any,
    /// A class if it begins with a capital, else a type.
    Name(SpannedName),
    /// Full text.
    Text(TextLiteral),
    /// `#Name`
    Smart(SpannedName),
    /// `#Name Class`
    SmartOf(SpannedName, SpannedName),
}

/// A string that may hold placeholders.
#[derive(Clone, Debug)]
pub(super) struct TextLiteral {
    pub text: String,
    /// True if the whole string is one placeholder; `text` is then its name.
    pub hole: bool,
    pub span: TextSpan,
}

/// One element of a pattern: any part that can follow an entity.
#[derive(Clone, Debug)]
pub(super) enum PatternElement {
    Step(Box<RelationshipPattern>),
    /// `( ... )?` is `{0,1}`, `( ... ){1,3}` a repeated chain.
    Group {
        elements: Vec<PatternElement>,
        least: u32,
        most: u32,
        alias: Option<SpannedName>,
    },
    /// `!( ... )`: the chain must not be there.
    Not(Vec<PatternElement>),
    /// `THAT MATCHES Person AS p ON u.email = p.email`: entities of equal values, no relationship.
    Matches {
        negated: bool,
        target: EntityPattern,
        on: ConditionExpr,
        span: TextSpan,
    },
}

/// The direction along relationships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepDirection {
    Both,
    /// `>>`
    Out,
    /// `<<`
    In,
}

impl StepDirection {
    /// The same way seen from the other end.
    pub fn turned(self) -> StepDirection {
        match self {
            StepDirection::Both => StepDirection::Both,
            StepDirection::Out => StepDirection::In,
            StepDirection::In => StepDirection::Out,
        }
    }
}

/// One of the verbs of a step.
#[derive(Clone, Debug)]
pub(super) enum VerbPattern {
    /// `HAS`, `USES <<`; without an arrow of its own it follows that of the step.
    Named(SpannedName, Option<StepDirection>),
    /// `* >>`: all that are not named.
    Others(Option<StepDirection>),
    /// `!MONITORS`: not this one.
    Never(SpannedName),
    /// `#Impact`: verbs that are defined elsewhere.
    Smart(SpannedName),
}

/// `THAT !(HAS|OWNS){1,3} >> AS r target`.
#[derive(Clone, Debug)]
pub(super) struct RelationshipPattern {
    pub negated: bool,
    pub nearest: bool,
    /// Empty means any.
    pub verbs: Vec<VerbPattern>,
    pub repeat: Option<(u32, u32)>,
    /// Verbs of the last relationship; empty means any of `verbs`.
    pub by: Vec<VerbPattern>,
    pub via: Option<Box<EntityPattern>>,
    pub arrow: StepDirection,
    pub scope: Option<TextLiteral>,
    pub alias: Option<SpannedName>,
    pub target: EntityPattern,
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum ConditionExpr {
    Or(Vec<ConditionExpr>),
    And(Vec<ConditionExpr>),
    Not(Box<ConditionExpr>),
    Compare(Box<ComparisonExpr>),
}

/// `left op right`.
#[derive(Clone, Debug)]
pub(super) struct ComparisonExpr {
    pub left: ValueExpr,
    pub op: ComparisonOp,
    /// The whole comparison is the opposite of `op`.
    pub negated: bool,
    pub right: ComparisonOperand,
    /// From the left side to the end of the right one.
    pub span: TextSpan,
}

/// The right side of a comparison.
#[derive(Clone, Debug)]
pub(super) enum ComparisonOperand {
    Or(Vec<ComparisonOperand>),
    And(Vec<ComparisonOperand>),
    Value(ValueExpr),
    /// A regular expression, and its bytes with slashes and flags.
    Pattern(CompiledRegex, TextSpan),
    Query(Box<ParsedQuery>),
}

/// `RETURN ...`, or none.
#[derive(Clone, Debug)]
pub(super) enum ReturnClause {
    /// No RETURN: the entities that the query starts at.
    List,
    Tree,
    Columns(Vec<ReturnColumn>),
}

/// A returned column.
#[derive(Clone, Debug)]
pub(super) struct ReturnColumn {
    pub expr: ValueExpr,
    pub name: Option<SpannedName>,
}

/// A value, computed from selectors and literals.
#[derive(Clone, Debug)]
pub(super) struct ValueExpr {
    pub kind: ValueExprKind,
    pub span: TextSpan,
}

#[derive(Clone, Debug)]
pub(super) enum ValueExprKind {
    Number(Value<'static>),
    Text(TextLiteral),
    Bool(bool),
    Undefined,
    /// A fixed time in epoch milliseconds.
    Time(i64),
    /// `a`, `a.b`, `tag.x` or `[tag.x]`, by parts; what it means depends on where it stands.
    Path(Vec<String>),
    /// `a.*`
    All(String),
    Call {
        name: SpannedName,
        arguments: Vec<ValueExpr>,
    },
    /// `count(*)`
    Rows,
    Minus(Box<ValueExpr>),
    Binary(Box<ValueExpr>, ArithmeticOp, Box<ValueExpr>),
}

/// Arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArithmeticOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

/// `ORDER BY expr DESC`.
#[derive(Clone, Debug)]
pub(super) struct SortKey {
    pub expr: ValueExpr,
    pub descending: bool,
}
