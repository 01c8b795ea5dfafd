//! `edit`: single objects are made, changed or deleted, as a job that succeeds whole or fails.

use super::super::{Database, Error, RightSet, now};
use super::check_scope;
use super::run::JobGroup;
use crate::graph::{ObjectId, ObjectKind};
use crate::sync::{
    BatchRules, InputFormat, InputNames, InputSource, JobInput, JobReport, JobSpec, StagedUploads,
    SyncMode, read_inputs,
};

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

impl Database {
    /// Makes, changes and deletes single objects of a scope in one transaction, as a job of its
    /// own.
    ///
    /// # Errors
    ///
    /// Every object that cannot be taken, and every relationship without live ends; then nothing
    /// has changed.
    #[doc(hidden)]
    pub fn edit(&self, edit: &EditRequest) -> Result<JobReport, Error> {
        self.edit_as(edit, &RightSet::everything())
    }

    /// The same for a caller with these rights.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] as well.
    #[doc(hidden)]
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
        let objects = Box::new(edit.objects.as_bytes());
        let mut input = InputSource::new("the request", InputFormat::Json, objects);
        input.options.paths_only = true;
        let names = InputNames(vec![input.name.clone()]);
        if !edit.objects.is_empty() {
            read_inputs(&mut [input], 0, &rules, &|_| {}, |batch| {
                Ok(uploads.append(batch, |_| JobInput::new(spec.clone()))?)
            })?;
        }
        let done = self.run(&JobGroup {
            rights: Some(rights),
            whole: true,
            ..JobGroup::new(&uploads, &names, false)
        })?;
        Ok(done.into_iter().next().expect("BUG: one job has one report"))
    }
}
