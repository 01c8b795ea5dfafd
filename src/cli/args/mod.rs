//! The command line as written: every command, its flags and its help.
//!
//! Nothing is decided here. The text of a value that has rules of its own (a sync mode, a type
//! list) becomes a checked value; whether files or entities exist is asked by the commands.

mod jobs;
mod mapping_files;
mod past;
mod questions;
#[cfg(any(feature = "push", feature = "server", feature = "mcp"))]
mod server;

pub use jobs::{JobAction, JobArgs, JobClearArgs, JobIdArgs, SameScope, SyncArgs};
pub use mapping_files::{
    ApplyArgs, CheckArgs, DiagnosticFormat, ExplainArgs, GuardOverrideArgs, ImportArgs,
    MappingFileArgs, NameValuePair, NewMappingArgs, PlanArgs, PlanDisplayArgs, PlanFormat,
    SchemaArgs,
};
pub use past::{DiffArgs, DiffFormat, HistoryArgs, PastArgs, UpgradeArgs};
pub use questions::{
    BlastRadiusArgs, CheckBaselineArgs, CyclesArgs, DeleteRelationshipsArgs, DrawingArgs, GetArgs,
    ImpactRulesArgs, OwnersArgs, PathArgs, QueryArgs, ScopesAction, ScopesArgs,
};
#[cfg(feature = "mcp")]
pub use server::McpArgs;
#[cfg(feature = "push")]
pub use server::PushArgs;
#[cfg(feature = "server")]
pub use server::{
    ApplyWhen, LogFormat, OpenArgs, ServeArgs, TokenAction, TokenArgs, TokenCreateArgs,
};

use super::help;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The database file when nobody names one.
pub const DB_DEFAULT: &str = "tombolo.redb";

/// What follows the list of flags is in `help.rs`.
const TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// An embedded graph database of scoped entities.
#[derive(Parser)]
#[command(
    name = "tombolo",
    version,
    before_help = "\
Examples:
  tombolo demo                                     see it work, in a second
  tombolo sync --scope okta okta.json              upload one scope, as one job
  tombolo plan && tombolo apply                    bridge scopes with mapping files
  tombolo blast-radius aws::role:billing-writer    what a compromise reaches
  tombolo owners aws::bucket:invoices              who owns it, and by which chain
"
)]
pub struct CliArgs {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: CliCommand,
}

/// Flags that every command takes.
#[derive(Args, Clone)]
pub struct GlobalArgs {
    /// Database file
    #[arg(long, global = true, env = "TOMBOLO_DB", default_value = DB_DEFAULT)]
    #[arg(value_name = "PATH", hide_env_values = true)]
    pub db: PathBuf,
    /// Colours: only on a terminal, always or never
    #[arg(long, global = true, value_enum, default_value_t = ColorMode::Auto, hide_possible_values = true)]
    #[arg(value_name = "auto|always|never")]
    pub color: ColorMode,
    /// How long to wait for other commands that write to the database; 0 is not at all
    #[arg(long, global = true, env = "TOMBOLO_WAIT", default_value = "60s", value_parser = time)]
    #[arg(value_name = "TIME", hide_env_values = true)]
    pub wait: Duration,
    /// Print answers and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more: whole ids and exact times
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Guard texts of CSV that a spreadsheet would take for formulas
    #[arg(long, global = true)]
    pub spreadsheet_safe: bool,
    /// Memory that a question may take, 1G unless told; of a server all questions together
    #[arg(long, global = true, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// How errors are printed on standard error
    #[arg(long, global = true, value_enum, default_value_t = MessageFormat::Human)]
    #[arg(value_name = "human|json", hide_possible_values = true)]
    pub message_format: MessageFormat,
}

/// A number of bytes, with a unit: `512M`, `2G`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteSize(pub u64);

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        let wrong = || "expected a number of bytes such as 512M or 2G".to_owned();
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
        let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
        match bytes < 1 << 20 {
            true => Err("less than 1M is too little for any question".into()),
            false => Ok(ByteSize(bytes)),
        }
    }
}

/// A time such as `90s`, `5m` or `1h`; a bare number is seconds.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => 0,
    };
    match digits.parse::<u32>() {
        Ok(n) if seconds > 0 => Ok(Duration::from_secs(u64::from(n) * seconds)),
        _ => Err("expected a time such as 90s, 5m or 0".to_owned()),
    }
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColorMode {
    Auto,
    Always,
    Never,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageFormat {
    Human,
    Json,
}

#[derive(Subcommand)]
pub enum CliCommand {
    /// Build a small company in a throw-away database and ask it three questions
    Demo(DemoArgs),
    /// Create a database file
    Init,
    /// Load raw exports of a tool, such as AWS, Okta or a package lock
    Import(ImportArgs),
    /// Upload files and finalize them, as one job
    Sync(SyncArgs),
    /// List, show, approve, abort or undo sync jobs
    Job(JobArgs),
    /// Validate source and mapping files without a database
    Check(CheckArgs),
    /// Show what `apply` would change
    Plan(PlanArgs),
    /// Run each source as one DIFF job, then each mapping as one CROSS_SCOPE job
    Apply(ApplyArgs),
    /// Tell why an edge exists, or why a row made none
    Explain(ExplainArgs),
    /// Write a first mapping file, from flags or answers
    New(NewMappingArgs),
    /// Print the JSON Schema of mapping or source files, for editors
    Schema(SchemaArgs),
    /// Ask in J1QL
    Query(QueryArgs),
    /// Show everything that a compromise or failure of an entity reaches
    BlastRadius(BlastRadiusArgs),
    /// Show the nearest owners of an entity, each with its chain of evidence
    Owners(OwnersArgs),
    /// Print the rules of impact and ownership that are in force
    ImpactRules(ImpactRulesArgs),
    /// Show the shortest chains between two entities
    Path(PathArgs),
    /// List entities that reach themselves again
    Cycles(CyclesArgs),
    /// Show everything known about one entity
    Get(GetArgs),
    /// List the scopes with their counts, or delete the edges of one
    Scopes(ScopesArgs),
    /// Count what is in the graph, by scope, type and class
    Stats(ListingArgs),
    /// Write the graph, or one scope of it, to standard output
    Export(ExportArgs),
    /// Show what changed between two states
    Diff(DiffArgs),
    /// Show every version of an entity or a relationship, and the job behind each
    History(HistoryArgs),
    /// Look at the database in a browser
    #[cfg(feature = "server")]
    Open(OpenArgs),
    /// Serve the database over HTTP: pages, REST, GraphQL, uploads
    #[cfg(feature = "server")]
    Serve(ServeArgs),
    /// Make, list and revoke the tokens of the server
    #[cfg(feature = "server")]
    Token(TokenArgs),
    /// Upload files to a server and finalize them, as one job
    #[cfg(feature = "push")]
    Push(PushArgs),
    /// Answer the questions of an assistant (Model Context Protocol)
    #[cfg(feature = "mcp")]
    Mcp(McpArgs),
    /// Check every row of the database file
    Verify,
    /// Copy the database, also while it is served
    Backup(BackupArgs),
    /// Give unused space back to the file system
    Compact,
    /// Let go of old states, and purge tombstones, abandoned uploads and old reports
    Gc(GcArgs),
    /// Bring a database file of the format before to this one
    Upgrade(UpgradeArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print a manual page, or write all of them into a folder
    Man(ManArgs),
}

/// Output of commands whose answer is one report.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportFormat {
    Table,
    Json,
}

/// Output of commands whose answer is a list of rows.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowFormat {
    Table,
    Json,
    Ndjson,
    Csv,
}

/// Output of commands whose answer is a part of the graph.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum GraphFormat {
    Table,
    Json,
    Ndjson,
    Csv,
    Dot,
    Mermaid,
    Graphml,
    Svg,
    Html,
}

/// When a query is explained.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExplainWhen {
    /// Once it was run
    Run,
    /// Instead of running it
    Plan,
}

/// Output of `query`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerFormat {
    Table,
    Tree,
    Json,
    Ndjson,
    Csv,
    Dot,
    Mermaid,
    Graphml,
    /// Of --check: test cases in XML
    Junit,
    /// Of --check: findings for code scanning
    Sarif,
    /// Of --check: annotations of a workflow
    Github,
}

/// Output of `export`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExportFormat {
    Ndjson,
    Json,
    Dot,
    Mermaid,
    Graphml,
}

/// Which way along relationships a blast goes.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlastDirection {
    /// By the rules of impact; with --verb, as each verb goes
    Auto,
    /// With the arrows
    Out,
    /// Against the arrows
    In,
    /// Both ways
    Both,
}

/// What can befall an entity.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImpactCause {
    /// An attacker takes it
    Compromise,
    /// It stops working
    Failure,
}

/// Output of `impact-rules`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleFormat {
    Table,
    Json,
    Toml,
}

/// Which way along relationships a path goes.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathDirection {
    /// With the arrows
    Out,
    /// Against the arrows
    In,
    /// Both ways
    Both,
}

#[derive(Args)]
pub struct DemoArgs {
    /// Folder to work in instead of a temporary one; must be empty or absent, and is kept
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Keep the temporary folder
    #[arg(long)]
    pub keep: bool,
    /// Then serve it on a free port of this machine, for a browser, until Ctrl+C
    #[cfg(feature = "server")]
    #[arg(long)]
    pub serve: bool,
}

#[derive(Args)]
pub struct BackupArgs {
    /// The new file; open and held jobs are no part of it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Args)]
pub struct ListingArgs {
    #[command(flatten)]
    pub past: PastArgs,
    /// Output
    #[arg(short, long, value_enum, default_value_t = RowFormat::Table)]
    pub output: RowFormat,
}

#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub past: PastArgs,
    /// Only what this scope owns
    #[arg(long, short, value_name = "SCOPE")]
    pub scope: Option<String>,
    /// Also what is soft-deleted
    #[arg(long)]
    pub include_deleted: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub output: ExportFormat,
}

#[derive(Args)]
pub struct GcArgs {
    /// Purge what was deleted, aborted or abandoned more than this many days ago, and let go of the
    /// states before; 90 unless told, and as `[history] keep` of tombolo.toml says for states
    #[arg(long, value_name = "DAYS")]
    pub older_than: Option<u32>,
    /// Drop reports of jobs that ended more than this many days ago, apart from the last of each
    /// scope and those that an undo needs
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    pub reports_older_than: u32,
}

#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Args)]
pub struct ManArgs {
    /// The words of a command; without any, the page of the program
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,
    /// Write the pages of all commands into this folder, which is made if it is absent
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The whole command line with its help as people see it.
pub fn command() -> clap::Command {
    help::with_page_endings(templated(CliArgs::command()))
}

/// The same with every flag in sight, for shells that complete them.
pub fn complete() -> clap::Command {
    CliArgs::command()
}

/// The flags that every command takes.
#[cfg(test)]
pub fn global() -> clap::Command {
    GlobalArgs::augment_args(clap::Command::new("tombolo"))
}

fn templated(command: clap::Command) -> clap::Command {
    command.help_template(TEMPLATE).mut_subcommands(templated)
}

/// Reads the command line of a process.
///
/// To describe every command takes as long as a short answer. So a question is first read with none
/// but its own command described; if that fails in any way, help included, all of them are.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<CliArgs, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(cli) = question(&args) {
        return Ok(cli);
    }
    CliArgs::from_arg_matches(&command().try_get_matches_from(args)?)
}

/// Reads a command line that asks the graph something. `None` if it does not, or not properly.
fn question(args: &[OsString]) -> Option<CliArgs> {
    match args.iter().find_map(|arg| arg.to_str().filter(|arg| QUESTIONS.contains(arg)))? {
        "blast-radius" => parse_single_command("blast-radius", args, CliCommand::BlastRadius),
        "owners" => parse_single_command("owners", args, CliCommand::Owners),
        "path" => parse_single_command("path", args, CliCommand::Path),
        "query" => parse_single_command("query", args, CliCommand::Query),
        _ => parse_single_command("get", args, CliCommand::Get),
    }
}

const QUESTIONS: [&str; 5] = ["blast-radius", "owners", "path", "query", "get"];

/// Reads a command line as that of the one command `name`. What is read so has that command as its
/// first word that is no flag, so with all commands known it means the same.
fn parse_single_command<A: Args>(
    name: &'static str,
    args: &[OsString],
    command: impl FnOnce(A) -> CliCommand,
) -> Option<CliArgs> {
    let one = A::augment_args(clap::Command::new(name));
    let all = GlobalArgs::augment_args(clap::Command::new("tombolo"));
    let matches = all.subcommand_required(true).subcommand(one).try_get_matches_from(args).ok()?;
    let (_, own) = matches.subcommand()?;
    let command = command(A::from_arg_matches(own).ok()?);
    Some(CliArgs { global: GlobalArgs::from_arg_matches(&matches).ok()?, command })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo::sync::SyncMode;

    fn read(line: &str) -> Result<CliArgs, clap::Error> {
        parse(line.split(' ').map(Into::into))
    }

    fn sync_mode(mode: &str) -> Result<SyncMode, String> {
        match read(&format!("tombolo sync --scope s --mode {mode} f.json")) {
            Ok(CliArgs { command: CliCommand::Sync(sync), .. }) => Ok(sync.mode),
            Ok(_) => Err("another command".into()),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_question_alone_is_what_it_is_among_all_commands() {
        let flags = |cli: &CliArgs| {
            let GlobalArgs { db, quiet, verbose, .. } = &cli.global;
            (db.clone(), *quiet, *verbose)
        };
        for line in [
            "tombolo blast-radius okta::sre --depth 4 -o json",
            "tombolo --db other.redb -q blast-radius sre",
            "tombolo blast-radius sre --db other.redb --verbose",
            "tombolo owners blast-radius --db path",
            "tombolo path a b -v",
            "tombolo get a",
            "tombolo query FIND",
        ] {
            let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let all =
                command().try_get_matches_from(&args).and_then(|m| CliArgs::from_arg_matches(&m));
            let (all, one) = (all.expect(line), question(&args).expect(line));
            assert_eq!(flags(&one), flags(&all), "{line}");
            let same = std::mem::discriminant(&one.command) == std::mem::discriminant(&all.command);
            assert!(same, "{line}");
        }
        for line in [
            "tombolo --db blast-radius scopes",
            "tombolo explain owners",
            "tombolo help get",
            "tombolo get --help",
            "tombolo get",
            "tombolo --version",
        ] {
            let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
            assert!(question(&args).is_none(), "{line}");
        }
    }

    #[test]
    fn modes_have_two_spellings() {
        for mode in ["cross-scope", "CROSS_SCOPE", "Cross-Scope"] {
            assert!(matches!(sync_mode(mode), Ok(SyncMode::CrossScope)), "{mode}");
        }
        assert!(matches!(sync_mode("DIFF"), Ok(SyncMode::Diff)));
    }

    #[test]
    fn the_retired_mode_is_refused_with_advice() {
        let message = sync_mode("CREATE_OR_UPDATE").err().unwrap_or_default();
        assert!(message.contains("DIFF") && message.contains("PATCH"), "{message}");
    }

    #[test]
    fn lists_split_at_commas_and_repeat() {
        let Ok(CliArgs { command: CliCommand::BlastRadius(blast), .. }) =
            read("tombolo blast-radius a b --verb HAS,OWNS --verb USES --depth 3 -o json")
        else {
            panic!("not read");
        };
        assert_eq!(blast.entities, ["a", "b"]);
        assert_eq!(blast.verb, ["HAS", "OWNS", "USES"]);
        assert_eq!((blast.depth, blast.drawing.output), (Some(3), GraphFormat::Json));
    }

    #[test]
    fn owners_takes_entities_or_a_class() {
        assert!(read("tombolo owners a b").is_ok());
        assert!(read("tombolo owners --class Host --orphans").is_ok());
        assert!(read("tombolo owners").is_err());
        assert!(read("tombolo owners a --class Host").is_err());
        assert!(read("tombolo owners a --orphans").is_err());
    }

    #[test]
    fn global_flags_stand_on_either_side_of_the_command() {
        for line in ["tombolo --db x.redb scopes -q", "tombolo -q scopes --db x.redb"] {
            let cli = read(line).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(cli.global.db, PathBuf::from("x.redb"));
            assert!(cli.global.quiet);
        }
    }
}
