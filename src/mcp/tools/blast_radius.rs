//! `blast_radius`: everything that the compromise or failure of entities reaches.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{
    count, counts, entity, head, list, notes, object, relationship, result, text, way,
};
use super::{AssistantTool, Way, shown};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tombolo::answers::{AnswerError, BlastRadiusRequest, rules_in_force};
use tombolo::rules::ImpactFilter;

/// The tool.
pub struct BlastRadius;

/// Arguments of `blast_radius`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct BlastRadiusArguments {
    /// Where it starts: SCOPE::KEY, a key, an `_id`, or what an entity is called. Several start
    /// together.
    entities: Vec<String>,
    /// At most so many relationships away.
    depth: Option<u32>,
    /// compromise: only what an attacker gets; failure: only what stops working. Both unless told.
    #[serde(rename = "for")]
    trouble: Option<Trouble>,
    /// Go this way along all relationships, whatever the rules say.
    direction: Option<Way>,
    /// Only these verbs, whatever the rules say; `!VERB` is all but that.
    #[serde(default)]
    verbs: Vec<String>,
    /// Report only these classes.
    #[serde(default)]
    classes: Vec<String>,
    /// Report only these types.
    #[serde(default)]
    types: Vec<String>,
    /// Report only these scopes.
    #[serde(default)]
    scopes: Vec<String>,
    /// Entities to show, 40 unless told, at most 500.
    limit: Option<usize>,
}

/// A kind of trouble.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(crate = "schemars", inline)]
enum Trouble {
    /// An attacker takes it.
    Compromise,
    /// It stops working.
    Failure,
}

impl AssistantTool for BlastRadius {
    const NAME: &'static str = "blast_radius";
    const TITLE: &'static str = "Blast radius";
    const ABOUT: &'static str = "Everything that the compromise or failure of an entity reaches, by distance, each with the \
         relationship through which it is reached (`via`). States: controlled (an attacker has it), \
         borrowed (an attacker may use its access), affected (it stops working). `total`, \
         `byDistance` and `byState` count all, also what is not shown; filter by `classes`, `types` \
         or `scopes` to see a part.";
    type Arguments = BlastRadiusArguments;

    fn result() -> Json {
        let state = json!({ "type": "string", "enum": ["controlled", "borrowed", "affected"] });
        let via = object(
            "The last relationship of a shortest chain to it.",
            &[
                ("relationship", relationship()),
                ("direction", way()),
                ("from", text("`_id` of the entity before it.")),
            ],
            &[("state", state.clone())],
        );
        let mut reached = head(&[("distance", count("Relationships away.")), ("via", via)]);
        reached["properties"]["state"] = state;
        result(
            &[
                ("root", entity()),
                ("total", count("Entities reached.")),
                ("byDistance", counts("Entities at each distance.")),
                ("notFollowed", counts("Verbs that no rule follows, with their relationships.")),
                (
                    "staleScopes",
                    list("Scopes whose data is older than the others'.", text("A scope.")),
                ),
                ("notes", notes()),
                ("reached", list("The nearest first.", reached.clone())),
            ],
            &[
                ("roots", list("Where it starts, if at several.", entity())),
                ("byState", counts("Entities in each state.")),
                ("onTheWay", list("Entities in weaker states that chains lead through.", reached)),
            ],
        )
    }

    fn ask(
        ground: &QuestionGround<'_>,
        given: BlastRadiusArguments,
    ) -> Result<ToolReply, AnswerError> {
        if given.entities.is_empty() {
            return Err(AnswerError::invalid("`entities` names no entity").coded("BAD_ARGUMENTS"));
        }
        let shown = shown(given.limit);
        let request = BlastRadiusRequest {
            entities: given.entities,
            depth: given.depth,
            trouble: given.trouble.map(|trouble| ImpactFilter {
                compromise: matches!(trouble, Trouble::Compromise),
                failure: matches!(trouble, Trouble::Failure),
            }),
            direction: given.direction.map(Way::into),
            verbs: given.verbs,
            classes: given.classes,
            types: given.types,
            scopes: given.scopes,
        };
        let (meter, rules) = (ground.meter()?, rules_in_force()?);
        let snapshot = ground.snapshot()?;
        let found = request.ask(&ground.context(&snapshot, &meter), &rules)?;
        let advice = "filter by `classes`, `types` or `scopes`, lower `depth`, or raise `limit`";
        ToolReply::of(&found, AnswerRoom::of_items(shown), advice)
    }
}
