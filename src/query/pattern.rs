//! Regular expressions of one query: compiled once each, and not if all of them together would
//! take long to compile or much to keep.

use crate::lang::pattern_states;
use regex::{Regex, RegexBuilder};
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::time::Instant;

/// States of all patterns of a query together: about a second of compiling.
pub(super) const STATES_MAX: u64 = 150_000;
/// Bytes of one program, in case that an estimate is wrong.
const PROGRAM_MAX: usize = 16 << 20;
/// Bytes that a pattern may keep of what it learnt about texts.
const LEARNT_MAX: usize = 512 << 10;
/// States times bytes of a text: matching may take about as many nanoseconds at the worst.
const MATCH_MAX: u64 = 8_000_000_000;

/// A regular expression that can be matched.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    states: u64,
}

impl Pattern {
    /// Whether it stands anywhere in a text.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Whether matching a text of so many bytes surely ends soon: no clock stops it.
    pub(super) fn is_quick_for(&self, bytes: usize) -> bool {
        self.states.saturating_mul(bytes as u64) <= MATCH_MAX
    }
}

/// Why a pattern is not there.
pub(super) enum Refusal {
    /// It is none, in the words of the library.
    Faulty(String),
    /// With it, the patterns of the query have so many states.
    TooLarge(u64),
    /// The time of the query is over.
    TooLate,
}

/// The patterns of one query so far.
pub(super) struct Patterns {
    known: RefCell<FxHashMap<(String, bool), Pattern>>,
    states: Cell<u64>,
    until: Option<Instant>,
}

impl Patterns {
    /// None yet; none is compiled after `until`.
    pub(super) fn new(until: Option<Instant>) -> Patterns {
        Patterns { known: RefCell::default(), states: Cell::new(0), until }
    }

    /// The pattern of a text.
    pub(super) fn compiled(&self, text: &str, any_case: bool) -> Result<Pattern, Refusal> {
        let name = (text.to_owned(), any_case);
        if let Some(known) = self.known.borrow().get(&name) {
            return Ok(known.clone());
        }
        if self.until.is_some_and(|until| Instant::now() > until) {
            return Err(Refusal::TooLate);
        }
        // What has no estimate is refused by the library, with its reason and at once.
        let states = pattern_states(text).unwrap_or(0);
        let all = self.states.get().saturating_add(states);
        if all > STATES_MAX {
            return Err(Refusal::TooLarge(all));
        }
        let regex = RegexBuilder::new(text)
            .case_insensitive(any_case)
            .size_limit(PROGRAM_MAX)
            .dfa_size_limit(LEARNT_MAX)
            .nest_limit(100)
            .build()
            .map_err(|e| {
                let why = e.to_string();
                let why = why.lines().last().unwrap_or_default();
                Refusal::Faulty(why.strip_prefix("error: ").unwrap_or(why).to_owned())
            })?;
        self.states.set(all);
        let pattern = Pattern { regex, states };
        self.known.borrow_mut().insert(name, pattern.clone());
        Ok(pattern)
    }
}
