//! Expand by impact rules: each entity once, in its strongest state, at the least distance of that
//! state.

use super::OperatorResult;
use super::chains::{Chain, chains_back};
use super::edges::EdgeReader;
use super::expand_chains::{ChainStep, ChainTarget, ChainWalk};
use crate::graph::GraphRead;
use crate::rules::{ImpactState, StateSet};
use rustc_hash::{FxHashMap, FxHashSet};

/// An entity in a state.
type EntityInState = (u32, ImpactState);

/// The visits of a walk by the rules: entities in states, nearest first, and the steps to each.
struct ImpactVisits {
    order: Vec<(u32, ImpactState, u32)>,
    came: FxHashMap<EntityInState, (u32, Vec<(EntityInState, u32)>)>,
    /// States that need no visit any more.
    settled: FxHashMap<u32, StateSet>,
}

/// A walk by the rules. All of it is done before the first target, since a stronger state may come last.
pub(super) struct RuleWalk {
    start: u32,
    /// Targets by ascending depth; `None` before the walk.
    targets: Option<std::vec::IntoIter<(u32, u32, Vec<Chain>)>>,
    /// The depth of the first target that fitted.
    nearest: u32,
}

impl<'a, G: GraphRead> ChainWalk<'a, G> for RuleWalk {
    fn begin(_: &ChainStep<'a, G>, at: u32) -> RuleWalk {
        RuleWalk { start: at, targets: None, nearest: u32::MAX }
    }

    fn next_target(
        &mut self,
        step: &mut ChainStep<'a, G>,
        path: &[u32],
    ) -> OperatorResult<Option<ChainTarget>, G> {
        let mut targets = match self.targets.take() {
            Some(targets) => targets,
            None => targets(step, self.start)?.into_iter(),
        };
        for (entity, depth, chains) in targets.by_ref() {
            if step.plan.step.nearest && depth > self.nearest {
                break;
            }
            if step.takes(entity, path)? {
                self.nearest = self.nearest.min(depth);
                self.targets = Some(targets);
                return Ok(Some((entity, chains)));
            }
        }
        Ok(None)
    }
}

/// The targets of a walk that begins at `start`: entity, depth and chains, by ascending depth.
fn targets<G: GraphRead>(
    step: &mut ChainStep<'_, G>,
    start: u32,
) -> OperatorResult<Vec<(u32, u32, Vec<Chain>)>, G> {
    let plan = step.plan;
    let visits = visits(step, start)?;
    let mut targets = Vec::new();
    let Some(by) = &plan.last else {
        for &(entity, state, depth) in &visits.order[1..] {
            let stronger = StateSet::stronger_than(state).0;
            // An entity that is also reached in a stronger state is a target in that state alone.
            if depth >= step.least && visits.settled[&entity].0 & stronger == 0 {
                targets.push((entity, depth, chains_to(step, &visits, (entity, state))?));
            }
        }
        return Ok(targets);
    };
    let last = EdgeReader::new(step.context, by, plan.step.scope.as_deref());
    let mut ended: FxHashSet<u32> = FxHashSet::from_iter([start]);
    for &(from, state, depth) in &visits.order {
        if depth >= step.most || depth + 1 < step.least || !step.passes(start, from)? {
            continue;
        }
        for (edge, _) in last.read_with_states(from, state)? {
            if ended.insert(edge.other) {
                let mut chains = chains_to(step, &visits, (from, state))?;
                chains.iter_mut().for_each(|chain| chain.insert(0, edge.relationship));
                targets.push((edge.other, depth + 1, chains));
            }
        }
    }
    Ok(targets)
}

/// All visits of a walk by the rules that begins at `start`, which is controlled.
fn visits<G: GraphRead>(
    step: &mut ChainStep<'_, G>,
    start: u32,
) -> OperatorResult<ImpactVisits, G> {
    let plan = step.plan;
    let reader = EdgeReader::new(step.context, &plan.directions, plan.step.scope.as_deref());
    let mut visits = ImpactVisits {
        order: vec![(start, ImpactState::Controlled, 0)],
        came: FxHashMap::default(),
        settled: FxHashMap::from_iter([(start, StateSet::settled_by(ImpactState::Controlled))]),
    };
    let mut next = 0;
    // The list is the queue as well: new visits are appended, so depth never falls.
    while let Some(&(from, state, depth)) = visits.order.get(next) {
        next += 1;
        if depth >= step.most || !step.passes(start, from)? {
            continue;
        }
        for (edge, states) in reader.read_with_states(from, state)? {
            for given in states.iter() {
                let settled = visits.settled.entry(edge.other).or_default();
                let way = ((from, state), edge.relationship);
                if !settled.has(given) {
                    *settled = settled.or(StateSet::settled_by(given));
                    visits.came.insert((edge.other, given), (depth + 1, vec![way]));
                    visits.order.push((edge.other, given, depth + 1));
                } else if plan.step.every
                    && let Some((known, ways)) = visits.came.get_mut(&(edge.other, given))
                    && *known == depth + 1
                {
                    ways.push(way);
                }
            }
        }
        step.context.reader.room(visits.order.len())?;
    }
    Ok(visits)
}

/// The chains of relationships that led to a visit.
fn chains_to<G: GraphRead>(
    step: &ChainStep<'_, G>,
    visits: &ImpactVisits,
    to: EntityInState,
) -> OperatorResult<Vec<Chain>, G> {
    chains_back(step.context, to, |at| visits.came.get(&at).map(|(_, ways)| &ways[..]))
}
