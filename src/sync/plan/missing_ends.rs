//! Missing ends: the reason why a relationship is left out. Other scopes in which missing keys live
//! are found at the end, for all keys at once.

use super::planner::SyncPlanner;
use crate::graph::{GraphRead, NameLookup, ObjectId, ObjectKind};
use crate::store::StoreError;
use crate::store::staging::{StagedEnd, StagedRelationship};
use crate::sync::SyncError;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// A relationship with missing ends whose keys may live in other scopes.
pub(super) struct MissingEndReport {
    /// Position of the job, and of the relationship in the list of its report.
    listed: (u32, usize),
    /// The reason for each missing end, with its key and the scope in which the key was missed.
    ends: Vec<(String, Option<(String, String)>)>,
}

/// An end that was not found, with the number of its tombstone if there is one.
pub struct MissingEnd {
    name: &'static str,
    end: StagedEnd,
    tombstone: Option<u32>,
}

impl SyncPlanner<'_> {
    /// Looks up one end that was not found with all others.
    pub(super) fn resolve(
        &self,
        name: &'static str,
        staged: &StagedRelationship,
        end: StagedEnd,
    ) -> Result<Result<u32, MissingEnd>, StoreError> {
        if end.scope == 0 {
            // The lookup in all scopes found no live one.
            let tombstone = self.buried.borrow().get(&end.id).copied();
            return Ok(Err(MissingEnd { name, end, tombstone }));
        }
        let scope = &self.context.stage.names(staged.object.frame)[end.scope as usize];
        let found = match self.context.snapshot.name_number(scope) {
            Some(scope) => self.context.snapshot.find_hash(ObjectKind::Entity, scope, end.id)?,
            None => None,
        };
        Ok(match found {
            Some(found) if found.live && !self.deleted.contains(&found.number) => Ok(found.number),
            Some(found) => Err(MissingEnd { name, end, tombstone: Some(found.number) }),
            None => Err(MissingEnd { name, end, tombstone: None }),
        })
    }

    /// Says for each missing end if it was never seen or is deleted, and notes its key to look for
    /// it in other scopes.
    pub(super) fn missing_reason(
        &mut self,
        job: u32,
        staged: &StagedRelationship,
        missing: &[MissingEnd],
    ) -> Result<String, SyncError> {
        let keys = self.context.contents().with_record(
            ObjectKind::Relationship,
            &staged.object,
            |record, _| record.ends().map(Cow::into_owned),
        )?;
        let mut ends = Vec::new();
        for missing in missing {
            let key = &keys[usize::from(missing.name == "to")];
            let scope = &self.context.stage.names(staged.object.frame)[missing.end.scope as usize];
            // A NUL begins the text of an end that is given by its id alone.
            let id = key.strip_prefix('\0');
            let what = match (id, scope.as_str()) {
                (Some(id), "") => format!("entity with id {id}"),
                (Some(id), scope) => format!("entity with id {id} in scope `{scope}`"),
                (None, scope) => format!("entity `{key}` in scope `{scope}`"),
            };
            let state = self.missing_state(missing)?;
            let elsewhere = Some((key.clone(), scope.clone()));
            ends.push((format!("`{}` {what} {state}", missing.name), elsewhere));
        }
        let reason = joined(ends.iter().map(|(reason, _)| reason.clone()));
        let listed = (job, self.jobs[job as usize].report.skipped.len());
        self.missed.push(MissingEndReport { listed, ends });
        Ok(reason)
    }

    /// Adds the other scopes in which missing keys live to the reasons of missing ends.
    pub(super) fn add_other_scopes(&mut self) -> Result<(), StoreError> {
        let missed = std::mem::take(&mut self.missed);
        let keys =
            missed.iter().flat_map(|missed| &missed.ends).filter_map(|(_, key)| key.as_ref());
        let (ids, keys): (Vec<&str>, Vec<&str>) =
            keys.map(|(key, _)| key.as_str()).partition(|key| key.starts_with('\0'));
        let homes = self.context.snapshot.entities_with_keys(keys)?;
        let entity =
            |id: &str| Some((ObjectKind::Entity, ObjectId::parse(id.strip_prefix('\0')?)?));
        let ids: Vec<_> = ids.into_iter().filter_map(entity).collect();
        let owners = match ids.is_empty() {
            true => FxHashMap::default(),
            false => self.context.snapshot.scopes_of(&ids)?,
        };
        for MissingEndReport { listed: (job, at), ends } in &missed {
            let mut reasons = Vec::with_capacity(ends.len());
            for (reason, key) in ends {
                let mut scopes = Vec::new();
                if let Some((key, not)) = key {
                    let owner = entity(key).and_then(|id| owners.get(&id));
                    if let Some(scope) = owner.filter(|scope| *scope != not) {
                        reasons.push(format!("{reason}; this id lives in scope `{scope}`"));
                        continue;
                    }
                    for &number in homes.get(key).into_iter().flatten() {
                        if let Some(facts) =
                            self.context.snapshot.facts(ObjectKind::Entity, number)?
                            && self.context.snapshot.name(facts.scope) != not
                        {
                            scopes.push(format!("`{}`", self.context.snapshot.name(facts.scope)));
                        }
                    }
                }
                reasons.push(match scopes.is_empty() {
                    true => reason.clone(),
                    false => {
                        format!("{reason}; the same key lives in scope {}", scopes.join(", "))
                    }
                });
            }
            let skipped = &mut self.jobs[*job as usize].report.skipped;
            skipped[*at].reason = joined(reasons.into_iter());
        }
        Ok(())
    }

    fn missing_state(&self, missing: &MissingEnd) -> Result<String, StoreError> {
        let Some(number) = missing.tombstone else { return Ok("was never seen".into()) };
        if self.deleted.contains(&number) {
            return Ok("is soft-deleted by this job".into());
        }
        let entity = self.context.snapshot.entity(number)?;
        let Some(metadata) = entity.map(|entity| entity.metadata) else {
            return Ok("was never seen".into());
        };
        let when = jiff::Timestamp::from_millisecond(metadata.end_on.unwrap_or_default())
            .map_or_else(|_| "an unknown time".into(), |t| format!("{t:.0}"));
        Ok(format!("was soft-deleted at {when} by job {}", metadata.job_id))
    }
}

/// One sentence from the reasons of both ends.
fn joined(reasons: impl Iterator<Item = String>) -> String {
    reasons.collect::<Vec<_>>().join(" and ")
}
