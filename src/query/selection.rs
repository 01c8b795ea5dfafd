//! Selectors: the test of an entity by its names, and by its properties where the names do not tell.

use super::read::{ApproximateSize, EvalContext, QueryReadResult, QueryReader};
use super::resolved::{EntityTest, SelectorKind};
use super::spelling::has_class;
use crate::graph::{EntityFacts, GraphRead, Value};
use rustc_hash::FxHashMap;

/// The verdict on an entity by its names: is it of the kinds and in the scope that a selector names?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SelectorVerdict {
    No,
    /// Its properties have to be looked at.
    Unknown,
    Yes,
}

impl From<bool> for SelectorVerdict {
    fn from(yes: bool) -> SelectorVerdict {
        if yes { SelectorVerdict::Yes } else { SelectorVerdict::No }
    }
}

impl<G: GraphRead> QueryReader<'_, G> {
    /// The verdict of a selector on an entity, from the entity's names alone.
    pub fn selected(&self, facts: &EntityFacts, test: &EntityTest) -> SelectorVerdict {
        let graph = self.graph;
        if test.scope.as_ref().is_some_and(|scope| graph.name(facts.scope) != scope) {
            return SelectorVerdict::No;
        }
        let each = test.any.iter().map(|kind| self.of_kind(facts, kind));
        // One alternative is enough, so the best verdict counts.
        each.max().unwrap_or(SelectorVerdict::No)
    }

    fn of_kind(&self, facts: &EntityFacts, kind: &SelectorKind) -> SelectorVerdict {
        let graph = self.graph;
        match kind {
            SelectorKind::Any => SelectorVerdict::Yes,
            SelectorKind::Class(class) => {
                SelectorVerdict::from(has_class(graph.name(facts.classes), class))
            }
            SelectorKind::Type(name) => SelectorVerdict::from(graph.name(facts.type_name) == name),
            SelectorKind::Words(_) => SelectorVerdict::Unknown,
            SelectorKind::All(tests) => {
                // Names cannot answer a condition on properties.
                let each = |test: &EntityTest| match &test.with {
                    Some(_) => self.selected(facts, test).min(SelectorVerdict::Unknown),
                    None => self.selected(facts, test),
                };
                tests.iter().map(each).min().unwrap_or(SelectorVerdict::Yes)
            }
        }
    }

    /// True if an entity is what a pattern asks for; `selected` is the verdict from its names alone.
    pub fn fits(
        &self,
        number: u32,
        test: &EntityTest,
        selected: SelectorVerdict,
    ) -> QueryReadResult<bool, G> {
        let fits = self.selects(number, test, selected)?;
        match &test.with {
            Some(with) if fits => {
                self.test(with, &EvalContext { subject: Some(number), ..EvalContext::default() })
            }
            _ => Ok(fits),
        }
    }

    /// The same without the condition of WITH.
    pub(super) fn selects(
        &self,
        number: u32,
        test: &EntityTest,
        selected: SelectorVerdict,
    ) -> QueryReadResult<bool, G> {
        self.tested.set(self.tested.get() + 1);
        match selected {
            SelectorVerdict::No => Ok(false),
            SelectorVerdict::Yes => Ok(true),
            SelectorVerdict::Unknown => self.matches_by_properties(number, test),
        }
    }

    /// True if a selector means an entity, for entities whose names alone do not tell.
    fn matches_by_properties(&self, number: u32, test: &EntityTest) -> QueryReadResult<bool, G> {
        let Some(facts) = self.graph.entity_facts(number)? else { return Ok(false) };
        for kind in &test.any {
            let is = match (kind, self.of_kind(&facts, kind)) {
                (_, SelectorVerdict::No) => false,
                (_, SelectorVerdict::Yes) => true,
                (SelectorKind::Words(words), _) => self.has_words(number, words)?,
                (SelectorKind::All(tests), _) => {
                    let mut all = true;
                    for test in tests {
                        all = all && self.fits(number, test, self.selected(&facts, test))?;
                    }
                    all
                }
                _ => false,
            };
            if is {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Full text: true if each word is part of some value of the entity, whatever the case.
    fn has_words(&self, number: u32, words: &[String]) -> QueryReadResult<bool, G> {
        let Some(entity) = self.entity(number)? else { return Ok(false) };
        // Each word is looked for in every text of the entity.
        self.spend(entity.bytes() as usize * words.len())?;
        let mut texts = vec![
            entity.key.to_lowercase(),
            entity.type_name.to_lowercase(),
            entity.id.to_string(),
            entity.scope.to_lowercase(),
        ];
        texts.extend(entity.classes.iter().map(|class| class.to_lowercase()));
        for (_, value) in &entity.properties {
            match value {
                Value::Text(text) => texts.push(text.to_lowercase()),
                Value::List(items) => {
                    texts.extend(items.iter().filter_map(Value::as_str).map(str::to_lowercase));
                }
                Value::Null => {}
                other => texts.push(other.to_string()),
            }
        }
        Ok(words.iter().all(|word| texts.iter().any(|text| text.contains(word))))
    }
}

/// One selector that many entities are tested with. Entities that share their names share the verdict.
pub(super) struct EntityFilter<'a> {
    pub test: &'a EntityTest,
    known: FxHashMap<EntityFacts, SelectorVerdict>,
    /// The verdict that was given last: neighbours are often alike.
    last: Option<(EntityFacts, SelectorVerdict)>,
}

impl<'a> EntityFilter<'a> {
    pub(super) fn new(test: &'a EntityTest) -> EntityFilter<'a> {
        EntityFilter { test, known: FxHashMap::default(), last: None }
    }

    /// The verdict on an entity by its names.
    pub(super) fn selected<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        facts: EntityFacts,
    ) -> SelectorVerdict {
        if let Some((known, verdict)) = self.last
            && known == facts
        {
            return verdict;
        }
        let test = self.test;
        let verdict = *self.known.entry(facts).or_insert_with(|| reader.selected(&facts, test));
        self.last = Some((facts, verdict));
        verdict
    }

    /// True if the names of an entity do not exclude it.
    pub(super) fn may<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        facts: EntityFacts,
    ) -> bool {
        self.selected(reader, facts) != SelectorVerdict::No
    }

    /// True if an entity is what the selector asks for.
    pub(super) fn fits<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        number: u32,
    ) -> QueryReadResult<bool, G> {
        let Some(facts) = reader.graph.entity_facts(number)? else { return Ok(false) };
        let selected = self.selected(reader, facts);
        reader.fits(number, self.test, selected)
    }
}
