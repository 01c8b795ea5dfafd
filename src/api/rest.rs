//! Our own REST under `/v1`, health, metrics and the OpenAPI document.
//!
//! A question has one answer, whichever way it is asked: it is that of `tombolo::answers`, which the
//! command of the same name prints with `-o json`.

use super::api_error::ApiError;
use super::decisions::{abort_job, approve_held, decidable, whole_id};
use super::gate::{CancelGuard, WorkKind};
use super::graphql;
use super::jobs::job_json;
use super::mapping_runs::{self, MappingsBody};
use super::parameters::{
    blast_direction, list, number_spellings, path_direction, placeholders, trouble,
};
use super::past;
use super::questions::{AnswerForm, answer, answer_at, past_point};
use super::spool::{self, BodySegment};
use super::{ApiCaller, AppState, blocking, body, not_allowed};
use crate::picture_file::DrawnQuestion;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value as Json_, json};
use std::sync::Arc;
use tombolo::answers::{
    AnswerDocument, AnswerError, BlastRadiusRequest, CyclesRequest, EntityRequest,
    ImpactRulesRequest, OwnersRequest, PathRequest, QueryRequest, QuestionContext, ScopesAnswer,
    StatsAnswer, rules_in_force,
};
use tombolo::rules::RuleTable;
use utoipa::{IntoParams, OpenApi, ToSchema};

type JsonResult = Result<Json<Json_>, ApiError>;
pub(super) type RawResult = Result<Response, ApiError>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tombolo",
        description = "Questions about a graph of scoped entities, its jobs and its mappings. \
                       Collectors push with the persister API under \
                       /persister/synchronization/jobs, query clients ask at /graphql.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        blast_radius, owners, impact_rules, path, entity, scopes, stats, cycles, query, past::diff,
        past::history, all_jobs, one_job, approve, abort, mapping_runs::plan,
        mapping_runs::apply, health, ready, metrics
    ),
    components(schemas(Problem, ProblemDetail, QueryBody, ApproveBody, MappingsBody)),
    security(("bearer" = []))
)]
struct OpenApiDocument;

/// Why a request has no answer.
#[derive(ToSchema)]
#[allow(dead_code)] // only its shape is published
pub(super) struct Problem {
    error: ProblemDetail,
}

#[derive(ToSchema)]
#[allow(dead_code)]
struct ProblemDetail {
    /// A name for programs.
    code: String,
    /// What went wrong, for people.
    message: String,
    /// What to do about it.
    hint: Option<String>,
}

/// The routes for callers with a token.
pub fn routes() -> Router<Arc<AppState>> {
    use axum::routing::post;
    Router::new()
        .route("/v1/blast-radius", get(blast_radius))
        .route("/v1/owners", get(owners))
        .route("/v1/impact-rules", get(impact_rules))
        .route("/v1/path", get(path))
        .route("/v1/entity", get(entity))
        .route("/v1/scopes", get(scopes))
        .route("/v1/stats", get(stats))
        .route("/v1/cycles", get(cycles))
        .route("/v1/query", post(query))
        .route("/v1/diff", get(past::diff))
        .route("/v1/history", get(past::history))
        .route("/v1/jobs", get(all_jobs))
        .route("/v1/jobs/{id}", get(one_job))
        .route("/v1/jobs/{id}/approve", post(approve))
        .route("/v1/jobs/{id}/abort", post(abort))
        .route("/v1/mappings/plan", post(mapping_runs::plan))
        .route("/v1/mappings/apply", post(mapping_runs::apply))
        .route("/metrics", get(metrics))
}

/// The routes that need no token.
pub fn open_routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/openapi.json", get(openapi))
}

async fn openapi() -> Json<Json_> {
    let mut document = serde_json::to_value(OpenApiDocument::openapi()).unwrap_or_default();
    document["components"]["securitySchemes"]["bearer"] =
        json!({ "type": "http", "scheme": "bearer" });
    Json(document)
}

/// A query string, or the reason that it cannot be read.
pub(super) type ParamsResult<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

pub(super) fn read<T>(asks: ParamsResult<T>) -> Result<T, ApiError> {
    match asks {
        Ok(Query(asks)) => Ok(asks),
        Err(e) => Err(ApiError::bad(e.body_text())),
    }
}

/// Answers a question by the rules in force.
async fn answer_by_rules<Q: DrawnQuestion + Send + 'static>(
    app: &Arc<AppState>,
    (at, form): (Option<String>, AnswerForm),
    request: Q,
    ask: impl FnOnce(&Q, &QuestionContext<'_>, &RuleTable) -> Result<Q::Answer, AnswerError>
    + Send
    + 'static,
) -> RawResult
where
    Q::Answer: AnswerDocument,
{
    answer_at(app, WorkKind::Read, at, move |task| {
        let (meter, rules) = (task.meter()?, rules_in_force()?);
        let snapshot = task.snapshot()?;
        let found = ask(&request, &task.context(&snapshot, &meter), &rules)?;
        task.write_as(&form, &snapshot, &request, &found)
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BlastRadiusParams {
    /// SCOPE::KEY, a key, an `_id` or its last 8 characters, or what one live entity is called: its
    /// displayName, arn, email, hostname, name or serialNumber.
    entity: String,
    /// At most so many relationships.
    depth: Option<u32>,
    /// compromise: only what an attacker gets; failure: only what stops working.
    #[serde(rename = "for")]
    #[param(rename = "for")]
    trouble: Option<String>,
    /// auto, out, in or both; all but auto go that way whatever the rules say.
    direction: Option<String>,
    /// Only these verbs, separated by commas, whatever the rules say; `!VERB` is all but that.
    verb: Option<String>,
    /// Report only these classes, separated by commas.
    class: Option<String>,
    /// Report only these types, separated by commas.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    types: Option<String>,
    /// Report only these scopes, separated by commas.
    scope: Option<String>,
    /// Ask of the graph as it was: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a job.
    at: Option<String>,
    /// What the answer is: json; svg, a picture; or html, a page with the picture and its table.
    output: Option<String>,
    /// In a picture: groups that are opened, separated by commas; 25 entities each, once more, 25 more.
    open: Option<String>,
}

/// Everything that a compromise or failure of an entity reaches.
#[utoipa::path(get, path = "/v1/blast-radius", params(BlastRadiusParams), responses(
    (status = 200, description = "What is reached, by distance",
        content((Json_ = "application/json"), (String = "image/svg+xml"), (String = "text/html"))),
    (status = 400, description = "A mistake in the request", body = Problem),
    (status = 404, description = "No such entity", body = Problem),
))]
async fn blast_radius(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<BlastRadiusParams>,
) -> RawResult {
    caller.reads()?;
    let asks = read(asks)?;
    let at = asks.at;
    let form = AnswerForm::read(asks.output.as_deref(), asks.open)?;
    let request = BlastRadiusRequest {
        entities: vec![asks.entity],
        depth: asks.depth,
        trouble: trouble(asks.trouble.as_deref())?,
        direction: blast_direction(asks.direction.as_deref())?,
        verbs: list(asks.verb),
        classes: list(asks.class),
        types: list(asks.types),
        scopes: list(asks.scope),
    };
    answer_by_rules(&app, (at, form), request, |request, context, rules| {
        request.ask(context, rules)
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OwnersParams {
    /// SCOPE::KEY, a key, an `_id` or its last 8 characters, or what one live entity is called: its
    /// displayName, arn, email, hostname, name or serialNumber.
    entity: Option<String>,
    /// Every live entity of these classes instead, separated by commas.
    class: Option<String>,
    /// Every live entity of these types instead, separated by commas.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    types: Option<String>,
    /// Every live entity of these scopes instead, separated by commas.
    scope: Option<String>,
    /// With `class`, `type` or `scope`: only what nobody owns.
    orphans: Option<bool>,
    /// Also the people of owners that are teams.
    people: Option<bool>,
    /// Accept only owners of these classes, separated by commas.
    owner_class: Option<String>,
    /// At most so many relationships.
    depth: Option<u32>,
    /// Let only these verbs say who owns, separated by commas.
    verb: Option<String>,
    /// Ask of the graph as it was: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a job.
    at: Option<String>,
    /// What the answer is: json; svg, a picture; or html, a page with the picture and its table.
    output: Option<String>,
    /// In a picture: groups that are opened, separated by commas; 25 entities each, once more, 25 more.
    open: Option<String>,
}

/// The nearest owners of an entity, each with its chain of evidence.
#[utoipa::path(get, path = "/v1/owners", params(OwnersParams), responses(
    (status = 200, description = "The owners that tie at the least distance",
        content((Json_ = "application/json"), (String = "image/svg+xml"), (String = "text/html"))),
    (status = 400, description = "A mistake in the request", body = Problem),
    (status = 404, description = "No such entity", body = Problem),
))]
async fn owners(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<OwnersParams>,
) -> RawResult {
    caller.reads()?;
    let asks = read(asks)?;
    let orphans = asks.orphans == Some(true);
    let chosen = asks.class.is_some() || asks.types.is_some() || asks.scope.is_some();
    match (&asks.entity, chosen) {
        (Some(_), true) => {
            let message =
                "`entity` is one entity; `class`, `type` and `scope` ask for all of a kind";
            return Err(ApiError::bad(message).hint("leave out one of them"));
        }
        (Some(_), false) if orphans => {
            let message = "`orphans` lists what nobody owns, and `entity` is one entity";
            return Err(ApiError::bad(message).hint("name a `class`, `type` or `scope` instead"));
        }
        (None, false) => {
            return Err(ApiError::bad("nothing says whose owners are asked for")
                .hint("name an `entity`, or a `class`, `type` or `scope`"));
        }
        _ => {}
    }
    let at = asks.at;
    let form = AnswerForm::read(asks.output.as_deref(), asks.open)?;
    let request = OwnersRequest {
        entities: asks.entity.into_iter().collect(),
        classes: list(asks.class),
        types: list(asks.types),
        scopes: list(asks.scope),
        orphans,
        people: asks.people == Some(true),
        owner_classes: list(asks.owner_class),
        depth: asks.depth,
        verbs: list(asks.verb),
    };
    answer_by_rules(&app, (at, form), request, |request, context, rules| {
        request.ask(context, rules)
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImpactRulesParams {
    /// Only rules that speak of these verbs, separated by commas.
    verb: Option<String>,
}

/// The rules of impact and ownership in force.
#[utoipa::path(get, path = "/v1/impact-rules", params(ImpactRulesParams), responses(
    (status = 200, description = "Rules with their origin", body = Json_),
    (status = 400, description = "A mistake in the request or in tombolo.toml", body = Problem),
))]
async fn impact_rules(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<ImpactRulesParams>,
) -> RawResult {
    caller.reads()?;
    let request = ImpactRulesRequest { verbs: list(read(asks)?.verb) };
    answer(&app, WorkKind::Read, move |task| task.write(&request.ask(&rules_in_force()?))).await
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ShortestPathParams {
    /// Where the chain begins.
    from: String,
    /// Where it ends.
    to: String,
    /// out, in or both.
    direction: Option<String>,
    /// Only these verbs, separated by commas; `!VERB` is all but that.
    verb: Option<String>,
    /// Through this entity.
    via: Option<String>,
    /// Every shortest chain, not one.
    all: Option<bool>,
    /// With `all`: at most so many.
    max: Option<u32>,
    /// Ask of the graph as it was: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a job.
    at: Option<String>,
    /// What the answer is: json; svg, a picture; or html, a page with the picture and its table.
    output: Option<String>,
    /// In a picture: groups that are opened, separated by commas; 25 entities each, once more, 25 more.
    open: Option<String>,
}

/// The shortest chains between two entities.
#[utoipa::path(get, path = "/v1/path", params(ShortestPathParams), responses(
    (status = 200, description = "The chains",
        content((Json_ = "application/json"), (String = "image/svg+xml"), (String = "text/html"))),
    (status = 400, description = "A mistake in the request", body = Problem),
    (status = 404, description = "No such entity", body = Problem),
))]
async fn path(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<ShortestPathParams>,
) -> RawResult {
    caller.reads()?;
    let asks = read(asks)?;
    let at = asks.at;
    let form = AnswerForm::read(asks.output.as_deref(), asks.open)?;
    let request = PathRequest {
        direction: path_direction(asks.direction.as_deref())?,
        verbs: list(asks.verb),
        via: asks.via.into_iter().collect(),
        max: match asks.all {
            Some(true) => asks.max.map_or(100, |max| max.min(1_000) as usize),
            _ => 1,
        },
        from: asks.from,
        to: asks.to,
    };
    answer_at(&app, WorkKind::Read, at, move |task| {
        let meter = task.meter()?;
        let snapshot = task.snapshot()?;
        let found = request.ask(&task.context(&snapshot, &meter))?;
        task.write_as(&form, &snapshot, &request, &found)
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntityParams {
    /// SCOPE::KEY, a key, an `_id` or its last 8 characters, or what one live entity is called: its
    /// displayName, arn, email, hostname, name or serialNumber.
    entity: String,
    /// Ask of the graph as it was: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a job.
    at: Option<String>,
}

/// One entity with its relationships.
#[utoipa::path(get, path = "/v1/entity", params(EntityParams), responses(
    (status = 200, description = "The entity", body = Json_),
    (status = 400, description = "A mistake in the request", body = Problem),
    (status = 404, description = "No such entity", body = Problem),
))]
async fn entity(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<EntityParams>,
) -> RawResult {
    caller.reads()?;
    let EntityParams { entity, at } = read(asks)?;
    let request = EntityRequest { entity };
    answer_at(&app, WorkKind::Read, at, move |task| {
        let meter = task.meter()?;
        let snapshot = task.snapshot()?;
        let found = request.ask(&task.context(&snapshot, &meter))?;
        task.write(&found)
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PastParams {
    /// Ask of the graph as it was: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a job.
    at: Option<String>,
}

/// The scopes with their counts.
#[utoipa::path(get, path = "/v1/scopes", params(PastParams), responses(
    (status = 200, description = "Scopes, entities and relationships of each", body = Json_),
))]
async fn scopes(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<PastParams>,
) -> RawResult {
    caller.reads()?;
    answer_at(&app, WorkKind::Read, read(asks)?.at, |task| {
        let found = ScopesAnswer::read(&task.snapshot()?)?;
        task.write(&found)
    })
    .await
}

/// Counts by scope, type and class.
#[utoipa::path(get, path = "/v1/stats", params(PastParams), responses(
    (status = 200, description = "Counts", body = Json_),
))]
async fn stats(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<PastParams>,
) -> RawResult {
    caller.reads()?;
    answer_at(&app, WorkKind::Read, read(asks)?.at, |task| {
        let found = StatsAnswer::read(task.database(), &task.snapshot()?)?;
        task.write(&found)
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CyclesParams {
    /// Only these verbs, separated by commas; `!VERB` is all but that.
    verb: Option<String>,
    /// Ask of the graph as it was: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a job.
    at: Option<String>,
    /// What the answer is: json; svg, a picture; or html, a page with the picture and its table.
    output: Option<String>,
    /// In a picture: groups that are opened, separated by commas; 25 entities each, once more, 25 more.
    open: Option<String>,
}

/// Entities that reach themselves again.
#[utoipa::path(get, path = "/v1/cycles", params(CyclesParams), responses(
    (status = 200, description = "The circles",
        content((Json_ = "application/json"), (String = "image/svg+xml"), (String = "text/html"))),
    (status = 400, description = "A mistake in the request", body = Problem),
    (status = 404, description = "No such verb", body = Problem),
))]
async fn cycles(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<CyclesParams>,
) -> RawResult {
    caller.reads()?;
    let CyclesParams { verb, at, output, open } = read(asks)?;
    let form = AnswerForm::read(output.as_deref(), open)?;
    let request = CyclesRequest { verbs: list(verb) };
    answer_at(&app, WorkKind::Read, at, move |task| {
        let meter = task.meter()?;
        let snapshot = task.snapshot()?;
        let found = request.ask(&task.context(&snapshot, &meter))?;
        task.write_as(&form, &snapshot, &request, &found)
    })
    .await
}

/// A question in J1QL.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct QueryBody {
    /// The query.
    query: String,
    /// Values of its placeholders, by name.
    params: Option<Json_>,
    /// Whether to begin at deleted entities as well.
    include_deleted: Option<bool>,
    /// Whether to refuse what J1QL does not have.
    strict: Option<bool>,
    /// Ask of the graph as it was: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a job.
    at: Option<String>,
}

/// Asks in J1QL.
#[utoipa::path(post, path = "/v1/query", request_body = QueryBody, responses(
    (status = 200, description = "Type and rows", body = Json_),
    (status = 400, description = "The query cannot be read", body = Problem),
    (status = 422, description = "The query costs too much", body = Problem),
))]
async fn query(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    headers: HeaderMap,
    body: Body,
) -> RawResult {
    caller.reads()?;
    let read = |bytes: &[u8]| {
        let asked = serde_json::from_slice::<QueryBody>(bytes)?;
        // A number says more than its value: `2.10` may be a version.
        Ok((asked, number_spellings(bytes)))
    };
    let ((asked, spelled), _held) = body::read_held(&app, &headers, body, read).await?;
    let request = QueryRequest {
        parameters: placeholders(asked.params.as_ref(), spelled)?,
        now: super::now(),
        include_deleted: asked.include_deleted == Some(true),
        strict: asked.strict == Some(true),
        at: asked.at.as_deref().map(past_point).transpose()?,
        ..QueryRequest::default()
    };
    let waiting = CancelGuard::default();
    let limits = app.question(&waiting);
    let ask = move |app: &AppState| graphql::ask(app, &asked.query, request, limits);
    let found = blocking(&app, WorkKind::Read, ask).await?;
    let mut pieces = vec![BodySegment::text("{\"data\":")];
    pieces.extend(found.all());
    if !found.notes().is_empty() {
        pieces.push(BodySegment::text(format!(",\"notes\":{}", json!(found.notes()))));
    }
    if let Some(state) = found.as_of() {
        pieces.push(BodySegment::text(format!(",\"asOf\":{}", json!(state))));
    }
    pieces.push(BodySegment::text(format!(",\"type\":\"{}\"}}", found.kind())));
    Ok(spool::response(pieces))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct JobsParams {
    /// Only jobs of this scope.
    scope: Option<String>,
    /// Only jobs in this state, e.g. HELD.
    status: Option<String>,
    /// At most so many, 100 unless told.
    limit: Option<u32>,
}

/// The jobs, newest first; `status=HELD` lists what waits for approval.
#[utoipa::path(get, path = "/v1/jobs", params(JobsParams), responses(
    (status = 200, description = "Jobs as the persister API gives them", body = Json_),
    (status = 400, description = "A mistake in the request", body = Problem),
))]
async fn all_jobs(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<JobsParams>,
) -> JsonResult {
    caller.reads()?;
    let asks = read(asks)?;
    blocking(&app, WorkKind::Read, move |app| {
        let limit = asks.limit.unwrap_or(100).min(1_000) as usize;
        let jobs: Vec<Json_> = app
            .database
            .jobs()?
            .iter()
            .filter(|job| asks.scope.as_ref().is_none_or(|scope| job.scope == *scope))
            .map(|job| job_json(job, &caller))
            // The states of the API are not those of a report, so the JSON is asked.
            .filter(|job| asks.status.as_ref().is_none_or(|status| job["status"] == **status))
            .take(limit)
            .collect();
        Ok(Json(json!({ "jobs": jobs })))
    })
    .await
}

/// One job.
#[utoipa::path(get, path = "/v1/jobs/{id}", params(("id" = String, Path, description = "Id of the job")), responses(
    (status = 200, description = "The job", body = Json_),
    (status = 404, description = "No such job", body = Problem),
))]
async fn one_job(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    Path(id): Path<String>,
) -> JsonResult {
    if !caller.rights.approve_any() {
        caller.reads()?;
    }
    blocking(&app, WorkKind::Read, move |app| {
        let job = decidable(app, whole_id(&id)?, &caller)?;
        Ok(Json(json!({ "job": job_json(&job, &caller) })))
    })
    .await
}

/// What is approved.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApproveBody {
    /// The fingerprint of the plan that was looked at; another plan is refused.
    plan_hash: Option<String>,
}

/// Applies exactly the plan of a held job. Needs the right to approve its scope.
#[utoipa::path(post, path = "/v1/jobs/{id}/approve", request_body = ApproveBody,
    params(("id" = String, Path, description = "Id of the job")), responses(
    (status = 200, description = "The jobs that were held together", body = Json_),
    (status = 400, description = "The job is not held, or the graph moved on", body = Problem),
    (status = 404, description = "No such job", body = Problem),
    (status = 409, description = "Another plan was looked at", body = Problem),
))]
async fn approve(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> JsonResult {
    // Asked before the body is read: who may not gets no further.
    if !caller.rights.approve_any() {
        return Err(not_allowed("approve"));
    }
    let asked: ApproveBody = body::json(&app, &headers, body).await?;
    let reports = approve_held(&app, &caller, &id, asked.plan_hash).await?;
    let jobs: Vec<Json_> = reports.iter().map(|r| job_json(r, &caller)).collect();
    Ok(Json(json!({ "jobs": jobs })))
}

/// Gives up an open or held job. Needs the right admin.
#[utoipa::path(post, path = "/v1/jobs/{id}/abort", params(("id" = String, Path, description = "Id of the job")), responses(
    (status = 200, description = "The job", body = Json_),
    (status = 400, description = "The job has ended", body = Problem),
    (status = 404, description = "No such job", body = Problem),
))]
async fn abort(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    Path(id): Path<String>,
) -> JsonResult {
    let report = abort_job(&app, &caller, &id).await?;
    Ok(Json(json!({ "job": job_json(&report, &caller) })))
}

/// Whether the process lives, and beside it whether it is ready.
#[utoipa::path(get, path = "/health", security(()), responses(
    (status = 200, description = "It does", body = Json_),
))]
async fn health(State(app): State<Arc<AppState>>) -> Json<Json_> {
    let ready = app.ready.look().await.is_ok();
    Json(json!({ "status": "ok", "ready": ready, "version": env!("CARGO_PKG_VERSION") }))
}

/// Whether the database can be read.
#[utoipa::path(get, path = "/ready", security(()), responses(
    (status = 200, description = "It can", body = Json_),
    (status = 503, description = "It cannot now", body = Problem),
))]
async fn ready(State(app): State<Arc<AppState>>) -> JsonResult {
    app.ready.look().await?;
    Ok(Json(json!({ "status": "ready" })))
}

/// Counters for Prometheus.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, description = "OpenMetrics text", body = String,
        content_type = "application/openmetrics-text"),
))]
async fn metrics(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
) -> RawResult {
    caller.reads()?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = blocking(&app, WorkKind::Read, |app| Ok(app.metrics.text(app))).await?;
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
