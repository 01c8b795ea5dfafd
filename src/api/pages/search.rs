//! The first page: search over all scopes, what waits for a decision, and how fresh each scope is.

use super::super::AppState;
use super::super::api_error::ApiError;
use super::address::PageAddress;
use super::page::{PageContent, PageTask, PageVisit, answer_at, fragment};
use super::parts::{self, TableColumn, count, counted};
use super::scopes::{ScopeFreshness, freshness};
use super::shell::PageTab;
use super::state;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use std::sync::Arc;
use tombolo::answers::{EntityHit, EntitySearchAnswer, EntitySearchRequest, StatsAnswer, clean};

/// Entities that are offered while a person types.
const OFFERED: usize = 8;
/// Entities of a page of results.
const LISTED: usize = 50;
/// Classes that the first page shows.
const CLASSES: usize = 12;
/// Scopes that it shows.
const SCOPES: usize = 12;

/// The page.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    answer_at(&app, visit, |task| {
        if task.frame.scopes.scopes.is_empty() && task.frame.past.is_none() {
            return Ok(PageContent::new(PageTab::Search, "Nothing here yet", empty()).narrow());
        }
        let text = task.visit.parameters.get("q").unwrap_or_default();
        let found = match text {
            "" => None,
            text => Some(ask(task, text, LISTED)?),
        };
        let body = html! {
            (hero(task, text, found.as_ref().is_some_and(|found| found.hits.is_empty())))
            (held(task))
            @match &found {
                Some(found) => { (results(task, text, found)) }
                None => { (overview(task)?) }
            }
        };
        let title = if text.is_empty() { "Search".to_owned() } else { format!("{text}: search") };
        Ok(PageContent::new(PageTab::Search, title, body).narrow())
    })
    .await
}

/// The list below the field, while a person types.
pub async fn suggest(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    fragment(&app, visit, |task| {
        let text = task.visit.parameters.get("q").unwrap_or_default();
        let found = ask(task, text, OFFERED)?;
        Ok(html! {
            ul role="listbox" id="hits" aria-label="Found" {
                @for (at, hit) in found.hits.iter().enumerate() { (option(task, at, hit)) }
            }
            footer {
                span {
                    @if found.hits.is_empty() { "nothing" }
                    @else if found.total as usize > found.hits.len() {
                        (found.hits.len()) " of " (count(found.total))
                    }
                    @else { (counted(found.total, "entity", "entities")) }
                    " for “" (clean(text)) "”"
                }
                span { kbd { "↑" } " " kbd { "↓" } " choose" }
                span { kbd { "Enter" } " open" }
                span { kbd { "Esc" } " close" }
            }
        })
    })
    .await
}

fn ask(task: &PageTask<'_>, text: &str, limit: usize) -> Result<EntitySearchAnswer, ApiError> {
    let request = EntitySearchRequest { text: text.to_owned(), limit };
    Ok(request.ask(&task.context())?)
}

fn option(task: &PageTask<'_>, at: usize, hit: &EntityHit) -> Markup {
    let head = &hit.entity;
    html! {
        li role="option" id={ "o" (at) } aria-selected="false" data-href=(task.frame.entity(head)) {
            span class="ent" {
                (parts::badge(&task.frame, &head.scope, &head.type_name, false))
                span { b { (parts::name(head)) } (found_by(hit)) }
            }
            span class="k" { (clean(&head.type_name)) " · " (clean(&head.scope)) }
        }
    }
}

/// What of an entity fits the search, where that is not its name.
fn found_by(hit: &EntityHit) -> Markup {
    html! {
        @match &hit.by {
            Some((property, value)) => { span class="sub" { (property) " " (clean(value)) } }
            None => { (parts::key(&hit.entity.key)) }
        }
    }
}

fn hero(task: &PageTask<'_>, text: &str, nothing: bool) -> Markup {
    html! {
        div class="hero" {
            h1 class="sr" { "Search" }
            form role="search" action="/" {
                svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="currentColor"
                    stroke-width="1.8" stroke-linecap="round" aria-hidden="true" {
                    circle cx="7.8" cy="7.8" r="5.6" {}
                    path d="m12 12 4.2 4.2" {}
                }
                label class="sr" for="q" {
                    "Search all scopes by name, key, e-mail, ARN or serial number"
                }
                input id="q" name="q" type="text" value=(text) role="combobox" aria-expanded="false"
                    aria-controls="hits" aria-autocomplete="list" autocomplete="off"
                    autocapitalize="off" spellcheck="false" autofocus[text.is_empty()]
                    data-suggest=(task.frame.keep(PageAddress::new("/suggest")).text()) aria-describedby=[nothing.then_some("none")]
                    placeholder="Name, key, e-mail, ARN, serial";
                div class="list" id="list" hidden { ul role="listbox" id="hits" aria-label="Found" {} }
                (state::hidden(&task.frame))
                button class="sr" { "Search" }
            }
            (state::form(task.visit))
        }
    }
}

fn held(task: &PageTask<'_>) -> Markup {
    html! {
        @if !task.frame.held.is_empty() && task.frame.past.is_none() {
            div class="notes" {
                @for job in task.frame.held.iter().take(3) {
                    @let deleted = job.entities.deleted + job.relationships.deleted;
                    (parts::note("warn", &html! {
                        b { (clean(&job.scope)) " is held. " }
                        "Its last upload would delete " (counted(deleted, "object", "objects"))
                        "; nothing has changed. "
                        a href={ "/jobs/" (job.id) } { "Look at the job" }
                    }))
                }
                @if task.frame.held.len() > 3 {
                    (parts::note("warn", &html! {
                        (task.frame.held.len() - 3) " more jobs are held. " a href="/scopes" { "See all" }
                    }))
                }
            }
        }
    }
}

fn results(task: &PageTask<'_>, text: &str, found: &EntitySearchAnswer) -> Markup {
    let columns =
        [TableColumn::text("Entity"), TableColumn::plain("Type"), TableColumn::text("Scope")];
    let rows: Vec<Vec<Markup>> = found
        .hits
        .iter()
        .map(|hit| {
            let head = &hit.entity;
            let first = html! {
                (parts::entity(&task.frame, head, &task.frame.entity(head)))
                @if let Some((property, value)) = &hit.by {
                    span class="sub" { (property) " " (clean(value)) }
                }
            };
            vec![first, html! { (clean(&head.type_name)) }, html! { (clean(&head.scope)) }]
        })
        .collect();
    let shown = found.hits.len() as u64;
    html! {
        @if rows.is_empty() {
            div class="notes" id="none" { (parts::note("", &html! {
                "No name, key, e-mail, ARN or serial number holds " b { (clean(text)) } ". "
                "A query finds entities by any property: "
                a href=(task.frame.query(&any_property(text))) { "ask in J1QL" }
            })) }
        } @else {
            (parts::panel("h-r", "Found", &html! {
                @if found.total > shown { "the first " (count(shown)) " of " (count(found.total)) }
                @else { (counted(shown, "entity", "entities")) }
            }, &parts::table("Found", &columns, &rows)))
        }
    }
}

/// A query for what holds a text in its name, to begin from.
fn any_property(text: &str) -> String {
    let text = text.replace(['\'', '\\'], "");
    format!("FIND * WITH displayName ~= '{text}'")
}

fn overview(task: &PageTask<'_>) -> Result<Markup, ApiError> {
    let scopes = freshness(task, 50)?;
    let stats = StatsAnswer::read(task.database(), &task.snapshot)?;
    let mut classes: Vec<(&str, u64)> = stats
        .classes
        .iter()
        .filter(|class| class.kind == "entities" && class.live > 0)
        .map(|class| (class.class.as_str(), class.live))
        .collect();
    classes.sort_by_key(|(name, live)| (std::cmp::Reverse(*live), *name));
    Ok(html! {
        div class="grid half" {
            (parts::panel("h-f", "Freshness", &html! { "newest job of each scope" }, &html! {
                (scope_table(task, &scopes))
                footer { a href=(task.frame.keep(PageAddress::new("/scopes")).text()) {
                    "All " (counted(scopes.len() as u64, "scope", "scopes")) ", jobs"
                } }
            }))
            (parts::panel("h-c", "In this database", &html! { "entities by class" }, &html! {
                table {
                    caption class="sr" { "Entities by class" }
                    tbody { @for (class, live) in classes.iter().take(CLASSES) { tr {
                        th scope="row" { a href=(task.frame.query(&format!("FIND {class}"))) { (clean(class)) } }
                        td class="num" { (count(*live)) }
                    } } }
                }
                @if classes.len() > CLASSES {
                    footer { span { (classes.len() - CLASSES) " more classes" } }
                }
            }))
        }
    })
}

fn scope_table(task: &PageTask<'_>, scopes: &[ScopeFreshness]) -> Markup {
    let columns = [
        TableColumn::text("Scope"),
        TableColumn::number("Entities"),
        TableColumn::number("Relationships"),
        TableColumn::number("Last job"),
        TableColumn::plain("State"),
    ];
    // What is stale or held is why a person looks here.
    let mut order: Vec<&ScopeFreshness> = scopes.iter().collect();
    order.sort_by_key(|scope| (!scope.held, !scope.stale));
    let rows: Vec<Vec<Markup>> =
        order.iter().take(SCOPES).map(|scope| scope.cells(task, false)).collect();
    parts::table("Age of the scopes", &columns, &rows)
}

/// The first steps, for a database without a scope.
fn empty() -> Markup {
    let step = |title: &str, words: &str, commands: &[&str]| {
        html! {
            li { div {
                h2 { (title) }
                p class="sub" { (words) }
                @for command in commands { (parts::code("command", command)) }
            } }
        }
    };
    html! {
        div class="head" { div {
            h1 { "Nothing here yet" }
            p class="sub" { "No scope, no entity. Three steps to a first answer." }
        } }
        section class="panel" {
            div class="body" { ol class="first" {
                (step(
                    "Load a scope",
                    "A file of entities and relationships, as one job. A scope is one source: okta, aws, github.",
                    &["tombolo sync okta.json --scope okta"],
                ))
                (step(
                    "Bridge two scopes",
                    "A mapping file says which rows make a relationship. Start one from two scopes; plan shows what it would do.",
                    &["tombolo new okta-jamf-ownership", "tombolo plan"],
                ))
                (step(
                    "Ask",
                    "What a compromise reaches, who owns it, and by which chain.",
                    &["tombolo blast-radius okta-user:alice"],
                ))
            } }
            footer { span {
                "Only looking? " code { "tombolo demo --dir demo" } " builds a small company in a second."
            } }
        }
        p class="sub gap plain" {
            "Collectors push to " code { "/persister/synchronization/jobs" } "; "
            a href=(PageAddress::new("/openapi.json").text()) { "the OpenAPI document" } " lists the rest."
        }
    }
}
