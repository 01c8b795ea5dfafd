//! What values mean, whichever language names them: how they compare, which texts are times, and which
//! are versions.

mod compare;
pub(crate) mod date;
mod nested;
mod plain_json;
pub(crate) mod version;

pub(crate) use compare::{
    ComparisonOp, SpellingCollation, ValueCollation, compare_numbers, compares, item_compares,
    items, spelled_number,
};
pub(crate) use nested::{LineIndex, NestedList, NestedObject, NestedValue, toml_number};
