//! Entities and relationships as the graph holds them, with their system metadata.

use super::{ORIGIN, ObjectId, RelationshipOrigin, Value};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use uuid::Uuid;

/// System metadata that every stored object carries. Times are epoch milliseconds (UTC).
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectMetadata {
    /// `_createdOn`: when the object was first seen.
    pub created_on: i64,
    /// `_beginOn`: when this version began.
    pub begin_on: i64,
    /// `_endOn`: when it was soft-deleted; `None` while live.
    pub end_on: Option<i64>,
    /// `_version`: 1 at first, one more with each change.
    pub version: u32,
    /// `_jobId`: the sync job that last changed the object.
    pub job_id: Uuid,
    /// `_source` of that job, e.g. `api`.
    pub source: String,
}

impl ObjectMetadata {
    /// `_deleted`.
    pub fn deleted(&self) -> bool {
        self.end_on.is_some()
    }
}

impl ObjectMetadata {
    /// The property of the system with this name; `None` if there is none, or it is absent.
    pub fn value(&self, name: &str) -> Option<Value<'static>> {
        Some(match name {
            "_source" => text(&self.source),
            "_createdOn" => Value::Int(self.created_on),
            "_beginOn" => Value::Int(self.begin_on),
            "_endOn" => Value::Int(self.end_on?),
            "_version" => Value::Int(self.version.into()),
            "_deleted" => Value::Bool(self.deleted()),
            "_jobId" => text(&self.job_id.to_string()),
            _ => return None,
        })
    }
}

fn text(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}

fn own(properties: &[(String, Value<'static>)], name: &str) -> Option<Value<'static>> {
    let at = properties.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
    Some(properties[at].1.clone())
}

/// An entity as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Dense number of the entity inside this database, the node index of views.
    pub number: u32,
    /// `_id`.
    pub id: ObjectId,
    /// `_scope`.
    pub scope: String,
    /// `_key`.
    pub key: String,
    /// `_type`.
    pub type_name: String,
    /// `_class`, in the order given.
    pub classes: Vec<String>,
    /// Own properties by ascending name.
    pub properties: Vec<(String, Value<'static>)>,
    /// `_rawData` as the JSON text that was uploaded.
    pub raw_data: Option<String>,
    /// System metadata.
    pub metadata: ObjectMetadata,
}

impl Entity {
    /// A property, own or of the system.
    pub fn value(&self, name: &str) -> Option<Value<'static>> {
        match name {
            "_id" => Some(text(&self.id.to_string())),
            "_key" => Some(text(&self.key)),
            "_scope" => Some(text(&self.scope)),
            "_type" => Some(text(&self.type_name)),
            "_class" => Some(Value::List(self.classes.iter().map(|class| text(class)).collect())),
            _ => self.metadata.value(name).or_else(|| own(&self.properties, name)),
        }
    }
}

/// An entity as lists show it: everything but its properties.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityHead {
    /// Dense number of the entity inside this database.
    pub number: u32,
    /// `_id`.
    pub id: ObjectId,
    /// `_scope`.
    pub scope: String,
    /// `_key`.
    pub key: String,
    /// `_type`.
    pub type_name: String,
    /// `_class`, in the order given.
    pub classes: Vec<String>,
    /// The property `displayName`, if it is a string.
    pub display_name: Option<String>,
    /// True if the entity is soft-deleted.
    pub deleted: bool,
}

impl Serialize for EntityHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_id", &self.id.to_string())?;
        map.serialize_entry("_key", &self.key)?;
        map.serialize_entry("_scope", &self.scope)?;
        map.serialize_entry("_type", &self.type_name)?;
        map.serialize_entry("_class", &self.classes)?;
        map.serialize_entry("displayName", &self.display_name)?;
        map.end()
    }
}

/// A relationship as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Relationship {
    /// Dense number of the relationship inside this database.
    pub number: u32,
    /// `_id`.
    pub id: ObjectId,
    /// `_scope`: the scope of the job that owns it.
    pub scope: String,
    /// `_key`.
    pub key: String,
    /// `_type`.
    pub type_name: String,
    /// `_class`: the verb.
    pub class: String,
    /// The entity it starts at.
    pub from: EntityHead,
    /// The entity it ends at.
    pub to: EntityHead,
    /// Own properties by ascending name.
    pub properties: Vec<(String, Value<'static>)>,
    /// `_origin`: the row that made it, for relationships of mappings.
    pub origin: Option<RelationshipOrigin>,
    /// `_rawData` as the JSON text that was uploaded.
    pub raw_data: Option<String>,
    /// System metadata.
    pub metadata: ObjectMetadata,
}

impl Relationship {
    /// A property, own or of the system, those of its ends included (`_fromEntityKey` ...).
    pub fn value(&self, name: &str) -> Option<Value<'static>> {
        match name {
            "_id" => Some(text(&self.id.to_string())),
            "_key" => Some(text(&self.key)),
            "_scope" => Some(text(&self.scope)),
            "_type" => Some(text(&self.type_name)),
            "_class" => Some(text(&self.class)),
            "_fromEntityKey" => Some(text(&self.from.key)),
            "_toEntityKey" => Some(text(&self.to.key)),
            "_fromEntityId" => Some(text(&self.from.id.to_string())),
            "_toEntityId" => Some(text(&self.to.id.to_string())),
            "_fromEntityScope" => Some(text(&self.from.scope)),
            "_toEntityScope" => Some(text(&self.to.scope)),
            _ => self.metadata.value(name).or_else(|| own(&self.properties, name)),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Int(i) => serializer.serialize_i64(*i),
            Value::UInt(u) => serializer.serialize_u64(*u),
            Value::Float(f) => serializer.serialize_f64(*f),
            Value::Text(t) => serializer.serialize_str(t),
            Value::List(items) => serializer.collect_seq(items),
        }
    }
}

/// The members that both kinds of object have after their own, in one order.
fn serialize_rest<M: SerializeMap>(
    map: &mut M,
    metadata: &ObjectMetadata,
    properties: &[(String, Value<'static>)],
    raw_data: Option<&String>,
) -> Result<(), M::Error> {
    map.serialize_entry("_source", &metadata.source)?;
    map.serialize_entry("_createdOn", &metadata.created_on)?;
    map.serialize_entry("_beginOn", &metadata.begin_on)?;
    map.serialize_entry("_endOn", &metadata.end_on)?;
    map.serialize_entry("_version", &metadata.version)?;
    map.serialize_entry("_deleted", &metadata.deleted())?;
    map.serialize_entry("_jobId", &metadata.job_id)?;
    for (name, value) in properties {
        map.serialize_entry(name, value)?;
    }
    if let Some(raw) = raw_data {
        let raw: Result<&serde_json::value::RawValue, _> = serde_json::from_str(raw);
        map.serialize_entry("_rawData", &raw.map_err(serde::ser::Error::custom)?)?;
    }
    Ok(())
}

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_id", &self.id.to_string())?;
        map.serialize_entry("_key", &self.key)?;
        map.serialize_entry("_scope", &self.scope)?;
        map.serialize_entry("_type", &self.type_name)?;
        map.serialize_entry("_class", &self.classes)?;
        serialize_rest(&mut map, &self.metadata, &self.properties, self.raw_data.as_ref())?;
        map.end()
    }
}

impl Serialize for Relationship {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_id", &self.id.to_string())?;
        map.serialize_entry("_key", &self.key)?;
        map.serialize_entry("_scope", &self.scope)?;
        map.serialize_entry("_type", &self.type_name)?;
        map.serialize_entry("_class", &self.class)?;
        for (end, head) in [("from", &self.from), ("to", &self.to)] {
            map.serialize_entry(&format!("_{end}EntityKey"), &head.key)?;
            map.serialize_entry(&format!("_{end}EntityScope"), &head.scope)?;
            map.serialize_entry(&format!("_{end}EntityId"), &head.id.to_string())?;
        }
        if let Some(origin) = &self.origin {
            map.serialize_entry(ORIGIN, origin)?;
        }
        serialize_rest(&mut map, &self.metadata, &self.properties, self.raw_data.as_ref())?;
        map.end()
    }
}
