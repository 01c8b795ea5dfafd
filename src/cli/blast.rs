//! `tombolo blast-radius`: everything that the compromise or failure of an entity reaches.
//!
//! The walk belongs to the library and passes through every entity; class, type and scope only
//! choose which entities are reported. Heads are read only for reported entities and for those on
//! the chains to them.

use super::CommandContext;
use super::args::{BlastDirection, BlastRadiusArgs, GraphFormat, ImpactCause, RowFormat};
use super::ask::{self, BlastResult, BlastStrategy, BlastVisit};
use super::failure::CommandError;
use super::naming::{self, EntityFilter, RelationshipHead};
use super::notes;
use super::output::{
    AnswerWriter, BAD, NOTICE, RowListing, clean, counted, duration_text, thousands,
};
use super::picture::DrawingFormat;
use super::tree::{TreeDrawing, TreeNode};
use anstyle::{AnsiColor, Style};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};
use tombolo::graph::{AdjacencyRead, EdgeDirection, EntityHead, NameLookup};
use tombolo::limits::CostMeter;
use tombolo::rules::{ImpactFilter, ImpactState, RuleTable};
use tombolo::store::Snapshot;

/// A visit of an entity, and the last link of its shortest chain.
struct NamedVisit {
    entity: EntityHead,
    state: Option<ImpactState>,
    distance: u32,
    link: RelationshipHead,
    /// Position among all visits, and that of the one before in the chain; roots have none.
    number: u32,
    before: Option<u32>,
    /// Number of the entity before it in the chain.
    from: u32,
    /// `_id` of that entity, and the state in which the chain leads through it.
    from_id: String,
    from_state: Option<ImpactState>,
    /// True if the entity is reported in this state; false if it is only on the way to a reported
    /// one.
    reported: bool,
    /// True if the entity is reached in a stronger state too, and stands here as part of a chain.
    passed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlastAnswerJson<'a> {
    root: &'a EntityHead,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roots: &'a [EntityHead],
    total: usize,
    by_distance: BTreeMap<u32, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_state: Option<BTreeMap<&'static str, u64>>,
    not_followed: BTreeMap<&'a str, u64>,
    stale_scopes: &'a [String],
    notes: &'a [String],
    reached: Vec<ReachedEntityJson<'a>>,
    /// Visits that chains lead through in a weaker state than the strongest of their entity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on_the_way: Vec<ReachedEntityJson<'a>>,
}

#[derive(Serialize)]
struct ReachedEntityJson<'a> {
    #[serde(flatten)]
    entity: &'a EntityHead,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    distance: u32,
    via: ReachedStepJson<'a>,
}

#[derive(Serialize)]
struct ReachedStepJson<'a> {
    relationship: &'a RelationshipHead,
    /// `out` where the chain goes with the arrow, `in` where it goes against it.
    direction: &'static str,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

impl NamedVisit {
    fn direction(&self) -> &'static str {
        naming::direction(self.link.from == self.from)
    }

    fn line(&self) -> ReachedEntityJson<'_> {
        let (relationship, from) = (&self.link, self.from_id.as_str());
        let state = self.from_state.map(ImpactState::word);
        ReachedEntityJson {
            entity: &self.entity,
            state: self.state.map(ImpactState::word),
            distance: self.distance,
            via: ReachedStepJson { relationship, direction: self.direction(), from, state },
        }
    }
}

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &BlastRadiusArgs) -> Result<u8, CommandError> {
    let begun = Instant::now();
    if args.propagation.is_some() {
        return Err(CommandError::mistake("`--propagation` is gone: rules live in `tombolo.toml`")
            .hint(
                "write `[[impact]]` tables there, as `tombolo impact-rules -o toml` prints them",
            ));
    }
    let meter = context.meter()?;
    let rules = ask::rules(context)?;
    let (database, snapshot) = context.look()?;
    let mut roots = Vec::new();
    for name in &args.entities {
        let root = database.find_entity(&snapshot, name)?;
        // Two names may stand for one entity.
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    let walk = walk(&snapshot, args)?;
    let filter = EntityFilter::read(&snapshot, &args.scope, &args.class, &args.types)?;
    let blast = ask::blast(&snapshot, &meter, &roots, &walk, &rules, args.depth)?;
    // A visit is named by its entity and its relationship; memory for both is asked for before any
    // is read.
    meter.hold((2 * naming::NAMED_BYTES + 128) * blast.hits.len() as u64)?;
    meter.look()?;
    let heads = naming::entities(&snapshot, &roots)?;
    let (reached, whole) = name_all(&snapshot, &heads, &blast.hits, &filter)?;
    let stale = notes::stale(&database, &snapshot)?;
    let shown = answer(&reached).count();
    // The blast runs again with fewer flags to explain an empty answer, so only then.
    let hidden = match whole {
        0 => hiding_flag_note(&snapshot, &meter, &roots, &walk, &rules, args.depth)?,
        _ => None,
    };
    let mut found = NamedBlast {
        notes: answer_notes(&snapshot, &roots, &walk, &blast, (whole, shown), &filter, hidden)?,
        roots: heads,
        reached,
        ruled: matches!(walk, BlastStrategy::Ruled { .. }),
        not_followed: blast.not_followed,
        stale: stale.iter().map(|(scope, _)| scope.clone()).collect(),
    };
    found.notes.extend(notes::stale_note(&stale));
    found.print(&mut context.out, &snapshot, args.output, begun.elapsed())?;
    notes::tell(context, &found.notes)?;
    Ok(0)
}

/// Chooses the walk. It follows the rules unless verbs or a direction are asked for; verbs that are
/// only excluded leave the rules in force.
fn walk(snapshot: &Snapshot, args: &BlastRadiusArgs) -> Result<BlastStrategy, CommandError> {
    let leaves_out = args.verb.iter().all(|verb| verb.starts_with('!'));
    if args.direction == BlastDirection::Auto && leaves_out {
        let out: Vec<String> = args.verb.iter().map(|verb| verb[1..].trim().to_owned()).collect();
        let without = ask::verbs(snapshot, &out)?.0.unwrap_or_default();
        // Without `--for`, both compromise and failure are followed.
        let compromise = args.trouble != Some(ImpactCause::Failure);
        let failure = args.trouble != Some(ImpactCause::Compromise);
        return Ok(BlastStrategy::Ruled { trouble: ImpactFilter { compromise, failure }, without });
    }
    if args.trouble.is_some() {
        let message = "`--for` goes by the rules, which `--verb` and `--direction` set aside";
        return Err(CommandError::mistake(message).hint("leave out one of them"));
    }
    Ok(BlastStrategy::Plain { direction: args.direction, verbs: ask::verbs(snapshot, &args.verb)? })
}

/// Returns the notes beside the answer: facts that the answer does not show by itself.
fn answer_notes(
    snapshot: &Snapshot,
    roots: &[u32],
    walk: &BlastStrategy,
    blast: &BlastResult,
    (whole, shown): (usize, usize),
    filter: &EntityFilter,
    hidden: Option<String>,
) -> Result<Vec<String>, CommandError> {
    let mut notes = Vec::new();
    if whole > shown {
        let many = counted(whole as u64, "entity", "entities");
        let (few, words) = (thousands(shown as u64), &filter.words);
        let few = if shown == 0 { "none".to_owned() } else { few };
        notes.push(format!("{many} reached, {few}{words}"));
    }
    if whole == 0 {
        match hidden {
            Some(note) => notes.push(note),
            None => notes.extend(unreached_note(snapshot, roots, walk, blast)?),
        }
    }
    if !blast.not_followed.is_empty() {
        let verbs = blast.not_followed.iter();
        let verbs: Vec<String> =
            verbs.map(|(verb, count)| format!("{} {}", thousands(*count), clean(verb))).collect();
        notes.push(format!(
            "not followed: {}; `--verb` or `tombolo.toml` decides",
            verbs.join(", ")
        ));
    }
    Ok(notes)
}

/// Names a flag that makes the answer empty: without that flag something would be reached.
fn hiding_flag_note(
    snapshot: &Snapshot,
    meter: &CostMeter,
    roots: &[u32],
    walk: &BlastStrategy,
    rules: &RuleTable,
    depth: Option<u32>,
) -> Result<Option<String>, CommandError> {
    let BlastStrategy::Ruled { trouble, without } = walk else { return Ok(None) };
    let reached = |trouble: ImpactFilter, without: &[u32], depth: Option<u32>| {
        let walk = BlastStrategy::Ruled { trouble, without: without.to_vec() };
        let blast = ask::blast(snapshot, meter, roots, &walk, rules, depth)?;
        let strongest = blast.hits.iter().filter(|hit| hit.strongest);
        Ok::<_, CommandError>(strongest.count() as u64)
    };
    let note = |count: u64, flag: &str| {
        let many = counted(count, "entity is reached", "entities are reached");
        Some(format!("{many} without `{flag}`"))
    };
    if depth.is_some() {
        let count = reached(*trouble, without, None)?;
        if count > 0 {
            return Ok(note(count, "--depth"));
        }
    }
    if !without.is_empty() {
        let count = reached(*trouble, &[], depth)?;
        if count > 0 {
            return Ok(note(count, "--verb"));
        }
    }
    if *trouble != ImpactFilter::ANY {
        let count = reached(ImpactFilter::ANY, without, depth)?;
        let kind = if trouble.compromise { "compromise" } else { "failure" };
        if count > 0 {
            return Ok(note(count, &format!("--for {kind}")));
        }
    }
    Ok(None)
}

/// Names the relationships of the roots when none of them leads anywhere.
fn unreached_note(
    snapshot: &Snapshot,
    roots: &[u32],
    walk: &BlastStrategy,
    blast: &BlastResult,
) -> Result<Option<String>, CommandError> {
    let mut counts: BTreeMap<(String, EdgeDirection), u64> = BTreeMap::new();
    let mut verbs: BTreeMap<(u32, EdgeDirection), u64> = BTreeMap::new();
    for &root in roots {
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            snapshot.for_each_edge(root, direction, |edge| {
                *verbs.entry((edge.verb, direction)).or_default() += 1;
            })?;
        }
    }
    for ((verb, direction), count) in verbs {
        counts.insert((snapshot.name(verb).to_owned(), direction), count);
    }
    // Verbs without a rule are named in a note of their own.
    if let BlastStrategy::Ruled { .. } = walk {
        counts.retain(|(verb, _), _| !blast.not_followed.iter().any(|(known, _)| known == verb));
    }
    let one = if roots.len() == 1 { "it has" } else { "they have" };
    if counts.is_empty() {
        let none = blast.not_followed.is_empty();
        return Ok(none.then(|| format!("{one} no relationships")));
    }
    let words = counts.iter().map(|((verb, direction), count)| {
        let arrow = if *direction == EdgeDirection::Out { "to" } else { "from" };
        format!("{} {} {arrow} others", thousands(*count), clean(verb))
    });
    let why = match walk {
        BlastStrategy::Ruled { .. } => {
            "which pass nothing on this way; `tombolo impact-rules` tells why"
        }
        BlastStrategy::Plain { .. } => "none of them is taken this way",
    };
    Ok(Some(format!("{one} {}, {why}", naming::some_verbs(words))))
}

/// The answer by name.
struct NamedBlast {
    roots: Vec<EntityHead>,
    reached: Vec<NamedVisit>,
    ruled: bool,
    not_followed: Vec<(String, u64)>,
    /// Scopes whose last job is older than the others' by far.
    stale: Vec<String>,
    notes: Vec<String>,
}

/// Names the reported visits and the visits on the chains to them, ordered by distance, scope, key.
/// Also returns how many entities are reached in all.
fn name_all(
    snapshot: &Snapshot,
    roots: &[EntityHead],
    hits: &[BlastVisit],
    filter: &EntityFilter,
) -> Result<(Vec<NamedVisit>, usize), CommandError> {
    let mut needed = vec![false; hits.len()];
    let mut kept: Vec<(u32, bool)> = Vec::new();
    let mut whole = 0;
    // A visit comes after the one before it in its chain. Going backwards, every visit knows
    // already whether a reported one needs it.
    for (number, hit) in hits.iter().enumerate().rev() {
        whole += usize::from(hit.strongest);
        let reported = hit.strongest && filter.takes(snapshot, hit.step.entity)?;
        if reported || needed[number] {
            if let Some(before) = hit.before {
                needed[before as usize] = true;
            }
            kept.push((number as u32, reported));
        }
    }
    let hit = |number: u32| &hits[number as usize];
    let numbers: Vec<u32> = kept.iter().map(|(number, _)| hit(*number).step.entity).collect();
    let entities = naming::entities(snapshot, &numbers)?;
    // Keys of both ends are at hand, so most relationships are named without reading their heads.
    let known = roots.iter().chain(&entities);
    let keys: FxHashMap<u32, &str> = known.map(|e| (e.number, e.key.as_str())).collect();
    let links = naming::links_of(snapshot, kept.iter().map(|(n, _)| &hit(*n).step), &keys)?;
    // Only entities with something below them need their `_id` as a text.
    let above: FxHashSet<u32> = kept.iter().map(|(number, _)| hit(*number).step.from).collect();
    let ids: FxHashMap<u32, String> = roots
        .iter()
        .chain(entities.iter().filter(|entity| above.contains(&entity.number)))
        .map(|entity| (entity.number, entity.id.to_string()))
        .collect();
    let reached: Vec<NamedVisit> = kept
        .into_iter()
        .zip(entities.into_iter().zip(links))
        .map(|((number, reported), (entity, link))| {
            let BlastVisit { step, state, before, strongest } = *hit(number);
            // A blast by the rules begins with roots that are controlled.
            let root_state = state.map(|_| ImpactState::Controlled);
            NamedVisit {
                entity,
                state,
                distance: step.distance,
                link,
                number,
                before,
                from: step.from,
                from_id: ids.get(&step.from).cloned().unwrap_or_default(),
                from_state: before.map_or(root_state, |before| hit(before).state),
                reported,
                passed: !strongest,
            }
        })
        .collect();
    Ok((sorted(reached), whole))
}

/// Sorts by distance, scope, key and state. It sorts positions first, since the visits are large to
/// move.
fn sorted(reached: Vec<NamedVisit>) -> Vec<NamedVisit> {
    let mut order: Vec<u32> = (0..reached.len() as u32).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&reached[a as usize], &reached[b as usize]);
        a.distance
            .cmp(&b.distance)
            .then_with(|| a.entity.scope.cmp(&b.entity.scope))
            .then_with(|| a.entity.key.cmp(&b.entity.key))
            .then_with(|| a.state.cmp(&b.state))
    });
    let mut slots: Vec<Option<NamedVisit>> = reached.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| slots[at as usize].take()).collect()
}

impl NamedBlast {
    fn print(
        &self,
        out: &mut AnswerWriter<'_>,
        snapshot: &Snapshot,
        format: GraphFormat,
        time: Duration,
    ) -> Result<(), CommandError> {
        match format {
            GraphFormat::Table => self.table(out, time),
            GraphFormat::Json => self.json(out),
            GraphFormat::Ndjson => answer(&self.reached).try_for_each(|r| out.ndjson(&r.line())),
            GraphFormat::Csv => rows(&self.reached).print(out, RowFormat::Csv),
            GraphFormat::Dot => self.draw(out, snapshot, DrawingFormat::Dot),
            GraphFormat::Mermaid => self.draw(out, snapshot, DrawingFormat::Mermaid),
            GraphFormat::Graphml => self.draw(out, snapshot, DrawingFormat::Graphml),
        }
    }

    fn json(&self, out: &mut AnswerWriter<'_>) -> Result<(), CommandError> {
        let (roots, reached) = (&self.roots, &self.reached);
        let Some(root) = roots.first() else { return Ok(()) };
        out.json(&BlastAnswerJson {
            root,
            roots: if roots.len() > 1 { roots } else { &[] },
            total: answer(reached).count(),
            by_distance: by_distance(reached),
            by_state: self.ruled.then(|| by_state(reached)),
            not_followed: self.not_followed.iter().map(|(v, n)| (v.as_str(), *n)).collect(),
            stale_scopes: &self.stale,
            notes: &self.notes,
            reached: answer(reached).map(NamedVisit::line).collect(),
            on_the_way: reached.iter().filter(|r| r.passed).map(NamedVisit::line).collect(),
        })
    }

    /// Draws all visits, also those only on the way: an arrow needs both ends.
    fn draw(
        &self,
        out: &mut AnswerWriter<'_>,
        snapshot: &Snapshot,
        drawing: DrawingFormat,
    ) -> Result<(), CommandError> {
        let mut seen: FxHashSet<u32> = FxHashSet::default();
        let mut drawn: FxHashSet<u32> = FxHashSet::default();
        let entities = self.roots.iter().chain(self.reached.iter().map(|r| &r.entity));
        let entities: Vec<&EntityHead> = entities.filter(|e| seen.insert(e.number)).collect();
        let links = self.reached.iter().map(|r| &r.link);
        let links: Vec<&RelationshipHead> =
            links.filter(|link| drawn.insert(link.number)).collect();
        drawing.draw(out, snapshot, &entities, &links)
    }

    fn table(&self, out: &mut AnswerWriter<'_>, time: Duration) -> Result<(), CommandError> {
        let (roots, reached) = (&self.roots, &self.reached);
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
            duration_text(time)
        );
        out.line("", &summary, "  ")?;
        if total == 0 {
            return Ok(writeln!(out, "= nothing is reached")?);
        }
        let list = |counts: Vec<(String, u64)>| {
            let counts = counts.into_iter().map(|(name, n)| format!("{name}: {}", thousands(n)));
            counts.collect::<Vec<_>>().join("   ")
        };
        if self.ruled {
            let counts = by_state(reached);
            let counts = ImpactState::ALL.into_iter().filter_map(|state| {
                let count = *counts.get(state.word())?;
                (count > 0).then(|| (out.paint(style(state), state.word()), count))
            });
            let text = format!("by state      {}", list(counts.collect()));
            out.line("", &text, "  ")?;
        }
        let counts = counts.into_iter().map(|(hop, n)| (hop.to_string(), n)).collect();
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
                let text = format!(
                    "… {count} not drawn: -o csv lists all, --depth N and --class C narrow it"
                );
                Ok(out.line("", &text, "  ")?)
            }
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

/// The reported visits among those kept.
fn answer(reached: &[NamedVisit]) -> impl Iterator<Item = &NamedVisit> {
    reached.iter().filter(|r| r.reported)
}

fn by_distance(reached: &[NamedVisit]) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    answer(reached).for_each(|r| *counts.entry(r.distance).or_default() += 1);
    counts
}

fn by_state(reached: &[NamedVisit]) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<&'static str, u64> =
        ImpactState::ALL.into_iter().map(|state| (state.word(), 0)).collect();
    for state in answer(reached).filter_map(|r| r.state) {
        *counts.entry(state.word()).or_default() += 1;
    }
    counts
}

fn rows(reached: &[NamedVisit]) -> RowListing {
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
    for r in answer(reached) {
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
