//! The identity table: for each scope, its objects by `_id` with the digest of their content.
//!
//! ```text
//!   key    kind u8 | scope u32 | lower bound of the ids in this row, 16 bytes
//!   value  upper bound, 16 bytes (all 0xFF: none) | entries
//!   entry  id 16 bytes | content digest u64 | number u32, top bit set for a tombstone
//! ```
//!
//! The rows of a scope tile the space of ids without a gap: the upper bound of a row is the key of
//! the next. So a search that lands in the wrong row, or misses one that is lost, is noticed.

use crate::graph::ObjectId;

/// One object: what reconciling needs to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `_id`.
    pub id: ObjectId,
    /// Digest of the text that the object was last read from or, where it was put together by us,
    /// of its type, classes, ends, properties and raw data; keyed by a secret of the database. Equal
    /// digests are equal contents, but not the other way round.
    pub digest: u64,
    /// Dense number.
    pub number: u32,
    /// False for a tombstone.
    pub live: bool,
}

const ENTRY: usize = 28;
const DELETED: u32 = 1 << 31;

/// Numbers are below this, since the top bit marks tombstones.
pub const NUMBER_END: u32 = DELETED;

/// Entries a row is filled with at most. 2,300 entries are 64,400 bytes: one 64 KiB page of the
/// engine with room for its header.
pub const ROW_MAX: usize = 2_300;

/// The upper bound that stands for "no bound".
pub const UNBOUNDED: [u8; 16] = [0xFF; 16];

/// Writes a row.
pub fn encode(upper: &[u8; 16], entries: &[Identity]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + entries.len() * ENTRY + 5);
    out.extend_from_slice(upper);
    for entry in entries {
        out.extend_from_slice(&entry.id.0);
        out.extend_from_slice(&entry.digest.to_le_bytes());
        let number = entry.number | if entry.live { 0 } else { DELETED };
        out.extend_from_slice(&number.to_le_bytes());
    }
    out
}

/// A row as it lies in the file.
#[derive(Clone, Copy)]
pub struct IdentityRow<'a> {
    /// Every id in the row is below this, unless it is [`UNBOUNDED`].
    pub upper: [u8; 16],
    entries: &'a [u8],
}

impl<'a> IdentityRow<'a> {
    /// Reads a row. `None` if it is damaged.
    pub fn parse(payload: &'a [u8]) -> Option<IdentityRow<'a>> {
        let (upper, entries) = payload.split_first_chunk::<16>()?;
        (entries.len() % ENTRY == 0).then_some(IdentityRow { upper: *upper, entries })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len() / ENTRY
    }

    /// The entry at `i`.
    pub fn get(&self, i: usize) -> Identity {
        let bytes = &self.entries[i * ENTRY..(i + 1) * ENTRY];
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[..16]);
        let mut digest = [0; 8];
        digest.copy_from_slice(&bytes[16..24]);
        let mut number = [0; 4];
        number.copy_from_slice(&bytes[24..]);
        let number = u32::from_le_bytes(number);
        Identity {
            id: ObjectId(id),
            digest: u64::from_le_bytes(digest),
            number: number & !DELETED,
            live: number & DELETED == 0,
        }
    }

    /// All entries, in ascending order of id.
    pub fn iter(self) -> impl Iterator<Item = Identity> + 'a {
        (0..self.len()).map(move |i| self.get(i))
    }

    /// The entry of `id`.
    pub fn find(&self, id: ObjectId) -> Option<Identity> {
        let (mut lo, mut hi) = (0, self.len());
        while lo < hi {
            let mid = (lo + hi) / 2;
            let entry = self.get(mid);
            match entry.id.cmp(&id) {
                std::cmp::Ordering::Equal => return Some(entry),
                std::cmp::Ordering::Less => lo = mid + 1,
                std::cmp::Ordering::Greater => hi = mid,
            }
        }
        None
    }
}
