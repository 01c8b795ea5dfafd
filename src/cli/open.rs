//! `tombolo open`: the pages of a database, served to this machine for as long as a person looks.

use super::CommandContext;
use super::args::OpenArgs;
use super::failure::CommandError;
use std::io::Write;
use tombolo::answers::SavedQuestions;

/// Runs the command, until Ctrl+C.
pub fn run(context: &mut CommandContext<'_>, args: &OpenArgs) -> Result<u8, CommandError> {
    // A server would make a database that is not there; who looks has named the wrong one.
    drop(context.open()?);
    let page = page(args)?;
    let quiet = context.out.quiet;
    super::serve::run_here(context, args.port, &args.mappings, &mut |out, url| {
        let address = format!("{url}{page}");
        writeln!(out, "{address}")?;
        if !quiet {
            writeln!(out, "Ctrl+C ends it.")?;
        }
        out.flush()?;
        // Without a browser the address is enough.
        if !args.no_browser && open::that_detached(&address).is_err() && !quiet {
            writeln!(out, "No browser could be opened; open the address in one.")?;
            out.flush()?;
        }
        Ok(())
    })
}

/// The page that is asked for.
fn page(args: &OpenArgs) -> Result<String, CommandError> {
    let Some(what) = &args.what else { return Ok("/".into()) };
    let with = |path: &str, name: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        format!("{path}?{}", query.append_pair(name, what).finish())
    };
    let first = what.split_whitespace().next().unwrap_or_default();
    if first.eq_ignore_ascii_case("find") {
        return Ok(with("/query", "q"));
    }
    let questions = SavedQuestions::load(&args.questions, false)?;
    Ok(match questions.questions.contains_key(what) {
        true => with("/query", "run"),
        false => with("/open", "entity"),
    })
}
