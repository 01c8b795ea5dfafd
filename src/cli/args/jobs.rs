//! The arguments of commands that write: `sync` and `job`.

use super::{ReportFormat, RowFormat};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;
use tombolo::sync::{InputOptions, NestedValues, SyncMode};

/// How the files of an upload are read.
#[derive(Args, Clone, Copy, Debug)]
pub struct ReadArgs {
    /// What separates the cells of a table, where its header does not show it: one character, or
    /// tab, comma, semicolon, pipe
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// Make properties with dots in their names of nested objects
    #[arg(long, conflicts_with = "raw")]
    pub flatten: bool,
    /// Keep nested objects in the raw data
    #[arg(long)]
    pub raw: bool,
}

impl ReadArgs {
    /// The same for the reader.
    pub fn options(self) -> InputOptions {
        let nested = match (self.flatten, self.raw) {
            (true, _) => NestedValues::Flatten,
            (_, true) => NestedValues::Raw,
            _ => NestedValues::Refuse,
        };
        InputOptions { delimiter: self.delimiter, nested, ..InputOptions::default() }
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("tab" | "\\t", _) => Ok(b'\t'),
        ("comma", _) => Ok(b','),
        ("semicolon", _) => Ok(b';'),
        ("pipe", _) => Ok(b'|'),
        (_, [byte]) if byte.is_ascii() && !b"\"\r\n\0".contains(byte) => Ok(*byte),
        _ => Err("expected one character of ASCII, or tab, comma, semicolon or pipe".into()),
    }
}

#[derive(Args)]
pub struct SyncArgs {
    /// .json .ndjson .jsonl .csv .tsv, also .gz or .zst; a folder means every such file in it and in
    /// its folders; `-` is standard input
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
    /// With --dry-run, name each object that would change, and what of it
    #[arg(long, requires = "dry_run")]
    pub details: bool,
    #[command(flatten)]
    pub read: ReadArgs,
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
    Show(JobShowArgs),
    /// Run the very plan that a held job showed
    Approve(JobIdArgs),
    /// Drop a held or open job; the graph stays as it is
    Abort(JobIdArgs),
    /// Take back what a job did, as far as nothing later touched it
    Undo(JobUndoArgs),
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
pub struct JobShowArgs {
    #[command(flatten)]
    pub job: JobIdArgs,
    /// Name each object that the job changed, or would change while it is held, and what of it
    #[arg(long)]
    pub changes: bool,
}

#[derive(Args)]
pub struct JobUndoArgs {
    #[command(flatten)]
    pub job: JobIdArgs,
    /// Also take back what was touched since
    #[arg(long)]
    pub force: bool,
    /// Say what would be taken back, and do nothing
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
