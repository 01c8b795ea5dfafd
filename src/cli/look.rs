//! What is in the graph: `get` one entity, list the `scopes`, count with `stats`.

use super::Context;
use super::args::{
    DeleteEdges, Get, Listing as ListingArgs, ReportFormat, RowFormat, Scopes, ScopesAction,
};
use super::failure::{Failure, inconsistent};
use super::layout::{padded, together, width};
use super::naming::{self, Link};
use super::output::{Listing, Out, bytes, clean, counted, exactly, thousands, when};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use tombolo::graph::{
    Adjacency, CLASS_SEPARATOR, Direction, Entity, EntityHead, GraphRead, Kind, Names, fold_name,
    fold_verb,
};
use tombolo::store::{ScopeRow, Snapshot};
use tombolo::sync::JobReport;

/// Neighbours of one group that people see; programs see all.
const NEIGHBOURS: usize = 6;
/// Names of properties wider than this do not push the others' values to the right.
const NAME_MAX: usize = 32;

/// One relationship of an entity, and what is at its other end.
#[derive(Serialize)]
struct Neighbour {
    direction: &'static str,
    relationship: Link,
    entity: EntityHead,
}

/// `tombolo get`.
pub fn get(context: &mut Context<'_>, args: &Get) -> Result<u8, Failure> {
    let database = context.open()?;
    let snapshot = database.snapshot()?;
    let number = database.find_entity(&snapshot, &args.entity)?;
    let entity = snapshot
        .entity(number)?
        .ok_or_else(|| inconsistent(format_args!("entity number {number} is missing")))?;
    let neighbours = neighbours(&snapshot, number)?;
    let out = &mut context.out;
    match args.output {
        ReportFormat::Json => {
            out.json(&json!({ "entity": entity, "relationships": neighbours }))?;
        }
        ReportFormat::Table => {
            print_entity(out, &entity)?;
            print_neighbours(out, &neighbours)?;
        }
    }
    Ok(0)
}

fn neighbours(snapshot: &Snapshot, number: u32) -> Result<Vec<Neighbour>, Failure> {
    let mut found = Vec::new();
    for (direction, word) in [(Direction::Out, "out"), (Direction::In, "in")] {
        let mut edges = Vec::new();
        snapshot.for_each_edge(number, direction, |edge| edges.push(edge))?;
        let relationships: Vec<u32> = edges.iter().map(|edge| edge.relationship).collect();
        let others: Vec<u32> = edges.iter().map(|edge| edge.other).collect();
        let links = naming::links(snapshot, &relationships)?;
        let entities = naming::entities(snapshot, &others)?;
        found.extend(links.into_iter().zip(entities).map(|(relationship, entity)| Neighbour {
            direction: word,
            relationship,
            entity,
        }));
    }
    found.sort_by(|a, b| {
        let key = |n: &Neighbour| {
            (n.direction == "in", n.relationship.class.clone(), n.entity.type_name.clone())
        };
        key(a)
            .cmp(&key(b))
            .then_with(|| a.entity.scope.cmp(&b.entity.scope))
            .then_with(|| a.entity.key.cmp(&b.entity.key))
    });
    Ok(found)
}

fn print_entity(out: &mut Out<'_>, entity: &Entity) -> Result<(), Failure> {
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
    for ((_, value), name) in entity.properties.iter().zip(&names) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
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

fn print_neighbours(out: &mut Out<'_>, neighbours: &[Neighbour]) -> Result<(), Failure> {
    let title = counted(neighbours.len() as u64, "relationship", "relationships");
    writeln!(out, "\n{title}")?;
    let same = |a: &Neighbour, b: &Neighbour| {
        (a.direction, &a.relationship.class, &a.entity.type_name, &a.entity.scope)
            == (b.direction, &b.relationship.class, &b.entity.type_name, &b.entity.scope)
    };
    for group in neighbours.chunk_by(same) {
        let (first, arrow) = (&group[0], if group[0].direction == "out" { '→' } else { '←' });
        let names: Vec<String> = group
            .iter()
            .take(NEIGHBOURS)
            .map(|n| together(&naming::shown(out, &n.entity)))
            .collect();
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

/// The scopes by name.
fn rows(snapshot: &Snapshot) -> Result<Vec<(String, ScopeRow)>, Failure> {
    let mut rows: Vec<(String, ScopeRow)> = snapshot
        .scope_rows()?
        .into_iter()
        .map(|(number, row)| (snapshot.name(number).to_owned(), row))
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(rows)
}

/// `tombolo scopes`.
pub fn scopes(context: &mut Context<'_>, args: &Scopes) -> Result<u8, Failure> {
    match &args.action {
        Some(ScopesAction::Delete(delete)) => delete_edges(context, delete),
        None => list_scopes(context, &args.listing),
    }
}

fn delete_edges(context: &mut Context<'_>, args: &DeleteEdges) -> Result<u8, Failure> {
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

fn list_scopes(context: &mut Context<'_>, args: &ListingArgs) -> Result<u8, Failure> {
    let snapshot = context.open()?.snapshot()?;
    let out = &mut context.out;
    let mut listing = Listing::new(&[
        ("scope", "SCOPE"),
        ("entities", "ENTITIES"),
        ("relationships", "RELATIONSHIPS"),
        ("deleted", "DELETED"),
        ("lastJob", "LAST JOB"),
        ("lastChange", "CHANGED"),
    ])
    .counting(&["entities", "relationships", "deleted"]);
    for (scope, row) in rows(&snapshot)? {
        let [entities, relationships] = &row.counts;
        let job = match row.last_job {
            Some(sequence) => snapshot.job(sequence)?,
            None => None,
        };
        let time = job.as_ref().and_then(|job| {
            let report: JobReport = serde_json::from_slice(&job.report).ok()?;
            report.end_timestamp
        });
        let time = match args.output {
            RowFormat::Table => json!(time.map(|time| when(out, time))),
            _ => json!(time.map(exactly)),
        };
        listing.row([
            json!(scope),
            json!(entities.live),
            json!(relationships.live),
            json!(entities.deleted + relationships.deleted),
            json!(job.map(|job| match args.output {
                RowFormat::Table => out.id(job.id),
                _ => job.id.to_string(),
            })),
            time,
        ]);
    }
    listing.print(out, args.output)?;
    Ok(0)
}

/// `tombolo stats`.
pub fn stats(context: &mut Context<'_>, args: &ListingArgs) -> Result<u8, Failure> {
    let size = std::fs::metadata(context.path()).map_or(0, |m| m.len());
    let snapshot = context.open()?.snapshot()?;
    let rows = rows(&snapshot)?;
    let types = types(&snapshot, &rows);
    let classes = classes(&snapshot, &rows);
    let spellings = spellings(&snapshot, &rows);
    let total = |kind: Kind| rows.iter().map(|(_, row)| row.count(kind).live).sum::<u64>();
    let deleted: u64 = rows.iter().flat_map(|(_, row)| &row.counts).map(|c| c.deleted).sum();
    let file = context.path().display().to_string();
    let (entities, relationships) = (total(Kind::Entity), total(Kind::Relationship));
    let out = &mut context.out;
    match args.output {
        RowFormat::Json => out.json(&json!({
            "file": file,
            "bytes": size,
            "revision": snapshot.meta().revision,
            "jobs": snapshot.meta().next_job,
            "scopes": rows.len(),
            "entities": entities,
            "relationships": relationships,
            "deleted": deleted,
            "types": types.objects(),
            "classes": classes.objects(),
            "spellings": spellings.objects(),
        }))?,
        RowFormat::Table => {
            writeln!(
                out,
                "{}: {}, {} and {} in {}, {}, revision {}\n",
                clean(&file),
                bytes(size),
                counted(entities, "entity", "entities"),
                counted(relationships, "relationship", "relationships"),
                counted(rows.len() as u64, "scope", "scopes"),
                counted(deleted, "tombstone", "tombstones"),
                snapshot.meta().revision
            )?;
            types.print(out, RowFormat::Table)?;
            writeln!(out)?;
            classes.print(out, RowFormat::Table)?;
            if !spellings.is_empty() {
                writeln!(out, "\nspelled in several ways, and matched in any:\n")?;
                spellings.print(out, RowFormat::Table)?;
            }
        }
        rows => types.print(out, rows)?,
    }
    Ok(0)
}

/// Live objects by scope, kind and type.
fn types(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> Listing {
    let mut listing =
        Listing::new(&[("scope", "SCOPE"), ("kind", "KIND"), ("type", "TYPE"), ("live", "LIVE")])
            .counting(&["live"]);
    for (scope, row) in rows {
        for kind in [Kind::Entity, Kind::Relationship] {
            let types: BTreeMap<&str, u64> =
                row.count(kind).types.iter().map(|(&t, &n)| (snapshot.name(t), n)).collect();
            for (name, n) in types {
                listing.row([json!(scope), json!(kind.plural()), json!(name), json!(n)]);
            }
        }
    }
    listing
}

/// Verbs and classes of which several spellings live side by side.
fn spellings(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> Listing {
    let mut listing = Listing::new(&[("kind", "KIND"), ("spellings", "SPELLINGS")]);
    for kind in [Kind::Entity, Kind::Relationship] {
        let fold = if kind == Kind::Entity { fold_name } else { fold_verb };
        let mut known: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
        for (&set, &n) in rows.iter().flat_map(|(_, row)| &row.count(kind).classes) {
            let set = snapshot.name(set).split(CLASS_SEPARATOR).filter(|class| !class.is_empty());
            for name in set {
                *known.entry(fold(name)).or_default().entry(name).or_default() += n;
            }
        }
        for spellings in known.into_values().filter(|spellings| spellings.len() > 1) {
            let noun = if kind == Kind::Entity { "class" } else { "verb" };
            let each = spellings.iter().map(|(name, n)| format!("{name} ({n})"));
            listing.row([json!(noun), json!(each.collect::<Vec<_>>().join(", "))]);
        }
    }
    listing
}

/// Live objects by class; an entity of two classes counts in both.
fn classes(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> Listing {
    let mut listing =
        Listing::new(&[("kind", "KIND"), ("class", "CLASS"), ("live", "LIVE")]).counting(&["live"]);
    for kind in [Kind::Entity, Kind::Relationship] {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (&set, &n) in rows.iter().flat_map(|(_, row)| &row.count(kind).classes) {
            let set = snapshot.name(set).split(CLASS_SEPARATOR).filter(|class| !class.is_empty());
            set.for_each(|class| *counts.entry(class).or_default() += n);
        }
        for (class, n) in counts {
            listing.row([json!(kind.plural()), json!(class), json!(n)]);
        }
    }
    listing
}
