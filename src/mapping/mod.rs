//! Mapping files: TOML as written, checked, and resolved against a graph into drafts of
//! relationships.
//!
//! One file is one CROSS_SCOPE job. [`format`] says which keys there are, [`check`] turns a file
//! into a [`Mapping`], [`Mapping::resolve`] reads its rows and finds the ends of each edge. The
//! graph is asked through [`MappingGraph`]: nothing here knows of the store, and nothing is written.

mod account;
mod age;
mod candidates;
mod check;
mod conflict;
mod data;
mod ends;
mod eval;
mod example;
mod expr;
mod format;
mod forms;
mod function;
mod index;
mod load;
mod model;
mod project;
mod promise;
mod raw;
mod refusal;
mod resolve;
mod resolver;
mod rows;
mod schema;
mod story;
mod template;

pub use crate::lang::{Fault, Label, Patch, Severity, Source};
pub use account::{Bucket, RowCount, UNMATCHED_LISTED, Unmatched};
pub use age::{humane, parse_age};
pub use candidates::{Candidate, MappingGraph, Wanted, Whereabouts};
pub use ends::Try;
pub use load::{Loaded, load};
pub use model::{Ask, End, Fresh, Guard, Mapping, Promise, Selection};
pub use promise::{Kept, asked};
pub use refusal::OVERRIDES;
pub use resolve::{ResolveError, Resolved};
pub use resolver::PAIRS_MAX;
pub use rows::{YAML_VALUES_MAX, yaml_documents};
pub use schema::schema;
pub use story::Story;

/// The digest of a mapping file as jobs record it: XXH3-128 of its bytes, in hex.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}
