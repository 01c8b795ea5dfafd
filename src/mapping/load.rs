//! Loading: all files of one run, with all their faults.

use super::check::{Mapping, check};
use super::project::{Project, root_of, tidy};
use crate::lang::{Fault, Source};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Checked mappings and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Mappings that can run, in the order given.
    pub mappings: Vec<Mapping>,
    /// Faults of all files.
    pub faults: Vec<Fault>,
}

/// Loads files, and each `*.toml` of folders except `tombolo.toml`.
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    let mut projects: HashMap<PathBuf, Project> = HashMap::new();
    for file in paths.iter().flat_map(|p| files(p)) {
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                let source = Source::whole(file.display().to_string(), "");
                let words = match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        format!("file `{}` does not exist", file.display())
                    }
                    _ => format!("cannot read `{}`: {error}", file.display()),
                };
                loaded.faults.push(Fault::error("M0305", &source, words));
                continue;
            }
        };
        let source = Source::whole(file.display().to_string(), text);
        let absolute = tidy(&std::path::absolute(&file).unwrap_or_else(|_| file.clone()));
        let root = root_of(absolute.parent().unwrap_or(Path::new("/")));
        let faults = &mut loaded.faults;
        let project = projects.entry(root.clone()).or_insert_with(|| Project::read(root, faults));
        let before = loaded.faults.len();
        let mapping = check(&file, &source, project, &mut loaded.faults);
        let own = &mut loaded.faults[before..];
        own.sort_by_key(Fault::place);
        let broken = own.iter().any(|f| f.severity == super::Severity::Error);
        let Some(mapping) = mapping else { continue };
        if let Some(first) = loaded.mappings.iter().find(|m| m.scope == mapping.scope) {
            let line = first.source.place(first.scope_span.start).0;
            let words = format!(
                "scope `{}` is already owned by {}:{line}",
                mapping.scope,
                first.file.display()
            );
            let fault = Fault::error("M0301", &source, words).at(mapping.scope_span.clone(), "");
            loaded.faults.push(fault.help("one mapping per scope: merge the files or rename one"));
        } else if !broken {
            loaded.mappings.push(mapping);
        }
    }
    loaded
}

fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![path.to_owned()] };
    let all = entries.filter_map(|e| Some(e.ok()?.path()));
    let mut files: Vec<PathBuf> = all
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .filter(|p| p.file_name().is_some_and(|n| n != "tombolo.toml"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Outcome, RowCount};

    const MINIMAL: &str = r#"scope        = "okta-jamf-ownership"
rows         = { file = "data/inventory.csv" }
relationship = { class = "OWNS", type = "user_owns_device" }
from         = { scope = "okta-instance-id", key = "okta-user:{row.login}" }
to           = { scope = "jamf-instance-id", key = "jamf-device:{row.device}" }
"#;

    #[test]
    fn the_shortest_mapping_makes_its_edges() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let rows = "login,device\nalice,laptop-001\nalice,laptop-001\n,laptop-002\n";
        std::fs::write(folder.path().join("data/inventory.csv"), rows).unwrap();
        std::fs::write(folder.path().join("minimal.toml"), MINIMAL).unwrap();
        let loaded = load(&[folder.path().to_owned()]);
        let codes: Vec<&str> = loaded.faults.iter().map(|f| f.code).collect();
        assert_eq!(codes, ["W02"], "{:?}", loaded.faults);
        let mut drafts = loaded.mappings[0].draft_rows(|_, _| None);
        let rows: Vec<_> = drafts.by_ref().map(|r| r.unwrap()).collect();
        let Outcome::Draft(draft) = &rows[0].outcome else { panic!("no draft") };
        assert_eq!(draft.key, "okta-user:alice|owns|jamf-device:laptop-001");
        assert_eq!((draft.type_name.as_ref(), draft.place.line), ("user_owns_device", 2));
        assert_eq!(rows[1].outcome, Outcome::Duplicate(2));
        let count =
            RowCount { read: 3, linked: 1, duplicate: 1, undefined_key: 1, ..RowCount::default() };
        assert_eq!(drafts.row_count(), count);
    }
}
