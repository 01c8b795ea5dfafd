//! Uploads that are data already: what files say is kept to the letter, and what cannot be read is
//! told with its place, or nothing changes.

use crate::cli::{World, entity};
use serde_json::{Value, json};

/// Uploads a file and returns the entities of the scope, by key.
fn load(name: &str, contents: impl AsRef<[u8]>, flags: &[&str]) -> Vec<Value> {
    let world = World::new();
    world.write(name, contents);
    world.run(&[&["sync", "--scope", "s", name], flags].concat()).ok();
    exported(&world)
}

fn exported(world: &World) -> Vec<Value> {
    let mut all: Vec<Value> =
        world.dump().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    all.sort_by_key(|one| one["_key"].to_string());
    all
}

/// Uploads a file over a scope of three entities; it is refused with these words, and nothing
/// changes.
#[track_caller]
fn refused(name: &str, contents: impl AsRef<[u8]>, flags: &[&str], words: &[&str]) {
    let world = World::new();
    world.sync("s", "diff", &(entity("a") + &entity("b") + &entity("c"))).ok();
    let before = world.dump();
    world.write(name, contents);
    let said = world.run(&[&["sync", "--scope", "s", name], flags].concat());
    assert_eq!(said.code, 2, "{said:?}");
    for words in words {
        assert!(said.err.contains(words), "`{words}` is not in {said:?}");
    }
    assert_eq!(world.dump(), before);
    assert_eq!(world.run(&["job", "list", "-o", "ndjson"]).ok().out.lines().count(), 1);
}

const HEAD: &str = "_key,_type,_class,name\n";

#[test]
fn a_quote_that_is_not_closed_changes_nothing() {
    let rows = |quote: &str| {
        let row = |n: usize| format!("k{n},t,User,{}n{n}\n", if n == 4 { quote } else { "" });
        HEAD.to_owned() + &(1..=24).map(row).collect::<String>()
    };
    let world = World::new();
    world.write("a.csv", rows(""));
    world.run(&["sync", "--scope", "s", "a.csv"]).ok();
    let before = world.dump();
    world.write("a.csv", rows("\""));
    let words = "a.csv:5: the quote opened on line 5 is never closed";
    for flags in [&[][..], &["--allow-deletes", "99"], &["--dry-run"], &["--mode", "patch"]] {
        world.run(&[&["sync", "--scope", "s", "a.csv"], flags].concat()).refused(2, words);
    }
    assert_eq!(world.dump(), before);
}

#[test]
fn other_quotes_that_swallow_rows_change_nothing() {
    let text = |rows: &str| format!("{HEAD}{rows}");
    refused(
        "a.csv",
        text("a,t,User,\"x\nb,t,User,\"y\"\n"),
        &[],
        &["a.csv:2:", "line 2 is closed on line 3"],
    );
    refused(
        "a.csv",
        text("a,t,User,\"x\nb,t,User,y\nc,t,User,24\"\n"),
        &[],
        &["a.csv:2:", "holds whole rows"],
    );
    refused("a.csv", text("a,t,User,\"x\" y\n"), &[], &["a.csv:2:", "written twice"]);
    refused("a.csv", "_key,\"_type,_class\na,t,User\n", &[], &["a.csv:1:", "never closed"]);
}

#[test]
fn a_cell_is_a_text_to_the_letter() {
    let cells =
        ["5E10", "10.10", "1.10", "12e4", "True", "007", "33.3333333333333333", "[1,2]", "null"];
    let rows = cells.iter().enumerate().map(|(n, cell)| format!("k{n},t,User,\"{cell}\"\n"));
    let found = load("a.csv", HEAD.to_owned() + &rows.collect::<String>(), &[]);
    let names: Vec<&str> = found.iter().map(|one| one["name"].as_str().expect("a text")).collect();
    assert_eq!(names, cells);
}

#[test]
fn the_header_says_which_cells_are_no_texts() {
    let text = "_key,_type,_class,port:number,active:bool,tags:list,_beginOn,_deleted\n\
                a,t,User,8080,TRUE,x;y,2024-01-01,false\nb,t,User,,,,,\n";
    let found = load("a.csv", text, &[]);
    assert_eq!(found[0]["port"], 8080);
    assert_eq!(found[0]["active"], true);
    assert_eq!(found[0]["tags"], json!(["x", "y"]));
    assert!(found[1].get("port").is_none());
    let wrong = "_key,_type,_class,port:number\na,t,User,80\nb,t,User,http\n";
    refused("a.csv", wrong, &[], &["a.csv:3: at `.port`: _key `b`: `http` is no number"]);
    refused("a.csv", "_key,_type,_class,_deleted\na,t,User,True\n", &[], &["is a tombstone"]);
}

fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    let units = format!("\u{FEFF}{text}");
    let bytes =
        units.encode_utf16().map(|u| if big_endian { u.to_be_bytes() } else { u.to_le_bytes() });
    bytes.flatten().collect()
}

#[test]
fn every_encoding_and_delimiter_is_read() {
    let csv = "_key,_type,_class,name\r\na,t,User,\"é, 1\"\r\n";
    let tabs = "_key\t_type\t_class\tname\na\tt\tUser\té, 1\n";
    let semicolons = "_key;_type;_class;name\na;t;User;é, 1\n";
    let line = "{\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"User\",\"name\":\"é, 1\"}";
    let document = format!("[\n {line}\n]");
    let marked = |text: &str| format!("\u{FEFF}{text}").into_bytes();
    for (name, contents) in [
        ("a.csv", csv.as_bytes().to_vec()),
        ("a.csv", marked(csv)),
        ("a.csv", utf16(csv, false)),
        ("a.csv", utf16(csv, true)),
        ("a.csv", utf16(&tabs.replace('\n', "\r\n"), false)),
        ("a.csv", semicolons.into()),
        ("a.csv", format!("sep=;\r\n{semicolons}").into()),
        ("a.tsv", tabs.into()),
        ("a.tsv", utf16(tabs, false)),
        ("a.ndjson", marked(line)),
        ("a.ndjson", utf16(line, true)),
        ("a.json", marked(&document)),
        ("a.json", utf16(&document, false)),
    ] {
        let found = load(name, &contents, &[]);
        assert_eq!(
            (found.len(), found[0]["name"].as_str()),
            (1, Some("é, 1")),
            "{name} {contents:?}"
        );
    }
    load("a.csv", "_key~_type~_class\na~t~User\n", &["--delimiter", "~"]);
    load("a.csv", "_key\t_type\t_class\na\tt\tUser\n", &["--delimiter", "tab"]);
    refused("a.csv", "_key~_type~_class\na~t~User\n", &[], &["--delimiter"]);
    refused("a.csv", "_key;x,_type\na;t,User\n", &[], &["several delimiters", "--delimiter"]);
    refused("a.csv", "id,name\n1,x\n", &[], &["has no `_key`, `_type` or `_class`: `id`, `name`"]);
    refused(
        "a.csv",
        "_key,_type,_class\na,t,User\n",
        &["--delimiter", ";"],
        &["`_key,_type,_class`"],
    );
}

#[test]
fn a_folder_is_read_whole_and_what_is_passed_over_is_said() {
    let world = World::new();
    std::fs::create_dir_all(world.path("f/sub/deep")).unwrap();
    std::fs::create_dir_all(world.path("f/.git")).unwrap();
    world.write("f/a.ndjson", entity("a"));
    world.write("f/sub/b.csv", "_key,_type,_class\nb,t,User\n");
    world.write("f/sub/deep/c.json", format!("[{}]", entity("c")));
    world.write("f/.git/d.ndjson", entity("d"));
    world.write("f/._a.ndjson", "\0\u{5}resource fork");
    world.write("f/README.md", "no upload");
    let said = world.run(&["sync", "--scope", "s", "f"]).ok();
    let keys: Vec<Value> = exported(&world).iter().map(|one| one["_key"].clone()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    for words in ["hidden: `f/._a.ndjson`, `f/.git`", "no upload by its name: `f/README.md`"] {
        assert!(said.err.contains(words), "{said:?}");
    }
    std::fs::create_dir(world.path("empty.csv")).unwrap();
    world.run(&["sync", "--scope", "s", "empty.csv"]).refused(2, "no file to upload in the folder");
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    let bad = "{\"_key\":\"b\",\"_type\":\"t\",\"_class\":\"User\",\"x\":{\"y\":1}}";
    let lines = [entity("a").trim(), "", bad].join("\r\n");
    refused("a.ndjson", lines, &[], &["a.ndjson:3: at `.x`: _key `b`"]);
    refused(
        "a.csv",
        "_key,_type,_class\r\na,t,User\r\nb,t\r\n",
        &[],
        &["a.csv:3: _key `b`: the row has 2 cells"],
    );
    refused(
        "a.csv",
        "_key,_type,_class,_x\r\na,t,User,\r\nb,t,User,1\r\n",
        &[],
        &["a.csv:3: at `._x`"],
    );
    let document = format!("[\r\n{},\r\n  {bad}\r\n]", entity("a").trim());
    refused("a.json", document, &[], &["a.json:3: at `[1].x`: _key `b`"]);
    refused("a.json", "[\n {\"_key\":\"a\",\n  \"x\" 1}\n]", &[], &["a.json:3:7: at `[0]`"]);
}

#[test]
fn what_another_tool_wrote_is_told_at_its_member() {
    let text = "{\n \"Buckets\": [\n  {\"Name\":\"x\"}\n ]\n}\n";
    refused("a.json", text, &[], &["a.json:2:2: unknown member `Buckets`", "tombolo import"]);
    refused("a.json", "{\"_key\":\"a\"}\n", &[], &["a.json:1:2:", "name the file .ndjson"]);
}

#[test]
fn nested_objects_are_refused_flattened_or_kept() {
    let line = "{\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"User\",\"profile\":{\"city\":\"Rome\",\"tags\":[\"x\"]},\"n\":1}\n";
    refused("a.ndjson", line, &[], &["at `.profile`", "--flatten", "--raw"]);
    for (name, text) in [("a.ndjson", line.to_owned()), ("a.json", format!("[{line}]"))] {
        let flat = load(name, &text, &["--flatten"]);
        assert_eq!(
            (&flat[0]["profile.city"], &flat[0]["profile.tags"]),
            (&json!("Rome"), &json!(["x"]))
        );
        let raw = load(name, &text, &["--raw"]);
        assert_eq!(raw[0]["_rawData"], json!({ "profile": { "city": "Rome", "tags": ["x"] } }));
        assert_eq!(raw[0]["n"], 1);
    }
    // The same text means something else with another flag.
    let world = World::new();
    world.write("a.ndjson", line);
    world.run(&["sync", "--scope", "s", "--raw", "a.ndjson"]).ok();
    world.run(&["sync", "--scope", "s", "--flatten", "a.ndjson"]).ok();
    assert_eq!(exported(&world)[0]["profile.city"], "Rome");
}

#[test]
fn all_faults_of_all_files_are_told_by_kind() {
    let world = World::new();
    let line = |n: usize| match n % 3 {
        0 => entity(&format!("k{n}")),
        1 => format!("{{\"_key\":\"k{n}\",\"_type\":\"t\",\"_class\":\"C\",\"x\":{{}}}}\n"),
        _ => format!("{{\"_type\":\"t\",\"_class\":\"C\",\"n\":{n}}}\n"),
    };
    world.write("a.ndjson", (0..9000).map(line).collect::<String>());
    world.write("b.csv", "_key,_type,_class\nz,t\n");
    let said = world.run(&["sync", "--scope", "s", "-o", "json", "a.ndjson", "b.csv"]);
    assert_eq!(said.code, 2);
    for words in [
        "6001 faults in the upload, nothing was changed",
        "3000 times: an object cannot be a value",
        "  a.ndjson:2: at `.x`: _key `k1`",
        "  … 2995 more",
        "3000 times: entity has no `_key`",
        "b.csv:2: _key `z`: the row has 2 cells, the header 3",
    ] {
        assert!(said.err.contains(words), "`{words}` is not in {said:?}");
    }
    let faults = &said.json()["faults"];
    assert_eq!((&faults["total"], &faults["kinds"][0]["count"]), (&json!(6001), &json!(3000)));
    assert_eq!(faults["kinds"][0]["first"][0]["place"], "a.ndjson:2");
}

fn link(key: &str, to: &str) -> String {
    format!(
        "{{\"_key\":\"{key}\",\"_type\":\"r\",\"_class\":\"OWNS\",\"_fromEntityKey\":\"a\",\"_toEntityKey\":\"{to}\"}}\n"
    )
}

#[test]
fn what_is_skipped_is_told_by_reason() {
    let world = World::new();
    let to = |n: usize| if n < 16 { "gone".to_owned() } else { format!("m{n}") };
    let rows: String = (0..59).map(|n| link(&format!("e{n}"), &to(n))).collect();
    world.write("a.ndjson", entity("a") + &rows);
    let said = world.run(&["sync", "--scope", "s", "a.ndjson"]).ok().out;
    let line = "  16 × `to` entity `gone` in scope `s` was never seen: a.ndjson:2 e0, a.ndjson:3 e1, a.ndjson:4 e2, … 13 more";
    assert!(said.contains(line), "{said}");
    assert!(said.contains("… 34 more for 34 other reasons (-o json lists all)"), "{said}");
    let rows: String = (0..10_050).map(|n| link(&format!("e{n}"), "gone")).collect();
    world.write("a.ndjson", entity("a") + &rows);
    let said = world.run(&["sync", "--scope", "s", "a.ndjson"]).ok().out;
    assert!(said.contains("… 50 more are only counted"), "{said}");
    let report = world.run(&["sync", "--scope", "s", "-o", "json", "a.ndjson"]).ok().json();
    assert_eq!((&report["skippedTotal"], &report["skippedLeftOut"]), (&json!(10_050), &json!(50)));
}

#[test]
fn an_end_given_by_id_is_told_where_it_lives() {
    let world = World::new();
    world.sync("s", "diff", &entity("a")).ok();
    world.sync("other", "diff", &entity("x")).ok();
    let id = world.run(&["get", "x", "-o", "json"]).ok().json()["entity"]["_id"].clone();
    let row = json!({
        "_key": "e", "_type": "r", "_class": "OWNS", "_fromEntityScope": "s", "_fromEntityKey": "a",
        "_toEntityScope": "s", "_toEntityId": id,
    });
    let report = world.sync("bridge", "cross-scope", &row.to_string()).ok().json();
    let reason = report["skipped"][0]["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("was never seen; this id lives in scope `other`"), "{reason}");
}

#[test]
fn a_scope_has_one_kind_of_owner() {
    let world = World::new();
    world.sync("okta", "diff", &(entity("a") + &entity("b") + &link("e", "b"))).ok();
    world.sync("jamf", "diff", &(entity("x") + &entity("y"))).ok();
    let bridge = json!({
        "_key": "m", "_type": "r", "_class": "OWNS", "_fromEntityScope": "jamf",
        "_fromEntityKey": "x", "_toEntityScope": "jamf", "_toEntityKey": "y",
    });
    let bridge = bridge.to_string() + "\n";
    let before = world.dump();
    world.sync("okta", "cross-scope", &bridge).refused(2, "scope `okta` belongs to a collector");
    let mapping = "scope = \"okta\"\nowner = \"a@b\"\nrows = { inline = [{ a = \"x\", b = \"y\" }] }\n\
                   relationship = { class = \"OWNS\", type = \"t\" }\n\
                   from = { scope = \"jamf\", key = \"{row.a}\" }\nto = { scope = \"jamf\", key = \"{row.b}\" }\n";
    world.write("tombolo.toml", "");
    std::fs::create_dir_all(world.path("mappings")).unwrap();
    world.write("mappings/okta.toml", mapping);
    for command in ["plan", "apply"] {
        let said = world.run(&[command]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.out.contains("scope `okta` belongs to a collector"), "{said:?}");
    }
    assert_eq!(world.dump(), before);
    world.sync("bridge", "cross-scope", &bridge).ok();
    let before = world.dump();
    for mode in ["diff", "patch"] {
        world.sync("bridge", mode, &entity("z")).refused(2, "scope `bridge` belongs to a bridge");
    }
    world.sync("mapped:x", "diff", &entity("z")).refused(2, "`mapped:x` is reserved");
    assert_eq!(world.dump(), before);
    // Relationships alone make a scope a collector's too, unless an export may have brought them.
    world
        .sync(
            "edges",
            "diff",
            &(link("e", "b")
                .replace("}", ",\"_fromEntityScope\":\"okta\",\"_toEntityScope\":\"okta\"}")),
        )
        .ok();
    world.sync("edges", "cross-scope", &bridge).refused(2, "scope `edges` belongs to a collector");
    let other = World::new();
    other.write("export.ndjson", world.dump());
    other.run(&["sync", "export.ndjson"]).ok();
    other.sync("okta", "cross-scope", &bridge).refused(2, "scope `okta` belongs to a collector");
    // The first job of a bridge that changes something there takes it over.
    other.sync("bridge", "cross-scope", &bridge.replace("\"m\"", "\"m2\"")).ok();
    other.sync("bridge", "diff", &entity("z")).refused(2, "scope `bridge` belongs to a bridge");
    // A scope that was emptied belongs to nobody.
    world
        .run(&[
            "sync",
            "--scope",
            "bridge",
            "-m",
            "cross-scope",
            "--allow-deletes",
            "9",
            "none.ndjson",
        ])
        .refused(2, "none.ndjson");
    world.write("none.ndjson", "");
    world
        .run(&[
            "sync",
            "--scope",
            "bridge",
            "-m",
            "cross-scope",
            "--allow-deletes",
            "9",
            "none.ndjson",
        ])
        .ok();
    world.sync("bridge", "diff", &entity("z")).ok();
}

#[test]
fn what_an_export_holds_can_be_loaded_elsewhere_and_stays_pinned() {
    let world = World::new();
    world.sync("s", "diff", &entity("a").replace("\"n\":1", "\"n\":1,\"color\":\"red\"")).ok();
    world.sync("s", "override", "{\"_key\":\"a\",\"color\":\"blue\"}").ok();
    let said = world.run(&["get", "a"]).ok().out;
    assert!(said.contains("color  blue  (pinned)"), "{said}");
    assert_eq!(world.run(&["get", "a", "-o", "json"]).ok().json()["pinned"], json!(["color"]));
    let export = world.dump();
    assert_eq!(exported(&world)[0]["_pins"], json!({ "color": "blue" }));
    let other = World::new();
    other.write("export.ndjson", &export);
    other.run(&["sync", "export.ndjson"]).ok();
    assert_eq!(exported(&other)[0]["_pins"], json!({ "color": "blue" }));
    let again = other.run(&["sync", "export.ndjson", "-o", "json"]).ok().json();
    assert_eq!(again["entities"]["unchanged"], 1);
    other.sync("s", "diff", &entity("a").replace("\"n\":1", "\"n\":2,\"color\":\"green\"")).ok();
    let now = &exported(&other)[0];
    assert_eq!((&now["color"], &now["n"]), (&json!("blue"), &json!(2)));
    for member in ["\"_type\":\"t\"", "\"_class\":\"C\"", "\"_rawData\":{}"] {
        let row = format!("{{\"_key\":\"a\",\"color\":\"x\",{member}}}");
        world.sync("s", "override", &row).refused(2, "OVERRIDE pins properties");
    }
    world
        .sync("s", "patch", "{\"_key\":\"a\",\"_pins\":{\"n\":3}}")
        .refused(2, "`_pins` is taken by DIFF");
    world
        .sync("s", "diff", &entity("a").replace("\"n\":1", "\"_pins\":{\"x\":{}}"))
        .refused(2, "`._pins.x`");
}

#[test]
fn a_job_that_changed_nothing_cannot_be_undone_and_any_other_can() {
    let world = World::new();
    let job = |said: crate::cli::Said| said.ok().json()["id"].as_str().expect("an id").to_owned();
    let made = job(world.sync("s", "diff", &entity("a")));
    let updated = job(world.sync("s", "diff", &entity("a").replace("\"n\":1", "\"n\":2")));
    let same = job(world.sync("s", "diff", &entity("a").replace("\"n\":1", "\"n\":2")));
    world.run(&["job", "undo", &same]).refused(2, "changed nothing, so there is nothing to undo");
    let said = world.run(&["job", "undo", &updated]).ok().out;
    assert!(said.contains("~ 1 object changed back"), "{said}");
    let said = world.run(&["job", "undo", &made]).ok().out;
    assert!(said.contains("! entity `a` was touched since"), "{said}");
    let both = entity("b");
    world.sync("s", "diff", &(entity("a") + &both)).ok();
    let mixed = job(world.sync("s", "diff", &both.replace("\"n\":1", "\"n\":3")));
    let said = world.run(&["job", "undo", &mixed]).ok().out;
    assert!(said.contains("+ 1 entity") && said.contains("~ 1 object"), "{said}");
}

#[test]
fn a_list_of_jobs_counts_what_happened() {
    let world = World::new();
    let all: String = (0..100).map(|n| entity(&format!("k{n:03}"))).collect();
    world.sync("s", "diff", &all).ok();
    let half: String = all.lines().take(50).map(|line| format!("{line}\n")).collect();
    let held = world.sync("s", "diff", &half);
    assert_eq!(held.code, 4);
    let id = held.json()["id"].as_str().expect("an id").to_owned();
    let deleted = || world.run(&["job", "list", "-o", "json"]).ok().json()[0]["deleted"].clone();
    assert_eq!(deleted(), 0);
    let said = world.run(&["job", "show", &id, "--changes"]).ok().out;
    assert!(said.starts_with("- k050 @s  thing\n- k051 @s"), "{said}");
    world.run(&["job", "abort", &id]).ok();
    assert_eq!(deleted(), 0);
    assert_eq!(
        world.run(&["job", "show", &id, "-o", "json"]).ok().json()["entities"]["deleted"],
        0
    );
    world.run(&["job", "show", &id, "--changes"]).refused(2, "neither held nor finished");
}

#[test]
fn a_dry_run_names_what_would_change() {
    let world = World::new();
    let user = |key: &str, status: &str| {
        format!(
            "{{\"_key\":\"{key}\",\"_type\":\"okta_user\",\"_class\":\"User\",\"status\":\"{status}\"}}\n"
        )
    };
    world
        .sync(
            "okta",
            "diff",
            &(user("a", "ACTIVE")
                + &user("bob", "ACTIVE")
                + &user("c", "ACTIVE")
                + &link("e", "bob")),
        )
        .ok();
    let before = world.dump();
    world.write(
        "next.ndjson",
        user("a", "ACTIVE")
            + &user("bob", "SUSPENDED").replace("}", ",\"mfa\":true}")
            + &user("d", "ACTIVE")
            + &link("f", "d"),
    );
    let flags = ["sync", "--scope", "okta", "--dry-run", "--details", "next.ndjson"];
    let said = world.run(&flags).ok().out;
    let lines: Vec<&str> = said.lines().take(5).collect();
    assert_eq!(
        lines,
        [
            "~ bob @okta  mfa: (none) -> true  status: ACTIVE -> SUSPENDED",
            "+ d @okta  okta_user",
            "- c @okta  okta_user",
            "+ a -OWNS-> d @okta  r",
            "- a -OWNS-> bob @okta  r",
        ],
        "{said}"
    );
    let told = world.run(&[&flags[..], &["-o", "json"]].concat()).ok().json();
    assert_eq!(
        told["changes"][0]["properties"][1],
        json!({ "name": "status", "before": "ACTIVE", "after": "SUSPENDED" })
    );
    assert_eq!(told["jobs"][0]["entities"]["updated"], 1);
    assert_eq!(world.dump(), before);
    world.run(&["sync", "--scope", "okta", "--details", "next.ndjson"]).refused(2, "--dry-run");
}

#[test]
fn a_project_begins_in_any_order() {
    let world = World::new();
    world.run(&["init"]).ok();
    let said = world.run(&["plan"]).ok();
    assert!(said.err.contains("tombolo new SCOPE"), "{said:?}");
    let ignored = std::fs::read_to_string(world.path(".gitignore")).unwrap();
    assert_eq!(ignored, "/tombolo.redb\n/tombolo.redb.jobs/\n/tombolo.redb.index/\n");
    world.run(&["init"]).refused(2, "exist already");
    let world = World::new();
    world.write(".gitignore", "target");
    world.sync("s", "diff", &entity("a")).ok();
    let before = world.dump();
    world.run(&["init"]).ok();
    assert!(world.path("tombolo.toml").exists());
    assert!(
        std::fs::read_to_string(world.path(".gitignore"))
            .unwrap()
            .starts_with("target\n/tombolo.redb\n")
    );
    assert_eq!(world.dump(), before);
}
