//! Mapping files through the command line: the five-line file, plan and apply, faults with spans.

use crate::cli::World;

const MINIMAL: &str = r#"scope        = "okta-jamf-ownership"
rows         = { file = "data/inventory.csv" }
relationship = { class = "OWNS", type = "user_owns_device" }
from         = { scope = "okta-instance-id", key = "okta-user:{row.login}" }
to           = { scope = "jamf-instance-id", key = "jamf-device:{row.device}" }
"#;

fn islands() -> World {
    let world = World::new();
    let user = |n: &str| {
        format!("{{\"_key\":\"okta-user:{n}\",\"_type\":\"okta_user\",\"_class\":\"User\"}}\n")
    };
    world.sync("okta-instance-id", "diff", &(user("alice") + &user("bob"))).ok();
    let laptop = |n: &str| {
        format!("{{\"_key\":\"jamf-device:{n}\",\"_type\":\"laptop\",\"_class\":\"Device\"}}\n")
    };
    world.sync("jamf-instance-id", "diff", &(laptop("laptop-001") + &laptop("laptop-002"))).ok();
    std::fs::create_dir_all(world.path("mappings/data")).unwrap();
    world.write(
        "mappings/data/inventory.csv",
        "login,device\nalice,laptop-001\nbob,laptop-002\ncarol,laptop-003\n",
    );
    world.write("mappings/okta-jamf-ownership.toml", MINIMAL);
    world
}

#[test]
fn the_five_line_file_makes_the_edge_of_the_page() {
    let world = islands();
    let plan = world.run(&["plan"]).ok();
    assert!(plan.out.contains("2 to create"), "{plan:?}");
    assert!(plan.out.contains("3 read = 2 linked + 1 missing both"), "{plan:?}");
    assert_eq!(world.run(&["plan", "--exit-code"]).code, 3);
    world.run(&["apply"]).ok();
    assert!(world.dump().contains("\"okta-user:alice|owns|jamf-device:laptop-001\""));
    let again = world.run(&["plan", "--exit-code"]).ok();
    assert!(again.out.contains("no changes"), "{again:?}");
}

#[test]
fn a_class_is_selected_in_any_spelling() {
    let world = islands();
    let by_class = MINIMAL
        .replace(
            "key = \"okta-user:{row.login}\"",
            "class = \"USER\", key = \"okta-user:{row.login}\"",
        )
        .replace("key = \"jamf-device:", "class = [\"Host\", \"de-vice\"], key = \"jamf-device:");
    world.write("mappings/okta-jamf-ownership.toml", &by_class);
    let plan = world.run(&["plan"]).ok();
    assert!(plan.out.contains("2 to create"), "{plan:?}");
    world.write("mappings/okta-jamf-ownership.toml", by_class.replace("USER", "Users"));
    let plan = world.run(&["plan"]);
    assert_eq!(plan.code, 2, "{plan:?}");
    for told in ["has class `Users`", "did you mean `User`?"] {
        assert!(plan.err.contains(told), "{plan:?}");
    }
}

#[test]
fn removing_a_row_removes_exactly_its_edge() {
    let world = islands();
    world.run(&["apply"]).ok();
    world.write("mappings/data/inventory.csv", "login,device\nalice,laptop-001\n");
    world.run(&["apply"]).ok();
    let dump = world.dump();
    assert!(dump.contains("laptop-001\"") && !dump.contains("okta-user:bob|owns"), "{dump}");
}

#[test]
fn a_source_without_rows_is_refused() {
    let world = islands();
    world.run(&["apply"]).ok();
    let before = world.dump();
    world.write("mappings/data/inventory.csv", "login,device\n");
    let said = world.run(&["apply"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert_eq!(world.dump(), before);
}

#[test]
fn check_needs_no_database_and_names_every_place() {
    let world = World::new();
    std::fs::create_dir_all(world.path("mappings/data")).unwrap();
    world.write("mappings/data/inventory.csv", "login,device\n");
    let broken =
        MINIMAL.replace("class = \"OWNS\"", "class = \"owns\"").replace("row.login", "row.logn");
    world.write("mappings/broken.toml", format!("{broken}jion = \"x\"\n"));
    let said = world.run(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    for words in [
        "error[M0304]: class `owns` is not upper case",
        "mappings/broken.toml:3:",
        "error[M0102]: unknown key `jion`",
        "mappings/broken.toml:6:1",
        "error[M0401]: `data/inventory.csv` has no column `logn`",
        "its columns: login, device",
    ] {
        assert!(said.err.contains(words), "`{words}` is not in {}", said.err);
    }
    assert!(!world.path("tombolo.redb").exists());
}

#[test]
fn a_mapping_cannot_link_entities_of_its_own_scope() {
    let world = islands();
    let own = MINIMAL.replace("\"jamf-instance-id\"", "\"okta-jamf-ownership\"");
    world.write("mappings/okta-jamf-ownership.toml", own);
    world
        .run(&["check"])
        .refused(2, "error[M0302]: a mapping cannot link entities of its own scope");
}

#[test]
fn the_shipped_mappings_are_sound() {
    let mappings = concat!(env!("CARGO_MANIFEST_DIR"), "/mappings");
    World::new().run(&["check", mappings]).ok();
}

#[test]
fn the_demo_answers_its_questions() {
    let said = World::new().run(&["demo"]).ok();
    for words in [
        "jamf-device:laptop-001",
        "github-repo:platform-api",
        "cmdb-app:billing",
        "github-team:platform",
    ] {
        assert!(said.out.contains(words), "`{words}` is not in {}", said.out);
    }
}

#[test]
fn a_default_key_that_would_be_too_long_has_a_digest() {
    let world = World::new();
    let long = |c: &str| c.repeat(693);
    let entity = |key: &str, kind: &str| {
        format!("{{\"_key\":\"{key}\",\"_type\":\"t\",\"_class\":\"{kind}\"}}\n")
    };
    world.sync("a", "diff", &entity(&long("é").replace('é', "x"), "User")).ok();
    world.sync("b", "diff", &entity(&long("y"), "Device")).ok();
    std::fs::create_dir_all(world.path("mappings")).unwrap();
    let (from, to) = (long("x"), long("y"));
    let rows = format!("rows = {{ inline = [{{ a = \"{from}\", b = \"{to}\" }}] }}\n");
    let ends = "relationship = { class = \"OWNS\" }\n\
        from = { scope = \"a\", key = \"{row.a}\" }\nto = { scope = \"b\", key = \"{row.b}\" }\n";
    world.write("mappings/long.toml", format!("scope = \"long\"\n{rows}{ends}"));
    world.run(&["apply"]).ok();
    let start = format!("{}|owns|{}|", "x".repeat(240), "y".repeat(240));
    assert!(world.dump().contains(&start), "{}", world.dump());
    // The same key comes out each time, so nothing changes, and an upload without a key means it.
    let again = world.run(&["plan", "--exit-code"]).ok();
    assert!(again.out.contains("no changes"), "{again:?}");
}

#[test]
fn a_preference_ranks_by_the_network_that_has_the_address() {
    let world = World::new();
    let net = |key: &str, cidr: &str| {
        format!("{{\"_key\":\"{key}\",\"_type\":\"net\",\"_class\":\"Network\",\"cidr\":{cidr}}}\n")
    };
    // `wide` has the longer prefix, of a network that the address does not lie in.
    let nets = net("wide", r#"["10.0.0.0/8", "192.168.1.0/28"]"#)
        + &net("near", r#"["10.1.0.0/16", "172.16.0.0/12"]"#);
    world.sync("nets", "diff", &nets).ok();
    let host = "{\"_key\":\"h\",\"_type\":\"host\",\"_class\":\"Host\",\"ip\":\"10.1.2.3\"}\n";
    world.sync("hosts", "diff", host).ok();
    std::fs::create_dir_all(world.path("mappings")).unwrap();
    world.write(
        "mappings/nets.toml",
        r#"scope = "host-nets"
rows = { inline = [{ ip = "10.1.2.3" }] }
relationship = { class = "HAS" }
from = { scope = "nets", match = "row.ip in cidr(from.cidr)", prefer = "prefix_len(from.cidr)" }
to = { scope = "hosts", match = "to.ip = row.ip" }
"#,
    );
    let plan = world.run(&["plan", "--details"]).ok();
    assert!(plan.out.contains("near -HAS-> h"), "{plan:?}");
}

#[test]
fn a_property_that_no_entity_has_is_a_fault() {
    let world = World::new();
    let user = |key: &str| {
        format!(
            "{{\"_key\":\"{key}\",\"_type\":\"u\",\"_class\":\"User\",\"email\":\"{key}@x.co\"}}\n"
        )
    };
    world.sync("okta", "diff", &(user("a") + &user("b"))).ok();
    world.sync("hr", "diff", &user("p")).ok();
    std::fs::create_dir_all(world.path("mappings")).unwrap();
    let mapping = |when: &str, filter: &str| {
        let text = format!(
            "scope = \"m\"\nrows = {{ inline = [{{ mail = \"a@x.co\" }}] }}\n\
             relationship = {{ class = \"IS\" }}\n\
             from = {{ scope = \"okta\", where = \"{filter}\", match = \"{when}\" }}\n\
             to = {{ scope = \"hr\", key = \"p\" }}\n"
        );
        world.write("mappings/m.toml", text);
    };
    mapping("from.email = row.mail", "from._key != undefined");
    world.run(&["apply"]).ok();
    let before = world.dump();
    mapping("from.emial = row.mail", "from._key != undefined");
    world.run(&["check"]).ok();
    let said = world.run(&["apply"]).refused(2, "no entity of `[from]` has the property `emial`");
    assert!(said.err.contains("did you mean `email`?"), "{said:?}");
    assert_eq!(world.dump(), before);
    world.run(&["plan"]).refused(2, "`emial`");
    // What asks whether it is there, denies it or has another in its place may name what nobody has.
    for filter in [
        "from.deletedOn = undefined",
        "from.disabled != true",
        "not from.disabled",
        "default(from.mail, from.email) ^= 'a'",
    ] {
        mapping("from.email = row.mail", filter);
        world.run(&["plan"]).ok();
    }
    mapping("from.email = row.mail", "from.activ = true");
    world.run(&["plan"]).refused(2, "has the property `activ`");
    // One entity that has it is enough, and without any entity there is nothing to say.
    world.sync("okta", "patch", &user("a").replace("email", "emial")).ok();
    mapping("from.emial = row.mail", "from._key != undefined");
    world.run(&["plan"]).ok();
}

#[test]
fn properties_that_are_left_out_are_counted_and_shown() {
    let world = islands();
    world.write(
        "mappings/data/inventory.csv",
        "login,device,since\nalice,laptop-001,1/15/2024\nbob,laptop-002,2024-01-16\n",
    );
    let class = "class = \"OWNS\"";
    let dated = format!("{class}, properties = {{ since = \"{{date(row.since)}}\" }}");
    world.write("mappings/okta-jamf-ownership.toml", MINIMAL.replace(class, &dated));
    let plan = world.run(&["plan", "--unmatched"]).ok();
    assert!(plan.out.contains("2 read = 2 linked; 1 undefined property left out"), "{plan:?}");
    let line = "inventory.csv:2  linked         without `since`: `date(row.since)` is undefined";
    assert!(plan.out.contains(line), "{plan:?}");
    let json = world.run(&["plan", "-o", "json"]).ok().json();
    assert_eq!(json["rows"]["undefinedProperties"], 1);
    assert_eq!(json["undefined"][0]["property"], "since");
    let story = world.run(&["explain", "data/inventory.csv:2"]).ok();
    assert!(
        story.out.contains("linked, without `since`: `date(row.since)` is undefined"),
        "{story:?}"
    );
    let sound = world.run(&["explain", "data/inventory.csv:3"]).ok();
    assert!(!sound.out.contains("without"), "{sound:?}");
}

#[test]
fn an_edge_of_another_scope_is_told_and_answers_name_entities_once() {
    let world = islands();
    world.run(&["apply"]).ok();
    let first = world.run(&["plan"]).ok();
    assert!(!first.err.contains("another scope"), "{first:?}");
    let second = MINIMAL.replace("\"okta-jamf-ownership\"", "\"mdm\"");
    world.write("mappings/mdm.toml", second);
    let plan = world.run(&["plan", "mappings/mdm.toml"]).ok();
    assert!(plan.err.contains("other scopes already have 2 of these edges"), "{plan:?}");
    let example = "okta-user:alice -OWNS-> jamf-device:laptop-001, in scope `okta-jamf-ownership`";
    assert!(plan.err.contains(example), "{plan:?}");
    world.run(&["apply", "mappings/mdm.toml"]).ok();
    let count = |said: &str, word: &str| said.matches(word).count();
    let json = |said: crate::cli::Said| said.ok().json();
    let owners = json(world.run(&["owners", "jamf-device:laptop-001", "-o", "json"]));
    assert_eq!(owners["owners"].as_array().unwrap().len(), 1, "{owners}");
    let blast = json(world.run(&["blast-radius", "okta-user:alice", "-o", "json"])).to_string();
    assert_eq!(count(&blast, "\"distance\":1"), 1, "{blast}");
    let list = world.run(&["query", "FIND Device THAT OWNS User", "-o", "json"]).ok().out;
    assert_eq!(count(&list, "jamf-device:laptop-001"), 1, "{list}");
    let counted =
        world.run(&["query", "FIND User THAT OWNS Device AS d RETURN count(d) AS n", "-o", "csv"]);
    assert_eq!(counted.ok().out, "n\n2\n");
    // A note counts what both scopes say as one fact.
    let nobody = world.run(&["owners", "okta-user:alice"]).ok();
    assert!(nobody.err.contains("1 OWNS") || nobody.out.contains("1 OWNS"), "{nobody:?}");
}
