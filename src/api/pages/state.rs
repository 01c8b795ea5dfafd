//! The state of the past that a page shows: asked for with `at` in its address, named on the page, and
//! kept by the links that lead on from it.

use super::super::api_error::ApiError;
use super::super::questions::past_point;
use super::super::{AppState, now};
use super::address::{PageAddress, PageParameters};
use super::entity::{ago, short_job};
use super::page::{PageContent, PageFrame, PageVisit};
use super::parts::{self, count};
use super::shell::PageTab;
use axum::http::StatusCode;
use maud::{Markup, html};
use tombolo::answers::{clean, rfc3339_text};
use tombolo::db::{Database, StateRecord};
use tombolo::lang::PastPoint;
use tombolo::store::RevisionRecord;

/// The ways of naming a state, each with what it names.
const WAYS: [(&str, &str); 5] = [
    ("2026-11-24T10:00Z", "the newest state that is not later; without a zone it is UTC"),
    ("2026-11-24", "the state at the beginning of that day, in UTC"),
    ("3d, 90 min, yesterday, now", "so long ago, counted from now"),
    ("12", "the state of revision 12"),
    ("1a2b3c4d", "the state right after a job: its id, or enough of its beginning or end"),
];

/// A state of the past, and the database as it was then.
pub struct PageState {
    /// The database as it was.
    pub database: Database,
    /// The state.
    pub record: StateRecord,
    /// The point that was asked for.
    pub point: PastPoint,
    /// The name of the state in links.
    at: String,
    /// True if no later state is known.
    newest: bool,
}

impl PageState {
    /// Finds the state that a text names.
    ///
    /// # Errors
    ///
    /// A text that names no point, a point without a state, or any error of reading.
    pub fn read(app: &AppState, text: &str) -> Result<PageState, ApiError> {
        let point = past_point(text)?;
        let record = app.database.state_at(&point)?;
        let newest = app.database.newest_state()?.revision == record.revision;
        let at = name(text, &point, &record);
        let database = app.database.as_of(record.clone());
        Ok(PageState { database, record, point, at, newest })
    }

    /// The name of the state in links.
    pub fn at(&self) -> &str {
        &self.at
    }
}

/// The name of a state in links: as it was asked for, but for a name that moves with the clock, which would
/// lead to another state from link to link.
pub fn name(text: &str, point: &PastPoint, state: &StateRecord) -> String {
    let moves = PastPoint::parse(text, 0).ok().as_ref() != Some(point);
    if moves { state.revision.to_string() } else { text.trim().to_owned() }
}

/// A state in words: revision, time, and the job that made it.
pub fn words(now: i64, state: &StateRecord) -> Markup {
    html! {
        "revision " (count(state.revision)) " of "
        time datetime=(state.time_text()) { (rfc3339_text(state.time)) }
        " (" (ago(now, state.time)) ")"
        @if let Some(job) = &state.job {
            ", made by job " a class="mono" href={ "/jobs/" (job) } { (short_job(&job.to_string())) }
            @if let Some(scope) = &state.scope { " of " (clean(scope)) }
        }
    }
}

/// The note on top of a page that shows the past.
pub fn note(visit: &PageVisit, frame: &PageFrame) -> Markup {
    let Some(state) = &frame.past else { return html! {} };
    let since = PageAddress::new("/diff").with("from", state.at());
    html! {
        div class="notes past" role="note" { (parts::note("warn", &html! {
            b { "This page shows the past" } ": " (words(frame.now, &state.record)) ". "
            @if state.newest { "It is the newest state. " }
            a href=(present(visit)) { "Back to now" }
            @if !state.newest { ", " a href=(since.text()) { "what changed since" } }
        })) }
    }
}

/// The address of a page without its state.
fn present(visit: &PageVisit) -> String {
    let own = visit.parameters.pairs().filter(|(name, _)| !["at", "page"].contains(name));
    let page = PageAddress::new(visit.path.clone());
    own.fold(page, |page, (name, value)| page.with(name, value)).text()
}

/// A form that asks the same page for another state.
pub fn form(visit: &PageVisit) -> Markup {
    let typed = visit.parameters.get("at").unwrap_or_default();
    html! {
        form class="asof" action=(visit.path) aria-label="Ask for a state of the past" {
            @for (name, value) in visit.parameters.pairs().filter(|(name, _)| !["at", "page"].contains(name)) {
                input type="hidden" name=(name) value=(value);
            }
            label for="f-at" { "As of" }
            input id="f-at" name="at" value=(typed) placeholder="now" autocomplete="off"
                autocapitalize="off" spellcheck="false" title=(ways_hint());
            button class="btn" { "Show" }
        }
    }
}

/// The ways of naming a state, in one line.
pub fn ways_hint() -> String {
    WAYS.map(|(way, _)| way).join(", ")
}

/// The field for a state in the form of a page.
pub fn field(parameters: &PageParameters) -> Markup {
    let typed = parameters.get("at").unwrap_or_default();
    html! {
        div class="f" {
            label for="f-at" { "As of" }
            input id="f-at" name="at" value=(typed) placeholder="now" autocomplete="off"
                autocapitalize="off" spellcheck="false" title=(ways_hint());
        }
    }
}

/// The page of a state that there is not: why, what can be asked for, and a form to do so.
///
/// # Errors
///
/// An error that is not about the state, or any error of reading.
pub fn unknown(
    app: &AppState,
    visit: &PageVisit,
    fault: ApiError,
) -> Result<PageContent, ApiError> {
    if !fault.status().is_client_error() {
        return Err(fault);
    }
    let status = StatusCode::BAD_REQUEST;
    let known = app.database.states()?;
    let (message, advice) = fault.told();
    let body = html! {
        div class="stackv" {
            div {
                p class="sub" { (status.as_u16()) " · no such state" }
                h1 { (parts::sentence(&message)) }
            }
            @if let Some(advice) = &advice { p { (parts::sentence(advice)) } }
            (form(visit))
            (ways(now(), &known))
            p class="sub plain" {
                a href=(present(visit)) { "Back to now" } ", request " code { (visit.id) }
            }
        }
    };
    let content = PageContent::new(PageTab::None, "No such state", body).narrow();
    Ok(PageContent { status, ..content })
}

/// The ways of naming a state, and the first and last one that can be asked.
pub fn ways(now: i64, known: &[RevisionRecord]) -> Markup {
    parts::panel(
        "h-ways",
        "What can be written",
        &html! {},
        &html! {
            table class="props" {
                caption class="sr" { "Ways of naming a state" }
                tbody { @for (way, names) in WAYS { tr { th scope="row" { (way) } td { (names) } } } }
            }
            @if let Some((first, last)) = known.first().zip(known.last()) {
                footer { span {
                    "States go from revision " (count(first.revision)) " (" (ago(now, first.time)) ") to revision "
                    (count(last.revision)) " (" (ago(now, last.time)) ")."
                } }
            }
        },
    )
}

/// The state as a hidden field, for forms that ask something else of the same state.
pub fn hidden(frame: &PageFrame) -> Markup {
    html! {
        @if frame.past.is_some() { input type="hidden" name="at" value=(frame.at()); }
    }
}
