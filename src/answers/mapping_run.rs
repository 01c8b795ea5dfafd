//! Runs of mapping files: each mapping runs as far as it can.
//!
//! A mapping that fails or is refused does not stop the others.

use super::plan_impact::{ImpactComparison, ImpactTargets, compare_impact};
use super::words::CountFormat;
use super::{AnswerAdvice, AnswerError, QuestionContext};
use crate::Error;
use crate::db::{
    Database, MappingFileScope, MappingJob, MappingPlan, PlannedGraph, RelationshipChange,
    RelationshipDetails,
};
use crate::mapping::{
    self, Diagnostic, DiagnosticSeverity, Mapping, ResolveError, ResolvedMapping,
};
use crate::query::{CostMeter, Query, QuestionError, QuestionLimits};
use crate::rules::RuleTable;
use crate::store::{Snapshot, StoreError};
use crate::sync::{JobReport, MappingInfo, RelationshipLimits};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// A choice of mapping files.
#[derive(Clone, Debug, Default)]
pub struct MappingSelection {
    /// Files, folders of them, or scopes of mappings.
    pub paths: Vec<PathBuf>,
    /// The labels that a mapping must all have, by name and value.
    pub labels: Vec<(String, String)>,
}

/// Guards that are set for one run.
#[derive(Clone, Debug, Default)]
pub struct GuardOverrides {
    /// Guards by name, each with its value.
    pub settings: Vec<(String, String)>,
    /// The reason, which is recorded with the job.
    pub reason: Option<String>,
}

/// The mapping files that were read.
pub struct MappingFileSet {
    /// The mappings without an error that were asked for.
    pub mappings: Vec<Mapping>,
    /// The faults of all files.
    pub faults: Vec<Diagnostic>,
    /// Files that cannot run.
    pub broken: Vec<String>,
    /// The number of files read.
    pub files: usize,
    /// The scopes of all files.
    pub scopes: Vec<String>,
    /// True if only mappings with some labels were asked for.
    labelled: bool,
    /// True if a whole folder was asked for.
    folders: bool,
}

impl MappingFileSet {
    /// Returns the number of faults of this severity.
    pub fn count(&self, severity: DiagnosticSeverity) -> u64 {
        self.faults.iter().filter(|fault| fault.severity == severity).count() as u64
    }

    /// Reads the mapping files of a selection.
    pub fn load(selection: &MappingSelection) -> MappingFileSet {
        let loaded = mapping::load(&selection.paths);
        let fits = |mapping: &Mapping| selection.labels.iter().all(|l| mapping.labels.contains(l));
        let errors =
            loaded.faults.iter().filter(|fault| fault.severity == DiagnosticSeverity::Error);
        let mut broken: Vec<String> = errors.map(|fault| fault.source.file.clone()).collect();
        broken.sort();
        broken.dedup();
        MappingFileSet {
            mappings: loaded.mappings.into_iter().filter(fits).collect(),
            faults: loaded.faults,
            broken,
            files: loaded.files,
            scopes: loaded.scopes,
            labelled: !selection.labels.is_empty(),
            folders: selection.paths.iter().any(|path| path.is_dir()),
        }
    }

    /// Fails if no mapping is left that can run.
    ///
    /// # Errors
    ///
    /// The lack of a mapping, or the errors of each.
    pub fn check(&self, counts: CountFormat) -> Result<(), AnswerError> {
        if !self.mappings.is_empty() {
            return Ok(());
        }
        if self.broken.is_empty() {
            let error = AnswerError::not_found(match self.labelled {
                false => "no mapping file found",
                true => "no mapping has these labels",
            });
            return Err(error.advise(AnswerAdvice::WriteMapping));
        }
        let errors = counts.counted(self.count(DiagnosticSeverity::Error), "error", "errors");
        let error = AnswerError::invalid(format!("{errors} in mapping files"));
        Err(error.advise(AnswerAdvice::CheckMappings))
    }

    /// True if a folder was asked for in which there is no mapping file yet.
    pub fn waits(&self) -> bool {
        self.folders && self.files == 0 && !self.labelled && self.broken.is_empty()
    }

    /// Sets the guards of a run. They loosen what protects one mapping, so one has to be named.
    ///
    /// # Errors
    ///
    /// Several mappings at once, an unknown guard, or a wrong value.
    pub fn set_overrides(&mut self, overrides: &GuardOverrides) -> Result<(), AnswerError> {
        if overrides.settings.is_empty() {
            return Ok(());
        }
        let [mapping] = self.mappings.as_mut_slice() else {
            let message = "--override sets a guard of one mapping, and several are asked for";
            return Err(AnswerError::invalid(message).advise(AnswerAdvice::NameOneMapping));
        };
        for (name, value) in &overrides.settings {
            mapping.guard.set(name, value).map_err(AnswerError::invalid)?;
        }
        Ok(())
    }

    /// Returns the scopes whose relationships came from a mapping that has no file any more. The
    /// answer is empty unless a whole folder is planned: a single file says nothing about the others.
    fn unmanaged(&self, database: &Database) -> Result<Vec<MappingFileScope>, AnswerError> {
        if !self.folders {
            return Ok(Vec::new());
        }
        let mut mapped = database.mapped_scopes(&database.snapshot()?)?;
        mapped.retain(|known| !self.scopes.contains(&known.scope));
        Ok(mapped)
    }

    /// Plans all mappings on one snapshot, so that none of them sees the changes of another.
    ///
    /// # Errors
    ///
    /// Any error of reading that is not about one mapping alone.
    pub fn plan(
        self,
        context: &QuestionContext<'_>,
        options: &MappingRunOptions<'_>,
    ) -> Result<MappingRunAnswer, AnswerError> {
        let QuestionContext { database, snapshot, .. } = *context;
        let look = |mapping| preview_mapping(database, snapshot, mapping, options);
        let outcomes: Vec<MappingOutcome> = self.mappings.iter().map(look).collect();
        let unmanaged = self.unmanaged(database)?;
        let broken = self.broken;
        Ok(MappingRunAnswer { outcomes, broken, unmanaged, dry_run: true, impact: None })
    }

    /// Runs all mappings. Each reads the graph anew, since one before it may have changed it.
    ///
    /// # Errors
    ///
    /// Any error of reading that is not about one mapping alone.
    pub fn apply(
        self,
        database: &Database,
        options: &MappingRunOptions<'_>,
    ) -> Result<MappingRunAnswer, AnswerError> {
        let run = |mapping| run(database, mapping, options);
        let outcomes: Vec<MappingOutcome> = self.mappings.iter().map(run).collect();
        let unmanaged = self.unmanaged(database)?;
        let broken = self.broken;
        Ok(MappingRunAnswer { outcomes, broken, unmanaged, dry_run: false, impact: None })
    }
}

/// Everything that one run of mappings found.
pub struct MappingRunAnswer {
    /// The mappings, in the order they ran.
    pub outcomes: Vec<MappingOutcome>,
    /// Files with errors.
    pub broken: Vec<String>,
    /// Scopes without a file.
    pub unmanaged: Vec<MappingFileScope>,
    /// True if nothing was changed.
    pub dry_run: bool,
    /// The changes of blast radius and owners.
    pub impact: Option<ImpactComparison>,
}

impl MappingRunAnswer {
    /// Compares the graph as it is with the graph as planned.
    ///
    /// # Errors
    ///
    /// A name that nothing has, or any error of reading.
    pub fn compare_impact(
        &mut self,
        context: &QuestionContext<'_>,
        targets: &ImpactTargets,
        rules: &RuleTable,
    ) -> Result<(), AnswerError> {
        self.impact = Some(compare_impact(context, &self.outcomes, targets, rules)?);
        Ok(())
    }

    /// True if any mapping would change something.
    pub fn waiting(&self) -> bool {
        let quiet = |outcome: &MappingOutcome| outcome.report().is_none_or(JobReport::is_quiet);
        self.outcomes.iter().any(|outcome| !quiet(outcome))
    }
}

/// The point that a mapping reached.
pub enum MappingState {
    /// It can be applied.
    Ready,
    /// Its file disables it.
    Disabled,
    /// A guard or a test objects.
    Refused,
    /// Its rows or the graph do not allow it.
    Failed,
    /// It was applied.
    Applied(Box<JobReport>),
    /// Something else went wrong.
    Broken(AnswerError),
}

/// The outcome of one mapping.
pub struct MappingOutcome {
    /// The mapping, with the guards of this run.
    pub mapping: Mapping,
    /// Its rows and edges.
    pub resolved: ResolvedMapping,
    /// The planned changes.
    pub plan: Option<MappingPlan>,
    /// Changed edges by name, in the order of rows, creations first, as many as were asked for.
    pub edges: Vec<RelationshipDetails>,
    /// The job, as it would run.
    pub job: MappingJob,
    /// Its faults.
    pub faults: Vec<Diagnostic>,
    /// The point that it reached.
    pub state: MappingState,
    /// The time that it took, in milliseconds.
    pub took: u128,
}

impl MappingOutcome {
    fn new(mapping: Mapping) -> MappingOutcome {
        MappingOutcome {
            mapping,
            resolved: ResolvedMapping::default(),
            plan: None,
            edges: Vec::new(),
            job: MappingJob::default(),
            faults: Vec::new(),
            state: MappingState::Disabled,
            took: 0,
        }
    }

    /// The report of the job, as planned or as applied.
    pub fn report(&self) -> Option<&JobReport> {
        match &self.state {
            MappingState::Applied(report) => Some(report),
            _ => self.plan.as_ref().map(|plan| &plan.report),
        }
    }

    /// Returns the number of relationships that change.
    pub fn changes(&self) -> usize {
        self.plan.as_ref().map_or(0, |plan| plan.changes.len())
    }

    /// True if the outcome keeps the run from ending well.
    pub fn objects(&self) -> bool {
        !matches!(
            self.state,
            MappingState::Ready | MappingState::Disabled | MappingState::Applied(_)
        )
    }
}

/// The options of a run.
pub struct MappingRunOptions<'a> {
    /// Guards that were set.
    pub overrides: &'a GuardOverrides,
    /// The limit on the number of changed relationships that are named.
    pub details: usize,
}

/// Resolves and plans a mapping against a snapshot.
fn preview_mapping(
    database: &Database,
    snapshot: &Snapshot,
    mapping: &Mapping,
    ask: &MappingRunOptions<'_>,
) -> MappingOutcome {
    let begun = Instant::now();
    let mut outcome = MappingOutcome::new(mapping.clone());
    if mapping.enabled {
        outcome.state = match resolve_and_plan(database, snapshot, &mut outcome, ask) {
            Ok(state) => state,
            Err(failure) => MappingState::Broken(failure),
        };
    }
    outcome.took = begun.elapsed().as_millis();
    outcome
}

fn resolve_and_plan(
    database: &Database,
    snapshot: &Snapshot,
    outcome: &mut MappingOutcome,
    ask: &MappingRunOptions<'_>,
) -> Result<MappingState, AnswerError> {
    let mapping = &outcome.mapping;
    match mapping.resolve(snapshot, SystemTime::now()) {
        Ok(resolved) => outcome.resolved = resolved,
        Err(ResolveError::Graph(error)) => return Err(error.into()),
        Err(ResolveError::Faults(faults)) => {
            // A file of rows that is too old is refused; the mapping itself is not wrong.
            let old = faults.iter().all(|fault| fault.code == "M0405");
            outcome.faults = faults;
            return Ok(if old { MappingState::Refused } else { MappingState::Failed });
        }
    }
    outcome.faults.append(&mut outcome.resolved.warnings);
    let now = jiff::Timestamp::now().as_millisecond();
    let refused = mapping.refusals(&outcome.resolved, |scope| database.last_finalize(scope), now);
    outcome.faults.extend(refused?);
    outcome.job = job(mapping, &outcome.resolved, ask.overrides);
    let plan = database.plan_mapping(snapshot, &outcome.job, &outcome.resolved.drafts)?;
    for refusal in &plan.report.refusals {
        let fault = mapping.refuse_change(&refusal.guard, &refusal.message, &refusal.allow);
        outcome.faults.push(fault);
    }
    outcome.edges = edges(snapshot, &plan, &outcome.resolved, ask.details)?;
    let asks = |promise: &mapping::MappingTest| {
        matches!(promise.ask, mapping::TestExpectation::Query { .. })
    };
    let mut planned = PlannedGraph::new(snapshot);
    // The planned graph costs a pass over all changes, and only tests with a query read it.
    if mapping.promises.iter().any(asks) {
        planned.add(&plan, &outcome.resolved.drafts)?;
    }
    for (promise, kept) in mapping.promises.iter().zip(&mut outcome.resolved.promises) {
        if let mapping::TestExpectation::Query { query, .. } = &promise.ask {
            *kept = match query_test_outcome(&promise.ask, query, &planned) {
                Ok(kept) => kept,
                Err(QuestionError::Limit(what)) => {
                    mapping::query_test_outcome(&promise.ask, Err(what.to_string()))
                }
                Err(QuestionError::Read(error)) => return Err(error.into()),
            };
        }
    }
    outcome.plan = Some(plan);
    let promises = mapping.promises.iter().zip(&outcome.resolved.promises);
    outcome.faults.extend(promises.filter_map(|(p, kept)| mapping.test_diagnostic(p, kept)));
    let objects = outcome.faults.iter().any(|fault| fault.severity == DiagnosticSeverity::Error);
    Ok(if objects { MappingState::Refused } else { MappingState::Ready })
}

/// Evaluates a test that asks a query. A test may hold for a wrong reason: a query with a name that
/// nothing has finds nothing. The notes of the query show such a doubt.
fn query_test_outcome(
    ask: &mapping::TestExpectation,
    query: &Query,
    planned: &PlannedGraph<'_>,
) -> Result<mapping::TestOutcome, QuestionError<StoreError>> {
    let meter = CostMeter::new(QuestionLimits::default());
    let (answer, profile) = query.run_metered(planned, &meter)?;
    let kept = mapping::query_test_outcome(ask, Ok(query.rows_of(planned, &meter, &answer)?));
    if !matches!(kept, mapping::TestOutcome::Yes) {
        return Ok(kept);
    }
    let notes = query.notes(planned, &answer, &profile, meter.limits())?;
    let doubt = notes.into_iter().find(|note| note.doubt);
    Ok(doubt.map_or(kept, |note| mapping::TestOutcome::But(note.text)))
}

fn edges(
    snapshot: &Snapshot,
    plan: &MappingPlan,
    resolved: &ResolvedMapping,
    limit: usize,
) -> Result<Vec<RelationshipDetails>, Error> {
    let mut changes = plan.changes.clone();
    // Drafts are numbered in the order of rows, so a change stands where a reader of the rows
    // expects it.
    changes.sort_by_key(|change| (change.action, change.draft, change.number));
    let details = |change: &RelationshipChange| change.details(snapshot, &resolved.drafts);
    changes.iter().take(limit).map(details).collect()
}

fn job(mapping: &Mapping, resolved: &ResolvedMapping, overrides: &GuardOverrides) -> MappingJob {
    let guard = &mapping.guard;
    MappingJob {
        scope: mapping.scope.clone(),
        mapping: MappingInfo {
            file: mapping.file.display().to_string(),
            digest: mapping.digest.clone(),
            sources: resolved.digests.clone(),
            overrides: overrides
                .settings
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            reason: overrides.reason.clone(),
        },
        inputs: resolved.inputs.clone(),
        same_scope_reject: !mapping.same_scope,
        limits: RelationshipLimits {
            min_edges: guard.min_edges,
            max_delete_percent: guard.max_delete_percent,
            max_delete: guard.max_delete,
            max_create: guard.max_create,
        },
    }
}

/// The number of tries. Another process may commit between plan and write; then the mapping is
/// planned again, and the last time other writers are kept out.
const TRIES: usize = 3;

/// Runs a mapping on the graph as it is now, which an earlier one may have changed.
fn run(database: &Database, mapping: &Mapping, ask: &MappingRunOptions<'_>) -> MappingOutcome {
    let begun = Instant::now();
    for left in (0..TRIES).rev() {
        let state = || -> Result<_, Error> {
            let alone = if left == 0 { Some(database.alone()?) } else { None };
            let snapshot = match &alone {
                Some(alone) => database.snapshot_alone(alone)?,
                None => database.snapshot()?,
            };
            Ok((alone, snapshot))
        };
        let (alone, snapshot) = match state() {
            Ok(state) => state,
            Err(error) => {
                let state = MappingState::Broken(error.into());
                return MappingOutcome { state, ..MappingOutcome::new(mapping.clone()) };
            }
        };
        let mut outcome = preview_mapping(database, &snapshot, mapping, ask);
        drop(snapshot);
        if let (MappingState::Ready, Some(plan)) = (&outcome.state, &outcome.plan) {
            let drafts = &outcome.resolved.drafts;
            let hash = Some(plan.hash.as_str());
            let (job, revision) = (&outcome.job, plan.revision);
            let applied = match alone {
                Some(alone) => database.apply_mapping_alone(alone, job, drafts, revision, hash),
                None => database.apply_mapping(job, drafts, revision, hash),
            };
            match applied {
                Ok(report) => outcome.state = MappingState::Applied(Box::new(report)),
                // Another process has committed since the plan, so this plan may no longer fit the
                // graph.
                Err(Error::Moved(..)) if left > 0 => continue,
                Err(error) => outcome.state = MappingState::Broken(error.into()),
            }
        }
        outcome.took = begun.elapsed().as_millis();
        return outcome;
    }
    unreachable!("BUG: the last try returns")
}
