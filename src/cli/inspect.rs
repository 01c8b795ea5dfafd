//! The contents of the graph: `get` one entity, list the `scopes`, count with `stats`.

use super::args::{
    DeleteRelationshipsArgs, GetArgs, ListingArgs, ReportFormat, RowFormat, ScopesAction,
    ScopesArgs,
};
use super::failure::CommandError;
use super::layout::{padded, unbreakable, width};
use super::naming;
use super::output::{
    AnswerWriter, RowListing, bytes, clean, counted, rfc3339_text, thousands, when,
};
use super::{CommandContext, question};
use serde_json::json;
use std::io::Write;
use tombolo::answers::{EntityAnswer, ScopesAnswer, StatsAnswer};

/// Neighbours of one group that a table shows; JSON has all.
const NEIGHBOURS: usize = 6;
/// Names of properties wider than this do not push the others' values to the right.
const NAME_MAX: usize = 32;

/// `tombolo get`.
pub fn get(context: &mut CommandContext<'_>, args: &GetArgs) -> Result<u8, CommandError> {
    let meter = context.meter();
    let database = context.open_at(&args.past)?;
    let snapshot = database.snapshot()?;
    let found = args.request().ask(&question(&database, &snapshot, &meter))?;
    let out = &mut context.out;
    match args.output {
        ReportFormat::Json => out.document(&found)?,
        ReportFormat::Table => {
            print_entity(out, &found)?;
            print_neighbours(out, &found)?;
        }
    }
    Ok(0)
}

fn print_entity(out: &mut AnswerWriter<'_>, found: &EntityAnswer<'_>) -> Result<(), CommandError> {
    let entity = &found.entity;
    let metadata = &entity.metadata;
    let deleted =
        metadata.end_on.map(|end| format!("   {} deleted {}", out.sign('!'), when(out, end)));
    let property = |name: &str| entity.properties.iter().find(|(known, _)| known == name);
    let name = property("displayName").and_then(|(_, value)| value.as_str());
    let heading = format!(
        "{}  (@{})  {} [{}]{}",
        naming::title(out, name, &entity.key),
        clean(&entity.scope),
        clean(&entity.type_name),
        clean(&entity.classes.join(", ")),
        deleted.unwrap_or_default()
    );
    out.line("", &heading, "  ")?;
    let names: Vec<String> =
        entity.properties.iter().map(|(name, _)| clean(name).into_owned()).collect();
    let columns = names.iter().map(|name| width(name)).max().unwrap_or(0).min(NAME_MAX);
    for ((property, value), name) in entity.properties.iter().zip(&names) {
        let mut text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if found.pinned.iter().any(|(pinned, _)| pinned == property) {
            text.push_str("  (pinned)");
        }
        let start = format!("  {}  ", padded(name, columns, false));
        out.line(&start, &clean(&text), &" ".repeat(columns + 4))?;
    }
    if let Some(raw) = &entity.raw_data {
        writeln!(out, "  _rawData  {} (-o json shows it)", bytes(raw.len() as u64))?;
    }
    let (created, begun) = (when(out, metadata.created_on), when(out, metadata.begin_on));
    let (job, id) = (out.id(metadata.job_id), out.id(entity.id));
    let version = metadata.version;
    out.line("\n", &format!("first seen {created}, version {version} since {begun}"), "  ")?;
    out.line("", &format!("by job {job} (source {})", clean(&metadata.source)), "  ")?;
    Ok(writeln!(out, "_id {id}")?)
}

fn print_neighbours(
    out: &mut AnswerWriter<'_>,
    found: &EntityAnswer<'_>,
) -> Result<(), CommandError> {
    let near = &found.near;
    let title = counted(near.len() as u64, "relationship", "relationships");
    writeln!(out, "\n{title}")?;
    for group in near.chunk_by(|a, b| a.alike(b)) {
        // Only the neighbours that are shown are named; a group may have a million.
        let shown = found.named(&group[..group.len().min(NEIGHBOURS)])?;
        let (first, arrow) = (&shown[0], if group[0].points_back() { '←' } else { '→' });
        let names: Vec<String> =
            shown.iter().map(|n| unbreakable(&naming::shown(out, &n.entity))).collect();
        let more = match group.len().saturating_sub(NEIGHBOURS) {
            0 => String::new(),
            more => format!(", … {} more (-o json lists all)", thousands(more as u64)),
        };
        let text = format!(
            "{} {arrow} {} @{} ({})   {}{more}",
            clean(&first.relationship.class),
            clean(&first.entity.type_name),
            clean(&first.entity.scope),
            thousands(group.len() as u64),
            names.join(", ")
        );
        out.line("  ", &text, "      ")?;
    }
    Ok(())
}

/// `tombolo scopes`.
pub fn scopes(context: &mut CommandContext<'_>, args: &ScopesArgs) -> Result<u8, CommandError> {
    match &args.action {
        Some(ScopesAction::Delete(delete)) => delete_edges(context, delete),
        None => list_scopes(context, &args.listing),
    }
}

fn delete_edges(
    context: &mut CommandContext<'_>,
    args: &DeleteRelationshipsArgs,
) -> Result<u8, CommandError> {
    let report = context.open()?.delete_edges_of(&args.edges_of, &args.reason)?;
    let deleted = report.relationships.deleted;
    let scope = clean(&args.edges_of).into_owned();
    let edges = counted(deleted, "relationship", "relationships");
    let id = context.out.id(report.id);
    let sign = context.out.sign('-');
    writeln!(context.out, "{sign} {edges} of scope `{scope}` deleted   job {id}")?;
    let db = context.db_flag();
    context.out.next(&format!("to bring them back: tombolo{db} job undo {id}"))?;
    Ok(0)
}

fn list_scopes(context: &mut CommandContext<'_>, args: &ListingArgs) -> Result<u8, CommandError> {
    let found = ScopesAnswer::read(&context.open_at(&args.past)?.snapshot()?)?;
    let out = &mut context.out;
    if args.output == RowFormat::Json {
        out.document(&found)?;
        return Ok(0);
    }
    let mut listing = RowListing::new(&[
        ("scope", "SCOPE"),
        ("entities", "ENTITIES"),
        ("relationships", "RELATIONSHIPS"),
        ("deleted", "DELETED"),
        ("lastJob", "LAST JOB"),
        ("lastChange", "CHANGED"),
    ])
    .counting(&["entities", "relationships", "deleted"]);
    for row in found.scopes {
        let table = args.output == RowFormat::Table;
        let time = |time| if table { when(out, time) } else { rfc3339_text(time) };
        let job = |id: uuid::Uuid| if table { out.id(id) } else { id.to_string() };
        listing.row([
            json!(row.scope),
            json!(row.entities),
            json!(row.relationships),
            json!(row.deleted),
            json!(row.last_job.map(job)),
            json!(row.last_change.map(time)),
        ]);
    }
    listing.print(out, args.output)?;
    Ok(0)
}

/// `tombolo stats`.
pub fn stats(context: &mut CommandContext<'_>, args: &ListingArgs) -> Result<u8, CommandError> {
    let database = context.open_at(&args.past)?;
    let found = StatsAnswer::read(&database, &database.snapshot()?)?;
    let out = &mut context.out;
    match args.output {
        RowFormat::Json => out.document(&found)?,
        RowFormat::Table => print_stats(out, &found)?,
        // CSV and NDJSON hold rows of one shape, so they list the types alone.
        rows => types(&found).print(out, rows)?,
    }
    Ok(0)
}

fn print_stats(out: &mut AnswerWriter<'_>, found: &StatsAnswer) -> Result<(), CommandError> {
    writeln!(
        out,
        "{}: {}, {} and {} in {}, {}, revision {}\n",
        clean(&found.file),
        bytes(found.bytes),
        counted(found.entities, "entity", "entities"),
        counted(found.relationships, "relationship", "relationships"),
        counted(found.scopes as u64, "scope", "scopes"),
        counted(found.deleted, "tombstone", "tombstones"),
        found.revision
    )?;
    types(found).print(out, RowFormat::Table)?;
    writeln!(out)?;
    let mut classes = RowListing::new(&[("kind", "KIND"), ("class", "CLASS"), ("live", "LIVE")])
        .counting(&["live"]);
    for row in &found.classes {
        classes.row([json!(row.kind), json!(row.class), json!(row.live)]);
    }
    classes.print(out, RowFormat::Table)?;
    if !found.spellings.is_empty() {
        writeln!(out, "\nspelled in several ways, and matched in any:\n")?;
        let mut spellings = RowListing::new(&[("kind", "KIND"), ("spellings", "SPELLINGS")]);
        for row in &found.spellings {
            spellings.row([json!(row.kind), json!(row.spellings)]);
        }
        spellings.print(out, RowFormat::Table)?;
    }
    Ok(())
}

/// Makes a row for each type of each scope.
fn types(found: &StatsAnswer) -> RowListing {
    let mut listing = RowListing::new(&[
        ("scope", "SCOPE"),
        ("kind", "KIND"),
        ("type", "TYPE"),
        ("live", "LIVE"),
    ])
    .counting(&["live"]);
    for row in &found.types {
        listing.row([json!(row.scope), json!(row.kind), json!(row.type_name), json!(row.live)]);
    }
    listing
}
