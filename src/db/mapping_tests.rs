//! Tests of a mapping file that ask a query, asked of the graph as it would be.

use super::{Error, MappingPlan, PlannedGraph};
use crate::limits::{CostMeter, QuestionError, QuestionLimits};
use crate::mapping::{Mapping, ResolvedMapping, TestExpectation, TestOutcome, query_test_outcome};
use crate::query::Query;
use crate::store::{Snapshot, StoreError};

impl MappingPlan {
    /// Asks the tests of the file that are queries, and writes their outcomes into `resolved`. This
    /// plan is that of its drafts, made on `snapshot`.
    ///
    /// # Errors
    ///
    /// Any error of reading.
    pub fn ask_tests(
        &self,
        mapping: &Mapping,
        snapshot: &Snapshot,
        resolved: &mut ResolvedMapping,
    ) -> Result<(), Error> {
        let is_query = |ask: &TestExpectation| matches!(ask, TestExpectation::Query { .. });
        // The planned graph costs a pass over all changes, and only tests with a query read it.
        if !mapping.promises.iter().any(|test| is_query(&test.ask)) {
            return Ok(());
        }
        let mut planned = PlannedGraph::new(snapshot);
        planned.add(self, &resolved.drafts)?;
        for (test, outcome) in mapping.promises.iter().zip(&mut resolved.promises) {
            if let TestExpectation::Query { query, .. } = &test.ask {
                *outcome = planned.ask_test(&test.ask, query)?;
            }
        }
        Ok(())
    }
}

impl PlannedGraph<'_> {
    /// The outcome of one test that asks `query`.
    ///
    /// # Errors
    ///
    /// Any error of reading. A query that passes its limits is an outcome.
    pub fn ask_test(&self, ask: &TestExpectation, query: &Query) -> Result<TestOutcome, Error> {
        match self.outcome_of(ask, query) {
            Ok(outcome) => Ok(outcome),
            Err(QuestionError::Limit(what)) => Ok(query_test_outcome(ask, Err(what.to_string()))),
            Err(QuestionError::Read(error)) => Err(error.into()),
        }
    }

    /// A test may hold for a wrong reason: a query with a name that nothing has finds nothing. The
    /// notes of the query show such a doubt.
    fn outcome_of(
        &self,
        ask: &TestExpectation,
        query: &Query,
    ) -> Result<TestOutcome, QuestionError<StoreError>> {
        let meter = CostMeter::new(QuestionLimits::default());
        let (answer, profile) = query.run_metered(self, &meter)?;
        let outcome = query_test_outcome(ask, Ok(query.rows_of(self, &meter, &answer)?));
        if !matches!(outcome, TestOutcome::Yes) {
            return Ok(outcome);
        }
        let notes = query.notes(self, &answer, &profile, meter.limits())?;
        let doubt = notes.into_iter().find(|note| note.doubt);
        Ok(doubt.map_or(outcome, |note| TestOutcome::But(note.text)))
    }
}
