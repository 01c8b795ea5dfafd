//! What differs between two states, object by object and property by property.

use super::past::revision_of_job;
use super::{Database, Error, StateRecord};
use crate::graph::{NameLookup, ORIGIN, ObjectKind, Value};
use crate::store::{ObjectHead, Snapshot, StoreError, read_body, split_classes};
use crate::sync::{ChangeAction, ChangeDetails, PropertyChange};
use std::collections::BTreeMap;

/// Two states of one file.
pub struct StatePair {
    /// The one that changes are told from.
    pub before: Snapshot,
    /// The one that they lead to.
    pub after: Snapshot,
    /// If given, only what this job did (its sequence number).
    job: Option<u32>,
}

const KINDS: [ObjectKind; 2] = [ObjectKind::Entity, ObjectKind::Relationship];

impl Database {
    /// Two states, to be compared.
    ///
    /// # Errors
    ///
    /// If `gc` let go of one of them meanwhile, or the error of reading.
    pub fn state_pair(&self, from: &StateRecord, to: &StateRecord) -> Result<StatePair, Error> {
        let now = self.present_snapshot()?;
        let before = now.newest()?.at_revision(from.revision)?;
        Ok(StatePair { before, after: now.at_revision(to.revision)?, job: None })
    }

    /// The states before and after a job that ended, for what it changed.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchState`] if the history does not reach back to it.
    pub fn states_of_job(&self, id: &str) -> Result<StatePair, Error> {
        let id = self.resolve_job(id)?;
        let now = self.present_snapshot()?;
        let found = self.stored_in(&now, id)?;
        let Some((sequence, _)) = found.filter(|(_, report)| super::past::changed_anything(report))
        else {
            // A job that changed nothing leads from a state to the same one.
            let after = now.newest()?;
            return Ok(StatePair { before: now, after, job: None });
        };
        let oldest = now.oldest_revision()?;
        let made = revision_of_job(&now, sequence)?.filter(|revision| *revision > oldest);
        let Some(revision) = made else {
            return Err(Error::NoSuchState(
                format!(
                    "the history does not reach back to job {id}, so its changes are not known"
                ),
                "`[history] keep` in `tombolo.toml` says how long `gc` keeps them".into(),
            ));
        };
        let before = now.newest()?.at_revision(revision - 1)?;
        Ok(StatePair { before, after: now.at_revision(revision)?, job: Some(sequence) })
    }
}

impl StatePair {
    /// Calls `visit` with every object that differs: entities before relationships, in the order in
    /// which they were first made.
    ///
    /// # Errors
    ///
    /// Errors of reading, and those of `visit`.
    pub fn for_each<E: From<StoreError>>(
        &self,
        mut visit: impl FnMut(ChangeDetails) -> Result<(), E>,
    ) -> Result<(), E> {
        let [a, b] = [&self.before, &self.after].map(|state| state.meta().revision);
        for kind in KINDS {
            for number in self.after.touched(kind, a.min(b) + 1..=a.max(b))?.0 {
                if let Some(change) = self.change(kind, number)? {
                    visit(change)?;
                }
            }
        }
        Ok(())
    }

    /// The change of one object, if it differs.
    fn change(&self, kind: ObjectKind, number: u32) -> Result<Option<ChangeDetails>, StoreError> {
        let after = self.after.head(kind, number)?;
        if let (Some(job), Some(after)) = (self.job, &after)
            && after.job != job
        {
            return Ok(None);
        }
        let after = after.filter(|head| head.end == 0);
        let before = self.before.head(kind, number)?.filter(|head| head.end == 0);
        let (action, head, state) = match (&before, &after) {
            (None, None) => return Ok(None),
            (None, Some(head)) => (ChangeAction::Create, head, &self.after),
            (Some(head), None) => (ChangeAction::Delete, head, &self.before),
            (Some(_), Some(head)) => (ChangeAction::Update, head, &self.after),
        };
        let mut properties = Vec::new();
        if let (Some(before), Some(after)) = (&before, &after) {
            properties = differences(kind, (&self.before, before), (&self.after, after))?;
            let moved = (before.from, before.to) != (after.from, after.to);
            if properties.is_empty() && !moved {
                return Ok(None);
            }
        }
        let ends = match kind {
            ObjectKind::Entity => None,
            ObjectKind::Relationship => {
                let key = |number| {
                    let head = state.head(ObjectKind::Entity, number)?;
                    Ok::<_, StoreError>(head.map(|head| head.key.to_string()))
                };
                key(head.from)?.zip(key(head.to)?)
            }
        };
        Ok(Some(ChangeDetails {
            action,
            kind,
            scope: state.name(head.scope).to_owned(),
            key: state.key_of(kind, head)?,
            type_name: state.name(head.type_name).to_owned(),
            classes: split_classes(state.name(head.class)),
            ends,
            properties,
        }))
    }
}

/// What differs between two versions of an object, by ascending name. The row that made a
/// relationship is no part of what it says.
pub(crate) fn differences(
    kind: ObjectKind,
    (old, before): (&Snapshot, &ObjectHead),
    (new, after): (&Snapshot, &ObjectHead),
) -> Result<Vec<PropertyChange>, StoreError> {
    let mut all = Vec::new();
    let text = |text: &str| Some(Value::Text(text.to_owned().into()));
    if before.class != after.class {
        let list = |state: &Snapshot, class| match kind {
            ObjectKind::Relationship => text(state.name(class)),
            ObjectKind::Entity => {
                let classes = split_classes(state.name(class)).into_iter();
                Some(Value::List(classes.map(|class| Value::Text(class.into())).collect()))
            }
        };
        let (before, after) = (list(old, before.class), list(new, after.class));
        all.push(PropertyChange { name: "_class".into(), before, after });
    }
    if before.type_name != after.type_name {
        let (before, after) = (text(old.name(before.type_name)), text(new.name(after.type_name)));
        all.push(PropertyChange { name: "_type".into(), before, after });
    }
    let shown = |display: &Option<Box<str>>| display.as_deref().and_then(text);
    if before.display != after.display {
        let (before, after) = (shown(&before.display), shown(&after.display));
        all.push(PropertyChange { name: "displayName".into(), before, after });
    }
    if (before.block, before.slot) != (after.block, after.slot) {
        let (was, is) = (old.body_record(kind, before)?, new.body_record(kind, after)?);
        if was != is {
            body_differences(new, &was, &is, &mut all)?;
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn body_differences(
    names: &Snapshot,
    was: &[u8],
    is: &[u8],
    all: &mut Vec<PropertyChange>,
) -> Result<(), StoreError> {
    let read = |record| {
        read_body(record).ok_or_else(|| StoreError::corrupt("bodies", &[], "record makes no sense"))
    };
    let ((was, raw_before), (is, raw_after)) = (read(was)?, read(is)?);
    let mut both: BTreeMap<u32, [Option<Value<'_>>; 2]> = BTreeMap::new();
    for (side, properties) in [was, is].into_iter().enumerate() {
        for (name, value) in properties {
            both.entry(name).or_default()[side] = Some(value);
        }
    }
    for (name, [before, after]) in both {
        if before == after {
            continue;
        }
        let name = names.with_name(name, str::to_owned)?;
        if name != ORIGIN {
            let [before, after] = [before, after].map(|value| value.map(Value::into_owned));
            // A text of `displayName` is in the head; anything else that is called so is here.
            match all.iter_mut().find(|change| change.name == name) {
                Some(change) => {
                    change.before = change.before.take().or(before);
                    change.after = change.after.take().or(after);
                }
                None => all.push(PropertyChange { name, before, after }),
            }
        }
    }
    if raw_before != raw_after {
        // It may be large, and nobody compares it by eye.
        let told =
            |raw: Option<&str>| raw.map(|raw| Value::Text(format!("({} bytes)", raw.len()).into()));
        let (before, after) = (told(raw_before), told(raw_after));
        all.push(PropertyChange { name: "_rawData".into(), before, after });
    }
    Ok(())
}

/// The names that a state has.
#[derive(Default)]
pub(crate) struct StateWords {
    pub scopes: Vec<String>,
    pub classes: Vec<String>,
    pub types: Vec<String>,
}

impl StatePair {
    /// The names of one sort that either state has.
    pub(crate) fn known_words(
        &self,
        take: impl Fn(StateWords) -> Vec<String>,
    ) -> Result<Vec<String>, StoreError> {
        let mut known = Vec::new();
        for state in [&self.before, &self.after] {
            let mut words = StateWords::default();
            for (scope, row) in state.scope_rows()? {
                words.scopes.push(state.name(scope).to_owned());
                for counts in &row.counts {
                    let types = counts.types.keys().map(|name| state.name(*name).to_owned());
                    words.types.extend(types);
                    let classes = counts.classes.keys().map(|name| state.name(*name));
                    words.classes.extend(classes.flat_map(split_classes));
                }
            }
            known.extend(take(words));
        }
        known.sort_unstable();
        known.dedup();
        Ok(known)
    }
}
