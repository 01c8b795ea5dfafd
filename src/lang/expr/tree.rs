//! Expressions as a tree. The first names of paths are those of a dialect: the tree is the same for
//! every language that has expressions, and what its paths lead to is not known here.

use super::function::ExprFunction;
use crate::graph::Value;
use crate::lang::ComparisonOp;
use regex::Regex;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// The roots of the paths of one language: the part of expressions in which languages differ.
pub(crate) trait PathDialect: Copy + Debug + Eq + 'static {
    /// Each root with the name that people write.
    const ROOTS: &'static [(&'static str, Self)];

    /// The root of this name.
    fn named(name: &str) -> Option<Self> {
        Self::ROOTS.iter().find(|(known, _)| *known == name).map(|(_, root)| *root)
    }

    /// The remedy for a name that stands without a root.
    fn qualify(name: &str) -> String;
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AccessStep<R> {
    /// `.name`: the member of an object.
    Name(String),
    /// `[0]`: the element of a list.
    Index(usize),
    /// `[*]`: the elements of a list; anything else is a list of one.
    Each,
    /// `.*`: the values of an object.
    Values,
    /// `[?condition]`: the elements of a list for which the condition holds.
    Filter(Box<ExprNode<R>>),
    /// `..name`: every field of that name, at any depth.
    Descend(String),
}

impl<R> AccessStep<R> {
    /// True if it may lead to several places.
    pub(crate) fn opens(&self) -> bool {
        !matches!(self, AccessStep::Name(_) | AccessStep::Index(_))
    }
}

/// The operators between two terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TermOperator {
    /// A comparison that all languages have.
    Compare(ComparisonOp),
    NotEqual,
    /// The left side is any of the right. With `cidr(...)` on the right: it lies in that network.
    In,
    /// The left side fits the pattern on the right: `*` is any text, `?` any character.
    Like,
}

/// An expression, with its range of bytes in the text that was parsed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExprNode<R> {
    pub kind: ExprNodeKind<R>,
    pub span: Range<usize>,
}

/// The kind of an expression, with its parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExprNodeKind<R> {
    Path(R, Vec<AccessStep<R>>),
    /// Steps from the value of a call.
    Steps(Box<ExprNode<R>>, Vec<AccessStep<R>>),
    Call(ExprFunction, Vec<ExprNode<R>>, Option<CompiledPattern>),
    Literal(Value<'static>),
    Undefined,
    List(Vec<ExprNode<R>>),
    Not(Box<ExprNode<R>>),
    And(Vec<ExprNode<R>>),
    Or(Vec<ExprNode<R>>),
    Compare(Box<ExprNode<R>>, TermOperator, Box<ExprNode<R>>),
    /// Stands in for a part whose fault is already reported; evaluates to undefined.
    Faulty,
}

/// A compiled regular expression; equal if written alike.
#[derive(Clone, Debug)]
pub(crate) struct CompiledPattern(pub Arc<Regex>);

impl PartialEq for CompiledPattern {
    fn eq(&self, other: &CompiledPattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl<R: PathDialect> ExprNode<R> {
    /// The function and its arguments, if it is a call.
    pub(crate) fn call(&self) -> Option<(ExprFunction, &[ExprNode<R>])> {
        match &self.kind {
            ExprNodeKind::Call(function, arguments, _) => Some((*function, arguments)),
            _ => None,
        }
    }

    /// True if it is a call of `function`, or a list of such calls only.
    pub(crate) fn is_call_of(&self, function: ExprFunction) -> bool {
        match &self.kind {
            ExprNodeKind::Call(called, ..) => *called == function,
            ExprNodeKind::List(items) => items.iter().all(|item| item.is_call_of(function)),
            _ => false,
        }
    }

    /// True if `is` holds for it or for any part of it.
    pub(crate) fn any(&self, is: &impl Fn(&ExprNode<R>) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |expr| found |= is(expr));
        found
    }

    /// True if it names `root`.
    pub(crate) fn mentions(&self, root: R) -> bool {
        self.any(&|expr| matches!(&expr.kind, ExprNodeKind::Path(of, _) if *of == root))
    }

    /// True if it names `root` and no other.
    pub(crate) fn mentions_only(&self, root: R) -> bool {
        let other =
            |expr: &ExprNode<R>| matches!(&expr.kind, ExprNodeKind::Path(of, _) if *of != root);
        self.mentions(root) && !self.any(&other)
    }

    /// True if it names anything of a row or an entity, so that it is no constant.
    pub(crate) fn names_anything(&self) -> bool {
        self.any(&|expr| matches!(expr.kind, ExprNodeKind::Path(..)))
    }

    /// True if it is `undefined` or the empty string, written literally.
    pub(crate) fn is_undefined_literal(&self) -> bool {
        matches!(&self.kind, ExprNodeKind::Undefined)
            || matches!(&self.kind, ExprNodeKind::Literal(Value::Text(text)) if text.is_empty())
    }

    /// Calls `visit` for this expression and each one inside it.
    pub(crate) fn walk<'e>(&'e self, visit: &mut impl FnMut(&'e ExprNode<R>)) {
        visit(self);
        match &self.kind {
            ExprNodeKind::Call(_, items, _)
            | ExprNodeKind::List(items)
            | ExprNodeKind::And(items)
            | ExprNodeKind::Or(items) => {
                for item in items {
                    item.walk(visit);
                }
            }
            ExprNodeKind::Not(inner) => inner.walk(visit),
            ExprNodeKind::Compare(left, _, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            ExprNodeKind::Path(_, steps) => walk_steps(steps, visit),
            ExprNodeKind::Steps(inner, steps) => {
                inner.walk(visit);
                walk_steps(steps, visit);
            }
            ExprNodeKind::Literal(_) | ExprNodeKind::Undefined | ExprNodeKind::Faulty => {}
        }
    }
}

/// Calls `visit` for the conditions inside of steps.
fn walk_steps<'e, R: PathDialect>(
    steps: &'e [AccessStep<R>],
    visit: &mut impl FnMut(&'e ExprNode<R>),
) {
    for step in steps {
        if let AccessStep::Filter(condition) = step {
            condition.walk(visit);
        }
    }
}
