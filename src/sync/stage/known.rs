//! The objects that a scope holds already, found by the text that they were read from.
//!
//! Collectors upload the whole of their scope again and again, and most of it is the same text as
//! the last time. With each object the store keeps its *spelling*, a digest of the text that it was
//! read from. A line whose spelling is known is an unchanged object and need not be read. All other
//! lines are read as usual. So this changes the work of an upload, never its result. Where the
//! result could change (a repeated line, a job that is held, a scope that another job changed
//! meanwhile), [`SyncError::Reread`] asks to read the upload again in full.
//!
//! [`SyncError::Reread`]: crate::sync::SyncError::Reread

use crate::graph::{IdHash, NameLookup, ObjectKind};
use crate::store::{IdentityEntry, Snapshot, StoreError};
use crate::sync::mode::SyncMode;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Apart from the seed of content digests, so that no content has the digest of a spelling.
const SPELLING: u64 = 0x7370_656c_6c69_6e67;

/// The digest of an object as it is written. It serves as the digest of its content too: equal
/// texts are equal objects. Texts of CROSS_SCOPE jobs have digests of their own, since that mode
/// asks more of a relationship than the others do.
pub fn source_digest(text: &[u8], mode: SyncMode, digest_seed: u64) -> u64 {
    let apart = if mode == SyncMode::CrossScope { !SPELLING } else { SPELLING };
    xxh3_64_with_seed(text, digest_seed ^ apart)
}

/// A slot of the table: a spelling, and the index of its identity times two, plus its kind. All is
/// in one place, since a look elsewhere in memory costs most.
#[derive(Clone, Copy, Debug)]
struct DigestSlot {
    spelling: u64,
    at: u32,
}

/// Marks an empty slot.
const FREE: u32 = u32::MAX;

/// The live objects of one scope by their spelling, and which of them an upload has named.
#[derive(Debug)]
pub struct KnownObjects {
    generation: u64,
    sides: [MarkedIdentities; 2],
    /// Open addressing.
    table: Vec<DigestSlot>,
    repeated: AtomicBool,
}

#[derive(Debug)]
struct MarkedIdentities {
    identities: Vec<IdentityEntry>,
    seen: Vec<AtomicBool>,
}

impl KnownObjects {
    /// Reads the objects of a scope. `None` if the upload has to be read anyway: nothing is live
    /// there, or entities have pins.
    pub fn read(snapshot: &Snapshot, scope: &str) -> Result<Option<KnownObjects>, StoreError> {
        let Some(number) = snapshot.name_number(scope) else { return Ok(None) };
        let Some(row) = snapshot.scope_row(number)? else { return Ok(None) };
        let live = row.count(ObjectKind::Entity).live + row.count(ObjectKind::Relationship).live;
        if live == 0 || live > u64::from(u32::MAX / 8) || snapshot.has_pins()? {
            return Ok(None);
        }
        let read = |kind| -> Result<MarkedIdentities, StoreError> {
            let mut identities = Vec::with_capacity(row.count(kind).live as usize);
            snapshot.for_each_identity(kind, number, |identity| identities.push(identity))?;
            let seen = std::iter::repeat_with(|| AtomicBool::new(false));
            Ok(MarkedIdentities { seen: seen.take(identities.len()).collect(), identities })
        };
        let sides = [read(ObjectKind::Entity)?, read(ObjectKind::Relationship)?];
        let free = DigestSlot { spelling: 0, at: FREE };
        // Half empty at least, so a search for an unknown line soon meets a free slot.
        let mut table = vec![free; (live as usize * 2).next_power_of_two()];
        let mask = table.len() - 1;
        for (kind, side) in sides.iter().enumerate() {
            for (i, identity) in side.identities.iter().enumerate().filter(|(_, i)| i.live) {
                let mut slot = identity.digest as usize & mask;
                while table[slot].at != FREE {
                    slot = (slot + 1) & mask;
                }
                table[slot] = DigestSlot { spelling: identity.digest, at: (i * 2 + kind) as u32 };
            }
        }
        let repeated = AtomicBool::new(false);
        Ok(Some(KnownObjects { generation: row.generation, sides, table, repeated }))
    }

    /// True if a live object is written like this; it then counts as uploaded.
    pub fn mark(&self, spelling: u64) -> bool {
        let mask = self.table.len() - 1;
        let mut slot = spelling as usize & mask;
        while self.table[slot].at != FREE {
            let found = self.table[slot];
            if found.spelling == spelling {
                let side = &self.sides[found.at as usize % 2];
                // Two lines with one spelling are a repeated key, which only a full reading can
                // report.
                if side.seen[found.at as usize / 2].swap(true, Ordering::Relaxed) {
                    self.repeated.store(true, Ordering::Relaxed);
                }
                return true;
            }
            slot = (slot + 1) & mask;
        }
        false
    }

    /// True if marked objects may be taken as unchanged: no line came twice, and the scope is at
    /// the generation that was read.
    pub(in crate::sync) fn holds(&self, generation: u64) -> bool {
        self.generation == generation && !self.repeated.load(Ordering::Relaxed)
    }

    /// The objects of a kind in a range of hashes, ascending, each with whether it was marked.
    pub(in crate::sync) fn identities(
        &self,
        kind: ObjectKind,
        range: RangeInclusive<IdHash>,
    ) -> impl Iterator<Item = (IdentityEntry, bool)> + '_ {
        let side = &self.sides[kind as usize];
        let start = side.identities.partition_point(|identity| identity.id < *range.start());
        let end = side.identities.partition_point(|identity| identity.id <= *range.end());
        let seen = side.seen[start..end].iter().map(|seen| seen.load(Ordering::Relaxed));
        side.identities[start..end].iter().copied().zip(seen)
    }
}
