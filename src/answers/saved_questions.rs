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

use super::{AnswerAdvice, AnswerError, QueryFindings, QueryRequest, QuestionContext, read_query};
use crate::graph::GraphRead;
use crate::lang::SourceText;
use crate::query::{CellValue, QueryAnswer, QueryOptions};
use crate::rules::project_file;
use crate::store::Snapshot;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of questions when nobody names one.
pub const QUESTION_FILE: &str = "queries.toml";

/// The questions of a file, and the words that they may use.
#[derive(Debug, Default)]
pub struct SavedQuestions {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Questions by name.
    pub questions: BTreeMap<String, SavedQuestion>,
    /// Smart classes by name, each a selector with a condition.
    pub smart_classes: BTreeMap<String, String>,
    /// Sets of verbs by name.
    pub smart_verbs: BTreeMap<String, String>,
}

/// One question.
#[derive(Debug)]
pub struct SavedQuestion {
    /// A description for people.
    pub about: Option<String>,
    /// The text of the query.
    pub query: String,
    /// The number of rows that it should have.
    pub expect: Option<RowExpectation>,
    /// Line and column of the query in the file.
    pub place: (usize, usize),
}

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenQuestions {
    #[serde(default)]
    queries: BTreeMap<String, WrittenQuestion>,
    #[serde(default)]
    smart_classes: BTreeMap<String, String>,
    #[serde(default)]
    smart_verbs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenQuestion {
    about: Option<String>,
    query: toml::Spanned<String>,
    expect: Option<RowExpectation>,
}

/// The number of rows that a question should have.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum RowExpectation {
    /// So many.
    Exactly(u64),
    /// From some number to another.
    #[serde(rename_all = "lowercase")]
    Between(RowCountRange),
}

/// The least and the greatest number of rows, both allowed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCountRange {
    /// The least.
    pub min: Option<u64>,
    /// The greatest.
    pub max: Option<u64>,
}

impl RowExpectation {
    /// True if so many rows are as expected.
    pub fn holds(self, rows: u64) -> bool {
        match self {
            RowExpectation::Exactly(number) => rows == number,
            RowExpectation::Between(RowCountRange { min, max }) => {
                min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max)
            }
        }
    }

    /// True if there are more rows than expected, so that some of them offend.
    pub fn exceeded(self, rows: u64) -> bool {
        match self {
            RowExpectation::Exactly(number) => rows > number,
            RowExpectation::Between(RowCountRange { max, .. }) => max.is_some_and(|max| rows > max),
        }
    }

    /// Says it in words: `1 to 3`.
    pub fn words(self) -> String {
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

/// The file of the questions of the working folder: the one there, else the one beside the
/// `tombolo.toml` that is in force.
pub fn question_file() -> PathBuf {
    let own = PathBuf::from(QUESTION_FILE);
    let Ok(here) = std::env::current_dir() else { return own };
    if own.exists() {
        return own;
    }
    let beside = project_file(&here).map(|file| file.with_file_name(QUESTION_FILE));
    beside.filter(|path| path.exists()).unwrap_or(own)
}

impl SavedQuestions {
    /// Reads the file. A missing file means that there are no questions; if it is `needed`, it is
    /// an error.
    ///
    /// # Errors
    ///
    /// The error of reading, or the first fault of the file with its place.
    pub fn load(path: &Path, needed: bool) -> Result<SavedQuestions, AnswerError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound && !needed => {
                return Ok(SavedQuestions { path: path.to_owned(), ..SavedQuestions::default() });
            }
            Err(e) => return Err(AnswerError::unreadable_file(path, &e)),
        };
        let source = SourceText::whole(path.display().to_string(), text.as_str());
        let written: WrittenQuestions = toml::from_str(&text).map_err(|e| {
            // TOML gives an offset in bytes, and people need line and column.
            let (line, column) = source.place(e.span().map_or(0, |span| span.start));
            AnswerError::invalid(format!("{}:{line}:{column}: {}", path.display(), e.message()))
        })?;
        let questions = written.queries.into_iter().map(|(name, written)| {
            let place = source.place(written.query.span().start);
            let WrittenQuestion { about, query, expect } = written;
            (name, SavedQuestion { about, query: query.into_inner(), expect, place })
        });
        Ok(SavedQuestions {
            path: path.to_owned(),
            questions: questions.collect(),
            smart_classes: written.smart_classes,
            smart_verbs: written.smart_verbs,
        })
    }

    /// Returns the question of this name.
    ///
    /// # Errors
    ///
    /// The lack of it, with the names that there are.
    pub fn find(&self, name: &str) -> Result<&SavedQuestion, AnswerError> {
        self.questions.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.questions.keys().map(String::as_str).collect();
            let error = AnswerError::invalid(format!("no question `{name}`"));
            error.advise(AnswerAdvice::Words(format!("questions are {}", names.join(", "))))
        })
    }

    /// Returns the questions that expect a number of rows, in the order of their names.
    pub fn expecting(&self) -> impl Iterator<Item = (&str, &SavedQuestion, RowExpectation)> {
        let all = self.questions.iter();
        all.filter_map(|(name, asked)| Some((name.as_str(), asked, asked.expect?)))
    }

    /// The request that asks them at a time: without parameters, with the words of the file.
    pub fn request(&self, now: i64) -> QueryRequest {
        QueryRequest {
            now,
            smart_classes: self.smart_classes.clone(),
            smart_verbs: self.smart_verbs.clone(),
            ..QueryRequest::default()
        }
    }
}

impl SavedQuestion {
    /// Returns the text of the query under a name for its faults.
    pub fn source(&self, name: impl Into<String>) -> Arc<SourceText> {
        SourceText::whole(name, self.query.as_str())
    }

    /// Asks the question, and judges the number of its rows.
    ///
    /// # Errors
    ///
    /// `BAD_QUERY`, a limit, or the error of reading.
    pub fn ask<'a>(
        &self,
        name: &str,
        expected: RowExpectation,
        context: &QuestionContext<'a>,
        options: &QueryOptions,
    ) -> Result<AskedQuestion<'a>, AnswerError> {
        let query = read_query(&self.source(format!("question {name}")), options)?;
        let found = QueryFindings::ask(context, &query)?;
        let rows = found.answer.len() as u64;
        // A query with a mistake in it finds nothing, and so may seem to hold.
        let notes = found.notes(context, &query)?;
        let doubts = notes.into_iter().filter(|note| note.doubt).map(|note| note.text).collect();
        Ok(AskedQuestion {
            snapshot: context.snapshot,
            holds: expected.holds(rows),
            exceeded: expected.exceeded(rows),
            found,
            doubts,
        })
    }
}

/// A question that was asked, and its verdict.
pub struct AskedQuestion<'a> {
    snapshot: &'a Snapshot,
    /// The rows.
    pub found: QueryFindings<'a>,
    /// True if there are as many as expected.
    pub holds: bool,
    exceeded: bool,
    /// Notes that make it doubtful that the answer is the one that was meant.
    pub doubts: Vec<String>,
}

impl AskedQuestion<'_> {
    /// Names each row, if there are too many of them: `SCOPE::KEY` of its first entity, or its values.
    ///
    /// # Errors
    ///
    /// The error of reading.
    pub fn offenders(&self) -> Result<Vec<String>, AnswerError> {
        if !self.exceeded {
            return Ok(Vec::new());
        }
        let (columns, rows) = match &self.found.answer {
            QueryAnswer::List(entities) | QueryAnswer::Tree { entities, .. } => {
                return entities.iter().map(|number| self.entity(*number)).collect();
            }
            QueryAnswer::Table { columns, rows } => (columns, rows),
        };
        rows.iter().map(|cells| self.row(columns, cells)).collect()
    }

    fn entity(&self, number: u32) -> Result<String, AnswerError> {
        let head = self.snapshot.entity_head(number)?;
        let head = head.ok_or_else(|| AnswerError::inconsistent("an entity of a row is gone"))?;
        Ok(format!("{}::{}", head.scope, head.key))
    }

    /// Names a row of a table. Values of properties come and go with the answer, so an entity or the
    /// columns `_scope` and `_key` are preferred.
    fn row(&self, columns: &[String], cells: &[CellValue]) -> Result<String, AnswerError> {
        let entity = cells.iter().find_map(|cell| match cell {
            CellValue::Entity(number) => Some(*number),
            _ => None,
        });
        if let Some(number) = entity {
            return self.entity(number);
        }
        let named = |wanted: &str| {
            let at = columns.iter().position(|name| name.rsplit('.').next() == Some(wanted))?;
            Some(value_text(&cells[at]))
        };
        if let (Some(scope), Some(key)) = (named("_scope"), named("_key")) {
            return Ok(format!("{scope}::{key}"));
        }
        let pairs = columns.iter().zip(cells);
        let pairs: Vec<String> =
            pairs.map(|(name, cell)| format!("{name}={}", value_text(cell))).collect();
        Ok(pairs.join(", "))
    }
}

fn value_text(cell: &CellValue) -> String {
    match cell {
        CellValue::Undefined | CellValue::Entity(_) | CellValue::Relationship(_) => "-".to_owned(),
        CellValue::Value(value) => match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        },
        CellValue::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}
