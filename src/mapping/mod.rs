//! Mapping files: TOML as written, checked, and turned into drafts of relationships.
//!
//! One file is one CROSS_SCOPE job. The raw type mirrors the file, the checked one is what the
//! program needs, and all failing happens between them. Nothing here knows of the store.

mod data;
mod eval;
mod expr;
mod fault;
mod lex;
mod project;
mod raw;
mod template;

pub use fault::{Fault, Label, Patch, Severity, Source};
