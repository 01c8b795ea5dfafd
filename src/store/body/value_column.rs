//! Value columns: one property of the objects of a block.
//!
//! ```text
//!   column      presence | form u8 | ...
//!   presence    0: all rows have the property; 1: a bit for each row, the lowest of a byte first
//!   1 numbers   kind u8 | decimals u8 | lowest zigzag varint | column of (number - lowest)
//!               kind 0: integers; 1: floats; 2: both, whole ones are integers; a float is a number
//!               divided by 10 for each decimal
//!   2 dictionary   entries varint | column of entry numbers | area of entries
//!   3 digits    prefix | suffix | least width u8 | column of numbers: texts that differ only in
//!               digits in the middle, filled with zeros up to the least width
//!   4 values    area of values
//! ```
//!
//! Rows without the property have no place in what follows the presence. The shortest form is
//! taken, by an estimate.

use super::text_area::{Area, put_area, text_of};
use crate::graph::Value;
use crate::store::codec::{ByteCursor, put_bytes, put_varint, take_value};
use crate::store::column::{EncodedColumn, put_column, width_of};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::ops::Range;

/// Most decimals of the floats of a column of numbers.
const DECIMALS_MAX: u8 = 4;
/// Integers up to here are floats as well, exactly.
const EXACT: i64 = 1 << 52;
/// Most digits of a text in the form of digits.
const DIGITS_MAX: usize = 15;

const NUMBERS: u8 = 1;
const DICTIONARY: u8 = 2;
const DIGITS: u8 = 3;
const VALUES: u8 = 4;

/// Appends the column of encoded values that the rows `present` of a block have. `present` is empty
/// if all rows have one. Returns the bytes of memory that its reader takes at most.
pub(super) fn put_value_column(
    out: &mut Vec<u8>,
    rows: usize,
    present: &[u32],
    values: &[&[u8]],
    frame: usize,
) -> usize {
    let mut memory = 0;
    if values.len() == rows {
        out.push(0);
    } else {
        out.push(1);
        let from = out.len();
        out.resize(from + rows.div_ceil(8), 0);
        present.iter().for_each(|&row| out[from + row as usize / 8] |= 1 << (row % 8));
        memory += rows.div_ceil(64) * size_of::<u32>();
    }
    let numbers = NumberColumn::of(values);
    let distinct = Distinct::of(values);
    let digits = match (&numbers, &distinct) {
        (None, distinct) if distinct.as_ref().is_none_or(|d| d.entries.len() > 8) => {
            DigitColumn::of(values)
        }
        _ => None,
    };
    let costs = [
        numbers.as_ref().map(|n| n.cost()),
        distinct.as_ref().map(|d| d.cost()),
        digits.as_ref().map(|d| d.cost()),
    ];
    let least = costs.iter().flatten().min().copied();
    match (numbers, distinct, digits) {
        (Some(numbers), ..) if costs[0] == least => numbers.put(out),
        (_, _, Some(digits)) if costs[2] == least => digits.put(out),
        (_, Some(distinct), _) => memory += distinct.put(out, frame),
        _ => {
            out.push(VALUES);
            memory += put_area(out, values, frame);
        }
    }
    memory
}

/// Bytes that a column of numbers from 0 to `range` takes, about.
fn packed_cost(rows: usize, range: u64) -> usize {
    16 + if range == 0 { 0 } else { rows * width_of(range) / 8 }
}

/// Numbers with a fixed count of decimals.
struct NumberColumn {
    kind: u8,
    decimals: u8,
    lowest: i64,
    highest: i64,
    numbers: Vec<i64>,
}

impl NumberColumn {
    fn of(values: &[&[u8]]) -> Option<NumberColumn> {
        let mut found: Vec<Value<'_>> = Vec::new();
        let (mut integers, mut floats) = (0, 0);
        for value in values {
            let value = take_value(&mut ByteCursor(value))?;
            match value {
                Value::Int(_) => integers += 1,
                Value::Float(_) => floats += 1,
                _ => return None,
            }
            if found.is_empty() {
                found.reserve(values.len());
            }
            found.push(value);
        }
        let kind = match (integers, floats) {
            (0, 0) => return None,
            (_, 0) => 0,
            (0, _) => 1,
            _ => 2,
        };
        let decimals = match kind {
            0 => 0,
            _ => {
                (0..=DECIMALS_MAX).find(|&d| found.iter().all(|v| scaled(v, kind, d).is_some()))?
            }
        };
        let numbers: Vec<i64> =
            found.iter().map(|v| scaled(v, kind, decimals)).collect::<Option<_>>()?;
        let (&lowest, &highest) = (numbers.iter().min()?, numbers.iter().max()?);
        Some(NumberColumn { kind, decimals, lowest, highest, numbers })
    }

    fn cost(&self) -> usize {
        packed_cost(self.numbers.len(), self.highest.wrapping_sub(self.lowest) as u64)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[NUMBERS, self.kind, self.decimals]);
        put_varint(out, ((self.lowest << 1) ^ (self.lowest >> 63)) as u64);
        let above: Vec<u64> =
            self.numbers.iter().map(|n| n.wrapping_sub(self.lowest) as u64).collect();
        put_column(out, &above);
    }
}

fn power(decimals: u8) -> i64 {
    10i64.pow(decimals.into())
}

/// A number times 10 for each decimal, if reading it back gives the very same value.
fn scaled(value: &Value<'_>, kind: u8, decimals: u8) -> Option<i64> {
    let number = match *value {
        Value::Int(i) if kind == 0 => return Some(i),
        Value::Int(i) => i.checked_mul(power(decimals)).filter(|n| n.abs() < EXACT)?,
        Value::Float(f) => {
            let number = (f * power(decimals) as f64).round();
            (number.abs() < EXACT as f64).then_some(number as i64)?
        }
        _ => return None,
    };
    let same = match (unscaled(number, kind, decimals), value) {
        (Value::Int(a), Value::Int(b)) => a == *b,
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        _ => false,
    };
    same.then_some(number)
}

fn unscaled(number: i64, kind: u8, decimals: u8) -> Value<'static> {
    let power = power(decimals);
    match kind {
        0 => Value::Int(number),
        2 if number % power == 0 => Value::Int(number / power),
        _ => Value::Float(number as f64 / power as f64),
    }
}

/// Values of which at most half differ.
struct Distinct<'a> {
    entries: Vec<&'a [u8]>,
    codes: Vec<u64>,
}

impl<'a> Distinct<'a> {
    fn of(values: &[&'a [u8]]) -> Option<Distinct<'a>> {
        let most = values.len() / 2 + 1;
        let mut known: FxHashMap<&[u8], u64> = FxHashMap::default();
        let mut distinct =
            Distinct { entries: Vec::new(), codes: Vec::with_capacity(values.len()) };
        for value in values {
            // Many rows repeat the value before them.
            if let (Some(&code), true) =
                (distinct.codes.last(), distinct.entries.last() == Some(value))
                && code + 1 == distinct.entries.len() as u64
            {
                distinct.codes.push(code);
                continue;
            }
            let next = distinct.entries.len() as u64;
            let code = *known.entry(value).or_insert(next);
            if code == next {
                if distinct.entries.len() == most {
                    return None;
                }
                distinct.entries.push(value);
            }
            distinct.codes.push(code);
        }
        Some(distinct)
    }

    fn cost(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| entry.len()).sum();
        let packed = if entries > 400 { entries / 3 } else { entries };
        packed_cost(self.codes.len(), self.entries.len() as u64 - 1)
            + packed
            + 2 * self.entries.len()
    }

    fn put(&self, out: &mut Vec<u8>, frame: usize) -> usize {
        out.push(DICTIONARY);
        put_varint(out, self.entries.len() as u64);
        put_column(out, &self.codes);
        put_area(out, &self.entries, frame)
    }
}

/// Texts that differ in digits alone.
struct DigitColumn<'a> {
    prefix: &'a [u8],
    suffix: &'a [u8],
    width: u8,
    numbers: Vec<u64>,
}

impl<'a> DigitColumn<'a> {
    fn of(values: &[&'a [u8]]) -> Option<DigitColumn<'a>> {
        let first = text_of(values.first()?)?;
        let [mut prefix, mut suffix] = [first; 2];
        for value in values {
            let text = text_of(value)?;
            let same = prefix.iter().zip(text).take_while(|(a, b)| a == b).count();
            prefix = &prefix[..same];
            let same = suffix.iter().rev().zip(text.iter().rev()).take_while(|(a, b)| a == b);
            suffix = &suffix[suffix.len() - same.count()..];
        }
        // Digits at the edges belong to the number.
        let digits = prefix.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        prefix = &prefix[..prefix.len() - digits];
        let digits = suffix.iter().take_while(|b| b.is_ascii_digit()).count();
        suffix = &suffix[digits..];
        let middle = |value: &&'a [u8]| {
            let text = text_of(value)?;
            let end = text.len().checked_sub(suffix.len())?;
            let digits = text.get(prefix.len()..end)?;
            ((1..=DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit))
                .then_some(digits)
        };
        let width = values
            .iter()
            .map(|v| Some(middle(v)?.len()))
            .try_fold(DIGITS_MAX, |least, len| Some(least.min(len?)))?;
        let number = |value: &&'a [u8]| {
            let digits = middle(value)?;
            // A zero in front of more digits than all have would be lost.
            (digits.len() == width || digits[0] != b'0').then(|| {
                digits.iter().fold(0u64, |number, digit| number * 10 + u64::from(digit - b'0'))
            })
        };
        let numbers = values.iter().map(number).collect::<Option<_>>()?;
        Some(DigitColumn { prefix, suffix, width: width as u8, numbers })
    }

    fn cost(&self) -> usize {
        let [low, high] = [self.numbers.iter().min(), self.numbers.iter().max()];
        let range = high.zip(low).map_or(0, |(high, low)| high - low);
        packed_cost(self.numbers.len(), range) + self.prefix.len() + self.suffix.len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(DIGITS);
        put_bytes(out, self.prefix);
        put_bytes(out, self.suffix);
        out.push(self.width);
        put_column(out, &self.numbers);
    }
}

/// A column whose tables were read. Ranges are those of the block that it lies in.
#[derive(Debug)]
pub(super) struct ValueColumn {
    presence: Option<Presence>,
    values: usize,
    form: Form,
}

/// The rows that have the property.
#[derive(Debug)]
struct Presence {
    bits: Range<usize>,
    /// By 64 rows: the number of rows before them that have it.
    before: Vec<u32>,
}

#[derive(Debug)]
enum Form {
    Numbers { kind: u8, decimals: u8, lowest: i64, column: usize },
    Dictionary { codes: usize, entries: Area },
    Digits { prefix: Range<usize>, suffix: Range<usize>, width: usize, column: usize },
    Values(Area),
}

/// What a row has in a column that can be asked by codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowCode {
    /// No such property.
    Absent,
    /// The entry of the dictionary with this number.
    Entry(u32),
    /// A value that has no code.
    Uncoded,
}

impl ValueColumn {
    /// Reads the tables of the column at `at` of a block of `rows` rows. `None` if it is damaged.
    pub(super) fn open(block: &[u8], at: Range<usize>, rows: usize) -> Option<ValueColumn> {
        let mut cursor = ByteCursor(block.get(at.clone())?);
        let place = |cursor: &ByteCursor<'_>| at.end - cursor.0.len();
        let (presence, values) = match cursor.u8()? {
            0 => (None, rows),
            1 => {
                let from = place(&cursor);
                let (presence, values) =
                    Presence::read(cursor.take(rows.div_ceil(8))?, rows, from)?;
                (Some(presence), values)
            }
            _ => return None,
        };
        let part = |cursor: &mut ByteCursor<'_>| {
            let bytes = cursor.bytes()?;
            std::str::from_utf8(bytes).ok()?;
            let end = at.end - cursor.0.len();
            Some(end - bytes.len()..end)
        };
        let whole = |cursor: &mut ByteCursor<'_>| {
            EncodedColumn::take(cursor, values)?;
            cursor.0.is_empty().then_some(())
        };
        let form = match cursor.u8()? {
            NUMBERS => {
                let [kind, decimals] = cursor.array()?;
                let lowest = cursor.varint()?;
                let lowest = (lowest >> 1) as i64 ^ -((lowest & 1) as i64);
                let column = place(&cursor);
                whole(&mut cursor)?;
                if kind > 2 || decimals > DECIMALS_MAX {
                    return None;
                }
                Form::Numbers { kind, decimals, lowest, column }
            }
            DICTIONARY => {
                let entries = cursor.varint32()? as usize;
                if entries > values {
                    return None;
                }
                let codes = place(&cursor);
                EncodedColumn::take(&mut cursor, values)?;
                Form::Dictionary {
                    codes,
                    entries: Area::open(block, place(&cursor)..at.end, entries)?,
                }
            }
            DIGITS => {
                let [prefix, suffix] = [part(&mut cursor)?, part(&mut cursor)?];
                let width = usize::from(cursor.u8()?);
                let column = place(&cursor);
                whole(&mut cursor)?;
                if width > DIGITS_MAX {
                    return None;
                }
                Form::Digits { prefix, suffix, width, column }
            }
            VALUES => Form::Values(Area::open(block, place(&cursor)..at.end, values)?),
            _ => return None,
        };
        Some(ValueColumn { presence, values, form })
    }

    /// The place of a row among the values; `None` if the row has none.
    #[inline]
    pub(super) fn place(&self, block: &[u8], row: usize) -> Option<usize> {
        match &self.presence {
            None => Some(row),
            Some(presence) => presence.place(block, row),
        }
    }

    #[inline]
    fn number(&self, block: &[u8], column: usize, at: usize) -> Option<u64> {
        let mut cursor = ByteCursor(block.get(column..)?);
        Some(EncodedColumn::take(&mut cursor, self.values)?.get(at))
    }

    /// The code of a row's value.
    #[inline]
    pub(super) fn code(&self, block: &[u8], row: usize) -> Option<RowCode> {
        let Some(at) = self.place(block, row) else { return Some(RowCode::Absent) };
        let Form::Dictionary { codes, entries } = &self.form else { return Some(RowCode::Uncoded) };
        let code = self.number(block, *codes, at)?;
        ((code as usize) < entries.len()).then_some(RowCode::Entry(code as u32))
    }

    /// The value at a place. `None` if it is damaged.
    pub(super) fn value<'a>(&'a self, block: &'a [u8], at: usize) -> Option<Value<'a>> {
        match &self.form {
            Form::Numbers { kind, decimals, lowest, column } => {
                let above = self.number(block, *column, at)? as i64;
                Some(unscaled(lowest.wrapping_add(above), *kind, *decimals))
            }
            Form::Dictionary { codes, entries } => {
                entries.value(block, usize::try_from(self.number(block, *codes, at)?).ok()?)
            }
            Form::Digits { prefix, suffix, width, column } => {
                let number = self.number(block, *column, at)?;
                let [prefix, suffix] = [prefix, suffix].map(|range| block.get(range.clone()));
                let mut text = Vec::with_capacity(prefix?.len() + suffix?.len() + 20);
                text.extend_from_slice(prefix?);
                put_digits(&mut text, number, *width);
                text.extend_from_slice(suffix?);
                Some(Value::Text(Cow::Owned(String::from_utf8(text).ok()?)))
            }
            Form::Values(area) => area.value(block, at),
        }
    }
}

fn put_digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut from = digits.len();
    while number > 0 {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    // A width is at most DIGITS_MAX, fewer than there are.
    out.extend_from_slice(&digits[from.min(digits.len() - width)..]);
}

impl Presence {
    fn read(bits: &[u8], rows: usize, from: usize) -> Option<(Presence, usize)> {
        let (mut before, mut count) = (Vec::with_capacity(rows.div_ceil(64)), 0u32);
        for word in bits.chunks(8) {
            before.push(count);
            count += word.iter().map(|byte| byte.count_ones()).sum::<u32>();
        }
        // Bits behind the last row mean nothing, so there must be none.
        if !rows.is_multiple_of(8) && bits.last()? >> (rows % 8) != 0 {
            return None;
        }
        Some((Presence { bits: from..from + bits.len(), before }, count as usize))
    }

    fn place(&self, block: &[u8], row: usize) -> Option<usize> {
        let bits = block.get(self.bits.clone())?;
        let byte = *bits.get(row / 8)?;
        if byte >> (row % 8) & 1 == 0 {
            return None;
        }
        let word = row / 64;
        let full: u32 = bits[word * 8..row / 8].iter().map(|byte| byte.count_ones()).sum();
        let below = (u32::from(byte) & ((1 << (row % 8)) - 1)).count_ones();
        Some((self.before[word] + full + below) as usize)
    }
}
