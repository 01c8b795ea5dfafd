//! What was promised and whether it holds, as machines of CI read it: JUnit, SARIF, and annotations of a
//! GitHub workflow; and the baseline that is laid beside it.

use super::CommandContext;
use super::args::{AnswerFormat, CheckBaselineArgs, DiagnosticFormat, PlanFormat};
use super::failure::CommandError;
use super::output::clean;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_sarif::sarif::{
    ArtifactLocation, Location, LogicalLocation, MultiformatMessageString, PhysicalLocation,
    Region, ReportingDescriptor, Result as SarifResult, ResultBaselineState, ResultLevel, Run,
    Sarif, Tool, ToolComponent,
};
use std::collections::BTreeMap;
use std::io::Write;
use tombolo::answers::{
    CheckReport, OffenderBaseline, PromiseCheck, PromiseKind, PromiseOffender, PromiseVerdict,
};
use tombolo::lang::{Diagnostic, DiagnosticSeverity};

/// Offenders that a message lists; files for programs have all.
const LISTED: usize = 10;

/// The form of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportForm {
    /// Test cases in XML.
    Junit,
    /// Findings for code scanning.
    Sarif,
    /// Commands of a GitHub workflow.
    Github,
}

impl ReportForm {
    /// The form among those of an answer.
    pub fn of_answer(format: AnswerFormat) -> Option<ReportForm> {
        match format {
            AnswerFormat::Junit => Some(ReportForm::Junit),
            AnswerFormat::Sarif => Some(ReportForm::Sarif),
            AnswerFormat::Github => Some(ReportForm::Github),
            _ => None,
        }
    }

    /// The form among those of a plan.
    pub fn of_plan(format: PlanFormat) -> Option<ReportForm> {
        match format {
            PlanFormat::Junit => Some(ReportForm::Junit),
            PlanFormat::Sarif => Some(ReportForm::Sarif),
            PlanFormat::Github => Some(ReportForm::Github),
            PlanFormat::Table | PlanFormat::Json | PlanFormat::Markdown => None,
        }
    }

    /// The form among those of faults. Annotations of faults are printed one by one.
    pub fn of_faults(format: DiagnosticFormat) -> Option<ReportForm> {
        match format {
            DiagnosticFormat::Junit => Some(ReportForm::Junit),
            DiagnosticFormat::Sarif => Some(ReportForm::Sarif),
            DiagnosticFormat::Human | DiagnosticFormat::Json | DiagnosticFormat::Github => None,
        }
    }
}

/// Reads the baseline that was named. One that is about to be written need not be there.
pub fn load_baseline(args: &CheckBaselineArgs) -> Result<Option<OffenderBaseline>, CommandError> {
    let Some(path) = &args.baseline else { return Ok(None) };
    if args.write_baseline {
        return Ok(Some(OffenderBaseline::load_or_default(path)?));
    }
    let loaded = OffenderBaseline::load(path).map_err(CommandError::from);
    Ok(Some(loaded.map_err(|error| match path.exists() {
        true => error,
        false => error.hint("--write-baseline writes it"),
    })?))
}

/// Writes the baseline, if that was asked for: the offenders of this report, and what it knew of promises
/// that were not asked. True if it was written.
pub fn write_baseline(
    context: &mut CommandContext<'_>,
    report: &CheckReport,
    args: &CheckBaselineArgs,
) -> Result<bool, CommandError> {
    let Some(path) = args.baseline.as_ref().filter(|_| args.write_baseline) else {
        return Ok(false);
    };
    let mut baseline = OffenderBaseline::load_or_default(path)?;
    report.renew(&mut baseline);
    baseline.save(path).map_err(|e| CommandError::file(path, "write", &e))?;
    let known: usize = report.checks.iter().map(|check| check.offenders.len()).sum();
    let offenders = super::output::counted(known as u64, "known offender", "known offenders");
    super::notes::tell(context, &[format!("`{}` holds {offenders}", path.display())])?;
    Ok(true)
}

/// Tells of promises that only the baseline knows.
pub fn tell_vanished(
    context: &mut CommandContext<'_>,
    report: &CheckReport,
) -> Result<(), CommandError> {
    for check in report.checks.iter().filter(|c| c.verdict == PromiseVerdict::Vanished) {
        let names = listed(&check.gone);
        let (kind, name) = (check.kind.word(), clean(&check.name));
        writeln!(context.out, "- {kind} {name}   {}\n  gone: {}", check.message, clean(&names))?;
    }
    Ok(())
}

/// Tells of each test with offenders which of them are new, which known and which gone.
pub fn tell_tests(
    context: &mut CommandContext<'_>,
    report: &CheckReport,
) -> Result<(), CommandError> {
    let vanished = |check: &PromiseCheck| check.verdict == PromiseVerdict::Vanished;
    let tests = report.checks.iter().filter(|check| check.kind == PromiseKind::Test);
    for check in tests.filter(|check| !vanished(check)) {
        let (known, new): (Vec<_>, Vec<_>) = check.offenders.iter().partition(|o| o.known);
        let names = |all: Vec<&PromiseOffender>| -> Vec<String> {
            all.into_iter().map(|offender| offender.name.clone()).collect()
        };
        let lists = [("new", names(new)), ("known", names(known)), ("gone", check.gone.clone())];
        if lists.iter().all(|(_, names)| names.is_empty()) {
            continue;
        }
        let sign = context.out.sign(if check.verdict < PromiseVerdict::Warns { '~' } else { '!' });
        writeln!(context.out, "\n{sign} {}", clean(&title(check)))?;
        for (word, names) in lists.iter().filter(|(_, names)| !names.is_empty()) {
            writeln!(context.out, "  {word}: {}", clean(&listed(names)))?;
        }
    }
    tell_vanished(context, report)
}

/// Names the first of them, and how many more there are.
pub fn listed(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    match names.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        more => format!("{}, and {more} more", first.join(", ")),
    }
}

/// Prints a report.
pub fn print(
    context: &mut CommandContext<'_>,
    report: &CheckReport,
    form: ReportForm,
) -> Result<(), CommandError> {
    match form {
        ReportForm::Junit => {
            let text = junit(report).to_string().map_err(std::io::Error::other)?;
            Ok(context.out.write_all(text.as_bytes())?)
        }
        ReportForm::Sarif => context.out.json(&sarif(report)),
        ReportForm::Github => annotations(context, report),
    }
}

/// Returns what a check is called, beside others: `question unowned-buckets`.
fn title(check: &PromiseCheck) -> String {
    match check.kind {
        PromiseKind::Question => format!("question {}", check.name),
        PromiseKind::Test => format!("test of {}: {}", check.group, check.name),
        PromiseKind::Guards => format!("guards of {}", check.group),
        PromiseKind::File => check.group.clone(),
    }
}

/// Returns message, faults and offenders, new ones first.
fn details(check: &PromiseCheck, limit: usize) -> String {
    let mut lines = vec![check.message.clone()];
    for fault in &check.faults {
        let (line, column) = fault.place();
        if fault.message != check.message {
            lines.push(format!("{}:{line}:{column}: {}", fault.source.file, fault.message));
        }
        lines.extend(fault.notes.iter().map(|note| format!("note: {note}")));
        lines.extend(fault.helps.iter().map(|help| format!("help: {help}")));
    }
    let (known, new): (Vec<_>, Vec<_>) = check.offenders.iter().partition(|o| o.known);
    let mut put = |word: &str, names: Vec<&str>| {
        let more = names.len().saturating_sub(limit);
        lines.extend(names.iter().take(limit).map(|name| format!("{word}: {name}")));
        lines.extend((more > 0).then(|| format!("{word}: and {more} more")));
    };
    let names = |all: Vec<&'_ PromiseOffender>| -> Vec<String> {
        all.into_iter().map(|offender| offender.name.clone()).collect()
    };
    let (new, known) = (names(new), names(known));
    // Without a baseline none is new or old.
    let word = if known.is_empty() && check.gone.is_empty() { "offender" } else { "new offender" };
    put(word, new.iter().map(String::as_str).collect());
    put("known offender", known.iter().map(String::as_str).collect());
    put("gone", check.gone.iter().map(String::as_str).collect());
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn junit(report: &CheckReport) -> Report {
    let mut groups: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for check in &report.checks {
        let status = match check.verdict {
            PromiseVerdict::Holds | PromiseVerdict::Warns => TestCaseStatus::success(),
            PromiseVerdict::Known | PromiseVerdict::Skipped | PromiseVerdict::Vanished => {
                TestCaseStatus::skipped()
            }
            PromiseVerdict::Fails => TestCaseStatus::non_success(NonSuccessKind::Failure),
            PromiseVerdict::Unreadable => TestCaseStatus::non_success(NonSuccessKind::Error),
        };
        let mut status = status;
        let text = details(check, usize::MAX);
        status.set_message(match check.verdict {
            PromiseVerdict::Known => format!("known offenders only; {}", check.message),
            _ => check.message.clone(),
        });
        status.set_type(check.kind.word()).set_description(text.as_str());
        let passes = matches!(check.verdict, PromiseVerdict::Holds | PromiseVerdict::Warns);
        let mut case = TestCase::new(check.name.as_str(), status);
        case.set_classname(format!("{}.{}", check.kind.word(), check.group));
        if passes && !text.is_empty() {
            case.set_system_out(text.as_str());
        }
        let group = check.group.as_str();
        groups.entry(group).or_insert_with(|| TestSuite::new(group)).add_test_case(case);
    }
    let mut all = Report::new("tombolo");
    all.add_test_suites(groups.into_values());
    all
}

/// The rule that a check is an instance of.
fn rule_id(check: &PromiseCheck) -> String {
    match check.kind {
        PromiseKind::Question => format!("question/{}", check.name),
        kind => format!("{}/{}/{}", kind.word(), check.group, check.name),
    }
}

fn sarif(report: &CheckReport) -> Sarif {
    let mut rules: BTreeMap<String, String> = BTreeMap::new();
    let mut results = Vec::new();
    for check in &report.checks {
        if check.faults.is_empty() || !check.offenders.is_empty() {
            rules.insert(rule_id(check), title(check));
        }
        for fault in check.faults.iter().filter(|_| check.offenders.is_empty()) {
            rules.entry(fault.code.to_owned()).or_insert_with(|| format!("fault {}", fault.code));
        }
        results.extend(findings(check, report.compared));
    }
    let rules = rules.into_iter().map(|(id, text)| {
        let text = MultiformatMessageString::from(&text);
        ReportingDescriptor::builder().id(id).short_description(text).build()
    });
    let driver = ToolComponent::builder()
        .name("tombolo")
        .version(env!("CARGO_PKG_VERSION"))
        .rules(rules.collect::<Vec<_>>())
        .build();
    let run = Run::builder().tool(Tool::from(driver)).results(results).build();
    Sarif::builder()
        .schema("https://json.schemastore.org/sarif-2.1.0.json")
        .version(serde_json::json!("2.1.0"))
        .runs(vec![run])
        .build()
}

/// The findings of one check: a fault, an offender or a broken promise each.
fn findings(check: &PromiseCheck, compared: bool) -> Vec<SarifResult> {
    let mut found = Vec::new();
    let broken = check.verdict >= PromiseVerdict::Known;
    let level = match check.verdict {
        PromiseVerdict::Warns => ResultLevel::Warning,
        _ => ResultLevel::Error,
    };
    for offender in check.offenders.iter().filter(|_| broken) {
        let level = if offender.known { ResultLevel::Note } else { level };
        let state = match offender.known {
            true => ResultBaselineState::Unchanged,
            false => ResultBaselineState::New,
        };
        found.push(offense(check, &offender.name, level, compared.then_some(state)));
    }
    for name in &check.gone {
        found.push(offense(check, name, ResultLevel::None, Some(ResultBaselineState::Absent)));
    }
    if check.offenders.is_empty() {
        found.extend(check.faults.iter().map(|fault| finding(fault, compared)));
        if broken && check.faults.is_empty() {
            let result = SarifResult::builder()
                .rule_id(rule_id(check))
                .level(level)
                .message(check.message.as_str())
                .locations(vec![location(&check.place, None)]);
            found.push(with_state(result.build(), compared.then_some(ResultBaselineState::New)));
        }
    }
    found
}

fn with_state(mut result: SarifResult, state: Option<ResultBaselineState>) -> SarifResult {
    result.baseline_state = state.map(|state| serde_json::json!(state));
    result
}

fn offense(
    check: &PromiseCheck,
    name: &str,
    level: ResultLevel,
    state: Option<ResultBaselineState>,
) -> SarifResult {
    let rule = rule_id(check);
    let prints = BTreeMap::from([("offender/v1".to_owned(), format!("{rule}/{name}"))]);
    let message = format!("`{name}`: {}", check.message);
    let result = SarifResult::builder()
        .rule_id(rule)
        .level(level)
        .message(message.as_str())
        .partial_fingerprints(prints)
        .locations(vec![location(&check.place, Some(name))]);
    with_state(result.build(), state)
}

fn finding(fault: &Diagnostic, compared: bool) -> SarifResult {
    let (line, column) = fault.place();
    let level = match fault.severity {
        DiagnosticSeverity::Error => ResultLevel::Error,
        DiagnosticSeverity::Warning => ResultLevel::Warning,
    };
    let mut message = fault.message.clone();
    fault.notes.iter().for_each(|note| message += &format!("\nnote: {note}"));
    fault.helps.iter().for_each(|help| message += &format!("\nhelp: {help}"));
    let result = SarifResult::builder()
        .rule_id(fault.code)
        .level(level)
        .message(message.as_str())
        .locations(vec![location(&(fault.source.file.clone(), line, column), None)]);
    with_state(result.build(), compared.then_some(ResultBaselineState::New))
}

/// The place in a file, and the entity that it is about.
fn location((file, line, column): &(String, usize, usize), entity: Option<&str>) -> Location {
    let region = Region::builder().start_line(*line as i64).start_column(*column as i64).build();
    let artifact = ArtifactLocation::builder().uri(file.replace(' ', "%20")).build();
    let place = PhysicalLocation::builder().artifact_location(artifact).region(region).build();
    let mut location = Location::builder().physical_location(place).build();
    location.logical_locations = entity.map(|name| {
        vec![LogicalLocation::builder().fully_qualified_name(name).kind("entity").build()]
    });
    location
}

/// Writes one annotation for each promise that is broken: GitHub shows few of them.
fn annotations(context: &mut CommandContext<'_>, report: &CheckReport) -> Result<(), CommandError> {
    use super::diagnostics::{annotation_data, annotation_property};
    for check in &report.checks {
        let severity = match check.verdict {
            PromiseVerdict::Fails | PromiseVerdict::Unreadable => "error",
            PromiseVerdict::Warns => "warning",
            PromiseVerdict::Known => "notice",
            _ if check.gone.is_empty() => continue,
            _ => "notice",
        };
        let (file, line, column) = &check.place;
        let (file, title) = (annotation_property(file), annotation_property(&title(check)));
        let text = annotation_data(&details(check, LISTED));
        let place = format!("file={file},line={line},col={column}");
        writeln!(context.out, "::{severity} {place},title={title}::{text}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> CheckReport {
        let check = |name: &str| {
            PromiseCheck::new(PromiseKind::Question, "queries.toml", name, "queries.toml")
        };
        let offended = check("owned").offended_by(["a::1".to_owned(), "a::<2>\u{7}".to_owned()]);
        let mut checks = vec![
            PromiseCheck { message: "0 found, 0 expected".into(), ..check("fine") },
            PromiseCheck {
                verdict: PromiseVerdict::Fails,
                message: "2 found, 0 expected".into(),
                gone: vec!["a::3".into()],
                ..offended
            },
        ];
        checks[1].offenders[1].known = true;
        CheckReport { checks, compared: true }
    }

    #[test]
    fn junit_has_one_case_for_each_promise() {
        let text = junit(&report()).to_string().expect("XML");
        let read = Report::deserialize_from_str(&text).expect("what was written can be read");
        let cases = &read.test_suites[0].test_cases;
        assert_eq!((read.tests, read.failures, cases.len()), (2, 1, 2));
        assert!(text.contains("new offender: a::1"), "{text}");
        assert!(!text.contains('\u{7}'), "{text}");
    }

    #[test]
    fn sarif_has_one_result_for_each_offender_with_its_state() {
        let text = serde_json::to_string(&sarif(&report())).expect("JSON");
        let read: Sarif = serde_json::from_str(&text).expect("what was written can be read");
        let results = read.runs[0].results.as_ref().expect("results");
        let states: Vec<String> =
            results.iter().map(|r| serde_json::json!(r.baseline_state).to_string()).collect();
        assert_eq!(states, ["\"new\"", "\"unchanged\"", "\"absent\""], "{text}");
    }
}
