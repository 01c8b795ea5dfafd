//! Searches for objects in all scopes at once, for callers that know an `_id` or a bare key and no
//! scope.
//!
//! The file is searched by scope and hash, so a single question is one search in each scope. Many
//! questions at once share their searches: their cost does not grow with questions times scopes.

use super::{IdentityEntry, Snapshot, StoreError};
use crate::graph::{IdHash, NameLookup, ObjectId, ObjectKind};
use rustc_hash::{FxHashMap, FxHashSet};

/// Keys that a pass over all entities reads in the time of one search in a scope, about.
const KEYS_IN_A_SEARCH: u64 = 32;

impl Snapshot {
    /// The live entities that have one of these keys, in any scope: their numbers, ascending by
    /// scope.
    ///
    /// Few keys are searched for in each scope. For many, one pass reads all keys.
    pub fn entities_with_keys<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k str>,
    ) -> Result<FxHashMap<String, Vec<u32>>, StoreError> {
        let keys: FxHashSet<&str> = keys.into_iter().collect();
        let mut found: FxHashMap<String, Vec<u32>> = FxHashMap::default();
        let (mut scopes, mut live) = (Vec::new(), 0);
        for (number, row) in self.known_scopes()? {
            if row.count(ObjectKind::Entity).live > 0 {
                scopes.push(*number);
                live += row.count(ObjectKind::Entity).live;
            }
        }
        // The estimated cost decides; a few searches are always allowed, as a pass has a cost of
        // its own.
        if (keys.len() * scopes.len()) as u64 <= live / KEYS_IN_A_SEARCH + 16 {
            for key in keys {
                for &scope in &scopes {
                    let id = ObjectId::new(ObjectKind::Entity, self.name(scope), key);
                    if let Some(one) =
                        self.find(ObjectKind::Entity, scope, id)?.filter(|one| one.live)
                    {
                        found.entry(key.to_owned()).or_default().push(one.number);
                    }
                }
            }
            return Ok(found);
        }
        self.for_each_entity_key(|number, key| {
            if let Ok(key) = std::str::from_utf8(key)
                && keys.contains(key)
            {
                found.entry(key.to_owned()).or_default().push(number);
            }
        })?;
        let mut scope_of = FxHashMap::default();
        for &number in found.values().flatten() {
            let facts = self.facts(ObjectKind::Entity, number)?;
            scope_of.insert(number, facts.map_or(0, |facts| facts.scope));
        }
        for numbers in found.values_mut() {
            // The pass goes by number; both ways must give the same order.
            numbers.sort_unstable_by_key(|number| (scope_of[number], *number));
        }
        Ok(found)
    }

    /// The objects of a kind with these hashes, in any scope, tombstones included: name number of
    /// the scope, and identity. Each row of the file is read once at most.
    pub fn find_in_all_scopes(
        &self,
        kind: ObjectKind,
        ids: &[IdHash],
    ) -> Result<FxHashMap<IdHash, (u32, IdentityEntry)>, StoreError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut found = FxHashMap::default();
        for scope in self.scope_numbers()? {
            self.find_many(kind, scope, ids.iter().copied(), |one| {
                if let Some(one) = one {
                    found.entry(one.id).or_insert((scope, one));
                }
            })?;
        }
        Ok(found)
    }

    /// The names of the scopes that own these objects. An object that is not stored is left out.
    pub fn scopes_of(
        &self,
        ids: &[(ObjectKind, ObjectId)],
    ) -> Result<FxHashMap<(ObjectKind, ObjectId), String>, StoreError> {
        let mut owners = FxHashMap::default();
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            let ids = ids.iter().filter(|(of, _)| *of == kind).map(|(_, id)| *id);
            let ids: FxHashMap<IdHash, ObjectId> = ids.map(|id| (self.hashed(id), id)).collect();
            let hashes: Vec<IdHash> = ids.keys().copied().collect();
            for (hash, (scope, one)) in self.find_in_all_scopes(kind, &hashes)? {
                // Two ids may have the same hash, so the key decides.
                if let Some(head) = self.head(kind, one.number)?
                    && ObjectId::new(kind, self.name(scope), &self.key_of(kind, &head)?)
                        == ids[&hash]
                {
                    owners.insert((kind, ids[&hash]), self.name(scope).to_owned());
                }
            }
        }
        Ok(owners)
    }
}
