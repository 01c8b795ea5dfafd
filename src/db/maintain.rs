//! Care of the file: verify, backup, compact, gc.

use super::job_files::JobFileKind;
use super::retention::{OldReports, old_reports};
use super::undo::identity_of;
use super::{Database, Error, now};
use crate::graph::{IdHash, ObjectKind};
use crate::lang::HistoryKeep;
use crate::store::{
    BodyPacker, DatabaseFile, FORMAT, GraphWriter, IdentityEntry, NO_BODY, ObjectHead, Snapshot,
    StoreError, StoredHeads, SweepCounts, WaitPolicy,
};
use crate::sync::{JobReport, JobStatus};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// The report of a `gc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcReport {
    /// Tombstones of entities.
    pub purged_entities: u64,
    /// Tombstones of relationships.
    pub purged_relationships: u64,
    /// Lists of deletions that an undo can no longer use.
    pub purged_lists: u64,
    /// Open jobs that nobody finalized.
    pub abandoned: u64,
    /// Files that a killed `backup` or `init` left beside the database.
    pub leftovers: u64,
    /// Names, labels and scopes that nothing uses any more.
    pub swept: SweepCounts,
    /// States of the past that can no longer be asked.
    pub forgotten_states: u64,
    /// The time of the oldest state that can, in epoch milliseconds.
    pub oldest_state: i64,
    /// Reports of jobs.
    pub purged_reports: u64,
    /// Reports of which only the numbers were kept, since an object names the job.
    pub shortened_reports: u64,
}

/// What a `gc` keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcOptions {
    /// Days for which tombstones and lists for undo are kept at least; as long as a state needs them
    /// they stay in any case.
    pub days: u32,
    /// Days for which reports of jobs are kept at least.
    pub report_days: u32,
    /// How long states are kept.
    pub keep: HistoryKeep,
}

impl Default for GcOptions {
    /// What the command line does unless told otherwise.
    fn default() -> GcOptions {
        GcOptions { days: 90, report_days: 365, keep: HistoryKeep::default() }
    }
}

/// An open job without a call for this long is abandoned: a day.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// With fewer names a sweep gains little; with fewer objects it is quick.
const FEW_NAMES: u32 = 512;
const FEW_OBJECTS: u32 = 100_000;

/// Damaged pages that `verify` lists.
const PAGES_LISTED: usize = 50;

impl Database {
    /// Proves every index against its table, and reads all that is kept of open and held jobs;
    /// returns the errors found, in words.
    pub fn verify(&self) -> Result<Vec<String>, Error> {
        let mut problems = self.snapshot()?.verify();
        if !problems.is_empty() && self.injected.is_none() {
            // The engine gives a file up at the first page that is damaged; here is the extent.
            let (pages, all) = crate::store::damaged_pages(&self.path)?;
            if !pages.is_empty() {
                problems.push(format!("{} of {all} pages are damaged", pages.len()));
                problems.extend(pages.into_iter().take(PAGES_LISTED));
            }
        }
        problems.extend(self.check_jobs()?);
        let damaged = self.stray_job_files()?.into_iter().filter(|stray| stray.damage);
        problems.extend(damaged.map(|stray| format!("job file `{}`: {}", stray.name, stray.why)));
        Ok(problems)
    }

    /// The format of files that this program reads and writes.
    pub const FORMAT: u8 = FORMAT;

    /// Brings a file of the format before to this one; returns the format that it had, or `None` if
    /// it is up to date. The file as it was stays under the name `keep`, if there is one.
    ///
    /// # Errors
    ///
    /// A file of another format, or a damaged one; it stays as it was.
    pub fn upgrade(
        path: &Path,
        keep: Option<&Path>,
        waiting: &WaitPolicy,
    ) -> Result<Option<u8>, Error> {
        let done = waiting.while_in_use(path, || DatabaseFile::upgrade(path, keep));
        done.map_err(|e| match e {
            StoreError::Io(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                Error::usage(e.to_string(), "nothing was changed; name another file")
            }
            e => e.into(),
        })
    }

    /// Copies the database to a new file, beside readers and writers. The copy is the state of the
    /// graph as of now, without open and held jobs. Nothing but the copy is written. Returns its
    /// size in bytes.
    ///
    /// # Errors
    ///
    /// A usage error if anything is at `to`; nothing is left there unless the copy is whole.
    pub fn backup(&self, to: &Path) -> Result<u64, Error> {
        let what = || format!("`{}` exists already", to.display());
        let exists = || Error::usage(what(), "nothing was changed; name another file");
        if to.symlink_metadata().is_ok() {
            return Err(exists());
        }
        DatabaseFile::copy(&self.snapshot()?, to).map_err(|e| match e {
            StoreError::Io(e) if e.kind() == std::io::ErrorKind::AlreadyExists => exists(),
            e => e.into(),
        })
    }

    /// Rewrites property blocks that hold dead records, merges deltas of adjacency and gives unused
    /// space back; returns the size of the file before and after, in bytes.
    pub fn compact(&self) -> Result<(u64, u64), Error> {
        self.check_writable()?;
        let _turn = self.lock_writers();
        let size = || std::fs::metadata(&self.path).map(|m| m.len()).map_err(super::io);
        let before = size()?;
        // Asked before the file is opened for writing, and again inside, where nobody can commit in
        // between.
        if work_to_compact(&self.snapshot()?)?.is_some() {
            self.write(|writer, snapshot| {
                writer.stop_recording();
                let stale = work_to_compact(snapshot)?.unwrap_or_default();
                stale
                    .iter()
                    .try_for_each(|&(scope, kind)| repack(writer, snapshot, scope, kind))?;
                Ok(writer.merge_adjacency()?)
            })?;
        }
        self.sweep()?;
        if self.injected.is_none() {
            self.waiting.retry_until(&self.path, || self.shrink())?;
        }
        Ok((before, size()?))
    }

    /// Gives unused space back; `None` while another process writes, or reads an older state.
    fn shrink(&self) -> Result<Option<()>, StoreError> {
        let mut store = match DatabaseFile::open_writer(&self.path) {
            Err(StoreError::InUse(_)) => return Ok(None),
            store => store?,
        };
        // The engine frees pages two commits after they were given up, and moves some each time.
        loop {
            match store.shrink()? {
                None => return Ok(None),
                Some(true) => {}
                Some(false) => return Ok(Some(())),
            }
        }
    }

    /// Lets go of old states, and purges what no state needs any more: tombstones, lists for undo,
    /// reports of jobs, open jobs that were abandoned, and files that crashes left.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport, Error> {
        self.check_writable()?;
        let abandoned = self.drop_abandoned()?;
        let leftovers = crate::store::sweep(&self.path).map_err(super::io)?;
        let mut report = GcReport { abandoned, leftovers, ..GcReport::default() };
        self.sweep_jobs()?;
        let _turn = self.lock_writers();
        let ago = |days: u32| now() - i64::from(days) * 24 * 3_600_000;
        let (cutoff, report_cutoff) = (ago(options.days), ago(options.report_days));
        let states = options.keep.cutoff(now());
        let garbage = |snapshot: &Snapshot| -> Result<PurgeSet, Error> {
            let oldest = snapshot.oldest_revision()?;
            let keep = states.map_or(Ok(oldest), |cutoff| oldest_to_keep(snapshot, cutoff))?;
            Ok(PurgeSet {
                oldest: (keep > oldest).then_some(keep),
                relationships: tombstones(snapshot, ObjectKind::Relationship, cutoff, keep)?,
                entities: tombstones(snapshot, ObjectKind::Entity, cutoff, keep)?,
                lists: old_lists(snapshot, cutoff)?,
                reports: old_reports(snapshot, report_cutoff, keep)?,
            })
        };
        // Mostly nothing is due, and then the file is not opened for writing here.
        if garbage(&self.snapshot()?)?.is_empty() {
            report.swept = self.sweep()?;
            return Ok(report);
        }
        let (garbage, states) = self.write(|writer, snapshot| {
            writer.stop_recording();
            let garbage = garbage(snapshot)?;
            let states = match garbage.oldest {
                Some(oldest) => writer.forget_history(snapshot, oldest)?.states,
                None => 0,
            };
            // Relationships first: the key of one may be made from its ends.
            purge(writer, snapshot, ObjectKind::Relationship, &garbage.relationships)?;
            purge(writer, snapshot, ObjectKind::Entity, &garbage.entities)?;
            for &sequence in &garbage.lists {
                for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
                    writer.put_deletions(sequence, kind, &[])?;
                }
            }
            garbage.reports.remove(writer)?;
            Ok((garbage, states))
        })?;
        report.forgotten_states = states;
        report.purged_entities = garbage.entities.len() as u64;
        report.purged_relationships = garbage.relationships.len() as u64;
        report.purged_lists = garbage.lists.len() as u64;
        report.purged_reports = garbage.reports.removed.len() as u64;
        report.shortened_reports = garbage.reports.shortened.len() as u64;
        report.swept = self.sweep()?;
        report.oldest_state = self.states()?.first().map_or(0, |state| state.time);
        Ok(report)
    }

    /// Removes names, labels and scopes that nothing uses any more. To find them takes a pass over
    /// all objects, which a file of many objects with few names is spared.
    fn sweep(&self) -> Result<SweepCounts, Error> {
        let snapshot = self.snapshot()?;
        let meta = snapshot.meta();
        let objects = [ObjectKind::Entity, ObjectKind::Relationship].map(|kind| meta.bound(kind));
        if meta.names.max(meta.labels) < FEW_NAMES && objects.iter().sum::<u32>() > FEW_OBJECTS {
            return Ok(SweepCounts::default());
        }
        let used = snapshot.in_use()?;
        drop(snapshot);
        if used.is_all() {
            return Ok(SweepCounts::default());
        }
        match self.write_in(None, Some(meta.revision), |writer, _| {
            writer.stop_recording();
            Ok(writer.sweep(&used)?)
        }) {
            // More may be in use by now; the next sweep is soon enough.
            Err(Error::Store(StoreError::Changed)) => Ok(SweepCounts::default()),
            swept => swept,
        }
    }

    /// Aborts open jobs that nobody called for a day; returns their number.
    ///
    /// The time since the last call is that of the running system, which nobody can set; the clock
    /// is asked only where it is not known. A job whose age cannot be told is not abandoned.
    #[doc(hidden)]
    pub fn drop_abandoned(&self) -> Result<u64, Error> {
        let mut abandoned = 0;
        for file in self.job_files()? {
            if file.status() != JobStatus::AwaitingUploads {
                continue;
            }
            let stage = self.job_path(file.id(), JobFileKind::Stage);
            let idle = match self.lock_record(file.id()).unwrap_or_default().idle() {
                Some(idle) => Some(idle),
                // The system was started anew since, or tells no time that nobody sets.
                None => idle_by_clock(&stage, file.reports[0].start_timestamp),
            };
            if idle.is_some_and(|idle| idle > ABANDONED_AFTER) {
                match self.abort(&file.id().to_string()) {
                    Ok(_) => abandoned += 1,
                    // It was called, or ended, in between.
                    Err(Error::Usage(..) | Error::UnknownJob(_)) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(abandoned)
    }
}

/// The time since the last write to a stage, or since its job began if that is shorter; `None`
/// unless the clock says that both are past.
fn idle_by_clock(stage: &Path, started: i64) -> Option<Duration> {
    let begun = u64::try_from(now() - started).ok().map(Duration::from_millis)?;
    match std::fs::metadata(stage) {
        // The shorter time counts, since a clock that was set may make one of them too long.
        Ok(metadata) => Some(metadata.modified().ok()?.elapsed().ok()?.min(begun)),
        Err(_) => Some(begun),
    }
}

/// Objects, lists and reports that nobody needs any more.
struct PurgeSet {
    /// The oldest revision whose state stays, if older ones go.
    oldest: Option<u64>,
    relationships: Vec<u32>,
    entities: Vec<u32>,
    lists: Vec<u32>,
    reports: OldReports,
}

impl PurgeSet {
    fn is_empty(&self) -> bool {
        self.oldest.is_none()
            && self.relationships.is_empty()
            && self.entities.is_empty()
            && self.lists.is_empty()
            && self.reports.removed.is_empty()
            && self.reports.shortened.is_empty()
    }
}

/// The scopes whose blocks hold dead records; `None` if there is nothing to compact.
fn work_to_compact(snapshot: &Snapshot) -> Result<Option<Vec<(u32, ObjectKind)>>, StoreError> {
    let mut stale = Vec::new();
    for (scope, row) in snapshot.scope_rows()? {
        let kinds = [ObjectKind::Entity, ObjectKind::Relationship];
        stale.extend(kinds.into_iter().filter(|&k| row.dead[k as usize] > 0).map(|k| (scope, k)));
    }
    let deltas = snapshot.meta().edges.iter().any(|counts| counts.delta > 0);
    Ok((!stale.is_empty() || deltas).then_some(stale))
}

/// The oldest revision whose state has to stay: the newest one that is not later than `cutoff`.
fn oldest_to_keep(snapshot: &Snapshot, cutoff: i64) -> Result<u64, StoreError> {
    let revisions = snapshot.revisions()?;
    let older = revisions.partition_point(|revision| revision.time <= cutoff);
    let keep = revisions.get(older.saturating_sub(1)).or(revisions.first());
    Ok(keep.map_or(snapshot.meta().revision, |revision| revision.revision))
}

/// Tombstones from before `cutoff` that were tombstones in every state from `oldest` on.
fn tombstones(
    snapshot: &Snapshot,
    kind: ObjectKind,
    cutoff: i64,
    oldest: u64,
) -> Result<Vec<u32>, StoreError> {
    let mut old = Vec::new();
    snapshot.for_each_row(kind, |number, chunk, row| {
        if !chunk.live(row) && chunk.end(row) < cutoff {
            old.push(number);
        }
    })?;
    if !old.is_empty() {
        let touched = snapshot.touched(kind, oldest + 1..=snapshot.meta().revision)?.0;
        old.retain(|number| touched.binary_search(number).is_err());
    }
    Ok(old)
}

/// Jobs before the cutoff that still have a list of deletions.
fn old_lists(snapshot: &Snapshot, cutoff: i64) -> Result<Vec<u32>, Error> {
    let mut lists = Vec::new();
    for sequence in 0..snapshot.meta().next_job {
        let kinds = [ObjectKind::Entity, ObjectKind::Relationship];
        let mut has = false;
        for kind in kinds {
            has |= !snapshot.deletions(sequence, kind)?.is_empty();
        }
        if has && let Some(row) = snapshot.job(sequence)? {
            let report: JobReport = serde_json::from_slice(&row.report)
                .map_err(|e| StoreError::corrupt("jobs", &[], &e.to_string()))?;
            if report.end_timestamp.is_some_and(|end| end < cutoff) {
                lists.push(sequence);
            }
        }
    }
    Ok(lists)
}

fn purge(
    writer: &mut GraphWriter,
    snapshot: &Snapshot,
    kind: ObjectKind,
    numbers: &[u32],
) -> Result<(), StoreError> {
    let mut by_scope: BTreeMap<u32, Vec<(IdHash, Option<IdentityEntry>)>> = BTreeMap::new();
    for &number in numbers {
        let Some(head) = snapshot.head(kind, number)? else { continue };
        let identity = identity_of(snapshot, kind, &head)?;
        by_scope.entry(head.scope).or_default().push((identity.id, None));
        let row = writer.scope(head.scope)?;
        row.counts[kind as usize].deleted -= 1;
        // The record stays in its block as a dead one, until `compact` rewrites the block.
        row.dead[kind as usize] += u64::from(head.block != NO_BODY);
        if kind == ObjectKind::Entity {
            writer.put_pins(head.scope, identity.id, None)?;
        }
    }
    for (scope, edits) in &by_scope {
        writer.purge_from_history(*scope, kind, edits.len() as u64)?;
    }
    let absent: Vec<(u32, Option<ObjectHead>)> =
        numbers.iter().map(|&number| (number, None)).collect();
    writer.edit_heads(kind, &absent)?;
    for (scope, mut edits) in by_scope {
        edits.sort_unstable_by_key(|(id, _)| *id);
        writer.edit_identity(kind, scope, &edits)?;
        writer.scope(scope)?.generation += 1;
    }
    Ok(())
}

/// Rewrites the property blocks of a scope without dead records, in the order in which they are
/// stored.
fn repack(
    writer: &mut GraphWriter,
    snapshot: &Snapshot,
    scope: u32,
    kind: ObjectKind,
) -> Result<(), Error> {
    let mut places: Vec<(u32, u32, u32)> = Vec::new();
    snapshot.for_each_row(kind, |number, chunk, row| {
        let (block, slot) = chunk.body(row);
        if chunk.scope(row) == scope && block != NO_BODY {
            places.push((block, slot, number));
        }
    })?;
    // A body may belong to an object and to its past, so each place is moved once.
    let mut old: Vec<(u32, u32)> = snapshot.recorded_places(kind, scope)?;
    old.extend(places.iter().map(|(block, slot, _)| (*block, *slot)));
    old.sort_unstable();
    old.dedup();
    let next = writer.scope(scope)?.next_block[kind as usize];
    let counter = AtomicU32::new(next);
    let mut packer = BodyPacker::default();
    let mut new = Vec::with_capacity(old.len());
    // In the order of the blocks, so that each is unpacked once.
    for &(block, slot) in &old {
        let head = ObjectHead { scope, block, slot, ..ObjectHead::default() };
        let record = snapshot.body_record(kind, &head)?;
        let (place, full) = packer.push(scope, &record, &counter);
        new.push(place);
        writer.put_bodies(kind, scope, full)?;
    }
    writer.put_bodies(kind, scope, packer.close().into_iter().map(|(_, block)| block))?;
    let moved = |place: (u32, u32)| Some(new[old.binary_search(&place).ok()?]);
    for (block, slot, _) in &mut places {
        (*block, *slot) = moved((*block, *slot)).expect("BUG: every place was taken");
    }
    writer.move_recorded_bodies(snapshot, kind, scope, moved)?;
    // New blocks are numbered from `next` on, so all below it are old ones.
    writer.remove_bodies(kind, scope, 0..next)?;
    // Heads are rewritten in one pass by ascending number.
    places.sort_unstable_by_key(|(_, _, number)| *number);
    let lost = || StoreError::corrupt("heads", &scope.to_be_bytes(), "an object is missing");
    let make = |places: &[(u32, u32, u32)], stored: &StoredHeads<'_>, _: &mut ()| {
        let moved = |&(block, slot, number): &(u32, u32, u32)| {
            let head = stored.get(number).ok_or_else(lost)?;
            Ok(Some(ObjectHead { block, slot, ..head }))
        };
        places.iter().map(moved).collect()
    };
    let batches = std::iter::once(Ok(&places[..]));
    writer.rewrite_heads(kind, batches, |(_, _, number)| *number, || (), make, Ok)?;
    let row = writer.scope(scope)?;
    row.next_block[kind as usize] = counter.into_inner();
    row.dead[kind as usize] = 0;
    Ok(())
}
