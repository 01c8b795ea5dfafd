//! The delete guard: a pure function that decides if a change set deletes more than it may.
//!
//! Its limits are stored with the scope, never in the upload, so that a broken collection cannot
//! lift its own protection.

use crate::graph::ObjectKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Deletions up to this number are never questioned.
pub const MIN_DELETES: u64 = 20;
/// Share of the live objects of a kind, in percent, that one job may delete.
pub const MAX_DELETE_PERCENT: u32 = 25;
/// A type with this many live objects may not vanish.
pub const TYPE_MIN: u64 = 10;

/// The deletions of one kind that a job plans, beside the live objects.
#[derive(Clone, Debug, Default)]
pub struct DeletionCounts {
    /// Live objects of the scope before.
    pub live: u64,
    /// Deletions planned.
    pub deleted: u64,
    /// For each type with deletions: live before, and live after.
    pub types: BTreeMap<String, (u64, u64)>,
}

/// The limits in force.
#[derive(Clone, Copy, Debug)]
pub struct DeleteLimits {
    /// See [`MIN_DELETES`].
    pub min_deletes: u64,
    /// See [`MAX_DELETE_PERCENT`].
    pub max_delete_percent: u32,
    /// `--allow-deletes`: the caller allows up to so many deletions in all.
    pub allow_deletes: Option<u64>,
}

impl DeleteLimits {
    /// The number of `live` objects of a kind that may go.
    fn share_of(&self, live: u64) -> u64 {
        self.min_deletes.max(live * u64::from(self.max_delete_percent) / 100)
    }
}

/// The objections of the guard, a sentence each; empty if the job may run.
pub fn guard_reasons(
    scope: &str,
    uploaded: u64,
    kinds: &[(ObjectKind, DeletionCounts)],
    limits: DeleteLimits,
) -> Vec<String> {
    let total: u64 = kinds.iter().map(|(_, d)| d.deleted).sum();
    if total == 0 || limits.allow_deletes.is_some_and(|allowed| total <= allowed) {
        return Vec::new();
    }
    // An empty upload may come from a broken collection, so even one deletion is questioned.
    if uploaded == 0 {
        return vec![format!(
            "the upload is empty, and scope `{scope}` holds {total} live objects that it would \
             delete"
        )];
    }
    let mut reasons = Vec::new();
    for (kind, d) in kinds {
        let allowed = limits.share_of(d.live);
        if d.deleted > allowed {
            let percent = d.deleted * 100 / d.live.max(1);
            reasons.push(format!(
                "{} of {} {} of scope `{scope}` ({percent} %) would be deleted; the limit is \
                 {allowed}, the larger of {} and {} %",
                d.deleted,
                d.live,
                kind.plural(),
                limits.min_deletes,
                limits.max_delete_percent
            ));
        }
        for (name, (before, after)) in &d.types {
            if *before >= TYPE_MIN && *after == 0 {
                reasons.push(format!(
                    "all {before} {} of type `{name}` in scope `{scope}` would be deleted",
                    kind.plural()
                ));
            }
        }
    }
    reasons
}

/// The beginning of a reason that speaks of the relationships of another scope.
pub(super) const TAKEN_ALONG: &str = "the deleted entities take along";

/// Relationships of another scope that go with the entities that a job deletes.
#[derive(Clone, Copy, Debug)]
pub struct ForeignDeletions<'s> {
    /// The scope.
    pub scope: &'s str,
    /// Its live relationships before.
    pub live: u64,
    /// Those of them that would go.
    pub deleted: u64,
    /// The limits of that scope.
    pub limits: DeleteLimits,
}

/// The objection of the guard of another scope, whose relationships would go with deleted entities.
/// Nobody uploads to that scope, so nothing else would ask.
pub fn foreign_reason(foreign: &ForeignDeletions<'_>) -> Option<String> {
    let ForeignDeletions { scope, live, deleted, limits } = *foreign;
    let allowed = limits.share_of(live);
    (deleted > allowed).then(|| {
        let percent = deleted * 100 / live.max(1);
        format!(
            "{TAKEN_ALONG} {deleted} of {live} relationships of scope `{scope}` ({percent} %); the \
             limit there is {allowed}, the larger of {} and {} %",
            limits.min_deletes, limits.max_delete_percent
        )
    })
}

/// The changes that a mapping allows its job. Unlike the limits of a scope, these are in the
/// mapping file, which people review. A job that breaks one is refused, not held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RelationshipLimits {
    /// So many edges must exist afterwards.
    pub min_edges: u64,
    /// Share of the live edges, in percent, that may go; asked once there are [`MIN_EDGES`].
    pub max_delete_percent: f64,
    /// So many edges may go.
    pub max_delete: Option<u64>,
    /// So many edges may come.
    pub max_create: Option<u64>,
}

/// A job with fewer live edges than this may delete any share of them.
pub const MIN_EDGES: u64 = 20;

impl Default for RelationshipLimits {
    fn default() -> RelationshipLimits {
        RelationshipLimits {
            min_edges: 0,
            max_delete_percent: f64::from(MAX_DELETE_PERCENT),
            max_delete: None,
            max_create: None,
        }
    }
}

/// A limit of a mapping that a job would break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardError {
    /// The guard, as the mapping file calls it.
    pub guard: String,
    /// The change that would happen, and the limit.
    pub message: String,
    /// A value of the guard that lets this job pass.
    pub allow: String,
}

/// The limits of a mapping or a source that a job would break; empty if the job may run. `live` counts
/// the objects before the job, and `noun` is the word for them.
pub fn mapping_guard_errors(
    noun: &str,
    live: u64,
    created: u64,
    deleted: u64,
    limits: &RelationshipLimits,
) -> Vec<GuardError> {
    let mut refusals = Vec::new();
    let mut refuse = |guard: &str, message: String, allow: u64| {
        let message = format!("refused: {message}");
        refusals.push(GuardError { guard: guard.to_owned(), message, allow: allow.to_string() });
    };
    let percent = deleted as f64 * 100.0 / live.max(1) as f64;
    if live >= MIN_EDGES && percent > limits.max_delete_percent {
        let limit = limits.max_delete_percent;
        let message = format!(
            "{deleted} of {live} {noun} ({percent:.0} %) would be deleted; the limit is {limit} %"
        );
        // Rounded up, so that the job passes with the value that is named.
        refuse("max_delete_percent", message, percent.ceil() as u64);
    }
    if let Some(limit) = limits.max_delete.filter(|limit| deleted > *limit) {
        refuse(
            "max_delete",
            format!("{deleted} {noun} would be deleted; the limit is {limit}"),
            deleted,
        );
    }
    if let Some(limit) = limits.max_create.filter(|limit| created > *limit) {
        refuse(
            "max_create",
            format!("{created} {noun} would be created; the limit is {limit}"),
            created,
        );
    }
    let after = live.saturating_sub(deleted) + created;
    if after < limits.min_edges {
        let limit = limits.min_edges;
        refuse("min_edges", format!("{after} {noun} would be left; the limit is {limit}"), after);
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DeleteLimits = DeleteLimits {
        min_deletes: MIN_DELETES,
        max_delete_percent: MAX_DELETE_PERCENT,
        allow_deletes: None,
    };

    fn check(uploaded: u64, live: u64, deleted: u64, types: &[(&str, u64, u64)]) -> usize {
        let types = types.iter().map(|(t, b, a)| ((*t).to_owned(), (*b, *a))).collect();
        let kinds = [(ObjectKind::Entity, DeletionCounts { live, deleted, types })];
        guard_reasons("okta", uploaded, &kinds, LIMITS).len()
    }

    #[test]
    fn few_deletions_are_never_questioned() {
        assert_eq!(check(1, 21, 20, &[]), 0);
    }

    #[test]
    fn more_than_twenty_and_a_quarter_are_refused() {
        assert_eq!(check(1, 30, 21, &[]), 1);
        assert_eq!(check(1, 100, 25, &[]), 0);
        assert_eq!(check(1, 100, 26, &[]), 1);
    }

    #[test]
    fn a_type_of_ten_may_not_vanish() {
        assert_eq!(check(1, 100, 10, &[("okta_user", 10, 0)]), 1);
        assert_eq!(check(1, 100, 9, &[("okta_user", 9, 0)]), 0);
        assert_eq!(check(1, 100, 9, &[("okta_user", 10, 1)]), 0);
    }

    #[test]
    fn an_empty_upload_never_deletes() {
        assert_eq!(check(0, 1, 1, &[]), 1);
        assert_eq!(check(0, 0, 0, &[]), 0);
    }

    #[test]
    fn a_mapping_may_not_lose_a_quarter_of_twenty_edges() {
        let guards = |live, created, deleted, limits: &RelationshipLimits| -> Vec<String> {
            mapping_guard_errors("edges", live, created, deleted, limits)
                .into_iter()
                .map(|r| r.guard)
                .collect()
        };
        let usual = RelationshipLimits::default();
        assert_eq!(guards(19, 0, 19, &usual), [""; 0]);
        assert_eq!(guards(20, 0, 5, &usual), [""; 0]);
        assert_eq!(guards(20, 20, 6, &usual), ["max_delete_percent"]);
        let strict = RelationshipLimits {
            min_edges: 10,
            max_delete_percent: 100.0,
            max_delete: Some(3),
            max_create: Some(0),
        };
        assert_eq!(guards(10, 1, 4, &strict), ["max_delete", "max_create", "min_edges"]);
        assert_eq!(guards(10, 0, 0, &strict), [""; 0]);
        let told = mapping_guard_errors("edges", 980, 0, 412, &usual);
        let words = "refused: 412 of 980 edges (42 %) would be deleted; the limit is 25 %";
        assert_eq!((told[0].message.as_str(), told[0].allow.as_str()), (words, "43"));
    }

    #[test]
    fn entities_take_along_no_more_of_another_scope_than_its_limits_let_pass() {
        let reason = |live, deleted| {
            foreign_reason(&ForeignDeletions { scope: "links", live, deleted, limits: LIMITS })
        };
        assert_eq!(reason(20, 20), None);
        assert_eq!(reason(100, 25), None);
        let words = "the deleted entities take along 45 of 60 relationships of scope `links` (75 \
                     %); the limit there is 20, the larger of 20 and 25 %";
        assert_eq!(reason(60, 45).as_deref(), Some(words));
    }

    #[test]
    fn the_caller_can_allow_a_number() {
        let d = DeletionCounts { live: 100, deleted: 60, ..DeletionCounts::default() };
        let kinds = [(ObjectKind::Entity, d)];
        let allow = |n| DeleteLimits { allow_deletes: Some(n), ..LIMITS };
        assert_eq!(guard_reasons("s", 0, &kinds, allow(60)).len(), 0);
        assert_eq!(guard_reasons("s", 5, &kinds, allow(59)).len(), 1);
    }
}
