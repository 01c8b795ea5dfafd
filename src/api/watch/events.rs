//! What is told: events, and their bodies as JSON and as a line of text.
//!
//! An event names scopes, files, jobs and questions, and counts. It holds no entity and no property.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tombolo::answers::{clean, rfc3339_text};
use tombolo::sync::JobReport;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    /// A job waits for somebody to approve or abort it.
    #[serde(rename = "job.held")]
    JobHeld,
    /// A guard or a test of a mapping or source file objects, or the file fails.
    #[serde(rename = "mapping.refused")]
    MappingRefused,
    /// A saved question starts to fail.
    #[serde(rename = "question.failing")]
    QuestionFailing,
    /// A saved question stops failing.
    #[serde(rename = "question.holding")]
    QuestionHolding,
    /// A scope had no job for longer than it should.
    #[serde(rename = "scope.stale")]
    ScopeStale,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 5] = [
        EventKind::JobHeld,
        EventKind::MappingRefused,
        EventKind::QuestionFailing,
        EventKind::QuestionHolding,
        EventKind::ScopeStale,
    ];

    /// Its word in settings and bodies: `job.held`.
    pub fn word(self) -> &'static str {
        match self {
            EventKind::JobHeld => "job.held",
            EventKind::MappingRefused => "mapping.refused",
            EventKind::QuestionFailing => "question.failing",
            EventKind::QuestionHolding => "question.holding",
            EventKind::ScopeStale => "scope.stale",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotifyEvent {
    /// Its kind.
    pub kind: EventKind,
    /// The time at which it was noticed, epoch milliseconds.
    pub at: i64,
    /// The facts, for programs.
    pub data: Json,
    /// The same in a line, for people.
    pub text: String,
}

/// A saved question that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionState {
    /// Its name.
    pub name: String,
    /// Its description.
    pub about: Option<String>,
    /// The number of rows that it should have.
    pub expected: String,
    /// The number that it has; `None` if it could not be asked.
    pub found: Option<u64>,
    /// True if that is as expected.
    pub holds: bool,
}

/// The state of a mapping or source file after it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Its scope, or the file where that is unknown.
    pub scope: String,
    /// The file.
    pub file: String,
    /// `refused` or `failed`; `None` if all is well.
    pub trouble: Option<&'static str>,
    /// The first objection.
    pub message: String,
}

impl NotifyEvent {
    fn new(kind: EventKind, at: i64, data: Json, text: String) -> NotifyEvent {
        NotifyEvent { kind, at, data, text: clean(&text).into_owned() }
    }

    /// A job that is held.
    pub fn held(report: &JobReport, at: i64) -> NotifyEvent {
        let reasons = report.held.as_ref().map(|held| held.reasons.clone()).unwrap_or_default();
        let counts = [&report.entities, &report.relationships];
        let [created, updated, deleted] = [
            counts.iter().map(|tally| tally.created).sum::<u64>(),
            counts.iter().map(|tally| tally.updated).sum(),
            counts.iter().map(|tally| tally.deleted).sum(),
        ];
        let text = format!(
            "job {} of scope {} is held: {}. It would delete {deleted} objects. \
             `tombolo job approve {}` or `tombolo job abort {}`",
            report.id,
            report.scope,
            reasons.join("; "),
            report.id,
            report.id
        );
        let data = json!({
            "job": report.id, "scope": report.scope, "reasons": reasons,
            "created": created, "updated": updated, "deleted": deleted,
        });
        NotifyEvent::new(EventKind::JobHeld, at, data, text)
    }

    /// A file that is refused or fails.
    pub fn refused(state: &FileState, at: i64) -> NotifyEvent {
        let trouble = state.trouble.unwrap_or("refused");
        let text =
            format!("{} of scope {} is {trouble}: {}", state.file, state.scope, state.message);
        let data = json!({
            "scope": state.scope, "file": state.file, "state": trouble, "message": state.message,
        });
        NotifyEvent::new(EventKind::MappingRefused, at, data, text)
    }

    /// A question that starts or stops failing.
    pub fn question(state: &QuestionState, at: i64) -> NotifyEvent {
        let kind = match state.holds {
            true => EventKind::QuestionHolding,
            false => EventKind::QuestionFailing,
        };
        let word = if state.holds { "holds again" } else { "fails" };
        let about = state.about.as_ref().map(|about| format!(" ({about})")).unwrap_or_default();
        let found = match state.found {
            Some(found) => format!("{found} found, {} expected", state.expected),
            None => "it could not be asked".to_owned(),
        };
        let text = format!("question {}{about} {word}: {found}", state.name);
        let data = json!({
            "question": state.name, "about": state.about,
            "expected": state.expected, "found": state.found,
        });
        NotifyEvent::new(kind, at, data, text)
    }

    /// A scope that had no job since `last`.
    pub fn stale(scope: &str, last: i64, limit: std::time::Duration, at: i64) -> NotifyEvent {
        let (last, limit) = (rfc3339_text(last), tombolo::mapping::format_age(limit));
        let text =
            format!("scope {scope} is stale: its last job ended {last}, more than {limit} ago");
        let data = json!({ "scope": scope, "lastJob": last, "staleAfter": limit });
        NotifyEvent::new(EventKind::ScopeStale, at, data, text)
    }

    /// The body for programs.
    pub fn json(&self) -> String {
        json!({ "type": self.kind.word(), "timestamp": rfc3339_text(self.at), "data": self.data })
            .to_string()
    }

    /// The body for Slack and its like. Their markup would take `<`, `>` and `&` of a name for its own.
    pub fn slack(&self) -> String {
        let text = self.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        json!({ "text": text }).to_string()
    }
}
