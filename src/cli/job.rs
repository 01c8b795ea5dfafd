//! `tombolo job`: past, held and open jobs.

use super::CommandContext;
use super::args::{JobAction, JobClearArgs, JobIdArgs, ReportFormat, RowFormat};
use super::failure::{CommandError, FAILED};
use super::output::{RowListing, bytes, clean, counted};
use super::{change_text, report};
use serde_json::json;
use std::io::Write;
use tombolo::answers;
use tombolo::db::{Database, UndoOptions, UndoReport};
use tombolo::sync::{JobReport, JobStatus};

/// Objects that an undo left and that are told one by one; JSON has all.
const LEFT: usize = 20;

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, action: &JobAction) -> Result<u8, CommandError> {
    let database = context.open()?;
    match action {
        JobAction::List { scope, max, output } => {
            let mut jobs = database.jobs()?;
            jobs.retain(|job| scope.as_ref().is_none_or(|scope| *scope == job.scope));
            if let (Some(scope), []) = (scope, jobs.as_slice()) {
                // A misspelt scope would look like one without jobs.
                answers::scope(&database.snapshot()?, scope)?;
            }
            let code = list(context, &jobs, *max, *output)?;
            note(context, &database)?;
            Ok(code)
        }
        JobAction::Show(args) if args.changes => changes(context, &args.job, &database),
        JobAction::Show(args) => show(context, &args.job, &[database.find_job(&args.job.id)?]),
        JobAction::Approve(args) => show(context, args, &database.approve(&args.id)?),
        JobAction::Abort(args) => show(context, args, &[database.abort(&args.id)?]),
        JobAction::Undo(args) => {
            let options = UndoOptions { force: args.force, dry_run: args.dry_run };
            undo(context, &args.job, &database.undo(&args.job.id, options)?)
        }
        JobAction::Clear(args) => clear(context, args, &database),
    }
}

/// Prints a note on standard error for each file in the folder of jobs that is no job.
pub fn note(context: &CommandContext<'_>, database: &Database) -> Result<(), CommandError> {
    for stray in database.stray_job_files()? {
        // Nothing is left to do when standard error is gone.
        let _ = writeln!(
            anstream::stderr(),
            "note: `{}` in the folder of jobs: {}; `tombolo{} job clear {}` deletes it",
            clean(&stray.name),
            clean(&stray.why),
            context.db_flag(),
            super::sync::quoted(&stray.name),
        );
    }
    Ok(())
}

/// `tombolo job clear`: exit code 1 when something could not be deleted.
fn clear(
    context: &mut CommandContext<'_>,
    args: &JobClearArgs,
    database: &Database,
) -> Result<u8, CommandError> {
    let strays = database.clear_jobs(&args.names, args.dry_run)?;
    let out = &mut context.out;
    for stray in &strays {
        let (name, size) = (clean(&stray.name), bytes(stray.bytes));
        match &stray.left {
            Some(why) => writeln!(out, "! {name}  {size}  is still there: {}", clean(why))?,
            None => writeln!(out, "- {name}  {size}  {}", clean(&stray.why))?,
        }
    }
    let gone = strays.iter().filter(|stray| stray.left.is_none());
    let deleted = if args.dry_run { "would be deleted" } else { "deleted" };
    let (count, sum) = (gone.clone().count() as u64, gone.map(|stray| stray.bytes).sum());
    writeln!(out, "{}, {} {deleted}", counted(count, "stray", "strays"), bytes(sum))?;
    Ok(if strays.iter().any(|stray| stray.left.is_some()) { FAILED } else { 0 })
}

fn list(
    context: &mut CommandContext<'_>,
    jobs: &[JobReport],
    max: usize,
    format: RowFormat,
) -> Result<u8, CommandError> {
    let mut listing = RowListing::new(&[
        ("id", "JOB"),
        ("scope", "SCOPE"),
        ("syncMode", "MODE"),
        ("status", "STATUS"),
        ("created", "NEW"),
        ("updated", "UPD"),
        ("deleted", "DEL"),
        ("skipped", "SKIP"),
        ("time", "WHEN"),
    ])
    .counting(&["created", "updated", "deleted", "skipped"]);
    for job in jobs.iter().take(max) {
        let [created, updated, deleted] = job.done();
        let time = match format {
            RowFormat::Table => json!(report::time(&context.out, job)),
            _ => json!(job.end_timestamp.unwrap_or(job.start_timestamp)),
        };
        let id = match format {
            RowFormat::Table => context.out.id(job.id),
            _ => job.id.to_string(),
        };
        listing.row([
            json!(id),
            json!(job.scope),
            json!(job.sync_mode),
            json!(job.status),
            json!(created),
            json!(updated),
            json!(deleted),
            json!(job.skipped_total),
            time,
        ]);
    }
    listing.print(&mut context.out, format)?;
    if jobs.len() > max && format == RowFormat::Table {
        writeln!(context.out, "… {} older jobs (--max {})", jobs.len() - max, jobs.len())?;
    }
    Ok(0)
}

/// `tombolo job show --changes`: what a job changed, or would change while it is held, then its
/// report.
fn changes(
    context: &mut CommandContext<'_>,
    args: &JobIdArgs,
    database: &Database,
) -> Result<u8, CommandError> {
    let report = database.find_job(&args.id)?;
    match report.status {
        JobStatus::Held | JobStatus::Finished => {}
        JobStatus::AwaitingUploads | JobStatus::Aborted | JobStatus::Refused => {
            let hint = "`tombolo sync --dry-run --details` tells changes before they are made";
            let message =
                format!("job {} is neither held nor finished, so it has no changes", report.id);
            return Err(CommandError::mistake(message).hint(hint));
        }
    }
    let json = args.output == ReportFormat::Json;
    let reports = change_text::write_all(&mut context.out, json, |visit| {
        match report.status {
            JobStatus::Held => database.held_changes(&args.id, visit)?,
            _ => database.states_of_job(&args.id)?.for_each(visit)?,
        }
        Ok([report])
    })?;
    if !json {
        report::print(context, &reports, None)?;
    }
    Ok(0)
}

fn show(
    context: &mut CommandContext<'_>,
    args: &JobIdArgs,
    jobs: &[JobReport],
) -> Result<u8, CommandError> {
    match args.output {
        ReportFormat::Json => report::json(&mut context.out, jobs)?,
        ReportFormat::Table => {
            report::print(context, jobs, None)?;
            jobs.iter().try_for_each(|job| report::types(&mut context.out, job))?;
        }
    }
    Ok(0)
}

fn undo(
    context: &mut CommandContext<'_>,
    args: &JobIdArgs,
    undone: &UndoReport,
) -> Result<u8, CommandError> {
    let (db, dry_run) = (context.db_flag(), undone.job.dry_run);
    let out = &mut context.out;
    if args.output == ReportFormat::Json {
        out.json(&json!({
            "job": undone.job,
            "restoredEntities": undone.restored_entities,
            "restoredRelationships": undone.restored_relationships,
            "reverted": undone.reverted,
            "removed": undone.removed,
            "left": undone.left,
        }))?;
        return Ok(0);
    }
    let would = if dry_run { "would be " } else { "" };
    let (sign, id) = (out.sign('+'), out.id(undone.job.id));
    let end = if dry_run { String::new() } else { format!("  job {id}") };
    writeln!(
        out,
        "{sign} {} and {} {would}restored in scope `{}`{end}",
        counted(undone.restored_entities, "entity", "entities"),
        counted(undone.restored_relationships, "relationship", "relationships"),
        clean(&undone.job.scope),
    )?;
    let changes = [
        ('~', undone.reverted, "", "changed back"),
        ('-', undone.removed, " that the job had made", "deleted"),
    ];
    for (sign, count, which, words) in changes {
        if count > 0 {
            let (sign, objects) = (out.sign(sign), counted(count, "object", "objects"));
            writeln!(out, "{sign} {objects}{which} {would}{words}")?;
        }
    }
    for left in undone.left.iter().take(LEFT) {
        let sign = out.sign('!');
        writeln!(out, "{sign} {}", clean(left))?;
    }
    if undone.left.len() > LEFT {
        writeln!(out, "… {} more stay as they are (-o json lists all)", undone.left.len() - LEFT)?;
    }
    if undone.left.iter().any(|left| left.ends_with("touched since")) {
        out.next(&format!(
            "tombolo{db} job undo {id} --force   (takes that back as well)",
            id = args.id
        ))?;
    }
    Ok(0)
}
