//! The reasons behind an outcome: one row step by step, and the examples of a file, which are unit
//! tests of its conditions. Nothing is decided here; [`super::resolve`] is run on little.

mod example;
mod row_explanation;

pub use row_explanation::RowExplanation;
