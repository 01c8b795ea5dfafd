//! Names for numbers: reads the heads of the entities and relationships in an answer, and writes
//! them for people.

use super::ask::WalkStep;
use super::failure::{CommandError, inconsistent};
use super::output::{AnswerWriter, KEY, clean};
use anstyle::Style;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tombolo::graph::{
    CLASS_SEPARATOR, EntityFacts, EntityHead, GraphRead, NameLookup, ObjectId, ObjectKind,
    default_relationship_key, same_name, same_verb,
};
use tombolo::store::{ObjectHead, RelationshipLabel, Snapshot, StoreError};

/// A relationship in an answer: everything but its properties.
#[derive(Clone, Debug, Serialize)]
pub struct RelationshipHead {
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
    /// Its number.
    #[serde(skip)]
    pub number: u32,
    /// Number of the entity it starts at.
    #[serde(skip)]
    pub from: u32,
    /// Number of the entity it ends at.
    #[serde(skip)]
    pub to: u32,
}

/// Returns the word of answers for a step with the arrow of its relationship (`out`) or against it
/// (`in`).
pub const fn direction(with_arrow: bool) -> &'static str {
    if with_arrow { "out" } else { "in" }
}

/// Verbs that a note names before it counts the rest.
const VERBS: usize = 8;

/// Joins the first of some verbs, each in words of its own, and adds the number of the others.
pub fn some_verbs(mut verbs: impl ExactSizeIterator<Item = String>) -> String {
    let more = verbs.len().saturating_sub(VERBS);
    let mut words: Vec<String> = verbs.by_ref().take(VERBS).collect();
    if more > 0 {
        words.push(format!("{more} more verbs"));
    }
    words.join(", ")
}

/// Known names that the error about an unknown name lists.
const LISTED: usize = 12;

/// Returns the name that people use for an entity: its `displayName`, if that says more than its
/// key.
pub fn display<'a>(name: Option<&'a str>, key: &str) -> Option<&'a str> {
    name.filter(|name| *name != key && !name.trim().is_empty())
}

/// `Alice Smith (okta-user:00u1a2b3)`: the name of an entity and its key, or the key alone if it
/// has no other name.
pub fn called(out: &AnswerWriter<'_>, name: Option<&str>, key: &str) -> String {
    styled(out, Style::new(), name, key)
}

/// Returns the name and key of an entity, see [`called`].
pub fn shown(out: &AnswerWriter<'_>, entity: &EntityHead) -> String {
    called(out, entity.display_name.as_deref(), &entity.key)
}

/// The same with its scope, at the head of an answer: `Alice Smith (okta-user:1)  (@okta)`.
pub fn heading(out: &AnswerWriter<'_>, entity: &EntityHead) -> String {
    let title = title(out, entity.display_name.as_deref(), &entity.key);
    format!("{title}  (@{})", clean(&entity.scope))
}

/// The name and key alone, at the head of an answer.
pub fn title(out: &AnswerWriter<'_>, name: Option<&str>, key: &str) -> String {
    styled(out, Style::new().bold(), name, key)
}

fn styled(out: &AnswerWriter<'_>, style: Style, name: Option<&str>, key: &str) -> String {
    match display(name, key) {
        Some(name) => {
            let key = out.paint(KEY, &format!("({})", clean(key)));
            format!("{} {key}", out.paint(style, &clean(name)))
        }
        None => out.paint(style, &clean(key)),
    }
}

/// Returns name and key as plain text, for a cell of a table or a drawing.
pub fn label(name: Option<&str>, key: &str) -> String {
    match display(name, key) {
        Some(name) => format!("{name} ({key})"),
        None => key.to_owned(),
    }
}

/// About the bytes that the names of one entity take, or those of one relationship.
pub const NAMED_BYTES: u64 = 400;

/// Reads the head of an entity; its number comes from the graph, so a missing one is damage.
pub fn entity(snapshot: &Snapshot, number: u32) -> Result<EntityHead, CommandError> {
    snapshot
        .entity_head(number)?
        .ok_or_else(|| inconsistent(format_args!("entity number {number} is missing")))
}

fn link_head(snapshot: &Snapshot, number: u32) -> Result<ObjectHead, CommandError> {
    snapshot
        .head(ObjectKind::Relationship, number)?
        .ok_or_else(|| inconsistent(format_args!("relationship number {number} is missing")))
}

/// Reads the head of a relationship; its number comes from the graph, so a missing one is damage.
pub fn link(snapshot: &Snapshot, number: u32) -> Result<RelationshipHead, CommandError> {
    let head = link_head(snapshot, number)?;
    let key = snapshot.relationship_key(&head)?;
    Ok(named(snapshot, number, &RelationshipLabel::of(&head), key, (head.from, head.to)))
}

fn named(
    snapshot: &Snapshot,
    number: u32,
    label: &RelationshipLabel,
    key: String,
    (from, to): (u32, u32),
) -> RelationshipHead {
    let scope = snapshot.name(label.scope).to_owned();
    RelationshipHead {
        // The id follows from scope and key, so it is computed and not read.
        id: ObjectId::new(ObjectKind::Relationship, &scope, &key).to_string(),
        key,
        type_name: snapshot.name(label.type_name).to_owned(),
        class: snapshot.name(label.verb).to_owned(),
        scope,
        number,
        from,
        to,
    }
}

/// Reads the heads of many relationships and returns them in the order asked for. They are read in
/// number order, so that each block of the file is read once.
pub fn links(snapshot: &Snapshot, numbers: &[u32]) -> Result<Vec<RelationshipHead>, CommandError> {
    in_number_order(numbers, |number| link(snapshot, number))
}

/// Names the relationships of steps between entities whose keys are known. Most are named by their
/// labels, so that their heads are not read.
pub fn links_of<'s>(
    snapshot: &Snapshot,
    steps: impl IntoIterator<Item = &'s WalkStep>,
    keys: &FxHashMap<u32, &str>,
) -> Result<Vec<RelationshipHead>, CommandError> {
    let mut links = Vec::new();
    let mut unnamed = Vec::new();
    for (at, step) in steps.into_iter().enumerate() {
        let (from, to) = step.ends();
        // Only a key that is made from the ends and the verb can be made again here.
        let label = snapshot.labels().get(step.label).filter(|label| label.derived_key);
        match (label, keys.get(&from), keys.get(&to)) {
            (Some(label), Some(from_key), Some(to_key)) => {
                let key = default_relationship_key(from_key, snapshot.name(label.verb), to_key);
                let number = step.relationship;
                links.push((at, named(snapshot, number, label, key, (from, to))));
            }
            _ => unnamed.push((at, step.relationship)),
        }
    }
    let numbers: Vec<u32> = unnamed.iter().map(|(_, number)| *number).collect();
    let others = self::links(snapshot, &numbers)?;
    links.extend(unnamed.into_iter().map(|(at, _)| at).zip(others));
    // Both ways of naming give back the order of the steps.
    links.sort_unstable_by_key(|(at, _)| *at);
    Ok(links.into_iter().map(|(_, link)| link).collect())
}

/// Reads the heads of many entities in number order, and returns them in the order asked for.
pub fn entities(snapshot: &Snapshot, numbers: &[u32]) -> Result<Vec<EntityHead>, CommandError> {
    in_number_order(numbers, |number| entity(snapshot, number))
}

fn in_number_order<T>(
    numbers: &[u32],
    mut read: impl FnMut(u32) -> Result<T, CommandError>,
) -> Result<Vec<T>, CommandError> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_unstable_by_key(|&i| numbers[i]);
    let mut found: Vec<Option<T>> = numbers.iter().map(|_| None).collect();
    for i in order {
        found[i] = Some(read(numbers[i])?);
    }
    Ok(found.into_iter().flatten().collect())
}

/// Returns the number of a scope, which must hold something.
pub fn scope(snapshot: &Snapshot, name: &str) -> Result<u32, CommandError> {
    let scopes = snapshot.scopes()?;
    match snapshot.name_number(name) {
        // A name has a number also if it is only a type or a class, so the scopes decide.
        Some(number) if scopes.iter().any(|scope| scope == name) => Ok(number),
        _ => {
            let fault = CommandError::mistake(format!("no scope `{name}`"));
            Err(match nearest(name, scopes.iter().map(String::as_str)) {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault.hint("`tombolo scopes` lists all"),
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
) -> Result<Vec<String>, CommandError> {
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

/// Returns the verbs of live relationships, each spelling for itself.
pub fn verbs(snapshot: &Snapshot) -> Result<Vec<String>, CommandError> {
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
    fn read(snapshot: &'s Snapshot) -> Result<UsedNames<'s>, CommandError> {
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
    fn unknown(&self, noun: &str, name: &str) -> CommandError {
        let mut message = format!("no {noun} `{name}` in this database");
        for other in ["class", "verb", "type"] {
            let known = self.of(other).keys().find(|known| self.same(other, known, name));
            if let Some(known) = known.filter(|_| other != noun) {
                message.push_str(&format!("; `{known}` is a {other}"));
                break;
            }
        }
        let fault = CommandError::mistake(message);
        if let Some(near) = nearest(name, self.of(noun).keys().copied()) {
            return fault.hint(format!("did you mean `{near}`?"));
        }
        let mut most: Vec<(&str, u64)> = self.of(noun).iter().map(|(n, c)| (*n, *c)).collect();
        // The most frequent names tell most about the graph; ties go by name, so that a message
        // stays the same.
        most.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let names: Vec<&str> = most.iter().take(LISTED).map(|(name, _)| *name).collect();
        let plural = if noun == "class" { "classes".to_owned() } else { format!("{noun}s") };
        match names.is_empty() {
            true => fault.hint(format!("it has no {plural} at all")),
            false => fault.hint(format!(
                "{plural} here are {}{}",
                names.join(", "),
                if most.len() > LISTED { ", …; `tombolo stats` lists all" } else { "" }
            )),
        }
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
) -> Result<Option<FxHashSet<u32>>, CommandError> {
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

fn type_numbers(
    snapshot: &Snapshot,
    asked: &[String],
) -> Result<Option<FxHashSet<u32>>, CommandError> {
    let types = spellings(snapshot, "type", asked)?;
    let numbers = types.iter().filter_map(|name| snapshot.name_number(name)).collect();
    Ok(Some(numbers).filter(|_| !asked.is_empty()))
}

/// A choice of entities by scope, class and type: the entities that a question is about, or
/// reports.
#[derive(Default)]
pub struct EntityFilter {
    scopes: Option<FxHashSet<u32>>,
    class_sets: Option<FxHashSet<u32>>,
    types: Option<FxHashSet<u32>>,
    /// The choice in words: ` of class Device in scope jamf`.
    pub words: String,
}

impl EntityFilter {
    /// Reads the filter from flags; every name must exist in the graph.
    pub fn read(
        snapshot: &Snapshot,
        scopes: &[String],
        classes: &[String],
        types: &[String],
    ) -> Result<EntityFilter, CommandError> {
        let known: Result<FxHashSet<u32>, CommandError> =
            scopes.iter().map(|name| scope(snapshot, name)).collect();
        let mut words = String::new();
        for (word, names) in [(" of class ", classes), (" of type ", types), (" in scope ", scopes)]
        {
            if !names.is_empty() {
                words.push_str(word);
                words.push_str(&names.join(" or "));
            }
        }
        Ok(EntityFilter {
            scopes: Some(known?).filter(|_| !scopes.is_empty()),
            class_sets: class_sets(snapshot, classes)?,
            types: type_numbers(snapshot, types)?,
            words,
        })
    }

    /// True if it lets everything through.
    pub fn is_open(&self) -> bool {
        self.scopes.is_none() && self.class_sets.is_none() && self.types.is_none()
    }

    /// True if an entity with these names passes.
    pub fn takes_facts(&self, facts: &EntityFacts) -> bool {
        let passes = |set: &Option<FxHashSet<u32>>, number: u32| {
            set.as_ref().is_none_or(|set| set.contains(&number))
        };
        passes(&self.scopes, facts.scope)
            && passes(&self.class_sets, facts.classes)
            && passes(&self.types, facts.type_name)
    }

    /// True if an entity passes.
    pub fn takes(&self, snapshot: &Snapshot, entity: u32) -> Result<bool, CommandError> {
        // An open filter reads nothing of the entity.
        if self.is_open() {
            return Ok(true);
        }
        Ok(snapshot.entity_facts(entity)?.is_some_and(|facts| self.takes_facts(&facts)))
    }

    /// Returns all live entities that pass, by ascending number.
    pub fn all(&self, snapshot: &Snapshot) -> Result<Vec<u32>, CommandError> {
        let mut found = Vec::new();
        snapshot.scan(|number, facts| -> Result<ControlFlow<()>, StoreError> {
            if self.takes_facts(&facts) {
                found.push(number);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
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

    #[test]
    fn a_name_stands_before_its_key_and_alone_where_they_are_one() {
        let mut out = AnswerWriter::plain(Vec::new());
        assert_eq!(called(&out, Some("Alice Smith"), "okta:1"), "Alice Smith (okta:1)");
        assert_eq!(called(&out, Some("okta:1"), "okta:1"), "okta:1");
        assert_eq!(called(&out, Some("  "), "okta:1"), "okta:1");
        assert_eq!(called(&out, None, "okta:1"), "okta:1");
        assert_eq!(called(&out, Some("a\u{1b}[2J"), "b\n"), "a\\u{1b}[2J (b\\n)");
        assert_eq!(label(Some("Alice"), "k"), "Alice (k)");
        out.color = true;
        let title = title(&out, Some("Alice"), "k");
        assert_eq!(title, "\u{1b}[1mAlice\u{1b}[0m \u{1b}[2m(k)\u{1b}[0m");
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
