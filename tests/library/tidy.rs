//! Holds the floors: a module names only lower ones, and each outside package has one home.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each floor with what it may name. Order is from the ground up; `error` stands beside `db`. The faces
/// `api` and `cli` stand side by side in the program, on all floors of the library; `main` joins them. Both open a
/// door to `mcp`, and both hand out a `picture_file`.
const FLOORS: [(&str, &[&str]); 19] = [
    ("graph", &[]),
    ("limits", &[]),
    ("store", &["graph"]),
    ("sync", &["graph", "store"]),
    ("lang", &["graph"]),
    ("rules", &["graph", "lang"]),
    ("query", &["graph", "lang", "limits", "rules"]),
    ("mapping", &["graph", "lang", "limits", "query", "rules"]),
    ("view", &["graph", "limits", "rules"]),
    ("demo", &["graph"]),
    ("error", &["graph", "limits", "store", "lang", "sync"]),
    (
        "db",
        &["graph", "limits", "store", "lang", "sync", "rules", "mapping", "query", "view", "error"],
    ),
    (
        "answers",
        &[
            "graph", "limits", "store", "lang", "sync", "rules", "mapping", "query", "view",
            "error", "db",
        ],
    ),
    ("picture", &["graph", "rules", "answers"]),
    (
        "embed",
        &[
            "graph", "limits", "store", "lang", "sync", "rules", "mapping", "query", "view",
            "error", "db",
        ],
    ),
    ("mcp", &[]),
    ("picture_file", &[]),
    ("api", &["mcp", "picture_file"]),
    ("cli", &["mcp", "picture_file"]),
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
            let faults: Vec<_> = code.iter().filter(|line| names(line, other)).collect();
            assert!(faults.is_empty(), "{} names a higher floor: {faults:?}", path.display());
        }
    }
    assert!(seen > 20, "the floors were looked for in the wrong place");
}

/// True if a line of code names a module of its own crate.
fn names(line: &str, module: &str) -> bool {
    line.match_indices("crate::").any(|(at, start)| {
        let rest = line[at + start.len()..].strip_prefix(module);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

#[test]
fn the_faces_are_seen() {
    let modules = modules();
    for face in ["answers", "api", "cli", "mcp"] {
        let files = modules.iter().filter(|(module, ..)| module == face).count();
        assert!(files > 10, "{files} files of `{face}` were found");
    }
    assert!(names("use crate::cli::CommandError;", "cli") && names("crate::cli;", "cli"));
    assert!(!names("use crate::client::Client;", "cli"));
}

/// The stages of a sync in their order.
const STAGES: [&str; 5] = ["read", "stage", "compare", "plan", "apply"];

#[test]
fn a_stage_of_sync_names_only_those_before_it() {
    let sync = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sync");
    let mut seen = 0;
    for (_, path, code) in modules().into_iter().filter(|(module, ..)| module == "sync") {
        let inside = path.strip_prefix(&sync).expect("below sync");
        let at = STAGES.iter().position(|stage| inside.starts_with(stage));
        let Some(at) = at else { continue };
        seen += 1;
        for later in &STAGES[at + 1..] {
            let names = ["crate::sync::", "super::super::"].map(|to| format!("{to}{later}::"));
            let faults: Vec<_> =
                code.iter().filter(|l| names.iter().any(|name| l.contains(name))).collect();
            assert!(faults.is_empty(), "{} names a later stage: {faults:?}", path.display());
        }
    }
    assert!(seen > 20, "the stages were looked for in the wrong place");
}

/// The rooms of `mapping`; each names only those before it.
const ROOMS: [&str; 11] = [
    "entity_selection",
    "expression",
    "format",
    "rows",
    "model",
    "resolve",
    "promise",
    "explain",
    "validate",
    "source",
    "load",
];

#[test]
fn a_room_of_mapping_names_only_those_before_it() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mapping");
    let mut seen = 0;
    for (_, path, code) in modules().into_iter().filter(|(module, ..)| module == "mapping") {
        let inside = path.strip_prefix(&home).expect("below src");
        let first = inside.components().next().expect("a file has a name");
        let room = Path::new(first.as_os_str()).with_extension("");
        let Some(at) = ROOMS.iter().position(|name| Path::new(name) == room) else { continue };
        seen += 1;
        for later in &ROOMS[at + 1..] {
            let name = format!("crate::mapping::{later}");
            let faults: Vec<_> = code.iter().filter(|line| line.contains(&name)).collect();
            assert!(faults.is_empty(), "{} names a later room: {faults:?}", path.display());
        }
    }
    assert!(seen > 25, "the rooms were looked for in the wrong place");
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

/// Every `file::test` that a line of a document names.
fn named_tests(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect()
}

#[test]
fn the_library_exports_few_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("src/lib.rs")).expect("source is text");
    let code = text.lines().filter(|line| !line.trim().starts_with("//"));
    let code: String = code.map(|line| format!("{line}\n")).collect();
    let exports = code.split("pub use ").skip(1).map(|rest| {
        let list = rest.split(';').next().unwrap_or_default();
        let names = list.split_once('{').map_or(list, |(_, names)| names);
        names.split([',', '}']).filter(|name| !name.trim().is_empty()).count()
    });
    let names: usize = exports.sum();
    assert!((30..=60).contains(&names), "{names} names are exported");
    let modules: Vec<&str> = code.split("pub mod ").collect();
    for before in &modules[..modules.len() - 1] {
        assert!(before.trim_end().ends_with("#[doc(hidden)]"), "a module is on the front page");
    }
}

#[test]
fn the_library_alone_compiles_few_packages() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--no-dedupe"])
        .args(["--edges", "normal,build", "--no-default-features"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs the test");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8_lossy(&tree.stdout);
    let packages: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with('[')).collect();
    assert!((50..=100).contains(&packages.len()), "{} packages: {packages:?}", packages.len());
    for absent in ["clap ", "axum ", "tokio ", "async-graphql ", "rustls "] {
        assert!(!packages.iter().any(|package| package.starts_with(absent)), "{absent}is there");
    }
}

#[test]
fn each_promise_about_security_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/security.md")).expect("it is there");
    let mut files = Vec::new();
    sources(&root.join("tests"), &mut files);
    sources(&root.join("src"), &mut files);
    let exists = |name: &str| {
        let (module, test) = name.split_once("::").expect("a module and a test");
        let of_module = files.iter().filter(|path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            stem == Some(module) || path.ends_with(format!("{module}/mod.rs"))
        });
        of_module.into_iter().any(|path| {
            fs::read_to_string(path).expect("source is text").contains(&format!("fn {test}("))
        })
    };
    let (mut promises, mut section) = (0, "");
    let mut paragraphs = document.split("\n").peekable();
    while let Some(line) = paragraphs.next() {
        if line.starts_with('#') {
            section = line;
        }
        // A point goes on until the next one; rows and their heads are lines.
        let mut whole = line.to_owned();
        if line.starts_with("- ") {
            while paragraphs.peek().is_some_and(|next| next.starts_with("  ")) {
                whole += paragraphs.next().expect("it was seen");
            }
        }
        for name in named_tests(&whole).into_iter().filter(|name| *name != "file::name") {
            assert!(exists(name), "docs/security.md names `{name}`, which is no test");
        }
        let rows = section != "## Rights" && line.starts_with("| ");
        let head = line.ends_with("| test |") || line.starts_with("| ---");
        if line.starts_with("- ") || rows && !head {
            promises += 1;
            assert!(!named_tests(&whole).is_empty(), "no test holds: {whole}");
        }
    }
    assert!(promises > 30, "{promises} promises were found");
}
