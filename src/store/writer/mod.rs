//! Writing: one transaction that takes finished decisions and stores them.
//!
//! The writer decides nothing: `sync` hands it heads, identities, edges and blocks that are
//! already settled. Nothing is visible, and nothing is durable, before [`GraphWriter::commit`].
//!
//! `heads.rs` rewrites heads on all cores, `names.rs` stores the names that are new.

mod heads;
mod names;
#[cfg(test)]
mod tests;

pub use heads::StoredHeads;

use super::StoreError;
use super::codec::{seal, unseal};
use super::edges;
use super::history::{EdgeRecorder, HistoryRecorder};
use super::identity::{self, IdentityEntry, IdentityRow};
use super::labels::LabelTable;
use super::names::{NameBook, WordDictionary};
use super::rows::{DatabaseMeta, JobRow, ScopeRow};
use super::segment::{AdjacencyEntry, StoredEdge};
use super::tables::{self, ByteTableDefinition, StoredBytes};
use super::tiles;
use crate::graph::{EdgeDirection, IdHash, ObjectKind};
use rayon::prelude::*;
use redb::{ReadableTable, Table, TableHandle, WriteTransaction};
use std::collections::BTreeMap;

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
    /// The rows of `scopes` as they are stored; `None` is no row.
    scopes_before: BTreeMap<u32, Option<Vec<u8>>>,
    history: HistoryRecorder,
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
        let (scopes, scopes_before) = (BTreeMap::new(), BTreeMap::new());
        let history = HistoryRecorder::new(meta);
        GraphWriter { transaction, meta, names, words, labels, scopes, scopes_before, history }
    }

    /// Keeps what follows out of the history: it is care of the file, which moves things and changes
    /// nothing that a question can see.
    pub fn stop_recording(&mut self) {
        self.history.stop();
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
        self.scopes_before.remove(&scope);
        for kind in [ObjectKind::Entity, ObjectKind::Relationship] {
            let mut identity = self.table(tables::IDENTITY)?;
            tiles::clear::<8>(&mut identity, &tables::identity_space(kind, scope))?;
            let [first, last] = [0, u32::MAX].map(|block| tables::body_key(kind, scope, block));
            let mut bodies = self.table(tables::BODIES)?;
            bodies.retain_in::<&[u8], _>(&first[..]..=&last[..], |_, _| false)?;
        }
        self.table(tables::SCOPES)?.remove(&tables::number_key(scope)[..])?;
        self.drop_recorded_scope(scope)
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
            let stored = match table.get(&key[..])? {
                Some(guard) => Some(unseal("scopes", &key, guard.value())?.to_vec()),
                None => None,
            };
            let row = match &stored {
                Some(payload) => ScopeRow::decode(payload)
                    .ok_or_else(|| StoreError::corrupt("scopes", &key, "contents make no sense"))?,
                None => ScopeRow::default(),
            };
            self.scopes.insert(scope, row);
            self.scopes_before.insert(scope, stored);
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
        let mut recorder = EdgeRecorder {
            recorder: &self.history,
            table: self.transaction.open_table(tables::HISTORY)?,
            direction,
        };
        let pieces = pieces.map(|piece| {
            let piece = piece?;
            recorder.record(&piece)?;
            Ok(piece)
        });
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
        if self.history.is_on() {
            let before = match table.get(&key[..])? {
                Some(guard) => Some(unseal("pins", &key, guard.value())?.to_vec()),
                None => None,
            };
            if before != record {
                let mut history = self.transaction.open_table(tables::HISTORY)?;
                self.history.put_pin(&mut history, scope, id.0, before.as_deref())?;
            }
        }
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
            let mut history = self.transaction.open_table(tables::HISTORY)?;
            for (scope, row) in &self.scopes {
                let (row, before) = (row.encode(), &self.scopes_before[scope]);
                if self.history.is_on() && before.as_ref() != Some(&row) {
                    self.history.put_scope(&mut history, *scope, before.as_deref())?;
                }
                put(&mut table, tables::SCOPES, &tables::number_key(*scope), row)?;
            }
            self.history.put_revision(&mut history, jiff::Timestamp::now().as_millisecond())?;
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
