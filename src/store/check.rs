//! `verify`: proves every index against its table and every checksum on the way.
//!
//! It returns everything that is wrong, in words, and does not stop at the first error, so that the
//! extent of a damage shows.
//!
//! Each table is read once, in its own order. Where two tables must agree, both sides are added up
//! by keyed hashes of 128 bits, so memory does not grow with the graph. Only if the sums differ are
//! the two sides compared row by row.

use super::body;
use super::heads::{CHUNK, HeadChunk, NO_BODY, ObjectHead};
use super::labels::RelationshipLabel;
use super::rows::ObjectCounts;
use super::segment::AdjacencyEntry;
use super::tables;
use super::{Snapshot, StoreError, StoredEdge};
use crate::graph::{EdgeDirection, IncidentEdge, ObjectId, ObjectKind};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Problems listed at most; the others are only counted.
const LISTED: usize = 50;

/// A number of records that no block reaches.
const SLOTS_MAX: usize = 64 << 20;

struct VerifyErrors {
    listed: Vec<String>,
    more: usize,
}

impl VerifyErrors {
    fn add(&mut self, problem: String) {
        if self.listed.len() < LISTED { self.listed.push(problem) } else { self.more += 1 }
    }

    /// Adds the error of a step, if any, to the problems, and goes on.
    fn keep<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        let told = |e| match e {
            // The error behind it is in the list already.
            StoreError::GivenUp if !self.listed.is_empty() => {}
            e => self.add(e.to_string()),
        };
        result.map_err(told).ok()
    }
}

/// The number of members of a set, and the sum of their hashes. Equal sets have equal sums. Other
/// sets with an equal sum do not come up in practice, as the hashes are keyed by the secret of the
/// database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SetChecksum {
    count: u64,
    hashes: u128,
}

impl SetChecksum {
    fn add(&mut self, seed: u64, numbers: [u32; 5]) {
        let mut bytes = [0; 20];
        for (bytes, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
            *bytes = number.to_le_bytes();
        }
        self.count += 1;
        self.hashes = self.hashes.wrapping_add(xxh3_128_with_seed(&bytes, seed));
    }
}

/// One entry of the identity table as numbers: scope, hash of the id, number, 1 if it is live.
fn identity_numbers(scope: u32, id: u64, number: u32, live: bool) -> [u32; 5] {
    [scope, (id >> 32) as u32, id as u32, number, live.into()]
}

fn edge_numbers(direction: EdgeDirection, (at, edge): AdjacencyEntry) -> [u32; 5] {
    [direction as u32, at, edge.other, edge.label, edge.relationship]
}

/// An edge as it is stored in one direction.
fn adjacency_entry(
    direction: EdgeDirection,
    (from, to): (u32, u32),
    label: u32,
    number: u32,
) -> AdjacencyEntry {
    let (at, other) = match direction {
        EdgeDirection::Out => (from, to),
        EdgeDirection::In => (to, from),
    };
    (at, StoredEdge { other, label, relationship: number })
}

/// The results of a pass over the heads of a kind.
#[derive(Default)]
struct HeadTotals {
    counts: FxHashMap<u32, ObjectCounts>,
    /// The expected entries of the identity table.
    identities: SetChecksum,
    /// The expected edges in each direction.
    edges: [SetChecksum; 2],
    /// The slots of each block that heads name, by scope and block, one bit for each.
    slots: BTreeMap<(u32, u32), Vec<u64>>,
}

impl HeadTotals {
    /// Takes the place of the body of a head; false if no block is so long.
    fn add_slot(&mut self, head: &ObjectHead) -> bool {
        if head.block == NO_BODY {
            return true;
        }
        let word = head.slot as usize / 64;
        // A damaged slot must not make the bit set grow without a limit.
        if word >= SLOTS_MAX / 64 {
            return false;
        }
        let slots = self.slots.entry((head.scope, head.block)).or_default();
        slots.resize(slots.len().max(word + 1), 0);
        slots[word] |= 1 << (head.slot % 64);
        true
    }
}

impl Snapshot {
    /// Everything that is wrong with the file, in words; empty if it is sound.
    ///
    /// Checks that each row has its seal; that each head has its identity and each identity its
    /// head, with the same id and state; that each body can be read; that each live relationship
    /// stands between live entities and once in the adjacency of both, and nothing else does; that
    /// deltas fit their bases; that counts agree; that jobs, lists of deletions and pins can be
    /// read; and all of this of the oldest state that the history leads to.
    pub fn verify(&self) -> Vec<String> {
        let mut problems = VerifyErrors { listed: Vec::new(), more: 0 };
        for definition in tables::ALL {
            let walked = self.for_each_sealed(definition, |_, _, whole| {
                problems.keep(whole);
                Ok(())
            });
            problems.keep(walked);
        }
        let mut alive = vec![false; self.meta().bound(ObjectKind::Entity) as usize];
        // Entities come first: relationships ask whether their ends are live.
        let entities = self.verify_heads(ObjectKind::Entity, &mut alive, &mut problems);
        let relationships = self.verify_heads(ObjectKind::Relationship, &mut alive, &mut problems);
        drop(alive);
        let (mut entities, mut relationships) = (entities, relationships);
        self.add_recorded_slots(ObjectKind::Entity, &mut entities, &mut problems);
        self.add_recorded_slots(ObjectKind::Relationship, &mut relationships, &mut problems);
        let names = self.verify_names(&mut problems);
        for (kind, heads) in
            [(ObjectKind::Entity, &entities), (ObjectKind::Relationship, &relationships)]
        {
            self.verify_bodies(kind, &heads.slots, &names, &mut problems);
            self.verify_identities(kind, heads.identities, &mut problems);
        }
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            let sum = relationships.edges[direction as usize];
            self.verify_adjacency(direction, sum, &mut problems);
        }
        self.verify_counts([entities.counts, relationships.counts], &mut problems);
        if let Some((wrong, oldest)) = problems.keep(self.verify_history()) {
            wrong.into_iter().for_each(|problem| problems.add(problem));
            if let Some(oldest) = oldest {
                self.verify_past(oldest, &mut problems);
            }
        }
        // Old jobs may have been removed, so an absent row is no error.
        for job in 0..self.meta().next_job {
            problems.keep(self.job(job));
            for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
                problems.keep(self.deletions(job, kind));
            }
        }
        problems.keep(self.for_each_pin(|_, _| {}));
        problems.keep(self.access());
        if problems.more > 0 {
            problems.listed.push(format!("and {} more", problems.more));
        }
        problems.listed
    }

    /// Proves the state of a revision: that every record on the way to it fits.
    fn verify_past(&self, revision: u64, problems: &mut VerifyErrors) {
        let Some(past) =
            problems.keep(self.newest().and_then(|newest| newest.at_revision(revision)))
        else {
            return;
        };
        let mut found = VerifyErrors { listed: Vec::new(), more: 0 };
        let mut alive = vec![false; past.meta().bound(ObjectKind::Entity) as usize];
        let entities = past.verify_heads(ObjectKind::Entity, &mut alive, &mut found);
        let relationships = past.verify_heads(ObjectKind::Relationship, &mut alive, &mut found);
        past.verify_identities(ObjectKind::Entity, entities.identities, &mut found);
        past.verify_identities(ObjectKind::Relationship, relationships.identities, &mut found);
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            past.verify_adjacency(direction, relationships.edges[direction as usize], &mut found);
        }
        past.verify_counts([entities.counts, relationships.counts], &mut found);
        for problem in found.listed {
            problems.add(format!("in the state of revision {revision}: {problem}"));
        }
        problems.more += found.more;
    }

    /// Adds the bodies that recorded heads name to those that have to be readable.
    fn add_recorded_slots(
        &self,
        kind: ObjectKind,
        heads: &mut HeadTotals,
        problems: &mut VerifyErrors,
    ) {
        let mut wrong = None;
        let walked = self.for_each_recorded_head(kind, |_, record| {
            if !heads.add_slot(&record.head) {
                wrong = Some(record.number);
            }
        });
        problems.keep(walked);
        if let Some(number) = wrong {
            problems.add(format!("history of {} {number}: no block is so long", kind.plural()));
        }
    }

    /// Reads all heads of a kind. For entities it fills `alive`, for relationships it asks `alive`.
    fn verify_heads(
        &self,
        kind: ObjectKind,
        alive: &mut [bool],
        problems: &mut VerifyErrors,
    ) -> HeadTotals {
        let mut heads = HeadTotals::default();
        for chunk in 0..self.meta().bound(kind).div_ceil(CHUNK) {
            let Some(opened) = problems.keep(self.head_chunk(kind, chunk)) else { continue };
            let Some(rows) = HeadChunk::parse(opened.payload()) else {
                problems.add(format!("{} from {} make no sense", kind.plural(), chunk * CHUNK));
                continue;
            };
            for row in 0..rows.len() {
                let number = chunk * CHUNK + row as u32;
                if rows.present(row) {
                    self.verify_head(kind, number, (&rows, row), &mut heads, alive, problems);
                }
            }
        }
        heads
    }

    fn verify_head(
        &self,
        kind: ObjectKind,
        number: u32,
        (rows, row): (&HeadChunk<'_>, usize),
        heads: &mut HeadTotals,
        alive: &mut [bool],
        problems: &mut VerifyErrors,
    ) {
        let (Some(head), true) = (rows.get(row), number < self.meta().bound(kind)) else {
            return problems.add(format!("{} {number}: its text makes no sense", kind.plural()));
        };
        let (seed, live) = (self.meta().digest_seed, head.end == 0);
        let count = heads.counts.entry(head.scope).or_default();
        if live {
            count.shift(head.type_name, head.class, 1);
        } else {
            count.deleted += 1;
        }
        if !heads.add_slot(&head) {
            return problems.add(format!("{} {number}: no block is so long", kind.plural()));
        }
        if let Some(key) = problems.keep(self.key_of(kind, &head)) {
            let id = ObjectId::new(kind, self.words().text(head.scope), &key);
            let id = self.hashed(id).0;
            heads.identities.add(seed, identity_numbers(head.scope, id, number, live));
        }
        match kind {
            ObjectKind::Entity => alive[number as usize] = live,
            ObjectKind::Relationship if live => {
                let ends = (head.from, head.to);
                let lives = |end: u32| alive.get(end as usize).copied().unwrap_or(false);
                if !lives(ends.0) || !lives(ends.1) {
                    problems.add(format!("relationship {number} has an end that is not live"));
                }
                // The edge stores the number of the label, so it must exist for every live
                // relationship.
                let Some(label) = self.labels().number(RelationshipLabel::of(&head)) else {
                    return problems.add(format!("relationship {number} has no label"));
                };
                for direction in [EdgeDirection::Out, EdgeDirection::In] {
                    let edge = adjacency_entry(direction, ends, label, number);
                    heads.edges[direction as usize].add(seed, edge_numbers(direction, edge));
                }
            }
            ObjectKind::Relationship => {}
        }
    }

    /// Reads every record of the blocks that heads name, each block once.
    fn verify_bodies(
        &self,
        kind: ObjectKind,
        slots: &BTreeMap<(u32, u32), Vec<u64>>,
        names: &FxHashSet<u32>,
        problems: &mut VerifyErrors,
    ) {
        for (&(scope, block), slots) in slots {
            let is_named =
                |slot: usize| slots.get(slot / 64).is_some_and(|w| w >> (slot % 64) & 1 == 1);
            let last =
                slots.len() * 64 - 1 - slots.last().map_or(0, |w| w.leading_zeros()) as usize;
            let read = self.stored_block(kind, scope, block).map(|found| {
                let makes_sense = |slot: u32| {
                    body::read(&found.record(slot)?)?;
                    // A dead record may use names that were dropped.
                    let mut known = true;
                    found.for_each_name(slot, |name| known &= names.contains(&name))?;
                    (known || !is_named(slot as usize)).then_some(())
                };
                let senseless = (0..found.rows() as u32).find(|&slot| makes_sense(slot).is_none());
                (found.rows(), senseless)
            });
            let Some((records, senseless)) = problems.keep(read) else { continue };
            let place = || {
                let scope = self.words().text(scope);
                format!("block {block} of the {} of scope `{scope}`", kind.plural())
            };
            if let Some(slot) = senseless {
                problems.add(format!("{}: record {slot} makes no sense", place()));
            }
            if last >= records {
                problems.add(format!("{} has {records} records, not {}", place(), last + 1));
            }
        }
    }

    /// Proves that each name has its number, and each number its name; returns the numbers.
    fn verify_names(&self, problems: &mut VerifyErrors) -> FxHashSet<u32> {
        let (mut numbers, mut wrong) = (FxHashSet::default(), Vec::new());
        let next = self.meta().next_name;
        let mut words = self.words().count();
        let walked = self.for_each_name(|number, name| {
            numbers.insert(number);
            let found = self.property_number(name);
            if number >= next || !matches!(found, Ok(Some(found)) if found == number) {
                wrong.push(number);
            }
            let word = self.words().text(number);
            words -= u32::from(!word.is_empty() && word == name);
        });
        problems.keep(walked);
        for number in wrong {
            problems.add(format!("name {number} is not found by its text"));
        }
        if words > 0 {
            problems
                .add(format!("{words} names of scopes, types or classes are not among the names"));
        }
        let counted = problems.keep(self.count_name_numbers()).unwrap_or_default();
        let (names, known) = (numbers.len() as u64, u64::from(self.meta().names));
        if names != counted || names != known {
            problems.add(format!("{names} names, {counted} numbers of names, and {known} counted"));
        }
        numbers
    }

    fn verify_identities(
        &self,
        kind: ObjectKind,
        expected: SetChecksum,
        problems: &mut VerifyErrors,
    ) {
        let seed = self.meta().digest_seed;
        let mut stored = SetChecksum::default();
        for (scope, _) in problems.keep(self.scope_rows()).unwrap_or_default() {
            let walked = self.for_each_identity(kind, scope, |entry| {
                let numbers = identity_numbers(scope, entry.id.0, entry.number, entry.live);
                stored.add(seed, numbers);
            });
            problems.keep(walked);
        }
        if stored != expected {
            self.compare_identities(kind, expected.count, stored.count, problems);
        }
    }

    /// Compares identities and heads one by one, to say which differ.
    fn compare_identities(
        &self,
        kind: ObjectKind,
        expected: u64,
        stored: u64,
        problems: &mut VerifyErrors,
    ) {
        let plural = kind.plural();
        let mut differ = 0;
        for (scope, _) in self.scope_rows().unwrap_or_default() {
            let mut all = Vec::new();
            // Rows that cannot be read are listed already.
            let _ = self.for_each_identity(kind, scope, |entry| all.push(entry));
            all.sort_unstable_by_key(|entry| entry.number);
            for entry in all {
                let (number, id) = (entry.number, entry.id.0);
                let head = self.head(kind, number).ok().flatten();
                let agrees = head.is_some_and(|head| {
                    let key = self.key_of(kind, &head).ok();
                    let name = self.words().text(head.scope);
                    let id = key.map(|key| self.hashed(ObjectId::new(kind, name, &key)));
                    head.scope == scope && id == Some(entry.id) && (head.end == 0) == entry.live
                });
                if !agrees {
                    differ += 1;
                    problems.add(format!("identity {id:016x} and {plural} {number} disagree"));
                }
            }
        }
        if expected != stored || differ == 0 {
            problems.add(format!("{expected} {plural} but {stored} identities"));
        }
    }

    fn verify_adjacency(
        &self,
        direction: EdgeDirection,
        expected: SetChecksum,
        problems: &mut VerifyErrors,
    ) {
        problems.keep(self.verify_delta(direction));
        let seed = self.meta().digest_seed;
        let (mut stored, mut last, mut ordered) = (SetChecksum::default(), None, true);
        let walked = self.for_each_edge_of_all(direction, |at, edge| {
            let IncidentEdge { other, label, relationship, .. } = edge;
            let edge = (at, StoredEdge { other, label, relationship });
            ordered &= last < Some(edge);
            last = Some(edge);
            stored.add(seed, edge_numbers(direction, edge));
        });
        problems.keep(walked);
        if !ordered {
            problems.add(format!("adjacency ({direction:?}) is not in order"));
        }
        if stored != expected {
            let at = self.first_difference(direction);
            problems.add(format!(
                "adjacency ({direction:?}) differs from the relationships, first at entity {at}"
            ));
        }
    }

    /// The first entity for which adjacency and the relationships disagree.
    fn first_difference(&self, direction: EdgeDirection) -> u32 {
        let mut live: Vec<AdjacencyEntry> = Vec::new();
        // Rows that cannot be read are listed already.
        let _ = self.for_each_live(ObjectKind::Relationship, |number, chunk, row| {
            let label = RelationshipLabel {
                scope: chunk.scope(row),
                type_name: chunk.type_name(row),
                verb: chunk.class(row),
                derived_key: chunk.key(row).is_some_and(|key| key.is_empty()),
            };
            let label = self.labels().number(label).unwrap_or(IncidentEdge::UNLABELLED);
            live.push(adjacency_entry(direction, chunk.ends(row), label, number));
        });
        live.sort_unstable();
        let mut stored = Vec::with_capacity(live.len());
        let _ = self.for_each_edge_of_all(direction, |at, edge| {
            let IncidentEdge { other, label, relationship, .. } = edge;
            stored.push((at, StoredEdge { other, label, relationship }));
        });
        let differ = live.iter().zip(&stored).take_while(|(a, b)| a == b).count();
        live.get(differ).or(stored.get(differ)).map_or(0, |(at, _)| *at)
    }

    fn verify_counts(
        &self,
        mut counts: [FxHashMap<u32, ObjectCounts>; 2],
        problems: &mut VerifyErrors,
    ) {
        let kinds = [ObjectKind::Entity, ObjectKind::Relationship];
        for (scope, row) in problems.keep(self.scope_rows()).unwrap_or_default() {
            for kind in kinds {
                let counted = counts[kind as usize].remove(&scope).unwrap_or_default();
                if *row.count(kind) != counted {
                    let name = self.words().text(scope);
                    let kind = kind.plural();
                    problems.add(format!("scope `{name}`: the counts of {kind} are wrong"));
                }
            }
        }
        for (kind, counts) in kinds.into_iter().zip(counts) {
            for scope in counts.into_keys() {
                let name = self.words().text(scope);
                problems.add(format!("scope `{name}` has {} but no row", kind.plural()));
            }
        }
    }
}
