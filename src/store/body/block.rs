//! Blocks: the bodies of some objects, property by property, so that one property is read without
//! the others.
//!
//! ```text
//!   block    rows varint | memory varint | n varint | n * (name number varint, length varint) | n columns
//! ```
//!
//! A row is what a record was. The column under name 0 holds raw data, since no property has that
//! number. `memory` is how many bytes a reader of all columns takes beside the block.

use super::record;
use super::value_column::{RowCode, ValueColumn, put_value_column};
use crate::graph::Value;
use crate::store::codec::{ByteCursor, TEXT, put_bytes, put_value, put_varint, skip_value};
use rustc_hash::FxHashMap;
use std::cell::OnceCell;
use std::ops::Range;

/// Rows that a block may claim to have. The packer takes fewer; a block of an earlier format became
/// one with as many as it had.
const ROWS_MAX: usize = 1 << 17;

/// Bytes of values that are compressed together: one value is read in a hundredth of a millisecond.
const FRAME: usize = 16 << 10;
/// The same for raw data, which is read seldom and repeats its members from object to object.
const RAW_FRAME: usize = 128 << 10;

/// The number under which raw data stands.
const RAW_DATA: u32 = 0;

/// The values of one property while a block is made.
struct OpenColumn<'a> {
    name: u32,
    rows: Vec<u32>,
    values: Vec<&'a [u8]>,
}

/// Makes a block of records, each of which follows its length.
pub fn encode(records: &[u8]) -> Vec<u8> {
    let mut columns: Vec<OpenColumn<'_>> = Vec::new();
    let mut raw_texts: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut places: FxHashMap<u32, usize> = FxHashMap::default();
    let mut cursor = ByteCursor(records);
    let mut rows = 0;
    while !cursor.0.is_empty() {
        let record = cursor.bytes().expect("BUG: the packer wrote this record");
        let raw = spread(record, rows, &mut columns, &mut places);
        let raw = raw.expect("BUG: a record is written as it is read");
        if !raw.is_empty() {
            let mut value = vec![TEXT];
            put_bytes(&mut value, raw);
            raw_texts.push((rows, value));
        }
        rows += 1;
    }
    if !raw_texts.is_empty() {
        columns.push(OpenColumn {
            name: RAW_DATA,
            rows: raw_texts.iter().map(|(row, _)| *row).collect(),
            values: raw_texts.iter().map(|(_, value)| &value[..]).collect(),
        });
    }
    let (mut contents, mut directory, mut memory) = (Vec::new(), Vec::new(), 0);
    for column in &columns {
        let from = contents.len();
        let frame = if column.name == RAW_DATA { RAW_FRAME } else { FRAME };
        let OpenColumn { rows: present, values, .. } = column;
        memory += put_value_column(&mut contents, rows as usize, present, values, frame);
        put_varint(&mut directory, column.name.into());
        put_varint(&mut directory, (contents.len() - from) as u64);
    }
    let mut out = Vec::with_capacity(contents.len() + directory.len() + 16);
    put_varint(&mut out, rows.into());
    put_varint(&mut out, memory as u64);
    put_varint(&mut out, columns.len() as u64);
    out.extend_from_slice(&directory);
    out.extend_from_slice(&contents);
    out
}

/// Adds the properties of a record to the columns; returns its raw data.
fn spread<'a>(
    record: &'a [u8],
    row: u32,
    columns: &mut Vec<OpenColumn<'a>>,
    places: &mut FxHashMap<u32, usize>,
) -> Option<&'a [u8]> {
    let mut cursor = ByteCursor(record);
    let count = cursor.varint()?;
    for at in 0..count as usize {
        let name = cursor.varint32()?;
        let value = skip_value(&mut cursor)?;
        // Records that follow each other mostly have the same properties in the same order.
        let place = match columns.get(at) {
            Some(column) if column.name == name => at,
            _ => *places.entry(name).or_insert_with(|| {
                columns.push(OpenColumn { name, rows: Vec::new(), values: Vec::new() });
                columns.len() - 1
            }),
        };
        let column = &mut columns[place];
        debug_assert_ne!(column.rows.last(), Some(&row), "a name stands twice in a record");
        if column.rows.last() != Some(&row) {
            column.rows.push(row);
            column.values.push(value);
        }
    }
    Some(cursor.0)
}

/// A block that can be asked, property by property.
#[derive(Debug)]
pub struct ColumnBlock<P> {
    payload: P,
    rows: usize,
    memory: usize,
    columns: Vec<ColumnPlace>,
}

#[derive(Debug)]
struct ColumnPlace {
    name: u32,
    range: Range<usize>,
    /// `None` inside: it is damaged.
    opened: OnceCell<Option<ValueColumn>>,
}

impl<P: AsRef<[u8]>> ColumnBlock<P> {
    /// Reads the directory of a block. `None` if it is damaged.
    pub fn open(payload: P) -> Option<ColumnBlock<P>> {
        let bytes = payload.as_ref();
        let mut cursor = ByteCursor(bytes);
        let rows = cursor.varint()? as usize;
        let memory = cursor.varint()? as usize;
        let count = cursor.varint()? as usize;
        // A column of equal values takes the same few bytes for any number of rows.
        if rows > ROWS_MAX || count > bytes.len() {
            return None;
        }
        let mut sizes = Vec::with_capacity(count);
        for _ in 0..count {
            sizes.push((cursor.varint32()?, cursor.varint()? as usize));
        }
        let mut from = bytes.len() - cursor.0.len();
        let mut columns = Vec::with_capacity(count);
        for (name, len) in sizes {
            let end = from.checked_add(len).filter(|end| *end <= bytes.len())?;
            columns.push(ColumnPlace { name, range: from..end, opened: OnceCell::new() });
            from = end;
        }
        (from == bytes.len()).then_some(ColumnBlock { payload, rows, memory, columns })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that the block takes at most, once all of its columns were asked for.
    pub fn bytes(&self) -> usize {
        self.payload.as_ref().len() + self.memory + self.columns.len() * size_of::<ColumnPlace>()
    }

    fn column_at(&self, at: usize) -> Option<&ValueColumn> {
        let ColumnPlace { range, opened, .. } = self.columns.get(at)?;
        let open = || ValueColumn::open(self.payload.as_ref(), range.clone(), self.rows);
        opened.get_or_init(open).as_ref()
    }

    /// The place of a property among the columns, for [`ColumnBlock::value_at`] and
    /// [`ColumnBlock::code_at`]; `None` if no row has it.
    #[inline]
    pub fn place_of(&self, name: u32) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The value of a row in a column. The inner `None` means that the row has none, the outer one that
    /// the block is damaged.
    #[inline]
    pub fn value_at(&self, column: usize, row: u32) -> Option<Option<Value<'_>>> {
        let row = row as usize;
        if row >= self.rows {
            return None;
        }
        let (block, column) = (self.payload.as_ref(), self.column_at(column)?);
        match column.place(block, row) {
            Some(at) => Some(Some(column.value(block, at)?)),
            None => Some(None),
        }
    }

    /// The code of a row's value in a column. `None` if the block is damaged.
    #[inline]
    pub fn code_at(&self, column: usize, row: u32) -> Option<RowCode> {
        let row = row as usize;
        if row >= self.rows {
            return None;
        }
        self.column_at(column)?.code(self.payload.as_ref(), row)
    }

    /// The value that a row has under this name number, as [`ColumnBlock::value_at`].
    pub fn value(&self, name: u32, row: u32) -> Option<Option<Value<'_>>> {
        match self.place_of(name) {
            Some(column) => self.value_at(column, row),
            None => (row as usize).lt(&self.rows).then_some(None),
        }
    }

    /// Calls `visit` with the name numbers of the properties of a row. `None` if the block is damaged.
    pub fn for_each_name(&self, row: u32, mut visit: impl FnMut(u32)) -> Option<()> {
        if row as usize >= self.rows {
            return None;
        }
        for (at, ColumnPlace { name, .. }) in self.columns.iter().enumerate() {
            let has =
                || Some(self.column_at(at)?.place(self.payload.as_ref(), row as usize).is_some());
            if *name != RAW_DATA && has()? {
                visit(*name);
            }
        }
        Some(())
    }

    /// The record of a row. `None` if the block is damaged.
    pub fn record(&self, row: u32) -> Option<Vec<u8>> {
        let (mut properties, mut value, mut raw) = (Vec::new(), Vec::new(), None);
        let mut count = 0;
        for (at, place) in self.columns.iter().enumerate() {
            match self.value_at(at, row)? {
                None => {}
                Some(Value::Text(text)) if place.name == RAW_DATA => raw = Some(text),
                Some(found) => {
                    count += 1;
                    value.clear();
                    put_value(&mut value, &found);
                    put_varint(&mut properties, place.name.into());
                    properties.extend_from_slice(&value);
                }
            }
        }
        let mut out =
            Vec::with_capacity(properties.len() + raw.as_ref().map_or(0, |r| r.len()) + 4);
        record::write_encoded(&mut out, count, &properties, raw.as_deref());
        ((row as usize) < self.rows).then_some(out)
    }
}
