//! Jobs: `sync` in one go, jobs that stay open between calls, held plans.
//!
//! Open and held jobs, and the reports of jobs that changed nothing, are files in the folder
//! `<database>.jobs`: a job then costs the database file nothing until it changes the graph. The
//! next commit takes finished reports into the database.
//!
//! ```text
//!   <id>.json    the job, its state and its report
//!   <id>.stage   what was uploaded to it, while it is open or held
//! ```

use super::{Database, Error, io, now};
use crate::graph::{GraphRead, Kind, Names, ObjectId};
use crate::store::staging::{Batch, DurableStage};
use crate::store::{Snapshot, StoreError, Writer};
use crate::sync::{
    BatchRules, Format, Input, Inputs, JobInput, JobReport, JobSpec, Known, Mode, Plan, Status,
    SyncError, Uploads, apply, job_row, plan, read_inputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// What `sync` is asked to do.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// The scope to write; `None` makes one job of each `_scope` in the rows.
    pub scope: Option<String>,
    /// Mode of the jobs.
    pub mode: Mode,
    /// `source`, e.g. `api`.
    pub source: String,
    /// Only say what would happen.
    pub dry_run: bool,
    /// With a repeated key the latest object wins.
    pub ignore_duplicates: bool,
    /// Lets the guard pass so many deletions.
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
    pub mode: Mode,
    /// The scope to write.
    pub scope: String,
    /// With a repeated key the latest object wins.
    pub ignore_duplicates: bool,
    /// Each row names its scope, as only a PATCH may; `scope` is then the job's in name only.
    pub any_scope: bool,
}

/// How a job is finalized.
#[derive(Clone, Debug, Default)]
pub struct FinalizeRequest {
    /// Delete nothing of these types.
    pub partial_types: Vec<String>,
    /// Lets the guard pass so many deletions.
    pub allow_deletes: Option<u64>,
    /// Only say what would happen; the job stays open.
    pub dry_run: bool,
}

/// Single objects of one scope to be made, changed or deleted in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// The scope to write.
    pub scope: String,
    /// `source` of the job, e.g. `api`.
    pub source: String,
    /// A JSON document with `entities` and `relationships`, as an upload has them.
    pub objects: String,
    /// What is deleted.
    pub deletes: Vec<(Kind, ObjectId)>,
}

/// Open jobs by id. The lock of a job is held while it is appended to or finalized, so that
/// uploads to one job do not wait for the finalize of another.
pub(super) type OpenJobs = Mutex<HashMap<Uuid, Arc<Mutex<Option<OpenStage>>>>>;

/// Where the reports of finished jobs stand in the database, as far as it was read.
#[derive(Default)]
pub(super) struct StoredJobs {
    /// The first sequence number that was not read.
    next: u32,
    sequences: HashMap<Uuid, u32>,
}

/// The stage of an open job, kept so that an upload need not read all earlier ones.
pub(super) struct OpenStage {
    stage: DurableStage,
    /// Length of its file after the last append: another length means another writer.
    length: u64,
    /// Entities and relationships in it, repetitions included.
    objects: (u64, u64),
}

impl OpenStage {
    fn count(&mut self, batch: &Batch) {
        self.objects.0 += batch.entities.len() as u64;
        self.objects.1 += batch.relationships.len() as u64;
    }

    fn counted(&self, mut file: JobFile) -> JobReport {
        let mut report = file.reports.remove(0);
        (report.entities.uploaded, report.relationships.uploaded) = self.objects;
        report
    }
}

/// The state of a job that is not in the database file.
#[derive(Serialize, Deserialize)]
struct JobFile {
    specs: Vec<JobSpec>,
    reports: Vec<JobReport>,
    inputs: Vec<String>,
    same_scope_reject: bool,
    /// What the uploads name for deletion.
    #[serde(default)]
    deletes: Vec<(Kind, ObjectId)>,
}

impl JobFile {
    fn new(specs: Vec<JobSpec>, reports: Vec<JobReport>) -> JobFile {
        JobFile {
            specs,
            reports,
            inputs: Vec::new(),
            same_scope_reject: false,
            deletes: Vec::new(),
        }
    }

    fn status(&self) -> Status {
        self.reports[0].status
    }
}

fn check_source(source: &str, mode: Mode) -> Result<(), Error> {
    if mode == Mode::CrossScope && source != "api" {
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
        inputs: &mut [Input<'_>],
        progress: &dyn Fn(u64),
    ) -> Result<Vec<JobReport>, Error> {
        self.sync_knowing(request, inputs, None, progress)
    }

    /// The same for inputs that can be read twice, which `open` gives anew each time: lines that
    /// the scope knows already are passed over, so that an upload costs what is new in it.
    pub fn sync_again<'i>(
        &self,
        request: &SyncRequest,
        open: &dyn Fn() -> Vec<Input<'i>>,
        progress: &dyn Fn(u64),
    ) -> Result<Vec<JobReport>, Error> {
        let mut inputs = open();
        let lines = inputs.iter().all(|input| input.format == Format::Ndjson);
        let may_know = lines && request.mode.deletes() && !request.same_scope_reject;
        let known = match &request.scope {
            Some(scope) if may_know => Known::read(&self.snapshot()?, scope)?,
            _ => None,
        };
        if let Some(known) = known {
            match self.sync_knowing(request, &mut inputs, Some(known), progress) {
                Err(Error::Sync(SyncError::Reread)) => inputs = open(),
                done => return done,
            }
        }
        self.sync_knowing(request, &mut inputs, None, progress)
    }

    fn sync_knowing(
        &self,
        request: &SyncRequest,
        inputs: &mut [Input<'_>],
        known: Option<Known>,
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
        let mut uploads = Uploads::new(&self.folder_of_file());
        if let Some(scope) = &request.scope {
            uploads.add(JobInput { known, ..request.job(scope) });
        }
        let names = Inputs(inputs.iter().map(|input| input.name.clone()).collect());
        read_inputs(inputs, 0, &rules, progress, |batch| {
            Ok(uploads.append(batch, |scope| request.job(scope))?)
        })?;
        if uploads.jobs().is_empty() {
            return Err(Error::usage(
                "the input is empty, so there is no scope to write",
                "name the scope with --scope",
            ));
        }
        uploads.sort_jobs(0);
        self.run(&uploads, &names, request.dry_run, request.same_scope_reject)
    }

    /// Opens a job that takes uploads over several calls, also of several processes.
    pub fn create_job(&self, request: &JobRequest) -> Result<Uuid, Error> {
        check_source(&request.source, request.mode)?;
        check_scope(&request.scope)?;
        let spec = JobSpec {
            id: request.id.unwrap_or_else(Uuid::now_v7),
            ignore_duplicates: request.ignore_duplicates,
            any_scope: request.any_scope && request.mode == Mode::Patch,
            ..JobSpec::new(&request.source, request.mode, &request.scope, now())
        };
        let id = spec.id;
        let report = spec.report(Status::AwaitingUploads);
        self.make_folder()?;
        let slot = self.slot(id);
        let _slot = lock(&slot);
        if self.job_path(id).exists() || self.stored_report(id)?.is_some() {
            return Err(Error::usage(format!("there is a job {id} already"), "leave the id out"));
        }
        // A crash can leave a stage without the job that it was made for.
        let _ = std::fs::remove_file(self.stage_path(id));
        DurableStage::create(&self.stage_path(id))?;
        let mut file = JobFile::new(vec![spec], vec![report]);
        file.inputs.push("an upload".to_owned());
        self.put_job_file(&file)?;
        Ok(id)
    }

    /// Adds an upload to an open job; when this returns it is on disk. An upload that repeats an
    /// earlier one whole is a retry and counts once. Returns what was uploaded so far.
    ///
    /// # Errors
    ///
    /// Every object that cannot be taken, with nothing of the upload kept; a job that is not open.
    pub fn upload(&self, id: Uuid, input: Input<'_>) -> Result<JobReport, Error> {
        self.upload_with(id, input, &[], &mut |_| true)
    }

    /// The same with mapped relationships, which passed [`super::check_mapped`]. Where each object
    /// names its own scope, nothing is kept unless `may` allows them all.
    pub fn upload_with(
        &self,
        id: Uuid,
        input: Input<'_>,
        mapped: &[super::MappedRelationship],
        may: &mut dyn FnMut(&str) -> bool,
    ) -> Result<JobReport, Error> {
        let slot = self.slot(id);
        let rules = {
            let _slot = lock(&slot);
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
        let mut slot = lock(&slot);
        let file = self.open_job_file(id)?;
        let open = self.open_stage(id, &mut slot)?;
        open.stage.append(&batches)?;
        open.length = open.stage.bytes()?;
        batches.iter().for_each(|batch| open.count(batch));
        if !mapped.is_empty() {
            self.append_mapped(id, mapped)?;
            open.objects.1 += mapped.len() as u64;
        }
        Ok(open.counted(file))
    }

    /// A job that is open, with what was uploaded to it so far.
    pub fn open_job(&self, id: Uuid) -> Result<JobReport, Error> {
        let slot = self.slot(id);
        let mut slot = lock(&slot);
        let file = self.open_job_file(id)?;
        Ok(self.open_stage(id, &mut slot)?.counted(file))
    }

    /// Names objects for deletion when the job is finalized; when this returns it is on disk.
    pub fn upload_deletes(&self, id: Uuid, deletes: &[(Kind, ObjectId)]) -> Result<(), Error> {
        let slot = self.slot(id);
        let _slot = lock(&slot);
        let mut file = self.open_job_file(id)?;
        file.deletes.extend_from_slice(deletes);
        self.put_job_file(&file)
    }

    /// The lock of a job and what is kept of it.
    fn slot(&self, id: Uuid) -> Arc<Mutex<Option<OpenStage>>> {
        let mut open = lock(&self.open);
        Arc::clone(open.entry(id).or_default())
    }

    fn open_stage<'s>(
        &self,
        id: Uuid,
        slot: &'s mut Option<OpenStage>,
    ) -> Result<&'s mut OpenStage, Error> {
        if slot.is_none() && self.stored_report(id)?.is_some() {
            // A crash came between the commit and the end of its files.
            self.forget_job(id);
            lock(&self.open).remove(&id);
            return Err(SyncError::State(format!("job {id} takes no more uploads")).into());
        }
        let path = self.stage_path(id);
        let length = std::fs::metadata(&path).map_err(io)?.len();
        if slot.as_ref().is_none_or(|open| open.length != length) {
            let stage = DurableStage::open(&path)?;
            let mut open = OpenStage { length: stage.bytes()?, stage, objects: (0, 0) };
            let mut all = (0, 0);
            open.stage.batches(|batch| {
                all.0 += batch.entities.len() as u64;
                all.1 += batch.relationships.len() as u64;
                Ok(())
            })?;
            all.1 += self.mapped_of(id)?.len() as u64;
            open.objects = all;
            *slot = Some(open);
        }
        Ok(slot.as_mut().expect("BUG: it was just filled"))
    }

    /// Finalizes an open job. Called again, it returns the stored report.
    pub fn finalize(&self, id: Uuid, request: &FinalizeRequest) -> Result<JobReport, Error> {
        let slot = self.slot(id);
        let mut slot = lock(&slot);
        if let Some(report) = self.stored_report(id)? {
            lock(&self.open).remove(&id);
            return match report.status {
                Status::Aborted => Err(was_aborted(id)),
                _ => Ok(report),
            };
        }
        let mut file = self.job_file(id)?;
        match file.status() {
            Status::Finished | Status::Held => {
                lock(&self.open).remove(&id);
                return Ok(file.reports.remove(0));
            }
            Status::Aborted | Status::Refused => return Err(was_aborted(id)),
            Status::AwaitingUploads => {}
        }
        file.specs[0].partial_types.clone_from(&request.partial_types);
        file.specs[0].allow_deletes = request.allow_deletes;
        let mut uploads = self.restage(&file)?;
        self.add_mapped_job(&mut uploads, &self.mapped_of(id)?)?;
        let inputs = Inputs(file.inputs.clone());
        let mut reports = self.run(&uploads, &inputs, request.dry_run, file.same_scope_reject)?;
        if !request.dry_run {
            *slot = None;
            lock(&self.open).remove(&id);
        }
        let mut report = reports.remove(0);
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
    pub fn edit(&self, edit: &Edit) -> Result<JobReport, Error> {
        check_scope(&edit.scope)?;
        let spec = JobSpec {
            one_upload: true,
            ..JobSpec::new(&edit.source, Mode::CreateOrUpdate, &edit.scope, now())
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
        let mut uploads = Uploads::new(&self.folder_of_file());
        uploads.add(job);
        let input = Input {
            name: "the request".to_owned(),
            format: Format::Json,
            reader: Box::new(edit.objects.as_bytes()),
        };
        let names = Inputs(vec![input.name.clone()]);
        if !edit.objects.is_empty() {
            read_inputs(&mut [input], 0, &rules, &|_| {}, |batch| {
                Ok(uploads.append(batch, |_| JobInput::new(spec.clone()))?)
            })?;
        }
        let dry = self.run(&uploads, &names, true, false)?;
        if let Some(skipped) = dry.iter().find_map(|report| report.skipped.first()) {
            return Err(SyncError::Faults(vec![format!(
                "_key `{}`: {}",
                skipped.key, skipped.reason
            )])
            .into());
        }
        let done = self.run(&uploads, &names, false, false)?;
        Ok(done.into_iter().next().expect("BUG: one job has one report"))
    }

    /// Applies exactly the plan of a held job, and of those held with it.
    ///
    /// # Errors
    ///
    /// A usage error if the graph moved on, so that the plan would now be another one.
    pub fn approve(&self, id: &str) -> Result<Vec<JobReport>, Error> {
        let id = self.resolve_job(id)?;
        // Whoever aborts it meanwhile waits, and is told how it ended.
        let slot = self.slot(self.job_file(id)?.specs[0].id);
        let _slot = lock(&slot);
        let file = self.job_file(id)?;
        if file.status() != Status::Held {
            return Err(not_held(id, file.status()));
        }
        let uploads = self.restage(&file)?;
        let inputs = Inputs(file.inputs.clone());
        let _turn = self.turn();
        let snapshot = self.snapshot()?;
        let mut plan = plan(&snapshot, &uploads, &inputs, false)?;
        if plan.hash != file.reports[0].plan_hash {
            return Err(Error::usage(
                format!("the graph moved on since job {id} was held, so its plan is another now"),
                format!("abort it with `tombolo job abort {id}` and sync again"),
            ));
        }
        let reports = self.commit(&mut plan, &uploads)?;
        self.forget(&file);
        Ok(reports)
    }

    /// Gives up an open or held job, and those held with it.
    pub fn abort(&self, id: &str) -> Result<JobReport, Error> {
        self.abort_as(id, false)
    }

    /// The same, saying whether it is for a collector that is set up wrongly.
    pub fn abort_as(&self, id: &str, invalid_configuration: bool) -> Result<JobReport, Error> {
        let id = self.resolve_job(id)?;
        let slot = self.slot(id);
        let mut slot = lock(&slot);
        let mut file = self.job_file(id)?;
        if !matches!(file.status(), Status::Held | Status::AwaitingUploads) {
            return Err(not_held(id, file.status()));
        }
        for report in &mut file.reports {
            report.status = Status::Aborted;
            report.invalid_configuration = invalid_configuration;
            report.held = None;
            report.end_timestamp = Some(now());
        }
        *slot = None;
        match self.put_job_file(&file) {
            // On a full disk what the job held makes room for the word that it is gone.
            Err(Error::Store(StoreError::Io(e))) if e.kind() == std::io::ErrorKind::StorageFull => {
                let _ = std::fs::remove_file(self.stage_path(file.specs[0].id));
                self.forget_mapped(id);
                self.put_job_file(&file)?;
            }
            result => result?,
        }
        lock(&self.open).remove(&id);
        let _ = std::fs::remove_file(self.stage_path(file.specs[0].id));
        self.forget_mapped(id);
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
        if let Ok(file) = self.job_file(id)
            && let Some(report) = file.reports.into_iter().find(|report| report.id == id)
        {
            return Ok(report);
        }
        self.stored_report(id)?.ok_or_else(|| unknown_job(&id.to_string()))
    }

    /// The sequence number and id of a stored job.
    pub(super) fn stored_job(&self, id: Uuid) -> Result<Option<(u32, JobReport)>, Error> {
        let snapshot = self.snapshot()?;
        let mut stored = lock(&self.stored);
        let next = snapshot.meta().next_job;
        if next < stored.next {
            *stored = StoredJobs::default();
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
    fn run(
        &self,
        uploads: &Uploads,
        inputs: &Inputs,
        dry_run: bool,
        same_scope_reject: bool,
    ) -> Result<Vec<JobReport>, Error> {
        let _turn = self.turn();
        // Another process may commit between plan and write; then the plan is made again.
        for last_try in [false, true] {
            let snapshot = self.snapshot()?;
            let mut plan = plan(&snapshot, uploads, inputs, true)?;
            drop(snapshot);
            if dry_run {
                return Ok(reports(&plan, |report| report.dry_run = true));
            }
            if plan.is_refused() {
                return Ok(reports(&plan, |_| {}));
            }
            if plan.is_held() {
                if uploads.jobs().iter().any(|job| job.known.is_some()) {
                    // What is held has to be kept whole.
                    return Err(SyncError::Reread.into());
                }
                return self.hold(plan, uploads, inputs, same_scope_reject);
            }
            if plan.is_empty() {
                return self.finish_quietly(&plan);
            }
            match self.commit(&mut plan, uploads) {
                Err(Error::Store(StoreError::Changed)) if !last_try => {}
                result => {
                    let reports = result?;
                    for job in &plan.jobs {
                        self.forget_job(job.spec.id);
                    }
                    return Ok(reports);
                }
            }
        }
        Err(StoreError::Changed.into())
    }

    pub(super) fn commit(
        &self,
        plan: &mut Plan,
        uploads: &Uploads,
    ) -> Result<Vec<JobReport>, Error> {
        let now = now();
        self.write(plan.revision, |writer, _| {
            apply(plan, uploads, writer, now)?;
            uploads.stage().free();
            Ok(())
        })?;
        Ok(reports(plan, |report| report.end_timestamp = Some(now)))
    }

    /// A job that changes nothing leaves the database file alone; its report waits beside it.
    pub(super) fn finish_quietly(&self, plan: &Plan) -> Result<Vec<JobReport>, Error> {
        let now = now();
        let reports = reports(plan, |report| report.end_timestamp = Some(now));
        self.make_folder()?;
        for (job, report) in plan.jobs.iter().zip(&reports) {
            let file = JobFile::new(vec![job.spec.clone()], vec![report.clone()]);
            self.put_job_file(&file)?;
            let _ = std::fs::remove_file(self.stage_path(job.spec.id));
            self.forget_mapped(job.spec.id);
        }
        Ok(reports)
    }

    /// Keeps a job that the guard refused, with all that was uploaded to it.
    fn hold(
        &self,
        plan: Plan,
        uploads: &Uploads,
        inputs: &Inputs,
        same_scope_reject: bool,
    ) -> Result<Vec<JobReport>, Error> {
        self.make_folder()?;
        let id = plan.jobs[0].spec.id;
        let path = self.stage_path(id);
        if !path.exists() || uploads.jobs().len() > 1 {
            // Beside the uploads also what their mapped relationships became, which is what is
            // approved. It takes the place of the uploads whole.
            let new = path.with_extension("held");
            let _ = std::fs::remove_file(&new);
            let mut kept = DurableStage::create(&new)?;
            for frame in 0..uploads.stage().frames() {
                kept.append(&[uploads.stage().batch(frame)?])?;
            }
            std::fs::rename(&new, &path).map_err(io)?;
            crate::store::sync_folder(&self.jobs_folder())?;
        }
        let reports = reports(&plan, |_| {});
        let specs = plan.jobs.into_iter().map(|job| job.spec).collect();
        let inputs = inputs.0.clone();
        let deletes = uploads.jobs().iter().flat_map(|job| job.deletes.iter().copied()).collect();
        let reports_kept = reports.clone();
        self.put_job_file(&JobFile {
            specs,
            reports: reports_kept,
            inputs,
            same_scope_reject,
            deletes,
        })?;
        Ok(reports)
    }

    /// Reads back what was uploaded to an open or held job.
    fn restage(&self, file: &JobFile) -> Result<Uploads, Error> {
        let mut uploads = Uploads::new(&self.folder_of_file());
        for spec in &file.specs {
            let mut job = JobInput::new(spec.clone());
            job.deletes.clone_from(&file.deletes);
            uploads.add(job);
        }
        let new = |scope: &str| {
            let (id, scope) = (Uuid::now_v7(), scope.to_owned());
            JobInput::new(JobSpec { id, scope, ..file.specs[0].clone() })
        };
        DurableStage::open(&self.stage_path(file.specs[0].id))?
            .batches(|batch| uploads.append(batch, new))?;
        if file.specs[0].any_scope {
            // Each is deleted where it lives.
            let snapshot = self.snapshot()?;
            for (kind, id) in &file.deletes {
                let Some(scope) = scope_of(&snapshot, *kind, *id)? else { continue };
                if uploads.job_mut(&scope).is_none() {
                    uploads.add(new(&scope));
                }
                let job = uploads.job_mut(&scope).expect("BUG: just added");
                if !job.deletes.contains(&(*kind, *id)) {
                    job.deletes.push((*kind, *id));
                }
            }
        }
        // The order of the specs is the order of the plan.
        uploads.sort_jobs(file.specs.len());
        Ok(uploads)
    }

    /// What open and held jobs take on disk: how many uploads wait, and their bytes.
    pub fn staged(&self) -> Result<(u64, u64), Error> {
        let entries = match std::fs::read_dir(self.jobs_folder()) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((0, 0)),
            Err(e) => return Err(io(e)),
        };
        let mut staged = (0, 0);
        for entry in entries {
            let entry = entry.map_err(io)?;
            if entry.path().extension().is_some_and(|e| e == "stage") {
                // A job that ends in between takes nothing any more.
                staged.0 += 1;
                staged.1 += entry.metadata().map_or(0, |metadata| metadata.len());
            }
        }
        Ok(staged)
    }

    pub(super) fn jobs_folder(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".jobs");
        name.into()
    }

    fn make_folder(&self) -> Result<(), Error> {
        std::fs::create_dir_all(self.jobs_folder()).map_err(io)
    }

    pub(super) fn folder_of_file(&self) -> PathBuf {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    fn stage_path(&self, id: Uuid) -> PathBuf {
        self.jobs_folder().join(format!("{id}.stage"))
    }

    fn job_path(&self, id: Uuid) -> PathBuf {
        self.jobs_folder().join(format!("{id}.json"))
    }

    fn job_files(&self) -> Result<Vec<JobFile>, Error> {
        let entries = match std::fs::read_dir(self.jobs_folder()) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io(e)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                let bytes = match std::fs::read(&path) {
                    Ok(bytes) => bytes,
                    // It ended in between, and is in the database.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(io(e)),
                };
                let file: JobFile = serde_json::from_slice(&bytes).map_err(|e| {
                    StoreError::Engine(format!("`{}` is damaged: {e}", path.display()))
                })?;
                files.push(file);
            }
        }
        Ok(files)
    }

    fn job_file(&self, id: Uuid) -> Result<JobFile, Error> {
        // Nearly always the file of that name; a job that is held with others lies in theirs.
        if let Ok(bytes) = std::fs::read(self.job_path(id))
            && let Ok(file) = serde_json::from_slice(&bytes)
        {
            return Ok(file);
        }
        let mut files = self.job_files()?.into_iter();
        match files.find(|file| file.specs.iter().any(|spec| spec.id == id)) {
            Some(file) => Ok(file),
            None if self.stored_report(id)?.is_some() => Err(not_held(id, Status::Finished)),
            None => Err(unknown_job(&id.to_string())),
        }
    }

    fn open_job_file(&self, id: Uuid) -> Result<JobFile, Error> {
        match self.job_file(id) {
            Ok(file) if file.status() == Status::AwaitingUploads => return Ok(file),
            // It ended, or is in the database by now.
            Ok(_) | Err(Error::Usage(..)) => {
                lock(&self.open).remove(&id);
            }
            Err(e) => return Err(e),
        }
        Err(SyncError::State(format!("job {id} takes no more uploads")).into())
    }

    /// Writes the state of a job: whole under another name, then renamed.
    fn put_job_file(&self, file: &JobFile) -> Result<(), Error> {
        use std::io::Write;
        let bytes = serde_json::to_vec(file).expect("BUG: a job file is plain JSON");
        let folder = self.jobs_folder();
        let mut temporary = tempfile::NamedTempFile::new_in(&folder).map_err(io)?;
        temporary.write_all(&bytes).map_err(io)?;
        temporary.as_file().sync_data().map_err(io)?;
        temporary.persist(self.job_path(file.specs[0].id)).map_err(|e| io(e.error))?;
        Ok(crate::store::sync_folder(&folder)?)
    }

    fn forget(&self, file: &JobFile) {
        self.forget_job(file.specs[0].id);
    }

    /// Removes the files of a job that is in the database now. What cannot be removed is removed
    /// by `gc`; the stored report goes before it.
    pub(super) fn forget_job(&self, id: Uuid) {
        let _ = std::fs::remove_file(self.job_path(id));
        let _ = std::fs::remove_file(self.stage_path(id));
        self.forget_mapped(id);
    }

    /// Takes the reports of finished jobs into the transaction; gives their jobs. What ends while
    /// it runs waits for the next one.
    pub(super) fn fold_reports(&self, writer: &mut Writer) -> Result<Vec<Uuid>, Error> {
        let mut folded = Vec::new();
        for file in self.job_files()? {
            if !matches!(file.status(), Status::Finished | Status::Aborted) {
                continue;
            }
            for report in &file.reports {
                let sequence = writer.meta.next_job;
                writer.meta.next_job += 1;
                writer.put_job(sequence, &job_row(report))?;
            }
            folded.push(file.specs[0].id);
        }
        Ok(folded)
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

/// The scope that owns an object.
pub fn scope_of(
    snapshot: &Snapshot,
    kind: Kind,
    id: ObjectId,
) -> Result<Option<String>, StoreError> {
    let Some(number) = snapshot.number_of(kind, id)? else { return Ok(None) };
    Ok(snapshot.facts(kind, number)?.map(|facts| snapshot.name(facts.scope).to_owned()))
}

/// The scopes that the objects of a batch are of.
fn scopes_of(batch: &Batch) -> impl Iterator<Item = &str> {
    let entities = batch.entities.iter().map(|entity| entity.scope);
    let relationships = batch.relationships.iter().map(|link| link.object.scope);
    let mut all: Vec<u32> = entities.chain(relationships).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|scope| batch.names[scope as usize].as_str())
}

/// Locks; a panic elsewhere left files as they were, so what a lock guards is still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn reports(plan: &Plan, mut change: impl FnMut(&mut JobReport)) -> Vec<JobReport> {
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

fn not_held(id: Uuid, status: Status) -> Error {
    let state = match status {
        Status::Finished => "is finished",
        Status::Aborted => "was aborted",
        Status::Held => "is held",
        Status::AwaitingUploads => "is open for uploads",
        Status::Refused => "was refused",
    };
    Error::usage(format!("job {id} {state}"), format!("see `tombolo job show {id}`"))
}
