//! Forms that browsers send: read within limits, and only if a page of ours made them.

use super::super::api_error::ApiError;
use super::super::body;
use super::address::PageParameters;
use super::page::PageVisit;
use super::visitor::VisitorWay;
use axum::body::Body;
use axum::http::StatusCode;
use subtle::ConstantTimeEq;

/// Largest form, in bytes.
const FORM_MAX: usize = 64 << 10;

/// Reads a form.
///
/// # Errors
///
/// A body that is too long or too slow.
pub async fn read(body: Body) -> Result<PageParameters, ApiError> {
    let sent = body::read(body).await?;
    if sent.bytes.len() > FORM_MAX {
        let message = format!("a form has at most {} KiB", FORM_MAX >> 10);
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "FORM_TOO_LARGE", message));
    }
    Ok(PageParameters::parse(&sent.bytes))
}

/// Refuses a form that no page of ours made for this visitor. A token in a header comes from a program,
/// which no page of another site can steer.
pub fn check(visit: &PageVisit, form: &PageParameters) -> Result<(), ApiError> {
    let given = form.get("csrf").unwrap_or_default();
    let ours = bool::from(given.as_bytes().ct_eq(visit.visitor.csrf.as_bytes()));
    if ours || visit.visitor.way == VisitorWay::Bearer {
        return Ok(());
    }
    let message = "this form is not of your session, so nothing was done";
    Err(ApiError::new(StatusCode::FORBIDDEN, "FORM_IS_FOREIGN", message)
        .hint("open the page again and send the form from there"))
}
