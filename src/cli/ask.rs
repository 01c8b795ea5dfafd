//! The questions of `view`, asked of a snapshot in the words of the command line.
//!
//! A question about some entities walks the snapshot itself, which reads only what it steps on. A
//! question about many builds the view first, which reads all edges once, in order.

use super::args::{BlastDirection, PathDirection};
use super::failure::{Failure, inconsistent};
use super::naming;
use rustc_hash::FxHashSet;
use std::path::Path;
use tombolo::graph::{CLASS_SEPARATOR, Direction, Kind, Names};
use tombolo::store::{Snapshot, StoreError};
use tombolo::view::{self, BlastRules, BuildError, GraphView, Rules, Scratch, Way};

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

/// How a blast goes.
pub struct Walk<'a> {
    /// At most this many relationships.
    pub depth: Option<u32>,
    /// Which way along them.
    pub direction: BlastDirection,
    /// Only these verbs.
    pub verbs: &'a Verbs,
    /// What `auto` goes by.
    pub rules: Rules,
}

/// The owners of one entity: each by number, with the steps from it to the entity.
pub struct Owned {
    /// Number of the owned.
    pub entity: u32,
    /// Relationships between it and its nearest owners.
    pub distance: Option<u32>,
    /// The owners that tie at that distance.
    pub owners: Vec<(u32, Vec<Step>)>,
}

/// The rules of propagation: the default ones, or as a file changes them.
pub fn rules(file: Option<&Path>) -> Result<Rules, Failure> {
    let Some(path) = file else { return Ok(Rules::default()) };
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, "read", &e))?;
    Rules::parse(&text).map_err(|e| {
        let fault = Failure::mistake(format!("{}:{e}", path.display()));
        match e.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
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

/// Everything that is reached from `roots`, each entity once, by a shortest chain.
pub fn blast(snapshot: &Snapshot, roots: &[u32], walk: &Walk<'_>) -> Result<Vec<Step>, Failure> {
    let way = match walk.direction {
        BlastDirection::Auto => None,
        BlastDirection::Out => Some(Way::Out),
        BlastDirection::In => Some(Way::In),
        BlastDirection::Both => Some(Way::Both),
    };
    let flows = walk.rules.propagation.resolve(snapshot);
    let rules = BlastRules::new(&flows, way, walk.verbs.0.as_deref(), walk.depth);
    let reached = view::blast_radius(snapshot, roots, &rules, &mut Scratch::new())?;
    Ok(reached.iter().map(|reached| Step::new(&reached.step(), reached.distance)).collect())
}

/// With more questions than this, reading all edges at once is cheaper.
const QUESTIONS: usize = 64;

/// The nearest owners of each entity, of one of `classes`, or of those that the rules name.
pub fn owners(
    snapshot: &Snapshot,
    entities: &[u32],
    classes: &[String],
) -> Result<Vec<Owned>, Failure> {
    let mut ownership = Rules::default().ownership;
    if !classes.is_empty() {
        ownership.classes = classes.to_vec();
    }
    let rules = ownership.resolve(snapshot);
    let can_own: FxHashSet<u32> = snapshot
        .words()
        .numbers()
        .filter(|&set| ownership.can_own(snapshot.name(set).split(CLASS_SEPARATOR)))
        .collect();
    let is_owner = |entity: u32| -> Result<bool, StoreError> {
        let facts = snapshot.facts(Kind::Entity, entity)?;
        Ok(facts.is_some_and(|facts| can_own.contains(&facts.class)))
    };
    if entities.len() <= QUESTIONS {
        let ask =
            |&entity: &u32| Ok(owned(entity, view::owners(snapshot, entity, &rules, is_owner)?));
        return entities.iter().map(ask).collect();
    }
    let graph = graph(snapshot)?;
    let mut fault = None;
    let mut answers = Vec::with_capacity(entities.len());
    for &entity in entities {
        // The view itself cannot fail, so what fails beside it is kept aside.
        let found = view::owners(&graph, entity, &rules, |candidate| {
            Ok(is_owner(candidate).unwrap_or_else(|e| {
                fault = Some(e);
                false
            }))
        });
        let Ok(found) = found;
        answers.push(owned(entity, found));
    }
    match fault {
        Some(e) => Err(e.into()),
        None => Ok(answers),
    }
}

fn owned(entity: u32, found: Option<view::Owners>) -> Owned {
    let distance = found.as_ref().map(|found| found.distance);
    let owners = found.into_iter().flat_map(|found| found.owners);
    Owned {
        entity,
        distance,
        owners: owners.map(|owner| (owner.entity, steps(&owner.chain))).collect(),
    }
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
