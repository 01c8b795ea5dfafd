//! Jobs through the command line: the guard, held plans, undo, modes, retries, kill -9.

use crate::cli::{World, entities, entity};
use std::time::Duration;
use tombolo::store::DatabaseFile;

#[test]
fn a_mass_deletion_is_held_and_approve_applies_exactly_it() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 100)).ok();
    let before = world.dump();
    let said = world.sync("okta", "diff", &entities("u", 40));
    assert_eq!(said.code, 4, "{said:?}");
    let report = said.json();
    assert_eq!(report["status"], "HELD");
    assert!(report["held"]["reasons"][0].as_str().unwrap().contains("60 of 100 entities"));
    assert_eq!(world.dump(), before, "nothing has changed");
    let id = report["id"].as_str().unwrap();
    world.run(&["job", "approve", id]).ok();
    assert_eq!(world.dump().lines().count(), 40);
    assert!(world.run(&["job", "approve", id]).code == 2, "only once");
    world.run(&["verify"]).ok();
}

#[test]
fn a_held_plan_that_is_stale_is_not_applied() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 100)).ok();
    let held = world.sync("okta", "diff", &entities("u", 40)).json();
    world.sync("okta", "diff", &entities("u", 101)).ok();
    let before = world.dump();
    let id = held["id"].as_str().unwrap();
    world.run(&["job", "approve", id]).refused(2, "the graph moved on");
    assert_eq!(world.dump(), before);
    world.run(&["job", "abort", id]).ok();
    assert_eq!(world.run(&["job", "show", id, "-o", "json"]).ok().json()["status"], "ABORTED");
}

#[test]
fn allow_deletes_lets_that_many_pass() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 100)).ok();
    world.write("few.ndjson", entities("u", 40));
    let run = |n: &str| world.run(&["sync", "--scope", "okta", "--allow-deletes", n, "few.ndjson"]);
    assert_eq!(run("59").code, 4);
    assert_eq!(run("60").code, 0);
}

#[test]
fn advice_on_a_held_job_repeats_every_flag() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 100)).ok();
    world.write("few.ndjson", entities("u", 40));
    let flags = ["--source", "okta api", "--ignore-duplicates", "--partial-types", "group,app"];
    let held = world.run(&[&["sync", "--scope", "okta"], &flags[..], &["few.ndjson"]].concat());
    assert_eq!(held.code, 4);
    let told = format!("{}{}", held.out, held.err);
    let command = "--source 'okta api' --ignore-duplicates --partial-types group,app";
    assert!(told.contains(command), "{told}");
}

#[test]
fn undo_restores_exactly_what_one_job_deleted() {
    let world = World::new();
    let edge =
        r#"{"_key":"e","_type":"t","_class":"HAS","_fromEntityKey":"u0","_toEntityKey":"u9"}"#;
    world.sync("okta", "diff", &format!("{}{edge}", entities("u", 10))).ok();
    let keys = |dump: String| -> Vec<String> {
        let key =
            |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap()["_key"].to_string();
        dump.lines().map(key).collect()
    };
    let before = keys(world.dump());
    let report = world.sync("okta", "diff", &entities("u", 9)).ok().json();
    assert_eq!(report["entities"]["deleted"], 1);
    assert_eq!(report["relationships"]["deleted"], 1);
    world.run(&["job", "undo", report["id"].as_str().unwrap()]).ok();
    assert_eq!(keys(world.dump()), before);
    world.run(&["verify"]).ok();
}

#[test]
fn few_changed_edges_lie_beside_the_others_until_compact() {
    let world = World::new();
    // A chain, of which the first edges skip some entities.
    let rows = |changed: usize| {
        let edge = |i| {
            let to = if i < changed { i + 50 } else { i + 1 };
            format!(
                "{{\"_key\":\"e{i}\",\"_type\":\"t\",\"_class\":\"HAS\",\
                 \"_fromEntityKey\":\"u{i}\",\"_toEntityKey\":\"u{to}\"}}\n"
            )
        };
        entities("u", 400) + &(0..320).map(edge).collect::<String>()
    };
    let edges = || {
        let store = DatabaseFile::open_reader(&world.path("tombolo.redb")).unwrap();
        let [with, against] = store.snapshot().unwrap().meta().edges;
        assert_eq!(with, against);
        (with.base, with.delta)
    };
    let reached = || {
        let said = world.run(&["blast-radius", "u2", "--depth", "400", "-o", "json"]).ok();
        said.out.matches("\"u").count()
    };
    let mut seen = Vec::new();
    for changed in [0, 4, 1, 4] {
        world.sync("okta", "diff", &rows(changed)).ok();
        world.run(&["verify"]).ok();
        seen.push((edges(), reached()));
    }
    assert_eq!(
        seen.iter().map(|(edges, _)| *edges).collect::<Vec<_>>(),
        [
            (320, 0),
            (320, 8),
            // Eight and six would be more than a 32nd.
            (320, 0),
            (320, 6),
        ]
    );
    assert_ne!(seen[0].1, seen[1].1);
    assert_eq!(seen[1].1, seen[3].1);
    world.run(&["compact"]).ok();
    assert_eq!((edges(), reached()), ((320, 0), seen[3].1));
    world.run(&["verify"]).ok();
}

#[test]
fn an_unchanged_upload_leaves_the_file_alone() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 50)).ok();
    let before = std::fs::read(world.path("tombolo.redb")).unwrap();
    let report = world.sync("okta", "diff", &entities("u", 50)).ok().json();
    assert_eq!(report["entities"]["unchanged"], 50);
    assert!(std::fs::read(world.path("tombolo.redb")).unwrap() == before);
    let id = report["id"].as_str().unwrap();
    assert_eq!(world.run(&["job", "show", id, "-o", "json"]).ok().json()["status"], "FINISHED");
}

#[test]
fn patch_merges_and_never_deletes() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 3)).ok();
    let report = world.sync("okta", "patch", r#"{"_key":"u1","name":"One"}"#).ok().json();
    assert_eq!(
        (&report["entities"]["updated"], &report["entities"]["deleted"]),
        (&1.into(), &0.into())
    );
    let dump = world.dump();
    assert!(dump.lines().count() == 3 && dump.contains(r#""n":1,"name":"One""#), "{dump}");
    let edge =
        r#"{"_key":"e","_type":"t","_class":"HAS","_fromEntityKey":"u0","_toEntityKey":"u1"}"#;
    world.sync("okta", "patch", edge).refused(2, "Relationships cannot be uploaded in PATCH mode");
}

#[test]
fn an_override_outlives_the_owners_next_diff_until_it_is_taken_away() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 2)).ok();
    world.sync("okta", "override", r#"{"_key":"u1","n":7}"#).ok();
    assert!(world.dump().contains(r#""n":7"#));
    let again = world.sync("okta", "diff", &entities("u", 2)).ok().json();
    assert_eq!(again["entities"]["unchanged"], 2);
    assert!(world.dump().contains(r#""n":7"#));
    world.sync("okta", "override", r#"{"_key":"u1"}"#).ok();
    world.sync("okta", "diff", &entities("u", 2)).ok();
    assert!(!world.dump().contains(r#""n":7"#));
    world.sync("okta", "override", r#"{"_key":"nobody","n":7}"#).refused(2, "no live entity");
}

#[test]
fn partial_types_are_not_deleted() {
    let world = World::new();
    world.sync("okta", "diff", &entities("u", 30)).ok();
    world.write("one.ndjson", entity("u1"));
    let run = ["sync", "--scope", "okta", "--partial-types", "thing", "-o", "json", "one.ndjson"];
    let report = world.run(&run).ok().json();
    assert_eq!(report["entities"]["deleted"], 0);
    assert_eq!(world.dump().lines().count(), 30);
}

#[test]
fn raw_data_is_kept_in_both_shapes() {
    let world = World::new();
    let list = r#"[{"name":"default","rawData":{"a":{"b":[1,{}]}}}]"#;
    let map = r#"{"default":{"body":"{}","contentType":"application/json"}}"#;
    for (key, raw) in [("a", list), ("b", map)] {
        let row = format!(r#"{{"_key":"{key}","_type":"t","_class":"C","_rawData":{raw}}}"#);
        world.sync("okta", "patch", &row).ok();
    }
    let dump = world.dump();
    assert!(dump.contains(list) && dump.contains(map), "{dump}");
}

/// Ends the program at random moments of upload and finalize. What it acknowledged must be there
/// and nothing may be half there. `TOMBOLO_KILLS` sets how often.
#[test]
fn kill_at_any_moment_loses_nothing_acknowledged() {
    let kills: u64 =
        std::env::var("TOMBOLO_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let world = World::new();
    let edge = |i: usize, v: u64| {
        format!(
            "{{\"_key\":\"e{i}\",\"_type\":\"t\",\"_class\":\"HAS\",\"_fromEntityKey\":\"u{i}\",\"_toEntityKey\":\"u{}\",\"v\":{v}}}\n",
            i + 1
        )
    };
    let generation = |v: u64| -> String {
        let e = |i| format!("{{\"_key\":\"u{i}\",\"_type\":\"t\",\"_class\":\"C\",\"v\":{v}}}\n");
        let entities: String = (0..4_000).map(e).collect();
        entities + &(0..3_999).map(|i| edge(i, v)).collect::<String>()
    };
    world.sync("s", "diff", &generation(0)).ok();
    let began = std::time::Instant::now();
    world.write("upload.ndjson", generation(1));
    world.run(&["sync", "--scope", "s", "upload.ndjson"]).ok();
    let whole = began.elapsed();
    // Asked while the file is as the killed writer left it.
    let question = || world.run(&["blast-radius", "u7", "--depth", "4", "-o", "json"]).ok().out;
    let answer = question();
    let mut acknowledged = 1;
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    for version in 2..2 + kills {
        world.write("upload.ndjson", generation(version));
        let mut child = world
            .command(&["sync", "--scope", "s", "upload.ndjson"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        std::thread::sleep(Duration::from_nanos(seed % (whole.as_nanos() as u64 * 5 / 4)));
        let _ = child.kill();
        let ended = child.wait().unwrap();
        let left = std::fs::read(world.path("tombolo.redb")).unwrap();
        assert_eq!(question(), answer);
        let dump = world.dump();
        assert!(std::fs::read(world.path("tombolo.redb")).unwrap() == left, "reading writes");
        let first: serde_json::Value = serde_json::from_str(dump.lines().next().unwrap()).unwrap();
        let found = first["v"].as_u64().unwrap();
        assert!(found == version || found == acknowledged, "{found} after {version}");
        assert!(!ended.success() || found == version, "acknowledged and lost: {version}");
        let same = dump.lines().filter(|l| l.contains(&format!("\"v\":{found}"))).count();
        assert_eq!((same, dump.lines().count()), (7_999, 7_999), "mixed generations");
        acknowledged = found;
    }
    world.run(&["verify"]).ok();
}
