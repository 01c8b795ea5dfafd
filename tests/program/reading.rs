//! What people read on a terminal of some width, and what programs read instead.

use crate::cli::World;
use serde_json::{Value as Json, json};
use unicode_width::UnicodeWidthStr;

fn entity(key: &str, kind: &str, class: &str, more: Json) -> Json {
    let mut entity = json!({ "_key": key, "_type": kind, "_class": class });
    for (name, value) in more.as_object().expect("properties") {
        entity[name] = value.clone();
    }
    entity
}

fn link(key: &str, from: &str, verb: &str, to: &str) -> Json {
    json!({
        "_key": key, "_type": "t", "_class": verb, "_fromEntityKey": from, "_toEntityKey": to,
        "weight": 7,
    })
}

fn world_of(rows: &[Json]) -> World {
    let world = World::new();
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    world.sync("main", "diff", &text).ok();
    world
}

/// What a command prints for a terminal of so many columns, without the time that it took.
fn wide(world: &World, columns: usize, words: &[&str]) -> String {
    let mut command = world.command(words);
    let output = command.env("COLUMNS", columns.to_string()).output().expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("text");
    for line in text.lines() {
        assert!(line.width() <= columns, "{} > {columns}: {line}", line.width());
    }
    text.replace("under 1 ms", "1 ms")
}

/// Times differ between runs.
fn timeless(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut shown = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let unit = words
            .get(at + 1)
            .is_some_and(|next| next.trim_end() == "ms" || next.starts_with("ms\n"));
        shown.push(if unit && word.chars().all(|c| c.is_ascii_digit()) { "N" } else { word });
    }
    shown.join(" ")
}

/// A role whose reach has long names, wide letters, a long chain and many siblings.
fn incident() -> World {
    let name = |text: &str| json!({ "displayName": text });
    let mut rows = vec![
        entity("00u1a2b3", "okta_user", "User", name("Alice Smith")),
        entity("role:billing-writer", "aws_iam_role", "AccessRole", name("Billing writer")),
        entity("grp:1", "okta_group", "UserGroup", name("請求書チームの管理者グループ")),
        link("l1", "00u1a2b3", "ASSIGNED", "role:billing-writer"),
        link("l2", "grp:1", "HAS", "00u1a2b3"),
    ];
    for n in 1..=9 {
        let key = format!("arn:aws:s3:::acme-production-billing-ledger-archive-eu-central-{n}");
        let about = name(&format!("The ledger of everything that was paid in quarter {n}"));
        rows.push(entity(&key, "aws_s3_bucket", "DataStore", about));
        rows.push(link(&format!("b{n}"), "role:billing-writer", "ALLOWS", &key));
    }
    let mut above = "role:billing-writer".to_owned();
    for n in 1..=8 {
        let key = format!("svc-{n}");
        rows.push(entity(&key, "service", "Service", name(&format!("Service number {n}"))));
        rows.push(link(&format!("c{n}"), &above, "ALLOWS", &key));
        above = key;
    }
    world_of(&rows)
}

#[test]
fn a_blast_radius_fits_the_terminal() {
    let world = incident();
    let words = ["blast-radius", "alice smith", "--direction", "out"];
    insta::assert_snapshot!("blast_80", timeless(&wide(&world, 80, &words)));
    insta::assert_snapshot!("blast_120", timeless(&wide(&world, 120, &words)));
    // On a narrow terminal and on none the same facts.
    wide(&world, 40, &words);
    let piped = world.run(&words).ok().out;
    assert!(piped.contains("Alice Smith (00u1a2b3)  (@main)"), "{piped}");
    assert!(piped.lines().any(|line| line.width() > 200), "nothing is broken for a program");
}

#[test]
fn other_answers_fit_the_terminal() {
    let world = incident();
    let bucket = "arn:aws:s3:::acme-production-billing-ledger-archive-eu-central-1";
    insta::assert_snapshot!(
        "path_80",
        timeless(&wide(&world, 80, &["path", "grp:1", bucket, "--all"]))
    );
    insta::assert_snapshot!("get_80", {
        let text = wide(&world, 80, &["get", "role:billing-writer"]);
        let job = text.lines().find(|line| line.starts_with("by job")).map(str::to_owned);
        text.replace(&job.unwrap_or_default(), "by job …")
    });
    for columns in [40, 80, 120] {
        wide(&world, columns, &["owners", bucket]);
        wide(&world, columns, &["get", "00u1a2b3"]);
        wide(&world, columns, &["cycles"]);
    }
    assert_eq!(wide(&world, 80, &["cycles"]), "= no cycles\n");
    let nothing = wide(&world, 80, &["blast-radius", "svc-8", "--direction", "out"]);
    assert!(nothing.contains("Service number 8 (svc-8)  (@main)   0 entities"), "{nothing}");
}

#[test]
fn colours_say_what_the_words_say() {
    let world = incident();
    let coloured = world.run(&["get", "alice smith", "--color", "always"]).ok().out;
    assert!(coloured.starts_with("\u{1b}[1mAlice Smith\u{1b}[0m \u{1b}[2m(00u1a2b3)\u{1b}[0m"));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, style)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = style.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    assert_eq!(plain, world.run(&["get", "alice smith"]).ok().out);
}

#[test]
fn csv_and_tables_show_every_value_as_it_is() {
    let world = world_of(&[entity(
        "@babel/polyfill",
        "npm_package",
        "CodeModule",
        json!({
            "displayName": "=x", "balance": -1_234_567, "account": 123_456_789_012u64,
            "port": 8080, "year": 2024, "text": "-1234567",
        }),
    )]);
    let question = "FIND CodeModule AS c \
                    RETURN c._key, c.displayName, c.balance, c.account, c.port, c.year, c.text";
    let csv = world.run(&["query", question, "-o", "csv"]).ok().out;
    let row = csv.lines().nth(1).unwrap_or_default();
    assert_eq!(row, "@babel/polyfill,=x,-1234567,123456789012,8080,2024,-1234567");
    let safe = world.run(&["query", question, "-o", "csv", "--spreadsheet-safe"]).ok().out;
    let row = safe.lines().nth(1).unwrap_or_default();
    assert_eq!(row, "'@babel/polyfill,'=x,-1234567,123456789012,8080,2024,'-1234567");
    let table = world.run(&["query", question]).ok().out;
    for value in ["-1234567", "123456789012", "8080", "2024"] {
        assert!(table.contains(value), "{table}");
    }
    let got = world.run(&["get", "@babel/polyfill"]).ok().out;
    assert!(got.contains("123456789012") && got.contains("-1234567"), "{got}");
    let list = world.run(&["query", "FIND CodeModule"]).ok().out;
    assert!(list.starts_with("NAME  KEY              TYPE"), "{list}");
    assert!(list.contains("\n=x    @babel/polyfill  npm_package  CodeModule  main\n"), "{list}");
}

#[test]
fn a_path_keeps_parallel_relationships_and_takes_none_that_denies() {
    let world = world_of(&[
        entity("u", "user", "User", json!({ "displayName": "Ulla" })),
        entity("p", "policy", "AccessPolicy", json!({})),
        entity("s", "bucket", "DataStore", json!({})),
        entity("x", "policy", "AccessPolicy", json!({})),
        link("1", "u", "ASSIGNED", "p"),
        link("2", "p", "DENIES", "s"),
        link("3", "p", "ALLOWS", "s"),
        link("4", "p", "ALLOWS", "s"),
        link("5", "u", "ASSIGNED", "x"),
        link("6", "x", "DENIED_BY", "s"),
    ]);
    let taken = |words: &[&str]| -> Vec<Vec<String>> {
        let all = [&["path", "u", "s", "--all", "-o", "json"], words].concat();
        let answer = world.run(&all).ok().json();
        let paths = answer["paths"].as_array().expect("paths").clone();
        assert_eq!(answer["total"], paths.len());
        let verbs = |path: &Json| {
            let steps = path.as_array().expect("steps").iter();
            steps.map(|s| s["relationship"]["_key"].as_str().expect("a key").to_owned()).collect()
        };
        let mut taken: Vec<Vec<String>> = paths.iter().map(verbs).collect();
        taken.sort();
        taken
    };
    assert_eq!(taken(&[]), [["1", "3"], ["1", "4"]]);
    assert_eq!(taken(&["--verb", "!denies"]), [["1", "3"], ["1", "4"]]);
    assert_eq!(taken(&["--verb", "assigned,denies"]), [["1", "2"]]);
    assert_eq!(taken(&["--verb", "!ALLOWS"]), Vec::<Vec<String>>::new());
    assert_eq!(taken(&["--via", "p"]), [["1", "3"], ["1", "4"]]);
    assert_eq!(taken(&["--via", "x"]), Vec::<Vec<String>>::new());
    let said = world.run(&["path", "u", "s", "--via", "x"]).ok();
    assert!(said.out.starts_with("Ulla (u) to s by x   = no chain"), "{said:?}");
    let note = "which says that there is no way; name it in `--verb` to follow it";
    assert!(said.err.contains(note), "{said:?}");
    let answer = world.run(&["path", "u", "s", "--via", "x", "-o", "json"]).ok().json();
    assert!(answer["notes"][0].as_str().is_some_and(|told| told.ends_with(note)), "{answer}");
    let said = world.run(&["path", "u", "s"]).ok().out;
    assert!(said.contains("  Ulla (u) -ASSIGNED-> p -ALLOWS-> s\n  … 1 more (--all)"), "{said}");
    // The same everywhere that verbs are taken.
    let reach = |verb: &str| {
        let words = ["blast-radius", "u", "--direction", "out", "--verb", verb, "-o", "json"];
        world.run(&words).ok().json()["total"].clone()
    };
    assert_eq!((reach("!ALLOWS,!DENIES,!DENIED_BY"), reach("!ALLOWS")), (json!(2), json!(3)));
}

#[test]
fn a_path_goes_through_what_it_is_told_to() {
    let rows = [
        ["a", "b", "z"].map(|key| entity(key, "t", "Host", json!({}))).to_vec(),
        vec![
            link("1", "a", "HAS", "z"),
            link("2", "a", "HAS", "b"),
            link("3", "b", "HAS", "z"),
            link("4", "b", "USES", "z"),
        ],
    ]
    .concat();
    let world = world_of(&rows);
    let direct = world.run(&["path", "a", "z", "-o", "json"]).ok().json();
    assert_eq!((&direct["distance"], &direct["total"]), (&json!(1), &json!(1)));
    let through = world.run(&["path", "a", "z", "--via", "b", "--all", "-o", "json"]).ok().json();
    assert_eq!((&through["distance"], &through["total"]), (&json!(2), &json!(2)));
    assert_eq!(through["via"][0]["_key"], "b");
}

#[test]
fn a_cycle_shows_how_it_closes() {
    let named =
        |key: &str, name: &str| entity(key, "g", "UserGroup", json!({ "displayName": name }));
    let world = world_of(&[
        named("a", "Alpha"),
        named("b", "Beta"),
        named("c", "Gamma"),
        link("1", "a", "HAS", "b"),
        link("2", "b", "CONTAINS", "c"),
        link("3", "c", "HAS", "a"),
        link("4", "c", "TRUSTS", "b"),
    ]);
    let said = world.run(&["cycles"]).ok().out;
    assert_eq!(
        said,
        "1 cycle\n  3 entities   Beta (b) -CONTAINS-> Gamma (c) -TRUSTS-> Beta (b)   \
         … 1 more (-o json lists all)\n"
    );
    let said = world.run(&["cycles", "--verb", "!TRUSTS"]).ok().out;
    assert!(said.contains("Alpha (a) -HAS-> Beta (b) -CONTAINS-> Gamma (c) -HAS-> Alpha (a)\n"));
    let json = world.run(&["cycles", "-o", "json"]).ok().json();
    assert_eq!(json["cycles"][0].as_array().map(Vec::len), Some(3));
    assert_eq!(json["chains"][0][1]["relationship"]["_class"], "TRUSTS");
}

#[test]
fn pictures_carry_names_ids_and_properties() {
    let world = incident();
    let graphml = world.run(&["export", "-o", "graphml"]).ok().out;
    assert!(graphml.contains("attr.name=\"_id\""), "{graphml}");
    assert!(graphml.contains("for=\"edge\" attr.name=\"weight\" attr.type=\"long\""), "{graphml}");
    assert!(graphml.contains(">Alice Smith</data>") && graphml.contains(">7</data>"));
    let some = world.run(&["blast-radius", "alice smith", "--direction", "out", "-o", "graphml"]);
    assert!(some.ok().out.contains(">Service number 8</data>"));
    let dot = world.run(&["export", "-o", "dot"]).ok().out;
    assert!(dot.contains("[label=\"Alice Smith\\n(00u1a2b3)\\nokta_user @main\"]"), "{dot}");

    let mut rows = vec![entity("r", "role", "AccessRole", json!({}))];
    for n in 0..600 {
        rows.push(entity(&format!("b{n}"), "bucket", "DataStore", json!({})));
        rows.push(link(&format!("l{n}"), "r", "ALLOWS", &format!("b{n}")));
    }
    let world = world_of(&rows);
    let said = world.run(&["export", "-o", "mermaid"]).ok();
    assert!(said.err.contains("note: 600 edges are too much for Mermaid"), "{}", said.err);
    assert!(said.out.contains("bucket (600)"), "{}", said.out);
    assert_eq!(said.out.matches("-->").count(), 1, "{}", said.out);
}
