//! The past through the command line and the server: questions about states, differences, versions,
//! undo of everything, and how long it is remembered.

use crate::cli::{World, entity};
use crate::http::Server;
use serde_json::{Value, json};

const ALICE: &str = r#"{"_key":"alice","_type":"user","_class":"User","status":"ACTIVE"}"#;
const BOB: &str = r#"{"_key":"bob","_type":"user","_class":"User","status":"ACTIVE"}"#;
const ADMINS: &str = r#"{"_key":"admins","_type":"group","_class":"UserGroup"}"#;
const MEMBER: &str =
    r#"{"_key":"m","_type":"has","_class":"HAS","_fromEntityKey":"admins","_toEntityKey":"alice"}"#;

fn rows(rows: &[&str]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn id(said: &Value) -> String {
    said["id"].as_str().expect("an id").to_owned()
}

/// Three states: alice alone; alice in the admins beside bob; alice suspended, bob gone.
fn three_states() -> (World, [String; 3]) {
    let world = World::new();
    let suspended = ALICE.replace("ACTIVE", "SUSPENDED");
    let jobs = [
        rows(&[ALICE, ADMINS]),
        rows(&[ALICE, BOB, ADMINS, MEMBER]),
        rows(&[&suspended, ADMINS, MEMBER]),
    ];
    let jobs = jobs.map(|rows| id(&world.sync("okta", "diff", &rows).ok().json()));
    (world, jobs)
}

#[test]
fn every_question_can_be_asked_of_a_state_and_names_it() {
    let (world, [first, second, third]) = three_states();
    let count = |at: &str| {
        let said = world.run(&["query", "FIND User", "-o", "json", "--at", at]).ok();
        assert!(said.err.starts_with("as of 2"), "{said:?}");
        let answer = said.json();
        assert!(answer["asOf"]["revision"].is_u64(), "{answer}");
        answer["data"].as_array().expect("a list").len()
    };
    assert_eq!([count(&first), count(&second), count(&third)], [1, 2, 1]);
    let get = |at: &str| {
        let entity = world.run(&["get", "alice", "-o", "json", "--at", at]).ok().json();
        (entity["entity"]["status"].clone(), entity["relationships"].as_array().unwrap().len())
    };
    assert_eq!(get(&first), (json!("ACTIVE"), 0));
    assert_eq!(get(&second), (json!("ACTIVE"), 1));
    assert_eq!(get(&third), (json!("SUSPENDED"), 1));
    let reached = |at: &str| {
        let said = world.run(&["blast-radius", "alice", "-o", "json", "--at", at]).ok().json();
        said["reached"].as_array().map_or(0, Vec::len)
    };
    assert!(reached(&first) < reached(&second), "{} {}", reached(&first), reached(&second));
    world.run(&["get", "bob", "--at", &second]).ok();
    world.run(&["get", "bob", "--at", &third]).refused(2, "bob");
    world.run(&["path", "admins", "alice", "--at", &second]).ok();
    for words in [&["stats"][..], &["scopes"], &["cycles"], &["export", "-o", "json"]] {
        let said = world.run(&[words, &["--at", &second]].concat()).ok();
        assert!(said.err.contains(&format!("job {}", &second[second.len() - 8..])), "{said:?}");
    }
    let lines = |at: &str| world.run(&["export", "--at", at]).ok().out.lines().count();
    assert_eq!([lines(&first), lines(&second), lines(&third)], [2, 4, 3]);
    let owners = world.run(&["owners", "alice", "--at", &first, "-o", "json"]).ok().json();
    assert!(owners["asOf"]["time"].as_str().unwrap().ends_with('Z'), "{owners}");
}

#[test]
fn j1ql_asks_at_a_state() {
    let (world, [first, second, _]) = three_states();
    let ask = |query: String| world.run(&["query", "-o", "json", &query]);
    let count = |at: &str| {
        ask(format!("FIND User AT '{at}'")).ok().json()["data"].as_array().unwrap().len()
    };
    assert_eq!([count(&first), count(&second)], [1, 2]);
    let said =
        ask(format!("FIND UserGroup THAT HAS User AS u RETURN u._key LIMIT 5 AT '{second}'"));
    assert_eq!(said.ok().json()["data"], json!([{ "u._key": "alice" }]));
    // `at` is a name like others where no text follows a pattern.
    ask("FIND User AS at WHERE at._key = 'alice'".into()).ok();
    ask("FIND User AT 'soon'".into()).refused(2, "Q0112");
    ask("FIND User AT '1' AT '2'".into()).refused(2, "second `AT`");
    world
        .run(&["query", "--at", &first, &format!("FIND User AT '{second}'")])
        .refused(2, "another state is asked beside it");
    let filled = world.run(&[
        "query",
        "FIND User AT {{when}}",
        "--param",
        &format!("when={second}"),
        "-o",
        "json",
    ]);
    assert_eq!(filled.ok().json()["data"].as_array().unwrap().len(), 2);
    let text = world.run(&["query", "--format", "find User at 'yesterday' limit 3"]).ok().out;
    assert_eq!(text.trim(), "FIND User LIMIT 3 AT 'yesterday'");
    world.run(&["query", "--strict", "FIND User AT '1'"]).refused(2, "`AT`");
}

#[test]
fn a_point_that_the_file_has_no_state_of_is_told() {
    let (world, _) = three_states();
    let at = |at: &str| world.run(&["stats", "--at", at]);
    at("2001-01-01")
        .refused(2, "the file has no state of 2001-01-01T00:00:00Z: it goes from revision 1");
    at("2999-01-01").refused(2, "lies in the future");
    at("77").refused(2, "no state of revision 77");
    at("soon").refused(2, "`soon` is no point in the past");
    at("0193a7c2-0000-7000-8000-000000000000").refused(2, "no job");
    at("now").ok();
}

#[test]
fn a_diff_tells_objects_properties_counts_and_impact() {
    let (world, [first, second, third]) = three_states();
    let diff = |words: &[&str]| world.run(&[&["diff"], words].concat());
    let all = diff(&[&first, "-o", "json"]).ok().json();
    assert_eq!(all["total"], json!({ "created": 1, "updated": 1, "deleted": 0 }), "{all}");
    let step = diff(&[&second, &third, "-o", "json"]).ok().json();
    assert_eq!(step["total"], json!({ "created": 0, "updated": 1, "deleted": 1 }), "{step}");
    let updated = step["changes"].as_array().unwrap().iter().find(|c| c["action"] == "update");
    assert_eq!(
        updated.unwrap()["properties"],
        json!([{ "name": "status", "before": "ACTIVE", "after": "SUSPENDED" }])
    );
    // Backwards, what was made is deleted.
    let back = diff(&[&third, &second, "-o", "json"]).ok().json();
    assert_eq!(back["total"], json!({ "created": 1, "updated": 1, "deleted": 0 }), "{back}");
    let text = diff(&[&second, &third]).ok().out;
    assert!(text.contains("- bob @okta  user"), "{text}");
    assert!(text.contains("~ alice @okta  status: ACTIVE -> SUSPENDED"), "{text}");
    let markdown = diff(&[&second, &third, "-o", "markdown"]).ok().out;
    assert!(markdown.contains("| okta | entities | user | 0 | 1 | 1 |"), "{markdown}");
    let lines = diff(&[&second, &third, "-o", "ndjson"]).ok().out;
    assert_eq!(lines.lines().count(), 2);
    let some = diff(&[&first, &second, "--class", "HAS", "-o", "json"]).ok().json();
    assert_eq!(some["total"], json!({ "created": 1, "updated": 0, "deleted": 0 }), "{some}");
    diff(&[&first, "--class", "HASS"]).refused(2, "did you mean `HAS`?");
    diff(&[&first, "--scope", "octa"]).refused(2, "neither state has a scope `octa`");
    assert_eq!(diff(&[&first, "--exit-code"]).code, 1);
    assert_eq!(diff(&["now", "--exit-code"]).ok().out.lines().last(), Some("nothing changed"));
    let impact = diff(&[&first, &second, "--impact", "alice", "-o", "json"]).ok().json();
    assert_eq!(impact["impact"]["entities"], 1, "{impact}");
    assert_eq!(impact["impact"]["changes"][0]["entity"]["_key"], "alice", "{impact}");
    let told = diff(&[&first, &second, "--impact-class", "User"]).ok().out;
    assert!(told.contains("impact on 2 entities"), "{told}");
}

#[test]
fn the_history_of_an_object_goes_through_deletion_and_return() {
    let (world, jobs) = three_states();
    world.sync("okta", "diff", &rows(&[ALICE, BOB, ADMINS])).ok();
    let history = |name: &str| world.run(&["history", name, "-o", "json"]).ok().json();
    let events = |history: &Value| -> Vec<String> {
        let versions = history["versions"].as_array().unwrap().iter();
        versions.map(|version| version["event"].as_str().unwrap().to_owned()).collect()
    };
    let bob = history("bob");
    assert_eq!(events(&bob), ["created", "deleted", "returned"]);
    assert_eq!((&bob["live"], &bob["complete"]), (&json!(true), &json!(true)));
    assert_eq!(bob["versions"][1]["job"], json!(jobs[2]));
    let alice = history("okta::alice");
    assert_eq!(events(&alice), ["created", "updated", "updated"]);
    assert_eq!(alice["versions"][1]["properties"][0]["after"], "SUSPENDED");
    let member = history("m");
    assert_eq!((&member["kind"], &member["live"]), (&json!("relationship"), &json!(false)));
    assert_eq!(events(&member), ["created", "deleted"]);
    let text = world.run(&["history", "alice"]).ok().out;
    assert!(text.contains("status: ACTIVE -> SUSPENDED"), "{text}");
    assert_eq!(world.run(&["history", "alice", "-o", "csv"]).ok().out.lines().count(), 4);
    world.run(&["history", "nobody"]).refused(2, "nobody");
    let shown = world.run(&["job", "show", &jobs[2], "--changes"]).ok().out;
    assert!(shown.contains("- bob @okta  user") && shown.contains("SUSPENDED"), "{shown}");
}

#[test]
fn the_row_behind_an_edge_stands_in_its_history() {
    let world = World::new();
    world.sync("okta", "diff", &rows(&[ALICE])).ok();
    world.sync("jamf", "diff", &entity("mac-1")).ok();
    std::fs::create_dir(world.path("mappings")).unwrap();
    world.write("mappings/data.csv", "user,device\nalice,mac-1\n");
    let mapping = r#"scope = "laptops"
rows = { file = "data.csv" }
relationship = { class = "OWNS" }
from = { scope = "okta", match = "from._key = row.user" }
to = { scope = "jamf", match = "to._key = row.device" }
"#;
    world.write("mappings/laptops.toml", mapping);
    world.run(&["apply"]).ok();
    let edge = world.run(&["export", "--scope", "laptops"]).ok().json();
    let key = edge["_key"].as_str().unwrap();
    let history = world.run(&["history", key, "-o", "json"]).ok().json();
    assert_eq!(
        history["versions"][0]["origin"],
        json!({ "file": "mappings/data.csv", "line": 2 }),
        "{history}"
    );
    // An undone deletion brings the row back as well.
    let gone = world.run(&["scopes", "delete", "--edges-of", "laptops", "--reason", "test"]).ok();
    let jobs = world.run(&["job", "list", "-o", "json"]).ok().json();
    world.run(&["job", "undo", jobs[0]["id"].as_str().unwrap()]).ok();
    let again = world.run(&["export", "--scope", "laptops"]).ok().json();
    assert_eq!(again["_origin"], edge["_origin"], "{gone:?}");
}

#[test]
fn undo_takes_back_all_that_a_job_did_and_leaves_what_was_touched_since() {
    let (world, [first, second, third]) = three_states();
    let dump = |at: &str| {
        let said = world.run(&["export", "--at", at]).ok().out;
        let line = |line: &str| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            for name in ["_version", "_beginOn", "_jobId", "_source"] {
                row.as_object_mut().unwrap().remove(name);
            }
            row.to_string()
        };
        let mut lines: Vec<String> = said.lines().map(line).collect();
        lines.sort();
        lines
    };
    let before = dump(&second);
    let dry = world.run(&["job", "undo", &third, "--dry-run", "-o", "json"]).ok().json();
    assert_eq!((&dry["restoredEntities"], &dry["reverted"]), (&json!(1), &json!(1)), "{dry}");
    assert_ne!(dump("now"), before, "nothing was done yet");
    let undone = world.run(&["job", "undo", &third, "-o", "json"]).ok().json();
    assert_eq!(undone["left"], json!([]), "{undone}");
    assert_eq!(dump("now"), before);
    world.run(&["verify"]).ok();
    // The next upload sees the difference again, although it is the very text that was undone.
    let suspended = ALICE.replace("ACTIVE", "SUSPENDED");
    let again = world.sync("okta", "diff", &rows(&[&suspended, ADMINS, MEMBER])).ok().json();
    assert_eq!(again["entities"]["updated"], 1, "{again}");
    assert_eq!(again["entities"]["deleted"], 1, "{again}");
    // Alice was touched since the second job; what it made and nobody touched goes.
    let said = world.run(&["job", "undo", &second]).ok().out;
    assert!(said.contains("entity `bob` was touched since"), "{said}");
    assert!(said.contains("--force"), "{said}");
    let made = world.run(&["job", "undo", &first, "-o", "json"]).ok().json();
    assert_eq!(made["left"].as_array().unwrap().len(), 1, "alice was touched: {made}");
    world.run(&["job", "undo", &first, "--force"]).ok();
    assert_eq!(dump("now"), Vec::<String>::new());
    world.run(&["verify"]).ok();
}

#[test]
fn undo_of_what_made_an_entity_keeps_it_while_others_hold_on_to_it() {
    let world = World::new();
    let made = id(&world.sync("okta", "diff", &rows(&[ALICE])).ok().json());
    world.sync("jamf", "diff", &entity("mac")).ok();
    let edge = r#"{"_key":"e","_type":"t","_class":"OWNS","_fromEntityScope":"okta","_fromEntityKey":"alice","_toEntityScope":"jamf","_toEntityKey":"mac"}"#;
    world.sync("bridge", "cross-scope", edge).ok();
    let said = world.run(&["job", "undo", &made]).ok().out;
    assert!(
        said.contains("entity `alice` stays: a relationship of later jobs ends at it"),
        "{said}"
    );
    world.run(&["job", "undo", &made, "--force"]).ok();
    assert_eq!(world.dump().lines().count(), 1, "the edge went along");
    world.run(&["verify"]).ok();
}

#[test]
fn gc_lets_go_of_old_states_and_never_answers_with_a_wrong_one() {
    let (world, [first, second, third]) = three_states();
    world.run(&["gc"]).ok();
    world.run(&["stats", "--at", &first]).ok();
    world.write("tombolo.toml", "[history]\nkeep = \"none\"\n");
    let said = world.run(&["gc"]).ok().out;
    assert!(said.contains("let go of 3 old states"), "{said}");
    world.run(&["stats", "--at", &first]).refused(2, "the file has no state of job");
    world.run(&["stats", "--at", &second]).refused(2, "the file has no state of job");
    world.run(&["diff", "2001-01-01"]).refused(2, "it goes from revision");
    world.run(&["stats", "--at", &third]).ok();
    world.run(&["verify"]).ok();
    world.run(&["compact"]).ok();
    world.run(&["verify"]).ok();
    let history = world.run(&["history", "alice", "-o", "json"]).ok().json();
    assert_eq!(history["complete"], false, "{history}");
    // What the last job deleted can still be brought back.
    let undone = world.run(&["job", "undo", &third, "-o", "json"]).ok().json();
    assert_eq!(undone["restoredEntities"], 1, "{undone}");
    world.write("tombolo.toml", "[history]\nkeep = \"long\"\n");
    world.run(&["gc"]).refused(2, "tombolo.toml:2:8:");
}

#[test]
fn compaction_and_gc_keep_every_state_as_it_was() {
    let world = World::new();
    let thing = |n: usize, v: usize| {
        format!("{{\"_key\":\"k{n}\",\"_type\":\"t\",\"_class\":\"C\",\"v\":{v}}}")
    };
    let mut states = Vec::new();
    for round in 0..6 {
        let all: String =
            (0..40).map(|n| thing(n, if n % 6 == round { round } else { 9 }) + "\n").collect();
        world.sync("s", "diff", &all).ok();
        states.push((round, world.run(&["export"]).ok().out));
    }
    let revisions: Vec<String> = {
        let newest = world.run(&["stats", "-o", "json"]).ok().json()["revision"].as_u64().unwrap();
        (0..6).map(|n| (newest - 5 + n).to_string()).collect()
    };
    for care in [&["compact"][..], &["gc"], &["gc", "--older-than", "30"], &["compact"]] {
        world.run(care).ok();
        for (revision, (round, export)) in revisions.iter().zip(&states) {
            let then = world.run(&["export", "--at", revision]).ok().out;
            assert_eq!(&then, export, "round {round} after {care:?}");
        }
        world.run(&["verify"]).ok();
    }
}

#[test]
fn the_server_answers_about_the_past() {
    let (world, [first, second, third]) = three_states();
    let World { folder } = world;
    let server = Server::in_folder(folder, &[]);
    let get = |path: &str| server.get(path);
    let stats = get(&format!("/v1/stats?at={second}")).ok();
    assert_eq!(
        (&stats["entities"], stats["asOf"]["revision"].is_u64()),
        (&json!(3), true),
        "{stats}"
    );
    assert_eq!(get("/v1/stats").ok()["asOf"], Value::Null);
    let entity = get(&format!("/v1/entity?entity=bob&at={second}")).ok();
    assert_eq!(entity["entity"]["_key"], "bob");
    assert_eq!(get(&format!("/v1/entity?entity=bob&at={third}")).status, 404);
    for path in [
        "/v1/blast-radius?entity=alice",
        "/v1/owners?entity=alice",
        "/v1/path?from=admins&to=alice",
    ] {
        assert_eq!(get(&format!("{path}&at={second}")).ok()["asOf"]["scope"], "okta", "{path}");
    }
    assert_eq!(get(&format!("/v1/cycles?at={second}")).ok()["asOf"]["scope"], "okta");
    let path = format!("/v1/scopes?at={second}");
    assert_eq!(get(&path).ok()[0]["entities"], 3);
    // A list has no room for it, so the header names the state.
    let host = &server.address;
    let raw = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let raw = server.raw(raw.as_bytes()).to_lowercase();
    assert!(raw.contains("tombolo-as-of: revision="), "{raw}");
    let asked = json!({ "query": "FIND User", "at": first });
    let answer = server.post("/v1/query", &asked).ok();
    assert_eq!(
        (answer["data"].as_array().unwrap().len(), &answer["asOf"]["job"]),
        (1, &json!(first))
    );
    let written = json!({ "query": format!("FIND User AT '{second}'") });
    assert_eq!(server.post("/v1/query", &written).ok()["data"].as_array().unwrap().len(), 2);
    let diff = get(&format!("/v1/diff?from={second}&to={third}&max=1")).ok();
    assert_eq!((&diff["total"]["deleted"], &diff["leftOut"]), (&json!(1), &json!(1)), "{diff}");
    let history = get("/v1/history?object=bob").ok();
    assert_eq!(history["versions"].as_array().unwrap().len(), 2, "{history}");
    let none = get("/v1/stats?at=2001-01-01");
    assert_eq!((none.status, none.code()), (400, "NO_SUCH_STATE"));
    assert_eq!(get("/v1/stats?at=soon").status, 400);
}

#[test]
fn a_commit_without_a_job_names_none() {
    let (world, [first, ..]) = three_states();
    let diff = world.run(&["diff", "1", &first, "-o", "json"]).ok().json();
    assert!(diff["from"].get("job").is_none(), "the empty file was made by no job: {diff}");
    assert_eq!(diff["to"]["job"], json!(first), "{diff}");
}
