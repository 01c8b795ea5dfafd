//! What clients of JupiterOne ask for that no graph store has: dashboards, people and their rights,
//! compliance, rules and alerts, the running of integrations.
//!
//! Such a question gets an error that says so, with one code for programs. It is recognized by the
//! fields that it asks for; if they say nothing, by the name of its operation.

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Selection, SelectionSet,
};
use serde_json::{Value as Json, json};

/// The code of the error.
const CODE: &str = "OUTSIDE_GRAPH_STORE";

/// An area: what stands in a message, and the words of names of fields and operations that tell it.
type Area = (&'static str, &'static [&'static [&'static str]]);

/// Every area. The first that fits counts.
const AREAS: [Area; 10] = [
    ("smart classes kept in an account", &[&["smart", "class"]]),
    ("rules that drop what is uploaded", &[&["drop", "rule"]]),
    ("questions in natural language", &[&["natural", "language"]]),
    ("dashboards", &[&["dashboard"], &["insight"], &["widget"]]),
    (
        "users, groups and their rights",
        &[
            &["iam"],
            &["invite"],
            &["invitation"],
            &["user"],
            &["group"],
            &["permission"],
            &["member"],
            &["role"],
            &["token"],
        ],
    ),
    (
        "compliance",
        &[
            &["compliance"],
            &["framework"],
            &["control"],
            &["requirement"],
            &["evidence"],
            &["policy"],
        ],
    ),
    (
        "rules and alerts",
        &[&["rule"], &["alert"], &["collection", "result"], &["raw", "data", "download"]],
    ),
    ("questions kept in an account", &[&["question"]]),
    ("parameters of an account", &[&["parameter"]]),
    (
        "the running of integrations",
        &[&["integration"], &["external", "id"], &["ingestion"], &["collector"], &["tunnel"]],
    ),
];

/// What is kept instead, where there is something.
fn instead(area: &str) -> &'static str {
    match area {
        "rules and alerts" | "questions kept in an account" => {
            "`queries.toml` keeps questions with the rows they expect: `tombolo query --check`"
        }
        "users, groups and their rights" => "`tombolo token create` makes tokens with rights",
        "smart classes kept in an account" => {
            "`[smart_classes]` of `queries.toml` holds them for `tombolo query`"
        }
        "the running of integrations" => {
            "run the collector where its credentials are; it uploads through the persister API"
        }
        _ => "ask the service that keeps it",
    }
}

/// The answer to a question for what a graph store does not have; `None` if it is not known to be one.
/// `known` are the fields that this server answers.
pub fn refusal(query: &str, operation: Option<&str>, known: impl Fn(&str) -> bool) -> Option<Json> {
    let document = parse_query(query).ok();
    let fields = document.as_ref().map(|document| root_fields(document, operation));
    let foreign = fields.iter().flatten().filter(|name| !known(name));
    let found = foreign.into_iter().find_map(|name| Some((name.clone(), area(name)?)));
    found.map(|(name, area)| error(&name, area))
}

/// The same for a question that the schema refused or that cannot be read, by every name in it that the
/// schema does not have. Of a field at the top, or where nothing can be read, the operation tells as well.
pub fn refusal_by_name(
    query: &str,
    operation: Option<&str>,
    known: impl Fn(&str) -> bool,
) -> Option<Json> {
    let mut names: Vec<String> = Vec::new();
    let mut by_operation = true;
    if let Ok(document) = parse_query(query) {
        let mut top = root_fields(&document, None);
        top.retain(|name| !known(name));
        by_operation = !top.is_empty();
        for (name, set) in operations(&document) {
            all_fields(&document, set, &mut names, 0);
            names.extend(name.filter(|_| by_operation));
        }
        names.retain(|name| !known(name));
    }
    names.extend(operation.filter(|_| by_operation).map(str::to_owned));
    names.into_iter().find_map(|name| area(&name).map(|area| error(&name, area)))
}

fn error(name: &str, area: &str) -> Json {
    let message = format!("`{name}` is about {area}, which this graph store does not have");
    json!({
        "data": null,
        "errors": [{
            "message": message,
            "extensions": { "code": CODE, "area": area, "hint": instead(area) },
        }],
    })
}

/// The area of a name such as `listRuleInstances`.
fn area(name: &str) -> Option<&'static str> {
    let words = words(name);
    let begins = |pattern: &[&str]| {
        words.windows(pattern.len()).any(|some| {
            some.iter()
                .zip(pattern)
                .all(|(word, start)| word == start || *word == format!("{start}s"))
        })
    };
    let fits = |(_, patterns): &&Area| patterns.iter().any(|pattern| begins(pattern));
    AREAS.iter().find(fits).map(|(area, _)| *area)
}

/// The words of a name in camel case, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            small = false;
            words.push(String::new());
            continue;
        }
        if words.is_empty() || c.is_uppercase() && small {
            words.push(String::new());
        }
        small = !c.is_uppercase();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The operations of a document, with their names.
fn operations(document: &ExecutableDocument) -> Vec<(Option<String>, &SelectionSet)> {
    match &document.operations {
        DocumentOperations::Single(one) => vec![(None, &one.node.selection_set.node)],
        DocumentOperations::Multiple(many) => many
            .iter()
            .map(|(name, one)| (Some(name.to_string()), &one.node.selection_set.node))
            .collect(),
    }
}

/// Fragments inside each other that are followed.
const DEPTH: usize = 20;
/// Names of a document that are looked at.
const NAMES: usize = 2_000;

/// The fields at the top of an operation; of all, if none is named.
fn root_fields(document: &ExecutableDocument, operation: Option<&str>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, set) in operations(document) {
        if operation.is_none() || name.is_none() || name.as_deref() == operation {
            top_fields(document, set, &mut names, 0);
        }
    }
    names
}

fn top_fields(
    document: &ExecutableDocument,
    set: &SelectionSet,
    names: &mut Vec<String>,
    depth: usize,
) {
    each_selection(document, set, names, depth, &mut |field, names| {
        names.push(field.name.node.to_string());
    });
}

fn all_fields(
    document: &ExecutableDocument,
    set: &SelectionSet,
    names: &mut Vec<String>,
    depth: usize,
) {
    each_selection(document, set, names, depth, &mut |field, names| {
        names.push(field.name.node.to_string());
        all_fields(document, &field.selection_set.node, names, depth + 1);
    });
}

fn each_selection(
    document: &ExecutableDocument,
    set: &SelectionSet,
    names: &mut Vec<String>,
    depth: usize,
    visit: &mut dyn FnMut(&async_graphql::parser::types::Field, &mut Vec<String>),
) {
    if depth > DEPTH {
        return;
    }
    for item in &set.items {
        if names.len() > NAMES {
            return;
        }
        match &item.node {
            Selection::Field(field) => visit(&field.node, names),
            Selection::InlineFragment(fragment) => {
                let inner = &fragment.node.selection_set.node;
                each_selection(document, inner, names, depth + 1, visit);
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    let inner = &fragment.node.selection_set.node;
                    each_selection(document, inner, names, depth + 1, visit);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_their_words() {
        for (name, expected) in [
            ("getDashboards", Some("dashboards")),
            ("createDashboardWidget", Some("dashboards")),
            ("iamGetGroupList", Some("users, groups and their rights")),
            ("invite", Some("users, groups and their rights")),
            ("updateInvitation", Some("users, groups and their rights")),
            ("GetInvitations", Some("users, groups and their rights")),
            ("complianceFrameworkItem", Some("compliance")),
            ("listRuleInstances", Some("rules and alerts")),
            ("listAlertInstances", Some("rules and alerts")),
            ("getRawDataDownloadUrl", Some("rules and alerts")),
            ("questions", Some("questions kept in an account")),
            ("setParameter", Some("parameters of an account")),
            ("dropRulesConfigBeta", Some("rules that drop what is uploaded")),
            ("evaluateSmartClassRule", Some("smart classes kept in an account")),
            ("j1qlFromNaturalLanguage", Some("questions in natural language")),
            ("createCollector", Some("the running of integrations")),
            ("invokeIntegrationInstance", Some("the running of integrations")),
            ("generateExternalIdV2", Some("the running of integrations")),
            ("queryV3", None),
            ("createEntity", None),
        ] {
            assert_eq!(area(name), expected, "{name}");
        }
    }

    #[test]
    fn a_question_is_refused_by_its_fields_and_else_by_its_name() {
        let known = |name: &str| name == "queryV1";
        let own = "query GetDashboards { queryV1(query: \"FIND User\") { type } }";
        assert!(refusal(own, None, known).is_none(), "what is answered is answered");
        let inside = "query q { ...f } fragment f on Query { a: listRuleInstances { id } }";
        let told = refusal(inside, Some("q"), known).expect("it is outside");
        assert_eq!(told["errors"][0]["extensions"]["code"], CODE);
        assert_eq!(told["errors"][0]["extensions"]["area"], "rules and alerts");
        let nested =
            "query GetInvitations { iamGetAccount { accountInvitations { items { id } } } }";
        assert!(refusal(nested, None, |name| name == "iamGetAccount").is_none());
        let own = |name: &str| name == "iamGetAccount";
        assert!(refusal_by_name(nested, None, own).is_some());
        assert!(refusal_by_name("query {", Some("GetDashboards"), own).is_some());
        assert!(refusal_by_name("query { somethingElse }", Some("Other"), own).is_none());
        assert!(refusal_by_name("query { somethingElse }", Some("ListAlerts"), own).is_some());
        // A client may call its own question what it likes; what is wrong with it is told then.
        let wrong = "query FindUsers { queryV1(nope: 1) { type } }";
        assert!(refusal_by_name(wrong, Some("FindUsers"), |name| name != "nope").is_none());
        let endless = "query { ...a } fragment a on Query { ...a }";
        assert!(refusal(endless, None, known).is_none());
    }
}
