//! Records as bytes: what an item makes, on its way from the thread that made it to the stage. They
//! belong to one run, so nothing else ever reads them.

use crate::graph::{InputLocation, Value};
use std::borrow::Cow;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The digest of a key; at 128 bits two keys with one digest do not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyDigest(u64, u64);

impl KeyDigest {
    pub(super) fn of(key: &str) -> KeyDigest {
        let digest = xxh3_128(key.as_bytes());
        KeyDigest(digest as u64, (digest >> 64) as u64)
    }
}

/// An entity that items made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EntityRecord<'b> {
    pub key: Cow<'b, str>,
    /// Number of the type.
    pub type_name: u32,
    /// Number of its classes; [`CLASSES_OF_TYPE`] if its type decides.
    pub classes: u32,
    /// `displayName`, if the file or the row says one.
    pub name: Option<Cow<'b, str>>,
    pub properties: Vec<(u32, Value<'b>)>,
    /// Raw data, as JSON text.
    pub raw: Option<Cow<'b, str>>,
    pub place: InputLocation,
}

/// Stands for the classes that the type of an entity has.
pub(super) const CLASSES_OF_TYPE: u32 = u32::MAX;

/// The keys that an end may have: the first of them that exists.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EndKeys<'b> {
    pub first: Cow<'b, str>,
    pub others: Vec<Cow<'b, str>>,
}

impl<'b> EndKeys<'b> {
    /// An end with one key.
    pub(super) fn one(key: impl Into<Cow<'b, str>>) -> EndKeys<'b> {
        EndKeys { first: key.into(), others: Vec::new() }
    }

    /// All of them in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Cow<'b, str>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn into_owned(self) -> EndKeys<'static> {
        let others = self.others.into_iter().map(owned).collect();
        EndKeys { first: owned(self.first), others }
    }
}

/// An edge that an item made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RelationshipRecord<'b> {
    /// The rule, by its number.
    pub rule: u32,
    /// Number of the class.
    pub class: u32,
    /// Number of the type; `None` for the default.
    pub type_name: Option<u32>,
    /// The key; `None` for the default.
    pub key: Option<Cow<'b, str>>,
    pub from: EndKeys<'b>,
    pub to: EndKeys<'b>,
    pub properties: Vec<(u32, Value<'b>)>,
    pub raw: Option<Cow<'b, str>>,
    pub place: InputLocation,
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn owned_values(values: Vec<(u32, Value<'_>)>) -> Vec<(u32, Value<'static>)> {
    values.into_iter().map(|(name, value)| (name, value.into_owned())).collect()
}

/// Bytes of the length before each record.
const LENGTH: usize = 4;

/// Appends a record: its length, its head, and its content. Returns the hash of the content.
fn put_record(
    out: &mut Vec<u8>,
    head: impl FnOnce(&mut Vec<u8>),
    content: impl FnOnce(&mut Vec<u8>),
) -> u64 {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    head(out);
    let middle = out.len();
    content(out);
    let len = (out.len() - start - LENGTH) as u32;
    out[start..start + LENGTH].copy_from_slice(&len.to_le_bytes());
    content_hash(&out[middle..])
}

/// The hash of a content; 0 is left for those that were changed.
fn content_hash(content: &[u8]) -> u64 {
    xxh3_64(content).max(1)
}

/// The records in a run of bytes, each with its offset and its bytes without the length.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let record = record_at(bytes, at)?;
        let offset = at;
        at += LENGTH + record.len();
        Some((offset, record))
    })
}

/// The record that begins at an offset, without its length.
pub(super) fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let len = bytes.get(at..at + LENGTH)?;
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    bytes.get(at + LENGTH..at + LENGTH + len)
}

impl<'b> EntityRecord<'b> {
    /// Appends the record and returns the hash of all but its key, type, classes and place.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> u64 {
        put_record(
            out,
            |out| {
                put_place(out, self.place);
                put_number(out, self.type_name.into());
                put_number(out, self.classes.into());
                put_text(out, &self.key);
            },
            |out| {
                put_option(out, self.name.as_deref());
                put_option(out, self.raw.as_deref());
                put_properties(out, &self.properties);
            },
        )
    }

    /// Reads a record. `None` if it is damaged.
    pub(super) fn take(bytes: &'b [u8]) -> Option<EntityRecord<'b>> {
        let mut reader = RecordReader { bytes };
        Some(EntityRecord {
            place: reader.place()?,
            type_name: reader.number()? as u32,
            classes: reader.number()? as u32,
            key: reader.text()?.into(),
            name: reader.option()?.map(Cow::Borrowed),
            raw: reader.option()?.map(Cow::Borrowed),
            properties: reader.properties()?,
        })
    }

    pub(super) fn into_owned(self) -> EntityRecord<'static> {
        EntityRecord {
            key: owned(self.key),
            type_name: self.type_name,
            classes: self.classes,
            name: self.name.map(owned),
            properties: owned_values(self.properties),
            raw: self.raw.map(owned),
            place: self.place,
        }
    }
}

impl<'b> RelationshipRecord<'b> {
    /// Appends the record and returns the hash of all but its rule and place.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> u64 {
        put_record(
            out,
            |out| {
                put_place(out, self.place);
                put_number(out, self.rule.into());
            },
            |out| {
                put_number(out, self.class.into());
                put_number(out, self.type_name.map_or(0, |number| u64::from(number) + 1));
                put_option(out, self.key.as_deref());
                put_end(out, &self.from);
                put_end(out, &self.to);
                put_option(out, self.raw.as_deref());
                put_properties(out, &self.properties);
            },
        )
    }

    /// Reads a record, with the hash of its content. `None` if it is damaged.
    pub(super) fn take(bytes: &'b [u8]) -> Option<(RelationshipRecord<'b>, u64)> {
        let mut reader = RecordReader { bytes };
        let (place, rule) = (reader.place()?, reader.number()? as u32);
        let hash = content_hash(reader.bytes);
        let record = RelationshipRecord {
            place,
            rule,
            class: reader.number()? as u32,
            type_name: reader.number()?.checked_sub(1).map(|number| number as u32),
            key: reader.option()?.map(Cow::Borrowed),
            from: reader.end()?,
            to: reader.end()?,
            raw: reader.option()?.map(Cow::Borrowed),
            properties: reader.properties()?,
        };
        Some((record, hash))
    }

    pub(super) fn into_owned(self) -> RelationshipRecord<'static> {
        RelationshipRecord {
            rule: self.rule,
            class: self.class,
            type_name: self.type_name,
            key: self.key.map(owned),
            from: self.from.into_owned(),
            to: self.to.into_owned(),
            properties: owned_values(self.properties),
            raw: self.raw.map(owned),
            place: self.place,
        }
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_option(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => out.push(0),
        Some(text) => {
            out.push(1);
            put_text(out, text);
        }
    }
}

fn put_place(out: &mut Vec<u8>, place: InputLocation) {
    put_number(out, place.input.into());
    put_number(out, place.line.into());
}

fn put_end(out: &mut Vec<u8>, end: &EndKeys<'_>) {
    put_number(out, end.others.len() as u64 + 1);
    end.iter().for_each(|key| put_text(out, key));
}

/// Appends all properties that have a value.
fn put_properties(out: &mut Vec<u8>, properties: &[(u32, Value<'_>)]) {
    let valued = properties.iter().filter(|(_, value)| *value != Value::Null);
    put_number(out, valued.clone().count() as u64);
    for (name, value) in valued {
        put_number(out, (*name).into());
        put_value(out, value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.push(0),
        Value::Bool(b) => out.push(1 + u8::from(*b)),
        Value::Int(int) => {
            out.push(3);
            put_number(out, ((int << 1) ^ (int >> 63)) as u64);
        }
        Value::UInt(int) => {
            out.push(4);
            put_number(out, *int);
        }
        Value::Float(float) => {
            out.push(5);
            out.extend_from_slice(&float.to_bits().to_le_bytes());
        }
        Value::Text(text) => {
            out.push(6);
            put_text(out, text);
        }
        Value::List(items) => {
            out.push(7);
            put_number(out, items.len() as u64);
            items.iter().for_each(|item| put_value(out, item));
        }
    }
}

/// Takes parts from the front of a record.
struct RecordReader<'b> {
    bytes: &'b [u8],
}

impl<'b> RecordReader<'b> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'b str> {
        let len = self.number()? as usize;
        let (text, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        std::str::from_utf8(text).ok()
    }

    fn option(&mut self) -> Option<Option<&'b str>> {
        match self.byte()? {
            0 => Some(None),
            _ => self.text().map(Some),
        }
    }

    fn place(&mut self) -> Option<InputLocation> {
        Some(InputLocation { input: self.number()? as u32, line: self.number()? as u32 })
    }

    fn end(&mut self) -> Option<EndKeys<'b>> {
        let more = self.number()?.checked_sub(1)?;
        let first = self.text()?.into();
        let others = (0..more).map(|_| self.text().map(Cow::Borrowed)).collect::<Option<_>>()?;
        Some(EndKeys { first, others })
    }

    fn properties(&mut self) -> Option<Vec<(u32, Value<'b>)>> {
        let count = self.number()? as usize;
        // A count that is wrong must not take memory.
        let mut properties = Vec::with_capacity(count.min(self.bytes.len()));
        for _ in 0..count {
            properties.push((self.number()? as u32, self.value()?));
        }
        Some(properties)
    }

    fn value(&mut self) -> Option<Value<'b>> {
        Some(match self.byte()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => {
                let zigzag = self.number()?;
                Value::Int((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
            }
            4 => Value::UInt(self.number()?),
            5 => {
                let (bits, rest) = self.bytes.split_at_checked(8)?;
                self.bytes = rest;
                Value::Float(f64::from_bits(u64::from_le_bytes(bits.try_into().ok()?)))
            }
            6 => Value::Text(Cow::Borrowed(self.text()?)),
            _ => {
                let count = self.number()?;
                Value::List((0..count).map(|_| self.value()).collect::<Option<_>>()?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_put() {
        let values = [
            Value::Bool(true),
            Value::Int(-5),
            Value::Int(i64::MIN),
            Value::UInt(u64::MAX),
            Value::Float(-0.5),
            Value::Text("é".into()),
            Value::List(vec![Value::Text("a".into()), Value::Text("".into())]),
        ];
        let properties: Vec<(u32, Value<'_>)> = (300..).zip(values).collect();
        let place = InputLocation { input: 1, line: 70_000 };
        let entity = EntityRecord {
            key: "k".into(),
            type_name: 7,
            classes: CLASSES_OF_TYPE,
            name: Some("".into()),
            properties: properties.clone(),
            raw: None,
            place,
        };
        let edge = RelationshipRecord {
            rule: 3,
            class: 200,
            type_name: None,
            key: Some("x|y".into()),
            from: EndKeys::one("a"),
            to: EndKeys { first: "b".into(), others: vec!["c".into()] },
            properties,
            raw: Some("{}".into()),
            place,
        };
        let mut bytes = Vec::new();
        let hashes = [entity.put(&mut bytes), edge.put(&mut bytes)];
        let found: Vec<(usize, &[u8])> = records(&bytes).collect();
        assert_eq!(EntityRecord::take(found[0].1).unwrap(), entity);
        assert_eq!(RelationshipRecord::take(found[1].1).unwrap(), (edge.clone(), hashes[1]));
        assert_eq!(record_at(&bytes, found[1].0).unwrap(), found[1].1);
        // The place of an item is no part of what it says.
        let moved = RelationshipRecord { place: InputLocation::default(), ..edge };
        assert_eq!(moved.put(&mut Vec::new()), hashes[1]);
        assert!(found[0].1.len() > 20);
        assert!((0..found[0].1.len()).all(|len| EntityRecord::take(&found[0].1[..len]).is_none()));
    }
}
