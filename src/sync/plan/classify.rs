//! Classifying: the objects of a batch that are plainly new or the same, without a look into the
//! graph, and the rest.

use super::change::{ChangeAction, ContentLocation, ObjectChange, PlanFingerprint};
use super::decide::EndNumbers;
use super::ends::ResolvedEnd;
use crate::graph::ObjectKind;
use crate::store::StoreError;
use crate::store::staging::{StagedObject, UploadStage};
use crate::sync::compare::{BitSet, StageWindows, StoredMatch, UploadContext, UploadedObject};
use crate::sync::report::JobTally;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// A batch after sorting it out: changes that need no look into the graph, and the rest.
pub(super) struct ClassifiedBatch<T> {
    /// New ones.
    pub(super) changes: Vec<ObjectChange>,
    pub(super) fingerprint: PlanFingerprint,
    /// Objects that need a look into the graph, each with its stored match and the ends that were
    /// found.
    pub(super) rest: Vec<(T, Option<StoredMatch>, EndNumbers)>,
    /// By position of the job and type.
    pub(super) tallies: FxHashMap<(u32, u32), JobTally>,
    /// By position of the job: how many it has made before this batch.
    pub(super) firsts: FxHashMap<u32, u32>,
}

/// The data for sorting out a batch without a look into the graph.
pub(super) struct BatchClassifier<'s> {
    stage: &'s UploadStage,
    jobs_of: &'s [Box<[u32]>],
    windows: &'s StageWindows,
    same: &'s BitSet,
    folded: &'s BitSet,
    /// By job: true if all its objects need a look into the graph.
    careful: Vec<bool>,
    /// By job.
    seeds: Vec<u64>,
}

/// Counts neighbours, which are mostly of one type, and puts them into the map once it changes.
struct TypeTally<'t> {
    tallies: &'t mut FxHashMap<(u32, u32), JobTally>,
    of: (u32, u32),
    tally: JobTally,
}

impl TypeTally<'_> {
    /// The counts of a job and type.
    fn of(&mut self, of: (u32, u32)) -> &mut JobTally {
        if self.of != of {
            self.flush();
            self.of = of;
        }
        &mut self.tally
    }

    fn flush(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        if tally != JobTally::default() {
            self.tallies.entry(self.of).or_default().add(&tally);
        }
    }
}

impl<'s> BatchClassifier<'s> {
    /// Classifies the objects of a kind. `seeds` are those of the fingerprint, by job.
    pub(super) fn new(
        kind: ObjectKind,
        context: &'s UploadContext<'_>,
        (same, folded): (&'s BitSet, &'s BitSet),
        seeds: Vec<u64>,
    ) -> BatchClassifier<'s> {
        // Pins and merging concern entities only.
        let careful = context.jobs.iter().map(|job| job.careful && kind == ObjectKind::Entity);
        BatchClassifier {
            stage: context.stage,
            jobs_of: &context.jobs_of,
            windows: &context.windows[kind as usize],
            same,
            folded,
            careful: careful.collect(),
            seeds,
        }
    }

    /// Classifies the batches of a window. `met` are the stored matches in it, and `found` the ends
    /// of its relationships.
    pub(super) fn classify_window<T: UploadedObject>(
        &self,
        window: usize,
        mut met: Vec<StoredMatch>,
        found: Option<Vec<ResolvedEnd>>,
    ) -> Vec<Result<ClassifiedBatch<T>, StoreError>> {
        met.sort_unstable_by_key(|met| met.ordinal);
        let range = self.windows.objects(window);
        let mut ends = Vec::new();
        if let Some(found) = found {
            ends.resize(range.len(), EndNumbers::default());
            for ResolvedEnd { at, number } in found {
                ends[(at / 2 - range.start) as usize][at as usize % 2] = Some(number);
            }
        }
        let batches = self.windows.batches(window).into_par_iter();
        batches.map(|frame| self.classify_batch::<T>(frame, &met, &ends, range.start)).collect()
    }

    /// Splits a batch into objects that are plainly new or the same, and the rest. `met` ascends by
    /// position, and `ends` are those of relationships from position `first` on.
    fn classify_batch<T: UploadedObject>(
        &self,
        frame: u32,
        met: &[StoredMatch],
        ends: &[EndNumbers],
        first: u32,
    ) -> Result<ClassifiedBatch<T>, StoreError> {
        let objects = T::of_frame(self.stage, frame)?;
        let mut changes = Vec::with_capacity(objects.len());
        let (mut fingerprint, mut rest) = (PlanFingerprint::default(), Vec::new());
        let mut tallies = FxHashMap::default();
        let mut tally = TypeTally { tallies: &mut tallies, of: (0, 0), tally: JobTally::default() };
        let start = self.windows.first_of(frame);
        let at = met.partition_point(|met| met.ordinal < start);
        let mut met = met[at..].iter().copied().peekable();
        for (staged, ordinal) in objects.into_iter().zip(start..) {
            let object = staged.as_ref();
            let job = self.jobs_of[frame as usize][object.scope as usize];
            if self.folded.get(ordinal) {
                continue;
            }
            let tally = tally.of((job, object.type_name));
            tally.uploaded += 1;
            if self.same.get(ordinal) {
                tally.unchanged += 1;
                continue;
            }
            let met = met.next_if(|met| met.ordinal == ordinal);
            let found = ends.get((ordinal - first) as usize).copied().unwrap_or_default();
            let ends = match (T::KIND, found) {
                (ObjectKind::Entity, _) => Some((0, 0)),
                (ObjectKind::Relationship, [Some(from), Some(to)]) => Some((from, to)),
                (ObjectKind::Relationship, _) => None,
            };
            match ends.filter(|_| met.is_none() && !self.careful[job as usize]) {
                Some(ends) => {
                    tally.created += 1;
                    let change = created(job, object, ends);
                    fingerprint.add(self.seeds[job as usize], &change);
                    changes.push(change);
                }
                None => rest.push((staged, met, found)),
            }
        }
        tally.flush();
        Ok(ClassifiedBatch { changes, fingerprint, rest, tallies, firsts: FxHashMap::default() })
    }
}

/// The change for a new object, which has no number yet.
fn created(job: u32, object: &StagedObject, ends: (u32, u32)) -> ObjectChange {
    let (id, digest, place) = (object.id, object.spelling, ContentLocation::of(object));
    ObjectChange { job, number: 0, id, digest, ends, action: ChangeAction::Create, place }
}
