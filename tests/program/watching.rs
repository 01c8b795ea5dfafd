//! Watching: reports of checks for CI, baselines, and what a server tells by itself.

use crate::cli::World;
use crate::http::{Server, tombolo};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use quick_junit::Report;
use serde_json::{Value, json};
use sha2::Sha256;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Users and devices; alice owns one, bob owns none.
fn office() -> World {
    let world = World::new();
    world.sync("office", "diff", &users(&["bob"])).ok();
    world.write(
        "queries.toml",
        "[queries.owned]\nabout = \"every user owns a device\"\n\
         query = \"FIND User THAT !OWNS Device\"\nexpect = 0\n\
         [queries.devices]\nquery = \"FIND Device\"\nexpect = { min = 1 }\n",
    );
    world
}

fn users(more: &[&str]) -> String {
    let mut rows = String::from(
        "{\"_key\":\"alice\",\"_type\":\"u\",\"_class\":\"User\"}\n\
         {\"_key\":\"mac\",\"_type\":\"d\",\"_class\":\"Device\"}\n\
         {\"_key\":\"alice|mac\",\"_type\":\"t\",\"_class\":\"OWNS\",\"_fromEntityKey\":\"alice\",\"_toEntityKey\":\"mac\"}\n",
    );
    for key in more {
        rows += &format!("{{\"_key\":\"{key}\",\"_type\":\"u\",\"_class\":\"User\"}}\n");
    }
    rows
}

/// Rows that lack two of three people, and a test that all of them are linked.
fn bridge(world: &World) {
    std::fs::create_dir_all(world.path("mappings")).expect("a folder");
    world.write("mappings/owners.csv", "who,what\nalice,mac\n");
    world.write(
        "mappings/owners.toml",
        "scope = \"owners\"\nrows = { file = \"owners.csv\" }\n\
         relationship = { class = \"USES\" }\n\
         from = { scope = \"office\", type = \"u\", key = \"{row.who}\" }\n\
         to = { scope = \"office\", type = \"d\", key = \"{row.what}\" }\n\
         [[test]]\nname = \"every user is linked\"\ncovers = \"from\"\nat_least = \"100%\"\n",
    );
}

fn junit(text: &str) -> Report {
    Report::deserialize_from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn questions_are_reported_to_ci_and_only_new_offenders_fail() {
    let world = office();
    let check = |flags: &[&str]| world.run(&[&["query", "--check"], flags].concat());
    let report = junit(&check(&["-o", "junit"]).refused(1, "").out);
    assert_eq!((report.tests, report.failures), (2, 1));
    let sarif: Value =
        serde_json::from_str(&check(&["-o", "sarif"]).refused(1, "").out).expect("JSON");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(sarif["version"], json!("2.1.0"));
    assert_eq!(result["ruleId"], json!("question/owned"));
    assert!(result["message"]["text"].as_str().expect("text").contains("office::bob"), "{sarif}");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], json!("queries.toml"));
    assert_eq!(place["region"]["startLine"], json!(3));
    assert!(result.get("baselineState").is_none(), "{sarif}");
    let said = check(&["-o", "github"]).refused(1, "");
    let start = "::error file=queries.toml,line=3,col=9,title=question owned::1 found, 0 expected";
    assert!(said.out.starts_with(start), "{}", said.out);

    check(&["--baseline", "known.toml"]).refused(2, "--write-baseline");
    check(&["--baseline", "known.toml", "--write-baseline"]).ok();
    let written = std::fs::read_to_string(world.path("known.toml")).expect("written");
    assert!(written.ends_with("[questions]\n\"owned\" = [\n  \"office::bob\",\n]\n"), "{written}");
    let said = check(&["--baseline", "known.toml"]).ok();
    assert!(
        said.out.contains("~ owned") && said.out.contains("known: office::bob"),
        "{}",
        said.out
    );
    let report = junit(&check(&["--baseline", "known.toml", "-o", "junit"]).ok().out);
    assert_eq!((report.failures, report.test_suites[0].skipped), (0, 1));

    // Bob was mended, and two others came.
    world.sync("office", "diff", &users(&["carol", "dave"])).ok();
    let said = check(&["--baseline", "known.toml"]).refused(1, "");
    assert!(said.out.contains("new: office::carol, office::dave"), "{}", said.out);
    assert!(said.out.contains("gone: office::bob"), "{}", said.out);
    let said = check(&["--baseline", "known.toml", "-o", "sarif"]).refused(1, "");
    let sarif: Value = serde_json::from_str(&said.out).expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    let states: Vec<&Value> = results.iter().map(|result| &result["baselineState"]).collect();
    assert_eq!(states, ["new", "new", "absent"]);
    // A second writing has the same bytes, in whatever order the rows came.
    check(&["--baseline", "known.toml", "--write-baseline"]).ok();
    let first = std::fs::read(world.path("known.toml")).expect("written");
    check(&["--baseline", "known.toml", "--write-baseline"]).ok();
    assert_eq!(std::fs::read(world.path("known.toml")).expect("written"), first);

    // A question with too few rows has no offender that a baseline could know.
    world.sync("office", "diff", "{\"_key\":\"x\",\"_type\":\"u\",\"_class\":\"App\"}\n");
    world.run(&["query", "FIND User", "-o", "junit"]).refused(2, "--check");
    world.write("known.toml", "[questions]\nowned = 3\n");
    check(&["--baseline", "known.toml"]).refused(2, "known.toml:2:9");
}

#[test]
fn too_few_rows_fail_whatever_the_baseline() {
    let world = office();
    world.write(
        "queries.toml",
        "[queries.servers]\nquery = \"FIND Server\"\nexpect = { min = 1 }\n",
    );
    let said = world.run(&["query", "--check", "--baseline", "k.toml", "--write-baseline"]);
    said.refused(1, "");
    world.run(&["query", "--check", "--baseline", "k.toml"]).refused(1, "");
}

#[test]
fn tests_and_guards_of_mappings_are_reported_too() {
    let world = office();
    bridge(&world);
    let report = junit(&world.run(&["plan", "-o", "junit"]).refused(4, "").out);
    assert_eq!((report.tests, report.failures), (3, 1));
    let case =
        report.test_suites[0].test_cases.iter().find(|c| c.name.as_str().starts_with("every"));
    assert_eq!(case.expect("a test").classname.as_ref().map(|c| c.as_str()), Some("test.owners"));
    let baseline = ["--baseline", "known.toml"];
    world.run(&[&["plan"], &baseline[..], &["--write-baseline"]].concat()).ok();
    let said = world.run(&[&["plan"], &baseline[..]].concat()).ok();
    assert!(said.out.contains("known: office::bob"), "{}", said.out);
    // The baseline is no leave to apply: the test still stands.
    world.run(&["apply"]).refused(4, "every user is linked");
    // Questions and tests share a file, and each check renews its own part.
    world.run(&[&["query", "--check"], &baseline[..], &["--write-baseline"]].concat()).ok();
    world.run(&[&["plan"], &baseline[..]].concat()).ok();
    world.sync("office", "diff", &users(&["bob", "carol"])).ok();
    let said = world.run(&[&["plan", "-o", "github"], &baseline[..]].concat()).refused(4, "");
    assert!(
        said.out.contains("new offender: office::carol%0Aknown offender: office::bob"),
        "{}",
        said.out
    );

    let text = std::fs::read_to_string(world.path("mappings/owners.toml")).expect("written");
    world.write("mappings/owners.toml", format!("{text}[guard]\nmin_rows = 5\n"));
    let sarif: Value =
        serde_json::from_str(&world.run(&["plan", "-o", "sarif"]).refused(4, "").out)
            .expect("JSON");
    let rules: Vec<&Value> = sarif["runs"][0]["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| &result["ruleId"])
        .collect();
    assert!(rules.contains(&&json!("M0602")), "{sarif}");
    world.write("mappings/broken.toml", "scope = \"b\"\nrows = 3\n");
    let report = junit(&world.run(&["check", "-o", "junit"]).refused(2, "").out);
    assert_eq!((report.tests, report.failures), (2, 1));
    let sarif: Value =
        serde_json::from_str(&world.run(&["check", "-o", "sarif"]).refused(2, "").out)
            .expect("JSON");
    let places = sarif["runs"][0]["results"].to_string();
    assert!(places.contains("mappings/broken.toml"), "{sarif}");
}

/// Runs the blocks of a page: a `toml` block is the file that its first line names, and each command
/// of a `console` block ends with the code that its comment tells.
fn run_page(world: &World, page: &str) -> usize {
    let mut commands = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').expect("a block has lines");
        if kind == "toml"
            && let Some(name) = text.lines().next().and_then(|line| line.strip_prefix("# "))
        {
            world.write(name, text);
        }
        for line in text.lines().filter(|_| kind == "console") {
            let line = line.strip_prefix("$ tombolo ").unwrap_or_else(|| panic!("{line}"));
            let (words, comment) = line.split_once('#').unwrap_or((line, ""));
            let code = comment
                .trim()
                .strip_prefix("exit ")
                .map_or(0, |code| code[..1].parse().unwrap_or_else(|_| panic!("{line}")));
            world.run(&words.split_whitespace().collect::<Vec<_>>()).refused(code, "");
            commands += 1;
        }
    }
    commands
}

#[test]
fn the_page_about_watching_is_true() {
    let world = office();
    bridge(&world);
    let text = std::fs::read_to_string(world.path("mappings/owners.toml")).expect("written");
    world.write("mappings/owners.toml", text.replace("100%", "50%"));
    assert!(run_page(&world, include_str!("../../docs/watch.md")) > 8);
}

/// A request that a webhook got.
#[derive(Clone, Debug)]
struct HookCall {
    headers: Vec<(String, String)>,
    body: String,
    /// True if the receiver said that all is well.
    accepted: bool,
}

impl HookCall {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }
}

/// A receiver of webhooks, which answers 500 to its first calls.
struct HookReceiver {
    url: String,
    calls: Arc<Mutex<Vec<HookCall>>>,
}

impl HookReceiver {
    fn failing_first(failures: usize) -> HookReceiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/hook?key=private", listener.local_addr().expect("an address"));
        let calls: Arc<Mutex<Vec<HookCall>>> = Arc::default();
        let kept = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let Some(mut call) = read_call(&stream) else { continue };
                let mut calls = kept.lock().expect("no panic");
                call.accepted = calls.len() >= failures;
                let status = if call.accepted { "200 OK" } else { "500 No" };
                calls.push(call);
                drop(calls);
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        HookReceiver { url, calls }
    }

    fn calls(&self) -> Vec<HookCall> {
        self.calls.lock().expect("no panic").clone()
    }

    fn accepted(&self, kind: &str) -> Vec<HookCall> {
        let calls = self.calls().into_iter();
        calls.filter(|call| call.accepted && call.kind() == kind).collect()
    }

    /// Waits until it accepted so many events of a kind.
    #[track_caller]
    fn wait(&self, kind: &str, count: usize) -> Vec<HookCall> {
        eventually(|| Some(self.accepted(kind)).filter(|found| found.len() >= count))
    }
}

fn read_call(stream: &TcpStream) -> Option<HookCall> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(HookCall { headers, body: String::from_utf8(body).ok()?, accepted: false })
}

/// Waits for a state, however slow the machine is.
#[track_caller]
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(120) {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it did not come to that in two minutes");
}

const SECRET: &str = "a secret of thirty bytes or so";

fn is_signed(call: &HookCall) -> bool {
    let signed =
        format!("{}.{}.{}", call.header("webhook-id"), call.header("webhook-timestamp"), call.body);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    call.header("webhook-signature") == format!("v1,{signature}")
}

fn notify(folder: &Path, receiver: &HookReceiver, more: &str) {
    std::fs::write(folder.join("hook.secret"), SECRET).expect("written");
    let text = format!(
        "[notify]\n{more}\n[[notify.webhooks]]\nurl = \"{}\"\nsecret = {{ file = \"hook.secret\" }}\n",
        receiver.url
    );
    std::fs::write(folder.join("tombolo.toml"), text).expect("written");
}

fn people(count: usize) -> Value {
    let one = |i| json!({ "_key": format!("p{i}"), "_type": "person", "_class": "User" });
    json!({ "entities": (0..count).map(one).collect::<Vec<_>>() })
}

#[test]
fn a_held_job_and_a_failing_question_reach_a_webhook_once_though_it_fails_first() {
    let receiver = HookReceiver::failing_first(2);
    let folder = tempfile::tempdir().expect("a folder");
    notify(folder.path(), &receiver, "");
    let questions = "[queries.none]\nquery = \"FIND Device\"\nexpect = 0\n";
    std::fs::write(folder.path().join("queries.toml"), questions).expect("written");
    let mut server = Server::in_folder(folder, &[]);
    server.sync("people", &people(40));
    assert_eq!(server.sync("people", &people(1))["status"], "HELD");
    let held = receiver.wait("job.held", 1);
    assert_eq!(held[0].json()["data"]["scope"], json!("people"));
    assert_eq!(held[0].json()["data"]["deleted"], json!(39));
    let device = json!({ "entities": [{ "_key": "d", "_type": "d", "_class": "Device" }] });
    server.sync("devices", &device);
    let failing = receiver.wait("question.failing", 1);
    assert_eq!(failing[0].json()["data"]["question"], json!("none"));
    assert_eq!(failing[0].json()["data"]["found"], json!(1));

    // What was told before a restart is not told again after it.
    assert_eq!(server.stop(), Some(0));
    let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().expect("a folder"));
    let server = Server::in_folder(folder, &[]);
    let jobs = server.get("/v1/jobs").ok()["jobs"].clone();
    let id = jobs.as_array().and_then(|all| all.iter().find(|job| job["status"] == "HELD"));
    let id = id.expect("it is held")["id"].as_str().expect("an id").to_owned();
    server.post(&format!("/v1/jobs/{id}/abort"), &json!({})).ok();
    server
        .sync("devices", &json!({ "entities": [{ "_key": "d", "_type": "d", "_class": "App" }] }));
    receiver.wait("question.holding", 1);
    let calls = receiver.calls();
    assert!(calls.iter().all(is_signed), "{calls:?}");
    assert_eq!(receiver.accepted("job.held").len(), 1, "{calls:?}");
    assert_eq!(receiver.accepted("question.failing").len(), 1, "{calls:?}");
    let refused: Vec<&str> =
        calls.iter().filter(|call| !call.accepted).map(|call| call.header("webhook-id")).collect();
    assert_eq!(refused.len(), 2);
    let again = |id: &&str| calls.iter().any(|c| c.accepted && c.header("webhook-id") == *id);
    assert!(refused.iter().all(again), "a repetition has the id of the first attempt");
    let mut ids: Vec<&str> =
        calls.iter().filter(|call| call.accepted).map(|call| call.header("webhook-id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{calls:?}");
}

#[test]
fn a_stale_scope_is_told_once_until_it_had_a_job_that_changed_nothing() {
    let receiver = HookReceiver::failing_first(0);
    let folder = tempfile::tempdir().expect("a folder");
    notify(folder.path(), &receiver, "stale_after = { people = \"2s\" }");
    let server = Server::in_folder(folder, &[]);
    server.sync("people", &people(2));
    server.sync("others", &people(1));
    assert_eq!(receiver.wait("scope.stale", 1)[0].json()["data"]["scope"], json!("people"));
    server.sync("people", &people(2));
    let told = receiver.wait("scope.stale", 2);
    assert!(told.iter().all(|call| call.json()["data"]["scope"] == "people"), "{told:?}");
    let times: Vec<Value> =
        told.iter().map(|call| call.json()["data"]["lastJob"].clone()).collect();
    assert_ne!(times[0], times[1], "each job goes stale once");
}

#[test]
fn what_is_said_wrong_of_webhooks_keeps_a_server_from_starting() {
    let world = World::new();
    world.run(&["init"]).ok();
    let serve = |lines: &str, words: &str| {
        world.write("tombolo.toml", format!("[[notify.webhooks]]\n{lines}\n"));
        world.run(&["serve", "--port", "0"]).refused(2, words);
    };
    serve("url = \"file:///tmp/x\"", "tombolo.toml:2:7: `url` must begin with https:// or http://");
    serve(
        "url = \"http://h\"\nsecret = \"in plain sight\"",
        "a secret does not belong into this file",
    );
    serve("url = \"http://h\"\nevents = [\"job.gone\"]", "scope.stale");
    // Other commands leave the table alone.
    world.run(&["impact-rules", "--verb", "HAS"]).ok();
}

/// A server that applies on change, with a mapping and a source file.
fn applying(folder: tempfile::TempDir) -> Server {
    let mappings = folder.path().join("mappings");
    std::fs::create_dir_all(&mappings).expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(mappings.join(name), text).expect("written");
    write("owners.csv", "who,what\nperson:1,mac\n");
    write(
        "owners.toml",
        "scope = \"owners\"\nrows = { file = \"owners.csv\" }\n\
         relationship = { class = \"OWNS\" }\n\
         from = { scope = \"staff\", type = \"person\", key = \"{row.who}\" }\n\
         to = { scope = \"devices\", type = \"d\", key = \"{row.what}\" }\n",
    );
    write(
        "staff.toml",
        "scope = \"staff\"\nrows = { file = \"staff.csv\" }\n[[entity]]\ntype = \"person\"\n\
         class = \"User\"\nkey = \"person:{row.id}\"\nproperties = [\"id\"]\n",
    );
    staff(folder.path(), 40);
    let tv = "{\"_key\":\"tv\",\"_type\":\"d\",\"_class\":\"Device\"}\n";
    std::fs::write(folder.path().join("devices.ndjson"), tv).expect("written");
    let made = tombolo(folder.path(), &["sync", "--scope", "devices", "devices.ndjson"]);
    assert!(made.status.success(), "{made:?}");
    Server::in_folder(folder, &["--apply", "on-change"])
}

fn staff(folder: &Path, count: usize) {
    let rows: String = (1..=count).map(|i| format!("{i}\n")).collect();
    std::fs::write(folder.join("mappings/staff.csv"), format!("id\n{rows}")).expect("written");
}

fn count(server: &Server, query: &str) -> usize {
    server.ask(query).as_array().map_or(0, Vec::len)
}

#[test]
fn mappings_follow_the_scopes_that_they_read_and_sources_their_rows() {
    let receiver = HookReceiver::failing_first(0);
    let folder = tempfile::tempdir().expect("a folder");
    notify(folder.path(), &receiver, "");
    let server = applying(folder);
    let until = |query: &str, rows: usize| {
        eventually(|| (count(&server, query) == rows).then_some(()));
    };
    until("FIND User", 40);
    let device = |key: &str| json!({ "_key": key, "_type": "d", "_class": "Device" });
    server.sync("devices", &json!({ "entities": [device("mac")] }));
    until("FIND User THAT OWNS Device", 1);
    // Rows of the mapping changed.
    let rows = server.folder.path().join("mappings/owners.csv");
    std::fs::write(&rows, "who,what\nperson:1,mac\nperson:2,mac\n").expect("written");
    until("FIND User THAT OWNS Device", 2);

    // Most rows of the source are gone: one job waits, whatever comes after it.
    staff(server.folder.path(), 1);
    receiver.wait("job.held", 1);
    staff(server.folder.path(), 2);
    std::fs::write(&rows, "who,what\nperson:3,mac\n").expect("written");
    until("FIND User WITH _key = 'person:3' THAT OWNS Device", 1);
    server.sync("devices", &json!({ "entities": [device("mac"), device("pc")] }));
    let held = |jobs: &Value| -> Vec<String> {
        let all = jobs.as_array().expect("jobs").iter().filter(|job| job["status"] == "HELD");
        all.map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
    };
    let waiting = held(&server.get("/v1/jobs").ok()["jobs"]);
    assert_eq!(waiting.len(), 1);
    let metrics = server.get("/metrics").text;
    for line in ["tombolo_jobs_held 1", "tombolo_jobs_open 0", "tombolo_questions_failing 0"] {
        assert!(metrics.lines().any(|known| known == line), "{line}: {metrics}");
    }
    for name in ["tombolo_revision ", "tombolo_file_bytes ", "tombolo_webhook_deliveries_waiting "]
    {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    assert!(metrics.contains("tombolo_scope_last_job_age_seconds{scope=\"devices\"}"), "{metrics}");
    assert_eq!(metrics.matches("# EOF").count(), 1);
    // Once it is decided, the rows of now are looked at: they would delete as much.
    server.post(&format!("/v1/jobs/{}/abort", waiting[0]), &json!({})).ok();
    receiver.wait("job.held", 2);
    assert_eq!(held(&server.get("/v1/jobs").ok()["jobs"]).len(), 1);
}

#[test]
fn a_refused_mapping_is_told_once_until_it_can_be_applied() {
    let receiver = HookReceiver::failing_first(0);
    let folder = tempfile::tempdir().expect("a folder");
    notify(folder.path(), &receiver, "");
    let server = applying(folder);
    let path = server.folder.path().join("mappings/owners.toml");
    let text = std::fs::read_to_string(&path).expect("written");
    let guard = |rows: u64| {
        std::fs::write(&path, format!("{text}[guard]\nmin_rows = {rows}\n")).expect("written");
    };
    guard(5);
    let told = receiver.wait("mapping.refused", 1);
    assert_eq!(told[0].json()["data"]["scope"], json!("owners"));
    assert!(told[0].body.contains("min_rows") || told[0].body.contains("limit is 5"), "{told:?}");
    // It is refused for another reason, which is no other state.
    guard(6);
    let device = |key: &str| json!({ "_key": key, "_type": "d", "_class": "Device" });
    server.sync("devices", &json!({ "entities": [device("mac")] }));
    guard(1);
    eventually(|| (count(&server, "FIND User THAT OWNS Device") == 1).then_some(()));
    assert_eq!(receiver.accepted("mapping.refused").len(), 1);
    guard(7);
    receiver.wait("mapping.refused", 2);
    let events = receiver.calls();
    assert!(events.iter().all(|call| !call.body.contains("private")), "{events:?}");
}
