//! Derived indexes may only make a lookup faster: after any jobs, whatever lies in their folder,
//! queries answer as a look at every entity does.

use crate::common::sync;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tombolo::Database;
use tombolo::graph::{AdjacencyRead, Entity, GraphRead, Value};
use tombolo::lang::SourceText;
use tombolo::query::{Query, QueryAnswer, QueryOptions, QuestionLimits};
use tombolo::sync::SyncMode;

/// Entities that make looking at each too slow.
const CROWD: usize = 5000;

struct World {
    _folder: tempfile::TempDir,
    path: PathBuf,
    db: Database,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("graph.redb");
        let db = Database::create(&path).expect("a new file");
        let mut rows = String::new();
        for i in 0..CROWD {
            writeln!(
                rows,
                r#"{{"_key":"c{i}","_type":"crowd","_class":"Thing","displayName":"Crowd {}","color":"c{}"}}"#,
                i % 50,
                i % 700
            )
            .expect("a string takes all");
        }
        sync(&db, "crowd", SyncMode::Diff, &rows).expect("sound");
        World { _folder: folder, path, db }
    }

    fn indexes(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".index");
        name.into()
    }

    fn index_files(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.indexes()) else { return Vec::new() };
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.expect("readable").path()).collect();
        files.sort();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "idx"));
        files
    }

    /// Each question twice: the second one may make an index, or use it.
    fn check(&self, context: &str) {
        let snapshot = self.db.snapshot().expect("sound");
        let all = (0..snapshot.entity_bound())
            .filter_map(|number| snapshot.entity(number).expect("sound"));
        let live: Vec<Entity> = all.filter(|entity| !entity.metadata.deleted()).collect();
        let has = |entity: &Entity, name: &str, wanted: &Value<'_>| {
            let equal = |own: &Value<'_>| match (own, wanted) {
                (Value::Int(a), Value::Float(b)) => *a as f64 == *b,
                (Value::Float(a), Value::Int(b)) => *a == *b as f64,
                // A number is the text that it is spelled as.
                (Value::Text(text), number @ (Value::Int(_) | Value::Float(_)))
                | (number @ (Value::Int(_) | Value::Float(_)), Value::Text(text)) => {
                    *text == number.to_string().trim_end_matches(".0")
                }
                (own, wanted) => own == wanted,
            };
            match entity.value(name) {
                Some(Value::List(items)) => items.iter().any(equal),
                Some(own) => equal(&own),
                None => false,
            }
        };
        for (name, literal, value) in [
            ("color", "'red'", Value::Text("red".into())),
            ("color", "'c5'", Value::Text("c5".into())),
            ("color", "'blue'", Value::Text("blue".into())),
            ("color", "3", Value::Int(3)),
            ("color", "'3'", Value::Text("3".into())),
            ("color", "4", Value::Int(4)),
            ("color", "'1.5'", Value::Text("1.5".into())),
            ("color", "1.5", Value::Float(1.5)),
            ("color", "true", Value::Bool(true)),
            ("displayName", "'Crowd 7'", Value::Text("Crowd 7".into())),
            ("displayName", "'red'", Value::Text("red".into())),
            ("nowhere", "'x'", Value::Text("x".into())),
        ] {
            let expected: Vec<u32> =
                live.iter().filter(|e| has(e, name, &value)).map(|e| e.number).collect();
            let text = format!("FIND * WITH {name} = {literal}");
            for _ in 0..2 {
                // A snapshot of its own, as every command has.
                let snapshot = self.db.snapshot().expect("sound");
                let options =
                    QueryOptions { parameters: Some(BTreeMap::new()), ..QueryOptions::default() };
                let query = Query::parse(&SourceText::whole("query", text.as_str()), &options)
                    .unwrap_or_else(|fault| panic!("{}", fault.plain()));
                let (answer, _) = query.run(&snapshot, QuestionLimits::default()).expect("sound");
                assert_eq!(answer, QueryAnswer::List(expected.clone()), "{text}: {context}");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    /// A whole scope anew: entity and what its color is.
    Upload(usize, Vec<(u8, u8)>),
    Patch(usize, u8, u8),
    Pin(usize, u8, u8),
    /// Puts back the file as it was once, and goes on from there.
    Restore,
    Remember,
    Gc,
    Compact,
    /// Flips a byte of an index.
    Damage(prop::sample::Index, prop::sample::Index),
    Cut(prop::sample::Index, prop::sample::Index),
    /// Gives one index the name of another.
    Swap(prop::sample::Index, prop::sample::Index),
}

fn color(code: u8) -> &'static str {
    [
        r#""color":"red""#,
        r#""color":"blue""#,
        r#""color":["blue","red"]"#,
        r#""color":3"#,
        r#""color":[1.5,3.0]"#,
        r#""color":true"#,
        r#""color":"4""#,
        r#""color":null"#,
        r#""shape":"red""#,
        r#""displayName":"red""#,
        r#""displayName":["red","x"]"#,
    ][usize::from(code) % 11]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let index = any::<prop::sample::Index>;
    let rows = prop::collection::btree_map(0..12u8, 0..11u8, 0..10)
        .prop_map(|rows| rows.into_iter().collect());
    let act = prop_oneof![
        4 => (0..2usize, rows).prop_map(|(scope, rows)| Act::Upload(scope, rows)),
        2 => (0..2usize, 0..12u8, 0..11u8).prop_map(|(s, k, c)| Act::Patch(s, k, c)),
        1 => (0..2usize, 0..12u8, 0..11u8).prop_map(|(s, k, c)| Act::Pin(s, k, c)),
        2 => Just(Act::Restore),
        1 => Just(Act::Remember),
        1 => Just(Act::Gc),
        1 => Just(Act::Compact),
        1 => (index(), index()).prop_map(|(file, at)| Act::Damage(file, at)),
        1 => (index(), index()).prop_map(|(file, at)| Act::Cut(file, at)),
        1 => (index(), index()).prop_map(|(one, other)| Act::Swap(one, other)),
    ];
    prop::collection::vec(act, 1..10)
}

fn act(world: &World, act: &Act, remembered: &Path) {
    let scope = |at: &usize| ["one", "two"][*at];
    let row = |key: &u8, code: &u8| {
        format!("{{\"_key\":\"k{key}\",\"_type\":\"t\",\"_class\":\"T\",{}}}\n", color(*code))
    };
    // A job that makes no sense is refused, and changes nothing.
    match act {
        Act::Upload(at, rows) => {
            let text: String = rows.iter().map(|(key, code)| row(key, code)).collect();
            let _ = sync(&world.db, scope(at), SyncMode::Diff, &text);
        }
        Act::Patch(at, key, code) => {
            let _ = sync(&world.db, scope(at), SyncMode::Patch, &row(key, code));
        }
        Act::Pin(at, key, code) => {
            let text = format!("{{\"_key\":\"k{key}\",{}}}\n", color(*code));
            let _ = sync(&world.db, scope(at), SyncMode::Override, &text);
        }
        Act::Remember => {
            std::fs::copy(&world.path, remembered).expect("copied");
        }
        Act::Restore => {
            std::fs::copy(remembered, &world.path).expect("copied");
        }
        Act::Gc => {
            world.db.gc(&crate::kept(0, 365)).expect("sound");
        }
        Act::Compact => {
            world.db.compact().expect("sound");
        }
        Act::Damage(file, at) => {
            let files = world.index_files();
            if files.is_empty() {
                return;
            }
            let file = file.get(&files);
            let mut bytes = std::fs::read(file).expect("readable");
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 0x55;
                std::fs::write(file, bytes).expect("written");
            }
        }
        Act::Cut(file, at) => {
            let files = world.index_files();
            if files.is_empty() {
                return;
            }
            let file = file.get(&files);
            let bytes = std::fs::read(file).expect("readable");
            std::fs::write(file, &bytes[..at.index(bytes.len() + 1)]).expect("written");
        }
        Act::Swap(one, other) => {
            let files = world.index_files();
            if !files.is_empty() {
                let _ = std::fs::copy(one.get(&files), other.get(&files));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.clamp(1, 16),
        failure_persistence: None,
        max_shrink_iters: 40,
        ..ProptestConfig::default()
    })]

    #[test]
    fn lookups_are_what_a_look_at_every_entity_finds(acts in acts()) {
        let world = World::new();
        let remembered = world.path.with_extension("copy");
        std::fs::copy(&world.path, &remembered).expect("copied");
        world.check("at first");
        for one in &acts {
            act(&world, one, &remembered);
            world.check(&format!("after {one:?} of {acts:?}"));
        }
    }
}

#[test]
fn an_index_is_made_by_the_second_question_and_then_used() {
    let world = World::new();
    let tested = |text: &str| {
        let options = QueryOptions { parameters: Some(BTreeMap::new()), ..QueryOptions::default() };
        let query = Query::parse(&SourceText::whole("query", text), &options).expect("a query");
        let snapshot = world.db.snapshot().expect("sound");
        let (answer, profile) = query.run(&snapshot, QuestionLimits::default()).expect("sound");
        (answer.len(), profile.tested)
    };
    let text = "FIND Thing WITH color = 'c5'";
    assert_eq!(tested(text), (8, CROWD as u64), "the first one looks at all");
    assert!(world.index_files().is_empty());
    assert_eq!(tested(text), (8, 8), "the second one makes the index");
    assert_eq!(world.index_files().len(), 1);
    assert_eq!(tested("FIND Thing WITH color = ('c5' OR 'c6')"), (16, 16));
    // Only what changed is read again; the entry of what is gone is not followed.
    let row = r#"{"_key":"c5","color":"green"}"#;
    sync(&world.db, "crowd", SyncMode::Patch, row).expect("sound");
    assert_eq!(tested(text), (7, 7));
    assert_eq!(tested("FIND Thing WITH color = 'green'"), (1, 1));
    // A property that nobody has is no reason to look at anything.
    assert_eq!(tested("FIND Thing WITH colour = 'red'"), (0, 0));
}

#[test]
fn a_folder_that_cannot_be_written_costs_only_time() {
    let world = World::new();
    std::fs::write(world.indexes(), "in the way").expect("written");
    world.check("a file where the folder should be");
    assert_eq!(std::fs::read(world.indexes()).expect("readable"), b"in the way");
}

#[test]
fn a_scan_in_stretches_meets_each_entity_once() {
    let world = World::new();
    let snapshot = world.db.snapshot().expect("sound");
    let (mut met, mut next) = (Vec::new(), Some(0));
    while let Some(first) = next {
        next = snapshot.scan_stretch(first, |_| true, |number, _| met.push(number)).expect("sound");
    }
    assert_eq!(met, snapshot.entities_with(None, None).expect("sound"));
    let mut within = Vec::new();
    snapshot.scan_stretch(700, |_| true, |number, _| within.push(number)).expect("sound");
    assert_eq!(within.first(), Some(&700), "a stretch may begin anywhere");
}
