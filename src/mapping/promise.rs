//! The tests of a mapping: promises about the graph as planned, asked before anything is written.

use super::conflict::Edge;
use super::ends::Ends;
use super::eval::{Env, holds};
use super::expr::Root;
use super::model::{Ask, AtLeast, Covers, Mapping, Promise};
use crate::graph::Value;
use crate::lang::Fault;
use crate::query::QueryRow;

/// The largest number of offenders that are listed.
const LISTED: usize = 5;

/// The outcome of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It holds.
    Yes,
    /// It holds, with a remark.
    But(String),
    /// It does not hold: the reason, and the offenders.
    No(String, Vec<String>),
}

fn offenders(count: u64, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut listed: Vec<String> = names.take(LISTED).collect();
    let more = count.saturating_sub(listed.len() as u64);
    if more > 0 && !listed.is_empty() {
        listed.push(format!("and {more} more"));
    }
    listed
}

impl Mapping {
    /// Asks all promises, in the order of the file.
    pub(super) fn keep_promises(&self, ends: &Ends<'_>, edges: &[Edge]) -> Vec<Kept> {
        let keep = |promise: &Promise| match &promise.ask {
            Ask::Edge { from, to, there } => edge(ends, edges, from, to, *there),
            Ask::Covers(covers) => self.covers(ends, edges, covers),
            // A query needs the whole graph as planned, which `asked` judges later.
            Ask::Query { .. } => Kept::Yes,
        };
        self.promises.iter().map(keep).collect()
    }

    fn covers(&self, ends: &Ends<'_>, edges: &[Edge], covers: &Covers) -> Kept {
        let root = if covers.from { Root::From } else { Root::To };
        let candidates = &ends.side(root).candidates;
        let mut linked = vec![false; candidates.len()];
        for edge in edges.iter().filter(|edge| edge.kept) {
            let end = if covers.from { edge.ends.0 } else { edge.ends.1 };
            linked[end as usize] = true;
        }
        let shared = self.shared();
        let asked = |i: &usize| {
            let env = Env::of_end(&shared, root, &candidates[*i]);
            covers.filter.as_ref().is_none_or(|filter| holds(filter, &env))
        };
        let asked: Vec<usize> = (0..candidates.len()).filter(asked).collect();
        let bare = || asked.iter().copied().filter(|&i| !linked[i]);
        let all = asked.len() as u64;
        let covered = all - bare().count() as u64;
        let (enough, wanted) = match covers.at_least {
            AtLeast::Count(count) => (covered >= count, count.to_string()),
            AtLeast::Percent(share) => {
                // Multiplied, not divided: with no entities at all the share is reached.
                (covered as f64 * 100.0 >= share * all as f64, format!("{share} %"))
            }
        };
        if enough {
            return Kept::Yes;
        }
        let percent = covered as f64 * 100.0 / all.max(1) as f64;
        let words = format!("{covered} of {all} have an edge ({percent:.0} %), expected {wanted}");
        let names = bare().map(|i| candidates[i].key.clone());
        Kept::No(words, offenders(all - covered, names))
    }

    /// The fault of a broken promise, or of one that holds with a remark.
    pub fn promise_fault(&self, promise: &Promise, kept: &Kept) -> Option<Fault> {
        let title = format!("test \"{}\"", promise.name);
        match kept {
            Kept::Yes => None,
            Kept::But(words) => {
                let fault = Fault::warning("W07", &self.source, format!("{title}: {words}"));
                Some(fault.at(promise.span.clone(), ""))
            }
            Kept::No(words, offenders) => {
                let words = format!("{title} failed: {words}");
                let fault = match promise.strict {
                    true => Fault::error("M0701", &self.source, words),
                    false => Fault::warning("M0701", &self.source, words),
                };
                let fault = fault.at(promise.span.clone(), "");
                Some(match offenders.is_empty() {
                    true => fault,
                    false => fault.note(offenders.join(", ")),
                })
            }
        }
    }
}

/// The outcome of a promise about a query that has these rows.
pub fn asked(ask: &Ask, rows: Result<Vec<QueryRow>, String>) -> Kept {
    let Ask::Query { rows: (least, most), expect, .. } = ask else { return Kept::Yes };
    match rows {
        Err(why) => Kept::No(format!("the query was stopped: {why}"), Vec::new()),
        Ok(rows) => {
            let count = rows.len() as u64;
            if least.is_none_or(|least| count >= least) && most.is_none_or(|most| count <= most) {
                return Kept::Yes;
            }
            let name = |row: QueryRow| {
                let key = row.iter().find(|(name, _)| name == "_key").or_else(|| row.first());
                key.map_or_else(String::new, |(_, value)| match value {
                    Value::Text(text) => text.to_string(),
                    other => other.to_string(),
                })
            };
            let unit = if count == 1 { "row" } else { "rows" };
            let words = format!("the query has {count} {unit}, expected {expect}");
            Kept::No(words, offenders(count, rows.into_iter().map(name)))
        }
    }
}

fn edge(ends: &Ends<'_>, edges: &[Edge], from: &str, to: &str, there: bool) -> Kept {
    let found = edges.iter().find(|edge| {
        let keys = (ends.key_of(Root::From, edge.ends.0), ends.key_of(Root::To, edge.ends.1));
        edge.kept && keys == (from, to)
    });
    match (found, there) {
        (None, true) => {
            let known = |root, key| ends.side(root).candidates.iter().any(|c| c.key == key);
            let words = match (known(Root::From, from), known(Root::To, to)) {
                (true, true) => format!("no edge from `{from}` to `{to}` is planned"),
                (false, _) => format!("`from` has no entity `{from}`"),
                (_, false) => format!("`to` has no entity `{to}`"),
            };
            Kept::No(words, Vec::new())
        }
        (Some(edge), false) => {
            let key = &edge.draft.key;
            Kept::No(format!("the edge `{key}` is planned"), Vec::new())
        }
        (Some(edge), true) => {
            let confidence = edge.draft.properties.iter().find(|(name, _)| name == "confidence");
            match confidence.map(|(_, value)| value) {
                Some(Value::Float(c)) if *c < 1.0 => {
                    Kept::But(format!("the edge has only the confidence {c}"))
                }
                Some(Value::Int(..=0)) => Kept::But("the edge has no confidence".to_owned()),
                _ => Kept::Yes,
            }
        }
        (None, false) => Kept::Yes,
    }
}
