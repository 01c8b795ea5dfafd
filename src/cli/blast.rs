//! `tombolo blast-radius`: everything that the compromise or failure of an entity reaches.

use super::args::{BlastRadiusArgs, GraphFormat, RowFormat};
use super::failure::CommandError;
use super::naming;
use super::notes;
use super::output::{AnswerWriter, BAD, NOTICE, RowListing, counted, duration_text, thousands};
use super::picture::DrawingFormat;
use super::tree::{TreeDrawing, TreeNode};
use super::{CommandContext, question};
use anstyle::{AnsiColor, Style};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};
use tombolo::answers::{BlastRadiusAnswer, NamedVisit, RelationshipHead};
use tombolo::graph::EntityHead;
use tombolo::rules::ImpactState;
use tombolo::store::Snapshot;

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &BlastRadiusArgs) -> Result<u8, CommandError> {
    let begun = Instant::now();
    if args.propagation.is_some() {
        return Err(CommandError::mistake("`--propagation` is gone: rules live in `tombolo.toml`")
            .hint(
                "write `[[impact]]` tables there, as `tombolo impact-rules -o toml` prints them",
            ));
    }
    let meter = context.meter();
    args.drawing.check()?;
    let rules = context.rules()?;
    let (database, snapshot) = context.look_at(&args.past)?;
    let found = args.request().ask(&question(&database, &snapshot, &meter), &rules)?;
    print(&found, &mut context.out, &snapshot, args, begun.elapsed())?;
    notes::tell(context, &found.notes)?;
    Ok(0)
}

fn print(
    found: &BlastRadiusAnswer,
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    args: &BlastRadiusArgs,
    time: Duration,
) -> Result<(), CommandError> {
    match args.drawing.output {
        GraphFormat::Table => table(found, out, time),
        GraphFormat::Json => out.document(found),
        GraphFormat::Ndjson => found.reported().try_for_each(|visit| out.ndjson(visit)),
        GraphFormat::Csv => rows(found).print(out, RowFormat::Csv),
        GraphFormat::Dot => draw(found, out, snapshot, DrawingFormat::Dot),
        GraphFormat::Mermaid => draw(found, out, snapshot, DrawingFormat::Mermaid),
        GraphFormat::Graphml => draw(found, out, snapshot, DrawingFormat::Graphml),
        GraphFormat::Svg | GraphFormat::Html => {
            let asked = (&args.request(), found);
            args.drawing.print_picture(out, snapshot, asked, &args.past)
        }
    }
}

/// Prints the names of the roots with the size of the answer.
fn summary(
    found: &BlastRadiusAnswer,
    out: &mut AnswerWriter<'_>,
    time: Duration,
) -> Result<(), CommandError> {
    let roots = &found.roots;
    let total = found.reported().count() as u64;
    let counts = found.by_distance();
    let scopes: FxHashSet<&str> = found.reported().map(|r| r.entity.scope.as_str()).collect();
    let names: Vec<String> = roots.iter().map(|root| naming::heading(out, root)).collect();
    let hops = u64::from(counts.keys().next_back().copied().unwrap_or(0));
    let summary = format!(
        "{}   {} in {}, {}, {}",
        names.join(" + "),
        counted(total, "entity", "entities"),
        counted(hops, "hop", "hops"),
        counted(scopes.len() as u64, "scope", "scopes"),
        duration_text(time)
    );
    Ok(out.line("", &summary, "  ")?)
}

/// Draws all visits, also those only on the way: an arrow needs both ends.
fn draw(
    found: &BlastRadiusAnswer,
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    drawing: DrawingFormat,
) -> Result<(), CommandError> {
    let mut seen: FxHashSet<u32> = FxHashSet::default();
    let mut drawn: FxHashSet<u32> = FxHashSet::default();
    let entities = found.roots.iter().chain(found.reached.iter().map(|r| &r.entity));
    let entities: Vec<&EntityHead> = entities.filter(|e| seen.insert(e.number)).collect();
    let links = found.reached.iter().map(|r| &r.link);
    let links: Vec<&RelationshipHead> = links.filter(|link| drawn.insert(link.number)).collect();
    drawing.draw(out, snapshot, &entities, &links)
}

fn table(
    found: &BlastRadiusAnswer,
    out: &mut AnswerWriter<'_>,
    time: Duration,
) -> Result<(), CommandError> {
    summary(found, out, time)?;
    let (roots, reached) = (&found.roots, &found.reached);
    if found.reported().count() == 0 {
        return Ok(writeln!(out, "= nothing is reached")?);
    }
    let list = |counts: Vec<(String, u64)>| {
        let counts = counts.into_iter().map(|(name, n)| format!("{name}: {}", thousands(n)));
        counts.collect::<Vec<_>>().join("   ")
    };
    if found.ruled {
        let counts = found.by_state();
        let counts = ImpactState::ALL.into_iter().filter_map(|state| {
            let count = *counts.get(state.word())?;
            (count > 0).then(|| (out.paint(style(state), state.word()), count))
        });
        let text = format!("by state      {}", list(counts.collect()));
        out.line("", &text, "  ")?;
    }
    let counts = found.by_distance().into_iter().map(|(hop, n)| (hop.to_string(), n)).collect();
    out.line("", &format!("by distance   {}", list(counts)), "  ")?;
    let nodes = nodes(roots, reached);
    let mut tree = TreeDrawing::new(&nodes);
    for (number, root) in (0u32..).zip(roots) {
        if roots.len() > 1 {
            let name = naming::shown(out, root);
            out.line("", &name, "  ")?;
        }
        tree.print(out, number)?;
    }
    match tree.not_drawn() {
        0 => Ok(()),
        n => {
            let count = counted(n as u64, "entity", "entities");
            let text =
                format!("… {count} not drawn: -o csv lists all, --depth N and --class C narrow it");
            Ok(out.line("", &text, "  ")?)
        }
    }
}

/// The colour of a state, which is always told in words as well.
const fn style(state: ImpactState) -> Style {
    match state {
        ImpactState::Controlled => BAD,
        ImpactState::Borrowed => NOTICE,
        ImpactState::Affected => AnsiColor::Magenta.on_default(),
    }
}

fn rows(found: &BlastRadiusAnswer) -> RowListing {
    let mut listing = RowListing::new(&[
        ("distance", "DISTANCE"),
        ("state", "STATE"),
        ("_scope", "SCOPE"),
        ("_key", "KEY"),
        ("_type", "TYPE"),
        ("_class", "CLASS"),
        ("displayName", "NAME"),
        ("_id", "ID"),
        ("viaClass", "VIA"),
        ("viaKey", "VIA KEY"),
        ("viaScope", "VIA SCOPE"),
        ("from", "FROM"),
        ("viaDirection", "DIRECTION"),
        ("fromState", "FROM STATE"),
    ]);
    for r in found.reported() {
        listing.row([
            json!(r.distance),
            json!(r.state.map(ImpactState::word)),
            json!(r.entity.scope),
            json!(r.entity.key),
            json!(r.entity.type_name),
            json!(r.entity.classes),
            json!(r.entity.display_name),
            json!(r.entity.id.to_string()),
            json!(r.link.class),
            json!(r.link.key),
            json!(r.link.scope),
            json!(r.from_id),
            json!(r.direction()),
            json!(r.from_state.map(ImpactState::word)),
        ]);
    }
    listing
}

/// Turns visits into nodes, numbered behind the roots. Visits, not entities, are the nodes: a chain
/// may lead through an entity in a weaker state than the strongest.
fn nodes(roots: &[EntityHead], reached: &[NamedVisit]) -> Vec<TreeNode> {
    let scopes: FxHashMap<u32, &str> = roots
        .iter()
        .chain(reached.iter().map(|r| &r.entity))
        .map(|entity| (entity.number, entity.scope.as_str()))
        .collect();
    let after = |number: u32| roots.len() as u32 + number;
    let root_of = |entity: u32| roots.iter().position(|root| root.number == entity);
    reached
        .iter()
        .map(|r| {
            let type_name = &r.entity.type_name;
            let kind = match scopes.get(&r.from) == Some(&r.entity.scope.as_str()) {
                true => type_name.clone(),
                false => format!("{type_name} @{}", r.entity.scope),
            };
            TreeNode {
                number: after(r.number),
                parent: match r.before {
                    Some(before) => after(before),
                    None => root_of(r.from).unwrap_or(0) as u32,
                },
                key: r.entity.key.clone(),
                display: r.entity.display_name.clone(),
                kind,
                verb: r.link.class.clone(),
                forward: r.link.from == r.from,
                reported: r.reported,
                mark: r.state.map(|state| (state.word(), style(state))),
            }
        })
        .collect()
}
