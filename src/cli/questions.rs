//! Questions that a team keeps in a file beside its mappings, with the number of rows they expect.
//! A question that must have no rows is a policy.
//!
//! ```toml
//! [queries.unowned-buckets]
//! about = "every bucket has an owner"
//! query = "FIND aws_s3_bucket THAT !OWNS << (Person|Team)"
//! expect = 0                      # or { min = 1, max = 20 }
//!
//! [smart_classes]
//! Production = "(Host|Database) WITH tag.Production = true"
//!
//! [smart_verbs]
//! Access = "ALLOWS >> | ASSIGNED | USES <<"
//! ```

use super::CommandContext;
use super::args::{AnswerFormat, PastArgs};
use super::failure::{CommandError, FAILED, MISTAKE};
use super::output::clean;
use super::query;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use tombolo::answers::{self, QueryFindings};
use tombolo::db::Database;
use tombolo::lang::SourceText;
use tombolo::query::QueryOptions;

/// The contents of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionFile {
    /// Questions by name.
    #[serde(default)]
    queries: BTreeMap<String, SavedQuestion>,
    /// Smart classes by name, each a selector with a condition.
    #[serde(default)]
    pub smart_classes: BTreeMap<String, String>,
    /// Sets of verbs by name.
    #[serde(default)]
    pub smart_verbs: BTreeMap<String, String>,
}

/// One question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedQuestion {
    /// A description for people.
    about: Option<String>,
    query: toml::Spanned<String>,
    expect: Option<RowExpectation>,
}

/// The number of rows that a question should have.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum RowExpectation {
    Exactly(u64),
    #[serde(rename_all = "lowercase")]
    Between(RowCountRange),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowCountRange {
    min: Option<u64>,
    max: Option<u64>,
}

impl RowExpectation {
    fn holds(self, rows: u64) -> bool {
        match self {
            RowExpectation::Exactly(number) => rows == number,
            RowExpectation::Between(RowCountRange { min, max }) => {
                min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max)
            }
        }
    }

    fn words(self) -> String {
        match self {
            RowExpectation::Exactly(number) => number.to_string(),
            RowExpectation::Between(RowCountRange { min: Some(min), max: Some(max) }) => {
                format!("{min} to {max}")
            }
            RowExpectation::Between(RowCountRange { min: Some(min), max: None }) => {
                format!("at least {min}")
            }
            RowExpectation::Between(RowCountRange { min: None, max: Some(max) }) => {
                format!("at most {max}")
            }
            RowExpectation::Between(RowCountRange { min: None, max: None }) => "any number".into(),
        }
    }
}

impl SavedQuestion {
    /// Returns the text of the query, named after the file.
    pub fn source(&self, file: &Path) -> Arc<SourceText> {
        SourceText::whole(file.display().to_string(), self.query.get_ref().as_str())
    }
}

impl QuestionFile {
    /// Reads the file. A missing file means that there are no questions; if it is `needed`, it is
    /// an error.
    pub fn load(path: &Path, needed: bool) -> Result<QuestionFile, CommandError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound && !needed => {
                return Ok(QuestionFile::default());
            }
            Err(e) => return Err(CommandError::file(path, "read", &e)),
        };
        toml::from_str(&text).map_err(|e| {
            // TOML gives an offset in bytes, and people need line and column.
            let source = SourceText::whole(path.display().to_string(), text.as_str());
            let (line, column) = source.place(e.span().map_or(0, |span| span.start));
            CommandError::mistake(format!("{}:{line}:{column}: {}", path.display(), e.message()))
        })
    }

    /// Returns the question of this name.
    pub fn find(&self, name: &str) -> Result<&SavedQuestion, CommandError> {
        self.queries.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.queries.keys().map(String::as_str).collect();
            CommandError::mistake(format!("no question `{name}`"))
                .hint(format!("questions are {}", names.join(", ")))
        })
    }
}

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
    questions: &QuestionFile,
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
        let source =
            SourceText::whole(format!("question {name}"), question.query.get_ref().as_str());
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
