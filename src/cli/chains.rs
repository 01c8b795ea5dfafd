//! Questions whose answers are chains of relationships: `owners`, `path`, `cycles`.

use super::Context;
use super::args::{Cycles, GraphFormat, Owners, PathArgs, RowFormat};
use super::ask::{self, Owned, Step};
use super::failure::{FAILED, Failure};
use super::naming::{self, Link};
use super::output::{Listing, Out, clean, counted, thousands, took};
use super::picture::Drawing;
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde_json::json;
use std::io::Write;
use std::time::Instant;
use tombolo::db::Database;
use tombolo::graph::{EntityHead, GraphRead};
use tombolo::store::Snapshot;

/// One link of a chain and the entity that it leads to.
#[derive(Serialize)]
struct ChainLink {
    relationship: Link,
    entity: EntityHead,
}

/// A chain by name. `first` is where it begins.
struct Chain {
    first: EntityHead,
    links: Vec<ChainLink>,
}

impl Chain {
    /// Names the steps that lead away from `first`.
    fn read(snapshot: &Snapshot, first: u32, steps: &[Step]) -> Result<Chain, Failure> {
        let first = naming::entity(snapshot, first)?;
        let entities = steps.iter().map(|step| naming::entity(snapshot, step.entity));
        let entities = entities.collect::<Result<Vec<EntityHead>, Failure>>()?;
        let known = std::iter::once(&first).chain(&entities);
        let keys = known.map(|e| (e.number, e.key.as_str())).collect();
        let relationships = naming::links_of(snapshot, steps, &keys)?.into_iter();
        let links = relationships.zip(entities);
        let links = links.map(|(relationship, entity)| ChainLink { relationship, entity });
        Ok(Chain { links: links.collect(), first })
    }

    /// For people.
    fn shown(&self, out: &Out<'_>) -> String {
        text(&self.first, &self.links, |entity| naming::shown(out, entity))
    }

    fn entities(&self) -> impl Iterator<Item = &EntityHead> {
        std::iter::once(&self.first).chain(self.links.iter().map(|link| &link.entity))
    }
}

/// `alice -OWNS-> laptop <-HAS- site`.
fn text(first: &EntityHead, links: &[ChainLink], name: impl Fn(&EntityHead) -> String) -> String {
    let mut text = name(first);
    let mut at = first.number;
    for ChainLink { relationship, entity } in links {
        let verb = clean(&relationship.class);
        text.push_str(&match relationship.from == at {
            true => format!(" -{verb}-> "),
            false => format!(" <-{verb}- "),
        });
        text.push_str(&name(entity));
        at = entity.number;
    }
    text
}

/// An owner with the chain of evidence, which leads from the owner to the owned.
#[derive(Serialize)]
struct Owner {
    #[serde(flatten)]
    entity: EntityHead,
    chain: Vec<ChainLink>,
}

#[derive(Serialize)]
struct OwnersAnswer {
    entity: EntityHead,
    distance: Option<u32>,
    owners: Vec<Owner>,
}

/// `tombolo owners`.
pub fn owners(context: &mut Context<'_>, args: &Owners) -> Result<u8, Failure> {
    let (database, snapshot) = context.look()?;
    let entities = owned_entities(&database, &snapshot, args)?;
    let owner_classes = naming::spellings(&snapshot, "class", &args.owner_class)?;
    let mut answers = Vec::new();
    for owned in ask::owners(&snapshot, &entities, &owner_classes)? {
        if !args.orphans || owned.owners.is_empty() {
            answers.push(name_owners(&snapshot, owned)?);
        }
    }
    let out = &mut context.out;
    match (args.output, answers.as_slice()) {
        (RowFormat::Json, [answer]) if args.class.is_none() => out.json(answer)?,
        (RowFormat::Json, all) => out.json(&json!({ "answers": all }))?,
        (RowFormat::Ndjson, all) => all.iter().try_for_each(|answer| out.ndjson(answer))?,
        (RowFormat::Csv, all) => owner_rows(all, RowFormat::Csv).print(out, RowFormat::Csv)?,
        (RowFormat::Table, all) if args.class.is_some() => {
            owner_rows(all, RowFormat::Table).print(out, RowFormat::Table)?;
            owners_summary(out, args, entities.len(), all)?;
        }
        (RowFormat::Table, all) => {
            all.iter().try_for_each(|answer| owners_text(out, answer))?;
        }
    }
    Ok(0)
}

fn owned_entities(
    database: &Database,
    snapshot: &Snapshot,
    args: &Owners,
) -> Result<Vec<u32>, Failure> {
    let Some(class) = &args.class else {
        let find = |name: &String| Ok(database.find_entity(snapshot, name)?);
        return args.entities.iter().map(find).collect();
    };
    let mut found = Vec::new();
    for class in naming::spellings(snapshot, "class", std::slice::from_ref(class))? {
        found.extend(snapshot.entities_with(None, Some(&class))?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn name_owners(snapshot: &Snapshot, owned: Owned) -> Result<OwnersAnswer, Failure> {
    let mut owners = Vec::new();
    for (number, steps) in &owned.owners {
        let chain = Chain::read(snapshot, *number, steps)?;
        owners.push(Owner { entity: chain.first, chain: chain.links });
    }
    owners.sort_by(|a, b| {
        let key = |o: &Owner| (o.entity.scope.clone(), o.entity.key.clone());
        key(a).cmp(&key(b))
    });
    let entity = naming::entity(snapshot, owned.entity)?;
    Ok(OwnersAnswer { entity, distance: owned.distance, owners })
}

impl Owner {
    /// The chain, each entity by what `name` calls it.
    fn evidence(&self, name: impl Fn(&EntityHead) -> String) -> String {
        text(&self.entity, &self.chain, name)
    }

    /// The scopes whose jobs own the relationships of the chain.
    fn scopes(&self) -> String {
        let mut scopes: Vec<&str> = Vec::new();
        for link in &self.chain {
            if !scopes.contains(&link.relationship.scope.as_str()) {
                scopes.push(&link.relationship.scope);
            }
        }
        clean(&scopes.join(", ")).into_owned()
    }
}

fn owners_text(out: &mut Out<'_>, answer: &OwnersAnswer) -> Result<(), Failure> {
    let title = naming::heading(out, &answer.entity);
    let Some(distance) = answer.distance.filter(|_| !answer.owners.is_empty()) else {
        return Ok(out.line("", &format!("{title}   = no owner"), "  ")?);
    };
    let owners = counted(answer.owners.len() as u64, "owner", "owners");
    out.line("", &format!("{title}   {owners} at distance {distance}"), "  ")?;
    for owner in &answer.owners {
        let EntityHead { display_name, key, number, .. } = &owner.entity;
        // The chain begins with the owner, who is the answer.
        let chain = owner.evidence(|entity| match entity.number == *number {
            true => naming::title(out, display_name.as_deref(), key),
            false => naming::shown(out, entity),
        });
        let type_name = clean(&owner.entity.type_name);
        let text = format!("{chain}   ({type_name}, by {})", owner.scopes());
        out.line("  ", &text, "      ")?;
    }
    Ok(())
}

/// A row for each owner, and one for each entity without. People see names, programs keys.
fn owner_rows(answers: &[OwnersAnswer], format: RowFormat) -> Listing {
    let mut listing = Listing::new(&[
        ("scope", "SCOPE"),
        ("key", "ENTITY"),
        ("distance", "DISTANCE"),
        ("ownerScope", "OWNER SCOPE"),
        ("owner", "OWNER"),
        ("chain", "CHAIN"),
    ]);
    let name = |entity: &EntityHead| match format {
        RowFormat::Table => naming::label(entity.display_name.as_deref(), &entity.key),
        _ => entity.key.clone(),
    };
    for OwnersAnswer { entity, distance, owners } in answers {
        let (scope, key) = (json!(entity.scope), json!(name(entity)));
        if owners.is_empty() {
            listing.row([scope, key, json!(null), json!(null), json!(null), json!(null)]);
            continue;
        }
        for owner in owners {
            listing.row([
                scope.clone(),
                key.clone(),
                json!(distance),
                json!(owner.entity.scope),
                json!(name(&owner.entity)),
                json!(owner.evidence(name)),
            ]);
        }
    }
    listing
}

fn owners_summary(
    out: &mut Out<'_>,
    args: &Owners,
    asked: usize,
    answers: &[OwnersAnswer],
) -> Result<(), Failure> {
    let orphans = answers.iter().filter(|answer| answer.owners.is_empty()).count();
    let class = clean(args.class.as_deref().unwrap_or_default());
    let asked = counted(asked as u64, "entity", "entities");
    let share = counted(orphans as u64, "orphan", "orphans");
    Ok(writeln!(out, "\n{asked} of class {class}: {share}")?)
}

/// `tombolo path`.
pub fn path(context: &mut Context<'_>, args: &PathArgs) -> Result<u8, Failure> {
    let begun = Instant::now();
    let (database, snapshot) = context.look()?;
    let names = std::iter::once(&args.from).chain(&args.via).chain([&args.to]);
    let stops = names.map(|name| Ok(database.find_entity(&snapshot, name)?));
    let stops = stops.collect::<Result<Vec<u32>, Failure>>()?;
    let (verbs, denials) = ask::passable(&snapshot, &args.verb)?;
    let max = if args.all { args.max } else { 1 };
    let (total, found) = ask::paths(&snapshot, &stops, args.direction, &verbs, max)?;
    let chains = found.iter().map(|steps| Chain::read(&snapshot, stops[0], steps));
    let chains: Vec<Chain> = chains.collect::<Result<_, Failure>>()?;
    let ends = naming::entities(&snapshot, &stops)?;
    let (from, via, to) = (&ends[0], &ends[1..ends.len() - 1], &ends[ends.len() - 1]);
    let out = &mut context.out;
    match args.output {
        GraphFormat::Table => {
            let through = via.iter().map(|stop| format!(" by {}", naming::shown(out, stop)));
            let through: String = through.collect();
            let title =
                format!("{} to {}{through}", naming::shown(out, from), naming::shown(out, to));
            path_text(out, &title, (total, &chains), args, begun)?;
            if chains.is_empty() && !denials.is_empty() && !out.quiet {
                let verbs = clean(&denials.join(", ")).into_owned();
                writeln!(out, "not followed: {verbs}, unless --verb names it")?;
            }
        }
        GraphFormat::Json => {
            let mut answer = json!({
                "from": from,
                "to": to,
                "distance": chains.first().map(|chain| chain.links.len()),
                "total": total,
                "paths": chains.iter().map(|chain| &chain.links).collect::<Vec<_>>(),
            });
            if !via.is_empty() {
                answer["via"] = json!(via);
            }
            out.json(&answer)?;
        }
        GraphFormat::Ndjson => chains.iter().try_for_each(|chain| out.ndjson(&chain.links))?,
        GraphFormat::Csv => path_rows(&chains).print(out, RowFormat::Csv)?,
        GraphFormat::Dot => draw(out, &snapshot, Drawing::Dot, &chains)?,
        GraphFormat::Mermaid => draw(out, &snapshot, Drawing::Mermaid, &chains)?,
        GraphFormat::Graphml => draw(out, &snapshot, Drawing::Graphml, &chains)?,
    }
    Ok(if args.exit_code && chains.is_empty() { FAILED } else { 0 })
}

fn path_text(
    out: &mut Out<'_>,
    title: &str,
    (total, chains): (u64, &[Chain]),
    args: &PathArgs,
    begun: Instant,
) -> Result<(), Failure> {
    let Some(first) = chains.first() else {
        out.line("", &format!("{title}   = no chain, {}", took(begun.elapsed())), "  ")?;
        if args.direction != super::args::PathDirection::Both {
            out.next("--direction both also goes against the arrows")?;
        }
        return Ok(());
    };
    let chain_count = counted(total, "shortest chain", "shortest chains");
    let length = counted(first.links.len() as u64, "relationship", "relationships");
    let summary = format!("{title}   {chain_count} of {length}, {}", took(begun.elapsed()));
    out.line("", &summary, "  ")?;
    for chain in chains {
        let chain = chain.shown(out);
        out.line("  ", &chain, "      ")?;
    }
    let more = total.saturating_sub(chains.len() as u64);
    if more > 0 {
        let flag = if args.all { format!("--max {total}") } else { "--all".to_owned() };
        writeln!(out, "  … {} more ({flag})", thousands(more))?;
    }
    Ok(())
}

/// A row for each relationship of each chain.
fn path_rows(chains: &[Chain]) -> Listing {
    let mut listing = Listing::new(&[
        ("path", "PATH"),
        ("step", "STEP"),
        ("class", "VERB"),
        ("relationshipScope", "OWNED BY"),
        ("relationship", "RELATIONSHIP"),
        ("scope", "SCOPE"),
        ("key", "KEY"),
        ("type", "TYPE"),
    ]);
    for (path, chain) in chains.iter().enumerate() {
        for (step, link) in chain.links.iter().enumerate() {
            listing.row([
                json!(path + 1),
                json!(step + 1),
                json!(link.relationship.class),
                json!(link.relationship.scope),
                json!(link.relationship.key),
                json!(link.entity.scope),
                json!(link.entity.key),
                json!(link.entity.type_name),
            ]);
        }
    }
    listing
}

/// All chains in one picture; what they share is drawn once.
fn draw(
    out: &mut Out<'_>,
    snapshot: &Snapshot,
    drawing: Drawing,
    chains: &[Chain],
) -> Result<(), Failure> {
    let mut seen: FxHashSet<u32> = FxHashSet::default();
    let mut drawn: FxHashSet<&str> = FxHashSet::default();
    let entities = chains.iter().flat_map(Chain::entities);
    let entities: Vec<&EntityHead> = entities.filter(|e| seen.insert(e.number)).collect();
    let links = chains.iter().flat_map(|chain| &chain.links).map(|link| &link.relationship);
    let links: Vec<&Link> = links.filter(|link| drawn.insert(&link.id)).collect();
    drawing.draw(out, snapshot, &entities, &links)
}

/// A cycle by name.
struct Circle {
    members: Vec<EntityHead>,
    chain: Chain,
}

/// `tombolo cycles`.
pub fn cycles(context: &mut Context<'_>, args: &Cycles) -> Result<u8, Failure> {
    let (_, snapshot) = context.look()?;
    let verbs = ask::verbs(&snapshot, &args.verb)?;
    let mut cycles = Vec::new();
    for cycle in ask::cycles(&snapshot, &verbs)? {
        let first = cycle.chain.first().map_or(cycle.members[0], |step| step.from);
        cycles.push(Circle {
            members: naming::entities(&snapshot, &cycle.members)?,
            chain: Chain::read(&snapshot, first, &cycle.chain)?,
        });
    }
    let out = &mut context.out;
    let members = cycles.iter().map(|cycle| &cycle.members);
    match args.output {
        RowFormat::Table => cycles_text(out, &cycles)?,
        RowFormat::Json => out.json(&json!({
            "total": cycles.len(),
            "cycles": members.collect::<Vec<_>>(),
            "chains": cycles.iter().map(|cycle| &cycle.chain.links).collect::<Vec<_>>(),
        }))?,
        RowFormat::Ndjson => members.into_iter().try_for_each(|cycle| out.ndjson(cycle))?,
        RowFormat::Csv => cycle_rows(&cycles).print(out, RowFormat::Csv)?,
    }
    Ok(if args.exit_code && !cycles.is_empty() { FAILED } else { 0 })
}

/// Each cycle by its size and its shortest chain, which tells how it closes.
fn cycles_text(out: &mut Out<'_>, cycles: &[Circle]) -> Result<(), Failure> {
    if cycles.is_empty() {
        return Ok(writeln!(out, "= no cycles")?);
    }
    writeln!(out, "{}", counted(cycles.len() as u64, "cycle", "cycles"))?;
    for Circle { members, chain } in cycles {
        let size = counted(members.len() as u64, "entity", "entities");
        let more = match members.len().saturating_sub(chain.links.len()) {
            0 => String::new(),
            more => format!("   … {} more (-o json lists all)", thousands(more as u64)),
        };
        let text = format!("{size}   {}{more}", chain.shown(out));
        out.line("  ", &text, "      ")?;
    }
    Ok(())
}

fn cycle_rows(cycles: &[Circle]) -> Listing {
    let mut listing =
        Listing::new(&[("cycle", "CYCLE"), ("scope", "SCOPE"), ("key", "KEY"), ("type", "TYPE")]);
    for (number, cycle) in cycles.iter().enumerate() {
        for entity in &cycle.members {
            listing.row([
                json!(number + 1),
                json!(entity.scope),
                json!(entity.key),
                json!(entity.type_name),
            ]);
        }
    }
    listing
}
