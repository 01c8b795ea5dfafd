//! Errors as clients read them: `{"error": {"code", "message", "hint"}}` and a status.
//!
//! Source: wire contract, section 6.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tombolo::answers::AnswerError;
use tombolo::limits::LimitError;
use tombolo::store::StoreError;
use tombolo::sync::SyncError;
use tombolo::{Error, ErrorKind};

/// Lines of a message that lists many faults, and characters of each.
const LINES: usize = 50;
const LINE_MAX: usize = 2_000;

/// The reason that a request has no answer.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    /// True if the bytes that follow on the connection cannot be trusted.
    close: bool,
}

impl ApiError {
    /// An error with its status, its code for programs and its message for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, code, message: message.into(), hint: None, close: false }
    }

    /// A mistake in the request.
    pub fn bad(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// The same with advice.
    pub fn hint(self, text: impl Into<String>) -> ApiError {
        ApiError { hint: Some(text.into()), ..self }
    }

    /// The same, and the connection ends.
    pub fn close(self) -> ApiError {
        ApiError { close: true, ..self }
    }

    /// The same under another code, if it is the caller's mistake.
    pub fn coded(self, code: &'static str) -> ApiError {
        match self.status {
            StatusCode::BAD_REQUEST => ApiError { code, ..self },
            _ => self,
        }
    }

    /// The code, for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The advice, if there is any.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The message, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The message and the advice as a page shows them: their first lines.
    pub fn told(self) -> (String, Option<String>) {
        (shortened(self.message), self.hint.map(shortened))
    }

    /// The error of what only a mistake in this program can cause; the log has the details.
    pub fn internal(what: &str) -> ApiError {
        tracing::error!(what, "internal error");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Internal server error")
    }
}

/// The first lines of a message, none of them longer than a screen: it may quote what was sent.
fn shortened(message: String) -> String {
    let count = message.lines().count();
    if count <= LINES && message.len() <= LINE_MAX {
        return message;
    }
    let short = |line: &str| match line.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    };
    let first: Vec<String> = message.lines().take(LINES).map(short).collect();
    match count.saturating_sub(LINES) {
        0 => first.join("\n"),
        more => format!("{}\n… {more} more", first.join("\n")),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": shortened(self.message) });
        if let Some(hint) = self.hint {
            error["hint"] = hint.into();
        }
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        let headers = response.headers_mut();
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<Error> for ApiError {
    fn from(e: Error) -> ApiError {
        use StatusCode as S;
        let store = match &e {
            Error::Store(store) | Error::Sync(SyncError::Store(store)) => Some(store),
            _ => None,
        };
        let (status, code) = match (&e, store) {
            (_, Some(StoreError::Io(io))) if io.kind() == std::io::ErrorKind::StorageFull => {
                (S::INSUFFICIENT_STORAGE, "DISK_FULL")
            }
            (_, Some(StoreError::InUse(_) | StoreError::InUseBy(..) | StoreError::Changed)) => {
                (S::SERVICE_UNAVAILABLE, "DATABASE_IN_USE")
            }
            (_, Some(StoreError::DamagedFile(..))) => (S::INTERNAL_SERVER_ERROR, "JOB_DAMAGED"),
            (_, Some(StoreError::Corrupt { .. })) => (S::INTERNAL_SERVER_ERROR, "DATABASE_DAMAGED"),
            (_, Some(StoreError::NamesFull { .. })) => (S::UNPROCESSABLE_ENTITY, "TOO_MANY_NAMES"),
            (Error::NoSuchState(..), _) | (_, Some(StoreError::NoSuchState(_))) => {
                (S::BAD_REQUEST, "NO_SUCH_STATE")
            }
            (_, Some(_)) => (S::SERVICE_UNAVAILABLE, "STORAGE_UNAVAILABLE"),
            (Error::Sync(SyncError::State(_)), _) => (S::CONFLICT, "JOB_NOT_AWAITING_UPLOADS"),
            (Error::Sync(SyncError::OtherOwner { .. }), _) => {
                (S::CONFLICT, "SCOPE_HAS_OTHER_OWNER")
            }
            (Error::Sync(SyncError::ReservedScope(_)), _) => (S::BAD_REQUEST, "BAD_REQUEST"),
            (Error::Sync(SyncError::TooMuchStaged { .. }), _) => {
                (S::INSUFFICIENT_STORAGE, "TOO_MUCH_STAGED")
            }
            (Error::Sync(SyncError::Faults(_)), _) => (S::BAD_REQUEST, "VALIDATION_FAILED"),
            (Error::Sync(SyncError::Read(..)), _) | (Error::Usage(..), _) => {
                (S::BAD_REQUEST, "BAD_REQUEST")
            }
            (Error::UnknownEntity(..), _) => (S::NOT_FOUND, "NOT_FOUND"),
            (Error::UnknownJob(_), _) => (S::NOT_FOUND, "JOB_NOT_FOUND"),
            (Error::Forbidden(_), _) => (S::FORBIDDEN, "FORBIDDEN"),
            (Error::Moved(..), _) => (S::CONFLICT, "PLAN_IS_STALE"),
            _ => (S::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
        };
        let message = match &e {
            Error::Sync(SyncError::Faults(faults)) => {
                let told = faults.kinds.iter().flat_map(|kind| &kind.first);
                let mut each: Vec<String> =
                    told.map(|fault| format!("- Error in {fault}")).collect();
                let more = faults.total.saturating_sub(each.len() as u64);
                each.extend((more > 0).then(|| format!("- and {more} more")));
                format!("{} validation error(s):\n{}", faults.total, each.join("\n"))
            }
            // Names that the caller brought are no secret to the caller.
            _ if status == S::UNPROCESSABLE_ENTITY => e.to_string(),
            _ if code == "JOB_DAMAGED" => {
                tracing::error!(error = %e, code, "storage");
                "what is kept of the job is damaged; nothing was changed: abort it, upload again"
                    .to_owned()
            }
            // Paths of this machine are for its log.
            _ if store.is_some() => {
                tracing::error!(error = %e, code, "storage");
                "the database cannot do this now".to_owned()
            }
            _ => e.to_string(),
        };
        // Advice about storage is for whoever runs the server.
        let told = store.is_none() || status == S::UNPROCESSABLE_ENTITY;
        let hint = if told { e.hint() } else { None };
        ApiError { status, code, message, hint, close: false }
    }
}

impl From<StoreError> for ApiError {
    fn from(e: StoreError) -> ApiError {
        Error::Store(e).into()
    }
}

impl From<AnswerError> for ApiError {
    fn from(e: AnswerError) -> ApiError {
        if let Some(what) = e.limit() {
            return stopped(what, e.code());
        }
        // What the storage says has the same status, code and words as in a write.
        if let Some(Error::Store(_) | Error::Sync(SyncError::Store(_))) = e.cause() {
            return e.into_cause().map_or_else(|e| ApiError::internal(e.message()), Error::into);
        }
        let (status, code) = (status_of(e.kind()), e.code());
        match e.kind() {
            ErrorKind::Damaged => ApiError { code, ..ApiError::internal(e.message()) },
            ErrorKind::Failed => ApiError::internal(e.message()),
            _ => {
                let hint = e.advice().map(ToString::to_string);
                ApiError { status, code, message: e.message().to_owned(), hint, close: false }
            }
        }
    }
}

/// The status of an error of a kind.
pub fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::Refused => StatusCode::CONFLICT,
        ErrorKind::LimitExceeded => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Damaged | ErrorKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The error of a question that was stopped.
fn stopped(what: &LimitError, code: &'static str) -> ApiError {
    let status = match what {
        LimitError::Shared(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    ApiError::new(status, code, format!("the query was stopped: {what}")).hint(what.hint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn damage_has_one_code_whether_it_is_met_by_a_question_or_by_a_write() {
        let path = || PathBuf::from("/var/lib/graph.redb");
        let errors = || {
            [
                StoreError::corrupt("heads", &[], "gone"),
                StoreError::DamagedFile(path(), "it is torn".into()),
                StoreError::Missing(path()),
                StoreError::InUse(path()),
            ]
        };
        for (asked, written) in errors().into_iter().zip(errors()) {
            let asked = ApiError::from(AnswerError::from(asked));
            let written = ApiError::from(Error::from(written));
            assert_eq!((asked.status, asked.code), (written.status, written.code));
            assert!(!asked.message.contains("redb"), "paths are for the log: {}", asked.message);
        }
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        for e in [
            AnswerError::from(StoreError::corrupt("heads", &[], "gone")),
            AnswerError::inconsistent("entity number 3 is missing"),
        ] {
            let e = ApiError::from(e);
            assert_eq!((e.status, e.code), (status, "DATABASE_DAMAGED"));
        }
    }
}
