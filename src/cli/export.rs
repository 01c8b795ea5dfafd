//! `tombolo export`: the graph, or one scope of it, to standard output.
//!
//! Objects are written as they are read, in the order in which they are stored. This is the order
//! of their numbers, unless there are so many that properties are read in several parts. `sync` can
//! read NDJSON and JSON back: entities come first, then relationships with the scopes of their
//! ends.

use super::CommandContext;
use super::args::{ExportArgs, ExportFormat};
use super::failure::{CommandError, inconsistent};
use super::graphml::{self, GraphmlAttributes};
use super::mermaid::TypeDiagram;
use super::output::AnswerWriter;
use super::picture::{self, DrawingFormat};
use std::io::Write;
use tombolo::answers;
use tombolo::graph::{GraphRead, NameLookup, ObjectKind, Value};
use tombolo::store::{ObjectHead, Snapshot};

/// The choice of objects to export.
struct ExportFilter {
    scope: Option<u32>,
    deleted: bool,
}

impl ExportFilter {
    fn takes(&self, head: &ObjectHead) -> bool {
        (self.deleted || head.end == 0) && self.scope.is_none_or(|scope| scope == head.scope)
    }
}

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &ExportArgs) -> Result<u8, CommandError> {
    let snapshot = context.open_at(&args.past)?.snapshot()?;
    let scope = args.scope.as_ref().map(|name| answers::scope(&snapshot, name)).transpose()?;
    let choice = ExportFilter { scope, deleted: args.include_deleted };
    let out = &mut context.out;
    match args.output {
        ExportFormat::Ndjson => ndjson(&snapshot, &choice, out)?,
        ExportFormat::Json => json(&snapshot, &choice, out)?,
        ExportFormat::Dot => dot(&snapshot, &choice, out)?,
        ExportFormat::Mermaid => mermaid(&snapshot, &choice, out)?,
        ExportFormat::Graphml => graphml(&snapshot, &choice, out)?,
    }
    Ok(0)
}

/// Calls `visit` for the chosen objects of a kind, in the order in which they are stored.
fn each_stored(
    snapshot: &Snapshot,
    kind: ObjectKind,
    choice: &ExportFilter,
    mut visit: impl FnMut(u32) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    snapshot.for_each_stored(kind, choice.scope, |number, chunk, row| {
        let chosen = choice.deleted || chunk.live(row);
        if chosen { visit(number) } else { Ok(()) }
    })
}

/// Calls `visit` for the heads of the chosen objects of a kind, by ascending number.
fn each(
    snapshot: &Snapshot,
    kind: ObjectKind,
    choice: &ExportFilter,
    mut visit: impl FnMut(u32, &ObjectHead) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    for number in 0..snapshot.meta().bound(kind) {
        // A purged object leaves a number without a head.
        if let Some(head) = snapshot.head(kind, number)?.filter(|head| choice.takes(head)) {
            visit(number, &head)?;
        }
    }
    Ok(())
}

/// Writes an object as JSON on one line, without the end of the line.
fn object(
    snapshot: &Snapshot,
    kind: ObjectKind,
    number: u32,
    pins: bool,
    out: &mut AnswerWriter<'_>,
) -> Result<(), CommandError> {
    let missing = || inconsistent(format_args!("object number {number} is missing"));
    match kind {
        ObjectKind::Entity => {
            let entity = snapshot.entity(number)?.ok_or_else(missing)?;
            let pinned = match snapshot.name_number(&entity.scope).filter(|_| pins) {
                Some(scope) => snapshot.pinned(scope, snapshot.hashed(entity.id))?,
                None => Vec::new(),
            };
            if pinned.is_empty() {
                serde_json::to_writer(out, &entity)?;
                return Ok(());
            }
            // Behind the other members, so that an upload pins the same properties.
            let text = serde_json::to_string(&entity)?;
            write!(out, "{}", &text[..text.len() - 1])?;
            for (at, (name, value)) in pinned.iter().enumerate() {
                let begin = if at == 0 { ",\"_pins\":{" } else { "," };
                write!(out, "{begin}{}:{value}", Value::Text(name.as_str().into()))?;
            }
            write!(out, "}}}}")?;
        }
        ObjectKind::Relationship => {
            serde_json::to_writer(out, &snapshot.relationship(number)?.ok_or_else(missing)?)?;
        }
    }
    Ok(())
}

fn ndjson(
    snapshot: &Snapshot,
    choice: &ExportFilter,
    out: &mut AnswerWriter<'_>,
) -> Result<(), CommandError> {
    let pins = snapshot.has_pins()?;
    for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
        each_stored(snapshot, kind, choice, |number| {
            object(snapshot, kind, number, pins, out)?;
            Ok(writeln!(out)?)
        })?;
    }
    Ok(())
}

fn json(
    snapshot: &Snapshot,
    choice: &ExportFilter,
    out: &mut AnswerWriter<'_>,
) -> Result<(), CommandError> {
    let pins = snapshot.has_pins()?;
    for (kind, open) in [(ObjectKind::Entity, "{"), (ObjectKind::Relationship, ",")] {
        write!(out, "{open}\"{}\":[", kind.plural())?;
        let mut separator = "\n";
        each_stored(snapshot, kind, choice, |number| {
            write!(out, "{separator}")?;
            separator = ",\n";
            object(snapshot, kind, number, pins, out)
        })?;
        writeln!(out, "]")?;
    }
    Ok(writeln!(out, "}}")?)
}

/// Returns the numbers of the entities to draw, ascending. An end outside the chosen scope is drawn
/// too, since most programs drop an arrow to nothing.
fn drawn(snapshot: &Snapshot, choice: &ExportFilter) -> Result<Vec<u32>, CommandError> {
    // One byte an entity, so that a large graph needs no set of numbers.
    let mut wanted = vec![false; snapshot.meta().bound(ObjectKind::Entity) as usize];
    each(snapshot, ObjectKind::Relationship, choice, |_, head| {
        for end in [head.from, head.to] {
            if let Some(wanted) = wanted.get_mut(end as usize) {
                *wanted = true;
            }
        }
        Ok(())
    })?;
    each(snapshot, ObjectKind::Entity, choice, |number, _| {
        wanted[number as usize] = true;
        Ok(())
    })?;
    let numbers = (0u32..).zip(wanted).filter(|(_, wanted)| *wanted).map(|(number, _)| number);
    Ok(numbers.collect())
}

/// Writes nodes, then edges, as they are read.
fn dot(
    snapshot: &Snapshot,
    choice: &ExportFilter,
    out: &mut AnswerWriter<'_>,
) -> Result<(), CommandError> {
    picture::dot_begin(out)?;
    for number in drawn(snapshot, choice)? {
        picture::dot_node(out, &answers::entity(snapshot, number)?)?;
    }
    each(snapshot, ObjectKind::Relationship, choice, |number, _| {
        Ok(picture::dot_edge(out, &answers::relationship(snapshot, number)?)?)
    })?;
    Ok(picture::dot_end(out)?)
}

/// Writes GraphML. Properties are declared before the first node, so all objects are read twice.
fn graphml(
    snapshot: &Snapshot,
    choice: &ExportFilter,
    out: &mut AnswerWriter<'_>,
) -> Result<(), CommandError> {
    let entities = drawn(snapshot, choice)?;
    let mut attributes = GraphmlAttributes::default();
    for &number in &entities {
        attributes.note(ObjectKind::Entity, &graphml::entity(snapshot, number)?.properties);
    }
    each(snapshot, ObjectKind::Relationship, choice, |number, _| {
        attributes.note(ObjectKind::Relationship, &graphml::link(snapshot, number)?.properties);
        Ok(())
    })?;
    attributes.begin(out)?;
    for number in entities {
        attributes.node(out, &graphml::entity(snapshot, number)?)?;
    }
    each(snapshot, ObjectKind::Relationship, choice, |number, _| {
        Ok(attributes.edge(out, &graphml::link(snapshot, number)?)?)
    })?;
    Ok(graphml::end(out)?)
}

/// More objects than this are counted by type as they are read: no flowchart could show them.
const FLOWCHART: usize = 20_000;

fn mermaid(
    snapshot: &Snapshot,
    choice: &ExportFilter,
    out: &mut AnswerWriter<'_>,
) -> Result<(), CommandError> {
    let numbers = drawn(snapshot, choice)?;
    let mut links = Vec::new();
    each(snapshot, ObjectKind::Relationship, choice, |number, _| {
        links.push(number);
        Ok(())
    })?;
    if numbers.len() + links.len() <= FLOWCHART {
        let entities = answers::entities(snapshot, &numbers)?;
        let links = answers::relationships(snapshot, &links)?;
        let entities: Vec<_> = entities.iter().collect();
        return DrawingFormat::Mermaid.draw(
            out,
            snapshot,
            &entities,
            &links.iter().collect::<Vec<_>>(),
        );
    }
    let kind = |number: u32| -> Result<(String, String), CommandError> {
        let missing = || inconsistent(format_args!("entity number {number} is missing"));
        let facts = snapshot.facts(ObjectKind::Entity, number)?.ok_or_else(missing)?;
        Ok((snapshot.name(facts.scope).to_owned(), snapshot.name(facts.type_name).to_owned()))
    };
    // Beyond the limit only counts by type are kept; the names of all objects would take far more
    // memory.
    let mut types = TypeDiagram::default();
    for number in numbers {
        types.entities(kind(number)?, 1);
    }
    each(snapshot, ObjectKind::Relationship, choice, |_, head| {
        types.link(&kind(head.from)?, snapshot.name(head.class), &kind(head.to)?);
        Ok(())
    })?;
    types.draw(out)
}
