//! A thread of its own, which no question keeps busy: it looks whether the database can be read when
//! somebody asks, and puts things away when nobody does.

use super::api_error::ApiError;
use super::{AppState, allocator};
use axum::http::StatusCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Longest time for a look.
const TIME: Duration = Duration::from_secs(5);
/// Time between two rounds of putting things away.
const TIDIED: Duration = Duration::from_secs(10);
/// Time without a question after which the caches of the database are given back.
const IDLE: Duration = Duration::from_secs(60);

type ReadinessReply = oneshot::Sender<Result<(), ApiError>>;

/// The end of the channel on which handlers ask the thread.
pub struct ReadinessProbe(Mutex<Sender<ReadinessReply>>);

/// The thread that looks, before it has begun.
pub struct ReadinessWorker(Receiver<ReadinessReply>);

impl ReadinessProbe {
    /// The two ends of the channel.
    pub fn new() -> (ReadinessProbe, ReadinessWorker) {
        let (ask, asked) = channel();
        (ReadinessProbe(Mutex::new(ask)), ReadinessWorker(asked))
    }

    /// Checks that the database can be read now.
    ///
    /// # Errors
    ///
    /// The error of reading, or that there was no answer in time.
    pub async fn look(&self) -> Result<(), ApiError> {
        let (sender, answer) = oneshot::channel();
        let sent = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(sender);
        match (sent, tokio::time::timeout(TIME, answer).await) {
            (Ok(()), Ok(Ok(found))) => found,
            _ => {
                let message = "the database does not answer";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(ApiError::new(status, "STORAGE_UNAVAILABLE", message))
            }
        }
    }
}

impl ReadinessWorker {
    /// Begins to look; ends with the server.
    pub fn start(self, app: Weak<AppState>) {
        let run = move || self.run(&app);
        if let Err(e) = std::thread::Builder::new().name("lookout".into()).spawn(run) {
            tracing::error!(error = %e, "there is no thread to look whether the database is ready");
        }
    }

    fn run(&self, app: &Weak<AppState>) {
        let mut tidied = Instant::now();
        loop {
            let asked = self.0.recv_timeout(TIDIED);
            // The server is held for one round only, so that it can end in between.
            let Some(app) = app.upgrade() else { return };
            match asked {
                // The asker may be gone.
                Ok(asked) => drop(asked.send(app.database.look().map_err(ApiError::from))),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            app.results.sweep(&app.room);
            let rested = app.database.rest(IDLE);
            let due = tidied.elapsed() >= TIDIED && app.worked.swap(false, Ordering::Relaxed);
            if rested || due {
                allocator::give_back();
                tidied = Instant::now();
            }
        }
    }
}
