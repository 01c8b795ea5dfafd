//! Entities: the decision on one that exists already, or whose contents are merged.

use super::change::{ChangeAction, ContentLocation, ObjectChange};
use super::decide::ObjectOutcome;
use super::planner::SyncPlanner;
use crate::graph::ObjectKind;
use crate::store::IdentityEntry;
use crate::store::staging::StagedObject;
use crate::sync::SyncError;
use crate::sync::compare::{MatchKind, MergedContents, StoredMatch};
use crate::sync::job::JobSpec;
use crate::sync::mode::SyncMode;
use crate::sync::read::PINS;

/// The contents of an entity after merging.
enum MergeOutcome {
    /// Nothing is merged.
    AsUploaded,
    Merged(MergedContents),
    /// It is left out.
    Skipped,
}

impl SyncPlanner<'_> {
    /// Makes sure that the object found by its hash has the key that was uploaded.
    pub(super) fn check_key(
        &self,
        kind: ObjectKind,
        staged: &StagedObject,
        met: Option<StoredMatch>,
    ) -> Result<(), SyncError> {
        let Some(StoredMatch { how: MatchKind::Revive | MatchKind::Change, number, .. }) = met
        else {
            return Ok(());
        };
        let contents = self.context.contents();
        let key =
            contents.with_record(kind, staged, |record, names| record.full_key(kind, names))?;
        let head = contents.stored_head(kind, number)?;
        let stored = self.context.snapshot.key_of(kind, &head)?;
        // A patch may name an entity by its id alone.
        if !key.is_empty() && key != stored {
            let fault = contents.collision(kind, staged, &stored)?;
            return Err(SyncError::faults(self.context.inputs, vec![fault]));
        }
        Ok(())
    }

    /// Decides on an entity that exists already or whose contents are merged.
    pub(super) fn entity(
        &mut self,
        at: u32,
        staged: &StagedObject,
        met: Option<StoredMatch>,
    ) -> Result<ObjectOutcome, SyncError> {
        self.check_key(ObjectKind::Entity, staged, met)?;
        let known = met.map(|met| met.identity(staged.id));
        let merged = match self.merged(at, staged, known)? {
            MergeOutcome::AsUploaded => None,
            MergeOutcome::Merged(merged) => Some(merged),
            MergeOutcome::Skipped => return Ok(ObjectOutcome::Skipped),
        };
        let contents = self.context.contents();
        let merged = merged.map(|merged| (contents.digest(&merged, &[]), merged));
        let digest = merged.as_ref().map_or(staged.spelling, |(digest, _)| *digest);
        let action = match known {
            None => ChangeAction::Create,
            Some(known) if !known.live => ChangeAction::Revive,
            Some(known) => {
                let uploaded = || match &merged {
                    Some((digest, _)) => Ok(*digest),
                    None => contents.uploaded_digest(ObjectKind::Entity, staged, &[]),
                };
                // The stored digest may be that of a text, so other digests may still mean equal
                // contents.
                if known.digest == digest
                    || contents.stored_digest(ObjectKind::Entity, known.number)? == uploaded()?
                {
                    return Ok(ObjectOutcome::Unchanged);
                }
                ChangeAction::Update
            }
        };
        let place = match merged {
            Some((_, merged)) => self.merges.add(&merged)?,
            None => ContentLocation::of(staged),
        };
        let number = known.map_or(0, |known| known.number);
        let (job, id, ends) = (at, staged.id, (0, 0));
        Ok(ObjectOutcome::Changed(ObjectChange { job, number, id, digest, ends, action, place }))
    }

    /// The contents of an entity as its mode and the pins make them of what is uploaded and stored.
    fn merged(
        &mut self,
        at: u32,
        staged: &StagedObject,
        known: Option<IdentityEntry>,
    ) -> Result<MergeOutcome, SyncError> {
        let live = known.filter(|known| known.live).map(|known| known.number);
        let context = self.context;
        let contents = context.contents();
        let JobSpec { mode, scope, .. } = &context.jobs[at as usize].input.spec;
        Ok(match mode {
            SyncMode::Diff | SyncMode::CrossScope => {
                let before = context.pins(at, staged.id)?;
                let brought = match context.has_pins {
                    true => contents.brought_pins(staged)?,
                    false => None,
                };
                if brought.is_some() && brought != before {
                    self.jobs[at as usize].pins.push((staged.id, brought.clone()));
                }
                let brings = brought.is_some();
                match brought.or(before) {
                    Some(pin) => {
                        let mut uploaded = contents.uploaded(ObjectKind::Entity, staged)?;
                        if brings {
                            uploaded.properties.retain(|(name, _)| name != PINS);
                        }
                        MergeOutcome::Merged(uploaded.with_pins(Some(&pin))?)
                    }
                    None => MergeOutcome::AsUploaded,
                }
            }
            SyncMode::Patch | SyncMode::CreateOrUpdate => {
                match self.patched(at, staged, known.is_some(), live)? {
                    Ok(content) => MergeOutcome::Merged(content),
                    Err(reason) => {
                        self.skip(at, ObjectKind::Entity, staged, reason)?;
                        MergeOutcome::Skipped
                    }
                }
            }
            SyncMode::Override => match live {
                Some(number) => {
                    let pin = contents.pin_record(staged)?;
                    if context.pins(at, staged.id)? != pin {
                        self.jobs[at as usize].pins.push((staged.id, pin.clone()));
                    }
                    let stored = contents.stored(ObjectKind::Entity, number)?;
                    MergeOutcome::Merged(stored.with_pins(pin.as_deref())?)
                }
                None => {
                    let mut fault = contents.fault(ObjectKind::Entity, staged)?;
                    fault.message = format!(
                        "OVERRIDE pins properties of existing entities, and scope `{scope}` has \
                         no live entity with this key"
                    );
                    // The plan fails, whatever is counted.
                    self.faults.push(fault);
                    MergeOutcome::Skipped
                }
            },
        })
    }

    /// The stored contents with the patch laid over them. The inner error is the reason to skip it.
    fn patched(
        &self,
        at: u32,
        staged: &StagedObject,
        known: bool,
        live: Option<u32>,
    ) -> Result<Result<MergedContents, String>, SyncError> {
        let patch = self.context.contents().uploaded(ObjectKind::Entity, staged)?;
        let pin = self.context.pins(at, staged.id)?;
        let Some(number) = live else {
            if patch.key.is_empty() {
                return Ok(Err("no live entity of this scope has this `_id`".into()));
            }
            if patch.type_name.is_empty() || patch.class.is_empty() {
                let state = if known { "is deleted" } else { "does not exist" };
                return Ok(Err(format!(
                    "the entity {state}, and to create it `_type` and `_class` are needed"
                )));
            }
            return Ok(Ok(patch.with_pins(pin.as_deref())?));
        };
        let mut content = self.context.contents().stored(ObjectKind::Entity, number)?;
        if !patch.type_name.is_empty() {
            content.type_name = patch.type_name;
        }
        if !patch.class.is_empty() {
            content.class = patch.class;
        }
        if patch.raw_data.is_some() {
            content.raw_data = patch.raw_data;
        }
        content.overlay(patch.properties);
        Ok(Ok(content.with_pins(pin.as_deref())?))
    }
}
