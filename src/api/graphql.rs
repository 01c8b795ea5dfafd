//! GraphQL as JupiterOne's query clients speak it: `queryV1`, and in `edits` the editing of single
//! objects.
//!
//! An operation may come alone or in a list, and the answer then has the same form. A field that
//! the schema does not know is a GraphQL error with status 200. Long answers are kept for a while
//! and fetched page by page, so that all pages are of one state of the graph.
//!
//! Source: wire contract, section 7.

use super::api_error::ApiError;
use super::edits::Edits;
use super::gate::{self, CancelGuard, WorkKind};
use super::parameters::placeholders;
use super::spool::{self, BodySegment, SpoolRoom, SpoolWriter, SpooledAnswer};
use super::{ApiCaller, AppState, blocking, body};
use async_graphql::{
    Context, EmptySubscription, Enum, InputObject, Json as Scalar, Object, Schema, SimpleObject,
};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value as Json_, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tombolo::answers::{
    AnswerError, CountFormat, QueryFindings, QueryRequest, QuestionContext, asked_state,
    read_query, rules_in_force,
};
use tombolo::db::StateRecord;
use tombolo::graph::{Entity, GraphRead, ObjectId, ObjectKind};
use tombolo::lang::SourceText;
use tombolo::limits::{CostMeter, QuestionLimits};
use tombolo::query::QueryAnswer;
use tombolo::store::Snapshot;
use uuid::Uuid;

/// Rows of a page.
const PAGE: usize = 250;
/// Most rows of a page.
const PAGE_MAX: usize = 10_000;
/// The time that an answer is kept for its next page.
const KEPT: Duration = Duration::from_secs(300);
/// Bytes in memory of all kept answers: the ends of their rows, and the text of small ones.
const KEPT_BYTES: usize = 16 << 20;
/// Longest document, in bytes, and fragments that it may use: each may use others twice.
const DOCUMENT_MAX: usize = 128 << 10;
const FRAGMENTS_MAX: usize = 40;
/// Operations in one request.
const BATCH_MAX: usize = 50;

pub(super) type GraphqlResult<T> = std::result::Result<T, async_graphql::Error>;

/// The routes for callers with a token.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/graphql", post(answer))
        .route("/", post(answer))
        .route("/rules/graphql", post(answer))
}

/// Deferred answers: clients fetch them without headers, so the path is its own key.
pub fn open_routes() -> Router<Arc<AppState>> {
    Router::new().route("/deferred/{id}", get(deferred))
}

/// An answer to a query: its rows as text, and the end of each of them.
pub struct SerializedAnswer {
    kind: &'static str,
    text: Arc<SpooledAnswer>,
    ends: Vec<u64>,
    /// Notes on what the rows do not tell by themselves.
    notes: Vec<String>,
    /// The state of the past that the rows are of.
    as_of: Option<StateRecord>,
}

impl SerializedAnswer {
    /// The state of the past that the rows are of.
    pub fn as_of(&self) -> Option<&StateRecord> {
        self.as_of.as_ref()
    }

    /// `list`, `table` or `tree`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Notes on what the rows do not tell by themselves.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn is_tree(&self) -> bool {
        self.kind == "tree"
    }

    /// Some of the rows as a list; a tree as it is.
    pub fn data(&self, rows: Range<usize>) -> Vec<BodySegment> {
        if self.is_tree() {
            return vec![BodySegment::whole(Arc::clone(&self.text))];
        }
        // Between two rows is a comma.
        let start = match rows.start {
            0 => 0,
            first => self.ends[first - 1] + 1,
        };
        let mut data = vec![BodySegment::text("[")];
        if rows.start < rows.end {
            data.push(BodySegment::Range(Arc::clone(&self.text), start..self.ends[rows.end - 1]));
        }
        data.push(BodySegment::text("]"));
        data
    }

    /// All of it.
    pub fn all(&self) -> Vec<BodySegment> {
        self.data(0..self.ends.len())
    }

    fn in_memory(&self) -> usize {
        self.text.in_memory() + self.ends.capacity() * size_of::<u64>()
    }
}

/// An answer that was not taken whole.
struct CachedAnswer {
    id: Uuid,
    since: Instant,
    found: Arc<SerializedAnswer>,
}

/// The answers that wait for a next page.
#[derive(Default)]
pub struct AnswerCache(Mutex<VecDeque<CachedAnswer>>);

impl AnswerCache {
    /// The answers that are still young enough.
    fn fresh(&self) -> MutexGuard<'_, VecDeque<CachedAnswer>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while all.front().is_some_and(|kept| kept.since.elapsed() > KEPT) {
            all.pop_front();
        }
        all
    }

    /// Forgets the answers that nobody asked for in time, and where room is short all of them.
    pub fn sweep(&self, room: &SpoolRoom) {
        let mut all = self.fresh();
        if room.is_crowded() {
            all.clear();
        }
    }

    fn keep(&self, found: &Arc<SerializedAnswer>) -> Uuid {
        let id = Uuid::new_v4();
        let mut all = self.fresh();
        all.push_back(CachedAnswer { id, since: Instant::now(), found: Arc::clone(found) });
        let total =
            |all: &VecDeque<CachedAnswer>| all.iter().map(|k| k.found.in_memory()).sum::<usize>();
        // The newest answer stays whatever its size, since its cursor is about to be sent.
        while all.len() > 1 && total(&all) > KEPT_BYTES {
            all.pop_front();
        }
        id
    }

    fn find(&self, id: Uuid) -> Option<Arc<SerializedAnswer>> {
        let all = self.fresh();
        Some(Arc::clone(&all.iter().find(|kept| kept.id == id)?.found))
    }
}

type GraphqlSchema = Schema<Questions, Edits, EmptySubscription>;

fn schema() -> &'static GraphqlSchema {
    static SCHEMA: std::sync::OnceLock<GraphqlSchema> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| {
        Schema::build(Questions, Edits, EmptySubscription)
            .limit_depth(20)
            .limit_directives(50)
            .limit_complexity(2_000)
            .finish()
    })
}

/// The URL under which the caller sees this server.
struct BaseUrl(String);

fn base_url(app: &AppState, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = text("x-forwarded-proto").filter(|s| *s == "https").unwrap_or(app.scheme);
    format!("{scheme}://{}", text(header::HOST.as_str()).unwrap_or("127.0.0.1"))
}

async fn answer(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    headers: HeaderMap,
    body: Body,
) -> std::result::Result<Response, ApiError> {
    app.results.sweep(&app.room);
    let (asked, _held) = body::json_held::<Json_>(&app, &headers, body).await?;
    let base = base_url(&app, &headers);
    let many = match asked {
        Json_::Array(many) if many.len() > BATCH_MAX => {
            let message = format!("at most {BATCH_MAX} operations are taken at once");
            return Err(ApiError::bad(message));
        }
        Json_::Array(many) => many,
        one => return Ok(spool::response(operation(&app, &caller, &base, one).await)),
    };
    let mut pieces = vec![BodySegment::text("[")];
    for (at, one) in many.into_iter().enumerate() {
        if at > 0 {
            pieces.push(BodySegment::text(","));
        }
        pieces.extend(operation(&app, &caller, &base, one).await);
    }
    pieces.push(BodySegment::text("]"));
    Ok(spool::response(pieces))
}

/// Places in a response that are filled with parts of answers when it is sent. Until then a secret
/// stands there, so that no data can be taken for a place.
struct ResponseSlots {
    secret: Uuid,
    filled: Mutex<Vec<Vec<BodySegment>>>,
}

impl ResponseSlots {
    fn new() -> ResponseSlots {
        ResponseSlots { secret: Uuid::new_v4(), filled: Mutex::default() }
    }

    /// A value that stands for `pieces`.
    fn reserve_slot(&self, pieces: Vec<BodySegment>) -> Json_ {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        filled.push(pieces);
        format!("{}:{}", self.secret.simple(), filled.len() - 1).into()
    }

    /// A response with its holes filled.
    fn fill(&self, text: &[u8]) -> Vec<BodySegment> {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = format!("\"{}:", self.secret.simple());
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some(at) = memchr::memmem::find(rest, mark.as_bytes()) {
            let behind = &rest[at + mark.len()..];
            let len = memchr::memchr(b'"', behind).unwrap_or(behind.len());
            let number = std::str::from_utf8(&behind[..len]).ok().and_then(|n| n.parse().ok());
            pieces.push(BodySegment::text(rest[..at].to_vec()));
            let found = number.and_then(|number: usize| filled.get_mut(number));
            pieces.extend(found.map(std::mem::take).unwrap_or_default());
            rest = behind.get(len + 1..).unwrap_or_default();
        }
        pieces.push(BodySegment::text(rest.to_vec()));
        pieces
    }
}

fn errors(message: &str) -> Vec<BodySegment> {
    vec![BodySegment::text(json!({ "errors": [{ "message": message }] }).to_string())]
}

/// The reason that a document is refused, if it is. The library has no limit of its own for this,
/// and would take too long over it.
fn oversized(document: &str) -> Option<String> {
    if document.len() > DOCUMENT_MAX {
        return Some(format!("a document has at most {} KiB", DOCUMENT_MAX >> 10));
    }
    // Those in texts count as well: nobody asks for a hundred things that way.
    let spreads = document.matches("...").count();
    (spreads > FRAGMENTS_MAX).then(|| format!("a document uses at most {FRAGMENTS_MAX} fragments"))
}

async fn operation(
    app: &Arc<AppState>,
    caller: &ApiCaller,
    base: &str,
    asked: Json_,
) -> Vec<BodySegment> {
    let Json_::Object(mut asked) = asked else {
        return errors("an operation is an object with `query`");
    };
    let Some(Json_::String(query)) = asked.remove("query") else {
        return errors("the operation has no `query`");
    };
    if let Some(why) = oversized(&query) {
        return errors(&why);
    }
    let variables = asked.remove("variables").unwrap_or_default();
    let holes = Arc::new(ResponseSlots::new());
    let mut request = async_graphql::Request::new(query)
        .variables(async_graphql::Variables::from_json(variables))
        .data(Arc::clone(app))
        .data(caller.clone())
        .data(Arc::clone(&holes))
        .data(BaseUrl(base.to_owned()));
    if let Some(Json_::String(name)) = asked.remove("operationName") {
        request = request.operation_name(name);
    }
    let response = schema().execute(request).await;
    match serde_json::to_vec(&response) {
        Ok(text) => holes.fill(&text),
        Err(_) => errors("Internal server error"),
    }
}

async fn deferred(
    State(app): State<Arc<AppState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> std::result::Result<Response, ApiError> {
    let found = Uuid::parse_str(&id).ok().and_then(|id| app.results.find(id));
    let Some(found) = found else {
        let message = "this answer is no longer kept; ask again";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", message));
    };
    let url = format!("{}/deferred/{id}", base_url(&app, &headers));
    let rest = json!({ "status": "COMPLETED", "type": found.kind, "url": url }).to_string();
    let mut pieces = vec![BodySegment::text("{\"data\":")];
    pieces.extend(found.all());
    // Without its opening brace, the rest goes on behind the data.
    pieces.push(BodySegment::text(format!(",{}", &rest[1..])));
    Ok(spool::response(pieces))
}

/// An error in the form of GraphQL.
pub(super) fn graphql_error(fault: ApiError) -> async_graphql::Error {
    async_graphql::Error::new(fault.message().to_owned())
}

pub(super) fn parts<'c>(
    context: &Context<'c>,
) -> GraphqlResult<(&'c Arc<AppState>, &'c ApiCaller)> {
    Ok((context.data()?, context.data()?))
}

/// Parses and answers a query.
pub fn ask(
    app: &AppState,
    text: &str,
    request: QueryRequest,
    limits: QuestionLimits,
) -> std::result::Result<SerializedAnswer, ApiError> {
    let meter = CostMeter::new(limits);
    // The snapshot is counted before it is opened.
    meter.hold(gate::QUESTION_BYTES).map_err(AnswerError::from)?;
    let at = request.at.clone();
    let options = request.options(rules_in_force()?, meter.deadline());
    let query = read_query(&SourceText::whole("query", text), &options)?;
    let past = asked_state(&app.database, &query, at.as_ref())?;
    let (database, counts) = (past.as_ref().unwrap_or(&app.database), CountFormat::Plain);
    let snapshot = database.snapshot()?;
    let context = QuestionContext { database, snapshot: &snapshot, meter: &meter, counts };
    let found = QueryFindings::ask(&context, &query).map_err(told)?;
    let notes = found.notes(&context, &query).map_err(told)?;
    let mut notes: Vec<String> = notes.into_iter().map(|note| note.text).collect();
    if let Some((name, _)) = query.unasked(options.parameters.iter().flat_map(|all| all.keys())) {
        notes.push(format!("no placeholder of the query is called `{name}`"));
    }
    let count = found.answer.len();
    if count > app.limits.answer_rows {
        let most = app.limits.answer_rows;
        let message = format!("the answer has {count} rows, and {most} are given at once");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "ANSWER_TOO_LARGE", message)
            .hint("add LIMIT and SKIP, or ask for less; `tombolo serve --max-rows` raises it"));
    }
    let as_of = database.past_state().cloned();
    Ok(SerializedAnswer { notes, as_of, ..serialize_rows(app, &found, &meter)? })
}

/// The error of a query. What the store reports is told as the persister API tells it.
fn told(e: AnswerError) -> ApiError {
    e.into_cause().map_or_else(ApiError::from, ApiError::from)
}

/// Writes the rows of an answer, one by one.
fn serialize_rows(
    app: &AppState,
    found: &QueryFindings<'_>,
    meter: &CostMeter,
) -> std::result::Result<SerializedAnswer, ApiError> {
    let answer = &found.answer;
    let mut spool = SpoolWriter::new(&app.room);
    let mut ends = Vec::new();
    let json = found.rows();
    let fault = |spool: &SpoolWriter, e: std::io::Error| {
        spool.refused().unwrap_or_else(|| spool::unwritten(&e))
    };
    if let QueryAnswer::Tree { .. } = answer {
        if let Err(e) = serde_json::to_writer(&mut spool, &json) {
            // An error of reading shows up as one of writing, so the reader is asked first.
            let read = json.fault().map(ApiError::from);
            return Err(read.unwrap_or_else(|| fault(&spool, e.into())));
        }
        ends.push(spool.len());
    } else {
        // One row at a time, so that memory does not grow with the answer.
        json.each(|row| {
            meter.look().map_err(AnswerError::from)?;
            let comma = if ends.is_empty() { Ok(()) } else { spool.write_all(b",") };
            let result = comma.and_then(|()| Ok(serde_json::to_writer(&mut spool, row)?));
            result.map_err(|e| fault(&spool, e))?;
            ends.push(spool.len());
            Ok::<(), ApiError>(())
        })?;
    }
    Ok(SerializedAnswer {
        kind: answer.kind(),
        text: spool.finish()?,
        ends,
        notes: Vec::new(),
        as_of: None,
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
    ) -> GraphqlResult<QueryV1Response> {
        let (app, caller) = parts(context)?;
        caller.reads().map_err(graphql_error)?;
        if scope_filters.is_some_and(|filters| !filters.is_empty()) {
            return Err("scopeFilters are not supported; use IN SCOPE in the query".into());
        }
        let size = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE).clamp(1, PAGE_MAX);
        let holes = context.data::<Arc<ResponseSlots>>()?;
        if let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) {
            return next_page(app, holes, &cursor, size);
        }
        let values = variables.as_ref().map(|variables| &variables.0);
        // The library has read the numbers already, so their spelling is lost.
        let parameters = placeholders(values, BTreeMap::new()).map_err(graphql_error)?;
        let request = QueryRequest {
            parameters,
            now: super::now(),
            include_deleted: include_deleted == Some(true),
            ..QueryRequest::default()
        };
        let waiting = CancelGuard::default();
        let limits = app.question(&waiting);
        let found =
            blocking(app, WorkKind::Read, move |app| ask(app, &query, request, limits)).await;
        let found = Arc::new(found.map_err(graphql_error)?);
        if matches!(deferred_response, Some(DeferredResponseOption::Force)) {
            let id = app.results.keep(&found);
            let url = format!("{}/deferred/{id}", context.data::<BaseUrl>()?.0);
            return Ok(QueryV1Response {
                r#type: Some("deferred".into()),
                data: None,
                cursor: None,
                url: Some(url),
                total_count: None,
                notes: Some(found.notes.clone()),
            });
        }
        let mut page = page(app, holes, &found, 0, size, None);
        page.notes = Some(found.notes.clone());
        Ok(page)
    }

    /// The raw data of an entity.
    #[graphql(name = "entityRawDataV2")]
    async fn entity_raw_data(
        &self,
        context: &Context<'_>,
        entity_id: async_graphql::ID,
        #[graphql(name = "address")] _address: EntityIngestionAddress,
    ) -> GraphqlResult<RawData> {
        let (app, caller) = parts(context)?;
        caller.reads().map_err(graphql_error)?;
        let id = object_id(&entity_id)?;
        let found = blocking(app, WorkKind::Read, move |app| {
            let snapshot = app.database.snapshot()?;
            entity(&snapshot, id)
        })
        .await
        .map_err(graphql_error)?;
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
    app: &AppState,
    holes: &ResponseSlots,
    found: &Arc<SerializedAnswer>,
    start: usize,
    size: usize,
    id: Option<Uuid>,
) -> QueryV1Response {
    let count = found.ends.len();
    let end = (start + size).min(count);
    let cursor = (!found.is_tree() && end < count).then(|| {
        let id = id.unwrap_or_else(|| app.results.keep(found));
        format!("{id}:{end}")
    });
    QueryV1Response {
        r#type: Some(found.kind.to_owned()),
        data: Some(Scalar(holes.reserve_slot(found.data(start.min(end)..end)))),
        cursor,
        url: None,
        total_count: (!found.is_tree()).then_some(count as i64),
        notes: None,
    }
}

fn next_page(
    app: &AppState,
    holes: &ResponseSlots,
    cursor: &str,
    size: usize,
) -> GraphqlResult<QueryV1Response> {
    // A cursor is the id of the kept answer and the number of its next row.
    let place = cursor
        .split_once(':')
        .and_then(|(id, start)| Some((Uuid::parse_str(id).ok()?, start.parse().ok()?)));
    let Some((id, start)) = place else { return Err("this is no cursor of ours".into()) };
    match app.results.find(id) {
        Some(found) => Ok(page(app, holes, &found, start, size, Some(id))),
        None => Err("the cursor has expired; ask the query again".into()),
    }
}

pub(super) fn object_id(text: &str) -> GraphqlResult<ObjectId> {
    ObjectId::parse(text).ok_or_else(|| format!("`{text}` is not the form of an id").into())
}

pub(super) fn no_such(what: &str, id: ObjectId) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("no {what} with the id {id}"))
}

pub(super) fn live_entity(
    snapshot: &Snapshot,
    id: ObjectId,
) -> std::result::Result<Option<Entity>, ApiError> {
    let found = match snapshot.number_of(ObjectKind::Entity, id)? {
        Some(number) => snapshot.entity(number)?,
        None => None,
    };
    Ok(found.filter(|entity| !entity.metadata.deleted()))
}

/// The live entity with this id.
pub(super) fn entity(snapshot: &Snapshot, id: ObjectId) -> std::result::Result<Entity, ApiError> {
    live_entity(snapshot, id)?.ok_or_else(|| no_such("entity", id))
}
