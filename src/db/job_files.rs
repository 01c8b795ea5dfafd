//! The files of jobs, in the folder `<database>.jobs`.
//!
//! ```text
//!   <id>.json    the job, its state and its report, with a checksum; replaced by rename
//!   <id>.stage   what was uploaded to it, while it is open or held
//!   <id>.held    what a held job would write, where that is more than what was uploaded
//!   <id>.lock    the lock of an open or held job, and what of the stage was acknowledged
//!   <id>.new     the next <id>.json
//! ```
//!
//! A caller that changes the state of a job holds the lock of that job, in any process. A file that
//! is damaged, or that is none of these, harms no other job. Those who ask are told its name, and
//! [`Database::clear_jobs`] deletes it.

use super::{Database, Error, RightSet, io};
use crate::store::job_lock::{JobLock, LockRecord, StageEnd, peek};
use crate::store::{DatabaseFile, GraphWriter, Snapshot, StoreError, private_files};
use crate::sync::{JobReport, JobSpec, JobStatus, job_row};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of the largest job file: a report names 10,000 objects at most.
const JOB_FILE_MAX: u64 = 256 << 20;

/// Reports that may wait for the next commit.
const WAITING_MAX: usize = 1_000;

/// The state of a job that is not in the database file.
#[derive(Serialize, Deserialize)]
pub(super) struct JobFile {
    pub specs: Vec<JobSpec>,
    pub reports: Vec<JobReport>,
    pub inputs: Vec<String>,
    pub same_scope_reject: bool,
    /// The rights of those who named objects for deletion. The scope of such an object may be known
    /// only when the job is finalized.
    #[serde(default)]
    pub deleters: Vec<RightSet>,
    /// The stage of a held job.
    #[serde(default)]
    pub kept: Option<CompleteStage>,
    /// True if an earlier version wrote the file; the stages of such a job have another format.
    #[serde(skip)]
    pub earlier: bool,
}

/// A stage that is complete.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct CompleteStage {
    /// True for the `.held` file, false for the stage that took the uploads.
    pub held: bool,
    pub frames: u64,
    pub length: u64,
    pub chain: u64,
}

impl CompleteStage {
    pub fn new(held: bool, end: StageEnd) -> CompleteStage {
        CompleteStage { held, frames: end.frames, length: end.length, chain: end.chain }
    }

    pub fn end(&self) -> StageEnd {
        StageEnd { frames: self.frames, length: self.length, chain: self.chain }
    }
}

/// A job file as it is written.
#[derive(Serialize, Deserialize)]
struct ChecksummedJob<'j> {
    checksum: String,
    #[serde(borrow)]
    job: &'j RawValue,
}

impl JobFile {
    pub fn new(specs: Vec<JobSpec>, reports: Vec<JobReport>) -> JobFile {
        JobFile {
            specs,
            reports,
            inputs: Vec::new(),
            same_scope_reject: false,
            deleters: Vec::new(),
            kept: None,
            earlier: false,
        }
    }

    pub fn status(&self) -> JobStatus {
        self.reports[0].status
    }

    /// The job that the file is named after.
    pub fn id(&self) -> Uuid {
        self.specs[0].id
    }

    fn to_bytes(&self) -> Vec<u8> {
        let job = serde_json::value::to_raw_value(self).expect("BUG: a job file is plain JSON");
        let checksum = format!("{:032x}", xxh3_128(job.get().as_bytes()));
        let mut bytes = serde_json::to_vec(&ChecksummedJob { checksum, job: &job })
            .expect("BUG: a job file is plain JSON");
        bytes.push(b'\n');
        bytes
    }

    fn from_bytes(bytes: &[u8], id: Uuid) -> Result<JobFile, String> {
        // The checksum is over the text as it lies in the file, so it is checked before the job is
        // parsed.
        let file = match serde_json::from_slice::<ChecksummedJob<'_>>(bytes) {
            Ok(sealed) => {
                let text = sealed.job.get();
                if sealed.checksum != format!("{:032x}", xxh3_128(text.as_bytes())) {
                    return Err("it does not pass its checksum".to_owned());
                }
                serde_json::from_str(text).map_err(|e| e.to_string())?
            }
            Err(e) => {
                // Those of earlier versions had no checksum.
                let file: JobFile = serde_json::from_slice(bytes).map_err(|_| e.to_string())?;
                JobFile { earlier: true, ..file }
            }
        };
        match file.specs.first().is_some_and(|spec| spec.id == id)
            && file.specs.len() == file.reports.len()
        {
            true => Ok(file),
            false => Err("it is the file of another job".to_owned()),
        }
    }
}

/// The kind of a file in the folder, by the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobFileKind {
    Json,
    Stage,
    Held,
    Lock,
    New,
    /// Of earlier versions.
    Mapped,
}

const ENDINGS: [(&str, JobFileKind); 6] = [
    ("json", JobFileKind::Json),
    ("stage", JobFileKind::Stage),
    ("held", JobFileKind::Held),
    ("lock", JobFileKind::Lock),
    ("new", JobFileKind::New),
    ("mapped", JobFileKind::Mapped),
];

/// A file in the folder.
pub(super) struct JobFolderEntry {
    pub path: PathBuf,
    /// The job and the kind of the file; `None` for a file that no job has.
    pub of: Option<(Uuid, JobFileKind)>,
}

/// The job and the kind that a file name says.
fn named(path: &Path) -> Option<(Uuid, JobFileKind)> {
    let (stem, ending) = path.file_name()?.to_str()?.split_once('.')?;
    // Another spelling of the same UUID would be a second name for one job.
    let id = Uuid::parse_str(stem).ok().filter(|id| id.to_string() == stem)?;
    ENDINGS.iter().find(|(name, _)| *name == ending).map(|(_, ending)| (id, *ending))
}

/// A file in the folder of jobs that is of no use there.
#[derive(Clone, Debug)]
pub struct StrayJobFile {
    /// Its name in the folder.
    pub name: String,
    /// Its bytes, with those that go with it.
    pub bytes: u64,
    /// The reason that it is of no use.
    pub why: String,
    /// True if a job is lost with it.
    pub damage: bool,
    /// The reason that it is still there, if it could not be deleted.
    pub left: Option<String>,
    files: Vec<PathBuf>,
}

impl Database {
    pub(super) fn jobs_folder(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".jobs");
        name.into()
    }

    pub(super) fn make_folder(&self) -> Result<(), Error> {
        self.check_writable()?;
        let folder = self.jobs_folder();
        private_files::make_folder(&folder).map_err(io)?;
        Ok(private_files::check_owner(&folder, &self.path)?)
    }

    pub(super) fn job_path(&self, id: Uuid, ending: JobFileKind) -> PathBuf {
        let (name, _) = ENDINGS
            .iter()
            .find(|(_, known)| *known == ending)
            .expect("BUG: all endings are listed");
        self.jobs_folder().join(format!("{id}.{name}"))
    }

    /// Waits for the lock of a job.
    pub(super) fn lock_job(&self, id: Uuid) -> Result<JobLock, Error> {
        let folder = self.jobs_folder();
        if !folder.exists() {
            return Err(Error::UnknownJob(id.to_string()));
        }
        private_files::check_owner(&folder, &self.path)?;
        // The lock file is of use as long as one of these is there.
        let guarded =
            [JobFileKind::Stage, JobFileKind::Held].map(|ending| self.job_path(id, ending));
        Ok(JobLock::acquire(&self.job_path(id, JobFileKind::Lock), id, guarded, &self.waiting)?)
    }

    /// The record in the lock file of a job, read without the lock.
    pub(super) fn lock_record(&self, id: Uuid) -> Result<LockRecord, StoreError> {
        Ok(peek(&self.job_path(id, JobFileKind::Lock), id)?.unwrap_or_default())
    }

    /// All that lies in the folder.
    pub(super) fn files_here(&self) -> Result<Vec<JobFolderEntry>, Error> {
        let folder = self.jobs_folder();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(StoreError::DamagedFile(folder, "it is no folder".to_owned()).into());
            }
            Err(e) => return Err(io(e)),
        };
        private_files::check_owner(&folder, &self.path)?;
        let mut here = Vec::new();
        for entry in entries {
            let path = entry.map_err(io)?.path();
            here.push(JobFolderEntry { of: named(&path), path });
        }
        Ok(here)
    }

    /// The file of this very job; `None` if there is none.
    pub(super) fn read_job_file(&self, id: Uuid) -> Result<Option<JobFile>, StoreError> {
        let path = self.job_path(id, JobFileKind::Json);
        let damaged = |what: &str| StoreError::DamagedFile(path.clone(), what.to_owned());
        match path.symlink_metadata() {
            Ok(metadata) if !metadata.is_file() => return Err(damaged("it is no file")),
            Ok(metadata) if metadata.len() > JOB_FILE_MAX => {
                return Err(damaged("it is too large"));
            }
            Ok(_) => {}
            // It ended in between, and is in the database, or there never was one.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(damaged(&e.to_string())),
        }
        private_files::check_owner(&self.jobs_folder(), &self.path)?;
        match std::fs::read(&path) {
            Ok(bytes) => JobFile::from_bytes(&bytes, id).map(Some).map_err(|what| damaged(&what)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(damaged(&e.to_string())),
        }
    }

    /// All job files that are whole; damaged ones are left out.
    pub(super) fn job_files(&self) -> Result<Vec<JobFile>, Error> {
        let mut files = Vec::new();
        for here in self.files_here()? {
            if let Some((id, JobFileKind::Json)) = here.of
                && let Ok(Some(file)) = self.read_job_file(id)
            {
                files.push(file);
            }
        }
        Ok(files)
    }

    /// Writes the state of a job, whose lock is held: whole under another name, then renamed.
    pub(super) fn put_job_file(&self, file: &JobFile) -> Result<(), Error> {
        let (path, new) = (
            self.job_path(file.id(), JobFileKind::Json),
            self.job_path(file.id(), JobFileKind::New),
        );
        let bytes = file.to_bytes();
        if bytes.len() as u64 > JOB_FILE_MAX {
            // It could not be read back.
            return Err(io(std::io::ErrorKind::FileTooLarge.into()));
        }
        // A crash may have left one, and it must not be one that somebody else can write.
        let _ = std::fs::remove_file(&new);
        let written = private_files::create_new(&new).and_then(|mut out| {
            out.write_all(&bytes)?;
            out.sync_data()?;
            std::fs::rename(&new, &path)
        });
        if let Err(e) = written {
            let _ = std::fs::remove_file(&new);
            return Err(io(e));
        }
        // The rename itself has to be durable before the caller hears of it.
        Ok(crate::store::sync_folder(&self.jobs_folder())?)
    }

    /// Removes the uploads of a job. `gc` removes later what cannot be removed now.
    pub(super) fn forget_uploads(&self, id: Uuid) {
        for ending in [JobFileKind::Stage, JobFileKind::Held, JobFileKind::Mapped, JobFileKind::New]
        {
            let _ = remove(&self.job_path(id, ending));
        }
    }

    /// Removes the files of a job that is in the database now. `gc` removes later what cannot be
    /// removed now; the stored report goes before the file.
    pub(super) fn forget_job(&self, id: Uuid) {
        let _ = std::fs::remove_file(self.job_path(id, JobFileKind::Json));
        self.forget_uploads(id);
    }

    /// Takes the reports of finished jobs into the transaction; returns their jobs. A job that ends
    /// meanwhile waits for the next commit.
    pub(super) fn fold_reports(
        &self,
        writer: &mut GraphWriter,
        snapshot: &Snapshot,
    ) -> Result<Vec<Uuid>, Error> {
        let here = self.files_here()?;
        // A job with a stage beside it is open, held, or just about to end; its file is not
        // touched.
        let going_on: BTreeSet<Uuid> = here
            .iter()
            .filter_map(|here| here.of)
            .filter(|(_, ending)| matches!(ending, JobFileKind::Stage | JobFileKind::Held))
            .map(|(id, _)| id)
            .collect();
        let mut folded = Vec::new();
        for here in here {
            let Some((id, JobFileKind::Json)) = here.of else { continue };
            if going_on.contains(&id) {
                continue;
            }
            let Ok(Some(file)) = self.read_job_file(id) else { continue };
            if !matches!(file.status(), JobStatus::Finished | JobStatus::Aborted) {
                continue;
            }
            for report in &file.reports {
                // Another process may have done so, and ended before it removed the file.
                if self.stored_in(snapshot, report.id)?.is_none() {
                    let sequence = writer.meta.next_job;
                    writer.meta.next_job += 1;
                    writer.put_job(sequence, &job_row(report))?;
                }
            }
            folded.push(id);
        }
        Ok(folded)
    }

    /// Takes the reports that wait beside the database into it, if there are many. A failure here
    /// is no error: the next commit does it.
    pub(super) fn fold_many(&self) -> Result<(), Error> {
        let json = |here: &JobFolderEntry| matches!(here.of, Some((_, JobFileKind::Json)));
        if self.injected.is_none()
            && self.files_here()?.iter().filter(|here| json(here)).count() > WAITING_MAX
            && let Ok(store) = DatabaseFile::open_writer(&self.path)
        {
            let _ = self.write_in(Some(store), None, |_, _| Ok(()));
        }
        Ok(())
    }

    /// The number of open and held jobs, and the bytes that they take on disk.
    #[doc(hidden)]
    pub fn staged(&self) -> Result<(u64, u64), Error> {
        let mut jobs: BTreeMap<Uuid, (bool, Vec<PathBuf>)> = BTreeMap::new();
        for here in self.files_here()? {
            let Some((id, ending)) = here.of else { continue };
            let job = jobs.entry(id).or_default();
            job.0 |= matches!(ending, JobFileKind::Stage | JobFileKind::Held);
            // The others are small, whatever callers do.
            if !matches!(ending, JobFileKind::Lock | JobFileKind::New) {
                job.1.push(here.path);
            }
        }
        let mut staged = (0, 0);
        for (_, files) in jobs.values().filter(|(open, _)| *open) {
            // A job that ends in between takes nothing any more.
            let size = |path: &PathBuf| path.symlink_metadata().map_or(0, |found| found.len());
            staged = (staged.0 + 1, staged.1 + files.iter().map(size).sum::<u64>());
        }
        Ok(staged)
    }

    /// The files in the folder of jobs that belong to no job, or to a damaged one.
    #[doc(hidden)]
    pub fn stray_job_files(&self) -> Result<Vec<StrayJobFile>, Error> {
        let here = self.files_here()?;
        let jobs: BTreeSet<Uuid> = here
            .iter()
            .filter_map(|here| here.of)
            .filter(|(_, ending)| *ending == JobFileKind::Json)
            .map(|(id, _)| id)
            .collect();
        let mut strays = Vec::new();
        let mut with: BTreeMap<Uuid, Vec<PathBuf>> = BTreeMap::new();
        for file in here {
            match file.of {
                None => {
                    strays.push(StrayJobFile::new("it is no file of a job", false, vec![file.path]))
                }
                Some((id, _)) => with.entry(id).or_default().push(file.path),
            }
        }
        for (id, files) in with {
            let damage = match jobs.contains(&id) {
                true => match self.read_job_file(id) {
                    Err(StoreError::DamagedFile(_, what)) => (what, true),
                    Err(e) => return Err(e.into()),
                    Ok(_) => continue,
                },
                // Its report is in the database, and `gc` removes what a crash left.
                false if self.stored_job(id)?.is_some() => continue,
                false if has_uploads(&files) => ("its job is not there".to_owned(), true),
                false => ("a crash left it before there was a job".to_owned(), false),
            };
            // Files that are being made or removed at this moment are in use.
            let path = self.job_path(id, JobFileKind::Lock);
            let busy = std::fs::File::open(&path).is_ok_and(|file| file.try_lock().is_err());
            if !busy && files.iter().any(|path| path.symlink_metadata().is_ok()) {
                strays.push(StrayJobFile::new(&damage.0, damage.1, files));
            }
        }
        strays.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(strays)
    }

    /// Deletes the files in the folder of jobs that belong to no job, or to a damaged one: all of
    /// them, or those that have one of the names. A name is that of a file, or the id of a job.
    /// Returns the files found.
    ///
    /// # Errors
    ///
    /// A usage error for a name that no such file has; then nothing was deleted.
    #[doc(hidden)]
    pub fn clear_jobs(&self, names: &[String], dry_run: bool) -> Result<Vec<StrayJobFile>, Error> {
        let mut strays = self.stray_job_files()?;
        let is = |stray: &StrayJobFile, name: &String| {
            stray.name == *name || stray.name.split_once('.').is_some_and(|(id, _)| id == name)
        };
        if let Some(name) = names.iter().find(|name| !strays.iter().any(|s| is(s, name))) {
            return Err(Error::usage(
                format!("`{name}` is nothing that can be cleared"),
                "`tombolo job clear --dry-run` lists what can; `tombolo job abort ID` ends a job",
            ));
        }
        strays.retain(|stray| names.is_empty() || names.iter().any(|name| is(stray, name)));
        for stray in strays.iter_mut().filter(|_| !dry_run) {
            stray.delete();
        }
        Ok(strays)
    }

    /// Removes the files that crashes left of jobs that are over, or that never began; returns
    /// their number.
    pub(super) fn sweep_jobs(&self) -> Result<u64, Error> {
        let mut swept = 0;
        let snapshot = self.snapshot()?;
        let mut ids: BTreeSet<Uuid> = BTreeSet::new();
        ids.extend(self.files_here()?.iter().filter_map(|here| here.of).map(|(id, _)| id));
        for id in ids {
            // Looked at without the lock first; most jobs need no more.
            let over = match self.read_job_file(id) {
                Err(_) => continue,
                Ok(Some(file)) => match file.status() {
                    JobStatus::Finished | JobStatus::Aborted | JobStatus::Refused => true,
                    JobStatus::AwaitingUploads | JobStatus::Held => {
                        self.stored_in(&snapshot, id)?.is_some()
                    }
                },
                Ok(None) => {
                    let uploads =
                        [JobFileKind::Stage, JobFileKind::Mapped].map(|e| self.job_path(id, e));
                    self.stored_in(&snapshot, id)?.is_some() || !has_uploads(&uploads)
                }
            };
            let endings = [
                JobFileKind::Stage,
                JobFileKind::Held,
                JobFileKind::Mapped,
                JobFileKind::New,
                JobFileKind::Lock,
            ];
            let left = endings.iter().filter(|ending| self.job_path(id, **ending).exists()).count();
            if !over || left == 0 {
                continue;
            }
            let lock = self.lock_job(id)?;
            // Asked again under the lock: it may just have been made, or be about to end.
            let file = self.read_job_file(id)?;
            if file.is_none_or(|file| {
                !matches!(file.status(), JobStatus::AwaitingUploads | JobStatus::Held)
            }) || self.stored_in(&self.snapshot()?, id)?.is_some()
            {
                self.forget_uploads(id);
                swept += left as u64;
            }
            drop(lock);
        }
        Ok(swept)
    }
}

/// Removes a file. A folder in its place is removed only if it is empty, since its contents are not
/// ours.
fn remove(path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata()?.is_dir() {
        true => std::fs::remove_dir(path),
        false => std::fs::remove_file(path),
    }
}

/// True if any of the files holds uploads. A job is there before its first upload, and a held job
/// only after all that it holds.
fn has_uploads(files: &[PathBuf]) -> bool {
    files.iter().any(|path| {
        let uploads = matches!(named(path), Some((_, JobFileKind::Stage | JobFileKind::Mapped)));
        uploads && path.metadata().is_ok_and(|metadata| metadata.len() > 0)
    })
}

impl StrayJobFile {
    fn new(why: &str, damage: bool, mut files: Vec<PathBuf>) -> StrayJobFile {
        files.sort();
        let size = |path: &PathBuf| path.symlink_metadata().map_or(0, |metadata| metadata.len());
        let name = files.first().and_then(|path| path.file_name()).unwrap_or_default();
        StrayJobFile {
            name: name.to_string_lossy().into_owned(),
            bytes: files.iter().map(size).sum(),
            why: why.to_owned(),
            damage,
            left: None,
            files,
        }
    }

    fn delete(&mut self) {
        for path in &self.files {
            let removed = remove(path);
            if let Err(e) = removed
                && e.kind() != std::io::ErrorKind::NotFound
            {
                self.left = Some(e.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::SyncMode;

    #[test]
    fn a_job_file_is_whole_or_refused() {
        let spec = JobSpec::new("api", SyncMode::Diff, "okta", 5);
        let (id, report) = (spec.id, spec.report(JobStatus::AwaitingUploads));
        let mut file = JobFile::new(vec![spec], vec![report]);
        file.kept =
            Some(CompleteStage { held: true, frames: 1, length: u64::MAX, chain: u64::MAX - 1 });
        let bytes = file.to_bytes();
        let back = JobFile::from_bytes(&bytes, id).unwrap();
        assert!(!back.earlier && back.specs == file.specs);
        assert_eq!(back.kept.unwrap().end(), file.kept.unwrap().end());
        assert!(JobFile::from_bytes(&bytes, Uuid::new_v4()).is_err());
        for at in 0..bytes.len() - 1 {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(JobFile::from_bytes(&bad, id).is_err(), "byte {at}");
            assert!(JobFile::from_bytes(&bytes[..at], id).is_err(), "cut at {at}");
        }
        let earlier = serde_json::to_vec(&file).unwrap();
        assert!(JobFile::from_bytes(&earlier, id).unwrap().earlier);
    }
}
