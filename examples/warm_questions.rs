//! Many questions to one view: how a program that embeds Tombolo asks, and how long each takes.
//!
//! ```text
//! cargo run --release --example warm_questions -- DATABASE QUESTIONS.json ANSWERS.json
//! ```
//!
//! `QUESTIONS.json` holds keys and the right answers: `starts` with `starts_true` (entities reached
//! within 4 steps, and the sum of their distances), `owners` with `owners_true` (steps to the
//! nearest `User` against OWNS and HAS, 0 for none), `hub` with `full_reach`. `ANSWERS.json`
//! receives latencies in milliseconds and the number of wrong answers.

use serde_json::{Value, json};
use std::error::Error;
use std::time::Instant;
use tombolo::Database;
use tombolo::graph::{GraphRead, Kind, Names};
use tombolo::store::{Snapshot, split_classes};
use tombolo::view::{BlastRules, Flow, Flows, GraphView, Scratch, Way, nearest};

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
    let database = Database::open(database.as_ref())?;
    let snapshot = database.snapshot()?;
    let view = GraphView::build(&snapshot).map_err(|e| e.to_string())?;
    let open = begun.elapsed().as_secs_f64();
    let questions: Value = serde_json::from_slice(&std::fs::read(questions)?)?;
    let result = json!({
        "open_s": open,
        "blast": blast(&database, &snapshot, &view, &questions)?,
        "owner": owner(&database, &snapshot, &view, &questions)?,
        "full": full(&database, &snapshot, &view, &questions)?,
    });
    std::fs::write(answers, result.to_string())?;
    Ok(())
}

fn blast(
    database: &Database,
    snapshot: &Snapshot,
    view: &GraphView,
    questions: &Value,
) -> Result<Value, Box<dyn Error>> {
    let rules = BlastRules::new(&Flows::uniform(Flow::Forward), None, None, Some(STEPS));
    let mut scratch = Scratch::new();
    let (mut times, mut wrong) = (Vec::new(), 0);
    for (i, key) in keys(questions, "starts").iter().enumerate() {
        let begun = Instant::now();
        let start = database.find_entity(snapshot, key)?;
        let reached = view.blast_radius(&[start], &rules, &mut scratch);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let sum: u64 = reached.iter().map(|r| u64::from(r.distance)).sum();
        wrong += usize::from(json!([reached.len(), sum]) != questions["starts_true"][i]);
    }
    Ok(Latencies(times).summary(wrong))
}

fn owner(
    database: &Database,
    snapshot: &Snapshot,
    view: &GraphView,
    questions: &Value,
) -> Result<Value, Box<dyn Error>> {
    let verbs: Vec<u32> = ["OWNS", "HAS"].iter().filter_map(|v| snapshot.name_number(v)).collect();
    let is_user: Vec<bool> = (0..snapshot.dictionary().count())
        .map(|set| split_classes(snapshot.name(set)).iter().any(|class| class == "User"))
        .collect();
    let mut users = vec![false; view.entity_bound() as usize];
    for entity in snapshot.entities_with(None, Some("User"))? {
        let facts = snapshot.facts(Kind::Entity, entity)?;
        users[entity as usize] = facts.is_some_and(|facts| is_user[facts.class as usize]);
    }
    let (mut times, mut wrong) = (Vec::new(), 0);
    for (i, key) in keys(questions, "owners").iter().enumerate() {
        let begun = Instant::now();
        let start = database.find_entity(snapshot, key)?;
        let accept = |entity: u32| Ok(users[entity as usize]);
        let Ok(found) = nearest(view, start, Way::In, Some(&verbs), accept, Some(STEPS));
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let distance = found.map_or(0, |found| found.distance);
        wrong += usize::from(json!(distance) != questions["owners_true"][i]);
    }
    Ok(Latencies(times).summary(wrong))
}

fn full(
    database: &Database,
    snapshot: &Snapshot,
    view: &GraphView,
    questions: &Value,
) -> Result<Value, Box<dyn Error>> {
    let hub = database.find_entity(snapshot, questions["hub"].as_str().unwrap_or_default())?;
    let rules = BlastRules::new(&Flows::uniform(Flow::Forward), None, None, None);
    let mut scratch = Scratch::new();
    let mut times = Vec::new();
    let mut reached = 0;
    for _ in 0..5 {
        let begun = Instant::now();
        reached = view.blast_radius(&[hub], &rules, &mut scratch).len();
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(json!({"s": times[2], "n": reached, "ok": questions["full_reach"] == json!(reached)}))
}
