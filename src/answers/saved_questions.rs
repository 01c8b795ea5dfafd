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

use super::{AnswerAdvice, AnswerError};
use crate::lang::SourceText;
use crate::rules::project_file;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the file.
pub const QUESTION_FILE: &str = "queries.toml";

/// The contents of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedQuestionFile {
    /// Questions by name.
    #[serde(default)]
    pub queries: BTreeMap<String, SavedQuestion>,
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
    pub about: Option<String>,
    query: toml::Spanned<String>,
    /// The number of rows that it should have.
    pub expect: Option<RowExpectation>,
}

/// The number of rows that a question should have.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum RowExpectation {
    /// So many.
    Exactly(u64),
    /// A number within bounds.
    #[serde(rename_all = "lowercase")]
    Between(RowCountRange),
}

/// Bounds of a number of rows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCountRange {
    /// At least so many.
    pub min: Option<u64>,
    /// At most so many.
    pub max: Option<u64>,
}

impl RowExpectation {
    /// True if so many rows are as they should be.
    pub fn holds(self, rows: u64) -> bool {
        match self {
            RowExpectation::Exactly(number) => rows == number,
            RowExpectation::Between(RowCountRange { min, max }) => {
                min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max)
            }
        }
    }

    /// The expectation in words: `at most 3`.
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

impl SavedQuestion {
    /// The text of the query.
    pub fn text(&self) -> &str {
        self.query.get_ref()
    }

    /// Returns the text of the query, named after the file.
    pub fn source(&self, file: &Path) -> Arc<SourceText> {
        SourceText::whole(file.display().to_string(), self.text())
    }
}

impl SavedQuestionFile {
    /// Reads the file. A missing file means that there are no questions; if it is `needed`, it is
    /// an error.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or what is wrong in it.
    pub fn load(path: &Path, needed: bool) -> Result<SavedQuestionFile, AnswerError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound && !needed => {
                return Ok(SavedQuestionFile::default());
            }
            Err(e) => return Err(AnswerError::unreadable_file(path, &e)),
        };
        toml::from_str(&text).map_err(|e| {
            // TOML gives an offset in bytes, and people need line and column.
            let source = SourceText::whole(path.display().to_string(), text.as_str());
            let (line, column) = source.place(e.span().map_or(0, |span| span.start));
            AnswerError::invalid(format!("{}:{line}:{column}: {}", path.display(), e.message()))
        })
    }

    /// Returns the question of this name.
    ///
    /// # Errors
    ///
    /// A name that no question has, with those that some have.
    pub fn find(&self, name: &str) -> Result<&SavedQuestion, AnswerError> {
        self.queries.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.queries.keys().map(String::as_str).collect();
            AnswerError::invalid(format!("no question `{name}`"))
                .advise(AnswerAdvice::Words(format!("questions are {}", names.join(", "))))
        })
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
