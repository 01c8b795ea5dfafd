//! The arguments of questions and of listings.

use super::{
    AnswerFormat, BlastDirection, ExplainWhen, GraphFormat, ImpactCause, ListingArgs, PastArgs,
    PathDirection, ReportFormat, RuleFormat,
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
    #[command(flatten)]
    pub past: PastArgs,
}

// How an answer that is a part of the graph is printed. A doc comment would stand in for that of the command.
#[derive(Args)]
pub struct DrawingArgs {
    /// In the picture of -o svg or html: draw 25 entities of this group; once more, 25 more
    #[arg(long, value_name = "GROUP,...", value_delimiter = ',')]
    pub open: Vec<String>,
    /// Output; svg is a picture, html a page with picture and table
    #[arg(short, long, value_enum, default_value_t = GraphFormat::Table)]
    pub output: GraphFormat,
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
    #[command(flatten)]
    pub past: PastArgs,
    #[command(flatten)]
    pub drawing: DrawingArgs,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("set").multiple(true).args(["class", "scope", "types"]))]
#[command(override_usage = "\
tombolo owners [OPTIONS] <ENTITY>...
       tombolo owners [OPTIONS] <--class <CLASS,...>|--type <TYPE,...>|--scope <SCOPE,...>>")]
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
    #[command(flatten)]
    pub past: PastArgs,
    #[command(flatten)]
    pub drawing: DrawingArgs,
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
    #[command(flatten)]
    pub past: PastArgs,
    #[command(flatten)]
    pub drawing: DrawingArgs,
}

#[derive(Args)]
pub struct CyclesArgs {
    /// Follow only these verbs; `!VERB` follows all but that
    #[arg(long, value_name = "VERB,...", value_delimiter = ',')]
    pub verb: Vec<String>,
    /// Exit 1 when there is a cycle
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub past: PastArgs,
    #[command(flatten)]
    pub drawing: DrawingArgs,
}

#[derive(Args)]
pub struct GetArgs {
    /// The entity
    #[arg(value_name = "ENTITY")]
    pub entity: String,
    #[command(flatten)]
    pub past: PastArgs,
    /// Output
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Table)]
    pub output: ReportFormat,
}
