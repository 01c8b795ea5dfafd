//! `finalize`: what was uploaded to an open job is read back from its stage, planned and applied.

use super::super::job_files::{JobFile, JobFileKind};
use super::super::{Database, Error, MappedRelationship, RightSet, mapper};
use super::run::JobGroup;
use super::{require_current_format, specs, was_aborted};
use crate::store::Snapshot;
use crate::store::job_lock::{JobLock, StageEnd};
use crate::store::job_stage::{JobStage, UploadPart};
use crate::sync::{InputNames, JobInput, JobReport, JobSpec, JobStatus, StagedUploads};
use uuid::Uuid;

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

/// The uploads of a job, read back from its stage.
pub(super) struct RestagedJob {
    pub(super) uploads: StagedUploads,
    pub(super) mapped: Vec<MappedRelationship>,
    pub(super) end: StageEnd,
    /// True if objects of the graph were looked up.
    pub(super) searched: bool,
}

impl Database {
    /// Finalizes an open job. Called again, it returns the stored report.
    #[doc(hidden)]
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
    #[doc(hidden)]
    pub fn finalize_as(
        &self,
        id: Uuid,
        request: &FinalizeRequest,
        rights: &RightSet,
    ) -> Result<JobReport, Error> {
        let stored = || match self.stored_report(id)? {
            Some(report) if report.status == JobStatus::Aborted => Err(was_aborted(id)),
            Some(report) => Ok(Some(self.whole_report(report)?)),
            None => Ok(None),
        };
        // Asked before the lock: a repeated call of a job that has ended waits for nobody.
        if let Some(report) = stored()? {
            return Ok(report);
        }
        if let Err(unknown) = self.job_file(id) {
            // It may have been taken into the database in between.
            return stored()?.ok_or(unknown);
        }
        let slot = self.slot(id);
        let mut slot = slot.lock();
        let job = self.lock_job(id)?;
        if let Some(report) = stored()? {
            // Another call was faster, and may have ended before it removed the files.
            self.forget_job(id);
            *slot = None;
            return Ok(report);
        }
        let mut file = self.job_file(id)?;
        if file.status() != JobStatus::AwaitingUploads {
            *slot = None;
        }
        match file.status() {
            JobStatus::Finished => return self.whole_report(file.reports.remove(0)),
            JobStatus::Held => return Ok(one_report(file.reports)),
            JobStatus::Aborted | JobStatus::Refused => return Err(was_aborted(id)),
            JobStatus::AwaitingUploads => {}
        }
        file.specs[0].partial_types.clone_from(&request.partial_types);
        file.specs[0].allow_deletes = request.allow_deletes;
        rights.allow_override(&file.specs[0].scope, request.allow_deletes)?;
        let inputs = InputNames(file.inputs.clone());
        let reports = self.plan_until_applied(|attempt| {
            let snapshot = attempt.snapshot()?;
            let mut read = self.restage(&file, &job, &snapshot)?;
            rights.allow_jobs(&specs(read.uploads.jobs()))?;
            // Only now is it known in which scopes the named deletions lie.
            file.deleters.iter().try_for_each(|who| who.allow_deletes(read.uploads.jobs()))?;
            rights.allow_mapping(read.mapped.len())?;
            let searched = self.add_mapped_job(&mut read.uploads, &read.mapped, &snapshot)?;
            // What was looked up in this state has to be planned on it.
            let made_at = (read.searched || searched).then_some(snapshot.meta().revision);
            drop(snapshot);
            if !request.dry_run {
                // Before the commit: after a crash, the next call then asks the database whether
                // the job has ended.
                job.set_finalizing()?;
            }
            attempt.run(&JobGroup {
                same_scope_reject: file.same_scope_reject,
                stage: Some(read.end),
                rights: Some(rights),
                made_at,
                ..JobGroup::new(&read.uploads, &inputs, request.dry_run)
            })
        })?;
        if !request.dry_run {
            *slot = None;
        }
        Ok(one_report(reports))
    }

    /// The report of a job that has ended, as its first finalize gave it: together with those of
    /// the other scopes that its rows named.
    fn whole_report(&self, report: JobReport) -> Result<JobReport, Error> {
        if !report.any_scope {
            return Ok(report);
        }
        let together = |other: &JobReport| {
            let of = |report: &JobReport| (report.start_timestamp, report.end_timestamp);
            other.id != report.id
                && other.any_scope
                && of(other) == of(&report)
                && other.plan_hash == report.plan_hash
        };
        let mut others: Vec<JobReport> = self.jobs()?.into_iter().filter(together).collect();
        others.sort_by(|a, b| a.scope.cmp(&b.scope));
        others.insert(0, report);
        Ok(one_report(others))
    }

    /// Reads back all that was uploaded to an open or held job; the caller holds its lock. A part
    /// that is missing is an error. Where objects to be deleted live is looked up in `snapshot`.
    pub(super) fn restage(
        &self,
        file: &JobFile,
        job: &JobLock,
        snapshot: &Snapshot,
    ) -> Result<RestagedJob, Error> {
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
        // Nobody names an object of a mapped scope: its job is made anew from the mappings.
        for spec in file.specs.iter().filter(|spec| spec.mapped_for.is_none()) {
            let job = uploads.job_mut(&spec.scope).expect("BUG: each of them was added");
            job.deletes.clone_from(&deletes);
        }
        let searched = file.specs[0].any_scope && !deletes.is_empty();
        if searched {
            // Each is deleted where it lives.
            let owners = snapshot.scopes_of(&deletes)?;
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
        Ok(RestagedJob { uploads, mapped: mapper::from_lines(&mapped)?, end, searched })
    }
}

/// The report of a job. One whose rows name their scopes ran as one job a scope; its caller sees a
/// single job.
fn one_report(mut reports: Vec<JobReport>) -> JobReport {
    let mut report = reports.remove(0);
    for other in reports.iter().filter(|_| report.any_scope) {
        report.entities.add(&other.entities);
        report.relationships.add(&other.relationships);
        report.skipped.extend_from_slice(&other.skipped);
        report.skipped_total += other.skipped_total;
        report.skipped_left_out += other.skipped_left_out;
    }
    report
}
