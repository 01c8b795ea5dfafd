//! One page from its request to its answer: a snapshot, the facts that the frame shows, what the page
//! itself asks, and the error in its place if there is one.

use super::super::api_error::ApiError;
use super::super::gate::{CancelGuard, QUESTION_BYTES, WorkKind};
use super::super::questions::guarded;
use super::super::{AppState, blocking, now};
use super::address::PageParameters;
use super::response::{self, RequestFacts};
use super::shell::{self, PageTab};
use super::visitor::PageVisitor;
use axum::http::StatusCode;
use axum::response::Response;
use maud::Markup;
use std::collections::BTreeMap;
use std::sync::Arc;
use tombolo::answers::{AnswerError, CountFormat, QuestionContext, ScopesAnswer};
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
}

impl PageContent {
    /// A page that has found what was asked.
    pub fn new(tab: PageTab, title: impl Into<String>, body: Markup) -> PageContent {
        PageContent { title: title.into(), tab, status: StatusCode::OK, narrow: false, body }
    }

    /// The same in a narrow column.
    pub fn narrow(self) -> PageContent {
        PageContent { narrow: true, ..self }
    }
}

/// What the frame of each page tells of the database; only callers who may read are told.
pub struct PageFrame {
    /// The number of the last commit.
    pub revision: u64,
    /// The scopes with their counts.
    pub scopes: ScopesAnswer,
    /// The jobs that wait for a decision.
    pub held: Vec<JobReport>,
    /// Now, in epoch milliseconds.
    pub now: i64,
    colours: BTreeMap<String, usize>,
}

impl PageFrame {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn read(app: &AppState, snapshot: &Snapshot) -> Result<PageFrame, ApiError> {
        let scopes = ScopesAnswer::read(snapshot)?;
        let mut held = app.database.recent_jobs(0)?;
        held.retain(|job| job.status == JobStatus::Held);
        // A scope has one colour on all pages, as long as no other comes before it by name.
        let coloured = scopes.scopes.iter().filter(|scope| scope.entities > 0).zip(1..);
        let colours = coloured.map(|(scope, at)| (scope.scope.clone(), at.min(9))).collect();
        let revision = snapshot.meta().revision;
        Ok(PageFrame { revision, scopes, held, now: now(), colours })
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
        let PageTask { app, snapshot, meter, .. } = self;
        QuestionContext { database: &app.database, snapshot, meter, counts: CountFormat::Grouped }
    }
}

/// Answers with the page that `ask` makes. Needs the right to read.
pub async fn answer(
    app: &Arc<AppState>,
    visit: PageVisit,
    ask: impl FnOnce(&PageTask<'_>) -> Result<PageContent, ApiError> + Send + 'static,
) -> Response {
    let waiting = CancelGuard::default();
    let limits = app.question(&waiting);
    let visited = visit.clone();
    let made = blocking(app, WorkKind::Read, move |app| {
        visited.visitor.caller.reads()?;
        guarded(|| {
            let task = task(app, &visited, limits)?;
            let content = match ask(&task) {
                Ok(content) => content,
                Err(fault) => error_content(fault, &visited),
            };
            let page = shell::page(&visited.visitor, Some(&task.frame), &content).into_string();
            Ok(response::html(&visited.facts, content.status, page))
        })
    })
    .await;
    made.unwrap_or_else(|fault| error_answer(&visit, fault))
}

/// Answers with a part of a page, such as the list below a field.
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
            let part = ask(&task(app, &visited, limits)?)?.into_string();
            Ok(response::html(&visited.facts, StatusCode::OK, part))
        })
    })
    .await;
    made.unwrap_or_else(|fault| error_answer(&visit, fault))
}

/// Answers with a small document for our script.
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
            let found = ask(&task(app, &visited, limits)?)?;
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
    limits: QuestionLimits,
) -> Result<PageTask<'a>, ApiError> {
    let meter = CostMeter::new(limits);
    // The snapshot is counted before it is opened.
    meter.hold(QUESTION_BYTES).map_err(AnswerError::from)?;
    let snapshot = app.database.snapshot()?;
    let frame = PageFrame::read(app, &snapshot)?;
    Ok(PageTask { app, visit, snapshot, frame, meter })
}

/// Answers with an error in a frame that tells nothing of the database.
pub fn error_answer(visit: &PageVisit, fault: ApiError) -> Response {
    let content = error_content(fault, visit);
    let page = shell::page(&visit.visitor, None, &content).into_string();
    response::html(&visit.facts, content.status, page)
}

/// The page of an error.
fn error_content(fault: ApiError, visit: &PageVisit) -> PageContent {
    let status = fault.status();
    let body = shell::error(status, fault, &visit.id);
    let title = status.canonical_reason().unwrap_or("Error");
    PageContent { status, ..PageContent::new(PageTab::None, title, body).narrow() }
}
