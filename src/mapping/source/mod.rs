//! Source files: how rows become the entities and relationships of one scope.
//!
//! A source file is the sister of a mapping file, and one DIFF job. [`super::format`] lists its keys,
//! [`check`] reads what they mean, which yields a [`SourceFile`]; [`maker`] works out what rows make,
//! on all cores, and [`run`] puts it together; [`entities`] and [`relationships`] fold what is said twice
//! and hold it as [`record`]s of a [`record_log`]; [`resolved`] gives it as drafts;
//! [`examples`] and [`promises`] hold a file to its promises. Rows, paths, expressions and lookups are
//! those of mapping files. Nothing here knows of the store, and nothing is written.

mod account;
mod built_in;
mod check;
mod entities;
mod examples;
mod explanation;
mod guess;
mod guess_words;
mod in_order;
mod maker;
mod model;
mod own_entities;
mod promises;
mod properties;
mod record;
mod record_log;
mod relationships;
mod resolved;
mod run;
mod run_context;
mod settle;
mod values;

pub use account::{SourceCount, SourceOutcome, UnmatchedItem};
pub use built_in::{BUILT_IN_SOURCES, BuiltInSource, built_in_source, recognized_sources};
pub(super) use check::{check_source, is_source};
pub use explanation::ItemExplanation;
pub use guess::guess_source;
pub use model::{SourceFile, SourceGuard, SourceTest, SourceTestQuestion};
pub use resolved::{ResolvedSource, SourcePart};
