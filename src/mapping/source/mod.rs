//! Source files: how rows become the entities and relationships of one scope.
//!
//! A source file is the sister of a mapping file, and one DIFF job. [`super::format`] lists its keys,
//! [`check`] reads what they mean, which yields a [`SourceFile`]; [`run`] takes the rows through it;
//! [`entities`] and [`relationships`] hold what the rows made and fold what is said twice;
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
mod model;
mod own_entities;
mod promises;
mod properties;
mod relationships;
mod run;
mod values;

pub use account::{SourceCount, SourceOutcome, UnmatchedItem};
pub use built_in::{BUILT_IN_SOURCES, BuiltInSource, built_in_source, recognized_sources};
pub(super) use check::{check_source, is_source};
pub use explanation::ItemExplanation;
pub use guess::guess_source;
pub use model::{SourceFile, SourceGuard, SourceTest, SourceTestQuestion};
pub use run::ResolvedSource;
