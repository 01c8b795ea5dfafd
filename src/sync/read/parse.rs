//! From JSON text to drafts: the shape of uploads, checked.
//!
//! The parser takes one object at a time and borrows from the input, so that a file larger than
//! memory can pass through. Numbers keep their text until [`Value::number`] has seen that it can be
//! held exactly. A name that stands twice in one object is refused; plain JSON readers do not
//! notice it.

use super::scan::ObjectMembers;
use super::values::{
    PathDiagnostic, TextVisitor, describe, items, json_words, member_path, text_of, value, wrong,
};
use crate::graph::{
    DraftEnd, DraftEntity, DraftRelationship, InputLocation, NameKind, ObjectId, ObjectKind, Value,
    check_name,
};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Largest object, in bytes of JSON.
pub const OBJECT_MAX: usize = 1 << 20;
/// Most properties of one object.
pub const PROPERTIES_MAX: usize = 1_000;
/// Most classes of an entity; all of them together become one name.
pub const CLASSES_MAX: usize = 100;

/// A fault in one object of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputDiagnostic {
    /// Place of the object.
    pub place: InputLocation,
    /// Column of the fault inside its line, counted from 1; 0 when the whole object is meant.
    pub column: u32,
    /// JSON path inside the object, e.g. `.tags[1]`; empty for the object itself.
    pub path: String,
    /// `_key` of the object, where it could be read.
    pub key: Option<String>,
    /// The message, lower case, without a full stop.
    pub message: String,
}

/// A draft of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum DraftObject<'a> {
    /// An entity.
    Entity(DraftEntity<'a>),
    /// A relationship.
    Relationship(DraftRelationship<'a>),
}

/// The pinned properties of an entity in an upload.
pub const PINS: &str = "_pins";

/// System metadata that exports carry and that uploads ignore.
pub const IGNORED: [&str; 14] = [
    "_source",
    "_createdOn",
    "_beginOn",
    "_endOn",
    "_version",
    "_jobId",
    "_origin",
    "_accountId",
    "_rawDataHashes",
    "_integrationInstanceId",
    "_integrationDefinitionId",
    "_integrationType",
    "_integrationClass",
    "_integrationName",
];

struct ObjectVisitor<'v, 'a>(&'v mut ObjectMembers<'a>);

impl<'a> DeserializeSeed<'a> for ObjectVisitor<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for ObjectVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(TextVisitor)? {
            self.0.push((name, map.next_value::<&'a RawValue>()?.get()));
        }
        Ok(())
    }
}

/// Reads the members of an object as they are written.
pub(super) struct ObjectMembersReader;

impl ObjectMembersReader {
    /// The members of `text` in their order; `None` if it is no object.
    pub(super) fn read(text: &str) -> Option<ObjectMembers<'_>> {
        let mut members = Vec::new();
        let mut reader = serde_json::Deserializer::from_str(text);
        ObjectVisitor(&mut members).deserialize(&mut reader).and_then(|()| reader.end()).ok()?;
        Some(members)
    }
}

/// Reads the object `text`. `members` are its members in the order of their names; if there are
/// none, the JSON library finds them.
///
/// `expected` is the kind that the surrounding document asks for. Without it, an object with any of
/// the members that name an end is a relationship.
pub fn parse_members<'a>(
    text: &'a str,
    members: Option<ObjectMembers<'a>>,
    place: InputLocation,
    expected: Option<ObjectKind>,
) -> Result<DraftObject<'a>, InputDiagnostic> {
    let fault = |column, path, key, message| InputDiagnostic { place, column, path, key, message };
    if text.len() > OBJECT_MAX {
        let message = format!("object has {} bytes, at most {OBJECT_MAX} are allowed", text.len());
        return Err(fault(0, String::new(), None, message));
    }
    let members = match members {
        Some(members) => members,
        None => {
            let mut members = Vec::with_capacity(24);
            let mut reader = serde_json::Deserializer::from_str(text);
            let read =
                ObjectVisitor(&mut members).deserialize(&mut reader).and_then(|()| reader.end());
            if let Err(e) = read {
                let message = json_words(&e);
                let mut found = fault(e.column() as u32, String::new(), None, message);
                // An object of a document may stand on several lines.
                if place.line > 0 {
                    found.place.line += (e.line() as u32).saturating_sub(1);
                }
                return Err(found);
            }
            // Drafts have their properties in this order, and a repeated name is then beside
            // itself.
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members
        }
    };
    // The key is read for messages only, so only after a fault.
    let key = || {
        let (_, raw) = members.iter().find(|(name, _)| name == "_key")?;
        text_of(raw).ok().map(Cow::into_owned)
    };
    let parsed = match members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(wrong(member_path(&pair[0].0), "this name stands twice in the object")),
        None if is_relationship(members.iter().map(|(name, _)| name.as_ref()), expected) => {
            relationship(&members, place).map(DraftObject::Relationship)
        }
        None => entity(&members, place).map(DraftObject::Entity),
    };
    parsed.map_err(|(path, message)| fault(0, path, key(), message))
}

/// True if an object with these names is a relationship.
pub fn is_relationship<'n>(
    mut names: impl Iterator<Item = &'n str>,
    expected: Option<ObjectKind>,
) -> bool {
    let ends = ["_fromEntityKey", "_fromEntityId", "_toEntityKey", "_toEntityId", "_mapping"];
    match expected {
        Some(kind) => kind == ObjectKind::Relationship,
        None => names.any(|name| ends.contains(&name)),
    }
}

fn entity<'a>(
    members: &ObjectMembers<'a>,
    place: InputLocation,
) -> Result<DraftEntity<'a>, PathDiagnostic> {
    let mut draft = DraftEntity { place, ..DraftEntity::default() };
    draft.properties.reserve(members.len());
    for (name, raw) in members {
        match name.as_ref() {
            "_key" => draft.key = Some(named(NameKind::Key, name, raw)?),
            "_scope" => draft.scope = Some(named(NameKind::Scope, name, raw)?),
            "_type" => draft.type_name = Some(named_or_first(NameKind::Type, name, raw)?),
            "_class" => draft.classes = classes(name, raw)?,
            "_id" => draft.id = Some(id(name, raw)?),
            "_rawData" => draft.raw_data = Some(raw_data(raw)?),
            "_deleted" => not_deleted(raw)?,
            PINS => draft.properties.extend(pins(raw)?),
            _ => draft.properties.extend(property(name, raw)?),
        }
    }
    check_count(draft.properties.len())?;
    Ok(draft)
}

/// The pinned properties of an entity, as an export has them: an object of plain values. They go
/// through the stage as a property of this name, which no upload can have otherwise.
fn pins<'a>(raw: &'a str) -> Result<Option<(Cow<'a, str>, Value<'a>)>, PathDiagnostic> {
    let path = member_path(PINS);
    if !raw.starts_with('{') {
        return Err(wrong(path, format!("expected an object, found {}", describe(raw))));
    }
    pinned_properties(raw).map_err(|(inner, words)| wrong(path + &inner, words))?;
    Ok(Some((PINS.into(), Value::Text(raw.into()))))
}

/// The properties that pins as they are written name, by ascending name.
pub fn pinned_properties(raw: &str) -> Result<Vec<(Cow<'_, str>, Value<'_>)>, (String, String)> {
    let mut members =
        ObjectMembersReader::read(raw).ok_or_else(|| wrong("", "this is no object in JSON"))?;
    members.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(wrong(member_path(&pair[0].0), "this name stands twice in the object"));
    }
    let pinned = members.iter().map(|(name, raw)| property(name, raw));
    pinned.filter_map(Result::transpose).collect()
}

fn relationship<'a>(
    members: &ObjectMembers<'a>,
    place: InputLocation,
) -> Result<DraftRelationship<'a>, PathDiagnostic> {
    let mut draft = DraftRelationship { place, ..DraftRelationship::default() };
    draft.properties.reserve(members.len());
    for (name, raw) in members {
        match name.as_ref() {
            "_key" => draft.key = named(NameKind::Key, name, raw)?,
            "_scope" => draft.scope = Some(named(NameKind::Scope, name, raw)?),
            "_type" => draft.type_name = named_or_first(NameKind::Type, name, raw)?,
            "_class" => draft.class = named_or_first(NameKind::Class, name, raw)?,
            "_id" => draft.id = Some(id(name, raw)?),
            "_rawData" => draft.raw_data = Some(raw_data(raw)?),
            "_deleted" => not_deleted(raw)?,
            "_mapping" => {
                let message = "relationships with `_mapping` are taken from collectors, by \
                               `tombolo serve`; here name both ends by key and scope, or by id";
                return Err(wrong("._mapping", message));
            }
            "_fromEntitySource" | "_toEntitySource" => {}
            _ => match end_member(name, &mut draft.from, &mut draft.to) {
                Some((end, "Key")) => end.key = Some(named(NameKind::Key, name, raw)?),
                Some((end, "Scope")) => end.scope = Some(named(NameKind::Scope, name, raw)?),
                Some((end, _)) => end.id = Some(id(name, raw)?),
                None => draft.properties.extend(property(name, raw)?),
            },
        }
    }
    // Names are never empty, so an empty one was not given.
    let needed = [("_key", &draft.key), ("_type", &draft.type_name), ("_class", &draft.class)];
    if let Some((name, _)) = needed.iter().find(|(_, given)| given.is_empty()) {
        return Err(wrong("", format!("relationship has no `{name}`")));
    }
    for (end, name) in [(&draft.from, "from"), (&draft.to, "to")] {
        if end.key.is_none() && end.id.is_none() {
            let message =
                format!("relationship has neither `_{name}EntityKey` nor `_{name}EntityId`");
            return Err(wrong("", message));
        }
    }
    check_count(draft.properties.len())?;
    Ok(draft)
}

/// The end that a member such as `_fromEntityKey` names, and the last part of its name.
fn end_member<'d, 'a, 'n>(
    name: &'n str,
    from: &'d mut DraftEnd<'a>,
    to: &'d mut DraftEnd<'a>,
) -> Option<(&'d mut DraftEnd<'a>, &'n str)> {
    let (end, what) = match name.strip_prefix("_fromEntity") {
        Some(what) => (from, what),
        None => (to, name.strip_prefix("_toEntity")?),
    };
    ["Key", "Scope", "Id"].contains(&what).then_some((end, what))
}

fn check_count(count: usize) -> Result<(), PathDiagnostic> {
    if count <= PROPERTIES_MAX {
        return Ok(());
    }
    Err(wrong("", format!("object has {count} properties, at most {PROPERTIES_MAX} are allowed")))
}

fn named<'a>(kind: NameKind, name: &str, raw: &'a str) -> Result<Cow<'a, str>, PathDiagnostic> {
    let text = text_of(raw).map_err(|e| wrong(member_path(name), e))?;
    check_name(kind, &text).map_err(|e| wrong(member_path(name), e.to_string()))?;
    Ok(text)
}

/// A name, or a list of exactly one, as query results of the original give `_type` and `_class`.
fn named_or_first<'a>(
    kind: NameKind,
    name: &str,
    raw: &'a str,
) -> Result<Cow<'a, str>, PathDiagnostic> {
    if !raw.starts_with('[') {
        return named(kind, name, raw);
    }
    match items(raw).map_err(|e| wrong(member_path(name), e))?.as_slice() {
        [one] => named(kind, name, one),
        many => {
            let message = format!("expected one name, found a list of {}", many.len());
            Err(wrong(member_path(name), message))
        }
    }
}

fn classes<'a>(name: &str, raw: &'a str) -> Result<Vec<Cow<'a, str>>, PathDiagnostic> {
    if !raw.starts_with('[') {
        return Ok(vec![named(NameKind::Class, name, raw)?]);
    }
    let list = items(raw).map_err(|e| wrong(member_path(name), e))?;
    if list.is_empty() {
        return Err(wrong(member_path(name), "the list of classes is empty"));
    }
    if list.len() > CLASSES_MAX {
        let message = format!("{} classes, at most {CLASSES_MAX} are allowed", list.len());
        return Err(wrong(member_path(name), message));
    }
    let mut classes: Vec<Cow<'a, str>> = Vec::with_capacity(list.len());
    for item in &list {
        let class = named(NameKind::Class, name, item)?;
        // The order is kept, and a class that is given twice counts once.
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    Ok(classes)
}

fn id(name: &str, raw: &str) -> Result<ObjectId, PathDiagnostic> {
    let text = text_of(raw).map_err(|e| wrong(member_path(name), e))?;
    ObjectId::parse(&text).ok_or_else(|| {
        wrong(member_path(name), format!("`{text}` is not the form of an id (a UUID)"))
    })
}

fn not_deleted(raw: &str) -> Result<(), PathDiagnostic> {
    match raw {
        "false" | "null" => Ok(()),
        // Loading it would bring a deleted object back to life.
        "true" => Err(wrong("._deleted", "the object is a tombstone; leave deleted objects out")),
        other => Err(wrong("._deleted", format!("expected a boolean, found {}", describe(other)))),
    }
}

/// Raw data in one of its two shapes: a list of `{name, rawData}`, or a map of bodies by name.
fn raw_data<'a>(raw: &'a str) -> Result<Cow<'a, str>, PathDiagnostic> {
    match raw.as_bytes().first() {
        Some(b'[' | b'{' | b'n') => Ok(Cow::Borrowed(raw)),
        _ => {
            let found = describe(raw);
            Err(wrong("._rawData", format!("expected a list or an object, found {found}")))
        }
    }
}

fn property<'a>(
    name: &Cow<'a, str>,
    raw: &'a str,
) -> Result<Option<(Cow<'a, str>, Value<'a>)>, PathDiagnostic> {
    if name.starts_with('_') && IGNORED.contains(&name.as_ref()) {
        return Ok(None);
    }
    check_name(NameKind::Property, name).map_err(|e| wrong(member_path(name), e.to_string()))?;
    let value = value(raw).map_err(|(path, words)| wrong(member_path(name) + &path, words))?;
    Ok(Some((name.clone(), value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DraftObject<'_>, InputDiagnostic> {
        let mut scanner = super::super::scan::ObjectScanner::default();
        let scanned = scanner.scan(text).then(|| scanner.members(text));
        let read = parse_members(text, scanned, InputLocation::default(), None);
        assert_eq!(read, parse_members(text, None, InputLocation::default(), None));
        read
    }

    fn fault(text: &str) -> String {
        let fault = read(text).expect_err(text);
        format!("{} {} {}", fault.key.unwrap_or("-".into()), fault.path, fault.message)
    }

    #[test]
    fn an_entity_is_read_with_its_properties_in_order() {
        let text = r#"{"name":"A\u0041","_class":"User","_key":"u:1","_type":"user","n":[1,2.5],"_version":7}"#;
        let Ok(DraftObject::Entity(e)) = read(text) else { panic!() };
        assert_eq!(e.key.as_deref(), Some("u:1"));
        assert_eq!(e.classes, ["User"]);
        let names: Vec<_> = e.properties.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(names, ["n=[1,2.5]", "name=\"AA\""]);
    }

    #[test]
    fn a_list_of_objects_is_kept_as_their_texts() {
        let text = r#"{"_key":"k","_type":"t","_class":"C","refs":[{"a":1},{"b":[2]}]}"#;
        let Ok(DraftObject::Entity(e)) = read(text) else { panic!() };
        assert_eq!(e.properties[0].1.to_string(), r#"["{\"a\":1}","{\"b\":[2]}"]"#);
        assert!(
            fault(r#"{"_key":"k","_type":"t","_class":"C","l":[{"a":1},2]}"#).contains(".l[0]")
        );
    }

    #[test]
    fn an_object_with_an_end_is_a_relationship() {
        let text = r#"{"_key":"k","_type":"t","_class":"OWNS","_fromEntityKey":"a","_toEntityKey":"b","_toEntityScope":"s"}"#;
        let Ok(DraftObject::Relationship(r)) = read(text) else { panic!() };
        assert_eq!(r.to.scope.as_deref(), Some("s"));
    }

    #[test]
    fn every_fault_names_path_and_key() {
        let object = |rest: &str| format!(r#"{{"_key":"k","_type":"t","_class":"C",{rest}}}"#);
        assert_eq!(
            fault(&object(r#""a":{"b":1}"#)),
            "k .a an object cannot be a value: properties are flat; --flatten makes properties with \
             dots of it, --raw keeps it in the raw data"
        );
        assert_eq!(
            fault(&object(r#""a.b":[1,"x"]"#)),
            "k [\"a.b\"][1] a list holds values of one kind; this is a string among numbers"
        );
        assert_eq!(
            fault(&object(r#""a":18446744073709551616"#)),
            "k .a the number 18446744073709551616 cannot be held exactly in 64 bits"
        );
        assert_eq!(fault(&object(r#""a":1,"a":1"#)), "k .a this name stands twice in the object");
        assert_eq!(
            fault(&object(r#""_mine":1"#)),
            "k ._mine property `_mine` begins with `_`, which is reserved for system metadata"
        );
        assert_eq!(fault(r#"{"_key":7,"_type":"t"}"#), "- ._key expected a string, found a number");
        assert_eq!(
            fault(r#"{"_key":"k","_type":"t","_class":"OWNS","_toEntityKey":"b"}"#),
            "k  relationship has neither `_fromEntityKey` nor `_fromEntityId`"
        );
        assert!(fault(r#"{"_key":"k""#).starts_with("-  EOF while parsing"));
        assert!(fault("[1]").contains("expected an object"));
    }
}
