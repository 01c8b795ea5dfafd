//! The `tombolo` program: see `cli` for what it does, the `tombolo` library for what it stands on.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
