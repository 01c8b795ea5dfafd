//! The questions of `view`, asked of a snapshot in the words of the command line.
//!
//! A question about some entities walks the snapshot itself, which reads only what it steps on. A
//! question about many builds the view first, which reads all edges once, in order.

use super::Context;
use super::args::{BlastDirection, PathDirection};
use super::failure::{Failure, inconsistent};
use super::mapped;
use super::naming;
use super::output::counted;
use rustc_hash::{FxHashMap, FxHashSet};
use tombolo::graph::{Direction, EntityFacts, GraphRead, Names};
use tombolo::lang::{Fault, Source};
use tombolo::rules::{Bound, Owning, PROJECT_FILE, Rules, State, Trouble, project_file};
use tombolo::store::{Snapshot, StoreError};
use tombolo::view::{
    self, BlastRules, BuildError, Flow, Flows, GraphView, OwnerSearch, Scratch, Visit, Way,
};

/// An entity that a walk came to, and the relationship it came by.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Number of the entity.
    pub entity: u32,
    /// Number of the relationship.
    pub relationship: u32,
    /// Number of the label of the relationship, or [`Edge::UNLABELLED`](tombolo::graph::Edge).
    pub label: u32,
    /// Whether the relationship points here; it points back otherwise.
    pub onward: bool,
    /// Number of the entity before it.
    pub from: u32,
    /// Relationships between it and the start.
    pub distance: u32,
}

impl Step {
    fn new(step: &view::Step, distance: u32) -> Step {
        let view::Step { from, to: entity, relationship, label, direction, .. } = *step;
        let onward = direction == Direction::Out;
        Step { entity, relationship, label, onward, from, distance }
    }

    /// The entities that the relationship points from and to.
    pub fn ends(&self) -> (u32, u32) {
        if self.onward { (self.from, self.entity) } else { (self.entity, self.from) }
    }
}

/// What a blast visits. An entity may be visited in several states; it is reached in the strongest.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// How it came there.
    pub step: Step,
    /// In which state; a plain walk has none.
    pub state: Option<State>,
    /// Position of the visit before it, none if it came from a root.
    pub before: Option<u32>,
    /// Whether no visit of the entity is in a stronger state.
    pub strongest: bool,
}

/// The answer of a blast.
#[derive(Debug, Default)]
pub struct Blast {
    /// All visits, nearest first.
    pub hits: Vec<Hit>,
    /// Verbs without a rule, and how many relationships were left aside for it.
    pub not_followed: Vec<(String, u64)>,
}

/// How a blast goes.
pub enum Walk {
    /// By the rules.
    Ruled {
        /// Which kinds of trouble are followed.
        trouble: Trouble,
        /// Verbs that are left out, whatever the rules say.
        without: Vec<u32>,
    },
    /// Along all relationships, or those of some verbs, the same way everywhere or as each verb goes.
    Plain {
        /// Which way along them.
        direction: BlastDirection,
        /// The only verbs to follow.
        verbs: Verbs,
    },
}

/// The owners of one entity: each by number, with the steps from it to the entity.
pub struct Owned {
    /// Number of the owned.
    pub entity: u32,
    /// Relationships between it and its nearest owners.
    pub distance: Option<u32>,
    /// The owners that tie at that distance.
    pub owners: Vec<OwnerFound>,
}

/// An owner.
pub struct OwnerFound {
    /// Its number.
    pub entity: u32,
    /// From it to the owned.
    pub chain: Vec<Step>,
    /// If it is a team and its people are asked for: each with the steps to the team.
    pub people: Vec<(u32, Vec<Step>)>,
}

/// The rules in force, or what is wrong with the file that changes them.
fn read_rules() -> Result<Result<Rules, Vec<Fault>>, Failure> {
    let Ok(here) = std::env::current_dir() else { return Ok(Ok(Rules::default())) };
    let Some(path) = project_file(&here) else { return Ok(Ok(Rules::default())) };
    let shown = path.strip_prefix(&here).unwrap_or(&path).to_owned();
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::file(&shown, "read", &e))?;
    Ok(Rules::parse(&Source::whole(shown.display().to_string(), text)))
}

/// The rules in force: the built-in ones, as the `tombolo.toml` of the working folder or the nearest
/// one above changes them.
pub fn rules(context: &mut Context<'_>) -> Result<Rules, Failure> {
    if context.database.is_some() {
        return server_rules();
    }
    let faults = match read_rules()? {
        Ok(rules) => return Ok(rules),
        Err(faults) => faults,
    };
    mapped::tell(context, &faults, super::args::FaultFormat::Human)?;
    let file = faults.first().map_or(PROJECT_FILE, |fault| &fault.source.file);
    let faults = counted(faults.len() as u64, "fault", "faults");
    Err(Failure::mistake(format!("`{file}` has {faults}, so nothing was asked")))
}

/// The same for a server, whose callers do not see its standard error.
pub fn server_rules() -> Result<Rules, Failure> {
    read_rules()?.map_err(|faults| {
        let Some(fault) = faults.first() else { return Failure::mistake("faulty rules") };
        let (line, column) = fault.place();
        let place = format!("{}:{line}:{column}", fault.source.file);
        let failure = Failure::mistake(format!("{place}: {}", fault.message));
        match fault.helps.first() {
            Some(help) => failure.hint(help.clone()),
            None => failure,
        }
    })
}

/// The verbs that a question may follow, by number; `None` stands for all.
#[derive(Clone, Debug, Default)]
pub struct Verbs(pub Option<Vec<u32>>);

/// The verbs that were asked for, in every spelling: those named, or all but those named with `!`.
///
/// # Errors
///
/// A name that no relationship has.
pub fn verbs(snapshot: &Snapshot, asked: &[String]) -> Result<Verbs, Failure> {
    if asked.is_empty() {
        return Ok(Verbs(None));
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
    taken.retain(|verb| !except.contains(verb));
    Ok(Verbs(Some(taken.iter().filter_map(|verb| snapshot.name_number(verb)).collect())))
}

/// The verbs that a path may take: those asked for, but none that says that there is no way, unless
/// it was named. Gives those that were left out as well.
pub fn passable(snapshot: &Snapshot, asked: &[String]) -> Result<(Verbs, Vec<String>), Failure> {
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
    roots: &[u32],
    walk: &Walk,
    rules: &Rules,
    depth: Option<u32>,
) -> Result<Blast, Failure> {
    match walk {
        Walk::Ruled { trouble, without } => {
            let mut bound = Bound::new(rules, *trouble).without(without);
            let found = view::impact(snapshot, roots, &mut bound, depth)?;
            let hit = |visit: &Visit| Hit {
                step: Step::new(&visit.step(), visit.distance),
                state: Some(visit.state),
                before: Some(visit.before).filter(|&before| before != Visit::ROOT),
                strongest: visit.strongest,
            };
            let named = found.not_followed.iter();
            Ok(Blast {
                hits: found.visits.iter().map(hit).collect(),
                not_followed: named
                    .map(|&(verb, count)| (snapshot.name(verb).to_owned(), count))
                    .collect(),
            })
        }
        Walk::Plain { direction, verbs } => {
            let way = match direction {
                BlastDirection::Auto => None,
                BlastDirection::Out => Some(Way::Out),
                BlastDirection::In => Some(Way::In),
                BlastDirection::Both => Some(Way::Both),
            };
            let flows =
                verbs.0.iter().flatten().fold(Flows::uniform(Flow::Forward), |flows, &verb| {
                    // A verb that is asked for by name is followed, whatever the rules say of it.
                    let flow = rules.plain_flow(snapshot.name(verb));
                    flows.with(verb, flow.filter(|f| *f != Flow::None).unwrap_or(Flow::Forward))
                });
            let plain = BlastRules::new(&flows, way, verbs.0.as_deref(), depth);
            let reached = view::blast_radius(snapshot, roots, &plain, &mut Scratch::new())?;
            let mut at: FxHashMap<u32, u32> = FxHashMap::default();
            let hits = (0u32..).zip(&reached).map(|(position, reached)| {
                at.insert(reached.entity, position);
                Hit {
                    step: Step::new(&reached.step(), reached.distance),
                    state: None,
                    before: at.get(&reached.from).copied(),
                    strongest: true,
                }
            });
            Ok(Blast { hits: hits.collect(), not_followed: Vec::new() })
        }
    }
}

/// With more questions than this, reading all edges at once is cheaper.
const QUESTIONS: usize = 64;

/// How owners are looked for.
pub struct Ownership<'r> {
    /// The rules.
    pub rules: &'r Rules,
    /// Class sets of which an owner must be; those that the rules name if none are given.
    pub owner_sets: Option<FxHashSet<u32>>,
    /// The only verbs that say anything.
    pub verbs: Verbs,
    /// At most so many relationships.
    pub depth: Option<u32>,
    /// Whether the people of teams are asked for.
    pub people: bool,
}

/// The nearest owners of each entity.
pub fn owners(
    snapshot: &Snapshot,
    entities: &[u32],
    asked: &Ownership<'_>,
) -> Result<Vec<Owned>, Failure> {
    let mut bound = Bound::new(asked.rules, Trouble::ANY);
    let is_owner = |bound: &mut Bound, facts: &EntityFacts| match &asked.owner_sets {
        Some(sets) => sets.contains(&facts.classes),
        None => {
            let kind = bound.kind(snapshot, facts);
            bound.can_own(kind)
        }
    };
    let (verbs, depth) = (asked.verbs.0.as_deref(), asked.depth);
    if entities.len() <= QUESTIONS {
        let mut search = OwnerSearch {
            graph: snapshot,
            names: snapshot,
            bound: &mut bound,
            verbs,
            depth,
            facts: |entity| snapshot.entity_facts(entity),
            is_owner,
        };
        let mut answers = Vec::with_capacity(entities.len());
        for &entity in entities {
            let mut answer = owned(entity, search.nearest(entity)?);
            for owner in answer.owners.iter_mut().filter(|_| asked.people) {
                let people = search.people(owner.entity)?;
                owner.people = people.iter().map(|p| (p.entity, steps(&p.chain))).collect();
            }
            answers.push(answer);
        }
        return Ok(answers);
    }
    let graph = graph(snapshot)?;
    let mut fault: Option<StoreError> = None;
    let mut answers = Vec::with_capacity(entities.len());
    let mut search = OwnerSearch {
        graph: &graph,
        names: snapshot,
        bound: &mut bound,
        verbs,
        depth,
        // The view itself cannot fail, so what fails beside it is kept aside.
        facts: |entity| {
            Ok(snapshot.entity_facts(entity).unwrap_or_else(|e| {
                fault = Some(e);
                None
            }))
        },
        is_owner,
    };
    for &entity in entities {
        let Ok(found) = search.nearest(entity);
        let mut answer = owned(entity, found);
        for owner in answer.owners.iter_mut().filter(|_| asked.people) {
            let Ok(people) = search.people(owner.entity);
            owner.people = people.iter().map(|p| (p.entity, steps(&p.chain))).collect();
        }
        answers.push(answer);
    }
    match fault {
        Some(e) => Err(e.into()),
        None => Ok(answers),
    }
}

/// Whether any live relationship makes an owner.
pub fn something_owns(snapshot: &Snapshot, rules: &Rules) -> Result<bool, Failure> {
    let counts = snapshot.counts()?;
    let verbs: FxHashSet<u32> = counts
        .iter()
        .flat_map(|scope| scope.verbs.keys().copied())
        .filter(|&verb| rules.owning(snapshot.name(verb)))
        .collect();
    if verbs.is_empty() {
        return Ok(false);
    }
    // Some of the rules want certain ends.
    let mut bound = Bound::new(rules, Trouble::ANY);
    let (mut found, mut fault) = (false, None);
    snapshot.for_each_edge_of_all(Direction::Out, |from, edge| {
        if found || !verbs.contains(&edge.verb) {
            return;
        }
        let ends = [from, edge.other].map(|end| snapshot.entity_facts(end));
        match ends {
            [Ok(Some(from)), Ok(Some(to))] => {
                let (from, to) = (bound.kind(snapshot, &from), bound.kind(snapshot, &to));
                let owning = bound.owning(snapshot, edge.verb, from, to);
                found = owning.is_some_and(|(owning, _)| owning == Owning::Owns);
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

fn owned(entity: u32, found: Option<view::Owners>) -> Owned {
    let distance = found.as_ref().map(|found| found.distance);
    let owners = found.into_iter().flat_map(|found| found.owners);
    let owners = owners.map(|owner| OwnerFound {
        entity: owner.entity,
        chain: steps(&owner.chain),
        people: Vec::new(),
    });
    Owned { entity, distance, owners: owners.collect() }
}

/// The steps of a chain, counted from its start.
fn steps(chain: &[view::Step]) -> Vec<Step> {
    (1u32..).zip(chain).map(|(distance, step)| Step::new(step, distance)).collect()
}

/// All edges in memory.
fn graph(snapshot: &Snapshot) -> Result<GraphView, Failure> {
    GraphView::build(snapshot).map_err(|e| match e {
        BuildError::Read(e) => e.into(),
        other => inconsistent(other),
    })
}

/// The shortest chains through `stops`, from the first to the last: how many there are, and the first
/// `max` of them. Each is shortest between one stop and the next.
pub fn paths(
    snapshot: &Snapshot,
    stops: &[u32],
    direction: PathDirection,
    verbs: &Verbs,
    max: usize,
) -> Result<(u64, Vec<Vec<Step>>), Failure> {
    let way = match direction {
        PathDirection::Out => Way::Out,
        PathDirection::In => Way::In,
        PathDirection::Both => Way::Both,
    };
    let mut total = 1u64;
    let mut chains: Vec<Vec<view::Step>> = vec![Vec::new()];
    for leg in stops.windows(2) {
        let found = view::paths(snapshot, leg[0], leg[1], way, verbs.0.as_deref(), max, None)?;
        let Some(found) = found else { return Ok((0, Vec::new())) };
        total = total.saturating_mul(found.total);
        let longer = chains
            .iter()
            .flat_map(|chain| found.paths.iter().map(move |leg| [chain.as_slice(), leg].concat()));
        chains = longer.take(max).collect();
    }
    Ok((total, chains.iter().map(|chain| steps(chain)).collect()))
}

/// Entities that reach each other in a circle.
pub struct Cycle {
    /// Their numbers, ascending.
    pub members: Vec<u32>,
    /// A shortest chain from one of them back to itself.
    pub chain: Vec<Step>,
}

/// The sets of entities that reach each other in a circle, the largest first.
pub fn cycles(snapshot: &Snapshot, verbs: &Verbs) -> Result<Vec<Cycle>, Failure> {
    let verbs = verbs.0.as_deref();
    let graph = graph(snapshot)?;
    let cycle = |members: Vec<u32>| {
        let chain = steps(&view::shortest_cycle(&graph, &members, verbs));
        Cycle { members, chain }
    };
    Ok(view::cycles(&graph, verbs).into_iter().map(cycle).collect())
}
