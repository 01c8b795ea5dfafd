//! Staging: from rows to the uploads of jobs, checked against their modes and packed in batches.
//!
//! A row comes from `read/`, a draft from a mapping; both leave as records of a batch. What needs
//! the graph is not asked here, but for `known.rs`: the lines that a scope holds already are passed
//! over.

mod batch;
mod fast_path;
mod intake;
mod known;
mod record;
mod rows;
mod rules;
mod uploads;

pub use batch::BatchBuilder;
pub use intake::read_inputs;
pub use known::KnownObjects;
pub(super) use record::{NameNumbers, begin_record, put_entity_head};
pub use record::{StagedRecord, content_digest};
pub use rows::read_rows;
pub(super) use rows::repeated;
pub use rules::BatchRules;
pub use uploads::{JobInput, StagedUploads};
