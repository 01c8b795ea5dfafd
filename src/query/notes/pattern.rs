//! The step of a pattern that leads nowhere, and the changes with which it would lead somewhere.

use super::{
    AnswerExplainer, ConditionSample, ConditionSubject, NotesResult, SAMPLE, test_of, words,
};
use crate::graph::GraphRead;
use crate::query::access_path;
use crate::query::execute;
use crate::query::operators::CandidateCursor;
use crate::query::plan_words::hop_words;
use crate::query::resolved::*;
use crate::query::row_batch::NONE;
use crate::query::syntax::StepDirection;
use rustc_hash::FxHashSet;
use std::ops::ControlFlow;

/// Most matches that are looked at to describe what there is instead.
const MATCHES: usize = 5_000;

/// A query for the matches of a part of a pattern.
fn part(query: &ResolvedQuery, ops: &[PatternStep]) -> ResolvedQuery {
    ResolvedQuery {
        unique: false,
        shortest: None,
        ops: ops.to_vec(),
        filter: None,
        output: QueryOutput::List { order: Vec::new() },
        skip: 0,
        // One match is enough to know that there are any.
        limit: Some(1),
        reached: Vec::new(),
        ..query.clone()
    }
}

/// The slot of the entity from which the steps after `ops` go on.
fn end(ops: &[PatternStep]) -> RowSlot {
    ops.iter().fold(0, |at, step| match step {
        PatternStep::Hop(hop) => hop.to,
        PatternStep::Group { frontier, .. } => *frontier,
        PatternStep::Join(join) => join.to,
        PatternStep::Not(_) => at,
    })
}

/// The same test without its condition.
fn bare(test: &EntityTest) -> EntityTest {
    EntityTest { with: None, ..test.clone() }
}

fn anything() -> EntityTest {
    EntityTest { any: vec![SelectorKind::Any], scope: None, with: None }
}

/// The name of a smart class that is a tag, with its `#`; `None` for other kinds.
pub(super) fn tag(kind: &SelectorKind) -> Option<&str> {
    let SelectorKind::All(tests) = kind else { return None };
    let [EntityTest { with: Some(with), .. }] = tests.as_slice() else { return None };
    let leaf = super::leaves(with).first().copied()?;
    leaf.said.starts_with('#').then_some(leaf.said)
}

impl<G: GraphRead> AnswerExplainer<'_, G> {
    /// True if anything matches a part of a pattern.
    fn exists(&self, query: &ResolvedQuery, ops: &[PatternStep]) -> NotesResult<bool, G> {
        Ok(!execute::run(&self.reader, &part(query, ops))?.0.is_empty())
    }

    /// Matches of a part of a pattern.
    pub(super) fn matches(
        &self,
        query: &ResolvedQuery,
        ops: &[PatternStep],
    ) -> NotesResult<ConditionSample, G> {
        let part = part(query, ops);
        let mut sample =
            ConditionSample { things: Vec::new(), whole: true, name: "matches".to_owned() };
        execute::for_each_match(&self.reader, &part, |row| {
            sample.things.push(ConditionSubject::Row(row.to_owned()));
            Ok(match sample.things.len() < MATCHES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        sample.whole = sample.things.len() < MATCHES;
        if sample.things.len() == 1 {
            sample.name = "match".to_owned();
        }
        Ok(sample)
    }

    /// The different entities in one slot of matches.
    pub(super) fn entities(
        &self,
        matches: &ConditionSample,
        slot: RowSlot,
        name: String,
    ) -> ConditionSample {
        let mut seen = FxHashSet::default();
        let number = |thing: &ConditionSubject| match thing {
            ConditionSubject::Row(row) => Some(row.entities[slot]).filter(|n| *n != NONE),
            ConditionSubject::Subject(_) | ConditionSubject::Columns(_) => None,
        };
        let numbers =
            matches.things.iter().filter_map(number).filter(|number| seen.insert(*number));
        ConditionSample {
            things: numbers.map(ConditionSubject::Subject).collect(),
            whole: matches.whole,
            name,
        }
    }

    /// At most `most` entities of the kinds and the scope that a selector names, without its condition.
    pub(super) fn of_kind(
        &self,
        test: &EntityTest,
        most: usize,
    ) -> NotesResult<ConditionSample, G> {
        let test = bare(test);
        let mut sample = ConditionSample { things: Vec::new(), whole: true, name: words(&test) };
        let access = access_path::access(&self.reader, &test)?;
        let mut candidates = CandidateCursor::new(&access);
        while let Some((number, facts)) = candidates.next(&self.reader, |_| true)? {
            let selected = self.reader.selected(&facts, &test);
            self.reader.work(1)?;
            if facts.live && self.reader.fits(number, &test, selected)? {
                if sample.things.len() >= most {
                    sample.whole = false;
                    break;
                }
                sample.things.push(ConditionSubject::Subject(number));
            }
        }
        Ok(sample)
    }

    /// Adds a note on the part of the pattern that leaves nothing; false if all of it matches.
    pub(super) fn empty_pattern(&mut self, query: &ResolvedQuery) -> NotesResult<bool, G> {
        if self.exists(query, &query.ops)? {
            return Ok(false);
        }
        if !self.exists(query, &[])? {
            self.empty_start(query)?;
            return Ok(true);
        }
        // The shortest beginning without a match ends with the step that is to blame.
        for at in 0..query.ops.len() {
            if !self.exists(query, &query.ops[..=at])? {
                self.empty_step(query, at)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn empty_start(&mut self, query: &ResolvedQuery) -> NotesResult<(), G> {
        let sample = self.of_kind(&query.start, SAMPLE)?;
        if sample.things.is_empty() && self.empty_smart(&query.start, query)? {
            return Ok(());
        }
        if sample.things.is_empty() {
            let scope = query.start.scope.as_ref().map(|scope| format!(" in scope `{scope}`"));
            let what = match query.start.any.as_slice() {
                [SelectorKind::Any] => "there are no entities".to_owned(),
                [SelectorKind::Words(words)] => format!("nothing holds '{}'", words.join(" ")),
                [kind] if tag(kind).is_some() => {
                    let tag = tag(kind).unwrap_or_default();
                    let name = tag.trim_start_matches('#');
                    format!(
                        "nothing fits `{tag}`: no `tags` hold '{name}', no `tag.{name}` is true"
                    )
                }
                any if any.iter().any(|kind| matches!(kind, SelectorKind::All(_))) => {
                    "nothing fits the smart class".to_owned()
                }
                _ => format!(
                    "there is no {}",
                    words(&bare(&EntityTest { scope: None, ..query.start.clone() }))
                ),
            };
            self.say(false, format!("{what}{}", scope.unwrap_or_default()));
            return Ok(());
        }
        if let Some(with) = &query.start.with {
            self.passes(with, &sample, "WITH", query)?;
        }
        Ok(())
    }

    /// Adds notes on the parts of a smart class's definition that leave nothing; false if there are none.
    fn empty_smart(&mut self, test: &EntityTest, query: &ResolvedQuery) -> NotesResult<bool, G> {
        let before = self.notes.len();
        for kind in &test.any {
            let SelectorKind::All(tests) = kind else { continue };
            for test in tests.iter().filter(|_| tag(kind).is_none()) {
                let sample = self.of_kind(test, SAMPLE)?;
                match &test.with {
                    _ if sample.things.is_empty() => {
                        self.empty_smart(test, query)?;
                    }
                    Some(with) => {
                        self.passes(with, &sample, "the smart class WITH", query)?;
                    }
                    None => {}
                }
            }
        }
        Ok(self.notes.len() > before)
    }

    fn empty_step(&mut self, query: &ResolvedQuery, at: usize) -> NotesResult<(), G> {
        let (before, step) = (&query.ops[..at], &query.ops[at]);
        let slot = end(before);
        let name = test_of(query, slot).map_or_else(|| "*".to_owned(), words);
        let left = self.entities(&self.matches(query, before)?, slot, name);
        match step {
            PatternStep::Hop(hop) => self.empty_hop(query, before, hop, &left),
            PatternStep::Not(steps) => {
                let what = match steps.as_slice() {
                    [PatternStep::Hop(hop)] => Self::step_words(hop, true),
                    [PatternStep::Hop(hop), ..] => format!("{} ...", Self::step_words(hop, true)),
                    [PatternStep::Join(join), ..] => {
                        format!("THAT !MATCHES {}", words(&join.target))
                    }
                    _ => "THAT !(...)".to_owned(),
                };
                let text = format!(
                    "`{what}` excludes all of {}: each has what must not be there",
                    left.counted()
                );
                self.say(false, text);
                Ok(())
            }
            PatternStep::Join(join) => self.empty_join(query, join, &left),
            PatternStep::Group { .. } => {
                self.say(
                    false,
                    format!("the steps in brackets lead nowhere from {}", left.counted()),
                );
                Ok(())
            }
        }
    }

    fn empty_join(
        &mut self,
        query: &ResolvedQuery,
        join: &ValueJoin,
        left: &ConditionSample,
    ) -> NotesResult<(), G> {
        let targets = self.of_kind(&join.target, SAMPLE)?;
        let name = words(&join.target);
        if let Some(with) = &join.target.with
            && !self.passes(with, &targets, &format!("{name} WITH"), query)?
        {
            return Ok(());
        }
        let theirs = self.values(PropertyOwner::Subject, &join.property, &targets)?;
        if theirs.present == 0
            && let Some(text) =
                self.absent(PropertyOwner::Subject, &join.property, &name, &targets)?
        {
            self.say(true, text);
            return Ok(());
        }
        if let ScalarExpr::Property(_, property) = &join.value {
            let ours = self.values(PropertyOwner::Subject, property, left)?;
            if ours.present == 0
                && let Some(text) =
                    self.absent(PropertyOwner::Subject, property, &left.name, left)?
            {
                self.say(true, text);
                return Ok(());
            }
        }
        let text = format!(
            "{} and {} have no common value: `{}`",
            left.counted(),
            targets.counted(),
            super::said(&join.on)
        );
        self.say(false, text);
        Ok(())
    }

    fn empty_hop(
        &mut self,
        query: &ResolvedQuery,
        before: &[PatternStep],
        hop: &ExpandStep,
        left: &ConditionSample,
    ) -> NotesResult<(), G> {
        let with = |hop: ExpandStep| [before, &[PatternStep::Hop(Box::new(hop))]].concat();
        let target = words(&hop.target);
        if self.of_kind(&hop.target, 1)?.things.is_empty()
            && self.empty_smart(&hop.target, query)?
        {
            return Ok(());
        }
        // One constraint after the other is lifted: the first that lets matches through is the reason.
        let plain = ExpandStep { target: bare(&hop.target), ..hop.clone() };
        if let Some(cond) = &hop.target.with {
            let ops = with(plain.clone());
            if self.exists(query, &ops)? {
                let reached = self.entities(&self.matches(query, &ops)?, hop.to, target.clone());
                self.passes(cond, &reached, &format!("{target} WITH"), query)?;
                return Ok(());
            }
        }
        let either = either_way(&plain);
        if self.other_way(query, &with, (hop, &either), left)?
            || self.other_scope(query, &with, (hop, &plain))?
        {
            return Ok(());
        }
        // The rules look at both ends, so there is no single verb to suggest.
        if hop.verbs.iter().flatten().any(|verb| verb.set.is_some()) {
            let ops = with(ExpandStep { target: anything(), ..plain.clone() });
            let (step, stop) = (Self::step_words(hop, false), self.stop(query, &ops, hop, left)?);
            self.say(false, format!("`{step}` leads nowhere from {}; {stop}", left.counted()));
            return Ok(());
        }
        self.other_steps(query, &with, (hop, &plain, either), left)
    }

    /// True, with a note, if a step that leads nowhere runs in the other direction.
    fn other_way(
        &mut self,
        query: &ResolvedQuery,
        with: &impl Fn(ExpandStep) -> Vec<PatternStep>,
        (hop, either): (&ExpandStep, &ExpandStep),
        left: &ConditionSample,
    ) -> NotesResult<bool, G> {
        let turned = hop.arrow != StepDirection::Both || !either_same(hop);
        if !turned || !self.exists(query, &with(either.clone()))? {
            return Ok(false);
        }
        let way = match hop.arrow {
            StepDirection::Out => ": write `<<`",
            StepDirection::In => ": write `>>`",
            StepDirection::Both => "",
        };
        let step = Self::step_words(hop, false);
        let text = format!(
            "`{step}` leads nowhere from {}; it runs in the other direction{way}",
            left.counted()
        );
        self.say(true, text);
        Ok(true)
    }

    /// True, with a note, if a step that leads nowhere is there in another scope, or leads to one.
    fn other_scope(
        &mut self,
        query: &ResolvedQuery,
        with: &impl Fn(ExpandStep) -> Vec<PatternStep>,
        (hop, plain): (&ExpandStep, &ExpandStep),
    ) -> NotesResult<bool, G> {
        let step = Self::step_words(hop, false);
        if let Some(scope) = &hop.scope
            && self.exists(query, &with(ExpandStep { scope: None, ..plain.clone() }))?
        {
            self.say(false, format!("`{step}` is there, but in no scope `{scope}`"));
            return Ok(true);
        }
        let Some(scope) = &hop.target.scope else { return Ok(false) };
        let elsewhere = EntityTest { scope: None, ..plain.target.clone() };
        let found = self.exists(query, &with(ExpandStep { target: elsewhere, ..plain.clone() }))?;
        if found {
            self.say(false, format!("`{step}` leads to entities of other scopes than `{scope}`"));
        }
        Ok(found)
    }

    /// Adds a note on the verbs and kinds that there are in place of a step that leads nowhere.
    fn other_steps(
        &mut self,
        query: &ResolvedQuery,
        with: &impl Fn(ExpandStep) -> Vec<PatternStep>,
        (hop, plain, either): (&ExpandStep, &ExpandStep, ExpandStep),
        left: &ConditionSample,
    ) -> NotesResult<(), G> {
        let (step, target) = (Self::step_words(hop, false), words(&hop.target));
        let nowhere = format!("`{step}` leads nowhere from {}", left.counted());
        if hop.verbs.is_some() {
            let ops = with(ExpandStep { verbs: None, by: None, ..either.clone() });
            if self.exists(query, &ops)? {
                let verbs = self.verbs_of(&self.matches(query, &ops)?, hop)?;
                self.say(false, format!("{nowhere}; what joins them to {target} is {verbs}"));
                return Ok(());
            }
        }
        let ops = with(ExpandStep { target: anything(), ..plain.clone() });
        if self.exists(query, &ops)? {
            let kinds = self.kinds_of(&self.matches(query, &ops)?, hop)?;
            self.say(false, format!("{nowhere}; `{}` leads to {kinds}", hop_words(hop)));
            return Ok(());
        }
        let any = ExpandStep {
            target: anything(),
            verbs: None,
            by: None,
            via: None,
            repeat: None,
            ..either
        };
        let matches = self.matches(query, &with(any))?;
        let have = match matches.things.is_empty() {
            true => "they have no relationships at all".to_owned(),
            false => format!("their relationships are {}", self.verbs_of(&matches, hop)?),
        };
        self.say(false, format!("{nowhere}; {have}"));
        Ok(())
    }

    /// Words for the entities that a step by the rules reaches, and for the relationships that leave them
    /// and were not followed.
    fn stop(
        &self,
        query: &ResolvedQuery,
        ops: &[PatternStep],
        hop: &ExpandStep,
        left: &ConditionSample,
    ) -> NotesResult<String, G> {
        let mut within: FxHashSet<u32> = FxHashSet::default();
        // The beginnings count as reached, so that relationships among them are not listed.
        within.extend(left.things.iter().filter_map(|thing| thing.sight().subject));
        let part = part(query, ops);
        let mut reached = ConditionSample { things: Vec::new(), whole: true, name: String::new() };
        execute::for_each_match(&self.reader, &part, |row| {
            let number = row.entities[hop.to];
            if within.insert(number) {
                self.reader.room(within.len())?;
                reached.things.push(ConditionSubject::Subject(number));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let leaving = self.leaving(&within)?;
        let reaches = match reached.things.is_empty() {
            true => String::new(),
            false => format!("it reaches {}; ", self.kinds_among(&reached)?),
        };
        Ok(match leaving.is_empty() {
            true => format!("{reaches}nothing else is joined to that"),
            false => format!("{reaches}not followed: {leaving}"),
        })
    }
}

/// The same step in both directions. Verbs lose their own directions as well, or they would still go
/// one way only.
fn either_way(hop: &ExpandStep) -> ExpandStep {
    let both = |verbs: &Option<Vec<ResolvedVerb>>| {
        let turned = |verb: &ResolvedVerb| ResolvedVerb { arrow: None, ..verb.clone() };
        verbs.as_ref().map(|all| all.iter().map(turned).collect())
    };
    ExpandStep {
        arrow: StepDirection::Both,
        verbs: both(&hop.verbs),
        by: both(&hop.by),
        ..hop.clone()
    }
}

/// True if no verb of a step has a direction of its own.
fn either_same(hop: &ExpandStep) -> bool {
    let all = hop.verbs.iter().chain(&hop.by).flatten();
    all.into_iter().all(|verb| verb.arrow.is_none())
}
