//! Plans that are applied while others commit: they are made again, at last with all others kept out.

use crate::common::fleeting;
use std::cell::Cell;
use std::time::Duration;
use tombolo::db::MappingJob;
use tombolo::store::WaitPolicy;
use tombolo::sync::RelationshipLimits;
use tombolo::{Database, DraftEnd, DraftEntity, DraftRelationship, Error, JobStatus};

fn add_entity(database: &Database, scope: &str, key: &str) -> Result<(), Error> {
    let entity = DraftEntity::new(key, "user", "User");
    let job = database.job(scope).mode(tombolo::SyncMode::CreateOrUpdate);
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
