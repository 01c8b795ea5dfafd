//! The files of rows: which of them a mapping names, whether they lie inside the project, and how their
//! rows are written.

use super::MappingChecker;
use crate::lang::closest;
use crate::mapping::format::{SpannedText, TomlTable};
use crate::mapping::rows::{
    RowFile, RowFileSet, RowSource, file_format, glob, normalize_path, parse_items,
};
use std::path::{Path, PathBuf};

impl MappingChecker<'_> {
    /// The files of rows that a table names, and how to read them.
    pub(super) fn file_rows(&mut self, table: &TomlTable<'_>) -> Option<RowSource> {
        let (files, whole) = self.row_files(table)?;
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
            Some(text) => Some(self.delimiter(&text)?),
        };
        let columns = table.texts("columns");
        let columns: Vec<String> = columns.into_iter().map(|text| text.value).collect();
        let columns = table.has("columns").then_some(columns);
        // Without one of its files the mapping would see too few rows, and delete edges.
        whole.then_some(RowSource::Files(RowFileSet { files, items, columns, delimiter }))
    }

    /// The files of `file` and `files` in byte order, each once, and true if none of them is missing;
    /// `None` if one has no known format.
    fn row_files(&mut self, table: &TomlTable<'_>) -> Option<(Vec<RowFile>, bool)> {
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
        Some((row_files, whole))
    }

    fn delimiter(&mut self, text: &SpannedText) -> Option<u8> {
        match text.value.as_bytes() {
            [one] if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => Some(*one),
            _ => {
                let words = format!("expected one ASCII character, found `{}`", text.value);
                let fault = self.error("M0104", words).at(text.span.clone(), "");
                self.push(fault);
                None
            }
        }
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

    /// The file that a text names, if it is there.
    pub(super) fn existing_file(&mut self, text: &SpannedText) -> Option<PathBuf> {
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
}
