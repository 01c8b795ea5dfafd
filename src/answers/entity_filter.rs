//! A choice of entities by scope, class and type.

use super::AnswerError;
use super::used_names::{class_sets, scope, type_numbers};
use crate::graph::{EntityFacts, GraphRead};
use crate::store::{Snapshot, StoreError};
use rustc_hash::FxHashSet;
use std::ops::ControlFlow;

/// A choice of entities by scope, class and type: the entities that a question is about, or
/// reports.
#[derive(Default)]
pub struct EntityFilter {
    scopes: Option<FxHashSet<u32>>,
    class_sets: Option<FxHashSet<u32>>,
    types: Option<FxHashSet<u32>>,
    /// The choice in words: ` of class Device in scope jamf`.
    pub words: String,
}

impl EntityFilter {
    /// Makes the filter from names, each of which must exist in the graph.
    pub fn read(
        snapshot: &Snapshot,
        scopes: &[String],
        classes: &[String],
        types: &[String],
    ) -> Result<EntityFilter, AnswerError> {
        let known: Result<FxHashSet<u32>, AnswerError> =
            scopes.iter().map(|name| scope(snapshot, name)).collect();
        let mut words = String::new();
        for (word, names) in [(" of class ", classes), (" of type ", types), (" in scope ", scopes)]
        {
            if !names.is_empty() {
                words.push_str(word);
                words.push_str(&names.join(" or "));
            }
        }
        Ok(EntityFilter {
            scopes: Some(known?).filter(|_| !scopes.is_empty()),
            class_sets: class_sets(snapshot, classes)?,
            types: type_numbers(snapshot, types)?,
            words,
        })
    }

    /// True if it lets everything through.
    pub fn is_open(&self) -> bool {
        self.scopes.is_none() && self.class_sets.is_none() && self.types.is_none()
    }

    /// True if an entity with these names passes.
    pub fn takes_facts(&self, facts: &EntityFacts) -> bool {
        let passes = |set: &Option<FxHashSet<u32>>, number: u32| {
            set.as_ref().is_none_or(|set| set.contains(&number))
        };
        passes(&self.scopes, facts.scope)
            && passes(&self.class_sets, facts.classes)
            && passes(&self.types, facts.type_name)
    }

    /// True if an entity passes.
    pub fn takes(&self, snapshot: &Snapshot, entity: u32) -> Result<bool, AnswerError> {
        // An open filter reads nothing of the entity.
        if self.is_open() {
            return Ok(true);
        }
        Ok(snapshot.entity_facts(entity)?.is_some_and(|facts| self.takes_facts(&facts)))
    }

    /// Returns all live entities that pass, by ascending number.
    pub fn all(&self, snapshot: &Snapshot) -> Result<Vec<u32>, AnswerError> {
        let mut found = Vec::new();
        snapshot.scan(|number, facts| -> Result<ControlFlow<()>, StoreError> {
            if self.takes_facts(&facts) {
                found.push(number);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}
