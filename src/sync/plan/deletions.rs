//! Deletions: by name, with an end, and across scopes.

use super::change::ObjectChange;
use super::planner::{PlanningJob, SyncPlanner};
use crate::graph::{AdjacencyRead, EdgeDirection, IdHash, NameLookup, ObjectId, ObjectKind};
use crate::store::StoreError;
use crate::sync::SyncError;
use crate::sync::compare::ComparedUploads;
use crate::sync::stage::{JobInput, KnownObjects};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// All hashes.
const ALL: RangeInclusive<IdHash> = IdHash(0)..=IdHash(u64::MAX);

impl SyncPlanner<'_> {
    /// The objects that jobs name for deletion, as (position of the job, hash), with the
    /// relationships that go with them. An object that the job uploads as well stays.
    pub(super) fn named_deletions(
        &self,
        kind: ObjectKind,
    ) -> Result<FxHashSet<(u32, IdHash)>, SyncError> {
        let mut named = FxHashSet::default();
        for (job, at) in self.context.jobs.iter().zip(0..) {
            let JobInput { spec, deletes, .. } = job.input;
            let Some(scope) = job.scope else { continue };
            if !spec.mode.compares(kind) {
                continue;
            }
            let ids = deletes.iter().filter(|(of, _)| *of == kind);
            named.extend(ids.map(|(_, id)| (at, self.context.snapshot.hashed(*id))));
            let cascades = spec.mode.takes_relationships() || !deletes.is_empty();
            // Modes that delete go through the whole scope and find these by themselves.
            if kind == ObjectKind::Relationship && !spec.mode.deletes() && cascades {
                named.extend(self.cascade_of(scope)?.into_iter().map(|id| (at, id)));
            }
        }
        Ok(named)
    }

    /// The relationships of a scope that go with entities that this plan deletes.
    fn cascade_of(&self, scope: u32) -> Result<Vec<IdHash>, StoreError> {
        let mut ids = Vec::new();
        for &number in &self.cascade {
            let Some(head) = self.context.snapshot.head(ObjectKind::Relationship, number)? else {
                continue;
            };
            if head.scope == scope {
                let key = self.context.snapshot.relationship_key(&head)?;
                let id = ObjectId::new(
                    ObjectKind::Relationship,
                    self.context.snapshot.name(scope),
                    &key,
                );
                ids.push(self.context.snapshot.hashed(id));
            }
        }
        Ok(ids)
    }

    /// Adds the deletions by name, and counts deleted and unchanged objects.
    pub(super) fn finish_kind(
        &mut self,
        kind: ObjectKind,
        compared: &ComparedUploads,
        mut named: FxHashSet<(u32, IdHash)>,
    ) -> Result<(), SyncError> {
        // An object that is uploaded as well stays.
        named.retain(|named| !compared.kept.contains(named));
        for (job, at) in self.jobs.iter().zip(0..) {
            job.deletes[kind as usize].iter().for_each(|change| {
                named.remove(&(at, change.id));
            });
        }
        for (job, id) in named {
            let Some(scope) = self.context.jobs[job as usize].scope else { continue };
            if let Some(found) = self.context.snapshot.find_hash(kind, scope, id)?
                && found.live
            {
                // Otherwise it would be deleted a second time, as a relationship of a foreign
                // scope.
                if kind == ObjectKind::Relationship {
                    self.cascade.remove(&found.number);
                }
                self.delete(kind, ObjectChange::delete(job, found.number, id, found.digest));
            }
        }
        for job in 0..self.jobs.len() {
            if let Some(known) = &self.context.jobs[job].input.known
                && self.context.jobs[job].input.spec.mode.compares(kind)
            {
                self.count_seen(kind, job, known)?;
            }
            let PlanningJob { report, deletes, .. } = &mut self.jobs[job];
            let deletes = &mut deletes[kind as usize];
            report.of(kind).deleted = deletes.len() as u64;
            // By number first, which is the order of heads in the file; the plan keeps them by
            // hash.
            deletes.sort_unstable_by_key(|change| change.number);
            for change in &*deletes {
                if let Some(facts) = self.context.snapshot.facts(kind, change.number)? {
                    report.of_type(self.context.snapshot.name(facts.type_name)).deleted += 1;
                }
            }
            deletes.sort_unstable_by_key(|change| change.id);
        }
        Ok(())
    }

    /// Counts objects that were uploaded unchanged: all live ones less those that no line named.
    fn count_seen(
        &mut self,
        kind: ObjectKind,
        job: usize,
        known: &KnownObjects,
    ) -> Result<(), StoreError> {
        let row = self.context.snapshot.scope_row_of(&self.context.jobs[job].input.spec.scope)?;
        // Types are counted downwards from the stored counts, so only objects that are not there
        // cost a read.
        let mut types = row.count(kind).types.clone();
        let mut total = 0;
        for (identity, seen) in known.identities(kind, ALL).filter(|(identity, _)| identity.live) {
            if seen {
                total += 1;
            } else if let Some(facts) = self.context.snapshot.facts(kind, identity.number)?
                && let Some(count) = types.get_mut(&facts.type_name)
            {
                *count = count.saturating_sub(1);
            }
        }
        let report = &mut self.jobs[job].report;
        for (number, count) in types.into_iter().filter(|(_, count)| *count > 0) {
            let tally = report.of_type(self.context.snapshot.name(number));
            tally.uploaded += count;
            tally.unchanged += count;
        }
        let tally = report.of(kind);
        tally.uploaded += total;
        tally.unchanged += total;
        Ok(())
    }

    /// Finds the live relationships that touch a deleted entity, whoever owns them.
    pub(super) fn find_cascade(&mut self) -> Result<(), StoreError> {
        let mut numbers: Vec<u32> = self.deleted.iter().copied().collect();
        // Ascending numbers read adjacency in the order of the file.
        numbers.sort_unstable();
        for number in numbers {
            for direction in [EdgeDirection::Out, EdgeDirection::In] {
                self.context.snapshot.for_each_edge(number, direction, |edge| {
                    self.cascade.insert(edge.relationship);
                })?;
            }
        }
        Ok(())
    }

    /// The deletions left in the cascade after all jobs took theirs: relationships of other scopes,
    /// by name number of the scope.
    pub(super) fn foreign(&mut self) -> Result<BTreeMap<u32, Vec<ObjectChange>>, SyncError> {
        let mut foreign: BTreeMap<u32, Vec<ObjectChange>> = BTreeMap::new();
        let mut left: Vec<u32> = self.cascade.iter().copied().collect();
        left.sort_unstable();
        let mut culprits: FxHashMap<u32, u32> = FxHashMap::default();
        for change in
            self.jobs.iter().rev().flat_map(|job| &job.deletes[ObjectKind::Entity as usize])
        {
            culprits.insert(change.number, change.job);
        }
        for number in left {
            let Some(head) = self.context.snapshot.head(ObjectKind::Relationship, number)? else {
                continue;
            };
            let scope = self.context.snapshot.name(head.scope);
            let key = self.context.snapshot.relationship_key(&head)?;
            let id =
                self.context.snapshot.hashed(ObjectId::new(ObjectKind::Relationship, scope, &key));
            let found =
                self.context.snapshot.find_hash(ObjectKind::Relationship, head.scope, id)?;
            let found = found.ok_or_else(|| {
                let key = id.0.to_be_bytes();
                StoreError::corrupt("identity", &key, "a relationship has no identity")
            })?;
            // Two jobs may each delete an end; the report of the first one counts it.
            let ends = [head.from, head.to].into_iter();
            let culprit = ends.filter_map(|end| culprits.get(&end)).min().copied();
            let change = ObjectChange::delete(culprit.unwrap_or(0), number, id, found.digest);
            foreign.entry(head.scope).or_default().push(change);
            if let Some(culprit) = culprit {
                let counts = &mut self.jobs[culprit as usize].report.foreign_deletions;
                *counts.entry(scope.to_owned()).or_default() += 1;
            }
        }
        for changes in foreign.values_mut() {
            changes.sort_unstable_by_key(|change| change.id);
        }
        Ok(foreign)
    }
}
