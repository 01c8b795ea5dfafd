//! Changes with everything that their heads need: what packing hands to storing.

use crate::graph::IdHash;
use crate::store::{
    ByteCursor, IdentityEntry, RelationshipLabel, SpillRecord, StoredEdge, put_bytes, put_varint,
};
use crate::sync::plan::{ChangeAction, ObjectChange};
use std::sync::atomic::AtomicU32;

/// The owner of changes: a job of the plan, or a foreign scope whose relationships go with entities
/// of the plan.
pub(super) struct ChangeOwner {
    pub(super) scope: u32,
    /// Sequence number of the job.
    pub(super) sequence: u32,
    /// Number of the first new object of the kind that is stored.
    pub(super) first: u32,
    /// First bucket of its new relationships, and how many there are.
    pub(super) fresh: (usize, usize),
    /// Number of the next block of the kind that is stored.
    pub(super) next_block: AtomicU32,
}

impl ChangeOwner {
    /// An owner of nothing yet.
    pub(super) fn new(scope: u32, sequence: u32) -> ChangeOwner {
        let next_block = AtomicU32::new(0);
        ChangeOwner { scope, sequence, first: 0, fresh: (0, 0), next_block }
    }
}

/// The fields of a new head that come from the contents: names, and the place of the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadFields {
    pub(super) type_name: u32,
    pub(super) class: u32,
    pub(super) block: u32,
    pub(super) slot: u32,
}

/// A change with everything that its head needs.
#[derive(Clone, Debug)]
pub(super) struct AppliedChange {
    /// Position of the owner.
    pub(super) owner: u32,
    pub(super) number: u32,
    pub(super) id: IdHash,
    pub(super) digest: u64,
    pub(super) ends: (u32, u32),
    pub(super) action: ChangeAction,
    /// The new contents; `None` for a deletion.
    pub(super) facts: Option<HeadFields>,
    /// Empty if it is not stored.
    pub(super) key: Box<str>,
    pub(super) display: Option<Box<str>>,
}

impl AppliedChange {
    /// A change without contents.
    pub(super) fn new(change: &ObjectChange) -> AppliedChange {
        let ObjectChange { job: owner, number, id, digest, ends, action, .. } = *change;
        let (facts, key, display) = (None, Box::default(), None);
        AppliedChange { owner, number, id, digest, ends, action, facts, key, display }
    }

    /// The label of a relationship that has contents.
    pub(super) fn label(&self, owner: &ChangeOwner) -> Option<RelationshipLabel> {
        let HeadFields { type_name, class: verb, .. } = self.facts?;
        let derived_key = self.key.is_empty();
        Some(RelationshipLabel { scope: owner.scope, type_name, verb, derived_key })
    }
}

/// Packs new relationships that have no number yet. No other changes are packed.
impl SpillRecord for AppliedChange {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        let HeadFields { type_name, class, block, slot } =
            self.facts.expect("BUG: what is new has contents");
        // Plus one, so that `NO_BODY` takes one byte and not five.
        let block = block.wrapping_add(1);
        for n in [self.owner, self.ends.0, self.ends.1, type_name, class, block, slot] {
            put_varint(out, n.into());
        }
        put_bytes(out, self.key.as_bytes());
        match &self.display {
            None => out.push(0),
            Some(text) => {
                out.push(1);
                put_bytes(out, text.as_bytes());
            }
        }
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        let (id, digest, owner) = (IdHash(c.u64()?), c.u64()?, c.varint32()?);
        let ends = (c.varint32()?, c.varint32()?);
        let (type_name, class) = (c.varint32()?, c.varint32()?);
        let (block, slot) = (c.varint32()?.wrapping_sub(1), c.varint32()?);
        let key = c.text()?.into();
        let display = match c.u8()? {
            0 => None,
            _ => Some(c.text()?.into()),
        };
        let facts = Some(HeadFields { type_name, class, block, slot });
        let action = ChangeAction::Create;
        Some(AppliedChange { owner, number: 0, id, digest, ends, action, facts, key, display })
    }
}

/// An identity with its owner, to be brought into the order of hashes.
pub(super) struct IdentityEdit {
    pub(super) owner: u32,
    pub(super) identity: IdentityEntry,
}

impl SpillRecord for IdentityEdit {
    fn put(&self, out: &mut Vec<u8>) {
        let IdentityEntry { id, digest, number, live } = self.identity;
        out.extend_from_slice(&id.0.to_le_bytes());
        out.extend_from_slice(&digest.to_le_bytes());
        put_varint(out, u64::from(number) * 2 + u64::from(live));
        put_varint(out, self.owner.into());
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        let (id, digest, packed) = (IdHash(c.u64()?), c.u64()?, c.varint()?);
        let (number, live) = ((packed / 2) as u32, packed % 2 == 1);
        Some(IdentityEdit {
            owner: c.varint32()?,
            identity: IdentityEntry { id, digest, number, live },
        })
    }
}

/// An edge as seen from one of its ends, and whether it is added or removed, as one number. From
/// the highest bits to the lowest: entity, other, label, relationship, addition. This is the order
/// of edges in a segment, removals before additions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AdjacencyEdit(u128);

impl AdjacencyEdit {
    pub(super) fn new(entity: u32, edge: StoredEdge, add: bool) -> AdjacencyEdit {
        let StoredEdge { other, label, relationship } = edge;
        // Both share 32 bits, so the number of a relationship must fit 31.
        let last = u128::from(relationship) << 1 | u128::from(add);
        let first = u128::from(entity) << 96 | u128::from(other) << 64;
        AdjacencyEdit(first | u128::from(label) << 32 | last)
    }

    pub(super) fn into_edit(self) -> ((u32, StoredEdge), bool) {
        let [entity, other, label] = [96, 64, 32].map(|shift| (self.0 >> shift) as u32);
        let last = self.0 as u32;
        ((entity, StoredEdge { other, label, relationship: last >> 1 }), last & 1 == 1)
    }
}

impl SpillRecord for AdjacencyEdit {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn take(c: &mut ByteCursor<'_>) -> Option<Self> {
        Some(AdjacencyEdit(c.array().map(u128::from_le_bytes)?))
    }
}
