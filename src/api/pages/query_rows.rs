//! The rows of a query as a table: entities are links, absent values are dashes.

use super::address::PageAddress;
use super::page::PageTask;
use super::parts::{self, ListWindow, TableColumn};
use maud::{Markup, html};
use rustc_hash::FxHashMap;
use tombolo::answers::{self, AnswerError, clean};
use tombolo::graph::{EntityHead, Value};
use tombolo::query::{CellValue, QueryAnswer};
use tombolo::store::Snapshot;

/// Characters of one value that a cell shows.
const CELL_MAX: usize = 400;

/// The rows of a query, as they are laid out.
pub struct QueryRows<'a> {
    /// The page.
    pub task: &'a PageTask<'a>,
    /// The state of the graph that the rows are of.
    pub snapshot: &'a Snapshot,
    /// The name of that state in links, where it is another than that of the page.
    pub at: Option<String>,
}

impl QueryRows<'_> {
    /// Some of the rows.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn table(&self, answer: &QueryAnswer, window: &ListWindow) -> Result<Markup, AnswerError> {
        match answer {
            QueryAnswer::List(entities) | QueryAnswer::Tree { entities, .. } => {
                entity_table(self, &entities[window.start..window.end])
            }
            QueryAnswer::Table { columns, rows } => {
                cell_table(self, columns, &rows[window.start..window.end])
            }
        }
    }

    fn entity(&self, head: &EntityHead) -> Markup {
        let frame = &self.task.frame;
        let address = PageAddress::about("e", &head.scope, &head.key);
        let address = match &self.at {
            Some(at) => address.with("at", at),
            None => frame.keep(address),
        };
        html! {
            (parts::entity(frame, head, &address.text()))
            @if head.deleted { span class="tag" { "deleted" } }
        }
    }
}

fn entity_table(page: &QueryRows<'_>, entities: &[u32]) -> Result<Markup, AnswerError> {
    let columns = [
        TableColumn::text("Entity"),
        TableColumn::plain("Type"),
        TableColumn::plain("Class"),
        TableColumn::text("Scope"),
    ];
    let heads = answers::entities(page.snapshot, entities)?;
    let rows: Vec<Vec<Markup>> = heads
        .iter()
        .map(|head| {
            vec![
                page.entity(head),
                html! { (clean(&head.type_name)) },
                html! { (clean(&head.classes.join(", "))) },
                html! { (clean(&head.scope)) },
            ]
        })
        .collect();
    Ok(parts::table("Entities", &columns, &rows))
}

fn cell_table(
    page: &QueryRows<'_>,
    columns: &[String],
    rows: &[Vec<CellValue>],
) -> Result<Markup, AnswerError> {
    // Names are read together, so that each block of the file is read once.
    let numbers: Vec<u32> = rows
        .iter()
        .flatten()
        .filter_map(|cell| match cell {
            CellValue::Entity(number) => Some(*number),
            _ => None,
        })
        .collect();
    let heads: FxHashMap<u32, EntityHead> = answers::entities(page.snapshot, &numbers)?
        .into_iter()
        .map(|head| (head.number, head))
        .collect();
    let numeric = |at: usize| {
        let mut cells = rows.iter().map(|row| &row[at]).filter(|c| **c != CellValue::Undefined);
        let number = |cell: &CellValue| {
            matches!(cell, CellValue::Value(Value::Int(_) | Value::UInt(_) | Value::Float(_)))
        };
        cells.clone().next().is_some() && cells.all(number)
    };
    let names: Vec<String> = columns.iter().map(|name| clean(name).into_owned()).collect();
    let columns: Vec<TableColumn<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| match numeric(at) {
            true => TableColumn::number(name),
            false => TableColumn::text(name),
        })
        .collect();
    let mut shown = Vec::new();
    for row in rows {
        let cells = row.iter().map(|value| cell(page, &heads, value));
        shown.push(cells.collect::<Result<Vec<Markup>, AnswerError>>()?);
    }
    Ok(parts::table("Rows", &columns, &shown))
}

fn cell(
    page: &QueryRows<'_>,
    heads: &FxHashMap<u32, EntityHead>,
    value: &CellValue,
) -> Result<Markup, AnswerError> {
    Ok(match value {
        CellValue::Undefined | CellValue::Value(Value::Null) => html! { span class="dim" { "–" } },
        CellValue::Value(Value::Text(text)) => html! { (short(text)) },
        CellValue::Value(list @ Value::List(_)) => html! { (short(&list.to_string())) },
        CellValue::Value(value) => parts::value(value),
        CellValue::Entity(number) => match heads.get(number) {
            Some(head) => page.entity(head),
            None => html! {},
        },
        CellValue::Relationship(number) => {
            let head = answers::relationship(page.snapshot, *number)?;
            html! { span class="verb" { (clean(&head.class)) } " " (parts::key(&head.key)) }
        }
        CellValue::Object(members) => html! {
            @for (name, value) in members {
                span class="member" { b { (clean(name)) } " " (parts::value(value)) } " "
            }
        },
    })
}

/// The beginning of a long text.
fn short(text: &str) -> String {
    let text = clean(text);
    match text.char_indices().nth(CELL_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
