//! The persister API: sync jobs as JupiterOne's collectors drive them.
//!
//! Paths, fields, counters and states are those of the original, so that clients need no patch;
//! what we add rides along in fields of its own, which every known client ignores. A finalize ends
//! inside its call.
//!
//! Source: wire contract, sections 0 to 6.

use super::api_error::ApiError;
use super::body::{self, UploadFormat};
use super::gate::WorkKind;
use super::object_scopes::{NamedDeletion, named_deletes, with_own_scope, with_scopes};
use super::{ApiCaller, AppState, blocking};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json_, json};
use std::borrow::Cow;
use std::sync::Arc;
use tombolo::Error;
use tombolo::db::{
    FinalizeRequest, JobRequest, MappedRelationship, RightSet, UploadExtras, check_mapped,
};
use tombolo::graph::ObjectKind;
use tombolo::sync::{InputFormat, InputSource, JobReport, JobStatus, SyncError, SyncMode};
use uuid::Uuid;

/// The path of the routes.
pub const ROOT: &str = "/persister/synchronization/jobs";

/// The scope of jobs and objects that name none.
pub const SCOPE: &str = "api";

type PersisterResult = Result<Json<Json_>, ApiError>;

/// The routes of the persister API.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route(ROOT, post(create))
        .route(&format!("{ROOT}/"), post(create))
        .route(&format!("{ROOT}/{{id}}"), get(status))
        .route(&format!("{ROOT}/{{id}}/entities"), post(entities))
        .route(&format!("{ROOT}/{{id}}/relationships"), post(relationships))
        .route(&format!("{ROOT}/{{id}}/upload"), post(upload))
        .route(&format!("{ROOT}/{{id}}/finalize"), post(finalize))
        .route(&format!("{ROOT}/{{id}}/abort"), post(abort))
        .route(&format!("{ROOT}/{{id}}/events"), post(events))
        .route(&format!("{ROOT}/{{id}}/uploadUrl"), post(upload_url))
}

/// The end of a job that an integration gives up because it is set up wrongly.
const INVALID_CONFIGURATION: &str = "ABORTED_DUE_TO_INVALID_CONFIGURATION";

/// A job as clients read it. A caller that may not read the graph hears nothing of scopes that it
/// may not write.
pub fn job_json(report: &JobReport, caller: &ApiCaller) -> Json_ {
    let rights = &caller.rights;
    let report: Cow<'_, JobReport> = match rights.read() {
        true => Cow::Borrowed(report),
        false => Cow::Owned(report.clone().told_to(false, |scope| rights.write(scope))),
    };
    let mut job = Map::new();
    let integration = report.source.starts_with("integration-");
    let done =
        matches!(report.status, JobStatus::Finished | JobStatus::Aborted | JobStatus::Refused);
    let status = match report.status {
        JobStatus::AwaitingUploads => "AWAITING_UPLOADS",
        JobStatus::Held => "HELD",
        JobStatus::Finished => "FINISHED",
        JobStatus::Aborted if report.invalid_configuration => INVALID_CONFIGURATION,
        JobStatus::Aborted => "ABORTED",
        JobStatus::Refused => "ERROR_BAD_DATA",
    };
    let mut put = |name: &str, value: Json_| job.insert(name.to_owned(), value);
    put("id", json!(report.id));
    put("source", json!(report.source));
    put("accountId", json!(caller.account));
    put("syncMode", json!(report.sync_mode));
    put("status", json!(status));
    put("done", json!(done));
    put("startTimestamp", json!(report.start_timestamp));
    put("endTimestamp", json!(report.end_timestamp));
    let scope = if integration { "integrationInstanceId" } else { "scope" };
    put(scope, json!(report.scope));
    if integration {
        put("integrationJobId", json!(report.id));
    }
    for (name, tally) in [("Entities", report.entities), ("Relationships", report.relationships)] {
        put(&format!("num{name}Uploaded"), json!(tally.uploaded));
        put(&format!("num{name}Created"), json!(tally.created));
        put(&format!("num{name}Updated"), json!(tally.updated));
        put(&format!("num{name}Deleted"), json!(tally.deleted));
        put(&format!("num{name}Unchanged"), json!(tally.unchanged));
    }
    for name in ["Entity", "Relationship"] {
        let skipped = match name {
            "Entity" => report.entities.skipped,
            _ => report.relationships.skipped,
        };
        put(&format!("num{name}CreateErrors"), json!(skipped));
        put(&format!("num{name}UpdateErrors"), json!(0));
        put(&format!("num{name}DeleteErrors"), json!(0));
        for what in ["Uploaded", "Created", "Updated", "Deleted"] {
            put(&format!("num{name}RawDataEntries{what}"), json!(0));
        }
        for what in ["Create", "Update", "Delete"] {
            put(&format!("num{name}RawDataEntry{what}Errors"), json!(0));
        }
    }
    let mapped = report.mapped_relationships.unwrap_or_default();
    put("numMappedRelationshipsCreated", json!(mapped.created));
    put("numMappedRelationshipsUpdated", json!(mapped.updated));
    put("numMappedRelationshipsDeleted", json!(mapped.deleted));
    put("numMappedRelationshipCreateErrors", json!(mapped.skipped));
    put("numMappedRelationshipUpdateErrors", json!(0));
    put("numMappedRelationshipDeleteErrors", json!(0));
    put("dryRun", json!(report.dry_run));
    put("report", json!(*report));
    Json_::Object(job)
}

/// The body of a request that creates a job. A `null` counts as absent.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateJobRequest {
    source: Option<String>,
    scope: Option<String>,
    sync_mode: Option<String>,
    integration_instance_id: Option<String>,
    integration_job_id: Option<String>,
    ignore_duplicates: Option<bool>,
}

async fn create(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    headers: HeaderMap,
    body: Body,
) -> PersisterResult {
    let asked: CreateJobRequest = body::json(&app, &headers, body).await?;
    let request = job_request(asked)?;
    if !caller.rights.write(&request.scope) {
        return Err(forbidden());
    }
    // Creating takes turns with others that name the same job, as a retry does.
    let alone = match request.id {
        Some(id) => Some(app.gates.alone(id).await),
        None => None,
    };
    blocking(&app, WorkKind::Upload, move |app| {
        let _alone = alone;
        if let Some(report) = job_of_retry(app, &request)? {
            return Ok(Json(json!({ "job": job_json(&report, &caller) })));
        }
        let (mut count, _) = app.database.staged()?;
        // Abandoned jobs must not keep new ones out; they are looked for only when room is short.
        if count >= app.limits.open_jobs && app.database.drop_abandoned()? > 0 {
            count = app.database.staged()?.0;
        }
        if count >= app.limits.open_jobs {
            let message = format!("{count} jobs are open; finalize or abort some");
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Err(ApiError::new(status, "TOO_MANY_OPEN_JOBS", message));
        }
        let id = app.database.create_job(&request)?;
        tracing::info!(job = %id, scope = request.scope, mode = %request.mode, "job created");
        Ok(Json(json!({ "job": job_json(&app.database.open_job(id)?, &caller) })))
    })
    .await
}

/// The open job that this very request made before, when its answer was lost.
fn job_of_retry(app: &AppState, request: &JobRequest) -> Result<Option<JobReport>, ApiError> {
    let Some(id) = request.id else { return Ok(None) };
    let Ok(report) = app.database.open_job(id) else { return Ok(None) };
    let same = report.scope == request.scope
        && report.source == request.source
        && report.sync_mode == request.mode;
    Ok(same.then_some(report))
}

fn job_request(asked: CreateJobRequest) -> Result<JobRequest, ApiError> {
    let source = asked.source.unwrap_or_else(|| "api".to_owned());
    let mode = match asked.sync_mode.as_deref() {
        None | Some("") => SyncMode::Diff,
        Some("CREATE_OR_UPDATE") => SyncMode::CreateOrUpdate,
        Some(text) => {
            text.parse().map_err(|e: String| ApiError::bad(format!("`syncMode`: {e}")))?
        }
    };
    let known = [
        "api",
        "integration-managed",
        "integration-external",
        "system-internal",
        "sample-data",
        "powerup-managed",
    ];
    if !known.contains(&source.as_str()) {
        let message = format!("unknown source `{source}`, expected {}", known.join(", "));
        return Err(ApiError::bad(message));
    }
    let nonempty = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (scope, instance) = (nonempty(asked.scope), nonempty(asked.integration_instance_id));
    let mut any_scope = false;
    let scope = match (source.starts_with("integration-"), scope, instance) {
        (true, None, Some(instance)) => instance,
        (true, _, None) => {
            return Err(ApiError::bad(format!("`integrationInstanceId` is required for {source}")));
        }
        (true, Some(_), Some(_)) => {
            return Err(ApiError::bad(format!("`scope` is not allowed for {source}"))
                .hint("the integrationInstanceId is the scope"));
        }
        (false, Some(scope), _) => scope,
        // Some clients have no way to name a scope: their rows say, or the ids in them do.
        (false, None, _) if matches!(mode, SyncMode::Patch | SyncMode::CreateOrUpdate) => {
            any_scope = true;
            SCOPE.to_owned()
        }
        (false, None, _) => {
            return Err(ApiError::bad("`scope` is required")
                .hint("name the scope that the job writes, as in \"scope\": \"okta\""));
        }
    };
    let id = nonempty(asked.integration_job_id).map(|text| job_id(&text));
    Ok(JobRequest {
        id,
        source,
        mode,
        scope,
        ignore_duplicates: asked.ignore_duplicates == Some(true),
        any_scope,
    })
}

/// The id of a job. A text that is no UUID gets an id that is derived from it, so the text and that
/// id name the same job.
fn job_id(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()))
}

/// The error of a missing right. It does not tell whether there is such a scope.
pub fn forbidden() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "the token does not allow this")
}

/// The job of a path as it was made or ended, if this caller may see it.
fn job_file(app: &AppState, id: &str, rights: &RightSet) -> Result<JobReport, ApiError> {
    let unknown = || ApiError::from(Error::UnknownJob(id.to_owned()));
    let report = match app.database.find_job(&job_id(id).to_string()) {
        Err(Error::UnknownJob(_)) => return Err(unknown()),
        other => other?,
    };
    if rights.see_jobs(&report.scope) { Ok(report) } else { Err(unknown()) }
}

/// The same with what was uploaded so far.
pub fn job(app: &AppState, id: &str, rights: &RightSet) -> Result<JobReport, ApiError> {
    let report = job_file(app, id, rights)?;
    match report.status {
        // It may be finalized in between.
        JobStatus::AwaitingUploads => match app.database.open_job(report.id) {
            Ok(report) => Ok(report),
            Err(Error::Sync(SyncError::State(_))) => job_file(app, id, rights),
            Err(e) => Err(e.into()),
        },
        _ => Ok(report),
    }
}

/// The job of a path, if this caller may write to it; nothing of its uploads is read.
fn own_job(app: &AppState, id: &str, rights: &RightSet) -> Result<JobReport, ApiError> {
    let report = job_file(app, id, rights)?;
    if rights.write(&report.scope) { Ok(report) } else { Err(forbidden()) }
}

async fn status(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    Path(id): Path<String>,
) -> PersisterResult {
    // A finalize that is under way is told of, not waited for.
    if let Some(report) = app.gates.finalized_now(job_id(&id))
        && caller.rights.see_jobs(&report.scope)
    {
        let mut job = job_json(&report, &caller);
        job["status"] = json!("FINALIZING_ENTITIES");
        return Ok(Json(json!({ "job": job })));
    }
    blocking(&app, WorkKind::Read, move |app| {
        let report = job(app, &id, &caller.rights)?;
        Ok(Json(json!({ "job": job_json(&report, &caller) })))
    })
    .await
}

/// The kinds of objects that an upload may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UploadContent {
    Entities,
    Relationships,
    Both,
}

async fn entities(
    app: State<Arc<AppState>>,
    caller: Extension<ApiCaller>,
    path: Path<String>,
    headers: HeaderMap,
    body: Body,
) -> PersisterResult {
    receive_upload(app, caller, path, headers, body, UploadContent::Entities).await
}

async fn relationships(
    app: State<Arc<AppState>>,
    caller: Extension<ApiCaller>,
    path: Path<String>,
    headers: HeaderMap,
    body: Body,
) -> PersisterResult {
    receive_upload(app, caller, path, headers, body, UploadContent::Relationships).await
}

async fn upload(
    app: State<Arc<AppState>>,
    caller: Extension<ApiCaller>,
    path: Path<String>,
    headers: HeaderMap,
    body: Body,
) -> PersisterResult {
    receive_upload(app, caller, path, headers, body, UploadContent::Both).await
}

/// The members of an upload, still as text.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UploadBody<'a> {
    #[serde(borrow)]
    entities: Option<&'a RawValue>,
    #[serde(borrow)]
    relationships: Option<&'a RawValue>,
    delete_entities: Option<Vec<NamedDeletion>>,
    delete_relationships: Option<Vec<NamedDeletion>>,
}

async fn receive_upload(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
    part: UploadContent,
) -> PersisterResult {
    // Read before the gate: a slow sender must not keep a finalize waiting.
    let sent = body::read(body).await?;
    let shared = app.gates.shared(job_id(&id)).await;
    blocking(&app, WorkKind::Upload, move |app| {
        let _shared = shared;
        let report = own_job(app, &id, &caller.rights)?;
        let shape = body::shape(&headers)?;
        let bytes = body::unpack(sent, &headers)?;
        app.metrics.received(bytes.bytes.len());
        let report = match shape {
            UploadFormat::Json => json_upload(app, &report, &caller.rights, &bytes.bytes, part)?,
            UploadFormat::Yaml => {
                let json = super::yaml::to_json(&bytes.bytes)?;
                json_upload(app, &report, &caller.rights, json.as_bytes(), part)?
            }
            UploadFormat::Ndjson => {
                put(app, &report, &caller.rights, InputFormat::Ndjson, &bytes.bytes, part)?
            }
            UploadFormat::Csv => {
                put(app, &report, &caller.rights, InputFormat::Csv, &bytes.bytes, part)?
            }
        };
        Ok(Json(json!({ "job": job_json(&report, &caller) })))
    })
    .await
}

fn json_upload(
    app: &AppState,
    job: &JobReport,
    rights: &RightSet,
    bytes: &[u8],
    part: UploadContent,
) -> Result<JobReport, ApiError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if part == UploadContent::Both && bytes.trim_ascii_start().starts_with(b"[") {
        return put(app, job, rights, InputFormat::Json, bytes, part);
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::bad("the body is empty, expected `{\"entities\": [...]}`"));
    }
    let members: UploadBody<'_> = serde_json::from_slice(bytes)
        .map_err(|e| ApiError::bad(format!("the body is no JSON object of an upload: {e}")))?;
    for (name, code, value) in [
        ("entities", "ENTITY_IS_NOT_ARRAY", members.entities),
        ("relationships", "RELATIONSHIP_IS_NOT_ARRAY", members.relationships),
    ] {
        if value.is_some_and(|value| !value.get().starts_with('[')) {
            let message = format!("\"{name}\" should be an array");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, code, message));
        }
    }
    let (entities, relationships) = (members.entities, members.relationships);
    match part {
        UploadContent::Entities if entities.is_none() => {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "ENTITY_IS_NOT_ARRAY",
                "\"entities\" should be an array",
            ));
        }
        UploadContent::Relationships if relationships.is_none() => {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "RELATIONSHIP_IS_NOT_ARRAY",
                "\"relationships\" should be an array",
            ));
        }
        _ => {}
    }
    let named = [
        (ObjectKind::Entity, members.delete_entities),
        (ObjectKind::Relationship, members.delete_relationships),
    ];
    let names_deletes = named.iter().any(|(_, list)| list.as_ref().is_some_and(|l| !l.is_empty()));
    let deletes = named_deletes(app, job, rights, named)?;
    if entities.is_none() && relationships.is_none() && !names_deletes {
        return Err(ApiError::bad(
            "the body has none of `entities`, `relationships`, `deleteEntities`, \
             `deleteRelationships`",
        ));
    }
    if !deletes.is_empty() && matches!(job.sync_mode, SyncMode::CrossScope | SyncMode::Override) {
        return Err(ApiError::bad(format!("{} jobs take no delete lists", job.sync_mode)));
    }
    if job.any_scope && !deletes.is_empty() {
        // Objects that do not exist yet, or come to live elsewhere, are asked about when they are
        // deleted.
        let owners = app.database.snapshot()?.scopes_of(&deletes)?;
        if owners.values().any(|scope| !rights.write(scope)) {
            return Err(forbidden());
        }
    }
    let (mut relationships, mapped) = split_mapped(job, relationships)?;
    rights.allow_mapping(mapped.len())?;
    if job.any_scope {
        relationships = with_own_scope(&relationships)?;
    }
    let entities = match (entities, job.any_scope) {
        (None, _) => "[]".to_owned(),
        (Some(list), false) => list.get().to_owned(),
        (Some(list), true) => with_scopes(app, rights, list)?,
    };
    let text = format!("{{\"entities\":{entities},\"relationships\":{relationships}}}");
    let input = request_body(InputFormat::Json, text.as_bytes());
    let extras = UploadExtras {
        mapped: &mapped,
        deletes: &deletes,
        deleter: Some(rights),
        staged_max: None,
    };
    append(app, job, rights, input, extras, part)
}

/// A relationship, as far as it tells whether it describes an end.
#[derive(Deserialize)]
struct MappingMarker<'a> {
    #[serde(rename = "_mapping", borrow)]
    mapping: Option<&'a RawValue>,
}

fn validation_code(part: UploadContent) -> &'static str {
    match part {
        UploadContent::Relationships => "RELATIONSHIP_UPLOAD_FAILED_VALIDATION",
        _ => "ENTITY_UPLOAD_FAILED_VALIDATION",
    }
}

/// Splits a list of relationships into those that name their ends, as text, and those that describe
/// one.
fn split_mapped(
    job: &JobReport,
    relationships: Option<&RawValue>,
) -> Result<(String, Vec<MappedRelationship>), ApiError> {
    let Some(list) = relationships else { return Ok(("[]".to_owned(), Vec::new())) };
    // Most lists have none, and are not read twice.
    if memchr::memmem::find(list.get().as_bytes(), b"\"_mapping\"").is_none() {
        return Ok((list.get().to_owned(), Vec::new()));
    }
    let refused = |faults: Vec<String>| {
        let message = format!("{} validation error(s):\n{}", faults.len(), faults.join("\n"));
        let code = "RELATIONSHIP_UPLOAD_FAILED_VALIDATION";
        ApiError::new(StatusCode::BAD_REQUEST, code, message)
    };
    let items: Vec<&RawValue> = serde_json::from_str(list.get())
        .map_err(|e| ApiError::bad(format!("`relationships`: {e}")))?;
    let (mut plain, mut mapped, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (i, item) in items.into_iter().enumerate() {
        // An item that is no object is no mapped relationship either, and fails below with its
        // place.
        let described = serde_json::from_str::<MappingMarker<'_>>(item.get());
        if described.is_ok_and(|described| described.mapping.is_none()) {
            plain.push(item.get());
            continue;
        }
        match serde_json::from_str::<MappedRelationship>(item.get()) {
            Ok(one) => match check_mapped(&one, job.sync_mode) {
                Ok(()) => mapped.push(one),
                Err(e) => faults.push(format!("- Error in relationships[{i}]{e}")),
            },
            Err(e) => faults.push(format!("- Error in relationships[{i}] (reason={e})")),
        }
    }
    match faults.is_empty() {
        true => Ok((format!("[{}]", plain.join(",")), mapped)),
        false => Err(refused(faults)),
    }
}

fn request_body(format: InputFormat, bytes: &[u8]) -> InputSource<'_> {
    let mut input = InputSource::new("", format, Box::new(bytes));
    input.options.paths_only = true;
    input
}

fn put(
    app: &AppState,
    job: &JobReport,
    rights: &RightSet,
    format: InputFormat,
    bytes: &[u8],
    part: UploadContent,
) -> Result<JobReport, ApiError> {
    let input = request_body(format, bytes);
    append(app, job, rights, input, UploadExtras::default(), part)
}

/// Adds objects to a job. If each object names its own scope, the caller must be allowed all of
/// these scopes, in whatever format the objects came.
fn append(
    app: &AppState,
    job: &JobReport,
    rights: &RightSet,
    input: InputSource<'_>,
    extras: UploadExtras<'_>,
    part: UploadContent,
) -> Result<JobReport, ApiError> {
    // Remembered here, since the error of the database would name the scope.
    let mut foreign = false;
    let mut may = |scope: &str| {
        foreign |= !rights.write(scope);
        !foreign
    };
    let extras = UploadExtras { staged_max: Some(app.limits.staged_bytes), ..extras };
    let result = app.database.upload_with(job.id, input, &extras, &mut may);
    match foreign {
        true => Err(forbidden()),
        false => result.map_err(|e| ApiError::from(e).coded(validation_code(part))),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FinalizeBody {
    partial_datasets: Option<PartialDatasets>,
    allow_deletes: Option<u64>,
    dry_run: Option<bool>,
}

#[derive(Default, Deserialize)]
struct PartialDatasets {
    types: Option<Vec<String>>,
}

async fn finalize(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> PersisterResult {
    let asked: FinalizeBody = body::json(&app, &headers, body).await?;
    let request = FinalizeRequest {
        partial_types: asked.partial_datasets.and_then(|p| p.types).unwrap_or_default(),
        allow_deletes: asked.allow_deletes,
        dry_run: asked.dry_run == Some(true),
    };
    let (known, rights) = (id.clone(), caller.rights.clone());
    // Asked before the gate: a caller that may not finalize the job must not keep its uploads
    // waiting.
    blocking(&app, WorkKind::Read, move |app| own_job(app, &known, &rights)).await?;
    let alone = app.gates.alone(job_id(&id)).await;
    blocking(&app, WorkKind::Commit, move |app| {
        let _alone = alone;
        // Asked again, since the job may have ended while this call waited.
        let job = own_job(app, &id, &caller.rights)?;
        // The counts of its uploads are told meanwhile, if they can be read.
        let shown = app.database.open_job(job.id).unwrap_or_else(|_| job.clone());
        let _finalizing = app.gates.finalizing(&shown);
        let begun = std::time::Instant::now();
        let report = app.database.finalize_as(job.id, &request, &caller.rights)?;
        app.metrics.finalized(begun.elapsed());
        tracing::info!(
            job = %report.id,
            scope = report.scope,
            status = ?report.status,
            created = report.entities.created + report.relationships.created,
            updated = report.entities.updated + report.relationships.updated,
            deleted = report.entities.deleted + report.relationships.deleted,
            skipped = report.skipped_total,
            "job finalized"
        );
        Ok(Json(json!({ "job": job_json(&report, &caller) })))
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AbortBody {
    reason: Option<String>,
    terminal_status: Option<String>,
}

async fn abort(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> PersisterResult {
    let asked: AbortBody = body::json(&app, &headers, body).await?;
    let invalid_configuration = match asked.terminal_status.as_deref() {
        None | Some("ABORTED") => false,
        Some(INVALID_CONFIGURATION) => true,
        Some(other) => {
            return Err(ApiError::bad(format!(
                "unknown terminalStatus `{}`, expected ABORTED or {INVALID_CONFIGURATION}",
                shortened(other.to_owned())
            )));
        }
    };
    // As in `finalize`, the right is asked before the gate.
    let (known, rights) = (id.clone(), caller.rights.clone());
    blocking(&app, WorkKind::Read, move |app| own_job(app, &known, &rights)).await?;
    let alone = app.gates.alone(job_id(&id)).await;
    blocking(&app, WorkKind::Upload, move |app| {
        let _alone = alone;
        let job = own_job(app, &id, &caller.rights)?;
        let report = match job.status {
            JobStatus::Aborted => job,
            JobStatus::Finished | JobStatus::Refused => {
                let message = format!("job {id} has ended already");
                let status = StatusCode::CONFLICT;
                return Err(ApiError::new(status, "JOB_NOT_AWAITING_UPLOADS", message));
            }
            JobStatus::AwaitingUploads | JobStatus::Held => {
                let id = job.id.to_string();
                app.database.abort_as(&id, invalid_configuration, &caller.rights)?
            }
        };
        tracing::info!(job = %report.id, reason = asked.reason.map(shortened), "job aborted");
        Ok(Json(json!({ "job": job_json(&report, &caller) })))
    })
    .await
}

#[derive(Default, Deserialize)]
struct EventsBody {
    events: Option<Vec<JobEvent>>,
}

#[derive(Deserialize)]
struct JobEvent {
    name: Option<String>,
    description: Option<String>,
}

/// Characters of a text that the log keeps.
const LOGGED_MAX: usize = 1_000;

fn shortened(text: String) -> String {
    match text.char_indices().nth(LOGGED_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// There is no store to sign a URL for: objects come through the doors above.
async fn upload_url() -> ApiError {
    let message = "there are no upload URLs here";
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", message)
        .hint("send the objects to /upload, /entities or /relationships")
}

/// Most events of one call.
const EVENTS_MAX: usize = 1_000;

/// Events go to the log: nothing depends on them, and they may come after the end of their job.
async fn events(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> PersisterResult {
    let asked: EventsBody = body::json(&app, &headers, body).await?;
    blocking(&app, WorkKind::Read, move |app| {
        let job = match app.gates.finalized_now(job_id(&id)) {
            Some(job) if caller.rights.write(&job.scope) => job,
            _ => own_job(app, &id, &caller.rights)?,
        };
        let events = asked.events.unwrap_or_default();
        if events.len() > EVENTS_MAX {
            return Err(ApiError::bad(format!("at most {EVENTS_MAX} events are taken at once")));
        }
        let now = super::now();
        let kept: Vec<Json_> = events
            .into_iter()
            .map(|event| {
                let (name, description) = (event.name.clone(), event.description.clone());
                tracing::info!(
                    job = %job.id,
                    name = name.map(shortened),
                    description = description.map(shortened),
                    "event"
                );
                json!({
                    "id": Uuid::new_v4(),
                    "name": event.name,
                    "description": event.description,
                    "createDate": now,
                })
            })
            .collect();
        Ok(Json(json!({ "events": kept })))
    })
    .await
}
