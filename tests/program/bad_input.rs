//! Bad input, through the command line: a clear error with its place, exit code 2, no change.

use crate::cli::{World, entities, entity};

/// Uploads `text` over a small scope; it must be refused with `words` and change nothing.
fn check(text: impl AsRef<[u8]>, words: &[&str]) {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 3)).ok();
    let before = (world.dump(), std::fs::read(world.path("tombolo.redb")).unwrap());
    world.write("bad.ndjson", text);
    let said = world.run(&["sync", "--scope", "okta", "bad.ndjson"]);
    for words in words {
        assert!(said.err.contains(words), "`{words}` is not in {said:?}");
    }
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!((world.dump(), std::fs::read(world.path("tombolo.redb")).unwrap()), before);
}

fn with(member: &str) -> String {
    format!("{}{{\"_key\":\"k\",\"_type\":\"t\",\"_class\":\"C\",{member}}}\n", entity("a"))
}

#[test]
fn truncated() {
    check("{\"_key\":\"a\",\"_type\":\"t\"", &["bad.ndjson:1", "EOF"]);
}

#[test]
fn invalid_utf8() {
    check(b"{\"_key\":\"a\xff\"}", &["bad.ndjson:1:11", "not UTF-8"]);
}

#[test]
fn a_name_twice_in_one_object() {
    check(with("\"a\":1,\"a\":2"), &["bad.ndjson:2", "`.a`", "`k`", "stands twice in the object"]);
}

#[test]
fn a_key_twice_in_one_upload() {
    check(
        format!("{}{}", entity("a"), entity("a")),
        &["bad.ndjson:2", "bad.ndjson:1", "`a`", "--ignore-duplicates"],
    );
}

#[test]
fn nested_properties() {
    check(with("\"tags\":{\"a\":1}"), &["bad.ndjson:2", "`.tags`", "properties are flat"]);
}

#[test]
fn mixed_lists() {
    check(with("\"l\":[1,\"x\"]"), &["`.l[1]`", "a string among numbers"]);
}

#[test]
fn two_to_the_sixty_fourth() {
    check(with("\"n\":18446744073709551616"), &["`.n`", "18446744073709551616", "exactly"]);
}

#[test]
fn wrong_types() {
    check(with("\"_scope\":7"), &["`._scope`", "expected a string, found a number"]);
}

#[test]
fn missing_fields() {
    check("{\"_key\":\"a\",\"_class\":\"C\"}", &["bad.ndjson:1", "`a`", "entity has no `_type`"]);
}

#[test]
fn own_names_with_an_underscore() {
    check(with("\"_mine\":1"), &["`_mine`", "reserved"]);
}

#[test]
fn another_scope_in_a_row() {
    check(with("\"_scope\":\"jamf\""), &["`_scope` is `jamf`", "`okta`"]);
}

#[test]
fn all_faults_are_listed_at_once() {
    check(format!("{}{}", with("\"x\":{}"), with("\"y\":[[1]]")), &["`.x`", "`.y[0]`"]);
}

#[test]
fn a_folder_without_data_and_a_missing_file() {
    let world = World::new();
    std::fs::create_dir(world.path("empty")).unwrap();
    assert_eq!(world.run(&["sync", "--scope", "s", "empty"]).code, 2);
    assert_eq!(world.run(&["sync", "--scope", "s", "nowhere.ndjson"]).code, 2);
}

#[test]
fn a_refused_first_upload_and_a_dry_run_leave_no_database_behind() {
    let world = World::new();
    assert_eq!(world.sync("okta", "diff", "{").code, 2);
    assert!(!world.path("tombolo.redb").exists());
    world.write("a.ndjson", entity("a"));
    world.run(&["sync", "--scope", "s", "--dry-run", "a.ndjson"]).ok();
    assert!(!world.path("tombolo.redb").exists());
}

#[test]
fn an_empty_file_into_a_scope_with_data_is_held() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 3)).ok();
    let before = world.dump();
    let said = world.sync("okta", "diff", "");
    assert_eq!(said.code, 4, "{said:?}");
    assert_eq!(world.dump(), before);
}

#[test]
fn a_retired_mode_is_refused_with_advice() {
    let world = World::new();
    world.write("a.ndjson", entity("a"));
    world
        .run(&["sync", "--scope", "s", "--mode", "CREATE_OR_UPDATE", "a.ndjson"])
        .refused(2, "CREATE_OR_UPDATE is retired");
}

#[test]
fn files_that_are_no_database() {
    let world = World::new();
    world.write("a.ndjson", entity("a"));
    for (name, bytes) in [("empty.redb", &b""[..]), ("text.redb", b"hello, this is a text file\n")]
    {
        let path = world.write(name, bytes);
        let said = world.run(&["--db", name, "sync", "--scope", "s", "a.ndjson"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("not a Tombolo database"), "{said:?}");
        assert_eq!(std::fs::read(path).unwrap(), bytes, "the file is left alone");
    }
    std::fs::create_dir(world.path("folder.redb")).unwrap();
    assert_eq!(world.run(&["--db", "folder.redb", "stats"]).code, 2);
}

#[test]
fn a_question_to_a_missing_database_says_how_to_make_one() {
    let world = World::new();
    world.run(&["stats"]).refused(2, "tombolo init");
    assert!(!world.path("tombolo.redb").exists());
}
