//! A small graph in memory, for tests of what a mapping makes of rows and entities.

#![allow(dead_code)] // each test binary uses its part

use std::convert::Infallible;
use std::sync::Arc;
use tombolo::graph::{ObjectId, ObjectKind, Value, same_name};
use tombolo::mapping::{
    EndCandidate, EntityPresence, EntitySelection, MappingGraph, PropertyProjection,
};
use tombolo::query::{Query, QueryRow};

/// Live entities, in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub Vec<EndCandidate>);

impl Memory {
    /// Adds an entity with text properties; `true` stands for the boolean.
    pub fn with(
        mut self,
        scope: &str,
        type_name: &str,
        key: &str,
        texts: &[(&str, &str)],
    ) -> Memory {
        let value = |text: &str| match text {
            "true" => Value::Bool(true),
            text => Value::Text(text.to_owned().into()),
        };
        self.0.push(EndCandidate {
            id: ObjectId::new(ObjectKind::Entity, scope, key),
            scope: scope.into(),
            key: key.into(),
            type_name: type_name.into(),
            classes: Arc::from(["Thing".to_owned()]),
            properties: texts.iter().map(|(name, text)| (Arc::from(*name), value(text))).collect(),
        });
        self
    }
}

impl MappingGraph for Memory {
    type Error = Infallible;

    fn entities(
        &self,
        select: &EntitySelection,
        _: &PropertyProjection,
        visit: &mut dyn FnMut(EndCandidate),
    ) -> Result<(), Infallible> {
        let fits = |entity: &&EndCandidate| {
            let one_of =
                |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
            select.scopes.iter().any(|scope| **scope == *entity.scope)
                && one_of(&select.types, &entity.type_name)
                && (select.classes.is_empty()
                    || entity
                        .classes
                        .iter()
                        .any(|class| select.classes.iter().any(|asked| same_name(class, asked))))
        };
        self.0.iter().filter(fits).cloned().for_each(visit);
        Ok(())
    }

    fn whereabouts(&self, scope: &str, key: &str) -> Result<EntityPresence, Infallible> {
        let with_key = self.0.iter().filter(|entity| entity.key == key);
        let scopes: Vec<&str> = with_key.map(|entity| &*entity.scope).collect();
        Ok(EntityPresence {
            live: scopes.contains(&scope),
            deleted_on: None,
            elsewhere: scopes.into_iter().filter(|s| *s != scope).map(str::to_owned).collect(),
        })
    }

    fn types(&self, scope: &str) -> Result<Vec<(String, u64)>, Infallible> {
        let mut types: Vec<(String, u64)> = Vec::new();
        for entity in self.0.iter().filter(|entity| &*entity.scope == scope) {
            match types.iter_mut().find(|(name, _)| **name == *entity.type_name) {
                Some((_, count)) => *count += 1,
                None => types.push((entity.type_name.to_string(), 1)),
            }
        }
        types.sort();
        Ok(types)
    }

    fn classes(&self, scope: &str) -> Result<Vec<(String, u64)>, Infallible> {
        let mut classes: std::collections::BTreeMap<String, u64> = Default::default();
        for entity in self.0.iter().filter(|entity| &*entity.scope == scope) {
            entity.classes.iter().for_each(|c| *classes.entry(c.to_string()).or_default() += 1);
        }
        Ok(classes.into_iter().collect())
    }

    fn ask(&self, _: &Query) -> Result<Result<Vec<QueryRow>, String>, Infallible> {
        Ok(Err("these entities have no relationships to walk".into()))
    }

    fn scopes(&self) -> Result<Vec<String>, Infallible> {
        let mut scopes: Vec<String> = self.0.iter().map(|e| e.scope.to_string()).collect();
        scopes.sort();
        scopes.dedup();
        Ok(scopes)
    }
}
