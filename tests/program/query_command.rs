//! `query` through the binary: where the text comes from, what is printed, and exit codes.

use crate::cli::World;
use crate::http::Server;
use serde_json::{Value, json};

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
    // A version that looks like a number is found as it is written.
    let app = "{\"_key\":\"a\",\"_type\":\"app\",\"_class\":\"App\",\"v\":\"2.10\"}\n";
    world.sync("apps", "diff", app).ok();
    for (query, given) in
        [("FIND App WITH v = {{v}}", "v=2.10"), ("FIND App WITH v > {{v}}", "v=2.9")]
    {
        let said = world.run(&["query", query, "--param", given, "-o", "json"]).ok().json();
        assert_eq!(said["data"][0]["entity"]["_key"], json!("a"), "{query}");
    }
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
    let said = world.run(&["query", "--check", "-o", "json"]).refused(1, "");
    let checked: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&checked["asked"], &checked["off"]), (&json!(2), &json!(1)), "{checked}");
    let devices = &checked["questions"][0];
    assert_eq!((&devices["holds"], &devices["expected"]), (&json!(true), &json!("1 to 3")));
    let owned = &checked["questions"][1];
    assert_eq!((&owned["name"], &owned["found"]), (&json!("owned"), &json!(1)), "{checked}");
    assert!(owned["answer"]["data"].to_string().contains("bob"), "{checked}");
    world.run(&["query", "--check", "-o", "csv"]).refused(2, "--check gives a table, JSON, JUnit");
    let said = world.run(&["query", "--run", "owned", "-o", "csv"]).ok();
    assert!(said.out.contains("bob"), "{}", said.out);
    world.run(&["query", "--run", "nothing"]).refused(2, "questions are devices, owned");
    world.write("queries.toml", questions.replace("about", "abuot"));
    world.run(&["query", "--check"]).refused(2, "queries.toml:2:1");
}

/// The demo company, its mappings applied.
fn company() -> World {
    let world = World::new();
    let company = tombolo::demo::company();
    let mut arguments = vec!["sync"];
    for file in &company.files {
        world.write(file.name, &file.text);
        arguments.push(file.name);
    }
    world.run(&arguments).ok();
    std::fs::create_dir_all(world.path("mappings/data")).expect("folders made");
    for (path, text) in tombolo::demo::MAPPINGS {
        world.write(&format!("mappings/{path}"), text);
    }
    for (path, text) in &company.mapping_inputs {
        world.write(&format!("mappings/{path}"), text);
    }
    world.run(&["apply"]).ok();
    world
}

/// Texts of some columns of each row, sorted.
fn rows(list: &serde_json::Value, columns: [&str; 3]) -> Vec<String> {
    let text = |row: &serde_json::Value| -> String {
        columns.iter().map(|column| format!("{} ", row[column])).collect()
    };
    let mut rows: Vec<String> = list.as_array().expect("rows").iter().map(text).collect();
    rows.sort();
    rows
}

#[test]
fn blast_radius_and_owners_are_queries() {
    let world = company();
    let entities = world.run(&["query", "FIND *", "-o", "json"]).ok().json();
    let entities = entities["data"].as_array().expect("a list");
    assert!(entities.len() > 200, "the demo has hundreds of entities");
    let (mut reached, mut owned) = (0, 0);
    // Each seventh, and those that the demo asks of.
    for entity in entities.iter().step_by(7).map(|vertex| &vertex["entity"]) {
        let (key, scope) = (entity["_key"].as_str().expect("text"), &entity["_scope"]);
        let name = format!("{}::{key}", scope.as_str().expect("text"));
        let ask = |steps: &str| {
            let text = format!(
                "FIND * IN SCOPE '{}' WITH _key = '{key}' {steps}",
                scope.as_str().expect("text")
            );
            world.run(&["query", &text, "-o", "json"]).ok().json()["data"].clone()
        };
        let blast = world.run(&["blast-radius", &name, "-o", "json"]).ok().json();
        let query = ask("THAT #Impact{1,100} AS r * AS hit \
             RETURN hit._key AS _key, hit._scope AS _scope, DEPTH(r) AS distance");
        let columns = ["_key", "_scope", "distance"];
        assert_eq!(rows(&query, columns), rows(&blast["reached"], columns), "{name}");
        reached += query.as_array().expect("rows").len();
        let owners = world.run(&["owners", &name, "-o", "json"]).ok().json();
        let query = ask("THAT NEAREST (#Owning|#Containing){1,100} BY #Owning << \
             (Person|User|UserGroup|Team|Group) AS owner \
             RETURN owner._key AS _key, owner._scope AS _scope, owner._type AS _type");
        let columns = ["_key", "_scope", "_type"];
        assert_eq!(rows(&query, columns), rows(&owners["owners"], columns), "{name}");
        owned += query.as_array().expect("rows").len();
    }
    assert!(reached > 100 && owned > 10, "{reached} reached, {owned} owners");
}

#[test]
fn a_query_is_explained_before_and_after_and_printed_in_one_way() {
    let world = office();
    let text = "FIND User THAT OWNS Device WITH _key = 'mac' RETURN User._key AS k";
    let said = world.run(&["query", text, "--explain", "-o", "csv"]).ok();
    assert_eq!(said.out, "k\nalice\n");
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines[0], "begins at `Device WITH ...`");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["expected", "met"]);
    assert!(lines[2].contains("1         1  Device WITH ...  by _key"), "{said:?}");
    assert!(lines[3].contains("1  User             OWNS"), "{said:?}");
    let said = world.run(&["query", text, "--explain=plan"]).ok();
    assert!(said.out.contains("begins at `Device WITH ...`"), "{said:?}");
    assert!(!said.out.contains("alice") && !said.out.contains("met"), "{said:?}");
    let said = world.run(&["query", "--format", "find User that owns Device return tree"]).ok();
    assert_eq!(said.out, "FIND User THAT OWNS Device RETURN TREE\n");
    world.run(&["query", "--format", "FIND"]).refused(2, "the query ends");
}

#[test]
fn sets_of_verbs_are_kept_with_the_questions() {
    let world = office();
    let questions = "[smart_verbs]\nHolding = \"OWNS >> | * <<\"\n\
        [queries.held]\nquery = \"FIND User THAT #Holding Device\"\nexpect = 1\n";
    world.write("queries.toml", questions);
    world.run(&["query", "--check"]).ok();
    world.run(&["query", "FIND User THAT #Holding Device", "--strict"]).refused(2, "is not J1QL");
    world.run(&["query", "FIND User THAT #Held Device"]).refused(2, "sets are Containing, Holding");
}

/// All that stands under `relationship` anywhere in an answer.
fn relationships(json: &serde_json::Value, found: &mut Vec<serde_json::Value>) {
    match json {
        serde_json::Value::Object(members) => members.iter().for_each(|(name, value)| {
            if name == "relationship" {
                found.push(value.clone());
            }
            relationships(value, found);
        }),
        serde_json::Value::Array(items) => items.iter().for_each(|item| relationships(item, found)),
        _ => {}
    }
}

#[test]
fn a_relationship_has_one_name_whatever_the_question() {
    let world = office();
    // Keys that are made from the ends and others, of two types, with and against the walk.
    let link = |key: &str, kind: &str, verb: &str, from: &str, to: &str| {
        format!(
            "{{\"_key\":\"{key}\",\"_type\":\"{kind}\",\"_class\":\"{verb}\",\"_fromEntityKey\":\"{from}\",\"_fromEntityScope\":\"office\",\"_toEntityKey\":\"{to}\",\"_toEntityScope\":\"office\"}}\n"
        )
    };
    let rows = [
        link("alice|manages|bob", "manages", "MANAGES", "alice", "bob"),
        link("mac|trusts|bob", "trusts", "TRUSTS", "mac", "bob"),
        link("x", "trusts", "TRUSTS", "bob", "mac"),
    ];
    world.sync("bridges", "cross-scope", &rows.concat()).ok();
    let mut known = Vec::new();
    for entity in ["alice", "bob", "mac"] {
        relationships(&world.run(&["get", entity, "-o", "json"]).ok().json(), &mut known);
    }
    let count = |known: &[serde_json::Value], question: &[&str]| {
        let mut named = Vec::new();
        let mut arguments = question.to_vec();
        arguments.extend(["-o", "json"]);
        relationships(&world.run(&arguments).ok().json(), &mut named);
        for relationship in &named {
            assert!(known.contains(relationship), "{relationship} is not among {known:#?}");
        }
        named.len()
    };
    for _ in 0..2 {
        assert_eq!(count(&known, &["blast-radius", "alice", "--direction", "both"]), 2);
        assert_eq!(
            count(&known, &["blast-radius", "bob", "--direction", "in", "--verb", "TRUSTS"]),
            1
        );
        assert_eq!(count(&known, &["blast-radius", "bob", "--direction", "out"]), 1);
        assert_eq!(count(&known, &["path", "bob", "mac", "--direction", "in"]), 1);
        assert_eq!(count(&known, &["owners", "mac"]), 1);
        // The type alone is another now.
        known.clear();
        let other = rows.concat().replace("\"_type\":\"trusts\"", "\"_type\":\"relies\"");
        world.sync("bridges", "cross-scope", &other).ok();
        for entity in ["alice", "bob", "mac"] {
            relationships(&world.run(&["get", entity, "-o", "json"]).ok().json(), &mut known);
        }
    }
}

#[test]
fn an_empty_answer_is_explained_beside_it() {
    let world = office();
    let said = world.run(&["query", "FIND User WITH dsplayName = 'Alice'"]).ok();
    assert_eq!(said.err, "note: no User has `dsplayName`; `displayName` is on 2\n");
    assert!(said.out.ends_with("0 entities\n"), "{}", said.out);
    let json = world.run(&["query", "FIND User THAT OWNS << Device", "-o", "json"]).ok().json();
    assert_eq!(json["data"], serde_json::json!([]));
    let note = json["notes"][0].as_str().expect("a note");
    assert!(note.contains("leads nowhere from 2 User"), "{note}");
    // What data hold cannot steer the terminal.
    let said = world.run(&["query", "FIND User WITH displayName = 'Bo'"]).ok();
    assert!(said.err.contains("\\u{1b}") && !said.err.contains('\u{1b}'), "{}", said.err);
    // An answer that needs no note has none, and --quiet asks for none.
    let json = world.run(&["query", "FIND User", "-o", "json"]).ok().json();
    assert!(json.get("notes").is_none());
    assert_eq!(world.run(&["query", "FIND User WITH a = 1", "--quiet"]).ok().err, "");
    // Too much is found as well.
    let said = world.run(&["query", "FIND User THAT !OWN Device", "-o", "csv"]).ok();
    assert!(said.err.contains("no verb `OWN` in this database; did you mean `OWNS`?"), "{said:?}");
    // A policy that is misspelt looks as if it held.
    world.write(
        "queries.toml",
        "[queries.typo]\nquery = \"FIND User WITH dsplayName = 'root'\"\nexpect = 0\n\
         [queries.owned]\nquery = \"FIND Device THAT !OWNS User\"\nexpect = 0\n",
    );
    let said = world.run(&["query", "--check"]).ok();
    assert_eq!(said.out.matches("note: ").count(), 1, "{}", said.out);
    assert!(said.out.contains("  note: no User has `dsplayName`"), "{}", said.out);
}

#[test]
fn servers_explain_an_empty_answer_too() {
    let server = Server::start();
    server.sync(
        "okta",
        &json!({ "entities": [{ "_key": "u", "_type": "user", "_class": "User", "email": "a@b.c" }] }),
    );
    let note = json!(["no User has `emial`; `email` is on 1"]);
    let text = "FIND User WITH emial = 'a@b.c'";
    let answer = server.post("/v1/query", &json!({ "query": text })).ok();
    assert_eq!((&answer["data"], &answer["notes"]), (&json!([]), &note));
    let body = json!({
        "query": "query Q($q: String!) { queryV1(query: $q) { type data notes } }",
        "variables": { "q": text },
    });
    assert_eq!(server.post("/graphql", &body).ok()["data"]["queryV1"]["notes"], note);
    let answer = server.post("/v1/query", &json!({ "query": "FIND User" })).ok();
    assert!(answer.get("notes").is_none(), "{answer}");
}

#[test]
fn a_number_in_a_body_keeps_its_spelling() {
    let server = Server::start();
    let app = json!({ "_key": "a", "_type": "app", "_class": "App", "v": "2.10" });
    server.sync("apps", &json!({ "entities": [app] }));
    let found = |query: &str, value: &str| {
        let body = format!("{{\"query\": \"{query}\", \"params\": {{\"v\": {value}}}}}");
        let answer = server.call("POST", "/v1/query", &[], body.as_bytes()).ok();
        answer["data"].as_array().expect("a list").len()
    };
    // As a version it is later than 2.9; as a number it would be 2.1.
    assert_eq!(found("FIND App WITH v > {{v}}", "2.9"), 1);
    assert_eq!(found("FIND App WITH v = {{v}}", "2.10"), 1);
    assert_eq!(found("FIND App WITH v = {{v}}", "[2.11, 2.10]"), 1);
    assert_eq!(found("FIND App WITH v = {{v}}", "2.11"), 0);
    assert_eq!(found("FIND App WITH v = {{v}}", "\"2.10\""), 1);
}

#[test]
fn a_parameter_that_nothing_asks_for_is_a_fault() {
    let world = office();
    let query = "FIND User WITH _key = {{@who}}";
    world.run(&["query", query, "--param", "who=alice"]).ok();
    world
        .run(&["query", query, "--param", "who=alice", "--param", "wo=bob"])
        .refused(2, "did you mean --param who=VALUE?");
    world
        .run(&["query", "FIND User", "--param", "who=alice"])
        .refused(2, "no placeholder of the query is called `who`");
}

#[test]
fn all_properties_are_columns_and_numbers_stay_as_they_are() {
    let world = World::new();
    let rows = "{\"_key\":\"a\",\"_type\":\"p\",\"_class\":\"CodeModule\",\"port\":-1234567}\n\
                {\"_key\":\"b\",\"_type\":\"p\",\"_class\":\"CodeModule\",\"year\":2024}\n";
    world.sync("s", "diff", rows).ok();
    let text = "FIND CodeModule AS m RETURN m._key AS k, m.* ORDER BY k";
    let said = world.run(&["query", text, "-o", "csv"]).ok();
    let lines: Vec<Vec<&str>> = said.out.lines().map(|line| line.split(',').collect()).collect();
    let at = |name: &str| lines[0].iter().position(|column| *column == name).expect(name);
    assert_eq!((lines[1][at("k")], lines[2][at("m.year")]), ("a", "2024"));
    assert_eq!(lines[1].len(), lines[0].len());
    assert!(lines[2][at("m.port")].is_empty());
    let json = world.run(&["query", text, "-o", "json"]).ok().json();
    assert_eq!(json["data"][0]["m.port"], serde_json::json!(-1_234_567));
}

#[test]
fn spellings_of_one_name_live_side_by_side_and_stats_tells() {
    let world = office();
    let link = |verb: &str, to: &str| {
        format!(
            "{{\"_key\":\"bob|{verb}|{to}\",\"_type\":\"t\",\"_class\":\"{verb}\",\"_fromEntityKey\":\"bob\",\"_fromEntityScope\":\"office\",\"_toEntityKey\":\"{to}\",\"_toEntityScope\":\"office\"}}\n"
        )
    };
    world.sync("bridges", "cross-scope", &link("owns", "mac")).ok();
    let found = world.run(&["query", "FIND User THAT Owns Device", "-o", "csv"]).ok();
    assert_eq!(found.out.lines().count(), 3, "{}", found.out);
    let json = world.run(&["stats", "-o", "json"]).ok().json();
    assert_eq!(
        json["spellings"],
        serde_json::json!([{ "kind": "verb", "spellings": "OWNS (1), owns (1)" }])
    );
    assert!(world.run(&["stats"]).ok().out.contains("OWNS (1), owns (1)"));
    let plain = office().run(&["stats"]).ok();
    assert!(!plain.out.contains("spelled"), "{}", plain.out);
}
