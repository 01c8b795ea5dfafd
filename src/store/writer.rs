//! Writing: one transaction that takes finished decisions and stores them.
//!
//! The writer decides nothing: `sync` hands it heads, identities, edges and blocks that are
//! already settled. Nothing is visible, and nothing is durable, before [`Writer::commit`].

use super::StoreError;
use super::codec::{seal, unseal};
use super::heads::{self, CHUNK, Head, HeadChunk};
use super::identity::{self, Identity, IdentityRow};
use super::rows::{Dictionary, JobRow, Meta, NAMES_CHUNK, ScopeRow};
use super::segment::{Segment, Standing};
use super::tables::{self, Definition};
use super::tiles::{self, Entry};
use crate::graph::{Direction, Edge, IdHash, Kind};
use rayon::prelude::*;
use redb::{ReadableTable, Table, TableHandle, WriteTransaction};
use std::collections::BTreeMap;

/// An edge that appears or disappears: from, to, verb, relationship.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeEdit {
    /// Number of the entity where it starts.
    pub from: u32,
    /// Number of the entity where it ends.
    pub to: u32,
    /// Name number of the verb.
    pub verb: u32,
    /// Number of the relationship.
    pub relationship: u32,
    /// True to add it, false to take it away.
    pub add: bool,
}

/// The one write transaction.
pub struct Writer {
    transaction: WriteTransaction,
    /// Counters as they will be after the commit.
    pub meta: Meta,
    /// The dictionary as it will be after the commit.
    pub names: Dictionary,
    stored_names: u32,
    scopes: BTreeMap<u32, ScopeRow>,
}

type Bytes = &'static [u8];

fn put(
    table: &mut Table<'_, Bytes, Bytes>,
    definition: Definition,
    key: &[u8],
    payload: Vec<u8>,
) -> Result<(), StoreError> {
    table.insert(key, &seal(definition.name(), key, payload)[..])?;
    Ok(())
}

impl Writer {
    pub(super) fn new(transaction: WriteTransaction, meta: Meta, names: Dictionary) -> Writer {
        let stored_names = meta.names;
        Writer { transaction, meta, names, stored_names, scopes: BTreeMap::new() }
    }

    /// Gives out `count` consecutive numbers and returns the first.
    ///
    /// # Errors
    ///
    /// When 2^31 numbers of one kind have been given out.
    pub fn take_numbers(&mut self, kind: Kind, count: usize) -> Result<u32, StoreError> {
        let first = self.meta.next_number[kind as usize];
        let next = first as u64 + count as u64;
        if next > u64::from(identity::NUMBER_END) {
            let what = kind.plural();
            return Err(StoreError::Engine(format!("the database is full: 2^31 {what}")));
        }
        self.meta.next_number[kind as usize] = next as u32;
        Ok(first)
    }

    /// The row of a scope, to be changed; stored at commit.
    pub fn scope(&mut self, scope: u32) -> Result<&mut ScopeRow, StoreError> {
        if !self.scopes.contains_key(&scope) {
            let table = self.transaction.open_table(tables::SCOPES)?;
            let key = tables::number_key(scope);
            let row = match table.get(&key[..])? {
                Some(guard) => serde_json::from_slice(unseal("scopes", &key, guard.value())?)
                    .map_err(|e| StoreError::corrupt("scopes", &key, &e.to_string()))?,
                None => ScopeRow::default(),
            };
            self.scopes.insert(scope, row);
        }
        Ok(self.scopes.get_mut(&scope).expect("BUG: just inserted"))
    }

    /// Puts (`Some`) or removes (`None`) identities; `edits` ascend by hash, each hash once.
    pub fn edit_identity(
        &mut self,
        kind: Kind,
        scope: u32,
        edits: &[(IdHash, Option<Identity>)],
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::IDENTITY)?;
        let space = tables::identity_space(kind, scope);
        let at = |(id, _): &(IdHash, Option<Identity>)| id.0.to_be_bytes();
        tiles::edit(&mut table, tables::IDENTITY, &space, edits, at, |contents, edits| {
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
        kind: Kind,
        edits: impl Iterator<Item = Result<(u32, Option<Head>), StoreError>>,
    ) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::HEADS)?;
        let mut edits = edits.peekable();
        while edits.peek().is_some() {
            // So many chunks at a time: enough for all cores, few enough for memory.
            let mut chunks: Vec<HeadEdits> = Vec::with_capacity(CHUNKS_AT_ONCE);
            while let Some(edit) = edits.peek() {
                let chunk = edit.as_ref().map_or(0, |(number, _)| number / CHUNK);
                if chunks.last().is_none_or(|last| last.chunk != chunk) {
                    if chunks.len() == CHUNKS_AT_ONCE {
                        break;
                    }
                    let key = tables::head_key(kind, chunk);
                    let stored = stored(&table, tables::HEADS, &key)?;
                    chunks.push(HeadEdits { chunk, stored, edits: Vec::new() });
                }
                let (number, head) = edits.next().expect("BUG: it was peeked at")?;
                let last = chunks.last_mut().expect("BUG: just pushed");
                last.edits.push(((number % CHUNK) as usize, head));
            }
            let written: Vec<Result<Vec<u8>, StoreError>> =
                chunks.par_iter().map(|chunk| chunk.rewrite(kind)).collect();
            for (chunk, sealed) in chunks.iter().zip(written) {
                table.insert(&tables::head_key(kind, chunk.chunk)[..], &sealed?[..])?;
            }
        }
        Ok(())
    }

    /// Adds and removes edges, in both directions.
    pub fn edit_adjacency(&mut self, edits: &[EdgeEdit]) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(tables::ADJACENCY)?;
        for direction in [Direction::Out, Direction::In] {
            let mut ordered: Vec<(Standing, bool)> = edits
                .par_iter()
                .map(|e| {
                    let (at, other) = match direction {
                        Direction::Out => (e.from, e.to),
                        Direction::In => (e.to, e.from),
                    };
                    ((at, Edge { other, verb: e.verb, relationship: e.relationship }), e.add)
                })
                .collect();
            ordered.par_sort_unstable();
            let space = [direction as u8];
            let at = |(standing, _): &(Standing, bool)| standing.at();
            tiles::edit(&mut table, tables::ADJACENCY, &space, &ordered, at, merge_edges)?;
        }
        Ok(())
    }

    /// Stores a block of bodies.
    pub fn put_bodies(
        &mut self,
        kind: Kind,
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
        kind: Kind,
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

    /// Stores what a job deleted; an empty list removes the row.
    pub fn put_deletions(
        &mut self,
        sequence: u32,
        kind: Kind,
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
        self.meta.names = self.names.count();
        self.put_names()?;
        {
            let mut table = self.transaction.open_table(tables::SCOPES)?;
            for (scope, row) in &self.scopes {
                let payload = serde_json::to_vec(row).expect("BUG: a scope row is plain JSON");
                put(&mut table, tables::SCOPES, &tables::number_key(*scope), payload)?;
            }
            let mut table = self.transaction.open_table(tables::META)?;
            put(&mut table, tables::META, tables::META_KEY, self.meta.encode())?;
            if self.meta.revision > 1 {
                table.remove(tables::ROOM_KEY)?;
            }
        }
        self.transaction.commit()?;
        Ok(())
    }

    fn put_names(&mut self) -> Result<(), StoreError> {
        if self.names.count() == self.stored_names {
            return Ok(());
        }
        let mut table = self.transaction.open_table(tables::NAMES)?;
        for chunk in self.stored_names / NAMES_CHUNK..self.names.count().div_ceil(NAMES_CHUNK) {
            let key = tables::number_key(chunk);
            put(&mut table, tables::NAMES, &key, self.names.encode_chunk(chunk))?;
        }
        Ok(())
    }
}

fn merge_identities(
    stored: IdentityRow<'_>,
    edits: &[(IdHash, Option<Identity>)],
) -> Vec<Identity> {
    let mut merged = Vec::with_capacity(edits.len() + 256);
    let mut stored = stored.iter().peekable();
    for (id, put) in edits {
        while let Some(entry) = stored.next_if(|entry| entry.id < *id) {
            merged.push(entry);
        }
        stored.next_if(|entry| entry.id == *id);
        merged.extend(*put);
    }
    merged.extend(stored);
    merged
}

/// The edges of a segment after edits, which ascend by (standing, whether to add it).
fn merge_edges(
    contents: Option<&[u8]>,
    edits: &[(Standing, bool)],
) -> Result<Vec<Standing>, &'static str> {
    let mut stored = Vec::new();
    if let Some(contents) = contents {
        Segment::parse(contents)
            .and_then(|segment| {
                segment.for_each(&mut Default::default(), |at, edge| stored.push((at, edge)))
            })
            .ok_or("contents make no sense")?;
    }
    let mut edges: Vec<Standing> = Vec::with_capacity(stored.len() + edits.len());
    let mut stored = stored.into_iter().peekable();
    for &(at, add) in edits {
        while let Some(kept) = stored.next_if(|kept| *kept < at) {
            edges.push(kept);
        }
        let found = stored.next_if(|kept| *kept == at).is_some();
        // An edge that is taken away and added again sorts as (false, true): the last one counts.
        let repeated = edges.last() == Some(&at);
        if !add && !found && !repeated {
            return Err("an edge to remove is missing");
        }
        if add && !repeated {
            edges.push(at);
        }
    }
    edges.extend(stored);
    Ok(edges)
}

/// Chunks of heads that are rewritten side by side.
const CHUNKS_AT_ONCE: usize = 64;

/// A stored value, still sealed.
fn stored(
    table: &Table<'_, Bytes, Bytes>,
    definition: Definition,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    debug_assert_eq!(table.name(), definition.name());
    Ok(table.get(key)?.map(|guard| guard.value().to_vec()))
}

/// A chunk of heads as stored, and what becomes of its rows.
struct HeadEdits {
    chunk: u32,
    stored: Option<Vec<u8>>,
    edits: Vec<(usize, Option<Head>)>,
}

impl HeadEdits {
    /// The chunk with the edits, sealed.
    fn rewrite(&self, kind: Kind) -> Result<Vec<u8>, StoreError> {
        let key = tables::head_key(kind, self.chunk);
        let damaged = || StoreError::corrupt("heads", &key, "contents make no sense");
        let stored = match &self.stored {
            Some(sealed) => {
                Some(HeadChunk::parse(unseal("heads", &key, sealed)?).ok_or_else(damaged)?)
            }
            None => None,
        };
        let edits: Vec<_> = self.edits.iter().map(|(row, head)| (*row, head.as_ref())).collect();
        let payload = heads::rewrite(stored, &edits).ok_or_else(damaged)?;
        Ok(seal("heads", &key, payload))
    }
}
