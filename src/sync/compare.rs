//! Comparing: what was uploaded against what the scopes hold, in the order of hashes.
//!
//! The space of hashes is cut into parts, and several parts are compared at a time, so that memory
//! holds a few parts and not the upload. The results are put down in the order of the stage,
//! because all later steps work in that order.

use super::SyncError;
use super::change::ObjectChange;
use super::job::JobInput;
use super::plan::{SyncPlanner, UploadedObject};
use super::prefetch::{parallel_step_len, prefetch, step_ranges};
use super::reconcile::{ReconcileDecision, reconcile};
use crate::graph::{IdHash, ObjectKind};
use crate::store::staging::StagedObject;
use crate::store::{ByteCursor, IdentityEntry, SpillBuckets, SpillRecord, StoreError};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::ops::{Range, RangeInclusive};

/// Bytes that one kind of temporary records may take in memory. Tests spill and cut at once.
pub const HELD: usize = if cfg!(test) { 2 << 10 } else { 16 << 20 };

/// The space of hashes, cut into parts of equal size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashPartitions {
    bits: u32,
}

impl HashPartitions {
    /// As many parts as are needed to sort each in a processor's cache, within limits.
    pub fn of(records: u64) -> HashPartitions {
        /// Records of a part.
        const PART: u64 = if cfg!(test) { 8 } else { 16 << 10 };
        /// 256 parts: each has a buffer of its own.
        const BITS_MAX: u32 = 8;
        let bits = (records / PART).next_power_of_two().trailing_zeros();
        HashPartitions { bits: bits.min(BITS_MAX) }
    }

    /// The number of parts.
    pub fn count(self) -> usize {
        1 << self.bits
    }

    /// The part that a hash falls into.
    #[inline]
    pub fn part(self, id: IdHash) -> usize {
        // A single part would shift by all 64 bits, which Rust does not allow.
        id.0.checked_shr(64 - self.bits).unwrap_or(0) as usize
    }

    /// The hashes of a part.
    pub fn range(self, part: usize) -> RangeInclusive<IdHash> {
        let low = (part as u64).checked_shl(64 - self.bits).unwrap_or(0);
        let rest = u64::MAX.checked_shr(self.bits).unwrap_or(0);
        IdHash(low)..=IdHash(low | rest)
    }
}

/// The fields of a staged object that comparing needs.
#[derive(Clone, Copy, Debug)]
struct ComparisonKey {
    id: IdHash,
    spelling: u64,
    /// Position of the job in the plan.
    job: u32,
    /// Position among all staged objects of the kind.
    ordinal: u32,
}

impl ComparisonKey {
    /// A key to sort by job, hash and ordinal, as one number that is compared at once.
    fn order(&self) -> u128 {
        u128::from(self.job) << 96 | u128::from(self.id.0) << 32 | u128::from(self.ordinal)
    }
}

impl SpillRecord for ComparisonKey {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.spelling.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.job.to_le_bytes());
        bytes[20..].copy_from_slice(&self.ordinal.to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    #[inline]
    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        Some(ComparisonKey {
            id: IdHash(c.u64()?),
            spelling: c.u64()?,
            job: c.u32()?,
            ordinal: c.u32()?,
        })
    }
}

/// The relation of an uploaded object to the stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchKind {
    /// The stored one is a tombstone.
    Revive,
    /// Written in another way, perhaps with other contents.
    Change,
    /// Equal.
    Same,
}

/// An uploaded object that the graph holds already and that is to be looked at more closely.
#[derive(Clone, Copy, Debug)]
pub struct StoredMatch {
    /// Position among all staged objects of the kind.
    pub ordinal: u32,
    /// Its relation to the stored object.
    pub how: MatchKind,
    /// Number of the stored object.
    pub number: u32,
    /// Its digest.
    pub digest: u64,
}

impl SpillRecord for StoredMatch {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.how as u8);
        out.extend_from_slice(&self.ordinal.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        let how = match c.u8()? {
            0 => MatchKind::Revive,
            1 => MatchKind::Change,
            2 => MatchKind::Same,
            _ => return None,
        };
        Some(StoredMatch { how, ordinal: c.u32()?, number: c.u32()?, digest: c.u64()? })
    }
}

impl StoredMatch {
    /// The stored object, whose id has this hash.
    pub fn identity(&self, id: IdHash) -> IdentityEntry {
        let live = self.how != MatchKind::Revive;
        IdentityEntry { id, digest: self.digest, number: self.number, live }
    }
}

/// A set of positions.
#[derive(Default)]
pub struct BitSet(Vec<u64>);

impl BitSet {
    fn new(len: u32) -> BitSet {
        BitSet(vec![0; (len as usize).div_ceil(64)])
    }

    fn set(&mut self, at: u32) {
        self.0[at as usize / 64] |= 1 << (at % 64);
    }

    /// True if a position is in the set.
    #[inline]
    pub fn get(&self, at: u32) -> bool {
        self.0[at as usize / 64] >> (at % 64) & 1 == 1
    }
}

/// The results of comparing, by position among the staged objects. An object in none of them is
/// new.
pub struct ComparisonResult {
    /// Equal to what is stored.
    pub same: BitSet,
    /// Repetitions of an object that comes later.
    pub folded: BitSet,
    /// To be looked at, in buckets by window.
    pub met: SpillBuckets<StoredMatch>,
    /// Objects that were uploaded although the job names them for deletion, as (position of the
    /// job, hash).
    pub kept: FxHashSet<(u32, IdHash)>,
}

/// The results of comparing one part.
#[derive(Default)]
struct PartitionResult {
    same: Vec<u32>,
    folded: Vec<u32>,
    met: Vec<StoredMatch>,
    absent: Vec<(u32, IdentityEntry)>,
    /// Neighbours with one hash.
    repeated: Vec<[ComparisonKey; 2]>,
    kept: Vec<(u32, IdHash)>,
    /// By job: uploaded and equal ones.
    counts: Vec<[u64; 2]>,
}

impl SyncPlanner<'_> {
    /// Compares all staged objects of a kind with the stored ones. Stored objects that were not
    /// uploaded are put down for deletion if the mode deletes them.
    ///
    /// `named` are the objects that are to be deleted by name.
    pub(super) fn compare<T: UploadedObject>(
        &mut self,
        named: &FxHashSet<(u32, IdHash)>,
    ) -> Result<ComparisonResult, SyncError> {
        let kind = T::KIND;
        let total = self.windows[kind as usize].total;
        let mut expected = u64::from(total);
        for job in &self.jobs {
            let JobInput { spec, known, .. } = job.input;
            if !spec.mode.deletes() && known.is_none() {
                // Only uploaded objects are looked up, so stored ones do not count.
                continue;
            }
            let row = self.snapshot.scope_row_of(&spec.scope)?;
            expected += row.count(kind).live + row.count(kind).deleted;
            // Lines were passed over because of a state of the scope that is gone.
            if spec.mode.compares(kind)
                && let Some(known) = known
                && (!known.holds(row.generation) || self.has_pins)
            {
                return Err(SyncError::Reread);
            }
        }
        let parts = HashPartitions::of(expected);
        let mut keys = self.keys::<T>(parts)?;
        let mut compared = ComparisonResult {
            same: BitSet::new(total),
            folded: BitSet::new(total),
            met: self.windows[kind as usize].buckets(&self.folder),
            kept: FxHashSet::default(),
        };
        let careful: Vec<bool> =
            self.jobs.iter().map(|job| kind == ObjectKind::Entity && job.careful).collect();
        let sort = |range: Range<usize>| {
            let mut sorted = keys.take_all(range.clone())?;
            sorted.par_iter_mut().for_each(|keys| keys.sort_unstable_by_key(ComparisonKey::order));
            Ok(range.zip(sorted).collect::<Vec<_>>())
        };
        prefetch(step_ranges(parts.count(), parallel_step_len()), sort, |sorted| {
            let mut sides = Vec::with_capacity(sorted.len());
            for (part, keys) in sorted {
                // One thread reads the snapshot; comparing the parts then takes all cores.
                let mut stored = Vec::with_capacity(self.jobs.len());
                let mut rest = &keys[..];
                for job in 0..self.jobs.len() {
                    let (here, after) =
                        rest.split_at(rest.partition_point(|key| key.job as usize == job));
                    rest = after;
                    stored.push(self.stored(kind, job, parts.range(part), here)?);
                }
                sides.push((keys, stored));
            }
            let cascade = &self.cascade;
            let outcomes: Vec<PartitionResult> = sides
                .into_par_iter()
                .map(|(keys, stored)| compare_part(kind, keys, stored, named, &careful, cascade))
                .collect();
            outcomes
                .into_iter()
                .try_for_each(|outcome| self.take_partition::<T>(outcome, &mut compared))
        })?;
        self.refuse()?;
        Ok(compared)
    }

    /// The keys of all staged objects of a kind, by part.
    fn keys<T: UploadedObject>(
        &self,
        parts: HashPartitions,
    ) -> Result<SpillBuckets<ComparisonKey>, SyncError> {
        let keys = SpillBuckets::new(&self.folder, parts.count(), HELD).shared();
        let (stage, jobs_of) = (self.stage(), &self.jobs_of);
        let windows = &self.windows[T::KIND as usize];
        (0..stage.frames()).into_par_iter().try_for_each(|frame| {
            let staged = T::of_frame(stage, frame)?;
            keys.fill(|keys| {
                for (staged, ordinal) in staged.iter().zip(windows.first_of(frame)..) {
                    let StagedObject { id, spelling, scope, .. } = *staged.as_ref();
                    let job = jobs_of[frame as usize][scope as usize];
                    keys.push(parts.part(id), &ComparisonKey { id, spelling, job, ordinal })?;
                }
                Ok::<_, StoreError>(())
            })
        })?;
        Ok(keys.whole()?)
    }

    /// The stored objects of a job in a range of hashes: all of the scope if the mode deletes
    /// absent ones, else only those that are staged too. `staged` ascend by hash.
    fn stored(
        &self,
        kind: ObjectKind,
        job: usize,
        range: RangeInclusive<IdHash>,
        staged: &[ComparisonKey],
    ) -> Result<Vec<IdentityEntry>, SyncError> {
        let JobInput { spec, known, .. } = self.jobs[job].input;
        let mut stored = Vec::new();
        if !spec.mode.compares(kind) {
            return Ok(stored);
        }
        if let Some(known) = known {
            let mut staged = staged.iter().peekable();
            for (identity, seen) in known.identities(kind, range) {
                while staged.next_if(|staged| staged.id < identity.id).is_some() {}
                // The object is in the upload twice, in two spellings, or is about to lose an end.
                let other = staged.peek().is_some_and(|staged| staged.id == identity.id)
                    || kind == ObjectKind::Relationship && self.cascade.contains(&identity.number);
                match seen {
                    true if other => return Err(SyncError::Reread),
                    true => {}
                    false => stored.push(identity),
                }
            }
            return Ok(stored);
        }
        let Some(scope) = self.jobs[job].scope else { return Ok(stored) };
        if spec.mode.deletes() {
            self.snapshot.identities_between(kind, scope, range, &mut stored)?;
            return Ok(stored);
        }
        let ids = staged.iter().map(|staged| staged.id);
        self.snapshot.find_many(kind, scope, ids, |found| stored.extend(found))?;
        // A repeated object was found twice.
        stored.dedup_by_key(|identity| identity.id);
        Ok(stored)
    }

    /// Takes over the results of a part.
    fn take_partition<T: UploadedObject>(
        &mut self,
        outcome: PartitionResult,
        compared: &mut ComparisonResult,
    ) -> Result<(), SyncError> {
        let PartitionResult { same, folded, met, absent, repeated, kept, counts } = outcome;
        for [first, second] in repeated {
            let fault = self.repetition_error::<T>(first, second)?;
            self.faults.extend(fault);
        }
        same.into_iter().for_each(|at| compared.same.set(at));
        folded.into_iter().for_each(|at| compared.folded.set(at));
        for met in met {
            let window = self.windows[T::KIND as usize].of(met.ordinal);
            compared.met.push(window, &met)?;
        }
        compared.kept.extend(kept);
        for (at, identity) in absent {
            let job = &self.jobs[at as usize];
            // A partial type keeps its relationships only as long as their ends stay.
            let gone = T::KIND == ObjectKind::Relationship && self.cascade.remove(&identity.number);
            if gone || !self.is_partial(&job.input.spec, T::KIND, identity.number)? {
                let IdentityEntry { id, digest, number, .. } = identity;
                self.delete(T::KIND, ObjectChange::delete(at, number, id, digest));
            }
        }
        for (job, [uploaded, same]) in self.jobs.iter_mut().zip(counts) {
            let tally = job.report.of(T::KIND);
            tally.uploaded += uploaded;
            tally.unchanged += same;
        }
        Ok(())
    }

    /// The fault of two objects with one hash, of which `second` is the later one; `None` if they
    /// may stay.
    ///
    /// An equal object in another batch is a retry and folds away. Any other repeated key is an
    /// error that names both places, unless the job takes the latest.
    fn repetition_error<T: UploadedObject>(
        &self,
        first: ComparisonKey,
        second: ComparisonKey,
    ) -> Result<Option<super::InputDiagnostic>, SyncError> {
        let spec = &self.jobs[first.job as usize].input.spec;
        let spelled_alike = first.spelling == second.spelling;
        let windows = &self.windows[T::KIND as usize];
        let [one, other] = [first.ordinal, second.ordinal].map(|ordinal| windows.place(ordinal));
        let retry = !spec.one_upload && one.0 != other.0;
        // Equal spellings are equal objects, so nothing has to be read.
        if spelled_alike && (spec.ignore_duplicates || retry) {
            return Ok(None);
        }
        let one = T::at(self.stage(), one.0, one.1)?;
        let other = T::at(self.stage(), other.0, other.1)?;
        if !spelled_alike {
            let keys = [one.as_ref(), other.as_ref()]
                .map(|staged| self.contents().uploaded_key(T::KIND, staged));
            let [first, second] = keys;
            let (first, second) = (first?, second?);
            // An entity that is named by its id alone has no key to compare.
            if first != second && !first.is_empty() && !second.is_empty() {
                return Ok(Some(self.collision(T::KIND, other.as_ref(), &first)?));
            }
        }
        if spec.ignore_duplicates {
            return Ok(None);
        }
        let digest = |one: &T| self.contents().uploaded_digest(T::KIND, one.as_ref(), &one.ends());
        if retry && digest(&one)? == digest(&other)? {
            return Ok(None);
        }
        let earlier = self.fault(T::KIND, one.as_ref())?;
        let mut fault = self.fault(T::KIND, other.as_ref())?;
        let place = self.inputs.place(earlier.place).unwrap_or_else(|| "an earlier batch".into());
        fault.message = format!(
            "this `_key` stands twice in the upload, first at {place}; leave one out, or let the \
             latest win with --ignore-duplicates"
        );
        Ok(Some(fault))
    }
}

/// Compares one part: `keys` ascend by job, hash and ordinal, and `stored` has a side for each job.
fn compare_part(
    kind: ObjectKind,
    mut keys: Vec<ComparisonKey>,
    stored: Vec<Vec<IdentityEntry>>,
    named: &FxHashSet<(u32, IdHash)>,
    careful: &[bool],
    cascade: &FxHashSet<u32>,
) -> PartitionResult {
    let mut outcome =
        PartitionResult { counts: vec![[0; 2]; stored.len()], ..PartitionResult::default() };
    keys.iter().for_each(|key| outcome.counts[key.job as usize][0] += 1);
    for pair in keys.windows(2) {
        if (pair[0].job, pair[0].id) == (pair[1].job, pair[1].id) {
            outcome.repeated.push([pair[0], pair[1]]);
            outcome.folded.push(pair[0].ordinal);
        }
    }
    if !outcome.repeated.is_empty() {
        // The latest wins: of equal ids the last one stays.
        keys.reverse();
        keys.dedup_by_key(|key| (key.job, key.id));
        keys.reverse();
    }
    if !named.is_empty() {
        let found = keys.iter().map(|key| (key.job, key.id));
        outcome.kept.extend(found.filter(|found| named.contains(found)));
    }
    let mut rest = &keys[..];
    for (job, stored) in stored.into_iter().enumerate() {
        let (here, after) = rest.split_at(rest.partition_point(|key| key.job as usize == job));
        rest = after;
        let staged = here.iter().map(|key| (key.id, key.spelling));
        reconcile(stored.into_iter(), staged, |decision| {
            let (i, how, stored) = match decision {
                ReconcileDecision::Create(_) => return,
                ReconcileDecision::Absent(stored) => {
                    return outcome.absent.push((job as u32, stored));
                }
                ReconcileDecision::Revive(i, stored) => (i, MatchKind::Revive, stored),
                ReconcileDecision::Change(i, stored) => (i, MatchKind::Change, stored),
                ReconcileDecision::Same(i, stored) => (i, MatchKind::Same, stored),
            };
            let ordinal = here[i].ordinal;
            // Pins or a merge may decide what the contents are, and a live relationship has live
            // ends unless this very plan deletes one.
            let settled = match kind {
                ObjectKind::Entity => !careful[job],
                ObjectKind::Relationship => !cascade.contains(&stored.number),
            };
            if how == MatchKind::Same && settled {
                outcome.same.push(ordinal);
                outcome.counts[job][1] += 1;
            } else {
                let IdentityEntry { number, digest, .. } = stored;
                outcome.met.push(StoredMatch { ordinal, how, number, digest });
            }
        });
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_hashes_once() {
        for records in [0, 1, 40, 40_000, 200_000, 1 << 40] {
            let parts = HashPartitions::of(records);
            let mut next = Some(0);
            for part in 0..parts.count() {
                let range = parts.range(part);
                assert_eq!(Some(range.start().0), next);
                assert_eq!((parts.part(*range.start()), parts.part(*range.end())), (part, part));
                next = range.end().0.checked_add(1);
            }
            assert_eq!(next, None);
        }
    }
}
