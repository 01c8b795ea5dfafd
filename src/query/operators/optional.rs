//! Optional groups settled: a row lacks an optional group only if the group is not there.

use super::{BATCH_ROWS, InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::limits::MemoryReservation;
use crate::query::QuestionError;
use crate::query::read::QueryReader;
use crate::query::resolved::RowSlot;
use crate::query::row_batch::{BindingRow, BoundRelationships, NONE, RowBatch, RowShape};
use rustc_hash::{FxHashMap, FxHashSet};

/// All rows of an input, kept since they are compared with each other.
pub(super) struct KeptRows<'m> {
    rows: std::vec::IntoIter<BindingRow>,
    _part: MemoryReservation<'m>,
}

impl<'m> KeptRows<'m> {
    /// Takes all rows of an input, and calls `choose` with them.
    pub(super) fn collect<G: GraphRead>(
        reader: &QueryReader<'m, G>,
        input: &mut InputOperator<'_, G>,
        slots: RowShape,
        choose: impl FnOnce(Vec<BindingRow>) -> OperatorResult<Vec<BindingRow>, G>,
    ) -> OperatorResult<KeptRows<'m>, G> {
        let (mut batch, mut rows) = (RowBatch::new(slots), Vec::new());
        let mut part = reader.meter.part();
        while input.next_batch(RowDemand::All, &mut batch)? {
            for row in 0..batch.len() {
                reader.room(rows.len())?;
                let row = batch.row(row).to_owned();
                part.hold(row.bytes() as u64).map_err(QuestionError::Limit)?;
                rows.push(row);
            }
        }
        Ok(KeptRows { rows: choose(rows)?.into_iter(), _part: part })
    }

    /// Gives the next rows on; false if there are no more.
    pub(super) fn give(&mut self, demand: RowDemand, rows: &mut RowBatch) -> bool {
        rows.clear();
        let most = demand.rows().min(BATCH_ROWS);
        self.rows.by_ref().take(most).for_each(|row| rows.push_kept(&row));
        !rows.is_empty()
    }
}

/// Rows without those that lack an optional group although it is there.
pub(in crate::query) struct SettleOptional<'a, G: GraphRead> {
    reader: &'a QueryReader<'a, G>,
    input: InputOperator<'a, G>,
    slots: RowShape,
    /// Frontiers of groups without a name, which tell no rows apart.
    unnamed: &'a [RowSlot],
    settled: Option<KeptRows<'a>>,
}

impl<'a, G: GraphRead> SettleOptional<'a, G> {
    pub(in crate::query) fn new(
        reader: &'a QueryReader<'a, G>,
        input: InputOperator<'a, G>,
        slots: RowShape,
        unnamed: &'a [RowSlot],
    ) -> SettleOptional<'a, G> {
        SettleOptional { reader, input, slots, unnamed, settled: None }
    }
}

impl<G: GraphRead> RowOperator<G> for SettleOptional<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        if self.settled.is_none() {
            let reader = self.reader;
            let unnamed = self.unnamed;
            let kept = KeptRows::collect(reader, &mut self.input, self.slots, |rows| {
                // Each row is looked for among parts of the others.
                let held: usize = rows.iter().map(BindingRow::bytes).sum();
                let mut compared = reader.meter.part();
                compared.hold(held as u64).map_err(QuestionError::Limit)?;
                Ok(drop_covered_rows(rows, unnamed))
            })?;
            self.settled = Some(kept);
        }
        Ok(self.settled.as_mut().is_some_and(|kept| kept.give(demand, rows)))
    }
}

/// Drops each row that another row covers: the other has all its bindings, and more. Such a row lacks
/// an optional group although the group is there.
fn drop_covered_rows(rows: Vec<BindingRow>, unnamed: &[usize]) -> Vec<BindingRow> {
    type Mask = (Vec<bool>, Vec<bool>);
    let mask = |row: &BindingRow| -> Mask {
        // Unnamed frontiers tell no rows apart, so masks leave them out.
        let entity = |(slot, &number): (usize, &u32)| number != NONE && !unnamed.contains(&slot);
        (
            row.entities.iter().enumerate().map(entity).collect(),
            row.hops.iter().map(|hops| *hops != BoundRelationships::None).collect(),
        )
    };
    let project = |row: &BindingRow, mask: &Mask| -> BindingRow {
        let entity = |(&number, &bound): (&u32, &bool)| if bound { number } else { NONE };
        let hops = |(hops, &bound): (&BoundRelationships, &bool)| {
            if bound { hops.clone() } else { BoundRelationships::None }
        };
        BindingRow {
            entities: row.entities.iter().zip(&mask.0).map(entity).collect(),
            hops: row.hops.iter().zip(&mask.1).map(hops).collect(),
        }
    };
    let within = |small: &Mask, large: &Mask| {
        let below = |a: &[bool], b: &[bool]| a.iter().zip(b).all(|(a, b)| !a || *b);
        small != large && below(&small.0, &large.0) && below(&small.1, &large.1)
    };
    let mut by_mask: FxHashMap<Mask, Vec<usize>> = FxHashMap::default();
    for (at, row) in rows.iter().enumerate() {
        by_mask.entry(mask(row)).or_default().push(at);
    }
    let mut dropped = vec![false; rows.len()];
    for (small, members) in &by_mask {
        // Only rows that bind all of these slots, and more, can cover a row.
        let larger = by_mask.iter().filter(|(large, _)| within(small, large));
        let covered: FxHashSet<BindingRow> = larger
            .flat_map(|(_, members)| members.iter().map(|&at| project(&rows[at], small)))
            .collect();
        for &at in members {
            dropped[at] = covered.contains(&project(&rows[at], small));
        }
    }
    let mut dropped = dropped.into_iter();
    rows.into_iter().filter(|_| !dropped.next().unwrap_or(false)).collect()
}
