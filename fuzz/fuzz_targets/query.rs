//! Any text as a query, asked of a small graph.

#![no_main]

#[path = "../../tests/graph_of_parts/mod.rs"]
mod graph_of_parts;

use graph_of_parts::Graph;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use std::collections::BTreeMap;
use tombolo::lang::SourceText;
use tombolo::query::{QuestionLimits, QueryOptions, Query};

fuzz_target!(|text: &str| {
    let options = QueryOptions { parameters: Some(BTreeMap::new()), ..Options::default() };
    let source = SourceText::whole("query", text);
    match Query::parse(&source, &options) {
        Err(fault) => drop((fault.plain(), fault.json())),
        Ok(query) => {
            let mut graph = Graph::default();
            let user = graph.entity("okta", "alice", "user", &["User"], json!({ "a": 1, "b": ["x"] }));
            let group = graph.entity("okta", "sre", "group", &["Group"], json!({ "a": "x" }));
            let device = graph.entity("jamf", "mac", "laptop", &["Device"], json!({ "a": true }));
            graph.link("okta", group, "HAS", user, json!({}));
            graph.link("own", user, "OWNS", device, json!({ "since": 2 }));
            let limits = QuestionLimits { rows: 10_000, steps: 100_000, ..Limits::default() };
            if let Ok((answer, _)) = query.run(&graph, limits) {
                drop(answer.json(&graph));
            }
        }
    }
});
