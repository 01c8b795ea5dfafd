//! Verbs of a step in the numbers of one graph, each with the ways in which the step follows it.

use super::resolved::{ResolvedVerb, RuleSet};
use super::spelling;
use super::syntax::StepDirection;
use crate::graph::NameLookup;

/// The ways in which a step follows the relationships of each verb.
pub(super) struct VerbDirections {
    /// By verb number, ascending.
    pub verbs: Vec<(u32, DirectionFlags)>,
    pub others: DirectionFlags,
    /// Sets that the rules define for verbs that are not named, each with its direction.
    pub sets: Vec<(RuleSet, StepDirection)>,
}

/// Two flags: follow with the arrow, follow against it.
pub(super) type DirectionFlags = [bool; 2];

impl VerbDirections {
    pub(super) fn new(
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

    pub(super) fn of(&self, verb: u32) -> DirectionFlags {
        match self.verbs.binary_search_by_key(&verb, |(number, _)| *number) {
            Ok(at) => self.verbs[at].1,
            Err(_) => self.others,
        }
    }
}
