//! `tombolo blast-radius`: everything that the compromise or failure of an entity reaches.
//!
//! The walk itself is the library's and passes through everything; class and scope only choose
//! what is reported. Heads are read for what is reported and for what leads there, no more.

use super::Context;
use super::args::{BlastRadius, GraphFormat, RowFormat};
use super::ask::{self, Step, Walk};
use super::failure::Failure;
use super::naming::{self, Link};
use super::output::{Listing, Out, counted, thousands, took};
use super::picture::Drawing;
use super::tree::{Node, Tree};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};
use tombolo::graph::{EntityHead, Kind, Names};
use tombolo::store::{Snapshot, split_classes};

/// An entity that was reached, and the last link of its shortest chain.
struct Reached {
    entity: EntityHead,
    distance: u32,
    link: Link,
    /// Number of the entity before it in the chain.
    from: u32,
    /// `_id` of that entity.
    from_id: String,
    /// Whether it passed the filters, or is only on the way to one that did.
    reported: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    root: &'a EntityHead,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roots: &'a [EntityHead],
    total: usize,
    by_distance: BTreeMap<u32, u64>,
    reached: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    entity: &'a EntityHead,
    distance: u32,
    via: Via<'a>,
}

#[derive(Serialize)]
struct Via<'a> {
    relationship: &'a Link,
    from: &'a str,
}

impl Reached {
    fn line(&self) -> Line<'_> {
        Line {
            entity: &self.entity,
            distance: self.distance,
            via: Via { relationship: &self.link, from: &self.from_id },
        }
    }
}

/// Runs the command.
pub fn run(context: &mut Context<'_>, args: &BlastRadius) -> Result<u8, Failure> {
    let begun = Instant::now();
    let rules = ask::rules(args.propagation.as_deref())?;
    let (database, snapshot) = context.look()?;
    let mut roots = Vec::new();
    for name in &args.entities {
        let root = database.find_entity(&snapshot, name)?;
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    let verbs = ask::verbs(&snapshot, &args.verb)?;
    let walk = Walk { depth: args.depth, direction: args.direction, verbs: &verbs, rules };
    let steps = ask::blast(&snapshot, &roots, &walk)?;
    let heads = naming::entities(&snapshot, &roots)?;
    let reached = name_all(&snapshot, &heads, steps, &filter(&snapshot, args)?)?;
    print(&mut context.out, &snapshot, args.output, &heads, &reached, begun.elapsed())?;
    Ok(0)
}

/// Which scopes and class sets are reported; `None` is all of them.
struct Filter {
    scopes: Option<FxHashSet<u32>>,
    class_sets: Option<FxHashSet<u32>>,
}

fn filter(snapshot: &Snapshot, args: &BlastRadius) -> Result<Filter, Failure> {
    let classes = naming::spellings(snapshot, "class", &args.class)?;
    let scopes: Result<FxHashSet<u32>, Failure> =
        args.scope.iter().map(|name| naming::scope(snapshot, name)).collect();
    let wanted =
        |set: &u32| split_classes(snapshot.name(*set)).iter().any(|class| classes.contains(class));
    let class_sets = snapshot.words().numbers().filter(wanted).collect();
    Ok(Filter {
        scopes: Some(scopes?).filter(|_| !args.scope.is_empty()),
        class_sets: Some(class_sets).filter(|_| !args.class.is_empty()),
    })
}

impl Filter {
    fn takes(&self, snapshot: &Snapshot, entity: u32) -> Result<bool, Failure> {
        if self.scopes.is_none() && self.class_sets.is_none() {
            return Ok(true);
        }
        let Some(facts) = snapshot.facts(Kind::Entity, entity)? else { return Ok(false) };
        Ok(self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&facts.scope))
            && self.class_sets.as_ref().is_none_or(|sets| sets.contains(&facts.class)))
    }
}

/// Names what is reported and what leads there, ordered by distance, scope, key.
fn name_all(
    snapshot: &Snapshot,
    roots: &[EntityHead],
    mut steps: Vec<Step>,
    filter: &Filter,
) -> Result<Vec<Reached>, Failure> {
    steps.sort_unstable_by_key(|step| step.distance);
    let mut needed: FxHashSet<u32> = FxHashSet::default();
    let mut kept: Vec<(Step, bool)> = Vec::new();
    // Backwards, so that whatever hangs below an entity has spoken before it.
    for step in steps.into_iter().rev() {
        let reported = filter.takes(snapshot, step.entity)?;
        if reported || needed.contains(&step.entity) {
            needed.insert(step.from);
            kept.push((step, reported));
        }
    }
    let numbers: Vec<u32> = kept.iter().map(|(step, _)| step.entity).collect();
    let entities = naming::entities(snapshot, &numbers)?;
    let known = roots.iter().chain(&entities);
    let keys: FxHashMap<u32, &str> = known.map(|e| (e.number, e.key.as_str())).collect();
    let links = naming::links_of(snapshot, kept.iter().map(|(step, _)| step), &keys)?;
    let ids: FxHashMap<u32, String> = roots
        .iter()
        .chain(entities.iter().filter(|entity| needed.contains(&entity.number)))
        .map(|entity| (entity.number, entity.id.to_string()))
        .collect();
    let mut reached: Vec<Reached> = kept
        .into_iter()
        .zip(entities.into_iter().zip(links))
        .map(|((step, reported), (entity, link))| Reached {
            entity,
            distance: step.distance,
            link,
            from: step.from,
            from_id: ids.get(&step.from).cloned().unwrap_or_default(),
            reported,
        })
        .collect();
    reached.sort_by(|a, b| {
        let key = |r: &Reached| r.distance;
        key(a)
            .cmp(&key(b))
            .then_with(|| a.entity.scope.cmp(&b.entity.scope))
            .then_with(|| a.entity.key.cmp(&b.entity.key))
    });
    Ok(reached)
}

fn print(
    out: &mut Out<'_>,
    snapshot: &Snapshot,
    format: GraphFormat,
    roots: &[EntityHead],
    reached: &[Reached],
    time: Duration,
) -> Result<(), Failure> {
    match format {
        GraphFormat::Table => table(out, roots, reached, time),
        GraphFormat::Json => json(out, roots, reached),
        GraphFormat::Ndjson => answer(reached).try_for_each(|r| out.ndjson(&r.line())),
        GraphFormat::Csv => rows(reached).print(out, RowFormat::Csv),
        GraphFormat::Dot => draw(out, snapshot, Drawing::Dot, roots, reached),
        GraphFormat::Mermaid => draw(out, snapshot, Drawing::Mermaid, roots, reached),
        GraphFormat::Graphml => draw(out, snapshot, Drawing::Graphml, roots, reached),
    }
}

/// What is reported of all that was kept.
fn answer(reached: &[Reached]) -> impl Iterator<Item = &Reached> {
    reached.iter().filter(|r| r.reported)
}

fn by_distance(reached: &[Reached]) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    answer(reached).for_each(|r| *counts.entry(r.distance).or_default() += 1);
    counts
}

fn json(out: &mut Out<'_>, roots: &[EntityHead], reached: &[Reached]) -> Result<(), Failure> {
    let Some(root) = roots.first() else { return Ok(()) };
    out.json(&Answer {
        root,
        roots: if roots.len() > 1 { roots } else { &[] },
        total: answer(reached).count(),
        by_distance: by_distance(reached),
        reached: answer(reached).map(Reached::line).collect(),
    })
}

fn rows(reached: &[Reached]) -> Listing {
    let mut listing = Listing::new(&[
        ("distance", "DISTANCE"),
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
    ]);
    for r in answer(reached) {
        listing.row([
            json!(r.distance),
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
        ]);
    }
    listing
}

/// The picture also shows what is only on the way: an arrow needs both ends.
fn draw(
    out: &mut Out<'_>,
    snapshot: &Snapshot,
    drawing: Drawing,
    roots: &[EntityHead],
    reached: &[Reached],
) -> Result<(), Failure> {
    let entities: Vec<&EntityHead> =
        roots.iter().chain(reached.iter().map(|r| &r.entity)).collect();
    let links: Vec<&Link> = reached.iter().map(|r| &r.link).collect();
    drawing.draw(out, snapshot, &entities, &links)
}

fn table(
    out: &mut Out<'_>,
    roots: &[EntityHead],
    reached: &[Reached],
    time: Duration,
) -> Result<(), Failure> {
    let total = answer(reached).count() as u64;
    let counts = by_distance(reached);
    let scopes: FxHashSet<&str> = answer(reached).map(|r| r.entity.scope.as_str()).collect();
    let names: Vec<String> = roots.iter().map(|root| naming::heading(out, root)).collect();
    let hops = u64::from(counts.keys().next_back().copied().unwrap_or(0));
    let summary = format!(
        "{}   {} in {}, {}, {}",
        names.join(" + "),
        counted(total, "entity", "entities"),
        counted(hops, "hop", "hops"),
        counted(scopes.len() as u64, "scope", "scopes"),
        took(time)
    );
    out.line("", &summary, "  ")?;
    if total == 0 {
        return Ok(writeln!(out, "= nothing is reached")?);
    }
    let counts: Vec<String> =
        counts.iter().map(|(hop, &n)| format!("{hop}: {}", thousands(n))).collect();
    out.line("", &format!("by distance   {}", counts.join("   ")), "  ")?;
    let nodes = nodes(roots, reached);
    let mut tree = Tree::new(&nodes);
    for root in roots {
        if roots.len() > 1 {
            let name = naming::shown(out, root);
            out.line("", &name, "  ")?;
        }
        tree.print(out, root.number)?;
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

fn nodes(roots: &[EntityHead], reached: &[Reached]) -> Vec<Node> {
    let scopes: FxHashMap<u32, &str> = roots
        .iter()
        .chain(reached.iter().map(|r| &r.entity))
        .map(|entity| (entity.number, entity.scope.as_str()))
        .collect();
    reached
        .iter()
        .map(|r| {
            let type_name = &r.entity.type_name;
            let kind = match scopes.get(&r.from) == Some(&r.entity.scope.as_str()) {
                true => type_name.clone(),
                false => format!("{type_name} @{}", r.entity.scope),
            };
            Node {
                number: r.entity.number,
                parent: r.from,
                key: r.entity.key.clone(),
                display: r.entity.display_name.clone(),
                kind,
                verb: r.link.class.clone(),
                forward: r.link.from == r.from,
                reported: r.reported,
                mark: None,
            }
        })
        .collect()
}
