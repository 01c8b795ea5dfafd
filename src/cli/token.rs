//! `tombolo token`: who may call the server, and what for.

use super::Context;
use super::args::{ReportFormat, RowFormat, TokenAction, TokenCreate};
use super::failure::Failure;
use super::output::{Listing, clean, counted, now, when};
use crate::api::tokens::Tokens;
use serde_json::json;
use std::io::Write;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Runs the command.
pub fn run(context: &mut Context<'_>, action: &TokenAction) -> Result<u8, Failure> {
    let tokens = Tokens::of(context.open_or_create()?.path());
    match action {
        TokenAction::Create(args) => create(context, &tokens, args),
        TokenAction::List(args) => list(context, &tokens, args.output),
        TokenAction::Revoke(args) => match tokens.revoke(&args.id)? {
            Some(token) => {
                let id = context.out.id(token.id);
                writeln!(context.out, "revoked {id}  {}", clean(&token.name))?;
                Ok(0)
            }
            None => Err(Failure::mistake(format!("no one token `{}`", args.id))
                .hint("`tombolo token list` shows all")),
        },
    }
}

fn create(context: &mut Context<'_>, tokens: &Tokens, args: &TokenCreate) -> Result<u8, Failure> {
    let expires = args.days.map(|days| now() + i64::from(days) * DAY);
    let (token, text) = tokens.create(&args.name, args.right.clone(), now(), expires)?;
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

fn list(context: &mut Context<'_>, tokens: &Tokens, output: RowFormat) -> Result<u8, Failure> {
    let mut listing = Listing::new(&[
        ("id", "ID"),
        ("name", "NAME"),
        ("rights", "RIGHTS"),
        ("createdOn", "CREATED"),
        ("expiresOn", "ENDS"),
    ]);
    let all = tokens.all()?;
    for token in &all {
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
        writeln!(context.out, "\n{}", counted(all.len() as u64, "token", "tokens"))?;
    }
    Ok(0)
}
