//! One page from its request to its answer: a snapshot, the facts that the frame shows, what the page
//! itself asks, and the error in its place if there is one.

use super::super::api_error::ApiError;
use super::super::gate::{CancelGuard, QUESTION_BYTES, WorkKind};
use super::super::questions::guarded;
use super::super::{AppState, blocking, now};
use super::address::{PageAddress, PageParameters};
use super::response::{self, RequestFacts};
use super::shell::{self, PageTab};
use super::state::{self, PageState};
use super::visitor::PageVisitor;
use axum::http::StatusCode;
use axum::response::Response;
use maud::Markup;
use std::collections::BTreeMap;
use std::sync::Arc;
use tombolo::answers::{AnswerError, CountFormat, QuestionContext, ScopesAnswer};
use tombolo::db::Database;
use tombolo::graph::EntityHead;
use tombolo::limits::{CostMeter, QuestionLimits};
use tombolo::store::Snapshot;
use tombolo::sync::{JobReport, JobStatus};

/// A visitor with what was asked.
#[derive(Clone, Debug)]
pub struct PageVisit {
    /// Who asks.
    pub visitor: PageVisitor,
    /// How the answer is sent.
    pub facts: RequestFacts,
    /// The path of the address.
    pub path: String,
    /// The parameters of the address.
    pub parameters: PageParameters,
    /// The id of the request in the log.
    pub id: String,
}

/// A page without its frame.
pub struct PageContent {
    /// Its title.
    pub title: String,
    /// The part of the navigation that it belongs to.
    pub tab: PageTab,
    /// Its status.
    pub status: StatusCode,
    /// True if its text is set in a narrow column.
    pub narrow: bool,
    /// What it shows.
    pub body: Markup,
    /// The file that is sent in its place.
    pub file: Option<PageFile>,
}

/// A file that a page hands out.
pub struct PageFile {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub kind: &'static str,
    /// What is in it.
    pub text: String,
}

impl PageContent {
    /// A page that has found what was asked.
    pub fn new(tab: PageTab, title: impl Into<String>, body: Markup) -> PageContent {
        let (title, status) = (title.into(), StatusCode::OK);
        PageContent { title, tab, status, narrow: false, body, file: None }
    }

    /// The same in a narrow column.
    pub fn narrow(self) -> PageContent {
        PageContent { narrow: true, ..self }
    }
}

/// What the frame of each page tells of the database; only callers who may read are told.
pub struct PageFrame {
    /// The number of the commit whose state is shown.
    pub revision: u64,
    /// The scopes with their counts.
    pub scopes: ScopesAnswer,
    /// The jobs that wait for a decision, now.
    pub held: Vec<JobReport>,
    /// Now, in epoch milliseconds.
    pub now: i64,
    /// The state of the past that is shown, if it is not that of now.
    pub past: Option<PageState>,
    colours: BTreeMap<String, usize>,
}

impl PageFrame {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn read(
        app: &AppState,
        snapshot: &Snapshot,
        past: Option<PageState>,
    ) -> Result<PageFrame, ApiError> {
        let scopes = ScopesAnswer::read(snapshot)?;
        let mut held = app.database.recent_jobs(0)?;
        held.retain(|job| job.status == JobStatus::Held);
        // A scope has one colour on all pages, as long as no other comes before it by name.
        let coloured = scopes.scopes.iter().filter(|scope| scope.entities > 0).zip(1..);
        let colours = coloured.map(|(scope, at)| (scope.scope.clone(), at.min(9))).collect();
        let revision = snapshot.meta().revision;
        Ok(PageFrame { revision, scopes, held, now: now(), past, colours })
    }

    /// The name of the state in links; empty for that of now.
    pub fn at(&self) -> &str {
        self.past.as_ref().map_or("", PageState::at)
    }

    /// An address that keeps the state.
    pub fn keep(&self, address: PageAddress) -> PageAddress {
        address.with("at", self.at())
    }

    /// The page of an entity in the same state.
    pub fn entity(&self, head: &EntityHead) -> String {
        self.keep(PageAddress::about("e", &head.scope, &head.key)).text()
    }

    /// The page that asks a query of the same state.
    pub fn query(&self, text: &str) -> String {
        self.keep(PageAddress::new("/query").with("q", text)).text()
    }

    /// The colour of a scope, from 1 to 9; a scope without entities has none.
    pub fn colour(&self, scope: &str) -> Option<usize> {
        self.colours.get(scope).copied()
    }

    /// The scopes that have a colour, by name.
    pub fn coloured(&self) -> Vec<String> {
        self.colours.keys().cloned().collect()
    }

    /// The number of entities and of relationships.
    pub fn counts(&self) -> (u64, u64) {
        let scopes = self.scopes.scopes.iter();
        scopes.fold((0, 0), |(e, r), scope| (e + scope.entities, r + scope.relationships))
    }
}

/// What a page asks with.
pub struct PageTask<'a> {
    /// The server.
    pub app: &'a AppState,
    /// Who asks what.
    pub visit: &'a PageVisit,
    /// The state of the graph that all of the page is about.
    pub snapshot: Snapshot,
    /// What the frame shows.
    pub frame: PageFrame,
    meter: CostMeter,
}

impl PageTask<'_> {
    /// Puts together the state that a question is asked of.
    pub fn context(&self) -> QuestionContext<'_> {
        let PageTask { snapshot, meter, .. } = self;
        let database = self.database();
        QuestionContext { database, snapshot, meter, counts: CountFormat::Grouped }
    }

    /// The database as it is, or as it was in the state that is shown.
    pub fn database(&self) -> &Database {
        self.frame.past.as_ref().map_or(&self.app.database, |past| &past.database)
    }
}

/// Answers with the page that `ask` makes of the state of now. Needs the right to read.
pub async fn answer(
    app: &Arc<AppState>,
    visit: PageVisit,
    ask: impl FnOnce(&PageTask<'_>) -> Result<PageContent, ApiError> + Send + 'static,
) -> Response {
    answer_of(app, visit, false, ask).await
}

/// The same of the state that `at` in the address names, if it stands there.
pub async fn answer_at(
    app: &Arc<AppState>,
    visit: PageVisit,
    ask: impl FnOnce(&PageTask<'_>) -> Result<PageContent, ApiError> + Send + 'static,
) -> Response {
    answer_of(app, visit, true, ask).await
}

async fn answer_of(
    app: &Arc<AppState>,
    visit: PageVisit,
    dated: bool,
    ask: impl FnOnce(&PageTask<'_>) -> Result<PageContent, ApiError> + Send + 'static,
) -> Response {
    let waiting = CancelGuard::default();
    let limits = app.question(&waiting);
    let visited = visit.clone();
    let made = blocking(app, WorkKind::Read, move |app| {
        visited.visitor.caller.reads()?;
        guarded(|| {
            let (past, absent) = match asked_state(app, &visited, dated) {
                Ok(past) => (past, None),
                Err(fault) => (None, Some(state::unknown(app, &visited, fault)?)),
            };
            let task = task(app, &visited, past, limits)?;
            let made = absent.map_or_else(|| ask(&task), Ok);
            let content = made.unwrap_or_else(|fault| error_content(fault, &visited));
            if let Some(file) = content.file {
                return Ok(response::file(&visited.facts, file));
            }
            let page = shell::page(&visited, Some(&task.frame), &content).into_string();
            Ok(response::html(&visited.facts, content.status, page))
        })
    })
    .await;
    made.unwrap_or_else(|fault| error_answer(&visit, fault))
}

/// The state that an address names.
fn asked_state(
    app: &AppState,
    visit: &PageVisit,
    dated: bool,
) -> Result<Option<PageState>, ApiError> {
    let named = visit.parameters.get("at").filter(|_| dated);
    named.map(|text| PageState::read(app, text)).transpose()
}

/// Answers with a part of a page, such as the list below a field, of the state that `at` names.
pub async fn fragment(
    app: &Arc<AppState>,
    visit: PageVisit,
    ask: impl FnOnce(&PageTask<'_>) -> Result<Markup, ApiError> + Send + 'static,
) -> Response {
    let waiting = CancelGuard::default();
    let limits = app.question(&waiting);
    let visited = visit.clone();
    let made = blocking(app, WorkKind::Read, move |app| {
        visited.visitor.caller.reads()?;
        guarded(|| {
            let past = asked_state(app, &visited, true)?;
            let part = ask(&task(app, &visited, past, limits)?)?.into_string();
            Ok(response::html(&visited.facts, StatusCode::OK, part))
        })
    })
    .await;
    made.unwrap_or_else(|fault| error_answer(&visit, fault))
}

/// Answers with a small document for our script, of the state that `at` names.
pub async fn json<T: serde::Serialize>(
    app: &Arc<AppState>,
    visit: PageVisit,
    ask: impl FnOnce(&PageTask<'_>) -> Result<T, ApiError> + Send + 'static,
) -> Response {
    let waiting = CancelGuard::default();
    let limits = app.question(&waiting);
    let visited = visit.clone();
    let made = blocking(app, WorkKind::Read, move |app| {
        visited.visitor.caller.reads()?;
        guarded(|| {
            let past = asked_state(app, &visited, true)?;
            let found = ask(&task(app, &visited, past, limits)?)?;
            let text = serde_json::to_string(&found);
            let text = text.map_err(|_| ApiError::internal("a document of a page"))?;
            Ok(response::text(&visited.facts, StatusCode::OK, "application/json", text))
        })
    })
    .await;
    made.unwrap_or_else(|fault| error_answer(&visit, fault))
}

fn task<'a>(
    app: &'a AppState,
    visit: &'a PageVisit,
    past: Option<PageState>,
    limits: QuestionLimits,
) -> Result<PageTask<'a>, ApiError> {
    let meter = CostMeter::new(limits);
    // The snapshot is counted before it is opened.
    meter.hold(QUESTION_BYTES).map_err(AnswerError::from)?;
    let snapshot = past.as_ref().map_or(&app.database, |past| &past.database).snapshot()?;
    let frame = PageFrame::read(app, &snapshot, past)?;
    Ok(PageTask { app, visit, snapshot, frame, meter })
}

/// Answers with an error in a frame that tells nothing of the database.
pub fn error_answer(visit: &PageVisit, fault: ApiError) -> Response {
    let content = error_content(fault, visit);
    let page = shell::page(visit, None, &content).into_string();
    response::html(&visit.facts, content.status, page)
}

/// The page of an error.
fn error_content(fault: ApiError, visit: &PageVisit) -> PageContent {
    let status = fault.status();
    let body = shell::error(status, fault, &visit.id);
    let title = status.canonical_reason().unwrap_or("Error");
    PageContent { status, ..PageContent::new(PageTab::None, title, body).narrow() }
}
