//! The walk by the rules on the arrays of a view, for programs that ask many questions of one graph.
//!
//! It gives the same answer as [`impact`](super::impact()): entities, states and distances. It keeps
//! no chains; ask `impact` for those of one answer.
//!
//! A view that knows the classes of the ends holds with each edge the number of its *sort*: its verb
//! and the names of its two ends. The rules are asked once for each sort. A walk then reads one byte
//! for the sort of an edge, and four bits for the entity that the edge leads to.

use super::graph_view::{AdjacencyArrays, GraphView};
use super::scratch_bits::ScratchBits;
use crate::graph::{EdgeDirection, NameLookup};
use crate::rules::{BoundRules, ImpactState, StateSet};
use rustc_hash::FxHashMap;

/// Edges of a view as the rules see them.
pub struct ImpactView<'v> {
    view: &'v GraphView,
    /// For each direction and each state of the entity that is left: the states that edges of each sort
    /// give.
    tables: [[Vec<u8>; 3]; 2],
    /// By number of the sort, true if no rule speaks of it.
    unruled: Vec<bool>,
}

/// The memory of a walk, to be used again for the next one.
#[derive(Debug, Default)]
pub struct ImpactScratch {
    /// The states in which an entity needs no visit any more, four bits an entity.
    settled: ScratchBits<16>,
    entities: Vec<u32>,
    states: Vec<u8>,
    /// Number of visits within each distance, from 1 on.
    levels: Vec<u32>,
}

impl ImpactScratch {
    /// A scratch for graphs of any size; it takes memory when first used.
    pub fn new() -> ImpactScratch {
        ImpactScratch::default()
    }

    fn prepare(&mut self, bound: u32) {
        self.settled.begin(bound);
        // Three visits an entity, and room for the two that `meet` writes behind them without keeping them.
        let visits = 3 * bound as usize + 2;
        if self.entities.len() < visits {
            // Old visits are of no use; fresh zeroed memory costs nothing before it is written.
            self.entities = vec![0; visits];
            self.states = vec![0; visits];
        }
        self.levels.clear();
    }
}

/// By the states that are given, as bits: the states that need no visit any more. Control settles all.
const SETTLES: [u8; 8] = [0, 7, 2, 7, 4, 7, 6, 7];

/// Marks a visit of an entity that is also visited in a stronger state.
const WEAKER: u8 = 8;

/// Number of visits that a walk leaves together, so that as many reads of main memory overlap.
const BLOCK: usize = 32;

impl GraphView {
    /// The view as the rules see it. `names` are those of the graph from which [`GraphView::of`] made
    /// the view. In a view that does not know classes, all entities are of the unknown kind.
    pub fn with_rules(&self, names: &impl NameLookup, bound: &mut BoundRules) -> ImpactView<'_> {
        let stranger = bound.unknown_kind();
        let kinds: Vec<_> = self.entity_sorts().iter().map(|f| bound.kind(names, f)).collect();
        let kind = |sort: u32| kinds.get(sort as usize).copied().unwrap_or(stranger);
        let cells: Vec<_> = self
            .edge_sorts()
            .iter()
            .map(|sort| bound.cell(names, sort.verb, kind(sort.from), kind(sort.to)))
            .collect();
        let table = |way: usize, state: ImpactState| -> Vec<u8> {
            cells.iter().map(|cell| cell.passing[way].from(state).0).collect()
        };
        ImpactView {
            view: self,
            tables: [0, 1].map(|way| ImpactState::ALL.map(|state| table(way, state))),
            unruled: cells.iter().map(|cell| !cell.ruled).collect(),
        }
    }
}

impl ImpactView<'_> {
    /// Returns everything that the compromise or failure of `roots` reaches, at most `depth` steps away,
    /// without the roots.
    pub fn reach<'s>(
        &'s self,
        roots: &[u32],
        depth: Option<u32>,
        scratch: &'s mut ImpactScratch,
    ) -> ImpactReachSet<'s> {
        scratch.prepare(self.view.entity_bound());
        for &root in roots {
            // Roots count as settled in all three states, so no walk reports them.
            if let Some(word) = scratch.settled.words.get_mut(root as usize / 16) {
                *word |= 7 << (root % 16 * 4);
            }
        }
        let limit = depth.unwrap_or(u32::MAX);
        let mut walk = ImpactArrayWalk {
            spread: self,
            passes: self.tables.each_ref().map(|tables| {
                tables.each_ref().map(|table| table.iter().any(|&states| states != 0))
            }),
            words: &mut scratch.settled.words,
            entities: &mut scratch.entities,
            states: &mut scratch.states,
            len: 0,
            again: false,
        };
        let (mut next, mut distance) = (0, 0);
        if limit > 0 {
            for roots in roots.chunks(BLOCK) {
                let controlled = [StateSet::only(ImpactState::Controlled).0; BLOCK];
                walk.expand_block(roots, &controlled[..roots.len()]);
            }
        }
        while next < walk.len {
            distance += 1;
            let end = walk.len;
            scratch.levels.push(end as u32);
            if distance >= limit {
                break;
            }
            while next < end {
                let count = BLOCK.min(end - next);
                // A copy, since `leave` appends to the arrays that the block stands in.
                let (mut block, mut states) = ([0; BLOCK], [0; BLOCK]);
                block[..count].copy_from_slice(&walk.entities[next..next + count]);
                states[..count].copy_from_slice(&walk.states[next..next + count]);
                walk.expand_block(&block[..count], &states[..count]);
                next += count;
            }
        }
        let (len, again) = (walk.len, walk.again);
        // Only an entity that was visited twice can have a visit in a weaker state.
        if again {
            for (entity, state) in scratch.entities[..len].iter().zip(&mut scratch.states[..len]) {
                let settled = scratch.settled.words[*entity as usize / 16] >> (entity % 16 * 4);
                // Stronger states have lower bits.
                if settled as u8 & (*state - 1) != 0 {
                    *state |= WEAKER;
                }
            }
        }
        scratch.settled.end(roots, scratch.entities[..len].iter().copied());
        ImpactReachSet {
            entities: &scratch.entities[..len],
            states: &scratch.states[..len],
            levels: &scratch.levels,
        }
    }

    /// Verbs that no rule speaks of, by name number, most frequent first. With each comes the number of
    /// relationships that have it at the roots and at the entities reached.
    pub fn not_followed(&self, roots: &[u32], reach: &ImpactReachSet<'_>) -> Vec<(u32, u64)> {
        if !self.unruled.contains(&true) {
            return Vec::new();
        }
        let mut left: Vec<u32> = roots.iter().chain(reach.entities).copied().collect();
        left.sort_unstable();
        left.dedup();
        let mut met: FxHashMap<u32, u32> = FxHashMap::default();
        for &entity in &left {
            for direction in [EdgeDirection::Out, EdgeDirection::In] {
                let half = self.view.half(direction);
                for at in half.range(entity) {
                    if self.unruled[usize::from(half.sorts[at])] {
                        let verb = self.view.edge_sorts()[usize::from(half.sorts[at])].verb;
                        // By number, since both ends of a relationship may be among the entities.
                        met.insert(half.relationships[at], verb);
                    }
                }
            }
        }
        super::impact::count_by_verb(met.into_values())
    }
}

struct ImpactArrayWalk<'w, 'v> {
    spread: &'w ImpactView<'v>,
    /// By direction and state of the entity that is left, true if some sort passes anything on.
    passes: [[bool; 3]; 2],
    words: &'w mut [u64],
    entities: &'w mut [u32],
    states: &'w mut [u8],
    len: usize,
    /// True if some entity was visited in two states.
    again: bool,
}

impl ImpactArrayWalk<'_, '_> {
    fn expand_block(&mut self, block: &[u32], states: &[u8]) {
        let view = self.spread.view;
        // First all ranges and their first edges are read, then the edges are walked: the processor waits
        // for many reads at once instead of one after the other.
        let mut ranges = [[(0, 0); BLOCK]; 2];
        let mut touched = 0;
        for (direction, ranges) in
            [EdgeDirection::Out, EdgeDirection::In].into_iter().zip(&mut ranges)
        {
            let half = view.half(direction);
            for (&from, range) in block.iter().zip(ranges.iter_mut()) {
                *range = half.bounds(from);
            }
            for &(start, _) in &ranges[..block.len()] {
                touched ^= half.prefetch_edge(start);
            }
        }
        // Without a use of the result, the compiler would drop the reads.
        std::hint::black_box(touched);
        for (i, &state) in states.iter().enumerate() {
            let state = state.trailing_zeros() as usize;
            for (way, direction) in [EdgeDirection::Out, EdgeDirection::In].into_iter().enumerate()
            {
                if self.passes[way][state] {
                    let table = &self.spread.tables[way][state];
                    self.visit_ends(view.half(direction), ranges[way][i], table);
                }
            }
        }
    }

    /// Meets the other ends of the edges in a range. No branch predictor knows if a visit is new, so
    /// there is no branch: each visit is written to the end of the queue, which then grows by one or
    /// not.
    #[inline]
    fn visit_ends(&mut self, half: &AdjacencyArrays, (start, end): (u32, u32), table: &[u8]) {
        let range = start as usize..end as usize;
        let mut len = self.len;
        let mut again = false;
        for (&other, &sort) in half.others[range.clone()].iter().zip(&half.sorts[range]) {
            // Every number is below the bound, as was seen when the view was built.
            let word = &mut self.words[other as usize / 16];
            let shift = other % 16 * 4;
            let settled = (*word >> shift) as u8 & 7;
            let fresh = table[usize::from(sort)] & !settled;
            *word |= u64::from(SETTLES[usize::from(fresh)]) << shift;
            again |= (fresh != 0) & (settled != 0);
            // Where two states are given at once, the weaker follows the stronger.
            let first = fresh & fresh.wrapping_neg();
            self.entities[len] = other;
            self.states[len] = first;
            len += usize::from(fresh != 0);
            if fresh != first {
                self.entities[len] = other;
                self.states[len] = fresh ^ first;
                len += 1;
                again = true;
            }
        }
        self.len = len;
        self.again |= again;
    }
}

/// The entities that a walk by the rules on a view has reached, nearest first.
#[derive(Clone, Copy, Debug)]
pub struct ImpactReachSet<'a> {
    entities: &'a [u32],
    states: &'a [u8],
    levels: &'a [u32],
}

impl<'a> ImpactReachSet<'a> {
    /// Number of entities that are reached.
    pub fn len(&self) -> usize {
        self.states.iter().filter(|&&state| state & WEAKER == 0).count()
    }

    /// True if no entity is reached.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Each entity once, with its strongest state and the distance of that state.
    pub fn iter(&self) -> impl Iterator<Item = (u32, ImpactState, u32)> + 'a {
        let ImpactReachSet { entities, states, levels } = *self;
        let distances = (1u32..).zip(levels).scan(0, |start, (distance, &end)| {
            Some(std::iter::repeat_n(distance, (end - std::mem::replace(start, end)) as usize))
        });
        let visits = entities.iter().zip(states).zip(distances.flatten());
        visits.filter(|((_, state), _)| **state & WEAKER == 0).map(
            |((&entity, &state), distance)| {
                (entity, ImpactState::ALL[state.trailing_zeros() as usize], distance)
            },
        )
    }

    /// Number of entities at each distance, from 1 on.
    pub fn by_distance(&self) -> impl Iterator<Item = (u32, usize)> + 'a {
        let ImpactReachSet { states, levels, .. } = *self;
        let starts = std::iter::once(0).chain(levels.iter().copied());
        (1..).zip(starts.zip(levels).map(move |(start, &end)| {
            let level = &states[start as usize..end as usize];
            level.iter().filter(|&&state| state & WEAKER == 0).count()
        }))
    }
}
