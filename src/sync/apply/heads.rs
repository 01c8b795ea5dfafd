//! Heads: the row of each changed object, with the identity and the edges that follow from it.

use super::change::{AdjacencyEdit, AppliedChange, ChangeOwner, IdentityEdit};
use super::counts::CountDeltas;
use crate::graph::ObjectKind;
use crate::store::{
    IdentityEntry, LabelTable, ObjectHead, RelationshipLabel, SharedBuckets, SpillBuckets,
    StoreError, StoredEdge, StoredHeads,
};
use crate::sync::compare::HashPartitions;
use crate::sync::plan::ChangeAction;

/// Makes the heads of a kind.
pub(super) struct HeadBuilder<'l> {
    pub(super) kind: ObjectKind,
    pub(super) owners: &'l [ChangeOwner],
    pub(super) now: i64,
    /// Labels of all relationships, before the change and after it.
    pub(super) labels: &'l LabelTable,
    pub(super) parts: HashPartitions,
    pub(super) entities: u32,
    /// Buckets for the identity and the edges of each change.
    pub(super) identities: &'l SharedBuckets<IdentityEdit>,
    pub(super) edges: &'l [SharedBuckets<AdjacencyEdit>; 2],
}

/// Changes of counts, in the order of the changes. An owner may be there more than once.
pub(super) type OwnerCountDeltas = Vec<(u32, CountDeltas)>;

impl HeadBuilder<'_> {
    /// Makes the heads of changes in the order of numbers.
    pub(super) fn make(
        &self,
        changes: &[AppliedChange],
        stored: &StoredHeads<'_>,
        shifts: &mut OwnerCountDeltas,
    ) -> Result<Vec<Option<ObjectHead>>, StoreError> {
        let [out, into] = self.edges;
        // Threads fill buckets of their own; those for edges are taken only if edges can come.
        self.identities.fill(|identities| {
            if self.kind == ObjectKind::Entity {
                return self.make_into(changes, stored, shifts, identities, None);
            }
            out.fill(|out| {
                into.fill(|into| {
                    self.make_into(changes, stored, shifts, identities, Some([out, into]))
                })
            })
        })
    }

    fn make_into(
        &self,
        changes: &[AppliedChange],
        stored: &StoredHeads<'_>,
        shifts: &mut OwnerCountDeltas,
        identities: &mut SpillBuckets<IdentityEdit>,
        mut edges: Option<[&mut SpillBuckets<AdjacencyEdit>; 2]>,
    ) -> Result<Vec<Option<ObjectHead>>, StoreError> {
        let mut heads = Vec::with_capacity(changes.len());
        for change in changes {
            let before = match change.action {
                ChangeAction::Create => None,
                ChangeAction::Revive | ChangeAction::Update | ChangeAction::Delete => {
                    Some(stored.get(change.number).ok_or_else(|| {
                        let number = change.number.to_be_bytes();
                        StoreError::corrupt("heads", &number, "an object of the plan is missing")
                    })?)
                }
            };
            let head = self.head(change, before.as_ref());
            if shifts.last().is_none_or(|(last, _)| *last != change.owner) {
                shifts.push((change.owner, CountDeltas::default()));
            }
            let (_, of_owner) = shifts.last_mut().expect("BUG: one was just pushed");
            of_owner.count(before.as_ref(), &head);
            if let Some(edges) = &mut edges {
                self.edge_edits(change, before.as_ref(), &head, edges)?;
            }
            let AppliedChange { owner, id, digest, number, .. } = *change;
            let identity = IdentityEntry { id, digest, number, live: head.end == 0 };
            identities.push(self.parts.part(id), &IdentityEdit { owner, identity })?;
            heads.push(Some(head));
        }
        Ok(heads)
    }

    /// The head after a change.
    fn head(&self, change: &AppliedChange, before: Option<&ObjectHead>) -> ObjectHead {
        let ChangeOwner { scope, sequence, .. } = self.owners[change.owner as usize];
        let now = self.now;
        match (change.facts, before) {
            (Some(facts), before) => ObjectHead {
                scope,
                type_name: facts.type_name,
                class: facts.class,
                from: change.ends.0,
                to: change.ends.1,
                created: before.map_or(now, |b| b.created),
                begin: now,
                end: 0,
                version: before.map_or(1, |b| b.version.saturating_add(1)),
                job: sequence,
                block: facts.block,
                slot: facts.slot,
                // A patch may name an entity by its id.
                key: match before {
                    Some(before) if change.key.is_empty() && self.kind == ObjectKind::Entity => {
                        before.key.clone()
                    }
                    _ => change.key.clone(),
                },
                display: change.display.clone(),
            },
            (None, before) => {
                let before = before.expect("BUG: what has no contents was stored before");
                ObjectHead { end: now, job: sequence, ..before.clone() }
            }
        }
    }

    /// Puts down the edges that a changed relationship loses and gains, as seen from both ends.
    fn edge_edits(
        &self,
        change: &AppliedChange,
        before: Option<&ObjectHead>,
        after: &ObjectHead,
        [out, into]: &mut [&mut SpillBuckets<AdjacencyEdit>; 2],
    ) -> Result<(), StoreError> {
        let edge = |head: &ObjectHead| match self.labels.number(RelationshipLabel::of(head)) {
            Some(label) => Ok((head.from, head.to, label)),
            None => Err(StoreError::corrupt("labels", &[], "the label of an edge is missing")),
        };
        // Only live relationships have edges, so a tombstone counts as no edge.
        let before = before.filter(|b| b.end == 0).map(edge).transpose()?;
        let after = (after.end == 0).then(|| edge(after)).transpose()?;
        if before == after {
            return Ok(());
        }
        let ranges = out.count();
        let at = |entity| range_of(entity, ranges, self.entities);
        for (edge, add) in [(before, false), (after, true)] {
            let Some((from, to, label)) = edge else { continue };
            let turned = |other| StoredEdge { other, label, relationship: change.number };
            out.push(at(from), &AdjacencyEdit::new(from, turned(to), add))?;
            into.push(at(to), &AdjacencyEdit::new(to, turned(from), add))?;
        }
        Ok(())
    }
}

/// The position of the range that holds an entity, of `ranges` equal ranges of all entities.
pub(super) fn range_of(entity: u32, ranges: usize, entities: u32) -> usize {
    (u64::from(entity) * ranges as u64 / u64::from(entities.max(1))) as usize
}
