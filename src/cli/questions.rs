//! `tombolo query --check`: asks the questions of `queries.toml`, and tells which are off.

use super::CommandContext;
use super::args::{AnswerFormat, PastArgs};
use super::failure::{CommandError, FAILED, MISTAKE};
use super::output::clean;
use super::query;
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::io::Write;
use tombolo::answers::{self, QueryFindings, SavedQuestionFile};
use tombolo::db::Database;
use tombolo::lang::SourceText;
use tombolo::query::QueryOptions;

/// A question that was asked, or could not be.
#[derive(Serialize)]
struct CheckedQuestion<'q> {
    name: &'q str,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'q str>,
    expected: String,
    /// The number of rows; `None` if the query cannot be read.
    found: Option<u64>,
    holds: bool,
    /// The answer, if it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Json>,
    /// Notes that make it doubtful whether the answer is the one that was meant.
    notes: Vec<String>,
}

/// Asks every question that expects a number of rows. Tells which are off, and lists their rows.
pub fn check(
    context: &mut CommandContext<'_>,
    questions: &SavedQuestionFile,
    options: &QueryOptions,
    format: AnswerFormat,
    past: &PastArgs,
) -> Result<u8, CommandError> {
    if !matches!(format, AnswerFormat::Table | AnswerFormat::Json) {
        let message = "--check gives a table or JSON";
        return Err(CommandError::mistake(message).hint("leave --output out, or set it to json"));
    }
    let json = format == AnswerFormat::Json;
    let database = context.open_at(past)?;
    let snapshot = database.snapshot()?;
    let (mut off, mut unread) = (0, 0);
    let mut checked = Vec::new();
    for (name, question) in &questions.queries {
        let Some(expected) = question.expect else { continue };
        let mut one = CheckedQuestion {
            name,
            about: question.about.as_deref(),
            expected: expected.words(),
            found: None,
            holds: false,
            answer: None,
            notes: Vec::new(),
        };
        let source = SourceText::whole(format!("question {name}"), question.text());
        // A query that cannot be read must not hide the results of the others.
        let Ok(read) = query::read(context, &source, options) else {
            unread += 1;
            checked.push(one);
            continue;
        };
        let meter = context.meter();
        let past = answers::asked_state(&database, &read, None)?;
        let database = past.as_ref().unwrap_or(&database);
        let older = past.as_ref().map(Database::snapshot).transpose()?;
        let snapshot = older.as_ref().unwrap_or(&snapshot);
        let question_context = super::question(database, snapshot, &meter);
        let found = QueryFindings::ask(&question_context, &read)?;
        let rows = found.answer.len() as u64;
        (one.found, one.holds) = (Some(rows), expected.holds(rows));
        off += usize::from(!one.holds);
        let notes = found.notes(&question_context, &read)?;
        // A query with a mistake in it finds nothing, and so may seem to hold.
        one.notes.extend(notes.into_iter().filter(|note| note.doubt).map(|note| note.text));
        let listed = !one.holds && !found.answer.is_empty();
        if json {
            let answer = listed.then(|| serde_json::to_value(found.document(&[])));
            one.answer = answer.transpose()?;
        } else {
            one.print(context)?;
            if listed {
                query::print(&mut context.out, snapshot, &found, format, &meter, &[])?;
            }
        }
        checked.push(one);
    }
    let asked = checked.len();
    match json {
        true => context.out.json(&json!({
            "asked": asked, "off": off, "unreadable": unread, "questions": checked,
        }))?,
        false => writeln!(context.out, "\n{asked} asked, {off} off, {unread} unreadable")?,
    }
    Ok(match (unread, off) {
        (0, 0) => 0,
        (0, _) => FAILED,
        _ => MISTAKE,
    })
}

impl CheckedQuestion<'_> {
    /// Prints how a question that was asked came out.
    fn print(&self, context: &mut CommandContext<'_>) -> Result<(), CommandError> {
        let mark = context.out.sign(if self.holds { '=' } else { '!' });
        let about = self.about.map(|about| format!("   {}", clean(about))).unwrap_or_default();
        let (name, rows, words) = (clean(self.name), self.found.unwrap_or(0), &self.expected);
        writeln!(context.out, "{mark} {name}   {rows} found, {words} expected{about}")?;
        for note in &self.notes {
            writeln!(context.out, "  note: {}", clean(note))?;
        }
        Ok(())
    }
}
