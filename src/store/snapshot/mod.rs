//! Reading: one consistent state of the file, unchanged by later commits.
//!
//! Rows are checked as they are read, and a question reads only the rows that it needs. One about a
//! single entity reads one identity row, one chunk of heads and the segments around the entity.
//!
//! Here is the snapshot with its tables, as it is opened and copied. Each way of reading it has a
//! file: names, scopes and jobs, identities, heads, scans, properties, adjacency; `caches.rs` says
//! what is kept in memory.

mod adjacency;
mod caches;
mod graph_read;
mod heads;
mod identities;
mod names;
mod properties;
mod scans;
mod scopes;

pub use caches::ObjectFacts;

use super::StoreError;
use super::cache::BudgetedCache;
use super::codec::{proven, unseal};
use super::history::PastOverlay;
use super::labels::LabelTable;
use super::names::{NameChunk, WordDictionary};
use super::rows::{DatabaseMeta, ScopeRow};
use super::tables::{self, ByteTableDefinition};
use caches::{
    BlockAddress, FactsCache, HeadCache, JOBS_MEMORY, LazyDelta, MEMORY, NAMES_MEMORY,
    NeighborhoodCache, ScanCursor, SnapshotCaches, StoredBlock, VerifiedValue,
};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, WriteTransaction};
use rustc_hash::FxHashMap;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use uuid::Uuid;

pub(super) type ReadTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// One consistent state of the database.
pub struct Snapshot {
    /// The counters of this state.
    meta: DatabaseMeta,
    /// One more than the greatest number of an entity in the file, whichever state this is.
    entities_stored: u32,
    /// What differs from the newest state, if this is an older one.
    past: Option<PastOverlay>,
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
    /// The last chunk of each kind as it is stored, for states of the past.
    stored_chunks: RefCell<[Option<(u32, Rc<VerifiedValue>)>; 2]>,
    facts_kept: RefCell<FactsCache>,
    bodies_kept: RefCell<BudgetedCache<BlockAddress, Rc<StoredBlock>>>,
    /// The block that was asked for last: the next question often needs it again.
    last_block: RefCell<Option<(BlockAddress, Rc<StoredBlock>)>>,
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
            entities_stored: meta.bound(crate::graph::ObjectKind::Entity),
            past: None,
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
            stored_chunks: RefCell::default(),
            facts_kept: RefCell::new(caches.facts),
            bodies_kept: RefCell::new(caches.bodies),
            last_block: RefCell::default(),
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

    /// The state at an earlier revision, or this one. Nothing is read before it is asked for.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchState`] if the file does not reach back to it, or has not come to it.
    pub fn at_revision(self, revision: u64) -> Result<Snapshot, StoreError> {
        if revision == self.meta.revision {
            return Ok(self);
        }
        let (past, meta) = PastOverlay::new(self.history_table()?, revision, self.meta)?;
        // Indexes are of the newest state; so is all that the caches may hold.
        Ok(Snapshot { past: Some(past), meta, indexes: None, ..self }.with_memory(MEMORY))
    }

    /// True if this is not the newest state of the file.
    pub fn is_past(&self) -> bool {
        self.past.is_some()
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
            passing: RefCell::default(),
            scope_cache: OnceCell::new(),
            deltas: Default::default(),
            ..self
        }
    }

    /// The table of the history. Few questions need it, so it is not opened before.
    pub(super) fn history_table(&self) -> Result<ReadTable, StoreError> {
        Ok(self.transaction.open_table(tables::HISTORY)?)
    }

    /// The newest state of the same commit, with caches of its own.
    pub fn newest(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(Arc::clone(&self.transaction))
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
