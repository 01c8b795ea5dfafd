//! The care of the file: `init`, `verify`, `backup`, `compact`, `gc`.

use super::CommandContext;
use super::args::{BackupArgs, GcArgs, UpgradeArgs};
use super::failure::{CommandError, DAMAGED};
use super::output::{bytes, clean, counted, duration_text, rfc3339_text};
use std::io::Write;
use std::time::Instant;
use tombolo::answers::history_keep;
use tombolo::db::{Database, GcOptions};
use tombolo::lang::HistoryKeep;

/// `tombolo init`: a database, and a project around it unless there is one.
pub fn init(context: &mut CommandContext<'_>) -> Result<u8, CommandError> {
    let path = context.path().to_owned();
    let name = clean(&path.display().to_string()).into_owned();
    // A database that `sync` made is as good as one of ours; the project is made around it.
    let made = match path.exists() {
        true => {
            context.open()?;
            false
        }
        false => {
            Database::create(&path)?;
            writeln!(context.out, "+ created {name}")?;
            true
        }
    };
    let has_project = super::new::project(context)?;
    let ignored = super::new::ignore_files(context, &path)?;
    if !made && !has_project && !ignored {
        return Err(CommandError::mistake(format!("`{name}` and its project exist already"))
            .hint("use them as they are, or name another file with `--db PATH`"));
    }
    let db = context.db_flag();
    let check = if has_project { "      tombolo check" } else { "" };
    context.out.next(&format!("tombolo{db} sync --scope NAME FILE...{check}      tombolo demo"))?;
    Ok(0)
}

/// `tombolo verify`: exit code 6 when anything is wrong.
pub fn verify(context: &mut CommandContext<'_>) -> Result<u8, CommandError> {
    let begun = Instant::now();
    let database = context.open()?;
    let problems = database.verify()?;
    super::job::note(context, &database)?;
    let out = &mut context.out;
    for problem in &problems {
        writeln!(out, "! {}", clean(problem))?;
    }
    let result = match problems.len() {
        0 => "every row agrees with every other".to_owned(),
        n => counted(n as u64, "problem", "problems"),
    };
    writeln!(
        out,
        "verified {}: {result}, {}",
        context.global.db.display(),
        duration_text(begun.elapsed())
    )?;
    Ok(if problems.is_empty() { 0 } else { DAMAGED })
}

/// `tombolo backup`.
pub fn backup(context: &mut CommandContext<'_>, args: &BackupArgs) -> Result<u8, CommandError> {
    let database = context.open()?;
    // A backup copies the file alone, so tokens beside it must move into it first.
    migrate_tokens(context, &database)?;
    let size = database.backup(&args.file)?;
    let name = clean(&args.file.display().to_string()).into_owned();
    writeln!(context.out, "+ {name}, {}", bytes(size))?;
    Ok(0)
}

/// Moves tokens of an earlier version into the database, and says so.
pub fn migrate_tokens(
    context: &CommandContext<'_>,
    database: &Database,
) -> Result<(), CommandError> {
    if let Some(path) = database.take_over_tokens()?
        && !context.out.quiet
    {
        let path = path.display().to_string();
        eprintln!("The tokens in `{}` are in the database now.", clean(&path));
    }
    Ok(())
}

/// `tombolo compact`.
pub fn compact(context: &mut CommandContext<'_>) -> Result<u8, CommandError> {
    let (before, after) = context.open()?.compact()?;
    let freed = before.saturating_sub(after);
    writeln!(
        context.out,
        "{}: {} before, {} after, {} given back",
        context.global.db.display(),
        bytes(before),
        bytes(after),
        bytes(freed)
    )?;
    Ok(0)
}

impl GcArgs {
    /// What a `gc` keeps; who names a number of days means states as well.
    fn options(&self, keep: HistoryKeep) -> GcOptions {
        let GcOptions { days, .. } = GcOptions::default();
        let keep = match (self.older_than, keep) {
            (None | Some(_), HistoryKeep::Never) => HistoryKeep::Never,
            (None, keep) => keep,
            (Some(days), keep) => {
                let asked = i64::from(days) * 24 * 3_600_000;
                match keep {
                    HistoryKeep::For(time) => HistoryKeep::For(time.min(asked)),
                    _ => HistoryKeep::For(asked),
                }
            }
        };
        let days = self.older_than.unwrap_or(days);
        GcOptions { days, report_days: self.reports_older_than, keep }
    }
}

/// `tombolo upgrade`.
pub fn upgrade(context: &mut CommandContext<'_>, args: &UpgradeArgs) -> Result<u8, CommandError> {
    let path = context.path().to_owned();
    let done = Database::upgrade(&path, args.keep_old.as_deref(), &context.waiting())?;
    let out = &mut context.out;
    let name = clean(&path.display().to_string()).into_owned();
    match done {
        None => writeln!(out, "{name} has the newest format already")?,
        Some(from) => writeln!(
            out,
            "+ {name} brought from format {from} to {}, verified; its history begins now",
            Database::FORMAT
        )?,
    }
    Ok(0)
}

/// `tombolo gc`.
pub fn gc(context: &mut CommandContext<'_>, args: &GcArgs) -> Result<u8, CommandError> {
    let keep = history_keep()?;
    let options = args.options(keep);
    let days = options.days;
    let report = context.open()?.gc(&options)?;
    let names = match report.swept.names {
        0 => String::new(),
        n => format!(
            ", {}",
            counted(n, "name that nothing had any more", "names that nothing had any more")
        ),
    };
    let left = match report.leftovers {
        0 => String::new(),
        n => format!(", {}", counted(n, "file of a killed backup", "files of killed backups")),
    };
    let db = context.db_flag();
    let out = &mut context.out;
    writeln!(
        out,
        "purged what ended more than {} ago: {}, {}, {}, {}{names}{left}",
        counted(u64::from(days), "day", "days"),
        counted(report.purged_entities, "entity", "entities"),
        counted(report.purged_relationships, "relationship", "relationships"),
        counted(report.purged_lists, "list of deletions", "lists of deletions"),
        counted(report.abandoned, "abandoned upload", "abandoned uploads"),
    )?;
    if report.forgotten_states > 0 {
        writeln!(
            out,
            "let go of {}; the oldest that can be asked is of {}",
            counted(report.forgotten_states, "old state", "old states"),
            rfc3339_text(report.oldest_state),
        )?;
    }
    if report.purged_reports + report.shortened_reports > 0 {
        writeln!(
            out,
            "dropped {} of jobs that ended more than {} ago, and shortened {}",
            counted(report.purged_reports, "report", "reports"),
            counted(u64::from(args.reports_older_than), "day", "days"),
            report.shortened_reports,
        )?;
    }
    out.next(&format!("tombolo{db} compact   (gives the space back to the file system)"))?;
    Ok(0)
}
