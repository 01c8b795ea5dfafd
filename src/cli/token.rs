//! `tombolo token`: the callers of the server and their rights.

use super::CommandContext;
use super::args::{ReportFormat, RowFormat, TokenAction, TokenCreateArgs};
use super::failure::CommandError;
use super::output::{RowListing, clean, counted, now, when};
use serde_json::json;
use std::io::Write;
use tombolo::db::Database;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, action: &TokenAction) -> Result<u8, CommandError> {
    let database = context.open_or_create()?;
    // Tokens of an earlier version must be in the database before any is listed or revoked.
    super::checkup::migrate_tokens(context, &database)?;
    match action {
        TokenAction::Create(args) => create(context, &database, args),
        TokenAction::List(args) => list(context, &database, args.output),
        TokenAction::Revoke(args) => match database.revoke_token(&args.id)? {
            Some(token) => {
                let id = context.out.id(token.id);
                writeln!(context.out, "revoked {id}  {}", clean(&token.name))?;
                if database.access()?.tokens.is_empty() && !context.out.quiet {
                    writeln!(
                        context.out,
                        "That was the last one. Nobody can call a server of this database now, \
                         unless `tombolo token allow-anonymous` opens it."
                    )?;
                }
                Ok(0)
            }
            None => Err(CommandError::mistake(format!("no one token `{}`", args.id))
                .hint("`tombolo token list` shows all")),
        },
        TokenAction::AllowAnonymous => {
            database.allow_anonymous()?;
            writeln!(
                context.out,
                "A server of this database on 127.0.0.1 lets anyone on this machine do anything."
            )?;
            Ok(0)
        }
    }
}

fn create(
    context: &mut CommandContext<'_>,
    database: &Database,
    args: &TokenCreateArgs,
) -> Result<u8, CommandError> {
    let expires = args.days.map(|days| now() + i64::from(days) * DAY);
    let (token, text) = database.create_token(&args.name, args.right.clone(), now(), expires)?;
    let out = &mut context.out;
    match args.output {
        ReportFormat::Json => out.json(&json!({
            "id": token.id, "name": token.name, "rights": token.rights,
            "expiresOn": token.expires_on, "token": text,
        }))?,
        ReportFormat::Table => {
            writeln!(out, "{text}")?;
            if !out.quiet {
                let end = token.expires_on.map_or("never".to_owned(), |end| when(out, end));
                let id = out.id(token.id);
                writeln!(out, "\nid      {id}\nends    {end}")?;
                writeln!(
                    out,
                    "It is shown this once; clients send it as `Authorization: Bearer`."
                )?;
            }
        }
    }
    Ok(0)
}

fn list(
    context: &mut CommandContext<'_>,
    database: &Database,
    output: RowFormat,
) -> Result<u8, CommandError> {
    let mut listing = RowListing::new(&[
        ("id", "ID"),
        ("name", "NAME"),
        ("rights", "RIGHTS"),
        ("createdOn", "CREATED"),
        ("expiresOn", "ENDS"),
    ]);
    let access = database.access()?;
    let all = &access.tokens;
    for token in all {
        let time = |time: i64| match output {
            RowFormat::Table => json!(when(&context.out, time)),
            _ => json!(time),
        };
        let end = match token.expires_on {
            Some(_) if token.expired(now()) && output == RowFormat::Table => json!("has ended"),
            Some(end) => time(end),
            None if output == RowFormat::Table => json!("never"),
            None => json!(null),
        };
        let rights = json!(token.rights);
        let id = match output {
            RowFormat::Table => json!(context.out.id(token.id)),
            _ => json!(token.id),
        };
        listing.row([id, json!(token.name), rights, time(token.created_on), end]);
    }
    listing.print(&mut context.out, output)?;
    if output == RowFormat::Table && !context.out.quiet {
        let state = match (access.closed, all.is_empty()) {
            (true, false) => "",
            (true, true) => "; the database is closed to callers",
            (false, _) => "; a server on 127.0.0.1 lets anyone on this machine do anything",
        };
        writeln!(context.out, "\n{}{state}", counted(all.len() as u64, "token", "tokens"))?;
    }
    Ok(0)
}
