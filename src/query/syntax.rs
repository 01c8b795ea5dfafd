//! A query as written: names are still names, and nothing is checked beyond the grammar.
//!
//! Every part keeps the bytes that it stands on, so that later faults can point at it.

use super::pattern::Pattern;
use crate::graph::Value;
use std::ops::Range;

/// Bytes of the query text.
pub(super) type Span = Range<usize>;

/// A whole query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub unique: bool,
    pub shortest: Option<Shortest>,
    pub start: EntityPattern,
    pub elements: Vec<Element>,
    pub filter: Option<Cond>,
    pub returns: Returns,
    pub having: Option<Cond>,
    pub order: Vec<Sort>,
    pub skip: Option<u64>,
    pub limit: Option<u64>,
    /// From the first word to the last.
    pub span: Span,
}

/// `FIND SHORTEST`: one path of the fewest relationships for each pair of ends.
#[derive(Clone, Debug)]
pub(super) struct Shortest {
    /// `SHORTEST ALL`: every such path.
    pub all: bool,
    pub span: Span,
}

/// A name with its place.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub text: String,
    pub span: Span,
}

/// `(User|Person) IN SCOPE 'okta' WITH active = true AS u`.
#[derive(Clone, Debug)]
pub(super) struct EntityPattern {
    /// Any of these.
    pub alternatives: Vec<Alternative>,
    pub scope: Option<Text>,
    pub with: Option<Cond>,
    pub alias: Option<Named>,
}

/// One alternative of a selector.
#[derive(Clone, Debug)]
pub(super) enum Alternative {
    /// `*`
    Any,
    /// A class if it begins with a capital, else a type.
    Name(Named),
    /// Full text.
    Text(Text),
    /// `#Name`
    Smart(Named),
    /// `#Name Class`
    SmartOf(Named, Named),
}

/// A string that may hold placeholders.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub text: String,
    /// True if the whole string is one placeholder; `text` is then its name.
    pub hole: bool,
    pub span: Span,
}

/// One element of a pattern: any part that can follow an entity.
#[derive(Clone, Debug)]
pub(super) enum Element {
    Step(Box<Step>),
    /// `( ... )?` is `{0,1}`, `( ... ){1,3}` a repeated chain.
    Group {
        elements: Vec<Element>,
        least: u32,
        most: u32,
        alias: Option<Named>,
    },
    /// `!( ... )`: the chain must not be there.
    Not(Vec<Element>),
    /// `THAT MATCHES Person AS p ON u.email = p.email`: entities of equal values, no relationship.
    Matches {
        negated: bool,
        target: EntityPattern,
        on: Cond,
        span: Span,
    },
}

/// The direction along relationships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrow {
    Both,
    /// `>>`
    Out,
    /// `<<`
    In,
}

impl Arrow {
    /// The same way seen from the other end.
    pub fn turned(self) -> Arrow {
        match self {
            Arrow::Both => Arrow::Both,
            Arrow::Out => Arrow::In,
            Arrow::In => Arrow::Out,
        }
    }
}

/// One of the verbs of a step.
#[derive(Clone, Debug)]
pub(super) enum Verb {
    /// `HAS`, `USES <<`; without an arrow of its own it follows that of the step.
    Named(Named, Option<Arrow>),
    /// `* >>`: all that are not named.
    Others(Option<Arrow>),
    /// `!MONITORS`: not this one.
    Never(Named),
    /// `#Impact`: verbs that are defined elsewhere.
    Smart(Named),
}

/// `THAT !(HAS|OWNS){1,3} >> AS r target`.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub negated: bool,
    pub nearest: bool,
    /// Empty means any.
    pub verbs: Vec<Verb>,
    pub repeat: Option<(u32, u32)>,
    /// Verbs of the last relationship; empty means any of `verbs`.
    pub by: Vec<Verb>,
    pub via: Option<Box<EntityPattern>>,
    pub arrow: Arrow,
    pub scope: Option<Text>,
    pub alias: Option<Named>,
    pub target: EntityPattern,
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Cond {
    Or(Vec<Cond>),
    And(Vec<Cond>),
    Not(Box<Cond>),
    Compare(Box<Compare>),
}

/// `left op right`.
#[derive(Clone, Debug)]
pub(super) struct Compare {
    pub left: Expr,
    pub op: Op,
    /// The whole comparison is the opposite of `op`.
    pub negated: bool,
    pub right: Right,
    /// From the left side to the end of the right one.
    pub span: Span,
}

/// The operator of a comparison, without negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    Contains,
    Begins,
    Ends,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Op {
    /// True if it asks which of two values is the greater one.
    pub fn orders(self) -> bool {
        matches!(self, Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual)
    }

    /// The same with its sides changed over.
    pub fn turned(self) -> Op {
        match self {
            Op::Less => Op::Greater,
            Op::LessOrEqual => Op::GreaterOrEqual,
            Op::Greater => Op::Less,
            Op::GreaterOrEqual => Op::LessOrEqual,
            same => same,
        }
    }
}

/// The right side of a comparison.
#[derive(Clone, Debug)]
pub(super) enum Right {
    Or(Vec<Right>),
    And(Vec<Right>),
    Value(Expr),
    /// A regular expression, and its bytes with slashes and flags.
    Pattern(Pattern, Span),
    Query(Box<Query>),
}

/// `RETURN ...`, or none.
#[derive(Clone, Debug)]
pub(super) enum Returns {
    /// No RETURN: the entities that the query starts at.
    List,
    Tree,
    Columns(Vec<Column>),
}

/// A returned column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub expr: Expr,
    pub name: Option<Named>,
}

/// A value, computed from selectors and literals.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    Number(Value<'static>),
    Text(Text),
    Bool(bool),
    Undefined,
    /// A fixed time in epoch milliseconds.
    Time(i64),
    /// `a`, `a.b`, `tag.x` or `[tag.x]`, by parts; what it means depends on where it stands.
    Path(Vec<String>),
    /// `a.*`
    All(String),
    Call {
        name: Named,
        arguments: Vec<Expr>,
    },
    /// `count(*)`
    Rows,
    Minus(Box<Expr>),
    Binary(Box<Expr>, Math, Box<Expr>),
}

/// Arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Math {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

/// `ORDER BY expr DESC`.
#[derive(Clone, Debug)]
pub(super) struct Sort {
    pub expr: Expr,
    pub descending: bool,
}
