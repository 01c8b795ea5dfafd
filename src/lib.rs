//! Tombolo: an embedded graph database of scoped entities.
//!
//! See `ARCHITECTURE.md` for the map. The floors, from the ground up: [`graph`] holds the values,
//! [`store`] the file, [`sync`] the jobs.

pub mod demo;
pub mod graph;
pub mod store;
pub mod sync;
