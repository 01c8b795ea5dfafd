//! Blast radius by the rules: everything that the compromise or failure of some entities reaches, and
//! in which state.
//!
//! It is a breadth-first walk over (entity, state). A relationship that leads on from a weaker state
//! leads on from control as well. So an entity that is controlled is not visited again, and every entity is
//! visited at most three times. It is reported in its strongest state, at the least distance of that state.

use super::{EvidenceStep, chain_back};
use crate::graph::{EdgeDirection, GraphRead, IncidentEdge};
use crate::rules::{BoundRules, EntityKind, ImpactState, PartialEvaluation, StateSet};
use rustc_hash::FxHashMap;

/// One visit of an entity in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateVisit {
    /// Number of the entity.
    pub entity: u32,
    /// The state in which it is reached.
    pub state: ImpactState,
    /// Number of steps from the nearest root; at least 1.
    pub distance: u32,
    /// Position of the visit before this one in the answer; [`StateVisit::ROOT`] if that is a root.
    pub before: u32,
    /// True if no visit of the entity is in a stronger state.
    pub strongest: bool,
    /// The entity of the visit before.
    pub from: u32,
    /// The relationship taken from there.
    pub relationship: u32,
    /// Name number of its verb.
    pub verb: u32,
    /// Number of its label, where the graph has labels: see [`IncidentEdge::label`].
    pub label: u32,
    /// [`EdgeDirection::Out`] if the relationship points from `from` to `entity`.
    pub direction: EdgeDirection,
}

impl StateVisit {
    /// The position that stands for a root in [`StateVisit::before`].
    pub const ROOT: u32 = u32::MAX;

    /// The last step of the chain that leads here.
    pub fn step(&self) -> EvidenceStep {
        EvidenceStep {
            from: self.from,
            to: self.entity,
            relationship: self.relationship,
            verb: self.verb,
            label: self.label,
            direction: self.direction,
        }
    }
}

/// The answer of a walk by the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImpactResult {
    /// All visits, nearest first, in the order of the walk. Chains lead through them.
    pub visits: Vec<StateVisit>,
    /// Verbs that no rule speaks of, by name number, most frequent first. With each comes the number of
    /// relationships that have it at the entities that the walk left.
    pub not_followed: Vec<(u32, u64)>,
}

impl ImpactResult {
    /// Each entity once, in its strongest state.
    pub fn reached(&self) -> impl Iterator<Item = &StateVisit> {
        self.visits.iter().filter(|visit| visit.strongest)
    }

    /// The chain from a root to a visit.
    pub fn chain(&self, visit: &StateVisit) -> Vec<EvidenceStep> {
        let before = |visit: &&StateVisit| self.visits.get(visit.before as usize);
        chain_back(std::iter::successors(Some(visit), before).map(StateVisit::step))
    }
}

/// The states in which an entity needs no visit any more, four bits an entity.
struct SettledStates(Vec<u64>);

impl SettledStates {
    fn new(bound: u32) -> SettledStates {
        // Fresh zeroed memory: pages of entities that are not met cost nothing.
        SettledStates(vec![0; (bound as usize).div_ceil(16)])
    }

    fn of(&self, entity: u32) -> StateSet {
        // An entity beyond the bound counts as settled, so it is never visited.
        let word = self.0.get(entity as usize / 16).copied().unwrap_or(u64::MAX);
        StateSet((word >> (entity % 16 * 4)) as u8 & 7)
    }

    fn add(&mut self, entity: u32, states: StateSet) {
        if let Some(word) = self.0.get_mut(entity as usize / 16) {
            *word |= u64::from(states.0) << (entity % 16 * 4);
        }
    }
}

/// The kinds of the entities that were looked at.
struct EntityKindCache(FxHashMap<u32, EntityKind>);

impl EntityKindCache {
    fn of<G: GraphRead>(
        &mut self,
        graph: &G,
        bound: &mut BoundRules,
        entity: u32,
    ) -> Result<EntityKind, G::Error> {
        if let Some(&kind) = self.0.get(&entity) {
            return Ok(kind);
        }
        let kind = match graph.entity_facts(entity)? {
            Some(facts) => bound.kind(graph, &facts),
            None => bound.unknown_kind(),
        };
        self.0.insert(entity, kind);
        Ok(kind)
    }
}

/// Returns everything that the compromise or failure of `roots` reaches, at most `depth` steps away,
/// without the roots.
///
/// O(entities reached and their edges). Names of other entities are read only where the rules of a verb
/// depend on them.
///
/// # Errors
///
/// The error of reading `graph`.
pub fn impact<G: GraphRead>(
    graph: &G,
    roots: &[u32],
    bound: &mut BoundRules,
    depth: Option<u32>,
) -> Result<ImpactResult, G::Error> {
    let mut walk = ImpactWalk {
        graph,
        bound,
        kinds: EntityKindCache(FxHashMap::default()),
        settled: SettledStates::new(graph.entity_bound()),
        visits: Vec::new(),
        edges: Vec::new(),
        unruled: FxHashMap::default(),
    };
    for &root in roots {
        // All roots are settled before the first is left, so none is reached from another.
        walk.settled.add(root, StateSet::settled_by(ImpactState::Controlled));
    }
    let limit = depth.unwrap_or(u32::MAX);
    if limit > 0 {
        for &root in roots {
            walk.expand(root, ImpactState::Controlled, StateVisit::ROOT, 1)?;
        }
    }
    let mut next = 0;
    // The list of visits is the queue as well: `leave` appends to it.
    while let Some(&StateVisit { entity, state, distance, .. }) = walk.visits.get(next) {
        if distance >= limit {
            break;
        }
        walk.expand(entity, state, next as u32, distance + 1)?;
        next += 1;
    }
    Ok(walk.finish())
}

struct ImpactWalk<'g, G> {
    graph: &'g G,
    bound: &'g mut BoundRules,
    kinds: EntityKindCache,
    settled: SettledStates,
    visits: Vec<StateVisit>,
    edges: Vec<IncidentEdge>,
    /// Relationships that no rule speaks of, with their verbs. By number, since both ends may meet one.
    unruled: FxHashMap<u32, u32>,
}

impl<G: GraphRead> ImpactWalk<'_, G> {
    fn expand(
        &mut self,
        from: u32,
        state: ImpactState,
        before: u32,
        distance: u32,
    ) -> Result<(), G::Error> {
        let here = self.kinds.of(self.graph, self.bound, from)?;
        // The edges are read first: judging one may read the graph again. The vector is reused.
        let mut edges = std::mem::take(&mut self.edges);
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            edges.clear();
            self.graph.for_each_edge(from, direction, |edge| edges.push(edge))?;
            for &edge in &edges {
                let states = self.new_states(edge, direction, here, state)?;
                for state in states.iter() {
                    self.settled.add(edge.other, StateSet::settled_by(state));
                    let IncidentEdge { other: entity, relationship, verb, label } = edge;
                    self.visits.push(StateVisit {
                        entity,
                        state,
                        distance,
                        before,
                        strongest: true,
                        from,
                        relationship,
                        verb,
                        label,
                        direction,
                    });
                }
            }
        }
        self.edges = edges;
        Ok(())
    }

    /// The states that an edge gives to its other end and that are new there.
    fn new_states(
        &mut self,
        edge: IncidentEdge,
        direction: EdgeDirection,
        here: EntityKind,
        state: ImpactState,
    ) -> Result<StateSet, G::Error> {
        let settled = self.settled.of(edge.other);
        let way = direction as usize;
        let cell = match self.bound.ahead(self.graph, edge.verb, direction, here) {
            PartialEvaluation::Known(cell) => cell,
            // If even the most that may come of the edge is settled there, the other end is not read.
            // An edge that may have no rule has to be looked at, since the answer names its verb.
            PartialEvaluation::Asks(most)
                if most.ruled && most.passing[way].from(state).without(settled).is_none() =>
            {
                return Ok(StateSet::default());
            }
            PartialEvaluation::Asks(_) => {
                let there = self.kinds.of(self.graph, self.bound, edge.other)?;
                let (from, to) = match direction {
                    EdgeDirection::Out => (here, there),
                    EdgeDirection::In => (there, here),
                };
                self.bound.cell(self.graph, edge.verb, from, to)
            }
        };
        if !cell.ruled {
            self.unruled.insert(edge.relationship, edge.verb);
        }
        Ok(cell.passing[way].from(state).without(settled))
    }

    fn finish(self) -> ImpactResult {
        let ImpactWalk { settled, mut visits, unruled, .. } = self;
        for visit in &mut visits {
            // Only now are all states of the entity known.
            let stronger = StateSet::stronger_than(visit.state);
            visit.strongest = settled.of(visit.entity).0 & stronger.0 == 0;
        }
        ImpactResult { visits, not_followed: count_by_verb(unruled.into_values()) }
    }
}

/// Counts how often each verb occurs, the most frequent first.
pub(super) fn count_by_verb(verbs: impl Iterator<Item = u32>) -> Vec<(u32, u64)> {
    let mut counts: FxHashMap<u32, u64> = FxHashMap::default();
    verbs.for_each(|verb| *counts.entry(verb).or_default() += 1);
    let mut counts: Vec<(u32, u64)> = counts.into_iter().collect();
    counts.sort_unstable_by_key(|&(verb, count)| (std::cmp::Reverse(count), verb));
    counts
}
