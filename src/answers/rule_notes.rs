//! Notes on the rules of a project: classes and types that they name and nothing has.

use super::AnswerError;
use super::used_names::unknown_kinds;
use super::words::clean;
use crate::rules::{RuleTable, WrittenRules};
use crate::store::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// Notes of this kind beside one answer.
const NOTES_MAX: usize = 3;

/// Notes on names in the project's file that neither the graph nor the built-in rules have. A rule with
/// a misspelt class speaks of nothing, and no answer shows that by itself.
pub(super) fn rule_notes(
    snapshot: &Snapshot,
    rules: &RuleTable,
) -> Result<Vec<String>, AnswerError> {
    let Some(file) = rules.file() else { return Ok(Vec::new()) };
    let (written, built_in) = (rules.written(), RuleTable::default().written());
    let known = kinds(&built_in, true);
    let mut asked = kinds(&written, false);
    asked.retain(|name, _| !known.contains_key(name));
    let unknown = unknown_kinds(snapshot, &asked.keys().copied().collect::<BTreeSet<_>>())?;
    let more = unknown.len().saturating_sub(NOTES_MAX);
    let mut notes: Vec<String> = unknown
        .into_iter()
        .take(NOTES_MAX)
        .map(|(name, near)| {
            let place = match asked[name] {
                0 => clean(file).into_owned(),
                line => format!("{}:{line}", clean(file)),
            };
            let near = near.map(|near| format!("; did you mean `{}`?", clean(near)));
            let near = near.unwrap_or_default();
            format!("nothing has the class or type `{}` of {place}{near}", clean(name))
        })
        .collect();
    if more > 0 {
        notes.push(format!("{more} more names of {} are those of nothing", clean(file)));
    }
    Ok(notes)
}

/// The classes and types that rules name, each with the line of the first rule that does; 0 for those of
/// sets and owners. Those of the program itself only if `built_in`.
fn kinds(written: &WrittenRules, built_in: bool) -> BTreeMap<&str, usize> {
    let impact = written.impact.iter().filter(|rule| rule.built_in == built_in);
    let ownership = written.ownership.iter().filter(|rule| rule.built_in == built_in);
    let ends = impact
        .map(|rule| (&rule.from, &rule.to, rule.line))
        .chain(ownership.map(|rule| (&rule.from, &rule.to, rule.line)));
    let mut kinds = BTreeMap::new();
    for (from, to, line) in ends {
        for name in from.iter().chain(to) {
            kinds.entry(name.as_str()).or_insert(line);
        }
    }
    for name in written.sets.iter().flat_map(|(_, names)| names).chain(&written.owners) {
        kinds.entry(name.as_str()).or_insert(0);
    }
    kinds.retain(|name, _| !name.starts_with('@'));
    kinds
}
