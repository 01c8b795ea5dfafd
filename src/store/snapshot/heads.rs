//! Heads by number: the names, ends and texts of one object.
//!
//! Rows lie in chunks. A few rows of a chunk are read one by one; once many were asked for, the
//! facts of all are kept. Scans of all rows are in `scans.rs`.

use super::caches::{FactsCache, LocatedFacts, ObjectFacts, VerifiedValue};
use super::{Snapshot, missing};
use crate::graph::{EntityFacts, ObjectKind, default_relationship_key};
use crate::store::StoreError;
use crate::store::codec::proven;
use crate::store::heads::{CHUNK, HeadChunk, ObjectHead};
use crate::store::history::PastOverlay;
use crate::store::tables;
use std::rc::Rc;

/// Rows of a chunk that are read one by one before all are taken out of its columns at once.
const ASKED_MAX: u32 = 32;

impl Snapshot {
    /// The rows that lie in one chunk of heads.
    pub(in crate::store) fn head_chunk(
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
        let mut opened = VerifiedValue::Stored(guard);
        if let Some(past) = &self.past {
            let stored = HeadChunk::parse(opened.payload())
                .ok_or_else(|| StoreError::corrupt("heads", &key, "contents make no sense"))?;
            if let Some(made) = past.chunk(kind, chunk, &stored)? {
                opened = VerifiedValue::Made(made);
            }
        }
        let opened = Rc::new(opened);
        self.heads_kept.borrow_mut().keep(kind, chunk, &opened);
        Ok(opened)
    }

    pub(super) fn with_chunk<R>(
        &self,
        kind: ObjectKind,
        number: u32,
        read: impl FnOnce(&HeadChunk<'_>, usize) -> R,
    ) -> Result<Option<R>, StoreError> {
        if number >= self.meta.bound(kind) {
            return Ok(None);
        }
        let opened = match &self.past {
            None => self.head_chunk(kind, number / CHUNK)?,
            Some(past) => match self.past_head(past, kind, number)? {
                Ok(made) => made,
                Err(single) => {
                    let chunk = HeadChunk::parse(&single)
                        .ok_or_else(|| missing("heads", &tables::head_key(kind, number / CHUNK)))?;
                    return Ok(chunk.present(0).then(|| read(&chunk, 0)));
                }
            },
        };
        let key = tables::head_key(kind, number / CHUNK);
        let chunk = HeadChunk::parse(opened.payload())
            .ok_or_else(|| StoreError::corrupt("heads", &key, "contents make no sense"))?;
        let row = (number % CHUNK) as usize;
        Ok(chunk.present(row).then(|| read(&chunk, row)))
    }

    /// The chunk in which an object of the past is to be read: one that holds it alone, in its first
    /// row (`Err`), where it changed since, or all of the chunk, where it did not or is known.
    ///
    /// To make a whole chunk as it was takes longer than to read a few objects of it.
    fn past_head(
        &self,
        past: &PastOverlay,
        kind: ObjectKind,
        number: u32,
    ) -> Result<Result<Rc<VerifiedValue>, Vec<u8>>, StoreError> {
        let at = number / CHUNK;
        if let Some(made) = self.heads_kept.borrow_mut().find(kind, at) {
            return Ok(Ok(made));
        }
        let stored = self.stored_chunk(kind, at)?;
        let now = || HeadChunk::parse(stored.payload())?.get((number % CHUNK) as usize);
        Ok(match past.single(kind, number, now)? {
            Some(single) => Err(single),
            None => Ok(stored),
        })
    }

    /// A chunk as it lies in the file, whichever state this is.
    fn stored_chunk(&self, kind: ObjectKind, chunk: u32) -> Result<Rc<VerifiedValue>, StoreError> {
        if let Some((last, stored)) = &self.stored_chunks.borrow()[kind as usize]
            && *last == chunk
        {
            return Ok(Rc::clone(stored));
        }
        let key = tables::head_key(kind, chunk);
        let guard = self.heads.get(&key[..])?.ok_or_else(|| missing("heads", &key))?;
        proven("heads", &key, guard.value())?;
        let stored = Rc::new(VerifiedValue::Stored(guard));
        self.stored_chunks.borrow_mut()[kind as usize] = Some((chunk, Rc::clone(&stored)));
        Ok(stored)
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

    pub(super) fn placed(
        &self,
        kind: ObjectKind,
        number: u32,
    ) -> Result<Option<LocatedFacts>, StoreError> {
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
        if number >= self.meta.bound(kind) {
            return Ok(None);
        }
        let opened = self.head_chunk(kind, number / CHUNK)?;
        let chunk = HeadChunk::parse(opened.payload()).ok_or_else(|| {
            let key = tables::head_key(kind, number / CHUNK);
            StoreError::corrupt("heads", &key, "contents make no sense")
        })?;
        let all = Rc::<[_]>::from(unpacked(&chunk));
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

    /// A text of a head, which `read` takes from its chunk.
    pub(super) fn head_text<R>(
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
}

/// All rows of a chunk; `None` is absent.
pub(super) fn unpacked(chunk: &HeadChunk<'_>) -> Vec<Option<LocatedFacts>> {
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

pub(super) fn entity_facts(facts: &ObjectFacts) -> EntityFacts {
    let ObjectFacts { scope, type_name, class: classes, live, .. } = *facts;
    EntityFacts { scope, type_name, classes, live }
}
