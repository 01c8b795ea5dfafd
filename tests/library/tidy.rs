//! Holds the floors: a module names only lower ones, and each outside package has one home.

use std::fs;
use std::path::{Path, PathBuf};

/// Each floor with what it may name. Order is from the ground up; `error` stands beside `db`.
const FLOORS: [(&str, &[&str]); 10] = [
    ("graph", &[]),
    ("store", &["graph"]),
    ("sync", &["graph", "store"]),
    ("lang", &["graph"]),
    ("query", &["graph", "lang"]),
    ("mapping", &["graph", "lang", "query"]),
    ("view", &["graph"]),
    ("demo", &["graph"]),
    ("error", &["graph", "store", "sync"]),
    ("db", &["graph", "store", "lang", "sync", "mapping", "query", "view", "error"]),
];

/// Outside packages and the only folder under `src` that may name them.
const HOMES: [(&str, &str); 3] = [("redb", "store"), ("petgraph", "view"), ("clap", "cli")];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every source file as (module of the first floor, path, code lines without comments).
fn modules() -> Vec<(String, PathBuf, Vec<String>)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&src).expect("below src");
            let first = inside.components().next().expect("a file has a name");
            let module = Path::new(first.as_os_str()).with_extension("");
            let text = fs::read_to_string(&path).expect("source is text");
            let code = text.lines().map(str::trim).filter(|l| !l.starts_with("//"));
            (module.display().to_string(), path.clone(), code.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn a_module_names_only_lower_floors() {
    let mut seen = 0;
    for (module, path, code) in modules() {
        let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == module) else { continue };
        seen += 1;
        for (other, _) in FLOORS {
            if other == module || allowed.contains(&other) {
                continue;
            }
            let name = format!("crate::{other}::");
            let whole = format!("crate::{other};");
            let faults: Vec<_> =
                code.iter().filter(|l| l.contains(&name) || l.contains(&whole)).collect();
            assert!(faults.is_empty(), "{} names a higher floor: {faults:?}", path.display());
        }
    }
    assert!(seen > 20, "the floors were looked for in the wrong place");
}

#[test]
fn each_outside_package_has_one_home() {
    for (module, path, code) in modules() {
        for (package, home) in HOMES {
            let name = format!("{package}::");
            let used = code.iter().any(|line| line.contains(&name));
            assert!(!used || module == home, "{} names {package}", path.display());
        }
    }
}
