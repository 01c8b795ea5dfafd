//! Everything that lies beside a database, damaged in every way: what is then told is right, or an
//! error that names the file; never a shorter upload, never a panic, and nobody else is kept waiting.

use crate::common::{dump, fleeting, input, request, sync};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tombolo::db::{
    FinalizeRequest, GcOptions, JobRequest, MappedRelationship, UndoOptions, UploadExtras,
};
use tombolo::graph::{GraphRead, ObjectId, ObjectKind};
use tombolo::lang::HistoryKeep;
use tombolo::sync::{JobStatus, SyncMode};
use tombolo::{Database, Error, ErrorKind};
use uuid::Uuid;

const OKTA: Uuid = Uuid::from_u128(0x1111);
const JAMF: Uuid = Uuid::from_u128(0x2222);

fn thing(key: &str) -> String {
    format!("{{\"_key\":\"{key}\",\"_type\":\"t\",\"_class\":\"C\"}}\n")
}

fn things(prefix: &str, count: usize) -> String {
    (0..count).map(|i| thing(&format!("{prefix}{i}"))).collect()
}

fn mapped(key: &str) -> MappedRelationship {
    let text = format!(
        "{{\"_key\":\"{key}\",\"_type\":\"t\",\"_class\":\"HAS\",\"_mapping\":{{\
         \"sourceEntityKey\":\"a0\",\"targetEntity\":{{\"_type\":\"u\",\"_key\":\"{key}\"}}}}}}"
    );
    serde_json::from_str(&text).expect("a mapped relationship")
}

fn job_request(id: Uuid, scope: &str) -> JobRequest {
    JobRequest {
        id: Some(id),
        source: "api".into(),
        mode: SyncMode::Diff,
        scope: scope.into(),
        ignore_duplicates: false,
        any_scope: false,
    }
}

/// A database with a scope of 25 entities, an open job of three uploads that replaces it, and an
/// open job of another scope. `early` gets the folder of jobs as it was after the first upload.
fn base(folder: &Path, early: &mut Vec<(PathBuf, Vec<u8>)>) -> PathBuf {
    let path = folder.join("t.redb");
    let db = Database::create(&path).unwrap();
    sync(&db, "okta", SyncMode::Diff, &things("old", 25)).unwrap();
    for (id, scope) in [(OKTA, "okta"), (JAMF, "jamf")] {
        db.create_job(&job_request(id, scope)).unwrap();
        db.upload(id, input(&things("a", 8))).unwrap();
        if id == OKTA {
            *early = files(&folder.join("t.redb.jobs"));
        }
        let (m, all) = (mapped("m1"), &mut |_: &str| true);
        let extras = UploadExtras { mapped: &[m], ..UploadExtras::default() };
        db.upload_with(id, input(&things("b", 7)), &extras, all).unwrap();
        let deletes = [(ObjectKind::Entity, ObjectId::new(ObjectKind::Entity, scope, "old3"))];
        let extras = UploadExtras { deletes: &deletes, ..UploadExtras::default() };
        db.upload_with(id, input(&things("c", 5)), &extras, all).unwrap();
    }
    path
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    all.sort();
    all
}

fn restore(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).unwrap();
    files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}

/// Ways in which the bytes of a file can be wrong, each with a name.
fn damages(whole: &[u8], step: usize) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![
        ("emptied".to_owned(), Vec::new()),
        ("zeroed".to_owned(), vec![0; whole.len()]),
        ("foreign".to_owned(), b"{}\n".repeat(40)),
        ("with zeros behind it".to_owned(), [whole, &[0; 900]].concat()),
        ("with rubbish behind it".to_owned(), [whole, &b"rubbish".repeat(99)[..]].concat()),
        ("twice".to_owned(), whole.repeat(2)),
    ];
    // The beginning of a file is all headers.
    let places = (0..whole.len()).filter(|&at| at < 80 || at % step == 0);
    for at in places.chain(whole.len().checked_sub(1)) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        all.push((format!("flipped at {at}"), bytes));
        all.push((format!("cut at {at}"), whole[..at].to_vec()));
    }
    all
}

/// Finalizes the job; either all is there that was acknowledged, or it is an error, and then nothing
/// has changed, and the job can be got rid of.
fn check(path: &Path, file: &Path, what: &str, before: &[String], right: &[String]) -> bool {
    let what = format!("{} {what}", file.file_name().unwrap().display());
    let now = |db: &Database| dump(&db.snapshot().unwrap()).unwrap();
    let db = Database::open(path).unwrap();
    let finalize = FinalizeRequest { allow_deletes: Some(1_000), ..FinalizeRequest::default() };
    let done = db.finalize(OKTA, &finalize);
    // Whatever it is, others go on.
    let refused = match done {
        Ok(report) => {
            assert_eq!(report.status, JobStatus::Finished, "{what}");
            assert_eq!(now(&db), right, "{what}");
            false
        }
        Err(e) => {
            assert_eq!(now(&db), before, "{what}: {e}");
            let missing = matches!(e, Error::UnknownJob(_)) && !file.exists();
            let named = file.file_name().unwrap().to_str().unwrap();
            assert!(
                missing || e.kind() == ErrorKind::Damaged && e.to_string().contains(named),
                "{what}: {e}"
            );
            let problems = db.verify().unwrap();
            assert!(!problems.is_empty(), "{what}: verify finds nothing");
            let _ = db.abort(&OKTA.to_string());
            db.clear_jobs(&[], false).unwrap();
            assert_eq!(db.verify().unwrap(), Vec::<String>::new(), "{what}");
            true
        }
    };
    sync(&db, "other", SyncMode::Diff, &thing("x")).unwrap();
    assert_eq!(db.finalize(JAMF, &finalize).unwrap().status, JobStatus::Finished, "{what}");
    assert_eq!(db.staged().unwrap(), (0, 0), "{what}");
    refused
}

#[test]
fn whatever_happens_to_a_file_of_a_job_nothing_acknowledged_is_lost_in_silence() {
    let folder = fleeting();
    let mut early = Vec::new();
    let path = base(folder.path(), &mut early);
    let jobs = folder.path().join("t.redb.jobs");
    let (database, all) = (fs::read(&path).unwrap(), files(&jobs));
    let again = || {
        fs::write(&path, &database).unwrap();
        restore(&jobs, &all);
    };
    let before = dump(&Database::open(&path).unwrap().snapshot().unwrap()).unwrap();
    let right = {
        let db = Database::open(&path).unwrap();
        let all = FinalizeRequest { allow_deletes: Some(1_000), ..FinalizeRequest::default() };
        db.finalize(OKTA, &all).unwrap();
        dump(&db.snapshot().unwrap()).unwrap()
    };
    assert_eq!(right.len(), 8 + 7 + 5 + 1 + 1, "with what the mapping made");
    assert_eq!(all.len(), 6);
    let (mut tried, mut refused) = (0, 0);
    for (file, whole) in all.iter().filter(|(file, _)| is_of(file, OKTA)) {
        let other = file.to_str().unwrap().replace(&OKTA.to_string(), &JAMF.to_string());
        let mut damages = damages(whole, 97);
        damages.push(("of another job".into(), fs::read(&other).unwrap_or_default()));
        if let Some((_, old)) = early.iter().find(|(path, _)| path == file) {
            damages.push(("of another time".into(), old.clone()));
        }
        for (what, bytes) in damages {
            again();
            fs::write(file, bytes).unwrap();
            tried += 1;
            refused += usize::from(check(&path, file, &what, &before, &right));
        }
        again();
        fs::remove_file(file).unwrap();
        refused += usize::from(check(&path, file, "missing", &before, &right));
        again();
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
        check(&path, file, "a folder", &before, &right);
    }
    assert!(tried > 500 && refused > 300, "{refused} of {tried}");
}

fn is_of(file: &Path, id: Uuid) -> bool {
    file.file_name().unwrap().to_str().unwrap().starts_with(&id.to_string())
}

#[test]
fn whatever_happens_to_a_held_job_exactly_its_plan_is_applied_or_nothing() {
    let folder = fleeting();
    let path = folder.path().join("t.redb");
    let jobs = folder.path().join("t.redb.jobs");
    let id = {
        let db = Database::create(&path).unwrap();
        sync(&db, "okta", SyncMode::Diff, &things("old", 90)).unwrap();
        let guarded =
            tombolo::db::SyncRequest { allow_deletes: None, ..request("okta", SyncMode::Diff) };
        let few = things("old", 30);
        let held = db.sync(&guarded, &mut [input(&few)], &|_| {}).unwrap().remove(0);
        assert_eq!(held.status, JobStatus::Held);
        held.id
    };
    let (database, all) = (fs::read(&path).unwrap(), files(&jobs));
    for (file, whole) in &all {
        let named = file.file_name().unwrap().to_str().unwrap();
        for (what, bytes) in damages(whole, 211) {
            fs::write(&path, &database).unwrap();
            restore(&jobs, &all);
            fs::write(file, bytes).unwrap();
            let db = Database::open(&path).unwrap();
            let done = db.approve(&id.to_string());
            let count = dump(&db.snapshot().unwrap()).unwrap().len();
            match done {
                Ok(_) => assert_eq!(count, 30, "{named} {what}"),
                Err(e) => {
                    assert_eq!(count, 90, "{named} {what}");
                    assert!(
                        e.kind() == ErrorKind::Damaged && e.to_string().contains(named),
                        "{what}: {e}"
                    );
                }
            }
            sync(&db, "other", SyncMode::Diff, &thing("x")).unwrap();
        }
    }
}

#[test]
fn a_foreign_file_is_named_and_cleared_and_keeps_nobody_waiting() {
    let folder = fleeting();
    let mut early = Vec::new();
    let path = base(folder.path(), &mut early);
    let jobs = folder.path().join("t.redb.jobs");
    let foreign = Uuid::from_u128(0x3333);
    let put = |name: &str, bytes: &[u8]| fs::write(jobs.join(name), bytes).unwrap();
    put("notes.json", b"{}");
    put("README", b"do not delete");
    put(&format!("{foreign}.json"), b"{}");
    put("11111111.json", &fs::read(jobs.join(format!("{OKTA}.json"))).unwrap());
    put(&format!("{}.json", Uuid::from_u128(0x4444)), &[0xff; 5_000]);
    let huge = fs::File::create(jobs.join(format!("{}.json", Uuid::from_u128(0x5555)))).unwrap();
    huge.set_len(1 << 40).unwrap();
    fs::create_dir_all(jobs.join("folder.json/with/more")).unwrap();
    fs::create_dir(jobs.join("empty")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/dev/zero", jobs.join(format!("{}.json", Uuid::from_u128(0x6666))))
        .unwrap();
    let db = Database::open(&path).unwrap();
    sync(&db, "other", SyncMode::Diff, &thing("x")).unwrap();
    assert_eq!(db.jobs().unwrap().iter().filter(|job| job.scope == "other").count(), 1);
    db.gc(&crate::kept(90, 365)).unwrap();
    let strays = db.clear_jobs(&[], true).unwrap();
    let names: Vec<&str> = strays.iter().map(|stray| stray.name.as_str()).collect();
    assert_eq!(strays.len(), 8 + usize::from(cfg!(unix)), "{names:?}");
    assert!(db.clear_jobs(&["t.redb".into()], false).is_err());
    assert!(db.clear_jobs(&[OKTA.to_string()], false).is_err(), "a whole job is not cleared");
    assert_eq!(db.clear_jobs(&[foreign.to_string()], false).unwrap().len(), 1);
    assert!(!jobs.join(format!("{foreign}.json")).exists());
    // Damaged job files are problems of the database, foreign ones are not.
    assert_eq!(db.verify().unwrap().len(), 2 + usize::from(cfg!(unix)));
    let left = db.clear_jobs(&[], false).unwrap().into_iter().filter(|stray| stray.left.is_some());
    assert_eq!(left.map(|stray| stray.name).collect::<Vec<_>>(), ["folder.json"]);
    assert_eq!(db.verify().unwrap(), Vec::<String>::new());
    assert_eq!(db.stray_job_files().unwrap().len(), 1);
    assert!(jobs.join("folder.json/with/more").exists());
    assert_eq!(db.open_job(OKTA).unwrap().entities.uploaded, 20);
}

#[test]
fn jobs_of_an_earlier_version_are_told_apart_and_can_be_aborted() {
    let folder = fleeting();
    let mut early = Vec::new();
    let path = base(folder.path(), &mut early);
    let jobs = folder.path().join("t.redb.jobs");
    // As they were: without a checksum, with the deletions in them, beside other stages.
    let json = |status: &str, id: Uuid| {
        let bytes = fs::read(jobs.join(format!("{OKTA}.json"))).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace(&OKTA.to_string(), &id.to_string());
        let sealed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut job = sealed["job"].clone();
        job["deletes"] = serde_json::json!([]);
        job.as_object_mut().unwrap().remove("kept");
        job["reports"][0]["status"] = status.into();
        fs::write(jobs.join(format!("{id}.json")), job.to_string()).unwrap();
    };
    let [open, ended] = [0x7777, 0x8888].map(Uuid::from_u128);
    json("AWAITING_UPLOADS", open);
    json("FINISHED", ended);
    fs::write(jobs.join(format!("{open}.stage")), b"Tml2 frames").unwrap();
    fs::write(jobs.join(format!("{open}.mapped")), b"{}\n").unwrap();
    let db = Database::open(&path).unwrap();
    assert_eq!(db.find_job(&open.to_string()).unwrap().status, JobStatus::AwaitingUploads);
    let earlier = [
        db.finalize(open, &FinalizeRequest::default()).unwrap_err(),
        db.upload(open, input(&thing("x"))).unwrap_err(),
    ];
    for e in earlier {
        assert!(e.to_string().contains("earlier version"), "{e}");
        assert!(e.hint().unwrap().contains("tombolo job abort"), "{:?}", e.hint());
    }
    assert_eq!(db.verify().unwrap(), Vec::<String>::new());
    db.abort(&open.to_string()).unwrap();
    let left = files(&jobs).into_iter().filter(|(file, _)| is_of(file, open));
    assert_eq!(left.count(), 1, "the report");
    sync(&db, "other", SyncMode::Diff, &thing("x")).unwrap();
    assert!(files(&jobs).iter().all(|(file, _)| !is_of(file, open) && !is_of(file, ended)));
    assert_eq!(db.find_job(&open.to_string()).unwrap().status, JobStatus::Aborted);
    assert_eq!(db.find_job(&ended.to_string()).unwrap().status, JobStatus::Finished);
}

#[test]
fn what_a_caller_makes_us_keep_is_counted_and_goes_at_once() {
    let folder = fleeting();
    let path = folder.path().join("t.redb");
    let db = Database::create(&path).unwrap();
    db.create_job(&job_request(OKTA, "okta")).unwrap();
    let id =
        |i: u64| (ObjectKind::Entity, ObjectId::new(ObjectKind::Entity, "okta", &format!("k{i}")));
    let deletes: Vec<_> = (0..10_000).map(id).collect();
    let extras =
        UploadExtras { deletes: &deletes, staged_max: Some(400_000), ..UploadExtras::default() };
    let upload = || db.upload_with(OKTA, input(""), &extras, &mut |_| true);
    upload().unwrap();
    upload().unwrap();
    let (jobs, bytes) = db.staged().unwrap();
    assert!(jobs == 1 && (340_000..400_000).contains(&bytes), "{bytes}");
    assert!(upload().unwrap_err().to_string().contains("400000 bytes"));
    assert_eq!(db.staged().unwrap(), (1, bytes), "nothing of it was kept");
    let many: Vec<_> = (0..100).map(|i| mapped(&format!("m{i}"))).collect();
    let extras = UploadExtras { mapped: &many, ..UploadExtras::default() };
    db.upload_with(OKTA, input(""), &extras, &mut |_| true).unwrap();
    assert!(db.staged().unwrap().1 > bytes + 8_000);
    db.abort(&OKTA.to_string()).unwrap();
    assert_eq!(db.staged().unwrap(), (0, 0));
    assert_eq!(files(&folder.path().join("t.redb.jobs")).len(), 1, "the report");
}

#[test]
fn no_setting_of_a_clock_makes_a_live_job_abandoned() {
    let folder = fleeting();
    let mut early = Vec::new();
    let path = base(folder.path(), &mut early);
    let jobs = folder.path().join("t.redb.jobs");
    let db = Database::open(&path).unwrap();
    let day = Duration::from_secs(24 * 3_600);
    let now = SystemTime::now();
    for (told, time) in [(true, now + 3 * day), (true, now - 3 * day), (false, now + 3 * day)] {
        let stage = fs::File::options().write(true).open(jobs.join(format!("{OKTA}.stage")));
        stage.unwrap().set_modified(time).unwrap();
        if !told {
            // Nothing tells how long ago it was but the clock.
            fs::write(jobs.join(format!("{OKTA}.lock")), "").unwrap();
        }
        assert_eq!(db.drop_abandoned().unwrap(), 0);
        assert_eq!(db.open_job(OKTA).unwrap().entities.uploaded, 20);
    }
}

#[test]
fn old_reports_go_and_what_somebody_needs_stays() {
    let folder = fleeting();
    let path = folder.path().join("t.redb");
    let db = Database::create(&path).unwrap();
    let value = |v: usize| {
        let thing =
            |i| format!("{{\"_key\":\"k{i}\",\"_type\":\"t\",\"_class\":\"C\",\"v\":{v}}}\n");
        (0..3).map(thing).collect::<String>()
    };
    let first = sync(&db, "okta", SyncMode::Diff, &(thing("gone") + &value(0))).unwrap();
    let patch = sync(&db, "okta", SyncMode::Patch, "{\"_key\":\"k0\",\"p\":1}\n").unwrap();
    let deleting = sync(&db, "okta", SyncMode::Diff, &value(1)).unwrap();
    for v in 2..8 {
        sync(&db, "okta", SyncMode::Diff, &value(v)).unwrap();
    }
    let quiet = sync(&db, "okta", SyncMode::Diff, &value(7)).unwrap();
    sync(&db, "jamf", SyncMode::Diff, &thing("x")).unwrap();
    db.create_job(&job_request(OKTA, "open")).unwrap();
    assert_eq!(db.jobs().unwrap().len(), 12);
    let known = |id: Uuid| db.find_job(&id.to_string()).is_ok();
    std::thread::sleep(Duration::from_millis(5));
    // Undo is possible for another 90 days, so what it needs stays.
    db.gc(&crate::kept(90, 0)).unwrap();
    assert!(known(first.id) && known(patch.id), "states of the past name them");
    let forgetful = GcOptions { keep: HistoryKeep::Never, ..crate::kept(90, 0) };
    let done = db.gc(&forgetful).unwrap();
    assert!(known(deleting.id) && known(quiet.id) && known(OKTA));
    assert!(!known(first.id) && !known(patch.id));
    assert_eq!(done.purged_reports, 7);
    assert_eq!(
        db.undo(&deleting.id.to_string(), UndoOptions::default()).unwrap().restored_entities,
        1
    );
    // The job that an object names keeps its numbers.
    db.gc(&crate::kept(0, 0)).unwrap();
    assert_eq!(db.verify().unwrap(), Vec::<String>::new());
    assert!(dump(&db.snapshot().unwrap()).unwrap().len() == 5);
    for number in 0..4 {
        db.snapshot().unwrap().entity(number).unwrap();
    }
    assert_eq!(db.gc(&crate::kept(0, 0)).unwrap().purged_reports, 0);
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_may_write_is_not_believed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = fleeting();
    let mut early = Vec::new();
    let path = base(folder.path(), &mut early);
    let jobs = folder.path().join("t.redb.jobs");
    let modes = files(&jobs).into_iter().map(|(file, _)| file.metadata().unwrap());
    assert!(modes.map(|m| m.permissions().mode() & 0o777).all(|mode| mode == 0o600));
    fs::set_permissions(&jobs, PermissionsExt::from_mode(0o777)).unwrap();
    let db = Database::open(&path).unwrap();
    let e = db.finalize(OKTA, &FinalizeRequest::default()).unwrap_err();
    assert!(e.kind() == ErrorKind::Refused && e.to_string().contains("others"), "{e}");
    assert!(sync(&db, "other", SyncMode::Diff, &thing("x")).is_err());
    fs::set_permissions(&jobs, PermissionsExt::from_mode(0o700)).unwrap();
    sync(&db, "other", SyncMode::Diff, &thing("x")).unwrap();
}
