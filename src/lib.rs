//! Tombolo: an embedded graph database of scoped entities.
//!
//! See `ARCHITECTURE.md` for the map. The floors, from the ground up: [`graph`] holds the values,
//! [`store`] the file; side by side, [`sync`] runs the jobs and [`view`] answers questions by
//! walking; [`db`] is the facade with one method for each use case.

pub mod db;
pub mod demo;
mod error;
pub mod graph;
pub mod store;
pub mod sync;
pub mod view;

pub use db::Database;
pub use error::Error;
