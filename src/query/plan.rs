//! The plan: where in the pattern matching begins, how the entities there are found, and in which
//! order the steps follow.
//!
//! A pattern begins with plain steps. Matching can begin at any entity of these: it goes back to the
//! start first, then on to their end. The other steps (groups, negated steps, joins, steps that
//! constrain their way) come last, as written. WHERE is taken apart: each part that asks plain steps
//! alone is tested as soon as its entities and relationships are known.

use super::Stop;
use super::check::selectors;
use super::meant::{Checked, EntityTest, Hop, Kind, Of, Output, Slot, Step, Term, Test, Values};
use super::read::Reader;
use super::spelled::{self, has_class};
use super::syntax::{Arrow, Op};
use crate::graph::{GraphRead, ObjectId, ScopeCounts, Value};
use std::cell::Cell;

/// From this many entities on, few of a class or type are looked up rather than passed by.
const MANY: f64 = 65_536.0;
/// A kind is rare if fewer than one entity in so many is of it.
const RARE: f64 = 64.0;
/// A way in by key that is so narrow is taken without comparing it with others.
const FEW: usize = 64;

/// A query as it will be matched.
pub(super) struct Plan {
    /// The test of the entity that matching begins at.
    pub start: EntityTest,
    pub slot: Slot,
    pub access: Access,
    pub steps: Vec<Step>,
    /// The rest of WHERE, tested on whole rows.
    pub filter: Option<Test>,
    /// For people: the entities of the plain steps, in the order they are matched.
    pub places: Vec<Place>,
    /// Counts by slot: the times that it was filled.
    pub met: Vec<Cell<u64>>,
}

/// The way in to the entities that matching begins at.
pub(super) enum Access {
    /// These alone can fit.
    Listed(Vec<u32>),
    /// All live entities.
    Scan,
    /// All entities, the deleted too.
    Everything,
}

/// An entity of the plain steps.
pub(super) struct Place {
    pub slot: Slot,
    /// Its selector, in the words of the query.
    pub selector: String,
    /// The way in which it is found or reached, in words.
    pub way: String,
    /// The number of entities that are expected.
    pub estimate: f64,
}

impl Plan {
    /// True if the pattern is matched from its start.
    pub fn forward(&self) -> bool {
        self.slot == 0
    }
}

/// A way to the entities of one place.
struct Way {
    access: Access,
    words: String,
    /// Entities that have to be looked at, and those of them that are expected to fit.
    looked_at: f64,
    fitting: f64,
}

impl Way {
    /// The estimated cost; 1 is about the time that passing one entity by takes.
    fn cost(&self) -> f64 {
        let looking = match self.access {
            Access::Listed(_) => 5.0 * self.looked_at,
            _ => self.looked_at,
        };
        looking + 50.0 * self.fitting
    }
}

/// Makes the plan of a query.
pub(super) fn plan<G: GraphRead>(
    reader: &Reader<'_, G>,
    query: &Checked,
) -> Result<Plan, Stop<G::Error>> {
    let stored = Stored { counts: reader.graph.counts()? };
    // Which of several shortest paths is kept must not depend on where matching began, and nothing
    // leads to what was deleted.
    let fixed = query.shortest.is_some() || query.deleted;
    let hops: Vec<&Hop> = query
        .ops
        .iter()
        .map_while(|step| match step {
            // What constrains the way from the left cannot be tested from the right.
            Step::Hop(hop) if hop.via.is_none() && !hop.nearest && !fixed && !hop.spreads() => {
                Some(&**hop)
            }
            _ => None,
        })
        .collect();
    let mut tests = vec![query.start.clone()];
    tests.extend(hops.iter().map(|hop| hop.target.clone()));
    let mut slots = vec![0];
    slots.extend(hops.iter().map(|hop| hop.to));
    let (filter, checks) = match query.shortest {
        Some(_) => (query.filter.clone(), Vec::new()),
        None => push_down(query.filter.as_ref(), &mut tests, &slots, &hops),
    };
    let (at, way) = choose(reader, query, &stored, &tests)?;
    let mut steps = Vec::with_capacity(query.ops.len() + 1);
    let mut places = vec![Place {
        slot: slots[at],
        selector: words(&tests[at]),
        way: way.words,
        estimate: way.fitting,
    }];
    let mut rows = way.fitting;
    for i in (0..at).rev() {
        let turned = turn(hops[i], tests[i].clone(), slots[i]);
        rows *= stored.reached(reader, &turned);
        places.push(place(&turned, rows));
        steps.push(Step::Hop(Box::new(turned)));
    }
    // Matching stands at the start of the pattern now: go on from where it began.
    if at > 0 && at < query.ops.len() {
        steps.push(Step::From(slots[at]));
    }
    for i in at..hops.len() {
        let hop = Hop { target: tests[i + 1].clone(), ..hops[i].clone() };
        rows *= stored.reached(reader, &hop);
        places.push(place(&hop, rows));
        steps.push(Step::Hop(Box::new(hop)));
    }
    let mut known = vec![Of::Entity(slots[at])];
    // Each part of WHERE goes to the first step after which all its selectors are bound.
    let mut waiting = checks;
    for step in &mut steps {
        let Step::Hop(hop) = step else { continue };
        known.extend([Of::Entity(hop.to), Of::Relationship(hop.relationship)]);
        let ready = |(_, of): &mut (Test, Vec<Of>)| of.iter().all(|of| known.contains(of));
        hop.checks.extend(waiting.extract_if(.., ready).map(|(test, _)| test));
    }
    steps.extend(query.ops[hops.len()..].iter().cloned());
    Ok(Plan {
        start: tests.swap_remove(at),
        slot: slots[at],
        access: way.access,
        steps,
        filter,
        places,
        met: vec![Cell::new(0); query.entity_slots],
    })
}

fn place(hop: &Hop, rows: f64) -> Place {
    Place { slot: hop.to, selector: words(&hop.target), way: hop_words(hop), estimate: rows }
}

/// The verbs and the way of a step in the words of the query.
pub(super) fn hop_words(hop: &Hop) -> String {
    let verbs = match &hop.verbs {
        Some(verbs) => verbs.iter().map(|verb| verb.name.as_str()).collect::<Vec<_>>().join("|"),
        None => "RELATES TO".to_owned(),
    };
    let repeat = hop.repeat.map_or(String::new(), |(least, most)| format!("{{{least},{most}}}"));
    match hop.arrow {
        Arrow::Out => format!("{verbs}{repeat} >>"),
        Arrow::In => format!("{verbs}{repeat} <<"),
        Arrow::Both => format!("{verbs}{repeat}"),
    }
}

/// The same step from its target to its left entity.
fn turn(hop: &Hop, target: EntityTest, to: Slot) -> Hop {
    let verbs = hop.verbs.as_ref().map(|verbs| {
        verbs
            .iter()
            .map(|verb| super::meant::Verb { arrow: verb.arrow.map(Arrow::turned), ..verb.clone() })
            .collect()
    });
    Hop { verbs, target, to, arrow: hop.arrow.turned(), backward: true, ..hop.clone() }
}

/// Takes WHERE apart. A part about one entity of the plain steps joins the test of that entity. A
/// part about several, or about relationships, is given back with its selectors. The rest remains.
fn push_down(
    filter: Option<&Test>,
    tests: &mut [EntityTest],
    slots: &[Slot],
    hops: &[&Hop],
) -> (Option<Test>, Vec<(Test, Vec<Of>)>) {
    let parts = match filter {
        None => Vec::new(),
        Some(Test::And(parts)) => parts.clone(),
        Some(test) => vec![test.clone()],
    };
    let (mut rest, mut several) = (Vec::new(), Vec::new());
    for part in parts {
        let mut asked = Vec::new();
        asked_by(&part, &mut asked);
        let plain = |of: &Of| match of {
            Of::Entity(slot) => slots.contains(slot),
            Of::Relationship(slot) => hops.iter().any(|hop| hop.relationship == *slot),
            Of::Subject => false,
        };
        match asked.as_slice() {
            [Of::Entity(slot)] if slots.contains(slot) => {
                let at = slots.iter().position(|known| known == slot).unwrap_or(0);
                let mut part = part;
                of_subject(&mut part);
                tests[at].with = Some(match tests[at].with.take() {
                    None => part,
                    Some(Test::And(mut all)) => {
                        all.push(part);
                        Test::And(all)
                    }
                    Some(with) => Test::And(vec![with, part]),
                });
            }
            [] => rest.push(part),
            _ if asked.iter().all(plain) => several.push((part, asked)),
            _ => rest.push(part),
        }
    }
    let rest = match rest.len() {
        0 => None,
        1 => rest.pop(),
        _ => Some(Test::And(rest)),
    };
    (rest, several)
}

/// The selectors that a condition asks, each once.
fn asked_by(test: &Test, found: &mut Vec<Of>) {
    fn values(right: &Values, found: &mut Vec<Of>) {
        match right {
            Values::Or(all) | Values::And(all) => all.iter().for_each(|one| values(one, found)),
            Values::Term(term) => selectors(term, found),
            Values::Pattern(_) | Values::Query(_) => {}
        }
    }
    match test {
        Test::Or(tests) | Test::And(tests) => tests.iter().for_each(|test| asked_by(test, found)),
        Test::Not(test) => asked_by(test, found),
        Test::Compare { left, right, .. } => {
            selectors(left, found);
            values(right, found);
        }
    }
}

/// Rewrites a condition that asks one entity, so that it asks the subject of a test.
fn of_subject(test: &mut Test) {
    fn term(one: &mut Term) {
        match one {
            Term::Property(of, _) | Term::Whole(of) | Term::All(of) => *of = Of::Subject,
            Term::Call(_, terms) => terms.iter_mut().for_each(term),
            Term::Minus(inner) => term(inner),
            Term::Binary(left, _, right) => {
                term(left);
                term(right);
            }
            _ => {}
        }
    }
    fn values(right: &mut Values) {
        match right {
            Values::Or(all) | Values::And(all) => all.iter_mut().for_each(values),
            Values::Term(one) => term(one),
            Values::Pattern(_) | Values::Query(_) => {}
        }
    }
    match test {
        Test::Or(tests) | Test::And(tests) => tests.iter_mut().for_each(of_subject),
        Test::Not(test) => of_subject(test),
        Test::Compare { left, right, .. } => {
            term(left);
            values(right);
        }
    }
}

/// The place to begin at: the one that costs least, or the start where it makes little difference,
/// since from there a list needs one match of each entity.
fn choose<G: GraphRead>(
    reader: &Reader<'_, G>,
    query: &Checked,
    stored: &Stored,
    tests: &[EntityTest],
) -> Result<(usize, Way), Stop<G::Error>> {
    let mut best: Option<(usize, Way)> = None;
    for (at, test) in tests.iter().enumerate() {
        // Keys lead to few entities, so they are tried before any estimate.
        if let Some(way) = by_key(reader, test, query.deleted)?
            && best.as_ref().is_none_or(|(_, known)| way.looked_at < known.looked_at)
        {
            best = Some((at, way));
        }
    }
    if let Some(best) = best.take_if(|(_, way)| way.looked_at <= FEW as f64 || query.deleted) {
        return Ok(best);
    }
    if query.deleted {
        let looked_at = f64::from(reader.graph.entity_bound());
        let words = "all entities, the deleted too".to_owned();
        return Ok((0, Way { access: Access::Everything, words, looked_at, fitting: looked_at }));
    }
    let list = matches!(query.output, Output::List { .. });
    for (at, test) in tests.iter().enumerate() {
        reader.time()?;
        let way = by_value(reader, stored, test)?;
        // A list that begins elsewhere needs all matches, not one of each entity.
        let loss = if at > 0 && list { 4.0 } else { 1.0 };
        if best.as_ref().is_none_or(|(_, known)| way.cost() * loss < known.cost()) {
            best = Some((at, way));
        }
    }
    let (at, mut way) = best.expect("BUG: a pattern has a start");
    let total = stored.entities(None);
    if let Access::Scan = way.access
        && total >= MANY
        && stored.kinds(reader, &tests[at]) * RARE / 4.0 < total
        && let Some(listed) = listed_by_kind(reader, stored, &tests[at])?
    {
        way.access = Access::Listed(listed);
    }
    Ok((at, way))
}

/// The way in to the entities that may fit one selector.
pub(super) fn access<G: GraphRead>(
    reader: &Reader<'_, G>,
    test: &EntityTest,
) -> Result<Access, Stop<G::Error>> {
    if let Some(way) = by_key(reader, test, false)? {
        return Ok(way.access);
    }
    let stored = Stored { counts: reader.graph.counts()? };
    Ok(by_value(reader, &stored, test)?.access)
}

/// Entities named by their key or id, of which there are few.
fn by_key<G: GraphRead>(
    reader: &Reader<'_, G>,
    test: &EntityTest,
    deleted: bool,
) -> Result<Option<Way>, Stop<G::Error>> {
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
            found.extend(graph.number_of(crate::graph::Kind::Entity, id)?);
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
    Ok(Some(Way { access: Access::Listed(live), words, looked_at, fitting: looked_at }))
}

/// All entities of the kinds asked for, or those with a value that the condition names.
fn by_value<G: GraphRead>(
    reader: &Reader<'_, G>,
    stored: &Stored,
    test: &EntityTest,
) -> Result<Way, Stop<G::Error>> {
    let kinds = stored.kinds(reader, test);
    let share = test.with.as_ref().map_or(1.0, share);
    let scan = Way {
        access: Access::Scan,
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
            let fitting = looked_at.min(kinds);
            let words = format!("by {name}");
            return Ok(Way { access: Access::Listed(found), words, looked_at, fitting });
        }
    }
    Ok(scan)
}

/// Entities of classes and types by lookup. `None` if that is not possible for all of them.
fn listed_by_kind<G: GraphRead>(
    reader: &Reader<'_, G>,
    stored: &Stored,
    test: &EntityTest,
) -> Result<Option<Vec<u32>>, Stop<G::Error>> {
    let mut found = Vec::new();
    for kind in &test.any {
        let (property, names) = match kind {
            Kind::Class(name) => ("_class", stored.spellings(reader, name)),
            Kind::Type(name) => ("_type", vec![Value::Text(name.as_str().into())]),
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
fn wanted<'t>(test: &'t Test, property: &str) -> Option<Vec<&'t Value<'static>>> {
    let mut named = Vec::new();
    equalities(test, &mut named);
    named.into_iter().find(|(name, _)| *name == property).map(|(_, values)| values)
}

/// The properties that must equal one of some values, wherever the condition holds.
fn equalities<'t>(test: &'t Test, found: &mut Vec<(&'t str, Vec<&'t Value<'static>>)>) {
    fn values<'t>(right: &'t Values, found: &mut Vec<&'t Value<'static>>) -> bool {
        match right {
            Values::Or(all) => all.iter().all(|one| values(one, found)),
            // All of them must be there, so looking for one is enough.
            Values::And(all) => all.first().is_some_and(|one| values(one, found)),
            Values::Term(Term::Value(Value::Null | Value::List(_))) => false,
            Values::Term(Term::Value(value)) => {
                found.push(value);
                true
            }
            Values::Term(Term::Written(number, text)) => {
                found.extend([number, text]);
                true
            }
            _ => false,
        }
    }
    match test {
        Test::And(tests) => tests.iter().for_each(|test| equalities(test, found)),
        Test::Compare {
            left: Term::Property(Of::Subject, name),
            op: Op::Equal,
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

/// A guess at the share of entities that fit a condition. It decides between plans only: answers do
/// not depend on it.
fn share(test: &Test) -> f64 {
    match test {
        Test::And(tests) => tests.iter().map(share).product(),
        Test::Or(tests) => tests.iter().map(share).sum::<f64>().min(1.0),
        Test::Not(test) => 1.0 - share(test),
        Test::Compare { op, negated, right, .. } => {
            let part = match (op, right) {
                (Op::Equal, Values::Term(Term::Undefined)) => 0.3,
                (Op::Equal | Op::Begins | Op::Ends, Values::Term(_)) => 0.05,
                (Op::Equal, Values::Or(all)) => (0.05 * all.len() as f64).min(0.5),
                (Op::Equal, _) => 0.1,
                _ => 0.3,
            };
            if *negated { 1.0 - part } else { part }
        }
    }
}

fn kind_words(test: &EntityTest) -> String {
    let name = |kind: &Kind| match kind {
        Kind::Class(name) => format!("class {name}"),
        Kind::Type(name) => format!("type {name}"),
        _ => "all entities".to_owned(),
    };
    let mut names: Vec<String> = test.any.iter().map(name).collect();
    names.dedup();
    names.join(", ")
}

/// A selector in the words of the query.
pub(super) fn words(test: &EntityTest) -> String {
    let name = |kind: &Kind| match kind {
        Kind::Any => "*".to_owned(),
        Kind::Class(name) | Kind::Type(name) => name.clone(),
        Kind::Words(words) => format!("'{}'", words.join(" ")),
        Kind::All(tests) => tests.iter().map(words).collect::<Vec<_>>().join(" "),
    };
    let names = test.any.iter().map(name).collect::<Vec<_>>().join("|");
    let scope = test.scope.as_ref().map_or(String::new(), |scope| format!(" IN SCOPE '{scope}'"));
    let with = if test.with.is_some() { " WITH ..." } else { "" };
    format!("{names}{scope}{with}")
}

/// Statistics from the stored counts of the database.
struct Stored {
    counts: Vec<ScopeCounts>,
}

impl Stored {
    /// The spellings of a class that entities have.
    fn spellings<'g, G: GraphRead>(&self, reader: &Reader<'g, G>, class: &str) -> Vec<Value<'g>> {
        let all = spelled::classes(reader.graph, &self.counts, class).into_iter();
        all.map(|name| Value::Text(name.into())).collect()
    }

    fn entities(&self, scope: Option<u32>) -> f64 {
        let counts = self.counts.iter().filter(|c| scope.is_none_or(|scope| c.scope == scope));
        counts.map(|counts| counts.entities).sum::<u64>() as f64
    }

    /// The estimated number of entities of the kinds and in the scope that are asked for.
    fn kinds<G: GraphRead>(&self, reader: &Reader<'_, G>, test: &EntityTest) -> f64 {
        let graph = reader.graph;
        let scope = test.scope.as_ref().map(|scope| graph.name_number(scope).unwrap_or(u32::MAX));
        let counts = || self.counts.iter().filter(|c| scope.is_none_or(|scope| c.scope == scope));
        let each = |kind: &Kind| match kind {
            Kind::Any => self.entities(scope),
            Kind::Words(words) => self.entities(scope) * 0.1_f64.powi(words.len().min(9) as i32),
            Kind::Type(name) => {
                let number = graph.name_number(name).unwrap_or(u32::MAX);
                counts().filter_map(|c| c.types.get(&number)).sum::<u64>() as f64
            }
            Kind::Class(name) => {
                let sets = counts().flat_map(|counts| &counts.classes);
                sets.filter(|(set, _)| has_class(graph.name(**set), name))
                    .map(|(_, n)| n)
                    .sum::<u64>() as f64
            }
            Kind::All(tests) => {
                let parts = tests
                    .iter()
                    .map(|test| self.kinds(reader, test) * test.with.as_ref().map_or(1.0, share));
                parts.fold(self.entities(scope), f64::min)
            }
        };
        // An entity of two of these kinds is counted twice, but there are no more than all.
        test.any.iter().map(each).sum::<f64>().min(self.entities(scope))
    }

    /// The number of targets that one entity is expected to reach by a step.
    fn reached<G: GraphRead>(&self, reader: &Reader<'_, G>, hop: &Hop) -> f64 {
        let total = self.entities(None).max(1.0);
        let edges = match &hop.verbs {
            None => self.counts.iter().flat_map(|c| c.verbs.values()).sum::<u64>() as f64,
            // What the rules tell may have any verb.
            Some(verbs) if verbs.iter().any(|verb| verb.set.is_some()) => {
                self.counts.iter().flat_map(|c| c.verbs.values()).sum::<u64>() as f64
            }
            Some(verbs) => {
                let numbers = |verb: &super::meant::Verb| spelled::verbs(reader.graph, &verb.name);
                let each = verbs.iter().filter(|verb| !verb.name.is_empty()).flat_map(numbers);
                each.map(|verb| {
                    self.counts.iter().filter_map(|c| c.verbs.get(&verb)).sum::<u64>() as f64
                })
                .sum()
            }
        };
        let ways = if hop.arrow == Arrow::Both { 2.0 } else { 1.0 };
        let (least, most) = hop.repeat.unwrap_or((1, 1));
        let degree = edges * ways / total;
        let met: f64 = (least..=most.min(20)).map(|n| degree.powi(n as i32)).sum();
        let target = &hop.target;
        let part = self.kinds(reader, target) * target.with.as_ref().map_or(1.0, share) / total;
        met.min(total) * part
    }
}
