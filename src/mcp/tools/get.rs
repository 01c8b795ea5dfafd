//! `get`: everything known about one entity.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{count, entity, list, object, relationship, result, text, way};
use super::{AssistantTool, shown};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tombolo::answers::{AnswerError, EntityAnswer, EntityRequest};

/// The tool.
pub struct Get;

/// Arguments of `get`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct GetArguments {
    /// The entity: SCOPE::KEY, a key, an `_id`, or what it is called.
    entity: String,
    /// Relationships to show, 40 unless told, at most 500.
    limit: Option<usize>,
}

impl AssistantTool for Get {
    const NAME: &'static str = "get";
    const TITLE: &'static str = "One entity";
    const ABOUT: &'static str = "Everything known about one entity: its properties, and its relationships with the entities \
         at their other ends. If it has more relationships than are shown, some of each kind are, and \
         `groups` counts all of them by verb, direction, type and scope.";
    type Arguments = GetArguments;

    fn result() -> Json {
        let whole = json!({
            "type": "object",
            "description": "System properties begin with `_`; the others are those of the collector.",
            "required": ["_id", "_key", "_scope", "_type", "_class"],
        });
        let near = object(
            "",
            &[("direction", way()), ("relationship", relationship()), ("entity", entity())],
            &[],
        );
        let group = object(
            "",
            &[
                ("direction", way()),
                ("_class", text("The verb.")),
                ("_type", text("The type of the entities at the other ends.")),
                ("_scope", text("Their scope.")),
                ("relationships", count("How many there are.")),
            ],
            &[],
        );
        result(
            &[("entity", whole), ("relationships", list("Its relationships.", near))],
            &[
                ("pinned", list("Properties that an OVERRIDE job set.", text("A name."))),
                ("groups", list("Present if not all relationships are shown.", group)),
            ],
        )
    }

    fn ask(ground: &QuestionGround<'_>, given: GetArguments) -> Result<ToolReply, AnswerError> {
        let shown = shown(given.limit);
        let meter = ground.meter()?;
        let snapshot = ground.snapshot()?;
        let request = EntityRequest { entity: given.entity };
        let mut found = request.ask(&ground.context(&snapshot, &meter))?;
        let of = found.near.len();
        let groups = if of > shown { groups(&found)? } else { Vec::new() };
        take_of_each_kind(&mut found, shown);
        let left = found.near.len();
        let advice = "`query` for the relationships of one kind (FIND * WITH _key = '...' THAT VERB \
                      >> *), or raise `limit`";
        let mut reply = ToolReply::of(&found, AnswerRoom::of_items(shown), advice)?;
        reply.list_was_cut("/relationships", left, of);
        if !groups.is_empty() {
            reply.put("groups", groups);
        }
        Ok(reply)
    }
}

/// Kinds of relationships that are counted.
const GROUPS: usize = 200;

/// The relationships of an entity, counted by kind.
fn groups(found: &EntityAnswer<'_>) -> Result<Vec<Json>, AnswerError> {
    let mut counted = Vec::new();
    for group in found.near.chunk_by(|a, b| a.alike(b)).take(GROUPS) {
        for one in found.named(&group[..1])? {
            counted.push(json!({
                "direction": one.direction,
                "_class": one.relationship.class,
                "_type": one.entity.type_name,
                "_scope": one.entity.scope,
                "relationships": group.len(),
            }));
        }
    }
    Ok(counted)
}

/// Keeps at most so many relationships: the first of each kind, so that no kind hides the others.
fn take_of_each_kind(found: &mut EntityAnswer<'_>, most: usize) {
    if found.near.len() <= most {
        return;
    }
    let sizes: Vec<usize> = found.near.chunk_by(|a, b| a.alike(b)).map(<[_]>::len).collect();
    // A share that the small kinds leave over goes to the large ones.
    let mut share = most / sizes.len().max(1);
    while sizes.iter().map(|size| (*size).min(share + 1)).sum::<usize>() <= most {
        share += 1;
    }
    let share = share.max(1);
    let mut place = sizes.iter().flat_map(|size| 0..*size);
    found.near.retain(|_| place.next().is_some_and(|place| place < share));
    found.near.truncate(most);
}
