//! What J1QL means, fact by fact, on graphs small enough to see the answer.

use crate::graph_of_parts::{Graph, value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use tombolo::lang::SourceText;
use tombolo::limits::{CostMeter, LimitError};
use tombolo::query::{AnswerJson, Query, QueryAnswer, QueryOptions, QuestionError, QuestionLimits};

fn options() -> QueryOptions {
    QueryOptions {
        now: 1_700_000_000_000,
        parameters: Some(BTreeMap::from([
            ("who".to_owned(), value(&json!("alice"))),
            ("both".to_owned(), value(&json!(["alice", "bob"]))),
        ])),
        smart_classes: BTreeMap::from([(
            "Active".to_owned(),
            "(User|Device) WITH active = true".to_owned(),
        )]),
        ..QueryOptions::default()
    }
}

fn parsed(text: &str, options: &QueryOptions) -> Query {
    let source = SourceText::whole("query", text);
    Query::parse(&source, options).unwrap_or_else(|fault| panic!("{}", fault.plain()))
}

fn ask(graph: &Graph, text: &str) -> QueryAnswer {
    parsed(text, &options()).run(graph, QuestionLimits::default()).expect("memory can be read").0
}

/// The answer in short: keys of a list, rows of a table as objects, keys of both kinds of a tree.
fn answer(graph: &Graph, text: &str) -> Json {
    let found = ask(graph, text);
    let json = found.json(graph).expect("memory can be read");
    let keys = |list: &Json, kind: &str| -> Json {
        list.as_array().into_iter().flatten().map(|vertex| vertex[kind]["_key"].clone()).collect()
    };
    match found {
        QueryAnswer::List(_) => keys(&json, "entity"),
        QueryAnswer::Table { .. } => json,
        QueryAnswer::Tree { .. } => {
            json!([keys(&json["vertices"], "entity"), keys(&json["edges"], "relationship")])
        }
    }
}

#[track_caller]
fn check(graph: &Graph, text: &str, expected: Json) {
    assert_eq!(answer(graph, text), expected, "{text}");
}

#[track_caller]
fn same(graph: &Graph, one: &str, other: &str) {
    assert_eq!(answer(graph, one), answer(graph, other), "{one}\n{other}");
}

/// The code and message of the fault of a query.
fn fault(text: &str) -> String {
    match Query::parse(&SourceText::whole("query", text), &options()) {
        Ok(_) => panic!("`{text}` can be read"),
        Err(fault) => format!("{} {}", fault.code, fault.message),
    }
}

/// Two users, a group, two laptops, a role; alice OWNS both laptops, bob is in the group alone.
fn office() -> Graph {
    let mut graph = Graph::default();
    let alice = graph.entity(
        "okta",
        "alice",
        "okta_user",
        &["User"],
        json!({
            "displayName": "Alice", "email": ["a@x.example", "alice@x.example"], "active": true,
            "tag.Production": "true", "logins": 3, "createdOn": 1_699_990_000_000i64,
        }),
    );
    let bob = graph.entity(
        "okta",
        "bob",
        "okta_user",
        &["User"],
        json!({
            "displayName": "Bob", "active": false, "logins": 10, "tags": ["Night"],
        }),
    );
    let sre =
        graph.entity("okta", "sre", "okta_group", &["UserGroup"], json!({ "displayName": "SRE" }));
    let one = graph.entity(
        "jamf",
        "laptop-1",
        "laptop",
        &["Device", "Host"],
        json!({
            "serial": "C01", "owner": "alice", "empty": "", "none": [],
        }),
    );
    let two =
        graph.entity("jamf", "laptop-2", "laptop", &["Device", "Host"], json!({ "serial": "C02" }));
    let role = graph.entity("aws", "role", "aws_iam_role", &["AccessRole"], json!({ "mfa": null }));
    graph.link("okta", sre, "HAS", alice, json!({}));
    graph.link("okta", sre, "HAS", bob, json!({}));
    graph.link("own", alice, "OWNS", one, json!({ "since": 2020 }));
    graph.link("own", alice, "OWNS", two, json!({ "since": 2024 }));
    graph.link("aws", sre, "ASSIGNED", role, json!({}));
    graph
}

#[test]
fn shorthand_lists_have_the_truth_table_of_the_documentation() {
    let columns = [
        "= 'fruit'",
        "= 'nut'",
        "= ('fruit' AND 'nut')",
        "= ('fruit' OR 'nut')",
        "!= 'fruit'",
        "!= 'nut'",
        "!= ('fruit' AND 'nut')",
        "!= ('fruit' OR 'nut')",
    ];
    let rows = [
        (json!(["fruit"]), "TFFTFTTF"),
        (json!(["nut"]), "FTFTTFTF"),
        (json!(["fruit", "nut"]), "TTTTFFFF"),
        (json!(["other"]), "FFFFTTTT"),
        (json!(["other", "plain"]), "FFFFTTTT"),
        (json!(null), "FFFFTTTT"),
    ];
    for (value, expected) in rows {
        let mut graph = Graph::default();
        graph.entity("s", "it", "food", &["Food"], json!({ "kind": value }));
        for (column, expected) in columns.iter().zip(expected.chars()) {
            let list = if expected == 'T' { json!(["it"]) } else { json!([]) };
            check(&graph, &format!("FIND food WITH kind {column}"), list);
        }
    }
}

#[test]
fn documented_equivalences_hold() {
    let graph = office();
    for (one, other) in [
        ("FIND User", "FIND * WITH _class = 'User'"),
        ("FIND okta_user", "FIND * WITH _type = 'okta_user'"),
        (
            "FIND (Host|Device) WITH serial = 'C01'",
            "FIND * WITH (_class = 'Host' OR _class = 'Device') AND serial = 'C01'",
        ),
        ("FIND User THAT OWNS TO Device", "FIND User THAT OWNS Device"),
        ("FIND User THAT OWNS >> Device RETURN TREE", "find Device that owns << User return tree"),
        (
            "FIND User AS u THAT OWNS Device AS d RETURN u.active AS a, d.serial AS b",
            "FIND User THAT OWNS Device RETURN User.active AS a, Device.serial AS b",
        ),
        ("FIND User WITH logins != (3 OR 4)", "FIND User WITH logins != 3 AND logins != 4"),
        ("FIND User WITH logins = (3 OR 4)", "FIND User WITH logins IN (3, 4)"),
        ("FIND User WITH !(logins = 3)", "FIND User WITH NOT (logins = 3)"),
    ] {
        same(&graph, one, other);
    }
}

#[test]
fn negated_operators_match_what_is_not_there() {
    let graph = office();
    check(&graph, "FIND * WITH active != true AND _scope = 'okta'", json!(["bob", "sre"]));
    check(&graph, "FIND User WITH email !~= 'alice'", json!(["bob"]));
    check(&graph, "FIND User WITH email = undefined", json!(["bob"]));
    check(&graph, "FIND aws_iam_role WITH mfa = undefined", json!(["role"]));
    check(&graph, "FIND Device WITH empty = undefined", json!(["laptop-2"]));
    check(&graph, "FIND Device WITH none != undefined", json!(["laptop-1"]));
    // A number is the text that it is spelled as, and no other.
    check(&graph, "FIND User WITH logins = '3'", json!(["alice"]));
    check(&graph, "FIND User WITH logins = '03'", json!([]));
}

#[test]
fn texts_lists_patterns_numbers_and_dates_compare() {
    let graph = office();
    check(&graph, "FIND User WITH email = 'alice@x.example'", json!(["alice"]));
    check(&graph, "FIND User WITH email ^= 'ali'", json!(["alice"]));
    check(&graph, "FIND User WITH email $= ('x.example' OR 'y.example')", json!(["alice"]));
    check(&graph, "FIND User WITH displayName = /^BO/i", json!(["bob"]));
    check(&graph, "FIND User WITH displayName ~= /^BO/", json!([]));
    check(&graph, "FIND User WITH logins >= 3 AND logins < 10", json!(["alice"]));
    check(&graph, "FIND User WITH createdOn > date.now - 1 day", json!(["alice"]));
    check(&graph, "FIND User WITH date.now-24hours < createdOn", json!(["alice"]));
    check(&graph, "FIND User WITH createdOn > date(2023-11-14T21:00:00Z)", json!([]));
    check(&graph, "FIND User WITH tag.Production = true", json!(["alice"]));
    check(&graph, "FIND User WITH [tag.Production] = 'true'", json!(["alice"]));
}

#[test]
fn and_binds_tighter_than_or() {
    let graph = office();
    let text = "FIND User WITH logins = 3 OR logins = 10 AND active = true";
    check(&graph, text, json!(["alice"]));
    check(&graph, "FIND User WITH (logins = 3 OR logins = 10) AND active = false", json!(["bob"]));
}

#[test]
fn rows_are_one_a_path_and_a_list_is_one_an_entity() {
    let graph = office();
    check(&graph, "FIND User THAT OWNS Device", json!(["alice"]));
    let row = json!({ "User.displayName": "Alice" });
    check(&graph, "FIND User THAT OWNS Device RETURN User.displayName", json!([row, row]));
    check(&graph, "FIND UNIQUE User THAT OWNS Device RETURN User.displayName", json!([row]));
}

#[test]
fn a_step_goes_both_ways_unless_an_arrow_says_which() {
    let mut graph = Graph::default();
    let a = graph.entity("s", "a", "role", &["Role"], json!({}));
    let b = graph.entity("s", "b", "role", &["Role"], json!({}));
    graph.link("s", a, "TRUSTS", b, json!({}));
    let pair = |x: &str, y: &str| json!({ "x._key": x, "y._key": y });
    let tail = "role AS y RETURN x._key, y._key";
    check(
        &graph,
        &format!("FIND role AS x THAT TRUSTS {tail}"),
        json!([pair("a", "b"), pair("b", "a")]),
    );
    check(&graph, &format!("FIND role AS x THAT TRUSTS >> {tail}"), json!([pair("a", "b")]));
    check(&graph, &format!("FIND role AS x THAT TRUSTS << {tail}"), json!([pair("b", "a")]));
}

#[test]
fn no_entity_stands_twice_on_one_path() {
    // Who shares a group with somebody is somebody else.
    let row = |x: &str, y: &str| json!({ "a._key": x, "b._key": y });
    check(
        &office(),
        "FIND User AS a THAT HAS UserGroup THAT HAS User AS b RETURN a._key, b._key",
        json!([row("alice", "bob"), row("bob", "alice")]),
    );
}

#[test]
fn whatever_follows_a_negated_step_belongs_to_it() {
    let graph = office();
    check(&graph, "FIND User THAT !OWNS Device", json!(["bob"]));
    check(&graph, "FIND User THAT !(OWNS|USES) Device WITH serial = 'C02'", json!(["bob"]));
    // Bob is in a group, but in none that is assigned another role.
    let chain = "FIND User THAT !HAS << UserGroup THAT ASSIGNED AccessRole WITH _key = 'other'";
    check(&graph, chain, json!(["alice", "bob"]));
    check(&graph, "FIND User THAT !(THAT HAS << UserGroup THAT ASSIGNED AccessRole)", json!([]));
    // What is counted under the name of what is not there is the entity before it.
    check(&graph, "FIND User THAT !OWNS Device AS d RETURN count(d) AS n", json!([{ "n": 1 }]));
}

#[test]
fn an_optional_group_is_left_out_only_where_it_is_not_there() {
    let graph = office();
    check(
        &graph,
        "FIND User AS u (THAT OWNS Device AS d)? RETURN u._key, d._key",
        json!([
            { "u._key": "alice", "d._key": "laptop-1" },
            { "u._key": "alice", "d._key": "laptop-2" },
            { "u._key": "bob", "d._key": null },
        ]),
    );
    check(
        &graph,
        "FIND okta_user WITH _key = 'alice' (THAT OWNS Device)? AS any RETURN any._key",
        json!([{ "any._key": "alice" }, { "any._key": "laptop-1" }, { "any._key": "laptop-2" }]),
    );
    check(
        &graph,
        "FIND User (THAT HAS UserGroup)? THAT ASSIGNED AccessRole",
        json!(["alice", "bob"]),
    );
    check(&graph, "FIND User WITH _key = 'bob' (THAT HAS UserGroup)?", json!(["bob", "sre"]));
}

#[test]
fn where_is_asked_of_optional_groups_that_are_there() {
    let graph = office();
    // Alice owns a laptop since 2020: the row without it is no way around WHERE.
    let text = "FIND User AS u (THAT OWNS AS r Device AS d)? WHERE r.since != 2020";
    check(
        &graph,
        &format!("{text} RETURN u._key AS u, d._key AS d"),
        json!([{ "u": "alice", "d": "laptop-2" }, { "u": "bob", "d": null }]),
    );
    let text = "FIND UserGroup (THAT ASSIGNED AS r AccessRole)? WHERE r._class != 'ASSIGNED'";
    check(&graph, text, json!([]));
    check(&graph, &format!("{text} RETURN TREE"), json!([[], []]));
}

#[test]
fn counts_are_of_what_is_distinct_and_group_by_the_plain_columns() {
    let mut teams = Graph::default();
    for (team, lead) in [("team1", "alice"), ("team2", "bob"), ("team3", "alice")] {
        teams.entity("s", team, "bitbucket_team", &["Team"], json!({ "lead": lead }));
    }
    check(
        &teams,
        "FIND bitbucket_team AS team RETURN COUNT(team.lead)",
        json!([{ "count(team.lead)": 2 }]),
    );
    let graph = office();
    check(
        &graph,
        "FIND * AS e RETURN e._scope AS scope, count(e) AS n ORDER BY n DESC, scope",
        json!([
            { "scope": "okta", "n": 3 }, { "scope": "jamf", "n": 2 }, { "scope": "aws", "n": 1 },
        ]),
    );
    check(&graph, "FIND Nothing AS x RETURN count(x)", json!([{ "count(x)": 0 }]));
    // Alice has two laptops, yet her logins count once.
    check(
        &graph,
        "FIND User AS u THAT RELATES TO * RETURN sum(u.logins) AS s, avg(u.logins) AS a, max(u.logins) AS m",
        json!([{ "s": 13, "a": 6.5, "m": 10 }]),
    );
    check(
        &graph,
        "FIND User AS u THAT RELATES TO * RETURN u._key AS who, count(*) AS n HAVING n > 1",
        json!([{ "who": "alice", "n": 3 }]),
    );
}

#[test]
fn unwind_gives_a_row_for_each_item() {
    let graph = office();
    check(
        &graph,
        "FIND laptop AS a RETURN UNWIND(a._class) AS class, COUNT(a) AS total",
        json!([{ "class": "Device", "total": 2 }, { "class": "Host", "total": 2 }]),
    );
}

#[test]
fn functions_and_arithmetic() {
    let graph = office();
    check(
        &graph,
        "FIND User AS u RETURN u.logins * 2 + 1 AS a, u.logins / 0 AS b, -u.logins ^ 2 AS c, \
         coalesce(u.missing, 'none') AS d, concat(u._key, '-', u.missing, u.logins) AS e, \
         merge(u.tags, u._key) AS f, round(u.logins / 4) AS g ORDER BY u.logins DESC LIMIT 1",
        json!([{
            "a": 21, "b": null, "c": 100, "d": "none", "e": "bob-10", "f": ["Night", "bob"], "g": 3,
        }]),
    );
}

#[test]
fn where_sees_whole_paths_and_relationships() {
    let graph = office();
    check(
        &graph,
        "FIND User THAT OWNS AS r Device AS d WHERE r.since > 2021 RETURN d._key",
        json!([{ "d._key": "laptop-2" }]),
    );
    check(&graph, "FIND User THAT OWNS Device WHERE owns.since < 2021", json!(["alice"]));
    check(
        &graph,
        "FIND User AS u THAT OWNS Device AS d WHERE d.owner = u._key RETURN d._key",
        json!([{ "d._key": "laptop-1" }]),
    );
    check(&graph, "FIND User AS u THAT HAS << * AS g WHERE g.x = u.y", json!([]));
    check(
        &graph,
        "FIND User THAT OWNS AS r Device WHERE r._scope = 'own' AND r._fromEntityKey = 'alice'",
        json!(["alice"]),
    );
}

#[test]
fn queries_inside_queries_are_sets_of_values() {
    let graph = office();
    check(&graph, "FIND User WITH _key = (FIND Device RETURN Device.owner)", json!(["alice"]));
    check(&graph, "FIND User WITH _key != (FIND Device RETURN Device.owner)", json!(["bob"]));
    check(
        &graph,
        "FIND User WITH _key != (FIND Nothing RETURN Nothing.owner)",
        json!(["alice", "bob"]),
    );
    assert!(fault("FIND User WITH _key = (FIND Device)").starts_with("Q0208"));
}

#[test]
fn classes_that_a_query_inside_gives_are_met_in_any_spelling() {
    let mut graph = office();
    graph.entity("hr", "rule", "rule", &["Rule"], json!({ "kind": "user_group" }));
    let inner = "(FIND Rule RETURN Rule.kind)";
    check(&graph, "FIND * WITH _class = 'user_group'", json!(["sre"]));
    check(&graph, &format!("FIND * WITH _class = {inner}"), json!(["sre"]));
    check(&graph, &format!("FIND UserGroup WITH _class != {inner}"), json!([]));
    // What is no class is compared letter by letter.
    check(&graph, &format!("FIND * WITH displayName = {inner}"), json!([]));
}

#[test]
fn full_text_and_smart_classes() {
    let graph = office();
    check(&graph, "FIND 'ALICE x.example'", json!(["alice"]));
    check(&graph, "\"alice\" WITH _class = 'Device'", json!(["laptop-1"]));
    check(&graph, "FIND #Night", json!(["bob"]));
    check(&graph, "FIND #Production User", json!(["alice"]));
    check(&graph, "FIND #Active THAT OWNS Device", json!(["alice"]));
    check(&graph, "FIND #CriticalAsset", json!([]));
}

#[test]
fn parameters_fill_placeholders_and_lists_mean_any() {
    let graph = office();
    for text in ["{{who}}", "${who}", "${ param.who }", "'{{who}}'", "$who"] {
        check(&graph, &format!("FIND User WITH _key = {text}"), json!(["alice"]));
    }
    check(&graph, "FIND User WITH _key = ${both}", json!(["alice", "bob"]));
    assert_eq!(fault("FIND User WITH _key = ${nobody}"), "Q0207 parameter `nobody` has no value");
}

#[test]
fn quantified_steps_reach_each_entity_once_at_its_least_distance() {
    let mut graph = Graph::default();
    let n: Vec<u32> = (0..5)
        .map(|i| graph.entity("s", &format!("n{i}"), "g", &["G"], json!({ "i": i })))
        .collect();
    for (from, to) in [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (0, 2)] {
        graph.link("s", n[from], "HAS", n[to], json!({}));
    }
    let from = "FIND g WITH i = 0 THAT HAS";
    let to = ">> AS r g AS x RETURN x._key AS k, DEPTH(r) AS d ORDER BY k";
    let row = |k: &str, d: u32| json!({ "k": k, "d": d });
    check(
        &graph,
        &format!("{from}{{1,3}} {to}"),
        json!([row("n1", 1), row("n2", 1), row("n3", 2), row("n4", 3)]),
    );
    check(&graph, &format!("{from}{{2}} {to}"), json!([row("n3", 2)]));
    check(
        &graph,
        &format!("{from}{{0,1}} {to}"),
        json!([row("n0", 0), row("n1", 1), row("n2", 1)]),
    );
    check(
        &graph,
        &format!("{from}{{1,3}} VIA g WITH i != 2 {to}"),
        json!([row("n1", 1), row("n2", 1)]),
    );
    check(
        &graph,
        "FIND g WITH i = 0 THAT HAS{2} >> g RETURN TREE",
        json!([["n0", "n2", "n3"], ["r3", "r5"]]),
    );
    // A chain in brackets is walked path by path.
    check(
        &graph,
        "FIND g WITH i = 0 (THAT HAS >> g){3} AS x RETURN x._key",
        json!([{ "x._key": "n3" }, { "x._key": "n4" }]),
    );
    check(
        &graph,
        "FIND g WITH i = 4 THAT NEAREST HAS{1,4} << g WITH i < 3 AS o RETURN o._key",
        json!([{ "o._key": "n2" }]),
    );
}

#[test]
fn counts_do_not_decide_which_of_several_shortest_chains_is_kept() {
    for many in ["Start", "End"] {
        let mut graph = Graph::default();
        let add = |graph: &mut Graph, key: &str, class: &str| {
            graph.entity("s", key, "node", &[class], json!({}))
        };
        let [start, a, b, c, d, end] =
            ["Start", "Way", "Way", "Way", "Way", "End"].map(|class| add(&mut graph, class, class));
        // The chains cross: what is first from one end is last from the other.
        for (from, to) in [(start, a), (start, b), (b, c), (a, d), (c, end), (d, end)] {
            graph.link("s", from, "USES", to, json!({ "name": format!("{from}-{to}") }));
        }
        for i in 0..50 {
            add(&mut graph, &format!("more-{i}"), many);
        }
        let question = "FIND Start AS s THAT USES{1,3} >> AS r End AS e RETURN r.name AS names";
        let names = json!([{ "names": ["0-1", "1-4", "4-5"] }]);
        check(&graph, question, names);
    }
}

/// Two ways of two relationships from `a` to `d`, one of three, and a direct one that was refused.
fn diamond() -> Graph {
    let mut graph = Graph::default();
    let key = |graph: &mut Graph, key, class| graph.entity("s", key, "node", &[class], json!({}));
    let a = key(&mut graph, "a", "Start");
    let b = key(&mut graph, "b", "Way");
    let c = key(&mut graph, "c", "Way");
    let e = key(&mut graph, "e", "Way");
    let d = key(&mut graph, "d", "End");
    graph.link("s", a, "USES", e, json!({}));
    graph.link("s", e, "USES", c, json!({}));
    graph.link("s", a, "USES", c, json!({}));
    graph.link("s", c, "USES", d, json!({}));
    graph.link("s", a, "USES", b, json!({}));
    graph.link("s", b, "USES", d, json!({}));
    graph
}

#[test]
fn shortest_keeps_the_fewest_relationships_between_two_ends() {
    let graph = diamond();
    let tree = |text: &str| format!("FIND {text} Start THAT USES{{1,4}} >> End RETURN TREE");
    // Ties go to the lower relationships, at whichever end matching could begin.
    check(&graph, &tree("SHORTEST"), json!([["a", "c", "d"], ["r2", "r3"]]));
    let both = json!([["a", "b", "c", "d"], ["r2", "r3", "r4", "r5"]]);
    check(&graph, &tree("SHORTEST ALL"), both);
    // Over several steps the sum counts, and only of what WHERE lets through.
    let steps = "Start THAT USES{1,2} >> AS r Way AS w THAT USES >> End";
    check(
        &graph,
        &format!("FIND SHORTEST {steps} RETURN w._key AS way, DEPTH(r) AS hops"),
        json!([{ "way": "c", "hops": 1 }]),
    );
    check(
        &graph,
        &format!("FIND SHORTEST {steps} WHERE w._key != 'c' RETURN w._key AS way"),
        json!([{ "way": "b" }]),
    );
    check(
        &graph,
        &format!("FIND SHORTEST ALL {steps} RETURN w._key AS way ORDER BY way"),
        json!([{ "way": "b" }, { "way": "c" }]),
    );
    // A class may have that name.
    check(&graph, "FIND Shortest", json!([]));
    check(&graph, "FIND Shortest THAT USES End", json!([]));
    assert!(fault("FIND SHORTEST Start THAT USES >> End").starts_with("Q0209"));
}

#[test]
fn matches_joins_by_value_without_a_relationship() {
    let mut graph = office();
    let person =
        |graph: &mut Graph, key: &str, json| graph.entity("hr", key, "person", &["Person"], json);
    person(&mut graph, "p-alice", json!({ "email": "alice@x.example", "floor": 3 }));
    person(&mut graph, "p-other", json!({ "email": "other@x.example", "floor": 10 }));
    person(&mut graph, "p-none", json!({}));
    let pairs = json!([{ "u": "alice", "p": "p-alice" }]);
    let join = "FIND User AS u THAT MATCHES Person AS p ON u.email = p.email";
    check(&graph, &format!("{join} RETURN u._key AS u, p._key AS p"), pairs.clone());
    let other_way = "FIND User THAT MATCHES Person ON Person.email = User.email \
         RETURN User._key AS u, Person._key AS p";
    check(&graph, other_way, pairs);
    // It is a step like any other: more can follow, be asked, or be missing.
    check(
        &graph,
        "FIND Person AS p THAT MATCHES User AS u ON p.email = u.email AND p.floor = u.logins \
         THAT OWNS Device AS d RETURN p._key AS p, d.serial AS d ORDER BY d",
        json!([{ "p": "p-alice", "d": "C01" }, { "p": "p-alice", "d": "C02" }]),
    );
    check(
        &graph,
        "FIND Person AS p THAT !MATCHES User AS u ON p.email = u.email",
        json!(["p-other", "p-none"]),
    );
    check(
        &graph,
        "FIND User AS u THAT MATCHES Person AS p ON u.logins = p.floor RETURN count(p) AS n",
        json!([{ "n": 2 }]),
    );
    // Nothing equals what is not there.
    check(&graph, "FIND User AS u THAT MATCHES * AS x ON u.nothing = x.nothing", json!([]));
    // Without ON it is a relationship's name.
    check(&graph, "FIND User THAT MATCHES Person", json!([]));
    assert!(fault("FIND User AS u THAT MATCHES Person AS p ON u.a > p.a").starts_with("Q0212"));
    assert!(
        fault("FIND User AS u THAT MATCHES{1,2} Person AS p ON u.a = p.a").starts_with("Q0101")
    );
}

#[test]
fn deleted_entities_are_found_when_asked_for() {
    let mut graph = office();
    graph.entities[1].metadata.end_on = Some(1_700_000_000_001);
    check(&graph, "FIND User", json!(["alice"]));
    let options = QueryOptions { include_deleted: true, ..options() };
    for text in ["FIND User", "FIND User WITH _key = ('alice' OR 'bob')"] {
        let query = parsed(text, &options);
        let (found, _) = query.run(&graph, QuestionLimits::default()).expect("memory can be read");
        assert_eq!(found, QueryAnswer::List(vec![0, 1]), "{text}");
    }
    let query = parsed("FIND * WITH _deleted = true", &options);
    let (found, _) = query.run(&graph, QuestionLimits::default()).expect("memory can be read");
    assert_eq!(found, QueryAnswer::List(vec![1]));
}

#[test]
fn scopes_of_entities_and_of_relationships() {
    let graph = office();
    check(&graph, "FIND * IN SCOPE 'jamf'", json!(["laptop-1", "laptop-2"]));
    check(&graph, "FIND User THAT RELATES TO IN SCOPE 'own' *", json!(["alice"]));
    check(
        &graph,
        "FIND User THAT OWNS Device WHERE User._scope != Device._scope",
        json!(["alice"]),
    );
}

#[test]
fn order_puts_undefined_last_and_pages() {
    let graph = office();
    let by =
        |tail: &str| answer(&graph, &format!("FIND (User|UserGroup) AS u ORDER BY u.logins{tail}"));
    assert_eq!(by(""), json!(["alice", "bob", "sre"]));
    assert_eq!(by(" DESC"), json!(["bob", "alice", "sre"]));
    assert_eq!(by(" DESC SKIP 1 LIMIT 1"), json!(["alice"]));
}

#[test]
fn strict_refuses_what_j1ql_has_not() {
    let strict = QueryOptions { strict: true, ..options() };
    for text in [
        "FIND User THAT HAS{1,3} Group",
        "FIND User IN SCOPE 'okta'",
        "FIND User THAT NEAREST OWNS{1,2} Person",
        "FIND User (THAT HAS Group){1,2}",
        "FIND User THAT !(THAT HAS Group)",
        "FIND SHORTEST User THAT HAS{1,2} Group",
        "FIND User AS u THAT MATCHES Person AS p ON u.email = p.email",
    ] {
        let fault = Query::parse(&SourceText::whole("query", text), &strict).expect_err(text);
        assert_eq!(fault.code, "Q0110", "{text}");
        parsed(text, &options());
    }
}

#[test]
fn a_query_that_costs_too_much_is_stopped_without_an_answer() {
    let graph = office();
    let query = parsed("FIND * AS a THAT RELATES TO * AS b RETURN a._key, b._key", &options());
    let stop = |limits| query.run(&graph, limits).expect_err("too much");
    assert!(matches!(
        stop(QuestionLimits { rows: 2, ..QuestionLimits::default() }),
        QuestionError::Limit(_)
    ));
    assert!(matches!(
        stop(QuestionLimits { steps: 3, ..QuestionLimits::default() }),
        QuestionError::Limit(_)
    ));
}

/// A graph of a few entities with long texts and lists, and a knot where each knows each.
fn heavy() -> Graph {
    let mut graph = Graph::default();
    let (long, list) = ("x".repeat(100_000), (0..2_000).collect::<Vec<_>>());
    for i in 0..20 {
        graph.entity(
            "s",
            &format!("t{i}"),
            "text",
            &["Text"],
            json!({ "s": long, "l": list, "n": i }),
        );
    }
    let knot: Vec<u32> = (0..40)
        .map(|i| graph.entity("s", &format!("k{i}"), "knot", &["Knot"], json!({})))
        .collect();
    for &a in &knot {
        knot.iter().filter(|b| a != **b).for_each(|&b| graph.link("s", a, "KNOWS", b, json!({})));
    }
    graph
}

#[test]
fn what_a_query_holds_is_refused_before_it_is_there_and_given_back() {
    let graph = heavy();
    let texts = |n: usize| vec!["t.s"; n].join(", ");
    let columns: Vec<String> = (0..30).map(|i| format!("t.s AS c{i}")).collect();
    for (query, exceeded) in [
        (format!("FIND Text AS t RETURN concat({}) AS c", texts(20)), "value"),
        (format!("FIND Text AS t RETURN merge({}) AS m", ["t.s"; 3].join(", ")), "nothing"),
        (format!("FIND Text AS t RETURN count(concat({})) AS n", texts(20)), "value"),
        (format!("FIND Text AS t RETURN {}", columns.join(", ")), "memory"),
        (format!("FIND UNIQUE Text AS t RETURN concat({}, t.n) AS c", texts(9)), "memory"),
        (format!("FIND Text AS t RETURN concat({}, t.n) AS c, count(t) AS n", texts(9)), "memory"),
        (format!("FIND Text AS t RETURN t._key AS k, max(concat({}, t.n)) AS n", texts(9)), "memory"),
        (format!("FIND Text AS t RETURN t._key AS k ORDER BY concat({}) DESC", texts(9)), "memory"),
        (format!("FIND Text AS t ORDER BY t.s, {}", texts(9)), "memory"),
        ("FIND Text AS t RETURN unwind(t.l) AS a, unwind(t.l) AS b".into(), "rows"),
        ("FIND Text AS t RETURN unwind(t.l) AS a, unwind(t.l) AS b, unwind(t.l) AS c, unwind(t.l) AS d".into(), "rows"),
        ("FIND UNIQUE Text AS t RETURN t.n, unwind(t.l) AS a".into(), "memory"),
        ("FIND Knot AS a THAT KNOWS Knot AS b THAT KNOWS Knot AS c RETURN a._key, b._key, c._key".into(), "memory"),
        ("FIND Knot AS a (THAT KNOWS Knot AS b)? (THAT KNOWS Knot AS c)? RETURN a._key, b._key".into(), "memory"),
        ("FIND SHORTEST ALL Knot AS a THAT KNOWS{1,4} Knot THAT KNOWS Knot AS b RETURN a._key".into(), "memory"),
        ("FIND Knot AS a THAT MATCHES Knot AS b ON a._type = b._type THAT KNOWS Knot AS c RETURN a.*, b.*, c.*".into(), "memory"),
        ("FIND Text AS t RETURN t.n ORDER BY t.n LIMIT 2".into(), "nothing"),
        (format!("FIND Text AS t RETURN concat({}, t.n) AS c ORDER BY c LIMIT 2", texts(5)), "nothing"),
        (format!("FIND Text AS t RETURN t._class, min(concat({}, t.n)) AS n", texts(5)), "nothing"),
    ] {
        let limits = QuestionLimits { value: 1 << 20, memory: 4 << 20, rows: 100_000, ..QuestionLimits::default() };
        let meter = CostMeter::new(limits);
        let found = match parsed(&query, &options()).run_metered(&graph, &meter) {
            Ok(_) => "nothing",
            Err(QuestionError::Limit(LimitError::Value(_))) => "value",
            Err(QuestionError::Limit(LimitError::Memory(_))) => "memory",
            Err(QuestionError::Limit(LimitError::Rows(_))) => "rows",
            Err(other) => panic!("{query:.80}: {other:?}"),
        };
        assert_eq!(found, exceeded, "{query:.120}");
        assert!(meter.held() <= 4 << 20, "{query:.80}");
        // With more room the same query has its answer.
        if exceeded == "memory" {
            assert!(parsed(&query, &options()).run(&graph, QuestionLimits::default()).is_ok(), "{query:.80}");
        }
    }
}

#[test]
fn what_a_walk_remembers_is_given_back_when_it_ends() {
    let graph = heavy();
    let meter = CostMeter::new(QuestionLimits::default());
    for query in [
        "FIND Knot THAT KNOWS{1,5} Knot THAT KNOWS{1,5} Knot RETURN count(*) AS n",
        "FIND Knot WITH _key = 'k1' THAT !(THAT KNOWS{1,3} Text) RETURN count(*) AS n",
        "FIND Text AS t RETURN t._class, count(t) AS n",
        "FIND Text AS t WHERE t.l = t.l RETURN count(*) AS n",
    ] {
        let before = meter.held();
        parsed(query, &options())
            .run_metered(&graph, &meter)
            .unwrap_or_else(|e| panic!("{query}: {e:?}"));
        assert!(meter.held() - before < 200_000, "{query} keeps {}", meter.held() - before);
    }
}

#[test]
fn patterns_are_weighed_before_they_are_compiled() {
    for (patterns, fine) in [
        (vec![r"/^prod-\d+\.example\.com$/"; 500], true),
        (vec![r"/\w+@\w+\.com/i"; 2_000], true),
        (vec![r"/\w{60}/"], true),
        (vec![r"/\w{60}/"; 2_000], true),
        (vec![r"/\w{60}/", r"/\w{61}/", r"/\w{62}/", r"/\w{63}/"], false),
        (vec![r"/((a{99}){99}){99}/"], false),
        (vec![r"/(((((((((a{999}){999}){999}){999}){999}){999}){999}){999}){999})/"], false),
        (vec![r"/[\w--\d]{900}/"], false),
    ] {
        let text = format!("FIND User WITH email = ({})", patterns.join(" OR "));
        match Query::parse(&SourceText::whole("query", text.as_str()), &options()) {
            Ok(_) => assert!(fine, "{text:.80}"),
            Err(fault) => {
                assert!(!fine, "{text:.80}: {}", fault.message);
                assert!(["Q0109", "Q0111"].contains(&fault.code), "{}", fault.message);
            }
        }
    }
    let late = QueryOptions { until: Some(std::time::Instant::now()), ..options() };
    let fault = Query::parse(&SourceText::whole("query", "FIND User WITH a = /b/"), &late);
    assert_eq!(fault.expect_err("it is over").code, "Q0111");
}

#[test]
fn a_long_answer_is_written_as_it_is_made() {
    let graph = heavy();
    for text in
        ["FIND Text", "FIND Text AS t RETURN t.n, t", "FIND Knot THAT KNOWS Knot RETURN TREE"]
    {
        let answer = ask(&graph, text);
        let whole = answer.json(&graph).unwrap_or_else(|e| match e {});
        let json = AnswerJson::new(&answer, &graph);
        assert_eq!(serde_json::to_value(&json).expect("JSON"), whole, "{text}");
        let mut parts = 0;
        json.each(|_| -> Result<(), std::convert::Infallible> {
            parts += 1;
            Ok(())
        })
        .unwrap_or_else(|e| match e {});
        let expected = match &whole {
            Json::Array(rows) => rows.len(),
            tree => [&tree["vertices"], &tree["edges"]]
                .iter()
                .filter_map(|l| l.as_array())
                .map(Vec::len)
                .sum(),
        };
        assert_eq!(parts, expected, "{text}");
    }
}

#[test]
fn a_path_without_end_is_stopped_before_the_stack_ends() {
    let mut graph = Graph::default();
    let n: Vec<u32> =
        (0..2000).map(|i| graph.entity("s", &format!("n{i}"), "g", &["G"], json!({}))).collect();
    n.windows(2).for_each(|pair| graph.link("s", pair[0], "NEXT", pair[1], json!({})));
    let far = parsed(
        "FIND g WITH _key = 'n0' ((THAT NEXT >> g){100}){19} AS x RETURN x._key",
        &options(),
    );
    assert!(matches!(far.run(&graph, QuestionLimits::default()), Err(QuestionError::Limit(_))));
    let empty = parsed("FIND g WITH _key = 'n0' (((THAT !PREV g){100}){100}){100}", &options());
    assert!(matches!(empty.run(&graph, QuestionLimits::default()), Err(QuestionError::Limit(_))));
}

#[test]
fn a_limit_stops_the_walk_early() {
    let mut graph = Graph::default();
    for i in 0..1000 {
        graph.entity("s", &format!("n{i}"), "g", &["G"], json!({}));
    }
    let (found, profile) = parsed("FIND g LIMIT 3", &options())
        .run(&graph, QuestionLimits::default())
        .expect("memory");
    assert_eq!((found.len(), profile.tested), (3, 3));
}

#[test]
fn a_limit_stops_every_step_of_the_walk_early() {
    let mut graph = Graph::default();
    for i in 0..300 {
        let from = graph.entity("s", &format!("g{i}"), "g", &["G"], json!({}));
        for j in 0..10 {
            let to = graph.entity("s", &format!("h{i}-{j}"), "h", &["H"], json!({}));
            graph.link("s", from, "NEXT", to, json!({}));
        }
    }
    let cost = |text: &str| {
        let (found, profile) = parsed(text, &options())
            .run(&graph, QuestionLimits::default())
            .expect("memory can be read");
        (found.len(), profile.candidates, profile.tested, profile.edges)
    };
    // One row: one start, its ten edges, one target.
    assert_eq!(cost("FIND g AS a THAT NEXT >> h AS b RETURN b._key LIMIT 1"), (1, 1, 2, 11));
    assert_eq!(cost("FIND g AS a THAT NEXT >> h AS b RETURN b._key LIMIT 12"), (12, 2, 14, 22));
    // A list asks for one match of each start, a negated step for none.
    assert_eq!(cost("FIND g THAT NEXT >> h LIMIT 2"), (2, 2, 4, 22));
    assert_eq!(cost("FIND g THAT !NEXT >> h"), (0, 300, 600, 3300));
    // Without a limit all is walked, in whatever pieces.
    assert_eq!(cost("FIND g AS a THAT NEXT >> h AS b RETURN b._key"), (3000, 300, 3300, 3300));
}

#[test]
fn matching_begins_in_the_middle_where_that_is_named_by_its_key() {
    let graph = office();
    let query =
        parsed("FIND UserGroup THAT HAS User WITH _key = 'alice' THAT OWNS Device", &options());
    let (found, profile) = query.run(&graph, QuestionLimits::default()).expect("memory");
    assert_eq!(found, QueryAnswer::List(vec![2]));
    let way: Vec<(&str, u64)> =
        profile.entities.iter().map(|entity| (entity.selector.as_str(), entity.met)).collect();
    assert_eq!(way, [("User WITH ...", 1), ("UserGroup", 1), ("Device", 2)]);
    assert_eq!((profile.forward, profile.access.as_str()), (false, "by _key"));
}

#[test]
fn what_where_says_of_one_entity_is_a_way_to_it() {
    let graph = office();
    let text = "FIND UserGroup THAT HAS User AS u THAT OWNS AS r Device \
         WHERE u._key = 'alice' AND r.since > 2020 RETURN Device._key AS d";
    check(&graph, text, json!([{ "d": "laptop-2" }]));
    let query = parsed(text, &options());
    let (_, profile) = query.run(&graph, QuestionLimits::default()).expect("memory");
    // The relationship is tested before anything is made of it.
    assert_eq!((profile.access.as_str(), profile.entities[2].met), ("by _key", 1));
    let planned = query.plan(&graph).expect("memory");
    assert_eq!((planned.access.as_str(), planned.edges), ("by _key", 0));
}

#[test]
fn counts_of_whole_kinds_are_read_not_counted() {
    let graph = office();
    let (found, profile) = parsed("FIND * AS e RETURN e._type AS t, count(e) AS n", &options())
        .run(&graph, QuestionLimits::default())
        .expect("memory");
    assert_eq!((found.len(), profile.tested, profile.access.as_str()), (4, 0, "stored counts"));
    let count = |text: &str, n: i64| check(&graph, text, json!([{ "n": n }]));
    count("FIND User RETURN count(User) AS n", 2);
    count("FIND (okta_user|laptop) AS e RETURN count(e) AS n", 4);
    count("FIND (Device|Host) AS e RETURN count(*) AS n", 2);
    count("FIND * IN SCOPE 'jamf' AS e RETURN count(e) AS n", 2);
    count("FIND Nothing RETURN count(Nothing) AS n", 0);
    count("FIND User WITH active = true RETURN count(User) AS n", 1);
    check(&graph, "FIND Nothing AS e RETURN e._type, count(e)", json!([]));
}

#[test]
fn verbs_of_a_list_have_their_own_ways() {
    let graph = office();
    let steps = |verbs: &str| {
        format!("FIND * WITH _key = 'alice' THAT {verbs} * AS a RETURN a._key AS k ORDER BY k")
    };
    let keys = |verbs: &str, keys: &[&str]| {
        let rows: Vec<Json> = keys.iter().map(|key| json!({ "k": key })).collect();
        check(&graph, &steps(verbs), json!(rows));
    };
    keys("(OWNS >> | HAS <<)", &["laptop-1", "laptop-2", "sre"]);
    keys("(OWNS << | HAS <<)", &["sre"]);
    keys("(!HAS | * >>)", &["laptop-1", "laptop-2"]);
    keys("(OWNS | HAS) >>", &["laptop-1", "laptop-2"]);
    keys("(HAS << | RELATES TO >>)", &["laptop-1", "laptop-2", "sre"]);
    let options = QueryOptions {
        smart_verbs: BTreeMap::from([("Reach".to_owned(), "HAS << | * >>".to_owned())]),
        ..options()
    };
    let found = parsed(&steps("#Reach{1,2}"), &options).run(&graph, QuestionLimits::default());
    assert_eq!(found.expect("memory").0.len(), 4, "both laptops, the group, and its role");
    assert!(fault("FIND User THAT #Reach Device").starts_with("Q0213"));
}

#[test]
fn the_last_of_several_relationships_may_have_to_be_a_certain_one() {
    let mut graph = office();
    let lead = graph.entity("hr", "lead", "person", &["Person"], json!({}));
    // Alice holds the laptop, the group holds alice, the lead owns the group and manages nobody.
    graph.link("hr", lead, "OWNS", 2, json!({}));
    let owners = |by: &str| {
        answer(
            &graph,
            &format!(
                "FIND laptop WITH _key = 'laptop-1' \
                 THAT NEAREST (HAS|OWNS){{1,5}}{by} << (Person|UserGroup) AS o \
                 RETURN o._key AS o"
            ),
        )
    };
    assert_eq!(owners(""), json!([{ "o": "sre" }]));
    assert_eq!(owners(" BY OWNS"), json!([{ "o": "lead" }]));
    check(
        &graph,
        "FIND laptop WITH _key = 'laptop-1' THAT (HAS|OWNS){1,5} BY OWNS << AS r * AS o \
         RETURN o._key AS o, DEPTH(r) AS n ORDER BY n",
        json!([{ "o": "alice", "n": 1 }, { "o": "lead", "n": 3 }]),
    );
    // The end is easier to find, but BY names the last relationship as written.
    check(
        &graph,
        "FIND UserGroup AS g THAT (HAS|OWNS){1,3} BY OWNS >> laptop WITH _key = 'laptop-1' \
         RETURN g._key AS g",
        json!([{ "g": "sre" }]),
    );
    check(
        &graph,
        "FIND UserGroup AS g THAT (HAS|OWNS){1,3} BY HAS >> laptop WITH _key = 'laptop-1' \
         RETURN g._key AS g",
        json!([]),
    );
}

#[test]
fn a_join_meets_classes_in_any_spelling() {
    let mut graph = office();
    graph.entity("hr", "rule", "rule", &["Rule"], json!({ "kind": "user_group" }));
    for on in ["r.kind = g._class", "g._class = r.kind"] {
        let expected = if on.starts_with('g') { json!([{ "g": "sre" }]) } else { json!([]) };
        check(
            &graph,
            &format!("FIND Rule AS r THAT MATCHES UserGroup AS g ON {on} RETURN g._key AS g"),
            expected,
        );
    }
}

#[test]
fn spellings_that_people_try_are_read_or_explained() {
    let graph = office();
    let alice = json!(["alice"]);
    for text in [
        "find User with NOT active != true;;",
        "FIND User WITH _key IN ['alice', 'nobody']",
        "FIND User WITH _key NOT IN ('bob') ;",
        "FIND\u{a0}User\u{feff} WITH _key = 'alice'",
        "FIND User WITH createdOn < date.now() - 1 hour",
        "/* who */ FIND /* all */ User /**/ WITH _key = 'alice' /* end */",
        "FIND User WITH limit = undefined AND order = undefined AND _key = 'alice'",
    ] {
        check(&graph, text, alice.clone());
    }
    for (text, help) in [
        ("FIND User|Person", "`(User|Person)`"),
        ("FIND User WITH a = 'x' OR 'y'", "stand in brackets"),
        ("FIND User WITH a <> 1", "write `!=`"),
        ("FIND User WITH a IS NULL", "`= undefined` is absent"),
        ("FIND User UNION FIND Device", "ask two queries"),
        ("FIND User RETURN User.a GROUP BY User.a", "are the group"),
    ] {
        let fault = Query::parse(&SourceText::whole("query", text), &options()).expect_err(text);
        assert!(fault.plain().contains(help), "{text}: {}", fault.plain());
    }
}

#[test]
fn matching_begins_at_the_end_that_is_named_by_its_key() {
    let graph = office();
    let query = parsed("FIND User THAT OWNS Device WITH _key = 'laptop-2'", &options());
    let (found, profile) = query.run(&graph, QuestionLimits::default()).expect("memory");
    assert_eq!(found, QueryAnswer::List(vec![0]));
    assert_eq!(
        (profile.forward, profile.candidates, profile.access.as_str()),
        (false, 1, "by _key")
    );
}

#[test]
fn words_of_the_language_are_names_where_they_can_only_be_names() {
    let graph = office();
    for text in [
        "FIND User THAT LIMITS Device",
        "FIND User AS value RETURN value.active AS count",
        "FIND Unique",
        "FIND UNIQUE User RETURN User.x",
        "FIND User WITH date = 3",
        "FIND User THAT ALLOWS AS allows * AS any",
        "FIND User WITH tag.Production = true (THAT OWNS Device)?",
        "FIND User /* a comment */ LIMIT 2",
    ] {
        ask(&graph, text);
    }
}

/// The exact words of the faults that people make most.
#[test]
fn faults_say_what_was_expected() {
    let mut all = String::new();
    for text in [
        "FIND User THATS OWNS Device",
        "FIND Device AS dev WITH name ~= 'TEST'",
        "FIND User THAT >> HAS Device",
        "FIND User AS u THAT IS? Person AS p",
        "FIND User RETURN u.name",
        "FIND User AS usr RETURN urs.name",
        "FIND User WHERE active = true",
        "FIND User AS a THAT HAS User AS a",
        "FIND User THAT HAS User RETURN User.name",
        "FIND User WITH n => 3",
        "FIND User WITH n == 3",
        "FIND User WITH name = “Alice”",
        "FIND User WITH name = 'Alice",
        "FIND User WITH name = /ali",
        "FIND User WITH name = /a(?=b)/",
        "FIND User WITH name = /a/g",
        "FIND User WITH name LIKE 'a%'",
        "FIND User WITH a = 1 AS u AND b = 2",
        "FIND User WITH a = 1 WITH b = 2",
        "FIND User OWNS Device",
        "FIND User THAT OWNS Device THAT open = true",
        "FIND User WITH createdOn > date.now - 3 fortnights",
        "FIND User WITH createdOn > date(yesterday)",
        "FIND User RETURN lenght(User.name)",
        "FIND User RETURN count(User) HAVING m > 3",
        "FIND User AS u RETURN count(u) ORDER BY u.name",
        "FIND User THAT HAS{3,1} Group",
        "FIND User THAT HAS{1,} Group",
        "FIND User (THAT HAS Group)",
        "FIND User LIMIT many",
        "FIND",
        "",
    ] {
        all.push_str(&format!("## {text}\n"));
        match Query::parse(&SourceText::whole("query", text), &options()) {
            Ok(_) => panic!("`{text}` can be read"),
            Err(fault) => all.push_str(&fault.plain()),
        }
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}

#[test]
fn no_nesting_exhausts_the_stack() {
    for open in ["(", "!(", "a = (", "-"] {
        let text = format!("FIND User WITH {}", open.repeat(20_000));
        assert!(fault(&text).starts_with("Q01"), "{open}");
    }
    let text = format!("FIND User RETURN {}1", "-(".repeat(20_000));
    assert!(fault(&text).starts_with("Q01"));
    let text = format!("FIND User {}", "(THAT HAS User ".repeat(4_000));
    assert!(fault(&text).starts_with("Q01"));
    for chain in ["1 + ", "2 * "] {
        let text = format!("FIND User RETURN {}1", chain.repeat(15_000));
        assert!(fault(&text).starts_with("Q0107"));
    }
    let text = format!("FIND User {}", "THAT A B ".repeat(7_000));
    assert!(fault(&text).starts_with("Q0107"));
    let long = format!("FIND User {}", "THAT HAS User ".repeat(200));
    check(&office(), &long, json!([]));
    let deep = format!("FIND User WITH {}a = 1{}", "(".repeat(49), ")".repeat(49));
    check(&office(), &deep, json!([]));
}

#[test]
fn a_formatted_query_is_the_same_query() {
    for (text, formatted) in [
        ("find   User", "FIND User"),
        (
            "find unique (A|b) as x that has TO >> as r * return x.a as 'the A', Count( x ) limit 3",
            "FIND UNIQUE (A|b) AS x THAT HAS >> AS r * RETURN x.a AS 'the A', count(x) LIMIT 3",
        ),
        (
            "FIND #Active User WITH a=(1 or 'it\\'s') and (b=true or c!~=/x\\/y/i) and not d=undefined",
            "FIND #Active User WITH a = (1 OR 'it\\'s') AND (b = true OR c !~= /x\\/y/i) AND !(d = undefined)",
        ),
        (
            "FIND A WITH [tag.a-b]>date.now-7days AND x < date( 2024-05-01 )+1 day (that (X|Y<<) B)? as z",
            "FIND A WITH [tag.a-b] > date.now - 7 days AND x < date(2024-05-01) + 1 day\n  (THAT (X|Y <<) B)? AS z",
        ),
        (
            "FIND A RETURN (A.x+1)*2^-A.y AS v ORDER BY v desc, A.z SKIP 2",
            "FIND A RETURN (A.x + 1) * 2 ^ -A.y AS v ORDER BY v DESC, A.z SKIP 2",
        ),
    ] {
        let print = |text: &str| {
            Query::formatted(&SourceText::whole("query", text), &options())
                .unwrap_or_else(|fault| panic!("{}", fault.plain()))
        };
        assert_eq!(print(text), formatted);
        assert_eq!(print(formatted), formatted, "printed again");
    }
}

#[test]
fn a_condition_ends_where_an_alias_a_step_or_a_group_begins() {
    let graph = office();
    let pairs = json!([{ "u": "alice", "d": "laptop-1" }, { "u": "alice", "d": "laptop-2" }]);
    for text in [
        "FIND User WITH active = true AS u THAT OWNS Device AS d RETURN u._key AS u, d._key AS d",
        "FIND User WITH active=true AS u (THAT OWNS Device AS d)? RETURN u._key AS u, d._key AS d",
        "FIND User WITH (active = true) AS u THAT OWNS (Device|Host) AS d RETURN u._key AS u, d._key AS d",
    ] {
        check(&graph, text, pairs.clone());
    }
    check(&graph, "FIND User WITH active = true THAT OWNS Device", json!(["alice"]));
    assert!(fault("FIND User WHERE active = true").starts_with("Q0203"));
    assert!(fault("FIND User AS u WITH active = true").starts_with("Q0105"));
}

/// One entity for each value of `x`, called `e0`, `e1` ...
fn values(all: &[Json]) -> Graph {
    let mut graph = Graph::default();
    for (at, value) in all.iter().enumerate() {
        graph.entity("s", &format!("e{at}"), "thing", &["Thing"], json!({ "x": value }));
    }
    graph
}

#[test]
fn verbs_and_classes_match_in_any_spelling() {
    let mut graph = Graph::default();
    let db = graph.entity("s", "db", "database", &["DataBase"], json!({}));
    for (key, verb, class) in
        [("a", "USES", "APP"), ("b", "uses", "app"), ("c", "Uses", "App"), ("d", "U_SES", "App")]
    {
        let app = graph.entity("s", key, "app", &[class], json!({}));
        graph.link("s", app, verb, db, json!({}));
    }
    let bob = graph.entity("s", "bob", "person", &["User"], json!({}));
    let group = graph.entity("s", "g", "group", &["User_Group"], json!({}));
    graph.link("s", bob, "Member-Of", group, json!({ "since": 1 }));
    let all = json!(["a", "b", "c", "d"]);
    for text in [
        "FIND App THAT USES Database",
        "FIND APP THAT uses DATABASE",
        "FIND App THAT u_ses >> Data_base",
        "FIND * WITH _class = 'app'",
        "FIND * WITH _class = ('APP' OR 'nothing')",
        "FIND App THAT USES AS r * WHERE r._class = 'uSeS'",
        "FIND App THAT (OWNS|Uses) * WHERE _key = 'db'",
    ] {
        let text = text.replace("* WHERE _key", "* WITH _key");
        for indexed in [false, true] {
            graph.indexed = indexed;
            check(&graph, &text, all.clone());
        }
    }
    for text in ["MemberOf", "MEMBER_OF", "memberof", "Member_Of"] {
        check(&graph, &format!("FIND User THAT {text} UserGroup"), json!(["bob"]));
    }
    check(&graph, "FIND User THAT Member_Of UserGroup WHERE memberOf.since = 1", json!(["bob"]));
    check(&graph, "FIND User THAT !MEMBEROF UserGroup", json!([]));
    check(&graph, "FIND App THAT (!Uses|* >>) *", json!([]));
    // Types are compared letter by letter.
    check(&graph, "FIND Person", json!([]));
    check(&graph, "FIND * WITH _type = 'APP'", json!([]));
    let counted = "FIND App AS a RETURN count(a) AS n";
    check(&graph, counted, json!([{ "n": 4 }]));
}

#[test]
fn versions_compare_as_versions_and_other_texts_by_code_points() {
    let graph = values(&[
        json!("2.14.1"),
        json!("2.17.0"),
        json!("2.9.1"),
        json!(["1.0", "2.17.0"]),
        json!("latest"),
        json!(2),
    ]);
    check(&graph, "FIND Thing WITH x < '2.17.0'", json!(["e0", "e2", "e3", "e5"]));
    check(&graph, "FIND Thing WITH x >= '2.17'", json!(["e1", "e3", "e4"]));
    check(&graph, "FIND Thing WITH x > 'a' AND x < 'm'", json!(["e4"]));
    check(&graph, "FIND Thing WITH x = '2.17'", json!([]));
    let keys = |text: &str| answer(&graph, text);
    assert_eq!(
        keys("FIND Thing WITH _key != 'e3' AS t ORDER BY t.x"),
        json!(["e5", "e2", "e0", "e1", "e4"])
    );
    check(
        &graph,
        "FIND Thing WITH _key != 'e3' AS t RETURN min(t.x) AS a, max(t.x) AS b",
        json!([{ "a": 2, "b": "latest" }]),
    );
}

#[test]
fn numbers_compare_exactly_and_with_their_own_spelling() {
    let graph = values(&[
        json!(9_007_199_254_740_992.0),
        json!(9_007_199_254_740_993i64),
        json!("1.10"),
        json!(1.1),
        json!("443"),
        json!(8080),
    ]);
    check(&graph, "FIND Thing WITH x = 9007199254740993", json!(["e1"]));
    check(&graph, "FIND Thing WITH x = 9007199254740992", json!(["e0"]));
    check(&graph, "FIND Thing WITH x > 9007199254740992", json!(["e1"]));
    check(&graph, "FIND Thing WITH x = '1.10'", json!(["e2"]));
    check(&graph, "FIND Thing WITH x = 1.10", json!(["e2", "e3"]));
    check(&graph, "FIND Thing WITH x = 1.1", json!(["e3"]));
    check(&graph, "FIND Thing WITH x = '1.1'", json!(["e3"]));
    check(&graph, "FIND Thing WITH x < 1024 AND x > 100", json!(["e4"]));
    check(&graph, "FIND Thing WITH x = (443 OR '8080')", json!(["e4", "e5"]));
    check(
        &graph,
        "FIND Thing WITH x = (FIND Thing WITH _key = 'e4' RETURN Thing.x)",
        json!(["e4"]),
    );
    let mixed = values(&[json!(5), json!("7"), json!(1)]);
    check(
        &mixed,
        "FIND Thing AS t RETURN max(t.x) AS most, min(t.x) AS least, count(t.x) AS n",
        json!([{ "most": "7", "least": 1, "n": 3 }]),
    );
    let large = values(&[json!(i64::MAX - 1), json!(1)]);
    check(&large, "FIND Thing AS t RETURN sum(t.x) AS s", json!([{ "s": i64::MAX }]));
}

#[test]
fn dates_compare_with_texts_seconds_and_milliseconds() {
    let graph = values(&[
        json!("2020-02-03T00:00:00+00:00"),
        json!("2020-02-03"),
        json!(1_580_688_000),
        json!(1_580_688_000_000i64),
        json!("2022-01-01T00:00:00.5Z"),
        json!("never"),
        json!(null),
    ]);
    let early = json!(["e0", "e1", "e2", "e3"]);
    check(&graph, "FIND Thing WITH x < date('2021-01-01')", early.clone());
    check(&graph, "FIND Thing WITH date(2021-01-01) > x", early.clone());
    check(&graph, "FIND Thing WITH x = date(2020-02-03)", early.clone());
    check(&graph, "FIND Thing AS t WHERE t.x <= date(2020-02-03T01:00:00+01:00)", early);
    check(&graph, "FIND Thing WITH x > date.now - 3 years AND x < date.now", json!(["e4"]));
    check(&graph, "FIND Thing WITH x != date(2020-02-03)", json!(["e4", "e5", "e6"]));
    check(&graph, "FIND Thing WITH x >= date(2022-01-01T00:00:00.5Z)", json!(["e4"]));
    check(
        &graph,
        "FIND Thing AS t RETURN t._key AS k, t.x AS x HAVING x > date(2021-01-01)",
        json!([{ "k": "e4", "x": "2022-01-01T00:00:00.5Z" }]),
    );
}

#[test]
fn critical_assets_are_those_of_the_definition_and_those_that_are_tagged() {
    let mut graph = Graph::default();
    let production = json!({ "tag.Production": "true", "classification": "critical" });
    graph.entity("s", "host", "host", &["Host"], production.clone());
    graph.entity("s", "user", "user", &["User"], production);
    graph.entity("s", "listed", "user", &["User"], json!({ "tags": ["a", "CriticalAsset"] }));
    graph.entity("s", "tagged", "disk", &["Disk"], json!({ "tag.CriticalAsset": true }));
    check(&graph, "FIND #CriticalAsset", json!(["host", "listed", "tagged"]));
    check(&graph, "FIND #CriticalAsset User", json!(["listed"]));
}

#[test]
fn all_properties_are_columns_of_their_own() {
    let mut graph = Graph::default();
    graph.entity("s", "a", "t", &["T"], json!({ "one": 1, "both": "x" }));
    graph.entity("s", "b", "t", &["T"], json!({ "both": "y" }));
    let QueryAnswer::Table { columns, rows } =
        ask(&graph, "FIND T RETURN T.both, T.*, T._key AS k ORDER BY k")
    else {
        panic!("not a table")
    };
    assert_eq!(columns[..2], ["T.both", "T._id"]);
    assert_eq!(columns.last().map(String::as_str), Some("k"));
    assert_eq!(columns.iter().filter(|name| *name == "T.both").count(), 1);
    let one = columns.iter().position(|name| name == "T.one").expect("a column");
    assert_eq!(rows[0].len(), columns.len());
    assert!(rows[0][one] != tombolo::query::CellValue::Undefined);
    assert_eq!(rows[1][one], tombolo::query::CellValue::Undefined);
}

#[test]
fn two_columns_may_have_one_name() {
    let graph = office();
    let text =
        "FIND User WITH _key = 'bob' RETURN User._key AS x, User.logins AS x, User._type AS x";
    check(&graph, text, json!([{ "x": "bob", "x (2)": 10, "x (3)": "okta_user" }]));
    let codes: Vec<_> = parsed(text, &options()).lints.iter().map(|lint| lint.code).collect();
    assert_eq!(codes, ["QW04", "QW04"]);
}

#[test]
fn having_asks_what_return_computes_or_does_not_show() {
    let graph = office();
    let by_user = "FIND User AS u THAT RELATES TO * AS any RETURN u._key AS who, count(any) AS n";
    let alice = json!([{ "who": "alice", "n": 3 }]);
    check(&graph, &format!("{by_user} HAVING n > 1"), alice.clone());
    check(&graph, &format!("{by_user} HAVING count(any) > 1"), alice.clone());
    check(&graph, &format!("{by_user} HAVING COUNT( any ) > 1 AND max(u.logins) < 5"), alice);
    check(&graph, "FIND User AS u RETURN u._key HAVING u.logins > 5", json!([{ "u._key": "bob" }]));
    assert!(fault(&format!("{by_user} HAVING u.logins > 1")).starts_with("Q0206 rows are grouped"));
    check(&graph, "FIND User AS u RETURN u.logins ^ 2 ^ 0.5 AS p ORDER BY p LIMIT 1", {
        json!([{ "p": 3f64.powf(2f64.powf(0.5)) }])
    });
}

#[test]
fn placeholders_with_an_at_sign_ask_for_the_same_value() {
    let graph = office();
    check(&graph, "FIND User WITH _key = {{@who}}", json!(["alice"]));
    check(&graph, "FIND User WITH email = '{{@who}}@x.example'", json!(["alice"]));
    let query = parsed("FIND User WITH _key = {{@who}}", &options());
    assert!(query.unasked([&"who".to_owned()]).is_none());
    let (name, near) = (&"whoo".to_owned(), Some("who"));
    assert_eq!(query.unasked([name]), Some((name.as_str(), near)));
}

#[test]
fn other_languages_get_advice_in_this_one() {
    for (text, message, help) in [
        (
            "MATCH (u:User)-[:OWNS]->(d:Device) RETURN u",
            "Cypher",
            "FIND User AS u THAT OWNS >> Device",
        ),
        ("SELECT email FROM User", "SQL", "FIND User RETURN User.email"),
        ("{ User { email } }", "GraphQL", "FIND User RETURN User.email"),
        ("query Users($a: String) { users { a } }", "GraphQL", "in J1QL"),
    ] {
        let fault = Query::parse(&SourceText::whole("query", text), &options()).expect_err(text);
        assert!(fault.message.contains(message), "{}", fault.plain());
        assert!(fault.plain().contains(help), "{}", fault.plain());
    }
}

/// What is said beside an answer.
fn notes(graph: &Graph, text: &str) -> Vec<String> {
    let query = parsed(text, &options());
    let (answer, profile) =
        query.run(graph, QuestionLimits::default()).expect("memory can be read");
    let notes = query
        .notes(graph, &answer, &profile, &QuestionLimits::default())
        .expect("memory can be read");
    notes.into_iter().map(|note| note.text).collect()
}

/// Adds to `wrong` if the first note of a query is another one.
fn said(graph: &Graph, text: &str, note: &str, wrong: &mut String) {
    let notes = notes(graph, text);
    if notes.first().map(String::as_str) != Some(note) {
        wrong.push_str(&format!("{text}\n  not {note}\n  but {notes:#?}\n"));
    }
}

#[test]
fn an_empty_answer_names_the_part_that_made_it_empty() {
    let (graph, mut wrong) = (office(), String::new());
    for (text, note) in [
        ("FIND Usr", "no class `Usr` in this database; did you mean `User`?"),
        (
            "FIND user",
            "no type `user` in this database; `User` is a class: write `User`, classes begin with a capital",
        ),
        (
            "FIND Okta_user",
            "no class `Okta_user` in this database; `okta_user` is a type: write it as it is spelled",
        ),
        ("FIND #Prod", "nothing fits `#Prod`: no `tags` hold 'Prod', no `tag.Prod` is true"),
        ("FIND User THAT OWN Device", "no verb `OWN` in this database; did you mean `OWNS`?"),
        ("FIND User IN SCOPE 'otka'", "no scope `otka` in this database; did you mean `okta`?"),
        ("FIND User WITH emial = 'x'", "no User has `emial`; `email` is on 1"),
        ("FIND User WITH emial = 'x' AS u RETURN count(u)", "no User has `emial`; `email` is on 1"),
        ("FIND User WITH _kye = 'x'", "no User has `_kye`; did you mean `_key`?"),
        (
            "FIND User WITH active = 'false'",
            "`active` is a boolean in all 2; you compare it with a text; write `false` without quotes",
        ),
        (
            "FIND User WITH displayName > 3",
            "`displayName` is a text in all 2; you compare it with a number; write it in quotes",
        ),
        (
            "FIND User WITH displayName > date.now",
            "`displayName` is a text in all 2; you compare it with a date",
        ),
        (
            "FIND User WITH logins > '2024-01-01'",
            "`logins` is a number in all 2; you compare it with a text; write `date(2024-01-01)`",
        ),
        (
            "FIND User WITH logins ~= '1'",
            "`logins` is a number in all 2; you look for a part of it as if it were a text",
        ),
        (
            "FIND User WITH active = true AND logins = 4",
            "2 User; WITH logins = 4 leaves 0; `logins` is 10 (1), 3 (1)",
        ),
        (
            "FIND User WITH displayName = 'alice'",
            "2 User; WITH displayName = 'alice' leaves 0; did you mean 'Alice'? `displayName` is 'Alice' (1), 'Bob' (1)",
        ),
        (
            "FIND User WITH logins = 3 AND active = false",
            "2 User; WITH `logins = 3` leaves 1, `active = false` leaves 1, together 0",
        ),
        (
            "FIND User THAT OWNS << Device",
            "`THAT OWNS << Device` leads nowhere from 2 User; it runs in the other direction: write `>>`",
        ),
        (
            "FIND User THAT HAS Device",
            "`THAT HAS Device` leads nowhere from 2 User; what joins them to Device is `OWNS >>` (2)",
        ),
        (
            "FIND User THAT OWNS AccessRole",
            "`THAT OWNS AccessRole` leads nowhere from 2 User; `OWNS` leads to Device (2)",
        ),
        (
            "FIND AccessRole THAT OWNS Device",
            "`THAT OWNS Device` leads nowhere from 1 AccessRole; their relationships are `ASSIGNED <<` (1)",
        ),
        (
            "FIND User THAT OWNS Device WITH serial = 'C09'",
            "2 Device; Device WITH serial = 'C09' leaves 0; did you mean 'C01'? `serial` is 'C01' (1), 'C02' (1)",
        ),
        (
            "FIND User THAT OWNS Device WITH seriall = 'C01'",
            "no Device has `seriall`; `serial` is on 2",
        ),
        (
            "FIND UserGroup THAT !HAS User",
            "`THAT !HAS User` excludes all of 1 UserGroup: each has what must not be there",
        ),
        (
            "FIND User THAT OWNS AS r Device WHERE r.since > 2030",
            "2 matches; WHERE r.since > 2030 leaves 0; `since` goes from 2020 to 2024",
        ),
        (
            "FIND User AS u THAT OWNS AS r Device WHERE r.sinec > 2030",
            "no relationship on the path has `sinec`; `since` is on 2",
        ),
        (
            "FIND User AS u THAT OWNS Device AS d RETURN u._key, count(d) AS n HAVING n > 5",
            "1 row; HAVING n > 5 leaves 0; `n` is 2",
        ),
        ("FIND User SKIP 7", "`SKIP 7` passes over all 2 rows"),
        ("FIND User LIMIT 0", "`LIMIT 0` keeps nothing"),
        (
            "FIND User AS u THAT MATCHES Device AS d ON u.mail = d.serial",
            "no User has `mail`; `email` is on 1",
        ),
        (
            "FIND User WITH _key = (FIND Device WITH serial = 'x' RETURN Device.owner)",
            "the query in brackets of `_key = (FIND Device WITH serial = 'x' RETURN Device.owner)` finds nothing",
        ),
    ] {
        said(&graph, text, note, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_says_nothing_is_told_although_there_is_an_answer() {
    let (graph, mut wrong) = (office(), String::new());
    for (text, note) in [
        (
            "FIND User WITH emial = undefined",
            "no User has `emial`; `email` is on 1; `emial = undefined` holds for all of them",
        ),
        (
            "FIND User WITH NOT emial = 'x'",
            "no User has `emial`; `email` is on 1; `NOT (emial = 'x')` holds for all of them",
        ),
        (
            "FIND User WITH active != 'false'",
            "`active` is a boolean in all 2; you compare it with a text; write `false` without quotes; `active != 'false'` holds for all of them",
        ),
        (
            "FIND User WITH active = true OR emial = 'x'",
            "no User has `emial`; `email` is on 1; `emial = 'x'` holds for none of them",
        ),
        ("FIND User RETURN User._key, User.emial", "no User has `emial`; `email` is on 1"),
        ("FIND User RETURN count(User), max(User.emial)", "no User has `emial`; `email` is on 1"),
        ("FIND User ORDER BY User.emial", "no User has `emial`; `email` is on 1"),
        ("FIND User RETURN User._key ORDER BY User.emial", "no User has `emial`; `email` is on 1"),
        ("FIND User THAT !OWN Device", "no verb `OWN` in this database; did you mean `OWNS`?"),
        ("FIND (User|Divice)", "no class `Divice` in this database; did you mean `Device`?"),
        ("FIND User THAT !(HAS|OWN) Group", "no verb `OWN` in this database; did you mean `OWNS`?"),
        (
            "FIND User THAT !OWNS Devise",
            "no class `Devise` in this database; did you mean `Device`?",
        ),
        (
            "FIND User THAT !OWNS Device WITH seriall = 'x'",
            "no Device has `seriall`; `serial` is on 2; `seriall = 'x'` is never there",
        ),
    ] {
        said(&graph, text, note, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong}");
    for text in [
        "FIND User",
        "FIND User WITH email != 'x'",
        "FIND User WITH email = undefined",
        "FIND User THAT !OWNS Device",
        "FIND User THAT !OWNS << (Person|Device)",
        "FIND (User|Person) WITH active = true RETURN TREE",
        "FIND User WITH _endOn = undefined RETURN User.email, User.*",
        "FIND Device THAT !OWNS << Person RETURN count(Device)",
    ] {
        let notes = notes(&graph, text);
        let expected = text.contains("<< Person").then(|| {
            "no class `Person` in this database; `tombolo stats` lists what there is".to_owned()
        });
        assert_eq!(notes, Vec::from_iter(expected), "{text}");
    }
}

#[test]
fn what_is_odd_is_told_and_allowed() {
    let graph = office();
    let query = parsed("FIND UNIQUE User", &options());
    assert_eq!(query.lints.iter().map(|lint| lint.code).collect::<Vec<_>>(), ["QW02"]);
    same(&graph, "FIND UNIQUE User", "FIND User");
    let query = parsed("FIND User AS u THAT !OWNS Device AS d RETURN d._key", &options());
    assert_eq!(query.lints.iter().map(|lint| lint.code).collect::<Vec<_>>(), ["QW03"]);
    // Two leads over three rows are two: counts are of what is distinct.
    check(
        &graph,
        "FIND User AS u THAT OWNS Device AS d RETURN count(u) AS users, count(d) AS devices",
        json!([{ "users": 1, "devices": 2 }]),
    );
}

/// Whether some note of each query says a thing.
#[track_caller]
fn tells(graph: &Graph, all: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (text, part) in all {
        let notes = notes(graph, text);
        if !notes.iter().any(|note| note.contains(part)) {
            wrong.push_str(&format!("{text}\n  not {part}\n  but {notes:#?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_number_of_the_query_is_to_a_text_what_is_written() {
    let graph = values(&[json!("2.14.1"), json!("2.9"), json!("2.10"), json!("2.17")]);
    for (asked, found) in [
        ("x >= 2.10", json!(["e0", "e2", "e3"])),
        ("x < 2.17", json!(["e0", "e1", "e2"])),
        ("x = 2.10", json!(["e2"])),
        ("x = 2.1", json!([])),
        ("x != 2.10", json!(["e0", "e1", "e3"])),
        ("x = (2.10 OR 2.9)", json!(["e1", "e2"])),
        ("x > 1", json!(["e0", "e1", "e2", "e3"])),
    ] {
        for indexed in [false, true] {
            let mut graph = graph.clone();
            graph.indexed = indexed;
            check(&graph, &format!("FIND Thing WITH {asked}"), found.clone());
            let where_ = format!("FIND Thing AS t WHERE {}", asked.replacen('x', "t.x", 1));
            check(&graph, &where_, found.clone());
        }
    }
    let mut notes = notes(&graph, "FIND Thing WITH x >= 2.10");
    notes.extend(self::notes(&graph, "FIND Thing WITH x < 2.17"));
    assert!(notes.is_empty(), "{notes:?}");
    check(
        &graph,
        "FIND Thing AS t RETURN t._key AS k, t.x AS x HAVING x > 2.10 ORDER BY k LIMIT 1",
        json!([{ "k": "e0", "x": "2.14.1" }]),
    );
    // To a number it is the number.
    check(&values(&[json!(2.1), json!(2.9)]), "FIND Thing WITH x = 2.10", json!(["e0"]));
    check(&values(&[json!("1000"), json!(999)]), "FIND Thing WITH x >= 1e3", json!(["e0"]));
}

#[test]
fn a_parameter_keeps_how_it_is_written() {
    let graph = values(&[json!("2.14.1"), json!("2.9"), json!("2.10"), json!(2.1), json!("v2.10")]);
    let given = |text: &str| {
        let given = tombolo::query::QueryParameter::read(text);
        let name = || "v".to_owned();
        QueryOptions {
            parameters: Some(BTreeMap::from([(name(), given.value)])),
            written: BTreeMap::from([(name(), given.written)]),
            ..options()
        }
    };
    for (text, value, found) in [
        ("FIND Thing WITH x = {{v}}", "2.10", vec![2, 3]),
        ("FIND Thing WITH x = {{@v}}", "2.10", vec![2, 3]),
        ("FIND Thing WITH x > {{v}}", "2.10", vec![0]),
        ("FIND Thing WITH x = {{v}}", "[2.10, 2.9]", vec![1, 2, 3]),
        ("FIND Thing WITH x = 'v{{v}}'", "2.10", vec![4]),
        ("FIND Thing WITH x = {{v}}", "2.1", vec![3]),
        ("FIND Thing WITH x = {{v}}", "\"2.10\"", vec![2]),
    ] {
        let answer =
            parsed(text, &given(value)).run(&graph, QuestionLimits::default()).expect("memory").0;
        assert_eq!(answer, QueryAnswer::List(found), "{text} {value}");
    }
    // A program that gives the number alone is told what it may have lost.
    let options = QueryOptions {
        parameters: Some(BTreeMap::from([("v".to_owned(), value(&json!(2.1)))])),
        ..options()
    };
    let query = parsed("FIND Thing WITH x = {{v}}", &options);
    let (answer, profile) = query.run(&graph, QuestionLimits::default()).expect("memory");
    let notes = query.notes(&graph, &answer, &profile, &QuestionLimits::default()).expect("memory");
    assert!(
        notes[0].text.starts_with("`x` holds the text '2.10', which is not equal to 2.1"),
        "{notes:?}"
    );
}

#[test]
fn what_a_comparison_cannot_compare_is_told() {
    let mixed = values(&[json!("latest"), json!(7), json!("8"), json!(true)]);
    tells(
        &mixed,
        &[
            (
                "FIND Thing WITH x > 5",
                "`x` holds texts such as 'latest' that do not compare with a number; `x > 5` does not hold for them",
            ),
            ("FIND Thing WITH NOT (x > 5)", "'latest' that do not compare with a number"),
            ("FIND Thing AS t WHERE t.x > 5", "'latest' that do not compare with a number"),
            (
                "FIND Thing WITH x > '5'",
                "holds booleans such as true that do not compare with a text",
            ),
            (
                "FIND Thing WITH x < date.now",
                "`x` holds texts such as 'latest' that do not compare with a date",
            ),
            ("FIND Thing WITH date.now > x", "'latest' that do not compare with a date"),
        ],
    );
    let versions = values(&[json!("2.14.1"), json!(2.9)]);
    tells(
        &versions,
        &[(
            "FIND Thing WITH x >= 2.10",
            "`x` holds numbers such as 2.9 beside versions such as '2.14.1'; write `x >= '2.10'` to compare all of them as versions",
        )],
    );
    check(&versions, "FIND Thing WITH x >= '2.10'", json!(["e0"]));
    let parts = values(&[json!("0.123"), json!("0.5")]);
    tells(
        &parts,
        &[(
            "FIND Thing WITH x >= 0.5",
            "`x` holds texts such as '0.123', which `x >= 0.5` compares as versions; as numbers the order is another",
        )],
    );
    for quiet in
        ["FIND Thing WITH x > 5 AND x < 9", "FIND Thing WITH x = 7", "FIND Thing WITH x != 7"]
    {
        let all = values(&[json!("8"), json!(7), json!(null)]);
        assert_eq!(notes(&all, quiet), Vec::<String>::new(), "{quiet}");
    }
}

#[test]
fn days_that_say_never_are_days() {
    let graph = values(&[
        json!("9999-12-31T23:59:59Z"),
        json!("9999-12-31"),
        json!("2020-02-03 00:00:00 +0000 UTC"),
        json!("2020-02-03T24:00:00Z"),
        json!("0001-01-01T00:00:00Z"),
    ]);
    check(&graph, "FIND Thing WITH x > date.now", json!(["e0", "e1"]));
    check(&graph, "FIND Thing WITH x >= date(9999-12-31)", json!(["e0", "e1"]));
    check(&graph, "FIND Thing WITH x = date(2020-02-03)", json!(["e2"]));
    check(&graph, "FIND Thing WITH x = date(2020-02-04)", json!(["e3"]));
    check(&graph, "FIND Thing WITH x < date(0001-01-02)", json!(["e4"]));
    check(&graph, "FIND Thing WITH x > date(9999-12-31) - 1 day", json!(["e0", "e1"]));
}

#[test]
fn whole_numbers_are_computed_exactly() {
    let graph = values(&[json!(9_007_199_254_740_993i64), json!(u64::MAX)]);
    check(
        &graph,
        "FIND Thing AS t RETURN abs(t.x) AS a, floor(t.x) AS b, ceil(t.x) AS c, round(t.x) AS d, \
         t.x / 1 AS e, t.x + 0 AS f ORDER BY a LIMIT 1",
        json!([{
            "a": 9_007_199_254_740_993i64, "b": 9_007_199_254_740_993i64,
            "c": 9_007_199_254_740_993i64, "d": 9_007_199_254_740_993i64,
            "e": 9_007_199_254_740_993i64, "f": 9_007_199_254_740_993i64,
        }]),
    );
    let half = values(&[json!(i64::MAX), json!(i64::MAX)]);
    check(
        &half,
        "FIND Thing AS t RETURN sum(t.x) AS s, avg(t.x) AS a",
        json!([{ "s": u64::MAX - 1, "a": i64::MAX }]),
    );
}

#[test]
fn sums_take_texts_that_are_numbers_and_tell_what_they_leave_out() {
    let graph = values(&[json!(5), json!("7"), json!(1)]);
    check(
        &graph,
        "FIND Thing AS t RETURN sum(t.x) AS s, avg(t.x) AS a, max(t.x) AS m, count(t.x) AS n",
        json!([{ "s": 13, "a": 4.333333333333333, "m": "7", "n": 3 }]),
    );
    check(
        &graph,
        "FIND Thing AS t RETURN t.x + 1 AS s ORDER BY s",
        json!([{"s": 2}, {"s": 6}, {"s": 8}]),
    );
    tells(
        &graph,
        &[(
            "FIND Thing AS t RETURN max(t.x)",
            "`x` holds numbers beside texts such as '7'; `max` takes any text for greater",
        )],
    );
    assert_eq!(notes(&graph, "FIND Thing AS t RETURN sum(t.x)"), Vec::<String>::new());
    let versions = values(&[json!("2.14.1"), json!("2.9.0")]);
    tells(
        &versions,
        &[
            (
                "FIND Thing AS t RETURN sum(t.x)",
                "`x` holds texts such as '2.14.1' that are no numbers; `sum` leaves them out",
            ),
            ("FIND Thing AS t RETURN avg(t.x)", "`avg` leaves them out"),
            (
                "FIND Thing AS t RETURN t.x + 1",
                "`x` holds texts such as '2.14.1' that are no numbers; nothing is computed of them",
            ),
            ("FIND Thing AS t RETURN abs(t.x), t._key", "nothing is computed of them"),
        ],
    );
}

#[test]
fn notes_on_what_is_negated_say_what_holds() {
    let graph = office();
    let negated = "no User has `emial`; `email` is on 1; `NOT (emial = 'x')` holds for all of them";
    let flag = "; `NOT (active = 'true')` holds for all of them";
    tells(
        &graph,
        &[
            ("FIND User WITH NOT emial = 'x'", negated),
            ("FIND User WITH !(emial = 'x')", negated),
            ("FIND User WITH NOT (emial = 'x' OR logins > 5)", negated),
            ("FIND User WITH !(active = 'true')", flag),
            (
                "FIND User AS u WHERE !(u.active = 'true')",
                "`NOT (u.active = 'true')` holds for all of them",
            ),
            (
                "FIND User AS u WHERE !(u.emial = 'x')",
                "`NOT (u.emial = 'x')` holds for all of them",
            ),
            (
                "FIND User THAT OWNS AS r Device WHERE !(r.sinec = 1)",
                "no relationship on the path has `sinec`; `since` is on 2; `NOT (r.sinec = 1)` holds for all of them",
            ),
            // What excludes all is told first, not what excludes none.
            (
                "FIND User WITH NOT (emial = 'x' OR logins > 1)",
                "2 User; WITH NOT (emial = 'x' OR logins > 1) leaves 0; `logins` goes from 3 to 10",
            ),
            ("FIND User WITH NOT (emial = 'x' OR logins > 1)", negated),
        ],
    );
}

#[test]
fn a_walk_by_the_rules_tells_where_it_stopped() {
    let mut graph = office();
    let other = graph.entity("s", "thing", "thing", &["Thing"], json!({}));
    let host = graph.entity("s", "host", "host", &["Gadget"], json!({}));
    graph.link("s", 3, "FROBS", other, json!({}));
    graph.link("s", other, "GRUMBLES", host, json!({}));
    let notes = notes(&graph, "FIND User WITH _key = 'alice' THAT #Impact{1,10} Gadget");
    assert!(notes[0].contains("not followed: 1 FROBS"), "{notes:?}");
    assert!(!notes[0].contains("GRUMBLES") && !notes[0].contains("OWNS"), "{notes:?}");
    let notes = self::notes(&graph, "FIND User WITH _key = 'bob' THAT #Owning >> Gadget");
    assert!(notes[0].contains("leads nowhere from 1 User; not followed: 1 HAS"), "{notes:?}");
}

#[test]
fn names_in_a_smart_class_are_looked_at_and_it_has_any_spelling() {
    let graph = office();
    let options = QueryOptions {
        smart_classes: BTreeMap::from([
            ("Prod".to_owned(), "(Hst|User) WITH tga.x = true".to_owned()),
            ("Active".to_owned(), "User WITH active = true".to_owned()),
        ]),
        smart_verbs: BTreeMap::from([("Access".to_owned(), "OWNS >> | HAS".to_owned())]),
        ..options()
    };
    let run = |text: &str| {
        let query = parsed(text, &options);
        let (answer, profile) = query.run(&graph, QuestionLimits::default()).expect("memory");
        let notes =
            query.notes(&graph, &answer, &profile, &QuestionLimits::default()).expect("memory");
        (answer.len(), notes.into_iter().map(|note| note.text).collect::<Vec<_>>().join("\n"))
    };
    for text in ["FIND #Prod", "FIND UserGroup THAT HAS #Prod", "FIND #prod"] {
        let (found, notes) = run(text);
        assert_eq!(found, 0);
        assert!(notes.contains("no class `Hst` in this database; did you mean `Host`?"), "{notes}");
        assert!(
            notes.contains("no User has `tga.x`; `tag.Production` is on 1")
                || notes.contains("has `tga.x`"),
            "{notes}"
        );
    }
    assert_eq!(run("FIND User THAT #access Device").0, 1);
    assert_eq!(run("FIND #active").0, 1);
    assert_eq!(run("FIND #ACTIVE User").0, 1);
}

#[test]
fn hints_say_how_a_comparison_is_written() {
    let mut graph = office();
    for (key, region, on, day, flag, listed) in [
        ("a", "eu-west-1", 1_600_000_000_000i64, "2020-09-13T12:00:00Z", "true", true),
        ("b", "us-east-1", 1_650_000_000_000, "2022-04-15T05:20:00Z", "false", false),
    ] {
        graph.entity(
            "s",
            key,
            "store",
            &["DataStore"],
            json!({
                "region": region, "on": on, "day": day, "flag": flag, "listed": listed,
            }),
        );
    }
    tells(
        &graph,
        &[
            ("FIND DataStore WITH day > 1600000000000", "write `date(2020-09-13T12:26:40Z)`"),
            (
                "FIND DataStore WITH on < '2019'",
                "`on` is a number: as a time it goes from 2020-09-13T12:26:40Z to 2022-04-15T05:20:00Z; write `date(2019)`",
            ),
            (
                "FIND DataStore WITH on > '2021'",
                "`on` holds numbers that are times, such as 2020-09-13T12:26:40Z; `on > '2021'` compares them with the number 2021: write `date(2021)`",
            ),
            ("FIND DataStore WITH on < 2019", "write `date(2019)`"),
            ("FIND DataStore WITH on < '2019-01-01'", "write `date(2019-01-01)`"),
            (
                "FIND DataStore WITH on < date(2019)",
                "`on` goes from 2020-09-13T12:26:40Z to 2022-04-15T05:20:00Z",
            ),
            ("FIND DataStore WITH region = 'eu-1'", "did you mean 'eu-west-1'?"),
            ("FIND DataStore WITH region = a@x.com", "no DataStore has `a@x.com`"),
            ("FIND DataStore WITH region = a@x.com", "a text stands in quotes: 'a@x.com'"),
            ("FIND DataStore WITH listed = 'False'", "write `false` without quotes"),
            (
                "FIND DataStore WITH listed IN ('true', 'false')",
                "write `true`, `false` without quotes",
            ),
            ("FIND DataStore WITH flag = true", "write 'true' in quotes"),
            (
                "FIND User THAT OWNS AS o Device RETURN o.sinec",
                "no relationship on the path has `sinec`; `since` is on 2",
            ),
            ("FIND OWNS", "`OWNS` is a verb"),
            ("FIND owns", "`OWNS` is a verb"),
            ("FIND Device THAT user >> *", "`User` is a class"),
        ],
    );
}

#[test]
fn a_name_in_brackets_may_have_any_characters() {
    let mut graph = office();
    graph.link("s", 0, "Runs on::Runs", 3, json!({ "since": 1 }));
    graph.link("s", 0, "a.b/c", 3, json!({}));
    check(&graph, "FIND User THAT [Runs on::Runs] Device", json!(["alice"]));
    check(&graph, "FIND User THAT ([a.b/c] >> | HAS) AS r Device", json!(["alice"]));
    check(
        &graph,
        "FIND [User] THAT [runs-on] [Device] WHERE [runs-on].since = 1",
        json!(["alice"]),
    );
    let source = SourceText::whole("query", "find [my type] that [a.b/c]>>[Device]");
    assert_eq!(
        Query::formatted(&source, &options()).expect("a query"),
        "FIND [my type] THAT [a.b/c] >> Device"
    );
    assert_eq!(fault("FIND User THAT [] Device"), "Q0101 there is no name in the brackets");
}

#[test]
fn named_versions_compare_as_people_mean() {
    for [less, greater] in [
        ["go1.9", "go1.20"],
        ["14.4 (23E214)", "14.10 (23X)"],
        ["Ubuntu 9.04", "Ubuntu 20.04"],
        ["Windows 7", "Windows 10"],
    ] {
        let graph = values(&[json!(greater), json!(less)]);
        check(&graph, &format!("FIND Thing WITH x < '{greater}'"), json!(["e1"]));
        check(&graph, "FIND Thing AS t ORDER BY t.x", json!(["e1", "e0"]));
    }
}
