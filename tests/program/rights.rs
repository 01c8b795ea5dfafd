//! What a right reaches beyond the object that it is used on: objects that come later, cascades, what
//! is mapped, deletions that the guard holds, and what answers, errors and reports tell.

use crate::http::{JOBS, Reply, Server, tombolo};
use serde_json::{Value as Json, json};
use std::path::Path;
use tombolo::graph::{ObjectId, ObjectKind};

struct World {
    server: Server,
    admin: String,
}

/// A database with a token for everything, and a server that is started when all tokens are made.
struct Before {
    folder: tempfile::TempDir,
    admin: String,
}

fn token(folder: &Path, rights: &[&str]) -> String {
    let mut words = vec!["token", "create", "x", "--quiet"];
    words.extend(rights.iter().flat_map(|right| ["--right", right]));
    let output = tombolo(folder, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

impl Before {
    fn new() -> Before {
        let folder = tempfile::tempdir().expect("a folder");
        let admin = token(folder.path(), &["admin"]);
        Before { folder, admin }
    }

    fn token(&self, rights: &[&str]) -> String {
        token(self.folder.path(), rights)
    }

    fn serve(self) -> World {
        World { server: Server::in_folder(self.folder, &[]), admin: self.admin }
    }
}

impl World {
    fn post(&self, token: &str, path: &str, body: &Json) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        self.server.call("POST", path, &headers, body.to_string().as_bytes())
    }

    fn get(&self, token: &str, path: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        self.server.call("GET", path, &[("Authorization", bearer.as_str())], b"")
    }

    fn job(&self, token: &str, create: &Json) -> String {
        let made = self.post(token, JOBS, create).ok();
        format!("{JOBS}/{}", made["job"]["id"].as_str().expect("an id"))
    }

    fn upload(&self, token: &str, scope: &str, upload: &Json) -> String {
        let job = self.job(token, &json!({ "source": "api", "scope": scope }));
        self.post(token, &format!("{job}/upload"), upload).ok();
        job
    }

    fn finalize(&self, token: &str, job: &str) -> Reply {
        self.post(token, &format!("{job}/finalize"), &json!({}))
    }

    fn sync(&self, scope: &str, upload: &Json) -> Json {
        let job = self.upload(&self.admin, scope, upload);
        self.finalize(&self.admin, &job).ok()["job"].clone()
    }

    fn ask(&self, query: &str) -> Json {
        self.post(&self.admin, "/v1/query", &json!({ "query": query })).ok()["data"].clone()
    }

    fn graphql(&self, token: &str, query: &str) -> Reply {
        self.post(token, "/graphql", &json!({ "query": query }))
    }

    /// Keys of all live entities.
    fn keys(&self) -> Json {
        self.ask("FIND User AS u RETURN u._scope AS s, u._key AS k ORDER BY s, k")
    }

    fn verify(&self) {
        let output = tombolo(self.server.folder.path(), &["verify"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn user(key: &str) -> Json {
    json!({ "_key": key, "_type": "t", "_class": "User" })
}

fn users(keys: &[&str]) -> Json {
    json!({ "entities": keys.iter().map(|key| user(key)).collect::<Vec<_>>() })
}

fn entity_id(scope: &str, key: &str) -> String {
    ObjectId::new(ObjectKind::Entity, scope, key).to_string()
}

#[track_caller]
fn forbidden(reply: &Reply) {
    assert_eq!((reply.status, reply.code()), (403, "FORBIDDEN"), "{}", reply.text);
    for word in ["secret", "victim"] {
        assert!(!reply.text.contains(word), "{}", reply.text);
    }
}

#[test]
fn what_comes_to_live_after_it_was_named_for_deletion_is_deleted_by_nobody_else() {
    let before = Before::new();
    let api = before.token(&["write:api"]);
    let both = before.token(&["write:api", "write:secret"]);
    let world = before.serve();
    for mode in ["PATCH", "CREATE_OR_UPDATE"] {
        let create = json!({ "source": "api", "syncMode": mode });
        let (key, key2, link) =
            (format!("victim {mode}"), format!("victim2 {mode}"), format!("victim-r {mode}"));
        let victim = json!({ "deleteEntities": [{ "_id": entity_id("secret", &key) }] });
        let link_key = link.clone();
        let link = ObjectId::new(ObjectKind::Relationship, "secret", &link).to_string();
        let link = json!({ "deleteRelationships": [{ "_id": link }] });
        let jobs = [&victim, &link].map(|deletes| {
            let job = world.job(&api, &create);
            world.post(&api, &format!("{job}/upload"), deletes).ok();
            job
        });
        let mut scope = users(&[&key, &key2]);
        scope["relationships"] = json!([{
            "_key": link_key, "_type": "t", "_class": "KNOWS", "_fromEntityKey": key,
            "_toEntityKey": key2,
        }]);
        world.sync("secret", &scope);
        let all = world.keys();
        let links = "FIND User THAT KNOWS >> AS r User RETURN r._key AS k";
        for job in &jobs {
            // Nor does it help that somebody finalizes it who could have done so alone.
            for who in [&api, &both, &world.admin, &api] {
                let reply = world.finalize(who, job);
                assert_eq!((reply.status, reply.code()), (403, "FORBIDDEN"), "{}", reply.text);
            }
            forbidden(&world.finalize(&api, job));
            let dry = world.post(&api, &format!("{job}/finalize"), &json!({ "dryRun": true }));
            forbidden(&dry);
            assert_eq!(world.get(&api, job).ok()["job"]["status"], "AWAITING_UPLOADS");
            assert_eq!((world.keys(), world.ask(links)), (all.clone(), json!([{ "k": link_key }])));
            world.post(&api, &format!("{job}/abort"), &json!({})).ok();
        }
        // Who may write both scopes may do it.
        let job = world.job(&both, &create);
        world.post(&both, &format!("{job}/upload"), &victim).ok();
        let done = world.finalize(&both, &job).ok();
        assert_eq!(done["job"]["numEntitiesDeleted"], 1, "{done}");
    }
    world.verify();
}

#[test]
fn the_rights_of_who_finalizes_count() {
    let before = Before::new();
    let api = before.token(&["write:api"]);
    let both = before.token(&["write:api", "write:secret"]);
    let world = before.serve();
    let job = world.job(&both, &json!({ "source": "api", "syncMode": "PATCH" }));
    let row = json!({ "_scope": "secret", "_key": "victim", "_type": "t", "_class": "User" });
    world.post(&both, &format!("{job}/upload"), &json!({ "entities": [row] })).ok();
    forbidden(&world.finalize(&api, &job));
    assert_eq!(world.keys(), json!([]));
    let done = world.finalize(&both, &job).ok();
    assert_eq!(done["job"]["numEntitiesCreated"], 1, "{done}");
}

#[test]
fn relationships_go_with_the_entities_of_their_owner_and_are_named_to_readers_only() {
    let before = Before::new();
    let own = before.token(&["write:own"]);
    let reads = before.token(&["write:own", "read"]);
    let links = before.token(&["write:own", "write:secret-links"]);
    let world = before.serve();
    let seed = || {
        world.sync("own", &users(&["a", "b"]));
        let link = json!({ "relationships": [{
            "_key": "victim", "_type": "t", "_class": "KNOWS", "_fromEntityKey": "a",
            "_toEntityKey": "b", "_fromEntityScope": "own", "_toEntityScope": "own",
        }] });
        let create = json!({ "source": "api", "scope": "secret-links", "syncMode": "CROSS_SCOPE" });
        let job = world.job(&world.admin, &create);
        world.post(&world.admin, &format!("{job}/upload"), &link).ok();
        world.finalize(&world.admin, &job).ok();
    };
    for (who, told) in
        [(&own, "(other scopes)"), (&reads, "secret-links"), (&links, "secret-links")]
    {
        seed();
        let job = world.upload(who, "own", &users(&["b"]));
        let done = world.finalize(who, &job).ok();
        assert_eq!(done["job"]["numEntitiesDeleted"], 1);
        assert_eq!(done["job"]["report"]["foreignDeletions"], json!({ told: 1 }), "{done}");
        // The report that is asked for later says no more.
        let later = world.get(who, &job).ok();
        assert_eq!(later["job"]["report"]["foreignDeletions"], json!({ told: 1 }));
    }
    seed();
    let gone = format!(
        "mutation {{ deleteEntity(entityId: \"{}\") {{ entity {{ _id }} }} }}",
        entity_id("own", "a")
    );
    let reply = world.graphql(&own, &gone).ok();
    assert!(reply["errors"].is_null() && !reply.to_string().contains("secret"), "{reply}");
    world.verify();
}

#[test]
fn why_an_end_is_missing_is_told_to_readers_only() {
    let before = Before::new();
    let own = before.token(&["write:own"]);
    let reads = before.token(&["write:own", "read"]);
    let world = before.serve();
    world.sync("secret", &users(&["victim", "kept"]));
    world.sync("secret", &users(&["kept"]));
    world.sync("secret-too", &users(&["victim"]));
    let mut upload = users(&["a"]);
    upload["relationships"] = json!([{
        "_key": "r", "_type": "t", "_class": "KNOWS", "_fromEntityKey": "a", "_toEntityKey": "victim",
        "_toEntityScope": "nowhere",
    }]);
    let skipped = |who: &str| {
        let job = world.upload(who, "own", &upload);
        let done = world.finalize(who, &job).ok();
        assert_eq!(done["job"]["numRelationshipCreateErrors"], 1, "{done}");
        done["job"]["report"]["skipped"][0]["reason"].as_str().expect("a reason").to_owned()
    };
    let told = skipped(&own);
    assert!(told.contains("an end") && !told.contains("secret"), "{told}");
    let told = skipped(&reads);
    assert!(told.contains("the same key lives in scope `secret-too`"), "{told}");
    // The same where single objects are edited.
    let make = format!(
        "mutation {{ createRelationship(relationshipKey: \"r2\", relationshipType: \"t\", \
         relationshipClass: \"KNOWS\", fromEntityId: \"{}\", toEntityId: \"{}\", \
         properties: {{ _scope: \"own\" }}) {{ relationship {{ _id }} }} }}",
        entity_id("own", "a"),
        entity_id("secret", "victim"),
    );
    let message = |who| world.graphql(who, &make).ok()["errors"][0]["message"].to_string();
    assert!(!message(&own).contains("deleted") && message(&reads).contains("deleted"));
}

fn mapping(property: &str, value: &str) -> Json {
    json!({ "_key": "m", "_type": "t", "_class": "KNOWS", "_mapping": {
        "sourceEntityKey": "a", "targetFilterKeys": [[property]],
        "targetEntity": { property: value, "_type": "t", "_key": "made", "_class": "User" },
    } })
}

#[test]
fn mapped_relationships_need_the_right_to_read() {
    let before = Before::new();
    let own = before.token(&["write:okta-1"]);
    let reads = before.token(&["write:okta-1", "read"]);
    let world = before.serve();
    let victim = json!({ "_key": "victim", "_type": "t", "_class": "User", "pin": "4711" });
    world.sync("secret", &json!({ "entities": [victim] }));
    let upload =
        |pin: &str| json!({ "entities": [user("a")], "relationships": [mapping("pin", pin)] });
    // A guess that is right sounds like one that is wrong.
    let job = world.job(&own, &json!({ "source": "api", "scope": "okta-1" }));
    let [right, wrong] = ["4711", "4712"].map(|pin| {
        let reply = world.post(&own, &format!("{job}/upload"), &upload(pin));
        forbidden(&reply);
        assert!(reply.text.contains("`read`"), "it says what is needed: {}", reply.text);
        reply.text
    });
    assert_eq!(right, wrong);
    // Whoever uploaded it, it takes that right to finalize it, also on trial.
    world.post(&reads, &format!("{job}/upload"), &upload("4711")).ok();
    forbidden(&world.finalize(&own, &job));
    forbidden(&world.post(&own, &format!("{job}/finalize"), &json!({ "dryRun": true })));
    let done = world.finalize(&reads, &job).ok();
    assert_eq!(done["job"]["numMappedRelationshipsCreated"], 1, "{done}");
    // How much fitted is told to readers only.
    assert_eq!(world.get(&own, &job).ok()["job"]["numMappedRelationshipsCreated"], 0);
    // What the mapper made for a scope goes with the scope.
    let job = world.upload(&own, "okta-1", &users(&["a"]));
    world.finalize(&own, &job).ok();
    let links = "FIND User AS a THAT KNOWS User AS b RETURN a._key, b._key";
    assert_eq!(world.ask(links), json!([]));
    // Directly it cannot be written.
    let direct = json!({ "source": "api", "scope": "mapped:okta-1" });
    forbidden(&world.post(&own, JOBS, &direct));
    world.verify();
}

#[test]
fn the_scope_of_what_is_mapped_keeps_what_the_mapper_did_not_make() {
    let before = Before::new();
    let own = before.token(&["write:okta-1"]);
    let world = before.serve();
    world.sync("okta-1", &users(&["a"]));
    // The name is reserved, so only who loads an export may bring it.
    let row =
        json!({ "_scope": "mapped:okta-1", "_key": "victim", "_type": "t", "_class": "User" });
    std::fs::write(world.server.folder.path().join("export.ndjson"), row.to_string()).unwrap();
    let database = world.server.database().display().to_string();
    let loaded = tombolo(world.server.folder.path(), &["--db", &database, "sync", "export.ndjson"]);
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    let job = world.upload(&own, "okta-1", &users(&["a"]));
    forbidden(&world.finalize(&own, &job));
    assert_eq!(world.get(&own, &job).ok()["job"]["status"], "AWAITING_UPLOADS");
    let all = json!([{ "s": "mapped:okta-1", "k": "victim" }, { "s": "okta-1", "k": "a" }]);
    assert_eq!(world.keys(), all);
    // Whose right reaches there may do it.
    let done = world.finalize(&world.admin, &job).ok();
    assert_eq!(done["job"]["status"], "FINISHED");
    assert_eq!(world.keys(), json!([{ "s": "okta-1", "k": "a" }]));
}

#[test]
fn deletions_that_the_guard_holds_take_a_right_of_their_own() {
    let before = Before::new();
    let collector = before.token(&["write:okta"]);
    let trusted = before.token(&["write:okta", "approve:okta"]);
    let other = before.token(&["approve:jamf"]);
    let operator = before.token(&["approve"]);
    let world = before.serve();
    let many: Vec<String> = (0..60).map(|i| format!("u{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.sync("okta", &users(&many));
    let job = world.upload(&collector, "okta", &users(&many[..3]));
    let finalize = format!("{job}/finalize");
    let allow = json!({ "allowDeletes": 1_000_000 });
    let refused = world.post(&collector, &finalize, &allow);
    assert_eq!((refused.status, refused.code()), (403, "FORBIDDEN"), "{}", refused.text);
    // To allow none is to say nothing.
    let held = world.post(&collector, &finalize, &json!({ "allowDeletes": 0 })).ok();
    assert_eq!(held["job"]["status"], "HELD", "{held}");
    let id = held["job"]["id"].as_str().expect("an id");
    let approve = format!("/v1/jobs/{id}/approve");
    assert_eq!(world.post(&collector, &approve, &json!({})).status, 403);
    assert_eq!(world.post(&other, &approve, &json!({})).status, 404, "it may not even know of it");
    assert_eq!(world.keys().as_array().map(Vec::len), Some(60));
    // Who decides sees what it is about.
    let shown = world.get(&operator, &format!("/v1/jobs/{id}")).ok();
    assert_eq!(shown["job"]["report"]["entities"]["deleted"], 57);
    world.post(&operator, &approve, &json!({})).ok();
    assert_eq!(world.keys().as_array().map(Vec::len), Some(3));
    world.sync("okta", &users(&many));
    let job = world.upload(&trusted, "okta", &users(&many[..3]));
    let done = world.post(&trusted, &format!("{job}/finalize"), &allow).ok();
    assert_eq!(done["job"]["numEntitiesDeleted"], 57);
    assert_eq!(
        world.post(&operator, JOBS, &json!({ "source": "api", "scope": "okta" })).status,
        403
    );
}

#[test]
fn jobs_that_are_held_together_are_decided_and_ended_together() {
    let before = Before::new();
    let one = before.token(&["write:one", "approve:one"]);
    let both = before.token(&["approve"]);
    let folder = before.folder.path();
    let rows = |scope: &str, count: usize| -> String {
        let row =
            |i| json!({ "_scope": scope, "_key": format!("u{i}"), "_type": "t", "_class": "User" });
        (0..count).map(|i| format!("{}\n", row(i))).collect()
    };
    let sync = |text: String| {
        std::fs::write(folder.join("rows.ndjson"), text).expect("written");
        tombolo(folder, &["sync", "rows.ndjson", "-o", "json"]).stdout
    };
    sync(rows("one", 60) + &rows("secret", 60));
    let held = sync(rows("one", 1) + &rows("secret", 1));
    let text = String::from_utf8(held).expect("text");
    assert!(text.contains("HELD"), "{text}");
    let world = before.serve();
    let jobs = world.get(&world.admin, "/v1/jobs?status=HELD&scope=one").ok();
    let id = jobs["jobs"][0]["id"].as_str().expect("an id").to_owned();
    let approve = format!("/v1/jobs/{id}/approve");
    forbidden(&world.post(&one, &approve, &json!({})));
    forbidden(&world.post(&one, &format!("{JOBS}/{id}/abort"), &json!({})));
    let shown = world.get(&one, &format!("{JOBS}/{id}")).ok();
    assert!(!shown.to_string().contains("secret"), "{shown}");
    assert_eq!(world.keys().as_array().map(Vec::len), Some(120));
    world.post(&both, &approve, &json!({})).ok();
    assert_eq!(world.keys().as_array().map(Vec::len), Some(2));
}

#[test]
fn who_only_writes_hears_of_an_object_what_it_sent_and_of_others_nothing() {
    let before = Before::new();
    let own = before.token(&["write:own"]);
    let reads = before.token(&["write:own", "read"]);
    let world = before.serve();
    let entity = json!({ "_key": "a", "_type": "t", "_class": "User", "pin": "4711", "displayName": "Alice" });
    world.sync("own", &json!({ "entities": [entity, user("b")], "relationships": [{
        "_key": "r", "_type": "t", "_class": "KNOWS", "_fromEntityKey": "a", "_toEntityKey": "b", "pin": "4711",
    }] }));
    world.sync("secret", &users(&["victim"]));
    let link = ObjectId::new(ObjectKind::Relationship, "own", "r").to_string();
    let id = entity_id("own", "a");
    let changes = [
        format!(
            "updateEntity(entityId: \"{id}\", properties: {{ n: 1 }}) {{ entity {{ displayName }} vertex {{ properties }} }}"
        ),
        format!("updateEntityV2(entity: {{ _id: \"{id}\", n: 2 }}) {{ entity }}"),
        format!(
            "updateRelationship(relationshipId: \"{link}\", properties: {{ n: 1 }}) {{ edge {{ properties }} }}"
        ),
        "createEntity(entityKey: \"a\", entityType: \"t\", entityClass: [\"User\"], properties: \
         { _scope: \"own\", n: 3 }) { vertex { properties } }"
            .to_owned(),
        format!("deleteRelationship(relationshipId: \"{link}\") {{ edge {{ properties }} }}"),
        format!("deleteEntityV2(entityId: \"{id}\") {{ entity }}"),
    ];
    for change in &changes {
        let answer = world.graphql(&own, &format!("mutation {{ {change} }}")).ok();
        assert!(answer["errors"].is_null(), "{change}: {answer}");
        let text = answer.to_string();
        assert!(!text.contains("4711") && !text.contains("Alice"), "{change}: {text}");
        assert_eq!(text.contains("\"n\":"), change.contains("n: "), "{change}: {text}");
    }
    world.sync("own", &json!({ "entities": [entity] }));
    let change = format!("mutation {{ {} }}", changes[0]);
    assert!(world.graphql(&reads, &change).text.contains("4711"));
    // What is somebody else's and what is nobody's sound the same.
    let told = |who: &str, key: &str| {
        let change = format!(
            "mutation {{ deleteEntity(entityId: \"{}\") {{ entity {{ _id }} }} }}",
            entity_id("secret", key)
        );
        world.graphql(who, &change).ok()["errors"][0]["message"].to_string()
    };
    assert_eq!(told(&own, "victim"), told(&own, "nobody"));
    assert!(told(&reads, "victim").contains("write:secret"));
    // The same by `_id` and by bare key in jobs without a scope.
    let before = world.keys();
    let patch = |who: &str, row: Json| {
        let job = world.job(&world.admin, &json!({ "source": "api", "syncMode": "PATCH" }));
        world.post(who, &format!("{job}/upload"), &json!({ "entities": [row] }))
    };
    assert_eq!(patch(&own, json!({ "_id": entity_id("secret", "victim") })).status, 404);
    assert_eq!(world.keys(), before);
}

#[test]
fn bare_keys_are_looked_for_where_the_caller_may_know_of_them() {
    let before = Before::new();
    let api = before.token(&["write:api", "write:own"]);
    let reads = before.token(&["write:api", "write:own", "read"]);
    let world = before.serve();
    world.sync("own", &users(&["both", "mine"]));
    world.sync("secret", &users(&["both", "victim"]));
    let create = json!({ "source": "api", "syncMode": "PATCH" });
    let row = |key: &str| json!({ "entities": [{ "_key": key, "_type": "t", "_class": "User", "n": 1 }] });
    let patch = |who: &str, body: &Json| {
        let job = world.job(who, &create);
        let reply = world.post(who, &format!("{job}/upload"), body);
        (job, reply)
    };
    // A reader is told of all homes; who only writes has but its own.
    let (_, reply) = patch(&reads, &row("both"));
    assert!(reply.status == 400 && reply.text.contains("own, secret"), "{}", reply.text);
    assert_eq!(patch(&reads, &row("victim")).1.status, 403);
    let (job, reply) = patch(&api, &row("both"));
    reply.ok();
    let done = world.finalize(&api, &job).ok();
    assert_eq!(done["job"]["numEntitiesUpdated"], 1, "{done}");
    // A row that is not whole can be no new entity: it is refused wherever its key lives.
    let rows = ["victim", "nobody"]
        .map(|key| patch(&api, &json!({ "entities": [{ "_key": key, "n": 1 }] })).1);
    forbidden(&rows[0]);
    assert_eq!(rows[0].text, rows[1].text);
    let ids = ["victim", "nobody"].map(|key| {
        let row = json!({ "entities": [{ "_id": entity_id("secret", key), "n": 1 }] });
        patch(&api, &row).1
    });
    forbidden(&ids[0]);
    assert_eq!(ids[0].text, ids[1].text);
    let (job, reply) = patch(&api, &json!({ "deleteEntities": [{ "_key": "both" }] }));
    reply.ok();
    let done = world.finalize(&api, &job).ok();
    assert_eq!(done["job"]["numEntitiesDeleted"], 1, "{done}");
    let row = |s: &str, k: &str| json!({ "s": s, "k": k });
    let left = json!([row("own", "mine"), row("secret", "both"), row("secret", "victim")]);
    assert_eq!(world.keys(), left);
}

#[test]
fn what_old_clients_send_without_a_scope_or_with_ids_of_their_own_works() {
    let server = Server::start();
    server.sync("one", &users(&["a", "b"]));
    server.sync("two", &users(&["c", "d"]));
    // The bulk delete of Node client 2: ids, and no scope.
    let create = json!({ "source": "api", "syncMode": "CREATE_OR_UPDATE" });
    let job = server.job(&create);
    let gone = json!({ "deleteEntities": [
        { "_id": entity_id("one", "a") }, { "_id": entity_id("two", "c") }, { "_id": "no-uuid" },
        { "_id": entity_id("two", "nobody") }, { "_key": "d" },
    ] });
    let taken = server.post(&format!("{job}/upload"), &gone).ok();
    assert_eq!(taken["job"]["status"], "AWAITING_UPLOADS");
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(
        (&done["job"]["status"], &done["job"]["numEntitiesDeleted"]),
        (&json!("FINISHED"), &json!(3))
    );
    assert_eq!(server.get(&job).ok()["job"]["status"], "FINISHED");
    // Entities where they live, new ones and relationships without a scope in ours.
    let job = server.job(&create);
    let mut upload = json!({ "entities": [{ "_key": "b", "n": 1 }, user("new")] });
    upload["relationships"] = json!([{
        "_key": "r", "_type": "t", "_class": "KNOWS", "_fromEntityKey": "b", "_fromEntityScope": "one",
        "_toEntityKey": "new",
    }]);
    server.post(&format!("{job}/upload"), &upload).ok();
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(done["job"]["numRelationshipsCreated"], 1, "{done}");
    let rows = server.ask("FIND User AS u RETURN u._scope AS s, u._key AS k, u.n AS n ORDER BY k");
    let row = |s: &str, k: &str, n: Json| json!({ "s": s, "k": k, "n": n });
    assert_eq!(rows, json!([row("one", "b", json!(1)), row("api", "new", json!(null))]));
    // A job by a name of its own, and by the id that it was given for it.
    let create = json!({ "source": "integration-managed", "integrationInstanceId": "i", "integrationJobId": "run 42/a" });
    let made = server.post(JOBS, &create).ok();
    let by_id = format!("{JOBS}/{}", made["job"]["id"].as_str().expect("an id"));
    let by_name = format!("{JOBS}/run%2042%2Fa");
    server.post(&format!("{by_name}/upload"), &users(&["e"])).ok();
    assert_eq!(server.get(&by_id).ok(), server.get(&by_name).ok());
    server.post(&format!("{by_name}/finalize"), &json!({})).ok();
    assert_eq!(server.get(&by_id).ok()["job"]["status"], "FINISHED");
    let output = tombolo(server.folder.path(), &["verify"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_thousand_scopes_make_no_difference_to_what_is_found() {
    let server = Server::start();
    let folder = server.folder.path();
    let row = |scope: usize, key: String| json!({ "_scope": format!("s{scope:04}"), "_key": key, "_type": "t", "_class": "User", "mail": format!("m{scope}") });
    let rows: String = (0..1_000)
        .flat_map(|scope| [row(scope, format!("k{scope}")), row(scope, "shared".into())])
        .map(|row| format!("{row}\n"))
        .collect();
    std::fs::write(folder.join("rows.ndjson"), rows).expect("written");
    let output = tombolo(folder, &["sync", "rows.ndjson"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Keys, ids, ends by id, mapped targets by key: many of each at once.
    let job = server.job(&json!({ "source": "api", "syncMode": "PATCH" }));
    let by_key = (0..500).map(|i| json!({ "_key": format!("k{i}"), "n": 1 }));
    let by_id = (500..1_000)
        .map(|i| json!({ "_id": entity_id(&format!("s{i:04}"), &format!("k{i}")), "n": 1 }));
    let all = json!({ "entities": by_key.chain(by_id).collect::<Vec<_>>() });
    server.post(&format!("{job}/upload"), &all).ok();
    let done = server.post(&format!("{job}/finalize"), &json!({})).ok();
    assert_eq!(done["job"]["numEntitiesUpdated"], 1_000);
    let link = |i: usize| {
        json!({
            "_key": format!("r{i}"), "_type": "t", "_class": "KNOWS", "_fromEntityKey": "a",
            "_toEntityId": match i { 0..900 => entity_id(&format!("s{i:04}"), &format!("k{i}")), _ => entity_id("none", "x") },
        })
    };
    let missing = |i: usize| {
        json!({
            "_key": format!("x{i}"), "_type": "t", "_class": "KNOWS", "_fromEntityKey": "a", "_toEntityKey": format!("k{i}"),
        })
    };
    let mapped = |i: usize| {
        json!({ "_key": format!("m{i}"), "_type": "t", "_class": "HAS", "_mapping": {
        "sourceEntityKey": "a", "targetFilterKeys": [["_key"]], "skipTargetCreation": true,
        "targetEntity": { "_key": format!("k{i}") },
    } })
    };
    let links: Vec<Json> =
        (0..1_000).map(link).chain((0..500).map(missing)).chain((0..500).map(mapped)).collect();
    let done = server.sync("own", &json!({ "entities": [user("a")], "relationships": links }));
    let counts =
        ["numRelationshipsCreated", "numRelationshipCreateErrors", "numMappedRelationshipsCreated"];
    let counts: Vec<u64> =
        counts.iter().map(|name| done[*name].as_u64().expect("a count")).collect();
    assert_eq!(counts, [900, 600, 500]);
    let skipped = done["report"]["skipped"].to_string();
    assert!(skipped.contains("the same key lives in scope `s0499`"), "{skipped:.2000}");
    let output = tombolo(folder, &["verify"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
