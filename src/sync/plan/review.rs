//! Review: the guards are asked about the deletions of a plan.

use super::change::JobPlan;
use crate::graph::{NameLookup, ObjectKind};
use crate::store::{ScopeRow, Snapshot, StoreError};
use crate::sync::guard::{self, DeleteLimits, DeletionCounts, ForeignDeletions};
use crate::sync::report::{HELD_WITH, HoldReport, JobStatus};
use crate::sync::{SyncError, SyncMode};
use std::collections::BTreeMap;

/// Asks the guard about the deletions of a job.
pub(super) fn ask_guard(snapshot: &Snapshot, job: &mut JobPlan) -> Result<(), SyncError> {
    if !job.spec.mode.deletes() {
        return Ok(());
    }
    let row = snapshot.scope_row_of(&job.spec.scope)?;
    // A job that breaks a limit of its file is refused, not held.
    if let Some(limits) = &job.spec.edge_limits {
        let (edges, r) = (row.count(ObjectKind::Relationship).live, job.report.relationships);
        let mapping = job.spec.mode == SyncMode::CrossScope;
        let errors = match mapping {
            true => guard::mapping_guard_errors("edges", edges, r.created, r.deleted, limits),
            // A source owns entities too, and its limits count both.
            false => {
                let e = job.report.entities;
                let live = edges + row.count(ObjectKind::Entity).live;
                let (created, deleted) = (e.created + r.created, e.deleted + r.deleted);
                guard::mapping_guard_errors("objects", live, created, deleted, limits)
            }
        };
        job.report.refusals = errors;
        if !job.report.refusals.is_empty() {
            job.report.status = JobStatus::Refused;
        }
        // The limits of a mapping stand in for those of the scope; those of a source stand beside them.
        if mapping || job.report.status == JobStatus::Refused {
            return Ok(());
        }
    }
    let limits = limits_of(&row, job);
    let mut kinds = Vec::new();
    let mut total = 0;
    for (kind, changes) in
        [ObjectKind::Entity, ObjectKind::Relationship].into_iter().zip(&job.deletes)
    {
        let counts = row.count(kind);
        let deleted = changes.len() as u64;
        let mut deletions = DeletionCounts { live: counts.live, deleted, types: BTreeMap::new() };
        for change in changes {
            if let Some(facts) = snapshot.facts(kind, change.number)? {
                let before = counts.types.get(&facts.type_name).copied().unwrap_or(0);
                let name = snapshot.name(facts.type_name).to_owned();
                let entry = deletions.types.entry(name).or_insert((before, before));
                entry.1 = entry.1.saturating_sub(1);
            }
        }
        for (name, (_, after)) in &mut deletions.types {
            // A type whose objects only get other keys does not vanish.
            *after += job.report.types.get(name).map_or(0, |tally| tally.created);
        }
        total += deletions.deleted;
        kinds.push((kind, deletions));
    }
    let uploaded = job.report.entities.uploaded + job.report.relationships.uploaded;
    let mut reasons = guard::guard_reasons(&job.spec.scope, uploaded, &kinds, limits);
    let along = job.report.foreign_deletions.values().sum::<u64>();
    if limits.allow_deletes.is_none_or(|allowed| total + along > allowed) {
        let own = reasons.len();
        for (scope, &deleted) in &job.report.foreign_deletions {
            let row = snapshot.scope_row_of(scope)?;
            let live = row.count(ObjectKind::Relationship).live;
            let limits = limits_of(&row, job);
            reasons.extend(guard::foreign_reason(&ForeignDeletions {
                scope,
                live,
                deleted,
                limits,
            }));
        }
        if reasons.len() > own {
            total += along;
        }
    }
    if !reasons.is_empty() {
        job.report.status = JobStatus::Held;
        job.report.held = Some(HoldReport {
            reasons,
            deletes: first_deletes(snapshot, job)?,
            override_hint: format!(
                "if this is meant: tombolo job approve {id}, or sync again with \
                 --allow-deletes {total}; if not: tombolo job abort {id}",
                id = job.spec.id
            ),
        });
    }
    Ok(())
}

/// The limits of a scope, for this job.
fn limits_of(row: &ScopeRow, job: &JobPlan) -> DeleteLimits {
    DeleteLimits {
        min_deletes: row.min_deletes.unwrap_or(guard::MIN_DELETES),
        max_delete_percent: row.max_delete_percent.unwrap_or(guard::MAX_DELETE_PERCENT),
        allow_deletes: job.spec.allow_deletes,
    }
}

/// Jobs of one plan run together or not at all.
pub(super) fn hold_together(jobs: &mut [JobPlan]) {
    let Some(held) = jobs.iter().find(|job| job.report.held.is_some()) else { return };
    let reason = format!("{HELD_WITH} scope `{}`, uploaded with it", held.spec.scope);
    for job in jobs {
        job.report.status = JobStatus::Held;
        job.report.held.get_or_insert_with(|| HoldReport {
            reasons: vec![reason.clone()],
            ..HoldReport::default()
        });
    }
}

/// The first 50 keys that would go.
fn first_deletes(snapshot: &Snapshot, job: &JobPlan) -> Result<Vec<String>, StoreError> {
    let mut keys = Vec::new();
    for (kind, changes) in
        [ObjectKind::Entity, ObjectKind::Relationship].into_iter().zip(&job.deletes)
    {
        for change in &changes[..changes.len().min(50 - keys.len())] {
            if let Some(head) = snapshot.head(kind, change.number)? {
                keys.push(snapshot.key_of(kind, &head)?);
            }
        }
    }
    keys.sort();
    Ok(keys)
}
