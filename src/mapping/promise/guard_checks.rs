//! The guards of a mapping that need only its rows and the times of its scopes, and their
//! overrides. The guards on deletions and creations run where the job is planned.

use crate::lang::Diagnostic;
use crate::mapping::format::{format_age, parse_age};
use crate::mapping::model::{Mapping, MappingGuard, PairSource};
use crate::mapping::resolve::{ResolvedMapping, RowCount, RowOutcome};
use std::time::Duration;

/// The guards that one run can override, in the order of the format.
pub const OVERRIDES: [&str; 9] = [
    "min_rows",
    "min_edges",
    "max_delete_percent",
    "max_delete",
    "max_create",
    "max_edges",
    "max_missing_percent",
    "max_age",
    "fresh",
];

/// The whole number that a guard is set to.
pub(in crate::mapping) fn guard_whole(name: &str, value: &str) -> Result<u64, String> {
    value.parse::<u64>().map_err(|_| format!("`{name}` takes a whole number, not `{value}`"))
}

/// The share that a guard is set to.
pub(in crate::mapping) fn guard_percent(name: &str, value: &str) -> Result<f64, String> {
    match value.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err(format!("`{name}` takes a number from 0 to 100, not `{value}`")),
    }
}

/// The age that a guard is set to.
pub(in crate::mapping) fn guard_age(name: &str, value: &str) -> Result<Duration, String> {
    parse_age(value).ok_or_else(|| format!("`{name}` takes an age such as 36h, not `{value}`"))
}

impl MappingGuard {
    /// Sets a guard for one run, as `--override NAME=VALUE` says it.
    ///
    /// # Errors
    ///
    /// Words that say what is allowed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "min_rows" => self.min_rows = guard_whole(name, value)?,
            "min_edges" => self.min_edges = guard_whole(name, value)?,
            "max_delete_percent" => self.max_delete_percent = guard_percent(name, value)?,
            "max_delete" => self.max_delete = Some(guard_whole(name, value)?),
            "max_create" => self.max_create = Some(guard_whole(name, value)?),
            "max_edges" => self.max_edges = guard_whole(name, value)?,
            "max_missing_percent" => self.max_missing_percent = Some(guard_percent(name, value)?),
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

impl Mapping {
    /// The refusals of the guards on rows and freshness.
    ///
    /// `last_finalize` gives the time when a scope was last finalized. It and
    /// `now` are epoch milliseconds.
    pub fn refusals<E>(
        &self,
        resolved: &ResolvedMapping,
        mut last_finalize: impl FnMut(&str) -> Result<Option<i64>, E>,
        now: i64,
    ) -> Result<Vec<Diagnostic>, E> {
        let mut refusals = Vec::new();
        refusals.extend(self.few_rows(resolved));
        refusals.extend(self.many_missing(&resolved.count));
        for fresh in &self.guard.fresh {
            let last = last_finalize(&fresh.scope)?;
            // A clock that was set back must not give a negative age.
            let age =
                last.map(|last| Duration::from_millis(now.saturating_sub(last).max(0) as u64));
            if age.is_some_and(|age| age <= fresh.age) {
                continue;
            }
            let (scope, limit) = (&fresh.written, &fresh.age_written);
            let words = match age {
                Some(age) => format!(
                    "refused: scope `{scope}` was last synchronised {} ago; `fresh` asks for {limit}",
                    format_age(age)
                ),
                None => {
                    format!(
                        "refused: scope `{scope}` was never synchronised; `fresh` asks for {limit}"
                    )
                }
            };
            refusals.push(self.refusal("M0603", words, "fresh", "7d"));
        }
        Ok(refusals)
    }

    /// A warning that other scopes have edges of this mapping already, with one of them.
    pub fn same_edges_warning(&self, count: u64, example: &str) -> Diagnostic {
        let words = match count {
            1 => format!("another scope already has 1 of these edges: {example}"),
            _ => {
                format!("other scopes already have {count} of these edges, the first is {example}")
            }
        };
        Diagnostic::warning("M0509", &self.source, words)
            .at(self.edge.span.clone(), "")
            .help("leave such edges to one scope; answers name their entities once")
    }

    fn few_rows(&self, resolved: &ResolvedMapping) -> Option<Diagnostic> {
        let limit = self.guard.min_rows;
        let words = match &self.pairs {
            PairSource::Rows { .. } => {
                let read = resolved.count.read();
                let from = match resolved.inputs.as_slice() {
                    [one] => one.clone(),
                    many => format!("{} files", many.len()),
                };
                let rows = if read == 1 { "1 row was" } else { &format!("{read} rows were") };
                (read < limit)
                    .then(|| format!("refused: {rows} read from {from}; the limit is {limit}"))
            }
            PairSource::Join(_) => {
                let ends = ["from", "to"].into_iter().zip(resolved.candidates);
                let few = ends.into_iter().find(|(_, count)| *count < limit);
                few.map(|(end, count)| {
                    format!("refused: `{end}` has {count} entities to join; the limit is {limit}")
                })
            }
        };
        Some(self.refusal("M0602", words?, "min_rows", "0"))
    }

    fn many_missing(&self, count: &RowCount) -> Option<Diagnostic> {
        let limit = self.guard.max_missing_percent?;
        // `where` left the filtered rows out on purpose, so they are no base for the share.
        let asked = count.read() - count.of(RowOutcome::Filtered);
        let missing = count.missing();
        let percent = missing as f64 * 100.0 / asked.max(1) as f64;
        (percent > limit).then(|| {
            let words = format!(
                "refused: {missing} of {asked} rows ({percent:.0} %) found no end; the limit is {limit} %"
            );
            let suggestion = format!("{}", (percent.ceil() as u64).min(100));
            self.refusal("M0605", words, "max_missing_percent", &suggestion)
        })
    }

    /// The refusal of a guard on what the job would change.
    pub fn refuse_change(&self, guard: &str, words: &str, allow: &str) -> Diagnostic {
        self.refusal("M0601", words.to_owned(), guard, allow)
    }

    /// A refusal with the way out.
    fn refusal(&self, code: &'static str, words: String, guard: &str, value: &str) -> Diagnostic {
        let fault = Diagnostic::error(code, &self.source, words).at(self.guard_place(guard), "");
        let file = self.file.display();
        fault.help(format!(
            "if this is meant: tombolo apply {file} --override {guard}={value} --reason \"...\""
        ))
    }

    /// The place of a guard in the file; if the file does not set it, the place of its rows or scope.
    pub fn guard_place(&self, guard: &str) -> std::ops::Range<usize> {
        // The mapping keeps no place for each guard. Refusals are rare, so the file is parsed again.
        let document = toml::de::DeTable::parse(&self.source.text).ok();
        let table = document.as_ref().and_then(|d| d.get_ref().get("guard"));
        let written = table.and_then(|t| t.get_ref().as_table()?.get(guard)).map(|v| v.span());
        written.unwrap_or_else(|| match &self.pairs {
            PairSource::Rows { span, .. } => span.clone(),
            PairSource::Join(_) => self.scope_span.clone(),
        })
    }
}
