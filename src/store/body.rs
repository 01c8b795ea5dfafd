//! Bodies: properties and raw data, in compressed blocks that are only ever appended.
//!
//! ```text
//!   block   raw length u32 | zstd of the records
//!   record  length varint | count varint | count * (name number varint, value) | raw data text
//! ```
//!
//! A head names its block and slot. An update appends a new record and leaves the old one dead;
//! `compact` rewrites the blocks of a scope once half of what they hold is dead.

use super::codec::{
    ByteCursor, declares_unpacked_len, put_bytes, put_varint, skip_value, take_value,
};
use crate::graph::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

/// Compressed size that blocks aim at: just below one 64 KiB page of the engine.
const TARGET: usize = 63_000;
/// Raw size beyond which a block is closed, whatever it compresses to, so that reading one record
/// stays below a fraction of a millisecond.
pub const RAW_MAX: usize = 288 << 10;
const RAW_MIN: usize = 48 << 10;
/// Level 1: five times faster than level 3 for a tenth more space on such records.
const LEVEL: i32 = 1;

/// Packs records into blocks; it keeps one open block for each owner. Several packers may pack
/// blocks of one owner at the same time, as all take block numbers from one counter.
#[derive(Default)]
pub struct BodyPacker {
    begun: BTreeMap<u32, OpenBlock>,
    compressor: BlockCompressor,
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
            raw: Vec::with_capacity(RAW_MAX),
            limit: 128 << 10,
        });
        // A record that is longer than the limit gets a block of its own.
        let full = !begun.raw.is_empty() && begun.raw.len() + record.len() > begun.limit;
        let full = full.then(|| begun.end(&mut self.compressor));
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
        begun.map(|(owner, mut block)| (owner, block.end(&mut self.compressor))).collect()
    }
}

impl OpenBlock {
    /// Returns the block as it is stored; then the next one can begin.
    fn end(&mut self, compressor: &mut BlockCompressor) -> PackedBlock {
        let packed = compressor.compress(&self.raw);
        let mut out = Vec::with_capacity(4 + packed.len());
        out.extend_from_slice(&(self.raw.len() as u32).to_le_bytes());
        out.extend_from_slice(packed);
        // The next block of like records will compress alike.
        self.limit = (self.raw.len() * TARGET / packed.len().max(1)).clamp(RAW_MIN, RAW_MAX);
        self.raw.clear();
        self.slot = 0;
        (self.block, out)
    }
}

/// Compresses one block after the other in the same memory: its tables are larger than a block.
#[derive(Default)]
struct BlockCompressor {
    context: Option<zstd::bulk::Compressor<'static>>,
    packed: Vec<u8>,
}

impl BlockCompressor {
    fn compress(&mut self, raw: &[u8]) -> &[u8] {
        let new = || zstd::bulk::Compressor::new(LEVEL).expect("BUG: zstd knows this level");
        let context = self.context.get_or_insert_with(new);
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        let written = context.compress_to_buffer(raw, &mut self.packed);
        written.expect("BUG: zstd compresses any bytes");
        &self.packed
    }
}

/// A finished block with its number.
pub type PackedBlock = (u32, Vec<u8>);

/// Bytes of the longest block. A single record can exceed the usual size of a block, but never the
/// size of an upload.
const RAW_END: usize = 64 << 20;

/// Buffers of blocks that are kept for later blocks.
const SPARE_MAX: usize = 2;

/// Unpacks blocks, one after the other in the same memory: touching fresh pages of memory costs as
/// much as unpacking.
#[derive(Default)]
pub struct BlockUnpacker {
    context: Option<zstd::bulk::Decompressor<'static>>,
    spare: Vec<Vec<u8>>,
}

impl BlockUnpacker {
    /// The records of a block. `None` if it is damaged.
    pub fn unpack(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut cursor = ByteCursor(payload);
        let len = cursor.u32()? as usize;
        // A damaged length must not make room for gigabytes.
        if len > RAW_END || !declares_unpacked_len(cursor.0, len) {
            return None;
        }
        if self.context.is_none() {
            self.context = Some(zstd::bulk::Decompressor::new().ok()?);
        }
        let mut raw = self.spare.pop().unwrap_or_default();
        raw.clear();
        raw.reserve_exact(len);
        let written = self.context.as_mut()?.decompress_to_buffer(cursor.0, &mut raw).ok()?;
        (written == len && raw.len() == len).then_some(raw)
    }

    /// Takes back the memory of a block, for a later one.
    pub fn give_back(&mut self, raw: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(raw);
        }
    }
}

/// The start of each record of an unpacked block, by slot. `None` if the block is damaged.
pub fn starts(raw: &[u8]) -> Option<Vec<u32>> {
    let mut cursor = ByteCursor(raw);
    let mut starts = Vec::new();
    while !cursor.0.is_empty() {
        starts.push((raw.len() - cursor.0.len()) as u32);
        cursor.bytes()?;
    }
    Some(starts)
}

/// The record that starts at `start` of an unpacked block.
pub fn record(raw: &[u8], start: u32) -> Option<&[u8]> {
    ByteCursor(raw.get(start as usize..)?).bytes()
}

/// Properties by name number, in the order stored, and raw data.
pub type DecodedBody<'a> = (Vec<(u32, Value<'a>)>, Option<&'a str>);

/// Reads a record. `None` if it is damaged.
pub fn read(record: &[u8]) -> Option<DecodedBody<'_>> {
    let mut cursor = ByteCursor(record);
    let mut properties = Vec::new();
    for _ in 0..cursor.varint()? {
        properties.push((cursor.varint32()?, take_value(&mut cursor)?));
    }
    let raw = std::str::from_utf8(cursor.0).ok()?;
    Some((properties, (!raw.is_empty()).then_some(raw)))
}

/// The property of this name number in a record; the others are stepped over. The inner `None`
/// means that there is no such property, the outer one that the record is damaged.
pub fn find(record: &[u8], name: u32) -> Option<Option<Value<'_>>> {
    let mut cursor = ByteCursor(record);
    for _ in 0..cursor.varint()? {
        if cursor.varint32()? == name {
            return Some(Some(take_value(&mut cursor)?));
        }
        skip_value(&mut cursor)?;
    }
    Some(None)
}

/// Calls `visit` with the name numbers of the properties in a record. `None` if it is damaged.
pub fn for_each_name(record: &[u8], mut visit: impl FnMut(u32)) -> Option<()> {
    let mut cursor = ByteCursor(record);
    for _ in 0..cursor.varint()? {
        visit(cursor.varint32()?);
        skip_value(&mut cursor)?;
    }
    Some(())
}

/// Calls `visit` with each text or number that a record has, alone or in a list, under one of these
/// name numbers. A number is given as it is written. `None` if the record is damaged.
pub fn texts(record: &[u8], names: &[u32], mut visit: impl FnMut(u32, &str)) -> Option<()> {
    let mut cursor = ByteCursor(record);
    for _ in 0..cursor.varint()? {
        let name = cursor.varint32()?;
        if !names.contains(&name) {
            skip_value(&mut cursor)?;
            continue;
        }
        let mut tell = |value: &Value<'_>| match value.as_str() {
            Some(text) => visit(name, text),
            None => value.spelling().into_iter().for_each(|text| visit(name, &text)),
        };
        match take_value(&mut cursor)? {
            Value::List(items) => items.iter().for_each(tell),
            one => tell(&one),
        }
    }
    Some(())
}

/// Writes a record: properties by name number, each value already encoded.
pub fn write<'a>(
    out: &mut Vec<u8>,
    count: usize,
    properties: impl Iterator<Item = (u32, &'a [u8])>,
    raw_data: Option<&str>,
) {
    put_varint(out, count as u64);
    for (name, value) in properties {
        put_varint(out, name.into());
        out.extend_from_slice(value);
    }
    out.extend_from_slice(raw_data.unwrap_or("").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_by_owner_block_and_slot() {
        let mut packer = BodyPacker::default();
        let next = [7, 70].map(AtomicU32::new);
        let mut blocks = BTreeMap::new();
        let mut places = Vec::new();
        for i in 0..10_000u32 {
            let owner = u32::from(i % 3 == 0);
            let text = format!("record {i} {}", "x".repeat(60));
            let (place, full) = packer.push(owner, text.as_bytes(), &next[owner as usize]);
            places.push((owner, place));
            blocks.extend(full.map(|(block, payload)| ((owner, block), payload)));
        }
        let last = packer.close();
        assert_eq!(last.iter().map(|(owner, _)| *owner).collect::<Vec<_>>(), [0, 1]);
        blocks.extend(last.into_iter().map(|(owner, (block, payload))| ((owner, block), payload)));
        assert!(packer.close().is_empty());
        let numbers = |owner: u32, first: u32, next: u32| (first..next).map(move |b| (owner, b));
        let [first, second] = next.map(AtomicU32::into_inner);
        assert!(first > 8 && second > 71, "several blocks each");
        assert!(blocks.keys().copied().eq(numbers(0, 7, first).chain(numbers(1, 70, second))));
        let mut unpacker = BlockUnpacker::default();
        for (i, (owner, (block, slot))) in places.into_iter().enumerate() {
            let raw = unpacker.unpack(&blocks[&(owner, block)]).expect("whole");
            let start = starts(&raw).expect("whole")[slot as usize];
            let text = record(&raw, start).expect("there");
            assert!(text.starts_with(format!("record {i} ").as_bytes()));
            unpacker.give_back(raw);
        }
    }
}
