//! The `tombolo` program: see `cli` for what it does, `api` for the server, the `tombolo` library for what it stands on.

#![deny(unsafe_code)]

#[cfg(feature = "server")]
mod api;
mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
