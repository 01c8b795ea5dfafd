//! The error of an answer: its kind, a stable code, a message and advice.
//!
//! Each face has one table from kinds: exit codes on the command line, statuses over HTTP. No face
//! reads a message to learn what went wrong.

use super::words::reason;
use crate::error::{Error, ErrorKind};
use crate::lang::Diagnostic;
use crate::limits::{LimitError, QuestionError};
use crate::store::StoreError;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::path::Path;

/// Advice for whoever asked. [`fmt::Display`] writes the words that all faces share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerAdvice {
    /// The known name that is most like the unknown one.
    Nearest(String),
    /// The scopes can be listed.
    ListScopes,
    /// Some names that are known.
    KnownNames {
        /// The kind of name, in the plural: `verbs`.
        plural: String,
        /// The most frequent ones.
        names: Vec<String>,
        /// True if there are more.
        more: bool,
    },
    /// The database has no name of this kind.
    NoSuchNames(String),
    /// The caller leaves out one of two things that exclude each other.
    LeaveOutOne,
    /// Nothing owns anything, so rules or mappings come first.
    MakeOwners,
    /// The extent of damage can be looked at.
    Verify,
    /// There is no mapping file yet.
    WriteMapping,
    /// The mapping files have errors.
    CheckMappings,
    /// A guard is set for one mapping at a time.
    NameOneMapping,
    /// Advice of a lower floor, in its words.
    Words(String),
}

impl fmt::Display for AnswerAdvice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            AnswerAdvice::Nearest(name) => return write!(f, "did you mean `{name}`?"),
            AnswerAdvice::NoSuchNames(plural) => return write!(f, "it has no {plural} at all"),
            AnswerAdvice::KnownNames { plural, names, more } => {
                let rest = if *more { ", …; `tombolo stats` lists all" } else { "" };
                return write!(f, "{plural} here are {}{rest}", names.join(", "));
            }
            AnswerAdvice::ListScopes => "`tombolo scopes` lists all",
            AnswerAdvice::LeaveOutOne => "leave out one of them",
            AnswerAdvice::MakeOwners => {
                "mappings make owners; `[[ownership]]` in `tombolo.toml` says which verbs own, and \
                 `tombolo impact-rules` lists them"
            }
            AnswerAdvice::Verify => "`tombolo verify` lists everything that is wrong",
            AnswerAdvice::WriteMapping => {
                "a mapping is a .toml file; `tombolo new SCOPE` writes one"
            }
            AnswerAdvice::CheckMappings => {
                "nothing was run; `tombolo check` looks again without a database"
            }
            AnswerAdvice::NameOneMapping => "name the one mapping: its file or its scope",
            AnswerAdvice::Words(words) => words,
        };
        f.write_str(words)
    }
}

/// The reason why a question has no answer.
#[derive(Debug)]
pub struct AnswerError {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    advice: Option<AnswerAdvice>,
    limit: Option<LimitError>,
    diagnostics: Vec<Diagnostic>,
    cause: Option<Box<Error>>,
}

impl AnswerError {
    /// An error with a message, whose values stand in backticks.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> AnswerError {
        AnswerError {
            kind,
            code: kind.code(),
            message: message.into(),
            advice: None,
            limit: None,
            diagnostics: Vec::new(),
            cause: None,
        }
    }

    /// A mistake in the question.
    pub fn invalid(message: impl Into<String>) -> AnswerError {
        AnswerError::new(ErrorKind::Invalid, message)
    }

    /// A name that nothing has.
    pub fn not_found(message: impl Into<String>) -> AnswerError {
        AnswerError::new(ErrorKind::NotFound, message)
    }

    /// Damaged data: a row that another row names is missing.
    pub fn inconsistent(what: impl fmt::Display) -> AnswerError {
        let message = format!("the database is damaged: {what}");
        AnswerError::new(ErrorKind::Damaged, message).advise(AnswerAdvice::Verify)
    }

    /// A file that could not be read. A missing one is a mistake of the caller.
    pub fn unreadable_file(path: &Path, e: &io::Error) -> AnswerError {
        let kind = match e.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => ErrorKind::Invalid,
            _ => ErrorKind::Failed,
        };
        AnswerError::new(kind, format!("cannot read `{}`: {}", path.display(), reason(e)))
    }

    /// The same with advice.
    pub fn advise(self, advice: AnswerAdvice) -> AnswerError {
        AnswerError { advice: Some(advice), ..self }
    }

    /// The same under a code of its own.
    pub fn coded(self, code: &'static str) -> AnswerError {
        AnswerError { code, ..self }
    }

    /// The same with the faults of the text that it speaks of.
    pub fn with_diagnostics(self, diagnostics: Vec<Diagnostic>) -> AnswerError {
        AnswerError { diagnostics, ..self }
    }

    /// Its kind, from which a face chooses an exit code or a status.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Its code, for programs. It never changes.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Its message, for people: lower case, without a full stop.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Advice for whoever asked.
    pub fn advice(&self) -> Option<&AnswerAdvice> {
        self.advice.as_ref()
    }

    /// The limit that the question went over.
    pub fn limit(&self) -> Option<&LimitError> {
        self.limit.as_ref()
    }

    /// The faults of a text that was read, each with its place.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The error of the facade behind it.
    pub fn cause(&self) -> Option<&Error> {
        self.cause.as_deref()
    }

    /// The same, by value.
    pub fn into_cause(self) -> Result<Error, AnswerError> {
        match self.cause {
            Some(cause) => Ok(*cause),
            None => Err(self),
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AnswerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|e| e as _)
    }
}

impl From<Error> for AnswerError {
    fn from(e: Error) -> AnswerError {
        let error = AnswerError::new(e.kind(), e.to_string());
        let error = match &e {
            Error::NoSuchState(..) | Error::Store(StoreError::NoSuchState(_)) => {
                error.coded("NO_SUCH_STATE")
            }
            _ => error,
        };
        let advice = e.hint().map(AnswerAdvice::Words);
        AnswerError { advice, cause: Some(Box::new(e)), ..error }
    }
}

impl From<StoreError> for AnswerError {
    fn from(e: StoreError) -> AnswerError {
        Error::Store(e).into()
    }
}

impl From<LimitError> for AnswerError {
    fn from(what: LimitError) -> AnswerError {
        let (kind, code) = match &what {
            // Memory that other questions hold is free again in a moment.
            LimitError::Shared(_) => (ErrorKind::Unavailable, "MEMORY_IN_USE"),
            LimitError::Memory(_) => (ErrorKind::LimitExceeded, "QUERY_NEEDS_TOO_MUCH_MEMORY"),
            LimitError::Value(_) => (ErrorKind::LimitExceeded, "VALUE_TOO_LARGE"),
            _ => (ErrorKind::LimitExceeded, "QUERY_TOO_COSTLY"),
        };
        let error = AnswerError::new(kind, format!("the question was stopped: {what}"));
        let advice = Some(AnswerAdvice::Words(what.hint().to_owned()));
        AnswerError { code, advice, limit: Some(what), ..error }
    }
}

impl From<QuestionError<StoreError>> for AnswerError {
    fn from(stop: QuestionError<StoreError>) -> AnswerError {
        match stop {
            QuestionError::Read(e) => e.into(),
            QuestionError::Limit(what) => what.into(),
        }
    }
}

/// Nothing can fail to be read here, so only a limit is left.
impl From<QuestionError<Infallible>> for AnswerError {
    fn from(stop: QuestionError<Infallible>) -> AnswerError {
        match stop {
            QuestionError::Read(never) => match never {},
            QuestionError::Limit(what) => what.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_missing_file_is_a_mistake_and_a_broken_disk_is_not() {
        let kind =
            |kind| AnswerError::unreadable_file(Path::new("x"), &io::Error::from(kind)).kind();
        assert_eq!(kind(io::ErrorKind::NotFound), ErrorKind::Invalid);
        assert_eq!(kind(io::ErrorKind::StorageFull), ErrorKind::Failed);
    }

    #[test]
    fn each_kind_has_a_code_and_each_limit_its_own() {
        let code = |what: LimitError| AnswerError::from(what).code();
        assert_eq!(code(LimitError::Rows(1)), "QUERY_TOO_COSTLY");
        assert_eq!(code(LimitError::Memory(1)), "QUERY_NEEDS_TOO_MUCH_MEMORY");
        assert_eq!(code(LimitError::Shared(1)), "MEMORY_IN_USE");
        let kind = |e: StoreError| AnswerError::from(e).kind();
        let path = || PathBuf::from("x");
        assert_eq!(kind(StoreError::Missing(path())), ErrorKind::NotFound);
        assert_eq!(kind(StoreError::InUse(path())), ErrorKind::Unavailable);
        assert_eq!(kind(StoreError::corrupt("heads", &[], "gone")), ErrorKind::Damaged);
        assert_eq!(AnswerError::inconsistent("x").code(), "DATABASE_DAMAGED");
    }
}
