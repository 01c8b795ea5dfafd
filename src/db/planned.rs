//! The graph as it would be once planned jobs are applied: a snapshot with the changes over it.

use super::mapping_jobs::{EdgeAction, MappingPlan};
use crate::graph::{Adjacency, Direction, DraftRelationship, Edge, Names};
use crate::store::{Snapshot, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};

/// A snapshot with the changes of mappings over it. Entities are as they are.
pub struct Planned<'s> {
    base: &'s Snapshot,
    /// Relationships of the snapshot that go, or come back changed.
    gone: FxHashSet<u32>,
    /// New and changed edges, by direction and entity.
    edges: [FxHashMap<u32, Vec<Edge>>; 2],
    /// Names that only the plan uses; their numbers follow those of the snapshot.
    names: Vec<String>,
    next: u32,
}

impl<'s> Planned<'s> {
    /// The snapshot as it is.
    pub fn new(base: &'s Snapshot) -> Planned<'s> {
        let next = base.meta().bound(crate::graph::Kind::Relationship);
        let edges = [FxHashMap::default(), FxHashMap::default()];
        Planned { base, gone: FxHashSet::default(), edges, names: Vec::new(), next }
    }

    /// Lays the changes of a plan over it. Plans of different mappings touch different edges.
    pub fn add(
        &mut self,
        plan: &MappingPlan,
        drafts: &[DraftRelationship<'_>],
    ) -> Result<(), StoreError> {
        for change in &plan.changes {
            let relationship = match change.action {
                // Plans number their own new edges from one start, so they get other numbers here.
                EdgeAction::Create => {
                    self.next += 1;
                    self.next - 1
                }
                EdgeAction::Update | EdgeAction::Delete => {
                    self.gone.insert(change.number);
                    change.number
                }
            };
            let Some(draft) = change.draft else { continue };
            let verb = self.number(&drafts[draft as usize].class);
            let (from, to) = change.ends;
            for (direction, entity, other) in
                [(Direction::Out, from, to), (Direction::In, to, from)]
            {
                let edges = self.edges[direction as usize].entry(entity).or_default();
                edges.push(Edge { other, verb, relationship });
            }
        }
        Ok(())
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.name_number(name) {
            return number;
        }
        self.names.push(name.to_owned());
        self.base.dictionary().count() + self.names.len() as u32 - 1
    }
}

impl Adjacency for Planned<'_> {
    type Error = StoreError;

    fn entity_bound(&self) -> u32 {
        self.base.entity_bound()
    }

    fn for_each_edge(
        &self,
        entity: u32,
        direction: Direction,
        mut visit: impl FnMut(Edge),
    ) -> Result<(), StoreError> {
        self.base.for_each_edge(entity, direction, |edge| {
            if !self.gone.contains(&edge.relationship) {
                visit(edge);
            }
        })?;
        let more = self.edges[direction as usize].get(&entity);
        more.into_iter().flatten().copied().for_each(visit);
        Ok(())
    }
}

impl Names for Planned<'_> {
    fn name(&self, number: u32) -> &str {
        match number.checked_sub(self.base.dictionary().count()) {
            Some(new) => &self.names[new as usize],
            None => self.base.name(number),
        }
    }

    fn name_number(&self, text: &str) -> Option<u32> {
        let new = || self.names.iter().position(|name| name == text);
        self.base
            .name_number(text)
            .or_else(|| new().map(|at| self.base.dictionary().count() + at as u32))
    }
}
