//! Holds the committed files under `mappings/` to the program that makes them.
//!
//! The rows are committed so that the mappings run from a fresh checkout; the generator is the
//! source. After changing it, run this test once with `TOMBOLO_BLESS=1` to write them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tombolo::demo::{MAPPINGS, company};

fn mappings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings")
}

fn bless() -> bool {
    std::env::var_os("TOMBOLO_BLESS").is_some_and(|value| value == "1")
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .expect("the folder is readable")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn committed_rows_are_what_the_generator_makes() {
    for (path, text) in company().mapping_inputs {
        let path = mappings().join(path);
        if bless() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("folder made");
            fs::write(&path, &text).expect("file written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let name = path.display();
        assert!(committed == text, "{name} is out of date: run this test with TOMBOLO_BLESS=1");
    }
}

#[test]
fn no_other_rows_lie_beside_them() {
    let made = company().mapping_inputs;
    let made = made.iter().map(|(path, _)| path.trim_start_matches("data/").to_owned()).collect();
    assert_eq!(names_in(&mappings().join("data")), made);
}

#[test]
fn each_mapping_names_its_scope_as_its_file_and_reads_a_made_file() {
    let inputs = company().mapping_inputs;
    for (path, text) in MAPPINGS {
        let mapping: toml::Table = toml::from_str(text).expect("a TOML file");
        assert_eq!(format!("{}.toml", mapping["scope"].as_str().expect("a string")), path);
        let file = mapping["rows"]["file"].as_str().expect("a string");
        assert!(inputs.iter().any(|(input, _)| *input == file), "{path} reads {file}");
    }
}
