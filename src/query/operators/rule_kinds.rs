//! The rules of impact and ownership for the entities that a pattern meets.

use crate::graph::{EdgeDirection, GraphRead};
use crate::query::resolved::RuleSet;
use crate::query::syntax::StepDirection;
use crate::rules::{
    BoundRules, EntityKind, ImpactFilter, ImpactState, OwnershipKind, RuleTable, StateSet,
};
use rustc_hash::FxHashMap;

/// The rules in the numbers of the graph, and the kind that they give to each entity.
pub(super) struct RuleKinds {
    table: RuleTable,
    /// Bound when the first step asks for them: most patterns name their verbs.
    bound: Option<BoundRules>,
    kinds: FxHashMap<u32, EntityKind>,
}

/// A relationship as the rules see it: its verb, the direction in which it is followed, and the kinds of
/// the entities that it leads from and to.
#[derive(Clone, Copy)]
pub(super) struct RuleEdge {
    pub verb: u32,
    pub direction: EdgeDirection,
    pub ends: (EntityKind, EntityKind),
}

impl RuleKinds {
    pub(super) fn new(table: &RuleTable) -> RuleKinds {
        RuleKinds { table: table.clone(), bound: None, kinds: FxHashMap::default() }
    }

    fn bound(&mut self) -> &mut BoundRules {
        self.bound.get_or_insert_with(|| BoundRules::new(&self.table, ImpactFilter::ANY))
    }

    /// The kind that the rules give to an entity.
    pub(super) fn kind<G: GraphRead>(
        &mut self,
        graph: &G,
        entity: u32,
    ) -> Result<EntityKind, G::Error> {
        if let Some(&kind) = self.kinds.get(&entity) {
            return Ok(kind);
        }
        let kind = match graph.entity_facts(entity)? {
            Some(facts) => self.bound().kind(graph, &facts),
            None => self.bound().unknown_kind(),
        };
        self.kinds.insert(entity, kind);
        Ok(kind)
    }

    /// The states that the rules of a set give to the far end of an edge.
    pub(super) fn states<G: GraphRead>(
        &mut self,
        graph: &G,
        (set, arrow): (RuleSet, StepDirection),
        edge: RuleEdge,
        state: ImpactState,
    ) -> StateSet {
        let RuleEdge { verb, direction, ends: (from, to) } = edge;
        if set == RuleSet::Impact {
            let cell = self.bound().cell(graph, verb, from, to);
            return cell.passing[direction as usize].from(state);
        }
        let Some((owning, turned)) = self.bound().owning(graph, verb, from, to) else {
            return StateSet::default();
        };
        let along = match (direction == EdgeDirection::Out) != turned {
            true => arrow != StepDirection::In,
            false => arrow != StepDirection::Out,
        };
        let taken = match owning {
            OwnershipKind::Owns => set == RuleSet::Owning && along,
            OwnershipKind::Through => set == RuleSet::Containing && along,
            // Records of one thing contain each other, so the direction does not matter.
            OwnershipKind::Identity => set == RuleSet::Containing,
            OwnershipKind::Member | OwnershipKind::None => false,
        };
        if taken { StateSet::only(state) } else { StateSet::default() }
    }
}
