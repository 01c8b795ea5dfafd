//! `tombolo serve`: the HTTP server, from its flags to its end.

use super::CommandContext;
use super::args::{LogFormat, ServeArgs};
use super::failure::{CommandError, FAILED, inconsistent};
use super::output::now;
use crate::api::{self, ServerLimits, ServerSettings};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tombolo::db::Database;
use tombolo::store::WaitPolicy;

/// Runs the server until SIGINT or SIGTERM.
pub fn run(context: &mut CommandContext<'_>, args: &ServeArgs) -> Result<u8, CommandError> {
    api::allocator::set_up();
    let waiting = WaitPolicy::new(context.global.wait, |line| tracing::info!("{line}"));
    let database = context.open_or_create()?.waiting(waiting).kept_open();
    let database = database.with_mapped_max(args.max_mapped);
    // A damaged file is refused now, once, and not by every question later.
    readable(&database)?;
    let memory = match context.global.memory {
        Some(memory) => memory.0,
        None => sensible_memory(),
    };
    super::checkup::migrate_tokens(context, &database)?;
    let access = database.access()?;
    let lives = access.tokens.iter().any(|token| !token.expired(now()));
    guard_address(args, lives)?;
    if access.closed && !lives {
        let hint = "make one with `tombolo token create`, or open the database to this machine \
                    with `tombolo token allow-anonymous`";
        eprintln!("No token is valid, so nobody can call this server; {hint}.");
    }
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => {
            let tls = api::tls(certificates, key);
            Some(tls.map_err(|e| CommandError::file(certificates, "use", &e))?)
        }
        _ => None,
    };
    log(args.log);
    let settings = ServerSettings {
        hosts: args.host_name.clone(),
        mappings: args.mappings.clone(),
        limits: ServerLimits {
            connections: args.max_connections.max(1),
            open_jobs: args.max_open_jobs,
            staged_bytes: args.max_staged << 20,
            query_time: Duration::from_secs(args.max_seconds),
            answer_rows: args.max_rows,
            answer_bytes: args.max_answer.max(1) << 20,
            memory,
        },
        open: !reachable(args),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // A few more than cores: reading a body or a document keeps one busy for a moment.
        .worker_threads(std::thread::available_parallelism().map_or(4, usize::from).max(4))
        .max_blocking_threads(api::THREADS)
        .build()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::new(args.address, args.port)).await;
        let listener = listener.map_err(|e| CommandError::Fault {
            message: format!("cannot listen on {}:{}: {e}", args.address, args.port),
            hint: Some("another server may be there; `--port 0` takes a free port".into()),
            code: FAILED,
        })?;
        let address = listener.local_addr()?;
        writeln!(context.out, "listening on {scheme}://{address}")?;
        // Output is buffered, and a caller that asked for `--port 0` reads the port from this line.
        context.out.flush()?;
        api::serve(database, listener, settings, tls, stopped()).await;
        Ok::<(), CommandError>(())
    })?;
    // A question that still runs now has nobody to answer to.
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(0)
}

/// The most and the least memory that questions hold together without `--memory`, in bytes.
const MEMORY_MOST: u64 = 1 << 30;
const MEMORY_LEAST: u64 = 64 << 20;

/// Returns the memory that questions may hold together: a quarter of the memory that the machine,
/// the control group and the limits of the process allow. Bodies may take as much. The rest is for
/// the engine and for memory that is not counted.
fn sensible_memory() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let field = |path: &str, name: &str, at: usize| {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))?;
        line.split_whitespace().nth(at)?.parse::<u64>().ok()
    };
    let all = [
        field("/proc/meminfo", "MemTotal:", 0).map(|kib| kib << 10),
        field("/proc/self/limits", "Max address space", 0),
        number("/sys/fs/cgroup/memory.max"),
        number("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ];
    let least = all.into_iter().flatten().min().unwrap_or(MEMORY_MOST);
    (least / 4).clamp(MEMORY_LEAST, MEMORY_MOST)
}

/// Reads the rows that every question reads. The engine panics on some pages that no engine wrote.
fn readable(database: &Database) -> Result<(), CommandError> {
    let look = || -> Result<(), CommandError> {
        database.snapshot()?.scope_rows()?;
        Ok(())
    };
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)) {
        Ok(found) => found,
        Err(_) => Err(inconsistent("a page of it makes no sense")),
    }
}

/// True if programs on other machines can reach the server.
fn reachable(args: &ServeArgs) -> bool {
    !args.address.is_loopback() || args.behind_proxy || !args.host_name.is_empty()
}

/// Refuses a server that a network can reach without a token, and one that would send tokens
/// without TLS.
fn guard_address(args: &ServeArgs, has_token: bool) -> Result<(), CommandError> {
    if reachable(args) && !has_token {
        let how = match (args.address.is_loopback(), args.behind_proxy) {
            (false, _) => args.address.to_string(),
            (true, true) => "a server behind a proxy".to_owned(),
            (true, false) => "a server with a name of its own".to_owned(),
        };
        let message = format!("{how} can be reached from outside, and there is no token");
        return Err(CommandError::mistake(message).hint(
            "make one first: tombolo token create NAME --right read; \
             or listen on 127.0.0.1 without --behind-proxy and --host-name",
        ));
    }
    if !args.address.is_loopback() && args.tls_cert.is_none() && !args.behind_proxy {
        let message = format!("{} would send tokens in the clear", args.address);
        return Err(CommandError::mistake(message)
            .hint("give --tls-cert and --tls-key, or --behind-proxy if a proxy in front has TLS"));
    }
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
fn log(format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second server in one process, as in tests, keeps the log of the first.
    let _ = match format {
        LogFormat::Json => builder.json().with_target(false).try_init(),
        LogFormat::Text => builder.with_target(false).with_ansi(false).try_init(),
        LogFormat::Off => Ok(()),
    };
}
