//! `tombolo mcp`: an assistant starts it and speaks with it over standard input and output.

use super::CommandContext;
use super::args::McpArgs;
use super::failure::{CommandError, FAILED, exit_code};
use crate::mcp::{LocalHost, serve_stdio};
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

/// Runs until the client closes standard input.
pub fn run(context: &mut CommandContext<'_>, args: &McpArgs) -> Result<u8, CommandError> {
    let database = context.open()?;
    if std::io::stdin().is_terminal() && !context.global.quiet {
        eprintln!(
            "This command speaks the Model Context Protocol with a program, which starts it. \
             docs/assistants.md says how to configure one; Ctrl-D ends it."
        );
    }
    let mut limits = context.limits.clone();
    limits.time = Some(Duration::from_secs(args.max_seconds));
    let host = LocalHost {
        database: Arc::new(database),
        mappings: args.mappings.clone(),
        limits,
        exit_code,
    };
    serve_stdio(host).map_err(|e| CommandError::Fault {
        message: format!("the client of standard input: {e}"),
        hint: Some("an assistant starts this command; docs/assistants.md says how".to_owned()),
        code: FAILED,
    })?;
    Ok(0)
}
