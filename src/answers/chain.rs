//! Chains of relationships by name.

use super::AnswerError;
use super::heads::{self, RelationshipHead};
use super::walk_step::WalkStep;
use super::words::clean;
use crate::graph::EntityHead;
use crate::store::Snapshot;
use serde::Serialize;

/// One relationship of a chain, and the entity that it leads to.
#[derive(Serialize)]
pub struct NamedChainStep {
    /// The relationship.
    pub relationship: RelationshipHead,
    /// `out` where the chain goes with the arrow, `in` where it goes against it.
    pub direction: &'static str,
    /// `_id` of the entity before it in the chain.
    pub from: String,
    /// The entity that it leads to.
    pub entity: EntityHead,
}

/// A chain by name, which begins at `first`.
pub struct NamedChain {
    /// The entity that it begins at.
    pub first: EntityHead,
    /// Its relationships in order.
    pub links: Vec<NamedChainStep>,
}

impl NamedChain {
    /// Names the steps that lead away from `first`.
    pub(super) fn read(
        snapshot: &Snapshot,
        first: u32,
        steps: &[WalkStep],
    ) -> Result<NamedChain, AnswerError> {
        let first = heads::entity(snapshot, first)?;
        let entities = steps.iter().map(|step| heads::entity(snapshot, step.entity));
        let entities = entities.collect::<Result<Vec<EntityHead>, AnswerError>>()?;
        let known = std::iter::once(&first).chain(&entities);
        let keys = known.map(|e| (e.number, e.key.as_str())).collect();
        let relationships = heads::links_of(snapshot, steps, &keys)?.into_iter();
        let mut links: Vec<NamedChainStep> = Vec::with_capacity(entities.len());
        for (relationship, entity) in relationships.zip(entities) {
            let before = links.last().map_or(&first, |link: &NamedChainStep| &link.entity);
            let direction = heads::direction(relationship.from == before.number);
            let from = before.id.to_string();
            links.push(NamedChainStep { relationship, direction, from, entity });
        }
        Ok(NamedChain { links, first })
    }
}

/// `alice -OWNS-> laptop <-HAS- site`.
pub fn chain_text(
    first: &EntityHead,
    links: &[NamedChainStep],
    name: impl Fn(&EntityHead) -> String,
) -> String {
    let mut text = name(first);
    for NamedChainStep { relationship, direction, entity, .. } in links {
        let verb = clean(&relationship.class);
        text.push_str(&match *direction == heads::direction(true) {
            true => format!(" -{verb}-> "),
            false => format!(" <-{verb}- "),
        });
        text.push_str(&name(entity));
    }
    text
}
