//! Everything known about one entity: its properties and its relationships.

use super::heads::{self, RelationshipHead};
use super::{AnswerDocument, AnswerError, QuestionContext};
use crate::graph::{
    AdjacencyRead, EdgeDirection, Entity, EntityHead, GraphRead, NameLookup, ObjectKind, Value,
};
use crate::limits::CostMeter;
use crate::store::Snapshot;
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::ser::{SerializeSeq, SerializeStruct, Serializer};
use std::cell::RefCell;

/// A question for everything known about one entity.
#[derive(Clone, Debug)]
pub struct EntityRequest {
    /// The entity, by name.
    pub entity: String,
}

impl EntityRequest {
    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A name that nothing has, a limit, or the error of reading.
    pub fn ask<'a>(&self, context: &QuestionContext<'a>) -> Result<EntityAnswer<'a>, AnswerError> {
        let QuestionContext { database, snapshot, meter, .. } = *context;
        let number = database.find_entity(snapshot, &self.entity)?;
        let entity = snapshot.entity(number)?.ok_or_else(|| {
            AnswerError::inconsistent(format_args!("entity number {number} is missing"))
        })?;
        let near = sorted_neighbors(snapshot, meter, number)?;
        let scope = snapshot.name_number(&entity.scope);
        let pinned = match scope {
            Some(scope) => snapshot.pinned(scope, snapshot.hashed(entity.id))?,
            None => Vec::new(),
        };
        Ok(EntityAnswer { snapshot, entity, pinned, near, fault: RefCell::new(None) })
    }
}

/// An entity, and its relationships, which are named only as they are written: an entity may have a
/// million.
pub struct EntityAnswer<'a> {
    snapshot: &'a Snapshot,
    /// The entity.
    pub entity: Entity,
    /// Its properties that an OVERRIDE job pinned, whatever its collector says.
    pub pinned: Vec<(String, Value<'static>)>,
    /// Its relationships, in the order in which they are shown.
    pub near: Vec<NeighborRank>,
    /// The error that stopped the naming.
    fault: RefCell<Option<AnswerError>>,
}

impl EntityAnswer<'_> {
    /// Reads the names of some of its relationships and of the entities at their other ends.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn named(&self, near: &[NeighborRank]) -> Result<Vec<NeighborEntity>, AnswerError> {
        named(self.snapshot, near)
    }
}

impl Serialize for EntityAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Entity", 2)?;
        document.serialize_field("entity", &self.entity)?;
        if !self.pinned.is_empty() {
            let names: Vec<&str> = self.pinned.iter().map(|(name, _)| name.as_str()).collect();
            document.serialize_field("pinned", &names)?;
        }
        document.serialize_field("relationships", &NeighborList(self))?;
        document.end()
    }
}

impl AnswerDocument for EntityAnswer<'_> {
    fn fault(&self) -> Option<AnswerError> {
        self.fault.borrow_mut().take()
    }
}

/// The relationships of an answer.
struct NeighborList<'a>(&'a EntityAnswer<'a>);

impl Serialize for NeighborList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answer = self.0;
        let mut all = serializer.serialize_seq(Some(answer.near.len()))?;
        for some in answer.near.chunks(NAMED_AT_ONCE) {
            let named = answer.named(some).map_err(|error| {
                *answer.fault.borrow_mut() = Some(error);
                serde::ser::Error::custom("a relationship cannot be named")
            })?;
            named.iter().try_for_each(|neighbour| all.serialize_element(neighbour))?;
        }
        all.end()
    }
}

/// One relationship of an entity, and the entity at its other end.
#[derive(Serialize)]
pub struct NeighborEntity {
    /// `out` where the relationship begins at the entity, else `in`.
    pub direction: &'static str,
    /// The relationship.
    pub relationship: RelationshipHead,
    /// The entity at its other end.
    pub entity: EntityHead,
}

/// A relationship of an entity, with the keys that sort it among the others. Names are given by
/// their rank in the order of names, so that a million relationships take some tens of megabytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct NeighborRank {
    back: bool,
    class: u32,
    type_name: u32,
    scope: u32,
    key: Box<str>,
    relationship: u32,
    other: u32,
}

impl NeighborRank {
    /// True if the relationship points to the entity that the question is about.
    pub fn points_back(&self) -> bool {
        self.back
    }

    /// True if both relationships have one direction and verb.
    pub fn same_way(&self, other: &NeighborRank) -> bool {
        (self.back, self.class) == (other.back, other.class)
    }

    /// True if both relationships have one direction and verb, and lead to entities of one type and
    /// scope.
    pub fn alike(&self, other: &NeighborRank) -> bool {
        (self.back, self.class, self.type_name, self.scope)
            == (other.back, other.class, other.type_name, other.scope)
    }
}

/// Reads the relationships of an entity, in the order in which they are shown.
fn sorted_neighbors(
    snapshot: &Snapshot,
    meter: &CostMeter,
    number: u32,
) -> Result<Vec<NeighborRank>, AnswerError> {
    let mut edges = Vec::new();
    for direction in [EdgeDirection::Out, EdgeDirection::In] {
        snapshot.for_each_edge(number, direction, |edge| {
            edges.push((edge.other, edge.relationship, edge.verb, direction == EdgeDirection::In));
        })?;
    }
    meter.hold(
        (edges.len() * (size_of::<NeighborRank>() + size_of::<(u32, u32, u32, bool)>())) as u64,
    )?;
    let rank = name_ranks(snapshot);
    let rank = |name: u32| rank.get(&name).copied().unwrap_or(u32::MAX);
    // Heads are read in the order of their numbers, so that each block of the file is read once.
    edges.sort_unstable();
    let mut all = Vec::with_capacity(edges.len());
    for (other, relationship, verb, back) in edges {
        meter.work(1)?;
        let missing =
            || AnswerError::inconsistent(format_args!("entity number {other} is missing"));
        let head = snapshot.head(ObjectKind::Entity, other)?.ok_or_else(missing)?;
        meter.hold(head.key.len() as u64 + 16)?;
        all.push(NeighborRank {
            back,
            class: rank(verb),
            type_name: rank(head.type_name),
            scope: rank(head.scope),
            key: head.key,
            relationship,
            other,
        });
    }
    // The order of the fields of a row is the order of the answer.
    all.sort_unstable();
    Ok(all)
}

/// Returns the rank of each name, by number, in the order of names.
fn name_ranks(snapshot: &Snapshot) -> FxHashMap<u32, u32> {
    let mut order: Vec<(String, u32)> = Vec::new();
    snapshot.for_each_name(&mut |number, name| order.push((name.to_owned(), number)));
    order.sort_unstable();
    order.into_iter().map(|(_, number)| number).zip(0..).collect()
}

/// Relationships that are named together: many of them are neighbours in the file.
const NAMED_AT_ONCE: usize = 4_096;

/// Reads the names of these relationships and of the entities at their other ends.
fn named(snapshot: &Snapshot, near: &[NeighborRank]) -> Result<Vec<NeighborEntity>, AnswerError> {
    let relationships: Vec<u32> = near.iter().map(|near| near.relationship).collect();
    let others: Vec<u32> = near.iter().map(|near| near.other).collect();
    let links = heads::relationships(snapshot, &relationships)?;
    let entities = heads::entities(snapshot, &others)?;
    let each = near.iter().zip(links.into_iter().zip(entities));
    Ok(each
        .map(|(near, (relationship, entity))| NeighborEntity {
            direction: if near.back { "in" } else { "out" },
            relationship,
            entity,
        })
        .collect())
}
