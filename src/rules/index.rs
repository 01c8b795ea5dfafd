//! The rules in sorted arrays, to find the rules that speak of a verb and the ends that a class fits.
//!
//! The build script lays the built-in table into the program in this form, so a question need not read
//! it. A project's rules are indexed together with it when they are read.
//!
//!   words     folded spelling of a verb    its verb, and whether its arrow is turned round
//!   verbs     lists of rules               those that speak of the verb; the first that fits holds
//!   classes   folded class or type         the lists of classes that the class stands on
//!
//! The build script reads this file as well.

use super::written::{ImpactEffect, OwnershipKind, VerbFamily, WrittenRule, WrittenRules};
use crate::graph::{fold_name, fold_verb};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The number of a list of classes. An end of a rule fits if it has a class on the list.
pub type EndList = u16;

/// The number for an end that may be anything.
pub const ANY: EndList = EndList::MAX;

/// The list of the classes that can own.
pub const OWNERS: EndList = 0;

/// A spelling of a verb or class: the place of its folded text, and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpellingEntry {
    /// Position of its first byte in [`RuleIndex::text`].
    pub start: u32,
    /// Length of its text in bytes.
    pub len: u16,
    /// Number of the verb, or for a class the position of its first list in [`RuleIndex::ends`].
    pub first: u16,
    /// For a verb, 1 if the arrow is turned round; for a class, the number of its lists.
    pub more: u16,
}

/// The rules that speak of one verb, as ranges of [`RuleIndex::lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerbRules {
    /// Rules of impact.
    pub impact: (u16, u16),
    /// Rules of ownership.
    pub ownership: (u16, u16),
}

/// A rule in a list: its number, and the direction of its arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRef {
    /// Number of the rule.
    pub rule: u16,
    /// True if the rule speaks of the verb with its arrow turned round, so its ends change places.
    pub turned: bool,
}

/// A rule by the numbers of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedRule<M> {
    /// The list of classes for the from end.
    pub from: EndList,
    /// The list of classes for the to end.
    pub to: EndList,
    /// The meaning of a relationship between such ends.
    pub meaning: M,
}

/// The rules, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleIndex {
    /// All folded texts.
    pub text: Cow<'static, str>,
    /// Spellings of verbs, ascending.
    pub words: Cow<'static, [SpellingEntry]>,
    /// Verbs by number.
    pub verbs: Cow<'static, [VerbRules]>,
    /// Rules of each verb, in the order in which they are tried.
    pub lists: Cow<'static, [RuleRef]>,
    /// Rules of impact by number.
    pub impact: Cow<'static, [IndexedRule<ImpactEffect>]>,
    /// Rules of ownership by number.
    pub ownership: Cow<'static, [IndexedRule<OwnershipKind>]>,
    /// Classes and types, ascending.
    pub classes: Cow<'static, [SpellingEntry]>,
    /// The lists that classes stand on.
    pub ends: Cow<'static, [EndList]>,
    /// Number of lists of classes.
    pub end_count: u16,
}

impl RuleIndex {
    fn find(&self, words: &[SpellingEntry], folded: &str) -> Option<SpellingEntry> {
        let text =
            |word: &SpellingEntry| &self.text[word.start as usize..][..usize::from(word.len)];
        words.binary_search_by(|word| text(word).cmp(folded)).ok().map(|at| words[at])
    }

    /// The verb that a folded word means; true if its arrow is turned round. Stems are not tried.
    fn exactly(&self, folded: &str) -> Option<(u16, bool)> {
        self.find(&self.words, folded).map(|word| (word.first, word.more == 1))
    }

    /// The verb that a word means; true if its arrow is turned round. A known stem with `BY` behind it
    /// is always turned round: `OWNED_BY` is `OWNS` turned round even if no rule or family names it.
    pub fn verb(&self, word: &str) -> Option<(u16, bool)> {
        let folded = fold_verb(word);
        // A word that a file names wins over what its ending suggests.
        self.exactly(&folded).or_else(|| {
            let known = stems(&folded).into_iter().find_map(|stem| self.exactly(&stem));
            known.map(|(verb, turned)| (verb, !turned))
        })
    }

    /// The lists that a class or type stands on.
    pub fn lists_of(&self, class: &str) -> &[EndList] {
        match self.find(&self.classes, &fold_name(class)) {
            Some(word) => &self.ends[usize::from(word.first)..][..usize::from(word.more)],
            None => &[],
        }
    }

    /// Rules of impact that speak of a verb, in the order in which they are tried.
    pub fn impact_of(&self, verb: u16) -> &[RuleRef] {
        self.range(self.verbs[usize::from(verb)].impact)
    }

    /// Rules of ownership that speak of a verb.
    pub fn ownership_of(&self, verb: u16) -> &[RuleRef] {
        self.range(self.verbs[usize::from(verb)].ownership)
    }

    fn range(&self, (start, end): (u16, u16)) -> &[RuleRef] {
        &self.lists[usize::from(start)..usize::from(end)]
    }
}

/// True if a verb that no rule knows has its arrow turned round by its ending: `FROBBED_BY`.
pub fn is_inverse(verb: &str) -> bool {
    !stems(&fold_verb(verb)).is_empty()
}

/// The verbs of which a folded word that ends in `by` may be the inverse.
pub fn stems(folded: &str) -> Vec<String> {
    let Some(before) = folded.strip_suffix("by").filter(|before| before.len() > 2) else {
        return Vec::new();
    };
    let stem = before.strip_suffix("ed").or_else(|| before.strip_suffix('d')).unwrap_or(before);
    let mut stems = vec![format!("{stem}s"), format!("{stem}es"), stem.to_owned()];
    // `PLANNED_BY` is `PLANS` turned round. Irregular forms such as `BOUGHT_BY` find no known verb.
    let mut last = stem.chars().rev();
    if let (Some(a), Some(b)) = (last.next(), last.next())
        && a == b
    {
        let single = &stem[..stem.len() - a.len_utf8()];
        stems.extend([format!("{single}s"), single.to_owned()]);
    }
    stems.push(before.to_owned());
    stems
}

/// A verb while the index is made: the numbers of its rules.
#[derive(Default)]
struct VerbDraft {
    impact: Vec<u16>,
    ownership: Vec<u16>,
    /// The verb of its family, if this word has rules for itself alone; true if turned round from it.
    base: Option<(u16, bool)>,
}

#[derive(Default)]
struct RuleIndexBuilder {
    words: BTreeMap<String, (u16, bool)>,
    /// The words whose rules hold for a whole family.
    heads: BTreeSet<String>,
    verbs: Vec<VerbDraft>,
    /// Numbers of the lists of folded classes.
    lists: BTreeMap<Vec<String>, EndList>,
}

impl RuleIndex {
    /// Indexes the rules that files hold. It does not check names: the reader of a file has done so.
    pub fn build(written: &WrittenRules) -> RuleIndex {
        let mut builder = RuleIndexBuilder::default();
        // The first list gets number 0, which is `OWNERS`.
        let owners = builder.list(written, &written.owners);
        debug_assert_eq!(owners, OWNERS);
        // Families first: rules for the first word of a family have to find its verb.
        written.families.iter().for_each(|family| builder.family(family));
        let impact = builder.rows(written, &written.impact, |verb| &mut verb.impact);
        let ownership = builder.rows(written, &written.ownership, |verb| &mut verb.ownership);
        // These verbs have no rule, but the rules know their words.
        for verb in written.silent.iter().flat_map(|silent| &silent.verbs) {
            builder.head(verb);
        }
        let mut lists = Vec::new();
        let verbs = (0..builder.verbs.len())
            .map(|verb| VerbRules {
                impact: builder.list_by_priority(
                    verb,
                    &written.impact,
                    |verb| &verb.impact,
                    &mut lists,
                ),
                ownership: builder.list_by_priority(
                    verb,
                    &written.ownership,
                    |v| &v.ownership,
                    &mut lists,
                ),
            })
            .collect();
        let mut text = String::new();
        let words: Cow<'static, [SpellingEntry]> = (builder.words.iter())
            .map(|(word, (verb, turned))| {
                SpellingEntry::new(&mut text, word, *verb, u16::from(*turned))
            })
            .collect();
        let mut stands_on: BTreeMap<&str, Vec<EndList>> = BTreeMap::new();
        for (classes, list) in &builder.lists {
            for class in classes {
                stands_on.entry(class).or_default().push(*list);
            }
        }
        let mut ends = Vec::new();
        let classes = stands_on
            .into_iter()
            .map(|(class, mut on)| {
                on.sort_unstable();
                let first = ends.len() as u16;
                ends.extend(&on);
                SpellingEntry::new(&mut text, class, first, on.len() as u16)
            })
            .collect();
        RuleIndex {
            classes,
            text: Cow::Owned(text),
            words,
            verbs,
            lists: Cow::Owned(lists),
            impact: Cow::Owned(impact),
            ownership: Cow::Owned(ownership),
            ends: Cow::Owned(ends),
            end_count: builder.lists.len() as u16,
        }
    }
}

impl SpellingEntry {
    fn new(text: &mut String, word: &str, first: u16, more: u16) -> SpellingEntry {
        let start = text.len() as u32;
        text.push_str(word);
        SpellingEntry { start, len: word.len() as u16, first, more }
    }
}

impl RuleIndexBuilder {
    fn new_verb(&mut self, folded: &str) -> u16 {
        let verb = self.verbs.len() as u16;
        self.verbs.push(VerbDraft::default());
        self.words.insert(folded.to_owned(), (verb, false));
        self.heads.insert(folded.to_owned());
        verb
    }

    /// The verb of a word; true if turned round. A word that is not known yet becomes a verb.
    fn head(&mut self, word: &str) -> (u16, bool) {
        let folded = fold_verb(word);
        let known = self.words.get(&folded).copied();
        known.unwrap_or_else(|| (self.new_verb(&folded), false))
    }

    fn family(&mut self, family: &VerbFamily) {
        let (verb, turned) = self.head(&family.verb);
        for (words, turned) in [(&family.same, turned), (&family.inverse, !turned)] {
            for word in words {
                let folded = fold_verb(word);
                // A later family takes the word over; rules for it then hold for this word alone.
                self.heads.remove(&folded);
                self.words.insert(folded, (verb, turned));
            }
        }
    }

    /// The verb that gets the rules for `word`. A rule for the first word of a family holds for the
    /// whole family. A rule for another word holds for that word alone.
    fn verb_of_rules(&mut self, word: &str) -> u16 {
        let folded = fold_verb(word);
        let base = self.words.get(&folded).copied();
        if let Some((verb, false)) = base
            && self.heads.contains(&folded)
        {
            return verb;
        }
        let verb = self.new_verb(&folded);
        self.verbs[usize::from(verb)].base = base;
        if base.is_none() {
            // A rule for `FROBBED_BY` is one for `FROBS` turned round, unless `FROBS` is known already.
            for stem in stems(&folded) {
                self.words.entry(stem).or_insert((verb, true));
            }
        }
        verb
    }

    /// The number of a list of classes.
    fn list(&mut self, written: &WrittenRules, list: &[String]) -> EndList {
        if list.is_empty() {
            return ANY;
        }
        let mut folded: Vec<String> = written.classes(list).into_iter().map(fold_name).collect();
        // Equal lists get one number, whatever the order in which a file names the classes.
        folded.sort_unstable();
        folded.dedup();
        let next = self.lists.len() as EndList;
        *self.lists.entry(folded).or_insert(next)
    }

    fn rows<M: Copy>(
        &mut self,
        written: &WrittenRules,
        rules: &[WrittenRule<M>],
        of_verb: impl Fn(&mut VerbDraft) -> &mut Vec<u16>,
    ) -> Vec<IndexedRule<M>> {
        let mut rows = Vec::with_capacity(rules.len());
        for (number, rule) in (0u16..).zip(rules) {
            for verb in &rule.verbs {
                let verb = self.verb_of_rules(verb);
                let known = of_verb(&mut self.verbs[usize::from(verb)]);
                // A rule may name two spellings of one verb.
                if !known.contains(&number) {
                    known.push(number);
                }
            }
            let (from, to) = (self.list(written, &rule.from), self.list(written, &rule.to));
            rows.push(IndexedRule { from, to, meaning: rule.meaning });
        }
        rows
    }

    /// Appends the rules of a verb to `lists`, in the order in which they are tried. Rules that name
    /// more ends come first, then those of a project, then those for the word alone, then the order in
    /// the file decides.
    fn list_by_priority<M>(
        &self,
        verb: usize,
        rules: &[WrittenRule<M>],
        of_verb: impl Fn(&VerbDraft) -> &Vec<u16>,
        lists: &mut Vec<RuleRef>,
    ) -> (u16, u16) {
        let start = lists.len();
        let draft = &self.verbs[verb];
        let own = of_verb(draft).iter().map(|&rule| RuleRef { rule, turned: false });
        lists.extend(own);
        let own = lists.len() - start;
        // What the rules for the word alone leave open, those of its family decide.
        if let Some((base, turned)) = draft.base {
            let base = of_verb(&self.verbs[usize::from(base)]);
            lists.extend(base.iter().map(|&rule| RuleRef { rule, turned }));
        }
        // The position tells the rules for the word alone, which were appended first.
        let mut tried: Vec<(usize, RuleRef)> = lists.drain(start..).enumerate().collect();
        tried.sort_by_key(|(at, listed)| {
            let rule = &rules[usize::from(listed.rule)];
            let ends = usize::from(!rule.from.is_empty()) + usize::from(!rule.to.is_empty());
            (2 - ends, rule.built_in, *at >= own, listed.rule)
        });
        lists.extend(tried.into_iter().map(|(_, listed)| listed));
        (start as u16, lists.len() as u16)
    }
}
