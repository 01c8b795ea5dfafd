//! Mapping files: TOML as written, checked, and turned into drafts of relationships.
//!
//! One file is one CROSS_SCOPE job. The raw type mirrors the file, the checked one is what the
//! program needs, and all failing happens between them. Nothing here knows of the store.

mod check;
mod data;
mod draft;
mod eval;
mod expr;
mod load;
mod project;
mod raw;
mod rows;
mod template;

pub use crate::lang::{Fault, Label, Patch, Severity, Source};
pub use check::{End, Guard, Mapping, Missing};
pub use draft::{DraftRows, MappedRow, Outcome, RowCount};
pub use load::{Loaded, load};
