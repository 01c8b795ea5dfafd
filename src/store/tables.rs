//! Every table of the database file, on one page. `docs/file-format.md` draws them byte by byte.
//!
//! Integers inside keys are big-endian, so byte order is number order.
//!
//! ```text
//!   table       key                                   value (sealed, see codec.rs)
//!   meta        "meta"                                counters and the digest secret
//!   names       chunk u32                             256 names each, see names.rs
//!   name_numbers  text of a name                      its number
//!   words       chunk u32                             names of scopes, types, classes and verbs
//!   labels      chunk u32                             256 labels of relationships each, see labels.rs
//!   scopes      name number u32                       counts, generation, guard
//!   identity    kind u8 | scope u32 | lower bound u64 hashes, digests and numbers, see identity.rs
//!   heads       kind u8 | chunk u32                   fixed facts by number, see heads.rs
//!   bodies      kind u8 | scope u32 | block u32       properties, see body.rs
//!   adjacency   direction u8 | lower bound 16 bytes   edges, see segment.rs and edges.rs
//!   jobs        sequence number u32                   job id, source and report
//!   deletions   job sequence u32 | kind u8            numbers that the job deleted, for undo
//!   pins        scope u32 | hash of the entity id u64 properties pinned by OVERRIDE
//!   history     space u8 | group u32 | revision u64 | part u32   what was there before, see history/
//!   access      "access"                              who may call a server, see access.rs
//! ```

use crate::graph::{EdgeDirection, IdHash, ObjectKind};
use redb::TableDefinition;

/// All tables have keys and values of bytes: the encodings are ours, not the engine's.
pub type ByteTableDefinition = TableDefinition<'static, StoredBytes, StoredBytes>;

/// A key or a value: bytes.
pub type StoredBytes = &'static [u8];

pub const META: ByteTableDefinition = TableDefinition::new("meta");
pub const NAMES: ByteTableDefinition = TableDefinition::new("names");
pub const NAME_NUMBERS: ByteTableDefinition = TableDefinition::new("name_numbers");
pub const WORDS: ByteTableDefinition = TableDefinition::new("words");
pub const LABELS: ByteTableDefinition = TableDefinition::new("labels");
pub const SCOPES: ByteTableDefinition = TableDefinition::new("scopes");
pub const IDENTITY: ByteTableDefinition = TableDefinition::new("identity");
pub const HEADS: ByteTableDefinition = TableDefinition::new("heads");
pub const BODIES: ByteTableDefinition = TableDefinition::new("bodies");
pub const ADJACENCY: ByteTableDefinition = TableDefinition::new("adjacency");
pub const JOBS: ByteTableDefinition = TableDefinition::new("jobs");
pub const DELETIONS: ByteTableDefinition = TableDefinition::new("deletions");
pub const PINS: ByteTableDefinition = TableDefinition::new("pins");
pub const HISTORY: ByteTableDefinition = TableDefinition::new("history");
/// Made with its row, so a file has it only if somebody once made a token.
pub const ACCESS: ByteTableDefinition = TableDefinition::new("access");

/// The names of all tables, in the order in which they are created and checked.
pub const ALL: [ByteTableDefinition; 14] = [
    META,
    NAMES,
    NAME_NUMBERS,
    WORDS,
    LABELS,
    SCOPES,
    IDENTITY,
    HEADS,
    BODIES,
    ADJACENCY,
    JOBS,
    DELETIONS,
    PINS,
    HISTORY,
];

/// The name of one of [`ALL`].
pub fn name(definition: ByteTableDefinition) -> &'static str {
    const NAMES: [&str; ALL.len()] = [
        "meta",
        "names",
        "name_numbers",
        "words",
        "labels",
        "scopes",
        "identity",
        "heads",
        "bodies",
        "adjacency",
        "jobs",
        "deletions",
        "pins",
        "history",
    ];
    let named = |name: &&&str| **name == redb::TableHandle::name(&definition);
    NAMES.iter().find(named).expect("BUG: all tables have names")
}

/// The only key of `meta`.
pub const META_KEY: &[u8] = b"meta";

/// Key of a value that reserves room in a new file: the file ends with it, at a power of two of
/// pages. The first commit after the creation removes it.
///
/// The engine doubles a full file, but first fills it up to a power of two. A file that began with
/// a power of two has all the room that a first load leaves free at its end, where it can be given
/// back.
pub const ROOM_KEY: &[u8] = b"room";

/// Bytes of that value: 32 pages of 4 KiB, in a page of its own behind the first 32 pages.
pub const ROOM: usize = 130_000;

/// Key of a row in a table that is numbered in one sequence.
pub fn number_key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// Key of a chunk of heads.
pub fn head_key(kind: ObjectKind, chunk: u32) -> [u8; 5] {
    let [a, b, c, d] = chunk.to_be_bytes();
    [kind as u8, a, b, c, d]
}

/// Key of a block of bodies.
pub fn body_key(kind: ObjectKind, scope: u32, block: u32) -> [u8; 9] {
    let mut key = [kind as u8; 9];
    key[1..5].copy_from_slice(&scope.to_be_bytes());
    key[5..].copy_from_slice(&block.to_be_bytes());
    key
}

/// Key of the list of the objects that a job deleted.
pub fn deletion_key(job: u32, kind: ObjectKind) -> [u8; 5] {
    let [a, b, c, d] = job.to_be_bytes();
    [a, b, c, d, kind as u8]
}

/// The space of the identities of one kind in one scope.
pub fn identity_space(kind: ObjectKind, scope: u32) -> [u8; 5] {
    head_key(kind, scope)
}

/// The space of the edges in one direction: the base.
pub fn base_space(direction: EdgeDirection) -> [u8; 1] {
    [direction as u8]
}

/// The space of the changes since the base was written: the delta.
pub fn delta_space(direction: EdgeDirection) -> [u8; 1] {
    [direction as u8 | 0x80]
}

/// Key of the pinned properties of an entity.
pub fn pin_key(scope: u32, id: IdHash) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&scope.to_be_bytes());
    key[4..].copy_from_slice(&id.0.to_be_bytes());
    key
}
