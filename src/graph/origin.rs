//! The origin of a relationship: the row and the alternative that made it.

use serde::{Deserialize, Serialize};

/// The name under which an origin is stored and shown. Uploads cannot set it.
pub const ORIGIN: &str = "_origin";

/// The origin of a relationship that a mapping made. It is kept beside the relationship, not among
/// the user's properties, and a new origin alone is no change of the relationship.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelationshipOrigin {
    /// The file of the row, as the mapping reads it; empty for a join.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The line that the row begins on, counted from 1; 0 for a join.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: u32,
    /// The alternatives of `match` or `join` that found the ends, by name or number; empty if
    /// there was no choice.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alternative: String,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl RelationshipOrigin {
    /// The origin as the text that is stored.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("BUG: an origin is plain JSON")
    }

    /// Reads the origin from a stored text.
    pub fn from_text(text: &str) -> Option<RelationshipOrigin> {
        serde_json::from_str(text).ok()
    }
}
