//! J1QL, as typed rows.

use super::{QuestionContext, QuestionGraph, question_options};
use crate::error::Error;
use crate::graph::Value;
use crate::lang::SourceText;
use crate::limits::{QuestionError, QuestionLimits};
use crate::query::{Query, QueryOptions, QueryRow};
use crate::rules::RuleTable;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A query in J1QL, with the values of its placeholders.
///
/// ```
/// # use tombolo::{Database, DraftEntity};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("graph.redb");
/// # let database = Database::options().create(true).open(&path)?;
/// # database
/// #     .job("okta")
/// #     .entities([
/// #         DraftEntity::new("alice", "okta_user", "User").property("active", true),
/// #         DraftEntity::new("bob", "okta_user", "User").property("active", false),
/// #     ])?
/// #     .finalize()?;
/// let rows = database
///     .query("FIND User WITH active = {{active}} AS u RETURN u._key AS login")
///     .param("active", true)
///     .rows()?;
/// assert_eq!(rows[0].text("login"), Some("alice"));
/// assert_eq!(rows.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct QueryQuestion<'d> {
    context: QuestionContext<'d>,
    text: Cow<'d, str>,
    parameters: BTreeMap<String, Value<'static>>,
    strict: bool,
}

/// The rows of an answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueryRows {
    /// The rows: the columns of RETURN, or all properties of each entity.
    pub rows: Vec<AnswerRow>,
    /// Sentences beside the answer: why it is empty, what in the query does not mean what it seems.
    pub notes: Vec<String>,
}

/// One row of an answer: values by name, in the order of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerRow(QueryRow);

impl<'d> QueryQuestion<'d> {
    pub(super) fn new(context: QuestionContext<'d>, text: Cow<'d, str>) -> QueryQuestion<'d> {
        QueryQuestion { context, text, parameters: BTreeMap::new(), strict: false }
    }

    question_options!();

    /// Gives the value of the placeholder `{{name}}`.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<Value<'static>>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Refuses what J1QL itself does not have.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Answers the query.
    ///
    /// # Errors
    ///
    /// As for [`QueryQuestion::run`].
    pub fn rows(self) -> Result<Vec<AnswerRow>, Error> {
        Ok(self.run()?.rows)
    }

    /// Answers the query, with the notes on its answer.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] points at what is wrong in the text. A parameter that no placeholder asks for,
    /// a limit, an error of reading.
    pub fn run(self) -> Result<QueryRows, Error> {
        let meter = self.context.meter();
        let options = QueryOptions {
            now: jiff::Timestamp::now().as_millisecond(),
            strict: self.strict,
            parameters: Some(self.parameters),
            rules: self.context.rules.clone(),
            until: meter.deadline(),
            ..QueryOptions::default()
        };
        let source = SourceText::whole("query", &*self.text);
        let query = Query::parse(&source, &options).map_err(Error::Query)?;
        if let Some((name, near)) =
            query.unasked(options.parameters.iter().flat_map(|all| all.keys()))
        {
            let what = format!("no placeholder of the query is called `{name}`");
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            return Err(Error::Usage(what, hint));
        }
        let snapshot = self.context.snapshot()?;
        let (answer, profile) = query.run_metered(&*snapshot, &meter)?;
        let rows = query.rows_of(&*snapshot, &meter, &answer)?;
        let notes = match query.notes(&*snapshot, &answer, &profile, meter.limits()) {
            Ok(notes) => notes.into_iter().map(|note| note.text).collect(),
            // Notes are beside the answer; a limit on them takes nothing from it.
            Err(QuestionError::Limit(_)) => Vec::new(),
            Err(QuestionError::Read(e)) => return Err(e.into()),
        };
        Ok(QueryRows { rows: rows.into_iter().map(AnswerRow).collect(), notes })
    }
}

impl AnswerRow {
    /// The value in a column; `None` if there is no such column.
    pub fn get(&self, column: &str) -> Option<&Value<'static>> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }

    /// The text in a column, if it is one.
    pub fn text(&self, column: &str) -> Option<&str> {
        self.get(column).and_then(Value::as_str)
    }

    /// All columns with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'static>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl Serialize for AnswerRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
