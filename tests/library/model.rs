//! Random jobs in all modes beside a model of plain maps: after each step everything is compared, and
//! at the end every state of the past that the file still knows.
//!
//! `TOMBOLO_CASES` sets how many sequences are run; a failure prints its seed and shrinks.

use crate::common::{adjacency, dump, fleeting, input, sync, sync_again};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tombolo::db::{FinalizeRequest, JobRequest, UndoOptions};
use tombolo::graph::{EdgeDirection, GraphRead, NameLookup};
use tombolo::lang::PastPoint;
use tombolo::store::Snapshot;
use tombolo::sync::{JobReport, JobTally, SyncMode};
use tombolo::{Database, Error};

const SCOPES: [&str; 3] = ["a", "b", "c"];
const BRIDGES: [&str; 2] = ["x", "y"];
const KEYS: usize = 5;

type Name = (String, String);

#[derive(Clone, Debug, PartialEq)]
struct Thing {
    kind: String,
    properties: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Link {
    from: Name,
    to: Name,
    v: i64,
}

/// The graph as plain maps: what is live, and the pins.
#[derive(Clone, Debug, Default)]
struct Model {
    things: BTreeMap<Name, Thing>,
    links: BTreeMap<Name, Link>,
    pins: BTreeMap<Name, BTreeMap<String, i64>>,
}

#[derive(Clone, Debug)]
enum Step {
    Diff {
        scope: usize,
        things: Vec<(usize, usize, i64)>,
        links: Vec<(usize, usize, usize, usize, i64)>,
    },
    Patch {
        scope: usize,
        things: Vec<(usize, Option<usize>, i64)>,
    },
    Override {
        scope: usize,
        key: usize,
        pin: Option<i64>,
    },
    Cross {
        bridge: usize,
        links: Vec<(usize, usize, usize, usize, usize, i64)>,
    },
    UndoLast,
    /// Names that nothing has go; tombstones stay.
    Sweep,
    /// All states before go, and all tombstones.
    Forget,
    Compact,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let thing = (0..KEYS, 0..2usize, 0..3i64);
    let link = (0..KEYS, 0..KEYS, 0..SCOPES.len(), 0..KEYS, 0..2i64);
    let cross = (0..KEYS, 0..SCOPES.len(), 0..KEYS, 0..SCOPES.len(), 0..KEYS, 0..2i64);
    let things = prop::collection::vec(thing, 0..KEYS);
    let step = prop_oneof![
        4 => (0..SCOPES.len(), things, prop::collection::vec(link, 0..4))
            .prop_map(|(scope, things, links)| Step::Diff { scope, things, links }),
        2 => (0..SCOPES.len(), prop::collection::vec((0..KEYS, proptest::option::of(0..2usize), 0..3i64), 0..3))
            .prop_map(|(scope, things)| Step::Patch { scope, things }),
        1 => (0..SCOPES.len(), 0..KEYS, proptest::option::of(7..9i64))
            .prop_map(|(scope, key, pin)| Step::Override { scope, key, pin }),
        3 => (0..BRIDGES.len(), prop::collection::vec(cross, 0..5))
            .prop_map(|(bridge, links)| Step::Cross { bridge, links }),
        1 => Just(Step::UndoLast),
        1 => Just(Step::Sweep),
        1 => Just(Step::Forget),
        1 => Just(Step::Compact),
    ];
    prop::collection::vec(step, 1..14)
}

fn key(i: usize) -> String {
    format!("k{i}")
}

impl Model {
    fn effective(&self, name: &Name, mut thing: Thing) -> Thing {
        if let Some(pins) = self.pins.get(name) {
            thing.properties.extend(pins.clone());
        }
        thing
    }

    /// Puts things into a scope; in DIFF what is not among them goes.
    fn put_things(&mut self, scope: &str, wanted: BTreeMap<Name, Thing>, diff: bool) -> JobTally {
        let mut tally = JobTally { uploaded: wanted.len() as u64, ..JobTally::default() };
        if diff {
            let gone: Vec<Name> = self
                .things
                .keys()
                .filter(|n| n.0 == scope && !wanted.contains_key(*n))
                .cloned()
                .collect();
            tally.deleted = gone.len() as u64;
            gone.iter().for_each(|n| drop(self.things.remove(n)));
        }
        for (name, thing) in wanted {
            let thing = self.effective(&name, thing);
            match self.things.insert(name, thing.clone()) {
                None => tally.created += 1,
                Some(before) if before == thing => tally.unchanged += 1,
                Some(_) => tally.updated += 1,
            }
        }
        tally
    }

    /// Puts links into a scope after its things: DIFF semantics.
    fn put_links(&mut self, scope: &str, wanted: BTreeMap<Name, Link>) -> JobTally {
        let mut tally = JobTally { uploaded: wanted.len() as u64, ..JobTally::default() };
        let before: BTreeMap<Name, Link> = self
            .links
            .iter()
            .filter(|(n, _)| n.0 == scope)
            .map(|(n, l)| (n.clone(), l.clone()))
            .collect();
        self.links.retain(|n, _| n.0 != scope);
        for (name, link) in wanted {
            let old = before.get(&name);
            if !self.things.contains_key(&link.from) || !self.things.contains_key(&link.to) {
                tally.skipped += 1;
                tally.deleted += u64::from(old.is_some());
                continue;
            }
            match old {
                None => tally.created += 1,
                Some(old) if *old == link => tally.unchanged += 1,
                Some(_) => tally.updated += 1,
            }
            self.links.insert(name, link);
        }
        let kept = tally.unchanged + tally.updated;
        tally.deleted = before.len() as u64 - kept;
        tally
    }

    /// Links of other scopes go with their ends.
    fn cascade(&mut self) {
        let things = &self.things;
        self.links.retain(|_, l| things.contains_key(&l.from) && things.contains_key(&l.to));
    }

    fn dump(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((scope, key), thing) in &self.things {
            let properties: Vec<_> =
                thing.properties.iter().map(|(n, v)| format!("{n}={v}")).collect();
            lines.push(format!("{scope}::{key} {} [\"C\"] {}", thing.kind, properties.join(" ")));
        }
        for ((scope, key), l) in &self.links {
            lines.push(format!(
                "{scope}::{key} link {}::{} -HAS-> {}::{} v={}",
                l.from.0, l.from.1, l.to.0, l.to.1, l.v
            ));
        }
        lines.sort();
        lines
    }
}

fn thing_row(key: &str, kind: Option<usize>, v: i64) -> String {
    let kind = kind.map_or(String::new(), |k| format!(r#""_type":"t{k}","_class":"C","#));
    format!("{{\"_key\":\"{key}\",{kind}\"p{v}\":{v}}}\n")
}

fn link_row(key: &str, from: &Name, to: &Name, v: i64) -> String {
    format!(
        "{{\"_key\":\"{key}\",\"_type\":\"link\",\"_class\":\"HAS\",\"_fromEntityScope\":\"{}\",\"_fromEntityKey\":\"{}\",\"_toEntityScope\":\"{}\",\"_toEntityKey\":\"{}\",\"v\":{v}}}\n",
        from.0, from.1, to.0, to.1
    )
}

/// Uploads the whole of a scope, from a source that can be read twice or not, and with the same
/// objects written in one way or another: none of it makes a difference.
fn upload(db: &Database, scope: &str, mode: SyncMode, text: &str) -> Result<JobReport, Error> {
    let spaced = text.replace("\":", "\": ");
    let text = if text.len().is_multiple_of(3) { &spaced } else { text };
    match text.len() % 2 {
        0 => sync(db, scope, mode, text),
        _ => sync_again(db, scope, mode, text),
    }
}

/// Runs one step on both sides and compares what was said about it.
fn run(db: &Database, model: &mut Model, step: &Step, last: &mut Option<(String, Model)>) {
    match step {
        Step::Diff { scope, things, links } => {
            let scope = SCOPES[*scope];
            let mut wanted = BTreeMap::new();
            let mut rows = BTreeMap::new();
            for (k, kind, v) in things {
                let name = (scope.to_owned(), key(*k));
                let properties = BTreeMap::from([(format!("p{v}"), *v)]);
                wanted.insert(name, Thing { kind: format!("t{kind}"), properties });
                rows.insert(format!("e{k}"), thing_row(&key(*k), Some(*kind), *v));
            }
            let mut wanted_links = BTreeMap::new();
            for (k, from, to_scope, to, v) in links {
                let from = (scope.to_owned(), key(*from));
                let to = (SCOPES[*to_scope].to_owned(), key(*to));
                rows.insert(format!("r{k}"), link_row(&format!("l{k}"), &from, &to, *v));
                wanted_links.insert((scope.to_owned(), format!("l{k}")), Link { from, to, v: *v });
            }
            let text: String = rows.into_values().collect();
            let before = model.clone();
            let report = upload(db, scope, SyncMode::Diff, &text);
            if text.is_empty() {
                // Nothing to reconcile against is no error; the guard was told to let it pass.
                assert!(report.is_ok(), "{report:?}");
            }
            let report = report.unwrap();
            assert_eq!(report.entities, model.put_things(scope, wanted, true));
            assert_eq!(report.relationships, model.put_links(scope, wanted_links));
            model.cascade();
            *last = Some((report.id.to_string(), before));
        }
        Step::Patch { scope, things } => {
            let scope = SCOPES[*scope];
            let mut rows = BTreeMap::new();
            for (k, kind, v) in things {
                rows.insert(*k, (*kind, *v));
            }
            let mut wanted = BTreeMap::new();
            let mut text = String::new();
            let mut skipped = 0;
            for (k, (kind, v)) in rows {
                let name = (scope.to_owned(), key(k));
                text += &thing_row(&key(k), kind, v);
                let mut thing = match (model.things.get(&name), kind) {
                    (Some(thing), _) => thing.clone(),
                    (None, Some(_)) => Thing { kind: String::new(), properties: BTreeMap::new() },
                    (None, None) => {
                        skipped += 1;
                        continue;
                    }
                };
                if let Some(kind) = kind {
                    thing.kind = format!("t{kind}");
                }
                thing.properties.insert(format!("p{v}"), v);
                wanted.insert(name, thing);
            }
            let report = sync(db, scope, SyncMode::Patch, &text).unwrap();
            let mut tally = model.put_things(scope, wanted, false);
            tally.skipped = skipped;
            tally.uploaded += skipped;
            assert_eq!(report.entities, tally);
            *last = None;
        }
        Step::Override { scope, key: k, pin } => {
            let scope = SCOPES[*scope];
            let name = (scope.to_owned(), key(*k));
            let pinned = pin.map_or(String::new(), |v| format!(",\"p0\":{v}"));
            let report =
                sync(db, scope, SyncMode::Override, &format!("{{\"_key\":\"k{k}\"{pinned}}}"));
            let Some(thing) = model.things.get_mut(&name) else {
                assert!(report.unwrap_err().to_string().contains("no live entity"));
                return;
            };
            report.unwrap();
            match pin {
                Some(v) => {
                    model.pins.insert(name, BTreeMap::from([("p0".into(), *v)]));
                    thing.properties.insert("p0".into(), *v);
                }
                None => drop(model.pins.remove(&name)),
            }
            *last = None;
        }
        Step::Cross { bridge, links } => {
            let scope = BRIDGES[*bridge];
            let mut rows = BTreeMap::new();
            let mut wanted = BTreeMap::new();
            for (k, fs, f, ts, t, v) in links {
                let from = (SCOPES[*fs].to_owned(), key(*f));
                let to = (SCOPES[*ts].to_owned(), key(*t));
                rows.insert(*k, link_row(&format!("l{k}"), &from, &to, *v));
                wanted.insert((scope.to_owned(), format!("l{k}")), Link { from, to, v: *v });
            }
            let before = model.clone();
            let text: String = rows.into_values().collect();
            let report = upload(db, scope, SyncMode::CrossScope, &text).unwrap();
            assert_eq!(report.entities, JobTally::default());
            assert_eq!(report.relationships, model.put_links(scope, wanted));
            *last = Some((report.id.to_string(), before));
        }
        Step::Sweep => {
            db.gc(&crate::kept(30, 365)).unwrap();
        }
        Step::Forget => {
            db.gc(&crate::kept(0, 365)).unwrap();
            *last = None;
        }
        Step::Compact => {
            db.compact().unwrap();
        }
        Step::UndoLast => {
            let Some((id, before)) = last.take() else { return };
            match db.undo(&id, UndoOptions::default()) {
                Err(e) => assert!(e.to_string().contains("changed nothing"), "{e}"),
                // Nothing touched it since, so all is as it was before.
                Ok(undone) => {
                    assert_eq!(undone.left, Vec::<String>::new());
                    *model = before;
                }
            }
        }
    }
}

fn compare(db: &Database, model: &Model) {
    let snapshot = db.snapshot().unwrap();
    compare_state(&snapshot, model);
    assert_eq!(snapshot.verify(), Vec::<String>::new());
}

/// Compares every state that the file knows with the model as it was then.
fn compare_past(db: &Database, past: &[(u64, Model)]) {
    let oldest = db.states().unwrap()[0].revision;
    for (revision, model) in past {
        let state = db.state_at(&PastPoint::Revision(*revision));
        match state {
            Ok(state) => compare_state(&db.as_of(state).snapshot().unwrap(), model),
            Err(e) => assert!(*revision < oldest, "{e}"),
        }
    }
}

fn compare_state(snapshot: &Snapshot, model: &Model) {
    assert_eq!(dump(snapshot).unwrap(), model.dump());
    let mut edges: Vec<_> = model
        .links
        .values()
        .map(|l| {
            let name = |n: &Name| format!("{}::{}", n.0, n.1);
            (name(&l.from), "HAS".to_owned(), name(&l.to))
        })
        .collect();
    edges.sort();
    for direction in [EdgeDirection::Out, EdgeDirection::In] {
        assert_eq!(adjacency(snapshot, direction), edges);
        let mut passed = 0;
        snapshot.for_each_edge_of_all(direction, |_, _| passed += 1).unwrap();
        assert_eq!(passed, edges.len());
    }
    for (scope, row) in snapshot.scope_rows().unwrap() {
        let name = snapshot.name(scope).to_owned();
        let things = model.things.keys().filter(|(scope, _)| *scope == name).count();
        let links = model.links.keys().filter(|(scope, _)| *scope == name).count();
        let live = row.counts.each_ref().map(|counts| counts.live as usize);
        assert_eq!(live, [things, links], "{name}");
    }
    for (scope, key) in model.things.keys() {
        assert!(snapshot.entity_keyed(scope, key).unwrap().is_some(), "{scope}::{key}");
    }
}

fn cases() -> u32 {
    std::env::var("TOMBOLO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_jobs_do_to_the_graph_what_they_do_to_plain_maps(steps in steps()) {
        let folder = fleeting();
        let db = Database::create(&folder.path().join("t.redb")).unwrap();
        let mut model = Model::default();
        let mut last = None;
        let mut past = vec![(db.newest_state().unwrap().revision, model.clone())];
        for step in &steps {
            run(&db, &mut model, step, &mut last);
            compare(&db, &model);
            past.push((db.newest_state().unwrap().revision, model.clone()));
        }
        compare_past(&db, &past);
    }

    #[test]
    fn batches_split_repeated_and_shuffled_give_the_same_graph(
        order in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(),
        size in 1..5usize,
        repeated in 0..4usize,
    ) {
        let rows: Vec<String> = (0..6)
            .map(|i| thing_row(&key(i), Some(i % 2), i as i64))
            .chain((0..6).map(|i| {
                let name = |k| ("a".to_owned(), key(k));
                link_row(&format!("l{i}"), &name(i), &name((i + 1) % 6), 1)
            }))
            .collect();
        let folder = fleeting();
        let whole = Database::create(&folder.path().join("whole.redb")).unwrap();
        sync(&whole, "a", SyncMode::Diff, &rows.concat()).unwrap();
        let parts = Database::create(&folder.path().join("parts.redb")).unwrap();
        let request = JobRequest {
            id: None,
            any_scope: false,
            source: "api".into(),
            mode: SyncMode::Diff,
            scope: "a".into(),
            ignore_duplicates: false,
        };
        let job = parts.create_job(&request).unwrap();
        let batches: Vec<String> =
            order.chunks(size).map(|c| c.iter().map(|&i| rows[i].as_str()).collect()).collect();
        for batch in batches.iter().chain(batches.iter().take(repeated)) {
            parts.upload(job, input(batch)).unwrap();
        }
        let report = parts.finalize(job, &FinalizeRequest::default()).unwrap();
        prop_assert_eq!(dump(&parts.snapshot().unwrap()).unwrap(), dump(&whole.snapshot().unwrap()).unwrap());
        prop_assert_eq!(parts.finalize(job, &FinalizeRequest::default()).unwrap(), report, "again is the same");
        prop_assert!(parts.upload(job, input(&rows[0])).is_err(), "a finished job takes nothing");
    }
}
