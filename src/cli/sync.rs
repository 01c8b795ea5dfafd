//! `tombolo sync`: uploads files as one job, or as one job a scope, and reports on their rows.

use super::CommandContext;
use super::args::{ReportFormat, SameScope, SyncArgs};
use super::failure::CommandError;
use super::{change_text, report};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use tombolo::answers::shell_word as quoted;
use tombolo::db::SyncRequest;
use tombolo::sync::{InputFormat, InputOptions, InputSource, SyncMode};

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &SyncArgs) -> Result<u8, CommandError> {
    let sources = sources(context, &args.files, args.read.options())?;
    let bar = progress(context, &sources);
    let twice = sources.iter().all(|source| source.again);
    let inputs = || -> Vec<InputSource<'static>> {
        bar.set_position(0);
        sources.iter().map(|source| source.input(&bar)).collect()
    };
    // A dry run or a refused upload must not leave a new, empty database behind.
    let fresh = !context.path().exists();
    let database = context.open_or_create()?;
    if args.details {
        let json = args.output == ReportFormat::Json;
        let told = change_text::write_all(&mut context.out, json, |visit| {
            database.preview_sync(&request(args), &mut inputs(), visit)
        });
        bar.finish_and_clear();
        if fresh {
            database.discard_unused()?;
        }
        let reports = told?;
        if !json {
            report::print(context, &reports, Some(&command(context, args)))?;
        }
        return Ok(report::exit_code(&reports));
    }
    let result = match twice {
        // Files that can be read twice let known lines be passed over, so an upload costs what is
        // new in it.
        true => database.sync_again(&request(args), &inputs, &|_| {}),
        false => database.sync(&request(args), &mut inputs(), &|_| {}),
    };
    bar.finish_and_clear();
    if fresh && (args.dry_run || result.is_err()) {
        database.discard_unused()?;
    }
    let reports = report::tell_faults(&mut context.out, args.output, result)?;
    match args.output {
        ReportFormat::Json => report::json(&mut context.out, &reports)?,
        ReportFormat::Table => {
            let again = command(context, args);
            report::print(context, &reports, Some(&again))?;
        }
    }
    Ok(report::exit_code(&reports))
}

fn request(args: &SyncArgs) -> SyncRequest {
    SyncRequest {
        scope: args.scope.clone(),
        mode: args.mode,
        source: args.source.clone(),
        dry_run: args.dry_run,
        ignore_duplicates: args.ignore_duplicates,
        allow_deletes: args.allow_deletes,
        partial_types: args.partial_types.clone(),
        same_scope_reject: args.same_scope == SameScope::Reject,
    }
}

/// The `source` of a job when nobody names one, as in `args`.
const SOURCE_DEFAULT: &str = "api";

/// Returns the command as it was given, so that people can repeat it with one more flag.
fn command(context: &CommandContext<'_>, args: &SyncArgs) -> String {
    let mut text = format!("tombolo{} sync", context.db_flag());
    for file in &args.files {
        text.push_str(&format!(" {}", quoted(&file.display().to_string())));
    }
    if let Some(scope) = &args.scope {
        text.push_str(&format!(" --scope {}", quoted(scope)));
    }
    if args.mode != SyncMode::Diff {
        text.push_str(&format!(" --mode {}", args.mode));
    }
    if args.source != SOURCE_DEFAULT {
        text.push_str(&format!(" --source {}", quoted(&args.source)));
    }
    if let Some(delimiter) = args.read.delimiter {
        let delimiter = match delimiter {
            b'\t' => "tab".to_owned(),
            other => quoted(&char::from(other).to_string()),
        };
        text.push_str(&format!(" --delimiter {delimiter}"));
    }
    for (flag, given) in [("--flatten", args.read.flatten), ("--raw", args.read.raw)] {
        if given {
            text.push_str(&format!(" {flag}"));
        }
    }
    if args.ignore_duplicates {
        text.push_str(" --ignore-duplicates");
    }
    // Without this flag the same upload would delete objects that it keeps.
    if !args.partial_types.is_empty() {
        text.push_str(&format!(" --partial-types {}", quoted(&args.partial_types.join(","))));
    }
    if args.same_scope == SameScope::Reject {
        text.push_str(" --same-scope reject");
    }
    text
}

/// The compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileCompression {
    Plain,
    Gzip,
    Zstd,
}

/// A file to upload. It is opened only when its turn comes: a folder may hold more files than a
/// process may have open.
pub struct UploadFile {
    /// `None` is standard input.
    path: Option<PathBuf>,
    format: InputFormat,
    options: InputOptions,
    packing: FileCompression,
    len: u64,
    /// True if it can be read again; a pipe cannot.
    pub again: bool,
}

/// The endings of names that tell a format, for advice.
const ENDINGS: &str = ".json, .ndjson, .jsonl, .csv or .tsv, also with .gz or .zst behind";

/// Returns the files that the arguments name, in the order given; those of a folder are sorted by
/// name. What is passed over in a folder is told.
pub fn sources(
    context: &mut CommandContext<'_>,
    paths: &[PathBuf],
    options: InputOptions,
) -> Result<Vec<UploadFile>, CommandError> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            found.push(UploadFile {
                path: None,
                format: InputFormat::Ndjson,
                options,
                packing: FileCompression::Plain,
                len: 0,
                again: false,
            });
            continue;
        }
        let metadata = std::fs::metadata(path).map_err(|e| CommandError::file(path, "read", &e))?;
        if metadata.is_dir() {
            let mut folder = UploadFolder { options, ..UploadFolder::default() };
            folder.read(path)?;
            let notes = folder.notes(path);
            super::notes::tell(context, &notes)?;
            if folder.files.is_empty() {
                let message = format!("no file to upload in the folder `{}`", path.display());
                return Err(CommandError::mistake(message).hint(format!("it needs {ENDINGS}")));
            }
            folder.files.sort_by(|a, b| a.path.cmp(&b.path));
            found.extend(folder.files);
            continue;
        }
        let kind = kind(path).ok_or_else(|| {
            let name = path.display();
            CommandError::mistake(format!("cannot tell what is in `{name}` by its name"))
                .hint(format!("expected {ENDINGS}"))
        })?;
        found.push(UploadFile::file(path.clone(), kind, options, &metadata));
    }
    Ok(found)
}

/// Paths that a note names; more are counted.
const PATHS_NAMED: usize = 5;

/// The files of a folder and of the folders in it.
#[derive(Default)]
struct UploadFolder {
    options: InputOptions,
    files: Vec<UploadFile>,
    /// Files and folders whose names begin with a dot.
    hidden: Vec<PathBuf>,
    /// Files whose names tell no format.
    others: Vec<PathBuf>,
    /// Folders as the disk knows them: a link may lead to one again.
    seen: HashSet<PathBuf>,
}

impl UploadFolder {
    fn read(&mut self, folder: &Path) -> Result<(), CommandError> {
        let fault = |e: io::Error| CommandError::file(folder, "read", &e);
        if !self.seen.insert(folder.canonicalize().map_err(fault)?) {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                self.hidden.push(path);
                continue;
            }
            let metadata =
                std::fs::metadata(&path).map_err(|e| CommandError::file(&path, "read", &e))?;
            match kind(&path) {
                _ if metadata.is_dir() => self.read(&path)?,
                Some(kind) if metadata.is_file() => {
                    self.files.push(UploadFile::file(path, kind, self.options, &metadata));
                }
                _ => self.others.push(path),
            }
        }
        Ok(())
    }

    /// What was passed over.
    fn notes(&mut self, folder: &Path) -> Vec<String> {
        let mut notes = Vec::new();
        for (paths, why) in
            [(&mut self.hidden, "hidden"), (&mut self.others, "no upload by its name")]
        {
            if paths.is_empty() {
                continue;
            }
            paths.sort();
            let named: Vec<String> = paths
                .iter()
                .take(PATHS_NAMED)
                .map(|path| format!("`{}`", path.display()))
                .collect();
            let more = match paths.len().saturating_sub(PATHS_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            notes.push(format!(
                "passed over in `{}`, {why}: {}{more}",
                folder.display(),
                named.join(", ")
            ));
        }
        notes
    }
}

/// Format, compression and delimiter of a file, as its name tells them.
type FileKind = (InputFormat, FileCompression, Option<u8>);

fn kind(path: &Path) -> Option<FileKind> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let (name, packing) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
        (Some(inner), _) => (inner, FileCompression::Gzip),
        (_, Some(inner)) => (inner, FileCompression::Zstd),
        _ => (name.as_str(), FileCompression::Plain),
    };
    let (format, delimiter) = match name.rsplit_once('.')?.1 {
        "json" => (InputFormat::Json, None),
        "ndjson" | "jsonl" => (InputFormat::Ndjson, None),
        "csv" => (InputFormat::Csv, None),
        "tsv" | "tab" => (InputFormat::Csv, Some(b'\t')),
        _ => return None,
    };
    Some((format, packing, delimiter))
}

impl UploadFile {
    fn file(
        path: PathBuf,
        (format, packing, delimiter): FileKind,
        options: InputOptions,
        metadata: &Metadata,
    ) -> UploadFile {
        UploadFile {
            path: Some(path),
            format,
            options: InputOptions { delimiter: options.delimiter.or(delimiter), ..options },
            packing,
            len: metadata.len(),
            again: metadata.is_file(),
        }
    }

    /// Returns its name for messages.
    fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => "standard input".into(),
        }
    }

    /// Returns it as an input of a job; `bar` follows how much of it was read.
    pub fn input(&self, bar: &ProgressBar) -> InputSource<'static> {
        let state = LazyReaderState::Waiting(self.path.clone(), self.packing, bar.clone());
        let reader = Box::new(LazyReader(state));
        InputSource { options: self.options, ..InputSource::new(self.name(), self.format, reader) }
    }
}

/// A reader that opens its file at the first read and closes it at the end.
struct LazyReader(LazyReaderState);

enum LazyReaderState {
    Waiting(Option<PathBuf>, FileCompression, ProgressBar),
    Open(Box<dyn Read + Send>),
    Done,
}

fn open(
    path: Option<&Path>,
    packing: FileCompression,
    bar: &ProgressBar,
) -> io::Result<Box<dyn Read + Send>> {
    let raw: Box<dyn Read + Send> = match path {
        Some(path) => Box::new(bar.wrap_read(File::open(path)?)),
        None => Box::new(bar.wrap_read(io::stdin())),
    };
    Ok(match packing {
        FileCompression::Plain => raw,
        FileCompression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(raw))),
        FileCompression::Zstd => Box::new(zstd::stream::read::Decoder::new(raw)?),
    })
}

impl Read for LazyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let LazyReaderState::Waiting(path, packing, bar) = &self.0 {
            self.0 = LazyReaderState::Open(open(path.as_deref(), *packing, bar)?);
        }
        let LazyReaderState::Open(reader) = &mut self.0 else { return Ok(0) };
        let n = reader.read(buffer)?;
        // Dropping the reader closes the file before the next one is opened.
        if n == 0 && !buffer.is_empty() {
            self.0 = LazyReaderState::Done;
        }
        Ok(n)
    }
}

/// Makes a progress bar over the bytes of all files, or a hidden one.
fn progress(context: &CommandContext<'_>, sources: &[UploadFile]) -> ProgressBar {
    if !context.progress {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = match sources.iter().any(|s| s.path.is_none()) {
        true => ProgressBar::no_length(),
        false => ProgressBar::new(sources.iter().map(|s| s.len).sum()),
    };
    let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}  {elapsed}");
    bar.set_style(style.expect("BUG: the template is in order"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_is_in_a_file() {
        let said = |name: &str| kind(Path::new(name));
        let plain = FileCompression::Plain;
        assert_eq!(said("a.json"), Some((InputFormat::Json, plain, None)));
        assert_eq!(said("x/a.b.NDJSON"), Some((InputFormat::Ndjson, plain, None)));
        assert_eq!(said("a.jsonl.gz"), Some((InputFormat::Ndjson, FileCompression::Gzip, None)));
        assert_eq!(said("a.csv.zst"), Some((InputFormat::Csv, FileCompression::Zstd, None)));
        assert_eq!(said("a.TSV"), Some((InputFormat::Csv, plain, Some(b'\t'))));
        assert!(said("a.txt").is_none());
        assert!(said("json").is_none());
        assert!(said("a.gz").is_none());
    }
}
