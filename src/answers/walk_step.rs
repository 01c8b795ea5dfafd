//! Steps of walks: an entity by number, and the relationship that led to it.

use crate::graph::EdgeDirection;
use crate::view;

/// An entity that a walk came to, and the relationship it came by.
#[derive(Clone, Copy, Debug)]
pub struct WalkStep {
    /// Number of the entity.
    pub entity: u32,
    /// Number of the relationship.
    pub relationship: u32,
    /// Number of the label of the relationship, or [`Edge::UNLABELLED`](crate::graph::Edge).
    pub label: u32,
    /// True if the relationship points to `entity`; otherwise it points to `from`.
    pub onward: bool,
    /// Number of the entity before it.
    pub from: u32,
    /// Relationships between it and the start.
    pub distance: u32,
}

impl WalkStep {
    /// A step of the walk, `distance` relationships from its start.
    pub(super) fn new(step: &view::EvidenceStep, distance: u32) -> WalkStep {
        let view::EvidenceStep { from, to: entity, relationship, label, direction, .. } = *step;
        let onward = direction == EdgeDirection::Out;
        WalkStep { entity, relationship, label, onward, from, distance }
    }

    /// The entities that the relationship points from and to.
    pub fn ends(&self) -> (u32, u32) {
        if self.onward { (self.from, self.entity) } else { (self.entity, self.from) }
    }
}

/// The steps of a chain, counted from its start.
pub(super) fn steps(chain: &[view::EvidenceStep]) -> Vec<WalkStep> {
    (1u32..).zip(chain).map(|(distance, step)| WalkStep::new(step, distance)).collect()
}
