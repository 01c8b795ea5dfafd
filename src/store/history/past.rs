//! A state of the past, read through the state of now.

use super::keys::{HistoryKey, HistorySpace, group_of};
use super::record::{HeadsRow, RecordedHead, RevisionRow, decode_optional};
use crate::graph::{EdgeDirection, IdHash, ObjectKind};
use crate::store::StoreError;
use crate::store::codec::{ByteCursor, proven};
use crate::store::edges::read_changes;
use crate::store::heads::{self, CHUNK, HeadChunk, ObjectHead};
use crate::store::rows::{DatabaseMeta, ScopeRow};
use crate::store::segment::AdjacencyEntry;
use crate::store::snapshot::ReadTable;
use crate::store::tables;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

/// A commit, as the history knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionRecord {
    /// The revision that the commit made.
    pub revision: u64,
    /// The time of the commit, in epoch milliseconds.
    pub time: i64,
    /// The next sequence number of a job before the commit.
    pub next_job: u32,
    /// The next number of each kind before the commit.
    pub next_number: [u32; 2],
}

pub(super) fn damaged(key: &[u8]) -> StoreError {
    StoreError::corrupt("history", key, "contents make no sense")
}

/// Calls `visit` with the rows of a group from a revision on, in order, until it breaks. `visit`
/// returns `None` for a damaged row.
pub(super) fn for_each_row(
    table: &ReadTable,
    from: HistoryKey,
    to: HistoryKey,
    mut visit: impl FnMut(HistoryKey, &[u8]) -> Option<ControlFlow<()>>,
) -> Result<(), StoreError> {
    let (from, to) = (from.bytes(), to.bytes());
    for row in table.range::<&[u8]>(&from[..]..=&to[..])? {
        let (key, sealed) = row?;
        let (key, payload) = (key.value(), proven("history", key.value(), sealed.value())?);
        let place = HistoryKey::read(key).ok_or_else(|| damaged(key))?;
        if visit(place, payload).ok_or_else(|| damaged(key))?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The groups of a space that have rows in a range of revisions, ascending. Groups without any are
/// stepped over, so this takes time in proportion to the groups and not to the rows.
pub(super) fn groups(
    table: &ReadTable,
    space: HistorySpace,
    revisions: Range<u64>,
) -> Result<Vec<u32>, StoreError> {
    let mut found = Vec::new();
    let end = HistoryKey::last(space, u32::MAX).bytes();
    let mut group = 0;
    loop {
        let from = HistoryKey::first(space, group, revisions.start).bytes();
        let Some(row) = table.range::<&[u8]>(&from[..]..=&end[..])?.next().transpose()? else {
            return Ok(found);
        };
        let key = row.0.value();
        let at = HistoryKey::read(key).ok_or_else(|| damaged(key))?;
        if at.group == group || at.revision >= revisions.start {
            if at.revision < revisions.end && at.revision >= revisions.start {
                found.push(at.group);
            }
            let Some(next) = at.group.checked_add(1) else { return Ok(found) };
            group = next;
        } else {
            // The search came to an older row of a later group.
            group = at.group;
        }
    }
}

/// The row of a revision.
pub(super) fn revision_row(
    table: &ReadTable,
    revision: u64,
) -> Result<Option<RevisionRecord>, StoreError> {
    let key = HistoryKey::first(HistorySpace::Revisions, 0, revision).bytes();
    let Some(sealed) = table.get(&key[..])? else { return Ok(None) };
    let row = RevisionRow::decode(proven("history", &key, sealed.value())?);
    let RevisionRow { time, next_number, next_job } = row.ok_or_else(|| damaged(&key))?;
    Ok(Some(RevisionRecord { revision, time, next_job, next_number }))
}

/// What differs between a state of the past and the state of now.
pub struct PastOverlay {
    pub(super) history: ReadTable,
    /// The revision of the state.
    at: u64,
    /// The next number of each kind, then.
    bound: [u32; 2],
}

impl PastOverlay {
    /// The state at a revision before that of `now`, and its counters.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchState`] if the file does not reach back to it.
    pub fn new(
        history: ReadTable,
        at: u64,
        now: DatabaseMeta,
    ) -> Result<(PastOverlay, DatabaseMeta), StoreError> {
        let missing = StoreError::NoSuchState(at);
        if revision_row(&history, at)?.is_none() {
            return Err(missing);
        }
        let Some(next) = revision_row(&history, at + 1)? else { return Err(missing) };
        let then = DatabaseMeta {
            revision: at,
            next_number: next.next_number,
            next_job: next.next_job,
            ..now
        };
        Ok((PastOverlay { history, at, bound: next.next_number }, then))
    }

    fn rows(
        &self,
        space: HistorySpace,
        group: u32,
        visit: impl FnMut(HistoryKey, &[u8]) -> Option<ControlFlow<()>>,
    ) -> Result<(), StoreError> {
        let from = HistoryKey::first(space, group, self.at + 1);
        for_each_row(&self.history, from, HistoryKey::last(space, group), visit)
    }

    /// The record of an object: its head as it was, if it changed since.
    pub fn head(&self, kind: ObjectKind, number: u32) -> Result<Option<RecordedHead>, StoreError> {
        let mut found: Option<RecordedHead> = None;
        let group = group_of(number);
        self.rows(HistorySpace::heads(kind), group, |_, payload| {
            let row = HeadsRow::parse(group, payload)?;
            let Some(at) = row.find(number) else { return Some(ControlFlow::Continue(())) };
            let record = row.get(at)?;
            let whole = match &mut found {
                None => found.insert(record),
                Some(found) => {
                    found.complete(&record);
                    found
                }
            };
            let open = whole.key_stayed || whole.display_stayed;
            Some(if open { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(found)
    }

    /// A chunk that holds only one object as it was, in its first row; `None` if the object did not
    /// change since. `now` reads its head of now.
    pub fn single(
        &self,
        kind: ObjectKind,
        number: u32,
        now: impl FnOnce() -> Option<ObjectHead>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(record) = self.head(kind, number)? else { return Ok(None) };
        let head = record.completed(now().as_ref()).ok_or_else(|| lost(kind, number))?;
        Ok(Some(heads::rewrite(None, &[(0, Some(&head))]).ok_or_else(|| lost(kind, number))?))
    }

    /// A chunk as it was; `None` if it is as it is.
    pub fn chunk(
        &self,
        kind: ObjectKind,
        chunk: u32,
        stored: &HeadChunk<'_>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let first = chunk * CHUNK;
        let numbers = first..first + CHUNK;
        let group = group_of(first);
        let mut found: FxHashMap<u32, RecordedHead> = FxHashMap::default();
        self.rows(HistorySpace::heads(kind), group, |_, payload| {
            let row = HeadsRow::parse(group, payload)?;
            for at in 0..row.len() {
                let number = row.number(at);
                if !numbers.contains(&number) || number >= self.bound[kind as usize] {
                    continue;
                }
                let record = row.get(at)?;
                match found.get_mut(&number) {
                    None => drop(found.insert(number, record)),
                    Some(found) => found.complete(&record),
                }
            }
            Some(ControlFlow::Continue(()))
        })?;
        let mut edits: BTreeMap<usize, Option<ObjectHead>> = BTreeMap::new();
        for (number, record) in found {
            let row = (number % CHUNK) as usize;
            let now = stored.get(row);
            let head = record.completed(now.as_ref()).ok_or_else(|| lost(kind, number))?;
            edits.insert(row, Some(head));
        }
        // What was made since is not there.
        let bound = self.bound[kind as usize].saturating_sub(first) as usize;
        for row in bound..stored.len() {
            edits.insert(row, None);
        }
        if edits.is_empty() {
            return Ok(None);
        }
        let edits: Vec<(usize, Option<&ObjectHead>)> =
            edits.iter().map(|(row, head)| (*row, head.as_ref())).collect();
        Ok(Some(heads::rewrite(Some(*stored), &edits).ok_or_else(|| lost(kind, first))?))
    }

    /// Edges near some entities that came or went since, in order: true for those that were there.
    fn edge_changes(
        &self,
        direction: EdgeDirection,
        group: u32,
        entities: Range<u32>,
        changes: &mut BTreeMap<AdjacencyEntry, bool>,
    ) -> Result<(), StoreError> {
        self.rows(HistorySpace::edges(direction), group, |_, payload| {
            for (edge, came) in read_changes(payload)? {
                // The first change since tells what was there. What is newer than the state was not.
                if entities.contains(&edge.0)
                    && edge.1.relationship < self.bound[ObjectKind::Relationship as usize]
                {
                    changes.entry(edge).or_insert(!came);
                }
            }
            Some(ControlFlow::Continue(()))
        })
    }

    /// The edges of neighbouring entities as they were, in order, made of those of now.
    pub fn edges_near(
        &self,
        direction: EdgeDirection,
        range: Range<u32>,
        now: Vec<AdjacencyEntry>,
    ) -> Result<Vec<AdjacencyEntry>, StoreError> {
        let mut changes = BTreeMap::new();
        for group in group_of(range.start)..=group_of(range.end - 1) {
            self.edge_changes(direction, group, range.clone(), &mut changes)?;
        }
        let changes: Vec<(AdjacencyEntry, bool)> = changes.into_iter().collect();
        let mut edges = Vec::with_capacity(now.len() + changes.len());
        let mut overlay = EdgeOverlay::new(&changes, self.bound[ObjectKind::Relationship as usize]);
        for edge in now {
            overlay.emit(edge, &mut |edge| edges.push(edge));
        }
        overlay.finish(&mut |edge| edges.push(edge));
        Ok(edges)
    }

    /// All edges of a direction that came or went since, in order: true for those that were there.
    pub fn all_edge_changes(
        &self,
        direction: EdgeDirection,
    ) -> Result<Vec<(AdjacencyEntry, bool)>, StoreError> {
        let mut changes = BTreeMap::new();
        let space = HistorySpace::edges(direction);
        for group in groups(&self.history, space, self.at + 1..u64::MAX)? {
            self.edge_changes(direction, group, 0..u32::MAX, &mut changes)?;
        }
        Ok(changes.into_iter().collect())
    }

    /// One more than the greatest number of a relationship.
    pub fn relationship_bound(&self) -> u32 {
        self.bound[ObjectKind::Relationship as usize]
    }

    /// The rows of scopes as they were, made of those of now; by ascending name number.
    pub fn scopes(&self, now: &[(u32, ScopeRow)]) -> Result<Vec<(u32, ScopeRow)>, StoreError> {
        let mut rows: BTreeMap<u32, ScopeRow> = now.iter().cloned().collect();
        for scope in groups(&self.history, HistorySpace::Scopes, self.at + 1..u64::MAX)? {
            self.rows(HistorySpace::Scopes, scope, |_, payload| {
                match decode_optional(payload)? {
                    Some(row) => drop(rows.insert(scope, ScopeRow::decode(row)?)),
                    None => drop(rows.remove(&scope)),
                }
                Some(ControlFlow::Break(()))
            })?;
        }
        Ok(rows.into_iter().collect())
    }

    /// The pins of an entity as they were. The outer `None` means that they are as they are.
    pub fn pins(&self, scope: u32, id: IdHash) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        let mut found = None;
        self.rows(HistorySpace::Pins, scope, |_, payload| {
            let mut c = ByteCursor(payload);
            if c.u64()? != id.0 {
                return Some(ControlFlow::Continue(()));
            }
            found = Some(decode_optional(c.0)?.map(<[u8]>::to_vec));
            Some(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// True if pins of any entity changed since.
    pub fn has_pins(&self) -> Result<bool, StoreError> {
        Ok(!groups(&self.history, HistorySpace::Pins, self.at + 1..u64::MAX)?.is_empty())
    }
}

fn lost(kind: ObjectKind, number: u32) -> StoreError {
    let key = tables::head_key(kind, number / CHUNK);
    StoreError::corrupt("heads", &key, "an object that was there then is missing")
}

/// Edges of now on their way to edges of then.
pub struct EdgeOverlay<'c> {
    /// What came or went since and is still to be applied, in order.
    changes: &'c [(AdjacencyEntry, bool)],
    bound: u32,
}

impl<'c> EdgeOverlay<'c> {
    /// An overlay of these changes; relationships from `bound` on are newer than the state.
    pub fn new(changes: &'c [(AdjacencyEntry, bool)], bound: u32) -> EdgeOverlay<'c> {
        EdgeOverlay { changes, bound }
    }

    /// Takes the next edge of now. Calls `visit` with the edges that were there up to it.
    #[inline]
    pub fn emit(&mut self, edge: AdjacencyEntry, visit: &mut impl FnMut(AdjacencyEntry)) {
        while let Some(&(next, was)) = self.changes.first()
            && next <= edge
        {
            self.changes = &self.changes[1..];
            if was {
                visit(next);
            }
            if next == edge {
                return;
            }
        }
        if edge.1.relationship < self.bound {
            visit(edge);
        }
    }

    /// Calls `visit` with the edges that were there behind the last one of now.
    pub fn finish(self, visit: &mut impl FnMut(AdjacencyEntry)) {
        self.changes.iter().filter(|(_, was)| *was).for_each(|(edge, _)| visit(*edge));
    }
}
