//! Deciding: window by window in the order of the stage, so that each batch is read once: plainly
//! new objects on all cores, all others one by one.

use super::change::{ChangeAction, ObjectChange};
use super::classify::{BatchClassifier, ClassifiedBatch};
use super::ends::{CreatedEntity, ResolvedEnd};
use super::planner::SyncPlanner;
use crate::graph::ObjectKind;
use crate::store::staging::StagedObject;
use crate::store::{SpillBuckets, StoreError, prefetch};
use crate::sync::SyncError;
use crate::sync::compare::{ComparedUploads, HELD, HashPartitions, StoredMatch, UploadedObject};
use crate::sync::report::JobTally;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::ops::Range;

/// The ends of a relationship that were found.
pub(super) type EndNumbers = [Option<u32>; 2];

/// The outcome of looking at one object.
pub(super) enum ObjectOutcome {
    Changed(ObjectChange),
    Unchanged,
    Skipped,
    /// Skipped, so the stored one is deleted.
    Withdrawn(ObjectChange),
}

/// The buckets that decided changes go into.
struct ChangeBuckets<'b> {
    kind: ObjectKind,
    /// By window.
    changes: SpillBuckets<ObjectChange>,
    /// Entities that come to life, by part.
    born: Option<(HashPartitions, &'b mut SpillBuckets<CreatedEntity>)>,
}

impl ChangeBuckets<'_> {
    /// Puts down the new objects of batches, and numbers new entities in the order of the stage,
    /// which keeps neighbours in the file together.
    fn put_new<T: Send>(
        &mut self,
        window: usize,
        batches: &mut [ClassifiedBatch<T>],
    ) -> Result<(), StoreError> {
        let (kind, changes, born) = (self.kind, &self.changes, &self.born);
        // Each batch fills buckets of its own; they are added in the order of the stage.
        let packed: Vec<Result<_, StoreError>> = batches
            .par_iter_mut()
            .map(|batch| {
                let mut packed = (
                    changes.new_worker_buckets(),
                    born.as_ref().map(|(parts, born)| (*parts, born.new_worker_buckets())),
                );
                for change in &mut batch.changes {
                    if kind == ObjectKind::Entity {
                        let next = batch.firsts.get_mut(&change.job);
                        let next = next.expect("BUG: it was counted");
                        change.number = *next;
                        *next += 1;
                    }
                    if let Some((parts, born)) = &mut packed.1 {
                        born.push(parts.part(change.id), &CreatedEntity::of(change))?;
                    }
                    packed.0.push(window, change)?;
                }
                Ok(packed)
            })
            .collect();
        for packed in packed {
            let packed = packed?;
            self.changes.absorb(packed.0)?;
            if let (Some((_, born)), Some((_, new))) = (&mut self.born, packed.1) {
                born.absorb(new)?;
            }
        }
        Ok(())
    }

    /// Puts down a change that was looked at.
    fn put(&mut self, window: usize, change: &ObjectChange) -> Result<(), StoreError> {
        if let Some((parts, born)) = &mut self.born
            && change.action != ChangeAction::Update
        {
            born.push(parts.part(change.id), &CreatedEntity::of(change))?;
        }
        self.changes.push(window, change)
    }
}

/// By position of the job and name of the type. There are many types, and each is in many batches,
/// so reports are updated once at the end.
type CreatedTallies<'n> = FxHashMap<(u32, &'n str), JobTally>;

impl<'p> SyncPlanner<'p> {
    /// Decides on the entities. Returns their changes by window, and those that come to life by
    /// part.
    pub(super) fn entities(
        &mut self,
        compared: &mut ComparedUploads,
        parts: HashPartitions,
    ) -> Result<(SpillBuckets<ObjectChange>, SpillBuckets<CreatedEntity>), SyncError> {
        let mut born = SpillBuckets::new(self.context.folder, parts.count(), HELD);
        let one =
            |planner: &mut Self, at, staged: &StagedObject, met, _| planner.entity(at, staged, met);
        let changes = self.decide::<StagedObject>(compared, None, Some((parts, &mut born)), one)?;
        Ok((changes, born))
    }

    /// Decides on the relationships. Returns their changes by window.
    pub(super) fn relationships(
        &mut self,
        compared: &mut ComparedUploads,
        parts: HashPartitions,
        born: SpillBuckets<CreatedEntity>,
    ) -> Result<SpillBuckets<ObjectChange>, SyncError> {
        let found = match self.context.windows[ObjectKind::Relationship as usize].total {
            0 => None,
            _ => Some(self.find_ends(compared, parts, born)?),
        };
        self.decide(compared, found, None, Self::relationship)
    }

    /// Decides on the objects of a kind, window by window. `one` looks at objects that are not
    /// plainly new; objects that come to life are put down in `born`.
    fn decide<T: UploadedObject>(
        &mut self,
        compared: &mut ComparedUploads,
        mut found: Option<SpillBuckets<ResolvedEnd>>,
        born: Option<(HashPartitions, &mut SpillBuckets<CreatedEntity>)>,
        one: impl Fn(
            &mut Self,
            u32,
            &T,
            Option<StoredMatch>,
            EndNumbers,
        ) -> Result<ObjectOutcome, SyncError>,
    ) -> Result<SpillBuckets<ObjectChange>, SyncError> {
        let (kind, context) = (T::KIND, self.context);
        let windows = &context.windows[kind as usize];
        let mut decided = ChangeBuckets { kind, changes: windows.buckets(context.folder), born };
        let ComparedUploads { same, folded, met, .. } = compared;
        let seeds = self.jobs.iter().map(|job| job.seeds[kind as usize]).collect();
        let classifier = BatchClassifier::new(kind, context, (same, folded), seeds);
        let classify = |window: usize| {
            let ends = found.as_mut().map(|found| found.take(window)).transpose()?;
            Ok::<_, SyncError>((
                window,
                classifier.classify_window::<T>(window, met.take(window)?, ends),
            ))
        };
        let mut created = CreatedTallies::default();
        prefetch(0..windows.count(), classify, |(window, batches)| {
            let mut batches =
                self.count_new(kind, windows.batches(window), batches, &mut created)?;
            decided.put_new(window, &mut batches)?;
            for (staged, met, ends) in batches.into_iter().flat_map(|batch| batch.rest) {
                let object = staged.as_ref();
                let job = context.job_of(object.frame, object.scope);
                let outcome = one(self, job, &staged, met, ends)?;
                if let Some(change) = self.record_outcome(kind, job, object, outcome) {
                    decided.put(window, &change)?;
                }
            }
            Ok(())
        })?;
        for ((job, name), tally) in created {
            self.tally_of(job, name).add(&tally);
        }
        self.refuse()?;
        Ok(decided.changes)
    }

    /// Counts the new objects of batches that follow each other.
    fn count_new<T>(
        &mut self,
        kind: ObjectKind,
        frames: Range<u32>,
        batches: Vec<Result<ClassifiedBatch<T>, StoreError>>,
        created: &mut CreatedTallies<'p>,
    ) -> Result<Vec<ClassifiedBatch<T>>, StoreError> {
        let stage = self.context.stage;
        let mut counted = Vec::with_capacity(batches.len());
        for (batch, frame) in batches.into_iter().zip(frames) {
            let mut batch = batch?;
            self.fingerprint.join(batch.fingerprint);
            for ((job, type_name), tally) in std::mem::take(&mut batch.tallies) {
                let of = &mut self.jobs[job as usize];
                of.report.of(kind).created += tally.created;
                batch.firsts.entry(job).or_insert(of.created[kind as usize]);
                of.created[kind as usize] += tally.created as u32;
                let name = stage.names(frame)[type_name as usize].as_str();
                created.entry((job, name)).or_default().add(&tally);
            }
            counted.push(batch);
        }
        Ok(counted)
    }

    /// Counts the outcome for an object that was looked at. Returns the change unless it is a
    /// deletion; a new entity gets its number here.
    fn record_outcome(
        &mut self,
        kind: ObjectKind,
        job: u32,
        object: &StagedObject,
        outcome: ObjectOutcome,
    ) -> Option<ObjectChange> {
        let count: fn(&mut JobTally) = match &outcome {
            ObjectOutcome::Changed(ObjectChange { action: ChangeAction::Update, .. }) => {
                |tally| tally.updated += 1
            }
            ObjectOutcome::Changed(_) => |tally| tally.created += 1,
            ObjectOutcome::Unchanged => |tally| tally.unchanged += 1,
            ObjectOutcome::Skipped | ObjectOutcome::Withdrawn(_) => |tally| tally.skipped += 1,
        };
        count(self.jobs[job as usize].report.of(kind));
        count(self.tally(job, object.frame, object.type_name));
        let mut change = match outcome {
            ObjectOutcome::Changed(change) => change,
            ObjectOutcome::Withdrawn(change) => {
                self.delete(kind, change);
                return None;
            }
            ObjectOutcome::Unchanged | ObjectOutcome::Skipped => return None,
        };
        let of = &mut self.jobs[job as usize];
        if change.action == ChangeAction::Create {
            let created = &mut of.created[kind as usize];
            if kind == ObjectKind::Entity {
                // A relationship gets its number when it is stored, in the order of ends.
                change.number = *created;
            }
            *created += 1;
        }
        self.fingerprint.add(of.seeds[kind as usize], &change);
        Some(change)
    }
}
