//! The names that live objects have: scopes, verbs, classes and types, in every spelling.

use super::{AnswerAdvice, AnswerError};
use crate::graph::{CLASS_SEPARATOR, GraphRead, NameLookup, ObjectKind, same_name, same_verb};
use crate::store::Snapshot;
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};

/// Known names that the error about an unknown name lists.
const LISTED: usize = 12;

/// Returns the number of a scope, which must hold something.
pub fn scope(snapshot: &Snapshot, name: &str) -> Result<u32, AnswerError> {
    let scopes = snapshot.scopes()?;
    match snapshot.name_number(name) {
        // A name has a number also if it is only a type or a class, so the scopes decide.
        Some(number) if scopes.iter().any(|scope| scope == name) => Ok(number),
        _ => {
            let fault = AnswerError::not_found(format!("no scope `{name}`"));
            Err(match nearest(name, scopes.iter().map(String::as_str)) {
                Some(near) => fault.advise(AnswerAdvice::Nearest(near.to_owned())),
                None => fault.advise(AnswerAdvice::ListScopes),
            })
        }
    }
}

/// Returns the names of live objects that match `asked`, as they are stored. Verbs and classes
/// match in each of their spellings, types letter by letter. `noun` is `verb`, `class` or `type`.
///
/// # Errors
///
/// Fails on a name that nothing has, or that only something of another kind has.
pub fn spellings(
    snapshot: &Snapshot,
    noun: &str,
    asked: &[String],
) -> Result<Vec<String>, AnswerError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let used = UsedNames::read(snapshot)?;
    let mut found = Vec::new();
    for name in asked {
        let same = used.of(noun).keys().filter(|known| used.same(noun, known, name));
        let before = found.len();
        found.extend(same.map(|known| (*known).to_owned()));
        if found.len() == before {
            return Err(used.unknown(noun, name));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Returns those of `names` that no live entity has as a class or as a type, each with the most similar
/// one that some have.
pub fn unknown_kinds<'s>(
    snapshot: &'s Snapshot,
    names: &BTreeSet<&'s str>,
) -> Result<Vec<(&'s str, Option<&'s str>)>, AnswerError> {
    let used = UsedNames::read(snapshot)?;
    let kinds = || used.classes.keys().chain(used.types.keys()).copied();
    let has = |name: &str| {
        used.types.contains_key(name) || used.classes.keys().any(|class| same_name(class, name))
    };
    let unknown = names.iter().filter(|name| !has(name));
    Ok(unknown.map(|name| (*name, nearest(name, kinds()))).collect())
}

/// Returns the verbs of live relationships, each spelling for itself.
pub fn verbs(snapshot: &Snapshot) -> Result<Vec<String>, AnswerError> {
    let used = UsedNames::read(snapshot)?;
    Ok(used.verbs.keys().map(|verb| (*verb).to_owned()).collect())
}

/// The names of live objects, each with the number of objects that have it.
struct UsedNames<'s> {
    verbs: BTreeMap<&'s str, u64>,
    classes: BTreeMap<&'s str, u64>,
    types: BTreeMap<&'s str, u64>,
}

impl<'s> UsedNames<'s> {
    fn read(snapshot: &'s Snapshot) -> Result<UsedNames<'s>, AnswerError> {
        let [mut verbs, mut classes, mut types] = [const { BTreeMap::new() }; 3];
        for (_, row) in snapshot.scope_rows()? {
            for (&set, &n) in &row.count(ObjectKind::Entity).classes {
                let set = snapshot.name(set).split(CLASS_SEPARATOR).filter(|c| !c.is_empty());
                set.for_each(|class| *classes.entry(class).or_default() += n);
            }
            for (&verb, &n) in &row.count(ObjectKind::Relationship).classes {
                *verbs.entry(snapshot.name(verb)).or_default() += n;
            }
            for (&name, &n) in row.counts.iter().flat_map(|counts| &counts.types) {
                *types.entry(snapshot.name(name)).or_default() += n;
            }
        }
        let mut used = UsedNames { verbs, classes, types };
        for map in [&mut used.verbs, &mut used.classes, &mut used.types] {
            map.retain(|_, n| *n > 0);
        }
        Ok(used)
    }

    fn of(&self, noun: &str) -> &BTreeMap<&'s str, u64> {
        match noun {
            "verb" => &self.verbs,
            "class" => &self.classes,
            _ => &self.types,
        }
    }

    fn same(&self, noun: &str, known: &str, asked: &str) -> bool {
        match noun {
            "verb" => same_verb(known, asked),
            "class" => same_name(known, asked),
            _ => known == asked,
        }
    }

    /// Makes the error for an unknown name. It tells if the name is of another kind, and suggests
    /// the nearest name or lists the most frequent ones.
    fn unknown(&self, noun: &str, name: &str) -> AnswerError {
        let mut message = format!("no {noun} `{name}` in this database");
        for other in ["class", "verb", "type"] {
            let known = self.of(other).keys().find(|known| self.same(other, known, name));
            if let Some(known) = known.filter(|_| other != noun) {
                message.push_str(&format!("; `{known}` is a {other}"));
                break;
            }
        }
        let fault = AnswerError::not_found(message);
        if let Some(near) = nearest(name, self.of(noun).keys().copied()) {
            return fault.advise(AnswerAdvice::Nearest(near.to_owned()));
        }
        let mut most: Vec<(&str, u64)> = self.of(noun).iter().map(|(n, c)| (*n, *c)).collect();
        // The most frequent names tell most about the graph; ties go by name, so that a message
        // stays the same.
        most.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let more = most.len() > LISTED;
        let names: Vec<String> =
            most.iter().take(LISTED).map(|(name, _)| (*name).to_owned()).collect();
        let plural = if noun == "class" { "classes".to_owned() } else { format!("{noun}s") };
        fault.advise(match names.is_empty() {
            true => AnswerAdvice::NoSuchNames(plural),
            false => AnswerAdvice::KnownNames { plural, names, more },
        })
    }
}

/// Returns the numbers of the class sets that hold one of `asked` in any spelling; `None` if none
/// is asked for.
///
/// # Errors
///
/// Fails on a class that nothing has.
pub fn class_sets(
    snapshot: &Snapshot,
    asked: &[String],
) -> Result<Option<FxHashSet<u32>>, AnswerError> {
    if asked.is_empty() {
        return Ok(None);
    }
    let classes = spellings(snapshot, "class", asked)?;
    let counts = snapshot.counts()?;
    // A counted name stands for a whole class set, so each one is taken apart.
    let sets = counts.iter().flat_map(|scope| scope.classes.keys().copied());
    let wanted = |set: &u32| {
        let mut names = snapshot.name(*set).split(CLASS_SEPARATOR);
        names.any(|name| classes.iter().any(|class| class == name))
    };
    Ok(Some(sets.filter(wanted).collect()))
}

/// Returns the numbers of these types; `None` if none is asked for.
///
/// # Errors
///
/// Fails on a type that nothing has.
pub fn type_numbers(
    snapshot: &Snapshot,
    asked: &[String],
) -> Result<Option<FxHashSet<u32>>, AnswerError> {
    let types = spellings(snapshot, "type", asked)?;
    let numbers = types.iter().filter_map(|name| snapshot.name_number(name)).collect();
    Ok(Some(numbers).filter(|_| !asked.is_empty()))
}

/// Returns the most similar of `names`, if any is similar.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .filter(|other| !other.is_empty())
        .map(|other| (strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase()), other))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_has_a_nearest_one() {
        let names = || ["OWNS", "HAS", "DEPLOYS"].into_iter();
        assert_eq!(nearest("owns", names()), Some("OWNS"));
        assert_eq!(nearest("DEPLOY", names()), Some("DEPLOYS"));
        assert_eq!(nearest("xyz", names()), None);
    }
}
