//! The meaning of relationships: what passes along one if an end of it is taken or fails, and who owns
//! what.
//!
//! A verb alone cannot tell `UserGroup HAS User` from `Host HAS Finding`. So a rule names a verb and may
//! name the classes or types of both ends. The rule that names more ends wins. Of rules that name as
//! many, one of the project wins; then the order in the file decides. Every verb knows its inverse.
//!
//! The built-in table is `built_in.toml`, with a reason and a source for each rule. A project changes it
//! in its `tombolo.toml`, the one home of its rules, which every command reads.
//!
//! Walks that go by the rules live in `view` and `query`. They ask a [`BoundRules`], which holds the rules in
//! the numbers of one graph.

mod bound_rules;
mod built_in;
mod impact_state;
mod index;
mod page;
mod project;
mod read;
mod schema;
mod written;

pub use bound_rules::{BoundRules, EntityKind, ImpactCell, PartialEvaluation};
pub use impact_state::{ImpactFilter, ImpactState, StateSet, StateTransitions};
pub use index::is_inverse;
pub use page::{impact_words, listed_toml, page};
pub use project::{PROJECT_FILE, project_file};
pub use schema::schema;
pub use written::{
    CompromiseFlow, FlowDirection, GroupMembership, ImpactEffect, OwnershipKind, RelationshipEnd,
    SilentVerbs, VerbFamily, WrittenRule, WrittenRules,
};

use crate::lang::{Diagnostic, SourceText};
use index::RuleIndex;
use std::fmt;
use std::sync::Arc;

/// The rules in force. Cheap to clone.
#[derive(Clone, Default)]
pub struct RuleTable(Option<Arc<ProjectRules>>);

/// The built-in rules with the changes of a project.
struct ProjectRules {
    index: RuleIndex,
    written: WrittenRules,
    source: Arc<SourceText>,
}

impl fmt::Debug for RuleTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("built-in rules"),
            Some(changed) => write!(f, "rules of {}", changed.source.file),
        }
    }
}

impl RuleTable {
    /// Reads the text of a project file and returns the built-in rules with its changes.
    ///
    /// # Errors
    ///
    /// All faults of the text. Then none of it holds.
    pub fn parse(source: &Arc<SourceText>) -> Result<RuleTable, Vec<Diagnostic>> {
        let (own, says_something) = read::read(source, false)?;
        // A project file may hold tables for other parts only. The built-in index needs no building.
        if !says_something {
            return Ok(RuleTable::default());
        }
        let written = project::merge_rules(built_in(), own);
        let index = RuleIndex::build(&written);
        Ok(RuleTable(Some(Arc::new(ProjectRules { index, written, source: Arc::clone(source) }))))
    }

    /// The rules as they were written, those of the program first.
    pub fn written(&self) -> WrittenRules {
        self.0.as_ref().map_or_else(built_in, |changed| changed.written.clone())
    }

    /// The file that changes the built-in rules, if one does.
    pub fn file(&self) -> Option<&str> {
        self.0.as_ref().map(|changed| changed.source.file.as_str())
    }

    /// True if the rules know a verb, even one that passes nothing.
    pub fn knows_verb(&self, verb: &str) -> bool {
        self.index().verb(verb).is_some()
    }

    /// True if some relationships with this verb make an owner.
    pub fn owning(&self, verb: &str) -> bool {
        let index = self.index();
        index.verb(verb).is_some_and(|(verb, _)| {
            let rules = index.ownership_of(verb).iter();
            rules
                .map(|listed| index.ownership[usize::from(listed.rule)].meaning)
                .any(|meaning| meaning == OwnershipKind::Owns)
        })
    }

    /// The direction in which compromise or failure goes along relationships with a verb, by the rule
    /// that holds for any ends; a membership counts from the group to its members. `None` if there is no
    /// such rule.
    pub fn plain_flow(&self, verb: &str) -> Option<FlowDirection> {
        let index = self.index();
        let (verb, turned) = index.verb(verb)?;
        let any = |listed: &&index::RuleRef| {
            let row = &index.impact[usize::from(listed.rule)];
            (row.from, row.to) == (index::ANY, index::ANY)
        };
        let listed = index.impact_of(verb).iter().find(any)?;
        let meaning = index.impact[usize::from(listed.rule)].meaning;
        let impact = if listed.turned != turned { meaning.turned() } else { meaning };
        let compromise = match impact.compromise {
            CompromiseFlow::Flow(flow) => flow,
            CompromiseFlow::Membership(GroupMembership {
                group: RelationshipEnd::From, ..
            }) => FlowDirection::Forward,
            CompromiseFlow::Membership(_) => FlowDirection::Reverse,
        };
        // One flow for both kinds: a way is open if either of them passes it.
        let ([a, b], [c, d]) = (compromise.ways(), impact.failure.ways());
        Some(match (a || c, b || d) {
            (true, true) => FlowDirection::Both,
            (true, false) => FlowDirection::Forward,
            (false, true) => FlowDirection::Reverse,
            (false, false) => FlowDirection::None,
        })
    }

    fn index(&self) -> &RuleIndex {
        self.0.as_ref().map_or(&built_in::INDEX, |changed| &changed.index)
    }
}

/// The built-in rules as their file holds them.
fn built_in() -> WrittenRules {
    let source = SourceText::whole("built_in.toml", built_in::FILE);
    // Questions use the index of the build script; this is for projects and for texts for people.
    match read::read(&source, true) {
        Ok((written, _)) => written,
        Err(faults) => panic!("BUG: {}", faults.iter().map(Diagnostic::plain).collect::<String>()),
    }
}

#[cfg(test)]
mod tests;
