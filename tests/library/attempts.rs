//! Plans that are applied while others commit, and jobs that are ended twice: what was looked up for a
//! plan is as of the state that the plan is applied to.

use crate::common::{dump, fleeting, input, sync};
use std::cell::Cell;
use std::time::Duration;
use tombolo::db::{FinalizeRequest, JobRequest, MappedRelationship, MappingJob, UploadExtras};
use tombolo::graph::{ObjectId, ObjectKind};
use tombolo::store::{DatabaseFile, WaitPolicy};
use tombolo::sync::RelationshipLimits;
use tombolo::{Database, DraftEnd, DraftEntity, DraftRelationship, Error, JobStatus, SyncMode};
use uuid::Uuid;

fn add_entity(database: &Database, scope: &str, key: &str) -> Result<(), Error> {
    let entity = DraftEntity::new(key, "user", "User");
    let job = database.job(scope).mode(SyncMode::CreateOrUpdate);
    job.entities([entity]).and_then(|job| job.finalize()).map(drop)
}

#[test]
fn a_thread_that_writes_waits_for_the_last_attempt_and_then_writes() {
    let folder = fleeting();
    let path = folder.path().join("graph.redb");
    let database = Database::options().create_new(true).open(&path).expect("a new file");
    let database = database.waiting(WaitPolicy::new(Duration::from_secs(3), |_| {}));
    // Another handle has a turn of its own, as another process has.
    let other = database.another_handle();
    add_entity(&other, "people", "alice").expect("a good upload");
    add_entity(&other, "people", "bob").expect("a good upload");
    let job = MappingJob {
        scope: "links".to_owned(),
        limits: RelationshipLimits::default(),
        ..MappingJob::default()
    };
    let end = |key| DraftEnd::in_scope("people", key);
    let drafts = [DraftRelationship::new(end("alice"), "KNOWS", end("bob"))];
    let attempts = Cell::new(0);
    std::thread::scope(|threads| {
        let mut writer = None;
        let report = database.plan_until_applied(|attempt| {
            attempts.set(attempts.get() + 1);
            let revision = attempt.snapshot()?.meta().revision;
            match attempts.get() {
                1 | 2 => add_entity(&other, "people", &format!("in-between-{}", attempts.get()))?,
                _ => {
                    writer = Some(threads.spawn(|| add_entity(&database, "people", "carol")));
                    // Long enough for the thread to ask for its turn.
                    std::thread::sleep(Duration::from_millis(300));
                }
            }
            attempt.apply_mapping(&job, &drafts, revision, None)
        });
        let report = report.expect("the last attempt is alone");
        assert_eq!((report.status, report.relationships.created), (JobStatus::Finished, 1));
        writer.expect("the last attempt began it").join().expect("no panic").expect("its turn");
    });
    assert_eq!(attempts.get(), 3);
}

fn thing(key: &str) -> String {
    format!("{{\"_key\":\"{key}\",\"_type\":\"laptop\",\"_class\":\"Device\"}}\n")
}

fn mapped(target: &str) -> MappedRelationship {
    let text = format!(
        "{{\"_key\":\"to-{target}\",\"_type\":\"t\",\"_class\":\"HAS\",\"_mapping\":{{\
         \"sourceEntityKey\":\"source\",\
         \"targetEntity\":{{\"_type\":\"laptop\",\"_class\":\"Device\",\"_key\":\"{target}\"}}}}}}"
    );
    serde_json::from_str(&text).expect("a mapped relationship")
}

fn open_job(database: &Database, mode: SyncMode, any_scope: bool) -> Uuid {
    let request = JobRequest {
        id: None,
        source: "api".into(),
        mode,
        scope: "okta".into(),
        ignore_duplicates: false,
        any_scope,
    };
    database.create_job(&request).expect("a new job")
}

fn upload(database: &Database, id: Uuid, text: &str, extras: UploadExtras<'_>) {
    let taken = database.upload_with(id, input(text), &extras, &mut |_: &str| true);
    taken.expect("a good upload");
}

#[test]
fn mapped_relationships_find_what_another_process_commits_before_them() {
    let folder = fleeting();
    let path = folder.path().join("graph.redb");
    let database = Database::create(&path).expect("a new file");
    let id = open_job(&database, SyncMode::Diff, false);
    let mapped = [mapped("laptop-9")];
    let extras = UploadExtras { mapped: &mapped, ..UploadExtras::default() };
    upload(&database, id, &thing("source"), extras);
    let store = DatabaseFile::open_writer(&path).expect("nobody writes");
    std::thread::scope(|threads| {
        let finalized = threads.spawn(|| database.finalize(id, &FinalizeRequest::default()));
        // Long enough for it to look for targets and to wait for the file.
        std::thread::sleep(Duration::from_millis(300));
        let other = Database::with_store(store, &path);
        sync(&other, "jamf", SyncMode::Diff, &thing("laptop-9")).expect("a good upload");
        drop(other);
        finalized.join().expect("no panic").expect("the file is free now");
    });
    let lines = dump(&database.snapshot().expect("a snapshot")).expect("it can be read");
    assert!(lines.iter().any(|line| line.contains("-HAS-> jamf::laptop-9")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.starts_with("mapped:okta::laptop-9")), "{lines:#?}");
}

#[test]
fn a_job_that_names_an_object_of_its_mapped_scope_can_be_approved() {
    let folder = fleeting();
    let database = Database::create(&folder.path().join("graph.redb")).expect("a new file");
    let many: String = (0..30).map(|i| thing(&format!("laptop-{i}"))).collect();
    let mapped = [mapped("elsewhere")];
    let extras = UploadExtras { mapped: &mapped, ..UploadExtras::default() };
    let id = open_job(&database, SyncMode::Diff, false);
    upload(&database, id, &(thing("source") + &many), extras);
    database.finalize(id, &FinalizeRequest::default()).expect("a good job");
    let made = ObjectId::new(ObjectKind::Entity, "mapped:okta", "elsewhere");
    let deletes = [(ObjectKind::Entity, made)];
    let id = open_job(&database, SyncMode::Diff, false);
    upload(&database, id, &thing("source"), UploadExtras { deletes: &deletes, ..extras });
    let held = database.finalize(id, &FinalizeRequest::default()).expect("a good job");
    assert_eq!(held.status, JobStatus::Held);
    let done = database.approve(&id.to_string()).expect("the graph is the same");
    assert_eq!((done[0].status, done[0].entities.deleted), (JobStatus::Finished, 30));
    let lines = dump(&database.snapshot().expect("a snapshot")).expect("it can be read");
    assert!(lines.iter().any(|line| line.contains("-HAS-> mapped:okta::elsewhere")), "{lines:#?}");
}

#[test]
fn a_repeated_finalize_gives_the_counts_of_all_scopes_again() {
    let folder = fleeting();
    let database = Database::create(&folder.path().join("graph.redb")).expect("a new file");
    let rows: String = ["a", "b", "c"]
        .map(|scope| thing("x").replace("{", &format!("{{\"_scope\":\"{scope}\",")))
        .concat();
    for (created, unchanged) in [(3, 0), (0, 3)] {
        let id = open_job(&database, SyncMode::CreateOrUpdate, true);
        upload(&database, id, &rows, UploadExtras::default());
        let request = FinalizeRequest::default();
        let first = database.finalize(id, &request).expect("a good job");
        assert_eq!((first.entities.created, first.entities.unchanged), (created, unchanged));
        assert_eq!(database.finalize(id, &request).expect("it has ended"), first);
    }
}
