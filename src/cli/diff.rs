//! `tombolo diff`: what changed between two states.

use super::args::{DiffArgs, DiffFormat};
use super::failure::{CommandError, FAILED};
use super::output::{AnswerWriter, clean, counted, thousands};
use super::{CommandContext, change_text, impact, point, question};
use std::io::Write;
use tombolo::answers::{ChangeCounts, DiffAnswer, DiffRequest, ImpactTargets};
use tombolo::db::StateRecord;
use tombolo::sync::{ChangeAction, ChangeDetails};

/// Changes that a table lists unless told; JSON has all.
const LISTED: usize = 50;

/// Runs the command: exit code 1 when anything changed and that was asked.
pub fn run(context: &mut CommandContext<'_>, args: &DiffArgs) -> Result<u8, CommandError> {
    let meter = context.meter();
    let rules = context.rules()?;
    let database = context.open()?;
    let from = database.state_at(&point(&args.from)?)?;
    let to = match &args.to {
        Some(to) => database.state_at(&point(to)?)?,
        None => database.newest_state()?,
    };
    let default = match args.output {
        DiffFormat::Table | DiffFormat::Markdown => Some(LISTED),
        DiffFormat::Json | DiffFormat::Ndjson => None,
    };
    let request = DiffRequest {
        scopes: args.scope.clone(),
        classes: args.class.clone(),
        types: args.types.clone(),
        skip: 0,
        max: args.max.or(default),
        impact: ImpactTargets { entities: args.impact.clone(), classes: args.impact_class.clone() },
    };
    let snapshot = database.snapshot()?;
    let found = request.ask(&question(&database, &snapshot, &meter), from, to, &rules)?;
    let out = &mut context.out;
    match args.output {
        DiffFormat::Json => out.document(&found)?,
        DiffFormat::Ndjson => found.changes.iter().try_for_each(|change| out.ndjson(change))?,
        DiffFormat::Table => table(out, &found)?,
        DiffFormat::Markdown => markdown(out, &found)?,
    }
    let changed = found.total != ChangeCounts::default();
    Ok(if changed && args.exit_code { FAILED } else { 0 })
}

/// A state for people: `2026-11-24T10:00:00Z, revision 12 (job 2f41… of scope okta)`.
pub fn state_text(out: &AnswerWriter<'_>, state: &StateRecord) -> String {
    let job = match (&state.job, &state.scope) {
        (Some(job), Some(scope)) => format!(" (job {} of scope `{}`)", out.id(*job), clean(scope)),
        _ => String::new(),
    };
    format!("{}, revision {}{job}", state.time_text(), state.revision)
}

fn counts(counts: &ChangeCounts) -> String {
    format!(
        "+{} ~{} -{}",
        thousands(counts.created),
        thousands(counts.updated),
        thousands(counts.deleted)
    )
}

fn table(out: &mut AnswerWriter<'_>, found: &DiffAnswer) -> Result<(), CommandError> {
    let lines = [("from", &found.from), ("to  ", &found.to)];
    for (word, state) in lines {
        let text = format!("{word} {}", state_text(out, state));
        out.line("", &text, "     ")?;
    }
    if found.total == ChangeCounts::default() {
        writeln!(out, "nothing changed")?;
    } else {
        writeln!(out)?;
        for change in &found.changes {
            change_text::print(out, change)?;
        }
        match found.left_out() {
            0 => writeln!(out)?,
            more => {
                writeln!(out, "… {} more (--max N, or -o json, lists more)\n", thousands(more))?;
            }
        }
        for row in &found.by_type {
            let of = format!("{} {} @{}", row.type_name, row.kind, row.scope);
            writeln!(out, "  {:<16} {}", counts(&row.counts), clean(&of))?;
        }
        writeln!(out, "{} in all", counts(&found.total))?;
    }
    if let Some(compared) = &found.impact {
        impact::print(compared, out)?;
    }
    Ok(())
}

/// A text inside of a cell of a table.
fn cell(text: &str) -> String {
    clean(text).replace('|', "\\|").replace('`', "'")
}

fn markdown(out: &mut AnswerWriter<'_>, found: &DiffAnswer) -> Result<(), CommandError> {
    let (from, to) = (state_text(out, &found.from), state_text(out, &found.to));
    writeln!(out, "**{}** from {from} to {to}\n", counts(&found.total).replace('~', "\\~"))?;
    if found.total != ChangeCounts::default() {
        writeln!(out, "| scope | kind | type | new | changed | deleted |")?;
        writeln!(out, "| --- | --- | --- | ---: | ---: | ---: |")?;
        for row in &found.by_type {
            let ChangeCounts { created, updated, deleted } = row.counts;
            let (scope, type_name) = (cell(&row.scope), cell(&row.type_name));
            let kind = row.kind;
            writeln!(
                out,
                "| {scope} | {kind} | {type_name} | {created} | {updated} | {deleted} |"
            )?;
        }
        writeln!(out, "\n<details><summary>{}</summary>\n", listed(found))?;
        for change in &found.changes {
            writeln!(out, "- {}", markdown_line(change))?;
        }
        writeln!(out, "\n</details>")?;
    }
    if let Some(compared) = &found.impact {
        writeln!(out, "\n```text")?;
        impact::print(compared, out)?;
        writeln!(out, "```")?;
    }
    Ok(())
}

fn listed(found: &DiffAnswer) -> String {
    let listed = counted(found.changes.len() as u64, "change", "changes");
    match found.left_out() {
        0 => listed,
        more => format!("{listed}, {} more are not listed", thousands(more)),
    }
}

fn markdown_line(change: &ChangeDetails) -> String {
    let word = match change.action {
        ChangeAction::Create | ChangeAction::Revive => "new",
        ChangeAction::Update => "changed",
        ChangeAction::Delete => "deleted",
    };
    let named = match &change.ends {
        Some((from, to)) => {
            let verb = change.classes.first().map_or("", String::as_str);
            format!("{} -{}-> {}", cell(from), cell(verb), cell(to))
        }
        None => cell(&change.key),
    };
    let mut line =
        format!("{word} `{named}` ({}, {})", cell(&change.type_name), cell(&change.scope));
    for property in &change.properties {
        line.push_str(&format!("; `{}`", cell(&change_text::difference(property))));
    }
    line
}
