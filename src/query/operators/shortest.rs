//! Shortest: of the rows between the same two ends, those of the fewest relationships.

use super::optional::KeptRows;
use super::{InputOperator, OperatorResult, RowDemand, RowOperator};
use crate::graph::GraphRead;
use crate::query::read::QueryReader;
use crate::query::resolved::ShortestPaths;
use crate::query::row_batch::{BindingRow, BoundRelationships, RowBatch, RowShape};
use rustc_hash::FxHashMap;

/// Rows without those that have a shorter one between their ends.
pub(in crate::query) struct Shortest<'a, G: GraphRead> {
    reader: &'a QueryReader<'a, G>,
    input: InputOperator<'a, G>,
    slots: RowShape,
    paths: ShortestPaths,
    shortest: Option<KeptRows<'a>>,
}

impl<'a, G: GraphRead> Shortest<'a, G> {
    pub(in crate::query) fn new(
        reader: &'a QueryReader<'a, G>,
        input: InputOperator<'a, G>,
        slots: RowShape,
        paths: ShortestPaths,
    ) -> Shortest<'a, G> {
        Shortest { reader, input, slots, paths, shortest: None }
    }
}

impl<G: GraphRead> RowOperator<G> for Shortest<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        if self.shortest.is_none() {
            let paths = self.paths;
            let kept = KeptRows::collect(self.reader, &mut self.input, self.slots, |rows| {
                Ok(shortest(rows, paths))
            })?;
            self.shortest = Some(kept);
        }
        Ok(self.shortest.as_mut().is_some_and(|kept| kept.give(demand, rows)))
    }
}

/// The rows of the fewest relationships between their ends. Pairs of ends stand in the order in which
/// they were met.
fn shortest(rows: Vec<BindingRow>, paths: ShortestPaths) -> Vec<BindingRow> {
    let way = |row: &BindingRow| {
        let way: Vec<u32> =
            row.hops.iter().flat_map(BoundRelationships::numbers).copied().collect();
        (way.len(), way)
    };
    let mut numbers = FxHashMap::default();
    let mut best: Vec<Vec<BindingRow>> = Vec::new();
    for row in rows {
        let at = *numbers.entry((row.entities[0], row.entities[paths.end])).or_insert(best.len());
        if at == best.len() {
            best.push(vec![row]);
            continue;
        }
        let (new, known) = (way(&row), way(&best[at][0]));
        // Without ALL, the least path by its numbers is kept, so that the answer stays the same.
        if paths.all && new.0 == known.0 {
            best[at].push(row);
        } else if new < known && (new.0 < known.0 || !paths.all) {
            best[at] = vec![row];
        }
    }
    best.into_iter().flatten().collect()
}
