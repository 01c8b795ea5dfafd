//! Tests of the program `tombolo`, linked once: each starts it in a folder of its own and looks at
//! what it prints, answers and leaves behind. Tests of what the library does by itself are in
//! `tests/library`; those that need clients from registries in `tests/real_clients.rs`.

mod chance;
mod cli;
#[path = "../http/mod.rs"]
mod http;
#[path = "../impact_world/mod.rs"]
mod impact_world;

mod authorization;
mod bad_input;
mod cross_scope_page;
mod damage;
mod doc_pages;
mod graphql_clients;
mod hostile;
mod impact;
mod job_files;
mod jobs;
mod mapping;
mod mapping_plans;
mod mcp;
mod naming;
mod packaging;
mod pages;
mod pages_past;
mod past;
mod pictures;
mod processes;
mod query_command;
mod reading;
mod rights;
mod server;
mod server_crowd;
mod server_strangers;
mod sources;
mod tokens;
mod upgrade;
mod uploads;
mod watching;
