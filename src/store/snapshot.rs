//! Reading: one consistent state of the file, unchanged by later commits.
//!
//! Rows are checked as they are read and only what is asked for is read: a question about one
//! entity touches one identity row, one chunk of heads and the segments around it.

use super::StoreError;
use super::body;
use super::codec::{Cursor, SEAL, unseal};
use super::edges::{self, Change};
use super::heads::{CHUNK, Head, HeadChunk, NO_BODY};
use super::identity::{Identity, IdentityRow};
use super::labels::Labels;
use super::rows::{
    Dictionary, EdgeCounts, JobRow, Meta, NUMBERED_CHUNK, Numbered, ScopeRow, split_classes,
};
use super::segment::{Standing, StoredEdge};
use super::tables::{self, Definition};
use super::tiles::{self, Tile};
use crate::graph::{
    Adjacency, Direction, Edge, Entity, EntityFacts, EntityHead, GraphRead, IdHash, Kind, Metadata,
    Names, ORIGIN, ObjectId, Origin, Relationship, ScopeCounts, Value, default_relationship_key,
};
use redb::{AccessGuard, ReadOnlyTable, ReadTransaction, ReadableTable};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::rc::Rc;
use uuid::Uuid;

type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A value as it lies in a page of the engine.
type Guard = AccessGuard<'static, &'static [u8]>;

/// A value whose seal was found whole, still in its page.
struct Opened(Guard);

impl Opened {
    fn payload(&self) -> &[u8] {
        let sealed = self.0.value();
        &sealed[..sealed.len() - SEAL]
    }
}

/// Entities of one neighbourhood.
const SPAN: u32 = 256;

/// The edges of [`SPAN`] entities in one direction, of all scopes.
struct Neighbourhood {
    ends: Vec<u32>,
    edges: Vec<Edge>,
}

impl Neighbourhood {
    fn edges(&self, entity: u32) -> &[Edge] {
        let row = (entity % SPAN) as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.edges[start as usize..self.ends[row] as usize]
    }
}

/// The names and ends of an object, as name numbers and entity numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
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

/// What is known of the edges of [`SPAN`] entities in one direction.
enum Near {
    /// Entities read one by one so far.
    Asked(u32),
    /// All of them.
    Known(Rc<Neighbourhood>),
}

/// Entities of a neighbourhood that are read one by one before all are: a walk that starts in a
/// large graph comes to most neighbourhoods once.
const NEAR_ASKED_MAX: u32 = 8;

/// What is known of the delta of one direction.
#[derive(Default)]
struct LazyDelta {
    /// Reads around an entity so far.
    asked: Cell<u32>,
    whole: OnceCell<Vec<Change>>,
}

/// A delta is read whole when it was asked for once for so many entries: to read them takes about as
/// long then as was spent on asking.
const DELTA_ASKED: u32 = 256;

/// What is known of the facts of one chunk of heads.
enum ChunkFacts {
    /// Rows read one by one so far.
    Asked(u32),
    /// All of them, by row; `None` is absent.
    Known(Box<[Option<Placed>]>),
}

/// The facts of an object, and where its properties lie.
#[derive(Clone, Copy)]
struct Placed {
    facts: Facts,
    block: u32,
    slot: u32,
}

impl Placed {
    fn read(chunk: &HeadChunk<'_>, row: usize) -> Placed {
        let facts = Facts {
            scope: chunk.scope(row),
            type_name: chunk.type_name(row),
            class: chunk.class(row),
            ends: chunk.ends(row),
            live: chunk.live(row),
        };
        let (block, slot) = chunk.body(row);
        Placed { facts, block, slot }
    }
}

/// The chunk of entities that a scan has come to: what is asked of its rows meanwhile is at hand.
struct Passing {
    chunk: u32,
    opened: Rc<Opened>,
    rows: Vec<Option<Placed>>,
}

/// An unpacked block of bodies, with the place of each record.
struct Block {
    raw: Vec<u8>,
    starts: Vec<u32>,
}

impl Block {
    fn unpack(payload: &[u8], unpacker: &mut body::Unpacker) -> Option<Block> {
        let raw = unpacker.unpack(payload)?;
        let starts = body::starts(&raw)?;
        Some(Block { raw, starts })
    }

    fn record(&self, slot: u32) -> Option<&[u8]> {
        body::record(&self.raw, *self.starts.get(slot as usize)?)
    }
}

/// Kind, scope and number of a block of bodies.
type BlockPlace = (u8, u32, u32);

/// Rows of a chunk that are read one by one before all are taken out of its columns at once.
const ASKED_MAX: u32 = 32;

/// One consistent state of the database.
pub struct Snapshot {
    meta: Meta,
    names: Dictionary,
    labels: Labels,
    identity: Table,
    heads: Table,
    bodies: Table,
    adjacency: Table,
    jobs: Table,
    pins: Table,
    scopes: Table,
    deletions: Table,
    // A query comes back to the same few chunks again and again.
    neighbourhoods: RefCell<FxHashMap<(u8, u32), Near>>,
    /// The deltas of both directions, once they were asked for often.
    deltas: [LazyDelta; 2],
    head_cache: RefCell<HeadCache>,
    fact_cache: RefCell<FxHashMap<(u8, u32), ChunkFacts>>,
    body_cache: RefCell<FxHashMap<BlockPlace, Rc<Block>>>,
    /// The block that was asked for last, and the chunk of a scan: both are asked for again at once.
    last_block: RefCell<Option<(BlockPlace, Rc<Block>)>>,
    unpacker: RefCell<body::Unpacker>,
    passing: RefCell<Option<Rc<Passing>>>,
    /// Where derived indexes of properties lie, if they may.
    pub(super) indexes: Option<super::index::Folder>,
    job_cache: RefCell<FxHashMap<u32, (Uuid, String)>>,
    scope_cache: OnceCell<Vec<(u32, ScopeRow)>>,
    transaction: ReadTransaction,
}

/// Unpacked blocks of bodies kept in memory, at most 288 KiB each: objects in the order of their
/// numbers come back to the same blocks again and again.
const BODY_CACHE_MAX: usize = 256;

/// Such blocks while a scan goes through them in order: it comes back to the last few alone.
const SCAN_CACHE_MAX: usize = 8;

/// Chunks of heads kept in memory before the cache starts anew; their pages are 4 KiB mostly.
const HEAD_CACHE_MAX: usize = 2048;

/// Chunks of heads in memory: the last of each kind, and those that were asked for a second time
/// after others. An answer reads its heads in the order of their numbers, each chunk once.
#[derive(Default)]
struct HeadCache {
    last: [Option<(u32, Rc<Opened>)>; 2],
    once: FxHashSet<(u8, u32)>,
    kept: FxHashMap<(u8, u32), Rc<Opened>>,
}

impl HeadCache {
    fn find(&self, kind: Kind, chunk: u32) -> Option<Rc<Opened>> {
        match &self.last[kind as usize] {
            Some((number, opened)) if *number == chunk => Some(Rc::clone(opened)),
            _ => self.kept.get(&(kind as u8, chunk)).map(Rc::clone),
        }
    }

    fn keep(&mut self, kind: Kind, chunk: u32, opened: &Rc<Opened>) {
        if !self.once.insert((kind as u8, chunk)) {
            if self.kept.len() >= HEAD_CACHE_MAX {
                self.kept.clear();
            }
            self.kept.insert((kind as u8, chunk), Rc::clone(opened));
        }
        self.last[kind as usize] = Some((chunk, Rc::clone(opened)));
    }
}

fn get<R>(
    table: &Table,
    definition: Definition,
    name: &'static str,
    key: &[u8],
    read: impl FnOnce(&[u8]) -> Option<R>,
) -> Result<Option<R>, StoreError> {
    debug_assert_eq!(redb::TableHandle::name(&definition), name);
    match ReadableTable::get(table, key)? {
        Some(guard) => {
            let payload = unseal(name, key, guard.value())?;
            match read(payload) {
                Some(value) => Ok(Some(value)),
                None => Err(StoreError::corrupt(name, key, "contents make no sense")),
            }
        }
        None => Ok(None),
    }
}

fn missing(table: &'static str, key: &[u8]) -> StoreError {
    StoreError::corrupt(table, key, "row is missing")
}

/// Reads all of what has numbers below `count`.
fn numbered<T: Numbered>(transaction: &ReadTransaction, count: u32) -> Result<T, StoreError> {
    let (definition, name) = T::TABLE;
    let table = transaction.open_table(definition)?;
    let mut all = T::default();
    for chunk in 0..count.div_ceil(NUMBERED_CHUNK) {
        let key = tables::number_key(chunk);
        get(&table, definition, name, &key, |payload| all.extend(payload))?
            .ok_or_else(|| missing(name, &key))?;
    }
    match all.count() == count {
        true => Ok(all),
        false => Err(StoreError::corrupt(name, &[], &format!("{name} were lost"))),
    }
}

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction) -> Result<Snapshot, StoreError> {
        let open = |definition| transaction.open_table(definition);
        let meta = get(&open(tables::META)?, tables::META, "meta", tables::META_KEY, Meta::decode)?
            .ok_or_else(|| missing("meta", tables::META_KEY))?;
        let names = numbered(&transaction, meta.names)?;
        let labels = numbered(&transaction, meta.labels)?;
        Ok(Snapshot {
            meta,
            names,
            labels,
            identity: open(tables::IDENTITY)?,
            heads: open(tables::HEADS)?,
            bodies: open(tables::BODIES)?,
            adjacency: open(tables::ADJACENCY)?,
            jobs: open(tables::JOBS)?,
            pins: open(tables::PINS)?,
            scopes: open(tables::SCOPES)?,
            deletions: open(tables::DELETIONS)?,
            neighbourhoods: RefCell::default(),
            deltas: Default::default(),
            head_cache: RefCell::default(),
            fact_cache: RefCell::default(),
            body_cache: RefCell::default(),
            last_block: RefCell::default(),
            unpacker: RefCell::default(),
            passing: RefCell::default(),
            indexes: None,
            job_cache: RefCell::default(),
            scope_cache: OnceCell::new(),
            transaction,
        })
    }

    /// Lets lookups by property keep indexes in `folder`, which is made when first needed. Whatever
    /// happens to it changes no answer, only how long it takes.
    pub fn with_indexes(mut self, folder: std::path::PathBuf) -> Snapshot {
        self.indexes = Some(super::index::Folder::new(folder));
        self
    }

    /// What it is read by.
    pub(super) fn transaction(&self) -> &ReadTransaction {
        &self.transaction
    }

    /// Counters of the file.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The dictionary of names.
    pub fn dictionary(&self) -> &Dictionary {
        &self.names
    }

    /// The labels of relationships.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The row of a scope, by name number.
    pub fn scope_row(&self, scope: u32) -> Result<Option<ScopeRow>, StoreError> {
        let key = tables::number_key(scope);
        get(&self.scopes, tables::SCOPES, "scopes", &key, ScopeRow::decode)
    }

    /// The row of a scope, by its name; that of a new scope where nothing is stored.
    pub fn scope_row_of(&self, scope: &str) -> Result<ScopeRow, StoreError> {
        match self.name_number(scope) {
            Some(number) => Ok(self.scope_row(number)?.unwrap_or_default()),
            None => Ok(ScopeRow::default()),
        }
    }

    /// The name numbers of the scopes that have live entities, ascending.
    pub fn entity_scopes(&self) -> Result<impl Iterator<Item = u32> + '_, StoreError> {
        let live = |row: &ScopeRow| row.count(Kind::Entity).live > 0;
        Ok(self.known_scopes()?.iter().filter(move |(_, row)| live(row)).map(|(number, _)| *number))
    }

    /// All scopes with their rows, by ascending name number.
    pub fn scope_rows(&self) -> Result<Vec<(u32, ScopeRow)>, StoreError> {
        Ok(self.known_scopes()?.to_vec())
    }

    /// The name numbers of all scopes, ascending.
    pub fn scope_numbers(&self) -> Result<impl Iterator<Item = u32> + '_, StoreError> {
        Ok(self.known_scopes()?.iter().map(|(number, _)| *number))
    }

    pub(super) fn known_scopes(&self) -> Result<&[(u32, ScopeRow)], StoreError> {
        if let Some(known) = self.scope_cache.get() {
            return Ok(known);
        }
        let mut rows = Vec::new();
        for row in self.scopes.iter()? {
            let (key, sealed) = row?;
            let (key, damaged) = (key.value(), "contents make no sense");
            let number = key.try_into().map(u32::from_be_bytes).ok();
            let scope = ScopeRow::decode(unseal("scopes", key, sealed.value())?);
            let row = number.zip(scope);
            rows.push(row.ok_or_else(|| StoreError::corrupt("scopes", key, damaged))?);
        }
        Ok(self.scope_cache.get_or_init(|| rows))
    }

    /// The hash by which an `_id` is found.
    pub fn hashed(&self, id: ObjectId) -> IdHash {
        id.hashed(self.meta.digest_seed)
    }

    /// The object with this `_id` in a scope.
    pub fn find(
        &self,
        kind: Kind,
        scope: u32,
        id: ObjectId,
    ) -> Result<Option<Identity>, StoreError> {
        let Some(found) = self.find_hash(kind, scope, self.hashed(id))? else { return Ok(None) };
        let head = self
            .head(kind, found.number)?
            .ok_or_else(|| missing("heads", &tables::head_key(kind, found.number / CHUNK)))?;
        let key = self.key_of(kind, &head)?;
        Ok((ObjectId::new(kind, self.names.text(scope), &key) == id).then_some(found))
    }

    /// The object of which the `_id` has this hash, in a scope.
    pub fn find_hash(
        &self,
        kind: Kind,
        scope: u32,
        id: IdHash,
    ) -> Result<Option<Identity>, StoreError> {
        let mut found = None;
        self.find_many(kind, scope, std::iter::once(id), |identity| found = identity)?;
        Ok(found)
    }

    /// The objects with these hashes, which ascend, in a scope: each row is read once.
    pub fn find_many(
        &self,
        kind: Kind,
        scope: u32,
        ids: impl Iterator<Item = IdHash>,
        mut found: impl FnMut(Option<Identity>),
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        let mut ids = ids.peekable();
        while let Some(&first) = ids.peek() {
            let at = first.0.to_be_bytes();
            let mut any = false;
            tiles::around(&self.identity, "identity", &space, [&at, &at], |tile| {
                let row = IdentityRow::parse(tile.contents)?;
                while let Some(id) = ids.next_if(|id| tile.reaches(&id.0.to_be_bytes())) {
                    found(row.find(id));
                }
                any = true;
                Some(())
            })?;
            if !any {
                ids.for_each(|_| found(None));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Calls `visit` for every object of a kind in a scope, in ascending order of hashes.
    pub fn for_each_identity(
        &self,
        kind: Kind,
        scope: u32,
        mut visit: impl FnMut(Identity),
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        tiles::all(&self.identity, "identity", &space, |tile: &Tile<'_, 8>| {
            IdentityRow::parse(tile.contents)?.iter().for_each(&mut visit);
            Some(())
        })
    }

    /// Adds the objects of a kind in a scope whose hashes lie in a range, in ascending order.
    pub fn identities_between(
        &self,
        kind: Kind,
        scope: u32,
        range: RangeInclusive<IdHash>,
        found: &mut Vec<Identity>,
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        let [from, to] = [range.start(), range.end()].map(|id| id.0.to_be_bytes());
        let start = found.len();
        tiles::around(&self.identity, "identity", &space, [&from, &to], |tile| {
            let row = IdentityRow::parse(tile.contents)?;
            found.extend(row.iter().filter(|identity| range.contains(&identity.id)));
            Some(())
        })?;
        // Tiles came from the last to the first.
        found[start..].sort_unstable_by_key(|identity| identity.id);
        Ok(())
    }

    /// The rows that lie in one chunk of heads.
    fn head_chunk(&self, kind: Kind, chunk: u32) -> Result<Rc<Opened>, StoreError> {
        if kind == Kind::Entity
            && let Some(passing) = &*self.passing.borrow()
            && passing.chunk == chunk
        {
            return Ok(Rc::clone(&passing.opened));
        }
        if let Some(known) = self.head_cache.borrow().find(kind, chunk) {
            return Ok(known);
        }
        let key = tables::head_key(kind, chunk);
        let guard = self.heads.get(&key[..])?.ok_or_else(|| missing("heads", &key))?;
        unseal("heads", &key, guard.value())?;
        let opened = Rc::new(Opened(guard));
        self.head_cache.borrow_mut().keep(kind, chunk, &opened);
        Ok(opened)
    }

    fn with_chunk<R>(
        &self,
        kind: Kind,
        number: u32,
        read: impl FnOnce(&HeadChunk<'_>, usize) -> R,
    ) -> Result<Option<R>, StoreError> {
        if number >= self.meta.bound(kind) {
            return Ok(None);
        }
        let opened = self.head_chunk(kind, number / CHUNK)?;
        let key = tables::head_key(kind, number / CHUNK);
        let chunk = HeadChunk::parse(opened.payload())
            .ok_or_else(|| StoreError::corrupt("heads", &key, "contents make no sense"))?;
        let row = (number % CHUNK) as usize;
        Ok(chunk.present(row).then(|| read(&chunk, row)))
    }

    /// The head of an object, tombstones included.
    pub fn head(&self, kind: Kind, number: u32) -> Result<Option<Head>, StoreError> {
        let damaged = || {
            let key = tables::head_key(kind, number / CHUNK);
            StoreError::corrupt("heads", &key, "contents make no sense")
        };
        match self.with_chunk(kind, number, |chunk, row| chunk.get(row))? {
            Some(Some(head)) => Ok(Some(head)),
            Some(None) => Err(damaged()),
            None => Ok(None),
        }
    }

    /// The names and ends of an object, without its text, which is much cheaper than its head.
    pub fn facts(&self, kind: Kind, number: u32) -> Result<Option<Facts>, StoreError> {
        Ok(self.placed(kind, number)?.map(|placed| placed.facts))
    }

    fn placed(&self, kind: Kind, number: u32) -> Result<Option<Placed>, StoreError> {
        let row = (number % CHUNK) as usize;
        if kind == Kind::Entity
            && let Some(passing) = &*self.passing.borrow()
            && passing.chunk == number / CHUNK
        {
            return Ok(passing.rows.get(row).copied().flatten());
        }
        let at = (kind as u8, number / CHUNK);
        let many = match self.fact_cache.borrow_mut().entry(at).or_insert(ChunkFacts::Asked(0)) {
            ChunkFacts::Known(all) => return Ok(all.get(row).copied().flatten()),
            ChunkFacts::Asked(count) => {
                *count += 1;
                *count > ASKED_MAX
            }
        };
        if !many {
            return self.with_chunk(kind, number, Placed::read);
        }
        let all = self.with_chunk(kind, number, |chunk, _| unpacked(chunk).into_boxed_slice())?;
        let Some(all) = all else { return Ok(None) };
        let found = all.get(row).copied().flatten();
        let mut cache = self.fact_cache.borrow_mut();
        if cache.len() >= HEAD_CACHE_MAX {
            cache.clear();
        }
        cache.insert(at, ChunkFacts::Known(all));
        Ok(found)
    }

    /// Calls `visit` with the number and chunk row of every live object, in ascending order.
    pub fn for_each_live(
        &self,
        kind: Kind,
        mut visit: impl FnMut(u32, &HeadChunk<'_>, usize),
    ) -> Result<(), StoreError> {
        for chunk in 0..self.meta.bound(kind).div_ceil(CHUNK) {
            let key = tables::head_key(kind, chunk);
            get(&self.heads, tables::HEADS, "heads", &key, |payload| {
                let rows = HeadChunk::parse(payload)?;
                for row in (0..rows.len()).filter(|&row| rows.live(row)) {
                    visit(chunk * CHUNK + row as u32, &rows, row);
                }
                Some(())
            })?
            .ok_or_else(|| missing("heads", &key))?;
        }
        Ok(())
    }

    /// The sequence numbers of the jobs that changed an object of a kind last, tombstones included.
    pub fn last_jobs(&self, kind: Kind) -> Result<FxHashSet<u32>, StoreError> {
        let mut jobs = FxHashSet::default();
        for chunk in 0..self.meta.bound(kind).div_ceil(CHUNK) {
            let key = tables::head_key(kind, chunk);
            get(&self.heads, tables::HEADS, "heads", &key, |payload| {
                let rows = HeadChunk::parse(payload)?;
                // A row that is absent says job 0, which costs no more than to keep that.
                jobs.extend((0..rows.len()).map(|row| rows.job(row)));
                Some(())
            })?
            .ok_or_else(|| missing("heads", &key))?;
        }
        Ok(jobs)
    }

    /// Calls `visit` with the number and the key of every live entity, in ascending order.
    pub fn for_each_entity_key(&self, mut visit: impl FnMut(u32, &[u8])) -> Result<(), StoreError> {
        let mut text = Vec::new();
        let mut damaged = None;
        self.for_each_live(Kind::Entity, |number, chunk, row| {
            text.clear();
            match chunk.append_key(row, &mut text) {
                Some(()) => visit(number, &text),
                None => damaged = Some(number),
            }
        })?;
        match damaged {
            Some(number) => {
                let key = tables::head_key(Kind::Entity, number / CHUNK);
                Err(StoreError::corrupt("heads", &key, "contents make no sense"))
            }
            None => Ok(()),
        }
    }

    /// Whether the entity with this number has this key.
    pub fn has_key(&self, entity: u32, key: &str) -> Result<bool, StoreError> {
        let mut text = Vec::with_capacity(key.len());
        let whole =
            self.with_chunk(Kind::Entity, entity, |chunk, row| chunk.append_key(row, &mut text))?;
        match whole {
            Some(Some(())) => Ok(text == key.as_bytes()),
            Some(None) => {
                let key = tables::head_key(Kind::Entity, entity / CHUNK);
                Err(StoreError::corrupt("heads", &key, "contents make no sense"))
            }
            None => Ok(false),
        }
    }

    /// The body record of an object, as bytes that [`body::read`] understands.
    pub fn body_record(&self, kind: Kind, head: &Head) -> Result<Vec<u8>, StoreError> {
        if head.block == NO_BODY {
            let mut empty = Vec::new();
            body::write(&mut empty, 0, std::iter::empty(), None);
            return Ok(empty);
        }
        self.with_record(kind, (head.scope, head.block, head.slot), <[u8]>::to_vec)
    }

    fn block(&self, kind: Kind, scope: u32, block: u32) -> Result<Rc<Block>, StoreError> {
        let at = (kind as u8, scope, block);
        if let Some((last, block)) = &*self.last_block.borrow()
            && *last == at
        {
            return Ok(Rc::clone(block));
        }
        let cached = self.body_cache.borrow().get(&at).map(Rc::clone);
        let found = match cached {
            Some(found) => found,
            None => {
                let key = tables::body_key(kind, scope, block);
                let mut unpacker = self.unpacker.borrow_mut();
                let mut cache = self.body_cache.borrow_mut();
                let max = match &*self.passing.borrow() {
                    Some(_) => SCAN_CACHE_MAX,
                    None => BODY_CACHE_MAX,
                };
                if cache.len() >= max {
                    *self.last_block.borrow_mut() = None;
                    for (_, old) in cache.drain() {
                        if let Ok(old) = Rc::try_unwrap(old) {
                            unpacker.give_back(old.raw);
                        }
                    }
                }
                let read = |payload: &[u8]| Block::unpack(payload, &mut unpacker);
                let found = get(&self.bodies, tables::BODIES, "bodies", &key, read)?
                    .ok_or_else(|| missing("bodies", &key))?;
                let found = Rc::new(found);
                cache.insert(at, Rc::clone(&found));
                found
            }
        };
        *self.last_block.borrow_mut() = Some((at, Rc::clone(&found)));
        Ok(found)
    }

    /// Calls `read` with the record of an object at (scope, block, slot).
    fn with_record<R>(
        &self,
        kind: Kind,
        (scope, block, slot): (u32, u32, u32),
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, StoreError> {
        let found = self.block(kind, scope, block)?;
        found.record(slot).map(read).ok_or_else(|| {
            let key = tables::body_key(kind, scope, block);
            StoreError::corrupt("bodies", &key, "record is missing")
        })
    }

    /// One property of a body, by its name number; the others are stepped over. `visit` is not
    /// called if there is none of this name.
    pub(super) fn visit_property(
        &self,
        kind: Kind,
        (scope, block, slot): (u32, u32, u32),
        name: u32,
        visit: impl FnOnce(Value<'_>),
    ) -> Result<(), StoreError> {
        if block == NO_BODY {
            return Ok(());
        }
        let whole = self.with_record(kind, (scope, block, slot), |record| {
            if let Some(value) = body::find(record, name)? {
                visit(value);
            }
            Some(())
        })?;
        whole.ok_or_else(|| {
            let key = tables::body_key(kind, scope, block);
            StoreError::corrupt("bodies", &key, "record makes no sense")
        })
    }

    fn own_value(
        &self,
        kind: Kind,
        placed: &Placed,
        name: &str,
    ) -> Result<Option<Value<'static>>, StoreError> {
        let Some(name) = self.names.number(name) else { return Ok(None) };
        let place = (placed.facts.scope, placed.block, placed.slot);
        let mut found = None;
        self.visit_property(kind, place, name, |value| found = Some(value.into_owned()))?;
        Ok(found)
    }

    /// The text of one column of a head, which `read` takes from its chunk.
    fn head_text<R>(
        &self,
        kind: Kind,
        number: u32,
        read: impl FnOnce(&HeadChunk<'_>, usize) -> Option<R>,
    ) -> Result<Option<R>, StoreError> {
        match self.with_chunk(kind, number, read)? {
            Some(None) => {
                let key = tables::head_key(kind, number / CHUNK);
                Err(StoreError::corrupt("heads", &key, "contents make no sense"))
            }
            found => Ok(found.flatten()),
        }
    }

    /// Properties (with `displayName`, by ascending name) and raw data of an object.
    fn properties(
        &self,
        kind: Kind,
        head: &Head,
    ) -> Result<(Vec<(String, Value<'static>)>, Option<String>), StoreError> {
        let record = self.body_record(kind, head)?;
        let (properties, raw) = body::read(&record).ok_or_else(|| {
            let key = tables::body_key(kind, head.scope, head.block);
            StoreError::corrupt("bodies", &key, "record makes no sense")
        })?;
        let mut all: Vec<(String, Value<'static>)> = properties
            .into_iter()
            .map(|(name, value)| (self.names.text(name).to_owned(), value.into_owned()))
            .collect();
        if let Some(display) = &head.display {
            all.push(("displayName".into(), Value::Text(display.to_string().into())));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok((all, raw.map(str::to_owned)))
    }

    /// The head of an entity with names for numbers.
    fn named(&self, number: u32, head: Head) -> EntityHead {
        let scope = self.names.text(head.scope).to_owned();
        EntityHead {
            number,
            id: ObjectId::new(Kind::Entity, &scope, &head.key),
            scope,
            key: head.key.into(),
            type_name: self.names.text(head.type_name).to_owned(),
            classes: split_classes(self.names.text(head.class)),
            display_name: head.display.map(String::from),
            deleted: head.end != 0,
        }
    }

    fn metadata(&self, head: &Head) -> Result<Metadata, StoreError> {
        let (job_id, source) = self.job_name(head.job)?;
        Ok(Metadata {
            created_on: head.created,
            begin_on: head.begin,
            end_on: (head.end != 0).then_some(head.end),
            version: head.version,
            job_id,
            source,
        })
    }

    /// Calls `visit` with the live entities of a chunk. Fails with `None` where it breaks off.
    fn scan_chunk<S: From<StoreError>>(
        &self,
        chunk: u32,
        visit: &mut impl FnMut(u32, EntityFacts) -> Result<ControlFlow<()>, S>,
    ) -> Result<(), Option<S>> {
        let failed = |e: StoreError| Some(S::from(e));
        let opened = self.head_chunk(Kind::Entity, chunk).map_err(failed)?;
        let rows =
            HeadChunk::parse(opened.payload()).map(|chunk| unpacked(&chunk)).ok_or_else(|| {
                let key = tables::head_key(Kind::Entity, chunk);
                failed(StoreError::corrupt("heads", &key, "contents make no sense"))
            })?;
        let passing = Rc::new(Passing { chunk, opened, rows });
        *self.passing.borrow_mut() = Some(Rc::clone(&passing));
        for (row, placed) in passing.rows.iter().enumerate() {
            let Some(Placed { facts, .. }) = placed else { continue };
            let number = chunk * CHUNK + row as u32;
            if facts.live && visit(number, entity_facts(facts)).map_err(Some)?.is_break() {
                return Err(None);
            }
        }
        Ok(())
    }

    /// A property of the system that a head tells.
    fn system_value(&self, head: &Head, name: &str) -> Result<Option<Value<'static>>, StoreError> {
        Ok(match name {
            "_createdOn" => Some(Value::Int(head.created)),
            "_beginOn" => Some(Value::Int(head.begin)),
            "_endOn" => (head.end != 0).then_some(Value::Int(head.end)),
            "_version" => Some(Value::Int(head.version.into())),
            "_deleted" => Some(Value::Bool(head.end != 0)),
            "_source" | "_jobId" => self.metadata(head)?.value(name),
            _ => None,
        })
    }

    fn job_name(&self, sequence: u32) -> Result<(Uuid, String), StoreError> {
        if let Some(known) = self.job_cache.borrow().get(&sequence) {
            return Ok(known.clone());
        }
        let key = tables::number_key(sequence);
        let job = self.job(sequence)?.ok_or_else(|| missing("jobs", &key))?;
        let known = (job.id, job.source);
        self.job_cache.borrow_mut().insert(sequence, known.clone());
        Ok(known)
    }

    /// The id of the stored job with this sequence number.
    pub(super) fn job_id(&self, sequence: u32) -> Result<Option<Uuid>, StoreError> {
        let key = tables::number_key(sequence);
        get(&self.jobs, tables::JOBS, "jobs", &key, |p| Some(Uuid::from_bytes(*p.first_chunk()?)))
    }

    /// The stored job with this sequence number.
    pub fn job(&self, sequence: u32) -> Result<Option<JobRow>, StoreError> {
        get(&self.jobs, tables::JOBS, "jobs", &tables::number_key(sequence), JobRow::decode)
    }

    /// The key of an object.
    pub fn key_of(&self, kind: Kind, head: &Head) -> Result<String, StoreError> {
        match kind {
            Kind::Entity => Ok(head.key.to_string()),
            Kind::Relationship => self.relationship_key(head),
        }
    }

    /// The key of a relationship, made from its ends where it is not stored.
    pub fn relationship_key(&self, head: &Head) -> Result<String, StoreError> {
        if !head.key.is_empty() {
            return Ok(head.key.to_string());
        }
        let end = |number| -> Result<Head, StoreError> {
            self.head(Kind::Entity, number)?.ok_or_else(|| {
                let key = tables::head_key(Kind::Entity, number / CHUNK);
                StoreError::corrupt("heads", &key, "the end of a relationship is missing")
            })
        };
        let (from, to) = (end(head.from)?, end(head.to)?);
        Ok(default_relationship_key(&from.key, self.names.text(head.class), &to.key))
    }

    /// What the job with this sequence number deleted.
    pub fn deletions(&self, sequence: u32, kind: Kind) -> Result<Vec<u32>, StoreError> {
        let key = tables::deletion_key(sequence, kind);
        let read = |p: &[u8]| {
            let mut c = Cursor(p);
            (0..c.u32()?).map(|_| c.u32()).collect()
        };
        Ok(get(&self.deletions, tables::DELETIONS, "deletions", &key, read)?.unwrap_or_default())
    }

    /// The pinned properties of an entity, as a body record.
    pub fn pins(&self, scope: u32, id: IdHash) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.pins, tables::PINS, "pins", &tables::pin_key(scope, id), |p| Some(p.to_vec()))
    }

    /// Whether any entity has pins.
    pub fn has_pins(&self) -> Result<bool, StoreError> {
        Ok(self.pins.iter()?.next().is_some())
    }

    fn for_each_edge_near(
        &self,
        entity: u32,
        direction: Direction,
        visit: impl FnMut(Edge),
    ) -> Result<(), StoreError> {
        let (chunk, at) = (entity / SPAN, (direction as u8, entity / SPAN));
        let known = match self.neighbourhoods.borrow_mut().entry(at).or_insert(Near::Asked(0)) {
            Near::Known(known) => Some(Rc::clone(known)),
            Near::Asked(count) => {
                *count += 1;
                if *count <= NEAR_ASKED_MAX {
                    None
                } else {
                    Some(Rc::new(self.read_neighbourhood(direction, chunk)?))
                }
            }
        };
        let Some(known) = known else {
            self.read_edges(direction, entity)?.into_iter().for_each(visit);
            return Ok(());
        };
        known.edges(entity).iter().copied().for_each(visit);
        self.neighbourhoods.borrow_mut().insert(at, Near::Known(known));
        Ok(())
    }

    /// Reads the edges of one entity and no others.
    fn read_edges(&self, direction: Direction, entity: u32) -> Result<Vec<Edge>, StoreError> {
        let edges = self.read_range(direction, entity..entity + 1)?;
        Ok(edges.into_iter().map(|(_, edge)| shown(&self.labels, edge)).collect())
    }

    /// The edges of neighbouring entities, in order.
    fn read_range(
        &self,
        direction: Direction,
        range: Range<u32>,
    ) -> Result<Vec<Standing>, StoreError> {
        let counts = self.meta.edges[direction as usize];
        let base = edges::base_near(&self.adjacency, direction, counts, range.clone())?;
        if counts.delta == 0 {
            return Ok(base);
        }
        let delta = &self.deltas[direction as usize];
        delta.asked.set(delta.asked.get().saturating_add(1));
        let read;
        let changes = match delta.whole.get() {
            Some(whole) => whole,
            None if counts.delta / DELTA_ASKED < delta.asked.get() => {
                let whole = edges::delta(&self.adjacency, direction, counts)?;
                delta.whole.get_or_init(|| whole)
            }
            None => {
                read = edges::delta_near(&self.adjacency, direction, range.clone())?;
                &read
            }
        };
        edges::overlaid(direction, base, edges::of(changes, range))
    }

    fn read_neighbourhood(
        &self,
        direction: Direction,
        chunk: u32,
    ) -> Result<Neighbourhood, StoreError> {
        let first = chunk * SPAN;
        let standing = self.read_range(direction, first..first + SPAN)?;
        let mut ends = Vec::with_capacity(SPAN as usize);
        let mut end = 0;
        for entity in first..first + SPAN {
            end += standing[end..].iter().take_while(|(at, _)| *at == entity).count();
            ends.push(end as u32);
        }
        let edges = standing.into_iter().map(|(_, edge)| shown(&self.labels, edge)).collect();
        Ok(Neighbourhood { ends, edges })
    }

    /// All live edges in one direction, entity by entity in ascending order.
    ///
    /// Unlike [`Adjacency::for_each_edge`] it keeps nothing in memory.
    pub fn for_each_edge_of_all(
        &self,
        direction: Direction,
        visit: impl FnMut(u32, Edge),
    ) -> Result<(), StoreError> {
        read_adjacency(&self.adjacency, direction, &self.meta, &self.labels, visit)
    }

    /// Proves that there is no delta where the counters say so: whoever reads edges does not look.
    pub(super) fn verify_delta(&self, direction: Direction) -> Result<(), StoreError> {
        match self.meta.edges[direction as usize] {
            counts @ EdgeCounts { delta: 0, .. } => {
                edges::delta(&self.adjacency, direction, counts).map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// All rows of a chunk; `None` is absent.
fn unpacked(chunk: &HeadChunk<'_>) -> Vec<Option<Placed>> {
    let placed = |(facts, live): ([u32; 7], bool)| {
        let [scope, type_name, class, from, to, block, slot] = facts;
        Placed { facts: Facts { scope, type_name, class, ends: (from, to), live }, block, slot }
    };
    chunk.facts().map(|facts| facts.map(placed)).collect()
}

fn entity_facts(facts: &Facts) -> EntityFacts {
    let Facts { scope, type_name, class: classes, live, .. } = *facts;
    EntityFacts { scope, type_name, classes, live }
}

fn owned(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}

/// A stored edge as a walk sees it. A label that is not known has no verb, and `verify` reports it.
#[inline]
fn shown(labels: &Labels, edge: StoredEdge) -> Edge {
    let StoredEdge { other, label, relationship } = edge;
    Edge { other, verb: labels.get(label).map_or(0, |label| label.verb), relationship, label }
}

/// Reads all edges in one direction by one pass over the table.
fn read_adjacency(
    table: &Table,
    direction: Direction,
    meta: &Meta,
    labels: &Labels,
    mut visit: impl FnMut(u32, Edge),
) -> Result<(), StoreError> {
    let counts = meta.edges[direction as usize];
    let visit = |entity, edge| visit(entity, shown(labels, edge));
    edges::all(table, direction, counts, meta.bound(Kind::Entity), visit)
}

/// Below this many entities a second thread takes longer to start than to read.
const THREADS_FROM: u32 = 20_000;

impl Adjacency for Snapshot {
    type Error = StoreError;

    fn entity_bound(&self) -> u32 {
        self.meta.bound(Kind::Entity)
    }

    fn for_each_edge(
        &self,
        entity: u32,
        direction: Direction,
        visit: impl FnMut(Edge),
    ) -> Result<(), StoreError> {
        self.for_each_edge_near(entity, direction, visit)
    }

    fn relationships_expected(&self) -> usize {
        self.meta.bound(Kind::Relationship) as usize
    }

    fn for_each_edge_both_ways(
        &self,
        out: impl FnMut(u32, Edge) + Send,
        into: impl FnMut(u32, Edge) + Send,
    ) -> Result<(), StoreError> {
        let (table, meta, labels) = (&self.adjacency, &self.meta, &self.labels);
        if meta.bound(Kind::Entity) < THREADS_FROM {
            read_adjacency(table, Direction::Out, meta, labels, out)?;
            return read_adjacency(table, Direction::In, meta, labels, into);
        }
        std::thread::scope(|threads| {
            let other = threads.spawn(|| read_adjacency(table, Direction::In, meta, labels, into));
            let with = read_adjacency(table, Direction::Out, meta, labels, out);
            let against = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            with.and(against)
        })
    }
}

impl Names for Snapshot {
    fn name(&self, number: u32) -> &str {
        self.names.text(number)
    }

    fn name_number(&self, text: &str) -> Option<u32> {
        self.names.number(text)
    }
}

impl GraphRead for Snapshot {
    fn entity(&self, number: u32) -> Result<Option<Entity>, StoreError> {
        let Some(head) = self.head(Kind::Entity, number)? else { return Ok(None) };
        let (properties, raw_data) = self.properties(Kind::Entity, &head)?;
        let metadata = self.metadata(&head)?;
        let EntityHead { id, scope, key, type_name, classes, .. } = self.named(number, head);
        Ok(Some(Entity {
            number,
            id,
            scope,
            key,
            type_name,
            classes,
            properties,
            raw_data,
            metadata,
        }))
    }

    fn entity_facts(&self, number: u32) -> Result<Option<EntityFacts>, StoreError> {
        Ok(self.facts(Kind::Entity, number)?.as_ref().map(entity_facts))
    }

    fn entity_head(&self, number: u32) -> Result<Option<EntityHead>, StoreError> {
        Ok(self.head(Kind::Entity, number)?.map(|head| self.named(number, head)))
    }

    fn number_of(&self, kind: Kind, id: ObjectId) -> Result<Option<u32>, StoreError> {
        for scope in self.scope_numbers()? {
            if let Some(found) = self.find(kind, scope, id)? {
                return Ok(Some(found.number));
            }
        }
        Ok(None)
    }

    fn relationship(&self, number: u32) -> Result<Option<Relationship>, StoreError> {
        let Some(head) = self.head(Kind::Relationship, number)? else { return Ok(None) };
        let (mut properties, raw_data) = self.properties(Kind::Relationship, &head)?;
        let origin = properties.iter().position(|(name, _)| name == ORIGIN).and_then(|at| {
            let (_, value) = properties.remove(at);
            Origin::from_text(value.as_str()?)
        });
        let scope = self.names.text(head.scope).to_owned();
        let key = self.relationship_key(&head)?;
        let end = |number: u32| -> Result<EntityHead, StoreError> {
            let key = tables::head_key(Kind::Entity, number / CHUNK);
            self.entity_head(number)?.ok_or_else(|| missing("heads", &key))
        };
        Ok(Some(Relationship {
            number,
            id: ObjectId::new(Kind::Relationship, &scope, &key),
            scope,
            key,
            type_name: self.names.text(head.type_name).to_owned(),
            class: self.names.text(head.class).to_owned(),
            from: end(head.from)?,
            to: end(head.to)?,
            properties,
            origin,
            raw_data,
            metadata: self.metadata(&head)?,
        }))
    }

    fn entities_with(
        &self,
        type_name: Option<&str>,
        class: Option<&str>,
    ) -> Result<Vec<u32>, StoreError> {
        let type_number = type_name.map(|t| self.names.number(t).unwrap_or(0));
        let mut has_class: FxHashMap<u32, bool> = FxHashMap::default();
        let mut found = Vec::new();
        self.for_each_live(Kind::Entity, |number, chunk, row| {
            if type_number.is_some_and(|t| t != chunk.type_name(row)) {
                return;
            }
            let Some(class) = class else { return found.push(number) };
            let set = chunk.class(row);
            let names = &self.names;
            if *has_class
                .entry(set)
                .or_insert_with(|| split_classes(names.text(set)).iter().any(|c| c == class))
            {
                found.push(number);
            }
        })?;
        Ok(found)
    }

    fn scopes(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.scope_rows()?;
        let mut scopes: Vec<String> =
            rows.into_iter().map(|(n, _)| self.names.text(n).to_owned()).collect();
        scopes.sort();
        Ok(scopes)
    }

    fn scan<S: From<StoreError>>(
        &self,
        mut visit: impl FnMut(u32, EntityFacts) -> Result<ControlFlow<()>, S>,
    ) -> Result<(), S> {
        let result = (0..self.meta.bound(Kind::Entity).div_ceil(CHUNK))
            .try_for_each(|chunk| self.scan_chunk(chunk, &mut visit));
        *self.passing.borrow_mut() = None;
        match result {
            Err(Some(stop)) => Err(stop),
            Ok(()) | Err(None) => Ok(()),
        }
    }

    fn counts(&self) -> Result<Vec<ScopeCounts>, StoreError> {
        let counts = |(scope, row): &(u32, ScopeRow)| {
            let [entities, relationships] = &row.counts;
            ScopeCounts {
                scope: *scope,
                entities: entities.live,
                types: entities.types.clone(),
                classes: entities.classes.clone(),
                verbs: relationships.classes.clone(),
            }
        };
        Ok(self.known_scopes()?.iter().map(counts).collect())
    }

    fn entity_value(&self, number: u32, name: &str) -> Result<Option<Value<'static>>, StoreError> {
        const KIND: Kind = Kind::Entity;
        if number >= self.meta.bound(KIND) {
            return Ok(None);
        }
        if name.starts_with('_') {
            if matches!(name, "_type" | "_class" | "_scope") {
                return Ok(self.facts(KIND, number)?.map(|facts| match name {
                    "_type" => owned(self.names.text(facts.type_name)),
                    "_scope" => owned(self.names.text(facts.scope)),
                    _ => {
                        let classes = split_classes(self.names.text(facts.class));
                        Value::List(classes.into_iter().map(|c| Value::Text(c.into())).collect())
                    }
                }));
            }
            if name == "_key" {
                let key = self.head_text(KIND, number, |chunk, row| chunk.key(row))?;
                return Ok(key.map(|key| Value::Text(key.into())));
            }
            if name == "_id" {
                let head = self.entity_head(number)?;
                return Ok(head.map(|head| owned(&head.id.to_string())));
            }
            let Some(head) = self.head(KIND, number)? else { return Ok(None) };
            return self.system_value(&head, name);
        }
        if name == "displayName"
            && let Some(Some(text)) =
                self.head_text(KIND, number, |chunk, row| chunk.display(row))?
        {
            return Ok(Some(Value::Text(text.into())));
        }
        match self.placed(KIND, number)? {
            Some(placed) => self.own_value(KIND, &placed, name),
            None => Ok(None),
        }
    }

    fn relationship_value(
        &self,
        number: u32,
        name: &str,
    ) -> Result<Option<Value<'static>>, StoreError> {
        const KIND: Kind = Kind::Relationship;
        let Some(placed) = self.placed(KIND, number)? else { return Ok(None) };
        let (from, to) = placed.facts.ends;
        Ok(match name {
            "_type" => Some(owned(self.names.text(placed.facts.type_name))),
            "_class" => Some(owned(self.names.text(placed.facts.class))),
            "_scope" => Some(owned(self.names.text(placed.facts.scope))),
            "_fromEntityKey" => self.entity_value(from, "_key")?,
            "_toEntityKey" => self.entity_value(to, "_key")?,
            "_fromEntityId" => self.entity_value(from, "_id")?,
            "_toEntityId" => self.entity_value(to, "_id")?,
            "_fromEntityScope" => self.entity_value(from, "_scope")?,
            "_toEntityScope" => self.entity_value(to, "_scope")?,
            _ if name.starts_with('_') => {
                let Some(head) = self.head(KIND, number)? else { return Ok(None) };
                if !matches!(name, "_key" | "_id") {
                    return self.system_value(&head, name);
                }
                let key = self.relationship_key(&head)?;
                Some(match name {
                    "_key" => Value::Text(key.into()),
                    _ => {
                        let id = ObjectId::new(KIND, self.names.text(head.scope), &key);
                        owned(&id.to_string())
                    }
                })
            }
            "displayName" => match self.head_text(KIND, number, |chunk, row| chunk.display(row))? {
                Some(Some(text)) => Some(Value::Text(text.into())),
                _ => self.own_value(KIND, &placed, name)?,
            },
            _ => self.own_value(KIND, &placed, name)?,
        })
    }

    fn entity_keyed(&self, scope: &str, key: &str) -> Result<Option<u32>, StoreError> {
        let Some(number) = self.names.number(scope) else { return Ok(None) };
        let id = ObjectId::new(Kind::Entity, scope, key);
        Ok(self.find(Kind::Entity, number, id)?.map(|found| found.number))
    }

    fn entities_hashed(&self, name: &str, hashes: &[u64]) -> Result<Option<Vec<u32>>, StoreError> {
        super::index::find(self, name, hashes)
    }
}
