//! The rules in the numbers of one graph, with a cache of their answers.
//!
//! Entities of the same classes and type are of one *kind*: the same rules fit them. There are few
//! kinds and few verbs, so the rule between two kinds is found once and looked up from then on. Where
//! the other end of a relationship makes no difference, it is not looked at.

use super::RuleTable;
use super::impact_state::{ImpactFilter, StateTransitions};
use super::index::{ANY, OWNERS, RuleIndex, RuleRef};
use super::written::{ImpactEffect, OwnershipKind};
use crate::graph::{CLASS_SEPARATOR, EdgeDirection, EntityFacts, NameLookup};
use rustc_hash::FxHashMap;

/// The number of a kind: of entities that the same rules fit.
pub type EntityKind = u32;

/// The states that a relationship between two kinds passes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImpactCell {
    /// The states passed with the arrow, then those passed against it.
    pub passing: [StateTransitions; 2],
    /// True if a rule holds, even one that passes nothing.
    pub ruled: bool,
}

impl ImpactCell {
    /// Everything that either of them passes on; ruled if both are.
    fn or(self, other: ImpactCell) -> ImpactCell {
        let passing = [0, 1].map(|way| self.passing[way].or(other.passing[way]));
        ImpactCell { passing, ruled: self.ruled && other.ruled }
    }
}

/// The knowledge about a step before its other end is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartialEvaluation<T> {
    /// The answer, which is the same for every other end.
    Known(T),
    /// The most that can come of it. The answer depends on the kind of the other end.
    Asks(T),
}

/// [`RuleTable`] in the numbers of one graph.
pub struct BoundRules {
    rules: RuleTable,
    trouble: ImpactFilter,
    /// Name numbers of verbs that pass nothing, whatever the rules say.
    left_out: Vec<u32>,
    /// The lists that entities of each kind stand on, as bits.
    kinds: Vec<Box<[u64]>>,
    numbers: FxHashMap<Box<[u64]>, EntityKind>,
    known: FxHashMap<(u32, u32), EntityKind>,
    /// Verbs by name number; `None` where the rules do not know the word.
    verbs: FxHashMap<u32, Option<(u16, bool)>>,
    cells: FxHashMap<(u32, EntityKind, EntityKind), ImpactCell>,
    ahead: FxHashMap<(u32, EdgeDirection, EntityKind), PartialEvaluation<ImpactCell>>,
    owning: FxHashMap<(u32, EntityKind, EntityKind), Option<(OwnershipKind, bool)>>,
    owning_ahead: FxHashMap<
        (u32, EdgeDirection, EntityKind),
        PartialEvaluation<Option<(OwnershipKind, bool)>>,
    >,
}

impl BoundRules {
    /// Binds the rules to one graph, for questions that follow `trouble`.
    pub fn new(rules: &RuleTable, trouble: ImpactFilter) -> BoundRules {
        BoundRules {
            rules: rules.clone(),
            trouble,
            left_out: Vec::new(),
            kinds: Vec::new(),
            numbers: FxHashMap::default(),
            known: FxHashMap::default(),
            verbs: FxHashMap::default(),
            cells: FxHashMap::default(),
            ahead: FxHashMap::default(),
            owning: FxHashMap::default(),
            owning_ahead: FxHashMap::default(),
        }
    }

    /// Leaves out some verbs, by name number: they pass nothing.
    #[must_use]
    pub fn without(mut self, verbs: &[u32]) -> BoundRules {
        self.left_out = verbs.to_vec();
        self
    }

    fn index(&self) -> &RuleIndex {
        self.rules.index()
    }

    /// The kind of an entity.
    pub fn kind(&mut self, names: &impl NameLookup, facts: &EntityFacts) -> EntityKind {
        let key = (facts.type_name, facts.classes);
        if let Some(&kind) = self.known.get(&key) {
            return kind;
        }
        let mut bits = vec![0u64; usize::from(self.index().end_count).div_ceil(64)];
        let classes = names.name(facts.classes).split(CLASS_SEPARATOR);
        // A rule names types as it names classes, so both count alike.
        for class in classes.chain([names.name(facts.type_name)]) {
            for &list in self.index().lists_of(class) {
                bits[usize::from(list) / 64] |= 1 << (list % 64);
            }
        }
        let kind = self.kind_of(bits);
        self.known.insert(key, kind);
        kind
    }

    /// The kind of an entity of which nothing is known. Only rules for any end fit it.
    pub fn unknown_kind(&mut self) -> EntityKind {
        self.kind_of(vec![0; usize::from(self.index().end_count).div_ceil(64)])
    }

    fn kind_of(&mut self, lists: Vec<u64>) -> EntityKind {
        let (lists, next) = (lists.into_boxed_slice(), self.kinds.len() as EntityKind);
        // Other names that stand on the same lists make the same kind, which keeps kinds few.
        let kind = *self.numbers.entry(lists.clone()).or_insert(next);
        if kind == next {
            self.kinds.push(lists);
        }
        kind
    }

    /// True if an entity of this kind can own.
    pub fn can_own(&self, kind: EntityKind) -> bool {
        self.kind_matches(kind, OWNERS)
    }

    fn kind_matches(&self, kind: EntityKind, list: u16) -> bool {
        list == ANY || self.kinds[kind as usize][usize::from(list) / 64] >> (list % 64) & 1 == 1
    }

    fn verb(&mut self, names: &impl NameLookup, verb: u32) -> Option<(u16, bool)> {
        if let Some(&known) = self.verbs.get(&verb) {
            return known;
        }
        let found = self.index().verb(names.name(verb));
        self.verbs.insert(verb, found);
        found
    }

    /// The meaning of relationships with this verb between two kinds, by the first rule that fits; `None`
    /// if no rule does.
    pub fn meaning(
        &mut self,
        names: &impl NameLookup,
        verb: u32,
        from: EntityKind,
        to: EntityKind,
    ) -> Option<ImpactEffect> {
        let found = self.verb(names, verb)?;
        let index = self.index();
        index.impact_of(found.0).iter().find_map(|listed| {
            let row = &index.impact[usize::from(listed.rule)];
            // Turned twice is not turned: by the word of the graph, and by the word of the rule.
            let turned = listed.turned != found.1;
            let (from, to) = if turned { (to, from) } else { (from, to) };
            let fits = self.kind_matches(from, row.from) && self.kind_matches(to, row.to);
            fits.then(|| oriented_effect(row.meaning, turned))
        })
    }

    /// The states that relationships with this verb between two kinds pass on.
    pub fn cell(
        &mut self,
        names: &impl NameLookup,
        verb: u32,
        from: EntityKind,
        to: EntityKind,
    ) -> ImpactCell {
        if let Some(&cell) = self.cells.get(&(verb, from, to)) {
            return cell;
        }
        let cell = match self.left_out.contains(&verb) {
            // Ruled, so that the answer does not list the verb among those without a rule.
            true => ImpactCell { ruled: true, ..ImpactCell::default() },
            false => {
                let holds = self.meaning(names, verb, from, to);
                self.cell_of(holds)
            }
        };
        self.cells.insert((verb, from, to), cell);
        cell
    }

    fn cell_of(&self, holds: Option<ImpactEffect>) -> ImpactCell {
        holds.map_or(ImpactCell::default(), |impact| ImpactCell {
            passing: [EdgeDirection::Out, EdgeDirection::In]
                .map(|direction| StateTransitions::new(impact, direction, self.trouble)),
            ruled: true,
        })
    }

    /// The knowledge about an edge of an entity of kind `here`, looked at in `direction`, before its
    /// other end is looked at.
    pub fn ahead(
        &mut self,
        names: &impl NameLookup,
        verb: u32,
        direction: EdgeDirection,
        here: EntityKind,
    ) -> PartialEvaluation<ImpactCell> {
        let key = (verb, direction, here);
        if let Some(&known) = self.ahead.get(&key) {
            return known;
        }
        let ahead = match self.verb(names, verb) {
            // Before the rules: a verb that is left out passes nothing, known or not.
            _ if self.left_out.contains(&verb) => {
                PartialEvaluation::Known(ImpactCell { ruled: true, ..ImpactCell::default() })
            }
            None => PartialEvaluation::Known(ImpactCell::default()),
            Some((verb, turned)) => {
                let index = self.index();
                let rows = index.impact_of(verb).iter().map(|listed| {
                    let row = &index.impact[usize::from(listed.rule)];
                    let turned = listed.turned != turned;
                    let ends = if turned { (row.to, row.from) } else { (row.from, row.to) };
                    (ends, self.cell_of(Some(oriented_effect(row.meaning, turned))))
                });
                let all = self.possible_meanings(rows, direction, here, ImpactCell::default());
                match all.iter().all(|cell| *cell == all[0]) {
                    true => PartialEvaluation::Known(all[0]),
                    false => PartialEvaluation::Asks(all.iter().fold(all[0], |a, b| a.or(*b))),
                }
            }
        };
        self.ahead.insert(key, ahead);
        ahead
    }

    /// The answers of all rules that can hold, seen from an end of kind `here`; `without` is among them
    /// if it may be that no rule holds. There is at least one answer.
    fn possible_meanings<T>(
        &self,
        rows: impl Iterator<Item = ((u16, u16), T)>,
        direction: EdgeDirection,
        here: EntityKind,
        without: T,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for ((from, to), meaning) in rows {
            let (near, far) = if direction == EdgeDirection::Out { (from, to) } else { (to, from) };
            if self.kind_matches(here, near) {
                all.push(meaning);
                // This rule fits every other end, so those behind it are never reached.
                if far == ANY {
                    return all;
                }
            }
        }
        all.push(without);
        all
    }

    /// The meaning of a relationship for owners; true if its holder is the to end.
    pub fn owning(
        &mut self,
        names: &impl NameLookup,
        verb: u32,
        from: EntityKind,
        to: EntityKind,
    ) -> Option<(OwnershipKind, bool)> {
        if let Some(&known) = self.owning.get(&(verb, from, to)) {
            return known;
        }
        let found = self.verb(names, verb).and_then(|(verb, turned)| {
            let index = self.index();
            index.ownership_of(verb).iter().find_map(|listed: &RuleRef| {
                let row = &index.ownership[usize::from(listed.rule)];
                let turned = listed.turned != turned;
                let (from, to) = if turned { (to, from) } else { (from, to) };
                let fits = self.kind_matches(from, row.from) && self.kind_matches(to, row.to);
                fits.then_some((row.meaning, turned))
            })
        });
        self.owning.insert((verb, from, to), found);
        found
    }

    /// The knowledge about [`BoundRules::owning`] before the other end of an edge is looked at.
    pub fn owning_near_end(
        &mut self,
        names: &impl NameLookup,
        verb: u32,
        direction: EdgeDirection,
        here: EntityKind,
    ) -> PartialEvaluation<Option<(OwnershipKind, bool)>> {
        let key = (verb, direction, here);
        if let Some(&known) = self.owning_ahead.get(&key) {
            return known;
        }
        let ahead = match self.verb(names, verb) {
            None => PartialEvaluation::Known(None),
            Some((verb, turned)) => {
                let index = self.index();
                let rows = index.ownership_of(verb).iter().map(|listed| {
                    let row = &index.ownership[usize::from(listed.rule)];
                    let turned = listed.turned != turned;
                    let ends = if turned { (row.to, row.from) } else { (row.from, row.to) };
                    (ends, Some((row.meaning, turned)))
                });
                let all = self.possible_meanings(rows, direction, here, None);
                match all.iter().all(|owning| *owning == all[0]) {
                    true => PartialEvaluation::Known(all[0]),
                    // Unlike states, owners have no upper bound that could spare the look.
                    false => PartialEvaluation::Asks(None),
                }
            }
        };
        self.owning_ahead.insert(key, ahead);
        ahead
    }
}

fn oriented_effect(impact: ImpactEffect, turned: bool) -> ImpactEffect {
    if turned { impact.turned() } else { impact }
}
