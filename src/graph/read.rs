//! The trait that reads: how everything above the store sees a graph.
//!
//! A snapshot of the database file and the memory model of the tests both implement it, so
//! queries, views and mappings never name the store.

use super::{Entity, EntityHead, ObjectId, Relationship, Value};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// One of the two ways along a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EdgeDirection {
    /// With the arrow: from the entity to what its relationships point at.
    Out = 0,
    /// Against the arrow.
    In = 1,
}

/// One live relationship as seen from one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentEdge {
    /// Number of the entity at the other end.
    pub other: u32,
    /// The class of the relationship, as a number of [`NameLookup::name`].
    pub verb: u32,
    /// Number of the relationship.
    pub relationship: u32,
    /// Number of its label. By it, the graph that showed the edge tells more of the edge without
    /// looking it up. [`IncidentEdge::UNLABELLED`] if there is none.
    pub label: u32,
}

impl IncidentEdge {
    /// The label of edges of graphs that have no labels.
    pub const UNLABELLED: u32 = u32::MAX;
}

/// The neighbourhood of entities, by dense number: all that a walk needs.
///
/// Only live relationships are visible. The order of the edges of one entity is stable for one
/// snapshot.
pub trait AdjacencyRead {
    /// The error of reading; `Infallible` for graphs in memory.
    type Error;

    /// One more than the largest entity number, for arrays indexed by it.
    fn entity_bound(&self) -> u32;

    /// Calls `visit` for each live edge of `entity` in `direction`.
    fn for_each_edge(
        &self,
        entity: u32,
        direction: EdgeDirection,
        visit: impl FnMut(IncidentEdge),
    ) -> Result<(), Self::Error>;

    /// An estimate of the number of relationships, to make room for them; the real number is not
    /// much larger.
    fn relationships_expected(&self) -> usize {
        0
    }

    /// Calls `out` for each live edge with its arrow and `into` for each against it, each with the
    /// entity it is seen from, by ascending entity and in the order of
    /// [`AdjacencyRead::for_each_edge`]. The two may be called on two threads.
    fn for_each_edge_both_ways(
        &self,
        mut out: impl FnMut(u32, IncidentEdge) + Send,
        mut into: impl FnMut(u32, IncidentEdge) + Send,
    ) -> Result<(), Self::Error> {
        let all = 0..self.entity_bound();
        all.clone().try_for_each(|entity| {
            self.for_each_edge(entity, EdgeDirection::Out, |edge| out(entity, edge))
        })?;
        all.into_iter().try_for_each(|entity| {
            self.for_each_edge(entity, EdgeDirection::In, |edge| into(entity, edge))
        })
    }
}

/// Numbers of words: the names of scopes, types, class sets and verbs.
pub trait NameLookup {
    /// The text of a number that this graph gave out.
    fn name(&self, number: u32) -> &str;
    /// The number of a text, if this graph uses it anywhere.
    fn name_number(&self, text: &str) -> Option<u32>;
    /// Calls `visit` with each name and its number, in any order, used or not.
    fn for_each_name(&self, visit: &mut dyn FnMut(u32, &str));
}

/// The separator of classes in the name of a class set. No class can hold a control character.
pub const CLASS_SEPARATOR: char = '\u{1f}';

/// The names of an entity as numbers of [`NameLookup::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntityFacts {
    /// `_scope`.
    pub scope: u32,
    /// `_type`.
    pub type_name: u32,
    /// `_class`: its name is all classes, in the order given, with [`CLASS_SEPARATOR`] between.
    pub classes: u32,
    /// False for a tombstone.
    pub live: bool,
}

/// Numbers of live objects in a scope, by names as numbers of [`NameLookup::name`]. A name without any
/// is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeCounts {
    /// `_scope`.
    pub scope: u32,
    /// Live entities.
    pub entities: u64,
    /// Live entities by type.
    pub types: BTreeMap<u32, u64>,
    /// Live entities by class set, see [`EntityFacts::classes`].
    pub classes: BTreeMap<u32, u64>,
    /// Live relationships by verb, for estimates; may be empty.
    pub verbs: BTreeMap<u32, u64>,
}

/// A value of a property as a reader tells it of many objects at once: as much as it knows without
/// making the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PropertyCell {
    /// The object has no such property.
    Absent,
    /// A value that equals another one of the same dictionary if their codes are equal, and only then.
    /// A dictionary is of one property, for as long as the reader lives.
    Coded {
        /// The dictionary.
        dictionary: u64,
        /// The entry.
        code: u32,
    },
    /// A number: `scaled` divided by 10 for each decimal.
    Number {
        /// The number without its decimal point.
        scaled: i64,
        /// Digits behind the decimal point.
        decimals: u8,
        /// True if a whole number is an integer, false if it is a float.
        integer: bool,
    },
    /// A value that has to be read alone.
    Unread,
}

impl PropertyCell {
    /// The value of a number.
    pub fn number(&self) -> Option<Value<'static>> {
        let PropertyCell::Number { scaled, decimals, integer } = *self else { return None };
        let power = 10i64.pow(decimals.into());
        Some(match integer && scaled % power == 0 {
            true => Value::Int(scaled / power),
            false => Value::Float(scaled as f64 / power as f64),
        })
    }
}

/// A reader of one consistent state of the graph.
///
/// Some methods have a slow default, made of the others; a reader that knows a faster way gives the
/// same answer.
pub trait GraphRead: AdjacencyRead + NameLookup {
    /// The entity with this number, tombstones included.
    fn entity(&self, number: u32) -> Result<Option<Entity>, Self::Error>;
    /// The names of an entity alone, tombstones included: the cheapest way to tell what it is.
    fn entity_facts(&self, number: u32) -> Result<Option<EntityFacts>, Self::Error>;
    /// The entity without its properties, which is much cheaper.
    fn entity_head(&self, number: u32) -> Result<Option<EntityHead>, Self::Error>;
    /// The number of the entity or relationship with this `_id`, tombstones included.
    fn number_of(&self, kind: super::ObjectKind, id: ObjectId) -> Result<Option<u32>, Self::Error>;
    /// The relationship with this number, tombstones included.
    fn relationship(&self, number: u32) -> Result<Option<Relationship>, Self::Error>;
    /// Numbers of the live entities, ascending, of a type and of a class in any
    /// [spelling](super::same_name), where given.
    fn entities_with(
        &self,
        type_name: Option<&str>,
        class: Option<&str>,
    ) -> Result<Vec<u32>, Self::Error>;
    /// False if nothing has a property of this name; true also if that is unknown.
    fn may_have_property(&self, _name: &str) -> Result<bool, Self::Error> {
        Ok(true)
    }
    /// The scopes that hold anything, in byte order.
    fn scopes(&self) -> Result<Vec<String>, Self::Error>;

    /// The number of the entity with this key in a scope, tombstones included.
    fn entity_keyed(&self, scope: &str, key: &str) -> Result<Option<u32>, Self::Error> {
        let kind = super::ObjectKind::Entity;
        self.number_of(kind, ObjectId::new(kind, scope, key))
    }

    /// Calls `visit` with each live entity, by ascending number, until it breaks off or fails.
    fn scan<S: From<Self::Error>>(
        &self,
        mut visit: impl FnMut(u32, EntityFacts) -> Result<ControlFlow<()>, S>,
    ) -> Result<(), S> {
        for number in 0..self.entity_bound() {
            if let Some(facts) = self.entity_facts(number)?.filter(|facts| facts.live)
                && visit(number, facts)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// Calls `visit` with those live entities of one stretch of numbers that `may` does not refuse by their
    /// names, ascending. The stretch begins at `first`. `may` is asked once of entities that share their
    /// names where the reader knows that they do. Returns the number at which the next stretch begins, or `None` behind the last entity. So a scan can
    /// be left and taken up again; how long a stretch is, the reader says.
    fn scan_stretch(
        &self,
        first: u32,
        mut may: impl FnMut(EntityFacts) -> bool,
        mut visit: impl FnMut(u32, EntityFacts),
    ) -> Result<Option<u32>, Self::Error> {
        /// Entities of a stretch, where nothing else divides them.
        const STRETCH: u32 = 512;
        let bound = self.entity_bound();
        if first >= bound {
            return Ok(None);
        }
        let end = first.saturating_add(STRETCH).min(bound);
        for number in first..end {
            if let Some(facts) = self.entity_facts(number)?.filter(|facts| facts.live)
                && may(facts)
            {
                visit(number, facts);
            }
        }
        Ok(Some(end))
    }

    /// The live objects of each scope that has any, counted exactly, by ascending scope number.
    fn counts(&self) -> Result<Vec<ScopeCounts>, Self::Error> {
        let mut scopes: BTreeMap<u32, ScopeCounts> = BTreeMap::new();
        for number in 0..self.entity_bound() {
            let Some(facts) = self.entity_facts(number)?.filter(|facts| facts.live) else {
                continue;
            };
            let counts = scopes.entry(facts.scope).or_default();
            counts.scope = facts.scope;
            counts.entities += 1;
            *counts.types.entry(facts.type_name).or_default() += 1;
            *counts.classes.entry(facts.classes).or_default() += 1;
            // Counted in the scope where it begins, not in its own: good enough for estimates.
            self.for_each_edge(number, EdgeDirection::Out, |edge| {
                *counts.verbs.entry(edge.verb).or_default() += 1;
            })?;
        }
        Ok(scopes.into_values().collect())
    }

    /// One property of an entity, tombstones included: its own or of the system (`_key`,
    /// `_createdOn` ...). `None` if it is absent; a null may be either.
    fn entity_value(&self, number: u32, name: &str) -> Result<Option<Value<'static>>, Self::Error> {
        Ok(self.entity(number)?.and_then(|entity| entity.value(name)))
    }

    /// One property of a relationship, as [`GraphRead::entity_value`].
    fn relationship_value(
        &self,
        number: u32,
        name: &str,
    ) -> Result<Option<Value<'static>>, Self::Error> {
        Ok(self.relationship(number)?.and_then(|link| link.value(name)))
    }

    /// Appends a cell for each of some objects of a kind, for the property `name`. What is told of many at
    /// once is told more cheaply than one by one; [`PropertyCell::Unread`] is always right.
    fn property_cells(
        &self,
        kind: super::ObjectKind,
        numbers: &[u32],
        name: &str,
        cells: &mut Vec<PropertyCell>,
    ) -> Result<(), Self::Error> {
        let _ = (kind, name);
        cells.extend(numbers.iter().map(|_| PropertyCell::Unread));
        Ok(())
    }

    /// Candidates for a value of the property `name`: the numbers, ascending, of all live entities
    /// that have or list a value with one of these [hashes](Value::equality_hashes). Other entities
    /// may be among them, so the caller looks at each. `None` if there is no quicker way than to
    /// look at all entities.
    fn entities_hashed(&self, name: &str, hashes: &[u64]) -> Result<Option<Vec<u32>>, Self::Error> {
        let _ = (name, hashes);
        Ok(None)
    }
}
