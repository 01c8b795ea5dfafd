//! Answers to questions, each as a typed value with its JSON.
//!
//! A face makes a request of plain values, asks it of a [`QuestionContext`], and writes the answer:
//! JSON by [`AnswerDocument`], or tables, trees and pictures from its fields. Neither flags nor
//! endpoints are known here, and nothing here prints. An error tells its kind and its code
//! ([`AnswerError`]).
//!
//! Each question has a file of its own; what several of them share (names of entities, steps of
//! walks, filters) lies beside them.

mod as_of;
mod blast_notes;
mod blast_radius;
mod blast_search;
mod chain;
mod check_report;
mod cycles;
mod description;
mod diff;
mod entity;
mod entity_filter;
mod entity_search;
mod error;
mod heads;
mod history_keep;
mod impact_rules;
mod mappable_scopes;
mod mapping_run;
mod object_history;
mod offender_baseline;
mod owner_notes;
mod owner_search;
mod owners;
mod path;
mod plan_impact;
mod plan_json;
mod project_rules;
mod query;
mod rule_notes;
mod same_question;
mod saved_questions;
mod scopes;
mod source_run;
mod staleness;
mod stats;
mod used_names;
mod verb_filter;
mod walk_step;
mod whole_view;
mod words;

pub use crate::db::GuardOverrides;
pub use crate::error::ErrorKind;
pub use as_of::AnswerAsOf;
pub use blast_radius::{BlastRadiusAnswer, BlastRadiusRequest, NamedVisit};
pub use chain::{NamedChain, NamedChainStep, chain_text};
pub use check_report::{CheckReport, PromiseCheck, PromiseKind, PromiseOffender, PromiseVerdict};
pub use cycles::{CyclesAnswer, CyclesRequest, NamedCycle};
pub use description::{DescriptionAnswer, DescriptionRequest};
pub use diff::{ChangeCounts, DiffAnswer, DiffRequest, TypeChanges};
pub use entity::{EntityAnswer, EntityRequest, NeighborEntity, NeighborRank};
pub use entity_filter::EntityFilter;
pub use entity_search::{EntityHit, EntitySearchAnswer, EntitySearchRequest};
pub use error::{AnswerAdvice, AnswerError};
pub use heads::{
    RelationshipHead, direction, display, entities, entity, label, relationship, relationships,
};
pub use history_keep::history_keep;
pub use impact_rules::{ImpactRulesAnswer, ImpactRulesRequest, rule_origin};
pub use mappable_scopes::{MappableScope, mappable_scopes};
pub use mapping_run::{
    MappingFileSet, MappingOutcome, MappingRunAnswer, MappingRunOptions, MappingSelection,
    MappingState,
};
pub use object_history::{ObjectHistoryAnswer, ObjectHistoryRequest, VersionEntry, VersionEvent};
pub use offender_baseline::{BaselineName, OffenderBaseline};
pub use owners::{EntityOwners, NamedOwner, OwnerChain, OwnersAnswer, OwnersRequest};
pub use path::{PathAnswer, PathRequest};
pub use plan_impact::{EntityImpactChange, ImpactComparison, ImpactTargets, StateTransition};
pub use plan_json::MappingRunJson;
pub use project_rules::rules_in_force;
pub use query::{QueryDocument, QueryFindings, QueryRequest, asked_state, read_query};
pub use saved_questions::{
    AskedQuestion, QUESTION_FILE, RowExpectation, SavedQuestion, SavedQuestions, question_file,
};
pub use scopes::{ScopeSummary, ScopesAnswer};
pub use source_run::SourceRunOutcome;
pub use staleness::stale as stale_scopes;
pub use stats::{ClassCount, SpellingGroup, StatsAnswer, TypeCount};
pub use used_names::scope;
pub use words::{CountFormat, clean, reason, rfc3339_text, shell_word};

use crate::db::Database;
use crate::limits::CostMeter;
use crate::store::Snapshot;
use serde::Serialize;

/// The state that a question is asked of, and the account of the question.
#[derive(Clone, Copy)]
pub struct QuestionContext<'a> {
    /// The database.
    pub database: &'a Database,
    /// One snapshot of it.
    pub snapshot: &'a Snapshot,
    /// The account of the question.
    pub meter: &'a CostMeter,
    /// The form of counts in notes.
    pub counts: CountFormat,
}

/// An answer as one JSON document.
///
/// A long answer is read from the database while it is written. A serializer carries texts only, so
/// the true error of reading waits in [`AnswerDocument::fault`].
pub trait AnswerDocument: Serialize {
    /// The error that stopped the writing, if it was one of reading the database.
    fn fault(&self) -> Option<AnswerError> {
        None
    }

    /// True if the document is a list, which has no room for anything beside its items.
    fn is_list(&self) -> bool {
        false
    }
}
