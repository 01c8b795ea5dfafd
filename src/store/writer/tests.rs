//! Tests of what a writer stores against plain maps, and of lost and wrong rows.

use super::*;
use crate::graph::{AdjacencyRead, IncidentEdge};
use crate::store::heads::ObjectHead;
use crate::store::segment::{AdjacencyEntry, StoredEdge};
use crate::store::{DatabaseFile, Snapshot};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A store with numbers for so many entities, at revision 2. Its file has no name any more, and
/// lies in memory where the system has a disk there.
fn store(entities: u32) -> DatabaseFile {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("t.redb");
    DatabaseFile::create(&path, 7).unwrap();
    let store = DatabaseFile::open_writer(&path).unwrap();
    let mut writer = store.begin_write(1).unwrap();
    writer.take_numbers(ObjectKind::Entity, entities as usize).unwrap();
    writer.commit().unwrap();
    store
}

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
        (self.0 >> 33) % n
    }
}

type Model = BTreeSet<(u32, u32, u32, u32)>;

fn edit(add: bool) -> impl Fn(&(u32, u32, u32, u32)) -> EdgeEdit {
    move |&(from, to, label, relationship)| EdgeEdit { from, to, label, relationship, add }
}

fn commit(store: &DatabaseFile, revision: u64, edits: &[EdgeEdit]) {
    let mut writer = store.begin_write(revision).unwrap();
    writer.edit_adjacency(edits).unwrap();
    writer.commit().unwrap();
}

/// So many edges between 4,000 entities, numbered from `first` on.
fn thin(random: &mut Random, count: u32, first: u32) -> Vec<(u32, u32, u32, u32)> {
    let mut edge = |i| {
        let [from, to, label] = [4000, 4000, 4].map(|n| random.below(n) as u32);
        (from, to, label, first + i)
    };
    (0..count).map(&mut edge).collect()
}

/// The keys of adjacency.
fn rows(store: &DatabaseFile, revision: u64) -> Vec<Vec<u8>> {
    let writer = store.begin_write(revision).unwrap();
    let table = writer.transaction.open_table(tables::ADJACENCY).unwrap();
    table.iter().unwrap().map(|row| row.unwrap().0.value().to_vec()).collect()
}

fn stored(edge: IncidentEdge) -> StoredEdge {
    StoredEdge { other: edge.other, label: edge.label, relationship: edge.relationship }
}

fn counts(store: &DatabaseFile) -> crate::store::EdgeCounts {
    let [with, against] = store.snapshot().unwrap().meta().edges;
    assert_eq!(with, against);
    with
}

fn check_edges(snapshot: &Snapshot, model: &Model) -> Result<(), TestCaseError> {
    for direction in [EdgeDirection::Out, EdgeDirection::In] {
        let mut expected: Vec<AdjacencyEntry> = model
            .iter()
            .map(|&(from, to, label, relationship)| match direction {
                EdgeDirection::Out => (from, StoredEdge { other: to, label, relationship }),
                EdgeDirection::In => (to, StoredEdge { other: from, label, relationship }),
            })
            .collect();
        expected.sort_unstable();
        let mut all = Vec::new();
        snapshot.for_each_edge_of_all(direction, |at, edge| all.push((at, stored(edge)))).unwrap();
        prop_assert_eq!(&all, &expected);
        for entity in (0..4000).step_by(97).chain([0, 1, 2, 3999]) {
            let mut one = Vec::new();
            snapshot
                .for_each_edge(entity, direction, |edge| one.push((entity, stored(edge))))
                .unwrap();
            let known = expected.iter().filter(|(at, _)| *at == entity).copied();
            prop_assert_eq!(one, known.collect::<Vec<_>>());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn edges_are_found_whatever_was_added_and_removed(
        rounds in prop::collection::vec(
            (0..3usize, any::<bool>(), 0..2500u32, any::<u64>()),
            1..9,
        ),
    ) {
        let store = store(4000);
        let (mut model, mut lost) = (Model::new(), Model::new());
        for (revision, (shape, many, count, seed)) in (2..).zip(rounds) {
            let mut random = Random(seed);
            // A hub, a crowd, and edges spread thinly.
            let sources = [1, 40, 4000][shape];
            // Many edits are merged into the base, few stay beside it.
            let (count, one_in) =
                if many { (count, 3) } else { (count % 40, 1 + model.len() as u64 / 20) };
            let gone: Vec<_> =
                model.iter().filter(|_| random.below(one_in) == 0).copied().collect();
            lost.extend(&gone);
            // Some come back, of those that went before or just now.
            let back = 1 + lost.len() as u64 / 10;
            let mut come: Vec<_> =
                lost.iter().filter(|_| random.below(back) == 0).copied().collect();
            come.extend((0..count).map(|i| {
                let (from, to) = (random.below(sources) as u32, random.below(4000) as u32);
                (from, to, random.below(4) as u32, (revision as u32) * 10_000 + i)
            }));
            let edits: Vec<EdgeEdit> =
                gone.iter().map(edit(false)).chain(come.iter().map(edit(true))).collect();
            let mut writer = store.begin_write(revision).unwrap();
            // In one go or in two.
            let (some, more) = edits.split_at(random.below(2) as usize * edits.len() / 2);
            writer.edit_adjacency(some).unwrap();
            writer.edit_adjacency(more).unwrap();
            writer.commit().unwrap();
            gone.iter().for_each(|edge| { model.remove(edge); });
            come.iter().for_each(|edge| { lost.remove(edge); });
            model.extend(come);
            check_edges(&store.snapshot().unwrap(), &model)?;
        }
    }

    #[test]
    fn heads_are_what_the_last_batch_made_of_them(
        cut in 1..8000u32,
        more in prop::collection::vec((0..6000u32, 1..700u32, 1..9u32, any::<bool>()), 0..12),
    ) {
        // All are made first, in two batches that mostly share a chunk.
        let mut batches = vec![(0, cut, 1, true), (cut, 8000 - cut, 1, true)];
        batches.extend(more);
        let store = store(8000);
        let writer = store.begin_write(2).unwrap();
        let mut model: BTreeMap<u32, ObjectHead> = BTreeMap::new();
        let numbers = |&(start, count, step, _): &(u32, u32, u32, bool)| {
            (start..(start + count * step).min(8000)).step_by(step as usize).collect::<Vec<_>>()
        };
        // A batch gives heads the next version, or takes them away.
        let edits = |batch: &(u32, u32, u32, bool)| {
            numbers(batch).into_iter().map(|number| (number, batch.3)).collect::<Vec<_>>()
        };
        let version = |head: Option<ObjectHead>| head.map_or(1, |head| head.version + 1);
        let all = batches.iter().map(|batch| Ok(edits(batch)));
        let make = |edits: &[(u32, bool)], stored: &StoredHeads<'_>, seen: &mut Vec<u32>| {
            seen.extend(edits.iter().map(|(number, _)| number));
            let head = |&(number, put): &(u32, bool)| {
                let version = version(stored.get(number));
                put.then(|| ObjectHead { version, created: 1, key: "k".into(), ..ObjectHead::default() })
            };
            Ok(edits.iter().map(head).collect())
        };
        let mut seen = Vec::new();
        let take = |more| {
            seen.extend::<Vec<u32>>(more);
            Ok(())
        };
        writer.rewrite_heads(ObjectKind::Entity, all, |edit| edit.0, Vec::new, make, take).unwrap();
        writer.commit().unwrap();
        prop_assert_eq!(seen, batches.iter().flat_map(numbers).collect::<Vec<_>>());
        for batch in &batches {
            for (number, put) in edits(batch) {
                let version = version(model.remove(&number));
                if put {
                    let key = "k".into();
                    model.insert(number, ObjectHead { version, created: 1, key, ..ObjectHead::default() });
                }
            }
        }
        let snapshot = store.snapshot().unwrap();
        for number in 0..8000 {
            prop_assert_eq!(snapshot.head(ObjectKind::Entity, number).unwrap(), model.remove(&number));
        }
    }

    #[test]
    fn identities_are_found_whatever_was_put_and_removed(
        rounds in prop::collection::vec((0..2000u32, any::<u64>()), 1..5),
    ) {
        let store = store(1);
        let mut model: BTreeMap<IdHash, IdentityEntry> = BTreeMap::new();
        for (revision, (count, seed)) in (2..).zip(rounds) {
            let mut random = Random(seed);
            let mut edits: BTreeMap<IdHash, Option<IdentityEntry>> = BTreeMap::new();
            for id in model.keys().filter(|_| random.below(3) == 0) {
                edits.insert(*id, None);
            }
            for number in 0..count {
                let id = IdHash(random.below(1 << 31) << 33 | random.below(1 << 31));
                let (digest, live) = (random.below(1 << 30), random.below(2) == 0);
                edits.insert(id, Some(IdentityEntry { id, digest, number, live }));
            }
            let mut writer = store.begin_write(revision).unwrap();
            let ordered: Vec<_> = edits.iter().map(|(id, put)| (*id, *put)).collect();
            writer.edit_identity(ObjectKind::Entity, 3, &ordered).unwrap();
            writer.commit().unwrap();
            for (id, put) in edits {
                match put {
                    Some(identity) => model.insert(id, identity),
                    None => model.remove(&id),
                };
            }
            let snapshot = store.snapshot().unwrap();
            let mut all = Vec::new();
            snapshot.for_each_identity(ObjectKind::Entity, 3, |identity| all.push(identity)).unwrap();
            prop_assert_eq!(&all, &model.values().copied().collect::<Vec<_>>());
            for id in model.keys().step_by(37) {
                let next = IdHash(id.0 + 1);
                for id in [*id, next] {
                    let found = snapshot.find_hash(ObjectKind::Entity, 3, id).unwrap();
                    prop_assert_eq!(found, model.get(&id).copied());
                }
            }
            prop_assert_eq!(snapshot.find_hash(ObjectKind::Relationship, 3, IdHash(9)).unwrap(), None);
            prop_assert_eq!(snapshot.find_hash(ObjectKind::Entity, 2, IdHash(9)).unwrap(), None);
        }
    }
}

#[test]
fn few_edits_lie_beside_the_base_until_they_are_too_many() {
    let (store, mut random) = (store(4000), Random(5));
    let mut model: Model = thin(&mut random, 50_000, 0).into_iter().collect();
    commit(&store, 2, &model.iter().map(edit(true)).collect::<Vec<_>>());
    assert_eq!(counts(&store).base, 50_000);
    let (mut most, mut merges) = (0, 0);
    for revision in 3..12 {
        let before = counts(&store);
        let gone: Vec<_> = model.iter().filter(|_| random.below(200) == 0).copied().collect();
        let come = thin(&mut random, 260, revision as u32 * 100_000);
        let edits: Vec<EdgeEdit> =
            gone.iter().map(edit(false)).chain(come.iter().map(edit(true))).collect();
        commit(&store, revision, &edits);
        gone.iter().for_each(|edge| {
            model.remove(edge);
        });
        model.extend(come);
        check_edges(&store.snapshot().unwrap(), &model).unwrap();
        let after = counts(&store);
        match after.delta {
            0 => {
                assert!(before.delta as usize + edits.len() > before.base as usize / 32);
                assert_eq!(after.base as usize, model.len());
                assert!(rows(&store, revision + 1).iter().all(|key| key[0] < 2));
                merges += 1;
            }
            delta => {
                assert_eq!(after.base, before.base);
                assert!(delta <= before.delta + edits.len() as u32 && delta > before.delta);
            }
        }
        most = most.max(rows(&store, revision + 1).iter().filter(|key| key[0] == 0x80).count());
    }
    assert!(merges >= 2, "{merges} merges");
    assert!(most >= 3, "the delta had {most} rows");
}

#[test]
fn a_delta_that_is_undone_leaves_nothing_behind() {
    let (store, mut random) = (store(4000), Random(6));
    let model: Model = thin(&mut random, 50_000, 0).into_iter().collect();
    commit(&store, 2, &model.iter().map(edit(true)).collect::<Vec<_>>());
    let base = rows(&store, 3);
    let gone: Vec<_> = model.iter().step_by(197).copied().collect();
    let come = thin(&mut random, 600, 100_000);
    let both = |add: bool| {
        let edits = gone.iter().map(edit(!add)).chain(come.iter().map(edit(add)));
        edits.collect::<Vec<_>>()
    };
    for revision in [3, 6, 9] {
        commit(&store, revision, &both(true));
        assert_eq!(counts(&store).delta as usize, gone.len() + come.len());
        // First the entries of some rows, all of them, then the others.
        let (some, others): (Vec<EdgeEdit>, _) =
            both(false).into_iter().partition(|edit| edit.from < 2500);
        commit(&store, revision + 1, &some);
        assert_eq!(counts(&store).delta as usize, others.len());
        let snapshot = store.snapshot().unwrap();
        let mut half = model.clone();
        others.iter().filter(|edit| edit.add).for_each(|e| {
            half.remove(&(e.from, e.to, e.label, e.relationship));
        });
        half.extend(come.iter().filter(|edge| edge.0 >= 2500));
        check_edges(&snapshot, &half).unwrap();
        commit(&store, revision + 2, &others);
        assert_eq!(counts(&store), crate::store::EdgeCounts { base: 50_000, delta: 0 });
        assert_eq!(rows(&store, revision + 3), base);
        check_edges(&store.snapshot().unwrap(), &model).unwrap();
    }
}

#[test]
fn pieces_however_small_come_to_the_same() {
    for (come, total_told) in [(400, 500), (2000, 2500)] {
        let (store, mut random) = (store(4000), Random(7));
        let mut model: Model = thin(&mut random, 50_000, 0).into_iter().collect();
        commit(&store, 2, &model.iter().map(edit(true)).collect::<Vec<_>>());
        // So that there is a delta to begin with.
        let early = thin(&mut random, 500, 100_000);
        commit(&store, 3, &early.iter().map(edit(true)).collect::<Vec<_>>());
        assert_eq!(counts(&store).delta, 500);
        model.extend(&early);
        let gone: Vec<_> = model.iter().step_by(501).copied().collect();
        let come = thin(&mut random, come, 200_000);
        let mut writer = store.begin_write(4).unwrap();
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            let standing = |&(from, to, label, relationship): &(u32, u32, u32, u32)| match direction
            {
                EdgeDirection::Out => (from, StoredEdge { other: to, label, relationship }),
                EdgeDirection::In => (to, StoredEdge { other: from, label, relationship }),
            };
            let gone = gone.iter().map(|edge| (standing(edge), false));
            let mut edits: Vec<_> =
                gone.chain(come.iter().map(|edge| (standing(edge), true))).collect();
            edits.sort_unstable();
            let pieces = edits.chunks(7).flat_map(|piece| [Ok(piece.to_vec()), Ok(Vec::new())]);
            writer.edit_adjacency_of(direction, total_told, pieces).unwrap();
        }
        writer.commit().unwrap();
        gone.iter().for_each(|edge| {
            model.remove(edge);
        });
        let edits = (gone.len() + come.len()) as u32;
        let early_gone = gone.iter().filter(|edge| edge.3 >= 100_000).count() as u32;
        assert!(early_gone > 0);
        let known = counts(&store);
        match come.len() {
            400 => assert_eq!(known.delta, 500 + edits - 2 * early_gone),
            _ => assert_eq!(
                (known.delta, known.base),
                (0, 50_500 + come.len() as u32 - gone.len() as u32)
            ),
        }
        model.extend(come);
        check_edges(&store.snapshot().unwrap(), &model).unwrap();
        let mut writer = store.begin_write(5).unwrap();
        writer.merge_adjacency().unwrap();
        writer.commit().unwrap();
        assert_eq!(counts(&store).base as usize, model.len());
        check_edges(&store.snapshot().unwrap(), &model).unwrap();
    }
}

#[test]
fn an_edge_that_comes_twice_or_goes_unknown_is_refused() {
    let (store, mut random) = (store(4000), Random(8));
    let edges = thin(&mut random, 5000, 0);
    commit(&store, 2, &edges.iter().map(edit(true)).collect::<Vec<_>>());
    let unknown = edit(false)(&(1, 1, 1, 90_000));
    let known = edit(true)(&edges[9]);
    let many = |first| thin(&mut random_from(first), 400, first);
    for wrong in [unknown, known] {
        // Alone it would go to the delta, with others to the base.
        let alone = vec![wrong];
        let with: Vec<_> = many(100_000).iter().map(edit(true)).chain([wrong]).collect();
        for edits in [alone, with] {
            let mut writer = store.begin_write(3).unwrap();
            assert!(writer.edit_adjacency(&edits).is_err(), "{wrong:?}");
        }
    }
    assert_eq!(counts(&store).base, 5000);
}

fn random_from(seed: u32) -> Random {
    Random(seed.into())
}

/// A store with a base and a delta of several rows in each direction, at revision 4.
fn store_with_delta() -> DatabaseFile {
    let (store, mut random) = (store(4000), Random(9));
    let edges = thin(&mut random, 60_000, 0);
    commit(&store, 2, &edges.iter().map(edit(true)).collect::<Vec<_>>());
    let gone = edges.iter().step_by(97).map(edit(false));
    let come = thin(&mut random, 1200, 100_000);
    commit(&store, 3, &gone.chain(come.iter().map(edit(true))).collect::<Vec<_>>());
    store
}

#[test]
fn a_lost_row_of_adjacency_is_noticed_wherever_it_was() {
    let store = store_with_delta();
    let keys = rows(&store, 4);
    for space in [0, 1, 0x80, 0x81] {
        let here = keys.iter().filter(|key| key[0] == space).count();
        assert!(here >= 3, "{here} rows of space {space}");
    }
    // One row at a time, and the last time all rows of a space.
    let each = keys.iter().map(|key| vec![key.clone()]);
    let space = |space| keys.iter().filter(|key| key[0] == space).cloned().collect();
    let all: [Vec<Vec<u8>>; 4] = [0, 1, 0x80, 0x81].map(space);
    for (revision, lost) in (4..).step_by(2).zip(each.chain(all)) {
        let writer = store.begin_write(revision).unwrap();
        let mut values = Vec::new();
        {
            let mut table = writer.transaction.open_table(tables::ADJACENCY).unwrap();
            for key in &lost {
                values.push(table.remove(&key[..]).unwrap().unwrap().value().to_vec());
            }
        }
        writer.commit().unwrap();
        let direction = if lost[0][0] % 2 == 0 { EdgeDirection::Out } else { EdgeDirection::In };
        let snapshot = store.snapshot().unwrap();
        assert!(snapshot.for_each_edge_of_all(direction, |_, _| {}).is_err());
        assert!(snapshot.for_each_edge_both_ways(|_, _| {}, |_, _| {}).is_err());
        // One question about an entity that the row begins with.
        let entity = u32::from_be_bytes(*lost[0][1..].first_chunk().unwrap());
        let snapshot = store.snapshot().unwrap();
        assert!(snapshot.for_each_edge(entity, direction, |_| {}).is_err());
        let writer = store.begin_write(revision + 1).unwrap();
        {
            let mut table = writer.transaction.open_table(tables::ADJACENCY).unwrap();
            for (key, value) in lost.iter().zip(&values) {
                table.insert(&key[..], &value[..]).unwrap();
            }
        }
        writer.commit().unwrap();
        let snapshot = store.snapshot().unwrap();
        snapshot.for_each_edge(entity, direction, |_| {}).unwrap();
    }
}

#[test]
fn a_counter_that_is_wrong_is_noticed() {
    for (base, delta) in [(1, 0), (0, 1), (0, -1)] {
        let store = store_with_delta();
        let mut writer = store.begin_write(4).unwrap();
        let counts = &mut writer.meta.edges[0];
        counts.base = counts.base.checked_add_signed(base).unwrap();
        counts.delta = counts.delta.checked_add_signed(delta).unwrap();
        writer.commit().unwrap();
        let snapshot = store.snapshot().unwrap();
        assert!(snapshot.for_each_edge_of_all(EdgeDirection::Out, |_, _| {}).is_err());
    }
    let store = store_with_delta();
    let mut writer = store.begin_write(4).unwrap();
    writer.meta.edges[1].delta = 0;
    writer.commit().unwrap();
    let snapshot = store.snapshot().unwrap();
    assert!(snapshot.verify_delta(EdgeDirection::In).is_err());
    snapshot.verify_delta(EdgeDirection::Out).unwrap();
    let mut writer = store.begin_write(5).unwrap();
    assert!(writer.merge_adjacency().is_err());
}
