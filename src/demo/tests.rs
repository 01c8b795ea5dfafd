//! Facts about the generated text on which the rest of the demo relies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{DemoCompany, DemoFile, company};
use crate::graph::{NameKind, check_name};

type Object = Map<String, Value>;

fn objects(text: &str) -> Vec<Object> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

fn text_of<'a>(object: &'a Object, name: &str) -> &'a str {
    object[name].as_str().expect("a string")
}

fn is_relationship(object: &Object) -> bool {
    object.contains_key("_fromEntityKey")
}

fn entity_keys(file: &DemoFile) -> Vec<String> {
    let objects = objects(&file.text);
    objects.iter().filter(|o| !is_relationship(o)).map(|o| text_of(o, "_key").to_owned()).collect()
}

fn scope<'a>(company: &'a DemoCompany, scope: &str) -> &'a DemoFile {
    company.files.iter().find(|file| file.scope == scope).expect("the scope exists")
}

fn has_edge(company: &DemoCompany, scope_name: &str, key: &str) -> bool {
    let objects = objects(&scope(company, scope_name).text);
    objects.iter().any(|o| is_relationship(o) && text_of(o, "_key") == key)
}

fn input<'a>(company: &'a DemoCompany, path: &str) -> &'a str {
    let found = company.mapping_inputs.iter().find(|(p, _)| *p == path);
    &found.expect("the input exists").1
}

/// Rows of a CSV file without quotes, by column.
fn csv_rows(text: &str) -> Vec<BTreeMap<&str, &str>> {
    assert!(!text.contains('"'), "the demo needs no quoting");
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    lines
        .map(|cells| {
            assert_eq!(cells.len(), header.len());
            header.iter().copied().zip(cells).collect()
        })
        .collect()
}

/// Sorts pairs of keys into edges and into those with an end that no scope has.
fn link(
    company: &DemoCompany,
    from: &str,
    to: &str,
    pairs: Vec<(String, String)>,
) -> (usize, String) {
    let keys = |name: &str| BTreeSet::from_iter(entity_keys(scope(company, name)));
    let (from_keys, to_keys) = (keys(from), keys(to));
    let count = pairs.len();
    let missing: Vec<String> = pairs
        .into_iter()
        .filter(|(from, to)| !from_keys.contains(from) || !to_keys.contains(to))
        .map(|(from, to)| format!("{from} -> {to}"))
        .collect();
    (count - missing.len(), missing.join(", "))
}

#[test]
fn two_calls_make_the_same_company() {
    assert_eq!(company(), company());
}

#[test]
fn the_company_has_some_hundred_entities() {
    let company = company();
    let count: usize = company.files.iter().map(|file| entity_keys(file).len()).sum();
    assert!((250..=400).contains(&count), "{count} entities");
    let scopes: Vec<&str> = company.files.iter().map(|file| file.scope).collect();
    assert_eq!(scopes, ["okta", "jamf", "github", "aws", "cmdb"]);
}

#[test]
fn entity_keys_are_unique_in_the_whole_company() {
    let mut seen = BTreeSet::new();
    for file in &company().files {
        for key in entity_keys(file) {
            assert!(seen.insert(key.clone()), "`{key}` twice");
        }
    }
}

#[test]
fn relationship_keys_are_unique_and_follow_the_default() {
    for file in &company().files {
        let mut seen = BTreeSet::new();
        for edge in objects(&file.text).iter().filter(|o| is_relationship(o)) {
            let verb = text_of(edge, "_class").to_lowercase();
            let (from, to) = (text_of(edge, "_fromEntityKey"), text_of(edge, "_toEntityKey"));
            assert_eq!(text_of(edge, "_key"), format!("{from}|{verb}|{to}"));
            assert!(seen.insert(text_of(edge, "_key").to_owned()), "`{from}` -> `{to}` twice");
        }
    }
}

#[test]
fn both_ends_of_every_relationship_are_in_its_scope() {
    for file in &company().files {
        let keys = BTreeSet::from_iter(entity_keys(file));
        for edge in objects(&file.text).iter().filter(|o| is_relationship(o)) {
            for end in ["_fromEntityKey", "_toEntityKey"] {
                let key = text_of(edge, end);
                assert!(keys.contains(key), "`{key}` is not in scope `{}`", file.scope);
            }
        }
    }
}

#[test]
fn every_object_names_its_scope_type_and_class_and_is_flat() {
    for file in &company().files {
        for object in objects(&file.text) {
            assert_eq!(text_of(&object, "_scope"), file.scope);
            check_name(NameKind::Key, text_of(&object, "_key")).expect("a key");
            check_name(NameKind::Type, text_of(&object, "_type")).expect("a type");
            assert_eq!(object["_class"].is_array(), !is_relationship(&object));
            for (name, value) in object.iter().filter(|(name, _)| !name.starts_with('_')) {
                check_name(NameKind::Property, name).expect("a property name");
                assert!(!value.is_object() && !value.is_array(), "`{name}` is not flat");
            }
        }
    }
}

#[test]
fn no_two_laptops_share_a_serial_number() {
    let serials: Vec<String> = objects(&scope(&company(), "jamf").text)
        .iter()
        .map(|laptop| text_of(laptop, "serialNumber").to_owned())
        .collect();
    assert_eq!(serials.len(), BTreeSet::from_iter(&serials).len());
}

#[test]
fn alice_is_in_sre_and_has_the_first_laptop() {
    let company = company();
    assert!(has_edge(&company, "okta", "okta-group:sre|has|okta-user:alice"));
    let rows = csv_rows(input(&company, "data/inventory.csv"));
    let alice: Vec<&str> =
        rows.iter().filter(|r| r["login"] == "alice").map(|r| r["device"]).collect();
    assert_eq!(alice, ["laptop-001"]);
}

#[test]
fn platform_assets_is_deployed_by_a_repository_of_team_platform_alone() {
    let company = company();
    let rows = objects(input(&company, "data/deployments.ndjson"));
    let deployers: Vec<&str> = rows
        .iter()
        .filter(|r| text_of(r, "bucket") == "platform-assets" && text_of(r, "status") == "active")
        .map(|r| text_of(r, "repository"))
        .collect();
    assert_eq!(deployers, ["platform-api"]);
    assert!(has_edge(&company, "github", "github-team:platform|owns|github-repo:platform-api"));
}

#[test]
fn billing_writer_reaches_buckets_applications_and_their_dependents() {
    let company = company();
    for edge in ["allows|s3-bucket:invoices", "allows|dynamodb-table:payments"] {
        assert!(has_edge(&company, "aws", &format!("aws-iam-role:billing-writer|{edge}")));
    }
    let rows = csv_rows(input(&company, "data/app-roles.csv"));
    assert!(rows.iter().any(|r| r["application"] == "billing" && r["role"] == "billing-writer"));
    assert!(has_edge(&company, "cmdb", "cmdb-app:subscriptions|depends_on|cmdb-app:billing"));
    assert!(has_edge(&company, "cmdb", "cmdb-app:mobile|depends_on|cmdb-app:subscriptions"));
}

#[test]
fn inventory_rows_link_but_for_the_two_meant_not_to() {
    let company = company();
    let pairs = csv_rows(input(&company, "data/inventory.csv"))
        .iter()
        .filter(|r| r["status"] == "assigned")
        .map(|r| (format!("okta-user:{}", r["login"]), format!("jamf-device:{}", r["device"])))
        .collect();
    let (linked, missing) = link(&company, "okta", "jamf", pairs);
    assert_eq!(linked, 62);
    assert_eq!(
        missing,
        "okta-user:priya -> jamf-device:laptop-071, okta-user:rupert -> jamf-device:laptop-072"
    );
}

#[test]
fn deployments_link_but_for_the_two_meant_not_to() {
    let company = company();
    let pairs = objects(input(&company, "data/deployments.ndjson"))
        .iter()
        .filter(|r| text_of(r, "status") == "active")
        .map(|r| {
            let repo = format!("github-repo:{}", text_of(r, "repository"));
            (repo, format!("s3-bucket:{}", text_of(r, "bucket")))
        })
        .collect();
    let (linked, missing) = link(&company, "github", "aws", pairs);
    assert_eq!(linked, 26);
    assert_eq!(
        missing,
        "github-repo:marketing-site -> s3-bucket:campaign-2023-media, \
         github-repo:status-page-legacy -> s3-bucket:status-page"
    );
}

#[test]
fn application_roles_link_but_for_the_one_meant_not_to() {
    let company = company();
    let pairs = csv_rows(input(&company, "data/app-roles.csv"))
        .iter()
        .map(|r| (format!("cmdb-app:{}", r["application"]), format!("aws-iam-role:{}", r["role"])))
        .collect();
    let (linked, missing) = link(&company, "cmdb", "aws", pairs);
    assert_eq!(linked, 24);
    assert_eq!(missing, "cmdb-app:accounting -> aws-iam-role:accounting-reader");
}
