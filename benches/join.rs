//! Joins between two scopes of a real database, at 20,000 and 200,000 entities each: the second
//! should cost ten times the first. `resolve` reads the entities, builds the indexes, finds the
//! ends and makes the drafts; nothing is planned or written.

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write;
use std::time::SystemTime;
use tombolo::Database;
use tombolo::mapping::{Mapping, load};

/// A name and the join, which links each entity of `from` to one of `to`.
const JOINS: [(&str, &str); 5] = [
    ("email", "email(from.email) = email(to.mail)"),
    ("serial", "serial(from.serial) = serial(to.serialNumber)"),
    ("arn", "to.accountId = arn_account(from.arn) and to.role = arn_name(from.arn)"),
    ("cidr", "ip(to.ip) in cidr(from.net)"),
    ("regex", "lower(extract(from.note, 'repo:([A-Za-z0-9_.-]+)')) = lower(to.repo)"),
];

fn database(folder: &std::path::Path, count: u32) -> Database {
    let database = Database::create(&folder.join(format!("{count}.redb"))).expect("a new file");
    let (mut from, mut to) = (String::new(), String::new());
    for i in 0..count {
        let (a, b) = (i >> 8, i & 255);
        writeln!(
            from,
            "{{\"_key\":\"f:{i}\",\"_type\":\"person\",\"_class\":\"Person\",\
             \"email\":\"Person.{i}@Example.com\",\"serial\":\"c02-{i:08}\",\
             \"arn\":\"arn:aws:iam::{:012}:role/team/r{i}\",\"net\":\"10.{}.{}.{b}/32\",\
             \"note\":\"see repo:Service-{i}, please\"}}",
            i % 97,
            a >> 8,
            a & 255
        )
        .expect("memory");
        writeln!(
            to,
            "{{\"_key\":\"t:{i}\",\"_type\":\"account\",\"_class\":\"User\",\
             \"mail\":\" person.{i}@example.com\",\"serialNumber\":\"C02{i:08}\",\
             \"accountId\":\"{:012}\",\"role\":\"r{i}\",\"ip\":\"10.{}.{}.{b}\",\
             \"repo\":\"service-{i}\"}}",
            i % 97,
            a >> 8,
            a & 255
        )
        .expect("memory");
    }
    common::sync(&database, Some("from"), &from);
    common::sync(&database, Some("to"), &to);
    database
}

fn mapping(folder: &std::path::Path, name: &str, join: &str) -> Mapping {
    let text = format!(
        "scope = \"{name}\"\nowner = \"bench\"\njoin = \"{join}\"\n\
         relationship = {{ class = \"IS\", type = \"is\" }}\n\
         from = {{ scope = \"from\", type = \"person\" }}\nto = {{ scope = \"to\" }}\n"
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).expect("the folder can be written");
    let mut loaded = load(&[path]);
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    loaded.mappings.remove(0)
}

fn joins(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let sizes = [20_000, 200_000].map(|count| (count, database(folder.path(), count)));
    for (name, join) in JOINS {
        let mapping = mapping(folder.path(), name, join);
        let mut group = criterion.benchmark_group(format!("join/{name}"));
        group.sample_size(10);
        for (count, database) in &sizes {
            let snapshot = database.snapshot().expect("a state");
            let resolved = mapping.resolve(&snapshot, SystemTime::now()).expect("a result");
            assert_eq!(resolved.drafts.len(), *count as usize, "{name}");
            group.throughput(Throughput::Elements(u64::from(*count)));
            group.bench_with_input(BenchmarkId::from_parameter(count), count, |bencher, _| {
                bencher.iter(|| {
                    mapping.resolve(&snapshot, SystemTime::now()).expect("a result").drafts.len()
                });
            });
        }
    }
}

criterion_group!(benches, joins);
criterion_main!(benches);
