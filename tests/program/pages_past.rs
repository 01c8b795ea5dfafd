//! The past on the pages: a state that is asked for with `at`, what changed between two states, the
//! history of an object, and pictures to keep.

use crate::http::Server;
use crate::pages::{Browser, company, encoded, held_job, sync, user};

use serde_json::json;

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
    assert!(
        page.contains(&format!("ORDER BY hop AT '{first}'")) || page.contains("AT &#39;"),
        "{page}"
    );
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
