//! The expression core: one parser, one tree, one evaluator and one table of functions for every text
//! that has expressions between its words.
//!
//! Languages differ in the roots of their paths ([`PathDialect`]) and in the data behind them
//! ([`ValueSource`]). The core knows neither rows nor entities.

mod call;
mod canonical_forms;
mod eval;
mod expr_value;
mod function;
mod nested_function;
mod parse;
mod template;
mod tree;

pub(crate) use canonical_forms::{address, network};
pub(crate) use eval::{
    PreferenceRank, ValueSource, defined, each_item, eval, eval_nested, holds, rank, render,
    render_nested, text_of,
};
pub(crate) use expr_value::{ExprValue, KeepElement, PlaceKey, elements, follow, open_step};
pub(crate) use function::ExprFunction;
pub(crate) use parse::{ExprDiagnostic, parse_condition, parse_items};
pub(crate) use template::{ExprTemplate, parse_template};
pub(crate) use tree::{AccessStep, ExprNode, ExprNodeKind, PathDialect, TermOperator};
