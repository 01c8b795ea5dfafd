//! The JSON of a run of mappings.

use super::mapping_run::{MappingOutcome, MappingRunAnswer, MappingState};
use super::source_run::SourceRunOutcome;
use super::{AnswerDocument, AnswerError};
use crate::mapping::{RowOutcome, SourceOutcome};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// A run of mappings as one document.
pub struct MappingRunJson<'a> {
    /// The run.
    pub run: &'a MappingRunAnswer,
    /// True if changed relationships are listed.
    pub details: bool,
    /// The exit code that a program ends with for an error, which the document tells.
    pub exit_code: fn(&AnswerError) -> u8,
}

impl AnswerDocument for MappingRunJson<'_> {}

impl Serialize for MappingRunJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let run = self.run;
        let sources = run.sources.iter().map(|outcome| self.source(outcome));
        let jobs = sources.chain(run.outcomes.iter().map(|outcome| self.job(outcome)));
        let jobs: Result<Vec<Value>, serde_json::Error> = jobs.collect();
        let mut jobs = jobs.map_err(serde::ser::Error::custom)?;
        for file in &run.broken {
            jobs.push(json!({ "file": file, "status": "FAILED", "error": "the file has errors" }));
        }
        // One job alone is told as `sync` tells its report: without a list around it.
        let mut value = match jobs.len() {
            1 => jobs.remove(0),
            _ => json!({ "jobs": jobs }),
        };
        if !run.unmanaged.is_empty() {
            value["unmanaged"] = run
                .unmanaged
                .iter()
                .map(|s| {
                    json!({ "scope": s.scope, "file": s.file, "relationships": s.relationships })
                })
                .collect();
        }
        if let Some(impact) = &run.impact {
            value["impact"] = impact.json();
        }
        value.serialize(serializer)
    }
}

impl MappingRunJson<'_> {
    /// The job report of a source with the account of its rows and items.
    fn source(&self, outcome: &SourceRunOutcome) -> Result<Value, serde_json::Error> {
        let mut value = match outcome.report() {
            Some(report) => json!(report),
            None => json!({ "scope": outcome.source.scope }),
        };
        self.put_state(&mut value, &outcome.state);
        value["file"] = json!(outcome.source.file.display().to_string());
        let faults: Result<Vec<Value>, _> =
            outcome.faults.iter().map(|fault| serde_json::from_str(&fault.json())).collect();
        value["faults"] = json!(faults?);
        if outcome.report().is_some() {
            let resolved = &outcome.resolved;
            let count = &resolved.count;
            let ends = |buckets: &[SourceOutcome]| -> serde_json::Map<String, Value> {
                buckets.iter().map(|b| (b.name().to_owned(), json!(count.of(*b)))).collect()
            };
            let counted = |list: Vec<(String, u64)>| -> serde_json::Map<String, Value> {
                list.into_iter().map(|(name, count)| (name, json!(count))).collect()
            };
            value["rows"] = json!({ "read": count.rows, "filtered": count.filtered_rows });
            value["made"] = json!({
                "entities": counted(resolved.entity_types()),
                "relationships": counted(resolved.relationship_classes()),
                "byEnds": count.created,
            });
            value["items"] = json!({
                "entities": ends(&SourceOutcome::ENTITIES),
                "relationships": ends(&SourceOutcome::RELATIONSHIPS),
            });
            if self.details {
                value["changes"] = json!(outcome.changes);
            }
            let unmatched = resolved.unmatched.iter().map(|item| {
                let outcome = item.bucket.name();
                json!({ "place": item.place, "outcome": outcome, "reason": item.reason })
            });
            value["unmatched"] = unmatched.collect();
        }
        Ok(value)
    }

    /// Says how far a file came, where that is not what its report says.
    fn put_state(&self, value: &mut Value, state: &MappingState) {
        match state {
            MappingState::Ready | MappingState::Applied(_) => {}
            MappingState::Disabled => value["status"] = json!("DISABLED"),
            MappingState::Refused => value["status"] = json!("REFUSED"),
            MappingState::Failed => value["status"] = json!("FAILED"),
            MappingState::Broken(error) => {
                value["status"] = json!("FAILED");
                value["error"] = json!(error.message());
                value["hint"] = json!(error.advice().map(ToString::to_string));
                value["exitCode"] = json!((self.exit_code)(error));
            }
        }
    }

    /// The job report with the account of the rows. A mapping that failed has its error in place of
    /// the report.
    fn job(&self, outcome: &MappingOutcome) -> Result<Value, serde_json::Error> {
        let mut value = match outcome.report() {
            Some(report) => json!(report),
            None => json!({ "scope": outcome.mapping.scope }),
        };
        self.put_state(&mut value, &outcome.state);
        value["file"] = json!(outcome.mapping.file.display().to_string());
        let faults: Result<Vec<Value>, _> =
            outcome.faults.iter().map(|fault| serde_json::from_str(&fault.json())).collect();
        value["faults"] = json!(faults?);
        if outcome.plan.is_some() {
            let count = &outcome.resolved.count;
            let ends: serde_json::Map<String, Value> = RowOutcome::ALL
                .iter()
                .map(|b| (b.name().to_owned(), json!(count.of(*b))))
                .collect();
            let resolved = &outcome.resolved;
            value["rows"] = json!({
                "read": count.read(),
                "ends": ends,
                "undefinedProperties": resolved.undefined_count,
            });
            let undefined = resolved.undefined.iter().map(|one| {
                json!({ "place": one.place, "property": one.property, "reason": one.reason() })
            });
            value["undefined"] = undefined.collect();
            if self.details {
                value["changes"] = json!(outcome.edges);
            }
            let unmatched = outcome.resolved.unmatched.iter().map(|row| {
                let outcome = row.bucket.name();
                json!({ "place": row.place, "outcome": outcome, "reason": row.reason })
            });
            value["unmatched"] = unmatched.collect();
        }
        Ok(value)
    }
}
