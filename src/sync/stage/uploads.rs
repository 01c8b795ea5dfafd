//! The uploads of jobs that are finalized together: what staging hands to comparing.

use super::known::KnownObjects;
use crate::graph::{ObjectId, ObjectKind};
use crate::store::StoreError;
use crate::store::staging::{ObjectBatch, UploadStage};
use crate::sync::job::JobSpec;
use crate::sync::report::SkippedObject;
use rustc_hash::FxHashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A job with what belongs to it beside the stage.
#[derive(Clone, Debug)]
pub struct JobInput {
    /// The job.
    pub spec: JobSpec,
    /// The objects that it names for deletion.
    pub deletes: Vec<(ObjectKind, ObjectId)>,
    /// The objects that the scope held already, with marks on those uploaded unchanged.
    pub known: Option<Arc<KnownObjects>>,
    /// Mapped relationships of the job that are left out, which are no objects of the stage.
    pub skipped: Vec<SkippedObject>,
}

impl JobInput {
    /// A job to which nothing was uploaded.
    pub fn new(spec: JobSpec) -> JobInput {
        JobInput { spec, deletes: Vec::new(), known: None, skipped: Vec::new() }
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
