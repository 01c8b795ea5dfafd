//! `diff`: what changed between two states.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{count, list, object, result};
use super::{AssistantTool, past_point, shown, state};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tombolo::answers::{AnswerError, DiffRequest, ImpactTargets, rules_in_force};

/// The tool.
pub struct Diff;

/// Arguments of `diff`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct DiffArguments {
    /// The state that changes are told from: a time (`2026-11-24T10:00Z`, `3d`, `yesterday`), a revision, or
    /// the id of a job.
    from: String,
    /// The state that they lead to; now unless told.
    to: Option<String>,
    /// Only objects of these scopes.
    #[serde(default)]
    scopes: Vec<String>,
    /// Only entities of these classes and relationships of these verbs.
    #[serde(default)]
    classes: Vec<String>,
    /// Only objects of these types.
    #[serde(default)]
    types: Vec<String>,
    /// Also how blast radius and owners of these entities changed.
    #[serde(default)]
    impact: Vec<String>,
    /// Changes to show, 40 unless told, at most 500. All are counted.
    limit: Option<usize>,
}

impl AssistantTool for Diff {
    const NAME: &'static str = "diff";
    const TITLE: &'static str = "What changed";
    const ABOUT: &'static str = "What changed between two states of the graph: counts, and objects that were created, updated \
         (each property before and after) and deleted. With `impact`: how the blast radius and the \
         owners of some entities changed.";
    const PAST: bool = false;
    type Arguments = DiffArguments;

    fn result() -> Json {
        let counts = object(
            "",
            &[
                ("created", count("Created, or back again.")),
                ("updated", count("Changed.")),
                ("deleted", count("Deleted.")),
            ],
            &[],
        );
        let change = json!({
            "type": "object",
            "description": "action, kind, scope, key, type, classes, ends of a relationship, and the properties \
                            that changed with `before` and `after`.",
            "required": ["action", "kind", "scope", "key", "type"],
        });
        result(
            &[
                ("from", state()),
                ("to", state()),
                ("total", counts),
                ("byType", list("The same by scope, kind and type.", json!({ "type": "object" }))),
                ("changes", list("The changes.", change)),
                ("leftOut", count("Changes that are counted and not listed.")),
            ],
            &[(
                "impact",
                json!({ "type": "object", "description": "Present if it was asked for." }),
            )],
        )
    }

    fn ask(ground: &QuestionGround<'_>, given: DiffArguments) -> Result<ToolReply, AnswerError> {
        let shown = shown(given.limit);
        let from = ground.database.state_at(&past_point(&given.from)?)?;
        let to = match &given.to {
            Some(to) => ground.database.state_at(&past_point(to)?)?,
            None => ground.database.newest_state()?,
        };
        let request = DiffRequest {
            scopes: given.scopes,
            classes: given.classes,
            types: given.types,
            skip: 0,
            max: Some(shown),
            impact: ImpactTargets { entities: given.impact, classes: Vec::new() },
        };
        let (meter, rules) = (ground.meter()?, rules_in_force()?);
        let snapshot = ground.snapshot()?;
        let found = request.ask(&ground.context(&snapshot, &meter), from, to, &rules)?;
        let (listed, left_out) = (found.changes.len(), found.left_out() as usize);
        let advice = "ask about fewer scopes, classes or types, or raise `limit`";
        let mut reply = ToolReply::of(&found, AnswerRoom::of_items(shown), advice)?;
        reply.list_was_cut("/changes", listed, listed + left_out);
        Ok(reply)
    }
}
