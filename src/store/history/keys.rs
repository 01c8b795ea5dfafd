//! Keys of the table `history`.

use super::SPAN;
use crate::graph::{EdgeDirection, ObjectKind};

/// The sorts of records, in the order in which they lie in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum HistorySpace {
    /// Heads of entities; a group is a span of numbers.
    EntityHeads = 0,
    /// Heads of relationships; a group is a span of numbers.
    RelationshipHeads = 1,
    /// Edges by the entity where they start; a group is a span of entities.
    OutEdges = 2,
    /// Edges by the entity where they end; a group is a span of entities.
    InEdges = 3,
    /// Rows of scopes; a group is the name number of a scope.
    Scopes = 4,
    /// Pinned properties; a group is the name number of a scope.
    Pins = 5,
    /// One row for each revision; the only group is 0.
    Revisions = 6,
}

impl HistorySpace {
    /// All of them, in order.
    pub const ALL: [HistorySpace; 7] = [
        HistorySpace::EntityHeads,
        HistorySpace::RelationshipHeads,
        HistorySpace::OutEdges,
        HistorySpace::InEdges,
        HistorySpace::Scopes,
        HistorySpace::Pins,
        HistorySpace::Revisions,
    ];

    /// The space of the heads of a kind.
    pub fn heads(kind: ObjectKind) -> HistorySpace {
        match kind {
            ObjectKind::Entity => HistorySpace::EntityHeads,
            ObjectKind::Relationship => HistorySpace::RelationshipHeads,
        }
    }

    /// The space of the edges of a direction.
    pub fn edges(direction: EdgeDirection) -> HistorySpace {
        match direction {
            EdgeDirection::Out => HistorySpace::OutEdges,
            EdgeDirection::In => HistorySpace::InEdges,
        }
    }
}

/// The group of a number.
pub fn group_of(number: u32) -> u32 {
    number / SPAN
}

/// The place of a row of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryKey {
    /// What the records are of.
    pub space: HistorySpace,
    /// Which of them.
    pub group: u32,
    /// The revision that the change made.
    pub revision: u64,
    /// Rows of one group and revision are counted through.
    pub part: u32,
}

/// Bytes of a key.
pub const KEY: usize = 17;

impl HistoryKey {
    /// The first key that a row of this place can have, from a revision on.
    pub fn first(space: HistorySpace, group: u32, revision: u64) -> HistoryKey {
        HistoryKey { space, group, revision, part: 0 }
    }

    /// The last key that a row of a group can have.
    pub fn last(space: HistorySpace, group: u32) -> HistoryKey {
        HistoryKey { space, group, revision: u64::MAX, part: u32::MAX }
    }

    /// The key as bytes, whose order is that of the fields.
    pub fn bytes(self) -> [u8; KEY] {
        let mut key = [0; KEY];
        key[0] = self.space as u8;
        key[1..5].copy_from_slice(&self.group.to_be_bytes());
        key[5..13].copy_from_slice(&self.revision.to_be_bytes());
        key[13..].copy_from_slice(&self.part.to_be_bytes());
        key
    }

    /// Reads a key. `None` if it is damaged.
    pub fn read(key: &[u8]) -> Option<HistoryKey> {
        let key: &[u8; KEY] = key.try_into().ok()?;
        Some(HistoryKey {
            space: *HistorySpace::ALL.get(usize::from(key[0]))?,
            group: u32::from_be_bytes(key[1..5].try_into().ok()?),
            revision: u64::from_be_bytes(key[5..13].try_into().ok()?),
            part: u32::from_be_bytes(key[13..].try_into().ok()?),
        })
    }
}
