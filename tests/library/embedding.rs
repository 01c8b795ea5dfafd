//! The database as a program embeds it: options, typed writes, typed questions.

use crate::common::fleeting;
use std::path::PathBuf;
use tombolo::{
    Database, DraftEnd, DraftEntity, DraftRelationship, Error, JobStatus, QuestionLimits,
    SharedSnapshot, SyncMode,
};

fn database() -> (tempfile::TempDir, PathBuf, Database) {
    let folder = fleeting();
    let path = folder.path().join("graph.redb");
    let database = Database::options().create_new(true).open(&path).expect("a new file");
    (folder, path, database)
}

fn user(key: &str) -> DraftEntity<'_> {
    DraftEntity::new(key, "okta_user", "User")
}

/// Alice and her laptop.
fn small_world(database: &Database) {
    let report = database
        .job("okta")
        .entities([user("alice").property("email", "alice@example.com")])
        .and_then(|job| job.entities([DraftEntity::new("laptop", "laptop", "Device")]))
        .and_then(|job| job.relationships([DraftRelationship::new("alice", "OWNS", "laptop")]))
        .and_then(|job| job.finalize())
        .expect("a good upload");
    assert_eq!((report.entities.created, report.relationships.created), (2, 1));
}

#[test]
fn what_threads_share_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<SharedSnapshot>();
    shared::<Database>();
    shared::<tombolo::BlastRadius>();
    shared::<tombolo::RuleTable>();
    fn sent<T: Send>() {}
    sent::<Error>();
    sent::<tombolo::JobWriter<'_>>();
}

#[test]
fn options_say_what_may_happen_to_the_file() {
    let folder = fleeting();
    let path = folder.path().join("graph.redb");
    let missing = Database::options().open(&path).err().expect("there is no file");
    assert!(matches!(missing, Error::Store(_)), "{missing}");
    assert!(Database::options().create(true).read_only(true).open(&path).is_err());
    assert!(!path.exists());
    small_world(&Database::options().create(true).open(&path).expect("a new file"));
    assert!(Database::options().create_new(true).open(&path).is_err());
    let reader = Database::options().read_only(true).open(&path).expect("it is there");
    let before = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(reader.owners("laptop").run().expect("an answer").owners.len(), 1);
    let refused = |e: Error| e.to_string().contains("reading only");
    assert!(reader.job("okta").finalize().is_err_and(refused));
    assert!(reader.compact().is_err_and(refused));
    assert!(reader.gc(&crate::kept(0, 0)).is_err_and(refused));
    let nobody = "01000000-0000-7000-8000-000000000000";
    assert!(reader.abort(nobody).is_err_and(refused));
    assert!(reader.approve(nobody).is_err_and(refused));
    assert!(reader.another_handle().job("okta").finalize().is_err_and(refused));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), before);
}

#[test]
fn what_is_wrong_with_a_draft_is_not_told_of_the_lines_before_it() {
    let (_folder, _, database) = database();
    let line = r#"{"_key":"laptop","_type":"laptop","_class":"Device"}"#;
    let lines = || database.job("okta").ndjson("export.ndjson", line.as_bytes());
    let twice = lines().and_then(|job| job.entities([user("alice"), user("alice")])?.finalize());
    let words = twice.expect_err("one key stands twice").to_string();
    assert!(words.starts_with("_key `alice`: ") && !words.contains("export.ndjson"), "{words}");
    let job = lines().and_then(|job| {
        job.relationships([DraftRelationship::new("nobody", "OWNS", "laptop")])?.finalize()
    });
    let skipped = job.expect("a good upload").skipped.remove(0);
    assert_eq!(skipped.place, None, "{skipped:?}");
}

#[test]
fn a_typed_job_is_the_job_that_lines_make() {
    let (_folder, _, database) = database();
    small_world(&database);
    let lines = concat!(
        r#"{"_key":"alice","_type":"okta_user","_class":"User","email":"alice@example.com"}"#,
        "\n",
        r#"{"_key":"laptop","_type":"laptop","_class":"Device"}"#,
        "\n",
        r#"{"_key":"alice|owns|laptop","_type":"owns","_class":"OWNS","_fromEntityKey":"alice","_toEntityKey":"laptop"}"#,
    );
    let job = database.job("okta").ndjson("lines", lines.as_bytes()).expect("good lines");
    let report = job.finalize().expect("nothing to do");
    assert_eq!((report.entities.unchanged, report.relationships.unchanged), (2, 1));
    assert!(report.entities.is_quiet() && report.relationships.is_quiet());
}

#[test]
fn every_draft_that_cannot_be_taken_is_named() {
    let (_folder, _, database) = database();
    let bad = [user("fine"), user("nan").property("rate", f64::NAN), user("own").property("_x", 1)];
    let fault = database.job("okta").entities(bad).err().expect("two are bad").to_string();
    let lines: Vec<&str> = fault.lines().collect();
    assert_eq!(lines.len(), 2, "{fault}");
    assert!(lines[0].contains("_key `nan`") && lines[1].contains("_key `own`"), "{fault}");
    let across = DraftRelationship::new("a", "HAS", DraftEnd::in_scope("other", "b"));
    let job = database.job("links").mode(SyncMode::CrossScope).relationships([across]);
    assert!(job.err().expect("an end has no scope").to_string().contains("_fromEntityScope"));
    let entities = database.job("links").mode(SyncMode::CrossScope).entities([user("a")]);
    assert!(entities.is_err());
    assert!(database.job("").finalize().is_err());
    assert!(database.jobs().expect("a list").is_empty());
}

#[test]
fn a_patch_changes_what_it_names() {
    let (_folder, _, database) = database();
    small_world(&database);
    let patch = DraftEntity::patch("alice").property("team", "sre");
    let job = database.job("okta").mode(SyncMode::Patch).entities([patch]).expect("a patch");
    assert_eq!(job.finalize().expect("applied").entities.updated, 1);
    let query = "FIND User WITH team = {{team}} AS u RETURN u.email AS email";
    let rows = database.query(query).param("team", "sre").rows().expect("an answer");
    assert_eq!(rows[0].text("email"), Some("alice@example.com"));
    let gone = database.job("okta").mode(SyncMode::CreateOrUpdate).begin().expect("a job");
    let report = gone.delete_entity("laptop").finalize().expect("deleted");
    assert_eq!((report.entities.deleted, report.relationships.deleted), (1, 1));
}

#[test]
fn a_job_that_deletes_too_much_is_held_and_approved() {
    let (_folder, _, database) = database();
    let keys: Vec<String> = (0..50).map(|n| format!("user-{n}")).collect();
    let job = database.job("okta").entities(keys.iter().map(|key| user(key)));
    job.and_then(|job| job.finalize()).expect("a good upload");
    let held = database.job("okta").finalize().expect("held");
    assert_eq!(held.status, JobStatus::Held);
    assert_eq!(database.query("FIND User").rows().expect("an answer").len(), 50);
    let dry = database.job("okta").allow_deletes(50).dry_run().finalize().expect("planned");
    assert_eq!((dry.dry_run, dry.entities.deleted), (true, 50));
    let approved = database.approve(&held.id.to_string()).expect("approved");
    assert_eq!(approved[0].entities.deleted, 50);
}

#[test]
fn more_drafts_than_a_batch_holds_are_taken() {
    let (_folder, _, database) = database();
    let keys: Vec<String> = (0..20_000).map(|n| format!("user-{n}")).collect();
    let links = keys.windows(2).map(|pair| DraftRelationship::new(&*pair[0], "TRUSTS", &*pair[1]));
    let job = database.job("okta").entities(keys.iter().map(|key| user(key)));
    let report = job
        .and_then(|job| job.relationships(links))
        .and_then(|job| job.finalize())
        .expect("a good upload");
    assert_eq!((report.entities.created, report.relationships.created), (20_000, 19_999));
    let path = database.path("user-0", "user-300").run().expect("an answer");
    assert_eq!((path.total, path.chains[0].len()), (1, 300));
}

#[test]
fn questions_tell_what_is_wrong_with_them() {
    let (_folder, _, database) = database();
    small_world(&database);
    let fault = database.query("FIND User THATS OWNS Device").rows().expect_err("a typo");
    assert!(matches!(&fault, Error::Query(at) if at.place() == (1, 11)), "{fault}");
    let unknown = database.query("FIND User").param("x", 1).rows().expect_err("no placeholder");
    assert!(unknown.to_string().contains("`x`"), "{unknown}");
    assert!(database.blast_radius("nobody").run().is_err());
    let limits = QuestionLimits { memory: 1, ..QuestionLimits::default() };
    let stopped = database.query("FIND User").limits(limits).rows().expect_err("a limit");
    assert!(matches!(stopped, Error::Stopped(_)), "{stopped}");
    assert!(std::error::Error::source(&stopped).is_some());
    let empty = database.query("FIND Usr").run().expect("an answer");
    assert!(empty.rows.is_empty() && !empty.notes.is_empty());
}

#[test]
fn a_snapshot_stays_as_it_is() {
    let (_folder, _, database) = database();
    small_world(&database);
    let snapshot = database.snapshot().expect("sound");
    let shared = database.shared_snapshot().expect("sound");
    let report = database.job("okta").allow_deletes(10).finalize().expect("emptied");
    assert_eq!(report.entities.deleted, 2);
    let old = database.blast_radius("alice").on(&snapshot).run().expect("an answer");
    assert_eq!(old.reached().count(), 1);
    let old = database.owners("laptop").on(&shared).run().expect("an answer");
    assert_eq!(old.owners.len(), 1);
    assert!(database.blast_radius("alice").run().is_err());
}

#[test]
fn an_edit_that_succeeds_has_done_all_of_it() {
    let (_folder, path, database) = database();
    small_world(&database);
    let done = std::sync::atomic::AtomicBool::new(false);
    // Another handle has a turn of its own, as another process has.
    let other = Database::open(&path).expect("the same file");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let edit = |objects: &str, deletes: Vec<_>| tombolo::db::EditRequest {
                scope: "jamf".into(),
                source: "api".into(),
                objects: objects.into(),
                deletes,
            };
            let id = tombolo::ObjectId::new(tombolo::ObjectKind::Entity, "jamf", "phone");
            let phone = r#"{"entities":[{"_key":"phone","_type":"phone","_class":"Device"}]}"#;
            for _ in 0..60 {
                other.edit(&edit(phone, Vec::new())).expect("made");
                let gone = vec![(tombolo::ObjectKind::Entity, id)];
                other.edit(&edit("", gone)).expect("deleted");
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let link = r#"{"relationships":[{"_key":"l","_type":"owns","_class":"OWNS",
            "_fromEntityKey":"alice","_toEntityKey":"phone","_toEntityScope":"jamf"}]}"#;
        let link = tombolo::db::EditRequest {
            scope: "okta".into(),
            source: "api".into(),
            objects: link.into(),
            deletes: Vec::new(),
        };
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            if let Ok(report) = database.edit(&link) {
                assert_eq!(report.skipped_total, 0, "{:?}", report.skipped);
            }
        }
    });
}
