//! Runs of mapping files: each mapping runs as far as it can.
//!
//! A mapping that fails or is refused does not stop the others.

use super::plan_impact::{ImpactComparison, ImpactTargets, compare_impact};
use super::source_run::{
    PlanningGround, SourceRunOutcome, apply_sources, context_of, plan_sources,
};
use super::words::CountFormat;
use super::{AnswerAdvice, AnswerError, ErrorKind, QuestionContext};
use crate::Error;
use crate::db::{
    ApplyAttempt, Database, GuardOverrides, MappingFileScope, MappingJob, MappingPlan,
    RelationshipChange, RelationshipDetails, ScratchDatabase,
};
use crate::mapping::{
    self, Diagnostic, DiagnosticSeverity, LoadedFiles, Mapping, ResolveError, ResolvedMapping,
    SourceFile,
};
use crate::rules::RuleTable;
use crate::store::{ScopeOwner, Snapshot, StoreError};
use crate::sync::JobReport;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// A choice of mapping files.
#[derive(Clone, Debug, Default)]
pub struct MappingSelection {
    /// Files, folders of them, or scopes of mappings.
    pub paths: Vec<PathBuf>,
    /// The labels that a mapping must all have, by name and value.
    pub labels: Vec<(String, String)>,
}

/// The mapping files that were read.
pub struct MappingFileSet {
    /// The mappings without an error that were asked for.
    pub mappings: Vec<Mapping>,
    /// The sources without an error that were asked for.
    pub sources: Vec<SourceFile>,
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
    /// One source alone, such as one that ships with the program.
    pub fn of_source(source: SourceFile) -> MappingFileSet {
        MappingFileSet {
            mappings: Vec::new(),
            sources: vec![source],
            faults: Vec::new(),
            broken: Vec::new(),
            files: 1,
            scopes: Vec::new(),
            labelled: false,
            folders: false,
        }
    }

    /// The sources and mappings of one scope, as they would run alone.
    pub fn only(&self, scope: &str) -> MappingFileSet {
        let mappings = self.mappings.iter().filter(|mapping| mapping.scope == scope);
        let sources = self.sources.iter().filter(|source| source.scope == scope);
        MappingFileSet {
            mappings: mappings.cloned().collect(),
            sources: sources.cloned().collect(),
            faults: Vec::new(),
            broken: Vec::new(),
            files: 1,
            scopes: self.scopes.clone(),
            labelled: false,
            folders: false,
        }
    }

    /// Returns the number of faults of this severity.
    pub fn count(&self, severity: DiagnosticSeverity) -> u64 {
        self.faults.iter().filter(|fault| fault.severity == severity).count() as u64
    }

    /// One file as text, which is checked as if it lay at `path`.
    pub fn of_text(path: &Path, text: &str) -> MappingFileSet {
        MappingFileSet::of_files(mapping::load_text(path, text), &MappingSelection::default())
    }

    /// Reads the mapping files of a selection.
    pub fn load(selection: &MappingSelection) -> MappingFileSet {
        MappingFileSet::of_files(mapping::load(&selection.paths), selection)
    }

    fn of_files(loaded: LoadedFiles, selection: &MappingSelection) -> MappingFileSet {
        let fits =
            |labels: &[(String, String)]| selection.labels.iter().all(|l| labels.contains(l));
        let errors =
            loaded.faults.iter().filter(|fault| fault.severity == DiagnosticSeverity::Error);
        let mut broken: Vec<String> = errors.map(|fault| fault.source.file.clone()).collect();
        broken.sort();
        broken.dedup();
        MappingFileSet {
            mappings: loaded.mappings.into_iter().filter(|file| fits(&file.labels)).collect(),
            sources: loaded.sources.into_iter().filter(|file| fits(&file.labels)).collect(),
            faults: loaded.faults,
            broken,
            files: loaded.files,
            scopes: loaded.scopes,
            labelled: !selection.labels.is_empty(),
            folders: selection.paths.iter().any(|path| path.is_dir()),
        }
    }

    /// Holds the scopes of the files to those of a database: a scope belongs to a collector or to a
    /// bridge. Files with a fault are told, and cannot run.
    ///
    /// # Errors
    ///
    /// Errors of reading.
    pub fn check_owners(&mut self, snapshot: &Snapshot) -> Result<(), AnswerError> {
        let taken = |scope: &str, by: ScopeOwner| -> Result<Option<String>, StoreError> {
            let owner = snapshot.scope_row_of(scope)?.owner();
            Ok(owner.filter(|owner| *owner == by).map(|owner| {
                let (is, wanted) = match owner {
                    ScopeOwner::Collector => ("a collector", "a bridge"),
                    ScopeOwner::Bridge => ("a bridge", "a collector"),
                };
                format!("scope `{scope}` belongs to {is}, and this file would write it as {wanted}")
            }))
        };
        let mut faults = Vec::new();
        for mapping in &self.mappings {
            let taken = taken(&mapping.scope, ScopeOwner::Collector)?;
            faults.extend(taken.map(|words| mapping.scope_fault(words)));
        }
        for source in &self.sources {
            let taken = taken(&source.scope, ScopeOwner::Bridge)?;
            faults.extend(taken.map(|words| source.scope_fault(words)));
        }
        let help = "give the file a scope of its own; `tombolo scopes` lists those that are taken";
        self.faults.extend(faults.into_iter().map(|fault| fault.help(help)));
        Ok(())
    }

    /// Fails if no mapping is left that can run.
    ///
    /// # Errors
    ///
    /// The lack of a mapping, or the errors of each.
    pub fn check(&self, counts: CountFormat) -> Result<(), AnswerError> {
        if !self.mappings.is_empty() || !self.sources.is_empty() {
            return Ok(());
        }
        if self.broken.is_empty() {
            let error = AnswerError::not_found(match self.labelled {
                false => "no mapping file and no source file found",
                true => "no file has these labels",
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
        let set: &mut dyn FnMut(&str, &str) -> Result<(), String> =
            match (self.mappings.as_mut_slice(), self.sources.as_mut_slice()) {
                ([mapping], []) => &mut |name, value| mapping.guard.set(name, value),
                ([], [source]) => &mut |name, value| source.guard.set(name, value),
                _ => {
                    let message = "--override sets a guard of one file, and several are asked for";
                    let error = AnswerError::invalid(message);
                    return Err(error.advise(AnswerAdvice::NameOneMapping));
                }
            };
        for (name, value) in &overrides.settings {
            set(name, value).map_err(AnswerError::invalid)?;
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

    /// Plans the sources, then all mappings on one snapshot, so that no mapping sees the changes of
    /// another. A mapping sees what the sources would make.
    ///
    /// # Errors
    ///
    /// Any error of reading that is not about one file alone.
    pub fn plan(
        self,
        context: &QuestionContext<'_>,
        options: &MappingRunOptions<'_>,
    ) -> Result<MappingRunAnswer, AnswerError> {
        let mut ground = PlanningGround::new(Some(context.database));
        let sources = plan_sources(&mut ground, &self.sources, options);
        let scratch = ground.into_scratch();
        let snapshot = scratch.as_ref().map(|scratch| scratch.database.snapshot()).transpose()?;
        let context = match (&scratch, &snapshot) {
            (Some(scratch), Some(snapshot)) => context_of(context, &scratch.database, snapshot),
            _ => *context,
        };
        let QuestionContext { database, snapshot, .. } = context;
        let look = |mapping| preview_mapping(database, snapshot, mapping, options);
        let outcomes: Vec<MappingOutcome> = self.mappings.iter().map(look).collect();
        let unmanaged = self.unmanaged(database)?;
        Ok(MappingRunAnswer {
            sources,
            outcomes,
            broken: self.broken,
            unmanaged,
            dry_run: true,
            impact: None,
            scratch,
        })
    }

    /// Runs the sources, then all mappings. Each reads the graph anew, since one before it may have changed it.
    ///
    /// # Errors
    ///
    /// Any error of reading that is not about one mapping alone.
    pub fn apply(
        self,
        database: &Database,
        options: &MappingRunOptions<'_>,
    ) -> Result<MappingRunAnswer, AnswerError> {
        let sources = apply_sources(database, &self.sources, options);
        let run = |mapping| run(database, mapping, options);
        let outcomes: Vec<MappingOutcome> = self.mappings.iter().map(run).collect();
        let unmanaged = self.unmanaged(database)?;
        Ok(MappingRunAnswer {
            sources,
            outcomes,
            broken: self.broken,
            unmanaged,
            dry_run: false,
            impact: None,
            scratch: None,
        })
    }
}

/// Everything that one run of mappings found.
pub struct MappingRunAnswer {
    /// The sources, in the order they ran.
    pub sources: Vec<SourceRunOutcome>,
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
    /// The graph with what the sources would make, if they would change anything.
    scratch: Option<ScratchDatabase>,
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
        let after = self.scratch.as_ref().map(|scratch| scratch.database.snapshot()).transpose()?;
        let after = after.as_ref().unwrap_or(context.snapshot);
        self.impact = Some(compare_impact(context, after, &self.outcomes, targets, rules)?);
        Ok(())
    }

    /// Returns the kind of error that keeps the run from ending well: a mistake if a file has
    /// errors, else that of the first source or mapping that objects.
    pub fn objection(&self) -> Option<ErrorKind> {
        match self.broken.is_empty() {
            true => {
                let sources = self.sources.iter().find_map(SourceRunOutcome::objection);
                sources.or_else(|| self.outcomes.iter().find_map(MappingOutcome::objection))
            }
            false => Some(ErrorKind::Invalid),
        }
    }

    /// True if any mapping would change something.
    pub fn waiting(&self) -> bool {
        let reports = self.outcomes.iter().map(MappingOutcome::report);
        let mut reports = reports.chain(self.sources.iter().map(SourceRunOutcome::report));
        reports.any(|report| !report.is_none_or(JobReport::is_quiet))
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
        self.objection().is_some()
    }

    /// Returns the kind of error that the outcome is, if it is one.
    pub fn objection(&self) -> Option<ErrorKind> {
        match &self.state {
            MappingState::Ready | MappingState::Disabled | MappingState::Applied(_) => None,
            MappingState::Refused => Some(ErrorKind::Refused),
            MappingState::Failed => Some(ErrorKind::Invalid),
            MappingState::Broken(error) => Some(error.kind()),
        }
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
    outcome.job = MappingJob::of(mapping, &outcome.resolved, ask.overrides);
    let plan = database.plan_mapping(snapshot, &outcome.job, &outcome.resolved.drafts)?;
    let elsewhere =
        database.same_edges_elsewhere(snapshot, &outcome.job, &outcome.resolved.drafts)?;
    if let Some((first, scope)) = &elsewhere.first {
        let draft = &outcome.resolved.drafts[*first as usize];
        let [from, to] = [&draft.from, &draft.to].map(|end| end.key.as_deref().unwrap_or_default());
        let example = format!("{from} -{}-> {to}, in scope `{scope}`", draft.class);
        outcome.faults.push(mapping.same_edges_warning(elsewhere.count, &example));
    }
    for refusal in &plan.report.refusals {
        let fault = mapping.refuse_change(&refusal.guard, &refusal.message, &refusal.allow);
        outcome.faults.push(fault);
    }
    outcome.edges = edges(snapshot, &plan, &outcome.resolved, ask.details)?;
    plan.ask_tests(mapping, snapshot, &mut outcome.resolved)?;
    outcome.plan = Some(plan);
    let promises = mapping.promises.iter().zip(&outcome.resolved.promises);
    outcome.faults.extend(promises.filter_map(|(p, kept)| mapping.test_diagnostic(p, kept)));
    let objects = outcome.faults.iter().any(|fault| fault.severity == DiagnosticSeverity::Error);
    Ok(if objects { MappingState::Refused } else { MappingState::Ready })
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

/// Runs a mapping on the graph as it is now, which an earlier one may have changed.
fn run(database: &Database, mapping: &Mapping, ask: &MappingRunOptions<'_>) -> MappingOutcome {
    let begun = Instant::now();
    let done = database.plan_until_applied(|attempt| run_once(attempt, database, mapping, ask));
    let mut outcome = done.unwrap_or_else(|error| MappingOutcome {
        state: MappingState::Broken(error.into()),
        ..MappingOutcome::new(mapping.clone())
    });
    outcome.took = begun.elapsed().as_millis();
    outcome
}

/// Plans a mapping and applies the plan if nothing objects.
///
/// # Errors
///
/// [`Error::Moved`] if others committed since the plan, so that it may no longer fit the graph, and
/// whatever keeps it from being planned at all.
fn run_once(
    attempt: ApplyAttempt<'_>,
    database: &Database,
    mapping: &Mapping,
    ask: &MappingRunOptions<'_>,
) -> Result<MappingOutcome, Error> {
    let snapshot = attempt.snapshot()?;
    let mut outcome = preview_mapping(database, &snapshot, mapping, ask);
    drop(snapshot);
    if let (MappingState::Ready, Some(plan)) = (&outcome.state, &outcome.plan) {
        let (drafts, hash) = (&outcome.resolved.drafts, Some(plan.hash.as_str()));
        outcome.state = match attempt.apply_mapping(&outcome.job, drafts, plan.revision, hash) {
            Ok(report) => MappingState::Applied(Box::new(report)),
            Err(moved @ Error::Moved(..)) => return Err(moved),
            Err(error) => MappingState::Broken(error.into()),
        };
    }
    Ok(outcome)
}
