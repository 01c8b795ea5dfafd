//! Rights: the actions that a caller may take, and the check that changes of jobs are within them.
//!
//! The rules are the table of `docs/security.md`. A caller that has the file in hand, as the
//! command line has, may do everything; callers of a server have the rights of their token. Rights
//! are checked where changes are made and every scope is known, and not only where a request comes
//! in.

use super::{Error, Snapshot};
use crate::graph::ObjectKind;
use crate::store::StoreError;
use crate::sync::{ChangeAction, JobInput, JobSpec, SyncError, SyncPlan};
use globset::{GlobBuilder, GlobMatcher};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The `source` of the jobs of the mapper.
pub(super) const MAPPER: &str = "system-mapper";

/// Scopes by a pattern such as `okta-*`.
#[derive(Clone, Debug)]
pub struct ScopePattern {
    pattern: String,
    matcher: GlobMatcher,
}

impl ScopePattern {
    /// True if the pattern fits a scope.
    pub fn fit(&self, scope: &str) -> bool {
        self.matcher.is_match(scope)
    }
}

impl PartialEq for ScopePattern {
    fn eq(&self, other: &ScopePattern) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for ScopePattern {}

impl FromStr for ScopePattern {
    type Err = String;

    fn from_str(pattern: &str) -> Result<ScopePattern, String> {
        if pattern.is_empty() {
            return Err("the pattern of scopes is empty".into());
        }
        let glob = GlobBuilder::new(pattern).build().map_err(|e| e.to_string())?;
        Ok(ScopePattern { pattern: pattern.to_owned(), matcher: glob.compile_matcher() })
    }
}

/// One thing that a caller may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum AccessRight {
    /// Ask questions, about everything.
    Read,
    /// Open jobs of these scopes, and change what they own.
    Write(ScopePattern),
    /// Decide about deletions that the guard holds in these scopes.
    Approve(ScopePattern),
    /// Everything.
    Admin,
}

impl FromStr for AccessRight {
    type Err = String;

    fn from_str(text: &str) -> Result<AccessRight, String> {
        match text.split_once(':') {
            None if text == "read" => Ok(AccessRight::Read),
            None if text == "admin" => Ok(AccessRight::Admin),
            None if text == "approve" => Ok(AccessRight::Approve("*".parse()?)),
            Some(("write", scopes)) => Ok(AccessRight::Write(scopes.parse()?)),
            Some(("approve", scopes)) => Ok(AccessRight::Approve(scopes.parse()?)),
            _ => Err("expected read, write:SCOPE (a pattern such as okta-*), approve:SCOPE, \
                      approve or admin"
                .into()),
        }
    }
}

impl TryFrom<String> for AccessRight {
    type Error = String;

    fn try_from(text: String) -> Result<AccessRight, String> {
        text.parse()
    }
}

impl From<AccessRight> for String {
    fn from(right: AccessRight) -> String {
        right.to_string()
    }
}

impl fmt::Display for AccessRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessRight::Read => f.write_str("read"),
            AccessRight::Write(scopes) => write!(f, "write:{}", scopes.pattern),
            AccessRight::Approve(scopes) => write!(f, "approve:{}", scopes.pattern),
            AccessRight::Admin => f.write_str("admin"),
        }
    }
}

/// All rights of a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightSet(pub Vec<AccessRight>);

impl RightSet {
    /// The rights of a caller that has the file in hand.
    pub fn everything() -> RightSet {
        RightSet(vec![AccessRight::Admin])
    }

    /// True if questions may be asked.
    pub fn read(&self) -> bool {
        self.0.iter().any(|right| matches!(right, AccessRight::Read | AccessRight::Admin))
    }

    /// True if a scope may be written.
    pub fn write(&self, scope: &str) -> bool {
        self.0.iter().any(|right| match right {
            AccessRight::Admin => true,
            AccessRight::Write(scopes) => scopes.fit(scope),
            AccessRight::Read | AccessRight::Approve(_) => false,
        })
    }

    /// True if deletions that the guard holds in a scope may be let pass.
    pub fn approve(&self, scope: &str) -> bool {
        self.0.iter().any(|right| match right {
            AccessRight::Admin => true,
            AccessRight::Approve(scopes) => scopes.fit(scope),
            AccessRight::Read | AccessRight::Write(_) => false,
        })
    }

    /// True if everything may be done.
    pub fn admin(&self) -> bool {
        self.0.contains(&AccessRight::Admin)
    }

    /// True if there is a scope in which held deletions may be let pass.
    pub fn approve_any(&self) -> bool {
        self.0.iter().any(|right| matches!(right, AccessRight::Approve(_) | AccessRight::Admin))
    }

    /// True if the jobs of a scope may be looked at.
    pub fn see_jobs(&self, scope: &str) -> bool {
        self.read() || self.write(scope) || self.approve(scope)
    }

    /// Refuses jobs if the scope of one of them may not be written. The job of the mapper for a
    /// scope counts as one of that scope.
    pub(super) fn allow_jobs(&self, jobs: &[&JobSpec]) -> Result<(), Error> {
        match jobs.iter().map(|job| owner(jobs, job)).find(|scope| !self.write(scope)) {
            Some(scope) => Err(self.refuse("write", scope)),
            None => Ok(()),
        }
    }

    /// Refuses a decision about jobs if the scope of one of them may not be approved.
    pub(super) fn allow_approval(&self, jobs: &[&JobSpec]) -> Result<(), Error> {
        match jobs.iter().map(|job| owner(jobs, job)).find(|scope| !self.approve(scope)) {
            Some(scope) => Err(self.refuse("approve", scope)),
            None => Ok(()),
        }
    }

    /// Refuses the named deletions of jobs in scopes that may not be written.
    pub(super) fn allow_deletes(&self, jobs: &[JobInput]) -> Result<(), Error> {
        let named = jobs.iter().filter(|job| !job.deletes.is_empty());
        match named.map(|job| &job.spec.scope).find(|scope| !self.write(scope)) {
            Some(scope) => Err(self.refuse("write", scope)),
            None => Ok(()),
        }
    }

    /// Refuses to let the guard pass a number of deletions of a scope.
    pub(super) fn allow_override(&self, scope: &str, deletes: Option<u64>) -> Result<(), Error> {
        match deletes {
            // Zero deletions let nothing pass, so they need no right.
            Some(1..) if !self.approve(scope) => Err(self.refuse("approve", scope)),
            _ => Ok(()),
        }
    }

    /// Refuses mapped relationships to callers that may not read. Their targets are searched among
    /// all entities, so the result, and the time that it takes, tell of scopes that the caller may
    /// not see.
    pub fn allow_mapping(&self, count: usize) -> Result<(), Error> {
        if count == 0 || self.read() {
            return Ok(());
        }
        let what = "relationships with `_mapping` search all scopes, which needs the right `read`";
        Err(Error::Forbidden(what.into()))
    }

    /// Refuses a plan in which the mapper would change objects of a mapped scope that it did not
    /// make. The right to write the scope of the job does not reach that far.
    pub(super) fn allow_mapped(&self, snapshot: &Snapshot, plan: &SyncPlan) -> Result<(), Error> {
        for (at, job) in plan.jobs.iter().enumerate() {
            if job.spec.mapped_for.is_none() || self.write(&job.spec.scope) {
                continue;
            }
            for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
                let changes = plan.changes_of(at, kind)?;
                // A created object has no earlier change that somebody else could have made.
                let stored = changes.iter().filter(|change| change.action != ChangeAction::Create);
                if !all_by_mapper(snapshot, kind, stored.map(|change| change.number))? {
                    return Err(self.refuse("write", &job.spec.scope));
                }
            }
        }
        Ok(())
    }

    /// The error for a missing right. It names the scope only to callers that may read.
    pub(super) fn refuse(&self, right: &str, scope: &str) -> Error {
        Error::Forbidden(match self.read() {
            true => format!("this needs the right `{right}:{scope}`; nothing was changed"),
            false => "the token does not allow this; nothing was changed".into(),
        })
    }
}

/// The scope whose right to write covers a job.
fn owner<'j>(jobs: &[&'j JobSpec], job: &'j JobSpec) -> &'j str {
    let source = job.mapped_for.and_then(|id| jobs.iter().find(|job| job.id == id));
    source.map_or(&job.scope, |source| &source.scope)
}

/// True if the mapper was the last to change each of these objects.
fn all_by_mapper(
    snapshot: &Snapshot,
    kind: ObjectKind,
    numbers: impl Iterator<Item = u32>,
) -> Result<bool, SyncError> {
    // Many objects name the same job, so each job is read once.
    let mut by_mapper: FxHashMap<u32, bool> = FxHashMap::default();
    for number in numbers {
        let Some(head) = snapshot.head(kind, number)? else { continue };
        let known = match by_mapper.get(&head.job) {
            Some(known) => *known,
            None => {
                let job = snapshot.job(head.job)?.ok_or_else(|| {
                    StoreError::corrupt("jobs", &head.job.to_be_bytes(), "row is missing")
                })?;
                *by_mapper.entry(head.job).or_insert(job.source == MAPPER)
            }
        };
        if !known {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(words: &[&str]) -> RightSet {
        RightSet(words.iter().map(|word| word.parse().expect(word)).collect())
    }

    #[test]
    fn each_right_allows_what_it_says_and_nothing_else() {
        let some = rights(&["read", "write:okta-*", "approve:jamf"]);
        assert!(some.read() && some.write("okta-1") && some.approve("jamf"));
        assert!(!some.write("jamf") && !some.write("okta") && !some.approve("okta-1"));
        assert!(!some.admin());
        let admin = RightSet::everything();
        assert!(admin.read() && admin.write("x") && admin.approve("x") && admin.admin());
        let none = RightSet::default();
        assert!(!none.read() && !none.write("x") && !none.approve("x") && !none.see_jobs("x"));
        assert!(rights(&["approve"]).approve("any") && !rights(&["approve"]).write("any"));
        // A scope is no way into the scope of what was mapped for it, nor the other way round.
        assert!(!rights(&["write:okta"]).write("mapped:okta"));
        assert!(!rights(&["write:mapped:okta"]).write("okta"));
    }

    #[test]
    fn rights_are_written_as_they_are_read() {
        for word in ["read", "write:okta-*", "approve:jamf", "approve:*", "admin"] {
            assert_eq!(word.parse::<AccessRight>().expect(word).to_string(), word);
        }
        assert_eq!("approve".parse::<AccessRight>().expect("read").to_string(), "approve:*");
        for wrong in ["", "write", "write:", "approve:", "delete", "read:x", "admin:x", "write:["] {
            assert!(wrong.parse::<AccessRight>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_names_scopes_to_readers_only() {
        let told = |words: &[&str]| rights(words).refuse("write", "secret").to_string();
        assert!(told(&["read"]).contains("`write:secret`"));
        assert!(!told(&["write:okta"]).contains("secret"));
    }
}
