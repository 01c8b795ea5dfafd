//! The rules of a project: finds its file, and merges its rules with the built-in ones.

use super::written::WrittenRules;
use std::path::{Path, PathBuf};

/// The file at the root of a project.
pub const PROJECT_FILE: &str = "tombolo.toml";

/// The project file in `folder` (absolute) or in the nearest folder above that has one.
pub fn project_file(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(PROJECT_FILE)).find(|file| file.is_file())
}

/// Lays the rules of a project over the built-in ones.
pub(super) fn merge_rules(mut written: WrittenRules, own: WrittenRules) -> WrittenRules {
    for (name, classes) in own.sets {
        match written.sets.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.extend(classes),
            None => written.sets.push((name, classes)),
        }
    }
    // Sets grow, but the list of owners is replaced, so that a project can take classes out.
    if !own.owners.is_empty() {
        written.owners = own.owners;
    }
    written.impact.extend(own.impact);
    written.ownership.extend(own.ownership);
    written.families.extend(own.families);
    written.silent.extend(own.silent);
    written
}
