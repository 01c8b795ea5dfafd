//! Bytes: sealed values, variable-length integers and property records.
//!
//! Every value in the file is *sealed*: a format byte follows the payload, then a CRC-32 over
//! table, key and both. The key takes part, so a row that turns up under another key does not pass.
//! Writers check the seals of the values that they rewrite, and so do `verify` and `backup`.
//! Readers get pages that were proven, to the same bytes (see `page_verification.rs`), and do not check again.

use super::StoreError;
use crate::graph::Value;
use std::borrow::Cow;

/// The version of the layout of all values; a file with another one is refused.
pub const FORMAT: u8 = 6;

/// Bytes that a seal adds.
pub const SEAL: usize = 5;

/// Closes `payload` for storage under `key` of `table`.
pub fn seal(table: &str, key: &[u8], mut payload: Vec<u8>) -> Vec<u8> {
    payload.push(FORMAT);
    let crc = checksum(table, key, &payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

/// Opens a sealed value.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if the checksum disagrees, [`StoreError::OtherFormat`] if the value was
/// written by another version.
pub fn unseal<'a>(
    table: &'static str,
    key: &[u8],
    sealed: &'a [u8],
) -> Result<&'a [u8], StoreError> {
    unseal_as(FORMAT, table, key, sealed)
}

/// The same for a value of another format.
///
/// # Errors
///
/// Those of [`unseal`].
pub fn unseal_as<'a>(
    format: u8,
    table: &'static str,
    key: &[u8],
    sealed: &'a [u8],
) -> Result<&'a [u8], StoreError> {
    let corrupt = |detail: &str| StoreError::corrupt(table, key, detail);
    let body = sealed.len().checked_sub(4).ok_or_else(|| corrupt("value is cut short"))?;
    let (payload, crc) = sealed.split_at(body);
    if checksum(table, key, payload).to_le_bytes() != crc {
        return Err(corrupt("checksum does not match"));
    }
    match payload.split_last() {
        Some((&found, payload)) if found == format => Ok(payload),
        Some((&found, _)) => Err(StoreError::OtherFormat { found, known: FORMAT }),
        None => Err(corrupt("value is empty")),
    }
}

/// The contents of a sealed value in a proven page. Its checksum is not checked.
///
/// # Errors
///
/// [`StoreError::OtherFormat`] if the value was written by another version.
#[inline]
pub fn proven<'a>(
    table: &'static str,
    key: &[u8],
    sealed: &'a [u8],
) -> Result<&'a [u8], StoreError> {
    match sealed.split_last_chunk::<4>().and_then(|(body, _)| body.split_last()) {
        Some((&FORMAT, payload)) => Ok(payload),
        Some((&format, _)) => Err(StoreError::OtherFormat { found: format, known: FORMAT }),
        None => Err(StoreError::corrupt(table, key, "value is cut short")),
    }
}

fn checksum(table: &str, key: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table.as_bytes());
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

/// Appends `n` in LEB128: seven bits a byte, low bits first.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a length and the bytes.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A cursor over bytes that we wrote. Every method returns `None` at the first sign of damage.
#[derive(Clone, Copy)]
pub struct ByteCursor<'a>(pub &'a [u8]);

impl<'a> ByteCursor<'a> {
    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    /// A fixed number of bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A little-endian 32-bit integer.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A little-endian 64-bit integer.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    /// A number that [`put_varint`] wrote.
    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let mut n = 0;
        // Ten bytes at most: a longer run of high bits is damage.
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            n |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    /// A varint that must fit 32 bits.
    #[inline]
    pub fn varint32(&mut self) -> Option<u32> {
        self.varint()?.try_into().ok()
    }

    /// Bytes that [`put_bytes`] wrote.
    #[inline]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.varint()?;
        self.take(usize::try_from(len).ok()?)
    }

    /// Bytes that must be text.
    #[inline]
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const UINT: u8 = 4;
const FLOAT: u8 = 5;
/// The tag of a text.
pub(super) const TEXT: u8 = 6;
const LIST: u8 = 7;

/// Appends a value: a tag byte, then zigzag varint, 8 bytes, or length and bytes.
pub fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Int(i) => {
            out.push(INT);
            put_varint(out, ((i << 1) ^ (i >> 63)) as u64);
        }
        Value::UInt(u) => {
            out.push(UINT);
            put_varint(out, *u);
        }
        Value::Float(f) => {
            out.push(FLOAT);
            out.extend_from_slice(&f.to_le_bytes());
        }
        Value::Text(text) => {
            out.push(TEXT);
            put_bytes(out, text.as_bytes());
        }
        Value::List(items) => {
            out.push(LIST);
            put_varint(out, items.len() as u64);
            for item in items {
                put_value(out, item);
            }
        }
    }
}

/// Levels of nested lists that a value may have; values of ours have one.
const DEPTH: u32 = 8;

/// Reads a value that [`put_value`] wrote.
pub fn take_value<'a>(cursor: &mut ByteCursor<'a>) -> Option<Value<'a>> {
    take_nested(cursor, DEPTH)
}

fn take_nested<'a>(cursor: &mut ByteCursor<'a>, depth: u32) -> Option<Value<'a>> {
    Some(match cursor.u8()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => {
            let n = cursor.varint()?;
            Value::Int((n >> 1) as i64 ^ -((n & 1) as i64))
        }
        UINT => Value::UInt(cursor.varint()?),
        FLOAT => Value::Float(f64::from_le_bytes(cursor.array()?)),
        TEXT => Value::Text(Cow::Borrowed(cursor.text()?)),
        LIST => {
            // Damaged bytes could nest without end and overflow the stack.
            let depth = depth.checked_sub(1)?;
            let mut items = Vec::new();
            for _ in 0..cursor.varint()? {
                items.push(take_nested(cursor, depth)?);
            }
            Value::List(items)
        }
        _ => return None,
    })
}

/// Steps over one value and returns its bytes, tag included.
pub fn skip_value<'a>(cursor: &mut ByteCursor<'a>) -> Option<&'a [u8]> {
    let start = cursor.0;
    skip_nested(cursor, DEPTH)?;
    Some(&start[..start.len() - cursor.0.len()])
}

fn skip_nested(cursor: &mut ByteCursor<'_>, depth: u32) -> Option<()> {
    match cursor.u8()? {
        NULL | FALSE | TRUE => {}
        INT | UINT => {
            cursor.varint()?;
        }
        FLOAT => {
            cursor.take(8)?;
        }
        TEXT => {
            cursor.bytes()?;
        }
        LIST => {
            let depth = depth.checked_sub(1)?;
            for _ in 0..cursor.varint()? {
                skip_nested(cursor, depth)?;
            }
        }
        _ => return None,
    }
    Some(())
}

/// True if the header of compressed bytes gives `len` as their unpacked length. So a damaged length
/// never reserves memory that is not filled.
pub fn declares_unpacked_len(packed: &[u8], len: usize) -> bool {
    zstd::zstd_safe::get_frame_content_size(packed).ok().flatten() == Some(len as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value<'static>> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<u64>().prop_map(Value::UInt),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::Float),
            ".*".prop_map(|s: String| Value::Text(s.into())),
        ];
        leaf.prop_recursive(1, 8, 8, |leaf| prop::collection::vec(leaf, 0..8).prop_map(Value::List))
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_were(value in values()) {
            let mut bytes = Vec::new();
            put_value(&mut bytes, &value);
            let mut cursor = ByteCursor(&bytes);
            prop_assert_eq!(skip_value(&mut cursor), Some(&bytes[..]));
            prop_assert_eq!(take_value(&mut ByteCursor(&bytes)), Some(value));
        }

        #[test]
        fn any_flipped_bit_breaks_the_seal(payload: Vec<u8>, at: prop::sample::Index, bit in 0..8) {
            let mut sealed = seal("t", b"k", payload);
            let at = at.index(sealed.len());
            sealed[at] ^= 1u8 << bit;
            prop_assert!(unseal("t", b"k", &sealed).is_err());
        }

        #[test]
        fn rubbish_is_no_value_and_no_panic(bytes: Vec<u8>) {
            let _ = take_value(&mut ByteCursor(&bytes));
            let _ = skip_value(&mut ByteCursor(&bytes));
        }
    }

    #[test]
    fn of_a_value_in_a_proven_page_only_the_format_is_looked_at() {
        let mut sealed = seal("heads", b"1", vec![7]);
        assert_eq!(proven("heads", b"2", &sealed).unwrap(), [7]);
        sealed[1] += 1;
        assert!(matches!(proven("heads", b"1", &sealed), Err(StoreError::OtherFormat { .. })));
        assert!(proven("heads", b"1", &sealed[..4]).is_err());
    }

    #[test]
    fn a_value_under_another_key_does_not_pass() {
        let sealed = seal("heads", b"1", vec![7]);
        assert_eq!(unseal("heads", b"1", &sealed).unwrap(), [7]);
        assert!(unseal("heads", b"2", &sealed).is_err());
        assert!(unseal("names", b"1", &sealed).is_err());
    }
}
