//! Writing: one transaction that takes finished decisions and stores them.
//!
//! The writer decides nothing: `sync` hands it heads, identities, edges and blocks that are
//! already settled. Nothing is visible, and nothing is durable, before [`GraphWriter::commit`].

use super::StoreError;
use super::bulk_insert::{BulkInserter, SealedRow};
use super::codec::{seal, unseal};
use super::edges;
use super::heads::{self, CHUNK, HeadChunk, ObjectHead};
use super::identity::{self, IdentityEntry, IdentityRow};
use super::labels::{LABELS_MAX, LabelTable};
use super::names::{self, NameBook, NameChunk, WordDictionary};
use super::pipeline::{NextGroup, SharedBatches, pipeline};
use super::rows::{DatabaseMeta, JobRow, ScopeRow};
use super::segment::{AdjacencyEntry, StoredEdge};
use super::tables::{self, ByteTableDefinition, StoredBytes};
use super::tiles;
use crate::graph::{EdgeDirection, IdHash, ObjectKind};
use rayon::prelude::*;
use redb::{ReadableTable, Table, TableHandle, WriteTransaction};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// An edge that appears or disappears: from, to, label, relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeEdit {
    /// Number of the entity where it starts.
    pub from: u32,
    /// Number of the entity where it ends.
    pub to: u32,
    /// Number of the label.
    pub label: u32,
    /// Number of the relationship.
    pub relationship: u32,
    /// True to add it, false to take it away.
    pub add: bool,
}

/// The one write transaction.
pub struct GraphWriter {
    transaction: WriteTransaction,
    /// Counters as they will be after the commit.
    pub meta: DatabaseMeta,
    /// The names as they will be after the commit.
    pub names: NameBook,
    /// The names of scopes, types, classes and verbs, as they are stored.
    pub(super) words: WordDictionary,
    /// The labels of relationships as they will be after the commit.
    pub labels: LabelTable,
    scopes: BTreeMap<u32, ScopeRow>,
}

pub(super) fn put(
    table: &mut Table<'_, StoredBytes, StoredBytes>,
    definition: ByteTableDefinition,
    key: &[u8],
    payload: Vec<u8>,
) -> Result<(), StoreError> {
    table.insert(key, &seal(definition.name(), key, payload)[..])?;
    Ok(())
}

impl GraphWriter {
    pub(super) fn new(
        transaction: WriteTransaction,
        meta: DatabaseMeta,
        names: NameBook,
        words: WordDictionary,
        labels: LabelTable,
    ) -> GraphWriter {
        GraphWriter { transaction, meta, names, words, labels, scopes: BTreeMap::new() }
    }

    /// A table of the transaction.
    pub(super) fn table(
        &self,
        definition: ByteTableDefinition,
    ) -> Result<Table<'_, StoredBytes, StoredBytes>, StoreError> {
        Ok(self.transaction.open_table(definition)?)
    }

    /// Removes the row of a scope that has nothing any more, with its identities and bodies.
    pub(super) fn drop_scope(&mut self, scope: u32) -> Result<(), StoreError> {
        self.scopes.remove(&scope);
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            let mut identity = self.table(tables::IDENTITY)?;
            tiles::clear::<8>(&mut identity, &tables::identity_space(kind, scope))?;
            let [first, last] = [0, u32::MAX].map(|block| tables::body_key(kind, scope, block));
            let mut bodies = self.table(tables::BODIES)?;
            bodies.retain_in::<&[u8], _>(&first[..]..=&last[..], |_, _| false)?;
        }
        self.table(tables::SCOPES)?.remove(&tables::number_key(scope)[..])?;
        Ok(())
    }

    /// Gives out `count` consecutive numbers and returns the first.
    ///
    /// # Errors
    ///
    /// When 2^31 numbers of one kind have been given out.
    pub fn take_numbers(&mut self, kind: ObjectKind, count: usize) -> Result<u32, StoreError> {
        let first = self.meta.next_number[kind as usize];
        let next = first as u64 + count as u64;
        if next > u64::from(identity::NUMBER_END) {
            let what = kind.plural();
            return Err(StoreError::Engine(format!("the database is full: 2^31 {what}")));
        }
        self.meta.next_number[kind as usize] = next as u32;
        Ok(first)
    }

    /// The row of a scope, to be changed; it is stored at the commit.
    pub fn scope(&mut self, scope: u32) -> Result<&mut ScopeRow, StoreError> {
        if !self.scopes.contains_key(&scope) {
            let table = self.transaction.open_table(tables::SCOPES)?;
            let key = tables::number_key(scope);
            let row = match table.get(&key[..])? {
                Some(guard) => ScopeRow::decode(unseal("scopes", &key, guard.value())?)
                    .ok_or_else(|| StoreError::corrupt("scopes", &key, "contents make no sense"))?,
                None => ScopeRow::default(),
            };
            self.scopes.insert(scope, row);
        }
        Ok(self.scopes.get_mut(&scope).expect("BUG: just inserted"))
    }

    /// Puts (`Some`) or removes (`None`) identities; `edits` ascend by hash, each hash once.
    pub fn edit_identity(
        &mut self,
        kind: ObjectKind,
        scope: u32,
        edits: &[(IdHash, Option<IdentityEntry>)],
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::IDENTITY)?;
        let space = tables::identity_space(kind, scope);
        let at = |(id, _): &(IdHash, Option<IdentityEntry>)| id.0.to_be_bytes();
        tiles::edit(&mut table, &space, edits, at, |contents, edits| {
            let stored = match contents {
                Some(contents) => IdentityRow::parse(contents).ok_or("contents make no sense")?,
                None => IdentityRow::default(),
            };
            Ok(merge_identities(stored, edits))
        })
    }

    /// Replaces heads; numbers ascend. `None` makes the row absent.
    pub fn edit_heads(
        &mut self,
        kind: ObjectKind,
        edits: &[(u32, Option<ObjectHead>)],
    ) -> Result<(), StoreError> {
        let make = |edits: &[(u32, Option<ObjectHead>)], _: &StoredHeads<'_>, (): &mut ()| {
            Ok(edits.iter().map(|(_, head)| head.clone()).collect())
        };
        let batches = std::iter::once(Ok(edits));
        self.rewrite_heads(kind, batches, |(number, _)| *number, || (), make, Ok)
    }

    /// Replaces heads, on all cores. `make` gets the edits of one chunk and the heads that are
    /// stored there; it returns a head for each edit, or `None` to make the row absent.
    ///
    /// Numbers ascend within a batch. A batch that begins in the last chunk of the batch before it,
    /// or before that chunk, waits until everything before it is stored. `begin` makes a value that
    /// `make` may fill with other results; one serves for some chunks. `take` gets these values in
    /// the order of the batches.
    pub fn rewrite_heads<E: Sync, B: Borrow<[E]> + Send + Sync, M: Send>(
        &self,
        kind: ObjectKind,
        batches: impl Iterator<Item = Result<B, StoreError>>,
        number: impl Fn(&E) -> u32 + Sync,
        begin: impl Fn() -> M + Sync,
        make: impl Fn(&[E], &StoredHeads<'_>, &mut M) -> Result<Vec<Option<ObjectHead>>, StoreError>
        + Sync,
        mut take: impl FnMut(M) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::HEADS)?;
        let mut runs = BulkInserter::new(&mut table);
        let chunk_of = |edit: &E| number(edit) / CHUNK;
        let mut batches = SharedBatches::new(batches);
        // One more than the last chunk that was gathered.
        let (mut gathered, mut waited) = (0, false);
        let gather = |runs: &mut BulkInserter<'_, '_>| {
            let Some((edits, mut at)) = batches.rest(|edits| edits.borrow().len())? else {
                return Ok(NextGroup::End);
            };
            let all: &[E] = (*edits).borrow();
            if chunk_of(&all[at]) < gathered {
                // The chunk may still wait in the pipeline: reading it now would lose the edits of
                // the batch before. So everything is put first, and the runs are ended before the
                // chunk is read.
                if !std::mem::replace(&mut waited, true) {
                    return Ok(NextGroup::Wait);
                }
                runs.end()?;
            }
            waited = false;
            let mut chunks = Vec::with_capacity(CHUNKS_AT_ONCE);
            while chunks.len() < CHUNKS_AT_ONCE && at < all.len() {
                let chunk = chunk_of(&all[at]);
                let start = at;
                at += all[at..].partition_point(|edit| chunk_of(edit) == chunk);
                let key = tables::head_key(kind, chunk);
                // Only this thread reads the table; workers get a copy of the stored chunk.
                let stored = runs.table.get(&key[..])?.map(|guard| guard.value().to_vec());
                chunks.push((key, stored, start..at));
                gathered = chunk + 1;
            }
            batches.take_to(at);
            Ok(NextGroup::Group((edits, chunks)))
        };
        type Chunk = ([u8; 5], Option<Vec<u8>>, Range<usize>);
        let rewrite = |(edits, chunks): (Arc<B>, Vec<Chunk>)| {
            let mut more = begin();
            let mut rows = Vec::with_capacity(chunks.len());
            for (key, stored, part) in chunks {
                let part = &(*edits).borrow()[part];
                let damaged = || StoreError::corrupt("heads", &key, "contents make no sense");
                let chunk = match &stored {
                    Some(sealed) => {
                        Some(HeadChunk::parse(unseal("heads", &key, sealed)?).ok_or_else(damaged)?)
                    }
                    None => None,
                };
                let heads = make(part, &StoredHeads(chunk), &mut more)?;
                let row = |edit| (number(edit) % CHUNK) as usize;
                let edited: Vec<(usize, Option<&ObjectHead>)> =
                    part.iter().map(row).zip(heads.iter().map(Option::as_ref)).collect();
                let payload = heads::rewrite(chunk, &edited).ok_or_else(damaged)?;
                let (sealed, new) = (seal("heads", &key, payload), stored.is_none());
                rows.push(SealedRow { key: key.to_vec(), sealed, new });
            }
            Ok((rows, more))
        };
        pipeline(&mut runs, 2, gather, rewrite, |runs, (rows, more)| {
            rows.into_iter().try_for_each(|row| runs.put(row))?;
            take(more)
        })?;
        runs.end()
    }

    /// Adds and removes edges, in both directions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if an edge to remove is missing, or one to add is there already.
    /// Edits that go to a delta are not checked here: the next reader of these edges, or the next
    /// merge, finds out.
    pub fn edit_adjacency(&mut self, edits: &[EdgeEdit]) -> Result<(), StoreError> {
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            let standing = |e: &EdgeEdit| {
                let (at, other) = match direction {
                    EdgeDirection::Out => (e.from, e.to),
                    EdgeDirection::In => (e.to, e.from),
                };
                ((at, StoredEdge { other, label: e.label, relationship: e.relationship }), e.add)
            };
            let mut ordered: Vec<(AdjacencyEntry, bool)> = edits.iter().map(standing).collect();
            // Sorted by (edge, add): a removal comes before an addition of the same edge.
            ordered.par_sort_unstable();
            self.edit_adjacency_of(direction, edits.len(), std::iter::once(Ok(ordered)))?;
        }
        Ok(())
    }

    /// Adds (true) and removes (false) edges in one direction. The caller does the same for the
    /// other direction.
    ///
    /// Each of `pieces` is sorted, and none begins before the last one ended. An edge that is
    /// removed and added again is there. `total` is the number of edits in all pieces: few go to
    /// the delta, many are merged into the base, with one piece in memory at a time.
    ///
    /// # Errors
    ///
    /// Those of [`GraphWriter::edit_adjacency`], and any that `pieces` gives.
    pub fn edit_adjacency_of(
        &mut self,
        direction: EdgeDirection,
        total: usize,
        pieces: impl Iterator<Item = Result<Vec<(AdjacencyEntry, bool)>, StoreError>>,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::ADJACENCY)?;
        let counts = &mut self.meta.edges[direction as usize];
        edges::edit(&mut table, direction, counts, total, pieces)
    }

    /// Merges the deltas of adjacency into their bases.
    pub fn merge_adjacency(&mut self) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::ADJACENCY)?;
        for direction in [EdgeDirection::Out, EdgeDirection::In] {
            let counts = &mut self.meta.edges[direction as usize];
            edges::merge(&mut table, direction, counts, std::iter::empty())?;
        }
        Ok(())
    }

    /// Stores a block of bodies.
    pub fn put_bodies(
        &mut self,
        kind: ObjectKind,
        scope: u32,
        blocks: impl IntoIterator<Item = (u32, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::BODIES)?;
        for (block, payload) in blocks {
            put(&mut table, tables::BODIES, &tables::body_key(kind, scope, block), payload)?;
        }
        Ok(())
    }

    /// Removes blocks of bodies.
    pub fn remove_bodies(
        &mut self,
        kind: ObjectKind,
        scope: u32,
        blocks: impl IntoIterator<Item = u32>,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::BODIES)?;
        for block in blocks {
            table.remove(&tables::body_key(kind, scope, block)[..])?;
        }
        Ok(())
    }

    /// Stores a job under its sequence number.
    pub fn put_job(&mut self, sequence: u32, row: &JobRow) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::JOBS)?;
        put(&mut table, tables::JOBS, &tables::number_key(sequence), row.encode())
    }

    /// Removes a stored job. Nothing may name it any more.
    pub fn remove_job(&mut self, sequence: u32) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::JOBS)?;
        table.remove(&tables::number_key(sequence)[..])?;
        Ok(())
    }

    /// Stores the numbers of the objects that a job deleted; an empty list removes the row.
    pub fn put_deletions(
        &mut self,
        sequence: u32,
        kind: ObjectKind,
        numbers: &[u32],
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::DELETIONS)?;
        let key = tables::deletion_key(sequence, kind);
        if numbers.is_empty() {
            table.remove(&key[..])?;
            return Ok(());
        }
        let mut payload = (numbers.len() as u32).to_le_bytes().to_vec();
        numbers.iter().for_each(|n| payload.extend_from_slice(&n.to_le_bytes()));
        put(&mut table, tables::DELETIONS, &key, payload)
    }

    /// Stores the pinned properties of an entity as a body record; `None` removes them.
    pub fn put_pins(
        &mut self,
        scope: u32,
        id: IdHash,
        record: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::PINS)?;
        let key = tables::pin_key(scope, id);
        match record {
            Some(record) => put(&mut table, tables::PINS, &key, record)?,
            None => {
                table.remove(&key[..])?;
            }
        }
        Ok(())
    }

    /// Makes all of it durable and visible at once.
    ///
    /// # Errors
    ///
    /// On any error nothing has changed.
    pub fn commit(mut self) -> Result<(), StoreError> {
        self.meta.revision += 1;
        // Each of these changes counters, so `meta` is put after them.
        self.put_names()?;
        self.put_words()?;
        self.put_labels()?;
        {
            let mut table = self.transaction.open_table(tables::SCOPES)?;
            for (scope, row) in &self.scopes {
                put(&mut table, tables::SCOPES, &tables::number_key(*scope), row.encode())?;
            }
            let mut table = self.transaction.open_table(tables::META)?;
            put(&mut table, tables::META, tables::META_KEY, self.meta.encode())?;
            // The first commit creates the file; the next one gives the reserved room away.
            if self.meta.revision > 1 {
                table.remove(tables::ROOM_KEY)?;
            }
        }
        self.transaction.commit()?;
        Ok(())
    }
}

impl GraphWriter {
    /// The names of a chunk as they are stored.
    pub(super) fn name_chunk(&self, key: &[u8]) -> Result<Option<NameChunk>, StoreError> {
        let table = self.table(tables::NAMES)?;
        let Some(guard) = table.get(key)? else { return Ok(None) };
        let chunk = NameChunk::parse(unseal("names", key, guard.value())?);
        let damaged = || StoreError::corrupt("names", key, "contents make no sense");
        Ok(Some(chunk.ok_or_else(damaged)?))
    }

    /// Stores the names that are new.
    fn put_names(&mut self) -> Result<(), StoreError> {
        let first = self.meta.next_name;
        let new = self.names.new_names();
        if new.is_empty() {
            return Ok(());
        }
        let count = new.len() as u32;
        let (mut rest, mut number) = (new, first);
        while !rest.is_empty() {
            let key = names::chunk_key(number);
            let before = (number % names::NAMES_CHUNK) as usize;
            let here = rest.len().min(names::NAMES_CHUNK as usize - before);
            let (here, behind) = rest.split_at(here);
            let stored = self.name_chunk(&key)?;
            // Those of a chunk that went because all of its names did are empty.
            let old = stored.iter().flat_map(NameChunk::iter).chain(std::iter::repeat(""));
            let all = old.take(before).chain(here.iter().map(|name| &**name));
            let payload = names::encode_chunk(all);
            put(&mut self.table(tables::NAMES)?, tables::NAMES, &key, payload)?;
            (rest, number) = (behind, number + here.len() as u32);
        }
        let mut numbers: Vec<(&str, u32)> = new.iter().map(|name| &**name).zip(first..).collect();
        // Keys in ascending order fill the pages of the engine one after the other.
        numbers.sort_unstable();
        let mut table = self.table(tables::NAME_NUMBERS)?;
        for (name, number) in numbers {
            let payload = names::number_payload(number);
            put(&mut table, tables::NAME_NUMBERS, name.as_bytes(), payload)?;
        }
        drop(table);
        self.meta.next_name += count;
        self.meta.names += count;
        Ok(())
    }

    /// Stores the new words: the names and the counted types, classes and verbs of the scopes that
    /// were touched.
    fn put_words(&mut self) -> Result<(), StoreError> {
        let mut new: BTreeMap<String, u32> = BTreeMap::new();
        for (&scope, row) in &self.scopes {
            let before = new.len();
            for number in row.words().chain([scope]) {
                if number != 0 && self.words.text(number).is_empty() {
                    new.insert(self.name(number)?, number);
                }
            }
            if new.len() == before {
                continue;
            }
            // Limits are asked only of what is new: a scope beyond them can still be synced.
            let many = |words: usize| words > names::SCOPE_WORDS_MAX;
            if row.counts.iter().any(|of| many(of.types.len()) || many(of.classes.len())) {
                let what = "types, class sets or verbs in one scope";
                let full = StoreError::names_full(what, names::SCOPE_WORDS_MAX);
                return Err(full.of_scope(&self.name(scope)?));
            }
            if self.words.count() as usize + new.len() > names::WORDS_MAX {
                let what = "scopes, types, class sets and verbs in the database";
                let full = StoreError::names_full(what, names::WORDS_MAX);
                return Err(full.of_scope(&self.name(scope)?));
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let mut all: Vec<(&str, u32)> = self.words.iter().collect();
        all.extend(new.iter().map(|(text, number)| (text.as_str(), *number)));
        all.sort_unstable();
        let words = WordDictionary::new(all.into_iter());
        self.replace_words(words)
    }

    /// Replaces all words.
    pub(super) fn replace_words(&mut self, words: WordDictionary) -> Result<(), StoreError> {
        let mut table = self.table(tables::WORDS)?;
        for (chunk, payload) in (0..).zip(words.rows()) {
            put(&mut table, tables::WORDS, &tables::number_key(chunk), payload)?;
        }
        for chunk in
            WordDictionary::row_count(words.count())..WordDictionary::row_count(self.meta.words)
        {
            table.remove(&tables::number_key(chunk)[..])?;
        }
        drop(table);
        self.meta.words = words.count();
        self.words = words;
        Ok(())
    }

    /// The text of a name, new or stored.
    fn name(&self, number: u32) -> Result<String, StoreError> {
        if let Some(text) = self.names.text(number) {
            return Ok(text.to_owned());
        }
        let key = names::chunk_key(number);
        let chunk = self.name_chunk(&key)?;
        let text = chunk.as_ref().and_then(|chunk| chunk.text(number)).map(str::to_owned);
        text.ok_or_else(|| StoreError::corrupt("names", &key, "a name is missing"))
    }

    fn put_labels(&mut self) -> Result<(), StoreError> {
        self.meta.labels = self.labels.count();
        let mut changed = self.labels.changed_rows().peekable();
        if changed.peek().is_none() {
            return Ok(());
        }
        if self.labels.in_use() > LABELS_MAX {
            let what = "combinations of scope, type and verb of relationships in the database";
            return Err(StoreError::names_full(what, LABELS_MAX));
        }
        let mut table = self.table(tables::LABELS)?;
        for (row, payload) in changed {
            put(&mut table, tables::LABELS, &tables::number_key(row), payload)?;
        }
        Ok(())
    }
}

fn merge_identities(
    stored: IdentityRow<'_>,
    edits: &[(IdHash, Option<IdentityEntry>)],
) -> Vec<IdentityEntry> {
    let mut merged = Vec::with_capacity(edits.len() + 256);
    let mut stored = stored.iter().peekable();
    for (id, put) in edits {
        while let Some(entry) = stored.next_if(|entry| entry.id < *id) {
            merged.push(entry);
        }
        // An edit replaces the stored entry of the same hash.
        stored.next_if(|entry| entry.id == *id);
        merged.extend(*put);
    }
    merged.extend(stored);
    merged
}

/// Chunks of heads that are rewritten in one go.
const CHUNKS_AT_ONCE: usize = if cfg!(test) { 2 } else { 16 };

/// The heads that are stored in one chunk.
pub struct StoredHeads<'a>(Option<HeadChunk<'a>>);

impl StoredHeads<'_> {
    /// The head of an object whose number lies in the chunk, if there is one.
    pub fn get(&self, number: u32) -> Option<ObjectHead> {
        self.0?.get((number % CHUNK) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{AdjacencyRead, IncidentEdge};
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
            snapshot
                .for_each_edge_of_all(direction, |at, edge| all.push((at, stored(edge))))
                .unwrap();
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
                let standing =
                    |&(from, to, label, relationship): &(u32, u32, u32, u32)| match direction {
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
            let direction =
                if lost[0][0] % 2 == 0 { EdgeDirection::Out } else { EdgeDirection::In };
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
}
