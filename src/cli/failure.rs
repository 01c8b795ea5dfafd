//! The error that ends a command early: a message, advice, and the exit code.

use std::fmt::Display;
use std::io;
use std::path::Path;
use tombolo::answers::{AnswerError, reason};
use tombolo::limits::{LimitError, QuestionError};
use tombolo::store::StoreError;
use tombolo::{Error, ErrorKind};

/// Exit code of an error that no caller made: a disk, a network mount.
pub const FAILED: u8 = 1;
/// Exit code of a mistake in the call: flags, files, names.
pub const MISTAKE: u8 = 2;
/// Exit code of `plan --exit-code` when changes are waiting.
pub const WAITING: u8 = 3;
/// Exit code of a change that was refused for safety.
pub const REFUSED: u8 = 4;
/// Exit code of a database that another process holds.
const IN_USE: u8 = 5;
/// Exit code of a database that cannot be believed.
pub const DAMAGED: u8 = 6;

/// The exit code of a command that ends with this error.
pub fn exit_code(error: &AnswerError) -> u8 {
    kind_code(error.kind())
}

/// The exit code of a command that ends with an error of this kind.
pub fn kind_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NotFound
        | ErrorKind::Invalid
        | ErrorKind::Forbidden
        | ErrorKind::LimitExceeded => MISTAKE,
        ErrorKind::Refused => REFUSED,
        ErrorKind::Unavailable => IN_USE,
        ErrorKind::Damaged => DAMAGED,
        ErrorKind::Failed => FAILED,
    }
}

/// The end of a command that did not do what it was asked for.
#[derive(Debug)]
pub enum CommandError {
    /// Something to tell.
    Fault {
        /// The message, with the value in backticks.
        message: String,
        /// Advice for the caller.
        hint: Option<String>,
        /// The exit code.
        code: u8,
    },
    /// The reader of the output has gone (`tombolo export | head`), which is no error.
    PipeClosed,
}

impl CommandError {
    /// A mistake in the call.
    pub fn mistake(message: impl Into<String>) -> CommandError {
        CommandError::Fault { message: message.into(), hint: None, code: MISTAKE }
    }

    /// A file that could not be read or written. A missing one is the caller's mistake.
    pub fn file(path: &Path, verb: &str, e: &io::Error) -> CommandError {
        let code = match e.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => MISTAKE,
            _ => FAILED,
        };
        let message = format!("cannot {verb} `{}`: {}", path.display(), reason(e));
        CommandError::Fault { message, hint: None, code }
    }

    /// Returns message, advice and exit code; `None` for a closed pipe.
    pub fn told(&self) -> Option<(String, Option<String>, u8)> {
        match self {
            CommandError::Fault { message, hint, code } => {
                Some((message.clone(), hint.clone(), *code))
            }
            CommandError::PipeClosed => None,
        }
    }

    /// Adds the name of the database to the message if the database is damaged.
    pub fn of_file(self, path: &Path) -> CommandError {
        match self {
            CommandError::Fault { message, hint, code: DAMAGED } => {
                let path = path.display().to_string();
                // Errors of the store name the file already; others do not know it.
                let named = message.contains(&path);
                let message = if named { message } else { format!("`{path}`: {message}") };
                CommandError::Fault { message, hint, code: DAMAGED }
            }
            other => other,
        }
    }

    /// Adds advice, in place of advice given before.
    pub fn hint(self, text: impl Into<String>) -> CommandError {
        match self {
            CommandError::Fault { message, code, .. } => {
                CommandError::Fault { message, hint: Some(text.into()), code }
            }
            other => other,
        }
    }
}

impl From<AnswerError> for CommandError {
    fn from(e: AnswerError) -> CommandError {
        CommandError::Fault {
            message: e.message().to_owned(),
            hint: e.advice().map(ToString::to_string),
            code: exit_code(&e),
        }
    }
}

impl From<Error> for CommandError {
    fn from(e: Error) -> CommandError {
        AnswerError::from(e).into()
    }
}

impl From<StoreError> for CommandError {
    fn from(e: StoreError) -> CommandError {
        AnswerError::from(e).into()
    }
}

impl From<LimitError> for CommandError {
    fn from(what: LimitError) -> CommandError {
        AnswerError::from(what).into()
    }
}

impl From<QuestionError<StoreError>> for CommandError {
    fn from(stop: QuestionError<StoreError>) -> CommandError {
        AnswerError::from(stop).into()
    }
}

/// Only errors of standard output come here; errors of files name their path by [`CommandError::file`].
impl From<io::Error> for CommandError {
    fn from(e: io::Error) -> CommandError {
        match e.kind() {
            io::ErrorKind::BrokenPipe => CommandError::PipeClosed,
            _ => CommandError::Fault {
                message: format!("cannot write the answer: {}", reason(&e)),
                hint: None,
                code: FAILED,
            },
        }
    }
}

impl From<serde_json::Error> for CommandError {
    fn from(e: serde_json::Error) -> CommandError {
        io::Error::from(e).into()
    }
}

impl From<csv::Error> for CommandError {
    fn from(e: csv::Error) -> CommandError {
        match e.into_kind() {
            csv::ErrorKind::Io(e) => e.into(),
            other => CommandError::from(io::Error::other(format!("{other:?}"))),
        }
    }
}

/// An error of damaged data: a row that another row names is missing.
pub fn inconsistent(what: impl Display) -> CommandError {
    AnswerError::inconsistent(what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_a_mistake_and_a_broken_disk_is_not() {
        let code = |kind| match CommandError::file(Path::new("x"), "read", &io::Error::from(kind)) {
            CommandError::Fault { code, .. } => code,
            CommandError::PipeClosed => 0,
        };
        assert_eq!(code(io::ErrorKind::NotFound), MISTAKE);
        assert_eq!(code(io::ErrorKind::StorageFull), FAILED);
    }

    #[test]
    fn a_closed_pipe_is_no_fault() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(CommandError::from(closed), CommandError::PipeClosed));
    }
}
