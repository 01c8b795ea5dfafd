//! `tombolo demo`: a small company in a throw-away database, from empty file to answers.
//!
//! Every command is read and run exactly as if it had been typed, so the demo shows only what the
//! program does.

use super::CommandContext;
use super::args::{self, DB_DEFAULT, DemoArgs};
use super::failure::CommandError;
use super::output::{clean, duration_text};
use anstyle::AnsiColor;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tombolo::demo::{DemoCompany, MAPPINGS, company};

/// The questions of the demo, each in words and as a command.
const QUESTIONS: [(&str, &str); 5] = [
    (
        "Which laptops are assigned to the members of the SRE group?",
        "blast-radius okta-group:sre --direction out --verb HAS,OWNS --scope jamf",
    ),
    (
        "What is reached if Alice's account is taken? What her groups may do is borrowed by it.",
        "blast-radius okta-user:alice",
    ),
    (
        "Which repository deploys this bucket?",
        "blast-radius s3-bucket:platform-assets --direction in --verb DEPLOYS",
    ),
    (
        "Which applications assume this role, and what is reached if it is compromised?",
        "blast-radius aws-iam-role:billing-writer",
    ),
    ("Who owns this bucket, and by which chain?", "owners s3-bucket:platform-assets"),
];

/// The key of the membership that is gone later.
const LEFT_GROUP: &str = "okta-group:production-access|has|okta-user:alice";

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &DemoArgs) -> Result<u8, CommandError> {
    let begun = Instant::now();
    let folder = DemoFolder::make(args)?;
    let company = company();
    write_files(&folder.path, &company)?;
    let home =
        std::env::current_dir().map_err(|e| CommandError::file(Path::new("."), "read", &e))?;
    enter(&folder.path)?;
    let database = context.global.db.clone();
    context.global.db = PathBuf::from(DB_DEFAULT);
    // An error waits until the caller's folder and database are in force again.
    let result = show(context, &company).and_then(|code| {
        writeln!(context.out, "\nAll of this took {}.", duration_text(begun.elapsed()))?;
        serve(context, args)?;
        Ok(code)
    });
    context.global.db = database;
    enter(&home)?;
    let code = result?;
    farewell(context, &folder)?;
    Ok(code)
}

/// Serves the demo to a browser, if that is asked for.
#[cfg(feature = "server")]
fn serve(context: &mut CommandContext<'_>, args: &DemoArgs) -> Result<(), CommandError> {
    if !args.serve {
        return Ok(());
    }
    super::serve::run_here(context, 0, Path::new("mappings"), &mut |out, url| {
        writeln!(out, "\nOpen {url} in a browser; Ctrl+C ends it.")?;
        out.flush()
    })?;
    Ok(())
}

#[cfg(not(feature = "server"))]
#[allow(clippy::unnecessary_wraps)] // as the other one
fn serve(_: &mut CommandContext<'_>, _: &DemoArgs) -> Result<(), CommandError> {
    Ok(())
}

fn show(context: &mut CommandContext<'_>, company: &DemoCompany) -> Result<u8, CommandError> {
    say(context, "Five collectors upload what they see, each into its own scope.")?;
    let mut code = 0;
    let files: Vec<&str> = company.files.iter().map(|file| file.name).collect();
    code = type_in(context, &format!("sync {}", files.join(" ")))?.max(code);
    say(context, "Nobody owns the edges between them. Mapping files do: TOML, kept in git.")?;
    for command in ["check", "plan", "apply"] {
        code = type_in(context, command)?.max(code);
    }
    for (question, command) in QUESTIONS {
        say(context, question)?;
        code = type_in(context, command)?.max(code);
    }
    past(context).map(|later| later.max(code))
}

/// An hour later: somebody takes Alice out of a group, and then an incident asks about before.
fn past(context: &mut CommandContext<'_>) -> Result<u8, CommandError> {
    let before = context.open()?.newest_state()?.revision;
    say(
        context,
        "Later Alice leaves the group `production-access`. What did that change for her?",
    )?;
    let mut code = type_in(context, "sync --scope okta later/okta.ndjson")?;
    code = type_in(context, &format!("diff {before} --impact okta-user:alice"))?.max(code);
    say(context, "And what could she reach before, when it happened?")?;
    let then = format!("blast-radius okta-user:alice --for compromise --scope aws --at {before}");
    code = type_in(context, &then)?.max(code);
    let Some(job) = context.open()?.jobs()?.into_iter().next() else { return Ok(code) };
    say(context, "It was a mistake of the collector, so the job is taken back.")?;
    Ok(type_in(context, &format!("job undo {}", context.out.id(job.id)))?.max(code))
}

/// Prints a sentence between the commands.
fn say(context: &mut CommandContext<'_>, text: &str) -> Result<(), CommandError> {
    let text = context.out.bold(text);
    Ok(writeln!(context.out, "\n{text}")?)
}

/// Shows a command as it would be typed, and runs it.
fn type_in(context: &mut CommandContext<'_>, command: &str) -> Result<u8, CommandError> {
    let prompt = context.out.paint(AnsiColor::Green.on_default(), "$");
    writeln!(context.out, "\n{prompt} tombolo {command}")?;
    let words = std::iter::once("tombolo").chain(command.split(' ')).map(Into::into);
    let cli = args::parse(words).map_err(|e| CommandError::mistake(e.to_string()))?;
    // Advice on the next command would contradict the next command of the demo.
    let quiet = std::mem::replace(&mut context.out.quiet, true);
    let result = super::run(cli.command, context);
    context.out.quiet = quiet;
    result
}

fn farewell(context: &mut CommandContext<'_>, folder: &DemoFolder) -> Result<(), CommandError> {
    let out = &mut context.out;
    if folder.temporary {
        writeln!(
            out,
            "The folder is removed again; `tombolo demo --dir DIR` keeps one to play in."
        )?;
        return Ok(out.next("tombolo demo --dir demo")?);
    }
    let path = clean(&folder.path.display().to_string()).into_owned();
    writeln!(out, "Everything lies in {path}.")?;
    out.next(&format!("cd {}", super::sync::quoted(&path)))?;
    for command in [
        "path okta-user:alice s3-bucket:platform-assets --direction both",
        "owners --class DataStore --orphans",
        "plan --unmatched",
        "get okta-user:alice",
        "export -o dot",
    ] {
        writeln!(out, "      tombolo {command}")?;
    }
    Ok(())
}

/// The folder in which the demo works.
struct DemoFolder {
    path: PathBuf,
    /// True if it is removed at the end of the demo.
    temporary: bool,
}

impl DemoFolder {
    /// Makes the folder asked for, which must be empty or absent, or a temporary one.
    fn make(args: &DemoArgs) -> Result<DemoFolder, CommandError> {
        let path = match &args.dir {
            Some(path) => path.clone(),
            None => std::env::temp_dir().join(format!("tombolo-demo-{}", std::process::id())),
        };
        std::fs::create_dir_all(&path).map_err(|e| CommandError::file(&path, "create", &e))?;
        let mut entries =
            std::fs::read_dir(&path).map_err(|e| CommandError::file(&path, "read", &e))?;
        if entries.next().is_some() {
            let message = format!("the folder `{}` is not empty", path.display());
            return Err(
                CommandError::mistake(message).hint("name one that is empty or does not exist")
            );
        }
        // The process moves into the folder, so its name must not depend on where it stands now.
        let path = path.canonicalize().map_err(|e| CommandError::file(&path, "read", &e))?;
        Ok(DemoFolder { path, temporary: args.dir.is_none() && !args.keep })
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if self.temporary {
            // An error has nobody to go to here, and a leftover lies in the temporary folder of the
            // system.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn enter(folder: &Path) -> Result<(), CommandError> {
    std::env::set_current_dir(folder).map_err(|e| CommandError::file(folder, "enter", &e))
}

fn write_files(folder: &Path, company: &DemoCompany) -> Result<(), CommandError> {
    for file in &company.files {
        write(&folder.join(file.name), &file.text)?;
    }
    if let Some(okta) = company.files.iter().find(|file| file.scope == "okta") {
        let stays = |line: &&str| !line.contains(LEFT_GROUP);
        let later: Vec<&str> = okta.text.lines().filter(stays).collect();
        write(&folder.join("later").join(okta.name), &(later.join("\n") + "\n"))?;
    }
    let mappings = folder.join("mappings");
    for (path, text) in MAPPINGS {
        write(&mappings.join(path), text)?;
    }
    for (path, text) in &company.mapping_inputs {
        write(&mappings.join(path), text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let fault = |e| CommandError::file(path, "write", &e);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    std::fs::write(path, text).map_err(fault)
}
