//! What is in the graph, for whoever is about to ask: kinds of entities, what links them, and their
//! properties with values.
//!
//! Scopes, types, classes and verbs are counted whole. Properties and steps are those of the entities
//! that were looked at: some of each type in each scope.

use super::entity_filter::EntityFilter;
use super::scopes::{ScopeSummary, ScopesAnswer};
use super::{AnswerDocument, AnswerError, QuestionContext};
use crate::graph::{
    AdjacencyRead, CLASS_SEPARATOR, EdgeDirection, EntityFacts, GraphRead, NameLookup, ObjectKind,
    Value,
};
use crate::limits::CostMeter;
use crate::store::{Snapshot, StoreError};
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Entities of each type in a scope that are looked at.
const LOOKED_AT: usize = 200;
/// Relationships of one entity that are looked at.
const EDGES: usize = 200;
/// Values of a property that are given, and the characters of a text among them.
const EXAMPLES: usize = 3;
const EXAMPLE_CHARACTERS: usize = 80;
/// Bytes that a type or a property takes, about.
const ENTRY_BYTES: u64 = 300;

/// A question for what there is.
#[derive(Clone, Debug, Default)]
pub struct DescriptionRequest {
    /// The only classes.
    pub classes: Vec<String>,
    /// The only types.
    pub types: Vec<String>,
    /// The only scopes.
    pub scopes: Vec<String>,
}

/// What there is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescriptionAnswer {
    /// The number of the last commit.
    pub revision: u64,
    /// Live entities of what is described.
    pub entities: u64,
    /// Entities whose properties and relationships were looked at.
    pub looked_at: u64,
    /// The scopes that hold them, by name.
    pub scopes: Vec<DescribedScope>,
    /// Types of entities in each scope, the most frequent first.
    pub types: Vec<DescribedType>,
    /// Classes, the most frequent first.
    pub classes: Vec<DescribedClass>,
    /// Verbs of the whole graph, the most frequent first.
    pub verbs: Vec<DescribedVerb>,
    /// Which type leads by which verb to which type, the most frequent first.
    pub steps: Vec<DescribedStep>,
    /// Properties, the most frequent first.
    pub properties: Vec<DescribedProperty>,
    /// Facts that the answer does not show by itself.
    pub notes: Vec<String>,
}

impl AnswerDocument for DescriptionAnswer {}

/// A scope.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribedScope {
    /// Its name.
    pub scope: String,
    /// Live entities.
    pub entities: u64,
    /// Live relationships.
    pub relationships: u64,
    /// The end of its last job.
    pub last_change: Option<String>,
}

/// A type of entities in a scope.
#[derive(Debug, Serialize)]
pub struct DescribedType {
    /// The type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The scope.
    pub scope: String,
    /// All classes that its entities have.
    pub classes: BTreeSet<String>,
    /// Live entities.
    pub entities: u64,
    /// The `_key` of one of them.
    pub key: String,
}

/// A class.
#[derive(Debug, Serialize)]
pub struct DescribedClass {
    /// The class.
    pub class: String,
    /// Live entities that have it.
    pub entities: u64,
}

/// A verb.
#[derive(Debug, Serialize)]
pub struct DescribedVerb {
    /// The verb.
    pub verb: String,
    /// Live relationships that have it.
    pub relationships: u64,
}

/// A kind of step: from a type by a verb to a type.
#[derive(Debug, Serialize)]
pub struct DescribedStep {
    /// The type where it begins.
    pub from: String,
    /// The verb.
    pub verb: String,
    /// The type where it ends.
    pub to: String,
    /// Relationships that were seen.
    pub relationships: u64,
}

/// A property.
#[derive(Debug, Serialize)]
pub struct DescribedProperty {
    /// Its name.
    pub name: String,
    /// Entities that were looked at and have it.
    pub entities: u64,
    /// Kinds of its values.
    pub kinds: BTreeSet<&'static str>,
    /// Some of its values, long texts cut.
    pub examples: Vec<Value<'static>>,
}

impl DescriptionRequest {
    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A name that nothing has, a limit, or the error of reading.
    pub fn ask(&self, context: &QuestionContext<'_>) -> Result<DescriptionAnswer, AnswerError> {
        let QuestionContext { snapshot, meter, .. } = *context;
        let filter = EntityFilter::read(snapshot, &self.scopes, &self.classes, &self.types)?;
        let kinds = KindCounts::read(snapshot, meter, &filter)?;
        let looked = LookedAt::read(snapshot, meter, &kinds, &filter)?;
        let entities = kinds.kinds.values().map(|kind| kind.entities).sum();
        let mut notes = Vec::new();
        if looked.entities < entities {
            notes.push(format!(
                "properties and steps are those of {} of {entities} entities, some of each type; \
                 their counts are of these",
                looked.entities
            ));
        }
        if entities == 0 {
            notes.push(match filter.is_open() {
                true => {
                    "the graph has no entities: `tombolo sync` or `tombolo import` load some".into()
                }
                false => format!("no entity{}", filter.words),
            });
        }
        Ok(DescriptionAnswer {
            revision: snapshot.meta().revision,
            entities,
            looked_at: looked.entities,
            scopes: kinds.scopes(snapshot, &filter)?,
            types: kinds.types(snapshot, &looked),
            classes: kinds.classes(snapshot),
            verbs: verbs(snapshot)?,
            steps: looked.steps(snapshot),
            properties: looked.properties(),
            notes,
        })
    }
}

/// Live entities by scope and type.
#[derive(Default)]
struct KindCounts {
    kinds: BTreeMap<(u32, u32), KindCount>,
}

/// The live entities of one type in one scope.
#[derive(Default)]
struct KindCount {
    entities: u64,
    class_sets: BTreeMap<u32, u64>,
    /// The entities that are looked at.
    sample: Vec<u32>,
}

impl KindCounts {
    fn read(
        snapshot: &Snapshot,
        meter: &CostMeter,
        filter: &EntityFilter,
    ) -> Result<KindCounts, AnswerError> {
        let mut counts = KindCounts::default();
        snapshot.scan(|number, facts| -> Result<ControlFlow<()>, AnswerError> {
            meter.spend(20)?;
            if filter.takes_facts(&facts) {
                counts.add(meter, number, &facts)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(counts)
    }

    fn add(
        &mut self,
        meter: &CostMeter,
        number: u32,
        facts: &EntityFacts,
    ) -> Result<(), AnswerError> {
        let before = self.kinds.len();
        let kind = self.kinds.entry((facts.scope, facts.type_name)).or_default();
        kind.entities += 1;
        *kind.class_sets.entry(facts.classes).or_default() += 1;
        if kind.sample.len() < LOOKED_AT {
            meter.hold(size_of::<u32>() as u64)?;
            kind.sample.push(number);
        }
        if self.kinds.len() > before {
            meter.hold(ENTRY_BYTES)?;
        }
        Ok(())
    }

    fn scopes(
        &self,
        snapshot: &Snapshot,
        filter: &EntityFilter,
    ) -> Result<Vec<DescribedScope>, AnswerError> {
        let mut entities: BTreeMap<&str, u64> = BTreeMap::new();
        for ((scope, _), kind) in &self.kinds {
            *entities.entry(snapshot.name(*scope)).or_default() += kind.entities;
        }
        let all = ScopesAnswer::read(snapshot)?.scopes.into_iter();
        // A scope of relationships alone is part of the whole, and of no kind of entities.
        let named = |scope: &ScopeSummary| {
            filter.is_open() && scope.entities + scope.relationships > 0
                || entities.contains_key(scope.scope.as_str())
        };
        let described = |scope: ScopeSummary| DescribedScope {
            entities: entities.get(scope.scope.as_str()).copied().unwrap_or(0),
            relationships: scope.relationships,
            last_change: scope.last_change.map(super::rfc3339_text),
            scope: scope.scope,
        };
        Ok(all.filter(named).map(described).collect())
    }

    fn types(&self, snapshot: &Snapshot, looked: &LookedAt) -> Vec<DescribedType> {
        let mut types: Vec<DescribedType> = self
            .kinds
            .iter()
            .map(|((scope, type_name), kind)| DescribedType {
                type_name: snapshot.name(*type_name).to_owned(),
                scope: snapshot.name(*scope).to_owned(),
                classes: kind
                    .class_sets
                    .keys()
                    .flat_map(|set| classes_of(snapshot, *set))
                    .map(str::to_owned)
                    .collect(),
                entities: kind.entities,
                key: looked.keys.get(&(*scope, *type_name)).cloned().unwrap_or_default(),
            })
            .collect();
        types.sort_by(|a, b| {
            let key =
                |t: &DescribedType| (Reverse(t.entities), t.type_name.clone(), t.scope.clone());
            key(a).cmp(&key(b))
        });
        types
    }

    fn classes(&self, snapshot: &Snapshot) -> Vec<DescribedClass> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (set, entities) in self.kinds.values().flat_map(|kind| &kind.class_sets) {
            for class in classes_of(snapshot, *set) {
                *counts.entry(class).or_default() += entities;
            }
        }
        let class =
            |(class, entities): (&str, u64)| DescribedClass { class: class.to_owned(), entities };
        let mut classes: Vec<DescribedClass> = counts.into_iter().map(class).collect();
        classes.sort_by_key(|class| Reverse(class.entities));
        classes
    }
}

/// The classes of a class set.
fn classes_of(snapshot: &Snapshot, set: u32) -> impl Iterator<Item = &str> {
    snapshot.name(set).split(CLASS_SEPARATOR).filter(|class| !class.is_empty())
}

/// The verbs of live relationships, the most frequent first.
fn verbs(snapshot: &Snapshot) -> Result<Vec<DescribedVerb>, StoreError> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, row) in snapshot.scope_rows()? {
        for (verb, number) in &row.count(ObjectKind::Relationship).classes {
            *counts.entry(snapshot.name(*verb)).or_default() += number;
        }
    }
    counts.retain(|_, number| *number > 0);
    let verb =
        |(verb, relationships): (&str, u64)| DescribedVerb { verb: verb.to_owned(), relationships };
    let mut verbs: Vec<DescribedVerb> = counts.into_iter().map(verb).collect();
    verbs.sort_by_key(|verb| Reverse(verb.relationships));
    Ok(verbs)
}

/// What the entities that were looked at have.
#[derive(Default)]
struct LookedAt {
    entities: u64,
    keys: FxHashMap<(u32, u32), String>,
    properties: BTreeMap<String, DescribedProperty>,
    /// By the type where it begins, the verb, and the type where it ends.
    steps: BTreeMap<(u32, u32, u32), u64>,
}

impl LookedAt {
    fn read(
        snapshot: &Snapshot,
        meter: &CostMeter,
        kinds: &KindCounts,
        filter: &EntityFilter,
    ) -> Result<LookedAt, AnswerError> {
        let mut looked = LookedAt::default();
        for (kind, count) in &kinds.kinds {
            for number in &count.sample {
                meter.spend(2_000)?;
                let Some(entity) = snapshot.entity(*number)? else { continue };
                looked.entities += 1;
                looked.keys.entry(*kind).or_insert(entity.key);
                for (name, value) in &entity.properties {
                    looked.property(meter, name, value)?;
                }
                looked.edges(snapshot, meter, kind.1, *number, filter)?;
            }
        }
        Ok(looked)
    }

    fn property(
        &mut self,
        meter: &CostMeter,
        name: &str,
        value: &Value<'static>,
    ) -> Result<(), AnswerError> {
        let property = match self.properties.get_mut(name) {
            Some(property) => property,
            None => {
                meter.hold(ENTRY_BYTES + name.len() as u64)?;
                self.properties.entry(name.to_owned()).or_insert(DescribedProperty {
                    name: name.to_owned(),
                    entities: 0,
                    kinds: BTreeSet::new(),
                    examples: Vec::new(),
                })
            }
        };
        property.entities += 1;
        property.kinds.insert(value_kind(value));
        if property.examples.len() < EXAMPLES {
            let example = shortened(value);
            if !matches!(example, Value::Null) && !property.examples.contains(&example) {
                property.examples.push(example);
            }
        }
        Ok(())
    }

    /// Counts the steps from an entity, and those to it that begin at what is not described.
    fn edges(
        &mut self,
        snapshot: &Snapshot,
        meter: &CostMeter,
        own: u32,
        number: u32,
        filter: &EntityFilter,
    ) -> Result<(), AnswerError> {
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            let mut edges = Vec::new();
            snapshot.for_each_edge(number, direction, |edge| {
                if edges.len() < EDGES {
                    edges.push((edge.other, edge.verb));
                }
            })?;
            meter.work(edges.len() as u64)?;
            for (other, verb) in edges {
                let Some(facts) = snapshot.entity_facts(other)? else { continue };
                let step = match direction {
                    EdgeDirection::Out => (own, verb, facts.type_name),
                    // Seen from its other end already.
                    EdgeDirection::In if filter.takes_facts(&facts) => continue,
                    EdgeDirection::In => (facts.type_name, verb, own),
                };
                *self.steps.entry(step).or_default() += 1;
            }
        }
        Ok(())
    }

    fn steps(&self, snapshot: &Snapshot) -> Vec<DescribedStep> {
        let name = |number: u32| snapshot.name(number).to_owned();
        let step = |(&(from, verb, to), &relationships): (&(u32, u32, u32), &u64)| DescribedStep {
            from: name(from),
            verb: name(verb),
            to: name(to),
            relationships,
        };
        let mut steps: Vec<DescribedStep> = self.steps.iter().map(step).collect();
        steps.sort_by(|a, b| {
            let key = |s: &DescribedStep| {
                (Reverse(s.relationships), s.from.clone(), s.verb.clone(), s.to.clone())
            };
            key(a).cmp(&key(b))
        });
        steps
    }

    fn properties(self) -> Vec<DescribedProperty> {
        let mut properties: Vec<DescribedProperty> = self.properties.into_values().collect();
        properties.sort_by_key(|property| Reverse(property.entities));
        properties
    }
}

fn value_kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "number",
        Value::Text(_) => "text",
        Value::List(_) => "list",
    }
}

/// The value with its long texts cut, and of a list the first items.
fn shortened(value: &Value<'static>) -> Value<'static> {
    match value {
        Value::Text(text) => match text.char_indices().nth(EXAMPLE_CHARACTERS) {
            Some((end, _)) => Value::Text(format!("{}…", &text[..end]).into()),
            None => value.clone(),
        },
        Value::List(items) => Value::List(items.iter().take(EXAMPLES).map(shortened).collect()),
        other => other.clone(),
    }
}
