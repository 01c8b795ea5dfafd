//! Labels: what relationships that are alike have in common.
//!
//! Many relationships share a few combinations of scope, type and verb. Each combination has a number
//! that stands with every edge in adjacency, so that a walk knows the verb, and an answer the name of a
//! relationship, without its head. Labels are given out once and never change; one that no
//! relationship has any more stays.
//!
//! ```text
//!   row   up to 256 * (scope varint, type varint, verb varint * 2, plus 1 for a derived key)
//! ```

use super::codec::{Cursor, put_varint};
use super::heads::Head;
use super::rows::{Numbered, of_chunk};
use super::tables::{self, Definition};
use rustc_hash::FxHashMap;

/// What relationships that are alike have in common; names are name numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// `_scope`.
    pub scope: u32,
    /// `_type`.
    pub type_name: u32,
    /// `_class`.
    pub verb: u32,
    /// Whether `_key` is made from the ends and the verb.
    pub derived_key: bool,
}

impl Label {
    /// The label of a relationship.
    pub fn of(head: &Head) -> Label {
        Label {
            scope: head.scope,
            type_name: head.type_name,
            verb: head.class,
            derived_key: head.key.is_empty(),
        }
    }
}

/// All labels: from number to label and back.
#[derive(Clone, Default)]
pub struct Labels {
    labels: Vec<Label>,
    numbers: FxHashMap<Label, u32>,
}

impl Numbered for Labels {
    const TABLE: (Definition, &'static str) = (tables::LABELS, "labels");

    fn count(&self) -> u32 {
        Labels::count(self)
    }

    fn extend(&mut self, payload: &[u8]) -> Option<()> {
        let mut c = Cursor(payload);
        while !c.0.is_empty() {
            let (scope, type_name, packed) = (c.varint32()?, c.varint32()?, c.varint()?);
            let verb = u32::try_from(packed / 2).ok()?;
            self.push(Label { scope, type_name, verb, derived_key: packed % 2 == 1 });
        }
        Some(())
    }

    fn encode_chunk(&self, chunk: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for label in of_chunk(&self.labels, chunk) {
            put_varint(&mut out, label.scope.into());
            put_varint(&mut out, label.type_name.into());
            put_varint(&mut out, u64::from(label.verb) * 2 + u64::from(label.derived_key));
        }
        out
    }
}

impl Labels {
    fn push(&mut self, label: Label) -> u32 {
        let number = self.count();
        self.labels.push(label);
        self.numbers.insert(label, number);
        number
    }

    /// How many labels there are.
    pub fn count(&self) -> u32 {
        self.labels.len() as u32
    }

    /// The label with a number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&Label> {
        self.labels.get(number as usize)
    }

    /// The number of a label.
    pub fn number(&self, label: Label) -> Option<u32> {
        self.numbers.get(&label).copied()
    }

    /// The number of a label, given out now if it has none.
    pub fn intern(&mut self, label: Label) -> u32 {
        self.number(label).unwrap_or_else(|| self.push(label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back_from_their_rows() {
        let mut labels = Labels::default();
        for i in 0..600 {
            let label = Label {
                scope: i % 7,
                type_name: i * 1000,
                verb: u32::MAX - i % 3,
                derived_key: i % 2 == 0,
            };
            assert_eq!(labels.intern(label), i);
            assert_eq!(labels.intern(label), i);
        }
        let mut read = Labels::default();
        for chunk in 0..3 {
            assert_eq!(read.extend(&labels.encode_chunk(chunk)), Some(()));
        }
        assert_eq!(read.labels, labels.labels);
        assert_eq!(read.number(labels.labels[599]), Some(599));
        assert_eq!(read.get(600), None);
        // Half a row is noticed.
        let row = labels.encode_chunk(0);
        assert_eq!(Labels::default().extend(&row[..row.len() - 1]), None);
    }
}
