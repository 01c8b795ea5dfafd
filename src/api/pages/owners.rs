//! The owners of an entity, each with the chain that says so.

use super::super::AppState;
use super::super::api_error::{ApiError, status_of};
use super::address::{PageAddress, PageParameters};
use super::entity::{entity_head, find, full_name, unknown};
use super::page::{PageContent, PageTask, PageVisit, answer_at};
use super::parts::{self, ListWindow, TableColumn, counted};
use super::picture;
use super::shell::PageTab;
use super::state;
use super::walk_parts::{self, OfferedNames, ShellCommand, field, names};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use std::sync::Arc;
use tombolo::answers::{AnswerError, OwnersAnswer, OwnersRequest, clean, rules_in_force};
use tombolo::graph::EntityHead;
use tombolo::picture::PictureGraph;

/// Rows of a page of the table.
const ROWS: usize = 50;

/// The page.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
    Path((scope, key)): Path<(String, String)>,
) -> Response {
    let name = format!("{scope}::{key}");
    answer_at(&app, visit, move |task| match find(task, &name) {
        Ok(head) => show(task, &head),
        Err(fault) => unknown(task, &name, fault),
    })
    .await
}

/// The page about an entity that was found.
pub fn show(task: &PageTask<'_>, head: &EntityHead) -> Result<PageContent, ApiError> {
    let parameters = &task.visit.parameters;
    let asked = request(parameters, head);
    let found =
        asked.and_then(|request| Ok((request.ask(&task.context(), &rules_in_force()?)?, request)));
    if let Ok((found, request)) = &found
        && let Some(file) = picture::saved(task, request, found, &format!("owners {}", head.key))?
    {
        return Ok(file);
    }
    let found = found.map(|(found, _)| found);
    let offered = OfferedNames::read(task)?;
    let status = found.as_ref().map_or_else(|fault| status_of(fault.kind()), |_| StatusCode::OK);
    let body = html! {
        (entity_head(task, head, "owners"))
        @if let Ok(found) = &found { (figures(task, found)) }
        (filters(task, head, &offered))
        @match &found {
            Ok(found) => { (found_body(task, head, found)) }
            Err(fault) => { (walk_parts::fault_note(fault)) }
        }
        div class="grid half gap" {
            (walk_parts::behind(task, &command(task, head), j1ql(parameters, head)))
            (path_form(task, head))
        }
    };
    let title = format!("Owners of {}", parts::name(head));
    Ok(PageContent { status, ..PageContent::new(PageTab::None, title, body) })
}

fn request(parameters: &PageParameters, head: &EntityHead) -> Result<OwnersRequest, AnswerError> {
    Ok(OwnersRequest {
        entities: vec![full_name(head)],
        people: parameters.get("people").is_some(),
        owner_classes: names(parameters, "class"),
        depth: walk_parts::hops(parameters)?,
        verbs: names(parameters, "verb"),
        ..OwnersRequest::default()
    })
}

fn figures(task: &PageTask<'_>, found: &OwnersAnswer) -> Markup {
    let Some(owned) = found.answers.first() else { return html! {} };
    let owners = owned.owners.len() as u64;
    html! {
        dl class="sum" {
            div {
                dt { @if owners == 1 { "Owner" } @else { "Owners" } }
                dd {
                    @match owned.owners.as_slice() {
                        [one] => { (parts::link(&task.frame, &one.chain.entity)) }
                        [] => { "nobody" }
                        many => { (many.len()) }
                    }
                }
                dd class="s" {
                    @match owned.distance {
                        Some(distance) => { (counted(u64::from(distance), "relationship", "relationships")) " away" }
                        None => { "no chain leads to an owner" }
                    }
                }
            }
        }
    }
}

fn filters(task: &PageTask<'_>, head: &EntityHead, offered: &OfferedNames) -> Markup {
    let parameters = &task.visit.parameters;
    let value = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
    let action = PageAddress::about("owners", &head.scope, &head.key);
    let reset = task.frame.keep(action.clone()).text();
    html! {
        form class="panel" action=(action.text()) aria-label="Filter the owners" {
            div class="filters" {
                (field("Owners of class", "class", &value("class"), Some("l-class"), "by the rules"))
                (field("Verb", "verb", &value("verb"), Some("l-verb"), "by the rules"))
                (field("Hops", "hops", &value("hops"), None, "all"))
                (state::field(parameters))
                div class="check" { label {
                    input type="checkbox" name="people" value="yes" checked[parameters.get("people").is_some()];
                    "people of teams"
                } }
                div class="go" { button class="btn" { "Apply" } a class="btn" href=(reset) { "Reset" } }
            }
            (offered.lists())
        }
    }
}

fn found_body(task: &PageTask<'_>, head: &EntityHead, found: &OwnersAnswer) -> Markup {
    let columns = [
        TableColumn::text("Owner"),
        TableColumn::plain("Type"),
        TableColumn::number("Relationships"),
        TableColumn::wide("Chain"),
        TableColumn::text("Said by"),
    ];
    let all: Vec<_> = found.answers.iter().flat_map(|owned| owned.all()).collect();
    let window = ListWindow::new(task.visit.parameters.page(), ROWS, all.len());
    let rows: Vec<Vec<Markup>> = all[window.start..window.end]
        .iter()
        .map(|(owner, team)| {
            let first = html! {
                (parts::entity(&task.frame, &owner.entity, &task.frame.entity(&owner.entity)))
                @if let Some(team) = team { span class="sub" { "of " (parts::name(&team.entity)) } }
            };
            vec![
                first,
                html! { (clean(&owner.entity.type_name)) },
                html! { (owner.chain.len()) },
                walk_parts::chain(&task.frame, &owner.entity, &owner.chain),
                html! { (walk_parts::said_by(&owner.chain)) },
            ]
        })
        .collect();
    let to = |page: usize| address(task, head).with("page", &page.to_string()).text();
    html! {
        (parts::notes(&found.notes))
        @if !all.is_empty() {
            (picture::figure(task, &PictureGraph::of_owners(found), &address(task, head), None))
        }
        div class="gap" { (parts::panel("h-o", "Who owns it", &html! { (counted(all.len() as u64, "owner", "owners")) }, &html! {
            @if rows.is_empty() { div class="body" { p class="sub" { "Nobody owns it." } } }
            @else { (parts::table("Owners with their chains", &columns, &rows)) (window.foot(to)) }
        })) }
    }
}

/// The address of the page with its question.
fn address(task: &PageTask<'_>, head: &EntityHead) -> PageAddress {
    let mut address = PageAddress::about("owners", &head.scope, &head.key);
    for name in ["class", "verb", "hops", "people"] {
        address = address.with(name, task.visit.parameters.get(name).unwrap_or_default());
    }
    task.frame.keep(address)
}

/// Where a path from this entity is asked for.
fn path_form(task: &PageTask<'_>, head: &EntityHead) -> Markup {
    parts::panel(
        "h-p",
        "Path to another",
        &html! {},
        &html! {
            form class="body" action="/path" {
                input type="hidden" name="from" value=(full_name(head));
                (state::hidden(&task.frame))
                div class="field" {
                    label for="p-to" { "To" }
                    input id="p-to" name="to" required autocomplete="off" spellcheck="false"
                        placeholder="Name, key, e-mail, ARN, serial";
                }
                button class="btn" { "Find the shortest chains" }
            }
        },
    )
}

fn command(task: &PageTask<'_>, head: &EntityHead) -> String {
    let parameters = &task.visit.parameters;
    ShellCommand::new("owners")
        .word(&full_name(head))
        .switch("people", parameters.get("people").is_some())
        .flag("owner-class", &names(parameters, "class").join(","))
        .flag("depth", parameters.get("hops").filter(|hops| *hops != "all").unwrap_or_default())
        .flag("verb", &names(parameters, "verb").join(","))
        .flag("at", task.frame.at())
        .text()
}

/// The query that gives the same owners; only the plain question has one.
fn j1ql(parameters: &PageParameters, head: &EntityHead) -> Option<String> {
    if ["people", "class", "verb"].iter().any(|name| parameters.get(name).is_some()) {
        return None;
    }
    let hops = walk_parts::hops(parameters).ok()?.unwrap_or(100);
    Some(format!(
        "FIND * WITH _key = {} AND _scope = {}\n  THAT NEAREST (#Owning|#Containing){{1,{hops}}} BY #Owning <<\n  \
         (Person|User|UserGroup|Team|Group) AS owner\n  RETURN owner",
        walk_parts::j1ql_text(&head.key),
        walk_parts::j1ql_text(&head.scope),
    ))
}
