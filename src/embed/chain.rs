//! Chains of evidence by name: entities and relationships of an answer.

use crate::error::Error;
use crate::graph::{
    EdgeDirection, EntityHead, GraphRead, NameLookup, ObjectKind, default_relationship_key,
};
use crate::store::{RelationshipLabel, Snapshot, StoreError};
use crate::view::EvidenceStep;
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::Arc;

/// One step of a chain: a relationship, and the entities that the step leaves and comes to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChainStep {
    /// The entity that the step leaves.
    pub from: Arc<EntityHead>,
    /// The entity that it comes to.
    pub to: Arc<EntityHead>,
    /// The verb of the relationship.
    pub verb: String,
    /// The `_key` of the relationship.
    pub relationship: String,
    /// The scope that owns the relationship.
    pub scope: String,
    /// True if the step goes with the arrow, false if it goes against it.
    pub with_arrow: bool,
}

impl fmt::Display for ChainStep {
    /// `okta-group:sre -HAS-> okta-user:alice`, or `<-HAS-` against the arrow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, verb, to) = (&self.from.key, &self.verb, &self.to.key);
        match self.with_arrow {
            true => write!(f, "{from} -{verb}-> {to}"),
            false => write!(f, "{from} <-{verb}- {to}"),
        }
    }
}

/// The heads of the entities of an answer, each read once.
pub(super) struct EntityNames<'s> {
    snapshot: &'s Snapshot,
    heads: FxHashMap<u32, Arc<EntityHead>>,
}

impl<'s> EntityNames<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> EntityNames<'s> {
        EntityNames { snapshot, heads: FxHashMap::default() }
    }

    /// Reads the heads of entities in the order of their numbers, which reads each block once.
    pub(super) fn read(&mut self, numbers: impl Iterator<Item = u32>) -> Result<(), Error> {
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().try_for_each(|number| self.entity(number).map(drop))
    }

    pub(super) fn entity(&mut self, number: u32) -> Result<Arc<EntityHead>, Error> {
        if let Some(head) = self.heads.get(&number) {
            return Ok(Arc::clone(head));
        }
        let head = self.snapshot.entity_head(number)?.ok_or_else(|| missing("entity", number))?;
        let head = Arc::new(head);
        self.heads.insert(number, Arc::clone(&head));
        Ok(head)
    }

    pub(super) fn step(&mut self, step: &EvidenceStep) -> Result<ChainStep, Error> {
        let (from, to) = (self.entity(step.from)?, self.entity(step.to)?);
        let with_arrow = step.direction == EdgeDirection::Out;
        let snapshot = self.snapshot;
        let known = snapshot.labels().get(step.label).filter(|label| label.derived_key);
        let (label, relationship) = match known {
            // Most keys are made from the ends and the verb, so no head is read for them.
            Some(label) => {
                let (start, end) = if with_arrow { (&from, &to) } else { (&to, &from) };
                let verb = snapshot.name(label.verb);
                (*label, default_relationship_key(&start.key, verb, &end.key))
            }
            None => {
                let head = snapshot.head(ObjectKind::Relationship, step.relationship)?;
                let head = head.ok_or_else(|| missing("relationship", step.relationship))?;
                (RelationshipLabel::of(&head), snapshot.relationship_key(&head)?)
            }
        };
        let (verb, scope) = (snapshot.name(label.verb), snapshot.name(label.scope));
        let (verb, scope) = (verb.to_owned(), scope.to_owned());
        Ok(ChainStep { from, to, verb, relationship, scope, with_arrow })
    }

    pub(super) fn chain(&mut self, steps: &[EvidenceStep]) -> Result<Vec<ChainStep>, Error> {
        steps.iter().map(|step| self.step(step)).collect()
    }
}

/// The error of an object that another row of the file names.
fn missing(noun: &str, number: u32) -> Error {
    let key = number.to_be_bytes();
    StoreError::corrupt("heads", &key, &format!("the {noun} is missing")).into()
}
