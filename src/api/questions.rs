//! Questions asked over HTTP: a thread that may block asks, and the answer goes through a spool.

use super::api_error::ApiError;
use super::gate::{CancelGuard, QUESTION_BYTES, WorkKind};
use super::spool::{self, BodySegment, SpoolWriter, unwritten};
use super::{AppState, blocking};
use axum::http::StatusCode;
use axum::response::Response;
use std::io::Write;
use std::sync::Arc;
use tombolo::answers::{AnswerDocument, AnswerError, CountFormat, QuestionContext};
use tombolo::db::Database;
use tombolo::limits::{CostMeter, QuestionLimits};
use tombolo::store::{Snapshot, engine_panicked};

/// The state of the server, for a question, and the place where its answer is written.
pub struct AnswerTask<'a> {
    app: &'a AppState,
    limits: QuestionLimits,
    spool: SpoolWriter,
    status: StatusCode,
}

impl<'a> AnswerTask<'a> {
    /// The database.
    pub fn database(&self) -> &'a Database {
        &self.app.database
    }

    /// A snapshot of the database as it is now.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn snapshot(&self) -> Result<Snapshot, AnswerError> {
        Ok(self.app.database.snapshot()?)
    }

    /// The account of the question. It begins with a base amount from the pool that all questions
    /// share.
    ///
    /// # Errors
    ///
    /// The limit of the memory that all questions share.
    pub fn meter(&self) -> Result<CostMeter, AnswerError> {
        let meter = CostMeter::new(self.limits.clone());
        meter.hold(QUESTION_BYTES)?;
        Ok(meter)
    }

    /// Puts together the state that a question is asked of.
    pub fn context<'q>(&self, snapshot: &'q Snapshot, meter: &'q CostMeter) -> QuestionContext<'q>
    where
        'a: 'q,
    {
        let (database, counts) = (self.database(), CountFormat::Plain);
        QuestionContext { database, snapshot, meter, counts }
    }

    /// Sets the status of an answer that tells of an error itself.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// Writes the answer.
    ///
    /// # Errors
    ///
    /// A limit of answers, or the error of reading or writing.
    pub fn write(&mut self, answer: &impl AnswerDocument) -> Result<(), ApiError> {
        let written = serde_json::to_writer(&mut self.spool, answer);
        let written = written.map_err(std::io::Error::from);
        match written.and_then(|()| self.spool.write_all(b"\n")) {
            Ok(()) => Ok(()),
            // An error of reading shows up as one of writing, so the answer is asked first.
            Err(e) => Err(match (answer.fault(), self.spool.refused()) {
                (Some(fault), _) => fault.into(),
                (None, Some(refused)) => refused,
                (None, None) => unwritten(&e),
            }),
        }
    }
}

/// Answers with the document that `act` writes.
pub async fn answer(
    app: &Arc<AppState>,
    work: WorkKind,
    act: impl FnOnce(&mut AnswerTask<'_>) -> Result<(), ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let waiting = CancelGuard::default();
    let limits = match work {
        WorkKind::Read => app.question(&waiting),
        // A change that has begun is brought to its end, even if its caller hangs up.
        WorkKind::Upload | WorkKind::Commit => QuestionLimits::default(),
    };
    let (spooled, status) = blocking(app, work, move |app| {
        let spool = SpoolWriter::new(&app.room);
        let mut task = AnswerTask { app, limits, spool, status: StatusCode::OK };
        guarded(|| act(&mut task))?;
        Ok((task.spool.finish()?, task.status))
    })
    .await?;
    let mut response = spool::response(vec![BodySegment::whole(spooled)]);
    *response.status_mut() = status;
    Ok(response)
}

/// Runs `act`. A crafted file can make the storage engine panic; such a panic is reported as damage.
/// A panic of our own code goes on.
pub fn guarded<T>(act: impl FnOnce() -> Result<T, ApiError>) -> Result<T, ApiError> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)) {
        Ok(result) => result,
        Err(panic) => match engine_panicked() {
            Some(damage) => Err(AnswerError::from(damage).into()),
            None => std::panic::resume_unwind(panic),
        },
    }
}
