//! Loading: all files of one run, with all their faults.

use crate::lang::{Diagnostic, DiagnosticSeverity, SourceText};
use crate::mapping::model::Mapping;
use crate::mapping::rows::normalize_path;
use crate::mapping::source::{BuiltInSource, SourceFile, check_source, is_source};
use crate::mapping::validate::{MappingProject, check, root_of};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::DeTable;

/// Checked mappings, and the faults of the others.
#[derive(Debug, Default)]
pub struct LoadedFiles {
    /// Mappings that can run, in the order given.
    pub mappings: Vec<Mapping>,
    /// Sources that can run, in the order given.
    pub sources: Vec<SourceFile>,
    /// Faults of all files.
    pub faults: Vec<Diagnostic>,
    /// The number of files read.
    pub files: usize,
    /// The scopes that the files name, whatever else is wrong with them.
    pub scopes: Vec<String>,
}

/// Loads files, each `*.toml` of folders except `tombolo.toml`, and mappings by their scope:
/// a name that is no path is looked for as `mappings/NAME.toml`.
pub fn load(paths: &[PathBuf]) -> LoadedFiles {
    let mut loading = FileLoading::default();
    let mut seen = HashSet::new();
    for file in paths.iter().flat_map(|p| files(p)) {
        let absolute = absolute(&file);
        if !seen.insert(absolute.clone()) {
            continue;
        }
        if let Some(source) = read(&file, &mut loading.loaded.faults) {
            loading.take(&file, &absolute, &source);
        }
    }
    loading.finish()
}

/// Loads one file from its text, as if it lay at `path`.
pub fn load_text(path: &Path, text: &str) -> LoadedFiles {
    let source = SourceText::whole(path.display().to_string(), text);
    let mut loading = FileLoading::default();
    loading.take(path, &absolute(path), &source);
    loading.finish()
}

fn absolute(file: &Path) -> PathBuf {
    normalize_path(&std::path::absolute(file).unwrap_or_else(|_| file.to_owned()))
}

/// Files of one run as they are loaded.
#[derive(Default)]
struct FileLoading {
    loaded: LoadedFiles,
    projects: HashMap<PathBuf, MappingProject>,
    /// The place where each scope is named. A scope is taken by the first file that names it, even if
    /// that file has faults.
    owners: HashMap<String, String>,
}

impl FileLoading {
    /// Checks a file.
    fn take(&mut self, file: &Path, absolute: &Path, source: &Arc<SourceText>) {
        let loaded = &mut self.loaded;
        loaded.files += 1;
        let root = root_of(absolute.parent().unwrap_or(Path::new("/")));
        let faults = &mut loaded.faults;
        let project =
            self.projects.entry(root.clone()).or_insert_with(|| MappingProject::read(root, faults));
        // Faults of the project file lie before this mark: they do not stop the mapping.
        let before = loaded.faults.len();
        let parsed = DeTable::parse(&source.text);
        let checked = match parsed.is_ok_and(|document| is_source(document.get_ref())) {
            true => CheckedFile::Source(
                check_source(file, source, project, None, &mut loaded.faults).map(Box::new),
            ),
            false => {
                CheckedFile::Mapping(check(file, source, project, &mut loaded.faults).map(Box::new))
            }
        };
        if let Some((scope, span)) = declared_scope(source, project) {
            let (line, _) = source.place(span.start);
            match self.owners.entry(scope) {
                Entry::Occupied(first) => {
                    let (scope, place) = (first.key(), first.get());
                    let words = format!("scope `{scope}` is already owned by {place}");
                    // Nothing tells which of the two is meant, so neither runs.
                    loaded.mappings.retain(|mapping| mapping.scope != *scope);
                    loaded.sources.retain(|source| source.scope != *scope);
                    let fault = Diagnostic::error("M0301", source, words).at(span, "");
                    let help = "one file per scope: merge the files or rename one";
                    loaded.faults.push(fault.help(help));
                }
                Entry::Vacant(free) => {
                    free.insert(format!("{}:{line}", file.display()));
                }
            }
        }
        self.keep(checked, before);
    }

    /// Keeps a file that can run. Its faults are those behind `before`.
    fn keep(&mut self, checked: CheckedFile, before: usize) {
        let loaded = &mut self.loaded;
        let is_error = |fault: &Diagnostic| fault.severity == DiagnosticSeverity::Error;
        let sound = !loaded.faults[before..].iter().any(is_error);
        // Examples run only on a file without errors of its own.
        let failed = match &checked {
            CheckedFile::Mapping(Some(mapping)) if sound => mapping.check_examples(),
            CheckedFile::Source(Some(source)) if sound => source.check_examples(),
            _ => Vec::new(),
        };
        let sound = sound && failed.is_empty();
        loaded.faults.extend(failed);
        loaded.faults[before..].sort_by_key(Diagnostic::place);
        match checked {
            CheckedFile::Mapping(mapping) => {
                loaded.mappings.extend(mapping.filter(|_| sound).map(|mapping| *mapping));
            }
            CheckedFile::Source(source) => {
                loaded.sources.extend(source.filter(|_| sound).map(|source| *source));
            }
        }
    }

    fn finish(self) -> LoadedFiles {
        let mut loaded = self.loaded;
        loaded.scopes = self.owners.into_keys().collect();
        loaded.scopes.sort();
        loaded
    }
}

/// A file of either kind; `None` if a fault stopped its check.
enum CheckedFile {
    Mapping(Option<Box<Mapping>>),
    Source(Option<Box<SourceFile>>),
}

/// Loads a source that ships with the program: it reads these files into this scope.
///
/// # Errors
///
/// The faults of the files.
pub fn load_built_in(
    built_in: &BuiltInSource,
    files: &[PathBuf],
    scope: Option<&str>,
) -> Result<SourceFile, Vec<Diagnostic>> {
    let shown = format!("{}.toml", built_in.name);
    let source = SourceText::whole(shown.as_str(), built_in.text);
    let mut faults = Vec::new();
    // Aliases and filler are those of the project around the working folder.
    let folder = std::env::current_dir().unwrap_or_default();
    let project = MappingProject::read(root_of(&folder), &mut faults);
    let checked = check_source(shown.as_ref(), &source, &project, Some(files), &mut faults);
    let is_error = |fault: &Diagnostic| fault.severity == DiagnosticSeverity::Error;
    match checked {
        Some(mut checked) if !faults.iter().any(is_error) => {
            if let Some(scope) = scope {
                scope.clone_into(&mut checked.scope);
            }
            Ok(checked)
        }
        _ => Err(faults),
    }
}

fn read(file: &Path, faults: &mut Vec<Diagnostic>) -> Option<Arc<SourceText>> {
    let shown = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => Some(SourceText::whole(shown, text)),
        Err(error) => {
            let words = match error.kind() {
                std::io::ErrorKind::NotFound => format!("file `{shown}` does not exist"),
                _ => format!("cannot read `{shown}`: {error}"),
            };
            faults.push(Diagnostic::error("M0305", &SourceText::whole(shown, ""), words));
            None
        }
    }
}

/// The scope that a file names, whatever else is wrong with it.
fn declared_scope(source: &SourceText, project: &MappingProject) -> Option<(String, Range<usize>)> {
    let document = DeTable::parse(&source.text).ok()?;
    let scope = document.get_ref().get("scope")?;
    let text = scope.get_ref().as_str()?;
    let meant = text.strip_prefix('@').and_then(|alias| project.aliases.get(alias));
    Some((meant.map_or_else(|| text.to_owned(), String::clone), scope.span()))
}

fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        let by_scope = Path::new("mappings").join(format!("{}.toml", path.display()));
        let is_name = path.extension().is_none_or(|e| e != "toml") && !path.exists();
        return vec![if is_name && by_scope.is_file() { by_scope } else { path.to_owned() }];
    };
    let all = entries.filter_map(|e| Some(e.ok()?.path()));
    let mut files: Vec<PathBuf> = all
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .filter(|p| p.file_name().is_some_and(|n| n != "tombolo.toml"))
        .collect();
    // A folder has no fixed order, and the first file owns a scope.
    files.sort();
    files
}
