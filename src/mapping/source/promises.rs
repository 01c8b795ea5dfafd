//! The promises of a source about what its rows make. That of a query needs the graph as planned.

use super::model::{SourceFile, SourceGuard, SourceTest, SourceTestQuestion};
use super::resolved::ResolvedSource;
use crate::lang::Diagnostic;
use crate::mapping::format::format_age;
use crate::mapping::model::TestOutcome;
use crate::mapping::promise::{guard_age, guard_percent, guard_whole, listed_offenders};
use std::time::Duration;

/// The guards of a source that one run can override, in the order of the format.
const OVERRIDES: [&str; 9] = [
    "min_rows",
    "min_entities",
    "max_delete_percent",
    "max_delete",
    "max_create",
    "max_missing_percent",
    "max_objects",
    "max_age",
    "fresh",
];

impl SourceGuard {
    /// Sets a guard for one run, as `--override NAME=VALUE` says it.
    ///
    /// # Errors
    ///
    /// Words that say what is allowed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "min_rows" => self.min_rows = guard_whole(name, value)?,
            "min_entities" => self.min_entities = guard_whole(name, value)?,
            "max_delete_percent" => self.max_delete_percent = Some(guard_percent(name, value)?),
            "max_delete" => self.max_delete = Some(guard_whole(name, value)?),
            "max_create" => self.max_create = Some(guard_whole(name, value)?),
            "max_missing_percent" => self.max_missing_percent = Some(guard_percent(name, value)?),
            "max_objects" => self.max_objects = guard_whole(name, value)?,
            "max_age" => self.max_age = Some(guard_age(name, value)?),
            "fresh" => {
                let age = guard_age(name, value)?;
                for fresh in &mut self.fresh {
                    fresh.age = age;
                    fresh.age_written = value.to_owned();
                }
            }
            _ => {
                return Err(format!(
                    "there is no guard `{name}`; there are {}",
                    OVERRIDES.join(", ")
                ));
            }
        }
        Ok(())
    }
}

impl SourceTest {
    /// The outcome, as far as it can be told without a graph.
    pub(super) fn outcome(&self, resolved: &ResolvedSource) -> TestOutcome {
        let verdict = |kept: bool, words: String| match kept {
            true => TestOutcome::Yes,
            false => TestOutcome::No(words, Vec::new()),
        };
        match &self.ask {
            SourceTestQuestion::Entity { key, there } => {
                let words = if *there { "no row makes it" } else { "a row makes it" };
                verdict(resolved.entity_keyed(key).is_some() == *there, words.to_owned())
            }
            SourceTestQuestion::Edge { from, to, there } => {
                let words = if *there { "no item makes it" } else { "an item makes it" };
                let ends = resolved.ends(from, to);
                let made = ends.is_some_and(|(from, to)| resolved.relationships.links(from, to));
                verdict(made == *there, words.to_owned())
            }
            SourceTestQuestion::Type { type_name, count: (least, most), expect } => {
                let types = resolved.entity_types();
                let found = types.iter().find(|(name, _)| name == type_name).map_or(0, |(_, n)| *n);
                let kept = least.is_none_or(|least| found >= least)
                    && most.is_none_or(|most| found <= most);
                verdict(kept, format!("{found} are made, expected {expect}"))
            }
            SourceTestQuestion::Query { .. } => TestOutcome::Yes,
        }
    }
}

impl SourceFile {
    /// The fault of a promise that is broken; `None` if it is kept.
    pub fn test_diagnostic(
        &self,
        promise: &SourceTest,
        outcome: &TestOutcome,
    ) -> Option<Diagnostic> {
        let (words, offenders) = match outcome {
            TestOutcome::Yes => return None,
            TestOutcome::But(words) => {
                let words = format!("test \"{}\" holds, but: {words}", promise.name);
                let fault = Diagnostic::warning("M0701", &self.source, words);
                return Some(fault.at(promise.span.clone(), ""));
            }
            TestOutcome::No(words, offenders) => (words, offenders),
        };
        let words = format!("test \"{}\" failed: {words}", promise.name);
        let fault = match promise.strict {
            true => Diagnostic::error("M0701", &self.source, words),
            false => Diagnostic::warning("M0701", &self.source, words),
        };
        let fault = fault.at(promise.span.clone(), "");
        let listed = listed_offenders(offenders);
        Some(listed.into_iter().fold(fault, |fault, offender| fault.note(offender)))
    }

    /// The refusals of the guards on rows, entities, references and freshness.
    ///
    /// `last_finalize` gives the time when a scope was last finalized. It and `now` are epoch
    /// milliseconds.
    ///
    /// # Errors
    ///
    /// Those of `last_finalize`.
    pub fn refusals<E>(
        &self,
        resolved: &ResolvedSource,
        mut last_finalize: impl FnMut(&str) -> Result<Option<i64>, E>,
        now: i64,
    ) -> Result<Vec<Diagnostic>, E> {
        use super::account::SourceOutcome as O;
        let mut refusals = Vec::new();
        let (rows, least) = (resolved.count.rows, self.guard.min_rows);
        if rows < least {
            let read = if rows == 1 { "1 row was".to_owned() } else { format!("{rows} rows were") };
            let words = format!("refused: {read} read; the limit is {least}");
            refusals.push(self.refusal("M0602", words, "min_rows", "0"));
        }
        let (entities, least) = (resolved.entity_count() as u64, self.guard.min_entities);
        if entities < least {
            let words = format!("refused: the rows make {entities} entities; the limit is {least}");
            refusals.push(self.refusal("M0602", words, "min_entities", &entities.to_string()));
        }
        if let Some(limit) = self.guard.max_missing_percent {
            let dangling = resolved.count.of(O::Dangling);
            let asked = resolved.count.relationship_items()
                - resolved.count.of(O::FilteredEdge)
                - resolved.count.of(O::NoReference);
            let percent = dangling as f64 * 100.0 / asked.max(1) as f64;
            if percent > limit {
                let words = format!(
                    "refused: {dangling} of {asked} references ({percent:.0} %) dangle; the limit is {limit} %"
                );
                let allow = format!("{}", (percent.ceil() as u64).min(100));
                refusals.push(self.refusal("M0605", words, "max_missing_percent", &allow));
            }
        }
        for fresh in &self.guard.fresh {
            let last = last_finalize(&fresh.scope)?;
            let age =
                last.map(|last| Duration::from_millis(now.saturating_sub(last).max(0) as u64));
            if age.is_some_and(|age| age <= fresh.age) {
                continue;
            }
            let (scope, limit) = (&fresh.written, &fresh.age_written);
            let state = match age {
                Some(age) => format!("was last synchronised {} ago", format_age(age)),
                None => "was never synchronised".to_owned(),
            };
            let words = format!("refused: scope `{scope}` {state}; `fresh` asks for {limit}");
            refusals.push(match age {
                Some(_) => self.refusal("M0603", words, "fresh", "7d"),
                // No age is large enough for a scope that has none.
                None => Diagnostic::error("M0603", &self.source, words)
                    .at(self.scope_span.clone(), "")
                    .help(format!("synchronise `{scope}` first, or take it out of `fresh`")),
            });
        }
        Ok(refusals)
    }

    /// The refusal of a guard on what the job would change.
    pub fn refuse_change(&self, guard: &str, words: &str, allow: &str) -> Diagnostic {
        self.refusal("M0601", words.to_owned(), guard, allow)
    }

    fn refusal(&self, code: &'static str, words: String, guard: &str, value: &str) -> Diagnostic {
        let document = toml::de::DeTable::parse(&self.source.text).ok();
        let table = document.as_ref().and_then(|d| d.get_ref().get("guard"));
        let written = table.and_then(|t| t.get_ref().as_table()?.get(guard)).map(|v| v.span());
        let place = written.unwrap_or_else(|| self.scope_span.clone());
        let fault = Diagnostic::error(code, &self.source, words).at(place, "");
        let set = format!("--override {guard}={value} --reason \"...\"");
        let file = self.file.display();
        fault.help(match self.is_built_in {
            true => format!("if this is meant: import again with {set}"),
            false => format!("if this is meant: tombolo apply {file} {set}"),
        })
    }
}
