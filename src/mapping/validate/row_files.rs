//! The files of rows: which of them a mapping names, whether they lie inside the project, and how their
//! rows are written.

use super::MappingChecker;
use crate::lang::{closest, parse_items};
use crate::mapping::expression::{MappingExpr, PathRoot};
use crate::mapping::format::{ROW_FORMATS, SpannedText, TomlTable};
use crate::mapping::rows::{
    RowFile, RowFileSet, RowSource, archive_kind, archive_members, glob, normalize_path,
};
use std::path::{Path, PathBuf};

impl MappingChecker<'_> {
    /// The files of rows that a table names, and how to read them.
    pub(in crate::mapping) fn file_rows(&mut self, table: &TomlTable<'_>) -> Option<RowSource> {
        let (mut files, whole) = self.row_files(table)?;
        let encoding = table.text("encoding").and_then(|text| self.encoding(&text));
        files.iter_mut().for_each(|file| file.encoding = encoding);
        let before = self.faults.len();
        let items = table.texts("items").iter().map(|text| self.items(text)).collect();
        let columns = table.texts("columns");
        let columns: Vec<String> = columns.into_iter().map(|text| text.value).collect();
        let rows = RowFileSet {
            items,
            columns: table.has("columns").then_some(columns),
            delimiter: self.sign(table, "delimiter"),
            skip: table.whole("skip").unwrap_or(0),
            comment: self.sign(table, "comment"),
            sheet: table.plain("sheet"),
            pattern: table.text("pattern").and_then(|text| self.line_pattern(&text)),
            nulls: table.texts("null").into_iter().map(|text| text.value).collect(),
            files,
        };
        let lines = table.plain("format").as_deref() == Some("lines");
        if lines != table.has("pattern") {
            let words = match lines {
                true => "rows of `lines` need a `pattern`",
                false => "`pattern` belongs to rows with `format = \"lines\"`",
            };
            let fault = self.error("M0112", words).at(table.span.clone(), "");
            self.push(fault.help(r"e.g. `pattern = '^(?<path>\S+)\s+(?<owners>.*)$'`"));
        }
        // Without one of its files the mapping would see too few rows, and delete edges.
        (whole && self.faults.len() == before).then_some(RowSource::Files(rows))
    }

    /// The encoding that a label names.
    fn encoding(&mut self, text: &SpannedText) -> Option<&'static encoding_rs::Encoding> {
        let encoding = encoding_rs::Encoding::for_label(text.value.as_bytes());
        if encoding.is_none() {
            let words = format!("`{}` is no encoding that is known", text.value);
            let fault = self.error("M0104", words).at(text.span.clone(), "");
            self.push(fault.help("e.g. windows-1252, iso-8859-15, utf-16le, shift_jis"));
        }
        encoding
    }

    /// A path to the rows inside of a document.
    pub(in crate::mapping) fn items(&mut self, text: &SpannedText) -> MappingExpr {
        self.expressions += 1;
        let (expr, faults) = parse_items(&text.value, PathRoot::Row);
        self.take(text, faults);
        expr
    }

    /// The regular expression of lines; its named groups are the columns.
    fn line_pattern(&mut self, text: &SpannedText) -> Option<regex::Regex> {
        let words = match regex::RegexBuilder::new(&text.value).size_limit(1 << 20).build() {
            Ok(pattern) if pattern.capture_names().flatten().next().is_some() => {
                return Some(pattern);
            }
            Ok(_) => "the pattern has no named group, which would be a column".to_owned(),
            Err(error) => {
                let words = error.to_string();
                format!("regular expression: {}", words.lines().last().unwrap_or_default())
            }
        };
        let fault = self.error("M0207", words).at(text.span.clone(), "");
        self.push(fault.help(r"name a group like `(?<path>\S+)`"));
        None
    }

    /// The files of `file` and `files` in byte order, each once, and true if none of them is missing;
    /// `None` if one has no known format.
    fn row_files(&mut self, table: &TomlTable<'_>) -> Option<(Vec<RowFile>, bool)> {
        let given = table.text("format");
        let mut files = Vec::new();
        let mut whole = true;
        if let Some(named) = self.given {
            files = given_files(named, table, self.given_by_name);
        } else if let Some(text) = table.text("file") {
            match self.existing_file(&text) {
                Some(path) => files.push((path, text.value.clone(), text)),
                None => whole = false,
            }
        }
        let patterns = if self.given.is_none() { table.texts("files") } else { Vec::new() };
        for text in patterns {
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
        let inside = table.text("inside");
        for (path, name, text) in files {
            let format = given.as_ref().map(|text| text.value.as_str());
            let found = match archive_kind(&path) {
                Some(_) => self.archived_files(&path, &name, format, &text, inside.as_ref())?,
                None => match RowFile::new(path, name, format) {
                    Ok(file) => vec![file],
                    Err(words) => {
                        let fault = self.error("M0104", words).at(text.span, "");
                        let help = format!("say it with `format`: {}", ROW_FORMATS.join(", "));
                        self.push(fault.help(help));
                        return None;
                    }
                },
            };
            row_files.extend(found);
        }
        Some((row_files, whole))
    }

    /// The files inside of an archive: those that `inside` matches, else all in a known format.
    fn archived_files(
        &mut self,
        path: &Path,
        name: &str,
        format: Option<&str>,
        text: &SpannedText,
        inside: Option<&SpannedText>,
    ) -> Option<Vec<RowFile>> {
        let pattern = inside.map(|text| text.value.as_str()).unwrap_or("**");
        let fail = |checker: &mut Self, words: String| {
            let fault = checker.error("M0305", words).at(text.span.clone(), "");
            checker.push(fault);
        };
        let matcher = match globset::GlobBuilder::new(pattern).literal_separator(true).build() {
            Ok(glob) => glob.compile_matcher(),
            Err(error) => {
                fail(self, format!("pattern `{pattern}`: {}", error.kind()));
                return None;
            }
        };
        let members = match archive_members(path) {
            Ok(members) => members,
            Err(error) => {
                fail(self, format!("cannot read `{}`: {error}", path.display()));
                return None;
            }
        };
        let mut found = Vec::new();
        for member in members.iter().filter(|member| matcher.is_match(member)) {
            match RowFile::in_archive(path.to_owned(), name, member.clone(), format) {
                Ok(file) => found.push(file),
                // Archives hold other files too, unless the mapping asked for this one.
                Err(words) if inside.is_some() => {
                    fail(self, words);
                    return None;
                }
                Err(_) => {}
            }
        }
        if found.is_empty() {
            let shown: Vec<&str> = members.iter().take(5).map(String::as_str).collect();
            let words = format!("no file inside of `{name}` matches `{pattern}`");
            let fault = self.error("M0305", words).at(text.span.clone(), "");
            self.push(fault.help(format!("files there: {}", shown.join(", "))));
            return None;
        }
        Some(found)
    }

    /// One ASCII character, such as a delimiter.
    fn sign(&mut self, table: &TomlTable<'_>, key: &str) -> Option<u8> {
        let text = &table.text(key)?;
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
        // The folder of work has an empty path, which `absolute` does not take.
        let whole = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
        let absolute = normalize_path(&std::path::absolute(whole).ok()?);
        if self.project.holds(&absolute) {
            return Some(path);
        }
        let words = format!("path `{}` leaves the project directory", text.value);
        let fault = self.error("M0306", words).at(text.span.clone(), "");
        self.push(fault.help(format!("the project is {}", self.project.shown_root)));
        None
    }

    /// The file that a text names, if it is there.
    pub(in crate::mapping) fn existing_file(&mut self, text: &SpannedText) -> Option<PathBuf> {
        let path = self.inside(text)?;
        if path.is_file() {
            return Some(path);
        }
        if let Ok(facts) = std::fs::metadata(&path) {
            let kind = if facts.is_dir() { "a folder" } else { "no file but a pipe or a device" };
            let fault = self.error("M0305", format!("`{}` is {kind}", text.value));
            let help = match facts.is_dir() {
                true => format!("write `files = \"{}/*.json\"` for files in it", text.value),
                false => "write its contents into a file first".to_owned(),
            };
            self.push(fault.at(text.span.clone(), "").help(help));
            return None;
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

/// The files that stand in for those of a row set. Of several row sets each takes those whose names fit
/// its `files`.
fn given_files(
    named: &[PathBuf],
    table: &TomlTable<'_>,
    by_name: bool,
) -> Vec<(PathBuf, String, SpannedText)> {
    let text = table.text("file").or_else(|| table.texts("files").into_iter().next());
    let Some(text) = text else { return Vec::new() };
    let patterns: Vec<_> = table
        .texts("files")
        .iter()
        .filter(|_| by_name)
        .filter_map(|text| globset::Glob::new(text.value.rsplit('/').next()?).ok())
        .map(|glob| glob.compile_matcher())
        .collect();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let fits = |path: &&PathBuf| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(name(path)))
    };
    named.iter().filter(fits).map(|path| (path.clone(), name(path), text.clone())).collect()
}
