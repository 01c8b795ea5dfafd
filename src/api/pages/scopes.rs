//! Scopes and jobs: how fresh each scope is, what waits for a decision, what was done last.

use super::super::AppState;
use super::super::api_error::ApiError;
use super::address::PageAddress;
use super::entity::{ago, short_job};
use super::jobs;
use super::page::{PageContent, PageTask, PageVisit, answer_at};
use super::parts::{self, ListWindow, TableColumn, count, counted};
use super::shell::PageTab;
use super::state;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::sync::Arc;
use tombolo::answers::{clean, stale_scopes};
use tombolo::sync::{JobReport, JobStatus};

/// Jobs that the page reads, and those of one page of the list.
const JOBS: u32 = 500;
const JOBS_LISTED: usize = 25;
/// Held jobs that are shown in full.
const HELD: usize = 10;

/// A scope, and how old what is known of it is.
pub struct ScopeFreshness {
    /// Its name.
    pub scope: String,
    /// Live entities, live relationships, tombstones.
    pub counts: [u64; 3],
    /// The newest time at which a job of it ended, epoch milliseconds.
    pub last: Option<i64>,
    /// True if its last job is older than the others' by far.
    pub stale: bool,
    /// True if a job of it waits for a decision.
    pub held: bool,
}

impl ScopeFreshness {
    /// The cells of its row; `deleted` adds the number of tombstones.
    pub fn cells(&self, task: &PageTask<'_>, deleted: bool) -> Vec<Markup> {
        let [entities, relationships, gone] = self.counts;
        let mut cells = vec![
            html! { (parts::dot(&task.frame, &self.scope)) (clean(&self.scope)) },
            html! { (count(entities)) },
            html! { (count(relationships)) },
        ];
        if deleted {
            cells.push(html! { (count(gone)) });
        }
        cells.push(html! {
            @match self.last {
                Some(last) => { (ago(task.frame.now, last)) }
                None => { span class="dim" { "unknown" } }
            }
        });
        cells.push(html! {
            @if self.held { a class="tag warn" href="/scopes#held" { "held" } }
            @else if self.stale { span class="tag warn" { "stale" } }
            @else { span class="tag ok" { "fresh" } }
        });
        cells
    }
}

/// The scopes by name. A job that changed nothing makes a scope fresh as well, so the last `jobs` count.
pub fn freshness(task: &PageTask<'_>, jobs: u32) -> Result<Vec<ScopeFreshness>, ApiError> {
    Ok(fresh_among(task, &recent_jobs(task, jobs)?)?)
}

/// The last jobs, newest first; of a state of the past those that had ended then.
fn recent_jobs(task: &PageTask<'_>, most: u32) -> Result<Vec<JobReport>, ApiError> {
    let mut jobs = task.database().recent_jobs(most)?;
    if let Some(past) = &task.frame.past {
        // Of jobs beside the file all are read; those of the file are of the state.
        let made = |job: &JobReport| past.record.job == Some(job.id);
        jobs.retain(|job| {
            made(job) || job.end_timestamp.is_some_and(|end| end <= past.record.time)
        });
    }
    Ok(jobs)
}

fn fresh_among(
    task: &PageTask<'_>,
    jobs: &[JobReport],
) -> Result<Vec<ScopeFreshness>, tombolo::answers::AnswerError> {
    let stale = stale_scopes(task.database(), &task.snapshot)?;
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for job in jobs.iter().filter(|job| job.status == JobStatus::Finished) {
        let ended = job.end_timestamp.unwrap_or(job.start_timestamp);
        let newest = newest.entry(&job.scope).or_default();
        *newest = (*newest).max(ended);
    }
    let now = task.frame.past.is_none();
    let held = |scope: &str| now && task.frame.held.iter().any(|job| job.scope == scope);
    let scopes = task.frame.scopes.scopes.iter();
    Ok(scopes
        .map(|scope| ScopeFreshness {
            scope: scope.scope.clone(),
            counts: [scope.entities, scope.relationships, scope.deleted],
            last: scope.last_change.max(newest.get(scope.scope.as_str()).copied()),
            stale: stale.iter().any(|(stale, _)| *stale == scope.scope),
            held: held(&scope.scope),
        })
        .collect())
}

/// The page.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    answer_at(&app, visit, |task| {
        let recent = recent_jobs(task, JOBS)?;
        // What waits for a decision waits now.
        let now = task.frame.past.is_none();
        let scopes = fresh_among(task, &recent)?;
        let stale = scopes.iter().filter(|scope| scope.stale).count() as u64;
        let held = if now { task.frame.held.len() as u64 } else { 0 };
        let body = html! {
            div class="head" { div {
                h1 { "Scopes and jobs" }
                p class="sub" {
                    (counted(scopes.len() as u64, "scope", "scopes"))
                    @if stale > 0 { ", " (count(stale)) " stale" }
                    @if held > 0 { ", " (counted(held, "held job", "held jobs")) }
                }
            } div class="act" { (state::form(task.visit)) } }
            div class="stackv" {
                @if now { div class="stackv" id="held" {
                    @for job in task.frame.held.iter().take(HELD) { (jobs::held_panel(task.visit, &task.frame, job)) }
                    @if task.frame.held.len() > HELD {
                        (parts::note("warn", &html! {
                            (task.frame.held.len() - HELD) " more held jobs stand in the list of jobs."
                        }))
                    }
                } }
                (scope_panel(task, &scopes))
                (job_panel(task, &recent))
            }
        };
        Ok(PageContent::new(PageTab::Scopes, "Scopes and jobs", body))
    })
    .await
}

fn scope_panel(task: &PageTask<'_>, scopes: &[ScopeFreshness]) -> Markup {
    let columns = [
        TableColumn::text("Scope"),
        TableColumn::number("Entities"),
        TableColumn::number("Relationships"),
        TableColumn::number("Deleted"),
        TableColumn::number("Last job"),
        TableColumn::plain("State"),
    ];
    let rows: Vec<Vec<Markup>> = scopes.iter().map(|scope| scope.cells(task, true)).collect();
    parts::panel(
        "h-s",
        "Scopes",
        &html! { (count(scopes.len() as u64)) },
        &html! {
            @if rows.is_empty() { div class="body" { p class="sub" { "No job has written a scope yet." } } }
            @else { (parts::table("Scopes", &columns, &rows)) }
        },
    )
}

fn job_panel(task: &PageTask<'_>, recent: &[JobReport]) -> Markup {
    let window = ListWindow::new(task.visit.parameters.page(), JOBS_LISTED, recent.len());
    let columns = [
        TableColumn::text("Job"),
        TableColumn::text("Scope"),
        TableColumn::plain("Mode"),
        TableColumn::plain("Status"),
        TableColumn::number("Created"),
        TableColumn::number("Updated"),
        TableColumn::number("Deleted"),
        TableColumn::number("When"),
        TableColumn::plain("Changes"),
    ];
    let now = task.frame.now;
    let rows: Vec<Vec<Markup>> = recent[window.start..window.end]
        .iter()
        .map(|job| {
            let [created, updated, deleted] = jobs::changes(job);
            let id = job.id.to_string();
            vec![
                html! { a href={ "/jobs/" (id) } class="mono" { (short_job(&id)) } },
                html! { (clean(&job.scope)) },
                html! { (job.sync_mode) },
                jobs::status_tag(job.status),
                html! { (count(created)) },
                html! { (count(updated)) },
                html! { (count(deleted)) },
                html! { (ago(now, job.end_timestamp.unwrap_or(job.start_timestamp))) },
                jobs::changed_link(job),
            ]
        })
        .collect();
    // Of older jobs the page does not say how many there are: it does not read them.
    let more = recent.len() >= JOBS as usize;
    let sub = html! { (if more { "the last " } else { "" }) (count(recent.len() as u64)) ", newest first" };
    parts::panel(
        "h-j",
        "Jobs",
        &sub,
        &html! {
            @if rows.is_empty() { div class="body" { p class="sub" { "There was no job yet." } } }
            @else {
                (parts::table("Jobs", &columns, &rows))
                (window.foot(|page| {
                    let address = task.frame.keep(PageAddress::new("/scopes"));
                    format!("{}#h-j", address.with("page", &page.to_string()).text())
                }))
            }
        },
    )
}
