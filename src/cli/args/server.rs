//! The arguments of the server, its tokens and its client.

#[cfg(feature = "server")]
use super::ListingArgs;
#[cfg(any(feature = "server", feature = "push"))]
use super::ReportFormat;
use clap::Args;
#[cfg(feature = "server")]
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;
#[cfg(feature = "push")]
use tombolo::sync::SyncMode;

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
    /// Apply mappings again when a scope that they read changed, and sources when their rows did
    #[arg(long, value_enum, value_name = "never|on-change", hide_possible_values = true)]
    #[arg(default_value_t = ApplyWhen::Never)]
    pub apply: ApplyWhen,
    /// The questions file, for metrics, webhooks and after --apply
    #[arg(long, value_name = "FILE", default_value = tombolo::answers::QUESTION_FILE)]
    pub questions: PathBuf,
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
/// When a server applies mappings by itself.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApplyWhen {
    Never,
    OnChange,
}

#[cfg(feature = "server")]
#[derive(Args)]
pub struct OpenArgs {
    /// An entity, a question of queries.toml, or a query (FIND ...); the search page unless told
    #[arg(value_name = "ENTITY|QUESTION")]
    pub what: Option<String>,
    /// Port; a free one unless told
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Print the address and open no browser
    #[arg(long)]
    pub no_browser: bool,
    /// Folder of the mapping files that the pages show
    #[arg(long, value_name = "DIR", default_value = "mappings")]
    pub mappings: PathBuf,
    /// File of the questions
    #[arg(long, value_name = "FILE", default_value = "queries.toml")]
    pub questions: PathBuf,
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
    /// Files (.json .ndjson .jsonl .csv .tsv, also .gz or .zst) or folders of them
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
    #[command(flatten)]
    pub read: super::jobs::ReadArgs,
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

#[cfg(feature = "mcp")]
#[derive(Args)]
pub struct McpArgs {
    /// Folder of the mapping files that may be planned
    #[arg(long, value_name = "DIR", default_value = "mappings")]
    pub mappings: PathBuf,
    /// Seconds that one question may take
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub max_seconds: u64,
}
