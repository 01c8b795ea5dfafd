//! Regular expressions of one query. Each is compiled once; none is compiled if all of them together
//! would take long to compile or much memory to keep.

use crate::lang::{PatternLimits, compile_pattern, pattern_states};
use regex::Regex;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::time::Instant;

/// States of all patterns of a query together: about a second of compiling.
pub(super) const STATES_MAX: u64 = 150_000;
/// The program has a limit too, in case an estimate is wrong.
const LIMITS: PatternLimits = PatternLimits { program: 16 << 20, learnt: 512 << 10, nesting: 100 };
/// States times bytes of a text: matching may take about as many nanoseconds at the worst.
const MATCH_MAX: u64 = 8_000_000_000;

/// A regular expression that can be matched.
#[derive(Clone, Debug)]
pub(super) struct CompiledRegex {
    regex: Regex,
    states: u64,
}

impl CompiledRegex {
    /// True if it matches anywhere in a text.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// True if matching a text of so many bytes surely ends soon; no clock can stop it.
    pub(super) fn is_quick_for(&self, bytes: usize) -> bool {
        self.states.saturating_mul(bytes as u64) <= MATCH_MAX
    }
}

/// The reason for which a pattern is refused.
pub(super) enum RegexError {
    /// It is not a regular expression; in the words of the library.
    Faulty(String),
    /// The patterns of the query would have so many states together, which is too many.
    TooLarge(u64),
    /// The time of the query is over.
    TooLate,
}

/// The patterns of one query so far.
pub(super) struct RegexCache {
    known: RefCell<FxHashMap<(String, bool), CompiledRegex>>,
    states: Cell<u64>,
    until: Option<Instant>,
}

impl RegexCache {
    /// An empty set; no pattern is compiled after `until`.
    pub(super) fn new(until: Option<Instant>) -> RegexCache {
        RegexCache { known: RefCell::default(), states: Cell::new(0), until }
    }

    /// The pattern of a text.
    pub(super) fn compiled(&self, text: &str, any_case: bool) -> Result<CompiledRegex, RegexError> {
        let name = (text.to_owned(), any_case);
        if let Some(known) = self.known.borrow().get(&name) {
            return Ok(known.clone());
        }
        if self.until.is_some_and(|until| Instant::now() > until) {
            return Err(RegexError::TooLate);
        }
        // A text without an estimate is refused by the library below, with its reason and at once.
        let states = pattern_states(text).unwrap_or(0);
        let all = self.states.get().saturating_add(states);
        if all > STATES_MAX {
            return Err(RegexError::TooLarge(all));
        }
        let regex = compile_pattern(text, any_case, &LIMITS).map_err(|e| {
            let why = e.to_string();
            let why = why.lines().last().unwrap_or_default();
            RegexError::Faulty(why.strip_prefix("error: ").unwrap_or(why).to_owned())
        })?;
        // Counted only now: a pattern that is refused takes no part of the limit.
        self.states.set(all);
        let pattern = CompiledRegex { regex, states };
        self.known.borrow_mut().insert(name, pattern.clone());
        Ok(pattern)
    }
}
