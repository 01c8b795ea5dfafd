//! Jobs of mapping files: planned as values that can be looked at, applied exactly or not at all.

use super::attempt::{ApplyAttempt, StagedJob};
use super::jobs::{check_scope, reports};
use super::{Database, Error, now};
use crate::graph::{
    DraftEnd, DraftRelationship, GraphRead, IdHash, NameLookup, ObjectId, ObjectKind,
    RelationshipOrigin, Value,
};
use crate::mapping::{Mapping, ResolvedMapping};
use crate::store::{Snapshot, StoreError};
use crate::sync::{
    BatchBuilder, BatchRules, ChangeAction, InputNames, JobInput, JobReport, JobSpec, JobStatus,
    MappingInfo, RelationshipLimits, StagedUploads, SyncError, SyncMode, plan,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A mapping that is to run as a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingJob {
    /// The scope that owns its relationships.
    pub scope: String,
    /// The record of the mapping file that the job keeps.
    pub mapping: MappingInfo,
    /// The names of the inputs, as places in the drafts count them.
    pub inputs: Vec<String>,
    /// Refuse relationships whose ends lie in one scope.
    pub same_scope_reject: bool,
    /// The limits on its changes.
    pub limits: RelationshipLimits,
}

/// Guards that are set for one run.
#[derive(Clone, Debug, Default)]
pub struct GuardOverrides {
    /// Guards by name, each with its value.
    pub settings: Vec<(String, String)>,
    /// The reason, which is recorded with the job.
    pub reason: Option<String>,
}

impl MappingJob {
    /// The job of a mapping whose rows were resolved. `overrides` are recorded with it; its guards
    /// are those that `mapping` has by now.
    pub fn of(
        mapping: &Mapping,
        resolved: &ResolvedMapping,
        overrides: &GuardOverrides,
    ) -> MappingJob {
        let guard = &mapping.guard;
        let settings = overrides.settings.iter();
        MappingJob {
            scope: mapping.scope.clone(),
            mapping: MappingInfo {
                file: mapping.file.display().to_string(),
                digest: mapping.digest.clone(),
                sources: resolved.digests.clone(),
                overrides: settings.map(|(name, value)| format!("{name}={value}")).collect(),
                reason: overrides.reason.clone(),
            },
            inputs: resolved.inputs.clone(),
            same_scope_reject: !mapping.same_scope,
            limits: RelationshipLimits {
                min_edges: guard.min_edges,
                max_delete_percent: guard.max_delete_percent,
                max_delete: guard.max_delete,
                max_create: guard.max_create,
            },
        }
    }
}

/// The changes that the job of a mapping would make.
#[derive(Debug)]
pub struct MappingPlan {
    /// The report, with what the guards object to.
    pub report: JobReport,
    /// The revision of the database it was made at.
    pub revision: u64,
    /// Fingerprint of the changes.
    pub hash: String,
    /// The changes, by ascending id of the relationship.
    pub changes: Vec<RelationshipChange>,
}

/// Relationships of other scopes that say the same as those of a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SameEdges {
    /// The number of drafts that another scope has too.
    pub count: u64,
    /// The first of them by position, and a scope that has it.
    pub first: Option<(u32, String)>,
}

/// The kind of change of a relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RelationshipAction {
    /// It is new, or comes back from soft deletion.
    Create,
    /// Its type, class, ends or properties change.
    Update,
    /// It is soft-deleted.
    Delete,
}

/// A change of one relationship.
#[derive(Clone, Copy, Debug)]
pub struct RelationshipChange {
    /// The kind of change.
    pub action: RelationshipAction,
    /// Number of the relationship. A new one has 0: it gets its number when it is stored.
    pub number: u32,
    /// Numbers of its ends afterwards; of no meaning for a deletion.
    pub ends: (u32, u32),
    /// The index of the draft that asks for it; `None` for a deletion.
    pub draft: Option<u32>,
}

/// A change of one relationship with its names and contents.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RelationshipDetails {
    /// The kind of change.
    pub action: RelationshipAction,
    /// `_key`.
    pub key: String,
    /// `_class`.
    pub class: String,
    /// `_type`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// `_key` of the entity it starts at.
    pub from: String,
    /// `displayName` of that entity.
    pub from_name: Option<String>,
    /// `_key` of the entity it ends at.
    pub to: String,
    /// `displayName` of that entity.
    pub to_name: Option<String>,
    /// Properties that differ: name, value before, value after.
    pub properties: Vec<(String, Option<Value<'static>>, Option<Value<'static>>)>,
    /// The row that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<RelationshipOrigin>,
}

/// A scope whose relationships a mapping made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingFileScope {
    /// The scope.
    pub scope: String,
    /// The mapping file of its last job.
    pub file: String,
    /// Its live relationships.
    pub relationships: u64,
}

impl RelationshipChange {
    /// Names and contents of the change.
    pub fn details(
        &self,
        snapshot: &Snapshot,
        drafts: &[DraftRelationship<'_>],
    ) -> Result<RelationshipDetails, Error> {
        let before = match self.action {
            RelationshipAction::Create => None,
            _ => snapshot.relationship(self.number)?,
        };
        let draft = self.draft.map(|draft| &drafts[draft as usize]);
        let old = before.as_ref().map_or(&[][..], |before| &before.properties);
        let new = draft.map_or(&[][..], |draft| &draft.properties);
        let mut names: Vec<&str> = old.iter().map(|(name, _)| name.as_str()).collect();
        names.extend(new.iter().map(|(name, _)| name.as_ref()));
        names.sort_unstable();
        names.dedup();
        let properties = names.into_iter().filter_map(|name| {
            let old = old.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let new = new.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone().into_owned());
            (old != new).then(|| (name.to_owned(), old, new))
        });
        let properties = properties.collect();
        let text = |text: &str| text.to_owned();
        let called = |end: &DraftEnd<'_>| -> Result<Option<String>, Error> {
            let (Some(scope), Some(key)) = (&end.scope, &end.key) else { return Ok(None) };
            let Some(number) = snapshot.entity_keyed(scope, key)? else { return Ok(None) };
            Ok(snapshot.entity_head(number)?.and_then(|head| head.display_name))
        };
        Ok(match (draft, before) {
            (Some(draft), _) => RelationshipDetails {
                action: self.action,
                key: text(&draft.key),
                class: text(&draft.class),
                type_name: text(&draft.type_name),
                from: text(draft.from.key.as_deref().unwrap_or_default()),
                from_name: called(&draft.from)?,
                to_name: called(&draft.to)?,
                to: text(draft.to.key.as_deref().unwrap_or_default()),
                properties,
                origin: draft.origin.clone(),
            },
            (None, Some(before)) => RelationshipDetails {
                action: self.action,
                key: before.key,
                class: before.class,
                type_name: before.type_name,
                from: before.from.key,
                from_name: before.from.display_name,
                to: before.to.key,
                to_name: before.to.display_name,
                // A deletion takes all properties, so none of them is told apart.
                properties: Vec::new(),
                origin: before.origin,
            },
            (None, None) => {
                let key = self.number.to_be_bytes();
                return Err(StoreError::corrupt("heads", &key, "a relationship is missing").into());
            }
        })
    }
}

impl Database {
    /// The changes that the job of a mapping would make, as of `snapshot`.
    #[doc(hidden)]
    pub fn plan_mapping(
        &self,
        snapshot: &Snapshot,
        job: &MappingJob,
        drafts: &[DraftRelationship<'_>],
    ) -> Result<MappingPlan, Error> {
        let staged = self.stage_mapping(snapshot, job, drafts)?;
        let plan = plan(snapshot, &staged.uploads, &staged.inputs, true)?;
        // A change carries only the hash of its id, so the drafts are found by that.
        let by_id: FxHashMap<IdHash, u32> = drafts
            .iter()
            .map(|draft| ObjectId::new(ObjectKind::Relationship, &job.scope, &draft.key))
            .map(|id| snapshot.hashed(id))
            .zip(0..)
            .collect();
        let change = |change: &crate::sync::ObjectChange| RelationshipChange {
            action: match change.action {
                ChangeAction::Create | ChangeAction::Revive => RelationshipAction::Create,
                ChangeAction::Update => RelationshipAction::Update,
                ChangeAction::Delete => RelationshipAction::Delete,
            },
            number: change.number,
            ends: change.ends,
            draft: match change.action {
                ChangeAction::Delete => None,
                _ => by_id.get(&change.id).copied(),
            },
        };
        let changes = plan.changes_of(0, ObjectKind::Relationship)?.iter().map(change).collect();
        let report = reports(&plan, |report| report.dry_run = true).remove(0);
        Ok(MappingPlan { report, revision: plan.revision, hash: plan.hash, changes })
    }

    /// The relationships of other scopes that say the same as drafts of a job: same ends, same class.
    ///
    /// Each draft takes a look at its start, and all live relationships are passed over once.
    #[doc(hidden)]
    pub fn same_edges_elsewhere(
        &self,
        snapshot: &Snapshot,
        job: &MappingJob,
        drafts: &[DraftRelationship<'_>],
    ) -> Result<SameEdges, Error> {
        let mut found = SameEdges::default();
        let ours = snapshot.name_number(&job.scope);
        // Most scopes have relationships of classes that no draft has, and need no look at all.
        let mut verbs: FxHashMap<&str, Vec<u32>> = FxHashMap::default();
        for (scope, row) in snapshot.scope_rows()? {
            if Some(scope) == ours {
                continue;
            }
            for (&verb, &count) in &row.count(ObjectKind::Relationship).classes {
                let of_verb = verbs.entry(snapshot.name(verb)).or_default();
                if count > 0 && !of_verb.contains(&verb) {
                    of_verb.push(verb);
                }
            }
        }
        let mut numbers: FxHashMap<(&str, &str), Option<u32>> = FxHashMap::default();
        let mut asked: FxHashMap<(u32, u32, u32), u32> = FxHashMap::default();
        for (draft, at) in drafts.iter().zip(0..) {
            let Some(same) = verbs.get(&*draft.class) else { continue };
            let mut ends = [None; 2];
            for (end, number) in [&draft.from, &draft.to].into_iter().zip(&mut ends) {
                let (Some(scope), Some(key)) = (end.scope.as_deref(), end.key.as_deref()) else {
                    continue;
                };
                *number = match numbers.get(&(scope, key)) {
                    Some(known) => *known,
                    None => {
                        let found = snapshot.entity_keyed(scope, key)?;
                        numbers.insert((scope, key), found);
                        found
                    }
                };
            }
            if let [Some(from), Some(to)] = ends {
                asked.extend(same.iter().map(|verb| ((from, to, *verb), at)));
            }
        }
        if asked.is_empty() {
            return Ok(found);
        }
        let mut seen: FxHashSet<u32> = FxHashSet::default();
        let mut first: Option<(u32, u32)> = None;
        snapshot.for_each_live(ObjectKind::Relationship, |_, chunk, row| {
            let (from, to) = chunk.ends(row);
            let Some(&draft) = asked.get(&(from, to, chunk.class(row))) else { return };
            let scope = chunk.scope(row);
            if Some(scope) != ours && seen.insert(draft) {
                first = Some(first.map_or((draft, scope), |known| known.min((draft, scope))));
            }
        })?;
        found.count = seen.len() as u64;
        found.first = first.map(|(draft, scope)| (draft, snapshot.name(scope).to_owned()));
        Ok(found)
    }

    /// Runs the job of a mapping at exactly the revision that its drafts were made for.
    ///
    /// `hash` asks for exactly the changes of a plan made before. The report may come back
    /// REFUSED: then a guard of the mapping objects and nothing has changed.
    ///
    /// # Errors
    ///
    /// [`Error::Moved`] if the database is at another revision, or gives other changes.
    #[doc(hidden)]
    pub fn apply_mapping(
        &self,
        job: &MappingJob,
        drafts: &[DraftRelationship<'_>],
        revision: u64,
        hash: Option<&str>,
    ) -> Result<JobReport, Error> {
        ApplyAttempt::first(self).apply_mapping(job, drafts, revision, hash)
    }

    pub(super) fn stage_mapping(
        &self,
        snapshot: &Snapshot,
        job: &MappingJob,
        drafts: &[DraftRelationship<'_>],
    ) -> Result<StagedJob, Error> {
        check_scope(&job.scope)?;
        let rules = BatchRules {
            mode: SyncMode::CrossScope,
            scope: Some(job.scope.clone()),
            same_scope_reject: job.same_scope_reject,
            digest_seed: snapshot.meta().digest_seed,
            known: None,
        };
        let inputs = InputNames(job.inputs.clone());
        let spec = JobSpec {
            one_upload: true,
            edge_limits: Some(job.limits.clone()),
            mapping: Some(job.mapping.clone()),
            ..JobSpec::new("api", SyncMode::CrossScope, &job.scope, now())
        };
        let mut uploads = StagedUploads::new(&self.folder_of_file());
        uploads.add(JobInput::new(spec.clone()));
        let mut builder = BatchBuilder::new(&rules);
        let mut faults = Vec::new();
        for draft in drafts {
            faults.extend(builder.push_relationship(draft, None).err());
            if let Some(full) = builder.take_full() {
                uploads.append(full, |_| JobInput::new(spec.clone()))?;
            }
        }
        if !faults.is_empty() {
            return Err(SyncError::faults(&inputs, faults).into());
        }
        uploads.append(builder.finish(), |_| JobInput::new(spec.clone()))?;
        Ok(StagedJob { uploads, inputs })
    }

    /// The time of the last finalize of a scope, in epoch milliseconds; jobs that changed nothing
    /// count.
    #[doc(hidden)]
    pub fn last_finalize(&self, scope: &str) -> Result<Option<i64>, Error> {
        let finished = |job: &JobReport| job.status == JobStatus::Finished && job.scope == scope;
        let jobs = self.jobs()?.into_iter().filter(finished);
        Ok(jobs.filter_map(|job| job.end_timestamp).max())
    }

    /// The scopes whose live relationships were made by mappings, in byte order.
    #[doc(hidden)]
    pub fn mapped_scopes(&self, snapshot: &Snapshot) -> Result<Vec<MappingFileScope>, Error> {
        let mut found: BTreeMap<String, MappingFileScope> = BTreeMap::new();
        // Newest first, so the first mapping of a scope is the one that made what is there.
        for job in self.jobs()? {
            let (Some(mapping), JobStatus::Finished) = (&job.mapping, job.status) else { continue };
            // Jobs of source files keep the record of their file too, and they make no mapped edges.
            if job.sync_mode != SyncMode::CrossScope {
                continue;
            }
            let row = snapshot.scope_row_of(&job.scope)?;
            let relationships = row.count(ObjectKind::Relationship).live;
            let (scope, file) = (job.scope.clone(), mapping.file.clone());
            found.entry(scope.clone()).or_insert(MappingFileScope { scope, file, relationships });
        }
        Ok(found.into_values().filter(|scope| scope.relationships > 0).collect())
    }

    /// Soft-deletes all live relationships of a scope whose edges a mapping made, as one job that
    /// `undo` can take back.
    ///
    /// # Errors
    ///
    /// A usage error if no mapping made edges of this scope.
    #[doc(hidden)]
    pub fn delete_edges_of(&self, scope: &str, reason: &str) -> Result<JobReport, Error> {
        self.plan_until_applied(|attempt| {
            let snapshot = attempt.snapshot()?;
            let job = self.deletion_of_edges(&snapshot, scope, reason)?;
            let revision = snapshot.meta().revision;
            drop(snapshot);
            attempt.apply_mapping(&job, &[], revision, None)
        })
    }

    fn deletion_of_edges(
        &self,
        snapshot: &Snapshot,
        scope: &str,
        reason: &str,
    ) -> Result<MappingJob, Error> {
        let known = self.mapped_scopes(snapshot)?;
        let Some(mapped) = known.iter().find(|known| known.scope == scope) else {
            let names: Vec<&str> = known.iter().map(|known| known.scope.as_str()).collect();
            let hint = match names.is_empty() {
                true => "no scope has edges that a mapping made".to_owned(),
                false => format!("scopes of mappings: {}", names.join(", ")),
            };
            return Err(Error::usage(
                format!("scope `{scope}` has no edges that a mapping made"),
                hint,
            ));
        };
        Ok(MappingJob {
            scope: scope.to_owned(),
            mapping: MappingInfo {
                file: mapped.file.clone(),
                reason: Some(reason.to_owned()),
                ..MappingInfo::default()
            },
            // All of them may go, since nothing else was asked for.
            limits: RelationshipLimits {
                max_delete_percent: 100.0,
                ..RelationshipLimits::default()
            },
            ..MappingJob::default()
        })
    }
}
