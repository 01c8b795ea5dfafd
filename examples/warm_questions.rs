//! Many questions to one view: how a program that embeds Tombolo asks, and how long each takes.
//!
//! ```text
//! cargo run --release --example warm_questions -- DATABASE QUESTIONS.json ANSWERS.json
//! ```
//!
//! `QUESTIONS.json` holds keys and the right answers: `starts` with `starts_true` (entities reached
//! within 4 steps, and the sum of their distances), `owners` with `owners_true` (steps to the
//! nearest `User` against OWNS and HAS, 0 for none), `hub` with `full_reach`. `ANSWERS.json`
//! receives latencies in milliseconds and the number of wrong answers. Keys are looked up inside
//! the time of each question. `owner_batch` are all questions for owners at once, in seconds.

use serde_json::{Value, json};
use std::error::Error;
use std::time::Instant;
use tombolo::Database;
use tombolo::db::EntityKeyIndex;
use tombolo::graph::{NameLookup, ObjectKind};
use tombolo::store::{Snapshot, split_classes};
use tombolo::view::{
    BlastRules, BlastScratch, FlowDirection, GraphView, VerbFlows, WalkDirection, nearest,
};

const STEPS: u32 = 4;

struct Latencies(Vec<f64>);

impl Latencies {
    fn summary(mut self, wrong: usize) -> Value {
        self.0.sort_by(f64::total_cmp);
        let n = self.0.len();
        let mean = self.0.iter().sum::<f64>() / n as f64;
        json!({"n": n, "bad": wrong, "p50_ms": self.0[n / 2], "p99_ms": self.0[n * 99 / 100], "mean_ms": mean})
    }
}

fn keys(questions: &Value, name: &str) -> Vec<String> {
    let list = questions[name].as_array().into_iter().flatten();
    list.filter_map(|key| key.as_str().map(str::to_owned)).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, questions, answers] = arguments.as_slice() else {
        return Err("expected DATABASE QUESTIONS.json ANSWERS.json".into());
    };
    let begun = Instant::now();
    let snapshot = Database::open(database.as_ref())?.snapshot()?;
    let opened = begun.elapsed().as_secs_f64();
    let view = GraphView::build(&snapshot).map_err(|e| e.to_string())?;
    let viewed = begun.elapsed().as_secs_f64();
    let keys = EntityKeyIndex::build(&snapshot)?;
    let open = begun.elapsed().as_secs_f64();
    let graph = Graph { snapshot, view, keys };
    let questions: Value = serde_json::from_slice(&std::fs::read(questions)?)?;
    let result = json!({
        "open_s": open,
        "view_s": viewed - opened,
        "keys_s": open - viewed,
        "blast": blast(&graph, &questions)?,
        "owner": owner(&graph, &questions)?,
        "owner_batch": owner_batch(&graph, &questions)?,
        "full": full(&graph, &questions)?,
    });
    std::fs::write(answers, result.to_string())?;
    Ok(())
}

/// What all questions are asked of.
struct Graph {
    snapshot: Snapshot,
    view: GraphView,
    keys: EntityKeyIndex,
}

fn blast(graph: &Graph, questions: &Value) -> Result<Value, Box<dyn Error>> {
    let rules =
        BlastRules::new(&VerbFlows::uniform(FlowDirection::Forward), None, None, Some(STEPS));
    let mut scratch = BlastScratch::new();
    let (mut times, mut wrong) = (Vec::new(), 0);
    for (i, key) in keys(questions, "starts").iter().enumerate() {
        let begun = Instant::now();
        let start = [graph.keys.find(&graph.snapshot, key)?];
        let reached = graph.view.reach(&start, &rules, &mut scratch);
        let sum: u64 = reached.by_distance().map(|(d, count)| u64::from(d) * count as u64).sum();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        wrong += usize::from(json!([reached.len(), sum]) != questions["starts_true"][i]);
    }
    Ok(Latencies(times).summary(wrong))
}

/// Which class sets can own, and along which verbs.
struct Ownership {
    verbs: Vec<u32>,
    users: Vec<bool>,
}

impl Ownership {
    fn of(snapshot: &Snapshot) -> Ownership {
        let is_user =
            |set: u32| split_classes(snapshot.name(set)).iter().any(|class| class == "User");
        let verbs = ["OWNS", "HAS"].iter().filter_map(|verb| snapshot.name_number(verb)).collect();
        Ownership { verbs, users: (0..snapshot.meta().next_name).map(is_user).collect() }
    }

    /// Steps to the nearest owner, 0 for none.
    fn distance(&self, graph: &Graph, key: &str) -> Result<u32, Box<dyn Error>> {
        let start = graph.keys.find(&graph.snapshot, key)?;
        // The view itself cannot fail, so what fails beside it is kept aside.
        let mut fault = None;
        let accept = |entity: u32| {
            let facts = graph.snapshot.facts(ObjectKind::Entity, entity).unwrap_or_else(|e| {
                fault = Some(e);
                None
            });
            Ok(facts.is_some_and(|facts| self.users[facts.class as usize]))
        };
        let Ok(found) =
            nearest(&graph.view, start, WalkDirection::In, Some(&self.verbs), accept, Some(STEPS));
        match fault {
            Some(e) => Err(e.into()),
            None => Ok(found.map_or(0, |found| found.distance)),
        }
    }
}

fn owner(graph: &Graph, questions: &Value) -> Result<Value, Box<dyn Error>> {
    let ownership = Ownership::of(&graph.snapshot);
    let (mut times, mut wrong) = (Vec::new(), 0);
    for (i, key) in keys(questions, "owners").iter().enumerate() {
        let begun = Instant::now();
        let distance = ownership.distance(graph, key)?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        wrong += usize::from(json!(distance) != questions["owners_true"][i]);
    }
    Ok(Latencies(times).summary(wrong))
}

fn owner_batch(graph: &Graph, questions: &Value) -> Result<Value, Box<dyn Error>> {
    let keys = keys(questions, "owners");
    let begun = Instant::now();
    let ownership = Ownership::of(&graph.snapshot);
    let found: Result<Vec<u32>, _> =
        keys.iter().map(|key| ownership.distance(graph, key)).collect();
    let seconds = begun.elapsed().as_secs_f64();
    let found = found?;
    Ok(json!({"s": seconds, "n": found.len(), "ok": questions["owners_true"] == json!(found)}))
}

fn full(graph: &Graph, questions: &Value) -> Result<Value, Box<dyn Error>> {
    let hub = [graph.keys.find(&graph.snapshot, questions["hub"].as_str().unwrap_or_default())?];
    let rules = BlastRules::new(&VerbFlows::uniform(FlowDirection::Forward), None, None, None);
    let mut scratch = BlastScratch::new();
    let mut times = Vec::new();
    let mut reached = 0;
    for _ in 0..5 {
        let begun = Instant::now();
        reached = graph.view.reach(&hub, &rules, &mut scratch).len();
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(json!({"s": times[2], "n": reached, "ok": questions["full_reach"] == json!(reached)}))
}
