//! Guards, examples and tests: the limits at which a run stops, and the conditions that must hold.

use super::expressions::KnownRoots;
use super::{MappingChecker, plain_properties};
use crate::graph::Value;
use crate::lang::NestedValue;
use crate::mapping::format::{SpannedText, TomlTable, parse_age};
use crate::mapping::model::{
    CoverageExpectation, CoverageThreshold, FreshnessLimit, MappingExample, MappingGuard,
    MappingTest, TestExpectation,
};
use std::time::Duration;

/// The least and the most of a number, where there is a bound.
pub(in crate::mapping) type CountBounds = (Option<u64>, Option<u64>);

impl MappingChecker<'_> {
    /// Reads the limits at which a run stops.
    pub(in crate::mapping) fn guard(&mut self, top: &TomlTable<'_>) -> MappingGuard {
        let mut guard = MappingGuard::default();
        let Some(table) = top.table("guard") else { return guard };
        let percent = |key: &str| match table.number(key)? {
            Value::Int(i) => Some(i as f64),
            Value::Float(f) => Some(f),
            _ => None,
        };
        guard.min_rows = table.whole("min_rows").unwrap_or(guard.min_rows);
        guard.min_edges = table.whole("min_edges").unwrap_or(guard.min_edges);
        guard.max_delete_percent =
            percent("max_delete_percent").unwrap_or(guard.max_delete_percent);
        guard.max_delete = table.whole("max_delete");
        guard.max_create = table.whole("max_create");
        guard.max_edges = table.whole("max_edges").unwrap_or(guard.max_edges);
        guard.max_missing_percent = percent("max_missing_percent");
        guard.fresh = self.fresh(&table);
        guard
    }

    /// The limits on the age of scopes.
    pub(in crate::mapping) fn fresh(&mut self, table: &TomlTable<'_>) -> Vec<FreshnessLimit> {
        let mut limits = Vec::new();
        for (name, value) in table.table("fresh").iter().flat_map(TomlTable::entries) {
            let Some(text) = table.as_text(value) else { continue };
            let scope = self.scope(&name);
            let age = self.age(&text);
            if let Some((scope, age)) = scope.zip(age) {
                let (written, age_written) = (name.value, text.value);
                limits.push(FreshnessLimit { scope, written, age, age_written });
            }
        }
        limits
    }

    /// An age such as `36h`.
    pub(in crate::mapping) fn age(&mut self, text: &SpannedText) -> Option<Duration> {
        let age = parse_age(&text.value);
        if age.is_none() {
            let words = format!("expected an age such as \"36h\", found `{}`", text.value);
            let fault = self.error("M0104", words).at(text.span.clone(), "");
            self.push(fault.help("a whole number and a unit: s, m, h, d or w"));
        }
        age
    }

    pub(in crate::mapping) fn examples(&mut self, top: &TomlTable<'_>) -> Vec<MappingExample> {
        let tables = top.tables("example");
        let numbered = tables.into_iter().enumerate();
        numbered.filter_map(|(i, table)| self.example(i + 1, &table, top.has("rows"))).collect()
    }

    fn example(
        &mut self,
        number: usize,
        table: &TomlTable<'_>,
        rows: bool,
    ) -> Option<MappingExample> {
        let words = match (rows, table.get("row")) {
            (true, None) => "an example of a mapping with rows needs a `row`",
            (false, Some(_)) => "a join has no rows, so its examples have none",
            _ => "",
        };
        if !words.is_empty() {
            let span = table.get("row").map_or(table.span.clone(), |v| v.span());
            let fault = self.error("M0309", words).at(span, "");
            self.push(
                fault.help("e.g. `[[example]]` with `row = { … }`, `from = { … }`, `to = { … }`"),
            );
            return None;
        }
        let end = |key| table.table(key).map(|t| plain_properties(&t));
        Some(MappingExample {
            number,
            name: table.plain("name"),
            row: table.get("row").and_then(|row| NestedValue::from_toml(row.get_ref())),
            from: end("from"),
            to: end("to"),
            links: table.boolean("links").unwrap_or(true),
            key: table.plain("key"),
            properties: end("properties").unwrap_or_default(),
            span: table.span.clone(),
        })
    }

    pub(in crate::mapping) fn promises(&mut self, top: &TomlTable<'_>) -> Vec<MappingTest> {
        let tables = top.tables("test");
        tables.into_iter().filter_map(|table| self.promise(&table)).collect()
    }

    fn promise(&mut self, table: &TomlTable<'_>) -> Option<MappingTest> {
        let asks = ["edge", "no_edge", "covers", "query"];
        let given: Vec<&str> = asks.into_iter().filter(|key| table.has(key)).collect();
        let [ask] = given.as_slice() else {
            let list = "`edge`, `no_edge`, `covers`, `query`";
            let words = format!("a test needs exactly one of {list}; found {}", given.len());
            let fault = self.error("M0310", words).at(table.span.clone(), "");
            self.push(fault.help(
                "e.g. `edge = { from = \"okta-user:alice\", to = \"jamf-device:laptop-001\" }`",
            ));
            return None;
        };
        for (key, home) in [("where", "covers"), ("at_least", "covers"), ("expect", "query")] {
            if let Some(value) = table.get(key).filter(|_| *ask != home) {
                let words = format!("`{key}` belongs to a test with `{home}`");
                let fault = self.error("M0310", words).at(value.span(), "");
                self.push(fault.help(format!("add `{home}`, or remove `{key}`")));
            }
        }
        let (words, asked) = match *ask {
            "covers" => self.covers(table)?,
            "query" => self.query_promise(table)?,
            key => {
                let pair = table.table(key)?;
                let (from, to) = (pair.plain("from")?, pair.plain("to")?);
                let words = match key {
                    "edge" => format!("`{from}` is linked to `{to}`"),
                    _ => format!("`{from}` is not linked to `{to}`"),
                };
                (words, TestExpectation::Edge { from, to, there: key == "edge" })
            }
        };
        Some(MappingTest {
            name: table.plain("name").unwrap_or(words),
            strict: table.plain("severity").as_deref() != Some("warn"),
            ask: asked,
            span: table.span.clone(),
        })
    }

    fn query_promise(&mut self, table: &TomlTable<'_>) -> Option<(String, TestExpectation)> {
        let text = table.text("query")?;
        let query = self.read_query(&text);
        let (rows, expect) = self.expected(table, "0")?;
        let ask = TestExpectation::Query { query: Box::new(query?), rows, expect };
        Some((text.value, ask))
    }

    /// The bounds that `expect` says, and how it says them.
    pub(in crate::mapping) fn expected(
        &mut self,
        table: &TomlTable<'_>,
        usual: &str,
    ) -> Option<(CountBounds, String)> {
        let bounds = |text: &str| -> Option<CountBounds> {
            let text = text.trim();
            let digits = text.trim_start_matches(['>', '<', '=']);
            let number: u64 = digits.trim().parse().ok()?;
            Some(match &text[..text.len() - digits.len()] {
                "" | "=" => (Some(number), Some(number)),
                ">" => (Some(number.checked_add(1)?), None),
                ">=" => (Some(number), None),
                // Nothing has fewer than 0 rows, so `< 0` is a fault.
                "<" => (None, Some(number.checked_sub(1)?)),
                "<=" => (None, Some(number)),
                _ => return None,
            })
        };
        let expect = match (table.whole("expect"), table.plain("expect")) {
            (Some(number), _) => number.to_string(),
            (None, Some(text)) => text,
            (None, None) => usual.to_owned(),
        };
        let Some(rows) = bounds(&expect) else {
            let words = format!("expected a number of rows, found `{expect}`");
            let at = table.get("expect").map_or(table.span.clone(), |value| value.span());
            let fault = self.error("M0104", words).at(at, "");
            self.push(fault.help("e.g. `expect = 0` or `expect = \"> 0\"`"));
            return None;
        };
        Some((rows, expect.trim().to_owned()))
    }

    fn covers(&mut self, table: &TomlTable<'_>) -> Option<(String, TestExpectation)> {
        let end = table.plain("covers")?;
        let from = end == "from";
        let filter = table.text("where").map(|text| {
            self.condition(&text, KnownRoots { from, to: !from, ..KnownRoots::default() })
        });
        let number = |text: &str| match text.trim().strip_suffix('%') {
            Some(percent) => {
                let percent = percent.trim().parse::<f64>().ok()?;
                (0.0..=100.0).contains(&percent).then_some(CoverageThreshold::Percent(percent))
            }
            None => text.trim().parse().ok().map(CoverageThreshold::Count),
        };
        let at_least = match (table.whole("at_least"), table.text("at_least")) {
            (Some(count), _) => CoverageThreshold::Count(count),
            (None, None) => CoverageThreshold::Percent(100.0),
            (None, Some(text)) => match number(&text.value) {
                Some(at_least) => at_least,
                None => {
                    let words = format!("expected a number or a share, found `{}`", text.value);
                    let fault = self.error("M0104", words).at(text.span, "");
                    self.push(fault.help("e.g. `at_least = \"95%\"` or `at_least = 20`"));
                    return None;
                }
            },
        };
        let words = format!("entities of `{end}` have an edge");
        Some((words, TestExpectation::Covers(CoverageExpectation { from, filter, at_least })))
    }
}
