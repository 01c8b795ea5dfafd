//! `tombolo history`: every version of an object, and the job behind each.

use super::args::{HistoryArgs, RowFormat};
use super::failure::CommandError;
use super::output::{AnswerWriter, RowListing, clean, counted, rfc3339_text, when};
use super::{CommandContext, change_text, question};
use serde_json::json;
use std::io::Write;
use tombolo::answers::{ObjectHistoryAnswer, ObjectHistoryRequest, VersionEntry, VersionEvent};

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &HistoryArgs) -> Result<u8, CommandError> {
    let meter = context.meter();
    let (database, snapshot) = context.look()?;
    let request = ObjectHistoryRequest { object: args.object.clone() };
    let found = request.ask(&question(&database, &snapshot, &meter))?;
    let out = &mut context.out;
    match args.output {
        RowFormat::Json => out.document(&found)?,
        RowFormat::Ndjson => found.versions.iter().try_for_each(|entry| out.ndjson(entry))?,
        RowFormat::Csv => rows(&found).print(out, RowFormat::Csv)?,
        RowFormat::Table => table(out, &found)?,
    }
    Ok(0)
}

fn word(event: VersionEvent) -> (char, &'static str) {
    match event {
        VersionEvent::Created => ('+', "created"),
        VersionEvent::Known => ('=', "known"),
        VersionEvent::Updated => ('~', "updated"),
        VersionEvent::Deleted => ('-', "deleted"),
        VersionEvent::Returned => ('+', "returned"),
    }
}

fn table(out: &mut AnswerWriter<'_>, found: &ObjectHistoryAnswer) -> Result<(), CommandError> {
    let gone = if found.live { "" } else { ", deleted" };
    let heading = format!(
        "{} `{}` of scope `{}` ({}{gone}), {}",
        found.kind,
        clean(&found.key),
        clean(&found.scope),
        clean(&found.type_name),
        counted(found.versions.len() as u64, "version", "versions")
    );
    out.line("", &heading, "  ")?;
    if !found.complete {
        writeln!(out, "what was before is not kept: `[history] keep` says how long `gc` keeps it")?;
    }
    writeln!(out)?;
    for entry in &found.versions {
        print_version(out, entry)?;
    }
    Ok(())
}

fn print_version(out: &mut AnswerWriter<'_>, entry: &VersionEntry) -> Result<(), CommandError> {
    let (sign, word) = word(entry.event);
    let (sign, job) = (out.sign(sign), out.id(entry.job));
    let origin = match &entry.origin {
        Some(origin) if !origin.file.is_empty() => {
            format!("  row {}:{}", clean(&origin.file), origin.line)
        }
        _ => String::new(),
    };
    let text = format!(
        "{sign} {}  {word}  by job {job} (source {}){origin}",
        when(out, entry.time),
        clean(&entry.source)
    );
    out.line("", &text, "    ")?;
    for property in &entry.properties {
        out.line("      ", &change_text::difference(property), "        ")?;
    }
    Ok(())
}

/// A row for each property of each version.
fn rows(found: &ObjectHistoryAnswer) -> RowListing {
    let mut listing = RowListing::new(&[
        ("time", "WHEN"),
        ("event", "EVENT"),
        ("version", "VERSION"),
        ("job", "JOB"),
        ("source", "SOURCE"),
        ("property", "PROPERTY"),
        ("before", "BEFORE"),
        ("after", "AFTER"),
    ]);
    for entry in &found.versions {
        let mut row = |property: serde_json::Value, before, after| {
            listing.row([
                json!(rfc3339_text(entry.time)),
                json!(word(entry.event).1),
                json!(entry.version),
                json!(entry.job.to_string()),
                json!(entry.source),
                property,
                before,
                after,
            ]);
        };
        if entry.properties.is_empty() {
            row(json!(null), json!(null), json!(null));
        }
        for property in &entry.properties {
            row(json!(property.name), json!(property.before), json!(property.after));
        }
    }
    listing
}
