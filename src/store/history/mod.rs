//! The past: with each change the file keeps what stood there before.
//!
//! A state of the past is the state of now under an *overlay*: for every object and every edge
//! that changed since, the oldest record after that state says what stood there. What did not
//! change since, and that is nearly everything, is read where it lies.
//!
//! ```text
//!   history   space u8 | group u32 | revision u64 | part u32   (big-endian)
//! ```
//!
//! Records lie by place first and by revision second, so that what happened to one object lies side
//! by side however many jobs ran since. A *group* is [`SPAN`] consecutive numbers. New objects have
//! no records: their numbers are not below the bound of the states before. Neither do their edges.
//!
//! `keys.rs` has the keys, `record.rs` the values, `recorder.rs` writes them with each commit,
//! `past.rs` reads a state, `changes.rs` what happened between two, `maintenance.rs` lets go of
//! what is old and follows bodies that move, `check.rs` proves it all.

mod changes;
mod check;
mod keys;
mod maintenance;
mod past;
mod record;
mod recorder;
#[cfg(test)]
mod tests;

pub use changes::{ObjectVersion, TouchedNumbers};
pub(super) use keys::HistorySpace;
pub use maintenance::ForgottenHistory;
pub use past::RevisionRecord;
pub(super) use past::{EdgeOverlay, PastOverlay};
pub(super) use recorder::{
    EdgeRecorder, HistoryRecorder, RecordedHead, encode_heads_by_group, first_revision,
};

/// Reads bytes as a row of each space, to its end; returns how many of them they could be.
pub(super) fn read_any(bytes: &[u8]) -> usize {
    let key = |space| keys::HistoryKey::first(space, 0, 1);
    HistorySpace::ALL.into_iter().filter(|space| check::makes_sense(key(*space), bytes)).count()
}

/// Numbers whose records lie together. Larger groups are read for nothing by questions about single
/// objects; smaller ones are rewritten for nothing by jobs that change a little everywhere.
pub const SPAN: u32 = 2048;
