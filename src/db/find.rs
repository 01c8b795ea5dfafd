//! Naming entities: `SCOPE::KEY`, a bare key, or an `_id`.

use super::{Database, Error};
use crate::graph::{GraphRead, Kind, Names, ObjectId};
use crate::store::Snapshot;

/// Keys offered for one that is unknown.
const OFFERED: usize = 5;
/// Candidates listed for one that is ambiguous.
const CANDIDATES: usize = 20;

impl Database {
    /// The number of the live entity that `name` names in a snapshot.
    ///
    /// # Errors
    ///
    /// A usage error that lists the candidates of an ambiguous key, or the nearest keys of an
    /// unknown one.
    pub fn find_entity(&self, snapshot: &Snapshot, name: &str) -> Result<u32, Error> {
        let scopes: Vec<u32> = snapshot.scope_numbers()?.collect();
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
