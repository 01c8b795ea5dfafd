//! Naming entities: `SCOPE::KEY`, a bare key, an `_id` or its end, or what people call them.
//!
//! The file has no index of bare keys: ids are computed from scope and key, so a bare key is one
//! search in each scope that has live entities. [`EntityKeyIndex`] is such an index in memory, for callers
//! who ask many times of one snapshot. A name that is no key is looked for in one pass over all
//! entities.

use super::{Database, Error};
use crate::graph::{GraphRead, NameLookup, ObjectId, ObjectKind, SHORT_ID};
use crate::store::{IdentityEntry, Snapshot, StoreError};
use crate::sync::JobReport;
use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Properties by whose values an entity may be named, beside its `displayName`.
pub const NAMING: [&str; 5] = ["arn", "email", "hostname", "name", "serialNumber"];

/// Keys offered for one that is unknown.
const OFFERED: usize = 5;
/// Candidates listed for one that is ambiguous.
const CANDIDATES: usize = 20;

/// Keys that are put into the table together.
const TOGETHER: usize = 64;

/// Every live entity of a snapshot by its key. It takes 16 to 32 bytes of memory for each, and a
/// pass over all heads to build, which pays from some thousand questions on.
///
/// It holds places and hashes. The keys themselves stay in the file, where each answer is checked.
pub struct EntityKeyIndex {
    /// Open addressing with linear probing: the upper half is part of the hash, the lower half one
    /// more than the number of the entity; 0 is free.
    slots: Box<[u64]>,
    seed: u64,
}

impl EntityKeyIndex {
    /// Reads the keys of all live entities.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn build(snapshot: &Snapshot) -> Result<EntityKeyIndex, Error> {
        let mut live = 0;
        for (_, row) in snapshot.scope_rows()? {
            live += row.count(ObjectKind::Entity).live as usize;
        }
        // A secret seed, so that nobody can prepare keys that all fall into one place.
        let seed = snapshot.meta().digest_seed;
        // At most half of the slots are ever taken, so that probing ends soon.
        let mut keys =
            EntityKeyIndex { slots: vec![0; (live * 2).next_power_of_two()].into(), seed };
        let mut room = live;
        let mut pending = Vec::with_capacity(TOGETHER);
        snapshot.for_each_entity_key(|number, key| {
            // Counts and heads that disagree must not fill the table: a full one would be probed
            // forever.
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

    /// The first place of a key, and the upper half of its slot.
    fn place(&self, key: &[u8]) -> (usize, u64) {
        let hash = xxh3_64_with_seed(key, self.seed);
        (hash as usize & (self.slots.len() - 1), hash & !u64::from(u32::MAX))
    }

    /// Puts numbers with their places into the table. The places are far apart. All are read before
    /// the first is written, so that the waits for memory overlap.
    fn insert(&mut self, pending: &mut Vec<(u32, (usize, u64))>) {
        let touched = pending.iter().fold(0, |all, (_, (at, _))| all ^ self.slots[*at]);
        // Without this the compiler would drop the reads, whose sum nobody uses.
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
        // A name that can be more than a bare key is read by `find` alone.
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
    /// The number of the live entity that `name` names in a snapshot: as `SCOPE::KEY`, by its key,
    /// by its `_id` or the end of it, by its `displayName`, or by a value of one of [`NAMING`].
    /// Exact forms go before the others, and a name must fit exactly one entity.
    ///
    /// A key is looked up. Only a name that is no key costs a pass over all entities.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownEntity`], which tells who deleted a deleted entity or offers the entities
    /// nearest to an unknown name, or [`Error::Usage`] with the candidates of an ambiguous name.
    #[doc(hidden)]
    pub fn find_entity(&self, snapshot: &Snapshot, name: &str) -> Result<u32, Error> {
        find(snapshot, name)
    }
}

fn find(snapshot: &Snapshot, name: &str) -> Result<u32, Error> {
    // The order of the attempts is the order of precedence that `find_entity` promises.
    let scopes: Vec<u32> = snapshot.entity_scopes()?.collect();
    for (scope, key) in in_scopes(snapshot, name, &scopes) {
        if let Some(found) = identity_by_key(snapshot, scope, key)?.filter(|found| found.live) {
            return Ok(found.number);
        }
    }
    let mut found = Vec::new();
    for &scope in &scopes {
        found.extend(
            identity_by_key(snapshot, scope, name)?.filter(|found| found.live).map(|f| f.number),
        );
    }
    match found.as_slice() {
        [number] => return Ok(*number),
        [] => {}
        many => return Err(ambiguous(snapshot, format!("`{name}` is the key of"), many)?),
    }
    if let Some(id) = ObjectId::parse(name) {
        for &scope in &scopes {
            if let Some(found) = snapshot.find(ObjectKind::Entity, scope, id)?.filter(|f| f.live) {
                return Ok(found.number);
            }
        }
    }
    let called = NameMatches::look(snapshot, name, &scopes)?;
    match called.live.as_slice() {
        [number] => Ok(*number),
        [] => Err(match matching_tombstones(snapshot, name, called.deleted)?.as_slice() {
            [] => unknown(snapshot, name)?,
            gone => deleted(snapshot, name, gone)?,
        }),
        many => Err(ambiguous(snapshot, format!("`{name}` names"), many)?),
    }
}

/// The readings of `name` as `SCOPE::KEY`. Keys may hold `::` themselves (ARNs do), so every cut
/// behind one of `scopes` is one.
fn in_scopes<'n>(
    snapshot: &Snapshot,
    name: &'n str,
    scopes: &[u32],
) -> impl Iterator<Item = (u32, &'n str)> {
    name.match_indices("::").filter_map(|(at, _)| {
        let scope = snapshot.name_number(&name[..at]).filter(|scope| scopes.contains(scope))?;
        Some((scope, &name[at + 2..]))
    })
}

fn identity_by_key(
    snapshot: &Snapshot,
    scope: u32,
    key: &str,
) -> Result<Option<IdentityEntry>, Error> {
    let id = ObjectId::new(ObjectKind::Entity, snapshot.name(scope), key);
    Ok(snapshot.find(ObjectKind::Entity, scope, id)?)
}

/// A text with its folded form, which its other spellings share.
struct CaseFoldedText<'a> {
    text: &'a str,
    folded: String,
}

impl<'a> CaseFoldedText<'a> {
    fn new(text: &'a str) -> CaseFoldedText<'a> {
        let text = text.trim();
        CaseFoldedText { text, folded: fold(text) }
    }

    /// True if `other` is a spelling of the same text. Most texts are plain ASCII, which is
    /// compared in place.
    fn is(&self, other: &str) -> bool {
        let other = other.trim();
        if other.is_ascii() {
            return self.folded.eq_ignore_ascii_case(other);
        }
        other == self.text || fold(other) == self.folded
    }
}

/// `text` without regard to case and to the composition of its letters.
fn fold(text: &str) -> String {
    // Upper case first, then lower: `ß` and `SS` meet only on this way. Another case may undo NFKC,
    // so it comes twice.
    let letters = text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    letters.collect::<String>().nfkc().collect()
}

/// The entities that a name fits, other than by key, by ascending number.
#[derive(Default)]
struct NameMatches {
    live: Vec<u32>,
    deleted: Vec<u32>,
}

impl NameMatches {
    /// Looks at every entity once.
    fn look(snapshot: &Snapshot, name: &str, scopes: &[u32]) -> Result<NameMatches, Error> {
        let mut found = NameMatches::default();
        if name.trim().is_empty() {
            return Ok(found);
        }
        let readings: Vec<(Option<u32>, CaseFoldedText<'_>)> = std::iter::once((None, name))
            .chain(in_scopes(snapshot, name, scopes).map(|(scope, rest)| (Some(scope), rest)))
            .map(|(scope, text)| (scope, CaseFoldedText::new(text)))
            .filter(|(_, folded)| !folded.text.is_empty())
            .collect();
        let mut names = Vec::new();
        for name in NAMING {
            names.extend(snapshot.property_number(name)?);
        }
        // An end of an id costs a hash for each entity, so it is asked only where the name looks
        // like one.
        let id = Some(name.trim()).filter(|text| is_end_of_id(text));
        snapshot.for_each_entity_row(|number, chunk, row| {
            let scope = chunk.scope(row);
            let fits = |text: &str| {
                readings
                    .iter()
                    .any(|(only, folded)| only.is_none_or(|only| only == scope) && folded.is(text))
            };
            let damaged = || StoreError::corrupt("heads", &[], "text is damaged");
            let mut called = chunk.display(row).ok_or_else(damaged)?.is_some_and(|t| fits(&t));
            if let Some(end) = id {
                let key = chunk.key(row).ok_or_else(damaged)?;
                called |=
                    ObjectId::new(ObjectKind::Entity, snapshot.name(scope), &key).ends_with(end);
            }
            if !called && !names.is_empty() {
                snapshot.for_each_text(chunk, row, &names, |_, text| called |= fits(text))?;
            }
            if called {
                let list = if chunk.live(row) { &mut found.live } else { &mut found.deleted };
                list.push(number);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// True if `text` can be the end of an `_id`.
fn is_end_of_id(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_hexdigit() || b == b'-';
    (SHORT_ID..36).contains(&text.len()) && text.bytes().all(letter)
}

/// The tombstones that a name fits: those with this key, else those in `called`.
fn matching_tombstones(
    snapshot: &Snapshot,
    name: &str,
    called: Vec<u32>,
) -> Result<Vec<u32>, Error> {
    let scopes: Vec<u32> = snapshot.scope_numbers()?.collect();
    let readings = in_scopes(snapshot, name, &scopes);
    let bare = scopes.iter().map(|scope| (*scope, name));
    let mut found = Vec::new();
    for (scope, key) in readings.chain(bare) {
        found.extend(identity_by_key(snapshot, scope, key)?.map(|identity| identity.number));
    }
    // A whole id is asked only after all keys, as in `find`.
    if found.is_empty()
        && let Some(id) = ObjectId::parse(name)
    {
        found.extend(snapshot.number_of(ObjectKind::Entity, id)?);
    }
    Ok(if found.is_empty() { called } else { found })
}

/// `SCOPE::KEY` of an entity, and its name.
fn candidate(snapshot: &Snapshot, number: u32) -> Result<String, Error> {
    let Some(head) = snapshot.entity_head(number)? else { return Ok(String::new()) };
    let name = head.display_name.filter(|name| *name != head.key && !name.trim().is_empty());
    // Each candidate has one line, whatever it is called.
    let name = name.map_or(String::new(), |name| format!("   {}", on_one_line(&name)));
    Ok(format!("{}::{}{name}", head.scope, head.key))
}

/// A name with its line feeds and other control characters escaped.
fn on_one_line(name: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    name.chars().map(escaped).collect()
}

/// Candidates below each other, `most` of them.
fn listed(snapshot: &Snapshot, numbers: &[u32], most: usize) -> Result<String, Error> {
    let names = numbers.iter().map(|number| candidate(snapshot, *number));
    let mut names = names.collect::<Result<Vec<String>, Error>>()?;
    names.sort();
    let more = names.len().saturating_sub(most);
    names.truncate(most);
    let mut text: String = names.iter().map(|name| format!("\n  {name}")).collect();
    if more > 0 {
        text.push_str(&format!("\n  … {more} more"));
    }
    Ok(text)
}

fn ambiguous(snapshot: &Snapshot, what: String, numbers: &[u32]) -> Result<Error, Error> {
    let candidates = listed(snapshot, numbers, CANDIDATES)?;
    let what = format!("{what} {} entities", numbers.len());
    Ok(Error::usage(what, format!("name one by its scope and key:{candidates}")))
}

/// The error for a name of deleted entities: the job that deleted each, and the time.
fn deleted(snapshot: &Snapshot, name: &str, numbers: &[u32]) -> Result<Error, Error> {
    let mut lines = Vec::new();
    let mut jobs: Vec<String> = Vec::new();
    for &number in numbers.iter().take(OFFERED) {
        let Some(head) = snapshot.head(ObjectKind::Entity, number)? else { continue };
        let time = jiff::Timestamp::from_millisecond(head.end)
            .map_or_else(|_| format!("{} ms", head.end), |time| time.to_string());
        let mut by = String::new();
        if let Some(job) = snapshot.job(head.job)? {
            let id = job.id.to_string();
            let short = id[id.len() - SHORT_ID..].to_owned();
            let mode = serde_json::from_slice::<JobReport>(&job.report).ok();
            let mode = mode.map_or(String::new(), |report| format!("{}, ", report.sync_mode));
            by = format!(" by job {short} ({mode}source `{}`)", job.source);
            jobs.push(short);
        }
        lines.push(format!("{} was deleted at {time}{by}", candidate(snapshot, number)?));
    }
    jobs.dedup();
    let what = match lines.as_slice() {
        [one] => format!("no live entity is called `{name}`: {one}"),
        many => format!(
            "no live entity is called `{name}`, {} deleted ones are:\n  {}",
            numbers.len(),
            many.join("\n  ")
        ),
    };
    let hint = jobs.first().map(|job| {
        format!(
            "`tombolo job show {job}` tells more, \
             `tombolo job undo {job}` brings back what that job deleted"
        )
    });
    Ok(Error::UnknownEntity(what, hint))
}

/// The error for an unknown name. It looks through all keys and names for near ones, which is slow,
/// but happens only on the way to an error.
fn unknown(snapshot: &Snapshot, name: &str) -> Result<Error, Error> {
    let key = name.rsplit_once("::").map_or(name, |(_, key)| key).to_lowercase();
    let mut near: Vec<(f64, u32)> = Vec::new();
    let like = |text: &str| {
        // Texts of very different length are never alike.
        if text.len() > key.len() * 3 + 8 && !text.to_lowercase().contains(&key) {
            return 0.0;
        }
        let text = text.to_lowercase();
        let likeness = strsim::jaro_winkler(&key, &text);
        // A text that contains the name is near it, however long it is.
        if key.len() > 2 && text.contains(&key) { likeness.max(0.9) } else { likeness }
    };
    snapshot.for_each_live(ObjectKind::Entity, |number, chunk, row| {
        let keyed = chunk.key(row).map_or(0.0, |text| like(&text));
        let called = chunk.display(row).flatten().map_or(0.0, |text| like(&text));
        let likeness = keyed.max(called);
        if likeness > 0.8 {
            near.push((likeness, number));
        }
        // Keeps memory bounded; the best of these stay, so the final order is the same.
        if near.len() > 4096 {
            near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            near.truncate(OFFERED);
        }
    })?;
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let near: Vec<u32> = near.into_iter().take(OFFERED).map(|(_, number)| number).collect();
    let what = format!("no live entity is called `{name}`");
    let hint = match near.is_empty() {
        true => "name it SCOPE::KEY; `tombolo scopes` lists the scopes".to_owned(),
        false => format!("the nearest are:{}", listed(snapshot, &near, OFFERED)?),
    };
    Ok(Error::UnknownEntity(what, Some(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::SyncRequest;
    use crate::sync::{InputFormat, InputSource, SyncMode};
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
                mode: SyncMode::Diff,
                source: "api".into(),
                dry_run: false,
                ignore_duplicates: false,
                allow_deletes: Some(100),
                partial_types: Vec::new(),
                same_scope_reject: false,
            };
            let reader = Box::new(Cursor::new(text.into_bytes()));
            let input = InputSource::new("test", InputFormat::Ndjson, reader);
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
        let keys = EntityKeyIndex::build(&snapshot).expect("sound");
        let id = ObjectId::new(ObjectKind::Entity, "okta", "bob").to_string();
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
    fn spellings_of_one_name_are_one() {
        for (a, b, same) in [
            ("Alice Smith", "alice smith", true),
            ("  alice ", "ALICE", true),
            ("Zoe\u{308}", "ZOË", true),
            ("Straße", "STRASSE", true),
            ("\u{212a}elvin", "kelvin", true),
            ("alice", "alicia", false),
            ("", "x", false),
        ] {
            assert_eq!(CaseFoldedText::new(a).is(b), same, "{a} {b}");
            assert_eq!(CaseFoldedText::new(b).is(a), same, "{b} {a}");
        }
    }

    #[test]
    fn the_end_of_an_id_is_eight_letters_or_more() {
        assert!(is_end_of_id("1a2b3c4d") && is_end_of_id("C-1a2b3c4d"));
        assert!(!is_end_of_id("1a2b3c4") && !is_end_of_id("alice-00") && !is_end_of_id(""));
    }

    #[test]
    fn an_empty_graph_has_no_keys() {
        let (_folder, database) = graph(&[]);
        let snapshot = database.snapshot().expect("sound");
        assert!(EntityKeyIndex::build(&snapshot).expect("sound").find(&snapshot, "x").is_err());
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
            .edit(&crate::db::EditRequest {
                scope: "s00".into(),
                source: "api".into(),
                objects: String::new(),
                deletes: vec![(
                    ObjectKind::Entity,
                    ObjectId::new(ObjectKind::Entity, "s00", keys[0][0]),
                )],
            })
            .expect("deleted");
        let snapshot = database.snapshot().expect("sound");
        let homes = |asked: &[&str]| {
            let found = snapshot.entities_with_keys(asked.iter().copied()).expect("sound");
            let name = |number: &u32| {
                let facts =
                    snapshot.facts(ObjectKind::Entity, *number).expect("sound").expect("there");
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
        let id = |scope: &str, key: &str| {
            (ObjectKind::Entity, ObjectId::new(ObjectKind::Entity, scope, key))
        };
        let asked: Vec<_> = scopes
            .iter()
            .flat_map(|(scope, keys)| keys.iter().map(move |key| id(scope, key)))
            .chain([
                id("s00", "none"),
                id("none", "k1"),
                (ObjectKind::Relationship, id("s01", "k3").1),
            ])
            .collect();
        let owners = snapshot.scopes_of(&asked).expect("sound");
        assert_eq!(owners.len(), asked.len() - 3);
        for (scope, keys) in &scopes {
            assert!(keys.iter().all(|key| owners[&id(scope, key)] == *scope), "{scope}");
        }
    }
}
