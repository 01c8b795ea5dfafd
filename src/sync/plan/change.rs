//! Change sets: the changes that a plan holds for the writer, in the order of the stage and mostly
//! on disk.

use crate::graph::{IdHash, ObjectKind};
use crate::store::staging::{StagedObject, UploadStage};
use crate::store::{ByteCursor, SpillBuckets, SpillRecord};
use crate::sync::SyncError;
use crate::sync::job::JobSpec;
use crate::sync::report::JobReport;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// A new object.
    Create,
    /// A tombstone comes back.
    Revive,
    /// Live, with other contents.
    Update,
    /// Becomes a tombstone.
    Delete,
}

/// The place of new contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentLocation {
    /// True if they were merged from stored and uploaded contents. They then lie among the merged
    /// batches of the plan and not among the uploaded ones.
    pub merged: bool,
    /// Batch.
    pub frame: u32,
    /// Start of the record.
    pub offset: u32,
    /// Length of the record.
    pub len: u32,
}

impl ContentLocation {
    /// The batch: true for a merged one, and its number.
    pub fn batch(&self) -> (bool, u32) {
        (self.merged, self.frame)
    }

    /// A key to sort by batch and start, merged contents last.
    pub fn order(&self) -> u128 {
        u128::from(self.merged) << 64 | u128::from(self.frame) << 32 | u128::from(self.offset)
    }

    /// The place of contents as they were uploaded.
    pub fn of(staged: &StagedObject) -> ContentLocation {
        let StagedObject { frame, offset, len, .. } = *staged;
        ContentLocation { merged: false, frame, offset, len }
    }
}

/// One change of the change set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// Position of the job in the plan.
    pub job: u32,
    /// Dense number. A new entity is counted from the first of its job; a new relationship gets its
    /// number when it is stored, and has 0.
    pub number: u32,
    /// Hash of the `_id`.
    pub id: IdHash,
    /// Digest of the contents after the change.
    pub digest: u64,
    /// Numbers of the ends of a relationship after the change; 0 for an entity.
    pub ends: (u32, u32),
    /// The kind of the change.
    pub action: ChangeAction,
    /// The new contents; without meaning for a deletion.
    pub place: ContentLocation,
}

impl ObjectChange {
    /// The deletion of a stored object.
    pub fn delete(job: u32, number: u32, id: IdHash, digest: u64) -> ObjectChange {
        let (ends, place) = ((0, 0), ContentLocation::default());
        ObjectChange { job, number, id, digest, ends, action: ChangeAction::Delete, place }
    }
}

impl SpillRecord for ObjectChange {
    fn put(&self, out: &mut Vec<u8>) {
        let ObjectChange { job, number, id, digest, ends, action, place } = *self;
        let mut bytes = [0; 45];
        // Actions need two bits of the first byte, so the highest one is free.
        bytes[0] = action as u8 | u8::from(place.merged) << 7;
        bytes[1..9].copy_from_slice(&id.0.to_le_bytes());
        bytes[9..17].copy_from_slice(&digest.to_le_bytes());
        let rest = [job, number, ends.0, ends.1, place.frame, place.offset, place.len];
        for (bytes, n) in bytes[17..].as_chunks_mut().0.iter_mut().zip(rest) {
            *bytes = n.to_le_bytes();
        }
        out.extend_from_slice(&bytes);
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        let flags = c.u8()?;
        let action = match flags & 0x7F {
            0 => ChangeAction::Create,
            1 => ChangeAction::Revive,
            2 => ChangeAction::Update,
            3 => ChangeAction::Delete,
            _ => return None,
        };
        let (id, digest) = (IdHash(c.u64()?), c.u64()?);
        let (job, number, ends) = (c.u32()?, c.u32()?, (c.u32()?, c.u32()?));
        let (frame, offset, len) = (c.u32()?, c.u32()?, c.u32()?);
        let place = ContentLocation { merged: flags >> 7 == 1, frame, offset, len };
        Some(ObjectChange { job, number, id, digest, ends, action, place })
    }
}

/// The part of a plan that belongs to one job.
#[derive(Debug)]
pub struct JobPlan {
    /// The job.
    pub spec: JobSpec,
    /// Objects that it makes, of either kind.
    pub created: [u32; 2],
    /// Deletions of either kind, ascending by hash.
    pub deletes: [Vec<ObjectChange>; 2],
    /// Pins to store or remove, by entity.
    pub pins: Vec<(IdHash, Option<Vec<u8>>)>,
    /// The report as it will be stored.
    pub report: JobReport,
}

/// A change set of jobs that are finalized together.
pub struct SyncPlan {
    /// The revision of the graph that it was made for.
    pub revision: u64,
    /// The jobs.
    pub jobs: Vec<JobPlan>,
    /// Changes of either kind but for deletions, in buckets that follow the order of the stage.
    pub changes: [SpillBuckets<ObjectChange>; 2],
    /// Contents that were put together, in batches.
    pub merged: UploadStage,
    /// Relationships of scopes without a job in this plan that go with their entities, by name
    /// number of the scope. The first job of the plan that deletes entities is recorded as their
    /// deleter.
    pub foreign: BTreeMap<u32, Vec<ObjectChange>>,
    /// Fingerprint of all changes.
    pub hash: String,
}

impl SyncPlan {
    /// True if it changes nothing.
    pub fn is_empty(&self) -> bool {
        let quiet = |job: &JobPlan| job.deletes.iter().all(Vec::is_empty) && job.pins.is_empty();
        self.foreign.is_empty()
            && self.changes.iter().all(|changes| changes.records() == 0)
            && self.jobs.iter().all(quiet)
    }

    /// True if the delete guard objects.
    pub fn is_held(&self) -> bool {
        self.jobs.iter().any(|job| job.report.held.is_some())
    }

    /// True if a guard of a mapping objects.
    pub fn is_refused(&self) -> bool {
        self.jobs.iter().any(|job| !job.report.refusals.is_empty())
    }

    /// All changes of one kind of the job at a position, ascending by hash.
    pub fn changes_of(&self, job: usize, kind: ObjectKind) -> Result<Vec<ObjectChange>, SyncError> {
        let mut all = self.jobs[job].deletes[kind as usize].clone();
        let changes = &self.changes[kind as usize];
        for bucket in 0..changes.count() {
            let found = changes.load(bucket)?;
            all.extend(found.into_iter().filter(|change| change.job as usize == job));
        }
        all.sort_unstable_by_key(|change| change.id);
        Ok(all)
    }
}

/// A fingerprint of changes: the sum of their hashes, so that their order does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanFingerprint(u128);

impl PlanFingerprint {
    /// The seed of hashes of the changes of one kind in one scope.
    pub fn seed(scope: &str, kind: ObjectKind) -> u64 {
        xxh3_64_with_seed(scope.as_bytes(), kind as u64)
    }

    /// Adds a change; `seed` is that of its scope and kind.
    pub fn add(&mut self, seed: u64, change: &ObjectChange) {
        let mut bytes = [0; 17];
        bytes[0] = change.action as u8;
        bytes[1..9].copy_from_slice(&change.id.0.to_le_bytes());
        bytes[9..].copy_from_slice(&change.digest.to_le_bytes());
        self.0 = self.0.wrapping_add(xxh3_128_with_seed(&bytes, seed));
    }

    /// Adds all changes of another.
    pub fn join(&mut self, other: PlanFingerprint) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// In 32 hexadecimal digits.
    pub fn text(self) -> String {
        format!("{:032x}", self.0)
    }
}
