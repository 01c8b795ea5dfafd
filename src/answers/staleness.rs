//! Scopes that were synced long before the others: an answer about them may be out of date.

use super::AnswerError;
use super::words::CountFormat;
use crate::db::Database;
use crate::graph::NameLookup;
use crate::store::Snapshot;
use crate::sync::JobStatus;
use std::collections::BTreeMap;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// The least age of a stale scope: its last job is so much older than the newest of all, in
/// milliseconds.
const STALE: i64 = 3 * DAY;

/// The least relative age of a stale scope: it is so many times as far behind as the median scope.
const STALE_TIMES: i64 = 4;

/// Returns the scopes whose last job is far older than those of the others, with the days between.
/// An answer about such a scope may be out of date.
pub fn stale(database: &Database, snapshot: &Snapshot) -> Result<Vec<(String, i64)>, AnswerError> {
    let mut times: BTreeMap<String, i64> = BTreeMap::new();
    for (scope, row) in snapshot.scope_rows()? {
        let live: u64 = row.counts.iter().map(|counts| counts.live).sum();
        // A scope without live objects has nothing in an answer that could be old.
        let (Some(job), true) = (row.last_job, live > 0) else { continue };
        let Some(id) = snapshot.job_id(job)? else { continue };
        // The id of a job begins with the time at which the job began.
        let Some(time) = id.get_timestamp() else { continue };
        let (seconds, nanoseconds) = time.to_unix();
        let time = seconds as i64 * 1000 + i64::from(nanoseconds) / 1_000_000;
        times.insert(snapshot.name(scope).to_owned(), time);
    }
    // Reports of all jobs are read only if some scope looks stale without them.
    if stale_among(&times).is_empty() {
        return Ok(Vec::new());
    }
    // A job that changed nothing is not in the file, but its scope was synced all the same.
    for job in database.jobs()? {
        if job.status == JobStatus::Finished
            && let Some(time) = times.get_mut(&job.scope)
        {
            *time = (*time).max(job.start_timestamp);
        }
    }
    Ok(stale_among(&times))
}

fn stale_among(times: &BTreeMap<String, i64>) -> Vec<(String, i64)> {
    let Some(newest) = times.values().max() else { return Vec::new() };
    let mut gaps: Vec<i64> = times.values().map(|time| newest - time).collect();
    gaps.sort_unstable();
    // Beside scopes that are synced once a week, one that is a week old is not stale.
    let middle = gaps[(gaps.len() - 1) / 2];
    let old = times.iter().map(|(scope, time)| (scope, newest - time));
    let old = old.filter(|(_, gap)| *gap >= STALE && *gap > STALE_TIMES * middle);
    old.map(|(scope, gap)| (scope.clone(), gap / DAY)).collect()
}

/// Makes a note about stale scopes; `None` if there are none.
pub(super) fn stale_note(counts: CountFormat, stale: &[(String, i64)]) -> Option<String> {
    let words: Vec<String> = stale
        .iter()
        .map(|(scope, days)| format!("{scope} ({})", counts.counted(*days as u64, "day", "days")))
        .collect();
    let behind = "last synced long before the other scopes";
    (!words.is_empty())
        .then(|| format!("{behind}, what is said of them may be old: {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_stale_beside_fresh_ones_alone() {
        let check = |days: &[i64], expected: &str| {
            let times = (0..).zip(days).map(|(i, days)| (format!("s{i}"), -days * DAY)).collect();
            let stale = stale_among(&times);
            let words: Vec<String> = stale.iter().map(|(s, days)| format!("{s} {days}")).collect();
            assert_eq!(words.join(", "), expected);
        };
        check(&[], "");
        check(&[400], "");
        check(&[0, 2], "");
        check(&[0, 3], "s1 3");
        check(&[0, 0, 40, 1], "s2 40");
        // Weekly jobs beside a daily one.
        check(&[0, 5, 6, 7], "");
        check(&[0, 5, 6, 90], "s3 90");
    }
}
