//! Jobs that take uploads over several calls: they are made, and uploads are appended.

use super::super::job_files::{JobFile, JobFileKind};
use super::super::{Database, Error, MappedRelationship, RightSet, mapper, now};
use super::{check_scope, check_source};
use crate::graph::{ObjectId, ObjectKind};
use crate::store::job_lock::StageEnd;
use crate::store::job_stage::{JobStage, UploadParts};
use crate::store::staging::ObjectBatch;
use crate::sync::{
    BatchRules, InputSource, JobReport, JobSpec, JobStatus, SyncError, SyncMode, check_owner,
    read_inputs,
};
use uuid::Uuid;

/// A job that is to take uploads over several calls.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// The id, where the caller has one already.
    pub id: Option<Uuid>,
    /// `source`, e.g. `api`.
    pub source: String,
    /// `syncMode`.
    pub mode: SyncMode,
    /// The scope to write.
    pub scope: String,
    /// With a repeated key the latest object wins.
    pub ignore_duplicates: bool,
    /// True if each row names its own scope. Only modes that delete nothing by themselves may do
    /// so; `scope` is then the job's in name only.
    pub any_scope: bool,
}

/// The parts of an upload that are not objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct UploadExtras<'u> {
    /// Mapped relationships, which passed [`crate::db::check_mapped`].
    pub mapped: &'u [MappedRelationship],
    /// Objects to delete when the job is finalized.
    pub deletes: &'u [(ObjectKind, ObjectId)],
    /// The rights of the caller that names the deletions. Nothing outside of them is deleted,
    /// whoever finalizes the job. `None` stands for a caller that has the file in hand.
    pub deleter: Option<&'u RightSet>,
    /// The limit on the bytes that open and held jobs take on disk, with this upload.
    pub staged_max: Option<u64>,
}

impl Database {
    /// Opens a job that takes uploads over several calls, also of several processes.
    #[doc(hidden)]
    pub fn create_job(&self, request: &JobRequest) -> Result<Uuid, Error> {
        check_source(&request.source, request.mode)?;
        check_scope(&request.scope)?;
        let spec = JobSpec {
            id: request.id.unwrap_or_else(Uuid::now_v7),
            ignore_duplicates: request.ignore_duplicates,
            any_scope: request.any_scope
                && matches!(request.mode, SyncMode::Patch | SyncMode::CreateOrUpdate),
            ..JobSpec::new(&request.source, request.mode, &request.scope, now())
        };
        let id = spec.id;
        if !spec.any_scope {
            // It is asked again at the end; here nothing was uploaded in vain.
            check_owner(&self.snapshot()?, &spec)?;
        }
        let report = spec.report(JobStatus::AwaitingUploads);
        self.make_folder()?;
        // Lock order: the slot of this process, the lock that processes share, and last the turn to
        // write.
        let slot = self.slot(id);
        let mut slot = slot.lock();
        let _lock = self.lock_job(id)?;
        if self.job_path(id, JobFileKind::Json).exists() || self.stored_report(id)?.is_some() {
            return Err(Error::usage(format!("there is a job {id} already"), "leave the id out"));
        }
        // A crash can leave a stage without the job that it was made for.
        self.forget_uploads(id);
        *slot = Some(JobStage::create(&self.job_path(id, JobFileKind::Stage), id)?);
        let mut file = JobFile::new(vec![spec], vec![report]);
        file.inputs.push("an upload".to_owned());
        if let Err(e) = self.put_job_file(&file) {
            *slot = None;
            self.forget_uploads(id);
            return Err(e);
        }
        Ok(id)
    }

    /// Adds an upload to an open job; when this returns it is on disk. An upload that repeats an
    /// earlier one whole is a retry and counts once. Returns what was uploaded so far.
    ///
    /// # Errors
    ///
    /// Every object that cannot be taken, with nothing of the upload kept; a job that is not open.
    #[doc(hidden)]
    pub fn upload(&self, id: Uuid, input: InputSource<'_>) -> Result<JobReport, Error> {
        self.upload_with(id, input, &UploadExtras::default(), &mut |_| true)
    }

    /// The same with parts that are not objects; all of the upload is kept or nothing. If each
    /// object names its own scope, nothing is kept unless `may` allows every scope.
    #[doc(hidden)]
    pub fn upload_with(
        &self,
        id: Uuid,
        input: InputSource<'_>,
        extras: &UploadExtras<'_>,
        may: &mut dyn FnMut(&str) -> bool,
    ) -> Result<JobReport, Error> {
        let rules = {
            let file = self.open_job_file(id)?;
            let spec = &file.specs[0];
            BatchRules {
                mode: spec.mode,
                scope: (!spec.any_scope).then(|| spec.scope.clone()),
                same_scope_reject: file.same_scope_reject,
                digest_seed: self.snapshot()?.meta().digest_seed,
                known: None,
            }
        };
        // Read side by side with other uploads: only the appending takes turns.
        let mut batches = Vec::new();
        read_inputs(&mut [input], 0, &rules, &|_| {}, |batch| {
            batches.push(batch);
            Ok(())
        })?;
        if rules.scope.is_none()
            && let Some(scope) = batches.iter().flat_map(scopes_of).find(|scope| !may(scope))
        {
            return Err(Error::usage(
                format!("the scope `{scope}` may not be written"),
                "nothing was taken",
            ));
        }
        let mapped = mapper::lines(extras.mapped);
        let upload = UploadParts {
            batches: &batches,
            mapped: &mapped,
            mapped_count: extras.mapped.len() as u64,
            deletes: extras.deletes,
        };
        self.append(id, &upload, extras.deleter, extras.staged_max)
    }

    /// Appends an upload to an open job and writes down that it is acknowledged.
    pub(super) fn append(
        &self,
        id: Uuid,
        upload: &UploadParts<'_>,
        deleter: Option<&RightSet>,
        staged_max: Option<u64>,
    ) -> Result<JobReport, Error> {
        let slot = self.slot(id);
        let mut slot = slot.lock();
        let job = self.lock_job(id)?;
        let mut file = self.open_job_file(id)?;
        let record = job.record()?.unwrap_or_default();
        if record.finalizing {
            // The process that finalized it may have ended after the commit, before its files were removed.
            *slot = None;
        }
        let stage = self.open_stage(id, record.acknowledged, &mut slot)?;
        // Uploads to other jobs may run at this moment, so together they may pass the limit.
        if let Some(max) = staged_max {
            let (_, staged) = self.staged()?;
            let more = upload.bytes();
            if staged.saturating_add(more) > max {
                return Err(SyncError::TooMuchStaged { staged, more, max }.into());
            }
        }
        if let Some(rights) = deleter.filter(|_| !upload.deletes.is_empty())
            && !file.deleters.contains(rights)
        {
            // Before the names themselves, so that a crash leaves none without it.
            file.deleters.push(rights.clone());
            self.put_job_file(&file)?;
        }
        let before = stage.end();
        if !upload.is_empty() {
            stage.append(upload)?;
        }
        // Last of all: a stage that is longer than its record is sound, a shorter one has lost
        // something.
        if let Err(e) = job.acknowledge(stage.end()) {
            stage.take_back(before);
            return Err(e.into());
        }
        Ok(upload_report(stage, file))
    }

    /// A job that is open, with what was uploaded to it so far.
    #[doc(hidden)]
    pub fn open_job(&self, id: Uuid) -> Result<JobReport, Error> {
        let slot = self.slot(id);
        let mut slot = slot.lock();
        let file = self.open_job_file(id)?;
        // Read before the stage, which only grows meanwhile.
        let acknowledged = self.lock_record(id)?.acknowledged;
        match self.open_stage(id, acknowledged, &mut slot) {
            Ok(stage) => Ok(upload_report(stage, file)),
            // It may have ended meanwhile.
            Err(e) => Err(self.open_job_file(id).err().unwrap_or(e)),
        }
    }

    /// Names objects for deletion when the job is finalized; when this returns it is on disk.
    #[doc(hidden)]
    pub fn upload_deletes(
        &self,
        id: Uuid,
        deletes: &[(ObjectKind, ObjectId)],
    ) -> Result<(), Error> {
        self.append(id, &UploadParts { deletes, ..UploadParts::default() }, None, None).map(drop)
    }

    /// The stage of an open job, read up to its end.
    pub(super) fn open_stage<'s>(
        &self,
        id: Uuid,
        acknowledged: StageEnd,
        slot: &'s mut Option<JobStage>,
    ) -> Result<&'s mut JobStage, Error> {
        if slot.as_ref().is_none_or(|stage| !stage.is_there()) {
            if self.stored_report(id)?.is_some() {
                // A crash came between the commit and the end of its files.
                self.forget_job(id);
                *slot = None;
                return Err(SyncError::State(format!("job {id} takes no more uploads")).into());
            }
            *slot = Some(JobStage::open(&self.job_path(id, JobFileKind::Stage), id)?);
        }
        let stage = slot.as_mut().expect("BUG: it was just filled");
        stage.catch_up(acknowledged)?;
        Ok(stage)
    }
}

/// The report of an open job with what was uploaded so far.
fn upload_report(stage: &JobStage, mut file: JobFile) -> JobReport {
    let mut report = file.reports.remove(0);
    let counts = stage.counts();
    (report.entities.uploaded, report.relationships.uploaded) =
        (counts.entities, counts.relationships);
    report
}

/// The scopes that the objects of a batch are of.
fn scopes_of(batch: &ObjectBatch) -> impl Iterator<Item = &str> {
    let entities = batch.entities.iter().map(|entity| entity.scope);
    let relationships = batch.relationships.iter().map(|link| link.object.scope);
    let mut all: Vec<u32> = entities.chain(relationships).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|scope| batch.names[scope as usize].as_str())
}
