//! The page in the documentation and the schema for editors are made from the rules.

use std::fs;
use std::path::Path;

fn check(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("TOMBOLO_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, made).expect("file written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/{name} is out of date: run this test with TOMBOLO_BLESS=1");
}

#[test]
fn the_page_of_the_rules_is_what_the_table_makes() {
    check("impact-rules.md", &tombolo::rules::page());
}

#[test]
fn the_schema_of_the_project_file_is_what_is_read() {
    check("tombolo.schema.json", &tombolo::rules::schema());
}
