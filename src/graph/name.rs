//! The names that come from outside, checked once where they come in.
//!
//! Scopes, keys, types, classes and property names are plain text inside the program; these
//! functions are the only gate through which text becomes one of them. No later code checks them
//! again.

use std::fmt;

/// The kinds of name, with their limits. Lengths are bytes of UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A scope, e.g. `okta-instance-id`: 1 to 256 bytes.
    Scope,
    /// A `_key`, e.g. `okta-user:alice`: 1 to 1,024 bytes.
    Key,
    /// A `_type`, e.g. `okta_user`: 1 to 256 bytes.
    Type,
    /// A `_class`, e.g. `User` or `OWNS`: 1 to 256 bytes.
    Class,
    /// The name of a property: 1 to 256 bytes, not beginning with `_`.
    Property,
}

impl NameKind {
    /// The longest name of this kind, in bytes.
    pub const fn len_max(self) -> usize {
        match self {
            NameKind::Key => 1024,
            _ => 256,
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            NameKind::Scope => "scope",
            NameKind::Key => "`_key`",
            NameKind::Type => "`_type`",
            NameKind::Class => "`_class`",
            NameKind::Property => "property name",
        }
    }
}

/// The reason why a text cannot be a name. Its `Display` is one line, lower case, without a full
/// stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidName {
    /// The text is empty.
    Empty(NameKind),
    /// The text has `len` bytes, more than [`NameKind::len_max`].
    TooLong(NameKind, usize),
    /// The text holds a control character, which databases and terminals read differently.
    Control(NameKind, char),
    /// A property name begins with `_`, which is reserved for system metadata.
    Reserved(String),
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidName::Empty(kind) => write!(f, "{} is empty", kind.noun()),
            InvalidName::TooLong(kind, len) => {
                write!(f, "{} has {len} bytes, at most {} are allowed", kind.noun(), kind.len_max())
            }
            InvalidName::Control(kind, c) => {
                write!(f, "{} holds the control character U+{:04X}", kind.noun(), *c as u32)
            }
            InvalidName::Reserved(name) => write!(
                f,
                "property `{name}` begins with `_`, which is reserved for system metadata"
            ),
        }
    }
}

impl std::error::Error for InvalidName {}

/// Checks that `text` may stand as a name of `kind`.
pub fn check_name(kind: NameKind, text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty(kind));
    }
    if text.len() > kind.len_max() {
        return Err(InvalidName::TooLong(kind, text.len()));
    }
    if kind == NameKind::Property && text.starts_with('_') {
        return Err(InvalidName::Reserved(text.to_owned()));
    }
    // Bytes above 0x7F may begin U+0080..U+009F, so only pure printable ASCII takes the short way.
    // No byte ends the loop early, so that the compiler takes many at a time.
    if text.bytes().fold(true, |plain, b| plain & (0x20..0x7F).contains(&b)) {
        return Ok(());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(InvalidName::Control(kind, c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_limits() {
        assert!(check_name(NameKind::Key, "okta-user:älice").is_ok());
        assert_eq!(check_name(NameKind::Scope, ""), Err(InvalidName::Empty(NameKind::Scope)));
        assert_eq!(
            check_name(NameKind::Type, &"x".repeat(257)),
            Err(InvalidName::TooLong(NameKind::Type, 257))
        );
        assert!(check_name(NameKind::Key, &"x".repeat(1024)).is_ok());
        assert_eq!(
            check_name(NameKind::Key, "a\0b"),
            Err(InvalidName::Control(NameKind::Key, '\0'))
        );
        assert!(check_name(NameKind::Property, "_mine").is_err());
        assert!(check_name(NameKind::Property, "tag.Name").is_ok());
    }
}
