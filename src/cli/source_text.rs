//! The lines of a source in the output of `plan`, `apply` and `import`: what would change, and the
//! account of its rows and items.

use super::change_text;
use super::failure::CommandError;
use super::layout::{padded, width};
use super::output::{AnswerWriter, clean, counted, thousands};
use std::io::Write;
use tombolo::answers::{MappingState, SourceRunOutcome};
use tombolo::mapping::{DiagnosticSeverity, SourceCount, SourceOutcome};
use tombolo::sync::{JobReport, JobStatus};

/// `~ 14 to create, 3 to update, 9 to delete, 964 unchanged`, counting entities and relationships.
pub fn summary(out: &AnswerWriter<'_>, outcome: &SourceRunOutcome, dry_run: bool) -> String {
    match &outcome.state {
        MappingState::Ready | MappingState::Applied(_) => {}
        MappingState::Disabled => return "- disabled: its scope stays as it is".to_owned(),
        MappingState::Refused => {
            let words = objection(outcome);
            let words = words.strip_prefix("refused: ").unwrap_or(&words);
            return format!("! refused: {}", clean(words));
        }
        MappingState::Failed => return format!("! failed: {}", clean(&objection(outcome))),
        MappingState::Broken(error) => return format!("! failed: {}", clean(error.message())),
    }
    let Some(report) = outcome.report() else { return String::new() };
    if let (JobStatus::Held, Some(held)) = (report.status, &report.held) {
        let words = held.reasons.join("; ");
        let word = if dry_run { "would be held" } else { "held" };
        return format!("! {word}: {}", clean(&words));
    }
    changes(out, report, dry_run)
}

/// The objects created, updated and deleted by a job.
pub fn sums(report: &JobReport) -> [u64; 4] {
    let (e, r) = (report.entities, report.relationships);
    [e.created + r.created, e.updated + r.updated, e.deleted + r.deleted, e.unchanged + r.unchanged]
}

fn changes(out: &AnswerWriter<'_>, report: &JobReport, dry_run: bool) -> String {
    let [created, updated, deleted, unchanged] = sums(report);
    if created + updated + deleted == 0 {
        return format!("= no changes   ({})", counted(unchanged, "object", "objects"));
    }
    let words = match dry_run {
        true => ["to create", "to update", "to delete"],
        false => ["created", "updated", "deleted"],
    };
    let parts = [created, updated, deleted].into_iter().zip(words);
    let parts: Vec<String> = parts.map(|(n, word)| format!("{} {word}", thousands(n))).collect();
    let job = if dry_run { String::new() } else { format!("   job {}", out.id(report.id)) };
    format!("~ {}, {} unchanged{job}", parts.join(", "), thousands(unchanged))
}

fn objection(outcome: &SourceRunOutcome) -> String {
    let errors = outcome.faults.iter().filter(|f| f.severity == DiagnosticSeverity::Error);
    let errors: Vec<&str> = errors.map(|fault| fault.message.as_str()).collect();
    match errors.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

/// The account of a source: a line for rows, one for entities and one for relationships.
pub fn account(outcome: &SourceRunOutcome) -> Vec<String> {
    let count = &outcome.resolved.count;
    let mut rows = format!("rows {} read", thousands(count.rows));
    if count.filtered_rows > 0 {
        rows.push_str(&format!(", {} filtered", thousands(count.filtered_rows)));
    }
    let mut lines = vec![rows];
    let made = thousands(outcome.resolved.entity_count() as u64);
    let items = buckets(count, &SourceOutcome::ENTITIES);
    let ends = match count.created {
        0 => String::new(),
        created => format!(", and {} made by ends", thousands(created)),
    };
    lines.push(format!(
        "entities {made}: {} items = {items}{ends}",
        thousands(count.entity_items())
    ));
    if count.relationship_items() > 0 {
        let made = thousands(outcome.resolved.relationship_count() as u64);
        let items = buckets(count, &SourceOutcome::RELATIONSHIPS);
        let all = thousands(count.relationship_items());
        lines.push(format!("relationships {made}: {all} items = {items}"));
    }
    lines
}

fn buckets(count: &SourceCount, buckets: &[SourceOutcome]) -> String {
    let parts: Vec<String> = buckets
        .iter()
        .filter(|bucket| count.of(**bucket) > 0)
        .map(|bucket| format!("{} {}", thousands(count.of(*bucket)), bucket.name()))
        .collect();
    if parts.is_empty() { "0".to_owned() } else { parts.join(" + ") }
}

/// Prints what a source made by type and by verb.
pub fn made(out: &mut AnswerWriter<'_>, outcome: &SourceRunOutcome) -> Result<(), CommandError> {
    let lists = [outcome.resolved.entity_types(), outcome.resolved.relationship_classes()];
    let columns = lists.iter().flatten().map(|(name, _)| width(name)).max().unwrap_or(0);
    for list in &lists {
        for (name, count) in list {
            let name = padded(&clean(name), columns, false);
            writeln!(out, "  {name}  {:>9}", thousands(*count))?;
        }
    }
    Ok(())
}

/// Prints what changes, entity by entity and property by property.
pub fn changed(out: &mut AnswerWriter<'_>, outcome: &SourceRunOutcome) -> Result<(), CommandError> {
    if outcome.changes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", out.bold(&clean(&outcome.source.scope)))?;
    for change in &outcome.changes {
        change_text::print(out, change)?;
    }
    let [created, updated, deleted, _] = outcome.report().map(sums).unwrap_or_default();
    match (created + updated + deleted).saturating_sub(outcome.changes.len() as u64) {
        0 => Ok(()),
        more => Ok(writeln!(out, "  … {} more (--all lists them)", thousands(more))?),
    }
}

/// Prints the items that made nothing, as many as are wanted.
pub fn unmatched(
    out: &mut AnswerWriter<'_>,
    outcome: &SourceRunOutcome,
    limit: usize,
) -> Result<(), CommandError> {
    let items = &outcome.resolved.unmatched;
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", out.bold(&clean(&outcome.source.scope)))?;
    let shown = &items[..items.len().min(limit)];
    let columns = shown.iter().map(|item| width(&clean(&item.place))).max().unwrap_or(0);
    for item in shown {
        let (place, bucket) = (padded(&clean(&item.place), columns, false), item.bucket.name());
        out.line("  ", &format!("{place}  {bucket:<13}  {}", clean(&item.reason)), "      ")?;
    }
    let count = &outcome.resolved.count;
    use SourceOutcome as O;
    let all: u64 = [O::UndefinedKey, O::NoReference, O::Dangling, O::Ambiguous]
        .into_iter()
        .map(|bucket| count.of(bucket))
        .sum();
    match (all as usize).saturating_sub(shown.len()) {
        0 => Ok(()),
        more => Ok(writeln!(out, "  … {} more (--all lists them)", thousands(more as u64))?),
    }
}
