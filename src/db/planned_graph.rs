//! The graph as it would be once planned jobs are applied: a snapshot with the changes over it.

use super::mapping_jobs::{MappingPlan, RelationshipAction};
use crate::graph::{
    AdjacencyRead, DraftRelationship, EdgeDirection, Entity, EntityFacts, EntityHead, GraphRead,
    IncidentEdge, NameLookup, ObjectId, ObjectKind, ObjectMetadata, Relationship,
    RelationshipOrigin, ScopeCounts, Value,
};
use crate::store::{Snapshot, StoreError};
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::ControlFlow;

/// A snapshot with the changes of mappings over it. Entities are as they are.
pub struct PlannedGraph<'s> {
    base: &'s Snapshot,
    /// Relationships of the snapshot that go, or come back changed.
    gone: FxHashSet<u32>,
    /// New and changed edges, by direction and entity.
    edges: [FxHashMap<u32, Vec<IncidentEdge>>; 2],
    /// The contents of new and changed relationships.
    drafts: FxHashMap<u32, PlannedRelationship>,
    /// Names that only the plan uses; their numbers follow those of the snapshot.
    names: Vec<String>,
    next: u32,
}

impl<'s> PlannedGraph<'s> {
    /// The snapshot as it is.
    pub fn new(base: &'s Snapshot) -> PlannedGraph<'s> {
        let next = base.meta().bound(crate::graph::ObjectKind::Relationship);
        let edges = [FxHashMap::default(), FxHashMap::default()];
        PlannedGraph {
            base,
            gone: FxHashSet::default(),
            edges,
            drafts: FxHashMap::default(),
            names: Vec::new(),
            next,
        }
    }

    /// Lays the changes of a plan over it. Plans of different mappings touch different
    /// relationships.
    pub fn add(
        &mut self,
        plan: &MappingPlan,
        drafts: &[DraftRelationship<'_>],
    ) -> Result<(), StoreError> {
        for change in &plan.changes {
            let relationship = match change.action {
                // Plans number their own new edges from one start, so they get other numbers here.
                RelationshipAction::Create => {
                    self.next += 1;
                    self.next - 1
                }
                RelationshipAction::Update | RelationshipAction::Delete => {
                    self.gone.insert(change.number);
                    change.number
                }
            };
            let Some(draft) = change.draft else { continue };
            let draft = &drafts[draft as usize];
            let verb = self.number(&draft.class);
            let (from, to) = change.ends;
            self.drafts.insert(
                relationship,
                PlannedRelationship::new(&plan.report.scope, draft, change.ends),
            );
            for (direction, entity, other) in
                [(EdgeDirection::Out, from, to), (EdgeDirection::In, to, from)]
            {
                let edges = self.edges[direction as usize].entry(entity).or_default();
                edges.push(IncidentEdge {
                    other,
                    verb,
                    relationship,
                    label: IncidentEdge::UNLABELLED,
                });
            }
        }
        Ok(())
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.name_number(name) {
            return number;
        }
        self.names.push(name.to_owned());
        self.base.meta().next_name + self.names.len() as u32 - 1
    }
}

/// The contents of a planned relationship.
struct PlannedRelationship {
    scope: String,
    key: String,
    type_name: String,
    class: String,
    ends: (u32, u32),
    properties: Vec<(String, Value<'static>)>,
    origin: Option<RelationshipOrigin>,
}

impl PlannedRelationship {
    fn new(scope: &str, draft: &DraftRelationship<'_>, ends: (u32, u32)) -> PlannedRelationship {
        let own = draft.properties.iter();
        let mut properties: Vec<(String, Value<'static>)> =
            own.map(|(name, value)| (name.to_string(), value.clone().into_owned())).collect();
        properties.sort_by(|a, b| a.0.cmp(&b.0));
        PlannedRelationship {
            scope: scope.to_owned(),
            key: draft.key.to_string(),
            type_name: draft.type_name.to_string(),
            class: draft.class.to_string(),
            ends,
            properties,
            origin: draft.origin.clone(),
        }
    }
}

impl GraphRead for PlannedGraph<'_> {
    fn entity(&self, number: u32) -> Result<Option<Entity>, StoreError> {
        self.base.entity(number)
    }

    fn entity_facts(&self, number: u32) -> Result<Option<EntityFacts>, StoreError> {
        self.base.entity_facts(number)
    }

    fn entity_head(&self, number: u32) -> Result<Option<EntityHead>, StoreError> {
        self.base.entity_head(number)
    }

    /// Of relationships only those that are stored already can be found by their id.
    fn number_of(&self, kind: ObjectKind, id: ObjectId) -> Result<Option<u32>, StoreError> {
        self.base.number_of(kind, id)
    }

    fn relationship(&self, number: u32) -> Result<Option<Relationship>, StoreError> {
        let Some(draft) = self.drafts.get(&number) else { return self.base.relationship(number) };
        let heads = (self.base.entity_head(draft.ends.0)?, self.base.entity_head(draft.ends.1)?);
        let (Some(from), Some(to)) = heads else { return Ok(None) };
        // A changed relationship keeps its metadata; only a new one begins now.
        let before = match self.gone.contains(&number) {
            true => self.base.relationship(number)?,
            false => None,
        };
        let now = super::now();
        let new = || ObjectMetadata {
            created_on: now,
            begin_on: now,
            end_on: None,
            version: 1,
            job_id: uuid::Uuid::nil(),
            source: "api".to_owned(),
        };
        Ok(Some(Relationship {
            number,
            id: ObjectId::new(ObjectKind::Relationship, &draft.scope, &draft.key),
            scope: draft.scope.clone(),
            key: draft.key.clone(),
            type_name: draft.type_name.clone(),
            class: draft.class.clone(),
            from,
            to,
            properties: draft.properties.clone(),
            origin: draft.origin.clone(),
            raw_data: None,
            metadata: before.map_or_else(new, |before| before.metadata),
        }))
    }

    fn entities_with(
        &self,
        type_name: Option<&str>,
        class: Option<&str>,
    ) -> Result<Vec<u32>, StoreError> {
        self.base.entities_with(type_name, class)
    }

    fn scopes(&self) -> Result<Vec<String>, StoreError> {
        self.base.scopes()
    }

    fn scan<S: From<StoreError>>(
        &self,
        visit: impl FnMut(u32, EntityFacts) -> Result<ControlFlow<()>, S>,
    ) -> Result<(), S> {
        self.base.scan(visit)
    }

    fn scan_stretch(
        &self,
        first: u32,
        may: impl FnMut(EntityFacts) -> bool,
        visit: impl FnMut(u32, EntityFacts),
    ) -> Result<Option<u32>, StoreError> {
        self.base.scan_stretch(first, may, visit)
    }

    fn counts(&self) -> Result<Vec<ScopeCounts>, StoreError> {
        let mut counts = self.base.counts()?;
        for (&entity, edges) in &self.edges[EdgeDirection::Out as usize] {
            let scope = self.base.entity_facts(entity)?.map(|facts| facts.scope);
            if let Some(counts) = counts.iter_mut().find(|counts| Some(counts.scope) == scope) {
                edges.iter().for_each(|edge| *counts.verbs.entry(edge.verb).or_default() += 1);
            }
        }
        Ok(counts)
    }

    fn entity_value(&self, number: u32, name: &str) -> Result<Option<Value<'static>>, StoreError> {
        self.base.entity_value(number, name)
    }

    fn entity_keyed(&self, scope: &str, key: &str) -> Result<Option<u32>, StoreError> {
        self.base.entity_keyed(scope, key)
    }

    fn entities_hashed(&self, name: &str, hashes: &[u64]) -> Result<Option<Vec<u32>>, StoreError> {
        self.base.entities_hashed(name, hashes)
    }
}

impl AdjacencyRead for PlannedGraph<'_> {
    type Error = StoreError;

    fn entity_bound(&self) -> u32 {
        self.base.entity_bound()
    }

    fn for_each_edge(
        &self,
        entity: u32,
        direction: EdgeDirection,
        mut visit: impl FnMut(IncidentEdge),
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

impl NameLookup for PlannedGraph<'_> {
    fn name(&self, number: u32) -> &str {
        match number.checked_sub(self.base.meta().next_name) {
            Some(new) => &self.names[new as usize],
            None => self.base.name(number),
        }
    }

    fn name_number(&self, text: &str) -> Option<u32> {
        let new = || self.names.iter().position(|name| name == text);
        self.base
            .name_number(text)
            .or_else(|| new().map(|at| self.base.meta().next_name + at as u32))
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(u32, &str)) {
        self.base.for_each_name(visit);
        (self.base.meta().next_name..).zip(&self.names).for_each(|(at, name)| visit(at, name));
    }
}
