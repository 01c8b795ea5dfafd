//! What a tool stands on: the host that runs its question, the ground that it is asked of, and the fault
//! that an assistant reads.

use super::reply::ToolReply;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::json;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use tombolo::answers::{AnswerError, CountFormat, QuestionContext, clean};
use tombolo::db::Database;
use tombolo::limits::{CostMeter, QuestionLimits};
use tombolo::store::{Snapshot, engine_panicked};

/// A question of a tool, to be asked on a thread that may block.
pub type AssistantQuestion =
    Box<dyn FnOnce(&QuestionGround<'_>) -> Result<ToolReply, AnswerError> + Send>;

/// Runs the questions of assistants.
pub trait QuestionHost: Send + Sync + 'static {
    /// Asks a question, within limits. A question whose future is dropped stops soon.
    fn ask(
        &self,
        question: AssistantQuestion,
    ) -> impl Future<Output = Result<ToolReply, ToolFault>> + Send;
}

/// The database that a question is asked of, and the limits of the question.
pub struct QuestionGround<'a> {
    /// The database.
    pub database: &'a Database,
    /// The limits of this question.
    pub limits: QuestionLimits,
    /// The folder of the mapping files.
    pub mappings: &'a Path,
    /// True if a mapping file that is handed in may be planned: it reads files beside the others.
    pub takes_text: bool,
    /// The exit code that the program ends with for an error, which the JSON of a plan tells.
    pub exit_code: fn(&AnswerError) -> u8,
}

/// Bytes that a question is counted with from its start, for what its snapshot keeps at hand.
const QUESTION_BYTES: u64 = 8 << 20;

impl QuestionGround<'_> {
    /// The account of the question.
    ///
    /// # Errors
    ///
    /// The limit of the memory that all questions share.
    pub fn meter(&self) -> Result<CostMeter, AnswerError> {
        let meter = CostMeter::new(self.limits.clone());
        meter.hold(QUESTION_BYTES)?;
        Ok(meter)
    }

    /// The state of the graph as of now. Each call of a tool sees the commits before it.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn snapshot(&self) -> Result<Snapshot, AnswerError> {
        Ok(self.database.snapshot()?)
    }

    /// The same ground with the database as it was in another state.
    pub fn of<'d>(&'d self, database: &'d Database) -> QuestionGround<'d> {
        QuestionGround {
            database,
            limits: self.limits.clone(),
            mappings: self.mappings,
            takes_text: self.takes_text,
            exit_code: self.exit_code,
        }
    }

    /// Puts together the state that a question is asked of.
    pub fn context<'q>(
        &'q self,
        snapshot: &'q Snapshot,
        meter: &'q CostMeter,
    ) -> QuestionContext<'q> {
        QuestionContext { database: self.database, snapshot, meter, counts: CountFormat::Plain }
    }
}

/// Runs `act`. A crafted file can make the storage engine panic; such a panic is reported as damage.
/// A panic of our own code goes on.
///
/// # Errors
///
/// Those of `act`, and the damage.
pub fn within_engine<T>(act: impl FnOnce() -> Result<T, AnswerError>) -> Result<T, AnswerError> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(result) => result,
        Err(panic) => match engine_panicked() {
            Some(damage) => Err(damage.into()),
            None => resume_unwind(panic),
        },
    }
}

/// The reason why a tool has no answer, as an assistant reads it.
#[derive(Debug)]
pub struct ToolFault {
    /// A stable name for programs.
    pub code: &'static str,
    /// What went wrong; the fault of a text with its place.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The faults of a text, each as people read it, where the message does not show them.
    pub faults: Vec<String>,
}

impl ToolFault {
    /// The faults of the text that an error speaks of, as people read them.
    pub fn faults_of(error: &AnswerError) -> Vec<String> {
        let faults = error.diagnostics().iter().map(|fault| fault.plain());
        faults.filter(|text| text != error.message()).collect()
    }

    /// The result of the call. It is no error of the protocol, so that the assistant reads it and can do
    /// better: the words first, then the same for programs.
    pub fn into_result(self) -> CallToolResult {
        let ToolFault { code, message, hint, faults } = self;
        let mut words = lines(&message);
        for fault in &faults {
            words.push_str(&format!("\n{}", lines(fault)));
        }
        if let Some(hint) = &hint {
            words.push_str(&format!("\nhint: {}", lines(hint)));
        }
        let error = json!({ "error": { "code": code, "message": message, "hint": hint } });
        CallToolResult::error(vec![
            ContentBlock::text(words),
            ContentBlock::text(error.to_string()),
        ])
    }
}

impl From<AnswerError> for ToolFault {
    fn from(error: AnswerError) -> ToolFault {
        ToolFault {
            code: error.code(),
            message: error.message().to_owned(),
            hint: error.advice().map(ToString::to_string),
            faults: ToolFault::faults_of(&error),
        }
    }
}

/// Text in its lines, without what could steer whoever shows it.
fn lines(text: &str) -> String {
    text.trim_end().lines().map(|line| clean(line).into_owned()).collect::<Vec<_>>().join("\n")
}
