//! Blast radius, owners and the rules that they go by, asked of the program and of its server.

use crate::cli::World;
use crate::http::Server;
use crate::impact_world::{self, WORDS};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tombolo::rules::ImpactFilter;

/// Rows of `a(Class) -VERB-> b(Class)`, one a line or with `;` between; classes are told once.
fn rows(text: &str) -> String {
    let mut classes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut links = Vec::new();
    for line in text.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
        let (from, rest) = line.split_once(" -").expect("a -VERB-> b");
        let (verb, to) = rest.split_once("-> ").expect("a -VERB-> b");
        for end in [from, to] {
            let (name, own) = end.split_once('(').unwrap_or((end, ""));
            let own = own.trim_end_matches(')').split(',').filter(|class| !class.is_empty());
            classes.entry(name).or_default().extend(own);
        }
        let name = |end: &str| end.split('(').next().unwrap_or(end).to_owned();
        links.push((name(from), verb, name(to)));
    }
    let mut out = String::new();
    for (name, classes) in classes {
        let type_name = format!("t_{}", classes[0].to_lowercase());
        let row = json!({"_key": name, "_type": type_name, "_class": classes, "displayName": name});
        out.push_str(&format!("{row}\n"));
    }
    for (number, (from, verb, to)) in links.into_iter().enumerate() {
        let row = json!({"_key": format!("r{number}"), "_type": "t_link", "_class": verb,
            "_fromEntityKey": from, "_toEntityKey": to});
        out.push_str(&format!("{row}\n"));
    }
    out
}

fn world(text: &str) -> World {
    let world = World::new();
    world.sync("w", "diff", &rows(text)).ok();
    world
}

/// `alice c1, sre b1` of an answer.
fn states(answer: &Value) -> String {
    let reached = answer["reached"].as_array().expect("a list");
    let mut all: Vec<String> = reached
        .iter()
        .map(|r| {
            let state = r["state"].as_str().map_or("", |state| &state[..1]);
            format!("{} {state}{}", r["_key"].as_str().expect("a key"), r["distance"])
        })
        .collect();
    all.sort();
    all.join(", ")
}

impl World {
    fn blast(&self, words: &[&str]) -> Value {
        let words = [&["blast-radius"], words, &["-o", "json"]].concat();
        self.run(&words).ok().json()
    }

    #[track_caller]
    fn reaches(&self, root: &str, expected: &str) {
        let answer = self.blast(&[root]);
        assert_eq!(states(&answer), expected, "{root}");
        let total = expected.split(", ").filter(|word| !word.is_empty()).count();
        assert_eq!(answer["total"], json!(total));
        let by_state = answer["byState"].as_object().expect("counts");
        let sum: u64 = by_state.values().filter_map(Value::as_u64).sum();
        assert_eq!(sum, total as u64);
    }

    /// `team at 2` of each owner, `eve through team at 3` of its people.
    fn owners(&self, words: &[&str]) -> String {
        let words = [&["owners"], words, &["-o", "json"]].concat();
        let answer = self.run(&words).ok().json();
        let mut all = Vec::new();
        for owner in answer["owners"].as_array().expect("a list") {
            let key = owner["_key"].as_str().expect("a key");
            all.push(format!("{key} at {}", answer["distance"]));
            for person in owner["people"].as_array().into_iter().flatten() {
                let length = person["chain"].as_array().map_or(0, Vec::len);
                let person = person["_key"].as_str().expect("a key");
                all.push(format!("{person} through {key} at {length}"));
            }
        }
        all.join(", ")
    }
}

const GROUP: &str = "sre(UserGroup) -HAS-> alice(User); sre -HAS-> bob(User)
    sre -ASSIGNED-> role(AccessRole); role -ASSIGNED-> pol(AccessPolicy)
    pol -ALLOWS-> bucket(DataStore)";

#[test]
fn a_member_borrows_what_the_group_may_do_and_takes_no_fellow() {
    world(GROUP).reaches("alice", "bucket c4, pol c3, role b2, sre b1");
    let nested = world(
        "g0(UserGroup) -HAS-> g1(UserGroup); g1 -HAS-> g2(UserGroup); g2 -HAS-> ann(User)
         g2 -HAS-> eve(User); g0 -ASSIGNED-> r(AccessRole)",
    );
    nested.reaches("ann", "g0 b3, g1 b2, g2 b1, r b4");
}

#[test]
fn who_may_only_use_a_whole_takes_none_of_its_parts() {
    for (text, root, expected) in [
        (
            "u(User) -MEMBER_OF-> acct(Account); acct -HAS-> v(User); v -OWNS-> pc(Device)
             acct -HAS-> b(DataStore)",
            "u",
            "acct b1",
        ),
        ("o(Organization) -HAS_MEMBER-> u(User); o -HAS-> v(User)", "u", "o b1"),
        ("u(User) -MEMBER_OF-> p(Project); p -CONTAINS-> sa(ServiceAccount)", "u", "p b1"),
        ("u(User) -ASSIGNED-> acct(Account); acct -HAS-> v(User)", "u", "acct b1"),
        ("u(User) -ASSIGNED-> app(Application); app -HAS-> v(User)", "u", "app b1"),
        ("u(User) -MEMBER_OF-> g(Group); g -HAS-> d(Device); g -HAS-> h(Host)", "u", "g b1"),
        ("d(Device) -MEMBER_OF-> g(Group); g -HAS-> e(Device)", "d", "g b1"),
        ("c(Computer) -MemberOf-> g(Group); g -CONTAINS-> d(Computer)", "c", "g b1"),
        ("n(Node) -MEMBER_OF-> c(Cluster); c -CONTAINS-> m(Node)", "n", "c b1"),
        ("u(User) -MEMBER_OF-> g(UserGroup); g -HAS-> s(Server)", "u", "g b1"),
        ("u(User) -MEMBER_OF-> o(Organization); o -PARENT_OF-> p(Organization)", "u", "o b1"),
        // Who takes the whole has all of it.
        ("a(Account) -HAS-> u(User); u -OWNS-> pc(Device)", "a", "pc c2, u c1"),
        ("g(Group) -HAS-> d(Device); g -HAS-> h(Host)", "g", "d c1, h c1"),
        ("c(Cluster) -CONTAINS-> n(Node)", "c", "n c1"),
        // What a group has for its members they can use.
        ("u(User) -MEMBER_OF-> g(UserGroup); g -HAS-> b(DataStore)", "u", "b c2, g b1"),
        (
            "u(User) -MEMBER_OF-> g(Group); g -HAS-> r(AccessRole); r -HAS-> p(AccessPolicy)
          p -ALLOWS-> b(DataStore)",
            "u",
            "b c4, g b1, p c3, r c2",
        ),
        (
            "u(User) -ASSIGNED-> r(Role); r -HAS-> p(Privilege); p -ALLOWS-> b(DataStore)",
            "u",
            "b c3, p c2, r b1",
        ),
    ] {
        world(text).reaches(root, expected);
    }
}

#[test]
fn access_to_what_a_machine_keeps_is_no_login_on_the_machine() {
    let text = "s(Service) -USES-> db(Database); h(Host) -HOSTS-> db; h -HOSTS-> other(Database)
                h -HAS-> k(AccessKey); x(User) -ASSIGNED-> r(AccessRole); r -ALLOWS-> db";
    let all = world(text);
    all.reaches("s", "db c1");
    all.reaches("x", "db c2, r b1, s a3");
    all.reaches("h", "db c1, k c1, other c1, s a2");
}

#[test]
fn profiles_give_the_role_that_they_name_and_keys_the_machines_that_let_them_in() {
    let all = world(
        "h(Host) -USES-> p(Configuration,InstanceProfile); i(Host) -USES-> p
         p -USES-> r(AccessRole); r -ALLOWS-> b(DataStore)
         h -USES-> k(AccessKey); j(Host) -USES-> k",
    );
    all.reaches("h", "b c3, i a4, k b1, p b1, r c2");
    all.reaches("p", "b c2, h c1, i c1, k b2, r c1");
    all.reaches("k", "b c4, h c1, i a5, j c1, p b2, r c3");
}

#[test]
fn machine_formats_tell_the_way_along_each_relationship() {
    let all =
        world("s(AccessPolicy) -ALLOWS-> p(DataStore); s -ASSIGNED-> u(User); t(Team) -OWNS-> p");
    let answer = all.run(&["path", "p", "u", "--direction", "both", "-o", "json"]).ok().json();
    let steps = answer["paths"][0].as_array().expect("steps");
    let ways: Vec<&Value> = steps.iter().map(|step| &step["direction"]).collect();
    assert_eq!(ways, ["in", "out"]);
    assert_eq!(steps[1]["from"], steps[0]["entity"]["_id"]);
    assert_eq!(answer["notes"], json!([]));
    let csv = all.run(&["path", "p", "u", "--direction", "both", "-o", "csv"]).ok().out;
    assert!(csv.contains("1,1,w,p,in,ALLOWS,") && csv.contains("1,2,w,s,out,ASSIGNED,"), "{csv}");
    let blast = all.blast(&["u"]);
    let ways: Vec<&Value> = (blast["reached"].as_array().expect("a list").iter())
        .map(|line| &line["via"]["direction"])
        .collect();
    assert_eq!(ways, ["in", "out"]);
    let csv = all.run(&["blast-radius", "u", "-o", "csv"]).ok().out;
    assert!(csv.lines().next().is_some_and(|head| head.ends_with(",viaDirection,fromState")));
    assert!(csv.contains(",in,controlled\n") && csv.contains(",out,borrowed\n"), "{csv}");
    let owners = all.run(&["owners", "p", "-o", "json"]).ok().json();
    assert_eq!(owners["owners"][0]["chain"][0]["direction"], "out");
    let ring = world("a(Host) -HAS-> b(Host); b -HAS-> a");
    let csv = ring.run(&["cycles", "-o", "csv"]).ok().out;
    assert!(csv.contains("a -HAS-> b -HAS-> a"), "{csv}");
}

#[test]
fn nobody_as_an_owner_is_explained() {
    let all = world(
        "f(Host) -FROBBED_BY-> u(User); q(Host) -OWNED_BY-> v(Person); o(Organization) -OWNS-> r(CodeRepo)
         t(Team) -OWNS-> app(Application); app -HAS-> h(Host); h -HAS-> c(Disk); n(Host) -HAS-> m(Disk)",
    );
    assert_eq!(all.owners(&["f", "--verb", "FROBBED_BY"]), "u at 1");
    for (words, expected) in [
        (
            &["f"][..],
            "f has 1 FROBBED_BY, which lead to no owner; `[[ownership]]` in `tombolo.toml`",
        ),
        (
            &["f", "--verb", "FROBBED_BY", "--owner-class", "Team"],
            "u (User) at 1 relationship, which `--owner",
        ),
        (
            &["f", "--verb", "OWNED_BY"],
            "f has 1 FROBBED_BY, none of which `--verb` takes to an owner",
        ),
        (
            &["q", "--owner-class", "Team"],
            "q is owned by v (Person) at 1 relationship, which `--owner-class`",
        ),
        (
            &["c", "--depth", "1"],
            "c is owned by t (Team) at 3 relationships, which `--depth` hides",
        ),
        (
            &["r"],
            "r is owned by o (Organization), whose class is not one of owners; `--owner-class Org",
        ),
        (&["m"], "m has 1 HAS, which lead to no owner"),
    ] {
        let said = all.run(&[&["owners"], words].concat()).ok();
        assert!(said.err.contains(expected), "{words:?}: {said:?}");
        let answer = all.run(&[&["owners"], words, &["-o", "json"]].concat()).ok().json();
        let told = answer["notes"][0].as_str().unwrap_or_default();
        assert!(told.contains(expected), "{words:?}: {answer}");
    }
}

#[test]
fn an_empty_blast_radius_names_the_flag_that_empties_it() {
    let all = world("u(User) -MEMBER_OF-> g(UserGroup); s(Service) -USES-> db(Database)");
    for (words, flag) in [
        (&["u", "--depth", "0"][..], "1 entity is reached without `--depth`"),
        (&["u", "--verb", "!MEMBER_OF"], "1 entity is reached without `--verb`"),
        (&["db", "--for", "compromise"], "1 entity is reached without `--for compromise`"),
    ] {
        let said = all.run(&[&["blast-radius"], words].concat()).ok();
        assert!(said.err.contains(flag), "{words:?}: {said:?}");
    }
}

#[test]
fn malware_has_the_machine_that_it_was_found_on() {
    let all = world("h(Host) -HAS-> m(Malware); i(Host) -HAS-> m; a(Account) -HAS-> h");
    all.reaches("m", "h c1, i c1");
    all.reaches("h", "");
}

#[test]
fn a_group_gives_its_members_and_their_devices() {
    let text = format!("{GROUP}; alice -OWNS-> lap1(Device); bob -OWNS-> lap2(Device)");
    let world = world(&text);
    world.reaches("sre", "alice c1, bob c1, bucket c3, lap1 c2, lap2 c2, pol c2, role b1");
    world.reaches("alice", "bucket c4, lap1 c1, pol c3, role b2, sre b1");
}

#[test]
fn a_user_does_not_reach_the_account_and_the_answer_says_so() {
    let world =
        world("acct(Account) -HAS-> alice(User); acct -HAS-> bob(User); bob -OWNS-> pc(Device)");
    world.reaches("alice", "");
    world.reaches("acct", "alice c1, bob c1, pc c2");
    let said = world.run(&["blast-radius", "alice"]).ok();
    assert!(said.out.contains("= nothing is reached"), "{said:?}");
    assert!(said.err.contains("it has 1 HAS from others, which pass nothing"), "{said:?}");
}

#[test]
fn a_vulnerability_reaches_hosts_and_a_host_not_the_vulnerability() {
    let world = world(
        "h1(Host) -HAS-> f1(Finding); f1 -IS-> cve(Vulnerability)
         h2(Host) -HAS-> f2(Finding); f2 -IS-> cve",
    );
    world.reaches("cve", "f1 c1, f2 c1, h1 c2, h2 c2");
    world.reaches("h1", "");
}

#[test]
fn hosts_do_not_reach_each_other_through_what_they_share() {
    let installed =
        world("lap1(Device) -INSTALLED-> slack(Application); lap2(Device) -INSTALLED-> slack");
    installed.reaches("lap1", "");
    installed.reaches("slack", "lap1 c1, lap2 c1");
    let image = world("h1(Host) -USES-> img(Image); h2(Host) -USES-> img");
    image.reaches("h1", "");
    image.reaches("img", "h1 c1, h2 c1");
    let policy = world(
        "a(HostAgent) -ASSIGNED-> p(ControlPolicy); b(HostAgent) -ASSIGNED-> p
         a -PROTECTS-> h(Host); b -PROTECTS-> i(Host)",
    );
    policy.reaches("h", "");
    policy.reaches("p", "a a1, b a1, h a2, i a2");
    let run = world(
        "h1(Host) -RUNS-> app(Application); h2(Host) -RUNS-> app; app -ASSUMES-> r(AccessRole)",
    );
    run.reaches("h1", "app b1, r c2");
}

#[test]
fn a_service_account_reaches_what_its_bindings_grant() {
    let world = world(
        "rb(AccessRole) -ASSIGNED-> sa(User); rb -ALLOWS-> secret(Vault)
                       rb -ASSIGNED-> other(User)",
    );
    world.reaches("sa", "rb b1, secret c2");
}

#[test]
fn verbs_of_other_tools_are_understood_as_they_are_spelt() {
    let world = world("BOB(User) -MemberOf-> G(UserGroup); G -GenericAll-> DC(Host)");
    world.reaches("BOB", "DC c2, G b1");
    let backstage = world_of_backstage();
    backstage.reaches("orders-db", "orders a1, orders-api a2, shop a2");
    assert_eq!(backstage.owners(&["orders"]), "team-a at 1");
    let spellings = self::world(
        "a(Application) -USES-> db(Database); b(Application) -uses-> db
                           c(Application) -Uses-> db",
    );
    spellings.reaches("db", "a a1, b a1, c a1");
    for verb in ["uses", "USES", "U-S-E-S"] {
        assert_eq!(states(&spellings.blast(&["db", "--verb", verb])), "a 1, b 1, c 1");
    }
}

fn world_of_backstage() -> World {
    world(
        "orders(Component) -dependsOn-> orders-db(Database); orders -ownedBy-> team-a(Group)
         orders -partOf-> shop-system(System); shop(Component) -consumesApi-> orders-api(API)
         orders -providesApi-> orders-api; shop -dependsOn-> orders",
    )
}

#[test]
fn owners_are_found_in_both_spellings() {
    let world = world(
        "svc(Application) -OWNED_BY-> team(Team); dom(Domain) -MANAGED_BY-> ann(User)
         m1(Host) -PART_OF-> m2(Cluster); team -OWNS-> m2",
    );
    assert_eq!(world.owners(&["svc"]), "team at 1");
    assert_eq!(world.owners(&["dom"]), "ann at 1");
    assert_eq!(world.owners(&["m1"]), "team at 2");
    assert_eq!(world.owners(&["m1", "--verb", "OWNS"]), "");
    assert_eq!(world.owners(&["m1", "--depth", "1"]), "");
    // The chain of evidence keeps the arrows as they are.
    let said = world.run(&["owners", "m1"]).ok();
    assert!(said.out.contains("team -OWNS-> m2 <-PART_OF- m1"), "{said:?}");
}

#[test]
fn a_team_stands_for_its_people() {
    let world = world(
        "team(Team) -OWNS-> app(Application); app -IS-> bucket(DataStore); team -HAS-> eve(User)
         team -HAS-> inner(Team); ivo(User) -MEMBER_OF-> inner",
    );
    assert_eq!(world.owners(&["bucket"]), "team at 2");
    assert_eq!(
        world.owners(&["bucket", "--people"]),
        "team at 2, eve through team at 3, ivo through team at 4"
    );
    let said = world.run(&["owners", "bucket", "--people", "-o", "csv"]).ok();
    assert!(said.out.contains("eve,team,eve <-HAS- team -OWNS-> app -IS-> bucket"), "{said:?}");
}

#[test]
fn a_gateway_stands_in_front_of_its_hosts_and_a_store_behind() {
    let world = world("lb(Gateway) -CONNECTS-> i(Host); host(Host) -USES-> db(Database)");
    world.reaches("lb", "i c1");
    world.reaches("i", "lb a1");
    world.reaches("host", "db c1");
    world.reaches("db", "host a1");
}

#[test]
fn a_taken_role_affects_the_applications_that_assume_it() {
    let world = world(
        "app(Application) -ASSUMES-> role(AccessRole); role -ALLOWS-> bucket(DataStore)
         role -DENIES-> cellar(DataStore)
         app -ASSUMES-> other(AccessRole); other -ALLOWS-> vault(Vault); web(Application) -DEPENDS_ON-> app",
    );
    world.reaches("role", "app a1, bucket c1, web a2");
    world.reaches("app", "bucket c2, other c1, role c1, vault c2, web a1");
    for (trouble, expected) in
        [("compromise", "bucket c2, other c1, role c1, vault c2"), ("failure", "web a1")]
    {
        assert_eq!(states(&world.blast(&["app", "--for", trouble])), expected);
    }
    world.run(&["blast-radius", "app", "--for", "failure", "--verb", "USES"]).refused(2, "--for");
    // What is denied was left aside, and the answer says so; nobody is asked to decide about it.
    let answer = world.blast(&["role"]);
    assert_eq!(answer["notFollowed"], json!({"DENIES": 1}));
    let said = world.run(&["blast-radius", "role"]).ok();
    assert!(said.err.contains("denied, so no way: 1 DENIES"), "{said:?}");
    assert!(!said.err.contains("not followed"), "{said:?}");
}

#[test]
fn what_attackers_do_is_no_part_that_fails() {
    let world = world(
        "g(Group,intrusion_set) -USES-> t(Threat); w(Application) -USES-> t; g -USES-> w
         m(Malware) -USES-> t",
    );
    for root in ["g", "t", "w", "m"] {
        world.reaches(root, "");
    }
}

#[test]
fn a_package_is_in_what_depends_on_it_and_a_store_stops_its_users() {
    let world = world(
        "a(CodeModule) -DEPENDS_ON-> b(CodeModule); svc(Service) -USES-> db(Database)
         svc2(Service) -USES-> db",
    );
    world.reaches("b", "a c1");
    world.reaches("db", "svc a1, svc2 a1");
    world.reaches("svc", "db c1, svc2 a2");
}

#[test]
fn an_entity_that_is_borrowed_first_and_taken_later_is_told_as_taken() {
    // u is a member of g and, on a longer way, owns it.
    let world = world(
        "g(UserGroup) -HAS-> u(User); u -OWNS-> k(AccessKey); k -ALLOWS-> app(Application)
         app -OWNS-> g; g -HAS-> v(User); g -ASSIGNED-> r(AccessRole)",
    );
    let answer = world.blast(&["u"]);
    assert_eq!(states(&answer), "app c2, g c3, k c1, r b2, v c4");
    // The chain of r leads through g while it is only borrowed.
    let way = answer["onTheWay"].as_array().expect("a list");
    assert_eq!(
        (way.len(), &way[0]["_key"], &way[0]["state"]),
        (1, &json!("g"), &json!("borrowed"))
    );
    let reached = answer["reached"].as_array().expect("a list");
    let role = reached.iter().find(|r| r["_key"] == "r").expect("r is reached");
    assert_eq!(role["via"]["state"], "borrowed");
    assert_eq!(role["via"]["from"], way[0]["_id"]);
}

#[test]
fn verbs_without_a_rule_are_named_with_their_counts() {
    let world = world(
        "a(Host) -FROBS-> b(Host); a -frobs-> c(Host); a -NOTIFIES-> d(User); e(Host) -FROBS-> a",
    );
    let answer = world.blast(&["a"]);
    assert_eq!(answer["notFollowed"], json!({"FROBS": 2, "frobs": 1, "NOTIFIES": 1}));
    let note = "not followed: 2 FROBS, 1 frobs, 1 NOTIFIES; `--verb` or `tombolo.toml` decides";
    let same = |notes: &Value| {
        let all = notes.as_array().expect("notes").iter().filter_map(Value::as_str);
        all.map(|note| note.split([':', ';']).next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(same(&answer["notes"]).contains(&"not followed".to_owned()), "{answer}");
    let said = world.run(&["blast-radius", "a"]).ok();
    assert!(said.err.contains("not followed: ") && said.err.contains(&note[note.len() - 40..]));
    assert_eq!(states(&world.blast(&["a", "--verb", "frobs"])), "b 1, c 1");
    assert_eq!(
        states(&world.blast(&["a", "--verb", "frobs", "--direction", "both"])),
        "b 1, c 1, e 1"
    );
    world.write("tombolo.toml", "[[impact]]\nverb = \"Frobs\"\nfailure = \"both\"\n");
    let answer = world.blast(&["a"]);
    assert_eq!(states(&answer), "b a1, c a1, e a1");
    assert_eq!(answer["notFollowed"], json!({"NOTIFIES": 1}));
}

#[test]
fn a_filter_says_what_it_hid() {
    let world = world("team(Team) -OWNS-> box(Host); box -RUNS-> p(Process)");
    let answer = world.blast(&["team", "--class", "process,HOST"]);
    assert_eq!(states(&answer), "box c1, p c2");
    let said = world.run(&["blast-radius", "team", "--class", "Team"]).ok();
    assert!(said.err.contains("2 entities reached, none of class Team"), "{said:?}");
    let answer = world.blast(&["team", "--type", "t_host"]);
    assert_eq!(states(&answer), "box c1");
    assert_eq!(answer["notes"], json!(["2 entities reached, 1 of type t_host"]));
}

#[test]
fn names_of_another_kind_or_of_nothing_are_refused() {
    let world = world("db(Database) -USES-> k(CryptoKey); u(User) -OWNS-> db");
    let refused: [(&[&str], &str); 11] = [
        (
            &["owners", "--class", "Databse"],
            "no class `Databse` in this database\nhint: did you mean `Database`?",
        ),
        (&["owners", "--class", "USES"], "no class `USES`"),
        (&["owners", "--type", "Database"], "no type `Database`"),
        (&["owners", "--scope", "v"], "no scope `v`"),
        (&["owners", "db", "--verb", "OWN"], "did you mean `OWNS`?"),
        (&["owners", "db", "--owner-class", "Team"], "no class `Team`"),
        (&["blast-radius", "db", "--verb", "Database"], "no verb `Database`"),
        (&["blast-radius", "db", "--class", "uses"], "`USES` is a verb"),
        (&["blast-radius", "db", "--type", "nope"], "no type `nope`"),
        (&["cycles", "--verb", "user"], "`User` is a class"),
        (&["path", "u", "k", "--verb", "Database"], "no verb `Database`"),
    ];
    for (words, expected) in refused {
        world.run(words).refused(2, expected);
    }
    let said = world.run(&["owners", "--class", "data_base", "-o", "csv"]).ok();
    assert!(said.out.contains("w,db,1,w,u,u -OWNS-> db"), "{said:?}");
    // What nobody has any more is nobody's.
    world.sync("w", "diff", &rows("u(User) -OWNS-> db(Database)")).ok();
    world.run(&["blast-radius", "db", "--verb", "USES"]).refused(2, "no verb `USES`");
    world.run(&["owners", "--class", "CryptoKey"]).refused(2, "no class `CryptoKey`");
}

#[test]
fn orphans_are_believed_only_where_something_owns_something() {
    let world = world("db(Database) -USES-> k(CryptoKey)");
    world
        .run(&["owners", "--class", "Database", "--orphans"])
        .refused(2, "nothing in this database owns anything");
    let said = world.run(&["owners", "db"]).ok();
    assert!(said.err.contains("nothing in this database owns anything"), "{said:?}");
    world.write(
        "tombolo.toml",
        "[[ownership]]\nkind = \"owning\"\nverb = \"USES\"\n[owners]\nclasses = \"Database\"\n",
    );
    let said = world.run(&["owners", "--class", "Database", "--orphans", "-o", "csv"]).ok();
    assert_eq!(said.out.lines().nth(1), Some("w,db,,,,"), "{said:?}");
    assert_eq!(world.owners(&["k"]), "db at 1");
}

#[test]
fn rules_live_in_one_file_for_all_that_asks() {
    let world = world("a(Host) -FROBS-> b(Host); b -USES-> c(Database)");
    world.run(&["blast-radius", "a", "--propagation", "x.toml"]).refused(2, "`tombolo.toml`");
    world.write("tombolo.toml", "[[impact]]\nverb = \"FROBS\"\ncompromise = \"forwards\"\n");
    for words in [
        &["blast-radius", "a"][..],
        &["owners", "a"],
        &["impact-rules"],
        &["query", "FIND Host THAT #Impact Host"],
    ] {
        let said = world.run(words).refused(2, "tombolo.toml:3:14");
        assert!(said.err.contains("did you mean `forward`?"), "{said:?}");
    }
    world.write("tombolo.toml", "[[impact]]\nverb = \"FROBS\"\ncompromise = \"forward\"\n");
    world.reaches("a", "b c1, c c2");
    let query =
        "FIND Host WITH _key = 'a' THAT #Impact{1,9} AS r * AS x RETURN x._key AS k, DEPTH(r) AS d";
    let said = world.run(&["query", query, "-o", "csv"]).ok();
    assert_eq!(said.out, "k,d\nb,1\nc,2\n");
    // A folder below belongs to the project as well.
    std::fs::create_dir(world.path("below")).expect("made");
    let mut command =
        world.command(&["--db", "../tombolo.redb", "blast-radius", "a", "-o", "json"]);
    let output = command.current_dir(world.path("below")).output().expect("it runs");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(states(&answer), "b c1, c c2");
    // A class that nothing has is most likely misspelt.
    let rule = "[[impact]]\nverb = \"FROBS\"\nfrom = \"Hots\"\ncompromise = \"forward\"\n";
    world.write("tombolo.toml", format!("[owners]\nclasses = [\"User\", \"Crew\"]\n{rule}"));
    for words in [["blast-radius", "a"], ["owners", "c"]] {
        let said = world.run(&words).ok();
        let note = "nothing has the class or type `Hots` of tombolo.toml:3; did you mean `Host`?";
        assert!(said.err.contains(note), "{said:?}");
        assert!(said.err.contains("`Crew` of tombolo.toml"), "{said:?}");
        assert!(!said.err.contains("`User`"), "built-in rules speak of it: {said:?}");
    }
    world.write("tombolo.toml", "[[impact]]\nverb = \"FROBS\"\ncompromise = \"forward\"\n");
    let rules = world.run(&["impact-rules", "--verb", "frobs", "-o", "json"]).ok().json();
    assert_eq!(rules["impact"][0]["origin"], "tombolo.toml:1");
    let said = world.run(&["impact-rules"]).ok();
    assert!(said.out.contains("built-in") && said.out.contains("tombolo.toml:1"), "{said:?}");
    let toml = world.run(&["impact-rules", "-o", "toml"]).ok().out;
    world.write("tombolo.toml", toml);
    world.reaches("a", "b c1, c c2");
}

#[test]
fn a_plan_tells_what_it_does_to_the_blast_radius() {
    let world = world(
        "u(User) -OWNS-> k(AccessKey); g(UserGroup) -ASSIGNED-> r(AccessRole)
        r -ALLOWS-> db(Database); t(Team) -OWNS-> db",
    );
    std::fs::create_dir(world.path("mappings")).expect("made");
    world.write("mappings/rows.csv", "user,group\nu,g\n");
    world.write(
        "mappings/m.toml",
        "scope = \"m\"\nrows = { file = \"rows.csv\" }\nrelationship = { class = \"MEMBER_OF\", type = \"m\" }\n\
         from = { scope = \"w\", key = \"{row.user}\" }\nto = { scope = \"w\", key = \"{row.group}\" }\n",
    );
    let plan = world.run(&["plan", "--impact", "u", "-o", "json"]).ok().json();
    let change = &plan["impact"]["changes"][0];
    assert_eq!(change["reached"], json!({"before": 1, "after": 4}), "{plan}");
    let gained: Vec<&str> = change["gained"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|e| e["_key"].as_str())
        .collect();
    assert_eq!(BTreeSet::from_iter(gained), BTreeSet::from(["g", "r", "db"]));
    // By the project's rules nothing is lent.
    world.write(
        "tombolo.toml",
        "[[impact]]\nverb = \"HAS_MEMBER\"\n[[impact]]\nverb = \"MemberOf\"\n",
    );
    let plan = world.run(&["plan", "--impact", "u", "-o", "json"]).ok().json();
    assert_eq!(plan["impact"]["changes"], json!([]), "{plan}");
}

/// Asks a server, which is much sooner done than starting the program again and again.
fn told(server: &Server, query: &str) -> Value {
    server.get(&format!("/v1/blast-radius?{query}")).ok()
}

#[test]
fn single_relationships_of_public_models_pass_on_what_they_should() {
    let text = include_str!("../data/impact-triples.tsv");
    let triples: Vec<Vec<&str>> = (text.lines().filter(|line| !line.starts_with('#')))
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(triples.len(), 413);
    let mut upload = String::new();
    for (i, triple) in triples.iter().enumerate() {
        let [from, verb, to, ..] = triple[..] else { panic!("{triple:?}") };
        for (end, classes) in [("a", from), ("b", to)] {
            let classes: Vec<&str> = classes.split(',').collect();
            let row = json!({"_key": format!("{end}{i}"), "_type": "thing", "_class": classes});
            upload.push_str(&format!("{row}\n"));
        }
        let row = json!({"_key": format!("r{i}"), "_type": "link", "_class": verb,
            "_fromEntityKey": format!("a{i}"), "_toEntityKey": format!("b{i}")});
        upload.push_str(&format!("{row}\n"));
    }
    let world = World::new();
    world.sync("w", "diff", &upload).ok();
    let server = Server::in_folder(world.folder, &[]);
    let mut wrong = Vec::new();
    for (i, triple) in triples.iter().enumerate() {
        let [_, verb, _, compromise, failure] = triple[..] else { panic!("{triple:?}") };
        for (root, forward) in [(format!("a{i}"), true), (format!("b{i}"), false)] {
            let along =
                |flow: &str| flow == "both" || flow == if forward { "forward" } else { "reverse" };
            let by_attack = match compromise.strip_prefix("group=") {
                Some(member) => {
                    let to_group = member.starts_with("to") == forward;
                    match (to_group, member.ends_with(" up"), member.ends_with(" down")) {
                        (true, _, false) => "b1",
                        (false, false, _) => "c1",
                        _ => "",
                    }
                }
                None if along(compromise) => "c1",
                None => "",
            };
            let by_failure = if along(failure) { "a1" } else { "" };
            for (trouble, expected) in [("compromise", by_attack), ("failure", by_failure)] {
                let answer = told(&server, &format!("entity={root}&for={trouble}"));
                let found = states(&answer);
                let found = found.split_once(' ').map_or("", |(_, state)| state);
                let silent = answer["notFollowed"] == json!({ *verb: 1 });
                if found != expected || silent != (compromise == "silent") {
                    wrong.push(format!("{triple:?} {root} {trouble}: {found}, not {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_server_goes_by_the_same_rules() {
    let world = world(GROUP);
    world.write(
        "tombolo.toml",
        "[[impact]]\nverb = \"ALLOWS\"\nfrom = \"AccessPolicy\"\nto = \"DataStore\"\n",
    );
    let expected = world.blast(&["alice"]);
    assert_eq!(states(&expected), "pol c3, role b2, sre b1");
    let path = world.path("tombolo.toml");
    let server = Server::in_folder(world.folder, &[]);
    assert_eq!(told(&server, "entity=alice"), expected);
    let rules = server.get("/v1/impact-rules?verb=allows").ok();
    assert!(rules["impact"].as_array().is_some_and(|rules| rules.len() > 3), "{rules}");
    let query = json!({"query": "FIND User WITH _key = 'alice' THAT #Impact{1,9} AS r * AS x RETURN x._key AS k"});
    let answer = server.post("/v1/query", &query).ok();
    assert_eq!(answer["data"].as_array().map(Vec::len), Some(3), "{answer}");
    std::fs::write(path, "[[impact]]\nverb = 1\n").expect("written");
    for reply in [server.get("/v1/blast-radius?entity=alice"), server.post("/v1/query", &query)] {
        assert_eq!(reply.status, 400, "{}", reply.text);
        assert!(reply.text.contains("tombolo.toml:2:8: expected a name"), "{}", reply.text);
    }
    let owners = server.get("/v1/owners?class=User&orphans=true");
    assert_eq!(owners.status, 400, "{}", owners.text);
}

/// Random graphs, the same at every run.
fn random_worlds(count: usize) -> Vec<impact_world::World> {
    let mut runner = TestRunner::deterministic();
    let strategy = impact_world::world();
    let mut next = || strategy.new_tree(&mut runner).expect("a world").current();
    (0..count).map(|_| next()).collect()
}

/// `c2` by key, as an answer tells it.
fn by_key(answer: &Value) -> BTreeMap<String, (char, u32)> {
    let reached = answer["reached"].as_array().expect("a list").iter();
    let row = |r: &Value| {
        let state = r["state"].as_str().and_then(|state| state.chars().next()).expect("a state");
        let distance = r["distance"].as_u64().expect("a number") as u32;
        (r["_key"].as_str().expect("a key").to_owned(), (state, distance))
    };
    reached.map(row).collect()
}

#[test]
fn random_graphs_are_answered_by_a_server_as_by_the_plainest_walk() {
    let mut worlds = random_worlds(60);
    // One server has one file of rules, and one graph of many parts that do not touch.
    let rules = worlds.iter().max_by_key(|world| world.rules.len()).expect("some").rules.clone();
    let world = World::new();
    let mut upload = String::new();
    for (i, part) in worlds.iter_mut().enumerate() {
        part.rules = rules.clone();
        upload.push_str(&part.upload(&format!("w{i}n"), usize::MAX));
    }
    world.write("tombolo.toml", worlds[0].toml());
    world.sync("w", "diff", &upload).ok();
    let server = Server::in_folder(world.folder, &[]);
    let mut reached = 0;
    for (i, part) in worlds.iter().enumerate() {
        for root in 0..part.nodes.len() {
            for (words, trouble) in [
                ("", ImpactFilter::ANY),
                ("&for=compromise", ImpactFilter { compromise: true, failure: false }),
            ] {
                let answer = told(&server, &format!("entity=w{i}n{root}{words}"));
                let (expected, not_followed) = part.walk(root, trouble, u32::MAX);
                let name = |(node, told)| (format!("w{i}n{node}"), told);
                let expected: BTreeMap<_, _> = expected.into_iter().map(name).collect();
                assert_eq!(by_key(&answer), expected, "{part:?} from {root}");
                assert_eq!(answer["notFollowed"], json!(not_followed));
                reached += expected.len();
            }
        }
    }
    assert!(reached > 200, "{reached} reached in all");
}

#[test]
fn plans_of_random_edges_tell_what_the_plainest_walk_tells() {
    let mut told = 0;
    for mut part in random_worlds(60) {
        // The last edges are planned; mappings write verbs in capitals.
        let kept = part.edges.len() - part.edges.len() / 3;
        part.edges[kept..].iter_mut().for_each(|edge| edge.2 = 0);
        // What is planned twice is planned once.
        let mut said = BTreeSet::new();
        let mut number = 0;
        part.edges.retain(|&(from, verb, word, to)| {
            number += 1;
            number <= kept || said.insert((from, verb, word, to))
        });
        let world = World::new();
        world.write("tombolo.toml", part.toml());
        world.sync("w", "diff", &part.upload("n", kept)).ok();
        std::fs::create_dir(world.path("mappings")).expect("made");
        for (verb, words) in WORDS.iter().enumerate() {
            let mut rows = String::from("from,to\n");
            for (from, _, _, to) in part.edges[kept..].iter().filter(|edge| edge.1 == verb) {
                rows.push_str(&format!("n{from},n{to}\n"));
            }
            if rows.lines().count() == 1 {
                continue;
            }
            world.write(&format!("mappings/m{verb}.csv"), rows);
            world.write(
                &format!("mappings/m{verb}.toml"),
                format!(
                    "scope = \"m{verb}\"\nowner = \"x@example.com\"\nrows = {{ file = \"m{verb}.csv\" }}\n\
                     relationship = {{ class = \"{}\", type = \"t\" }}\n\
                     from = {{ scope = \"w\", key = \"{{row.from}}\" }}\n\
                     to = {{ scope = \"w\", key = \"{{row.to}}\" }}\n",
                    words[0]
                ),
            );
        }
        if part.edges.len() == kept {
            continue;
        }
        let names: Vec<String> = (0..part.nodes.len()).map(|node| format!("n{node}")).collect();
        let mut words = vec!["plan", "-o", "json"];
        names.iter().for_each(|name| words.extend(["--impact", name]));
        let plan = world.run(&words).ok().json();
        let changes = plan["impact"]["changes"].as_array().expect("a list");
        let mut before = part.clone();
        before.edges.truncate(kept);
        for (root, name) in names.iter().enumerate() {
            let states = |world: &impact_world::World| -> BTreeMap<String, char> {
                let reached = world.walk(root, ImpactFilter::ANY, u32::MAX).0.into_iter();
                reached.map(|(node, (state, _))| (format!("n{node}"), state)).collect()
            };
            let (was, is) = (states(&before), states(&part));
            let change = changes.iter().find(|change| change["entity"]["_key"] == *name);
            assert_eq!(change.is_some(), was != is, "{part:?} from {root}: {plan}");
            let Some(change) = change else { continue };
            let keys = |name: &str| -> BTreeSet<String> {
                let list = change[name].as_array().expect("a list").iter();
                list.map(|e| e["_key"].as_str().expect("a key").to_owned()).collect()
            };
            let beyond = |a: &BTreeMap<String, char>, b: &BTreeMap<String, char>| {
                let only = a.keys().filter(|key| !b.contains_key(*key));
                only.cloned().collect::<BTreeSet<String>>()
            };
            assert_eq!(keys("gained"), beyond(&is, &was));
            assert_eq!(keys("lost"), beyond(&was, &is));
            let turned = change["changed"].as_array().expect("a list").iter();
            let turned: BTreeMap<String, String> = turned
                .map(|t| {
                    let key = t["entity"]["_key"].as_str().expect("a key").to_owned();
                    let word = |name: &str| t[name].as_str().map_or("", |word| &word[..1]);
                    (key, format!("{}{}", word("before"), word("after")))
                })
                .collect();
            let expected = was.iter().filter_map(|(key, before)| {
                let now = is.get(key).filter(|now| *now != before)?;
                Some((key.clone(), format!("{before}{now}")))
            });
            assert_eq!(turned, expected.collect());
            told += 1;
        }
    }
    assert!(told > 20, "{told} changes");
}
