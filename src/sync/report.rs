//! Job reports: what a job did, or would do, in numbers and words.

use super::guard::{GuardError, TAKEN_ALONG};
use super::mode::SyncMode;
use crate::graph::ObjectKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The status of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Open: takes uploads.
    AwaitingUploads,
    /// Refused by the delete guard; waits for `approve` or `abort`. Nothing has changed.
    Held,
    /// Applied.
    Finished,
    /// Given up; nothing has changed.
    Aborted,
    /// Refused by a guard of its mapping. Nothing has changed, and nothing waits.
    Refused,
}

/// The objects of one kind (or type), counted by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobTally {
    /// Objects in the upload.
    pub uploaded: u64,
    /// Created, tombstones that came back included.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// Soft-deleted.
    pub deleted: u64,
    /// Uploaded and the same as stored.
    pub unchanged: u64,
    /// Uploaded and left out, with a reason.
    pub skipped: u64,
}

impl JobTally {
    /// Adds the counts of another.
    pub fn add(&mut self, other: &JobTally) {
        self.uploaded += other.uploaded;
        self.created += other.created;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
    }

    /// True if nothing would change.
    pub fn is_quiet(&self) -> bool {
        self.created + self.updated + self.deleted == 0
    }
}

/// An uploaded object that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SkippedObject {
    /// Its `_key`.
    pub key: String,
    /// Place in the input, `file:line`.
    pub place: Option<String>,
    /// The reason, as a sentence without a full stop.
    pub reason: String,
}

impl SkippedObject {
    /// An object without a place in an input.
    pub fn new(key: &str, reason: String) -> SkippedObject {
        SkippedObject { key: key.to_owned(), place: None, reason }
    }

    /// The same as a caller may read it. The reason for a missing end says what other scopes hold
    /// or held, so a caller without the right to read learns only that the end is missing.
    pub fn told_to(mut self, reads: bool) -> SkippedObject {
        if !reads && ["`from` ", "`to` "].iter().any(|end| self.reason.starts_with(end)) {
            self.reason = "an end of the relationship is not there; why is told with the right \
                           `read`"
                .into();
        }
        self
    }
}

/// The reasons why a job is held, and the objects that it would delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HoldReport {
    /// The objections of the guard, one sentence each.
    pub reasons: Vec<String>,
    /// The first 50 keys that would be deleted.
    pub deletes: Vec<String>,
    /// The commands with which to go on.
    pub override_hint: String,
}

/// The mapping file that a job was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingInfo {
    /// The file, as it was given.
    pub file: String,
    /// Digest of the text of the file.
    #[serde(default)]
    pub digest: String,
    /// The files of rows that were read, each with the digest of its bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<(String, String)>,
    /// Guards that were set for this run, as `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// The reason for setting them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The report of a job: the things that it did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct JobReport {
    /// Id of the job.
    pub id: Uuid,
    /// `source`, e.g. `api`.
    pub source: String,
    /// `syncMode`.
    pub sync_mode: SyncMode,
    /// The scope that the job writes.
    pub scope: String,
    /// Status of the job.
    pub status: JobStatus,
    /// True if nothing was done and this is only what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// Start of the job, epoch milliseconds.
    pub start_timestamp: i64,
    /// End of the job, epoch milliseconds.
    pub end_timestamp: Option<i64>,
    /// Entities.
    pub entities: JobTally,
    /// Relationships.
    pub relationships: JobTally,
    /// Both, by `_type`.
    pub types: BTreeMap<String, JobTally>,
    /// The objects that were left out, the first [`SKIPPED_LISTED`] of them.
    pub skipped: Vec<SkippedObject>,
    /// Number of the objects that were left out.
    pub skipped_total: u64,
    /// Number of those that are not listed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub skipped_left_out: u64,
    /// Relationships of other scopes that were deleted with their entities, by scope.
    pub foreign_deletions: BTreeMap<String, u64>,
    /// Set while the job is held.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<HoldReport>,
    /// The objections of the guards of its mapping.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub refusals: Vec<GuardError>,
    /// Set for jobs made from a mapping file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mapping: Option<MappingInfo>,
    /// True if each row named its scope.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub any_scope: bool,
    /// True if it was aborted because the collector is set up wrongly, as integrations may say.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub invalid_configuration: bool,
    /// Counts of its mapped relationships, which are in a scope of their own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mapped_relationships: Option<JobTally>,
    /// Fingerprint of the change set; `approve` applies exactly this one.
    #[serde(default)]
    pub plan_hash: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Left-out objects that a report lists by name; the rest is counted.
pub const SKIPPED_LISTED: usize = 10_000;

/// Stands for all scopes whose names the reader of a report may not know.
pub const OTHER_SCOPES: &str = "(other scopes)";

/// The beginning of the reason for holding a job that breaks no limit itself.
pub(super) const HELD_WITH: &str = "held together with";

impl JobReport {
    /// The same as a caller may read it. A caller who `reads` gets all of it. Any other caller
    /// learns only about the scopes for which `writes` is true, and only counts of the others.
    pub fn told_to(mut self, reads: bool, writes: impl Fn(&str) -> bool) -> JobReport {
        if reads {
            return self;
        }
        let mut others = 0;
        self.foreign_deletions.retain(|scope, count| {
            let ours = writes(scope);
            others += if ours { 0 } else { *count };
            ours
        });
        if others > 0 {
            self.foreign_deletions.insert(OTHER_SCOPES.to_owned(), others);
        }
        self.skipped = self.skipped.into_iter().map(|one| one.told_to(false)).collect();
        // These counts tell how many entities were found by facts about them.
        self.mapped_relationships = None;
        if let Some(held) = &mut self.held {
            for reason in &mut held.reasons {
                if reason.starts_with(HELD_WITH) {
                    *reason = format!("{HELD_WITH} another scope, uploaded with it");
                } else if reason.starts_with(TAKEN_ALONG) {
                    *reason = format!(
                        "{TAKEN_ALONG} more relationships of another scope than its guard lets pass"
                    );
                }
            }
        }
        self
    }

    /// The counts of a kind.
    pub fn of(&mut self, kind: ObjectKind) -> &mut JobTally {
        match kind {
            ObjectKind::Entity => &mut self.entities,
            ObjectKind::Relationship => &mut self.relationships,
        }
    }

    /// The counts of a type.
    pub fn of_type(&mut self, name: &str) -> &mut JobTally {
        // Nearly always it is there, and then its name need not be made.
        if !self.types.contains_key(name) {
            self.types.insert(name.to_owned(), JobTally::default());
        }
        self.types.get_mut(name).expect("BUG: it is there")
    }

    /// The objects that the job created, updated and deleted. A job that is open or held, or was
    /// aborted or refused, did none of it.
    pub fn done(&self) -> [u64; 3] {
        if self.dry_run || self.status != JobStatus::Finished {
            return [0; 3];
        }
        let (e, r) = (self.entities, self.relationships);
        [e.created + r.created, e.updated + r.updated, e.deleted + r.deleted]
    }

    /// Forgets what the job would have changed, since it will not.
    pub fn give_up(&mut self) {
        let tallies = self.types.values_mut();
        for tally in tallies.chain([&mut self.entities, &mut self.relationships]) {
            *tally = JobTally { uploaded: tally.uploaded, ..JobTally::default() };
        }
        self.types.retain(|_, tally| *tally != JobTally::default());
        self.foreign_deletions.clear();
        self.mapped_relationships = None;
        self.held = None;
    }

    /// True if the job changes nothing.
    pub fn is_quiet(&self) -> bool {
        self.entities.is_quiet()
            && self.relationships.is_quiet()
            && self.foreign_deletions.is_empty()
    }
}
