//! The shortest chains between two entities.

use super::super::AppState;
use super::super::api_error::{ApiError, status_of};
use super::super::parameters;
use super::address::{PageAddress, PageParameters};
use super::page::{PageContent, PageTask, PageVisit, answer_at};
use super::parts::{self, ListWindow, TableColumn, count, counted};
use super::picture;
use super::shell::PageTab;
use super::state;
use super::walk_parts::{self, OfferedNames, ShellCommand, choice, field, names};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use std::sync::Arc;
use tombolo::answers::{AnswerError, PathAnswer, PathRequest};
use tombolo::picture::PictureGraph;

/// Chains that are read, and those of a page of the table.
const CHAINS: usize = 1_000;
const ROWS: usize = 25;

/// The page.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    answer_at(&app, visit, show).await
}

fn show(task: &PageTask<'_>) -> Result<PageContent, ApiError> {
    let parameters = &task.visit.parameters;
    let found = match request(parameters) {
        Ok(None) => None,
        Ok(Some(request)) => {
            let found = request.ask(&task.context());
            if let Ok(found) = &found
                && let Some(file) = picture::saved(task, &request, found, &file_name(found))?
            {
                return Ok(file);
            }
            Some(found)
        }
        Err(fault) => Some(Err(fault)),
    };
    let status = match &found {
        Some(Err(fault)) => status_of(fault.kind()),
        _ => StatusCode::OK,
    };
    let title = match &found {
        Some(Ok(found)) => {
            let (from, _, to) = found.stops();
            format!("Path from {} to {}", parts::name(from), parts::name(to))
        }
        _ => "Path".to_owned(),
    };
    let offered = OfferedNames::read(task)?;
    let body = html! {
        div class="head" { div {
            h1 { (title) }
            p class="sub" { "The shortest chains of relationships between two entities." }
        } }
        (filters(parameters, &offered))
        @match &found {
            Some(Ok(found)) => {
                (found_body(task, found))
                div class="gap" { (walk_parts::behind(task, &command(task), None)) }
            }
            Some(Err(fault)) => { (walk_parts::fault_note(fault)) }
            None => { (parts::notes(&["name where the chain begins and where it ends".to_owned()])) }
        }
    };
    Ok(PageContent { status, ..PageContent::new(PageTab::None, title, body) })
}

fn file_name(found: &PathAnswer) -> String {
    let (from, _, to) = found.stops();
    format!("path {} {}", from.key, to.key)
}

fn request(parameters: &PageParameters) -> Result<Option<PathRequest>, AnswerError> {
    let Some((from, to)) = parameters.get("from").zip(parameters.get("to")) else {
        return Ok(None);
    };
    let told = |fault: ApiError| AnswerError::invalid(fault.message());
    let direction = Some(parameters.get("direction").unwrap_or("both"));
    Ok(Some(PathRequest {
        from: from.to_owned(),
        to: to.to_owned(),
        via: parameters.get("via").map(str::to_owned).into_iter().collect(),
        max: CHAINS,
        direction: parameters::path_direction(direction).map_err(told)?,
        verbs: names(parameters, "verb"),
    }))
}

fn filters(parameters: &PageParameters, offered: &OfferedNames) -> Markup {
    let value = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
    let ways = [("both", "either way"), ("out", "along"), ("in", "against")];
    let way = parameters.get("direction").unwrap_or("both");
    html! {
        form class="panel" action="/path" aria-label="Ask for a path" {
            div class="filters" {
                (field("From", "from", &value("from"), None, "name or key"))
                (field("To", "to", &value("to"), None, "name or key"))
                (field("Via", "via", &value("via"), None, "any"))
                (field("Verb", "verb", &value("verb"), Some("l-verb"), "any"))
                (choice("Relationships", "direction", &ways, way))
                (state::field(parameters))
                div class="go" { button class="btn main" { "Find" } }
            }
            (offered.lists())
        }
    }
}

fn found_body(task: &PageTask<'_>, found: &PathAnswer) -> Markup {
    let window = ListWindow::new(task.visit.parameters.page(), ROWS, found.chains.len());
    let columns = [
        TableColumn::wide("Chain"),
        TableColumn::number("Relationships"),
        TableColumn::text("Said by"),
    ];
    let rows: Vec<Vec<Markup>> = found.chains[window.start..window.end]
        .iter()
        .map(|chain| {
            vec![
                walk_parts::chain(&task.frame, &chain.first, &chain.links),
                html! { (chain.links.len()) },
                html! { (walk_parts::said_by(&chain.links)) },
            ]
        })
        .collect();
    let shown = found.chains.len() as u64;
    let sub = html! {
        @if found.total > shown { "the first " (count(shown)) " of " (count(found.total)) }
        @else { (counted(shown, "chain", "chains")) }
    };
    let to = |page: usize| address(task).with("page", &page.to_string()).text();
    html! {
        (parts::notes(&found.notes))
        @if !found.chains.is_empty() {
            (picture::figure(task, &PictureGraph::of_paths(found), &address(task), None))
        }
        div class="gap" { (parts::panel("h-c", "Chains", &sub, &html! {
            @if rows.is_empty() {
                div class="body" { p class="sub" { "No chain of relationships leads from one to the other this way." } }
            } @else { (parts::table("Chains", &columns, &rows)) (window.foot(to)) }
        })) }
    }
}

/// The address of the page with its question.
fn address(task: &PageTask<'_>) -> PageAddress {
    let mut address = PageAddress::new("/path");
    for name in ["from", "to", "via", "verb", "direction"] {
        address = address.with(name, task.visit.parameters.get(name).unwrap_or_default());
    }
    task.frame.keep(address)
}

fn command(task: &PageTask<'_>) -> String {
    let parameters = &task.visit.parameters;
    let value = |name: &str| parameters.get(name).unwrap_or_default();
    ShellCommand::new("path")
        .word(value("from"))
        .word(value("to"))
        .flag("via", value("via"))
        .flag("direction", parameters.get("direction").unwrap_or("both"))
        .flag("verb", &names(parameters, "verb").join(","))
        .switch("all", true)
        .flag("at", task.frame.at())
        .text()
}
