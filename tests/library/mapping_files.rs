//! Mapping files of any kind, also broken ones: no panic, every row in exactly one bucket, and the
//! edges that a plain search over all pairs finds.

use crate::graph_in_memory::Memory;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::SystemTime;
use tombolo::mapping::{
    DiagnosticSeverity, Mapping, ResolveError, ResolvedMapping, RowOutcome, load,
};

const ROWS: &str = r#"scope = "okta-jamf-ownership"
owner = "it@example.com"
labels = { tier = "1" }
[rows]
files = ["rows.csv", "more/*.json"]
where = "row.status = ('assigned', 'loaned') and not lower(row.login) ^= 'x'"
[lookup.team]
inline = { a = "alpha", b = 7 }
[relationship]
class = "OWNS"
type = "user_owns_device"
cardinality = "one-to-many"
conflict = "skip"
properties = { since = "{row.since}", loan = true, by = "{match.to}", team = "{lookup('team', row.login, 'none')}" }
[from]
scope = "okta"
match = "email(from.email) = email(concat(row.login, '@x.org'))"
[to]
scope = ["jamf", "other"]
type = "laptop"
match = [
  "serial(to.serial) = serial(row.device)",
  { name = "host", when = "hostname(to.host) = hostname(row.device) and to.on = true", properties = { confidence = 0.6 } },
]
ambiguous = "skip"
prefer = "to.seen"
[guard]
min_rows = 0
max_missing_percent = 50
[[example]]
row = { login = "a", device = "s1", status = "assigned" }
from = { email = "A@x.org" }
to = { serial = "S-1" }
[[test]]
covers = "to"
where = "to.on = true"
at_least = "10%"
severity = "warn"
"#;

const JOIN: &str = r#"scope = "joined"
owner = "it@example.com"
from = { scope = "okta", where = "from.email != undefined" }
to = { scope = "jamf", type = ["laptop"], missing = "skip" }
join = [
  "from.serial = to.serial",
  "ip(to.ip) in cidr(from.net)",
  "lower(extract(from.note, 'repo:([A-Za-z]+)')) = to.host",
  "to.host ^= from.host",
]
[relationship]
class = "HAS"
prefer = "prefix_len(from.net)"
cardinality = "one-to-many"
"#;

const INVENTORY: &str = "login,device,status,since\na,s1,assigned,1\nb,h2,loaned,2\n";
const MORE: &str = r#"[{"login": "c", "device": "S 3", "status": "loaned"}]"#;

fn folder(mapping: &str, rows: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.toml"), mapping).unwrap();
    std::fs::write(folder.path().join("rows.csv"), rows).unwrap();
    std::fs::create_dir(folder.path().join("more")).unwrap();
    std::fs::write(folder.path().join("more/a.json"), MORE).unwrap();
    folder
}

fn small_graph() -> Memory {
    Memory::default()
        .with(
            "okta",
            "okta_user",
            "u:a",
            &[("email", "A@x.org"), ("serial", "s9"), ("net", "10.0.0.0/8")],
        )
        .with("okta", "okta_user", "u:b", &[("email", "b@x.org"), ("note", "see repo:Lap")])
        .with("jamf", "laptop", "d:1", &[("serial", "S-1"), ("host", "lap"), ("ip", "10.1.2.3")])
        .with("jamf", "laptop", "d:2", &[("serial", "s9"), ("host", "h2.corp")])
        .with("other", "laptop", "d:3", &[("serial", "s3")])
}

fn resolve(mapping: &Mapping, graph: &Memory) -> Result<ResolvedMapping, Vec<String>> {
    mapping.resolve(graph, SystemTime::now()).map_err(|error| match error {
        ResolveError::Faults(faults) => faults.into_iter().map(|fault| fault.plain()).collect(),
    })
}

fn load_one(text: &str, rows: &str) -> (tempfile::TempDir, Mapping) {
    let folder = folder(text, rows);
    let mut loaded = load(&[folder.path().join("m.toml")]);
    loaded.faults.retain(|fault| fault.severity == DiagnosticSeverity::Error);
    assert!(loaded.faults.is_empty(), "{}", loaded.faults[0].plain());
    (folder, loaded.mappings.remove(0))
}

fn edges(resolved: &ResolvedMapping) -> BTreeSet<String> {
    resolved.drafts.iter().map(|draft| draft.key.to_string()).collect()
}

#[test]
fn the_whole_files_are_sound_and_link_what_they_should() {
    let (_folder, rows) = load_one(ROWS, INVENTORY);
    let resolved = resolve(&rows, &small_graph()).unwrap();
    let expected = BTreeSet::from(["u:a|owns|d:1".to_owned()]);
    assert_eq!(edges(&resolved), expected, "{:?}", resolved.unmatched);
    let draft = &resolved.drafts[0];
    let team = draft.properties.iter().find(|(name, _)| name == "team").unwrap();
    assert_eq!(team.1.as_str(), Some("alpha"));
    let (_folder, join) = load_one(JOIN, INVENTORY);
    let resolved = resolve(&join, &small_graph()).unwrap();
    let expected = ["u:a|has|d:2", "u:b|has|d:1"].map(str::to_owned).into();
    assert_eq!(edges(&resolved), expected, "{:?}", resolved.unmatched);
}

/// The reasons of the rows without an edge, each with its bucket.
fn reasons(resolved: &ResolvedMapping) -> Vec<String> {
    let reason = |row: &tombolo::mapping::UnmatchedRow| {
        format!("{} {}: {}", row.place, row.bucket.name(), row.reason)
    };
    resolved.unmatched.iter().map(reason).collect()
}

/// The edges of a row that makes none in the end leave no trace: a later row makes them again.
#[test]
fn a_row_that_makes_none_of_its_edges_leaves_none_behind() {
    let text = r#"scope = "m"
owner = "x"
rows = { inline = [{ host = "h" }, { host = "k" }, { host = "g" }] }
relationship = { class = "OWNS", type = "t", key = "{to.name}" }
from = { scope = "okta", key = "u:a" }
to = { scope = "jamf", match = "row.host = (to.host, to.alias)", ambiguous = "all" }
"#;
    let graph = Memory::default()
        .with("okta", "u", "u:a", &[])
        .with("jamf", "d", "d:1", &[("host", "h"), ("name", "one"), ("alias", "g")])
        .with("jamf", "d", "d:2", &[("host", "h")])
        .with("jamf", "d", "d:3", &[("host", "k"), ("name", "three")]);
    let (_folder, mapping) = load_one(text, "");
    let resolved = resolve(&mapping, &graph).unwrap();
    assert_eq!(edges(&resolved), ["one", "three"].map(str::to_owned).into());
    assert_eq!(resolved.count.of(RowOutcome::UndefinedKey), 1);
    assert_eq!(resolved.count.of(RowOutcome::Linked), 2);
}

/// `to` that names `from` is looked for, and told of, with the entity of `from` in sight.
#[test]
fn the_reason_for_a_missing_end_knows_the_other_end() {
    let by_key = r#"scope = "m"
owner = "x"
rows = { inline = [{ user = "a" }, { user = "b" }, { user = "c" }] }
relationship = { class = "OWNS", type = "t" }
from = { scope = "okta", match = "from.login = row.user", ambiguous = "skip" }
to = { scope = "jamf", key = "d:{from.device}" }
"#;
    let graph = Memory::default()
        .with("okta", "u", "u:a", &[("login", "a"), ("device", "9")])
        .with("okta", "u", "u:c", &[("login", "c"), ("device", "1")])
        .with("okta", "u", "u:d", &[("login", "c"), ("device", "2")])
        .with("jamf", "d", "d:1", &[("serial", "1")]);
    let (_folder, mapping) = load_one(by_key, "");
    let place = |line: u32| format!("{}:{line}", mapping.file.display());
    assert_eq!(
        reasons(&resolve(&mapping, &graph).unwrap()),
        [
            format!("{} missing to: no entity `d:9` in scope `jamf`", place(3)),
            format!("{} missing from: no entity of scope `okta` fits: row.user is `b`", place(3)),
            format!("{} ambiguous: 2 entities of `from`: u:c, u:d", place(3)),
        ]
    );
    let by_match =
        by_key.replace("key = \"d:{from.device}\"", "match = \"to.serial = from.device\"");
    let (_folder, mapping) = load_one(&by_match, "");
    let place = format!("{}:3", mapping.file.display());
    assert_eq!(
        reasons(&resolve(&mapping, &graph).unwrap()),
        [
            format!("{place} missing to: no entity of scope `jamf` fits: from.device is `9`"),
            format!("{place} missing from: no entity of scope `okta` fits: row.user is `b`"),
            format!("{place} ambiguous: 2 entities of `from`: u:c, u:d"),
        ]
    );
    // A policy of `from` holds though `to` cannot be looked for.
    let strict = by_key.replace("ambiguous = \"skip\"", "missing = \"error\"");
    let (_folder, mapping) = load_one(&strict, "");
    let faults = resolve(&mapping, &graph).unwrap_err();
    let codes: Vec<&str> = faults.iter().filter_map(|fault| fault.get(..12)).collect();
    assert_eq!(codes, ["error[M0504]", "error[M0503]"]);
}

/// Values of a query have their types, so that a number among them may equal a number.
#[test]
fn only_cells_are_read_as_text() {
    let codes = |rows: &str| -> Vec<&str> {
        let text = format!(
            r#"scope = "m"
owner = "x"
rows = {{ {rows}, where = "row.n > 5" }}
relationship = {{ class = "OWNS", type = "t" }}
from = {{ scope = "okta", key = "u:{{row.user}}" }}
to = {{ scope = "jamf", key = "d:{{row.user}}" }}
"#
        );
        let folder = folder(&text, "user,n\na,6\n");
        load(&[folder.path().join("m.toml")]).faults.iter().map(|fault| fault.code).collect()
    };
    assert_eq!(codes(r#"query = "FIND User AS u RETURN u.login AS user, u.age AS n""#), [""; 0]);
    assert_eq!(codes(r#"file = "rows.csv""#), ["W05"]);
}

/// A text with a few characters replaced somewhere.
fn broken(text: &str, at: &prop::sample::Index, cut: usize, insert: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let start = at.index(chars.len());
    let end = (start + cut).min(chars.len());
    let (head, tail) = (&chars[..start], &chars[end..]);
    head.iter().copied().chain(insert.chars()).chain(tail.iter().copied()).collect()
}

proptest! {
    #[test]
    fn a_broken_file_is_a_fault_and_never_a_panic(
        join in any::<bool>(),
        at in any::<prop::sample::Index>(),
        cut in 0..9usize,
        insert in "[\\[\\]{}()'\"=.,a-z0-9 ^~<>!#ä؋\u{3000}\n]{0,4}",
    ) {
        let text = broken(if join { JOIN } else { ROWS }, &at, cut, &insert);
        let folder = folder(&text, INVENTORY);
        let loaded = load(&[folder.path().join("m.toml")]);
        for fault in &loaded.faults {
            prop_assert!(fault.plain().contains(fault.code));
            let json: serde_json::Value = serde_json::from_str(&fault.json()).unwrap();
            prop_assert_eq!(&json["code"], fault.code);
        }
        for mapping in &loaded.mappings {
            if let Ok(resolved) = resolve(mapping, &small_graph()) {
                let sum: u64 = RowOutcome::ALL.iter().map(|b| resolved.count.of(*b)).sum();
                prop_assert_eq!(sum, resolved.count.read());
            }
        }
        let errors = loaded.faults.iter().any(|f| f.severity == DiagnosticSeverity::Error);
        prop_assert!(errors || loaded.mappings.len() == 1);
    }

    #[test]
    fn broken_rows_are_faults_and_never_a_panic(
        at in any::<prop::sample::Index>(),
        cut in 0..9usize,
        insert in "[\\[\\]{}'\"=.,a-z0-9 \u{0}\u{ff}\n]{0,4}",
        name in prop::sample::select(vec!["rows.csv", "more/a.json", "more/b.json"]),
    ) {
        let folder = folder(ROWS, INVENTORY);
        let text = broken(if name == "rows.csv" { INVENTORY } else { MORE }, &at, cut, &insert);
        std::fs::write(folder.path().join(name), text).unwrap();
        for mapping in &load(&[folder.path().join("m.toml")]).mappings {
            if let Err(faults) = resolve(mapping, &small_graph()) {
                prop_assert!(!faults.is_empty());
            }
        }
    }

    /// Rows whose ends are found by conditions, against a search that compares everything.
    #[test]
    fn rows_link_what_a_plain_search_links(
        rows in prop::collection::vec(("[a-d]?", "[a-d]?", any::<bool>()), 0..25),
        users in prop::collection::vec("[a-d]?", 0..6),
        devices in prop::collection::vec("[a-d]?", 0..6),
        all in any::<bool>(),
    ) {
        let mode = if all { "all" } else { "skip" };
        let text = format!(r#"scope = "m"
owner = "x"
rows = {{ file = "rows.csv", where = "row.keep = 'true'" }}
relationship = {{ class = "OWNS", type = "t" }}
from = {{ scope = "okta", match = "lower(from.name) = row.user", ambiguous = "{mode}" }}
to = {{ scope = "jamf", match = "to.name = row.device", ambiguous = "{mode}" }}
"#);
        let mut csv = "user,device,keep\n".to_owned();
        rows.iter().for_each(|(user, device, keep)| csv += &format!("{user},{device},{keep}\n"));
        let mut graph = Memory::default().with("okta", "u", "u:none", &[]).with("jamf", "d", "d:none", &[]);
        for (i, name) in users.iter().enumerate() {
            graph = graph.with("okta", "u", &format!("u:{i}"), &[("name", &name.to_uppercase())]);
        }
        for (i, name) in devices.iter().enumerate() {
            graph = graph.with("jamf", "d", &format!("d:{i}"), &[("name", name)]);
        }
        let (_folder, mapping) = load_one(&text, &csv);
        let resolved = resolve(&mapping, &graph).unwrap();
        let mut expected = BTreeSet::new();
        let mut buckets = [0u64; 9];
        for (user, device, keep) in &rows {
            let hits = |names: &[String], wanted: &str| -> Vec<usize> {
                (0..names.len()).filter(|&i| !wanted.is_empty() && names[i] == wanted).collect()
            };
            let (from, to) = (hits(&users, user), hits(&devices, device));
            let several = !all && (from.len() > 1 || to.len() > 1);
            let made: Vec<String> = from
                .iter()
                .flat_map(|f| to.iter().map(move |t| format!("u:{f}|owns|d:{t}")))
                .collect();
            let bucket = match (keep, from.is_empty(), to.is_empty()) {
                (false, ..) => RowOutcome::Filtered,
                (_, true, true) => RowOutcome::MissingBoth,
                (_, true, false) => RowOutcome::MissingFrom,
                (_, false, true) => RowOutcome::MissingTo,
                _ if several => RowOutcome::Ambiguous,
                _ if made.iter().all(|edge| expected.contains(edge)) => RowOutcome::Duplicate,
                _ => RowOutcome::Linked,
            };
            if bucket == RowOutcome::Linked {
                expected.extend(made);
            }
            buckets[bucket as usize] += 1;
        }
        prop_assert_eq!(edges(&resolved), expected);
        for bucket in RowOutcome::ALL {
            prop_assert_eq!(resolved.count.of(bucket), buckets[bucket as usize], "{}", bucket.name());
        }
        prop_assert_eq!(resolved.count.read(), rows.len() as u64);
    }

    /// Of edges that an end may not have together none stays, and every row is accounted for.
    #[test]
    fn conflicts_take_all_edges_of_an_end(
        rows in prop::collection::vec((0..4u8, 0..4u8), 0..20),
        cardinality in prop::sample::select(vec!["one-to-one", "one-to-many", "many-to-one"]),
    ) {
        let text = format!(r#"scope = "m"
owner = "x"
rows = {{ file = "rows.csv" }}
relationship = {{ class = "OWNS", type = "t", cardinality = "{cardinality}", conflict = "skip" }}
from = {{ scope = "okta", key = "u:{{row.user}}" }}
to = {{ scope = "jamf", key = "d:{{row.device}}" }}
"#);
        let mut csv = "user,device\n".to_owned();
        rows.iter().for_each(|(user, device)| csv += &format!("{user},{device}\n"));
        let mut graph = Memory::default();
        for i in 0..4 {
            graph = graph.with("okta", "u", &format!("u:{i}"), &[]).with("jamf", "d", &format!("d:{i}"), &[]);
        }
        let (_folder, mapping) = load_one(&text, &csv);
        let resolved = resolve(&mapping, &graph).unwrap();
        let pairs: BTreeSet<(u8, u8)> = rows.iter().copied().collect();
        let alone = |pair: &(u8, u8)| {
            let users = pairs.iter().filter(|other| other.1 == pair.1).count();
            let devices = pairs.iter().filter(|other| other.0 == pair.0).count();
            (!cardinality.starts_with("one-to") || users == 1)
                && (!cardinality.ends_with("to-one") || devices == 1)
        };
        let kept = pairs.iter().filter(|pair| alone(pair));
        let expected: BTreeSet<String> = kept.map(|(u, d)| format!("u:{u}|owns|d:{d}")).collect();
        let count = &resolved.count;
        prop_assert_eq!(count.of(RowOutcome::Linked), expected.len() as u64);
        prop_assert_eq!(edges(&resolved), expected);
        prop_assert_eq!(count.read(), rows.len() as u64);
        let lost = pairs.len() as u64 - count.of(RowOutcome::Linked);
        prop_assert!(count.of(RowOutcome::Conflict) >= lost);
    }

    /// The indexes find what comparing all pairs finds.
    #[test]
    fn joins_link_what_a_plain_search_links(
        left in prop::collection::vec(("[ab]{0,2}", 0..4u8, 0..40u8), 0..8),
        right in prop::collection::vec(("[ab]{0,2}", 0..40u8), 0..8),
        condition in 0..4usize,
    ) {
        let net = |len: u8, host: u8| format!("10.0.0.{}/{}", u32::from(host) >> len << len, 32 - u32::from(len));
        let conditions = [
            "from.name = to.name",
            "to.name ^= from.name",
            "from.name ^= to.name",
            "ip(to.ip) in cidr(from.net)",
        ];
        let text = format!(r#"scope = "m"
owner = "x"
join = "{}"
relationship = {{ class = "HAS", type = "t" }}
from = {{ scope = "okta" }}
to = {{ scope = "jamf" }}
[guard]
min_rows = 0
"#, conditions[condition]);
        let mut graph = Memory::default().with("okta", "u", "u:none", &[]).with("jamf", "d", "d:none", &[]);
        for (i, (name, len, host)) in left.iter().enumerate() {
            graph = graph.with("okta", "u", &format!("u:{i}"), &[("name", name), ("net", &net(*len, *host))]);
        }
        for (i, (name, host)) in right.iter().enumerate() {
            let ip = format!("10.0.0.{host}");
            graph = graph.with("jamf", "d", &format!("d:{i}"), &[("name", name), ("ip", &ip)]);
        }
        let (_folder, mapping) = load_one(&text, "");
        let resolved = resolve(&mapping, &graph).unwrap();
        let mut expected = BTreeSet::new();
        for (i, (name, len, host)) in left.iter().enumerate() {
            for (j, (other, ip)) in right.iter().enumerate() {
                let both = !name.is_empty() && !other.is_empty();
                let meet = match condition {
                    0 => both && name == other,
                    1 => both && other.starts_with(name.as_str()),
                    2 => both && name.starts_with(other.as_str()),
                    _ => ip >> len == host >> len,
                };
                if meet {
                    expected.insert(format!("u:{i}|has|d:{j}"));
                }
            }
        }
        prop_assert_eq!(edges(&resolved), expected);
        prop_assert_eq!(resolved.count.read(), left.len() as u64 + 1);
    }
}
