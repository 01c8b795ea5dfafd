//! Matching: from the entities that a pattern can start at, along relationships, to whole rows.
//!
//! Rows are found depth first and handed on one by one, so that a query with a limit stops early.
//! No entity stands twice on one path; what must not be there is looked for from its anchor anew,
//! whatever path led to it.

use super::Stop;
use super::cell;
use super::check::{Checked, EntityTest, Hop, Join, Kind, Of, Slot, Step, Term, Test, Values};
use super::read::{Hops, NONE, Reader, Row, Sight};
use super::syntax::{Arrow, Op};
use crate::graph::{Adjacency, Direction, Edge, GraphRead, Kind as ObjectKind, ObjectId, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::ControlFlow;
use std::rc::Rc;

/// Longest path: each step is a few calls deeper on the stack.
const DEPTH_MAX: u32 = 1000;

/// Whether to go on looking.
pub(super) type Flow = ControlFlow<()>;
type Found<G> = Result<Flow, Stop<<G as Adjacency>::Error>>;
type Sink<'s, G> = dyn FnMut(&Row) -> Found<G> + 's;

/// Where matching begins, and the way from there.
pub(super) struct Plan<'q> {
    start: EntityTest,
    slot: Slot,
    steps: std::borrow::Cow<'q, [Step]>,
    candidates: Vec<u32>,
    /// For people: how the candidates were found.
    pub access: String,
}

impl Plan<'_> {
    /// How many entities matching begins at.
    pub fn candidates(&self) -> usize {
        self.candidates.len()
    }

    /// Whether the pattern is matched from its start.
    pub fn forward(&self) -> bool {
        self.slot == 0
    }
}

/// What is still to be matched after the steps at hand.
#[derive(Clone, Copy)]
struct Rest<'a> {
    steps: &'a [Step],
    then: Option<&'a Then<'a>>,
}

/// The end of one round of a group.
struct Then<'a> {
    group: &'a Step,
    rounds: u32,
    after: Rest<'a>,
}

/// Chooses the end of the pattern to begin at: the one that fewer entities fit.
pub(super) fn plan<'q, G: GraphRead>(
    reader: &Reader<'_, G>,
    query: &'q Checked,
) -> Result<Plan<'q>, Stop<G::Error>> {
    let forward = |(candidates, access)| Plan {
        start: query.start.clone(),
        slot: 0,
        steps: query.ops.as_slice().into(),
        candidates,
        access,
    };
    if let Some(found) = by_key(reader, &query.start, query.deleted)? {
        return Ok(forward(found));
    }
    if query.deleted {
        // Nothing leads to what was deleted, so it is only found by beginning at it.
        let bound = reader.graph.entity_bound();
        return Ok(forward(((0..bound).collect(), "all entities, the deleted too".to_owned())));
    }
    let hops: Option<Vec<&Hop>> = query
        .ops
        .iter()
        .map(|step| match step {
            // What constrains the way from the left cannot be tested from the right.
            Step::Hop(hop) if hop.via.is_none() && !hop.nearest => Some(&**hop),
            _ => None,
        })
        .collect();
    // Which of several shortest paths is kept must not depend on the end that was begun at.
    let hops = hops.filter(|hops| !hops.is_empty() && query.shortest.is_none());
    let Some(hops) = hops else {
        return Ok(forward(by_kind(reader, &query.start)?));
    };
    let last = &hops[hops.len() - 1].target;
    let (candidates, access) = match by_key(reader, last, false)? {
        Some(found) => found,
        None => {
            let there = by_kind(reader, &query.start)?;
            let here = by_kind(reader, last)?;
            // Beginning at the start can stop at the first match of each entity, so a tie is its.
            if here.0.len() * 4 >= there.0.len() {
                return Ok(forward(there));
            }
            here
        }
    };
    let mut steps = Vec::with_capacity(hops.len());
    for (i, hop) in hops.iter().enumerate().rev() {
        let (target, to) = match i.checked_sub(1) {
            Some(before) => (hops[before].target.clone(), hops[before].to),
            None => (query.start.clone(), 0),
        };
        let arrow = match hop.arrow {
            Arrow::Out => Arrow::In,
            Arrow::In => Arrow::Out,
            Arrow::Both => Arrow::Both,
        };
        steps.push(Step::Hop(Box::new(Hop {
            target,
            to,
            arrow,
            backward: true,
            ..(*hop).clone()
        })));
    }
    let slot = hops[hops.len() - 1].to;
    Ok(Plan { start: last.clone(), slot, steps: steps.into(), candidates, access })
}

/// The texts that a property must equal one of, if a condition says so.
fn wanted<'t>(test: &'t Test, property: &str) -> Option<Vec<&'t str>> {
    fn texts<'t>(values: &'t Values, found: &mut Vec<&'t str>) -> bool {
        match values {
            Values::Or(all) => all.iter().all(|values| texts(values, found)),
            Values::Term(Term::Value(Value::Text(text))) => {
                found.push(text);
                true
            }
            _ => false,
        }
    }
    match test {
        Test::And(tests) => tests.iter().find_map(|test| wanted(test, property)),
        Test::Compare {
            left: Term::Property(Of::Subject, name),
            op: Op::Equal,
            negated: false,
            right,
        } if name == property => {
            let mut found = Vec::new();
            texts(right, &mut found).then_some(found)
        }
        _ => None,
    }
}

/// Entities named by their key or id, of which there are few.
fn by_key<G: GraphRead>(
    reader: &Reader<'_, G>,
    test: &EntityTest,
    deleted: bool,
) -> Result<Option<(Vec<u32>, String)>, Stop<G::Error>> {
    let Some(with) = &test.with else { return Ok(None) };
    let mut found = Vec::new();
    let mut add = |id| -> Result<(), Stop<G::Error>> {
        found.extend(reader.graph.number_of(ObjectKind::Entity, id)?);
        Ok(())
    };
    let access = if let Some(ids) = wanted(with, "_id") {
        ids.iter().filter_map(|id| ObjectId::parse(id)).try_for_each(&mut add)?;
        "by _id"
    } else if let Some(keys) = wanted(with, "_key") {
        for scope in reader.graph.scopes()? {
            for key in &keys {
                add(ObjectId::new(ObjectKind::Entity, &scope, key))?;
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
        if reader.graph.entity_facts(number)?.is_some_and(|facts| facts.live || deleted) {
            live.push(number);
        }
    }
    Ok(Some((live, access.to_owned())))
}

/// All live entities of the classes and types that a selector names.
fn by_kind<G: GraphRead>(
    reader: &Reader<'_, G>,
    test: &EntityTest,
) -> Result<(Vec<u32>, String), Stop<G::Error>> {
    let mut found = Vec::new();
    let mut names = Vec::new();
    for kind in &test.any {
        match kind {
            Kind::Class(class) => {
                found.extend(reader.graph.entities_with(None, Some(class))?);
                names.push(format!("class {class}"));
            }
            Kind::Type(name) => {
                found.extend(reader.graph.entities_with(Some(name), None)?);
                names.push(format!("type {name}"));
            }
            Kind::All(tests) if !tests.is_empty() => {
                let (more, name) = by_kind(reader, &tests[0])?;
                found.extend(more);
                names.push(name);
            }
            _ => return Ok((reader.graph.entities_with(None, None)?, "all entities".to_owned())),
        }
    }
    if test.any.len() > 1 {
        found.sort_unstable();
        found.dedup();
    }
    Ok((found, names.join(", ")))
}

/// Calls `sink` with every match, or until it has enough. With `once`, one match of each entity
/// that matching begins at is enough.
pub(super) fn rows<G: GraphRead>(
    reader: &Reader<'_, G>,
    query: &Checked,
    plan: &Plan<'_>,
    once: bool,
    mut sink: impl FnMut(&Row) -> Found<G>,
) -> Result<(), Stop<G::Error>> {
    let mut matcher = Matcher {
        reader,
        row: Row {
            entities: vec![NONE; query.entity_slots],
            hops: vec![Hops::None; query.relationship_slots],
        },
        path: Vec::new(),
        depth: 0,
        verbs: FxHashMap::default(),
        joins: FxHashMap::default(),
    };
    for &number in &plan.candidates {
        reader.work(1)?;
        if !reader.fits(number, &plan.start)? {
            continue;
        }
        matcher.row.entities[plan.slot] = number;
        matcher.path.push(number);
        let mut stop = false;
        let mut each = |row: &Row| -> Found<G> {
            let flow = sink(row)?;
            stop = flow.is_break();
            Ok(if once { Flow::Break(()) } else { flow })
        };
        let _ = matcher.go(number, Rest { steps: &plan.steps, then: None }, &mut each)?;
        matcher.path.pop();
        if stop {
            break;
        }
    }
    Ok(())
}

/// How each entity was reached: its least distance, and the entities and relationships before it.
type Came = FxHashMap<u32, (u32, Vec<(u32, u32)>)>;

struct Matcher<'r, 'g, G: GraphRead> {
    reader: &'r Reader<'g, G>,
    row: Row,
    /// Entities of the row in the order they were met: none is met twice.
    path: Vec<u32>,
    /// Calls of [`Matcher::go`] inside each other.
    depth: u32,
    /// Numbers of the verbs of each step; by address, which is stable while matching.
    verbs: FxHashMap<*const Hop, Option<Rc<[u32]>>>,
    /// What each join may lead to, by value; by address as well.
    joins: FxHashMap<*const Join, Rc<FxHashMap<String, Vec<u32>>>>,
}

impl<G: GraphRead> Matcher<'_, '_, G> {
    /// Matches what is left from the entity `at`.
    fn go(&mut self, at: u32, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        if self.depth >= DEPTH_MAX {
            return Err(Stop::Limit(format!("it follows paths of more than {DEPTH_MAX} steps")));
        }
        self.depth += 1;
        let flow = self.step(at, rest, sink);
        self.depth -= 1;
        flow
    }

    fn step(&mut self, at: u32, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        let Some((step, steps)) = rest.steps.split_first() else {
            return match rest.then {
                Some(then) => self.group(at, then.group, then.rounds + 1, then.after, sink),
                None => sink(&self.row),
            };
        };
        let rest = Rest { steps, then: rest.then };
        match step {
            Step::Hop(hop) if hop.repeat.is_some() => self.far(at, hop, rest, sink),
            Step::Hop(hop) => self.near(at, hop, rest, sink),
            Step::Group { .. } => self.group(at, step, 0, rest, sink),
            Step::Join(join) => self.join(join, rest, sink),
            Step::Not(steps) => match self.exists(at, steps)? {
                true => Ok(Flow::Continue(())),
                false => self.go(at, rest, sink),
            },
        }
    }

    /// Goes on behind a group after `rounds` of it, and into one round more.
    fn group(
        &mut self,
        at: u32,
        group: &Step,
        rounds: u32,
        after: Rest<'_>,
        sink: &mut Sink<'_, G>,
    ) -> Found<G> {
        let Step::Group { steps, least, most, frontier } = group else {
            return Ok(Flow::Continue(()));
        };
        if rounds >= *least {
            let before = std::mem::replace(&mut self.row.entities[*frontier], at);
            let flow = self.go(at, after, sink)?;
            self.row.entities[*frontier] = before;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        match rounds < *most {
            true => {
                let then = Then { group, rounds, after };
                self.go(at, Rest { steps, then: Some(&then) }, sink)
            }
            false => Ok(Flow::Continue(())),
        }
    }

    /// Whether a chain begins at `at`, whatever led there.
    fn exists(&mut self, at: u32, steps: &[Step]) -> Result<bool, Stop<G::Error>> {
        let path = std::mem::replace(&mut self.path, vec![at]);
        let row = self.row.clone();
        let mut found = false;
        let result = self.go(at, Rest { steps, then: None }, &mut |_| {
            found = true;
            Ok(Flow::Break(()))
        });
        self.path = path;
        self.row = row;
        result.map(|_| found)
    }

    /// The edges of `at` that a step may take. A self-loop is one edge.
    fn edges(&mut self, at: u32, hop: &Hop) -> Result<Vec<Edge>, Stop<G::Error>> {
        let graph = self.reader.graph;
        let verbs = self.verbs.entry(std::ptr::from_ref(hop)).or_insert_with(|| {
            let number = |verb: &String| {
                [verb.clone(), verb.to_lowercase()]
                    .into_iter()
                    .filter_map(|v| graph.name_number(&v))
            };
            hop.verbs.as_ref().map(|verbs| verbs.iter().flat_map(number).collect())
        });
        let (verbs, mut edges, mut seen) = (verbs.clone(), Vec::new(), 0);
        let fits = |edge: &Edge| verbs.as_ref().is_none_or(|verbs| verbs.contains(&edge.verb));
        for direction in [Direction::Out, Direction::In] {
            let (skip, loops) = match (hop.arrow, direction) {
                (Arrow::Out, Direction::In) | (Arrow::In, Direction::Out) => (true, false),
                (Arrow::Both, Direction::In) => (false, false),
                _ => (false, true),
            };
            if !skip {
                graph.for_each_edge(at, direction, |edge| {
                    seen += 1;
                    if fits(&edge) && (loops || edge.other != at) {
                        edges.push(edge);
                    }
                })?;
            }
        }
        self.reader.work(seen)?;
        if let Some(scope) = &hop.scope {
            let mut kept = Vec::new();
            for edge in edges {
                let link = self.reader.relationship(edge.relationship)?;
                if link.is_some_and(|link| link.scope == *scope) {
                    kept.push(edge);
                }
            }
            edges = kept;
        }
        Ok(edges)
    }

    fn near(&mut self, at: u32, hop: &Hop, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        for edge in self.edges(at, hop)? {
            if self.path.contains(&edge.other) || !self.reader.fits(edge.other, &hop.target)? {
                continue;
            }
            let hops = Hops::One(edge.relationship);
            if self.bind(edge.other, hop, hops, rest, sink)?.is_break() {
                return Ok(Flow::Break(()));
            }
        }
        Ok(Flow::Continue(()))
    }

    /// What a join may lead to, by the values of its property.
    fn joined(&mut self, join: &Join) -> Result<Rc<FxHashMap<String, Vec<u32>>>, Stop<G::Error>> {
        let address = std::ptr::from_ref(join);
        if let Some(known) = self.joins.get(&address) {
            return Ok(Rc::clone(known));
        }
        let candidates = match by_key(self.reader, &join.target, false)? {
            Some((candidates, _)) => candidates,
            None => by_kind(self.reader, &join.target)?.0,
        };
        let mut index: FxHashMap<String, Vec<u32>> = FxHashMap::default();
        for number in candidates {
            self.reader.work(1)?;
            if !self.reader.fits(number, &join.target)? {
                continue;
            }
            let sight = Sight { subject: Some(number), ..Sight::default() };
            let value = self.reader.property(Of::Subject, &join.property, &sight)?;
            for key in value.value().map(cell::join_keys).unwrap_or_default() {
                let found = index.entry(key).or_default();
                if found.last() != Some(&number) {
                    found.push(number);
                }
            }
            self.reader.room(index.len())?;
        }
        let index = Rc::new(index);
        self.joins.insert(address, Rc::clone(&index));
        Ok(index)
    }

    /// Goes on with every entity whose values say that it is meant.
    fn join(&mut self, join: &Join, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        let index = self.joined(join)?;
        let sight = Sight { row: Some(&self.row), ..Sight::default() };
        let value = self.reader.term(&join.value, &sight)?;
        let keys = value.value().map(cell::join_keys).unwrap_or_default();
        let mut others: Vec<u32> =
            keys.iter().filter_map(|key| index.get(key)).flatten().copied().collect();
        others.sort_unstable();
        others.dedup();
        for other in others {
            self.reader.work(1)?;
            if self.path.contains(&other) {
                continue;
            }
            let before = std::mem::replace(&mut self.row.entities[join.to], other);
            let sight = Sight { row: Some(&self.row), ..Sight::default() };
            let mut flow = Flow::Continue(());
            if self.reader.test(&join.on, &sight)? {
                self.path.push(other);
                flow = self.go(other, rest, sink)?;
                self.path.pop();
            }
            self.row.entities[join.to] = before;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(Flow::Continue(()))
    }

    /// Goes on with `other` as the target of `hop`.
    fn bind(
        &mut self,
        other: u32,
        hop: &Hop,
        hops: Hops,
        rest: Rest<'_>,
        sink: &mut Sink<'_, G>,
    ) -> Found<G> {
        let entity = std::mem::replace(&mut self.row.entities[hop.to], other);
        let before = std::mem::replace(&mut self.row.hops[hop.relationship], hops);
        self.path.push(other);
        let flow = self.go(other, rest, sink);
        self.path.pop();
        self.row.entities[hop.to] = entity;
        self.row.hops[hop.relationship] = before;
        flow
    }

    /// A quantified step: each entity once, at its least distance, by one shortest chain.
    fn far(&mut self, at: u32, hop: &Hop, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        let (least, most) = hop.repeat.unwrap_or((1, 1));
        if least == 0 && self.reader.fits(at, &hop.target)? {
            let none = Hops::Many(Rc::from([]));
            if self.bind(at, hop, none, rest, sink)?.is_break() {
                return Ok(Flow::Break(()));
            }
            if hop.nearest {
                return Ok(Flow::Continue(()));
            }
        }
        let mut came = Came::default();
        let mut seen: FxHashSet<u32> = FxHashSet::from_iter([at]);
        let mut frontier = vec![at];
        for depth in 1..=most {
            let mut next = Vec::new();
            for &from in &frontier {
                let passes = match &hop.via {
                    Some(via) if from != at => self.reader.fits(from, via)?,
                    _ => true,
                };
                if !passes {
                    continue;
                }
                for edge in self.edges(from, hop)? {
                    if seen.insert(edge.other) {
                        came.insert(edge.other, (depth, vec![(from, edge.relationship)]));
                        next.push(edge.other);
                    } else if let Some((least, ways)) = came.get_mut(&edge.other)
                        && hop.every
                        && *least == depth
                    {
                        ways.push((from, edge.relationship));
                    }
                }
            }
            let mut met = false;
            for &other in next.iter().filter(|_| depth >= least) {
                if self.path.contains(&other) || !self.reader.fits(other, &hop.target)? {
                    continue;
                }
                met = true;
                for mut chain in self.chains(&came, other)? {
                    if !hop.backward {
                        chain.reverse();
                    }
                    let hops = Hops::Many(chain.into());
                    if self.bind(other, hop, hops, rest, sink)?.is_break() {
                        return Ok(Flow::Break(()));
                    }
                }
            }
            if next.is_empty() || hop.nearest && met {
                break;
            }
            frontier = next;
        }
        Ok(Flow::Continue(()))
    }

    /// The chains of relationships that led to `to`, the last relationship first.
    fn chains(&self, came: &Came, to: u32) -> Result<Vec<Vec<u32>>, Stop<G::Error>> {
        let (mut open, mut whole) = (vec![(to, Vec::new())], Vec::new());
        while let Some((at, chain)) = open.pop() {
            let Some((_, ways)) = came.get(&at) else {
                whole.push(chain);
                continue;
            };
            self.reader.room(open.len() + whole.len() + ways.len())?;
            for &(from, relationship) in ways.iter().rev() {
                let mut longer = chain.clone();
                longer.push(relationship);
                open.push((from, longer));
            }
        }
        Ok(whole)
    }
}
