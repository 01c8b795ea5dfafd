//! Scans: all objects of a kind, chunk by chunk, in the order that reads each page once.

use super::caches::{LocatedFacts, ScanCursor};
use super::heads::{entity_facts, unpacked};
use super::{Snapshot, missing};
use crate::graph::{EntityFacts, ObjectKind};
use crate::store::StoreError;
use crate::store::body;
use crate::store::codec::proven;
use crate::store::heads::{CHUNK, HeadChunk, NO_BODY};
use crate::store::tables;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::ControlFlow;
use std::rc::Rc;

impl Snapshot {
    /// Calls `read` with a chunk of heads. A pass reads each chunk once, so none is kept.
    fn with_rows<R>(
        &self,
        kind: ObjectKind,
        chunk: u32,
        read: impl FnOnce(&HeadChunk<'_>) -> R,
    ) -> Result<R, StoreError> {
        let key = tables::head_key(kind, chunk);
        let damaged = || StoreError::corrupt("heads", &key, "contents make no sense");
        let guard = self.heads.get(&key[..])?.ok_or_else(|| missing("heads", &key))?;
        let stored = HeadChunk::parse(proven("heads", &key, guard.value())?).ok_or_else(damaged)?;
        let made = match &self.past {
            Some(past) => past.chunk(kind, chunk, &stored)?,
            None => None,
        };
        match &made {
            Some(made) => Ok(read(&HeadChunk::parse(made).ok_or_else(damaged)?)),
            None => Ok(read(&stored)),
        }
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
            self.with_rows(kind, chunk, |rows| {
                for row in (0..rows.len()).filter(|&row| rows.present(row)) {
                    visit(chunk * CHUNK + row as u32, rows, row);
                }
            })?;
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
            // A row that is absent says job 0, which costs no more than to keep that.
            self.with_rows(kind, chunk, |rows| {
                jobs.extend((0..rows.len()).map(|row| rows.job(row)));
            })?;
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
            self.with_rows(ObjectKind::Entity, chunk, |rows| {
                let mut all = (0..rows.len()).filter(|&row| rows.present(row));
                all.try_for_each(|row| visit(chunk * CHUNK + row as u32, rows, row))
            })??;
        }
        Ok(())
    }

    /// The names that all live entities of a chunk share, if that is plain to see.
    pub(super) fn shared_facts(&self, chunk: u32) -> Result<Option<EntityFacts>, StoreError> {
        let opened = self.head_chunk(ObjectKind::Entity, chunk)?;
        let shared = HeadChunk::parse(opened.payload()).and_then(|rows| rows.shared_names());
        Ok(shared.map(|[scope, type_name, classes]| EntityFacts {
            scope,
            type_name,
            classes,
            live: true,
        }))
    }

    /// Calls `visit` with the live entities of a chunk. Returns `Err(None)` if `visit` ends the
    /// scan.
    pub(super) fn scan_chunk<S: From<StoreError>>(
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
}
