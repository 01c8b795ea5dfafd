//! The questions of `queries.toml` beside the editor, each with how it comes out in the state that the page shows.

use super::super::api_error::ApiError;
use super::address::PageAddress;
use super::page::PageTask;
use super::parts::{self, count};
use super::query;
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tombolo::answers::{
    AnswerError, QueryFindings, QuestionContext, SavedQuestion, SavedQuestions, asked_state, clean,
    question_file, read_query,
};
use tombolo::db::Database;

/// Time that a page takes for questions that nobody asked for by name.
const UNASKED: Duration = Duration::from_millis(150);

/// The state of a question.
enum QuestionState {
    /// It has so many rows, and they are what is expected.
    Holds(u64),
    /// It has so many, and others are expected.
    Off(u64),
    /// It cannot be read or asked.
    Unreadable(String),
    /// It expects nothing, or there was no time.
    NotAsked,
}

/// The panel of all questions; without any, how to keep one.
///
/// # Errors
///
/// An error of reading that is not about one question alone.
pub fn panel(task: &PageTask<'_>, questions: &SavedQuestions) -> Result<Markup, ApiError> {
    let file = question_file();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let all = task.visit.parameters.get("check").is_some();
    let begun = Instant::now();
    let (mut left, mut rows) = (0, Vec::new());
    for (name, question) in &questions.questions {
        let due = question.expect.is_some() && (all || begun.elapsed() < UNASKED);
        let state = if due { state(task, questions, question) } else { QuestionState::NotAsked };
        left += usize::from(!due && question.expect.is_some());
        rows.push(row(task, name, question, &state));
    }
    let sub = html! { (clean(&name.unwrap_or_default())) };
    Ok(parts::panel(
        "h-s",
        "Saved questions",
        &sub,
        &html! {
            @if rows.is_empty() {
                div class="body" { p class="sub" {
                    "None yet. A file " code { "queries.toml" } " where the server runs keeps them: "
                    code { "[queries.NAME]" } " with a " code { "query" } ", and an " code { "expect" }
                    " for one that must have so many rows."
                } }
            } @else {
                ul class="rows" { @for row in &rows { (row) } }
                @if left > 0 {
                    footer { a href=(task.frame.keep(PageAddress::new("/query").with("check", "all")).text()) {
                        "Ask the other " (left) " as well"
                    } }
                }
            }
        },
    ))
}

fn state(
    task: &PageTask<'_>,
    questions: &SavedQuestions,
    question: &SavedQuestion,
) -> QuestionState {
    let ask = || -> Result<u64, AnswerError> {
        let options = query::options(task, Some(questions), BTreeMap::new())?;
        let read = read_query(&question.source(question_file().display().to_string()), &options)?;
        let context = task.context();
        let past = asked_state(context.database, &read, None)?;
        let old = past.as_ref().map(Database::snapshot).transpose()?;
        let context = match (&past, &old) {
            (Some(database), Some(snapshot)) => QuestionContext { database, snapshot, ..context },
            _ => context,
        };
        Ok(QueryFindings::ask(&context, &read)?.answer.len() as u64)
    };
    match (ask(), question.expect) {
        (Ok(rows), Some(expected)) if expected.holds(rows) => QuestionState::Holds(rows),
        (Ok(rows), _) => QuestionState::Off(rows),
        (Err(fault), _) => {
            let first = fault.diagnostics().first().map(|fault| fault.message.clone());
            QuestionState::Unreadable(first.unwrap_or_else(|| fault.message().to_owned()))
        }
    }
}

fn row(task: &PageTask<'_>, name: &str, question: &SavedQuestion, state: &QuestionState) -> Markup {
    let to = task.frame.keep(PageAddress::new("/query").with("run", name)).text();
    let expected = question.expect.map(|expected| expected.words());
    html! {
        li {
            span {
                a href=(to) { (clean(name)) }
                @if let Some(about) = &question.about { br; span class="sub" { (clean(about)) } }
                @match (state, &expected) {
                    (QuestionState::Holds(rows) | QuestionState::Off(rows), Some(expected)) => {
                        br; span class="sub" { (count(*rows)) " found, " (expected) " expected" }
                    }
                    (QuestionState::Unreadable(why), _) => { br; span class="sub" { (parts::sentence(why)) } }
                    _ => {}
                }
            }
            @match state {
                QuestionState::Holds(_) => { span class="tag ok" { "passing" } }
                QuestionState::Off(_) => { span class="tag fail" { "failing" } }
                QuestionState::Unreadable(_) => { span class="tag fail" { "unreadable" } }
                QuestionState::NotAsked => {
                    @if expected.is_some() { span class="tag" { "not asked" } }
                }
            }
        }
    }
}
