//! The command line: it reads arguments and prints answers. The library does everything between.
//!
//! Answers go to standard output, words about them to standard error. Each command is a function
//! that returns its exit code, so that `demo` can call the others as a user would.

mod apply;
mod args;
mod blast;
mod chains;
mod change_text;
mod check_report;
mod checkup;
mod demo;
mod diagnostics;
mod diff;
mod explain;
mod export;
mod failure;
mod graphml;
mod help;
mod history;
mod impact;
mod impact_rules;
mod import;
mod inspect;
mod job;
mod layout;
mod listing;
mod manual;
#[cfg(feature = "mcp")]
mod mcp;
mod mermaid;
mod naming;
mod new;
mod notes;
#[cfg(feature = "server")]
mod open;
mod output;
mod picture;
mod picture_file;
mod plan_text;
#[cfg(feature = "push")]
mod push;
mod query;
mod questions;
mod report;
mod requests;
#[cfg(feature = "server")]
mod serve;
mod source_text;
mod sync;
#[cfg(feature = "server")]
mod token;
mod tree;

pub use failure::CommandError;
#[cfg(feature = "server")]
pub use failure::{FAILED, exit_code};
#[cfg(feature = "server")]
pub use serve::{HttpServer, ServeRequest, ServerLog};

use args::{CliCommand, ColorMode, DiagnosticFormat, GlobalArgs, MessageFormat, PastArgs};
use failure::MISTAKE;
use output::{AnswerWriter, clean_lines, count_format, counted};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use tombolo::answers::{QuestionContext, rules_in_force};
use tombolo::db::Database;
use tombolo::lang::PastPoint;
use tombolo::limits::{CostMeter, QuestionLimits};
use tombolo::rules::{PROJECT_FILE, RuleTable};
use tombolo::store::{Snapshot, WaitPolicy};

/// The context of a command: its output, its flags and its database.
pub struct CommandContext<'a> {
    /// The output of the answer.
    pub out: AnswerWriter<'a>,
    /// The flags that every command takes.
    pub global: GlobalArgs,
    /// True if progress may be shown on standard error.
    pub progress: bool,
    /// The limits of a question.
    pub limits: QuestionLimits,
    /// The server, which this module does not know.
    #[cfg(feature = "server")]
    pub server: &'a dyn HttpServer,
}

/// Puts together the state that a question is asked of.
pub fn question<'q>(
    database: &'q Database,
    snapshot: &'q Snapshot,
    meter: &'q CostMeter,
) -> QuestionContext<'q> {
    QuestionContext { database, snapshot, meter, counts: count_format() }
}

impl CommandContext<'_> {
    /// Returns the account of a question that begins now.
    pub fn meter(&self) -> CostMeter {
        CostMeter::new(self.limits.clone())
    }

    /// Reads the rules in force. Faults of the file that changes them are printed.
    pub fn rules(&mut self) -> Result<RuleTable, CommandError> {
        let error = match rules_in_force() {
            Ok(rules) => return Ok(rules),
            Err(error) => error,
        };
        let faults = error.diagnostics();
        if faults.is_empty() {
            return Err(error.into());
        }
        diagnostics::tell(self, faults, DiagnosticFormat::Human)?;
        let file = faults.first().map_or(PROJECT_FILE, |fault| &fault.source.file);
        let faults = counted(faults.len() as u64, "fault", "faults");
        Err(CommandError::mistake(format!("`{file}` has {faults}, so nothing was asked")))
    }

    /// The path of the database.
    pub fn path(&self) -> &Path {
        &self.global.db
    }

    /// ` --db PATH` where commands in advice need it, else nothing.
    pub fn db_flag(&self) -> String {
        match self.path() == Path::new(args::DB_DEFAULT) {
            true => String::new(),
            false => format!(" --db {}", sync::quoted(&self.path().display().to_string())),
        }
    }

    /// Opens the database, which must exist.
    pub fn open(&self) -> Result<Database, CommandError> {
        self.must_exist()?;
        Ok(Database::open(self.path())?.waiting(self.waiting()))
    }

    /// Opens the database, which must exist, as it was at a point in the past, if one is given, and
    /// says which state that is.
    pub fn open_at(&mut self, past: &PastArgs) -> Result<Database, CommandError> {
        let database = self.open()?;
        let Some(at) = &past.at else { return Ok(database) };
        let past = database.as_of(database.state_at(&point(at)?)?);
        self.of_past(&past);
        Ok(past)
    }

    /// Says which state of the past the answer is of.
    pub fn of_past(&mut self, database: &Database) {
        let Some(state) = database.past_state() else { return };
        if !self.global.quiet {
            // When standard error is gone, there is nobody left to tell.
            let _ = writeln!(anstream::stderr(), "as of {}", diff::state_text(&self.out, state));
        }
        self.out.as_of = Some(state.clone());
    }

    /// The same for one short question.
    pub fn look_at(&mut self, past: &PastArgs) -> Result<(Database, Snapshot), CommandError> {
        if past.at.is_none() {
            return self.look();
        }
        let database = self.open_at(past)?;
        let snapshot = database.snapshot()?;
        Ok((database, snapshot))
    }

    /// Opens the database, which must exist, for one short question.
    pub fn look(&self) -> Result<(Database, Snapshot), CommandError> {
        self.must_exist()?;
        Ok(Database::open_briefly(self.path())?)
    }

    /// Returns how to wait for other processes. A wait longer than a moment is told on standard
    /// error, unless only answers are wanted.
    pub fn waiting(&self) -> WaitPolicy {
        let quiet = self.global.quiet;
        WaitPolicy::new(self.global.wait, move |line| {
            if !quiet {
                // When standard error is gone, there is nobody left to tell.
                let _ = writeln!(anstream::stderr(), "{}", clean_lines(line));
            }
        })
    }

    fn must_exist(&self) -> Result<(), CommandError> {
        if !self.path().exists() {
            let message = format!("no database at `{}`", self.path().display());
            return Err(CommandError::mistake(message).hint(
                "`tombolo init` makes an empty one, `tombolo sync FILE...` makes and fills one; \
                 `--db PATH` or TOMBOLO_DB names another",
            ));
        }
        Ok(())
    }

    /// Opens the database, making it if there is none.
    pub fn open_or_create(&self) -> Result<Database, CommandError> {
        Ok(Database::open_or_create(self.path())?.waiting(self.waiting()))
    }
}

/// Reads a point in the past.
pub fn point(text: &str) -> Result<PastPoint, CommandError> {
    PastPoint::parse(text, output::now())
        .map_err(|(message, hint)| CommandError::mistake(message).hint(hint))
}

/// Runs the program. `server` serves what `tombolo serve` is asked for.
pub fn main(#[cfg(feature = "server")] server: &dyn HttpServer) -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let global = cli.global.clone();
    match global.color {
        ColorMode::Auto => anstream::ColorChoice::Auto,
        ColorMode::Always => anstream::ColorChoice::Always,
        ColorMode::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let stdout = std::io::stdout();
    let mut out = AnswerWriter::plain(BufWriter::with_capacity(1 << 16, stdout.lock()));
    out.terminal = stdout.is_terminal();
    out.width = layout::columns(out.terminal);
    // A program would not read a number with blanks, so digits are grouped on a terminal only.
    output::group_digits(out.terminal);
    out.color = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    out.quiet = global.quiet;
    out.verbose = global.verbose;
    out.spreadsheet_safe = global.spreadsheet_safe;
    let progress = std::io::stderr().is_terminal() && !global.quiet;
    let limits = QuestionLimits { memory: question_memory(&global), ..QuestionLimits::default() };
    let mut context = CommandContext {
        out,
        global,
        progress,
        limits,
        #[cfg(feature = "server")]
        server,
    };
    let result = run_guarded(cli.command, &mut context);
    let result = result.and_then(|code| {
        context.out.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // The part of the answer before the error is still worth reading.
            let _ = context.out.flush();
            tell(&failure.of_file(context.path()), context.global.message_format)
        }
    }
}

/// Runs a command. A crafted file can make the storage engine panic; such a panic is reported as
/// damage. A panic of our own code goes on.
fn run_guarded(command: CliCommand, context: &mut CommandContext<'_>) -> Result<u8, CommandError> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(command, context))) {
        Ok(result) => result,
        Err(panic) => match tombolo::store::engine_panicked() {
            Some(damage) => Err(damage.into()),
            None => std::panic::resume_unwind(panic),
        },
    }
}

/// Bytes that a question may hold, unless told.
const QUESTION_MEMORY: u64 = 1 << 30;

fn question_memory(global: &GlobalArgs) -> u64 {
    global.memory.map_or(QUESTION_MEMORY, |memory| memory.0)
}

fn run(command: CliCommand, context: &mut CommandContext<'_>) -> Result<u8, CommandError> {
    match command {
        CliCommand::Demo(args) => demo::run(context, &args),
        CliCommand::Init => checkup::init(context),
        CliCommand::Import(args) => import::run(context, &args),
        CliCommand::Sync(args) => sync::run(context, &args),
        CliCommand::Job(args) => job::run(context, &args.action),
        CliCommand::Check(args) => apply::check(context, &args),
        CliCommand::Plan(args) => apply::plan(context, &args),
        CliCommand::Apply(args) => apply::apply(context, &args),
        CliCommand::Explain(args) => explain::run(context, &args),
        CliCommand::New(args) => new::run(context, &args),
        CliCommand::Schema(args) => new::schema(context, &args),
        CliCommand::Query(args) => query::run(context, &args),
        CliCommand::BlastRadius(args) => blast::run(context, &args),
        CliCommand::Owners(args) => chains::owners(context, &args),
        CliCommand::ImpactRules(args) => impact_rules::run(context, &args),
        CliCommand::Path(args) => chains::path(context, &args),
        CliCommand::Cycles(args) => chains::cycles(context, &args),
        CliCommand::Get(args) => inspect::get(context, &args),
        CliCommand::Scopes(args) => inspect::scopes(context, &args),
        CliCommand::Stats(args) => inspect::stats(context, &args),
        CliCommand::Export(args) => export::run(context, &args),
        CliCommand::Diff(args) => diff::run(context, &args),
        CliCommand::History(args) => history::run(context, &args),
        #[cfg(feature = "server")]
        CliCommand::Open(args) => open::run(context, &args),
        #[cfg(feature = "server")]
        CliCommand::Serve(args) => serve::run(context, &args),
        #[cfg(feature = "server")]
        CliCommand::Token(args) => token::run(context, &args.action),
        #[cfg(feature = "push")]
        CliCommand::Push(args) => push::run(context, &args),
        #[cfg(feature = "mcp")]
        CliCommand::Mcp(args) => mcp::run(context, &args),
        CliCommand::Verify => checkup::verify(context),
        CliCommand::Backup(args) => checkup::backup(context, &args),
        CliCommand::Compact => checkup::compact(context),
        CliCommand::Gc(args) => checkup::gc(context, &args),
        CliCommand::Upgrade(args) => checkup::upgrade(context, &args),
        CliCommand::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut args::complete(), "tombolo", &mut script);
            context.out.write_all(&script)?;
            Ok(0)
        }
        CliCommand::Man(args) => manual::run(context, &args),
    }
}

/// Commands that a build may be without: the words of its part, the feature, true if it is there.
const OPTIONAL_COMMANDS: [(&str, &str, &str, bool); 5] = [
    ("open", "no server", "server", cfg!(feature = "server")),
    ("serve", "no server", "server", cfg!(feature = "server")),
    ("token", "no server", "server", cfg!(feature = "server")),
    ("push", "no client of a server", "push", cfg!(feature = "push")),
    ("mcp", "no face for assistants", "mcp", cfg!(feature = "mcp")),
];

/// Returns the error for a command that other builds have and this one has not.
fn absent_command(e: &clap::Error) -> Option<CommandError> {
    use clap::error::{ContextKind, ContextValue};
    let Some(ContextValue::String(name)) = e.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let absent = |(command, _, _, there): &&(&str, &str, &str, bool)| command == name && !there;
    let (command, part, feature, _) = OPTIONAL_COMMANDS.iter().find(absent)?;
    let message = format!("this build of tombolo has {part}, so there is no `{command}`");
    Some(CommandError::mistake(message).hint(format!("build it with `--features {feature}`")))
}

/// Returns the error for a picture that a command does not draw.
fn undrawn(e: &clap::Error) -> Option<CommandError> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let text = |kind| match e.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let output = text(ContextKind::InvalidArg)?.contains("--output");
    let asked = text(ContextKind::InvalidValue).filter(|value| ["svg", "html"].contains(value))?;
    if e.kind() != ErrorKind::InvalidValue || !output {
        return None;
    }
    let message = format!("this command does not draw, so it has no output `{asked}`");
    let mut hint = "`blast-radius`, `owners`, `path` and `cycles` draw".to_owned();
    if let Some(ContextValue::Strings(others)) = e.get(ContextKind::ValidValue) {
        hint.push_str(&format!("; this one has {}", others.join(", ")));
    }
    Some(CommandError::mistake(message).hint(hint))
}

/// Prints help, or the error of the command line.
fn usage(e: &clap::Error) -> ExitCode {
    // The flags could not be read, so this one is looked for by hand.
    let words: Vec<String> = std::env::args().collect();
    let json = words.iter().any(|word| word == "--message-format=json")
        || words.windows(2).any(|pair| pair == ["--message-format", "json"]);
    if let Some(other) = absent_command(e).or_else(|| undrawn(e)) {
        return tell(&other, if json { MessageFormat::Json } else { MessageFormat::Human });
    }
    if e.use_stderr() && json {
        let text = e.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        return tell(&CommandError::mistake(message), MessageFormat::Json);
    }
    // A closed pipe is the only way this fails, and nobody is left to hear of it.
    let _ = e.print();
    ExitCode::from(if e.use_stderr() { MISTAKE } else { 0 })
}

/// Lines of one message that people see; JSON has all.
const LINES: usize = 20;

/// Returns the first lines of a message, which may list a fault for each row of a file.
fn shortened(message: &str) -> String {
    let lines: Vec<&str> = message.lines().collect();
    match lines.len().saturating_sub(LINES) {
        // One line more takes no more room than the line that would announce it.
        0 | 1 => message.to_owned(),
        more => {
            let first = lines[..LINES].join("\n");
            format!("{first}\n… {more} more (--message-format json lists all)")
        }
    }
}

/// Prints the error that ended a command early, and returns its exit code.
fn tell(failure: &CommandError, format: MessageFormat) -> ExitCode {
    let Some((message, hint, code)) = failure.told() else { return ExitCode::SUCCESS };
    let mut stderr = anstream::stderr();
    // When standard error is gone too, there is nobody left to tell.
    let _ = match format {
        MessageFormat::Json => {
            let line = serde_json::json!({ "error": message, "hint": hint, "exitCode": code });
            writeln!(stderr, "{line}")
        }
        MessageFormat::Human => {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
            let hint = hint.as_ref().map(|hint| clean_lines(hint));
            writeln!(stderr, "{red}error:{red:#} {}", clean_lines(&shortened(&message))).and_then(
                |()| hint.map_or(Ok(()), |hint| writeln!(stderr, "{cyan}hint:{cyan:#} {hint}")),
            )
        }
    };
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_each_row_does_not_fill_the_screen() {
        let message = (1..=50).map(|n| format!("fault {n}")).collect::<Vec<_>>().join("\n");
        let short = shortened(&message);
        assert_eq!(short.lines().count(), LINES + 1);
        assert!(short.ends_with("… 30 more (--message-format json lists all)"), "{short}");
        assert_eq!(shortened("one fault"), "one fault");
    }
}
