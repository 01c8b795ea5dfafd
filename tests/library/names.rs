//! Names: how many there may be, that a question does not read those that it does not ask about, and
//! that those which nothing has any more go.

use crate::common::{dump, fleeting, sync};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use tombolo::graph::NameLookup;
use tombolo::store::{NEW_NAMES_MAX, SCOPE_WORDS_MAX, StoreError};
use tombolo::sync::{SyncError, SyncMode};
use tombolo::{Database, Error, ErrorKind};

fn fresh() -> (tempfile::TempDir, Database) {
    let folder = fleeting();
    let db = Database::create(&folder.path().join("t.redb")).unwrap();
    (folder, db)
}

/// Rows with so many names of properties, a thousand each.
fn tagged(names: std::ops::Range<usize>) -> String {
    let names: Vec<usize> = names.collect();
    let row = |(at, tags): (usize, &[usize])| {
        let tags: String = tags.iter().map(|tag| format!(",\"tag.{tag}\":{tag}")).collect();
        format!("{{\"_key\":\"k{at}\",\"_type\":\"t\",\"_class\":\"C\"{tags}}}\n")
    };
    names.chunks(1000).enumerate().map(row).collect()
}

fn full(result: Result<impl Sized, Error>) -> String {
    match result.map(drop) {
        Err(e @ Error::Sync(SyncError::Store(StoreError::NamesFull { .. })))
        | Err(e @ Error::Store(StoreError::NamesFull { .. })) => {
            assert_eq!(e.kind(), ErrorKind::Invalid);
            assert!(e.hint().is_some());
            e.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_with_too_many_names_is_refused_and_changes_nothing() {
    let (_folder, db) = fresh();
    sync(&db, "honest", SyncMode::Diff, &tagged(0..900)).unwrap();
    let before = (dump(&db.snapshot().unwrap()).unwrap(), db.snapshot().unwrap().meta());
    let said = full(sync(&db, "junk", SyncMode::Diff, &tagged(900..900 + NEW_NAMES_MAX as usize)));
    assert!(said.contains("scope `junk`") && said.contains("more than 50000"), "{said}");
    let after = (dump(&db.snapshot().unwrap()).unwrap(), db.snapshot().unwrap().meta());
    assert_eq!(after, before);
    // Names that are there already cost nothing.
    sync(&db, "junk", SyncMode::Diff, &tagged(0..900)).unwrap();
}

#[test]
fn a_scope_with_too_many_types_is_refused() {
    let (_folder, db) = fresh();
    let row = |i: usize| format!("{{\"_key\":\"k{i}\",\"_type\":\"t{i}\",\"_class\":\"C\"}}\n");
    let rows = |n: usize| (0..n).map(row).collect::<String>();
    let said = full(sync(&db, "junk", SyncMode::Diff, &rows(SCOPE_WORDS_MAX + 1)));
    assert!(said.contains("scope `junk`") && said.contains("types"), "{said}");
    assert_eq!(db.snapshot().unwrap().meta().names, 0);
    sync(&db, "junk", SyncMode::Diff, &rows(SCOPE_WORDS_MAX)).unwrap();
}

#[test]
fn names_that_nothing_has_any_more_go_and_others_keep_their_numbers() {
    let (_folder, db) = fresh();
    sync(&db, "kept", SyncMode::Diff, &tagged(0..300)).unwrap();
    sync(&db, "junk", SyncMode::Diff, &tagged(250..9000)).unwrap();
    sync(&db, "junk", SyncMode::Diff, &tagged(260..262)).unwrap();
    let number = |name: &str| db.snapshot().unwrap().property_number(name).unwrap();
    let known = number("tag.260");
    // Tombstones may come back, and states of the past can be asked, so their names stay.
    assert_eq!(db.gc(&crate::kept(30, 365)).unwrap().swept.names, 0);
    assert!(number("tag.8999").is_some());
    std::thread::sleep(Duration::from_millis(5));
    let graph = dump(&db.snapshot().unwrap()).unwrap();
    let report = db.gc(&crate::kept(0, 365)).unwrap();
    assert_eq!(report.swept.names, 9000 - 300, "{report:?}");
    assert_eq!(db.verify().unwrap(), Vec::<String>::new());
    assert_eq!(dump(&db.snapshot().unwrap()).unwrap(), graph);
    assert_eq!((number("tag.260"), number("tag.8999")), (known, None));
    // What goes and comes again is a new name; the file is as small as if it had never been there.
    let meta = db.snapshot().unwrap().meta();
    assert_eq!(meta.names, 300 + 4, "two scopes, a type and a class");
    for _ in 0..3 {
        sync(&db, "junk", SyncMode::Diff, &tagged(250..9000)).unwrap();
        assert_eq!(db.verify().unwrap(), Vec::<String>::new());
        sync(&db, "junk", SyncMode::Diff, &tagged(0..0)).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        db.gc(&crate::kept(0, 365)).unwrap();
        assert_eq!(db.verify().unwrap(), Vec::<String>::new());
    }
    let meta = db.snapshot().unwrap().meta();
    assert_eq!(meta.names, 300 + 3, "the scope that held nothing went as well");
    db.compact().unwrap();
    assert_eq!(db.verify().unwrap(), Vec::<String>::new());
}

#[test]
fn a_scope_that_held_nothing_goes_and_can_come_again() {
    let (_folder, db) = fresh();
    let link = "{\"_key\":\"l\",\"_type\":\"l\",\"_class\":\"HAS\",\"_fromEntityKey\":\"k0\",\"_toEntityKey\":\"k1\"}\n";
    let rows = |v: usize| format!("{}{link}", tagged(0..2000 + v));
    for v in 1..4 {
        sync(&db, "it", SyncMode::Diff, &rows(v)).unwrap();
        assert_eq!(db.verify().unwrap(), Vec::<String>::new());
        let graph = dump(&db.snapshot().unwrap()).unwrap();
        assert_eq!(db.gc(&crate::kept(0, 365)).unwrap().swept.scopes, 0);
        assert_eq!(dump(&db.snapshot().unwrap()).unwrap(), graph);
        sync(&db, "it", SyncMode::Diff, "").unwrap();
        std::thread::sleep(Duration::from_millis(5));
        let swept = db.gc(&crate::kept(0, 365)).unwrap().swept;
        assert_eq!((swept.scopes, swept.labels), (1, 1));
        let snapshot = db.snapshot().unwrap();
        assert_eq!((snapshot.meta().names, snapshot.name_number("it")), (0, None));
        assert_eq!(snapshot.verify(), Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Names come and go in some scopes; after each sweep all that is left says what it said.
    #[test]
    fn a_sweep_changes_no_answer(
        steps in prop::collection::vec((0..3usize, prop::collection::vec((0..9usize, 0..40usize, 0..4usize), 0..9), any::<bool>()), 1..7),
    ) {
        let (_folder, db) = fresh();
        for (scope, rows, purge) in steps {
            let mut keys = BTreeSet::new();
            let text: String = rows
                .iter()
                .filter(|(key, ..)| keys.insert(*key))
                .map(|(key, name, kind)| format!(
                    "{{\"_key\":\"k{key}\",\"_type\":\"t{kind}\",\"_class\":\"C{kind}\",\"p{name}\":1,\"t{}\":2}}\n",
                    (kind + 1) % 4,
                ))
                .collect();
            sync(&db, ["a", "b", "c"][scope], SyncMode::Diff, &text).unwrap();
            let before = dump(&db.snapshot().unwrap()).unwrap();
            std::thread::sleep(Duration::from_millis(if purge { 2 } else { 0 }));
            db.gc(&crate::kept(if purge { 0 } else { 30 }, 365)).unwrap();
            let snapshot = db.snapshot().unwrap();
            prop_assert_eq!(snapshot.verify(), Vec::<String>::new());
            prop_assert_eq!(dump(&snapshot).unwrap(), before);
        }
    }
}
