//! How people name an entity, a verb or a job, and what they are told when a name does not fit.

use crate::cli::World;
use crate::http::{Server, tombolo};
use serde_json::{Value as Json, json};

fn entity(key: &str, kind: &str, class: &str, more: Json) -> String {
    let mut entity = json!({ "_key": key, "_type": kind, "_class": class });
    for (name, value) in more.as_object().expect("properties") {
        entity[name] = value.clone();
    }
    format!("{entity}\n")
}

fn link(from: &str, verb: &str, to: &str, key: &str) -> String {
    let link = json!({
        "_key": key, "_type": "t", "_class": verb, "_fromEntityKey": from, "_toEntityKey": to,
    });
    format!("{link}\n")
}

const ARN: &str = "arn:aws:iam::123456789012:role/Billing";

/// Three scopes in which people, machines and roles have names of all kinds.
fn company() -> World {
    let world = World::new();
    let okta = [
        entity(
            "00u1a2b3c4",
            "okta_user",
            "User",
            json!({ "displayName": "Alice Smith", "email": "Alice.Smith@Example.com" }),
        ),
        entity("00u9", "okta_user", "User", json!({ "displayName": "Sam", "name": "Samira" })),
        entity("bob", "okta_user", "User", json!({ "displayName": "Robert" })),
        entity("00u7", "okta_user", "User", json!({ "displayName": "bob" })),
        entity("00u8", "okta_user", "User", json!({ "displayName": "Zoë Müller" })),
    ];
    let jamf = [
        entity(
            "dev-1",
            "jamf_device",
            "Device",
            json!({ "displayName": "laptop", "hostname": "MBP-Alice", "serialNumber": "C02XYZ1A" }),
        ),
        entity("dev-2", "jamf_device", "Device", json!({ "displayName": "sam" })),
        entity("dev-3", "jamf_device", "Device", json!({ "serialNumber": ["S-1", "S-2"] })),
        entity("dev-4", "jamf_device", "Device", json!({ "serialNumber": 12345 })),
    ];
    let aws = [entity("role-1", "aws_role", "AccessRole", json!({ "arn": ARN }))];
    world.sync("okta", "diff", &okta.concat()).ok();
    world.sync("jamf", "diff", &jamf.concat()).ok();
    world.sync("aws", "diff", &aws.concat()).ok();
    world
}

fn key_of(world: &World, name: &str) -> String {
    let said = world.run(&["get", name, "-o", "json"]).ok();
    said.json()["entity"]["_key"].as_str().expect("a key").to_owned()
}

#[test]
fn an_entity_is_named_by_whatever_people_call_it() {
    let world = company();
    let id = world.run(&["get", "00u1a2b3c4", "-o", "json"]).ok().json()["entity"]["_id"].clone();
    let id = id.as_str().expect("an id");
    for (name, key) in [
        ("00u1a2b3c4", "00u1a2b3c4"),
        ("okta::00u1a2b3c4", "00u1a2b3c4"),
        (id, "00u1a2b3c4"),
        (&id[id.len() - 8..], "00u1a2b3c4"),
        (&id[id.len() - 12..].to_uppercase(), "00u1a2b3c4"),
        ("Alice Smith", "00u1a2b3c4"),
        ("  alice smith ", "00u1a2b3c4"),
        ("12345", "dev-4"),
        ("ALICE.smith@example.com", "00u1a2b3c4"),
        ("samira", "00u9"),
        ("okta::SAM", "00u9"),
        ("jamf::Sam", "dev-2"),
        ("ZOE\u{308} MÜLLER", "00u8"),
        ("mbp-alice", "dev-1"),
        ("c02xyz1a", "dev-1"),
        ("s-2", "dev-3"),
        (ARN, "role-1"),
        // An exact key goes before the name of another.
        ("bob", "bob"),
        ("BOB", "00u7"),
    ] {
        assert_eq!(key_of(&world, name), key, "{name}");
    }
    // Every command takes such a name, and shows it.
    let said = world.run(&["blast-radius", "alice smith"]).ok();
    assert!(said.out.starts_with("Alice Smith (00u1a2b3c4)  (@okta)"), "{}", said.out);
    let said = world.run(&["owners", "mbp-alice"]).ok();
    assert!(said.out.starts_with("laptop (dev-1)  (@jamf)   = no owner"), "{}", said.out);
    let said = world.run(&["path", "alice smith", "c02xyz1a"]).ok();
    assert!(said.out.starts_with("Alice Smith (00u1a2b3c4) to laptop (dev-1)   = no chain"));
    let said = world.run(&["get", "alice smith"]).ok();
    let head = "Alice Smith (00u1a2b3c4)  (@okta)  okta_user [User]\n";
    assert!(said.out.starts_with(head), "{}", said.out);
    assert!(said.out.ends_with(&format!("_id {}\n\n0 relationships\n", &id[id.len() - 8..])));
    let whole = world.run(&["get", "alice smith", "-v"]).ok();
    assert!(whole.out.contains(&format!("_id {id}\n")), "{}", whole.out);
}

#[test]
fn a_name_that_fits_several_lists_them_and_a_near_one_is_offered() {
    let world = company();
    let said = world.run(&["get", "SAM"]).refused(2, "`SAM` names 2 entities");
    assert!(said.err.contains("\n  jamf::dev-2   sam\n  okta::00u9   Sam\n"), "{}", said.err);
    let said = world.run(&["get", "alise smith"]).refused(2, "no live entity is called");
    assert!(said.err.contains("the nearest are:\n  okta::00u1a2b3c4   Alice Smith"), "{said:?}");
    for name in ["", " ", "::", "okta::", "nobody at all"] {
        world.run(&["get", name]).refused(2, "no live entity is called");
    }
    world.sync("jamf2", "diff", &entity("dev-1", "x", "Device", json!({}))).ok();
    let said = world.run(&["owners", "dev-1"]).refused(2, "`dev-1` is the key of 2 entities");
    assert!(said.err.contains("  jamf2::dev-1\n  jamf::dev-1   laptop\n"), "{}", said.err);
}

#[test]
fn of_a_deleted_entity_is_told_who_deleted_it_and_when() {
    let world = company();
    let rows = entity("00u9", "okta_user", "User", json!({ "displayName": "Sam" }));
    world.write("fewer.ndjson", rows);
    let job = world
        .run(&[
            "sync",
            "--scope",
            "okta",
            "--source",
            "nightly",
            "--allow-deletes",
            "9",
            "fewer.ndjson",
            "-o",
            "json",
        ])
        .ok()
        .json();
    let id = job["id"].as_str().expect("an id");
    let short = &id[id.len() - 8..];
    for name in ["00u1a2b3c4", "okta::00u1a2b3c4", "alice smith", "alice.smith@example.com"] {
        let said = world.run(&["get", name]).refused(2, "no live entity is called");
        let told = "okta::00u1a2b3c4   Alice Smith was deleted at 2";
        assert!(said.err.contains(told), "{name}: {}", said.err);
        let by = format!("by job {short} (DIFF, source `nightly`)");
        assert!(said.err.contains(&by), "{name}: {}", said.err);
    }
    // What the advice says works as it stands there.
    world.run(&["job", "show", short]).ok();
    world.run(&["job", "undo", short]).ok();
    assert_eq!(key_of(&world, "alice smith"), "00u1a2b3c4");
}

#[test]
fn names_go_over_http_as_well() {
    let server = Server::start();
    server.sync(
        "okta",
        &json!({ "entities": [
            { "_key": "00u1", "_type": "u", "_class": "User", "displayName": "Alice Smith" },
            { "_key": "00u2", "_type": "u", "_class": "User", "displayName": "Sam" },
            { "_key": "00u3", "_type": "u", "_class": "User", "name": "SAM" },
        ]}),
    );
    let got = server.get("/v1/entity?entity=alice%20smith").ok();
    assert_eq!(got["entity"]["_key"], "00u1");
    let reached = server.get("/v1/blast-radius?entity=ALICE%20SMITH").ok();
    assert_eq!(reached["root"]["displayName"], "Alice Smith");
    let refused = server.get("/v1/entity?entity=sam");
    assert_eq!(refused.status, 400, "{}", refused.text);
    let hint = refused.json["error"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("okta::00u2   Sam") && hint.contains("okta::00u3"), "{hint}");
}

#[test]
fn jobs_and_tokens_are_named_by_the_end_of_their_ids() {
    let world = company();
    let jobs = world.run(&["job", "list", "-o", "json"]).ok().json();
    let id = jobs[0]["id"].as_str().expect("an id");
    let short = &id[id.len() - 8..];
    let shown = world.run(&["job", "show", short]).ok();
    assert!(shown.out.contains(&format!("job {short}\n")), "{}", shown.out);
    let shown = world.run(&["job", "show", short, "-v"]).ok();
    assert!(shown.out.contains(&format!("job {id}\n")), "{}", shown.out);
    let table = world.run(&["job", "list"]).ok().out;
    assert!(table.contains(&format!("\n{short}  ")) && !table.contains(id), "{table}");
    // All three begin with one time.
    let same = world.run(&["job", "show", &id[..4]]).refused(2, "begins or ends with");
    assert!(same.err.contains(id), "{}", same.err);
    world.run(&["job", "show", &id[id.len() - 3..]]).refused(2, "no job");

    let made = world.run(&["token", "create", "ci", "--right", "read", "-o", "json"]).ok().json();
    let id = made["id"].as_str().expect("an id");
    let short = &id[id.len() - 8..];
    assert!(world.run(&["token", "list"]).ok().out.contains(&format!("\n{short}  ci")));
    world.run(&["token", "revoke", short]).ok();
    assert!(!world.run(&["token", "list"]).ok().out.contains(short));
}

#[test]
fn a_name_of_another_kind_is_refused_and_spelling_is_not() {
    let world = company();
    let rows = [
        entity("t", "team", "UserGroup", json!({})),
        entity("d", "database", "Database", json!({})),
        link("t", "OWNS", "d", "1"),
        link("d", "RunsOn", "d", "2"),
    ];
    world.sync("cmdb", "diff", &rows.concat()).ok();
    let owned = world.run(&["owners", "--class", "database", "-o", "json"]).ok().json();
    assert_eq!(owned["answers"][0]["entity"]["_key"], "d");
    for spelling in ["RUNS_ON", "runs-on", "Runs On"] {
        assert!(world.run(&["cycles", "--verb", spelling]).ok().out.starts_with("1 cycle\n"));
    }
    for (words, told) in [
        (["cycles", "--verb", "user"], "no verb `user` in this database; `User` is a class"),
        (["owners", "--class", "owns"], "no class `owns` in this database; `OWNS` is a verb"),
        (["owners", "--class", "okta_user"], "`okta_user` is a type"),
        (["cycles", "--verb", "!user"], "no verb `user`"),
        (["cycles", "--verb", "OWN"], "did you mean `OWNS`?"),
        (["cycles", "--verb", "xyz"], "verbs here are OWNS, RunsOn"),
    ] {
        world.run(&words).refused(2, told);
    }
    world.run(&["blast-radius", "t", "--class", "user_groop"]).refused(2, "UserGroup");
}

#[test]
fn an_entity_of_a_larger_graph_is_found_by_name_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..5000)
        .map(|n| entity(&format!("k{n}"), "t", "Host", json!({ "hostname": format!("web-{n}") })))
        .collect();
    std::fs::write(folder.path().join("hosts.ndjson"), rows).expect("it can be written");
    let run = |words: &[&str]| {
        let output = tombolo(folder.path(), words);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    run(&["sync", "--scope", "cmdb", "hosts.ndjson"]);
    for name in ["web-0", "WEB-2500", "web-4999"] {
        let number = &name[4..];
        assert!(run(&["get", name]).starts_with(&format!("k{number}  (@cmdb)")), "{name}");
    }
}
