//! Tests of planning and applying that need what no upload can bring about: two keys with one hash,
//! and parts, windows and buckets of a few objects, so that small jobs fill many.

use super::read::{OBJECT_MAX, PIECE, PieceReader};
use super::{
    BatchBuilder, BatchRules, InputFormat, InputNames, InputSource, JobInput, JobSpec,
    StagedUploads, SyncError, SyncMode, apply, plan, read_inputs,
};
use crate::graph::{
    AdjacencyRead, EdgeDirection, GraphRead, IdHash, IncidentEdge, InputLocation, NameLookup,
    ObjectKind, Relationship, Value, default_relationship_key,
};
use crate::store::{DatabaseFile, Snapshot};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Read;

const SEED: u64 = 7;

struct Bench {
    folder: tempfile::TempDir,
    store: DatabaseFile,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.redb");
    DatabaseFile::create(&path, SEED).expect("made");
    Bench { store: DatabaseFile::open_writer(&path).expect("opened"), folder }
}

impl Bench {
    /// Syncs lines whose objects of `kind` all have the same hash.
    fn sync(
        &self,
        lines: &[&str],
        kind: ObjectKind,
        hash: u64,
        latest: bool,
    ) -> Result<(), SyncError> {
        let rules = BatchRules {
            mode: SyncMode::Diff,
            scope: Some("s".into()),
            same_scope_reject: false,
            digest_seed: SEED,
            known: None,
        };
        let mut builder = BatchBuilder::new(&rules);
        for (line, text) in (1..).zip(lines) {
            builder.push_text(text, InputLocation { input: 0, line }, None).expect("a sound line");
        }
        let mut batch = builder.finish();
        match kind {
            ObjectKind::Entity => batch.entities.iter_mut().for_each(|e| e.id = IdHash(hash)),
            ObjectKind::Relationship => {
                batch.relationships.iter_mut().for_each(|r| r.object.id = IdHash(hash));
            }
        }
        let job = || {
            JobInput::new(JobSpec {
                ignore_duplicates: latest,
                ..JobSpec::new("test", SyncMode::Diff, "s", 0)
            })
        };
        let mut uploads = StagedUploads::new(self.folder.path());
        uploads.add(job());
        uploads.append(batch, |_| job())?;
        let snapshot = self.store.snapshot()?;
        let mut plan = plan(&snapshot, &uploads, &InputNames::default(), false)?;
        let mut writer = self.store.begin_write(plan.revision)?;
        apply(&mut plan, &uploads, &mut writer, 1)?;
        writer.commit()?;
        Ok(())
    }
}

fn refused(result: Result<(), SyncError>) {
    let Err(SyncError::Faults(faults)) = result else { panic!("not refused: {result:?}") };
    let text = format!("{faults:?}");
    assert!(text.contains("same 64-bit hash"), "{text}");
}

const A: &str = r#"{"_key":"a","_type":"t","_class":"C","n":1}"#;
const B: &str = r#"{"_key":"b","_type":"t","_class":"C","n":1}"#;
const AB: &str =
    r#"{"_key":"ab","_type":"t","_class":"C","_fromEntityKey":"a","_toEntityKey":"b"}"#;
const BA: &str =
    r#"{"_key":"ba","_type":"t","_class":"C","_fromEntityKey":"a","_toEntityKey":"b"}"#;

#[test]
fn two_keys_with_one_hash_in_an_upload_are_refused() {
    for latest in [false, true] {
        refused(bench().sync(&[A, B], ObjectKind::Entity, 5, latest));
        refused(bench().sync(&[A, B, AB, BA], ObjectKind::Relationship, 5, latest));
    }
}

#[test]
fn a_key_with_the_hash_of_a_stored_one_is_refused() {
    let bench = bench();
    bench.sync(&[A], ObjectKind::Entity, 5, false).expect("the first");
    refused(bench.sync(&[B], ObjectKind::Entity, 5, false));
    bench.sync(&[A], ObjectKind::Entity, 5, false).expect("the first again");
    bench.sync(&[], ObjectKind::Entity, 5, false).expect("deleted");
    refused(bench.sync(&[B], ObjectKind::Entity, 5, false));
}

#[test]
fn a_relationship_with_the_hash_of_a_stored_one_is_refused() {
    let bench = bench();
    bench.sync(&[A, B, AB], ObjectKind::Relationship, 5, false).expect("the first");
    refused(bench.sync(&[A, B, BA], ObjectKind::Relationship, 5, false));
    bench.sync(&[A, B], ObjectKind::Relationship, 5, false).expect("deleted");
    refused(bench.sync(&[A, B, BA], ObjectKind::Relationship, 5, false));
}

const SCOPES: [&str; 3] = ["a", "b", "c"];

/// Things by scope and key with their value, and links by scope and key with both ends and a value.
#[derive(Clone, Debug, Default, PartialEq)]
struct World {
    things: BTreeMap<(usize, usize), i64>,
    links: BTreeMap<(usize, usize), ([(usize, usize); 2], i64)>,
}

fn thing((scope, key): &(usize, usize), value: i64) -> String {
    let scope = SCOPES[*scope];
    // Some have a name of their own, and some no property at all.
    let name = if key % 3 == 0 { format!(r#","displayName":"the {key}""#) } else { String::new() };
    let value = if key % 7 == 0 { String::new() } else { format!(r#","v":{value}"#) };
    format!(
        r#"{{"_key":"k{key}","_scope":"{scope}","_type":"t{}","_class":"C"{name}{value}}}"#,
        key % 2
    )
}

fn link((scope, key): &(usize, usize), ends: &[(usize, usize); 2], value: i64) -> String {
    let scope = SCOPES[*scope];
    let [(from_scope, from), (to_scope, to)] = ends;
    let [from_scope, to_scope] = [SCOPES[*from_scope], SCOPES[*to_scope]];
    // Type and verb go with the value, so an update may change either.
    let (type_name, verb) = (value % 2, ["HAS", "HAS", "OWNS"][value as usize]);
    format!(
        r#"{{"_key":"l{key}","_scope":"{scope}","_type":"u{type_name}","_class":"{verb}","_fromEntityKey":"k{from}","_fromEntityScope":"{from_scope}","_toEntityKey":"k{to}","_toEntityScope":"{to_scope}","v":{value}}}"#
    )
}

impl World {
    /// Without links whose ends are missing.
    fn sound(mut self) -> World {
        let World { things, links } = &mut self;
        links.retain(|_, (ends, _)| ends.iter().all(|end| things.contains_key(end)));
        self
    }

    fn lines(&self) -> Vec<String> {
        let things = self.things.iter().map(|(at, value)| thing(at, *value));
        things.chain(self.links.iter().map(|(at, (ends, v))| link(at, ends, *v))).collect()
    }

    /// The contents of the graph, told by its own means.
    fn of(snapshot: &Snapshot) -> World {
        let number = |text: &str| text[1..].parse::<usize>().expect("a number");
        let scope = |name: &str| SCOPES.iter().position(|scope| *scope == name).expect("known");
        let value = |properties: &[(String, Value<'_>)]| {
            let found = properties.iter().find(|(name, _)| name == "v");
            found.map_or(0, |(_, value)| match value {
                Value::Int(value) => *value,
                other => panic!("{other:?}"),
            })
        };
        let mut world = World::default();
        for at in snapshot.entities_with(None, None).expect("read") {
            let entity = snapshot.entity(at).expect("read").expect("there");
            let key = (scope(&entity.scope), number(&entity.key));
            world.things.insert(key, value(&entity.properties));
            snapshot
                .for_each_edge(at, EdgeDirection::Out, |edge| {
                    let one =
                        snapshot.relationship(edge.relationship).expect("read").expect("there");
                    check_label(snapshot, edge, &one);
                    let ends = [one.from, one.to].map(|end| (scope(&end.scope), number(&end.key)));
                    let key = (scope(&one.scope), number(&one.key));
                    world.links.insert(key, (ends, value(&one.properties)));
                })
                .expect("read");
        }
        world
    }
}

/// An edge tells the truth about its relationship.
fn check_label(snapshot: &Snapshot, edge: IncidentEdge, one: &Relationship) {
    let label = snapshot.labels().get(edge.label).expect("known");
    let told = [label.scope, label.type_name, label.verb].map(|name| snapshot.name(name));
    assert_eq!(told, [&one.scope, &one.type_name, &one.class].map(String::as_str));
    assert_eq!(snapshot.name(edge.verb), one.class);
    let key = default_relationship_key(&one.from.key, &one.class, &one.to.key);
    assert_eq!(label.derived_key, one.key == key);
}

fn world() -> impl Strategy<Value = World> {
    let at = (0..SCOPES.len(), 0..150usize);
    let things = prop::collection::btree_map(at.clone(), 0..3i64, 0..200);
    let links = prop::collection::btree_map(at.clone(), ([at.clone(), at], 0..3i64), 0..300);
    (things, links).prop_map(|(mut things, links)| {
        things.iter_mut().for_each(|((_, key), value)| *value *= i64::from(key % 7 > 0));
        World { things, links }.sound()
    })
}

impl Bench {
    /// One job for each scope, lines in batches of `size`; shuffled by `seed`.
    fn upload(&self, mode: SyncMode, mut lines: Vec<String>, size: usize, seed: u64) {
        let shuffled = |line: &String| xxhash_rust::xxh3::xxh3_64_with_seed(line.as_bytes(), seed);
        lines.sort_by_key(shuffled);
        let rules = BatchRules {
            mode,
            scope: None,
            same_scope_reject: false,
            digest_seed: SEED,
            known: None,
        };
        let job = |scope: &str| JobInput::new(JobSpec::new("test", mode, scope, 0));
        let mut uploads = StagedUploads::new(self.folder.path());
        SCOPES.iter().for_each(|scope| uploads.add(job(scope)));
        for lines in lines.chunks(size) {
            let mut builder = BatchBuilder::new(&rules);
            for (line, text) in (1..).zip(lines) {
                builder
                    .push_text(text, InputLocation { input: 0, line }, None)
                    .expect("a sound line");
            }
            uploads.append(builder.finish(), job).expect("staged");
        }
        let snapshot = self.store.snapshot().expect("read");
        let mut plan = plan(&snapshot, &uploads, &InputNames::default(), false).expect("planned");
        if !plan.is_empty() {
            let mut writer = self.store.begin_write(plan.revision).expect("begun");
            apply(&mut plan, &uploads, &mut writer, 1).expect("applied");
            writer.commit().expect("committed");
        }
    }
}

#[test]
fn a_table_of_wide_rows_makes_batches_of_some_megabytes() {
    let wide = "x".repeat(200 << 10);
    let rows: String = (0..60).map(|i| format!("k{i},t,C,{wide}\n")).collect();
    let text = format!("_key,_type,_class,note\n{rows}");
    let rules = BatchRules {
        mode: SyncMode::Diff,
        scope: Some("s".into()),
        same_scope_reject: false,
        digest_seed: SEED,
        known: None,
    };
    let reader = Box::new(text.as_bytes());
    let input = InputSource::new("wide.csv", InputFormat::Csv, reader);
    let mut sizes = Vec::new();
    read_inputs(&mut [input], 0, &rules, &|_| {}, |batch| {
        sizes.push((batch.entities.len(), batch.records.len()));
        Ok(())
    })
    .expect("a good table");
    assert_eq!(sizes.iter().map(|(rows, _)| rows).sum::<usize>(), 60);
    assert!(sizes.iter().all(|(_, bytes)| *bytes < PIECE + OBJECT_MAX), "{sizes:?}");
}

#[test]
fn of_a_line_without_an_end_only_the_beginning_is_kept() {
    let good = br#"{"_key":"a","_type":"t","_class":"C"}"#;
    let lines = |after: &'static [u8]| {
        let long = std::io::repeat(b'x').take(40 << 20);
        let reader = Box::new(good.chain(&b"\n"[..]).chain(long).chain(after));
        InputSource::new("export.ndjson", InputFormat::Ndjson, reader)
    };
    let after = b"\n\n{\n";
    for after in [&after[..], b""] {
        let mut input = lines(after);
        let mut reader = PieceReader::new(&mut input);
        while let Some(piece) = reader.next().expect("it can be read") {
            assert!(piece.len() < 3 * PIECE, "{} bytes", piece.len());
        }
        let rules = BatchRules {
            mode: SyncMode::Diff,
            scope: Some("s".into()),
            same_scope_reject: false,
            digest_seed: SEED,
            known: None,
        };
        let read = read_inputs(&mut [lines(after)], 0, &rules, &|_| {}, |_| Ok(()));
        let words = read.expect_err("a line is too long").to_string();
        let places: Vec<&str> = words.lines().map(|line| &line[..15]).collect();
        let expected = ["export.ndjson:2", "export.ndjson:4"];
        assert_eq!(places, expected[..if after.is_empty() { 1 } else { 2 }], "{words}");
        assert!(words.contains("the line has 4194304 bytes or more"), "{words}");
    }
}

#[test]
fn an_edge_gets_another_label_with_what_it_says() {
    let bench = bench();
    let ends = [A, B].map(|line| line.replacen('{', r#"{"_scope":"a","#, 1));
    let link = |type_name: &str, verb: &str, value: u32| {
        format!(
            r#"{{"_key":"a|has|b","_scope":"a","_type":"{type_name}","_class":"{verb}","_fromEntityKey":"a","_toEntityKey":"b","v":{value}}}"#
        )
    };
    // The key is made from the ends with one verb only; the last upload changes a value alone.
    let steps =
        [("t", "HAS", 1), ("u", "HAS", 1), ("u", "OWNS", 1), ("t", "HAS", 1), ("t", "HAS", 2)];
    let mut labels = Vec::new();
    for (type_name, verb, value) in steps {
        let mut lines = ends.to_vec();
        lines.push(link(type_name, verb, value));
        bench.upload(SyncMode::Diff, lines, 9, 0);
        let snapshot = bench.store.snapshot().expect("read");
        assert_eq!(snapshot.verify(), Vec::<String>::new());
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            let mut edges = Vec::new();
            snapshot.for_each_edge_of_all(direction, |_, edge| edges.push(edge)).expect("read");
            let [edge] = edges[..] else { panic!("{edges:?}") };
            let one = snapshot.relationship(edge.relationship).expect("read").expect("there");
            assert_eq!((&one.type_name[..], &one.class[..]), (type_name, verb));
            check_label(&snapshot, edge, &one);
            labels.push(edge.label);
        }
    }
    assert_eq!(labels, [0, 0, 1, 1, 2, 2, 0, 0, 0, 0]);
    assert_eq!(bench.store.snapshot().expect("read").labels().count(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_uploaded_in_many_small_parts_is_what_is_there(
        worlds in prop::collection::vec((world(), any::<bool>()), 1..4),
        size in 1..60usize,
        seed: u64,
    ) {
        let bench = bench();
        let mut known = World::default();
        for (world, whole) in worlds {
            let lines = world.lines();
            if whole {
                bench.upload(SyncMode::Diff, lines, size, seed);
                known = world;
            } else {
                bench.upload(SyncMode::CreateOrUpdate, lines, size, seed);
                known.things.extend(world.things);
                known.links.extend(world.links);
            }
            let snapshot = bench.store.snapshot().expect("read");
            prop_assert_eq!(snapshot.verify(), Vec::<String>::new());
            prop_assert_eq!(&World::of(&snapshot), &known);
        }
    }
}
