//! First load and, from a source that can be read twice, 1 % changed and an unchanged re-upload, of
//! 100,000 and 1,000,000 relationships.

mod common;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tombolo::Database;

fn finalize(c: &mut Criterion) {
    for relationships in [100_000u64, 1_000_000] {
        let things = relationships / 2;
        let entities = common::entities(things);
        let first = common::relationships(relationships, things, 0);
        let second = common::relationships(relationships, things, 1);
        let folder = tempfile::tempdir().expect("a folder");
        let mut group = c.benchmark_group(format!("finalize/{relationships}"));
        group.sample_size(10).throughput(Throughput::Elements(relationships));

        let mut run = 0;
        group.bench_function("first load", |b| {
            b.iter_batched(
                || {
                    run += 1;
                    let path = folder.path().join(format!("{run}.redb"));
                    Database::create(&path).expect("a new file")
                },
                |database| {
                    common::sync(&database, Some("things"), &entities);
                    common::sync(&database, Some("links"), &first);
                    std::fs::remove_file(database.file_path()).expect("the file is there");
                },
                BatchSize::PerIteration,
            );
        });

        let database = Database::create(&folder.path().join("kept.redb")).expect("a new file");
        common::sync(&database, Some("things"), &entities);
        common::sync(&database, Some("links"), &first);
        group.bench_function("unchanged", |b| {
            b.iter(|| common::sync_again(&database, "links", &first));
        });
        let mut other = false;
        group.bench_function("1 % changed", |b| {
            b.iter(|| {
                other = !other;
                common::sync_again(&database, "links", if other { &second } else { &first });
            });
        });
        group.finish();
    }
}

criterion_group!(benches, finalize);
criterion_main!(benches);
