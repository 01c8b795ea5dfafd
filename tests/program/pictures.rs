//! `-o svg` and `-o html`: pictures of answers, through the program.

use crate::cli::World;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

fn entity(key: &str, type_name: &str, class: &str, name: &str) -> String {
    let row = serde_json::json!({
        "_key": key, "_type": type_name, "_class": class, "displayName": name,
    });
    format!("{row}\n")
}

fn link(from: &str, verb: &str, to: &str) -> String {
    let row = serde_json::json!({
        "_key": format!("{from}|{verb}|{to}"), "_type": "link", "_class": verb,
        "_fromEntityKey": from, "_toEntityKey": to,
    });
    format!("{row}\n")
}

/// A user in a group that assumes a role, which may read buckets; an application uses the role.
fn company(buckets: usize) -> World {
    let world = World::new();
    let mut rows = entity("user:alice", "okta_user", "User", "Alice Smith");
    rows += &entity("group:sre", "okta_group", "UserGroup", "SRE");
    rows += &entity("role:billing", "aws_iam_role", "AccessRole", "billing-writer");
    rows += &entity("team:pay", "cmdb_team", "Team", "Payments");
    rows += &link("group:sre", "HAS", "user:alice");
    rows += &link("group:sre", "ASSIGNED", "role:billing");
    rows += &link("team:pay", "OWNS", "role:billing");
    for at in 0..buckets {
        let key = format!("bucket:{at:05}");
        rows += &entity(&key, "aws_s3_bucket", "DataStore", &format!("archive-{at:05}"));
        rows += &link("role:billing", "ALLOWS", &key);
    }
    world.sync("all", "DIFF", &rows).ok();
    world
}

#[track_caller]
fn well_formed(svg: &str) {
    let mut depth = 0;
    for piece in svg.split('<').skip(1) {
        let tag = piece.split('>').next().expect("a tag");
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => depth -= 1,
            (false, false) => depth += 1,
            (false, true) => {}
        }
        assert!(depth >= 0, "{piece}");
    }
    assert_eq!(depth, 0);
}

fn attributes(text: &str, name: &str) -> Vec<String> {
    let start = format!(" {name}=\"");
    let values = text.split(&start).skip(1);
    values.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_blast_radius_is_a_picture_file() {
    let world = company(30);
    let svg = world.run(&["blast-radius", "user:alice", "-o", "svg"]).ok().out;
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{svg}");
    well_formed(&svg);
    for part in ["Blast radius of Alice Smith", "aws_s3_bucket (30)", "Hop 1", "billing-writer"] {
        assert!(svg.contains(part), "{part}: {svg}");
    }
    assert!(!svg.contains(" href="), "a file that stands alone links nowhere");
    assert!(svg.contains("1 group holds 30 entities that are not drawn one by one"));
    let again = world.run(&["blast-radius", "user:alice", "-o", "svg"]).ok().out;
    assert_eq!(again, svg, "the same answer is the same picture");
}

#[test]
fn a_group_is_opened_when_it_is_asked_for() {
    let world = company(60);
    let svg = world.run(&["blast-radius", "role:billing", "-o", "svg"]).ok().out;
    let group = attributes(&svg, "data-group").pop().expect("60 buckets are a group");
    let open = format!("{group},{group}");
    let arguments = ["blast-radius", "role:billing", "-o", "svg", "--open", &open];
    let svg = world.run(&arguments).ok().out;
    assert!(svg.contains("10 more aws_s3_bucket") && svg.contains("archive-00049"), "{svg}");
    let arguments = ["blast-radius", "role:billing", "-o", "svg", "--open", "g9-0"];
    let said = world.run(&arguments).refused(2, "the picture has no group `g9-0`");
    assert!(said.err.contains(&group), "{said:?}");
    world
        .run(&["blast-radius", "role:billing", "--open", &group])
        .refused(2, "`--open` opens a group of a picture");
}

#[test]
fn owners_paths_and_cycles_are_pictures_too() {
    let world = company(3);
    let owners = world.run(&["owners", "role:billing", "-o", "svg"]).ok().out;
    well_formed(&owners);
    assert!(owners.contains("Owners of billing-writer") && owners.contains(">Payments<"));
    // The owned stands at the left, and the arrow tells who owns whom.
    assert!(owners.contains("<title>Payments OWNS billing-writer</title>"), "{owners}");
    let all = world.run(&["owners", "--class", "DataStore,AccessRole", "-o", "svg"]).ok().out;
    assert!(all.contains("3 entities have no owner"), "{all}");

    let path = ["path", "group:sre", "bucket:00001", "-o", "svg"];
    let path = world.run(&path).ok().out;
    well_formed(&path);
    assert!(path.contains("Path from SRE to archive-00001") && path.contains("Hop 2"), "{path}");
    let none = world.run(&["path", "user:alice", "bucket:00001", "-o", "svg"]).ok().out;
    assert!(none.contains(">no chain leads there<") && none.contains(">archive-00001<"), "{none}");

    let none = world.run(&["cycles", "-o", "svg"]).ok().out;
    well_formed(&none);
    assert!(none.contains(">no entity reaches itself again<"), "{none}");
    let mut rows = String::new();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        rows += &entity(from, "group", "Group", from);
        rows += &link(from, "HAS", to);
    }
    world.sync("groups", "DIFF", &rows).ok();
    let cycle = world.run(&["cycles", "-o", "svg"]).ok().out;
    assert!(cycle.contains("1 cycle") && cycle.contains("Hop 3"), "{cycle}");
    let dot = world.run(&["cycles", "-o", "dot"]).ok().out;
    assert_eq!(dot.matches(" -> ").count(), 3, "{dot}");
}

#[test]
fn what_does_not_draw_says_who_does() {
    let world = company(1);
    for command in ["scopes", "stats", "export", "impact-rules"] {
        let said = world.run(&[command, "-o", "svg"]).refused(2, "this command does not draw");
        assert!(
            said.err.contains("`blast-radius`, `owners`, `path` and `cycles` draw"),
            "{said:?}"
        );
    }
    let said = world.run(&["get", "user:alice", "-o", "html"]).refused(2, "no output `html`");
    assert!(said.err.contains("this one has table, json"), "{said:?}");
    let said = world.run(&["scopes", "-o", "svg", "--message-format", "json"]);
    let error: Value = serde_json::from_str(&said.err).expect("it is JSON");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("draw")), "{error}");
}

#[test]
fn a_page_stands_alone() {
    let world = company(40);
    let html = world.run(&["blast-radius", "user:alice", "-o", "html"]).ok().out;
    assert!(html.starts_with("<!DOCTYPE html>"), "{html}");
    for outside in ["http://", "https://", " src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside} would be a request");
    }
    assert!(html.contains("default-src 'none'"), "{html}");
    assert!(!html.contains(" style="), "the policy forbids it");
    // Every card leads to a row or a fold of the same page.
    let svg = &html[html.find("<svg").expect("a picture")..html.find("</svg>").expect("its end")];
    let ids: BTreeSet<String> = attributes(&html, "id").into_iter().collect();
    let links = attributes(svg, "href");
    assert!(links.len() > 3, "{svg}");
    for link in &links {
        assert!(ids.contains(&link[1..]), "{link} leads nowhere");
    }
    assert_eq!(attributes(&html, "id").len(), ids.len(), "an id stands twice");
    // All 40 buckets are named, 25 at once and the others one fold away.
    assert_eq!(html.matches("<b>archive-").count(), 40, "{html}");
    assert!(html.contains("<summary>15 more</summary>"), "{html}");
    assert!(html.contains("tombolo blast-radius user:alice</code>"), "{html}");
}

#[test]
fn j1ql_behind_a_picture_finds_the_same() {
    let world = company(4);
    let asked = |arguments: &[&str]| {
        let mut page = arguments.to_vec();
        page.extend(["-o", "html"]);
        let html = world.run(&page).ok().out;
        let j1ql = html.split("<h3>J1QL</h3>").nth(1).expect("J1QL stands there");
        let j1ql = j1ql.split("<code>").nth(1).and_then(|rest| rest.split("</code>").next());
        let j1ql = j1ql.expect("code").replace("&lt;", "<").replace("&gt;", ">");
        let said = world.run(&["query", &j1ql, "-o", "json"]);
        assert_eq!(said.err, "", "{j1ql}");
        said.ok().json()
    };
    let keys = |rows: &Value, name: &str| -> BTreeSet<String> {
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| row[name].as_str().expect("a key").to_owned()).collect()
    };
    for filter in
        [&[][..], &["--class", "DataStore"], &["--depth", "2"], &["--class", "DataStore,UserGroup"]]
    {
        let blast = [&["blast-radius", "user:alice"], filter].concat();
        let mut json = blast.clone();
        json.extend(["-o", "json"]);
        let reached = world.run(&json).ok().json();
        let found = asked(&blast);
        assert_eq!(
            keys(&found["data"], "hit._key"),
            keys(&reached["reached"], "_key"),
            "{filter:?}"
        );
    }
    let found = asked(&["owners", "role:billing"]);
    assert_eq!(keys(&found["data"], "owner._key"), BTreeSet::from(["team:pay".to_owned()]));
    let found = asked(&["path", "group:sre", "bucket:00001", "--all"]);
    let vertices = found["data"]["vertices"].as_array().expect("a tree");
    assert_eq!(vertices.len(), 3, "{found}");
    // What J1QL cannot say is left out.
    let html =
        world.run(&["blast-radius", "user:alice", "--for", "failure", "-o", "html"]).ok().out;
    assert!(!html.contains("J1QL</h3>"), "{html}");
}

#[test]
fn hostile_names_stay_texts_in_every_picture() {
    let world = World::new();
    let name = "</title></svg><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}";
    let mut rows = entity("k\"'<&", "t<i>", "User", name);
    rows += &entity("b", "thing", "DataStore", "'\"--><style>*{}</style>");
    rows += &link("k\"'<&", "OWNS", "b");
    world.sync("s&<\"", "DIFF", &rows).ok();
    for arguments in [["blast-radius", "b"], ["owners", "b"], ["cycles", "--color=never"]] {
        for format in ["svg", "html"] {
            let mut all = arguments.to_vec();
            all.extend(["-o", format]);
            let text = world.run(&all).ok().out;
            let scripts = if format == "html" { 1 } else { 0 };
            assert_eq!(text.matches("<script").count(), scripts, "{text}");
            assert_eq!(text.matches("<style").count(), 1, "{text}");
            assert!(!text.contains("<img") && !text.contains('\u{202e}') && !text.contains("<i>"));
        }
    }
}

#[test]
fn fifty_thousand_entities_are_a_picture_of_a_few_cards() {
    let world = company(0);
    let mut rows = entity("role:x", "aws_iam_role", "AccessRole", "x");
    for at in 0..50_000 {
        let _ = writeln!(
            rows,
            "{{\"_key\":\"b:{at}\",\"_type\":\"aws_s3_bucket\",\"_class\":\"DataStore\"}}\n\
             {{\"_key\":\"l:{at}\",\"_type\":\"l\",\"_class\":\"ALLOWS\",\
             \"_fromEntityKey\":\"role:x\",\"_toEntityKey\":\"b:{at}\"}}"
        );
    }
    world.sync("many", "DIFF", &rows).ok();
    let svg = world.run(&["blast-radius", "role:x", "-o", "svg"]).ok().out;
    assert!(svg.contains("aws_s3_bucket (50,000)") && svg.len() < 20_000, "{}", svg.len());
    let html = world.run(&["blast-radius", "role:x", "-o", "html"]).ok().out;
    assert!(html.contains("30,000 more are not listed here"));
}

#[test]
fn a_small_page_is_like_this() {
    let world = company(7);
    let html = world.run(&["blast-radius", "role:billing", "-o", "html"]).ok().out;
    // The sheet, the script and their digests are their own files.
    let without = |text: &str, tag: &str| {
        let (start, end) = (format!("<{tag}>"), format!("</{tag}>"));
        let (before, rest) = text.split_once(&start).expect("it begins");
        let (_, after) = rest.split_once(&end).expect("it ends");
        format!("{before}{start}…{end}{after}")
    };
    let html = without(&without(&html, "style"), "script");
    let html = html.split("'sha256-").enumerate().map(|(at, part)| match at {
        0 => part.to_owned(),
        _ => format!("'sha256-…{}", &part[44..]),
    });
    let html = html.collect::<String>().replace("><", ">\n<");
    insta::assert_snapshot!("small_page", html.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}
