//! The graph as a mapping sees it: the entities it may link, and the questions that it asks to get them.

use crate::graph::{ObjectId, Value};
use crate::lang::{AccessStep, NestedValue};
use crate::mapping::entity_selection::EntitySelection;
use crate::mapping::expression::PathStep;
use crate::query::{Query, QueryRow};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

/// A live entity, with the properties that the mapping names.
#[derive(Clone, Debug, PartialEq)]
pub struct EndCandidate {
    /// `_id`.
    pub id: ObjectId,
    /// `_scope`.
    pub scope: Arc<str>,
    /// `_key`.
    pub key: String,
    /// `_type`.
    pub type_name: Arc<str>,
    /// `_class`, in the order given.
    pub classes: Arc<[String]>,
    /// Own and system properties that were asked for, where the entity has them.
    pub properties: Vec<(Arc<str>, Value<'static>)>,
}

impl EndCandidate {
    /// The entity as a row: its properties, and `_key` and its like.
    pub(in crate::mapping) fn into_data(self) -> NestedValue {
        let system = ["_id", "_key", "_scope", "_type", "_class"].map(|name| {
            let value = self.value(name).unwrap_or(Value::Null).into_owned();
            (name.to_owned(), NestedValue::from_value(value))
        });
        let own = self.properties.into_iter();
        let own = own.map(|(name, value)| (name.to_string(), NestedValue::from_value(value)));
        NestedValue::Object(system.into_iter().chain(own).collect::<Vec<_>>().into())
    }

    /// The value of a property; `_key` and its like included.
    pub(in crate::mapping) fn value(&self, name: &str) -> Option<Value<'_>> {
        let text = |text: &'_ str| Some(Value::Text(text.to_owned().into()));
        match name {
            "_key" => Some(Value::Text(self.key.as_str().into())),
            "_scope" => Some(Value::Text((&*self.scope).into())),
            "_type" => Some(Value::Text((&*self.type_name).into())),
            "_id" => text(&self.id.to_string()),
            "_class" => Some(Value::List(
                self.classes.iter().map(|class| Value::Text(class.as_str().into())).collect(),
            )),
            name => {
                let found = self.properties.iter().find(|(n, _)| &**n == name);
                found.map(|(_, value)| value.borrowed())
            }
        }
    }
}

/// The properties of entities that a mapping reads, besides key, scope, type, class and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyProjection {
    /// All of them.
    All,
    /// These. System metadata such as `_createdOn` may be among them.
    Only(BTreeSet<String>),
}

/// The state of an entity that an end looked for and did not find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityPresence {
    /// True if it is live in the scope, but not of the type, class or condition asked for.
    pub live: bool,
    /// The time of its soft deletion, in epoch milliseconds.
    pub deleted_on: Option<i64>,
    /// Other scopes that hold a live entity of this key.
    pub elsewhere: Vec<String>,
}

/// The questions that a mapping asks of a graph.
pub trait MappingGraph {
    /// The error of reading the graph.
    type Error: Display;

    /// Calls `visit` for each live entity of the selection, in one stable order.
    fn entities(
        &self,
        select: &EntitySelection,
        wanted: &PropertyProjection,
        visit: &mut dyn FnMut(EndCandidate),
    ) -> Result<(), Self::Error>;

    /// The state of the entity with this scope and key.
    fn whereabouts(&self, scope: &str, key: &str) -> Result<EntityPresence, Self::Error>;

    /// The types of the live entities of a scope and how many each has, in byte order.
    fn types(&self, scope: &str) -> Result<Vec<(String, u64)>, Self::Error>;

    /// The classes of the live entities of a scope and how many each has, in byte order.
    fn classes(&self, scope: &str) -> Result<Vec<(String, u64)>, Self::Error>;

    /// The rows of the answer to a query, each as names and values. The inner `Err` names the limit
    /// that the query reached.
    fn ask(&self, query: &Query) -> Result<Result<Vec<QueryRow>, String>, Self::Error>;

    /// All scopes that hold entities, in byte order.
    fn scopes(&self) -> Result<Vec<String>, Self::Error>;
}

/// The property that the steps after `from` or `to` name: `from.tag.env` is the property `tag.env`.
/// With a position among the steps there is none.
pub(in crate::mapping) fn property_name(steps: &[PathStep]) -> Option<String> {
    let names = steps.iter().map(|step| match step {
        AccessStep::Name(name) => Some(name.as_str()),
        _ => None,
    });
    Some(names.collect::<Option<Vec<_>>>()?.join("."))
}
