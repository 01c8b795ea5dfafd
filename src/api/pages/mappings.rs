//! The files of the server's folder of mappings: what each makes, its last job, and on demand its plan.

use super::super::AppState;
use super::super::api_error::ApiError;
use super::address::PageAddress;
use super::entity::{ago, short_job};
use super::jobs;
use super::page::{PageContent, PageTask, PageVisit, answer};
use super::parts::{self, TableColumn, count, counted};
use super::shell::PageTab;
use super::walk_parts::{self, ShellCommand};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use std::sync::Arc;
use tombolo::answers::{
    GuardOverrides, MappingFileSet, MappingOutcome, MappingRunOptions, MappingSelection,
    MappingState, SourceRunOutcome, clean,
};
use tombolo::lang::{Diagnostic, DiagnosticSeverity};
use tombolo::mapping::{Mapping, RowOutcome, SourceFile, SourceOutcome};
use tombolo::sync::JobReport;

/// Jobs that are looked through for the last of each mapping.
const JOBS: u32 = 500;
/// Rows without a match, and faults, that a page lists.
const LISTED: usize = 100;

fn load(app: &AppState) -> MappingFileSet {
    let selection = MappingSelection { paths: vec![app.mappings.clone()], labels: Vec::new() };
    MappingFileSet::load(&selection)
}

/// A file as the list shows it.
struct ListedFile<'a> {
    scope: &'a str,
    name: Option<&'a str>,
    makes: String,
    owner: Option<&'a str>,
    enabled: bool,
}

impl<'a> ListedFile<'a> {
    fn mapping(mapping: &'a Mapping) -> ListedFile<'a> {
        ListedFile {
            scope: &mapping.scope,
            name: mapping.name.as_deref(),
            makes: format!("relationships {}", mapping.class),
            owner: mapping.owner.as_deref(),
            enabled: mapping.enabled,
        }
    }

    fn source(source: &'a SourceFile) -> ListedFile<'a> {
        ListedFile {
            scope: &source.scope,
            name: source.name.as_deref(),
            makes: "a scope of raw exports".to_owned(),
            owner: source.owner.as_deref(),
            enabled: source.enabled,
        }
    }
}

/// The list of all files.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    answer(&app, visit, |task| {
        let loaded = load(task.app);
        let recent = task.app.database.recent_jobs(JOBS)?;
        let files: Vec<ListedFile<'_>> = loaded
            .sources
            .iter()
            .map(ListedFile::source)
            .chain(loaded.mappings.iter().map(ListedFile::mapping))
            .collect();
        let body = html! {
            div class="head" { div {
                h1 { "Mappings and sources" }
                p class="sub" {
                    "The files of the folder that this server was given: "
                    code { (clean(&task.app.mappings.display().to_string())) }
                }
            } }
            div class="stackv" {
                (list(task, &files, &recent))
                (faults(&loaded.faults))
            }
        };
        Ok(PageContent::new(PageTab::Mappings, "Mappings and sources", body))
    })
    .await
}

fn last_job<'j>(jobs: &'j [JobReport], scope: &str) -> Option<&'j JobReport> {
    jobs.iter().find(|job| job.scope == scope)
}

fn list(task: &PageTask<'_>, files: &[ListedFile<'_>], recent: &[JobReport]) -> Markup {
    let columns = [
        TableColumn::text("Scope"),
        TableColumn::text("Makes"),
        TableColumn::text("Answers for it"),
        TableColumn::plain("Last job"),
        TableColumn::number("Relationships"),
        TableColumn::number("When"),
    ];
    let rows: Vec<Vec<Markup>> = files
        .iter()
        .map(|file| {
            let job = last_job(recent, file.scope);
            let scopes = task.frame.scopes.scopes.iter();
            let own = scopes.clone().find(|scope| scope.scope == file.scope);
            vec![
                html! {
                    a href=(PageAddress::segment("mappings", file.scope).text()) { (clean(file.scope)) }
                    @if let Some(name) = file.name { span class="sub block" { (clean(name)) } }
                },
                html! {
                    (clean(&file.makes))
                    @if !file.enabled { " " span class="tag" { "disabled" } }
                },
                html! { @if let Some(owner) = file.owner { (clean(owner)) } @else { span class="dim" { "nobody" } } },
                html! {
                    @match job {
                        Some(job) => { (jobs::status_tag(job.status)) }
                        None => { span class="tag" { "never applied" } }
                    }
                },
                html! { (count(own.map_or(0, |scope| scope.relationships))) },
                html! {
                    @if let Some(job) = job {
                        (ago(task.frame.now, job.end_timestamp.unwrap_or(job.start_timestamp)))
                    }
                },
            ]
        })
        .collect();
    let total = files.len() as u64;
    parts::panel(
        "h-m",
        "Files",
        &html! { (counted(total, "file", "files")) },
        &html! {
            @if rows.is_empty() {
                div class="body" { p class="sub" {
                    "There is none yet. " code { "tombolo new SCOPE" } " writes one, and "
                    code { "tombolo serve --mappings DIR" } " names another folder."
                } }
            } @else { (parts::table("Mappings and sources", &columns, &rows)) }
        },
    )
}

fn faults(faults: &[Diagnostic]) -> Markup {
    html! {
        @if !faults.is_empty() {
            (parts::panel("h-f", "Faults", &html! { (count(faults.len() as u64)) }, &html! {
                ul class="rows" { @for fault in faults.iter().take(LISTED) { li {
                    span {
                        (parts::sentence(&fault.message))
                        span class="sub block" { (place(fault)) }
                        @for help in &fault.helps { span class="sub block" { (parts::sentence(help)) } }
                    }
                    @match fault.severity {
                        DiagnosticSeverity::Error => { span class="tag fail" { "error" } }
                        DiagnosticSeverity::Warning => { span class="tag warn" { "warning" } }
                    }
                } } }
                @if faults.len() > LISTED { footer { span { (faults.len() - LISTED) " more" } } }
            }))
        }
    }
}

fn place(fault: &Diagnostic) -> String {
    let (line, column) = fault.place();
    clean(&format!("{}:{line}:{column} ({})", fault.source.file, fault.code)).into_owned()
}

/// One file, with its plan if that is asked for.
pub async fn one(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
    Path(scope): Path<String>,
) -> Response {
    answer(&app, visit, move |task| {
        let mut loaded = load(task.app);
        loaded.mappings.retain(|mapping| mapping.scope == scope);
        loaded.sources.retain(|source| source.scope == scope);
        if loaded.mappings.is_empty() && loaded.sources.is_empty() {
            let message = format!("no file of the folder of mappings writes the scope `{scope}`");
            return Err(ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", message).hint(
                "the list of mappings names all that can be read, and the faults of the others",
            ));
        }
        one_body(task, &scope, loaded)
    })
    .await
}

fn one_body(
    task: &PageTask<'_>,
    scope: &str,
    loaded: MappingFileSet,
) -> Result<PageContent, ApiError> {
    let mapping = loaded.mappings.first();
    let source = loaded.sources.first();
    let file = mapping.map(|m| &m.file).or(source.map(|s| &s.file));
    let file = file.map(|file| file.display().to_string()).unwrap_or_default();
    let name = mapping.and_then(|m| m.name.clone()).or(source.and_then(|s| s.name.clone()));
    let about = mapping.and_then(|m| m.description.clone());
    let about = about.or(source.and_then(|s| s.description.clone()));
    let recent = task.app.database.recent_jobs(JOBS)?;
    let head = html! {
        div class="head" {
            div {
                nav class="crumb" aria-label="Where" {
                    a href="/mappings" { "Mappings and sources" } span aria-hidden="true" { "/" }
                    span { (clean(scope)) }
                }
                h1 { (clean(name.as_deref().unwrap_or(scope))) }
                div class="under" { (parts::key(&file)) (parts::copy("path", &file)) }
                @if let Some(about) = &about { p class="sub" { (clean(about)) } }
            }
            div class="act" {
                form action=(PageAddress::segment("mappings", scope).text()) {
                    input type="hidden" name="plan" value="yes";
                    button class="btn main" { "Plan" }
                }
            }
        }
    };
    let command = ShellCommand::new("plan").word(&file).text();
    let plan = match task.visit.parameters.get("plan") {
        None => None,
        Some(_) => Some(plan(task, loaded)?),
    };
    let body = html! {
        (head)
        @if let Some(plan) = &plan { (plan) } @else {
            (parts::notes(&["a plan reads the rows and the graph, and changes nothing".to_owned()]))
        }
        div class="gap grid half" {
            (last(task, last_job(&recent, scope)))
            (walk_parts::behind(task, &command, None))
        }
    };
    let title = name.unwrap_or_else(|| scope.to_owned());
    Ok(PageContent::new(PageTab::Mappings, title, body))
}

fn last(task: &PageTask<'_>, job: Option<&JobReport>) -> Markup {
    parts::panel(
        "h-l",
        "Last job",
        &html! {},
        &html! {
            div class="body" {
                @match job {
                    None => { p class="sub" { "It was not applied lately." } }
                    Some(job) => {
                        @let [created, updated, deleted] = jobs::changes(job);
                        @let id = job.id.to_string();
                        p {
                            (jobs::status_tag(job.status)) " "
                            a class="mono" href={ "/jobs/" (id) } { (short_job(&id)) } ", "
                            (ago(task.frame.now, job.end_timestamp.unwrap_or(job.start_timestamp)))
                        }
                        p class="sub" {
                            (count(created)) " created, " (count(updated)) " updated, " (count(deleted)) " deleted"
                        }
                    }
                }
            }
        },
    )
}

fn plan(task: &PageTask<'_>, loaded: MappingFileSet) -> Result<Markup, ApiError> {
    let overrides = GuardOverrides::default();
    let options = MappingRunOptions { overrides: &overrides, details: 0 };
    let run = loaded.plan(&task.context(), &options)?;
    Ok(html! {
        @for outcome in &run.outcomes { (mapping_plan(outcome)) }
        @for outcome in &run.sources { (source_plan(outcome)) }
    })
}

/// What a plan comes to, in a word and a sentence.
fn state_note(state: &MappingState, changes: [u64; 3]) -> Markup {
    let [created, updated, deleted] = changes;
    let (kind, text) = match state {
        MappingState::Ready if changes == [0; 3] => {
            ("ok", "In step: it would change nothing.".to_owned())
        }
        MappingState::Ready => ("", "It can be applied.".to_owned()),
        MappingState::Applied(_) => ("ok", "Applied.".to_owned()),
        MappingState::Disabled => ("", "Its file disables it.".to_owned()),
        MappingState::Refused => ("fail", "A guard or a test objects.".to_owned()),
        MappingState::Failed => ("fail", "Its rows or the graph do not allow it.".to_owned()),
        MappingState::Broken(fault) => ("fail", fault.message().to_owned()),
    };
    html! {
        dl class="sum" {
            div { dt { "Would create" } dd { (count(created)) } }
            div { dt { "Would update" } dd { (count(updated)) } }
            div { dt { "Would delete" } dd { (count(deleted)) } }
        }
        div class="notes" { (parts::note(kind, &parts::sentence(&text))) }
    }
}

fn mapping_plan(outcome: &MappingOutcome) -> Markup {
    let changes = outcome.report().map_or([0; 3], jobs::changes);
    let rows = &outcome.resolved.count;
    let buckets = RowOutcome::ALL.iter().map(|bucket| (bucket.name(), rows.of(*bucket)));
    let unmatched = outcome.resolved.unmatched.iter();
    let unmatched: Vec<UnmatchedLine<'_>> =
        unmatched.map(|row| (row.place.as_str(), row.bucket.name(), row.reason.as_str())).collect();
    html! {
        (state_note(&outcome.state, changes))
        div class="stackv" {
            (bucket_panel("Rows by bucket", rows.read(), &buckets.collect::<Vec<_>>()))
            (unmatched_panel(&unmatched))
            (faults(&outcome.faults))
        }
    }
}

fn source_plan(outcome: &SourceRunOutcome) -> Markup {
    let changes = outcome.report().map_or([0; 3], jobs::changes);
    let counts = &outcome.resolved.count;
    let of = |all: &[SourceOutcome]| {
        all.iter().map(|bucket| (bucket.name(), counts.of(*bucket))).collect::<Vec<_>>()
    };
    let (entities, relationships) =
        (of(&SourceOutcome::ENTITIES), of(&SourceOutcome::RELATIONSHIPS));
    let sum = |all: &[(&str, u64)]| all.iter().map(|(_, n)| n).sum::<u64>();
    let unmatched = outcome.resolved.unmatched.iter();
    let unmatched: Vec<UnmatchedLine<'_>> = unmatched
        .map(|item| (item.place.as_str(), item.bucket.name(), item.reason.as_str()))
        .collect();
    html! {
        (state_note(&outcome.state, changes))
        div class="stackv" {
            (bucket_panel("Entities by bucket", sum(&entities), &entities))
            (bucket_panel("Relationships by bucket", sum(&relationships), &relationships))
            (unmatched_panel(&unmatched))
            (faults(&outcome.faults))
        }
    }
}

fn bucket_panel(title: &str, total: u64, buckets: &[(&str, u64)]) -> Markup {
    let id = format!("h-{}", title.replace(' ', "-").to_lowercase());
    let columns =
        [TableColumn::text("Bucket"), TableColumn::number("Number"), TableColumn::number("Share")];
    let shown = buckets.iter().filter(|(_, n)| *n > 0);
    let rows: Vec<Vec<Markup>> = shown
        .map(|(name, n)| {
            let share = (n * 100 + total / 2).checked_div(total).unwrap_or(0);
            vec![html! { (name) }, html! { (count(*n)) }, html! { (share) " %" }]
        })
        .collect();
    parts::panel(
        &id,
        title,
        &html! { (count(total)) },
        &html! {
            @if rows.is_empty() { div class="body" { p class="sub" { "None." } } }
            @else { (parts::table(title, &columns, &rows)) }
        },
    )
}

/// Place, bucket and reason of something that made nothing.
type UnmatchedLine<'a> = (&'a str, &'a str, &'a str);

fn unmatched_panel(lines: &[UnmatchedLine<'_>]) -> Markup {
    let columns =
        [TableColumn::text("Where"), TableColumn::plain("Bucket"), TableColumn::wide("Reason")];
    let rows: Vec<Vec<Markup>> = lines
        .iter()
        .take(LISTED)
        .map(|(place, bucket, reason)| {
            vec![
                html! { span class="mono" { (clean(place)) } },
                html! { (bucket) },
                parts::sentence(reason),
            ]
        })
        .collect();
    let more = lines.len().saturating_sub(LISTED);
    html! {
        @if !rows.is_empty() {
            (parts::panel("h-u", "Unmatched", &html! { (count(lines.len() as u64)) }, &html! {
                (parts::table("Unmatched rows with the reason", &columns, &rows))
                @if more > 0 { footer { span { (more) " more; " code { "tombolo plan --unmatched" } " lists all" } } }
            }))
        }
    }
}
