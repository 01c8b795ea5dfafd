//! Naming entities: `SCOPE::KEY`, a bare key, or an `_id`.
//!
//! There is no index of bare keys in the file: ids are computed from scope and key, so a bare key
//! is one search in each scope that has live entities. [`Keys`] is such an index in memory, for
//! those who ask of one snapshot many times.

use super::{Database, Error};
use crate::graph::{GraphRead, Kind, Names, ObjectId};
use crate::store::Snapshot;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Keys offered for one that is unknown.
const OFFERED: usize = 5;
/// Candidates listed for one that is ambiguous.
const CANDIDATES: usize = 20;

/// Keys that are put into a table together.
const TOGETHER: usize = 64;

/// Every live entity of a snapshot by its key: 16 to 32 bytes of memory for each, and a
/// pass over all heads to build it, which pays from some thousand questions on.
///
/// It holds places and hashes. Keys themselves stay in the file, where each answer is checked.
pub struct Keys {
    /// Open addressing with linear probing: the upper half is part of the hash, the lower half one
    /// more than the number of the entity; 0 is free.
    slots: Box<[u64]>,
    seed: u64,
}

impl Keys {
    /// Reads the keys of all live entities.
    ///
    /// # Errors
    ///
    /// What reading fails with.
    pub fn build(snapshot: &Snapshot) -> Result<Keys, Error> {
        let mut live = 0;
        for (_, row) in snapshot.scope_rows()? {
            live += row.count(Kind::Entity).live as usize;
        }
        // A secret seed, so that nobody can prepare keys that all fall into one place.
        let seed = snapshot.meta().digest_seed;
        let mut keys = Keys { slots: vec![0; (live * 2).next_power_of_two()].into(), seed };
        let mut room = live;
        let mut pending = Vec::with_capacity(TOGETHER);
        snapshot.for_each_entity_key(|number, key| {
            if let Some(left) = room.checked_sub(1) {
                room = left;
                pending.push((number, keys.place(key)));
                if pending.len() == TOGETHER {
                    keys.insert(&mut pending);
                }
            }
        })?;
        keys.insert(&mut pending);
        Ok(keys)
    }

    /// The first place of a key, and what its slot has in the upper half.
    fn place(&self, key: &[u8]) -> (usize, u64) {
        let hash = xxh3_64_with_seed(key, self.seed);
        (hash as usize & (self.slots.len() - 1), hash & !u64::from(u32::MAX))
    }

    /// Puts numbers with their places into the table. The places are far apart, so all are read
    /// before the first is written: their ways through memory overlap.
    fn insert(&mut self, pending: &mut Vec<(u32, (usize, u64))>) {
        let touched = pending.iter().fold(0, |all, (_, (at, _))| all ^ self.slots[*at]);
        std::hint::black_box(touched);
        for (number, (mut at, tag)) in pending.drain(..) {
            while self.slots[at] != 0 {
                at = (at + 1) & (self.slots.len() - 1);
            }
            self.slots[at] = tag | u64::from(number + 1);
        }
    }

    /// The entities that may have this key.
    fn candidates(&self, key: &str) -> impl Iterator<Item = u32> + '_ {
        let (first, tag) = self.place(key.as_bytes());
        let wrap = self.slots.len() - 1;
        (0..self.slots.len())
            .map(move |step| self.slots[(first + step) & wrap])
            .take_while(|slot| *slot != 0)
            .filter(move |slot| slot & !u64::from(u32::MAX) == tag)
            .map(|slot| slot as u32 - 1)
    }

    /// [`Database::find_entity`] in the same snapshot, mostly without a search.
    ///
    /// # Errors
    ///
    /// Those of [`Database::find_entity`].
    pub fn find(&self, snapshot: &Snapshot, name: &str) -> Result<u32, Error> {
        // What can be more than a bare key is read the one right way.
        if !name.contains("::") && ObjectId::parse(name).is_none() {
            let mut found = Vec::new();
            for number in self.candidates(name) {
                if snapshot.has_key(number, name)? {
                    found.push(number);
                }
            }
            if let [number] = found.as_slice() {
                return Ok(*number);
            }
        }
        find(snapshot, name)
    }
}

impl Database {
    /// The number of the live entity that `name` names in a snapshot.
    ///
    /// # Errors
    ///
    /// A usage error that lists the candidates of an ambiguous key, or the nearest keys of an
    /// unknown one.
    pub fn find_entity(&self, snapshot: &Snapshot, name: &str) -> Result<u32, Error> {
        find(snapshot, name)
    }
}

fn find(snapshot: &Snapshot, name: &str) -> Result<u32, Error> {
    let scopes: Vec<u32> = snapshot.entity_scopes()?.collect();
    // Keys may hold `::` themselves (ARNs do), so every cut after a known scope is tried.
    for (at, _) in name.match_indices("::") {
        let (scope, key) = (&name[..at], &name[at + 2..]);
        if let Some(number) = snapshot.name_number(scope).filter(|n| scopes.contains(n))
            && let Some(found) = live(snapshot, number, key)?
        {
            return Ok(found);
        }
    }
    if let Some(id) = ObjectId::parse(name) {
        for &scope in &scopes {
            if let Some(found) = snapshot.find(Kind::Entity, scope, id)?.filter(|f| f.live) {
                return Ok(found.number);
            }
        }
    }
    let mut found = Vec::new();
    for &scope in &scopes {
        if let Some(number) = live(snapshot, scope, name)? {
            found.push((snapshot.name(scope).to_owned(), number));
        }
    }
    match found.as_slice() {
        [(_, number)] => Ok(*number),
        [] => Err(unknown(snapshot, name)?),
        many => {
            let mut names: Vec<String> =
                many.iter().map(|(scope, _)| format!("{scope}::{name}")).collect();
            names.sort();
            names.truncate(CANDIDATES);
            let what = format!("`{name}` is the key of {} entities", many.len());
            Err(Error::usage(what, format!("name one of: {}", names.join(", "))))
        }
    }
}

fn live(snapshot: &Snapshot, scope: u32, key: &str) -> Result<Option<u32>, Error> {
    let id = ObjectId::new(Kind::Entity, snapshot.name(scope), key);
    Ok(snapshot.find(Kind::Entity, scope, id)?.filter(|f| f.live).map(|f| f.number))
}

/// Looks through all keys for near ones; slow, but only on the way to an error.
fn unknown(snapshot: &Snapshot, name: &str) -> Result<Error, Error> {
    let key = name.rsplit_once("::").map_or(name, |(_, key)| key);
    let mut near: Vec<(f64, u32)> = Vec::new();
    snapshot.for_each_live(Kind::Entity, |number, chunk, row| {
        let Some(head) = chunk.get(row) else { return };
        let mut likeness = strsim::jaro_winkler(key, &head.key);
        if head.key.contains(key) {
            likeness = likeness.max(0.9);
        }
        if likeness > 0.8 {
            near.push((likeness, number));
        }
        if near.len() > 4096 {
            near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            near.truncate(OFFERED);
        }
    })?;
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    near.truncate(OFFERED);
    let mut names = Vec::new();
    for (_, number) in near {
        if let Some(head) = snapshot.entity_head(number)? {
            names.push(format!("{}::{}", head.scope, head.key));
        }
    }
    let what = format!("no live entity is called `{name}`");
    Ok(match names.is_empty() {
        true => Error::usage(what, "name it SCOPE::KEY; `tombolo scopes` lists the scopes"),
        false => Error::usage(what, format!("the nearest are: {}", names.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::SyncRequest;
    use crate::sync::{Format, Input, Mode};
    use std::io::Cursor;

    /// A database with these entities: scope and keys.
    fn graph(scopes: &[(&str, &[&str])]) -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::create(&folder.path().join("graph.redb")).expect("a new file");
        for (scope, keys) in scopes {
            let line = |key: &&str| {
                serde_json::json!({"_key": key, "_type": "t", "_class": "User"}).to_string() + "\n"
            };
            let text: String = keys.iter().map(line).collect();
            let request = SyncRequest {
                scope: Some((*scope).into()),
                mode: Mode::Diff,
                source: "api".into(),
                dry_run: false,
                ignore_duplicates: false,
                allow_deletes: Some(100),
                partial_types: Vec::new(),
                same_scope_reject: false,
            };
            let reader = Box::new(Cursor::new(text.into_bytes()));
            let input = Input { name: "test".into(), format: Format::Ndjson, reader };
            database.sync(&request, &mut [input], &|_| {}).expect("a good upload");
        }
        (folder, database)
    }

    #[test]
    fn keys_in_memory_find_what_a_search_finds() {
        let (_folder, database) = graph(&[
            ("okta", &["alice", "bob", "both", "gone", "arn::x"]),
            ("okta", &["alice", "bob", "both", "arn::x"]),
            ("jamf", &["laptop", "both"]),
        ]);
        let snapshot = database.snapshot().expect("sound");
        let keys = Keys::build(&snapshot).expect("sound");
        let id = ObjectId::new(Kind::Entity, "okta", "bob").to_string();
        for name in ["alice", "bob", "laptop", "arn::x", "jamf::both", &id] {
            let found = keys.find(&snapshot, name).expect(name);
            assert_eq!(database.find_entity(&snapshot, name).expect(name), found);
            let key = snapshot.entity_head(found).expect("sound").expect("there").key;
            assert!(name.ends_with(&key) || name == id, "{name} is {key}");
        }
        for name in ["both", "gone", "nobody", "", "jamf::alice"] {
            let fault = keys.find(&snapshot, name).map_err(|e| e.to_string());
            assert!(fault.is_err(), "{name}");
            assert_eq!(fault, database.find_entity(&snapshot, name).map_err(|e| e.to_string()));
        }
    }

    #[test]
    fn an_empty_graph_has_no_keys() {
        let (_folder, database) = graph(&[]);
        let snapshot = database.snapshot().expect("sound");
        assert!(Keys::build(&snapshot).expect("sound").find(&snapshot, "x").is_err());
    }

    #[test]
    fn what_is_found_in_all_scopes_at_once_is_what_each_scope_holds() {
        let names: Vec<(String, Vec<String>)> = (0..40)
            .map(|scope| {
                let keys = (0..5).map(|key| format!("k{}", (scope * 3 + key * 7) % 50));
                (format!("s{scope:02}"), keys.collect())
            })
            .collect();
        let keys: Vec<Vec<&str>> =
            names.iter().map(|(_, keys)| keys.iter().map(String::as_str).collect()).collect();
        let scopes: Vec<(&str, &[&str])> =
            names.iter().zip(&keys).map(|((scope, _), keys)| (scope.as_str(), &keys[..])).collect();
        let (_folder, database) = graph(&scopes);
        // Tombstones are no homes, and still have owners.
        database
            .edit(&crate::db::Edit {
                scope: "s00".into(),
                source: "api".into(),
                objects: String::new(),
                deletes: vec![(Kind::Entity, ObjectId::new(Kind::Entity, "s00", keys[0][0]))],
            })
            .expect("deleted");
        let snapshot = database.snapshot().expect("sound");
        let homes = |asked: &[&str]| {
            let found = snapshot.entities_with_keys(asked.iter().copied()).expect("sound");
            let name = |number: &u32| {
                let facts = snapshot.facts(Kind::Entity, *number).expect("sound").expect("there");
                snapshot.name(facts.scope).to_owned()
            };
            let mut all: Vec<(String, Vec<String>)> = found
                .into_iter()
                .map(|(key, numbers)| (key, numbers.iter().map(name).collect()))
                .collect();
            all.sort();
            all
        };
        let expected = |asked: &[&str]| {
            let mut all = Vec::new();
            for &key in asked {
                let lives = |(at, (_, keys)): &(usize, &(&str, &[&str]))| {
                    keys.contains(&key) && (*at > 0 || key != keys[0])
                };
                let scopes: Vec<String> = scopes
                    .iter()
                    .enumerate()
                    .filter(lives)
                    .map(|(_, (scope, _))| (*scope).to_owned())
                    .collect();
                if !scopes.is_empty() {
                    all.push((key.to_owned(), scopes));
                }
            }
            all.sort();
            all
        };
        let many: Vec<String> = (0..60).map(|key| format!("k{key}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        // Few are searched for, many are read in one pass.
        for asked in [&many[..0], &many[..1], &many[3..4], &many[..10], &many[..]] {
            assert_eq!(homes(asked), expected(asked), "{} keys", asked.len());
        }
        let id = |scope: &str, key: &str| (Kind::Entity, ObjectId::new(Kind::Entity, scope, key));
        let asked: Vec<_> = scopes
            .iter()
            .flat_map(|(scope, keys)| keys.iter().map(move |key| id(scope, key)))
            .chain([id("s00", "none"), id("none", "k1"), (Kind::Relationship, id("s01", "k3").1)])
            .collect();
        let owners = snapshot.scopes_of(&asked).expect("sound");
        assert_eq!(owners.len(), asked.len() - 3);
        for (scope, keys) in &scopes {
            assert!(keys.iter().all(|key| owners[&id(scope, key)] == *scope), "{scope}");
        }
    }
}
