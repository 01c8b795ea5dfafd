//! Questions in J1QL.
//!
//! The language itself is in `query`; here it meets a snapshot, the rules in force and notes.

use super::{AnswerAdvice, AnswerDocument, AnswerError, QuestionContext};
use crate::db::Database;
use crate::lang::{PastPoint, SourceText};
use crate::query::{
    AnswerJson, AnswerNote, Query, QueryAnswer, QueryOptions, QueryParameter, QueryProfile,
};
use crate::rules::RuleTable;
use crate::store::Snapshot;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// A question in J1QL, but for its text.
#[derive(Clone, Debug, Default)]
pub struct QueryRequest {
    /// Values of placeholders, by name.
    pub parameters: BTreeMap<String, QueryParameter>,
    /// The time of `date.now`, in epoch milliseconds.
    pub now: i64,
    /// True to refuse what J1QL does not have.
    pub strict: bool,
    /// True to begin at deleted entities as well.
    pub include_deleted: bool,
    /// Smart classes by name, each a selector with a condition.
    pub smart_classes: BTreeMap<String, String>,
    /// Sets of verbs by name.
    pub smart_verbs: BTreeMap<String, String>,
    /// The point in the past whose state is asked, unless the query names one.
    pub at: Option<PastPoint>,
}

impl QueryRequest {
    /// The options of reading the query by these rules, until a time.
    pub fn options(self, rules: RuleTable, until: Option<Instant>) -> QueryOptions {
        let written = self.parameters.iter();
        let written = written.map(|(name, given)| (name.clone(), given.written.clone())).collect();
        let values = self.parameters.into_iter().map(|(name, given)| (name, given.value));
        QueryOptions {
            now: self.now,
            strict: self.strict,
            parameters: Some(values.collect()),
            written,
            smart_classes: self.smart_classes,
            smart_verbs: self.smart_verbs,
            rules,
            include_deleted: self.include_deleted,
            until,
            past: true,
        }
    }
}

/// Reads a query.
///
/// # Errors
///
/// `BAD_QUERY`, with the fault as a diagnostic.
pub fn read_query(source: &Arc<SourceText>, options: &QueryOptions) -> Result<Query, AnswerError> {
    Query::parse(source, options).map_err(|fault| {
        let error = AnswerError::invalid(fault.plain()).coded("BAD_QUERY");
        error.with_diagnostics(vec![*fault])
    })
}

/// The database as it was in the state that a query asks, or that was asked beside it; `None` for the
/// newest.
///
/// # Errors
///
/// Two points in the past, or one that the file has no state of.
pub fn asked_state(
    database: &Database,
    query: &Query,
    beside: Option<&PastPoint>,
) -> Result<Option<Database>, AnswerError> {
    let point = match (query.past_point(), beside) {
        (None, None) => return Ok(None),
        (Some(point), None) | (None, Some(point)) => point,
        (Some(_), Some(_)) => {
            let message = "the query says `AT`, and another state is asked beside it";
            return Err(AnswerError::invalid(message).advise(AnswerAdvice::LeaveOutOne));
        }
    };
    Ok(Some(database.as_of(database.state_at(point)?)))
}

/// The rows of a query, read from a snapshot as they are written.
pub struct QueryFindings<'a> {
    snapshot: &'a Snapshot,
    /// The rows by number.
    pub answer: QueryAnswer,
    /// The way in which they were found.
    pub profile: QueryProfile,
}

impl<'a> QueryFindings<'a> {
    /// Runs a query.
    ///
    /// # Errors
    ///
    /// A limit, or the error of reading.
    pub fn ask(
        context: &QuestionContext<'a>,
        query: &Query,
    ) -> Result<QueryFindings<'a>, AnswerError> {
        let QuestionContext { database, snapshot, meter, .. } = *context;
        if let Some(point) = query.past_point()
            && database.state_at(point)?.revision != snapshot.meta().revision
        {
            return Err(AnswerError::inconsistent("BUG: a query of the past met another state"));
        }
        let (answer, profile) = query.run_metered(snapshot, meter)?;
        Ok(QueryFindings { snapshot, answer, profile })
    }

    /// The notes on facts that the rows do not show by themselves.
    ///
    /// # Errors
    ///
    /// The error of reading, or that nobody waits any more.
    pub fn notes(
        &self,
        context: &QuestionContext<'_>,
        query: &Query,
    ) -> Result<Vec<AnswerNote>, AnswerError> {
        let limits = context.meter.limits();
        Ok(query.notes(self.snapshot, &self.answer, &self.profile, limits)?)
    }

    /// The rows as JSON that is made while it is written.
    pub fn rows(&self) -> AnswerJson<'_, Snapshot> {
        AnswerJson::new(&self.answer, self.snapshot)
    }

    /// The rows and notes as one document.
    pub fn document<'d>(&'d self, notes: &'d [AnswerNote]) -> QueryDocument<'d> {
        QueryDocument { data: self.rows(), notes, kind: self.answer.kind() }
    }
}

/// An answer as one document.
pub struct QueryDocument<'d> {
    data: AnswerJson<'d, Snapshot>,
    notes: &'d [AnswerNote],
    kind: &'static str,
}

impl Serialize for QueryDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Query", 3)?;
        document.serialize_field("data", &self.data)?;
        if !self.notes.is_empty() {
            let notes: Vec<&str> = self.notes.iter().map(|note| note.text.as_str()).collect();
            document.serialize_field("notes", &notes)?;
        }
        document.serialize_field("type", self.kind)?;
        document.end()
    }
}

impl AnswerDocument for QueryDocument<'_> {
    fn fault(&self) -> Option<AnswerError> {
        self.data.fault().map(AnswerError::from)
    }
}
