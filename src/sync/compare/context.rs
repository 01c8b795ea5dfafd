//! The uploads beside the graph: what comparing and planning look at, and neither changes.

use super::contents::ContentReader;
use super::windows::StageWindows;
use crate::graph::{IdHash, NameLookup, ObjectKind};
use crate::store::staging::UploadStage;
use crate::store::{Snapshot, StoreError};
use crate::sync::read::PINS;
use crate::sync::stage::{JobInput, StagedUploads};
use crate::sync::{InputNames, SyncError};
use rustc_hash::FxHashMap;
use std::path::Path;

/// A job beside the graph.
pub struct UploadJob<'p> {
    /// The job with its uploads.
    pub input: &'p JobInput,
    /// Name number of its scope, if the graph knows it.
    pub scope: Option<u32>,
    /// True if equal uploads may still give other contents, because of pins or merging.
    pub careful: bool,
}

/// The uploads of a plan, and the snapshot that they are compared with.
pub struct UploadContext<'p> {
    /// The graph as it is.
    pub snapshot: &'p Snapshot,
    /// The names of the inputs.
    pub inputs: &'p InputNames,
    /// The folder for temporary files.
    pub folder: &'p Path,
    /// The batches.
    pub stage: &'p UploadStage,
    /// The jobs in the order in which they are planned.
    pub jobs: Vec<UploadJob<'p>>,
    /// By batch and name in it: the position of the job that writes the scope of that name.
    pub jobs_of: Vec<Box<[u32]>>,
    /// The staged objects of either kind.
    pub windows: [StageWindows; 2],
    /// True if any entity has pins, or is uploaded with some.
    pub has_pins: bool,
}

/// Stands in for the position of a job if a name is not the scope of any job.
const NO_JOB: u32 = u32::MAX;

impl<'p> UploadContext<'p> {
    /// Puts uploads and snapshot side by side.
    pub fn new(
        snapshot: &'p Snapshot,
        uploads: &'p StagedUploads,
        inputs: &'p InputNames,
    ) -> Result<UploadContext<'p>, SyncError> {
        let stage = uploads.stage();
        // The names of a batch are few beside its objects.
        let brings_pins =
            (0..stage.frames()).any(|frame| stage.names(frame).iter().any(|name| name == PINS));
        let has_pins = brings_pins || snapshot.has_pins()?;
        let job = |input: &'p JobInput| UploadJob {
            input,
            scope: snapshot.name_number(&input.spec.scope),
            careful: has_pins || !input.spec.mode.deletes(),
        };
        let jobs: Vec<UploadJob<'p>> = uploads.jobs().iter().map(job).collect();
        let scopes = jobs.iter().map(|job| job.input.spec.scope.as_str()).zip(0..);
        let scopes: FxHashMap<&str, u32> = scopes.collect();
        let jobs_of = |frame| {
            let names = stage.names(frame).iter();
            names.map(|name| scopes.get(name.as_str()).copied().unwrap_or(NO_JOB)).collect()
        };
        let windows = [ObjectKind::Entity, ObjectKind::Relationship];
        let [entities, relationships] = windows.map(|kind| StageWindows::of_stage(stage, kind));
        Ok(UploadContext {
            snapshot,
            inputs,
            folder: uploads.folder(),
            stage,
            jobs_of: (0..stage.frames()).map(jobs_of).collect(),
            jobs,
            windows: [entities?, relationships?],
            has_pins,
        })
    }

    /// Reads contents of either side.
    pub fn contents(&self) -> ContentReader<'p> {
        ContentReader { snapshot: self.snapshot, stage: self.stage }
    }

    /// The position of the job that writes the scope of a name of a batch.
    pub fn job_of(&self, frame: u32, scope: u32) -> u32 {
        self.jobs_of[frame as usize][scope as usize]
    }

    /// The pins of an entity of a job.
    pub fn pins(&self, job: u32, id: IdHash) -> Result<Option<Vec<u8>>, StoreError> {
        match self.jobs[job as usize].scope.filter(|_| self.has_pins) {
            Some(scope) => self.snapshot.pins(scope, id),
            None => Ok(None),
        }
    }

    /// Name numbers of the names of a batch.
    pub fn name_numbers(&self, frame: u32) -> Box<[Option<u32>]> {
        let names = self.stage.names(frame).iter();
        names.map(|name| self.snapshot.name_number(name)).collect()
    }
}
