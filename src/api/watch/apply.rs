//! `--apply on-change`: mappings are applied again when a scope that they read changed, and source files when
//! their rows did. All guards hold, one file runs at a time, and nothing runs twice for what it made
//! itself.

use super::super::AppState;
use super::events::FileState;
use super::journal::WatchJournal;
use super::settings::NotifySettings;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use tombolo::ErrorKind;
use tombolo::answers::{
    AnswerError, GuardOverrides, MappingFileSet, MappingRunAnswer, MappingRunOptions,
    MappingSelection, MappingState,
};
use tombolo::graph::NameLookup;
use tombolo::mapping::{Diagnostic, DiagnosticSeverity};
use tombolo::store::Snapshot;
use tombolo::sync::JobReport;
use uuid::Uuid;

/// The last job of each scope.
pub type ScopeJobs = BTreeMap<String, Option<Uuid>>;

/// Reads the last job of each scope.
///
/// # Errors
///
/// The error of reading.
pub fn scope_jobs(snapshot: &Snapshot) -> Result<ScopeJobs, AnswerError> {
    let mut jobs = ScopeJobs::new();
    for (scope, row) in snapshot.scope_rows()? {
        let job = match row.last_job {
            Some(sequence) => snapshot.job_id(sequence)?,
            None => None,
        };
        jobs.insert(snapshot.name(scope).to_owned(), job);
    }
    Ok(jobs)
}

/// A mapping or source file, and what its outcome depends on.
struct WatchedFile {
    scope: String,
    /// True for a source file, whose job may be held.
    source: bool,
    /// The text of the file, and the files of its rows, as they were when the pass began: what is
    /// written while it runs is seen by the next one.
    contents: Vec<String>,
    /// True if one of them was written a moment ago, and perhaps not to its end.
    young: bool,
    /// The scopes that it reads; `None` for all but its own.
    reads: Option<BTreeSet<String>>,
    /// The scopes that have to be fresh.
    fresh: Vec<String>,
}

impl WatchedFile {
    /// Says what the file would see, as a digest: its text, its rows, and the jobs of the scopes that it
    /// reads. One that was refused also looks at the scopes that were not fresh.
    fn sight(&self, jobs: &ScopeJobs, ends: Option<&BTreeMap<String, i64>>) -> String {
        let mut lines = self.contents.clone();
        if !self.source {
            let read = jobs.iter().filter(|(scope, _)| match &self.reads {
                Some(reads) => reads.contains(*scope),
                None => **scope != self.scope,
            });
            lines.extend(read.map(|(scope, job)| format!("{scope} {job:?}")));
        }
        if let Some(ends) = ends {
            lines.extend(self.fresh.iter().map(|scope| format!("{scope} {:?}", ends.get(scope))));
        }
        let digest = Sha256::digest(lines.join("\n"));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Time for which a file that was written is left alone.
const SETTLING: Duration = Duration::from_secs(1);

/// True if a file was written a moment ago.
fn is_young(path: &Path) -> bool {
    let written = std::fs::metadata(path).and_then(|found| found.modified());
    // A time in the future says nothing.
    written.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < SETTLING))
}

/// Describes the contents of a file by its size and time.
fn contents(path: &Path) -> String {
    let found = std::fs::metadata(path).map(|found| {
        let time = found.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        (found.len(), time.unwrap_or_default().as_nanos())
    });
    format!("{} {:?}", path.display(), found.ok())
}

fn watched_file(scope: &str, file: &Path, digest: &str, inputs: &[PathBuf]) -> WatchedFile {
    let inputs = inputs.iter().map(PathBuf::as_path);
    let mut all = inputs.clone().map(contents).collect::<Vec<_>>();
    all.push(digest.to_owned());
    WatchedFile {
        scope: scope.to_owned(),
        source: false,
        contents: all,
        young: inputs.chain([file]).any(is_young),
        reads: None,
        fresh: Vec::new(),
    }
}

/// The files of the server's folder, sources first, as they run.
fn watched(loaded: &MappingFileSet) -> Vec<WatchedFile> {
    let sources = loaded.sources.iter().map(|source| WatchedFile {
        source: true,
        reads: Some(BTreeSet::new()),
        fresh: source.guard.fresh.iter().map(|fresh| fresh.scope.clone()).collect(),
        ..watched_file(&source.scope, &source.file, &source.digest, &source.input_paths())
    });
    let mappings = loaded.mappings.iter().map(|mapping| WatchedFile {
        reads: mapping.scopes_read(),
        fresh: mapping.guard.fresh.iter().map(|fresh| fresh.scope.clone()).collect(),
        ..watched_file(&mapping.scope, &mapping.file, &mapping.digest, &mapping.input_paths())
    });
    sources.chain(mappings).collect()
}

/// The state that a pass works with.
pub struct ApplyPass<'a> {
    /// The server.
    pub app: &'a AppState,
    /// Those who are told of refusals.
    pub settings: &'a NotifySettings,
    /// The record of what was seen before.
    pub journal: &'a WatchJournal,
    /// The last job of each scope, as of now.
    pub jobs: &'a ScopeJobs,
    /// The end of the last job of each scope.
    pub ends: &'a BTreeMap<String, i64>,
    /// Scopes with a job that is held.
    pub held: &'a BTreeSet<String>,
}

impl ApplyPass<'_> {
    /// Applies the files that see something new. A file runs twice at most: once more if another one,
    /// which ran after it, changed what it reads. What files make of each other after that starts no
    /// further pass. Returns true if any of them ran.
    ///
    /// # Errors
    ///
    /// The error of reading the graph.
    pub fn run(&self) -> Result<bool, AnswerError> {
        if !self.app.mappings.is_dir() {
            return Ok(false);
        }
        let selection =
            MappingSelection { paths: vec![self.app.mappings.clone()], labels: Vec::new() };
        let loaded = MappingFileSet::load(&selection);
        self.tell_broken(&loaded);
        let mut jobs = self.jobs.clone();
        let mut ours: BTreeSet<Uuid> = BTreeSet::new();
        let files = watched(&loaded);
        self.forget_others(&files, &loaded.broken);
        let mut ran: BTreeMap<&str, ScopeJobs> = BTreeMap::new();
        for _ in 0..2 {
            for file in &files {
                if !self.is_due(file, &jobs) {
                    continue;
                }
                let Some(reports) = self.apply(&loaded, file, &jobs)? else { continue };
                ran.insert(&file.scope, jobs.clone());
                ours.extend(reports.iter().map(|report| report.id));
                if reports.iter().any(|report| !report.is_quiet()) {
                    jobs = scope_jobs(&self.app.database.snapshot()?)?;
                }
            }
        }
        for file in &files {
            let Some(seen) = ran.get(file.scope.as_str()) else { continue };
            let own = |(scope, job): (&String, &Option<Uuid>)| {
                seen.get(scope) == Some(job) || job.is_some_and(|job| ours.contains(&job))
            };
            if jobs.iter().all(own) {
                self.settle(file, &jobs);
            }
        }
        Ok(!ran.is_empty())
    }

    fn sight(&self, file: &WatchedFile, jobs: &ScopeJobs) -> String {
        let refused = self.journal.look(|record| record.is_refused(&file.scope));
        file.sight(jobs, refused.then_some(self.ends))
    }

    fn is_due(&self, file: &WatchedFile, jobs: &ScopeJobs) -> bool {
        // A job that waits for somebody is not followed by a second one.
        if file.young || file.source && self.held.contains(&file.scope) {
            return false;
        }
        let sight = self.sight(file, jobs);
        self.journal.look(|record| record.settled.get(&file.scope) != Some(&sight))
    }

    fn settle(&self, file: &WatchedFile, jobs: &ScopeJobs) {
        let sight = self.sight(file, jobs);
        self.journal.notice(self.settings, super::super::now(), |record| {
            record.settled.insert(file.scope.clone(), sight);
            Vec::new()
        });
    }

    /// Applies one file; `None` if it cannot run now and is tried again. What it saw is settled.
    fn apply(
        &self,
        loaded: &MappingFileSet,
        file: &WatchedFile,
        jobs: &ScopeJobs,
    ) -> Result<Option<Vec<JobReport>>, AnswerError> {
        let overrides = GuardOverrides::default();
        let options = MappingRunOptions { overrides: &overrides, details: 0 };
        let run = loaded.only(&file.scope).apply(&self.app.database, &options)?;
        if run.objection() == Some(ErrorKind::Unavailable) {
            return Ok(None);
        }
        let reports: Vec<JobReport> = reports(&run).cloned().collect();
        for report in &reports {
            tracing::info!(
                job = %report.id,
                scope = report.scope,
                status = ?report.status,
                created = report.entities.created + report.relationships.created,
                updated = report.entities.updated + report.relationships.updated,
                deleted = report.entities.deleted + report.relationships.deleted,
                "applied on change"
            );
        }
        let states = file_states(&run);
        self.journal.notice(self.settings, super::super::now(), |record| {
            record.notice_files(&states, super::super::now())
        });
        self.settle(file, jobs);
        Ok(Some(reports))
    }

    /// Forgets files that are no more, so that one that comes back is applied.
    fn forget_others(&self, files: &[WatchedFile], broken: &[String]) {
        let known =
            |name: &String| broken.contains(name) || files.iter().any(|file| file.scope == *name);
        // A file with a fault tells no scope, so nothing is forgotten meanwhile.
        if broken.is_empty() {
            self.journal.notice(self.settings, super::super::now(), |record| {
                record.forget_files(known);
                Vec::new()
            });
        }
    }

    /// Tells of files that cannot be read.
    fn tell_broken(&self, loaded: &MappingFileSet) {
        let mut states = Vec::new();
        for file in loaded.broken.iter().filter(|file| !is_young(Path::new(file))) {
            let own = loaded.faults.iter().filter(|fault| fault.source.file == *file);
            states.push(FileState {
                scope: file.clone(),
                file: file.clone(),
                trouble: Some("failed"),
                message: first_error(own).unwrap_or_default(),
            });
        }
        // A file that can be read again is in trouble under its name no more.
        let good = loaded.mappings.iter().map(|mapping| &mapping.file);
        let good = good.chain(loaded.sources.iter().map(|source| &source.file));
        for file in good {
            let file = file.display().to_string();
            let (scope, message) = (file.clone(), String::new());
            states.push(FileState { scope, file, trouble: None, message });
        }
        self.journal.notice(self.settings, super::super::now(), |record| {
            record.notice_files(&states, super::super::now())
        });
    }
}

fn reports(run: &MappingRunAnswer) -> impl Iterator<Item = &JobReport> {
    let sources = run.sources.iter().map(|outcome| &outcome.state);
    let states = sources.chain(run.outcomes.iter().map(|outcome| &outcome.state));
    states.filter_map(|state| match state {
        MappingState::Applied(report) => Some(&**report),
        _ => None,
    })
}

fn first_error<'f>(mut faults: impl Iterator<Item = &'f Diagnostic>) -> Option<String> {
    let fault = faults.find(|fault| fault.severity == DiagnosticSeverity::Error)?;
    Some(fault.message.clone())
}

/// Returns the state of each file of a run.
pub fn file_states(run: &MappingRunAnswer) -> Vec<FileState> {
    let state = |scope: &str, file: String, state: &MappingState, faults: &[Diagnostic]| {
        let (trouble, message) = match state {
            MappingState::Refused => (Some("refused"), first_error(faults.iter())),
            MappingState::Failed => (Some("failed"), first_error(faults.iter())),
            MappingState::Broken(error) => (Some("failed"), Some(error.message().to_owned())),
            MappingState::Ready | MappingState::Disabled | MappingState::Applied(_) => (None, None),
        };
        let message = message.unwrap_or_default();
        FileState { scope: scope.to_owned(), file, trouble, message }
    };
    let mut states = Vec::new();
    for outcome in &run.sources {
        let (source, faults) = (&outcome.source, &outcome.faults);
        let file = source.file.display().to_string();
        states.push(state(&source.scope, file, &outcome.state, faults));
    }
    for outcome in &run.outcomes {
        let (mapping, faults) = (&outcome.mapping, &outcome.faults);
        let file = mapping.file.display().to_string();
        states.push(state(&mapping.scope, file, &outcome.state, faults));
    }
    states
}
