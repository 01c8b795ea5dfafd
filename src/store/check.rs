//! `verify`: proves every index against its table and every checksum on the way.
//!
//! It returns what is wrong in words rather than stopping at the first fault, so that the extent
//! of a damage can be seen.

use super::labels::Label;
use super::rows::Counts;
use super::segment::Standing;
use super::{Snapshot, StoreError, StoredEdge};
use crate::graph::{Direction, Edge, IdHash, Kind, ObjectId};
use rustc_hash::FxHashMap;

/// Problems listed at most; the rest is only counted.
const LISTED: usize = 50;

struct Problems {
    listed: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, problem: String) {
        if self.listed.len() < LISTED { self.listed.push(problem) } else { self.more += 1 }
    }

    /// Keeps the error of a step as a problem and goes on.
    fn keep<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        result.map_err(|e| self.add(e.to_string())).ok()
    }
}

impl Snapshot {
    /// Everything that is wrong with the file, in words; empty if it is sound.
    ///
    /// Checks: each head has its identity and each identity its head, with the same id and state;
    /// each body can be read; each live relationship stands between live entities and in the
    /// adjacency of both, once, and nothing else does, and deltas fit their bases; counts agree; jobs
    /// can be read.
    pub fn verify(&self) -> Vec<String> {
        let mut problems = Problems { listed: Vec::new(), more: 0 };
        let mut counts: FxHashMap<(u32, Kind), Counts> = FxHashMap::default();
        let entities = self.verify_heads(Kind::Entity, &mut counts, &mut problems);
        let relationships = self.verify_heads(Kind::Relationship, &mut counts, &mut problems);
        self.verify_identities(&entities, &relationships, &mut problems);
        self.verify_adjacency(&mut problems);
        if let Some(rows) = problems.keep(self.scope_rows()) {
            for (scope, row) in rows {
                for kind in [Kind::Entity, Kind::Relationship] {
                    let counted = counts.remove(&(scope, kind)).unwrap_or_default();
                    if *row.count(kind) != counted {
                        let name = self.dictionary().text(scope);
                        let kind = kind.plural();
                        problems.add(format!("scope `{name}`: the counts of {kind} are wrong"));
                    }
                }
            }
        }
        for (scope, kind) in counts.into_keys() {
            let name = self.dictionary().text(scope);
            problems.add(format!("scope `{name}` has {} but no row", kind.plural()));
        }
        for job in 0..self.meta().next_job {
            problems.keep(self.job(job));
        }
        problems.keep(self.access());
        if problems.more > 0 {
            problems.listed.push(format!("and {} more", problems.more));
        }
        problems.listed
    }

    /// Reads every head and body; returns what the identity table must hold: scope, id, live.
    fn verify_heads(
        &self,
        kind: Kind,
        counts: &mut FxHashMap<(u32, Kind), Counts>,
        problems: &mut Problems,
    ) -> FxHashMap<u32, (u32, IdHash, bool)> {
        let mut expected = FxHashMap::default();
        for number in 0..self.meta().bound(kind) {
            let Some(Some(head)) = problems.keep(self.head(kind, number)) else { continue };
            let live = head.end == 0;
            let count = counts.entry((head.scope, kind)).or_default();
            if live {
                count.shift(head.type_name, head.class, 1)
            } else {
                count.deleted += 1
            }
            let record = problems.keep(self.body_record(kind, &head));
            if record.is_some_and(|r| super::read_body(&r).is_none()) {
                problems.add(format!("{} {number}: its properties make no sense", kind.plural()));
            }
            if let Some(key) = problems.keep(self.key_of(kind, &head)) {
                let id = ObjectId::new(kind, self.dictionary().text(head.scope), &key);
                expected.insert(number, (head.scope, self.hashed(id), live));
            }
        }
        expected
    }

    fn verify_identities(
        &self,
        entities: &FxHashMap<u32, (u32, IdHash, bool)>,
        relationships: &FxHashMap<u32, (u32, IdHash, bool)>,
        problems: &mut Problems,
    ) {
        for (kind, expected) in [(Kind::Entity, entities), (Kind::Relationship, relationships)] {
            let mut seen = 0;
            let rows = problems.keep(self.scope_rows()).unwrap_or_default();
            for (scope, _) in rows {
                let mut wrong = Vec::new();
                let walked = self.for_each_identity(kind, scope, |entry| {
                    seen += 1;
                    if expected.get(&entry.number) != Some(&(scope, entry.id, entry.live)) {
                        wrong.push(entry);
                    }
                });
                problems.keep(walked);
                for entry in wrong {
                    let number = entry.number;
                    let id = entry.id.0;
                    problems
                        .add(format!("identity {id:016x} and {} {number} disagree", kind.plural()));
                }
            }
            if seen != expected.len() {
                let (have, kind) = (expected.len(), kind.plural());
                problems.add(format!("{have} {kind} but {seen} identities"));
            }
        }
    }

    fn verify_adjacency(&self, problems: &mut Problems) {
        let mut live: Vec<Standing> = Vec::new();
        let (mut dangling, mut unlabelled) = (Vec::new(), Vec::new());
        let mut alive = vec![false; self.meta().bound(Kind::Entity) as usize];
        problems.keep(self.for_each_live(Kind::Entity, |n, _, _| alive[n as usize] = true));
        let walked = self.for_each_live(Kind::Relationship, |relationship, chunk, row| {
            let (from, to) = chunk.ends(row);
            if [from, to].iter().any(|&end| !alive.get(end as usize).copied().unwrap_or(false)) {
                dangling.push(relationship);
            }
            let label = Label {
                scope: chunk.scope(row),
                type_name: chunk.type_name(row),
                verb: chunk.class(row),
                derived_key: chunk.key(row).is_some_and(|key| key.is_empty()),
            };
            match self.labels().number(label) {
                Some(label) => live.push((from, StoredEdge { other: to, label, relationship })),
                None => unlabelled.push(relationship),
            }
        });
        problems.keep(walked);
        for number in dangling {
            problems.add(format!("relationship {number} has an end that is not live"));
        }
        for number in unlabelled {
            problems.add(format!("relationship {number} has no label"));
        }
        for direction in [Direction::Out, Direction::In] {
            if direction == Direction::In {
                for (at, edge) in &mut live {
                    std::mem::swap(at, &mut edge.other);
                }
            }
            live.sort_unstable();
            problems.keep(self.verify_delta(direction));
            let mut stored = Vec::with_capacity(live.len());
            let walked = self.for_each_edge_of_all(direction, |at, edge| {
                let Edge { other, label, relationship, .. } = edge;
                stored.push((at, StoredEdge { other, label, relationship }));
            });
            problems.keep(walked);
            if stored != live {
                let differ = live.iter().zip(&stored).take_while(|(a, b)| a == b).count();
                let at = live.get(differ).or(stored.get(differ)).map_or(0, |(at, _)| *at);
                problems.add(format!(
                    "adjacency ({direction:?}) differs from the relationships, first at entity {at}"
                ));
            }
        }
    }
}
