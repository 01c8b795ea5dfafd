//! Matching: from the entities that a pattern can start at, along relationships, to whole rows.
//!
//! Rows are found depth first and handed on one by one, so that a query with a limit stops early.
//! No entity stands twice on one path. A chain that must not be there is looked for anew from its
//! anchor, whatever path led to the anchor.

use super::QuestionError;
use super::cell::KEPT;
use super::plan::{self, AccessPath, QueryPlan};
use super::read::{
    BindingRow, BoundRelationships, EvalContext, NONE, QueryReader, SelectorVerdict,
};
use super::resolved::{
    EntityTest, ExpandStep, PatternStep, PropertyOwner, ResolvedQuery, ResolvedVerb, RowSlot,
    RuleSet, ValueJoin,
};
use super::spelling;
use super::syntax::StepDirection;
use crate::graph::{
    AdjacencyRead, EdgeDirection, EntityFacts, GraphRead, IncidentEdge, NameLookup,
};
use crate::limits::{LimitError, MemoryReservation};
use crate::rules::{BoundRules, EntityKind, ImpactFilter, ImpactState, OwnershipKind, StateSet};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::Cell as Counter;
use std::ops::ControlFlow;
use std::rc::Rc;

/// Longest path: each step is a few calls deeper on the stack.
const DEPTH_MAX: u32 = 1000;

/// Bytes for one entity that a quantified step reached: its place in two tables, and one way to it.
const REACHED: usize = 96;

/// Counts bytes that a part of the query is about to keep.
fn hold<E>(part: &mut MemoryReservation<'_>, bytes: usize) -> Result<(), QuestionError<E>> {
    part.hold(bytes as u64).map_err(QuestionError::Limit)
}

/// The signal to go on matching, or to stop since there is enough.
pub(super) type MatchFlow = ControlFlow<()>;
type MatchResult<G> = Result<MatchFlow, QuestionError<<G as AdjacencyRead>::Error>>;
type RowSink<'s, G> = dyn FnMut(&BindingRow) -> MatchResult<G> + 's;

/// The steps that are still to be matched, and the end of the group that they stand in.
#[derive(Clone, Copy)]
struct RemainingSteps<'a> {
    steps: &'a [PatternStep],
    then: Option<&'a GroupContinuation<'a>>,
}

/// The end of one round of a group.
struct GroupContinuation<'a> {
    group: &'a PatternStep,
    rounds: u32,
    after: RemainingSteps<'a>,
}

/// Calls `visit` with each entity that `access` leads to.
pub(super) fn each<G: GraphRead>(
    reader: &QueryReader<'_, G>,
    access: &AccessPath,
    mut visit: impl FnMut(u32, EntityFacts) -> MatchResult<G>,
) -> Result<(), QuestionError<G::Error>> {
    let mut of_number = |number: u32| -> MatchResult<G> {
        match reader.graph.entity_facts(number)? {
            Some(facts) => visit(number, facts),
            None => Ok(MatchFlow::Continue(())),
        }
    };
    match access {
        AccessPath::Listed(numbers) => {
            for &number in numbers {
                if of_number(number)?.is_break() {
                    break;
                }
            }
            Ok(())
        }
        AccessPath::Everything => {
            for number in 0..reader.graph.entity_bound() {
                if of_number(number)?.is_break() {
                    break;
                }
            }
            Ok(())
        }
        AccessPath::Scan => reader.graph.scan(|number, facts| {
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
    reader: &QueryReader<'_, G>,
    query: &ResolvedQuery,
    plan: &QueryPlan,
    once: bool,
    mut sink: impl FnMut(&BindingRow) -> MatchResult<G>,
) -> Result<u64, QuestionError<G::Error>> {
    let mut matcher = PatternMatcher {
        reader,
        row: BindingRow {
            entities: vec![NONE; query.entity_slots],
            hops: vec![BoundRelationships::None; query.relationship_slots],
        },
        path: Vec::new(),
        depth: 0,
        met: &plan.met,
        kinds: FxHashMap::default(),
        ways: FxHashMap::default(),
        joins: FxHashMap::default(),
        bound: BoundRules::new(&query.rules, ImpactFilter::ANY),
        ruled: FxHashMap::default(),
    };
    let mut candidates = 0;
    each(reader, &plan.access, |number, facts| {
        let selected = matcher.selected(facts, &plan.start);
        // Names alone exclude most entities, without reading their properties.
        if selected == SelectorVerdict::No || !facts.live && !query.deleted {
            return Ok(MatchFlow::Continue(()));
        }
        candidates += 1;
        reader.work(1)?;
        if !reader.fits(number, &plan.start, selected)? {
            return Ok(MatchFlow::Continue(()));
        }
        matcher.count_binding(plan.slot);
        matcher.row.entities[plan.slot] = number;
        matcher.path.push(number);
        let mut stop = false;
        let mut each = |row: &BindingRow| -> MatchResult<G> {
            let flow = sink(row)?;
            stop = flow.is_break();
            // With `once`, a break ends this entity only; `stop` says that the caller has enough.
            Ok(if once { MatchFlow::Break(()) } else { flow })
        };
        let _ = matcher.match_rest(
            number,
            RemainingSteps { steps: &plan.steps, then: None },
            &mut each,
        )?;
        matcher.path.pop();
        Ok(if stop { MatchFlow::Break(()) } else { MatchFlow::Continue(()) })
    })?;
    Ok(candidates)
}

/// The ways in which a step follows the relationships of each verb.
struct VerbDirections {
    /// By verb number, ascending.
    verbs: Vec<(u32, DirectionFlags)>,
    others: DirectionFlags,
    /// Sets that the rules define for verbs that are not named, each with its direction.
    sets: Vec<(RuleSet, StepDirection)>,
}

/// Two flags: follow with the arrow, follow against it.
type DirectionFlags = [bool; 2];

impl VerbDirections {
    fn new(
        names: &impl NameLookup,
        verbs: Option<&[ResolvedVerb]>,
        step: StepDirection,
    ) -> VerbDirections {
        let way = |arrow| [arrow != StepDirection::In, arrow != StepDirection::Out];
        let mut ways =
            VerbDirections { verbs: Vec::new(), others: [false, false], sets: Vec::new() };
        let Some(verbs) = verbs else { return VerbDirections { others: way(step), ..ways } };
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
            let numbers = spelling::verbs(names, &verb.name);
            ways.verbs.extend(numbers.into_iter().map(|number| (number, way)));
        }
        // Of a verb that is named twice the first mention counts.
        ways.verbs.sort_by_key(|(number, _)| *number);
        ways.verbs.dedup_by_key(|(number, _)| *number);
        ways
    }

    fn of(&self, verb: u32) -> DirectionFlags {
        match self.verbs.binary_search_by_key(&verb, |(number, _)| *number) {
            Ok(at) => self.verbs[at].1,
            Err(_) => self.others,
        }
    }
}

/// By entity that was reached: its least distance, and each entity and relationship before it.
type PredecessorMap = FxHashMap<u32, (u32, Vec<(u32, u32)>)>;

/// The visits of a walk by the rules: entities in states, nearest first, and the steps to each.
struct ImpactVisits {
    order: Vec<(u32, ImpactState, u32)>,
    came: FxHashMap<(u32, ImpactState), (u32, Vec<((u32, ImpactState), u32)>)>,
    /// States that need no visit any more.
    settled: FxHashMap<u32, StateSet>,
}

struct PatternMatcher<'r, 'g, G: GraphRead> {
    reader: &'r QueryReader<'g, G>,
    row: BindingRow,
    /// Entities of the row in the order they were met: none is met twice.
    path: Vec<u32>,
    /// Calls of [`PatternMatcher::go`] inside each other.
    depth: u32,
    /// Counts by slot: the times that it was filled.
    met: &'r [Counter<u64>],
    /// Verdicts by selector and names of an entity. A selector is known by its address, which is stable
    /// while matching.
    kinds: FxHashMap<(*const EntityTest, EntityFacts), SelectorVerdict>,
    /// By step: the ways it goes, and those of its last relationship where that has its own verbs.
    ways: FxHashMap<*const ExpandStep, Rc<(VerbDirections, Option<VerbDirections>)>>,
    /// By join: the entities that it may lead to, by the hash of a value.
    joins: FxHashMap<*const ValueJoin, Rc<FxHashMap<u64, Vec<u32>>>>,
    /// The rules, and the kind that they give to each entity.
    bound: BoundRules,
    ruled: FxHashMap<u32, EntityKind>,
}

impl<G: GraphRead> PatternMatcher<'_, '_, G> {
    fn count_binding(&self, slot: RowSlot) {
        self.met[slot].set(self.met[slot].get() + 1);
    }

    fn selected(&mut self, facts: EntityFacts, test: &EntityTest) -> SelectorVerdict {
        let reader = self.reader;
        let known = self.kinds.entry((std::ptr::from_ref(test), facts));
        *known.or_insert_with(|| reader.selected(&facts, test))
    }

    fn fits(&mut self, number: u32, test: &EntityTest) -> Result<bool, QuestionError<G::Error>> {
        let Some(facts) = self.reader.graph.entity_facts(number)? else { return Ok(false) };
        let selected = self.selected(facts, test);
        self.reader.fits(number, test, selected)
    }

    /// Matches what is left from the entity `at`.
    fn match_rest(
        &mut self,
        at: u32,
        rest: RemainingSteps<'_>,
        sink: &mut RowSink<'_, G>,
    ) -> MatchResult<G> {
        if self.depth >= DEPTH_MAX {
            return Err(QuestionError::Limit(LimitError::Depth(DEPTH_MAX)));
        }
        self.depth += 1;
        let flow = self.step(at, rest, sink);
        self.depth -= 1;
        flow
    }

    fn step(
        &mut self,
        at: u32,
        rest: RemainingSteps<'_>,
        sink: &mut RowSink<'_, G>,
    ) -> MatchResult<G> {
        let Some((step, steps)) = rest.steps.split_first() else {
            return match rest.then {
                Some(then) => self.group(at, then.group, then.rounds + 1, then.after, sink),
                None => sink(&self.row),
            };
        };
        let rest = RemainingSteps { steps, then: rest.then };
        match step {
            PatternStep::Hop(hop) if hop.repeat.is_some() => {
                self.expand_variable_length(at, hop, rest, sink)
            }
            PatternStep::Hop(hop) => self.expand_single(at, hop, rest, sink),
            PatternStep::From(slot) => self.match_rest(self.row.entities[*slot], rest, sink),
            PatternStep::Group { .. } => self.group(at, step, 0, rest, sink),
            PatternStep::Join(join) => self.join(join, rest, sink),
            PatternStep::Not(steps) => match self.exists(at, steps)? {
                true => Ok(MatchFlow::Continue(())),
                false => self.match_rest(at, rest, sink),
            },
        }
    }

    /// Goes on behind a group after `rounds` of it, and into one round more.
    fn group(
        &mut self,
        at: u32,
        group: &PatternStep,
        rounds: u32,
        after: RemainingSteps<'_>,
        sink: &mut RowSink<'_, G>,
    ) -> MatchResult<G> {
        let PatternStep::Group { steps, least, most, frontier } = group else {
            return Ok(MatchFlow::Continue(()));
        };
        if rounds >= *least {
            // Matching goes depth first: each binding is taken back before another is tried.
            let before = std::mem::replace(&mut self.row.entities[*frontier], at);
            let flow = self.match_rest(at, after, sink)?;
            self.row.entities[*frontier] = before;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        match rounds < *most {
            true => {
                let then = GroupContinuation { group, rounds, after };
                self.match_rest(at, RemainingSteps { steps, then: Some(&then) }, sink)
            }
            false => Ok(MatchFlow::Continue(())),
        }
    }

    /// True if a chain begins at `at`, whatever path led there.
    fn exists(&mut self, at: u32, steps: &[PatternStep]) -> Result<bool, QuestionError<G::Error>> {
        // The path to `at` must not exclude entities of the chain: the answer is one for all paths.
        let path = std::mem::replace(&mut self.path, vec![at]);
        let row = self.row.clone();
        let mut found = false;
        let result = self.match_rest(at, RemainingSteps { steps, then: None }, &mut |_| {
            found = true;
            Ok(MatchFlow::Break(()))
        });
        self.path = path;
        self.row = row;
        result.map(|_| found)
    }

    fn ways(&mut self, hop: &ExpandStep) -> Rc<(VerbDirections, Option<VerbDirections>)> {
        let graph = self.reader.graph;
        let known = self.ways.entry(std::ptr::from_ref(hop)).or_insert_with(|| {
            let by = hop.by.as_deref().map(|by| VerbDirections::new(graph, Some(by), hop.arrow));
            Rc::new((VerbDirections::new(graph, hop.verbs.as_deref(), hop.arrow), by))
        });
        Rc::clone(known)
    }

    /// The kind that the rules give to an entity.
    fn kind(&mut self, entity: u32) -> Result<EntityKind, QuestionError<G::Error>> {
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
    fn edges_with_states(
        &mut self,
        at: u32,
        hop: &ExpandStep,
        ways: &VerbDirections,
        state: ImpactState,
    ) -> Result<Vec<(IncidentEdge, StateSet)>, QuestionError<G::Error>> {
        let mut all = Vec::new();
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            self.reader.graph.for_each_edge(at, direction, |edge| all.push((edge, direction)))?;
        }
        self.reader.work(all.len() as u64)?;
        let here = self.kind(at)?;
        let mut taken = Vec::new();
        for (edge, direction) in all {
            let named = ways.verbs.binary_search_by_key(&edge.verb, |(number, _)| *number);
            let way = named.map_or(ways.others, |named| ways.verbs[named].1);
            // A self-loop shows in both directions: once it is taken with the arrow, it is not taken again.
            let again = direction == EdgeDirection::In && way[0] && edge.other == at;
            let keeps = way[direction as usize] && !again;
            let mut states = if keeps { StateSet::only(state) } else { StateSet::default() };
            // A verb that the step names goes by its own arrow; the rules tell of the others only.
            if named.is_err() {
                let there = self.kind(edge.other)?;
                let ends = match direction {
                    EdgeDirection::Out => (here, there),
                    EdgeDirection::In => (there, here),
                };
                for &(set, arrow) in &ways.sets {
                    states = states
                        .or(self.states_by_rules(set, arrow, edge.verb, direction, ends, state));
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
    fn states_by_rules(
        &mut self,
        set: RuleSet,
        arrow: StepDirection,
        verb: u32,
        direction: EdgeDirection,
        (from, to): (EntityKind, EntityKind),
        state: ImpactState,
    ) -> StateSet {
        let graph = self.reader.graph;
        if set == RuleSet::Impact {
            let cell = self.bound.cell(graph, verb, from, to);
            return cell.passing[direction as usize].from(state);
        }
        let Some((owning, turned)) = self.bound.owning(graph, verb, from, to) else {
            return StateSet::default();
        };
        let along = match (direction == EdgeDirection::Out) != turned {
            true => arrow != StepDirection::In,
            false => arrow != StepDirection::Out,
        };
        let taken = match owning {
            OwnershipKind::Owns => set == RuleSet::Owning && along,
            OwnershipKind::Through => set == RuleSet::Containing && along,
            // Records of one thing contain each other, so the direction does not matter.
            OwnershipKind::Identity => set == RuleSet::Containing,
            OwnershipKind::Member | OwnershipKind::None => false,
        };
        if taken { StateSet::only(state) } else { StateSet::default() }
    }

    /// The edges of `at` that a step may take. A self-loop is one edge.
    fn edges(
        &mut self,
        at: u32,
        hop: &ExpandStep,
        ways: &VerbDirections,
    ) -> Result<Vec<IncidentEdge>, QuestionError<G::Error>> {
        if !ways.sets.is_empty() {
            let taken = self.edges_with_states(at, hop, ways, ImpactState::Controlled)?;
            return Ok(taken.into_iter().map(|(edge, _)| edge).collect());
        }
        let (mut edges, mut seen) = (Vec::new(), 0);
        let all = ways.others[0] || !ways.verbs.is_empty();
        // Edges against the arrow are only read where some verb may be followed that way.
        let back = ways.others[1] || ways.verbs.iter().any(|(_, way)| way[1]);
        for (direction, asked) in [(EdgeDirection::Out, all), (EdgeDirection::In, back)] {
            if !asked {
                continue;
            }
            self.reader.graph.for_each_edge(at, direction, |edge| {
                seen += 1;
                let way = ways.of(edge.verb);
                // Either direction shows a loop.
                let again = direction == EdgeDirection::In && way[0] && edge.other == at;
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

    fn expand_single(
        &mut self,
        at: u32,
        hop: &ExpandStep,
        rest: RemainingSteps<'_>,
        sink: &mut RowSink<'_, G>,
    ) -> MatchResult<G> {
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
            let hops = BoundRelationships::One(edge.relationship);
            if self.bind(edge.other, hop, hops, rest, sink)?.is_break() {
                return Ok(MatchFlow::Break(()));
            }
        }
        Ok(MatchFlow::Continue(()))
    }

    /// The entities that a join may lead to, by the hashes of the values of its property.
    fn joined(
        &mut self,
        join: &ValueJoin,
    ) -> Result<Rc<FxHashMap<u64, Vec<u32>>>, QuestionError<G::Error>> {
        let address = std::ptr::from_ref(join);
        if let Some(known) = self.joins.get(&address) {
            return Ok(Rc::clone(known));
        }
        let reader = self.reader;
        let access = plan::access(reader, &join.target)?;
        let mut index: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        each(reader, &access, |number, facts| {
            let selected = self.selected(facts, &join.target);
            if selected == SelectorVerdict::No || !facts.live {
                return Ok(MatchFlow::Continue(()));
            }
            reader.work(1)?;
            if reader.fits(number, &join.target, selected)? {
                let sight = EvalContext { subject: Some(number), ..EvalContext::default() };
                let value = reader.property(PropertyOwner::Subject, &join.property, &sight)?;
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
            Ok(MatchFlow::Continue(()))
        })?;
        let index = Rc::new(index);
        self.joins.insert(address, Rc::clone(&index));
        Ok(index)
    }

    /// Goes on with every entity whose values meet the condition of the join.
    fn join(
        &mut self,
        join: &ValueJoin,
        rest: RemainingSteps<'_>,
        sink: &mut RowSink<'_, G>,
    ) -> MatchResult<G> {
        let index = self.joined(join)?;
        let sight = EvalContext { row: Some(&self.row), ..EvalContext::default() };
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
            let sight = EvalContext { row: Some(&self.row), ..EvalContext::default() };
            let mut flow = MatchFlow::Continue(());
            // A common hash is a hint only: the whole condition decides.
            if self.reader.test(&join.on, &sight)? {
                self.path.push(other);
                flow = self.match_rest(other, rest, sink)?;
                self.path.pop();
            }
            self.row.entities[join.to] = before;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(MatchFlow::Continue(()))
    }

    /// Goes on with `other` as the target of `hop`.
    fn bind(
        &mut self,
        other: u32,
        hop: &ExpandStep,
        hops: BoundRelationships,
        rest: RemainingSteps<'_>,
        sink: &mut RowSink<'_, G>,
    ) -> MatchResult<G> {
        let entity = std::mem::replace(&mut self.row.entities[hop.to], other);
        let before = std::mem::replace(&mut self.row.hops[hop.relationship], hops);
        let mut holds = true;
        // Tested before going deeper, so that no row is completed that WHERE refuses.
        for check in &hop.checks {
            let sight = EvalContext { row: Some(&self.row), ..EvalContext::default() };
            holds = holds && self.reader.test(check, &sight)?;
        }
        let mut flow = Ok(MatchFlow::Continue(()));
        if holds {
            self.count_binding(hop.to);
            self.path.push(other);
            flow = self.match_rest(other, rest, sink);
            self.path.pop();
        }
        self.row.entities[hop.to] = entity;
        self.row.hops[hop.relationship] = before;
        flow
    }

    /// A quantified step: each entity once, at its least distance, by one shortest chain.
    fn expand_variable_length(
        &mut self,
        at: u32,
        hop: &ExpandStep,
        rest: RemainingSteps<'_>,
        sink: &mut RowSink<'_, G>,
    ) -> MatchResult<G> {
        let (least, most) = hop.repeat.unwrap_or((1, 1));
        if least == 0 && self.fits(at, &hop.target)? {
            let none = BoundRelationships::Many(Rc::from([]));
            if self.bind(at, hop, none, rest, sink)?.is_break() {
                return Ok(MatchFlow::Break(()));
            }
            // Nothing is nearer than the entity itself.
            if hop.nearest {
                return Ok(MatchFlow::Continue(()));
            }
        }
        let ways = self.ways(hop);
        if hop.spreads() {
            return self.expand_by_rules(at, hop, &ways, rest, sink);
        }
        let mut part = self.reader.meter.part();
        let mut came = PredecessorMap::default();
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
                    let hops = BoundRelationships::Many(chain.into());
                    if self.bind(other, hop, hops, rest, sink)?.is_break() {
                        return Ok(MatchFlow::Break(()));
                    }
                }
            }
            if next.is_empty() || hop.nearest && met {
                break;
            }
            frontier = next;
        }
        Ok(MatchFlow::Continue(()))
    }

    /// A quantified step by the rules of impact: each entity once, in its strongest state, at the
    /// least distance of that state.
    fn expand_by_rules(
        &mut self,
        at: u32,
        hop: &ExpandStep,
        ways: &(VerbDirections, Option<VerbDirections>),
        rest: RemainingSteps<'_>,
        sink: &mut RowSink<'_, G>,
    ) -> MatchResult<G> {
        let (least, most) = hop.repeat.unwrap_or((1, 1));
        let visits = self.visits(at, hop, &ways.0, most)?;
        let mut targets: Vec<(u32, u32, Vec<Vec<u32>>)> = Vec::new();
        match &ways.1 {
            None => {
                for &(entity, state, depth) in &visits.order[1..] {
                    let stronger = StateSet::stronger_than(state).0;
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
                    for (edge, _) in self.edges_with_states(from, hop, by, state)? {
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
                let hops = BoundRelationships::Many(chain.into());
                if self.bind(entity, hop, hops, rest, sink)?.is_break() {
                    return Ok(MatchFlow::Break(()));
                }
            }
        }
        Ok(MatchFlow::Continue(()))
    }

    /// True if a step may go on from an entity that it came to.
    fn passes(
        &mut self,
        at: u32,
        from: u32,
        hop: &ExpandStep,
    ) -> Result<bool, QuestionError<G::Error>> {
        match &hop.via {
            Some(via) if from != at => self.fits(from, via),
            _ => Ok(true),
        }
    }

    /// All visits of a walk by the rules that begins at `at`, which is controlled.
    fn visits(
        &mut self,
        at: u32,
        hop: &ExpandStep,
        ways: &VerbDirections,
        most: u32,
    ) -> Result<ImpactVisits, QuestionError<G::Error>> {
        let mut visits = ImpactVisits {
            order: vec![(at, ImpactState::Controlled, 0)],
            came: FxHashMap::default(),
            settled: FxHashMap::from_iter([(at, StateSet::settled_by(ImpactState::Controlled))]),
        };
        let mut next = 0;
        // The list is the queue as well: new visits are appended, so depth never falls.
        while let Some(&(from, state, depth)) = visits.order.get(next) {
            next += 1;
            if depth >= most || !self.passes(at, from, hop)? {
                continue;
            }
            for (edge, states) in self.edges_with_states(from, hop, ways, state)? {
                for given in states.iter() {
                    let settled = visits.settled.entry(edge.other).or_default();
                    let way = ((from, state), edge.relationship);
                    if !settled.has(given) {
                        *settled = settled.or(StateSet::settled_by(given));
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
        visits: &ImpactVisits,
        to: (u32, ImpactState),
    ) -> Result<Vec<Vec<u32>>, QuestionError<G::Error>> {
        self.chains_back(to, |at| visits.came.get(&at).map(|(_, ways)| &ways[..]))
    }

    /// The chains of relationships that led to `to`, the last relationship first.
    fn chains(
        &self,
        came: &PredecessorMap,
        to: u32,
    ) -> Result<Vec<Vec<u32>>, QuestionError<G::Error>> {
        self.chains_back(to, |at| came.get(&at).map(|(_, ways)| &ways[..]))
    }

    /// The chains that end at `to`, where `ways` are the last steps to a place; a beginning has none.
    fn chains_back<'w, N: Copy + 'w>(
        &self,
        to: N,
        ways: impl Fn(N) -> Option<&'w [(N, u32)]>,
    ) -> Result<Vec<Vec<u32>>, QuestionError<G::Error>> {
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
