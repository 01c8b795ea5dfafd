//! The walk of a blast radius on a snapshot, by numbers.

use super::AnswerError;
use super::verb_filter::VerbFilter;
use super::walk_step::WalkStep;
use crate::graph::NameLookup;
use crate::limits::CostMeter;
use crate::rules::{BoundRules, ImpactFilter, ImpactState, RuleTable};
use crate::store::Snapshot;
use crate::view::{
    self, BlastRules, BlastScratch, FlowDirection, MeteredGraph, StateVisit, VerbFlows,
    WalkDirection,
};
use rustc_hash::FxHashMap;

/// One visit of a blast. A blast may visit an entity in several states; the strongest one counts.
#[derive(Clone, Copy, Debug)]
pub struct BlastVisit {
    /// The last step to the entity.
    pub step: WalkStep,
    /// The state of this visit; a plain walk has none.
    pub state: Option<ImpactState>,
    /// Position of the visit before it, none if it came from a root.
    pub before: Option<u32>,
    /// True if no visit of the entity is in a stronger state.
    pub strongest: bool,
}

/// The answer of a blast.
#[derive(Debug, Default)]
pub struct BlastResult {
    /// All visits, nearest first.
    pub hits: Vec<BlastVisit>,
    /// Verbs that no rule lets pass anything, each with the number of relationships that were not followed.
    pub not_followed: Vec<(String, u64)>,
}

/// The way a blast goes.
pub enum BlastStrategy {
    /// By the rules.
    Ruled {
        /// The kinds of trouble to follow.
        trouble: ImpactFilter,
        /// Verbs that are left out, whatever the rules say.
        without: Vec<u32>,
    },
    /// Along all relationships, or those of some verbs, the same way everywhere or as each verb goes.
    Plain {
        /// The direction along them; each verb goes its own way if none is given.
        direction: Option<WalkDirection>,
        /// The only verbs to follow.
        verbs: VerbFilter,
    },
}

/// Everything that is reached from `roots`, by shortest chains.
pub(super) fn blast(
    snapshot: &Snapshot,
    meter: &CostMeter,
    roots: &[u32],
    walk: &BlastStrategy,
    rules: &RuleTable,
    depth: Option<u32>,
) -> Result<BlastResult, AnswerError> {
    let graph = MeteredGraph::new(snapshot, meter);
    match walk {
        BlastStrategy::Ruled { trouble, without } => {
            let mut bound = BoundRules::new(rules, *trouble).without(without);
            let found = view::impact(&graph, roots, &mut bound, depth)?;
            let hit = |visit: &StateVisit| BlastVisit {
                step: WalkStep::new(&visit.step(), visit.distance),
                state: Some(visit.state),
                before: Some(visit.before).filter(|&before| before != StateVisit::ROOT),
                strongest: visit.strongest,
            };
            let named = found.not_followed.iter();
            Ok(BlastResult {
                hits: found.visits.iter().map(hit).collect(),
                not_followed: named
                    .map(|&(verb, count)| (snapshot.name(verb).to_owned(), count))
                    .collect(),
            })
        }
        BlastStrategy::Plain { direction, verbs } => {
            let flows = verbs.0.iter().flatten().fold(
                VerbFlows::uniform(FlowDirection::Forward),
                |flows, &verb| {
                    // A verb that is asked for by name is followed, whatever the rules say of it.
                    let flow = rules.plain_flow(snapshot.name(verb));
                    flows.with(
                        verb,
                        flow.filter(|f| *f != FlowDirection::None)
                            .unwrap_or(FlowDirection::Forward),
                    )
                },
            );
            let plain = BlastRules::new(&flows, *direction, verbs.0.as_deref(), depth);
            let reached = view::blast_radius(&graph, roots, &plain, &mut BlastScratch::new())?;
            let mut at: FxHashMap<u32, u32> = FxHashMap::default();
            let hits = (0u32..).zip(&reached).map(|(position, reached)| {
                // Entities come nearest first, so the position of `from` is known before it is
                // looked up.
                at.insert(reached.entity, position);
                BlastVisit {
                    step: WalkStep::new(&reached.step(), reached.distance),
                    state: None,
                    before: at.get(&reached.from).copied(),
                    strongest: true,
                }
            });
            Ok(BlastResult { hits: hits.collect(), not_followed: Vec::new() })
        }
    }
}
