//! `sync`: an upload that is read and finalized in one call.

use super::super::{Database, Error, now};
use super::run::{ChangeVisitor, JobGroup};
use super::{check_scope, check_source};
use crate::sync::{
    BatchRules, InputFormat, InputNames, InputSource, JobInput, JobReport, JobSpec, KnownObjects,
    NestedValues, StagedUploads, SyncError, SyncMode, read_inputs,
};
use std::sync::Arc;

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

impl Database {
    /// Uploads inputs and finalizes them, as one job or as one job a scope, in one transaction.
    ///
    /// Returns the reports, in byte order of the scopes. A job may come back HELD: then nothing
    /// has changed and [`Database::approve`] or [`Database::abort`] decides.
    #[doc(hidden)]
    pub fn sync(
        &self,
        request: &SyncRequest,
        inputs: &mut [InputSource<'_>],
        progress: &dyn Fn(u64),
    ) -> Result<Vec<JobReport>, Error> {
        self.sync_with_known(request, inputs, None, progress)
    }

    /// Says what [`Database::sync`] would do: each change, then the reports.
    #[doc(hidden)]
    pub fn preview_sync(
        &self,
        request: &SyncRequest,
        inputs: &mut [InputSource<'_>],
        visit: &ChangeVisitor<'_>,
    ) -> Result<Vec<JobReport>, Error> {
        let request = SyncRequest { dry_run: true, ..request.clone() };
        self.sync_with(&request, inputs, None, &|_| {}, Some(visit))
    }

    /// The same for inputs that can be read twice; `open` gives them anew each time. Lines that the
    /// scope knows already are passed over, so an upload costs only what is new in it.
    #[doc(hidden)]
    pub fn sync_again<'i>(
        &self,
        request: &SyncRequest,
        open: &dyn Fn() -> Vec<InputSource<'i>>,
        progress: &dyn Fn(u64),
    ) -> Result<Vec<JobReport>, Error> {
        let mut inputs = open();
        // A line whose nested members are moved is not the text of its object.
        let plain = |input: &InputSource<'_>| {
            input.format == InputFormat::Ndjson && input.options.nested == NestedValues::Refuse
        };
        let lines = inputs.iter().all(plain);
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

    pub(super) fn sync_with_known(
        &self,
        request: &SyncRequest,
        inputs: &mut [InputSource<'_>],
        known: Option<KnownObjects>,
        progress: &dyn Fn(u64),
    ) -> Result<Vec<JobReport>, Error> {
        self.sync_with(request, inputs, known, progress, None)
    }

    fn sync_with(
        &self,
        request: &SyncRequest,
        inputs: &mut [InputSource<'_>],
        known: Option<KnownObjects>,
        progress: &dyn Fn(u64),
        details: Option<&ChangeVisitor<'_>>,
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
            details,
            ..JobGroup::new(&uploads, &names, request.dry_run)
        })
    }
}

impl SyncRequest {
    fn job(&self, scope: &str) -> JobInput {
        JobInput::new(JobSpec {
            ignore_duplicates: self.ignore_duplicates,
            one_upload: true,
            partial_types: self.partial_types.clone(),
            allow_deletes: self.allow_deletes,
            scope_of_rows: self.scope.is_none(),
            ..JobSpec::new(&self.source, self.mode, scope, now())
        })
    }
}
