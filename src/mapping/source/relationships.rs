//! The relationships that items make, by key: items that say one edge are folded.
//!
//! As of entities, what is said of them lies in a log.

use super::entities::merge_property;
use super::model::MergeRules;
use super::record::{KeyDigest, RelationshipRecord, record_at};
use super::record_log::RecordLog;
use crate::graph::InputLocation;
use rustc_hash::FxHashMap;
use std::io;
use std::ops::Range;

/// What became of an edge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AddedRelationship {
    Linked,
    Duplicate,
    /// It contradicts an earlier one: the number of the property, if one differs, with both values;
    /// and where the earlier one stands.
    Conflict(Option<(u32, String, String)>, InputLocation),
}

/// An edge whose ends are known, as bytes of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedRelationship {
    pub key: KeyDigest,
    /// True if it is in the log of edges that were written down again.
    pub again: bool,
    /// Where its record begins and ends in the log, length and all.
    pub start: u64,
    pub end: u64,
    /// The hash of what is said of it.
    pub hash: u64,
    pub from: u32,
    pub to: u32,
    pub class: u32,
    pub type_name: u32,
}

/// An edge with its ends.
#[derive(Clone, Debug)]
pub(super) struct KnownRelationship<'b> {
    pub record: RelationshipRecord<'b>,
    pub from: u32,
    pub to: u32,
    pub type_name: u32,
}

/// All edges, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct RelationshipTable {
    slots: Vec<LoggedRelationship>,
    by_key: FxHashMap<KeyDigest, u32>,
    pub log: RecordLog,
    /// Edges that were changed and written down again.
    again: RecordLog,
    /// Edges that differ from their record.
    changed: FxHashMap<u32, RelationshipRecord<'static>>,
}

/// Changed edges that are held in memory. More are written down.
const CHANGED_MAX: usize = 50_000;

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a temporary file was changed by others")
}

impl RelationshipTable {
    /// The number of edges.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The numbers of the classes of all edges.
    pub(super) fn classes(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().map(|slot| slot.class)
    }

    /// What is said of an edge that is in `log`, unless it was written down again.
    fn said(
        &self,
        log: &RecordLog,
        slot: &LoggedRelationship,
    ) -> io::Result<RelationshipRecord<'static>> {
        let log = if slot.again { &self.again } else { log };
        let bytes = log.read(slot.start..slot.end)?;
        let record = record_at(&bytes, 0).and_then(RelationshipRecord::take);
        Ok(record.ok_or_else(damaged)?.0.into_owned())
    }

    /// Takes an edge, whose record is in `log`, which is that of this table.
    pub(super) fn add(
        &mut self,
        log: &RecordLog,
        new: LoggedRelationship,
        merge: &MergeRules,
        name_of: impl Fn(u32) -> String,
    ) -> io::Result<AddedRelationship> {
        let Some(&at) = self.by_key.get(&new.key) else {
            self.by_key.insert(new.key, self.slots.len() as u32);
            self.slots.push(new);
            return Ok(AddedRelationship::Linked);
        };
        let known = self.slots[at as usize];
        if known.hash == new.hash {
            return Ok(AddedRelationship::Duplicate);
        }
        let mut record = match self.changed.remove(&at) {
            Some(record) => record,
            None => self.said(log, &known)?,
        };
        let place = record.place;
        let what = |slot: &LoggedRelationship| (slot.class, slot.type_name, slot.from, slot.to);
        let mut conflict =
            (what(&known) != what(&new)).then_some(AddedRelationship::Conflict(None, place));
        if conflict.is_none() {
            let said = self.said(log, &new)?;
            for (name, value) in said.properties {
                let policy = || merge.of(&name_of(name));
                let differ = merge_property(&mut record.properties, name, value, policy);
                if let Some((old, new)) = differ {
                    let differ = Some((name, old, new));
                    conflict = Some(AddedRelationship::Conflict(differ, place));
                    break;
                }
            }
            record.raw = record.raw.or(said.raw);
        }
        self.change(at, record)?;
        Ok(conflict.unwrap_or(AddedRelationship::Duplicate))
    }

    fn change(&mut self, edge: u32, record: RelationshipRecord<'static>) -> io::Result<()> {
        self.slots[edge as usize].hash = 0;
        self.changed.insert(edge, record);
        if self.changed.len() < CHANGED_MAX {
            return Ok(());
        }
        let mut all: Vec<(u32, RelationshipRecord<'static>)> = self.changed.drain().collect();
        all.sort_by_key(|(edge, _)| *edge);
        for (edge, record) in all {
            let mut bytes = Vec::new();
            let hash = record.put(&mut bytes);
            let start = self.again.append(&bytes)?;
            let slot = &mut self.slots[edge as usize];
            (slot.start, slot.end, slot.hash) = (start, start + bytes.len() as u64, hash);
            slot.again = true;
        }
        Ok(())
    }

    /// Calls `visit` for some edges, in order.
    pub(super) fn records<E: From<io::Error>>(
        &self,
        edges: Range<usize>,
        visit: &mut dyn FnMut(KnownRelationship<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let slots = &self.slots[edges.clone()];
        let first = slots.iter().filter(|slot| !slot.again);
        let start = first.clone().map(|slot| slot.start).min().unwrap_or(0);
        let end = first.map(|slot| slot.end).max().unwrap_or(0);
        let together = end - start <= TOGETHER_MAX;
        let all = if together { self.log.read(start..end)? } else { Vec::new() };
        for (slot, at) in slots.iter().zip(edges) {
            let LoggedRelationship { from, to, type_name, .. } = *slot;
            if let Some(changed) = self.changed.get(&(at as u32)) {
                visit(KnownRelationship { record: changed.clone(), from, to, type_name })?;
                continue;
            }
            let alone;
            let bytes = match together && !slot.again {
                true => record_at(&all, (slot.start - start) as usize),
                false => {
                    let log = if slot.again { &self.again } else { &self.log };
                    alone = log.read(slot.start..slot.end)?;
                    record_at(&alone, 0)
                }
            };
            let (record, _) = bytes.and_then(RelationshipRecord::take).ok_or_else(damaged)?;
            visit(KnownRelationship { record, from, to, type_name })?;
        }
        Ok(())
    }

    /// The edges between two entities.
    pub(super) fn between(
        &self,
        from: u32,
        to: u32,
    ) -> io::Result<Vec<KnownRelationship<'static>>> {
        let mut found = Vec::new();
        let between = |slot: &LoggedRelationship| (slot.from, slot.to) == (from, to);
        for (at, slot) in self.slots.iter().enumerate().filter(|(_, slot)| between(slot)) {
            let record = match self.changed.get(&(at as u32)) {
                Some(record) => record.clone(),
                None => self.said(&self.log, slot)?,
            };
            found.push(KnownRelationship { record, from, to, type_name: slot.type_name });
        }
        Ok(found)
    }

    /// True if there is an edge between two entities.
    pub(super) fn links(&self, from: u32, to: u32) -> bool {
        self.slots.iter().any(|slot| (slot.from, slot.to) == (from, to))
    }
}

/// Bytes of the log that are read for some edges that do not follow each other.
const TOGETHER_MAX: u64 = 8 << 20;
