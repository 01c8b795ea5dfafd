//! The rules that come with the program, as the build script laid them into it.

use super::index::{EndList, Index, Listed, Row, VerbRules, Word};
use super::written::{Compromise, Flow, Impact, Membership, Owning, Side};
use std::borrow::Cow;

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The file that they stand in, with a reason and a source for each.
pub(super) const FILE: &str = include_str!("built_in.toml");

/// The rules, ready to be asked.
pub(super) static INDEX: Index = Index {
    text: Cow::Borrowed(TEXT),
    words: Cow::Borrowed(&WORDS),
    verbs: Cow::Borrowed(&VERBS),
    lists: Cow::Borrowed(&LISTS),
    impact: Cow::Borrowed(&IMPACT),
    ownership: Cow::Borrowed(&OWNERSHIP),
    classes: Cow::Borrowed(&CLASSES),
    ends: Cow::Borrowed(&ENDS),
    end_count: END_COUNT,
};
