//! `query` through the binary: where the text comes from, what is printed, and exit codes.

mod cli;

use cli::World;

fn office() -> World {
    let world = World::new();
    let entity = |key: &str, kind: &str, class: &str, name: &str| {
        format!(
            "{{\"_key\":\"{key}\",\"_type\":\"{kind}\",\"_class\":\"{class}\",\"displayName\":\"{name}\"}}\n"
        )
    };
    let link = |from: &str, verb: &str, to: &str| {
        format!(
            "{{\"_key\":\"{from}|{to}\",\"_type\":\"t\",\"_class\":\"{verb}\",\"_fromEntityKey\":\"{from}\",\"_toEntityKey\":\"{to}\"}}\n"
        )
    };
    let rows = [
        entity("alice", "okta_user", "User", "Alice"),
        entity("bob", "okta_user", "User", "Bob\\u001b[31m"),
        entity("mac", "laptop", "Device", "Mac"),
        link("alice", "OWNS", "mac"),
    ];
    world.sync("office", "diff", &rows.concat()).ok();
    world
}

#[test]
fn answers_are_tables_for_people_and_json_for_programs() {
    let world = office();
    let said = world
        .run(&[
            "query",
            "FIND User AS u (THAT OWNS Device AS d)? RETURN u.displayName AS who, d._key",
        ])
        .ok();
    // Data cannot steer the terminal.
    assert_eq!(
        said.out,
        "who            d._key\nAlice          mac\nBob\\u{1b}[31m  -\n\n2 rows\n"
    );
    let json = world.run(&["query", "FIND Device", "-o", "json"]).ok().json();
    assert_eq!(json["type"], "list");
    assert_eq!(json["data"][0]["entity"]["_class"], serde_json::json!(["Device"]));
    let csv = world.run(&["query", "FIND User RETURN User._key AS k ORDER BY k", "-o", "csv"]).ok();
    assert_eq!(csv.out, "k\nalice\nbob\n");
    let tree =
        world.run(&["query", "FIND User THAT OWNS Device RETURN TREE", "-o", "mermaid"]).ok();
    assert!(tree.out.contains("-->|\"OWNS\"|"), "{}", tree.out);
    world.run(&["query", "FIND User", "-o", "dot"]).refused(2, "only a tree can be drawn");
}

#[test]
fn parameters_files_and_faults() {
    let world = office();
    world.write("who.j1ql", "FIND User\n  WITH _key = ${who}\n");
    let said = world
        .run(&["query", "-f", "who.j1ql", "--param", "who=[\"alice\", \"bob\"]", "-o", "csv"])
        .ok();
    assert_eq!(said.out.lines().count(), 3, "{}", said.out);
    world.run(&["query", "-f", "who.j1ql"]).refused(2, "who.j1ql:2:15");
    world.run(&["query", "FIND User THATS OWNS Device"]).refused(2, "did you mean `THAT`?");
    world.run(&["query", "FIND User THAT HAS{1,2} Device", "--strict"]).refused(2, "is not J1QL");
    world
        .run(&["query", "FIND * AS a THAT RELATES TO * RETURN a._key", "--max-seconds=-1"])
        .refused(2, "no number of seconds");
    let said = world.run(&["query", "FIND Usr THAT OWN Device"]).ok();
    assert!(
        said.err.contains("no class `Usr` in this database; did you mean `User`?"),
        "{}",
        said.err
    );
}

#[test]
fn the_grammar_is_checked_without_a_database() {
    let world = World::new();
    world
        .run(&["query", "--parse-only", "FIND User WITH a = {{b}} THAT HAS Device RETURN TREE"])
        .ok();
    world.run(&["query", "--parse-only", "FIND User HAS Device"]).refused(2, "unexpected `HAS`");
    world.run(&["query", "FIND User"]).refused(2, "no database");
}

#[test]
fn questions_are_policies() {
    let world = office();
    let questions = "[queries.owned]\nabout = \"every user owns a device\"\n\
        query = \"FIND #Staff THAT !OWNS Device\"\nexpect = 0\n\
        [queries.devices]\nquery = \"FIND Device\"\nexpect = { min = 1, max = 3 }\n\
        [smart_classes]\nStaff = \"User WITH _key != 'root'\"\n";
    world.write("queries.toml", questions);
    let said = world.run(&["query", "--check"]).refused(1, "");
    assert!(
        said.out.contains("! owned   1 found, 0 expected   every user owns a device"),
        "{}",
        said.out
    );
    assert!(said.out.contains("bob") && said.out.contains("= devices"), "{}", said.out);
    let said = world.run(&["query", "--run", "owned", "-o", "csv"]).ok();
    assert!(said.out.contains("bob"), "{}", said.out);
    world.run(&["query", "--run", "nothing"]).refused(2, "questions are devices, owned");
    world.write("queries.toml", questions.replace("about", "abuot"));
    world.run(&["query", "--check"]).refused(2, "queries.toml:2:1");
}
