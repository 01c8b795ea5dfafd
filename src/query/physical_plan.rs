//! The physical plan of a query: where in the pattern matching begins, by which access path, in which
//! order and direction the steps follow, and what becomes of the rows.
//!
//! A pattern begins with plain steps. Matching can begin at any entity of these: it goes back to the
//! start first, then on to their end. The other steps (groups, negated steps, joins, steps that
//! constrain their way) come last, as written. WHERE is taken apart: each part that asks plain steps
//! alone is tested as soon as its entities and relationships are known.
//!
//! All of it is decided by stored counts and indexes before the first row. `operators` run it.

use super::QuestionError;
use super::access_path::{self, AccessPath};
use super::count_plan::CountPlan;
use super::logical_plan::{AnswerShape, LogicalPattern, LogicalPlan, RowOperation};
use super::plan_words::{hop_words, words};
use super::push_down::push_down;
use super::read::QueryReader;
use super::resolved::{
    EntityTest, ExpandStep, PatternStep, Predicate, PropertyOwner, ResolvedVerb, RowSlot, ValueJoin,
};
use super::row_batch::RowShape;
use super::statistics::StoredStatistics;
use super::verb_directions::VerbDirections;
use crate::graph::{GraphRead, NameLookup};
use crate::rules::RuleTable;

/// A query as it will be run.
pub(super) struct PhysicalPlan<'q> {
    pub pattern: PatternPlan<'q>,
    /// Operations on the matches, up to those that WHERE lets through.
    pub matches: Vec<MatchOperation<'q>>,
    /// The way to count by names alone, in place of the pattern and the grouping of its matches.
    pub counted: Option<CountPlan<'q>>,
    /// Operations on the matches that are left, up to the rows of the answer.
    pub output: Vec<RowOperation<'q>>,
    /// The number of rows that a sort of rows needs to keep.
    pub sorted_rows: usize,
    pub shape: AnswerShape<'q>,
    /// True if nothing has to be run, since a limit keeps nothing.
    pub keeps_nothing: bool,
    /// For people: the entities of the plain steps, in the order they are matched.
    pub places: Vec<PlannedPosition>,
}

/// An operation on the matches of a pattern.
pub(super) enum MatchOperation<'q> {
    Rows(RowOperation<'q>),
    /// The part of WHERE that is tested on whole rows.
    Filter(Predicate),
}

/// A pattern as it will be matched.
pub(super) struct PatternPlan<'q> {
    pub scan: ScanPlan,
    pub steps: Vec<PhysicalStep<'q>>,
    /// True if one match of each entity of the scan is enough.
    pub first_match: bool,
    pub slots: RowShape,
    pub rules: &'q RuleTable,
}

/// The scan that matching begins with.
pub(super) struct ScanPlan {
    pub test: EntityTest,
    pub slot: RowSlot,
    pub access: AccessPath,
    /// True if deleted entities are found as well.
    pub deleted: bool,
}

/// One step from the rows before it.
pub(super) enum PhysicalStep<'q> {
    /// Along one relationship.
    Expand(Box<ExpandPlan>),
    /// Along several relationships, each entity at its least distance.
    ExpandVariableLength(Box<ExpandPlan>),
    /// Along several relationships by the rules of impact, each entity in its strongest state.
    ExpandByRules(Box<ExpandPlan>),
    /// Goes on from the entity in this slot.
    MoveTo(RowSlot),
    Repeat(RepeatPlan<'q>),
    /// Keeps the rows from which no such chain begins.
    AntiJoin(Vec<PhysicalStep<'q>>),
    ValueJoin(Box<ValueJoinPlan<'q>>),
}

/// A step along relationships, with its direction.
pub(super) struct ExpandPlan {
    pub step: ExpandStep,
    pub directions: VerbDirections,
    /// The directions of the last relationship of several, where that has verbs of its own.
    pub last: Option<VerbDirections>,
    /// Matched from its target to its left entity.
    pub backward: bool,
    /// Parts of WHERE that can be tested once the step is made.
    pub checks: Vec<Predicate>,
}

/// Steps that are taken several times in a row.
pub(super) struct RepeatPlan<'q> {
    pub steps: Vec<PhysicalStep<'q>>,
    pub least: u32,
    pub most: u32,
    /// The slot of the entity at the end.
    pub frontier: RowSlot,
}

/// A join on values, with the way in to the entities that it may lead to.
pub(super) struct ValueJoinPlan<'q> {
    pub join: &'q ValueJoin,
    pub access: AccessPath,
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

impl PatternPlan<'_> {
    /// True if the pattern is matched from its start.
    pub(super) fn forward(&self) -> bool {
        self.scan.slot == 0
    }
}

impl ExpandPlan {
    fn new(names: &impl NameLookup, step: ExpandStep, backward: bool) -> ExpandPlan {
        let directions = VerbDirections::new(names, step.verbs.as_deref(), step.arrow);
        let last = step.by.as_deref().map(|by| VerbDirections::new(names, Some(by), step.arrow));
        ExpandPlan { step, directions, last, backward, checks: Vec::new() }
    }

    fn into_step<'q>(self: Box<Self>) -> PhysicalStep<'q> {
        match self.step.repeat {
            None => PhysicalStep::Expand(self),
            Some(_) if self.step.spreads() => PhysicalStep::ExpandByRules(self),
            Some(_) => PhysicalStep::ExpandVariableLength(self),
        }
    }
}

impl<'q> PhysicalPlan<'q> {
    /// Chooses how a query is run.
    pub(super) fn choose<G: GraphRead>(
        reader: &QueryReader<'_, G>,
        logical: LogicalPlan<'q>,
    ) -> Result<PhysicalPlan<'q>, QuestionError<G::Error>> {
        let keeps_nothing = logical.keeps_nothing();
        let sorted_rows = sorted_rows(&logical);
        let LogicalPlan { pattern, filter, before_filter, after_filter, mut output, shape } =
            logical;
        let (mut plan, filter, places) = plan_pattern(reader, &pattern, filter)?;
        // A match that WHERE refuses says nothing about the next one.
        plan.first_match = pattern.once && plan.forward() && filter.is_none();
        let counted = CountPlan::of(&pattern, &plan, filter.is_some(), &output);
        if counted.is_some() {
            output.remove(0);
        }
        let needed = |operation: &RowOperation<'_>| match operation {
            RowOperation::SettleOptional { only_for_filter, .. } => {
                !only_for_filter || filter.is_some()
            }
            _ => true,
        };
        let mut matches: Vec<MatchOperation<'q>> =
            before_filter.into_iter().filter(needed).map(MatchOperation::Rows).collect();
        matches.extend(filter.map(MatchOperation::Filter));
        matches.extend(after_filter.into_iter().map(MatchOperation::Rows));
        Ok(PhysicalPlan {
            pattern: plan,
            matches,
            counted,
            output,
            sorted_rows,
            shape,
            keeps_nothing,
            places,
        })
    }
}

/// The number of rows that a sort has to keep: those of the page, unless a condition comes in between.
fn sorted_rows(logical: &LogicalPlan<'_>) -> usize {
    let (mut cut, mut end) = (true, usize::MAX);
    for operation in &logical.output {
        match operation {
            RowOperation::Limit { skip, count: Some(count) } => {
                end = usize::try_from(count.saturating_add(*skip)).unwrap_or(usize::MAX);
            }
            // Groups are few, and entities of a list are known by number until the end.
            RowOperation::Aggregate(_)
            | RowOperation::Having(_)
            | RowOperation::DistinctEntities { .. } => cut = false,
            _ => {}
        }
    }
    if cut { end } else { usize::MAX }
}

/// The plan of a pattern, the part of WHERE that is left for whole rows, and the entities on the way.
fn plan_pattern<'q, G: GraphRead>(
    reader: &QueryReader<'_, G>,
    pattern: &LogicalPattern<'q>,
    filter: Option<&Predicate>,
) -> Result<(PatternPlan<'q>, Option<Predicate>, Vec<PlannedPosition>), QuestionError<G::Error>> {
    let stored = StoredStatistics { counts: reader.graph.counts()? };
    let hops = plain_steps(pattern);
    let mut tests = vec![pattern.start.clone()];
    tests.extend(hops.iter().map(|hop| hop.target.clone()));
    let mut slots = vec![0];
    slots.extend(hops.iter().map(|hop| hop.to));
    let (filter, checks) = match pattern.shortest {
        true => (filter.cloned(), Vec::new()),
        false => push_down(filter, &mut tests, &slots, &hops),
    };
    let (at, way) = access_path::choose(reader, pattern, &stored, &tests)?;
    let mut places = vec![PlannedPosition {
        slot: slots[at],
        selector: words(&tests[at]),
        way: way.words,
        estimate: way.fitting,
    }];
    let mut rows = way.fitting;
    let mut steps = Vec::with_capacity(pattern.steps.len() + 1);
    let mut waiting = WaitingChecks::new(checks, slots[at]);
    let mut add = |hop: ExpandStep, backward: bool| {
        rows *= stored.reached(reader, &hop);
        places.push(PlannedPosition {
            slot: hop.to,
            selector: words(&hop.target),
            way: hop_words(&hop),
            estimate: rows,
        });
        let mut plan = Box::new(ExpandPlan::new(reader.graph, hop, backward));
        plan.checks = waiting.ready_after(&plan.step);
        plan.into_step()
    };
    for i in (0..at).rev() {
        steps.push(add(reversed_step(hops[i], tests[i].clone(), slots[i]), true));
    }
    // Matching stands at the start of the pattern now: go on from where it began.
    if at > 0 && at < pattern.steps.len() {
        steps.push(PhysicalStep::MoveTo(slots[at]));
    }
    for i in at..hops.len() {
        steps.push(add(ExpandStep { target: tests[i + 1].clone(), ..hops[i].clone() }, false));
    }
    steps.extend(plan_steps(reader, &pattern.steps[hops.len()..])?);
    let scan = ScanPlan {
        test: tests.swap_remove(at),
        slot: slots[at],
        access: way.access,
        deleted: pattern.deleted,
    };
    let plan =
        PatternPlan { scan, steps, first_match: false, slots: pattern.slots, rules: pattern.rules };
    Ok((plan, filter, places))
}

/// The plain steps that a pattern begins with.
fn plain_steps<'q>(pattern: &LogicalPattern<'q>) -> Vec<&'q ExpandStep> {
    // Which of several shortest paths is kept must not depend on where matching began, and nothing
    // leads to what was deleted.
    let fixed = pattern.shortest || pattern.deleted;
    let plain = pattern.steps.iter().map_while(|step| match step {
        // What constrains the way from the left cannot be tested from the right: from there the last
        // relationship, which BY names, is the first.
        PatternStep::Hop(hop)
            if hop.via.is_none()
                && hop.by.is_none()
                && !hop.nearest
                && !fixed
                && !hop.spreads() =>
        {
            Some(&**hop)
        }
        _ => None,
    });
    plain.collect()
}

/// The same step from its target to its left entity.
fn reversed_step(hop: &ExpandStep, target: EntityTest, to: RowSlot) -> ExpandStep {
    let turned = |verb: &ResolvedVerb| ResolvedVerb {
        arrow: verb.arrow.map(super::syntax::StepDirection::turned),
        ..verb.clone()
    };
    let verbs = hop.verbs.as_ref().map(|verbs| verbs.iter().map(turned).collect());
    ExpandStep { verbs, target, to, arrow: hop.arrow.turned(), ..hop.clone() }
}

/// Parts of WHERE that wait for the step after which all that they ask is bound.
struct WaitingChecks {
    waiting: Vec<(Predicate, Vec<PropertyOwner>)>,
    bound: Vec<PropertyOwner>,
}

impl WaitingChecks {
    fn new(waiting: Vec<(Predicate, Vec<PropertyOwner>)>, start: RowSlot) -> WaitingChecks {
        WaitingChecks { waiting, bound: vec![PropertyOwner::Entity(start)] }
    }

    /// The parts that can be tested once this step is made.
    fn ready_after(&mut self, hop: &ExpandStep) -> Vec<Predicate> {
        self.bound
            .extend([PropertyOwner::Entity(hop.to), PropertyOwner::Relationship(hop.relationship)]);
        let bound = &self.bound;
        let ready =
            |(_, of): &mut (Predicate, Vec<PropertyOwner>)| of.iter().all(|of| bound.contains(of));
        self.waiting.extract_if(.., ready).map(|(test, _)| test).collect()
    }
}

/// Steps in their written order.
fn plan_steps<'q, G: GraphRead>(
    reader: &QueryReader<'_, G>,
    steps: &'q [PatternStep],
) -> Result<Vec<PhysicalStep<'q>>, QuestionError<G::Error>> {
    let plan = |step: &'q PatternStep| -> Result<PhysicalStep<'q>, QuestionError<G::Error>> {
        Ok(match step {
            PatternStep::Hop(hop) => {
                Box::new(ExpandPlan::new(reader.graph, (**hop).clone(), false)).into_step()
            }
            PatternStep::Group { steps, least, most, frontier } => {
                PhysicalStep::Repeat(RepeatPlan {
                    steps: plan_steps(reader, steps)?,
                    least: *least,
                    most: *most,
                    frontier: *frontier,
                })
            }
            PatternStep::Not(steps) => PhysicalStep::AntiJoin(plan_steps(reader, steps)?),
            PatternStep::Join(join) => {
                let access = access_path::access(reader, &join.target)?;
                PhysicalStep::ValueJoin(Box::new(ValueJoinPlan { join, access }))
            }
        })
    };
    steps.iter().map(plan).collect()
}
