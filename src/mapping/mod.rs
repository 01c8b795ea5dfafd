//! Mapping files: TOML as written, checked, and resolved against a graph into drafts of
//! relationships.
//!
//! One file is one CROSS_SCOPE job. Each folder answers one question: [`format`], which keys there
//! are and how they stand in the file; [`validate`], what they mean together, which yields a
//! [`Mapping`]; [`rows`], where rows come from; [`resolve`], which entities a row links and what
//! becomes of each row; [`explain`], why; [`promise`], what the file says must hold. [`source`] does
//! all of this for source files, which make entities of one scope. The graph is
//! asked through [`MappingGraph`]: nothing here knows of the store, and nothing is written.

mod entity_selection;
mod explain;
mod expression;
mod format;
mod load;
mod model;
mod promise;
mod resolve;
mod rows;
mod source;
mod validate;

pub use crate::lang::{Diagnostic, DiagnosticLabel, DiagnosticSeverity, SourceText, SuggestedEdit};
pub use entity_selection::EntitySelection;
pub use explain::RowExplanation;
pub use format::{format_age, parse_age, schema, source_schema};
pub use load::{LoadedFiles, load, load_built_in, load_text};
pub use model::{
    EndDefinition, FreshnessLimit, Mapping, MappingGuard, MappingTest, TestExpectation,
    TestOffender, TestOutcome,
};
pub use promise::{OVERRIDES, query_test_outcome};
pub use resolve::{
    EndCandidate, EntityPresence, MappingGraph, MatchAttempt, PAIRS_MAX, PropertyProjection,
    ResolveError, ResolvedMapping, RowCount, RowOutcome, UNMATCHED_LISTED, UndefinedProperty,
    UnmatchedRow,
};
pub use rows::{YAML_VALUES_MAX, yaml_documents};
pub use source::{
    BUILT_IN_SOURCES, BuiltInSource, ItemExplanation, ResolvedSource, SourceCount, SourceFile,
    SourceGuard, SourceOutcome, SourcePart, SourceTest, SourceTestQuestion, UnmatchedItem,
    built_in_source, guess_source, recognized_sources,
};

/// The digest of a mapping file as jobs record it: XXH3-128 of its bytes, in hex.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}
