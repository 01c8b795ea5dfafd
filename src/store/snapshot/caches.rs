//! The memory of a snapshot: pages, blocks, facts, edges and names that were asked for.
//!
//! Every cache has a budget. What is read, and when, is up to the files beside this one; here is
//! what is kept, and what has to go.

use crate::graph::{IncidentEdge, ObjectKind};
use crate::store::body::{self, ColumnBlock};
use crate::store::cache::BudgetedCache;
use crate::store::codec::SEAL;
use crate::store::edges::DeltaEntry;
use crate::store::heads::HeadChunk;
use redb::AccessGuard;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, OnceCell};
use std::rc::Rc;

/// A value as it lies in a page of the engine.
type PageGuard = AccessGuard<'static, &'static [u8]>;

/// A value of ours: a payload without its seal.
pub(in crate::store) enum VerifiedValue {
    /// As it lies in its page.
    Stored(PageGuard),
    /// As it was in the past, made of what is stored.
    Made(Vec<u8>),
}

impl VerifiedValue {
    pub(in crate::store) fn payload(&self) -> &[u8] {
        match self {
            VerifiedValue::Stored(guard) => {
                let sealed = guard.value();
                &sealed[..sealed.len() - SEAL]
            }
            VerifiedValue::Made(payload) => payload,
        }
    }
}

impl AsRef<[u8]> for VerifiedValue {
    fn as_ref(&self) -> &[u8] {
        self.payload()
    }
}

/// A block of bodies as it lies in its page.
pub(in crate::store) type StoredBlock = ColumnBlock<VerifiedValue>;

/// Bytes of memory that the caches of a snapshot may take, unless [`Snapshot::with_memory`] says
/// otherwise.
pub(super) const MEMORY: usize = 128 << 20;

/// Bytes of blocks that are kept at first: about eight blocks. The cache grows when a block is
/// asked for that it had dropped. Objects are mostly stored in the order of their numbers, and a
/// pass in that order is quicker in memory that was used just before.
const BODIES_FIRST: usize = 8 * body::RAW_MAX;

/// Bytes of names of properties that are kept, and how many of their numbers.
pub(super) const NAMES_MEMORY: usize = 4 << 20;

pub(super) const NUMBERS_MAX: usize = 10_000;

/// Bytes of names of jobs that are kept.
pub(super) const JOBS_MEMORY: usize = 1 << 20;

/// Entities of one neighbourhood.
pub(super) const SPAN: u32 = 256;

/// The edges of [`SPAN`] entities in one direction, of all scopes.
pub(super) struct NeighborhoodEdges {
    pub(super) ends: Vec<u32>,
    pub(super) edges: Vec<IncidentEdge>,
}

impl NeighborhoodEdges {
    pub(super) fn edges(&self, entity: u32) -> &[IncidentEdge] {
        let row = (entity % SPAN) as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.edges[start as usize..self.ends[row] as usize]
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.ends[..]) + size_of_val(&self.edges[..])
    }
}

/// Neighbourhoods that are kept whole. `asked` counts, for the others, the entities that were read
/// one by one.
pub(super) struct NeighborhoodCache {
    pub(super) asked: FxHashMap<(u8, u32), u32>,
    pub(super) known: BudgetedCache<(u8, u32), Rc<NeighborhoodEdges>>,
}

/// The delta of one direction, read whole when it is asked for often.
#[derive(Default)]
pub(super) struct LazyDelta {
    /// Reads around an entity so far.
    pub(super) asked: Cell<u32>,
    pub(super) whole: OnceCell<Vec<DeltaEntry>>,
}

/// The names and ends of an object, as name numbers and entity numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// Scope.
    pub scope: u32,
    /// `_type`.
    pub type_name: u32,
    /// Verb, or class set.
    pub class: u32,
    /// From and to; 0 for an entity.
    pub ends: (u32, u32),
    /// False for a tombstone.
    pub live: bool,
}

/// Chunks of heads of which all facts are kept, by row (`None` is absent). `asked` counts, for the
/// others, the rows that were read one by one.
pub(super) struct FactsCache {
    pub(super) asked: FxHashMap<(u8, u32), u32>,
    pub(super) known: BudgetedCache<(u8, u32), Rc<[Option<LocatedFacts>]>>,
}

/// The facts of an object, and where its properties lie.
#[derive(Clone, Copy)]
pub(super) struct LocatedFacts {
    pub(super) facts: ObjectFacts,
    pub(super) block: u32,
    pub(super) slot: u32,
}

impl LocatedFacts {
    pub(super) fn read(chunk: &HeadChunk<'_>, row: usize) -> LocatedFacts {
        let facts = ObjectFacts {
            scope: chunk.scope(row),
            type_name: chunk.type_name(row),
            class: chunk.class(row),
            ends: chunk.ends(row),
            live: chunk.live(row),
        };
        let (block, slot) = chunk.body(row);
        LocatedFacts { facts, block, slot }
    }
}

/// The chunk of entities that a scan has reached. Questions about its rows are answered from here.
pub(super) struct ScanCursor {
    pub(super) chunk: u32,
    pub(super) opened: Rc<VerifiedValue>,
    pub(super) rows: Vec<Option<LocatedFacts>>,
}

/// Kind, scope and number of a block of bodies.
pub(super) type BlockAddress = (u8, u32, u32);

/// Chunks of heads in memory: the last one of each kind, and those that were read a second time. An
/// answer reads its heads in the order of their numbers, each chunk once.
pub(super) struct HeadCache {
    pub(super) last: [Option<(u32, Rc<VerifiedValue>)>; 2],
    pub(super) once: FxHashSet<(u8, u32)>,
    pub(super) kept: BudgetedCache<(u8, u32), Rc<VerifiedValue>>,
}

impl HeadCache {
    pub(super) fn find(&mut self, kind: ObjectKind, chunk: u32) -> Option<Rc<VerifiedValue>> {
        match &self.last[kind as usize] {
            Some((number, opened)) if *number == chunk => Some(Rc::clone(opened)),
            _ => self.kept.get(&(kind as u8, chunk)).map(Rc::clone),
        }
    }

    pub(super) fn keep(&mut self, kind: ObjectKind, chunk: u32, opened: &Rc<VerifiedValue>) {
        let at = (kind as u8, chunk);
        // A pass in order reads each chunk once, so only a second read proves that a chunk is worth
        // keeping.
        // To make one of the past again takes longer than to read it.
        if !self.once.insert(at) || matches!(**opened, VerifiedValue::Made(_)) {
            let bytes = opened.payload().len();
            self.kept.make_room(&at, bytes, |_, _| {});
            self.kept.insert(at, Rc::clone(opened), bytes);
        }
        self.last[kind as usize] = Some((chunk, Rc::clone(opened)));
    }
}

/// The caches of a snapshot, empty. Each gets its share of `memory` bytes.
pub(super) struct SnapshotCaches {
    pub(super) near: NeighborhoodCache,
    pub(super) heads: HeadCache,
    pub(super) facts: FactsCache,
    pub(super) bodies: BudgetedCache<BlockAddress, Rc<StoredBlock>>,
}

impl SnapshotCaches {
    pub(super) fn new(memory: usize) -> SnapshotCaches {
        // Two eighths for edges, one for heads, two for facts and three for blocks of bodies.
        let eighths = |n: usize| memory / 8 * n;
        let heads = eighths(1);
        SnapshotCaches {
            near: NeighborhoodCache {
                asked: FxHashMap::default(),
                known: BudgetedCache::new(eighths(2), eighths(2)),
            },
            heads: HeadCache {
                last: [None, None],
                once: FxHashSet::default(),
                kept: BudgetedCache::new(heads, heads),
            },
            facts: FactsCache {
                asked: FxHashMap::default(),
                known: BudgetedCache::new(eighths(2), eighths(2)),
            },
            bodies: BudgetedCache::new(BODIES_FIRST, eighths(3)),
        }
    }
}
