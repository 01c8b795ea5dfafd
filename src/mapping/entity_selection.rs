//! The entities that an end or a source of rows asks for.

/// The entities that a table asks for, before any condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntitySelection {
    /// Any of these scopes; aliases are resolved.
    pub scopes: Vec<String>,
    /// Any of these types; empty for all.
    pub types: Vec<String>,
    /// Any of these classes; empty for all.
    pub classes: Vec<String>,
}
