//! Labels: the properties that many relationships share.
//!
//! Many relationships share a few combinations of scope, type and verb. Each combination is a label
//! with a number, and every edge in adjacency has this number. So a walk knows the verb without
//! reading a head, and an answer the names of a relationship. A label never changes while a
//! relationship has it. `gc` removes labels that no relationship has any more, and their numbers
//! are given out again.
//!
//! ```text
//!   row   up to 256 * (scope varint, type varint, verb varint * 2, plus 1 for a derived key); scope 0
//!         stands for none
//! ```

use super::codec::{ByteCursor, put_varint};
use super::heads::ObjectHead;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// The properties that many relationships share, as name numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationshipLabel {
    /// `_scope`.
    pub scope: u32,
    /// `_type`.
    pub type_name: u32,
    /// `_class`.
    pub verb: u32,
    /// True if `_key` is made from the ends and the verb.
    pub derived_key: bool,
}

impl RelationshipLabel {
    /// The label of a relationship.
    pub fn of(head: &ObjectHead) -> RelationshipLabel {
        RelationshipLabel {
            scope: head.scope,
            type_name: head.type_name,
            verb: head.class,
            derived_key: head.key.is_empty(),
        }
    }
}

/// Labels that a database can hold: each question reads them all.
pub const LABELS_MAX: usize = 100_000;

/// Labels in one row.
const CHUNK: usize = 256;

/// The label of a number that is free: 0 is the number of no name.
const NONE: RelationshipLabel =
    RelationshipLabel { scope: 0, type_name: 0, verb: 0, derived_key: false };

/// All labels: from number to label and back.
#[derive(Clone, Default)]
pub struct LabelTable {
    labels: Vec<RelationshipLabel>,
    /// Made when the number of a label is first asked for.
    known: OnceLock<LabelNumbers>,
    /// Rows that differ from the stored ones.
    changed: BTreeSet<u32>,
}

#[derive(Clone, Default)]
struct LabelNumbers {
    numbers: FxHashMap<RelationshipLabel, u32>,
    /// Free numbers, descending.
    free: Vec<u32>,
}

impl LabelTable {
    /// Adds the labels of a row. `None` if it is damaged.
    pub(super) fn extend(&mut self, payload: &[u8]) -> Option<()> {
        let mut c = ByteCursor(payload);
        while !c.0.is_empty() {
            let (scope, type_name, packed) = (c.varint32()?, c.varint32()?, c.varint()?);
            let verb = u32::try_from(packed / 2).ok()?;
            self.labels.push(RelationshipLabel {
                scope,
                type_name,
                verb,
                derived_key: packed % 2 == 1,
            });
        }
        Some(())
    }

    /// The number of rows that so many labels take.
    pub(super) fn row_count(labels: u32) -> u32 {
        labels.div_ceil(CHUNK as u32)
    }

    /// The rows that have changed, with their payloads.
    pub(super) fn changed_rows(&self) -> impl Iterator<Item = (u32, Vec<u8>)> + '_ {
        self.changed.iter().map(|&row| (row, self.encode_row(row)))
    }

    fn encode_row(&self, row: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for label in self.labels.chunks(CHUNK).nth(row as usize).unwrap_or_default() {
            put_varint(&mut out, label.scope.into());
            put_varint(&mut out, label.type_name.into());
            put_varint(&mut out, u64::from(label.verb) * 2 + u64::from(label.derived_key));
        }
        out
    }

    fn known(&self) -> &LabelNumbers {
        self.known.get_or_init(|| {
            let mut known = LabelNumbers::default();
            for (number, label) in (0..).zip(&self.labels) {
                if *label == NONE {
                    known.free.push(number);
                } else {
                    known.numbers.insert(*label, number);
                }
            }
            // The lowest free number is given out first, so the table stays short.
            known.free.reverse();
            known
        })
    }

    /// The number of numbers, free ones included.
    pub fn count(&self) -> u32 {
        self.labels.len() as u32
    }

    /// The number of labels.
    pub fn in_use(&self) -> usize {
        self.known().numbers.len()
    }

    /// The label with a number.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&RelationshipLabel> {
        self.labels.get(number as usize).filter(|label| **label != NONE)
    }

    /// The number of a label.
    pub fn number(&self, label: RelationshipLabel) -> Option<u32> {
        self.known().numbers.get(&label).copied()
    }

    /// The number of a label. If it has none, it gets one now.
    pub fn intern(&mut self, label: RelationshipLabel) -> u32 {
        if let Some(number) = self.number(label) {
            return number;
        }
        let next = self.count();
        let known = self.known.get_mut().expect("BUG: it was just asked");
        let number = known.free.pop().unwrap_or(next);
        known.numbers.insert(label, number);
        match self.labels.get_mut(number as usize) {
            Some(free) => *free = label,
            None => self.labels.push(label),
        }
        self.changed.insert(number / CHUNK as u32);
        number
    }

    /// Removes the labels that are not `used`; returns how many.
    pub(super) fn retain(&mut self, used: impl Fn(u32) -> bool) -> u64 {
        // The map is made anew when it is needed: the free numbers change.
        self.known = OnceLock::new();
        let mut taken = 0;
        for (number, label) in (0..).zip(&mut self.labels) {
            if *label != NONE && !used(number) {
                *label = NONE;
                self.changed.insert(number / CHUNK as u32);
                taken += 1;
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back_from_their_rows() {
        let mut labels = LabelTable::default();
        for i in 0..600 {
            let label = RelationshipLabel {
                scope: 1 + i % 7,
                type_name: i * 1000,
                verb: u32::MAX - i % 3,
                derived_key: i % 2 == 0,
            };
            assert_eq!(labels.intern(label), i);
            assert_eq!(labels.intern(label), i);
        }
        let read_back = |labels: &LabelTable| {
            let mut read = LabelTable::default();
            let rows: Vec<(u32, Vec<u8>)> = labels.changed_rows().collect();
            assert_eq!(rows.len() as u32, LabelTable::row_count(labels.count()));
            rows.iter().for_each(|(_, row)| assert_eq!(read.extend(row), Some(())));
            read
        };
        let read = read_back(&labels);
        assert_eq!(read.labels, labels.labels);
        assert_eq!(read.number(labels.labels[599]), Some(599));
        assert_eq!(read.get(600), None);
        // Half a row is noticed.
        let row = labels.encode_row(0);
        assert_eq!(LabelTable::default().extend(&row[..row.len() - 1]), None);
        // A removed label leaves its number to others.
        let gone = labels.labels[300];
        assert_eq!(labels.retain(|number| number != 300 && number != 4), 2);
        let mut read = read_back(&labels);
        assert_eq!((read.number(gone), read.get(300), read.in_use()), (None, None, 598));
        let new = RelationshipLabel { scope: 9999, ..gone };
        assert_eq!([read.intern(new), read.intern(gone)], [4, 300]);
        assert_eq!(read.intern(RelationshipLabel { scope: 9998, ..gone }), 600);
        assert_eq!(read.get(4), Some(&new));
    }
}
