//! A graph that is read at the expense of one question. It counts the edges that a walk reads and the
//! bytes that the walk remembers, and stops the walk at a limit, or when nobody waits any more.
//!
//! So no walk counts anything itself. The parts of an answer are counted where the answer is made.

use crate::graph::{
    Adjacency, Direction, Edge, Entity, EntityFacts, EntityHead, GraphRead, Kind, Names, ObjectId,
    Relationship, ScopeCounts, Value,
};
use crate::limits::{Meter, Part, Stop};
use std::cell::RefCell;

/// About the number of bytes that walks remember of an entity, for each direction whose edges they read.
const LEFT_BYTES: u64 = 64;
/// Number of bytes that they remember of an entity whose names they read.
const NAMED_BYTES: u64 = 24;

/// A graph with the account of a question. The bytes of a walk are given back when this is dropped.
pub struct Metered<'a, G> {
    graph: &'a G,
    meter: &'a Meter,
    held: RefCell<Part<'a>>,
}

impl<'a, G> Metered<'a, G> {
    /// Wraps `graph` for one walk at the expense of `meter`.
    pub fn new(graph: &'a G, meter: &'a Meter) -> Metered<'a, G> {
        Metered { graph, meter, held: RefCell::new(meter.part()) }
    }

    fn hold<E>(&self, bytes: u64) -> Result<(), Stop<E>> {
        self.held.borrow_mut().hold(bytes).map_err(Stop::Limit)
    }
}

impl<G: Adjacency> Adjacency for Metered<'_, G> {
    type Error = Stop<G::Error>;

    fn entity_bound(&self) -> u32 {
        self.graph.entity_bound()
    }

    fn for_each_edge(
        &self,
        entity: u32,
        direction: Direction,
        mut visit: impl FnMut(Edge),
    ) -> Result<(), Self::Error> {
        self.hold(LEFT_BYTES)?;
        // An entity without edges costs a look, too.
        let mut edges = 1;
        self.graph.for_each_edge(entity, direction, |edge| {
            edges += 1;
            visit(edge);
        })?;
        // The visitor cannot stop in the middle of an entity, so its edges are counted together.
        self.meter.work(edges).map_err(Stop::Limit)
    }

    fn relationships_expected(&self) -> usize {
        self.graph.relationships_expected()
    }
}

impl<G: Names> Names for Metered<'_, G> {
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

impl<G: GraphRead> GraphRead for Metered<'_, G> {
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

    fn number_of(&self, kind: Kind, id: ObjectId) -> Result<Option<u32>, Self::Error> {
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
    use super::super::{Way, paths, testing};
    use super::*;
    use crate::limits::{Exceeded, Limits};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    fn chain(limits: Limits) -> Result<u32, Exceeded> {
        let edges: Vec<(u32, u32, u32)> = (0..20_000).map(|at| (at, at + 1, 0)).collect();
        let view = testing::view(20_001, &edges);
        let meter = Meter::new(limits);
        let found = paths(&Metered::new(&view, &meter), 0, 20_000, Way::Out, None, 1, None);
        assert_eq!(meter.held(), 0, "a walk gives back what it held");
        match found {
            Ok(found) => Ok(found.map_or(0, |found| found.length)),
            Err(Stop::Limit(what)) => Err(what),
            Err(Stop::Read(never)) => match never {},
        }
    }

    #[test]
    fn a_walk_is_stopped_by_each_limit_of_its_question() {
        assert_eq!(chain(Limits::default()), Ok(20_000));
        let few = Limits { steps: 30_000, ..Limits::default() };
        assert_eq!(chain(few), Err(Exceeded::Steps(30_000)));
        let small = Limits { memory: 1 << 20, ..Limits::default() };
        assert_eq!(chain(small), Err(Exceeded::Memory(1 << 20)));
        let gone = Some(Arc::new(AtomicBool::new(true)));
        let gone = Limits { cancelled: gone, ..Limits::default() };
        assert_eq!(chain(gone), Err(Exceeded::Cancelled));
        let late = Limits { time: Some(std::time::Duration::ZERO), ..Limits::default() };
        assert_eq!(chain(late), Err(Exceeded::Time(std::time::Duration::ZERO)));
    }
}
