//! The project around a mapping file: its root folder and the aliases in `tombolo.toml`.
//!
//! The root is the nearest folder above that holds `tombolo.toml`; without one it is the folder of
//! the mapping, or the folder above when that one is called `mappings`. Other tables of
//! `tombolo.toml` belong to other parts of the program and are not looked at.

use crate::lang::{Diagnostic, SourceText};
use crate::mapping::format::TomlTable;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A project, as far as mappings need it.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct MappingProject {
    /// Absolute, without `.` and `..`.
    pub root: PathBuf,
    /// Alias without its `@`, and the scope it stands for.
    pub aliases: BTreeMap<String, String>,
    /// True if there is a `tombolo.toml`.
    pub has_file: bool,
    /// The root, for people.
    pub shown_root: String,
    /// Texts that are filler in this organisation.
    pub junk: Vec<String>,
    /// The root with links followed; `None` if it cannot be read.
    real_root: Option<PathBuf>,
}

/// The root folder of the project that `folder` (absolute) lies in.
pub(in crate::mapping) fn root_of(folder: &Path) -> PathBuf {
    let file = crate::rules::project_file(folder);
    let holder = file.as_deref().and_then(Path::parent);
    let above = || match folder.file_name() {
        Some(name) if name == "mappings" => folder.parent(),
        _ => None,
    };
    holder.or_else(above).unwrap_or(folder).to_owned()
}

impl MappingProject {
    /// Reads the project file, if there is one.
    pub(in crate::mapping) fn read(root: PathBuf, faults: &mut Vec<Diagnostic>) -> MappingProject {
        let path = root.join("tombolo.toml");
        let mut project = MappingProject {
            has_file: path.is_file(),
            shown_root: match shown(&root) {
                here if here.is_empty() => "the working folder".to_owned(),
                other => format!("`{other}`"),
            },
            real_root: root.canonicalize().ok(),
            root,
            ..MappingProject::default()
        };
        if !project.has_file {
            return project;
        }
        let shown = shown(&path);
        match std::fs::read_to_string(&path) {
            Ok(text) => project.take(&SourceText::whole(shown, text), faults),
            Err(error) => faults.push(Diagnostic::error(
                "M0101",
                &SourceText::whole(shown, ""),
                format!("cannot read the project file: {error}"),
            )),
        }
        project
    }

    /// True if a path (absolute, tidy) lies inside the project, with links followed. A path that does
    /// not exist is judged by its name alone.
    pub(in crate::mapping) fn holds(&self, path: &Path) -> bool {
        let real = path.canonicalize().ok().zip(self.real_root.as_ref());
        // A link inside the project may lead out of it, so the real path must lie inside too.
        path.starts_with(&self.root) && real.is_none_or(|(path, root)| path.starts_with(root))
    }

    fn take(&mut self, source: &std::sync::Arc<SourceText>, faults: &mut Vec<Diagnostic>) {
        let table = match DeTable::parse(&source.text) {
            Ok(table) => table,
            Err(error) => return faults.push(crate::mapping::format::toml_fault(source, &error)),
        };
        let top = TomlTable { span: 0..0, table: table.get_ref(), source };
        for (table, key) in [("filler", "texts"), ("serial", "junk")] {
            let texts = top.table(table).map_or_else(Vec::new, |table| table.texts(key));
            self.junk.extend(texts.into_iter().map(|text| text.value));
        }
        let scopes = table.get_ref().iter().find(|(k, _)| k.get_ref() == "scopes");
        let Some((_, scopes)) = scopes else { return };
        let Some(scopes) = scopes.get_ref().as_table() else {
            return faults.push(crate::mapping::format::wrong_kind(source, "a table", scopes));
        };
        for (alias, scope) in scopes.iter() {
            match scope.get_ref() {
                DeValue::String(text) => {
                    self.aliases.insert(alias.get_ref().to_string(), text.to_string());
                }
                _ => faults.push(crate::mapping::format::wrong_kind(source, "a string", scope)),
            }
        }
    }
}

/// `path` relative to the working folder where it lies inside it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
