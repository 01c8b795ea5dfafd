//! From numbers to names: the heads of entities and relationships that answers consist of.

use super::ask::Step;
use super::failure::{Failure, inconsistent};
use rustc_hash::FxHashMap;
use serde::Serialize;
use tombolo::graph::{
    CLASS_SEPARATOR, EntityHead, GraphRead, Kind, Names, ObjectId, default_relationship_key,
};
use tombolo::store::{Head, Label, Snapshot};

/// What an answer says about a relationship: all but its properties.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    /// `_id`.
    #[serde(rename = "_id")]
    pub id: String,
    /// `_key`.
    #[serde(rename = "_key")]
    pub key: String,
    /// `_type`.
    #[serde(rename = "_type")]
    pub type_name: String,
    /// `_class`: the verb.
    #[serde(rename = "_class")]
    pub class: String,
    /// `_scope`: the scope of the job that owns it.
    #[serde(rename = "_scope")]
    pub scope: String,
    /// Number of the entity it starts at.
    #[serde(skip)]
    pub from: u32,
    /// Number of the entity it ends at.
    #[serde(skip)]
    pub to: u32,
}

/// The head of an entity that the graph itself named.
pub fn entity(snapshot: &Snapshot, number: u32) -> Result<EntityHead, Failure> {
    snapshot
        .entity_head(number)?
        .ok_or_else(|| inconsistent(format_args!("entity number {number} is missing")))
}

fn link_head(snapshot: &Snapshot, number: u32) -> Result<Head, Failure> {
    snapshot
        .head(Kind::Relationship, number)?
        .ok_or_else(|| inconsistent(format_args!("relationship number {number} is missing")))
}

/// The head of a relationship that the graph itself named.
pub fn link(snapshot: &Snapshot, number: u32) -> Result<Link, Failure> {
    let head = link_head(snapshot, number)?;
    let key = snapshot.relationship_key(&head)?;
    Ok(named(snapshot, &Label::of(&head), key, (head.from, head.to)))
}

fn named(snapshot: &Snapshot, label: &Label, key: String, (from, to): (u32, u32)) -> Link {
    let scope = snapshot.name(label.scope).to_owned();
    Link {
        id: ObjectId::new(Kind::Relationship, &scope, &key).to_string(),
        key,
        type_name: snapshot.name(label.type_name).to_owned(),
        class: snapshot.name(label.verb).to_owned(),
        scope,
        from,
        to,
    }
}

/// The heads of many relationships in the order asked for. They are read in number order, so that
/// each block of the file is read once.
pub fn links(snapshot: &Snapshot, numbers: &[u32]) -> Result<Vec<Link>, Failure> {
    in_number_order(numbers, |number| link(snapshot, number))
}

/// The relationships that steps take, between entities whose keys are known. Most are named by their
/// labels, so that their heads are not read.
pub fn links_of<'s>(
    snapshot: &Snapshot,
    steps: impl IntoIterator<Item = &'s Step>,
    keys: &FxHashMap<u32, &str>,
) -> Result<Vec<Link>, Failure> {
    let mut links = Vec::new();
    let mut unnamed = Vec::new();
    for (at, step) in steps.into_iter().enumerate() {
        let (from, to) = step.ends();
        let label = snapshot.labels().get(step.label).filter(|label| label.derived_key);
        match (label, keys.get(&from), keys.get(&to)) {
            (Some(label), Some(from_key), Some(to_key)) => {
                let key = default_relationship_key(from_key, snapshot.name(label.verb), to_key);
                links.push((at, named(snapshot, label, key, (from, to))));
            }
            _ => unnamed.push((at, step.relationship)),
        }
    }
    let numbers: Vec<u32> = unnamed.iter().map(|(_, number)| *number).collect();
    let others = self::links(snapshot, &numbers)?;
    links.extend(unnamed.into_iter().map(|(at, _)| at).zip(others));
    links.sort_unstable_by_key(|(at, _)| *at);
    Ok(links.into_iter().map(|(_, link)| link).collect())
}

/// The heads of many entities in the order asked for, read in number order.
pub fn entities(snapshot: &Snapshot, numbers: &[u32]) -> Result<Vec<EntityHead>, Failure> {
    in_number_order(numbers, |number| entity(snapshot, number))
}

fn in_number_order<T>(
    numbers: &[u32],
    mut read: impl FnMut(u32) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_unstable_by_key(|&i| numbers[i]);
    let mut found: Vec<Option<T>> = numbers.iter().map(|_| None).collect();
    for i in order {
        found[i] = Some(read(numbers[i])?);
    }
    Ok(found.into_iter().flatten().collect())
}

/// The number of a scope that must hold something.
pub fn scope(snapshot: &Snapshot, name: &str) -> Result<u32, Failure> {
    let scopes = snapshot.scopes()?;
    match snapshot.name_number(name) {
        Some(number) if scopes.iter().any(|scope| scope == name) => Ok(number),
        _ => {
            let fault = Failure::mistake(format!("no scope `{name}`"));
            Err(match nearest(name, scopes.iter().map(String::as_str)) {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault.hint("`tombolo scopes` lists all"),
            })
        }
    }
}

/// The verbs, classes or types among `asked` must be names that the graph uses somewhere: a
/// misspelt filter would look like an empty answer.
pub fn known(snapshot: &Snapshot, noun: &str, asked: &[String]) -> Result<(), Failure> {
    for name in asked {
        if snapshot.name_number(name).is_some() || in_a_class_set(snapshot, name) {
            continue;
        }
        let texts = snapshot.words().iter().map(|(text, _)| text);
        let near = nearest(name, texts.flat_map(|text| text.split(CLASS_SEPARATOR)));
        let fault = Failure::mistake(format!("no {noun} `{name}` in this database"));
        return Err(match near {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint("`tombolo stats` lists what there is"),
        });
    }
    Ok(())
}

/// Classes are named in sets, each set being one name.
fn in_a_class_set(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.words().iter().any(|(text, _)| text.split(CLASS_SEPARATOR).any(|class| class == name))
}

/// The most similar of `names`, if any is similar.
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

    #[test]
    fn answers_come_in_the_order_asked_for() {
        let mut read = Vec::new();
        let found = in_number_order(&[7, 3, 5], |number| {
            read.push(number);
            Ok(number * 10)
        });
        assert_eq!(found.ok(), Some(vec![70, 30, 50]));
        assert_eq!(read, [3, 5, 7]);
    }
}
