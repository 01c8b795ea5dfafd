//! The jobs of a database from outside: those that wait, and when each scope had its last one. Whoever
//! watches a database asks again and again, so what was read is not read twice.

use super::{Database, Error};
use crate::store::Snapshot;
use crate::sync::{JobReport, JobStatus};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The end of the last finished job of each scope, as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct ScopeTimes {
    /// The database that was read, by its secret.
    of: u64,
    /// The first sequence number that was not read.
    next: u32,
    ends: BTreeMap<String, i64>,
}

/// The part of a report that tells when its job ended.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobEnd {
    scope: String,
    status: JobStatus,
    end_timestamp: Option<i64>,
}

impl ScopeTimes {
    /// Reads on, to the jobs of `snapshot`.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn read_on(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let (next, of) = (snapshot.meta().next_job, snapshot.meta().digest_seed);
        // Another secret, or fewer jobs, means that another file lies at the path.
        if next < self.next || of != self.of {
            *self = ScopeTimes { of, ..ScopeTimes::default() };
        }
        for sequence in self.next..next {
            let job = snapshot.job(sequence)?;
            // A report that cannot be read costs its scope one time, not all scopes theirs.
            if let Some(end) = job.and_then(|job| serde_json::from_slice(&job.report).ok()) {
                self.put(end);
            }
        }
        self.next = next;
        Ok(())
    }

    fn put(&mut self, job: JobEnd) {
        if let (JobStatus::Finished, Some(end)) = (job.status, job.end_timestamp) {
            let known = self.ends.entry(job.scope).or_insert(end);
            *known = end.max(*known);
        }
    }

    /// Returns the end of the last job of each scope, in epoch milliseconds; jobs that changed nothing
    /// count, also those that wait in `waiting` to be stored.
    pub fn with(&self, waiting: &[JobReport]) -> BTreeMap<String, i64> {
        let mut times = self.clone();
        for report in waiting {
            let (scope, status) = (report.scope.clone(), report.status);
            times.put(JobEnd { scope, status, end_timestamp: report.end_timestamp });
        }
        times.ends
    }
}

impl Database {
    /// Returns the revision as of now. A store that is kept open for questions stays as idle as it was.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    #[doc(hidden)]
    pub fn revision(&self) -> Result<u64, Error> {
        match (&self.injected, &self.reader) {
            (None, Some(reader)) => Ok(reader.revision(&self.path)?),
            _ => Ok(self.snapshot()?.meta().revision),
        }
    }

    /// Returns the reports of jobs beside the file: open and held ones, and those that ended without a
    /// change and are not stored yet.
    ///
    /// # Errors
    ///
    /// The error of reading the folder.
    #[doc(hidden)]
    pub fn jobs_beside(&self) -> Result<Vec<JobReport>, Error> {
        Ok(self.job_files()?.into_iter().flat_map(|file| file.reports).collect())
    }

    /// Returns when a file was last made or renamed in the folder of jobs, as its file system says; `None`
    /// if there is no folder.
    #[doc(hidden)]
    pub fn jobs_changed(&self) -> Option<SystemTime> {
        std::fs::metadata(self.jobs_folder()).and_then(|found| found.modified()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DraftEntity;

    #[test]
    fn the_last_job_of_a_scope_counts_though_it_changed_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::create(&folder.path().join("t.redb")).expect("made");
        let mut times = ScopeTimes::default();
        let mut ends = |database: &Database| {
            times.read_on(&database.snapshot().expect("read")).expect("read");
            times.with(&database.jobs_beside().expect("read"))
        };
        assert!(ends(&database).is_empty());
        let sync = || {
            let job = database.job("okta").entities([DraftEntity::new("a", "t", "User")]);
            job.expect("staged").finalize().expect("finalized").end_timestamp
        };
        let first = sync();
        assert_eq!(ends(&database).get("okta").copied(), first);
        let (revision, second) = (database.revision().expect("read"), sync());
        assert_eq!(database.revision().expect("read"), revision, "the same upload changes nothing");
        assert_eq!(ends(&database).get("okta").copied(), second.max(first));
        assert_eq!(ends(&database).len(), 1);
    }
}
