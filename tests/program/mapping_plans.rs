//! `plan` and `apply` through the binary: guards, saved plans, several mappings, provenance,
//! impact, and what each prints.

use crate::cli::{Said, World, entity};
use serde_json::Value;

const MAPPING: &str = r#"scope = "owners"
owner = "it@example.com"

[rows]
file = "data/owners.csv"
where = "row.status = 'assigned'"

[relationship]
class = "OWNS"
type = "user_owns_device"
properties = { since = "{row.since}" }

[from]
scope = "okta"
match = "email(from.email) = email(row.email)"

[to]
scope = "jamf"
match = [
  "serial(to.serial) = serial(row.serial)",
  { name = "hostname", when = "hostname(to.host) = hostname(row.serial)", properties = { confidence = 0.6 } },
]
"#;

fn rows(count: usize) -> String {
    let line =
        |i: usize| format!("User{i}@Example.com,sn-{i},assigned,2026-01-{:02}\n", i % 28 + 1);
    "email,serial,status,since\n".to_owned() + &(0..count).map(line).collect::<String>()
}

/// 40 users, 40 laptops, and a mapping that links each pair.
fn company() -> World {
    let world = World::new();
    let users: String = (0..40)
        .map(|i| format!("{{\"_key\":\"u:{i}\",\"_type\":\"okta_user\",\"_class\":\"User\",\"email\":\"user{i}@example.com\"}}\n"))
        .collect();
    world.sync("okta", "diff", &users).ok();
    let laptops: String = (0..40)
        .map(|i| format!("{{\"_key\":\"d:{i}\",\"_type\":\"laptop\",\"_class\":\"Device\",\"serial\":\"SN{i}\",\"host\":\"mac-{i}.corp\"}}\n"))
        .collect();
    world.sync("jamf", "diff", &laptops).ok();
    std::fs::create_dir_all(world.path("mappings/data")).unwrap();
    world.write("mappings/owners.toml", MAPPING);
    world.write("mappings/data/owners.csv", rows(40));
    world
}

/// What was said, with what differs from run to run taken out.
fn plain(said: &Said) -> String {
    let words = said.out.split(' ').map(|word| {
        let (text, rest) = word.split_at(word.find('\n').unwrap_or(word.len()));
        let is_id = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        format!("{}{rest}", if is_id { "JOB" } else { text })
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn people_read_what_changes_and_what_does_not() {
    let world = company();
    world.write("mappings/data/owners.csv", rows(38));
    world.run(&["apply"]).ok();
    let mut text = rows(37).replace("2026-01-03", "2026-02-03");
    text += "user38@example.com,mac-38,assigned,\nuser39@example.com,N/A,assigned,\n";
    text += "nobody@example.com,sn-1,assigned,\n,sn-2,assigned,\nx@y.z,sn-2,stolen,\n";
    text += "user0@example.com,sn-0,assigned,2026-01-01\n";
    world.write("mappings/data/owners.csv", text);
    insta::assert_snapshot!("plan", plain(&world.run(&["plan", "--details", "--unmatched"]).ok()));
    let markdown = world.run(&["plan", "--details", "--unmatched", "-o", "markdown"]).ok();
    insta::assert_snapshot!("markdown", plain(&markdown));
    let json = world.run(&["plan", "--details", "-o", "json"]).ok().json();
    assert_eq!(json["changes"].as_array().map(Vec::len), Some(4), "{json}");
    assert_eq!(json["rows"]["ends"]["missing from"], 2);
    insta::assert_snapshot!("applied", plain(&world.run(&["apply"]).ok()));
}

#[test]
fn a_source_that_is_emptied_halved_or_keyed_differently_is_refused() {
    let world = company();
    world.run(&["apply"]).ok();
    let before = world.dump();
    let halved = rows(20);
    let rekeyed = rows(40).replace("User", "Person");
    for (text, words) in [
        (rows(0), "0 rows were read from mappings/data/owners.csv; the limit is 1"),
        (halved.clone(), "20 of 40 edges (50 %) would be deleted; the limit is 25 %"),
        (rekeyed, "40 of 40 edges (100 %) would be deleted; the limit is 25 %"),
    ] {
        world.write("mappings/data/owners.csv", text);
        for command in ["plan", "apply"] {
            let said = world.run(&[command]).refused(4, words);
            assert!(
                said.err
                    .contains("if this is meant: tombolo apply mappings/owners.toml --override")
            );
            assert!(said.out.contains("! refused"), "{said:?}");
        }
        assert_eq!(world.dump(), before);
    }
    world.write("mappings/data/owners.csv", halved);
    let set = "max_delete_percent=50";
    world.run(&["apply", "owners", "--override", set]).refused(2, "--reason");
    world
        .run(&["apply", "owners", "--override", "max_delete=x", "--reason", "r"])
        .refused(2, "whole number");
    world.run(&["apply", "owners", "--override", set, "--reason", "CHG-1"]).ok();
    let jobs = world.run(&["job", "list", "-o", "json"]).ok().out;
    assert!(jobs.contains("CHG-1") || job(&world).contains("CHG-1"), "{jobs}");
    // The edges can be brought back.
    let id = newest_job(&world);
    world.run(&["job", "undo", &id]).ok();
    assert_eq!(relationships(&world), 40);
}

fn newest_job(world: &World) -> String {
    let jobs = world.run(&["job", "list", "-o", "json"]).ok().out;
    let jobs: Value = serde_json::from_str(&jobs).unwrap();
    let first = jobs.as_array().map_or(&jobs["jobs"][0], |jobs| &jobs[0]);
    first["id"].as_str().expect("an id").to_owned()
}

fn job(world: &World) -> String {
    world.run(&["job", "show", &newest_job(world), "-o", "json"]).ok().out
}

fn relationships(world: &World) -> usize {
    world
        .dump()
        .lines()
        .filter(|line| line.contains("_fromEntityKey") && line.contains("\"_deleted\":false"))
        .count()
}

#[test]
fn the_job_remembers_the_file_its_sources_and_the_reason() {
    let world = company();
    world.run(&["apply", "owners", "--override", "min_rows=0", "--reason", "first run"]).ok();
    let job: Value = serde_json::from_str(&job(&world)).unwrap();
    let mapping = &job["mapping"];
    assert_eq!(mapping["file"], "mappings/owners.toml");
    assert_eq!(mapping["overrides"][0], "min_rows=0");
    assert_eq!(mapping["reason"], "first run");
    assert_eq!(mapping["digest"].as_str().map(str::len), Some(32));
    assert_eq!(mapping["sources"][0][0], "mappings/data/owners.csv");
}

#[test]
fn a_saved_plan_is_applied_exactly_or_not_at_all() {
    let world = company();
    world.run(&["plan", "--out", "plan.tbl"]).ok();
    // The sources may change: the plan holds what was reviewed.
    world.write("mappings/data/owners.csv", rows(3));
    let said = world.run(&["apply", "plan.tbl"]).ok();
    assert!(said.out.contains("40 created"), "{said:?}");
    assert_eq!(relationships(&world), 40);
    world.run(&["apply", "plan.tbl"]).refused(4, "the database changed since this plan");

    world.write("mappings/data/owners.csv", rows(39));
    world.run(&["plan", "--out", "plan.tbl"]).ok();
    let before = world.dump();
    world.sync("other", "diff", &entity("x")).ok();
    let said = world.run(&["apply", "plan.tbl"]).refused(4, "plan made at");
    assert!(said.err.contains("run `tombolo plan` again"), "{said:?}");
    assert_eq!(relationships(&world), 40);
    assert_ne!(world.dump(), before);

    let mut bytes = std::fs::read(world.path("plan.tbl")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    world.write("plan.tbl", &bytes);
    world.run(&["apply", "plan.tbl"]).refused(2, "is no whole plan");
}

#[test]
fn a_plan_is_for_one_database() {
    let (world, other) = (company(), company());
    world.run(&["plan", "--out", "plan.tbl"]).ok();
    let plan = std::fs::read(world.path("plan.tbl")).unwrap();
    other.write("plan.tbl", plan);
    other.run(&["apply", "plan.tbl"]).refused(2, "was made for another database");
}

#[test]
fn a_refused_plan_is_not_saved() {
    let world = company();
    world.write("mappings/data/owners.csv", rows(0));
    world.run(&["plan", "--out", "plan.tbl"]).refused(4, "the plan was not saved");
    assert!(!world.path("plan.tbl").exists());
}

#[test]
fn one_mapping_that_fails_does_not_stop_the_others() {
    let world = company();
    world.write("mappings/broken.toml", "scope = \"broken\"\n");
    world.write("mappings/off.toml", MAPPING.replace("\"owners\"", "\"off\"\nenabled = false"));
    world.write(
        "mappings/wrong.toml",
        MAPPING.replace("\"owners\"", "\"wrong\"").replace("\"okta\"", "\"octa\""),
    );
    world.write(
        "mappings/labelled.toml",
        MAPPING.replace("\"owners\"", "\"labelled\"\nlabels = { tier = \"1\" }"),
    );
    let said =
        world.run(&["apply"]).refused(2, "missing `class`".replace("class", "from").as_str());
    assert!(
        said.out.contains("off       - disabled") || said.out.contains("- disabled"),
        "{said:?}"
    );
    assert!(
        said.out.contains("Applied: 80 created, 0 updated, 0 deleted; 2 mappings failed."),
        "{said:?}"
    );
    assert_eq!(relationships(&world), 80);
    let said = world.run(&["plan", "--label", "tier=1"]);
    assert!(said.out.contains("labelled") && !said.out.contains("owners"), "{said:?}");
}

#[test]
fn applying_twice_changes_nothing() {
    let world = company();
    world.run(&["apply"]).ok();
    let before = world.dump();
    let again = world.run(&["apply"]).ok();
    assert!(again.out.contains("= no changes   (40 relationships)"), "{again:?}");
    assert_eq!(world.dump(), before);
    // A row that moves changes no edge either.
    world.write("mappings/data/owners.csv", rows(40).replacen("\n", "\n\n\n", 1));
    assert_eq!(world.run(&["plan", "--exit-code"]).code, 0);
}

#[test]
fn a_deleted_mapping_file_deletes_nothing() {
    let world = company();
    world.run(&["apply"]).ok();
    std::fs::rename(world.path("mappings/owners.toml"), world.path("owners.toml")).unwrap();
    world.write("mappings/new.toml", MAPPING.replace("\"owners\"", "\"new\""));
    let said = world.run(&["apply"]).ok();
    assert!(said.out.contains("scope `owners` is unmanaged"), "{said:?}");
    assert!(said.out.contains("it holds 40 relationships of mappings/owners.toml"), "{said:?}");
    assert_eq!(relationships(&world), 80);
    world
        .run(&["scopes", "delete", "--edges-of", "jamf", "--reason", "x"])
        .refused(2, "no edges that a mapping made");
    world.run(&["scopes", "delete", "--edges-of", "owners", "--reason", "moved"]).ok();
    assert_eq!(relationships(&world), 40);
    assert!(!world.run(&["plan"]).ok().out.contains("unmanaged"));
}

#[test]
fn a_broken_file_still_manages_its_scope() {
    let world = company();
    world.run(&["apply"]).ok();
    world.write("mappings/owners.toml", MAPPING.replace("class =", "clas ="));
    let said = world.run(&["plan"]);
    assert_eq!(said.code, 2);
    assert!(!said.out.contains("unmanaged"), "{said:?}");
}

#[test]
fn an_edge_and_a_row_can_be_explained() {
    let world = company();
    world.write(
        "mappings/data/owners.csv",
        "email,serial,status,since\nUSER1@example.com,MAC-1,assigned,x\nuser2@example.com,N/A,assigned,\n",
    );
    world.run(&["apply"]).ok();
    let said = world.run(&["explain", "u:1|owns|d:1"]).ok();
    for words in
        ["mappings/data/owners.csv:2", "hostname", "mappings/owners.toml", "confidence   0.6"]
    {
        assert!(said.out.contains(words), "`{words}` is not in {said:?}");
    }
    let json = world.run(&["explain", "u:1|owns|d:1", "-o", "json"]).ok().json();
    assert_eq!(json["relationships"][0]["relationship"]["_origin"]["line"], 2);
    insta::assert_snapshot!("row", world.run(&["explain", "data/owners.csv:3"]).ok().out);
    world.run(&["explain", "data/owners.csv:9"]).refused(2, "no row begins on line 9");
    world.run(&["explain", "nothing.csv:9"]).refused(2, "no sound file reads");
    world.run(&["explain", "u:1|owns|d:2"]).refused(2, "no relationship has");
}

#[test]
fn impact_is_told_before_anything_is_applied() {
    let world = company();
    let json = world
        .run(&["plan", "--impact", "okta::u:1", "--class", "Device", "-o", "json"])
        .ok()
        .json();
    let impact = &json["impact"];
    assert_eq!(impact["entities"], 41, "{impact}");
    assert_eq!(impact["owners"]["gain"], 40);
    let user = impact["changes"].as_array().unwrap().iter().find(|c| c["entity"]["_key"] == "u:1");
    assert_eq!(user.unwrap()["reached"]["after"], 1);
    world.run(&["apply"]).ok();
    world.write("mappings/data/owners.csv", rows(39));
    let said = world.run(&["plan", "--class", "Device"]).ok();
    assert!(said.out.contains("1 loses its owner"), "{said:?}");
    assert!(said.out.contains("owner: u:39 -> nobody"), "{said:?}");
    world.run(&["plan", "--impact", "nobody"]).refused(2, "nobody");
}

#[test]
fn a_broken_promise_stops_the_job_before_it_writes() {
    let world = company();
    let test = "[[test]]\nname = \"all laptops\"\ncovers = \"to\"\n";
    world.write("mappings/owners.toml", format!("{MAPPING}\n{test}"));
    world.write("mappings/data/owners.csv", rows(30));
    world.run(&["apply"]).refused(4, "test \"all laptops\" failed: 30 of 40 have an edge");
    assert_eq!(relationships(&world), 0);
    world.write("mappings/owners.toml", format!("{MAPPING}\n{test}severity = \"warn\"\n"));
    world.run(&["apply"]).ok();
    assert_eq!(relationships(&world), 30);
}

#[test]
fn queries_give_rows_and_ask_the_graph_as_planned() {
    let world = company();
    world.run(&["apply"]).ok();
    // Who owns a laptop is asked of what the first mapping made.
    let mapping = r#"scope = "backups"
owner = "it@example.com"

[rows]
query = "FIND okta_user AS u THAT OWNS laptop AS d RETURN u._key AS user, d._key AS device"
where = "row.user ~= 'u:1'"

[relationship]
class = "BACKS"
type = "user_backs_device"

[from]
scope = "okta"
key = "{row.user}"

[to]
scope = "jamf"
key = "{row.device}"

[[test]]
name = "nobody whose number begins with 1 is without a backup"
query = "FIND okta_user WITH _key ^= 'u:1' THAT !BACKS laptop"

[[test]]
query = "FIND okta_user THAT BACKS AS b laptop WHERE b._scope = 'backups' RETURN b._key"
expect = "> 10"
"#;
    world.write("mappings/backups.toml", mapping);
    world.run(&["check"]).ok();
    let report = world.run(&["plan", "backups", "-o", "json"]).ok().json();
    assert_eq!(report["relationships"]["created"], 11, "{report}");
    world.write("mappings/backups.toml", mapping.replace("\"> 10\"", "10"));
    world.run(&["apply", "backups"]).refused(4, "the query has 11 rows, expected 10");
    // A test that holds since it asks for nothing that is there says so.
    for (right, wrong, told) in [
        ("FIND okta_user WITH _key", "FIND octa_user WITH _key", "octa_user"),
        ("WITH _key ^= 'u:1'", "WITH _kee ^= 'u:1'", "_kee"),
    ] {
        world.write("mappings/backups.toml", mapping.replace(right, wrong));
        let said = world.run(&["plan", "backups"]);
        let all = said.out.clone() + &said.err;
        assert!(all.contains("W07") && all.contains(told), "{said:?}");
    }
    world.write("mappings/backups.toml", mapping);
    world.run(&["apply", "backups"]).ok();
    let said = world.run(&["query", "FIND okta_user THAT BACKS laptop"]).ok();
    assert!(said.out.ends_with("\n11 entities\n"), "{}", said.out);
}

#[test]
fn a_stale_scope_is_not_believed() {
    let world = company();
    world.write(
        "mappings/owners.toml",
        format!("{MAPPING}\n[guard]\nfresh = {{ jamf = \"24h\", hr = \"1h\" }}\n"),
    );
    world.run(&["plan"]).refused(4, "scope `hr` was never synchronised; `fresh` asks for 1h");
    let said = world.run(&["apply"]);
    assert!(!said.err.contains("scope `jamf`"), "{said:?}");
}

#[test]
fn new_and_init_write_files_that_are_sound() {
    let world = World::new();
    world.run(&["init"]).ok();
    world.run(&["check"]).ok();
    world.run(&["new", "b", "--class", "OWNS"]).refused(2, "missing --from, --to, --rows");
    let flags = ["new", "b", "--class", "HAS", "--from", "@okta", "--to", "@jamf", "--join"];
    world.run(&[&flags[..], &["from.a = to.b", "--owner", "x\"y@z"]].concat()).ok();
    world.run(&["check"]).ok();
    world.run(&[&flags[..], &["from.a = to.b"]].concat()).refused(2, "exists already");
    let printed = world.run(&["schema"]).ok().out;
    let shipped = include_str!("../../docs/mapping.schema.json");
    assert_eq!(printed, shipped);
}

#[test]
fn a_workflow_reads_annotations() {
    let world = company();
    world.write("mappings/owners.toml", MAPPING.replace("email(row.email)", "emial(row.email)"));
    let said = world.run(&["check", "--format", "github"]);
    assert_eq!(said.code, 2);
    assert!(
        said.out.starts_with(
            "::error file=mappings/owners.toml,line=15,col=30,title=M0203::unknown function `emial`"
        ),
        "{said:?}"
    );
    let said = world.run(&["check", "--message-format", "json"]);
    let first: Value = serde_json::from_str(said.err.lines().next().unwrap()).unwrap();
    assert_eq!((&first["code"], &first["line"]), (&"M0203".into(), &15.into()));
}

#[test]
fn a_guessed_source_is_sound_and_loads() {
    let world = World::new();
    world.write("tombolo.toml", "");
    world.write(
        "hr-users.csv",
        "id,Full Name,email,started,manager\nu1,Ann A,ann@x.co,2024-01-02,\nu2,Bob B,bob@x.co,2024-02-03,u1\n",
    );
    world.write(
        "groups.json",
        r#"[{"id": "g1", "name": "Ops", "members": [{"id": "u1"}, {"id": "u2"}]},
            {"id": "g2", "name": "Dev", "members": []}]"#,
    );
    world.write(
        "devices.json",
        r#"{"@odata.context": "x", "value": [
            {"serialNumber": "C1", "deviceName": "mac-1", "owner": "bob@x.co"},
            {"serialNumber": "C2", "deviceName": "mac-2", "owner": "ann@x.co"}]}"#,
    );
    let files = ["new", "hr", "--source", "hr-users.csv", "groups.json", "devices.json"];
    world.run(&files).ok();
    let text = std::fs::read_to_string(world.path("mappings/hr.toml")).unwrap();
    insta::assert_snapshot!("guessed_source", text);
    world.run(&["check"]).ok();
    world.run(&["apply"]).ok();
    world.run(&files).refused(2, "exists already");
    let ask = |query: &str| {
        let said = world.run(&["query", query, "-o", "csv"]).ok();
        said.out.lines().skip(1).map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        ask("FIND User AS u THAT MANAGES >> User AS r RETURN u.displayName, r._key"),
        "Ann A,hr-user:u2"
    );
    assert_eq!(
        ask("FIND UserGroup AS g THAT HAS >> User AS u RETURN g.displayName, u.email"),
        "Ops,ann@x.co Ops,bob@x.co"
    );
    assert_eq!(
        ask(
            "FIND User AS u THAT OWNS >> Device AS d WHERE u.started > date(2024-01-31) RETURN d.displayName"
        ),
        "mac-1"
    );
    // What cannot be read is named, and nothing is written.
    world.write("x.pdf", "");
    world
        .run(&["new", "x", "--source", "x.pdf"])
        .refused(2, "does not say how its rows are written");
    world.run(&["new", "x", "--source", "none.csv"]).refused(2, "none.csv");
    assert!(!world.path("mappings/x.toml").exists());
}
