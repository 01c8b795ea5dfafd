//! Jobs: the description of one before anything is uploaded to it.

use super::guard::RelationshipLimits;
use super::mode::SyncMode;
use super::report::{JobReport, JobStatus, JobTally, MappingInfo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The description of a job before anything is uploaded to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// Id of the job.
    pub id: Uuid,
    /// `source`, e.g. `api`.
    pub source: String,
    /// `syncMode`.
    pub mode: SyncMode,
    /// The scope that the job writes.
    pub scope: String,
    /// Start of the job, epoch milliseconds.
    pub started: i64,
    /// True if the latest object with a repeated key wins, instead of an error.
    #[serde(default)]
    pub ignore_duplicates: bool,
    /// The batches of the stage are pieces of one upload, not uploads of their own, so that a
    /// repeated object is never the retry of a batch.
    #[serde(default)]
    pub one_upload: bool,
    /// Nothing of these types is deleted (`partialDatasets`).
    #[serde(default)]
    pub partial_types: Vec<String>,
    /// The number of deletions that the guard lets pass.
    #[serde(default)]
    pub allow_deletes: Option<u64>,
    /// The limits of a mapping, in place of those of the scope.
    #[serde(default)]
    pub edge_limits: Option<RelationshipLimits>,
    /// The mapping file that made the job.
    #[serde(default)]
    pub mapping: Option<MappingInfo>,
    /// The job whose mapped relationships this one writes, in the same plan.
    #[serde(default)]
    pub mapped_for: Option<Uuid>,
    /// True if each row names its scope; `scope` is then that of none.
    #[serde(default)]
    pub any_scope: bool,
    /// True if the rows named the scope and nobody chose it, as when an export is loaded.
    #[serde(default)]
    pub scope_of_rows: bool,
}

impl JobSpec {
    /// A new job that is like most: nothing is restricted, nothing allowed beyond the rule.
    pub fn new(source: &str, mode: SyncMode, scope: &str, started: i64) -> JobSpec {
        JobSpec {
            id: Uuid::now_v7(),
            source: source.to_owned(),
            mode,
            scope: scope.to_owned(),
            started,
            ignore_duplicates: false,
            one_upload: false,
            partial_types: Vec::new(),
            allow_deletes: None,
            edge_limits: None,
            mapping: None,
            mapped_for: None,
            any_scope: false,
            scope_of_rows: false,
        }
    }

    /// The report of a job to which nothing has happened yet.
    pub fn report(&self, status: JobStatus) -> JobReport {
        JobReport {
            id: self.id,
            source: self.source.clone(),
            sync_mode: self.mode,
            scope: self.scope.clone(),
            status,
            dry_run: false,
            start_timestamp: self.started,
            end_timestamp: None,
            entities: JobTally::default(),
            relationships: JobTally::default(),
            types: BTreeMap::new(),
            skipped: Vec::new(),
            skipped_total: 0,
            skipped_left_out: 0,
            foreign_deletions: BTreeMap::new(),
            held: None,
            refusals: Vec::new(),
            mapping: self.mapping.clone(),
            mapped_relationships: None,
            any_scope: self.any_scope,
            invalid_configuration: false,
            plan_hash: String::new(),
        }
    }
}
