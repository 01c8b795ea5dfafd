//! Notes beside a blast radius: facts that the answer does not show by itself.

use super::blast_search::{BlastResult, BlastStrategy, blast};
use super::entity_filter::EntityFilter;
use super::words::{clean, some_verbs};
use super::{AnswerError, QuestionContext};
use crate::graph::{AdjacencyRead, EdgeDirection, NameLookup};
use crate::rules::{ImpactFilter, RuleTable};
use crate::view::denies;
use std::collections::BTreeMap;

/// A blast, of which notes are made.
pub(super) struct BlastNotes<'a> {
    /// The question.
    pub context: &'a QuestionContext<'a>,
    /// Where it starts.
    pub roots: &'a [u32],
    /// The way it went.
    pub walk: &'a BlastStrategy,
    /// Its visits.
    pub blast: &'a BlastResult,
}

impl BlastNotes<'_> {
    /// The notes on an answer that shows `shown` of `whole` entities.
    pub(super) fn all(
        &self,
        rules: &RuleTable,
        depth: Option<u32>,
        (whole, shown): (usize, usize),
        filter: &EntityFilter,
    ) -> Result<Vec<String>, AnswerError> {
        let counts = self.context.counts;
        // The blast runs again with fewer options to explain an empty answer, so only then.
        let hidden = if whole == 0 { self.hidden(rules, depth)? } else { None };
        let mut notes = Vec::new();
        if whole > shown {
            let many = counts.counted(whole as u64, "entity", "entities");
            let (few, words) = (counts.number(shown as u64), &filter.words);
            let few = if shown == 0 { "none".to_owned() } else { few };
            notes.push(format!("{many} reached, {few}{words}"));
        }
        if whole == 0 {
            match hidden {
                Some(note) => notes.push(note),
                None => notes.extend(self.unreached()?),
            }
        }
        // What denies a way is none, so there is nothing to decide.
        let (denying, open): (Vec<_>, Vec<_>) =
            self.blast.not_followed.iter().partition(|(verb, _)| denies(verb));
        let words = |verbs: &[&(String, u64)]| {
            let words = verbs
                .iter()
                .map(|(verb, count)| format!("{} {}", counts.number(*count), clean(verb)));
            words.collect::<Vec<_>>().join(", ")
        };
        if !open.is_empty() {
            let verbs = words(&open);
            notes.push(format!("not followed: {verbs}; `--verb` or `tombolo.toml` decides"));
        }
        if !denying.is_empty() {
            notes.push(format!("denied, so no way: {}", words(&denying)));
        }
        Ok(notes)
    }

    /// Names an option that makes the answer empty: without it something would be reached.
    fn hidden(&self, rules: &RuleTable, depth: Option<u32>) -> Result<Option<String>, AnswerError> {
        let BlastStrategy::Ruled { trouble, without } = self.walk else { return Ok(None) };
        let QuestionContext { snapshot, meter, counts, .. } = *self.context;
        let reached = |trouble: ImpactFilter, without: &[u32], depth: Option<u32>| {
            let walk = BlastStrategy::Ruled { trouble, without: without.to_vec() };
            let blast = blast(snapshot, meter, self.roots, &walk, rules, depth)?;
            let strongest = blast.hits.iter().filter(|hit| hit.strongest);
            Ok::<_, AnswerError>(strongest.count() as u64)
        };
        let note = |count: u64, flag: &str| {
            let many = counts.counted(count, "entity is reached", "entities are reached");
            Some(format!("{many} without `{flag}`"))
        };
        if depth.is_some() {
            let count = reached(*trouble, without, None)?;
            if count > 0 {
                return Ok(note(count, "--depth"));
            }
        }
        if !without.is_empty() {
            let count = reached(*trouble, &[], depth)?;
            if count > 0 {
                return Ok(note(count, "--verb"));
            }
        }
        if *trouble != ImpactFilter::ANY {
            let count = reached(ImpactFilter::ANY, without, depth)?;
            let kind = if trouble.compromise { "compromise" } else { "failure" };
            if count > 0 {
                return Ok(note(count, &format!("--for {kind}")));
            }
        }
        Ok(None)
    }

    /// Names the relationships of the roots when none of them leads anywhere.
    fn unreached(&self) -> Result<Option<String>, AnswerError> {
        let QuestionContext { snapshot, counts: format, .. } = *self.context;
        let mut counts: BTreeMap<(String, EdgeDirection), u64> = BTreeMap::new();
        let mut verbs: BTreeMap<(u32, EdgeDirection), u64> = BTreeMap::new();
        for &root in self.roots {
            for direction in [EdgeDirection::Out, EdgeDirection::In] {
                snapshot.for_each_edge(root, direction, |edge| {
                    *verbs.entry((edge.verb, direction)).or_default() += 1;
                })?;
            }
        }
        for ((verb, direction), count) in verbs {
            counts.insert((snapshot.name(verb).to_owned(), direction), count);
        }
        // Verbs without a rule are named in a note of their own.
        let not_followed = &self.blast.not_followed;
        if let BlastStrategy::Ruled { .. } = self.walk {
            counts.retain(|(verb, _), _| !not_followed.iter().any(|(known, _)| known == verb));
        }
        let one = if self.roots.len() == 1 { "it has" } else { "they have" };
        if counts.is_empty() {
            return Ok(not_followed.is_empty().then(|| format!("{one} no relationships")));
        }
        let words = counts.iter().map(|((verb, direction), count)| {
            let arrow = if *direction == EdgeDirection::Out { "to" } else { "from" };
            format!("{} {} {arrow} others", format.number(*count), clean(verb))
        });
        let why = match self.walk {
            BlastStrategy::Ruled { .. } => {
                "which pass nothing on this way; `tombolo impact-rules` tells why"
            }
            BlastStrategy::Plain { .. } => "none of them is taken this way",
        };
        Ok(Some(format!("{one} {}, {why}", some_verbs(words))))
    }
}
