//! The faults of an upload, by kind: each kind with its count and the first places.
//!
//! A file of the wrong kind has a fault in every line. All of them are counted, and memory holds a
//! few places of each kind.

use super::InputNames;
use super::read::InputDiagnostic;
use serde::Serialize;
use std::fmt;

/// Places that are kept of each kind.
const PLACES: usize = 5;
/// Kinds that are told apart; further ones are only counted.
const KINDS: usize = 50;
/// Faults that are told one by one.
const SINGLE: u64 = 10;

/// Faults while an upload is read.
#[derive(Debug, Default)]
pub struct FaultCollector {
    kinds: Vec<(String, u64, Vec<InputDiagnostic>)>,
    total: u64,
}

impl FaultCollector {
    /// Adds a fault behind the others.
    pub fn add(&mut self, fault: InputDiagnostic) {
        let kind = kind_of(&fault.message);
        self.merge(kind, 1, vec![fault]);
    }

    /// Adds those of another, which come behind.
    pub fn join(&mut self, other: FaultCollector) {
        let told: u64 = other.kinds.iter().map(|(_, count, _)| count).sum();
        for (kind, count, first) in other.kinds {
            self.merge(kind, count, first);
        }
        self.total += other.total - told;
    }

    fn merge(&mut self, kind: String, count: u64, first: Vec<InputDiagnostic>) {
        self.total += count;
        let more = self.kinds.len() < KINDS;
        match self.kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, counted, kept)) => {
                *counted += count;
                let room = PLACES - kept.len();
                kept.extend(first.into_iter().take(room));
            }
            None if more => self.kinds.push((kind, count, first)),
            None => {}
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The same with the names of their inputs.
    pub fn named(mut self, inputs: &InputNames) -> InputFaults {
        for (_, _, first) in &mut self.kinds {
            first.sort_by_key(|fault| (fault.place, fault.column));
        }
        self.kinds.sort_by_key(|(_, _, first)| first.first().map(|f| (f.place, f.column)));
        let kinds = self.kinds.into_iter().map(|(kind, count, first)| InputFaultKind {
            message: match first.as_slice() {
                [one] => one.message.clone(),
                [one, rest @ ..] if rest.iter().all(|f| f.message == one.message) => {
                    one.message.clone()
                }
                _ => kind,
            },
            count,
            first: first.into_iter().map(|fault| InputFault::of(inputs, fault)).collect(),
        });
        InputFaults { total: self.total, kinds: kinds.collect() }
    }
}

impl Extend<InputDiagnostic> for FaultCollector {
    fn extend<I: IntoIterator<Item = InputDiagnostic>>(&mut self, faults: I) {
        faults.into_iter().for_each(|fault| self.add(fault));
    }
}

impl FromIterator<InputDiagnostic> for FaultCollector {
    fn from_iter<I: IntoIterator<Item = InputDiagnostic>>(faults: I) -> FaultCollector {
        let mut all = FaultCollector::default();
        all.extend(faults);
        all
    }
}

/// A message without its values: what stands in backticks, and numbers.
fn kind_of(message: &str) -> String {
    let mut kind = String::with_capacity(message.len());
    let mut quoted = false;
    for character in message.chars() {
        match character {
            '`' => {
                quoted = !quoted;
                kind.push_str(if quoted { "`…`" } else { "" });
            }
            _ if quoted => {}
            '0'..='9' if kind.ends_with('N') => {}
            '0'..='9' => kind.push('N'),
            other => kind.push(other),
        }
    }
    kind
}

/// The faults of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InputFaults {
    /// Number of all.
    pub total: u64,
    /// By kind, in the order of the first place of each.
    pub kinds: Vec<InputFaultKind>,
}

/// Faults of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputFaultKind {
    /// The message; where it differs from place to place, without what differs.
    pub message: String,
    /// Number of all.
    pub count: u64,
    /// The first of them.
    pub first: Vec<InputFault>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputFault {
    /// `file:line:column`, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// JSON path inside the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `_key` of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The message, lower case, without a full stop.
    pub message: String,
}

impl InputFault {
    fn of(inputs: &InputNames, fault: InputDiagnostic) -> InputFault {
        let place = inputs.place(fault.place).map(|place| match fault.column {
            column if column > 0 && fault.place.line > 0 => format!("{place}:{column}"),
            _ => place,
        });
        InputFault {
            place: place.filter(|place| !place.is_empty()),
            path: Some(fault.path).filter(|path| !path.is_empty()),
            key: fault.key,
            message: fault.message,
        }
    }

    /// Place, path and key, with colons between.
    fn subject(&self) -> String {
        let path = self.path.as_ref().map(|path| format!("at `{path}`"));
        let key = self.key.as_ref().map(|key| format!("_key `{key}`"));
        let parts: Vec<String> = [self.place.clone(), path, key].into_iter().flatten().collect();
        parts.join(": ")
    }
}

impl fmt::Display for InputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject() {
            subject if subject.is_empty() => f.write_str(&self.message),
            subject => write!(f, "{subject}: {}", self.message),
        }
    }
}

impl InputFaults {
    /// One fault without a place.
    pub fn single(message: impl Into<String>) -> InputFaults {
        let fault = InputFault { place: None, path: None, key: None, message: message.into() };
        let kind = InputFaultKind { message: fault.message.clone(), count: 1, first: vec![fault] };
        InputFaults { total: 1, kinds: vec![kind] }
    }

    /// The lines that tell them: each on its own if they are few, else by kind.
    pub fn lines(&self) -> Vec<String> {
        let all = |kind: &InputFaultKind| kind.first.len() as u64 == kind.count;
        let told: u64 = self.kinds.iter().map(|kind| kind.count).sum();
        if self.total <= SINGLE && told == self.total && self.kinds.iter().all(all) {
            let faults = self.kinds.iter().flat_map(|kind| &kind.first);
            return faults.map(ToString::to_string).collect();
        }
        let mut lines = Vec::new();
        for kind in &self.kinds {
            if let ([one], 1) = (kind.first.as_slice(), kind.count) {
                lines.push(one.to_string());
                continue;
            }
            lines.push(format!("{} times: {}", kind.count, kind.message));
            for fault in &kind.first {
                lines.push(match fault.message == kind.message {
                    true => format!("  {}", fault.subject()),
                    false => format!("  {fault}"),
                });
            }
            let more = kind.count - kind.first.len() as u64;
            if more > 0 {
                lines.push(format!("  … {more} more"));
            }
        }
        if told < self.total {
            lines.push(format!("… {} faults of other kinds", self.total - told));
        }
        lines
    }
}

impl fmt::Display for InputFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        if self.total as usize > lines.len() || self.total > SINGLE {
            writeln!(f, "{} faults in the upload, nothing was changed", self.total)?;
        }
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::InputLocation;

    fn fault(line: u32, message: &str) -> InputDiagnostic {
        let place = InputLocation { input: 0, line };
        InputDiagnostic { place, message: message.into(), ..InputDiagnostic::default() }
    }

    fn said(faults: impl IntoIterator<Item = InputDiagnostic>) -> String {
        let faults: FaultCollector = faults.into_iter().collect();
        faults.named(&InputNames(vec!["a".into()])).to_string()
    }

    #[test]
    fn few_faults_are_told_one_by_one() {
        assert_eq!(said([fault(1, "no `a`"), fault(3, "no `b`")]), "a:1: no `a`\na:3: no `b`");
    }

    #[test]
    fn many_faults_are_told_by_kind() {
        let mut faults: Vec<_> = (1..=20).map(|n| fault(n, &format!("`x{n}` is {n}"))).collect();
        faults.push(fault(7, "other"));
        let said = said(faults);
        assert_eq!(
            said,
            "21 faults in the upload, nothing was changed\n20 times: `…` is N\n  a:1: `x1` is 1\n  \
             a:2: `x2` is 2\n  a:3: `x3` is 3\n  a:4: `x4` is 4\n  a:5: `x5` is 5\n  … 15 more\n\
             a:7: other"
        );
    }

    #[test]
    fn memory_holds_a_few_of_them() {
        let mut all = FaultCollector::default();
        for piece in 0..10 {
            let faults =
                (0..1000).map(|n| fault(n, &format!("kind {}", "x".repeat(n as usize % 100))));
            let mut piece_of = FaultCollector::default();
            piece_of.extend(faults.map(|f| InputDiagnostic { column: piece, ..f }));
            all.join(piece_of);
        }
        assert_eq!(all.total, 10_000);
        assert_eq!(all.kinds.len(), KINDS);
        let named = all.named(&InputNames::default());
        assert!(named.kinds.iter().all(|kind| kind.first.len() == PLACES && kind.count == 100));
        assert!(named.to_string().ends_with("… 5000 faults of other kinds"));
    }
}
