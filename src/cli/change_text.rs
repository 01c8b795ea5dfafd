//! Changes of objects, a line each: `~ okta-user:bob  status: ACTIVE -> SUSPENDED`. Every command
//! that says what changes says it here.

use super::args::ReportFormat;
use super::failure::CommandError;
use super::output::{AnswerWriter, clean};
use super::report;
use serde::Serialize;
use std::cell::RefCell;
use std::io::Write;
use tombolo::Error;
use tombolo::db::ChangeVisitor;
use tombolo::graph::{ObjectKind, Value};
use tombolo::sync::{ChangeAction, ChangeDetails, PropertyChange};

/// Prints a change.
pub fn print(out: &mut AnswerWriter<'_>, change: &ChangeDetails) -> Result<(), CommandError> {
    let sign = match change.action {
        ChangeAction::Create | ChangeAction::Revive => '+',
        ChangeAction::Update => '~',
        ChangeAction::Delete => '-',
    };
    let mut text = format!("{} {}", out.sign(sign), subject(change));
    match change.action {
        ChangeAction::Update if change.properties.is_empty() => text.push_str("  other ends"),
        ChangeAction::Update => {
            for property in &change.properties {
                text.push_str(&format!("  {}", difference(property)));
            }
        }
        _ => text.push_str(&format!("  {}", clean(&change.type_name))),
    }
    out.line("", &text, "    ")?;
    Ok(())
}

/// `okta-user:bob`, or `alice -OWNS-> laptop-1`, with the scope.
fn subject(change: &ChangeDetails) -> String {
    let scope = clean(&change.scope);
    match (&change.ends, change.kind) {
        (Some((from, to)), ObjectKind::Relationship) => {
            let class = change.classes.first().map_or("", String::as_str);
            format!("{} -{}-> {} @{scope}", clean(from), clean(class), clean(to))
        }
        _ => format!("{} @{scope}", clean(&change.key)),
    }
}

/// `status: ACTIVE -> SUSPENDED`
pub fn difference(property: &PropertyChange) -> String {
    let value = |value: &Option<Value<'_>>| match value {
        None => "(none)".to_owned(),
        Some(value) => match value.as_str() {
            Some(text) => clean(text).into_owned(),
            None => clean(&value.to_string()).into_owned(),
        },
    };
    let (before, after) = (value(&property.before), value(&property.after));
    format!("{}: {before} -> {after}", clean(&property.name))
}

/// Writes all changes that `ask` tells, then what `ask` gives; `json` as one document.
///
/// # Errors
///
/// Those of `ask`, or of writing.
pub fn write_all<R: Serialize>(
    out: &mut AnswerWriter<'_>,
    json: bool,
    ask: impl FnOnce(&ChangeVisitor<'_>) -> Result<R, Error>,
) -> Result<R, CommandError> {
    let state = RefCell::new((ChangePrinter::new(json), out, None));
    let answer = ask(&|change| {
        let (printer, out, failed) = &mut *state.borrow_mut();
        printer.add(out, &change).map_err(|e| {
            *failed = Some(e);
            Error::Usage("nobody reads the changes".to_owned(), None)
        })
    });
    let (printer, out, failed) = state.into_inner();
    if let Some(failed) = failed {
        return Err(failed);
    }
    let format = if json { ReportFormat::Json } else { ReportFormat::Table };
    let answer = report::tell_faults(out, format, answer)?;
    printer.finish(out, &answer)?;
    Ok(answer)
}

/// Writes changes as they come: as lines, or as the JSON list that a report follows.
struct ChangePrinter {
    json: bool,
    count: u64,
}

impl ChangePrinter {
    /// Nothing is written yet.
    fn new(json: bool) -> ChangePrinter {
        ChangePrinter { json, count: 0 }
    }

    /// Writes one.
    fn add(
        &mut self,
        out: &mut AnswerWriter<'_>,
        change: &ChangeDetails,
    ) -> Result<(), CommandError> {
        self.count += 1;
        if !self.json {
            return print(out, change);
        }
        let begin = if self.count == 1 { "{\"changes\":[\n" } else { ",\n" };
        write!(out, "{begin}")?;
        serde_json::to_writer(out, change)?;
        Ok(())
    }

    /// Ends the list; the reports of the jobs follow.
    fn finish(
        self,
        out: &mut AnswerWriter<'_>,
        reports: &impl Serialize,
    ) -> Result<(), CommandError> {
        if self.json {
            let end = if self.count == 0 { "{\"changes\":[" } else { "\n" };
            write!(out, "{end}],\"jobs\":")?;
            serde_json::to_writer(&mut *out, reports)?;
            writeln!(out, "}}")?;
        } else if self.count > 0 {
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_told_before_and_after() {
        let text = |text: &'static str| Some(Value::Text(text.into()));
        let told =
            |before, after| difference(&PropertyChange { name: "status".into(), before, after });
        assert_eq!(told(text("ACTIVE"), text("SUSPENDED")), "status: ACTIVE -> SUSPENDED");
        assert_eq!(told(None, Some(Value::Bool(true))), "status: (none) -> true");
    }
}
