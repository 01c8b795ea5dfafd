//! The blast radius of an entity: what its compromise or failure reaches, in which state, and how.

use super::super::AppState;
use super::super::api_error::{ApiError, status_of};
use super::super::parameters;
use super::address::{PageAddress, PageParameters};
use super::entity::{entity_head, find, full_name, unknown};
use super::page::{PageContent, PageTask, PageVisit, answer_at};
use super::parts::{self, ListWindow, TableColumn, count, counted};
use super::picture;
use super::shell::PageTab;
use super::state;
use super::walk_parts::{self, OfferedNames, ShellCommand, choice, field, names};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use tombolo::answers::{
    AnswerError, BlastRadiusAnswer, BlastRadiusRequest, NamedVisit, RelationshipHead, clean,
    rules_in_force,
};
use tombolo::graph::EntityHead;
use tombolo::picture::PictureGraph;
use tombolo::rules::ImpactState;
use tombolo::view::denies;

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
    let asked = request(&task.visit.parameters, head);
    let found = asked.and_then(|request| {
        let rules = rules_in_force()?;
        Ok((request.ask(&task.context(), &rules)?, request))
    });
    if let Ok((found, request)) = &found
        && let Some(file) =
            picture::saved(task, request, found, &format!("blast-radius {}", head.key))?
    {
        return Ok(file);
    }
    let found = found.map(|(found, _)| found);
    let title = format!("Blast radius of {}", parts::name(head));
    let offered = OfferedNames::read(task)?;
    let (status, answer) = match &found {
        Ok(found) => (StatusCode::OK, found_body(task, head, found)),
        Err(fault) => (status_of(fault.kind()), walk_parts::fault_note(fault)),
    };
    let body = html! {
        (entity_head(task, head, "blast"))
        h2 class="sr" { "What is reached" }
        @if let Ok(found) = &found { (figures(found)) }
        (filters(task, head, &offered))
        (answer)
        div class="gap" { (walk_parts::behind(task, &command(task, head), j1ql(&task.visit.parameters, head))) }
    };
    Ok(PageContent { status, ..PageContent::new(PageTab::None, title, body) })
}

/// The question that an address asks.
fn request(
    parameters: &PageParameters,
    head: &EntityHead,
) -> Result<BlastRadiusRequest, AnswerError> {
    let told = |fault: ApiError| AnswerError::invalid(fault.message());
    let direction = parameters.get("direction").filter(|way| *way != "auto");
    Ok(BlastRadiusRequest {
        entities: vec![full_name(head)],
        depth: walk_parts::hops(parameters)?,
        trouble: parameters::trouble(parameters.get("for")).map_err(told)?,
        direction: parameters::blast_direction(direction).map_err(told)?,
        verbs: names(parameters, "verb"),
        classes: names(parameters, "class"),
        types: names(parameters, "type"),
        scopes: names(parameters, "scope"),
    })
}

fn figures(found: &BlastRadiusAnswer) -> Markup {
    let total = found.reported().count() as u64;
    let hops = found.by_distance().len() as u64;
    let mut scopes: Vec<&str> = found.reported().map(|visit| visit.entity.scope.as_str()).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let by_state = found.by_state();
    html! {
        dl class="sum" {
            div {
                dt { "Reached" } dd { (count(total)) }
                dd class="s" {
                    @if total > 0 {
                        "in " (counted(hops, "hop", "hops")) ", " (counted(scopes.len() as u64, "scope", "scopes"))
                    } @else { "nothing" }
                }
            }
            @if found.ruled {
                @for state in ImpactState::ALL {
                    div {
                        dt { (state_mark(state)) }
                        dd { (count(by_state.get(state.word()).copied().unwrap_or(0))) }
                        dd class="s" { (meaning(state)) }
                    }
                }
            }
        }
    }
}

/// A state as ball and word.
fn state_mark(state: ImpactState) -> Markup {
    html! { span class={ "state " (state.word()) } { (state.word()) } }
}

fn meaning(state: ImpactState) -> &'static str {
    match state {
        ImpactState::Controlled => "an attacker acts inside it",
        ImpactState::Borrowed => "only its rights can be used",
        ImpactState::Affected => "fails or must be stopped",
    }
}

fn filters(task: &PageTask<'_>, head: &EntityHead, offered: &OfferedNames) -> Markup {
    let parameters = &task.visit.parameters;
    let value = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
    let follow = [("", "both"), ("compromise", "compromise"), ("failure", "failure")];
    let hops = match parameters.get("hops") {
        Some("all") | None => "",
        Some(hops) => hops,
    };
    let action = PageAddress::about("blast", &head.scope, &head.key);
    let reset = task.frame.keep(action.clone()).text();
    html! {
        form class="panel" action=(action.text()) aria-label="Filter the answer" {
            div class="filters" {
                (choice("Follow", "for", &follow, &value("for")))
                (choice("Hops", "hops", &walk_parts::HOPS, hops))
                (field("Class", "class", &value("class"), Some("l-class"), "any"))
                (field("Type", "type", &value("type"), None, "any"))
                (field("Scope", "scope", &value("scope"), Some("l-scope"), "any"))
                (field("Verb", "verb", &value("verb"), Some("l-verb"), "by the rules"))
                (state::field(parameters))
                div class="go" {
                    button class="btn" { "Apply" }
                    a class="btn" href=(reset) { "Reset" }
                }
            }
            (offered.lists())
        }
    }
}

fn found_body(task: &PageTask<'_>, head: &EntityHead, found: &BlastRadiusAnswer) -> Markup {
    let graph = PictureGraph::of_blast_radius(found);
    let selected = task.visit.parameters.get("node");
    let chosen = selected.and_then(|id| found.reported().find(|v| v.entity.id.to_string() == id));
    let side = chosen.map(|visit| side(task, head, found, visit));
    html! {
        (notes(task, head, found))
        @if found.reported().next().is_some() {
            (picture::figure(task, &graph, &address(task, head), side.as_ref()))
        }
        div class="gap" { (table(task, head, found)) }
    }
}

/// The address of the page with its question, and without what is shown of the answer.
fn address(task: &PageTask<'_>, head: &EntityHead) -> PageAddress {
    let mut address = PageAddress::about("blast", &head.scope, &head.key);
    for name in ["for", "hops", "class", "type", "scope", "verb", "direction"] {
        address = address.with(name, task.visit.parameters.get(name).unwrap_or_default());
    }
    task.frame.keep(address)
}

/// What stands beside the picture about the card that was chosen.
fn side(
    task: &PageTask<'_>,
    head: &EntityHead,
    found: &BlastRadiusAnswer,
    visit: &NamedVisit,
) -> Markup {
    let by_number = by_number(found);
    let steps = steps(visit, &by_number);
    let entity = &visit.entity;
    let close = picture::opened(&task.visit.parameters, address(task, head)).text();
    html! {
        aside class="panel side-p" aria-labelledby="h-sel" {
            header { h2 id="h-sel" { "Selected" } a class="sub" href={ (close) "#picture" } { "close" } }
            div class="body" {
                (parts::entity(&task.frame, entity, &task.frame.entity(entity)))
                @if let Some(state) = visit.state {
                    div class={ "why " (state.word()) } { (state_mark(state)) br; (meaning(state)) "." }
                }
                h3 { "How it is reached" }
                ol class="steps" {
                    li { (parts::name(head)) (said(&steps[0].link)) }
                    @for (at, step) in steps.iter().enumerate() {
                        li {
                            @if at + 1 < steps.len() {
                                (parts::link(&task.frame, &step.entity)) (said(&steps[at + 1].link))
                            } @else { b { (parts::name(&step.entity)) } }
                        }
                    }
                }
                dl {
                    dt { "Class" } dd { (clean(&entity.classes.join(", "))) }
                    dt { "Type" } dd { (clean(&entity.type_name)) }
                    dt { "Hop" } dd { (visit.distance) }
                    dt { "Scope" } dd { (clean(&entity.scope)) }
                }
            }
            footer {
                a href=(task.frame.entity(entity)) { "Open entity" }
                a href=(task.frame.keep(PageAddress::about("blast", &entity.scope, &entity.key)).text()) { "Start here" }
            }
        }
    }
}

/// A relationship of a chain, and who says it.
fn said(link: &RelationshipHead) -> Markup {
    html! { span class="verb" { (clean(&link.class)) ", by " (clean(&link.scope)) } }
}

fn notes(task: &PageTask<'_>, head: &EntityHead, found: &BlastRadiusAnswer) -> Markup {
    let open: Vec<&(String, u64)> =
        found.not_followed.iter().filter(|(verb, _)| !denies(verb)).collect();
    let to = |verb: &str| {
        task.frame
            .keep(PageAddress::about("blast", &head.scope, &head.key))
            .with("verb", verb)
            .with("hops", task.visit.parameters.get("hops").unwrap_or_default())
            .text()
    };
    html! {
        @if !found.notes.is_empty() || !open.is_empty() {
            div class="notes two" {
                @for note in &found.notes { (parts::note("", &parts::sentence(note))) }
                @if !open.is_empty() {
                    (parts::note("warn", &html! {
                        b { "No rule knows these verbs. " } "Follow one here: "
                        @for (at, (verb, n)) in open.iter().enumerate() {
                            @if at > 0 { ", " }
                            a href=(to(verb)) { (clean(verb)) } " (" (count(*n)) ")"
                        }
                    }))
                }
            }
        }
    }
}

fn table(task: &PageTask<'_>, head: &EntityHead, found: &BlastRadiusAnswer) -> Markup {
    let reported: Vec<&NamedVisit> = found.reported().collect();
    let window = ListWindow::new(task.visit.parameters.page(), ROWS, reported.len());
    let by_number = by_number(found);
    let root = html! { "From " (parts::name(head)) }.into_string();
    let mut columns = vec![TableColumn::text("Name")];
    if found.ruled {
        columns.push(TableColumn::plain("State"));
    }
    columns.extend([
        TableColumn::number("Hop"),
        TableColumn::plain("Type"),
        TableColumn::text("Scope"),
        TableColumn::wide("How"),
    ]);
    let rows: Vec<Vec<Markup>> = reported[window.start..window.end]
        .iter()
        .map(|visit| {
            let other = &visit.entity;
            let mut row = vec![parts::entity(&task.frame, other, &task.frame.entity(other))];
            if found.ruled {
                row.push(html! { @if let Some(state) = visit.state { (state_mark(state)) } });
            }
            row.extend([
                html! { (visit.distance) },
                html! { (clean(&other.type_name)) },
                html! { (clean(&other.scope)) },
                how(task, visit, &by_number),
            ]);
            row
        })
        .collect();
    let total = reported.len() as u64;
    let to =
        |page: usize| format!("{}#h-t", address(task, head).with("page", &page.to_string()).text());
    parts::panel(
        "h-t",
        "Table",
        &html! { (counted(total, "entity", "entities")) },
        &html! {
            @if rows.is_empty() { div class="body" { p class="sub" { "Nothing is reached." } } }
            @else {
                (parts::table(&root, &columns, &rows))
                (window.foot(to))
            }
        },
    )
}

fn by_number(found: &BlastRadiusAnswer) -> FxHashMap<u32, &NamedVisit> {
    found.reached.iter().map(|visit| (visit.number, visit)).collect()
}

/// The visits of the chain to one, itself the last.
fn steps<'v>(
    visit: &'v NamedVisit,
    by_number: &FxHashMap<u32, &'v NamedVisit>,
) -> Vec<&'v NamedVisit> {
    let mut steps = vec![visit];
    let mut before = visit.before;
    // Each step is one nearer to the start, so this ends; damage must not keep it going.
    while let Some(step) = before.and_then(|number| by_number.get(&number))
        && steps.len() <= visit.distance as usize
    {
        steps.push(step);
        before = step.before;
    }
    steps.reverse();
    steps
}

/// The chain to a visit, without the entity where it starts and the one that it reaches.
fn how(task: &PageTask<'_>, visit: &NamedVisit, by_number: &FxHashMap<u32, &NamedVisit>) -> Markup {
    let steps = steps(visit, by_number);
    html! {
        span class="chain" {
            @for (at, step) in steps.iter().enumerate() {
                (parts::verb(&step.link.class, step.direction() == "out"))
                @if at + 1 < steps.len() { " " (parts::link(&task.frame, &step.entity)) " " }
            }
        }
    }
}

/// The command that gives the same answer.
fn command(task: &PageTask<'_>, head: &EntityHead) -> String {
    let parameters = &task.visit.parameters;
    let value = |name: &str| parameters.get(name).unwrap_or_default();
    let depth = if value("hops") == "all" { "" } else { value("hops") };
    ShellCommand::new("blast-radius")
        .word(&full_name(head))
        .flag("for", value("for"))
        .flag("depth", depth)
        .flag("direction", value("direction"))
        .flag("verb", &names(parameters, "verb").join(","))
        .flag("class", &names(parameters, "class").join(","))
        .flag("type", &names(parameters, "type").join(","))
        .flag("scope", &names(parameters, "scope").join(","))
        .flag("at", task.frame.at())
        .text()
}

/// The query that gives the same answer; only the plain question by the rules has one.
fn j1ql(parameters: &PageParameters, head: &EntityHead) -> Option<String> {
    let asked = ["for", "direction", "verb", "type", "scope", "class"];
    if asked.iter().any(|name| parameters.get(name).is_some()) {
        return None;
    }
    let hops = walk_parts::hops(parameters).ok()?.unwrap_or(100);
    Some(format!(
        "FIND * WITH _key = {} AND _scope = {}\n  THAT #Impact{{1,{hops}}} AS r * AS hit\n  \
         RETURN hit, DEPTH(r) AS hop ORDER BY hop",
        walk_parts::j1ql_text(&head.key),
        walk_parts::j1ql_text(&head.scope),
    ))
}
