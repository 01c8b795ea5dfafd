//! What changed between two states: counts, objects, properties, and what they mean for impact.

use super::plan_impact::{ImpactComparison, ImpactTargets, compare_states};
use super::{AnswerDocument, AnswerError, QuestionContext};
use crate::db::{StatePair, StateRecord};
use crate::graph::{ObjectKind, same_name};
use crate::lang::PastPoint;
use crate::rules::RuleTable;
use crate::store::Snapshot;
use crate::sync::{ChangeAction, ChangeDetails};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Bytes that a change takes in memory beside its texts, about.
const CHANGE_BYTES: u64 = 400;

/// A question for what changed between two states.
#[derive(Clone, Debug, Default)]
pub struct DiffRequest {
    /// Only objects of these scopes.
    pub scopes: Vec<String>,
    /// Only entities of these classes, and relationships of these verbs.
    pub classes: Vec<String>,
    /// Only objects of these types.
    pub types: Vec<String>,
    /// Changes that are passed over before those that are listed.
    pub skip: usize,
    /// Changes that are listed, at most; all are counted.
    pub max: Option<usize>,
    /// Entities whose blast radius and owners are compared as well.
    pub impact: ImpactTargets,
}

/// Objects of one type, counted by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangeCounts {
    /// Created, or back again.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
}

impl ChangeCounts {
    fn count(&mut self, action: ChangeAction) {
        match action {
            ChangeAction::Create | ChangeAction::Revive => self.created += 1,
            ChangeAction::Update => self.updated += 1,
            ChangeAction::Delete => self.deleted += 1,
        }
    }
}

/// The counts of one type in one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeChanges {
    /// The scope.
    pub scope: String,
    /// `entities` or `relationships`.
    pub kind: &'static str,
    /// The type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What happened.
    #[serde(flatten)]
    pub counts: ChangeCounts,
}

/// What changed between two states.
pub struct DiffAnswer {
    /// The state that changes are told from.
    pub from: StateRecord,
    /// The state that they lead to.
    pub to: StateRecord,
    /// All of them.
    pub total: ChangeCounts,
    /// By scope, kind and type.
    pub by_type: Vec<TypeChanges>,
    /// The changes that are listed.
    pub changes: Vec<ChangeDetails>,
    /// What they mean for the entities that were asked about.
    pub impact: Option<ImpactComparison>,
}

impl DiffRequest {
    /// Answers the question for what a job changed: from the state before it to the one after it.
    ///
    /// # Errors
    ///
    /// An unknown job, one whose states are not known any more, and those of [`DiffRequest::ask`].
    pub fn ask_of_job(
        &self,
        context: &QuestionContext<'_>,
        job: &str,
        rules: &RuleTable,
    ) -> Result<DiffAnswer, AnswerError> {
        let report = context.database.find_job(job)?;
        let pair = context.database.states_of_job(&report.id.to_string())?;
        let record = |state: &Snapshot| {
            context.database.state_at(&PastPoint::Revision(state.meta().revision))
        };
        let (from, to) = (record(&pair.before)?, record(&pair.after)?);
        self.ask_of(context, &pair, from, to, rules)
    }

    /// Answers the question.
    ///
    /// # Errors
    ///
    /// A name that neither state has, a limit, or the error of reading.
    pub fn ask(
        &self,
        context: &QuestionContext<'_>,
        from: StateRecord,
        to: StateRecord,
        rules: &RuleTable,
    ) -> Result<DiffAnswer, AnswerError> {
        let pair = context.database.state_pair(&from, &to)?;
        self.ask_of(context, &pair, from, to, rules)
    }

    /// Refuses a name that neither state has: it would look like "nothing changed".
    fn check_names(&self, pair: &StatePair) -> Result<(), AnswerError> {
        for (names, plural, known) in [
            (&self.scopes, "scope", pair.known_words(|words| words.scopes)?),
            (&self.classes, "class or verb", pair.known_words(|words| words.classes)?),
            (&self.types, "type", pair.known_words(|words| words.types)?),
        ] {
            for name in names {
                if !known.iter().any(|known| same_name(known, name)) {
                    let error =
                        AnswerError::not_found(format!("neither state has a {plural} `{name}`"));
                    return Err(
                        match crate::lang::closest(name, known.iter().map(String::as_str)) {
                            Some(near) => {
                                error.advise(super::AnswerAdvice::Nearest(near.to_owned()))
                            }
                            None => error,
                        },
                    );
                }
            }
        }
        Ok(())
    }

    fn ask_of(
        &self,
        context: &QuestionContext<'_>,
        pair: &StatePair,
        from: StateRecord,
        to: StateRecord,
        rules: &RuleTable,
    ) -> Result<DiffAnswer, AnswerError> {
        self.check_names(pair)?;
        let mut passed = 0;
        let mut total = ChangeCounts::default();
        let mut by_type: BTreeMap<(String, u8, String), ChangeCounts> = BTreeMap::new();
        let mut changes = Vec::new();
        let max = self.max.unwrap_or(usize::MAX);
        pair.for_each(|change| {
            context.meter.work(1)?;
            if !self.takes(&change) {
                return Ok::<_, AnswerError>(());
            }
            total.count(change.action);
            let of = (change.scope.clone(), change.kind as u8, change.type_name.clone());
            by_type.entry(of).or_default().count(change.action);
            passed += 1;
            if passed > self.skip && changes.len() < max {
                context.meter.hold(CHANGE_BYTES + change.key.len() as u64)?;
                changes.push(change);
            }
            Ok(())
        })?;
        let by_type = by_type.into_iter().map(|((scope, kind, type_name), counts)| {
            let kind = match kind {
                0 => ObjectKind::Entity.plural(),
                _ => ObjectKind::Relationship.plural(),
            };
            TypeChanges { scope, kind, type_name, counts }
        });
        let by_type = by_type.collect();
        let asked = !self.impact.entities.is_empty() || !self.impact.classes.is_empty();
        let impact = match asked {
            true => Some(compare_states(context.database, pair, &self.impact, rules)?),
            false => None,
        };
        Ok(DiffAnswer { from, to, total, by_type, changes, impact })
    }

    fn takes(&self, change: &ChangeDetails) -> bool {
        let any = |names: &[String], is: &dyn Fn(&str) -> bool| {
            names.is_empty() || names.iter().any(|name| is(name))
        };
        any(&self.scopes, &|name| name == change.scope)
            && any(&self.types, &|name| name == change.type_name)
            && any(&self.classes, &|name| change.classes.iter().any(|c| same_name(c, name)))
    }
}

impl DiffAnswer {
    /// Changes that are counted and not listed.
    pub fn left_out(&self) -> u64 {
        let ChangeCounts { created, updated, deleted } = self.total;
        created + updated + deleted - self.changes.len() as u64
    }
}

impl Serialize for DiffAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(None)?;
        document.serialize_entry("from", &self.from)?;
        document.serialize_entry("to", &self.to)?;
        document.serialize_entry("total", &self.total)?;
        document.serialize_entry("byType", &self.by_type)?;
        document.serialize_entry("changes", &self.changes)?;
        document.serialize_entry("leftOut", &self.left_out())?;
        if let Some(impact) = &self.impact {
            document.serialize_entry("impact", &impact.json())?;
        }
        document.end()
    }
}

impl AnswerDocument for DiffAnswer {}
