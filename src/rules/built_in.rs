//! The built-in rules, in the form in which the build script laid them into the program.

use super::index::{EndList, IndexedRule, RuleIndex, RuleRef, SpellingEntry, VerbRules};
use super::written::{
    CompromiseFlow, FlowDirection, GroupMembership, ImpactEffect, OwnershipKind, RelationshipEnd,
};
use std::borrow::Cow;

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The text of the file with the built-in rules, each with a reason and a source.
pub(super) const FILE: &str = include_str!("built_in.toml");

/// The index of the built-in rules.
pub(super) static INDEX: RuleIndex = RuleIndex {
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
