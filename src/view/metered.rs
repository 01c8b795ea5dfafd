//! A graph that is read at the expense of one question. It counts the edges that a walk reads and the
//! bytes that the walk remembers, and stops the walk at a limit, or when nobody waits any more.
//!
//! So no walk counts anything itself. The parts of an answer are counted where the answer is made.

use crate::graph::{
    AdjacencyRead, EdgeDirection, Entity, EntityFacts, EntityHead, GraphRead, IncidentEdge,
    NameLookup, ObjectId, ObjectKind, Relationship, ScopeCounts, Value,
};
use crate::limits::{CostMeter, MemoryReservation, QuestionError};
use std::cell::RefCell;

/// About the number of bytes that walks remember of an entity, for each direction whose edges they read.
const LEFT_BYTES: u64 = 64;
/// Number of bytes that they remember of an entity whose names they read.
const NAMED_BYTES: u64 = 24;

/// A graph with the account of a question. The bytes of a walk are given back when this is dropped.
pub struct MeteredGraph<'a, G> {
    graph: &'a G,
    meter: &'a CostMeter,
    held: RefCell<MemoryReservation<'a>>,
}

impl<'a, G> MeteredGraph<'a, G> {
    /// Wraps `graph` for one walk at the expense of `meter`.
    pub fn new(graph: &'a G, meter: &'a CostMeter) -> MeteredGraph<'a, G> {
        MeteredGraph { graph, meter, held: RefCell::new(meter.part()) }
    }

    fn hold<E>(&self, bytes: u64) -> Result<(), QuestionError<E>> {
        self.held.borrow_mut().hold(bytes).map_err(QuestionError::Limit)
    }
}

impl<G: AdjacencyRead> AdjacencyRead for MeteredGraph<'_, G> {
    type Error = QuestionError<G::Error>;

    fn entity_bound(&self) -> u32 {
        self.graph.entity_bound()
    }

    fn for_each_edge(
        &self,
        entity: u32,
        direction: EdgeDirection,
        mut visit: impl FnMut(IncidentEdge),
    ) -> Result<(), Self::Error> {
        self.hold(LEFT_BYTES)?;
        // An entity without edges costs a look, too.
        let mut edges = 1;
        self.graph.for_each_edge(entity, direction, |edge| {
            edges += 1;
            visit(edge);
        })?;
        // The visitor cannot stop in the middle of an entity, so its edges are counted together.
        self.meter.work(edges).map_err(QuestionError::Limit)
    }

    fn relationships_expected(&self) -> usize {
        self.graph.relationships_expected()
    }
}

impl<G: NameLookup> NameLookup for MeteredGraph<'_, G> {
    fn name(&self, number: u32) -> &str {
        self.graph.name(number)
    }

    fn name_number(&self, text: &str) -> Option<u32> {
        self.graph.name_number(text)
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(u32, &str)) {
        self.graph.for_each_name(visit);
    }
}

impl<G: GraphRead> GraphRead for MeteredGraph<'_, G> {
    fn entity(&self, number: u32) -> Result<Option<Entity>, Self::Error> {
        Ok(self.graph.entity(number)?)
    }

    fn entity_facts(&self, number: u32) -> Result<Option<EntityFacts>, Self::Error> {
        self.hold(NAMED_BYTES)?;
        Ok(self.graph.entity_facts(number)?)
    }

    fn entity_head(&self, number: u32) -> Result<Option<EntityHead>, Self::Error> {
        Ok(self.graph.entity_head(number)?)
    }

    fn number_of(&self, kind: ObjectKind, id: ObjectId) -> Result<Option<u32>, Self::Error> {
        Ok(self.graph.number_of(kind, id)?)
    }

    fn relationship(&self, number: u32) -> Result<Option<Relationship>, Self::Error> {
        Ok(self.graph.relationship(number)?)
    }

    fn entities_with(
        &self,
        type_name: Option<&str>,
        class: Option<&str>,
    ) -> Result<Vec<u32>, Self::Error> {
        Ok(self.graph.entities_with(type_name, class)?)
    }

    fn may_have_property(&self, name: &str) -> Result<bool, Self::Error> {
        Ok(self.graph.may_have_property(name)?)
    }

    fn scopes(&self) -> Result<Vec<String>, Self::Error> {
        Ok(self.graph.scopes()?)
    }

    fn counts(&self) -> Result<Vec<ScopeCounts>, Self::Error> {
        Ok(self.graph.counts()?)
    }

    fn entity_value(&self, number: u32, name: &str) -> Result<Option<Value<'static>>, Self::Error> {
        Ok(self.graph.entity_value(number, name)?)
    }

    fn relationship_value(
        &self,
        number: u32,
        name: &str,
    ) -> Result<Option<Value<'static>>, Self::Error> {
        Ok(self.graph.relationship_value(number, name)?)
    }

    fn entities_hashed(&self, name: &str, hashes: &[u64]) -> Result<Option<Vec<u32>>, Self::Error> {
        Ok(self.graph.entities_hashed(name, hashes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{WalkDirection, paths, testing};
    use super::*;
    use crate::limits::{LimitError, QuestionLimits};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    fn chain(limits: QuestionLimits) -> Result<u32, LimitError> {
        let edges: Vec<(u32, u32, u32)> = (0..20_000).map(|at| (at, at + 1, 0)).collect();
        let view = testing::view(20_001, &edges);
        let meter = CostMeter::new(limits);
        let found =
            paths(&MeteredGraph::new(&view, &meter), 0, 20_000, WalkDirection::Out, None, 1, None);
        assert_eq!(meter.held(), 0, "a walk gives back what it held");
        match found {
            Ok(found) => Ok(found.map_or(0, |found| found.length)),
            Err(QuestionError::Limit(what)) => Err(what),
            Err(QuestionError::Read(never)) => match never {},
        }
    }

    #[test]
    fn a_walk_is_stopped_by_each_limit_of_its_question() {
        assert_eq!(chain(QuestionLimits::default()), Ok(20_000));
        let few = QuestionLimits { steps: 30_000, ..QuestionLimits::default() };
        assert_eq!(chain(few), Err(LimitError::Steps(30_000)));
        let small = QuestionLimits { memory: 1 << 20, ..QuestionLimits::default() };
        assert_eq!(chain(small), Err(LimitError::Memory(1 << 20)));
        let gone = Some(Arc::new(AtomicBool::new(true)));
        let gone = QuestionLimits { cancelled: gone, ..QuestionLimits::default() };
        assert_eq!(chain(gone), Err(LimitError::Cancelled));
        let late =
            QuestionLimits { time: Some(std::time::Duration::ZERO), ..QuestionLimits::default() };
        assert_eq!(chain(late), Err(LimitError::Time(std::time::Duration::ZERO)));
    }
}
