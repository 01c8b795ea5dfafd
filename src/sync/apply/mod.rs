//! Applying: a plan becomes heads, identities, edges and blocks in one write transaction.
//!
//! This stage decides nothing. It takes changes in the order of the stage, so that each batch is
//! read once, and puts their parts into buckets for the other orders: new relationships by the
//! entity where they begin (this gives them their numbers and keeps adjacency columns narrow),
//! identities by hash, edges by entity. Memory holds a few batches, or buckets, of each at a time.

mod applier;
mod change;
mod counts;
mod fresh;
mod heads;
mod pack;

use super::SyncError;
use super::owner::owner_after;
use super::plan::{ObjectChange, SyncPlan};
use super::report::JobReport;
use super::stage::StagedUploads;
use crate::graph::ObjectKind;
use crate::store::{GraphWriter, JobRow};
use applier::PlanApplier;
use change::ChangeOwner;
use std::collections::BTreeMap;

/// Stores a plan: graph, reports and counts change together at the commit of `writer`. This takes
/// the changes out of the plan.
///
/// `writer` starts from the state that the plan was made for; `now` is epoch milliseconds.
pub fn apply(
    plan: &mut SyncPlan,
    uploads: &StagedUploads,
    writer: &mut GraphWriter,
    now: i64,
) -> Result<(), SyncError> {
    let mut owners = begin_jobs(plan, writer, now)?;
    let mut deletions: BTreeMap<(u32, ObjectKind), Vec<u32>> = BTreeMap::new();
    let mut deletes: [Vec<(u32, Vec<ObjectChange>)>; 2] = Default::default();
    for (job, at) in plan.jobs.iter_mut().zip(0..) {
        for (all, mine) in deletes.iter_mut().zip(&mut job.deletes) {
            all.push((at, std::mem::take(mine)));
        }
    }
    let culprit = foreign_deletion_job(&deletes[ObjectKind::Entity as usize]);
    for (scope, changes) in std::mem::take(&mut plan.foreign) {
        deletes[ObjectKind::Relationship as usize].push((owners.len() as u32, changes));
        owners.push(ChangeOwner::new(scope, owners[culprit].sequence));
    }
    let mut storing = PlanApplier::new(plan, uploads, writer, owners, now);
    // Entities first: relationships are put in the order of the numbers of their ends.
    for (kind, deletes) in [ObjectKind::Entity, ObjectKind::Relationship].into_iter().zip(deletes) {
        storing.begin(kind, plan)?;
        for (owner, changes) in deletes {
            let sequence = storing.owners[owner as usize].sequence;
            let gone = deletions.entry((sequence, kind)).or_default();
            gone.extend(changes.iter().map(|change| change.number));
            storing.delete(kind, owner, changes)?;
        }
        let fresh = storing.store_changes(kind, plan)?;
        storing.number(fresh)?;
        storing.finish(kind)?;
    }
    storing.adjacency()?;
    for ((sequence, kind), mut numbers) in deletions {
        numbers.sort_unstable();
        writer.put_deletions(sequence, kind, &numbers)?;
    }
    for (job, at) in plan.jobs.iter().zip(0..) {
        let scope = writer.names.intern(&job.spec.scope, at)?;
        for (id, pin) in &job.pins {
            writer.put_pins(scope, *id, pin.clone())?;
        }
    }
    Ok(())
}

/// Stores the reports of the jobs and returns an owner for each.
fn begin_jobs(
    plan: &SyncPlan,
    writer: &mut GraphWriter,
    now: i64,
) -> Result<Vec<ChangeOwner>, SyncError> {
    let mut owners = Vec::with_capacity(plan.jobs.len() + plan.foreign.len());
    for (job, at) in plan.jobs.iter().zip(0..) {
        let sequence = writer.meta.next_job;
        writer.meta.next_job += 1;
        let mut report = job.report.clone();
        report.end_timestamp = Some(now);
        writer.put_job(sequence, &job_row(&report))?;
        let name = &job.spec.scope;
        let scope = writer.names.intern(name, at).map_err(|e| e.of_scope(name))?;
        let row = writer.scope(scope)?;
        row.last_job = Some(sequence);
        row.written_by = owner_after(row, &job.spec, job.created[0]);
        owners.push(ChangeOwner::new(scope, sequence));
    }
    Ok(owners)
}

/// The row under which a report is stored.
pub fn job_row(report: &JobReport) -> JobRow {
    JobRow {
        id: report.id,
        source: report.source.clone(),
        report: serde_json::to_vec(report).expect("BUG: a report is plain JSON"),
    }
}

/// The job that is recorded for foreign deletions: the first that deletes entities.
fn foreign_deletion_job(deletes: &[(u32, Vec<ObjectChange>)]) -> usize {
    deletes.iter().position(|(_, changes)| !changes.is_empty()).unwrap_or(0)
}
