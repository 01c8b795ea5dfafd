//! Tests of the library from outside, linked once: they call it and start no other program. Tests
//! that start `tombolo` are in `tests/program`, so that time limits of a server are not met by the
//! load of random jobs; `tests/diagnostics.rs` changes its current directory and is alone.

mod common;
#[path = "../graph_in_memory/mod.rs"]
mod graph_in_memory;
#[path = "../graph_of_parts/mod.rs"]
mod graph_of_parts;
#[path = "../impact_world/mod.rs"]
mod impact_world;

mod answers;
mod attempts;
mod demo_data;
mod embedding;
mod examples;
mod faults;
mod guard;
mod impact_model;
mod impact_page;
mod indexes;
mod j1ql;
mod j1ql_model;
mod job_files;
mod known_lines;
mod mapping_files;
mod model;
mod names;
mod tidy;

use tombolo::db::GcOptions;
use tombolo::lang::HistoryKeep;

/// What a `gc` keeps: 0 days of tombstones are no history either.
fn kept(days: u32, report_days: u32) -> GcOptions {
    let keep = if days == 0 { HistoryKeep::Never } else { HistoryKeep::default() };
    GcOptions { days, report_days, keep }
}
