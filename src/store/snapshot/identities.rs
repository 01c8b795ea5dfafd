//! Objects by the hash of their `_id`, in one scope.

use super::{Snapshot, missing};
use crate::graph::{IdHash, ObjectId, ObjectKind};
use crate::store::StoreError;
use crate::store::heads::CHUNK;
use crate::store::identity::{IdentityEntry, IdentityRow};
use crate::store::tables;
use crate::store::tiles::{self, StoredTile};
use std::ops::RangeInclusive;

impl Snapshot {
    /// The hash by which an `_id` is found.
    pub fn hashed(&self, id: ObjectId) -> IdHash {
        id.hashed(self.meta.digest_seed)
    }

    /// The object with this `_id` in a scope.
    pub fn find(
        &self,
        kind: ObjectKind,
        scope: u32,
        id: ObjectId,
    ) -> Result<Option<IdentityEntry>, StoreError> {
        // Two ids may have the same hash, so the key decides.
        let Some(found) = self.find_hash(kind, scope, self.hashed(id))? else { return Ok(None) };
        let head = self
            .head(kind, found.number)?
            .ok_or_else(|| missing("heads", &tables::head_key(kind, found.number / CHUNK)))?;
        let key = self.key_of(kind, &head)?;
        Ok((ObjectId::new(kind, self.words.text(scope), &key) == id).then_some(found))
    }

    /// The object in a scope whose `_id` has this hash.
    pub fn find_hash(
        &self,
        kind: ObjectKind,
        scope: u32,
        id: IdHash,
    ) -> Result<Option<IdentityEntry>, StoreError> {
        let mut found = None;
        self.find_many(kind, scope, std::iter::once(id), |identity| found = identity)?;
        Ok(found)
    }

    /// Looks up the objects with these hashes, which ascend, in one scope. `found` is called once
    /// for each hash, in order; each row is read once.
    pub fn find_many(
        &self,
        kind: ObjectKind,
        scope: u32,
        ids: impl Iterator<Item = IdHash>,
        mut found: impl FnMut(Option<IdentityEntry>),
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        let mut ids = ids.peekable();
        while let Some(&first) = ids.peek() {
            let at = first.0.to_be_bytes();
            let (mut any, mut fault) = (false, None);
            let walked =
                tiles::for_each_between(&self.identity, "identity", &space, [&at, &at], |tile| {
                    let row = IdentityRow::parse(tile.contents)?;
                    while let Some(id) = ids.next_if(|id| tile.reaches(&id.0.to_be_bytes())) {
                        found(row.find(id).and_then(|entry| self.then(kind, entry, &mut fault)));
                    }
                    any = true;
                    Some(())
                });
            // After a fault the engine only says that it gave up, so the first one counts.
            fault.map_or(walked, Err)?;
            // The space is empty: the remaining hashes are not found either.
            if !any {
                ids.for_each(|_| found(None));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Calls `visit` for every object of a kind in a scope, in ascending order of hashes.
    pub fn for_each_identity(
        &self,
        kind: ObjectKind,
        scope: u32,
        mut visit: impl FnMut(IdentityEntry),
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        let mut fault = None;
        let walked = tiles::all(&self.identity, "identity", &space, |tile: &StoredTile<'_, 8>| {
            let entries = IdentityRow::parse(tile.contents)?.iter();
            entries.filter_map(|entry| self.then(kind, entry, &mut fault)).for_each(&mut visit);
            Some(())
        });
        fault.map_or(walked, Err)
    }

    /// An identity as it is in this state; `None` if its object is not there. The digest is that of
    /// the newest state: only jobs ask for it, and they plan on no other.
    fn then(
        &self,
        kind: ObjectKind,
        entry: IdentityEntry,
        fault: &mut Option<StoreError>,
    ) -> Option<IdentityEntry> {
        if self.past.is_none() {
            return Some(entry);
        }
        match self.facts(kind, entry.number) {
            Ok(facts) => facts.map(|facts| IdentityEntry { live: facts.live, ..entry }),
            Err(e) => {
                fault.get_or_insert(e);
                None
            }
        }
    }

    /// Adds the objects of a kind in a scope whose hashes lie in a range, in ascending order.
    pub fn identities_between(
        &self,
        kind: ObjectKind,
        scope: u32,
        range: RangeInclusive<IdHash>,
        found: &mut Vec<IdentityEntry>,
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        let [from, to] = [range.start(), range.end()].map(|id| id.0.to_be_bytes());
        let (start, mut fault) = (found.len(), None);
        let walked =
            tiles::for_each_between(&self.identity, "identity", &space, [&from, &to], |tile| {
                let row = IdentityRow::parse(tile.contents)?;
                let inside = row.iter().filter(|identity| range.contains(&identity.id));
                found.extend(inside.filter_map(|entry| self.then(kind, entry, &mut fault)));
                Some(())
            });
        fault.map_or(walked, Err)?;
        // Tiles came from the last to the first.
        found[start..].sort_unstable_by_key(|identity| identity.id);
        Ok(())
    }
}
