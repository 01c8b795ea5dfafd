//! `tombolo sync`: uploads files as one job, or as one job a scope, and reports on their rows.

use super::CommandContext;
use super::args::{ReportFormat, SameScope, SyncArgs};
use super::failure::CommandError;
use super::report;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tombolo::db::SyncRequest;
use tombolo::sync::{InputFormat, InputSource, SyncMode};

/// Runs the command.
pub fn run(context: &mut CommandContext<'_>, args: &SyncArgs) -> Result<u8, CommandError> {
    let sources = sources(&args.files)?;
    let bar = progress(context, &sources);
    let twice = sources.iter().all(|source| source.again);
    let inputs = || -> Vec<InputSource<'static>> {
        bar.set_position(0);
        sources.iter().map(|source| source.input(&bar)).collect()
    };
    // A dry run or a refused upload must not leave a new, empty database behind.
    let fresh = !context.path().exists();
    let database = context.open_or_create()?;
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
    let reports = result?;
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

/// Returns `text` as one word of a shell.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@,+=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", super::output::clean(text).replace('\'', "'\\''")),
    }
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
    pub format: InputFormat,
    packing: FileCompression,
    len: u64,
    /// True if it can be read again; a pipe cannot.
    again: bool,
}

/// Returns the files that the arguments name, in the order given; those of a folder are sorted by
/// name.
pub fn sources(paths: &[PathBuf]) -> Result<Vec<UploadFile>, CommandError> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            found.push(UploadFile {
                path: None,
                format: InputFormat::Ndjson,
                packing: FileCompression::Plain,
                len: 0,
                again: false,
            });
            continue;
        }
        let metadata = std::fs::metadata(path).map_err(|e| CommandError::file(path, "read", &e))?;
        if metadata.is_dir() {
            found.extend(folder(path)?);
            continue;
        }
        let (format, packing) = kind(path).ok_or_else(|| {
            CommandError::mistake(format!(
                "cannot tell what is in `{}` by its name",
                path.display()
            ))
            .hint("expected .json, .ndjson, .jsonl or .csv, also with .gz or .zst behind")
        })?;
        found.push(UploadFile::file(path.clone(), format, packing, &metadata));
    }
    Ok(found)
}

/// Returns the files of a folder whose names tell their format.
fn folder(path: &Path) -> Result<Vec<UploadFile>, CommandError> {
    let fault = |e: io::Error| CommandError::file(path, "read", &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let metadata =
            std::fs::metadata(&path).map_err(|e| CommandError::file(&path, "read", &e))?;
        if let (Some((format, packing)), true) = (kind(&path), metadata.is_file()) {
            found.push(UploadFile::file(path, format, packing, &metadata));
        }
    }
    if found.is_empty() {
        let message = format!("no file to upload in the folder `{}`", path.display());
        return Err(CommandError::mistake(message)
            .hint("it needs .json, .ndjson, .jsonl or .csv, also with .gz or .zst behind"));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Reads the format and compression of a file from its name.
fn kind(path: &Path) -> Option<(InputFormat, FileCompression)> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let (name, packing) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
        (Some(inner), _) => (inner, FileCompression::Gzip),
        (_, Some(inner)) => (inner, FileCompression::Zstd),
        _ => (name.as_str(), FileCompression::Plain),
    };
    let format = match name.rsplit_once('.')?.1 {
        "json" => InputFormat::Json,
        "ndjson" | "jsonl" => InputFormat::Ndjson,
        "csv" => InputFormat::Csv,
        _ => return None,
    };
    Some((format, packing))
}

impl UploadFile {
    fn file(
        path: PathBuf,
        format: InputFormat,
        packing: FileCompression,
        metadata: &Metadata,
    ) -> UploadFile {
        UploadFile {
            path: Some(path),
            format,
            packing,
            len: metadata.len(),
            again: metadata.is_file(),
        }
    }

    /// Returns its name for messages.
    pub fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => "standard input".into(),
        }
    }

    /// Returns a reader of its contents, unpacked.
    #[cfg(feature = "push")]
    pub fn reader(self) -> impl Read + Send {
        LazyReader(LazyReaderState::Waiting(self.path, self.packing, ProgressBar::hidden()))
    }

    fn input(&self, bar: &ProgressBar) -> InputSource<'static> {
        let name = self.name();
        let state = LazyReaderState::Waiting(self.path.clone(), self.packing, bar.clone());
        InputSource { name, format: self.format, reader: Box::new(LazyReader(state)) }
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
        assert!(matches!(said("a.json"), Some((InputFormat::Json, FileCompression::Plain))));
        assert!(matches!(
            said("x/a.b.NDJSON"),
            Some((InputFormat::Ndjson, FileCompression::Plain))
        ));
        assert!(matches!(said("a.jsonl.gz"), Some((InputFormat::Ndjson, FileCompression::Gzip))));
        assert!(matches!(said("a.csv.zst"), Some((InputFormat::Csv, FileCompression::Zstd))));
        assert!(said("a.txt").is_none());
        assert!(said("json").is_none());
        assert!(said("a.gz").is_none());
    }

    #[test]
    fn advice_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("okta.json"), "okta.json");
        assert_eq!(quoted("a b; rm -rf"), "'a b; rm -rf'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
