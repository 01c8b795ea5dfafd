//! `owners`: who owns an entity, or all entities of a kind.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{chain, entity, head, list, notes, object, result};
use super::{AssistantTool, shown};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tombolo::answers::{AnswerError, OwnersRequest, rules_in_force};

/// The tool.
pub struct Owners;

/// Arguments of `owners`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct OwnersArguments {
    /// The entity: SCOPE::KEY, a key, an `_id`, or what it is called.
    entity: Option<String>,
    /// Instead: every entity of these classes.
    #[serde(default)]
    classes: Vec<String>,
    /// Instead: every entity of these types.
    #[serde(default)]
    types: Vec<String>,
    /// Instead: every entity of these scopes.
    #[serde(default)]
    scopes: Vec<String>,
    /// With classes, types or scopes: only what nobody owns.
    #[serde(default)]
    orphans: bool,
    /// Also the people of owners that are teams.
    #[serde(default)]
    people: bool,
    /// At most so many relationships away.
    depth: Option<u32>,
    /// Only these verbs say who owns.
    #[serde(default)]
    verbs: Vec<String>,
    /// Entities to show, 40 unless told, at most 500.
    limit: Option<usize>,
}

impl AssistantTool for Owners {
    const NAME: &'static str = "owners";
    const TITLE: &'static str = "Owners";
    const ABOUT: &'static str = "The nearest owners of an entity, each with the chain of relationships that says so. With \
         `classes`, `types` or `scopes` instead of `entity`: the owners of every entity of a kind; \
         `orphans` lists only those that nobody owns. Notes say why there is no owner.";
    type Arguments = OwnersArguments;

    fn result() -> Json {
        let person = head(&[("chain", chain())]);
        let mut owner = person.clone();
        owner["properties"]["people"] = list("The people of a team.", person);
        let distance =
            json!({ "type": ["integer", "null"], "description": "How far the owners are." });
        let owned = [
            ("entity", entity()),
            ("distance", distance),
            ("owners", list("The owners that tie at that distance.", owner)),
        ];
        let answers = list("An answer for each entity of the kind.", object("", &owned, &[]));
        let of_kind = [("answers", answers)];
        result(&[("notes", notes())], &[&owned[..], &of_kind].concat())
    }

    fn ask(ground: &QuestionGround<'_>, given: OwnersArguments) -> Result<ToolReply, AnswerError> {
        let kinds = [&given.classes, &given.types, &given.scopes];
        let of_kind = kinds.iter().any(|names| !names.is_empty());
        let bad = match (&given.entity, of_kind) {
            (Some(_), true) => {
                "`entity` is one entity; `classes`, `types` and `scopes` ask for a kind"
            }
            (Some(_), false) if given.orphans => {
                "`orphans` lists what nobody owns, and `entity` is one entity"
            }
            (None, false) => "name an `entity`, or `classes`, `types` or `scopes`",
            _ => "",
        };
        if !bad.is_empty() {
            return Err(AnswerError::invalid(bad).coded("BAD_ARGUMENTS"));
        }
        let shown = shown(given.limit);
        let request = OwnersRequest {
            entities: given.entity.into_iter().collect(),
            classes: given.classes,
            types: given.types,
            scopes: given.scopes,
            orphans: given.orphans,
            people: given.people,
            owner_classes: Vec::new(),
            depth: given.depth,
            verbs: given.verbs,
        };
        let (meter, rules) = (ground.meter()?, rules_in_force()?);
        let snapshot = ground.snapshot()?;
        let found = request.ask(&ground.context(&snapshot, &meter), &rules)?;
        let advice = "ask about fewer types or scopes, with `orphans`, or raise `limit`";
        ToolReply::of(&found, AnswerRoom::of_items(shown), advice)
    }
}
