//! A source file over 100,000 rows, beside the same objects as uploads: a first load, and an unchanged
//! one. The ratio of the two is what counts.

mod common;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;
use tombolo::Database;
use tombolo::db::SourceJob;
use tombolo::mapping::load;

const ROWS: u64 = 100_000;

const SOURCE: &str = r#"scope = "staff"
owner = "bench"
rows = { file = "rows.ndjson" }

[[entity]]
type = "user"
class = "User"
key = "user:{row.id}"
name = "{row.login}"
properties = { "*" = "row", email = "{email(row.mail)}" }
except = ["mail"]
"#;

/// The rows of an export, and the objects that the source makes of them.
fn data() -> (String, String) {
    let (mut rows, mut objects) = (String::new(), String::new());
    for i in 0..ROWS {
        let rest = format!(
            r#""id":"u{i:07}","login":"user{i}","status":"ACTIVE","dept":"dept{}","host":"host-{i}","serial":"SN{i:08X}""#,
            i % 500
        );
        writeln!(rows, r#"{{{rest},"mail":"User{i}@Example.com"}}"#).expect("a string takes it");
        writeln!(
            objects,
            r#"{{"_key":"user:u{i:07}","_type":"user","_class":"User","displayName":"user{i}","email":"user{i}@example.com",{rest}}}"#
        )
        .expect("a string takes it");
    }
    (rows, objects)
}

fn apply(database: &Database, file: &Path) {
    let loaded = load(&[file.to_owned()]);
    let source = loaded.sources.first().expect("a sound source");
    let resolved = source.resolve(SystemTime::now()).expect("sound rows");
    let job = SourceJob { scope: source.scope.clone(), ..SourceJob::default() };
    let snapshot = database.snapshot().expect("a snapshot");
    let staged = database.stage_source(&snapshot, &job, &resolved).expect("sound objects");
    drop(snapshot);
    database.apply_source(&staged).expect("it is applied");
}

fn source(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let (rows, objects) = data();
    let file = folder.path().join("staff.toml");
    std::fs::write(&file, SOURCE).expect("it can be written");
    std::fs::write(folder.path().join("rows.ndjson"), rows).expect("it can be written");
    let mut group = c.benchmark_group("source");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    let mut run = 0;
    let mut fresh = |kind: &str| {
        run += 1;
        Database::create(&folder.path().join(format!("{kind}{run}.redb"))).expect("a new file")
    };
    group.bench_function("first load", |b| {
        b.iter_batched(|| fresh("a"), |database| apply(&database, &file), BatchSize::PerIteration);
    });
    group.bench_function("first load of the same as upload", |b| {
        b.iter_batched(
            || fresh("b"),
            |database| common::sync(&database, Some("staff"), &objects),
            BatchSize::PerIteration,
        );
    });
    let kept = fresh("kept");
    apply(&kept, &file);
    group.bench_function("unchanged", |b| b.iter(|| apply(&kept, &file)));
    let kept = fresh("kept");
    common::sync(&kept, Some("staff"), &objects);
    group.bench_function("unchanged as upload", |b| {
        b.iter(|| common::sync_again(&kept, "staff", &objects));
    });
    group.finish();
}

criterion_group!(benches, source);
criterion_main!(benches);
