//! Names for numbers: reads the heads of the entities and relationships in an answer.

use super::AnswerError;
use super::walk_step::WalkStep;
use crate::graph::{
    EntityHead, GraphRead, NameLookup, ObjectId, ObjectKind, default_relationship_key,
};
use crate::store::{ObjectHead, RelationshipLabel, Snapshot};
use rustc_hash::FxHashMap;
use serde::Serialize;

/// A relationship in an answer: everything but its properties.
#[derive(Clone, Debug, Serialize)]
pub struct RelationshipHead {
    /// `_id`.
    #[serde(rename = "_id")]
    pub id: String,
    /// `_key`.
    #[serde(rename = "_key")]
    pub key: String,
    /// `_type`.
    #[serde(rename = "_type")]
    pub type_name: String,
    /// `_class`: the verb.
    #[serde(rename = "_class")]
    pub class: String,
    /// `_scope`: the scope of the job that owns it.
    #[serde(rename = "_scope")]
    pub scope: String,
    /// Its number.
    #[serde(skip)]
    pub number: u32,
    /// Number of the entity it starts at.
    #[serde(skip)]
    pub from: u32,
    /// Number of the entity it ends at.
    #[serde(skip)]
    pub to: u32,
}

/// Returns the word of answers for a step with the arrow of its relationship (`out`) or against it
/// (`in`).
pub const fn direction(with_arrow: bool) -> &'static str {
    if with_arrow { "out" } else { "in" }
}

/// Returns the name that people use for an entity: its `displayName`, if that says more than its
/// key.
pub fn display<'a>(name: Option<&'a str>, key: &str) -> Option<&'a str> {
    name.filter(|name| *name != key && !name.trim().is_empty())
}

/// Returns name and key as plain text, for a cell of a table or a drawing.
pub fn label(name: Option<&str>, key: &str) -> String {
    match display(name, key) {
        Some(name) => format!("{name} ({key})"),
        None => key.to_owned(),
    }
}

/// About the bytes that the names of one entity take, or those of one relationship.
pub(super) const NAMED_BYTES: u64 = 400;

/// Reads the head of an entity; its number comes from the graph, so a missing one is damage.
pub fn entity(snapshot: &Snapshot, number: u32) -> Result<EntityHead, AnswerError> {
    snapshot
        .entity_head(number)?
        .ok_or_else(|| AnswerError::inconsistent(format_args!("entity number {number} is missing")))
}

fn link_head(snapshot: &Snapshot, number: u32) -> Result<ObjectHead, AnswerError> {
    snapshot.head(ObjectKind::Relationship, number)?.ok_or_else(|| {
        AnswerError::inconsistent(format_args!("relationship number {number} is missing"))
    })
}

/// Reads the head of a relationship; its number comes from the graph, so a missing one is damage.
pub fn relationship(snapshot: &Snapshot, number: u32) -> Result<RelationshipHead, AnswerError> {
    let head = link_head(snapshot, number)?;
    let key = snapshot.relationship_key(&head)?;
    Ok(named(snapshot, number, &RelationshipLabel::of(&head), key, (head.from, head.to)))
}

fn named(
    snapshot: &Snapshot,
    number: u32,
    label: &RelationshipLabel,
    key: String,
    (from, to): (u32, u32),
) -> RelationshipHead {
    let scope = snapshot.name(label.scope).to_owned();
    RelationshipHead {
        // The id follows from scope and key, so it is computed and not read.
        id: ObjectId::new(ObjectKind::Relationship, &scope, &key).to_string(),
        key,
        type_name: snapshot.name(label.type_name).to_owned(),
        class: snapshot.name(label.verb).to_owned(),
        scope,
        number,
        from,
        to,
    }
}

/// Reads the heads of many relationships and returns them in the order asked for. They are read in
/// number order, so that each block of the file is read once.
pub fn relationships(
    snapshot: &Snapshot,
    numbers: &[u32],
) -> Result<Vec<RelationshipHead>, AnswerError> {
    in_number_order(numbers, |number| relationship(snapshot, number))
}

/// Names the relationships of steps between entities whose keys are known. Most are named by their
/// labels, so that their heads are not read.
pub(super) fn links_of<'s>(
    snapshot: &Snapshot,
    steps: impl IntoIterator<Item = &'s WalkStep>,
    keys: &FxHashMap<u32, &str>,
) -> Result<Vec<RelationshipHead>, AnswerError> {
    let mut links = Vec::new();
    let mut unnamed = Vec::new();
    for (at, step) in steps.into_iter().enumerate() {
        let (from, to) = step.ends();
        // Only a key that is made from the ends and the verb can be made again here.
        let label = snapshot.labels().get(step.label).filter(|label| label.derived_key);
        match (label, keys.get(&from), keys.get(&to)) {
            (Some(label), Some(from_key), Some(to_key)) => {
                let key = default_relationship_key(from_key, snapshot.name(label.verb), to_key);
                let number = step.relationship;
                links.push((at, named(snapshot, number, label, key, (from, to))));
            }
            _ => unnamed.push((at, step.relationship)),
        }
    }
    let numbers: Vec<u32> = unnamed.iter().map(|(_, number)| *number).collect();
    let others = self::relationships(snapshot, &numbers)?;
    links.extend(unnamed.into_iter().map(|(at, _)| at).zip(others));
    // Both ways of naming give back the order of the steps.
    links.sort_unstable_by_key(|(at, _)| *at);
    Ok(links.into_iter().map(|(_, link)| link).collect())
}

/// Reads the heads of many entities in number order, and returns them in the order asked for.
pub fn entities(snapshot: &Snapshot, numbers: &[u32]) -> Result<Vec<EntityHead>, AnswerError> {
    in_number_order(numbers, |number| entity(snapshot, number))
}

fn in_number_order<T>(
    numbers: &[u32],
    mut read: impl FnMut(u32) -> Result<T, AnswerError>,
) -> Result<Vec<T>, AnswerError> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_unstable_by_key(|&i| numbers[i]);
    let mut found: Vec<Option<T>> = numbers.iter().map(|_| None).collect();
    for i in order {
        found[i] = Some(read(numbers[i])?);
    }
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_before_its_key_and_alone_where_they_are_one() {
        assert_eq!(label(Some("Alice"), "k"), "Alice (k)");
        assert_eq!(label(Some("k"), "k"), "k");
        assert_eq!(label(Some("  "), "k"), "k");
        assert_eq!(label(None, "k"), "k");
    }

    #[test]
    fn answers_come_in_the_order_asked_for() {
        let mut read = Vec::new();
        let found = in_number_order(&[7, 3, 5], |number| {
            read.push(number);
            Ok(number * 10)
        });
        assert_eq!(found.ok(), Some(vec![70, 30, 50]));
        assert_eq!(read, [3, 5, 7]);
    }
}
