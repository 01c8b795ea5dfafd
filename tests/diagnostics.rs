//! Every fault of mapping files, exactly as people read it. One snapshot, one case for each code;
//! run with `INSTA_UPDATE=always` to take over new words, and read the difference.

mod graph_in_memory;

use graph_in_memory::Memory;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tombolo::mapping::{Diagnostic, ResolveError, load};

const HEAD: &str = "scope = \"m\"\nowner = \"it@example.com\"\n";
const INVENTORY: &str = "rows = { file = \"data/inventory.csv\" }\n";
const OWNS: &str = "relationship = { class = \"OWNS\", type = \"owns\" }\n";
const FROM: &str = "from = { scope = \"okta\", key = \"u:{row.login}\" }\n";
const TO: &str = "to = { scope = \"jamf\", key = \"d:{row.device}\" }\n";

/// A code, the mapping file that shows it, and files beside the usual ones.
struct Case(&'static str, String, Vec<(&'static str, &'static str)>);

fn case(code: &'static str, text: impl Into<String>) -> Case {
    Case(code, text.into(), Vec::new())
}

/// The usual mapping with one part in another form.
fn with(code: &'static str, usual: &str, other: &str) -> Case {
    let text = [HEAD, INVENTORY, OWNS, FROM, TO].concat();
    assert!(text.contains(usual), "{usual}");
    case(code, text.replacen(usual, other, 1))
}

fn join(code: &'static str, rest: &str) -> Case {
    let ends = "from = { scope = \"okta\" }\nto = { scope = \"jamf\" }\n";
    case(code, format!("{HEAD}{OWNS}{ends}{rest}"))
}

impl Case {
    fn beside(mut self, name: &'static str, text: &'static str) -> Case {
        self.2.push((name, text));
        self
    }
}

fn cases() -> Vec<Case> {
    let rows = |text: &str| format!("rows = {text}\n");
    let to = |text: &str| format!("to = {{ scope = \"jamf\", {text} }}\n");
    let relationship =
        |text: &str| format!("relationship = {{ class = \"OWNS\", type = \"owns\", {text} }}\n");
    let more = |code, text: &str| with(code, TO, &format!("{TO}{text}"));
    vec![
        with("M0101", "\"m\"", "\"m"),
        with("M0102", "owner", "ownr"),
        with("M0103", OWNS, "relationship = { type = \"owns\" }\n"),
        with("M0104", "\"okta\"", "7"),
        with("M0105", "owner", "format = 2\nowner"),
        with("M0106", OWNS, &format!("{OWNS}join = \"from.a = to.a\"\n")),
        with("M0107", INVENTORY, ""),
        with("M0108", INVENTORY, &rows("{ file = \"data/inventory.csv\", inline = [] }")),
        with("M0109", TO, &to("key = \"d:1\", id = \"x\"")),
        with("M0110", "owner", "source = \"data/inventory.csv\"\nowner"),
        with("M0111", "\"okta\"", "\"\""),
        with("M0112", INVENTORY, &rows("{ inline = [], items = \"a[*]\" }")),
        with("M0201", "{row.login}", "{row.login row.device}"),
        with("M0202", "{row.login}", "{row.login"),
        with("M0203", "{row.login}", "{lowr(row.login)}"),
        with("M0204", "{row.login}", "{lower(row.login, 1)}"),
        with("M0205", "{row.login}", "{to._key}"),
        with("M0206", "{row.login}", "{login}"),
        with("M0207", TO, &to("match = \"to.name = extract(row.device, '([a-z')\"")),
        with("M0208", TO, &to("match = \"row.login = row.device\"")),
        join("M0209", "join = \"from.name ~= to.name\"\n"),
        with("M0210", "{row.login}", "{lookup('team', row.login)}"),
        case("M0301", [HEAD, INVENTORY, OWNS, FROM, TO].concat())
            .beside("mappings/l.toml", "scope = \"m\"\n"),
        with("M0302", "\"jamf\"", "\"m\""),
        with("M0303", "\"okta\"", "\"@okto\"")
            .beside("tombolo.toml", "[scopes]\nokta = \"okta\"\n"),
        with("M0304", "OWNS", "owns"),
        with("M0211", INVENTORY, &rows("{ query = \"FIND User THATS HAS Device\" }")),
        with("M0305", "inventory.csv", "inventry.csv"),
        with("M0306", "data/inventory.csv", "../../secret.csv"),
        with("M0307", "{row.login}", "{lookup('t', row.login)}")
            .beside("mappings/data/t.csv", "k,v\na,1\na,2\n"),
        more("M0308", "[[example]]\nrow = { login = \"a\", device = \"1\" }\nkey = \"a owns 1\"\n"),
        more("M0309", "[[example]]\nlinks = false\n"),
        more("M0310", "[[test]]\nname = \"none\"\n"),
        with("M0401", "row.device", "row.devise"),
        with("M0402", "inventory.csv", "wide.csv")
            .beside("mappings/data/wide.csv", "login,device\na,1\nb,2,3\n"),
        with("M0403", "inventory.csv", "bad.json")
            .beside("mappings/data/bad.json", "[\n  {\"a\": }\n]"),
        with("M0404", INVENTORY, &rows("{ file = \"data/doc.yaml\", items = \"apps[*]\" }"))
            .beside("mappings/data/doc.yaml", "applications: []\nowner: x\n"),
        with("M0405", INVENTORY, &rows("{ file = \"data/inventory.csv\", max_age = \"36h\" }")),
        with("M0406", OWNS, &relationship("properties = { at = \"{row.at}\" }"))
            .beside("mappings/data/inventory.csv", "login,device,at\na,1,x\na,1,y\n"),
        with("M0501", "\"okta\"", "\"octa\""),
        with("M0502", TO, &to("type = \"laptops\", key = \"d:{row.device}\"")),
        with("M0503", TO, &to("match = \"to.kind = 'mac'\"")),
        with("M0504", TO, &to("key = \"d:x{row.device}\", missing = \"error\"")),
        with("M0505", OWNS, &relationship("cardinality = \"one-to-many\""))
            .beside("mappings/data/inventory.csv", "login,device\na,1\nb,1\n"),
        with("M0602", "inventory.csv", "empty.csv")
            .beside("mappings/data/empty.csv", "login,device\n"),
        more("M0603", "[guard]\nfresh = { jamf = \"24h\" }\n"),
        more("M0605", "[guard]\nmax_missing_percent = 10\n")
            .beside("mappings/data/inventory.csv", "login,device\na,1\nb,7\nc,8\n"),
        more("M0701", "[[test]]\nname = \"all devices are owned\"\ncovers = \"to\"\n"),
        with("W01", TO, &to("match = \"lower(to.name) = row.device\"")),
        with("W02", "owner = \"it@example.com\"\n", ""),
        with("W03", "\"m\"", "\"other\""),
        more("W04", "[lookup.team]\ninline = { a = \"b\" }\n"),
        with(
            "W05",
            INVENTORY,
            &rows("{ file = \"data/inventory.csv\", where = \"row.login > 5\" }"),
        ),
        with("W07", OWNS, &relationship("properties = { confidence = 0.6 }"))
            .beside("mappings/data/inventory.csv", "login,device\na,1\n"),
        with("W08", OWNS, "relationship = { class = \"OWNS\",\n type = \"owns\" }\n"),
    ]
}

fn graph() -> Memory {
    let mut graph = Memory::default();
    for name in ["a", "b", "c"] {
        graph = graph.with("okta", "user", &format!("u:{name}"), &[("name", name)]);
    }
    for name in ["1", "2"] {
        graph = graph.with("jamf", "laptop", &format!("d:{name}"), &[("kind", "mac")]);
    }
    graph
}

/// So many entities that comparing all pairs is too much.
fn large_graph() -> Memory {
    let mut graph = Memory::default();
    for i in 0..3200 {
        graph = graph.with("okta", "user", &format!("u:{i}"), &[]);
        graph = graph.with("jamf", "laptop", &format!("d:{i}"), &[]);
    }
    graph
}

const THREE_DAYS: Duration = Duration::from_secs(3 * 86_400);

/// All faults of a case, from the check to the tests.
fn faults(case: &Case) -> Vec<Diagnostic> {
    let usual = [
        ("mappings/m.toml", case.1.as_str()),
        ("mappings/data/inventory.csv", "login,device\na,1\n"),
    ];
    for (name, text) in usual.into_iter().chain(case.2.iter().copied()) {
        std::fs::create_dir_all(Path::new(name).parent().unwrap()).unwrap();
        std::fs::write(name, text).unwrap();
    }
    let mut text = case.1.clone();
    if case.0 == "M0307" {
        text += "[lookup.t]\nfile = \"data/t.csv\"\nkey = \"k\"\nvalue = \"v\"\n";
    }
    if case.0 == "W07" {
        text += "[[test]]\nname = \"a owns 1\"\nedge = { from = \"u:a\", to = \"d:1\" }\n";
    }
    std::fs::write("mappings/m.toml", text).unwrap();
    let loaded = load(&["mappings".into()]);
    let mut all = loaded.faults;
    let graph = if case.0 == "M0209" { large_graph() } else { graph() };
    let now = SystemTime::now() + if case.0 == "M0405" { THREE_DAYS } else { Duration::ZERO };
    for mapping in &loaded.mappings {
        match mapping.resolve(&graph, now) {
            Ok(resolved) => {
                let day = 86_400_000;
                let refused = mapping.refusals(&resolved, |_| Ok::<_, ()>(Some(7 * day)), 10 * day);
                all.extend(refused.unwrap());
                let promises = mapping.promises.iter().zip(&resolved.promises);
                all.extend(promises.filter_map(|(p, kept)| mapping.test_diagnostic(p, kept)));
                all.extend(resolved.warnings);
            }
            Err(ResolveError::Faults(faults)) => all.extend(faults),
            Err(ResolveError::Graph(never)) => match never {},
        }
    }
    for (name, _) in &case.2 {
        let _ = std::fs::remove_file(name);
    }
    all
}

#[test]
fn every_fault_says_what_where_and_what_to_do() {
    // Faults name files as they were given; only this test runs in this process.
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let mut told = String::new();
    let mut seen = BTreeSet::new();
    for case in cases() {
        let code = case.0;
        assert!(seen.insert(code), "{code} stands twice");
        let faults = faults(&case);
        let own: Vec<&Diagnostic> = faults.iter().filter(|fault| fault.code == code).collect();
        let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
        assert!(!own.is_empty(), "{code} is not among {codes:?}\n{}", case.1);
        for fault in faults {
            writeln!(told, "{}", fault.plain()).unwrap();
        }
    }
    insta::assert_snapshot!(told);
}
