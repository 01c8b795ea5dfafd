//! Relationships: the decision on one that exists already, or whose ends were not both found.

use super::change::{ChangeAction, ContentLocation, ObjectChange};
use super::decide::{EndNumbers, ObjectOutcome};
use super::missing_ends::MissingEnd;
use super::planner::SyncPlanner;
use crate::graph::ObjectKind;
use crate::store::IdentityEntry;
use crate::store::staging::StagedRelationship;
use crate::sync::SyncError;
use crate::sync::compare::{MatchKind, StoredMatch, UploadedObject};
use crate::sync::report::SKIPPED_LISTED;

impl SyncPlanner<'_> {
    /// Decides on a relationship that exists already or whose ends were not both found.
    pub(super) fn relationship(
        &mut self,
        at: u32,
        staged: &StagedRelationship,
        met: Option<StoredMatch>,
        found: EndNumbers,
    ) -> Result<ObjectOutcome, SyncError> {
        let kind = ObjectKind::Relationship;
        let object = &staged.object;
        self.check_key(kind, object, met)?;
        let known = met.map(|met| met.identity(object.id));
        // Equal contents do not settle it if an end is deleted: then it must go, or find a new end.
        if let Some(StoredMatch { how: MatchKind::Change, number, .. }) = met
            && !self.cascade.contains(&number)
            && self.context.contents().stored_digest(kind, number)?
                == self.context.contents().uploaded_digest(kind, object, &staged.ends())?
        {
            return Ok(ObjectOutcome::Unchanged);
        }
        if let Some(known) = known {
            // This job decides on it; what stays in the cascade is deleted as foreign.
            self.cascade.remove(&known.number);
        }
        let resolve = |name, end, found: Option<u32>| match found {
            Some(number) => Ok(Ok(number)),
            None => self.resolve(name, staged, end),
        };
        let from = resolve("from", staged.from, found[0])?;
        let to = resolve("to", staged.to, found[1])?;
        let ends = match (from, to) {
            (Ok(from), Ok(to)) => (from, to),
            (from, to) => {
                let missing: Vec<_> = [from.err(), to.err()].into_iter().flatten().collect();
                return self.without_ends(at, staged, known, &missing);
            }
        };
        let (number, action) = match known {
            None => (0, ChangeAction::Create),
            Some(known) if known.live => (known.number, ChangeAction::Update),
            Some(known) => (known.number, ChangeAction::Revive),
        };
        let (id, digest, place) = (object.id, object.spelling, ContentLocation::of(object));
        Ok(ObjectOutcome::Changed(ObjectChange {
            job: at,
            number,
            id,
            digest,
            ends,
            action,
            place,
        }))
    }

    /// Leaves out a relationship whose ends are missing.
    fn without_ends(
        &mut self,
        at: u32,
        staged: &StagedRelationship,
        known: Option<IdentityEntry>,
        missing: &[MissingEnd],
    ) -> Result<ObjectOutcome, SyncError> {
        // Finding out why costs more than all else, and only the first are listed.
        let reason = match self.jobs[at as usize].report.skipped.len() {
            ..SKIPPED_LISTED => self.missing_reason(at, staged, missing)?,
            _ => String::new(),
        };
        self.skip(at, ObjectKind::Relationship, &staged.object, reason)?;
        // A live relationship has live ends, so without them the stored one is deleted.
        Ok(match known.filter(|known| known.live) {
            Some(IdentityEntry { number, id, digest, .. }) => {
                ObjectOutcome::Withdrawn(ObjectChange::delete(at, number, id, digest))
            }
            None => ObjectOutcome::Skipped,
        })
    }
}
