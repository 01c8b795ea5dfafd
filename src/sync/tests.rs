//! Tests of planning that need what no upload can bring about: two keys with one hash.

use super::{BatchBuilder, BatchRules, Inputs, JobInput, JobSpec, Mode, SyncError, apply, plan};
use crate::graph::{IdHash, Kind, Place};
use crate::store::Store;
use crate::store::staging::Stage;

const SEED: u64 = 7;

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.redb");
    Store::create(&path, SEED).expect("made");
    Bench { store: Store::open_writer(&path).expect("opened"), folder }
}

impl Bench {
    /// Syncs lines whose objects of `kind` all have the same hash.
    fn sync(&self, lines: &[&str], kind: Kind, hash: u64, latest: bool) -> Result<(), SyncError> {
        let rules = BatchRules {
            mode: Mode::Diff,
            scope: Some("s".into()),
            same_scope_reject: false,
            digest_seed: SEED,
            known: None,
        };
        let mut builder = BatchBuilder::new(&rules);
        for (line, text) in (1..).zip(lines) {
            builder.push_text(text, Place { input: 0, line }, None).expect("a sound line");
        }
        let mut batch = builder.finish();
        match kind {
            Kind::Entity => batch.entities.iter_mut().for_each(|e| e.id = IdHash(hash)),
            Kind::Relationship => {
                batch.relationships.iter_mut().for_each(|r| r.object.id = IdHash(hash));
            }
        }
        let mut stage = Stage::spool(self.folder.path());
        stage.append(&mut batch)?;
        let mut job = JobInput::new(JobSpec {
            ignore_duplicates: latest,
            ..JobSpec::new("test", Mode::Diff, "s", 0)
        });
        job.entities = batch.entities;
        job.relationships = batch.relationships;
        let snapshot = self.store.snapshot()?;
        let inputs = Inputs::default();
        let plan = plan(&snapshot, &stage, &inputs, &mut [job], false)?;
        let mut writer = self.store.begin_write(plan.revision)?;
        apply(&plan, &stage, &mut writer, 1)?;
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
        refused(bench().sync(&[A, B], Kind::Entity, 5, latest));
        refused(bench().sync(&[A, B, AB, BA], Kind::Relationship, 5, latest));
    }
}

#[test]
fn a_key_with_the_hash_of_a_stored_one_is_refused() {
    let bench = bench();
    bench.sync(&[A], Kind::Entity, 5, false).expect("the first");
    refused(bench.sync(&[B], Kind::Entity, 5, false));
    bench.sync(&[A], Kind::Entity, 5, false).expect("the first again");
    bench.sync(&[], Kind::Entity, 5, false).expect("deleted");
    refused(bench.sync(&[B], Kind::Entity, 5, false));
}

#[test]
fn a_relationship_with_the_hash_of_a_stored_one_is_refused() {
    let bench = bench();
    bench.sync(&[A, B, AB], Kind::Relationship, 5, false).expect("the first");
    refused(bench.sync(&[A, B, BA], Kind::Relationship, 5, false));
    bench.sync(&[A, B], Kind::Relationship, 5, false).expect("deleted");
    refused(bench.sync(&[A, B, BA], Kind::Relationship, 5, false));
}
