//! Decisions about jobs that the guard holds: who may look at one, approve it, or give it up.
//!
//! REST and pages decide here, so that both ask for the same rights in the same order.

use super::api_error::ApiError;
use super::gate::WorkKind;
use super::{ApiCaller, AppState, blocking, jobs, not_allowed};
use axum::http::StatusCode;
use std::sync::Arc;
use tombolo::sync::{JobReport, JobStatus};
use uuid::Uuid;

/// A job that this caller may read or decide about.
pub fn decidable(app: &AppState, id: Uuid, caller: &ApiCaller) -> Result<JobReport, ApiError> {
    let job = jobs::job(app, &id.to_string(), &caller.rights)?;
    match caller.rights.read() || caller.rights.approve(&job.scope) {
        true => Ok(job),
        false => Err(tombolo::Error::UnknownJob(id.to_string()).into()),
    }
}

/// An id in a path is whole: a beginning that fits by chance must not approve anything.
pub fn whole_id(id: &str) -> Result<Uuid, ApiError> {
    match Uuid::parse_str(id) {
        Ok(id) => Ok(id),
        Err(_) => Err(tombolo::Error::UnknownJob(id.to_owned()).into()),
    }
}

/// Applies the plan of a held job, if it is the one that the caller looked at.
///
/// # Errors
///
/// That the caller may not, that there is no such job, that it is not held, or that it holds another
/// plan.
pub async fn approve_held(
    app: &Arc<AppState>,
    caller: &ApiCaller,
    id: &str,
    plan_hash: Option<String>,
) -> Result<Vec<JobReport>, ApiError> {
    if !caller.rights.approve_any() {
        return Err(not_allowed("approve"));
    }
    let id = whole_id(id)?;
    let who = caller.clone();
    // Asked before the gate: a caller that may not decide about the job must not keep others
    // waiting.
    blocking(app, WorkKind::Read, move |app| approvable(app, id, &who)).await?;
    let alone = app.gates.alone(id).await;
    let caller = caller.clone();
    blocking(app, WorkKind::Commit, move |app| {
        let _alone = alone;
        let held = approvable(app, id, &caller)?;
        if plan_hash.is_some_and(|hash| hash != held.plan_hash) {
            let message = "the job holds another plan than the one that was looked at";
            return Err(ApiError::new(StatusCode::CONFLICT, "PLAN_IS_STALE", message));
        }
        // The caller asks again because the answer was lost: the approval has happened.
        let reports = match held.status {
            JobStatus::Finished => vec![held],
            _ => app.database.approve_as(&id.to_string(), &caller.rights)?,
        };
        tracing::info!(job = %id, "held job approved");
        Ok(reports)
    })
    .await
}

/// A job that this caller may decide about.
fn approvable(app: &AppState, id: Uuid, caller: &ApiCaller) -> Result<JobReport, ApiError> {
    let job = decidable(app, id, caller)?;
    match caller.rights.approve(&job.scope) {
        true => Ok(job),
        false => Err(not_allowed(&format!("approve:{}", job.scope))),
    }
}

/// Gives up an open or held job.
///
/// # Errors
///
/// That the caller is no admin, that there is no such job, or that it has ended.
pub async fn abort_job(
    app: &Arc<AppState>,
    caller: &ApiCaller,
    id: &str,
) -> Result<JobReport, ApiError> {
    caller.administers()?;
    let id = whole_id(id)?;
    let alone = app.gates.alone(id).await;
    blocking(app, WorkKind::Upload, move |app| {
        let _alone = alone;
        Ok(app.database.abort(&id.to_string())?)
    })
    .await
}
