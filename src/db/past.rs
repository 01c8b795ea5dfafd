//! States of the past: which one a point in time, a revision or a job names, and a database as it
//! was then.

use super::{Database, Error, now};
use crate::lang::PastPoint;
use crate::store::{RevisionRecord, Snapshot, StoreError};
use crate::sync::JobReport;
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A state of the file, as answers name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StateRecord {
    /// The revision.
    pub revision: u64,
    /// The time of the commit that made it, in epoch milliseconds; as text in UTC in JSON.
    #[serde(serialize_with = "time_text")]
    pub time: i64,
    /// The job that made it, if one did and its report is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// The scope of that job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn time_text<S: Serializer>(time: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*time))
}

fn text(time: i64) -> String {
    jiff::Timestamp::from_millisecond(time).map_or_else(|_| time.to_string(), |t| t.to_string())
}

impl StateRecord {
    /// The time of the commit as text, in UTC.
    pub fn time_text(&self) -> String {
        text(self.time)
    }
}

impl Database {
    /// The state that a point names: the newest one that is not later.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchState`] if the file does not reach back so far, or has not come so far.
    pub fn state_at(&self, point: &PastPoint) -> Result<StateRecord, Error> {
        let snapshot = self.present_snapshot()?;
        let revision = match point {
            PastPoint::Revision(revision) => *revision,
            PastPoint::Time(time) => self.revision_at(&snapshot, *time)?,
            PastPoint::Job(id) => self.revision_after(&snapshot, id)?,
        };
        self.state_record(&snapshot, revision)
    }

    /// The newest state.
    pub fn newest_state(&self) -> Result<StateRecord, Error> {
        let snapshot = self.present_snapshot()?;
        self.state_record(&snapshot, snapshot.meta().revision)
    }

    /// All states that can be asked, oldest first.
    pub fn states(&self) -> Result<Vec<RevisionRecord>, Error> {
        Ok(self.present_snapshot()?.revisions()?)
    }

    /// The same database as it was in a state; it refuses writes.
    pub fn as_of(&self, state: StateRecord) -> Database {
        Database { past: Some(state), read_only: true, ..self.another_handle() }
    }

    /// The state of the past that questions to this handle are asked of.
    pub fn past_state(&self) -> Option<&StateRecord> {
        self.past.as_ref()
    }

    /// The record of a revision.
    fn state_record(&self, snapshot: &Snapshot, revision: u64) -> Result<StateRecord, Error> {
        let found = snapshot.revision(revision)?;
        let RevisionRecord { time, next_job, .. } =
            found.ok_or_else(|| out_of_reach(snapshot, &format!("revision {revision}")))?;
        // The job of a commit is the first one since the commit before; not every commit has one.
        let since = match snapshot.revision(revision + 1)? {
            Some(later) => later.next_job,
            None => snapshot.meta().next_job,
        };
        // Reports of jobs that changed nothing are put beside those of the commit, behind them.
        let job = if next_job < since { snapshot.job(next_job)? } else { None };
        let report = job.and_then(|row| serde_json::from_slice::<JobReport>(&row.report).ok());
        let report = report.filter(changed_anything);
        let (job, scope) = report.map(|report| (report.id, report.scope)).unzip();
        Ok(StateRecord { revision, time, job, scope })
    }

    fn revision_at(&self, snapshot: &Snapshot, time: i64) -> Result<u64, Error> {
        if time > now() + AHEAD {
            let hint = "leave it out to ask of the state of now";
            return Err(Error::NoSuchState(
                format!("{} lies in the future", text(time)),
                hint.into(),
            ));
        }
        let known = |revision: u64| -> Result<RevisionRecord, Error> {
            Ok(snapshot.revision(revision)?.ok_or(StoreError::NoSuchState(revision))?)
        };
        let newest = snapshot.meta().revision;
        let oldest = oldest(snapshot)?;
        if known(oldest)?.time > time {
            return Err(out_of_reach(snapshot, &text(time)));
        }
        let (mut low, mut high) = (oldest, newest);
        // The newest revision whose time is not later: times never descend.
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if known(middle)?.time <= time { low = middle } else { high = middle - 1 }
        }
        Ok(low)
    }

    fn revision_after(&self, snapshot: &Snapshot, id: &str) -> Result<u64, Error> {
        let id = self.resolve_job(id)?;
        let Some((sequence, report)) = self.stored_in(snapshot, id)? else {
            let report = self.find_job(&id.to_string())?;
            return match report.end_timestamp {
                Some(time) => self.revision_at(snapshot, time),
                None => Err(Error::NoSuchState(
                    format!("job {id} has not ended, so there is no state after it"),
                    "`tombolo job list` shows which jobs ended".into(),
                )),
            };
        };
        match (changed_anything(&report), report.end_timestamp) {
            (false, Some(time)) => self.revision_at(snapshot, time),
            _ => revision_of_job(snapshot, sequence)?
                .ok_or_else(|| out_of_reach(snapshot, &format!("job {id}"))),
        }
    }
}

/// A clock of another machine may be ahead by so many milliseconds.
const AHEAD: i64 = 60_000;

/// True if the job changed the graph.
pub(super) fn changed_anything(report: &JobReport) -> bool {
    !report.entities.is_quiet()
        || !report.relationships.is_quiet()
        || !report.foreign_deletions.is_empty()
}

/// The oldest revision whose state can be asked.
pub(super) fn oldest(snapshot: &Snapshot) -> Result<u64, Error> {
    Ok(snapshot.oldest_revision()?)
}

/// The revision that a job made, if the history knows it.
pub(super) fn revision_of_job(
    snapshot: &Snapshot,
    sequence: u32,
) -> Result<Option<u64>, StoreError> {
    let next_job = |revision| {
        let record = snapshot.revision(revision)?;
        Ok::<_, StoreError>(record.ok_or(StoreError::NoSuchState(revision))?.next_job)
    };
    let (mut low, mut high) = (snapshot.oldest_revision()?, snapshot.meta().revision);
    if sequence >= snapshot.meta().next_job || next_job(low)? > sequence {
        return Ok(None);
    }
    // The newest revision whose commit began with no later job.
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if next_job(middle)? <= sequence { low = middle } else { high = middle - 1 }
    }
    Ok(Some(low))
}

fn out_of_reach(snapshot: &Snapshot, what: &str) -> Error {
    let oldest = snapshot.oldest_revision().and_then(|oldest| snapshot.revision(oldest));
    let (newest, begins) = match oldest {
        Ok(Some(oldest)) => (
            snapshot.meta().revision,
            format!("revision {} of {}", oldest.revision, text(oldest.time)),
        ),
        _ => (snapshot.meta().revision, "an unknown revision".to_owned()),
    };
    Error::NoSuchState(
        format!("the file has no state of {what}: it goes from {begins} to revision {newest}"),
        "ask for a point in between; `[history] keep` in `tombolo.toml` says how long `gc` keeps states"
            .into(),
    )
}
