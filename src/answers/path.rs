//! The shortest chains between two entities.

use super::chain::NamedChain;
use super::heads;
use super::verb_filter::{VerbFilter, passable_verbs, verb_filter};
use super::walk_step::{WalkStep, steps};
use super::words::CountFormat;
use super::{AnswerDocument, AnswerError, QuestionContext};
use crate::graph::{AdjacencyRead, EntityHead};
use crate::limits::CostMeter;
use crate::store::Snapshot;
use crate::view::{self, MeteredGraph, WalkDirection};
use serde::{Serialize, Serializer};
use serde_json::json;

/// A question for the shortest chains between two entities.
#[derive(Clone, Debug)]
pub struct PathRequest {
    /// Where the chain begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// The entities that it goes through, in their order.
    pub via: Vec<String>,
    /// At most so many chains.
    pub max: usize,
    /// The way along relationships.
    pub direction: WalkDirection,
    /// The only verbs to follow; `!VERB` is all but that.
    pub verbs: Vec<String>,
}

impl PathRequest {
    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A name that nothing has, a limit, or the error of reading.
    pub fn ask(&self, context: &QuestionContext<'_>) -> Result<PathAnswer, AnswerError> {
        let QuestionContext { database, snapshot, meter, counts } = *context;
        let names = std::iter::once(&self.from).chain(&self.via).chain([&self.to]);
        let stops = names.map(|name| Ok(database.find_entity(snapshot, name)?));
        let stops = stops.collect::<Result<Vec<u32>, AnswerError>>()?;
        let (verbs, denials) = passable_verbs(snapshot, &self.verbs)?;
        let (total, found) = paths(snapshot, meter, &stops, self.direction, &verbs, self.max)?;
        let mut notes = Vec::new();
        if found.is_empty() && !denials.is_empty() {
            // The search is repeated over denials only to explain why there is no path.
            let all = verb_filter(snapshot, &self.verbs)?;
            let (_, denied) = paths(snapshot, meter, &stops, self.direction, &all, 1)?;
            let note = denied.first().map(|steps| over_denials(snapshot, counts, steps));
            notes.extend(note.transpose()?);
        }
        let links: u64 = found.iter().map(|steps| 2 * steps.len() as u64).sum();
        meter.hold(heads::NAMED_BYTES * links)?;
        let chains = found.iter().map(|steps| NamedChain::read(snapshot, stops[0], steps));
        let chains = chains.collect::<Result<Vec<NamedChain>, AnswerError>>()?;
        let stops = heads::entities(snapshot, &stops)?;
        Ok(PathAnswer { stops, total, chains, denials, notes })
    }
}

/// The shortest chains, or none.
pub struct PathAnswer {
    /// Where the chains begin, what they go through, and where they end.
    stops: Vec<EntityHead>,
    /// The number of shortest chains.
    pub total: u64,
    /// The first of them.
    pub chains: Vec<NamedChain>,
    /// Verbs of the database that no chain goes over, since they deny the way.
    pub denials: Vec<String>,
    /// Facts that the answer does not show by itself.
    pub notes: Vec<String>,
}

impl PathAnswer {
    /// Where the chains begin, what they go through, and where they end.
    pub fn stops(&self) -> (&EntityHead, &[EntityHead], &EntityHead) {
        let last = self.stops.len() - 1;
        (&self.stops[0], &self.stops[1..last], &self.stops[last])
    }
}

impl Serialize for PathAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (from, via, to) = self.stops();
        let mut answer = json!({
            "from": from,
            "to": to,
            "distance": self.chains.first().map(|chain| chain.links.len()),
            "total": self.total,
            "paths": self.chains.iter().map(|chain| &chain.links).collect::<Vec<_>>(),
            "notes": self.notes,
        });
        if !via.is_empty() {
            answer["via"] = json!(via);
        }
        answer.serialize(serializer)
    }
}

impl AnswerDocument for PathAnswer {}

/// Paths that are listed before the meter is asked whether all of them fit into memory.
const PATHS: usize = 1000;
/// Bytes that a step of a path takes until it is printed.
const STEP_BYTES: u64 = 100;

/// Returns the number of shortest chains through `stops`, from the first to the last, and the first
/// `max` of them. Each chain is shortest between one stop and the next.
fn paths(
    snapshot: &Snapshot,
    meter: &CostMeter,
    stops: &[u32],
    direction: WalkDirection,
    verbs: &VerbFilter,
    max: usize,
) -> Result<(u64, Vec<Vec<WalkStep>>), AnswerError> {
    let mut total = 1u64;
    let mut chains: Vec<Vec<view::EvidenceStep>> = vec![Vec::new()];
    for leg in stops.windows(2) {
        let graph = MeteredGraph::new(snapshot, meter);
        let mut distances = meter.part();
        // The search keeps a distance of 4 bytes for each entity; `distances` gives them back after
        // the leg.
        distances.hold(u64::from(snapshot.entity_bound()) * 4)?;
        let find =
            |max| view::paths(&graph, leg[0], leg[1], direction, verbs.0.as_deref(), max, None);
        // The number of paths is known before all are listed, so a list that does not fit is
        // refused early.
        let Some(mut found) = find(max.min(PATHS))? else { return Ok((0, Vec::new())) };
        // Every chain so far goes on with every path of this leg.
        total = total.saturating_mul(found.total);
        let listed = total.min(max as u64);
        let length = u64::from(found.length) + chains.first().map_or(0, |chain| chain.len() as u64);
        meter.hold(listed.saturating_mul(length + 1).saturating_mul(STEP_BYTES))?;
        if found.paths.len() == PATHS && max > PATHS {
            found = find(max)?.unwrap_or(found);
        }
        let longer = chains
            .iter()
            .flat_map(|chain| found.paths.iter().map(move |leg| [chain.as_slice(), leg].concat()));
        chains = longer.take(max).collect();
    }
    Ok((total, chains.iter().map(|chain| steps(chain)).collect()))
}

/// Tells of a chain that goes over relationships which deny the way.
fn over_denials(
    snapshot: &Snapshot,
    counts: CountFormat,
    steps: &[WalkStep],
) -> Result<String, AnswerError> {
    let chain = NamedChain::read(snapshot, steps[0].from, steps)?;
    let mut verbs: Vec<&str> = Vec::new();
    for link in &chain.links {
        let verb = link.relationship.class.as_str();
        if view::denies(verb) && !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    let steps = counts.counted(chain.links.len() as u64, "relationship", "relationships");
    Ok(format!(
        "a chain of {steps} goes over {}, which says that there is no way; name it in `--verb` to \
         follow it",
        verbs.join(", ")
    ))
}
