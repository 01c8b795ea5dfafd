//! A whole graph in plain vectors that can be read like a database.

#![allow(dead_code)] // each test binary uses its part

use std::collections::HashMap;
use std::convert::Infallible;
use tombolo::graph::{
    AdjacencyRead, CLASS_SEPARATOR, EdgeDirection, Entity, EntityFacts, EntityHead, GraphRead,
    IncidentEdge, NameLookup, ObjectId, ObjectKind, ObjectMetadata, PropertyCell, Relationship,
    Value, same_name,
};

/// Entities and relationships by number.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub entities: Vec<Entity>,
    pub relationships: Vec<Relationship>,
    /// Whether lookups by value are answered, with more than was asked for.
    pub indexed: bool,
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

fn metadata() -> ObjectMetadata {
    ObjectMetadata {
        created_on: 1_700_000_000_000,
        begin_on: 1_700_000_000_000,
        end_on: None,
        version: 1,
        job_id: Default::default(),
        source: "api".into(),
    }
}

/// JSON as a property.
pub fn value(json: &serde_json::Value) -> Value<'static> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => Value::number(&n.to_string()).expect("a number that can be held"),
        Json::String(text) => Value::Text(text.clone().into()),
        Json::Array(items) => Value::List(items.iter().map(value).collect()),
        Json::Object(_) => panic!("a property is flat"),
    }
}

fn properties(json: &serde_json::Value) -> Vec<(String, Value<'static>)> {
    let members = json.as_object().into_iter().flatten();
    let mut all: Vec<_> = members.map(|(name, json)| (name.clone(), value(json))).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

impl Graph {
    fn name_it(&mut self, text: &str) -> u32 {
        let next = self.names.len() as u32;
        let number = *self.numbers.entry(text.to_owned()).or_insert(next);
        if number == next {
            self.names.push(text.to_owned());
        }
        number
    }

    /// Adds an entity; gives its number.
    pub fn entity(
        &mut self,
        scope: &str,
        key: &str,
        type_name: &str,
        classes: &[&str],
        json: serde_json::Value,
    ) -> u32 {
        let number = self.entities.len() as u32;
        for name in [scope, type_name, &classes.join(&CLASS_SEPARATOR.to_string())] {
            self.name_it(name);
        }
        self.entities.push(Entity {
            number,
            id: ObjectId::new(ObjectKind::Entity, scope, key),
            scope: scope.into(),
            key: key.into(),
            type_name: type_name.into(),
            classes: classes.iter().map(|class| (*class).to_owned()).collect(),
            properties: properties(&json),
            raw_data: None,
            metadata: metadata(),
        });
        number
    }

    /// Adds a relationship; its key is its number.
    pub fn link(&mut self, scope: &str, from: u32, verb: &str, to: u32, json: serde_json::Value) {
        let number = self.relationships.len() as u32;
        self.name_it(verb);
        self.name_it(scope);
        let key = format!("r{number}");
        let head =
            |graph: &Graph, at: u32| graph.entity_head(at).expect("infallible").expect("an end");
        let (from, to) = (head(self, from), head(self, to));
        self.relationships.push(Relationship {
            number,
            id: ObjectId::new(ObjectKind::Relationship, scope, &key),
            scope: scope.into(),
            key,
            type_name: verb.to_lowercase(),
            class: verb.into(),
            from,
            to,
            properties: properties(&json),
            origin: None,
            raw_data: None,
            metadata: metadata(),
        });
    }
}

impl AdjacencyRead for Graph {
    type Error = Infallible;

    fn entity_bound(&self) -> u32 {
        self.entities.len() as u32
    }

    fn for_each_edge(
        &self,
        entity: u32,
        direction: EdgeDirection,
        mut visit: impl FnMut(IncidentEdge),
    ) -> Result<(), Infallible> {
        for link in &self.relationships {
            let (this, other) = match direction {
                EdgeDirection::Out => (link.from.number, link.to.number),
                EdgeDirection::In => (link.to.number, link.from.number),
            };
            if this == entity {
                let (verb, label) = (self.numbers[&link.class], IncidentEdge::UNLABELLED);
                visit(IncidentEdge { other, verb, relationship: link.number, label });
            }
        }
        Ok(())
    }
}

impl NameLookup for Graph {
    fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    fn name_number(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(u32, &str)) {
        (0..).zip(&self.names).for_each(|(number, name)| visit(number, name));
    }
}

impl GraphRead for Graph {
    fn entity(&self, number: u32) -> Result<Option<Entity>, Infallible> {
        Ok(self.entities.get(number as usize).cloned())
    }

    fn entity_facts(&self, number: u32) -> Result<Option<EntityFacts>, Infallible> {
        let facts = |entity: &Entity| EntityFacts {
            scope: self.numbers[&entity.scope],
            type_name: self.numbers[&entity.type_name],
            classes: self.numbers[&entity.classes.join(&CLASS_SEPARATOR.to_string())],
            live: !entity.metadata.deleted(),
        };
        Ok(self.entities.get(number as usize).map(facts))
    }

    fn entity_head(&self, number: u32) -> Result<Option<EntityHead>, Infallible> {
        let head = |entity: &Entity| EntityHead {
            number,
            id: entity.id,
            scope: entity.scope.clone(),
            key: entity.key.clone(),
            type_name: entity.type_name.clone(),
            classes: entity.classes.clone(),
            display_name: entity
                .properties
                .iter()
                .find(|(name, _)| name == "displayName")
                .and_then(|(_, value)| value.as_str().map(str::to_owned)),
            deleted: false,
        };
        Ok(self.entities.get(number as usize).map(head))
    }

    fn number_of(&self, kind: ObjectKind, id: ObjectId) -> Result<Option<u32>, Infallible> {
        Ok(match kind {
            ObjectKind::Entity => self.entities.iter().find(|e| e.id == id).map(|e| e.number),
            ObjectKind::Relationship => {
                self.relationships.iter().find(|r| r.id == id).map(|r| r.number)
            }
        })
    }

    fn relationship(&self, number: u32) -> Result<Option<Relationship>, Infallible> {
        Ok(self.relationships.get(number as usize).cloned())
    }

    fn entities_with(
        &self,
        type_name: Option<&str>,
        class: Option<&str>,
    ) -> Result<Vec<u32>, Infallible> {
        let fits = |entity: &&Entity| {
            !entity.metadata.deleted()
                && type_name.is_none_or(|name| entity.type_name == name)
                && class
                    .is_none_or(|name| entity.classes.iter().any(|class| same_name(class, name)))
        };
        Ok(self.entities.iter().filter(fits).map(|entity| entity.number).collect())
    }

    fn scopes(&self) -> Result<Vec<String>, Infallible> {
        let mut scopes: Vec<String> = self.entities.iter().map(|e| e.scope.clone()).collect();
        scopes.sort();
        scopes.dedup();
        Ok(scopes)
    }

    /// All that a reader may tell: numbers with more or fewer decimals, codes of several dictionaries, or
    /// nothing.
    fn property_cells(
        &self,
        kind: ObjectKind,
        numbers: &[u32],
        name: &str,
        cells: &mut Vec<PropertyCell>,
    ) -> Result<(), Infallible> {
        let own = |number: u32| match kind {
            ObjectKind::Entity => self.entities.get(number as usize).map(|e| &e.properties),
            ObjectKind::Relationship => {
                self.relationships.get(number as usize).map(|r| &r.properties)
            }
        };
        let value = |number: u32| {
            let found = own(number)?.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value)
        };
        // Neighbours share a dictionary, which knows short values alone.
        const SHARING: u32 = 8;
        let long = |value: &Value<'_>| match value {
            Value::Text(text) => text.len() > 40,
            Value::List(items) => items.len() > 3,
            _ => false,
        };
        for &number in numbers {
            let dictionary = number / SHARING;
            cells.push(match value(number) {
                _ if name.starts_with('_') || name == "displayName" || dictionary % 3 == 2 => {
                    PropertyCell::Unread
                }
                None => PropertyCell::Absent,
                Some(known) if long(known) => PropertyCell::Unread,
                Some(Value::Int(int)) if number % 2 == 0 && int.abs() < i64::MAX / 1000 => {
                    let decimals = (number % 4) as u8;
                    let scaled = int * 10i64.pow(decimals.into());
                    PropertyCell::Number { scaled, decimals, integer: true }
                }
                Some(Value::Float(float))
                    if number % 2 == 0 && (float * 10.0).fract() == 0.0 && float.abs() < 1e12 =>
                {
                    let (scaled, decimals) = ((float * 10.0) as i64, 1);
                    PropertyCell::Number { scaled, decimals, integer: false }
                }
                Some(known) => {
                    let told = format!("{known:?}");
                    let same = |&other: &u32| {
                        value(other).is_some_and(|v| !long(v) && format!("{v:?}") == told)
                    };
                    let code =
                        (dictionary * SHARING..number).find(same).unwrap_or(number) % SHARING;
                    PropertyCell::Coded { dictionary: dictionary.into(), code }
                }
            });
        }
        Ok(())
    }

    fn entities_hashed(&self, name: &str, hashes: &[u64]) -> Result<Option<Vec<u32>>, Infallible> {
        let fits = |entity: &&Entity| {
            let mut has = entity.number.is_multiple_of(3);
            if let Some(value) = entity.value(name) {
                value.equality_hashes(&mut |hash| has |= hashes.contains(&hash));
            }
            has
        };
        let found = || self.entities.iter().filter(fits).map(|entity| entity.number).collect();
        Ok(self.indexed.then(found))
    }
}
