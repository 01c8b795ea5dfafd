//! What a mapping may link: the scopes with their types, and the properties that entities there have.

use super::AnswerError;
use crate::graph::{GraphRead, NameLookup, ObjectKind};
use crate::mapping::MappingGraph;
use crate::store::Snapshot;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// A scope as whoever writes a mapping needs to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappableScope {
    /// Its name.
    pub scope: String,
    /// The types of its entities, each with their number, the most frequent first.
    pub types: Vec<(String, u64)>,
    /// Properties of its entities, the most frequent first.
    pub properties: Vec<String>,
    /// The `_key` of one of them.
    pub key: Option<String>,
}

/// The entities of each type that are looked at for their properties.
const LOOKED_AT: usize = 50;

/// The scopes that hold entities, by name.
///
/// # Errors
///
/// Any error of reading.
pub fn mappable_scopes(snapshot: &Snapshot) -> Result<Vec<MappableScope>, AnswerError> {
    let mut samples: FxHashMap<(u32, u32), Vec<u32>> = FxHashMap::default();
    snapshot.for_each_live(ObjectKind::Entity, |number, chunk, row| {
        let sample = samples.entry((chunk.scope(row), chunk.type_name(row))).or_default();
        if sample.len() < LOOKED_AT {
            sample.push(number);
        }
    })?;
    let mut numbers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for ((scope, _), sample) in samples {
        numbers.entry(snapshot.name(scope).to_owned()).or_default().extend(sample);
    }
    let mut found = Vec::new();
    for (scope, mut sample) in numbers {
        let mut types = MappingGraph::types(snapshot, &scope)?;
        types.retain(|(_, count)| *count > 0);
        types.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut key = None;
        sample.sort_unstable();
        for number in sample {
            let Some(entity) = snapshot.entity(number)? else { continue };
            for (name, _) in &entity.properties {
                *counts.entry(name.clone()).or_default() += 1;
            }
            key.get_or_insert(entity.key);
        }
        let mut properties: Vec<(String, u64)> = counts.into_iter().collect();
        properties.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let properties = properties.into_iter().map(|(name, _)| name).collect();
        found.push(MappableScope { scope, types, properties, key });
    }
    Ok(found)
}
