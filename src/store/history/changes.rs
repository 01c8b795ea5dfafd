//! What happened: commits, the objects that they touched, and the versions of one object.

use super::keys::{HistoryKey, HistorySpace, group_of};
use super::past::{RevisionRecord, for_each_row, groups, revision_row};
use super::record::{HeadsRow, RecordedHead, RevisionRow};
use crate::graph::ObjectKind;
use crate::store::heads::ObjectHead;
use crate::store::{Snapshot, StoreError};
use std::ops::{ControlFlow, RangeInclusive};

/// The numbers of the objects of one kind that something was done to, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TouchedNumbers(pub Vec<u32>);

/// An object as it was from one change to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The revision that ended it; `None` while it is as it is.
    pub ended: Option<u64>,
    /// The head.
    pub head: ObjectHead,
}

impl Snapshot {
    /// The commits that the history knows, ascending. The first is the oldest state that can be
    /// asked.
    pub fn revisions(&self) -> Result<Vec<RevisionRecord>, StoreError> {
        let mut all = Vec::new();
        let [from, to] = [
            HistoryKey::first(HistorySpace::Revisions, 0, 0),
            HistoryKey::last(HistorySpace::Revisions, 0),
        ];
        for_each_row(&self.history_table()?, from, to, |key, payload| {
            let RevisionRow { time, next_number, next_job } = RevisionRow::decode(payload)?;
            all.push(RevisionRecord { revision: key.revision, time, next_job, next_number });
            Some(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }

    /// The oldest revision whose state can be asked.
    pub fn oldest_revision(&self) -> Result<u64, StoreError> {
        let mut oldest = None;
        let from = HistoryKey::first(HistorySpace::Revisions, 0, 0);
        let to = HistoryKey::last(HistorySpace::Revisions, 0);
        for_each_row(&self.history_table()?, from, to, |key, _| {
            oldest = Some(key.revision);
            Some(ControlFlow::Break(()))
        })?;
        oldest.ok_or_else(|| StoreError::corrupt("history", &[], "it has no revision"))
    }

    /// The commit that made a revision, if the history knows it.
    pub fn revision(&self, revision: u64) -> Result<Option<RevisionRecord>, StoreError> {
        revision_row(&self.history_table()?, revision)
    }

    /// The objects of a kind that the commits of these revisions changed, created or deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchState`] if the history does not know all of these commits.
    pub fn touched(
        &self,
        kind: ObjectKind,
        revisions: RangeInclusive<u64>,
    ) -> Result<TouchedNumbers, StoreError> {
        let (first, last) = revisions.into_inner();
        if first > last {
            return Ok(TouchedNumbers::default());
        }
        let table = self.history_table()?;
        let known =
            |revision| revision_row(&table, revision)?.ok_or(StoreError::NoSuchState(revision));
        let created = known(first)?.next_number[kind as usize];
        let bound = match last == self.newest_revision()? {
            true => self.newest_bound(kind)?,
            false => known(last + 1)?.next_number[kind as usize],
        };
        let space = HistorySpace::heads(kind);
        let mut numbers = Vec::new();
        for group in groups(&table, space, first..u64::MAX)? {
            let from = HistoryKey::first(space, group, first);
            let to = HistoryKey { revision: last, ..HistoryKey::last(space, group) };
            for_each_row(&table, from, to, |_, payload| {
                let row = HeadsRow::parse(group, payload)?;
                numbers.extend((0..row.len()).map(|at| row.number(at)));
                Some(ControlFlow::Continue(()))
            })?;
        }
        numbers.extend(created..bound);
        numbers.sort_unstable();
        numbers.dedup();
        Ok(TouchedNumbers(numbers))
    }

    fn newest_revision(&self) -> Result<u64, StoreError> {
        Ok(Snapshot::meta_of(self.transaction())?.revision)
    }

    fn newest_bound(&self, kind: ObjectKind) -> Result<u32, StoreError> {
        Ok(Snapshot::meta_of(self.transaction())?.bound(kind))
    }

    /// The versions of an object that the file still knows, oldest first, up to the newest state.
    pub fn versions(
        &self,
        kind: ObjectKind,
        number: u32,
    ) -> Result<Vec<ObjectVersion>, StoreError> {
        let (space, group) = (HistorySpace::heads(kind), group_of(number));
        let mut records: Vec<(u64, RecordedHead)> = Vec::new();
        let table = self.history_table()?;
        let [from, to] = [HistoryKey::first(space, group, 0), HistoryKey::last(space, group)];
        for_each_row(&table, from, to, |key, payload| {
            let row = HeadsRow::parse(group, payload)?;
            if let Some(at) = row.find(number) {
                records.push((key.revision, row.get(at)?));
            }
            Some(ControlFlow::Continue(()))
        })?;
        let mut versions = Vec::with_capacity(records.len() + 1);
        let mut after = self.newest()?.head(kind, number)?;
        versions.extend(after.clone().map(|head| ObjectVersion { ended: None, head }));
        // From the newest to the oldest: texts that stayed are those of the version after.
        for (revision, record) in records.into_iter().rev() {
            let head = record.completed(after.as_ref()).ok_or_else(|| {
                StoreError::corrupt("history", &number.to_be_bytes(), "a text is missing")
            })?;
            after = Some(head.clone());
            versions.push(ObjectVersion { ended: Some(revision), head });
        }
        versions.reverse();
        Ok(versions)
    }

    /// Calls `visit` with the revision and every recorded head of a kind.
    pub(in crate::store) fn for_each_recorded_head(
        &self,
        kind: ObjectKind,
        mut visit: impl FnMut(u64, &RecordedHead),
    ) -> Result<(), StoreError> {
        let space = HistorySpace::heads(kind);
        let [from, to] = [HistoryKey::first(space, 0, 0), HistoryKey::last(space, u32::MAX)];
        for_each_row(&self.history_table()?, from, to, |key, payload| {
            let row = HeadsRow::parse(key.group, payload)?;
            row.all()?.iter().for_each(|record| visit(key.revision, record));
            Some(ControlFlow::Continue(()))
        })
    }

    /// The blocks and slots of a scope that recorded heads of a kind name.
    pub fn recorded_places(
        &self,
        kind: ObjectKind,
        scope: u32,
    ) -> Result<Vec<(u32, u32)>, StoreError> {
        let mut places = Vec::new();
        self.for_each_recorded_head(kind, |_, RecordedHead { head, .. }| {
            if head.scope == scope && head.block != crate::store::NO_BODY {
                places.push((head.block, head.slot));
            }
        })?;
        Ok(places)
    }

    /// The sequence numbers of jobs that heads of a kind name that were recorded from a revision on.
    pub fn recorded_jobs(
        &self,
        kind: ObjectKind,
        first: u64,
        mut visit: impl FnMut(u32),
    ) -> Result<(), StoreError> {
        self.for_each_recorded_head(kind, |revision, record| {
            if revision >= first {
                visit(record.head.job);
            }
        })
    }
}
