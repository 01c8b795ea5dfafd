//! What `check`, `plan` and `apply` need of mapping files.

use super::failure::Failure;
use std::path::PathBuf;
use tombolo::db::MappingJob;
use tombolo::graph::DraftRelationship;
pub use tombolo::mapping::Mapping;
use tombolo::store::Snapshot;

/// The mapping files that were read.
pub struct Loaded {
    /// Those without an error.
    pub mappings: Vec<Mapping>,
    /// Everything that is wrong with the others, each with its place, ready to print.
    pub faults: Vec<String>,
    /// How many of the faults are errors.
    pub errors: u64,
    /// How many are warnings.
    pub warnings: u64,
}

/// A row that makes no relationship.
pub struct Unmatched {
    /// `file:line`.
    pub place: String,
    /// E.g. `missing to`.
    pub outcome: &'static str,
    /// Why.
    pub reason: String,
}

/// What became of the rows of a mapping.
pub struct Drafted {
    /// Rows read.
    pub read: u64,
    /// How each of them ended; the counts add up to `read`.
    pub rows: Vec<(&'static str, u64)>,
    /// The rows that make no relationship.
    pub unmatched: Vec<Unmatched>,
    /// The files that the rows came from, as drafts count them.
    pub inputs: Vec<String>,
}

/// Reads mapping files and folders of them.
pub fn load(paths: &[PathBuf]) -> Result<Loaded, Failure> {
    let _ = paths;
    Ok(Loaded { mappings: vec![], faults: vec![], errors: 0, warnings: 0 })
}

/// The scope of a mapping.
pub fn scope(mapping: &Mapping) -> String {
    mapping.scope.clone()
}

/// The file of a mapping.
pub fn file(mapping: &Mapping) -> String {
    mapping.file.clone()
}

/// Reads the rows of a mapping and finds both ends of each.
pub fn draft(
    mapping: &Mapping,
    snapshot: &Snapshot,
) -> Result<(Drafted, Vec<DraftRelationship<'static>>), Failure> {
    let _ = (mapping, snapshot);
    Ok((Drafted { read: 0, rows: vec![], unmatched: vec![], inputs: vec![] }, vec![]))
}

/// The job of a mapping.
pub fn job(mapping: &Mapping, drafted: &Drafted, allow_deletes: Option<u64>) -> MappingJob {
    MappingJob {
        scope: scope(mapping),
        file: file(mapping),
        inputs: drafted.inputs.clone(),
        same_scope_reject: false,
        allow_deletes,
    }
}
