//! Questions asked over HTTP: a thread that may block asks, and the answer goes through a spool.

use super::api_error::ApiError;
use super::gate::{CancelGuard, QUESTION_BYTES, WorkKind};
use super::parameters::list;
use super::spool::{self, BodySegment, SpoolWriter, unwritten};
use super::{AppState, blocking, pictures};
use crate::picture_file::{DrawnQuestion, PictureFile, PictureFormat};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use std::io::Write;
use std::sync::Arc;
use tombolo::answers::{
    AnswerAsOf, AnswerDocument, AnswerError, CountFormat, MappingRunAnswer, QuestionContext,
};
use tombolo::db::{Database, StateRecord};
use tombolo::lang::PastPoint;
use tombolo::limits::{CostMeter, QuestionLimits};
use tombolo::store::{Snapshot, engine_panicked};

/// The state of the server, for a question, and the place where its answer is written.
pub struct AnswerTask<'a> {
    app: &'a AppState,
    /// The database, as it is or as it was.
    database: &'a Database,
    limits: QuestionLimits,
    spool: SpoolWriter,
    status: StatusCode,
    /// The form of the answer, if it is no JSON.
    picture: Option<PictureFormat>,
}

impl<'a> AnswerTask<'a> {
    /// The database.
    pub fn database(&self) -> &'a Database {
        self.database
    }

    /// A snapshot of the database as it is now, or of the state that was asked for.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn snapshot(&self) -> Result<Snapshot, AnswerError> {
        Ok(self.database.snapshot()?)
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

    /// Tells the part of the server that watches how mappings came out.
    pub fn tell_watch(&self, run: &MappingRunAnswer) {
        if let Some(watch) = &self.app.watch {
            watch.ran(run);
        }
    }

    /// Sets the status of an answer that tells of an error itself.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
    }

    /// Writes the answer in the form that is asked for.
    ///
    /// # Errors
    ///
    /// A group that the picture has not, a limit of answers, or the error of reading or writing.
    pub fn write_as<Q: DrawnQuestion>(
        &mut self,
        form: &AnswerForm,
        snapshot: &Snapshot,
        question: &Q,
        answer: &Q::Answer,
    ) -> Result<(), ApiError>
    where
        Q::Answer: AnswerDocument,
    {
        let Some(format) = form.picture else { return self.write(answer) };
        let file = PictureFile::new(question, answer, &form.opened);
        let past = self.database.past_state().is_some();
        let file = if past { file.of_past(snapshot)? } else { file };
        let text = file.text(snapshot, format)?;
        self.picture = Some(format);
        let written = self.spool.write_all(text.as_bytes());
        written.map_err(|e| self.spool.refused().unwrap_or_else(|| unwritten(&e)))
    }

    /// Writes the answer.
    ///
    /// # Errors
    ///
    /// A limit of answers, or the error of reading or writing.
    pub fn write(&mut self, answer: &impl AnswerDocument) -> Result<(), ApiError> {
        let answer = &AnswerAsOf { as_of: self.database.past_state(), answer };
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

/// How an answer is given: as JSON, or drawn.
#[derive(Clone, Debug, Default)]
pub struct AnswerForm {
    /// The picture that is asked for.
    pub picture: Option<PictureFormat>,
    /// Its groups that are opened, 25 entities for each time that one stands there.
    pub opened: Vec<String>,
}

impl AnswerForm {
    /// Reads `output` and `open`.
    ///
    /// # Errors
    ///
    /// An output that there is not, and groups where nothing is drawn.
    pub fn read(output: Option<&str>, open: Option<String>) -> Result<AnswerForm, ApiError> {
        let (picture, opened) = (pictures::output(output)?, list(open));
        if picture.is_none() && !opened.is_empty() {
            let message = "`open` opens a group of a picture, and this output is none";
            return Err(ApiError::bad(message).hint("add `output=svg` or `output=html`"));
        }
        Ok(AnswerForm { picture, opened })
    }
}

/// Answers with the document that `act` writes.
pub async fn answer(
    app: &Arc<AppState>,
    work: WorkKind,
    act: impl FnOnce(&mut AnswerTask<'_>) -> Result<(), ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    answer_at(app, work, None, act).await
}

/// Reads a point in the past.
///
/// # Errors
///
/// What is wrong, and what can be written.
pub fn past_point(text: &str) -> Result<PastPoint, ApiError> {
    PastPoint::parse(text, super::now()).map_err(|(what, hint)| ApiError::bad(what).hint(hint))
}

/// The same of the database as it was at a point in the past, if one is given.
pub async fn answer_at(
    app: &Arc<AppState>,
    work: WorkKind,
    at: Option<String>,
    act: impl FnOnce(&mut AnswerTask<'_>) -> Result<(), ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let point = at.as_deref().map(past_point).transpose()?;
    let waiting = CancelGuard::default();
    let limits = match work {
        WorkKind::Read => app.question(&waiting),
        // A change that has begun is brought to its end, even if its caller hangs up.
        WorkKind::Upload | WorkKind::Commit => QuestionLimits::default(),
    };
    let (spooled, status, as_of, picture) = blocking(app, work, move |app| {
        let spool = SpoolWriter::new(&app.room);
        let past = match point {
            Some(point) => Some(app.database.as_of(app.database.state_at(&point)?)),
            None => None,
        };
        let database = past.as_ref().unwrap_or(&app.database);
        let status = StatusCode::OK;
        let mut task = AnswerTask { app, database, limits, spool, status, picture: None };
        guarded(|| act(&mut task))?;
        let as_of = database.past_state().map(as_of_header);
        Ok((task.spool.finish()?, task.status, as_of, task.picture))
    })
    .await?;
    let mut response = spool::response(vec![BodySegment::whole(spooled)]);
    *response.status_mut() = status;
    if let Some(format) = picture {
        let name = format!("picture.{}", pictures::ending(format));
        pictures::kept_as_file(response.headers_mut(), pictures::media_type(format), &name);
    }
    if let Some(as_of) = as_of.flatten() {
        response.headers_mut().insert("tombolo-as-of", as_of);
    }
    Ok(response)
}

/// The header that names the state of the past that an answer is of, also where that is a list.
fn as_of_header(state: &StateRecord) -> Option<HeaderValue> {
    let text = format!("revision={}; time={}", state.revision, state.time_text());
    HeaderValue::from_str(&text).ok()
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
