//! The verbs that a question may follow, in every spelling.

use super::AnswerError;
use super::used_names::{self, spellings};
use crate::graph::NameLookup;
use crate::store::Snapshot;
use crate::view;

/// The verbs that a question may follow, by number; `None` stands for all.
#[derive(Clone, Debug, Default)]
pub struct VerbFilter(pub Option<Vec<u32>>);

/// The verbs that were asked for, in every spelling: those named, or all but those named with `!`.
///
/// # Errors
///
/// A name that no relationship has.
pub(super) fn verb_filter(
    snapshot: &Snapshot,
    asked: &[String],
) -> Result<VerbFilter, AnswerError> {
    if asked.is_empty() {
        return Ok(VerbFilter(None));
    }
    let (except, only): (Vec<&String>, Vec<&String>) =
        asked.iter().partition(|verb| verb.starts_with('!'));
    let except: Vec<String> = except.iter().map(|verb| verb[1..].trim().to_owned()).collect();
    let only: Vec<String> = only.into_iter().cloned().collect();
    let except = spellings(snapshot, "verb", &except)?;
    let mut taken = match only.is_empty() {
        true => used_names::verbs(snapshot)?,
        false => spellings(snapshot, "verb", &only)?,
    };
    // A verb both named and excluded is excluded, so exclusions come last.
    taken.retain(|verb| !except.contains(verb));
    Ok(VerbFilter(Some(taken.iter().filter_map(|verb| snapshot.name_number(verb)).collect())))
}

/// Returns the verbs that a path may take, and the verbs left out. A verb that denies a way (see
/// [`view::denies`]) is left out unless it was named.
pub(super) fn passable_verbs(
    snapshot: &Snapshot,
    asked: &[String],
) -> Result<(VerbFilter, Vec<String>), AnswerError> {
    // Once a verb is named, only named verbs are followed, so no denial can slip in unasked.
    let denials: Vec<String> = match asked.iter().all(|verb| verb.starts_with('!')) {
        true => {
            used_names::verbs(snapshot)?.into_iter().filter(|verb| view::denies(verb)).collect()
        }
        false => Vec::new(),
    };
    if denials.is_empty() {
        return Ok((verb_filter(snapshot, asked)?, denials));
    }
    let all: Vec<String> =
        asked.iter().cloned().chain(denials.iter().map(|verb| format!("!{verb}"))).collect();
    Ok((verb_filter(snapshot, &all)?, denials))
}
