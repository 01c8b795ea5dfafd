//! `tombolo check`, `plan` and `apply`: mapping files, one CROSS_SCOPE job each.
//!
//! `plan` is `apply` without the last step, so what it shows is what would happen. A mapping that
//! is refused does not stop the others.

use super::Context;
use super::args::{Apply, Check, Plan, ReportFormat};
use super::failure::{Failure, MISTAKE, REFUSED, WAITING};
use super::mapped::{self, Drafted, Loaded, Mapping};
use super::output::{Out, clean, clean_lines, counted, thousands};
use super::report;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use tombolo::db::Database;
use tombolo::sync::{JobReport, Status};

/// What became of one mapping.
struct Outcome {
    scope: String,
    file: String,
    drafted: Option<Drafted>,
    result: Result<JobReport, Failure>,
}

impl Outcome {
    /// Whether it was held or failed.
    fn refused(&self) -> bool {
        self.result.as_ref().map_or(true, |report| report.status == Status::Held)
    }

    /// Created, updated, deleted and unchanged relationships.
    fn counts(&self) -> [u64; 4] {
        match &self.result {
            Ok(report) => {
                let r = report.relationships;
                [r.created, r.updated, r.deleted, r.unchanged]
            }
            Err(_) => [0; 4],
        }
    }
}

/// `tombolo check`.
pub fn check(context: &mut Context<'_>, args: &Check) -> Result<u8, Failure> {
    let loaded = mapped::load(&args.mappings)?;
    faults(&loaded);
    let out = &mut context.out;
    let result = format!(
        "{}, {}",
        counted(loaded.errors, "error", "errors"),
        counted(loaded.warnings, "warning", "warnings")
    );
    writeln!(
        out,
        "checked {}: {result}",
        counted(loaded.mappings.len() as u64, "sound mapping", "sound mappings")
    )?;
    if loaded.errors > 0 {
        return Ok(MISTAKE);
    }
    let db = context.db_flag();
    context.out.next(&format!("tombolo{db} plan{}", arguments(&args.mappings)))?;
    Ok(0)
}

/// Faults are words about the answer, so they go to standard error, each with its place.
fn faults(loaded: &Loaded) {
    for fault in &loaded.faults {
        eprintln!("{}\n", clean_lines(fault));
    }
}

/// The mapping arguments as they were given, for advice.
fn arguments(mappings: &[PathBuf]) -> String {
    match mappings {
        [one] if one.as_os_str() == "mappings/" => String::new(),
        some => some
            .iter()
            .map(|path| format!(" {}", super::sync::quoted(&path.display().to_string())))
            .collect(),
    }
}

/// `tombolo plan`.
pub fn plan(context: &mut Context<'_>, args: &Plan) -> Result<u8, Failure> {
    let mappings = sound(&args.mappings)?;
    let database = context.open()?;
    let show = Show { details: args.details, unmatched: args.unmatched, ..Show::default() };
    let outcomes: Vec<Outcome> = mappings.iter().map(|m| one(&database, m, &show)).collect();
    print(context, &outcomes, &show, args.output)?;
    if args.output == ReportFormat::Table && !args.details && !args.unmatched {
        let (db, files) = (context.db_flag(), arguments(&args.mappings));
        let any =
            outcomes.iter().any(|o| o.drafted.as_ref().is_some_and(|d| !d.unmatched.is_empty()));
        let unmatched = match any {
            true => format!("      unmatched rows: tombolo{db} plan{files} --unmatched"),
            false => String::new(),
        };
        context.out.next(&format!("tombolo{db} apply{files}{unmatched}"))?;
    }
    let code = exit_code(&outcomes);
    let waiting = outcomes.iter().any(|o| o.counts()[..3].iter().any(|&n| n > 0));
    Ok(if code == 0 && args.exit_code && waiting { WAITING } else { code })
}

/// `tombolo apply`.
pub fn apply(context: &mut Context<'_>, args: &Apply) -> Result<u8, Failure> {
    let mappings = sound(&args.mappings)?;
    let database = context.open_or_create()?;
    let show = Show {
        details: args.details,
        unmatched: args.unmatched,
        apply: true,
        allow_deletes: args.allow_deletes,
    };
    let outcomes: Vec<Outcome> = mappings.iter().map(|m| one(&database, m, &show)).collect();
    print(context, &outcomes, &show, args.output)?;
    Ok(exit_code(&outcomes))
}

/// The first failure of a mapping decides, else whether one is held.
fn exit_code(outcomes: &[Outcome]) -> u8 {
    let failed = outcomes.iter().find_map(|outcome| match &outcome.result {
        Err(Failure::Fault { code, .. }) => Some(*code),
        _ => None,
    });
    let refused = if outcomes.iter().any(Outcome::refused) { REFUSED } else { 0 };
    failed.unwrap_or(refused)
}

/// Reads the mapping files. With a fault in any of them none is run: their jobs belong together.
fn sound(paths: &[PathBuf]) -> Result<Vec<Mapping>, Failure> {
    let loaded = mapped::load(paths)?;
    faults(&loaded);
    if loaded.errors > 0 {
        let message = format!("{} in mapping files", counted(loaded.errors, "error", "errors"));
        return Err(Failure::mistake(message)
            .hint("nothing was run; `tombolo check` looks again without a database"));
    }
    if loaded.mappings.is_empty() {
        return Err(Failure::mistake("no mapping file found")
            .hint("a mapping is a .toml file; `tombolo demo --keep` leaves three to look at"));
    }
    Ok(loaded.mappings)
}

/// Runs one mapping on the graph as it is now, which an earlier one may have changed.
fn one(database: &Database, mapping: &Mapping, show: &Show) -> Outcome {
    let drafted = database
        .snapshot()
        .map_err(Failure::from)
        .and_then(|snapshot| mapped::draft(mapping, &snapshot));
    let (scope, file) = (mapped::scope(mapping), mapped::file(mapping));
    let (drafted, result) = match drafted {
        Ok((drafted, drafts)) => {
            let job = mapped::job(mapping, &drafted, show.allow_deletes);
            let result = database.apply_mapping(job, &drafts, !show.apply);
            (Some(drafted), result.map_err(Failure::from))
        }
        Err(failure) => (None, Err(failure)),
    };
    Outcome { scope, file, drafted, result }
}

/// What is done, and what is shown beside the summary.
#[derive(Default)]
struct Show {
    details: bool,
    unmatched: bool,
    /// Whether the changes are made, not only shown.
    apply: bool,
    allow_deletes: Option<u64>,
}

fn print(
    context: &mut Context<'_>,
    outcomes: &[Outcome],
    show: &Show,
    format: ReportFormat,
) -> Result<(), Failure> {
    if format == ReportFormat::Json {
        let jobs: Vec<Value> = outcomes.iter().map(json).collect();
        return match jobs.as_slice() {
            [job] => context.out.json(job),
            jobs => context.out.json(&json!({ "jobs": jobs })),
        };
    }
    let width = outcomes.iter().map(|o| clean(&o.scope).chars().count()).max().unwrap_or(0);
    for outcome in outcomes {
        let out = &mut context.out;
        writeln!(out, "{:<width$}  {}", clean(&outcome.scope), summary(outcome, !show.apply))?;
    }
    writeln!(context.out)?;
    for outcome in outcomes {
        rows(&mut context.out, outcome, width)?;
    }
    for outcome in outcomes {
        more(context, outcome, show)?;
    }
    total(&mut context.out, outcomes, !show.apply)
}

/// The job report with the rows that were read; a failure in its place.
fn json(outcome: &Outcome) -> Value {
    let mut value = match &outcome.result {
        Ok(report) => json!(report),
        Err(Failure::Fault { message, hint, code }) => json!({
            "scope": outcome.scope, "error": message, "hint": hint, "exitCode": code,
        }),
        Err(Failure::PipeClosed) => json!({ "scope": outcome.scope }),
    };
    value["file"] = json!(outcome.file);
    if let Some(drafted) = &outcome.drafted {
        let ends: serde_json::Map<String, Value> =
            drafted.rows.iter().map(|(word, n)| ((*word).to_owned(), json!(n))).collect();
        value["rows"] = json!({ "read": drafted.read, "ends": ends });
        value["unmatched"] = drafted
            .unmatched
            .iter()
            .map(|row| json!({ "place": row.place, "outcome": row.outcome, "reason": row.reason }))
            .collect();
    }
    value
}

/// `~ 14 to create, 3 to update, 9 to delete, 964 unchanged`
fn summary(outcome: &Outcome, dry_run: bool) -> String {
    let report = match &outcome.result {
        Ok(report) => report,
        Err(Failure::Fault { message, .. }) => return format!("! refused: {}", clean(message)),
        Err(Failure::PipeClosed) => return String::new(),
    };
    if let (Status::Held, Some(held)) = (report.status, &report.held) {
        return format!("! refused: {}", clean(&held.reasons.join("; ")));
    }
    let r = report.relationships;
    if r.is_quiet() {
        return format!(
            "= no changes   ({})",
            counted(r.unchanged, "relationship", "relationships")
        );
    }
    let words = match dry_run {
        true => ["to create", "to update", "to delete"],
        false => ["created", "updated", "deleted"],
    };
    let parts = [r.created, r.updated, r.deleted]
        .into_iter()
        .zip(words)
        .map(|(n, word)| format!("{} {word}", thousands(n)));
    let parts: Vec<String> = parts.collect();
    let job = if dry_run { String::new() } else { format!("   job {}", report.id) };
    format!("~ {}, {} unchanged{job}", parts.join(", "), thousands(r.unchanged))
}

/// `rows  1 012 read = 981 linked + 12 filtered + …`: every row read ends in exactly one place.
fn rows(out: &mut Out<'_>, outcome: &Outcome, width: usize) -> Result<(), Failure> {
    let Some(drafted) = &outcome.drafted else { return Ok(()) };
    let parts: Vec<String> = drafted
        .rows
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(word, n)| format!("{} {word}", thousands(*n)))
        .collect();
    let parts = if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") };
    let read = thousands(drafted.read);
    Ok(writeln!(out, "{:<width$}  rows {read} read = {parts}", clean(&outcome.scope))?)
}

fn more(context: &mut Context<'_>, outcome: &Outcome, show: &Show) -> Result<(), Failure> {
    if let (true, Some(drafted)) = (show.unmatched, &outcome.drafted) {
        let out = &mut context.out;
        if !drafted.unmatched.is_empty() {
            writeln!(out, "\n{}", clean(&outcome.scope))?;
        }
        for row in &drafted.unmatched {
            let (place, reason) = (clean(&row.place), clean(&row.reason));
            writeln!(out, "  {place}  {}  {reason}", row.outcome)?;
        }
    }
    match &outcome.result {
        Ok(report) => {
            if show.details {
                report::types(&mut context.out, report)?;
            }
            let db = context.db_flag();
            let again = format!("tombolo{db} apply {}", super::sync::quoted(&outcome.file));
            report::attention(context, report, Some(&again))
        }
        Err(Failure::Fault { hint: Some(hint), .. }) => {
            Ok(writeln!(context.out, "\n{}: {}", clean(&outcome.scope), clean(hint))?)
        }
        Err(_) => Ok(()),
    }
}

/// `Plan: 14 to create, 3 to update, 9 to delete; 1 mapping refused.`
fn total(out: &mut Out<'_>, outcomes: &[Outcome], dry_run: bool) -> Result<(), Failure> {
    let refused = outcomes.iter().filter(|outcome| outcome.refused()).count() as u64;
    let mut sums = [0; 3];
    for outcome in outcomes.iter().filter(|outcome| !outcome.refused()) {
        sums.iter_mut().zip(outcome.counts()).for_each(|(sum, n)| *sum += n);
    }
    let [created, updated, deleted] = sums.map(thousands);
    let mut text = match dry_run {
        true => format!("Plan: {created} to create, {updated} to update, {deleted} to delete"),
        false => format!("Applied: {created} created, {updated} updated, {deleted} deleted"),
    };
    if refused > 0 {
        text.push_str(&format!("; {} refused", counted(refused, "mapping", "mappings")));
    }
    Ok(writeln!(out, "\n{}.", out.bold(&text))?)
}
