//! Heads: chunks of rows, rewritten on all cores and put in order.

use super::GraphWriter;
use crate::graph::ObjectKind;
use crate::store::StoreError;
use crate::store::bulk_insert::{BulkInserter, SealedRow};
use crate::store::codec::{seal, unseal};
use crate::store::heads::{self, CHUNK, HeadChunk, ObjectHead};
use crate::store::history::{HistorySpace, RecordedHead, encode_heads_by_group};
use crate::store::pipeline::{NextGroup, SharedBatches, pipeline};
use crate::store::tables;
use redb::ReadableTable;
use std::borrow::Borrow;
use std::ops::Range;
use std::sync::Arc;

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

/// A chunk of heads as it is stored, with the place of its edits in their batch.
struct StoredChunk {
    key: [u8; 5],
    /// `None` if nothing is stored there yet.
    sealed: Option<Vec<u8>>,
    part: Range<usize>,
}

impl StoredChunk {
    /// The row of the chunk with its edits, for which `make` gives the heads. What stood there
    /// goes to `before`, if it is given.
    fn rewrite<E>(
        self,
        edits: &[E],
        number: impl Fn(&E) -> u32,
        before: Option<&mut Vec<RecordedHead>>,
        make: impl FnOnce(&StoredHeads<'_>) -> Result<Vec<Option<ObjectHead>>, StoreError>,
    ) -> Result<SealedRow, StoreError> {
        let StoredChunk { key, sealed, .. } = self;
        let damaged = || StoreError::corrupt("heads", &key, "contents make no sense");
        let chunk = match &sealed {
            Some(sealed) => {
                Some(HeadChunk::parse(unseal("heads", &key, sealed)?).ok_or_else(damaged)?)
            }
            None => None,
        };
        let heads = make(&StoredHeads(chunk))?;
        if let (Some(before), Some(chunk)) = (before, &chunk) {
            before.extend(edits.iter().zip(&heads).filter_map(|(edit, head)| {
                let was = chunk.get((number(edit) % CHUNK) as usize)?;
                RecordedHead::of(number(edit), was, head.as_ref())
            }));
        }
        let row = |edit| (number(edit) % CHUNK) as usize;
        let edited: Vec<(usize, Option<&ObjectHead>)> =
            edits.iter().map(row).zip(heads.iter().map(Option::as_ref)).collect();
        let payload = heads::rewrite(chunk, &edited).ok_or_else(damaged)?;
        let new = sealed.is_none();
        Ok(SealedRow { key: key.to_vec(), sealed: seal("heads", &key, payload), new })
    }
}

/// Chunks that one thread rewrites in one go, all of one batch.
struct ChunkGroup<B> {
    edits: Arc<B>,
    chunks: Vec<StoredChunk>,
}

/// Batches of edits, cut into groups of chunks.
struct ChunkSource<I, B> {
    kind: ObjectKind,
    batches: SharedBatches<I, B>,
    /// One more than the last chunk that was gathered.
    gathered: u32,
    waited: bool,
}

impl<B, I: Iterator<Item = Result<B, StoreError>>> ChunkSource<I, B> {
    /// The next group. Only this thread reads the table; workers get a copy of the stored chunks.
    fn next<E>(
        &mut self,
        runs: &mut BulkInserter<'_, '_>,
        chunk_of: impl Fn(&E) -> u32,
    ) -> Result<NextGroup<ChunkGroup<B>>, StoreError>
    where
        B: Borrow<[E]>,
    {
        let Some((edits, mut at)) = self.batches.rest(|edits| edits.borrow().len())? else {
            return Ok(NextGroup::End);
        };
        let all: &[E] = (*edits).borrow();
        if chunk_of(&all[at]) < self.gathered {
            // The chunk may still wait in the pipeline: reading it now would lose the edits of the
            // batch before. So everything is put first, and the runs are ended before the chunk is
            // read.
            if !std::mem::replace(&mut self.waited, true) {
                return Ok(NextGroup::Wait);
            }
            runs.end()?;
        }
        self.waited = false;
        let mut chunks = Vec::with_capacity(CHUNKS_AT_ONCE);
        while chunks.len() < CHUNKS_AT_ONCE && at < all.len() {
            let chunk = chunk_of(&all[at]);
            let start = at;
            at += all[at..].partition_point(|edit| chunk_of(edit) == chunk);
            let key = tables::head_key(self.kind, chunk);
            let sealed = runs.table.get(&key[..])?.map(|guard| guard.value().to_vec());
            chunks.push(StoredChunk { key, sealed, part: start..at });
            self.gathered = chunk + 1;
        }
        self.batches.take_to(at);
        Ok(NextGroup::Group(ChunkGroup { edits, chunks }))
    }
}

impl GraphWriter {
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
        let mut history = self.transaction.open_table(tables::HISTORY)?;
        let recorded = self.history.is_on();
        let mut runs = BulkInserter::new(&mut table);
        let chunk_of = |edit: &E| number(edit) / CHUNK;
        let mut source =
            ChunkSource { kind, batches: SharedBatches::new(batches), gathered: 0, waited: false };
        let gather = |runs: &mut BulkInserter<'_, '_>| source.next(runs, chunk_of);
        let rewrite = |ChunkGroup { edits, chunks }: ChunkGroup<B>| {
            let mut more = begin();
            let mut rows = Vec::with_capacity(chunks.len());
            let mut before = Vec::new();
            for chunk in chunks {
                let part = &(*edits).borrow()[chunk.part.clone()];
                let before = recorded.then_some(&mut before);
                let make = |stored: &StoredHeads<'_>| make(part, stored, &mut more);
                rows.push(chunk.rewrite(part, &number, before, make)?);
            }
            Ok((rows, encode_heads_by_group(&before), more))
        };
        pipeline(&mut runs, 2, gather, rewrite, |runs, (rows, before, more)| {
            rows.into_iter().try_for_each(|row| runs.put(row))?;
            for (group, payload) in before {
                self.history.put(&mut history, HistorySpace::heads(kind), group, payload)?;
            }
            take(more)
        })?;
        runs.end()
    }
}
