//! `tombolo query --check`: asks the saved questions that expect a number of rows, and tells which are off.

use super::args::{AnswerFormat, CheckBaselineArgs, QueryArgs};
use super::check_report::{self, ReportForm};
use super::failure::{CommandError, FAILED, MISTAKE};
use super::output::clean;
use super::{CommandContext, diagnostics, query};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::io::Write;
use tombolo::ErrorKind;
use tombolo::answers::{
    AnswerError, AskedQuestion, CheckReport, PromiseCheck, PromiseKind, PromiseVerdict,
    SavedQuestion, SavedQuestions,
};
use tombolo::query::QueryOptions;

/// A question that was asked, or could not be.
#[derive(Serialize)]
struct CheckedQuestion<'q> {
    name: &'q str,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'q str>,
    expected: String,
    /// The number of rows; `None` if the query cannot be read.
    found: Option<u64>,
    holds: bool,
    /// The answer, if it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Json>,
    /// Notes that make it doubtful whether the answer is the one that was meant.
    notes: Vec<String>,
    /// Offenders that the baseline does not know, those that it knows, and those that are gone.
    #[serde(flatten)]
    compared: Option<ComparedOffenders>,
}

/// Offenders of a question beside a baseline.
#[derive(Serialize)]
struct ComparedOffenders {
    new: Vec<String>,
    known: Vec<String>,
    gone: Vec<String>,
}

impl ComparedOffenders {
    fn of(check: &PromiseCheck) -> ComparedOffenders {
        let (known, new): (Vec<_>, Vec<_>) = check.offenders.iter().partition(|o| o.known);
        let names = |all: Vec<&tombolo::answers::PromiseOffender>| {
            all.into_iter().map(|offender| offender.name.clone()).collect()
        };
        ComparedOffenders { new: names(new), known: names(known), gone: check.gone.clone() }
    }
}

/// Asks every question that expects a number of rows. Tells which are off, and lists their rows.
pub fn check(
    context: &mut CommandContext<'_>,
    saved: &SavedQuestions,
    options: &QueryOptions,
    args: &QueryArgs,
) -> Result<u8, CommandError> {
    let (format, baseline) = (args.output, &args.baseline);
    // All questions are asked of one state, so none may name another.
    let options = &QueryOptions { past: false, ..options.clone() };
    let form = ReportForm::of_answer(format);
    if form.is_none() && !matches!(format, AnswerFormat::Table | AnswerFormat::Json) {
        let message = "--check gives a table, JSON, JUnit, SARIF or annotations of GitHub";
        return Err(CommandError::mistake(message)
            .hint("leave --output out, or set it to json, junit, sarif or github"));
    }
    // A baseline that cannot be read is told before the questions take their time.
    let known = check_report::load_baseline(baseline)?;
    let database = context.open_at(&args.past)?;
    let snapshot = database.snapshot()?;
    let mut checked = Vec::new();
    let mut report = CheckReport::default();
    for (name, question, expected) in saved.expecting() {
        let mut one = CheckedQuestion {
            name,
            about: question.about.as_deref(),
            expected: expected.words(),
            found: None,
            holds: false,
            answer: None,
            notes: Vec::new(),
            compared: None,
        };
        let mut check = described(saved, name, question);
        let meter = context.meter();
        let question_context = super::question(&database, &snapshot, &meter);
        match question.ask(name, expected, &question_context, options) {
            Ok(asked) => {
                let rows = asked.found.answer.len() as u64;
                (one.found, one.holds) = (Some(rows), asked.holds);
                check.verdict = match asked.holds {
                    true => PromiseVerdict::Holds,
                    false => PromiseVerdict::Fails,
                };
                check.message = message(question, rows, &one.expected);
                check = check.offended_by(asked.offenders()?);
                one.notes.clone_from(&asked.doubts);
                report.checks.push(check);
                compare_last(&mut report, known.as_ref());
                if known.is_some() {
                    one.compared = report.checks.last().map(ComparedOffenders::of);
                }
                show(context, &mut one, &asked, &snapshot, &meter, format)?;
            }
            // A query that cannot be read must not hide the results of the others.
            Err(error) if is_of_question(&error) => {
                tell_unread(context, name, &error)?;
                check.verdict = PromiseVerdict::Unreadable;
                check.message = error.message().to_owned();
                check.faults = error.diagnostics().to_vec();
                if let [fault, ..] = error.diagnostics() {
                    check.message.clone_from(&fault.message);
                }
                report.checks.push(check);
            }
            Err(error) => return Err(error.into()),
        }
        checked.push(one);
    }
    finish(context, report, &checked, format, baseline, known.as_ref())
}

/// Lays the baseline beside the question asked last, so that it is printed with its new offenders.
fn compare_last(report: &mut CheckReport, known: Option<&tombolo::answers::OffenderBaseline>) {
    let Some(known) = known else { return };
    let Some(last) = report.checks.pop() else { return };
    let mut one = CheckReport { checks: vec![last], compared: false };
    one.compare(known);
    report.checks.extend(one.checks.into_iter().take(1));
}

/// Prints the whole report, writes the baseline, and returns the exit code.
fn finish(
    context: &mut CommandContext<'_>,
    mut report: CheckReport,
    checked: &[CheckedQuestion<'_>],
    format: AnswerFormat,
    baseline: &CheckBaselineArgs,
    known: Option<&tombolo::answers::OffenderBaseline>,
) -> Result<u8, CommandError> {
    if let Some(known) = known {
        report.compare(known);
    }
    let unread = report.count(PromiseVerdict::Unreadable);
    let failing = report.count(PromiseVerdict::Fails);
    let off = checked.iter().filter(|one| one.found.is_some() && !one.holds).count();
    let asked = checked.len();
    match (ReportForm::of_answer(format), format) {
        (Some(form), _) => check_report::print(context, &report, form)?,
        (None, AnswerFormat::Json) => {
            let mut answer = json!({
                "asked": asked, "off": off, "unreadable": unread, "questions": checked,
            });
            if report.compared {
                answer["failing"] = json!(failing);
                let vanished = report.checks.iter();
                let vanished = vanished.filter(|c| c.verdict == PromiseVerdict::Vanished);
                answer["vanished"] =
                    vanished.map(|c| json!({ "name": c.name, "gone": c.gone })).collect();
            }
            context.out.json(&answer)?;
        }
        (None, _) => {
            check_report::tell_vanished(context, &report)?;
            let known = match report.count(PromiseVerdict::Known) {
                0 => String::new(),
                known => format!(" ({known} by known offenders only)"),
            };
            writeln!(context.out, "\n{asked} asked, {off} off{known}, {unread} unreadable")?;
        }
    }
    let written = check_report::write_baseline(context, &report, baseline)?;
    Ok(match (unread, failing) {
        (0, 0) => 0,
        // Everything that could be known is known now.
        (0, _) if written && report.checks.iter().all(is_known_when_written) => 0,
        (0, _) => FAILED,
        _ => MISTAKE,
    })
}

/// True if a promise fails for nothing that a new baseline does not know.
pub fn is_known_when_written(check: &PromiseCheck) -> bool {
    check.verdict < PromiseVerdict::Fails || !check.offenders.is_empty()
}

/// True for an error that another question need not have.
fn is_of_question(error: &AnswerError) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::LimitExceeded)
}

fn described(saved: &SavedQuestions, name: &str, question: &SavedQuestion) -> PromiseCheck {
    let file = saved.path.display().to_string();
    let check = PromiseCheck::new(PromiseKind::Question, &file, name, &file);
    PromiseCheck { place: (file, question.place.0, question.place.1), ..check }
}

fn message(question: &SavedQuestion, rows: u64, expected: &str) -> String {
    let counts = format!("{rows} found, {expected} expected");
    match &question.about {
        Some(about) => format!("{counts}: {about}"),
        None => counts,
    }
}

fn tell_unread(
    context: &mut CommandContext<'_>,
    name: &str,
    error: &AnswerError,
) -> Result<(), CommandError> {
    match error.diagnostics() {
        [] => {
            let words = format!("question `{name}`: {}", error.message());
            super::notes::tell(context, &[words])
        }
        faults => diagnostics::tell(context, faults, super::args::DiagnosticFormat::Human),
    }
}

/// Prints a question as it came out, and its rows if it is off.
fn show(
    context: &mut CommandContext<'_>,
    one: &mut CheckedQuestion<'_>,
    asked: &AskedQuestion<'_>,
    snapshot: &tombolo::store::Snapshot,
    meter: &tombolo::limits::CostMeter,
    format: AnswerFormat,
) -> Result<(), CommandError> {
    let listed = !one.holds && !asked.found.answer.is_empty();
    match format {
        AnswerFormat::Json => {
            let answer = listed.then(|| serde_json::to_value(asked.found.document(&[])));
            one.answer = answer.transpose()?;
        }
        AnswerFormat::Table => {
            one.print(context)?;
            if listed {
                query::print(&mut context.out, snapshot, &asked.found, format, meter, &[])?;
            }
        }
        _ => {}
    }
    Ok(())
}

impl CheckedQuestion<'_> {
    /// Prints how a question that was asked came out.
    fn print(&self, context: &mut CommandContext<'_>) -> Result<(), CommandError> {
        let known = self.compared.as_ref().is_some_and(|c| c.new.is_empty() && !c.known.is_empty());
        let mark = context.out.sign(match (self.holds, known) {
            (true, _) => '=',
            (false, true) => '~',
            (false, false) => '!',
        });
        let about = self.about.map(|about| format!("   {}", clean(about))).unwrap_or_default();
        let (name, rows, words) = (clean(self.name), self.found.unwrap_or(0), &self.expected);
        writeln!(context.out, "{mark} {name}   {rows} found, {words} expected{about}")?;
        for note in &self.notes {
            writeln!(context.out, "  note: {}", clean(note))?;
        }
        let Some(compared) = &self.compared else { return Ok(()) };
        for (word, names) in
            [("new", &compared.new), ("known", &compared.known), ("gone", &compared.gone)]
        {
            if !names.is_empty() {
                let names = check_report::listed(names);
                writeln!(context.out, "  {word}: {}", clean(&names))?;
            }
        }
        Ok(())
    }
}
