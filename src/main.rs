//! The `tombolo` program: see `cli` for what it does, `api` for the server, the `tombolo` library for what it stands on.
//!
//! The command line and the server do not know each other; they meet here.

#![deny(unsafe_code)]

#[cfg(feature = "server")]
mod api;
mod cli;
#[cfg(feature = "mcp")]
mod mcp;
mod picture_file;
#[cfg(feature = "server")]
mod server_limits;

#[cfg(feature = "server")]
use api::{LogForm, ServeError, ServerSettings};
#[cfg(feature = "server")]
use cli::{CommandError, HttpServer, ServeRequest, ServerLog};

fn main() -> std::process::ExitCode {
    cli::main(
        #[cfg(feature = "server")]
        &ApiServer,
    )
}

/// The server of `api`, as the command line asks for it.
#[cfg(feature = "server")]
struct ApiServer;

#[cfg(feature = "server")]
impl HttpServer for ApiServer {
    fn prepare(&self) {
        api::allocator::set_up();
    }

    fn serve(&self, request: ServeRequest<'_>) -> Result<(), CommandError> {
        let settings = ServerSettings {
            hosts: request.hosts,
            mappings: request.mappings,
            questions: request.questions,
            apply_on_change: request.apply_on_change,
            limits: request.limits,
            open: request.local,
            exit_code: cli::exit_code,
        };
        let log = match request.log {
            ServerLog::Json => LogForm::Json,
            ServerLog::Text => LogForm::Text,
            ServerLog::Off => LogForm::Off,
        };
        let place = api::ListenPlace { address: request.address, tls: request.tls, log };
        api::run(request.database, settings, place, request.listening).map_err(|e| match e {
            ServeError::Certificate(path, e) => CommandError::file(&path, "use", &e),
            ServeError::Address(address, e) => CommandError::Fault {
                message: format!("cannot listen on {address}: {e}"),
                hint: Some("another server may be there; `--port 0` takes a free port".into()),
                code: cli::FAILED,
            },
            ServeError::Watch(words) => {
                CommandError::mistake(words).hint("docs/watch.md tells all that `[notify]` can say")
            }
            ServeError::Database(e) => e.into(),
            ServeError::Io(e) => e.into(),
        })
    }
}
