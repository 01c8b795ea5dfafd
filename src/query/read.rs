//! Reading properties of a row's objects, no more of each object than is asked for, on the account of
//! one query.
//!
//! Terms and conditions on what is read are evaluated in `evaluate`, selectors in `selection`.

use super::cell::{self, CellValue, EqualityKey, EqualityMode};
use super::mismatch::MismatchLog;
use super::resolved::{PropertyOwner, ResolvedQuery, RowSlot};
use super::row_batch::{BoundRelationships, NONE, RowView};
use super::verdicts::KnownVerdicts;
use super::{CostMeter, QueryRow, QuestionError};
use crate::graph::{Entity, GraphRead, PropertyCell, Relationship, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell as Shared, RefCell};
use std::rc::Rc;

/// Objects kept in memory before all are forgotten again, and the bytes of them.
const CACHE_MAX: usize = 1 << 15;
const CACHE_BYTES: u64 = 16 << 20;

/// The values that a term can see while it is evaluated.
#[derive(Clone, Copy, Default)]
pub(super) struct EvalContext<'a> {
    pub subject: Option<u32>,
    pub row: Option<RowView<'a>>,
    pub turns: &'a [CellValue],
    pub aggregates: &'a [CellValue],
    pub columns: &'a [CellValue],
}

/// Reads a graph for one query.
pub(super) struct QueryReader<'g, G: GraphRead> {
    pub graph: &'g G,
    pub meter: &'g CostMeter,
    pub tested: Shared<u64>,
    pub unlike: MismatchLog,
    entities: RefCell<ObjectCache<Entity>>,
    relationships: RefCell<ObjectCache<Relationship>>,
    pub(super) verdicts: RefCell<FxHashMap<usize, KnownVerdicts>>,
    /// Memory for the cell of one object.
    pub(super) cell_room: RefCell<Vec<PropertyCell>>,
    /// Answers a query inside this one. Given from above, so that nothing here knows of plans.
    pub(super) inner_rows: InnerRows<G>,
    pub(super) answers: RefCell<FxHashMap<(*const ResolvedQuery, EqualityMode), Rc<InnerAnswers>>>,
}

/// A function that gives the rows of a query inside another one.
pub(super) type InnerRows<G> =
    for<'g> fn(&QueryReader<'g, G>, &ResolvedQuery) -> QueryReadResult<Vec<Vec<CellValue>>, G>;

/// The values of a query inside another one, by the keys of one kind of equality.
pub(super) type InnerAnswers = FxHashSet<EqualityKey<'static>>;

pub(super) type QueryReadResult<T, G> =
    Result<T, QuestionError<<G as crate::graph::AdjacencyRead>::Error>>;

impl<'g, G: GraphRead> QueryReader<'g, G> {
    pub fn new(graph: &'g G, meter: &'g CostMeter, inner_rows: InnerRows<G>) -> QueryReader<'g, G> {
        QueryReader {
            graph,
            meter,
            tested: Shared::new(0),
            unlike: MismatchLog::default(),
            entities: RefCell::default(),
            relationships: RefCell::default(),
            verdicts: RefCell::default(),
            cell_room: RefCell::default(),
            inner_rows,
            answers: RefCell::default(),
        }
    }

    /// Counts work and stops a query that does too much of it.
    pub fn work(&self, steps: u64) -> QueryReadResult<(), G> {
        self.meter.work(steps).map_err(QuestionError::Limit)
    }

    /// Counts work other than walking edges, in units.
    pub fn spend(&self, units: usize) -> QueryReadResult<(), G> {
        self.meter.spend(units as u64).map_err(QuestionError::Limit)
    }

    /// Stops a query whose time is over.
    pub fn time(&self) -> QueryReadResult<(), G> {
        self.meter.look().map_err(QuestionError::Limit)
    }

    /// Refuses more rows than may be held.
    pub fn room(&self, rows: usize) -> QueryReadResult<(), G> {
        self.meter.room(rows).map_err(QuestionError::Limit)
    }

    /// Counts bytes that are about to be kept until the query ends.
    pub fn hold(&self, bytes: usize) -> QueryReadResult<(), G> {
        self.meter.hold(bytes as u64).map_err(QuestionError::Limit)
    }

    /// Counts a cell that is kept until the query ends.
    pub fn keep(&self, cell: CellValue) -> QueryReadResult<CellValue, G> {
        let bytes = cell.bytes();
        // Reading it took about as long as copying it a few times.
        self.spend(200 + bytes / 2)?;
        self.hold(bytes)?;
        Ok(cell)
    }

    pub fn entity(&self, number: u32) -> QueryReadResult<Option<Rc<Entity>>, G> {
        Ok(cached(&self.entities, number, || self.graph.entity(number))?)
    }

    pub fn relationship(&self, number: u32) -> QueryReadResult<Option<Rc<Relationship>>, G> {
        Ok(cached(&self.relationships, number, || self.graph.relationship(number))?)
    }

    pub(super) fn entity_property(&self, number: u32, name: &str) -> QueryReadResult<CellValue, G> {
        match number {
            NONE => Ok(CellValue::Undefined),
            number => Ok(cell_of(self.graph.entity_value(number, name)?)),
        }
    }

    pub(super) fn relationship_property(
        &self,
        number: u32,
        name: &str,
    ) -> QueryReadResult<CellValue, G> {
        Ok(cell_of(self.graph.relationship_value(number, name)?))
    }

    /// A property. For several relationships: the list of its values, of those that have it.
    pub fn property(
        &self,
        of: PropertyOwner,
        name: &str,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<CellValue, G> {
        match (of, sight.row) {
            (PropertyOwner::Subject, _) => {
                self.entity_property(sight.subject.unwrap_or(NONE), name)
            }
            (PropertyOwner::Entity(slot), Some(row)) => {
                self.entity_property(row.entities[slot], name)
            }
            (PropertyOwner::Relationship(slot), Some(row)) => match &row.hops[slot] {
                BoundRelationships::None => Ok(CellValue::Undefined),
                BoundRelationships::One(number) => self.relationship_property(*number, name),
                BoundRelationships::Many(numbers) => {
                    let (mut items, mut bytes) = (Vec::new(), 0);
                    for &number in numbers.iter() {
                        let cell = self.relationship_property(number, name)?;
                        bytes += cell.bytes();
                        // The limit on one value holds for the list that is built here too.
                        self.meter.value(bytes).map_err(QuestionError::Limit)?;
                        match cell {
                            CellValue::Value(Value::List(more)) => items.extend(more),
                            CellValue::Value(value) => items.push(value),
                            _ => {}
                        }
                    }
                    Ok(CellValue::Value(Value::List(items)))
                }
            },
            _ => Ok(CellValue::Undefined),
        }
    }

    pub(super) fn whole_object(&self, of: PropertyOwner, sight: &EvalContext<'_>) -> CellValue {
        let entity = |slot: RowSlot| sight.row.map_or(NONE, |row| row.entities[slot]);
        match of {
            PropertyOwner::Subject => sight.subject.map_or(CellValue::Undefined, CellValue::Entity),
            PropertyOwner::Entity(slot) if entity(slot) == NONE => CellValue::Undefined,
            PropertyOwner::Entity(slot) => CellValue::Entity(entity(slot)),
            PropertyOwner::Relationship(slot) => {
                match sight.row.map_or(&[][..], |row| row.hops[slot].numbers()) {
                    [.., last] => CellValue::Relationship(*last),
                    [] => CellValue::Undefined,
                }
            }
        }
    }

    pub(super) fn all_properties(
        &self,
        of: PropertyOwner,
        sight: &EvalContext<'_>,
    ) -> QueryReadResult<CellValue, G> {
        let mut members = Vec::new();
        let (names, properties): (&[&str], _) = match self.whole_object(of, sight) {
            CellValue::Entity(number) => {
                let entity = self.entity(number)?;
                (
                    &[
                        "_id",
                        "_key",
                        "_scope",
                        "_type",
                        "_class",
                        "_source",
                        "_createdOn",
                        "_beginOn",
                        "_version",
                    ],
                    entity.map(|entity| entity.properties.clone()),
                )
            }
            CellValue::Relationship(number) => {
                let link = self.relationship(number)?;
                (
                    &[
                        "_id",
                        "_key",
                        "_scope",
                        "_type",
                        "_class",
                        "_fromEntityKey",
                        "_toEntityKey",
                        "_source",
                        "_createdOn",
                        "_beginOn",
                        "_version",
                    ],
                    link.map(|link| link.properties.clone()),
                )
            }
            other => return Ok(other),
        };
        for name in names {
            if let CellValue::Value(value) = self.property(of, name, sight)? {
                members.push(((*name).to_owned(), value));
            }
        }
        members.extend(properties.unwrap_or_default());
        Ok(CellValue::Object(members))
    }

    /// All properties of an entity, kept until the query ends.
    pub fn counted_members(&self, number: u32) -> QueryReadResult<QueryRow, G> {
        let members = self.members(number)?;
        let bytes = members.iter().map(|(name, value)| name.len() + cell::value_bytes(value));
        self.hold(bytes.sum())?;
        Ok(members)
    }

    /// All properties of an entity.
    fn members(&self, number: u32) -> QueryReadResult<QueryRow, G> {
        let sight = EvalContext { subject: Some(number), ..EvalContext::default() };
        Ok(match self.all_properties(PropertyOwner::Subject, &sight)? {
            CellValue::Object(members) => members,
            _ => Vec::new(),
        })
    }

    /// A cell as one value.
    pub fn flat(&self, cell: CellValue) -> QueryReadResult<Value<'static>, G> {
        Ok(match cell {
            CellValue::Value(value) => value,
            CellValue::Entity(number) => match self.entity_property(number, "_key")? {
                CellValue::Value(key) => key,
                _ => Value::Null,
            },
            CellValue::Relationship(number) => match self.relationship_property(number, "_key")? {
                CellValue::Value(key) => key,
                _ => Value::Null,
            },
            CellValue::Undefined | CellValue::Object(_) => Value::Null,
        })
    }
}

/// Objects that were read whole, by number.
struct ObjectCache<T> {
    kept: FxHashMap<u32, Rc<T>>,
    bytes: u64,
}

impl<T> Default for ObjectCache<T> {
    fn default() -> ObjectCache<T> {
        ObjectCache { kept: FxHashMap::default(), bytes: 0 }
    }
}

/// An object that knows its approximate size.
pub(super) trait ApproximateSize {
    /// Approximate size in bytes.
    fn bytes(&self) -> u64;
}

fn members_bytes(members: &[(String, Value<'static>)]) -> u64 {
    members.iter().map(|(name, value)| (name.len() + cell::value_bytes(value) + 24) as u64).sum()
}

impl ApproximateSize for Entity {
    fn bytes(&self) -> u64 {
        512 + members_bytes(&self.properties)
            + self.raw_data.as_ref().map_or(0, |raw| raw.len() as u64)
    }
}

impl ApproximateSize for Relationship {
    fn bytes(&self) -> u64 {
        512 + members_bytes(&self.properties)
    }
}

/// The object of this number from `cache`, or else read into it.
fn cached<T: ApproximateSize, E>(
    cache: &RefCell<ObjectCache<T>>,
    number: u32,
    read: impl FnOnce() -> Result<Option<T>, E>,
) -> Result<Option<Rc<T>>, E> {
    if let Some(known) = cache.borrow().kept.get(&number) {
        return Ok(Some(Rc::clone(known)));
    }
    let Some(object) = read()?.map(Rc::new) else { return Ok(None) };
    let mut cache = cache.borrow_mut();
    let bytes = object.bytes();
    if cache.kept.len() >= CACHE_MAX || cache.bytes + bytes > CACHE_BYTES {
        *cache = ObjectCache::default();
    }
    // An object larger than the whole cache is not kept: it is read again each time.
    if bytes <= CACHE_BYTES {
        cache.bytes += bytes;
        cache.kept.insert(number, Rc::clone(&object));
    }
    Ok(Some(object))
}

/// A cell of a stored value; null counts as absent.
fn cell_of(value: Option<Value<'static>>) -> CellValue {
    match value {
        None | Some(Value::Null) => CellValue::Undefined,
        Some(value) => CellValue::Value(value),
    }
}
