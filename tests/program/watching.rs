//! Watching: reports of checks for CI, baselines, and what a server tells by itself.

use crate::cli::World;
use quick_junit::Report;
use serde_json::{Value, json};

/// Users and devices; alice owns one, bob owns none.
fn office() -> World {
    let world = World::new();
    world.sync("office", "diff", &users(&["bob"])).ok();
    world.write(
        "queries.toml",
        "[queries.owned]\nabout = \"every user owns a device\"\n\
         query = \"FIND User THAT !OWNS Device\"\nexpect = 0\n\
         [queries.devices]\nquery = \"FIND Device\"\nexpect = { min = 1 }\n",
    );
    world
}

fn users(more: &[&str]) -> String {
    let mut rows = String::from(
        "{\"_key\":\"alice\",\"_type\":\"u\",\"_class\":\"User\"}\n\
         {\"_key\":\"mac\",\"_type\":\"d\",\"_class\":\"Device\"}\n\
         {\"_key\":\"alice|mac\",\"_type\":\"t\",\"_class\":\"OWNS\",\"_fromEntityKey\":\"alice\",\"_toEntityKey\":\"mac\"}\n",
    );
    for key in more {
        rows += &format!("{{\"_key\":\"{key}\",\"_type\":\"u\",\"_class\":\"User\"}}\n");
    }
    rows
}

/// Rows that lack two of three people, and a test that all of them are linked.
fn bridge(world: &World) {
    std::fs::create_dir_all(world.path("mappings")).expect("a folder");
    world.write("mappings/owners.csv", "who,what\nalice,mac\n");
    world.write(
        "mappings/owners.toml",
        "scope = \"owners\"\nrows = { file = \"owners.csv\" }\n\
         relationship = { class = \"USES\" }\n\
         from = { scope = \"office\", type = \"u\", key = \"{row.who}\" }\n\
         to = { scope = \"office\", type = \"d\", key = \"{row.what}\" }\n\
         [[test]]\nname = \"every user is linked\"\ncovers = \"from\"\nat_least = \"100%\"\n",
    );
}

fn junit(text: &str) -> Report {
    Report::deserialize_from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn questions_are_reported_to_ci_and_only_new_offenders_fail() {
    let world = office();
    let check = |flags: &[&str]| world.run(&[&["query", "--check"], flags].concat());
    let report = junit(&check(&["-o", "junit"]).refused(1, "").out);
    assert_eq!((report.tests, report.failures), (2, 1));
    let sarif: Value =
        serde_json::from_str(&check(&["-o", "sarif"]).refused(1, "").out).expect("JSON");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(sarif["version"], json!("2.1.0"));
    assert_eq!(result["ruleId"], json!("question/owned"));
    assert!(result["message"]["text"].as_str().expect("text").contains("office::bob"), "{sarif}");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], json!("queries.toml"));
    assert_eq!(place["region"]["startLine"], json!(3));
    assert!(result.get("baselineState").is_none(), "{sarif}");
    let said = check(&["-o", "github"]).refused(1, "");
    let start = "::error file=queries.toml,line=3,col=9,title=question owned::1 found, 0 expected";
    assert!(said.out.starts_with(start), "{}", said.out);

    check(&["--baseline", "known.toml"]).refused(2, "--write-baseline");
    check(&["--baseline", "known.toml", "--write-baseline"]).ok();
    let written = std::fs::read_to_string(world.path("known.toml")).expect("written");
    assert!(written.ends_with("[questions]\n\"owned\" = [\n  \"office::bob\",\n]\n"), "{written}");
    let said = check(&["--baseline", "known.toml"]).ok();
    assert!(
        said.out.contains("~ owned") && said.out.contains("known: office::bob"),
        "{}",
        said.out
    );
    let report = junit(&check(&["--baseline", "known.toml", "-o", "junit"]).ok().out);
    assert_eq!((report.failures, report.test_suites[0].skipped), (0, 1));

    // Bob was mended, and two others came.
    world.sync("office", "diff", &users(&["carol", "dave"])).ok();
    let said = check(&["--baseline", "known.toml"]).refused(1, "");
    assert!(said.out.contains("new: office::carol, office::dave"), "{}", said.out);
    assert!(said.out.contains("gone: office::bob"), "{}", said.out);
    let said = check(&["--baseline", "known.toml", "-o", "sarif"]).refused(1, "");
    let sarif: Value = serde_json::from_str(&said.out).expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    let states: Vec<&Value> = results.iter().map(|result| &result["baselineState"]).collect();
    assert_eq!(states, ["new", "new", "absent"]);
    // A second writing has the same bytes, in whatever order the rows came.
    check(&["--baseline", "known.toml", "--write-baseline"]).ok();
    let first = std::fs::read(world.path("known.toml")).expect("written");
    check(&["--baseline", "known.toml", "--write-baseline"]).ok();
    assert_eq!(std::fs::read(world.path("known.toml")).expect("written"), first);

    // A question with too few rows has no offender that a baseline could know.
    world.sync("office", "diff", "{\"_key\":\"x\",\"_type\":\"u\",\"_class\":\"App\"}\n");
    world.run(&["query", "FIND User", "-o", "junit"]).refused(2, "--check");
    world.write("known.toml", "[questions]\nowned = 3\n");
    check(&["--baseline", "known.toml"]).refused(2, "known.toml:2:9");
}

#[test]
fn too_few_rows_fail_whatever_the_baseline() {
    let world = office();
    world.write(
        "queries.toml",
        "[queries.servers]\nquery = \"FIND Server\"\nexpect = { min = 1 }\n",
    );
    let said = world.run(&["query", "--check", "--baseline", "k.toml", "--write-baseline"]);
    said.refused(1, "");
    world.run(&["query", "--check", "--baseline", "k.toml"]).refused(1, "");
}

#[test]
fn tests_and_guards_of_mappings_are_reported_too() {
    let world = office();
    bridge(&world);
    let report = junit(&world.run(&["plan", "-o", "junit"]).refused(4, "").out);
    assert_eq!((report.tests, report.failures), (3, 1));
    let case =
        report.test_suites[0].test_cases.iter().find(|c| c.name.as_str().starts_with("every"));
    assert_eq!(case.expect("a test").classname.as_ref().map(|c| c.as_str()), Some("test.owners"));
    let baseline = ["--baseline", "known.toml"];
    world.run(&[&["plan"], &baseline[..], &["--write-baseline"]].concat()).ok();
    let said = world.run(&[&["plan"], &baseline[..]].concat()).ok();
    assert!(said.out.contains("known: office::bob"), "{}", said.out);
    // The baseline is no leave to apply: the test still stands.
    world.run(&["apply"]).refused(4, "every user is linked");
    // Questions and tests share a file, and each check renews its own part.
    world.run(&[&["query", "--check"], &baseline[..], &["--write-baseline"]].concat()).ok();
    world.run(&[&["plan"], &baseline[..]].concat()).ok();
    world.sync("office", "diff", &users(&["bob", "carol"])).ok();
    let said = world.run(&[&["plan", "-o", "github"], &baseline[..]].concat()).refused(4, "");
    assert!(
        said.out.contains("new offender: office::carol%0Aknown offender: office::bob"),
        "{}",
        said.out
    );

    let text = std::fs::read_to_string(world.path("mappings/owners.toml")).expect("written");
    world.write("mappings/owners.toml", format!("{text}[guard]\nmin_rows = 5\n"));
    let sarif: Value =
        serde_json::from_str(&world.run(&["plan", "-o", "sarif"]).refused(4, "").out)
            .expect("JSON");
    let rules: Vec<&Value> = sarif["runs"][0]["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| &result["ruleId"])
        .collect();
    assert!(rules.contains(&&json!("M0602")), "{sarif}");
    world.write("mappings/broken.toml", "scope = \"b\"\nrows = 3\n");
    let report = junit(&world.run(&["check", "-o", "junit"]).refused(2, "").out);
    assert_eq!((report.tests, report.failures), (2, 1));
    let sarif: Value =
        serde_json::from_str(&world.run(&["check", "-o", "sarif"]).refused(2, "").out)
            .expect("JSON");
    let places = sarif["runs"][0]["results"].to_string();
    assert!(places.contains("mappings/broken.toml"), "{sarif}");
}

/// Runs the blocks of a page: a `toml` block is the file that its first line names, and each command
/// of a `console` block ends with the code that its comment tells.
fn run_page(world: &World, page: &str) -> usize {
    let mut commands = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').expect("a block has lines");
        if kind == "toml"
            && let Some(name) = text.lines().next().and_then(|line| line.strip_prefix("# "))
        {
            world.write(name, text);
        }
        for line in text.lines().filter(|_| kind == "console") {
            let line = line.strip_prefix("$ tombolo ").unwrap_or_else(|| panic!("{line}"));
            let (words, comment) = line.split_once('#').unwrap_or((line, ""));
            let code = comment
                .trim()
                .strip_prefix("exit ")
                .map_or(0, |code| code[..1].parse().unwrap_or_else(|_| panic!("{line}")));
            world.run(&words.split_whitespace().collect::<Vec<_>>()).refused(code, "");
            commands += 1;
        }
    }
    commands
}

#[test]
fn the_page_about_watching_is_true() {
    let world = office();
    bridge(&world);
    let text = std::fs::read_to_string(world.path("mappings/owners.toml")).expect("written");
    world.write("mappings/owners.toml", text.replace("100%", "50%"));
    assert!(run_page(&world, include_str!("../../docs/watch.md")) > 8);
}
