//! What changed between two states, or by a job: counts, objects, and their properties before and after.

use super::super::AppState;
use super::super::api_error::ApiError;
use super::super::questions::past_point;
use super::address::{PageAddress, PageParameters};
use super::change_parts;
use super::entity::{ago, short_job};
use super::page::{PageContent, PageTask, PageVisit, answer};
use super::parts::{self, ListWindow, TableColumn, count, counted};
use super::shell::PageTab;
use super::state;
use super::walk_parts::{self, OfferedNames, ShellCommand, field, names};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use std::sync::Arc;
use tombolo::answers::{DiffAnswer, DiffRequest, TypeChanges, clean, rules_in_force};
use tombolo::db::StateRecord;
use tombolo::graph::ObjectKind;
use tombolo::lang::PastPoint;
use tombolo::sync::{ChangeAction, ChangeDetails};

/// Changes of a page.
const ROWS: usize = 50;
/// Types that are counted one by one.
const TYPES: usize = 200;
/// States of a page of the list that one begins with.
const STATES: usize = 25;

/// The page.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    answer(&app, visit, show).await
}

/// What an address asks for.
enum AskedDiff {
    /// Nothing yet.
    None,
    /// What a job changed.
    Job(String),
    /// What leads from one state to another, with the names of both in links.
    States(Box<[(StateRecord, String); 2]>),
}

fn show(task: &PageTask<'_>) -> Result<PageContent, ApiError> {
    let parameters = &task.visit.parameters;
    let asked = asked(task);
    let found = asked.as_ref().ok().and_then(|asked| found(task, asked).transpose());
    let fault = match (&asked, &found) {
        (Err(fault), _) | (_, Some(Err(fault))) => Some(fault),
        _ => None,
    };
    if let Some(fault) = fault.filter(|fault| !fault.status().is_client_error()) {
        return Err(ApiError::new(fault.status(), fault.code(), fault.message()));
    }
    let status = match (&asked, fault) {
        // A job in the name of a state that there is not is a mistake in the address.
        (Err(_), _) => StatusCode::BAD_REQUEST,
        (_, Some(fault)) => fault.status(),
        _ => StatusCode::OK,
    };
    let title = match parameters.get("job") {
        Some(job) => format!("What job {} changed", short_job(&clean(job))),
        None => "What changed".to_owned(),
    };
    let offered = OfferedNames::read(task)?;
    let body = html! {
        div class="head" { div {
            h1 { (title) }
            @if let Some(Ok(found)) = &found { (between(task, found)) }
            @else { p class="sub" { "Objects that were created, updated and deleted between two states." } }
        } }
        (filters(parameters, found.as_ref().and_then(|found| found.as_ref().ok()), &offered))
        @match (&asked, &found) {
            (Ok(asked), Some(Ok(found))) => { (found_body(task, asked, found)) }
            (Ok(_), None) => { div class="gap" { (states_panel(task)?) } }
            _ => {}
        }
        @if let Some(fault) = fault { (fault_body(task, asked.is_err(), fault)?) }
    };
    Ok(PageContent { status, ..PageContent::new(PageTab::Diff, title, body) })
}

/// Reads the address.
fn asked(task: &PageTask<'_>) -> Result<AskedDiff, ApiError> {
    let parameters = &task.visit.parameters;
    if let Some(job) = parameters.get("job") {
        return Ok(AskedDiff::Job(job.trim().to_owned()));
    }
    let database = &task.app.database;
    let Some(from) = parameters.get("from") else { return Ok(AskedDiff::None) };
    let read = |text: &str| -> Result<(StateRecord, String), ApiError> {
        let point = past_point(text)?;
        let record = database.state_at(&point)?;
        let name = state::name(text, &point, &record);
        Ok((record, name))
    };
    let to = match parameters.get("to") {
        Some(to) => read(to)?,
        None => (database.newest_state()?, String::new()),
    };
    Ok(AskedDiff::States(Box::new([read(from)?, to])))
}

fn found(task: &PageTask<'_>, asked: &AskedDiff) -> Result<Option<DiffAnswer>, ApiError> {
    let parameters = &task.visit.parameters;
    let rules = rules_in_force()?;
    let ask = |skip: usize| -> Result<Option<DiffAnswer>, ApiError> {
        let request = DiffRequest {
            scopes: names(parameters, "scope"),
            classes: names(parameters, "class"),
            types: names(parameters, "type"),
            skip,
            max: Some(ROWS),
            ..DiffRequest::default()
        };
        let context = task.context();
        Ok(match asked {
            AskedDiff::None => None,
            AskedDiff::Job(id) => Some(request.ask_of_job(&context, id, &rules)?),
            AskedDiff::States(states) => {
                let [(from, _), (to, _)] = states.as_ref();
                Some(request.ask(&context, from.clone(), to.clone(), &rules)?)
            }
        })
    };
    let page = parameters.page();
    let first = ask((page - 1) * ROWS)?;
    // A page behind the last is the last.
    match first.as_ref().map(|found| ListWindow::new(page, ROWS, total(found))) {
        Some(window) if window.page != page => ask(window.start),
        _ => Ok(first),
    }
}

fn total(found: &DiffAnswer) -> usize {
    let counts = found.total;
    (counts.created + counts.updated + counts.deleted) as usize
}

/// The two states, in words.
fn between(task: &PageTask<'_>, found: &DiffAnswer) -> Markup {
    html! {
        p class="sub plain" {
            "From " (state::words(task.frame.now, &found.from)) br;
            "to " (state::words(task.frame.now, &found.to))
        }
    }
}

fn filters(
    parameters: &PageParameters,
    found: Option<&DiffAnswer>,
    offered: &OfferedNames,
) -> Markup {
    let value = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
    // The states of a job are named once they are known, so that one can go on from them.
    let of_job = found.filter(|_| parameters.get("job").is_some());
    let [from, to] = match of_job {
        Some(found) => [&found.from, &found.to].map(|state| state.revision.to_string()),
        None => ["from", "to"].map(value),
    };
    html! {
        form class="panel" action="/diff" aria-label="Compare two states" {
            div class="filters" {
                (field("From", "from", &from, None, "3d, 2026-11-24, a job"))
                (field("To", "to", &to, None, "now"))
                (field("Scope", "scope", &value("scope"), Some("l-scope"), "any"))
                (field("Class or verb", "class", &value("class"), Some("l-class"), "any"))
                (field("Type", "type", &value("type"), None, "any"))
                div class="go" {
                    button class="btn main" { "Compare" }
                    a class="btn" href="/diff" { "Reset" }
                }
            }
            (offered.lists())
        }
    }
}

/// Why there is no answer, and where the name of a state is wrong, what can be written.
fn fault_body(task: &PageTask<'_>, of_state: bool, fault: &ApiError) -> Result<Markup, ApiError> {
    let known = match of_state {
        true => Some(task.app.database.states()?),
        false => None,
    };
    Ok(html! {
        div class="notes" role="alert" {
            (parts::note("fail", &html! {
                (parts::sentence(fault.message()))
                @if let Some(advice) = fault.advice() { ". " (parts::sentence(advice)) }
            }))
        }
        @if let Some(known) = &known { (state::ways(task.frame.now, known)) }
    })
}

fn found_body(task: &PageTask<'_>, asked: &AskedDiff, found: &DiffAnswer) -> Markup {
    let counts = found.total;
    let figures =
        [("Created", counts.created), ("Updated", counts.updated), ("Deleted", counts.deleted)];
    html! {
        dl class="sum gap" {
            @for (word, n) in figures { div { dt { (word) } dd { (count(n)) } } }
        }
        div class="stackv" {
            (changes_panel(task, asked, found))
            (types_panel(&found.by_type))
            (walk_parts::behind(task, &command(task, asked), None))
        }
    }
}

fn changes_panel(task: &PageTask<'_>, asked: &AskedDiff, found: &DiffAnswer) -> Markup {
    let window = ListWindow::new(task.visit.parameters.page(), ROWS, total(found));
    let columns = [
        TableColumn::text("Object"),
        TableColumn::plain("What"),
        TableColumn::plain("Type"),
        TableColumn::text("Scope"),
        TableColumn::wide("Before and after"),
    ];
    let rows: Vec<Vec<Markup>> = found
        .changes
        .iter()
        .map(|change| {
            vec![
                object(task, found, change),
                change_parts::event_tag(word(change.action)),
                html! { (clean(&change.type_name)) },
                html! { (clean(&change.scope)) },
                differences(change),
            ]
        })
        .collect();
    let to = |page: usize| {
        format!("{}#h-c", address(task, asked).with("page", &page.to_string()).text())
    };
    parts::panel(
        "h-c",
        "Changes",
        &html! { (counted(total(found) as u64, "object", "objects")) },
        &html! {
            @if rows.is_empty() { div class="body" { p class="sub" { "Nothing changed." } } }
            @else { (parts::table("Changes", &columns, &rows)) (window.foot(to)) }
        },
    )
}

fn word(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Create | ChangeAction::Revive => "created",
        ChangeAction::Update => "updated",
        ChangeAction::Delete => "deleted",
    }
}

/// The name of an object with the way to it, in the state that it was in last, and to its history.
fn object(task: &PageTask<'_>, found: &DiffAnswer, change: &ChangeDetails) -> Markup {
    let ChangeDetails { scope, key, type_name, .. } = change;
    match (change.kind, &change.ends) {
        (ObjectKind::Relationship, ends) => {
            let verb = change.classes.first().map_or("", String::as_str);
            html! {
                @if let Some((from, to)) = ends {
                    span class="chain" { (clean(from)) " " (parts::verb(verb, true)) " " (clean(to)) }
                } @else { (parts::key(key)) }
                " " a class="sub" href=(change_parts::relationship_history(scope, key)) { "history" }
            }
        }
        (ObjectKind::Entity, _) => {
            let state = match change.action {
                ChangeAction::Delete => &found.from,
                _ => &found.to,
            };
            let page = PageAddress::about("e", scope, key);
            let page = match state.revision == task.frame.revision {
                true => page,
                false => page.with("at", &state.revision.to_string()),
            };
            html! {
                span class="ent" {
                    (parts::badge(&task.frame, scope, type_name, false))
                    span {
                        a href=(page.text()) { (clean(key)) } " "
                        a class="sub plain-l" href=(change_parts::entity_history(scope, key)) { "history" }
                    }
                }
            }
        }
    }
}

fn differences(change: &ChangeDetails) -> Markup {
    let moved = change.action == ChangeAction::Update && change.properties.is_empty();
    html! {
        @if moved { "other ends" } @else { (change_parts::properties(&change.properties)) }
    }
}

fn types_panel(types: &[TypeChanges]) -> Markup {
    let columns = [
        TableColumn::text("Type"),
        TableColumn::plain("Kind"),
        TableColumn::text("Scope"),
        TableColumn::number("Created"),
        TableColumn::number("Updated"),
        TableColumn::number("Deleted"),
    ];
    let rows: Vec<Vec<Markup>> = types
        .iter()
        .take(TYPES)
        .map(|row| {
            vec![
                html! { (clean(&row.type_name)) },
                html! { (row.kind) },
                html! { (clean(&row.scope)) },
                html! { (count(row.counts.created)) },
                html! { (count(row.counts.updated)) },
                html! { (count(row.counts.deleted)) },
            ]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            (parts::panel("h-y", "By type", &html! { (types.len()) }, &html! {
                (parts::table("Changes by type", &columns, &rows))
                @if types.len() > TYPES {
                    footer { span { (types.len() - TYPES) " more types are counted above and not listed." } }
                }
            }))
        }
    }
}

/// The address of the page with its question.
fn address(task: &PageTask<'_>, asked: &AskedDiff) -> PageAddress {
    let mut address = PageAddress::new("/diff");
    match asked {
        AskedDiff::None => {}
        AskedDiff::Job(id) => address = address.with("job", id),
        AskedDiff::States(states) => {
            let [(_, from), (_, to)] = states.as_ref();
            address = address.with("from", from).with("to", to);
        }
    }
    for name in ["scope", "class", "type"] {
        address = address.with(name, task.visit.parameters.get(name).unwrap_or_default());
    }
    address
}

fn command(task: &PageTask<'_>, asked: &AskedDiff) -> String {
    let filter = |name: &str| names(&task.visit.parameters, name).join(",");
    let command = match asked {
        AskedDiff::Job(id) => {
            return ShellCommand::new("job").word("show").word(id).switch("changes", true).text();
        }
        AskedDiff::None => ShellCommand::new("diff"),
        AskedDiff::States(states) => {
            let [(_, from), (_, to)] = states.as_ref();
            let command = ShellCommand::new("diff").word(from);
            if to.is_empty() { command } else { command.word(to) }
        }
    };
    command
        .flag("scope", &filter("scope"))
        .flag("class", &filter("class"))
        .flag("type", &filter("type"))
        .text()
}

/// The states that can be compared, newest first.
fn states_panel(task: &PageTask<'_>) -> Result<Markup, ApiError> {
    let database = &task.app.database;
    let known = database.states()?;
    let oldest = known.first().map_or(0, |state| state.revision);
    let window = ListWindow::new(task.visit.parameters.page(), STATES, known.len());
    let columns = [
        TableColumn::text("State"),
        TableColumn::number("When"),
        TableColumn::text("Job"),
        TableColumn::text("Scope"),
        TableColumn::plain("Changes"),
    ];
    let mut rows = Vec::new();
    for state in known.iter().rev().skip(window.start).take(window.end - window.start) {
        let record = database.state_at(&PastPoint::Revision(state.revision))?;
        rows.push(state_row(task, &record, oldest));
    }
    Ok(parts::panel(
        "h-s",
        "States",
        &html! { (count(known.len() as u64)) ", newest first" },
        &html! {
            (parts::table("States", &columns, &rows))
            (window.foot(|page| format!("/diff?page={page}#h-s")))
        },
    ))
}

fn state_row(task: &PageTask<'_>, state: &StateRecord, oldest: u64) -> Vec<Markup> {
    let revision = state.revision;
    let between = |from: u64, to: &str| {
        PageAddress::new("/diff").with("from", &from.to_string()).with("to", to).text()
    };
    vec![
        html! { "revision " (count(revision)) },
        ago(task.frame.now, state.time),
        html! { @if let Some(job) = &state.job {
            a class="mono" href={ "/jobs/" (job) } { (short_job(&job.to_string())) }
        } },
        html! { @if let Some(scope) = &state.scope { (clean(scope)) } },
        html! {
            @if revision > oldest {
                a href=(between(revision - 1, &revision.to_string())) { "what it changed" }
            }
            @if revision < task.frame.revision {
                @if revision > oldest { ", " }
                a href=(between(revision, "")) { "what changed since" }
            }
        },
    ]
}
