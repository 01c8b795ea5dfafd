//! `tombolo import`: raw exports through a source file that ships with the program.

use super::args::{DiagnosticFormat, ImportArgs, PlanFormat};
use super::failure::CommandError;
use super::output::{clean, count_format, counted};
use super::plan_text::{self, PlanRun};
use super::{CommandContext, diagnostics, question, source_text};
use std::io::Write;
use std::path::{Path, PathBuf};
use tombolo::answers::{GuardOverrides, MappingFileSet, MappingRunOptions, MappingState};
use tombolo::mapping::{
    BUILT_IN_SOURCES, BuiltInSource, built_in_source, load_built_in, recognized_sources,
};
use tombolo::sync::{JobReport, JobStatus};

/// `tombolo import`.
pub fn run(context: &mut CommandContext<'_>, args: &ImportArgs) -> Result<u8, CommandError> {
    if args.list {
        return list(context);
    }
    let (named, files) = split(args)?;
    if args.print {
        let built_in = match named {
            Some(built_in) => built_in,
            None => recognize(context, &files)?,
        };
        context.out.write_all(built_in.text.as_bytes())?;
        return Ok(0);
    }
    if files.is_empty() {
        return Err(CommandError::mistake("no file is named")
            .hint("e.g. `tombolo import aws-iam iam.json --scope aws-prod`; --list shows what can be read"));
    }
    let built_in = match named {
        Some(built_in) => built_in,
        None => recognize(context, &files)?,
    };
    let Some(scope) = &args.scope else {
        let message = "`--scope` names the scope that the export is all of";
        return Err(CommandError::mistake(message).hint(format!(
            "e.g. --scope {}; what an earlier import put there and the files no longer have is deleted",
            built_in.name
        )));
    };
    let gone = files_gone(context, scope, &files)?;
    let source = match load_built_in(built_in, &files, Some(scope)) {
        Ok(source) => source,
        Err(faults) => {
            diagnostics::tell(context, &faults, DiagnosticFormat::Human)?;
            return Err(CommandError::mistake("nothing was read"));
        }
    };
    let mut set = MappingFileSet::of_source(source);
    let guards: GuardOverrides = args.overrides.guards();
    set.set_overrides(&guards)?;
    if !gone.is_empty() {
        guard_deletions(context, &mut set, scope, &gone)?;
    }
    set.check(count_format())?;
    let details = plan_text::edges_listed(&args.show);
    let options = MappingRunOptions { overrides: &guards, details };
    let found = match args.dry_run {
        false => set.apply(&context.open_or_create()?, &options)?,
        true if context.path().exists() => {
            let meter = context.meter();
            let database = context.open()?;
            let snapshot = database.snapshot()?;
            set.plan(&question(&database, &snapshot, &meter), &options)?
        }
        true => {
            let empty = tombolo::db::Database::scratch_empty()?;
            let meter = context.meter();
            let snapshot = empty.database.snapshot()?;
            set.plan(&question(&empty.database, &snapshot, &meter), &options)?
        }
    };
    let (faults, show) = (Vec::new(), &args.show);
    let run = PlanRun { found, show, faults, known: None, renewed: false };
    for outcome in &run.found.sources {
        diagnostics::tell(context, &outcome.faults, DiagnosticFormat::Human)?;
    }
    plan_text::print(context, &run)?;
    if args.show.output == PlanFormat::Table {
        advise(context, args, &run)?;
    }
    Ok(run.exit_code())
}

/// What was made, and what to ask.
fn advise(
    context: &mut CommandContext<'_>,
    args: &ImportArgs,
    run: &PlanRun<'_>,
) -> Result<(), CommandError> {
    let Some(outcome) = run.found.sources.first() else { return Ok(()) };
    if outcome.objects() {
        return Ok(());
    }
    writeln!(context.out)?;
    source_text::made(&mut context.out, outcome)?;
    let db = context.db_flag();
    if let (MappingState::Applied(report), true) =
        (&outcome.state, outcome.report().is_some_and(has_deleted))
    {
        let undo = format!("tombolo{db} job undo {}", context.out.id(report.id));
        context.out.next(&format!("to bring back what was deleted: {undo}"))?;
    }
    let types = outcome.resolved.entity_types();
    let largest = types.iter().max_by_key(|(_, count)| *count);
    match (&outcome.state, largest) {
        (MappingState::Applied(_), Some((name, _))) => {
            Ok(context.out.next(&format!("tombolo{db} query \"FIND {name}\""))?)
        }
        _ if args.dry_run => {
            let words = format!("tombolo{db} import, without --dry-run, writes it");
            Ok(context.out.next(&words)?)
        }
        _ => Ok(()),
    }
}

fn has_deleted(report: &JobReport) -> bool {
    report.entities.deleted + report.relationships.deleted > 0
}

fn list(context: &mut CommandContext<'_>) -> Result<u8, CommandError> {
    let columns = BUILT_IN_SOURCES.iter().map(|source| source.name.len()).max().unwrap_or(0);
    for source in BUILT_IN_SOURCES {
        let line = format!("{:<columns$}  {}", source.name, source.description());
        context.out.line("", &line, &" ".repeat(columns + 2))?;
    }
    context.out.next("tombolo import NAME FILE... --scope SCOPE")?;
    Ok(0)
}

/// The built-in source that the first argument names, and the files.
fn split(
    args: &ImportArgs,
) -> Result<(Option<&'static BuiltInSource>, Vec<PathBuf>), CommandError> {
    let first = args.what.first().map(|first| first.to_string_lossy().into_owned());
    let named = first.as_deref().and_then(built_in_source);
    let rest = if named.is_some() { &args.what[1..] } else { &args.what[..] };
    if let (None, Some(first)) = (named, &first)
        && !Path::new(first).exists()
    {
        let names: Vec<&str> = BUILT_IN_SOURCES.iter().map(|source| source.name).collect();
        let message = format!("`{first}` is neither a file nor a format that is known");
        return Err(CommandError::mistake(message).hint(format!("formats: {}", names.join(", "))));
    }
    let mut files = Vec::new();
    for path in rest {
        match path.is_dir() {
            true => files.extend(folder_files(path)?),
            false => files.push(path.clone()),
        }
    }
    for file in &files {
        if !file.exists() {
            return Err(CommandError::mistake(format!("file `{}` does not exist", file.display())));
        }
    }
    Ok((named, files))
}

/// The files of a folder and of those in it, without hidden ones.
fn folder_files(folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|e| {
            CommandError::mistake(format!("cannot read `{}`: {e}", folder.display()))
        })?;
        for entry in entries {
            let path = entry.map_err(|e| CommandError::mistake(e.to_string()))?.path();
            match path.is_dir() {
                _ if hidden(&path) => {}
                true => open.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let (known, other): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name == "codeowners" || EXTENSIONS.iter().any(|extension| name.ends_with(extension))
    });
    if let [first, ..] = other.as_slice() {
        let words = format!(
            "passed over {}, which no format has: {}",
            counted(other.len() as u64, "file", "files"),
            first.display()
        );
        writeln!(anstream::stderr(), "note: {}", clean(&words))?;
    }
    Ok(known)
}

/// The ends of the names of exports.
const EXTENSIONS: [&str; 19] = [
    ".json", ".ndjson", ".jsonl", ".har", ".sarif", ".tfstate", ".csv", ".tsv", ".yaml", ".yml",
    ".toml", ".lock", ".xml", ".xlsx", ".zip", ".tar", ".tgz", ".gz", ".zst",
];

/// The kinds of files that the last import into a scope read and that are not among these. Names that
/// differ in digits alone, such as dates, are of one kind.
fn files_gone(
    context: &CommandContext<'_>,
    scope: &str,
    files: &[PathBuf],
) -> Result<Vec<String>, CommandError> {
    if !context.path().exists() {
        return Ok(Vec::new());
    }
    let jobs = context.open()?.jobs()?;
    let last = jobs.iter().find(|job| {
        job.scope == scope && job.status == JobStatus::Finished && job.mapping.is_some()
    });
    let Some(mapping) = last.and_then(|job| job.mapping.as_ref()) else { return Ok(Vec::new()) };
    let kind = |path: &Path| -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect()
    };
    let now: Vec<String> = files.iter().map(|path| kind(path)).collect();
    let mut gone: Vec<String> = mapping
        .sources
        .iter()
        .map(|(path, _)| Path::new(path))
        .filter(|path| !now.contains(&kind(path)))
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    gone.dedup();
    Ok(gone)
}

/// Lets nothing be deleted where files of the last import are missing: they were forgotten more often
/// than not.
fn guard_deletions(
    context: &CommandContext<'_>,
    set: &mut MappingFileSet,
    scope: &str,
    gone: &[String],
) -> Result<(), CommandError> {
    for source in &mut set.sources {
        source.guard.max_delete.get_or_insert(0);
    }
    if !context.global.quiet {
        let listed = gone.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more =
            if gone.len() > 5 { format!(" and {} more", gone.len() - 5) } else { String::new() };
        let words = format!(
            "the last import into `{scope}` read {listed}{more} too; an import names all files of its scope"
        );
        writeln!(anstream::stderr(), "note: {}", clean(&words))?;
    }
    Ok(())
}

/// Tells by the contents of files what wrote them.
fn recognize(
    context: &mut CommandContext<'_>,
    files: &[PathBuf],
) -> Result<&'static BuiltInSource, CommandError> {
    let mut found: Option<Vec<&'static str>> = None;
    for file in files {
        let names = recognized_sources(file);
        if names.is_empty() {
            let message = format!("what wrote `{}` is not recognised", file.display());
            return Err(CommandError::mistake(message).hint(
                "name the format: tombolo import NAME FILE...; `tombolo import --list` shows them, \
                 `tombolo new --source FILE` writes a source file for any other",
            ));
        }
        found = Some(match found {
            None => names,
            Some(before) => before.into_iter().filter(|name| names.contains(name)).collect(),
        });
    }
    match found.as_deref() {
        Some([one]) => {
            let built_in = built_in_source(one).expect("BUG: it is one of the list");
            let words = format!("recognised as {one}: {}", built_in.description());
            if !context.global.quiet {
                writeln!(anstream::stderr(), "{}", clean(&words))?;
            }
            Ok(built_in)
        }
        Some([]) => Err(CommandError::mistake("the files are of different formats")
            .hint("import the files of each format by themselves, into a scope each")),
        several => {
            let names = several.unwrap_or_default().join(", ");
            Err(CommandError::mistake(format!("the files may be of several formats: {names}"))
                .hint("name the one that is meant: tombolo import NAME FILE..."))
        }
    }
}
