//! The HTTP face: `tombolo serve`.
//!
//! Four doors to the same use cases: the persister API that existing collectors speak (`jobs`),
//! GraphQL as their query clients speak it (`graphql`), our own REST (`rest`), which gives the
//! answers of `tombolo::answers`, and the same answers as pages for people (`pages`). The module
//! `tokens` says who may come in; `body` and `listen` say how much.
//!
//! Handlers are async only at the edges: all work on the database runs on blocking threads.

pub mod allocator;
mod answer_cache;
mod api_error;
#[cfg(feature = "mcp")]
mod assistants;
mod body;
mod decisions;
mod edits;
mod gate;
mod graphql;
mod graphql_account;
mod graphql_integrations;
mod graphql_outside;
mod jobs;
mod listen;
mod mapping_runs;
mod metrics;
mod object_scopes;
mod pages;
mod parameters;
mod past;
mod pictures;
mod questions;
mod ready;
mod rest;
mod server;
mod spool;
mod tokens;
mod watch;
mod yaml;

pub use server::{ListenPlace, LogForm, ServeError, run};

use crate::server_limits::ServerLimits;
use api_error::ApiError;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use gate::{CancelGuard, JobGates, THREADS, WorkKind, WorkerPermits};
use metrics::ServerMetrics;
use ready::ReadinessProbe;
use spool::SpoolRoom;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokens::AccessCache;
use tokio::net::TcpListener;
use tombolo::answers::AnswerError;
use tombolo::db::{AccessControl, Database, RightSet, ScopeTimes};
use tombolo::limits::MemoryPool;
use uuid::Uuid;
use watch::{AskedQuestions, DatabaseWatch};

/// Rows, groups or objects that one question may hold while it looks for its answer.
const HELD_ROWS: u64 = 4_000_000;

/// The settings of a server.
pub struct ServerSettings {
    /// Names that a `Host` header may give beside those of this machine's loopback.
    pub hosts: Vec<String>,
    /// The folder of the mapping files.
    pub mappings: PathBuf,
    /// The file of the saved questions.
    pub questions: PathBuf,
    /// True if mappings are applied when the graph changed.
    pub apply_on_change: bool,
    /// Limits on the resources that strangers may use up.
    pub limits: ServerLimits,
    /// True if only programs on this machine can reach the server. Anyone may then do anything, as
    /// long as the database is open.
    pub open: bool,
    /// The exit code that the program ends with for an error, which the JSON of a plan tells.
    pub exit_code: fn(&AnswerError) -> u8,
}

/// The state that all handlers share.
pub struct AppState {
    database: Database,
    tokens: AccessCache,
    metrics: ServerMetrics,
    limits: ServerLimits,
    hosts: Vec<String>,
    mappings: PathBuf,
    questions: PathBuf,
    /// The saved questions as they came out last.
    asked: AskedQuestions,
    /// The end of the last job of each scope, as far as it was read.
    times: Mutex<ScopeTimes>,
    /// The part that tells webhooks and applies mappings, if that was asked for.
    watch: Option<DatabaseWatch>,
    open: bool,
    exit_code: fn(&AnswerError) -> u8,
    /// `http` or `https`, as clients see this server unless a proxy says otherwise.
    scheme: &'static str,
    results: answer_cache::AnswerCache,
    threads: WorkerPermits,
    gates: JobGates,
    /// The memory that questions hold.
    memory: Arc<MemoryPool>,
    /// The room in which answers wait until they are sent.
    room: Arc<SpoolRoom>,
    ready: ReadinessProbe,
    /// Who is signed in to the pages.
    sessions: pages::PageSessions,
    /// True if anything was done since free memory was given back.
    worked: AtomicBool,
}

impl AppState {
    /// The limits of a question for which somebody waits.
    fn question(&self, waiting: &CancelGuard) -> tombolo::limits::QuestionLimits {
        tombolo::limits::QuestionLimits {
            time: Some(self.limits.query_time),
            rows: HELD_ROWS,
            // Half for one question, so that a single one cannot stop all others.
            memory: self.limits.memory / 2,
            pool: Some(Arc::clone(&self.memory)),
            cancelled: Some(waiting.over()),
            ..tombolo::limits::QuestionLimits::default()
        }
    }
}

/// The caller of a request.
#[derive(Clone, Debug)]
struct ApiCaller {
    rights: RightSet,
    /// The account that the client names; we have but one, whatever it is called.
    account: String,
}

impl ApiCaller {
    fn reads(&self) -> Result<(), ApiError> {
        if self.rights.read() { Ok(()) } else { Err(not_allowed("read")) }
    }

    fn administers(&self) -> Result<(), ApiError> {
        if self.rights.admin() { Ok(()) } else { Err(not_allowed("admin")) }
    }
}

fn not_allowed(right: &str) -> ApiError {
    let message = format!("the token does not have the right `{right}`");
    ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
}

/// Now, in epoch milliseconds.
fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Runs work on the database on a thread that may block, once one is free for such work.
async fn blocking<T: Send + 'static>(
    app: &Arc<AppState>,
    work: WorkKind,
    act: impl FnOnce(&AppState) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let app = Arc::clone(app);
    let span = tracing::Span::current();
    // A caller who hangs up while waiting here costs nothing more.
    let permit = app.threads.permit(work).await;
    let run = move || {
        let result = span.in_scope(|| act(&app));
        app.worked.store(true, Ordering::Relaxed);
        let large = app.memory.take_large();
        if large {
            // Pages of the file that were kept beside what the question held; they are soon read again.
            app.database.rest(Duration::ZERO);
        }
        if large || matches!(work, WorkKind::Commit) {
            allocator::give_back();
        }
        // Moved in here, so that work whose caller hung up counts until it ends.
        drop(permit);
        result
    };
    match tokio::task::spawn_blocking(run).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::internal("a handler panicked")),
    }
}

/// Turns a panic in a handler into an error of ours, so that the process lives on.
async fn unpanicked(next: Next, request: Request) -> Response {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let mut answering = std::pin::pin!(next.run(request));
    std::future::poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| answering.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(_) => {
                std::task::Poll::Ready(ApiError::internal("a handler panicked").into_response())
            }
        }
    })
    .await
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a method, for the log and the counters; strangers invent methods as they like.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "(other)",
    }
}

/// Answers with a request id, counts and logs. No header is ever logged, and of bodies only the
/// events of jobs and the reasons of aborts.
async fn observe(State(app): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "(none)".to_owned());
    let id = Uuid::new_v4().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", id);
    let mut response = {
        use tracing::Instrument;
        unpanicked(next, request).instrument(span.clone()).await
    };
    let (status, time) = (response.status().as_u16(), begun.elapsed());
    app.metrics.answered(method, &route, status, time);
    let ms = time.as_secs_f64() * 1000.0;
    span.in_scope(|| tracing::info!(method, route, status, ms, "answered"));
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Pages say for themselves how long they may be kept.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The id of a request in the log.
#[derive(Clone)]
struct RequestId(String);

/// Lets a request in if it names the right host, comes from no page of another site, and has a
/// token where there are any.
async fn admit(State(app): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    match caller(&app, request.method(), request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(fault) => {
            // A client that still sends when the connection ends would not see the error.
            body::drain(request).await;
            fault.into_response()
        }
    }
}

fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The name in a `Host` header or origin, without its port.
fn host_name(text: &str) -> &str {
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => text.split(':').next().unwrap_or_default(),
    }
}

fn known_host(app: &AppState, text: &str) -> bool {
    let name = host_name(text);
    let local = ["localhost", "127.0.0.1", "::1"].contains(&name);
    local || app.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

fn check_host(app: &AppState, headers: &HeaderMap) -> Result<(), ApiError> {
    let host = text(headers, header::HOST).unwrap_or_default();
    if headers.get_all(header::HOST).iter().count() == 1 && known_host(app, host) {
        return Ok(());
    }
    // A page whose name was pointed at this machine may not reach it under that name.
    let message = "this server does not go by that name";
    Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "UNKNOWN_HOST", message)
        .hint("name it with `tombolo serve --host-name NAME`"))
}

/// Headers that a proxy adds. Their sender is not on this machine, whatever the address says.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// The tokens as of now. They are read on a thread that may block, since reading the file may.
async fn access(app: &Arc<AppState>) -> Result<Arc<AccessControl>, ApiError> {
    let app = Arc::clone(app);
    match tokio::task::spawn_blocking(move || app.tokens.access(&app.database)).await {
        Ok(access) => Ok(access?),
        Err(_) => Err(ApiError::internal("tokens")),
    }
}

async fn caller(
    app: &Arc<AppState>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<ApiCaller, ApiError> {
    check_host(app, headers)?;
    let account = account(headers);
    let access = access(app).await?;
    if let Some(rights) = without_token(app, &access, method, headers)? {
        return Ok(ApiCaller { rights, account });
    }
    match bearer(headers).and_then(|token| access.rights_of(token, now())) {
        Some(rights) => Ok(ApiCaller { rights, account }),
        None => Err(no_valid_token(&access, headers)),
    }
}

/// The account that a client names; we have but one, whatever it is called.
fn account(headers: &HeaderMap) -> String {
    let account = text(headers, "jupiterone-account").or(text(headers, "lifeomic-account"));
    account.unwrap_or("tombolo").chars().take(100).collect()
}

/// The token that a request brings along.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
}

/// The header that tells that a proxy sent a request on.
fn forwarded(headers: &HeaderMap) -> Option<&'static str> {
    FORWARDED.into_iter().find(|name| headers.contains_key(*name))
}

/// The rights of callers without a token; `None` where one is needed.
fn without_token(
    app: &AppState,
    access: &AccessControl,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<RightSet>, ApiError> {
    if !app.open || access.closed || forwarded(headers).is_some() {
        return Ok(None);
    }
    // Without tokens a browser could be sent here by any page of another site.
    if foreign_origin(app, headers) || method != Method::GET && sent_by_another_site(headers) {
        return Err(cross_site());
    }
    Ok(Some(RightSet::everything()))
}

/// True if a page of another site says that it sends the request.
fn foreign_origin(app: &AppState, headers: &HeaderMap) -> bool {
    text(headers, header::ORIGIN).is_some_and(|origin| {
        !known_host(app, origin.split_once("://").map_or("", |(_, host)| host))
    })
}

/// True if the browser says that a page of another site sends the request.
fn sent_by_another_site(headers: &HeaderMap) -> bool {
    matches!(text(headers, "sec-fetch-site"), Some("cross-site" | "same-site"))
}

fn cross_site() -> ApiError {
    let message = "pages of other sites may not call this server";
    ApiError::new(StatusCode::FORBIDDEN, "CROSS_SITE", message)
}

fn no_valid_token(access: &AccessControl, headers: &HeaderMap) -> ApiError {
    let message = "a valid token is needed: Authorization: Bearer tmb_...";
    let hint = match (access.closed, forwarded(headers)) {
        (false, Some(_)) => {
            "the request came through a proxy, so tokens are needed: `tombolo serve --behind-proxy`"
        }
        _ => "`tombolo token create NAME --right read` makes one",
    };
    ApiError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message).hint(hint)
}

async fn no_such_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "no such path")
        .hint("GET /openapi.json lists all")
}

async fn no_such_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "no such method on this path",
    )
}

/// Checks the host and nothing else, for routes that give no data or whose path is its own key.
async fn host_only(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    match check_host(&app, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    }
}

/// The routes for assistants, in a build that has them.
fn assistant_routes() -> Router<Arc<AppState>> {
    #[cfg(feature = "mcp")]
    return assistants::routes();
    #[cfg(not(feature = "mcp"))]
    return Router::new();
}

fn router(app: &Arc<AppState>) -> Router {
    let guarded = Router::new()
        .merge(jobs::routes())
        .merge(graphql::routes())
        .merge(rest::routes())
        .merge(assistant_routes())
        .layer(from_fn_with_state(Arc::clone(app), admit));
    let open = Router::new()
        .merge(rest::open_routes())
        .merge(graphql::open_routes())
        .layer(from_fn_with_state(Arc::clone(app), host_only));
    let visited = pages::routes().layer(from_fn_with_state(Arc::clone(app), pages::admit));
    Router::new()
        .merge(guarded)
        .merge(open)
        .merge(visited)
        .merge(pages::open_routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        // Outermost, so that refused and unknown requests are counted and logged as well.
        .layer(from_fn_with_state(Arc::clone(app), observe))
        .with_state(Arc::clone(app))
}

/// Serves a database until `stop` is done.
async fn serve(
    database: Database,
    listener: TcpListener,
    settings: ServerSettings,
    watch: Option<DatabaseWatch>,
    tls: Option<tokio_rustls::TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    body::set_held_max(settings.limits.memory);
    let folder = match database.file_path().parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let (ready, lookout) = ReadinessProbe::new();
    let app = Arc::new(AppState {
        memory: Arc::new(MemoryPool::new(settings.limits.memory)),
        room: Arc::new(SpoolRoom::new(folder, settings.limits.answer_bytes)),
        ready,
        sessions: pages::PageSessions::new(),
        worked: AtomicBool::new(false),
        database,
        tokens: AccessCache::default(),
        metrics: ServerMetrics::new(),
        limits: settings.limits,
        hosts: settings.hosts,
        mappings: settings.mappings,
        questions: settings.questions,
        asked: AskedQuestions::default(),
        times: Mutex::default(),
        watch,
        open: settings.open,
        exit_code: settings.exit_code,
        scheme: if tls.is_some() { "https" } else { "http" },
        results: answer_cache::AnswerCache::default(),
        threads: WorkerPermits::new(),
        gates: JobGates::default(),
    });
    // Held weakly, so that the thread ends with the server.
    lookout.start(Arc::downgrade(&app));
    if let Some(watch) = &app.watch {
        watch.start(&app);
    }
    listen::serve(listener, router(&app), Arc::clone(&app), tls, stop).await;
}
