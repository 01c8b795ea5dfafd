//! The plan: where in the pattern matching begins, how the entities there are found, and in which
//! order the steps follow.
//!
//! A pattern begins with plain steps. Matching can begin at any entity of these: it goes back to the
//! start first, then on to their end. The other steps (groups, negated steps, joins, steps that
//! constrain their way) come last, as written. WHERE is taken apart: each part that asks plain steps
//! alone is tested as soon as its entities and relationships are known.

use super::QuestionError;
use super::read::QueryReader;
use super::resolve::selectors;
use super::resolved::{
    EntityTest, ExpandStep, PatternStep, Predicate, PredicateOperand, PropertyOwner, QueryOutput,
    ResolvedQuery, RowSlot, ScalarExpr, SelectorKind,
};
use super::spelling::{self, has_class};
use super::syntax::{ComparisonOp, StepDirection};
use crate::graph::{GraphRead, ObjectId, ScopeCounts, Value};
use std::cell::Cell;

/// From this many entities on, few of a class or type are looked up rather than passed by.
const MANY: f64 = 65_536.0;
/// A kind is rare if fewer than one entity in so many is of it.
const RARE: f64 = 64.0;
/// A way in by key that is so narrow is taken without comparing it with others.
const FEW: usize = 64;

/// A query as it will be matched.
pub(super) struct QueryPlan {
    /// The test of the entity that matching begins at.
    pub start: EntityTest,
    pub slot: RowSlot,
    pub access: AccessPath,
    pub steps: Vec<PatternStep>,
    /// The rest of WHERE, tested on whole rows.
    pub filter: Option<Predicate>,
    /// For people: the entities of the plain steps, in the order they are matched.
    pub places: Vec<PlannedPosition>,
    /// Counts by slot: the times that it was filled.
    pub met: Vec<Cell<u64>>,
}

/// The way in to the entities that matching begins at.
pub(super) enum AccessPath {
    /// These alone can fit.
    Listed(Vec<u32>),
    /// All live entities.
    Scan,
    /// All entities, the deleted too.
    Everything,
}

/// An entity of the plain steps.
pub(super) struct PlannedPosition {
    pub slot: RowSlot,
    /// Its selector, in the words of the query.
    pub selector: String,
    /// The way in which it is found or reached, in words.
    pub way: String,
    /// The number of entities that are expected.
    pub estimate: f64,
}

impl QueryPlan {
    /// True if the pattern is matched from its start.
    pub fn forward(&self) -> bool {
        self.slot == 0
    }
}

/// A way to the entities of one place.
struct AccessCandidate {
    access: AccessPath,
    words: String,
    /// Entities that have to be looked at, and those of them that are expected to fit.
    looked_at: f64,
    fitting: f64,
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

/// Makes the plan of a query.
pub(super) fn plan<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
) -> Result<QueryPlan, QuestionError<G::Error>> {
    let stored = StoredStatistics { counts: reader.graph.counts()? };
    // Which of several shortest paths is kept must not depend on where matching began, and nothing
    // leads to what was deleted.
    let fixed = query.shortest.is_some() || query.deleted;
    let hops: Vec<&ExpandStep> = query
        .ops
        .iter()
        .map_while(|step| match step {
            // What constrains the way from the left cannot be tested from the right.
            PatternStep::Hop(hop)
                if hop.via.is_none() && !hop.nearest && !fixed && !hop.spreads() =>
            {
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
    let mut places = vec![PlannedPosition {
        slot: slots[at],
        selector: words(&tests[at]),
        way: way.words,
        estimate: way.fitting,
    }];
    let mut rows = way.fitting;
    for i in (0..at).rev() {
        let turned = reversed_step(hops[i], tests[i].clone(), slots[i]);
        rows *= stored.reached(reader, &turned);
        places.push(place(&turned, rows));
        steps.push(PatternStep::Hop(Box::new(turned)));
    }
    // Matching stands at the start of the pattern now: go on from where it began.
    if at > 0 && at < query.ops.len() {
        steps.push(PatternStep::From(slots[at]));
    }
    for i in at..hops.len() {
        let hop = ExpandStep { target: tests[i + 1].clone(), ..hops[i].clone() };
        rows *= stored.reached(reader, &hop);
        places.push(place(&hop, rows));
        steps.push(PatternStep::Hop(Box::new(hop)));
    }
    let mut known = vec![PropertyOwner::Entity(slots[at])];
    // Each part of WHERE goes to the first step after which all its selectors are bound.
    let mut waiting = checks;
    for step in &mut steps {
        let PatternStep::Hop(hop) = step else { continue };
        known
            .extend([PropertyOwner::Entity(hop.to), PropertyOwner::Relationship(hop.relationship)]);
        let ready =
            |(_, of): &mut (Predicate, Vec<PropertyOwner>)| of.iter().all(|of| known.contains(of));
        hop.checks.extend(waiting.extract_if(.., ready).map(|(test, _)| test));
    }
    steps.extend(query.ops[hops.len()..].iter().cloned());
    Ok(QueryPlan {
        start: tests.swap_remove(at),
        slot: slots[at],
        access: way.access,
        steps,
        filter,
        places,
        met: vec![Cell::new(0); query.entity_slots],
    })
}

fn place(hop: &ExpandStep, rows: f64) -> PlannedPosition {
    PlannedPosition {
        slot: hop.to,
        selector: words(&hop.target),
        way: hop_words(hop),
        estimate: rows,
    }
}

/// The verbs and the way of a step in the words of the query.
pub(super) fn hop_words(hop: &ExpandStep) -> String {
    let verbs = match &hop.verbs {
        Some(verbs) => verbs.iter().map(|verb| verb.name.as_str()).collect::<Vec<_>>().join("|"),
        None => "RELATES TO".to_owned(),
    };
    let repeat = hop.repeat.map_or(String::new(), |(least, most)| format!("{{{least},{most}}}"));
    match hop.arrow {
        StepDirection::Out => format!("{verbs}{repeat} >>"),
        StepDirection::In => format!("{verbs}{repeat} <<"),
        StepDirection::Both => format!("{verbs}{repeat}"),
    }
}

/// The same step from its target to its left entity.
fn reversed_step(hop: &ExpandStep, target: EntityTest, to: RowSlot) -> ExpandStep {
    let verbs = hop.verbs.as_ref().map(|verbs| {
        verbs
            .iter()
            .map(|verb| super::resolved::ResolvedVerb {
                arrow: verb.arrow.map(StepDirection::turned),
                ..verb.clone()
            })
            .collect()
    });
    ExpandStep { verbs, target, to, arrow: hop.arrow.turned(), backward: true, ..hop.clone() }
}

/// Takes WHERE apart. A part about one entity of the plain steps joins the test of that entity. A
/// part about several, or about relationships, is given back with its selectors. The rest remains.
fn push_down(
    filter: Option<&Predicate>,
    tests: &mut [EntityTest],
    slots: &[RowSlot],
    hops: &[&ExpandStep],
) -> (Option<Predicate>, Vec<(Predicate, Vec<PropertyOwner>)>) {
    let parts = match filter {
        None => Vec::new(),
        Some(Predicate::And(parts)) => parts.clone(),
        Some(test) => vec![test.clone()],
    };
    let (mut rest, mut several) = (Vec::new(), Vec::new());
    for part in parts {
        let mut asked = Vec::new();
        collect_condition_selectors(&part, &mut asked);
        let plain = |of: &PropertyOwner| match of {
            PropertyOwner::Entity(slot) => slots.contains(slot),
            PropertyOwner::Relationship(slot) => hops.iter().any(|hop| hop.relationship == *slot),
            PropertyOwner::Subject => false,
        };
        match asked.as_slice() {
            [PropertyOwner::Entity(slot)] if slots.contains(slot) => {
                let at = slots.iter().position(|known| known == slot).unwrap_or(0);
                let mut part = part;
                rebind_to_subject(&mut part);
                tests[at].with = Some(match tests[at].with.take() {
                    None => part,
                    Some(Predicate::And(mut all)) => {
                        all.push(part);
                        Predicate::And(all)
                    }
                    Some(with) => Predicate::And(vec![with, part]),
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
        _ => Some(Predicate::And(rest)),
    };
    (rest, several)
}

/// The selectors that a condition asks, each once.
fn collect_condition_selectors(test: &Predicate, found: &mut Vec<PropertyOwner>) {
    fn values(right: &PredicateOperand, found: &mut Vec<PropertyOwner>) {
        match right {
            PredicateOperand::Or(all) | PredicateOperand::And(all) => {
                all.iter().for_each(|one| values(one, found))
            }
            PredicateOperand::Term(term) => selectors(term, found),
            PredicateOperand::Pattern(_) | PredicateOperand::Query(_) => {}
        }
    }
    match test {
        Predicate::Or(tests) | Predicate::And(tests) => {
            tests.iter().for_each(|test| collect_condition_selectors(test, found))
        }
        Predicate::Not(test) => collect_condition_selectors(test, found),
        Predicate::Compare { left, right, .. } => {
            selectors(left, found);
            values(right, found);
        }
    }
}

/// Rewrites a condition that asks one entity, so that it asks the subject of a test.
fn rebind_to_subject(test: &mut Predicate) {
    fn term(one: &mut ScalarExpr) {
        match one {
            ScalarExpr::Property(of, _) | ScalarExpr::Whole(of) | ScalarExpr::All(of) => {
                *of = PropertyOwner::Subject
            }
            ScalarExpr::Call(_, terms) => terms.iter_mut().for_each(term),
            ScalarExpr::Minus(inner) => term(inner),
            ScalarExpr::Binary(left, _, right) => {
                term(left);
                term(right);
            }
            _ => {}
        }
    }
    fn values(right: &mut PredicateOperand) {
        match right {
            PredicateOperand::Or(all) | PredicateOperand::And(all) => {
                all.iter_mut().for_each(values)
            }
            PredicateOperand::Term(one) => term(one),
            PredicateOperand::Pattern(_) | PredicateOperand::Query(_) => {}
        }
    }
    match test {
        Predicate::Or(tests) | Predicate::And(tests) => {
            tests.iter_mut().for_each(rebind_to_subject)
        }
        Predicate::Not(test) => rebind_to_subject(test),
        Predicate::Compare { left, right, .. } => {
            term(left);
            values(right);
        }
    }
}

/// The place to begin at: the one that costs least, or the start where it makes little difference,
/// since from there a list needs one match of each entity.
fn choose<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    stored: &StoredStatistics,
    tests: &[EntityTest],
) -> Result<(usize, AccessCandidate), QuestionError<G::Error>> {
    let mut best: Option<(usize, AccessCandidate)> = None;
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
    let list = matches!(query.output, QueryOutput::List { .. });
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

/// A guess at the share of entities that fit a condition. It decides between plans only: answers do
/// not depend on it.
fn selectivity(test: &Predicate) -> f64 {
    match test {
        Predicate::And(tests) => tests.iter().map(selectivity).product(),
        Predicate::Or(tests) => tests.iter().map(selectivity).sum::<f64>().min(1.0),
        Predicate::Not(test) => 1.0 - selectivity(test),
        Predicate::Compare { op, negated, right, .. } => {
            let part = match (op, right) {
                (ComparisonOp::Equal, PredicateOperand::Term(ScalarExpr::Undefined)) => 0.3,
                (
                    ComparisonOp::Equal | ComparisonOp::Begins | ComparisonOp::Ends,
                    PredicateOperand::Term(_),
                ) => 0.05,
                (ComparisonOp::Equal, PredicateOperand::Or(all)) => {
                    (0.05 * all.len() as f64).min(0.5)
                }
                (ComparisonOp::Equal, _) => 0.1,
                _ => 0.3,
            };
            if *negated { 1.0 - part } else { part }
        }
    }
}

fn kind_words(test: &EntityTest) -> String {
    let name = |kind: &SelectorKind| match kind {
        SelectorKind::Class(name) => format!("class {name}"),
        SelectorKind::Type(name) => format!("type {name}"),
        _ => "all entities".to_owned(),
    };
    let mut names: Vec<String> = test.any.iter().map(name).collect();
    names.dedup();
    names.join(", ")
}

/// A selector in the words of the query.
pub(super) fn words(test: &EntityTest) -> String {
    let name = |kind: &SelectorKind| match kind {
        SelectorKind::Any => "*".to_owned(),
        SelectorKind::Class(name) | SelectorKind::Type(name) => name.clone(),
        SelectorKind::Words(words) => format!("'{}'", words.join(" ")),
        SelectorKind::All(tests) => tests.iter().map(words).collect::<Vec<_>>().join(" "),
    };
    let names = test.any.iter().map(name).collect::<Vec<_>>().join("|");
    let scope = test.scope.as_ref().map_or(String::new(), |scope| format!(" IN SCOPE '{scope}'"));
    let with = if test.with.is_some() { " WITH ..." } else { "" };
    format!("{names}{scope}{with}")
}

/// Statistics from the stored counts of the database.
struct StoredStatistics {
    counts: Vec<ScopeCounts>,
}

impl StoredStatistics {
    /// The spellings of a class that entities have.
    fn spellings<'g, G: GraphRead>(
        &self,
        reader: &QueryReader<'g, G>,
        class: &str,
    ) -> Vec<Value<'g>> {
        let all = spelling::classes(reader.graph, &self.counts, class).into_iter();
        all.map(|name| Value::Text(name.into())).collect()
    }

    fn entities(&self, scope: Option<u32>) -> f64 {
        let counts = self.counts.iter().filter(|c| scope.is_none_or(|scope| c.scope == scope));
        counts.map(|counts| counts.entities).sum::<u64>() as f64
    }

    /// The estimated number of entities of the kinds and in the scope that are asked for.
    fn kinds<G: GraphRead>(&self, reader: &QueryReader<'_, G>, test: &EntityTest) -> f64 {
        let graph = reader.graph;
        let scope = test.scope.as_ref().map(|scope| graph.name_number(scope).unwrap_or(u32::MAX));
        let counts = || self.counts.iter().filter(|c| scope.is_none_or(|scope| c.scope == scope));
        let each = |kind: &SelectorKind| match kind {
            SelectorKind::Any => self.entities(scope),
            SelectorKind::Words(words) => {
                self.entities(scope) * 0.1_f64.powi(words.len().min(9) as i32)
            }
            SelectorKind::Type(name) => {
                let number = graph.name_number(name).unwrap_or(u32::MAX);
                counts().filter_map(|c| c.types.get(&number)).sum::<u64>() as f64
            }
            SelectorKind::Class(name) => {
                let sets = counts().flat_map(|counts| &counts.classes);
                sets.filter(|(set, _)| has_class(graph.name(**set), name))
                    .map(|(_, n)| n)
                    .sum::<u64>() as f64
            }
            SelectorKind::All(tests) => {
                let parts = tests.iter().map(|test| {
                    self.kinds(reader, test) * test.with.as_ref().map_or(1.0, selectivity)
                });
                parts.fold(self.entities(scope), f64::min)
            }
        };
        // An entity of two of these kinds is counted twice, but there are no more than all.
        test.any.iter().map(each).sum::<f64>().min(self.entities(scope))
    }

    /// The number of targets that one entity is expected to reach by a step.
    fn reached<G: GraphRead>(&self, reader: &QueryReader<'_, G>, hop: &ExpandStep) -> f64 {
        let total = self.entities(None).max(1.0);
        let edges = match &hop.verbs {
            None => self.counts.iter().flat_map(|c| c.verbs.values()).sum::<u64>() as f64,
            // What the rules tell may have any verb.
            Some(verbs) if verbs.iter().any(|verb| verb.set.is_some()) => {
                self.counts.iter().flat_map(|c| c.verbs.values()).sum::<u64>() as f64
            }
            Some(verbs) => {
                let numbers = |verb: &super::resolved::ResolvedVerb| {
                    spelling::verbs(reader.graph, &verb.name)
                };
                let each = verbs.iter().filter(|verb| !verb.name.is_empty()).flat_map(numbers);
                each.map(|verb| {
                    self.counts.iter().filter_map(|c| c.verbs.get(&verb)).sum::<u64>() as f64
                })
                .sum()
            }
        };
        let ways = if hop.arrow == StepDirection::Both { 2.0 } else { 1.0 };
        let (least, most) = hop.repeat.unwrap_or((1, 1));
        let degree = edges * ways / total;
        let met: f64 = (least..=most.min(20)).map(|n| degree.powi(n as i32)).sum();
        let target = &hop.target;
        let part =
            self.kinds(reader, target) * target.with.as_ref().map_or(1.0, selectivity) / total;
        met.min(total) * part
    }
}
