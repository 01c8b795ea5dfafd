//! Records: an object inside a batch, as bytes, and the digest of its contents.
//!
//! A record holds the place of the object in its input, its key and names, the keys of its ends, its
//! properties and its raw data. Names are indices into the names of the batch.

use crate::graph::{
    DraftEnd, IdHash, InputLocation, NameKind, ObjectKind, default_relationship_key,
};
use crate::store::staging::ObjectBatch;
use crate::store::{ByteCursor, put_bytes, put_varint, skip_value};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The numbers of the names of a batch while it is made.
#[derive(Default)]
pub(in crate::sync) struct NameNumbers(FxHashMap<String, u32>);

impl NameNumbers {
    /// The number of a name, which the batch gets if it is new.
    pub(in crate::sync) fn of(&mut self, name: &str, batch: &mut ObjectBatch) -> u32 {
        if let Some(&number) = self.0.get(name) {
            return number;
        }
        let number = batch.names.len() as u32;
        batch.names.push(name.to_owned());
        self.0.insert(name.to_owned(), number);
        number
    }
}

/// Begins a record and returns where it begins.
pub(in crate::sync) fn begin_record(records: &mut Vec<u8>, place: InputLocation) -> usize {
    let offset = records.len();
    put_varint(records, place.input.into());
    put_varint(records, place.line.into());
    offset
}

/// Puts the key, type and class set of an entity; properties and raw data follow.
pub(in crate::sync) fn put_entity_head(
    records: &mut Vec<u8>,
    key: &str,
    type_name: u32,
    class: u32,
) {
    put_bytes(records, key.as_bytes());
    put_varint(records, type_name.into());
    put_varint(records, class.into());
}

/// The text by which a record names an end: its key or, if only the id is known, a NUL and the id.
/// No key has a NUL.
pub(super) fn end_text<'a>(end: &'a DraftEnd<'_>) -> Cow<'a, str> {
    match (end.key.as_deref(), end.id) {
        (Some(key), _) => Cow::Borrowed(key),
        (None, Some(id)) => Cow::Owned(format!("\0{id}")),
        (None, None) => Cow::Borrowed(""),
    }
}

/// True if a key is the default key of these ends, without building the default key.
pub(super) fn is_default_key(key: &str, from: &str, class: &str, to: &str) -> bool {
    let plain = from.len() + class.len() + to.len() + 2;
    if !class.is_ascii() || plain > NameKind::Key.len_max() {
        // Letters outside ASCII may change their length in lower case, and a long key has a digest.
        return key == default_relationship_key(from, class, to);
    }
    // The text between the ends must be the verb, to the last byte.
    let Some(rest) = key.strip_prefix(from).and_then(|k| k.strip_prefix('|')) else { return false };
    let Some(verb) = rest.strip_suffix(to).and_then(|k| k.strip_suffix('|')) else { return false };
    verb.bytes().eq(class.bytes().map(|b| b.to_ascii_lowercase()))
}

pub(super) fn begin_content(content: &mut Vec<u8>, type_name: &str, class: &str, ends: &[IdHash]) {
    put_bytes(content, type_name.as_bytes());
    put_bytes(content, class.as_bytes());
    ends.iter().for_each(|id| content.extend_from_slice(&id.0.to_le_bytes()));
}

pub(super) fn end_content(content: &mut Vec<u8>, raw_data: &str, seed: u64) -> u64 {
    content.push(0xFF);
    content.extend_from_slice(raw_data.as_bytes());
    xxh3_64_with_seed(content, seed)
}

/// The digest of the content of an object.
///
/// It is equal to the digest that a [`super::BatchBuilder`] gives the same content if it has no text.
/// `properties` ascend by name and carry their encoded values.
pub fn content_digest<'a>(
    seed: u64,
    type_name: &str,
    class: &str,
    ends: &[IdHash],
    properties: impl Iterator<Item = (&'a str, &'a [u8])>,
    raw_data: Option<&str>,
) -> u64 {
    let mut content = Vec::new();
    begin_content(&mut content, type_name, class, ends);
    for (name, value) in properties {
        put_bytes(&mut content, name.as_bytes());
        content.extend_from_slice(value);
    }
    end_content(&mut content, raw_data.unwrap_or(""), seed)
}

/// A staged record, read back. Names are indices into the names of its batch.
pub struct StagedRecord<'a> {
    /// Place in the input.
    pub place: InputLocation,
    /// `_key`; empty if it is given by id, or made from the ends.
    pub key: &'a str,
    /// `_type`.
    pub type_name: u32,
    /// Class set, or verb.
    pub class: u32,
    ends: [&'a [u8]; 2],
    /// Number of properties.
    pub count: usize,
    rest: ByteCursor<'a>,
}

impl<'a> StagedRecord<'a> {
    /// Reads the record at (offset, length). `None` if it is damaged.
    pub fn read(kind: ObjectKind, records: &'a [u8], at: (u32, u32)) -> Option<StagedRecord<'a>> {
        let (start, len) = (at.0 as usize, at.1 as usize);
        let mut c = ByteCursor(records.get(start..start + len)?);
        let place = InputLocation { input: c.varint32()?, line: c.varint32()? };
        let key = c.text()?;
        let (type_name, class) = (c.varint32()?, c.varint32()?);
        let ends = match kind {
            ObjectKind::Entity => [&[][..], &[][..]],
            ObjectKind::Relationship => [c.bytes()?, c.bytes()?],
        };
        let count = c.varint()? as usize;
        Some(StagedRecord { place, key, type_name, class, ends, count, rest: c })
    }

    /// Keys of the ends, or a NUL and the id where only that is known; empty for an entity.
    pub fn ends(&self) -> [Cow<'a, str>; 2] {
        self.ends.map(String::from_utf8_lossy)
    }

    /// Properties as (name index, encoded value), then the raw data.
    pub fn properties(&self) -> Option<(Vec<(u32, &'a [u8])>, Option<&'a str>)> {
        let mut c = self.rest;
        let mut properties = Vec::with_capacity(self.count);
        for _ in 0..self.count {
            properties.push((c.varint32()?, skip_value(&mut c)?));
        }
        let raw = std::str::from_utf8(c.0).ok()?;
        Some((properties, (!raw.is_empty()).then_some(raw)))
    }

    /// Visits each property as (name index, encoded value); returns the raw data, empty if there is
    /// none. `None` if the record is damaged.
    pub fn for_each_property(&self, mut visit: impl FnMut(u32, &'a [u8])) -> Option<&'a str> {
        let mut c = self.rest;
        for _ in 0..self.count {
            visit(c.varint32()?, skip_value(&mut c)?);
        }
        std::str::from_utf8(c.0).ok()
    }

    /// The full key. A relationship without a key of its own has the default key of its ends; an
    /// entity that is named by its id alone has an empty one. `names` are those of the batch.
    pub fn full_key(&self, kind: ObjectKind, names: &[String]) -> String {
        if kind == ObjectKind::Relationship && self.key.is_empty() {
            let class = &names[self.class as usize];
            let [from, to] = self.ends();
            return default_relationship_key(&from, class, &to);
        }
        self.key.to_owned()
    }
}
