//! The contents of the graph: `get` one entity, list the `scopes`, count with `stats`.

use super::CommandContext;
use super::args::{
    DeleteRelationshipsArgs, GetArgs, ListingArgs, ReportFormat, RowFormat, ScopesAction,
    ScopesArgs,
};
use super::failure::{CommandError, inconsistent};
use super::layout::{padded, unbreakable, width};
use super::naming::{self, RelationshipHead};
use super::output::{
    AnswerWriter, RowListing, bytes, clean, counted, rfc3339_text, thousands, when,
};
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use tombolo::graph::{
    AdjacencyRead, CLASS_SEPARATOR, EdgeDirection, Entity, EntityHead, GraphRead, NameLookup,
    ObjectKind, fold_name, fold_verb,
};
use tombolo::limits::CostMeter;
use tombolo::store::{ScopeRow, Snapshot};
use tombolo::sync::JobReport;

/// Neighbours of one group that a table shows; JSON has all.
const NEIGHBOURS: usize = 6;
/// Names of properties wider than this do not push the others' values to the right.
const NAME_MAX: usize = 32;

/// One relationship of an entity, and the entity at its other end.
#[derive(Serialize)]
struct NeighborEntity {
    direction: &'static str,
    relationship: RelationshipHead,
    entity: EntityHead,
}

/// `tombolo get`.
pub fn get(context: &mut CommandContext<'_>, args: &GetArgs) -> Result<u8, CommandError> {
    let meter = context.meter()?;
    let database = context.open()?;
    let snapshot = database.snapshot()?;
    let number = database.find_entity(&snapshot, &args.entity)?;
    let entity = snapshot
        .entity(number)?
        .ok_or_else(|| inconsistent(format_args!("entity number {number} is missing")))?;
    let near = sorted_neighbors(&snapshot, &meter, number)?;
    let out = &mut context.out;
    match args.output {
        ReportFormat::Json => {
            let relationships = NeighborList::new(&snapshot, &near);
            let written =
                out.json(&EntityDocument { entity: &entity, relationships: &relationships });
            // The serializer carries only its own error, so the true one is taken from beside it.
            relationships.fault.into_inner().map_or(written, Err)?;
        }
        ReportFormat::Table => {
            print_entity(out, &entity)?;
            print_neighbours(out, &snapshot, &near)?;
        }
    }
    Ok(0)
}

/// A relationship of an entity, with the keys that sort it among the others. Names are given by
/// their rank in the order of names, so that a million relationships take some tens of megabytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct NeighborRank {
    back: bool,
    class: u32,
    type_name: u32,
    scope: u32,
    key: Box<str>,
    relationship: u32,
    other: u32,
}

/// Reads the relationships of an entity, in the order in which they are shown.
fn sorted_neighbors(
    snapshot: &Snapshot,
    meter: &CostMeter,
    number: u32,
) -> Result<Vec<NeighborRank>, CommandError> {
    let mut edges = Vec::new();
    for direction in [EdgeDirection::Out, EdgeDirection::In] {
        snapshot.for_each_edge(number, direction, |edge| {
            edges.push((edge.other, edge.relationship, edge.verb, direction == EdgeDirection::In));
        })?;
    }
    meter.hold(
        (edges.len() * (size_of::<NeighborRank>() + size_of::<(u32, u32, u32, bool)>())) as u64,
    )?;
    let rank = name_ranks(snapshot);
    let rank = |name: u32| rank.get(&name).copied().unwrap_or(u32::MAX);
    // Heads are read in the order of their numbers, so that each block of the file is read once.
    edges.sort_unstable();
    let mut all = Vec::with_capacity(edges.len());
    for (other, relationship, verb, back) in edges {
        meter.work(1)?;
        let missing = || inconsistent(format_args!("entity number {other} is missing"));
        let head = snapshot.head(ObjectKind::Entity, other)?.ok_or_else(missing)?;
        meter.hold(head.key.len() as u64 + 16)?;
        all.push(NeighborRank {
            back,
            class: rank(verb),
            type_name: rank(head.type_name),
            scope: rank(head.scope),
            key: head.key,
            relationship,
            other,
        });
    }
    // The order of the fields of a row is the order of the answer.
    all.sort_unstable();
    Ok(all)
}

/// Returns the rank of each name, by number, in the order of names.
fn name_ranks(snapshot: &Snapshot) -> FxHashMap<u32, u32> {
    let mut order: Vec<(String, u32)> = Vec::new();
    snapshot.for_each_name(&mut |number, name| order.push((name.to_owned(), number)));
    order.sort_unstable();
    order.into_iter().map(|(_, number)| number).zip(0..).collect()
}

/// Relationships that are named together: many of them are neighbours in the file.
const NAMED_AT_ONCE: usize = 4_096;

/// Reads the names of these relationships and of the entities at their other ends.
fn named(snapshot: &Snapshot, near: &[NeighborRank]) -> Result<Vec<NeighborEntity>, CommandError> {
    let relationships: Vec<u32> = near.iter().map(|near| near.relationship).collect();
    let others: Vec<u32> = near.iter().map(|near| near.other).collect();
    let links = naming::links(snapshot, &relationships)?;
    let entities = naming::entities(snapshot, &others)?;
    let each = near.iter().zip(links.into_iter().zip(entities));
    Ok(each
        .map(|(near, (relationship, entity))| NeighborEntity {
            direction: if near.back { "in" } else { "out" },
            relationship,
            entity,
        })
        .collect())
}

/// An entity with its relationships, as one document.
#[derive(Serialize)]
struct EntityDocument<'a> {
    entity: &'a Entity,
    relationships: &'a NeighborList<'a>,
}

/// Relationships that are named only as they are written.
struct NeighborList<'a> {
    snapshot: &'a Snapshot,
    near: &'a [NeighborRank],
    /// The error that stopped the naming.
    fault: RefCell<Option<CommandError>>,
}

impl<'a> NeighborList<'a> {
    fn new(snapshot: &'a Snapshot, near: &'a [NeighborRank]) -> NeighborList<'a> {
        NeighborList { snapshot, near, fault: RefCell::new(None) }
    }
}

impl Serialize for NeighborList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(Some(self.near.len()))?;
        for some in self.near.chunks(NAMED_AT_ONCE) {
            let named = named(self.snapshot, some).map_err(|failure| {
                *self.fault.borrow_mut() = Some(failure);
                serde::ser::Error::custom("a relationship cannot be named")
            })?;
            named.iter().try_for_each(|neighbour| all.serialize_element(neighbour))?;
        }
        all.end()
    }
}

fn print_entity(out: &mut AnswerWriter<'_>, entity: &Entity) -> Result<(), CommandError> {
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

fn print_neighbours(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    near: &[NeighborRank],
) -> Result<(), CommandError> {
    let title = counted(near.len() as u64, "relationship", "relationships");
    writeln!(out, "\n{title}")?;
    let same = |a: &NeighborRank, b: &NeighborRank| {
        (a.back, a.class, a.type_name, a.scope) == (b.back, b.class, b.type_name, b.scope)
    };
    for group in near.chunk_by(same) {
        // Only the neighbours that are shown are named; a group may have a million.
        let shown = named(snapshot, &group[..group.len().min(NEIGHBOURS)])?;
        let (first, arrow) = (&shown[0], if group[0].back { '←' } else { '→' });
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

/// Returns the scopes, sorted by name.
fn rows(snapshot: &Snapshot) -> Result<Vec<(String, ScopeRow)>, CommandError> {
    let mut rows: Vec<(String, ScopeRow)> = snapshot
        .scope_rows()?
        .into_iter()
        .map(|(number, row)| (snapshot.name(number).to_owned(), row))
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(rows)
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
    let snapshot = context.open()?.snapshot()?;
    let out = &mut context.out;
    let mut listing = RowListing::new(&[
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
            // A report that cannot be read costs its row the time, not the whole list.
            let report: JobReport = serde_json::from_slice(&job.report).ok()?;
            report.end_timestamp
        });
        let time = match args.output {
            RowFormat::Table => json!(time.map(|time| when(out, time))),
            _ => json!(time.map(rfc3339_text)),
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
pub fn stats(context: &mut CommandContext<'_>, args: &ListingArgs) -> Result<u8, CommandError> {
    let size = std::fs::metadata(context.path()).map_or(0, |m| m.len());
    let snapshot = context.open()?.snapshot()?;
    let rows = rows(&snapshot)?;
    let types = types(&snapshot, &rows);
    let classes = classes(&snapshot, &rows);
    let spellings = spellings(&snapshot, &rows);
    let total = |kind: ObjectKind| rows.iter().map(|(_, row)| row.count(kind).live).sum::<u64>();
    let deleted: u64 = rows.iter().flat_map(|(_, row)| &row.counts).map(|c| c.deleted).sum();
    let file = context.path().display().to_string();
    let (entities, relationships) = (total(ObjectKind::Entity), total(ObjectKind::Relationship));
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
        // CSV and NDJSON hold rows of one shape, so they list the types alone.
        rows => types.print(out, rows)?,
    }
    Ok(0)
}

/// Counts live objects by scope, kind and type.
fn types(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> RowListing {
    let mut listing = RowListing::new(&[
        ("scope", "SCOPE"),
        ("kind", "KIND"),
        ("type", "TYPE"),
        ("live", "LIVE"),
    ])
    .counting(&["live"]);
    for (scope, row) in rows {
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            let types: BTreeMap<&str, u64> =
                row.count(kind).types.iter().map(|(&t, &n)| (snapshot.name(t), n)).collect();
            for (name, n) in types {
                listing.row([json!(scope), json!(kind.plural()), json!(name), json!(n)]);
            }
        }
    }
    listing
}

/// Lists the verbs and classes that live objects spell in several ways.
fn spellings(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> RowListing {
    let mut listing = RowListing::new(&[("kind", "KIND"), ("spellings", "SPELLINGS")]);
    for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
        let fold = if kind == ObjectKind::Entity { fold_name } else { fold_verb };
        let mut known: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
        for (&set, &n) in rows.iter().flat_map(|(_, row)| &row.count(kind).classes) {
            let set = snapshot.name(set).split(CLASS_SEPARATOR).filter(|class| !class.is_empty());
            for name in set {
                *known.entry(fold(name)).or_default().entry(name).or_default() += n;
            }
        }
        for spellings in known.into_values().filter(|spellings| spellings.len() > 1) {
            let noun = if kind == ObjectKind::Entity { "class" } else { "verb" };
            let each = spellings.iter().map(|(name, n)| format!("{name} ({n})"));
            listing.row([json!(noun), json!(each.collect::<Vec<_>>().join(", "))]);
        }
    }
    listing
}

/// Counts live objects by class; an entity of two classes counts in both.
fn classes(snapshot: &Snapshot, rows: &[(String, ScopeRow)]) -> RowListing {
    let mut listing = RowListing::new(&[("kind", "KIND"), ("class", "CLASS"), ("live", "LIVE")])
        .counting(&["live"]);
    for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
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
