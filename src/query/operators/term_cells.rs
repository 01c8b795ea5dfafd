//! Term cells: the values of some terms for all rows of a batch, as far as the graph tells them together.

use super::OperatorResult;
use crate::graph::{GraphRead, ObjectKind, PropertyCell};
use crate::query::cell::CellValue;
use crate::query::read::{EvalContext, QueryReader};
use crate::query::resolved::ScalarExpr;
use crate::query::row_batch::RowBatch;
use crate::query::verdicts::single_object;

/// Some terms, and what is known of them for the rows of the batch at hand.
pub(super) struct TermCells<'a> {
    terms: Vec<&'a ScalarExpr>,
    /// By term: a cell for each row; none if the term is no property of one object in each row.
    columns: Vec<Option<CellColumn>>,
}

/// The cells of one property, and the objects that they are of.
struct CellColumn {
    kind: ObjectKind,
    numbers: Vec<u32>,
    cells: Vec<PropertyCell>,
}

impl<'a> TermCells<'a> {
    pub(super) fn new(terms: Vec<&'a ScalarExpr>) -> TermCells<'a> {
        let columns = terms.iter().map(|_| None).collect();
        TermCells { terms, columns }
    }

    /// Reads the cells of a batch, in place of those of the one before it.
    pub(super) fn read<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        batch: &RowBatch,
    ) -> OperatorResult<(), G> {
        for (term, column) in self.terms.iter().zip(&mut self.columns) {
            let ScalarExpr::Property(of, name) = term else { continue };
            let (mut numbers, mut cells) = match column.take() {
                Some(CellColumn { mut numbers, mut cells, .. }) => {
                    numbers.clear();
                    cells.clear();
                    (numbers, cells)
                }
                None => (Vec::new(), Vec::new()),
            };
            let mut kind = ObjectKind::Entity;
            for row in 0..batch.len() {
                let sight = EvalContext { row: Some(batch.row(row)), ..EvalContext::default() };
                let Some((of_kind, number)) = single_object(*of, &sight) else { break };
                kind = of_kind;
                numbers.push(number);
            }
            if numbers.len() == batch.len() {
                reader.graph.property_cells(kind, &numbers, name, &mut cells)?;
                *column = Some(CellColumn { kind, numbers, cells });
            }
        }
        Ok(())
    }

    /// What is known of a term in a row.
    #[inline]
    pub(super) fn cell(&self, term: usize, row: usize) -> PropertyCell {
        match &self.columns[term] {
            Some(column) => column.cells[row],
            None => PropertyCell::Unread,
        }
    }

    /// The same of the only term, if there is but one.
    #[inline]
    pub(super) fn only_cell(&self, row: usize) -> Option<PropertyCell> {
        (self.columns.len() == 1).then(|| self.cell(0, row))
    }

    /// Fills `words` with what tells the values of a row apart. Equal words are equal values; false if
    /// some value has to be read to tell.
    pub(super) fn words(&self, row: usize, words: &mut Vec<u64>) -> bool {
        words.clear();
        self.columns.iter().all(|column| {
            let cell = column.as_ref().map_or(PropertyCell::Unread, |column| column.cells[row]);
            match cell {
                PropertyCell::Unread => return false,
                PropertyCell::Absent => words.extend([0, u64::MAX]),
                PropertyCell::Coded { dictionary, code } => {
                    words.extend([dictionary, u64::from(code)]);
                }
                PropertyCell::Number { scaled, decimals, integer } => {
                    let kind = 1 << 63 | u64::from(decimals) << 1 | u64::from(integer);
                    words.extend([scaled as u64, kind]);
                }
            }
            true
        })
    }

    /// The value of a term in a row.
    pub(super) fn value<G: GraphRead>(
        &self,
        reader: &QueryReader<'_, G>,
        term: usize,
        row: usize,
        sight: &EvalContext<'_>,
    ) -> OperatorResult<CellValue, G> {
        match (&self.columns[term], self.terms[term]) {
            (Some(CellColumn { kind, numbers, cells }), ScalarExpr::Property(_, name)) => {
                reader.value_of_cell(cells[row], *kind, numbers[row], name)
            }
            (_, term) => reader.term(term, sight),
        }
    }
}
