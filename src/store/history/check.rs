//! `verify` of the history: its rows, and the oldest state that they lead to.

use super::keys::{HistoryKey, HistorySpace};
use super::past::for_each_row;
use super::record::{HeadsRow, RevisionRow, decode_optional};
use crate::store::codec::ByteCursor;
use crate::store::edges::read_changes;
use crate::store::rows::ScopeRow;
use crate::store::{Snapshot, StoreError};
use std::ops::ControlFlow;

impl Snapshot {
    /// Everything that is wrong with the rows of the history, in words. Returns the oldest revision
    /// whose state can be asked as well, if it is not the newest.
    pub(in crate::store) fn verify_history(
        &self,
    ) -> Result<(Vec<String>, Option<u64>), StoreError> {
        let mut problems = Vec::new();
        let newest = self.meta().revision;
        let revisions = self.revisions()?;
        let first = revisions.first().map(|row| row.revision);
        let whole = revisions.last().map(|row| row.revision) == Some(newest)
            && revisions.windows(2).all(|pair| pair[0].revision + 1 == pair[1].revision);
        if !whole {
            problems.push("the history lacks a revision".to_owned());
        }
        let ordered = revisions.windows(2).all(|pair| {
            pair[0].time <= pair[1].time
                && pair[0].next_job <= pair[1].next_job
                && (0..2).all(|kind| pair[0].next_number[kind] <= pair[1].next_number[kind])
        });
        if !ordered {
            problems.push("the revisions of the history are out of order".to_owned());
        }
        let oldest = first.unwrap_or(newest);
        let from = HistoryKey::first(HistorySpace::EntityHeads, 0, 0);
        let to = HistoryKey::last(HistorySpace::Revisions, u32::MAX);
        for_each_row(&self.history_table()?, from, to, |key, payload| {
            let known = key.revision > oldest && key.revision <= newest;
            if !known && key.space != HistorySpace::Revisions {
                problems.push(format!("the history has a row of revision {}", key.revision));
            }
            if !makes_sense(key, payload) {
                problems.push(format!(
                    "history: a row of revision {} makes no sense ({:?}, group {})",
                    key.revision, key.space, key.group
                ));
            }
            Some(ControlFlow::Continue(()))
        })?;
        Ok((problems, first.filter(|first| whole && *first < newest)))
    }
}

pub(super) fn makes_sense(key: HistoryKey, payload: &[u8]) -> bool {
    match key.space {
        HistorySpace::EntityHeads | HistorySpace::RelationshipHeads => {
            HeadsRow::parse(key.group, payload).and_then(|row| row.all()).is_some()
        }
        HistorySpace::OutEdges | HistorySpace::InEdges => {
            let in_group = |changes: Vec<_>| {
                let group = |((entity, _), _): &crate::store::edges::DeltaEntry| {
                    super::keys::group_of(*entity)
                };
                changes.is_sorted() && changes.iter().all(|change| group(change) == key.group)
            };
            read_changes(payload).is_some_and(in_group)
        }
        HistorySpace::Scopes => match decode_optional(payload) {
            Some(row) => row.is_none_or(|row| ScopeRow::decode(row).is_some()),
            None => false,
        },
        HistorySpace::Pins => {
            let mut c = ByteCursor(payload);
            c.u64().is_some() && decode_optional(c.0).is_some()
        }
        HistorySpace::Revisions => key.group == 0 && RevisionRow::decode(payload).is_some(),
    }
}
