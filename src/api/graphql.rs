//! GraphQL as JupiterOne's query clients speak it: `queryV1`, and in `edits` the editing of single
//! objects.
//!
//! An operation may come alone or in a list, and the answer then has the same form. What the
//! schema does not know is a GraphQL error with status 200. Long answers are kept for a while and
//! fetched page by page, so that all pages are of one state of the graph.
//!
//! Source: wire contract, section 7.

use super::edits::Edits;
use super::fault::Fault;
use super::gate::Work;
use super::{App, Caller, blocking, body};
use async_graphql::{
    Context, EmptySubscription, Enum, InputObject, Json as Scalar, Object, Schema, SimpleObject,
};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value as Json_, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tombolo::graph::{Entity, GraphRead, Kind, ObjectId, Value};
use tombolo::lang::Source;
use tombolo::query::{self, Answer, Options, Query, Stop};
use tombolo::store::Snapshot;
use uuid::Uuid;

/// Rows of a page.
const PAGE: usize = 250;
/// How long an answer is kept for its next page.
const KEPT: Duration = Duration::from_secs(300);
/// Rows of all answers that are kept.
const KEPT_ROWS: usize = 500_000;
/// Rows, groups or objects that one query may hold while it looks for its answer.
const HELD_ROWS: u64 = 4_000_000;
/// Operations in one request.
const BATCH_MAX: usize = 50;

pub(super) type Result<T> = std::result::Result<T, async_graphql::Error>;

/// The routes for callers with a token.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/graphql", post(answer))
        .route("/", post(answer))
        .route("/rules/graphql", post(answer))
}

/// Deferred answers: clients fetch them without headers, so the path is its own key.
pub fn open_routes() -> Router<Arc<App>> {
    Router::new().route("/deferred/{id}", get(deferred))
}

/// An answer that was not taken whole.
struct Kept {
    id: Uuid,
    since: Instant,
    kind: &'static str,
    rows: Arc<Vec<Json_>>,
}

/// The answers that wait for a next page.
#[derive(Default)]
pub struct Results(Mutex<VecDeque<Kept>>);

impl Results {
    /// The answers that are still young enough.
    fn fresh(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while all.front().is_some_and(|kept| kept.since.elapsed() > KEPT) {
            all.pop_front();
        }
        all
    }

    fn keep(&self, kind: &'static str, rows: Arc<Vec<Json_>>) -> Uuid {
        let id = Uuid::new_v4();
        let mut all = self.fresh();
        all.push_back(Kept { id, since: Instant::now(), kind, rows });
        let total = |all: &VecDeque<Kept>| all.iter().map(|kept| kept.rows.len()).sum::<usize>();
        while all.len() > 1 && total(&all) > KEPT_ROWS {
            all.pop_front();
        }
        id
    }

    fn find(&self, id: Uuid) -> Option<(&'static str, Arc<Vec<Json_>>)> {
        let all = self.fresh();
        let kept = all.iter().find(|kept| kept.id == id)?;
        Some((kept.kind, Arc::clone(&kept.rows)))
    }
}

type Shapes = Schema<Questions, Edits, EmptySubscription>;

fn schema() -> &'static Shapes {
    static SCHEMA: std::sync::OnceLock<Shapes> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| {
        Schema::build(Questions, Edits, EmptySubscription)
            .limit_depth(20)
            .limit_directives(50)
            .limit_complexity(2_000)
            .finish()
    })
}

/// Where the caller sees this server.
struct Base(String);

fn base_url(app: &App, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = text("x-forwarded-proto").filter(|s| *s == "https").unwrap_or(app.scheme);
    format!("{scheme}://{}", text(header::HOST.as_str()).unwrap_or("127.0.0.1"))
}

async fn answer(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> std::result::Result<Json<Json_>, Fault> {
    drop(app.results.fresh());
    let asked: Json_ = body::json(&app, &headers, body).await?;
    let base = base_url(&app, &headers);
    let many = match asked {
        Json_::Array(many) if many.len() > BATCH_MAX => {
            let message = format!("at most {BATCH_MAX} operations are taken at once");
            return Err(Fault::bad(message));
        }
        Json_::Array(many) => {
            let mut answers = Vec::with_capacity(many.len());
            for one in many {
                answers.push(operation(&app, &caller, &base, one).await);
            }
            return Ok(Json(Json_::Array(answers)));
        }
        one => one,
    };
    Ok(Json(operation(&app, &caller, &base, many).await))
}

async fn operation(app: &Arc<App>, caller: &Caller, base: &str, asked: Json_) -> Json_ {
    let Json_::Object(mut asked) = asked else {
        return json!({ "errors": [{ "message": "an operation is an object with `query`" }] });
    };
    let Some(Json_::String(query)) = asked.remove("query") else {
        return json!({ "errors": [{ "message": "the operation has no `query`" }] });
    };
    let variables = asked.remove("variables").unwrap_or_default();
    let mut request = async_graphql::Request::new(query)
        .variables(async_graphql::Variables::from_json(variables))
        .data(Arc::clone(app))
        .data(caller.clone())
        .data(Base(base.to_owned()));
    if let Some(Json_::String(name)) = asked.remove("operationName") {
        request = request.operation_name(name);
    }
    let response = schema().execute(request).await;
    serde_json::to_value(response)
        .unwrap_or_else(|_| json!({ "errors": [{ "message": "Internal server error" }] }))
}

async fn deferred(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> std::result::Result<Json<Json_>, Fault> {
    let found = Uuid::parse_str(&id).ok().and_then(|id| app.results.find(id));
    let Some((kind, rows)) = found else {
        let message = "this answer is no longer kept; ask again";
        return Err(Fault::new(StatusCode::NOT_FOUND, "NOT_FOUND", message));
    };
    let url = format!("{}/deferred/{id}", base_url(&app, &headers));
    Ok(Json(json!({ "status": "COMPLETED", "type": kind, "url": url, "data": data(kind, &rows) })))
}

/// The rows of an answer; a tree is its only row.
fn data(kind: &str, rows: &[Json_]) -> Json_ {
    match (kind, rows) {
        ("tree", [tree]) => tree.clone(),
        _ => Json_::Array(rows.to_vec()),
    }
}

/// A fault in the words of GraphQL.
pub(super) fn told(fault: Fault) -> async_graphql::Error {
    async_graphql::Error::new(fault.message().to_owned())
}

pub(super) fn parts<'c>(context: &Context<'c>) -> Result<(&'c Arc<App>, &'c Caller)> {
    Ok((context.data()?, context.data()?))
}

/// A query as it comes in over HTTP.
pub struct Asked {
    pub query: String,
    pub parameters: Option<Json_>,
    pub include_deleted: bool,
    pub strict: bool,
}

/// An answer to a query: its type, its rows and what they do not tell by themselves.
pub struct Found {
    pub kind: &'static str,
    pub rows: Vec<Json_>,
    pub notes: Vec<String>,
}

/// Parses and answers a query.
pub fn ask(app: &App, asked: &Asked) -> std::result::Result<Found, Fault> {
    let mut parameters = BTreeMap::new();
    for (name, value) in asked.parameters.iter().filter_map(Json_::as_object).flatten() {
        let value = parameter(value).ok_or_else(|| {
            Fault::bad(format!("the variable `{name}` is neither a text, number, boolean nor list"))
        })?;
        parameters.insert(name.clone(), value);
    }
    let options = Options {
        now: super::now(),
        strict: asked.strict,
        parameters: Some(parameters),
        include_deleted: asked.include_deleted,
        rules: crate::cli::server_rules()?,
        ..Options::default()
    };
    let source = Source::whole("query", asked.query.as_str());
    let query = Query::parse(&source, &options)
        .map_err(|fault| Fault::new(StatusCode::BAD_REQUEST, "BAD_QUERY", fault.plain()))?;
    let limits = query::Limits {
        time: Some(app.limits.query_time),
        rows: HELD_ROWS,
        ..query::Limits::default()
    };
    let snapshot = app.database.snapshot()?;
    let stopped = |stop| match stop {
        Stop::Read(e) => Fault::from(e),
        Stop::Limit(what) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Fault::new(status, "QUERY_TOO_COSTLY", format!("the query was stopped: {what}"))
                .hint("make it start at fewer entities, walk fewer steps, or add LIMIT")
        }
    };
    let (answer, profile) = query.run(&snapshot, limits).map_err(stopped)?;
    let notes = query.notes(&snapshot, &answer, &profile).map_err(stopped)?;
    let mut notes: Vec<String> = notes.into_iter().map(|note| note.text).collect();
    if let Some((name, _)) = query.unasked(options.parameters.iter().flat_map(|all| all.keys())) {
        notes.push(format!("no placeholder of the query is called `{name}`"));
    }
    let kind = answer.kind();
    let count = match &answer {
        Answer::List(entities) | Answer::Tree { entities, .. } => entities.len(),
        Answer::Table { rows, .. } => rows.len(),
    };
    if count > app.limits.answer_rows {
        let most = app.limits.answer_rows;
        let message = format!("the answer has {count} rows, and {most} are given at once");
        return Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "ANSWER_TOO_LARGE", message)
            .hint("add LIMIT and SKIP, or ask for less; `tombolo serve --max-rows` raises it"));
    }
    let rows = match (answer.json(&snapshot)?, &answer) {
        (Json_::Array(rows), Answer::List(_) | Answer::Table { .. }) => rows,
        (tree, _) => vec![tree],
    };
    Ok(Found { kind, rows, notes })
}

fn parameter(json: &Json_) -> Option<Value<'static>> {
    Some(match json {
        Json_::Bool(b) => Value::Bool(*b),
        Json_::Number(n) => Value::number(&n.to_string())?,
        Json_::String(text) => Value::Text(text.clone().into()),
        Json_::Array(items) => Value::List(items.iter().map(parameter).collect::<Option<_>>()?),
        Json_::Null | Json_::Object(_) => return None,
    })
}

/// Whether an answer may come later.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum DeferredResponseOption {
    Disabled,
    Enabled,
    Force,
}

/// How a deferred answer is written. There is but one way.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum DeferredResponseFormat {
    Json,
    Csv,
}

/// What PY and others send beside a query.
#[derive(InputObject)]
#[graphql(rename_fields = "camelCase")]
struct QueryV1Flags {
    variable_result_size: Option<bool>,
    compute_properties: Option<bool>,
    row_metadata: Option<bool>,
}

/// Where raw data came from.
#[derive(InputObject)]
#[graphql(rename_fields = "camelCase")]
struct EntityIngestionAddress {
    source: Option<String>,
    integration_instance_id: Option<String>,
    entity_key: Option<String>,
    entity_type: Option<String>,
    scope: Option<String>,
}

/// An answer of `queryV1`.
#[derive(SimpleObject)]
struct QueryV1Response {
    r#type: Option<String>,
    data: Option<Scalar<Json_>>,
    cursor: Option<String>,
    url: Option<String>,
    total_count: Option<i64>,
    /// Why nothing was found, or what of the question says something else than it seems to.
    notes: Option<Vec<String>>,
}

/// Raw data by name.
#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct RawPayload {
    name: String,
    content_type: String,
    data: Option<Scalar<Json_>>,
}

/// The raw data of an entity.
#[derive(SimpleObject)]
#[graphql(rename_fields = "camelCase")]
struct RawData {
    entity_id: String,
    status: String,
    message: Option<String>,
    collected_at: Option<i64>,
    payload: Vec<RawPayload>,
}

struct Questions;

#[Object]
impl Questions {
    /// Asks in J1QL.
    // A query may be repeated under other names, but not a thousand times in one operation.
    #[graphql(name = "queryV1", complexity = "50 + child_complexity")]
    #[allow(clippy::too_many_arguments)]
    async fn query_v1(
        &self,
        context: &Context<'_>,
        query: String,
        variables: Option<Scalar<Json_>>,
        cursor: Option<String>,
        include_deleted: Option<bool>,
        deferred_response: Option<DeferredResponseOption>,
        #[graphql(name = "deferredFormat")] _deferred_format: Option<DeferredResponseFormat>,
        #[graphql(name = "scopeFilters")] scope_filters: Option<Vec<Scalar<Json_>>>,
        #[graphql(name = "flags")] _flags: Option<QueryV1Flags>,
        limit: Option<i32>,
        #[graphql(name = "dryRun")] _dry_run: Option<bool>,
        #[graphql(name = "remember")] _remember: Option<bool>,
        #[graphql(name = "returnAsTree")] _tree: Option<bool>,
    ) -> Result<QueryV1Response> {
        let (app, caller) = parts(context)?;
        caller.reads().map_err(told)?;
        if scope_filters.is_some_and(|filters| !filters.is_empty()) {
            return Err("scopeFilters are not supported; use IN SCOPE in the query".into());
        }
        let size = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE).clamp(1, 10_000);
        if let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) {
            return next_page(app, &cursor, size);
        }
        let asked = Asked {
            query,
            parameters: variables.map(|variables| variables.0),
            include_deleted: include_deleted == Some(true),
            strict: false,
        };
        let Found { kind, rows, notes } =
            blocking(app, Work::Read, move |app| ask(app, &asked)).await.map_err(told)?;
        let rows = Arc::new(rows);
        if matches!(deferred_response, Some(DeferredResponseOption::Force)) {
            let id = app.results.keep(kind, rows);
            let url = format!("{}/deferred/{id}", context.data::<Base>()?.0);
            return Ok(QueryV1Response {
                r#type: Some("deferred".into()),
                data: None,
                cursor: None,
                url: Some(url),
                total_count: None,
                notes: Some(notes),
            });
        }
        let mut page = page(app, kind, &rows, 0, size, None);
        page.notes = Some(notes);
        Ok(page)
    }

    /// The raw data of an entity.
    #[graphql(name = "entityRawDataV2")]
    async fn entity_raw_data(
        &self,
        context: &Context<'_>,
        entity_id: async_graphql::ID,
        #[graphql(name = "address")] _address: EntityIngestionAddress,
    ) -> Result<RawData> {
        let (app, caller) = parts(context)?;
        caller.reads().map_err(told)?;
        let id = object_id(&entity_id)?;
        let found = blocking(app, Work::Read, move |app| {
            let snapshot = app.database.snapshot()?;
            entity(&snapshot, id)
        })
        .await
        .map_err(told)?;
        let collected = found.metadata.begin_on;
        let payload = found.raw_data.as_deref().map(raw_payload).unwrap_or_default();
        Ok(RawData {
            entity_id: id.to_string(),
            status: if payload.is_empty() { "NOT_FOUND".into() } else { "FOUND".into() },
            message: None,
            collected_at: Some(collected),
            payload,
        })
    }
}

/// Raw data in either of the shapes that it is uploaded in.
fn raw_payload(text: &str) -> Vec<RawPayload> {
    let of = |name: &str, content_type: &str, data: Json_| RawPayload {
        name: name.to_owned(),
        content_type: content_type.to_owned(),
        data: Some(Scalar(data)),
    };
    match serde_json::from_str::<Json_>(text).unwrap_or_default() {
        Json_::Array(items) => items
            .iter()
            .map(|item| {
                let name = item["name"].as_str().unwrap_or("default");
                of(name, "application/json", item["rawData"].clone())
            })
            .collect(),
        Json_::Object(members) => members
            .iter()
            .map(|(name, item)| {
                let kind = item["contentType"].as_str().unwrap_or("application/json");
                of(name, kind, item["body"].clone())
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn page(
    app: &App,
    kind: &'static str,
    rows: &Arc<Vec<Json_>>,
    start: usize,
    size: usize,
    id: Option<Uuid>,
) -> QueryV1Response {
    let end = (start + size).min(rows.len());
    let cursor = (kind != "tree" && end < rows.len()).then(|| {
        let id = id.unwrap_or_else(|| app.results.keep(kind, Arc::clone(rows)));
        format!("{id}:{end}")
    });
    QueryV1Response {
        r#type: Some(kind.to_owned()),
        data: Some(Scalar(data(kind, rows.get(start..end).unwrap_or_default()))),
        cursor,
        url: None,
        total_count: (kind != "tree").then_some(rows.len() as i64),
        notes: None,
    }
}

fn next_page(app: &App, cursor: &str, size: usize) -> Result<QueryV1Response> {
    let place = cursor
        .split_once(':')
        .and_then(|(id, start)| Some((Uuid::parse_str(id).ok()?, start.parse().ok()?)));
    let Some((id, start)) = place else { return Err("this is no cursor of ours".into()) };
    match app.results.find(id) {
        Some((kind, rows)) => Ok(page(app, kind, &rows, start, size, Some(id))),
        None => Err("the cursor has expired; ask the query again".into()),
    }
}

pub(super) fn object_id(text: &str) -> Result<ObjectId> {
    ObjectId::parse(text).ok_or_else(|| format!("`{text}` is not the form of an id").into())
}

pub(super) fn no_such(what: &str, id: ObjectId) -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("no {what} with the id {id}"))
}

pub(super) fn live_entity(
    snapshot: &Snapshot,
    id: ObjectId,
) -> std::result::Result<Option<Entity>, Fault> {
    let found = match snapshot.number_of(Kind::Entity, id)? {
        Some(number) => snapshot.entity(number)?,
        None => None,
    };
    Ok(found.filter(|entity| !entity.metadata.deleted()))
}

/// The live entity with this id.
pub(super) fn entity(snapshot: &Snapshot, id: ObjectId) -> std::result::Result<Entity, Fault> {
    live_entity(snapshot, id)?.ok_or_else(|| no_such("entity", id))
}
