//! A job: what it did or would do in numbers, why it is held, and the form that decides about it.

use super::super::AppState;
use super::super::api_error::ApiError;
use super::super::decisions::{abort_job, approve_held, decidable, whole_id};
use super::super::gate::WorkKind;
use super::super::{blocking, now};
use super::address::{PageAddress, PageParameters};
use super::entity::{ago, short_job};
use super::page::{PageContent, PageFrame, PageVisit, error_answer};
use super::parts::{self, TableColumn, count, counted};
use super::shell::{self, PageTab};
use super::{forms, response};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use std::sync::Arc;
use tombolo::answers::clean;
use tombolo::sync::{JobReport, JobStatus, JobTally};

/// Skipped objects, types and scopes that a page lists.
const LISTED: usize = 200;

/// The word of a status, in the colour of what it means.
pub fn status_tag(status: JobStatus) -> Markup {
    let (kind, word) = match status {
        JobStatus::AwaitingUploads => ("", "AWAITING_UPLOADS"),
        JobStatus::Held => ("warn", "HELD"),
        JobStatus::Finished => ("ok", "FINISHED"),
        JobStatus::Aborted => ("", "ABORTED"),
        JobStatus::Refused => ("fail", "REFUSED"),
    };
    html! { span class={ "tag " (kind) } { (word) } }
}

/// The objects that a job created, updated and deleted, or would.
pub fn changes(job: &JobReport) -> [u64; 3] {
    let (e, r) = (job.entities, job.relationships);
    [e.created + r.created, e.updated + r.updated, e.deleted + r.deleted]
}

/// The page. A caller that may decide about a job sees it without the right to read.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
    Path(id): Path<String>,
) -> Response {
    let caller = &visit.visitor.caller;
    if !caller.rights.read() && !caller.rights.approve_any() {
        let fault = caller.reads().err();
        return error_answer(&visit, fault.unwrap_or_else(|| ApiError::internal("rights")));
    }
    let visited = visit.clone();
    let made = blocking(&app, WorkKind::Read, move |app| {
        let caller = &visited.visitor.caller;
        let job = decidable(app, whole_id(&id)?, caller)?;
        let rights = &caller.rights;
        let job = job.told_to(rights.read(), |scope| rights.write(scope));
        let content = PageContent::new(
            PageTab::Scopes,
            format!("Job {}", short_job(&job.id.to_string())),
            content(&visited, &job),
        );
        let page = shell::page(&visited, frame(app, &visited)?.as_ref(), &content);
        Ok(response::html(&visited.facts, StatusCode::OK, page.into_string()))
    })
    .await;
    made.unwrap_or_else(|fault| error_answer(&visit, fault))
}

/// What the frame shows to a caller that may read.
fn frame(app: &AppState, visit: &PageVisit) -> Result<Option<PageFrame>, ApiError> {
    match visit.visitor.caller.rights.read() {
        true => Ok(Some(PageFrame::read(app, &app.database.snapshot()?, None)?)),
        false => Ok(None),
    }
}

/// Decides about a held job.
pub async fn decide(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    match decided(&app, &visit, &id, body).await {
        Ok(()) => response::see_other(&format!("/jobs/{id}")),
        Err(fault) => error_answer(&visit, fault),
    }
}

async fn decided(
    app: &Arc<AppState>,
    visit: &PageVisit,
    id: &str,
    body: Body,
) -> Result<(), ApiError> {
    let form = forms::read(body).await?;
    forms::check(visit, &form)?;
    let caller = &visit.visitor.caller;
    match form.get("do") {
        Some("approve") => {
            confirmed(&form)?;
            let plan = form.get("plan").map(str::to_owned);
            approve_held(app, caller, id, plan).await?;
        }
        Some("abort") => {
            abort_job(app, caller, id).await?;
        }
        _ => {
            return Err(ApiError::bad("the form does not say what to do")
                .hint("`do` is `approve` or `abort`"));
        }
    }
    Ok(())
}

/// Refuses an approval whose number of deletions was not typed as the page shows it.
fn confirmed(form: &PageParameters) -> Result<(), ApiError> {
    let digits = |name: &str| {
        let text = form.get(name).unwrap_or_default();
        text.chars().filter(|c| !c.is_whitespace() && !"., '".contains(*c)).collect::<String>()
    };
    if digits("deletes") == digits("confirm") {
        return Ok(());
    }
    let message = format!(
        "{} deletions were to be confirmed, and `{}` was typed; nothing was changed",
        digits("deletes"),
        digits("confirm")
    );
    Err(ApiError::bad(message).hint("go back and type the number that stands above the field"))
}

fn content(visit: &PageVisit, job: &JobReport) -> Markup {
    let id = job.id.to_string();
    html! {
        div class="head" { div {
            nav class="crumb" aria-label="Where" {
                a href="/scopes" { "Scopes and jobs" } span aria-hidden="true" { "/" }
                span { (clean(&job.scope)) }
            }
            h1 { "Job " span class="mono" { (short_job(&id)) } " of " (clean(&job.scope)) }
            div class="under" {
                (status_tag(job.status)) (job.sync_mode) " · source " (clean(&job.source)) " · "
                (ago(now(), job.end_timestamp.unwrap_or(job.start_timestamp)))
                " · " (parts::key(&id)) (parts::copy("id", &id))
            }
        } @if visit.visitor.caller.rights.read() { div class="act" { (changed_link(job)) } } }
        (figures(job))
        div class="stackv" {
            @if job.status == JobStatus::Held { (held_body_panel(visit, job)) }
            @else { (types_panel(job)) }
            (refusals(job))
            (foreign(job))
            (skipped(job))
        }
    }
}

/// The way to all that a job changed; one that changed nothing has none.
pub fn changed_link(job: &JobReport) -> Markup {
    let id = job.id.to_string();
    let done = job.status == JobStatus::Finished && !job.dry_run;
    html! {
        @if done && (changes(job) != [0; 3] || !job.foreign_deletions.is_empty()) {
            a href=(PageAddress::new("/diff").with("job", &id).text()) { "what it changed" }
        }
    }
}

fn figures(job: &JobReport) -> Markup {
    let JobTally { uploaded, unchanged, .. } = {
        let mut all = job.entities;
        all.add(&job.relationships);
        all
    };
    let [created, updated, deleted] = changes(job);
    // What is held would be done, and is not.
    let would = job.status == JobStatus::Held || job.dry_run;
    let word = |done: &'static str, planned: &'static str| if would { planned } else { done };
    html! {
        dl class="sum" {
            div { dt { "Uploaded" } dd { (count(uploaded)) } dd class="s" { (count(unchanged)) " unchanged" } }
            div { dt { (word("Created", "Would create")) } dd { (count(created)) } }
            div { dt { (word("Updated", "Would update")) } dd { (count(updated)) } }
            div { dt { (word("Deleted", "Would delete")) } dd { (count(deleted)) } }
        }
    }
}

fn types_table(job: &JobReport) -> Markup {
    let columns = [
        TableColumn::text("Type"),
        TableColumn::number("Uploaded"),
        TableColumn::number("Created"),
        TableColumn::number("Updated"),
        TableColumn::number("Deleted"),
        TableColumn::number("Unchanged"),
    ];
    let number = |n: u64, strong: bool| {
        html! { @if strong && n > 0 { b { (count(n)) } } @else { (count(n)) } }
    };
    let rows: Vec<Vec<Markup>> = job
        .types
        .iter()
        .take(LISTED)
        .map(|(name, tally)| {
            vec![
                html! { (clean(name)) },
                number(tally.uploaded, false),
                number(tally.created, false),
                number(tally.updated, false),
                number(tally.deleted, true),
                number(tally.unchanged, false),
            ]
        })
        .collect();
    html! {
        (parts::table("Objects by type", &columns, &rows))
        @if job.types.len() > LISTED { footer { span { (job.types.len() - LISTED) " more types" } } }
    }
}

fn types_panel(job: &JobReport) -> Markup {
    html! {
        @if !job.types.is_empty() {
            (parts::panel("h-t", "Objects by type", &html! { (job.types.len()) }, &types_table(job)))
        }
    }
}

/// A held job in the list of scopes and jobs.
pub fn held_panel(visit: &PageVisit, frame: &PageFrame, job: &JobReport) -> Markup {
    let id = job.id.to_string();
    let [.., deleted] = changes(job);
    html! {
        section class="panel" aria-labelledby={ "h-" (id) } {
            header {
                h2 id={ "h-" (id) } {
                    "Held: " (clean(&job.scope)) " would lose " (counted(deleted, "object", "objects"))
                }
                span class="tag warn" { "HELD" }
                span class="sub" {
                    "job " a class="mono" href={ "/jobs/" (id) } { (short_job(&id)) } " · " (job.sync_mode)
                    " · source " (clean(&job.source)) " · " (ago(frame.now, job.start_timestamp))
                }
            }
            (held_body(visit, job))
        }
    }
}

fn held_body_panel(visit: &PageVisit, job: &JobReport) -> Markup {
    parts::panel("h-held", "Held", &html! { "waits for a decision" }, &held_body(visit, job))
}

fn held_body(visit: &PageVisit, job: &JobReport) -> Markup {
    let held = job.held.clone().unwrap_or_default();
    let [.., deleted] = changes(job);
    html! {
        div class="body grid two" {
            div class="stackv" {
                (parts::note("warn", &html! {
                    b { "Nothing has changed." } " The scope stays as it is until somebody decides."
                }))
                div {
                    h3 { "Why" }
                    ul class="steps" { @for reason in &held.reasons { li { (parts::sentence(reason)) } } }
                }
                (types_table(job))
                @if !held.deletes.is_empty() {
                    details {
                        summary {
                            "What would be deleted: " (count(held.deletes.len() as u64)) " of " (count(deleted))
                        }
                        ul class="mono keys" { @for key in &held.deletes { li { (clean(key)) } } }
                    }
                }
            }
            (decision(visit, job, deleted))
        }
    }
}

/// The form that decides, for who may; for others the word that they may not.
fn decision(visit: &PageVisit, job: &JobReport, deleted: u64) -> Markup {
    let rights = &visit.visitor.caller.rights;
    let (approves, aborts) = (rights.approve(&job.scope), rights.admin());
    let id = job.id.to_string();
    html! {
        @if approves || aborts {
            div class="stackv" {
                @if approves {
                    form method="post" action={ "/jobs/" (id) } aria-label={ "Approve job " (short_job(&id)) } {
                        (parts::csrf(&visit.visitor))
                        input type="hidden" name="plan" value=(job.plan_hash);
                        input type="hidden" name="deletes" value=(deleted);
                        div class="field" {
                            label for={ "n-" (id) } { "Deletions, to confirm: type " (deleted) }
                            input id={ "n-" (id) } name="confirm" inputmode="numeric" autocomplete="off" required;
                        }
                        button class="btn risk" name="do" value="approve" {
                            "Approve, delete " (count(deleted))
                        }
                        p class="sub plain gap" {
                            "Exactly this plan is applied. It can be undone: "
                            code { "tombolo job undo " (short_job(&id)) }
                        }
                    }
                }
                @if aborts {
                    form method="post" action={ "/jobs/" (id) } aria-label={ "Abort job " (short_job(&id)) } {
                        (parts::csrf(&visit.visitor))
                        button class="btn" name="do" value="abort" { "Abort" }
                        p class="sub gap" { "The upload is forgotten, and nothing is deleted." }
                    }
                }
            }
        } @else {
            p class="sub" {
                "Deciding needs the right " code { "approve:" (clean(&job.scope)) } ", which your token has not."
            }
        }
    }
}

fn refusals(job: &JobReport) -> Markup {
    html! {
        @if !job.refusals.is_empty() {
            (parts::panel("h-g", "Refused by its guards", &html! {}, &html! {
                ul class="rows" { @for refusal in &job.refusals { li { span { b { (clean(&refusal.guard)) } ": " (parts::sentence(&refusal.message)) } } } }
            }))
        }
    }
}

fn foreign(job: &JobReport) -> Markup {
    html! {
        @if !job.foreign_deletions.is_empty() {
            (parts::panel("h-x", "Relationships of other scopes", &html! { "go with their entities" }, &html! {
                table {
                    caption class="sr" { "Relationships of other scopes that go with their entities" }
                    tbody { @for (scope, n) in job.foreign_deletions.iter().take(LISTED) { tr {
                        th scope="row" { (clean(scope)) } td class="num" { (count(*n)) }
                    } } }
                }
            }))
        }
    }
}

fn skipped(job: &JobReport) -> Markup {
    let columns =
        [TableColumn::text("Object"), TableColumn::text("Where"), TableColumn::wide("Reason")];
    let rows: Vec<Vec<Markup>> = job
        .skipped
        .iter()
        .take(LISTED)
        .map(|one| {
            vec![
                parts::key(&one.key),
                html! { @if let Some(place) = &one.place { span class="mono" { (clean(place)) } } },
                parts::sentence(&one.reason),
            ]
        })
        .collect();
    let shown = rows.len() as u64;
    html! {
        @if !rows.is_empty() {
            (parts::panel("h-k", "Left out", &html! {
                @if job.skipped_total > shown { (count(shown)) " of " }
                (count(job.skipped_total))
            }, &parts::table("Objects that were left out", &columns, &rows)))
        }
    }
}
