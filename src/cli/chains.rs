//! Questions whose answers are chains of relationships: `owners`, `path`, `cycles`.

use super::Context;
use super::args::{Cycles, GraphFormat, Owners, PathArgs, RowFormat};
use super::ask::{self, Owned, Step};
use super::failure::{FAILED, Failure};
use super::naming::{self, Link};
use super::output::{Listing, Out, clean, counted, thousands, took};
use super::picture::{Arrow, Drawing};
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

    fn text(&self) -> String {
        text(&self.first, &self.links)
    }

    fn entities(&self) -> impl Iterator<Item = &EntityHead> {
        std::iter::once(&self.first).chain(self.links.iter().map(|link| &link.entity))
    }
}

/// `alice -OWNS-> laptop <-HAS- site`, for people.
fn text(first: &EntityHead, links: &[ChainLink]) -> String {
    let mut text = clean(&first.key).into_owned();
    let mut at = first.number;
    for ChainLink { relationship, entity } in links {
        let verb = clean(&relationship.class);
        text.push_str(&match relationship.from == at {
            true => format!(" -{verb}-> "),
            false => format!(" <-{verb}- "),
        });
        text.push_str(&clean(&entity.key));
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
    naming::known(&snapshot, "class", &args.owner_class)?;
    let mut answers = Vec::new();
    for owned in ask::owners(&snapshot, &entities, &args.owner_class)? {
        if !args.orphans || owned.owners.is_empty() {
            answers.push(name_owners(&snapshot, owned)?);
        }
    }
    let out = &mut context.out;
    match (args.output, answers.as_slice()) {
        (RowFormat::Json, [answer]) if args.class.is_none() => out.json(answer)?,
        (RowFormat::Json, all) => out.json(&json!({ "answers": all }))?,
        (RowFormat::Ndjson, all) => all.iter().try_for_each(|answer| out.ndjson(answer))?,
        (RowFormat::Csv, all) => owner_rows(all).print(out, RowFormat::Csv)?,
        (RowFormat::Table, all) if args.class.is_some() => {
            owner_rows(all).print(out, RowFormat::Table)?;
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
    naming::known(snapshot, "class", std::slice::from_ref(class))?;
    Ok(snapshot.entities_with(None, Some(class))?)
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
    /// The chain for people.
    fn evidence(&self) -> String {
        text(&self.entity, &self.chain)
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
    let title = out.bold(&clean(&answer.entity.key));
    write!(out, "{title}  (@{})   ", clean(&answer.entity.scope))?;
    let Some(distance) = answer.distance.filter(|_| !answer.owners.is_empty()) else {
        return Ok(writeln!(out, "= no owner")?);
    };
    writeln!(
        out,
        "{} at distance {distance}",
        counted(answer.owners.len() as u64, "owner", "owners")
    )?;
    let width = answer.owners.iter().map(|o| clean(&o.entity.key).chars().count()).max();
    let width = width.unwrap_or(0);
    for owner in &answer.owners {
        let (chain, scopes) = (owner.evidence(), owner.scopes());
        let (key, type_name) = (clean(&owner.entity.key), clean(&owner.entity.type_name));
        writeln!(out, "  {key:<width$}  {type_name}   {chain}   (by {scopes})")?;
    }
    Ok(())
}

/// A row for each owner, and one for each entity without.
fn owner_rows(answers: &[OwnersAnswer]) -> Listing {
    let mut listing = Listing::new(&[
        ("scope", "SCOPE"),
        ("key", "ENTITY"),
        ("distance", "DISTANCE"),
        ("ownerScope", "OWNER SCOPE"),
        ("owner", "OWNER"),
        ("chain", "CHAIN"),
    ]);
    for OwnersAnswer { entity, distance, owners } in answers {
        let (scope, key) = (json!(entity.scope), json!(entity.key));
        if owners.is_empty() {
            listing.row([scope, key, json!(null), json!(null), json!(null), json!(null)]);
            continue;
        }
        for owner in owners {
            let (owner_scope, owner_key) = (&owner.entity.scope, &owner.entity.key);
            listing.row([
                scope.clone(),
                key.clone(),
                json!(distance),
                json!(owner_scope),
                json!(owner_key),
                json!(owner.evidence()),
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
    let from = database.find_entity(&snapshot, &args.from)?;
    let to = database.find_entity(&snapshot, &args.to)?;
    naming::known(&snapshot, "verb", &args.verb)?;
    let max = if args.all { args.max } else { 1 };
    let (total, found) = ask::paths(&snapshot, from, to, args.direction, &args.verb, max)?;
    let chains = found.iter().map(|steps| Chain::read(&snapshot, from, steps));
    let chains: Vec<Chain> = chains.collect::<Result<_, Failure>>()?;
    let ends = (naming::entity(&snapshot, from)?, naming::entity(&snapshot, to)?);
    let out = &mut context.out;
    match args.output {
        GraphFormat::Table => {
            let title = format!("{} to {}", clean(&ends.0.key), clean(&ends.1.key));
            path_text(out, &title, (total, &chains), args, begun)?;
        }
        GraphFormat::Json => out.json(&json!({
            "from": ends.0,
            "to": ends.1,
            "distance": chains.first().map(|chain| chain.links.len()),
            "total": total,
            "paths": chains.iter().map(|chain| &chain.links).collect::<Vec<_>>(),
        }))?,
        GraphFormat::Ndjson => chains.iter().try_for_each(|chain| out.ndjson(&chain.links))?,
        GraphFormat::Csv => path_rows(&chains).print(out, RowFormat::Csv)?,
        GraphFormat::Dot => draw(out, Drawing::Dot, &chains)?,
        GraphFormat::Mermaid => draw(out, Drawing::Mermaid, &chains)?,
        GraphFormat::Graphml => draw(out, Drawing::Graphml, &chains)?,
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
        writeln!(out, "{title}   = no chain, {}", took(begun.elapsed()))?;
        if args.direction != super::args::PathDirection::Both {
            out.next("--direction both also goes against the arrows")?;
        }
        return Ok(());
    };
    writeln!(
        out,
        "{title}   {} of {}, {}",
        counted(total, "shortest chain", "shortest chains"),
        counted(first.links.len() as u64, "relationship", "relationships"),
        took(begun.elapsed())
    )?;
    for chain in chains {
        writeln!(out, "  {}", chain.text())?;
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
fn draw(out: &mut Out<'_>, drawing: Drawing, chains: &[Chain]) -> Result<(), Failure> {
    let mut seen: FxHashSet<u32> = FxHashSet::default();
    let mut drawn: FxHashSet<&str> = FxHashSet::default();
    drawing.begin(out)?;
    for entity in chains.iter().flat_map(Chain::entities) {
        if seen.insert(entity.number) {
            drawing.node(out, entity)?;
        }
    }
    for link in chains.iter().flat_map(|chain| &chain.links) {
        if drawn.insert(&link.relationship.id) {
            drawing.edge(out, &Arrow::from(&link.relationship))?;
        }
    }
    Ok(drawing.end(out)?)
}

/// Members of a cycle that people see; programs see all.
const MEMBERS: usize = 6;

/// `tombolo cycles`.
pub fn cycles(context: &mut Context<'_>, args: &Cycles) -> Result<u8, Failure> {
    let (_, snapshot) = context.look()?;
    naming::known(&snapshot, "verb", &args.verb)?;
    let found = ask::cycles(&snapshot, &args.verb)?;
    let cycles = found.iter().map(|members| naming::entities(&snapshot, members));
    let cycles: Vec<Vec<EntityHead>> = cycles.collect::<Result<_, Failure>>()?;
    let out = &mut context.out;
    match args.output {
        RowFormat::Table => cycles_text(out, &cycles)?,
        RowFormat::Json => out.json(&json!({ "total": cycles.len(), "cycles": cycles }))?,
        RowFormat::Ndjson => cycles.iter().try_for_each(|cycle| out.ndjson(cycle))?,
        RowFormat::Csv => cycle_rows(&cycles).print(out, RowFormat::Csv)?,
    }
    Ok(if args.exit_code && !cycles.is_empty() { FAILED } else { 0 })
}

fn cycles_text(out: &mut Out<'_>, cycles: &[Vec<EntityHead>]) -> Result<(), Failure> {
    if cycles.is_empty() {
        return Ok(writeln!(out, "= no cycles")?);
    }
    writeln!(out, "{}", counted(cycles.len() as u64, "cycle", "cycles"))?;
    for cycle in cycles {
        let names: Vec<String> =
            cycle.iter().take(MEMBERS).map(|e| clean(&e.key).into_owned()).collect();
        let more = match cycle.len().saturating_sub(MEMBERS) {
            0 => String::new(),
            more => format!(", … {more} more"),
        };
        let size = counted(cycle.len() as u64, "entity", "entities");
        writeln!(out, "  {size}   {}{more}", names.join(", "))?;
    }
    Ok(())
}

fn cycle_rows(cycles: &[Vec<EntityHead>]) -> Listing {
    let mut listing =
        Listing::new(&[("cycle", "CYCLE"), ("scope", "SCOPE"), ("key", "KEY"), ("type", "TYPE")]);
    for (number, cycle) in cycles.iter().enumerate() {
        for entity in cycle {
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
