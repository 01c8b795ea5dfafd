//! The rules in force: the built-in ones, as the `tombolo.toml` of the working folder or of the
//! nearest folder above changes them.

use super::{AnswerAdvice, AnswerError};
use crate::lang::SourceText;
use crate::rules::{RuleTable, project_file};

/// Reads the rules in force.
///
/// # Errors
///
/// The first fault of the file in words, with all of them as diagnostics, or the error of reading it.
pub fn rules_in_force() -> Result<RuleTable, AnswerError> {
    let Ok(here) = std::env::current_dir() else { return Ok(RuleTable::default()) };
    let Some(path) = project_file(&here) else { return Ok(RuleTable::default()) };
    let shown = path.strip_prefix(&here).unwrap_or(&path).to_owned();
    let text =
        std::fs::read_to_string(&path).map_err(|e| AnswerError::unreadable_file(&shown, &e))?;
    let source = SourceText::whole(shown.display().to_string(), text);
    RuleTable::parse(&source).map_err(|faults| {
        let Some(fault) = faults.first() else { return AnswerError::invalid("faulty rules") };
        let (line, column) = fault.place();
        let place = format!("{}:{line}:{column}", fault.source.file);
        let error = AnswerError::invalid(format!("{place}: {}", fault.message));
        let error = match fault.helps.first() {
            Some(help) => error.advise(AnswerAdvice::Words(help.clone())),
            None => error,
        };
        error.with_diagnostics(faults)
    })
}
