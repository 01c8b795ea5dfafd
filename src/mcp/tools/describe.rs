//! `describe`: what is in the graph, so that a question can be asked of it.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{count, list, notes, object, result, text};
use super::{AssistantTool, shown};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tombolo::answers::{AnswerError, DescriptionRequest};

/// The tool.
pub struct Describe;

/// Arguments of `describe`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct DescribeArguments {
    /// Only entities of these classes.
    #[serde(default)]
    classes: Vec<String>,
    /// Only entities of these types.
    #[serde(default)]
    types: Vec<String>,
    /// Only entities of these scopes.
    #[serde(default)]
    scopes: Vec<String>,
    /// Items of each list to show, 60 unless told, at most 500.
    limit: Option<usize>,
}

impl AssistantTool for Describe {
    const NAME: &'static str = "describe";
    const TITLE: &'static str = "What is in the graph";
    const ABOUT: &'static str = "What the graph holds: scopes, types with their classes, verbs, `steps` (which type leads by \
         which verb to which type) and properties, each with counts, properties with example values. \
         Narrow it with `classes`, `types` or `scopes` to see the properties and steps of one kind. \
         Ask this before writing a query.";
    type Arguments = DescribeArguments;

    fn result() -> Json {
        let scope = object(
            "",
            &[
                ("scope", text("Its name.")),
                ("entities", count("Its entities.")),
                ("relationships", count("Its relationships.")),
            ],
            &[("lastChange", json!({ "type": ["string", "null"] }))],
        );
        let kind = object(
            "",
            &[
                ("type", text("The type.")),
                ("scope", text("The scope of these entities.")),
                ("classes", list("Their classes.", text("A class."))),
                ("entities", count("How many there are.")),
                ("key", text("The `_key` of one of them.")),
            ],
            &[],
        );
        let class = object(
            "",
            &[("class", text("The class.")), ("entities", count("Entities that have it."))],
            &[],
        );
        let verb = object(
            "",
            &[("verb", text("The verb.")), ("relationships", count("Relationships that have it."))],
            &[],
        );
        let step = object(
            "",
            &[
                ("from", text("The type where it begins.")),
                ("verb", text("The verb.")),
                ("to", text("The type where it ends.")),
                ("relationships", count("How many were seen.")),
            ],
            &[],
        );
        let property = object(
            "",
            &[
                ("name", text("Its name.")),
                ("entities", count("Entities that were looked at and have it.")),
                ("kinds", list("Kinds of its values.", text("text, number, boolean or list."))),
                ("examples", json!({ "type": "array", "description": "Some of its values." })),
            ],
            &[],
        );
        result(
            &[
                ("revision", count("The number of the last commit.")),
                ("entities", count("Entities of what is described.")),
                ("lookedAt", count("Entities whose properties and relationships were looked at.")),
                ("scopes", list("By name.", scope)),
                ("types", list("The most frequent first.", kind)),
                ("classes", list("The most frequent first.", class)),
                ("verbs", list("The most frequent first; of the whole graph.", verb)),
                ("steps", list("The most frequent first.", step)),
                ("properties", list("The most frequent first.", property)),
                ("notes", notes()),
            ],
            &[],
        )
    }

    fn ask(
        ground: &QuestionGround<'_>,
        given: DescribeArguments,
    ) -> Result<ToolReply, AnswerError> {
        let items = given.limit.map_or(60, |limit| shown(Some(limit)));
        let request =
            DescriptionRequest { classes: given.classes, types: given.types, scopes: given.scopes };
        let meter = ground.meter()?;
        let snapshot = ground.snapshot()?;
        let found = request.ask(&ground.context(&snapshot, &meter))?;
        let advice = "narrow it with `scopes`, `classes` or `types`, or raise `limit`";
        ToolReply::of(&found, AnswerRoom::of_items(items), advice)
    }
}
