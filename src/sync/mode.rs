//! The modes of sync jobs: the objects that each accepts, and its effect on objects that are not
//! uploaded.
//!
//! A mode is a row of this table handed to the one reconcile pass:
//!
//! | mode | accepts | only in upload | in both | only in scope |
//! | --- | --- | --- | --- | --- |
//! | DIFF | entities, relationships | create | replace if different | soft delete |
//! | PATCH | entities | create if complete | merge | keep |
//! | CROSS_SCOPE | relationships | create if both ends are live | replace if different | soft delete |
//! | CREATE_OR_UPDATE | entities, relationships | create if complete | merge entities, replace relationships | keep |
//! | OVERRIDE | existing entities | refuse | pin the given properties | keep |
//!
//! Objects that an upload names for deletion are deleted in every mode that takes their kind.

use crate::graph::ObjectKind;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The way in which a job reconciles its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SyncMode {
    /// The upload is the complete state of the scope.
    Diff,
    /// The upload changes the given properties and nothing else.
    Patch,
    /// The upload creates or changes what it names and leaves the rest: how single objects are
    /// edited, and what old clients still open.
    CreateOrUpdate,
    /// The upload is the complete set of relationships that the scope owns between other scopes.
    CrossScope,
    /// The upload pins property values over what the owning scope says.
    Override,
}

impl SyncMode {
    /// True if relationships can be uploaded.
    pub fn takes_relationships(self) -> bool {
        matches!(self, SyncMode::Diff | SyncMode::CrossScope | SyncMode::CreateOrUpdate)
    }

    /// True if entities can be uploaded.
    pub fn takes_entities(self) -> bool {
        self != SyncMode::CrossScope
    }

    /// True if a job looks at the objects of a kind in its scope. It always looks at relationships,
    /// which go with their entities.
    pub fn compares(self, kind: ObjectKind) -> bool {
        kind == ObjectKind::Relationship || self.takes_entities()
    }

    /// True if objects that are not uploaded are deleted.
    pub fn deletes(self) -> bool {
        matches!(self, SyncMode::Diff | SyncMode::CrossScope)
    }
}

impl fmt::Display for SyncMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SyncMode::Diff => "DIFF",
            SyncMode::Patch => "PATCH",
            SyncMode::CreateOrUpdate => "CREATE_OR_UPDATE",
            SyncMode::CrossScope => "CROSS_SCOPE",
            SyncMode::Override => "OVERRIDE",
        })
    }
}

impl FromStr for SyncMode {
    type Err = String;

    /// Reads a mode in either spelling, `CROSS_SCOPE` or `cross-scope`.
    fn from_str(text: &str) -> Result<SyncMode, String> {
        match text.to_uppercase().replace('-', "_").as_str() {
            "DIFF" => Ok(SyncMode::Diff),
            "PATCH" => Ok(SyncMode::Patch),
            "CROSS_SCOPE" => Ok(SyncMode::CrossScope),
            "OVERRIDE" => Ok(SyncMode::Override),
            // Old clients still open such jobs over HTTP; people are not led there.
            "CREATE_OR_UPDATE" => Err("CREATE_OR_UPDATE is retired; use PATCH to change some \
                                       properties, or DIFF to upload the whole scope"
                .into()),
            _ => Err(format!(
                "unknown sync mode `{text}`, expected DIFF, PATCH, CROSS_SCOPE or OVERRIDE"
            )),
        }
    }
}
