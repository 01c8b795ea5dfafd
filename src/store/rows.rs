//! The small rows: counters, scopes, jobs.

use super::codec::{ByteCursor, declares_unpacked_len, put_bytes, put_varint};
use crate::graph::{CLASS_SEPARATOR, ObjectKind};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Numbers of edges that are stored in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeCounts {
    /// Edges of the base.
    pub base: u32,
    /// Entries of the delta.
    pub delta: u32,
}

/// Counters of the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseMeta {
    /// Raised by every commit; a plan made at another revision is stale.
    pub revision: u64,
    /// Secret seed of content digests, so that nobody can prepare two contents with the same
    /// digest.
    pub digest_seed: u64,
    /// The next dense number of each kind: one more than the largest given out.
    pub next_number: [u32; 2],
    /// The next sequence number of a job.
    pub next_job: u32,
    /// The next number of a name: one more than the largest given out.
    pub next_name: u32,
    /// The number of names in use.
    pub names: u32,
    /// The number of words, see `names.rs`.
    pub words: u32,
    /// The next number of a label of relationships.
    pub labels: u32,
    /// Edges from the from end to the to end, and edges the other way.
    pub edges: [EdgeCounts; 2],
}

impl DatabaseMeta {
    /// The next number of a kind.
    pub fn bound(&self, kind: ObjectKind) -> u32 {
        self.next_number[kind as usize]
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(72);
        out.extend_from_slice(&self.revision.to_le_bytes());
        out.extend_from_slice(&self.digest_seed.to_le_bytes());
        let ([entities, relationships], jobs) = (self.next_number, self.next_job);
        let [next_name, names, words] = [self.next_name, self.names, self.words];
        for n in [entities, relationships, jobs, next_name, names, words, self.labels] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for n in self.edges.iter().flat_map(|counts| [counts.base, counts.delta]) {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(payload: &[u8]) -> Option<DatabaseMeta> {
        let mut c = ByteCursor(payload);
        let meta = DatabaseMeta {
            revision: c.u64()?,
            digest_seed: c.u64()?,
            next_number: [c.u32()?, c.u32()?],
            next_job: c.u32()?,
            next_name: c.u32()?,
            names: c.u32()?,
            words: c.u32()?,
            labels: c.u32()?,
            edges: [edge_counts(&mut c)?, edge_counts(&mut c)?],
        };
        c.0.is_empty().then_some(meta)
    }
}

fn edge_counts(c: &mut ByteCursor<'_>) -> Option<EdgeCounts> {
    Some(EdgeCounts { base: c.u32()?, delta: c.u32()? })
}

/// Live and deleted objects of one kind in one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectCounts {
    /// Live objects.
    pub live: u64,
    /// Tombstones.
    pub deleted: u64,
    /// Live objects by type (name numbers).
    pub types: BTreeMap<u32, u64>,
    /// Live objects by verb, or by class set (name numbers).
    pub classes: BTreeMap<u32, u64>,
}

impl ObjectCounts {
    /// Counts an object in (`by` = 1) or out (`by` = -1) of the live ones.
    pub fn shift(&mut self, type_name: u32, class: u32, by: i64) {
        self.live = self.live.wrapping_add_signed(by);
        for (map, name) in [(&mut self.types, type_name), (&mut self.classes, class)] {
            let count = map.entry(name).or_default();
            *count = count.wrapping_add_signed(by);
            // An entry of 0 would count as a type or class that the scope has.
            if *count == 0 {
                map.remove(&name);
            }
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.live);
        put_varint(out, self.deleted);
        for map in [&self.types, &self.classes] {
            put_varint(out, map.len() as u64);
            for (&name, &count) in map {
                put_varint(out, name.into());
                put_varint(out, count);
            }
        }
    }

    fn decode(c: &mut ByteCursor<'_>) -> Option<ObjectCounts> {
        let (live, deleted) = (c.varint()?, c.varint()?);
        let mut map =
            || (0..c.varint()?).map(|_| Some((c.varint32()?, c.varint()?))).collect::<Option<_>>();
        Some(ObjectCounts { live, deleted, types: map()?, classes: map()? })
    }
}

/// The kind of program that a scope belongs to: the others do not write there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeOwner {
    /// A collector, whose jobs bring entities and their relationships.
    Collector,
    /// A bridge: CROSS_SCOPE jobs, most of them of mapping files.
    Bridge,
}

/// The row of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeRow {
    /// Raised by every commit that touches the scope.
    pub generation: u64,
    /// Entities and relationships.
    pub counts: [ObjectCounts; 2],
    /// The next block of bodies of each kind.
    pub next_block: [u32; 2],
    /// Records in the blocks of each kind that no head names any more.
    pub dead: [u64; 2],
    /// Sequence number of the job that last changed the scope.
    pub last_job: Option<u32>,
    /// Delete guard: largest share of live objects, in percent, that one job may delete.
    pub max_delete_percent: Option<u32>,
    /// Delete guard: deletions up to this number are always allowed.
    pub min_deletes: Option<u64>,
    /// The kind of program that wrote it, as far as it is known; see [`ScopeRow::owner`].
    pub written_by: Option<ScopeOwner>,
}

impl ScopeRow {
    /// The kind of program that the scope belongs to. A scope without live objects belongs to
    /// nobody.
    pub fn owner(&self) -> Option<ScopeOwner> {
        let [entities, relationships] = [0, 1].map(|kind| self.counts[kind].live);
        match self.written_by {
            _ if entities + relationships == 0 => None,
            // Entities tell it also where it was not written down.
            None if entities > 0 => Some(ScopeOwner::Collector),
            owner => owner,
        }
    }

    /// True if the scope holds nothing and nothing is set for it.
    pub fn is_bare(&self) -> bool {
        self.counts.iter().all(|counts| *counts == ObjectCounts::default())
            && self.max_delete_percent.is_none()
            && self.min_deletes.is_none()
    }

    /// The name numbers of its types, classes and verbs.
    pub(super) fn words(&self) -> impl Iterator<Item = u32> + '_ {
        let maps = self.counts.iter().flat_map(|counts| [&counts.types, &counts.classes]);
        maps.flat_map(BTreeMap::keys).copied()
    }

    /// The counts of a kind.
    pub fn count(&self, kind: ObjectKind) -> &ObjectCounts {
        &self.counts[kind as usize]
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        put_varint(&mut out, self.generation);
        self.counts.iter().for_each(|counts| counts.encode(&mut out));
        let [entities, relationships] = self.next_block;
        for n in [entities.into(), relationships.into(), self.dead[0], self.dead[1]] {
            put_varint(&mut out, n);
        }
        let (last_job, percent) = (self.last_job.map(u64::from), self.max_delete_percent);
        for option in [last_job, percent.map(u64::from), self.min_deletes] {
            put_varint(&mut out, option.is_some().into());
            option.into_iter().for_each(|n| put_varint(&mut out, n));
        }
        out.extend(self.written_by.map(|owner| owner as u8 + 1));
        out
    }

    pub(super) fn decode(payload: &[u8]) -> Option<ScopeRow> {
        fn optional<T: TryFrom<u64>>(c: &mut ByteCursor<'_>) -> Option<Option<T>> {
            match c.varint()? {
                0 => Some(None),
                1 => Some(Some(c.varint()?.try_into().ok()?)),
                _ => None,
            }
        }
        let mut c = ByteCursor(payload);
        let row = ScopeRow {
            generation: c.varint()?,
            counts: [ObjectCounts::decode(&mut c)?, ObjectCounts::decode(&mut c)?],
            next_block: [c.varint32()?, c.varint32()?],
            dead: [c.varint()?, c.varint()?],
            last_job: optional(&mut c)?,
            max_delete_percent: optional(&mut c)?,
            min_deletes: optional(&mut c)?,
            // Left out while it is not known.
            written_by: match c.0 {
                [] => None,
                [1] => Some(ScopeOwner::Collector),
                [2] => Some(ScopeOwner::Bridge),
                _ => return None,
            },
        };
        c.0 = &[];
        c.0.is_empty().then_some(row)
    }
}

/// Bytes of the longest report.
const REPORT_MAX: usize = 64 << 20;

/// A finished job as stored. The store does not interpret the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Public id of the job.
    pub id: Uuid,
    /// `source` of the job, e.g. `api`.
    pub source: String,
    /// The report, as JSON.
    pub report: Vec<u8>,
}

impl JobRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.id.as_bytes().to_vec();
        put_bytes(&mut out, self.source.as_bytes());
        out.extend_from_slice(&(self.report.len() as u32).to_le_bytes());
        let packed = zstd::bulk::compress(&self.report, 1).expect("BUG: zstd compresses any bytes");
        out.extend_from_slice(&packed);
        out
    }

    pub(super) fn decode(payload: &[u8]) -> Option<JobRow> {
        let mut c = ByteCursor(payload);
        let id = Uuid::from_bytes(c.array()?);
        let source = c.text()?.to_owned();
        let len = c.u32()? as usize;
        // A damaged length must not make room for gigabytes.
        if len > REPORT_MAX || !declares_unpacked_len(c.0, len) {
            return None;
        }
        let report = zstd::bulk::decompress(c.0, len).ok().filter(|r| r.len() == len)?;
        Some(JobRow { id, source, report })
    }
}

/// The classes of a class set.
pub fn split_classes(set: &str) -> Vec<String> {
    set.split(CLASS_SEPARATOR).filter(|c| !c.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts() -> impl Strategy<Value = ObjectCounts> {
        let map = || prop::collection::btree_map(any::<u32>(), any::<u64>(), 0..4);
        (any::<u64>(), any::<u64>(), map(), map()).prop_map(|(live, deleted, types, classes)| {
            ObjectCounts { live, deleted, types, classes }
        })
    }

    proptest! {
        #[test]
        fn rows_of_scopes_come_back(
            generation: u64,
            counts in [counts(), counts()],
            next_block: [u32; 2],
            dead: [u64; 2],
            last_job: Option<u32>,
            max_delete_percent: Option<u32>,
            min_deletes: Option<u64>,
            written_by in prop::option::of(
                prop::sample::select(vec![ScopeOwner::Collector, ScopeOwner::Bridge]),
            ),
            cut: prop::sample::Index,
        ) {
            let row = ScopeRow {
                generation, counts, next_block, dead, last_job, max_delete_percent, min_deletes,
                written_by,
            };
            let bytes = row.encode();
            let known = bytes.len() - usize::from(written_by.is_some());
            prop_assert_eq!(ScopeRow::decode(&bytes[..cut.index(known)]), None);
            prop_assert_eq!(ScopeRow::decode(&bytes), Some(row));
        }
    }
}
