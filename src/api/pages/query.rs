//! Questions in J1QL: the editor, a fault with its place, the rows, and the questions of `queries.toml`.

use super::super::AppState;
use super::super::api_error::{ApiError, status_of};
use super::address::{PageAddress, PageParameters};
use super::page::{PageContent, PageTask, PageVisit, answer_at};
use super::parts::{self, ListWindow, count, counted};
use super::query_rows::QueryRows;
use super::saved;
use super::shell::PageTab;
use super::state;
use super::walk_parts::{self, ShellCommand};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::sync::Arc;
use tombolo::answers::{
    AnswerError, QueryFindings, QueryRequest, QuestionContext, SavedQuestions, StatsAnswer,
    asked_state, clean, question_file, read_query, rules_in_force,
};
use tombolo::db::Database;
use tombolo::lang::{Diagnostic, SourceText};
use tombolo::query::{Query, QueryOptions, QueryParameter};

/// Rows of a page of the answer.
const ROWS: usize = 50;
/// Longest query, in characters.
const QUERY_MAX: usize = 64 << 10;
/// Classes beside the editor.
const CLASSES: usize = 12;

/// The page.
pub async fn page(
    State(app): State<Arc<AppState>>,
    Extension(visit): Extension<PageVisit>,
) -> Response {
    answer_at(&app, visit, show).await
}

/// A query that was asked, or could not be.
struct AskedQuery {
    text: String,
    /// The placeholders of the query.
    placeholders: Vec<String>,
    outcome: QueryOutcome,
}

enum QueryOutcome {
    /// No query was given.
    None,
    /// Placeholders wait for their values.
    Waits,
    /// The rows, laid out.
    Rows(Markup),
    /// It could not be read or asked.
    Fault(AnswerError),
}

fn show(task: &PageTask<'_>) -> Result<PageContent, ApiError> {
    let questions = SavedQuestions::load(&question_file(), false);
    let asked = ask(task, &questions)?;
    let status = match &asked.outcome {
        QueryOutcome::Fault(fault) => status_of(fault.kind()),
        _ => StatusCode::OK,
    };
    let saved = match &questions {
        Ok(questions) => saved::panel(task, questions)?,
        Err(fault) => walk_parts::fault_note(fault),
    };
    let body = html! {
        div class="head" { div {
            h1 { "Query" }
            p class="sub" {
                "J1QL over all scopes. " kbd { "Ctrl" } " " kbd { "Enter" } " runs, " kbd { "Tab" } " completes, " kbd { "Esc" } " leaves the list."
            }
        } }
        div class="grid two" {
            div class="stackv" {
                (editor(task, &asked))
                @if let QueryOutcome::Rows(rows) = &asked.outcome { (rows) }
                @if !asked.text.is_empty() { (walk_parts::behind(task, &command(&asked, task), None)) }
            }
            div class="stackv" { (saved) (vocabulary(task)?) }
        }
    };
    Ok(PageContent { status, ..PageContent::new(PageTab::Query, "Query", body) })
}

/// The values of placeholders, whose fields are called `p.NAME`.
fn given(parameters: &PageParameters, placeholders: &[String]) -> BTreeMap<String, QueryParameter> {
    let value = |name: &String| {
        let text = parameters.get(&format!("p.{name}"))?;
        Some((name.clone(), QueryParameter::read(text)))
    };
    placeholders.iter().filter_map(value).collect()
}

fn ask(
    task: &PageTask<'_>,
    questions: &Result<SavedQuestions, AnswerError>,
) -> Result<AskedQuery, ApiError> {
    let parameters = &task.visit.parameters;
    let mut asked =
        AskedQuery { text: String::new(), placeholders: Vec::new(), outcome: QueryOutcome::None };
    let named = parameters.get("run").zip(questions.as_ref().ok());
    let text = match named.map(|(name, questions)| questions.find(name)) {
        Some(Ok(question)) => question.query.as_str().trim().to_owned(),
        Some(Err(fault)) => {
            asked.outcome = QueryOutcome::Fault(fault);
            return Ok(asked);
        }
        None => parameters.get("q").unwrap_or_default().replace("\r\n", "\n"),
    };
    if text.trim().is_empty() {
        return Ok(asked);
    }
    if text.len() > QUERY_MAX {
        return Err(ApiError::bad(format!("a query has at most {} KiB", QUERY_MAX >> 10)));
    }
    asked.text = text;
    asked.outcome = match answered(task, questions.as_ref().ok(), &mut asked) {
        Ok(outcome) => outcome,
        Err(fault) => QueryOutcome::Fault(fault),
    };
    Ok(asked)
}

fn answered(
    task: &PageTask<'_>,
    questions: Option<&SavedQuestions>,
    asked: &mut AskedQuery,
) -> Result<QueryOutcome, AnswerError> {
    let source = SourceText::whole("query", asked.text.as_str());
    let options = options(task, questions, BTreeMap::new())?;
    // Read without values first: a query may be looked at before its placeholders are filled in.
    let open = QueryOptions { parameters: None, ..options };
    let query = read_query(&source, &open)?;
    asked.placeholders = query.parameters.iter().cloned().collect();
    let values = given(&task.visit.parameters, &asked.placeholders);
    if values.len() < asked.placeholders.len() {
        return Ok(QueryOutcome::Waits);
    }
    let query = read_query(&source, &self::options(task, questions, values)?)?;
    let beside = task.frame.past.as_ref().map(|past| &past.point);
    let past = match query.past_point() {
        Some(_) => asked_state(&task.app.database, &query, beside)?,
        // The page shows the state that was asked beside the query.
        None => None,
    };
    let old = past.as_ref().map(Database::snapshot).transpose()?;
    let context = match (&past, &old) {
        (Some(database), Some(snapshot)) => {
            QuestionContext { database, snapshot, ..task.context() }
        }
        _ => task.context(),
    };
    let found = QueryFindings::ask(&context, &query)?;
    let notes = found.notes(&context, &query)?;
    let mut notes: Vec<String> = notes.into_iter().map(|note| note.text).collect();
    if let Some(state) = past.as_ref().and_then(Database::past_state) {
        notes.push(format!("these rows are of the past: revision {}", state.revision));
    }
    let total = found.answer.len();
    let window = ListWindow::new(task.visit.parameters.page(), ROWS, total);
    let at = past.as_ref().and_then(Database::past_state).map(|state| state.revision.to_string());
    let rows = QueryRows { task, snapshot: context.snapshot, at };
    let rows = rows.table(&found.answer, &window)?;
    Ok(QueryOutcome::Rows(rows_panel(task, &query, &notes, (total, window), &rows)))
}

/// The options of reading a query.
pub fn options(
    task: &PageTask<'_>,
    questions: Option<&SavedQuestions>,
    values: BTreeMap<String, QueryParameter>,
) -> Result<QueryOptions, AnswerError> {
    let request = QueryRequest {
        parameters: values,
        now: task.frame.now,
        smart_classes: questions.map(|all| all.smart_classes.clone()).unwrap_or_default(),
        smart_verbs: questions.map(|all| all.smart_verbs.clone()).unwrap_or_default(),
        ..QueryRequest::default()
    };
    Ok(request.options(rules_in_force()?, task.context().meter.deadline()))
}

fn rows_panel(
    task: &PageTask<'_>,
    query: &Query,
    notes: &[String],
    (total, window): (usize, ListWindow),
    rows: &Markup,
) -> Markup {
    let noun = if query.columns().is_some() { ("row", "rows") } else { ("entity", "entities") };
    let parameters = &task.visit.parameters;
    let to = |page: usize| {
        let mut address = PageAddress::new("/query");
        for (name, value) in parameters.pairs().filter(|(name, _)| !["page", "at"].contains(name)) {
            address = address.with(name, value);
        }
        let address = task.frame.keep(address).with("page", &page.to_string());
        format!("{}#h-r", address.text())
    };
    html! {
        @if !query.lints.is_empty() {
            div class="notes" { @for lint in &query.lints { (parts::note("warn", &parts::sentence(&lint.message))) } }
        }
        (parts::notes(notes))
        (parts::panel("h-r", &counted(total as u64, noun.0, noun.1), &html! {}, &html! {
            @if total > 0 { (rows) } @else { div class="body" { p class="sub" { "Nothing was found." } } }
            (window.foot(to))
        }))
    }
}

fn editor(task: &PageTask<'_>, asked: &AskedQuery) -> Markup {
    let parameters = &task.visit.parameters;
    let fault = match &asked.outcome {
        QueryOutcome::Fault(fault) => Some(fault),
        _ => None,
    };
    let diagnostic = fault.and_then(|fault| fault.diagnostics().first());
    html! {
        form class="panel" action="/query" aria-label="Ask in J1QL" { div class="body" {
            label for="j" { "J1QL" }
            div class="editor" {
                @if let Some(diagnostic) = diagnostic { (marked(&asked.text, diagnostic)) }
                textarea id="j" name="q" rows="5" spellcheck="false" autocapitalize="off"
                    autocomplete="off" data-complete=(task.frame.keep(PageAddress::new("/complete")).text())
                    aria-invalid=[fault.map(|_| "true")] aria-describedby=[fault.map(|_| "fault")] {
                    // A browser drops a line feed at the beginning.
                    "\n" (asked.text)
                }
                div class="complete" id="complete" hidden {
                    kbd { "Tab" } ul aria-label="Completions" {}
                }
            }
            @if let Some(fault) = fault { div class="notes" { (told(task, asked, fault, diagnostic)) } }
            (placeholders(parameters, asked))
            div class="filters plain-f" { (state::field(parameters)) div class="go" { button class="btn main" { "Run" } } }
        } }
    }
}

fn placeholders(parameters: &PageParameters, asked: &AskedQuery) -> Markup {
    html! {
        @if !asked.placeholders.is_empty() {
            @if matches!(asked.outcome, QueryOutcome::Waits) {
                div class="notes" { (parts::note("", &html! { "The query asks for values." })) }
            }
            div class="filters plain-f" {
                @for name in &asked.placeholders {
                    (walk_parts::field(&clean(name), &format!("p.{name}"),
                        parameters.get(&format!("p.{name}")).unwrap_or_default(), None, ""))
                }
            }
        }
    }
}

/// The text of the editor once more, below it, with the place of the fault marked.
fn marked(text: &str, diagnostic: &Diagnostic) -> Markup {
    let range = place(text, diagnostic);
    html! {
        pre class="under-l" aria-hidden="true" {
            (text[..range.start]) u { (text[range.clone()]) } (text[range.end..])
        }
    }
}

/// The bytes of a fault, cut to whole characters.
fn place(text: &str, diagnostic: &Diagnostic) -> std::ops::Range<usize> {
    let labels = &diagnostic.labels;
    let label = labels.iter().find(|label| label.primary).or(labels.first());
    let range = label.map_or(0..0, |label| label.range.clone());
    let whole = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    let start = whole(range.start).unwrap_or(0);
    start..whole(range.end).unwrap_or(0).max(start)
}

fn told(
    task: &PageTask<'_>,
    asked: &AskedQuery,
    fault: &AnswerError,
    diagnostic: Option<&Diagnostic>,
) -> Markup {
    let Some(diagnostic) = diagnostic else {
        return html! {
            div class="fault" id="fault" role="alert" {
                p { (parts::sentence(fault.message())) }
                @if let Some(advice) = fault.advice() { p class="sub" { (parts::sentence(&advice.to_string())) } }
            }
        };
    };
    let (line, column) = diagnostic.place();
    html! {
        div class="fault" id="fault" role="alert" {
            p { b { "Line " (line) ", column " (column) ": " } (parts::sentence(&diagnostic.message)) }
            (caret(&asked.text, diagnostic))
            @for note in &diagnostic.notes { p class="sub" { (parts::sentence(note)) } }
            @for help in &diagnostic.helps { p class="sub" { (parts::sentence(help)) } }
            @if let Some(fixed) = fixed(&asked.text, diagnostic) {
                p { a class="btn small" href=(task.frame.query(&fixed)) { "Apply the fix" } }
            }
        }
    }
}

/// The line of a fault with carets below its place.
fn caret(text: &str, diagnostic: &Diagnostic) -> Markup {
    let range = place(text, diagnostic);
    let begin = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[begin..].find('\n').map_or(text.len(), |at| begin + at);
    let blank = text[begin..range.start].chars().map(|c| if c == '\t' { '\t' } else { ' ' });
    let blank: String = blank.collect();
    let carets = text[range.start..range.end.min(end).max(range.start)].chars().count().max(1);
    let labels = &diagnostic.labels;
    let words = labels.iter().find(|label| label.primary).map_or("", |label| label.text.as_str());
    html! {
        pre tabindex="0" role="region" aria-label="Place of the fault" {
            (text[begin..end]) "\n" (blank)
            span class="caret" { ("^".repeat(carets)) @if !words.is_empty() { " " (clean(words)) } }
        }
    }
}

/// The text with the edit that fixes it.
fn fixed(text: &str, diagnostic: &Diagnostic) -> Option<String> {
    let edit = diagnostic.patch.as_ref()?;
    let (before, after) = (text.get(..edit.range.start)?, text.get(edit.range.end..)?);
    Some(format!("{before}{}{after}", edit.replacement))
}

fn command(asked: &AskedQuery, task: &PageTask<'_>) -> String {
    let parameters = &task.visit.parameters;
    let command = match parameters.get("run") {
        Some(name) => ShellCommand::new("query").flag("run", name),
        None => ShellCommand::new("query").lines(&asked.text),
    };
    let given = asked.placeholders.iter().filter_map(|name| {
        let value = parameters.get(&format!("p.{name}"))?;
        Some(format!("{name}={value}"))
    });
    let command = given.fold(command, |command, pair| command.flag("param", &pair));
    command.flag("at", task.frame.at()).text()
}

/// What can be asked about: the classes with the most entities.
fn vocabulary(task: &PageTask<'_>) -> Result<Markup, ApiError> {
    let stats = StatsAnswer::read(task.database(), &task.snapshot)?;
    let list = |kind: &str| {
        let own = stats.classes.iter().filter(|class| class.kind == kind && class.live > 0);
        let mut all: Vec<(String, u64)> =
            own.map(|class| (class.class.clone(), class.live)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        all
    };
    let table = |caption: &str, all: &[(String, u64)], query: &dyn Fn(&str) -> String| {
        html! {
            table {
                caption class="sr" { (caption) }
                tbody { @for (name, n) in all.iter().take(CLASSES) { tr {
                    th scope="row" { a href=(task.frame.query(&query(name))) { (clean(name)) } }
                    td class="num" { (count(*n)) }
                } } }
            }
            @if all.len() > CLASSES { footer { span { (all.len() - CLASSES) " more" } } }
        }
    };
    let (classes, verbs) = (list("entities"), list("relationships"));
    Ok(html! {
        @if !classes.is_empty() {
            (parts::panel("h-n", "Classes", &html! { (classes.len()) },
                &table("Classes with their entities", &classes, &|class| format!("FIND {class}"))))
        }
        @if !verbs.is_empty() {
            (parts::panel("h-v", "Verbs", &html! { (verbs.len()) },
                &table("Verbs with their relationships", &verbs, &|verb| format!("FIND * AS a THAT {verb} AS r * AS b\n  RETURN a, b"))))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_marked_where_it_is() {
        let text = "FIND Usér\n\tWTH x";
        let source = SourceText::whole("query", text);
        let at = text.find("WTH").expect("it is there");
        let fault = Diagnostic::error("Q", &source, "no")
            .at(at..at + 3, "did you mean WITH?")
            .patch("fix", at..at + 3, "WITH");
        let told = caret(text, &fault).into_string();
        assert!(told.contains("\tWTH x\n\t<span class=\"caret\">^^^ did you mean WITH?"), "{told}");
        assert_eq!(fixed(text, &fault).as_deref(), Some("FIND Usér\n\tWITH x"));
        assert!(marked(text, &fault).into_string().contains("<u>WTH</u>"));
        let behind = Diagnostic::error("Q", &source, "no").at(99..120, "");
        assert_eq!(place(text, &behind), text.len()..text.len());
        assert!(fixed(text, &behind.patch("x", 50..60, "")).is_none());
    }
}
