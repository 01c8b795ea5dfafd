//! Planning: from compared uploads to a change set that only has to be stored.
//!
//! A plan holds the changes of one or several jobs that are finalized together: entities of all
//! jobs first, then the relationships, whose ends may be entities that the same plan creates.
//! Planning reads a snapshot and writes nothing. It gives out numbers as the writer will give them.
//! This is sound because a plan is applied at its own revision or not at all.
//!
//! Each kind is gone through twice. First `compare/` finds the objects that are the same, changed or
//! gone, in the order of hashes. Then `decide.rs` decides on the rest in the order of the stage.

mod change;
mod classify;
mod decide;
mod deletions;
mod details;
mod ends;
mod entities;
mod entity_table;
mod merged;
mod missing_ends;
mod planner;
mod relationships;
mod review;

pub use change::{ChangeAction, ContentLocation, JobPlan, ObjectChange, SyncPlan};
pub use details::{ChangeDetails, PropertyChange, describe};

use super::compare::{HashPartitions, UploadContext, compare};
use super::owner::check_owner;
use super::report::{JobTally, SKIPPED_LISTED};
use super::stage::StagedUploads;
use super::{InputNames, SyncError};
use crate::graph::{NameLookup, ObjectKind};
use crate::store::Snapshot;
use crate::store::staging::{StagedObject, StagedRelationship};
use change::PlanFingerprint;
use planner::{PlanningJob, SyncPlanner};
use review::{ask_guard, hold_together};
use uuid::Uuid;

/// Makes the plan of all that was uploaded, against a snapshot. Repetitions are folded away.
///
/// # Errors
///
/// [`SyncError::Faults`] for duplicate keys and for objects that a mode refuses once the graph is
/// known; store errors.
pub fn plan(
    snapshot: &Snapshot,
    uploads: &StagedUploads,
    inputs: &InputNames,
    guarded: bool,
) -> Result<SyncPlan, SyncError> {
    uploads.jobs().iter().try_for_each(|job| check_owner(snapshot, &job.spec))?;
    let context = UploadContext::new(snapshot, uploads, inputs)?;
    let mut planner = SyncPlanner::new(&context);
    let named = planner.named_deletions(ObjectKind::Entity)?;
    let mut compared = compare::<StagedObject>(&context, &named, &planner.cascade)?;
    planner.take_compared(ObjectKind::Entity, &mut compared)?;
    let parts =
        HashPartitions::of(context.windows.iter().map(|windows| u64::from(windows.total)).sum());
    let (entities, born) = planner.entities(&mut compared, parts)?;
    planner.finish_kind(ObjectKind::Entity, &compared, named)?;
    // Relationships are compared after this: one that loses an end counts as changed.
    planner.find_cascade()?;
    let named = planner.named_deletions(ObjectKind::Relationship)?;
    let mut compared = compare::<StagedRelationship>(&context, &named, &planner.cascade)?;
    planner.take_compared(ObjectKind::Relationship, &mut compared)?;
    let relationships = planner.relationships(&mut compared, parts, born)?;
    planner.finish_kind(ObjectKind::Relationship, &compared, named)?;
    planner.add_other_scopes()?;
    let foreign = planner.foreign()?;
    let SyncPlanner { jobs, merges, mut fingerprint, .. } = planner;
    // Deletions of jobs are in the fingerprint already; those in foreign scopes are still missing.
    for (scope, changes) in &foreign {
        let seed = PlanFingerprint::seed(snapshot.name(*scope), ObjectKind::Relationship);
        changes.iter().for_each(|change| fingerprint.add(seed, change));
    }
    let hash = fingerprint.text();
    Ok(SyncPlan {
        revision: snapshot.meta().revision,
        jobs: job_plans(&context, jobs, &hash, guarded)?,
        changes: [entities, relationships],
        merged: merges.finish()?,
        foreign,
        hash,
    })
}

/// The plans of the jobs, with their reports. Every job gets the hash of the whole plan, since the
/// jobs of a plan run together or not at all.
fn job_plans(
    context: &UploadContext<'_>,
    jobs: Vec<PlanningJob>,
    hash: &str,
    guarded: bool,
) -> Result<Vec<JobPlan>, SyncError> {
    let mut planned = Vec::with_capacity(jobs.len());
    for (job, of) in jobs.into_iter().zip(&context.jobs) {
        let PlanningJob { mut report, created, deletes, pins, .. } = job;
        // In the order of the input: of equal names the shorter place is the smaller line.
        report.skipped.sort_by_key(|s| s.place.as_ref().map(|p| (p.len(), p.clone())));
        let mapped = &of.input.skipped;
        report.skipped_total += mapped.len() as u64;
        let room = SKIPPED_LISTED.saturating_sub(report.skipped.len());
        report.skipped.extend(mapped.iter().take(room).cloned());
        report.skipped_left_out = report.skipped_total - report.skipped.len() as u64;
        hash.clone_into(&mut report.plan_hash);
        let mut job = JobPlan { spec: of.input.spec.clone(), created, deletes, pins, report };
        if guarded {
            ask_guard(context.snapshot, &mut job)?;
        }
        planned.push(job);
    }
    hold_together(&mut planned);
    let mapped: Vec<(Uuid, JobTally)> = planned
        .iter()
        .filter_map(|job| Some((job.spec.mapped_for?, job.report.relationships)))
        .collect();
    for (id, mut tally) in mapped {
        let found = planned.iter_mut().zip(&context.jobs).find(|(job, _)| job.spec.id == id);
        if let Some((job, of)) = found {
            let left_out = of.input.skipped.len() as u64;
            tally.uploaded += left_out;
            tally.skipped += left_out;
            job.report.mapped_relationships = Some(tally);
        }
    }
    Ok(planned)
}
