//! Mapping files: planned, looked at, and applied exactly as planned.

use crate::db::{
    ApplyAttempt, Database, GuardOverrides, MappingJob, MappingPlan, RelationshipDetails,
};
use crate::error::Error;
use crate::lang::{Diagnostic, DiagnosticSeverity};
use crate::mapping::{Mapping, ResolveError, ResolvedMapping, load};
use crate::store::Snapshot;
use crate::sync::JobReport;
use std::path::Path;
use std::time::SystemTime;

/// A mapping file that was read and checked.
///
/// ```
/// # use tombolo::{Database, DraftEntity};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("graph.redb");
/// # let database = Database::options().create(true).open(&path)?;
/// # database.job("okta").entities([DraftEntity::new("alice", "okta_user", "User")])?.finalize()?;
/// # database.job("jamf").entities([DraftEntity::new("laptop-001", "laptop", "Device")])?.finalize()?;
/// # let file = folder.path().join("owns.toml");
/// # std::fs::write(&file, r#"
/// # scope        = "okta-jamf"
/// # rows         = { inline = [{ login = "alice", device = "laptop-001" }] }
/// # relationship = { class = "OWNS", type = "user_owns_device" }
/// # from         = { scope = "okta", key = "{row.login}" }
/// # to           = { scope = "jamf", key = "{row.device}" }
/// # "#)?;
/// let plan = database.mapping(&file)?.plan()?;
/// assert_eq!(plan.relationships()?[0].from, "alice");
/// assert_eq!(plan.apply()?.relationships.created, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MappingFile<'d> {
    database: &'d Database,
    mapping: Mapping,
    /// Warnings about the file.
    pub warnings: Vec<Diagnostic>,
}

/// The changes that a mapping file would make, at one revision of the graph.
pub struct MappingFilePlan<'d> {
    database: &'d Database,
    snapshot: Snapshot,
    resolved: ResolvedMapping,
    job: MappingJob,
    plan: MappingPlan,
    /// Warnings that the rows and the graph give.
    pub warnings: Vec<Diagnostic>,
}

impl Database {
    /// Reads and checks a mapping file.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`] with every fault of the file.
    pub fn mapping(&self, path: impl AsRef<Path>) -> Result<MappingFile<'_>, Error> {
        let path = path.as_ref();
        let mut loaded = load(&[path.to_owned()]);
        if loaded.faults.iter().any(is_error) {
            return Err(Error::Mapping(loaded.faults));
        }
        match (loaded.mappings.pop(), loaded.mappings.is_empty()) {
            (Some(mapping), true) => {
                Ok(MappingFile { database: self, mapping, warnings: loaded.faults })
            }
            _ => {
                let what = format!("`{}` is not one mapping file", path.display());
                Err(Error::usage(what, "name the .toml file"))
            }
        }
    }
}

impl<'d> MappingFile<'d> {
    /// The scope that owns its relationships.
    pub fn scope(&self) -> &str {
        &self.mapping.scope
    }

    /// Plans the mapping against the graph as of now.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`] if its rows, its guards or its tests object.
    pub fn plan(&self) -> Result<MappingFilePlan<'d>, Error> {
        self.plan_on(self.database.snapshot()?)
    }

    /// Plans the mapping and applies the plan, again if another process commits in between.
    ///
    /// # Errors
    ///
    /// Those of [`MappingFile::plan`].
    pub fn apply(&self) -> Result<JobReport, Error> {
        let attempt =
            |attempt: ApplyAttempt<'_>| self.plan_on(attempt.snapshot()?)?.apply_in(attempt);
        self.database.plan_until_applied(attempt)
    }

    fn plan_on(&self, snapshot: Snapshot) -> Result<MappingFilePlan<'d>, Error> {
        let (database, mapping) = (self.database, &self.mapping);
        if !mapping.enabled {
            let what = format!("the mapping of `{}` is disabled in its file", mapping.scope);
            return Err(Error::Usage(what, None));
        }
        let mut resolved = mapping.resolve(&snapshot, SystemTime::now()).map_err(|e| match e {
            ResolveError::Graph(e) => Error::from(e),
            ResolveError::Faults(faults) => Error::Mapping(faults),
        })?;
        let mut found = std::mem::take(&mut resolved.warnings);
        let now = jiff::Timestamp::now().as_millisecond();
        found.extend(mapping.refusals(&resolved, |scope| database.last_finalize(scope), now)?);
        let job = MappingJob::of(mapping, &resolved, &GuardOverrides::default());
        let plan = database.plan_mapping(&snapshot, &job, &resolved.drafts)?;
        for refusal in &plan.report.refusals {
            found.push(mapping.refuse_change(&refusal.guard, &refusal.message, &refusal.allow));
        }
        plan.ask_tests(mapping, &snapshot, &mut resolved)?;
        let tests = mapping.promises.iter().zip(&resolved.promises);
        found.extend(tests.filter_map(|(test, outcome)| mapping.test_diagnostic(test, outcome)));
        match found.iter().any(is_error) {
            true => Err(Error::Mapping(found)),
            false => {
                Ok(MappingFilePlan { database, snapshot, resolved, job, plan, warnings: found })
            }
        }
    }
}

impl MappingFilePlan<'_> {
    /// The report of the job as it would be.
    pub fn report(&self) -> &JobReport {
        &self.plan.report
    }

    /// The relationships that would change, with what changes in them.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn relationships(&self) -> Result<Vec<RelationshipDetails>, Error> {
        let changes = self.plan.changes.iter();
        changes.map(|change| change.details(&self.snapshot, &self.resolved.drafts)).collect()
    }

    /// Applies exactly this plan.
    ///
    /// # Errors
    ///
    /// [`Error::Moved`] if the graph changed since; nothing has been written then.
    pub fn apply(self) -> Result<JobReport, Error> {
        let MappingFilePlan { database, snapshot, resolved, job, plan, .. } = self;
        drop(snapshot);
        database.apply_mapping(&job, &resolved.drafts, plan.revision, Some(&plan.hash))
    }

    fn apply_in(self, attempt: ApplyAttempt<'_>) -> Result<JobReport, Error> {
        let MappingFilePlan { snapshot, resolved, job, plan, .. } = self;
        drop(snapshot);
        attempt.apply_mapping(&job, &resolved.drafts, plan.revision, Some(&plan.hash))
    }
}

fn is_error(fault: &Diagnostic) -> bool {
    fault.severity == DiagnosticSeverity::Error
}
