//! Comparing: what was uploaded against what the scopes hold, in the order of hashes.
//!
//! Staged uploads come in, and for each object leaves its relation to the stored one. The space of
//! hashes is cut into parts, and several parts are compared at a time, so that memory holds a few
//! parts and not the upload. The results are put down in the order of the stage, because all later
//! steps work in that order. What follows from them is decided in `plan/`.

mod contents;
mod context;
mod partitions;
mod reconcile;
mod repeated;
mod windows;

pub use contents::{ContentReader, MergedContents};
pub use context::{UploadContext, UploadJob};
pub use partitions::{BitSet, HELD, HashPartitions, MatchKind, StoredMatch};
pub use windows::{StageWindows, UploadedObject};

use super::SyncError;
use super::faults::FaultCollector;
use super::read::InputDiagnostic;
use super::stage::JobInput;
use crate::graph::{IdHash, ObjectKind};
use crate::store::staging::StagedObject;
use crate::store::{
    IdentityEntry, SpillBuckets, StoreError, parallel_step_len, prefetch, step_ranges,
};
use partitions::ComparisonKey;
use rayon::prelude::*;
use reconcile::{ReconcileDecision, reconcile};
use repeated::repetition_error;
use rustc_hash::FxHashSet;
use std::ops::{Range, RangeInclusive};

/// The uploads as compared with the graph, by position among the staged objects: what comparing
/// hands to planning. An object in none of the sets is new.
pub struct ComparedUploads {
    /// Equal to what is stored.
    pub same: BitSet,
    /// Repetitions of an object that comes later.
    pub folded: BitSet,
    /// To be looked at, in buckets by window.
    pub met: SpillBuckets<StoredMatch>,
    /// Objects that were uploaded although the job names them for deletion, as (position of the
    /// job, hash).
    pub kept: FxHashSet<(u32, IdHash)>,
    /// Live and not uploaded, by position of the job.
    pub absent: Vec<(u32, IdentityEntry)>,
    /// By job: uploaded and equal ones.
    pub counts: Vec<[u64; 2]>,
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

impl PartitionResult {
    /// Puts down neighbours with one hash, and leaves the last of them.
    fn fold_repeated(&mut self, keys: &mut Vec<ComparisonKey>) {
        for pair in keys.windows(2) {
            if (pair[0].job, pair[0].id) == (pair[1].job, pair[1].id) {
                self.repeated.push([pair[0], pair[1]]);
                self.folded.push(pair[0].ordinal);
            }
        }
        if !self.repeated.is_empty() {
            // The latest wins: of equal ids the last one stays.
            keys.reverse();
            keys.dedup_by_key(|key| (key.job, key.id));
            keys.reverse();
        }
    }
}

/// Compares all staged objects of a kind with the stored ones.
///
/// `named` are the objects that are to be deleted by name, and `cascade` the relationships that are
/// about to lose an end.
///
/// # Errors
///
/// [`SyncError::Faults`] for repeated keys, [`SyncError::Reread`], and store errors.
pub fn compare<T: UploadedObject>(
    context: &UploadContext<'_>,
    named: &FxHashSet<(u32, IdHash)>,
    cascade: &FxHashSet<u32>,
) -> Result<ComparedUploads, SyncError> {
    let comparison = UploadComparison { context, cascade };
    let windows = &context.windows[T::KIND as usize];
    let parts = HashPartitions::of(comparison.expected_records(T::KIND)?);
    let mut keys = comparison.keys::<T>(parts)?;
    let mut compared = ComparedUploads {
        same: BitSet::new(windows.total),
        folded: BitSet::new(windows.total),
        met: windows.buckets(context.folder),
        kept: FxHashSet::default(),
        absent: Vec::new(),
        counts: vec![[0; 2]; context.jobs.len()],
    };
    let careful: Vec<bool> =
        context.jobs.iter().map(|job| T::KIND == ObjectKind::Entity && job.careful).collect();
    let mut faults = FaultCollector::default();
    let sort = |range: Range<usize>| {
        let mut sorted = keys.take_all(range.clone())?;
        sorted.par_iter_mut().for_each(|keys| keys.sort_unstable_by_key(ComparisonKey::order));
        Ok::<_, SyncError>(range.zip(sorted).collect::<Vec<_>>())
    };
    prefetch(step_ranges(parts.count(), parallel_step_len()), sort, |sorted| {
        let mut sides = Vec::with_capacity(sorted.len());
        for (part, keys) in sorted {
            // One thread reads the snapshot; comparing the parts then takes all cores.
            let mut stored = Vec::with_capacity(context.jobs.len());
            let mut rest = &keys[..];
            for job in 0..context.jobs.len() {
                let (here, after) =
                    rest.split_at(rest.partition_point(|key| key.job as usize == job));
                rest = after;
                stored.push(comparison.stored(T::KIND, job, parts.range(part), here)?);
            }
            sides.push((keys, stored));
        }
        let outcomes: Vec<PartitionResult> = sides
            .into_par_iter()
            .map(|(keys, stored)| compare_part(T::KIND, keys, stored, named, &careful, cascade))
            .collect();
        outcomes.into_iter().try_for_each(|outcome| {
            faults.extend(compared.take_partition::<T>(context, outcome)?);
            Ok(())
        })
    })?;
    if faults.is_empty() {
        Ok(compared)
    } else {
        Err(SyncError::Faults(faults.named(context.inputs)))
    }
}

/// Both sides of a comparison.
struct UploadComparison<'c, 'p> {
    context: &'c UploadContext<'p>,
    cascade: &'c FxHashSet<u32>,
}

impl UploadComparison<'_, '_> {
    /// The number of objects of a kind that are compared, on either side.
    fn expected_records(&self, kind: ObjectKind) -> Result<u64, SyncError> {
        let context = self.context;
        let mut expected = u64::from(context.windows[kind as usize].total);
        for job in &context.jobs {
            let JobInput { spec, known, .. } = job.input;
            if !spec.mode.deletes() && known.is_none() {
                // Only uploaded objects are looked up, so stored ones do not count.
                continue;
            }
            let row = context.snapshot.scope_row_of(&spec.scope)?;
            expected += row.count(kind).live + row.count(kind).deleted;
            // Lines were passed over because of a state of the scope that is gone.
            if spec.mode.compares(kind)
                && let Some(known) = known
                && (!known.holds(row.generation) || context.has_pins)
            {
                return Err(SyncError::Reread);
            }
        }
        Ok(expected)
    }

    /// The keys of all staged objects of a kind, by part.
    fn keys<T: UploadedObject>(
        &self,
        parts: HashPartitions,
    ) -> Result<SpillBuckets<ComparisonKey>, SyncError> {
        let keys = SpillBuckets::new(self.context.folder, parts.count(), HELD).shared();
        // Workers see no snapshot, which one thread reads.
        let UploadContext { stage, jobs_of, windows, .. } = self.context;
        let windows = &windows[T::KIND as usize];
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
        let JobInput { spec, known, .. } = self.context.jobs[job].input;
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
        let Some(scope) = self.context.jobs[job].scope else { return Ok(stored) };
        if spec.mode.deletes() {
            self.context.snapshot.identities_between(kind, scope, range, &mut stored)?;
            return Ok(stored);
        }
        let ids = staged.iter().map(|staged| staged.id);
        self.context.snapshot.find_many(kind, scope, ids, |found| stored.extend(found))?;
        // A repeated object was found twice.
        stored.dedup_by_key(|identity| identity.id);
        Ok(stored)
    }
}

impl ComparedUploads {
    /// Takes over the results of a part. Returns the faults of repeated keys.
    fn take_partition<T: UploadedObject>(
        &mut self,
        context: &UploadContext<'_>,
        outcome: PartitionResult,
    ) -> Result<Vec<InputDiagnostic>, SyncError> {
        let PartitionResult { same, folded, met, absent, repeated, kept, counts } = outcome;
        let mut faults = Vec::new();
        for [first, second] in repeated {
            faults.extend(repetition_error::<T>(context, first, second)?);
        }
        same.into_iter().for_each(|at| self.same.set(at));
        folded.into_iter().for_each(|at| self.folded.set(at));
        for met in met {
            self.met.push(context.windows[T::KIND as usize].of(met.ordinal), &met)?;
        }
        self.kept.extend(kept);
        self.absent.extend(absent);
        for (all, [uploaded, same]) in self.counts.iter_mut().zip(counts) {
            all[0] += uploaded;
            all[1] += same;
        }
        Ok(faults)
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
    outcome.fold_repeated(&mut keys);
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
