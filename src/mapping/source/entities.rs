//! The entities that rows make, by key: items that give one key are folded into one entity.
//!
//! What is said of an entity lies in a log. In memory there is where it lies, and the entities that
//! items which say different things were folded into, as long as there are few of them.

use super::model::{MergePolicy, MergeRules};
use super::record::{CLASSES_OF_TYPE, EntityRecord, KeyDigest, record_at};
use super::record_log::RecordLog;
use crate::graph::{InputLocation, Value};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::io;
use std::ops::Range;

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

/// An entity that an item made, as bytes of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedEntity {
    pub key: KeyDigest,
    /// Where its record begins and ends in the log, length and all.
    pub start: u64,
    pub end: u64,
    /// The hash of what is said of it.
    pub hash: u64,
    pub type_name: u32,
    pub classes: u32,
}

/// An entity, and where what is said of it lies.
#[derive(Clone, Copy, Debug)]
struct EntitySlot {
    start: u64,
    len: u32,
    /// True if only ends made it.
    created: bool,
    /// The hash of what was said first; 0 if anything was added.
    hash: u64,
    type_name: u32,
    classes: u32,
}

/// All entities, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct EntityTable {
    slots: Vec<EntitySlot>,
    by_key: FxHashMap<KeyDigest, u32>,
    log: RecordLog,
    /// Entities that differ from their record.
    changed: FxHashMap<u32, EntityRecord<'static>>,
}

/// Changed entities that are held in memory. More are written down.
const CHANGED_MAX: usize = 50_000;

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a temporary file was changed by others")
}

impl EntityTable {
    /// The number of entities.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The entity with a key.
    pub(super) fn with_key(&self, key: &str) -> Option<u32> {
        self.by_key.get(&KeyDigest::of(key)).copied()
    }

    /// The number of the type of an entity.
    pub(super) fn type_of(&self, entity: u32) -> u32 {
        self.slots[entity as usize].type_name
    }

    /// The numbers of the types of all entities.
    pub(super) fn types(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().map(|slot| slot.type_name)
    }

    /// Appends what items say to the log, and returns where it begins.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<u64> {
        self.log.append(records)
    }

    /// The key that an item of the log gives.
    pub(super) fn logged_key(&self, entity: &LoggedEntity) -> String {
        let bytes = self.log.read(entity.start..entity.end).unwrap_or_default();
        let record = record_at(&bytes, 0).and_then(EntityRecord::take);
        record.map_or_else(String::new, |record| record.key.into_owned())
    }

    /// What is said of an entity.
    pub(super) fn record(&self, entity: u32) -> io::Result<EntityRecord<'static>> {
        let mut found = None;
        self.records(entity as usize..entity as usize + 1, &mut |record| {
            found = Some(record.into_owned());
            Ok::<(), io::Error>(())
        })?;
        found.ok_or_else(damaged)
    }

    /// Calls `visit` for what is said of some entities, in order.
    pub(super) fn records<E: From<io::Error>>(
        &self,
        entities: Range<usize>,
        visit: &mut dyn FnMut(EntityRecord<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let slots = &self.slots[entities.clone()];
        let ends = |slot: &EntitySlot| slot.start..slot.start + u64::from(slot.len);
        let start = slots.iter().map(|slot| slot.start).min().unwrap_or(0);
        let end = slots.iter().map(|slot| ends(slot).end).max().unwrap_or(0);
        // Those that were written down again lie further on, each by itself.
        let together = end - start <= TOGETHER_MAX;
        let all = if together { self.log.read(start..end)? } else { Vec::new() };
        for (slot, at) in slots.iter().zip(entities) {
            if let Some(changed) = self.changed.get(&(at as u32)) {
                visit(changed.borrowed())?;
                continue;
            }
            let alone;
            let bytes = match together {
                true => record_at(&all, (slot.start - start) as usize),
                false => {
                    alone = self.log.read(ends(slot))?;
                    record_at(&alone, 0)
                }
            };
            let record = bytes.and_then(EntityRecord::take).ok_or_else(damaged)?;
            let (type_name, classes) = (slot.type_name, slot.classes);
            visit(EntityRecord { type_name, classes, ..record })?;
        }
        Ok(())
    }

    /// Puts down an entity that differs from its record.
    fn change(&mut self, entity: u32, record: EntityRecord<'static>) -> io::Result<()> {
        let slot = &mut self.slots[entity as usize];
        (slot.hash, slot.classes) = (0, record.classes);
        self.changed.insert(entity, record);
        if self.changed.len() < CHANGED_MAX {
            return Ok(());
        }
        let mut all: Vec<(u32, EntityRecord<'static>)> = self.changed.drain().collect();
        all.sort_by_key(|(entity, _)| *entity);
        for (entity, record) in all {
            let mut bytes = Vec::new();
            let hash = record.put(&mut bytes);
            let start = self.log.append(&bytes)?;
            let slot = &mut self.slots[entity as usize];
            (slot.start, slot.len, slot.hash) = (start, bytes.len() as u32, hash);
        }
        Ok(())
    }

    /// Takes an entity of a row, whose record the log has. `name_of` gives the name of a property.
    pub(super) fn add(
        &mut self,
        new: LoggedEntity,
        merge: &MergeRules,
        name_of: impl Fn(u32) -> String,
    ) -> io::Result<AddedEntity> {
        let Some(&at) = self.by_key.get(&new.key) else {
            self.push(new, false);
            return Ok(AddedEntity::Made);
        };
        let known = self.slots[at as usize];
        let same = (known.hash, known.type_name, known.classes);
        if same == (new.hash, new.type_name, new.classes) {
            return Ok(AddedEntity::Folded);
        }
        let mut record = match self.changed.remove(&at) {
            Some(record) => record,
            None => self.record(at)?,
        };
        let bytes = self.log.read(new.start..new.end)?;
        let said = record_at(&bytes, 0).and_then(EntityRecord::take).ok_or_else(damaged)?;
        let said = EntityRecord { type_name: new.type_name, classes: new.classes, ..said };
        if let Some(conflict) = fold(&mut record, said.into_owned(), merge, name_of) {
            return Ok(AddedEntity::Conflict(conflict, record.place));
        }
        self.change(at, record)?;
        Ok(AddedEntity::Folded)
    }

    fn push(&mut self, new: LoggedEntity, created: bool) {
        self.by_key.insert(new.key, self.slots.len() as u32);
        let LoggedEntity { start, end, hash, type_name, classes, .. } = new;
        let len = (end - start) as u32;
        self.slots.push(EntitySlot { start, len, created, hash, type_name, classes });
    }

    /// Takes an entity of an end: what is known already stays. `Err` names the other type that another
    /// end gives it, and where.
    pub(super) fn create(
        &mut self,
        record: EntityRecord<'_>,
    ) -> io::Result<Result<bool, (u32, InputLocation)>> {
        debug_assert_ne!(record.classes, CLASSES_OF_TYPE, "somebody has to know them");
        let key = KeyDigest::of(&record.key);
        let Some(&at) = self.by_key.get(&key) else {
            let mut bytes = Vec::new();
            let hash = record.put(&mut bytes);
            let start = self.log.append(&bytes)?;
            let (type_name, classes) = (record.type_name, record.classes);
            let end = start + bytes.len() as u64;
            self.push(LoggedEntity { key, start, end, hash, type_name, classes }, true);
            return Ok(Ok(true));
        };
        let slot = self.slots[at as usize];
        // The type that a row gives wins over that of an end.
        if slot.created && slot.type_name != record.type_name {
            return Ok(Err((slot.type_name, self.record(at)?.place)));
        }
        if record.name.is_none() && record.raw.is_none() && record.properties.is_empty() {
            return Ok(Ok(false));
        }
        let mut known = self.record(at)?;
        let record = record.into_owned();
        let names = known.properties.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let more = record.properties.into_iter().filter(|(name, _)| !names.contains(name));
        let filled = known.properties.len();
        known.properties.extend(more);
        let changed = known.properties.len() > filled
            || known.name.is_none() && record.name.is_some()
            || known.raw.is_none() && record.raw.is_some();
        if changed {
            known.name = known.name.or(record.name);
            known.raw = known.raw.or(record.raw);
            self.change(at, known)?;
        }
        Ok(Ok(false))
    }
}

/// Bytes of the log that are read for some entities that do not follow each other.
const TOGETHER_MAX: u64 = 8 << 20;

/// Folds what an item says into what is known. `Some` if they disagree and no policy settles it.
fn fold(
    known: &mut EntityRecord<'static>,
    new: EntityRecord<'static>,
    merge: &MergeRules,
    name_of: impl Fn(u32) -> String,
) -> Option<EntityConflict> {
    if known.type_name != new.type_name {
        return Some(EntityConflict::Type(known.type_name));
    }
    if known.classes != new.classes {
        match merge.of("_class") {
            Some(MergePolicy::Last) => known.classes = new.classes,
            Some(_) => {}
            None => return Some(EntityConflict::Class),
        }
    }
    match (&known.name, new.name) {
        (_, None) => {}
        (None, name) => known.name = name,
        (Some(old), Some(new)) if *old == new => {}
        (Some(old), Some(new)) => match merge.of("displayName") {
            Some(MergePolicy::Last) => known.name = Some(new),
            Some(_) => {}
            None => return Some(EntityConflict::Name(old.to_string(), new.to_string())),
        },
    }
    for (name, value) in new.properties {
        let policy = || merge.of(&name_of(name));
        if let Some((old, new)) = merge_property(&mut known.properties, name, value, policy) {
            return Some(EntityConflict::Property(name, old, new));
        }
    }
    known.raw = match (known.raw.take(), new.raw) {
        (Some(old), Some(new)) if merge.others == Some(MergePolicy::Last) && old != new => {
            Some(new)
        }
        (old, new) => old.or(new),
    };
    None
}

impl EntityRecord<'static> {
    /// The same for whoever takes records of a log.
    fn borrowed(&self) -> EntityRecord<'_> {
        EntityRecord {
            key: Cow::Borrowed(&self.key),
            name: self.name.as_deref().map(Cow::Borrowed),
            raw: self.raw.as_deref().map(Cow::Borrowed),
            properties: self.properties.iter().map(|(n, v)| (*n, v.borrowed())).collect(),
            type_name: self.type_name,
            classes: self.classes,
            place: self.place,
        }
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
