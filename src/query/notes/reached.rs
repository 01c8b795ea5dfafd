//! The verbs and classes around what a pattern reached, counted and described for a note.

use super::{AnswerExplainer, ConditionSample, ConditionSubject, NotesResult};
use crate::graph::{CLASS_SEPARATOR, EdgeDirection, GraphRead};
use crate::query::resolved::ExpandStep;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;

/// The most frequent of some names, with their counts.
fn told(counts: &BTreeMap<String, usize>) -> String {
    let mut all: Vec<(&String, &usize)> = counts.iter().collect();
    all.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let more = if all.len() > 6 { ", ..." } else { "" };
    let some: Vec<String> = all.iter().take(6).map(|(name, n)| format!("{name} ({n})")).collect();
    format!("{}{more}", some.join(", "))
}

impl<G: GraphRead> AnswerExplainer<'_, G> {
    /// The verbs that lead out of some entities, with their counts: `3 FROBS, 1 NOTIFIES`.
    pub(super) fn leaving(&self, within: &FxHashSet<u32>) -> NotesResult<String, G> {
        let mut verbs: BTreeMap<u32, usize> = BTreeMap::new();
        for &at in within {
            let mut edges = Vec::new();
            for direction in [EdgeDirection::Out, EdgeDirection::In] {
                self.reader.graph.for_each_edge(at, direction, |edge| edges.push(edge))?;
            }
            self.reader.work(edges.len() as u64)?;
            for edge in edges.iter().filter(|edge| !within.contains(&edge.other)) {
                *verbs.entry(edge.verb).or_default() += 1;
            }
        }
        let name = |verb: u32| self.reader.graph.name(verb);
        let mut all: Vec<(&str, usize)> = verbs.into_iter().map(|(v, n)| (name(v), n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let more = if all.len() > 6 { ", ..." } else { "" };
        let some: Vec<String> = all.iter().take(6).map(|(verb, n)| format!("{n} {verb}")).collect();
        Ok(format!("{}{more}", some.join(", ")))
    }

    /// The verbs of a step in matches.
    pub(super) fn verbs_of(
        &self,
        matches: &ConditionSample,
        hop: &ExpandStep,
    ) -> NotesResult<String, G> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut seen = FxHashSet::default();
        for thing in &matches.things {
            let ConditionSubject::Row(row) = thing else { continue };
            for &number in row.hops[hop.relationship].numbers() {
                self.reader.work(1)?;
                if seen.insert(number)
                    && let Some(link) = self.reader.relationship(number)?
                {
                    let arrow = match link.from.number == row.entities[hop.to] {
                        true => "<<",
                        false => ">>",
                    };
                    *counts.entry(format!("`{} {arrow}`", link.class)).or_default() += 1;
                }
            }
        }
        Ok(told(&counts))
    }

    /// The classes of the entities that a step leads to, with counts; the type of an entity without class.
    pub(super) fn kinds_of(
        &self,
        matches: &ConditionSample,
        hop: &ExpandStep,
    ) -> NotesResult<String, G> {
        self.kinds_among(&self.entities(matches, hop.to, String::new()))
    }

    pub(super) fn kinds_among(&self, reached: &ConditionSample) -> NotesResult<String, G> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for thing in &reached.things {
            let ConditionSubject::Subject(number) = thing else { continue };
            let Some(facts) = self.reader.graph.entity_facts(*number)? else { continue };
            let set = self.reader.graph.name(facts.classes);
            let class = set.split(CLASS_SEPARATOR).next().filter(|class| !class.is_empty());
            let kind = class.unwrap_or_else(|| self.reader.graph.name(facts.type_name));
            *counts.entry(kind.to_owned()).or_default() += 1;
        }
        Ok(told(&counts))
    }
}
