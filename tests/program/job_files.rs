//! Damaged and foreign files beside a database, as a server and those at its terminal see them.

use crate::cli::said;
use crate::http::{Server, tombolo};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

fn things(prefix: &str, count: usize) -> Json {
    let thing = |i| json!({ "_key": format!("{prefix}{i}"), "_type": "t", "_class": "C" });
    json!({ "entities": (0..count).map(thing).collect::<Vec<_>>() })
}

/// A scope of 25 entities, and an open job of three uploads that would leave 24 of them.
fn server() -> (Server, String, PathBuf) {
    let server = Server::start();
    server.sync("okta", &things("k", 25));
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    for part in 0..3 {
        let all = things("k", 24)["entities"].as_array().unwrap().clone();
        let body = json!({ "entities": all[part * 8..part * 8 + 8] });
        server.post(&format!("{job}/entities"), &body).ok();
    }
    let id = job.rsplit('/').next().unwrap();
    let stage = server.folder.path().join("tombolo.redb.jobs").join(format!("{id}.stage"));
    (server, job, stage)
}

fn count(server: &Server) -> Json {
    server.ask("FIND t AS t RETURN count(t) AS n")[0]["n"].clone()
}

#[test]
fn a_damaged_or_missing_stage_stops_its_job_and_no_other() {
    for damage in ["a bit", "cut", "missing"] {
        let (server, job, stage) = server();
        let mut bytes = std::fs::read(&stage).unwrap();
        match damage {
            "a bit" => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 8;
                std::fs::write(&stage, &bytes).unwrap();
            }
            "cut" => std::fs::write(&stage, &bytes[..bytes.len() * 2 / 3 + 9]).unwrap(),
            _ => std::fs::remove_file(&stage).unwrap(),
        }
        let done = server.post(&format!("{job}/finalize"), &json!({}));
        assert_eq!((done.status, done.code()), (500, "JOB_DAMAGED"), "{damage}: {}", done.text);
        assert!(!done.text.contains("redb"), "paths are for the log: {}", done.text);
        assert_eq!(count(&server), 25, "{damage}");
        let folder = server.folder.path();
        let verified = said(tombolo(folder, &["verify"]));
        assert_eq!(verified.code, 6, "{verified:?}");
        assert!(verified.out.contains(".stage` is damaged"), "{verified:?}");
        server.sync("jamf", &things("j", 3));
        server.post(&format!("{job}/abort"), &json!({})).ok();
        server.sync("okta", &things("k", 24));
        assert_eq!(count(&server), 27, "{damage}");
        assert_eq!(said(tombolo(folder, &["verify"])).code, 0);
    }
}

#[test]
fn a_damaged_job_file_is_named_and_cleared() {
    let (server, job, stage) = server();
    let jobs = stage.parent().unwrap();
    std::fs::write(jobs.join("notes.json"), "{}").unwrap();
    std::fs::write(stage.with_extension("json"), "{}").unwrap();
    let done = server.post(&format!("{job}/finalize"), &json!({}));
    assert_eq!((done.status, done.code()), (500, "JOB_DAMAGED"), "{}", done.text);
    server.sync("jamf", &things("j", 3));
    let folder = server.folder.path();
    let run = |words: &[&str]| said(tombolo(folder, words));
    let id = job.rsplit('/').next().unwrap();
    for listing in [run(&["job", "list"]), run(&["verify"])] {
        assert!(listing.err.contains("notes.json") && listing.err.contains(id), "{listing:?}");
        assert!(listing.err.contains("tombolo job clear"), "{listing:?}");
    }
    run(&["job", "list", "-o", "json"]).ok().json();
    assert_eq!(run(&["verify"]).code, 6);
    run(&["job", "abort", id]).refused(6, &format!("{id}.json` is damaged"));
    let would = run(&["job", "clear", "--dry-run"]).ok();
    assert!(would.out.contains("would be deleted") && would.out.contains(id), "{would:?}");
    run(&["job", "clear", "nothing"]).refused(2, "can be cleared");
    assert!(jobs.join("notes.json").exists());
    let cleared = run(&["job", "clear"]).ok();
    assert!(cleared.out.contains("2 strays"), "{cleared:?}");
    run(&["verify"]).ok();
    assert_eq!(std::fs::read_dir(jobs).unwrap().count(), 0);
    assert_eq!(count(&server), 28);
    assert_eq!(server.post(&format!("{job}/finalize"), &json!({})).status, 404);
}

#[test]
fn delete_lists_and_mappings_count_and_an_abort_frees_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::in_folder(folder, &["--max-staged", "1"]);
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    let id = |i: usize| json!({ "_key": format!("k{i}") });
    let deletes = json!({ "deleteEntities": (0..20_000).map(id).collect::<Vec<_>>() });
    let mapping = |i: usize| {
        json!({ "_key": format!("m{i}"), "_type": "t", "_class": "HAS", "_mapping": {
            "sourceEntityKey": "k", "targetEntity": { "_key": "x".repeat(200), "_type": "u" } } })
    };
    let mapped = json!({ "relationships": (0..1_500).map(mapping).collect::<Vec<_>>() });
    for body in [deletes, mapped] {
        let full = (0..5).find_map(|_| {
            let reply = server.post(&format!("{job}/upload"), &body);
            (reply.status != 200).then_some(reply)
        });
        let full = full.expect("a mebibyte is soon full");
        assert_eq!((full.status, full.code()), (507, "TOO_MUCH_STAGED"), "{}", full.text);
    }
    server.post(&format!("{job}/abort"), &json!({})).ok();
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    server.post(&format!("{job}/entities"), &things("k", 5)).ok();
}
