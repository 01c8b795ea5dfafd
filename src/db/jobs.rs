//! Jobs: `sync` in one go, jobs that stay open between calls, held plans.
//!
//! Open and held jobs, and the reports of jobs that changed nothing, are files in the folder
//! `<database>.jobs` (`job_files`): a job then costs the database file nothing until it changes the
//! graph. The next commit takes finished reports into the database.
//!
//! A caller that changes the state of a job holds the lock of that job, in any process, and reads
//! the state under it. A caller is told only what was committed.

use super::job_files::{CompleteStage, JobFile, JobFileKind};
use super::{Database, Error, RightSet, mapper, now};
use crate::graph::{ObjectId, ObjectKind};
use crate::store::job_lock::{JobLock, StageEnd};
use crate::store::job_stage::{JobStage, UploadPart, UploadParts};
use crate::store::staging::ObjectBatch;
use crate::store::{DatabaseFile, Snapshot, StoreError, folder_of};
use crate::sync::{
    BatchRules, InputFormat, InputNames, InputSource, JobInput, JobReport, JobSpec, JobStatus,
    KnownObjects, StagedUploads, SyncError, SyncMode, SyncPlan, apply, plan, read_inputs,
};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// A request to upload inputs and to finalize them in one go.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// The scope to write; `None` makes one job of each `_scope` in the rows.
    pub scope: Option<String>,
    /// Mode of the jobs.
    pub mode: SyncMode,
    /// `source`, e.g. `api`.
    pub source: String,
    /// Only say what would happen.
    pub dry_run: bool,
    /// With a repeated key the latest object wins.
    pub ignore_duplicates: bool,
    /// The number of deletions that the guard lets pass.
    pub allow_deletes: Option<u64>,
    /// Delete nothing of these types.
    pub partial_types: Vec<String>,
    /// Refuse CROSS_SCOPE relationships whose ends lie in one scope.
    pub same_scope_reject: bool,
}

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

/// The options of a finalize.
#[derive(Clone, Debug, Default)]
pub struct FinalizeRequest {
    /// Delete nothing of these types.
    pub partial_types: Vec<String>,
    /// The number of deletions that the guard lets pass.
    pub allow_deletes: Option<u64>,
    /// Only say what would happen; the job stays open.
    pub dry_run: bool,
}

/// Single objects of one scope to be made, changed or deleted in one transaction.
#[derive(Clone, Debug, Default)]
pub struct EditRequest {
    /// The scope to write.
    pub scope: String,
    /// `source` of the job, e.g. `api`.
    pub source: String,
    /// A JSON document with `entities` and `relationships`, as an upload has them.
    pub objects: String,
    /// Objects to delete.
    pub deletes: Vec<(ObjectKind, ObjectId)>,
}

/// The parts of an upload that are not objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct UploadExtras<'u> {
    /// Mapped relationships, which passed [`super::check_mapped`].
    pub mapped: &'u [super::MappedRelationship],
    /// Objects to delete when the job is finalized.
    pub deletes: &'u [(ObjectKind, ObjectId)],
    /// The rights of the caller that names the deletions. Nothing outside of them is deleted,
    /// whoever finalizes the job. `None` stands for a caller that has the file in hand.
    pub deleter: Option<&'u RightSet>,
    /// The limit on the bytes that open and held jobs take on disk, with this upload.
    pub staged_max: Option<u64>,
}

/// Open jobs by id, as this process knows them. Its threads take turns here; other processes by the
/// lock of the job.
pub(super) type OpenJobs = Mutex<HashMap<Uuid, Arc<Mutex<Option<JobStage>>>>>;

/// The places of the reports of finished jobs in the database, as far as it was read.
#[derive(Default)]
pub(super) struct StoredJobs {
    /// The database that was read, by its secret.
    of: u64,
    /// The first sequence number that was not read.
    next: u32,
    sequences: HashMap<Uuid, u32>,
}

/// The report of an open job with what was uploaded so far.
fn upload_report(stage: &JobStage, mut file: JobFile) -> JobReport {
    let mut report = file.reports.remove(0);
    let counts = stage.counts();
    (report.entities.uploaded, report.relationships.uploaded) =
        (counts.entities, counts.relationships);
    report
}

/// Jobs that are to be planned and applied together.
struct JobGroup<'r> {
    uploads: &'r StagedUploads,
    inputs: &'r InputNames,
    dry_run: bool,
    same_scope_reject: bool,
    /// The end of the stage that the uploads are in already.
    stage: Option<StageEnd>,
    /// The rights of the caller; `None` allows everything.
    rights: Option<&'r RightSet>,
}

impl<'r> JobGroup<'r> {
    fn new(uploads: &'r StagedUploads, inputs: &'r InputNames, dry_run: bool) -> JobGroup<'r> {
        JobGroup { uploads, inputs, dry_run, same_scope_reject: false, stage: None, rights: None }
    }
}

/// The uploads of a job, read back from its stage.
struct RestagedJob {
    uploads: StagedUploads,
    mapped: Vec<super::MappedRelationship>,
    end: StageEnd,
}

/// Tries at planning and writing; the last one keeps other processes from committing in between.
const TRIES: usize = 3;

fn check_source(source: &str, mode: SyncMode) -> Result<(), Error> {
    if mode == SyncMode::CrossScope && source != "api" {
        return Err(Error::usage(
            format!("`source` must be api for a CROSS_SCOPE job, not `{source}`"),
            "leave --source out, or set it to api",
        ));
    }
    Ok(())
}

pub(super) fn check_scope(scope: &str) -> Result<(), Error> {
    crate::graph::check_name(crate::graph::NameKind::Scope, scope)
        .map_err(|e| Error::Usage(e.to_string(), None))
}

impl Database {
    /// Uploads inputs and finalizes them, as one job or as one job a scope, in one transaction.
    ///
    /// Returns the reports, in byte order of the scopes. A job may come back HELD: then nothing
    /// has changed and [`Database::approve`] or [`Database::abort`] decides.
    pub fn sync(
        &self,
        request: &SyncRequest,
        inputs: &mut [InputSource<'_>],
        progress: &dyn Fn(u64),
    ) -> Result<Vec<JobReport>, Error> {
        self.sync_with_known(request, inputs, None, progress)
    }

    /// The same for inputs that can be read twice; `open` gives them anew each time. Lines that the
    /// scope knows already are passed over, so an upload costs only what is new in it.
    pub fn sync_again<'i>(
        &self,
        request: &SyncRequest,
        open: &dyn Fn() -> Vec<InputSource<'i>>,
        progress: &dyn Fn(u64),
    ) -> Result<Vec<JobReport>, Error> {
        let mut inputs = open();
        let lines = inputs.iter().all(|input| input.format == InputFormat::Ndjson);
        let may_know = lines && request.mode.deletes() && !request.same_scope_reject;
        let known = match &request.scope {
            Some(scope) if may_know => KnownObjects::read(&self.snapshot()?, scope)?,
            _ => None,
        };
        if let Some(known) = known {
            match self.sync_with_known(request, &mut inputs, Some(known), progress) {
                // A job that is held needs its lines whole, and so does a line that only seemed
                // known.
                Err(Error::Sync(SyncError::Reread)) => inputs = open(),
                done => return done,
            }
        }
        self.sync_with_known(request, &mut inputs, None, progress)
    }

    fn sync_with_known(
        &self,
        request: &SyncRequest,
        inputs: &mut [InputSource<'_>],
        known: Option<KnownObjects>,
        progress: &dyn Fn(u64),
    ) -> Result<Vec<JobReport>, Error> {
        check_source(&request.source, request.mode)?;
        if let Some(scope) = &request.scope {
            check_scope(scope)?;
        }
        let known = known.map(Arc::new);
        let rules = BatchRules {
            mode: request.mode,
            scope: request.scope.clone(),
            same_scope_reject: request.same_scope_reject,
            digest_seed: self.snapshot()?.meta().digest_seed,
            known: known.clone(),
        };
        let mut uploads = StagedUploads::new(&self.folder_of_file());
        if let Some(scope) = &request.scope {
            uploads.add(JobInput { known, ..request.job(scope) });
        }
        let names = InputNames(inputs.iter().map(|input| input.name.clone()).collect());
        read_inputs(inputs, 0, &rules, progress, |batch| {
            Ok(uploads.append(batch, |scope| request.job(scope))?)
        })?;
        if uploads.jobs().is_empty() {
            return Err(Error::usage(
                "the input is empty, so there is no scope to write",
                "name the scope with --scope",
            ));
        }
        // Reports are returned in byte order of the scopes.
        uploads.sort_jobs(0);
        let same_scope_reject = request.same_scope_reject;
        self.run(&JobGroup {
            same_scope_reject,
            ..JobGroup::new(&uploads, &names, request.dry_run)
        })
    }

    /// Opens a job that takes uploads over several calls, also of several processes.
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
        let report = spec.report(JobStatus::AwaitingUploads);
        self.make_folder()?;
        // Lock order: the slot of this process, the lock that processes share, and last the turn to
        // write.
        let slot = self.slot(id);
        let mut slot = lock(&slot);
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
    pub fn upload(&self, id: Uuid, input: InputSource<'_>) -> Result<JobReport, Error> {
        self.upload_with(id, input, &UploadExtras::default(), &mut |_| true)
    }

    /// The same with parts that are not objects; all of the upload is kept or nothing. If each
    /// object names its own scope, nothing is kept unless `may` allows every scope.
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
    fn append(
        &self,
        id: Uuid,
        upload: &UploadParts<'_>,
        deleter: Option<&RightSet>,
        staged_max: Option<u64>,
    ) -> Result<JobReport, Error> {
        let slot = self.slot(id);
        let mut slot = lock(&slot);
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
    pub fn open_job(&self, id: Uuid) -> Result<JobReport, Error> {
        let slot = self.slot(id);
        let mut slot = lock(&slot);
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
    pub fn upload_deletes(
        &self,
        id: Uuid,
        deletes: &[(ObjectKind, ObjectId)],
    ) -> Result<(), Error> {
        self.append(id, &UploadParts { deletes, ..UploadParts::default() }, None, None).map(drop)
    }

    /// The stage of a job as this process knows it, behind the mutex that its threads take turns
    /// on.
    fn slot(&self, id: Uuid) -> Arc<Mutex<Option<JobStage>>> {
        let mut open = lock(&self.open);
        Arc::clone(open.entry(id).or_default())
    }

    /// The stage of an open job, read up to its end.
    fn open_stage<'s>(
        &self,
        id: Uuid,
        acknowledged: StageEnd,
        slot: &'s mut Option<JobStage>,
    ) -> Result<&'s mut JobStage, Error> {
        if slot.as_ref().is_none_or(|stage| !stage.is_there()) {
            if self.stored_report(id)?.is_some() {
                // A crash came between the commit and the end of its files.
                self.forget_job(id);
                lock(&self.open).remove(&id);
                return Err(SyncError::State(format!("job {id} takes no more uploads")).into());
            }
            *slot = Some(JobStage::open(&self.job_path(id, JobFileKind::Stage), id)?);
        }
        let stage = slot.as_mut().expect("BUG: it was just filled");
        stage.catch_up(acknowledged)?;
        Ok(stage)
    }

    /// Finalizes an open job. Called again, it returns the stored report.
    pub fn finalize(&self, id: Uuid, request: &FinalizeRequest) -> Result<JobReport, Error> {
        self.finalize_as(id, request, &RightSet::everything())
    }

    /// The same for a caller with these rights. Every object that would change has to be within
    /// them. An object named for deletion has to be within the rights of the caller that named it
    /// as well.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], and the job stays open.
    pub fn finalize_as(
        &self,
        id: Uuid,
        request: &FinalizeRequest,
        rights: &RightSet,
    ) -> Result<JobReport, Error> {
        let slot = self.slot(id);
        let mut slot = lock(&slot);
        let stored = || match self.stored_report(id)? {
            Some(report) if report.status == JobStatus::Aborted => Err(was_aborted(id)),
            report => Ok(report),
        };
        // Asked before the lock: a repeated call of a job that has ended waits for nobody.
        if let Some(report) = stored()? {
            lock(&self.open).remove(&id);
            return Ok(report);
        }
        self.job_file(id)?;
        let job = self.lock_job(id)?;
        if let Some(report) = stored()? {
            // Another process was faster, and may have ended before it removed the files.
            self.forget_job(id);
            lock(&self.open).remove(&id);
            return Ok(report);
        }
        let mut file = self.job_file(id)?;
        if file.status() != JobStatus::AwaitingUploads {
            lock(&self.open).remove(&id);
        }
        match file.status() {
            JobStatus::Finished | JobStatus::Held => return Ok(file.reports.remove(0)),
            JobStatus::Aborted | JobStatus::Refused => return Err(was_aborted(id)),
            JobStatus::AwaitingUploads => {}
        }
        file.specs[0].partial_types.clone_from(&request.partial_types);
        file.specs[0].allow_deletes = request.allow_deletes;
        rights.allow_override(&file.specs[0].scope, request.allow_deletes)?;
        let mut read = self.restage(&file, &job)?;
        rights.allow_jobs(&specs(read.uploads.jobs()))?;
        // Only now is it known in which scopes the named deletions lie.
        file.deleters.iter().try_for_each(|who| who.allow_deletes(read.uploads.jobs()))?;
        rights.allow_mapping(read.mapped.len())?;
        self.add_mapped_job(&mut read.uploads, &read.mapped)?;
        let inputs = InputNames(file.inputs.clone());
        if !request.dry_run {
            // Before the commit: after a crash, the next call then asks the database whether the
            // job has ended.
            job.set_finalizing()?;
        }
        let mut reports = self.run(&JobGroup {
            same_scope_reject: file.same_scope_reject,
            stage: Some(read.end),
            rights: Some(rights),
            ..JobGroup::new(&read.uploads, &inputs, request.dry_run)
        })?;
        if !request.dry_run {
            *slot = None;
            lock(&self.open).remove(&id);
        }
        let mut report = reports.remove(0);
        // A job whose rows name their scopes ran as one job a scope; its caller sees a single job.
        for other in reports.iter().filter(|_| report.any_scope) {
            report.entities.add(&other.entities);
            report.relationships.add(&other.relationships);
            report.skipped.extend_from_slice(&other.skipped);
            report.skipped_total += other.skipped_total;
        }
        Ok(report)
    }

    /// Makes, changes and deletes single objects of a scope in one transaction, as a job of its
    /// own.
    ///
    /// # Errors
    ///
    /// Every object that cannot be taken, and every relationship without live ends; then nothing
    /// has changed.
    pub fn edit(&self, edit: &EditRequest) -> Result<JobReport, Error> {
        self.edit_as(edit, &RightSet::everything())
    }

    /// The same for a caller with these rights.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] as well.
    pub fn edit_as(&self, edit: &EditRequest, rights: &RightSet) -> Result<JobReport, Error> {
        check_scope(&edit.scope)?;
        if !rights.write(&edit.scope) {
            return Err(rights.refuse("write", &edit.scope));
        }
        let spec = JobSpec {
            one_upload: true,
            ..JobSpec::new(&edit.source, SyncMode::CreateOrUpdate, &edit.scope, now())
        };
        let rules = BatchRules {
            mode: spec.mode,
            scope: Some(edit.scope.clone()),
            same_scope_reject: false,
            digest_seed: self.snapshot()?.meta().digest_seed,
            known: None,
        };
        let mut job = JobInput::new(spec.clone());
        job.deletes.clone_from(&edit.deletes);
        let mut uploads = StagedUploads::new(&self.folder_of_file());
        uploads.add(job);
        let input = InputSource {
            name: "the request".to_owned(),
            format: InputFormat::Json,
            reader: Box::new(edit.objects.as_bytes()),
        };
        let names = InputNames(vec![input.name.clone()]);
        if !edit.objects.is_empty() {
            read_inputs(&mut [input], 0, &rules, &|_| {}, |batch| {
                Ok(uploads.append(batch, |_| JobInput::new(spec.clone()))?)
            })?;
        }
        let rights_of = Some(rights);
        // A dry run first: a finalize skips relationships without live ends, but an edit has to
        // fail.
        let dry =
            self.run(&JobGroup { rights: rights_of, ..JobGroup::new(&uploads, &names, true) })?;
        if let Some(skipped) = dry.iter().find_map(|report| report.skipped.first()) {
            let skipped = skipped.clone().told_to(rights.read());
            return Err(SyncError::Faults(vec![format!(
                "_key `{}`: {}",
                skipped.key, skipped.reason
            )])
            .into());
        }
        let done =
            self.run(&JobGroup { rights: rights_of, ..JobGroup::new(&uploads, &names, false) })?;
        Ok(done.into_iter().next().expect("BUG: one job has one report"))
    }

    /// Applies exactly the plan of a held job, and of those held with it.
    ///
    /// # Errors
    ///
    /// A usage error if the graph moved on, so that the plan would now be another one.
    pub fn approve(&self, id: &str) -> Result<Vec<JobReport>, Error> {
        self.approve_as(id, &RightSet::everything())
    }

    /// The same for a caller with these rights, which have to cover all jobs that are held together.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] as well; then the job is still held.
    pub fn approve_as(&self, id: &str, rights: &RightSet) -> Result<Vec<JobReport>, Error> {
        let id = self.resolve_job(id)?;
        // Jobs that are held together lie in one file, under the lock of the first of them.
        let first = self.job_file(id)?.id();
        let slot = self.slot(first);
        let _slot = lock(&slot);
        // A caller that aborts it meanwhile waits, and is told how it ended.
        let job = self.lock_job(first)?;
        let file = self.open_or_held_file(id, first)?;
        if file.status() != JobStatus::Held {
            return Err(not_held(id, file.status()));
        }
        let read = self.restage(&file, &job)?;
        rights.allow_approval(&specs(read.uploads.jobs()))?;
        let inputs = InputNames(file.inputs.clone());
        let _turn = self.lock_writers();
        // Planned under the lock of the writer, so that nobody writes between the plan and its commit.
        let store = self.writer()?;
        let snapshot = self.snapshot_of(store.as_ref())?;
        let mut plan = plan(&snapshot, &read.uploads, &inputs, false)?;
        drop(snapshot);
        if plan.hash != file.reports[0].plan_hash {
            return Err(Error::usage(
                format!("the graph moved on since job {id} was held, so its plan is another now"),
                format!("abort it with `tombolo job abort {id}` and sync again"),
            ));
        }
        job.set_finalizing()?;
        let reports = self.commit_in(store, &mut plan, &read.uploads)?;
        self.forget_job(first);
        Ok(reports)
    }

    /// The file of a job that is open or held, read under its lock.
    fn open_or_held_file(&self, id: Uuid, first: Uuid) -> Result<JobFile, Error> {
        if self.stored_report(first)?.is_some() {
            // A crash came between the commit and the end of its files.
            self.forget_job(first);
            lock(&self.open).remove(&first);
            return Err(not_held(id, JobStatus::Finished));
        }
        self.job_file(first)
    }

    /// Gives up an open or held job, and those held with it.
    pub fn abort(&self, id: &str) -> Result<JobReport, Error> {
        self.abort_as(id, false, &RightSet::everything())
    }

    /// The same for a caller with these rights, which have to cover all jobs that are held
    /// together. `invalid_configuration` records that the collector of the job is set up wrongly.
    pub fn abort_as(
        &self,
        id: &str,
        invalid_configuration: bool,
        rights: &RightSet,
    ) -> Result<JobReport, Error> {
        let id = self.resolve_job(id)?;
        let first = self.job_file(id)?.id();
        let slot = self.slot(first);
        let mut slot = lock(&slot);
        let _lock = self.lock_job(first)?;
        let mut file = self.open_or_held_file(id, first)?;
        if !matches!(file.status(), JobStatus::Held | JobStatus::AwaitingUploads) {
            return Err(not_held(id, file.status()));
        }
        rights.allow_jobs(&file.specs.iter().collect::<Vec<_>>())?;
        for report in &mut file.reports {
            report.status = JobStatus::Aborted;
            report.invalid_configuration = invalid_configuration;
            report.held = None;
            report.end_timestamp = Some(now());
        }
        file.kept = None;
        *slot = None;
        // The new state goes first: a crash then leaves files that `gc` removes, and no open job
        // without uploads.
        match self.put_job_file(&file) {
            // On a full disk what the job held makes room for the word that it is gone.
            Err(Error::Store(StoreError::Io(e))) if e.kind() == std::io::ErrorKind::StorageFull => {
                self.forget_uploads(first);
                self.put_job_file(&file)?;
            }
            result => result?,
        }
        lock(&self.open).remove(&first);
        self.forget_uploads(first);
        let report = file.reports.into_iter().find(|report| report.id == id);
        Ok(report.expect("BUG: a job file holds the job it was found by"))
    }

    /// All jobs, newest first: open and held ones, and finished ones.
    pub fn jobs(&self) -> Result<Vec<JobReport>, Error> {
        let mut all: BTreeMap<Uuid, JobReport> = BTreeMap::new();
        for file in self.job_files()? {
            all.extend(file.reports.into_iter().map(|report| (report.id, report)));
        }
        // Taken after the files: what ends in between is in one of them or in both.
        let snapshot = self.snapshot()?;
        for sequence in 0..snapshot.meta().next_job {
            if let Some(row) = snapshot.job(sequence)? {
                all.insert(row.id, read_report(&row.report)?);
            }
        }
        let mut all: Vec<JobReport> = all.into_values().collect();
        all.sort_by_key(|r| std::cmp::Reverse((r.start_timestamp, r.id)));
        Ok(all)
    }

    /// The job with this id, or the only one whose id ends or begins with it.
    pub fn job(&self, id: &str) -> Result<JobReport, Error> {
        let id = self.resolve_job(id)?;
        let going_on = lock(&self.open).contains_key(&id)
            && self.lock_record(id).is_ok_and(|record| !record.finalizing);
        // Of what a crash left, the database is right; but a job that is going on is not there.
        if !going_on && let Some(report) = self.stored_report(id)? {
            return Ok(report);
        }
        let ended = match self.job_file(id) {
            Ok(file) => {
                let report = file.reports.into_iter().find(|report| report.id == id);
                return report.ok_or_else(|| unknown_job(&id.to_string()));
            }
            Err(e) => e,
        };
        // It may have been taken into the database in between.
        self.stored_report(id)?.ok_or(ended)
    }

    /// The sequence number and report of a stored job.
    pub(super) fn stored_job(&self, id: Uuid) -> Result<Option<(u32, JobReport)>, Error> {
        self.stored_in(&self.snapshot()?, id)
    }

    /// The same as of a snapshot.
    pub(super) fn stored_in(
        &self,
        snapshot: &Snapshot,
        id: Uuid,
    ) -> Result<Option<(u32, JobReport)>, Error> {
        let mut stored = lock(&self.stored);
        let (next, of) = (snapshot.meta().next_job, snapshot.meta().digest_seed);
        // Another secret, or fewer jobs, means that another file lies at the path: what was read
        // does not count.
        if next < stored.next || of != stored.of {
            *stored = StoredJobs { of, ..StoredJobs::default() };
        }
        for sequence in stored.next..next {
            if let Some(row) = snapshot.job(sequence)? {
                stored.sequences.insert(row.id, sequence);
            }
            stored.next = sequence + 1;
        }
        let Some(sequence) = stored.sequences.get(&id).copied() else { return Ok(None) };
        drop(stored);
        match snapshot.job(sequence)? {
            Some(row) if row.id == id => Ok(Some((sequence, read_report(&row.report)?))),
            _ => Ok(None),
        }
    }

    fn stored_report(&self, id: Uuid) -> Result<Option<JobReport>, Error> {
        Ok(self.stored_job(id)?.map(|(_, report)| report))
    }

    pub(super) fn resolve_job(&self, id: &str) -> Result<Uuid, Error> {
        if let Ok(id) = Uuid::parse_str(id) {
            return Ok(id);
        }
        let jobs = self.jobs()?;
        let asked = id.trim().to_lowercase();
        let fits = |job: &&JobReport| {
            let id = job.id.to_string();
            let end = asked.len() >= 4 && id.ends_with(&asked);
            end || !asked.is_empty() && id.starts_with(&asked)
        };
        let found: Vec<&JobReport> = jobs.iter().filter(fits).collect();
        match found.as_slice() {
            [one] => Ok(one.id),
            [] => Err(unknown_job(id)),
            many => {
                let named = |job: &&JobReport| format!("\n  {}   {}", job.id, job.scope);
                let some: String = many.iter().take(10).map(named).collect();
                let more = many.len().saturating_sub(10);
                let more = if more > 0 { format!("\n  … {more} more") } else { String::new() };
                Err(Error::usage(
                    format!("{} jobs have an id that begins or ends with `{id}`", many.len()),
                    format!("give more of it:{some}{more}"),
                ))
            }
        }
    }

    /// Plans, and applies if nothing speaks against it.
    fn run(&self, run: &JobGroup<'_>) -> Result<Vec<JobReport>, Error> {
        let uploads = run.uploads;
        let _turn = self.lock_writers();
        // Another process may commit between plan and write; then the plan is made again, at last
        // while all others are kept out.
        for last_try in (0..TRIES).map(|attempt| attempt + 1 == TRIES) {
            let store = if last_try && !run.dry_run { self.writer()? } else { None };
            let snapshot = self.snapshot_of(store.as_ref())?;
            let mut plan = plan(&snapshot, uploads, run.inputs, true)?;
            if let Some(rights) = run.rights {
                rights.allow_mapped(&snapshot, &plan)?;
            }
            drop(snapshot);
            if run.dry_run {
                return Ok(reports(&plan, |report| report.dry_run = true));
            }
            if plan.is_refused() {
                return Ok(reports(&plan, |_| {}));
            }
            if plan.is_held() {
                if uploads.jobs().iter().any(|job| job.known.is_some()) {
                    // A held job keeps its uploads whole, and known lines were passed over.
                    return Err(SyncError::Reread.into());
                }
                return self.hold(plan, run);
            }
            if plan.is_empty() {
                drop(store);
                return self.finish_unchanged(&plan);
            }
            match self.commit_in(store, &mut plan, uploads) {
                Err(Error::Store(StoreError::Changed)) if !last_try => {}
                result => {
                    let reports = result?;
                    // The reports are in the database now, so the files beside it can go.
                    for job in &plan.jobs {
                        self.forget_job(job.spec.id);
                    }
                    return Ok(reports);
                }
            }
        }
        Err(StoreError::Changed.into())
    }

    /// Writes a plan, in a store that is open for writing if there is one.
    pub(super) fn commit_in(
        &self,
        store: Option<DatabaseFile>,
        plan: &mut SyncPlan,
        uploads: &StagedUploads,
    ) -> Result<Vec<JobReport>, Error> {
        let now = now();
        self.write_in(store, Some(plan.revision), |writer, _| {
            apply(plan, uploads, writer, now)?;
            uploads.stage().free();
            Ok(())
        })?;
        Ok(reports(plan, |report| report.end_timestamp = Some(now)))
    }

    /// A job that changes nothing leaves the database file alone; its report waits beside it.
    pub(super) fn finish_unchanged(&self, plan: &SyncPlan) -> Result<Vec<JobReport>, Error> {
        let now = now();
        let reports = reports(plan, |report| report.end_timestamp = Some(now));
        self.make_folder()?;
        for (job, report) in plan.jobs.iter().zip(&reports) {
            let id = job.spec.id;
            // The lock of an open job is held already; with that of a new one nobody takes what is
            // half made for the rest of a crash.
            let open = self.job_path(id, JobFileKind::Stage).exists();
            let _lock = if open { None } else { Some(self.lock_job(id)?) };
            self.put_job_file(&JobFile::new(vec![job.spec.clone()], vec![report.clone()]))?;
            self.forget_uploads(id);
        }
        self.fold_many()?;
        Ok(reports)
    }

    /// Keeps a job that the guard refused, with all that was uploaded to it.
    fn hold(&self, plan: SyncPlan, run: &JobGroup<'_>) -> Result<Vec<JobReport>, Error> {
        let uploads = run.uploads;
        self.make_folder()?;
        let id = plan.jobs[0].spec.id;
        let reports = reports(&plan, |_| {});
        let mut file =
            JobFile::new(plan.jobs.into_iter().map(|job| job.spec).collect(), reports.clone());
        file.inputs.clone_from(&run.inputs.0);
        file.same_scope_reject = run.same_scope_reject;
        match run.stage {
            // The stage of a single job holds all of it already, so it stays as it is.
            Some(end) if uploads.jobs().len() == 1 => {
                file.kept = Some(CompleteStage::new(false, end));
                self.put_job_file(&file)?;
            }
            stage => {
                // The lock of an open job is held already; nobody else knows a new one.
                let _lock = if stage.is_none() { Some(self.lock_job(id)?) } else { None };
                // Beside the uploads also what their mapped relationships became, which is what
                // is approved.
                file.kept = Some(CompleteStage::new(true, self.keep_held(id, uploads)?));
                self.put_job_file(&file)?;
                // After the job file, which until then named this stage as the one that counts.
                let _ = std::fs::remove_file(self.job_path(id, JobFileKind::Stage));
            }
        }
        Ok(reports)
    }

    /// Writes all that a held job would write; returns the end of that stage.
    fn keep_held(&self, id: Uuid, uploads: &StagedUploads) -> Result<StageEnd, Error> {
        let path = self.job_path(id, JobFileKind::Held);
        let _ = std::fs::remove_file(&path);
        let written = (|| {
            let mut held = JobStage::create(&path, id)?;
            for frame in 0..uploads.stage().frames() {
                let batches = &[uploads.stage().batch(frame)?];
                held.write(&UploadParts { batches, ..UploadParts::default() })?;
            }
            let deletes: Vec<_> =
                uploads.jobs().iter().flat_map(|job| job.deletes.iter().copied()).collect();
            if !deletes.is_empty() {
                held.write(&UploadParts { deletes: &deletes, ..UploadParts::default() })?;
            }
            held.sync()?;
            Ok(held.end())
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        written
    }

    /// Reads back all that was uploaded to an open or held job; the caller holds its lock. A part
    /// that is missing is an error.
    fn restage(&self, file: &JobFile, job: &JobLock) -> Result<RestagedJob, Error> {
        require_current_format(file)?;
        let mut uploads = StagedUploads::new(&self.folder_of_file());
        file.specs.iter().for_each(|spec| uploads.add(JobInput::new(spec.clone())));
        let new = |scope: &str| {
            let (id, scope) = (Uuid::now_v7(), scope.to_owned());
            JobInput::new(JobSpec { id, scope, ..file.specs[0].clone() })
        };
        let (mut mapped, mut deletes) = (Vec::new(), Vec::new());
        let mut visit = |part| {
            match part {
                UploadPart::Batch(batch) => uploads.append(batch, new)?,
                UploadPart::Mapped(lines) => mapped.extend_from_slice(&lines),
                UploadPart::Deletes(more) => deletes.extend(more),
            }
            Ok(())
        };
        let id = file.id();
        let end = match &file.kept {
            Some(kept) => {
                let ending = if kept.held { JobFileKind::Held } else { JobFileKind::Stage };
                JobStage::open(&self.job_path(id, ending), id)?.parts_to(kept.end(), &mut visit)?;
                kept.end()
            }
            None => {
                let acknowledged = job.record()?.unwrap_or_default().acknowledged;
                let mut stage = JobStage::open(&self.job_path(id, JobFileKind::Stage), id)?;
                stage.parts(acknowledged, &mut visit)?;
                stage.end()
            }
        };
        let named = file.specs.iter().map(|spec| &spec.scope);
        for scope in named {
            let job = uploads.job_mut(scope).expect("BUG: each of them was added");
            job.deletes.clone_from(&deletes);
        }
        if file.specs[0].any_scope {
            // Each is deleted where it lives.
            let owners = self.snapshot()?.scopes_of(&deletes)?;
            for (kind, id) in &deletes {
                let Some(scope) = owners.get(&(*kind, *id)) else { continue };
                if uploads.job_mut(scope).is_none() {
                    uploads.add(new(scope));
                }
                let job = uploads.job_mut(scope).expect("BUG: just added");
                if !job.deletes.contains(&(*kind, *id)) {
                    job.deletes.push((*kind, *id));
                }
            }
        }
        // The order of the specs is the order of the plan.
        uploads.sort_jobs(file.specs.len());
        Ok(RestagedJob { uploads, mapped: mapper::from_lines(&mapped)?, end })
    }

    /// Reads all that is kept of open and held jobs; returns the errors found, in words.
    pub(super) fn check_jobs(&self) -> Result<Vec<String>, Error> {
        let mut problems = Vec::new();
        for file in self.job_files()? {
            let open = matches!(file.status(), JobStatus::AwaitingUploads | JobStatus::Held);
            if !open || file.earlier {
                continue;
            }
            let id = file.id();
            // Read without locks, so that a check never keeps a collector waiting.
            let read = || -> Result<(), StoreError> {
                let none = &mut |_| Ok(());
                match &file.kept {
                    Some(kept) => {
                        let ending = if kept.held { JobFileKind::Held } else { JobFileKind::Stage };
                        JobStage::open(&self.job_path(id, ending), id)?.parts_to(kept.end(), none)
                    }
                    None => {
                        let acknowledged = self.lock_record(id)?.acknowledged;
                        JobStage::open(&self.job_path(id, JobFileKind::Stage), id)?
                            .parts(acknowledged, none)
                    }
                }
            };
            if let Err(e) = read() {
                // It may have ended meanwhile.
                let now = self.read_job_file(id).ok().flatten();
                if now.is_some_and(|now| now.status() == file.status())
                    && self.stored_report(id)?.is_none()
                {
                    problems.push(format!("job {id}: {e}"));
                }
            }
        }
        Ok(problems)
    }

    pub(super) fn folder_of_file(&self) -> PathBuf {
        folder_of(&self.path).to_owned()
    }

    /// The file that a job is in.
    fn job_file(&self, id: Uuid) -> Result<JobFile, Error> {
        // Nearly always the file of that name; a job that is held with others lies in theirs.
        if let Some(file) = self.read_job_file(id)? {
            return Ok(file);
        }
        let mut files = self.job_files()?.into_iter();
        match files.find(|file| file.specs.iter().any(|spec| spec.id == id)) {
            Some(file) => Ok(file),
            None => match self.stored_report(id)? {
                Some(report) => Err(not_held(id, report.status)),
                None => Err(unknown_job(&id.to_string())),
            },
        }
    }

    fn open_job_file(&self, id: Uuid) -> Result<JobFile, Error> {
        match self.job_file(id) {
            Ok(file) if file.status() == JobStatus::AwaitingUploads => {
                require_current_format(&file)?;
                return Ok(file);
            }
            // It ended, or is in the database by now.
            Ok(_) | Err(Error::Usage(..)) => {
                lock(&self.open).remove(&id);
            }
            Err(e) => return Err(e),
        }
        Err(SyncError::State(format!("job {id} takes no more uploads")).into())
    }
}

/// Refuses a job that an earlier version kept: nothing proves that its files hold all that was
/// acknowledged.
fn require_current_format(file: &JobFile) -> Result<(), Error> {
    match file.earlier {
        false => Ok(()),
        true => Err(Error::usage(
            format!("job {} was begun with an earlier version of tombolo", file.id()),
            format!("abort it with `tombolo job abort {}` and upload again", file.id()),
        )),
    }
}

impl SyncRequest {
    fn job(&self, scope: &str) -> JobInput {
        JobInput::new(JobSpec {
            ignore_duplicates: self.ignore_duplicates,
            one_upload: true,
            partial_types: self.partial_types.clone(),
            allow_deletes: self.allow_deletes,
            ..JobSpec::new(&self.source, self.mode, scope, now())
        })
    }
}

/// The specifications of the jobs.
fn specs(jobs: &[JobInput]) -> Vec<&JobSpec> {
    jobs.iter().map(|job| &job.spec).collect()
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

/// Locks a mutex. A panic elsewhere left the files as they were, so the guarded value is still
/// good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn reports(plan: &SyncPlan, mut change: impl FnMut(&mut JobReport)) -> Vec<JobReport> {
    let mut reports: Vec<JobReport> = plan.jobs.iter().map(|job| job.report.clone()).collect();
    reports.iter_mut().for_each(&mut change);
    reports
}

fn read_report(bytes: &[u8]) -> Result<JobReport, Error> {
    serde_json::from_slice(bytes)
        .map_err(|e| StoreError::corrupt("jobs", &[], &e.to_string()).into())
}

fn was_aborted(id: Uuid) -> Error {
    SyncError::State(format!("job {id} was aborted")).into()
}

fn unknown_job(id: &str) -> Error {
    Error::UnknownJob(id.to_owned())
}

fn not_held(id: Uuid, status: JobStatus) -> Error {
    let state = match status {
        JobStatus::Finished => "is finished",
        JobStatus::Aborted => "was aborted",
        JobStatus::Held => "is held",
        JobStatus::AwaitingUploads => "is open for uploads",
        JobStatus::Refused => "was refused",
    };
    Error::usage(format!("job {id} {state}"), format!("see `tombolo job show {id}`"))
}
