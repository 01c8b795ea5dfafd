//! The answer of a tool: the JSON of a typed answer within a room, and what was left out of it.

use super::cut::{AnswerRoom, CutRecord, cut};
use rmcp::model::CallToolResult;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use tombolo::answers::{AnswerDocument, AnswerError, ErrorKind};

/// The answer of a tool.
#[derive(Debug)]
pub struct ToolReply {
    members: Map<String, Json>,
    cuts: Vec<CutRecord>,
    /// Cuts that are not listed one by one.
    more_cuts: usize,
    advice: &'static str,
}

impl ToolReply {
    /// The JSON of an answer, within a room. `advice` says how to see what does not fit.
    ///
    /// # Errors
    ///
    /// The error of reading the answer.
    pub fn of(
        answer: &impl AnswerDocument,
        room: AnswerRoom,
        advice: &'static str,
    ) -> Result<ToolReply, AnswerError> {
        let unwritable = |e: serde_json::Error| {
            let message = format!("the answer cannot be written: {e}");
            answer.fault().unwrap_or_else(|| AnswerError::new(ErrorKind::Failed, message))
        };
        let (value, cuts, more_cuts) = cut(answer, room).map_err(unwritable)?;
        let members = match value {
            Json::Object(members) => members,
            other => Map::from_iter([("answer".to_owned(), other)]),
        };
        Ok(ToolReply { members, cuts, more_cuts, advice })
    }

    /// Says that a list was cut before it was written.
    pub fn list_was_cut(&mut self, at: &str, shown: usize, of: usize) {
        if shown >= of {
            return;
        }
        // What was written may have been cut once more.
        let written = self.cuts.iter().position(|cut| cut.at == at);
        let shown = written.map_or(shown, |known| self.cuts.remove(known).shown);
        self.cuts.insert(0, CutRecord { at: at.to_owned(), what: "items", shown, of });
    }

    /// Adds a member.
    pub fn put(&mut self, name: &str, value: impl Serialize) {
        self.members.insert(name.to_owned(), json!(value));
    }

    /// The result of the call: the JSON, typed and as text for clients that know no typed results.
    pub fn into_result(mut self) -> CallToolResult {
        if !self.cuts.is_empty() {
            let mut told = json!({ "advice": self.advice, "parts": self.cuts });
            if self.more_cuts > 0 {
                told["more"] = json!(self.more_cuts);
            }
            self.members.insert("cut".to_owned(), told);
        }
        CallToolResult::structured(Json::Object(self.members))
    }
}
