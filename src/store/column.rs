//! Columns of integers that can be read at any row without unpacking.
//!
//! A chunk of heads or of adjacency has a handful of columns. Most are constant (the job, the
//! times), ascend by a fixed step (slots), or lie in a narrow range (neighbours). So each column is
//! stored in the cheapest of these forms:
//!
//! ```text
//!   0 constant  base                               row i is base
//!   1 step      base | step                        row i is base + i * step
//!   2 packed    base | width u8 | width bits * rows    row i is base + the bits at i * width
//!   3 sparse    base | n u32 | n * row u32 | n * value u64    base, but for n rows
//! ```
//!
//! Base and step are varints. Bits fill bytes from the lowest on, and the last byte with zeros.
//!
//! Reading one row costs one addition, or a binary search in a sparse column. So a cold query
//! decodes only the rows that it asks for.

use super::codec::{ByteCursor, put_varint};

/// Appends the best form of `values` (fewer than 2^32 of them).
pub fn put_column(out: &mut Vec<u8>, values: &[u64]) {
    let base = values.first().copied().unwrap_or(0);
    let (min, max) = values.iter().fold((base, base), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    if min == max {
        out.push(0);
        put_varint(out, base);
        return;
    }
    // Wrapping, so that descending values are a step as well.
    let step = values[1].wrapping_sub(base);
    if values.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step) {
        out.push(1);
        put_varint(out, base);
        put_varint(out, step);
        return;
    }
    let width = width_of(max - min);
    let packed = packed_len(values.len(), width);
    // An exception takes 12 bytes: row and value.
    let common = frequent(values);
    let exceptions = values.iter().filter(|&&v| v != common).count();
    if exceptions * 12 + 4 < packed {
        out.push(3);
        put_varint(out, common);
        out.extend_from_slice(&(exceptions as u32).to_le_bytes());
        let rows = || values.iter().enumerate().filter(|&(_, &v)| v != common);
        rows().for_each(|(row, _)| out.extend_from_slice(&(row as u32).to_le_bytes()));
        rows().for_each(|(_, v)| out.extend_from_slice(&v.to_le_bytes()));
        return;
    }
    out.push(2);
    put_varint(out, min);
    out.push(width as u8);
    let end = out.len() + packed;
    out.reserve(packed + 8);
    // Bits that do not fill a word yet, and their number.
    let (mut word, mut filled) = (0u64, 0);
    for v in values {
        let v = v - min;
        word |= v << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= 64;
            // A value that filled its word to the brim leaves nothing, and a shift by 64 would be
            // invalid.
            word = v.checked_shr((width - filled) as u32).unwrap_or(0);
        }
    }
    out.extend_from_slice(&word.to_le_bytes());
    // The last word is written whole; only its used bytes stay.
    out.truncate(end);
}

/// Bits that a value from 0 to `range` takes. A value is read as one word from the byte that it
/// begins in, so a width is at most 56, or exactly 64.
pub fn width_of(range: u64) -> usize {
    match 64 - range.leading_zeros() as usize {
        57.. => 64,
        width => width.max(1),
    }
}

/// Bytes that `rows` values of `width` bits take.
fn packed_len(rows: usize, width: usize) -> usize {
    (rows * width).div_ceil(8)
}

/// The lowest `width` bits.
fn mask(width: usize) -> u64 {
    u64::MAX >> (64 - width)
}

/// The value that most rows hold, if almost all of them do; otherwise any value.
fn frequent(values: &[u64]) -> u64 {
    let [a, b, c] = [1, 2, 3].map(|quarter| values[values.len() * quarter / 4]);
    if a == c { a } else { b }
}

/// A column as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub enum EncodedColumn<'a> {
    /// All rows are equal.
    Constant(u64),
    /// Row `i` is the first plus `i` times the second.
    Step(u64, u64),
    /// Differences to a base, each so many bits wide.
    Packed(u64, usize, &'a [u8]),
    /// A base with exceptions: rows (u32 each), then values (u64 each).
    Sparse(u64, &'a [u8], &'a [u8]),
}

impl<'a> EncodedColumn<'a> {
    /// Reads the column of `rows` rows at the cursor. `None` if it is damaged.
    pub fn take(cursor: &mut ByteCursor<'a>, rows: usize) -> Option<EncodedColumn<'a>> {
        let form = cursor.u8()?;
        let base = cursor.varint()?;
        Some(match form {
            0 => EncodedColumn::Constant(base),
            1 => EncodedColumn::Step(base, cursor.varint()?),
            2 => {
                let width = usize::from(cursor.u8()?);
                if !matches!(width, 1..=56 | 64) {
                    return None;
                }
                let bits = rows.checked_mul(width)?;
                EncodedColumn::Packed(base, width, cursor.take(bits.div_ceil(8))?)
            }
            3 => {
                let n = cursor.u32()? as usize;
                EncodedColumn::Sparse(
                    base,
                    cursor.take(n.checked_mul(4)?)?,
                    cursor.take(n.checked_mul(8)?)?,
                )
            }
            _ => return None,
        })
    }

    /// The value at `row`, which must be below the number of rows.
    #[inline]
    pub fn get(&self, row: usize) -> u64 {
        match *self {
            EncodedColumn::Constant(base) => base,
            EncodedColumn::Step(base, step) => base.wrapping_add(step.wrapping_mul(row as u64)),
            EncodedColumn::Packed(base, width, bytes) => {
                base.wrapping_add(packed_at(bytes, width, row))
            }
            EncodedColumn::Sparse(base, rows, values) => match search(rows, row as u32) {
                Some(i) => {
                    let mut word = [0; 8];
                    word.copy_from_slice(&values[i * 8..(i + 1) * 8]);
                    u64::from_le_bytes(word)
                }
                None => base,
            },
        }
    }

    /// Appends the values of the first `rows` rows.
    pub fn unpack(&self, rows: usize, out: &mut Vec<u64>) {
        match *self {
            EncodedColumn::Constant(base) => out.extend(std::iter::repeat_n(base, rows)),
            EncodedColumn::Step(base, step) => {
                out.extend((0..rows as u64).map(|i| base.wrapping_add(step.wrapping_mul(i))));
            }
            EncodedColumn::Packed(base, width, bytes) => {
                out.extend(unpacked(width, bytes, rows).map(|value| base.wrapping_add(value)));
            }
            EncodedColumn::Sparse(base, at, values) => {
                let start = out.len();
                out.extend(std::iter::repeat_n(base, rows));
                for (row, value) in at.as_chunks().0.iter().zip(values.as_chunks().0) {
                    let row = u32::from_le_bytes(*row) as usize;
                    // A damaged column may name a row that does not exist.
                    if row < rows {
                        out[start + row] = u64::from_le_bytes(*value);
                    }
                }
            }
        }
    }

    /// Calls `visit` with the values of the first `rows` rows.
    pub fn for_each(&self, rows: usize, mut visit: impl FnMut(u64)) {
        match *self {
            EncodedColumn::Packed(base, width, bytes) => {
                unpacked(width, bytes, rows).for_each(|value| visit(base.wrapping_add(value)));
            }
            _ => (0..rows).for_each(|row| visit(self.get(row))),
        }
    }

    /// Fills `out` with the values of the first `rows` rows, which always fit 32 bits.
    pub fn unpack32(&self, rows: usize, out: &mut Vec<u32>) {
        out.clear();
        match *self {
            EncodedColumn::Constant(base) => out.resize(rows, base as u32),
            EncodedColumn::Packed(base, width, bytes) => out
                .extend(unpacked(width, bytes, rows).map(|value| base.wrapping_add(value) as u32)),
            _ => {
                let mut values = Vec::new();
                self.unpack(rows, &mut values);
                out.extend(values.into_iter().map(|value| value as u32));
            }
        }
    }

    /// The first of `rows` rows whose value is not below `value`, or `rows` if there is none. The
    /// values ascend.
    #[inline]
    pub fn first_from(&self, rows: usize, value: u64) -> usize {
        let (mut lo, mut hi) = (0, rows);
        while lo < hi {
            let mid = (lo + hi) / 2;
            if self.get(mid) < value { lo = mid + 1 } else { hi = mid }
        }
        lo
    }

    /// The value at `row`, which always fits 32 bits.
    #[inline]
    pub fn get32(&self, row: usize) -> u32 {
        self.get(row) as u32
    }
}

/// The word at `at` if the column ends inside it; the missing bytes are zeros.
#[cold]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    let rest = &bytes[at..];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(word)
}

/// The value at `row` of a packed column, as the difference to its base.
#[inline]
fn packed_at(bytes: &[u8], width: usize, row: usize) -> u64 {
    let bit = row * width;
    // A whole word is read and cut, unless it would end behind the column.
    let word = match bytes.get(bit / 8..).and_then(|rest| rest.first_chunk()) {
        Some(word) => u64::from_le_bytes(*word),
        None => last_word(bytes, bit / 8),
    };
    word >> (bit % 8) & mask(width)
}

/// The first `rows` values of a packed column, as differences to its base.
fn unpacked(width: usize, bytes: &[u8], rows: usize) -> impl Iterator<Item = u64> {
    (0..rows).map(move |row| packed_at(bytes, width, row))
}

fn search(rows: &[u8], row: u32) -> Option<usize> {
    let at = |i: usize| u32::from_le_bytes([0, 1, 2, 3].map(|b| rows[i * 4 + b]));
    let (mut lo, mut hi) = (0, rows.len() / 4);
    while lo < hi {
        let mid = (lo + hi) / 2;
        match at(mid).cmp(&row) {
            std::cmp::Ordering::Equal => return Some(mid),
            std::cmp::Ordering::Less => lo = mid + 1,
            std::cmp::Ordering::Greater => hi = mid,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[u64], form: u8) {
        let mut bytes = Vec::new();
        put_column(&mut bytes, values);
        assert_eq!(bytes[0], form);
        let mut cursor = ByteCursor(&bytes);
        let column = EncodedColumn::take(&mut cursor, values.len()).expect("whole");
        assert!(cursor.0.is_empty());
        let back: Vec<u64> = (0..values.len()).map(|i| column.get(i)).collect();
        assert_eq!(back, values);
    }

    #[test]
    fn each_form_is_chosen_where_it_is_cheapest() {
        check(&[], 0);
        check(&[7; 1000], 0);
        check(&[5, 4, 3, 2], 1);
        check(&[1000, 1003, 1001, 1255], 2);
        let mut mostly = vec![1_700_000_000_000; 500];
        mostly[3] = 1;
        mostly[499] = u64::MAX;
        check(&mostly, 3);
    }

    proptest! {
        #[test]
        fn columns_come_back_as_they_were(
            bits in 0..64u32,
            values in prop::collection::vec(any::<u64>(), 0..100),
        ) {
            let values: Vec<u64> = values.into_iter().map(|v| v >> bits).collect();
            let mut bytes = Vec::new();
            put_column(&mut bytes, &values);
            let column = EncodedColumn::take(&mut ByteCursor(&bytes), values.len()).expect("whole");
            for (i, v) in values.iter().enumerate() {
                prop_assert_eq!(column.get(i), *v);
            }
            let mut all = Vec::new();
            column.unpack(values.len(), &mut all);
            prop_assert_eq!(&all, &values);
            let mut low = vec![7];
            column.unpack32(values.len(), &mut low);
            prop_assert_eq!(low, values.iter().map(|&v| v as u32).collect::<Vec<_>>());
        }
    }
}
