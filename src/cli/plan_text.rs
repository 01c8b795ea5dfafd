//! The output of `plan` and `apply`: a table for people, Markdown for pull requests, JSON for
//! programs.

use super::CommandContext;
use super::args::{PlanDisplayArgs, PlanFormat};
use super::check_report::{self, ReportForm};
use super::failure::{CommandError, exit_code, kind_code};
use super::impact;
use super::layout::{padded, width};
use super::naming;
use super::output::{AnswerWriter, clean, counted, thousands};
use super::questions::is_known_when_written;
use super::source_text;
use std::io::Write;
use tombolo::answers::{
    CheckReport, MappingOutcome, MappingRunAnswer, MappingRunJson, MappingState, OffenderBaseline,
};
use tombolo::db::{RelationshipAction, RelationshipDetails};
use tombolo::mapping::{Diagnostic, DiagnosticSeverity, RowOutcome};
use tombolo::sync::JobReport;

/// Relationships and rows of one mapping that are listed without `--all`.
const LISTED: usize = 25;

/// Relationships wider than this do not push the text beside others to the right.
const ARROW_MAX: usize = 64;

/// Returns the limit on the changed relationships that are named for each mapping.
pub fn edges_listed(show: &PlanDisplayArgs) -> usize {
    match (show.details, show.all || show.output == PlanFormat::Json) {
        (false, _) => 0,
        (true, false) => LISTED,
        (true, true) => usize::MAX,
    }
}

/// A run of mappings, and what to show of it.
pub struct PlanRun<'a> {
    /// The run.
    pub found: MappingRunAnswer,
    /// The parts to show beside the summary.
    pub show: &'a PlanDisplayArgs,
    /// The faults that were told of files before the run.
    pub faults: Vec<Diagnostic>,
    /// The offenders of tests that are known.
    pub known: Option<OffenderBaseline>,
    /// True if all offenders of this run became known ones.
    pub renewed: bool,
}

impl PlanRun<'_> {
    /// Returns the exit code: that of the first mapping that failed, or that of a mistake if a file
    /// has errors.
    ///
    /// Tests that only known offenders break keep a plan from being applied, and are no failure of it.
    pub fn exit_code(&self) -> u8 {
        let code = self.found.objection().map_or(0, kind_code);
        let known = self.known.is_some() && {
            let report = self.report();
            match self.renewed {
                true => report.checks.iter().all(is_known_when_written),
                false => !report.fails(),
            }
        };
        if known { 0 } else { code }
    }

    /// The promises of the files, beside the offenders that are known.
    pub fn report(&self) -> CheckReport {
        let mut report = CheckReport::of_run(&self.found, &self.faults);
        if let Some(known) = &self.known {
            report.compare(known);
        }
        report
    }

    /// Returns the objects created, updated and deleted in all, by files that neither fail nor are
    /// refused.
    fn sums(&self) -> [u64; 3] {
        let mut sums = [0; 3];
        for outcome in self.found.sources.iter().filter(|outcome| !outcome.objects()) {
            if let Some(report) = outcome.report() {
                sums.iter_mut().zip(source_text::sums(report)).for_each(|(sum, n)| *sum += n);
            }
        }
        for outcome in self.found.outcomes.iter().filter(|outcome| !outcome.objects()) {
            if let Some(report) = outcome.report() {
                let r = report.relationships;
                sums.iter_mut().zip([r.created, r.updated, r.deleted]).for_each(|(s, n)| *s += n);
            }
        }
        sums
    }

    /// `Plan: 14 to create, 3 to update, 9 to delete; 1 mapping refused`
    fn total(&self) -> String {
        let [created, updated, deleted] = self.sums().map(thousands);
        let mut text = match self.found.dry_run {
            true => format!("Plan: {created} to create, {updated} to update, {deleted} to delete"),
            false => format!("Applied: {created} created, {updated} updated, {deleted} deleted"),
        };
        let count = |is: fn(&MappingState) -> bool| {
            let sources = self.found.sources.iter().map(|outcome| &outcome.state);
            let mappings = self.found.outcomes.iter().map(|outcome| &outcome.state);
            sources.chain(mappings).filter(|state| is(state)).count() as u64
        };
        let noun = match self.found.sources.is_empty() {
            true => ["mapping", "mappings"],
            false => ["file", "files"],
        };
        let refused = count(|state| matches!(state, MappingState::Refused));
        let failed = count(|state| matches!(state, MappingState::Failed | MappingState::Broken(_)));
        let failed = failed + self.found.broken.len() as u64;
        let mut separator = ';';
        for (n, word) in [(refused, "refused"), (failed, "failed")] {
            if n > 0 {
                text.push_str(&format!("{separator} {} {word}", counted(n, noun[0], noun[1])));
                separator = ',';
            }
        }
        text
    }
}

/// Prints a run as it was asked for.
pub fn print(context: &mut CommandContext<'_>, run: &PlanRun<'_>) -> Result<(), CommandError> {
    if let Some(form) = ReportForm::of_plan(run.show.output) {
        return check_report::print(context, &run.report(), form);
    }
    let out = &mut context.out;
    match run.show.output {
        PlanFormat::Json => {
            let details = run.show.details;
            out.document(&MappingRunJson { run: &run.found, details, exit_code })
        }
        PlanFormat::Markdown => {
            // Markdown goes to a page, so it has no colours and no line breaks of this terminal.
            let (color, width) = (out.color, out.width);
            (out.color, out.width) = (false, None);
            let result = markdown(out, run);
            (out.color, out.width) = (color, width);
            result
        }
        PlanFormat::Junit | PlanFormat::Sarif | PlanFormat::Github => Ok(()),
        PlanFormat::Table => {
            table(out, run)?;
            let db = context.db_flag();
            unmanaged(&mut context.out, run, &db)?;
            if run.known.is_some() {
                check_report::tell_tests(context, &run.report())?;
            }
            total(&mut context.out, run)
        }
    }
}

fn table(out: &mut AnswerWriter<'_>, run: &PlanRun<'_>) -> Result<(), CommandError> {
    let sources = run.found.sources.iter().map(|outcome| outcome.source.scope.as_str());
    let mappings = run.found.outcomes.iter().map(|outcome| outcome.mapping.scope.as_str());
    let names = sources.chain(mappings);
    let names: Vec<String> = names
        .chain(run.found.broken.iter().map(String::as_str))
        .map(|name| clean(name).into_owned())
        .collect();
    let columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let names: Vec<String> = names.iter().map(|name| padded(name, columns, false)).collect();
    let verbose = out.verbose;
    let took = |took: u128| if verbose { format!("   {took} ms") } else { String::new() };
    let (source_names, others) = names.split_at(run.found.sources.len());
    for (outcome, name) in run.found.sources.iter().zip(source_names) {
        let summary = out.signed(&source_text::summary(out, outcome, run.found.dry_run));
        writeln!(out, "{name}  {summary}{}", took(outcome.took))?;
    }
    for (outcome, name) in run.found.outcomes.iter().zip(others) {
        let summary = out.signed(&summary(out, outcome, run.found.dry_run));
        writeln!(out, "{name}  {summary}{}", took(outcome.took))?;
    }
    // The names of broken files stand after those of the others.
    for name in &others[run.found.outcomes.len()..] {
        let sign = out.sign('!');
        writeln!(out, "{name}  {sign} failed: the file has errors")?;
    }
    writeln!(out)?;
    for (outcome, name) in run.found.sources.iter().zip(source_names) {
        if outcome.report().is_some() {
            for line in source_text::account(outcome) {
                out.line("", &format!("{name}  {line}"), "      ")?;
            }
        }
    }
    for (outcome, name) in run.found.outcomes.iter().zip(others) {
        if outcome.plan.is_some() {
            writeln!(out, "{name}  {} = {}", rows_read(outcome), buckets(outcome))?;
        }
    }
    let limit = if run.show.all { usize::MAX } else { LISTED };
    for outcome in &run.found.sources {
        source_text::changed(out, outcome)?;
        if run.show.unmatched {
            source_text::unmatched(out, outcome, limit)?;
        }
    }
    for outcome in &run.found.outcomes {
        listed(out, outcome, run)?;
    }
    if let Some(impact) = &run.found.impact {
        impact::print(impact, out)?;
    }
    Ok(())
}

/// `rows 1 012 read`; for a join `entities 1 012 joined`.
fn rows_read(outcome: &MappingOutcome) -> String {
    let read = thousands(outcome.resolved.count.read());
    match outcome.mapping.is_join() {
        true => format!("entities {read} joined"),
        false => format!("rows {read} read"),
    }
}

/// `981 linked + 12 filtered + …`: every row ends in exactly one place.
fn buckets(outcome: &MappingOutcome) -> String {
    let count = &outcome.resolved.count;
    let parts: Vec<String> = RowOutcome::ALL
        .into_iter()
        .filter(|bucket| count.of(*bucket) > 0)
        .map(|bucket| format!("{} {}", thousands(count.of(bucket)), bucket.name()))
        .collect();
    let text = if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") };
    match outcome.resolved.undefined_count {
        0 => text,
        n => {
            format!("{text}; {} left out", counted(n, "undefined property", "undefined properties"))
        }
    }
}

/// Returns the reason why a mapping is not applied, in one line.
fn objection(outcome: &MappingOutcome) -> String {
    let errors: Vec<&str> = outcome
        .faults
        .iter()
        .filter(|fault| fault.severity == DiagnosticSeverity::Error)
        .map(|fault| fault.message.as_str())
        .collect();
    match errors.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

/// `~ 14 to create, 3 to update, 9 to delete, 964 unchanged`
fn summary(out: &AnswerWriter<'_>, outcome: &MappingOutcome, dry_run: bool) -> String {
    match &outcome.state {
        MappingState::Ready | MappingState::Applied(_) => {}
        MappingState::Disabled => return "- disabled: its edges stay as they are".to_owned(),
        MappingState::Refused => {
            let words = objection(outcome);
            // The line begins with this word already.
            let words = words.strip_prefix("refused: ").unwrap_or(&words);
            return format!("! refused: {}", clean(words));
        }
        MappingState::Failed => return format!("! failed: {}", clean(&objection(outcome))),
        MappingState::Broken(error) => return format!("! failed: {}", clean(error.message())),
    }
    let Some(report) = outcome.report() else { return String::new() };
    changes(out, report, dry_run)
}

fn changes(out: &AnswerWriter<'_>, report: &JobReport, dry_run: bool) -> String {
    let r = report.relationships;
    if r.is_quiet() {
        let edges = counted(r.unchanged, "relationship", "relationships");
        return format!("= no changes   ({edges})");
    }
    let words = match dry_run {
        true => ["to create", "to update", "to delete"],
        false => ["created", "updated", "deleted"],
    };
    let counts = [r.created, r.updated, r.deleted];
    let parts = counts.into_iter().zip(words).map(|(n, word)| format!("{} {word}", thousands(n)));
    let parts: Vec<String> = parts.collect();
    let job = if dry_run { String::new() } else { format!("   job {}", out.id(report.id)) };
    format!("~ {}, {} unchanged{job}", parts.join(", "), thousands(r.unchanged))
}

/// Prints the line of one job of a saved plan.
pub fn applied(out: &mut AnswerWriter<'_>, report: &JobReport) -> Result<(), CommandError> {
    let changes = out.signed(&changes(out, report, false));
    Ok(writeln!(out, "{}  {changes}", clean(&report.scope))?)
}

fn listed(
    out: &mut AnswerWriter<'_>,
    outcome: &MappingOutcome,
    run: &PlanRun<'_>,
) -> Result<(), CommandError> {
    let edges = &outcome.edges;
    let all = outcome.changes();
    let limit = if run.show.all { usize::MAX } else { LISTED };
    let unmatched = &outcome.resolved.unmatched;
    let rows = if run.show.unmatched { unmatched.len() } else { 0 };
    let undefined = if run.show.unmatched { &outcome.resolved.undefined[..] } else { &[] };
    if edges.is_empty() && rows == 0 && undefined.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", out.bold(&clean(&outcome.mapping.scope)))?;
    let pairs: Vec<(String, String)> =
        edges.iter().map(|e| (arrow(out, e), change_reason(e))).collect();
    let columns = pairs.iter().map(|(arrow, _)| width(arrow)).max().unwrap_or(0).min(ARROW_MAX);
    for (arrow, what) in pairs {
        let line = format!("{}  {what}", padded(&arrow, columns, false));
        out.line("  ", line.trim_end(), "      ")?;
    }
    // No relationship is listed unless `--details` asks for it; then none is missing from the list.
    more(out, if edges.is_empty() { 0 } else { all - edges.len() })?;
    let shown = &unmatched[..rows.min(limit)];
    let columns = shown.iter().map(|row| width(&clean(&row.place))).max().unwrap_or(0);
    for row in shown {
        let (place, bucket) = (padded(&clean(&row.place), columns, false), row.bucket.name());
        out.line("  ", &format!("{place}  {bucket:<13}  {}", clean(&row.reason)), "      ")?;
    }
    let count = &outcome.resolved.count;
    // Only some unmatched rows are kept, so the number of the others comes from the counts.
    let made_none = count.read()
        - count.of(RowOutcome::Linked)
        - count.of(RowOutcome::Filtered)
        - count.of(RowOutcome::Duplicate);
    more(out, if rows > 0 { (made_none as usize).saturating_sub(shown.len()) } else { 0 })?;
    let shown = &undefined[..undefined.len().min(limit)];
    let columns = shown.iter().map(|one| width(&clean(&one.place))).max().unwrap_or(0);
    for one in shown {
        let (place, bucket) = (padded(&clean(&one.place), columns, false), "linked");
        out.line("  ", &format!("{place}  {bucket:<13}  {}", clean(&one.reason())), "      ")?;
    }
    let all = if undefined.is_empty() { 0 } else { outcome.resolved.undefined_count as usize };
    more(out, all.saturating_sub(shown.len()))
}

fn more(out: &mut AnswerWriter<'_>, more: usize) -> Result<(), CommandError> {
    match more {
        0 => Ok(()),
        more => Ok(writeln!(out, "  … {} more (--all lists them)", thousands(more as u64))?),
    }
}

/// `+ Alice Smith (okta-user:alice) -OWNS-> jamf-device:laptop-001`
fn arrow(out: &AnswerWriter<'_>, edge: &RelationshipDetails) -> String {
    let sign = match edge.action {
        RelationshipAction::Create => '+',
        RelationshipAction::Update => '~',
        RelationshipAction::Delete => '-',
    };
    let from = naming::called(out, edge.from_name.as_deref(), &edge.from);
    let to = naming::called(out, edge.to_name.as_deref(), &edge.to);
    format!("{} {from} -{}-> {to}", out.sign(sign), clean(&edge.class))
}

/// Returns the row and the alternative that ask for a relationship, and the properties that differ.
fn change_reason(edge: &RelationshipDetails) -> String {
    let mut parts = Vec::new();
    let row = edge.origin.as_ref().filter(|origin| !origin.file.is_empty());
    let row = row.map(|origin| format!("{}:{}", clean(&origin.file), origin.line));
    match (edge.action, row) {
        (RelationshipAction::Delete, Some(row)) => {
            parts.push(format!("no row asks for it any more ({row})"))
        }
        (RelationshipAction::Delete, None) => parts.push("nothing asks for it any more".to_owned()),
        (_, row) => parts.extend(row),
    }
    if edge.action != RelationshipAction::Delete {
        let alternative = edge.origin.as_ref().map_or("", |origin| origin.alternative.as_str());
        parts.extend((!alternative.is_empty()).then(|| clean(alternative).into_owned()));
        parts.extend(edge.properties.iter().map(|(name, before, after)| {
            let value = |value: &Option<tombolo::graph::Value<'_>>| match value {
                None => "(none)".to_owned(),
                Some(value) => match value.as_str() {
                    Some(text) => clean(text).into_owned(),
                    None => clean(&value.to_string()).into_owned(),
                },
            };
            match edge.action {
                RelationshipAction::Create => format!("{}={}", clean(name), value(after)),
                _ => format!("{}: {} -> {}", clean(name), value(before), value(after)),
            }
        }));
        // An update without a changed property must differ in what is no property.
        if edge.action == RelationshipAction::Update && edge.properties.is_empty() {
            parts.push("other type, class or ends".to_owned());
        }
    }
    parts.join("  ")
}

fn unmanaged(out: &mut AnswerWriter<'_>, run: &PlanRun<'_>, db: &str) -> Result<(), CommandError> {
    for scope in &run.found.unmanaged {
        let sign = out.sign('!');
        writeln!(
            out,
            "\n{sign} scope `{}` is unmanaged: no mapping file has it, and it holds {} of {} (W06)\n  \
             to remove them: tombolo{db} scopes delete --edges-of {} --reason \"...\"",
            clean(&scope.scope),
            counted(scope.relationships, "relationship", "relationships"),
            clean(&scope.file),
            super::sync::quoted(&scope.scope),
        )?;
    }
    Ok(())
}

fn total(out: &mut AnswerWriter<'_>, run: &PlanRun<'_>) -> Result<(), CommandError> {
    Ok(writeln!(out, "\n{}.", out.bold(&run.total()))?)
}

/// Writes a table for a pull request, with everything else folded away.
fn markdown(out: &mut AnswerWriter<'_>, run: &PlanRun<'_>) -> Result<(), CommandError> {
    // A `|` would end the cell, and `<` would begin HTML on the page.
    let cell = |text: &str| clean(text).replace('|', "\\|").replace('<', "&lt;");
    writeln!(out, "### {}\n", run.total())?;
    writeln!(out, "| scope | create | update | delete | unchanged | rows |")?;
    writeln!(out, "|---|---:|---:|---:|---:|---|")?;
    for outcome in &run.found.sources {
        let scope = cell(&outcome.source.scope);
        match (outcome.objects(), outcome.report()) {
            (false, Some(report)) => {
                let [c, u, d, same] = source_text::sums(report).map(thousands);
                let rows = cell(&source_text::account(outcome).join("; "));
                writeln!(out, "| `{scope}` | {c} | {u} | {d} | {same} | {rows} |")?;
            }
            _ => {
                let words = source_text::summary(out, outcome, run.found.dry_run);
                writeln!(out, "| `{scope}` | | | | | **{}** |", cell(&words))?;
            }
        }
    }
    for outcome in &run.found.outcomes {
        let scope = cell(&outcome.mapping.scope);
        match (&outcome.state, outcome.report()) {
            (MappingState::Ready | MappingState::Applied(_), Some(report)) => {
                let r = report.relationships;
                let [c, u, d, same] = [r.created, r.updated, r.deleted, r.unchanged].map(thousands);
                let rows =
                    format!("{} = {}", thousands(outcome.resolved.count.read()), buckets(outcome));
                writeln!(out, "| `{scope}` | {c} | {u} | {d} | {same} | {rows} |")?;
            }
            _ => {
                let words = summary(out, outcome, run.found.dry_run);
                writeln!(out, "| `{scope}` | | | | | **{}** |", cell(&words))?;
            }
        }
    }
    for file in &run.found.broken {
        writeln!(out, "| `{}` | | | | | **! failed: the file has errors** |", cell(file))?;
    }
    for scope in &run.found.unmanaged {
        let edges = counted(scope.relationships, "relationship", "relationships");
        writeln!(
            out,
            "| `{}` | | | | | unmanaged: {edges} without a mapping file |",
            cell(&scope.scope)
        )?;
    }
    for outcome in &run.found.outcomes {
        let scope = cell(&outcome.mapping.scope);
        if !outcome.edges.is_empty() {
            let title = counted(outcome.changes() as u64, "change", "changes");
            writeln!(out, "\n<details><summary>{scope}: {title}</summary>\n\n```diff")?;
            for edge in &outcome.edges {
                let arrow = arrow(out, edge);
                writeln!(out, "{}", format!("{arrow}  {}", change_reason(edge)).trim_end())?;
            }
            more(out, outcome.changes() - outcome.edges.len())?;
            writeln!(out, "```\n</details>")?;
        }
        let unmatched = &outcome.resolved.unmatched;
        let undefined = &outcome.resolved.undefined;
        if run.show.unmatched && !(unmatched.is_empty() && undefined.is_empty()) {
            let mut title = counted(unmatched.len() as u64, "unmatched row", "unmatched rows");
            if !undefined.is_empty() {
                let count = outcome.resolved.undefined_count;
                title += ", ";
                title += &counted(count, "undefined property", "undefined properties");
            }
            writeln!(out, "\n<details><summary>{scope}: {title}</summary>\n")?;
            writeln!(out, "| row | ends as | why |\n|---|---|---|")?;
            let limit = if run.show.all { usize::MAX } else { LISTED };
            for row in unmatched.iter().take(limit) {
                let (place, reason) = (cell(&row.place), cell(&row.reason));
                writeln!(out, "| {place} | {} | {reason} |", row.bucket.name())?;
            }
            for one in undefined.iter().take(limit) {
                let (place, reason) = (cell(&one.place), cell(&one.reason()));
                writeln!(out, "| {place} | linked | {reason} |")?;
            }
            writeln!(out, "</details>")?;
        }
        let errors: Vec<_> = outcome.faults.iter().collect();
        if !errors.is_empty() {
            writeln!(out, "\n```text")?;
            for fault in errors {
                write!(out, "{}", fault.plain())?;
            }
            writeln!(out, "```")?;
        }
    }
    for outcome in run.found.sources.iter().filter(|outcome| !outcome.faults.is_empty()) {
        writeln!(out, "\n```text")?;
        for fault in &outcome.faults {
            write!(out, "{}", fault.plain())?;
        }
        writeln!(out, "```")?;
    }
    if let Some(impact) = &run.found.impact {
        writeln!(out, "\n```text")?;
        impact::print(impact, out)?;
        writeln!(out, "```")?;
    }
    Ok(())
}
