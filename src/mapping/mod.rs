//! Mapping files: TOML as written, checked, and resolved against a graph into drafts of
//! relationships.
//!
//! One file is one CROSS_SCOPE job. [`format`] says which keys there are, [`check`] turns a file
//! into a [`Mapping`], [`Mapping::resolve`] reads its rows and finds the ends of each edge. The
//! graph is asked through [`MappingGraph`]: nothing here knows of the store, and nothing is written.

mod age;
mod candidates;
mod canonical_forms;
mod check;
mod conflict;
mod data;
mod ends;
mod eval;
mod example;
mod expr;
mod format;
mod function;
mod guard_checks;
mod index;
mod load;
mod model;
mod project;
mod resolve;
mod resolver;
mod row_counts;
mod row_explanation;
mod rows;
mod schema;
mod template;
mod tests_of_mapping;
mod toml_source;

pub use crate::lang::{Diagnostic, DiagnosticLabel, DiagnosticSeverity, SourceText, SuggestedEdit};
pub use age::{format_age, parse_age};
pub use candidates::{EndCandidate, EntityPresence, MappingGraph, PropertyProjection};
pub use ends::MatchAttempt;
pub use guard_checks::OVERRIDES;
pub use load::{LoadedFiles, load};
pub use model::{
    EndDefinition, EntitySelection, FreshnessLimit, Mapping, MappingGuard, MappingTest,
    TestExpectation,
};
pub use resolve::{ResolveError, ResolvedMapping};
pub use resolver::PAIRS_MAX;
pub use row_counts::{RowCount, RowOutcome, UNMATCHED_LISTED, UnmatchedRow};
pub use row_explanation::RowExplanation;
pub use rows::{YAML_VALUES_MAX, yaml_documents};
pub use schema::schema;
pub use tests_of_mapping::{TestOutcome, query_test_outcome};

/// The digest of a mapping file as jobs record it: XXH3-128 of its bytes, in hex.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}
