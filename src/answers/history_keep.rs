//! How long the file remembers: `[history] keep` of the project.

use super::{AnswerAdvice, AnswerError};
use crate::lang::{HistoryKeep, SourceText};
use crate::rules::project_file;
use toml::de::{DeTable, DeValue};

/// Reads how long states are kept: as the `tombolo.toml` of the working folder, or of the nearest
/// folder above, says.
///
/// # Errors
///
/// A file that cannot be read, or a value that is none.
pub fn history_keep() -> Result<HistoryKeep, AnswerError> {
    let Ok(here) = std::env::current_dir() else { return Ok(HistoryKeep::default()) };
    let Some(path) = project_file(&here) else { return Ok(HistoryKeep::default()) };
    let shown = path.strip_prefix(&here).unwrap_or(&path).to_owned();
    let text =
        std::fs::read_to_string(&path).map_err(|e| AnswerError::unreadable_file(&shown, &e))?;
    read(&shown.display().to_string(), &text)
}

fn get<'t, 'v>(table: &'t DeTable<'v>, name: &str) -> Option<&'t toml::Spanned<DeValue<'v>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

fn read(file: &str, text: &str) -> Result<HistoryKeep, AnswerError> {
    let source = SourceText::whole(file.to_owned(), text);
    let fault = |at: usize, message: String, help: String| {
        let (line, column) = source.place(at);
        AnswerError::invalid(format!("{file}:{line}:{column}: {message}"))
            .advise(AnswerAdvice::Words(help))
    };
    let help = "write [history] with keep = \"90d\", \"forever\" or \"none\"".to_owned();
    let table = DeTable::parse(text).map_err(|e| {
        fault(e.span().map_or(0, |span| span.start), e.message().to_owned(), help.clone())
    })?;
    let Some(history) = get(table.get_ref(), "history") else { return Ok(HistoryKeep::default()) };
    let Some(members) = history.get_ref().as_table() else {
        return Err(fault(history.span().start, "`history` is a table".into(), help));
    };
    for (key, _) in members.iter() {
        if key.get_ref() != "keep" {
            let message = format!("`[history]` has no `{}`", key.get_ref());
            return Err(fault(key.span().start, message, help));
        }
    }
    let Some(keep) = get(members, "keep") else { return Ok(HistoryKeep::default()) };
    let DeValue::String(value) = keep.get_ref() else {
        return Err(fault(keep.span().start, "`keep` is a text".into(), help));
    };
    HistoryKeep::parse(value).map_err(|expected| {
        fault(keep.span().start, format!("`keep = {value:?}`: {expected}"), help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_is_read_where_it_is_written_and_told_where_it_is_wrong() {
        let read = |text| read("tombolo.toml", text).map_err(|e| e.to_string());
        assert_eq!(read("[scopes]\n"), Ok(HistoryKeep::default()));
        assert_eq!(read("[history]\nkeep = \"forever\"\n"), Ok(HistoryKeep::Forever));
        assert_eq!(read("[history]\nkeep = \"none\"\n"), Ok(HistoryKeep::Never));
        let wrong = read("[history]\nkeep = \"long\"\n").unwrap_err();
        assert!(wrong.starts_with("tombolo.toml:2:8: `keep = \"long\"`: expected"), "{wrong}");
        let wrong = read("[history]\nfor = \"3d\"\n").unwrap_err();
        assert_eq!(wrong, "tombolo.toml:2:1: `[history]` has no `for`");
    }
}
