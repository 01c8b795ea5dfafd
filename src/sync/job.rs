//! Jobs: the description of one before anything is uploaded to it, and all that was staged for jobs
//! that are finalized together.

use super::guard::RelationshipLimits;
use super::known::KnownObjects;
use super::mode::SyncMode;
use super::report::{JobReport, JobStatus, JobTally, MappingInfo};
use crate::graph::{ObjectId, ObjectKind};
use crate::store::StoreError;
use crate::store::staging::{ObjectBatch, UploadStage};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// See [`Limits::allow_deletes`].
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

/// A job with what belongs to it beside the stage.
#[derive(Clone, Debug)]
pub struct JobInput {
    /// The job.
    pub spec: JobSpec,
    /// The objects that it names for deletion.
    pub deletes: Vec<(ObjectKind, ObjectId)>,
    /// The objects that the scope held already, with marks on those uploaded unchanged.
    pub known: Option<Arc<KnownObjects>>,
}

impl JobInput {
    /// A job to which nothing was uploaded.
    pub fn new(spec: JobSpec) -> JobInput {
        JobInput { spec, deletes: Vec::new(), known: None }
    }
}

/// The uploads of jobs that are finalized together, in one stage for all. An object belongs to the
/// job that writes its scope.
pub struct StagedUploads {
    folder: PathBuf,
    stage: UploadStage,
    jobs: Vec<JobInput>,
    scopes: FxHashSet<String>,
}

impl StagedUploads {
    /// Without jobs and batches; the stage is spilled into `folder`.
    pub fn new(folder: &Path) -> StagedUploads {
        StagedUploads {
            folder: folder.to_owned(),
            stage: UploadStage::spool(folder),
            jobs: Vec::new(),
            scopes: FxHashSet::default(),
        }
    }

    /// The folder for temporary files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The batches.
    pub fn stage(&self) -> &UploadStage {
        &self.stage
    }

    /// The jobs in the order in which they are planned.
    pub fn jobs(&self) -> &[JobInput] {
        &self.jobs
    }

    /// Adds a job behind the others. Each writes a scope of its own.
    pub fn add(&mut self, job: JobInput) {
        debug_assert!(!self.scopes.contains(&job.spec.scope));
        self.scopes.insert(job.spec.scope.clone());
        self.jobs.push(job);
    }

    /// The job that writes a scope.
    pub fn job_mut(&mut self, scope: &str) -> Option<&mut JobInput> {
        self.jobs.iter_mut().find(|job| job.spec.scope == scope)
    }

    /// Stages a batch; `new` makes the job of a scope that has none.
    pub fn append(
        &mut self,
        batch: ObjectBatch,
        mut new: impl FnMut(&str) -> JobInput,
    ) -> Result<(), StoreError> {
        // The names of a batch are also types and classes; only those of scopes get a job.
        let mut seen = vec![false; batch.names.len()];
        let entities = batch.entities.iter().map(|entity| entity.scope);
        let relationships = batch.relationships.iter().map(|one| one.object.scope);
        entities.chain(relationships).for_each(|scope| seen[scope as usize] = true);
        for (scope, _) in batch.names.iter().zip(seen).filter(|(_, seen)| *seen) {
            if !self.scopes.contains(scope) {
                self.add(new(scope));
            }
        }
        self.stage.append(batch)
    }

    /// Sorts the jobs from `first` on by their scopes.
    pub fn sort_jobs(&mut self, first: usize) {
        self.jobs[first..].sort_by(|a, b| a.spec.scope.cmp(&b.spec.scope));
    }
}
