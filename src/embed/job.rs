//! Typed writes: a job that takes drafts of entities and relationships, and is finalized once.

use crate::db::{Database, JobGroup, check_scope, check_source};
use crate::error::Error;
use crate::graph::{DraftEntity, DraftRelationship, InputLocation, ObjectId, ObjectKind};
use crate::sync::{
    BatchBuilder, BatchRules, InputDiagnostic, InputFormat, InputNames, InputSource, JobInput,
    JobReport, JobSpec, StagedUploads, SyncError, SyncMode, check_entity, check_relationship,
    read_inputs,
};
use std::io::Read;

/// Faults after which no more drafts are looked at.
const FAULTS_MAX: usize = 1_000;

/// The options of a job, before anything is uploaded to it.
///
/// A job writes one scope. The upload stands for all of the scope (`DIFF`), unless
/// [`mode`](Self::mode) says otherwise: what is not uploaded is deleted.
///
/// ```
/// use tombolo::{Database, DraftEntity, DraftRelationship, JobStatus};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("graph.redb");
/// let database = Database::options().create(true).open(&path)?;
/// let people = ["alice", "bob"];
/// let report = database
///     .job("okta")
///     .entities([DraftEntity::new("sre", "okta_group", "UserGroup")])?
///     .entities(people.map(|login| {
///         DraftEntity::new(login, "okta_user", "User").property("email", format!("{login}@example.com"))
///     }))?
///     .relationships(people.map(|login| DraftRelationship::new("sre", "HAS", login)))?
///     .finalize()?;
/// assert_eq!(report.status, JobStatus::Finished);
/// assert_eq!((report.entities.created, report.relationships.created), (3, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JobOptions<'d> {
    database: &'d Database,
    spec: JobSpec,
    dry_run: bool,
    same_scope_reject: bool,
}

/// A job that takes objects; nothing of it is seen before [`finalize`](Self::finalize).
pub struct JobWriter<'d> {
    database: &'d Database,
    rules: BatchRules,
    spec: JobSpec,
    uploads: StagedUploads,
    inputs: InputNames,
    dry_run: bool,
}

impl<'d> JobOptions<'d> {
    pub(super) fn new(database: &'d Database, scope: String) -> JobOptions<'d> {
        let started = jiff::Timestamp::now().as_millisecond();
        let spec =
            JobSpec { one_upload: true, ..JobSpec::new("api", SyncMode::Diff, &scope, started) };
        JobOptions { database, spec, dry_run: false, same_scope_reject: false }
    }

    /// Sets what an upload means to what is there; by default [`SyncMode::Diff`].
    pub fn mode(mut self, mode: SyncMode) -> JobOptions<'d> {
        self.spec.mode = mode;
        self
    }

    /// Names the program that writes, by default `api`.
    pub fn source(mut self, source: impl Into<String>) -> JobOptions<'d> {
        self.spec.source = source.into();
        self
    }

    /// Lets the job delete so many objects without being held.
    pub fn allow_deletes(mut self, count: u64) -> JobOptions<'d> {
        self.spec.allow_deletes = Some(count);
        self
    }

    /// Deletes nothing of these types: the upload is incomplete in them.
    pub fn partial_types(
        mut self,
        types: impl IntoIterator<Item = impl Into<String>>,
    ) -> JobOptions<'d> {
        self.spec.partial_types = types.into_iter().map(Into::into).collect();
        self
    }

    /// Takes the last of several objects with one key, which is an error by default.
    pub fn ignore_duplicates(mut self) -> JobOptions<'d> {
        self.spec.ignore_duplicates = true;
        self
    }

    /// Refuses CROSS_SCOPE relationships whose ends lie in one scope.
    pub fn reject_same_scope(mut self) -> JobOptions<'d> {
        self.same_scope_reject = true;
        self
    }

    /// Says what the job would do, and changes nothing.
    pub fn dry_run(mut self) -> JobOptions<'d> {
        self.dry_run = true;
        self
    }

    /// Begins the job.
    ///
    /// # Errors
    ///
    /// A name of the scope that cannot be one, a database that is open for reading only.
    pub fn begin(self) -> Result<JobWriter<'d>, Error> {
        let JobOptions { database, spec, dry_run, same_scope_reject } = self;
        database.check_writable()?;
        check_source(&spec.source, spec.mode)?;
        check_scope(&spec.scope)?;
        let rules = BatchRules {
            mode: spec.mode,
            scope: Some(spec.scope.clone()),
            same_scope_reject,
            digest_seed: database.snapshot()?.meta().digest_seed,
            known: None,
        };
        let mut uploads = StagedUploads::new(&database.folder_of_file());
        uploads.add(JobInput::new(spec.clone()));
        let inputs = InputNames::default();
        Ok(JobWriter { database, rules, spec, uploads, inputs, dry_run })
    }

    /// Begins the job with these entities: [`JobWriter::entities`].
    ///
    /// # Errors
    ///
    /// Those of both.
    pub fn entities<'e>(
        self,
        entities: impl IntoIterator<Item = DraftEntity<'e>>,
    ) -> Result<JobWriter<'d>, Error> {
        self.begin()?.entities(entities)
    }

    /// Begins the job with these relationships: [`JobWriter::relationships`].
    ///
    /// # Errors
    ///
    /// Those of both.
    pub fn relationships<'e>(
        self,
        relationships: impl IntoIterator<Item = DraftRelationship<'e>>,
    ) -> Result<JobWriter<'d>, Error> {
        self.begin()?.relationships(relationships)
    }

    /// Begins the job with lines of JSON: [`JobWriter::ndjson`].
    ///
    /// # Errors
    ///
    /// Those of both.
    pub fn ndjson(
        self,
        name: impl Into<String>,
        lines: impl Read + Send,
    ) -> Result<JobWriter<'d>, Error> {
        self.begin()?.ndjson(name, lines)
    }

    /// Finalizes a job without any object: in DIFF, the scope is empty.
    ///
    /// # Errors
    ///
    /// Those of [`JobWriter::finalize`].
    pub fn finalize(self) -> Result<JobReport, Error> {
        self.begin()?.finalize()
    }
}

impl<'d> JobWriter<'d> {
    /// Takes entities.
    ///
    /// # Errors
    ///
    /// Every entity that the job cannot take, by its key.
    pub fn entities<'e>(
        self,
        entities: impl IntoIterator<Item = DraftEntity<'e>>,
    ) -> Result<JobWriter<'d>, Error> {
        self.pack(entities, |builder, mut draft| {
            draft.place = InputLocation::NOWHERE;
            check_entity(&draft).and_then(|()| builder.push_entity(&draft, None))
        })
    }

    /// Takes relationships. Their ends may be uploaded later, or lie in other scopes.
    ///
    /// # Errors
    ///
    /// Every relationship that the job cannot take, by its key.
    pub fn relationships<'e>(
        self,
        relationships: impl IntoIterator<Item = DraftRelationship<'e>>,
    ) -> Result<JobWriter<'d>, Error> {
        self.pack(relationships, |builder, mut draft| {
            draft.place = InputLocation::NOWHERE;
            check_relationship(&draft).and_then(|()| builder.push_relationship(&draft, None))
        })
    }

    /// Takes NDJSON, one object a line; an object with ends is a relationship. `name` stands for the
    /// input in messages.
    ///
    /// # Errors
    ///
    /// Every line that the job cannot take, by its number and key.
    pub fn ndjson(
        mut self,
        name: impl Into<String>,
        lines: impl Read + Send,
    ) -> Result<JobWriter<'d>, Error> {
        let name = name.into();
        let first = self.inputs.0.len() as u32;
        self.inputs.0.push(name.clone());
        let input = InputSource::new(name, InputFormat::Ndjson, Box::new(lines));
        let (uploads, spec) = (&mut self.uploads, &self.spec);
        read_inputs(&mut [input], first, &self.rules, &|_| {}, |batch| {
            Ok(uploads.append(batch, |_| JobInput::new(spec.clone()))?)
        })?;
        Ok(self)
    }

    /// Deletes an entity of the scope, and with it the relationships that touch it.
    pub fn delete_entity(self, key: &str) -> JobWriter<'d> {
        self.delete(ObjectKind::Entity, key)
    }

    /// Deletes a relationship of the scope.
    pub fn delete_relationship(self, key: &str) -> JobWriter<'d> {
        self.delete(ObjectKind::Relationship, key)
    }

    fn delete(mut self, kind: ObjectKind, key: &str) -> JobWriter<'d> {
        let id = ObjectId::new(kind, &self.spec.scope, key);
        if let Some(job) = self.uploads.job_mut(&self.spec.scope) {
            job.deletes.push((kind, id));
        }
        self
    }

    /// Compares the upload with the graph and writes the differences in one commit.
    ///
    /// The job may come back HELD: it would delete more than its guard lets pass, nothing has
    /// changed, and [`Database::approve`] or [`Database::abort`] decides.
    ///
    /// # Errors
    ///
    /// Objects that contradict each other or the graph, and errors of the file. Nothing has changed
    /// then.
    pub fn finalize(self) -> Result<JobReport, Error> {
        let reports = self.database.run(&JobGroup {
            same_scope_reject: self.rules.same_scope_reject,
            ..JobGroup::new(&self.uploads, &self.inputs, self.dry_run)
        })?;
        Ok(reports.into_iter().next().expect("BUG: one job has one report"))
    }

    /// Packs drafts into batches.
    fn pack<D>(
        mut self,
        drafts: impl IntoIterator<Item = D>,
        mut push: impl FnMut(&mut BatchBuilder<'_>, D) -> Result<(), InputDiagnostic>,
    ) -> Result<JobWriter<'d>, Error> {
        let (uploads, spec) = (&mut self.uploads, &self.spec);
        let mut faults = Vec::new();
        let mut builder = BatchBuilder::new(&self.rules);
        for draft in drafts {
            faults.extend(push(&mut builder, draft).err());
            if faults.len() >= FAULTS_MAX {
                break;
            }
            if let Some(full) = builder.take_full().filter(|_| faults.is_empty()) {
                uploads.append(full, |_| JobInput::new(spec.clone()))?;
            }
        }
        if !faults.is_empty() {
            // Drafts of a program have no place in a file, so keys alone name them.
            return Err(SyncError::faults(&InputNames::default(), faults).into());
        }
        uploads.append(builder.finish(), |_| JobInput::new(spec.clone()))?;
        Ok(self)
    }
}
