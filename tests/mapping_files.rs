//! Mapping files of any kind, also broken ones: no panic, and every row in exactly one bucket.

use proptest::prelude::*;
use tombolo::mapping::{Severity, load};

const FILE: &str = r#"scope = "okta-jamf-ownership"
owner = "it@example.com"
[rows]
file = "rows.csv"
where = "row.status = ('assigned', 'loaned') and not lower(row.login) ^= 'x'"
[relationship]
class = "OWNS"
type = "user_owns_device"
properties = { since = "{row.since}", loan = true }
[from]
scope = "okta"
key = "okta-user:{row.login}"
[to]
scope = "jamf"
key = "jamf-device:{trim(row['device'])}"
"#;

fn folder(mapping: &str, rows: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.toml"), mapping).unwrap();
    std::fs::write(folder.path().join("rows.csv"), rows).unwrap();
    folder
}

proptest! {
    #[test]
    fn a_broken_file_is_a_fault_and_never_a_panic(
        at in any::<prop::sample::Index>(),
        cut in 0..6usize,
        insert in "[\\[\\]{}()'\"=.,a-z0-9 ^~<>!\n]{0,4}",
    ) {
        let chars: Vec<char> = FILE.chars().collect();
        let start = at.index(chars.len());
        let end = (start + cut).min(chars.len());
        let broken: String =
            chars[..start].iter().copied().chain(insert.chars()).chain(chars[end..].iter().copied()).collect();
        let folder = folder(&broken, "login,device,status,since\na,b,assigned,1\n");
        let loaded = load(&[folder.path().join("m.toml")]);
        for fault in &loaded.faults {
            prop_assert!(fault.plain().contains(fault.code));
            let json: serde_json::Value = serde_json::from_str(&fault.json()).unwrap();
            prop_assert_eq!(&json["code"], fault.code);
        }
        for mapping in &loaded.mappings {
            mapping.draft_rows(|_, _| None).for_each(drop);
        }
        let errors = loaded.faults.iter().any(|f| f.severity == Severity::Error);
        prop_assert!(errors || loaded.mappings.len() == 1);
    }

    #[test]
    fn every_row_ends_in_exactly_one_bucket(
        rows in prop::collection::vec(("[abx]?", "[dex]?", prop::sample::select(vec!["assigned", "loaned", "retired", ""]), "[12]?"), 0..30)
    ) {
        let mut text = String::from("login,device,status,since\n");
        for (login, device, status, since) in &rows {
            text += &format!("{login},{device},{status},{since}\n");
        }
        let folder = folder(FILE, &text);
        let loaded = load(&[folder.path().join("m.toml")]);
        prop_assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
        let mut drafts = loaded.mappings[0].draft_rows(|_, _| None);
        let mut seen = 0;
        for row in drafts.by_ref() {
            // Two rows with one key and different properties are a fault, and end the run.
            if row.is_err() {
                return Ok(());
            }
            seen += 1;
        }
        let count = drafts.row_count();
        prop_assert_eq!(count.read, seen);
        prop_assert_eq!(seen as usize, rows.len());
        let buckets = count.linked + count.filtered + count.duplicate + count.undefined_key;
        prop_assert_eq!(buckets, count.read);
    }
}
