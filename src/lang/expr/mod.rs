//! The expression core: one parser, one tree, one evaluator and one table of functions for every text
//! that has expressions between its words.
//!
//! Languages differ in the roots of their paths ([`PathDialect`]) and in the data behind them
//! ([`ValueSource`]). The core knows neither rows nor entities.

mod canonical_forms;
mod eval;
mod function;
mod parse;
mod template;
mod tree;

pub(crate) use canonical_forms::{address, network};
pub(crate) use eval::{
    PreferenceRank, ValueSource, defined, each_item, eval, holds, list, rank, render, text_of,
};
pub(crate) use function::ExprFunction;
pub(crate) use parse::{ExprDiagnostic, parse_condition};
pub(crate) use template::{ExprTemplate, parse_template};
pub(crate) use tree::{AccessStep, ExprNode, ExprNodeKind, PathDialect, TermOperator};
