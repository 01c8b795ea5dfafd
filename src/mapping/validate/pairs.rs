//! The source of the pairs: rows, a join, and the tables that rows are looked up in.

use super::expressions::{KnownColumns, KnownRoots};
use super::{MappingChecker, plain_properties};
use crate::lang::{Diagnostic, SourceText, closest, text_of};
use crate::mapping::data::{NestedValue, RowContent};
use crate::mapping::expression::PathRoot;
use crate::mapping::format::{SpannedText, TomlTable};
use crate::mapping::model::{LookupTable, PairSource};
use crate::mapping::rows::{
    ReadOptions, RowFile, RowFileSet, RowReader, RowSource, columns_of, file_format, glob,
    parse_items,
};
use crate::mapping::validate::project::normalize_path;
use crate::query::{Query, QueryOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use toml::de::DeValue;

const SOURCES: [&str; 5] = ["file", "files", "inline", "query", "entities"];

impl MappingChecker<'_> {
    pub(super) fn pairs(&mut self, top: &TomlTable<'_>) -> Option<PairSource> {
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
        for key in ["format", "items", "columns", "delimiter", "max_age"] {
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
    pub(super) fn read_query(&mut self, text: &SpannedText) -> Option<Query> {
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

    fn inline(&mut self, table: &TomlTable<'_>) -> Option<RowSource> {
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

    fn file_rows(&mut self, table: &TomlTable<'_>) -> Option<RowSource> {
        let given = table.text("format");
        let mut files = Vec::new();
        let mut whole = true;
        if let Some(text) = table.text("file") {
            match self.existing_file(&text) {
                Some(path) => files.push((path, text.value.clone(), text)),
                None => whole = false,
            }
        }
        for text in table.texts("files") {
            match self.matching_files(&text) {
                Some(found) => {
                    files.extend(found.into_iter().map(|(path, name)| (path, name, text.clone())));
                }
                None => whole = false,
            }
        }
        let bytes = |path: &PathBuf| path.as_os_str().as_encoded_bytes().to_owned();
        files.sort_by_cached_key(|(path, ..)| bytes(path));
        // Two patterns may match one file; its rows are read once.
        files.dedup_by(|a, b| a.0 == b.0);
        let mut row_files = Vec::new();
        for (path, name, text) in files {
            match file_format(&path, given.as_ref().map(|text| text.value.as_str())) {
                Ok(format) => row_files.push(RowFile { path, name, format }),
                Err(words) => {
                    let fault = self.error("M0104", words).at(text.span, "");
                    self.push(
                        fault.help("say it with `format`: csv, tsv, json, ndjson, yaml, toml"),
                    );
                    return None;
                }
            }
        }
        let items = match table.text("items") {
            None => None,
            Some(text) => match parse_items(&text.value) {
                Ok(items) => Some(items),
                Err(fault) => {
                    self.take(&text, vec![fault]);
                    return None;
                }
            },
        };
        let delimiter = match table.text("delimiter") {
            None => None,
            Some(text) => match text.value.as_bytes() {
                [one] if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => Some(*one),
                _ => {
                    let words = format!("expected one ASCII character, found `{}`", text.value);
                    let fault = self.error("M0104", words).at(text.span, "");
                    self.push(fault);
                    return None;
                }
            },
        };
        let columns = table.texts("columns");
        let columns: Vec<String> = columns.into_iter().map(|text| text.value).collect();
        let columns = table.has("columns").then_some(columns);
        // Without one of its files the mapping would see too few rows, and delete edges.
        whole.then_some(RowSource::Files(RowFileSet {
            files: row_files,
            items,
            columns,
            delimiter,
        }))
    }

    /// The path that a text of the mapping names, if it stays inside the project.
    fn inside(&mut self, text: &SpannedText) -> Option<PathBuf> {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let path = normalize_path(&folder.join(&text.value));
        let absolute = normalize_path(&std::path::absolute(&path).ok()?);
        if self.project.holds(&absolute) {
            return Some(path);
        }
        let words = format!("path `{}` leaves the project directory", text.value);
        let fault = self.error("M0306", words).at(text.span.clone(), "");
        self.push(fault.help(format!("the project is {}", self.project.shown_root)));
        None
    }

    fn existing_file(&mut self, text: &SpannedText) -> Option<PathBuf> {
        let path = self.inside(text)?;
        if path.is_file() {
            return Some(path);
        }
        let fault = self.error("M0305", format!("file `{}` does not exist", text.value));
        let fault = fault.at(text.span.clone(), "").help(self.looked_in());
        let siblings: Vec<String> = path
            .parent()
            .and_then(|folder| {
                std::fs::read_dir(if folder.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    folder
                })
                .ok()
            })
            .map(|all| {
                all.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()))
                    .collect()
            })
            .unwrap_or_default();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let similar = closest(&name, siblings.iter().map(String::as_str));
        self.push(match similar {
            Some(similar) => fault.help(format!("there is a file `{similar}` beside it")),
            None => fault,
        });
        None
    }

    fn looked_in(&self) -> String {
        let folder = self.file.parent().filter(|f| !f.as_os_str().is_empty());
        let shown = folder.unwrap_or(Path::new("."));
        format!("paths are relative to the mapping file: looked in {}", shown.display())
    }

    fn matching_files(&mut self, text: &SpannedText) -> Option<Vec<(PathBuf, String)>> {
        // The part before the first sign of a pattern is a plain path, so it can be checked first.
        let fixed = text.value.split(['*', '?', '[', '{']).next().unwrap_or_default();
        let fixed = SpannedText { value: fixed.to_owned(), ..text.clone() };
        self.inside(&fixed)?;
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let found = match glob(folder, &text.value) {
            Ok(found) => found,
            Err(words) => {
                let fault = self.error("M0305", format!("pattern `{}`: {words}", text.value));
                self.push(fault.at(text.span.clone(), ""));
                return None;
            }
        };
        if found.is_empty() {
            let fault = self.error("M0305", format!("no file matches `{}`", text.value));
            let fault = fault.at(text.span.clone(), "").help(self.looked_in());
            self.push(fault);
            return None;
        }
        // A link further on may still lead out of the project.
        for (path, _) in &found {
            let absolute = normalize_path(&std::path::absolute(path).ok()?);
            if !self.project.holds(&absolute) {
                let words = format!("path `{}` leaves the project directory", path.display());
                let fault = self.error("M0306", words).at(text.span.clone(), "");
                self.push(fault.help(format!("the project is {}", self.project.shown_root)));
                return None;
            }
        }
        Some(found)
    }

    /// Reads the lookup tables.
    pub(super) fn lookups(&mut self, top: &TomlTable<'_>) {
        let Some(all) = top.table("lookup") else { return };
        for (name, value) in all.entries() {
            let Some(table) = all.as_table(value) else { continue };
            // A faulty table is known by name, so that its uses are not faults too.
            self.tables.insert(name.value.clone(), LookupTable::default());
            let read = match (table.table("inline"), table.text("file")) {
                (Some(inline), None) => plain_properties(&inline).into_iter().collect(),
                (None, Some(file)) => match self.lookup_file(&name, &table, &file) {
                    Some(read) => read,
                    None => continue,
                },
                _ => {
                    let words =
                        format!("`[lookup.{}]` needs either `file` or `inline`", name.value);
                    let fault = self.error("M0108", words).at(table.span.clone(), "");
                    self.push(fault.help(
                        "e.g. `file = \"data/aliases.csv\"`, `key = \"alias\"`, `value = \"slug\"`",
                    ));
                    continue;
                }
            };
            self.tables.insert(name.value, read);
        }
    }

    fn lookup_file(
        &mut self,
        name: &SpannedText,
        table: &TomlTable<'_>,
        file: &SpannedText,
    ) -> Option<LookupTable> {
        let mut columns = Vec::new();
        for key in ["key", "value"] {
            match table.plain(key) {
                Some(column) => columns.push(column),
                None => {
                    let fault = self.error("M0103", format!("missing `{key}`"));
                    let fault = fault.at(table.span.clone(), "");
                    self.push(fault.help(format!("`{key}` is a column of `{}`", file.value)));
                }
            }
        }
        let path = self.existing_file(file)?;
        let [key, value] = columns.as_slice() else { return None };
        let format = match file_format(&path, None) {
            Ok(format) => format,
            Err(words) => {
                let fault = self.error("M0104", words).at(file.span.clone(), "");
                self.push(fault);
                return None;
            }
        };
        let files = vec![RowFile { path, name: file.value.clone(), format }];
        let rows =
            RowSource::Files(RowFileSet { files, items: None, columns: None, delimiter: None });
        if let Some(known) = columns_of(&rows) {
            for (column, word) in [(key, "key"), (value, "value")] {
                if !known.iter().any(|c| c == column) {
                    let words = format!("`{}` has no column `{column}`", file.value);
                    let span = table.get(word).map_or(file.span.clone(), |v| v.span());
                    let fault = self.error("M0401", words).at(span, "used here");
                    let fault = fault.note(format!("its columns: {}", known.join(", ")));
                    self.push(fault);
                    return None;
                }
            }
        }
        let options = ReadOptions { max_age: None, now: SystemTime::UNIX_EPOCH, around: false };
        let mut reader = RowReader::open(&rows, &options);
        let mut read = LookupTable::default();
        let mut lines: std::collections::HashMap<String, u32> = std::collections::HashMap::new();
        while let Some(row) = reader.next() {
            let row = match row {
                Ok(row) => row,
                Err(fault) => {
                    self.push(fault);
                    return None;
                }
            };
            let cell = |column: &str| match &row.row {
                RowContent::Cells(cells) => {
                    let text = cells.get(*reader.columns().get(column)?)?;
                    (!text.is_empty()).then(|| crate::graph::Value::Text(text.to_owned().into()))
                }
                RowContent::Data(data) => data.member(column)?.clone().into_value(),
            };
            let (Some(found), Some(answer)) = (cell(key), cell(value)) else { continue };
            let found = text_of(&found);
            let line = row.line;
            if let Some(old) = read.get(&found).filter(|old| **old != answer) {
                let words = format!(
                    "lookup `{}` has the key `{found}` twice, with different values",
                    name.value
                );
                let first = lines.get(&found).copied().unwrap_or_default();
                let fault = self
                    .error("M0307", words)
                    .at(name.span.clone(), "")
                    .note(format!(
                        "{}:{first} says {}",
                        file.value,
                        crate::mapping::resolve::display_value(old)
                    ))
                    .note(format!(
                        "{}:{line} says {}",
                        file.value,
                        crate::mapping::resolve::display_value(&answer)
                    ));
                self.push(fault.help("keep one of the two lines"));
                continue;
            }
            lines.entry(found.clone()).or_insert(line);
            read.insert(found, answer);
        }
        Some(read)
    }
}
