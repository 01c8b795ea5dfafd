//! Counts: how many objects of each type and class a scope gains and loses.

use crate::graph::ObjectKind;
use crate::store::{ObjectHead, ScopeRow};
use rustc_hash::FxHashMap;

/// Changes in the counts of a scope, gathered by type and class, which are few while objects are
/// many.
#[derive(Default)]
pub(super) struct CountDeltas {
    live: FxHashMap<(u32, u32), i64>,
    deleted: i64,
}

impl CountDeltas {
    pub(super) fn count(&mut self, before: Option<&ObjectHead>, after: &ObjectHead) {
        if let Some(before) = before {
            if before.end == 0 {
                *self.live.entry((before.type_name, before.class)).or_default() -= 1;
            } else {
                self.deleted -= 1;
            }
        }
        if after.end == 0 {
            *self.live.entry((after.type_name, after.class)).or_default() += 1;
        } else {
            self.deleted += 1;
        }
    }

    pub(super) fn add(&mut self, other: &CountDeltas) {
        for (&of, by) in &other.live {
            *self.live.entry(of).or_default() += by;
        }
        self.deleted += other.deleted;
    }

    pub(super) fn apply(self, row: &mut ScopeRow, kind: ObjectKind) {
        let counts = &mut row.counts[kind as usize];
        for ((type_name, class), by) in self.live.into_iter().filter(|(_, by)| *by != 0) {
            counts.shift(type_name, class, by);
        }
        counts.deleted = counts.deleted.saturating_add_signed(self.deleted);
    }
}
