//! Scan: the entities that a pattern begins at, by their access path.

use super::{MatchContext, OperatorResult, PatternOperator, RowDemand, RowOperator};
use crate::graph::{EntityFacts, GraphRead};
use crate::query::access_path::AccessPath;
use crate::query::physical_plan::ScanPlan;
use crate::query::read::QueryReader;
use crate::query::row_batch::RowBatch;
use crate::query::selection::{EntityFilter, SelectorVerdict};
use std::cell::Cell as Counter;

/// Entities that are tested together: about as many as one stretch of a scan has.
const TOGETHER: usize = 512;

/// The entities on an access path, one after the other.
pub(in crate::query) struct CandidateCursor<'a> {
    access: &'a AccessPath,
    /// The position on the path; `None` at its end.
    next: Option<u32>,
    /// Entities that the graph has told of at once, and the one to go on with.
    stretch: Vec<(u32, EntityFacts)>,
    at: usize,
}

impl<'a> CandidateCursor<'a> {
    pub(in crate::query) fn new(access: &'a AccessPath) -> CandidateCursor<'a> {
        CandidateCursor { access, next: Some(0), stretch: Vec::new(), at: 0 }
    }

    /// The next entity and its names. Of a stretch that the graph tells of at once, entities that `may`
    /// refuses are left out.
    pub(in crate::query) fn next<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        mut may: impl FnMut(EntityFacts) -> bool,
    ) -> OperatorResult<Option<(u32, EntityFacts)>, G> {
        loop {
            if let Some(&found) = self.stretch.get(self.at) {
                self.at += 1;
                return Ok(Some(found));
            }
            let Some(next) = self.next else { return Ok(None) };
            let number = match self.access {
                AccessPath::Scan => {
                    self.next_stretch(reader, next, &mut may)?;
                    continue;
                }
                AccessPath::Listed(numbers) => numbers.get(next as usize).copied(),
                AccessPath::Everything => Some(next).filter(|n| *n < reader.graph.entity_bound()),
            };
            self.next = number.map(|_| next + 1);
            let Some(number) = number else { return Ok(None) };
            if let Some(facts) = reader.graph.entity_facts(number)? {
                return Ok(Some((number, facts)));
            }
        }
    }

    /// Fills `fitting` with the entities that fit among the next [`TOGETHER`], tested together. False if
    /// there are no more entities. `candidates` counts those that are tested.
    pub(in crate::query) fn fitting<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        filter: &mut EntityFilter<'_>,
        deleted: bool,
        candidates: &Counter<u64>,
        fitting: &mut Vec<u32>,
    ) -> OperatorResult<bool, G> {
        fitting.clear();
        let mut met = 0;
        while met < TOGETHER {
            // Names alone exclude most entities, without reading their properties.
            let may = |facts| filter.may(reader, facts);
            let Some((number, facts)) = self.next(reader, may)? else { break };
            let selected = filter.selected(reader, facts);
            if selected == SelectorVerdict::No || !facts.live && !deleted {
                continue;
            }
            met += 1;
            candidates.set(candidates.get() + 1);
            reader.work(1)?;
            if reader.selects(number, filter.test, selected)? {
                fitting.push(number);
            }
            // The graph tells of the entities of one stretch most quickly.
            if self.at == self.stretch.len() && matches!(self.access, AccessPath::Scan) {
                break;
            }
        }
        if let Some(with) = &filter.test.with {
            reader.retain_subjects(with, fitting)?;
        }
        Ok(met > 0)
    }

    fn next_stretch<G: GraphRead>(
        &mut self,
        reader: &QueryReader<'_, G>,
        first: u32,
        may: &mut impl FnMut(EntityFacts) -> bool,
    ) -> OperatorResult<(), G> {
        // Entities that are passed by count no work, so nothing else looks at the clock.
        reader.time()?;
        self.stretch.clear();
        self.at = 0;
        let stretch = &mut self.stretch;
        let visit = |number, facts| stretch.push((number, facts));
        self.next = reader.graph.scan_stretch(first, may, visit)?;
        Ok(())
    }
}

/// A scan of entities for the slot that matching begins at.
pub(super) struct Scan<'a, G: GraphRead> {
    context: &'a MatchContext<'a, G>,
    plan: &'a ScanPlan,
    cursor: CandidateCursor<'a>,
    filter: EntityFilter<'a>,
    /// Entities that fit, tested together, and the one to go on with.
    fitting: Vec<u32>,
    at: usize,
}

impl<'a, G: GraphRead> Scan<'a, G> {
    pub(super) fn new(context: &'a MatchContext<'a, G>, plan: &'a ScanPlan) -> Scan<'a, G> {
        let (cursor, filter) = (CandidateCursor::new(&plan.access), EntityFilter::new(&plan.test));
        Scan { context, plan, cursor, filter, fitting: Vec::new(), at: 0 }
    }

    /// Tests the next entities together; false behind the last.
    fn fit_many(&mut self) -> OperatorResult<bool, G> {
        self.at = 0;
        let candidates = &self.context.candidates;
        self.cursor.fitting(
            self.context.reader,
            &mut self.filter,
            self.plan.deleted,
            candidates,
            &mut self.fitting,
        )
    }
}

impl<G: GraphRead> RowOperator<G> for Scan<'_, G> {
    fn next_batch(&mut self, demand: RowDemand, rows: &mut RowBatch) -> OperatorResult<bool, G> {
        rows.clear();
        let reader = self.context.reader;
        while rows.len() < demand.rows() {
            if let Some(&number) = self.fitting.get(self.at) {
                self.at += 1;
                self.context.count_binding(self.plan.slot);
                rows.push_start(self.plan.slot, number);
                continue;
            }
            // Where all rows are wanted, none is tested too many.
            if matches!(demand, RowDemand::All) {
                if !self.fit_many()? {
                    break;
                }
                continue;
            }
            let filter = &mut self.filter;
            // Names alone exclude most entities, without reading their properties.
            let may = |facts| filter.may(reader, facts);
            let Some((number, facts)) = self.cursor.next(reader, may)? else { break };
            let selected = self.filter.selected(reader, facts);
            if selected == SelectorVerdict::No || !facts.live && !self.plan.deleted {
                continue;
            }
            self.context.candidates.set(self.context.candidates.get() + 1);
            reader.work(1)?;
            if reader.fits(number, &self.plan.test, selected)? {
                self.context.count_binding(self.plan.slot);
                rows.push_start(self.plan.slot, number);
            }
        }
        Ok(!rows.is_empty())
    }
}

impl<G: GraphRead> PatternOperator<G> for Scan<'_, G> {
    fn restart(&mut self, _: &RowBatch, _: usize, _: u32) {
        self.cursor = CandidateCursor::new(&self.plan.access);
        self.fitting.clear();
        self.at = 0;
    }
}
