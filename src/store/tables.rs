//! Every table of the database file, on one page. `docs/file-format.md` draws them byte by byte.
//!
//! Integers inside keys are big-endian, so byte order is number order.
//!
//! ```text
//!   table       key                                   value (sealed, see codec.rs)
//!   meta        "meta"                                counters and the digest secret
//!   names       chunk u32                             256 names each: scopes, types, classes, properties
//!   labels      chunk u32                             256 labels of relationships each, see labels.rs
//!   scopes      name number u32                       counts, generation, guard
//!   identity    kind u8 | scope u32 | lower bound u64 hashes, digests and numbers, see identity.rs
//!   heads       kind u8 | chunk u32                   fixed facts by number, see heads.rs
//!   bodies      kind u8 | scope u32 | block u32       properties, see body.rs
//!   adjacency   direction u8 | lower bound 16 bytes   edges, see segment.rs and edges.rs
//!   jobs        sequence number u32                   job id, source and report
//!   deletions   job sequence u32 | kind u8            numbers that the job deleted, for undo
//!   pins        scope u32 | hash of the entity id u64 properties pinned by OVERRIDE
//!   access      "access"                              who may call a server, see access.rs
//! ```

use crate::graph::{Direction, IdHash, Kind};
use redb::TableDefinition;

/// All tables have keys and values of bytes: the encodings are ours, not the engine's.
pub type Definition = TableDefinition<'static, Bytes, Bytes>;

/// What keys and values are.
pub type Bytes = &'static [u8];

pub const META: Definition = TableDefinition::new("meta");
pub const NAMES: Definition = TableDefinition::new("names");
pub const LABELS: Definition = TableDefinition::new("labels");
pub const SCOPES: Definition = TableDefinition::new("scopes");
pub const IDENTITY: Definition = TableDefinition::new("identity");
pub const HEADS: Definition = TableDefinition::new("heads");
pub const BODIES: Definition = TableDefinition::new("bodies");
pub const ADJACENCY: Definition = TableDefinition::new("adjacency");
pub const JOBS: Definition = TableDefinition::new("jobs");
pub const DELETIONS: Definition = TableDefinition::new("deletions");
pub const PINS: Definition = TableDefinition::new("pins");
/// Made with its row, so files of which nobody ever made a token have none.
pub const ACCESS: Definition = TableDefinition::new("access");

/// The names of the tables that every file has, in the order in which they are created and checked.
pub const ALL: [Definition; 11] =
    [META, NAMES, LABELS, SCOPES, IDENTITY, HEADS, BODIES, ADJACENCY, JOBS, DELETIONS, PINS];

/// The only key of `meta`.
pub const META_KEY: &[u8] = b"meta";

/// Key of what keeps room in a new file: it ends where the file ends, at a power of two of pages,
/// and goes with the first commit.
///
/// The engine doubles a file that is full, and fills what does not make up a power of two first. A
/// file that began as one has all that a first load leaves free at its end, where it is given back.
pub const ROOM_KEY: &[u8] = b"room";

/// Length of that value: 32 pages of 4 KiB, in their own page of the engine behind the 32 before.
pub const ROOM: usize = 130_000;

/// Key of the tables that are numbered in one sequence.
pub fn number_key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Key of a chunk of heads.
pub fn head_key(kind: Kind, chunk: u32) -> [u8; 5] {
    let [a, b, c, d] = chunk.to_be_bytes();
    [kind as u8, a, b, c, d]
}

/// Key of a block of bodies.
pub fn body_key(kind: Kind, scope: u32, block: u32) -> [u8; 9] {
    let mut key = [kind as u8; 9];
    key[1..5].copy_from_slice(&scope.to_be_bytes());
    key[5..].copy_from_slice(&block.to_be_bytes());
    key
}

/// Key of the list of what a job deleted.
pub fn deletion_key(job: u32, kind: Kind) -> [u8; 5] {
    let [a, b, c, d] = job.to_be_bytes();
    [a, b, c, d, kind as u8]
}

/// The space of the identities of one kind in one scope.
pub fn identity_space(kind: Kind, scope: u32) -> [u8; 5] {
    head_key(kind, scope)
}

/// The space of the edges in one direction: the base.
pub fn base_space(direction: Direction) -> [u8; 1] {
    [direction as u8]
}

/// The space of what has changed since the base was written: the delta.
pub fn delta_space(direction: Direction) -> [u8; 1] {
    [direction as u8 | 0x80]
}

/// Key of the pinned properties of an entity.
pub fn pin_key(scope: u32, id: IdHash) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&scope.to_be_bytes());
    key[4..].copy_from_slice(&id.0.to_be_bytes());
    key
}
