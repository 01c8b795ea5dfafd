//! Arguments of questions about the past.

use super::RowFormat;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The state that a question is asked of.
#[derive(Args, Clone, Default)]
pub struct PastArgs {
    /// Ask of the graph as it was: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a job
    #[arg(long, value_name = "WHEN")]
    pub at: Option<String>,
}

/// Output of `diff`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiffFormat {
    Table,
    Json,
    Ndjson,
    Markdown,
}

#[derive(Args)]
pub struct DiffArgs {
    /// The state that changes are told from: a time, a revision, or a job
    #[arg(value_name = "WHEN")]
    pub from: String,
    /// The state that they lead to; now unless told
    #[arg(value_name = "WHEN")]
    pub to: Option<String>,
    /// Only objects of these scopes
    #[arg(long, short, value_name = "SCOPE,...", value_delimiter = ',')]
    pub scope: Vec<String>,
    /// Only entities of these classes, and relationships of these verbs
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    pub class: Vec<String>,
    /// Only objects of these types
    #[arg(long = "type", value_name = "TYPE,...", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Also how blast radius and owners of this entity changed; may be repeated
    #[arg(long, value_name = "ENTITY")]
    pub impact: Vec<String>,
    /// The same for all entities of these classes
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    pub impact_class: Vec<String>,
    /// Changes that are listed, at most; all are counted
    #[arg(long, value_name = "N")]
    pub max: Option<usize>,
    /// Exit 1 when anything changed
    #[arg(long)]
    pub exit_code: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = DiffFormat::Table)]
    pub output: DiffFormat,
}

#[derive(Args)]
pub struct HistoryArgs {
    /// An entity, or a relationship by its key, SCOPE::KEY or _id; also one that is deleted
    #[arg(value_name = "ENTITY|RELATIONSHIP")]
    pub object: String,
    /// Output
    #[arg(short, long, value_enum, default_value_t = RowFormat::Table)]
    pub output: RowFormat,
}

#[derive(Args)]
pub struct UpgradeArgs {
    /// Keep the file as it was under this name
    #[arg(long, value_name = "FILE")]
    pub keep_old: Option<PathBuf>,
}
