//! Ends: the entities that relationships begin and end at, found by the hash of their id.
//!
//! An end is an entity that the same plan brings to life, or a live one that is stored. Both sides
//! go through the parts of the space of hashes, so that random lookups go to a table that fits a
//! processor's cache, however large the upload is. An end that is given by its id alone is looked
//! for in all scopes, together with the others of its part. An end that is not found this way is
//! looked at alone, in `missing_ends.rs`.

use super::change::{ChangeAction, ObjectChange};
use super::entity_table::EntityHashTable;
use super::planner::SyncPlanner;
use crate::graph::{IdHash, ObjectKind};
use crate::store::{ByteCursor, NextGroup, SpillBuckets, SpillRecord, StoreError, pipeline};
use crate::sync::SyncError;
use crate::sync::compare::{ComparedUploads, HELD, HashPartitions};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// An entity that the plan brings to life.
#[derive(Clone, Copy, Debug)]
pub struct CreatedEntity {
    /// Hash of its id.
    pub id: IdHash,
    /// Its number; for a new one its position among the new entities of its job.
    pub number: u32,
    /// Position of the job of a new one, [`STORED`] for one that comes back.
    pub job: u32,
}

/// Stands for the job of an entity that has its number already.
const STORED: u32 = u32::MAX;

impl CreatedEntity {
    /// The entity that a change brings to life.
    pub fn of(change: &ObjectChange) -> CreatedEntity {
        let ObjectChange { id, number, job, action, .. } = *change;
        CreatedEntity { id, number, job: if action == ChangeAction::Create { job } else { STORED } }
    }
}

impl SpillRecord for CreatedEntity {
    fn put(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.number.to_le_bytes());
        bytes[12..].copy_from_slice(&self.job.to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        Some(CreatedEntity { id: IdHash(c.u64()?), number: c.u32()?, job: c.u32()? })
    }
}

/// An end that is looked for.
#[derive(Clone, Copy, Debug)]
struct PendingEnd {
    id: IdHash,
    /// Position of the relationship among all staged ones times two, plus one for `to`.
    at: u32,
    /// Name number of the scope, [`NOWHERE`] or [`ANYWHERE`].
    scope: u32,
}

/// Stands for a scope that the graph does not know.
const NOWHERE: u32 = u32::MAX;

/// Stands for a scope that is not given.
const ANYWHERE: u32 = u32::MAX - 1;

impl SpillRecord for PendingEnd {
    fn put(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.at.to_le_bytes());
        bytes[12..].copy_from_slice(&self.scope.to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        Some(PendingEnd { id: IdHash(c.u64()?), at: c.u32()?, scope: c.u32()? })
    }
}

/// An end that was found.
#[derive(Clone, Copy, Debug)]
pub struct ResolvedEnd {
    /// As in [`PendingEnd`].
    pub at: u32,
    /// Number of the entity.
    pub number: u32,
}

impl SpillRecord for ResolvedEnd {
    fn put(&self, out: &mut Vec<u8>) {
        let packed = u64::from(self.at) << 32 | u64::from(self.number);
        out.extend_from_slice(&packed.to_le_bytes());
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        let packed = c.u64()?;
        Some(ResolvedEnd { at: (packed >> 32) as u32, number: packed as u32 })
    }
}

impl SyncPlanner<'_> {
    /// Finds the ends of all staged relationships that may change anything, by window. `born` are
    /// the entities that the plan brings to life, by part.
    pub(super) fn find_ends(
        &mut self,
        compared: &ComparedUploads,
        parts: HashPartitions,
        born: SpillBuckets<CreatedEntity>,
    ) -> Result<SpillBuckets<ResolvedEnd>, SyncError> {
        let ends = self.ends(compared, parts)?;
        let windows = &self.context.windows[ObjectKind::Relationship as usize];
        // The writer will give new entities these numbers: behind all others, job by job.
        let mut firsts = Vec::with_capacity(self.jobs.len());
        let mut first = self.context.snapshot.meta().bound(ObjectKind::Entity);
        for job in &self.jobs {
            firsts.push(first);
            first += job.created[ObjectKind::Entity as usize];
        }
        let number = |born: &CreatedEntity| match born.job {
            STORED => born.number,
            job => firsts[job as usize] + born.number,
        };
        let found = windows.buckets(self.context.folder).shared();
        let mut all = 0..parts.count();
        let gather = |_: &mut ()| Ok(all.next().map_or(NextGroup::End, NextGroup::Group));
        let look_up = |part| {
            let born = born.load(part)?;
            let created = born.iter().map(|born| (born.id, number(born)));
            let created = EntityHashTable::new(created).ok_or_else(hash_collision_error)?;
            let ends = ends.load(part)?;
            found.fill(|found| {
                let mut rest = Vec::new();
                for end in ends {
                    match created.get(end.id) {
                        Some(number) => {
                            let window = windows.of(end.at / 2);
                            found.push(window, &ResolvedEnd { at: end.at, number })?;
                        }
                        None => rest.push(end),
                    }
                }
                Ok::<_, SyncError>(rest)
            })
        };
        pipeline(&mut (), 6, gather, look_up, |(), rest| {
            // Snapshots are read by one thread.
            found.fill(|found| {
                self.find_stored(rest, |one| found.push(windows.of(one.at / 2), &one))
            })?;
            Ok(())
        })?;
        Ok(found.whole()?)
    }

    /// The ends of all staged relationships that may change anything, by part.
    fn ends(
        &self,
        compared: &ComparedUploads,
        parts: HashPartitions,
    ) -> Result<SpillBuckets<PendingEnd>, SyncError> {
        let ends = SpillBuckets::new(self.context.folder, parts.count(), HELD).shared();
        let stage = self.context.stage;
        let windows = &self.context.windows[ObjectKind::Relationship as usize];
        let numbers: Vec<Box<[Option<u32>]>> =
            (0..stage.frames()).map(|frame| self.context.name_numbers(frame)).collect();
        (0..stage.frames()).into_par_iter().try_for_each(|frame| {
            let numbers = &numbers[frame as usize];
            let staged = stage.relationships(frame)?;
            ends.fill(|ends| {
                for (staged, ordinal) in staged.iter().zip(windows.first_of(frame)..) {
                    // An unchanged relationship has live ends, and of repeated ones only the last
                    // counts.
                    if compared.same.get(ordinal) || compared.folded.get(ordinal) {
                        continue;
                    }
                    for (end, side) in [staged.from, staged.to].iter().zip(0..) {
                        let scope = match end.scope {
                            0 => ANYWHERE,
                            name => numbers[name as usize].unwrap_or(NOWHERE),
                        };
                        let at = ordinal * 2 + side;
                        ends.push(parts.part(end.id), &PendingEnd { id: end.id, at, scope })?;
                    }
                }
                Ok::<_, StoreError>(())
            })
        })?;
        Ok(ends.whole()?)
    }

    /// Looks up ends that are not new, scope by scope in the order of the file.
    fn find_stored(
        &self,
        ends: Vec<PendingEnd>,
        mut found: impl FnMut(ResolvedEnd) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let ids: Vec<IdHash> =
            ends.iter().filter(|end| end.scope == ANYWHERE).map(|end| end.id).collect();
        if !ids.is_empty() {
            // All ends without a scope are looked for at once, so that each row is read once at most.
            let everywhere = self.context.snapshot.find_in_all_scopes(ObjectKind::Entity, &ids)?;
            for end in ends.iter().filter(|end| end.scope == ANYWHERE) {
                match everywhere.get(&end.id) {
                    Some((_, one)) if one.live && !self.deleted.contains(&one.number) => {
                        found(ResolvedEnd { at: end.at, number: one.number })?;
                    }
                    Some((_, one)) => {
                        // Kept for the reason: the end was deleted, not unknown.
                        self.buried.borrow_mut().insert(end.id, one.number);
                    }
                    None => {}
                }
            }
        }
        let mut wanted: FxHashMap<u32, Vec<PendingEnd>> = FxHashMap::default();
        for end in ends.into_iter().filter(|end| end.scope < ANYWHERE) {
            wanted.entry(end.scope).or_default().push(end);
        }
        for (scope, mut wanted) in wanted {
            // Identities of a scope lie in this order in the file.
            wanted.sort_unstable_by_key(|end| end.id);
            let mut at = wanted.iter().map(|end| end.at);
            let ids = wanted.iter().map(|end| end.id);
            let mut numbers = Vec::with_capacity(wanted.len());
            self.context.snapshot.find_many(ObjectKind::Entity, scope, ids, |identity| {
                // An entity that this plan deletes is still live in the snapshot.
                let live = identity.filter(|i| i.live && !self.deleted.contains(&i.number));
                if let (Some(at), Some(live)) = (at.next(), live) {
                    numbers.push(ResolvedEnd { at, number: live.number });
                }
            })?;
            numbers.into_iter().try_for_each(&mut found)?;
        }
        Ok(())
    }
}

/// The error for two new entities with one hash: an end is found by its hash alone.
fn hash_collision_error() -> SyncError {
    SyncError::State(
        "two new entities of different scopes have the same 64-bit hash in this database, which \
         happens to one upload in billions; load the data into a new database, whose hashes are \
         others"
            .into(),
    )
}
