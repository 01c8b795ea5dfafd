//! The questions of `view`, asked of a snapshot in the words of the command line.
//!
//! A question about some entities walks the snapshot itself, which reads only what it steps on. A
//! question about many builds the view first, which reads all edges once, in order.

use super::args::{BlastDirection, PathDirection};
use super::failure::{Failure, inconsistent};
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
    /// Only these verbs; all if empty.
    pub verbs: &'a [String],
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

/// The numbers of verbs; `None` stands for all.
fn numbers(snapshot: &Snapshot, verbs: &[String]) -> Option<Vec<u32>> {
    let numbers = verbs.iter().filter_map(|verb| snapshot.name_number(verb)).collect();
    Some(numbers).filter(|_| !verbs.is_empty())
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
    let verbs = numbers(snapshot, walk.verbs);
    let rules = BlastRules::new(&flows, way, verbs.as_deref(), walk.depth);
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

/// The shortest chains between two entities: how many there are, and the first `max` of them.
pub fn paths(
    snapshot: &Snapshot,
    from: u32,
    to: u32,
    direction: PathDirection,
    verbs: &[String],
    max: usize,
) -> Result<(u64, Vec<Vec<Step>>), Failure> {
    let way = match direction {
        PathDirection::Out => Way::Out,
        PathDirection::In => Way::In,
        PathDirection::Both => Way::Both,
    };
    let verbs = numbers(snapshot, verbs);
    let found = view::paths(snapshot, from, to, way, verbs.as_deref(), max, None)?;
    Ok(found.map_or((0, Vec::new()), |found| {
        (found.total, found.paths.iter().map(|path| steps(path)).collect())
    }))
}

/// The sets of entities that reach each other in a circle, the largest first.
pub fn cycles(snapshot: &Snapshot, verbs: &[String]) -> Result<Vec<Vec<u32>>, Failure> {
    let verbs = numbers(snapshot, verbs);
    Ok(view::cycles(&graph(snapshot)?, verbs.as_deref()))
}
