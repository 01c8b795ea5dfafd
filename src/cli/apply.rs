//! `tombolo check`, `plan` and `apply`: mapping files, one CROSS_SCOPE job each.
//!
//! `plan` is `apply` without the last step, so it shows exactly the changes that `apply` would
//! make. A mapping that fails or is refused does not stop the others; it decides the exit code.

use super::args::{ApplyArgs, CheckArgs, DiagnosticFormat, MappingFileArgs, PlanArgs, PlanFormat};
use super::check_report::{self, ReportForm};
use super::failure::{CommandError, MISTAKE, REFUSED, WAITING};
use super::output::{count_format, counted, duration_text};
use super::plan_text::{self, PlanRun};
use super::{CommandContext, diagnostics, question};
use std::io::Write;
use std::path::Path;
use std::time::Instant;
use tombolo::answers::{
    CheckReport, GuardOverrides, ImpactTargets, MappingFileSet, MappingOutcome, MappingRunOptions,
    MappingState,
};
use tombolo::db::{Database, PlannedJob, SavedPlan};
use tombolo::mapping::DiagnosticSeverity;
use tombolo::sync::{JobReport, JobStatus};

/// `tombolo check`.
pub fn check(context: &mut CommandContext<'_>, args: &CheckArgs) -> Result<u8, CommandError> {
    let mut loaded = MappingFileSet::load(&args.mappings.selection());
    // A database is not needed; one that is there knows to whom each scope belongs.
    if context.path().exists() {
        loaded.check_owners(&context.look()?.1)?;
    }
    let expressions: usize = loaded.mappings.iter().map(|mapping| mapping.expressions).sum();
    let expressions =
        expressions + loaded.sources.iter().map(|source| source.expressions).sum::<usize>();
    let examples: usize = loaded.mappings.iter().map(|mapping| mapping.example_count()).sum();
    let examples =
        examples + loaded.sources.iter().map(|source| source.example_count()).sum::<usize>();
    let errors = loaded.count(DiagnosticSeverity::Error);
    if args.format == DiagnosticFormat::Human {
        writeln!(
            context.out,
            "checked {}, {}, {}: {}, {}",
            counted(loaded.files as u64, "file", "files"),
            counted(expressions as u64, "expression", "expressions"),
            counted(examples as u64, "example", "examples"),
            counted(errors, "error", "errors"),
            counted(loaded.count(DiagnosticSeverity::Warning), "warning", "warnings"),
        )?;
        // Faults go to standard error; the summary must stand before them.
        context.out.flush()?;
    }
    diagnostics::tell(context, &loaded.faults, args.format)?;
    if let Some(form) = ReportForm::of_faults(args.format) {
        check_report::print(context, &CheckReport::of_files(&loaded), form)?;
    }
    if errors > 0 {
        return Ok(MISTAKE);
    }
    if args.format == DiagnosticFormat::Human {
        let db = context.db_flag();
        context.out.next(&format!("tombolo{db} plan{}", arguments(&args.mappings)))?;
    }
    Ok(0)
}

/// The mapping arguments as they were given, for advice.
pub fn arguments(args: &MappingFileArgs) -> String {
    let mut text = String::new();
    // The default path is left out, so that the advice stays short.
    let usual = matches!(args.paths.as_slice(), [one] if one.as_os_str() == "mappings/");
    for path in args.paths.iter().filter(|_| !usual) {
        text.push_str(&format!(" {}", super::sync::quoted(&path.display().to_string())));
    }
    for label in &args.label {
        let label = format!("{}={}", label.name, label.value);
        text.push_str(&format!(" --label {}", super::sync::quoted(&label)));
    }
    text
}

/// Reads the mapping files and says what is wrong with them.
fn load(
    context: &mut CommandContext<'_>,
    args: &MappingFileArgs,
    overrides: &GuardOverrides,
    plans: bool,
) -> Result<MappingFileSet, CommandError> {
    let mut loaded = MappingFileSet::load(&args.selection());
    diagnostics::tell(context, &loaded.faults, DiagnosticFormat::Human)?;
    match plans && loaded.waits() {
        // A project that was made a moment ago has nothing to plan, which is no mistake.
        true => {
            let note = "no mapping file yet: `tombolo new SCOPE` writes one, and a file whose name \
                        ends in .example is none until it is renamed";
            super::notes::tell(context, &[note.to_owned()])?;
        }
        false => loaded.check(count_format())?,
    }
    loaded.set_overrides(overrides)?;
    Ok(loaded)
}

/// `tombolo plan`.
pub fn plan(context: &mut CommandContext<'_>, args: &PlanArgs) -> Result<u8, CommandError> {
    let guards = args.overrides.guards();
    // A baseline that cannot be read is told before the plan takes its time.
    let known = check_report::load_baseline(&args.baseline)?;
    let loaded = load(context, &args.mappings, &guards, true)?;
    let faults = loaded.faults.clone();
    let meter = context.meter();
    // Sources can be planned where there is no database yet: apply would make it.
    let nothing = !loaded.sources.is_empty() && !context.path().exists();
    let empty = if nothing { Some(Database::scratch_empty()?) } else { None };
    let opened = if nothing { None } else { Some(context.open()?) };
    let database = match (&empty, &opened) {
        (Some(empty), _) => &empty.database,
        (None, opened) => opened.as_ref().expect("BUG: one of the two is there"),
    };
    let snapshot = database.snapshot()?;
    let question = question(database, &snapshot, &meter);
    let details = plan_text::edges_listed(&args.show);
    let found = loaded.plan(&question, &MappingRunOptions { overrides: &guards, details })?;
    let mut run = PlanRun { found, show: &args.show, faults, known, renewed: false };
    tell_faults(context, &run)?;
    if !args.impact.is_empty() || !args.class.is_empty() {
        let (entities, classes) = (args.impact.clone(), args.class.clone());
        let rules = context.rules()?;
        run.found.compare_impact(&question, &ImpactTargets { entities, classes }, &rules)?;
    }
    plan_text::print(context, &run)?;
    if args.baseline.write_baseline {
        run.renewed = check_report::write_baseline(context, &run.report(), &args.baseline)?;
    }
    let code = run.exit_code();
    if let Some(path) = &args.out {
        // A saved plan is applied as a whole, so it must not silently lack a mapping.
        if run.found.objection().is_some() {
            let code = if code == 0 { REFUSED } else { code };
            let failure = CommandError::Fault {
                message: "the plan was not saved: not every mapping can be applied".into(),
                hint: Some("fix or leave out what is refused, then plan again".into()),
                code,
            };
            return Err(failure);
        }
        if !run.found.sources.is_empty() {
            let message = "a saved plan holds mappings, and the files have sources too";
            return Err(CommandError::mistake(message)
                .hint("apply the sources first, then plan the mappings with --out"));
        }
        save(&run.found.outcomes, &snapshot, path)?;
    }
    advise(context, args, &run)?;
    Ok(if code == 0 && args.exit_code && run.found.waiting() { WAITING } else { code })
}

/// Tells the faults of all files, sources first.
fn tell_faults(context: &mut CommandContext<'_>, run: &PlanRun<'_>) -> Result<(), CommandError> {
    let sources = run.found.sources.iter().map(|outcome| &outcome.faults);
    for faults in sources.chain(run.found.outcomes.iter().map(|outcome| &outcome.faults)) {
        diagnostics::tell(context, faults, DiagnosticFormat::Human)?;
    }
    Ok(())
}

/// Prints the command to type next.
fn advise(
    context: &mut CommandContext<'_>,
    args: &PlanArgs,
    run: &PlanRun<'_>,
) -> Result<(), CommandError> {
    if args.show.output != PlanFormat::Table {
        return Ok(());
    }
    let (db, files) = (context.db_flag(), arguments(&args.mappings));
    let mut advice = Vec::new();
    if run.exit_code() == 0 && run.found.waiting() {
        advice.push(match &args.out {
            Some(path) => {
                format!("tombolo{db} apply {}", super::sync::quoted(&path.display().to_string()))
            }
            None => format!("tombolo{db} apply{files}"),
        });
    }
    if !args.show.details && run.found.waiting() {
        advice.push(format!("each edge: tombolo{db} plan{files} --details"));
    }
    let unmatched = run.found.outcomes.iter().any(|o| !o.resolved.unmatched.is_empty())
        || run.found.sources.iter().any(|o| !o.resolved.unmatched.is_empty());
    if !args.show.unmatched && unmatched {
        advice.push(format!("unmatched rows: tombolo{db} plan{files} --unmatched"));
    }
    match advice.is_empty() {
        true => Ok(()),
        false => Ok(context.out.next(&advice.join("      "))?),
    }
}

fn save(
    outcomes: &[MappingOutcome],
    snapshot: &tombolo::store::Snapshot,
    path: &Path,
) -> Result<(), CommandError> {
    let ready = outcomes.iter().filter(|o| matches!(o.state, MappingState::Ready));
    let jobs = ready.filter_map(|outcome| {
        let plan = outcome.plan.as_ref()?;
        Some(PlannedJob {
            job: outcome.job.clone(),
            hash: plan.hash.clone(),
            drafts: outcome.resolved.drafts.clone(),
        })
    });
    let plan = SavedPlan {
        database: SavedPlan::name_of(snapshot),
        revision: snapshot.meta().revision,
        made_on: jiff::Timestamp::now().as_millisecond(),
        jobs: jobs.collect(),
    };
    Ok(plan.save(path)?)
}

/// `tombolo apply`.
pub fn apply(context: &mut CommandContext<'_>, args: &ApplyArgs) -> Result<u8, CommandError> {
    let begun = Instant::now();
    if let Some(path) = args.mappings.paths.iter().find(|path| SavedPlan::is_plan(path)) {
        let alone = args.mappings.paths.len() == 1
            && args.mappings.label.is_empty()
            && args.overrides.overrides.is_empty();
        // Labels and guards would alter the plan, and a saved plan is applied exactly as it is.
        return match alone {
            true => apply_saved(context, path, begun),
            false => Err(CommandError::mistake("a saved plan is applied alone, exactly as it is")),
        };
    }
    let guards = args.overrides.guards();
    let loaded = load(context, &args.mappings, &guards, false)?;
    let faults = loaded.faults.clone();
    let database = context.open_or_create()?;
    let details = plan_text::edges_listed(&args.show);
    let found = loaded.apply(&database, &MappingRunOptions { overrides: &guards, details })?;
    let run = PlanRun { found, show: &args.show, faults, known: None, renewed: false };
    tell_faults(context, &run)?;
    plan_text::print(context, &run)?;
    if args.show.output == PlanFormat::Table {
        let mappings = run.found.outcomes.iter().filter_map(applied);
        let sources = run.found.sources.iter().filter_map(|outcome| outcome.report());
        let sources = sources.filter(|report| report.status == JobStatus::Finished);
        undo(context, sources.chain(mappings))?;
    }
    Ok(run.exit_code())
}

fn applied(outcome: &MappingOutcome) -> Option<&JobReport> {
    match &outcome.state {
        MappingState::Applied(report) => Some(report),
        _ => None,
    }
}

/// Prints the commands that bring back the deleted relationships.
fn undo<'r>(
    context: &mut CommandContext<'_>,
    reports: impl Iterator<Item = &'r JobReport>,
) -> Result<(), CommandError> {
    let db = context.db_flag();
    let undo: Vec<String> = reports
        .filter(|report| report.relationships.deleted + report.entities.deleted > 0)
        .map(|report| format!("tombolo{db} job undo {}", context.out.id(report.id)))
        .collect();
    match undo.is_empty() {
        true => Ok(()),
        false => {
            Ok(context.out.next(&format!("to bring back what was deleted: {}", undo.join("; ")))?)
        }
    }
}

/// Applies a saved plan job by job. Each job makes exactly its planned changes; the first that
/// cannot stops the rest.
fn apply_saved(
    context: &mut CommandContext<'_>,
    path: &Path,
    begun: Instant,
) -> Result<u8, CommandError> {
    let plan = SavedPlan::load(path)?;
    let database = context.open()?;
    let snapshot = database.snapshot()?;
    if plan.database != SavedPlan::name_of(&snapshot) {
        let message = format!("`{}` was made for another database", path.display());
        return Err(CommandError::mistake(message).hint("nothing was changed; plan again here"));
    }
    let mut revision = snapshot.meta().revision;
    drop(snapshot);
    // The plan holds for one revision only; any commit since may have changed its rows.
    if revision != plan.revision {
        return Err(tombolo::Error::Moved(revision, plan.revision).into());
    }
    let mut reports = Vec::new();
    for planned in &plan.jobs {
        let hash = Some(planned.hash.as_str());
        let report = database.apply_mapping(&planned.job, &planned.drafts, revision, hash)?;
        plan_text::applied(&mut context.out, &report)?;
        // Only the job before this one may have moved the revision; a commit by anyone else stops
        // the rest.
        revision += u64::from(!report.is_quiet());
        reports.push(report);
    }
    let sum = |count: fn(&JobReport) -> u64| reports.iter().map(count).sum::<u64>();
    let changes = sum(|report| {
        let r = report.relationships;
        r.created + r.updated + r.deleted
    });
    let text = format!(
        "Applied {} in {}, {}",
        counted(changes, "change", "changes"),
        counted(reports.len() as u64, "scope", "scopes"),
        duration_text(begun.elapsed())
    );
    writeln!(context.out, "\n{}.", context.out.bold(&text))?;
    undo(context, reports.iter())?;
    let refused = reports.iter().any(|report| !report.refusals.is_empty());
    Ok(if refused { REFUSED } else { 0 })
}
