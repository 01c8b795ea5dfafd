//! Mapped relationships: a mapped relationship describes its other end instead of naming it.
//!
//! A collector uploads `_mapping` where it knows only facts of the target, for example an e-mail
//! address. When its job is finalized, every live entity that fits the facts gets a relationship.
//! If none fits, the mapper makes the target from the facts, unless the collector says otherwise.
//! The results belong to a scope of their own, `mapped:SCOPE`, which is reconciled in the same
//! transaction as the job. A mapping that is no longer uploaded takes its relationships with it. A
//! made target goes when nothing maps to it, or when another scope brings the real one.
//!
//! Source: wire contract, section 4, mapped relationships.

use super::rights::MAPPER;
use super::{Database, Error, now};
use crate::graph::{
    DraftEnd, DraftEntity, DraftRelationship, GraphRead, NameLookup, ObjectKind, Value, same_name,
};
use crate::store::{ByteCursor, Snapshot, StoreError, split_classes, take_value};
use crate::sync::{
    BatchBuilder, BatchRules, InputNames, JobInput, JobSpec, MIN_DELETES, SkippedObject,
    StagedRecord, StagedUploads, SyncError, SyncMode,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Mapped relationships as they lie in the stage of a job: JSON documents, one a line.
pub(super) fn lines(mapped: &[MappedRelationship]) -> Vec<u8> {
    let mut lines = Vec::new();
    for one in mapped {
        serde_json::to_writer(&mut lines, one).expect("BUG: a mapping is plain JSON");
        lines.push(b'\n');
    }
    lines
}

/// The mapped relationships in such lines, each `_key` once and the latest of it.
pub(super) fn from_lines(lines: &[u8]) -> Result<Vec<MappedRelationship>, Error> {
    let mut all: BTreeMap<String, MappedRelationship> = BTreeMap::new();
    for line in lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let one: MappedRelationship = serde_json::from_slice(line)
            .map_err(|e| StoreError::Engine(format!("a mapped relationship: {e}")))?;
        all.insert(one.key.clone(), one);
    }
    Ok(all.into_values().collect())
}

/// The direction of a mapped relationship.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MappedDirection {
    /// From the source to the target.
    #[default]
    Forward,
    /// From the target to the source.
    Reverse,
}

/// One alternative of `targetFilterKeys`: names that must all fit, or a single one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FilterKeys {
    /// All of these.
    All(Vec<String>),
    /// This one.
    One(String),
}

impl FilterKeys {
    fn names(&self) -> Vec<String> {
        match self {
            FilterKeys::All(names) => names.clone(),
            FilterKeys::One(name) => vec![name.clone()],
        }
    }
}

/// The contents of `_mapping`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetFacts {
    /// `_key` of the source, in the scope of the job.
    pub source_entity_key: String,
    /// The direction of the relationship.
    #[serde(default)]
    pub relationship_direction: MappedDirection,
    /// Alternatives, of which one must fit; `[["_type", "_key"]]` unless given.
    #[serde(default = "default_keys")]
    pub target_filter_keys: Vec<FilterKeys>,
    /// The facts: flat members, as an upload of an entity has them.
    pub target_entity: Map<String, Json>,
    /// True if no target is made where none is found.
    #[serde(default)]
    pub skip_target_creation: bool,
}

fn default_keys() -> Vec<FilterKeys> {
    vec![FilterKeys::All(vec!["_type".into(), "_key".into()])]
}

/// A relationship with `_mapping`, as uploaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MappedRelationship {
    /// `_key` of the mapping.
    #[serde(rename = "_key")]
    pub key: String,
    /// `_type`.
    #[serde(rename = "_type")]
    pub type_name: String,
    /// `_class`: the verb.
    #[serde(rename = "_class")]
    pub class: String,
    /// The description of its target.
    #[serde(rename = "_mapping")]
    pub mapping: TargetFacts,
    /// Its own properties and its other members.
    #[serde(flatten)]
    pub properties: Map<String, Json>,
}

/// The scope that holds the results of the mapped relationships of a scope.
pub fn mapper_scope_name(scope: &str) -> String {
    format!("mapped:{scope}")
}

/// An entity that facts fitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MappedTarget {
    scope: String,
    key: String,
}

/// An entity as the search sees it.
struct TargetCandidate {
    scope: String,
    key: String,
    type_name: String,
    classes: Vec<String>,
    properties: Vec<(String, Value<'static>)>,
}

/// The default limit on the relationships that the mappings of one job may make.
pub const MAPPED_MAX: u64 = 1_000_000;
/// Ways to look for targets that one job may use: each reads every entity once.
const WAYS_MAX: usize = 100;
/// Targets that are kept at hand, over all such ways.
const INDEXED_MAX: usize = 1_000_000;
/// Faults that are reported; after more of them the mapper reads no further.
const FAULTS_MAX: usize = 1_000;

/// Targets by their values under the names of an alternative.
type TargetIndex = HashMap<Vec<String>, Vec<MappedTarget>>;

fn text(json: &Json) -> Option<String> {
    match json {
        Json::Null => None,
        // A list of one value fits the value itself, here as in [`TargetCandidate::values`].
        Json::Array(items) if items.len() == 1 => text(&items[0]),
        other => Some(other.to_string()),
    }
}

/// The classes that facts ask for.
fn classes_of(facts: &Map<String, Json>) -> Vec<String> {
    match facts.get("_class") {
        Some(Json::String(class)) => vec![class.clone()],
        Some(Json::Array(items)) => {
            items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The values of facts under the names of an alternative, apart from `_class`; `None` if one is
/// not there, so that the alternative fits nothing.
fn wanted(facts: &Map<String, Json>, names: &[String]) -> Option<Vec<String>> {
    let named = names.iter().filter(|name| *name != "_class");
    named.map(|name| facts.get(name).and_then(text)).collect()
}

impl TargetCandidate {
    fn values(&self, names: &[String]) -> Option<Vec<String>> {
        // Values are compared in their JSON form, so that the text `1` is not the number 1.
        let quoted = |text: &str| Json::from(text).to_string();
        let value = |name: &String| match name.as_str() {
            "_type" => Some(quoted(&self.type_name)),
            "_key" => Some(quoted(&self.key)),
            "_scope" => Some(quoted(&self.scope)),
            name => {
                let (_, value) = self.properties.iter().find(|(known, _)| known == name)?;
                match value {
                    Value::Null => None,
                    Value::List(items) if items.len() == 1 => Some(items[0].to_string()),
                    value => Some(value.to_string()),
                }
            }
        };
        names.iter().filter(|name| *name != "_class").map(value).collect()
    }

    fn has(&self, classes: &[String]) -> bool {
        classes.iter().all(|class| self.classes.iter().any(|own| same_name(own, class)))
    }

    fn target(&self) -> MappedTarget {
        MappedTarget { scope: self.scope.clone(), key: self.key.clone() }
    }
}

/// A search for targets in the graph as it will be once the job is finalized.
struct TargetSearch<'s> {
    snapshot: &'s Snapshot,
    spec: &'s JobSpec,
    ours: String,
    uploaded: Vec<TargetCandidate>,
    /// The keys of those, once they were asked for.
    sources: FxHashSet<String>,
    /// The live entities of all scopes that have a `_key` that facts name, by that key.
    homes: FxHashMap<String, Vec<u32>>,
    indexes: HashMap<(Vec<String>, Vec<String>), TargetIndex>,
    /// Targets in all indexes.
    indexed: usize,
    /// Indexes made so far.
    ways: usize,
}

impl TargetSearch<'_> {
    /// True if a stored entity will still be there after the finalize.
    fn stays(&self, scope: &str, type_name: &str) -> bool {
        // The job replaces its scope, apart from its partial types. Uploaded entities are searched
        // on their own.
        scope != self.spec.scope || self.spec.partial_types.iter().any(|kept| kept == type_name)
    }

    /// The reason for leaving a mapping out whose source is not there once the job is finalized.
    fn missing_source(&mut self, one: &MappedRelationship) -> Result<Option<String>, StoreError> {
        let key = &one.mapping.source_entity_key;
        if self.sources.is_empty() {
            self.sources = self.uploaded.iter().map(|seen| seen.key.clone()).collect();
        }
        if self.sources.contains(key) {
            return Ok(None);
        }
        let scope = &self.spec.scope;
        let number = self.snapshot.entity_keyed(scope, key)?;
        if let Some(number) = number
            && self.seen(number)?.is_some()
        {
            return Ok(None);
        }
        let state = if number.is_some() { "is deleted" } else { "was never seen" };
        Ok(Some(format!("`from` entity `{key}` in scope `{scope}` {state}")))
    }

    fn seen(&self, number: u32) -> Result<Option<TargetCandidate>, StoreError> {
        let Some(entity) = self.snapshot.entity(number)? else { return Ok(None) };
        let stays = !entity.metadata.deleted() && self.stays(&entity.scope, &entity.type_name);
        Ok(stays.then_some(TargetCandidate {
            scope: entity.scope,
            key: entity.key,
            type_name: entity.type_name,
            classes: entity.classes,
            properties: entity.properties,
        }))
    }

    /// All targets that fit one alternative.
    ///
    /// # Errors
    ///
    /// [`TargetSearchError::TooMany`] if that is more than `most`, before any is named.
    fn find(
        &mut self,
        facts: &Map<String, Json>,
        names: &[String],
        most: u64,
    ) -> Result<Vec<MappedTarget>, TargetSearchError> {
        let Some(values) = wanted(facts, names) else { return Ok(Vec::new()) };
        let by_class = names.iter().any(|name| name == "_class");
        let classes = if by_class { classes_of(facts) } else { Vec::new() };
        // An alternative without names, or with a `_class` that is not given, would fit every
        // entity.
        if names.is_empty() || by_class && classes.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(key) =
            names.iter().find(|name| *name == "_key").and_then(|_| facts["_key"].as_str())
        {
            return Ok(self.by_key(key, names, &values, &classes)?);
        }
        let index = (names.to_vec(), classes);
        if !self.indexes.contains_key(&index) {
            self.ways += 1;
            if self.ways > WAYS_MAX {
                let message = format!(
                    "the mappings of this job look for targets in more than {WAYS_MAX} ways"
                );
                let hint = "use the same `targetFilterKeys` and `_class` for more of them";
                return Err(Error::usage(message, hint).into());
            }
            let found = self.index(&index.0, &index.1)?;
            let more: usize = found.values().map(Vec::len).sum();
            // The indexes are a cache: if they hold too much, all earlier ones go.
            if self.indexed + more > INDEXED_MAX {
                self.indexes.clear();
                self.indexed = 0;
            }
            self.indexed += more;
            self.indexes.insert(index.clone(), found);
        }
        let found = self.indexes[&index].get(&values);
        let count = found.map_or(0, |found| found.len() as u64);
        if count > most {
            return Err(TargetSearchError::TooMany(count));
        }
        Ok(found.cloned().unwrap_or_default())
    }

    fn by_key(
        &self,
        key: &str,
        names: &[String],
        values: &[String],
        classes: &[String],
    ) -> Result<Vec<MappedTarget>, StoreError> {
        let fits = |seen: &TargetCandidate| {
            seen.has(classes) && seen.values(names).as_deref() == Some(values)
        };
        let mut found: Vec<MappedTarget> = self
            .uploaded
            .iter()
            .filter(|seen| seen.key == key && fits(seen))
            .map(TargetCandidate::target)
            .collect();
        for &number in self.homes.get(key).into_iter().flatten() {
            if let Some(seen) = self.seen(number)?
                && fits(&seen)
            {
                found.push(seen.target());
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Every entity of the classes, by its values under the names.
    fn index(&self, names: &[String], classes: &[String]) -> Result<TargetIndex, StoreError> {
        // One class narrows the pass over the entities; `has` then asks for all of them.
        let class = classes.first().map(String::as_str);
        let mut found = TargetIndex::new();
        let mut add = |seen: &TargetCandidate| {
            if let Some(values) = seen.values(names).filter(|_| seen.has(classes)) {
                found.entry(values).or_default().push(seen.target());
            }
        };
        for number in self.snapshot.entities_with(None, class)? {
            if let Some(seen) = self.seen(number)? {
                add(&seen);
            }
        }
        self.uploaded.iter().for_each(&mut add);
        Ok(found)
    }
}

/// The `_key` by which a mapping looks for its target, if it does so.
fn key_of(one: &MappedRelationship) -> Option<&str> {
    let mut alternatives = one.mapping.target_filter_keys.iter();
    let by_key = alternatives.any(|names| names.names().iter().any(|name| name == "_key"));
    one.mapping.target_entity.get("_key").filter(|_| by_key)?.as_str()
}

/// The reason that a mapping has no targets.
enum TargetSearchError {
    /// Too many entities fit it: their number.
    TooMany(u64),
    /// Anything else.
    Error(Error),
}

impl<E: Into<Error>> From<E> for TargetSearchError {
    fn from(e: E) -> TargetSearchError {
        TargetSearchError::Error(e.into())
    }
}

impl TargetSearchError {
    /// The error of the mapping `one`; `links` relationships were made before it.
    fn into_error(self, one: &MappedRelationship, links: u64, most: u64) -> Error {
        match self {
            TargetSearchError::Error(e) => e,
            TargetSearchError::TooMany(count) => Error::usage(
                format!(
                    "the mapping `{}` fits {count} entities: with it the mappings of this job make \
                     {} relationships, and {most} may be made",
                    one.key,
                    links + count
                ),
                "describe the target more closely in `targetFilterKeys`; \
                 `tombolo serve --max-mapped` raises the limit",
            ),
        }
    }
}

/// The names that any mapping looks at.
fn asked_names(mapped: &[MappedRelationship]) -> BTreeSet<String> {
    let keys = mapped.iter().flat_map(|one| &one.mapping.target_filter_keys);
    keys.flat_map(FilterKeys::names).collect()
}

/// The entities of the first job, read back from the stage, with the properties that are `asked`.
fn uploaded(
    uploads: &StagedUploads,
    asked: &BTreeSet<String>,
) -> Result<Vec<TargetCandidate>, Error> {
    let damaged = || Error::Store(StoreError::Engine("a staged batch is damaged".into()));
    let (stage, scope) = (uploads.stage(), &uploads.jobs()[0].spec.scope);
    let mut all = Vec::new();
    for frame in 0..stage.frames() {
        let (records, names) = (stage.records(frame)?, stage.names(frame));
        let of_job = stage.entities(frame)?.into_iter();
        for staged in of_job.filter(|staged| names[staged.scope as usize] == *scope) {
            let at = (staged.offset, staged.len);
            let record =
                StagedRecord::read(ObjectKind::Entity, &records, at).ok_or_else(damaged)?;
            let (properties, _) = record.properties().ok_or_else(damaged)?;
            // Other properties are not decoded: an upload may be large.
            let wanted =
                properties.into_iter().filter(|(name, _)| asked.contains(&*names[*name as usize]));
            let properties = wanted.map(|(name, bytes)| {
                let value = take_value(&mut ByteCursor(bytes))?;
                Some((names[name as usize].clone(), value.into_owned()))
            });
            all.push(TargetCandidate {
                scope: scope.clone(),
                key: record.key.to_owned(),
                type_name: names[record.type_name as usize].clone(),
                classes: split_classes(&names[record.class as usize]),
                properties: properties.collect::<Option<_>>().ok_or_else(damaged)?,
            });
        }
    }
    Ok(all)
}

impl Database {
    /// Adds the job of the mapped scope that goes with the first job, if there is anything to do;
    /// true if there is. Its targets are those of `snapshot`, so it is planned on that state alone.
    pub(super) fn add_mapped_job(
        &self,
        uploads: &mut StagedUploads,
        mapped: &[MappedRelationship],
        snapshot: &Snapshot,
    ) -> Result<bool, Error> {
        let job = uploads.jobs()[0].spec.clone();
        let ours = mapper_scope_name(&job.scope);
        let row = snapshot.scope_row_of(&ours)?;
        let live = row.count(ObjectKind::Entity).live + row.count(ObjectKind::Relationship).live;
        // Only DIFF jobs take mapped relationships, and without any there may be old ones to
        // delete.
        if job.mode != SyncMode::Diff || mapped.is_empty() && live == 0 {
            return Ok(false);
        }
        let mut partial_types = job.partial_types.clone();
        if !partial_types.is_empty() {
            // Relationships that stay need their targets.
            let types = row.count(ObjectKind::Entity).types.keys();
            partial_types.extend(types.map(|number| snapshot.name(*number).to_owned()));
        }
        let spec = JobSpec {
            ignore_duplicates: true,
            one_upload: true,
            partial_types,
            // Nothing mapped any more is no empty upload: the job itself may have brought much.
            allow_deletes: Some(job.allow_deletes.unwrap_or(0).max(MIN_DELETES)),
            mapped_for: Some(job.id),
            ..JobSpec::new(MAPPER, SyncMode::Diff, &ours, now())
        };
        let mut search = TargetSearch {
            snapshot,
            spec: &job,
            ours: ours.clone(),
            uploaded: uploaded(uploads, &asked_names(mapped))?,
            sources: FxHashSet::default(),
            homes: snapshot.entities_with_keys(mapped.iter().filter_map(key_of))?,
            indexes: HashMap::new(),
            indexed: 0,
            ways: 0,
        };
        uploads.add(JobInput::new(spec.clone()));
        let rules = BatchRules {
            mode: SyncMode::Diff,
            scope: Some(ours.clone()),
            same_scope_reject: false,
            digest_seed: snapshot.meta().digest_seed,
            known: None,
        };
        // Packed batch by batch, so that only the stage grows with what is made.
        let mut builder = BatchBuilder::new(&rules);
        let (mut made, mut links) = (CreatedTargets::default(), 0);
        let mut faults = Vec::new();
        let mut skipped = Vec::new();
        for one in mapped {
            if let Some(reason) = search.missing_source(one)? {
                skipped.push(SkippedObject::new(&one.key, reason));
                continue;
            }
            let found = targets(&mut search, one, &mut made, self.mapped_max - links)
                .map_err(|stop| stop.into_error(one, links, self.mapped_max))?;
            links += found.len() as u64;
            for target in &found {
                faults
                    .extend(builder.push_relationship(&link(one, &job.scope, target)?, None).err());
                if let Some(batch) = builder.take_full() {
                    uploads.append(batch, |_| JobInput::new(spec.clone()))?;
                }
            }
            if faults.len() > FAULTS_MAX {
                break;
            }
        }
        // Entities come last, since several mappings may add facts to one made target.
        for (key, facts) in &made.entities {
            faults.extend(builder.push_entity(&entity(key, facts)?, None).err());
            if let Some(batch) = builder.take_full() {
                uploads.append(batch, |_| JobInput::new(spec.clone()))?;
            }
        }
        if !faults.is_empty() {
            return Err(SyncError::faults(&InputNames::default(), faults).into());
        }
        uploads.append(builder.finish(), |_| JobInput::new(spec.clone()))?;
        let job = uploads.job_mut(&job.scope).expect("BUG: it is the first job");
        job.skipped = skipped;
        Ok(true)
    }
}

/// Targets that are made, and where to find them again.
#[derive(Default)]
struct CreatedTargets {
    entities: BTreeMap<String, Map<String, Json>>,
    by_values: HashMap<(Vec<String>, Vec<String>, Vec<String>), String>,
}

/// The targets of one mapping. Those of the mapped scope are made anew.
fn targets(
    search: &mut TargetSearch<'_>,
    one: &MappedRelationship,
    made: &mut CreatedTargets,
    most: u64,
) -> Result<Vec<MappedTarget>, TargetSearchError> {
    let facts = &one.mapping.target_entity;
    let alternatives: Vec<Vec<String>> =
        one.mapping.target_filter_keys.iter().map(FilterKeys::names).collect();
    let mut found = BTreeSet::new();
    for names in &alternatives {
        found.extend(search.find(facts, names, most)?);
        if found.len() as u64 > most {
            return Err(TargetSearchError::TooMany(found.len() as u64));
        }
    }
    let ours = search.ours.clone();
    // Real entities of other scopes go before a target that the mapper made.
    if found.iter().any(|target| target.scope != ours) {
        found.retain(|target| target.scope != ours);
        return Ok(found.into_iter().collect());
    }
    // The values under each alternative, by which a later mapping finds the same target.
    let places: Vec<_> = alternatives
        .iter()
        .filter_map(|names| Some((names.clone(), wanted(facts, names)?, classes_of(facts))))
        .collect();
    // A target made for an earlier mapping of this job, else the one that an earlier job left.
    let again = places.iter().find_map(|place| made.by_values.get(place)).cloned();
    let known = again.or_else(|| found.pop_first().map(|target| target.key));
    let key = match known {
        Some(key) => key,
        None if one.mapping.skip_target_creation => return Ok(Vec::new()),
        None => match facts.get("_key").and_then(Json::as_str) {
            Some(key) => key.to_owned(),
            None => {
                let values =
                    places.first().map(|(_, values, _)| values.join(",")).unwrap_or_default();
                format!(
                    "{}:{values}",
                    facts.get("_type").and_then(Json::as_str).unwrap_or("mapped")
                )
            }
        },
    };
    // A target that is made is one relationship as well.
    if most == 0 {
        return Err(TargetSearchError::TooMany(1));
    }
    for place in places {
        made.by_values.insert(place, key.clone());
    }
    made.entities.entry(key.clone()).or_default().extend(facts.clone());
    Ok(vec![MappedTarget { scope: ours, key }])
}

fn value(name: &str, json: &Json) -> Result<Value<'static>, Error> {
    let wrong = || Error::usage(format!("`{name}` is neither a scalar nor a list of scalars"), "");
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => Value::number(&n.to_string()).ok_or_else(wrong)?,
        Json::String(text) => Value::Text(text.clone().into()),
        Json::Array(items) => {
            Value::List(items.iter().map(|item| value(name, item)).collect::<Result<_, _>>()?)
        }
        Json::Object(_) => return Err(wrong()),
    })
}

/// The members that are properties, in order.
fn properties(
    members: &Map<String, Json>,
) -> Result<Vec<(std::borrow::Cow<'static, str>, Value<'static>)>, Error> {
    let mut all = Vec::new();
    for (name, json) in members.iter().filter(|(name, _)| !name.starts_with('_')) {
        all.push((name.clone().into(), value(name, json)?));
    }
    all.sort_by(|a: &(std::borrow::Cow<'_, str>, _), b| a.0.cmp(&b.0));
    Ok(all)
}

fn entity(key: &str, facts: &Map<String, Json>) -> Result<DraftEntity<'static>, Error> {
    let mut classes = classes_of(facts);
    if classes.is_empty() {
        classes.push("Record".to_owned());
    }
    let type_name = facts.get("_type").and_then(Json::as_str).unwrap_or("mapped_entity");
    Ok(DraftEntity {
        key: Some(key.to_owned().into()),
        type_name: Some(type_name.to_owned().into()),
        classes: classes.into_iter().map(Into::into).collect(),
        properties: properties(facts)?,
        ..DraftEntity::default()
    })
}

fn link(
    one: &MappedRelationship,
    scope: &str,
    target: &MappedTarget,
) -> Result<DraftRelationship<'static>, Error> {
    let end = |key: &str, scope: &str| DraftEnd {
        key: Some(key.to_owned().into()),
        scope: Some(scope.to_owned().into()),
        id: None,
    };
    let source = end(&one.mapping.source_entity_key, scope);
    let target_end = end(&target.key, &target.scope);
    let (from, to) = match one.mapping.relationship_direction {
        MappedDirection::Forward => (source, target_end),
        MappedDirection::Reverse => (target_end, source),
    };
    Ok(DraftRelationship {
        key: format!("{}|{}|{}", one.key, target.scope, target.key).into(),
        type_name: one.type_name.clone().into(),
        class: one.class.clone().into(),
        from,
        to,
        properties: properties(&one.properties)?,
        ..DraftRelationship::default()
    })
}

/// Checks a mapped relationship as far as it can be without the graph.
///
/// # Errors
///
/// The mistake, with its path below the relationship.
pub fn check_mapped(one: &MappedRelationship, mode: SyncMode) -> Result<(), String> {
    use crate::graph::{NameKind, check_name};
    if mode != SyncMode::Diff {
        return Err(format!("._mapping (reason={mode} jobs take no mapped relationships)"));
    }
    let named = |path: &str, kind, text: &str| {
        check_name(kind, text).map_err(|e| format!("{path} (reason={e})"))
    };
    named("._key", NameKind::Key, &one.key)?;
    named("._type", NameKind::Type, &one.type_name)?;
    named("._class", NameKind::Class, &one.class)?;
    named("._mapping.sourceEntityKey", NameKind::Key, &one.mapping.source_entity_key)?;
    let ends = ["_fromEntityKey", "_fromEntityId", "_toEntityKey", "_toEntityId"];
    if let Some(end) = ends.iter().find(|end| one.properties.contains_key(**end)) {
        return Err(format!(".{end} (reason=a relationship has `_mapping` or ends, not both)"));
    }
    let facts = &one.mapping.target_entity;
    for (path, members) in
        [("", &one.properties), ("._mapping.targetEntity", &one.mapping.target_entity)]
    {
        for (name, json) in members {
            if path.is_empty() && name.starts_with('_') {
                continue;
            }
            let scalar = |json: &Json| !json.is_object() && !json.is_array();
            let flat = match json {
                Json::Array(items) => items.iter().all(scalar),
                json => scalar(json),
            };
            if !flat {
                return Err(format!(
                    "{path}.{name} (reason=Expected string | number | boolean or a list of one \
                     of them but was object)"
                ));
            }
            if !name.starts_with('_') {
                named(&format!("{path}.{name}"), NameKind::Property, name)?;
            }
        }
    }
    for (name, kind) in [("_type", NameKind::Type), ("_key", NameKind::Key)] {
        if let Some(text) = facts.get(name).and_then(Json::as_str) {
            named(&format!("._mapping.targetEntity.{name}"), kind, text)?;
        }
    }
    for class in classes_of(facts) {
        named("._mapping.targetEntity._class", NameKind::Class, &class)?;
    }
    if one.mapping.target_filter_keys.is_empty() {
        return Err("._mapping.targetFilterKeys (reason=it has no alternative)".into());
    }
    Ok(())
}
