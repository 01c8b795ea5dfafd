//! `tombolo serve`: its flags become a request to a server, which `main` brings along.

use super::CommandContext;
use super::args::{self, ApplyWhen, CliCommand, LogFormat, ServeArgs};
use super::failure::{CommandError, inconsistent};
use super::output::{AnswerWriter, now};
use crate::server_limits::ServerLimits;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tombolo::db::Database;
use tombolo::store::WaitPolicy;

/// A server over HTTP.
pub trait HttpServer {
    /// Sets up the process, before there are threads.
    fn prepare(&self);

    /// Serves until SIGINT or SIGTERM.
    ///
    /// # Errors
    ///
    /// The error of a certificate, of the address, or of `listening`.
    fn serve(&self, request: ServeRequest<'_>) -> Result<(), CommandError>;
}

/// The form of the log of a server, on standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerLog {
    /// JSON lines.
    Json,
    /// Lines of text.
    Text,
    /// No log.
    Off,
}

/// A request to serve a database.
pub struct ServeRequest<'a> {
    /// The database.
    pub database: Database,
    /// The address to listen on; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names of the server beside those of this machine's loopback.
    pub hosts: Vec<String>,
    /// The folder of the mapping files.
    pub mappings: PathBuf,
    /// The file of the saved questions.
    pub questions: PathBuf,
    /// True if mappings are applied when the graph changed.
    pub apply_on_change: bool,
    /// True if only programs on this machine can reach the server.
    pub local: bool,
    /// Limits on the resources that strangers may use up.
    pub limits: ServerLimits,
    /// The form of the log.
    pub log: ServerLog,
    /// Called once with the URL, when the server listens.
    pub listening: &'a mut dyn FnMut(&str) -> io::Result<()>,
}

/// Runs the server until SIGINT or SIGTERM.
pub fn run(context: &mut CommandContext<'_>, args: &ServeArgs) -> Result<u8, CommandError> {
    run_telling(context, args, &mut |out, url| {
        writeln!(out, "listening on {url}")?;
        // Output is buffered, and a caller that asked for `--port 0` reads the port from this line.
        out.flush()
    })
}

/// Runs the server for programs on this machine, without a log, at this port or a free one. `told` is
/// called once, with the address.
pub fn run_here(
    context: &mut CommandContext<'_>,
    port: u16,
    mappings: &Path,
    told: &mut dyn FnMut(&mut AnswerWriter<'_>, &str) -> io::Result<()>,
) -> Result<u8, CommandError> {
    let port = port.to_string();
    // Read as it would be typed, so that each limit is that of `tombolo serve`.
    let words: [&OsStr; 8] = [
        "tombolo".as_ref(),
        "serve".as_ref(),
        "--port".as_ref(),
        port.as_ref(),
        "--log".as_ref(),
        "off".as_ref(),
        "--mappings".as_ref(),
        mappings.as_os_str(),
    ];
    let cli = args::parse(words.into_iter().map(Into::into));
    match cli.map_err(|e| CommandError::mistake(e.to_string()))?.command {
        CliCommand::Serve(args) => run_telling(context, &args, told),
        _ => Err(CommandError::mistake("this build has no server")),
    }
}

fn run_telling(
    context: &mut CommandContext<'_>,
    args: &ServeArgs,
    told: &mut dyn FnMut(&mut AnswerWriter<'_>, &str) -> io::Result<()>,
) -> Result<u8, CommandError> {
    let server = context.server;
    server.prepare();
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
    let out = &mut context.out;
    let mut listening = |url: &str| told(out, url);
    server.serve(ServeRequest {
        database,
        address: SocketAddr::new(args.address, args.port),
        tls: args.tls_cert.clone().zip(args.tls_key.clone()),
        hosts: args.host_name.clone(),
        mappings: args.mappings.clone(),
        questions: args.questions.clone(),
        apply_on_change: args.apply == ApplyWhen::OnChange,
        local: !reachable(args),
        limits: ServerLimits {
            connections: args.max_connections.max(1),
            open_jobs: args.max_open_jobs,
            staged_bytes: args.max_staged << 20,
            query_time: Duration::from_secs(args.max_seconds),
            answer_rows: args.max_rows,
            answer_bytes: args.max_answer.max(1) << 20,
            memory,
        },
        log: match args.log {
            LogFormat::Json => ServerLog::Json,
            LogFormat::Text => ServerLog::Text,
            LogFormat::Off => ServerLog::Off,
        },
        listening: &mut listening,
    })?;
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
