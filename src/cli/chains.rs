//! Questions whose answers are chains of relationships: `owners`, `path`, `cycles`.

use super::Context;
use super::args::{Cycles, GraphFormat, Owners, PathArgs, RowFormat};
use super::ask::{self, Owned, OwnerFound, Step};
use super::failure::{FAILED, Failure};
use super::naming::{self, Filter, Link};
use super::notes;
use super::output::{Listing, Out, clean, counted, thousands, took};
use super::picture::Drawing;
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;
use tombolo::graph::{Adjacency, Direction, EntityHead, Names, same_name};
use tombolo::limits::Meter;
use tombolo::store::Snapshot;
use tombolo::view;

/// One relationship of a chain, and the entity that it leads to.
#[derive(Serialize)]
struct ChainLink {
    relationship: Link,
    /// `out` where the chain goes with the arrow, `in` where it goes against it.
    direction: &'static str,
    /// `_id` of the entity before it in the chain.
    from: String,
    entity: EntityHead,
}

/// A chain by name, which begins at `first`.
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
        let mut links: Vec<ChainLink> = Vec::with_capacity(entities.len());
        for (relationship, entity) in relationships.zip(entities) {
            let before = links.last().map_or(&first, |link: &ChainLink| &link.entity);
            let direction = naming::direction(relationship.from == before.number);
            let from = before.id.to_string();
            links.push(ChainLink { relationship, direction, from, entity });
        }
        Ok(Chain { links, first })
    }

    /// The chain as text for people.
    fn shown(&self, out: &Out<'_>) -> String {
        text(&self.first, &self.links, |entity| naming::shown(out, entity))
    }
}

/// `alice -OWNS-> laptop <-HAS- site`.
fn text(first: &EntityHead, links: &[ChainLink], name: impl Fn(&EntityHead) -> String) -> String {
    let mut text = name(first);
    for ChainLink { relationship, direction, entity, .. } in links {
        let verb = clean(&relationship.class);
        text.push_str(&match *direction == naming::direction(true) {
            true => format!(" -{verb}-> "),
            false => format!(" <-{verb}- "),
        });
        text.push_str(&name(entity));
    }
    text
}

/// An owner with the chain of evidence, which leads from the owner to the owned entity.
#[derive(Serialize)]
struct Owner {
    #[serde(flatten)]
    chain: OwnerChain,
    /// The people of a team, if they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<Vec<OwnerChain>>,
}

/// An owner or a person of an owning team, and the chain from there to the owned entity.
#[derive(Serialize)]
struct OwnerChain {
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

/// The answer about one entity, with its notes.
#[derive(Serialize)]
struct OneAnswer<'a> {
    #[serde(flatten)]
    answer: &'a OwnersAnswer,
    notes: &'a [String],
}

/// `tombolo owners`.
pub fn owners(context: &mut Context<'_>, args: &Owners) -> Result<u8, Failure> {
    let meter = context.meter()?;
    let rules = ask::rules(context)?;
    let (database, snapshot) = context.look()?;
    let filter = Filter::read(&snapshot, &args.scope, &args.class, &args.types)?;
    let entities = match filter.is_open() {
        true => {
            let find = |name: &String| Ok(database.find_entity(&snapshot, name)?);
            args.entities.iter().map(find).collect::<Result<Vec<u32>, Failure>>()?
        }
        false => filter.all(&snapshot)?,
    };
    let accepted = match naming::class_sets(&snapshot, &args.owner_class)? {
        Some(sets) => ask::Accepted::Sets(sets),
        None => ask::Accepted::ByRules,
    };
    let verbs = ask::verbs(&snapshot, &args.verb)?;
    // A verb that is named makes owners, whatever the rules say of it.
    let by_rules = verbs.0.is_none();
    if args.orphans && by_rules && !ask::something_owns(&snapshot, &rules)? {
        let message = "nothing in this database owns anything, so all would look like orphans";
        return Err(Failure::mistake(message).hint(
            "mappings make owners; `[[ownership]]` in `tombolo.toml` says which verbs own, and \
             `tombolo impact-rules` lists them",
        ));
    }
    let asked =
        ask::Ownership { rules: &rules, accepted, verbs, depth: args.depth, people: args.people };
    let mut answers = Vec::new();
    for owned in ask::owners(&snapshot, &meter, &entities, &asked)? {
        meter.look()?;
        if !args.orphans || owned.owners.is_empty() {
            // A step is named by a relationship and an entity. Memory for all names is asked for
            // before any is read.
            let links = owned.owners.iter().map(|owner| 2 * owner.chain.len() as u64 + 1);
            meter.hold(naming::NAMED_BYTES * (links.sum::<u64>() + 1))?;
            answers.push(name_owners(&snapshot, owned, args.people)?);
        }
    }
    let mut told = Vec::new();
    let mut somebody = false;
    // A reason takes searches of its own, so only entities that were asked for by name get one.
    if filter.is_open() {
        for answer in answers.iter().filter(|answer| answer.owners.is_empty()) {
            let why = why_nobody(&snapshot, &meter, &answer.entity, &asked, &args.owner_class)?;
            somebody |= matches!(why, WhyNobody::Other(_));
            told.push(why.words());
        }
    }
    // This question reads all relationships, so it comes last and only when no owner was found.
    let nobody = !somebody && answers.iter().all(|answer| answer.owners.is_empty());
    if nobody && !args.orphans && by_rules && !ask::something_owns(&snapshot, &rules)? {
        told.push(
            "nothing in this database owns anything; `tombolo impact-rules` lists what makes owners"
                .to_owned(),
        );
    }
    told.extend(notes::stale_note(&notes::stale(&database, &snapshot)?));
    if !filter.is_open() && entities.is_empty() {
        told.push(format!("no entity{}", filter.words));
    }
    let out = &mut context.out;
    let one = filter.is_open();
    match (args.output, answers.as_slice()) {
        (GraphFormat::Json, [answer]) if one => out.json(&OneAnswer { answer, notes: &told })?,
        (GraphFormat::Json, all) => out.json(&json!({ "answers": all, "notes": told }))?,
        (GraphFormat::Ndjson, all) => all.iter().try_for_each(|answer| out.ndjson(answer))?,
        (GraphFormat::Csv, all) => {
            owner_rows(all, args.people, RowFormat::Csv).print(out, RowFormat::Csv)?
        }
        (GraphFormat::Table, all) if !one => {
            owner_rows(all, args.people, RowFormat::Table).print(out, RowFormat::Table)?;
            owners_summary(out, &filter, entities.len(), all)?;
        }
        (GraphFormat::Table, all) => {
            all.iter().try_for_each(|answer| owners_text(out, answer))?;
        }
        (GraphFormat::Dot, all) => draw_owners(out, &snapshot, Drawing::Dot, all)?,
        (GraphFormat::Mermaid, all) => draw_owners(out, &snapshot, Drawing::Mermaid, all)?,
        (GraphFormat::Graphml, all) => draw_owners(out, &snapshot, Drawing::Graphml, all)?,
    }
    notes::tell(context, &told)?;
    Ok(0)
}

fn name_owners(snapshot: &Snapshot, owned: Owned, people: bool) -> Result<OwnersAnswer, Failure> {
    let mut owners = Vec::new();
    for OwnerFound { entity, chain, people: members } in &owned.owners {
        let Chain { first, links } = Chain::read(snapshot, *entity, chain)?;
        let mut named = Vec::new();
        for (person, steps) in members {
            // The steps of a person end at the team; those of the team go on to the owned entity.
            let whole: Vec<Step> = steps.iter().chain(chain).copied().collect();
            let Chain { first, links } = Chain::read(snapshot, *person, &whole)?;
            named.push(OwnerChain { entity: first, chain: links });
        }
        let people = people.then_some(named);
        owners.push(Owner { chain: OwnerChain { entity: first, chain: links }, people });
    }
    // The search yields owners by number, which is an order of the file and means nothing to a
    // reader.
    owners.sort_by(|a, b| {
        let key = |o: &Owner| (o.chain.entity.scope.clone(), o.chain.entity.key.clone());
        key(a).cmp(&key(b))
    });
    let entity = naming::entity(snapshot, owned.entity)?;
    Ok(OwnersAnswer { entity, distance: owned.distance, owners })
}

impl OwnerChain {
    /// The chain as text; `name` gives the name of each entity.
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

    fn print(&self, out: &mut Out<'_>, indent: &str) -> Result<(), Failure> {
        let EntityHead { display_name, key, number, .. } = &self.entity;
        // The owner stands first in the chain and is the answer, so it is set off as a title.
        let chain = self.evidence(|entity| match entity.number == *number {
            true => naming::title(out, display_name.as_deref(), key),
            false => naming::shown(out, entity),
        });
        let type_name = clean(&self.entity.type_name);
        let text = format!("{chain}   ({type_name}, by {})", self.scopes());
        Ok(out.line(indent, &text, &format!("{indent}    "))?)
    }
}

impl OwnersAnswer {
    /// Owners, each followed by its people.
    fn all(&self) -> impl Iterator<Item = (&OwnerChain, Option<&OwnerChain>)> {
        self.owners.iter().flat_map(|owner| {
            let people = owner.people.iter().flatten();
            let people = people.map(|person| (person, Some(&owner.chain)));
            std::iter::once((&owner.chain, None)).chain(people)
        })
    }
}

/// The reason why an entity has no owner.
enum WhyNobody {
    /// Somebody owns it, but the question does not accept that owner.
    Other(String),
    /// Nobody owns it.
    Nobody(String),
}

impl WhyNobody {
    fn words(self) -> String {
        let (WhyNobody::Other(words) | WhyNobody::Nobody(words)) = self;
        words
    }
}

/// Explains why an entity has no owner: a flag hides the owner, the class of the owner is not
/// accepted, or its relationships lead to no owner.
fn why_nobody(
    snapshot: &Snapshot,
    meter: &Meter,
    entity: &EntityHead,
    asked: &ask::Ownership<'_>,
    classes: &[String],
) -> Result<WhyNobody, Failure> {
    let nearest = |accepted: ask::Accepted| {
        let verbs = asked.verbs.clone();
        let wide =
            ask::Ownership { rules: asked.rules, accepted, verbs, depth: None, people: false };
        let mut found = ask::owners(snapshot, meter, &[entity.number], &wide)?;
        let owned = found.pop().filter(|owned| !owned.owners.is_empty());
        let Some(owned) = owned else { return Ok(None) };
        let owner = naming::entity(snapshot, owned.owners[0].entity)?;
        Ok::<_, Failure>(Some((owner, owned.distance.unwrap_or(0))))
    };
    let named = |owner: &EntityHead| {
        let name = naming::label(owner.display_name.as_deref(), &owner.key);
        format!("{name} ({})", owner.classes.join(", "))
    };
    let key = &entity.key;
    // A flag of the caller is the likeliest reason and the easiest to undo, so it is tried first.
    let flags = [("--depth", asked.depth.is_some()), ("--owner-class", !classes.is_empty())];
    if flags.iter().any(|(_, given)| *given)
        && let Some((owner, distance)) = nearest(ask::Accepted::ByRules)?
    {
        let flags = flags.iter().filter(|(_, given)| *given).map(|(flag, _)| format!("`{flag}`"));
        let flags = flags.collect::<Vec<_>>().join(" or ");
        let far = counted(u64::from(distance), "relationship", "relationships");
        return Ok(WhyNobody::Other(format!(
            "{key} is owned by {} at {far}, which {flags} hides",
            named(&owner)
        )));
    }
    if let Some((owner, _)) = nearest(ask::Accepted::Anything)? {
        let class = owner.classes.first().map_or("", String::as_str);
        let named = named(&owner);
        return Ok(WhyNobody::Other(format!(
            "{key} is owned by {named}, whose class is not one of owners; `--owner-class {class}` \
             takes it for one"
        )));
    }
    let mut verbs: BTreeMap<&str, u64> = BTreeMap::new();
    for direction in [Direction::Out, Direction::In] {
        snapshot.for_each_edge(entity.number, direction, |edge| {
            *verbs.entry(snapshot.name(edge.verb)).or_default() += 1;
        })?;
    }
    if verbs.is_empty() {
        return Ok(WhyNobody::Nobody(format!("{key} has no relationships")));
    }
    let words = verbs.iter().map(|(verb, count)| format!("{} {}", thousands(*count), clean(verb)));
    let which = match asked.verbs.0 {
        Some(_) => "none of which `--verb` takes to an owner",
        None => "which lead to no owner; `[[ownership]]` in `tombolo.toml` says which verbs own",
    };
    Ok(WhyNobody::Nobody(format!("{key} has {}, {which}", naming::some_verbs(words))))
}

fn owners_text(out: &mut Out<'_>, answer: &OwnersAnswer) -> Result<(), Failure> {
    let title = naming::heading(out, &answer.entity);
    let Some(distance) = answer.distance.filter(|_| !answer.owners.is_empty()) else {
        return Ok(out.line("", &format!("{title}   = no owner"), "  ")?);
    };
    let owners = counted(answer.owners.len() as u64, "owner", "owners");
    out.line("", &format!("{title}   {owners} at distance {distance}"), "  ")?;
    for owner in &answer.owners {
        owner.chain.print(out, "  ")?;
        let Some(people) = &owner.people else { continue };
        people.iter().try_for_each(|person| person.print(out, "    "))?;
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
fn owner_rows(answers: &[OwnersAnswer], people: bool, format: RowFormat) -> Listing {
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
    let mut listing = Listing::new(if people { &WITH } else { &WITHOUT });
    let name = |entity: &EntityHead| match format {
        RowFormat::Table => naming::label(entity.display_name.as_deref(), &entity.key),
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
                json!(chain.map(|owner| owner.evidence(name))),
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

fn owners_summary(
    out: &mut Out<'_>,
    filter: &Filter,
    asked: usize,
    answers: &[OwnersAnswer],
) -> Result<(), Failure> {
    let orphans = answers.iter().filter(|answer| answer.owners.is_empty()).count();
    let words = clean(&filter.words);
    let asked = counted(asked as u64, "entity", "entities");
    let share = counted(orphans as u64, "orphan", "orphans");
    Ok(writeln!(out, "\n{asked}{words}: {share}")?)
}

fn draw_owners(
    out: &mut Out<'_>,
    snapshot: &Snapshot,
    drawing: Drawing,
    answers: &[OwnersAnswer],
) -> Result<(), Failure> {
    let chains = answers.iter().flat_map(|answer| answer.all().map(|(owner, _)| owner));
    let chains = chains.map(|owner| (&owner.entity, &owner.chain[..]));
    // An entity without owner is drawn too, as a box alone.
    let alone = answers.iter().map(|answer| (&answer.entity, &[][..]));
    draw(out, snapshot, drawing, &alone.chain(chains).collect::<Vec<Drawn<'_>>>())
}

/// `tombolo path`.
pub fn path(context: &mut Context<'_>, args: &PathArgs) -> Result<u8, Failure> {
    let begun = Instant::now();
    let meter = context.meter()?;
    let (database, snapshot) = context.look()?;
    let names = std::iter::once(&args.from).chain(&args.via).chain([&args.to]);
    let stops = names.map(|name| Ok(database.find_entity(&snapshot, name)?));
    let stops = stops.collect::<Result<Vec<u32>, Failure>>()?;
    let (verbs, denials) = ask::passable(&snapshot, &args.verb)?;
    let max = if args.all { args.max } else { 1 };
    let (total, found) = ask::paths(&snapshot, &meter, &stops, args.direction, &verbs, max)?;
    let mut told = Vec::new();
    if found.is_empty() && !denials.is_empty() {
        // The search is repeated over denials only to explain why there is no path.
        let all = ask::verbs(&snapshot, &args.verb)?;
        let (_, denied) = ask::paths(&snapshot, &meter, &stops, args.direction, &all, 1)?;
        told.extend(denied.first().map(|steps| over_denials(&snapshot, steps)).transpose()?);
    }
    let links: u64 = found.iter().map(|steps| 2 * steps.len() as u64).sum();
    meter.hold(naming::NAMED_BYTES * links)?;
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
        }
        GraphFormat::Json => {
            let mut answer = json!({
                "from": from,
                "to": to,
                "distance": chains.first().map(|chain| chain.links.len()),
                "total": total,
                "paths": chains.iter().map(|chain| &chain.links).collect::<Vec<_>>(),
                "notes": told,
            });
            if !via.is_empty() {
                answer["via"] = json!(via);
            }
            out.json(&answer)?;
        }
        GraphFormat::Ndjson => chains.iter().try_for_each(|chain| out.ndjson(&chain.links))?,
        GraphFormat::Csv => path_rows(&chains).print(out, RowFormat::Csv)?,
        GraphFormat::Dot => draw(out, &snapshot, Drawing::Dot, &all(&chains))?,
        GraphFormat::Mermaid => draw(out, &snapshot, Drawing::Mermaid, &all(&chains))?,
        GraphFormat::Graphml => draw(out, &snapshot, Drawing::Graphml, &all(&chains))?,
    }
    notes::tell(context, &told)?;
    Ok(if args.exit_code && chains.is_empty() { FAILED } else { 0 })
}

/// Tells of a chain that goes over relationships which deny the way.
fn over_denials(snapshot: &Snapshot, steps: &[Step]) -> Result<String, Failure> {
    let chain = Chain::read(snapshot, steps[0].from, steps)?;
    let mut verbs: Vec<&str> = Vec::new();
    for link in &chain.links {
        let verb = link.relationship.class.as_str();
        if view::denies(verb) && !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    let steps = counted(chain.links.len() as u64, "relationship", "relationships");
    Ok(format!(
        "a chain of {steps} goes over {}, which says that there is no way; name it in `--verb` to \
         follow it",
        verbs.join(", ")
    ))
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

/// Makes a row for each relationship of each chain.
fn path_rows(chains: &[Chain]) -> Listing {
    let mut listing = Listing::new(&[
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
type Drawn<'a> = (&'a EntityHead, &'a [ChainLink]);

fn all(chains: &[Chain]) -> Vec<Drawn<'_>> {
    chains.iter().map(|chain| (&chain.first, &chain.links[..])).collect()
}

/// Draws all chains in one picture; an entity or relationship that they share is drawn once.
fn draw(
    out: &mut Out<'_>,
    snapshot: &Snapshot,
    drawing: Drawing,
    chains: &[Drawn<'_>],
) -> Result<(), Failure> {
    let mut seen: FxHashSet<u32> = FxHashSet::default();
    let mut drawn: FxHashSet<&str> = FxHashSet::default();
    let entities = chains.iter().flat_map(|(first, links)| {
        std::iter::once(*first).chain(links.iter().map(|link| &link.entity))
    });
    let entities: Vec<&EntityHead> = entities.filter(|e| seen.insert(e.number)).collect();
    let links = chains.iter().flat_map(|(_, links)| links.iter()).map(|link| &link.relationship);
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
    let meter = context.meter()?;
    let (_, snapshot) = context.look()?;
    let verbs = ask::verbs(&snapshot, &args.verb)?;
    let mut cycles = Vec::new();
    for cycle in ask::cycles(&snapshot, &meter, &verbs)? {
        let named = cycle.members.len() + 2 * cycle.chain.len();
        meter.hold(naming::NAMED_BYTES * named as u64)?;
        // The chain may begin at any member, so its own first step says where.
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

/// Prints each cycle by its size and its shortest chain, which shows how it closes.
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
    let mut listing = Listing::new(&[
        ("cycle", "CYCLE"),
        ("scope", "SCOPE"),
        ("key", "KEY"),
        ("type", "TYPE"),
        ("chain", "CHAIN"),
    ]);
    for (number, cycle) in cycles.iter().enumerate() {
        let Chain { first, links } = &cycle.chain;
        let chain = text(first, links, |entity| entity.key.clone());
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
