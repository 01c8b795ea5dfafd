//! An entity: what it is, what it is linked to, who owns it, who made it.

use super::super::AppState;
use super::super::api_error::{ApiError, status_of};
use super::address::PageAddress;
use super::page::{PageContent, PageTask, PageVisit, answer_at, error_answer};
use super::parts::{self, ListWindow, PAGE, TableColumn, count, counted};
use super::shell::PageTab;
use super::state;
use super::{blast, change_parts, history, owners};
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use std::sync::Arc;
use tombolo::answers::{
    AnswerError, EntityAnswer, EntityRequest, EntitySearchRequest, ErrorKind, NeighborEntity,
    NeighborRank, ObjectHistoryRequest, OwnersRequest, RelationshipHead, clean, display,
    rules_in_force,
};
use tombolo::graph::{Entity, EntityHead};

/// Characters of raw data that a page shows.
const RAW_MAX: usize = 64 << 10;
/// Owners that the page of an entity names.
const OWNERS: usize = 5;

/// The pages about an entity, as tabs: what the first part of their address is called.
const TABS: [(&str, &str, &str); 4] = [
    ("e", "Overview", "e"),
    ("blast", "Blast radius", "b"),
    ("owners", "Owners", "o"),
    ("history", "History", "h"),
];

/// Leads to the page of the one entity that a name fits.
pub async fn open(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    let asked = visit.parameters.clone();
    let Some(name) = asked.get("entity").map(str::to_owned) else {
        return error_answer(&visit, ApiError::bad("no entity is named"));
    };
    let page = asked.get("page").filter(|page| TABS.iter().any(|(path, ..)| path == page));
    let page = page.unwrap_or("e").to_owned();
    answer_at(&app, visit, move |task| match find(task, &name) {
        Ok(head) => show(task, &page, &head),
        Err(fault) => unknown(task, &name, fault),
    })
    .await
}

/// The page.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
    Path((scope, key)): Path<(String, String)>,
) -> Response {
    let name = format!("{scope}::{key}");
    answer_at(&app, visit, move |task| match find(task, &name) {
        Ok(head) => show(task, "e", &head),
        Err(fault) => unknown(task, &name, fault),
    })
    .await
}

fn show(task: &PageTask<'_>, page: &str, head: &EntityHead) -> Result<PageContent, ApiError> {
    match page {
        "blast" => return blast::show(task, head),
        "owners" => return owners::show(task, head),
        "history" => return history::show(task, &full_name(head)),
        _ => {}
    }
    let request = EntityRequest { entity: full_name(head) };
    let found = request.ask(&task.context())?;
    overview(task, head, &found)
}

/// The name by which an entity is found again.
pub fn full_name(head: &EntityHead) -> String {
    format!("{}::{}", head.scope, head.key)
}

/// The entity that a name fits.
pub fn find(task: &PageTask<'_>, name: &str) -> Result<EntityHead, AnswerError> {
    let number = task.database().find_entity(&task.snapshot, name)?;
    tombolo::answers::entity(&task.snapshot, number)
}

/// The page of a name that fits nothing, or too much: the error with what may have been meant.
pub fn unknown(
    task: &PageTask<'_>,
    name: &str,
    fault: AnswerError,
) -> Result<PageContent, ApiError> {
    if fault.kind() != ErrorKind::NotFound {
        return Err(fault.into());
    }
    let key = name.rsplit_once("::").map_or(name, |(_, key)| key);
    // The last part of a key says most; what stands before it is the kind.
    let last = key.rsplit([':', '/']).next().unwrap_or(key);
    let mut hits = Vec::new();
    for text in [key, last] {
        if hits.is_empty() {
            let request = EntitySearchRequest { text: text.to_owned(), limit: 8 };
            hits = request.ask(&task.context())?.hits;
        }
    }
    let past = ObjectHistoryRequest { object: name.to_owned() }.ask(&task.context());
    let gone = past.ok().filter(|past| past.kind == "entity");
    let status = status_of(fault.kind());
    let (first, rest) = fault.message().split_once('\n').unwrap_or((fault.message(), ""));
    let body = html! {
        div class="stackv" {
            div {
                p class="sub" { (status.as_u16()) " · unknown entity" }
                h1 { (parts::sentence(first)) }
            }
            @if !rest.is_empty() { pre class="told" tabindex="0" { (parts::lines(rest)) } }
            @if let Some(gone) = &gone {
                p class="plain" {
                    "There is or was one in another state: "
                    a href=(change_parts::entity_history(&gone.scope, &gone.key)) { "its history" }
                }
            }
            @if !hits.is_empty() {
                (parts::panel("h-d", "Did you mean", &html! {}, &html! {
                    ul class="rows" { @for hit in &hits { li {
                        (parts::entity(&task.frame, &hit.entity, &task.frame.entity(&hit.entity)))
                        span class="sub" { (clean(&hit.entity.type_name)) " · " (clean(&hit.entity.scope)) }
                    } } }
                }))
            } @else if let Some(advice) = fault.advice() {
                pre class="told" tabindex="0" { (parts::lines(&advice.to_string())) }
            }
            p class="sub plain" {
                a href=(task.frame.keep(PageAddress::new("/").with("q", last)).text()) { "Search all scopes" }
                ", request " code { (task.visit.id) }
            }
        }
    };
    let content = PageContent::new(PageTab::None, "Unknown entity", body).narrow();
    Ok(PageContent { status, ..content })
}

/// The head of all pages about an entity, with the tabs below it.
pub fn entity_head(task: &PageTask<'_>, head: &EntityHead, current: &str) -> Markup {
    let EntityHead { scope, key, type_name, classes, .. } = head;
    let find = |word: &str| task.frame.query(&format!("FIND {word}"));
    let keep = |address: PageAddress| task.frame.keep(address).text();
    let tab = |path: &str| {
        let address = PageAddress::about(path, scope, key);
        // A history is that of all states.
        if path == "history" { address.text() } else { keep(address) }
    };
    html! {
        div class="head" {
            div {
                nav class="crumb" aria-label="Where" {
                    a href=(keep(PageAddress::new("/scopes"))) { (clean(scope)) }
                    span aria-hidden="true" { "/" }
                    @if plain_word(type_name) { a href=(find(type_name)) { (type_name) } }
                    @else { span { (clean(type_name)) } }
                    @for class in classes {
                        span aria-hidden="true" { "/" }
                        @if plain_word(class) { a href=(find(class)) { (class) } }
                        @else { span { (clean(class)) } }
                    }
                }
                div class="title" {
                    (parts::badge(&task.frame, scope, type_name, true))
                    div {
                        h1 { (parts::name(head)) }
                        div class="under" { (parts::key(key)) (parts::copy("key", key)) }
                    }
                }
            }
            @if current == "e" { div class="act" { (state::form(task.visit)) } }
        }
        nav class="tabs" aria-label="This entity" {
            @for (path, title, letter) in TABS {
                a href=(tab(path)) data-key=(letter)
                    aria-current=[(path == current).then_some("page")] { (title) }
            }
            a href=(keep(PageAddress::new("/path").with("from", &full_name(head)))) data-key="p" {
                "Path to …"
            }
        }
    }
}

/// True if a name can stand in a query as it is.
fn plain_word(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(letter)
}

fn overview(
    task: &PageTask<'_>,
    head: &EntityHead,
    found: &EntityAnswer<'_>,
) -> Result<PageContent, ApiError> {
    let entity = &found.entity;
    let body = html! {
        (entity_head(task, head, "e"))
        (figures(task, found))
        div class="grid two" {
            div class="stackv" {
                (relationships(task, head, found)?)
                (raw(entity))
            }
            div class="stackv" {
                (properties(found))
                (owner(task, head)?)
                (origin(task, entity))
            }
        }
    };
    Ok(PageContent::new(PageTab::None, parts::name(head), body))
}

fn figures(task: &PageTask<'_>, found: &EntityAnswer<'_>) -> Markup {
    let metadata = &found.entity.metadata;
    let incoming = found.near.iter().filter(|near| near.points_back()).count() as u64;
    let outgoing = found.near.len() as u64 - incoming;
    let now = task.frame.now;
    html! {
        dl class="sum" {
            div {
                dt { "Relationships" } dd { (count(found.near.len() as u64)) }
                dd class="s" { (count(outgoing)) " from it, " (count(incoming)) " to it" }
            }
            div {
                dt { "Version" } dd { (metadata.version) }
                dd class="s" { "last changed " (ago(now, metadata.begin_on)) }
            }
            div {
                dt { "First seen" } dd { (parts::time(now, metadata.created_on)) }
                dd class="s" { "by source " (clean(&metadata.source)) }
            }
        }
    }
}

/// A time with the word that makes a sentence of it.
pub fn ago(now: i64, then: i64) -> Markup {
    let young = now - then < 60_000;
    html! { (parts::time(now, then)) @if !young { " ago" } }
}

/// The relationships of one verb and direction.
struct RelationshipWay<'a> {
    verb: String,
    back: bool,
    near: &'a [NeighborRank],
}

fn ways<'a>(found: &'a EntityAnswer<'_>) -> Result<Vec<RelationshipWay<'a>>, AnswerError> {
    let mut ways = Vec::new();
    for near in found.near.chunk_by(NeighborRank::same_way) {
        let first = found.named(&near[..1])?;
        let verb = first.first().map(|first| first.relationship.class.clone()).unwrap_or_default();
        ways.push(RelationshipWay { verb, back: near[0].points_back(), near });
    }
    Ok(ways)
}

fn relationships(
    task: &PageTask<'_>,
    head: &EntityHead,
    found: &EntityAnswer<'_>,
) -> Result<Markup, ApiError> {
    let ways = ways(found)?;
    let asked = &task.visit.parameters;
    let chosen = asked.get("verb").zip(asked.get("way"));
    let chosen = chosen.and_then(|(verb, way)| {
        ways.iter().find(|known| known.verb == verb && known.back == (way == "in"))
    });
    let shown = chosen.map_or(found.near.as_slice(), |way| way.near);
    let window = ListWindow::new(asked.page(), PAGE, shown.len());
    let named = found.named(&shown[window.start..window.end])?;
    let address = |way: Option<&RelationshipWay<'_>>| {
        let address = task.frame.keep(PageAddress::about("e", &head.scope, &head.key));
        match way {
            Some(way) => {
                address.with("verb", &way.verb).with("way", if way.back { "in" } else { "out" })
            }
            None => address,
        }
    };
    let total = found.near.len() as u64;
    let current = |one: bool| one.then_some("true");
    Ok(parts::panel(
        "h-rel",
        "Relationships",
        &html! { (count(total)) ", by verb and direction" },
        &html! {
            @if named.is_empty() {
                div class="body" { p class="sub" { "It has no relationships." } }
            } @else {
                nav class="chips" aria-label="Relationships by verb and direction" {
                    a class="chip" href={ (address(None).text()) "#h-rel" } aria-current=[current(chosen.is_none())] {
                        "all " span class="n" { (count(total)) }
                    }
                    @for way in &ways {
                        @let same = chosen.is_some_and(|chosen| chosen.near.as_ptr() == way.near.as_ptr());
                        a class="chip" href={ (address(Some(way)).text()) "#h-rel" } aria-current=[current(same)] {
                            (parts::verb(&way.verb, !way.back)) " "
                            span class="n" { (count(way.near.len() as u64)) }
                        }
                    }
                }
                (relationship_table(task, &named))
                (window.foot(|page| {
                    format!("{}#h-rel", address(chosen).with("page", &page.to_string()).text())
                }))
            }
        },
    ))
}

fn relationship_table(task: &PageTask<'_>, named: &[NeighborEntity]) -> Markup {
    let columns = [
        TableColumn::text("Entity"),
        TableColumn::plain("Verb"),
        TableColumn::plain("Type"),
        TableColumn::text("Scope"),
        TableColumn::text("Said by"),
    ];
    let rows: Vec<Vec<Markup>> = named
        .iter()
        .map(|near| {
            let other = &near.entity;
            vec![
                parts::entity(&task.frame, other, &task.frame.entity(other)),
                parts::verb(&near.relationship.class, near.direction == "out"),
                html! { (clean(&other.type_name)) },
                html! { (clean(&other.scope)) },
                html! {
                    (clean(&near.relationship.scope)) " "
                    a class="sub" href=(history_of(&near.relationship)) { "history" }
                },
            ]
        })
        .collect();
    parts::table("Relationships", &columns, &rows)
}

/// The page of the history of a relationship.
fn history_of(relationship: &RelationshipHead) -> String {
    change_parts::relationship_history(&relationship.scope, &relationship.key)
}

fn properties(found: &EntityAnswer<'_>) -> Markup {
    let properties = &found.entity.properties;
    let pinned = |name: &str| found.pinned.iter().any(|(known, _)| known == name);
    parts::panel(
        "h-p",
        "Properties",
        &html! { (properties.len()) },
        &html! {
            @if properties.is_empty() {
                div class="body" { p class="sub" { "It has none." } }
            } @else {
                table class="props" {
                    caption class="sr" { "Properties" }
                    tbody { @for (name, value) in properties { tr {
                        th scope="row" {
                            (clean(name))
                            @if pinned(name) {
                                " " span class="tag" title="An OVERRIDE job set it, whatever its collector says" { "pinned" }
                            }
                        }
                        td { (parts::value(value)) }
                    } } }
                }
            }
        },
    )
}

fn owner(task: &PageTask<'_>, head: &EntityHead) -> Result<Markup, ApiError> {
    let request = OwnersRequest { entities: vec![full_name(head)], ..OwnersRequest::default() };
    // Rules with a fault, or a search that takes too long, are told here and leave the rest of the page.
    let answer = rules_in_force().and_then(|rules| request.ask(&task.context(), &rules));
    let body = match &answer {
        Err(fault) => {
            html! { div class="body" { p class="sub" { (parts::sentence(fault.message())) } } }
        }
        Ok(answer) => {
            let owned = answer.answers.first();
            let owners = owned.map_or(&[][..], |owned| owned.owners.as_slice());
            let distance = owned.and_then(|owned| owned.distance).unwrap_or(0);
            html! {
                div class="body stack" {
                    @for owner in owners.iter().take(OWNERS) {
                        (parts::entity(&task.frame, &owner.chain.entity, &task.frame.entity(&owner.chain.entity)))
                    }
                    @if owners.is_empty() {
                        p class="sub" { "Nobody." }
                        @for note in &answer.notes { p class="sub" { (parts::sentence(note)) } }
                    } @else {
                        p class="sub" {
                            @if owners.len() > OWNERS { (owners.len() - OWNERS) " more, " }
                            (counted(u64::from(distance), "relationship", "relationships")) " away"
                        }
                    }
                }
            }
        }
    };
    Ok(parts::panel("h-o", "Owner", &html! {}, &body))
}

fn origin(task: &PageTask<'_>, entity: &Entity) -> Markup {
    let metadata = &entity.metadata;
    let now = task.frame.now;
    parts::panel(
        "h-m",
        "Who made it",
        &html! {},
        &html! {
            table class="props" {
                caption class="sr" { "Who made it" }
                tbody {
                    tr { th scope="row" { "scope" } td { (clean(&entity.scope)) } }
                    tr { th scope="row" { "source" } td { (clean(&metadata.source)) } }
                    tr { th scope="row" { "last job" } td {
                        a href={ "/jobs/" (metadata.job_id) } class="mono" { (short_job(&metadata.job_id.to_string())) }
                    } }
                    tr { th scope="row" { "changed" } td { (ago(now, metadata.begin_on)) } }
                    tr { th scope="row" { "created" } td { (ago(now, metadata.created_on)) } }
                    tr { th scope="row" { "_id" } td { (parts::key(&entity.id.to_string())) } }
                }
            }
        },
    )
}

/// The end of the id of a job, by which people name it.
pub fn short_job(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or(id)
}

fn raw(entity: &Entity) -> Markup {
    let text = serde_json::to_string_pretty(entity).unwrap_or_default();
    let cut = text.char_indices().nth(RAW_MAX).map(|(at, _)| at);
    let shown = &text[..cut.unwrap_or(text.len())];
    let name = display(None, &entity.key).unwrap_or(&entity.key);
    html! {
        section class="panel" id="raw" { details {
            summary { "Raw data" }
            div class="body" {
                (parts::code("raw data", shown))
                @if cut.is_some() {
                    p class="sub gap" {
                        "The rest is not shown. " code { "tombolo get -o json " (clean(name)) } " prints all of it."
                    }
                }
            }
        } }
    }
}
