//! Source files and `tombolo import`, through the program.

use crate::cli::{Said, World};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sources")
}

/// The folders of samples, each named as the built-in source that reads it.
fn formats() -> Vec<String> {
    let entries = std::fs::read_dir(samples()).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The files of a sample, and what must come out of them.
fn sample(format: &str) -> (Vec<String>, Value) {
    let folder = samples().join(format);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "expected.json" {
            files.push(path.display().to_string());
        }
    }
    files.sort();
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    (files, serde_json::from_str(&expected).unwrap())
}

fn import(world: &World, args: &[&str], files: &[String]) -> Said {
    let mut all = vec!["import"];
    all.extend(args);
    all.extend(files.iter().map(String::as_str));
    all.extend(["--scope", "s", "-o", "json"]);
    world.run(&all)
}

#[test]
fn every_built_in_source_has_a_sample_and_is_listed() {
    let world = World::new();
    let listed = world.run(&["import", "--list"]).ok().out;
    let known: Vec<&str> =
        listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for format in formats() {
        assert!(known.contains(&format.as_str()), "{format} in {listed}");
        let printed = world.run(&["import", &format, "--print"]).ok();
        assert!(printed.out.contains("[[entity]]"), "{}", printed.out);
    }
    assert_eq!(formats().len(), 28);
}

#[test]
fn every_sample_makes_what_an_independent_count_says() {
    for format in formats() {
        let world = World::new();
        let (files, expected) = sample(&format);
        let report = import(&world, &[&format], &files).ok().json();
        for kind in ["entities", "relationships"] {
            assert_eq!(report["made"][kind], expected[kind], "{format}: {kind}");
        }
        let left = &expected["leftOver"];
        let items = &report["items"]["relationships"];
        assert_eq!(items["dangling"], left["dangling"], "{format}");
        assert_eq!(items["no reference"], left["noReference"], "{format}");
        check_spots(&world, &format, &expected);
        // The same files again change nothing.
        let again = import(&world, &[&format], &files).ok().json();
        for kind in ["entities", "relationships"] {
            for count in ["created", "updated", "deleted"] {
                assert_eq!(again[kind][count], 0, "{format}: {kind} {count}");
            }
        }
    }
}

/// Single entities and edges of a sample.
fn check_spots(world: &World, format: &str, expected: &Value) {
    let exported = world.run(&["export", "--scope", "s"]).ok().out;
    let objects: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for spot in expected["checks"].as_array().unwrap() {
        if let Some(entity) = spot.get("entity") {
            let found = objects.iter().find(|o| o["_key"] == entity["key"]);
            let found = found.unwrap_or_else(|| panic!("{format}: {entity}"));
            assert_eq!(found["_type"], entity["type"], "{format}: {entity}");
            for (name, value) in entity["properties"].as_object().into_iter().flatten() {
                assert_eq!(&found[name], value, "{format}: {name} of {}", entity["key"]);
            }
        }
        if let Some(edge) = spot.get("edge") {
            let is_there = objects.iter().any(|o| {
                o["_fromEntityKey"] == edge[0]
                    && o["_class"] == edge[1]
                    && o["_toEntityKey"] == edge[2]
            });
            assert!(is_there, "{format}: {edge}");
        }
    }
}

#[test]
fn the_format_of_every_sample_is_recognised() {
    for format in formats() {
        let world = World::new();
        let (files, _) = sample(&format);
        let errors = import(&world, &[], &files).ok().err;
        assert!(errors.contains(&format!("recognised as {format}:")), "{format}: {errors}");
    }
}

/// A world with these files, of which the first is a source file.
fn world_of(files: &[(&str, &str)]) -> World {
    let world = World::new();
    for (name, text) in files {
        let folder = world.path(name);
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        world.write(name, text);
    }
    world
}

const USERS: &str = r#"[
  {"id": "1", "login": "ana", "mail": "Ana@Example.com", "groups": ["g1", "g2"], "boss": "2"},
  {"id": "2", "login": "bob", "groups": ["g1"], "boss": ""},
  {"id": "3", "login": "cleo", "groups": [], "boss": "9"}
]"#;

const STAFF: &str = r#"scope = "staff"
owner = "it@example.com"
rows = { file = "users.json" }
class = { staff_group = "UserGroup" }

[[entity]]
type = "staff_user"
class = "User"
key = "user:{row.id}"
name = "{row.login}"
properties = { email = "{email(row.mail)}", login = "{row.login}" }
relationship = [
  { class = "HAS", items = "groups[*]", from = { create = "staff_group", key = "group:{row}", name = "{row}" } },
  { class = "MANAGES", from = "user:{row.boss}" },
]

[[test]]
entity = "user:1"

[[test]]
query = "FIND staff_user WITH email != undefined"
expect = 1
"#;

#[test]
fn a_source_is_planned_applied_and_explained() {
    let world = world_of(&[("staff.toml", STAFF), ("users.json", USERS)]);
    let check = world.run(&["check", "staff.toml"]).ok();
    assert!(check.out.contains("0 errors"), "{}", check.out);
    // Without a database a plan shows what apply would make, and makes nothing.
    let plan = world.run(&["plan", "staff.toml", "--unmatched"]).ok();
    assert!(plan.out.contains("9 to create"), "{}", plan.out);
    assert!(plan.out.contains("no entity `user:9`"), "{}", plan.out);
    assert!(!world.path("tombolo.redb").exists());
    let applied = world.run(&["apply", "staff.toml", "-o", "json"]).ok().json();
    assert_eq!(applied["made"]["entities"]["staff_group"], 2);
    assert_eq!(applied["items"]["relationships"]["dangling"], 1);
    assert_eq!(applied["items"]["relationships"]["no reference"], 1);
    assert_eq!(applied["relationships"]["created"], 4);
    world.write("users.json", USERS.replace("bob", "bobby"));
    let changed = world.run(&["plan", "staff.toml", "--details"]).ok();
    assert!(changed.out.contains("~ user:2 @staff"), "{}", changed.out);
    assert!(changed.out.contains("login: bob -> bobby"), "{}", changed.out);
    world.write("users.json", USERS);
    let again = world.run(&["plan", "staff.toml", "--exit-code"]).ok();
    assert!(again.out.contains("no changes"), "{}", again.out);
    let told = world.run(&["explain", "users.json:2", "--mappings", "staff.toml"]).ok();
    assert!(told.out.contains("made in `staff`: user:1"), "{}", told.out);
    assert!(told.out.contains("linked in `staff`: group:g1|has|user:1"), "{}", told.out);
    let query = world.run(&[
        "query",
        "FIND staff_group THAT HAS staff_user AS u RETURN u.email",
        "-o",
        "json",
    ]);
    assert!(query.ok().out.contains("ana@example.com"));
}

#[test]
fn mappings_are_planned_on_what_the_sources_would_make() {
    let mapping = r#"scope = "laptops"
owner = "it@example.com"
rows = { inline = [{ login = "ana", device = "d1" }] }
relationship = { class = "OWNS" }
from = { scope = "staff", match = "from.login = row.login" }
to = { scope = "devices", key = "device:{row.device}" }
"#;
    let devices = r#"scope = "devices"
owner = "it@example.com"
rows = { inline = [{ id = "d1" }, { id = "d2" }] }
entity = { type = "laptop", class = "Device", key = "device:{row.id}" }
"#;
    let world = world_of(&[
        ("mappings/staff.toml", &STAFF.replace("users.json", "../users.json")),
        ("mappings/devices.toml", devices),
        ("mappings/laptops.toml", mapping),
        ("users.json", USERS),
        ("tombolo.toml", ""),
    ]);
    let plan = world.run(&["plan"]).ok();
    assert!(plan.out.contains("12 to create"), "{}", plan.out);
    let applied = world.run(&["apply"]).ok();
    assert!(applied.out.contains("12 created"), "{}", applied.out);
    assert!(world.run(&["plan"]).ok().out.contains("0 to create, 0 to update, 0 to delete"));
}

#[test]
fn what_disagrees_is_a_fault_that_names_both_rows() {
    let rows = r#"[{"id": "1", "os": "a"}, {"id": "1"}, {"id": "1", "os": "b"}]"#;
    let source = r#"scope = "s"
owner = "it@example.com"
rows = { file = "rows.json" }
entity = { type = "host", class = "Host", key = "{row.id}", properties = ["os"] }
"#;
    let world = world_of(&[("s.toml", source), ("rows.json", rows)]);
    let refused = world.run(&["apply", "s.toml"]).refused(2, "M0703");
    assert!(
        refused.err.contains("rows.json:1 already, with `os` \"a\" there and \"b\" here"),
        "{}",
        refused.err
    );
    for (merge, os) in [("first", "\"a\""), ("last", "\"b\""), ("union", "[\"a\",\"b\"]")] {
        let merged = source.replace("[\"os\"]", &format!("[\"os\"], merge = \"{merge}\""));
        let world = world_of(&[("s.toml", &merged), ("rows.json", rows)]);
        let applied = world.run(&["apply", "s.toml", "-o", "json"]).ok().json();
        assert_eq!(applied["items"]["entities"]["folded"], 2);
        let exported = world.run(&["export", "--scope", "s"]).ok().out.replace(' ', "");
        assert!(exported.contains(&format!("\"os\":{os}")), "{merge}: {exported}");
    }
}

#[test]
fn a_source_that_loses_its_rows_deletes_nothing_unasked() {
    let many: String = (0..100).map(|i| format!("{{\"id\":\"{i}\"}}\n")).collect();
    let source = r#"scope = "s"
owner = "it@example.com"
rows = { file = "rows.ndjson" }
entity = { type = "host", class = "Host", key = "{row.id}" }
"#;
    let world = world_of(&[("s.toml", source), ("rows.ndjson", &many)]);
    world.run(&["apply", "s.toml"]).ok();
    let before = world.dump();
    world.write("rows.ndjson", "{\"id\":\"0\"}\n");
    let plan = world.run(&["plan", "s.toml"]);
    assert_eq!(plan.code, 4, "{plan:?}");
    assert!(plan.out.contains("would be held: 99 of 100 entities"), "{}", plan.out);
    let held = world.run(&["apply", "s.toml"]);
    assert_eq!(held.code, 4, "{held:?}");
    assert!(held.out.contains("held: 99 of 100 entities"), "{}", held.out);
    world.write("rows.ndjson", "");
    world.run(&["apply", "s.toml"]).refused(4, "0 rows were read");
    assert_eq!(world.dump(), before);
}

#[test]
fn an_edge_to_another_scope_is_refused_with_the_way() {
    let source = r#"scope = "s"
owner = "it@example.com"
rows = { inline = [{ id = "1" }] }
entity = { type = "host", class = "Host", key = "{row.id}", relationship = { class = "USES", to = { scope = "other", match = "to.id = row.id" } } }
"#;
    let world = world_of(&[("s.toml", source)]);
    let refused = world.run(&["check", "s.toml"]).refused(2, "its own scope");
    assert!(refused.err.contains("mapping file"), "{}", refused.err);
}

#[test]
fn wildcards_link_statements_to_what_they_name() {
    let source = r#"scope = "s"
owner = "it@example.com"
rows = { file = "rows.json" }

[[entity]]
items = "buckets[*]"
type = "bucket"
class = "DataStore"
key = "{row.arn}"
properties = "*"

[[entity]]
items = "policies[*]"
type = "policy"
class = "AccessPolicy"
key = "{row.name}"
relationship = { class = "ALLOWS", items = "statement[?it.effect = 'Allow']", to = { type = "bucket", match = "to.arn like row.resource", ambiguous = "all" } }
"#;
    let rows = r#"{"buckets": [{"arn": "arn:aws:s3:::logs-eu"}, {"arn": "arn:aws:s3:::logs-us"}, {"arn": "arn:aws:s3:::web"}],
 "policies": [{"name": "p", "statement": [{"effect": "Allow", "resource": ["arn:aws:s3:::logs-*"]}, {"effect": "Deny", "resource": "*"}]}]}"#;
    let world = world_of(&[("s.toml", source), ("rows.json", rows)]);
    let applied = world.run(&["apply", "s.toml", "-o", "json"]).ok().json();
    assert_eq!(applied["made"]["relationships"]["ALLOWS"], 2);
}

#[test]
fn broken_files_of_every_format_change_nothing() {
    let cases: [(&str, &[u8], &str); 9] = [
        ("rows.json", b"[{\"id\":\"1\"},", "never closed"),
        ("rows.json", b"{\"id\":", "EOF"),
        ("rows.ndjson", b"{\"id\":\"1\"}\n{\"id\"\n", "rows.ndjson:2"),
        ("rows.csv", b"id,b\n1,\"x\n2,y\n", "quote opened on line 2 is never closed"),
        ("rows.csv", b"id\n\xff\n", "not UTF-8"),
        ("rows.yaml", b"- id: [1\n", "rows.yaml"),
        ("rows.xml", b"<a><b></a>", "rows.xml"),
        (
            "rows.xml",
            b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><a>&x;</a>",
            "not expanded",
        ),
        ("rows.xlsx", b"PK\x03\x04 no workbook", "no workbook"),
    ];
    for (name, bytes, words) in cases {
        let source = format!(
            "scope = \"s\"\nowner = \"o\"\nrows = {{ file = \"{name}\" }}\n\
             entity = {{ type = \"t\", class = \"Record\", key = \"{{row.id}}\" }}\n"
        );
        let world = world_of(&[("s.toml", &source)]);
        world.write(name, bytes);
        world.run(&["apply", "s.toml"]).refused(2, words);
    }
    for deep in ["[".repeat(10_000), "{\"a\":".repeat(10_000)] {
        let source = "scope = \"s\"\nowner = \"o\"\nrows = { file = \"rows.json\" }\nentity = { type = \"t\", class = \"Record\", key = \"{row.id}\" }\n";
        let world = world_of(&[("s.toml", source), ("rows.json", &deep)]);
        assert_eq!(world.run(&["apply", "s.toml"]).code, 2);
    }
}

#[test]
fn exports_are_read_as_tools_write_them() {
    // Pages of an API one after the other, cells of a spreadsheet in Europe, a directory.
    let world = world_of(&[
        (
            "gitlab.toml",
            r#"scope = "gitlab"
owner = "it@example.com"
rows = { files = "members*.json" }
entity = { type = "gitlab_user", class = "User", key = "user:{row.id}", properties = { username = "{row.username}" } }
"#,
        ),
        ("members.json", "[{\"id\": 1, \"username\": \"ana\"}]\n[]\n[{\"id\": 2}]"),
        (
            "cmdb.toml",
            r#"scope = "cmdb"
owner = "it@example.com"
rows = { file = "cmdb.csv", encoding = "windows-1252" }
entity = { type = "server", class = "Host", key = "server:{row.id}", name = "{row.name}", properties = { seen = "{date(row.seen, '%m/%d/%Y %I:%M:%S %p')}" } }
"#,
        ),
        (
            "ad.toml",
            r#"scope = "ad"
owner = "it@example.com"
rows = { file = "ad.ldif" }
entity = { type = "ad_user", class = "User", key = "{row.dn}", relationship = { class = "HAS", items = "memberOf[*]", from = { create = "ad_group", class = "Group", key = "{row}" } } }
"#,
        ),
        (
            "ad.ldif",
            "dn: CN=Ana\nmemberOf: CN=SRE\nmemberOf: CN=VPN\n\ndn: CN=Bob\nmemberOf: CN=\n SRE\n",
        ),
    ]);
    world.write("cmdb.csv", b"id;name;seen\n1;srv-m\xfcnchen;3/1/2024 8:05:00 PM\n");
    let made = world.run(&["apply", "gitlab.toml", "-o", "json"]).ok().json();
    assert_eq!(made["made"]["entities"]["gitlab_user"], 2);
    world.run(&["apply", "cmdb.toml"]).ok();
    let server = world.run(&["get", "cmdb::server:1", "-o", "json"]).ok().out;
    assert!(server.contains("srv-münchen") && server.contains("1709323500000"), "{server}");
    let made = world.run(&["apply", "ad.toml", "-o", "json"]).ok().json();
    let made = &made["made"];
    assert_eq!(made["entities"]["ad_group"], 2);
    assert_eq!(made["relationships"]["HAS"], 3);
}

#[test]
fn an_export_of_another_encoding_says_how_it_is_read() {
    let source = "scope = \"s\"\nowner = \"o\"\nrows = { file = \"rows.csv\" }\nentity = { type = \"t\", class = \"Record\", key = \"{row.id}\" }\n";
    let world = world_of(&[("s.toml", source)]);
    world.write("rows.csv", b"id\n\xfc\n");
    world.run(&["apply", "s.toml"]).refused(2, "encoding = \"windows-1252\"");
    world.write("s.toml", source.replace("csv\"", "csv\", encoding = \"latin-7\""));
    world.run(&["apply", "s.toml"]).refused(2, "`latin-7` is no encoding that is known");
}

/// Many rows go through several batches on several threads, and to the disk and back.
#[test]
fn many_rows_make_the_same_as_few() {
    let mut rows = String::new();
    for i in 0..60_000 {
        // Every key stands twice, and the second time says more.
        let (id, late) = (i % 30_000, i >= 30_000);
        let more = if late { format!(", \"late\": \"{i:0>200}\"") } else { String::new() };
        rows.push_str(&format!("{{\"id\": {id}, \"team\": {}{more}}}\n", id % 10));
    }
    let source = r#"scope = "many"
owner = "it@example.com"
rows = { file = "rows.ndjson" }

[[entity]]
type = "thing"
class = "Record"
key = "thing:{row.id}"
properties = "*"
relationship = [
  { class = "HAS", from = { create = "team", class = "Team", key = "team:{row.team}", properties = { number = "{row.team}" } } },
  { class = "USES", to = ["thing:x", "thing:{default(row.id, 0)}"] },
  { class = "IS", where = "row.id = 7", to = { match = "to.id = row.id" } },
]
"#;
    let world = world_of(&[("many.toml", source), ("rows.ndjson", &rows)]);
    let applied = world.run(&["apply", "many.toml", "-o", "json"]).ok().json();
    let items = &applied["items"];
    assert_eq!(items["entities"]["made"], 30_000);
    assert_eq!(items["entities"]["folded"], 30_000);
    assert_eq!(applied["made"]["byEnds"], 10);
    assert_eq!(items["relationships"]["linked"], 60_001);
    assert_eq!(items["relationships"]["duplicate"], 60_001);
    assert_eq!(items["relationships"]["filtered"], 59_998);
    let last = world.run(&["get", "thing:29999", "-o", "json"]).ok().out;
    assert!(last.contains(&format!("{:0>200}", 59_999)), "{last}");
    let again = world.run(&["apply", "many.toml", "-o", "json"]).ok().json();
    assert_eq!(again["entities"]["unchanged"], 30_010);
}

#[test]
fn raw_exports_of_five_tools_lead_to_three_answers() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/raw-exports/run.sh");
    let output = std::process::Command::new("sh")
        .arg(script)
        .env("TOMBOLO", env!("CARGO_BIN_EXE_tombolo"))
        .output()
        .expect("a shell runs it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for answer in ["mac-ana", "C02EXM0003CC", "Example-Org/platform-api", "platform-assets"] {
        assert!(text.contains(answer), "{answer} is not in {text}");
    }
}

#[test]
fn a_scope_belongs_to_one_kind_of_writer() {
    let mapping = r#"scope = "staff"
owner = "it@example.com"
rows = { inline = [{ a = "1" }] }
relationship = { class = "OWNS" }
from = { scope = "x", key = "{row.a}" }
to = { scope = "y", key = "{row.a}" }
"#;
    let world = world_of(&[("staff.toml", STAFF), ("users.json", USERS), ("m.toml", mapping)]);
    world.run(&["apply", "staff.toml"]).ok();
    let refused = world.run(&["check", "m.toml"]).refused(2, "M0311");
    assert!(refused.err.contains("belongs to a collector"), "{}", refused.err);
}

#[test]
fn an_import_without_files_of_the_last_one_deletes_nothing_unasked() {
    let world = World::new();
    let (files, _) = sample("okta");
    import(&world, &["okta"], &files).ok();
    let before = world.dump();
    let users: Vec<String> = files.iter().filter(|f| f.ends_with("users.json")).cloned().collect();
    let refused = import(&world, &["okta"], &users).refused(4, "the limit is 0");
    assert!(refused.err.contains("apps.json"), "{}", refused.err);
    assert_eq!(world.dump(), before);
    let meant = ["okta", "--override", "max_delete=100", "--reason", "only people are wanted"];
    import(&world, &meant, &users).ok();
}

#[test]
fn a_type_without_a_class_is_a_fault_also_beside_edges_that_look_for_it() {
    let source = r#"scope = "s"
owner = "it@example.com"
rows = { inline = [{ id = "1", of = "1" }] }
entity = { type = "thing", key = "{row.id}", properties = "*", relationship = { class = "HAS", to = { match = "to.id = row.of" } } }
"#;
    let world = world_of(&[("s.toml", source)]);
    world.run(&["apply", "s.toml"]).refused(2, "type `thing` has no class");
}
