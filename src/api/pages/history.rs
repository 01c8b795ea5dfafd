//! The history of an entity or a relationship: each version, when, by which job of which source, and what
//! it changed.

use super::super::AppState;
use super::super::api_error::ApiError;
use super::address::PageAddress;
use super::change_parts;
use super::entity::{self, ago, entity_head, short_job};
use super::page::{PageContent, PageTask, PageVisit, answer};
use super::parts::{self, ListWindow, PAGE, TableColumn, counted};
use super::shell::PageTab;
use super::walk_parts::{self, ShellCommand};
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use std::sync::Arc;
use tombolo::answers::{
    ErrorKind, ObjectHistoryAnswer, ObjectHistoryRequest, VersionEntry, VersionEvent, clean,
    rfc3339_text,
};

/// The page of an object that `object` names.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    answer(&app, visit, |task| match task.visit.parameters.get("object") {
        Some(name) => show(task, name),
        None => Ok(PageContent::new(PageTab::Diff, "History", form(task, "")).narrow()),
    })
    .await
}

/// The page of an entity.
pub async fn of_entity(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
    Path((scope, key)): Path<(String, String)>,
) -> Response {
    let name = format!("{scope}::{key}");
    answer(&app, visit, move |task| show(task, &name)).await
}

/// The page about the object of a name.
pub fn show(task: &PageTask<'_>, name: &str) -> Result<PageContent, ApiError> {
    let request = ObjectHistoryRequest { object: name.to_owned() };
    let found = match request.ask(&task.context()) {
        Ok(found) => found,
        Err(fault) if fault.kind() == ErrorKind::NotFound => {
            return entity::unknown(task, name, fault);
        }
        Err(fault) => return Err(fault.into()),
    };
    let title = format!("History of {}", clean(&found.key));
    let body = html! {
        (head(task, &found)?)
        @if !found.complete {
            (parts::notes(&["what was before is not kept: `[history] keep` in `tombolo.toml` says how long \
                             `gc` keeps it".to_owned()]))
        }
        (versions(task, &found))
        div class="gap" { (walk_parts::behind(task, &ShellCommand::new("history").word(name).text(), None)) }
    };
    let tab = if found.kind == "entity" { PageTab::None } else { PageTab::Diff };
    Ok(PageContent::new(tab, title, body))
}

/// The head of a live entity is that of its other pages; what is deleted has none of these.
fn head(task: &PageTask<'_>, found: &ObjectHistoryAnswer) -> Result<Markup, ApiError> {
    if found.kind == "entity" && found.live {
        let head = entity::find(task, &format!("{}::{}", found.scope, found.key))?;
        return Ok(entity_head(task, &head, "history"));
    }
    Ok(html! {
        div class="head" { div {
            nav class="crumb" aria-label="Where" {
                a href="/scopes" { (clean(&found.scope)) } span aria-hidden="true" { "/" }
                span { (clean(&found.type_name)) }
            }
            h1 { "History of " (clean(&found.key)) }
            div class="under" {
                (found.kind) @if !found.live { " " (change_parts::event_tag("deleted")) }
                " · " (parts::key(&found.key)) (parts::copy("key", &found.key))
            }
        } }
    })
}

fn versions(task: &PageTask<'_>, found: &ObjectHistoryAnswer) -> Markup {
    let total = found.versions.len();
    let window = ListWindow::new(task.visit.parameters.page(), PAGE, total);
    let columns = [
        TableColumn::text("When"),
        TableColumn::plain("What"),
        TableColumn::text("Job"),
        TableColumn::text("Source"),
        TableColumn::wide("Before and after"),
    ];
    let newest = found.versions.iter().rev().skip(window.start).take(window.end - window.start);
    let rows: Vec<Vec<Markup>> = newest.map(|entry| row(task, found, entry)).collect();
    let to = |page: usize| {
        let own = task.visit.parameters.get("object").unwrap_or_default();
        let address = PageAddress::new(task.visit.path.clone()).with("object", own);
        address.with("page", &page.to_string()).text()
    };
    parts::panel(
        "h-v",
        "Versions",
        &html! { (counted(total as u64, "version", "versions")) ", newest first" },
        &html! { (parts::table("Versions, newest first", &columns, &rows)) (window.foot(to)) },
    )
}

fn row(task: &PageTask<'_>, found: &ObjectHistoryAnswer, entry: &VersionEntry) -> Vec<Markup> {
    let now = task.frame.now;
    let job = entry.job.to_string();
    let known = !entry.job.is_nil();
    let then = known && found.kind == "entity" && entry.event != VersionEvent::Deleted;
    let page = PageAddress::about("e", &found.scope, &found.key).with("at", &job);
    vec![
        html! {
            time datetime=(rfc3339_text(entry.time)) { (rfc3339_text(entry.time)) }
            span class="sub block" { (ago(now, entry.time)) ", version " (entry.version) }
        },
        change_parts::event_tag(word(entry.event)),
        html! { @if known {
            a class="mono" href={ "/jobs/" (job) } { (short_job(&job)) }
            span class="sub block" {
                a href=(PageAddress::new("/diff").with("job", &job).text()) { "all it changed" }
            }
        } },
        html! { (clean(&entry.source)) (origin(entry)) },
        html! {
            (change_parts::properties(&entry.properties))
            @if then { a href=(page.text()) { "the entity as it was then" } }
        },
    ]
}

/// The row of a mapping that a relationship comes from.
fn origin(entry: &VersionEntry) -> Markup {
    html! {
        @if let Some(origin) = entry.origin.as_ref().filter(|origin| !origin.file.is_empty()) {
            span class="sub block" { "row " span class="mono" { (clean(&origin.file)) ":" (origin.line) } }
        }
    }
}

fn word(event: VersionEvent) -> &'static str {
    match event {
        VersionEvent::Created => "created",
        VersionEvent::Known => "known",
        VersionEvent::Updated => "updated",
        VersionEvent::Deleted => "deleted",
        VersionEvent::Returned => "returned",
    }
}

/// Where an object is named.
fn form(task: &PageTask<'_>, name: &str) -> Markup {
    html! {
        div class="head" { div {
            h1 { "History" }
            p class="sub" { "Every version of an entity or a relationship, also of one that is deleted." }
        } }
        form class="panel" action=(task.visit.path) aria-label="Ask for a history" {
            div class="filters" {
                (walk_parts::field("Entity or relationship", "object", name, None, "SCOPE::KEY, key or _id"))
                div class="go" { button class="btn main" { "Show" } }
            }
        }
    }
}
