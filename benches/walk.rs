//! Building a view; blast radii and nearest owners over it; opening the file, and one question
//! straight from it, also as the whole process that asks it.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::process::{Command, Stdio};
use tombolo::Database;
use tombolo::db::EntityKeyIndex;
use tombolo::graph::{AdjacencyRead, GraphRead, NameLookup, ObjectId, ObjectKind};
use tombolo::rules::{BoundRules, ImpactFilter, RuleTable};
use tombolo::view::{
    BlastRules, BlastScratch, FlowDirection, GraphView, ImpactScratch, VerbFlows, WalkDirection,
    blast_radius, impact, nearest,
};

fn walk(c: &mut Criterion) {
    for relationships in [100_000u64, 1_000_000] {
        let things = relationships / 2;
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::create(&folder.path().join("walk.redb")).expect("a new file");
        common::sync(&database, Some("things"), &common::entities(things));
        let links = common::relationships(relationships, things, 0);
        common::sync(&database, Some("links"), &links);
        let snapshot = database.snapshot().expect("the file is sound");
        let view = GraphView::build(&snapshot).expect("the file is sound");
        let sorted = GraphView::of(&snapshot).expect("the file is sound");
        let mut bound = BoundRules::new(&RuleTable::default(), ImpactFilter::ANY);
        let spread = sorted.with_rules(&snapshot, &mut bound);
        // What walks along the same verbs without looking at ends.
        let flows = snapshot
            .name_number("USES")
            .iter()
            .fold(VerbFlows::uniform(FlowDirection::Forward), |flows, &verb| {
                flows.with(verb, FlowDirection::Reverse)
            });
        let by_verb = BlastRules::new(&flows, None, None, Some(4));
        let near =
            BlastRules::new(&VerbFlows::uniform(FlowDirection::Forward), None, None, Some(4));
        let all = BlastRules::new(&VerbFlows::uniform(FlowDirection::Forward), None, None, None);
        let mut random = common::Random(3);
        let starts: Vec<u32> =
            (0..1000).map(|_| random.below(u64::from(snapshot.entity_bound())) as u32).collect();
        // Sources are skewed to the first entities, which are numbered as they were uploaded.
        let hub = 0;
        let mut scratch = BlastScratch::new();

        let mut group = c.benchmark_group(format!("view/{relationships}"));
        group.sample_size(10);
        group.bench_function("build", |b| b.iter(|| GraphView::build(&snapshot).expect("sound")));
        group.bench_function("build, with classes", |b| {
            b.iter(|| GraphView::of(&snapshot).expect("sound"));
        });
        group.finish();

        let mut group = c.benchmark_group(format!("blast_radius/{relationships}"));
        group.sample_size(20);
        group.bench_function("cold, 4 steps, from opening the file", |b| {
            b.iter(|| {
                let snapshot = database.snapshot().expect("sound");
                let id =
                    ObjectId::new(ObjectKind::Entity, "things", &common::entity_key(things / 2));
                let found = snapshot.find(ObjectKind::Entity, 1, id).expect("sound");
                let root = found.map_or(starts[0], |identity| identity.number);
                blast_radius(&snapshot, &[root], &near, &mut BlastScratch::new())
                    .expect("sound")
                    .len()
            });
        });
        let keys: Vec<String> =
            starts.iter().map(|&start| common::entity_key(u64::from(start))).collect();
        let index = EntityKeyIndex::build(&snapshot).expect("sound");
        group.bench_function("1,000 keys, one search each", |b| {
            b.iter(|| {
                for key in &keys {
                    black_box(index.find(&snapshot, key).expect("every key is there"));
                }
            });
        });
        group.bench_function("warm, 4 steps, 1,000 starts", |b| {
            b.iter(|| {
                for &start in &starts {
                    black_box(view.reach(&[start], &near, &mut scratch).len());
                }
            });
        });
        group.bench_function("warm, 4 steps, 1,000 starts, each verb its way", |b| {
            b.iter(|| {
                for &start in &starts {
                    black_box(view.reach(&[start], &by_verb, &mut scratch).len());
                }
            });
        });
        let mut memory = ImpactScratch::new();
        group.bench_function("warm, 4 steps, 1,000 starts, by the rules", |b| {
            b.iter(|| {
                for &start in &starts {
                    black_box(spread.reach(&[start], Some(4), &mut memory).len());
                }
            });
        });
        group.bench_function("warm, everything from the largest hub, by the rules", |b| {
            b.iter(|| spread.reach(&[hub], None, &mut memory).len());
        });
        group.bench_function("cold, 4 steps, by the rules, from opening the file", |b| {
            b.iter(|| {
                let snapshot = database.snapshot().expect("sound");
                let mut bound = BoundRules::new(&RuleTable::default(), ImpactFilter::ANY);
                impact(&snapshot, &[starts[0]], &mut bound, Some(4)).expect("sound").visits.len()
            });
        });
        group.bench_function("warm, everything from the largest hub", |b| {
            b.iter(|| view.reach(&[hub], &all, &mut scratch).len());
        });
        for (name, flags) in [
            ("cold, 4 steps, whole process", &["--direction", "out"][..]),
            ("cold, 4 steps, by the rules, whole process", &[]),
        ] {
            group.bench_function(name, |b| {
                let key = common::entity_key(things / 2);
                b.iter(|| {
                    let status = Command::new(env!("CARGO_BIN_EXE_tombolo"))
                        .arg("--db")
                        .arg(database.file_path())
                        .args(["blast-radius", &key, "--depth", "4", "-o", "json", "--quiet"])
                        .args(flags)
                        .stdout(Stdio::null())
                        .status();
                    assert!(status.expect("it runs").success());
                });
            });
        }
        group.finish();

        let mut group = c.benchmark_group(format!("open/{relationships}"));
        group.bench_function("to the first answer", |b| {
            let key = common::entity_key(things / 2);
            b.iter(|| {
                let (_, snapshot) = Database::open_briefly(database.file_path()).expect("sound");
                snapshot.entity_keyed("things", &key).expect("sound").expect("it is there")
            });
        });
        group.finish();

        let mut group = c.benchmark_group(format!("owners/{relationships}"));
        group.sample_size(20);
        let verbs: Vec<u32> =
            ["OWNS", "HAS"].iter().filter_map(|verb| snapshot.name_number(verb)).collect();
        let user = snapshot.name_number("User");
        let owner = |key: &str| {
            let start = index.find(&snapshot, key).expect("every key is there");
            let accept = |entity: u32| {
                let facts = snapshot.facts(ObjectKind::Entity, entity).expect("sound");
                Ok(facts.is_some_and(|facts| Some(facts.class) == user))
            };
            nearest(&view, start, WalkDirection::In, Some(&verbs), accept, Some(4))
                .expect("views do not fail")
        };
        // One question after the other is also what a batch is: a view keeps nothing of them.
        group.bench_function("warm, nearest of 1,000 entities", |b| {
            b.iter(|| {
                for key in &keys {
                    black_box(owner(key).is_some());
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, walk);
criterion_main!(benches);
