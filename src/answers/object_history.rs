//! The history of one object: its versions, each with the job that made it and what it changed.

use super::{AnswerAdvice, AnswerDocument, AnswerError, QuestionContext};
use crate::db::{Error, differences};
use crate::graph::{GraphRead, NameLookup, ORIGIN, ObjectId, ObjectKind, RelationshipOrigin};
use crate::store::{ObjectHead, ObjectVersion, Snapshot};
use crate::sync::PropertyChange;
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A question for the history of an entity or a relationship.
#[derive(Clone, Debug)]
pub struct ObjectHistoryRequest {
    /// An entity by name, or a relationship by its key, `SCOPE::KEY` or `_id`.
    pub object: String,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionEvent {
    /// It was made.
    Created,
    /// The oldest version that the file still knows.
    Known,
    /// It changed.
    Updated,
    /// It was deleted.
    Deleted,
    /// It came back.
    Returned,
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct VersionEntry {
    /// What made it.
    pub event: VersionEvent,
    /// `_version`.
    pub version: u32,
    /// The time, in epoch milliseconds; as text in UTC in JSON.
    #[serde(serialize_with = "time_text")]
    pub time: i64,
    /// The job.
    pub job: Uuid,
    /// The source of that job.
    pub source: String,
    /// Of a relationship that a mapping made: the row behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<RelationshipOrigin>,
    /// What differs from the version before, by ascending name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<PropertyChange>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn time_text<S: Serializer>(time: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&super::rfc3339_text(*time))
}

/// The history of an object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ObjectHistoryAnswer {
    /// `entity` or `relationship`.
    pub kind: &'static str,
    /// Its scope.
    pub scope: String,
    /// Its key.
    pub key: String,
    /// Its type, now.
    #[serde(rename = "type")]
    pub type_name: String,
    /// True if it is there now.
    pub live: bool,
    /// The versions, oldest first.
    pub versions: Vec<VersionEntry>,
    /// True if the first version is that which made it.
    pub complete: bool,
}

impl AnswerDocument for ObjectHistoryAnswer {}

impl ObjectHistoryRequest {
    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A name that nothing has or had, or the error of reading.
    pub fn ask(&self, context: &QuestionContext<'_>) -> Result<ObjectHistoryAnswer, AnswerError> {
        let newest = context.snapshot.newest()?;
        let (kind, number) = find_object(context, &newest, &self.object)?;
        let versions = newest.versions(kind, number)?;
        let Some(ObjectVersion { head: last, .. }) = versions.last() else {
            return Err(AnswerError::inconsistent(format_args!("object {number} is missing")));
        };
        let mut entries: Vec<VersionEntry> = Vec::with_capacity(versions.len());
        let mut before: Option<&ObjectHead> = None;
        for ObjectVersion { head, .. } in &versions {
            context.meter.work(1)?;
            entries.push(entry(&newest, kind, before, head)?);
            before = Some(head);
        }
        Ok(ObjectHistoryAnswer {
            kind: match kind {
                ObjectKind::Entity => "entity",
                ObjectKind::Relationship => "relationship",
            },
            scope: newest.name(last.scope).to_owned(),
            key: newest.key_of(kind, last)?,
            type_name: newest.name(last.type_name).to_owned(),
            live: last.end == 0,
            complete: entries.first().is_some_and(|first| first.event == VersionEvent::Created),
            versions: entries,
        })
    }
}

fn entry(
    snapshot: &Snapshot,
    kind: ObjectKind,
    before: Option<&ObjectHead>,
    head: &ObjectHead,
) -> Result<VersionEntry, AnswerError> {
    let event = match (before.map(|before| before.end == 0), head.end == 0) {
        (None, true) if head.version == 1 => VersionEvent::Created,
        (None, _) => VersionEvent::Known,
        (Some(true), false) => VersionEvent::Deleted,
        (Some(false), true) => VersionEvent::Returned,
        (Some(_), _) => VersionEvent::Updated,
    };
    let properties = match before {
        Some(before) if event != VersionEvent::Deleted => {
            differences(kind, (snapshot, before), (snapshot, head))?
        }
        _ => Vec::new(),
    };
    let (job, source) = match snapshot.job(head.job)? {
        Some(row) => (row.id, row.source),
        None => (Uuid::nil(), String::new()),
    };
    let origin = match kind {
        ObjectKind::Entity => None,
        ObjectKind::Relationship => snapshot
            .property_of(kind, head, ORIGIN)?
            .and_then(|value| RelationshipOrigin::from_text(value.as_str()?)),
    };
    let time = if head.end == 0 { head.begin } else { head.end };
    Ok(VersionEntry { event, version: head.version, time, job, source, origin, properties })
}

/// The object of a name, dead or alive.
fn find_object(
    context: &QuestionContext<'_>,
    snapshot: &Snapshot,
    name: &str,
) -> Result<(ObjectKind, u32), AnswerError> {
    let unknown = match context.database.find_entity(snapshot, name) {
        Ok(number) => return Ok((ObjectKind::Entity, number)),
        Err(error @ Error::UnknownEntity(..)) => error,
        Err(error) => return Err(error.into()),
    };
    for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
        let found = match ObjectId::parse(name) {
            Some(id) => snapshot.number_of(kind, id)?.into_iter().collect(),
            None => named(snapshot, kind, name)?,
        };
        match found.as_slice() {
            [] => {}
            [number] => return Ok((kind, *number)),
            many => {
                let message = format!("{} {} are called `{name}`", many.len(), kind.plural());
                let hint = "name the scope as well: SCOPE::KEY".to_owned();
                return Err(AnswerError::invalid(message).advise(AnswerAdvice::Words(hint)));
            }
        }
    }
    Err(unknown.into())
}

/// The objects of a kind with a key, in the scope that stands before `::` or in any.
fn named(snapshot: &Snapshot, kind: ObjectKind, name: &str) -> Result<Vec<u32>, AnswerError> {
    let mut found = Vec::new();
    for (scope, _) in snapshot.scope_rows()? {
        let text = snapshot.name(scope).to_owned();
        let own = name.strip_prefix(&text).and_then(|rest| rest.strip_prefix("::"));
        for key in [Some(name), own].into_iter().flatten() {
            let id = ObjectId::new(kind, &text, key);
            found.extend(snapshot.find(kind, scope, id)?.map(|entry| entry.number));
        }
    }
    Ok(found)
}
