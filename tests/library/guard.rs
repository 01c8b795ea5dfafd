//! The delete guard, where what it has to ask about is not what the job itself deletes.

use crate::common::{fleeting, input, request, sync};
use tombolo::db::SyncRequest;
use tombolo::sync::SyncMode;
use tombolo::{Database, JobReport, JobStatus};

fn people(keys: impl Iterator<Item = u32>) -> String {
    keys.map(|i| format!("{{\"_key\":\"p{i}\",\"_type\":\"t\",\"_class\":\"User\"}}\n")).collect()
}

/// Thirty people, and as many relationships of another scope, of which 25 begin at the first one.
fn world(database: &Database) {
    sync(database, "people", SyncMode::Diff, &people(0..30)).expect("a good upload");
    let links: String = (1..30)
        .chain([1])
        .zip(0..)
        .map(|(to, at)| {
            let from = if at < 25 { 0 } else { 28 };
            format!(
                "{{\"_key\":\"r{at}\",\"_type\":\"t\",\"_class\":\"KNOWS\",\
                 \"_fromEntityKey\":\"p{from}\",\"_fromEntityScope\":\"people\",\
                 \"_toEntityKey\":\"p{to}\",\"_toEntityScope\":\"people\"}}\n"
            )
        })
        .collect();
    let made = sync(database, "links", SyncMode::CrossScope, &links).expect("a good upload");
    assert_eq!(made.relationships.created, 30);
}

fn diff(database: &Database, text: &str, allow_deletes: Option<u64>) -> JobReport {
    let request = SyncRequest { allow_deletes, ..request("people", SyncMode::Diff) };
    let done = database.sync(&request, &mut [input(text)], &|_| {});
    done.expect("a good upload").remove(0)
}

#[test]
fn relationships_of_another_scope_that_go_along_pass_the_guard_of_that_scope() {
    let folder = fleeting();
    let database = Database::create(&folder.path().join("graph.redb")).expect("a new file");
    world(&database);
    // One deletion is nothing to the guard of the scope itself.
    for allowed in [None, Some(1), Some(25)] {
        let held = diff(&database, &people(1..30), allowed);
        assert_eq!(held.status, JobStatus::Held, "{allowed:?}");
        let hold = held.held.clone().expect("it is held");
        let reason = "the deleted entities take along 25 of 30 relationships of scope `links` (83 \
                      %); the limit there is 20, the larger of 20 and 25 %";
        assert_eq!(hold.reasons, [reason]);
        assert!(hold.override_hint.contains("--allow-deletes 26"), "{}", hold.override_hint);
        assert_eq!(held.foreign_deletions.get("links"), Some(&25));
        // Who may not read does not learn which scope that is.
        let told = held.told_to(false, |scope| scope == "people");
        assert!(!format!("{told:?}").contains("links"), "{told:?}");
    }
    let done = diff(&database, &people(1..30), Some(26));
    assert_eq!((done.status, done.entities.deleted), (JobStatus::Finished, 1));
    // Few of them are no question: two of the five that are left.
    let few = diff(&database, &people((1..30).filter(|i| *i != 28)), None);
    assert_eq!((few.status, few.foreign_deletions.len()), (JobStatus::Finished, 1));
}
