//! Areas: values of any length, one after the other, that can be read one by one.
//!
//! ```text
//!   area    texts u8 | column of n lengths | frames varint | bytes
//!           or, if there are frames: frames * (values varint, packed length varint) | frames
//!   value   its UTF-8 bytes if all values are texts, else the value as records have it
//! ```
//!
//! Bytes that become a tenth shorter are compressed in frames. A frame ends with a value, so one
//! value is read by unpacking one frame.

use crate::graph::Value;
use crate::store::codec::{ByteCursor, TEXT, declares_unpacked_len, put_varint, take_value};
use crate::store::column::{EncodedColumn, put_column};
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::ops::Range;

/// Level 1: five times faster than level 3 for a tenth more space on such texts.
const LEVEL: i32 = 1;

/// Bytes below which nothing is compressed: a frame has a header of its own.
const PLAIN_MAX: usize = 200;

/// Bytes of all values of an area. A single one can be as long as an upload, never longer.
const BYTES_END: usize = 64 << 20;

thread_local! {
    // The tables of both are larger than a frame, so they are made once.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
}

/// The text of an encoded value, if it is one.
pub(super) fn text_of(value: &[u8]) -> Option<&[u8]> {
    let (&TEXT, rest) = value.split_first()? else { return None };
    ByteCursor(rest).bytes()
}

/// Appends an area of encoded values, in frames of about `frame` bytes. Returns the bytes of memory
/// that its reader takes at most.
pub(super) fn put_area(out: &mut Vec<u8>, values: &[&[u8]], frame: usize) -> usize {
    let texts: Option<Vec<&[u8]>> = values.iter().map(|value| text_of(value)).collect();
    out.push(texts.is_some().into());
    let values = texts.as_deref().unwrap_or(values);
    let lengths: Vec<u64> = values.iter().map(|value| value.len() as u64).collect();
    put_column(out, &lengths);
    let raw = values.concat();
    let table = values.len() * size_of::<u32>();
    if raw.len() > PLAIN_MAX {
        let frames = compress(&raw, values, frame);
        let packed: usize = frames.iter().map(|(_, packed)| packed.len() + 4).sum();
        if packed * 10 < raw.len() * 9 {
            put_varint(out, frames.len() as u64);
            for (count, packed) in &frames {
                put_varint(out, *count as u64);
                put_varint(out, packed.len() as u64);
            }
            frames.iter().for_each(|(_, packed)| out.extend_from_slice(packed));
            return table + raw.len();
        }
    }
    put_varint(out, 0);
    out.extend_from_slice(&raw);
    table
}

/// Frames: the number of values in each, and its bytes.
fn compress(raw: &[u8], values: &[&[u8]], frame: usize) -> Vec<(usize, Vec<u8>)> {
    let mut frames = Vec::new();
    let (mut from, mut to, mut count) = (0, 0, 0);
    COMPRESSOR.with_borrow_mut(|context| {
        let new = || zstd::bulk::Compressor::new(LEVEL).expect("BUG: zstd knows this level");
        let context = context.get_or_insert_with(new);
        for (at, value) in values.iter().enumerate() {
            to += value.len();
            count += 1;
            if to - from >= frame || at + 1 == values.len() {
                let packed = context.compress(&raw[from..to]);
                frames.push((count, packed.expect("BUG: zstd compresses any bytes")));
                (from, count) = (to, 0);
            }
        }
    });
    frames
}

/// Some compressed values of an area.
#[derive(Debug)]
struct Frame {
    /// Where its values begin among all bytes of the area.
    start: u32,
    len: u32,
    /// The number of the first value.
    first: u32,
    packed: Range<usize>,
    unpacked: OnceCell<Option<Vec<u8>>>,
}

/// An area whose tables were read. Ranges are those of the block that it lies in.
#[derive(Debug)]
pub(super) struct Area {
    texts: bool,
    ends: Vec<u32>,
    /// Where the bytes begin if they are plain.
    plain: usize,
    frames: Vec<Frame>,
}

impl Area {
    /// Reads the tables of an area of `count` values at `at` of a block. `None` if it is damaged.
    pub(super) fn open(block: &[u8], at: Range<usize>, count: usize) -> Option<Area> {
        let mut cursor = ByteCursor(block.get(at.clone())?);
        let texts = match cursor.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let lengths = EncodedColumn::take(&mut cursor, count)?;
        let (mut ends, mut end) = (Vec::with_capacity(count), 0usize);
        lengths.for_each(count, |len| {
            end = end.saturating_add(len as usize);
            ends.push(end.min(BYTES_END + 1) as u32);
        });
        if end > BYTES_END {
            return None;
        }
        let frames = cursor.varint()? as usize;
        if frames > count {
            return None;
        }
        let sizes: Option<Vec<(usize, usize)>> = (0..frames)
            .map(|_| Some((cursor.varint()? as usize, cursor.varint()? as usize)))
            .collect();
        let plain = at.end - cursor.0.len();
        let area = Area { texts, ends, plain, frames: Vec::new() };
        match frames {
            0 => (cursor.0.len() == end).then_some(area),
            _ => Some(Area { frames: area.frames_at(&sizes?, plain, at.end)?, ..area }),
        }
    }

    fn frames_at(&self, sizes: &[(usize, usize)], from: usize, end: usize) -> Option<Vec<Frame>> {
        let mut frames = Vec::with_capacity(sizes.len());
        let (mut first, mut packed) = (0usize, from);
        for &(values, len) in sizes {
            let next =
                first.checked_add(values).filter(|next| values > 0 && *next <= self.ends.len())?;
            let start = first.checked_sub(1).map_or(0, |before| self.ends[before]);
            let to = packed.checked_add(len).filter(|to| *to <= end)?;
            frames.push(Frame {
                start,
                len: self.ends[next - 1] - start,
                first: first as u32,
                packed: packed..to,
                unpacked: OnceCell::new(),
            });
            (first, packed) = (next, to);
        }
        (first == self.ends.len() && packed == end).then_some(frames)
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn bytes<'a>(&'a self, block: &'a [u8], at: usize) -> Option<&'a [u8]> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        let end = *self.ends.get(at)? as usize;
        if self.frames.is_empty() {
            return block.get(self.plain + start..self.plain + end);
        }
        let which =
            self.frames.partition_point(|frame| frame.first as usize <= at).checked_sub(1)?;
        let frame = &self.frames[which];
        let unpacked = frame.unpacked.get_or_init(|| frame.unpack(block)).as_deref()?;
        unpacked.get(start - frame.start as usize..end - frame.start as usize)
    }

    /// The value with this number. `None` if it is damaged.
    pub(super) fn value<'a>(&'a self, block: &'a [u8], at: usize) -> Option<Value<'a>> {
        let bytes = self.bytes(block, at)?;
        if self.texts {
            return Some(Value::Text(Cow::Borrowed(std::str::from_utf8(bytes).ok()?)));
        }
        let mut cursor = ByteCursor(bytes);
        take_value(&mut cursor).filter(|_| cursor.0.is_empty())
    }
}

impl Frame {
    fn unpack(&self, block: &[u8]) -> Option<Vec<u8>> {
        let (packed, len) = (block.get(self.packed.clone())?, self.len as usize);
        // A damaged length must not make room for what is not there.
        if !declares_unpacked_len(packed, len) {
            return None;
        }
        DECOMPRESSOR.with_borrow_mut(|context| {
            if context.is_none() {
                *context = Some(zstd::bulk::Decompressor::new().ok()?);
            }
            let mut raw = Vec::with_capacity(len);
            let written = context.as_mut()?.decompress_to_buffer(packed, &mut raw).ok()?;
            (written == len && raw.len() == len).then_some(raw)
        })
    }
}
