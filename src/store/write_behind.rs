//! Writing behind: the bytes that a long transaction has written so far go to the disk while it
//! goes on, so that the commit has little left to wait for.
//!
//! Nothing depends on it: the commit makes everything durable itself, in its own order, and pages
//! that were written before it belong to no state that anyone can see.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time after which a transaction counts as long; a shorter one has nothing to send ahead.
const PAUSE: Duration = Duration::from_millis(150);

/// Syncs a file to the disk again and again, until it is dropped.
pub struct WriteBehind {
    ended: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl WriteBehind {
    /// Begins for the file at `path`. Does nothing if the file cannot be opened, or on a system
    /// where closing one handle of a file may drop the locks of another.
    pub fn start(path: &Path) -> WriteBehind {
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&ended);
        let open = || File::options().write(true).open(path).ok();
        let file = if cfg!(target_os = "linux") { open() } else { None };
        let thread = file.map(|file| {
            std::thread::spawn(move || {
                let (ended, changed) = &*seen;
                let mut guard = ended.lock().unwrap_or_else(PoisonError::into_inner);
                while !*guard {
                    let waited = changed.wait_timeout(guard, PAUSE);
                    guard = waited.unwrap_or_else(PoisonError::into_inner).0;
                    if !*guard {
                        // A sync may take long, and the lock is only for the flag.
                        drop(guard);
                        // An error here comes again at the commit, where it is reported.
                        let _ = file.sync_data();
                        guard = ended.lock().unwrap_or_else(PoisonError::into_inner);
                    }
                }
            })
        });
        WriteBehind { ended, thread }
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        let (ended, changed) = &*self.ended;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did, nothing would be lost.
            let _ = thread.join();
        }
    }
}
