//! Names in a query that nothing in the graph has.

use super::{AnswerExplainer, NotesResult};
use crate::graph::{CLASS_SEPARATOR, GraphRead, same_name};
use crate::lang::closest;
use crate::query::resolved::*;
use crate::query::{plan_words, spelling};
use std::collections::BTreeSet;

/// The place of a name in the pattern.
#[derive(Clone, Copy)]
struct NamePosition {
    /// The query finds nothing without it.
    needed: bool,
    /// It stands in a part that must not be there, where a mistake finds too much.
    negated: bool,
}

impl<'g, G: GraphRead> AnswerExplainer<'g, G> {
    /// Adds a note on each name that nothing has; true if that alone makes the answer empty.
    pub(super) fn unknown_names(&mut self, query: &ResolvedQuery) -> NotesResult<bool, G> {
        let place = NamePosition { needed: true, negated: false };
        let start = self.entity_names(&query.start, place)?;
        Ok(self.step_names(&query.ops, place)? || start)
    }

    /// Adds notes on names that nothing has, although something was found: on all in parts that must not
    /// be there, and elsewhere on those that are nearly another name.
    pub(super) fn odd_names(&mut self, query: &ResolvedQuery) -> NotesResult<(), G> {
        let place = NamePosition { needed: false, negated: false };
        self.entity_names(&query.start, place)?;
        self.step_names(&query.ops, place)?;
        Ok(())
    }

    fn step_names(&mut self, steps: &[PatternStep], place: NamePosition) -> NotesResult<bool, G> {
        let mut missing = false;
        for step in steps {
            missing |= match step {
                PatternStep::Hop(hop) => {
                    // Called before the `||`, which would skip the notes on verbs.
                    let verbs = self.verb_names(hop, place)?;
                    self.entity_names(&hop.target, place)? || verbs
                }
                PatternStep::Join(join) => self.entity_names(&join.target, place)?,
                PatternStep::Group { steps, least, .. } => {
                    // A group that may be left out makes no answer empty.
                    let needed = place.needed && *least > 0;
                    self.step_names(steps, NamePosition { needed, ..place })?
                }
                PatternStep::Not(steps) => {
                    self.step_names(steps, NamePosition { needed: false, negated: true })?;
                    false
                }
            };
        }
        Ok(missing)
    }

    fn verb_names(&mut self, hop: &ExpandStep, place: NamePosition) -> NotesResult<bool, G> {
        let mut missing = false;
        if let Some(scope) = &hop.scope {
            missing |= self.scope_name(scope)? && place.needed;
        }
        let asked: Vec<&ResolvedVerb> =
            hop.verbs.iter().flatten().filter(|verb| verb.asked()).collect();
        let unknown: Vec<&str> = asked
            .iter()
            .map(|verb| verb.name.as_str())
            .filter(|verb| !self.has_verb(verb))
            .collect();
        let all = unknown.len() == asked.len()
            && hop.verbs.as_ref().is_some_and(|verbs| verbs.len() == asked.len());
        let sure = place.needed || all && place.negated;
        for verb in &unknown {
            // A class in the place of a verb is likelier than a misspelled verb.
            if let Some(class) = self.classes().into_iter().find(|known| same_name(known, verb)) {
                let text = format!(
                    "no verb `{verb}` in this database; `{class}` is a class: write `THAT RELATES TO {}`",
                    capital(class)
                );
                self.say(true, text);
                continue;
            }
            let graph = self.reader.graph;
            let numbers: BTreeSet<u32> =
                self.counts.iter().flat_map(|counts| counts.verbs.keys()).copied().collect();
            let near = closest(verb, numbers.iter().map(|number| graph.name(*number)));
            self.unknown("verb", verb, near.map(str::to_owned), sure);
        }
        Ok(missing || place.needed && all && !unknown.is_empty())
    }

    /// True if live relationships have a verb, as far as the counts tell.
    fn has_verb(&self, verb: &str) -> bool {
        let numbers = spelling::verbs(self.reader.graph, verb);
        let counted = self.counts.iter().any(|counts| !counts.verbs.is_empty());
        match counted {
            true => self
                .counts
                .iter()
                .any(|counts| numbers.iter().any(|number| counts.verbs.contains_key(number))),
            // A graph without counts by verb only knows that the name exists.
            false => !numbers.is_empty(),
        }
    }

    fn entity_names(&mut self, test: &EntityTest, place: NamePosition) -> NotesResult<bool, G> {
        let mut missing = false;
        if let Some(scope) = &test.scope {
            missing |= self.scope_name(scope)? && place.needed;
        }
        let mut unknown: Vec<&SelectorKind> = Vec::new();
        for kind in &test.any {
            if self.smart_names(kind, place)? || !self.has_kind(kind) {
                unknown.push(kind);
            }
        }
        // One alternative that exists is enough for an answer.
        let all = unknown.len() == test.any.len();
        let sure = place.needed || all && place.negated;
        for kind in &unknown {
            match kind {
                SelectorKind::Class(name) => self.unknown_class(name, sure),
                SelectorKind::Type(name) => self.unknown_type(name, sure),
                _ => {}
            }
        }
        Ok(missing || place.needed && all && !unknown.is_empty())
    }

    /// Checks the names in the definition of a smart class; true if nothing can fit it.
    fn smart_names(&mut self, kind: &SelectorKind, place: NamePosition) -> NotesResult<bool, G> {
        let mut missing = false;
        if let SelectorKind::All(tests) = kind {
            for test in tests {
                missing |= self.entity_names(test, place)?;
            }
        }
        Ok(missing)
    }

    /// The verb of this name, as the graph spells it.
    fn verb_called(&self, name: &str) -> Option<&'g str> {
        let graph = self.reader.graph;
        let number = spelling::verbs(graph, name)
            .into_iter()
            .find(|number| self.counts.iter().any(|counts| counts.verbs.contains_key(number)))?;
        Some(graph.name(number))
    }

    fn has_kind(&self, kind: &SelectorKind) -> bool {
        let graph = self.reader.graph;
        match kind {
            SelectorKind::Class(name) => !spelling::classes(graph, &self.counts, name).is_empty(),
            SelectorKind::Type(name) => graph
                .name_number(name)
                .is_some_and(|number| self.counts.iter().any(|c| c.types.contains_key(&number))),
            SelectorKind::Any | SelectorKind::Words(_) | SelectorKind::All(_) => true,
        }
    }

    fn classes(&self) -> BTreeSet<&'g str> {
        let graph = self.reader.graph;
        let sets = self.counts.iter().flat_map(|counts| counts.classes.keys());
        let all = sets.flat_map(|set| graph.name(*set).split(CLASS_SEPARATOR));
        all.filter(|class| !class.is_empty()).collect()
    }

    fn types(&self) -> BTreeSet<&'g str> {
        let graph = self.reader.graph;
        let types = self.counts.iter().flat_map(|counts| counts.types.keys());
        types.map(|number| graph.name(*number)).collect()
    }

    fn unknown_class(&mut self, name: &str, sure: bool) {
        if let Some(near) = self.types().into_iter().find(|known| same_name(known, name)) {
            let text = format!(
                "no class `{name}` in this database; `{near}` is a type: write it as it is spelled"
            );
            return self.say(true, text);
        }
        if let Some(verb) = self.verb_called(name) {
            return self.say(true, is_verb("class", name, verb));
        }
        let near = closest(name, self.classes()).map(str::to_owned);
        self.unknown("class", name, near, sure);
    }

    fn unknown_type(&mut self, name: &str, sure: bool) {
        let types = self.types();
        let near = types.iter().find(|known| same_name(known, name)).copied();
        if let (None, Some(class)) =
            (near, self.classes().into_iter().find(|known| same_name(known, name)))
        {
            let capital = capital(class);
            let text = format!(
                "no type `{name}` in this database; `{class}` is a class: write `{capital}`, classes \
                 begin with a capital"
            );
            return self.say(true, text);
        }
        if let (None, Some(verb)) = (near, self.verb_called(name)) {
            return self.say(true, is_verb("type", name, verb));
        }
        let near = near.or_else(|| closest(name, types.iter().copied())).map(str::to_owned);
        self.unknown("type", name, near, sure);
    }

    fn scope_name(&mut self, name: &str) -> NotesResult<bool, G> {
        let scopes = self.reader.graph.scopes()?;
        if scopes.iter().any(|scope| scope == name) {
            return Ok(false);
        }
        let near = closest(name, scopes.iter().map(String::as_str)).map(str::to_owned);
        self.unknown("scope", name, near, true);
        Ok(true)
    }

    /// Adds a note that nothing has a name. If it is not `sure` that this matters, the note is only added
    /// when another name is similar.
    fn unknown(&mut self, noun: &str, name: &str, near: Option<String>, sure: bool) {
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if !sure => return,
            None => "`tombolo stats` lists what there is".to_owned(),
        };
        self.say(true, format!("no {noun} `{name}` in this database; {hint}"));
    }

    /// A step in the words of the query.
    pub(super) fn step_words(hop: &ExpandStep, negated: bool) -> String {
        let bang = if negated { "!" } else { "" };
        format!("THAT {bang}{} {}", plan_words::hop_words(hop), super::words(&hop.target))
    }
}

/// A class as queries write it.
fn capital(class: &str) -> String {
    let mut capital = class.to_owned();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    capital
}

fn is_verb(noun: &str, name: &str, verb: &str) -> String {
    format!("no {noun} `{name}` in this database; `{verb}` is a verb: it stands behind `THAT`")
}
