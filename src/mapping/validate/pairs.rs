//! The source of the pairs: rows or a join.

use super::MappingChecker;
use super::expressions::{KnownColumns, KnownRoots};
use crate::lang::{Diagnostic, NestedValue, SourceText};
use crate::mapping::expression::PathRoot;
use crate::mapping::format::{SpannedText, TomlTable};
use crate::mapping::model::PairSource;
use crate::mapping::rows::{RowSource, columns_of};
use crate::query::{Query, QueryOptions};
use std::collections::BTreeMap;
use std::time::SystemTime;
use toml::de::DeValue;

/// Keys of rows that say how files are read.
const FILE_KEYS: [&str; 12] = [
    "format",
    "items",
    "columns",
    "delimiter",
    "encoding",
    "skip",
    "comment",
    "sheet",
    "pattern",
    "null",
    "inside",
    "max_age",
];

const SOURCES: [&str; 5] = ["file", "files", "inline", "query", "entities"];

impl MappingChecker<'_> {
    pub(in crate::mapping) fn pairs(&mut self, top: &TomlTable<'_>) -> Option<PairSource> {
        match (top.get("rows"), top.get("join")) {
            (Some(rows), Some(join)) => {
                let words = "a mapping takes its pairs from `[rows]` or from `join`, not from both";
                let fault = self.error("M0106", words).context(rows.span(), "rows are given here");
                let fault = fault.at(join.span(), "and a join here");
                self.push(fault);
                // Both are checked all the same, so that one run reports all of their faults.
                self.rows(&top.table("rows")?);
                self.join(top);
                None
            }
            (None, None) => {
                let fault = self.error("M0107", "nothing says which entities belong together");
                let help = "add `[rows]` (a file, a list, entities) or `join` (a condition between `from.` and `to.`)";
                self.push(fault.at(top.span.clone(), "").help(help));
                None
            }
            (Some(_), None) => self.rows(&top.table("rows")?),
            (None, Some(_)) => self.join(top),
        }
    }

    fn join(&mut self, top: &TomlTable<'_>) -> Option<PairSource> {
        let known = KnownRoots { from: true, to: true, ..KnownRoots::default() };
        let alternatives = self.alternatives(top, "join", known);
        for (alternative, text) in &alternatives {
            self.must_mention(text, &alternative.when, PathRoot::From, "from");
            self.must_mention(text, &alternative.when, PathRoot::To, "to");
        }
        Some(PairSource::Join(alternatives.into_iter().map(|(a, _)| a).collect()))
    }

    fn rows(&mut self, table: &TomlTable<'_>) -> Option<PairSource> {
        let found = SOURCES.iter().filter(|key| table.has(key)).count();
        if found != 1 {
            let list = SOURCES.map(|s| format!("`{s}`")).join(", ");
            let words = format!("`rows` needs exactly one of {list}; found {found}");
            let fault = self.error("M0108", words).at(table.span.clone(), "");
            self.push(fault.help("e.g. `rows = { file = \"data/inventory.csv\" }`"));
            return None;
        }
        let of_files = table.has("file") || table.has("files");
        for key in FILE_KEYS {
            if let Some(value) = table.get(key).filter(|_| !of_files) {
                let words = format!("`{key}` belongs to rows from `file` or `files`");
                let fault = self.error("M0112", words).at(value.span(), "");
                self.push(fault.help(format!("remove `{key}`")));
            }
        }
        let rows = if of_files {
            self.file_rows(table)
        } else if table.has("inline") {
            self.inline(table)
        } else if let Some(text) = table.text("query") {
            self.query(&text).map(|query| RowSource::Query(Box::new(query)))
        } else {
            let inner = table.table("entities")?;
            let select = self.selection(&inner);
            let filter = inner.text("where").map(|text| self.condition(&text, KnownRoots::ROW));
            (!select.scopes.is_empty()).then_some(RowSource::Entities { select, filter })
        };
        if let Some(rows) = &rows {
            self.columns = KnownColumns {
                names: columns_of(rows),
                file: table.plain("file").unwrap_or_else(|| rows.shown()),
                // A query gives columns too, and its values have their types.
                texts: matches!(rows, RowSource::Files(_)),
            };
        }
        let filter = table.text("where").map(|text| self.condition(&text, KnownRoots::ROW));
        let max_age = table.text("max_age").and_then(|text| self.age(&text));
        Some(PairSource::Rows { rows: rows?, filter, span: table.span.clone(), max_age })
    }

    /// A query whose answer has rows.
    fn query(&mut self, text: &SpannedText) -> Option<Query> {
        let query = self.read_query(text)?;
        if query.is_tree() {
            let fault = self.error("M0211", "a tree has no rows").at(text.span.clone(), "");
            self.push(fault.help("end the query with `RETURN alias.property, ...`"));
            return None;
        }
        Some(query)
    }

    /// Reads a query; its fault becomes a fault of the mapping, at its place in the file.
    pub(in crate::mapping) fn read_query(&mut self, text: &SpannedText) -> Option<Query> {
        let options = QueryOptions {
            now: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |time| time.as_millis() as i64),
            // Nobody can give values of placeholders to a mapping, so a query must have none.
            parameters: Some(BTreeMap::new()),
            ..QueryOptions::default()
        };
        match Query::parse(&SourceText::whole("query", text.value.as_str()), &options) {
            Ok(query) => Some(query),
            Err(found) => {
                let place = found.labels.first().map_or(0..0, |label| label.range.clone());
                let fault = self.error("M0211", format!("query: {}", found.message));
                let fault = fault.at(text.place(&place), "");
                let edit = found.patch.iter().map(|patch| patch.title.clone());
                let helps: Vec<String> = found.helps.iter().cloned().chain(edit).collect();
                self.push(helps.into_iter().fold(fault, Diagnostic::help));
                None
            }
        }
    }

    pub(in crate::mapping) fn inline(&mut self, table: &TomlTable<'_>) -> Option<RowSource> {
        let items = table.get("inline")?.get_ref().as_array()?;
        let row = |item: &toml::Spanned<DeValue<'_>>| {
            let line = self.source.place(item.span().start).0 as u32;
            Some((line, NestedValue::from_toml(item.get_ref())?))
        };
        let rows: Option<Vec<_>> = items.iter().map(row).collect();
        if rows.is_none() {
            let fault = self.error("M0104", "64 bits cannot hold a number of these rows exactly");
            self.push(fault.at(table.get("inline")?.span(), ""));
        }
        Some(RowSource::Inline { rows: rows?, shown: self.file.display().to_string() })
    }
}
