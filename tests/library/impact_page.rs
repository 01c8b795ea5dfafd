//! The page in the documentation is made from the built-in rules.

use std::fs;
use std::path::Path;

#[test]
fn the_page_of_the_rules_is_what_the_table_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/impact-rules.md");
    let page = tombolo::rules::page();
    if std::env::var_os("TOMBOLO_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &page).expect("file written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let out_of_date = "docs/impact-rules.md is out of date: run this test with TOMBOLO_BLESS=1";
    assert!(committed == page, "{out_of_date}");
}
