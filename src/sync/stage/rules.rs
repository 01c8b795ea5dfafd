//! Rules: what a batch must agree with, as far as it needs no graph.

use super::known::{KnownObjects, source_digest};
use crate::graph::{DraftRelationship, IdHash, ObjectId, Value};
use crate::sync::mode::SyncMode;
use std::sync::Arc;

/// The message of a fault, before its place is known.
pub(super) type DiagnosticMessage = String;

/// The rules that a batch must agree with.
#[derive(Clone, Debug)]
pub struct BatchRules {
    /// Mode of the job.
    pub mode: SyncMode,
    /// Scope of the job; `None` to take each row's own `_scope`.
    pub scope: Option<String>,
    /// True if both ends of a CROSS_SCOPE relationship must not lie in one scope.
    pub same_scope_reject: bool,
    /// Seed of content digests.
    pub digest_seed: u64,
    /// The objects that the scope holds already; unchanged lines of them are passed over.
    pub known: Option<Arc<KnownObjects>>,
}

impl BatchRules {
    /// The digest of an object as it is written; see [`source_digest`].
    pub fn spelling(&self, text: &[u8]) -> u64 {
        source_digest(text, self.mode, self.digest_seed)
    }

    /// The hash by which the store finds an `_id`.
    pub fn hashed(&self, id: ObjectId) -> IdHash {
        id.hashed(self.digest_seed)
    }

    /// The scope of the job that a row belongs to.
    pub(super) fn scope_of<'s>(
        &'s self,
        row: Option<&'s str>,
    ) -> Result<&'s str, DiagnosticMessage> {
        match (self.scope.as_deref(), row) {
            (Some(job), Some(row)) if job != row => Err(format!(
                "`_scope` is `{row}`, but the job writes the scope `{job}`; a row cannot change it"
            )),
            (Some(scope), _) | (None, Some(scope)) => Ok(scope),
            (None, None) => Err("the row has no `_scope` and no scope was given".into()),
        }
    }

    /// Checks the rules of the CROSS_SCOPE page that need no graph.
    pub(super) fn check_cross_scope(
        &self,
        draft: &DraftRelationship<'_>,
        job: &str,
    ) -> Result<(), DiagnosticMessage> {
        for (name, end) in [("_fromEntityScope", &draft.from), ("_toEntityScope", &draft.to)] {
            match end.scope.as_deref() {
                None => return Err(format!("CROSS_SCOPE relationships need `{name}`")),
                Some(scope) if scope == job => {
                    return Err(format!(
                        "`{name}` equals the sync job's scope `{job}`; the related entities must \
                         live outside it: write this relationship from the sync job that owns \
                         the scope"
                    ));
                }
                Some(_) => {}
            }
        }
        if self.same_scope_reject && draft.from.scope == draft.to.scope {
            let scope = draft.from.scope.as_deref().unwrap_or("");
            return Err(format!(
                "Same-scope relationships rejected: both ends lie in `{scope}`; use the owning \
                 scope's sync job for these edges"
            ));
        }
        Ok(())
    }
}

pub(super) fn check_list(name: &str, value: &Value<'_>) -> Result<(), DiagnosticMessage> {
    let Value::List(items) = value else { return Ok(()) };
    let flat =
        items.iter().all(|item| item.same_family(&items[0]) && !matches!(item, Value::List(_)));
    if flat { Ok(()) } else { Err(format!("`{name}` is a list of values of different kinds")) }
}
