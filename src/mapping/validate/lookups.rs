//! The lookup tables of a file, read and held to one value for each key.

use super::{MappingChecker, plain_properties};
use crate::graph::Value;
use crate::lang::text_of;
use crate::mapping::format::{SpannedText, TomlTable};
use crate::mapping::model::LookupTable;
use crate::mapping::resolve::display_value;
use crate::mapping::rows::{
    ReadOptions, RowContent, RowDocument, RowFile, RowFileSet, RowReader, RowSource, columns_of,
};
use std::collections::HashMap;
use std::time::SystemTime;

impl MappingChecker<'_> {
    /// Reads the lookup tables.
    pub(in crate::mapping) fn lookups(&mut self, top: &TomlTable<'_>) {
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
        let (rows, columns) = self.lookup_rows(table, file)?;
        let [key, value] = columns.each_ref().map(String::as_str);
        let options = ReadOptions { max_age: None, now: SystemTime::UNIX_EPOCH, around: false };
        let mut reader = RowReader::open(&rows, &options);
        let mut read = LookupTable::default();
        let mut lines: HashMap<String, u32> = HashMap::new();
        while let Some(row) = reader.next() {
            let row = match row {
                Ok(row) => row,
                Err(fault) => {
                    self.push(fault);
                    return None;
                }
            };
            let cells = (cell(&reader, &row, key), cell(&reader, &row, value));
            let (Some(found), Some(answer)) = cells else { continue };
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
                    .note(format!("{}:{first} says {}", file.value, display_value(old)))
                    .note(format!("{}:{line} says {}", file.value, display_value(&answer)));
                self.push(fault.help("keep one of the two lines"));
                continue;
            }
            lines.entry(found.clone()).or_insert(line);
            read.insert(found, answer);
        }
        Some(read)
    }

    /// The rows of the file of a table, and the names of their columns of keys and of values.
    fn lookup_rows(
        &mut self,
        table: &TomlTable<'_>,
        file: &SpannedText,
    ) -> Option<(RowSource, [String; 2])> {
        let columns = ["key", "value"].map(|word| {
            let column = table.plain(word);
            if column.is_none() {
                let fault = self.error("M0103", format!("missing `{word}`"));
                let fault = fault.at(table.span.clone(), "");
                self.push(fault.help(format!("`{word}` is a column of `{}`", file.value)));
            }
            column
        });
        let path = self.existing_file(file)?;
        let [Some(key), Some(value)] = columns else { return None };
        let files = match RowFile::new(path, file.value.clone(), None) {
            Ok(file) => vec![file],
            Err(words) => {
                let fault = self.error("M0104", words).at(file.span.clone(), "");
                self.push(fault);
                return None;
            }
        };
        let rows = RowSource::Files(RowFileSet { files, ..RowFileSet::default() });
        if let Some(known) = columns_of(&rows) {
            for (column, word) in [(&key, "key"), (&value, "value")] {
                if !known.contains(column) {
                    let words = format!("`{}` has no column `{column}`", file.value);
                    let span = table.get(word).map_or(file.span.clone(), |v| v.span());
                    let fault = self.error("M0401", words).at(span, "used here");
                    self.push(fault.note(format!("its columns: {}", known.join(", "))));
                    return None;
                }
            }
        }
        Some((rows, [key, value]))
    }
}

/// The value of a column of a row.
fn cell(reader: &RowReader<'_>, row: &RowDocument, column: &str) -> Option<Value<'static>> {
    match &row.content {
        RowContent::Cells(cells) => {
            let text = cells.get(*reader.columns().get(column)?)?;
            (!text.is_empty()).then(|| Value::Text(text.to_owned().into()))
        }
        RowContent::Data(data) => data.member(column)?.clone().into_value(),
    }
}
