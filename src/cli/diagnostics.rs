//! Faults of files and queries, each with its place, for people, programs and GitHub.

use super::CommandContext;
use super::args::{DiagnosticFormat, MessageFormat};
use super::failure::CommandError;
use std::io::IsTerminal;
use tombolo::lang::{Diagnostic, DiagnosticSeverity};

/// Prints faults. They are words about the answer, so they go to standard error. Only annotations
/// go to standard output, where a workflow reads them.
pub fn tell(
    context: &mut CommandContext<'_>,
    faults: &[Diagnostic],
    format: DiagnosticFormat,
) -> Result<(), CommandError> {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let json =
        format == DiagnosticFormat::Json || context.global.message_format == MessageFormat::Json;
    for fault in faults {
        if json {
            eprintln!("{}", fault.json());
        } else if format == DiagnosticFormat::Github {
            use std::io::Write;
            writeln!(context.out, "{}", annotation(fault))?;
        } else {
            eprintln!("{}", if colour { fault.coloured() } else { fault.plain() });
        }
    }
    Ok(())
}

/// `::error file=…,line=…,col=…,title=…::message`, the form that GitHub reads from a log.
fn annotation(fault: &Diagnostic) -> String {
    let severity = match fault.severity {
        DiagnosticSeverity::Error => "error",
        DiagnosticSeverity::Warning => "warning",
    };
    let (line, column) = fault.place();
    let mut message = fault.message.clone();
    fault.notes.iter().for_each(|note| message += &format!("\nnote: {note}"));
    fault.helps.iter().for_each(|help| message += &format!("\nhelp: {help}"));
    if let Some(patch) = &fault.patch {
        message += &format!("\nhelp: {}: `{}`", patch.title, patch.replacement);
    }
    let (file, code) = (annotation_property(&fault.source.file), fault.code);
    let message = annotation_data(&message);
    format!("::{severity} file={file},line={line},col={column},title={code}::{message}")
}

/// Writes the message of an annotation on one line.
pub fn annotation_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Writes a property of an annotation. `:` and `,` would end it; in the message they are plain text.
pub fn annotation_property(text: &str) -> String {
    annotation_data(text).replace(':', "%3A").replace(',', "%2C")
}
