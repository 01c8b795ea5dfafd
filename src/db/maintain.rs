//! Care of the file: undo, verify, compact, gc.

use super::job_files::JobFileKind;
use super::retention::{OldReports, old_reports};
use super::{Database, Error, now};
use crate::graph::{IdHash, NameLookup, ObjectId, ObjectKind};
use crate::store::{
    BodyPacker, DatabaseFile, EdgeEdit, GraphWriter, IdentityEntry, NO_BODY, ObjectHead,
    RelationshipLabel, Snapshot, StoreError, StoredHeads, SweepCounts,
};
use crate::sync::{JobReport, JobStatus, JobTally, job_row};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use uuid::Uuid;

/// The report of an `undo`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UndoReport {
    /// The job under which the restoration is recorded.
    pub job: JobReport,
    /// Entities that live again.
    pub restored_entities: u64,
    /// Relationships that live again.
    pub restored_relationships: u64,
    /// One sentence for each object that stays deleted, with the reason.
    pub left: Vec<String>,
}

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
    /// Reports of jobs.
    pub purged_reports: u64,
    /// Reports of which only the numbers were kept, since an object names the job.
    pub shortened_reports: u64,
}

/// An open job without a call for this long is abandoned: a day.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// With fewer names a sweep gains little; with fewer objects it is quick.
const FEW_NAMES: u32 = 512;
const FEW_OBJECTS: u32 = 100_000;

/// Damaged pages that `verify` lists.
const PAGES_LISTED: usize = 50;

impl Database {
    /// Restores exactly what one job deleted, as far as it is still deleted by it.
    ///
    /// A relationship comes back only if both its ends live.
    pub fn undo(&self, id: &str) -> Result<UndoReport, Error> {
        let id = self.resolve_job(id)?;
        let Some((undone, old)) = self.stored_job(id)? else {
            return Err(Error::usage(
                format!("job {id} changed nothing, so there is nothing to undo"),
                "`tombolo job list` shows what each job did",
            ));
        };
        let (e, r) = (old.entities, old.relationships);
        let foreign: u64 = old.foreign_deletions.values().sum();
        let (updated, deleted) = (e.updated + r.updated, e.deleted + r.deleted + foreign);
        if deleted == 0 {
            let kept = "values before a job are not kept";
            let words = match updated {
                0 => format!("job {id} deleted nothing, so there is nothing to bring back"),
                n => format!("job {id} updated {} and deleted none, and {kept}", objects(n)),
            };
            let hint = "upload what the scope held before; `tombolo job undo` brings back what a \
                        job deleted";
            return Err(Error::usage(words, hint));
        }
        let _turn = self.lock_writers();
        let now = now();
        self.write(|writer, snapshot| {
            let sequence = writer.meta.next_job;
            writer.meta.next_job += 1;
            let mut undo =
                UndoOperation { snapshot, writer, undone, sequence, now, left: Vec::new() };
            let entities = undo.entities()?;
            let relationships = undo.relationships(&entities)?;
            let mut left = undo.left;
            if updated > 0 {
                left.push(format!(
                    "the new values of {} stay: values before a job are not kept",
                    objects(updated)
                ));
            }
            // The list is used up: a second undo of the same job must find nothing.
            for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
                writer.put_deletions(undone, kind, &[])?;
            }
            let restored = |n: usize| JobTally { created: n as u64, ..JobTally::default() };
            let job = JobReport {
                id: Uuid::now_v7(),
                status: JobStatus::Finished,
                start_timestamp: now,
                end_timestamp: Some(now),
                entities: restored(entities.len()),
                relationships: restored(relationships),
                types: BTreeMap::new(),
                skipped: Vec::new(),
                skipped_total: 0,
                skipped_left_out: 0,
                foreign_deletions: BTreeMap::new(),
                held: None,
                plan_hash: String::new(),
                ..old
            };
            writer.put_job(sequence, &job_row(&job))?;
            Ok(UndoReport {
                job,
                restored_entities: entities.len() as u64,
                restored_relationships: relationships as u64,
                left,
            })
        })
    }

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

    /// Purges tombstones and lists for undo older than `days`, reports of jobs older than
    /// `report_days`, open jobs that were abandoned, and files that crashes left.
    pub fn gc(&self, days: u32, report_days: u32) -> Result<GcReport, Error> {
        self.check_writable()?;
        let abandoned = self.drop_abandoned()?;
        let leftovers = crate::store::sweep(&self.path).map_err(super::io)?;
        let mut report = GcReport { abandoned, leftovers, ..GcReport::default() };
        self.sweep_jobs()?;
        let _turn = self.lock_writers();
        let ago = |days: u32| now() - i64::from(days) * 24 * 3_600_000;
        let (cutoff, report_cutoff) = (ago(days), ago(report_days));
        let garbage = |snapshot: &Snapshot| -> Result<PurgeSet, Error> {
            Ok(PurgeSet {
                relationships: tombstones(snapshot, ObjectKind::Relationship, cutoff)?,
                entities: tombstones(snapshot, ObjectKind::Entity, cutoff)?,
                lists: old_lists(snapshot, cutoff)?,
                reports: old_reports(snapshot, report_cutoff)?,
            })
        };
        // Mostly nothing is due, and then the file is not opened for writing here.
        if garbage(&self.snapshot()?)?.is_empty() {
            report.swept = self.sweep()?;
            return Ok(report);
        }
        let garbage = self.write(|writer, snapshot| {
            let garbage = garbage(snapshot)?;
            // Relationships first: the key of one may be made from its ends.
            purge(writer, snapshot, ObjectKind::Relationship, &garbage.relationships)?;
            purge(writer, snapshot, ObjectKind::Entity, &garbage.entities)?;
            for &sequence in &garbage.lists {
                for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
                    writer.put_deletions(sequence, kind, &[])?;
                }
            }
            garbage.reports.remove(writer)?;
            Ok(garbage)
        })?;
        report.purged_entities = garbage.entities.len() as u64;
        report.purged_relationships = garbage.relationships.len() as u64;
        report.purged_lists = garbage.lists.len() as u64;
        report.purged_reports = garbage.reports.removed.len() as u64;
        report.shortened_reports = garbage.reports.shortened.len() as u64;
        report.swept = self.sweep()?;
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
        match self.write_in(None, Some(meta.revision), |writer, _| Ok(writer.sweep(&used)?)) {
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

fn objects(count: u64) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
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
    relationships: Vec<u32>,
    entities: Vec<u32>,
    lists: Vec<u32>,
    reports: OldReports,
}

impl PurgeSet {
    fn is_empty(&self) -> bool {
        self.relationships.is_empty()
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

struct UndoOperation<'u> {
    snapshot: &'u Snapshot,
    writer: &'u mut GraphWriter,
    undone: u32,
    sequence: u32,
    now: i64,
    left: Vec<String>,
}

impl UndoOperation<'_> {
    /// The heads that the job deleted and that nobody touched since.
    fn deleted(&self, kind: ObjectKind) -> Result<Vec<(u32, ObjectHead)>, StoreError> {
        let mut heads = Vec::new();
        for number in self.snapshot.deletions(self.undone, kind)? {
            // An object that came back and was deleted again names a later job.
            if let Some(head) = self.snapshot.head(kind, number)?
                && head.end != 0
                && head.job == self.undone
            {
                heads.push((number, head));
            }
        }
        Ok(heads)
    }

    fn entities(&mut self) -> Result<FxHashSet<u32>, StoreError> {
        let heads = self.deleted(ObjectKind::Entity)?;
        let numbers = heads.iter().map(|(number, _)| *number).collect();
        self.revive(ObjectKind::Entity, heads)?;
        Ok(numbers)
    }

    fn relationships(&mut self, revived: &FxHashSet<u32>) -> Result<usize, StoreError> {
        let mut back = Vec::new();
        for (number, head) in self.deleted(ObjectKind::Relationship)? {
            let lives = |end: u32| -> Result<bool, StoreError> {
                // Entities that were revived a moment ago are not in the snapshot yet.
                let facts = self.snapshot.facts(ObjectKind::Entity, end)?;
                Ok(revived.contains(&end) || facts.is_some_and(|f| f.live))
            };
            if lives(head.from)? && lives(head.to)? {
                back.push((number, head));
            } else {
                let key = self.snapshot.relationship_key(&head)?;
                self.left.push(format!("relationship `{key}` stays deleted: an end is not live"));
            }
        }
        let count = back.len();
        self.revive(ObjectKind::Relationship, back)?;
        Ok(count)
    }

    fn revive(
        &mut self,
        kind: ObjectKind,
        heads: Vec<(u32, ObjectHead)>,
    ) -> Result<(), StoreError> {
        let mut by_scope: BTreeMap<u32, Vec<(IdHash, Option<IdentityEntry>)>> = BTreeMap::new();
        let mut edges = Vec::new();
        let mut live = Vec::with_capacity(heads.len());
        for (number, head) in heads {
            let identity = stored_identity(self.snapshot, kind, &head)?;
            by_scope
                .entry(head.scope)
                .or_default()
                .push((identity.id, Some(IdentityEntry { live: true, ..identity })));
            if kind == ObjectKind::Relationship {
                edges.push(EdgeEdit {
                    from: head.from,
                    to: head.to,
                    label: self.writer.labels.intern(RelationshipLabel::of(&head)),
                    relationship: number,
                    add: true,
                });
            }
            let row = self.writer.scope(head.scope)?;
            row.counts[kind as usize].deleted -= 1;
            row.counts[kind as usize].shift(head.type_name, head.class, 1);
            let version = head.version.saturating_add(1);
            let (begin, job) = (self.now, self.sequence);
            live.push((number, Some(ObjectHead { end: 0, begin, version, job, ..head })));
        }
        self.writer.edit_heads(kind, &live)?;
        for (scope, mut edits) in by_scope {
            edits.sort_unstable_by_key(|(id, _)| *id);
            self.writer.edit_identity(kind, scope, &edits)?;
            let row = self.writer.scope(scope)?;
            row.generation += 1;
            row.last_job = Some(self.sequence);
        }
        self.writer.edit_adjacency(&edges)
    }
}

fn stored_identity(
    snapshot: &Snapshot,
    kind: ObjectKind,
    head: &ObjectHead,
) -> Result<IdentityEntry, StoreError> {
    let key = snapshot.key_of(kind, head)?;
    let id = ObjectId::new(kind, snapshot.name(head.scope), &key);
    snapshot
        .find_hash(kind, head.scope, snapshot.hashed(id))?
        .ok_or_else(|| StoreError::corrupt("identity", &id.0, "an object has no identity"))
}

fn tombstones(snapshot: &Snapshot, kind: ObjectKind, cutoff: i64) -> Result<Vec<u32>, StoreError> {
    let mut old = Vec::new();
    snapshot.for_each_row(kind, |number, chunk, row| {
        if !chunk.live(row) && chunk.end(row) < cutoff {
            old.push(number);
        }
    })?;
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
        let identity = stored_identity(snapshot, kind, &head)?;
        by_scope.entry(head.scope).or_default().push((identity.id, None));
        let row = writer.scope(head.scope)?;
        row.counts[kind as usize].deleted -= 1;
        // The record stays in its block as a dead one, until `compact` rewrites the block.
        row.dead[kind as usize] += u64::from(head.block != NO_BODY);
        if kind == ObjectKind::Entity {
            writer.put_pins(head.scope, identity.id, None)?;
        }
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
    places.sort_unstable();
    let next = writer.scope(scope)?.next_block[kind as usize];
    let counter = AtomicU32::new(next);
    let mut packer = BodyPacker::default();
    // In the order of the blocks, so that each is unpacked once.
    for (block, slot, _) in &mut places {
        let head = ObjectHead { scope, block: *block, slot: *slot, ..ObjectHead::default() };
        let record = snapshot.body_record(kind, &head)?;
        let ((new_block, new_slot), full) = packer.push(scope, &record, &counter);
        (*block, *slot) = (new_block, new_slot);
        writer.put_bodies(kind, scope, full)?;
    }
    writer.put_bodies(kind, scope, packer.close().into_iter().map(|(_, block)| block))?;
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
