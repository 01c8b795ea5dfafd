//! YAML uploads: the same document as in JSON, written differently.

use super::api_error::ApiError;
use super::body::{self, YAML_MAX};
use axum::http::StatusCode;

/// The JSON text of a YAML document.
///
/// # Errors
///
/// The line and column at which it is not YAML; several documents in one text.
pub fn to_json(bytes: &[u8]) -> Result<String, ApiError> {
    if bytes.len() > YAML_MAX {
        let message = format!("a body in YAML has at most {} MiB", YAML_MAX >> 20);
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(ApiError::new(status, "RequestEntityTooLargeException", message)
            .hint("send JSON or NDJSON, or smaller batches"));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| ApiError::bad(format!("the body: {e}")))?;
    // The tree is counted before it is made.
    let _held = body::yaml_held(bytes)?;
    let mut documents = tombolo::mapping::yaml_documents(text).map_err(ApiError::bad)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        _ => Err(ApiError::bad("the body must be one YAML document")),
    }
}
