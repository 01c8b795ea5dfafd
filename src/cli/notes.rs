//! Notes beside an answer, about facts that the answer does not show by itself. They go to standard
//! error, and a JSON answer also has them in `notes`.

use super::CommandContext;
use super::args::MessageFormat;
use super::failure::CommandError;
use super::output::clean;

/// Prints the notes of an answer to standard error.
pub fn tell(context: &mut CommandContext<'_>, notes: &[String]) -> Result<(), CommandError> {
    use std::io::Write;
    if context.global.quiet {
        return Ok(());
    }
    context.out.flush()?;
    let mut stderr = anstream::stderr().lock();
    for note in notes {
        // When standard error is gone, there is nobody left to tell.
        let _ = match context.global.message_format {
            MessageFormat::Json => {
                let line = serde_json::json!({ "severity": "note", "message": note });
                writeln!(stderr, "{line}")
            }
            MessageFormat::Human => writeln!(stderr, "note: {}", clean(note)),
        };
    }
    Ok(())
}
