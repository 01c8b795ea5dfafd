//! Partitions: the space of hashes in parts, and what goes through them.

use crate::graph::IdHash;
use crate::store::{ByteCursor, IdentityEntry, SpillRecord};
use std::ops::RangeInclusive;

/// Bytes that one kind of temporary records may take in memory. Tests spill and cut at once.
pub const HELD: usize = if cfg!(test) { 2 << 10 } else { 16 << 20 };

/// The space of hashes, cut into parts of equal size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashPartitions {
    bits: u32,
}

impl HashPartitions {
    /// As many parts as are needed to sort each in a processor's cache, within limits.
    pub fn of(records: u64) -> HashPartitions {
        /// Records of a part.
        const PART: u64 = if cfg!(test) { 8 } else { 16 << 10 };
        /// 256 parts: each has a buffer of its own.
        const BITS_MAX: u32 = 8;
        let bits = (records / PART).next_power_of_two().trailing_zeros();
        HashPartitions { bits: bits.min(BITS_MAX) }
    }

    /// The number of parts.
    pub fn count(self) -> usize {
        1 << self.bits
    }

    /// The part that a hash falls into.
    #[inline]
    pub fn part(self, id: IdHash) -> usize {
        // A single part would shift by all 64 bits, which Rust does not allow.
        id.0.checked_shr(64 - self.bits).unwrap_or(0) as usize
    }

    /// The hashes of a part.
    pub fn range(self, part: usize) -> RangeInclusive<IdHash> {
        let low = (part as u64).checked_shl(64 - self.bits).unwrap_or(0);
        let rest = u64::MAX.checked_shr(self.bits).unwrap_or(0);
        IdHash(low)..=IdHash(low | rest)
    }
}

/// The fields of a staged object that comparing needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComparisonKey {
    pub(super) id: IdHash,
    pub(super) spelling: u64,
    /// Position of the job in the plan.
    pub(super) job: u32,
    /// Position among all staged objects of the kind.
    pub(super) ordinal: u32,
}

impl ComparisonKey {
    /// A key to sort by job, hash and ordinal, as one number that is compared at once.
    pub(super) fn order(&self) -> u128 {
        u128::from(self.job) << 96 | u128::from(self.id.0) << 32 | u128::from(self.ordinal)
    }
}

impl SpillRecord for ComparisonKey {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.spelling.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.job.to_le_bytes());
        bytes[20..].copy_from_slice(&self.ordinal.to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    #[inline]
    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        Some(ComparisonKey {
            id: IdHash(c.u64()?),
            spelling: c.u64()?,
            job: c.u32()?,
            ordinal: c.u32()?,
        })
    }
}

/// The relation of an uploaded object to the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchKind {
    /// The stored one is a tombstone.
    Revive,
    /// Written in another way, perhaps with other contents.
    Change,
    /// Equal.
    Same,
}

/// An uploaded object that the graph holds already and that is to be looked at more closely.
#[derive(Clone, Copy, Debug)]
pub struct StoredMatch {
    /// Position among all staged objects of the kind.
    pub ordinal: u32,
    /// Its relation to the stored object.
    pub how: MatchKind,
    /// Number of the stored object.
    pub number: u32,
    /// Its digest.
    pub digest: u64,
}

impl SpillRecord for StoredMatch {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.how as u8);
        out.extend_from_slice(&self.ordinal.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        let how = match c.u8()? {
            0 => MatchKind::Revive,
            1 => MatchKind::Change,
            2 => MatchKind::Same,
            _ => return None,
        };
        Some(StoredMatch { how, ordinal: c.u32()?, number: c.u32()?, digest: c.u64()? })
    }
}

impl StoredMatch {
    /// The stored object, whose id has this hash.
    pub fn identity(&self, id: IdHash) -> IdentityEntry {
        let live = self.how != MatchKind::Revive;
        IdentityEntry { id, digest: self.digest, number: self.number, live }
    }
}

/// A set of positions.
#[derive(Default)]
pub struct BitSet(Vec<u64>);

impl BitSet {
    pub(super) fn new(len: u32) -> BitSet {
        BitSet(vec![0; (len as usize).div_ceil(64)])
    }

    pub(super) fn set(&mut self, at: u32) {
        self.0[at as usize / 64] |= 1 << (at % 64);
    }

    /// True if a position is in the set.
    #[inline]
    pub fn get(&self, at: u32) -> bool {
        self.0[at as usize / 64] >> (at % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_hashes_once() {
        for records in [0, 1, 40, 40_000, 200_000, 1 << 40] {
            let parts = HashPartitions::of(records);
            let mut next = Some(0);
            for part in 0..parts.count() {
                let range = parts.range(part);
                assert_eq!(Some(range.start().0), next);
                assert_eq!((parts.part(*range.start()), parts.part(*range.end())), (part, part));
                next = range.end().0.checked_add(1);
            }
            assert_eq!(next, None);
        }
    }
}
