//! How long reports of jobs are kept.
//!
//! A report goes when its job ended long ago and nobody asks for it any more. It stays as long as
//! something needs it: an undo that is still possible, a scope whose last job it was, a mapping whose edges
//! are there. The job that changed an object last is named by the object; of its report the numbers
//! stay, and what was long is left out. Jobs that are open or held are not here at all.

use super::Error;
use crate::graph::Kind;
use crate::store::{JobRow, Snapshot, StoreError, Writer};
use crate::sync::{JobReport, Status, job_row};
use std::collections::BTreeMap;

/// Reports that need not stay as they are.
#[derive(Default)]
pub(super) struct OldReports {
    /// Sequence numbers of jobs that go.
    pub removed: Vec<u32>,
    /// Jobs that stay with less to say.
    pub shortened: Vec<(u32, JobRow)>,
}

impl OldReports {
    /// Writes that down.
    pub fn remove(&self, writer: &mut Writer) -> Result<(), StoreError> {
        self.removed.iter().try_for_each(|&sequence| writer.remove_job(sequence))?;
        self.shortened.iter().try_for_each(|(sequence, row)| writer.put_job(*sequence, row))
    }
}

/// The reports of jobs that ended before `cutoff`, apart from what is needed.
pub(super) fn old_reports(snapshot: &Snapshot, cutoff: i64) -> Result<OldReports, Error> {
    let mut old = BTreeMap::new();
    let mut newest: BTreeMap<(String, bool), u32> = BTreeMap::new();
    for sequence in 0..snapshot.meta().next_job {
        let Some(row) = snapshot.job(sequence)? else { continue };
        let report: JobReport = serde_json::from_slice(&row.report)
            .map_err(|e| StoreError::corrupt("jobs", &[], &e.to_string()))?;
        if report.status == Status::Finished {
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
        for kind in [Kind::Entity, Kind::Relationship] {
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
    let mut named = snapshot.last_jobs(Kind::Entity)?;
    named.extend(snapshot.last_jobs(Kind::Relationship)?);
    for (sequence, report) in old {
        if !named.contains(&sequence) {
            reports.removed.push(sequence);
        } else if let Some(short) = shortened(report) {
            reports.shortened.push((sequence, job_row(&short)));
        }
    }
    Ok(reports)
}

/// The report without what is long; `None` if it has nothing of the kind.
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
