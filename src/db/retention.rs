//! The retention of reports of jobs.
//!
//! A report goes when its job ended long ago and nothing needs it any more. It is needed by an undo
//! that is still possible, by a scope whose last job it was, and by a mapping whose relationships
//! are there. An object names the job that changed it last; the report of such a job stays, without
//! its long parts. Jobs that are open or held are not in the database, so they are not here at all.

use super::Error;
use crate::graph::ObjectKind;
use crate::store::{GraphWriter, JobRow, Snapshot, StoreError};
use crate::sync::{JobReport, JobStatus, job_row};
use std::collections::BTreeMap;

/// Reports that need not stay as they are.
#[derive(Default)]
pub(super) struct OldReports {
    /// Sequence numbers of jobs that go.
    pub removed: Vec<u32>,
    /// Jobs whose reports stay without their long parts.
    pub shortened: Vec<(u32, JobRow)>,
}

impl OldReports {
    /// Writes the changes to a transaction.
    pub fn remove(&self, writer: &mut GraphWriter) -> Result<(), StoreError> {
        self.removed.iter().try_for_each(|&sequence| writer.remove_job(sequence))?;
        self.shortened.iter().try_for_each(|(sequence, row)| writer.put_job(*sequence, row))
    }
}

/// The reports of jobs that ended before `cutoff`, apart from those that are needed.
///
/// `oldest` is the oldest revision whose state stays: what it says names jobs as well.
pub(super) fn old_reports(
    snapshot: &Snapshot,
    cutoff: i64,
    oldest: u64,
) -> Result<OldReports, Error> {
    let mut old = BTreeMap::new();
    let mut newest: BTreeMap<(String, bool), u32> = BTreeMap::new();
    for sequence in 0..snapshot.meta().next_job {
        let Some(row) = snapshot.job(sequence)? else { continue };
        let report: JobReport = serde_json::from_slice(&row.report)
            .map_err(|e| StoreError::corrupt("jobs", &[], &e.to_string()))?;
        // Jobs of mappings are kept apart: the last one tells which file the relationships come
        // from.
        if report.status == JobStatus::Finished {
            newest.insert((report.scope.clone(), report.mapping.is_some()), sequence);
        }
        if report.end_timestamp.is_some_and(|end| end < cutoff) {
            old.insert(sequence, report);
        }
    }
    newest.values().for_each(|sequence| drop(old.remove(sequence)));
    for (_, row) in snapshot.scope_rows()? {
        row.last_job.map(|sequence| old.remove(&sequence));
    }
    let mut undone = Vec::new();
    for &sequence in old.keys() {
        let mut may = false;
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            may |= !snapshot.deletions(sequence, kind)?.is_empty();
        }
        if may {
            undone.push(sequence);
        }
    }
    undone.iter().for_each(|sequence| drop(old.remove(sequence)));
    let mut reports = OldReports::default();
    if old.is_empty() {
        return Ok(reports);
    }
    // Asked only when reports are left, since it takes a pass over all objects.
    let mut named = snapshot.last_jobs(ObjectKind::Entity)?;
    named.extend(snapshot.last_jobs(ObjectKind::Relationship)?);
    for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
        snapshot.recorded_jobs(kind, oldest + 1, |job| _ = named.insert(job))?;
    }
    for (sequence, report) in old {
        if !named.contains(&sequence) {
            reports.removed.push(sequence);
        } else if let Some(short) = shortened(report) {
            reports.shortened.push((sequence, job_row(&short)));
        }
    }
    Ok(reports)
}

/// The report without its long parts; `None` if it has none.
fn shortened(report: JobReport) -> Option<JobReport> {
    let long = !report.skipped.is_empty()
        || !report.types.is_empty()
        || !report.foreign_deletions.is_empty()
        || report.mapping.as_ref().is_some_and(|mapping| !mapping.sources.is_empty());
    let mapping =
        report.mapping.map(|mapping| crate::sync::MappingInfo { sources: Vec::new(), ..mapping });
    long.then_some(JobReport {
        skipped: Vec::new(),
        types: BTreeMap::new(),
        foreign_deletions: BTreeMap::new(),
        mapping,
        ..report
    })
}
