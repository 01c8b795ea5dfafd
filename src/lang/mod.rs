//! The parts that all texts written by people share: the words of expressions, and faults that point
//! into a text.
//!
//! Mapping files and queries share these, so that a string, a number or a caret means the same in
//! both. Grammars live with the language they belong to.

mod diagnostic;
mod expr;
mod lex;
mod pattern;
mod value;

pub(crate) use diagnostic::closest;
pub use diagnostic::{Diagnostic, DiagnosticLabel, DiagnosticSeverity, SourceText, SuggestedEdit};
pub(crate) use expr::{
    AccessStep, ExprDiagnostic, ExprFunction, ExprNode, ExprNodeKind, ExprTemplate, PathDialect,
    PreferenceRank, TermOperator, ValueSource, address, defined, each_item, eval, holds, list,
    network, parse_condition, parse_template, rank, render, text_of,
};
use lex::{ExpressionToken, word_at};
pub(crate) use pattern::{PatternLimits, compile_pattern, pattern_states};
pub(crate) use value::{
    ComparisonOp, StrictCollation, ValueCollation, compare_numbers, compares, date, float,
    item_compares, items, spelled_number, version,
};
