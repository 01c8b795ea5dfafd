//! `tombolo export`: the graph, or one scope of it, to standard output.
//!
//! Objects are written as they are read, in the order in which they are stored: that of their numbers,
//! unless there are so many that properties have to be read in several parts. NDJSON and JSON are what
//! `sync` reads: entities first, then relationships with the scopes of their ends.

use super::Context;
use super::args::{Export, ExportFormat};
use super::failure::{Failure, inconsistent};
use super::naming;
use super::output::Out;
use super::picture::{Arrow, Drawing};
use std::io::Write;
use tombolo::graph::{GraphRead, Kind};
use tombolo::store::{Head, Snapshot};

/// What is exported.
struct Choice {
    scope: Option<u32>,
    deleted: bool,
}

impl Choice {
    fn takes(&self, head: &Head) -> bool {
        (self.deleted || head.end == 0) && self.scope.is_none_or(|scope| scope == head.scope)
    }
}

/// Runs the command.
pub fn run(context: &mut Context<'_>, args: &Export) -> Result<u8, Failure> {
    let snapshot = context.open()?.snapshot()?;
    let scope = args.scope.as_ref().map(|name| naming::scope(&snapshot, name)).transpose()?;
    let choice = Choice { scope, deleted: args.include_deleted };
    let out = &mut context.out;
    match args.output {
        ExportFormat::Ndjson => ndjson(&snapshot, &choice, out)?,
        ExportFormat::Json => json(&snapshot, &choice, out)?,
        ExportFormat::Dot => draw(&snapshot, &choice, Drawing::Dot, out)?,
        ExportFormat::Mermaid => draw(&snapshot, &choice, Drawing::Mermaid, out)?,
        ExportFormat::Graphml => draw(&snapshot, &choice, Drawing::Graphml, out)?,
    }
    Ok(0)
}

/// Calls `visit` for the chosen objects of a kind, in the order in which they are stored.
fn each_stored(
    snapshot: &Snapshot,
    kind: Kind,
    choice: &Choice,
    mut visit: impl FnMut(u32) -> Result<(), Failure>,
) -> Result<(), Failure> {
    snapshot.for_each_stored(kind, choice.scope, |number, chunk, row| {
        let chosen = choice.deleted || chunk.live(row);
        if chosen { visit(number) } else { Ok(()) }
    })
}

/// Calls `visit` for the heads of the chosen objects of a kind, by ascending number.
fn each(
    snapshot: &Snapshot,
    kind: Kind,
    choice: &Choice,
    mut visit: impl FnMut(u32, &Head) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for number in 0..snapshot.meta().bound(kind) {
        // Numbers of purged objects name nothing.
        if let Some(head) = snapshot.head(kind, number)?.filter(|head| choice.takes(head)) {
            visit(number, &head)?;
        }
    }
    Ok(())
}

/// Writes an object as JSON on one line, without the end of the line.
fn object(snapshot: &Snapshot, kind: Kind, number: u32, out: &mut Out<'_>) -> Result<(), Failure> {
    let missing = || inconsistent(format_args!("object number {number} is missing"));
    match kind {
        Kind::Entity => {
            serde_json::to_writer(out, &snapshot.entity(number)?.ok_or_else(missing)?)?;
        }
        Kind::Relationship => {
            serde_json::to_writer(out, &snapshot.relationship(number)?.ok_or_else(missing)?)?;
        }
    }
    Ok(())
}

fn ndjson(snapshot: &Snapshot, choice: &Choice, out: &mut Out<'_>) -> Result<(), Failure> {
    for kind in [Kind::Entity, Kind::Relationship] {
        each_stored(snapshot, kind, choice, |number| {
            object(snapshot, kind, number, out)?;
            Ok(writeln!(out)?)
        })?;
    }
    Ok(())
}

fn json(snapshot: &Snapshot, choice: &Choice, out: &mut Out<'_>) -> Result<(), Failure> {
    for (kind, open) in [(Kind::Entity, "{"), (Kind::Relationship, ",")] {
        write!(out, "{open}\"{}\":[", kind.plural())?;
        let mut separator = "\n";
        each_stored(snapshot, kind, choice, |number| {
            write!(out, "{separator}")?;
            separator = ",\n";
            object(snapshot, kind, number, out)
        })?;
        writeln!(out, "]")?;
    }
    Ok(writeln!(out, "}}")?)
}

/// Nodes, then edges. An end that lies outside the chosen scope is drawn too: an arrow to nothing
/// would be dropped by most programs.
fn draw(
    snapshot: &Snapshot,
    choice: &Choice,
    drawing: Drawing,
    out: &mut Out<'_>,
) -> Result<(), Failure> {
    let mut wanted = vec![false; snapshot.meta().bound(Kind::Entity) as usize];
    each(snapshot, Kind::Relationship, choice, |_, head| {
        for end in [head.from, head.to] {
            if let Some(wanted) = wanted.get_mut(end as usize) {
                *wanted = true;
            }
        }
        Ok(())
    })?;
    each(snapshot, Kind::Entity, choice, |number, _| {
        wanted[number as usize] = true;
        Ok(())
    })?;
    drawing.begin(out)?;
    for number in (0u32..).zip(&wanted).filter(|(_, wanted)| **wanted).map(|(number, _)| number) {
        drawing.node(out, &naming::entity(snapshot, number)?)?;
    }
    each(snapshot, Kind::Relationship, choice, |number, _| {
        let link = naming::link(snapshot, number)?;
        Ok(drawing.edge(out, &Arrow::from(&link))?)
    })?;
    Ok(drawing.end(out)?)
}

impl<'a> From<&'a naming::Link> for Arrow<'a> {
    fn from(link: &'a naming::Link) -> Arrow<'a> {
        Arrow {
            from: link.from,
            to: link.to,
            class: &link.class,
            type_name: &link.type_name,
            scope: &link.scope,
            key: &link.key,
        }
    }
}
