//! The nearest owners of entities, each with its chain of evidence.

use super::chain::{NamedChain, NamedChainStep};
use super::entity_filter::EntityFilter;
use super::heads;
use super::owner_notes::{NoOwnerReason, why_nobody};
use super::owner_search::{
    FoundOwner, OwnedEntity, OwnerCriteria, OwnerSearchOptions, has_ownership, owners,
};
use super::rule_notes::rule_notes;
use super::staleness;
use super::used_names::class_sets;
use super::verb_filter::verb_filter;
use super::walk_step::WalkStep;
use super::{AnswerAdvice, AnswerDocument, AnswerError, QuestionContext};
use crate::graph::EntityHead;
use crate::rules::RuleTable;
use crate::store::Snapshot;
use serde::{Serialize, Serializer};
use serde_json::json;

/// A question for the owners of entities: of those that are named, or of all with some classes, types
/// and scopes.
#[derive(Clone, Debug, Default)]
pub struct OwnersRequest {
    /// The owned, by name.
    pub entities: Vec<String>,
    /// Every live entity of these classes instead.
    pub classes: Vec<String>,
    /// Every live entity of these types instead.
    pub types: Vec<String>,
    /// Every live entity of these scopes instead.
    pub scopes: Vec<String>,
    /// True to answer only with entities that nobody owns.
    pub orphans: bool,
    /// True to ask for the people of owners that are teams too.
    pub people: bool,
    /// The only classes of owners.
    pub owner_classes: Vec<String>,
    /// At most so many relationships.
    pub depth: Option<u32>,
    /// The only verbs that say who owns.
    pub verbs: Vec<String>,
}

impl OwnersRequest {
    /// Answers the question by these rules.
    ///
    /// # Errors
    ///
    /// A name that nothing has, a question for orphans where nothing owns anything, a limit, or the
    /// error of reading.
    pub fn ask(
        &self,
        context: &QuestionContext<'_>,
        rules: &RuleTable,
    ) -> Result<OwnersAnswer, AnswerError> {
        let QuestionContext { database, snapshot, counts, .. } = *context;
        let filter = EntityFilter::read(snapshot, &self.scopes, &self.classes, &self.types)?;
        let named = filter.is_open();
        let entities = match named {
            true => {
                let find = |name: &String| Ok(database.find_entity(snapshot, name)?);
                self.entities.iter().map(find).collect::<Result<Vec<u32>, AnswerError>>()?
            }
            false => filter.all(snapshot)?,
        };
        let asked = self.search(snapshot, rules)?;
        // A verb that is named makes owners, whatever the rules say of it.
        let by_rules = asked.verbs.0.is_none();
        if self.orphans && by_rules && !has_ownership(snapshot, rules)? {
            let message = "nothing in this database owns anything, so all would look like orphans";
            return Err(AnswerError::invalid(message).advise(AnswerAdvice::MakeOwners));
        }
        let answers = self.answers(context, &entities, &asked)?;
        let mut notes = Vec::new();
        let mut somebody = false;
        // A reason takes searches of its own, so only entities that were asked for by name get one.
        if named {
            for answer in answers.iter().filter(|answer| answer.owners.is_empty()) {
                let why = why_nobody(context, &answer.entity, &asked, &self.owner_classes)?;
                somebody |= matches!(why, NoOwnerReason::Other(_));
                notes.push(why.words());
            }
        }
        // This question reads all relationships, so it comes last and only when no owner was found.
        let nobody = !somebody && answers.iter().all(|answer| answer.owners.is_empty());
        if nobody && !self.orphans && by_rules && !has_ownership(snapshot, rules)? {
            notes.push(
                "nothing in this database owns anything; `tombolo impact-rules` lists what makes \
                 owners"
                    .to_owned(),
            );
        }
        if by_rules {
            notes.extend(rule_notes(snapshot, rules)?);
        }
        notes.extend(staleness::stale_note(counts, &staleness::stale(database, snapshot)?));
        if !named && entities.is_empty() {
            notes.push(format!("no entity{}", filter.words));
        }
        Ok(OwnersAnswer { answers, named, words: filter.words, asked: entities.len(), notes })
    }

    fn search<'r>(
        &self,
        snapshot: &Snapshot,
        rules: &'r RuleTable,
    ) -> Result<OwnerSearchOptions<'r>, AnswerError> {
        let accepted = match class_sets(snapshot, &self.owner_classes)? {
            Some(sets) => OwnerCriteria::Sets(sets),
            None => OwnerCriteria::ByRules,
        };
        let verbs = verb_filter(snapshot, &self.verbs)?;
        Ok(OwnerSearchOptions { rules, accepted, verbs, depth: self.depth, people: self.people })
    }

    fn answers(
        &self,
        context: &QuestionContext<'_>,
        entities: &[u32],
        asked: &OwnerSearchOptions<'_>,
    ) -> Result<Vec<EntityOwners>, AnswerError> {
        let QuestionContext { snapshot, meter, .. } = *context;
        let mut answers = Vec::new();
        for owned in owners(snapshot, meter, entities, asked)? {
            meter.look()?;
            if !self.orphans || owned.owners.is_empty() {
                // A step is named by a relationship and an entity. Memory for all names is asked for
                // before any is read.
                let links = owned.owners.iter().map(|owner| 2 * owner.chain.len() as u64 + 1);
                meter.hold(heads::NAMED_BYTES * (links.sum::<u64>() + 1))?;
                answers.push(name_owners(snapshot, owned, self.people)?);
            }
        }
        Ok(answers)
    }
}

/// Entities with their owners.
pub struct OwnersAnswer {
    /// The entities.
    pub answers: Vec<EntityOwners>,
    /// True if they were named one by one.
    pub named: bool,
    /// The choice of entities in words: ` of class Device`; empty if they were named.
    pub words: String,
    /// The number of entities that were asked about.
    pub asked: usize,
    /// Facts that the answer does not show by itself.
    pub notes: Vec<String>,
}

/// The answer about one entity, with its notes.
#[derive(Serialize)]
struct OneOwnersJson<'a> {
    #[serde(flatten)]
    answer: &'a EntityOwners,
    notes: &'a [String],
}

impl Serialize for OwnersAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.answers.as_slice() {
            [answer] if self.named => {
                OneOwnersJson { answer, notes: &self.notes }.serialize(serializer)
            }
            all => json!({ "answers": all, "notes": self.notes }).serialize(serializer),
        }
    }
}

impl AnswerDocument for OwnersAnswer {}

/// An owner with the chain of evidence, which leads from the owner to the owned entity.
#[derive(Serialize)]
pub struct NamedOwner {
    /// The owner, and the chain from there.
    #[serde(flatten)]
    pub chain: OwnerChain,
    /// The people of a team, if they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<Vec<OwnerChain>>,
}

/// An owner or a person of an owning team, and the chain from there to the owned entity.
#[derive(Serialize)]
pub struct OwnerChain {
    /// The owner or person.
    #[serde(flatten)]
    pub entity: EntityHead,
    /// From there to the owned entity.
    pub chain: Vec<NamedChainStep>,
}

/// One entity with its owners.
#[derive(Serialize)]
pub struct EntityOwners {
    /// The owned entity.
    pub entity: EntityHead,
    /// Relationships between it and its nearest owners.
    pub distance: Option<u32>,
    /// The owners that tie at that distance, by scope and key.
    pub owners: Vec<NamedOwner>,
}

impl EntityOwners {
    /// Owners, each followed by its people.
    pub fn all(&self) -> impl Iterator<Item = (&OwnerChain, Option<&OwnerChain>)> {
        self.owners.iter().flat_map(|owner| {
            let people = owner.people.iter().flatten();
            let people = people.map(|person| (person, Some(&owner.chain)));
            std::iter::once((&owner.chain, None)).chain(people)
        })
    }
}

/// Names the owners of an entity.
fn name_owners(
    snapshot: &Snapshot,
    owned: OwnedEntity,
    people: bool,
) -> Result<EntityOwners, AnswerError> {
    let mut owners = Vec::new();
    for FoundOwner { entity, chain, people: members } in &owned.owners {
        let NamedChain { first, links } = NamedChain::read(snapshot, *entity, chain)?;
        let mut named = Vec::new();
        for (person, steps) in members {
            // The steps of a person end at the team; those of the team go on to the owned entity.
            let whole: Vec<WalkStep> = steps.iter().chain(chain).copied().collect();
            let NamedChain { first, links } = NamedChain::read(snapshot, *person, &whole)?;
            named.push(OwnerChain { entity: first, chain: links });
        }
        let people = people.then_some(named);
        owners.push(NamedOwner { chain: OwnerChain { entity: first, chain: links }, people });
    }
    // The search yields owners by number, which is an order of the file and means nothing to a
    // reader.
    owners.sort_by(|a, b| {
        let key = |o: &NamedOwner| (o.chain.entity.scope.clone(), o.chain.entity.key.clone());
        key(a).cmp(&key(b))
    });
    let entity = heads::entity(snapshot, owned.entity)?;
    Ok(EntityOwners { entity, distance: owned.distance, owners })
}
