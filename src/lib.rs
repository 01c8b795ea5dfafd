//! Tombolo: an embedded graph database of scoped entities.
//!
//! See `ARCHITECTURE.md` for the map. The floors, from the ground up: [`graph`] holds the values,
//! [`limits`] counts what a question costs,
//! [`store`] the file, [`lang`] the words that people write; [`rules`] what relationships mean; side by side, [`sync`] runs the jobs,
//! [`mapping`] turns files into relationships between scopes, [`query`] reads and runs J1QL and
//! [`view`] answers questions by walking; [`db`] is the facade with one method for each use case,
//! and [`answers`] gives the answer to each question as a typed value. [`demo`] makes up a small
//! company to try it on.

#![forbid(unsafe_code)]

pub mod answers;
pub mod db;
pub mod demo;
mod error;
pub mod graph;
pub mod lang;
pub mod limits;
pub mod mapping;
pub mod query;
pub mod rules;
pub mod store;
pub mod sync;
pub mod view;

pub use db::Database;
pub use error::{Error, ErrorKind};
