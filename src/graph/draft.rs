//! Drafts: entities and relationships as an upload or a mapping proposes them.
//!
//! A draft is checked for shape (names, flat values, limits) but says nothing about the graph:
//! finalize checks that its ends exist. Drafts borrow from the input they were read from.

use super::{NameKind, ObjectId, RelationshipOrigin, Value};
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

impl InputLocation {
    /// In no input: the place of what a program made. Keys alone name such an object.
    pub const NOWHERE: InputLocation = InputLocation { input: u32::MAX, line: 0 };
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

impl<'a> DraftEntity<'a> {
    /// An entity with its `_key`, `_type` and first `_class`.
    ///
    /// ```
    /// use tombolo::DraftEntity;
    ///
    /// let alice = DraftEntity::new("okta-user:alice", "okta_user", "User")
    ///     .property("email", "alice@example.com")
    ///     .property("active", true);
    /// assert_eq!(alice.properties[0].0, "active");
    /// ```
    pub fn new(
        key: impl Into<Cow<'a, str>>,
        type_name: impl Into<Cow<'a, str>>,
        class: impl Into<Cow<'a, str>>,
    ) -> DraftEntity<'a> {
        DraftEntity {
            key: Some(key.into()),
            type_name: Some(type_name.into()),
            classes: vec![class.into()],
            ..DraftEntity::default()
        }
    }

    /// A change to an entity that exists, for the modes PATCH and OVERRIDE.
    pub fn patch(key: impl Into<Cow<'a, str>>) -> DraftEntity<'a> {
        DraftEntity { key: Some(key.into()), ..DraftEntity::default() }
    }

    /// The same with one class more.
    pub fn class(mut self, class: impl Into<Cow<'a, str>>) -> DraftEntity<'a> {
        let class = class.into();
        if !self.classes.contains(&class) {
            self.classes.push(class);
        }
        self
    }

    /// The same with a property, in place of one of that name.
    pub fn property(
        mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Value<'a>>,
    ) -> DraftEntity<'a> {
        set_property(&mut self.properties, name.into(), value.into());
        self
    }
}

impl<'a> DraftEnd<'a> {
    /// The entity with this key in this scope.
    pub fn in_scope(scope: impl Into<Cow<'a, str>>, key: impl Into<Cow<'a, str>>) -> DraftEnd<'a> {
        DraftEnd { key: Some(key.into()), scope: Some(scope.into()), id: None }
    }
}

/// The entity with this key in the scope of the job.
impl<'a> From<&'a str> for DraftEnd<'a> {
    fn from(key: &'a str) -> DraftEnd<'a> {
        DraftEnd { key: Some(key.into()), ..DraftEnd::default() }
    }
}

/// The entity with this key in the scope of the job.
impl From<String> for DraftEnd<'_> {
    fn from(key: String) -> Self {
        DraftEnd { key: Some(key.into()), ..DraftEnd::default() }
    }
}

/// The entity with this id.
impl From<ObjectId> for DraftEnd<'_> {
    fn from(id: ObjectId) -> Self {
        DraftEnd { id: Some(id), ..DraftEnd::default() }
    }
}

impl<'a> DraftRelationship<'a> {
    /// A relationship from one entity to another. Its `_key` is made from both keys and the verb, as
    /// in `sre|has|alice`; its `_type` is the verb in lower case. [`DraftRelationship::with_key`]
    /// and [`DraftRelationship::with_type`] give others.
    ///
    /// ```
    /// use tombolo::{DraftEnd, DraftRelationship};
    ///
    /// let inside = DraftRelationship::new("okta-group:sre", "HAS", "okta-user:alice");
    /// assert_eq!(inside.key, "okta-group:sre|has|okta-user:alice");
    /// let across = DraftRelationship::new(
    ///     DraftEnd::in_scope("okta", "okta-user:alice"),
    ///     "OWNS",
    ///     DraftEnd::in_scope("jamf", "laptop-001"),
    /// );
    /// assert_eq!(across.type_name, "owns");
    /// ```
    pub fn new(
        from: impl Into<DraftEnd<'a>>,
        verb: impl Into<Cow<'a, str>>,
        to: impl Into<DraftEnd<'a>>,
    ) -> DraftRelationship<'a> {
        let (from, to, class) = (from.into(), to.into(), verb.into());
        let text = |end: &DraftEnd<'_>| match (&end.key, end.id) {
            (Some(key), _) => key.to_string(),
            (None, Some(id)) => id.to_string(),
            (None, None) => String::new(),
        };
        let key = default_relationship_key(&text(&from), &class, &text(&to));
        DraftRelationship {
            key: key.into(),
            type_name: class.to_lowercase().into(),
            class,
            from,
            to,
            ..DraftRelationship::default()
        }
    }

    /// The same with this `_key`.
    pub fn with_key(self, key: impl Into<Cow<'a, str>>) -> DraftRelationship<'a> {
        DraftRelationship { key: key.into(), ..self }
    }

    /// The same with this `_type`.
    pub fn with_type(self, type_name: impl Into<Cow<'a, str>>) -> DraftRelationship<'a> {
        DraftRelationship { type_name: type_name.into(), ..self }
    }

    /// The same with a property, in place of one of that name.
    pub fn property(
        mut self,
        name: impl Into<Cow<'a, str>>,
        value: impl Into<Value<'a>>,
    ) -> DraftRelationship<'a> {
        set_property(&mut self.properties, name.into(), value.into());
        self
    }
}

/// Puts a property where its name belongs in ascending order.
fn set_property<'a>(
    properties: &mut Vec<(Cow<'a, str>, Value<'a>)>,
    name: Cow<'a, str>,
    value: Value<'a>,
) {
    match properties.binary_search_by(|(known, _)| known.cmp(&name)) {
        Ok(at) => properties[at].1 = value,
        Err(at) => properties.insert(at, (name, value)),
    }
}

/// The `_key` that a relationship has when nobody gives one: `from|verb|to`, verb in lower case.
///
/// Where that is longer than a key may be, it is the beginning of both keys and a digest of the whole:
/// `from…|verb|to…|XXH3-128 in hex`.
///
/// Source: CROSS_SCOPE page, e.g. `okta-user:alice|owns|jamf-device:laptop-001`.
pub fn default_relationship_key(from_key: &str, class: &str, to_key: &str) -> String {
    let key = format!("{from_key}|{}|{to_key}", class.to_lowercase());
    if key.len() <= NameKind::Key.len_max() {
        return key;
    }
    let digest = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    let beginning = |text: &str| -> String {
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = ends.take_while(|end| *end <= KEY_PART_MAX).last().unwrap_or(0);
        text[..end].to_owned()
    };
    let [from, verb, to] = [from_key, class, to_key].map(beginning);
    format!("{from}|{}|{to}|{digest:032x}", verb.to_lowercase())
}

/// The bytes of each end and of the verb that stay readable in a default key that is too long. With
/// them, the digest and letters that grow in lower case a key is never too long.
const KEY_PART_MAX: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_key_is_plain_where_it_fits_and_else_has_a_digest() {
        assert_eq!(default_relationship_key("a", "OWNS", "b"), "a|owns|b");
        let longest = "x".repeat(NameKind::Key.len_max() - "|owns|b".len());
        assert_eq!(default_relationship_key(&longest, "OWNS", "b"), format!("{longest}|owns|b"));
        // Letters are not cut in two, and two keys that differ only at their end stay apart.
        let long = "é".repeat(500);
        let keys =
            ["1", "2"].map(|end| default_relationship_key(&long, "OWNS", &format!("{long}{end}")));
        let start = format!("{0}|owns|{0}|", "é".repeat(120));
        assert!(keys.iter().all(|key| key.starts_with(&start) && key.len() == start.len() + 32));
        assert_ne!(keys[0], keys[1]);
        let most = default_relationship_key(&long, &"\u{130}".repeat(128), &long);
        assert!(most.len() <= NameKind::Key.len_max());
    }
}
