//! `/mcp`: the Model Context Protocol over HTTP, one request at a time.
//!
//! No session is kept: each request stands alone, comes through the same doors as any other, and its
//! answer is one JSON document. So a token that is revoked ends with the next call.

use super::api_error::ApiError;
use super::gate::{CancelGuard, WorkKind};
use super::{ApiCaller, AppState, blocking, body, cross_site, foreign_origin};
use crate::mcp::{
    AssistantQuestion, AssistantServer, QuestionGround, QuestionHost, ToolFault, ToolReply,
    within_engine,
};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::sync::Arc;
use tombolo::answers::AnswerError;

/// The routes for callers with a token.
pub fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/mcp", post(answer))
}

async fn answer(
    State(app): State<Arc<AppState>>,
    Extension(caller): Extension<ApiCaller>,
    request: Request,
) -> Result<Response, ApiError> {
    // The protocol wants this of every server, also of one whose callers have tokens.
    if foreign_origin(&app, request.headers()) {
        return Err(cross_site());
    }
    caller.reads()?;
    let (mut parts, body) = request.into_parts();
    let keep = |bytes: &[u8]| Ok(bytes.to_vec());
    let (bytes, _held) = body::read_held(&app, &parts.headers, body, keep).await?;
    // It is unpacked, and shorter or longer than it was sent.
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.remove(header::CONTENT_LENGTH);
    let host = ServerHost { takes_text: caller.rights.admin(), app };
    // The host and the origin were looked at before.
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let service = StreamableHttpService::new(
        move || Ok(AssistantServer::new(host.clone())),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let response = service.handle(Request::from_parts(parts, Body::from(bytes))).await;
    Ok(response.map(Body::new))
}

/// Asks the questions of assistants on the threads and within the limits of all questions.
#[derive(Clone)]
struct ServerHost {
    app: Arc<AppState>,
    takes_text: bool,
}

impl QuestionHost for ServerHost {
    async fn ask(&self, question: AssistantQuestion) -> Result<ToolReply, ToolFault> {
        let waiting = CancelGuard::default();
        let limits = self.app.question(&waiting);
        let takes_text = self.takes_text;
        let asked = blocking(&self.app, WorkKind::Read, move |app| {
            let ground = QuestionGround {
                database: &app.database,
                limits,
                mappings: &app.mappings,
                takes_text,
                exit_code: app.exit_code,
            };
            Ok(within_engine(|| question(&ground)))
        });
        match asked.await {
            Ok(answer) => answer.map_err(told),
            Err(e) => Err(fault(&e, Vec::new())),
        }
    }
}

/// The error of a question, in the words of the other routes: paths of this machine are for its log.
fn told(error: AnswerError) -> ToolFault {
    let faults = ToolFault::faults_of(&error);
    fault(&ApiError::from(error), faults)
}

fn fault(error: &ApiError, faults: Vec<String>) -> ToolFault {
    ToolFault {
        code: error.code(),
        message: error.message().to_owned(),
        hint: error.advice().map(str::to_owned),
        faults,
    }
}
