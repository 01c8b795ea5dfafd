//! The entities that rows make, by key: items that give one key are folded into one entity.

use super::model::{MergePolicy, MergeRules};
use crate::graph::{InputLocation, Value};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128;

/// An entity that items made.
#[derive(Clone, Debug)]
pub(super) struct EntityRecord {
    pub key: Box<str>,
    /// Number of the type.
    pub type_name: u32,
    /// Number of its classes; see [`super::run`].
    pub classes: u32,
    /// `displayName`, if the file or the row says one.
    pub name: Option<Box<str>>,
    pub properties: Vec<(u32, Value<'static>)>,
    /// Raw data, as JSON text.
    pub raw: Option<Box<str>>,
    pub place: InputLocation,
    /// True if only ends made it.
    pub created: bool,
}

/// What became of an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AddedEntity {
    Made,
    Folded,
    /// It contradicts an earlier one: what, and where that one stands.
    Conflict(EntityConflict, InputLocation),
}

/// What two items of one key say differently.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntityConflict {
    /// The number of the other type.
    Type(u32),
    Class,
    Name(String, String),
    /// Number of the property, and both values.
    Property(u32, String, String),
}

/// All entities, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct EntityTable {
    pub records: Vec<EntityRecord>,
    /// Digest of a key, and the entity; at 128 bits two keys with one digest do not happen.
    by_key: FxHashMap<u128, u32>,
}

impl EntityTable {
    /// The entity with a key.
    pub(super) fn with_key(&self, key: &str) -> Option<u32> {
        self.by_key.get(&xxh3_128(key.as_bytes())).copied()
    }

    /// Takes an entity of a row. `union` gives the policy for a property by its number.
    pub(super) fn add(
        &mut self,
        record: EntityRecord,
        merge: &MergeRules,
        name_of: impl Fn(u32) -> String,
    ) -> AddedEntity {
        let digest = xxh3_128(record.key.as_bytes());
        let Some(&at) = self.by_key.get(&digest) else {
            self.by_key.insert(digest, self.records.len() as u32);
            self.records.push(record);
            return AddedEntity::Made;
        };
        let known = &mut self.records[at as usize];
        let place = known.place;
        if known.type_name != record.type_name {
            return AddedEntity::Conflict(EntityConflict::Type(known.type_name), place);
        }
        if known.classes != record.classes {
            match merge.of("_class") {
                Some(MergePolicy::Last) => known.classes = record.classes,
                Some(_) => {}
                None => return AddedEntity::Conflict(EntityConflict::Class, place),
            }
        }
        match (&known.name, record.name) {
            (_, None) => {}
            (None, name) => known.name = name,
            (Some(old), Some(new)) if *old == new => {}
            (Some(old), Some(new)) => match merge.of("displayName") {
                Some(MergePolicy::Last) => known.name = Some(new),
                Some(_) => {}
                None => {
                    let conflict = EntityConflict::Name(old.to_string(), new.to_string());
                    return AddedEntity::Conflict(conflict, place);
                }
            },
        }
        for (name, value) in record.properties {
            if let Some((old, new)) =
                merge_property(&mut known.properties, name, value, || merge.of(&name_of(name)))
            {
                return AddedEntity::Conflict(EntityConflict::Property(name, old, new), place);
            }
        }
        known.raw = match (known.raw.take(), record.raw) {
            (Some(old), Some(new)) if merge.others == Some(MergePolicy::Last) && old != new => {
                Some(new)
            }
            (old, new) => old.or(new),
        };
        AddedEntity::Folded
    }

    /// Takes an entity of an end: what is known already stays. `Err` names the other type that another
    /// end gives it, and where.
    pub(super) fn create(&mut self, record: EntityRecord) -> Result<bool, (u32, InputLocation)> {
        let digest = xxh3_128(record.key.as_bytes());
        let Some(&at) = self.by_key.get(&digest) else {
            self.by_key.insert(digest, self.records.len() as u32);
            self.records.push(record);
            return Ok(true);
        };
        let known = &mut self.records[at as usize];
        // The type that a row gives wins over that of an end.
        if known.created && known.type_name != record.type_name {
            return Err((known.type_name, known.place));
        }
        if known.name.is_none() {
            known.name = record.name;
        }
        for (name, value) in record.properties {
            if !known.properties.iter().any(|(of, _)| *of == name) {
                known.properties.push((name, value));
            }
        }
        if known.raw.is_none() {
            known.raw = record.raw;
        }
        Ok(false)
    }
}

/// Puts a property beside those that are known. Returns both values if they disagree and no policy
/// settles it.
pub(super) fn merge_property(
    known: &mut Vec<(u32, Value<'static>)>,
    name: u32,
    value: Value<'static>,
    policy: impl Fn() -> Option<MergePolicy>,
) -> Option<(String, String)> {
    let Some((_, old)) = known.iter_mut().find(|(of, _)| *of == name) else {
        known.push((name, value));
        return None;
    };
    if *old == value {
        return None;
    }
    match policy() {
        Some(MergePolicy::First) => {}
        Some(MergePolicy::Last) => *old = value,
        Some(MergePolicy::Union) => {
            let items = |value: Value<'static>| match value {
                Value::List(items) => items,
                single => vec![single],
            };
            let mut all = items(std::mem::replace(old, Value::Null));
            let same = all.first().is_none_or(|first| {
                items(value.clone()).iter().all(|item| item.same_family(first))
            });
            for item in items(value) {
                // Items of different kinds cannot stand in one list, and their texts can.
                let item =
                    if same { item } else { Value::Text(crate::lang::text_of(&item).into()) };
                if !same {
                    for known in &mut all {
                        *known = Value::Text(crate::lang::text_of(known).into());
                    }
                }
                if !all.contains(&item) {
                    all.push(item);
                }
            }
            *old = match all.len() {
                1 => all.remove(0),
                _ => Value::List(all),
            };
        }
        None => return Some((old.to_string(), value.to_string())),
    }
    None
}
