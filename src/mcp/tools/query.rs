//! `query`: a question in J1QL.

use super::super::cut::AnswerRoom;
use super::super::host::QuestionGround;
use super::super::reply::ToolReply;
use super::super::schema::{list, notes, result, text};
use super::{AssistantTool, shown};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use tombolo::answers::{
    AnswerAdvice, AnswerError, QueryFindings, QueryRequest, asked_state, read_query, rules_in_force,
};
use tombolo::lang::SourceText;
use tombolo::query::{QueryAnswer, QueryOptions, QueryParameter};

/// The tool.
pub struct Query;

/// Arguments of `query`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct QueryArguments {
    /// The query, for instance `FIND User WITH email ^= 'a' THAT OWNS >> Device RETURN User.email,
    /// Device._key LIMIT 20` or `FIND Host AS h RETURN h.platform, count(h)`.
    query: String,
    /// Values of placeholders such as `{{email}}`, by name.
    #[serde(default)]
    params: Map<String, Json>,
    /// Rows to show, 40 unless told, at most 500.
    limit: Option<usize>,
    /// Also begin at deleted entities.
    #[serde(default)]
    include_deleted: bool,
}

impl AssistantTool for Query {
    const NAME: &'static str = "query";
    const TITLE: &'static str = "Ask in J1QL";
    const ABOUT: &'static str = "Asks in J1QL: `FIND class-or-type [AS alias] [WITH property = value AND ...] [THAT VERB >> \
         class ...] [WHERE ...] [RETURN columns, count(x)] [ORDER BY ...] [SKIP n] [LIMIT n]`; `FIND \
         ... RETURN TREE` gives vertices and edges. Use `describe` first for the classes, verbs and \
         properties that exist. A query with a fault comes back as an error that marks the place and \
         says the fix. An empty answer has notes that say which part found nothing.";
    type Arguments = QueryArguments;

    fn result() -> Json {
        result(
            &[
                ("type", json!({ "type": "string", "enum": ["list", "table", "tree"] })),
                (
                    "data",
                    json!({
                        "type": ["array", "object"],
                        "description": "Rows: entities of a list, columns of a table. Of a tree: \
                            an object with `vertices` and `edges`.",
                    }),
                ),
            ],
            &[
                ("notes", notes()),
                ("lints", list("What of the query is doubtful.", text("A fault."))),
            ],
        )
    }

    fn ask(ground: &QuestionGround<'_>, given: QueryArguments) -> Result<ToolReply, AnswerError> {
        let meter = ground.meter()?;
        let request = QueryRequest {
            parameters: parameters(&given.params)?,
            now: jiff::Timestamp::now().as_millisecond(),
            include_deleted: given.include_deleted,
            ..QueryRequest::default()
        };
        let options = request.options(rules_in_force()?, meter.deadline());
        let query = read_query(&SourceText::whole("query", given.query), &options)?;
        all_asked(&query, &options)?;
        let past = asked_state(ground.database, &query, None)?;
        let ground = ground.of(past.as_ref().unwrap_or(ground.database));
        let snapshot = ground.snapshot()?;
        let context = ground.context(&snapshot, &meter);
        let mut found = QueryFindings::ask(&context, &query)?;
        let notes = found.notes(&context, &query)?;
        let cuts = shorten(&mut found.answer, shown(given.limit));
        let advice = "aggregate (count, RETURN fewer columns), add conditions, page with SKIP and \
                      LIMIT, or raise `limit`";
        let room = AnswerRoom::of_items(shown(given.limit));
        let mut reply = ToolReply::of(&found.document(&notes), room, advice)?;
        if let Some(state) = ground.database.past_state() {
            reply.put("asOf", state);
        }
        for (at, shown, of) in cuts {
            reply.list_was_cut(at, shown, of);
        }
        if !query.lints.is_empty() {
            reply.put("lints", query.lints.iter().map(|l| l.plain()).collect::<Vec<_>>());
        }
        Ok(reply)
    }
}

/// The values of placeholders. A number keeps how it is written.
fn parameters(given: &Map<String, Json>) -> Result<BTreeMap<String, QueryParameter>, AnswerError> {
    let read = |(name, value): (&String, &Json)| match value {
        Json::Null | Json::Object(_) => Err(AnswerError::invalid(format!(
            "the value of `{name}` is neither a text, number, boolean nor list"
        ))),
        value => Ok((name.clone(), QueryParameter::read(&value.to_string()))),
    };
    given.iter().map(read).collect()
}

/// Fails on a value that no placeholder asks for: its name is most likely misspelt.
fn all_asked(query: &tombolo::query::Query, options: &QueryOptions) -> Result<(), AnswerError> {
    let given = options.parameters.iter().flat_map(|all| all.keys());
    let Some((name, near)) = query.unasked(given) else { return Ok(()) };
    let error = AnswerError::invalid(format!("no placeholder of the query is called `{name}`"));
    Err(error.advise(match near {
        Some(near) => AnswerAdvice::Nearest(near.to_owned()),
        None => AnswerAdvice::Words("write `{{name}}` in the query".to_owned()),
    }))
}

/// Takes the first rows of an answer before any is read. Returns the lists that lost some, with what is
/// left and what was there.
fn shorten(answer: &mut QueryAnswer, most: usize) -> Vec<(&'static str, usize, usize)> {
    fn cut<T>(at: &'static str, list: &mut Vec<T>, most: usize) -> (&'static str, usize, usize) {
        let of = list.len();
        list.truncate(most);
        (at, list.len(), of)
    }
    match answer {
        QueryAnswer::List(entities) => vec![cut("/data", entities, most)],
        QueryAnswer::Table { rows, .. } => vec![cut("/data", rows, most)],
        QueryAnswer::Tree { entities, relationships, .. } => {
            vec![cut("/data/vertices", entities, most), cut("/data/edges", relationships, most)]
        }
    }
}
