//! What values mean, whichever language names them: how they compare, which texts are times, and which
//! are versions.

mod compare;
pub(crate) mod date;
pub(crate) mod version;

pub(crate) use compare::{
    ComparisonOp, StrictCollation, ValueCollation, compare_numbers, compares, float, item_compares,
    items, spelled_number,
};
