//! `tombolo serve` from the outside: what collectors, query clients and people send, and what
//! strangers might.

use crate::http::{JOBS, Server, gzip, tombolo};
use serde_json::{Value as Json, json};

fn user(key: &str) -> Json {
    json!({ "_key": key, "_type": "okta_user", "_class": "User", "displayName": key })
}

fn users(count: usize) -> Json {
    json!({ "entities": (0..count).map(|i| user(&format!("u{i}"))).collect::<Vec<_>>() })
}

#[test]
fn the_requests_of_the_cross_scope_page_work_as_printed() {
    let server = Server::start();
    for (instance, key, kind, class) in [
        ("okta-instance-id", "okta-user:alice", "okta_user", "User"),
        ("jamf-instance-id", "jamf-device:laptop-001", "jamf_device", "Device"),
    ] {
        let job = server.job(&json!({
            "source": "integration-managed", "integrationInstanceId": instance,
        }));
        let entity = json!({ "_key": key, "_type": kind, "_class": [class] });
        server.post(&format!("{job}/entities"), &json!({ "entities": [entity] })).ok();
        let done = server.call("POST", &format!("{job}/finalize"), &[], b"").ok();
        assert_eq!(done["job"]["status"], "FINISHED");
        assert_eq!(done["job"]["integrationInstanceId"], instance);
        assert_eq!(done["job"]["integrationJobId"], done["job"]["id"]);
        assert!(done["job"].get("scope").is_none());
    }
    // As curl sends it with -d and nothing else.
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let create = b"{\n\"source\": \"api\",\n\"syncMode\": \"CROSS_SCOPE\",\n\"scope\": \"okta-jamf-ownership\"\n}";
    let made = server.call("POST", JOBS, &form, create).ok();
    let job = format!("{JOBS}/{}", made["job"]["id"].as_str().unwrap());
    let upload = br#"{
"relationships": [
{
"_key": "okta-user:alice|owns|jamf-device:laptop-001",
"_type": "user_owns_device",
"_class": "OWNS",
"_fromEntityKey": "okta-user:alice",
"_toEntityKey": "jamf-device:laptop-001",
"_fromEntityScope": "okta-instance-id",
"_toEntityScope": "jamf-instance-id"
}
]
}"#;
    let taken = server.call("POST", &format!("{job}/upload"), &form, upload).ok();
    assert_eq!(taken["job"]["numRelationshipsUploaded"], 1);
    assert_eq!(server.get(&job).ok()["job"]["status"], "AWAITING_UPLOADS");
    let done = server.call("POST", &format!("{job}/finalize"), &[], b"").ok();
    assert_eq!(done["job"]["numRelationshipsCreated"], 1);
    let rows = server.ask("FIND User AS u THAT OWNS Device AS d RETURN u._key AS u, d._key AS d");
    assert_eq!(rows, json!([{ "u": "okta-user:alice", "d": "jamf-device:laptop-001" }]));
    // The other example of the page, with a finalize that has no body and no length.
    for (scope, key, kind, class) in [
        ("github-instance-id", "github-repo:platform-api", "github_repo", "CodeRepo"),
        ("aws-instance-id", "s3-bucket:platform-assets", "aws_s3_bucket", "DataStore"),
    ] {
        let entity = json!({ "_key": key, "_type": kind, "_class": class });
        server.sync(scope, &json!({ "entities": [entity] }));
    }
    let printed = |path: &str, body: &str| {
        let length = match body {
            "" => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let answer = server.raw(format!("{head}{length}\r\n{body}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str::<Json>(body).expect("JSON")
    };
    let create = "{\n\"source\": \"api\",\n\"syncMode\": \"CROSS_SCOPE\",\n\"scope\": \"repo-deployment-edges\"\n}";
    let made = printed(JOBS, create);
    let job = format!("{JOBS}/{}", made["job"]["id"].as_str().unwrap());
    let upload = r#"{
"relationships": [
{
"_key": "github-repo:platform-api|deploys|s3-bucket:platform-assets",
"_type": "repo_deploys_bucket",
"_class": "DEPLOYS",
"_fromEntityKey": "github-repo:platform-api",
"_toEntityKey": "s3-bucket:platform-assets",
"_fromEntityScope": "github-instance-id",
"_toEntityScope": "aws-instance-id"
}
]
}"#;
    printed(&format!("{job}/upload"), upload);
    let done = printed(&format!("{job}/finalize"), "");
    assert_eq!(done["job"]["numRelationshipsCreated"], 1);
    // And what it says is refused, is refused in its words.
    let job = server.job(&json!({ "source": "api", "syncMode": "CROSS_SCOPE", "scope": "x" }));
    let refused = server.post(&format!("{job}/upload"), &json!({ "entities": [user("a")] }));
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("Entities cannot be uploaded in CROSS_SCOPE mode"));
}

#[test]
fn a_job_lives_and_ends_as_clients_expect() {
    let server = Server::start();
    // A null says as much as nothing.
    let job = server.job(&json!({ "source": "api", "scope": "okta", "syncMode": null }));
    let taken = server.post(&format!("{job}/entities"), &users(3)).ok();
    assert_eq!(taken["job"]["numEntitiesUploaded"], 3);
    // The retry of a batch whose answer was lost counts once.
    server.post(&format!("{job}/entities"), &users(3)).ok();
    // Relationships may come before the entities they join, packed either way.
    let link = json!({ "relationships": [{
        "_key": "r", "_type": "t", "_class": "KNOWS",
        "_fromEntityKey": "u0", "_toEntityKey": "late",
    }] });
    let packed = gzip(link.to_string().as_bytes());
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    server.call("POST", &format!("{job}/relationships"), &headers, &packed).ok();
    let late = json!({ "entities": [user("late")] }).to_string();
    let packed = zstd::encode_all(late.as_bytes(), 3).unwrap();
    let headers = [("Content-Encoding", "zstd")];
    server.call("POST", &format!("{job}/entities"), &headers, &packed).ok();
    let partial = json!({ "partialDatasets": { "types": [] } });
    let dry = json!({ "dryRun": true });
    let planned = server.post(&format!("{job}/finalize"), &dry).ok()["job"].clone();
    assert_eq!((&planned["dryRun"], &planned["numEntitiesCreated"]), (&json!(true), &json!(4)));
    assert_eq!(server.ask("FIND User"), json!([]), "a dry run changes nothing");
    let done = server.post(&format!("{job}/finalize"), &partial).ok();
    assert_eq!(done["job"]["numEntitiesCreated"], 4);
    assert_eq!(done["job"]["numRelationshipsCreated"], 1);
    assert_eq!(done["job"]["report"]["types"]["okta_user"]["created"], 4);
    assert_eq!(done["job"]["done"], true);
    // Repeated, it says the same; what comes late is told so.
    assert_eq!(server.post(&format!("{job}/finalize"), &partial).ok(), done);
    assert_eq!(server.get(&job).ok()["job"]["status"], "FINISHED");
    let late = server.post(&format!("{job}/entities"), &users(1));
    assert_eq!((late.status, late.code()), (409, "JOB_NOT_AWAITING_UPLOADS"));
    let event = json!({ "events": [{ "name": "sync_upload_end", "description": "x" }] });
    let events = server.post(&format!("{job}/events"), &event).ok();
    assert_eq!(events["events"][0]["name"], "sync_upload_end");
    let abort = server.post(&format!("{job}/abort"), &json!({ "reason": "late" }));
    assert_eq!(abort.code(), "JOB_NOT_AWAITING_UPLOADS");
    // An aborted job changes nothing and takes nothing.
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    let aborted = server.post(&format!("{job}/abort"), &json!({ "reason": "test" })).ok();
    assert_eq!(
        (&aborted["job"]["status"], &aborted["job"]["done"]),
        (&json!("ABORTED"), &json!(true))
    );
    assert_eq!(server.post(&format!("{job}/abort"), &json!({})).ok()["job"]["status"], "ABORTED");
    // An integration may say that it was set up wrongly.
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    let abort = format!("{job}/abort");
    let unknown = server.post(&abort, &json!({ "terminalStatus": "GONE" }));
    assert!(unknown.status == 400 && unknown.text.contains("`GONE`"), "{}", unknown.text);
    let invalid = "ABORTED_DUE_TO_INVALID_CONFIGURATION";
    let aborted = server.post(&abort, &json!({ "terminalStatus": invalid })).ok();
    assert_eq!(
        (&aborted["job"]["status"], &aborted["job"]["done"]),
        (&json!(invalid), &json!(true))
    );
    assert_eq!(server.post(&format!("{job}/entities"), &users(1)).status, 409);
    assert_eq!(server.post(&format!("{job}/finalize"), &json!({})).status, 409);
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 4 }]));
}

#[test]
fn a_partial_upload_deletes_nothing_of_the_types_it_names() {
    let server = Server::start();
    let both = json!({ "entities": [
        user("a"), user("b"), { "_key": "g", "_type": "group", "_class": "UserGroup" },
    ] });
    server.sync("okta", &both);
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    server.post(&format!("{job}/entities"), &json!({ "entities": [user("a")] })).ok();
    let partial = json!({ "partialDatasets": { "types": ["group", "group"] } });
    let done = server.post(&format!("{job}/finalize"), &partial).ok();
    assert_eq!(done["job"]["numEntitiesDeleted"], 1);
    assert_eq!(server.ask("FIND UserGroup RETURN count(UserGroup) AS n"), json!([{ "n": 1 }]));
}

#[test]
fn an_upload_that_would_delete_too_much_is_held_and_can_be_approved() {
    let server = Server::start();
    server.sync("okta", &users(200));
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    server.post(&format!("{job}/entities"), &users(3)).ok();
    let held = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!((&held["job"]["status"], &held["job"]["done"]), (&json!("HELD"), &json!(false)));
    assert_eq!(held["job"]["report"]["entities"]["deleted"], 197);
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 200 }]));
    let id = held["job"]["id"].as_str().unwrap();
    let waiting = server.get("/v1/jobs?status=HELD").ok();
    assert_eq!(waiting["jobs"][0]["id"], id);
    let stale = json!({ "planHash": "another" });
    assert_eq!(server.post(&format!("/v1/jobs/{id}/approve"), &stale).status, 409);
    let hash = json!({ "planHash": held["job"]["report"]["planHash"] });
    let done = server.post(&format!("/v1/jobs/{id}/approve"), &hash).ok();
    assert_eq!(done["jobs"][0]["status"], "FINISHED");
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 3 }]));
}

#[test]
fn csv_yaml_and_delete_lists_are_taken() {
    let server = Server::start();
    let job = server.job(&json!({ "source": "api", "scope": "s" }));
    let upload = format!("{job}/upload");
    let csv = b"_key,_type,_class,n:number,_fromEntityKey,_toEntityKey\na,t,Host,5,,\nb,t,Host,6,,\nr,l,USES,,a,b\n";
    server.call("POST", &upload, &[("Content-Type", "text/csv")], csv).ok();
    let yaml = b"entities:\n  - _key: c\n    _type: t\n    _class: Host\n    tags: [x, y]\n";
    server.call("POST", &upload, &[("Content-Type", "application/yaml")], yaml).ok();
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(done["job"]["numEntitiesCreated"], 3);
    assert_eq!(done["job"]["numRelationshipsCreated"], 1);
    assert_eq!(server.ask("FIND Host WITH n > 5 AS h RETURN h._key AS k"), json!([{ "k": "b" }]));
    // Explicit deletes, by id or key, in modes that otherwise delete nothing.
    let id = server.ask("FIND Host WITH _key = 'a'")[0]["id"].clone();
    let job = server.job(&json!({ "source": "api", "scope": "s", "syncMode": "PATCH" }));
    let deletes = json!({ "deleteEntities": [{ "_id": id }, { "_key": "c" }] });
    server.post(&format!("{job}/upload"), &deletes).ok();
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(done["job"]["numEntitiesDeleted"], 2);
    assert_eq!(done["job"]["numRelationshipsDeleted"], 1, "the end is gone");
    assert_eq!(server.ask("FIND Host AS h RETURN h._key AS k"), json!([{ "k": "b" }]));
    let output = tombolo(server.folder.path(), &["verify"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn mapped(key: &str, source: &str, email: &str, extra: Json) -> Json {
    let mut mapping = json!({
        "relationshipDirection": "REVERSE",
        "sourceEntityKey": source,
        "targetFilterKeys": [["_class", "email"]],
        "targetEntity": {
            "_type": "person", "_key": format!("person:{email}"), "_class": "Person",
            "email": email,
        },
    });
    mapping.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap_or_default());
    json!({ "_key": key, "_type": "host_owner", "_class": "OWNS", "_mapping": mapping })
}

#[test]
fn mapped_relationships_find_or_make_their_targets() {
    let server = Server::start();
    let person = |key: &str, email: &str| json!({ "_key": key, "_type": "hr_person", "_class": ["Person"], "email": email });
    server.sync("hr", &json!({ "entities": [person("alice", "a@x"), person("ally", "a@x")] }));
    let host = json!({ "_key": "h", "_type": "host", "_class": "Host" });
    let skip = json!({ "skipTargetCreation": true });
    let upload = |mapped: Vec<Json>| json!({ "entities": [host], "relationships": mapped });
    let full = upload(vec![
        mapped("m1", "h", "a@x", json!({})),
        mapped("m2", "h", "new@x", json!({})),
        mapped("m3", "h", "new@x", json!({ "targetFilterKeys": ["email"] })),
        mapped("m4", "h", "nobody@x", skip.clone()),
    ]);
    let pairs = "FIND Person AS p THAT OWNS >> AS r Host RETURN p._scope AS s, p.email AS e, r._type AS t ORDER BY s, e";
    let row = |s: &str, e: &str| json!({ "s": s, "e": e, "t": "host_owner" });
    let done = server.sync("hosts", &full);
    assert_eq!(done["numMappedRelationshipsCreated"], 4, "{done}");
    // Every match is linked; what nobody has is made once; what must not be made is not.
    let ours = "mapped:hosts";
    let all = json!([row("hr", "a@x"), row("hr", "a@x"), row(ours, "new@x"), row(ours, "new@x")]);
    assert_eq!(server.ask(pairs), all);
    let again = server.sync("hosts", &full);
    assert_eq!(again["numMappedRelationshipsCreated"], 0);
    assert_eq!(again["numMappedRelationshipsDeleted"], 0);
    assert_eq!(server.ask(pairs), all, "the same upload changes nothing");
    // When another scope brings the real one, the made one goes.
    server.sync("okta", &json!({ "entities": [person("n", "new@x")] }));
    server.sync("hosts", &full);
    let real =
        json!([row("hr", "a@x"), row("hr", "a@x"), row("okta", "new@x"), row("okta", "new@x")]);
    assert_eq!(server.ask(pairs), real);
    // And when the mappings go, so do their relationships.
    let done = server.sync("hosts", &upload(vec![mapped("m1", "h", "a@x", json!({}))]));
    assert_eq!(done["numMappedRelationshipsDeleted"], 2);
    let done = server.sync("hosts", &upload(vec![]));
    assert_eq!(done["numMappedRelationshipsDeleted"], 2);
    assert_eq!(server.ask(pairs), json!([]));
    let wrong = mapped("m", "h", "x", json!({ "targetEntity": { "_rawData": [{}] } }));
    let job = server.job(&json!({ "source": "api", "scope": "hosts" }));
    let refused =
        server.post(&format!("{job}/relationships"), &json!({ "relationships": [wrong] }));
    assert_eq!(refused.code(), "RELATIONSHIP_UPLOAD_FAILED_VALIDATION");
    assert!(refused.text.contains("relationships[0]._mapping.targetEntity._rawData"));
    let output = tombolo(server.folder.path(), &["verify"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn half_an_upload_that_a_crash_left_spoils_no_other() {
    let server = Server::start();
    let host = json!({ "_key": "h", "_type": "host", "_class": "Host" });
    let job = server.job(&json!({ "source": "api", "scope": "hosts" }));
    let upload = |server: &Server, body: Json| server.post(&format!("{job}/upload"), &body).ok();
    let one = |key: &str| json!([mapped(key, "h", &format!("{key}@x"), json!({}))]);
    upload(&server, json!({ "entities": [host], "relationships": one("m1") }));
    let folder = server.kill();
    let id = job.rsplit('/').next().unwrap();
    let stage = folder.path().join("tombolo.redb.jobs").join(format!("{id}.stage"));
    let mut all = std::fs::read(&stage).unwrap();
    let half = all[..all.len() / 2].to_vec();
    all.extend_from_slice(&half[half.len() / 2..]);
    std::fs::write(&stage, all).unwrap();
    let server = Server::in_folder(folder, &[]);
    upload(&server, json!({ "relationships": one("m2") }));
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(done["job"]["numMappedRelationshipsCreated"], 2, "{done}");
}

#[test]
fn bad_requests_are_told_what_is_wrong_and_change_nothing() {
    let server = Server::start();
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    let entities = format!("{job}/entities");
    let gzipped = [("Content-Encoding", "gzip")];
    let bomb = gzip(&vec![b' '; 100 << 20]);
    let cases: Vec<(&str, &str, &[(&str, &str)], &[u8], u16, &str)> = vec![
        ("POST", JOBS, &[], b"{\"source\":\"api\"}", 400, "BAD_REQUEST"),
        (
            "POST",
            JOBS,
            &[],
            b"{\"source\":\"api\",\"scope\":\"a\",\"syncMode\":\"ALL\"}",
            400,
            "BAD_REQUEST",
        ),
        ("POST", JOBS, &[], b"{\"source\":\"integration-managed\"}", 400, "BAD_REQUEST"),
        ("POST", JOBS, &[], b"{", 400, "BAD_REQUEST"),
        ("POST", &entities, &[], b"", 400, "BAD_REQUEST"),
        ("POST", &entities, &[], b"[1,2", 400, "BAD_REQUEST"),
        ("POST", &entities, &[], b"{\"entities\":{}}", 400, "ENTITY_IS_NOT_ARRAY"),
        ("POST", &entities, &[], b"{\"entities\":null}", 400, "ENTITY_IS_NOT_ARRAY"),
        ("POST", &entities, &[], b"{\"entities\":[1]}", 400, "ENTITY_UPLOAD_FAILED_VALIDATION"),
        (
            "POST",
            &entities,
            &[],
            b"{\"entities\":[{\"_key\":\"\"}]}",
            400,
            "ENTITY_UPLOAD_FAILED_VALIDATION",
        ),
        (
            "POST",
            &entities,
            &[],
            b"{\"entities\":[{\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"C\",\"n\":1e400}]}",
            400,
            "ENTITY_UPLOAD_FAILED_VALIDATION",
        ),
        (
            "POST",
            &entities,
            &[],
            b"{\"entities\":[{\"_key\":\"a\",\"_type\":\"t\",\"_class\":\"C\",\"n\":1,\"n\":2}]}",
            400,
            "ENTITY_UPLOAD_FAILED_VALIDATION",
        ),
        ("POST", &entities, &[], b"\xff\xfe{\0}\0", 400, "BAD_REQUEST"),
        ("POST", &entities, &gzipped, b"\x1f\x8b\x08 broken", 400, "BROKEN_ENCODING"),
        ("POST", &entities, &gzipped, &bomb, 413, "RequestEntityTooLargeException"),
        ("POST", &entities, &[("Content-Encoding", "br")], b"x", 415, "UNSUPPORTED_ENCODING"),
        ("POST", &entities, &[("Content-Type", "image/png")], b"x", 415, "UNSUPPORTED_TYPE"),
        ("POST", "/persister/synchronization/jobs/nope/entities", &[], b"{}", 404, "JOB_NOT_FOUND"),
        ("GET", "/persister/synchronization/jobs/..%2f..%2fetc", &[], b"", 404, "JOB_NOT_FOUND"),
        (
            "GET",
            "/persister/synchronization/jobs/f445397d-8491-4a12-806a-04792839abe3",
            &[],
            b"",
            404,
            "JOB_NOT_FOUND",
        ),
        ("GET", "/v1/blast-radius", &[], b"", 400, "BAD_REQUEST"),
        ("GET", "/v1/owners", &[], b"", 400, "BAD_REQUEST"),
        ("GET", "/v1/owners?entity=a&class=User", &[], b"", 400, "BAD_REQUEST"),
        ("GET", "/v1/owners?entity=a&orphans=true", &[], b"", 400, "BAD_REQUEST"),
        ("GET", "/v1/blast-radius?entity=nope", &[], b"", 404, "NOT_FOUND"),
        ("GET", "/v1/blast-radius?entity=--help", &[], b"", 404, "NOT_FOUND"),
        ("GET", "/v1/blast-radius?entity=a&depth=x", &[], b"", 400, "BAD_REQUEST"),
        ("GET", "/v1/blast-radius?entity=a&propagation=/etc/passwd", &[], b"", 400, "BAD_REQUEST"),
        ("POST", "/v1/query", &[], b"{\"query\":\"FIND\"}", 400, "BAD_QUERY"),
        ("POST", "/v1/mappings/plan", &[], b"{\"scopes\":[\"../x\"]}", 400, "BAD_REQUEST"),
        ("GET", "/nowhere", &[], b"", 404, "NOT_FOUND"),
        ("DELETE", "/v1/scopes", &[], b"", 405, "METHOD_NOT_ALLOWED"),
    ];
    for (method, path, headers, body, status, code) in cases {
        let reply = server.call(method, path, headers, body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!((reply.status, reply.code()), (status, code), "{path} {shown}: {}", reply.text);
        let message = reply.json["error"]["message"].as_str().unwrap_or("");
        // Flags and arguments are words of the command line.
        let of_commands = ["--", "argument"].iter().any(|word| message.contains(word));
        let owners = path.starts_with("/v1/owners");
        assert!(!message.is_empty(), "{path} {shown}");
        assert!(!owners || !of_commands, "{path} {shown}: {message}");
    }
    // A fault names the object and the member; nothing of its upload is kept.
    let body = json!({ "entities": [user("good"), { "_key": "bad", "_type": "t", "_class": "C", "o": {} }] });
    let reply = server.post(&entities, &body);
    assert!(reply.text.contains("entities[1].o") && reply.text.contains("`bad`"), "{}", reply.text);
    assert_eq!(server.get(&job).ok()["job"]["numEntitiesUploaded"], 0);
    // The same key twice with different contents fails the job, unless it was told not to.
    server.post(&entities, &json!({ "entities": [user("a")] })).ok();
    let other = json!({ "entities": [{ "_key": "a", "_type": "t", "_class": "C" }] });
    server.post(&entities, &other).ok();
    assert_eq!(server.post(&format!("{job}/finalize"), &json!({})).status, 400);
    assert_eq!(server.ask("FIND *"), json!([]));
}

#[test]
fn a_broken_retry_gets_400_and_the_connection_ends() {
    let server = Server::start();
    let job = server.job(&json!({ "source": "api", "scope": "okta" }));
    // One client packs its packed body again under the old length: what follows is rubbish.
    let packed = gzip(users(50).to_string().as_bytes());
    let mut twice = b"{\"type\":\"Buffer\",\"data\":[31,139".to_vec();
    twice.resize(packed.len() + 200, b'0');
    let mut request = format!(
        "POST {job}/entities HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    )
    .into_bytes();
    request.extend(twice);
    let answer = server.raw(&request);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "the rubbish is no request: {answer}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    assert!(server.raw(long.as_bytes()).starts_with("HTTP/1.1 4"));
    let many: String = (0..10_000).map(|i| format!("X-{i}: 1\r\n")).collect();
    let many = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    assert!(server.raw(many.as_bytes()).starts_with("HTTP/1.1 4"));
    server.get("/health").ok();
}

#[test]
fn silent_connections_keep_nobody_waiting() {
    let server = Server::start();
    let silent: Vec<_> = (0..300)
        .map(|i| {
            use std::io::Write;
            let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
            if i % 2 == 0 {
                // Some begin a request and a body, and never end it.
                let begun =
                    b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{";
                stream.write_all(begun).unwrap();
            }
            stream
        })
        .collect();
    server.get("/health").ok();
    server.sync("okta", &users(2));
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 2 }]));
    drop(silent);
}

#[test]
fn names_and_pages_of_strangers_stay_outside() {
    let server = Server::start();
    let host = |name: &str| server.call("GET", "/v1/scopes", &[("Host", name)], b"").status;
    assert_eq!((host("evil.example"), host("localhost:1"), host("[::1]:1")), (421, 200, 200));
    let origin = |origin: &str| {
        let headers = [("Origin", origin), ("Content-Type", "application/json")];
        server.call("POST", "/graphql", &headers, b"{\"query\":\"{__typename}\"}").status
    };
    assert_eq!((origin("http://evil.example"), origin("http://localhost:7474")), (403, 200));
    let site = [("Sec-Fetch-Site", "cross-site")];
    assert_eq!(server.call("POST", JOBS, &site, b"{}").status, 403);
    let answer = server.raw(
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(!answer.to_lowercase().contains("access-control"), "no CORS: {answer}");
}

#[test]
fn a_token_allows_what_it_says_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let token = |name: &str, rights: &[&str]| {
        let mut words = vec!["token", "create", name, "--quiet"];
        words.extend(rights.iter().flat_map(|right| ["--right", right]));
        let output = tombolo(folder.path(), &words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let tokens = [
        ("nobody", String::new()),
        ("wrong", format!("tmb_{}", "0".repeat(64))),
        ("reader", token("reader", &["read"])),
        ("okta", token("okta", &["write:okta-*"])),
        ("jamf", token("jamf", &["write:jamf"])),
        ("admin", token("admin", &["admin"])),
    ];
    let server = Server::in_folder(folder, &[]);
    let call = |who: &str, method: &str, path: &str, body: &Json| {
        let (_, token) = tokens.iter().find(|(name, _)| *name == who).unwrap();
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let headers = if token.is_empty() { &headers[1..] } else { &headers[..] };
        server.call(method, path, headers, body.to_string().as_bytes())
    };
    let create = json!({ "source": "api", "scope": "okta-1" });
    let made = call("okta", "POST", JOBS, &create).ok();
    let job = format!("{JOBS}/{}", made["job"]["id"].as_str().unwrap());
    let entities = format!("{job}/entities");
    let query = json!({ "query": "FIND User" });
    let graphql = json!({ "query": "{ queryV1(query: \"FIND User\") { data } }" });
    let approve = "/v1/jobs/f445397d-8491-4a12-806a-04792839abe3/approve";
    // For each request the status that each caller gets.
    let matrix: [(&str, &str, Json, [u16; 6]); 8] = [
        ("POST", JOBS, create.clone(), [401, 401, 403, 200, 403, 200]),
        ("POST", &entities, users(1), [401, 401, 403, 200, 404, 200]),
        ("GET", &job, json!(null), [401, 401, 200, 200, 404, 200]),
        ("POST", "/v1/query", query, [401, 401, 200, 403, 403, 200]),
        ("GET", "/v1/scopes", json!(null), [401, 401, 200, 403, 403, 200]),
        ("GET", "/metrics", json!(null), [401, 401, 200, 403, 403, 200]),
        ("POST", approve, json!({}), [401, 401, 403, 403, 403, 404]),
        ("GET", "/health", json!(null), [200, 200, 200, 200, 200, 200]),
    ];
    for (method, path, body, expected) in &matrix {
        let got: Vec<u16> =
            tokens.iter().map(|(who, _)| call(who, method, path, body).status).collect();
        assert_eq!(got, expected, "{method} {path}");
    }
    let errors = |who: &str| call(who, "POST", "/graphql", &graphql).ok()["errors"].clone();
    assert_eq!(errors("reader"), json!(null));
    assert!(errors("okta")[0]["message"].as_str().unwrap().contains("right"));
    let change = json!({ "query": "mutation { createEntity(entityKey: \"k\", entityType: \"t\", \
        entityClass: [\"C\"], properties: {_scope: \"okta-1\"}) { entity { _id } } }" });
    let change = |who: &str| call(who, "POST", "/graphql", &change).ok()["errors"].clone();
    assert!(change("reader").is_array() && change("jamf").is_array());
    assert_eq!(change("okta"), json!(null));
    // Revoked is revoked, while the server runs.
    let list = tombolo(server.folder.path(), &["token", "list", "-o", "json"]);
    let list: Json = serde_json::from_slice(&list.stdout).unwrap();
    assert!(!list.to_string().contains("tmb_"));
    let reader = list.as_array().unwrap().iter().find(|t| t["name"] == "reader").unwrap();
    tombolo(server.folder.path(), &["token", "revoke", reader["id"].as_str().unwrap()]);
    assert_eq!(call("reader", "GET", "/v1/scopes", &json!(null)).status, 401);
}

#[test]
fn a_patch_without_a_scope_finds_each_object_where_it_lives() {
    let server = Server::start();
    server.sync("one", &users(2));
    server.sync("two", &json!({ "entities": [user("x"), user("u0")] }));
    let id = |query: &str| server.ask(query)[0]["id"].clone();
    let job = server.job(&json!({ "source": "api", "syncMode": "PATCH" }));
    let entities = format!("{job}/entities");
    let two_homes = json!({ "entities": [{ "_key": "u0", "n": 1 }] });
    let refused = server.post(&entities, &two_homes);
    assert!(refused.status == 400 && refused.text.contains("one, two"), "{}", refused.text);
    let patch = json!({ "entities": [
        { "_id": id("FIND User IN SCOPE 'one' WITH _key = 'u0'"), "n": 1 },
        // A null says as much as nothing.
        { "_key": "x", "_scope": null, "n": 2 },
        { "_key": "u0", "_scope": "two", "n": 3 },
        { "_key": "new", "_type": "t", "_scope": null, "_class": "User", "n": 4 },
    ] });
    server.post(&entities, &patch).ok();
    let gone = json!({ "deleteEntities": [{ "_id": id("FIND User WITH _key = 'u1'") }] });
    server.post(&format!("{job}/upload"), &gone).ok();
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    let count = |name: &str| done["job"][format!("numEntities{name}")].clone();
    let counts = (count("Updated"), count("Created"), count("Deleted"));
    assert_eq!(counts, (json!(3), json!(1), json!(1)), "{done}");
    let rows = server.ask("FIND User AS u RETURN u._scope AS s, u._key AS k, u.n AS n ORDER BY n");
    let row = |s: &str, k: &str, n: u64| json!({ "s": s, "k": k, "n": n });
    let all =
        json!([row("one", "u0", 1), row("two", "x", 2), row("two", "u0", 3), row("api", "new", 4)]);
    assert_eq!(rows, all);
}

#[test]
fn the_status_of_a_run_of_mappings_tells_whether_it_ended_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let mapping = |guard: &str| {
        format!(
            "scope = \"links\"\n\
             rows = {{ inline = [{{ a = \"u0\", b = \"u1\" }}] }}\n\
             relationship = {{ class = \"KNOWS\", type = \"t\" }}\n\
             from = {{ scope = \"okta\", key = \"{{row.a}}\" }}\n\
             to = {{ scope = \"okta\", key = \"{{row.b}}\" }}\n\
             sameScope = \"allow\"\n{guard}"
        )
    };
    std::fs::create_dir(folder.path().join("mappings")).expect("made");
    let file = folder.path().join("mappings/links.toml");
    std::fs::write(&file, mapping("[guard]\nmin_edges = 5\n")).expect("written");
    let server = Server::in_folder(folder, &[]);
    server.sync("okta", &users(2));
    for path in ["/v1/mappings/plan", "/v1/mappings/apply"] {
        let refused = server.post(path, &json!({}));
        assert_eq!((refused.status, &refused.json["status"]), (409, &json!("REFUSED")));
        assert!(refused.text.contains("1 edges would be left"), "{}", refused.text);
    }
    std::fs::write(&file, mapping("").replace("class =", "clas =")).expect("written");
    assert_eq!(server.post("/v1/mappings/plan", &json!({})).status, 400);
    std::fs::write(&file, mapping("")).expect("written");
    assert_eq!(server.post("/v1/mappings/plan", &json!({})).ok()["relationships"]["created"], 1);
    assert_eq!(server.post("/v1/mappings/apply", &json!({})).ok()["status"], "FINISHED");
}

#[test]
fn a_backup_is_a_database_while_the_server_runs() {
    let server = Server::start();
    server.sync("okta", &users(30));
    let folder = server.folder.path();
    let output = tombolo(folder, &["backup", "copy.redb"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Byte 9 holds the flags of the engine, and 2 says that a writer has the file open or died.
    assert_eq!(std::fs::read(folder.join("copy.redb")).unwrap()[9] & 2, 0);
    server.sync("jamf", &users(5));
    let count = ["query", "FIND User RETURN count(User) AS n", "-o", "json", "--db", "copy.redb"];
    let said: Json = serde_json::from_slice(&tombolo(folder, &count).stdout).unwrap();
    assert_eq!(said["data"], json!([{ "n": 30 }]));
    assert!(tombolo(folder, &["verify", "--db", "copy.redb"]).status.success());
    let again = tombolo(folder, &["backup", "copy.redb"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"));
}

#[test]
fn another_address_needs_a_token_and_tls() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |flags: &[&str]| {
        let words = [&["serve", "--address", "0.0.0.0", "--port", "0"], flags].concat();
        String::from_utf8(tombolo(folder.path(), &words).stderr).unwrap()
    };
    assert!(serve(&[]).contains("there is no token"));
    tombolo(folder.path(), &["token", "create", "x", "--right", "read"]);
    assert!(serve(&[]).contains("in the clear"));
}

#[test]
fn graphql_speaks_as_the_clients_do() {
    let server = Server::start();
    server.sync("okta", &users(600));
    let page = "query J1QL_v2($query: String!, $variables: JSON, $flags: QueryV1Flags, \
        $includeDeleted: Boolean, $cursor: String) { queryV1(query: $query variables: $variables \
        deferredResponse: DISABLED flags: $flags includeDeleted: $includeDeleted cursor: $cursor) \
        { type data cursor __typename } }";
    let ask = |query: &str, cursor: Option<&str>| {
        let variables = json!({ "query": query, "includeDeleted": false, "cursor": cursor });
        let flags = json!({ "variableResultSize": true });
        let body = json!({ "query": page, "variables": variables, "flags": flags });
        server.post("/", &body).ok()["data"]["queryV1"].clone()
    };
    let mut keys = Vec::new();
    let mut cursor = None;
    loop {
        let answer = ask("FIND User AS u RETURN u._key AS k", cursor.as_deref());
        assert_eq!(answer["type"], "table");
        keys.extend(answer["data"].as_array().unwrap().iter().map(|row| row["k"].to_string()));
        match answer["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
        // Whatever is written meanwhile, all pages are of one state.
        server.sync("okta", &users(600 + keys.len()));
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 600);
    let tree = ask("FIND User WITH _key = 'u1' RETURN TREE", None);
    assert_eq!(tree["data"]["vertices"][0]["entity"]["_key"], "u1");
    // A list of operations gives a list of answers; an unknown one is an error of its own.
    let batch = json!([
        { "operationName": "Q", "query": "query Q($q: String!) { queryV1(query: $q, deferredResponse: FORCE) { type url data __typename } }",
          "variables": { "q": "FIND User WITH _key = 'u2'" } },
        { "query": "mutation { createQuestion(question: {}) { id } }" },
    ]);
    let answers = server.post("/graphql", &batch).ok();
    assert!(answers[1]["errors"][0]["message"].is_string());
    let deferred = &answers[0]["data"]["queryV1"];
    assert_eq!((&deferred["type"], &deferred["data"]), (&json!("deferred"), &json!(null)));
    let url = deferred["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", server.address)).expect(url);
    let status = server.get(path).ok();
    assert_eq!(
        (&status["status"], &status["data"][0]["entity"]["_key"]),
        (&json!("COMPLETED"), &json!("u2"))
    );
    assert!(status.get("cursor").is_none());
    // Objects one by one.
    let run = |query: &str| {
        let answer = server.post("/graphql", &json!({ "query": query })).ok();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    };
    let made =
        run("mutation { createEntity(entityKey: \"k\", entityType: \"t\", entityClass: \"Host\", \
        properties: {n: 1}) { entity { _id } vertex { id properties } } }");
    let id = made["createEntity"]["entity"]["_id"].as_str().unwrap();
    run(&format!(
        "mutation {{ updateEntity(entityId: \"{id}\", properties: {{m: 2}}) {{ entity {{ _id }} }} }}"
    ));
    assert_eq!(server.ask("FIND Host AS h RETURN h.n AS n, h.m AS m"), json!([{ "n": 1, "m": 2 }]));
    let from = server.ask("FIND User WITH _key = 'u1'")[0]["id"].clone();
    let made = run(&format!(
        "mutation {{ createRelationship(relationshipKey: \"r\", relationshipType: \"t\", \
         relationshipClass: \"OWNS\", fromEntityId: {from}, toEntityId: \"{id}\") \
         {{ relationship {{ _id }} edge {{ fromVertexId }} }} }}"
    ));
    assert_eq!(made["createRelationship"]["edge"]["fromVertexId"], from);
    let count = "FIND User THAT OWNS Host RETURN count(Host) AS n";
    assert_eq!(server.ask(count), json!([{ "n": 1 }]));
    let link = made["createRelationship"]["relationship"]["_id"].as_str().unwrap();
    run(&format!(
        "mutation {{ deleteRelationship(relationshipId: \"{link}\") {{ relationship {{ _id }} }} }}"
    ));
    assert_eq!(server.ask(count), json!([{ "n": 0 }]));
    run(&format!(
        "mutation {{ deleteEntityV2(entityId: \"{id}\", hardDelete: true) {{ entity }} }}"
    ));
    assert_eq!(server.ask("FIND Host"), json!([]));
    let missing = json!({ "query": format!("mutation {{ deleteEntity(entityId: \"{id}\") {{ entity {{ _id }} }} }}") });
    assert!(server.post("/graphql", &missing).ok()["errors"].is_array());
}

#[test]
fn rest_answers_what_the_commands_print() {
    let server = Server::start();
    let link = |key: &str, from: &str, verb: &str, to: &str| {
        json!({
            "_key": key, "_type": "t", "_class": verb, "_fromEntityKey": from, "_toEntityKey": to,
        })
    };
    let host = json!({ "_key": "h", "_type": "host", "_class": "Host" });
    server.sync(
        "s",
        &json!({
            "entities": [user("a"), host],
            "relationships": [link("r", "a", "OWNS", "h")],
        }),
    );
    for (path, words) in [
        ("/v1/blast-radius?entity=a&depth=2", vec!["blast-radius", "a", "--depth", "2"]),
        ("/v1/owners?entity=s::h", vec!["owners", "s::h"]),
        ("/v1/path?from=a&to=h", vec!["path", "a", "h"]),
        ("/v1/entity?entity=a", vec!["get", "a"]),
        ("/v1/scopes", vec!["scopes"]),
        ("/v1/stats", vec!["stats"]),
        ("/v1/cycles", vec!["cycles"]),
    ] {
        let printed = tombolo(server.folder.path(), &[&words[..], &["-o", "json"]].concat());
        let printed: Json = serde_json::from_slice(&printed.stdout).expect(path);
        assert_eq!(server.get(path).ok(), printed, "{path}");
    }
    let document = server.get("/openapi.json").ok();
    for path in ["/v1/blast-radius", "/v1/query", "/v1/jobs/{id}/approve", "/v1/mappings/plan"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    let content = &document["paths"]["/metrics"]["get"]["responses"]["200"]["content"];
    assert!(content.get("application/openmetrics-text").is_some(), "{content}");
    let metrics = server.get("/metrics");
    assert!(metrics.text.contains("tombolo_http_requests_total"), "{}", metrics.text);
    server.get("/ready").ok();
}

#[test]
fn push_prints_what_sync_prints() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..3000).map(|i| format!("{}\n", user(&format!("u{i}")))).collect();
    std::fs::write(folder.path().join("u.ndjson"), &lines).unwrap();
    std::fs::write(folder.path().join("g.json"), json!([user("x")]).to_string()).unwrap();
    let url = server.url("");
    let push = ["push", &url, "--scope", "okta", "u.ndjson", "g.json", "-o", "json"];
    let pushed = tombolo(folder.path(), &push);
    let report: Json = serde_json::from_slice(&pushed.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&pushed.stderr)));
    assert_eq!(
        (&report["status"], &report["entities"]["created"]),
        (&json!("FINISHED"), &json!(3001))
    );
    let again = tombolo(folder.path(), &[&push[..], &["--dry-run"]].concat());
    let again: Json = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["entities"]["unchanged"], 3001);
    assert_eq!(server.get("/v1/jobs?status=AWAITING_UPLOADS").ok()["jobs"], json!([]));
    std::fs::write(folder.path().join("bad.json"), "{\"entities\":[{}]}").unwrap();
    let refused = tombolo(folder.path(), &["push", &url, "--scope", "okta", "bad.json"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no `_key`"));
}

#[test]
fn push_checks_all_files_before_it_makes_a_job() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let push =
        |words: &[&str]| tombolo(folder.path(), &[&["push", &url, "--scope", "s"], words].concat());
    let jobs = || server.get("/v1/jobs").ok()["jobs"].as_array().map_or(0, Vec::len);
    write("good.csv", "_key;_type;_class;name\na;t;Host;10.10\n");
    write("open.csv", "_key,_type,_class,name\na,t,Host,\"x\n");
    write("nested.json", "[{\"_key\":\"n\",\"_type\":\"t\",\"_class\":\"Host\",\"p\":{\"q\":1}}]");
    write("twice.ndjson", &format!("{}\n{}\n", user("u"), user("u")));
    for (file, words) in [
        ("open.csv", "the quote opened on line 2 is never closed"),
        ("nested.json", "--flatten"),
        (
            "twice.ndjson",
            "twice.ndjson:2: this `_key` stands twice in the upload, first at twice.ndjson:1",
        ),
    ] {
        let refused = push(&["good.csv", file]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(jobs(), 0, "{file}");
    }
    let pushed = push(&["good.csv", "nested.json", "--flatten", "-o", "json"]);
    assert_eq!(pushed.status.code(), Some(0), "{}", String::from_utf8_lossy(&pushed.stderr));
    let rows = server.ask("FIND Host").to_string();
    assert!(rows.contains("\"10.10\"") && rows.contains("\"p.q\":1"), "{rows}");
}

#[test]
fn many_jobs_at_once_lose_nothing_and_readers_see_whole_generations() {
    let server = Server::start();
    let scopes = 8;
    let generation = |scope: usize, generation: usize| {
        let entity = |i: usize| {
            json!({
                "_key": format!("s{scope}-{i}"), "_type": format!("t{scope}"), "_class": "Host",
                "generation": generation,
            })
        };
        (0..4).map(|batch| json!({ "entities": (0..50).map(|i| entity(batch * 50 + i)).collect::<Vec<_>>() }))
            .collect::<Vec<_>>()
    };
    let (server, done) = (&server, &std::sync::atomic::AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for scope in 0..scopes {
            threads.spawn(move || {
                for number in 1..=4 {
                    let name = format!("scope-{scope}");
                    let job = server.job(&json!({ "source": "api", "scope": name }));
                    // As the SDK does: several batches of one job at once.
                    std::thread::scope(|batches| {
                        for batch in generation(scope, number) {
                            let job = &job;
                            batches.spawn(move || {
                                server.post(&format!("{job}/entities"), &batch).ok()
                            });
                        }
                    });
                    let ended = server.post(&format!("{job}/finalize"), &json!({})).ok();
                    assert_eq!(ended["job"]["numEntitiesUploaded"], 200, "{ended}");
                    assert_eq!(ended["job"]["status"], "FINISHED");
                }
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        threads.spawn(move || {
            while done.load(std::sync::atomic::Ordering::SeqCst) < scopes {
                let rows = server.ask(
                    "FIND Host AS h RETURN h._type AS t, count(h) AS n, min(h.generation) AS a, max(h.generation) AS b",
                );
                for row in rows.as_array().unwrap() {
                    assert_eq!((&row["n"], &row["a"]), (&json!(200), &row["b"]), "{row}");
                }
            }
        });
    });
    let rows = server.ask("FIND Host AS h RETURN count(h) AS n, min(h.generation) AS a");
    assert_eq!(rows, json!([{ "n": 200 * scopes, "a": 4 }]));
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut server = Server::start();
    for round in 0..3 {
        let scope = format!("s{round}");
        let finished = server.sync(&scope, &users(20));
        let job = server.job(&json!({ "source": "api", "scope": "open" }));
        server.post(&format!("{job}/entities"), &users(round + 1)).ok();
        server = Server::in_folder(server.kill(), &[]);
        // The finished job is in the graph, the open one takes up where it was.
        let id = finished["id"].as_str().unwrap();
        assert_eq!(server.get(&format!("{JOBS}/{id}")).ok()["job"]["status"], "FINISHED");
        assert_eq!(server.get(&job).ok()["job"]["numEntitiesUploaded"], round + 1);
        let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
        assert_eq!(done["job"]["status"], "FINISHED");
    }
    assert_eq!(server.ask("FIND User RETURN count(User) AS n"), json!([{ "n": 63 }]));
    let output = tombolo(server.folder.path(), &["verify"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.stop(), Some(0), "asked to stop, it stops in order");
}

#[test]
fn tls_serves_what_http_does_and_says_so() {
    let tls = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/tls");
    let file = |name: &str| tls.join(name).display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--tls-cert", &file("certificate.pem"), "--tls-key", &file("key.pem")];
    let server = Server::in_folder(folder, &flags);
    let config = ureq::tls::TlsConfig::builder().disable_verification(true).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(config).build().into();
    let query =
        json!({ "query": "{ queryV1(query: \"FIND User\", deferredResponse: FORCE) { url } }" });
    let url = format!("https://{}/graphql", server.address);
    let mut answer = agent.post(&url).send(query.to_string()).expect("an answer");
    let answer: Json = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    let later = answer["data"]["queryV1"]["url"].as_str().expect("a URL");
    assert!(later.starts_with("https://"), "{later}");
    assert_eq!(agent.get(later).call().expect("an answer").status(), 200);
    // What speaks in the clear is not served, and keeps nobody waiting.
    let plain = server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!plain.contains("200 OK"), "{plain}");
    assert_eq!(
        agent.get(&url.replace("graphql", "health")).call().expect("an answer").status(),
        200
    );
}

#[test]
fn a_mapping_without_its_source_is_listed_as_skipped() {
    let server = Server::start();
    let mapped = |key: &str, source: &str| {
        json!({ "_key": key, "_type": "knows", "_class": "KNOWS", "_mapping": {
            "sourceEntityKey": source,
            "targetFilterKeys": [["_key"]],
            "targetEntity": { "_key": "x", "_type": "t", "_class": "Host" },
        } })
    };
    let done = server.sync(
        "s",
        &json!({
            "entities": [{ "_key": "a", "_type": "t", "_class": "Host" }],
            "relationships": [mapped("good", "a"), mapped("bad", "nobody")],
        }),
    );
    let report = &done["report"];
    assert_eq!(
        report["skipped"],
        json!([{ "key": "bad", "place": null,
                 "reason": "`from` entity `nobody` in scope `s` was never seen" }])
    );
    assert_eq!(report["skippedTotal"], 1);
    assert_eq!(report["mappedRelationships"]["created"], 1);
    assert_eq!(report["mappedRelationships"]["skipped"], 1);
}

#[test]
fn a_scope_has_one_kind_of_owner_over_http() {
    let server = Server::start();
    server.sync("okta", &json!({ "entities": [{ "_key": "a", "_type": "t", "_class": "Host" }] }));
    let jobs = "/persister/synchronization/jobs";
    let bridge = json!({ "source": "api", "scope": "okta", "syncMode": "CROSS_SCOPE" });
    let refused = server.post(jobs, &bridge);
    assert_eq!((refused.status, refused.code()), (409, "SCOPE_HAS_OTHER_OWNER"));
    // A job that was opened before the scope had an owner finds it at the end.
    let bridge = server.job(&json!({ "source": "api", "scope": "x", "syncMode": "CROSS_SCOPE" }));
    server.sync("x", &json!({ "entities": [{ "_key": "a", "_type": "t", "_class": "Host" }] }));
    let refused = server.post(&format!("{bridge}/finalize"), &json!({}));
    assert_eq!((refused.status, refused.code()), (409, "SCOPE_HAS_OTHER_OWNER"));
    let reserved = server.post(jobs, &json!({ "source": "api", "scope": "mapped:okta" }));
    assert_eq!(reserved.status, 400, "{}", reserved.text);
}
