//! The scopes with their counts.

use super::words::rfc3339_text;
use super::{AnswerDocument, AnswerError};
use crate::graph::NameLookup;
use crate::store::{ScopeRow, Snapshot};
use crate::sync::JobReport;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use uuid::Uuid;

/// The scopes, by name.
#[derive(Serialize)]
#[serde(transparent)]
pub struct ScopesAnswer {
    /// Each of them.
    pub scopes: Vec<ScopeSummary>,
}

impl ScopesAnswer {
    /// Counts the scopes of a snapshot.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn read(snapshot: &Snapshot) -> Result<ScopesAnswer, AnswerError> {
        let mut scopes = Vec::new();
        for (scope, row) in scope_rows(snapshot)? {
            let [entities, relationships] = &row.counts;
            let job = match row.last_job {
                Some(sequence) => snapshot.job(sequence)?,
                None => None,
            };
            let last_change = job.as_ref().and_then(|job| {
                // A report that cannot be read costs its row the time, not the whole list.
                let report: JobReport = serde_json::from_slice(&job.report).ok()?;
                report.end_timestamp
            });
            scopes.push(ScopeSummary {
                scope,
                entities: entities.live,
                relationships: relationships.live,
                deleted: entities.deleted + relationships.deleted,
                last_job: job.map(|job| job.id),
                last_change,
            });
        }
        Ok(ScopesAnswer { scopes })
    }
}

impl AnswerDocument for ScopesAnswer {
    fn is_list(&self) -> bool {
        true
    }
}

/// A scope with its counts.
pub struct ScopeSummary {
    /// Its name.
    pub scope: String,
    /// Live entities.
    pub entities: u64,
    /// Live relationships.
    pub relationships: u64,
    /// Tombstones.
    pub deleted: u64,
    /// The last job.
    pub last_job: Option<Uuid>,
    /// The end of that job, in epoch milliseconds.
    pub last_change: Option<i64>,
}

impl Serialize for ScopeSummary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Scope", 6)?;
        row.serialize_field("scope", &self.scope)?;
        row.serialize_field("entities", &self.entities)?;
        row.serialize_field("relationships", &self.relationships)?;
        row.serialize_field("deleted", &self.deleted)?;
        row.serialize_field("lastJob", &self.last_job.map(|id| id.to_string()))?;
        row.serialize_field("lastChange", &self.last_change.map(rfc3339_text))?;
        row.end()
    }
}

/// Returns the scopes, sorted by name.
pub(super) fn scope_rows(snapshot: &Snapshot) -> Result<Vec<(String, ScopeRow)>, AnswerError> {
    let mut rows: Vec<(String, ScopeRow)> = snapshot
        .scope_rows()?
        .into_iter()
        .map(|(number, row)| (snapshot.name(number).to_owned(), row))
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(rows)
}
