//! The relationships that items make, by key: items that say one edge are folded.

use super::entities::merge_property;
use super::model::MergeRules;
use crate::graph::{InputLocation, Value};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128;

/// An end of an edge before all entities are known.
#[derive(Clone, Debug)]
pub(super) enum PendingEnd {
    Key(Box<str>),
    /// The first that exists.
    Keys(Box<[Box<str>]>),
    Entity(u32),
}

/// An edge before all entities are known.
#[derive(Clone, Debug)]
pub(super) struct PendingRelationship {
    /// The rule, by its number.
    pub rule: u32,
    /// Number of the class.
    pub class: u32,
    pub type_name: Option<u32>,
    pub key: Option<Box<str>>,
    pub from: PendingEnd,
    pub to: PendingEnd,
    pub properties: Vec<(u32, Value<'static>)>,
    pub raw: Option<Box<str>>,
    pub place: InputLocation,
}

/// An edge between two entities.
#[derive(Clone, Debug)]
pub(super) struct RelationshipRecord {
    pub key: Box<str>,
    pub class: u32,
    pub type_name: u32,
    pub from: u32,
    pub to: u32,
    pub properties: Vec<(u32, Value<'static>)>,
    pub raw: Option<Box<str>>,
    pub place: InputLocation,
}

/// What became of an edge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AddedRelationship {
    Linked,
    Duplicate,
    /// It contradicts an earlier one: the number of the property, if one differs, with both values;
    /// and where the earlier one stands.
    Conflict(Option<(u32, String, String)>, InputLocation),
}

/// All edges, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct RelationshipTable {
    pub records: Vec<RelationshipRecord>,
    by_key: FxHashMap<u128, u32>,
}

impl RelationshipTable {
    /// Takes an edge.
    pub(super) fn add(
        &mut self,
        record: RelationshipRecord,
        merge: &MergeRules,
        name_of: impl Fn(u32) -> String,
    ) -> AddedRelationship {
        let digest = xxh3_128(record.key.as_bytes());
        let Some(&at) = self.by_key.get(&digest) else {
            self.by_key.insert(digest, self.records.len() as u32);
            self.records.push(record);
            return AddedRelationship::Linked;
        };
        let known = &mut self.records[at as usize];
        let same = (known.class, known.type_name, known.from, known.to)
            == (record.class, record.type_name, record.from, record.to);
        if !same {
            return AddedRelationship::Conflict(None, known.place);
        }
        let place = known.place;
        for (name, value) in record.properties {
            if let Some((old, new)) =
                merge_property(&mut known.properties, name, value, || merge.of(&name_of(name)))
            {
                return AddedRelationship::Conflict(Some((name, old, new)), place);
            }
        }
        if known.raw.is_none() {
            known.raw = record.raw;
        }
        AddedRelationship::Duplicate
    }

    /// The edges between two entities.
    pub(super) fn between(&self, from: u32, to: u32) -> impl Iterator<Item = &RelationshipRecord> {
        self.records.iter().filter(move |record| (record.from, record.to) == (from, to))
    }
}
