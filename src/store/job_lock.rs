//! The lock of a job. Every process that changes the state of the job holds it; readers do not ask
//! for it.
//!
//! The lock is a lock of the kernel, on a small file beside the stage, so it ends with the process
//! that holds it. The file says how much of the stage was acknowledged. It is written after an
//! upload is on the disk and before the caller hears of it. So a stage that ends before the
//! acknowledged end has lost something; what lies behind that end may be an upload whose caller
//! never heard.
//!
//! ```text
//!   file   two slots, at 0 and 512: written in turns, so that a torn one leaves the other
//!   slot   magic u32 | finalizing u32 | turn u64 | frames u64 | length u64 | chain u64
//!          | boot u64 | milliseconds since boot u64 | crc32 u32 over the job id and the above
//! ```
//!
//! The writer does not wait until the file is on the disk. A system that crashes may lose its last
//! seconds; then it names an earlier end, and everything that was acknowledged lies whole behind
//! it. A file without a slot (it was deleted) names no end; the stage is then believed as far as it
//! proves itself.

use super::codec::ByteCursor;
use super::lock_wait::WaitPolicy;
use super::{StoreError, private_files};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use uuid::Uuid;

const MAGIC: u32 = 0x314b_4c54;
const SLOT: usize = 64;
/// Offsets of the slots, in sectors of their own.
const SLOT_AT: [u64; 2] = [0, 512];

/// The end of a stage: its frames, its bytes, and the chain that links the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageEnd {
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub length: u64,
    /// The chain behind the last frame; without meaning if there is no frame.
    pub chain: u64,
}

/// The contents of the file of a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockRecord {
    /// The acknowledged end of the stage.
    pub acknowledged: StageEnd,
    /// True if a process set out to write the job into the graph.
    pub finalizing: bool,
    turn: u64,
    touched: Uptime,
}

/// A time since the start of the system, which no setting of the clock changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Uptime {
    boot: u64,
    milliseconds: u64,
}

impl Uptime {
    /// Now; zeros where the system does not tell.
    fn now() -> Uptime {
        static BOOT: OnceLock<u64> = OnceLock::new();
        let boot = *BOOT.get_or_init(|| {
            let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            if id.is_empty() { 0 } else { xxhash_rust::xxh3::xxh3_64(&id) }
        });
        let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = text.split(' ').next().and_then(|text| text.parse::<f64>().ok());
        Uptime { boot, milliseconds: seconds.map_or(0, |seconds| (seconds * 1000.0) as u64) }
    }
}

impl LockRecord {
    /// The time since the job was last written to. `None` if the system has started anew since, or
    /// does not tell.
    pub fn idle(&self) -> Option<Duration> {
        let now = Uptime::now();
        // Another boot id means that the counter began anew.
        let told = now.boot != 0 && now.boot == self.touched.boot;
        told.then(|| {
            Duration::from_millis(now.milliseconds.saturating_sub(self.touched.milliseconds))
        })
    }

    fn encode(&self, job: Uuid) -> [u8; SLOT] {
        let mut bytes = Vec::with_capacity(SLOT);
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.finalizing).to_le_bytes());
        let end = self.acknowledged;
        let touched = self.touched;
        for n in [self.turn, end.frames, end.length, end.chain, touched.boot, touched.milliseconds]
        {
            bytes.extend_from_slice(&n.to_le_bytes());
        }
        bytes.extend_from_slice(&checksum(job, &bytes).to_le_bytes());
        bytes.resize(SLOT, 0);
        bytes.try_into().expect("BUG: as long as a slot")
    }

    fn decode(slot: &[u8], job: Uuid) -> Option<LockRecord> {
        let mut c = ByteCursor(slot);
        let (magic, finalizing, turn) = (c.u32()?, c.u32()?, c.u64()?);
        let acknowledged = StageEnd { frames: c.u64()?, length: c.u64()?, chain: c.u64()? };
        let touched = Uptime { boot: c.u64()?, milliseconds: c.u64()? };
        let body = slot.len() - c.0.len();
        let whole = magic == MAGIC && c.u32()? == checksum(job, &slot[..body]);
        whole.then_some(LockRecord { acknowledged, finalizing: finalizing != 0, turn, touched })
    }
}

fn checksum(job: Uuid, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(job.as_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Reads the file of a lock without taking the lock. `None` if it says nothing.
///
/// # Errors
///
/// [`StoreError::DamagedFile`] if the contents make no sense.
pub fn peek(path: &Path, job: Uuid) -> Result<Option<LockRecord>, StoreError> {
    match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => read(&file, path, job),
        // The next holder of the lock puts a file there.
        Ok(_) => Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn read(mut file: &File, path: &Path, job: Uuid) -> Result<Option<LockRecord>, StoreError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(SLOT_AT[1] + SLOT as u64).read_to_end(&mut bytes)?;
    let found = record_in(&bytes, job);
    found.map_err(|what| StoreError::DamagedFile(path.to_owned(), what.to_owned()))
}

/// Reads the bytes of such a file. `None` if they say nothing; an error in words if they make no
/// sense.
pub(super) fn record_in(bytes: &[u8], job: Uuid) -> Result<Option<LockRecord>, &'static str> {
    let slots = SLOT_AT.iter().filter_map(|&at| {
        let start = at as usize;
        bytes.get(start..start + SLOT)
    });
    // A damaged slot counts as absent: the other one is older, and still true.
    let newest =
        slots.filter_map(|slot| LockRecord::decode(slot, job)).max_by_key(|record| record.turn);
    match newest {
        None if bytes.iter().any(|&b| b != 0) => {
            Err("it does not say what was acknowledged of this job")
        }
        newest => Ok(newest),
    }
}

/// The held lock of a job. When it is dropped and the job has no stage (any more), its file is
/// removed.
pub struct JobLock {
    path: PathBuf,
    job: Uuid,
    file: File,
    /// Files of the job. While one of them is there, the file of the lock stays.
    guarded: [PathBuf; 2],
}

impl JobLock {
    /// Waits for the lock of a job, and makes its file if there is none.
    pub fn acquire(
        path: &Path,
        job: Uuid,
        guarded: [PathBuf; 2],
        waiting: &WaitPolicy,
    ) -> Result<JobLock, StoreError> {
        let file = waiting.retry_until(path, || JobLock::attempt(path))?;
        Ok(JobLock { path: path.to_owned(), job, file, guarded })
    }

    fn attempt(path: &Path) -> Result<Option<File>, StoreError> {
        let mut options = private_files::options();
        let file = match options.read(true).write(true).create(true).truncate(false).open(path) {
            Ok(file) => file,
            // Nobody locks a folder, so whatever put it there may lose it.
            Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => {
                return match std::fs::remove_dir(path) {
                    Ok(()) => Ok(None),
                    Err(_) => Err(StoreError::DamagedFile(path.to_owned(), "it is no file".into())),
                };
            }
            Err(e) => return Err(e.into()),
        };
        match file.try_lock() {
            // The holder before may have removed the file, and others may lock another one by now.
            Ok(()) => Ok(is_at(&file, path).then_some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e.into()),
        }
    }

    /// The contents of the file.
    pub fn record(&self) -> Result<Option<LockRecord>, StoreError> {
        read(&self.file, &self.path, self.job)
    }

    /// Writes the acknowledged end, and that the job was touched now.
    pub fn acknowledge(&self, acknowledged: StageEnd) -> Result<(), StoreError> {
        self.put(acknowledged, false)
    }

    /// Writes that the job is about to be written into the graph.
    pub fn set_finalizing(&self) -> Result<(), StoreError> {
        let acknowledged = self.record()?.unwrap_or_default().acknowledged;
        self.put(acknowledged, true)
    }

    fn put(&self, acknowledged: StageEnd, finalizing: bool) -> Result<(), StoreError> {
        let turn = self.record()?.map_or(1, |record| record.turn + 1);
        let record = LockRecord { acknowledged, finalizing, turn, touched: Uptime::now() };
        let mut file = &self.file;
        // The newest slot stays as it is, so a torn write loses only this record.
        file.seek(SeekFrom::Start(SLOT_AT[(turn % 2) as usize]))?;
        Ok(file.write_all(&record.encode(self.job))?)
    }
}

impl Drop for JobLock {
    fn drop(&mut self) {
        if !self.guarded.iter().any(|path| path.exists()) {
            // Still locked, so nobody else has begun to use this very file.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// True if an open file is the one that its path names.
#[cfg(unix)]
pub fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(theirs)) => identity(ours) == identity(theirs),
        _ => false,
    }
}

/// True if the path names a file: on systems where files have no identity, an open one cannot be
/// removed.
#[cfg(not(unix))]
pub fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(folder: &Path, job: Uuid) -> JobLock {
        let guarded = ["stage", "held"].map(|name| folder.join(name));
        let waiting = WaitPolicy::new(Duration::ZERO, |_| {});
        JobLock::acquire(&folder.join("lock"), job, guarded, &waiting).unwrap()
    }

    #[test]
    fn a_lock_is_one_mans_and_its_file_goes_with_the_job() {
        let folder = tempfile::tempdir().unwrap();
        let (path, job) = (folder.path().join("lock"), Uuid::new_v4());
        std::fs::write(folder.path().join("stage"), "").unwrap();
        let held = lock(folder.path(), job);
        assert!(JobLock::attempt(&path).unwrap().is_none());
        let end = StageEnd { frames: 3, length: 900, chain: 7 };
        held.acknowledge(end).unwrap();
        held.set_finalizing().unwrap();
        drop(held);
        let record = peek(&path, job).unwrap().unwrap();
        assert_eq!((record.acknowledged, record.finalizing), (end, true));
        assert!(record.idle().is_none_or(|idle| idle < Duration::from_secs(60)));
        assert!(peek(&path, Uuid::new_v4()).is_err(), "that of another job says nothing");
        std::fs::remove_file(folder.path().join("stage")).unwrap();
        drop(lock(folder.path(), job));
        assert!(!path.exists());
        assert_eq!(peek(&path, job).unwrap(), None);
    }

    #[test]
    fn a_damaged_slot_leaves_the_other_and_two_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (path, job) = (folder.path().join("lock"), Uuid::new_v4());
        std::fs::write(folder.path().join("stage"), "").unwrap();
        let held = lock(folder.path(), job);
        let end = |frames| StageEnd { frames, length: frames * 100, chain: frames };
        held.acknowledge(end(1)).unwrap();
        held.acknowledge(end(2)).unwrap();
        drop(held);
        let whole = std::fs::read(&path).unwrap();
        for (slot, other) in [(0, 1), (1, 2)] {
            for at in 0..60 {
                let mut bytes = whole.clone();
                bytes[SLOT_AT[slot] as usize + at] ^= 4;
                std::fs::write(&path, &bytes).unwrap();
                let found = peek(&path, job).unwrap().unwrap().acknowledged;
                assert_eq!(found, end(other), "byte {at} of slot {slot}");
            }
        }
        std::fs::write(&path, "rubbish").unwrap();
        assert!(peek(&path, job).is_err());
        std::fs::write(&path, "").unwrap();
        assert_eq!(peek(&path, job).unwrap(), None);
    }
}
