//! Access paths: the ways in to the entities that a selector asks for, and the choice among them.

use super::QuestionError;
use super::logical_plan::LogicalPattern;
use super::plan_words::kind_words;
use super::read::QueryReader;
use super::resolved::{
    EntityTest, Predicate, PredicateOperand, PropertyOwner, ScalarExpr, SelectorKind,
};
use super::statistics::{StoredStatistics, selectivity};
use super::syntax::ComparisonOp;
use crate::graph::{GraphRead, ObjectId, Value};

/// From this many entities on, few of a class or type are looked up rather than passed by.
const MANY: f64 = 65_536.0;
/// A kind is rare if fewer than one entity in so many is of it.
const RARE: f64 = 64.0;
/// Entities of a class that are tested in the time that one takes which is listed elsewhere.
const LISTED: f64 = 8.0;
/// A way in by key that is so narrow is taken without comparing it with others.
const FEW: usize = 64;

/// The way in to the entities that matching begins at.
pub(super) enum AccessPath {
    /// These alone can fit.
    Listed(Vec<u32>),
    /// All live entities.
    Scan,
    /// All entities, the deleted too.
    Everything,
}

/// A way to the entities of one place.
pub(super) struct AccessCandidate {
    pub access: AccessPath,
    pub words: String,
    /// Entities that have to be looked at, and those of them that are expected to fit.
    looked_at: f64,
    pub fitting: f64,
}

impl AccessCandidate {
    /// The estimated cost; 1 is about the time that passing one entity by takes.
    fn cost(&self) -> f64 {
        let looking = match self.access {
            AccessPath::Listed(_) => 5.0 * self.looked_at,
            _ => self.looked_at,
        };
        looking + 50.0 * self.fitting
    }
}

/// The place to begin at: the one that costs least, or the start where it makes little difference,
/// since from there a list needs one match of each entity.
pub(super) fn choose<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    pattern: &LogicalPattern<'_>,
    stored: &StoredStatistics,
    tests: &[EntityTest],
) -> Result<(usize, AccessCandidate), QuestionError<G::Error>> {
    let mut best: Option<(usize, AccessCandidate)> = None;
    for (at, test) in tests.iter().enumerate() {
        // Keys lead to few entities, so they are tried before any estimate.
        if let Some(way) = by_key(reader, test, pattern.deleted)?
            && best.as_ref().is_none_or(|(_, known)| way.looked_at < known.looked_at)
        {
            best = Some((at, way));
        }
    }
    if let Some(best) = best.take_if(|(_, way)| way.looked_at <= FEW as f64 || pattern.deleted) {
        return Ok(best);
    }
    if pattern.deleted {
        let looked_at = f64::from(reader.graph.entity_bound());
        let words = "all entities, the deleted too".to_owned();
        return Ok((
            0,
            AccessCandidate {
                access: AccessPath::Everything,
                words,
                looked_at,
                fitting: looked_at,
            },
        ));
    }
    for (at, test) in tests.iter().enumerate() {
        reader.time()?;
        let way = by_value(reader, stored, test)?;
        // A list that begins elsewhere needs all matches, not one of each entity.
        let loss = if at > 0 && pattern.list { 4.0 } else { 1.0 };
        if best.as_ref().is_none_or(|(_, known)| way.cost() * loss < known.cost()) {
            best = Some((at, way));
        }
    }
    let (at, mut way) = best.expect("BUG: a pattern has a start");
    let total = stored.entities(None);
    if let AccessPath::Scan = way.access
        && total >= MANY
        && stored.kinds(reader, &tests[at]) * RARE / 4.0 < total
        && let Some(listed) = listed_by_kind(reader, stored, &tests[at])?
    {
        way.access = AccessPath::Listed(listed);
    }
    Ok((at, way))
}

/// The way in to the entities that may fit one selector.
pub(super) fn access<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    test: &EntityTest,
) -> Result<AccessPath, QuestionError<G::Error>> {
    if let Some(way) = by_key(reader, test, false)? {
        return Ok(way.access);
    }
    let stored = StoredStatistics { counts: reader.graph.counts()? };
    Ok(by_value(reader, &stored, test)?.access)
}

/// Entities named by their key or id, of which there are few.
fn by_key<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    test: &EntityTest,
    deleted: bool,
) -> Result<Option<AccessCandidate>, QuestionError<G::Error>> {
    let Some(with) = &test.with else { return Ok(None) };
    let texts = |name: &str| -> Option<Vec<&str>> {
        let values = wanted(with, name)?;
        values.into_iter().map(Value::as_str).collect()
    };
    let graph = reader.graph;
    let mut found = Vec::new();
    let words = if let Some(ids) = texts("_id") {
        for id in ids.into_iter().filter_map(ObjectId::parse) {
            reader.spend(2_000)?;
            found.extend(graph.number_of(crate::graph::ObjectKind::Entity, id)?);
        }
        "by _id"
    } else if let Some(keys) = texts("_key") {
        // A key is unique in its scope only, so every scope is asked.
        let scopes = match &test.scope {
            Some(scope) => vec![scope.clone()],
            None => graph.scopes()?,
        };
        for scope in scopes {
            reader.spend(2_000 * keys.len())?;
            for key in &keys {
                found.extend(graph.entity_keyed(&scope, key)?);
            }
        }
        "by _key"
    } else {
        return Ok(None);
    };
    found.sort_unstable();
    found.dedup();
    let mut live = Vec::with_capacity(found.len());
    for number in found {
        if graph.entity_facts(number)?.is_some_and(|facts| facts.live || deleted) {
            live.push(number);
        }
    }
    let looked_at = live.len() as f64;
    let words = words.to_owned();
    Ok(Some(AccessCandidate {
        access: AccessPath::Listed(live),
        words,
        looked_at,
        fitting: looked_at,
    }))
}

/// All entities of the kinds asked for, or those with a value that the condition names.
fn by_value<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    stored: &StoredStatistics,
    test: &EntityTest,
) -> Result<AccessCandidate, QuestionError<G::Error>> {
    let kinds = stored.kinds(reader, test);
    let share = test.with.as_ref().map_or(1.0, selectivity);
    let scan = AccessCandidate {
        access: AccessPath::Scan,
        words: kind_words(test),
        looked_at: stored.entities(None) / 50.0 + 5.0 * kinds,
        fitting: kinds * share,
    };
    // Of a rare kind few entities are passed by anyway.
    let rare = kinds * RARE < stored.entities(None);
    let Some(with) = test.with.as_ref().filter(|_| !rare) else { return Ok(scan) };
    let mut named = Vec::new();
    equalities(with, &mut named);
    for (name, values) in named {
        let mut hashes = Vec::new();
        let mut add = |value: &Value<'_>| value.equality_hashes(&mut |hash| hashes.push(hash));
        for value in values {
            // A class may have several spellings, each with a hash of its own.
            match value.as_str().filter(|_| name == "_class") {
                Some(class) => stored.spellings(reader, class).iter().for_each(&mut add),
                None => add(value),
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        if let Some(found) = reader.graph.entities_hashed(name, &hashes)? {
            let looked_at = found.len() as f64;
            // Many that lie here and there take longer than all of a class, whose columns lie in a row.
            if LISTED * looked_at > stored.entities(None) / 50.0 + kinds {
                continue;
            }
            let fitting = looked_at.min(kinds);
            let words = format!("by {name}");
            return Ok(AccessCandidate {
                access: AccessPath::Listed(found),
                words,
                looked_at,
                fitting,
            });
        }
    }
    Ok(scan)
}

/// Entities of classes and types by lookup. `None` if that is not possible for all of them.
fn listed_by_kind<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    stored: &StoredStatistics,
    test: &EntityTest,
) -> Result<Option<Vec<u32>>, QuestionError<G::Error>> {
    let mut found = Vec::new();
    for kind in &test.any {
        let (property, names) = match kind {
            SelectorKind::Class(name) => ("_class", stored.spellings(reader, name)),
            SelectorKind::Type(name) => ("_type", vec![Value::Text(name.as_str().into())]),
            _ => return Ok(None),
        };
        let mut hashes = Vec::new();
        names.iter().for_each(|name| name.equality_hashes(&mut |hash| hashes.push(hash)));
        hashes.sort_unstable();
        match reader.graph.entities_hashed(property, &hashes)? {
            Some(more) => found.extend(more),
            None => return Ok(None),
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

/// The values that a property must equal one of, if a condition says so.
fn wanted<'t>(test: &'t Predicate, property: &str) -> Option<Vec<&'t Value<'static>>> {
    let mut named = Vec::new();
    equalities(test, &mut named);
    named.into_iter().find(|(name, _)| *name == property).map(|(_, values)| values)
}

/// The properties that must equal one of some values, wherever the condition holds.
fn equalities<'t>(test: &'t Predicate, found: &mut Vec<(&'t str, Vec<&'t Value<'static>>)>) {
    fn values<'t>(right: &'t PredicateOperand, found: &mut Vec<&'t Value<'static>>) -> bool {
        match right {
            PredicateOperand::Or(all) => all.iter().all(|one| values(one, found)),
            // All of them must be there, so looking for one is enough.
            PredicateOperand::And(all) => all.first().is_some_and(|one| values(one, found)),
            PredicateOperand::Term(ScalarExpr::Value(Value::Null | Value::List(_))) => false,
            PredicateOperand::Term(ScalarExpr::Value(value)) => {
                found.push(value);
                true
            }
            PredicateOperand::Term(ScalarExpr::Written(number, text)) => {
                found.extend([number, text]);
                true
            }
            _ => false,
        }
    }
    match test {
        Predicate::And(tests) => tests.iter().for_each(|test| equalities(test, found)),
        Predicate::Compare {
            left: ScalarExpr::Property(PropertyOwner::Subject, name),
            op: ComparisonOp::Equal,
            negated: false,
            right,
            ..
        } => {
            let mut wanted = Vec::new();
            if values(right, &mut wanted) {
                found.push((name, wanted));
            }
        }
        _ => {}
    }
}
