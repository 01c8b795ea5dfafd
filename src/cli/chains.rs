//! Questions whose answers are chains of relationships: `owners`, `path`, `cycles`.

use super::args::{CyclesArgs, GraphFormat, OwnersArgs, PathArgs, PathDirection, RowFormat};
use super::failure::{CommandError, FAILED};
use super::naming;
use super::notes;
use super::output::{AnswerWriter, RowListing, clean, counted, duration_text, thousands};
use super::picture::DrawingFormat;
use super::{CommandContext, question};
use rustc_hash::FxHashSet;
use serde_json::json;
use std::io::Write;
use std::time::Instant;
use tombolo::answers::{
    self, CyclesAnswer, EntityOwners, NamedChain, NamedChainStep, NamedCycle, OwnerChain,
    OwnersAnswer, PathAnswer, RelationshipHead, chain_text,
};
use tombolo::graph::{EntityHead, same_name};
use tombolo::store::Snapshot;

/// The chain as text for people.
fn shown(chain: &NamedChain, out: &AnswerWriter<'_>) -> String {
    chain_text(&chain.first, &chain.links, |entity| naming::shown(out, entity))
}

/// `tombolo owners`.
pub fn owners(context: &mut CommandContext<'_>, args: &OwnersArgs) -> Result<u8, CommandError> {
    let meter = context.meter();
    args.drawing.check()?;
    let rules = context.rules()?;
    let (database, snapshot) = context.look_at(&args.past)?;
    let found = args.request().ask(&question(&database, &snapshot, &meter), &rules)?;
    print_owners(&mut context.out, &snapshot, args, &found)?;
    notes::tell(context, &found.notes)?;
    Ok(0)
}

fn print_owners(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    args: &OwnersArgs,
    found: &OwnersAnswer,
) -> Result<(), CommandError> {
    let all = found.answers.as_slice();
    match args.drawing.output {
        GraphFormat::Json => out.document(found),
        GraphFormat::Ndjson => all.iter().try_for_each(|answer| out.ndjson(answer)),
        GraphFormat::Csv => owner_rows(all, args.people, RowFormat::Csv).print(out, RowFormat::Csv),
        GraphFormat::Table if !found.named => {
            owner_rows(all, args.people, RowFormat::Table).print(out, RowFormat::Table)?;
            owners_summary(out, found)
        }
        GraphFormat::Table => all.iter().try_for_each(|answer| owners_text(out, answer)),
        GraphFormat::Dot => draw_owners(out, snapshot, DrawingFormat::Dot, all),
        GraphFormat::Mermaid => draw_owners(out, snapshot, DrawingFormat::Mermaid, all),
        GraphFormat::Graphml => draw_owners(out, snapshot, DrawingFormat::Graphml, all),
        GraphFormat::Svg | GraphFormat::Html => {
            let asked = (&args.request(), found);
            args.drawing.print_picture(out, snapshot, asked, &args.past)
        }
    }
}

/// The chain as text; `name` gives the name of each entity.
fn evidence(owner: &OwnerChain, name: impl Fn(&EntityHead) -> String) -> String {
    chain_text(&owner.entity, &owner.chain, name)
}

/// The scopes whose jobs own the relationships of the chain.
fn scopes(owner: &OwnerChain) -> String {
    let mut scopes: Vec<&str> = Vec::new();
    for link in &owner.chain {
        if !scopes.contains(&link.relationship.scope.as_str()) {
            scopes.push(&link.relationship.scope);
        }
    }
    clean(&scopes.join(", ")).into_owned()
}

fn print_owner(
    owner: &OwnerChain,
    out: &mut AnswerWriter<'_>,
    indent: &str,
) -> Result<(), CommandError> {
    let EntityHead { display_name, key, number, .. } = &owner.entity;
    // The owner stands first in the chain and is the answer, so it is set off as a title.
    let chain = evidence(owner, |entity| match entity.number == *number {
        true => naming::title(out, display_name.as_deref(), key),
        false => naming::shown(out, entity),
    });
    let type_name = clean(&owner.entity.type_name);
    let text = format!("{chain}   ({type_name}, by {})", scopes(owner));
    Ok(out.line(indent, &text, &format!("{indent}    "))?)
}

fn owners_text(out: &mut AnswerWriter<'_>, answer: &EntityOwners) -> Result<(), CommandError> {
    let title = naming::heading(out, &answer.entity);
    let Some(distance) = answer.distance.filter(|_| !answer.owners.is_empty()) else {
        return Ok(out.line("", &format!("{title}   = no owner"), "  ")?);
    };
    let owners = counted(answer.owners.len() as u64, "owner", "owners");
    out.line("", &format!("{title}   {owners} at distance {distance}"), "  ")?;
    for owner in &answer.owners {
        print_owner(&owner.chain, out, "  ")?;
        let Some(people) = &owner.people else { continue };
        people.iter().try_for_each(|person| print_owner(person, out, "    "))?;
        let is_team =
            owner.chain.entity.classes.iter().any(|class| {
                ["Team", "UserGroup", "Group"].iter().any(|team| same_name(team, class))
            });
        if people.is_empty() && is_team {
            writeln!(out, "    = nobody is known to be in it")?;
        }
    }
    Ok(())
}

/// Makes a row for each owner and one for each entity without an owner; with `people`, also a row
/// for each person. A table shows names, other formats show keys.
fn owner_rows(answers: &[EntityOwners], people: bool, format: RowFormat) -> RowListing {
    const WITHOUT: [(&str, &str); 6] = [
        ("scope", "SCOPE"),
        ("key", "ENTITY"),
        ("distance", "DISTANCE"),
        ("ownerScope", "OWNER SCOPE"),
        ("owner", "OWNER"),
        ("chain", "CHAIN"),
    ];
    const WITH: [(&str, &str); 7] = {
        let [scope, key, distance, owner_scope, owner, chain] = WITHOUT;
        [scope, key, distance, owner_scope, owner, ("through", "THROUGH"), chain]
    };
    let mut listing = RowListing::new(if people { &WITH } else { &WITHOUT });
    let name = |entity: &EntityHead| match format {
        RowFormat::Table => answers::label(entity.display_name.as_deref(), &entity.key),
        _ => entity.key.clone(),
    };
    for answer in answers {
        let entity = &answer.entity;
        let mut row = |owner: Option<(&OwnerChain, Option<&OwnerChain>)>| {
            let chain = owner.map(|(owner, _)| owner);
            let distance = match owner {
                // The chain of a person is longer than that of the team, so it has a distance of
                // its own.
                Some((person, Some(_))) => Some(person.chain.len() as u32),
                Some(_) => answer.distance,
                None => None,
            };
            let mut cells = vec![
                json!(entity.scope),
                json!(name(entity)),
                json!(distance),
                json!(chain.map(|owner| &owner.entity.scope)),
                json!(chain.map(|owner| name(&owner.entity))),
                json!(chain.map(|owner| evidence(owner, name))),
            ];
            if people {
                let team = owner.and_then(|(_, team)| team);
                cells.insert(5, json!(team.map(|team| name(&team.entity))));
            }
            listing.row(cells);
        };
        if answer.owners.is_empty() {
            row(None);
        }
        answer.all().for_each(|owner| row(Some(owner)));
    }
    listing
}

fn owners_summary(out: &mut AnswerWriter<'_>, found: &OwnersAnswer) -> Result<(), CommandError> {
    let orphans = found.answers.iter().filter(|answer| answer.owners.is_empty()).count();
    let words = clean(&found.words);
    let asked = counted(found.asked as u64, "entity", "entities");
    let share = counted(orphans as u64, "orphan", "orphans");
    Ok(writeln!(out, "\n{asked}{words}: {share}")?)
}

fn draw_owners(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    drawing: DrawingFormat,
    answers: &[EntityOwners],
) -> Result<(), CommandError> {
    let chains = answers.iter().flat_map(|answer| answer.all().map(|(owner, _)| owner));
    let chains = chains.map(|owner| (&owner.entity, &owner.chain[..]));
    // An entity without owner is drawn too, as a box alone.
    let alone = answers.iter().map(|answer| (&answer.entity, &[][..]));
    draw(out, snapshot, drawing, &alone.chain(chains).collect::<Vec<ChainSlice<'_>>>())
}

/// `tombolo path`.
pub fn path(context: &mut CommandContext<'_>, args: &PathArgs) -> Result<u8, CommandError> {
    let begun = Instant::now();
    let meter = context.meter();
    args.drawing.check()?;
    let (database, snapshot) = context.look_at(&args.past)?;
    let found = args.request().ask(&question(&database, &snapshot, &meter))?;
    let chains = found.chains.as_slice();
    print_paths(&mut context.out, &snapshot, args, &found, begun)?;
    notes::tell(context, &found.notes)?;
    Ok(if args.exit_code && chains.is_empty() { FAILED } else { 0 })
}

fn print_paths(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    args: &PathArgs,
    found: &PathAnswer,
    begun: Instant,
) -> Result<(), CommandError> {
    let chains = found.chains.as_slice();
    match args.drawing.output {
        GraphFormat::Table => path_text(out, found, args, begun),
        GraphFormat::Json => out.document(found),
        GraphFormat::Ndjson => chains.iter().try_for_each(|chain| out.ndjson(&chain.links)),
        GraphFormat::Csv => path_rows(chains).print(out, RowFormat::Csv),
        GraphFormat::Dot => draw(out, snapshot, DrawingFormat::Dot, &all(chains)),
        GraphFormat::Mermaid => draw(out, snapshot, DrawingFormat::Mermaid, &all(chains)),
        GraphFormat::Graphml => draw(out, snapshot, DrawingFormat::Graphml, &all(chains)),
        GraphFormat::Svg | GraphFormat::Html => {
            let asked = (&args.request(), found);
            args.drawing.print_picture(out, snapshot, asked, &args.past)
        }
    }
}

fn path_text(
    out: &mut AnswerWriter<'_>,
    found: &PathAnswer,
    args: &PathArgs,
    begun: Instant,
) -> Result<(), CommandError> {
    let (from, via, to) = found.stops();
    let through = via.iter().map(|stop| format!(" by {}", naming::shown(out, stop)));
    let through: String = through.collect();
    let title = format!("{} to {}{through}", naming::shown(out, from), naming::shown(out, to));
    let (total, chains) = (found.total, &found.chains);
    let Some(first) = chains.first() else {
        out.line("", &format!("{title}   = no chain, {}", duration_text(begun.elapsed())), "  ")?;
        if args.direction != PathDirection::Both {
            out.next("--direction both also goes against the arrows")?;
        }
        return Ok(());
    };
    let chain_count = counted(total, "shortest chain", "shortest chains");
    let length = counted(first.links.len() as u64, "relationship", "relationships");
    let summary =
        format!("{title}   {chain_count} of {length}, {}", duration_text(begun.elapsed()));
    out.line("", &summary, "  ")?;
    for chain in chains {
        let chain = shown(chain, out);
        out.line("  ", &chain, "      ")?;
    }
    let more = total.saturating_sub(chains.len() as u64);
    if more > 0 {
        let flag = if args.all { format!("--max {total}") } else { "--all".to_owned() };
        writeln!(out, "  … {} more ({flag})", thousands(more))?;
    }
    Ok(())
}

/// Makes a row for each relationship of each chain.
fn path_rows(chains: &[NamedChain]) -> RowListing {
    let mut listing = RowListing::new(&[
        ("path", "PATH"),
        ("step", "STEP"),
        ("fromScope", "FROM SCOPE"),
        ("from", "FROM"),
        ("direction", "DIRECTION"),
        ("class", "VERB"),
        ("relationshipScope", "OWNED BY"),
        ("relationship", "RELATIONSHIP"),
        ("scope", "SCOPE"),
        ("key", "KEY"),
        ("type", "TYPE"),
    ]);
    for (path, chain) in chains.iter().enumerate() {
        let before = std::iter::once(&chain.first).chain(chain.links.iter().map(|l| &l.entity));
        for (step, (from, link)) in before.zip(&chain.links).enumerate() {
            listing.row([
                json!(path + 1),
                json!(step + 1),
                json!(from.scope),
                json!(from.key),
                json!(link.direction),
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

/// The first entity of a chain, and its relationships.
type ChainSlice<'a> = (&'a EntityHead, &'a [NamedChainStep]);

fn all(chains: &[NamedChain]) -> Vec<ChainSlice<'_>> {
    chains.iter().map(|chain| (&chain.first, &chain.links[..])).collect()
}

/// Draws all chains in one picture; an entity or relationship that they share is drawn once.
fn draw(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    drawing: DrawingFormat,
    chains: &[ChainSlice<'_>],
) -> Result<(), CommandError> {
    let mut seen: FxHashSet<u32> = FxHashSet::default();
    let mut drawn: FxHashSet<&str> = FxHashSet::default();
    let entities = chains.iter().flat_map(|(first, links)| {
        std::iter::once(*first).chain(links.iter().map(|link| &link.entity))
    });
    let entities: Vec<&EntityHead> = entities.filter(|e| seen.insert(e.number)).collect();
    let links = chains.iter().flat_map(|(_, links)| links.iter()).map(|link| &link.relationship);
    let links: Vec<&RelationshipHead> = links.filter(|link| drawn.insert(&link.id)).collect();
    drawing.draw(out, snapshot, &entities, &links)
}

/// `tombolo cycles`.
pub fn cycles(context: &mut CommandContext<'_>, args: &CyclesArgs) -> Result<u8, CommandError> {
    let meter = context.meter();
    args.drawing.check()?;
    let (database, snapshot) = context.look_at(&args.past)?;
    let found = args.request().ask(&question(&database, &snapshot, &meter))?;
    print_cycles(&mut context.out, &snapshot, args, &found)?;
    Ok(if args.exit_code && !found.cycles.is_empty() { FAILED } else { 0 })
}

fn print_cycles(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    args: &CyclesArgs,
    found: &CyclesAnswer,
) -> Result<(), CommandError> {
    let cycles = found.cycles.as_slice();
    let chains = || -> Vec<ChainSlice<'_>> {
        cycles.iter().map(|cycle| (&cycle.chain.first, &cycle.chain.links[..])).collect()
    };
    match args.drawing.output {
        GraphFormat::Table => cycles_text(out, cycles),
        GraphFormat::Json => out.document(found),
        GraphFormat::Ndjson => cycles.iter().try_for_each(|cycle| out.ndjson(&cycle.members)),
        GraphFormat::Csv => cycle_rows(cycles).print(out, RowFormat::Csv),
        GraphFormat::Dot => draw(out, snapshot, DrawingFormat::Dot, &chains()),
        GraphFormat::Mermaid => draw(out, snapshot, DrawingFormat::Mermaid, &chains()),
        GraphFormat::Graphml => draw(out, snapshot, DrawingFormat::Graphml, &chains()),
        GraphFormat::Svg | GraphFormat::Html => {
            let asked = (&args.request(), found);
            args.drawing.print_picture(out, snapshot, asked, &args.past)
        }
    }
}

/// Prints each cycle by its size and its shortest chain, which shows how it closes.
fn cycles_text(out: &mut AnswerWriter<'_>, cycles: &[NamedCycle]) -> Result<(), CommandError> {
    if cycles.is_empty() {
        return Ok(writeln!(out, "= no cycles")?);
    }
    writeln!(out, "{}", counted(cycles.len() as u64, "cycle", "cycles"))?;
    for NamedCycle { members, chain } in cycles {
        let size = counted(members.len() as u64, "entity", "entities");
        let more = match members.len().saturating_sub(chain.links.len()) {
            0 => String::new(),
            more => format!("   … {} more (-o json lists all)", thousands(more as u64)),
        };
        let text = format!("{size}   {}{more}", shown(chain, out));
        out.line("  ", &text, "      ")?;
    }
    Ok(())
}

fn cycle_rows(cycles: &[NamedCycle]) -> RowListing {
    let mut listing = RowListing::new(&[
        ("cycle", "CYCLE"),
        ("scope", "SCOPE"),
        ("key", "KEY"),
        ("type", "TYPE"),
        ("chain", "CHAIN"),
    ]);
    for (number, cycle) in cycles.iter().enumerate() {
        let NamedChain { first, links } = &cycle.chain;
        let chain = chain_text(first, links, |entity| entity.key.clone());
        for entity in &cycle.members {
            listing.row([
                json!(number + 1),
                json!(entity.scope),
                json!(entity.key),
                json!(entity.type_name),
                json!(chain),
            ]);
        }
    }
    listing
}
