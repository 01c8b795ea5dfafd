//! Questions about the past over HTTP: what changed between two states, and the history of an object.

use super::gate::WorkKind;
use super::parameters::list;
use super::questions::{answer, past_point};
use super::rest::{ParamsResult, Problem, RawResult, read};
use super::{ApiCaller, AppState};
use axum::Extension;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value as Json_;
use std::sync::Arc;
use tombolo::answers::{DiffRequest, ImpactTargets, ObjectHistoryRequest, rules_in_force};
use utoipa::IntoParams;

/// Changes that an answer lists unless told.
const LISTED: u32 = 1_000;

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffParams {
    /// The state that changes are told from: a time (2026-11-24T10:00Z, 3d, yesterday), a revision, or a
    /// job.
    from: String,
    /// The state that they lead to; now unless told.
    to: Option<String>,
    /// Only objects of these scopes, separated by commas.
    scope: Option<String>,
    /// Only entities of these classes and relationships of these verbs, separated by commas.
    class: Option<String>,
    /// Only objects of these types, separated by commas.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    types: Option<String>,
    /// Also how blast radius and owners of this entity changed.
    impact: Option<String>,
    /// The same for all entities of these classes, separated by commas.
    impact_class: Option<String>,
    /// Changes that are listed, at most; all are counted. 1000 unless told.
    max: Option<u32>,
}

/// What changed between two states.
#[utoipa::path(get, path = "/v1/diff", params(DiffParams), responses(
    (status = 200, description = "Counts, and the changes with their properties", body = Json_),
    (status = 400, description = "A mistake in the request, or no such state", body = Problem),
    (status = 404, description = "No such entity", body = Problem),
))]
pub async fn diff(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<DiffParams>,
) -> RawResult {
    caller.reads()?;
    let asks = read(asks)?;
    let from = past_point(&asks.from)?;
    let to = asks.to.as_deref().map(past_point).transpose()?;
    let request = DiffRequest {
        scopes: list(asks.scope),
        classes: list(asks.class),
        types: list(asks.types),
        skip: 0,
        max: Some(asks.max.unwrap_or(LISTED) as usize),
        impact: ImpactTargets {
            entities: asks.impact.into_iter().collect(),
            classes: list(asks.impact_class),
        },
    };
    answer(&app, WorkKind::Read, move |task| {
        let (meter, rules) = (task.meter()?, rules_in_force()?);
        let database = task.database();
        let from = database.state_at(&from)?;
        let to = match &to {
            Some(to) => database.state_at(to)?,
            None => database.newest_state()?,
        };
        let snapshot = task.snapshot()?;
        let found = request.ask(&task.context(&snapshot, &meter), from, to, &rules)?;
        task.write(&found)
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryParams {
    /// An entity as elsewhere, or a relationship by its key, SCOPE::KEY or `_id`; also one that is
    /// deleted.
    object: String,
}

/// Every version of an entity or a relationship, and the job behind each.
#[utoipa::path(get, path = "/v1/history", params(HistoryParams), responses(
    (status = 200, description = "The versions, oldest first", body = Json_),
    (status = 404, description = "No such object", body = Problem),
))]
pub async fn history(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    asks: ParamsResult<HistoryParams>,
) -> RawResult {
    caller.reads()?;
    let request = ObjectHistoryRequest { object: read(asks)?.object };
    answer(&app, WorkKind::Read, move |task| {
        let meter = task.meter()?;
        let snapshot = task.snapshot()?;
        let found = request.ask(&task.context(&snapshot, &meter))?;
        task.write(&found)
    })
    .await
}
