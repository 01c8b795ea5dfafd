//! The arguments of commands on mapping files.

use super::ReportFormat;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub mappings: MappingFileArgs,
    /// How faults are printed
    #[arg(short = 'o', long, visible_alias = "output", value_enum, hide_possible_values = true)]
    #[arg(default_value_t = DiagnosticFormat::Human, value_name = "human|json|github|junit|sarif")]
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
    /// Test cases in XML.
    Junit,
    /// Findings for code scanning.
    Sarif,
}

/// Which mapping files a command works on.
#[derive(Args)]
pub struct MappingFileArgs {
    /// Source and mapping files, folders of them, or scopes of files in mappings/
    #[arg(default_value = "mappings/", value_name = "FILE")]
    pub paths: Vec<PathBuf>,
    /// Only files with this label; several must all fit
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
    Junit,
    Sarif,
    Github,
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
    #[command(flatten)]
    pub baseline: super::CheckBaselineArgs,
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
pub struct SchemaArgs {
    /// The schema of source files instead of that of mapping files
    #[arg(long)]
    pub source: bool,
}

#[derive(Args)]
pub struct ImportArgs {
    /// The format, see --list; then the files and folders. Without a format it is recognised
    #[arg(value_name = "FORMAT|FILE", required_unless_present = "list")]
    pub what: Vec<PathBuf>,
    /// Scope that the export is all of
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<String>,
    /// List the formats
    #[arg(long)]
    pub list: bool,
    /// Print the source file of the format, to change it
    #[arg(long)]
    pub print: bool,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub overrides: GuardOverrideArgs,
    #[command(flatten)]
    pub show: PlanDisplayArgs,
}

#[derive(Args)]
pub struct NewMappingArgs {
    /// Scope of the mapping or source, and the name of its file
    #[arg(value_name = "SCOPE")]
    pub scope: String,
    /// Write a source file for these exports, guessed from their rows
    #[arg(long, value_name = "FILE", num_args = 1..)]
    #[arg(conflicts_with_all = ["rows", "join", "class", "from", "from_key", "to", "to_key"])]
    pub source: Vec<PathBuf>,
    /// File of rows or a pattern such as 'deploy/*.yaml', relative to the mapping
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
    /// Folder of source and mapping files
    #[arg(long, default_value = "mappings", value_name = "FOLDER")]
    pub folder: PathBuf,
}
