//! Entities that reach themselves again.

use super::chain::NamedChain;
use super::heads;
use super::verb_filter::{VerbFilter, verb_filter};
use super::walk_step::{WalkStep, steps};
use super::whole_view::whole_view;
use super::{AnswerDocument, AnswerError, QuestionContext};
use crate::graph::EntityHead;
use crate::limits::CostMeter;
use crate::store::Snapshot;
use crate::view;
use serde::{Serialize, Serializer};
use serde_json::json;

/// A question for entities that reach themselves again.
#[derive(Clone, Debug, Default)]
pub struct CyclesRequest {
    /// The only verbs to follow; `!VERB` is all but that.
    pub verbs: Vec<String>,
}

impl CyclesRequest {
    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A verb that nothing has, a limit, or the error of reading.
    pub fn ask(&self, context: &QuestionContext<'_>) -> Result<CyclesAnswer, AnswerError> {
        let QuestionContext { snapshot, meter, .. } = *context;
        let verbs = verb_filter(snapshot, &self.verbs)?;
        let mut found = Vec::new();
        for cycle in cycles(snapshot, meter, &verbs)? {
            let named = cycle.members.len() + 2 * cycle.chain.len();
            meter.hold(heads::NAMED_BYTES * named as u64)?;
            // The chain may begin at any member, so its own first step says where.
            let first = cycle.chain.first().map_or(cycle.members[0], |step| step.from);
            found.push(NamedCycle {
                members: heads::entities(snapshot, &cycle.members)?,
                chain: NamedChain::read(snapshot, first, &cycle.chain)?,
            });
        }
        Ok(CyclesAnswer { cycles: found })
    }
}

/// The cycles, the largest first.
pub struct CyclesAnswer {
    /// Each of them.
    pub cycles: Vec<NamedCycle>,
}

/// A cycle by name.
pub struct NamedCycle {
    /// The entities that reach each other.
    pub members: Vec<EntityHead>,
    /// A shortest chain from one of them back to itself.
    pub chain: NamedChain,
}

impl Serialize for CyclesAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cycles = &self.cycles;
        json!({
            "total": cycles.len(),
            "cycles": cycles.iter().map(|cycle| &cycle.members).collect::<Vec<_>>(),
            "chains": cycles.iter().map(|cycle| &cycle.chain.links).collect::<Vec<_>>(),
        })
        .serialize(serializer)
    }
}

impl AnswerDocument for CyclesAnswer {}

/// A set of entities that reach each other.
struct RelationshipCycle {
    /// Their numbers, ascending.
    members: Vec<u32>,
    /// A shortest chain from one of them back to itself.
    chain: Vec<WalkStep>,
}

/// Returns the sets of entities that reach each other, the largest first.
fn cycles(
    snapshot: &Snapshot,
    meter: &CostMeter,
    verbs: &VerbFilter,
) -> Result<Vec<RelationshipCycle>, AnswerError> {
    let verbs = verbs.0.as_deref();
    let graph = whole_view(snapshot, meter)?;
    let mut cycles = Vec::new();
    for members in view::cycles(&graph, verbs) {
        meter.look()?;
        let chain = steps(&view::shortest_cycle(&graph, &members, verbs));
        cycles.push(RelationshipCycle { members, chain });
    }
    Ok(cycles)
}
