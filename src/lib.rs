//! Tombolo: an embedded graph database of scoped entities.
//!
//! See `ARCHITECTURE.md` for the map. The floors, from the ground up: [`graph`] holds the values.

pub mod graph;
pub mod mapping;
