//! The relationships that a step may take from one entity.

use super::rule_kinds::RuleEdge;
use super::{MatchContext, OperatorResult};
use crate::graph::{EdgeDirection, GraphRead, IncidentEdge};
use crate::query::verb_directions::VerbDirections;
use crate::rules::{ImpactState, StateSet};

/// Reads the relationships that some verbs, directions and a scope allow.
pub(super) struct EdgeReader<'a, G: GraphRead> {
    context: &'a MatchContext<'a, G>,
    directions: &'a VerbDirections,
    scope: Option<&'a str>,
}

impl<'a, G: GraphRead> EdgeReader<'a, G> {
    pub(super) fn new(
        context: &'a MatchContext<'a, G>,
        directions: &'a VerbDirections,
        scope: Option<&'a str>,
    ) -> EdgeReader<'a, G> {
        EdgeReader { context, directions, scope }
    }

    /// Puts the edges of `at` that the step may take into `edges`. A self-loop is one edge.
    pub(super) fn read(&self, at: u32, edges: &mut Vec<IncidentEdge>) -> OperatorResult<(), G> {
        edges.clear();
        let (ways, reader) = (self.directions, self.context.reader);
        if !ways.sets.is_empty() {
            let taken = self.read_with_states(at, ImpactState::Controlled)?;
            edges.extend(taken.into_iter().map(|(edge, _)| edge));
            return Ok(());
        }
        let mut seen = 0;
        let all = ways.others[0] || !ways.verbs.is_empty();
        // Edges against the arrow are only read where some verb may be followed that way.
        let back = ways.others[1] || ways.verbs.iter().any(|(_, way)| way[1]);
        for (direction, asked) in [(EdgeDirection::Out, all), (EdgeDirection::In, back)] {
            if !asked {
                continue;
            }
            reader.graph.for_each_edge(at, direction, |edge| {
                seen += 1;
                let way = ways.of(edge.verb);
                // Either direction shows a loop.
                let again = direction == EdgeDirection::In && way[0] && edge.other == at;
                if way[direction as usize] && !again {
                    edges.push(edge);
                }
            })?;
        }
        reader.work(seen)?;
        let mut kept = Ok(());
        if let Some(scope) = self.scope {
            edges.retain(|edge| match self.is_of_scope(edge, scope) {
                Ok(of_scope) => of_scope,
                Err(e) => {
                    kept = Err(e);
                    false
                }
            });
        }
        kept
    }

    /// The edges of `at`, which is reached in `state`, with the states that they give. Only the rules of
    /// impact change the state.
    pub(super) fn read_with_states(
        &self,
        at: u32,
        state: ImpactState,
    ) -> OperatorResult<Vec<(IncidentEdge, StateSet)>, G> {
        let (graph, ways) = (self.context.reader.graph, self.directions);
        let mut all = Vec::new();
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            graph.for_each_edge(at, direction, |edge| all.push((edge, direction)))?;
        }
        self.context.reader.work(all.len() as u64)?;
        let mut rules = self.context.rules.borrow_mut();
        let here = rules.kind(graph, at)?;
        let mut taken = Vec::new();
        for (edge, direction) in all {
            let named = ways.verbs.binary_search_by_key(&edge.verb, |(number, _)| *number);
            let way = named.map_or(ways.others, |named| ways.verbs[named].1);
            // A self-loop shows in both directions: once it is taken with the arrow, it is not taken again.
            let again = direction == EdgeDirection::In && way[0] && edge.other == at;
            let keeps = way[direction as usize] && !again;
            let mut states = if keeps { StateSet::only(state) } else { StateSet::default() };
            // A verb that the step names goes by its own arrow; the rules tell of the others only.
            if named.is_err() {
                let there = rules.kind(graph, edge.other)?;
                let ends = match direction {
                    EdgeDirection::Out => (here, there),
                    EdgeDirection::In => (there, here),
                };
                let seen = RuleEdge { verb: edge.verb, direction, ends };
                for &set in &ways.sets {
                    states = states.or(rules.states(graph, set, seen, state));
                }
            }
            let of_scope = || self.scope.map_or(Ok(true), |scope| self.is_of_scope(&edge, scope));
            if !states.is_none() && of_scope()? {
                taken.push((edge, states));
            }
        }
        Ok(taken)
    }

    fn is_of_scope(&self, edge: &IncidentEdge, scope: &str) -> OperatorResult<bool, G> {
        let graph = self.context.reader.graph;
        let own = graph.relationship_value(edge.relationship, "_scope")?;
        Ok(own.is_some_and(|own| own.as_str() == Some(scope)))
    }
}
