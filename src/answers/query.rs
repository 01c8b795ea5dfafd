//! Questions in J1QL.
//!
//! The language itself is in `query`; here it meets a snapshot, the rules in force and notes.

use super::{AnswerDocument, AnswerError, QuestionContext};
use crate::lang::SourceText;
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
        let QuestionContext { snapshot, meter, .. } = *context;
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
