//! Job reports for people and programs. `sync`, `apply`, `plan` and `job` all print them here.

use super::CommandContext;
use super::args::{ReportFormat, RowFormat};
use super::failure::{CommandError, REFUSED};
use super::output::{AnswerWriter, BAD, NOTICE, RowListing, clean, counted, thousands, when};
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, Write};
use tombolo::Error;
use tombolo::sync::{JobReport, JobStatus, JobTally, SkippedObject, SyncError};

/// Reasons for skipped rows that a table shows.
const SKIPPED_SHOWN: usize = 10;
/// Rows that are named with each reason.
const SKIPPED_EACH: usize = 3;
/// Keys of a held deletion that a table shows.
const DELETES_SHOWN: usize = 10;

/// Writes one report as it is, several as a list under a name.
pub fn json(out: &mut AnswerWriter<'_>, reports: &[JobReport]) -> Result<(), CommandError> {
    match reports {
        [report] => out.json(report),
        several => out.json(&json!({ "jobs": several })),
    }
}

/// Writes the faults of an upload as JSON where JSON is asked for, by kind with count and first
/// places, and returns the error.
pub fn tell_faults<R>(
    out: &mut AnswerWriter<'_>,
    format: ReportFormat,
    result: Result<R, Error>,
) -> Result<R, CommandError> {
    if let (ReportFormat::Json, Err(Error::Sync(SyncError::Faults(faults)))) = (format, &result) {
        out.json(&json!({ "faults": faults }))?;
    }
    Ok(result?)
}

/// Returns the exit code of jobs that ran; a held job counts as refused.
pub fn exit_code(reports: &[JobReport]) -> u8 {
    let held = reports.iter().any(|report| report.status == JobStatus::Held);
    if held { REFUSED } else { 0 }
}

/// Prints the reports of jobs: a line each, the counts of all in one table, then the points that
/// need attention. `again` is the command that made them, for advice on how to repeat it.
pub fn print(
    context: &mut CommandContext<'_>,
    reports: &[JobReport],
    again: Option<&str>,
) -> Result<(), CommandError> {
    let out = &mut context.out;
    for report in reports {
        writeln!(out, "{}", headline(out, report))?;
    }
    if reports.is_empty() {
        writeln!(out, "no rows, so no job")?;
    } else if !out.quiet {
        writeln!(out)?;
        counts(reports).print(out, RowFormat::Table)?;
    }
    for report in reports {
        attention(context, report, again)?;
    }
    Ok(())
}

/// Prints the parts of a report beside its counts: skipped rows, deletions in other scopes, reasons
/// for a hold.
pub fn attention(
    context: &mut CommandContext<'_>,
    report: &JobReport,
    again: Option<&str>,
) -> Result<(), CommandError> {
    skipped(&mut context.out, report, SKIPPED_SHOWN)?;
    foreign(&mut context.out, report)?;
    held(context, report, again)
}

/// `okta  DIFF  entities 60 = 58 created + 2 updated; relationships 0  job 0198…`
fn headline(out: &AnswerWriter<'_>, report: &JobReport) -> String {
    let mut text = format!("{}  {}", out.bold(&clean(&report.scope)), report.sync_mode);
    for (noun, tally) in [("entities", report.entities), ("relationships", report.relationships)] {
        if tally != JobTally::default() {
            text.push_str(&format!("  {noun} {}", sum(tally)));
        }
    }
    if report.is_quiet() && report.status == JobStatus::Finished {
        text.push_str("  = no changes");
    }
    let id = out.id(report.id);
    let held = || out.paint(NOTICE, "! held");
    text.push_str(&match (report.dry_run, report.status) {
        (true, _) => "  (dry run: nothing has changed)".to_owned(),
        (_, JobStatus::Finished) => format!("  job {id}"),
        (_, JobStatus::Held) => format!("  {}, nothing has changed  job {id}", held()),
        (_, JobStatus::Aborted) => format!("  aborted, nothing has changed  job {id}"),
        (_, JobStatus::Refused) => {
            format!("  {}, nothing has changed", out.paint(BAD, "! refused"))
        }
        (_, JobStatus::AwaitingUploads) => format!("  open, takes uploads  job {id}"),
    });
    text
}

/// `60 = 58 created + 2 updated, 1 deleted`: a count and its parts.
fn sum(tally: JobTally) -> String {
    let told = tally.created + tally.updated + tally.unchanged + tally.skipped;
    let parts = [
        (tally.created, "created"),
        (tally.updated, "updated"),
        (tally.unchanged, "unchanged"),
        (tally.skipped, "skipped"),
        // With --ignore-duplicates only the last row of a key counts. Of a job that was given up
        // nothing is counted.
        (if told == 0 { 0 } else { tally.uploaded.saturating_sub(told) }, "repeated"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{} {word}", thousands(*n)))
        .collect();
    let mut text = thousands(tally.uploaded);
    if !parts.is_empty() {
        text.push_str(&format!(" = {}", parts.join(" + ")));
    }
    if tally.deleted > 0 {
        text.push_str(&format!(", {} deleted", thousands(tally.deleted)));
    }
    text
}

/// Columns of counts.
const COUNTS: [&str; 6] = ["uploaded", "created", "updated", "deleted", "unchanged", "skipped"];

/// Makes a row for each scope and kind.
fn counts(reports: &[JobReport]) -> RowListing {
    let mut listing = RowListing::new(&[
        ("scope", "SCOPE"),
        ("kind", "KIND"),
        ("uploaded", "UPLOADED"),
        ("created", "CREATED"),
        ("updated", "UPDATED"),
        ("deleted", "DELETED"),
        ("unchanged", "UNCHANGED"),
        ("skipped", "SKIPPED"),
    ])
    .counting(&COUNTS);
    for report in reports {
        for (kind, tally) in
            [("entities", report.entities), ("relationships", report.relationships)]
        {
            // A job that changed nothing still has a row, so that no scope is missing from the
            // table.
            if tally != JobTally::default() || kind == "entities" && report.is_quiet() {
                add(&mut listing, &report.scope, kind, tally);
            }
        }
    }
    listing
}

fn add(listing: &mut RowListing, scope: &str, kind: &str, t: JobTally) {
    listing.row([
        json!(scope),
        json!(kind),
        json!(t.uploaded),
        json!(t.created),
        json!(t.updated),
        json!(t.deleted),
        json!(t.unchanged),
        json!(t.skipped),
    ]);
}

/// Prints the counts of one report by `_type`.
pub fn types(out: &mut AnswerWriter<'_>, report: &JobReport) -> Result<(), CommandError> {
    let mut listing = RowListing::new(&[
        ("scope", "SCOPE"),
        ("type", "TYPE"),
        ("uploaded", "UPLOADED"),
        ("created", "CREATED"),
        ("updated", "UPDATED"),
        ("deleted", "DELETED"),
        ("unchanged", "UNCHANGED"),
        ("skipped", "SKIPPED"),
    ])
    .counting(&COUNTS);
    for (name, tally) in &report.types {
        add(&mut listing, &report.scope, name, *tally);
    }
    if !listing.is_empty() {
        writeln!(out)?;
        listing.print(out, RowFormat::Table)?;
    }
    Ok(())
}

/// Prints what was left out by reason, the most frequent first: `shown` reasons, each with the
/// first places.
pub fn skipped(out: &mut AnswerWriter<'_>, report: &JobReport, shown: usize) -> io::Result<()> {
    if report.skipped_total == 0 {
        return Ok(());
    }
    let sign = out.sign('!');
    writeln!(
        out,
        "\n{sign} {} skipped in scope `{}`:",
        thousands(report.skipped_total),
        clean(&report.scope)
    )?;
    let reasons = by_reason(&report.skipped);
    for rows in reasons.iter().take(shown) {
        let named = rows.iter().take(SKIPPED_EACH).map(|row| match &row.place {
            Some(place) => format!("{} {}", clean(place), clean(&row.key)),
            None => clean(&row.key).into_owned(),
        });
        let mut named = named.collect::<Vec<_>>().join(", ");
        let more = rows.len().saturating_sub(SKIPPED_EACH);
        if more > 0 {
            named.push_str(&format!(", … {} more", thousands(more as u64)));
        }
        match rows.len() {
            1 => writeln!(out, "  {}: {named}", clean(&rows[0].reason))?,
            n => writeln!(out, "  {} × {}: {named}", thousands(n as u64), clean(&rows[0].reason))?,
        }
    }
    let told: usize = reasons.iter().take(shown).map(Vec::len).sum();
    let more = report.skipped.len() - told;
    let all = if report.skipped_left_out == 0 { "lists all" } else { "lists them" };
    if more > 0 {
        let reasons = counted((reasons.len() - shown) as u64, "other reason", "other reasons");
        writeln!(out, "  … {} more for {reasons} (-o json {all})", thousands(more as u64))?;
    }
    if report.skipped_left_out > 0 {
        writeln!(out, "  … {} more are only counted", thousands(report.skipped_left_out))?;
    }
    Ok(())
}

/// Groups what was left out by the reason: the largest group first, else in the order given.
fn by_reason(skipped: &[SkippedObject]) -> Vec<Vec<&SkippedObject>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut groups: Vec<Vec<&SkippedObject>> = Vec::new();
    for row in skipped {
        let at = *places.entry(&row.reason).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(row);
    }
    groups.sort_by_key(|rows| std::cmp::Reverse(rows.len()));
    groups
}

fn foreign(out: &mut AnswerWriter<'_>, report: &JobReport) -> io::Result<()> {
    for (scope, &n) in &report.foreign_deletions {
        let sign = out.sign('-');
        writeln!(
            out,
            "{sign} {} of scope `{}` went with their entities; its own job brings them back",
            counted(n, "relationship", "relationships"),
            clean(scope)
        )?;
    }
    Ok(())
}

/// Prints the reasons why a job is held, the keys it would delete, and the exact commands to go on.
fn held(
    context: &mut CommandContext<'_>,
    report: &JobReport,
    again: Option<&str>,
) -> Result<(), CommandError> {
    let Some(held) = &report.held else { return Ok(()) };
    let db = context.db_flag();
    let out = &mut context.out;
    let title = out.paint(NOTICE.bold(), "! HELD");
    writeln!(out, "\n{title}  scope `{}` stays as it is:", clean(&report.scope))?;
    for reason in &held.reasons {
        writeln!(out, "  {}", clean(reason))?;
    }
    let deletes = report.entities.deleted + report.relationships.deleted;
    let total = deletes.max(held.deletes.len() as u64);
    for key in held.deletes.iter().take(DELETES_SHOWN) {
        let sign = out.sign('-');
        writeln!(out, "  {sign} {}", clean(key))?;
    }
    let more = total - held.deletes.len().min(DELETES_SHOWN) as u64;
    if more > 0 {
        writeln!(out, "  … {} more to delete (-o json lists the first 50)", thousands(more))?;
    }
    // A dry run leaves no job behind that could be approved or aborted.
    if report.dry_run {
        writeln!(out, "  {}", clean(&held.override_hint))?;
        return Ok(());
    }
    let id = out.id(report.id);
    writeln!(out, "  to run it after all   tombolo{db} job approve {id}")?;
    writeln!(out, "  to drop it            tombolo{db} job abort {id}")?;
    match again {
        Some(again) => writeln!(out, "  to allow it at once   {again} --allow-deletes {total}")?,
        None => writeln!(out, "  to allow it at once   sync again with --allow-deletes {total}")?,
    }
    Ok(())
}

/// Returns the time at which a job ended or, if it has not, began.
pub fn time(out: &AnswerWriter<'_>, report: &JobReport) -> String {
    when(out, report.end_timestamp.unwrap_or(report.start_timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_is_followed_by_what_makes_it_up() {
        let tally = JobTally {
            uploaded: 1060,
            created: 1058,
            updated: 2,
            deleted: 3,
            ..JobTally::default()
        };
        assert_eq!(sum(tally), "1060 = 1058 created + 2 updated, 3 deleted");
        let twice = JobTally { uploaded: 148, created: 74, ..JobTally::default() };
        assert_eq!(sum(twice), "148 = 74 created + 74 repeated");
        assert_eq!(sum(JobTally::default()), "0");
    }
}
