//! Waiting for a lock of another process: for how long, and for which process.
//!
//! Locks are locks of the kernel, which end with the process that holds them. They are tried again
//! and again, so that waiting can have a limit. The holder is read from the system, not from a
//! file, which a killed process would leave behind.

use super::StoreError;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest wait, unless the caller sets another one.
pub const WAIT: Duration = Duration::from_secs(60);

/// A wait that is longer than this is reported.
const UNTOLD: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A function that gets a line with the process that is waited for.
type WaitListener = Arc<dyn Fn(&str) + Send + Sync>;

/// The limit of a wait, and the function that hears of it.
#[derive(Clone)]
pub struct WaitPolicy {
    limit: Duration,
    tell: Option<WaitListener>,
}

impl Default for WaitPolicy {
    fn default() -> WaitPolicy {
        WaitPolicy { limit: WAIT, tell: None }
    }
}

impl fmt::Debug for WaitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl WaitPolicy {
    /// Waits for `limit` at most. `tell` hears of a wait that is longer than a second.
    pub fn new(limit: Duration, tell: impl Fn(&str) + Send + Sync + 'static) -> WaitPolicy {
        WaitPolicy { limit, tell: Some(Arc::new(tell)) }
    }

    /// Calls `attempt` until it succeeds. `None` means that another process has the file at `path`
    /// locked.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUseBy`] if it never succeeds within the limit, and any error of `attempt`.
    pub fn retry_until<T>(
        &self,
        path: &Path,
        mut attempt: impl FnMut() -> Result<Option<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let (mut pause, mut told) = (FIRST_PAUSE, false);
        loop {
            if let Some(done) = attempt()? {
                return Ok(done);
            }
            let waited = begun.elapsed();
            if waited >= self.limit {
                return Err(StoreError::InUseBy(path.to_owned(), holder(path)));
            }
            if waited >= UNTOLD && !told {
                told = true;
                if let Some(tell) = &self.tell {
                    let (limit, file) = (self.limit.as_secs(), path.display());
                    tell(&format!("waiting up to {limit} s for {}: it has `{file}`", holder(path)));
                }
            }
            std::thread::sleep(pause.min(self.limit - waited));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// [`WaitPolicy::until`] for a call that fails with [`StoreError::InUse`] as long as another
    /// process has the file.
    pub fn while_in_use<T>(
        &self,
        path: &Path,
        mut attempt: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.retry_until(path, || match attempt() {
            Ok(done) => Ok(Some(done)),
            Err(StoreError::InUse(_)) => Ok(None),
            Err(e) => Err(e),
        })
    }
}

/// The process that has the file locked for writing, if the system tells us.
fn holder(path: &Path) -> String {
    lock_holder(path).unwrap_or_else(|| "another process".to_owned())
}

/// Finds the holder of a lock: the locks of each open file stand in `/proc/PID/fdinfo`.
#[cfg(target_os = "linux")]
fn lock_holder(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let wanted = std::fs::metadata(path).ok()?;
    let wanted = (wanted.dev(), wanted.ino());
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        for file in files.flatten() {
            let Ok(metadata) = std::fs::metadata(file.path()) else { continue };
            if (metadata.dev(), metadata.ino()) != wanted {
                continue;
            }
            let info = process.path().join("fdinfo").join(file.file_name());
            let info = std::fs::read_to_string(info).unwrap_or_default();
            if info.lines().any(|line| line.starts_with("lock:") && line.contains(" WRITE ")) {
                return Some(named(pid));
            }
        }
    }
    None
}

/// A process by its number and the beginning of its command.
#[cfg(target_os = "linux")]
fn named(pid: u32) -> String {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = command.split(|&b| b == 0).filter(|word| !word.is_empty()).collect();
    let text = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    // The command of another process is shown on a terminal: it must not control it.
    let text: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    match text.is_empty() {
        true => format!("process {pid}"),
        false => format!("process {pid} ({text})"),
    }
}

#[cfg(not(target_os = "linux"))]
fn lock_holder(_: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn whoever_waits_is_told_for_whom_and_not_for_ever() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().lock().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        let waiting = WaitPolicy::new(Duration::from_millis(1_200), move |line| {
            hears.lock().unwrap().push(line.to_owned());
        });
        let e = waiting.retry_until(file.path(), || Ok(None::<()>)).unwrap_err();
        assert!(matches!(e, StoreError::InUseBy(..)), "{e}");
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 1);
        if cfg!(target_os = "linux") {
            let process = format!("process {}", std::process::id());
            assert!(told[0].contains(&process) && e.to_string().contains(&process), "{told:?} {e}");
        }
    }

    #[test]
    fn no_time_to_wait_is_one_try() {
        let mut tries = 0;
        let waiting = WaitPolicy::new(Duration::ZERO, |_| {});
        let done = waiting.retry_until(Path::new("x"), || {
            tries += 1;
            Ok(None::<()>)
        });
        assert!(done.is_err());
        assert_eq!(tries, 1);
    }
}
