//! Owners: a scope belongs to one kind of program, a collector or a bridge.
//!
//! Both replace what they wrote before. If both wrote one scope, each would delete what the other
//! one brought, and nobody would be told.

use super::SyncError;
use super::job::JobSpec;
use super::mode::SyncMode;
use crate::store::{ScopeOwner, ScopeRow, Snapshot};

/// The beginning of the names of scopes that hold what `_mapping` makes.
pub const MAPPED_PREFIX: &str = "mapped:";

/// The kind of program that a job is of. `None` for one that brings no objects.
pub fn owner_of(mode: SyncMode) -> Option<ScopeOwner> {
    match mode {
        SyncMode::Diff | SyncMode::Patch | SyncMode::CreateOrUpdate => Some(ScopeOwner::Collector),
        SyncMode::CrossScope => Some(ScopeOwner::Bridge),
        SyncMode::Override => None,
    }
}

/// Makes sure that the scope of a job belongs to its kind of program, or to nobody.
///
/// # Errors
///
/// [`SyncError::OtherOwner`], and [`SyncError::ReservedScope`] for a scope that only the mapper
/// writes. A DIFF job may load such a scope from an export.
pub fn check_owner(snapshot: &Snapshot, spec: &JobSpec) -> Result<(), SyncError> {
    let (scope, mode) = (&spec.scope, spec.mode);
    let by_right = spec.mapped_for.is_some() || spec.scope_of_rows && mode == SyncMode::Diff;
    if scope.starts_with(MAPPED_PREFIX) && !by_right {
        return Err(SyncError::ReservedScope(scope.clone()));
    }
    let row = snapshot.scope_row_of(scope)?;
    match (row.owner(), owner_of(mode)) {
        (Some(owner), Some(ours)) if owner != ours => {
            Err(SyncError::OtherOwner { scope: scope.clone(), owner, mode })
        }
        _ => Ok(()),
    }
}

/// The kind of program that a scope belongs to once a job has written to it. Relationships alone in
/// a scope that nobody chose may be those of a bridge, loaded from an export, so they tell nothing.
pub fn owner_after(row: &ScopeRow, spec: &JobSpec, entities: u32) -> Option<ScopeOwner> {
    match owner_of(spec.mode) {
        Some(ScopeOwner::Bridge) => Some(ScopeOwner::Bridge),
        Some(ScopeOwner::Collector)
            if !spec.scope_of_rows || entities > 0 || row.counts[0].live > 0 =>
        {
            Some(ScopeOwner::Collector)
        }
        // What an emptied scope was is forgotten.
        _ => row.owner(),
    }
}
