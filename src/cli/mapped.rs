//! Mapping files on the command line: they are loaded and filtered, and each runs as far as it can.

use super::Context;
use super::args::{FaultFormat, Mappings, MessageFormat, Overrides};
use super::failure::{Failure, MISTAKE, REFUSED};
use std::io::IsTerminal;
use std::time::{Instant, SystemTime};
use tombolo::Error;
use tombolo::db::{Database, EdgeChange, EdgeDetails, MappingJob, MappingPlan, Planned};
use tombolo::mapping::{self, Fault, Mapping, ResolveError, Resolved, Severity};
use tombolo::query::{Limits, Meter, Query, Stop};
use tombolo::store::{Snapshot, StoreError};
use tombolo::sync::{EdgeLimits, JobReport, MappingInfo};

/// The mapping files that were read.
pub struct Loaded {
    /// The mappings without an error that were asked for.
    pub mappings: Vec<Mapping>,
    /// The faults of all files.
    pub faults: Vec<Fault>,
    /// Files that cannot run.
    pub broken: Vec<String>,
    /// The number of files read.
    pub files: usize,
    /// The scopes of all files.
    pub scopes: Vec<String>,
}

impl Loaded {
    /// Returns the number of faults of this severity.
    pub fn count(&self, severity: Severity) -> u64 {
        self.faults.iter().filter(|fault| fault.severity == severity).count() as u64
    }
}

/// Reads the mapping files that the arguments name.
pub fn load(args: &Mappings) -> Loaded {
    let loaded = mapping::load(&args.paths);
    let fits = |mapping: &Mapping| {
        let has = |label: &super::args::Setting| {
            mapping.labels.iter().any(|(n, v)| *n == label.name && *v == label.value)
        };
        args.label.iter().all(has)
    };
    let errors = loaded.faults.iter().filter(|fault| fault.severity == Severity::Error);
    let mut broken: Vec<String> = errors.map(|fault| fault.source.file.clone()).collect();
    broken.sort();
    broken.dedup();
    Loaded {
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
    context: &mut Context<'_>,
    faults: &[Fault],
    format: FaultFormat,
) -> Result<(), Failure> {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let json = format == FaultFormat::Json || context.global.message_format == MessageFormat::Json;
    for fault in faults {
        if json {
            eprintln!("{}", fault.json());
        } else if format == FaultFormat::Github {
            use std::io::Write;
            writeln!(context.out, "{}", annotation(fault))?;
        } else {
            eprintln!("{}", if colour { fault.coloured() } else { fault.plain() });
        }
    }
    Ok(())
}

/// `::error file=…,line=…,col=…,title=…::message`, the form that GitHub reads from a log.
fn annotation(fault: &Fault) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    // In a property, `:` and `,` would end it; in the message they are plain text.
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let severity = match fault.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
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
pub enum State {
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
    Broken(Failure),
}

/// The outcome of one mapping.
pub struct Outcome {
    /// The mapping, with the guards of this run.
    pub mapping: Mapping,
    /// Its rows and edges.
    pub resolved: Resolved,
    /// The planned changes.
    pub plan: Option<MappingPlan>,
    /// Changed edges by name, in the order of rows, creations first, as many as were asked for.
    pub edges: Vec<EdgeDetails>,
    /// The job, as it would run.
    pub job: MappingJob,
    /// Its faults.
    pub faults: Vec<Fault>,
    /// The point that it reached.
    pub state: State,
    /// The time that it took, in milliseconds.
    pub took: u128,
}

impl Outcome {
    fn new(mapping: Mapping) -> Outcome {
        Outcome {
            mapping,
            resolved: Resolved::default(),
            plan: None,
            edges: Vec::new(),
            job: MappingJob::default(),
            faults: Vec::new(),
            state: State::Disabled,
            took: 0,
        }
    }

    /// The report of the job, as planned or as applied.
    pub fn report(&self) -> Option<&JobReport> {
        match &self.state {
            State::Applied(report) => Some(report),
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
            State::Ready | State::Disabled | State::Applied(_) => None,
            State::Refused => Some(REFUSED),
            State::Failed => Some(MISTAKE),
            State::Broken(failure) => Some(failure.told().map_or(0, |(.., code)| code)),
        }
    }
}

/// The options of a run.
pub struct Ask<'a> {
    /// Guards that were set.
    pub overrides: &'a Overrides,
    /// The limit on the number of changed relationships that are named.
    pub details: usize,
}

/// Sets the guards of a run. They loosen what protects one mapping, so one has to be named.
pub fn set_overrides(mappings: &mut [Mapping], args: &Overrides) -> Result<(), Failure> {
    if args.overrides.is_empty() {
        return Ok(());
    }
    let [mapping] = mappings else {
        let message = "--override sets a guard of one mapping, and several are asked for";
        return Err(Failure::mistake(message).hint("name the one mapping: its file or its scope"));
    };
    for setting in &args.overrides {
        mapping.guard.set(&setting.name, &setting.value).map_err(Failure::mistake)?;
    }
    Ok(())
}

/// Resolves and plans a mapping against a snapshot.
pub fn look(database: &Database, snapshot: &Snapshot, mapping: &Mapping, ask: &Ask<'_>) -> Outcome {
    let begun = Instant::now();
    let mut outcome = Outcome::new(mapping.clone());
    if mapping.enabled {
        outcome.state = match see(database, snapshot, &mut outcome, ask) {
            Ok(state) => state,
            Err(failure) => State::Broken(failure),
        };
    }
    outcome.took = begun.elapsed().as_millis();
    outcome
}

fn see(
    database: &Database,
    snapshot: &Snapshot,
    outcome: &mut Outcome,
    ask: &Ask<'_>,
) -> Result<State, Failure> {
    let mapping = &outcome.mapping;
    match mapping.resolve(snapshot, SystemTime::now()) {
        Ok(resolved) => outcome.resolved = resolved,
        Err(ResolveError::Graph(error)) => return Err(error.into()),
        Err(ResolveError::Faults(faults)) => {
            // A file of rows that is too old is refused; the mapping itself is not wrong.
            let old = faults.iter().all(|fault| fault.code == "M0405");
            outcome.faults = faults;
            return Ok(if old { State::Refused } else { State::Failed });
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
    let asks = |promise: &mapping::Promise| matches!(promise.ask, mapping::Ask::Query { .. });
    let mut planned = Planned::new(snapshot);
    // The planned graph costs a pass over all changes, and only tests with a query read it.
    if mapping.promises.iter().any(asks) {
        planned.add(&plan, &outcome.resolved.drafts)?;
    }
    for (promise, kept) in mapping.promises.iter().zip(&mut outcome.resolved.promises) {
        if let mapping::Ask::Query { query, .. } = &promise.ask {
            *kept = match keep(&promise.ask, query, &planned) {
                Ok(kept) => kept,
                Err(Stop::Limit(what)) => mapping::asked(&promise.ask, Err(what.to_string())),
                Err(Stop::Read(error)) => return Err(error.into()),
            };
        }
    }
    outcome.plan = Some(plan);
    let promises = mapping.promises.iter().zip(&outcome.resolved.promises);
    outcome.faults.extend(promises.filter_map(|(p, kept)| mapping.promise_fault(p, kept)));
    let objects = outcome.faults.iter().any(|fault| fault.severity == Severity::Error);
    Ok(if objects { State::Refused } else { State::Ready })
}

/// Evaluates a test that asks a query. A test may hold for a wrong reason: a query with a name that
/// nothing has finds nothing. The notes of the query show such a doubt.
fn keep(
    ask: &mapping::Ask,
    query: &Query,
    planned: &Planned<'_>,
) -> Result<mapping::Kept, Stop<StoreError>> {
    let meter = Meter::new(Limits::default());
    let (answer, profile) = query.run_metered(planned, &meter)?;
    let kept = mapping::asked(ask, Ok(query.rows_of(planned, &meter, &answer)?));
    if !matches!(kept, mapping::Kept::Yes) {
        return Ok(kept);
    }
    let notes = query.notes(planned, &answer, &profile, meter.limits())?;
    let doubt = notes.into_iter().find(|note| note.doubt);
    Ok(doubt.map_or(kept, |note| mapping::Kept::But(note.text)))
}

fn edges(
    snapshot: &Snapshot,
    plan: &MappingPlan,
    resolved: &Resolved,
    limit: usize,
) -> Result<Vec<EdgeDetails>, Error> {
    let mut changes = plan.changes.clone();
    // Drafts are numbered in the order of rows, so a change stands where a reader of the rows
    // expects it.
    changes.sort_by_key(|change| (change.action, change.draft, change.number));
    let details = |change: &EdgeChange| change.details(snapshot, &resolved.drafts);
    changes.iter().take(limit).map(details).collect()
}

fn job(mapping: &Mapping, resolved: &Resolved, overrides: &Overrides) -> MappingJob {
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
        limits: EdgeLimits {
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
pub fn run(database: &Database, mapping: &Mapping, ask: &Ask<'_>) -> Outcome {
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
                let state = State::Broken(error.into());
                return Outcome { state, ..Outcome::new(mapping.clone()) };
            }
        };
        let mut outcome = look(database, &snapshot, mapping, ask);
        drop(snapshot);
        if let (State::Ready, Some(plan)) = (&outcome.state, &outcome.plan) {
            let drafts = &outcome.resolved.drafts;
            let hash = Some(plan.hash.as_str());
            let (job, revision) = (&outcome.job, plan.revision);
            let applied = match alone {
                Some(alone) => database.apply_mapping_alone(alone, job, drafts, revision, hash),
                None => database.apply_mapping(job, drafts, revision, hash),
            };
            match applied {
                Ok(report) => outcome.state = State::Applied(Box::new(report)),
                // Another process has committed since the plan, so this plan may no longer fit the
                // graph.
                Err(Error::Moved(..)) if left > 0 => continue,
                Err(error) => outcome.state = State::Broken(error.into()),
            }
        }
        outcome.took = begun.elapsed().as_millis();
        return outcome;
    }
    unreachable!("BUG: the last try returns")
}
