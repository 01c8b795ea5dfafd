//! The scope of each object of an upload, where a job has no scope of its own. It is the scope that
//! the object names, else the one that holds its `_id`, else the only one that holds its key, as
//! far as the caller may know.

use super::AppState;
use super::api_error::ApiError;
use super::jobs::{SCOPE, forbidden};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashMap;
use tombolo::db::RightSet;
use tombolo::graph::{NameLookup, ObjectId, ObjectKind};
use tombolo::sync::JobReport;

/// An object named for deletion.
#[derive(Deserialize)]
pub struct NamedDeletion {
    #[serde(rename = "_id")]
    id: Option<String>,
    #[serde(rename = "_key")]
    key: Option<String>,
}

/// The objects that an upload names for deletion. An `_id` that is none of ours names nothing.
pub fn named_deletes(
    app: &AppState,
    job: &JobReport,
    rights: &RightSet,
    named: [(ObjectKind, Option<Vec<NamedDeletion>>); 2],
) -> Result<Vec<(ObjectKind, ObjectId)>, ApiError> {
    let mut deletes = Vec::new();
    let mut bare = Vec::new();
    for (kind, list) in named {
        for named in list.unwrap_or_default() {
            match (named.id, named.key) {
                (Some(id), _) => deletes.extend(ObjectId::parse(&id).map(|id| (kind, id))),
                (None, Some(key)) if job.any_scope && kind == ObjectKind::Entity => bare.push(key),
                (None, Some(key)) => deletes.push((kind, ObjectId::new(kind, &job.scope, &key))),
                (None, None) => {
                    return Err(ApiError::bad("an object to delete has neither `_id` nor `_key`"));
                }
            }
        }
    }
    if !bare.is_empty() {
        let homes = ScopesByKey::find(app, rights, bare.iter().map(String::as_str))?;
        for key in &bare {
            if let Some(scope) = homes.only("deleteEntities", key)? {
                deletes.push((ObjectKind::Entity, ObjectId::new(ObjectKind::Entity, scope, key)));
            }
        }
    }
    Ok(deletes)
}

/// The scopes in which live entities have certain keys, as far as a caller may know: all scopes for
/// a caller that may read, else those that it may write.
struct ScopesByKey(HashMap<String, Vec<String>>);

impl ScopesByKey {
    fn find<'k>(
        app: &AppState,
        rights: &RightSet,
        keys: impl Iterator<Item = &'k str>,
    ) -> Result<ScopesByKey, ApiError> {
        let snapshot = app.database.snapshot()?;
        let mut homes = HashMap::new();
        for (key, numbers) in snapshot.entities_with_keys(keys)? {
            let mut scopes = Vec::new();
            for number in numbers {
                if let Some(facts) = snapshot.facts(ObjectKind::Entity, number)? {
                    let scope = snapshot.name(facts.scope);
                    if rights.read() || rights.write(scope) {
                        scopes.push(scope.to_owned());
                    }
                }
            }
            homes.insert(key, scopes);
        }
        Ok(ScopesByKey(homes))
    }

    /// The only scope in which a key lives, if it lives at all.
    fn only(&self, place: &str, key: &str) -> Result<Option<&str>, ApiError> {
        match self.0.get(key).map(Vec::as_slice).unwrap_or_default() {
            [] => Ok(None),
            [scope] => Ok(Some(scope)),
            many => {
                let message = format!("{place}: `{key}` lives in {}", many.join(", "));
                Err(ApiError::bad(message).hint("name the one that is meant by `_scope` or `_id`"))
            }
        }
    }
}

/// The members of an object that tell its scope.
#[derive(Deserialize)]
struct ScopeHints {
    /// `Some(None)` if it is null, which names no scope.
    #[serde(rename = "_scope", default, deserialize_with = "present")]
    scope: Option<Option<String>>,
    #[serde(rename = "_id")]
    id: Option<String>,
    #[serde(rename = "_key")]
    key: Option<String>,
    #[serde(rename = "_type")]
    type_name: Option<IgnoredAny>,
    #[serde(rename = "_class")]
    class: Option<IgnoredAny>,
}

fn present<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(reader).map(Some)
}

impl ScopeHints {
    fn named_scope(&self) -> Option<&str> {
        self.scope.as_ref()?.as_deref()
    }
}

/// The members of an object as they are written.
struct WrittenMembers<'l>(Vec<(String, &'l RawValue)>);

impl<'de> Deserialize<'de> for WrittenMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<WrittenMembers<'de>, D::Error> {
        struct MemberVisitor;
        impl<'de> Visitor<'de> for MemberVisitor {
            type Value = WrittenMembers<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(WrittenMembers(members))
            }
        }
        reader.deserialize_map(MemberVisitor)
    }
}

/// The objects of a list, each with the members that tell its scope.
fn read_scope_hints<'l>(
    name: &str,
    list: &'l str,
) -> Result<Vec<(&'l RawValue, ScopeHints)>, ApiError> {
    let items: Vec<&RawValue> =
        serde_json::from_str(list).map_err(|e| ApiError::bad(format!("`{name}`: {e}")))?;
    let read = |(i, item): (usize, &'l RawValue)| match serde_json::from_str(item.get()) {
        Ok(whose) if item.get().starts_with('{') => Ok((item, whose)),
        Ok(_) => Err(ApiError::bad(format!("{name}[{i}]: expected an object"))),
        Err(e) => Err(ApiError::bad(format!("{name}[{i}]: {e}"))),
    };
    items.into_iter().enumerate().map(read).collect()
}

/// The object with a scope put in front, in place of one that is null. It has at least one other
/// member, so a comma fits.
fn with_scope_member(item: &RawValue, hints: &ScopeHints, scope: &str) -> Result<String, ApiError> {
    if hints.scope.is_none() {
        return Ok(format!("{{\"_scope\":{},{}", json!(scope), &item.get()[1..]));
    }
    let WrittenMembers(members) = serde_json::from_str(item.get())
        .map_err(|e| ApiError::bad(format!("an object of the list: {e}")))?;
    let others = members.iter().filter(|(name, _)| name != "_scope");
    let others = others.map(|(name, value)| format!(",{}:{value}", json!(name)));
    Ok(format!("{{\"_scope\":{}{}}}", json!(scope), others.collect::<String>()))
}

/// The list of relationships, with our scope in those that name none.
pub fn with_own_scope(list: &str) -> Result<String, ApiError> {
    let all = read_scope_hints("relationships", list)?;
    let all = all.into_iter().map(|(item, whose)| match whose.named_scope() {
        None if whose.key.is_some() => with_scope_member(item, &whose, SCOPE),
        _ => Ok(item.get().to_owned()),
    });
    Ok(format!("[{}]", all.collect::<Result<Vec<_>, ApiError>>()?.join(",")))
}

/// The list with the scope of each entity in it: the one it names, else that of its `_id`, else
/// the only one in which its key lives, else ours.
pub fn with_scopes(app: &AppState, rights: &RightSet, list: &RawValue) -> Result<String, ApiError> {
    let all = read_scope_hints("entities", list.get())?;
    let mut ids = Vec::new();
    let mut keys = Vec::new();
    for (_, whose) in all.iter().filter(|(_, whose)| whose.named_scope().is_none()) {
        match (&whose.id, &whose.key) {
            (Some(id), _) => ids.extend(ObjectId::parse(id).map(|id| (ObjectKind::Entity, id))),
            (None, key) => keys.extend(key.as_deref()),
        }
    }
    // Looked up for all entities at once, since each look may be a pass over all keys.
    let owners = app.database.snapshot()?.scopes_of(&ids)?;
    let homes = ScopesByKey::find(app, rights, keys.into_iter())?;
    let mut listed = Vec::with_capacity(all.len());
    for (i, (item, whose)) in all.iter().enumerate() {
        let scope = match (whose.named_scope(), &whose.id, &whose.key) {
            (Some(scope), ..) => scope,
            (None, Some(id), _) => {
                let known =
                    ObjectId::parse(id).and_then(|id| owners.get(&(ObjectKind::Entity, id)));
                match known {
                    Some(scope) => scope,
                    None if rights.read() => {
                        let message = format!("entities[{i}]: no entity has the `_id` {id}");
                        return Err(ApiError::bad(message));
                    }
                    // The same answer as for an entity of somebody else.
                    None => return Err(forbidden()),
                }
            }
            (None, None, Some(key)) => {
                let known = homes.only(&format!("entities[{i}]"), key)?;
                let complete = whose.type_name.is_some() && whose.class.is_some();
                match known {
                    // Nothing can come of it, whether it is somebody else's or nobody's.
                    None if !rights.read() && !complete => return Err(forbidden()),
                    known => known.unwrap_or(SCOPE),
                }
            }
            (None, None, None) => {
                return Err(ApiError::bad(format!("entities[{i}] has neither `_key` nor `_id`")));
            }
        };
        if !rights.write(scope) {
            return Err(forbidden());
        }
        listed.push(match whose.named_scope() {
            Some(_) => item.get().to_owned(),
            None => with_scope_member(item, whose, scope)?,
        });
    }
    Ok(format!("[{}]", listed.join(",")))
}
