//! Reading: one consistent state of the file, unchanged by later commits.
//!
//! Rows are checked as they are read, and a question reads only the rows that it needs. One about a
//! single entity reads one identity row, one chunk of heads and the segments around the entity.

use super::StoreError;
use super::body;
use super::cache::BudgetedCache;
use super::codec::{ByteCursor, SEAL, proven, unseal};
use super::edges::{self, DeltaEntry};
use super::heads::{CHUNK, HeadChunk, NO_BODY, ObjectHead};
use super::identity::{IdentityEntry, IdentityRow};
use super::labels::LabelTable;
use super::names::{self, NameBook, NameChunk, WordDictionary};
use super::rows::{DatabaseMeta, EdgeCounts, JobRow, ScopeRow, split_classes};
use super::segment::{AdjacencyEntry, StoredEdge};
use super::tables::{self, ByteTableDefinition};
use super::tiles::{self, StoredTile};
use crate::graph::{
    AdjacencyRead, CLASS_SEPARATOR, EdgeDirection, Entity, EntityFacts, EntityHead, GraphRead,
    IdHash, IncidentEdge, NameLookup, ORIGIN, ObjectId, ObjectKind, ObjectMetadata, Relationship,
    RelationshipOrigin, ScopeCounts, Value, default_relationship_key, same_name,
};
use redb::{AccessGuard, ReadOnlyTable, ReadTransaction, ReadableTable, WriteTransaction};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::rc::Rc;
use std::sync::Arc;
use uuid::Uuid;

pub(super) type ReadTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A value as it lies in a page of the engine.
type PageGuard = AccessGuard<'static, &'static [u8]>;

/// A value of ours, still in its page.
pub(super) struct VerifiedValue(PageGuard);

impl VerifiedValue {
    pub(super) fn payload(&self) -> &[u8] {
        let sealed = self.0.value();
        &sealed[..sealed.len() - SEAL]
    }
}

/// Entities of one neighbourhood.
const SPAN: u32 = 256;

/// The edges of [`SPAN`] entities in one direction, of all scopes.
struct NeighborhoodEdges {
    ends: Vec<u32>,
    edges: Vec<IncidentEdge>,
}

impl NeighborhoodEdges {
    fn edges(&self, entity: u32) -> &[IncidentEdge] {
        let row = (entity % SPAN) as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.edges[start as usize..self.ends[row] as usize]
    }
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

impl NeighborhoodEdges {
    fn bytes(&self) -> usize {
        size_of_val(&self.ends[..]) + size_of_val(&self.edges[..])
    }
}

/// Neighbourhoods that are kept whole. `asked` counts, for the others, the entities that were read
/// one by one.
struct NeighborhoodCache {
    asked: FxHashMap<(u8, u32), u32>,
    known: BudgetedCache<(u8, u32), Rc<NeighborhoodEdges>>,
}

/// Entities of a neighbourhood that are read one by one before all of it is read. A walk that
/// starts in a large graph comes to most neighbourhoods once.
const NEAR_ASKED_MAX: u32 = 8;

/// The delta of one direction, read whole when it is asked for often.
#[derive(Default)]
struct LazyDelta {
    /// Reads around an entity so far.
    asked: Cell<u32>,
    whole: OnceCell<Vec<DeltaEntry>>,
}

/// Entries of a delta for each read around an entity, from which on the delta is read whole. By
/// then the single reads took about as long as the whole does.
const DELTA_ASKED: u32 = 256;

/// Chunks of heads of which all facts are kept, by row (`None` is absent). `asked` counts, for the
/// others, the rows that were read one by one.
struct FactsCache {
    asked: FxHashMap<(u8, u32), u32>,
    known: BudgetedCache<(u8, u32), Rc<[Option<LocatedFacts>]>>,
}

/// The facts of an object, and where its properties lie.
#[derive(Clone, Copy)]
struct LocatedFacts {
    facts: ObjectFacts,
    block: u32,
    slot: u32,
}

impl LocatedFacts {
    fn read(chunk: &HeadChunk<'_>, row: usize) -> LocatedFacts {
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
struct ScanCursor {
    chunk: u32,
    opened: Rc<VerifiedValue>,
    rows: Vec<Option<LocatedFacts>>,
}

/// An unpacked block of bodies, with the place of each record.
struct UnpackedBlock {
    raw: Vec<u8>,
    starts: Vec<u32>,
}

impl UnpackedBlock {
    fn unpack(payload: &[u8], unpacker: &mut body::BlockUnpacker) -> Option<UnpackedBlock> {
        let raw = unpacker.unpack(payload)?;
        let starts = body::starts(&raw)?;
        Some(UnpackedBlock { raw, starts })
    }

    fn record(&self, slot: u32) -> Option<&[u8]> {
        body::record(&self.raw, *self.starts.get(slot as usize)?)
    }

    /// Bytes that the cache counts for it: at most [`body::RAW_MAX`], unless a single record is
    /// longer, so that a pass knows how many blocks it can keep. The starts of the records take
    /// about a twentieth more, which is not counted.
    fn bytes(&self) -> usize {
        self.raw.len()
    }
}

/// Kind, scope and number of a block of bodies.
type BlockAddress = (u8, u32, u32);

/// Rows of a chunk that are read one by one before all are taken out of its columns at once.
const ASKED_MAX: u32 = 32;

/// One consistent state of the database.
pub struct Snapshot {
    meta: DatabaseMeta,
    words: WordDictionary,
    labels: LabelTable,
    identity: ReadTable,
    heads: ReadTable,
    bodies: ReadTable,
    adjacency: ReadTable,
    jobs: ReadTable,
    pins: ReadTable,
    scopes: ReadTable,
    deletions: ReadTable,
    // A query comes back to the same few chunks again and again.
    near: RefCell<NeighborhoodCache>,
    /// The deltas of both directions, once they were asked for often.
    deltas: [LazyDelta; 2],
    heads_kept: RefCell<HeadCache>,
    facts_kept: RefCell<FactsCache>,
    bodies_kept: RefCell<BudgetedCache<BlockAddress, Rc<UnpackedBlock>>>,
    /// The block that was asked for last: the next question often needs it again.
    last_block: RefCell<Option<(BlockAddress, Rc<UnpackedBlock>)>>,
    unpacker: RefCell<body::BlockUnpacker>,
    passing: RefCell<Option<Rc<ScanCursor>>>,
    /// The folder of derived indexes of properties, if they are allowed.
    pub(super) indexes: Option<super::index::IndexFolder>,
    /// The tables of names, opened when the name of a property is first asked for.
    names: OnceCell<ReadTable>,
    name_numbers: OnceCell<ReadTable>,
    names_kept: RefCell<BudgetedCache<u32, Rc<NameChunk>>>,
    last_names: RefCell<Option<(u32, Rc<NameChunk>)>>,
    /// Numbers of names that were asked for by text; `None` for a text that is no name.
    numbers_kept: RefCell<FxHashMap<Box<str>, Option<u32>>>,
    jobs_kept: RefCell<BudgetedCache<u32, (Uuid, String)>>,
    scope_cache: OnceCell<Vec<(u32, ScopeRow)>>,
    /// Shared with the other readers of a [`super::SharedSnapshot`].
    transaction: Arc<ReadTransaction>,
}

/// Bytes of memory that the caches of a snapshot may take, unless [`Snapshot::with_memory`] says
/// otherwise.
const MEMORY: usize = 128 << 20;

/// Bytes of blocks that are kept at first: about eight blocks. The cache grows when a block is
/// asked for that it had dropped. Objects are mostly stored in the order of their numbers, and a
/// pass in that order is quicker in memory that was used just before.
const BODIES_FIRST: usize = 8 * body::RAW_MAX;

/// Bytes of names of properties that are kept, and how many of their numbers.
const NAMES_MEMORY: usize = 4 << 20;
const NUMBERS_MAX: usize = 10_000;

/// Bytes of names of jobs that are kept.
const JOBS_MEMORY: usize = 1 << 20;

/// Chunks of heads in memory: the last one of each kind, and those that were read a second time. An
/// answer reads its heads in the order of their numbers, each chunk once.
struct HeadCache {
    last: [Option<(u32, Rc<VerifiedValue>)>; 2],
    once: FxHashSet<(u8, u32)>,
    kept: BudgetedCache<(u8, u32), Rc<VerifiedValue>>,
}

impl HeadCache {
    fn find(&mut self, kind: ObjectKind, chunk: u32) -> Option<Rc<VerifiedValue>> {
        match &self.last[kind as usize] {
            Some((number, opened)) if *number == chunk => Some(Rc::clone(opened)),
            _ => self.kept.get(&(kind as u8, chunk)).map(Rc::clone),
        }
    }

    fn keep(&mut self, kind: ObjectKind, chunk: u32, opened: &Rc<VerifiedValue>) {
        let at = (kind as u8, chunk);
        // A pass in order reads each chunk once, so only a second read proves that a chunk is worth
        // keeping.
        if !self.once.insert(at) {
            let bytes = opened.0.value().len();
            self.kept.make_room(&at, bytes, |_, _| {});
            self.kept.insert(at, Rc::clone(opened), bytes);
        }
        self.last[kind as usize] = Some((chunk, Rc::clone(opened)));
    }
}

/// The caches of a snapshot, empty. Each gets its share of `memory` bytes.
struct SnapshotCaches {
    near: NeighborhoodCache,
    heads: HeadCache,
    facts: FactsCache,
    bodies: BudgetedCache<BlockAddress, Rc<UnpackedBlock>>,
}

impl SnapshotCaches {
    fn new(memory: usize) -> SnapshotCaches {
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

fn get<R>(
    table: &ReadTable,
    definition: ByteTableDefinition,
    name: &'static str,
    key: &[u8],
    read: impl FnOnce(&[u8]) -> Option<R>,
) -> Result<Option<R>, StoreError> {
    debug_assert_eq!(redb::TableHandle::name(&definition), name);
    match ReadableTable::get(table, key)? {
        Some(guard) => {
            let payload = proven(name, key, guard.value())?;
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

/// Reads all rows of a table that has `rows`, from the first on. `add` returns `None` for a damaged
/// row.
fn numbered(
    transaction: &ReadTransaction,
    definition: ByteTableDefinition,
    name: &'static str,
    rows: u32,
    mut add: impl FnMut(&[u8]) -> Option<()>,
) -> Result<(), StoreError> {
    let table = transaction.open_table(definition)?;
    for chunk in 0..rows {
        let key = tables::number_key(chunk);
        get(&table, definition, name, &key, &mut add)?.ok_or_else(|| missing(name, &key))?;
    }
    Ok(())
}

/// Fails unless exactly `expected` things were `read` from a table.
fn expect(read: u32, expected: u32, name: &'static str) -> Result<(), StoreError> {
    match read == expected {
        true => Ok(()),
        false => Err(StoreError::corrupt(name, &[], &format!("{name} were lost"))),
    }
}

impl Snapshot {
    pub(super) fn new(transaction: Arc<ReadTransaction>) -> Result<Snapshot, StoreError> {
        let meta = Snapshot::meta_of(&transaction)?;
        let open = |definition| transaction.open_table(definition);
        // Nearly every question needs words and labels, so they are read at once; counts prove that
        // no row is lost.
        let (mut words, mut labels) = (WordDictionary::default(), LabelTable::default());
        let rows = WordDictionary::row_count(meta.words);
        numbered(&transaction, tables::WORDS, "words", rows, |row| words.extend(row))?;
        expect(words.count(), meta.words, "words")?;
        let rows = LabelTable::row_count(meta.labels);
        numbered(&transaction, tables::LABELS, "labels", rows, |row| labels.extend(row))?;
        expect(labels.count(), meta.labels, "labels")?;
        let caches = SnapshotCaches::new(MEMORY);
        Ok(Snapshot {
            meta,
            words,
            labels,
            identity: open(tables::IDENTITY)?,
            heads: open(tables::HEADS)?,
            bodies: open(tables::BODIES)?,
            adjacency: open(tables::ADJACENCY)?,
            jobs: open(tables::JOBS)?,
            pins: open(tables::PINS)?,
            scopes: open(tables::SCOPES)?,
            deletions: open(tables::DELETIONS)?,
            near: RefCell::new(caches.near),
            deltas: Default::default(),
            heads_kept: RefCell::new(caches.heads),
            facts_kept: RefCell::new(caches.facts),
            bodies_kept: RefCell::new(caches.bodies),
            last_block: RefCell::default(),
            unpacker: RefCell::default(),
            passing: RefCell::default(),
            indexes: None,
            names: OnceCell::new(),
            name_numbers: OnceCell::new(),
            names_kept: RefCell::new(BudgetedCache::new(NAMES_MEMORY, NAMES_MEMORY)),
            last_names: RefCell::default(),
            numbers_kept: RefCell::default(),
            jobs_kept: RefCell::new(BudgetedCache::new(JOBS_MEMORY, JOBS_MEMORY)),
            scope_cache: OnceCell::new(),
            transaction,
        })
    }

    /// The counters of the file.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherFormat`] for a file of another version, also of other programs.
    pub(super) fn meta_of(transaction: &ReadTransaction) -> Result<DatabaseMeta, StoreError> {
        let table = transaction.open_table(tables::META).map_err(|e| match e {
            redb::TableError::TableDoesNotExist(_)
            | redb::TableError::TableTypeMismatch { .. }
            | redb::TableError::TableIsMultimap(_)
            | redb::TableError::TypeDefinitionChanged { .. } => StoreError::OtherProgram,
            e => e.into(),
        })?;
        get(&table, tables::META, "meta", tables::META_KEY, DatabaseMeta::decode)?
            .ok_or_else(|| missing("meta", tables::META_KEY))
    }

    /// Lets lookups by property keep indexes in `folder`, which is made when it is first needed.
    /// The state of the folder changes how long an answer takes, never the answer.
    pub fn with_indexes(mut self, folder: std::path::PathBuf) -> Snapshot {
        self.indexes = Some(super::index::IndexFolder::new(folder));
        self
    }

    /// Limits the memory of the caches to about `bytes`: less is slower. Drops everything that they
    /// hold.
    pub fn with_memory(self, bytes: usize) -> Snapshot {
        let SnapshotCaches { near, heads, facts, bodies } = SnapshotCaches::new(bytes);
        Snapshot {
            near: RefCell::new(near),
            heads_kept: RefCell::new(heads),
            facts_kept: RefCell::new(facts),
            bodies_kept: RefCell::new(bodies),
            last_block: RefCell::default(),
            ..self
        }
    }

    /// The read transaction of the engine.
    pub(super) fn transaction(&self) -> &ReadTransaction {
        &self.transaction
    }

    /// Counters of the file.
    pub fn meta(&self) -> DatabaseMeta {
        self.meta
    }

    /// The names of scopes, types, classes and verbs.
    pub fn words(&self) -> &WordDictionary {
        &self.words
    }

    /// The names as a writer begins with them.
    pub(super) fn name_book(&self) -> Result<NameBook, StoreError> {
        let stored = self.transaction.open_table(tables::NAME_NUMBERS)?;
        Ok(NameBook::new(Some(stored), self.meta.next_name, self.meta.names))
    }

    fn opened<'t>(
        &self,
        table: &'t OnceCell<ReadTable>,
        definition: ByteTableDefinition,
    ) -> Result<&'t ReadTable, StoreError> {
        match table.get() {
            Some(table) => Ok(table),
            None => {
                let opened = self.transaction.open_table(definition)?;
                Ok(table.get_or_init(|| opened))
            }
        }
    }

    /// The number of a name, also of a property, if anything is or was called so.
    pub fn property_number(&self, text: &str) -> Result<Option<u32>, StoreError> {
        if let Some(&known) = self.numbers_kept.borrow().get(text) {
            return Ok(known);
        }
        let table = self.opened(&self.name_numbers, tables::NAME_NUMBERS)?;
        let number = names::number_of(table, text)?;
        let mut kept = self.numbers_kept.borrow_mut();
        // Questions can ask for any text, so the map must not grow without a limit.
        if kept.len() == NUMBERS_MAX {
            kept.clear();
        }
        kept.insert(text.into(), number);
        Ok(number)
    }

    /// Calls `read` with the name of a number, also of a property.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if there is no such name: every number in the file has one.
    pub fn with_name<R>(&self, number: u32, read: impl FnOnce(&str) -> R) -> Result<R, StoreError> {
        let at = number / names::NAMES_CHUNK;
        let last = self.last_names.borrow().as_ref().filter(|(last, _)| *last == at).cloned();
        let chunk = match last {
            Some((_, chunk)) => chunk,
            None => {
                let kept = self.names_kept.borrow_mut().get(&at).map(Rc::clone);
                let chunk = match kept {
                    Some(chunk) => chunk,
                    None => self.read_names(at)?,
                };
                *self.last_names.borrow_mut() = Some((at, Rc::clone(&chunk)));
                chunk
            }
        };
        let key = names::chunk_key(number);
        let named = chunk.text(number).map(read);
        named.ok_or_else(|| StoreError::corrupt("names", &key, "a name is missing"))
    }

    fn read_names(&self, at: u32) -> Result<Rc<NameChunk>, StoreError> {
        let key = tables::number_key(at);
        let table = self.opened(&self.names, tables::NAMES)?;
        let chunk = get(table, tables::NAMES, "names", &key, NameChunk::parse)?
            .ok_or_else(|| missing("names", &key))?;
        let (chunk, mut kept) = (Rc::new(chunk), self.names_kept.borrow_mut());
        kept.make_room(&at, chunk.bytes(), |_, _| {});
        kept.insert(at, Rc::clone(&chunk), chunk.bytes());
        Ok(chunk)
    }

    /// Calls `visit` with all names and their numbers, in ascending order of the numbers.
    pub(super) fn for_each_name(&self, mut visit: impl FnMut(u32, &str)) -> Result<(), StoreError> {
        for row in self.opened(&self.names, tables::NAMES)?.iter()? {
            let (key, sealed) = row?;
            let key = key.value();
            let damaged = || StoreError::corrupt("names", key, "contents make no sense");
            let first = key.try_into().map(u32::from_be_bytes).ok();
            let first = first.and_then(|chunk| chunk.checked_mul(names::NAMES_CHUNK));
            let chunk = NameChunk::parse(proven("names", key, sealed.value())?);
            let (first, chunk) = first.zip(chunk).ok_or_else(damaged)?;
            let named = (first..).zip(chunk.iter()).filter(|(_, name)| !name.is_empty());
            named.for_each(|(number, name)| visit(number, name));
        }
        Ok(())
    }

    /// The number of names that have a row in the table of numbers.
    pub(super) fn count_name_numbers(&self) -> Result<u64, StoreError> {
        let table = self.opened(&self.name_numbers, tables::NAME_NUMBERS)?;
        Ok(redb::ReadableTableMetadata::len(table)?)
    }

    /// The labels of relationships.
    pub fn labels(&self) -> &LabelTable {
        &self.labels
    }

    /// Puts all rows into the tables of a new file.
    pub(super) fn copy_to(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        for definition in tables::ALL {
            let mut to = transaction.open_table(definition)?;
            self.for_each_sealed(definition, |key, sealed, whole| {
                whole?;
                to.insert(key, sealed)?;
                Ok(())
            })?;
        }
        super::access::copy(&self.transaction, transaction)
    }

    /// Calls `visit` with the key and value of each row of a table, and an error if its seal is
    /// broken.
    pub(super) fn for_each_sealed(
        &self,
        definition: ByteTableDefinition,
        mut visit: impl FnMut(&[u8], &[u8], Result<(), StoreError>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let name = tables::name(definition);
        for row in self.transaction.open_table(definition)?.iter()? {
            let (key, sealed) = row?;
            let (key, sealed) = (key.value(), sealed.value());
            // Room in a new file has no seal.
            if name != "meta" || key != tables::ROOM_KEY {
                visit(key, sealed, unseal(name, key, sealed).map(drop))?;
            }
        }
        Ok(())
    }

    /// The row of a scope, by name number.
    pub fn scope_row(&self, scope: u32) -> Result<Option<ScopeRow>, StoreError> {
        let key = tables::number_key(scope);
        get(&self.scopes, tables::SCOPES, "scopes", &key, ScopeRow::decode)
    }

    /// The row of a scope, by its name; the row of a new scope if none is stored.
    pub fn scope_row_of(&self, scope: &str) -> Result<ScopeRow, StoreError> {
        match self.name_number(scope) {
            Some(number) => Ok(self.scope_row(number)?.unwrap_or_default()),
            None => Ok(ScopeRow::default()),
        }
    }

    /// The name numbers of the scopes that have live entities, ascending.
    pub fn entity_scopes(&self) -> Result<impl Iterator<Item = u32> + '_, StoreError> {
        let live = |row: &ScopeRow| row.count(ObjectKind::Entity).live > 0;
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
            let scope = ScopeRow::decode(proven("scopes", key, sealed.value())?);
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
        kind: ObjectKind,
        scope: u32,
        id: ObjectId,
    ) -> Result<Option<IdentityEntry>, StoreError> {
        // Two ids may have the same hash, so the key decides.
        let Some(found) = self.find_hash(kind, scope, self.hashed(id))? else { return Ok(None) };
        let head = self
            .head(kind, found.number)?
            .ok_or_else(|| missing("heads", &tables::head_key(kind, found.number / CHUNK)))?;
        let key = self.key_of(kind, &head)?;
        Ok((ObjectId::new(kind, self.words.text(scope), &key) == id).then_some(found))
    }

    /// The object in a scope whose `_id` has this hash.
    pub fn find_hash(
        &self,
        kind: ObjectKind,
        scope: u32,
        id: IdHash,
    ) -> Result<Option<IdentityEntry>, StoreError> {
        let mut found = None;
        self.find_many(kind, scope, std::iter::once(id), |identity| found = identity)?;
        Ok(found)
    }

    /// Looks up the objects with these hashes, which ascend, in one scope. `found` is called once
    /// for each hash, in order; each row is read once.
    pub fn find_many(
        &self,
        kind: ObjectKind,
        scope: u32,
        ids: impl Iterator<Item = IdHash>,
        mut found: impl FnMut(Option<IdentityEntry>),
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        let mut ids = ids.peekable();
        while let Some(&first) = ids.peek() {
            let at = first.0.to_be_bytes();
            let mut any = false;
            tiles::for_each_between(&self.identity, "identity", &space, [&at, &at], |tile| {
                let row = IdentityRow::parse(tile.contents)?;
                while let Some(id) = ids.next_if(|id| tile.reaches(&id.0.to_be_bytes())) {
                    found(row.find(id));
                }
                any = true;
                Some(())
            })?;
            // The space is empty: the remaining hashes are not found either.
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
        kind: ObjectKind,
        scope: u32,
        mut visit: impl FnMut(IdentityEntry),
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        tiles::all(&self.identity, "identity", &space, |tile: &StoredTile<'_, 8>| {
            IdentityRow::parse(tile.contents)?.iter().for_each(&mut visit);
            Some(())
        })
    }

    /// Adds the objects of a kind in a scope whose hashes lie in a range, in ascending order.
    pub fn identities_between(
        &self,
        kind: ObjectKind,
        scope: u32,
        range: RangeInclusive<IdHash>,
        found: &mut Vec<IdentityEntry>,
    ) -> Result<(), StoreError> {
        let space = tables::identity_space(kind, scope);
        let [from, to] = [range.start(), range.end()].map(|id| id.0.to_be_bytes());
        let start = found.len();
        tiles::for_each_between(&self.identity, "identity", &space, [&from, &to], |tile| {
            let row = IdentityRow::parse(tile.contents)?;
            found.extend(row.iter().filter(|identity| range.contains(&identity.id)));
            Some(())
        })?;
        // Tiles came from the last to the first.
        found[start..].sort_unstable_by_key(|identity| identity.id);
        Ok(())
    }

    /// The rows that lie in one chunk of heads.
    pub(super) fn head_chunk(
        &self,
        kind: ObjectKind,
        chunk: u32,
    ) -> Result<Rc<VerifiedValue>, StoreError> {
        // A scan holds the chunk that it is in, beside the caches, so nothing can evict it.
        if kind == ObjectKind::Entity
            && let Some(passing) = &*self.passing.borrow()
            && passing.chunk == chunk
        {
            return Ok(Rc::clone(&passing.opened));
        }
        if let Some(known) = self.heads_kept.borrow_mut().find(kind, chunk) {
            return Ok(known);
        }
        let key = tables::head_key(kind, chunk);
        let guard = self.heads.get(&key[..])?.ok_or_else(|| missing("heads", &key))?;
        proven("heads", &key, guard.value())?;
        let opened = Rc::new(VerifiedValue(guard));
        self.heads_kept.borrow_mut().keep(kind, chunk, &opened);
        Ok(opened)
    }

    fn with_chunk<R>(
        &self,
        kind: ObjectKind,
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
    pub fn head(&self, kind: ObjectKind, number: u32) -> Result<Option<ObjectHead>, StoreError> {
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
    pub fn facts(&self, kind: ObjectKind, number: u32) -> Result<Option<ObjectFacts>, StoreError> {
        Ok(self.placed(kind, number)?.map(|placed| placed.facts))
    }

    fn placed(&self, kind: ObjectKind, number: u32) -> Result<Option<LocatedFacts>, StoreError> {
        let row = (number % CHUNK) as usize;
        if kind == ObjectKind::Entity
            && let Some(passing) = &*self.passing.borrow()
            && passing.chunk == number / CHUNK
        {
            return Ok(passing.rows.get(row).copied().flatten());
        }
        let at = (kind as u8, number / CHUNK);
        {
            let mut kept = self.facts_kept.borrow_mut();
            if let Some(all) = kept.known.get(&at) {
                return Ok(all.get(row).copied().flatten());
            }
            let asked = kept.asked.entry(at).or_default();
            *asked += 1;
            // A few rows are read one by one; unpacking all columns pays only when many are wanted.
            if *asked <= ASKED_MAX {
                drop(kept);
                return self.with_chunk(kind, number, LocatedFacts::read);
            }
        }
        let all = self.with_chunk(kind, number, |chunk, _| Rc::<[_]>::from(unpacked(chunk)))?;
        let Some(all) = all else { return Ok(None) };
        let found = all.get(row).copied().flatten();
        let FactsCache { asked, known } = &mut *self.facts_kept.borrow_mut();
        let bytes = size_of_val(&all[..]);
        // An evicted chunk starts counting again, so one late read does not unpack all of it.
        known.make_room(&at, bytes, |gone, _| {
            asked.remove(&gone);
        });
        known.insert(at, all, bytes);
        Ok(found)
    }

    /// Calls `visit` with the number and chunk row of every live object, in ascending order.
    pub fn for_each_live(
        &self,
        kind: ObjectKind,
        mut visit: impl FnMut(u32, &HeadChunk<'_>, usize),
    ) -> Result<(), StoreError> {
        self.for_each_row(kind, |number, rows, row| {
            if rows.live(row) {
                visit(number, rows, row);
            }
        })
    }

    /// [`Snapshot::for_each_live`], tombstones included.
    pub fn for_each_row(
        &self,
        kind: ObjectKind,
        mut visit: impl FnMut(u32, &HeadChunk<'_>, usize),
    ) -> Result<(), StoreError> {
        for chunk in 0..self.meta.bound(kind).div_ceil(CHUNK) {
            let key = tables::head_key(kind, chunk);
            get(&self.heads, tables::HEADS, "heads", &key, |payload| {
                let rows = HeadChunk::parse(payload)?;
                for row in (0..rows.len()).filter(|&row| rows.present(row)) {
                    visit(chunk * CHUNK + row as u32, &rows, row);
                }
                Some(())
            })?
            .ok_or_else(|| missing("heads", &key))?;
        }
        Ok(())
    }

    /// Calls `visit` with the number and chunk row of every object of one scope or of all,
    /// tombstones included.
    ///
    /// The order is such that each block of properties is read once. If the blocks of all objects
    /// fit in memory, that is the order of the numbers. Otherwise the heads are passed over several
    /// times, and each pass visits a part of the objects in the order of their numbers. The order
    /// is the same each time.
    pub fn for_each_stored<E: From<StoreError>>(
        &self,
        kind: ObjectKind,
        scope: Option<u32>,
        mut visit: impl FnMut(u32, &HeadChunk<'_>, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut blocks = 0;
        let mut firsts: FxHashMap<u32, u64> = FxHashMap::default();
        for (number, row) in self.known_scopes()? {
            if scope.is_none_or(|scope| scope == *number) {
                firsts.insert(*number, blocks);
                blocks += u64::from(row.next_block[kind as usize]);
            }
        }
        // As many blocks as fit the cache: more in one pass would evict blocks before their last
        // object comes.
        let together = self.bodies_kept.borrow().holds(body::RAW_MAX).max(1) as u64;
        for pass in 0..blocks.div_ceil(together).max(1) {
            for chunk in 0..self.meta.bound(kind).div_ceil(CHUNK) {
                let opened = self.head_chunk(kind, chunk)?;
                let rows = HeadChunk::parse(opened.payload()).ok_or_else(|| {
                    let key = tables::head_key(kind, chunk);
                    StoreError::corrupt("heads", &key, "contents make no sense")
                })?;
                let (present, scopes) = (rows.all_present(), rows.all_scopes());
                let bodies = rows.all_blocks();
                for row in (0..rows.len()).filter(|&row| present[row] == 1) {
                    // Of a scope without a row the counters know nothing; `verify` tells.
                    let first = firsts.get(&(scopes[row] as u32)).copied();
                    let Some(first) = first.or(scope.is_none().then_some(0)) else { continue };
                    let block = match bodies[row] as u32 {
                        NO_BODY => 0,
                        block => first + u64::from(block),
                    };
                    // Blocks that the counters do not know are visited in the last pass, so no
                    // object is left out.
                    let its = (block / together).min(blocks.div_ceil(together).saturating_sub(1));
                    if its == pass {
                        visit(chunk * CHUNK + row as u32, &rows, row)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The sequence numbers of the jobs that were the last to change some object of a kind,
    /// tombstones included.
    pub fn last_jobs(&self, kind: ObjectKind) -> Result<FxHashSet<u32>, StoreError> {
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
        self.for_each_live(ObjectKind::Entity, |number, chunk, row| {
            text.clear();
            match chunk.append_key(row, &mut text) {
                Some(()) => visit(number, &text),
                None => damaged = Some(number),
            }
        })?;
        match damaged {
            Some(number) => {
                let key = tables::head_key(ObjectKind::Entity, number / CHUNK);
                Err(StoreError::corrupt("heads", &key, "contents make no sense"))
            }
            None => Ok(()),
        }
    }

    /// Calls `visit` with the number and chunk row of every entity, tombstones too, in ascending
    /// order.
    pub fn for_each_entity_row(
        &self,
        mut visit: impl FnMut(u32, &HeadChunk<'_>, usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for chunk in 0..self.meta.bound(ObjectKind::Entity).div_ceil(CHUNK) {
            let key = tables::head_key(ObjectKind::Entity, chunk);
            get(&self.heads, tables::HEADS, "heads", &key, |payload| {
                let rows = HeadChunk::parse(payload)?;
                let all = (0..rows.len()).filter(|&row| rows.present(row));
                Some(
                    all.into_iter()
                        .try_for_each(|row| visit(chunk * CHUNK + row as u32, &rows, row)),
                )
            })?
            .ok_or_else(|| missing("heads", &key))??;
        }
        Ok(())
    }

    /// Calls `visit` with each text or number that an entity has, alone or in a list, under one of
    /// these name numbers. A number is given as it is written.
    pub fn for_each_text(
        &self,
        chunk: &HeadChunk<'_>,
        row: usize,
        names: &[u32],
        visit: impl FnMut(u32, &str),
    ) -> Result<(), StoreError> {
        let (block, slot) = chunk.body(row);
        if block == NO_BODY {
            return Ok(());
        }
        let scope = chunk.scope(row);
        let read = |record: &[u8]| body::texts(record, names, visit);
        self.with_record(ObjectKind::Entity, (scope, block, slot), read)?.ok_or_else(|| {
            let key = tables::body_key(ObjectKind::Entity, scope, block);
            StoreError::corrupt("bodies", &key, "record makes no sense")
        })
    }

    /// True if the entity with this number has this key.
    pub fn has_key(&self, entity: u32, key: &str) -> Result<bool, StoreError> {
        let mut text = Vec::with_capacity(key.len());
        let whole = self.with_chunk(ObjectKind::Entity, entity, |chunk, row| {
            chunk.append_key(row, &mut text)
        })?;
        match whole {
            Some(Some(())) => Ok(text == key.as_bytes()),
            Some(None) => {
                let key = tables::head_key(ObjectKind::Entity, entity / CHUNK);
                Err(StoreError::corrupt("heads", &key, "contents make no sense"))
            }
            None => Ok(false),
        }
    }

    /// The body record of an object, as bytes that [`body::read`] understands.
    pub fn body_record(&self, kind: ObjectKind, head: &ObjectHead) -> Result<Vec<u8>, StoreError> {
        if head.block == NO_BODY {
            let mut empty = Vec::new();
            body::write(&mut empty, 0, std::iter::empty(), None);
            return Ok(empty);
        }
        self.with_record(kind, (head.scope, head.block, head.slot), <[u8]>::to_vec)
    }

    fn block(
        &self,
        kind: ObjectKind,
        scope: u32,
        block: u32,
    ) -> Result<Rc<UnpackedBlock>, StoreError> {
        let at = (kind as u8, scope, block);
        if let Some((last, block)) = &*self.last_block.borrow()
            && *last == at
        {
            return Ok(Rc::clone(block));
        }
        let mut kept = self.bodies_kept.borrow_mut();
        let found = match kept.get(&at) {
            Some(found) => Rc::clone(found),
            None => {
                let key = tables::body_key(kind, scope, block);
                let mut unpacker = self.unpacker.borrow_mut();
                // Otherwise the last block would hold a reference, and its memory could not be used
                // again.
                *self.last_block.borrow_mut() = None;
                // The size is known only after unpacking, so room is made for the largest block.
                kept.make_room(&at, body::RAW_MAX, |_, old| {
                    if let Ok(old) = Rc::try_unwrap(old) {
                        unpacker.give_back(old.raw);
                    }
                });
                let read = |payload: &[u8]| UnpackedBlock::unpack(payload, &mut unpacker);
                let found = get(&self.bodies, tables::BODIES, "bodies", &key, read)?
                    .ok_or_else(|| missing("bodies", &key))?;
                let found = Rc::new(found);
                kept.insert(at, Rc::clone(&found), found.bytes());
                found
            }
        };
        *self.last_block.borrow_mut() = Some((at, Rc::clone(&found)));
        Ok(found)
    }

    /// Calls `read` with a stored block of bodies; `read` returns `None` if the contents are
    /// damaged.
    pub(super) fn with_block<R>(
        &self,
        kind: ObjectKind,
        scope: u32,
        block: u32,
        read: impl FnOnce(&[u8]) -> Option<R>,
    ) -> Result<R, StoreError> {
        let key = tables::body_key(kind, scope, block);
        get(&self.bodies, tables::BODIES, "bodies", &key, read)?
            .ok_or_else(|| missing("bodies", &key))
    }

    /// Calls `read` with the record of an object at (scope, block, slot).
    pub(super) fn with_record<R>(
        &self,
        kind: ObjectKind,
        (scope, block, slot): (u32, u32, u32),
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, StoreError> {
        let found = self.block(kind, scope, block)?;
        found.record(slot).map(read).ok_or_else(|| {
            let key = tables::body_key(kind, scope, block);
            StoreError::corrupt("bodies", &key, "record is missing")
        })
    }

    /// Reads one property of a body, by its name number, and steps over the others. `visit` is not
    /// called if the body has no such property.
    pub(super) fn visit_property(
        &self,
        kind: ObjectKind,
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
        kind: ObjectKind,
        placed: &LocatedFacts,
        name: &str,
    ) -> Result<Option<Value<'static>>, StoreError> {
        let Some(name) = self.property_number(name)? else { return Ok(None) };
        let place = (placed.facts.scope, placed.block, placed.slot);
        let mut found = None;
        self.visit_property(kind, place, name, |value| found = Some(value.into_owned()))?;
        Ok(found)
    }

    /// A text of a head, which `read` takes from its chunk.
    fn head_text<R>(
        &self,
        kind: ObjectKind,
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

    /// The properties of an object (with `displayName`, by ascending name) and its raw data.
    fn properties(
        &self,
        kind: ObjectKind,
        head: &ObjectHead,
    ) -> Result<(Vec<(String, Value<'static>)>, Option<String>), StoreError> {
        let record = self.body_record(kind, head)?;
        let (properties, raw) = body::read(&record).ok_or_else(|| {
            let key = tables::body_key(kind, head.scope, head.block);
            StoreError::corrupt("bodies", &key, "record makes no sense")
        })?;
        let mut all: Vec<(String, Value<'static>)> = Vec::with_capacity(properties.len() + 1);
        for (name, value) in properties {
            all.push((self.with_name(name, str::to_owned)?, value.into_owned()));
        }
        if let Some(display) = &head.display {
            all.push(("displayName".into(), Value::Text(display.to_string().into())));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok((all, raw.map(str::to_owned)))
    }

    /// The head of an entity, with names in place of numbers.
    fn named(&self, number: u32, head: ObjectHead) -> EntityHead {
        let scope = self.words.text(head.scope).to_owned();
        EntityHead {
            number,
            id: ObjectId::new(ObjectKind::Entity, &scope, &head.key),
            scope,
            key: head.key.into(),
            type_name: self.words.text(head.type_name).to_owned(),
            classes: split_classes(self.words.text(head.class)),
            display_name: head.display.map(String::from),
            deleted: head.end != 0,
        }
    }

    fn metadata(&self, head: &ObjectHead) -> Result<ObjectMetadata, StoreError> {
        let (job_id, source) = self.job_name(head.job)?;
        Ok(ObjectMetadata {
            created_on: head.created,
            begin_on: head.begin,
            end_on: (head.end != 0).then_some(head.end),
            version: head.version,
            job_id,
            source,
        })
    }

    /// Calls `visit` with the live entities of a chunk. Returns `Err(None)` if `visit` ends the
    /// scan.
    fn scan_chunk<S: From<StoreError>>(
        &self,
        chunk: u32,
        visit: &mut impl FnMut(u32, EntityFacts) -> Result<ControlFlow<()>, S>,
    ) -> Result<(), Option<S>> {
        let failed = |e: StoreError| Some(S::from(e));
        let opened = self.head_chunk(ObjectKind::Entity, chunk).map_err(failed)?;
        let rows =
            HeadChunk::parse(opened.payload()).map(|chunk| unpacked(&chunk)).ok_or_else(|| {
                let key = tables::head_key(ObjectKind::Entity, chunk);
                failed(StoreError::corrupt("heads", &key, "contents make no sense"))
            })?;
        let passing = Rc::new(ScanCursor { chunk, opened, rows });
        *self.passing.borrow_mut() = Some(Rc::clone(&passing));
        for (row, placed) in passing.rows.iter().enumerate() {
            let Some(LocatedFacts { facts, .. }) = placed else { continue };
            let number = chunk * CHUNK + row as u32;
            if facts.live && visit(number, entity_facts(facts)).map_err(Some)?.is_break() {
                return Err(None);
            }
        }
        Ok(())
    }

    /// A property of the system that is made from the head.
    fn system_value(
        &self,
        head: &ObjectHead,
        name: &str,
    ) -> Result<Option<Value<'static>>, StoreError> {
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
        if let Some(known) = self.jobs_kept.borrow_mut().get(&sequence) {
            return Ok(known.clone());
        }
        let key = tables::number_key(sequence);
        let job = self.job(sequence)?.ok_or_else(|| missing("jobs", &key))?;
        let known = (job.id, job.source);
        let mut kept = self.jobs_kept.borrow_mut();
        let bytes = size_of_val(&known) + known.1.len();
        kept.make_room(&sequence, bytes, |_, _| {});
        kept.insert(sequence, known.clone(), bytes);
        Ok(known)
    }

    /// The id of the stored job with this sequence number, which is much cheaper than all of it.
    pub fn job_id(&self, sequence: u32) -> Result<Option<Uuid>, StoreError> {
        let key = tables::number_key(sequence);
        get(&self.jobs, tables::JOBS, "jobs", &key, |p| Some(Uuid::from_bytes(*p.first_chunk()?)))
    }

    /// The stored job with this sequence number.
    pub fn job(&self, sequence: u32) -> Result<Option<JobRow>, StoreError> {
        get(&self.jobs, tables::JOBS, "jobs", &tables::number_key(sequence), JobRow::decode)
    }

    /// The key of an object.
    pub fn key_of(&self, kind: ObjectKind, head: &ObjectHead) -> Result<String, StoreError> {
        match kind {
            ObjectKind::Entity => Ok(head.key.to_string()),
            ObjectKind::Relationship => self.relationship_key(head),
        }
    }

    /// The key of a relationship; made from its ends if it is not stored.
    pub fn relationship_key(&self, head: &ObjectHead) -> Result<String, StoreError> {
        if !head.key.is_empty() {
            return Ok(head.key.to_string());
        }
        let end = |number| -> Result<String, StoreError> {
            let key = self.head_text(ObjectKind::Entity, number, |chunk, row| chunk.key(row))?;
            key.ok_or_else(|| {
                let key = tables::head_key(ObjectKind::Entity, number / CHUNK);
                StoreError::corrupt("heads", &key, "the end of a relationship is missing")
            })
        };
        let (from, to) = (end(head.from)?, end(head.to)?);
        Ok(default_relationship_key(&from, self.words.text(head.class), &to))
    }

    /// The numbers of the objects of a kind that the job with this sequence number deleted.
    pub fn deletions(&self, sequence: u32, kind: ObjectKind) -> Result<Vec<u32>, StoreError> {
        let key = tables::deletion_key(sequence, kind);
        let read = |p: &[u8]| {
            let mut c = ByteCursor(p);
            (0..c.u32()?).map(|_| c.u32()).collect()
        };
        Ok(get(&self.deletions, tables::DELETIONS, "deletions", &key, read)?.unwrap_or_default())
    }

    /// The pinned properties of an entity, as a body record.
    pub fn pins(&self, scope: u32, id: IdHash) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.pins, tables::PINS, "pins", &tables::pin_key(scope, id), |p| Some(p.to_vec()))
    }

    /// Calls `visit` with the scope and record of all pins.
    pub(super) fn for_each_pin(&self, mut visit: impl FnMut(u32, &[u8])) -> Result<(), StoreError> {
        for row in self.pins.iter()? {
            let (key, sealed) = row?;
            let key = key.value();
            let record = proven("pins", key, sealed.value())?;
            let scope = key.first_chunk().map(|scope| u32::from_be_bytes(*scope));
            let scope = scope.ok_or_else(|| StoreError::corrupt("pins", key, "key is short"))?;
            visit(scope, record);
        }
        Ok(())
    }

    /// True if any entity has pins.
    pub fn has_pins(&self) -> Result<bool, StoreError> {
        Ok(self.pins.iter()?.next().is_some())
    }

    fn for_each_edge_near(
        &self,
        entity: u32,
        direction: EdgeDirection,
        visit: impl FnMut(IncidentEdge),
    ) -> Result<(), StoreError> {
        let (chunk, at) = (entity / SPAN, (direction as u8, entity / SPAN));
        let known = {
            let mut near = self.near.borrow_mut();
            match near.known.get(&at) {
                Some(known) => Some(Rc::clone(known)),
                None => {
                    let asked = near.asked.entry(at).or_default();
                    *asked += 1;
                    // `visit` may ask for edges itself, so the borrow ends before it is called.
                    if *asked <= NEAR_ASKED_MAX {
                        drop(near);
                        self.read_edges(direction, entity)?.into_iter().for_each(visit);
                        return Ok(());
                    }
                    None
                }
            }
        };
        let known = match known {
            Some(known) => known,
            None => {
                let read = Rc::new(self.read_neighbourhood(direction, chunk)?);
                let NeighborhoodCache { asked, known } = &mut *self.near.borrow_mut();
                known.make_room(&at, read.bytes(), |gone, _| {
                    asked.remove(&gone);
                });
                known.insert(at, Rc::clone(&read), read.bytes());
                read
            }
        };
        known.edges(entity).iter().copied().for_each(visit);
        Ok(())
    }

    /// Reads the edges of one entity and no others.
    fn read_edges(
        &self,
        direction: EdgeDirection,
        entity: u32,
    ) -> Result<Vec<IncidentEdge>, StoreError> {
        let edges = self.read_range(direction, entity..entity + 1)?;
        Ok(edges.into_iter().map(|(_, edge)| to_graph_edge(&self.labels, edge)).collect())
    }

    /// The edges of neighbouring entities, in order.
    fn read_range(
        &self,
        direction: EdgeDirection,
        range: Range<u32>,
    ) -> Result<Vec<AdjacencyEntry>, StoreError> {
        let counts = self.meta.edges[direction as usize];
        let base = edges::base_near(&self.adjacency, direction, counts, range.clone())?;
        if counts.delta == 0 {
            return Ok(base);
        }
        let delta = &self.deltas[direction as usize];
        // Single reads of the delta are counted; once they cost as much as all of it, it is read
        // whole.
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
        edges::overlaid(direction, base, edges::changes_in_range(changes, range))
    }

    fn read_neighbourhood(
        &self,
        direction: EdgeDirection,
        chunk: u32,
    ) -> Result<NeighborhoodEdges, StoreError> {
        let first = chunk * SPAN;
        let standing = self.read_range(direction, first..first + SPAN)?;
        let mut ends = Vec::with_capacity(SPAN as usize);
        let mut end = 0;
        for entity in first..first + SPAN {
            end += standing[end..].iter().take_while(|(at, _)| *at == entity).count();
            ends.push(end as u32);
        }
        let edges =
            standing.into_iter().map(|(_, edge)| to_graph_edge(&self.labels, edge)).collect();
        Ok(NeighborhoodEdges { ends, edges })
    }

    /// All live edges in one direction, entity by entity in ascending order.
    ///
    /// Unlike [`AdjacencyRead::for_each_edge`] it keeps nothing in memory.
    pub fn for_each_edge_of_all(
        &self,
        direction: EdgeDirection,
        visit: impl FnMut(u32, IncidentEdge),
    ) -> Result<(), StoreError> {
        read_adjacency(&self.adjacency, direction, &self.meta, &self.labels, visit)
    }

    /// Proves that there is no delta if the counters say so: readers of edges trust the counters.
    pub(super) fn verify_delta(&self, direction: EdgeDirection) -> Result<(), StoreError> {
        match self.meta.edges[direction as usize] {
            counts @ EdgeCounts { delta: 0, .. } => {
                edges::delta(&self.adjacency, direction, counts).map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// All rows of a chunk; `None` is absent.
fn unpacked(chunk: &HeadChunk<'_>) -> Vec<Option<LocatedFacts>> {
    let placed = |(facts, live): ([u32; 7], bool)| {
        let [scope, type_name, class, from, to, block, slot] = facts;
        LocatedFacts {
            facts: ObjectFacts { scope, type_name, class, ends: (from, to), live },
            block,
            slot,
        }
    };
    chunk.facts().map(|facts| facts.map(placed)).collect()
}

fn entity_facts(facts: &ObjectFacts) -> EntityFacts {
    let ObjectFacts { scope, type_name, class: classes, live, .. } = *facts;
    EntityFacts { scope, type_name, classes, live }
}

fn owned(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}

/// A stored edge as a walk sees it. An unknown label gives no verb, and `verify` reports it.
#[inline]
fn to_graph_edge(labels: &LabelTable, edge: StoredEdge) -> IncidentEdge {
    let StoredEdge { other, label, relationship } = edge;
    IncidentEdge {
        other,
        verb: labels.get(label).map_or(0, |label| label.verb),
        relationship,
        label,
    }
}

/// Reads all edges in one direction by one pass over the table.
fn read_adjacency(
    table: &ReadTable,
    direction: EdgeDirection,
    meta: &DatabaseMeta,
    labels: &LabelTable,
    mut visit: impl FnMut(u32, IncidentEdge),
) -> Result<(), StoreError> {
    let counts = meta.edges[direction as usize];
    let visit = |entity, edge| visit(entity, to_graph_edge(labels, edge));
    edges::all(table, direction, counts, meta.bound(ObjectKind::Entity), visit)
}

/// Below this many entities a second thread takes longer to start than to read.
const THREADS_FROM: u32 = 20_000;

impl AdjacencyRead for Snapshot {
    type Error = StoreError;

    fn entity_bound(&self) -> u32 {
        self.meta.bound(ObjectKind::Entity)
    }

    fn for_each_edge(
        &self,
        entity: u32,
        direction: EdgeDirection,
        visit: impl FnMut(IncidentEdge),
    ) -> Result<(), StoreError> {
        self.for_each_edge_near(entity, direction, visit)
    }

    fn relationships_expected(&self) -> usize {
        self.meta.bound(ObjectKind::Relationship) as usize
    }

    fn for_each_edge_both_ways(
        &self,
        out: impl FnMut(u32, IncidentEdge) + Send,
        into: impl FnMut(u32, IncidentEdge) + Send,
    ) -> Result<(), StoreError> {
        let (table, meta, labels) = (&self.adjacency, &self.meta, &self.labels);
        if meta.bound(ObjectKind::Entity) < THREADS_FROM {
            read_adjacency(table, EdgeDirection::Out, meta, labels, out)?;
            return read_adjacency(table, EdgeDirection::In, meta, labels, into);
        }
        // The directions lie in separate spaces of the table, so they can be read side by side.
        std::thread::scope(|threads| {
            let other =
                threads.spawn(|| read_adjacency(table, EdgeDirection::In, meta, labels, into));
            let with = read_adjacency(table, EdgeDirection::Out, meta, labels, out);
            let against = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (with, against) {
                // It is the other one that found the fault.
                (Err(StoreError::GivenUp), Err(fault)) => Err(fault),
                (with, against) => with.and(against),
            }
        })
    }
}

impl NameLookup for Snapshot {
    fn name(&self, number: u32) -> &str {
        self.words.text(number)
    }

    fn name_number(&self, text: &str) -> Option<u32> {
        self.words.number(text)
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(u32, &str)) {
        self.words.iter().for_each(|(text, number)| visit(number, text));
    }
}

impl GraphRead for Snapshot {
    fn entity(&self, number: u32) -> Result<Option<Entity>, StoreError> {
        let Some(head) = self.head(ObjectKind::Entity, number)? else { return Ok(None) };
        let (properties, raw_data) = self.properties(ObjectKind::Entity, &head)?;
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
        Ok(self.facts(ObjectKind::Entity, number)?.as_ref().map(entity_facts))
    }

    fn entity_head(&self, number: u32) -> Result<Option<EntityHead>, StoreError> {
        Ok(self.head(ObjectKind::Entity, number)?.map(|head| self.named(number, head)))
    }

    fn number_of(&self, kind: ObjectKind, id: ObjectId) -> Result<Option<u32>, StoreError> {
        for scope in self.scope_numbers()? {
            if let Some(found) = self.find(kind, scope, id)? {
                return Ok(Some(found.number));
            }
        }
        Ok(None)
    }

    fn relationship(&self, number: u32) -> Result<Option<Relationship>, StoreError> {
        let Some(head) = self.head(ObjectKind::Relationship, number)? else { return Ok(None) };
        let (mut properties, raw_data) = self.properties(ObjectKind::Relationship, &head)?;
        let origin = properties.iter().position(|(name, _)| name == ORIGIN).and_then(|at| {
            let (_, value) = properties.remove(at);
            RelationshipOrigin::from_text(value.as_str()?)
        });
        let scope = self.words.text(head.scope).to_owned();
        let key = self.relationship_key(&head)?;
        let end = |number: u32| -> Result<EntityHead, StoreError> {
            let key = tables::head_key(ObjectKind::Entity, number / CHUNK);
            self.entity_head(number)?.ok_or_else(|| missing("heads", &key))
        };
        Ok(Some(Relationship {
            number,
            id: ObjectId::new(ObjectKind::Relationship, &scope, &key),
            scope,
            key,
            type_name: self.words.text(head.type_name).to_owned(),
            class: self.words.text(head.class).to_owned(),
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
        // 0 names nothing, so an unknown type finds no entity.
        let type_number = type_name.map(|t| self.words.number(t).unwrap_or(0));
        let mut has_class: FxHashMap<u32, bool> = FxHashMap::default();
        let mut found = Vec::new();
        self.for_each_live(ObjectKind::Entity, |number, chunk, row| {
            if type_number.is_some_and(|t| t != chunk.type_name(row)) {
                return;
            }
            let Some(class) = class else { return found.push(number) };
            let set = chunk.class(row);
            let names = &self.words;
            if *has_class.entry(set).or_insert_with(|| {
                names.text(set).split(CLASS_SEPARATOR).any(|c| same_name(c, class))
            }) {
                found.push(number);
            }
        })?;
        Ok(found)
    }

    fn may_have_property(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.property_number(name)?.is_some())
    }

    fn scopes(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.scope_rows()?;
        let mut scopes: Vec<String> =
            rows.into_iter().map(|(n, _)| self.words.text(n).to_owned()).collect();
        scopes.sort();
        Ok(scopes)
    }

    fn scan<S: From<StoreError>>(
        &self,
        mut visit: impl FnMut(u32, EntityFacts) -> Result<ControlFlow<()>, S>,
    ) -> Result<(), S> {
        let result = (0..self.meta.bound(ObjectKind::Entity).div_ceil(CHUNK))
            .try_for_each(|chunk| self.scan_chunk(chunk, &mut visit));
        // The chunk of the scan must not outlive it: it lies outside the budget of the caches.
        *self.passing.borrow_mut() = None;
        match result {
            Err(Some(stop)) => Err(stop),
            Ok(()) | Err(None) => Ok(()),
        }
    }

    fn scan_stretch(
        &self,
        first: u32,
        mut visit: impl FnMut(u32, EntityFacts),
    ) -> Result<Option<u32>, StoreError> {
        let chunk = first / CHUNK;
        if first >= self.meta.bound(ObjectKind::Entity) {
            // The chunk of the scan must not outlive it, see `scan`. Of a scan that is left, one stays.
            *self.passing.borrow_mut() = None;
            return Ok(None);
        }
        let mut visit = |number, facts| -> Result<ControlFlow<()>, StoreError> {
            if number >= first {
                visit(number, facts);
            }
            Ok(ControlFlow::Continue(()))
        };
        match self.scan_chunk(chunk, &mut visit) {
            Err(Some(e)) => Err(e),
            Ok(()) | Err(None) => Ok(Some((chunk + 1) * CHUNK)),
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
        const KIND: ObjectKind = ObjectKind::Entity;
        if number >= self.meta.bound(KIND) {
            return Ok(None);
        }
        if name.starts_with('_') {
            if matches!(name, "_type" | "_class" | "_scope") {
                return Ok(self.facts(KIND, number)?.map(|facts| match name {
                    "_type" => owned(self.words.text(facts.type_name)),
                    "_scope" => owned(self.words.text(facts.scope)),
                    _ => {
                        let classes = split_classes(self.words.text(facts.class));
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
        const KIND: ObjectKind = ObjectKind::Relationship;
        let Some(placed) = self.placed(KIND, number)? else { return Ok(None) };
        let (from, to) = placed.facts.ends;
        Ok(match name {
            "_type" => Some(owned(self.words.text(placed.facts.type_name))),
            "_class" => Some(owned(self.words.text(placed.facts.class))),
            "_scope" => Some(owned(self.words.text(placed.facts.scope))),
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
                        let id = ObjectId::new(KIND, self.words.text(head.scope), &key);
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
        let Some(number) = self.words.number(scope) else { return Ok(None) };
        let id = ObjectId::new(ObjectKind::Entity, scope, key);
        Ok(self.find(ObjectKind::Entity, number, id)?.map(|found| found.number))
    }

    fn entities_hashed(&self, name: &str, hashes: &[u64]) -> Result<Option<Vec<u32>>, StoreError> {
        super::index::find(self, name, hashes)
    }
}
