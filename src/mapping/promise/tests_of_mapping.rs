//! The tests of a mapping: promises about the graph as planned, asked before anything is written.

use crate::graph::Value;
use crate::lang::{Diagnostic, holds};
use crate::mapping::expression::PathRoot;
use crate::mapping::model::{
    CoverageExpectation, CoverageThreshold, Mapping, MappingTest, TestExpectation, TestOffender,
    TestOutcome,
};
use crate::mapping::resolve::{EndLookup, ExprEnvironment, RowRelationship};
use crate::query::QueryRow;

/// The largest number of offenders that are listed.
const LISTED: usize = 5;

/// The first offenders, and how many more there are.
pub(in crate::mapping) fn listed_offenders(offenders: &[TestOffender]) -> Vec<String> {
    let mut listed: Vec<String> = offenders.iter().take(LISTED).map(|o| o.key.clone()).collect();
    let more = offenders.len() - listed.len();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    listed
}

impl Mapping {
    /// Asks all promises, in the order of the file.
    pub(in crate::mapping) fn run_tests(
        &self,
        ends: &EndLookup<'_>,
        edges: &[RowRelationship],
    ) -> Vec<TestOutcome> {
        let keep = |promise: &MappingTest| match &promise.ask {
            TestExpectation::Edge { from, to, there } => edge(ends, edges, from, to, *there),
            TestExpectation::Covers(covers) => self.covers(ends, edges, covers),
            // A query needs the whole graph as planned, which `asked` judges later.
            TestExpectation::Query { .. } => TestOutcome::Yes,
        };
        self.promises.iter().map(keep).collect()
    }

    fn covers(
        &self,
        ends: &EndLookup<'_>,
        edges: &[RowRelationship],
        covers: &CoverageExpectation,
    ) -> TestOutcome {
        let root = if covers.from { PathRoot::From } else { PathRoot::To };
        let candidates = &ends.side(root).candidates;
        let mut linked = vec![false; candidates.len()];
        for edge in edges.iter().filter(|edge| edge.kept) {
            let end = if covers.from { edge.ends.0 } else { edge.ends.1 };
            linked[end as usize] = true;
        }
        let shared = self.shared();
        let asked = |i: &usize| {
            let env = ExprEnvironment::of_end(&shared, root, &candidates[*i]);
            covers.filter.as_ref().is_none_or(|filter| holds(filter, &env))
        };
        let asked: Vec<usize> = (0..candidates.len()).filter(asked).collect();
        let bare = || asked.iter().copied().filter(|&i| !linked[i]);
        let all = asked.len() as u64;
        let covered = all - bare().count() as u64;
        let (enough, wanted) = match covers.at_least {
            CoverageThreshold::Count(count) => (covered >= count, count.to_string()),
            CoverageThreshold::Percent(share) => {
                // Multiplied, not divided: with no entities at all the share is reached.
                (covered as f64 * 100.0 >= share * all as f64, format!("{share} %"))
            }
        };
        if enough {
            return TestOutcome::Yes;
        }
        let percent = covered as f64 * 100.0 / all.max(1) as f64;
        let words = format!("{covered} of {all} have an edge ({percent:.0} %), expected {wanted}");
        let offender = |i: usize| TestOffender {
            scope: Some(candidates[i].scope.to_string()),
            key: candidates[i].key.clone(),
        };
        TestOutcome::No(words, bare().map(offender).collect())
    }

    /// The fault of a broken promise, or of one that holds with a remark.
    pub fn test_diagnostic(&self, promise: &MappingTest, kept: &TestOutcome) -> Option<Diagnostic> {
        let title = format!("test \"{}\"", promise.name);
        match kept {
            TestOutcome::Yes => None,
            TestOutcome::But(words) => {
                let fault = Diagnostic::warning("W07", &self.source, format!("{title}: {words}"));
                Some(fault.at(promise.span.clone(), ""))
            }
            TestOutcome::No(words, offenders) => {
                let words = format!("{title} failed: {words}");
                let fault = match promise.strict {
                    true => Diagnostic::error("M0701", &self.source, words),
                    false => Diagnostic::warning("M0701", &self.source, words),
                };
                let fault = fault.at(promise.span.clone(), "");
                Some(match offenders.is_empty() {
                    true => fault,
                    false => fault.note(listed_offenders(offenders).join(", ")),
                })
            }
        }
    }
}

/// The outcome of a promise about a query that has these rows.
pub fn query_test_outcome(
    ask: &TestExpectation,
    rows: Result<Vec<QueryRow>, String>,
) -> TestOutcome {
    let TestExpectation::Query { rows: (least, most), expect, .. } = ask else {
        return TestOutcome::Yes;
    };
    match rows {
        Err(why) => TestOutcome::No(format!("the query was stopped: {why}"), Vec::new()),
        Ok(rows) => {
            let count = rows.len() as u64;
            if least.is_none_or(|least| count >= least) && most.is_none_or(|most| count <= most) {
                return TestOutcome::Yes;
            }
            let text = |(_, value): &(String, Value<'static>)| match value {
                Value::Text(text) => text.to_string(),
                other => other.to_string(),
            };
            let offender = |row: QueryRow| {
                let named = |wanted: &str| row.iter().find(|(name, _)| name == wanted);
                let key = named("_key").or_else(|| row.first());
                TestOffender {
                    scope: named("_key").and(named("_scope")).map(text),
                    key: key.map_or_else(String::new, text),
                }
            };
            let unit = if count == 1 { "row" } else { "rows" };
            let words = format!("the query has {count} {unit}, expected {expect}");
            TestOutcome::No(words, rows.into_iter().map(offender).collect())
        }
    }
}

fn edge(
    ends: &EndLookup<'_>,
    edges: &[RowRelationship],
    from: &str,
    to: &str,
    there: bool,
) -> TestOutcome {
    let found = edges.iter().find(|edge| {
        let keys =
            (ends.key_of(PathRoot::From, edge.ends.0), ends.key_of(PathRoot::To, edge.ends.1));
        edge.kept && keys == (from, to)
    });
    match (found, there) {
        (None, true) => {
            let known = |root, key| ends.side(root).candidates.iter().any(|c| c.key == key);
            let words = match (known(PathRoot::From, from), known(PathRoot::To, to)) {
                (true, true) => format!("no edge from `{from}` to `{to}` is planned"),
                (false, _) => format!("`from` has no entity `{from}`"),
                (_, false) => format!("`to` has no entity `{to}`"),
            };
            TestOutcome::No(words, Vec::new())
        }
        (Some(edge), false) => {
            let key = &edge.draft.key;
            TestOutcome::No(format!("the edge `{key}` is planned"), Vec::new())
        }
        (Some(edge), true) => {
            let confidence = edge.draft.properties.iter().find(|(name, _)| name == "confidence");
            match confidence.map(|(_, value)| value) {
                Some(Value::Float(c)) if *c < 1.0 => {
                    TestOutcome::But(format!("the edge has only the confidence {c}"))
                }
                Some(Value::Int(..=0)) => TestOutcome::But("the edge has no confidence".to_owned()),
                _ => TestOutcome::Yes,
            }
        }
        (None, false) => TestOutcome::Yes,
    }
}
