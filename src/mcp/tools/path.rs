//! `path`: the shortest chains between two entities.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{chain, count, entity, list, notes, result};
use super::{AssistantTool, Way, shown};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tombolo::answers::{AnswerError, PathRequest};
use tombolo::view::WalkDirection;

/// The tool.
pub struct Path;

/// Arguments of `path`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct PathArguments {
    /// Where the chain begins: SCOPE::KEY, a key, an `_id`, or what an entity is called.
    from: String,
    /// Where it ends.
    to: String,
    /// Entities that it goes through, in their order.
    #[serde(default)]
    via: Vec<String>,
    /// The way along relationships: out (with the arrows) unless told.
    direction: Option<Way>,
    /// Only these verbs; `!VERB` is all but that.
    #[serde(default)]
    verbs: Vec<String>,
    /// Shortest chains to show, 1 unless told, at most 500.
    limit: Option<usize>,
}

impl AssistantTool for Path {
    const NAME: &'static str = "path";
    const TITLE: &'static str = "Shortest path";
    const ABOUT: &'static str = "The shortest chains of relationships from one entity to another. `distance` is null if there \
         is none; try `direction` both then. `total` counts all shortest chains.";
    type Arguments = PathArguments;

    fn result() -> Json {
        let distance =
            json!({ "type": ["integer", "null"], "description": "Relationships of a chain." });
        result(
            &[
                ("from", entity()),
                ("to", entity()),
                ("distance", distance),
                ("total", count("Shortest chains, also those that are not shown.")),
                ("paths", list("Chains.", chain())),
                ("notes", notes()),
            ],
            &[("via", list("Entities on the way.", entity()))],
        )
    }

    fn ask(ground: &QuestionGround<'_>, given: PathArguments) -> Result<ToolReply, AnswerError> {
        let max = given.limit.map_or(1, |limit| shown(Some(limit)));
        let request = PathRequest {
            from: given.from,
            to: given.to,
            via: given.via,
            max,
            direction: given.direction.map_or(WalkDirection::Out, Way::into),
            verbs: given.verbs,
        };
        let meter = ground.meter()?;
        let snapshot = ground.snapshot()?;
        let found = request.ask(&ground.context(&snapshot, &meter))?;
        ToolReply::of(&found, AnswerRoom::of_items(max), "ask for fewer chains with `limit`")
    }
}
