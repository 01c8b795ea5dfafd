//! Queries from their text to their answer, each on a snapshot of its own, as a command asks them.

mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use std::collections::BTreeMap;
use tombolo::Database;
use tombolo::lang::SourceText;
use tombolo::query::{Query, QueryOptions, QuestionLimits};

const QUESTIONS: [(&str, &str); 6] = [
    (
        "two hops from a key",
        "FIND User WITH _key = 'okta_user:0000400' THAT RELATES TO >> * AS a THAT RELATES TO >> * AS b RETURN b._key",
    ),
    ("count by type", "FIND * AS e RETURN e._type, count(e)"),
    ("class with a filter", "FIND CodeRepo WITH active = true AND risk > 8 AS e RETURN count(e)"),
    ("lookup by a property", "FIND * WITH owner = 'team-77@example.com'"),
    ("group by a property", "FIND Application AS e RETURN e.region, count(e), max(e.risk)"),
    (
        "begin in the middle",
        "FIND User THAT OWNS CodeRepo WITH _key = 'github_repo:0000001' THAT USES Application",
    ),
];

fn query(c: &mut Criterion) {
    for relationships in [100_000u64, 1_000_000] {
        let things = relationships / 2;
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::create(&folder.path().join("query.redb")).expect("a new file");
        common::sync(&database, Some("things"), &common::entities(things));
        let links = common::relationships(relationships, things, 0);
        common::sync(&database, Some("links"), &links);
        let mut group = c.benchmark_group(format!("query/{relationships}"));
        group.sample_size(20);
        for (name, text) in QUESTIONS {
            group.bench_function(name, |b| {
                b.iter(|| {
                    let options = QueryOptions {
                        parameters: Some(BTreeMap::new()),
                        ..QueryOptions::default()
                    };
                    let query = Query::parse(&SourceText::whole("query", text), &options)
                        .expect("a sound query");
                    let snapshot = database.snapshot().expect("the file is sound");
                    query
                        .run(&snapshot, QuestionLimits::default())
                        .expect("the file is sound")
                        .0
                        .len()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, query);
criterion_main!(benches);
