//! Expand variable length: each entity once, at its least distance, by one shortest chain or all.
//!
//! Of several shortest chains the one is kept whose relationships have the lower numbers, from the written
//! beginning on, as with SHORTEST. Counts decide at which end a walk begins, and it keeps the same chain from
//! either.

use super::chains::{Chain, chains_back};
use super::edges::EdgeReader;
use super::expand_chains::{ChainStep, ChainTarget, ChainWalk};
use super::{OperatorResult, hold};
use crate::graph::{GraphRead, IncidentEdge};
use crate::limits::MemoryReservation;
use crate::query::cell::KEPT;
use rustc_hash::{FxHashMap, FxHashSet};

/// Bytes for one entity that a walk reached: its place in two tables, and one way to it.
const REACHED: usize = 96;

/// By entity that was reached: its least distance, and each entity and relationship before it.
type PredecessorMap = FxHashMap<u32, (u32, Vec<(u32, u32)>)>;

/// A walk that goes one relationship deeper when all targets so far are used up.
pub(super) struct LengthWalk<'m> {
    start: u32,
    depth: u32,
    came: PredecessorMap,
    seen: FxHashSet<u32>,
    /// What the last relationship led to so far, where that has to be a certain one.
    ended: FxHashSet<u32>,
    /// The entities that the walk reached at this depth, from which it goes on.
    frontier: Vec<u32>,
    /// The targets of this depth that are left. Chains stand with those that a last relationship led to.
    targets: std::vec::IntoIter<(u32, Option<Vec<Chain>>)>,
    /// True if a target of this depth fitted.
    met: bool,
    /// Edges of the entity at hand.
    edges: Vec<IncidentEdge>,
    part: MemoryReservation<'m>,
}

/// What a last relationship leads to: an entity, the entity before it, and the relationship.
type LastStep = (u32, u32, u32);

impl<'a, G: GraphRead> ChainWalk<'a, G> for LengthWalk<'a> {
    fn begin(step: &ChainStep<'a, G>, at: u32) -> LengthWalk<'a> {
        LengthWalk {
            start: at,
            depth: 0,
            came: PredecessorMap::default(),
            seen: FxHashSet::from_iter([at]),
            ended: FxHashSet::from_iter([at]),
            frontier: vec![at],
            targets: Vec::new().into_iter(),
            met: false,
            edges: Vec::new(),
            part: step.context.reader.meter.part(),
        }
    }

    fn next_target(
        &mut self,
        step: &mut ChainStep<'a, G>,
        path: &[u32],
    ) -> OperatorResult<Option<ChainTarget>, G> {
        loop {
            while let Some((other, chains)) = self.targets.next() {
                if !step.takes(other, path)? {
                    continue;
                }
                self.met = true;
                let chains = match chains {
                    Some(chains) => chains,
                    None => self.chains(step, other)?,
                };
                return Ok(Some((other, chains)));
            }
            let nearer = step.plan.step.nearest && self.met;
            if self.frontier.is_empty() || nearer || self.depth >= step.most {
                return Ok(None);
            }
            self.deepen(step)?;
        }
    }
}

impl LengthWalk<'_> {
    /// Goes one relationship deeper.
    fn deepen<G: GraphRead>(&mut self, step: &mut ChainStep<'_, G>) -> OperatorResult<(), G> {
        self.depth += 1;
        self.met = false;
        let (mut next, mut ends) = (Vec::new(), Vec::new());
        for from in std::mem::take(&mut self.frontier) {
            if step.passes(self.start, from)? {
                self.end_from(step, from, &mut ends)?;
                self.go_on_from(step, from, &mut next)?;
            }
        }
        // Targets go on only now: until the depth is complete, a shortest chain may be missing.
        let targets = match step.plan.last {
            Some(_) => self.ended_targets(step, ends)?,
            None if self.depth >= step.least => next.iter().map(|&other| (other, None)).collect(),
            None => Vec::new(),
        };
        self.targets = targets.into_iter();
        self.frontier = next;
        Ok(())
    }

    /// Finds the ends of last relationships. With BY these are the targets, not the entities between.
    fn end_from<G: GraphRead>(
        &mut self,
        step: &ChainStep<'_, G>,
        from: u32,
        ends: &mut Vec<LastStep>,
    ) -> OperatorResult<(), G> {
        let Some(by) = &step.plan.last else { return Ok(()) };
        if self.depth < step.least {
            return Ok(());
        }
        let scope = step.plan.step.scope.as_deref();
        EdgeReader::new(step.context, by, scope).read(from, &mut self.edges)?;
        let new = self.edges.iter().filter(|edge| !self.ended.contains(&edge.other));
        let before = ends.len();
        ends.extend(new.map(|edge| (edge.other, from, edge.relationship)));
        hold(&mut self.part, KEPT * (ends.len() - before))
    }

    /// Reaches the entities behind `from`.
    fn go_on_from<G: GraphRead>(
        &mut self,
        step: &ChainStep<'_, G>,
        from: u32,
        next: &mut Vec<u32>,
    ) -> OperatorResult<(), G> {
        let scope = step.plan.step.scope.as_deref();
        EdgeReader::new(step.context, &step.plan.directions, scope).read(from, &mut self.edges)?;
        // So the entities of a depth stand in the order of the chains to them, and from the written
        // beginning the first way to an entity is the one to keep.
        self.edges.sort_unstable_by_key(|edge| edge.relationship);
        let known = self.came.len();
        for edge in &self.edges {
            let way = (from, edge.relationship);
            if self.seen.insert(edge.other) {
                self.came.insert(edge.other, (self.depth, vec![way]));
                next.push(edge.other);
            // Another shortest chain: only one of the same depth is as short.
            } else if let Some((least, ways)) = self.came.get_mut(&edge.other)
                && *least == self.depth
            {
                if step.plan.step.every {
                    hold(&mut self.part, size_of::<(u32, u32)>())?;
                    ways.push(way);
                } else if step.plan.backward && way.1 < ways[0].1 {
                    // From the written end this is the first relationship of what is left of a chain.
                    ways[0] = way;
                }
            }
        }
        hold(&mut self.part, REACHED * (self.came.len() - known))
    }

    /// The targets that last relationships led to.
    fn ended_targets<G: GraphRead>(
        &mut self,
        step: &ChainStep<'_, G>,
        ends: Vec<LastStep>,
    ) -> OperatorResult<Vec<(u32, Option<Vec<Chain>>)>, G> {
        let mut targets = Vec::new();
        for (other, from, relationship) in ends {
            // With `every` all chains of this depth count; their ends are closed after the depth.
            if step.plan.step.every || self.ended.insert(other) {
                let mut chains = self.chains(step, from)?;
                chains.iter_mut().for_each(|chain| chain.insert(0, relationship));
                targets.push((other, Some(chains)));
            }
        }
        self.ended.extend(targets.iter().map(|(other, _)| *other));
        Ok(targets)
    }

    fn chains<G: GraphRead>(
        &self,
        step: &ChainStep<'_, G>,
        to: u32,
    ) -> OperatorResult<Vec<Chain>, G> {
        chains_back(step.context, to, |at| self.came.get(&at).map(|(_, ways)| &ways[..]))
    }
}
