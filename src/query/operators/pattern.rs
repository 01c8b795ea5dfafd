//! The tree of operators that matches a pattern, made of its plan.

use super::anti_join::AntiJoin;
use super::expand::Expand;
use super::expand_by_rules::RuleWalk;
use super::expand_chains::ExpandChains;
use super::expand_variable_length::LengthWalk;
use super::first_match::FirstMatch;
use super::move_to::MoveTo;
use super::repeat::Repeat;
use super::scan::Scan;
use super::seed::Seed;
use super::value_join::ValueJoinOperator;
use super::{DEPTH_MAX, InputOperator, MatchContext, PatternInput};
use crate::graph::GraphRead;
use crate::query::physical_plan::{PatternPlan, PhysicalStep};

/// The matches of a pattern.
pub(in crate::query) fn pattern<'a, G: GraphRead>(
    context: &'a MatchContext<'a, G>,
    plan: &'a PatternPlan<'a>,
) -> InputOperator<'a, G> {
    let scan: PatternInput<'a, G> = Box::new(Scan::new(context, &plan.scan));
    match plan.first_match && !plan.steps.is_empty() {
        true => Box::new(FirstMatch::new(context, scan, &plan.steps)),
        false => steps(context, scan, &plan.steps),
    }
}

/// A chain of steps from one row. `apart` is true if the path to the row excludes nothing from it.
pub(super) fn chain<'a, G: GraphRead>(
    context: &'a MatchContext<'a, G>,
    plan: &'a [PhysicalStep<'a>],
    apart: bool,
) -> PatternInput<'a, G> {
    steps(context, Box::new(Seed::new(context.slots, apart)), plan)
}

fn steps<'a, G: GraphRead>(
    context: &'a MatchContext<'a, G>,
    input: PatternInput<'a, G>,
    plan: &'a [PhysicalStep<'a>],
) -> PatternInput<'a, G> {
    // No row comes further than the longest path, so no operator is needed behind that.
    plan.iter().take(DEPTH_MAX as usize).fold(input, |input, plan| match plan {
        PhysicalStep::Expand(plan) => Box::new(Expand::new(context, input, plan)),
        PhysicalStep::ExpandVariableLength(plan) => {
            Box::new(ExpandChains::<G, LengthWalk<'a>>::new(context, input, plan))
        }
        PhysicalStep::ExpandByRules(plan) => {
            Box::new(ExpandChains::<G, RuleWalk>::new(context, input, plan))
        }
        PhysicalStep::MoveTo(slot) => Box::new(MoveTo { context, input, slot: *slot }),
        PhysicalStep::Repeat(plan) => Box::new(Repeat::new(context, input, plan)),
        PhysicalStep::AntiJoin(plan) => Box::new(AntiJoin::new(context, input, plan)),
        PhysicalStep::ValueJoin(plan) => Box::new(ValueJoinOperator::new(context, input, plan)),
    })
}
