//! Disks that fail, tear and forget: whatever happens during a finalize, the graph that is found
//! on reopening is the one before or the one after.
//!
//! The randomness of each test comes from one printed seed; `TEST_SEED` replays it,
//! `TOMBOLO_POWER_CUTS` and `TOMBOLO_BIT_FLIPS` set the amounts.

use crate::common::{adjacency, dump, fleeting, sync};
use redb::BackendError;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use tombolo::Database;
use tombolo::graph::{EdgeDirection, GraphRead, NameLookup, ObjectId, ObjectKind};
use tombolo::store::{DatabaseFile, Snapshot, StoreError};
use tombolo::sync::SyncMode;

const SEED: u64 = 42;

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failing {
    /// From the chosen operation on, all fail.
    Always,
    /// Only the chosen one fails.
    Once,
    /// The chosen one writes half of its bytes, and all later ones fail.
    Torn,
}

#[derive(Debug, Default)]
struct Disk {
    /// What reads see.
    bytes: Vec<u8>,
    /// What was there at the last sync.
    durable: Vec<u8>,
    /// Sectors written since.
    dirty: BTreeMap<usize, ()>,
    operations: u64,
    reads: u64,
    /// Of pages as large as a block of properties.
    reads_of_blocks: u64,
    /// Bytes written in all.
    written: usize,
    fail_at: Option<(u64, Failing)>,
}

impl Disk {
    /// Counts an operation that changes something; says how it must fail, if it must.
    fn operation(&mut self) -> Option<Failing> {
        let at = self.operations;
        self.operations += 1;
        let (chosen, how) = self.fail_at?;
        match how {
            Failing::Once => (at == chosen).then_some(how),
            Failing::Torn if at == chosen => Some(how),
            Failing::Always | Failing::Torn => (at >= chosen).then_some(Failing::Always),
        }
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        self.bytes[offset..offset + data.len()].copy_from_slice(data);
        self.written += data.len();
        for sector in offset / SECTOR..=(offset + data.len() - 1) / SECTOR {
            self.dirty.insert(sector, ());
        }
    }
}

const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
struct Storage(Arc<Mutex<Disk>>);

impl Storage {
    fn holding(bytes: Vec<u8>) -> Storage {
        let disk = Disk { durable: bytes.clone(), bytes, ..Disk::default() };
        Storage(Arc::new(Mutex::new(disk)))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Disk) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn eio() -> Error {
    Error::other("the disk fails")
}

impl redb::StorageBackend for Storage {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.with(|disk| disk.bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.with(|disk| {
            disk.reads += 1;
            disk.reads_of_blocks += u64::from(out.len() >= 32 << 10);
            let start = offset as usize;
            match disk.bytes.get(start..start + out.len()) {
                Some(bytes) => {
                    out.copy_from_slice(bytes);
                    Ok(())
                }
                None => Err(ErrorKind::UnexpectedEof.into()),
            }
        })
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.with(|disk| match disk.operation() {
            Some(_) => Err(eio()),
            None => {
                disk.bytes.resize(len as usize, 0);
                Ok(())
            }
        })
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.with(|disk| match disk.operation() {
            Some(_) => Err(eio()),
            None => {
                let Disk { durable, bytes, .. } = disk;
                durable.clone_from(bytes);
                disk.dirty.clear();
                Ok(())
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.with(|disk| match disk.operation() {
            None => {
                disk.write(offset as usize, data);
                Ok(())
            }
            Some(Failing::Torn) => {
                let half = data.len() / 2;
                if half > 0 {
                    disk.write(offset as usize, &data[..half]);
                }
                Err(eio())
            }
            Some(_) => Err(eio()),
        })
    }

    // Nobody else has this disk.

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

struct Random(u64);

impl Random {
    fn seeded() -> Random {
        let seed = std::env::var("TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(SEED);
        println!("TEST_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }
}

fn amount(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

fn thing(i: usize, v: usize) -> String {
    format!(
        "{{\"_key\":\"k{i}\",\"_type\":\"t\",\"_class\":\"C\",\"v\":{v},\"note\":\"number {i}\"}}\n"
    )
}

fn link(i: usize, from: &str, to: &str) -> String {
    format!(
        "{{\"_key\":\"l{i}\",\"_type\":\"l\",\"_class\":\"HAS\",\"_fromEntityKey\":\"k{i}\",\"_toEntityKey\":\"k{}\",\"_fromEntityScope\":\"{from}\",\"_toEntityScope\":\"{to}\"}}\n",
        i / 2
    )
}

/// A graph with two scopes and a bridge.
fn base() -> Vec<u8> {
    let storage = Storage::default();
    let folder = fleeting();
    let db = database(&storage, folder.path());
    let a: String =
        (0..120).map(|i| thing(i, 0)).chain((0..60).map(|i| link(i, "a", "a"))).collect();
    sync(&db, "a", SyncMode::Diff, &a).unwrap();
    sync(&db, "b", SyncMode::Diff, &(0..50).map(|i| thing(i, 0)).collect::<String>()).unwrap();
    let bridge: String = (0..40).map(|i| link(i, "a", "b")).collect();
    sync(&db, "bridge", SyncMode::CrossScope, &bridge).unwrap();
    drop(db);
    storage.with(|disk| disk.bytes.clone())
}

fn database(storage: &Storage, folder: &std::path::Path) -> Database {
    let store = DatabaseFile::with_backend(storage.clone(), 7).expect("the storage opens");
    Database::with_store(store, &folder.join("t.redb"))
}

/// One finalize of each kind: changes with a cascade into the bridge, a bridge, a patch, pins.
fn finalizes() -> Vec<(&'static str, SyncMode, String)> {
    let changed = (0..100).map(|i| thing(i + 5, i % 3)).chain((9..70).map(|i| link(i, "a", "a")));
    vec![
        ("a", SyncMode::Diff, changed.collect()),
        ("bridge", SyncMode::CrossScope, (20..50).map(|i| link(i, "a", "b")).collect()),
        ("b", SyncMode::Patch, (0..20).map(|i| thing(i, 5)).collect()),
        (
            "b",
            SyncMode::Override,
            (0..20).map(|i| format!("{{\"_key\":\"k{i}\",\"v\":9}}\n")).collect(),
        ),
    ]
}

/// What a database on these bytes holds. It must open and be sound, and one question about it must
/// find the same without a repair.
fn found(bytes: Vec<u8>) -> Vec<String> {
    let asked = dump(&asked(&bytes).expect("opens")).expect("reads");
    let store = DatabaseFile::with_backend(Storage::holding(bytes), 7).expect("reopens");
    let snapshot = store.snapshot().expect("reads");
    assert_eq!(snapshot.verify(), Vec::<String>::new());
    let found = dump(&snapshot).expect("reads");
    assert!(asked == found, "read as it is, the file holds something else than repaired");
    found
}

/// A file of these bytes, opened for one question.
fn asked(bytes: &[u8]) -> Result<Snapshot, StoreError> {
    let folder = fleeting();
    let path = folder.path().join("t.redb");
    std::fs::write(&path, bytes).expect("writes");
    let snapshot = DatabaseFile::open_briefly(&path)?.snapshot()?;
    assert!(std::fs::read(&path).expect("reads") == bytes, "a question changes the file");
    Ok(snapshot)
}

#[test]
fn a_disk_that_fails_at_any_operation_leaves_the_graph_before_or_after() {
    let base = base();
    let before = found(base.clone());
    for (scope, mode, text) in finalizes() {
        let (after, operations) = {
            let storage = Storage::holding(base.clone());
            let folder = fleeting();
            let db = database(&storage, folder.path());
            let start = storage.with(|disk| disk.operations);
            sync(&db, scope, mode, &text).unwrap();
            let end = storage.with(|disk| disk.operations);
            drop(db);
            (found(storage.with(|disk| disk.bytes.clone())), end - start)
        };
        assert_ne!(before, after, "{mode} changes something");
        for how in [Failing::Always, Failing::Once, Failing::Torn] {
            for k in 0..operations {
                let storage = Storage::holding(base.clone());
                let folder = fleeting();
                let db = database(&storage, folder.path());
                storage.with(|disk| disk.fail_at = Some((disk.operations + k, how)));
                let result = sync(&db, scope, mode, &text);
                drop(db);
                let left = found(storage.with(|disk| disk.bytes.clone()));
                assert!(left == before || left == after, "{mode} {how:?} at {k}: neither");
                assert!(result.is_err() || left == after, "{mode} {how:?} at {k}: lost");
            }
        }
    }
}

#[test]
fn a_power_cut_keeps_what_was_acknowledged_and_mixes_nothing() {
    let mut random = Random::seeded();
    let base = base();
    let before = found(base.clone());
    // Of each finalize, the graph that it makes where nothing fails.
    let whole = |(scope, mode, text): (&'static str, SyncMode, String)| {
        let fresh = Storage::holding(base.clone());
        let folder = fleeting();
        let db = database(&fresh, folder.path());
        sync(&db, scope, mode, &text).unwrap();
        let after = dump(&db.snapshot().unwrap()).unwrap();
        (scope, mode, text, after)
    };
    let finalizes: Vec<_> = finalizes().into_iter().map(whole).collect();
    for round in 0..amount("TOMBOLO_POWER_CUTS", 2_000) {
        let (scope, mode, text, after) = &finalizes[round % finalizes.len()];
        let storage = Storage::holding(base.clone());
        let folder = fleeting();
        let db = database(&storage, folder.path());
        let k = random.below(120) as u64;
        storage.with(|disk| disk.fail_at = Some((disk.operations + k, Failing::Always)));
        let result = sync(&db, scope, *mode, text);
        // The power goes now: of what was not synced, each sector survives or not.
        let left = storage.with(|disk| {
            let mut left = disk.durable.clone();
            left.resize(disk.bytes.len().max(left.len()), 0);
            for &sector in disk.dirty.keys() {
                let start = sector * SECTOR;
                let end = (start + SECTOR).min(disk.bytes.len());
                if start < end && random.below(2) == 0 {
                    left[start..end].copy_from_slice(&disk.bytes[start..end]);
                }
            }
            left
        });
        let left = found(left);
        assert!(left == before || left == *after, "round {round}: {mode} cut at {k} is mixed");
        assert!(result.is_err() || left == *after, "round {round}: {mode} acknowledged and lost");
    }
}

#[test]
fn a_question_reads_what_a_killed_writer_left_as_it_is() {
    // The flags of the engine: a writer has the file open or died, the newest commit was made in
    // two phases, and that it is the newest may not be durable.
    const AT: usize = 9;
    const RECOVERY: u8 = 2;
    const TWO_PHASES: u8 = 4;
    const UNFLUSHED: u8 = 8;
    let folder = fleeting();
    let path = folder.path().join("t.redb");
    DatabaseFile::create(&path, 7).unwrap();
    let upload = |db: &Database, v| {
        let things: String = (0..2_000).map(|i| thing(i, v)).collect();
        sync(db, "a", SyncMode::Diff, &things).unwrap();
    };
    let now = |db: &Database| dump(&db.snapshot().unwrap()).unwrap();
    let (newest, killed) = {
        let db = Database::with_store(DatabaseFile::open_writer(&path).unwrap(), &path);
        upload(&db, 0);
        upload(&db, 1);
        (now(&db), std::fs::read(&path).unwrap())
    };
    assert_eq!(killed[AT] & (RECOVERY | TWO_PHASES | UNFLUSHED), RECOVERY | TWO_PHASES);
    let db = Database::open(&path).unwrap();
    let leave = |flags: u8| {
        let mut bytes = killed.clone();
        bytes[AT] = flags;
        std::fs::write(&path, &bytes).unwrap();
        bytes
    };
    type Open = fn(&std::path::Path) -> Result<DatabaseFile, StoreError>;
    let opens: [Open; 2] = [DatabaseFile::open_briefly, DatabaseFile::open_reader];
    for (more, open) in [0, UNFLUSHED].into_iter().flat_map(|more| opens.map(|open| (more, open))) {
        let left = leave(killed[AT] | more);
        let snapshot = open(&path).unwrap().snapshot().unwrap();
        assert!(dump(&snapshot).unwrap() == newest);
        assert!(std::fs::read(&path).unwrap() == left, "a question changes the file");
        // A writer that comes meanwhile repairs the file, and keeps what is being read.
        for v in 2..6 {
            upload(&db, v);
        }
        assert!(now(&db) != newest);
        assert!(dump(&snapshot).unwrap() == newest);
    }
    // What is kept open is repaired first.
    leave(killed[AT]);
    let kept = DatabaseFile::open_kept(&path).unwrap();
    assert!(dump(&kept.snapshot().unwrap()).unwrap() == newest);
    assert_eq!(std::fs::read(&path).unwrap()[AT] & RECOVERY, 0);
    drop(kept);
    // Which commit is whole is now for the engine to find out, which a writer lets it do.
    let left = leave(killed[AT] & !TWO_PHASES);
    assert!(matches!(DatabaseFile::open_briefly(&path), Err(StoreError::Corrupt { .. })));
    assert!(std::fs::read(&path).unwrap() == left, "a question changes the file");
    drop(DatabaseFile::open_writer(&path).unwrap());
    let snapshot = DatabaseFile::open_briefly(&path).unwrap().snapshot().unwrap();
    assert!(dump(&snapshot).unwrap() == newest);
    assert_eq!(std::fs::read(&path).unwrap()[AT] & RECOVERY, 0);
}

#[test]
fn a_load_that_does_not_fit_memory_writes_a_page_about_once() {
    let storage = Storage::default();
    let folder = fleeting();
    let db = database(&storage, folder.path());
    let before = storage.with(|disk| disk.written);
    let things: String = (0..40_000).map(|i| thing(i, i)).collect();
    sync(&db, "a", SyncMode::Diff, &things).unwrap();
    let (written, size) = storage.with(|disk| (disk.written - before, disk.bytes.len()));
    assert!(written < size * 5 / 4, "{written} bytes written for a file of {size}");
}

#[test]
fn a_pass_over_everything_reads_each_block_about_once_in_whatever_order_it_was_stored() {
    let storage = Storage::default();
    let folder = fleeting();
    let db = database(&storage, folder.path());
    let mut random = Random::seeded();
    // Relationships get their numbers in the order of their ends, properties stay in this order.
    let link = |i: usize, from: usize| {
        let note: String = (0..6).map(|part| format!("{} ", (i * 7919 + part) * 104_729)).collect();
        format!(
            "{{\"_key\":\"l{i}\",\"_type\":\"l\",\"_class\":\"HAS\",\"_fromEntityKey\":\"k{from}\",\"_toEntityKey\":\"k{}\",\"note\":\"{note}\"}}\n",
            i % 900
        )
    };
    let things: String = (0..900).map(|i| thing(i, i)).collect();
    let links: String = (0..60_000).map(|i| link(i, random.below(900))).collect();
    sync(&db, "a", SyncMode::Diff, &(things + &links)).unwrap();
    drop(db);
    let store = DatabaseFile::with_backend(storage.clone(), 7).unwrap();
    let reads = || storage.with(|disk| disk.reads_of_blocks);
    let pass = |memory: usize| {
        let snapshot = store.snapshot().unwrap().with_memory(memory);
        let (before, mut notes) = (reads(), 0);
        let walked = snapshot.for_each_stored(ObjectKind::Relationship, None, |number, _, _| {
            let link = snapshot.relationship(number)?.expect("it is there");
            notes += link.properties.len();
            Ok::<_, StoreError>(())
        });
        walked.unwrap();
        assert_eq!(notes, 60_000);
        reads() - before
    };
    let once = pass(1 << 30);
    assert!(once >= 20, "{once} blocks");
    // Some are read again until the cache has grown.
    let again = pass(6 << 20);
    assert!(again <= once * 2, "{once} blocks, read {again} times in little memory");
}

#[test]
fn a_question_reads_as_much_whatever_others_call_their_properties() {
    let reads = |names: usize| {
        let storage = Storage::default();
        let folder = fleeting();
        let db = database(&storage, folder.path());
        let row = |i: usize| {
            let tags: String =
                (i * 500..(i + 1) * 500).map(|n| format!(",\"tag.{n}\":{n}")).collect();
            format!("{{\"_key\":\"j{i}\",\"_type\":\"t\",\"_class\":\"C\"{tags}}}\n")
        };
        sync(&db, "b", SyncMode::Diff, &(0..names / 500).map(row).collect::<String>()).unwrap();
        sync(&db, "a", SyncMode::Diff, &(0..50).map(|i| thing(i, i)).collect::<String>()).unwrap();
        drop(db);
        // With nothing in the memory of the engine yet.
        let store = DatabaseFile::with_backend(storage.clone(), 7).unwrap();
        let before = storage.with(|disk| disk.reads);
        let snapshot = store.snapshot().unwrap();
        let id = ObjectId::new(ObjectKind::Entity, "a", "k7");
        let number = snapshot.number_of(ObjectKind::Entity, id).unwrap().expect("it is there");
        let entity = snapshot.entity(number).unwrap().expect("it is there");
        assert_eq!(entity.properties.len(), 2);
        assert!(snapshot.entity_value(number, "note").unwrap().is_some());
        storage.with(|disk| disk.reads) - before
    };
    let (few, many) = (reads(500), reads(40_000));
    // A table that is larger may be a page or two deeper.
    assert!(many <= few + 16, "{few} reads where there are few names, {many} where there are many");
}

/// All that questions are answered from: objects, both directions of adjacency, counts, lookups.
fn everything(snapshot: &Snapshot) -> Result<Vec<String>, StoreError> {
    let mut lines = dump(snapshot)?;
    for direction in [EdgeDirection::Out, EdgeDirection::In] {
        lines.extend(adjacency(snapshot, direction).into_iter().map(|edge| format!("{edge:?}")));
    }
    for (scope, row) in snapshot.scope_rows()? {
        lines.push(format!("{scope} {:?}", row.counts));
        for i in 0..120 {
            let id = ObjectId::new(ObjectKind::Entity, snapshot.name(scope), &format!("k{i}"));
            lines.push(format!("{:?}", snapshot.find(ObjectKind::Entity, scope, id)?));
        }
    }
    Ok(lines)
}

/// What a file of these bytes holds, read as it is.
fn read_all(bytes: Vec<u8>) -> Result<Vec<String>, StoreError> {
    let folder = fleeting();
    let path = folder.path().join("t.redb");
    std::fs::write(&path, bytes).expect("writes");
    everything(&DatabaseFile::open_reader(&path)?.snapshot()?)
}

/// The bytes of a database and what it holds after each of some finalizes.
fn history() -> Vec<(Vec<u8>, Vec<String>)> {
    let storage = Storage::holding(base());
    let folder = fleeting();
    let mut states = Vec::new();
    for round in 0..3 {
        for (scope, mode, text) in finalizes() {
            let text = text.replace("number", &format!("round {round} number"));
            let db = database(&storage, folder.path());
            sync(&db, scope, mode, &text).unwrap();
            drop(db);
            let bytes = storage.with(|disk| disk.bytes.clone());
            let lines = read_all(bytes.clone()).expect("reads");
            states.push((bytes, lines));
        }
    }
    states
}

#[test]
fn pages_of_two_states_in_one_file_are_one_of_them_or_damage() {
    const PAGE: usize = 4096;
    let mut random = Random::seeded();
    let states = history();
    let (mut noticed, mut whole) = (0, 0);
    for round in 0..amount("TOMBOLO_MIXED_FILES", 1_500) {
        let (from, to) = (random.below(states.len()), random.below(states.len()));
        let ((mut bytes, _), (other, _)) = (states[from].clone(), states[to].clone());
        let len = bytes.len().max(other.len());
        bytes.resize(len, 0);
        match round % 3 {
            // As a copy that was taken while somebody wrote: the later, the newer.
            0 => {
                let at = random.below(other.len());
                bytes[at..other.len()].copy_from_slice(&other[at..]);
            }
            // As a disk that lost some writes.
            1 => {
                let one_in = 2 + random.below(20);
                for page in (0..other.len()).step_by(PAGE) {
                    if random.below(one_in) == 0 {
                        let end = (page + PAGE).min(other.len());
                        bytes[page..end].copy_from_slice(&other[page..end]);
                    }
                }
            }
            // A page in another place.
            _ => {
                let pages = bytes.len() / PAGE;
                let (a, b) = (random.below(pages) * PAGE, random.below(pages) * PAGE);
                bytes.copy_within(b..b + PAGE, a);
            }
        }
        match read_all(bytes) {
            Ok(lines) => {
                let known = states.iter().any(|(_, state)| *state == lines);
                assert!(known, "round {round}: {from} and {to}: a mixture without an error");
                whole += 1;
            }
            Err(StoreError::Corrupt { .. } | StoreError::NotADatabase(..)) => noticed += 1,
            Err(e) => panic!("round {round}: {e:?}"),
        }
    }
    println!("{noticed} noticed, {whole} whole");
    assert!(noticed > 0 && whole > 0);
}

#[test]
fn a_flipped_bit_is_noticed_or_does_not_matter() {
    let mut random = Random::seeded();
    let base = base();
    let truth = {
        let store = DatabaseFile::with_backend(Storage::holding(base.clone()), 7).expect("opens");
        everything(&store.snapshot().expect("reads")).expect("reads")
    };
    let (mut noticed, mut harmless) = (0, 0);
    for _ in 0..amount("TOMBOLO_BIT_FLIPS", 2_000) {
        let mut bytes = base.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        match read_all(bytes) {
            Ok(lines) => {
                assert_eq!(lines, truth, "bit at {at}: a wrong answer without an error");
                harmless += 1;
            }
            Err(_) => noticed += 1,
        }
    }
    println!("{noticed} noticed, {harmless} harmless");
    assert!(noticed > 0 && harmless > 0);
}
