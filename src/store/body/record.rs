//! Records: the body of one object on its way into a block and out of it.
//!
//! ```text
//!   record  count varint | count * (name number varint, value) | raw data text
//! ```

use crate::graph::Value;
use crate::store::codec::{ByteCursor, put_varint, take_value};

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

/// Writes a record of properties that are already encoded, one after the other.
pub(super) fn write_encoded(out: &mut Vec<u8>, count: u64, properties: &[u8], raw: Option<&str>) {
    put_varint(out, count);
    out.extend_from_slice(properties);
    out.extend_from_slice(raw.unwrap_or("").as_bytes());
}
