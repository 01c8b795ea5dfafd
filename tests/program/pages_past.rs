//! The past on the pages: a state that is asked for with `at`, what changed between two states, the
//! history of an object, and pictures to keep.

use crate::http::{Server, tombolo};
use crate::pages::{Browser, company, encoded, held_job, sync, token, user};
use serde_json::{Value as Json, json};

/// The company, then Bob gone and Alice suspended; gives the ids of the two jobs of `okta`.
fn two_states(server: &Server) -> [String; 2] {
    company(server);
    let first = server.get("/v1/jobs?scope=okta").ok()["jobs"][0]["id"].clone();
    let mut alice = user("alice", "Alice Moreau");
    alice["status"] = json!("SUSPENDED");
    let later = sync(
        server,
        "",
        "okta",
        &json!({ "entities": [alice, {
        "_key": "sre", "_type": "okta_user_group", "_class": "UserGroup", "displayName": "SRE",
    }], "relationships": [
        { "_key": "r1", "_type": "t", "_class": "HAS", "_fromEntityKey": "sre", "_toEntityKey": "alice" },
    ] }),
    );
    [first, later["id"].clone()].map(|id| id.as_str().expect("an id").to_owned())
}

/// The addresses of all links of a page but those of its frame's style and script.
fn links(page: &str) -> Vec<String> {
    let all = page.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let own = all.filter(|to| to.starts_with('/') && !to.starts_with("/assets/"));
    own.map(|to| to.replace("&amp;", "&")).collect()
}

#[test]
fn a_page_shows_the_state_that_is_asked_and_its_links_keep_it() {
    let server = Server::start();
    let [first, _] = two_states(&server);
    let browser = Browser::new(&server);
    assert_eq!(browser.get("/e/okta/bob").status, 404, "he is gone");
    let dated = ["/e/", "/blast/", "/owners/", "/path", "/query", "/?", "/scopes"];
    for path in [
        "/e/okta/bob",
        "/blast/okta/alice",
        "/blast/okta/alice?hops=1&class=Device",
        "/owners/jamf/laptop-1",
        "/path?from=sre&to=laptop-1",
        "/query?q=FIND+User+AS+u+RETURN+u",
        "/?q=bob",
        "/scopes",
        "/",
        "/open?entity=okta%3A%3Abob",
    ] {
        let asked = format!("{path}{}at={first}", if path.contains('?') { "&" } else { "?" });
        let page = browser.get(&asked).ok();
        assert!(page.contains("This page shows the past"), "{asked}: {page}");
        assert!(page.contains(&format!("made by job <a class=\"mono\" href=\"/jobs/{first}\"")));
        let now = links(&page).into_iter().filter(|to| *to == path).count();
        assert!(now > 0, "{asked} leads back to now: {:?}", links(&page));
        let kept = links(&page).into_iter().filter(|to| {
            dated.iter().any(|page| to.starts_with(page)) && !to.contains("+AT+") && *to != path
        });
        let mut seen = 0;
        for to in kept {
            seen += 1;
            assert!(to.contains(&format!("at={first}")), "{asked} has {to}");
        }
        assert!(seen > 1, "{asked}");
        assert!(page.contains("name=\"at\""), "{asked} has a field");
    }
    let page = browser.get(&format!("/blast/okta/alice?at={first}")).ok();
    assert!(page.contains("/e/jamf/laptop-1"), "the laptop was still hers: {page}");
    assert!(page.contains(&format!("tombolo blast-radius okta::alice --at {first}")), "{page}");
    assert!(page.contains(&format!("ORDER BY hop AT '{first}'")), "{page}");
    assert!(!browser.get("/blast/okta/alice").ok().contains("/e/jamf/laptop-1"));
    let list = browser.get(&format!("/suggest?q=bob&at={first}")).ok();
    assert!(list.contains(&format!("/e/okta/bob?at={first}")), "{list}");
    assert!(browser.get("/suggest?q=bob").ok().contains("nothing"));
}

#[test]
fn the_jobs_and_counts_of_a_state_are_those_of_then() {
    let server = Server::start();
    let [first, second] = two_states(&server);
    let held = held_job(&server, "", "later");
    let browser = Browser::new(&server);
    let row = |at: &str| {
        let page = browser.get(&format!("/scopes?at={at}")).ok();
        let row = page.split("</span>okta</th>").nth(1).expect("okta has a row").to_owned();
        let cells = row.split("<td").skip(1).take(2).map(|cell| {
            cell.split('>')
                .nth(1)
                .and_then(|text| text.split('<').next())
                .unwrap_or_default()
                .to_owned()
        });
        (cells.collect::<Vec<_>>(), page)
    };
    let (counts, page) = row(&first);
    assert_eq!(counts, ["3", "3"], "{page}");
    assert!(page.contains(&format!("/jobs/{first}")) && !page.contains(&format!("/jobs/{second}")));
    assert!(!page.contains("would lose"), "what waits for a decision waits now: {page}");
    let (counts, page) = row(&second);
    assert_eq!(counts, ["2", "1"], "{page}");
    assert!(
        page.contains(&format!("/jobs/{second}\"")) && !page.contains(held["id"].as_str().unwrap())
    );
    assert!(browser.get("/scopes").ok().contains("would lose"));
}

#[test]
fn a_state_that_there_is_not_is_told_with_what_can_be_asked() {
    let server = Server::start();
    two_states(&server);
    let browser = Browser::new(&server);
    for (at, told) in [
        ("soon", "`soon` is no point in the past"),
        ("2001-01-01", "the file has no state of 2001-01-01"),
        ("2999-01-01", "lies in the future"),
        ("77", "no state of revision 77"),
        ("f445397d-8491-4a12-806a-04792839abe3", "no job"),
    ] {
        for path in [
            "/e/okta/alice",
            "/blast/okta/alice",
            "/owners/okta/alice",
            "/scopes",
            "/",
            "/path?from=sre&to=alice",
            "/query?q=FIND+User",
        ] {
            let asked = format!("{path}{}at={at}", if path.contains('?') { "&" } else { "?" });
            let page = browser.get(&asked);
            assert_eq!(page.status, 400, "{asked}");
            let text = page.text().replace("<code>", "`").replace("</code>", "`");
            assert!(text.contains(told), "{asked}: {text}");
            assert!(text.contains("What can be written") && text.contains("yesterday"), "{text}");
            assert!(text.contains("States go from revision 1"), "{text}");
            assert!(text.contains(&format!("value=\"{at}\"")), "it can be mended in place: {text}");
            assert!(links(&page.text()).contains(&path.to_owned()), "{asked} leads back to now");
        }
    }
    assert_eq!(browser.get("/suggest?q=a&at=soon").status, 400);
    // A name that moves with the clock is pinned in links.
    let page = browser.get("/e/okta/alice?at=now").ok();
    assert!(
        page.contains("It is the newest state") && page.contains("/blast/okta/alice?at=4"),
        "{page}"
    );
}

#[test]
fn a_query_asks_one_state() {
    let server = Server::start();
    let [first, _] = two_states(&server);
    let browser = Browser::new(&server);
    let query = encoded(&format!("FIND User AT '{first}'"));
    let page = browser.get(&format!("/query?q={query}")).ok();
    assert!(page.contains("2 entities") && page.contains("/e/okta/bob?at=3"), "{page}");
    let both = browser.get(&format!("/query?q={query}&at=1"));
    assert_eq!(both.status, 400);
    assert!(both.text().contains("another state is asked beside it"), "{}", both.text());
    let page = browser.get(&format!("/query?q=FIND+User&at={first}")).ok();
    assert!(page.contains("2 entities") && page.contains(&format!("--at {first}")), "{page}");
}

#[test]
fn a_diff_shows_what_was_created_updated_and_deleted() {
    let server = Server::start();
    let [first, second] = two_states(&server);
    let browser = Browser::new(&server);
    let page = browser.get(&format!("/diff?from={first}&to={second}")).ok();
    for told in [
        "<dt>Created</dt><dd>0</dd>",
        "<dt>Updated</dt><dd>1</dd>",
        "<dt>Deleted</dt><dd>3</dd>",
        "<span class=\"mono\">status</span> <del><span class=\"dim\">(none)</span></del>",
        "<ins>SUSPENDED</ins>",
        "4 objects",
        "/e/okta/bob?at=3",
        "/history/okta/bob",
        "NOTIFIES",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(page.contains(&format!("tombolo diff {first} {second}")), "{page}");
    assert!(page.contains("href=\"/e/okta/alice\""), "the later state is that of now: {page}");
    // Now is the other end unless one is named; backwards, what was made is deleted.
    let same = browser.get(&format!("/diff?from={first}")).ok();
    assert!(same.contains("<dt>Deleted</dt><dd>3</dd>"), "{same}");
    let back = browser.get(&format!("/diff?from={second}&to={first}")).ok();
    assert!(
        back.contains("<dt>Created</dt><dd>3</dd>") && back.contains("/e/okta/bob?at=3"),
        "{back}"
    );
    let some =
        browser.get(&format!("/diff?from={first}&class=User&type=okta_user&scope=okta")).ok();
    assert!(some.contains("2 objects") && some.contains("--class User --type okta_user"), "{some}");
    assert!(browser.get("/diff?from=now").ok().contains("Nothing changed."));
    let begin = browser.get("/diff").ok();
    assert!(begin.contains("/diff?from=3&amp;to=4") && begin.contains("/diff?from=3\""), "{begin}");
    let none = browser.get(&format!("/diff?from={first}&scope=octa"));
    assert!(
        none.status == 404 && none.text().contains("neither state has a scope"),
        "{}",
        none.text()
    );
    for asked in
        ["from=soon", "from=77", "from=1&to=soon", "from=f445397d-8491-4a12-806a-04792839abe3"]
    {
        let page = browser.get(&format!("/diff?{asked}"));
        assert_eq!(page.status, 400, "{asked}");
        let text = page.text();
        assert!(
            text.contains("What can be written") && text.contains("Compare two states"),
            "{text}"
        );
    }
    assert_eq!(browser.get("/diff?job=f445397d-8491-4a12-806a-04792839abe3").status, 404);
}

#[test]
fn a_job_leads_to_what_it_changed() {
    let server = Server::start();
    let [first, second] = two_states(&server);
    let browser = Browser::new(&server);
    let link = format!("/diff?job={second}");
    for path in [format!("/jobs/{second}"), "/scopes".to_owned()] {
        assert!(links(&browser.get(&path).ok()).contains(&link), "{path}");
    }
    let page = browser.get(&link).ok();
    assert!(page.contains("<dt>Deleted</dt><dd>3</dd>"), "{page}");
    assert!(page.contains("From revision 3 of") && page.contains("to revision 4 of"), "{page}");
    assert!(page.contains(&format!("tombolo job show {second} --changes")), "{page}");
    // From there on one compares states.
    assert!(page.contains("name=\"from\" value=\"3\"") && page.contains("name=\"to\" value=\"4\""));
    assert!(browser.get(&format!("/diff?job={first}")).ok().contains("<dt>Created</dt><dd>6</dd>"));
    assert!(links(&page).contains(&"/diff".to_owned()), "the navigation leads to it");
    // A job that changed nothing has nothing to show.
    let quiet = sync(
        &server,
        "",
        "jamf",
        &json!({ "entities": [
        { "_key": "laptop-1", "_type": "jamf_device", "_class": "Device", "serialNumber": "C02XYZ" },
    ] }),
    );
    let quiet = quiet["id"].as_str().expect("an id");
    assert!(!browser.get(&format!("/jobs/{quiet}")).ok().contains("what it changed"));
}

#[test]
fn a_long_diff_comes_in_pages() {
    let server = Server::start();
    let many: Vec<Json> = (0..120).map(|i| user(&format!("m{i:03}"), "Member")).collect();
    let job = sync(&server, "", "big", &json!({ "entities": many }));
    let job = job["id"].as_str().expect("an id");
    let browser = Browser::new(&server);
    let page = |page: usize| browser.get(&format!("/diff?job={job}&page={page}")).ok();
    let first = page(1);
    assert!(first.contains("1 to 50 of 120") && first.contains("/e/big/m049"), "{first}");
    assert!(!first.contains("/e/big/m050") && first.contains("page=2"));
    let last = page(3);
    assert!(last.contains("101 to 120 of 120") && last.contains("/e/big/m119"), "{last}");
    assert_eq!(page(99), last, "the last page stands in");
}

#[test]
fn a_history_shows_each_version_with_its_job() {
    let server = Server::start();
    let [first, second] = two_states(&server);
    let browser = Browser::new(&server);
    let page = browser.get("/history/okta/alice").ok();
    assert!(page.contains("2 versions") && page.contains("<ins>SUSPENDED</ins>"), "{page}");
    for job in [&first, &second] {
        assert!(page.contains(&format!("/jobs/{job}")), "{page}");
        assert!(page.contains(&format!("/e/okta/alice?at={job}")), "{page}");
        assert!(page.contains(&format!("/diff?job={job}")), "{page}");
    }
    assert!(page.contains("aria-current=\"page\">History"), "it is a tab of the entity: {page}");
    assert!(links(&browser.get("/e/okta/alice").ok()).contains(&"/history/okta/alice".to_owned()));
    // What is deleted has its history, and its page leads there.
    let gone = browser.get("/history/okta/bob").ok();
    assert!(
        gone.contains(">deleted</span>") && gone.contains(&format!("/e/okta/bob?at={first}")),
        "{gone}"
    );
    assert!(!gone.contains(&format!("/e/okta/bob?at={second}")), "there was nobody any more");
    let unknown = browser.get("/e/okta/bob");
    assert!(
        unknown.status == 404 && links(&unknown.text()).contains(&"/history/okta/bob".to_owned())
    );
    // A relationship is led to from its entity.
    let entity = browser.get(&format!("/e/okta/bob?at={first}")).ok();
    let link =
        links(&entity).into_iter().find(|to| to.starts_with("/history?object=")).expect("a link");
    let page = browser.get(&link).ok();
    assert!(page.contains("History of r3") && page.contains(">deleted</span>"), "{page}");
    assert!(browser.get("/history").ok().contains("Ask for a history"));
    assert!(browser.get("/history?object=okta%3A%3Ar1").ok().contains("relationship"));
    let nobody = browser.get("/history/okta/nobody");
    assert!(nobody.status == 404 && nobody.text().contains("nobody"), "{}", nobody.text());
}

#[test]
fn hostile_names_are_text_on_the_pages_of_the_past() {
    let server = Server::start();
    let script = "<script>alert('k')</script>";
    let one = |value: &str| {
        json!({ "entities": [
            { "_key": script, "_type": "t<i>", "_class": "A", script: value },
            { "_key": "..", "_type": "t", "_class": "User", "p": value },
        ], "relationships": [
            { "_key": script, "_type": "t", "_class": "HAS<b>", "_fromEntityKey": script, "_toEntityKey": "..",
              "p": value },
        ] })
    };
    sync(&server, "", "sc<u>ope", &one("<img src=x onerror=alert(1)>"));
    let job = sync(&server, "", "sc<u>ope", &one("\"><b>\u{202e}"));
    let browser = Browser::new(&server);
    let (scope, key) = (encoded("sc<u>ope"), encoded(script));
    let job = job["id"].as_str().expect("an id");
    let diff = browser.get(&format!("/diff?job={job}")).ok();
    let mut seen = vec![diff.clone(), browser.get("/diff").ok()];
    for path in [format!("/history/{scope}/{key}"), format!("/e/{scope}/{key}?at=2")] {
        seen.push(browser.get(&path).ok());
    }
    let histories: Vec<String> =
        links(&diff).into_iter().filter(|to| to.contains("history")).collect();
    assert_eq!(histories.len(), 3, "{diff}");
    seen.extend(histories.iter().map(|path| browser.get(path).ok()));
    for text in seen {
        for raw in ["<script>alert", "<img", "<b>\u{202e}", "t<i>", "HAS<b>", "sc<u>", "\u{202e}"] {
            assert!(!text.contains(raw), "{raw}: {text}");
        }
    }
    for asked in ["/diff?from=<script>alert(1)</script>", "/e/a/b?at=<script>alert(1)</script>"] {
        let (path, value) = asked.split_once('=').expect("a value");
        let page = browser.get(&format!("{path}={}", encoded(value)));
        assert!(page.status == 400 && !page.text().contains("<script>alert"), "{}", page.text());
    }
}

/// What the command line prints.
fn printed(server: &Server, words: &[&str]) -> String {
    let output = tombolo(server.folder.path(), words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn pictures_are_kept_as_the_files_that_the_command_line_prints() {
    let server = Server::start();
    let [first, _] = two_states(&server);
    let browser = Browser::new(&server);
    for (path, words) in [
        ("/blast/okta/sre?", &["blast-radius", "okta::sre"][..]),
        (
            "/blast/okta/sre?hops=1&for=compromise&",
            &["blast-radius", "okta::sre", "--depth", "1", "--for", "compromise"],
        ),
        ("/owners/jamf/laptop-1?", &["owners", "jamf::laptop-1"]),
        (
            "/path?from=sre&to=alice&",
            &["path", "sre", "alice", "--direction", "both", "--all", "--max", "1000"],
        ),
    ] {
        let at = format!("{path}at={first}");
        for (page, past) in
            [(path.trim_end_matches(['?', '&']), &[][..]), (&at, &["--at", &first][..])]
        {
            let separator = if page.contains('?') { '&' } else { '?' };
            for (format, kind) in [("svg", "image/svg+xml"), ("html", "text/html; charset=utf-8")] {
                let file = browser.get(&format!("{page}{separator}save={format}"));
                assert_eq!(file.header("content-type"), kind, "{page}: {}", file.text());
                let disposition = file.header("content-disposition").to_owned();
                assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");
                assert!(disposition.ends_with(&format!(".{format}\"")), "{disposition}");
                assert!(file.header("content-security-policy").contains("sandbox"));
                let same = printed(&server, &[words, past, &["-o", format]].concat());
                assert_eq!(file.ok(), same, "{page} {format}");
            }
        }
        let shown = browser.get(&at).ok();
        for format in ["svg", "html"] {
            let link = links(&shown).into_iter().find(|to| to.contains(&format!("save={format}")));
            let link =
                link.unwrap_or_else(|| panic!("{path} has no link to its {format}: {shown}"));
            assert!(link.contains(&format!("at={first}")), "{link}");
            assert!(
                browser.get(&link).ok().contains("as of revision 3 of"),
                "it says of which state it is"
            );
        }
    }
    let page = browser.get(&format!("/owners/jamf/laptop-1?at={first}&save=html")).ok();
    assert!(page.contains("--at 3") && page.contains("AT '3'"), "{page}");
    for (asked, status) in [
        ("/blast/okta/alice?save=pdf", 400),
        ("/blast/okta/alice?save=svg&open=g9-0", 400),
        ("/blast/okta/nobody?save=svg", 404),
        ("/blast/okta/alice?save=svg&at=soon", 400),
        ("/path?from=sre&to=nobody&save=svg", 404),
    ] {
        let page = browser.get(asked);
        assert_eq!(page.status, status, "{asked}: {}", page.text());
        assert_eq!(page.header("content-disposition"), "", "{asked}");
    }
}

#[test]
fn rest_gives_the_same_pictures() {
    let server = Server::start();
    let [first, _] = two_states(&server);
    for (asked, words) in [
        ("/v1/blast-radius?entity=sre", &["blast-radius", "sre"][..]),
        ("/v1/owners?entity=jamf::laptop-1", &["owners", "jamf::laptop-1"]),
        ("/v1/path?from=sre&to=alice&all=true", &["path", "sre", "alice", "--all"]),
        ("/v1/cycles?verb=HAS", &["cycles", "--verb", "HAS"]),
    ] {
        for format in ["svg", "html"] {
            let separator = if asked.contains('?') { '&' } else { '?' };
            let reply = server.get(&format!("{asked}{separator}at={first}&output={format}"));
            let same = printed(&server, &[words, &["--at", &first, "-o", format]].concat());
            assert_eq!((reply.status, reply.text), (200, same), "{asked} {format}");
        }
        let json = server.get(&format!("{asked}&output=json"));
        assert_eq!(json.text, server.get(asked).text, "{asked}");
    }
    let wrong = |asked: &str| {
        let reply = server.get(&format!("/v1/blast-radius?entity=alice&{asked}"));
        assert_eq!((reply.status, reply.code()), (400, "BAD_REQUEST"), "{}", reply.text);
        reply.text
    };
    assert!(wrong("output=pdf").contains("json, svg or html"));
    assert!(wrong("open=g1").contains("add `output=svg`"));
    assert!(wrong("output=svg&open=g9-0").contains("the picture has no group `g9-0`"));
    let document = server.get("/openapi.json").ok();
    for path in ["/v1/blast-radius", "/v1/owners", "/v1/path", "/v1/cycles"] {
        let get = &document["paths"][path]["get"];
        let content = &get["responses"]["200"]["content"];
        for kind in ["application/json", "image/svg+xml", "text/html"] {
            assert!(content.get(kind).is_some(), "{path}: {content}");
        }
        let named =
            |name: &str| get["parameters"].as_array().unwrap().iter().any(|p| p["name"] == name);
        assert!(named("output") && named("open") && named("at"), "{path}");
    }
}

#[test]
fn a_picture_needs_the_right_that_its_question_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    let reader = token(folder.path(), "reader", &["read"]);
    let writer = token(folder.path(), "writer", &["write:okta"]);
    let server = Server::in_folder(folder, &[]);
    sync(&server, &writer, "okta", &json!({ "entities": [user("alice", "Alice")] }));
    for (token, status) in [(&reader, 200), (&writer, 403)] {
        let bearer = format!("Bearer {token}");
        let header = [("Authorization", bearer.as_str())];
        for asked in [
            "/v1/blast-radius?entity=alice&output=svg",
            "/blast/okta/alice?save=svg",
            "/owners/okta/alice?save=html",
            "/diff?from=1",
            "/history/okta/alice",
        ] {
            let reply = server.call("GET", asked, &header, b"");
            assert_eq!(reply.status, status, "{asked}: {}", reply.text);
            assert!(status == 200 || !reply.text.contains("Alice"), "{asked}");
        }
    }
    assert_eq!(Browser::new(&server).get("/blast/okta/alice?save=svg").status, 401);
}
