//! The changes of a plan with names and values: what an object is before and after.
//!
//! A plan names objects by numbers and hashes, which is enough to apply it. People ask which
//! entities change and what of them. Contents are read one object at a time, so that memory does
//! not grow with the plan.

use super::change::{ChangeAction, ObjectChange, SyncPlan};
use crate::graph::{IdHash, NameLookup, ORIGIN, ObjectKind, Value};
use crate::store::staging::StagedObject;
use crate::store::{ByteCursor, Snapshot, StoreError, split_classes, take_value};
use crate::sync::SyncError;
use crate::sync::compare::{ContentReader, MergedContents};
use crate::sync::stage::StagedUploads;
use serde::{Serialize, Serializer};

/// A change of one object, with what is different.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChangeDetails {
    /// What happens to it: `create`, `update` or `delete`.
    #[serde(serialize_with = "action_name")]
    pub action: ChangeAction,
    /// Entity or relationship.
    #[serde(serialize_with = "kind_name")]
    pub kind: ObjectKind,
    /// Its scope.
    pub scope: String,
    /// `_key`.
    pub key: String,
    /// `_type`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// `_class`: all classes of an entity, or the verb of a relationship.
    pub classes: Vec<String>,
    /// `_key`s of the ends of a relationship.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<(String, String)>,
    /// What differs, by ascending name. Only an update has any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<PropertyChange>,
}

/// A property that differs. `_type`, `_class` and `_rawData` count as properties here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PropertyChange {
    /// Its name.
    pub name: String,
    /// Its value before; left out if it had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value<'static>>,
    /// Its value after; left out if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value<'static>>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn action_name<S: Serializer>(action: &ChangeAction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match action {
        ChangeAction::Create | ChangeAction::Revive => "create",
        ChangeAction::Update => "update",
        ChangeAction::Delete => "delete",
    })
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn kind_name<S: Serializer>(kind: &ObjectKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match kind {
        ObjectKind::Entity => "entity",
        ObjectKind::Relationship => "relationship",
    })
}

/// Calls `visit` with each change of a plan: job by job, entities before relationships; what is
/// new or changed in the order of the upload, then what is deleted.
///
/// # Errors
///
/// Errors of reading, and those of `visit`.
pub fn describe<E: From<SyncError>>(
    snapshot: &Snapshot,
    uploads: &StagedUploads,
    plan: &SyncPlan,
    visit: &mut dyn FnMut(ChangeDetails) -> Result<(), E>,
) -> Result<(), E> {
    let described = PlanDescription { snapshot, uploads, plan };
    for (at, job) in plan.jobs.iter().enumerate() {
        let scope = &job.spec.scope;
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            let changes = &plan.changes[kind as usize];
            for bucket in 0..changes.count() {
                let mut some = changes.load(bucket).map_err(SyncError::from)?;
                some.retain(|change| change.job as usize == at);
                some.sort_unstable_by_key(|change| change.place.order());
                for change in some {
                    visit(described.change(kind, scope, &change)?)?;
                }
            }
            described.deletions(kind, scope, &job.deletes[kind as usize], visit)?;
        }
    }
    for (scope, changes) in &plan.foreign {
        let scope = snapshot.name(*scope).to_owned();
        described.deletions(ObjectKind::Relationship, &scope, changes, visit)?;
    }
    Ok(())
}

struct PlanDescription<'p> {
    snapshot: &'p Snapshot,
    uploads: &'p StagedUploads,
    plan: &'p SyncPlan,
}

impl PlanDescription<'_> {
    fn deletions<E: From<SyncError>>(
        &self,
        kind: ObjectKind,
        scope: &str,
        deletes: &[ObjectChange],
        visit: &mut dyn FnMut(ChangeDetails) -> Result<(), E>,
    ) -> Result<(), E> {
        // In the order in which they were made, which is that of an earlier upload.
        let mut deletes: Vec<&ObjectChange> = deletes.iter().collect();
        deletes.sort_unstable_by_key(|change| change.number);
        for change in deletes {
            visit(self.change(kind, scope, change)?)?;
        }
        Ok(())
    }

    fn change(
        &self,
        kind: ObjectKind,
        scope: &str,
        change: &ObjectChange,
    ) -> Result<ChangeDetails, SyncError> {
        let uploaded = ContentReader { snapshot: self.snapshot, stage: self.uploads.stage() };
        let before = match change.action {
            ChangeAction::Update | ChangeAction::Delete => {
                Some(uploaded.stored(kind, change.number)?)
            }
            ChangeAction::Create | ChangeAction::Revive => None,
        };
        let (after, mut key, mut ends) = match change.action {
            ChangeAction::Delete => (None, String::new(), None),
            _ => {
                let stage = if change.place.merged { &self.plan.merged } else { uploaded.stage };
                let reader = ContentReader { snapshot: self.snapshot, stage };
                let staged = staged(change);
                let (key, ends) = reader.with_record(kind, &staged, |record, names| {
                    let ends = record.ends().map(|end| end.into_owned());
                    (record.full_key(kind, names), ends)
                })?;
                let [from, to] = ends;
                (Some(reader.uploaded(kind, &staged)?), key, Some((from, to)))
            }
        };
        if key.is_empty() || change.action == ChangeAction::Delete {
            let head = uploaded.stored_head(kind, change.number)?;
            key = self.snapshot.key_of(kind, &head)?;
        }
        if kind == ObjectKind::Entity {
            ends = None;
        } else if change.action == ChangeAction::Delete {
            ends = self.stored_ends(change.number)?;
        } else if let Some((from, to)) = &mut ends {
            // An end that was given by its id alone.
            for (end, number) in [(from, change.ends.0), (to, change.ends.1)] {
                if end.starts_with('\0') {
                    *end = self.entity_key(number)?.unwrap_or_else(|| end.split_off(1));
                }
            }
        }
        let shown = after.as_ref().or(before.as_ref()).ok_or_else(SyncError::damaged_stage)?;
        let (type_name, classes) = (shown.type_name.clone(), split_classes(&shown.class));
        let properties = match (&before, &after) {
            (Some(before), Some(after)) => differences(before, after)?,
            _ => Vec::new(),
        };
        let (action, scope) = (change.action, scope.to_owned());
        Ok(ChangeDetails { action, kind, scope, key, type_name, classes, ends, properties })
    }

    fn stored_ends(&self, number: u32) -> Result<Option<(String, String)>, StoreError> {
        let Some(head) = self.snapshot.head(ObjectKind::Relationship, number)? else {
            return Ok(None);
        };
        Ok(self.entity_key(head.from)?.zip(self.entity_key(head.to)?))
    }

    fn entity_key(&self, number: u32) -> Result<Option<String>, StoreError> {
        let head = self.snapshot.head(ObjectKind::Entity, number)?;
        Ok(head.map(|head| head.key.to_string()))
    }
}

/// The place of the new contents of a change, as the stage has it.
fn staged(change: &ObjectChange) -> StagedObject {
    let place = change.place;
    StagedObject {
        id: IdHash(0),
        spelling: 0,
        scope: 0,
        type_name: 0,
        frame: place.frame,
        offset: place.offset,
        len: place.len,
    }
}

/// What differs between contents, by ascending name.
fn differences(
    before: &MergedContents,
    after: &MergedContents,
) -> Result<Vec<PropertyChange>, SyncError> {
    let mut all = Vec::new();
    let text = |text: &str| Some(Value::Text(text.to_owned().into()));
    if before.class != after.class {
        let list = |set: &str| {
            let classes = split_classes(set).into_iter();
            Some(Value::List(classes.map(|class| Value::Text(class.into())).collect()))
        };
        let (before, after) = (list(&before.class), list(&after.class));
        all.push(PropertyChange { name: "_class".into(), before, after });
    }
    if before.raw_data != after.raw_data {
        // It may be large, and nobody compares it by eye.
        let told = |raw: &Option<String>| {
            raw.as_ref().and_then(|raw| text(&format!("({} bytes)", raw.len())))
        };
        let (before, after) = (told(&before.raw_data), told(&after.raw_data));
        all.push(PropertyChange { name: "_rawData".into(), before, after });
    }
    if before.type_name != after.type_name {
        let (before, after) = (text(&before.type_name), text(&after.type_name));
        all.push(PropertyChange { name: "_type".into(), before, after });
    }
    let (mut old, mut new) =
        (before.properties.iter().peekable(), after.properties.iter().peekable());
    let value = |bytes: Option<&(String, Vec<u8>)>| match bytes {
        None => Ok(None),
        Some((_, bytes)) => take_value(&mut ByteCursor(bytes))
            .map(|value| Some(value.into_owned()))
            .ok_or_else(SyncError::damaged_stage),
    };
    loop {
        let name = match (old.peek(), new.peek()) {
            (None, None) => return Ok(all),
            (Some((name, _)), None) | (None, Some((name, _))) => name.clone(),
            (Some((a, _)), Some((b, _))) => a.min(b).clone(),
        };
        let (was, is) = (old.next_if(|p| p.0 == name), new.next_if(|p| p.0 == name));
        // The row that made a relationship is no part of what it says.
        if was.map(|p| &p.1) != is.map(|p| &p.1) && name != ORIGIN {
            all.push(PropertyChange { name, before: value(was)?, after: value(is)? });
        }
    }
}
