//! The identity table: for each scope, its objects by the hash of their `_id`, each with the digest
//! of its content and its number.
//!
//! Tiles (see `tiles.rs`) of the space `kind u8 | scope u32`, bounded by the hash, big-endian:
//!
//! ```text
//!   contents  n varint | column of n hashes | n * content digest u64
//!             | column of n (number times two, plus one for a tombstone)
//! ```
//!
//! The `_id` itself is not kept: it is made from scope and key, and these lie in the heads.

use super::codec::{ByteCursor, put_varint};
use super::column::{EncodedColumn, put_column};
use super::tiles::TileEntry;
use crate::graph::IdHash;

/// One object: the part that reconciling needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityEntry {
    /// Hash of its `_id`; in one scope and kind, each is there once.
    pub id: IdHash,
    /// Digest of the text that the object was last read from. If we put the object together
    /// ourselves: of its type, classes, ends, properties and raw data. It is keyed by a secret of
    /// the database. Equal digests mean equal contents, but equal contents may have different
    /// digests.
    pub digest: u64,
    /// Dense number.
    pub number: u32,
    /// False for a tombstone.
    pub live: bool,
}

/// All numbers are below this, as they are stored together with a bit.
pub const NUMBER_END: u32 = 1 << 31;

impl IdentityEntry {
    fn packed(&self) -> u64 {
        u64::from(self.number) * 2 + u64::from(!self.live)
    }
}

impl TileEntry<8> for IdentityEntry {
    const TABLE: &'static str = "identity";
    const FIXED: usize = 8;

    #[inline]
    fn at(&self) -> [u8; 8] {
        self.id.0.to_be_bytes()
    }

    #[inline]
    fn columns(&self) -> [u64; 4] {
        [self.id.0, self.packed(), 0, 0]
    }

    fn last(contents: &[u8]) -> Option<[u8; 8]> {
        let row = IdentityRow::parse(contents)?;
        Some(row.get(row.len.checked_sub(1)?).at())
    }

    fn encode(entries: &[IdentityEntry], out: &mut Vec<u8>) {
        put_varint(out, entries.len() as u64);
        let mut values: Vec<u64> = entries.iter().map(|entry| entry.id.0).collect();
        put_column(out, &values);
        entries.iter().for_each(|entry| out.extend_from_slice(&entry.digest.to_le_bytes()));
        values.clear();
        values.extend(entries.iter().map(IdentityEntry::packed));
        put_column(out, &values);
    }
}

/// The contents of a tile as they are stored.
#[derive(Clone, Copy)]
pub struct IdentityRow<'a> {
    len: usize,
    hashes: EncodedColumn<'a>,
    digests: &'a [[u8; 8]],
    numbers: EncodedColumn<'a>,
}

impl Default for IdentityRow<'_> {
    /// A tile without entries.
    fn default() -> Self {
        let nothing = EncodedColumn::Constant(0);
        IdentityRow { len: 0, hashes: nothing, digests: &[], numbers: nothing }
    }
}

impl<'a> IdentityRow<'a> {
    /// Finds the columns of a tile. `None` if it is damaged.
    pub fn parse(contents: &'a [u8]) -> Option<IdentityRow<'a>> {
        let mut cursor = ByteCursor(contents);
        let len = cursor.varint32()? as usize;
        let hashes = EncodedColumn::take(&mut cursor, len)?;
        let digests = cursor.take(len.checked_mul(8)?)?.as_chunks().0;
        let numbers = EncodedColumn::take(&mut cursor, len)?;
        cursor.0.is_empty().then_some(IdentityRow { len, hashes, digests, numbers })
    }

    fn get(&self, i: usize) -> IdentityEntry {
        let packed = self.numbers.get(i);
        IdentityEntry {
            id: IdHash(self.hashes.get(i)),
            digest: u64::from_le_bytes(self.digests[i]),
            number: (packed / 2) as u32,
            live: packed.is_multiple_of(2),
        }
    }

    /// All entries, in ascending order of their hashes.
    pub fn iter(self) -> impl Iterator<Item = IdentityEntry> + 'a {
        (0..self.len).map(move |i| self.get(i))
    }

    /// The entry with this hash.
    pub fn find(&self, id: IdHash) -> Option<IdentityEntry> {
        let at = self.hashes.first_from(self.len, id.0);
        (at < self.len && self.hashes.get(at) == id.0).then(|| self.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn identities_come_back_as_they_were(
            hashes in prop::collection::btree_set(any::<u64>(), 0..300),
            digest: u64,
            number in 0..NUMBER_END,
        ) {
            let entry = |(i, hash): (u32, u64)| IdentityEntry {
                id: IdHash(hash),
                digest: digest.wrapping_mul(u64::from(i) + 1),
                number: number ^ i,
                live: i % 3 > 0,
            };
            let entries: Vec<IdentityEntry> = (0..).zip(hashes).map(entry).collect();
            let mut bytes = Vec::new();
            IdentityEntry::encode(&entries, &mut bytes);
            let row = IdentityRow::parse(&bytes).expect("whole");
            prop_assert_eq!(row.iter().collect::<Vec<_>>(), &entries[..]);
            for entry in &entries {
                prop_assert_eq!(row.find(entry.id), Some(*entry));
                let next = IdHash(entry.id.0.wrapping_add(1));
                let known = entries.iter().find(|e| e.id == next).copied();
                prop_assert_eq!(row.find(next), known);
            }
        }

        #[test]
        fn rubbish_is_no_tile_and_no_panic(bytes: Vec<u8>) {
            if let Some(row) = IdentityRow::parse(&bytes) {
                let _ = (row.iter().last(), row.find(IdHash(7)));
            }
        }
    }
}
