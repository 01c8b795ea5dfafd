//! Edges whose ends are keys: once all entities are known, their ends are looked for.

use super::account::SourceOutcome;
use super::entities::EntityTable;
use super::maker::entity_of;
use super::record::{EndKeys, KeyDigest, RelationshipRecord, records};
use super::relationships::LoggedRelationship;
use super::resolved::DraftNames;
use super::values::SourceNames;
use crate::graph::{InputLocation, NameKind, check_name, default_relationship_key};
use rustc_hash::FxHashMap;

/// An edge of the log whose ends were looked for.
pub(super) struct SettledEdge {
    pub place: InputLocation,
    /// The number of its rule.
    pub rule: u32,
    /// The edge, or the bucket that it ends in and the reason.
    pub outcome: Result<LoggedRelationship, (SourceOutcome, String)>,
}

/// Looks for the ends of edges.
pub(super) struct EdgeSettler<'e> {
    entities: &'e EntityTable,
    names: &'e SourceNames,
    texts: DraftNames,
    /// The types that edges have which say none, by the types of their ends and the class between.
    types: FxHashMap<(u32, u32, u32), u32>,
}

impl<'e> EdgeSettler<'e> {
    pub(super) fn new(entities: &'e EntityTable, names: &'e SourceNames) -> EdgeSettler<'e> {
        let (texts, types) = (DraftNames::of(names), FxHashMap::default());
        EdgeSettler { entities, names, texts, types }
    }

    /// The edges in a piece of the log that begins at `start`.
    pub(super) fn piece(mut self, start: u64, bytes: &[u8]) -> Vec<SettledEdge> {
        let mut settled = Vec::new();
        for (at, record) in records(bytes) {
            let end = at + size_of::<u32>() + record.len();
            let Some((record, hash)) = RelationshipRecord::take(record) else { continue };
            let outcome = self.edge(&record).map(|(key, from, to, type_name)| LoggedRelationship {
                key,
                again: false,
                start: start + at as u64,
                end: start + end as u64,
                hash,
                from,
                to,
                class: record.class,
                type_name,
            });
            settled.push(SettledEdge { place: record.place, rule: record.rule, outcome });
        }
        settled
    }

    /// The key, the ends and the type of an edge.
    fn edge(
        &mut self,
        record: &RelationshipRecord<'_>,
    ) -> Result<(KeyDigest, u32, u32, u32), (SourceOutcome, String)> {
        let end = |keys: &EndKeys<'_>, word: &str| {
            entity_of(self.entities, keys)
                .map_err(|reason| (SourceOutcome::Dangling, format!("{word}: {reason}")))
        };
        let (from, to) = (end(&record.from, "from")?, end(&record.to, "to")?);
        let key = match &record.key {
            Some(key) => KeyDigest::of(key),
            None => {
                let verb = self.texts.type_name(record.class);
                let ends = [(&record.from, from), (&record.to, to)];
                let [from_key, to_key] = ends.map(|(keys, entity)| self.key(keys, entity));
                let key = default_relationship_key(from_key, verb, to_key);
                check_name(NameKind::Key, &key)
                    .map_err(|error| (SourceOutcome::NoReference, error.to_string()))?;
                KeyDigest::of(&key)
            }
        };
        let type_name = match record.type_name {
            Some(number) => number,
            None => self.default_type(from, record.class, to),
        };
        Ok((key, from, to, type_name))
    }

    /// The key among those of an end that its entity has.
    fn key<'k>(&self, keys: &'k EndKeys<'_>, entity: u32) -> &'k str {
        match keys.others.is_empty() {
            true => &keys.first,
            false => keys
                .iter()
                .find(|key| self.entities.with_key(key) == Some(entity))
                .unwrap_or(&keys.first),
        }
    }

    fn default_type(&mut self, from: u32, class: u32, to: u32) -> u32 {
        let (from, to) = (self.entities.type_of(from), self.entities.type_of(to));
        *self.types.entry((from, class, to)).or_insert_with(|| {
            let [from, class, to] = [from, class, to].map(|number| self.texts.type_name(number));
            self.names.type_number(&format!("{from}_{}_{to}", class.to_lowercase()))
        })
    }
}
