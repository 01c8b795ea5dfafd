//! Matching: from the entities that a pattern can start at, along relationships, to whole rows.
//!
//! Rows are found depth first and handed on one by one, so that a query with a limit stops early.
//! No entity stands twice on one path. A chain that must not be there is looked for anew from its
//! anchor, whatever path led to the anchor.

use super::Stop;
use super::cell::KEPT;
use super::meant::{Checked, EntityTest, Hop, Join, Of, RuleSet, Slot, Step, Verb};
use super::plan::{self, Access, Plan};
use super::read::{Hops, NONE, Reader, Row, Selected, Sight};
use super::spelled;
use super::syntax::Arrow;
use crate::graph::{Adjacency, Direction, Edge, EntityFacts, GraphRead, Names};
use crate::limits::{Exceeded, Part};
use crate::rules::{Bound, Kind, Owning, State, States, Trouble};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::Cell as Counter;
use std::ops::ControlFlow;
use std::rc::Rc;

/// Longest path: each step is a few calls deeper on the stack.
const DEPTH_MAX: u32 = 1000;

/// Bytes for one entity that a quantified step reached: its place in two tables, and one way to it.
const REACHED: usize = 96;

/// Counts bytes that a part of the query is about to keep.
fn hold<E>(part: &mut Part<'_>, bytes: usize) -> Result<(), Stop<E>> {
    part.hold(bytes as u64).map_err(Stop::Limit)
}

/// The signal to go on matching, or to stop since there is enough.
pub(super) type Flow = ControlFlow<()>;
type Found<G> = Result<Flow, Stop<<G as Adjacency>::Error>>;
type Sink<'s, G> = dyn FnMut(&Row) -> Found<G> + 's;

/// The steps that are still to be matched, and the end of the group that they stand in.
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

/// Calls `visit` with each entity that `access` leads to.
pub(super) fn each<G: GraphRead>(
    reader: &Reader<'_, G>,
    access: &Access,
    mut visit: impl FnMut(u32, EntityFacts) -> Found<G>,
) -> Result<(), Stop<G::Error>> {
    let mut of_number = |number: u32| -> Found<G> {
        match reader.graph.entity_facts(number)? {
            Some(facts) => visit(number, facts),
            None => Ok(Flow::Continue(())),
        }
    };
    match access {
        Access::Listed(numbers) => {
            for &number in numbers {
                if of_number(number)?.is_break() {
                    break;
                }
            }
            Ok(())
        }
        Access::Everything => {
            for number in 0..reader.graph.entity_bound() {
                if of_number(number)?.is_break() {
                    break;
                }
            }
            Ok(())
        }
        Access::Scan => reader.graph.scan(|number, facts| {
            // Entities that are passed by count no work, so nothing else looks at the clock.
            if number.is_multiple_of(4096) {
                reader.time()?;
            }
            visit(number, facts)
        }),
    }
}

/// Calls `sink` with every match, or until it has enough. With `once`, one match of each entity
/// that matching begins at is enough. Gives the number of entities begun at.
pub(super) fn rows<G: GraphRead>(
    reader: &Reader<'_, G>,
    query: &Checked,
    plan: &Plan,
    once: bool,
    mut sink: impl FnMut(&Row) -> Found<G>,
) -> Result<u64, Stop<G::Error>> {
    let mut matcher = Matcher {
        reader,
        row: Row {
            entities: vec![NONE; query.entity_slots],
            hops: vec![Hops::None; query.relationship_slots],
        },
        path: Vec::new(),
        depth: 0,
        met: &plan.met,
        kinds: FxHashMap::default(),
        ways: FxHashMap::default(),
        joins: FxHashMap::default(),
        bound: Bound::new(&query.rules, Trouble::ANY),
        ruled: FxHashMap::default(),
    };
    let mut candidates = 0;
    each(reader, &plan.access, |number, facts| {
        let selected = matcher.selected(facts, &plan.start);
        // Names alone exclude most entities, without reading their properties.
        if selected == Selected::No || !facts.live && !query.deleted {
            return Ok(Flow::Continue(()));
        }
        candidates += 1;
        reader.work(1)?;
        if !reader.fits(number, &plan.start, selected)? {
            return Ok(Flow::Continue(()));
        }
        matcher.met(plan.slot);
        matcher.row.entities[plan.slot] = number;
        matcher.path.push(number);
        let mut stop = false;
        let mut each = |row: &Row| -> Found<G> {
            let flow = sink(row)?;
            stop = flow.is_break();
            // With `once`, a break ends this entity only; `stop` says that the caller has enough.
            Ok(if once { Flow::Break(()) } else { flow })
        };
        let _ = matcher.go(number, Rest { steps: &plan.steps, then: None }, &mut each)?;
        matcher.path.pop();
        Ok(if stop { Flow::Break(()) } else { Flow::Continue(()) })
    })?;
    Ok(candidates)
}

/// The ways in which a step follows the relationships of each verb.
struct Ways {
    /// By verb number, ascending.
    verbs: Vec<(u32, Way)>,
    others: Way,
    /// Sets that the rules define for verbs that are not named, each with its direction.
    sets: Vec<(RuleSet, Arrow)>,
}

/// Two flags: follow with the arrow, follow against it.
type Way = [bool; 2];

impl Ways {
    fn new(names: &impl Names, verbs: Option<&[Verb]>, step: Arrow) -> Ways {
        let way = |arrow| [arrow != Arrow::In, arrow != Arrow::Out];
        let mut ways = Ways { verbs: Vec::new(), others: [false, false], sets: Vec::new() };
        let Some(verbs) = verbs else { return Ways { others: way(step), ..ways } };
        for verb in verbs {
            if let Some(set) = verb.set {
                ways.sets.push((set, verb.arrow.unwrap_or(step)));
                continue;
            }
            let way = match verb.never {
                true => [false, false],
                false => way(verb.arrow.unwrap_or(step)),
            };
            if verb.name.is_empty() {
                ways.others = way;
                continue;
            }
            let numbers = spelled::verbs(names, &verb.name);
            ways.verbs.extend(numbers.into_iter().map(|number| (number, way)));
        }
        // Of a verb that is named twice the first mention counts.
        ways.verbs.sort_by_key(|(number, _)| *number);
        ways.verbs.dedup_by_key(|(number, _)| *number);
        ways
    }

    fn of(&self, verb: u32) -> Way {
        match self.verbs.binary_search_by_key(&verb, |(number, _)| *number) {
            Ok(at) => self.verbs[at].1,
            Err(_) => self.others,
        }
    }
}

/// By entity that was reached: its least distance, and each entity and relationship before it.
type Came = FxHashMap<u32, (u32, Vec<(u32, u32)>)>;

/// The visits of a walk by the rules: entities in states, nearest first, and the steps to each.
struct Visits {
    order: Vec<(u32, State, u32)>,
    came: FxHashMap<(u32, State), (u32, Vec<((u32, State), u32)>)>,
    /// States that need no visit any more.
    settled: FxHashMap<u32, States>,
}

struct Matcher<'r, 'g, G: GraphRead> {
    reader: &'r Reader<'g, G>,
    row: Row,
    /// Entities of the row in the order they were met: none is met twice.
    path: Vec<u32>,
    /// Calls of [`Matcher::go`] inside each other.
    depth: u32,
    /// Counts by slot: the times that it was filled.
    met: &'r [Counter<u64>],
    /// Verdicts by selector and names of an entity. A selector is known by its address, which is stable
    /// while matching.
    kinds: FxHashMap<(*const EntityTest, EntityFacts), Selected>,
    /// By step: the ways it goes, and those of its last relationship where that has its own verbs.
    ways: FxHashMap<*const Hop, Rc<(Ways, Option<Ways>)>>,
    /// By join: the entities that it may lead to, by the hash of a value.
    joins: FxHashMap<*const Join, Rc<FxHashMap<u64, Vec<u32>>>>,
    /// The rules, and the kind that they give to each entity.
    bound: Bound,
    ruled: FxHashMap<u32, Kind>,
}

impl<G: GraphRead> Matcher<'_, '_, G> {
    fn met(&self, slot: Slot) {
        self.met[slot].set(self.met[slot].get() + 1);
    }

    fn selected(&mut self, facts: EntityFacts, test: &EntityTest) -> Selected {
        let reader = self.reader;
        let known = self.kinds.entry((std::ptr::from_ref(test), facts));
        *known.or_insert_with(|| reader.selected(&facts, test))
    }

    fn fits(&mut self, number: u32, test: &EntityTest) -> Result<bool, Stop<G::Error>> {
        let Some(facts) = self.reader.graph.entity_facts(number)? else { return Ok(false) };
        let selected = self.selected(facts, test);
        self.reader.fits(number, test, selected)
    }

    /// Matches what is left from the entity `at`.
    fn go(&mut self, at: u32, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        if self.depth >= DEPTH_MAX {
            return Err(Stop::Limit(Exceeded::Depth(DEPTH_MAX)));
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
            Step::From(slot) => self.go(self.row.entities[*slot], rest, sink),
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
            // Matching goes depth first: each binding is taken back before another is tried.
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

    /// True if a chain begins at `at`, whatever path led there.
    fn exists(&mut self, at: u32, steps: &[Step]) -> Result<bool, Stop<G::Error>> {
        // The path to `at` must not exclude entities of the chain: the answer is one for all paths.
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

    fn ways(&mut self, hop: &Hop) -> Rc<(Ways, Option<Ways>)> {
        let graph = self.reader.graph;
        let known = self.ways.entry(std::ptr::from_ref(hop)).or_insert_with(|| {
            let by = hop.by.as_deref().map(|by| Ways::new(graph, Some(by), hop.arrow));
            Rc::new((Ways::new(graph, hop.verbs.as_deref(), hop.arrow), by))
        });
        Rc::clone(known)
    }

    /// The kind that the rules give to an entity.
    fn kind(&mut self, entity: u32) -> Result<Kind, Stop<G::Error>> {
        if let Some(&kind) = self.ruled.get(&entity) {
            return Ok(kind);
        }
        let graph = self.reader.graph;
        let kind = match graph.entity_facts(entity)? {
            Some(facts) => self.bound.kind(graph, &facts),
            None => self.bound.unknown_kind(),
        };
        self.ruled.insert(entity, kind);
        Ok(kind)
    }

    /// The edges that a step may take from `at`, which is reached in `state`, and the states that they
    /// give. Only the rules of impact change the state.
    fn spread(
        &mut self,
        at: u32,
        hop: &Hop,
        ways: &Ways,
        state: State,
    ) -> Result<Vec<(Edge, States)>, Stop<G::Error>> {
        let mut all = Vec::new();
        for direction in [Direction::Out, Direction::In] {
            self.reader.graph.for_each_edge(at, direction, |edge| all.push((edge, direction)))?;
        }
        self.reader.work(all.len() as u64)?;
        let here = self.kind(at)?;
        let mut taken = Vec::new();
        for (edge, direction) in all {
            let named = ways.verbs.binary_search_by_key(&edge.verb, |(number, _)| *number);
            let way = named.map_or(ways.others, |named| ways.verbs[named].1);
            // A self-loop shows in both directions: once it is taken with the arrow, it is not taken again.
            let again = direction == Direction::In && way[0] && edge.other == at;
            let keeps = way[direction as usize] && !again;
            let mut states = if keeps { States::only(state) } else { States::default() };
            // A verb that the step names goes by its own arrow; the rules tell of the others only.
            if named.is_err() {
                let there = self.kind(edge.other)?;
                let ends = match direction {
                    Direction::Out => (here, there),
                    Direction::In => (there, here),
                };
                for &(set, arrow) in &ways.sets {
                    states = states.or(self.told(set, arrow, edge.verb, direction, ends, state));
                }
            }
            if !states.is_none() {
                taken.push((edge, states));
            }
        }
        if let Some(scope) = &hop.scope {
            let mut kept = Vec::new();
            for (edge, states) in taken {
                let own = self.reader.graph.relationship_value(edge.relationship, "_scope")?;
                if own.is_some_and(|own| own.as_str() == Some(scope)) {
                    kept.push((edge, states));
                }
            }
            taken = kept;
        }
        Ok(taken)
    }

    /// The states that the rules give to the other end of an edge.
    fn told(
        &mut self,
        set: RuleSet,
        arrow: Arrow,
        verb: u32,
        direction: Direction,
        (from, to): (Kind, Kind),
        state: State,
    ) -> States {
        let graph = self.reader.graph;
        if set == RuleSet::Impact {
            let cell = self.bound.cell(graph, verb, from, to);
            return cell.passing[direction as usize].from(state);
        }
        let Some((owning, turned)) = self.bound.owning(graph, verb, from, to) else {
            return States::default();
        };
        let along = match (direction == Direction::Out) != turned {
            true => arrow != Arrow::In,
            false => arrow != Arrow::Out,
        };
        let taken = match owning {
            Owning::Owns => set == RuleSet::Owning && along,
            Owning::Through => set == RuleSet::Containing && along,
            // Records of one thing contain each other, so the direction does not matter.
            Owning::Identity => set == RuleSet::Containing,
            Owning::Member | Owning::None => false,
        };
        if taken { States::only(state) } else { States::default() }
    }

    /// The edges of `at` that a step may take. A self-loop is one edge.
    fn edges(&mut self, at: u32, hop: &Hop, ways: &Ways) -> Result<Vec<Edge>, Stop<G::Error>> {
        if !ways.sets.is_empty() {
            let taken = self.spread(at, hop, ways, State::Controlled)?;
            return Ok(taken.into_iter().map(|(edge, _)| edge).collect());
        }
        let (mut edges, mut seen) = (Vec::new(), 0);
        let all = ways.others[0] || !ways.verbs.is_empty();
        // Edges against the arrow are only read where some verb may be followed that way.
        let back = ways.others[1] || ways.verbs.iter().any(|(_, way)| way[1]);
        for (direction, asked) in [(Direction::Out, all), (Direction::In, back)] {
            if !asked {
                continue;
            }
            self.reader.graph.for_each_edge(at, direction, |edge| {
                seen += 1;
                let way = ways.of(edge.verb);
                // Either direction shows a loop.
                let again = direction == Direction::In && way[0] && edge.other == at;
                if way[direction as usize] && !again {
                    edges.push(edge);
                }
            })?;
        }
        self.reader.work(seen)?;
        if let Some(scope) = &hop.scope {
            let mut kept = Vec::new();
            for edge in edges {
                let own = self.reader.graph.relationship_value(edge.relationship, "_scope")?;
                if own.is_some_and(|own| own.as_str() == Some(scope)) {
                    kept.push(edge);
                }
            }
            edges = kept;
        }
        Ok(edges)
    }

    fn near(&mut self, at: u32, hop: &Hop, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        let ways = self.ways(hop);
        let edges = self.edges(at, hop, &ways.0)?;
        // They are there as long as the path goes on from here.
        let mut part = self.reader.meter.part();
        hold(&mut part, size_of_val(edges.as_slice()))?;
        for edge in edges {
            // The path is in memory: asking it first saves reading the entity.
            if self.path.contains(&edge.other) || !self.fits(edge.other, &hop.target)? {
                continue;
            }
            let hops = Hops::One(edge.relationship);
            if self.bind(edge.other, hop, hops, rest, sink)?.is_break() {
                return Ok(Flow::Break(()));
            }
        }
        Ok(Flow::Continue(()))
    }

    /// The entities that a join may lead to, by the hashes of the values of its property.
    fn joined(&mut self, join: &Join) -> Result<Rc<FxHashMap<u64, Vec<u32>>>, Stop<G::Error>> {
        let address = std::ptr::from_ref(join);
        if let Some(known) = self.joins.get(&address) {
            return Ok(Rc::clone(known));
        }
        let reader = self.reader;
        let access = plan::access(reader, &join.target)?;
        let mut index: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        each(reader, &access, |number, facts| {
            let selected = self.selected(facts, &join.target);
            if selected == Selected::No || !facts.live {
                return Ok(Flow::Continue(()));
            }
            reader.work(1)?;
            if reader.fits(number, &join.target, selected)? {
                let sight = Sight { subject: Some(number), ..Sight::default() };
                let value = reader.property(Of::Subject, &join.property, &sight)?;
                let before = index.len();
                let mut listed = 0;
                let mut add = |hash| {
                    let found = index.entry(hash).or_default();
                    // Items of one list may share a hash; the entity is listed once.
                    if found.last() != Some(&number) {
                        found.push(number);
                        listed += 1;
                    }
                };
                value.value().into_iter().for_each(|value| value.equality_hashes(&mut add));
                reader.hold(KEPT * (index.len() - before) + 8 * listed)?;
                reader.room(index.len())?;
            }
            Ok(Flow::Continue(()))
        })?;
        let index = Rc::new(index);
        self.joins.insert(address, Rc::clone(&index));
        Ok(index)
    }

    /// Goes on with every entity whose values meet the condition of the join.
    fn join(&mut self, join: &Join, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        let index = self.joined(join)?;
        let sight = Sight { row: Some(&self.row), ..Sight::default() };
        let value = self.reader.term(&join.value, &sight)?;
        let mut others: Vec<u32> = Vec::new();
        let mut add = |hash| others.extend(index.get(&hash).into_iter().flatten());
        value.value().into_iter().for_each(|value| value.equality_hashes(&mut add));
        // Several hashes of the value may list one entity.
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
            // A common hash is a hint only: the whole condition decides.
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
        let mut holds = true;
        // Tested before going deeper, so that no row is completed that WHERE refuses.
        for check in &hop.checks {
            let sight = Sight { row: Some(&self.row), ..Sight::default() };
            holds = holds && self.reader.test(check, &sight)?;
        }
        let mut flow = Ok(Flow::Continue(()));
        if holds {
            self.met(hop.to);
            self.path.push(other);
            flow = self.go(other, rest, sink);
            self.path.pop();
        }
        self.row.entities[hop.to] = entity;
        self.row.hops[hop.relationship] = before;
        flow
    }

    /// A quantified step: each entity once, at its least distance, by one shortest chain.
    fn far(&mut self, at: u32, hop: &Hop, rest: Rest<'_>, sink: &mut Sink<'_, G>) -> Found<G> {
        let (least, most) = hop.repeat.unwrap_or((1, 1));
        if least == 0 && self.fits(at, &hop.target)? {
            let none = Hops::Many(Rc::from([]));
            if self.bind(at, hop, none, rest, sink)?.is_break() {
                return Ok(Flow::Break(()));
            }
            // Nothing is nearer than the entity itself.
            if hop.nearest {
                return Ok(Flow::Continue(()));
            }
        }
        let ways = self.ways(hop);
        if hop.spreads() {
            return self.far_by_rules(at, hop, &ways, rest, sink);
        }
        let mut part = self.reader.meter.part();
        let mut came = Came::default();
        let mut seen: FxHashSet<u32> = FxHashSet::from_iter([at]);
        // What the last relationship led to so far, where that has to be a certain one.
        let mut ended: FxHashSet<u32> = FxHashSet::from_iter([at]);
        let mut frontier = vec![at];
        for depth in 1..=most {
            let mut next = Vec::new();
            let mut ends = Vec::new();
            for &from in &frontier {
                let passes = match &hop.via {
                    Some(via) if from != at => self.fits(from, via)?,
                    _ => true,
                };
                if !passes {
                    continue;
                }
                // With BY, the ends of these last relationships are the targets, not the entities between.
                if let Some(by) = &ways.1
                    && depth >= least
                {
                    let last = self.edges(from, hop, by)?.into_iter();
                    let new = last.filter(|edge| !ended.contains(&edge.other));
                    let before = ends.len();
                    ends.extend(new.map(|edge| (edge.other, from, edge.relationship)));
                    hold(&mut part, KEPT * (ends.len() - before))?;
                }
                let edges = self.edges(from, hop, &ways.0)?;
                let known = came.len();
                for edge in edges {
                    if seen.insert(edge.other) {
                        came.insert(edge.other, (depth, vec![(from, edge.relationship)]));
                        next.push(edge.other);
                    // Another shortest chain: only one of the same depth is as short.
                    } else if let Some((least, ways)) = came.get_mut(&edge.other)
                        && hop.every
                        && *least == depth
                    {
                        hold(&mut part, size_of::<(u32, u32)>())?;
                        ways.push((from, edge.relationship));
                    }
                }
                hold(&mut part, REACHED * (came.len() - known))?;
            }
            // Targets go on only now: until the depth is complete, a shortest chain may be missing.
            let mut targets: Vec<(u32, Vec<Vec<u32>>)> = Vec::new();
            if ways.1.is_some() {
                for (other, from, relationship) in ends {
                    // With `every` all chains of this depth count; their ends are closed after the depth.
                    if hop.every || ended.insert(other) {
                        let mut chains = self.chains(&came, from)?;
                        chains.iter_mut().for_each(|chain| chain.insert(0, relationship));
                        targets.push((other, chains));
                    }
                }
                ended.extend(targets.iter().map(|(other, _)| *other));
            } else if depth >= least {
                targets.extend(next.iter().map(|&other| (other, Vec::new())));
            }
            let mut met = false;
            for (other, mut chains) in targets {
                if self.path.contains(&other) || !self.fits(other, &hop.target)? {
                    continue;
                }
                met = true;
                if ways.1.is_none() {
                    chains = self.chains(&came, other)?;
                }
                for mut chain in chains {
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

    /// A quantified step by the rules of impact: each entity once, in its strongest state, at the
    /// least distance of that state.
    fn far_by_rules(
        &mut self,
        at: u32,
        hop: &Hop,
        ways: &(Ways, Option<Ways>),
        rest: Rest<'_>,
        sink: &mut Sink<'_, G>,
    ) -> Found<G> {
        let (least, most) = hop.repeat.unwrap_or((1, 1));
        let visits = self.visits(at, hop, &ways.0, most)?;
        let mut targets: Vec<(u32, u32, Vec<Vec<u32>>)> = Vec::new();
        match &ways.1 {
            None => {
                for &(entity, state, depth) in &visits.order[1..] {
                    let stronger = States::stronger_than(state).0;
                    // An entity that is also reached in a stronger state is a target in that state alone.
                    if depth >= least && visits.settled[&entity].0 & stronger == 0 {
                        let chains = self.chains_to(&visits, (entity, state))?;
                        targets.push((entity, depth, chains));
                    }
                }
            }
            Some(by) => {
                let mut ended: FxHashSet<u32> = FxHashSet::from_iter([at]);
                for &(from, state, depth) in &visits.order {
                    if depth >= most || depth + 1 < least || !self.passes(at, from, hop)? {
                        continue;
                    }
                    for (edge, _) in self.spread(from, hop, by, state)? {
                        if ended.insert(edge.other) {
                            let mut chains = self.chains_to(&visits, (from, state))?;
                            chains.iter_mut().for_each(|c| c.insert(0, edge.relationship));
                            targets.push((edge.other, depth + 1, chains));
                        }
                    }
                }
            }
        }
        let mut nearest = u32::MAX;
        for (entity, depth, chains) in targets {
            // Targets stand by ascending depth.
            if hop.nearest && depth > nearest {
                break;
            }
            if self.path.contains(&entity) || !self.fits(entity, &hop.target)? {
                continue;
            }
            nearest = nearest.min(depth);
            for mut chain in chains {
                chain.reverse();
                let hops = Hops::Many(chain.into());
                if self.bind(entity, hop, hops, rest, sink)?.is_break() {
                    return Ok(Flow::Break(()));
                }
            }
        }
        Ok(Flow::Continue(()))
    }

    /// True if a step may go on from an entity that it came to.
    fn passes(&mut self, at: u32, from: u32, hop: &Hop) -> Result<bool, Stop<G::Error>> {
        match &hop.via {
            Some(via) if from != at => self.fits(from, via),
            _ => Ok(true),
        }
    }

    /// All visits of a walk by the rules that begins at `at`, which is controlled.
    fn visits(
        &mut self,
        at: u32,
        hop: &Hop,
        ways: &Ways,
        most: u32,
    ) -> Result<Visits, Stop<G::Error>> {
        let mut visits = Visits {
            order: vec![(at, State::Controlled, 0)],
            came: FxHashMap::default(),
            settled: FxHashMap::from_iter([(at, States::settled_by(State::Controlled))]),
        };
        let mut next = 0;
        // The list is the queue as well: new visits are appended, so depth never falls.
        while let Some(&(from, state, depth)) = visits.order.get(next) {
            next += 1;
            if depth >= most || !self.passes(at, from, hop)? {
                continue;
            }
            for (edge, states) in self.spread(from, hop, ways, state)? {
                for given in states.iter() {
                    let settled = visits.settled.entry(edge.other).or_default();
                    let way = ((from, state), edge.relationship);
                    if !settled.has(given) {
                        *settled = settled.or(States::settled_by(given));
                        visits.came.insert((edge.other, given), (depth + 1, vec![way]));
                        visits.order.push((edge.other, given, depth + 1));
                    } else if hop.every
                        && let Some((known, ways)) = visits.came.get_mut(&(edge.other, given))
                        && *known == depth + 1
                    {
                        ways.push(way);
                    }
                }
            }
            self.reader.room(visits.order.len())?;
        }
        Ok(visits)
    }

    /// The chains of relationships that led to a visit, the last relationship first.
    fn chains_to(
        &self,
        visits: &Visits,
        to: (u32, State),
    ) -> Result<Vec<Vec<u32>>, Stop<G::Error>> {
        self.chains_back(to, |at| visits.came.get(&at).map(|(_, ways)| &ways[..]))
    }

    /// The chains of relationships that led to `to`, the last relationship first.
    fn chains(&self, came: &Came, to: u32) -> Result<Vec<Vec<u32>>, Stop<G::Error>> {
        self.chains_back(to, |at| came.get(&at).map(|(_, ways)| &ways[..]))
    }

    /// The chains that end at `to`, where `ways` are the last steps to a place; a beginning has none.
    fn chains_back<'w, N: Copy + 'w>(
        &self,
        to: N,
        ways: impl Fn(N) -> Option<&'w [(N, u32)]>,
    ) -> Result<Vec<Vec<u32>>, Stop<G::Error>> {
        let (mut open, mut whole) = (vec![(to, Vec::new())], Vec::new());
        let mut part = self.reader.meter.part();
        while let Some((at, chain)) = open.pop() {
            let Some(ways) = ways(at) else {
                whole.push(chain);
                continue;
            };
            self.reader.room(open.len() + whole.len() + ways.len())?;
            hold(&mut part, ways.len() * (KEPT + 4 * (chain.len() + 1)))?;
            // The stack gives the last one first: reversed, chains come in the order of their steps.
            for &(from, relationship) in ways.iter().rev() {
                let mut longer = chain.clone();
                longer.push(relationship);
                open.push((from, longer));
            }
        }
        Ok(whole)
    }
}
