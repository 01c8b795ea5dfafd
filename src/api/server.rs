//! A server from its settings to its end: certificate, log, threads, address.

use super::watch::{DatabaseWatch, NotifySettings, WatchSettings};
use super::{ServerSettings, THREADS, listen, serve};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tombolo::db::Database;

/// The place where a server listens and logs.
pub struct ListenPlace {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate chain and key, both PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The form of the log.
    pub log: LogForm,
}

/// The form of the log, on standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogForm {
    /// JSON lines.
    Json,
    /// Lines of text.
    Text,
    /// No log.
    Off,
}

/// The reason that there is no server.
#[derive(Debug)]
pub enum ServeError {
    /// The certificate or its key cannot be used.
    Certificate(PathBuf, io::Error),
    /// The address, as `host:port`, cannot be listened on.
    Address(String, io::Error),
    /// A fault in the settings of webhooks, in words.
    Watch(String),
    /// The record of what was told before cannot be read.
    Database(tombolo::Error),
    /// Anything else that the system refuses.
    Io(io::Error),
}

impl From<io::Error> for ServeError {
    fn from(e: io::Error) -> ServeError {
        ServeError::Io(e)
    }
}

/// Serves a database until SIGINT or SIGTERM. `listening` is called once, with the URL.
///
/// # Errors
///
/// The reason that there is no server.
pub fn run(
    database: Database,
    settings: ServerSettings,
    place: ListenPlace,
    listening: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<(), ServeError> {
    let tls = match &place.tls {
        Some((certificates, key)) => {
            let tls = listen::tls(certificates, key);
            Some(tls.map_err(|e| ServeError::Certificate(certificates.clone(), e))?)
        }
        None => None,
    };
    let here = std::env::current_dir()?;
    let watch = WatchSettings {
        notify: NotifySettings::load(&here).map_err(ServeError::Watch)?,
        apply_on_change: settings.apply_on_change,
    };
    start_log(place.log);
    let watch = DatabaseWatch::open(&database, watch).map_err(ServeError::Database)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // A few more than cores: reading a body or a document keeps one busy for a moment.
        .worker_threads(std::thread::available_parallelism().map_or(4, usize::from).max(4))
        .max_blocking_threads(THREADS)
        .build()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    runtime.block_on(async {
        let listener = TcpListener::bind(place.address).await;
        let listener = listener.map_err(|e| {
            let address = format!("{}:{}", place.address.ip(), place.address.port());
            ServeError::Address(address, e)
        })?;
        let address = listener.local_addr()?;
        listening(&format!("{scheme}://{address}"))?;
        serve(database, listener, settings, watch, tls, stopped()).await;
        Ok::<(), ServeError>(())
    })?;
    // A question that still runs now has nobody to answer to.
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(())
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let end = async {
        match signal(SignalKind::terminate()) {
            Ok(mut end) => {
                end.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = end => {}
    }
    tracing::info!("stopping");
}

/// Sends the log to standard error. `RUST_LOG` chooses the level, which is `info` by default.
fn start_log(form: LogForm) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second server in one process, as in tests, keeps the log of the first.
    let _ = match form {
        LogForm::Json => builder.json().with_target(false).try_init(),
        LogForm::Text => builder.with_target(false).with_ansi(false).try_init(),
        LogForm::Off => Ok(()),
    };
}
