//! Any bytes as the body of a question: a query with parameters, asked within small limits. What is
//! held is given back, and nothing is held beyond the limit.

#![no_main]

#[path = "../../tests/graph_of_parts/mod.rs"]
mod graph_of_parts;

use graph_of_parts::Graph;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tombolo::graph::Value;
use tombolo::lang::SourceText;
use tombolo::limits::{QuestionLimits, MemoryPool, CostMeter};
use tombolo::query::{AnswerJson, QueryOptions, Query};

fn parameter(json: &Json) -> Option<Value<'static>> {
    Some(match json {
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => Value::number(&n.to_string())?,
        Json::String(text) => Value::Text(text.clone().into()),
        Json::Array(items) => Value::List(items.iter().map(parameter).collect::<Option<_>>()?),
        Json::Null | Json::Object(_) => return None,
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(body) = serde_json::from_slice::<Json>(bytes) else { return };
    let Some(text) = body["query"].as_str() else { return };
    let given = body["params"].as_object().into_iter().flatten();
    let parameters: BTreeMap<String, Value<'static>> =
        given.filter_map(|(name, json)| Some((name.clone(), parameter(json)?))).collect();
    let options = QueryOptions {
        parameters: Some(parameters),
        until: Some(Instant::now() + Duration::from_secs(2)),
        ..Options::default()
    };
    let Ok(query) = Query::parse(&SourceText::whole("query", text), &options) else { return };
    let mut graph = Graph::default();
    let list: Vec<String> = (0..50).map(|i| format!("item {i}")).collect();
    let user = graph.entity("okta", "alice", "user", &["User"], json!({ "a": 1, "b": list }));
    let group = graph.entity("okta", "sre", "group", &["Group"], json!({ "a": "x".repeat(900) }));
    graph.link("okta", group, "HAS", user, json!({ "since": 2 }));
    let pool = Arc::new(MemoryPool::new(8 << 20));
    let meter = CostMeter::new(QuestionLimits {
        time: Some(Duration::from_secs(2)),
        rows: 10_000,
        steps: 100_000,
        value: 64 << 10,
        memory: 4 << 20,
        pool: Some(Arc::clone(&pool)),
        ..Limits::default()
    });
    if let Ok((answer, _)) = query.run_metered(&graph, &meter) {
        let written = serde_json::to_vec(&AnswerJson::new(&answer, &graph)).expect("memory takes all");
        drop(written);
    }
    assert!(meter.held() <= 4 << 20);
    drop(meter);
    assert_eq!(pool.taken(), 0);
});
