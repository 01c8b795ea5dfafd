//! Drafts: entities and relationships as an upload or a mapping proposes them.
//!
//! A draft is checked for shape (names, flat values, limits) but says nothing about the graph:
//! finalize checks that its ends exist. Drafts borrow from the input they were read from.

use super::{ObjectId, RelationshipOrigin, Value};
use std::borrow::Cow;

/// The place of a draft in the input, for messages. In a JSON document that is not line by line the
/// line is unknown, and messages give the position in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputLocation {
    /// The input of the job, counted from 0 in the order given.
    pub input: u32,
    /// Line, counted from 1; 0 when unknown.
    pub line: u32,
}

/// An entity as proposed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DraftEntity<'a> {
    /// `_key`; may be absent in PATCH and OVERRIDE, where `_id` can stand for it.
    pub key: Option<Cow<'a, str>>,
    /// `_id`, if given. Without `_key` it names an existing entity; with `_key` both must agree.
    pub id: Option<ObjectId>,
    /// `_scope`, if given: must equal the scope of the job.
    pub scope: Option<Cow<'a, str>>,
    /// `_type`; needed to create.
    pub type_name: Option<Cow<'a, str>>,
    /// `_class`, one or more; needed to create.
    pub classes: Vec<Cow<'a, str>>,
    /// Own properties, in ascending order of their names, each name once.
    pub properties: Vec<(Cow<'a, str>, Value<'a>)>,
    /// `_rawData`, as the JSON text that was given.
    pub raw_data: Option<Cow<'a, str>>,
    /// Place in the input.
    pub place: InputLocation,
}

/// One end of a proposed relationship: a key (in `scope`, or in the scope of the job), an `_id`,
/// or both, which must then agree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DraftEnd<'a> {
    /// `_fromEntityKey` or `_toEntityKey`.
    pub key: Option<Cow<'a, str>>,
    /// `_fromEntityScope` or `_toEntityScope`.
    pub scope: Option<Cow<'a, str>>,
    /// `_fromEntityId` or `_toEntityId`.
    pub id: Option<ObjectId>,
}

/// A relationship as proposed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DraftRelationship<'a> {
    /// `_key`.
    pub key: Cow<'a, str>,
    /// `_id`, if given: checked against scope and key.
    pub id: Option<ObjectId>,
    /// `_scope`, if given: must equal the scope of the job.
    pub scope: Option<Cow<'a, str>>,
    /// `_type`.
    pub type_name: Cow<'a, str>,
    /// `_class`: the verb, e.g. `OWNS`.
    pub class: Cow<'a, str>,
    /// The entity at which it starts.
    pub from: DraftEnd<'a>,
    /// The entity at which it ends.
    pub to: DraftEnd<'a>,
    /// Own properties, in ascending order of their names, each name once.
    pub properties: Vec<(Cow<'a, str>, Value<'a>)>,
    /// `_rawData`, as the JSON text that was given.
    pub raw_data: Option<Cow<'a, str>>,
    /// Place in the input.
    pub place: InputLocation,
    /// The row that made it, if a mapping did.
    pub origin: Option<RelationshipOrigin>,
}

/// The `_key` that a relationship has when nobody gives one: `from|verb|to`, verb in lower case.
///
/// Source: CROSS_SCOPE page, e.g. `okta-user:alice|owns|jamf-device:laptop-001`.
pub fn default_relationship_key(from_key: &str, class: &str, to_key: &str) -> String {
    format!("{from_key}|{}|{to_key}", class.to_lowercase())
}
