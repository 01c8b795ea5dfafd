//! Answers as JSON, in the shapes that clients of the original API know.
//!
//! An entity is `{"id", "entity": {metadata}, "properties": {own}}`; a list is a list of these, a
//! table a list of objects by column name, a tree `{"vertices", "edges"}`.
//!
//! Source: recorded answers of the public API; the tree is stated, not recorded.

use super::{CellValue, QueryAnswer};
use crate::graph::{AdjacencyRead, GraphRead, ObjectMetadata, Value};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value as Json, json};
use std::cell::RefCell;

impl QueryAnswer {
    /// `list`, `table` or `tree`.
    pub fn kind(&self) -> &'static str {
        match self {
            QueryAnswer::List(_) => "list",
            QueryAnswer::Table { .. } => "table",
            QueryAnswer::Tree { .. } => "tree",
        }
    }

    /// The number of rows, or of entities of a tree.
    pub fn len(&self) -> usize {
        match self {
            QueryAnswer::List(entities) | QueryAnswer::Tree { entities, .. } => entities.len(),
            QueryAnswer::Table { rows, .. } => rows.len(),
        }
    }

    /// True if nothing was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, or all of a tree as one, as JSON.
    ///
    /// # Errors
    ///
    /// The error of reading the graph.
    pub fn json<G: GraphRead>(&self, graph: &G) -> Result<Json, G::Error> {
        Ok(match self {
            QueryAnswer::List(entities) => {
                entities.iter().map(|&number| vertex(graph, number)).collect::<Result<_, _>>()?
            }
            QueryAnswer::Table { columns, rows } => {
                rows.iter().map(|cells| row(graph, columns, cells)).collect::<Result<_, _>>()?
            }
            QueryAnswer::Tree { entities, relationships, .. } => {
                let vertices: Vec<Json> = entities
                    .iter()
                    .map(|&number| vertex(graph, number))
                    .collect::<Result<_, _>>()?;
                let edges: Vec<Json> = relationships
                    .iter()
                    .map(|&number| edge(graph, number))
                    .collect::<Result<_, _>>()?;
                json!({ "vertices": vertices, "edges": edges })
            }
        })
    }
}

/// An answer as JSON that is made piece by piece while it is written, so that it is never in memory as
/// a whole.
pub struct AnswerJson<'a, G: GraphRead> {
    answer: &'a QueryAnswer,
    graph: &'a G,
    fault: RefCell<Option<G::Error>>,
}

impl<'a, G: GraphRead> AnswerJson<'a, G> {
    /// The JSON of an answer of this graph.
    pub fn new(answer: &'a QueryAnswer, graph: &'a G) -> AnswerJson<'a, G> {
        AnswerJson { answer, graph, fault: RefCell::new(None) }
    }

    /// The error of reading the graph, if writing failed for that reason.
    pub fn fault(&self) -> Option<G::Error> {
        self.fault.borrow_mut().take()
    }

    /// Calls `visit` with each row, or each entity and then each relationship of a tree.
    ///
    /// # Errors
    ///
    /// The error of reading the graph, or of `visit`.
    pub fn each<S: From<G::Error>>(
        &self,
        mut visit: impl FnMut(&Json) -> Result<(), S>,
    ) -> Result<(), S> {
        match self.answer {
            QueryAnswer::List(entities) => {
                entities.iter().try_for_each(|&number| visit(&vertex(self.graph, number)?))
            }
            QueryAnswer::Table { columns, rows } => {
                rows.iter().try_for_each(|cells| visit(&row(self.graph, columns, cells)?))
            }
            QueryAnswer::Tree { entities, relationships, .. } => {
                entities.iter().try_for_each(|&number| visit(&vertex(self.graph, number)?))?;
                relationships.iter().try_for_each(|&number| visit(&edge(self.graph, number)?))
            }
        }
    }

    fn member<S: SerializeSeq>(
        &self,
        all: &mut S,
        member: Result<Json, G::Error>,
    ) -> Result<(), S::Error> {
        match member {
            Ok(json) => all.serialize_element(&json),
            Err(e) => {
                // The serializer takes texts only; the error itself is kept for `fault`.
                *self.fault.borrow_mut() = Some(e);
                Err(serde::ser::Error::custom("the graph cannot be read"))
            }
        }
    }
}

impl<G: GraphRead> Serialize for AnswerJson<'_, G> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.answer {
            QueryAnswer::List(entities) => {
                StreamedObjects(self, entities, vertex).serialize(serializer)
            }
            QueryAnswer::Table { columns, rows } => {
                let mut all = serializer.serialize_seq(Some(rows.len()))?;
                for cells in rows {
                    self.member(&mut all, row(self.graph, columns, cells))?;
                }
                all.end()
            }
            QueryAnswer::Tree { entities, relationships, .. } => {
                let mut tree = serializer.serialize_map(Some(2))?;
                tree.serialize_entry("edges", &StreamedObjects(self, relationships, edge))?;
                tree.serialize_entry("vertices", &StreamedObjects(self, entities, vertex))?;
                tree.end()
            }
        }
    }
}

/// Objects by number, each read when it is written.
struct StreamedObjects<'a, G: GraphRead>(
    &'a AnswerJson<'a, G>,
    &'a [u32],
    fn(&G, u32) -> Result<Json, G::Error>,
);

impl<G: GraphRead> Serialize for StreamedObjects<'_, G> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(Some(self.1.len()))?;
        for &number in self.1 {
            self.0.member(&mut all, (self.2)(self.0.graph, number))?;
        }
        all.end()
    }
}

fn row<G: GraphRead>(graph: &G, columns: &[String], cells: &[CellValue]) -> Result<Json, G::Error> {
    let mut members = Map::new();
    for (name, cell) in columns.iter().zip(cells) {
        members.insert(name.clone(), cell_json(graph, cell)?);
    }
    Ok(Json::Object(members))
}

/// A cell as JSON; undefined is null.
///
/// # Errors
///
/// The error of reading the graph.
pub fn cell_json<G: GraphRead>(
    graph: &G,
    cell: &CellValue,
) -> Result<Json, <G as AdjacencyRead>::Error> {
    Ok(match cell {
        CellValue::Undefined => Json::Null,
        CellValue::Value(value) => plain(value),
        CellValue::Entity(number) => vertex(graph, *number)?,
        CellValue::Relationship(number) => edge(graph, *number)?,
        CellValue::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        }
    })
}

fn plain(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::from(*b),
        Value::Int(i) => Json::from(*i),
        Value::UInt(u) => Json::from(*u),
        Value::Float(f) => Json::from(*f),
        Value::Text(text) => Json::from(text.as_ref()),
        Value::List(items) => items.iter().map(plain).collect(),
    }
}

fn metadata(members: &mut Map<String, Json>, metadata: &ObjectMetadata) {
    members.insert("_source".into(), metadata.source.clone().into());
    members.insert("_version".into(), metadata.version.into());
    members.insert("_deleted".into(), metadata.deleted().into());
    members.insert("_createdOn".into(), iso(metadata.created_on));
    members.insert("_beginOn".into(), iso(metadata.begin_on));
}

/// A time as clients of the API expect it.
fn iso(time: i64) -> Json {
    match jiff::Timestamp::from_millisecond(time) {
        Ok(time) => Json::from(format!("{time:.3}")),
        // Outside the calendar's range the number itself says more than an error.
        Err(_) => Json::from(time),
    }
}

fn own(properties: &[(String, Value<'static>)]) -> Map<String, Json> {
    let shown = properties.iter().filter(|(name, _)| name != "displayName");
    shown.map(|(name, value)| (name.clone(), plain(value))).collect()
}

fn vertex<G: GraphRead>(graph: &G, number: u32) -> Result<Json, G::Error> {
    let Some(entity) = graph.entity(number)? else { return Ok(Json::Null) };
    let mut members = Map::new();
    let id = entity.id.to_string();
    members.insert("_id".into(), id.clone().into());
    members.insert("_key".into(), entity.key.clone().into());
    members.insert("_scope".into(), entity.scope.clone().into());
    members.insert("_type".into(), json!([entity.type_name]));
    members.insert("_class".into(), json!(entity.classes));
    // Clients look for the name beside the metadata; `own` leaves it out of the properties.
    let display = entity.properties.iter().find(|(name, _)| name == "displayName");
    if let Some((name, value)) = display {
        members.insert(name.clone(), plain(value));
    }
    metadata(&mut members, &entity.metadata);
    Ok(json!({ "id": id, "entity": members, "properties": own(&entity.properties) }))
}

fn edge<G: GraphRead>(graph: &G, number: u32) -> Result<Json, G::Error> {
    let Some(link) = graph.relationship(number)? else { return Ok(Json::Null) };
    let mut members = Map::new();
    let id = link.id.to_string();
    members.insert("_id".into(), id.clone().into());
    members.insert("_key".into(), link.key.clone().into());
    members.insert("_scope".into(), link.scope.clone().into());
    members.insert("_type".into(), link.type_name.clone().into());
    members.insert("_class".into(), link.class.clone().into());
    members.insert("_fromEntityKey".into(), link.from.key.clone().into());
    members.insert("_toEntityKey".into(), link.to.key.clone().into());
    metadata(&mut members, &link.metadata);
    Ok(json!({
        "id": id,
        "fromVertexId": link.from.id.to_string(),
        "toVertexId": link.to.id.to_string(),
        "relationship": members,
        "properties": own(&link.properties),
    }))
}
