//! Finding jobs: all of them, one by its id or a part of it, and the file that keeps it.

use super::super::job_files::{JobFile, JobFileKind};
use super::super::{Database, Error};
use super::{StoredJobs, lock, not_held, require_current_format, unknown_job};
use crate::store::job_stage::JobStage;
use crate::store::{Snapshot, StoreError};
use crate::sync::{JobReport, JobStatus, SyncError};
use std::collections::BTreeMap;
use uuid::Uuid;

impl Database {
    /// All jobs, newest first: open and held ones, and finished ones.
    pub fn jobs(&self) -> Result<Vec<JobReport>, Error> {
        let mut all: BTreeMap<Uuid, JobReport> = BTreeMap::new();
        for file in self.job_files()? {
            all.extend(file.reports.into_iter().map(|report| (report.id, report)));
        }
        // Taken after the files: what ends in between is in one of them or in both.
        let snapshot = self.snapshot()?;
        for sequence in 0..snapshot.meta().next_job {
            if let Some(row) = snapshot.job(sequence)? {
                all.insert(row.id, read_report(&row.report)?);
            }
        }
        let mut all: Vec<JobReport> = all.into_values().collect();
        all.sort_by_key(|r| std::cmp::Reverse((r.start_timestamp, r.id)));
        Ok(all)
    }

    /// The newest jobs, newest first: all that are open, held or not yet in the database, and of those
    /// in the database the last `most`. So it takes no longer the more jobs there ever were.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    #[doc(hidden)]
    pub fn recent_jobs(&self, most: u32) -> Result<Vec<JobReport>, Error> {
        let mut all: BTreeMap<Uuid, JobReport> = BTreeMap::new();
        for file in self.job_files()? {
            all.extend(file.reports.into_iter().map(|report| (report.id, report)));
        }
        // Taken after the files, as in `jobs`.
        let snapshot = self.snapshot()?;
        let next = snapshot.meta().next_job;
        for sequence in next.saturating_sub(most)..next {
            if let Some(row) = snapshot.job(sequence)? {
                all.insert(row.id, read_report(&row.report)?);
            }
        }
        let ended = |report: &JobReport| -> Result<bool, Error> {
            let waits = matches!(report.status, JobStatus::AwaitingUploads | JobStatus::Held);
            // A crash may have left the file of a job that is in the database.
            Ok(waits && self.stored_report(report.id)?.is_some())
        };
        let mut found = Vec::with_capacity(all.len());
        for report in all.into_values() {
            if !ended(&report)? {
                found.push(report);
            }
        }
        found.sort_by_key(|r| std::cmp::Reverse((r.start_timestamp, r.id)));
        Ok(found)
    }

    /// The job with this id, or the only one whose id ends or begins with it.
    pub fn find_job(&self, id: &str) -> Result<JobReport, Error> {
        let id = self.resolve_job(id)?;
        let going_on = lock(&self.open).contains_key(&id)
            && self.lock_record(id).is_ok_and(|record| !record.finalizing);
        // Of what a crash left, the database is right; but a job that is going on is not there.
        if !going_on && let Some(report) = self.stored_report(id)? {
            return Ok(report);
        }
        let ended = match self.job_file(id) {
            Ok(file) => {
                let report = file.reports.into_iter().find(|report| report.id == id);
                return report.ok_or_else(|| unknown_job(&id.to_string()));
            }
            Err(e) => e,
        };
        // It may have been taken into the database in between.
        self.stored_report(id)?.ok_or(ended)
    }

    /// The sequence number and report of a stored job.
    pub(in crate::db) fn stored_job(&self, id: Uuid) -> Result<Option<(u32, JobReport)>, Error> {
        self.stored_in(&self.snapshot()?, id)
    }

    /// The same as of a snapshot.
    pub(in crate::db) fn stored_in(
        &self,
        snapshot: &Snapshot,
        id: Uuid,
    ) -> Result<Option<(u32, JobReport)>, Error> {
        let mut stored = lock(&self.stored);
        let (next, of) = (snapshot.meta().next_job, snapshot.meta().digest_seed);
        // Another secret, or fewer jobs, means that another file lies at the path: what was read
        // does not count.
        if next < stored.next || of != stored.of {
            *stored = StoredJobs { of, ..StoredJobs::default() };
        }
        for sequence in stored.next..next {
            if let Some(row) = snapshot.job(sequence)? {
                stored.sequences.insert(row.id, sequence);
            }
            stored.next = sequence + 1;
        }
        let Some(sequence) = stored.sequences.get(&id).copied() else { return Ok(None) };
        drop(stored);
        match snapshot.job(sequence)? {
            Some(row) if row.id == id => Ok(Some((sequence, read_report(&row.report)?))),
            _ => Ok(None),
        }
    }

    pub(super) fn stored_report(&self, id: Uuid) -> Result<Option<JobReport>, Error> {
        Ok(self.stored_job(id)?.map(|(_, report)| report))
    }

    pub(in crate::db) fn resolve_job(&self, id: &str) -> Result<Uuid, Error> {
        if let Ok(id) = Uuid::parse_str(id) {
            return Ok(id);
        }
        let jobs = self.jobs()?;
        let asked = id.trim().to_lowercase();
        let fits = |job: &&JobReport| {
            let id = job.id.to_string();
            let end = asked.len() >= 4 && id.ends_with(&asked);
            end || !asked.is_empty() && id.starts_with(&asked)
        };
        let found: Vec<&JobReport> = jobs.iter().filter(fits).collect();
        match found.as_slice() {
            [one] => Ok(one.id),
            [] => Err(unknown_job(id)),
            many => {
                let named = |job: &&JobReport| format!("\n  {}   {}", job.id, job.scope);
                let some: String = many.iter().take(10).map(named).collect();
                let more = many.len().saturating_sub(10);
                let more = if more > 0 { format!("\n  … {more} more") } else { String::new() };
                Err(Error::usage(
                    format!("{} jobs have an id that begins or ends with `{id}`", many.len()),
                    format!("give more of it:{some}{more}"),
                ))
            }
        }
    }

    /// Reads all that is kept of open and held jobs; returns the errors found, in words.
    pub(in crate::db) fn check_jobs(&self) -> Result<Vec<String>, Error> {
        let mut problems = Vec::new();
        for file in self.job_files()? {
            let open = matches!(file.status(), JobStatus::AwaitingUploads | JobStatus::Held);
            if !open || file.earlier {
                continue;
            }
            let id = file.id();
            // Read without locks, so that a check never keeps a collector waiting.
            let read = || -> Result<(), StoreError> {
                let none = &mut |_| Ok(());
                match &file.kept {
                    Some(kept) => {
                        let ending = if kept.held { JobFileKind::Held } else { JobFileKind::Stage };
                        JobStage::open(&self.job_path(id, ending), id)?.parts_to(kept.end(), none)
                    }
                    None => {
                        let acknowledged = self.lock_record(id)?.acknowledged;
                        JobStage::open(&self.job_path(id, JobFileKind::Stage), id)?
                            .parts(acknowledged, none)
                    }
                }
            };
            if let Err(e) = read() {
                // It may have ended meanwhile.
                let now = self.read_job_file(id).ok().flatten();
                if now.is_some_and(|now| now.status() == file.status())
                    && self.stored_report(id)?.is_none()
                {
                    problems.push(format!("job {id}: {e}"));
                }
            }
        }
        Ok(problems)
    }

    /// The file that a job is in.
    pub(super) fn job_file(&self, id: Uuid) -> Result<JobFile, Error> {
        // Nearly always the file of that name; a job that is held with others lies in theirs.
        if let Some(file) = self.read_job_file(id)? {
            return Ok(file);
        }
        let mut files = self.job_files()?.into_iter();
        match files.find(|file| file.specs.iter().any(|spec| spec.id == id)) {
            Some(file) => Ok(file),
            None => match self.stored_report(id)? {
                Some(report) => Err(not_held(id, report.status)),
                None => Err(unknown_job(&id.to_string())),
            },
        }
    }

    pub(super) fn open_job_file(&self, id: Uuid) -> Result<JobFile, Error> {
        match self.job_file(id) {
            Ok(file) if file.status() == JobStatus::AwaitingUploads => {
                require_current_format(&file)?;
                return Ok(file);
            }
            // It ended, or is in the database by now.
            Ok(_) | Err(Error::Usage(..)) => {
                lock(&self.open).remove(&id);
            }
            Err(e) => return Err(e),
        }
        Err(SyncError::State(format!("job {id} takes no more uploads")).into())
    }
}

fn read_report(bytes: &[u8]) -> Result<JobReport, Error> {
    serde_json::from_slice(bytes)
        .map_err(|e| StoreError::corrupt("jobs", &[], &e.to_string()).into())
}
