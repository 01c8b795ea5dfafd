//! `tombolo explain`: the reason why a relationship exists, or the outcome of a row.

use super::CommandContext;
use super::args::{ExplainArgs, ReportFormat};
use super::diagnostics;
use super::failure::CommandError;
use super::naming;
use super::output::{AnswerWriter, clean, rfc3339_text, when};
use serde_json::json;
use std::io::Write;
use std::time::SystemTime;
use tombolo::answers::{MappingFileSet, MappingSelection};
use tombolo::db::Database;
use tombolo::graph::{GraphRead, NameLookup, ObjectId, ObjectKind, Relationship};
use tombolo::mapping::{
    ItemExplanation, Mapping, MatchAttempt, ResolveError, RowExplanation, RowOutcome, SourceFile,
};
use tombolo::store::Snapshot;
use tombolo::sync::JobReport;

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &ExplainArgs) -> Result<u8, CommandError> {
    let database = context.open()?;
    let snapshot = database.snapshot()?;
    // A key may look like FILE:LINE, so relationships are tried first.
    let found = edges(&snapshot, &args.what)?;
    if !found.is_empty() {
        return edge(context, &database, &found, args.output);
    }
    let row = args
        .what
        .rsplit_once(':')
        .and_then(|(file, line)| Some((file, line.parse::<u32>().ok().filter(|line| *line > 0)?)));
    match row {
        Some((file, line)) => explain_row(context, &snapshot, args, file, line),
        None => Err(CommandError::mistake(format!(
            "no relationship has the _key or _id `{}`",
            args.what
        ))
        .hint("`tombolo plan --details` shows edges, FILE:LINE names a row")),
    }
}

/// Finds the relationships with this key, one in each scope that has it, or the one with this id.
fn edges(snapshot: &Snapshot, what: &str) -> Result<Vec<Relationship>, CommandError> {
    let mut found = Vec::new();
    // An id follows from scope and key, so one search in each scope is enough.
    let given = ObjectId::parse(what);
    for scope in snapshot.scope_numbers()? {
        let id = given
            .unwrap_or_else(|| ObjectId::new(ObjectKind::Relationship, snapshot.name(scope), what));
        if let Some(identity) = snapshot.find(ObjectKind::Relationship, scope, id)? {
            found.extend(snapshot.relationship(identity.number)?);
        }
    }
    Ok(found)
}

fn edge(
    context: &mut CommandContext<'_>,
    database: &Database,
    found: &[Relationship],
    output: ReportFormat,
) -> Result<u8, CommandError> {
    let jobs = database.jobs()?;
    let job_of = |edge: &Relationship| jobs.iter().find(|job| job.id == edge.metadata.job_id);
    let out = &mut context.out;
    if output == ReportFormat::Json {
        let told: Vec<_> = found
            .iter()
            .map(|edge| {
                json!({
                    "relationship": edge, "from": edge.from, "to": edge.to,
                    "mapping": job_of(edge).and_then(|j| j.mapping.clone()),
                })
            })
            .collect();
        out.json(&json!({ "relationships": told }))?;
        return Ok(0);
    }
    for (i, edge) in found.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        print_relationship(out, edge, job_of(edge))?;
    }
    Ok(0)
}

fn print_relationship(
    out: &mut AnswerWriter<'_>,
    edge: &Relationship,
    job: Option<&JobReport>,
) -> Result<(), CommandError> {
    let (from, to) = (naming::shown(out, &edge.from), naming::shown(out, &edge.to));
    out.line("", &format!("{from} -{}-> {to}", out.bold(&clean(&edge.class))), "  ")?;
    let job_id = out.id(edge.metadata.job_id);
    let indent = " ".repeat(15);
    let mut line = |name: &str, text: String| out.line(&format!("  {name:<12} "), &text, &indent);
    line("_key", clean(&edge.key).into_owned())?;
    line("_type", clean(&edge.type_name).into_owned())?;
    line("scope", clean(&edge.scope).into_owned())?;
    line("from", format!("{from}  (@{})", clean(&edge.from.scope)))?;
    line("to", format!("{to}  (@{})", clean(&edge.to.scope)))?;
    if let Some(origin) = &edge.origin {
        if !origin.file.is_empty() {
            line("row", format!("{}:{}", clean(&origin.file), origin.line))?;
        }
        if !origin.alternative.is_empty() {
            line("found by", clean(&origin.alternative).into_owned())?;
        }
    }
    for (name, value) in &edge.properties {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line(&clean(name), clean(&text).into_owned())?;
    }
    if let Some(mapping) = job.and_then(|job| job.mapping.as_ref()) {
        line("mapping", format!("{}{}", clean(&mapping.file), file_change_note(mapping)))?;
        if let Some(reason) = &mapping.reason {
            let overrides = mapping.overrides.join(", ");
            line("override", format!("{}: {}", clean(&overrides), clean(reason)))?;
        }
    }
    let metadata = &edge.metadata;
    let at = rfc3339_text(metadata.begin_on);
    line("job", format!("{job_id}, {at}, version {}", metadata.version))?;
    if let Some(end) = metadata.end_on {
        let (sign, end) = (out.sign('!'), when(out, end));
        writeln!(out, "  {sign} it was soft-deleted {end}")?;
    }
    Ok(())
}

/// Tells if the mapping file has changed or gone since it made a relationship; empty if it is the
/// same.
fn file_change_note(mapping: &tombolo::sync::MappingInfo) -> &'static str {
    match std::fs::read(&mapping.file) {
        // Without a digest there is nothing to compare with.
        _ if mapping.digest.is_empty() => "",
        Err(_) => "  (the file is gone)",
        Ok(bytes) if tombolo::mapping::digest(&bytes) == mapping.digest => "",
        Ok(_) => "  (the file has changed since)",
    }
}

fn explain_row(
    context: &mut CommandContext<'_>,
    snapshot: &Snapshot,
    args: &ExplainArgs,
    file: &str,
    line: u32,
) -> Result<u8, CommandError> {
    // Faults of these files are left to `tombolo check`; a sound mapping can still explain the row.
    let loaded = MappingFileSet::load(&MappingSelection {
        paths: args.mappings.clone(),
        labels: Vec::new(),
    });
    let readers: Vec<&Mapping> = loaded.mappings.iter().filter(|m| m.reads_file(file)).collect();
    let sources: Vec<&SourceFile> = loaded.sources.iter().filter(|s| s.reads_file(file)).collect();
    if readers.is_empty() && sources.is_empty() {
        let message = format!(
            "no relationship has the _key or _id `{}`, and no sound file reads rows of `{file}`",
            args.what
        );
        return Err(CommandError::mistake(message).hint(
            "name the file of rows as its file does; `tombolo check` shows files with errors",
        ));
    }
    let mut items = Vec::new();
    for source in sources {
        match source.explain_line(file, line, SystemTime::UNIX_EPOCH) {
            Ok(found) => items.extend(found.into_iter().map(|item| (source, item))),
            Err(faults) => {
                diagnostics::tell(context, &faults, super::args::DiagnosticFormat::Human)?;
                return Err(CommandError::mistake(format!("the rows of `{file}` cannot be read")));
            }
        }
    }
    let mut told = Vec::new();
    for mapping in readers {
        match mapping.explain_row(snapshot, file, line) {
            Ok(stories) => told.extend(stories.into_iter().map(|story| (mapping, story))),
            Err(ResolveError::Graph(error)) => return Err(error.into()),
            Err(ResolveError::Faults(faults)) => {
                diagnostics::tell(context, &faults, super::args::DiagnosticFormat::Human)?;
                return Err(CommandError::mistake(format!("the rows of `{file}` cannot be read")));
            }
        }
    }
    if told.is_empty() && items.is_empty() {
        return Err(CommandError::mistake(format!("no row begins on line {line} of `{file}`")));
    }
    if args.output == ReportFormat::Json {
        let stories: Vec<_> =
            told.iter().map(|(mapping, story)| story_json(mapping, story)).collect();
        let items: Vec<_> = items.iter().map(|(source, item)| item_json(source, item)).collect();
        context.out.json(&json!({ "rows": stories, "items": items }))?;
        return Ok(0);
    }
    for (source, item) in &items {
        print_item(&mut context.out, source, item)?;
    }
    for (mapping, story) in &told {
        print(&mut context.out, mapping, story)?;
    }
    Ok(0)
}

fn print(
    out: &mut AnswerWriter<'_>,
    mapping: &Mapping,
    story: &RowExplanation,
) -> Result<(), CommandError> {
    let place = out.bold(&clean(&story.place));
    let scope = clean(&mapping.scope);
    match (story.bucket, story.edges.len()) {
        (RowOutcome::Linked | RowOutcome::Duplicate, 1) => {
            writeln!(out, "{place} makes an edge of `{scope}`")?
        }
        (RowOutcome::Linked | RowOutcome::Duplicate, n) => {
            writeln!(out, "{place} makes {n} edges of `{scope}`")?
        }
        (RowOutcome::Filtered, _) => {
            writeln!(out, "{place} made no edge of `{scope}`: `where` leaves it out")?;
        }
        (bucket, _) => writeln!(out, "{place} made no edge of `{scope}`: {}", bucket.name())?,
    }
    for (end, tries) in ["from", "to"].into_iter().zip(&story.tries) {
        for (i, attempt) in tries.iter().enumerate() {
            print_try(out, if i == 0 { end } else { "" }, attempt)?;
        }
    }
    if !story.reason.is_empty() {
        writeln!(out, "  why   {}", clean(&story.reason))?;
    }
    for edge in &story.edges {
        writeln!(out, "  edge  {}", clean(edge))?;
    }
    for one in &story.undefined {
        writeln!(out, "  linked, {}", clean(&one.reason()))?;
    }
    Ok(())
}

fn print_item(
    out: &mut AnswerWriter<'_>,
    source: &SourceFile,
    item: &ItemExplanation,
) -> Result<(), CommandError> {
    let place = out.bold(&clean(&item.place));
    let (scope, bucket) = (clean(&source.scope), item.bucket.name());
    match (item.key.as_str(), item.reason.as_str()) {
        ("", reason) => {
            writeln!(out, "{place} made nothing in `{scope}`: {bucket}: {}", clean(reason))?
        }
        (key, _) => writeln!(out, "{place} {bucket} in `{scope}`: {}", clean(key))?,
    }
    Ok(())
}

fn item_json(source: &SourceFile, item: &ItemExplanation) -> serde_json::Value {
    json!({
        "scope": source.scope, "place": item.place, "outcome": item.bucket.name(),
        "key": item.key, "reason": item.reason,
    })
}

fn print_try(
    out: &mut AnswerWriter<'_>,
    end: &str,
    attempt: &MatchAttempt,
) -> Result<(), CommandError> {
    let name = clean(&attempt.alternative);
    let condition = clean(&attempt.condition);
    let looked = match &attempt.looked_for {
        Some((_, Some(value))) => format!("   {}", clean(value)),
        Some((_, None)) => "   undefined".to_owned(),
        None => String::new(),
    };
    let found = match attempt.hits {
        0 => "nothing".to_owned(),
        hits => {
            let keys: Vec<String> =
                attempt.keys.iter().map(|key| clean(key).into_owned()).collect();
            let more = hits - keys.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{more}", keys.join(", "))
        }
    };
    let name = if name.is_empty() { String::new() } else { format!("{name}  ") };
    Ok(writeln!(out, "  {end:<5} {name}{condition}{looked} -> {found}")?)
}

fn story_json(mapping: &Mapping, story: &RowExplanation) -> serde_json::Value {
    let tries = |tries: &[MatchAttempt]| -> Vec<serde_json::Value> {
        let one = |t: &MatchAttempt| {
            json!({
                "alternative": t.alternative, "condition": t.condition,
                "lookedFor": t.looked_for.as_ref().map(|(what, value)| json!({ "expression": what, "value": value })),
                "found": t.hits, "keys": t.keys,
            })
        };
        tries.iter().map(one).collect()
    };
    json!({
        "scope": mapping.scope, "place": story.place, "outcome": story.bucket.name(),
        "reason": story.reason, "from": tries(&story.tries[0]), "to": tries(&story.tries[1]),
        "relationships": story.edges,
        "undefined": story.undefined.iter().map(|one| {
            json!({ "property": one.property, "reason": one.reason() })
        }).collect::<Vec<_>>(),
    })
}
