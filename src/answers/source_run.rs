//! Runs of source files: each source runs as far as it can, before any mapping.
//!
//! A plan tries the sources on a private copy of the graph, so that sources and mappings after it see
//! what it would make.

use super::mapping_run::{MappingRunOptions, MappingState};
use super::{AnswerError, ErrorKind, QuestionContext};
use crate::Error;
use crate::db::{Database, GuardOverrides, ScratchDatabase, SourceJob, StagedSource};
use crate::lang::{Diagnostic, DiagnosticSeverity};
use crate::mapping::{self, ResolvedSource, SourceFile, SourceTestQuestion};
use crate::query::{CostMeter, QuestionError, QuestionLimits};
use crate::store::Snapshot;
use crate::sync::{ChangeDetails, JobReport, JobStatus, MappingInfo, RelationshipLimits};
use std::time::{Instant, SystemTime};

/// The outcome of one source.
pub struct SourceRunOutcome {
    /// The source, with the guards of this run.
    pub source: SourceFile,
    /// What its rows make.
    pub resolved: ResolvedSource,
    /// The report of the job, as planned.
    pub planned: Option<JobReport>,
    /// The first changes by entity and property, as many as were asked for.
    pub changes: Vec<ChangeDetails>,
    /// Its faults.
    pub faults: Vec<Diagnostic>,
    /// The point that it reached.
    pub state: MappingState,
    /// The time that it took, in milliseconds.
    pub took: u128,
}

impl SourceRunOutcome {
    fn new(source: SourceFile) -> SourceRunOutcome {
        SourceRunOutcome {
            source,
            resolved: ResolvedSource::default(),
            planned: None,
            changes: Vec::new(),
            faults: Vec::new(),
            state: MappingState::Disabled,
            took: 0,
        }
    }

    /// The report of the job, as planned or as applied.
    pub fn report(&self) -> Option<&JobReport> {
        match &self.state {
            MappingState::Applied(report) => Some(report),
            _ => self.planned.as_ref(),
        }
    }

    /// True if the outcome keeps the run from ending well.
    pub fn objects(&self) -> bool {
        self.objection().is_some()
    }

    /// Returns the kind of error that the outcome is, if it keeps the run from ending well.
    pub fn objection(&self) -> Option<ErrorKind> {
        match &self.state {
            MappingState::Disabled => None,
            // A plan that would be held cannot be applied as it is.
            MappingState::Ready | MappingState::Applied(_) => {
                let held = self.report().is_some_and(|report| report.status == JobStatus::Held);
                held.then_some(ErrorKind::Refused)
            }
            MappingState::Refused => Some(ErrorKind::Refused),
            MappingState::Failed => Some(ErrorKind::Invalid),
            MappingState::Broken(error) => Some(error.kind()),
        }
    }
}

/// The database that a plan is tried on: a copy once a source would change it.
pub(super) struct PlanningGround<'d> {
    /// The database itself; none where a plan begins from nothing.
    real: Option<&'d Database>,
    scratch: Option<ScratchDatabase>,
}

impl<'d> PlanningGround<'d> {
    pub(super) fn new(real: Option<&'d Database>) -> PlanningGround<'d> {
        PlanningGround { real, scratch: None }
    }

    /// The copy, made when it is first needed.
    fn scratch(&mut self) -> Result<&Database, Error> {
        if self.scratch.is_none() {
            self.scratch = Some(match self.real {
                Some(real) => real.scratch_copy()?,
                None => Database::scratch_empty()?,
            });
        }
        Ok(&self.scratch.as_ref().expect("BUG: it was just made").database)
    }

    /// The copy, if one was needed.
    pub(super) fn into_scratch(self) -> Option<ScratchDatabase> {
        self.scratch
    }
}

/// Plans sources one after the other; each sees what those before it would make.
pub(super) fn plan_sources(
    ground: &mut PlanningGround<'_>,
    sources: &[SourceFile],
    options: &MappingRunOptions<'_>,
) -> Vec<SourceRunOutcome> {
    let mut outcomes = Vec::new();
    for source in sources {
        let begun = Instant::now();
        let mut outcome = SourceRunOutcome::new(source.clone());
        if source.enabled {
            outcome.state = match plan_source(ground, &mut outcome, options) {
                Ok(state) => state,
                Err(error) => MappingState::Broken(error),
            };
        }
        outcome.took = begun.elapsed().as_millis();
        outcomes.push(outcome);
    }
    outcomes
}

fn plan_source(
    ground: &mut PlanningGround<'_>,
    outcome: &mut SourceRunOutcome,
    options: &MappingRunOptions<'_>,
) -> Result<MappingState, AnswerError> {
    // Without a database the copy stands in for it from the beginning.
    if ground.real.is_none() {
        ground.scratch()?;
    }
    let clock = ground.real;
    if let Some(state) = resolve(outcome, |scope| match clock {
        Some(database) => database.last_finalize(scope),
        None => Ok(None),
    })? {
        return Ok(state);
    }
    let job = job(&outcome.source, &outcome.resolved, options.overrides);
    let database = match (&ground.scratch, ground.real) {
        (Some(scratch), _) => &scratch.database,
        (None, Some(real)) => real,
        (None, None) => ground.scratch()?,
    };
    let snapshot = database.snapshot()?;
    let staged = database.stage_source(&snapshot, &job, &outcome.resolved)?;
    let (report, changes) = database.plan_source(&snapshot, &staged, options.details)?;
    outcome.changes = changes;
    for refusal in &report.refusals {
        let fault = outcome.source.refuse_change(&refusal.guard, &refusal.message, &refusal.allow);
        outcome.faults.push(fault);
    }
    let changes = !report.is_quiet();
    let held = report.status == JobStatus::Held;
    outcome.planned = Some(report);
    drop(snapshot);
    if changes && !is_refused(outcome) {
        let scratch = ground.scratch()?;
        let snapshot = scratch.snapshot()?;
        // A held job may be approved, so what comes after it is planned as if it were.
        let job = match held {
            true => SourceJob { allow_deletes: Some(u64::MAX), ..job },
            false => job,
        };
        let staged = scratch.stage_source(&snapshot, &job, &outcome.resolved)?;
        drop(snapshot);
        scratch.apply_source(&staged)?;
        ask_queries(outcome, &scratch.snapshot()?)?;
    } else if let Some(database) = ground.real.filter(|_| !is_refused(outcome)) {
        ask_queries(outcome, &database.snapshot()?)?;
    }
    Ok(if is_refused(outcome) { MappingState::Refused } else { MappingState::Ready })
}

fn is_refused(outcome: &SourceRunOutcome) -> bool {
    outcome.faults.iter().any(|fault| fault.severity == DiagnosticSeverity::Error)
}

/// Takes the rows through a source, and asks its guards and tests. `Some` is the point that it stops at.
fn resolve(
    outcome: &mut SourceRunOutcome,
    last_finalize: impl FnMut(&str) -> Result<Option<i64>, Error>,
) -> Result<Option<MappingState>, AnswerError> {
    let source = &outcome.source;
    match source.resolve(SystemTime::now()) {
        Ok(resolved) => outcome.resolved = resolved,
        Err(faults) => {
            // A file of rows that is too old is refused; the source itself is not wrong.
            let old = faults.iter().all(|fault| fault.code == "M0405");
            outcome.faults = faults;
            return Ok(Some(if old { MappingState::Refused } else { MappingState::Failed }));
        }
    }
    outcome.faults.append(&mut outcome.resolved.warnings);
    let now = jiff::Timestamp::now().as_millisecond();
    let refused = outcome.source.refusals(&outcome.resolved, last_finalize, now)?;
    outcome.faults.extend(refused);
    let promises = outcome.source.promises.iter().zip(&outcome.resolved.promises);
    let broken: Vec<Diagnostic> =
        promises.filter_map(|(p, kept)| outcome.source.test_diagnostic(p, kept)).collect();
    outcome.faults.extend(broken);
    Ok(None)
}

/// Asks the tests with a query of the graph as planned.
fn ask_queries(outcome: &mut SourceRunOutcome, planned: &Snapshot) -> Result<(), AnswerError> {
    let mut broken = Vec::new();
    let promises = outcome.source.promises.iter().zip(&mut outcome.resolved.promises);
    for (promise, outcome_of) in promises {
        let SourceTestQuestion::Query { query, rows, expect } = &promise.ask else { continue };
        let meter = CostMeter::new(QuestionLimits::default());
        let found = match query.run_metered(planned, &meter) {
            Ok((answer, _)) => Ok(query.rows_of(planned, &meter, &answer)?),
            Err(QuestionError::Limit(what)) => Err(what.to_string()),
            Err(QuestionError::Read(error)) => return Err(error.into()),
        };
        let ask = mapping::TestExpectation::Query {
            query: query.clone(),
            rows: *rows,
            expect: expect.clone(),
        };
        *outcome_of = mapping::query_test_outcome(&ask, found);
        broken.extend(outcome.source.test_diagnostic(promise, outcome_of));
    }
    outcome.faults.extend(broken);
    Ok(())
}

fn job(source: &SourceFile, resolved: &ResolvedSource, overrides: &GuardOverrides) -> SourceJob {
    let guard = &source.guard;
    let limited = guard.max_delete_percent.is_some()
        || guard.max_delete.is_some()
        || guard.max_create.is_some();
    SourceJob {
        scope: source.scope.clone(),
        file: MappingInfo {
            file: source.file.display().to_string(),
            digest: source.digest.clone(),
            sources: resolved.digests.clone(),
            overrides: overrides
                .settings
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            reason: overrides.reason.clone(),
        },
        inputs: resolved.inputs.clone(),
        limits: limited.then(|| RelationshipLimits {
            min_edges: 0,
            max_delete_percent: guard.max_delete_percent.unwrap_or(100.0),
            max_delete: guard.max_delete,
            max_create: guard.max_create,
        }),
        allow_deletes: None,
    }
}

/// Runs sources one after the other.
pub(super) fn apply_sources(
    database: &Database,
    sources: &[SourceFile],
    options: &MappingRunOptions<'_>,
) -> Vec<SourceRunOutcome> {
    let run = |source: &SourceFile| {
        let begun = Instant::now();
        let mut outcome = SourceRunOutcome::new(source.clone());
        if source.enabled {
            outcome.state = match apply_source(database, &mut outcome, options) {
                Ok(state) => state,
                Err(error) => MappingState::Broken(error),
            };
        }
        outcome.took = begun.elapsed().as_millis();
        outcome
    };
    sources.iter().map(run).collect()
}

fn apply_source(
    database: &Database,
    outcome: &mut SourceRunOutcome,
    options: &MappingRunOptions<'_>,
) -> Result<MappingState, AnswerError> {
    let asks =
        |promise: &mapping::SourceTest| matches!(promise.ask, SourceTestQuestion::Query { .. });
    // Only a test with a query needs the graph as planned, which costs a copy.
    if outcome.source.promises.iter().any(asks) {
        let mut ground = PlanningGround::new(Some(database));
        let state = plan_source(&mut ground, outcome, options)?;
        if !matches!(state, MappingState::Ready) {
            return Ok(state);
        }
    } else if let Some(state) = resolve(outcome, |scope| database.last_finalize(scope))? {
        return Ok(state);
    }
    if is_refused(outcome) {
        return Ok(MappingState::Refused);
    }
    let job = job(&outcome.source, &outcome.resolved, options.overrides);
    let snapshot = database.snapshot()?;
    let staged: StagedSource = database.stage_source(&snapshot, &job, &outcome.resolved)?;
    if options.details > 0 {
        (_, outcome.changes) = database.plan_source(&snapshot, &staged, options.details)?;
    }
    drop(snapshot);
    let report = database.apply_source(&staged)?;
    for refusal in &report.refusals {
        let fault = outcome.source.refuse_change(&refusal.guard, &refusal.message, &refusal.allow);
        outcome.faults.push(fault);
    }
    Ok(match report.status {
        JobStatus::Refused => {
            outcome.planned = Some(report);
            MappingState::Refused
        }
        _ => MappingState::Applied(Box::new(report)),
    })
}

/// The context of questions about a snapshot of another database.
pub(super) fn context_of<'c>(
    context: &QuestionContext<'c>,
    database: &'c Database,
    snapshot: &'c Snapshot,
) -> QuestionContext<'c> {
    QuestionContext { database, snapshot, ..*context }
}
