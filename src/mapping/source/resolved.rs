//! What the rows of a source make: counted, and as drafts for a job.

use super::account::{SourceCount, UnmatchedItem};
use super::entities::EntityTable;
use super::record::{EndKeys, EntityRecord};
use super::relationships::{KnownRelationship, RelationshipTable};
use super::values::SourceNames;
use crate::graph::{DraftEnd, DraftEntity, DraftRelationship, Value, default_relationship_key};
use crate::lang::Diagnostic;
use crate::mapping::model::TestOutcome;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// What the rows of a source make.
#[derive(Debug, Default)]
pub struct ResolvedSource {
    /// The number of items in each bucket.
    pub count: SourceCount,
    /// Items that made nothing, the first 10,000 of them.
    pub unmatched: Vec<UnmatchedItem>,
    /// The files that places refer to by position.
    pub inputs: Vec<String>,
    /// The files that were read, each with the digest of its bytes.
    pub digests: Vec<(String, String)>,
    /// What is more often a mistake than intended.
    pub warnings: Vec<Diagnostic>,
    /// The outcome of each promise of the file; that of a query is not known here.
    pub promises: Vec<TestOutcome>,
    pub(super) entities: EntityTable,
    pub(super) relationships: RelationshipTable,
    pub(super) names: Arc<SourceNames>,
}

/// Some of the objects that a source makes: as many as are handled together.
#[derive(Clone, Debug)]
pub struct SourcePart(PartObjects);

#[derive(Clone, Debug)]
enum PartObjects {
    Entities(Range<usize>),
    Relationships(Range<usize>),
}

/// Objects of a part.
const PART: usize = 8_192;

impl ResolvedSource {
    /// The number of entities.
    pub fn entity_count(&self) -> usize {
        self.entities.len()
    }

    /// The number of relationships.
    pub fn relationship_count(&self) -> usize {
        self.relationships.len()
    }

    pub(super) fn entity_keyed(&self, key: &str) -> Option<u32> {
        self.entities.with_key(key)
    }

    /// The ends of edges between two entities by their keys, if both are there.
    pub(super) fn ends(&self, from: &str, to: &str) -> Option<(u32, u32)> {
        self.entity_keyed(from).zip(self.entity_keyed(to))
    }

    /// How many entities each type has, in the order of the names.
    pub fn entity_types(&self) -> Vec<(String, u64)> {
        self.counted(self.entities.types())
    }

    /// How many relationships each verb has, in the order of the names.
    pub fn relationship_classes(&self) -> Vec<(String, u64)> {
        self.counted(self.relationships.classes())
    }

    fn counted(&self, numbers: impl Iterator<Item = u32>) -> Vec<(String, u64)> {
        let mut counts: FxHashMap<u32, u64> = FxHashMap::default();
        numbers.for_each(|number| *counts.entry(number).or_default() += 1);
        let named = counts
            .into_iter()
            .map(|(number, count)| (self.names.type_name(number).to_string(), count));
        let mut named: Vec<(String, u64)> = named.collect();
        named.sort();
        named
    }

    /// All that the source makes, in parts: entities, then relationships.
    pub fn parts(&self) -> impl Iterator<Item = SourcePart> + use<> {
        let ranges = |count: usize| {
            (0..count.div_ceil(PART)).map(move |at| at * PART..count.min((at + 1) * PART))
        };
        let entities = ranges(self.entity_count()).map(PartObjects::Entities);
        let relationships = ranges(self.relationship_count()).map(PartObjects::Relationships);
        entities.chain(relationships).map(SourcePart)
    }

    /// Calls `entity` or `relationship` for each object of a part, as a draft.
    ///
    /// # Errors
    ///
    /// The first error of either, and those of the temporary file that holds what rows made.
    pub fn drafts<E: From<io::Error>>(
        &self,
        part: &SourcePart,
        mut entity: impl FnMut(&DraftEntity<'_>) -> Result<(), E>,
        mut relationship: impl FnMut(&DraftRelationship<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let names = DraftNames::of(&self.names);
        match &part.0 {
            PartObjects::Entities(range) => {
                self.entities.records(range.clone(), &mut |mut record| {
                    names.sort(&mut record.properties);
                    entity(&names.entity(&record))
                })
            }
            PartObjects::Relationships(range) => {
                self.relationships.records(range.clone(), &mut |mut known| {
                    names.sort(&mut known.record.properties);
                    relationship(&names.relationship(&known, |keys, number| {
                        keys.iter().position(|key| self.entity_keyed(key) == Some(number))
                    }))
                })
            }
        }
    }
}

/// The names of a run by their numbers, for drafts that borrow them.
pub(super) struct DraftNames {
    properties: Vec<Arc<str>>,
    /// The places of the names of properties in their order.
    ranks: Vec<u32>,
    types: Vec<Arc<str>>,
    classes: Vec<Arc<[Arc<str>]>>,
}

impl DraftNames {
    pub(super) fn of(names: &SourceNames) -> DraftNames {
        let properties = names.property_names();
        let mut order: Vec<u32> = (0..properties.len() as u32).collect();
        order.sort_by(|a, b| properties[*a as usize].cmp(&properties[*b as usize]));
        let mut ranks = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(number, rank)| ranks[*number as usize] = rank);
        DraftNames { properties, ranks, types: names.type_names(), classes: names.class_sets() }
    }

    /// Sorts the properties of a record by ascending name.
    pub(super) fn sort(&self, properties: &mut [(u32, Value<'_>)]) {
        properties.sort_unstable_by_key(|(name, _)| self.ranks[*name as usize]);
    }

    fn named<'r>(&'r self, values: &'r [(u32, Value<'_>)]) -> Vec<(Cow<'r, str>, Value<'r>)> {
        // One more than there are: entities get a `displayName`.
        let mut named = Vec::with_capacity(values.len() + 1);
        named.extend(values.iter().map(|(name, value)| {
            (Cow::Borrowed(&*self.properties[*name as usize]), value.borrowed())
        }));
        named
    }

    pub(super) fn type_name(&self, number: u32) -> &str {
        &self.types[number as usize]
    }

    /// An entity as a draft. Its properties are sorted.
    pub(super) fn entity<'r>(&'r self, record: &'r EntityRecord<'_>) -> DraftEntity<'r> {
        let mut properties = self.named(&record.properties);
        let shown = "displayName";
        match (properties.binary_search_by(|(name, _)| (**name).cmp(shown)), &record.name) {
            (Ok(at), Some(name)) => properties[at].1 = (&**name).into(),
            (Ok(_), None) => {}
            (Err(at), name) => {
                let text = name.as_deref().unwrap_or(&record.key);
                properties.insert(at, (shown.into(), text.into()));
            }
        }
        let classes = &self.classes[record.classes as usize];
        DraftEntity {
            key: Some(Cow::Borrowed(&record.key)),
            type_name: Some(Cow::Borrowed(self.type_name(record.type_name))),
            classes: classes.iter().map(|class| Cow::Borrowed(&**class)).collect(),
            properties,
            raw_data: record.raw.as_deref().map(Cow::Borrowed),
            place: record.place,
            ..DraftEntity::default()
        }
    }

    /// An edge as a draft. Its properties are sorted; `key_of` gives the position of the key that an entity has among those of its
    /// end.
    pub(super) fn relationship<'r>(
        &'r self,
        known: &'r KnownRelationship<'_>,
        key_of: impl Fn(&EndKeys<'_>, u32) -> Option<usize>,
    ) -> DraftRelationship<'r> {
        let record = &known.record;
        let key_of = |keys: &'r EndKeys<'_>, entity: u32| -> &'r str {
            match keys.others.is_empty() {
                true => &keys.first,
                false => {
                    key_of(keys, entity).and_then(|at| keys.iter().nth(at)).unwrap_or(&keys.first)
                }
            }
        };
        let (from, to) = (key_of(&record.from, known.from), key_of(&record.to, known.to));
        let class = self.type_name(record.class);
        let key = match &record.key {
            Some(key) => Cow::Borrowed(&**key),
            None => Cow::Owned(default_relationship_key(from, class, to)),
        };
        let end = |key: &'r str| DraftEnd { key: Some(key.into()), ..DraftEnd::default() };
        DraftRelationship {
            key,
            type_name: Cow::Borrowed(self.type_name(known.type_name)),
            class: Cow::Borrowed(class),
            from: end(from),
            to: end(to),
            properties: self.named(&record.properties),
            raw_data: record.raw.as_deref().map(Cow::Borrowed),
            place: record.place,
            ..DraftRelationship::default()
        }
    }
}
