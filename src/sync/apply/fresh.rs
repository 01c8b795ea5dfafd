//! New relationships: kept back until all are known, then numbered in the order of their ends.

use super::change::AppliedChange;
use crate::store::{HEAD_CHUNK, SpillBuckets, SpillRecord, StoreError, step_ranges};
use rayon::prelude::*;
use std::borrow::Borrow;
use std::ops::Range;

/// New relationships in the order of their numbers. Those before `from` are taken already.
pub(super) struct NumberedRelationships {
    pub(super) changes: Vec<AppliedChange>,
    pub(super) from: usize,
}

impl Borrow<[AppliedChange]> for NumberedRelationships {
    fn borrow(&self) -> &[AppliedChange] {
        &self.changes[self.from..]
    }
}

/// Cuts numbered relationships into batches where a chunk of heads ends, so that no chunk is written
/// twice.
#[derive(Default)]
pub(super) struct ChunkCutter {
    /// Relationships that do not fill their chunk of heads yet.
    rest: Vec<AppliedChange>,
}

impl ChunkCutter {
    /// Cuts relationships whose numbers follow those before.
    pub(super) fn cut(
        &mut self,
        mut changes: Vec<AppliedChange>,
        batches: &mut Vec<NumberedRelationships>,
    ) {
        let Some(first) = changes.first().map(|change| change.number) else { return };
        let missing = (first.next_multiple_of(HEAD_CHUNK) - first) as usize;
        let from = missing.min(changes.len());
        self.rest.extend_from_slice(&changes[..from]);
        if from == missing {
            batches.push(self.last());
            let whole = (changes.len() - from) / HEAD_CHUNK as usize * HEAD_CHUNK as usize;
            self.rest = changes.split_off(from + whole);
            batches.push(NumberedRelationships { changes, from });
        }
    }

    /// The relationships that fill no chunk.
    pub(super) fn last(&mut self) -> NumberedRelationships {
        NumberedRelationships { changes: std::mem::take(&mut self.rest), from: 0 }
    }
}

/// Takes new relationships out of their buckets and numbers them from `next` on.
pub(super) fn take_numbered(
    fresh: &mut SpillBuckets<AppliedChange>,
    range: Range<usize>,
    next: &mut u32,
) -> Result<Vec<Vec<AppliedChange>>, StoreError> {
    let mut buckets = Vec::with_capacity(range.len());
    for bucket in fresh.take_all(range)? {
        let first = *next;
        *next += bucket.len() as u32;
        buckets.push((bucket, first));
    }
    Ok(buckets.into_par_iter().map(|(bucket, first)| numbered(bucket, first)).collect())
}

/// New relationships in the order of their ends, with numbers from `first` on.
fn numbered(fresh: Vec<AppliedChange>, first: u32) -> Vec<AppliedChange> {
    // Sorting the small keys moves less memory than sorting the changes.
    let ends = |(from, to)| u64::from(from) << 32 | u64::from(to);
    let order = fresh.iter().map(|change| (ends(change.ends), change.id.0)).zip(0..);
    let mut order: Vec<((u64, u64), u32)> = order.collect();
    order.sort_unstable();
    let mut fresh: Vec<Option<AppliedChange>> = fresh.into_iter().map(Some).collect();
    let number = |((_, at), number): ((_, u32), u32)| {
        let change = fresh[at as usize].take().expect("BUG: each stands once in the order");
        AppliedChange { number, ..change }
    };
    order.into_iter().zip(first..).map(number).collect()
}

/// Ranges that cover all buckets; a step holds about `records` records.
pub(super) fn bucket_steps<T: SpillRecord>(
    buckets: &SpillBuckets<T>,
    records: usize,
) -> impl Iterator<Item = Range<usize>> + use<T> {
    let count = buckets.count();
    let at_once = (records * count).checked_div(buckets.records()).unwrap_or(count);
    step_ranges(count, at_once.clamp(1, count.max(1)))
}
