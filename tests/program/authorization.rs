//! Who may do what: every right at every route and every mutation, on objects that are the caller's,
//! somebody else's, and nobody's yet.
//!
//! The routes are read from the sources of the server and the mutations from its schema, so one that
//! is missing here fails the test. `docs/security.md` is the table in words.

use crate::http::{JOBS, Reply, Server, tombolo};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use tombolo::graph::{ObjectId, ObjectKind};

/// Words that nobody may hear who may not read: a scope, a key and a value of somebody else.
const SECRETS: [&str; 3] = ["secret", "victim", "hunter2"];

/// A caller, and what its token says.
struct Who {
    name: &'static str,
    token: String,
    rights: &'static [&'static str],
}

impl Who {
    fn has(&self, right: &str) -> bool {
        self.rights.contains(&right)
    }

    fn valid(&self) -> bool {
        !self.rights.is_empty()
    }

    fn admin(&self) -> bool {
        self.has("admin")
    }

    fn reads(&self) -> bool {
        self.admin() || self.has("read")
    }

    fn writes(&self, scope: &str) -> bool {
        self.admin() || self.has(&format!("write:{scope}"))
    }

    fn approves(&self, scope: &str) -> bool {
        self.admin() || self.has("approve") || self.has(&format!("approve:{scope}"))
    }

    fn sees(&self, scope: &str) -> bool {
        self.reads() || self.writes(scope) || self.approves(scope)
    }
}

fn token(folder: &Path, name: &str, rights: &[&str]) -> String {
    let mut words = vec!["token", "create", name, "--quiet"];
    words.extend(rights.iter().flat_map(|right| ["--right", right]));
    let output = tombolo(folder, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Puts the tokens of an earlier version beside the database: one that has ended.
fn ended_token(folder: &Path) -> String {
    let text = format!("tmb_{}", "e".repeat(64));
    let hex: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let tokens = json!([{
        "id": "0b4d4c46-73ad-4b55-8f4e-0a4a6de4c4a1", "name": "ended", "rights": ["admin"],
        "createdOn": 1, "expiresOn": 2, "digest": hex,
    }]);
    let file = folder.join("tombolo.redb.tokens");
    std::fs::write(&file, tokens.to_string()).expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("ours");
    }
    text
}

fn callers(folder: &Path) -> Vec<Who> {
    let ended = ended_token(folder);
    let revoked = token(folder, "revoked", &["admin"]);
    let list = tombolo(folder, &["token", "list", "-o", "json"]).stdout;
    let list: Json = serde_json::from_slice(&list).expect("JSON");
    let list = list.as_array().expect("a list");
    assert!(list.iter().any(|token| token["name"] == "ended"), "it was taken over");
    let id = list.iter().find(|token| token["name"] == "revoked").expect("it is listed");
    let output = tombolo(folder, &["token", "revoke", id["id"].as_str().expect("an id")]);
    assert!(output.status.success());
    let mut all = vec![
        Who { name: "nobody", token: String::new(), rights: &[] },
        Who { name: "wrong", token: format!("tmb_{}", "0".repeat(64)), rights: &[] },
        Who { name: "ended", token: ended, rights: &[] },
        Who { name: "revoked", token: revoked, rights: &[] },
    ];
    let valid: [(&str, &[&str]); 10] = [
        ("reader", &["read"]),
        ("owner", &["write:own"]),
        ("owner who reads", &["write:own", "read"]),
        ("owner who approves", &["write:own", "approve:own"]),
        ("api", &["write:api"]),
        ("owner of both", &["write:api", "write:own"]),
        ("stranger", &["write:secret"]),
        ("approver of own", &["approve:own"]),
        ("approver", &["approve"]),
        ("admin", &["admin"]),
    ];
    for (name, rights) in valid {
        all.push(Who { name, token: token(folder, name, rights), rights });
    }
    all
}

fn send(server: &Server, token: &str, method: &str, path: &str, body: &Json) -> Reply {
    let bearer = format!("Bearer {token}");
    let kind = ("Content-Type", "application/json");
    let headers = [kind, ("Authorization", bearer.as_str())];
    let headers = if token.is_empty() { &headers[..1] } else { &headers[..] };
    // A text is a form, as the pages send it.
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    server.call(method, path, headers, body.as_bytes())
}

/// The server with what there is before each request.
struct World {
    server: Server,
    admin: String,
    /// Jobs that were made for the request.
    jobs: RefCell<Vec<String>>,
}

impl World {
    fn admin(&self, method: &str, path: &str, body: &Json) -> Json {
        send(&self.server, &self.admin, method, path, body).ok()
    }

    fn job(&self, create: &Json) -> String {
        let made = self.admin("POST", JOBS, create);
        let id = made["job"]["id"].as_str().expect("an id").to_owned();
        self.jobs.borrow_mut().push(id.clone());
        id
    }

    /// Ends the jobs that the request left open, as those of earlier ones.
    fn tidy(&self) {
        for job in self.jobs.borrow_mut().drain(..) {
            // Many have ended.
            send(&self.server, &self.admin, "POST", &path("/v1/jobs/{id}/abort", &job), &json!({}));
        }
    }

    fn open_job(&self, scope: &str) -> String {
        self.job(&json!({ "source": "api", "scope": scope }))
    }

    fn sync(&self, scope: &str, upload: &Json) {
        let job = self.open_job(scope);
        self.admin("POST", &format!("{JOBS}/{job}/upload"), upload);
        let done = self.admin("POST", &format!("{JOBS}/{job}/finalize"), &json!({}));
        assert_eq!(done["job"]["status"], "FINISHED", "{done}");
    }

    /// The same two scopes with a relationship between them, whatever was there.
    fn reset(&self) {
        let one = |key: &str, value: &str| json!({ "_key": key, "_type": "t", "_class": "User", "p": value });
        self.sync("own", &json!({ "entities": [one("mine", "a"), one("mine2", "b")], "relationships": [{
            "_key": "r", "_type": "t", "_class": "KNOWS", "_fromEntityKey": "mine", "_toEntityKey": "mine2",
        }] }));
        self.sync("secret", &json!({ "entities": [one("victim", "hunter2"), one("victim2", "x")], "relationships": [{
            "_key": "victim-r", "_type": "t", "_class": "KNOWS", "_fromEntityKey": "victim",
            "_toEntityKey": "victim2",
        }] }));
    }

    /// A job of a scope that the guard holds.
    fn held_job(&self, scope: &str) -> String {
        let many: Vec<Json> = (0..40)
            .map(|i| json!({ "_key": format!("{scope}-{i}"), "_type": "t", "_class": "User" }))
            .collect();
        self.sync(scope, &json!({ "entities": many }));
        let job = self.open_job(scope);
        let few = json!({ "entities": [many[0]] });
        self.admin("POST", &format!("{JOBS}/{job}/upload"), &few);
        let held = self.admin("POST", &format!("{JOBS}/{job}/finalize"), &json!({}));
        assert_eq!(held["job"]["status"], "HELD", "{held}");
        job
    }

    /// All that a refused request must leave as it is.
    fn state(&self) -> Json {
        let all = "FIND * AS e RETURN e._scope AS s, e._key AS k, e.p AS p ORDER BY s, k";
        let jobs = self.jobs.borrow();
        let jobs =
            jobs.iter().map(|job| self.admin("GET", &path("/v1/jobs/{id}", job), &json!(null)));
        json!([
            self.admin("POST", "/v1/query", &json!({ "query": all })),
            self.admin("GET", "/v1/stats", &json!(null)),
            jobs.collect::<Vec<_>>(),
        ])
    }
}

/// One kind of request at one route.
struct Case {
    method: &'static str,
    /// As the source of the server writes it.
    route: &'static str,
    /// What it is about.
    object: &'static str,
    /// Makes the object; gives the path and the body.
    request: Box<dyn Fn(&World) -> (String, Json)>,
    /// Who may.
    allowed: Box<dyn Fn(&Who) -> bool>,
}

type Cases = Vec<Case>;

fn case(
    cases: &mut Cases,
    (method, route): (&'static str, &'static str),
    object: &'static str,
    request: impl Fn(&World) -> (String, Json) + 'static,
    allowed: impl Fn(&Who) -> bool + 'static,
) {
    let (request, allowed) = (Box::new(request), Box::new(allowed));
    cases.push(Case { method, route, object, request, allowed });
}

/// A job that nobody made.
const NO_JOB: &str = "f445397d-8491-4a12-806a-04792839abe3";

/// The scopes of the three kinds of objects. Nobody but an admin may write the last.
const OBJECTS: [(&str, &str); 3] = [("own", "own"), ("foreign", "secret"), ("future", "later")];

fn job_cases(cases: &mut Cases) {
    for route in [ROOT, ROOT_SLASH] {
        for (object, scope) in OBJECTS {
            let create = json!({ "source": "api", "scope": scope });
            let request = move |_: &World| (path(route, ""), create.clone());
            case(cases, ("POST", route), object, request, move |who| who.writes(scope));
        }
        let any = json!({ "source": "api", "syncMode": "PATCH" });
        let request = move |_: &World| (path(route, ""), any.clone());
        case(cases, ("POST", route), "any scope", request, |who| who.writes("api"));
    }
    let entity = |key: &str| json!({ "_key": key, "_type": "t", "_class": "User", "p": "new" });
    let entities = json!({ "entities": [entity("mine")] });
    let calls = [
        ("GET", "{ROOT}/{id}", json!(null)),
        ("POST", "{ROOT}/{id}/entities", entities.clone()),
        ("POST", "{ROOT}/{id}/relationships", json!({ "relationships": [] })),
        ("POST", "{ROOT}/{id}/upload", entities.clone()),
        ("POST", "{ROOT}/{id}/finalize", json!({ "dryRun": true })),
        ("POST", "{ROOT}/{id}/abort", json!({})),
        ("POST", "{ROOT}/{id}/events", json!({ "events": [] })),
    ];
    for (method, route, body) in calls {
        for (object, scope) in [("own", "own"), ("foreign", "secret")] {
            let body = body.clone();
            let request = move |world: &World| (path(route, &world.open_job(scope)), body.clone());
            let allowed = move |who: &Who| match method {
                "GET" => who.sees(scope),
                _ => who.writes(scope),
            };
            case(cases, (method, route), object, request, allowed);
        }
        let request = move |_: &World| (path(route, NO_JOB), body.clone());
        case(cases, (method, route), "future", request, |_| false);
    }
    // What a job of any scope would change is known only row by row, and when it is finalized.
    for (object, scope, key) in [("own", "own", "mine"), ("foreign", "secret", "victim")] {
        let id = ObjectId::new(ObjectKind::Entity, scope, key).to_string();
        for body in [
            json!({ "entities": [{ "_scope": scope, "_key": key, "p": "new" }] }),
            json!({ "entities": [{ "_id": id, "p": "new" }] }),
            json!({ "deleteEntities": [{ "_id": id }] }),
        ] {
            let sent = body.clone();
            let request = move |world: &World| {
                let job = world.job(&json!({ "source": "api", "syncMode": "PATCH" }));
                (path("{ROOT}/{id}/upload", &job), sent.clone())
            };
            let route = ("POST", "{ROOT}/{id}/upload");
            case(cases, route, object, request, move |who| who.writes("api") && who.writes(scope));
            let request = move |world: &World| {
                let job = world.job(&json!({ "source": "api", "syncMode": "PATCH" }));
                world.admin("POST", &path("{ROOT}/{id}/upload", &job), &body);
                (path("{ROOT}/{id}/finalize", &job), json!({}))
            };
            let route = ("POST", "{ROOT}/{id}/finalize");
            case(cases, route, object, request, move |who| who.writes("api") && who.writes(scope));
        }
    }
    // Mapped relationships search all scopes, and deletions that the guard would hold are a decision.
    let mapped = json!({ "relationships": [{ "_key": "m", "_type": "t", "_class": "KNOWS", "_mapping": {
        "sourceEntityKey": "mine", "targetFilterKeys": [["p"]], "targetEntity": { "p": "hunter2" },
        "skipTargetCreation": true,
    } }] });
    let sent = mapped.clone();
    let request =
        move |world: &World| (path("{ROOT}/{id}/upload", &world.open_job("own")), sent.clone());
    let allowed = |who: &Who| who.writes("own") && who.reads();
    case(cases, ("POST", "{ROOT}/{id}/upload"), "own mapping", request, allowed);
    let request = move |world: &World| {
        let job = world.open_job("own");
        world.admin("POST", &path("{ROOT}/{id}/upload", &job), &mapped);
        (path("{ROOT}/{id}/finalize", &job), json!({ "dryRun": true }))
    };
    case(cases, ("POST", "{ROOT}/{id}/finalize"), "own mapping", request, allowed);
    let request = |world: &World| {
        (path("{ROOT}/{id}/finalize", &world.open_job("own")), json!({ "allowDeletes": 100 }))
    };
    let allowed = |who: &Who| who.writes("own") && who.approves("own");
    case(cases, ("POST", "{ROOT}/{id}/finalize"), "own deletions", request, allowed);
    let request =
        |world: &World| (path("{ROOT}/{id}/uploadUrl", &world.open_job("own")), json!({}));
    case(cases, ("POST", "{ROOT}/{id}/uploadUrl"), "own", request, |_| true);
}

/// The mutations: a call each, about the entity with this scope and key.
fn mutation(name: &str, scope: &str, key: &str) -> Option<String> {
    let id = |kind, key: &str| ObjectId::new(kind, scope, key).to_string();
    let entity = id(ObjectKind::Entity, key);
    let link = id(ObjectKind::Relationship, if key == "mine" { "r" } else { "victim-r" });
    let fields = "{ entity { _id displayName } vertex { properties } }";
    let edge = "{ relationship { _id } edge { properties } }";
    Some(match name {
        "createEntity" => format!(
            "createEntity(entityKey: \"{key}\", entityType: \"t\", entityClass: [\"User\"], \
             properties: {{ _scope: \"{scope}\", q: 1 }}) {fields}"
        ),
        "updateEntity" => {
            format!("updateEntity(entityId: \"{entity}\", properties: {{ q: 2 }}) {fields}")
        }
        "updateEntityV2" => {
            format!("updateEntityV2(entity: {{ _id: \"{entity}\", q: 3 }}) {{ entity }}")
        }
        "deleteEntity" => format!("deleteEntity(entityId: \"{entity}\") {fields}"),
        "deleteEntityV2" => format!("deleteEntityV2(entityId: \"{entity}\") {{ entity }}"),
        "createRelationship" => format!(
            "createRelationship(relationshipKey: \"new\", relationshipType: \"t\", \
             relationshipClass: \"KNOWS\", fromEntityId: \"{}\", toEntityId: \"{}\", \
             properties: {{ _scope: \"{scope}\" }}) {edge}",
            ObjectId::new(ObjectKind::Entity, "own", "mine"),
            ObjectId::new(ObjectKind::Entity, "own", "mine2"),
        ),
        "updateRelationship" => {
            format!("updateRelationship(relationshipId: \"{link}\", properties: {{ q: 4 }}) {edge}")
        }
        "deleteRelationship" => format!("deleteRelationship(relationshipId: \"{link}\") {edge}"),
        "upsertEntityRawData" => format!(
            "upsertEntityRawData(entityId: \"{entity}\", source: \"api\", \
             rawData: [{{ name: \"n\", data: {{}} }}]) {{ status }}"
        ),
        _ => return None,
    })
}

const MUTATIONS: [&str; 9] = [
    "createEntity",
    "updateEntity",
    "updateEntityV2",
    "deleteEntity",
    "deleteEntityV2",
    "createRelationship",
    "updateRelationship",
    "deleteRelationship",
    "upsertEntityRawData",
];

fn graphql_cases(cases: &mut Cases) {
    for route in ["/graphql", "/", "/rules/graphql"] {
        let raw = format!(
            "{{ entityRawDataV2(entityId: \"{}\", address: {{}}) {{ status }} }}",
            ObjectId::new(ObjectKind::Entity, "secret", "victim")
        );
        for query in ["{ queryV1(query: \"FIND *\") { data } }".to_owned(), raw] {
            let request = move |world: &World| {
                world.reset();
                (route.to_owned(), json!({ "query": query }))
            };
            case(cases, ("POST", route), "a question", request, Who::reads);
        }
    }
    for name in MUTATIONS {
        for (object, scope, key) in [
            ("own", "own", "mine"),
            ("foreign", "secret", "victim"),
            ("future", "secret", "victim-later"),
        ] {
            let call = mutation(name, scope, key).expect(name);
            let future = object == "future" && !name.starts_with("create");
            // The ends of the new relationship are others than the object.
            let future = future && !name.contains("Relationship");
            let request = move |world: &World| {
                world.reset();
                ("/graphql".to_owned(), json!({ "query": format!("mutation {{ {call} }}") }))
            };
            let allowed = move |who: &Who| who.writes(scope) && !future;
            case(cases, ("POST", "/graphql"), object, request, allowed);
        }
    }
}

fn rest_cases(cases: &mut Cases) {
    let questions = [
        ("/v1/blast-radius", "?entity=secret::victim"),
        ("/v1/owners", "?entity=secret::victim"),
        ("/v1/path", "?from=secret::victim&to=secret::victim2"),
        ("/v1/entity", "?entity=secret::victim"),
        ("/v1/scopes", ""),
        ("/v1/stats", ""),
        ("/v1/impact-rules", ""),
        ("/v1/cycles", ""),
        ("/v1/diff", "?from=now"),
        ("/v1/history", "?object=secret::victim"),
        ("/v1/jobs", ""),
        ("/metrics", ""),
    ];
    for (route, asks) in questions {
        let request = move |_: &World| (format!("{route}{asks}"), json!(null));
        case(cases, ("GET", route), "a question", request, Who::reads);
    }
    let request = |_: &World| ("/v1/query".to_owned(), json!({ "query": "FIND User" }));
    case(cases, ("POST", "/v1/query"), "a question", request, Who::reads);
    for (object, scope) in [("own", "own"), ("foreign", "secret")] {
        let request =
            move |world: &World| (path("/v1/jobs/{id}", &world.open_job(scope)), json!(null));
        let allowed = move |who: &Who| who.reads() || who.approves(scope);
        case(cases, ("GET", "/v1/jobs/{id}"), object, request, allowed);
        let request =
            move |world: &World| (path("/v1/jobs/{id}/approve", &world.held_job(scope)), json!({}));
        let allowed = move |who: &Who| who.approves(scope);
        case(cases, ("POST", "/v1/jobs/{id}/approve"), object, request, allowed);
        let request =
            move |world: &World| (path("/v1/jobs/{id}/abort", &world.open_job(scope)), json!({}));
        case(cases, ("POST", "/v1/jobs/{id}/abort"), object, request, Who::admin);
    }
    for (method, route) in [
        ("GET", "/v1/jobs/{id}"),
        ("POST", "/v1/jobs/{id}/approve"),
        ("POST", "/v1/jobs/{id}/abort"),
    ] {
        let request = move |_: &World| (path(route, NO_JOB), json!({}));
        case(cases, (method, route), "future", request, |_| false);
    }
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let request = move |_: &World| ("/mcp".to_owned(), list.clone());
    case(cases, ("POST", "/mcp"), "a question", request, Who::reads);
    let none = json!({ "scopes": ["none"] });
    let (plan, apply) = (none.clone(), none);
    let request = move |_: &World| ("/v1/mappings/plan".to_owned(), plan.clone());
    case(cases, ("POST", "/v1/mappings/plan"), "a question", request, Who::reads);
    let request = move |_: &World| ("/v1/mappings/apply".to_owned(), apply.clone());
    case(cases, ("POST", "/v1/mappings/apply"), "all", request, Who::admin);
}

fn page_cases(cases: &mut Cases) {
    let pages = [
        ("/", "/"),
        ("/suggest", "/suggest?q=victim"),
        ("/open", "/open?entity=secret::victim"),
        ("/e/{scope}/{key}", "/e/secret/victim"),
        ("/blast/{scope}/{key}", "/blast/secret/victim"),
        ("/owners/{scope}/{key}", "/owners/secret/victim"),
        ("/path", "/path?from=secret::victim&to=secret::victim2"),
        ("/query", "/query?q=FIND%20User"),
        ("/diff", "/diff?from=1"),
        ("/history", "/history?object=secret::victim"),
        ("/history/{scope}/{key}", "/history/secret/victim"),
        ("/complete", "/complete?q=FIND%20User%20WITH%20"),
        ("/mappings", "/mappings"),
        ("/mappings/{scope}", "/mappings/none"),
        ("/scopes", "/scopes"),
    ];
    for (route, address) in pages {
        let request = move |_: &World| (address.to_owned(), json!(null));
        case(cases, ("GET", route), "a page", request, Who::reads);
    }
    let route = "/jobs/{id}";
    let approve = json!("do=approve&deletes=39&confirm=39");
    for (object, scope) in [("own", "own"), ("foreign", "secret")] {
        let request = move |world: &World| (path(route, &world.open_job(scope)), json!(null));
        let allowed = move |who: &Who| who.reads() || who.approves(scope);
        case(cases, ("GET", route), object, request, allowed);
        let sent = approve.clone();
        let request = move |world: &World| (path(route, &world.held_job(scope)), sent.clone());
        case(cases, ("POST", route), object, request, move |who| who.approves(scope));
        let request = move |world: &World| (path(route, &world.open_job(scope)), json!("do=abort"));
        case(cases, ("POST", route), object, request, Who::admin);
    }
    let request = move |_: &World| (path(route, NO_JOB), json!(null));
    case(cases, ("GET", route), "future", request, |_| false);
    let request = move |_: &World| (path(route, NO_JOB), approve.clone());
    case(cases, ("POST", route), "future", request, |_| false);
    let request = |_: &World| ("/signout".to_owned(), json!(""));
    case(cases, ("POST", "/signout"), "own", request, |_| true);
}

/// Routes that take no token: they hold no data, or their path is a key by itself.
const OPEN: [&str; 6] =
    ["/health", "/ready", "/openapi.json", "/deferred/{id}", "/signin", "/assets/{name}"];

/// The way in takes a token in its form; `pages` tests it.
const WAY_IN: (&str, &str) = ("POST", "/signin");

const ROOT: &str = "ROOT";
const ROOT_SLASH: &str = "{ROOT}/";

fn path(route: &str, id: &str) -> String {
    let route = if route == ROOT { "{ROOT}" } else { route };
    route.replace("{ROOT}", JOBS).replace("{id}", id)
}

/// The routes of the server as its sources have them: method and path.
fn routes() -> BTreeSet<(String, String)> {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut routes = BTreeSet::new();
    let entries = walkdir::WalkDir::new(api).into_iter();
    let files = entries.map(|entry| entry.expect("the sources are there"));
    for file in files.filter(|entry| entry.file_type().is_file()) {
        let text = std::fs::read_to_string(file.path()).expect("text");
        for route in text.split(".route(").skip(1) {
            let (path, rest) = route.split_once(", ").expect("a path and a handler");
            let method = rest.split_once('(').expect("a method").0.trim().to_uppercase();
            let path = path.trim().trim_start_matches("&format!(").trim_end_matches(')');
            let path = path.trim_matches('"').replace("{{", "{").replace("}}", "}");
            routes.insert((method, path));
        }
    }
    routes
}

fn refused(reply: &Reply) -> bool {
    let unknown = reply.status == 404 && reply.text.contains("JOB_NOT_FOUND");
    matches!(reply.status, 401 | 403) || unknown || !reply.json["errors"].is_null()
}

#[test]
fn every_right_at_every_route_does_what_the_table_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let callers = callers(folder.path());
    let admin = callers.last().expect("the admin").token.clone();
    let world = World { server: Server::in_folder(folder, &[]), admin, jobs: RefCell::default() };
    let mut cases = Cases::new();
    job_cases(&mut cases);
    graphql_cases(&mut cases);
    rest_cases(&mut cases);
    page_cases(&mut cases);
    let mut covered: BTreeSet<(String, String)> =
        cases.iter().map(|case| (case.method.to_owned(), case.route.to_owned())).collect();
    covered.extend(OPEN.iter().map(|route| ("GET".to_owned(), (*route).to_owned())));
    covered.insert((WAY_IN.0.to_owned(), WAY_IN.1.to_owned()));
    let all = routes();
    assert!(all.len() > 25, "the routes were looked for in the wrong place");
    assert_eq!(all, covered, "each route has its cases, and each case its route");
    let asked = json!({ "query": "{ __schema { mutationType { fields { name } } } }" });
    let schema = world.admin("POST", "/graphql", &asked);
    let fields = schema["data"]["__schema"]["mutationType"]["fields"].as_array().expect("a list");
    let names: BTreeSet<&str> = fields.iter().filter_map(|field| field["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(MUTATIONS), "each mutation has its cases");
    let mut wrong = Vec::new();
    world.reset();
    for case in &cases {
        for who in &callers {
            let (path, body) = (case.request)(&world);
            let before = world.state();
            let reply = send(&world.server, &who.token, case.method, &path, &body);
            let allowed = who.valid() && (case.allowed)(who);
            let told = format!(
                "{} {} ({}) as {}: {} {:.200}",
                case.method, case.route, case.object, who.name, reply.status, reply.text
            );
            if allowed == refused(&reply) || !who.valid() && reply.status != 401 {
                wrong.push(format!("{told}\n  sent {body:.200}"));
            }
            if !allowed && world.state() != before {
                wrong.push(format!("{told}: refused, and something has changed"));
            }
            let sent = format!("{path} {body}");
            let leak =
                SECRETS.iter().find(|word| reply.text.contains(**word) && !sent.contains(**word));
            let may_hear = who.reads() || who.sees("secret");
            if let Some(word) = leak.filter(|_| !may_hear) {
                wrong.push(format!("{told}: says `{word}`"));
            }
            world.tidy();
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    for route in OPEN {
        for who in callers.iter().filter(|who| !who.valid()) {
            let reply = send(&world.server, &who.token, "GET", &path(route, NO_JOB), &json!(null));
            assert!(!matches!(reply.status, 401 | 403), "{route}: {}", reply.text);
        }
    }
    let output = tombolo(world.server.folder.path(), &["verify"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
