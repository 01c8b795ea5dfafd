//! The command line as written: every command, its flags and its help.
//!
//! Nothing is decided here. The text of a value that has rules of its own (a sync mode, a type
//! list) becomes a checked value; whether files or entities exist is asked by the commands.

use super::help;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tombolo::sync::SyncMode;

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
    /// Upload files and finalize them, as one job
    Sync(SyncArgs),
    /// List, show, approve, abort or undo sync jobs
    Job(JobArgs),
    /// Validate mapping files without a database
    Check(CheckArgs),
    /// Show what `apply` would change
    Plan(PlanArgs),
    /// Run each mapping as one CROSS_SCOPE job
    Apply(ApplyArgs),
    /// Tell why an edge exists, or why a row made none
    Explain(ExplainArgs),
    /// Write a first mapping file, from flags or answers
    New(NewMappingArgs),
    /// Print the JSON Schema of mapping files, for editors
    Schema,
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
    /// Serve the database over HTTP
    #[cfg(feature = "server")]
    Serve(ServeArgs),
    /// Make, list and revoke the tokens of the server
    #[cfg(feature = "server")]
    Token(TokenArgs),
    /// Upload files to a server and finalize them, as one job
    #[cfg(feature = "push")]
    Push(PushArgs),
    /// Check every row of the database file
    Verify,
    /// Copy the database, also while it is served
    Backup(BackupArgs),
    /// Give unused space back to the file system
    Compact,
    /// Purge tombstones, abandoned uploads and old reports
    Gc(GcArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
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
}

#[derive(Args)]
pub struct SyncArgs {
    /// .json .ndjson .jsonl .csv, also .gz or .zst; a folder means every such file in it; `-` is
    /// standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Scope of the job; without it the rows' own `_scope` makes one job a scope
    #[arg(long, short, value_name = "SCOPE")]
    pub scope: Option<String>,
    /// diff replaces the scope, patch merges properties, cross-scope owns relationships between
    /// other scopes, override pins properties
    #[arg(long, short, default_value = "diff", value_parser = SyncMode::from_str)]
    #[arg(value_name = "diff|patch|cross-scope|override")]
    pub mode: SyncMode,
    /// `source` of the job
    #[arg(long, default_value = "api", value_name = "NAME")]
    pub source: String,
    /// Say what would change and change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Of rows with the same key take the last instead of refusing
    #[arg(long)]
    pub ignore_duplicates: bool,
    /// Let this job delete up to N objects, whatever the delete guard says
    #[arg(long, value_name = "N")]
    pub allow_deletes: Option<u64>,
    /// Types of which the upload is incomplete: nothing of them is deleted
    #[arg(long, value_name = "TYPE,...", value_delimiter = ',')]
    pub partial_types: Vec<String>,
    /// Whether a CROSS_SCOPE relationship may have both ends in one scope
    #[arg(long, value_enum, default_value_t = SameScope::Allow, value_name = "allow|reject")]
    #[arg(hide_possible_values = true)]
    pub same_scope: SameScope,
    /// Output
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    pub output: ReportFormat,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum SameScope {
    Allow,
    Reject,
}

#[derive(Args)]
pub struct JobArgs {
    #[command(subcommand)]
    pub action: JobAction,
}

#[derive(Subcommand)]
pub enum JobAction {
    /// List jobs, newest first
    List {
        /// Only jobs of this scope
        #[arg(long, short, value_name = "SCOPE")]
        scope: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 20, value_name = "N")]
        max: usize,
        /// Output
        #[arg(short, long, value_enum, default_value_t = RowFormat::Table)]
        output: RowFormat,
    },
    /// Show the report of a job
    Show(JobIdArgs),
    /// Run the very plan that a held job showed
    Approve(JobIdArgs),
    /// Drop a held or open job; the graph stays as it is
    Abort(JobIdArgs),
    /// Bring back what a job deleted
    Undo(JobIdArgs),
    /// Delete damaged job files, uploads without a job, and foreign files from the folder of jobs
    Clear(JobClearArgs),
}

#[derive(Args)]
pub struct JobClearArgs {
    /// Names of files, or ids of jobs; all that is no job unless given
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Say what would be deleted and delete nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

#[derive(Args)]
pub struct JobIdArgs {
    /// Id of the job, or enough of its end or beginning
    #[arg(value_name = "JOB")]
    pub id: String,
    /// Output
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    pub output: ReportFormat,
}

#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub mappings: MappingFileArgs,
    /// How faults are printed
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Human, hide_possible_values = true)]
    #[arg(value_name = "human|json|github")]
    pub format: DiagnosticFormat,
}

/// How faults of mapping files are printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiagnosticFormat {
    /// With the line and a caret.
    Human,
    /// One line of JSON each.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
}

/// Which mapping files a command works on.
#[derive(Args)]
pub struct MappingFileArgs {
    /// Mapping files, folders of them, or scopes of mappings in mappings/
    #[arg(default_value = "mappings/", value_name = "MAPPING")]
    pub paths: Vec<PathBuf>,
    /// Only mappings with this label; several must all fit
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<NameValuePair>,
}

/// What `plan` and `apply` may be told for one run.
#[derive(Args)]
pub struct GuardOverrideArgs {
    /// Set a guard for this run, e.g. max_delete_percent=50; it is recorded with the job
    #[arg(long = "override", value_name = "GUARD=VALUE", requires = "reason")]
    pub overrides: Vec<NameValuePair>,
    /// Why a guard is overridden
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameValuePair {
    /// Before the first `=`.
    pub name: String,
    /// After it.
    pub value: String,
}

impl FromStr for NameValuePair {
    type Err = String;

    fn from_str(text: &str) -> Result<NameValuePair, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(NameValuePair { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected NAME=VALUE".into()),
        }
    }
}

/// How a plan is printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanFormat {
    Table,
    Json,
    Markdown,
}

#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub mappings: MappingFileArgs,
    #[command(flatten)]
    pub overrides: GuardOverrideArgs,
    #[command(flatten)]
    pub show: PlanDisplayArgs,
    /// Say how the blast radius and the owners of this entity would change
    #[arg(long, value_name = "ENTITY")]
    pub impact: Vec<String>,
    /// The same for every entity of a class
    #[arg(long, value_name = "CLASS")]
    pub class: Vec<String>,
    /// Save the plan to a file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit 3 when changes are waiting
    #[arg(long)]
    pub exit_code: bool,
}

/// What `plan` and `apply` show beside the summary.
#[derive(Args)]
pub struct PlanDisplayArgs {
    /// Show each edge that changes
    #[arg(long)]
    pub details: bool,
    /// Show each row that makes no edge, with the reason
    #[arg(long)]
    pub unmatched: bool,
    /// Do not cut long lists of --details and --unmatched
    #[arg(long)]
    pub all: bool,
    /// Output
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t = PlanFormat::Table)]
    pub output: PlanFormat,
}

#[derive(Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    pub mappings: MappingFileArgs,
    #[command(flatten)]
    pub overrides: GuardOverrideArgs,
    #[command(flatten)]
    pub show: PlanDisplayArgs,
}

#[derive(Args)]
pub struct ExplainArgs {
    /// The _key or _id of an edge, or FILE:LINE of a row
    #[arg(value_name = "EDGE|FILE:LINE")]
    pub what: String,
    /// Mapping files, or folders of them, that a row is looked for in
    #[arg(long, default_value = "mappings/", value_name = "MAPPING")]
    pub mappings: Vec<PathBuf>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    pub output: ReportFormat,
}

#[derive(Args)]
pub struct NewMappingArgs {
    /// Scope of the mapping, and the name of its file
    #[arg(value_name = "SCOPE")]
    pub scope: String,
    /// File of rows, relative to the mapping
    #[arg(long, value_name = "FILE", conflicts_with = "join")]
    pub rows: Option<String>,
    /// Condition between from. and to., instead of rows
    #[arg(long, value_name = "CONDITION")]
    pub join: Option<String>,
    /// Class of the edges, e.g. OWNS
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Scope of the entities where edges start
    #[arg(long, value_name = "SCOPE")]
    pub from: Option<String>,
    /// Template of their keys
    #[arg(long, value_name = "TEMPLATE")]
    pub from_key: Option<String>,
    /// Scope of the entities where edges end
    #[arg(long, value_name = "SCOPE")]
    pub to: Option<String>,
    /// Template of their keys
    #[arg(long, value_name = "TEMPLATE")]
    pub to_key: Option<String>,
    /// Who answers for the mapping
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// One sentence
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Folder of mappings
    #[arg(long, default_value = "mappings", value_name = "FOLDER")]
    pub folder: PathBuf,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ScopesArgs {
    #[command(flatten)]
    pub listing: ListingArgs,
    #[command(subcommand)]
    pub action: Option<ScopesAction>,
}

#[derive(Subcommand)]
pub enum ScopesAction {
    /// Soft-delete all edges that the mapping of a scope made; `job undo` brings them back
    Delete(DeleteRelationshipsArgs),
}

#[derive(Args)]
pub struct DeleteRelationshipsArgs {
    /// Scope whose edges a mapping made
    #[arg(long, value_name = "SCOPE")]
    pub edges_of: String,
    /// Why; it is recorded with the job
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

#[derive(Args)]
pub struct QueryArgs {
    /// The query
    #[arg(value_name = "J1QL", conflicts_with_all = ["file", "run", "check"])]
    #[arg(required_unless_present_any = ["file", "run", "check"])]
    pub text: Option<String>,
    /// Read the query from a file; `-` is standard input
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["run", "check"])]
    pub file: Option<PathBuf>,
    /// Ask a question of the questions file by its name
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    pub run: Option<String>,
    /// Ask every question that expects a number of rows; exit code 1 if one is off
    #[arg(long)]
    pub check: bool,
    /// The questions file
    #[arg(long, value_name = "FILE", default_value = "queries.toml")]
    pub questions: PathBuf,
    /// The value of a placeholder: JSON, or else a text
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Only check the grammar of the query; needs no database
    #[arg(long)]
    pub parse_only: bool,
    /// Print the query as this project writes it, without asking it; needs no database
    #[arg(long, conflicts_with_all = ["parse_only", "check"])]
    pub format: bool,
    /// Refuse what J1QL does not have
    #[arg(long)]
    pub strict: bool,
    /// Say how the query was run, on standard error; `=plan` how it would be, without running it
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "run")]
    pub explain: Option<ExplainWhen>,
    /// Stop a query that takes longer than N seconds
    #[arg(long, value_name = "N")]
    pub max_seconds: Option<f64>,
    /// Also begin at entities that were deleted and are not yet vacuumed
    #[arg(long)]
    pub include_deleted: bool,
    /// Output; pictures are of RETURN TREE
    #[arg(short, long, value_enum, default_value_t = AnswerFormat::Table)]
    pub output: AnswerFormat,
}

#[cfg(feature = "server")]
#[derive(Args)]
pub struct ServeArgs {
    /// Address to listen on; any other than loopback needs a token and TLS
    #[arg(long, default_value = "127.0.0.1")]
    pub address: std::net::IpAddr,
    /// Port; 0 takes a free one
    #[arg(long, default_value_t = 7474)]
    pub port: u16,
    /// A name by which clients call this server, beside localhost; needs a token
    #[arg(long, value_name = "NAME")]
    pub host_name: Vec<String>,
    /// Certificate chain, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A proxy in front lets others in and has TLS; needs a token, also on loopback
    #[arg(long)]
    pub behind_proxy: bool,
    /// Folder of the mapping files that may be planned and applied
    #[arg(long, value_name = "DIR", default_value = "mappings")]
    pub mappings: PathBuf,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub max_connections: usize,
    /// Open and held jobs at once
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_open_jobs: u64,
    /// Mebibytes that open and held jobs may take on disk
    #[arg(long, value_name = "N", default_value_t = 65536)]
    pub max_staged: u64,
    /// Seconds that one query may take
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub max_seconds: u64,
    /// Rows that one answer may have
    #[arg(long, value_name = "N", default_value_t = 250_000)]
    pub max_rows: usize,
    /// Relationships that the mappings of one job may make (`_mapping`)
    #[arg(long, value_name = "N", default_value_t = tombolo::db::MAPPED_MAX)]
    pub max_mapped: u64,
    /// Mebibytes that one answer may have; it waits on disk until it is sent
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub max_answer: u64,
    /// How the log is written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log: LogFormat,
}

#[cfg(feature = "server")]
/// How the log of the server is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Json,
    Text,
    Off,
}

#[cfg(feature = "server")]
#[derive(Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    pub action: TokenAction,
}

#[cfg(feature = "server")]
#[derive(Subcommand)]
pub enum TokenAction {
    /// Make a token; it is shown once
    Create(TokenCreateArgs),
    /// List the tokens, without their texts
    List(ListingArgs),
    /// Take a token back, at once
    Revoke(TokenRevokeArgs),
    /// Open a database that had tokens: a server on 127.0.0.1 then lets in anyone on this machine
    AllowAnonymous,
}

#[cfg(feature = "server")]
#[derive(Args)]
pub struct TokenCreateArgs {
    /// What it is for
    pub name: String,
    /// What it allows: read, write:SCOPE (a pattern such as okta-*), approve:SCOPE or approve
    /// (deletions that the guard holds), or admin
    #[arg(long, value_name = "RIGHT", required = true)]
    pub right: Vec<tombolo::db::AccessRight>,
    /// Days until it ends; never, unless told
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: Option<u32>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    pub output: ReportFormat,
}

#[cfg(feature = "server")]
#[derive(Args)]
pub struct TokenRevokeArgs {
    /// Its id, or enough of its end or beginning
    pub id: String,
}

#[cfg(feature = "push")]
#[derive(Args)]
pub struct PushArgs {
    /// The server
    #[arg(value_name = "URL")]
    pub url: String,
    /// Files (.json, .ndjson, .csv, also .gz or .zst) or folders of them
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Scope of the job
    #[arg(long, value_name = "SCOPE")]
    pub scope: String,
    /// Mode of the job
    #[arg(long, default_value_t = SyncMode::Diff, value_name = "MODE")]
    pub mode: SyncMode,
    /// The token
    #[arg(long, env = "TOMBOLO_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// With a repeated key the latest object wins
    #[arg(long)]
    pub ignore_duplicates: bool,
    /// Delete nothing of these types
    #[arg(long, value_name = "TYPE,...", value_delimiter = ',')]
    pub partial_types: Vec<String>,
    /// Let the guard pass so many deletions; the token needs the right to approve
    #[arg(long, value_name = "N")]
    pub allow_deletes: Option<u64>,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    pub output: ReportFormat,
}

#[derive(Args)]
pub struct BlastRadiusArgs {
    /// Where it starts; several start together
    #[arg(required = true, value_name = "ENTITY")]
    pub entities: Vec<String>,
    /// Stop after N relationships; without it there is no bound
    #[arg(long, short, value_name = "N")]
    pub depth: Option<u32>,
    /// Only what an attacker gets, or only what stops working; both unless told
    #[arg(
        long = "for",
        value_enum,
        hide_possible_values = true,
        value_name = "compromise|failure"
    )]
    pub trouble: Option<ImpactCause>,
    /// Which way along relationships, whatever the rules say; auto goes by the rules
    #[arg(long, value_enum, default_value_t = BlastDirection::Auto, hide_possible_values = true)]
    #[arg(value_name = "auto|out|in|both")]
    pub direction: BlastDirection,
    /// Follow these verbs and no others, whatever the ends are; `!VERB` follows all but that
    #[arg(long, value_name = "VERB,...", value_delimiter = ',')]
    pub verb: Vec<String>,
    /// Report only entities of these classes; the walk passes through all
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    pub class: Vec<String>,
    /// Report only entities of these scopes; the walk passes through all
    #[arg(long, short, value_name = "SCOPE,...", value_delimiter = ',')]
    pub scope: Vec<String>,
    /// Report only entities of these types
    #[arg(long = "type", value_name = "TYPE,...", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Rules live in `tombolo.toml` now
    #[arg(long, value_name = "FILE", hide = true)]
    pub propagation: Option<PathBuf>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = GraphFormat::Table)]
    pub output: GraphFormat,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("set").multiple(true).args(["class", "scope", "types"]))]
pub struct OwnersArgs {
    /// The owned
    #[arg(value_name = "ENTITY", required_unless_present = "set", conflicts_with = "set")]
    pub entities: Vec<String>,
    /// Every live entity of these classes instead
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    pub class: Vec<String>,
    /// Every live entity of these types instead
    #[arg(long = "type", value_name = "TYPE,...", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Every live entity of these scopes instead
    #[arg(long, short, value_name = "SCOPE,...", value_delimiter = ',')]
    pub scope: Vec<String>,
    /// With --class, --type or --scope: only what nobody owns
    #[arg(long, requires = "set", conflicts_with = "entities")]
    pub orphans: bool,
    /// Also the people of owners that are teams
    #[arg(long)]
    pub people: bool,
    /// Accept only owners of these classes, e.g. `User,Person`
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    pub owner_class: Vec<String>,
    /// Look at most N relationships far
    #[arg(long, short, value_name = "N")]
    pub depth: Option<u32>,
    /// Let only these verbs say who owns
    #[arg(long, value_name = "VERB,...", value_delimiter = ',')]
    pub verb: Vec<String>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = GraphFormat::Table)]
    pub output: GraphFormat,
}

#[derive(Args)]
pub struct ImpactRulesArgs {
    /// Only rules that speak of these verbs
    #[arg(long, value_name = "VERB,...", value_delimiter = ',')]
    pub verb: Vec<String>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = RuleFormat::Table)]
    pub output: RuleFormat,
}

#[derive(Args)]
pub struct PathArgs {
    /// Where the chain begins
    #[arg(value_name = "FROM")]
    pub from: String,
    /// Where it ends
    #[arg(value_name = "TO")]
    pub to: String,
    /// Go through this entity; several in their order
    #[arg(long, value_name = "ENTITY")]
    pub via: Vec<String>,
    /// Show every shortest chain, not just one
    #[arg(long)]
    pub all: bool,
    /// With --all: at most N chains
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub max: usize,
    /// Which way along relationships
    #[arg(long, value_enum, default_value_t = PathDirection::Out, hide_possible_values = true)]
    #[arg(value_name = "out|in|both")]
    pub direction: PathDirection,
    /// Follow only these verbs; `!VERB` follows all but that
    #[arg(long, value_name = "VERB,...", value_delimiter = ',')]
    pub verb: Vec<String>,
    /// Exit 1 when there is no chain
    #[arg(long)]
    pub exit_code: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = GraphFormat::Table)]
    pub output: GraphFormat,
}

#[derive(Args)]
pub struct CyclesArgs {
    /// Follow only these verbs; `!VERB` follows all but that
    #[arg(long, value_name = "VERB,...", value_delimiter = ',')]
    pub verb: Vec<String>,
    /// Exit 1 when there is a cycle
    #[arg(long)]
    pub exit_code: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = RowFormat::Table)]
    pub output: RowFormat,
}

#[derive(Args)]
pub struct GetArgs {
    /// The entity
    #[arg(value_name = "ENTITY")]
    pub entity: String,
    /// Output
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    pub output: ReportFormat,
}

#[derive(Args)]
pub struct BackupArgs {
    /// The new file; open and held jobs are no part of it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Args)]
pub struct ListingArgs {
    /// Output
    #[arg(short, long, value_enum, default_value_t = RowFormat::Table)]
    pub output: RowFormat,
}

#[derive(Args)]
pub struct ExportArgs {
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
    /// Purge what was deleted, aborted or abandoned more than this many days ago
    #[arg(long, default_value_t = 90, value_name = "DAYS")]
    pub older_than: u32,
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
        assert_eq!((blast.depth, blast.output), (Some(3), GraphFormat::Json));
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
