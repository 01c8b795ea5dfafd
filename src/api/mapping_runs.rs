//! Mapping files over HTTP: what applying them would change, and applying them.

use super::api_error::{ApiError, status_of};
use super::gate::WorkKind;
use super::questions::{AnswerTask, answer};
use super::rest::RawResult;
use super::{ApiCaller, AppState, body};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value as Json_;
use std::sync::Arc;
use tombolo::answers::{
    AnswerError, CountFormat, GuardOverrides, MappingFileSet, MappingRunAnswer, MappingRunJson,
    MappingRunOptions, MappingSelection,
};
use tombolo::lang::Diagnostic;
use tombolo::limits::{CostMeter, QuestionLimits};
use utoipa::ToSchema;

/// Which mappings.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingsBody {
    /// Scopes of mappings; all of the folder if none are named.
    #[serde(default)]
    scopes: Vec<String>,
}

/// The files of the mappings that a body names.
async fn selection(
    app: &Arc<AppState>,
    headers: &HeaderMap,
    body: Body,
) -> Result<MappingSelection, ApiError> {
    let asked: MappingsBody = body::json(app, headers, body).await?;
    // A name must stay inside the folder, whatever it holds.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let mut paths = Vec::new();
    for scope in &asked.scopes {
        if scope.is_empty() || !scope.chars().all(plain) {
            return Err(ApiError::bad(format!("`{scope}` is not the scope of a mapping")));
        }
        paths.push(app.mappings.join(format!("{scope}.toml")));
    }
    if paths.is_empty() {
        paths.push(app.mappings.clone());
    }
    Ok(MappingSelection { paths, labels: Vec::new() })
}

/// Reads mapping files. Their faults are for whoever runs the server.
fn load(selection: &MappingSelection) -> Result<MappingFileSet, ApiError> {
    let loaded = MappingFileSet::load(selection);
    tell(&loaded.faults);
    loaded.check(CountFormat::Plain)?;
    Ok(loaded)
}

fn tell(faults: &[Diagnostic]) {
    for fault in faults {
        tracing::warn!(code = fault.code, "{}", fault.plain());
    }
}

/// Writes a run of mappings. Its status tells whether it ended well, so that a caller in a pipeline
/// need not read the answer.
fn write_run(
    task: &mut AnswerTask<'_>,
    run: &MappingRunAnswer,
    exit_code: fn(&AnswerError) -> u8,
) -> Result<(), ApiError> {
    run.outcomes.iter().for_each(|outcome| tell(&outcome.faults));
    if let Some(kind) = run.objection() {
        task.set_status(status_of(kind));
    }
    task.write(&MappingRunJson { run, details: false, exit_code })
}

/// What applying mappings would change.
#[utoipa::path(post, path = "/v1/mappings/plan", request_body = MappingsBody, responses(
    (status = 200, description = "The plan", body = Json_),
    (status = 400, description = "A mapping has faults: the same document, or a problem if none can run",
        body = Json_),
    (status = 409, description = "A guard or a test refuses: the same document", body = Json_),
))]
pub async fn plan(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    headers: HeaderMap,
    body: Body,
) -> RawResult {
    caller.reads()?;
    let (selection, exit_code) = (selection(&app, &headers, body).await?, app.exit_code);
    answer(&app, WorkKind::Read, move |task| {
        let loaded = load(&selection)?;
        let meter = CostMeter::new(QuestionLimits::default());
        let snapshot = task.snapshot()?;
        let overrides = GuardOverrides::default();
        let options = MappingRunOptions { overrides: &overrides, details: 0 };
        let run = loaded.plan(&task.context(&snapshot, &meter), &options)?;
        write_run(task, &run, exit_code)
    })
    .await
}

/// Runs mappings as CROSS_SCOPE jobs. Needs the right admin.
#[utoipa::path(post, path = "/v1/mappings/apply", request_body = MappingsBody, responses(
    (status = 200, description = "The jobs", body = Json_),
    (status = 400, description = "A mapping has faults: the same document, or a problem if none can run",
        body = Json_),
    (status = 409, description = "A guard or a test refuses: the same document", body = Json_),
))]
pub async fn apply(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    headers: HeaderMap,
    body: Body,
) -> RawResult {
    caller.administers()?;
    let (selection, exit_code) = (selection(&app, &headers, body).await?, app.exit_code);
    answer(&app, WorkKind::Commit, move |task| {
        let loaded = load(&selection)?;
        let overrides = GuardOverrides::default();
        let options = MappingRunOptions { overrides: &overrides, details: 0 };
        let run = loaded.apply(task.database(), &options)?;
        task.tell_watch(&run);
        write_run(task, &run, exit_code)
    })
    .await
}
