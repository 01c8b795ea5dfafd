//! Everything that the compromise or failure of an entity reaches.
//!
//! The walk belongs to the library and passes through every entity; class, type and scope only
//! choose which entities are reported. Heads are read only for reported entities and for those on
//! the chains to them.

use super::blast_notes::BlastNotes;
use super::blast_search::{BlastStrategy, BlastVisit, blast};
use super::entity_filter::EntityFilter;
use super::heads::{self, RelationshipHead};
use super::rule_notes::rule_notes;
use super::staleness;
use super::verb_filter::verb_filter;
use super::{AnswerAdvice, AnswerDocument, AnswerError, QuestionContext};
use crate::graph::EntityHead;
use crate::rules::{ImpactFilter, ImpactState, RuleTable};
use crate::store::Snapshot;
use crate::view::WalkDirection;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A question for everything that the compromise or failure of entities reaches.
#[derive(Clone, Debug, Default)]
pub struct BlastRadiusRequest {
    /// The entities where it starts, by name; several start together.
    pub entities: Vec<String>,
    /// At most so many relationships.
    pub depth: Option<u32>,
    /// The kinds of trouble to follow; both unless told.
    pub trouble: Option<ImpactFilter>,
    /// The way along relationships, whatever the rules say.
    pub direction: Option<WalkDirection>,
    /// The only verbs to follow, whatever the rules say; `!VERB` is all but that.
    pub verbs: Vec<String>,
    /// The only classes to report.
    pub classes: Vec<String>,
    /// The only types to report.
    pub types: Vec<String>,
    /// The only scopes to report.
    pub scopes: Vec<String>,
}

impl BlastRadiusRequest {
    /// Answers the question by these rules.
    ///
    /// # Errors
    ///
    /// A name that nothing has, options that exclude each other, a limit, or the error of reading.
    pub fn ask(
        &self,
        context: &QuestionContext<'_>,
        rules: &RuleTable,
    ) -> Result<BlastRadiusAnswer, AnswerError> {
        let QuestionContext { database, snapshot, meter, counts } = *context;
        let mut roots = Vec::new();
        for name in &self.entities {
            let root = database.find_entity(snapshot, name)?;
            // Two names may stand for one entity.
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let walk = walk(snapshot, self)?;
        let filter = EntityFilter::read(snapshot, &self.scopes, &self.classes, &self.types)?;
        let blast = blast(snapshot, meter, &roots, &walk, rules, self.depth)?;
        // A visit is named by its entity and its relationship; memory for both is asked for before
        // any is read.
        meter.hold((2 * heads::NAMED_BYTES + 128) * blast.hits.len() as u64)?;
        meter.look()?;
        let root_heads = heads::entities(snapshot, &roots)?;
        let (reached, whole) = name_all(snapshot, &root_heads, &blast.hits, &filter)?;
        let stale = staleness::stale(database, snapshot)?;
        let shown = reached.iter().filter(|visit| visit.reported).count();
        let notes = BlastNotes { context, roots: &roots, walk: &walk, blast: &blast };
        let mut notes = notes.all(rules, self.depth, (whole, shown), &filter)?;
        let ruled = matches!(walk, BlastStrategy::Ruled { .. });
        if ruled {
            notes.extend(rule_notes(snapshot, rules)?);
        }
        notes.extend(staleness::stale_note(counts, &stale));
        Ok(BlastRadiusAnswer {
            roots: root_heads,
            reached,
            ruled,
            not_followed: blast.not_followed,
            stale: stale.into_iter().map(|(scope, _)| scope).collect(),
            notes,
        })
    }
}

/// Everything that is reached, by name.
pub struct BlastRadiusAnswer {
    /// The entities where it starts.
    pub roots: Vec<EntityHead>,
    /// The reported visits and those on the chains to them, by distance, scope and key.
    pub reached: Vec<NamedVisit>,
    /// True if the walk went by the rules, so that visits have states.
    pub ruled: bool,
    /// Verbs that no rule lets pass anything, each with the number of relationships that were not followed.
    pub not_followed: Vec<(String, u64)>,
    /// Scopes whose last job is older than the others' by far.
    pub stale: Vec<String>,
    /// Facts that the answer does not show by itself.
    pub notes: Vec<String>,
}

impl BlastRadiusAnswer {
    /// The reported visits among those kept.
    pub fn reported(&self) -> impl Iterator<Item = &NamedVisit> {
        self.reached.iter().filter(|visit| visit.reported)
    }

    /// The number of reported entities at each distance.
    pub fn by_distance(&self) -> BTreeMap<u32, u64> {
        let mut counts = BTreeMap::new();
        self.reported().for_each(|visit| *counts.entry(visit.distance).or_default() += 1);
        counts
    }

    /// The number of reported entities in each state.
    pub fn by_state(&self) -> BTreeMap<&'static str, u64> {
        let mut counts: BTreeMap<&'static str, u64> =
            ImpactState::ALL.into_iter().map(|state| (state.word(), 0)).collect();
        for state in self.reported().filter_map(|visit| visit.state) {
            *counts.entry(state.word()).or_default() += 1;
        }
        counts
    }
}

impl Serialize for BlastRadiusAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (roots, reached) = (&self.roots, &self.reached);
        let Some(root) = roots.first() else { return serializer.serialize_none() };
        BlastAnswerJson {
            root,
            roots: if roots.len() > 1 { roots } else { &[] },
            total: self.reported().count(),
            by_distance: self.by_distance(),
            by_state: self.ruled.then(|| self.by_state()),
            not_followed: self.not_followed.iter().map(|(v, n)| (v.as_str(), *n)).collect(),
            stale_scopes: &self.stale,
            notes: &self.notes,
            reached: self.reported().map(NamedVisit::line).collect(),
            on_the_way: reached.iter().filter(|r| r.passed).map(NamedVisit::line).collect(),
        }
        .serialize(serializer)
    }
}

impl AnswerDocument for BlastRadiusAnswer {}

/// A visit of an entity, and the last link of its shortest chain.
pub struct NamedVisit {
    /// The entity.
    pub entity: EntityHead,
    /// The state in which it is reached; a plain walk has none.
    pub state: Option<ImpactState>,
    /// Relationships between it and a root.
    pub distance: u32,
    /// The last relationship of the chain to it.
    pub link: RelationshipHead,
    /// Position among all visits.
    pub number: u32,
    /// Position of the visit before it in the chain; a root has none.
    pub before: Option<u32>,
    /// Number of the entity before it in the chain.
    pub from: u32,
    /// `_id` of that entity.
    pub from_id: String,
    /// The state in which the chain leads through it.
    pub from_state: Option<ImpactState>,
    /// True if the entity is reported in this state; false if it is only on the way to a reported
    /// one.
    pub reported: bool,
    /// True if the entity is reached in a stronger state too, and stands here as part of a chain.
    pub passed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlastAnswerJson<'a> {
    root: &'a EntityHead,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roots: &'a [EntityHead],
    total: usize,
    by_distance: BTreeMap<u32, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_state: Option<BTreeMap<&'static str, u64>>,
    not_followed: BTreeMap<&'a str, u64>,
    stale_scopes: &'a [String],
    notes: &'a [String],
    reached: Vec<ReachedEntityJson<'a>>,
    /// Visits that chains lead through in a weaker state than the strongest of their entity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on_the_way: Vec<ReachedEntityJson<'a>>,
}

#[derive(Serialize)]
struct ReachedEntityJson<'a> {
    #[serde(flatten)]
    entity: &'a EntityHead,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    distance: u32,
    via: ReachedStepJson<'a>,
}

#[derive(Serialize)]
struct ReachedStepJson<'a> {
    relationship: &'a RelationshipHead,
    /// `out` where the chain goes with the arrow, `in` where it goes against it.
    direction: &'static str,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

impl NamedVisit {
    /// `out` where the chain goes with the arrow, `in` where it goes against it.
    pub fn direction(&self) -> &'static str {
        heads::direction(self.link.from == self.from)
    }

    fn line(&self) -> ReachedEntityJson<'_> {
        let (relationship, from) = (&self.link, self.from_id.as_str());
        let state = self.from_state.map(ImpactState::word);
        ReachedEntityJson {
            entity: &self.entity,
            state: self.state.map(ImpactState::word),
            distance: self.distance,
            via: ReachedStepJson { relationship, direction: self.direction(), from, state },
        }
    }
}

/// A visit as an answer lists it.
impl Serialize for NamedVisit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.line().serialize(serializer)
    }
}

/// Chooses the walk. It follows the rules unless verbs or a direction are asked for; verbs that are
/// only excluded leave the rules in force.
fn walk(snapshot: &Snapshot, request: &BlastRadiusRequest) -> Result<BlastStrategy, AnswerError> {
    let leaves_out = request.verbs.iter().all(|verb| verb.starts_with('!'));
    if request.direction.is_none() && leaves_out {
        let out: Vec<String> =
            request.verbs.iter().map(|verb| verb[1..].trim().to_owned()).collect();
        let without = verb_filter(snapshot, &out)?.0.unwrap_or_default();
        let trouble = request.trouble.unwrap_or(ImpactFilter::ANY);
        return Ok(BlastStrategy::Ruled { trouble, without });
    }
    if request.trouble.is_some() {
        let message = "`--for` goes by the rules, which `--verb` and `--direction` set aside";
        return Err(AnswerError::invalid(message).advise(AnswerAdvice::LeaveOutOne));
    }
    let verbs = verb_filter(snapshot, &request.verbs)?;
    Ok(BlastStrategy::Plain { direction: request.direction, verbs })
}

/// Names the reported visits and the visits on the chains to them, ordered by distance, scope, key.
/// Also returns how many entities are reached in all.
fn name_all(
    snapshot: &Snapshot,
    roots: &[EntityHead],
    hits: &[BlastVisit],
    filter: &EntityFilter,
) -> Result<(Vec<NamedVisit>, usize), AnswerError> {
    let mut needed = vec![false; hits.len()];
    let mut kept: Vec<(u32, bool)> = Vec::new();
    let mut whole = 0;
    // A visit comes after the one before it in its chain. Going backwards, every visit knows
    // already whether a reported one needs it.
    for (number, hit) in hits.iter().enumerate().rev() {
        whole += usize::from(hit.strongest);
        let reported = hit.strongest && filter.takes(snapshot, hit.step.entity)?;
        if reported || needed[number] {
            if let Some(before) = hit.before {
                needed[before as usize] = true;
            }
            kept.push((number as u32, reported));
        }
    }
    let hit = |number: u32| &hits[number as usize];
    let numbers: Vec<u32> = kept.iter().map(|(number, _)| hit(*number).step.entity).collect();
    let entities = heads::entities(snapshot, &numbers)?;
    // Keys of both ends are at hand, so most relationships are named without reading their heads.
    let known = roots.iter().chain(&entities);
    let keys: FxHashMap<u32, &str> = known.map(|e| (e.number, e.key.as_str())).collect();
    let links = heads::links_of(snapshot, kept.iter().map(|(n, _)| &hit(*n).step), &keys)?;
    // Only entities with something below them need their `_id` as a text.
    let above: FxHashSet<u32> = kept.iter().map(|(number, _)| hit(*number).step.from).collect();
    let ids: FxHashMap<u32, String> = roots
        .iter()
        .chain(entities.iter().filter(|entity| above.contains(&entity.number)))
        .map(|entity| (entity.number, entity.id.to_string()))
        .collect();
    let reached: Vec<NamedVisit> = kept
        .into_iter()
        .zip(entities.into_iter().zip(links))
        .map(|((number, reported), (entity, link))| {
            let BlastVisit { step, state, before, strongest } = *hit(number);
            // A blast by the rules begins with roots that are controlled.
            let root_state = state.map(|_| ImpactState::Controlled);
            NamedVisit {
                entity,
                state,
                distance: step.distance,
                link,
                number,
                before,
                from: step.from,
                from_id: ids.get(&step.from).cloned().unwrap_or_default(),
                from_state: before.map_or(root_state, |before| hit(before).state),
                reported,
                passed: !strongest,
            }
        })
        .collect();
    Ok((sorted(reached), whole))
}

/// Sorts by distance, scope, key and state. It sorts positions first, since the visits are large to
/// move.
fn sorted(reached: Vec<NamedVisit>) -> Vec<NamedVisit> {
    let mut order: Vec<u32> = (0..reached.len() as u32).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&reached[a as usize], &reached[b as usize]);
        a.distance
            .cmp(&b.distance)
            .then_with(|| a.entity.scope.cmp(&b.entity.scope))
            .then_with(|| a.entity.key.cmp(&b.entity.key))
            .then_with(|| a.state.cmp(&b.state))
    });
    let mut slots: Vec<Option<NamedVisit>> = reached.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| slots[at as usize].take()).collect()
}
