//! Bodies: properties and raw data, in blocks that are only ever appended.
//!
//! A head names its block and slot. An update appends the new body and leaves the old one dead;
//! `compact` rewrites the blocks of a scope once half of what they hold is dead. Here is the packer, which
//! gathers records into blocks. How a block lies in the file is in `block.rs`.

mod block;
mod record;
mod text_area;
mod value_column;

pub use block::{ColumnBlock, encode};
pub use record::{read, write};
pub use value_column::RowCode;

use super::codec::put_bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

/// Size that blocks aim at: below one 64 KiB page of the engine by as much as blocks of like records
/// differ.
const TARGET: usize = 60_000;
/// Bytes of records beyond which a block is closed, whatever it takes in the file.
pub const RAW_MAX: usize = 640 << 10;
const RAW_MIN: usize = 48 << 10;
/// The same for the first block of an owner, before it is known what its records take.
const RAW_FIRST: usize = 256 << 10;
/// Records of a block at most, so that a few short ones are not read with too many others.
const SLOTS_MAX: u32 = 1 << 13;

/// Packs records into blocks; it keeps one open block for each owner. Several packers may pack
/// blocks of one owner at the same time, as all take block numbers from one counter.
#[derive(Default)]
pub struct BodyPacker {
    begun: BTreeMap<u32, OpenBlock>,
}

/// A block that is not full.
struct OpenBlock {
    block: u32,
    slot: u32,
    raw: Vec<u8>,
    limit: usize,
}

impl BodyPacker {
    /// Adds a record. Returns its place, and a block to store if one became full. `next` is the
    /// counter of block numbers of this owner.
    pub fn push(
        &mut self,
        owner: u32,
        record: &[u8],
        next: &AtomicU32,
    ) -> ((u32, u32), Option<PackedBlock>) {
        let begun = self.begun.entry(owner).or_insert_with(|| OpenBlock {
            block: 0,
            slot: 0,
            raw: Vec::new(),
            limit: RAW_FIRST,
        });
        // A record that is longer than the limit gets a block of its own.
        let full = !begun.raw.is_empty()
            && (begun.raw.len() + record.len() > begun.limit || begun.slot == SLOTS_MAX);
        let full = full.then(|| begun.end());
        // The number is taken with the first record, so an empty block never leaves a gap in the
        // numbers.
        if begun.raw.is_empty() {
            begun.block = next.fetch_add(1, Ordering::Relaxed);
        }
        put_bytes(&mut begun.raw, record);
        let place = (begun.block, begun.slot);
        begun.slot += 1;
        (place, full)
    }

    /// All open blocks, by owner.
    pub fn close(&mut self) -> Vec<(u32, PackedBlock)> {
        let begun = std::mem::take(&mut self.begun).into_iter();
        begun.map(|(owner, mut block)| (owner, block.end())).collect()
    }
}

impl OpenBlock {
    /// Returns the block as it is stored; then the next one can begin.
    fn end(&mut self) -> PackedBlock {
        let out = block::encode(&self.raw);
        // The next block of like records will take about as much for each byte.
        self.limit = (self.raw.len() * TARGET / out.len().max(1)).clamp(RAW_MIN, RAW_MAX);
        self.raw.clear();
        self.slot = 0;
        (self.block, out)
    }
}

/// A finished block with its number.
pub type PackedBlock = (u32, Vec<u8>);

#[cfg(test)]
mod tests;
