//! Mapping files on the command line: they are loaded and filtered, and each runs as far as it can.

use super::CommandContext;
use super::args::{DiagnosticFormat, GuardOverrideArgs, MappingFileArgs, MessageFormat};
use super::failure::{CommandError, MISTAKE, REFUSED};
use std::io::IsTerminal;
use std::time::{Instant, SystemTime};
use tombolo::Error;
use tombolo::db::{
    Database, MappingJob, MappingPlan, PlannedGraph, RelationshipChange, RelationshipDetails,
};
use tombolo::mapping::{
    self, Diagnostic, DiagnosticSeverity, Mapping, ResolveError, ResolvedMapping,
};
use tombolo::query::{CostMeter, Query, QuestionError, QuestionLimits};
use tombolo::store::{Snapshot, StoreError};
use tombolo::sync::{JobReport, MappingInfo, RelationshipLimits};

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
}

impl MappingFileSet {
    /// Returns the number of faults of this severity.
    pub fn count(&self, severity: DiagnosticSeverity) -> u64 {
        self.faults.iter().filter(|fault| fault.severity == severity).count() as u64
    }
}

/// Reads the mapping files that the arguments name.
pub fn load(args: &MappingFileArgs) -> MappingFileSet {
    let loaded = mapping::load(&args.paths);
    let fits = |mapping: &Mapping| {
        let has = |label: &super::args::NameValuePair| {
            mapping.labels.iter().any(|(n, v)| *n == label.name && *v == label.value)
        };
        args.label.iter().all(has)
    };
    let errors = loaded.faults.iter().filter(|fault| fault.severity == DiagnosticSeverity::Error);
    let mut broken: Vec<String> = errors.map(|fault| fault.source.file.clone()).collect();
    broken.sort();
    broken.dedup();
    MappingFileSet {
        mappings: loaded.mappings.into_iter().filter(fits).collect(),
        faults: loaded.faults,
        broken,
        files: loaded.files,
        scopes: loaded.scopes,
    }
}

/// Prints faults. They are words about the answer, so they go to standard error. Only annotations
/// go to standard output, where a workflow reads them.
pub fn tell(
    context: &mut CommandContext<'_>,
    faults: &[Diagnostic],
    format: DiagnosticFormat,
) -> Result<(), CommandError> {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let json =
        format == DiagnosticFormat::Json || context.global.message_format == MessageFormat::Json;
    for fault in faults {
        if json {
            eprintln!("{}", fault.json());
        } else if format == DiagnosticFormat::Github {
            use std::io::Write;
            writeln!(context.out, "{}", annotation(fault))?;
        } else {
            eprintln!("{}", if colour { fault.coloured() } else { fault.plain() });
        }
    }
    Ok(())
}

/// `::error file=…,line=…,col=…,title=…::message`, the form that GitHub reads from a log.
fn annotation(fault: &Diagnostic) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    // In a property, `:` and `,` would end it; in the message they are plain text.
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let severity = match fault.severity {
        DiagnosticSeverity::Error => "error",
        DiagnosticSeverity::Warning => "warning",
    };
    let (line, column) = fault.place();
    let mut message = fault.message.clone();
    fault.notes.iter().for_each(|note| message += &format!("\nnote: {note}"));
    fault.helps.iter().for_each(|help| message += &format!("\nhelp: {help}"));
    if let Some(patch) = &fault.patch {
        message += &format!("\nhelp: {}: `{}`", patch.title, patch.replacement);
    }
    let (file, code) = (property(&fault.source.file), fault.code);
    format!("::{severity} file={file},line={line},col={column},title={code}::{}", data(&message))
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
    Broken(CommandError),
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

    /// Returns the exit code if the outcome keeps the command from ending well.
    pub fn exit_code(&self) -> Option<u8> {
        match &self.state {
            MappingState::Ready | MappingState::Disabled | MappingState::Applied(_) => None,
            MappingState::Refused => Some(REFUSED),
            MappingState::Failed => Some(MISTAKE),
            MappingState::Broken(failure) => Some(failure.told().map_or(0, |(.., code)| code)),
        }
    }
}

/// The options of a run.
pub struct MappingRunOptions<'a> {
    /// Guards that were set.
    pub overrides: &'a GuardOverrideArgs,
    /// The limit on the number of changed relationships that are named.
    pub details: usize,
}

/// Sets the guards of a run. They loosen what protects one mapping, so one has to be named.
pub fn set_overrides(
    mappings: &mut [Mapping],
    args: &GuardOverrideArgs,
) -> Result<(), CommandError> {
    if args.overrides.is_empty() {
        return Ok(());
    }
    let [mapping] = mappings else {
        let message = "--override sets a guard of one mapping, and several are asked for";
        return Err(
            CommandError::mistake(message).hint("name the one mapping: its file or its scope")
        );
    };
    for setting in &args.overrides {
        mapping.guard.set(&setting.name, &setting.value).map_err(CommandError::mistake)?;
    }
    Ok(())
}

/// Resolves and plans a mapping against a snapshot.
pub fn preview_mapping(
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
) -> Result<MappingState, CommandError> {
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

fn job(mapping: &Mapping, resolved: &ResolvedMapping, overrides: &GuardOverrideArgs) -> MappingJob {
    let guard = &mapping.guard;
    MappingJob {
        scope: mapping.scope.clone(),
        mapping: MappingInfo {
            file: mapping.file.display().to_string(),
            digest: mapping.digest.clone(),
            sources: resolved.digests.clone(),
            overrides: overrides
                .overrides
                .iter()
                .map(|setting| format!("{}={}", setting.name, setting.value))
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
pub fn run(database: &Database, mapping: &Mapping, ask: &MappingRunOptions<'_>) -> MappingOutcome {
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
