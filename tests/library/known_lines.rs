//! Uploads whose lines the scope knows: passed over, and yet as if each had been read.

use crate::common::{dump, request, sync, sync_again, sync_again_with};
use std::fmt::Write;
use tombolo::Database;
use tombolo::db::SyncRequest;
use tombolo::sync::{JobStatus, SyncMode};

fn database() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::create(&folder.path().join("t.redb")).unwrap();
    (folder, db)
}

fn user(n: usize, v: usize) -> String {
    format!("{{\"_key\":\"u{n}\",\"_type\":\"user\",\"_class\":\"User\",\"v\":{v}}}\n")
}

fn friend(from: usize, to: usize) -> String {
    format!(
        "{{\"_key\":\"{from}-{to}\",\"_type\":\"friend\",\"_class\":\"HAS\",\
         \"_fromEntityKey\":\"u{from}\",\"_toEntityKey\":\"u{to}\"}}\n"
    )
}

fn company() -> String {
    let mut text = String::new();
    for n in 0..50 {
        text += &user(n, n);
    }
    for n in 0..49 {
        text += &friend(n, n + 1);
    }
    text
}

#[test]
fn the_same_upload_writes_nothing_and_says_what_it_saw() {
    let (folder, db) = database();
    sync(&db, "okta", SyncMode::Diff, &company()).unwrap();
    let before = std::fs::read(folder.path().join("t.redb")).unwrap();
    let report = sync_again(&db, "okta", SyncMode::Diff, &company()).unwrap();
    let counts = (report.entities, report.relationships);
    assert_eq!((counts.0.uploaded, counts.0.unchanged), (50, 50));
    assert_eq!((counts.1.uploaded, counts.1.unchanged), (49, 49));
    assert_eq!(report.types["user"].unchanged, 50);
    assert_eq!(report.types["friend"].uploaded, 49);
    assert!(std::fs::read(folder.path().join("t.redb")).unwrap() == before);
}

#[test]
fn the_same_objects_in_another_spelling_are_unchanged() {
    let (_folder, db) = database();
    sync(&db, "okta", SyncMode::Diff, &company()).unwrap();
    let spaced = company().replace(',', " , ");
    for report in [
        sync_again(&db, "okta", SyncMode::Diff, &spaced).unwrap(),
        sync(&db, "okta", SyncMode::Diff, &spaced).unwrap(),
    ] {
        assert_eq!((report.entities.unchanged, report.relationships.unchanged), (50, 49));
    }
}

#[test]
fn a_known_line_that_stands_twice_is_still_refused_with_both_places() {
    let (_folder, db) = database();
    sync(&db, "okta", SyncMode::Diff, &company()).unwrap();
    let twice = company() + &user(7, 7);
    let said = sync_again(&db, "okta", SyncMode::Diff, &twice).unwrap_err().to_string();
    assert!(said.contains("upload:100") && said.contains("first at upload:8"), "{said}");
    // Known in one spelling and new in another is twice as well.
    let twice = company() + &user(7, 8);
    let said = sync_again(&db, "okta", SyncMode::Diff, &twice).unwrap_err().to_string();
    assert!(said.contains("stands twice"), "{said}");
}

#[test]
fn what_is_held_is_kept_whole_although_its_lines_were_known() {
    let (_folder, db) = database();
    sync(&db, "okta", SyncMode::Diff, &company()).unwrap();
    let few: String = (0..10).map(|n| user(n, n)).collect();
    let careful = SyncRequest { allow_deletes: None, ..request("okta", SyncMode::Diff) };
    let report = sync_again_with(&db, &careful, &few).unwrap();
    assert_eq!(report.status, JobStatus::Held);
    db.approve(&report.id.to_string()).unwrap();
    assert_eq!(dump(&db.snapshot().unwrap()).unwrap().len(), 10);
}

#[test]
fn a_known_relationship_whose_end_goes_is_looked_at_again() {
    let (_folder, db) = database();
    sync(&db, "okta", SyncMode::Diff, &company()).unwrap();
    let mut without = String::new();
    for line in company().lines().filter(|line| !line.contains("\"_key\":\"u20\"")) {
        writeln!(without, "{line}").unwrap();
    }
    let report = sync_again(&db, "okta", SyncMode::Diff, &without).unwrap();
    assert_eq!((report.entities.deleted, report.relationships.deleted), (1, 2));
    assert_eq!(report.relationships.skipped, 2);
}

#[test]
fn what_a_diff_wrote_is_read_again_when_a_cross_scope_job_says_it() {
    let (_folder, db) = database();
    sync(&db, "okta", SyncMode::Diff, &company()).unwrap();
    let said =
        sync_again(&db, "okta", SyncMode::CrossScope, &friend(0, 1)).unwrap_err().to_string();
    assert!(said.contains("CROSS_SCOPE relationships need"), "{said}");
}
