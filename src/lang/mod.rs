//! The parts that all texts written by people share: expressions with their words, functions and values
//! ([`expr`]), what values mean and how they compare ([`value`]), regular expressions within limits, and
//! faults that point into a text.
//!
//! Mapping files and queries share these, so that a comparison, a date, a version or a caret means the
//! same in both. A grammar of its own lives with the language it belongs to, and so does what the names
//! of a language stand for.

mod diagnostic;
mod expr;
mod lex;
mod past_point;
mod pattern;
mod value;

pub(crate) use diagnostic::closest;
pub use diagnostic::{Diagnostic, DiagnosticLabel, DiagnosticSeverity, SourceText, SuggestedEdit};
pub(crate) use expr::{
    AccessStep, ExprDiagnostic, ExprFunction, ExprNode, ExprNodeKind, ExprTemplate, ExprValue,
    KeepElement, PathDialect, PlaceKey, PreferenceRank, TermOperator, ValueSource, address,
    defined, each_item, elements, eval, eval_nested, follow, holds, network, open_step,
    parse_condition, parse_items, parse_template, rank, render, render_nested, text_of,
};
use lex::word_at;
pub(crate) use lex::{LexDialect, LexToken, QuoteEscape, token_at};
pub use past_point::{HistoryKeep, PastPoint};
pub(crate) use pattern::{PatternLimits, compile_pattern, pattern_states};
pub(crate) use value::{
    ComparisonOp, LineIndex, NestedList, NestedObject, NestedValue, SpellingCollation,
    ValueCollation, compare_numbers, compares, date, item_compares, items, spelled_number,
    toml_number, version,
};
