//! `history`: every version of an object, and the job behind each.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{list, result, text};
use super::{AssistantTool, shown};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tombolo::answers::{AnswerError, ObjectHistoryRequest};

/// The tool.
pub struct History;

/// Arguments of `history`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct HistoryArguments {
    /// An entity by name, or a relationship by its key, SCOPE::KEY or `_id`; also one that is deleted.
    object: String,
    /// Versions to show, 40 unless told, at most 500.
    limit: Option<usize>,
}

impl AssistantTool for History {
    const NAME: &'static str = "history";
    const TITLE: &'static str = "History of one object";
    const ABOUT: &'static str = "Every version of one entity or relationship that the graph still knows: when, by which job \
         of which source, and what changed; also deletions and returns.";
    const PAST: bool = false;
    type Arguments = HistoryArguments;

    fn result() -> Json {
        let version = json!({
            "type": "object",
            "description": "event (created, known, updated, deleted, returned), version, time, job, source, the \
                            row behind an edge of a mapping, and the properties that changed.",
            "required": ["event", "version", "time", "job", "source"],
        });
        let flag = |about: &str| json!({ "type": "boolean", "description": about });
        result(
            &[
                ("kind", text("`entity` or `relationship`.")),
                ("scope", text("Its scope.")),
                ("key", text("Its key.")),
                ("type", text("Its type.")),
                ("live", flag("Whether it is there now.")),
                ("versions", list("The versions, oldest first.", version)),
                ("complete", flag("Whether the first version is that which made it.")),
            ],
            &[],
        )
    }

    fn ask(ground: &QuestionGround<'_>, given: HistoryArguments) -> Result<ToolReply, AnswerError> {
        let meter = ground.meter()?;
        let snapshot = ground.snapshot()?;
        let request = ObjectHistoryRequest { object: given.object };
        let found = request.ask(&ground.context(&snapshot, &meter))?;
        let advice = "raise `limit`";
        ToolReply::of(&found, AnswerRoom::of_items(shown(given.limit)), advice)
    }
}
