//! The questions of `view`, asked of a snapshot in the words of the command line.
//!
//! A question about few entities walks the snapshot itself and reads only the relationships it
//! steps on. A question about many entities first builds the view, which reads all edges once, in
//! order.

use super::CommandContext;
use super::args::{BlastDirection, PathDirection};
use super::failure::{CommandError, inconsistent};
use super::mapping_run;
use super::naming;
use super::output::counted;
use rustc_hash::{FxHashMap, FxHashSet};
use tombolo::graph::{AdjacencyRead, EdgeDirection, EntityFacts, GraphRead, NameLookup};
use tombolo::lang::{Diagnostic, SourceText};
use tombolo::limits::CostMeter;
use tombolo::rules::{
    BoundRules, ImpactFilter, ImpactState, OwnershipKind, PROJECT_FILE, RuleTable, project_file,
};
use tombolo::store::{Snapshot, StoreError};
use tombolo::view::{
    self, BlastRules, BlastScratch, FlowDirection, GraphView, MeteredGraph, OwnerSearch,
    StateVisit, VerbFlows, ViewBuildError, WalkDirection,
};

/// An entity that a walk came to, and the relationship it came by.
#[derive(Clone, Copy, Debug)]
pub struct WalkStep {
    /// Number of the entity.
    pub entity: u32,
    /// Number of the relationship.
    pub relationship: u32,
    /// Number of the label of the relationship, or [`Edge::UNLABELLED`](tombolo::graph::Edge).
    pub label: u32,
    /// True if the relationship points to `entity`; otherwise it points to `from`.
    pub onward: bool,
    /// Number of the entity before it.
    pub from: u32,
    /// Relationships between it and the start.
    pub distance: u32,
}

impl WalkStep {
    fn new(step: &view::EvidenceStep, distance: u32) -> WalkStep {
        let view::EvidenceStep { from, to: entity, relationship, label, direction, .. } = *step;
        let onward = direction == EdgeDirection::Out;
        WalkStep { entity, relationship, label, onward, from, distance }
    }

    /// The entities that the relationship points from and to.
    pub fn ends(&self) -> (u32, u32) {
        if self.onward { (self.from, self.entity) } else { (self.entity, self.from) }
    }
}

/// One visit of a blast. A blast may visit an entity in several states; the strongest one counts.
#[derive(Clone, Copy, Debug)]
pub struct BlastVisit {
    /// The last step to the entity.
    pub step: WalkStep,
    /// The state of this visit; a plain walk has none.
    pub state: Option<ImpactState>,
    /// Position of the visit before it, none if it came from a root.
    pub before: Option<u32>,
    /// True if no visit of the entity is in a stronger state.
    pub strongest: bool,
}

/// The answer of a blast.
#[derive(Debug, Default)]
pub struct BlastResult {
    /// All visits, nearest first.
    pub hits: Vec<BlastVisit>,
    /// Verbs without a rule, each with the number of relationships that were not followed.
    pub not_followed: Vec<(String, u64)>,
}

/// The way a blast goes.
pub enum BlastStrategy {
    /// By the rules.
    Ruled {
        /// The kinds of trouble to follow.
        trouble: ImpactFilter,
        /// Verbs that are left out, whatever the rules say.
        without: Vec<u32>,
    },
    /// Along all relationships, or those of some verbs, the same way everywhere or as each verb goes.
    Plain {
        /// The direction along them.
        direction: BlastDirection,
        /// The only verbs to follow.
        verbs: VerbFilter,
    },
}

/// The owners of one entity: each by number, with the steps from it to the entity.
pub struct EntityOwners {
    /// Number of the owned.
    pub entity: u32,
    /// Relationships between it and its nearest owners.
    pub distance: Option<u32>,
    /// The owners that tie at that distance.
    pub owners: Vec<FoundOwner>,
}

/// An owner.
pub struct FoundOwner {
    /// Its number.
    pub entity: u32,
    /// From it to the owned.
    pub chain: Vec<WalkStep>,
    /// The people of a team, if they are asked for: each with the steps to the team.
    pub people: Vec<(u32, Vec<WalkStep>)>,
}

/// Reads the rules in force, or the faults of the file that changes them.
fn read_rules() -> Result<Result<RuleTable, Vec<Diagnostic>>, CommandError> {
    let Ok(here) = std::env::current_dir() else { return Ok(Ok(RuleTable::default())) };
    let Some(path) = project_file(&here) else { return Ok(Ok(RuleTable::default())) };
    let shown = path.strip_prefix(&here).unwrap_or(&path).to_owned();
    let text =
        std::fs::read_to_string(&path).map_err(|e| CommandError::file(&shown, "read", &e))?;
    Ok(RuleTable::parse(&SourceText::whole(shown.display().to_string(), text)))
}

/// The rules in force: the built-in ones, as the `tombolo.toml` of the working folder or the nearest
/// one above changes them.
pub fn rules(context: &mut CommandContext<'_>) -> Result<RuleTable, CommandError> {
    if context.database.is_some() {
        return server_rules();
    }
    let faults = match read_rules()? {
        Ok(rules) => return Ok(rules),
        Err(faults) => faults,
    };
    mapping_run::tell(context, &faults, super::args::DiagnosticFormat::Human)?;
    let file = faults.first().map_or(PROJECT_FILE, |fault| &fault.source.file);
    let faults = counted(faults.len() as u64, "fault", "faults");
    Err(CommandError::mistake(format!("`{file}` has {faults}, so nothing was asked")))
}

/// The same for a server, whose callers do not see its standard error.
pub fn server_rules() -> Result<RuleTable, CommandError> {
    read_rules()?.map_err(|faults| {
        let Some(fault) = faults.first() else { return CommandError::mistake("faulty rules") };
        let (line, column) = fault.place();
        let place = format!("{}:{line}:{column}", fault.source.file);
        let failure = CommandError::mistake(format!("{place}: {}", fault.message));
        match fault.helps.first() {
            Some(help) => failure.hint(help.clone()),
            None => failure,
        }
    })
}

/// The verbs that a question may follow, by number; `None` stands for all.
#[derive(Clone, Debug, Default)]
pub struct VerbFilter(pub Option<Vec<u32>>);

/// The verbs that were asked for, in every spelling: those named, or all but those named with `!`.
///
/// # Errors
///
/// A name that no relationship has.
pub fn verbs(snapshot: &Snapshot, asked: &[String]) -> Result<VerbFilter, CommandError> {
    if asked.is_empty() {
        return Ok(VerbFilter(None));
    }
    let (except, only): (Vec<&String>, Vec<&String>) =
        asked.iter().partition(|verb| verb.starts_with('!'));
    let except: Vec<String> = except.iter().map(|verb| verb[1..].trim().to_owned()).collect();
    let only: Vec<String> = only.into_iter().cloned().collect();
    let except = naming::spellings(snapshot, "verb", &except)?;
    let mut taken = match only.is_empty() {
        true => naming::verbs(snapshot)?,
        false => naming::spellings(snapshot, "verb", &only)?,
    };
    // A verb both named and excluded is excluded, so exclusions come last.
    taken.retain(|verb| !except.contains(verb));
    Ok(VerbFilter(Some(taken.iter().filter_map(|verb| snapshot.name_number(verb)).collect())))
}

/// Returns the verbs that a path may take, and the verbs left out. A verb that denies a way (see
/// [`view::denies`]) is left out unless it was named.
pub fn passable_verbs(
    snapshot: &Snapshot,
    asked: &[String],
) -> Result<(VerbFilter, Vec<String>), CommandError> {
    // Once a verb is named, only named verbs are followed, so no denial can slip in unasked.
    let denials: Vec<String> = match asked.iter().all(|verb| verb.starts_with('!')) {
        true => naming::verbs(snapshot)?.into_iter().filter(|verb| view::denies(verb)).collect(),
        false => Vec::new(),
    };
    if denials.is_empty() {
        return Ok((verbs(snapshot, asked)?, denials));
    }
    let all: Vec<String> =
        asked.iter().cloned().chain(denials.iter().map(|verb| format!("!{verb}"))).collect();
    Ok((verbs(snapshot, &all)?, denials))
}

/// Everything that is reached from `roots`, by shortest chains.
pub fn blast(
    snapshot: &Snapshot,
    meter: &CostMeter,
    roots: &[u32],
    walk: &BlastStrategy,
    rules: &RuleTable,
    depth: Option<u32>,
) -> Result<BlastResult, CommandError> {
    let graph = MeteredGraph::new(snapshot, meter);
    match walk {
        BlastStrategy::Ruled { trouble, without } => {
            let mut bound = BoundRules::new(rules, *trouble).without(without);
            let found = view::impact(&graph, roots, &mut bound, depth)?;
            let hit = |visit: &StateVisit| BlastVisit {
                step: WalkStep::new(&visit.step(), visit.distance),
                state: Some(visit.state),
                before: Some(visit.before).filter(|&before| before != StateVisit::ROOT),
                strongest: visit.strongest,
            };
            let named = found.not_followed.iter();
            Ok(BlastResult {
                hits: found.visits.iter().map(hit).collect(),
                not_followed: named
                    .map(|&(verb, count)| (snapshot.name(verb).to_owned(), count))
                    .collect(),
            })
        }
        BlastStrategy::Plain { direction, verbs } => {
            let way = match direction {
                BlastDirection::Auto => None,
                BlastDirection::Out => Some(WalkDirection::Out),
                BlastDirection::In => Some(WalkDirection::In),
                BlastDirection::Both => Some(WalkDirection::Both),
            };
            let flows = verbs.0.iter().flatten().fold(
                VerbFlows::uniform(FlowDirection::Forward),
                |flows, &verb| {
                    // A verb that is asked for by name is followed, whatever the rules say of it.
                    let flow = rules.plain_flow(snapshot.name(verb));
                    flows.with(
                        verb,
                        flow.filter(|f| *f != FlowDirection::None)
                            .unwrap_or(FlowDirection::Forward),
                    )
                },
            );
            let plain = BlastRules::new(&flows, way, verbs.0.as_deref(), depth);
            let reached = view::blast_radius(&graph, roots, &plain, &mut BlastScratch::new())?;
            let mut at: FxHashMap<u32, u32> = FxHashMap::default();
            let hits = (0u32..).zip(&reached).map(|(position, reached)| {
                // Entities come nearest first, so the position of `from` is known before it is
                // looked up.
                at.insert(reached.entity, position);
                BlastVisit {
                    step: WalkStep::new(&reached.step(), reached.distance),
                    state: None,
                    before: at.get(&reached.from).copied(),
                    strongest: true,
                }
            });
            Ok(BlastResult { hits: hits.collect(), not_followed: Vec::new() })
        }
    }
}

/// For more entities than this, it is cheaper to read all edges at once.
const QUESTIONS: usize = 64;

/// The entities that count as owners.
pub enum OwnerCriteria {
    /// Entities that the rules name.
    ByRules,
    /// Entities with one of these class sets.
    Sets(FxHashSet<u32>),
    /// Any entity that an owning relationship comes from.
    Anything,
}

/// The options of a search for owners.
pub struct OwnerSearchOptions<'r> {
    /// The rules.
    pub rules: &'r RuleTable,
    /// The entities that count as owners.
    pub accepted: OwnerCriteria,
    /// The only verbs that say anything.
    pub verbs: VerbFilter,
    /// At most so many relationships.
    pub depth: Option<u32>,
    /// True if the people of teams are asked for.
    pub people: bool,
}

/// The nearest owners of each entity.
pub fn owners(
    snapshot: &Snapshot,
    meter: &CostMeter,
    entities: &[u32],
    asked: &OwnerSearchOptions<'_>,
) -> Result<Vec<EntityOwners>, CommandError> {
    let mut bound = BoundRules::new(asked.rules, ImpactFilter::ANY);
    let is_owner = |bound: &mut BoundRules, facts: &EntityFacts| match &asked.accepted {
        OwnerCriteria::Sets(sets) => sets.contains(&facts.classes),
        OwnerCriteria::Anything => true,
        OwnerCriteria::ByRules => {
            let kind = bound.kind(snapshot, facts);
            bound.can_own(kind)
        }
    };
    let (verbs, depth) = (asked.verbs.0.as_deref(), asked.depth);
    // A search on the snapshot reads single entries; a search on the view costs one pass over the
    // file.
    if entities.len() <= QUESTIONS {
        let mut answers = Vec::with_capacity(entities.len());
        for &entity in entities {
            let graph = MeteredGraph::new(snapshot, meter);
            let mut search = OwnerSearch {
                graph: &graph,
                names: snapshot,
                bound: &mut bound,
                verbs,
                depth,
                facts: |entity| graph.entity_facts(entity),
                is_owner,
            };
            answers.push(owners_of_entity(&mut search, entity, asked.people)?);
        }
        return Ok(answers);
    }
    let view = graph(snapshot, meter)?;
    let mut answers = Vec::with_capacity(entities.len());
    for &entity in entities {
        meter.look()?;
        let graph = MeteredGraph::new(&view, meter);
        let mut fault: Option<StoreError> = None;
        let mut search = OwnerSearch {
            graph: &graph,
            names: snapshot,
            bound: &mut bound,
            verbs,
            depth,
            // The view itself cannot fail, so an error of the snapshot beside it is kept and
            // returned below.
            facts: |entity| {
                Ok(snapshot.entity_facts(entity).unwrap_or_else(|e| {
                    fault = Some(e);
                    None
                }))
            },
            is_owner,
        };
        let answer = owners_of_entity(&mut search, entity, asked.people)?;
        if let Some(e) = fault {
            return Err(e.into());
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// True if any live relationship makes an owner.
pub fn has_ownership(snapshot: &Snapshot, rules: &RuleTable) -> Result<bool, CommandError> {
    let counts = snapshot.counts()?;
    let verbs: FxHashSet<u32> = counts
        .iter()
        .flat_map(|scope| scope.verbs.keys().copied())
        .filter(|&verb| rules.owning(snapshot.name(verb)))
        .collect();
    if verbs.is_empty() {
        return Ok(false);
    }
    // Some rules ask for certain ends, so a verb alone does not settle it.
    let mut bound = BoundRules::new(rules, ImpactFilter::ANY);
    let (mut found, mut fault) = (false, None);
    snapshot.for_each_edge_of_all(EdgeDirection::Out, |from, edge| {
        // The scan cannot be stopped from here; the rest of it is skipped cheaply.
        if found || !verbs.contains(&edge.verb) {
            return;
        }
        let ends = [from, edge.other].map(|end| snapshot.entity_facts(end));
        match ends {
            [Ok(Some(from)), Ok(Some(to))] => {
                let (from, to) = (bound.kind(snapshot, &from), bound.kind(snapshot, &to));
                let owning = bound.owning(snapshot, edge.verb, from, to);
                found = owning.is_some_and(|(owning, _)| owning == OwnershipKind::Owns);
            }
            [Err(e), _] | [_, Err(e)] => fault = Some(e),
            _ => {}
        }
    })?;
    match fault {
        Some(e) => Err(e.into()),
        None => Ok(found),
    }
}

/// The nearest owners of one entity, with the people of teams if they are asked for.
fn owners_of_entity<A, N, F, O>(
    search: &mut OwnerSearch<'_, A, N, F, O>,
    entity: u32,
    people: bool,
) -> Result<EntityOwners, A::Error>
where
    A: AdjacencyRead,
    N: NameLookup,
    F: FnMut(u32) -> Result<Option<EntityFacts>, A::Error>,
    O: FnMut(&mut BoundRules, &EntityFacts) -> bool,
{
    let found = search.nearest(entity)?;
    let distance = found.as_ref().map(|found| found.distance);
    let mut owners = Vec::new();
    for owner in found.into_iter().flat_map(|found| found.owners) {
        let members = if people { search.people(owner.entity)? } else { Vec::new() };
        owners.push(FoundOwner {
            entity: owner.entity,
            chain: steps(&owner.chain),
            people: members.iter().map(|p| (p.entity, steps(&p.chain))).collect(),
        });
    }
    Ok(EntityOwners { entity, distance, owners })
}

/// The steps of a chain, counted from its start.
fn steps(chain: &[view::EvidenceStep]) -> Vec<WalkStep> {
    (1u32..).zip(chain).map(|(distance, step)| WalkStep::new(step, distance)).collect()
}

/// Bytes that an edge takes while a view is built.
const EDGE_BYTES: u64 = 40;

/// Builds a view of all edges in memory, counted by `meter` until the question ends.
fn graph(snapshot: &Snapshot, meter: &CostMeter) -> Result<GraphView, CommandError> {
    meter.hold(EDGE_BYTES * snapshot.relationships_expected() as u64)?;
    GraphView::build(snapshot).map_err(|e| match e {
        ViewBuildError::Read(e) => e.into(),
        other => inconsistent(other),
    })
}

/// Paths that are listed before the meter is asked whether all of them fit into memory.
const PATHS: usize = 1000;
/// Bytes that a step of a path takes until it is printed.
const STEP_BYTES: u64 = 100;

/// Returns the number of shortest chains through `stops`, from the first to the last, and the first
/// `max` of them. Each chain is shortest between one stop and the next.
pub fn paths(
    snapshot: &Snapshot,
    meter: &CostMeter,
    stops: &[u32],
    direction: PathDirection,
    verbs: &VerbFilter,
    max: usize,
) -> Result<(u64, Vec<Vec<WalkStep>>), CommandError> {
    let way = match direction {
        PathDirection::Out => WalkDirection::Out,
        PathDirection::In => WalkDirection::In,
        PathDirection::Both => WalkDirection::Both,
    };
    let mut total = 1u64;
    let mut chains: Vec<Vec<view::EvidenceStep>> = vec![Vec::new()];
    for leg in stops.windows(2) {
        let graph = MeteredGraph::new(snapshot, meter);
        let mut distances = meter.part();
        // The search keeps a distance of 4 bytes for each entity; `distances` gives them back after
        // the leg.
        distances.hold(u64::from(snapshot.entity_bound()) * 4)?;
        let find = |max| view::paths(&graph, leg[0], leg[1], way, verbs.0.as_deref(), max, None);
        // The number of paths is known before all are listed, so a list that does not fit is
        // refused early.
        let Some(mut found) = find(max.min(PATHS))? else { return Ok((0, Vec::new())) };
        // Every chain so far goes on with every path of this leg.
        total = total.saturating_mul(found.total);
        let listed = total.min(max as u64);
        let length = u64::from(found.length) + chains.first().map_or(0, |chain| chain.len() as u64);
        meter.hold(listed.saturating_mul(length + 1).saturating_mul(STEP_BYTES))?;
        if found.paths.len() == PATHS && max > PATHS {
            found = find(max)?.unwrap_or(found);
        }
        let longer = chains
            .iter()
            .flat_map(|chain| found.paths.iter().map(move |leg| [chain.as_slice(), leg].concat()));
        chains = longer.take(max).collect();
    }
    Ok((total, chains.iter().map(|chain| steps(chain)).collect()))
}

/// A set of entities that reach each other.
pub struct RelationshipCycle {
    /// Their numbers, ascending.
    pub members: Vec<u32>,
    /// A shortest chain from one of them back to itself.
    pub chain: Vec<WalkStep>,
}

/// Returns the sets of entities that reach each other, the largest first.
pub fn cycles(
    snapshot: &Snapshot,
    meter: &CostMeter,
    verbs: &VerbFilter,
) -> Result<Vec<RelationshipCycle>, CommandError> {
    let verbs = verbs.0.as_deref();
    let graph = graph(snapshot, meter)?;
    let mut cycles = Vec::new();
    for members in view::cycles(&graph, verbs) {
        meter.look()?;
        let chain = steps(&view::shortest_cycle(&graph, &members, verbs));
        cycles.push(RelationshipCycle { members, chain });
    }
    Ok(cycles)
}
