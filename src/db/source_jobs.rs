//! Jobs of source files: what the rows make is staged, then planned, or run as a DIFF job.

use super::jobs::{JobGroup, check_scope, reports};
use super::{Database, Error, now};
use crate::mapping::{ResolvedSource, SourcePart};
use crate::store::{NextGroup, Snapshot, StoreError, pipeline};
use crate::sync::{
    BatchBuilder, BatchRules, ChangeDetails, InputDiagnostic, InputNames, JobInput, JobReport,
    JobSpec, MappingInfo, RelationshipLimits, StagedUploads, SyncError, SyncMode, check_entity,
    check_relationship, describe, plan,
};
use std::cell::RefCell;

/// A source that is to run as a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceJob {
    /// The scope that owns what the rows make.
    pub scope: String,
    /// The record of the file that the job keeps.
    pub file: MappingInfo,
    /// The names of the files of rows, as places count them.
    pub inputs: Vec<String>,
    /// The limits that the file sets; the guard of the scope is asked beside them.
    pub limits: Option<RelationshipLimits>,
    /// The number of deletions that the guard of the scope lets pass.
    pub allow_deletes: Option<u64>,
}

/// What a source makes, staged for one job.
pub struct StagedSource {
    uploads: StagedUploads,
    inputs: InputNames,
}

/// Faults after which no more drafts are looked at.
const FAULTS_MAX: usize = 1_000;

impl Database {
    /// Stages what the rows of a source make.
    ///
    /// # Errors
    ///
    /// Every object that a job cannot take, by the row that made it.
    #[doc(hidden)]
    pub fn stage_source(
        &self,
        snapshot: &Snapshot,
        job: &SourceJob,
        resolved: &ResolvedSource,
    ) -> Result<StagedSource, Error> {
        check_scope(&job.scope)?;
        let rules = BatchRules {
            mode: SyncMode::Diff,
            scope: Some(job.scope.clone()),
            same_scope_reject: false,
            digest_seed: snapshot.meta().digest_seed,
            known: None,
        };
        let spec = JobSpec {
            one_upload: true,
            edge_limits: job.limits.clone(),
            allow_deletes: job.allow_deletes,
            mapping: Some(job.file.clone()),
            ..JobSpec::new("api", SyncMode::Diff, &job.scope, now())
        };
        let mut uploads = StagedUploads::new(&self.folder_of_file());
        uploads.add(JobInput::new(spec.clone()));
        let faults = stage_parts(resolved, &rules, &spec, &mut uploads)?;
        let inputs = InputNames(job.inputs.clone());
        match faults.is_empty() {
            true => Ok(StagedSource { uploads, inputs }),
            false => Err(SyncError::faults(&inputs, faults).into()),
        }
    }

    /// The report of the job as it would end, as of `snapshot`, and the first `details` changes.
    ///
    /// # Errors
    ///
    /// Objects that contradict the graph, and errors of the file.
    #[doc(hidden)]
    pub fn plan_source(
        &self,
        snapshot: &Snapshot,
        staged: &StagedSource,
        details: usize,
    ) -> Result<(JobReport, Vec<ChangeDetails>), Error> {
        let plan = plan(snapshot, &staged.uploads, &staged.inputs, true)?;
        let mut changes = Vec::new();
        if details > 0 {
            let told = describe(snapshot, &staged.uploads, &plan, &mut |change| {
                changes.push(change);
                match changes.len() < details {
                    true => Ok(()),
                    false => Err(DetailsEnd::Enough),
                }
            });
            if let Err(DetailsEnd::Failed(error)) = told {
                return Err(error.into());
            }
        }
        Ok((reports(&plan, |report| report.dry_run = true).remove(0), changes))
    }

    /// Runs the job. It may come back REFUSED or HELD; then nothing has changed.
    ///
    /// # Errors
    ///
    /// Those of [`Database::plan_source`].
    #[doc(hidden)]
    pub fn apply_source(&self, staged: &StagedSource) -> Result<JobReport, Error> {
        let reports = self.run(&JobGroup::new(&staged.uploads, &staged.inputs, false))?;
        Ok(reports.into_iter().next().expect("BUG: one job has one report"))
    }

    /// A copy that nobody else sees, to try jobs on. It is gone when it is dropped.
    ///
    /// # Errors
    ///
    /// Errors of the file.
    #[doc(hidden)]
    pub fn scratch_copy(&self) -> Result<ScratchDatabase, Error> {
        let folder = tempfile::tempdir().map_err(super::io)?;
        let path = folder.path().join("scratch.redb");
        self.backup(&path)?;
        Ok(ScratchDatabase { database: Database::open(&path)?, _folder: folder })
    }

    /// An empty database that nobody else sees, for plans where there is none yet.
    ///
    /// # Errors
    ///
    /// Errors of the file.
    #[doc(hidden)]
    pub fn scratch_empty() -> Result<ScratchDatabase, Error> {
        let folder = tempfile::tempdir().map_err(super::io)?;
        let path = folder.path().join("scratch.redb");
        Ok(ScratchDatabase { database: Database::create(&path)?, _folder: folder })
    }
}

/// The end of a list of changes before the last one.
enum DetailsEnd {
    /// As many as were asked for are listed.
    Enough,
    Failed(SyncError),
}

impl From<SyncError> for DetailsEnd {
    fn from(error: SyncError) -> DetailsEnd {
        DetailsEnd::Failed(error)
    }
}

/// A database that is gone when it is dropped.
pub struct ScratchDatabase {
    /// The database.
    pub database: Database,
    _folder: tempfile::TempDir,
}

/// Packs the objects of a source into batches, on all cores, and stages them in their order. Returns the
/// faults of those that a job cannot take.
fn stage_parts(
    resolved: &ResolvedSource,
    rules: &BatchRules,
    spec: &JobSpec,
    uploads: &mut StagedUploads,
) -> Result<Vec<InputDiagnostic>, Error> {
    let mut parts = resolved.parts();
    let pack = |part: SourcePart| {
        let builder = RefCell::new((BatchBuilder::new(rules), Vec::new()));
        let packed: Result<(), StoreError> = resolved.drafts(
            &part,
            |draft| {
                let (builder, faults) = &mut *builder.borrow_mut();
                let pushed = check_entity(draft).and_then(|()| builder.push_entity(draft, None));
                faults.extend(pushed.err());
                Ok(())
            },
            |draft| {
                let (builder, faults) = &mut *builder.borrow_mut();
                let pushed =
                    check_relationship(draft).and_then(|()| builder.push_relationship(draft, None));
                faults.extend(pushed.err());
                Ok(())
            },
        );
        packed.map(|()| builder.into_inner())
    };
    let mut state = (uploads, Vec::new());
    pipeline(
        &mut state,
        1,
        |(_, faults): &mut (&mut StagedUploads, Vec<InputDiagnostic>)| {
            let next = if faults.len() < FAULTS_MAX { parts.next() } else { None };
            Ok(next.map_or(NextGroup::End, NextGroup::Group))
        },
        |part| pack(part).map(|(builder, faults)| (builder.finish(), faults)),
        |(uploads, faults), (batch, more)| {
            faults.extend(more);
            match faults.is_empty() {
                true => uploads.append(batch, |_| JobInput::new(spec.clone())),
                false => Ok(()),
            }
        },
    )?;
    let (_, mut faults) = state;
    faults.truncate(FAULTS_MAX);
    Ok(faults)
}
