//! The pages, as a browser without JavaScript sees them: signing in, what is shown, forms and headers.

use crate::http::{JOBS, Server, tombolo};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A page with its headers.
pub struct Page {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Page {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.text()
    }

    /// The value of a hidden field of the first form that has it.
    #[track_caller]
    pub fn hidden(&self, name: &str) -> String {
        let text = self.text();
        let begin = format!("name=\"{name}\" value=\"");
        let rest = text.split(&begin).nth(1).unwrap_or_else(|| panic!("no field {name}: {text}"));
        rest.split('"').next().expect("a value").to_owned()
    }
}

/// What a browser keeps between two pages.
pub struct Browser<'s> {
    server: &'s Server,
    cookie: Option<String>,
}

impl<'s> Browser<'s> {
    pub fn new(server: &'s Server) -> Browser<'s> {
        Browser { server, cookie: None }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Page {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(60)));
        let agent: ureq::Agent = config.build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(self.server.url(path));
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match method {
            "GET" => agent.run(request.body(()).expect("a request")),
            _ => agent.run(request.body(body).expect("a request")),
        };
        let mut answer = answer.expect("the server answers");
        let mut bytes = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut bytes).expect("a body");
        Page { status: answer.status().as_u16(), headers: answer.headers().clone(), bytes }
    }

    pub fn get(&self, path: &str) -> Page {
        self.send("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from(path, fields, &[])
    }

    fn post_from(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let each = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let body = each.collect::<Vec<_>>().join("&");
        self.send("POST", path, &[&[kind], headers].concat(), &body)
    }

    pub fn sign_in(&mut self, token: &str) -> Page {
        let page = self.post("/signin", &[("token", token), ("to", "/scopes")]);
        let cookie = page.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        self.cookie = Some(cookie).filter(|cookie| !cookie.is_empty());
        page
    }
}

pub fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

pub fn token(folder: &std::path::Path, name: &str, rights: &[&str]) -> String {
    let mut words = vec!["token", "create", name, "--quiet"];
    words.extend(rights.iter().flat_map(|right| ["--right", right]));
    let output = tombolo(folder, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

pub fn user(key: &str, name: &str) -> Json {
    json!({ "_key": key, "_type": "okta_user", "_class": "User", "displayName": name,
        "email": format!("{key}@example.com") })
}

/// Uploads and finalizes with a token; gives the job.
pub fn sync(server: &Server, token: &str, scope: &str, upload: &Json) -> Json {
    let bearer = format!("Bearer {token}");
    let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
    let headers = if token.is_empty() { &headers[..1] } else { &headers[..] };
    let call = |path: &str, body: &Json| {
        server.call("POST", path, headers, body.to_string().as_bytes()).ok()
    };
    let made = call(JOBS, &json!({ "source": "api", "scope": scope }));
    let job = format!("{JOBS}/{}", made["job"]["id"].as_str().expect("an id"));
    call(&format!("{job}/upload"), upload);
    call(&format!("{job}/finalize"), &json!({}))["job"].clone()
}

/// Forty users, and then a job that would delete all but one: the guard holds it.
pub fn held_job(server: &Server, token: &str, scope: &str) -> Json {
    let many: Vec<Json> = (0..40).map(|i| user(&format!("{scope}-{i}"), "Many")).collect();
    sync(server, token, scope, &json!({ "entities": many }));
    let held = sync(server, token, scope, &json!({ "entities": [many[0]] }));
    assert_eq!(held["status"], "HELD", "{held}");
    held
}

/// A small company: a person who owns a laptop, with a group.
pub fn company(server: &Server) {
    sync(
        server,
        "",
        "jamf",
        &json!({ "entities": [
        { "_key": "laptop-1", "_type": "jamf_device", "_class": "Device", "serialNumber": "C02XYZ" },
    ] }),
    );
    sync(
        server,
        "",
        "okta",
        &json!({
            "entities": [user("alice", "Alice Moreau"), user("bob", "Bob"), {
                "_key": "sre", "_type": "okta_user_group", "_class": "UserGroup", "displayName": "SRE",
            }],
            "relationships": [
                { "_key": "r1", "_type": "t", "_class": "HAS", "_fromEntityKey": "sre", "_toEntityKey": "alice" },
                { "_key": "r2", "_type": "t", "_class": "OWNS", "_fromEntityKey": "alice",
                  "_toEntityKey": "laptop-1", "_toEntityScope": "jamf" },
                { "_key": "r3", "_type": "t", "_class": "NOTIFIES", "_fromEntityKey": "alice", "_toEntityKey": "bob" },
            ],
        }),
    );
}

/// A page of each kind about an entity.
fn pages_about(scope: &str, key: &str) -> Vec<String> {
    let (scope, key) = (encoded(scope), encoded(key));
    let name = format!("{scope}%3A%3A{key}");
    vec![
        "/".into(),
        format!("/?q={key}"),
        format!("/suggest?q={key}"),
        format!("/open?entity={name}"),
        format!("/e/{scope}/{key}"),
        format!("/blast/{scope}/{key}"),
        format!("/owners/{scope}/{key}?people=yes"),
        format!("/path?from={name}&to={name}"),
        "/query".into(),
        format!("/query?q={}", encoded("FIND * AS e RETURN e, e.displayName, e.*")),
        "/scopes".into(),
    ]
}

#[test]
fn a_token_is_typed_once_and_becomes_a_cookie() {
    let folder = tempfile::tempdir().expect("a folder");
    let reader = token(folder.path(), "reader", &["read"]);
    let server = Server::in_folder(folder, &[]);
    let mut browser = Browser::new(&server);
    let refused = browser.get("/query?q=FIND+User");
    assert_eq!(refused.status, 401);
    assert_eq!(refused.hidden("to"), "/query?q=FIND+User", "the way back is kept");
    let wrong = browser.post("/signin", &[("token", "tmb_wrong"), ("to", "/")]);
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    assert!(wrong.text().contains("not known here"), "{}", wrong.text());
    let signed_in = browser.sign_in(&reader);
    assert_eq!((signed_in.status, signed_in.header("location")), (303, "/scopes"));
    let cookie = signed_in.header("set-cookie");
    for flag in ["Path=/", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.split("; ").any(|part| part == flag), "{cookie}");
    }
    assert!(!cookie.contains(&reader) && !cookie.contains("tmb_"), "{cookie}");
    let page = browser.get("/scopes");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("reader"), "it says who is signed in");
    // The cookie opens pages only: what programs call wants a token.
    assert_eq!(browser.get("/v1/stats").status, 401);
    assert_eq!(browser.send("POST", "/graphql", &[], "{\"query\":\"{ __typename }\"}").status, 401);
    // Signing out takes a form of this session.
    let csrf = page.hidden("csrf");
    assert_eq!(browser.post("/signout", &[("csrf", "other")]).status, 403);
    assert_eq!(browser.get("/scopes").status, 200);
    let out = browser.post("/signout", &[("csrf", &csrf)]);
    assert_eq!((out.status, out.header("location")), (303, "/signin"));
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert_eq!(browser.get("/scopes").status, 401, "the word in the cookie means nothing any more");
}

#[test]
fn a_session_ends_with_its_token_and_opens_no_other_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let reader = token(folder.path(), "reader", &["read"]);
    let server = Server::in_folder(folder, &[]);
    let mut browser = Browser::new(&server);
    browser.sign_in(&reader);
    assert_eq!(browser.get("/").status, 200);
    let list = tombolo(server.folder.path(), &["token", "list", "-o", "json"]).stdout;
    let list: Json = serde_json::from_slice(&list).expect("JSON");
    let id = list[0]["id"].as_str().expect("an id");
    assert!(tombolo(server.folder.path(), &["token", "revoke", id]).status.success());
    assert_eq!(browser.get("/").status, 401);
    // A cookie is not guessed, and a token in its place is none.
    for cookie in ["x", "", &reader] {
        let name = format!("tombolo-{}", server.address.rsplit(':').next().expect("a port"));
        let browser = Browser { server: &server, cookie: Some(format!("{name}={cookie}")) };
        assert_eq!(browser.get("/").status, 401, "{cookie}");
    }
    // Nobody is sent to another site after signing in.
    for to in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let page = Browser::new(&server).get(&format!("/signin?to={}", encoded(to)));
        assert_eq!(page.hidden("to"), "/", "{to}");
    }
}

#[test]
fn a_link_of_another_site_shows_the_page_to_who_is_signed_in() {
    let folder = tempfile::tempdir().expect("a folder");
    token(folder.path(), "reader", &["read"]);
    let server = Server::in_folder(folder, &[]);
    let fetch = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    // The browser keeps the cookie back, and sends it when our own page asks again.
    let page = Browser::new(&server).send("GET", "/scopes", &fetch, "");
    assert!(page.status == 401 && page.text().contains("http-equiv=\"refresh\""));
    assert!(!Browser::new(&server).get("/scopes").text().contains("http-equiv"));
}

#[test]
fn forms_of_other_sites_do_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = token(folder.path(), "admin", &["admin"]);
    let server = Server::in_folder(folder, &[]);
    let held = held_job(&server, &admin, "okta");
    let path = format!("/jobs/{}", held["id"].as_str().expect("an id"));
    let mut browser = Browser::new(&server);
    browser.sign_in(&admin);
    let csrf = browser.get(&path).hidden("csrf");
    let other = {
        let mut other = Browser::new(&server);
        other.sign_in(&admin);
        other.get(&path).hidden("csrf")
    };
    assert_ne!(csrf, other, "each session has its own word");
    let foreign = [("Origin", "https://evil.example")];
    let site = [("Sec-Fetch-Site", "cross-site")];
    for (word, headers) in [("", &[][..]), (&other, &[]), (&csrf, &foreign[..]), (&csrf, &site[..])]
    {
        let page = browser.post_from(&path, &[("csrf", word), ("do", "abort")], headers);
        assert_eq!(page.status, 403, "{word} {headers:?}");
    }
    let page = Browser::new(&server).post_from("/signin", &[("token", &admin)], &site);
    assert_eq!(
        (page.status, page.header("set-cookie")),
        (403, ""),
        "nobody is signed in by others"
    );
    assert!(browser.get(&path).text().contains("HELD"), "nothing has happened");
    let page = browser.post(&path, &[("csrf", &csrf), ("do", "abort")]);
    assert_eq!(page.status, 303, "{}", page.text());
    // Without tokens, forms are asked for their word as well.
    let open = Server::start();
    let held = held_job(&open, "", "okta");
    let path = format!("/jobs/{}", held["id"].as_str().expect("an id"));
    let browser = Browser::new(&open);
    let abort = |word: &str| browser.post(&path, &[("csrf", word), ("do", "abort")]).status;
    assert_eq!(abort(""), 403);
    assert_eq!(abort(&browser.get(&path).hidden("csrf")), 303);
}

#[test]
fn a_held_job_is_approved_by_who_may_and_has_looked() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = token(folder.path(), "admin", &["admin"]);
    let approver = token(folder.path(), "approver", &["approve:okta"]);
    let reader = token(folder.path(), "reader", &["read"]);
    let server = Server::in_folder(folder, &[]);
    let held = held_job(&server, &admin, "okta");
    let path = format!("/jobs/{}", held["id"].as_str().expect("an id"));
    let mut looks = Browser::new(&server);
    looks.sign_in(&reader);
    let page = looks.get("/scopes").ok();
    assert!(page.contains("okta would lose 39 objects") && page.contains("HELD"), "{page}");
    assert!(!page.contains("value=\"approve\""), "who only reads gets no button");
    assert!(looks.get("/").ok().contains("okta is held"));
    let csrf = looks.get(&path).hidden("csrf");
    let forced = [("csrf", csrf.as_str()), ("do", "approve"), ("deletes", "39"), ("confirm", "39")];
    assert_eq!(looks.post(&path, &forced).status, 403);
    // An approver without the right to read sees the job and nothing else.
    let mut decides = Browser::new(&server);
    decides.sign_in(&approver);
    assert_eq!(decides.get("/scopes").status, 403);
    let page = decides.get(&path);
    let (csrf, plan) = (page.hidden("csrf"), page.hidden("plan"));
    let decide = |plan: &str, confirm: &str| {
        let fields = [
            ("csrf", csrf.as_str()),
            ("do", "approve"),
            ("plan", plan),
            ("deletes", "39"),
            ("confirm", confirm),
        ];
        decides.post(&path, &fields)
    };
    let wrong = decide(&plan, "40");
    assert!(wrong.status == 400 && wrong.text().contains("39 deletions were to be confirmed"));
    assert_eq!(decide("another", "39").status, 409);
    let abort = decides.post(&path, &[("csrf", &csrf), ("do", "abort")]);
    assert_eq!(abort.status, 403, "aborting takes an admin");
    let done = decide(&plan, "39");
    assert_eq!((done.status, done.header("location")), (303, path.as_str()), "{}", done.text());
    assert!(decides.get(&path).ok().contains("FINISHED"));
    assert!(!looks.get("/").ok().contains("is held"));
}

#[test]
fn pages_keep_the_browser_from_anything_else() {
    let server = Server::start();
    company(&server);
    let browser = Browser::new(&server);
    let mut seen = pages_about("okta", "alice");
    seen.extend(["/signin", "/nothing/here", "/e/okta/nobody", "/jobs/none"].map(str::to_owned));
    for path in &seen {
        let page = browser.get(path);
        if path == "/nothing/here" || path == "/signin" {
            continue;
        }
        let policy = page.header("content-security-policy");
        for rule in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("cache-control"), "private, no-cache", "{path}");
        let text = page.text();
        for inline in [" style=", " onclick=", "javascript:", "<script>", "<style"] {
            assert!(!text.contains(inline), "{path} has {inline}");
        }
        let elsewhere = text
            .split("http")
            .skip(1)
            .filter(|rest| rest.starts_with("://") || rest.starts_with("s://"));
        assert_eq!(elsewhere.count(), 0, "{path} names another place");
    }
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let server = Server::start();
    company(&server);
    let browser = Browser::new(&server);
    let first = browser.get("/query");
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let again = browser.send("GET", "/query", &[("If-None-Match", &tag)], "");
    assert_eq!((again.status, again.bytes.len()), (304, 0));
    sync(&server, "", "okta", &json!({ "entities": [user("carol", "Carol")] }));
    let later = browser.send("GET", "/query", &[("If-None-Match", &tag)], "");
    assert_eq!(later.status, 200, "the graph has changed");
    // Pages are packed for who can unpack them.
    let packed = browser.send("GET", "/query", &[("Accept-Encoding", "gzip")], "");
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed.bytes.as_slice());
    unpacked.read_to_string(&mut text).expect("gzip");
    assert!(text.contains("<h1>Query</h1>") && packed.bytes.len() < text.len() / 2);
    // Their address has a digest in it, so style and script may be kept.
    let page = browser.get("/").text();
    for (name, kind) in
        [("style.css", "text/css"), ("app.js", "text/javascript"), ("mark.svg", "image/svg")]
    {
        let at = page.find(&format!("/assets/{name}")).expect(name);
        let path = page[at..].split('"').next().expect("an address");
        let asset = browser.get(path);
        assert_eq!(asset.status, 200);
        assert!(asset.header("content-type").starts_with(kind), "{}", asset.header("content-type"));
        assert!(asset.header("cache-control").contains("immutable"));
    }
    assert_eq!(browser.get("/assets/other").status, 404);
}

#[test]
fn hostile_names_are_text() {
    let server = Server::start();
    let script = "<script>alert('k')</script>";
    let image = "\"><img src=x onerror=alert(1)>";
    let turned = "abc\u{202e}gpj";
    let upload = json!({
        "entities": [
            { "_key": script, "_type": image, "_class": ["A\"><b>"], "displayName": image, "note": script,
              "list": [script, image] },
            { "_key": "../../scopes", "_type": "t", "_class": "User", "displayName": turned },
            { "_key": "..", "_type": "t", "_class": "User" },
            { "_key": "a?b#c%2F d", "_type": "t", "_class": "User" },
        ],
        "relationships": [
            { "_key": "r", "_type": "t", "_class": "OWNS<i>", "_fromEntityKey": script, "_toEntityKey": "../../scopes" },
            { "_key": "s", "_type": "t", "_class": "HAS", "_fromEntityKey": script, "_toEntityKey": ".." },
            { "_key": "t", "_type": "t", "_class": "HAS", "_fromEntityKey": script, "_toEntityKey": "a?b#c%2F d" },
        ],
    });
    sync(&server, "", "sc<u>ope", &upload);
    let browser = Browser::new(&server);
    for path in pages_about("sc<u>ope", script) {
        let text = browser.get(&path).ok();
        for raw in ["<script>alert", "<img", "<b>\"", "OWNS<i>", "sc<u>", "\u{202e}"] {
            assert!(!text.contains(raw), "{path} has {raw}: {text}");
        }
    }
    // Each of them is reached by the links of the page.
    let page = browser.get(&format!("/e/{}/{}", encoded("sc<u>ope"), encoded(script))).ok();
    let links =
        page.split("href=\"").skip(1).map(|rest| rest.split('"').next().expect("an address"));
    let entities: Vec<String> = links
        .filter(|to| to.starts_with("/e/sc") || to.starts_with("/open?page=e"))
        .map(|to| to.replace("&amp;", "&"))
        .collect();
    for key in ["../../scopes", "..", "a?b#c%2F d"] {
        let shown = |to: &String| browser.get(to).ok().contains(&format!("data-copy=\"{key}\""));
        assert!(entities.iter().any(shown), "{key} of {entities:?}");
    }
}

#[test]
fn an_empty_database_says_how_to_begin() {
    let server = Server::start();
    let browser = Browser::new(&server);
    let first = browser.get("/").ok();
    assert!(first.contains("Nothing here yet") && first.contains("tombolo sync"), "{first}");
    for path in ["/scopes", "/query", "/query?q=FIND+User", "/path", "/suggest?q=x"] {
        assert_eq!(browser.get(path).status, 200, "{path}");
    }
    let unknown = browser.get("/e/okta/alice");
    assert!(unknown.status == 404 && unknown.text().contains("okta::alice"));
    let unknown = browser.get("/jobs/f445397d-8491-4a12-806a-04792839abe3");
    assert!(unknown.status == 404 && unknown.text().contains("JOB_NOT_FOUND"));
}

#[test]
fn people_are_found_by_what_they_are_called() {
    let server = Server::start();
    company(&server);
    let browser = Browser::new(&server);
    for (typed, found) in [
        ("moreau", "/e/okta/alice"),
        ("MOREAU alice", "/e/okta/alice"),
        ("alice@exam", "/e/okta/alice"),
        ("c02xyz", "/e/jamf/laptop-1"),
        ("jamf::lap", "/e/jamf/laptop-1"),
    ] {
        let list = browser.get(&format!("/suggest?q={}", encoded(typed))).ok();
        assert!(list.contains(&format!("data-href=\"{found}\"")), "{typed}: {list}");
        let page = browser.get(&format!("/?q={}", encoded(typed))).ok();
        assert!(page.contains(&format!("href=\"{found}\"")), "{typed}: {page}");
    }
    let page = browser.get("/?q=nobody-at-all").ok();
    assert!(page.contains("No name, key, e-mail, ARN or serial number holds"), "{page}");
    // A name that is nearly right leads on.
    let page = browser.get("/e/okta/alic");
    assert_eq!(page.status, 404);
    assert!(page.text().contains("Did you mean") && page.text().contains("/e/okta/alice"));
}

#[test]
fn an_entity_shows_what_it_is_linked_to_in_pages_of_25() {
    let server = Server::start();
    company(&server);
    let browser = Browser::new(&server);
    let page = browser.get("/e/okta/alice").ok();
    for shown in ["Alice Moreau", "alice@example.com", "laptop-1", "SRE", "NOTIFIES", "Raw data"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let members: Vec<Json> = (0..60).map(|i| user(&format!("m{i:02}"), "Member")).collect();
    let links: Vec<Json> = (0..60)
        .map(|i| {
            json!({ "_key": format!("l{i}"), "_type": "t", "_class": "HAS",
            "_fromEntityKey": "all", "_toEntityKey": format!("m{i:02}") })
        })
        .collect();
    let group = json!({ "_key": "all", "_type": "okta_user_group", "_class": "UserGroup" });
    sync(
        &server,
        "",
        "big",
        &json!({
            "entities": ([members, vec![group]].concat()), "relationships": links,
        }),
    );
    let page = browser.get("/e/big/all").ok();
    assert!(
        page.contains("1 to 25 of 60")
            && page.contains("/e/big/m24")
            && !page.contains("/e/big/m25")
    );
    let page = browser.get("/e/big/all?verb=HAS&way=out&page=3").ok();
    assert!(
        page.contains("51 to 60 of 60")
            && page.contains("/e/big/m59")
            && !page.contains("/e/big/m49")
    );
    assert_eq!(browser.get("/e/big/all?page=999").status, 200, "the last page stands in");
}

#[test]
fn walks_are_filtered_by_forms_and_tell_what_they_left_out() {
    let server = Server::start();
    company(&server);
    let browser = Browser::new(&server);
    let page = browser.get("/blast/okta/alice").ok();
    assert!(page.contains("NOTIFIES") && page.contains("verb=NOTIFIES"), "not followed: {page}");
    assert!(page.contains("/e/jamf/laptop-1") && page.contains("state controlled"), "{page}");
    assert!(page.contains("tombolo blast-radius okta::alice"), "{page}");
    assert!(page.contains("#Impact{1,100}"), "{page}");
    let page = browser.get("/blast/okta/alice?scope=okta&hops=2&for=compromise").ok();
    assert!(!page.contains("/e/jamf/laptop-1"), "{page}");
    assert!(page.contains("--for compromise --depth 2 --scope okta"), "{page}");
    let page = browser.get("/blast/okta/alice?verb=NOTIFIES").ok();
    assert!(page.contains("/e/okta/bob"), "{page}");
    // A question that cannot be asked says so above its form, which is still there.
    for (asked, told) in [
        ("class=Nothing", "no class"),
        ("verb=OWNS&for=failure", "goes by the rules"),
        ("hops=x", "hops are a number"),
        ("for=fun", "invalid value"),
    ] {
        let page = browser.get(&format!("/blast/okta/alice?{asked}"));
        assert!(page.status == 400 || page.status == 404, "{asked}: {}", page.status);
        let text = page.text();
        assert!(text.contains(told) && text.contains("Filter the answer"), "{asked}: {text}");
    }
    let page = browser.get("/owners/jamf/laptop-1").ok();
    assert!(
        page.contains("Alice Moreau") && page.contains("tombolo owners jamf::laptop-1"),
        "{page}"
    );
    let page = browser.get("/path?from=sre&to=laptop-1").ok();
    assert!(page.contains("1 chain") && page.contains("Alice Moreau"), "{page}");
    let page = browser.get("/path?from=sre&to=nobody");
    assert!(page.status == 404 && page.text().contains("no live entity is called"));
}

#[test]
fn a_query_shows_its_rows_or_its_fault_in_place() {
    let server = Server::start();
    company(&server);
    let questions = "[queries.laptops]\nabout = 'there is one'\nquery = 'FIND Device'\nexpect = 1\n\
        [queries.groups]\nquery = 'FIND UserGroup'\nexpect = 0\n\
        [queries.broken]\nquery = 'FIND'\nexpect = 0\n";
    std::fs::write(server.folder.path().join("queries.toml"), questions).expect("written");
    let browser = Browser::new(&server);
    let ask = |query: &str| browser.get(&format!("/query?q={}", encoded(query)));
    let page =
        ask("FIND User AS u THAT OWNS Device AS d RETURN u.displayName AS who, d, d.none").ok();
    assert!(
        page.contains("1 row")
            && page.contains("Alice Moreau")
            && page.contains("/e/jamf/laptop-1")
    );
    for (name, state) in [("laptops", "passing"), ("groups", "failing"), ("broken", "unreadable")] {
        let row = page.split(&format!("run={name}\"")).nth(1).expect(name);
        let row = row.split("</li>").next().expect("a row");
        assert!(row.contains(state), "{name}: {row}");
    }
    assert!(browser.get("/query?run=laptops").ok().contains("1 entity"));
    assert_eq!(browser.get("/query?run=none").status, 400);
    let fault = ask("FIND User\n  WTH email = 'x'");
    assert_eq!(fault.status, 400);
    let text = fault.text();
    assert!(text.contains("Line 2, column 3") && text.contains("class=\"caret\""), "{text}");
    assert!(
        text.contains("  WTH email = &#39;x&#39;") || text.contains("  WTH email = 'x'"),
        "{text}"
    );
    // Placeholders are asked for.
    let page = ask("FIND User WITH displayName = {{who}}").ok();
    assert!(page.contains("name=\"p.who\""), "{page}");
    let query = encoded("FIND User WITH displayName = {{who}}");
    let page = browser.get(&format!("/query?q={query}&p.who=Bob")).ok();
    assert!(page.contains("/e/okta/bob") && !page.contains("/e/okta/alice"), "{page}");
    let page = ask("FIND User THAT HAS Device").ok();
    assert!(page.contains("0 entities"), "{page}");
}

/// Starts the program and reads until it prints an address; gives that and the program.
fn addressed(folder: &std::path::Path, words: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tombolo"))
        .args(words)
        .current_dir(folder)
        .env_remove("TOMBOLO_DB")
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let address = lines.map_while(Result::ok).find_map(|line| {
        let at = line.find("http://127.0.0.1:")?;
        Some(line[at..].split_whitespace().next()?.to_owned())
    });
    (child, address.expect("it prints an address"))
}

fn page_at(address: &str) -> String {
    let mut answer = ureq::get(address).call().expect("the page is there");
    answer.body_mut().read_to_string().expect("text")
}

fn ended(mut child: Child) -> Option<i32> {
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    child.wait().expect("it ends").code()
}

#[test]
fn open_leads_to_what_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = tombolo(folder.path(), &["open", "--no-browser"]);
    assert_eq!(missing.status.code(), Some(2), "there is no database to look at");
    std::fs::write(
        folder.path().join("u.ndjson"),
        user("alice", "Alice Moreau").to_string() + "\n",
    )
    .expect("written");
    assert!(tombolo(folder.path(), &["sync", "u.ndjson", "--scope", "okta"]).status.success());
    let question = "[queries.all]\nquery = 'FIND User'\nexpect = 1\n";
    std::fs::write(folder.path().join("queries.toml"), question).expect("written");
    for (words, shown) in [
        (&["open", "--no-browser"][..], "Freshness"),
        (&["open", "Alice Moreau", "--no-browser"], "alice@example.com"),
        (&["open", "FIND User WITH email ~= 'alice'", "--no-browser"], "1 entity"),
        (&["open", "all", "--no-browser"], "passing"),
    ] {
        let (child, address) = addressed(folder.path(), words);
        let page = page_at(&address);
        assert!(page.contains(shown), "{address}: {page}");
        assert_eq!(ended(child), Some(0));
    }
}

#[test]
fn the_demo_is_served_until_it_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (child, address) = addressed(folder.path(), &["demo", "--serve"]);
    let page = page_at(&format!("{address}/blast/aws/aws-iam-role:billing-writer"));
    assert!(page.contains("class=\"hops\"") && page.contains("controlled"), "{page}");
    let page = page_at(&format!("{address}/mappings/okta-jamf-ownership?plan=yes"));
    assert!(page.contains("In step") && page.contains("missing both"), "{page}");
    let offered = page_at(&format!("{address}/complete?q=FIND+Us"));
    assert_eq!(offered, r#"{"begun":2,"words":["User","UserGroup"]}"#);
    assert_eq!(ended(child), Some(0));
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "its folder is removed");
}
