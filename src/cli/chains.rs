//! Questions whose answers are chains of relationships: `owners`, `path`, `cycles`.

use super::CommandContext;
use super::args::{CyclesArgs, GraphFormat, OwnersArgs, PathArgs, RowFormat};
use super::ask::{self, EntityOwners, FoundOwner, WalkStep};
use super::failure::{CommandError, FAILED};
use super::naming::{self, EntityFilter, RelationshipHead};
use super::notes;
use super::output::{AnswerWriter, RowListing, clean, counted, duration_text, thousands};
use super::picture::DrawingFormat;
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;
use tombolo::graph::{AdjacencyRead, EdgeDirection, EntityHead, NameLookup, same_name};
use tombolo::limits::CostMeter;
use tombolo::store::Snapshot;
use tombolo::view;

/// One relationship of a chain, and the entity that it leads to.
#[derive(Serialize)]
struct NamedChainStep {
    relationship: RelationshipHead,
    /// `out` where the chain goes with the arrow, `in` where it goes against it.
    direction: &'static str,
    /// `_id` of the entity before it in the chain.
    from: String,
    entity: EntityHead,
}

/// A chain by name, which begins at `first`.
struct NamedChain {
    first: EntityHead,
    links: Vec<NamedChainStep>,
}

impl NamedChain {
    /// Names the steps that lead away from `first`.
    fn read(
        snapshot: &Snapshot,
        first: u32,
        steps: &[WalkStep],
    ) -> Result<NamedChain, CommandError> {
        let first = naming::entity(snapshot, first)?;
        let entities = steps.iter().map(|step| naming::entity(snapshot, step.entity));
        let entities = entities.collect::<Result<Vec<EntityHead>, CommandError>>()?;
        let known = std::iter::once(&first).chain(&entities);
        let keys = known.map(|e| (e.number, e.key.as_str())).collect();
        let relationships = naming::links_of(snapshot, steps, &keys)?.into_iter();
        let mut links: Vec<NamedChainStep> = Vec::with_capacity(entities.len());
        for (relationship, entity) in relationships.zip(entities) {
            let before = links.last().map_or(&first, |link: &NamedChainStep| &link.entity);
            let direction = naming::direction(relationship.from == before.number);
            let from = before.id.to_string();
            links.push(NamedChainStep { relationship, direction, from, entity });
        }
        Ok(NamedChain { links, first })
    }

    /// The chain as text for people.
    fn shown(&self, out: &AnswerWriter<'_>) -> String {
        text(&self.first, &self.links, |entity| naming::shown(out, entity))
    }
}

/// `alice -OWNS-> laptop <-HAS- site`.
fn text(
    first: &EntityHead,
    links: &[NamedChainStep],
    name: impl Fn(&EntityHead) -> String,
) -> String {
    let mut text = name(first);
    for NamedChainStep { relationship, direction, entity, .. } in links {
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
struct NamedOwner {
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
    chain: Vec<NamedChainStep>,
}

#[derive(Serialize)]
struct OwnersAnswer {
    entity: EntityHead,
    distance: Option<u32>,
    owners: Vec<NamedOwner>,
}

/// The answer about one entity, with its notes.
#[derive(Serialize)]
struct OwnersAnswerJson<'a> {
    #[serde(flatten)]
    answer: &'a OwnersAnswer,
    notes: &'a [String],
}

/// `tombolo owners`.
pub fn owners(context: &mut CommandContext<'_>, args: &OwnersArgs) -> Result<u8, CommandError> {
    let meter = context.meter()?;
    let rules = ask::rules(context)?;
    let (database, snapshot) = context.look()?;
    let filter = EntityFilter::read(&snapshot, &args.scope, &args.class, &args.types)?;
    let entities = match filter.is_open() {
        true => {
            let find = |name: &String| Ok(database.find_entity(&snapshot, name)?);
            args.entities.iter().map(find).collect::<Result<Vec<u32>, CommandError>>()?
        }
        false => filter.all(&snapshot)?,
    };
    let accepted = match naming::class_sets(&snapshot, &args.owner_class)? {
        Some(sets) => ask::OwnerCriteria::Sets(sets),
        None => ask::OwnerCriteria::ByRules,
    };
    let verbs = ask::verbs(&snapshot, &args.verb)?;
    // A verb that is named makes owners, whatever the rules say of it.
    let by_rules = verbs.0.is_none();
    if args.orphans && by_rules && !ask::has_ownership(&snapshot, &rules)? {
        let message = "nothing in this database owns anything, so all would look like orphans";
        return Err(CommandError::mistake(message).hint(
            "mappings make owners; `[[ownership]]` in `tombolo.toml` says which verbs own, and \
             `tombolo impact-rules` lists them",
        ));
    }
    let asked = ask::OwnerSearchOptions {
        rules: &rules,
        accepted,
        verbs,
        depth: args.depth,
        people: args.people,
    };
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
            somebody |= matches!(why, NoOwnerReason::Other(_));
            told.push(why.words());
        }
    }
    // This question reads all relationships, so it comes last and only when no owner was found.
    let nobody = !somebody && answers.iter().all(|answer| answer.owners.is_empty());
    if nobody && !args.orphans && by_rules && !ask::has_ownership(&snapshot, &rules)? {
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
        (GraphFormat::Json, [answer]) if one => {
            out.json(&OwnersAnswerJson { answer, notes: &told })?
        }
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
        (GraphFormat::Dot, all) => draw_owners(out, &snapshot, DrawingFormat::Dot, all)?,
        (GraphFormat::Mermaid, all) => draw_owners(out, &snapshot, DrawingFormat::Mermaid, all)?,
        (GraphFormat::Graphml, all) => draw_owners(out, &snapshot, DrawingFormat::Graphml, all)?,
    }
    notes::tell(context, &told)?;
    Ok(0)
}

fn name_owners(
    snapshot: &Snapshot,
    owned: EntityOwners,
    people: bool,
) -> Result<OwnersAnswer, CommandError> {
    let mut owners = Vec::new();
    for FoundOwner { entity, chain, people: members } in &owned.owners {
        let NamedChain { first, links } = NamedChain::read(snapshot, *entity, chain)?;
        let mut named = Vec::new();
        for (person, steps) in members {
            // The steps of a person end at the team; those of the team go on to the owned entity.
            let whole: Vec<WalkStep> = steps.iter().chain(chain).copied().collect();
            let NamedChain { first, links } = NamedChain::read(snapshot, *person, &whole)?;
            named.push(OwnerChain { entity: first, chain: links });
        }
        let people = people.then_some(named);
        owners.push(NamedOwner { chain: OwnerChain { entity: first, chain: links }, people });
    }
    // The search yields owners by number, which is an order of the file and means nothing to a
    // reader.
    owners.sort_by(|a, b| {
        let key = |o: &NamedOwner| (o.chain.entity.scope.clone(), o.chain.entity.key.clone());
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

    fn print(&self, out: &mut AnswerWriter<'_>, indent: &str) -> Result<(), CommandError> {
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
enum NoOwnerReason {
    /// Somebody owns it, but the question does not accept that owner.
    Other(String),
    /// Nobody owns it.
    Nobody(String),
}

impl NoOwnerReason {
    fn words(self) -> String {
        let (NoOwnerReason::Other(words) | NoOwnerReason::Nobody(words)) = self;
        words
    }
}

/// Explains why an entity has no owner: a flag hides the owner, the class of the owner is not
/// accepted, or its relationships lead to no owner.
fn why_nobody(
    snapshot: &Snapshot,
    meter: &CostMeter,
    entity: &EntityHead,
    asked: &ask::OwnerSearchOptions<'_>,
    classes: &[String],
) -> Result<NoOwnerReason, CommandError> {
    let nearest = |accepted: ask::OwnerCriteria| {
        let verbs = asked.verbs.clone();
        let wide = ask::OwnerSearchOptions {
            rules: asked.rules,
            accepted,
            verbs,
            depth: None,
            people: false,
        };
        let mut found = ask::owners(snapshot, meter, &[entity.number], &wide)?;
        let owned = found.pop().filter(|owned| !owned.owners.is_empty());
        let Some(owned) = owned else { return Ok(None) };
        let owner = naming::entity(snapshot, owned.owners[0].entity)?;
        Ok::<_, CommandError>(Some((owner, owned.distance.unwrap_or(0))))
    };
    let named = |owner: &EntityHead| {
        let name = naming::label(owner.display_name.as_deref(), &owner.key);
        format!("{name} ({})", owner.classes.join(", "))
    };
    let key = &entity.key;
    // A flag of the caller is the likeliest reason and the easiest to undo, so it is tried first.
    let flags = [("--depth", asked.depth.is_some()), ("--owner-class", !classes.is_empty())];
    if flags.iter().any(|(_, given)| *given)
        && let Some((owner, distance)) = nearest(ask::OwnerCriteria::ByRules)?
    {
        let flags = flags.iter().filter(|(_, given)| *given).map(|(flag, _)| format!("`{flag}`"));
        let flags = flags.collect::<Vec<_>>().join(" or ");
        let far = counted(u64::from(distance), "relationship", "relationships");
        return Ok(NoOwnerReason::Other(format!(
            "{key} is owned by {} at {far}, which {flags} hides",
            named(&owner)
        )));
    }
    if let Some((owner, _)) = nearest(ask::OwnerCriteria::Anything)? {
        let class = owner.classes.first().map_or("", String::as_str);
        let named = named(&owner);
        return Ok(NoOwnerReason::Other(format!(
            "{key} is owned by {named}, whose class is not one of owners; `--owner-class {class}` \
             takes it for one"
        )));
    }
    let mut verbs: BTreeMap<&str, u64> = BTreeMap::new();
    for direction in [EdgeDirection::Out, EdgeDirection::In] {
        snapshot.for_each_edge(entity.number, direction, |edge| {
            *verbs.entry(snapshot.name(edge.verb)).or_default() += 1;
        })?;
    }
    if verbs.is_empty() {
        return Ok(NoOwnerReason::Nobody(format!("{key} has no relationships")));
    }
    let words = verbs.iter().map(|(verb, count)| format!("{} {}", thousands(*count), clean(verb)));
    let which = match asked.verbs.0 {
        Some(_) => "none of which `--verb` takes to an owner",
        None => "which lead to no owner; `[[ownership]]` in `tombolo.toml` says which verbs own",
    };
    Ok(NoOwnerReason::Nobody(format!("{key} has {}, {which}", naming::some_verbs(words))))
}

fn owners_text(out: &mut AnswerWriter<'_>, answer: &OwnersAnswer) -> Result<(), CommandError> {
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
fn owner_rows(answers: &[OwnersAnswer], people: bool, format: RowFormat) -> RowListing {
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
    out: &mut AnswerWriter<'_>,
    filter: &EntityFilter,
    asked: usize,
    answers: &[OwnersAnswer],
) -> Result<(), CommandError> {
    let orphans = answers.iter().filter(|answer| answer.owners.is_empty()).count();
    let words = clean(&filter.words);
    let asked = counted(asked as u64, "entity", "entities");
    let share = counted(orphans as u64, "orphan", "orphans");
    Ok(writeln!(out, "\n{asked}{words}: {share}")?)
}

fn draw_owners(
    out: &mut AnswerWriter<'_>,
    snapshot: &Snapshot,
    drawing: DrawingFormat,
    answers: &[OwnersAnswer],
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
    let meter = context.meter()?;
    let (database, snapshot) = context.look()?;
    let names = std::iter::once(&args.from).chain(&args.via).chain([&args.to]);
    let stops = names.map(|name| Ok(database.find_entity(&snapshot, name)?));
    let stops = stops.collect::<Result<Vec<u32>, CommandError>>()?;
    let (verbs, denials) = ask::passable_verbs(&snapshot, &args.verb)?;
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
    let chains = found.iter().map(|steps| NamedChain::read(&snapshot, stops[0], steps));
    let chains: Vec<NamedChain> = chains.collect::<Result<_, CommandError>>()?;
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
        GraphFormat::Dot => draw(out, &snapshot, DrawingFormat::Dot, &all(&chains))?,
        GraphFormat::Mermaid => draw(out, &snapshot, DrawingFormat::Mermaid, &all(&chains))?,
        GraphFormat::Graphml => draw(out, &snapshot, DrawingFormat::Graphml, &all(&chains))?,
    }
    notes::tell(context, &told)?;
    Ok(if args.exit_code && chains.is_empty() { FAILED } else { 0 })
}

/// Tells of a chain that goes over relationships which deny the way.
fn over_denials(snapshot: &Snapshot, steps: &[WalkStep]) -> Result<String, CommandError> {
    let chain = NamedChain::read(snapshot, steps[0].from, steps)?;
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
    out: &mut AnswerWriter<'_>,
    title: &str,
    (total, chains): (u64, &[NamedChain]),
    args: &PathArgs,
    begun: Instant,
) -> Result<(), CommandError> {
    let Some(first) = chains.first() else {
        out.line("", &format!("{title}   = no chain, {}", duration_text(begun.elapsed())), "  ")?;
        if args.direction != super::args::PathDirection::Both {
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

/// A cycle by name.
struct NamedCycle {
    members: Vec<EntityHead>,
    chain: NamedChain,
}

/// `tombolo cycles`.
pub fn cycles(context: &mut CommandContext<'_>, args: &CyclesArgs) -> Result<u8, CommandError> {
    let meter = context.meter()?;
    let (_, snapshot) = context.look()?;
    let verbs = ask::verbs(&snapshot, &args.verb)?;
    let mut cycles = Vec::new();
    for cycle in ask::cycles(&snapshot, &meter, &verbs)? {
        let named = cycle.members.len() + 2 * cycle.chain.len();
        meter.hold(naming::NAMED_BYTES * named as u64)?;
        // The chain may begin at any member, so its own first step says where.
        let first = cycle.chain.first().map_or(cycle.members[0], |step| step.from);
        cycles.push(NamedCycle {
            members: naming::entities(&snapshot, &cycle.members)?,
            chain: NamedChain::read(&snapshot, first, &cycle.chain)?,
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
        let text = format!("{size}   {}{more}", chain.shown(out));
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
